/* test_codec_formats.c: WebP, BMP and PPM. Files are bytes in this test: those of WebP were written by Pillow, and its
 * pixels are what is expected.
 */
#include "codec_rig.h"

/* 5 x 3 RGBA: red 50 x, green 80 y, blue 200 - 10 x y, alpha 17 (5 y + x). */
static const unsigned char lossless_webp[] = {
    0x52, 0x49, 0x46, 0x46, 0x54, 0x00, 0x00, 0x00, 0x57, 0x45, 0x42, 0x50, 0x56, 0x50, 0x38, 0x4c, 0x47, 0x00, 0x00,
    0x00, 0x2f, 0x04, 0x80, 0x00, 0x10, 0x77, 0x30, 0x50, 0x02, 0x81, 0x64, 0xa6, 0xfc, 0x19, 0x66, 0x22, 0xcc, 0x36,
    0xda, 0x7b, 0xfe, 0x50, 0x87, 0x70, 0x10, 0x83, 0x20, 0xc8, 0xb6, 0xb9, 0x42, 0xe1, 0xee, 0x8f, 0x30, 0x85, 0xd0,
    0x06, 0x00, 0x00, 0xfb, 0x6d, 0x36, 0x9b, 0x6d, 0x9c, 0x10, 0x42, 0x60, 0x2a, 0x92, 0x8d, 0xf7, 0x1e, 0x7e, 0x8d,
    0x2c, 0x4a, 0xc9, 0xa2, 0x92, 0x2c, 0x82, 0x45, 0xf4, 0x3f, 0xaa, 0x7d, 0x27, 0xee, 0x13, 0x00};
/* 13 x 9, lossy. */
static const unsigned char lossy_webp[] = {
    0x52, 0x49, 0x46, 0x46, 0x52, 0x00, 0x00, 0x00, 0x57, 0x45, 0x42, 0x50, 0x56, 0x50, 0x38, 0x20, 0x46, 0x00,
    0x00, 0x00, 0xb0, 0x01, 0x00, 0x9d, 0x01, 0x2a, 0x0d, 0x00, 0x09, 0x00, 0x01, 0x40, 0x26, 0x25, 0xb0, 0x02,
    0x74, 0x01, 0x0e, 0xb5, 0x71, 0xd4, 0x00, 0xfe, 0xfc, 0xcf, 0xe3, 0x84, 0x0d, 0x5b, 0x2b, 0x69, 0xb5, 0xaa,
    0x7f, 0x86, 0x9a, 0xbc, 0x56, 0x7c, 0x92, 0x15, 0xbc, 0x8f, 0xf0, 0xad, 0xf6, 0x56, 0x5f, 0x93, 0x5b, 0xf0,
    0x3f, 0x07, 0x3b, 0xff, 0xf8, 0x06, 0x57, 0x21, 0xbf, 0xfe, 0xbd, 0xfd, 0x7d, 0x3e, 0xed, 0xe0, 0x00, 0x00};
/* The beginning of one with two frames. */
static const unsigned char animated_webp[] = {0x52, 0x49, 0x46, 0x46, 0xe0, 0x00, 0x00, 0x00, 0x57, 0x45, 0x42, 0x50,
                                              0x56, 0x50, 0x38, 0x58, 0x0a, 0x00, 0x00, 0x00, 0x12, 0x00, 0x00, 0x00,
                                              0x04, 0x00, 0x00, 0x02, 0x00, 0x00, 0x41, 0x4e, 0x49, 0x4d, 0x06, 0x00,
                                              0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x41, 0x4e, 0x4d, 0x46,
                                              0x54, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00};

static const unsigned char *pixels_of(struct codecs *codecs, const void *bytes, size_t count, int32_t channels,
                                      int32_t height, int32_t width)
{
    struct tn_image image;
    ck_assert_msg(decode(codecs, bytes, count, (struct tn_decode_request){.channels = channels}, &image) == TN_OK, "%s",
                  codecs->error.text);
    ck_assert_int_eq(image.height, height);
    ck_assert_int_eq(image.width, width);
    ck_assert_int_eq(image.channels, channels);
    return image.pixels;
}

static void check_refused(struct codecs *codecs, const void *bytes, size_t count, const char *says)
{
    struct tn_image image;
    ck_assert_int_ne(decode(codecs, bytes, count, (struct tn_decode_request){.channels = 3}, &image), TN_OK);
    ck_assert_msg(strstr(codecs->error.text, says) != NULL, "`%s` is missing in: %s", says, codecs->error.text);
}

