/* test_orientation.c: EXIF orientation of photos (JPEG, PNG, WebP), and JPEGs with too many scans. */
#include "codec_rig.h"
#include "data_golden.h"

/* ---- orientation ---- */

START_TEST(orientations_turn_as_pillow_does)
{
    static const struct {
        int32_t height, width;
        unsigned char pixels[6];
    } expected[] = {{2, 3, {0, 1, 2, 3, 4, 5}}, {2, 3, {2, 1, 0, 5, 4, 3}}, {2, 3, {5, 4, 3, 2, 1, 0}},
                    {2, 3, {3, 4, 5, 0, 1, 2}}, {3, 2, {0, 3, 1, 4, 2, 5}}, {3, 2, {3, 0, 4, 1, 5, 2}},
                    {3, 2, {5, 2, 4, 1, 3, 0}}, {3, 2, {2, 5, 1, 4, 0, 3}}};
    unsigned char stored[24], turned[24];
    for (int channels = 1; channels <= 4; channels++)
        for (int o = 1; o <= 8; o++) {
            struct tn_image in = {2, 3, channels, TN_PIXEL_U8, stored}, out;
            for (int i = 0; i < 6 * channels; i++)
                stored[i] = (unsigned char)(i / channels + 50 * (i % channels));
            tn_orientation_apply(&in, o, turned, &out);
            ck_assert_int_eq(out.height, expected[o - 1].height);
            ck_assert_int_eq(out.width, expected[o - 1].width);
            ck_assert_int_eq(tn_orientation_swaps(o), out.height == 3);
            for (int i = 0; i < 6 * channels; i++)
                ck_assert_int_eq(turned[i], expected[o - 1].pixels[i / channels] + 50 * (i % channels));
        }
}
END_TEST

/* A JPEG's beginning with an orientation in it; returns its length. */
static size_t make_exif(unsigned char *bytes, bool big_endian, unsigned orientation)
{
    static const unsigned char little[] = {0xFF, 0xD8, 0xFF, 0xE0, 0,    4, 'J', 'F', 0xFF, 0xE1, 0, 34,
                                           'E',  'x',  'i',  'f',  0,    0, 'I', 'I', '*',  0,    8, 0,
                                           0,    0,    1,    0,    0x12, 1, 3,   0,   1,    0,    0, 0,
                                           9,    0,    0,    0,    0,    0, 0,   0,   0xFF, 0xDA, 0, 2},
                               big[] = {0xFF, 0xD8, 0xFF, 0xE0, 0, 4,    'J', 'F', 0xFF, 0xE1, 0, 34,
                                        'E',  'x',  'i',  'f',  0, 0,    'M', 'M', 0,    '*',  0, 0,
                                        0,    8,    0,    1,    1, 0x12, 0,   3,   0,    0,    0, 1,
                                        0,    9,    0,    0,    0, 0,    0,   0,   0xFF, 0xDA, 0, 2};
    memcpy(bytes, big_endian ? big : little, sizeof little);
    bytes[big_endian ? 37 : 36] = (unsigned char)orientation;
    return sizeof little;
}

START_TEST(orientation_is_read_and_damage_is_upright)
{
    unsigned char bytes[64];
    struct tn_random random = tn_random_stream(17, 0);
    for (unsigned o = 0; o < 20; o++)
        for (int big = 0; big < 2; big++) {
            size_t count = make_exif(bytes, big, o);
            ck_assert_int_eq(tn_orientation_of(bytes, count), o >= 1 && o <= 8 ? (int)o : 1);
        }
    size_t count = make_exif(bytes, false, 6);
    for (size_t length = 0; length < 44; length++)
        ck_assert_int_eq(tn_orientation_of(bytes, length), 1);
    bytes[30] = 4; /* a LONG */
    ck_assert_int_eq(tn_orientation_of(bytes, count), 1);
    for (int round = 0; round < 20000; round++) {
        count = make_exif(bytes, round % 2, 6);
        size_t length = round % 4 ? count : (size_t)tn_random_below(&random, count);
        for (int i = 0; i < 3; i++)
            bytes[tn_random_below(&random, count)] = (unsigned char)tn_random_bits(&random);
        unsigned char *copy = malloc(length ? length : 1); /* ends where its memory ends */
        memcpy(copy, bytes, length);
        int32_t found = tn_orientation_of(copy, length);
        ck_assert(found >= 1 && found <= 8);
        free(copy);
    }
}
END_TEST

