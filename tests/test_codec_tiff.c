/* test_codec_tiff.c: TIFFs, made here byte by byte: kinds of colours, strips, tiles and planes, either byte order, and
 * what is refused.
 */
#include "codec_rig.h"
#include "tiff_pictures.h"

enum { HEIGHT = 5, WIDTH = 7, ROOM = 4096 };

/* Tags that the tests set; 0 = leave the tag out. */
struct kind {
    bool big_endian, tiled, separate;
    uint32_t bits, samples, photometric, compression, rows_per_strip, orientation, format;
};

struct file {
    unsigned char bytes[ROOM];
    size_t count, entry;
    bool big_endian;
};

static void put(struct file *file, size_t at, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        file->bytes[at + (size_t)i] = (unsigned char)(value >> 8 * (file->big_endian ? bytes - 1 - i : i));
}

static void put_entry(struct file *file, uint32_t tag, uint32_t type, uint32_t count, uint32_t value)
{
    put(file, file->entry, tag, 2);
    put(file, file->entry + 2, type, 2);
    put(file, file->entry + 4, count, 4);
    put(file, file->entry + 8, value, type == 3 && count == 1 ? 2 : 4);
    file->entry += 12;
}

/* Sample `s` of pixel (y, x). */
static unsigned value_of(const struct kind *kind, int y, int x, int s)
{
    return (unsigned)(y * 37 + x * 11 + s * 50) % (kind->bits == 16 ? 65536 : 1u << kind->bits);
}

static size_t put_samples(struct file *file, size_t at, const struct kind *kind, int top, int left, int rows,
                          int columns, int plane)
{
    int first = kind->separate ? plane : 0, last = kind->separate ? plane + 1 : (int)kind->samples;
    for (int y = top; y < top + rows; y++) {
        size_t bit = 0;
        for (int x = left; x < left + columns; x++)
            for (int s = first; s < last; s++, bit += kind->bits) {
                unsigned value = y < HEIGHT && x < WIDTH ? value_of(kind, y, x, s) : 0;
                if (kind->bits >= 8)
                    put(file, at + bit / 8, kind->bits == 16 ? value * 257 : value, (int)kind->bits / 8);
                else
                    file->bytes[at + bit / 8] |= (unsigned char)(value << (8 - kind->bits - bit % 8));
            }
        at += (bit + 7) / 8;
    }
    return at;
}

