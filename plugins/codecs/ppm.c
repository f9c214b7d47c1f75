/* ppm: binary PPM (P6) and PGM (P5) pictures.
 *
 * Values are scaled from the file's maximum to 255 and rounded as Pillow does, those of 16 bits too. What follows the
 * first picture is left alone.
 */
#include <math.h>

#include "plain.h"

struct ppm {
    int32_t unused; /* no options yet */
};

struct header {
    int32_t height, width, channels, maximum;
    uint64_t pixels;
};

static int is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Comments run to the end of their line. */
static uint64_t skip_space(const unsigned char *bytes, uint64_t byte_count, uint64_t at)
{
    while (at < byte_count && (is_space(bytes[at]) || bytes[at] == '#')) {
        if (bytes[at] == '#')
            while (at < byte_count && bytes[at] != '\n')
                at++;
        else
            at++;
    }
    return at;
}

/* A magic number, white space, and a digit or a comment. */
static int32_t ppm_probe(const void *bytes, uint64_t byte_count)
{
    const unsigned char *at = bytes;
    if (byte_count < 4 || at[0] != 'P' || (at[1] != '5' && at[1] != '6') || !(is_space(at[2]) || at[2] == '#'))
        return 0;
    uint64_t next = skip_space(at, byte_count < 1024 ? byte_count : 1024, 2);
    return next < byte_count && (next == 1024 || (at[next] >= '0' && at[next] <= '9'));
}

static tn_status read_number(const unsigned char *bytes, uint64_t byte_count, uint64_t *at, int32_t highest,
                             int32_t *number, struct tn_error *error)
{
    uint64_t next = skip_space(bytes, byte_count, *at), first = next;
    int64_t value = 0;
    while (next < byte_count && bytes[next] >= '0' && bytes[next] <= '9' && value <= highest)
        value = value * 10 + (bytes[next++] - '0');
    if (next == first || value < 1 || value > highest)
        return tn_fail(error, TN_CORRUPT, "damaged PPM: a number from 1 to %d is expected in its header", (int)highest);
    *number = (int32_t)value, *at = next;
    return TN_OK;
}

static tn_status read_header(const unsigned char *bytes, uint64_t byte_count, struct header *header,
                             struct tn_error *error)
{
    uint64_t at = 2;
    if (!ppm_probe(bytes, byte_count))
        return tn_fail(error, TN_CORRUPT, "damaged PPM: the file ends in its header");
    header->channels = bytes[1] == '6' ? 3 : 1;
    tn_status status = read_number(bytes, byte_count, &at, 1 << 24, &header->width, error);
    if (status == TN_OK)
        status = read_number(bytes, byte_count, &at, 1 << 24, &header->height, error);
    if (status == TN_OK)
        status = read_number(bytes, byte_count, &at, 65535, &header->maximum, error);
    if (status != TN_OK)
        return status;
    if (at >= byte_count || !is_space(bytes[at]))
        return tn_fail(error, TN_CORRUPT, "damaged PPM: white space is expected behind its header");
    header->pixels = at + 1;
    return TN_OK;
}

static tn_status ppm_size(const void *self, void *state, const void *bytes, uint64_t byte_count, struct tn_image *image,
                          struct tn_error *error)
{
    struct header header;
    (void)self, (void)state;
    tn_status status = read_header(bytes, byte_count, &header, error);
    if (status == TN_OK)
        *image = (struct tn_image){header.height, header.width, header.channels, TN_PIXEL_U8, NULL};
    return status;
}

/* Scaled to 255, ties to even, in Pillow's order of operations; values above the maximum count as it. */
static unsigned char scaled(const struct header *header, const unsigned char *in)
{
    int32_t value = header->maximum > 255 ? (int32_t)in[0] << 8 | in[1] : in[0];
    if (header->maximum == 255)
        return (unsigned char)value;
    value = value < header->maximum ? value : header->maximum;
    return (unsigned char)lrint((double)value / header->maximum * 255.0);
}

static void decode_pixels(const struct header *header, const unsigned char *in, int32_t channels, unsigned char *out)
{
    size_t step = header->maximum > 255 ? 2 : 1, count = (size_t)header->height * (size_t)header->width;
    for (size_t i = 0; i < count; i++, out += channels) {
        unsigned char rgb[3];
        rgb[0] = rgb[1] = rgb[2] = scaled(header, in);
        if (header->channels == 3)
            rgb[1] = scaled(header, in + step), rgb[2] = scaled(header, in + 2 * step);
        in += (size_t)header->channels * step;
        if (channels == 1 && header->channels == 1)
            out[0] = rgb[0];
        else
            plain_store(out, channels, rgb, 255);
    }
}

static tn_status ppm_decode(const void *self, void *state, const void *bytes, uint64_t byte_count,
                            const struct tn_decode_request *request, struct tn_image *image, struct tn_error *error)
{
    struct plain_worker *worker = state;
    struct header header;
    (void)self;
    tn_status status = read_header(bytes, byte_count, &header, error);
    if (status == TN_OK)
        status = plain_judge_size("PPM", header.height, header.width, request, error);
    if (status != TN_OK)
        return status;
    uint64_t row_bytes = (uint64_t)header.width * (uint64_t)header.channels * (header.maximum > 255 ? 2 : 1);
    if (row_bytes > (byte_count - header.pixels) / (uint64_t)header.height)
        return tn_fail(error, TN_CORRUPT, "damaged PPM: it claims %d x %d pixels and ends too early",
                       (int)header.height, (int)header.width);
    status = plain_reserve(worker, header.height, header.width, request->channels, error);
    if (status != TN_OK)
        return status;
    decode_pixels(&header, (const unsigned char *)bytes + header.pixels, request->channels, worker->pixels);
    *image = (struct tn_image){header.height, header.width, request->channels, TN_PIXEL_U8, worker->pixels};
    return TN_OK;
}

static const struct tn_codec ppm = {
    TN_TYPE(TN_CODEC, "ppm", struct ppm, NULL, "binary PPM and PGM pictures"),
    .probe = ppm_probe,
    .worker_open = plain_worker_open,
    .worker_close = plain_worker_close,
    .size = ppm_size,
    .decode = ppm_decode,
};

TN_PLUGIN("tenon.codecs.ppm", "0.1.0", "Apache-2.0", &ppm.type);
