/* test_callbacks_stop.c: callbacks that end a run (terminate_on_nan, timed_stop), and which checkpoints stay, against a
 * run that is fed by hand.
 */
#include <time.h>

#include "callback_rig.h"

/* ---- terminate_on_nan ---- */

static tn_status batch_with_loss(struct made *made, struct fake *fake, double loss, struct tn_error *error)
{
    fake->run.log_count = 0;
    fake_log(fake, "accuracy", 0.5, TN_DIRECTION_UP);
    fake_log(fake, "loss", loss, TN_DIRECTION_DOWN);
    return tell(made, fake, TN_BATCH_END, error);
}

START_TEST(a_broken_loss_fails_the_run)
{
    static const double broken[] = {NAN, INFINITY, -INFINITY};
    struct made made;
    struct fake fake;
    struct tn_error error = {.status = TN_OK};
    begin_case(&made, &fake, "type = terminate_on_nan\n", "loss");
    for (size_t i = 0; i < TN_COUNT_OF(broken); i++) {
        fake.run.batch = 6;
        ck_assert_int_eq(batch_with_loss(&made, &fake, 1e30, &error), TN_OK);
        fake.run.batch = 7;
        ck_assert_int_eq(batch_with_loss(&made, &fake, broken[i], &error), TN_FAILED);
        ck_assert_ptr_nonnull(strstr(error.text, "Batch 7: Invalid loss, terminating training (epoch 1,"));
        ck_assert_int_eq(fake.stopped, 0);
    }
    unmake(&made);
}
END_TEST

START_TEST(or_ends_it_in_order_as_keras_does)
{
    struct made made;
    struct fake fake;
    struct tn_error error = {.status = TN_OK};
    begin_case(&made, &fake, "type = terminate_on_nan\nraise_error = no\n", "loss");
    fake.run.batch = 3;
    ck_assert_int_eq(batch_with_loss(&made, &fake, NAN, &error), TN_OK);
    ck_assert_int_eq(fake.stopped, 1);
    ck_assert_str_eq(fake.reason, "Batch 3: Invalid loss, terminating training");
    unmake(&made);
}
END_TEST

/* ---- timed_stop ---- */

static void sleep_for(double seconds)
{
    struct timespec pause = {0, (long)(seconds * 1e9)};
    while (nanosleep(&pause, &pause) != 0)
        ;
}

/* Epochs of 4 batches, whose ends take `tail`; returns the steps done until it stopped, or `most`. */
static unsigned steps_until_stop(const char *keys, double step, double tail, unsigned most, struct fake *fake)
{
    struct made made;
    struct tn_error error = {.status = TN_OK};
    unsigned steps = 0;
    begin_case(&made, fake, keys, "loss");
    while (!fake->stopped && steps < most) {
        if (steps % 4 == 0)
            ck_assert_int_eq(tell(&made, fake, TN_EPOCH_BEGIN, &error), TN_OK);
        sleep_for(step);
        fake->run.batches = 4;
        fake->run.batch = steps % 4;
        fake->run.step = ++steps;
        ck_assert_int_eq(tell(&made, fake, TN_BATCH_END, &error), TN_OK);
        if (steps % 4 == 0 && !fake->stopped) {
            sleep_for(tail);
            ck_assert_int_eq(tell(&made, fake, TN_EPOCH_END, &error), TN_OK);
            fake->run.epoch++;
        }
    }
    unmake(&made);
    return steps;
}

START_TEST(it_stops_before_the_limit)
{
    struct timespec before, after;
    struct fake fake;
    double seconds;
    (void)clock_gettime(CLOCK_MONOTONIC, &before);
    ck_assert_uint_lt(steps_until_stop("type = timed_stop\nmax_time = 1s\n", 0.02, 0.3, 1000, &fake), 50);
    (void)clock_gettime(CLOCK_MONOTONIC, &after);
    seconds = (double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec);
    /* The third epoch's end would not have fitted in. */
    ck_assert_msg(seconds < 0.9, "%g s", seconds);
    ck_assert_msg(strstr(fake.reason, "before max_time = 1s is over (epoch ") != NULL, "%s", fake.reason);
    ck_assert_uint_eq(steps_until_stop("type = timed_stop\nmax_time = 11h30m\n", 0, 0, 40, &fake), 40);
    ck_assert_int_eq(fake.stopped, 0);
    ck_assert_uint_eq(steps_until_stop("type = timed_stop\nmax_time = 1h\nmargin = 3599.99s\n", 0.02, 0, 40, &fake), 1);
    ck_assert_msg(strstr(fake.reason, "before max_time = 1h00m is over") != NULL, "%s", fake.reason);
}
END_TEST

START_TEST(a_limit_is_needed)
{
    refused_section("type = timed_stop\n", "max_time: is missing");
    refused_section("type = timed_stop\nmax_time = 0\n", "max_time");
    refused_section("type = timed_stop\nmax_time = soon\n", "max_time");
    refused_section("type = timed_stop\nmax_time = 1h\nmargin = 60m\n", "margin");
}
END_TEST