/* Header, one directory of 12 entries, three arrays, and the pixels. */
static void make(struct file *file, struct kind kind)
{
    enum { DIRECTORY = 8, ENTRIES = 14, ARRAYS = DIRECTORY + 2 + 12 * ENTRIES + 4, PALETTE = ARRAYS + 400 };
    int height = kind.tiled ? 16 : kind.rows_per_strip ? (int)kind.rows_per_strip : HEIGHT;
    int segments = 0, planes = kind.separate ? (int)kind.samples : 1;
    size_t offsets = ARRAYS, lengths = ARRAYS + 160, bits = ARRAYS + 320;
    memset(file, 0, sizeof *file);
    file->big_endian = kind.big_endian;
    memcpy(file->bytes, kind.big_endian ? "MM" : "II", 2);
    put(file, 2, 42, 2);
    put(file, 4, DIRECTORY, 4);
    file->count = kind.photometric == 3 ? PALETTE + 6 * 256 : PALETTE;
    for (int plane = 0; plane < planes; plane++)
        for (int top = 0; top < HEIGHT; top += height, segments++) {
            int rows = kind.tiled ? 16 : HEIGHT - top < height ? HEIGHT - top : height;
            size_t end = put_samples(file, file->count, &kind, top, 0, rows, kind.tiled ? 16 : WIDTH, plane);
            put(file, offsets + 4 * (size_t)segments, (uint32_t)file->count, 4);
            put(file, lengths + 4 * (size_t)segments, (uint32_t)(end - file->count), 4);
            file->count = end;
        }
    for (size_t s = 0; s < kind.samples; s++)
        put(file, bits + 2 * s, kind.bits, 2);
    for (uint32_t i = 0; kind.photometric == 3 && i < 3 * 256; i++)
        put(file, PALETTE + 2 * (size_t)i, (i % 256 + 60 * (i / 256)) % 256 * 256 + 7, 2);
    file->entry = DIRECTORY + 2;
    put_entry(file, 256, 3, 1, WIDTH);
    put_entry(file, 257, 3, 1, HEIGHT);
    put_entry(file, 258, 3, kind.samples, kind.samples > 2 ? (uint32_t)bits : kind.bits);
    if (kind.samples == 2)
        put(file, file->entry - 4, kind.bits, 2), put(file, file->entry - 2, kind.bits, 2);
    put_entry(file, 259, 3, 1, kind.compression ? kind.compression : 1);
    put_entry(file, 262, 3, 1, kind.photometric);
    bool one = segments == 1;
    uint32_t offset = 0, length = 0;
    for (int i = 0; i < 4; i++) {
        offset |= (uint32_t)file->bytes[offsets + (size_t)i] << 8 * (kind.big_endian ? 3 - i : i);
        length |= (uint32_t)file->bytes[lengths + (size_t)i] << 8 * (kind.big_endian ? 3 - i : i);
    }
    if (!kind.tiled)
        put_entry(file, 273, 4, (uint32_t)segments, one ? offset : (uint32_t)offsets);
    if (kind.orientation)
        put_entry(file, 274, 3, 1, kind.orientation);
    put_entry(file, 277, 3, 1, kind.samples);
    if (!kind.tiled) {
        put_entry(file, 278, 3, 1, (uint32_t)height);
        put_entry(file, 279, 4, (uint32_t)segments, one ? length : (uint32_t)lengths);
    }
    put_entry(file, 284, 3, 1, kind.separate ? 2 : 1);
    if (kind.photometric == 3)
        put_entry(file, 320, 3, 3 * 256, PALETTE);
    if (kind.tiled) {
        put_entry(file, 322, 3, 1, 16);
        put_entry(file, 323, 3, 1, 16);
        put_entry(file, 324, 4, (uint32_t)segments, one ? offset : (uint32_t)offsets);
        put_entry(file, 325, 4, (uint32_t)segments, one ? length : (uint32_t)lengths);
    }
    if (kind.format)
        put_entry(file, 339, 3, 1, kind.format);
    put(file, DIRECTORY, (uint32_t)((file->entry - DIRECTORY - 2) / 12), 2);
}

/* What a pixel has to be, as red, green, blue, alpha. */
static void expect_pixel(const struct kind *kind, int y, int x, unsigned char rgba[4])
{
    unsigned v[5] = {0}, most = kind->bits == 16 ? 65535 : (1u << kind->bits) - 1;
    for (int s = 0; s < (int)kind->samples; s++)
        v[s] = kind->bits == 16 ? value_of(kind, y, x, s) * 257 >> 8 & 255 : value_of(kind, y, x, s);
    rgba[3] = 255;
    for (unsigned c = 0; c < 3; c++)
        switch (kind->photometric) {
        case 0:
        case 1:
            v[0] = c == 0 && kind->bits < 8 ? v[0] * 255 / most : v[0];
            rgba[c] = (unsigned char)(kind->photometric == 0 ? 255 - v[0] : v[0]);
            if (kind->samples == 2)
                rgba[3] = (unsigned char)v[1];
            break;
        case 3:
            rgba[c] = (unsigned char)((v[0] + 60 * c) % 256);
            break;
        default:
            rgba[c] = (unsigned char)v[c];
            if (kind->samples == 4)
                rgba[3] = (unsigned char)v[3];
        }
}

