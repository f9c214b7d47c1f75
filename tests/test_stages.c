/* test_stages.c: the clocks of the workers: every sample is counted once, time goes into all stages, and nothing is
 * counted unless it was asked for. */
#include "data_rig.h"

static const char ini[] = "[data]\ntarget_size = 24x24\nbatch_size = 8\nclass_mode = sparse\nworkers = %d\n"
                          "[source:s]\ntype = shapes\ncount = 100\n";

static void stream(struct rig *rig, uint64_t epoch)
{
    const struct tn_batch *batch = NULL;
    ck_assert_int_eq(tn_dataset_begin(rig->dataset, epoch, 0, &rig->error), TN_OK);
    do
        ck_assert_int_eq(tn_dataset_next(rig->dataset, &batch, &rig->error), TN_OK);
    while (batch);
    tn_dataset_end(rig->dataset);
}

static struct tn_stage_times sum(const struct rig *rig)
{
    struct tn_stage_times all = {0};
    for (int32_t i = 0; i < tn_dataset_workers(rig->dataset); i++) {
        struct tn_stage_times times = tn_dataset_stage_times(rig->dataset, i);
        all.samples += times.samples;
        for (int stage = 0; stage < TN_STAGES; stage++)
            all.seconds[stage] += times.seconds[stage];
    }
    return all;
}

START_TEST(every_sample_is_counted_once)
{
    struct rig rig;
    char text[512];
    (void)snprintf(text, sizeof text, ini, _i);
    ck_assert_msg(rig_open(&rig, text) == TN_OK, "%s", rig.error.text);
    stream(&rig, 0);
    ck_assert_uint_eq(sum(&rig).samples, 0); /* nobody has asked */
    tn_dataset_watch(rig.dataset, true);
    double before = tn_seconds_now();
    stream(&rig, 1);
    stream(&rig, 2);
    double took = tn_seconds_now() - before;
    struct tn_stage_times all = sum(&rig);
    ck_assert_uint_eq(all.samples, 200);
    ck_assert(all.seconds[TN_STAGE_READ] > 0 && all.seconds[TN_STAGE_SAMPLE] > 0);
    ck_assert(all.seconds[0] + all.seconds[1] + all.seconds[2] <= took * _i);
    tn_dataset_watch(rig.dataset, false);
    stream(&rig, 3);
    ck_assert_uint_eq(sum(&rig).samples, 0);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stages");
    TCase *tcase = tcase_create("stages");
    tcase_add_loop_test(tcase, every_sample_is_counted_once, 1, 5);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
