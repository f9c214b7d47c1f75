/* test_callbacks_samples.c: which pictures sample_images puts on its sheet, and in what order; batches are fed by hand.
 */
#include <png.h>

#include "../callbacks/font.h"
#include "callback_rig.h"

/* Four pictures of one pixel each; the third stands in for one that could not be read. */
static const unsigned char pixels[4][3] = {{10, 0, 0}, {20, 0, 0}, {30, 0, 0}, {40, 0, 0}};
static const float weights[] = {1, 0.5F, 0, 1}, losses[] = {3, 2, 9, 1}, targets[] = {0, 1, 1, 1};
static const float predictions[][2] = {{0.6F, 0.4F}, {0.7F, 0.3F}, {1, 0}, {0.9F, 0.1F}};
static const uint64_t numbers[] = {0, 1, 2, 3};
static const char *const names[] = {"cat", "dog \xc3\xa4 with a name that is longer than what a picture has room for"};

/* Red of the pictures of the sheet that two of them make. */
static void reds(const char *keys, int *first, int *second)
{
    char folder[] = "/tmp/tenon-samples-XXXXXX", path[128];
    struct tn_seen_batch seen = {.size = sizeof seen,
                                 .height = 1,
                                 .width = 1,
                                 .channels = 3,
                                 .pixel_type = TN_PIXEL_U8,
                                 .class_mode = TN_CLASS_SPARSE,
                                 .prediction_count = 2,
                                 .target_count = 1,
                                 .class_count = 2,
                                 .class_names = names};
    struct tn_error error = {.status = TN_OK};
    png_image image = {.version = PNG_IMAGE_VERSION};
    struct made made;
    struct fake fake;
    const struct tn_callback *type;
    png_bytep sheet;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(make(&made, keys), TN_OK);
    type = (const struct tn_callback *)made.instance->type;
    fake_begin(&fake, folder);
    fake.run.seen = &seen;
    ck_assert_int_eq(type->on(made.instance->self, TN_RUN_BEGIN, &fake.run, &error), TN_OK);
    ck_assert_int_eq(type->on(made.instance->self, TN_VALIDATION_BEGIN, &fake.run, &error), TN_OK);
    for (int i = 3; i >= 0; i--) { /* a batch each */
        seen.count = 1;
        seen.images = pixels[i];
        seen.targets = &targets[i];
        seen.predictions = predictions[i];
        seen.losses = &losses[i];
        seen.weights = &weights[i];
        seen.samples = &numbers[i];
        ck_assert_int_eq(type->on(made.instance->self, TN_VALIDATION_BATCH_END, &fake.run, &error), TN_OK);
    }
    ck_assert_int_eq(type->on(made.instance->self, TN_VALIDATION_END, &fake.run, &error), TN_OK);
    ck_assert_uint_eq(fake.said_count, 0);
    (void)snprintf(path, sizeof path, "%s/samples/epoch_001.png", folder);
    ck_assert_msg(png_image_begin_read_from_file(&image, path), "%s", image.message);
    image.format = PNG_FORMAT_RGB;
    sheet = malloc(PNG_IMAGE_SIZE(image));
    ck_assert_ptr_nonnull(sheet);
    ck_assert(png_image_finish_read(&image, NULL, sheet, 0, NULL));
    ck_assert_uint_eq(image.width, 248);
    *first = sheet[((size_t)20 * image.width + 20) * 3];
    *second = sheet[((size_t)20 * image.width + 140) * 3];
    free(sheet);
    (void)remove(path);
    (void)snprintf(path, sizeof path, "%s/samples", folder);
    (void)rmdir(path);
    (void)rmdir(folder);
    unmake(&made);
}

START_TEST(the_worst_come_first)
{
    int first, second;
    reds("type = sample_images\ncount = 2\n", &first, &second);
    ck_assert_int_eq(first, 20); /* loss 2 at half the weight */
    ck_assert_int_eq(second, 10);
    reds("type = sample_images\ncount = 2\nby = confidence\n", &first, &second);
    ck_assert_int_eq(first, 40); /* wrong with 0.9, then with 0.7; the first one is right */
    ck_assert_int_eq(second, 20);
}
END_TEST

/* Without classes there is nothing to be right or wrong about; the memory is told before the run. */
START_TEST(what_cannot_be_judged_is_refused)
{
    struct tn_seen_batch seen = {.size = sizeof seen,
                                 .height = 600,
                                 .width = 300,
                                 .channels = 3,
                                 .class_mode = TN_CLASS_MULTI_LABEL,
                                 .prediction_count = 2,
                                 .target_count = 2};
    struct tn_error error = {.status = TN_OK};
    struct made made;
    struct fake fake;
    const struct tn_callback *type;
    ck_assert_int_eq(make(&made, "type = sample_images\ncount = 9\nby = confidence\n"), TN_OK);
    type = (const struct tn_callback *)made.instance->type;
    fake_begin(&fake, "run");
    fake.run.seen = &seen;
    ck_assert_int_eq(type->on(made.instance->self, TN_RUN_BEGIN, &fake.run, &error), TN_INVALID);
    ck_assert_msg(strstr(error.text, "use by = loss") != NULL, "%s", error.text);
    seen.class_mode = TN_CLASS_BINARY;
    ck_assert_int_eq(type->on(made.instance->self, TN_RUN_BEGIN, &fake.run, &error), TN_OK);
    /* nine pictures at a third of their size, and a sheet where they are twice as high and wide as that, with texts */
    ck_assert_uint_ge(type->host_bytes(made.instance->self, &seen), 9 * 200 * 100 * 3 * (1 + 4));
    ck_assert_uint_le(type->host_bytes(made.instance->self, &seen), 9 * 200 * 100 * 3 * (1 + 5));
    unmake(&made);
}
END_TEST

START_TEST(letters_with_marks_are_drawn_without)
{
    static const char *const pairs[][2] = {{"\xc3\xa4", "a"}, {"\xc5\xbd", "Z"},     {"\xc4\xb0", "I"},
                                           {"~", "~"},        {"\xe6\xbc\xa2", "?"}, {"\xf0\x9f\x98\x80", "?"},
                                           {"\xff", "?"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *text = pairs[i][0];
        ck_assert_ptr_eq(font_letter(&text), font_columns[pairs[i][1][0] - FONT_FIRST]);
        ck_assert_msg(*text == '\0', "%zu: %zu bytes are left", i, strlen(text));
    }
    const char *cut = "\xc3"; /* never behind the end */
    (void)font_letter(&cut);
    ck_assert_int_eq(*cut, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("callbacks_samples");
    TCase *tests = tcase_create("callbacks_samples");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_test(tests, the_worst_come_first);
    tcase_add_test(tests, what_cannot_be_judged_is_refused);
    tcase_add_test(tests, letters_with_marks_are_drawn_without);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
