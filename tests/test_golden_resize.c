/* test_golden_resize.c: tn_resize_* against TensorFlow's resize without antialiasing. */
#include <limits.h>
#include <stdlib.h>

#include "data/data.h"
#include "data_golden.h"

/* After tenon's headers: it has a macro named fail(). */
#include <check.h>

typedef void resize(const struct tn_image *in, float *out, int32_t height, int32_t width);

/* The function that does what the case asks for; NULL = none yet. */
static resize *choose(const struct bundle_case *item, double *tolerance)
{
    const char *peer = bundle_set(item, "peer"), *method = bundle_set(item, "method");
    if (!peer || !method || strcmp(peer, "tf") != 0 || bundle_number(item, "antialias", 0) != 0)
        return NULL;
    *tolerance = 1e-3;
    if (strcmp(method, "bilinear") == 0)
        return tn_resize_bilinear;
    *tolerance = 0;
    return strcmp(method, "nearest") == 0 ? tn_resize_nearest : NULL;
}

static void run_case(struct tally *tally, const struct bundle_case *item)
{
    double tolerance = 0;
    resize *function = choose(item, &tolerance);
    const struct bundle_tensor *x = bundle_tensor(item, "x"), *y = bundle_tensor(item, "y");
    if (!function || !x || !y || x->rank != 3 || y->rank != 3 || x->type != BUNDLE_U8 || x->dims[2] > 4 ||
        x->dims[2] != y->dims[2] || x->dims[0] < 1 || x->dims[1] < 1) {
        tally->uncovered++;
        return;
    }
    const struct tn_image image = {x->dims[0], x->dims[1], x->dims[2], TN_PIXEL_U8, (void *)(uintptr_t)x->data};
    float *out = malloc(y->count * sizeof *out);
    ck_assert_ptr_nonnull(out);
    function(&image, out, y->dims[0], y->dims[1]);
    double difference = golden_difference(y, out, NULL);
    if (difference <= tolerance)
        tally->passed++;
    else
        tally_fail(tally, item->name, "differs by %g, allowed are %g", difference, tolerance);
    free(out);
}

static void run_bundle(const char *relative, const char *group)
{
    char path[PATH_MAX];
    struct tally tally = {.group = group};
    struct bundle *bundle = NULL;
    struct tn_error error = {0};
    if (!golden_file(relative, path, sizeof path))
        return;
    ck_assert_msg(bundle_open(path, &bundle, &error) == TN_OK, "%s", error.text);
    for (size_t i = 0; i < bundle_case_count(bundle); i++)
        run_case(&tally, bundle_case_at(bundle, i));
    tally_print(&tally);
    bundle_close(&bundle);
    ck_assert_int_eq(tally.failed, 0);
}

START_TEST(resize_is_that_of_tensorflow)
{
    run_bundle("decode/resize.txt", "resize");
}
END_TEST

START_TEST(other_resizes_are_counted)
{
    run_bundle("decode/resize_torch.txt", "resize-torch");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden resize");
    TCase *resizing = tcase_create("resize");
    tcase_set_timeout(resizing, 120);
    tcase_add_test(resizing, resize_is_that_of_tensorflow);
    tcase_add_test(resizing, other_resizes_are_counted);
    suite_add_tcase(suite, resizing);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
