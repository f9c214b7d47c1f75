/* jpeg: JPEG pictures through libjpeg-turbo, read and written.
 *
 * Exact mode gives what Pillow gives, byte for byte: slow integer transform, fancy upsampling, full size. Fast mode
 * lets the library decode at 1/2, 1/4 or 1/8 while that is not below the size that sampling needs. Input is hostile:
 * sizes are judged before memory is taken, the number of scans is bounded, and damage that the library would paper over
 * with grey is an error.
 */
#include <setjmp.h>
#include <stdio.h> /* before jpeglib.h, which needs FILE */
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h> /* after jpeglib.h, whose configuration decides on the codes in it */

#include "colours.h"
#include "tenon/plugin.h"

#ifndef JCS_ALPHA_EXTENSIONS
#error "libjpeg-turbo is needed: this jpeglib.h does not know JCS_EXT_RGBA"
#endif

struct jpeg {
    int32_t unused; /* no options yet */
};

/* Encoders write about ten scans; each further one costs a walk over the whole picture and hardly a byte. */
enum { MAXIMUM_SCANS = 100 };
/* Coefficients that all scans together may touch: a bound on time. The largest picture that [data] allows unasked has
 * room for 20 scans. */
static const double MAXIMUM_SCAN_PIXELS = 4e9;

struct jpeg_worker {
    struct jpeg_decompress_struct codec;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf leave;
    struct tn_error *error;
    int created;
    unsigned char *pixels;
    size_t pixel_bytes;  /* allocated */
    unsigned char *line; /* one row, where it has to be converted by us */
    size_t line_bytes;
};

/* ---- errors of the library ---- */

/* Damage that loses pixels. Harmless oddities (bytes between markers, odd versions) stay warnings: many cameras write
 * them. */
static int is_damage(int code)
{
    return code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC ||
           code == JWRN_ARITH_BAD_CODE;
}

static void leave_with_message(j_common_ptr codec)
{
    struct jpeg_worker *worker = codec->client_data;
    char text[JMSG_LENGTH_MAX];
    codec->err->format_message(codec, text);
    int out_of_memory = codec->err->msg_code == JERR_OUT_OF_MEMORY;
    tn_fail(worker->error, out_of_memory ? TN_NO_MEMORY : TN_CORRUPT, "damaged JPEG: %s", text);
    longjmp(worker->leave, 1);
}

static void on_message(j_common_ptr codec, int level)
{
    if (level < 0 && is_damage(codec->err->msg_code))
        leave_with_message(codec);
}

static void on_progress(j_common_ptr codec)
{
    struct jpeg_worker *worker = codec->client_data;
    const struct jpeg_decompress_struct *d = &worker->codec;
    double pixels = (double)d->image_width * d->image_height;
    if (d->input_scan_number <= MAXIMUM_SCANS && d->input_scan_number * pixels <= MAXIMUM_SCAN_PIXELS)
        return;
    tn_fail(worker->error, TN_CORRUPT, "refused JPEG: more than %d scans of %u x %u pixels", d->input_scan_number - 1,
            (unsigned)d->image_height, (unsigned)d->image_width);
    longjmp(worker->leave, 1);
}

/* ---- worker state ---- */

static tn_status jpeg_worker_open(const void *self, void **state, struct tn_error *error)
{
    (void)self;
    struct jpeg_worker *worker = calloc(1, sizeof *worker);
    *state = worker;
    if (!worker)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a JPEG decoder");
    worker->error = error;
    worker->codec.err = jpeg_std_error(&worker->errors);
    worker->errors.error_exit = leave_with_message;
    worker->errors.emit_message = on_message;
    worker->progress.progress_monitor = on_progress;
    worker->codec.client_data = worker;
    if (setjmp(worker->leave)) {
        free(worker);
        *state = NULL;
        return TN_NO_MEMORY;
    }
    jpeg_create_decompress(&worker->codec);
    worker->codec.client_data = worker; /* create keeps it, and says so only in its source */
    worker->codec.progress = &worker->progress;
    return TN_OK;
}

