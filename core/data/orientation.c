/* orientation.c: the EXIF orientation of a JPEG, PNG, WebP or TIFF, and turning pictures by it.
 *
 * The number lies in a small TIFF inside of a marker or chunk: untrusted offsets, so every read is judged against
 * its end. Whatever is odd counts as upright.
 */
#include <string.h>

#include "data/decoder.h"

/* ---- reading ---- */

struct tiff {
    const unsigned char *bytes;
    uint64_t count;
    bool big_endian;
};

/* A number of 2 or 4 bytes; 0 when it lies outside. */
static uint32_t number_at(const struct tiff *tiff, uint64_t at, unsigned length)
{
    uint32_t value = 0;
    if (at > tiff->count || length > tiff->count - at)
        return 0;
    for (unsigned i = 0; i < length; i++)
        value = value << 8 | tiff->bytes[at + (tiff->big_endian ? i : length - 1 - i)];
    return value;
}

/* Tag 0x112 of the first directory: one SHORT. */
static int32_t orientation_in(const unsigned char *bytes, uint64_t count)
{
    enum { TAG_ORIENTATION = 0x112, TYPE_SHORT = 3, ENTRY_BYTES = 12 };
    struct tiff tiff = {bytes, count, count >= 4 && memcmp(bytes, "MM\0*", 4) == 0};
    if (count < 8 || (!tiff.big_endian && memcmp(bytes, "II*\0", 4) != 0))
        return 1;
    uint64_t directory = number_at(&tiff, 4, 4);
    uint32_t entries = number_at(&tiff, directory, 2);
    for (uint32_t i = 0; i < entries; i++) {
        uint64_t entry = directory + 2 + (uint64_t)i * ENTRY_BYTES;
        if (entry + ENTRY_BYTES > count)
            return 1;
        if (number_at(&tiff, entry, 2) != TAG_ORIENTATION)
            continue;
        uint32_t value = number_at(&tiff, entry + 8, 2);
        bool good = number_at(&tiff, entry + 2, 2) == TYPE_SHORT && number_at(&tiff, entry + 4, 4) == 1;
        return good && value >= 1 && value <= 8 ? (int32_t)value : 1;
    }
    return 1;
}

static int32_t orientation_of_jpeg(const unsigned char *data, uint64_t byte_count)
{
    enum { START_OF_SCAN = 0xDA, END_OF_IMAGE = 0xD9, APP1 = 0xE1 };
    uint64_t at = 2;
    while (at + 4 <= byte_count && data[at] == 0xFF) {
        unsigned marker = data[at + 1];
        if (marker == 0xFF) { /* a fill byte */
            at++;
            continue;
        }
        if (marker == START_OF_SCAN || marker == END_OF_IMAGE)
            return 1;
        uint64_t length = (uint64_t)data[at + 2] << 8 | data[at + 3];
        if (length < 2 || length > byte_count - at - 2)
            return 1;
        if (marker == APP1 && length >= 8 && memcmp(data + at + 4, "Exif\0\0", 6) == 0)
            return orientation_in(data + at + 10, length - 8);
        at += 2 + length;
    }
    return 1;
}

/* Chunks of a length, a name of 4 bytes and a content: PNG (big-endian, with 4 bytes behind each) has eXIf, which may
 * also follow the pixels; WebP (little-endian, padded to even) has EXIF. */
static int32_t orientation_of_chunks(const unsigned char *data, uint64_t byte_count, bool png)
{
    struct tiff numbers = {data, byte_count, png};
    uint64_t at = png ? 8 : 12;
    while (at + 8 <= byte_count) {
        const unsigned char *name = data + at + (png ? 4 : 0);
        uint64_t length = number_at(&numbers, at + (png ? 0 : 4), 4);
        if (length > byte_count - at - 8)
            return 1;
        if (memcmp(name, png ? "eXIf" : "EXIF", 4) == 0) {
            uint64_t prefix = length >= 6 && memcmp(data + at + 8, "Exif\0\0", 6) == 0 ? 6 : 0; /* some write it */
            return orientation_in(data + at + 8 + prefix, length - prefix);
        }
        at += 8 + length + (png ? 4 : length & 1);
    }
    return 1;
}

int32_t tn_orientation_of(const void *bytes, uint64_t byte_count)
{
    const unsigned char *data = bytes;
    if (byte_count < 16)
        return 1;
    if (data[0] == 0xFF && data[1] == 0xD8)
        return orientation_of_jpeg(data, byte_count);
    if (memcmp(data, "\x89PNG\r\n\x1A\n", 8) == 0)
        return orientation_of_chunks(data, byte_count, true);
    if (memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0)
        return orientation_of_chunks(data, byte_count, false);
    return orientation_in(data, byte_count); /* a TIFF, or nothing that is known */
}

/* ---- turning ---- */

bool tn_orientation_swaps(int32_t orientation)
{
    return orientation >= 5 && orientation <= 8;
}

void tn_orientation_apply(const struct tn_image *in, int32_t orientation, void *pixels, struct tn_image *out)
{
    bool swaps = tn_orientation_swaps(orientation);
    /* Where the stored picture's walk begins; 5 to 8 go through it by columns. */
    bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    size_t step = (size_t)in->channels;
    /* Strides through the stored picture. */
    ptrdiff_t along = (ptrdiff_t)step, down = (ptrdiff_t)((size_t)in->width * step);
    const unsigned char *first = in->pixels;
    *out = (struct tn_image){swaps ? in->width : in->height, swaps ? in->height : in->width, in->channels, TN_PIXEL_U8,
                             pixels};
    if (from_bottom)
        first += (ptrdiff_t)(in->height - 1) * down, down = -down;
    if (from_right)
        first += (ptrdiff_t)(in->width - 1) * along, along = -along;
    unsigned char *to = pixels;
    for (int32_t y = 0; y < out->height; y++) {
        const unsigned char *from = first + (ptrdiff_t)y * (swaps ? along : down);
        for (int32_t x = 0; x < out->width; x++, to += step, from += swaps ? down : along)
            memcpy(to, from, step);
    }
}