static const struct kind kinds[] = {
    {.bits = 8, .samples = 1, .photometric = 1},
    {.bits = 8, .samples = 1, .photometric = 0, .big_endian = true},
    {.bits = 8, .samples = 3, .photometric = 2},
    {.bits = 8, .samples = 3, .photometric = 2, .rows_per_strip = 2, .big_endian = true},
    {.bits = 8, .samples = 3, .photometric = 2, .rows_per_strip = 2, .separate = true},
    {.bits = 8, .samples = 4, .photometric = 2},
    {.bits = 8, .samples = 2, .photometric = 1},
    {.bits = 8, .samples = 1, .photometric = 3},
    {.bits = 4, .samples = 1, .photometric = 1},
    {.bits = 2, .samples = 1, .photometric = 1},
    {.bits = 1, .samples = 1, .photometric = 0},
    {.bits = 16, .samples = 1, .photometric = 1},
    {.bits = 16, .samples = 3, .photometric = 2, .big_endian = true},
    {.bits = 16, .samples = 3, .photometric = 2, .separate = true},
    {.bits = 8, .samples = 3, .photometric = 2, .tiled = true},
    {.bits = 16, .samples = 1, .photometric = 1, .tiled = true, .big_endian = true},
    {.bits = 8, .samples = 3, .photometric = 2, .orientation = 6},
};

START_TEST(tiffs_of_every_kind_are_read)
{
    const struct kind *kind = &kinds[_i];
    struct codecs codecs;
    struct tn_image image, size;
    struct file file;
    make(&file, *kind);
    open_codecs(&codecs);
    ck_assert_str_eq(tn_decoder_codec(codecs.decoder, file.bytes, file.count), "tiff");
    ck_assert_int_eq(tn_decoder_size(codecs.decoder, file.bytes, file.count, &size, &codecs.error), TN_OK);
    ck_assert_int_eq(size.height, HEIGHT);
    ck_assert_int_eq(size.width, WIDTH);
    for (int channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
        ck_assert_msg(
            decode(&codecs, file.bytes, file.count, (struct tn_decode_request){.channels = channels}, &image) == TN_OK,
            "%s", codecs.error.text);
        ck_assert_int_eq(image.height, HEIGHT);
        ck_assert_int_eq(image.width, WIDTH);
        for (int i = 0; i < HEIGHT * WIDTH; i++) {
            const unsigned char *pixel = (const unsigned char *)image.pixels + i * channels;
            unsigned char rgba[4];
            expect_pixel(kind, i / WIDTH, i % WIDTH, rgba);
            if (channels == 1)
                rgba[0] = (unsigned char)((rgba[0] * 19595 + rgba[1] * 38470 + rgba[2] * 7471 + 0x8000) >> 16);
            ck_assert_mem_eq(pixel, rgba, (size_t)channels);
        }
    }
    close_codecs(&codecs);
}
END_TEST

START_TEST(a_tiff_is_turned_when_asked_for)
{
    const struct kind kind = {.bits = 8, .samples = 3, .photometric = 2, .orientation = 6};
    struct codecs codecs;
    struct tn_image image;
    struct file file;
    unsigned char rgba[4];
    make(&file, kind);
    open_codecs(&codecs);
    tn_decoder_orient(codecs.decoder, true);
    ck_assert_int_eq(tn_decoder_size(codecs.decoder, file.bytes, file.count, &image, NULL), TN_OK);
    ck_assert_int_eq(image.height, WIDTH);
    ck_assert_int_eq(decode(&codecs, file.bytes, file.count, (struct tn_decode_request){.channels = 3}, &image), TN_OK);
    ck_assert_int_eq(image.height, WIDTH);
    expect_pixel(&kind, HEIGHT - 1, 0, rgba); /* 6: the first column stands at the top, its foot on the left */
    ck_assert_mem_eq(image.pixels, rgba, 3);
    close_codecs(&codecs);
}
END_TEST

