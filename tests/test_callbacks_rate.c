/* test_callbacks_rate.c: callbacks that set the learning rate: plateau, scheduler, range test; against a run that is
 * fed by hand. (What Keras did with the same series: test_callbacks.c.)
 */
#include "callback_rig.h"

/* ---- reduce_lr_on_plateau ---- */

START_TEST(a_plateau_is_said)
{
    struct made made;
    struct fake fake;
    begin_case(&made, &fake,
               "type = reduce_lr_on_plateau\nmonitor = loss\npatience = 1\nfactor = 1/4\nverbose = yes\n"
               "min_lr = 0.01\n",
               "loss");
    for (int32_t i = 0; i < 5; i++)
        epoch(&made, &fake, i, "loss", 1);
    ck_assert_double_eq(fake.run.learning_rate, 0.01);
    ck_assert_uint_eq(fake.said_count, 2); /* and no more when it is as low as it gets */
    ck_assert_str_eq(fake.said[0], "Epoch 2: ReduceLROnPlateau reducing learning rate to 0.025.");
    ck_assert_str_eq(fake.said[1], "Epoch 3: ReduceLROnPlateau reducing learning rate to 0.01.");
    unmake(&made);
}
END_TEST

START_TEST(a_run_without_validation_is_warned_once)
{
    struct made made;
    struct fake fake;
    begin_case(&made, &fake, "type = reduce_lr_on_plateau\npatience = 0\n", "loss");
    epoch(&made, &fake, 0, "loss", 1);
    epoch(&made, &fake, 1, "loss", 1);
    ck_assert_uint_eq(fake.said_count, 1);
    ck_assert_str_eq(fake.said[0],
                     "Learning rate reduction is conditioned on metric `val_loss` which is not available. "
                     "Available metrics are: loss");
    ck_assert_double_eq(fake.run.learning_rate, 0.1);
    unmake(&made);
}
END_TEST

/* ---- learning_rate_scheduler ---- */

START_TEST(rates_begin_with_their_epochs)
{
    static const double wanted[] = {0.1, 0.01, 0.01, 0.001, 0.001};
    struct made made;
    struct fake fake;
    begin_case(&made, &fake, "type = learning_rate_scheduler\nrates = 1:0.01, 3 : 1e-3\nverbose = yes\n", "loss");
    for (int32_t i = 0; i < 5; i++) {
        epoch(&made, &fake, i, "loss", 1);
        ck_assert_double_eq(fake.run.learning_rate, wanted[i]);
    }
    ck_assert_uint_eq(fake.said_count, 5);
    ck_assert_str_eq(fake.said[3], "Epoch 4: LearningRateScheduler setting learning rate to 0.001.");
    unmake(&made);
}
END_TEST

START_TEST(wrong_rates_are_refused)
{
    refused_section("type = learning_rate_scheduler\n", "is missing");
    refused_section("type = learning_rate_scheduler\nrates = 0.1\n", "`0.1` is not EPOCH:RATE");
    refused_section("type = learning_rate_scheduler\nrates = 0:-1\n", "`0:-1` is not");
    refused_section("type = learning_rate_scheduler\nrates = 0:inf\n", "`0:inf` is not");
    refused_section("type = learning_rate_scheduler\nrates = -1:0.1\n", "`-1:0.1` is not");
    refused_section("type = learning_rate_scheduler\nrates = 0:0.1x\n", "`0:0.1x` is not");
    refused_section("type = learning_rate_scheduler\nrates = 0:\n", "`0:` is not");
    refused_section("type = learning_rate_scheduler\nrates = 2:0.1, 2:0.2\n", "`2:0.2` is not after");
}
END_TEST

/* ---- lr_finder ---- */

static tn_status batch(struct made *made, struct fake *fake, double (*loss)(double rate), struct tn_error *error)
{
    tn_status status = tell(made, fake, TN_BATCH_BEGIN, error);
    ck_assert_int_eq(status, TN_OK);
    fake->run.batch_loss = loss(fake->run.learning_rate);
    fake->run.step++;
    status = tell(made, fake, TN_BATCH_END, error);
    fake->run.batch++;
    return status;
}

/* Falls fastest at 1e-2, is lowest at 1e-1, explodes behind it. */
static double valley(double rate)
{
    double x = log10(rate);
    return x < -1 ? 1 + 2 / (1 + exp(4 * (x + 2))) : 1.036 + 30 * (x + 1) * (x + 1) * (x + 1);
}
static double ends_in_nan(double rate)
{
    return rate > 1e-2 ? NAN : 1;
}

static void find(const char *keys, double (*loss)(double rate), struct fake *fake, unsigned *steps, char *folder)
{
    struct made made;
    struct tn_error error = {.status = TN_OK};
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_msg(make(&made, keys) == TN_OK, "%s", made.problems.count ? made.problems.items[0].text : "?");
    fake_begin(fake, folder);
    ck_assert_msg(tell(&made, fake, TN_RUN_BEGIN, &error) == TN_OK, "%s", error.text);
    ck_assert_int_eq(fake->kept_count, 1);
    for (*steps = 0; !fake->stopped && *steps < 400; (*steps)++)
        ck_assert_msg(batch(&made, fake, loss, &error) == TN_OK, "%s", error.text);
    ck_assert_int_eq(fake->restored_count, 1);
    ck_assert_int_eq(tell(&made, fake, TN_RUN_END, &error), TN_OK);
    ck_assert_int_eq(fake->restored_count, 1);
    unmake(&made);
}

