/* bmp: Windows bitmaps, uncompressed: 8 bits with a palette, 24 and 32 bits, bottom-up and top-down.
 *
 * Colours are as Pillow reads them. 32 bits without masks are colours and a byte of padding; with masks (BITFIELDS) the
 * four bytes are taken where each mask is one byte, and a mask for alpha makes the fourth alpha.
 */
#include <string.h>

#include "plain.h"

struct bmp {
    int32_t unused; /* no options yet */
};

struct header {
    int32_t height, width;
    int32_t top_down, bits, alpha;
    int32_t places[4]; /* byte of red, green, blue, alpha in a pixel of 32 bits */
    size_t pixels, row_bytes;
    const unsigned char *palette; /* blue, green, red, 0 */
    uint32_t colours;
};

static uint32_t read16(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

static uint32_t read32(const unsigned char *at)
{
    return read16(at) | read16(at + 2) << 16;
}

static int is_header_size(uint32_t bytes)
{
    return bytes == 40 || bytes == 52 || bytes == 56 || bytes == 108 || bytes == 124;
}

/* "BM" alone begins many a text: the information header has to be one of those that exist, with one plane. */
static int32_t bmp_probe(const void *bytes, uint64_t byte_count)
{
    const unsigned char *at = bytes;
    if (byte_count < 26 || at[0] != 'B' || at[1] != 'M')
        return 0;
    uint32_t size = read32(at + 14);
    if (size == 12)
        return read16(at + 22) == 1;
    return byte_count >= 54 && is_header_size(size) && read16(at + 26) == 1;
}

/* ---- header ---- */

/* Which byte of a pixel a mask stands for; -1 = it is not one whole byte. */
static int32_t byte_of(uint32_t mask)
{
    for (int32_t i = 0; i < 4; i++)
        if (mask == (uint32_t)0xFF << 8 * i)
            return i;
    return -1;
}

static tn_status read_masks(const unsigned char *bytes, uint64_t byte_count, uint32_t header_bytes,
                            uint32_t compression, struct header *header, struct tn_error *error)
{
    int has_alpha = header_bytes >= 56 || compression == 6;
    if (header->bits != 32)
        return tn_fail(error, TN_UNSUPPORTED, "a BMP with masks of %d bits is not supported: 32 are read",
                       (int)header->bits);
    if (byte_count < 54 + (has_alpha ? 16u : 12u))
        return tn_fail(error, TN_CORRUPT, "damaged BMP: the file ends in its header");
    for (int i = 0; i < (has_alpha ? 4 : 3); i++) {
        uint32_t mask = read32(bytes + 54 + 4 * i);
        if (i == 3 && mask == 0)
            break;
        header->places[i] = byte_of(mask);
        if (header->places[i] < 0)
            return tn_fail(error, TN_UNSUPPORTED, "a BMP with the mask %08x is not supported: masks of a byte are read",
                           (unsigned)mask);
        header->alpha |= i == 3;
    }
    return TN_OK;
}

static tn_status read_palette(const unsigned char *bytes, uint64_t byte_count, uint32_t header_bytes, uint32_t colours,
                              struct header *header, struct tn_error *error)
{
    uint64_t begin = 14 + (uint64_t)header_bytes;
    header->colours = colours == 0 ? 256 : colours;
    header->palette = bytes + begin;
    if (header->colours > 256 || begin + (uint64_t)header->colours * 4 > byte_count)
        return tn_fail(error, TN_CORRUPT, "damaged BMP: a palette of %u colours does not fit in", (unsigned)colours);
    return TN_OK;
}

static tn_status read_header(const unsigned char *bytes, uint64_t byte_count, struct header *header,
                             struct tn_error *error)
{
    *header = (struct header){.places = {2, 1, 0, 3}};
    if (!bmp_probe(bytes, byte_count))
        return tn_fail(error, TN_CORRUPT, "damaged BMP: the file ends in its header");
    uint32_t header_bytes = read32(bytes + 14);
    if (header_bytes == 12)
        return tn_fail(error, TN_UNSUPPORTED, "a BMP of OS/2 is not supported");
    int32_t height = (int32_t)read32(bytes + 22);
    header->width = (int32_t)read32(bytes + 18);
    header->top_down = height < 0;
    if (header->width < 1 || height == 0 || height == INT32_MIN)
        return tn_fail(error, TN_CORRUPT, "damaged BMP: it claims a size of %d x %d", (int)height, (int)header->width);
    header->height = height < 0 ? -height : height;
    header->bits = (int32_t)read16(bytes + 28);
    uint32_t compression = read32(bytes + 30);
    if (header->bits != 8 && header->bits != 24 && header->bits != 32)
        return tn_fail(error, TN_UNSUPPORTED, "a BMP of %d bits is not supported: 8, 24 and 32 are read",
                       (int)header->bits);
    if (compression != 0 && compression != 3 && compression != 6)
        return tn_fail(error, TN_UNSUPPORTED, "a compressed BMP (%s) is not supported",
                       compression == 1   ? "RLE8"
                       : compression == 2 ? "RLE4"
                                          : "unknown");
    header->pixels = read32(bytes + 10);
    header->row_bytes = (size_t)(((uint64_t)header->width * (uint64_t)header->bits + 31) / 32 * 4);
    if (compression != 0)
        return read_masks(bytes, byte_count, header_bytes, compression, header, error);
    return header->bits == 8 ? read_palette(bytes, byte_count, header_bytes, read32(bytes + 46), header, error) : TN_OK;
}

static tn_status bmp_size(const void *self, void *state, const void *bytes, uint64_t byte_count, struct tn_image *image,
                          struct tn_error *error)
{
    struct header header;
    (void)self, (void)state;
    tn_status status = read_header(bytes, byte_count, &header, error);
    if (status == TN_OK)
        *image = (struct tn_image){header.height, header.width, header.alpha ? 4 : 3, TN_PIXEL_U8, NULL};
    return status;
}

/* ---- decoding ---- */

static tn_status decode_row(const struct header *header, const unsigned char *in, int32_t channels, unsigned char *out,
                            struct tn_error *error)
{
    int32_t step = header->bits / 8;
    for (int32_t x = 0; x < header->width; x++, in += step, out += channels) {
        const unsigned char *colour = in;
        if (header->bits == 8) {
            if (in[0] >= header->colours)
                return tn_fail(error, TN_CORRUPT, "damaged BMP: colour %u of a palette of %u", (unsigned)in[0],
                               (unsigned)header->colours);
            colour = header->palette + 4 * (size_t)in[0];
        }
        unsigned char rgb[3] = {colour[header->places[0]], colour[header->places[1]], colour[header->places[2]]};
        plain_store(out, channels, rgb, header->alpha ? colour[header->places[3]] : 255);
    }
    return TN_OK;
}

static tn_status bmp_decode(const void *self, void *state, const void *bytes, uint64_t byte_count,
                            const struct tn_decode_request *request, struct tn_image *image, struct tn_error *error)
{
    struct plain_worker *worker = state;
    struct header header;
    (void)self;
    tn_status status = read_header(bytes, byte_count, &header, error);
    if (status == TN_OK)
        status = plain_judge_size("BMP", header.height, header.width, request, error);
    if (status != TN_OK)
        return status;
    if (header.pixels < 54 || header.pixels > byte_count ||
        header.row_bytes > (byte_count - header.pixels) / (uint64_t)header.height)
        return tn_fail(error, TN_CORRUPT, "damaged BMP: it claims %d x %d pixels and ends too early",
                       (int)header.height, (int)header.width);
    status = plain_reserve(worker, header.height, header.width, request->channels, error);
    size_t out_bytes = (size_t)header.width * (size_t)request->channels;
    for (int32_t y = 0; status == TN_OK && y < header.height; y++) {
        int32_t row = header.top_down ? y : header.height - 1 - y;
        status = decode_row(&header, (const unsigned char *)bytes + header.pixels + (size_t)row * header.row_bytes,
                            request->channels, worker->pixels + (size_t)y * out_bytes, error);
    }
    if (status == TN_OK)
        *image = (struct tn_image){header.height, header.width, request->channels, TN_PIXEL_U8, worker->pixels};
    return status;
}

static const struct tn_codec bmp = {
    TN_TYPE(TN_CODEC, "bmp", struct bmp, NULL, "BMP pictures, uncompressed: 8, 24 and 32 bits"),
    .probe = bmp_probe,
    .worker_open = plain_worker_open,
    .worker_close = plain_worker_close,
    .size = bmp_size,
    .decode = bmp_decode,
};

TN_PLUGIN("tenon.codecs.bmp", "0.1.0", "Apache-2.0", &bmp.type);