static void check_refused(struct codecs *codecs, struct kind kind, tn_status status, const char *says)
{
    struct tn_image image;
    struct file file;
    make(&file, kind);
    ck_assert_int_eq(decode(codecs, file.bytes, file.count, (struct tn_decode_request){.channels = 3}, &image), status);
    ck_assert_msg(strstr(codecs->error.text, says) != NULL, "`%s` is missing in: %s", says, codecs->error.text);
}

/* Sets the value of a tag in the directory of a little-endian file. */
static void set_tag(struct file *file, uint32_t tag, uint32_t value)
{
    for (size_t at = 10; at < file->entry; at += 12)
        if ((uint32_t)(file->bytes[at] | file->bytes[at + 1] << 8) == tag) {
            put(file, at + 2, 4, 2);
            put(file, at + 8, value, 4);
            return;
        }
    ck_abort_msg("no such tag");
}

START_TEST(odd_tiffs_are_refused)
{
    struct codecs codecs;
    struct tn_image image;
    struct file file;
    const struct kind good = {.bits = 8, .samples = 3, .photometric = 2, .rows_per_strip = 2};
    struct tn_decode_request request = {.channels = 3, .maximum_pixels = HEIGHT * WIDTH};
    open_codecs(&codecs);
    check_refused(&codecs, (struct kind){.bits = 8, .samples = 3, .photometric = 8}, TN_UNSUPPORTED, "kind 8");
    check_refused(&codecs, (struct kind){.bits = 8, .samples = 3, .photometric = 6}, TN_UNSUPPORTED, "kind 6");
    check_refused(&codecs, (struct kind){.bits = 16, .samples = 1, .photometric = 1, .format = 3}, TN_UNSUPPORTED,
                  "no whole numbers");
    check_refused(&codecs, (struct kind){.bits = 4, .samples = 3, .photometric = 2}, TN_UNSUPPORTED, "4 bits");
    check_refused(&codecs, (struct kind){.bits = 8, .samples = 2, .photometric = 2}, TN_UNSUPPORTED, "2 samples");
    check_refused(&codecs, (struct kind){.bits = 8, .samples = 1, .photometric = 1, .compression = 34676},
                  TN_UNSUPPORTED, "compression 34676");
    check_refused(&codecs, (struct kind){.bits = 8, .samples = 1, .photometric = 1, .compression = 5}, TN_CORRUPT,
                  "damaged TIFF");
    make(&file, good);
    ck_assert_int_eq(decode(&codecs, file.bytes, file.count, request, &image), TN_OK);
    for (size_t less = 8; less < file.count; less += less < 200 ? 1 : 5)
        ck_assert_int_ne(decode(&codecs, file.bytes, less, request, &image), TN_OK);
    request.maximum_pixels--;
    ck_assert_int_eq(decode(&codecs, file.bytes, file.count, request, &image), TN_CORRUPT);
    ck_assert_msg(strstr(codecs.error.text, "limit") != NULL, "%s", codecs.error.text);
    request.maximum_pixels = 178956970;
    static const uint32_t tags[][2] = {{256, 0x7FFFFFFF}, {257, 0x7FFFFFFF}, {256, 0xFFFFFFFF},
                                       {257, 0},          {257, 20000000},   {256, 20000000},
                                       {278, 0},          {273, 0xFFFFFFF0}, {279, 0xFFFFFFF0}};
    for (size_t i = 0; i < TN_COUNT_OF(tags); i++) {
        make(&file, good);
        set_tag(&file, tags[i][0], tags[i][1]);
        ck_assert_int_ne(decode(&codecs, file.bytes, file.count, request, &image), TN_OK);
    }
    /* Tiles of 4 GiB around a picture of 35 pixels. */
    make(&file, (struct kind){.bits = 8, .samples = 1, .photometric = 1, .tiled = true});
    set_tag(&file, 322, 65536);
    set_tag(&file, 323, 65536);
    ck_assert_int_eq(decode(&codecs, file.bytes, file.count, request, &image), TN_CORRUPT);
    close_codecs(&codecs);
}
END_TEST