/* Rows of the file without its head; removes it and the folder. */
static unsigned count_rows(const char *folder)
{
    char path[128], line[256];
    unsigned rows = 0;
    FILE *file;
    (void)snprintf(path, sizeof path, "%s/lr_finder.csv", folder);
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
    ck_assert_str_eq(line, "batch,learning_rate,loss,smoothed_loss\r\n");
    while (fgets(line, sizeof line, file)) {
        unsigned number = 0;
        double rate = 0, loss = 0, smoothed = 0;
        ck_assert_int_eq(sscanf(line, "%u,%lf,%lf,%lf", &number, &rate, &loss, &smoothed), 4);
        ck_assert_uint_eq(number, rows++);
        ck_assert(rate > 0 && isfinite(loss) && isfinite(smoothed));
    }
    (void)fclose(file);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
    return rows;
}

START_TEST(a_valley_is_found)
{
    char folder[] = "/tmp/tenon-lr-XXXXXX";
    struct fake fake;
    unsigned steps;
    double steepest = 0, tenth = 0;
    find("type = lr_finder\nstart = 1e-5\nend = 10\nsteps = 200\n", valley, &fake, &steps, folder);
    ck_assert_uint_gt(steps, 120);
    ck_assert_uint_lt(steps, 200); /* it has exploded */
    ck_assert_str_eq(fake.reason, "lr_finder: the loss has exploded, the test is done");
    ck_assert_uint_eq(fake.said_count, 1);
    ck_assert_msg(sscanf(fake.said[0],
                         "lr_finder: the loss falls fastest at learning_rate = %lf; a tenth of the rate at which it is "
                         "lowest is %lf",
                         &steepest, &tenth) == 2,
                  "%s", fake.said[0]);
    ck_assert_msg(steepest > 5e-3 && steepest < 2e-2, "steepest at %g", steepest);
    ck_assert_msg(tenth > 3e-3 && tenth < 2e-2, "a tenth of the lowest is %g", tenth);
    ck_assert_uint_eq(count_rows(folder), steps);
}
END_TEST

START_TEST(a_loss_that_is_none_ends_the_test)
{
    char folder[] = "/tmp/tenon-lr-XXXXXX";
    struct fake fake;
    unsigned steps;
    find("type = lr_finder\n", ends_in_nan, &fake, &steps, folder);
    ck_assert_str_eq(fake.reason, "lr_finder: the loss is no number any more, the test is done");
    ck_assert_ptr_nonnull(strstr(fake.said[0], "the loss never fell"));
    ck_assert_uint_eq(count_rows(folder), steps - 1);
}
END_TEST

static double flat(double rate)
{
    (void)rate;
    return 1;
}

START_TEST(all_batches_are_used_and_no_more)
{
    char folder[] = "/tmp/tenon-lr-XXXXXX", short_folder[] = "/tmp/tenon-lr-XXXXXX";
    struct fake fake;
    unsigned steps;
    find("type = lr_finder\nsteps = 30\nstart = 0.001\nend = 1\n", flat, &fake, &steps, folder);
    ck_assert_uint_eq(steps, 30);
    ck_assert_double_eq_tol(fake.run.learning_rate, 1, 1e-9);
    ck_assert_uint_eq(count_rows(folder), 30);
    find("type = lr_finder\nsteps = 1000\nstart = 0.001\nend = 1\n", flat, &fake, &steps, short_folder);
    ck_assert_uint_eq(steps, 400); /* 100 epochs of 4 batches */
    ck_assert_ptr_nonnull(strstr(fake.said[0], "the run has 400 batches"));
    ck_assert_double_eq_tol(fake.run.learning_rate, 1, 1e-9);
    ck_assert_uint_eq(count_rows(short_folder), 400);
}
END_TEST

START_TEST(wrong_ranges_are_refused)
{
    refused_section("type = lr_finder\nstart = 1\nend = 0.1\n", "start < end");
    refused_section("type = lr_finder\nstart = 0\n", "0 < start");
    refused_section("type = lr_finder\nsteps = 2\n", "steps");
    refused_section("type = lr_finder\nsmoothing = 1\n", "smoothing");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("callbacks_rate");
    TCase *tests = tcase_create("callbacks_rate");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_test(tests, a_plateau_is_said);
    tcase_add_test(tests, a_run_without_validation_is_warned_once);
    tcase_add_test(tests, rates_begin_with_their_epochs);
    tcase_add_test(tests, wrong_rates_are_refused);
    tcase_add_test(tests, a_valley_is_found);
    tcase_add_test(tests, a_loss_that_is_none_ends_the_test);
    tcase_add_test(tests, all_batches_are_used_and_no_more);
    tcase_add_test(tests, wrong_ranges_are_refused);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