static void jpeg_worker_close(const void *self, void *state)
{
    struct jpeg_worker *worker = state;
    (void)self;
    if (!worker)
        return;
    jpeg_destroy_decompress(&worker->codec);
    free(worker->pixels);
    free(worker->line);
    free(worker);
}

static tn_status reserve(unsigned char **memory, size_t *have, size_t need, struct tn_error *error)
{
    if (*have >= need)
        return TN_OK;
    free(*memory);
    *have = 0;
    *memory = malloc(need);
    if (!*memory)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a picture of %zu bytes", need);
    *have = need;
    return TN_OK;
}

/* ---- header ---- */

static int32_t jpeg_probe(const void *bytes, uint64_t byte_count)
{
    return byte_count >= 3 && memcmp(bytes, "\xFF\xD8\xFF", 3) == 0;
}

static void read_header(struct jpeg_worker *worker, const void *bytes, uint64_t byte_count)
{
    jpeg_mem_src(&worker->codec, bytes, (unsigned long)byte_count);
    (void)jpeg_read_header(&worker->codec, TRUE);
}

static tn_status jpeg_size(const void *self, void *state, const void *bytes, uint64_t byte_count,
                           struct tn_image *image, struct tn_error *error)
{
    struct jpeg_worker *worker = state;
    (void)self;
    worker->error = error;
    if (setjmp(worker->leave)) {
        jpeg_abort_decompress(&worker->codec);
        return error ? error->status : TN_CORRUPT;
    }
    read_header(worker, bytes, byte_count);
    image->height = (int32_t)worker->codec.image_height;
    image->width = (int32_t)worker->codec.image_width;
    image->channels = worker->codec.num_components;
    image->pixel_type = TN_PIXEL_U8;
    image->pixels = NULL;
    jpeg_abort_decompress(&worker->codec);
    return TN_OK;
}

/* ---- decoding ---- */

/* How rows come out of the library, and what is left for us to do. */
enum conversion { READY, CMYK, GREY_FROM_RGB };

static enum conversion choose_colours(struct jpeg_decompress_struct *codec, const struct tn_decode_request *request)
{
    if (codec->jpeg_color_space == JCS_CMYK || codec->jpeg_color_space == JCS_YCCK) {
        codec->out_color_space = JCS_CMYK;
        return CMYK;
    }
    if (request->channels != 1) {
        codec->out_color_space = request->channels == 4 ? JCS_EXT_RGBA : JCS_RGB;
        return READY;
    }
    /* Grey of a colour picture: the stored brightness when fast, as TensorFlow takes it; else Pillow's formula on the
     * decoded colours, as Keras does. They differ by up to 9 levels. */
    if (codec->jpeg_color_space == JCS_GRAYSCALE || (request->fast && codec->jpeg_color_space == JCS_YCbCr)) {
        codec->out_color_space = JCS_GRAYSCALE;
        return READY;
    }
    codec->out_color_space = JCS_RGB;
    return GREY_FROM_RGB;
}

static void convert_row(const struct jpeg_worker *worker, enum conversion conversion, int32_t channels,
                        unsigned char *out)
{
    const unsigned char *in = worker->line;
    int32_t in_channels = conversion == CMYK ? 4 : 3;
    for (JDIMENSION x = 0; x < worker->codec.output_width; x++, in += in_channels, out += channels) {
        unsigned char rgb[3] = {in[0], in[1], in[2]};
        if (conversion == CMYK)
            rgb_of_cmyk(in, worker->codec.saw_Adobe_marker, rgb);
        if (channels == 1) {
            out[0] = grey_of(rgb);
            continue;
        }
        memcpy(out, rgb, 3);
        if (channels == 4)
            out[3] = 255;
    }
}

/* The smallest of the library's quick sizes that is still large enough. */
static void choose_scale(struct jpeg_decompress_struct *codec, const struct tn_decode_request *request)
{
    codec->scale_num = 8;
    codec->scale_denom = 8;
    if (!request->fast || (request->minimum_height <= 0 && request->minimum_width <= 0))
        return;
    for (unsigned factor = 8; factor > 1; factor /= 2) {
        int64_t height = ((int64_t)codec->image_height + factor - 1) / factor;
        int64_t width = ((int64_t)codec->image_width + factor - 1) / factor;
        if (height >= request->minimum_height && width >= request->minimum_width) {
            codec->scale_num = 8 / factor;
            return;
        }
    }
}

