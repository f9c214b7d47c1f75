/* test_embed.c: the library through tenon/tenon.h alone, as a program of somebody else uses it. */
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "tenon/tenon.h"

static char folder[] = "/tmp/tenon-embed-XXXXXX";

static const char experiment[] = "[experiment]\nname = tiny\nepochs = 2\n"
                                 "[data]\ntarget_size = 16x16\nbatch_size = 8\n"
                                 "[source:train]\ntype = directory\npath = data/train\n"
                                 "[layer:conv]\ntype = conv2d\nfilters = 4\nkernel_size = 3\nactivation = relu\n"
                                 "[layer:pool]\ntype = global_average_pooling2d\n"
                                 "[layer:classes]\ntype = dense\nunits = 3\nactivation = softmax\n"
                                 "[callback:checkpoint]\ntype = model_checkpoint\npath = last.h5\nmonitor = loss\n";

static void make_folder(void)
{
    char command[1024];
    FILE *file;
    const char *build = getenv("TENON_BUILD");
    ck_assert_ptr_nonnull(build);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    snprintf(command, sizeof command, "'%s/bin/tenon' synth data --count 12 --size 16 --classes 3 --quiet", build);
    ck_assert_int_eq(system(command), 0);
    file = fopen("tiny.ini", "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(experiment, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(system(command), 0);
}

struct seen {
    int rows;
    float least_sum, most_sum;
};

static tn_status take_row(void *context, const char *name, uint64_t sample, const float *scores, int32_t count,
                          struct tn_error *error)
{
    struct seen *seen = context;
    float sum = 0;
    (void)sample;
    for (int32_t i = 0; i < count; i++)
        sum += scores[i];
    if (count != 3 || !strstr(name, ".jpg"))
        return tn_fail(error, TN_FAILED, "%s has %d scores", name, count);
    seen->least_sum = seen->rows && seen->least_sum < sum ? seen->least_sum : sum;
    seen->most_sum = seen->rows && seen->most_sum > sum ? seen->most_sum : sum;
    seen->rows++;
    return TN_OK;
}

START_TEST(trains_and_predicts)
{
    const char *const overrides[] = {"experiment.epochs=1"};
    struct tn_error error = {0};
    struct tn_model *model = NULL;
    struct seen seen = {0, 0, 0};

    ck_assert_msg(tn_train("tiny.ini", overrides, 1, NULL, &error) == TN_OK, "%s", error.text);
    ck_assert_msg(tn_model_open("tiny.ini", "runs/tiny/checkpoints/last.h5", &model, &error) == TN_OK, "%s",
                  error.text);
    ck_assert_str_eq(tn_model_class(model, 0), "circle");
    ck_assert_ptr_null(tn_model_class(model, 3));
    ck_assert_msg(tn_model_predict(model, "data/validation", take_row, &seen, &error) == TN_OK, "%s", error.text);
    ck_assert_int_eq(seen.rows, 2);
    ck_assert_float_eq_tol(seen.least_sum, 1, 1e-5);
    ck_assert_float_eq_tol(seen.most_sum, 1, 1e-5);
    ck_assert_int_ne(tn_model_predict(model, "nowhere", take_row, &seen, &error), TN_OK);
    ck_assert_ptr_nonnull(strstr(error.text, "nowhere"));
    tn_model_close(&model);
    ck_assert_ptr_null(model);
    tn_model_close(&model);
}
END_TEST

START_TEST(stops_when_asked)
{
    const char *const overrides[] = {"experiment.name=stopped"};
    volatile int32_t stop = 1;
    struct tn_error error = {0};
    ck_assert_int_eq(tn_train("tiny.ini", overrides, 1, &stop, &error), TN_INTERRUPTED);
    ck_assert_ptr_nonnull(strstr(error.text, "interrupted"));
}
END_TEST

START_TEST(says_what_is_wrong)
{
    const char *const overrides[] = {"layer:conv.filters=0", "data.batch_sise=3"};
    struct tn_error error = {0};
    struct tn_model *model = NULL;
    ck_assert_int_eq(tn_train("tiny.ini", overrides, 2, NULL, &error), TN_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "1 more problem"));
    ck_assert_int_ne(tn_train("nowhere.ini", NULL, 0, NULL, &error), TN_OK);
    ck_assert_ptr_nonnull(strstr(error.text, "nowhere.ini"));
    ck_assert_int_ne(tn_model_open("tiny.ini", "nowhere.h5", &model, &error), TN_OK);
    ck_assert_ptr_nonnull(strstr(error.text, "nowhere.h5"));
    ck_assert_ptr_null(model);
    ck_assert_int_ne(tn_train("tiny.ini", overrides, 2, NULL, NULL), TN_OK);
}
END_TEST

START_TEST(has_a_version)
{
    ck_assert_str_eq(tn_version(), TENON_VERSION);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("embed");
    TCase *cases = tcase_create("embed");
    SRunner *runner;
    int failed;
    tcase_set_timeout(cases, 120);
    tcase_add_unchecked_fixture(cases, make_folder, remove_folder);
    tcase_add_test(cases, has_a_version);
    tcase_add_test(cases, says_what_is_wrong);
    tcase_add_test(cases, trains_and_predicts);
    tcase_add_test(cases, stops_when_asked);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