/* The TIFF of make_exif() in the chunk of a PNG (`png`) or WebP, behind another chunk; returns the length. */
static size_t make_chunks(unsigned char *bytes, bool png, bool prefixed, unsigned orientation)
{
    unsigned char exif[64];
    size_t at = png ? 8 : 12;
    const struct {
        const char *name;
        const void *content;
        size_t length;
    } chunks[] = {{png ? "IDAT" : "VP8X", "pixels1", 7},
                  {png ? "eXIf" : "EXIF", exif + (prefixed ? 12 : 18), prefixed ? 32 : 26},
                  {png ? "IEND" : "XMP ", "", 0}};
    (void)make_exif(exif, png, orientation);
    memcpy(bytes, png ? "\x89PNG\r\n\x1A\n" : "RIFF\0\0\0\0WEBP", at);
    for (size_t i = 0; i < TN_COUNT_OF(chunks); i++) {
        size_t length = chunks[i].length;
        memset(bytes + at, 0, 8 + length + 4);
        memcpy(bytes + at + (png ? 4 : 0), chunks[i].name, 4);
        bytes[at + (png ? 3 : 4)] = (unsigned char)length;
        memcpy(bytes + at + 8, chunks[i].content, length);
        at += 8 + length + (png ? 4 : length & 1);
    }
    return at;
}

START_TEST(chunks_of_png_and_webp_have_orientations)
{
    unsigned char bytes[160];
    struct tn_random random = tn_random_stream(18, 0);
    for (int kind = 0; kind < 4; kind++)
        for (unsigned o = 0; o < 10; o++) {
            size_t count = make_chunks(bytes, kind & 1, kind & 2, o);
            ck_assert_int_eq(tn_orientation_of(bytes, count), o >= 1 && o <= 8 ? (int)o : 1);
        }
    for (int round = 0; round < 40000; round++) {
        size_t count = make_chunks(bytes, round & 1, round & 2, 6);
        size_t length = round % 5 ? count : (size_t)tn_random_below(&random, count);
        for (int i = 0; i < round % 4; i++)
            bytes[tn_random_below(&random, count)] = (unsigned char)tn_random_bits(&random);
        unsigned char *copy = malloc(length ? length : 1); /* ends where its memory ends */
        memcpy(copy, bytes, length);
        int32_t found = tn_orientation_of(copy, length);
        ck_assert(found >= 1 && found <= 8);
        free(copy);
    }
}
END_TEST

static void *read_fixture(const char *name, uint64_t *count)
{
    char path[PATH_MAX];
    void *bytes = NULL;
    if (golden_file(name, path, sizeof path))
        ck_assert_int_eq(tn_file_read(path, 1u << 24, &bytes, count, NULL), TN_OK);
    return bytes;
}

