/* fuzz_codec.c: a picture file through the decoder that the workers use, with one codec (FUZZ_CODEC) and a low
 * max_pixels: size and pixels, turned by EXIF, whole and scaled.
 */
#include "data/decoder.h"
#include "fuzz.h"

enum { MOST_PIXELS = 1 << 18 };

static struct tn_decoder *open_decoder(void)
{
    static const char *const names[] = {FUZZ_CODEC};
    static struct tn_registry *registry; /* stays until the end */
    static struct tn_decoder *decoder;
    if (!decoder) {
        struct tn_error error = {.status = TN_OK};
        const struct tn_list list = {names, 1};
        DEMAND(tn_registry_open(NULL, &registry, &error) == TN_OK);
        DEMAND(tn_decoder_open_named(registry, &list, &decoder, &error) == TN_OK);
        tn_decoder_orient(decoder, true);
    }
    return decoder;
}

static void look_at(const struct tn_image *image, const struct tn_decode_request *request)
{
    const unsigned char *pixels = image->pixels;
    size_t count = (size_t)image->height * (size_t)image->width * (size_t)image->channels;
    unsigned sum = 0;
    DEMAND(image->channels == request->channels && image->pixel_type == TN_PIXEL_U8);
    DEMAND((uint64_t)image->height * (uint64_t)image->width <= MOST_PIXELS);
    for (size_t i = 0; i < count; i++)
        sum += pixels[i];
    DEMAND(sum <= 255 * count); /* nothing but a use of what was read */
}

static uint32_t crc_of(const uint8_t *bytes, size_t count)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

/* Chunks of a PNG whose CRC is wrong are all that libpng would see: a copy with right ones, or NULL for other formats.
 */
static uint8_t *repaired_png(const uint8_t *data, size_t size)
{
    uint8_t *copy = size > 8 && memcmp(data, "\x89PNG\r\n\x1A\n", 8) == 0 ? malloc(size) : NULL;
    size_t at = 8;
    if (copy)
        memcpy(copy, data, size);
    while (copy && size - at >= 12) {
        size_t length = (size_t)copy[at] << 24 | (size_t)copy[at + 1] << 16 | (size_t)copy[at + 2] << 8 | copy[at + 3];
        if (length > size - at - 12)
            break;
        uint32_t crc = crc_of(copy + at + 4, length + 4);
        for (size_t i = 0; i < 4; i++)
            copy[at + 8 + length + i] = (uint8_t)(crc >> (24 - 8 * i));
        at += 12 + length;
    }
    return copy;
}

static void decode_one(const uint8_t *data, size_t size)
{
    static const int32_t channels[] = {1, 3, 4};
    struct tn_decoder *decoder = open_decoder();
    struct tn_image image = {0}, header = {0};
    struct tn_error error = {.status = TN_OK};
    struct tn_decode_request request = {.size = sizeof request,
                                        .channels = channels[size % 3],
                                        .fast = size / 3 % 2,
                                        .minimum_height = size / 6 % 2 ? 8 : 0,
                                        .minimum_width = size / 6 % 2 ? 8 : 0,
                                        .maximum_pixels = MOST_PIXELS};
    if (!tn_decoder_codec(decoder, data, size)) /* not of this format: other bytes teach more */
        return;
    tn_status sized = tn_decoder_size(decoder, data, size, &header, &error);
    demand_reason(sized, &error);
    error = (struct tn_error){.status = TN_OK};
    tn_status status = tn_decoder_decode(decoder, data, size, &request, &image, &error);
    demand_reason(status, &error);
    if (status == TN_OK) {
        look_at(&image, &request);
        DEMAND(sized == TN_OK && image.height <= header.height && image.width <= header.width);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *repaired = repaired_png(data, size);
    decode_one(data, size);
    if (repaired)
        decode_one(repaired, size);
    free(repaired);
    return 0;
}
