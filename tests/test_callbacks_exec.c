/* test_callbacks_exec.c: the callback exec: what the command sees, what is heard of it, and how it can fail. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "callback_rig.h"

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* The event of a run in its third epoch; returns on()'s status. */
static tn_status run_event(const char *keys, int32_t event, struct fake *fake, struct tn_error *error)
{
    struct made made;
    tn_status status;
    char text[1024];
    (void)snprintf(text, sizeof text, "type = exec\n%s", keys);
    ck_assert_msg(make(&made, text) == TN_OK, "%s: %s", keys, made.problems.count ? made.problems.items[0].text : "?");
    fake_begin(fake, "/tmp");
    fake->run.epoch = 2;
    fake->run.step = 12;
    fake_log(fake, "loss", 0.25, TN_DIRECTION_DOWN);
    fake_log(fake, "val_top-5", NAN, TN_DIRECTION_UP);
    *error = (struct tn_error){.status = TN_OK};
    status = tell(&made, fake, event, error);
    unmake(&made);
    return status;
}

static void says(const char *keys, const char *wanted)
{
    struct fake fake;
    struct tn_error error;
    ck_assert_msg(run_event(keys, TN_EPOCH_END, &fake, &error) == TN_OK, "%s", error.text);
    ck_assert_uint_eq(fake.said_count, 1);
    ck_assert_str_eq(fake.said[0], wanted);
}

START_TEST(the_run_is_in_its_environment)
{
    ck_assert_int_eq(setenv("TENON_EPOCH", "from outside", 1), 0);
    ck_assert_int_eq(setenv("TENON_LOG_old", "1", 1), 0);
    ck_assert_int_eq(setenv("TENON_EPOCHS_LEFT", "kept", 1), 0);
    says("command = echo $TENON_EVENT $TENON_NAME $TENON_RUN_DIRECTORY $TENON_EPOCH/$TENON_EPOCHS $TENON_STEP "
         "$TENON_LEARNING_RATE\n",
         "epoch_end test /tmp 3/100 12 0.1");
    says("command = echo $TENON_LOG_loss $TENON_LOG_val_top_5 $TENON_LOG_old. $TENON_EPOCHS_LEFT\n", "0.25 nan . kept");
    says("command = env | grep -c ^TENON_EPOCH=\n", "1");
}
END_TEST

START_TEST(what_it_says_is_heard)
{
    struct fake fake;
    struct tn_error error;
    ck_assert_int_eq(
        run_event("command = echo one; echo two >&2; printf 'th\\tr\\033e\\r'; echo e\n", TN_EPOCH_END, &fake, &error),
        TN_OK);
    ck_assert_uint_eq(fake.said_count, 3);
    ck_assert_str_eq(fake.said[0], "one");
    ck_assert_str_eq(fake.said[1], "two");
    ck_assert_str_eq(fake.said[2], "th r?ee");
    says("command = printf unfinished\n", "unfinished");
    says("command = cat; echo nothing to read\n", "nothing to read");
}
END_TEST

static unsigned lines_said;

static void count_line(const struct tn_run *run, int32_t level, const char *text)
{
    (void)run, (void)level, (void)text;
    lines_said++;
}

START_TEST(it_is_not_listened_to_for_ever)
{
    struct made made;
    struct fake fake;
    struct tn_error error = {.status = TN_OK};
    ck_assert_int_eq(make(&made, "type = exec\ncommand = seq 100000\n"), TN_OK);
    fake_begin(&fake, "/tmp");
    fake.run.say = count_line;
    lines_said = 0;
    ck_assert_int_eq(tell(&made, &fake, TN_EPOCH_END, &error), TN_OK);
    ck_assert_uint_eq(lines_said, 201); /* 200, and that there is more */
    unmake(&made);
}
END_TEST

/* Refused with `part`: fails the run when asked to, else warns. */
static void fails(const char *command, const char *part)
{
    struct fake fake;
    struct tn_error error;
    char keys[512];
    (void)snprintf(keys, sizeof keys, "command = %s\n", command);
    ck_assert_int_eq(run_event(keys, TN_EPOCH_END, &fake, &error), TN_OK);
    ck_assert_uint_gt(fake.said_count, 0);
    ck_assert_msg(strstr(fake.said[fake.said_count - 1], part) != NULL, "%s", fake.said[fake.said_count - 1]);
    (void)snprintf(keys, sizeof keys, "command = %s\non_error = fail\non = epoch_end, interrupt\n", command);
    ck_assert_int_eq(run_event(keys, TN_EPOCH_END, &fake, &error), TN_FAILED);
    ck_assert_msg(strstr(error.text, part) != NULL, "%s", error.text);
    ck_assert_int_eq(run_event(keys, TN_INTERRUPT, &fake, &error), TN_OK); /* the weights are saved after it */
}