/* Refuses sizes that are forbidden, or that so few bytes cannot hold: a Huffman-coded picture spends at least one bit
 * on each 8x8 block of its finest component. */
static tn_status judge_size(const struct jpeg_decompress_struct *codec, uint64_t byte_count,
                            const struct tn_decode_request *request, struct tn_error *error)
{
    uint64_t pixels = (uint64_t)codec->image_width * codec->image_height;
    if (request->maximum_pixels && pixels > request->maximum_pixels)
        return tn_fail(error, TN_CORRUPT, "refused JPEG: it claims %u x %u pixels, more than the limit of %llu",
                       (unsigned)codec->image_height, (unsigned)codec->image_width,
                       (unsigned long long)request->maximum_pixels);
    if (!codec->arith_code && pixels / 1024 > byte_count)
        return tn_fail(error, TN_CORRUPT, "damaged JPEG: it claims %u x %u pixels and has %llu bytes",
                       (unsigned)codec->image_height, (unsigned)codec->image_width, (unsigned long long)byte_count);
    return TN_OK;
}

static void read_rows(struct jpeg_worker *worker, enum conversion conversion, int32_t channels)
{
    struct jpeg_decompress_struct *codec = &worker->codec;
    size_t row_bytes = (size_t)codec->output_width * (size_t)channels;
    while (codec->output_scanline < codec->output_height) {
        unsigned char *rows[8];
        JDIMENSION first = codec->output_scanline, count = codec->output_height - first;
        count = conversion != READY ? 1 : count < 8 ? count : 8;
        for (JDIMENSION i = 0; i < count; i++)
            rows[i] = conversion == READY ? worker->pixels + (first + i) * row_bytes : worker->line;
        if (jpeg_read_scanlines(codec, rows, count) > 0 && conversion != READY)
            convert_row(worker, conversion, channels, worker->pixels + first * row_bytes);
    }
}

/* Between jpeg_read_header and the end, in a function of its own: longjmp leaves through the caller. */
static tn_status decode_body(struct jpeg_worker *worker, uint64_t byte_count, const struct tn_decode_request *request,
                             struct tn_error *error)
{
    struct jpeg_decompress_struct *codec = &worker->codec;
    tn_status status = judge_size(codec, byte_count, request, error);
    if (status != TN_OK)
        return status;
    codec->dct_method = JDCT_ISLOW;
    codec->do_fancy_upsampling = TRUE;
    choose_scale(codec, request);
    enum conversion conversion = choose_colours(codec, request);
    jpeg_calc_output_dimensions(codec);
    size_t pixels = (size_t)codec->output_width * codec->output_height;
    status = reserve(&worker->pixels, &worker->pixel_bytes, pixels * (size_t)request->channels, error);
    if (status == TN_OK && conversion != READY)
        status = reserve(&worker->line, &worker->line_bytes, (size_t)codec->output_width * 4, error);
    if (status != TN_OK)
        return status;
    (void)jpeg_start_decompress(codec);
    read_rows(worker, conversion, request->channels);
    (void)jpeg_finish_decompress(codec); /* reads to the end marker, so that a missing one is noticed */
    return TN_OK;
}

static tn_status jpeg_decode(const void *self, void *state, const void *bytes, uint64_t byte_count,
                             const struct tn_decode_request *request, struct tn_image *image, struct tn_error *error)
{
    struct jpeg_worker *worker = state;
    (void)self;
    worker->error = error;
    if (setjmp(worker->leave)) {
        jpeg_abort_decompress(&worker->codec);
        return error ? error->status : TN_CORRUPT;
    }
    read_header(worker, bytes, byte_count);
    tn_status status = decode_body(worker, byte_count, request, error);
    if (status != TN_OK) {
        jpeg_abort_decompress(&worker->codec);
        return status;
    }
    image->height = (int32_t)worker->codec.output_height;
    image->width = (int32_t)worker->codec.output_width;
    image->channels = request->channels;
    image->pixel_type = TN_PIXEL_U8;
    image->pixels = worker->pixels;
    return TN_OK;
}

