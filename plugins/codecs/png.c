/* png: PNG pictures through libpng.
 *
 * Everything becomes 8 bits a channel: palettes are looked up, small bit depths widened, of 16 bits the high byte is
 * taken (as TensorFlow does). Alpha is dropped, not blended, unless four channels are asked for. Text, profiles and
 * other side chunks are skipped unread. A wrong checksum or a missing end is an error.
 */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "colours.h"
#include "tenon/plugin.h"

struct png {
    int32_t unused; /* no options yet */
};

struct png_worker {
    png_structp reader;
    png_infop info;
    const unsigned char *bytes;
    size_t left;
    struct tn_error *error;
    unsigned char *pixels;
    size_t pixel_bytes; /* allocated */
    png_bytep *rows;
    size_t row_count; /* allocated */
};

/* ---- libpng's callbacks ---- */

static void on_error(png_structp reader, png_const_charp text)
{
    struct png_worker *worker = png_get_error_ptr(reader);
    tn_fail(worker->error, TN_CORRUPT, "damaged PNG: %s", text);
    png_longjmp(reader, 1);
}

static void on_warning(png_structp reader, png_const_charp text)
{
    (void)reader, (void)text; /* oddities of side chunks; pixels are not touched by them */
}

static void read_bytes(png_structp reader, png_bytep out, size_t count)
{
    struct png_worker *worker = png_get_io_ptr(reader);
    if (count > worker->left)
        png_error(reader, "the file ends too early");
    memcpy(out, worker->bytes, count);
    worker->bytes += count;
    worker->left -= count;
}

/* ---- worker state ---- */

static tn_status png_worker_open(const void *self, void **state, struct tn_error *error)
{
    (void)self;
    *state = calloc(1, sizeof(struct png_worker));
    return *state ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for a PNG decoder");
}

static void png_worker_close(const void *self, void *state)
{
    struct png_worker *worker = state;
    (void)self;
    if (!worker)
        return;
    free(worker->pixels);
    free(worker->rows);
    free(worker);
}

static int32_t png_probe(const void *bytes, uint64_t byte_count)
{
    return byte_count >= 8 && memcmp(bytes, "\x89PNG\r\n\x1A\n", 8) == 0;
}

static void close_reader(struct png_worker *worker)
{
    png_destroy_read_struct(&worker->reader, &worker->info, NULL);
}

static tn_status open_reader(struct png_worker *worker, const void *bytes, uint64_t byte_count, struct tn_error *error)
{
    worker->error = error;
    worker->bytes = bytes;
    worker->left = (size_t)byte_count;
    worker->info = NULL;
    worker->reader = png_create_read_struct(PNG_LIBPNG_VER_STRING, worker, on_error, on_warning);
    if (worker->reader)
        worker->info = png_create_info_struct(worker->reader);
    if (!worker->info) {
        close_reader(worker);
        return tn_fail(error, TN_NO_MEMORY, "no memory for a PNG decoder");
    }
    return TN_OK;
}