/* exif_6: stored lying; turned only when asked for, and scaled decoding keeps to the sizes of the upright picture. */
START_TEST(a_photo_is_turned_when_asked_for)
{
    struct codecs codecs;
    struct tn_image stored, turned, size;
    uint64_t count = 0;
    void *bytes = read_fixture("decode/img/exif_6.jpg", &count);
    if (!bytes)
        return;
    open_codecs(&codecs);
    struct tn_decode_request request = {.size = sizeof request, .channels = 3};
    ck_assert_int_eq(tn_decoder_decode(codecs.decoder, bytes, count, &request, &stored, NULL), TN_OK);
    size_t all = (size_t)stored.height * (size_t)stored.width * 3;
    unsigned char *pixels = malloc(all);
    memcpy(pixels, stored.pixels, all);
    tn_decoder_orient(codecs.decoder, true);
    ck_assert_int_eq(tn_decoder_size(codecs.decoder, bytes, count, &size, NULL), TN_OK);
    ck_assert_int_eq(tn_decoder_decode(codecs.decoder, bytes, count, &request, &turned, NULL), TN_OK);
    ck_assert_int_eq(turned.height, stored.width);
    ck_assert_int_eq(turned.width, stored.height);
    ck_assert_int_eq(size.height, turned.height);
    ck_assert_int_eq(size.width, turned.width);
    const unsigned char *upright = turned.pixels;
    for (int y = 0; y < turned.height; y++)
        for (int x = 0; x < turned.width; x++)
            ck_assert_mem_eq(upright + (y * turned.width + x) * 3,
                             pixels + ((stored.height - 1 - x) * stored.width + y) * 3, 3);
    request.fast = 1;
    request.minimum_height = (turned.height + 1) / 2;
    request.minimum_width = (turned.width + 1) / 2;
    ck_assert_int_eq(tn_decoder_decode(codecs.decoder, bytes, count, &request, &turned, NULL), TN_OK);
    ck_assert_int_eq(turned.height, request.minimum_height);
    ck_assert_int_eq(turned.width, request.minimum_width);
    free(pixels);
    free(bytes);
    close_codecs(&codecs);
}
END_TEST

/* ---- scans ---- */

/* Where the next marker lies: 0xFF and a byte that is neither a stuffed 0 nor a restart. */
static size_t next_marker(const unsigned char *bytes, size_t count, size_t at)
{
    while (at + 1 < count && !(bytes[at] == 0xFF && bytes[at + 1] != 0 && (bytes[at + 1] & 0xF8) != 0xD0))
        at++;
    return at;
}

/* The first scan of a progressive JPEG again and again: a walk over the picture for a few bytes each. */
START_TEST(too_many_scans_are_refused)
{
    enum { COPIES = 150 };
    struct codecs codecs;
    struct tn_image image;
    uint64_t count = 0;
    unsigned char *bytes = read_fixture("decode/img/prog_444.jpg", &count);
    if (!bytes)
        return;
    open_codecs(&codecs);
    size_t begin = 2;
    while (begin + 3 < count && bytes[begin + 1] != 0xDA)
        begin += 2 + ((size_t)bytes[begin + 2] << 8 | bytes[begin + 3]);
    size_t end = next_marker(bytes, (size_t)count, begin + 2), scan = end - begin, length = end;
    ck_assert_uint_lt(end, count);
    unsigned char *many = malloc((size_t)count + COPIES * scan);
    memcpy(many, bytes, end);
    for (int copies = 1; copies <= COPIES; copies++) {
        const struct tn_decode_request request = {.channels = 3};
        memcpy(many + length, bytes + begin, scan);
        length += scan;
        memcpy(many + length, bytes + end, (size_t)count - end);
        tn_status status = decode(&codecs, many, length + (size_t)count - end, request, &image);
        if (copies <= 80)
            ck_assert_msg(status == TN_OK, "%s", codecs.error.text);
        if (copies < 100)
            continue;
        ck_assert_int_eq(status, TN_CORRUPT);
        ck_assert_msg(strstr(codecs.error.text, "more than 100 scans") != NULL, "%s", codecs.error.text);
    }
    free(many);
    free(bytes);
    close_codecs(&codecs);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("orientation");
    TCase *codec = tcase_create("codec");
    tcase_set_timeout(codec, 60);
    tcase_add_test(codec, orientations_turn_as_pillow_does);
    tcase_add_test(codec, orientation_is_read_and_damage_is_upright);
    tcase_add_test(codec, chunks_of_png_and_webp_have_orientations);
    tcase_add_test(codec, a_photo_is_turned_when_asked_for);
    tcase_add_test(codec, too_many_scans_are_refused);
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