START_TEST(failures_are_said)
{
    fails("exit 3", "on epoch_end: the command `exit 3` ended with status 3");
    fails("/nowhere/at/all", "ended with status 127");
    fails("kill -9 $$", "was ended by signal 9 (Killed)");
}
END_TEST

START_TEST(only_its_events_count)
{
    struct fake fake;
    struct tn_error error;
    static const char *const names[] = {"run_begin", "epoch_begin", "batch_end", "validation_end",
                                        "epoch_end", "run_end",     "interrupt", "error"};
    static const int32_t events[] = {TN_RUN_BEGIN, TN_EPOCH_BEGIN, TN_BATCH_END, TN_VALIDATION_END,
                                     TN_EPOCH_END, TN_RUN_END,     TN_INTERRUPT, TN_RUN_ERROR};
    char keys[128];
    for (size_t i = 0; i < TN_COUNT_OF(names); i++) {
        (void)snprintf(keys, sizeof keys, "on = %s\ncommand = echo $TENON_EVENT\n", names[i]);
        for (size_t k = 0; k < TN_COUNT_OF(events); k++) {
            ck_assert_int_eq(run_event(keys, events[k], &fake, &error), TN_OK);
            ck_assert_uint_eq(fake.said_count, i == k);
            if (i == k)
                ck_assert_str_eq(fake.said[0], names[i]);
        }
    }
}
END_TEST

START_TEST(the_time_limit_ends_all_of_it)
{
    struct fake fake;
    struct tn_error error;
    char file[] = "/tmp/tenon-exec-XXXXXX", keys[256];
    double begin = now();
    struct stat known;
    int descriptor = mkstemp(file);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(close(descriptor), 0);
    /* A shell, and a child of it, that do not want to end. */
    (void)snprintf(
        keys, sizeof keys,
        "time_limit = 0.3s\ncommand = trap '' TERM; (trap '' TERM; while :; do sleep 0.1; echo x >>%s; done) & "
        "while :; do sleep 1; done\n",
        file);
    ck_assert_int_eq(run_event(keys, TN_EPOCH_END, &fake, &error), TN_OK);
    ck_assert(now() - begin < 5);
    ck_assert_msg(strstr(fake.said[0], "was ended after 0.3 s (time_limit)") != NULL, "%s", fake.said[0]);
    (void)usleep(200000);
    ck_assert_int_eq(truncate(file, 0), 0);
    (void)usleep(400000);
    ck_assert_int_eq(stat(file, &known), 0);
    ck_assert_int_eq((int)known.st_size, 0);
    ck_assert_int_eq(unlink(file), 0);
    /* One that would say something for ever. */
    begin = now();
    ck_assert_int_eq(run_event("time_limit = 0.3s\ncommand = yes >/dev/null\n", TN_EPOCH_END, &fake, &error), TN_OK);
    ck_assert(now() - begin < 5);
}
END_TEST

/* What it leaves in the background is not waited for, though it holds the pipe; nor is one that closes it. */
START_TEST(background_work_is_let_be)
{
    struct fake fake;
    struct tn_error error;
    double begin = now();
    ck_assert_int_eq(run_event("command = sleep 3 & echo started\n", TN_EPOCH_END, &fake, &error), TN_OK);
    ck_assert_uint_eq(fake.said_count, 1);
    ck_assert_str_eq(fake.said[0], "started");
    ck_assert(now() - begin < 2);
    begin = now();
    ck_assert_int_eq(run_event("command = exec >&- 2>&-; sleep 0.3; exit 4\n", TN_EPOCH_END, &fake, &error), TN_OK);
    ck_assert(now() - begin >= 0.3);
    ck_assert_ptr_nonnull(strstr(fake.said[0], "ended with status 4"));
}
END_TEST

static unsigned open_files(void)
{
    unsigned count = 0;
    for (int i = 0; i < 256; i++)
        count += fcntl(i, F_GETFD) >= 0;
    return count;
}