/* From here on libpng may jump: only called between setjmp and close_reader. */
static void read_header(struct png_worker *worker)
{
    /* Sizes are judged by us, against the user's limit; libpng's own is a million a side. */
    png_set_user_limits(worker->reader, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_chunk_malloc_max(worker->reader, 8u << 20);
#ifdef PNG_HANDLE_AS_UNKNOWN_SUPPORTED
    png_set_keep_unknown_chunks(worker->reader, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
#endif
    png_set_read_fn(worker->reader, worker, read_bytes);
    png_read_info(worker->reader, worker->info);
}

/* ---- size ---- */

static tn_status png_size(const void *self, void *state, const void *bytes, uint64_t byte_count, struct tn_image *image,
                          struct tn_error *error)
{
    struct png_worker *worker = state;
    (void)self;
    tn_status status = open_reader(worker, bytes, byte_count, error);
    if (status != TN_OK)
        return status;
    if (setjmp(png_jmpbuf(worker->reader))) {
        close_reader(worker);
        return error ? error->status : TN_CORRUPT;
    }
    read_header(worker);
    image->height = (int32_t)png_get_image_height(worker->reader, worker->info);
    image->width = (int32_t)png_get_image_width(worker->reader, worker->info);
    image->channels = png_get_channels(worker->reader, worker->info);
    image->pixel_type = TN_PIXEL_U8;
    image->pixels = NULL;
    close_reader(worker);
    return TN_OK;
}

/* ---- decoding ---- */

/* Refuses sizes that are forbidden, or that so few bytes cannot hold: deflate makes at most 1,032 bytes of one. */
static tn_status judge_size(const struct png_worker *worker, uint64_t byte_count,
                            const struct tn_decode_request *request, struct tn_error *error)
{
    uint64_t height = png_get_image_height(worker->reader, worker->info);
    uint64_t width = png_get_image_width(worker->reader, worker->info);
    if (request->maximum_pixels && height * width > request->maximum_pixels)
        return tn_fail(error, TN_CORRUPT, "refused PNG: it claims %llu x %llu pixels, more than the limit of %llu",
                       (unsigned long long)height, (unsigned long long)width,
                       (unsigned long long)request->maximum_pixels);
    uint64_t bits =
        (uint64_t)png_get_channels(worker->reader, worker->info) * png_get_bit_depth(worker->reader, worker->info);
    if (height * width / 8 > byte_count * 1032 / bits)
        return tn_fail(error, TN_CORRUPT, "damaged PNG: it claims %llu x %llu pixels and has %llu bytes",
                       (unsigned long long)height, (unsigned long long)width, (unsigned long long)byte_count);
    return TN_OK;
}

/* Grey from colour is made by us, with Pillow's formula; everything else by libpng. Returns channels of the rows. */
static int32_t choose_conversions(const struct png_worker *worker, int32_t channels)
{
    png_structp reader = worker->reader;
    int colours = png_get_color_type(reader, worker->info);
    int has_colour = (colours & PNG_COLOR_MASK_COLOR) != 0;
    if (png_get_bit_depth(reader, worker->info) == 16)
        png_set_strip_16(reader);
    if (colours == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(reader);
    if (colours == PNG_COLOR_TYPE_GRAY)
        png_set_expand_gray_1_2_4_to_8(reader);
    if (channels == 4) {
        if (png_get_valid(reader, worker->info, PNG_INFO_tRNS))
            png_set_tRNS_to_alpha(reader);
        png_set_add_alpha(reader, 0xFF, PNG_FILLER_AFTER); /* where there is none */
    } else {
        png_set_strip_alpha(reader);
    }
    if (channels != 1 && !has_colour)
        png_set_gray_to_rgb(reader);
    png_set_interlace_handling(reader);
    png_read_update_info(reader, worker->info);
    return channels == 1 && has_colour ? 3 : channels;
}

static tn_status reserve(struct png_worker *worker, size_t bytes, size_t rows, struct tn_error *error)
{
    if (worker->pixel_bytes < bytes) {
        free(worker->pixels);
        worker->pixels = malloc(bytes);
        worker->pixel_bytes = worker->pixels ? bytes : 0;
    }
    if (worker->row_count < rows) {
        free(worker->rows);
        worker->rows = malloc(rows * sizeof *worker->rows);
        worker->row_count = worker->rows ? rows : 0;
    }
    if (!worker->pixels || !worker->rows)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a picture of %zu bytes", bytes);
    return TN_OK;
}

/* In place: a grey row is shorter than its colours. */
static void make_grey(unsigned char *pixels, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pixels[i] = grey_of(pixels + 3 * i);
}

static tn_status decode_body(struct png_worker *worker, uint64_t byte_count, const struct tn_decode_request *request,
                             struct tn_image *image, struct tn_error *error)
{
    read_header(worker);
    tn_status status = judge_size(worker, byte_count, request, error);
    if (status != TN_OK)
        return status;
    int32_t row_channels = choose_conversions(worker, request->channels);
    size_t height = png_get_image_height(worker->reader, worker->info);
    size_t width = png_get_image_width(worker->reader, worker->info);
    size_t row_bytes = width * (size_t)row_channels;
    if (png_get_rowbytes(worker->reader, worker->info) != row_bytes)
        return tn_fail(error, TN_UNSUPPORTED, "a PNG with rows of %zu bytes where %zu were expected",
                       (size_t)png_get_rowbytes(worker->reader, worker->info), row_bytes);
    status = reserve(worker, height * row_bytes, height, error);
    if (status != TN_OK)
        return status;
    for (size_t y = 0; y < height; y++)
        worker->rows[y] = worker->pixels + y * row_bytes;
    png_read_image(worker->reader, worker->rows);
    png_read_end(worker->reader, NULL);
    if (row_channels != request->channels)
        make_grey(worker->pixels, height * width);
    *image = (struct tn_image){(int32_t)height, (int32_t)width, request->channels, TN_PIXEL_U8, worker->pixels};
    return TN_OK;
}

static tn_status png_decode(const void *self, void *state, const void *bytes, uint64_t byte_count,
                            const struct tn_decode_request *request, struct tn_image *image, struct tn_error *error)
{
    struct png_worker *worker = state;
    (void)self;
    tn_status status = open_reader(worker, bytes, byte_count, error);
    if (status != TN_OK)
        return status;
    if (setjmp(png_jmpbuf(worker->reader))) {
        close_reader(worker);
        return error ? error->status : TN_CORRUPT;
    }
    status = decode_body(worker, byte_count, request, image, error);
    close_reader(worker);
    return status;
}

static const struct tn_codec png = {
    TN_TYPE(TN_CODEC, "png", struct png, NULL, "PNG pictures, through libpng"),
    .probe = png_probe,
    .worker_open = png_worker_open,
    .worker_close = png_worker_close,
    .size = png_size,
    .decode = png_decode,
};

TN_PLUGIN("tenon.codecs.png", "0.1.0", "Apache-2.0", &png.type);
