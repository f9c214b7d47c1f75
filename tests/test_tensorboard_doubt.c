/* test_tensorboard_doubt.c: the callback tensorboard where things go wrong: a full disk, a folder that cannot be,
 * options; and the experiment that it writes beside the numbers.
 */
#include <signal.h>
#include <sys/resource.h>

#include "tensorboard_rig.h"

/* ---- the experiment ---- */

static void write_config(const struct played *played, const char *text)
{
    char path[128];
    struct tn_error error = {.status = TN_OK};
    (void)snprintf(path, sizeof path, "%s/config.ini", played->folder);
    ck_assert_int_eq(tn_file_write(path, text, strlen(text), &error), TN_OK);
}

START_TEST(the_experiment_is_text_and_parameters)
{
    static const char wanted[] = "\x1a\x78\x0a\x1e\x0a\x11"
                                 "layer:a/b.dropout\x12\x09\x11\0\0\0\0\0\0\xd0\x3f\x0a\x1c\x0a\x0f"
                                 "data.batch_size\x12\x09\x11\0\0\0\0\0\0\x40\x40\x0a\x12\x0a\x0c"
                                 "data.shuffle\x12\x02\x20\x01\x0a\x1b\x0a\x0f"
                                 "data.class_mode\x12\x08\x1a\x06"
                                 "sparse\x29";
    struct played played;
    struct events events;
    begin(&played, "hparams = layer:a/b.dropout, data.batch_size, data.shuffle, data.class_mode\n");
    write_config(&played,
                 "[data]\nbatch_size = 32\nshuffle    = yes\nclass_mode = sparse\n\n[layer:a/b]\ndropout=0.25");
    tell(&played, TN_RUN_BEGIN);
    tell(&played, TN_RUN_END);
    read_events(&played, "logs/train", 0, &events);
    ck_assert_uint_eq(events.count, 2);
    ck_assert(event_is(&events.items[1].tag, "configuration"));
    ck_assert(event_is(&events.items[1].plugin, "text"));
    ck_assert(event_is(
        &events.items[1].text,
        "    [data]\n    batch_size = 32\n    shuffle    = yes\n    class_mode = sparse\n    \n    [layer:a/b]\n"
        "    dropout=0.25"));
    events_release(&events);
    read_events(&played, "logs", 0, &events);
    ck_assert_uint_eq(events.count, 3);
    ck_assert(event_is(&events.items[1].tag, "_hparams_/session_start_info"));
    ck_assert(event_is(&events.items[1].plugin, "hparams"));
    ck_assert_uint_eq(events.items[1].plugin_content.count, 2 + 0x78);
    ck_assert_mem_eq(events.items[1].plugin_content.at, wanted, sizeof wanted - 1);
    ck_assert(event_is(&events.items[2].tag, "_hparams_/session_end_info"));
    ck_assert_mem_eq(events.items[2].plugin_content.at, "\x22\x0b\x08\x01\x11", 5);
    events_release(&events);
    end(&played);
}
END_TEST

/* ---- failures ---- */

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* As on a disk that is full for a while: one warning, never half a record, and all is there when there is room again.
 */
START_TEST(a_full_disk_is_a_warning)
{
    struct played played;
    struct events events;
    (void)signal(SIGXFSZ, SIG_IGN);
    begin(&played, "update_freq = batch\n");
    tell(&played, TN_RUN_BEGIN);
    train_epoch(&played, 4);
    limit_files(600); /* inside of a record */
    train_epoch(&played, 4);
    train_epoch(&played, 4);
    ck_assert_uint_eq(played.said_count, 1);
    ck_assert_ptr_nonnull(strstr(played.said, "training goes on"));
    read_events(&played, "logs/train", 0, &events);
    ck_assert_uint_eq(events.count, 1 + 6);
    events_release(&events);
    limit_files(RLIM_INFINITY);
    train_epoch(&played, 4);
    tell(&played, TN_RUN_END);
    read_events(&played, "logs/train", 0, &events);
    ck_assert_uint_eq(events.count, 1 + 4 * 6);
    for (uint64_t step = 1; step <= 16; step++)
        (void)find_event(&events, "batch_loss", step);
    events_release(&events);
    ck_assert_uint_eq(played.said_count, 1);
    end(&played);
}
END_TEST

/* For so long that what waits has no room in memory: it is missing, and what comes later is there. */
START_TEST(a_disk_full_for_long_leaves_a_gap)
{
    struct played played;
    struct events events;
    (void)signal(SIGXFSZ, SIG_IGN);
    begin(&played, "update_freq = batch\n");
    limit_files(0);
    tell(&played, TN_RUN_BEGIN);
    train_epoch(&played, 10000);
    ck_assert_uint_eq(played.said_count, 1);
    limit_files(RLIM_INFINITY);
    tell(&played, TN_EPOCH_END);
    train_epoch(&played, 1);
    tell(&played, TN_RUN_END);
    read_events(&played, "logs/train", 0, &events);
    ck_assert_uint_gt(events.count, 3000);
    ck_assert_uint_lt(events.count, 10000);
    (void)find_event(&events, "batch_loss", 1);
    (void)find_event(&events, "batch_loss", 10001);
    events_release(&events);
    end(&played);
}
END_TEST

static void refused_option(const char *keys, const char *part)
{
    struct played played;
    memset(&played, 0, sizeof played);
    ck_assert_msg(open_callback(&played, keys) != TN_OK, "accepted: %s", keys);
    ck_assert_msg(strstr(played.problems.items[0].text, part) != NULL, "%s\n  is refused with: %s", keys,
                  played.problems.items[0].text);
    close_callback(&played);
}

static void refused_run(const char *keys, const char *part)
{
    struct played played;
    struct tn_error error = {.status = TN_OK};
    begin(&played, keys);
    write_config(&played, "[data]\nbatch_size = 32\n");
    ck_assert_msg(tell_status(&played, TN_RUN_BEGIN, &error) != TN_OK, "accepted: %s", keys);
    ck_assert_msg(strstr(error.text, part) != NULL, "%s\n  is refused with: %s", keys, error.text);
    end(&played);
}

START_TEST(mistakes_are_said_before_the_first_epoch)
{
    refused_option("update_freq = often\n", "neither `epoch` nor `batch`");
    refused_option("update_freq = 0\n", "neither `epoch` nor `batch`");
    refused_option("update_freq = 5x\n", "neither `epoch` nor `batch`");
    refused_option("histogram_freq = -1\n", "histogram_freq");
    refused_option("write_grads = yes\n", "histogram_freq says how often");
    refused_option("images = 65\n", "images");
    refused_option("write_graph = no\n", "write_graph");
    refused_run("log_dir = config.ini\n", "cannot write");
    refused_run("log_dir = /proc/none\n", "cannot write /proc/none");
    refused_run("hparams = data.batch\n", "data.batch is not in the experiment");
    refused_run("hparams = batch_size\n", "batch_size is not in the experiment");
    refused_run("hparams = dat.batch_size\n", "not in the experiment");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensorboard_doubt");
    TCase *tests = tcase_create("tensorboard_doubt");
    SRunner *runner;
    int failed;
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, the_experiment_is_text_and_parameters);
    tcase_add_test(tests, a_full_disk_is_a_warning);
    tcase_add_test(tests, a_disk_full_for_long_leaves_a_gap);
    tcase_add_test(tests, mistakes_are_said_before_the_first_epoch);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
