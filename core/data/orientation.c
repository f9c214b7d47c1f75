/* orientation.c: the EXIF orientation of a JPEG, and turning pictures by it.
 *
 * The number lies in a small TIFF inside of a marker: untrusted offsets, so every read is judged against the marker's
 * end. Whatever is odd counts as upright.
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

int32_t tn_orientation_of(const void *bytes, uint64_t byte_count)
{
    enum { START_OF_SCAN = 0xDA, END_OF_IMAGE = 0xD9, APP1 = 0xE1 };
    const unsigned char *data = bytes;
    uint64_t at = 2;
    if (byte_count < 4 || data[0] != 0xFF || data[1] != 0xD8)
        return 1;
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
