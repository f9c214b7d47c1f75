/* test_codec.c: codecs beyond the golden files: scaled decoding, limits, writing, and random damage. */
#include "data/decoder.h"
#include "data_rig.h"

/* 5 x 3 RGBA, 8 bit. */
static const unsigned char small_png[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00,
    0x05, 0x00, 0x00, 0x00, 0x03, 0x08, 0x06, 0x00, 0x00, 0x00, 0x5b, 0x36, 0xc5, 0xf8, 0x00, 0x00, 0x00, 0x4a, 0x49,
    0x44, 0x41, 0x54, 0x78, 0xda, 0x01, 0x3f, 0x00, 0xc0, 0xff, 0x00, 0x00, 0x00, 0xc8, 0x00, 0x32, 0x01, 0xc8, 0x11,
    0x64, 0x02, 0xc8, 0x22, 0x96, 0x03, 0xc8, 0x33, 0xc8, 0x04, 0xc8, 0x44, 0x00, 0x00, 0x50, 0xc8, 0x55, 0x32, 0x51,
    0xbf, 0x66, 0x64, 0x52, 0xb6, 0x77, 0x96, 0x53, 0xad, 0x88, 0xc8, 0x54, 0xa4, 0x99, 0x00, 0x00, 0xa0, 0xc8, 0xaa,
    0x32, 0xa1, 0xb6, 0xbb, 0x64, 0xa2, 0xa4, 0xcc, 0x96, 0xa3, 0x92, 0xdd, 0xc8, 0xa4, 0x80, 0xee, 0xe2, 0xff, 0x1c,
    0x4e, 0x4a, 0x62, 0xae, 0xde, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

struct codecs {
    struct tn_registry *registry;
    struct tn_decoder *decoder;
    struct tn_instance *jpeg;
    void *bytes; /* a JPEG of 203 x 161, smooth */
    uint64_t count;
    struct tn_error error;
};

static void open_codecs(struct codecs *codecs)
{
    enum { HEIGHT = 203, WIDTH = 161 };
    struct tn_problems problems = {0};
    unsigned char *pixels = malloc(HEIGHT * WIDTH * 3);
    const struct tn_image image = {HEIGHT, WIDTH, 3, TN_PIXEL_U8, pixels};
    memset(codecs, 0, sizeof *codecs);
    for (int i = 0; i < HEIGHT * WIDTH * 3; i++)
        pixels[i] = (unsigned char)(i / 3 % WIDTH + i / 3 / WIDTH / 4 + i % 3 * 20);
    ck_assert_int_eq(tn_registry_open(NULL, &codecs->registry, NULL), TN_OK);
    ck_assert_int_eq(tn_decoder_open(codecs->registry, &codecs->decoder, NULL), TN_OK);
    ck_assert_int_eq(tn_instance_open(codecs->registry, TN_CODEC, "jpeg", NULL, NULL, &codecs->jpeg, &problems), TN_OK);
    const struct tn_codec *codec = (const struct tn_codec *)codecs->jpeg->type;
    ck_assert_int_eq(
        codec->encode(codecs->jpeg->self, tn_host_table(), &image, 95, &codecs->bytes, &codecs->count, &codecs->error),
        TN_OK);
    free(pixels);
}

static void close_codecs(struct codecs *codecs)
{
    tn_host_table()->release(codecs->bytes);
    tn_instance_close(&codecs->jpeg);
    tn_decoder_close(&codecs->decoder);
    tn_registry_close(&codecs->registry);
}

static tn_status decode(struct codecs *codecs, const void *bytes, uint64_t count, struct tn_decode_request request,
                        struct tn_image *image)
{
    request.size = sizeof request;
    codecs->error.text[0] = '\0';
    return tn_decoder_decode(codecs->decoder, bytes, count, &request, image, &codecs->error);
}

START_TEST(scaled_decoding_stays_above_the_minimum)
{
    static const struct {
        int32_t minimum_height, minimum_width, fast, height, width;
    } cases[] = {{0, 0, 1, 203, 161},    {203, 161, 1, 203, 161}, {102, 81, 1, 102, 81}, {103, 81, 1, 203, 161},
                 {102, 82, 1, 203, 161}, {51, 41, 1, 51, 41},     {26, 21, 1, 26, 21},   {1, 1, 1, 26, 21},
                 {1, 1, 0, 203, 161},    {5000, 1, 1, 203, 161}};
    struct codecs codecs;
    struct tn_image image;
    open_codecs(&codecs);
    for (size_t i = 0; i < TN_COUNT_OF(cases); i++) {
        const struct tn_decode_request request = {.channels = 3,
                                                  .fast = cases[i].fast,
                                                  .minimum_height = cases[i].minimum_height,
                                                  .minimum_width = cases[i].minimum_width};
        ck_assert_int_eq(decode(&codecs, codecs.bytes, codecs.count, request, &image), TN_OK);
        ck_assert_int_eq(image.height, cases[i].height);
        ck_assert_int_eq(image.width, cases[i].width);
    }
    close_codecs(&codecs);
}
END_TEST

START_TEST(what_is_written_reads_back)
{
    struct codecs codecs;
    struct tn_image image;
    open_codecs(&codecs);
    ck_assert_int_eq(decode(&codecs, codecs.bytes, codecs.count, (struct tn_decode_request){.channels = 3}, &image),
                     TN_OK);
    const unsigned char *pixels = image.pixels;
    for (int y = 0; y < 203; y += 20)
        for (int x = 0; x < 161; x += 20)
            ck_assert_int_le(abs((int)pixels[(y * 161 + x) * 3] - (x + y / 4) % 256), 12);
    struct tn_image wrong = {10, 10, 4, TN_PIXEL_U8, image.pixels};
    void *bytes = NULL;
    uint64_t count;
    ck_assert_int_eq(((const struct tn_codec *)codecs.jpeg->type)
                         ->encode(codecs.jpeg->self, tn_host_table(), &wrong, 90, &bytes, &count, &codecs.error),
                     TN_UNSUPPORTED);
    close_codecs(&codecs);
}
END_TEST

START_TEST(sizes_are_refused_before_memory_is_taken)
{
    struct codecs codecs;
    struct tn_image image;
    open_codecs(&codecs);
    struct tn_decode_request request = {.channels = 3, .maximum_pixels = 203 * 161};
    ck_assert_int_eq(decode(&codecs, codecs.bytes, codecs.count, request, &image), TN_OK);
    request.maximum_pixels--;
    ck_assert_int_eq(decode(&codecs, codecs.bytes, codecs.count, request, &image), TN_CORRUPT);
    ck_assert_ptr_nonnull(strstr(codecs.error.text, "203 x 161"));
    request.maximum_pixels = 14;
    ck_assert_int_eq(decode(&codecs, small_png, sizeof small_png, request, &image), TN_CORRUPT);
    request.maximum_pixels = 15;
    ck_assert_int_eq(decode(&codecs, small_png, sizeof small_png, request, &image), TN_OK);
    /* 65,000 x 65,000 in 50 kB, and no limit at all: so few bytes cannot hold that */
    unsigned char *bomb = malloc((size_t)codecs.count);
    memcpy(bomb, codecs.bytes, (size_t)codecs.count);
    for (size_t i = 0; i + 9 < codecs.count; i++)
        if (bomb[i] == 0xFF && bomb[i + 1] == 0xC0) {
            bomb[i + 5] = bomb[i + 7] = 0xFD, bomb[i + 6] = bomb[i + 8] = 0xE8;
            break;
        }
    request.maximum_pixels = 0;
    uint64_t memory = tn_memory_resident();
    ck_assert_int_eq(decode(&codecs, bomb, codecs.count, request, &image), TN_CORRUPT);
    ck_assert_uint_lt(tn_memory_resident(), memory + (16u << 20));
    free(bomb);
    close_codecs(&codecs);
}
END_TEST

START_TEST(channels_are_as_asked_for)
{
    struct codecs codecs;
    struct tn_image image;
    open_codecs(&codecs);
    unsigned char rgba[5 * 3 * 4];
    ck_assert_msg(decode(&codecs, small_png, sizeof small_png, (struct tn_decode_request){.channels = 4}, &image) ==
                      TN_OK,
                  "%s", codecs.error.text);
    ck_assert_int_eq(image.height, 3);
    ck_assert_int_eq(image.width, 5);
    memcpy(rgba, image.pixels, sizeof rgba);
    for (int i = 0; i < 15; i++)
        ck_assert_int_eq(rgba[4 * i + 3], 17 * i); /* alpha is kept */
    ck_assert_int_eq(decode(&codecs, small_png, sizeof small_png, (struct tn_decode_request){.channels = 3}, &image),
                     TN_OK);
    for (int i = 0; i < 45; i++)
        ck_assert_int_eq(((unsigned char *)image.pixels)[i], rgba[i / 3 * 4 + i % 3]);
    ck_assert_int_eq(decode(&codecs, small_png, sizeof small_png, (struct tn_decode_request){.channels = 1}, &image),
                     TN_OK);
    for (int i = 0; i < 15; i++)
        ck_assert_int_eq(((unsigned char *)image.pixels)[i],
                         (rgba[4 * i] * 19595 + rgba[4 * i + 1] * 38470 + rgba[4 * i + 2] * 7471 + 0x8000) >> 16);
    close_codecs(&codecs);
}
END_TEST

START_TEST(a_missing_end_is_noticed)
{
    struct codecs codecs;
    struct tn_image image;
    const struct tn_decode_request request = {.channels = 3};
    open_codecs(&codecs);
    ck_assert_int_eq(decode(&codecs, small_png, sizeof small_png - 12, request, &image), TN_CORRUPT);
    ck_assert_int_eq(decode(&codecs, codecs.bytes, codecs.count - 2, request, &image), TN_CORRUPT);
    ck_assert_int_eq(decode(&codecs, codecs.bytes, codecs.count - 40, request, &image), TN_CORRUPT);
    ck_assert_ptr_nonnull(strstr(codecs.error.text, "end"));
    close_codecs(&codecs);
}
END_TEST

START_TEST(foreign_formats_are_named)
{
    static const struct {
        const char *bytes;
        size_t count;
        const char *says;
    } cases[] = {{"GIF89a..........", 16, "GIF"},
                 {"RIFF....WEBPVP8 ", 16, "WebP"},
                 {"<!DOCTYPE html>", 15, "web page"},
                 {"hello, world", 12, "text"},
                 {"", 0, "empty"},
                 {"\x00\x01\x02\x03\x04", 5, "has a content"},
                 {"II*\0........", 12, "TIFF"},
                 {"BM..............", 16, "BMP"}};
    struct codecs codecs;
    struct tn_image image;
    open_codecs(&codecs);
    for (size_t i = 0; i < TN_COUNT_OF(cases); i++) {
        ck_assert_int_ne(
            decode(&codecs, cases[i].bytes, cases[i].count, (struct tn_decode_request){.channels = 3}, &image), TN_OK);
        ck_assert_msg(strstr(codecs.error.text, cases[i].says), "%s", codecs.error.text);
    }
    close_codecs(&codecs);
}
END_TEST

/* Cuts and flipped bits never crash, and the decoder reads a whole picture right after each. */
START_TEST(damage_never_crashes)
{
    struct codecs codecs;
    struct tn_image image;
    open_codecs(&codecs);
    struct tn_random random = tn_random_stream(99, (uint64_t)_i);
    const unsigned char *whole = _i ? small_png : codecs.bytes;
    size_t count = _i ? sizeof small_png : (size_t)codecs.count;
    unsigned char *damaged = malloc(count);
    for (int round = 0; round < 1500; round++) {
        size_t length = count;
        memcpy(damaged, whole, count);
        if (round % 3 == 0)
            length = (size_t)tn_random_below(&random, count);
        /* often in the headers, where it matters most */
        uint64_t reach = round % 2 ? 64 + tn_random_below(&random, 600) : count;
        for (uint64_t flips = tn_random_below(&random, 6); flips > 0; flips--)
            damaged[tn_random_below(&random, reach < count ? reach : count)] = (unsigned char)tn_random_bits(&random);
        const struct tn_decode_request request = {.channels = (int32_t[]){1, 3, 4}[tn_random_below(&random, 3)],
                                                  .fast = (int32_t)tn_random_below(&random, 2),
                                                  .minimum_height = (int32_t)tn_random_below(&random, 60),
                                                  .minimum_width = (int32_t)tn_random_below(&random, 60),
                                                  .maximum_pixels = 4000000};
        struct tn_image size;
        (void)tn_decoder_size(codecs.decoder, damaged, length, &size, &codecs.error);
        if (decode(&codecs, damaged, length, request, &image) != TN_OK)
            ck_assert(codecs.error.text[0] != '\0');
        if (round % 100 == 0)
            ck_assert_msg(decode(&codecs, whole, count, request, &image) == TN_OK, "%s", codecs.error.text);
    }
    free(damaged);
    close_codecs(&codecs);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("codec");
    TCase *codec = tcase_create("codec");
    tcase_set_timeout(codec, 60);
    tcase_add_test(codec, scaled_decoding_stays_above_the_minimum);
    tcase_add_test(codec, what_is_written_reads_back);
    tcase_add_test(codec, sizes_are_refused_before_memory_is_taken);
    tcase_add_test(codec, channels_are_as_asked_for);
    tcase_add_test(codec, a_missing_end_is_noticed);
    tcase_add_test(codec, foreign_formats_are_named);
    tcase_add_loop_test(codec, damage_never_crashes, 0, 2);
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