START_TEST(compressed_ones_are_those_of_the_peers)
{
    struct codecs codecs;
    struct tn_image image;
    open_codecs(&codecs);
    for (size_t i = 0; i < TN_COUNT_OF(compressed); i++) {
        uint32_t digest = 0;
        ck_assert_msg(decode(&codecs, compressed[i].bytes, compressed[i].count,
                             (struct tn_decode_request){.channels = 3}, &image) == TN_OK,
                      "%s", codecs.error.text);
        for (int k = 0; k < image.height * image.width * 3; k++)
            digest = digest * 31 + ((const unsigned char *)image.pixels)[k];
        ck_assert_msg(digest == compressed[i].digest, "picture %zu: %u", i, (unsigned)digest);
    }
    /* A JPEG in a TIFF that ends in its data is damaged, not half grey. */
    unsigned char cut[4096];
    const struct compressed *jpeg = &compressed[TN_COUNT_OF(compressed) - 1];
    ck_assert_uint_le(jpeg->count, sizeof cut);
    memcpy(cut, jpeg->bytes, jpeg->count);
    memset(cut + jpeg->data_at + jpeg->data_bytes / 2, 0, jpeg->data_bytes / 2);
    ck_assert_int_eq(decode(&codecs, cut, jpeg->count, (struct tn_decode_request){.channels = 3}, &image), TN_CORRUPT);
    close_codecs(&codecs);
}
END_TEST

START_TEST(damage_never_crashes)
{
    struct codecs codecs;
    struct tn_random random = tn_random_stream(23, (uint64_t)_i);
    struct file file;
    unsigned char whole[ROOM], damaged[ROOM];
    size_t count;
    open_codecs(&codecs);
    if ((size_t)_i < TN_COUNT_OF(kinds)) {
        make(&file, kinds[_i]);
        memcpy(whole, file.bytes, count = file.count);
    } else {
        const struct compressed *one = &compressed[(size_t)_i - TN_COUNT_OF(kinds)];
        memcpy(whole, one->bytes, count = one->count);
    }
    for (int round = 0; round < 1500; round++) {
        size_t length = round % 5 == 0 ? (size_t)tn_random_below(&random, count) : count;
        struct tn_image image;
        memcpy(damaged, whole, count);
        for (uint64_t flips = 1 + tn_random_below(&random, 6); flips > 0; flips--) {
            size_t at = (size_t)tn_random_below(&random, round % 2 ? count : 190);
            damaged[at] = tn_random_below(&random, 2) ? (unsigned char)(damaged[at] ^ 1u << tn_random_below(&random, 8))
                                                      : (unsigned char)tn_random_bits(&random);
        }
        const struct tn_decode_request request = {.channels = (int32_t[]){1, 3, 4}[tn_random_below(&random, 3)],
                                                  .maximum_pixels = 4000000};
        (void)tn_decoder_size(codecs.decoder, damaged, length, &image, &codecs.error);
        (void)decode(&codecs, damaged, length, request, &image);
    }
    close_codecs(&codecs);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("codec tiff");
    TCase *codec = tcase_create("codec");
    tcase_set_timeout(codec, 60);
    tcase_add_loop_test(codec, tiffs_of_every_kind_are_read, 0, (int)TN_COUNT_OF(kinds));
    tcase_add_test(codec, a_tiff_is_turned_when_asked_for);
    tcase_add_test(codec, odd_tiffs_are_refused);
    tcase_add_test(codec, compressed_ones_are_those_of_the_peers);
    tcase_add_loop_test(codec, damage_never_crashes, 0, (int)(TN_COUNT_OF(kinds) + TN_COUNT_OF(compressed)));
    suite_add_tcase(suite, codec);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