/* No file of ours, blocked or ignored signal reaches it, and nothing of it stays with us. */
START_TEST(nothing_leaks)
{
    struct fake fake;
    struct tn_error error;
    sigset_t some, before;
    unsigned files;
    char number[64];
    int descriptor = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
    ck_assert_int_ge(descriptor, 3);
    files = open_files();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&some);
    (void)sigaddset(&some, SIGUSR1);
    (void)sigaddset(&some, SIGTERM);
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &some, &before), 0);
    /* glibc's posix_spawn leaves its own two signals ignored (32 and 33), which nobody can send. */
    says("command = grep -E '^Sig(Blk|Ign)' /proc/self/status | grep -vE '0{7}180{7}$|0{16}$' || echo none\n", "none");
    (void)snprintf(number, sizeof number, "command = test -e /proc/$$/fd/%d || echo closed\n", descriptor);
    says(number, "closed");
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(run_event("command = sleep 2 & exit 1\n", TN_EPOCH_END, &fake, &error), TN_OK);
    ck_assert_uint_eq(open_files(), files);
    ck_assert_int_eq(close(descriptor), 0);
}
END_TEST

/* Whoever starts us may ignore SIGCHLD: how a command ended cannot be known then, but that it did. */
START_TEST(an_ignored_sigchld)
{
    struct fake fake;
    struct tn_error error;
    double begin = now();
    (void)signal(SIGCHLD, SIG_IGN);
    ck_assert_int_eq(
        run_event("time_limit = 20s\ncommand = sleep 0.1; echo done; exit 3\n", TN_EPOCH_END, &fake, &error), TN_OK);
    ck_assert(now() - begin < 10);
    ck_assert_uint_eq(fake.said_count, 1);
    ck_assert_str_eq(fake.said[0], "done");
    (void)signal(SIGCHLD, SIG_DFL);
}
END_TEST

static volatile int running = 1;

static void *be_busy(void *unused)
{
    while (running)
        free(malloc(100));
    return unused;
}

START_TEST(threads_go_on_beside_it)
{
    pthread_t threads[4];
    struct fake fake;
    struct tn_error error;
    for (size_t i = 0; i < TN_COUNT_OF(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, be_busy, NULL), 0);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(run_event("command = :\n", TN_EPOCH_END, &fake, &error), TN_OK);
    running = 0;
    for (size_t i = 0; i < TN_COUNT_OF(threads); i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

static int32_t soon(const struct tn_run *run)
{
    return ++fake_of(run)->asked > 3;
}

/* A signal that asks the run to stop does not wait for the command, which is no failure then. */
START_TEST(a_run_that_is_to_stop_does_not_wait)
{
    struct made made;
    struct fake fake;
    struct tn_error error = {.status = TN_OK};
    double begin = now();
    ck_assert_int_eq(make(&made, "type = exec\ncommand = sleep 30\non_error = fail\non = epoch_end, interrupt\n"
                                 "time_limit = 1s\n"),
                     TN_OK);
    fake_begin(&fake, "/tmp");
    fake.run.asked_to_stop = soon;
    ck_assert_int_eq(tell(&made, &fake, TN_EPOCH_END, &error), TN_OK);
    ck_assert(now() - begin < 0.9);
    ck_assert_uint_eq(fake.said_count, 1);
    ck_assert_msg(strstr(fake.said[0], "was ended, for the run is to stop") != NULL, "%s", fake.said[0]);
    ck_assert_int_eq(tell(&made, &fake, TN_INTERRUPT, &error), TN_OK); /* this one has its time */
    ck_assert_msg(strstr(fake.said[1], "was ended after 1 s") != NULL, "%s", fake.said[1]);
    unmake(&made);
}
END_TEST

START_TEST(wrong_sections_are_refused)
{
    refused_section("type = exec\n", "command");
    refused_section("type = exec\ncommand =\n", "command");
    refused_section("type = exec\ncommand = true\non = epoch\n", "there is no event `epoch`; there are: run_begin");
    refused_section("type = exec\ncommand = true\non =\n", "on");
    refused_section("type = exec\ncommand = true\non_error = skip\n", "on_error");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("callbacks_exec");
    TCase *tests = tcase_create("callbacks_exec");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, the_run_is_in_its_environment);
    tcase_add_test(tests, what_it_says_is_heard);
    tcase_add_test(tests, it_is_not_listened_to_for_ever);
    tcase_add_test(tests, failures_are_said);
    tcase_add_test(tests, only_its_events_count);
    tcase_add_test(tests, the_time_limit_ends_all_of_it);
    tcase_add_test(tests, background_work_is_let_be);
    tcase_add_test(tests, nothing_leaks);
    tcase_add_test(tests, an_ignored_sigchld);
    tcase_add_test(tests, threads_go_on_beside_it);
    tcase_add_test(tests, a_run_that_is_to_stop_does_not_wait);
    tcase_add_test(tests, wrong_sections_are_refused);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