/* ---- model_checkpoint: keep, link_best ---- */

static tn_status save_file(const struct tn_run *run, const char *path, uint32_t flags, struct tn_error *error)
{
    FILE *file = fopen(path, "w");
    ck_assert_msg(file != NULL, "%s", path);
    (void)fclose(file);
    return fake_save(run, path, flags, error);
}

enum { BEFORE, BEHIND, BEHIND_SLOWLY, WAYS }; /* how weights are written */

static void checkpoints_in(int32_t way, const char *keys, const char *losses, const char *there, const char *best)
{
    char folder[] = "/tmp/tenon-kept-XXXXXX", checks[64], path[128], text[512], target[64] = "", seen[16] = "";
    struct made made;
    struct fake fake;
    struct tn_error error = {.status = TN_OK};
    ssize_t length;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(checks, sizeof checks, "%s/checkpoints", folder);
    ck_assert_int_eq(mkdir(checks, 0777), 0);
    (void)snprintf(text, sizeof text, "type = model_checkpoint\npath = {epoch}.h5\nmonitor = loss\n%s", keys);
    ck_assert_msg(make(&made, text) == TN_OK, "%s", made.problems.count ? made.problems.items[0].text : "?");
    fake_begin(&fake, folder);
    fake.run.save_weights = save_file;
    if (way != BEFORE)
        fake_behind(&fake, way == BEHIND_SLOWLY);
    fake_log(&fake, "loss", NAN, TN_DIRECTION_DOWN);
    ck_assert_int_eq(tell(&made, &fake, TN_RUN_BEGIN, &error), TN_OK);
    for (int32_t i = 0; losses[i]; i++)
        epoch(&made, &fake, i, "loss", losses[i] == 'n' ? NAN : losses[i] - '0');
    ck_assert_int_eq(tell(&made, &fake, TN_SETTLE, &error), TN_OK);
    ck_assert_int_eq(fake.pending, 0);
    unmake(&made);
    for (int i = 1; i < 10; i++) {
        (void)snprintf(path, sizeof path, "%s/%d.h5", checks, i);
        if (unlink(path) == 0)
            (void)snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%d", i);
    }
    (void)snprintf(path, sizeof path, "%s/best.h5", checks);
    length = readlink(path, target, sizeof target - 1);
    (void)unlink(path);
    target[length > 0 ? length : 0] = '\0';
    ck_assert_msg(strcmp(seen, there) == 0, "%s of %s, way %d: %s stay", keys, losses, way, seen);
    ck_assert_msg(strcmp(target, best) == 0, "%s of %s, way %d: the best is %s", keys, losses, way, target);
    ck_assert_int_eq(rmdir(checks), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}

/* The losses of the epochs; which of the files "1" to "9" are there afterwards, and where best.h5 points. */
static void checkpoints(const char *keys, const char *losses, const char *there, const char *best)
{
    for (int32_t way = 0; way < WAYS; way++)
        checkpoints_in(way, keys, losses, there, best);
}

START_TEST(the_newest_and_the_best_stay)
{
    checkpoints("", "54321", "12345", "");
    checkpoints("keep = 2\n", "54321", "45", "");
    checkpoints("keep = 9\n", "54321", "12345", "");
    checkpoints("keep = 1\nsave_best_only = yes\n", "545433", "5", "");
    checkpoints("keep = 2\nsave_best_only = yes\n", "545433", "25", "");
    checkpoints("link_best = yes\n", "54367", "12345", "3.h5");
    checkpoints("keep = 2\nlink_best = yes\n", "51678", "245", "2.h5");
    checkpoints("keep = 2\nlink_best = yes\n", "516708", "56", "5.h5");
    checkpoints("keep = 1\nlink_best = yes\nsave_best_only = yes\n", "51670", "5", "5.h5");
    checkpoints("keep = 1\nlink_best = yes\nmode = max\n", "5167", "4", "4.h5");
    checkpoints("link_best = yes\ninitial_value_threshold = 2\n", "543", "123", "");
    checkpoints("link_best = yes\n", "3n4", "123", "1.h5");
}
END_TEST

/* Two names of epochs that are the same file; other people's files; a file that has gone. */
START_TEST(only_own_files_are_removed)
{
    char folder[] = "/tmp/tenon-kept-XXXXXX", path[128];
    struct made made;
    struct fake fake;
    struct tn_error error = {.status = TN_OK};
    static const double losses[] = {1, 1, 2, 2, 3};
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "type = model_checkpoint\npath = %s/{loss:.0f}.h5\nkeep = 2\n", folder);
    ck_assert_int_eq(make(&made, path), TN_OK);
    fake_begin(&fake, "run");
    fake.run.save_weights = save_file;
    fake_log(&fake, "loss", NAN, TN_DIRECTION_DOWN);
    ck_assert_int_eq(tell(&made, &fake, TN_RUN_BEGIN, &error), TN_OK);
    for (int32_t i = 0; i < 5; i++)
        epoch(&made, &fake, i, "loss", losses[i]);
    ck_assert_uint_eq(fake.said_count, 0);
    (void)snprintf(path, sizeof path, "%s/1.h5", folder);
    ck_assert_int_ne(access(path, F_OK), 0);
    (void)snprintf(path, sizeof path, "%s/2.h5", folder);
    ck_assert_int_eq(unlink(path), 0);
    epoch(&made, &fake, 5, "loss", 4);
    ck_assert_uint_eq(fake.said_count, 0);
    unmake(&made);
    for (int i = 3; i < 5; i++) {
        (void)snprintf(path, sizeof path, "%s/%d.h5", folder, i);
        ck_assert_int_eq(unlink(path), 0);
    }
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* Where a link cannot be made (here its new name is taken by a folder) the best file is copied. */
START_TEST(a_copy_where_there_are_no_links)
{
    char folder[] = "/tmp/tenon-kept-XXXXXX", path[128], file[128], text[512];
    struct made made;
    struct fake fake;
    struct stat info;
    struct tn_error error = {.status = TN_OK};
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/best.weights.h5.new", folder);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    (void)snprintf(
        text, sizeof text,
        "type = model_checkpoint\npath = %s/m-{epoch}-{loss:.2f}.weights.h5\nmonitor = loss\nlink_best = yes\n",
        folder);
    ck_assert_int_eq(make(&made, text), TN_OK);
    fake_begin(&fake, "run");
    fake.run.save_weights = save_file;
    fake_log(&fake, "loss", NAN, TN_DIRECTION_DOWN);
    ck_assert_int_eq(tell(&made, &fake, TN_RUN_BEGIN, &error), TN_OK);
    epoch(&made, &fake, 0, "loss", 0.5);
    epoch(&made, &fake, 1, "loss", 0.75);
    (void)snprintf(file, sizeof file, "%s/best.weights.h5", folder);
    ck_assert_int_eq(lstat(file, &info), 0);
    ck_assert(S_ISREG(info.st_mode));
    ck_assert_int_eq(unlink(file), 0);
    (void)snprintf(file, sizeof file, "%s/m-1-0.50.weights.h5", folder);
    ck_assert_int_eq(unlink(file), 0);
    (void)snprintf(file, sizeof file, "%s/m-2-0.75.weights.h5", folder);
    ck_assert_int_eq(unlink(file), 0);
    unmake(&made);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* Behind the training it is told later what became of a file: the decision that it was for is taken back then, before
 * the next one is taken. */
START_TEST(a_file_behind_that_fails)
{
    struct made made;
    struct fake fake;
    struct tn_error error = {.status = TN_OK};
    ck_assert_int_eq(make(&made, "type = model_checkpoint\npath = best.h5\nmonitor = loss\nsave_best_only = yes\n"),
                     TN_OK);
    fake_begin(&fake, "run");
    fake_behind(&fake, 1);
    fake_log(&fake, "loss", NAN, TN_DIRECTION_DOWN);
    ck_assert_int_eq(tell(&made, &fake, TN_RUN_BEGIN, &error), TN_OK);
    epoch(&made, &fake, 0, "loss", 5);
    fake.fails = 1;
    epoch(&made, &fake, 1, "loss", 3);
    ck_assert_int_eq(fake.waited, 1);
    ck_assert_uint_eq(fake.said_count, 0);
    fake.fails = 0;
    epoch(&made, &fake, 2, "loss", 4); /* better than 5, which is what the disk has */
    ck_assert_uint_eq(fake.said_count, 1);
    ck_assert_msg(strstr(fake.said[0], "Epoch 2: cannot write") == fake.said[0], "%s", fake.said[0]);
    ck_assert_int_eq(tell(&made, &fake, TN_SETTLE, &error), TN_OK);
    ck_assert_uint_eq(fake.saved_count, 2);
    ck_assert_msg(strstr(fake.unsaved, "the weights of epoch 2") == fake.unsaved, "%s", fake.unsaved);
    epoch(&made, &fake, 3, "loss", 3);
    ck_assert_int_eq(tell(&made, &fake, TN_SETTLE, &error), TN_OK);
    ck_assert_str_eq(fake.unsaved, "");
    unmake(&made);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("callbacks_stop");
    TCase *tests = tcase_create("callbacks_stop");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_broken_loss_fails_the_run);
    tcase_add_test(tests, or_ends_it_in_order_as_keras_does);
    tcase_add_test(tests, it_stops_before_the_limit);
    tcase_add_test(tests, a_limit_is_needed);
    tcase_add_test(tests, the_newest_and_the_best_stay);
    tcase_add_test(tests, only_own_files_are_removed);
    tcase_add_test(tests, a_copy_where_there_are_no_links);
    tcase_add_test(tests, a_file_behind_that_fails);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