static int grey(int red, int green, int blue)
{
    return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

/* ---- WebP ---- */

START_TEST(webp_gives_the_peers_pixels)
{
    struct codecs codecs;
    open_codecs(&codecs);
    const unsigned char *rgba = pixels_of(&codecs, lossless_webp, sizeof lossless_webp, 4, 3, 5);
    for (int i = 0; i < 15; i++) {
        int x = i % 5, y = i / 5;
        const unsigned char expected[4] = {(unsigned char)(50 * x), (unsigned char)(80 * y),
                                           (unsigned char)(200 - 10 * x * y), (unsigned char)(17 * i)};
        ck_assert_mem_eq(rgba + 4 * i, expected, 4);
    }
    const unsigned char *rgb = pixels_of(&codecs, lossless_webp, sizeof lossless_webp, 3, 3, 5);
    ck_assert_int_eq(rgb[3 * 6], 50); /* alpha is dropped, not blended */
    ck_assert_int_eq(rgb[3 * 6 + 2], 190);
    const unsigned char *light = pixels_of(&codecs, lossless_webp, sizeof lossless_webp, 1, 3, 5);
    for (int i = 0; i < 15; i++)
        ck_assert_int_eq(light[i], grey(i % 5 * 50, i / 5 * 80, 200 - i % 5 * (i / 5) * 10));
    rgb = pixels_of(&codecs, lossy_webp, sizeof lossy_webp, 3, 9, 13);
    uint32_t digest = 0;
    for (int i = 0; i < 9 * 13 * 3; i++)
        digest = digest * 31 + rgb[i];
    ck_assert_uint_eq(digest, 24103590); /* of Pillow's pixels */
    close_codecs(&codecs);
}
END_TEST

START_TEST(odd_webps_are_refused)
{
    struct codecs codecs;
    struct tn_image image;
    open_codecs(&codecs);
    for (size_t count = 16; count < sizeof lossless_webp - 2; count++)
        check_refused(&codecs, lossless_webp, count, "WebP");
    for (size_t count = 16; count < sizeof lossy_webp - 4; count++)
        check_refused(&codecs, lossy_webp, count, "WebP");
    check_refused(&codecs, animated_webp, sizeof animated_webp, "animated");
    struct tn_decode_request request = {.channels = 3, .maximum_pixels = 14};
    ck_assert_int_eq(decode(&codecs, lossless_webp, sizeof lossless_webp, request, &image), TN_CORRUPT);
    request.maximum_pixels = 15;
    ck_assert_int_eq(decode(&codecs, lossless_webp, sizeof lossless_webp, request, &image), TN_OK);
    close_codecs(&codecs);
}
END_TEST

/* ---- BMP ---- */

static void put(unsigned char *at, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

/* A BMP of 3 x 2 (width x height), top-down when `height` is -2. Colour of pixel i, counted from the top left: red 10
 * i, green 20 i, blue 30 i; where there are 32 bits, 40 i is the fourth. Returns its length. */
static size_t make_bmp(unsigned char *bmp, int bits, int32_t height, uint32_t compression)
{
    size_t palette = bits == 8 ? 6 * 4 : 0, masks = compression == 3 ? 12 : compression == 6 ? 16 : 0;
    size_t begin = 54 + palette + masks, row = bits == 8 ? 4 : 12;
    memset(bmp, 0, begin + 2 * row);
    memcpy(bmp, "BM", 2);
    put(bmp + 2, (uint32_t)(begin + 2 * row), 4);
    put(bmp + 10, (uint32_t)begin, 4);
    put(bmp + 14, 40, 4);
    put(bmp + 18, 3, 4);
    put(bmp + 22, (uint32_t)height, 4);
    put(bmp + 26, 1, 2);
    put(bmp + 28, (uint32_t)bits, 2);
    put(bmp + 30, compression, 4);
    put(bmp + 46, bits == 8 ? 6 : 0, 4);
    if (masks) /* alpha first, then red, green, blue */
        for (int i = 0; i < (int)masks / 4; i++)
            put(bmp + 54 + 4 * i, i == 3 ? 0xFFu : 0xFF00u << 8 * i, 4);
    for (int i = 0; i < 6; i++) {
        unsigned char *at = bmp + begin + (height < 0 ? i / 3 : 1 - i / 3) * row;
        if (bits == 8) {
            put(bmp + 54 + 4 * i, (uint32_t)(30 * i | 20 * i << 8 | 10 * i << 16), 4);
            at[i % 3] = (unsigned char)i;
        } else if (masks) {
            put(at + i % 3 * 4, (uint32_t)(40 * i | 10 * i << 8 | 20 * i << 16) | (uint32_t)(30 * i) << 24, 4);
        } else {
            put(at + i % 3 * (bits / 8), (uint32_t)(30 * i | 20 * i << 8 | 10 * i << 16), bits / 8);
        }
    }
    return begin + 2 * row;
}

START_TEST(bmps_of_every_kind_are_read)
{
    static const struct {
        int bits;
        int32_t height;
        uint32_t compression;
    } cases[] = {{8, 2, 0}, {8, -2, 0}, {24, 2, 0}, {24, -2, 0}, {32, 2, 0}, {32, -2, 0}, {32, 2, 3}, {32, -2, 6}};
    unsigned char bmp[256];
    struct codecs codecs;
    open_codecs(&codecs);
    for (size_t k = 0; k < TN_COUNT_OF(cases); k++) {
        size_t count = make_bmp(bmp, cases[k].bits, cases[k].height, cases[k].compression);
        const unsigned char *rgba = pixels_of(&codecs, bmp, count, 4, 2, 3);
        for (int i = 0; i < 6; i++) {
            const unsigned char expected[4] = {(unsigned char)(10 * i), (unsigned char)(20 * i),
                                               (unsigned char)(30 * i),
                                               (unsigned char)(cases[k].compression == 6 ? 40 * i : 255)};
            ck_assert_mem_eq(rgba + 4 * i, expected, 4);
        }
        const unsigned char *rgb = pixels_of(&codecs, bmp, count, 3, 2, 3);
        ck_assert_int_eq(rgb[17], 150);
        const unsigned char *light = pixels_of(&codecs, bmp, count, 1, 2, 3);
        ck_assert_int_eq(light[5], grey(50, 100, 150));
    }
    close_codecs(&codecs);
}
END_TEST

START_TEST(odd_bmps_are_refused)
{
    static const struct {
        int at, bytes;
        uint32_t value;
        const char *says;
    } cases[] = {{28, 2, 4, "4 bits is not supported"},
                 {28, 2, 16, "16 bits is not supported"},
                 {30, 4, 1, "RLE8) is not supported"},
                 {30, 4, 3, "masks of 24 bits"},
                 {18, 4, 0, "a size of 2 x 0"},
                 {18, 4, 0x80000000u, "a size of"},
                 {22, 4, 0, "a size of 0 x 3"},
                 {22, 4, 0x80000000u, "a size of"},
                 {18, 4, 0x7FFFFFFF, "ends too early"},
                 {22, 4, 0x7FFFFFFF, "ends too early"},
                 {22, 4, 0x80000001u, "ends too early"},
                 {10, 4, 0xFFFFFFF0u, "ends too early"},
                 {10, 4, 20, "ends too early"},
                 {14, 4, 41, "BMP"},
                 {26, 2, 2, "BMP"}};
    unsigned char bmp[256];
    struct codecs codecs;
    open_codecs(&codecs);
    for (size_t k = 0; k < TN_COUNT_OF(cases); k++) {
        size_t count = make_bmp(bmp, 24, 2, 0);
        put(bmp + cases[k].at, cases[k].value, cases[k].bytes);
        check_refused(&codecs, bmp, count, cases[k].says);
    }
    size_t count = make_bmp(bmp, 8, 2, 0);
    for (size_t less = 2; less < count; less++)
        check_refused(&codecs, bmp, less, "BMP");
    put(bmp + 46, 5, 4); /* colours, and the last pixel has number 5 */
    check_refused(&codecs, bmp, count, "colour 5 of a palette of 5");
    put(bmp + 46, 257, 4);
    check_refused(&codecs, bmp, count, "palette of 257");
    make_bmp(bmp, 8, 2, 0);
    put(bmp + 46, 0, 4); /* 256, for which there is no room */
    check_refused(&codecs, bmp, count, "palette of 0 colours does not fit");
    count = make_bmp(bmp, 32, 2, 3);
    put(bmp + 54, 0x3FF00000u, 4);
    check_refused(&codecs, bmp, count, "mask 3ff00000");
    close_codecs(&codecs);
}
END_TEST

/* ---- PPM ---- */

START_TEST(ppms_of_every_kind_are_read)
{
    struct codecs codecs;
    open_codecs(&codecs);
    const unsigned char *rgb = pixels_of(&codecs, "P6 2 1 255\n\1\2\3\4\5\6", 17, 3, 1, 2);
    ck_assert_mem_eq(rgb, "\1\2\3\4\5\6", 6);
    rgb = pixels_of(&codecs, "P5\n# a comment\n1 2 # another\n255\n\7\10 and more", 45, 3, 2, 1);
    ck_assert_mem_eq(rgb, "\7\7\7\10\10\10", 6);
    rgb = pixels_of(&codecs, "P5 3 1 2\n\0\1\2", 12, 1, 1, 3);
    ck_assert_mem_eq(rgb, "\0\200\377", 3); /* 127.5 goes to the even number, as in Pillow */
    rgb = pixels_of(&codecs, "P5 3 1 2\n\0\1\7", 12, 1, 1, 3);
    ck_assert_mem_eq(rgb, "\0\200\377", 3);
    rgb = pixels_of(&codecs, "P6 1 1 65535\n\377\377\200\0\0\377", 19, 4, 1, 1);
    ck_assert_mem_eq(rgb, "\377\200\1\377", 4);
    close_codecs(&codecs);
}
END_TEST

START_TEST(odd_ppms_are_refused)
{
    static const struct {
        const char *bytes;
        const char *says;
    } cases[] = {{"P6 2 1 255\n12345", "ends too early"},
                 {"P6 2 1 255", "white space"},
                 {"P6 2 1 255x123456", "white space"},
                 {"P6 2 1", "a number from 1 to 65535"},
                 {"P6 0 1 255\n", "a number from 1 to"},
                 {"P6 2 -1 255\n", "a number from 1 to"},
                 {"P6 2 1 65536\n", "a number from 1 to 65535"},
                 {"P6 99999999999999999999 1 255\n", "a number from 1 to"},
                 {"P6 16777216 16777216 255\n", "ends too early"},
                 {"P3 2 1 255\n1 2 3 4 5 6", "PNM"},
                 {"P6 and other words", "PNM"}};
    struct codecs codecs;
    open_codecs(&codecs);
    for (size_t k = 0; k < TN_COUNT_OF(cases); k++)
        check_refused(&codecs, cases[k].bytes, strlen(cases[k].bytes), cases[k].says);
    close_codecs(&codecs);
}
END_TEST

START_TEST(limits_on_pixels_hold)
{
    unsigned char bmp[256];
    struct codecs codecs;
    struct tn_image image;
    open_codecs(&codecs);
    struct tn_decode_request request = {.channels = 3, .maximum_pixels = 5};
    size_t count = make_bmp(bmp, 24, 2, 0);
    ck_assert_int_eq(decode(&codecs, bmp, count, request, &image), TN_CORRUPT);
    ck_assert_int_eq(decode(&codecs, "P5 3 2 255\n123456", 17, request, &image), TN_CORRUPT);
    request.maximum_pixels = 6;
    ck_assert_int_eq(decode(&codecs, bmp, count, request, &image), TN_OK);
    ck_assert_int_eq(decode(&codecs, "P5 3 2 255\n123456", 17, request, &image), TN_OK);
    close_codecs(&codecs);
}
END_TEST

/* ---- damage ---- */

START_TEST(damage_never_crashes)
{
    unsigned char whole[512], damaged[512];
    struct codecs codecs;
    size_t count = 0;
    open_codecs(&codecs);
    struct tn_random random = tn_random_stream(41, (uint64_t)_i);
    switch (_i) {
    case 0:
        memcpy(whole, lossless_webp, count = sizeof lossless_webp);
        break;
    case 1:
        memcpy(whole, lossy_webp, count = sizeof lossy_webp);
        break;
    case 2:
        count = make_bmp(whole, 8, 2, 0);
        break;
    case 3:
        count = make_bmp(whole, 32, -2, 6);
        break;
    default:
        memcpy(whole, "P6 3 2 65535\n123456123456123456123456123456123456", count = 49);
    }
    for (int round = 0; round < 4000; round++) {
        size_t length = round % 3 == 0 ? (size_t)tn_random_below(&random, count) : count;
        memcpy(damaged, whole, count);
        for (uint64_t flips = tn_random_below(&random, 6); flips > 0; flips--) {
            size_t at = (size_t)tn_random_below(&random, round % 2 ? count : 40);
            damaged[at] = tn_random_below(&random, 2) ? (unsigned char)(damaged[at] ^ 1u << tn_random_below(&random, 8))
                                                      : (unsigned char)tn_random_bits(&random);
        }
        const struct tn_decode_request request = {.channels = (int32_t[]){1, 3, 4}[tn_random_below(&random, 3)],
                                                  .maximum_pixels = 4000000};
        struct tn_image image;
        (void)tn_decoder_size(codecs.decoder, damaged, length, &image, &codecs.error);
        (void)decode(&codecs, damaged, length, request, &image);
        if (round % 500 == 0)
            ck_assert_msg(decode(&codecs, whole, count, request, &image) == TN_OK, "%s", codecs.error.text);
    }
    close_codecs(&codecs);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("codec formats");
    TCase *codec = tcase_create("codec");
    tcase_set_timeout(codec, 60);
    tcase_add_test(codec, webp_gives_the_peers_pixels);
    tcase_add_test(codec, odd_webps_are_refused);
    tcase_add_test(codec, bmps_of_every_kind_are_read);
    tcase_add_test(codec, odd_bmps_are_refused);
    tcase_add_test(codec, ppms_of_every_kind_are_read);
    tcase_add_test(codec, odd_ppms_are_refused);
    tcase_add_test(codec, limits_on_pixels_hold);
    tcase_add_loop_test(codec, damage_never_crashes, 0, 5);
    suite_add_tcase(suite, codec);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(make_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