/* ---- encoding ---- */

struct encoder {
    struct jpeg_compress_struct codec;
    struct jpeg_error_mgr errors;
    jmp_buf leave;
    struct tn_error *error;
    unsigned char *bytes; /* malloc'ed by the library */
    unsigned long byte_count;
};

static void leave_encoder(j_common_ptr codec)
{
    struct encoder *encoder = codec->client_data;
    char text[JMSG_LENGTH_MAX];
    codec->err->format_message(codec, text);
    tn_fail(encoder->error, TN_FAILED, "cannot write JPEG: %s", text);
    longjmp(encoder->leave, 1);
}

static void encode_rows(struct encoder *encoder, const struct tn_image *image, int32_t quality)
{
    struct jpeg_compress_struct *codec = &encoder->codec;
    jpeg_mem_dest(codec, &encoder->bytes, &encoder->byte_count);
    codec->image_width = (JDIMENSION)image->width;
    codec->image_height = (JDIMENSION)image->height;
    codec->input_components = image->channels;
    codec->in_color_space = image->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(codec);
    jpeg_set_quality(codec, quality, TRUE);
    codec->optimize_coding = TRUE;
    jpeg_start_compress(codec, TRUE);
    size_t row_bytes = (size_t)image->width * (size_t)image->channels;
    while (codec->next_scanline < codec->image_height) {
        unsigned char *row = (unsigned char *)image->pixels + codec->next_scanline * row_bytes;
        (void)jpeg_write_scanlines(codec, &row, 1);
    }
    jpeg_finish_compress(codec);
}

static tn_status jpeg_encode(const void *self, const struct tn_host *host, const struct tn_image *image,
                             int32_t quality, void **bytes, uint64_t *byte_count, struct tn_error *error)
{
    (void)self;
    if (image->pixel_type != TN_PIXEL_U8 || (image->channels != 1 && image->channels != 3) || image->height < 1 ||
        image->width < 1 || image->height > JPEG_MAX_DIMENSION || image->width > JPEG_MAX_DIMENSION)
        return tn_fail(error, TN_UNSUPPORTED, "JPEG holds bytes of 1 or 3 channels, at most %ld pixels a side",
                       (long)JPEG_MAX_DIMENSION);
    /* On the heap: what changes between setjmp and longjmp must not live in registers. */
    struct encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a JPEG encoder");
    encoder->error = error;
    encoder->codec.err = jpeg_std_error(&encoder->errors);
    encoder->errors.error_exit = leave_encoder;
    encoder->codec.client_data = encoder;
    tn_status status = TN_FAILED;
    if (setjmp(encoder->leave) == 0) {
        jpeg_create_compress(&encoder->codec);
        encode_rows(encoder, image, quality);
        *bytes = host->allocate(encoder->byte_count);
        if (*bytes) {
            memcpy(*bytes, encoder->bytes, encoder->byte_count);
            *byte_count = encoder->byte_count;
            status = TN_OK;
        } else {
            status = tn_fail(error, TN_NO_MEMORY, "no memory for %lu bytes of JPEG", encoder->byte_count);
        }
    }
    jpeg_destroy_compress(&encoder->codec);
    free(encoder->bytes);
    free(encoder);
    return status;
}

static const struct tn_codec jpeg = {
    TN_TYPE(TN_CODEC, "jpeg", struct jpeg, NULL, "JPEG pictures, through libjpeg-turbo"),
    .probe = jpeg_probe,
    .worker_open = jpeg_worker_open,
    .worker_close = jpeg_worker_close,
    .size = jpeg_size,
    .decode = jpeg_decode,
    .encode = jpeg_encode,
};

TN_PLUGIN("tenon.codecs.jpeg", "0.1.0", "Apache-2.0", &jpeg.type);
