/* stages.c: what the time of the workers goes into. Each worker has a clock of its own, which nobody else reads while
 * an epoch is streamed; tn_dataset_begin and tn_dataset_end, which take the lock, stand between. */
#include "data/dataset.h"

void tn_stage_note(struct tn_stage_clock *clock, int32_t stage)
{
    double now = tn_seconds_now();
    if (stage >= 0)
        clock->times.seconds[stage] += now - clock->at;
    else
        clock->times.samples++;
    clock->at = now;
}

void tn_dataset_watch(struct tn_dataset *dataset, bool watch)
{
    dataset->watched = watch;
    for (int32_t i = 0; dataset->workers && i < dataset->worker_count; i++)
        dataset->workers[i].clock = (struct tn_stage_clock){0};
}

struct tn_stage_times tn_dataset_stage_times(const struct tn_dataset *dataset, int32_t number)
{
    if (!dataset->workers || number < 0 || number >= dataset->worker_count)
        return (struct tn_stage_times){0};
    return dataset->workers[number].clock.times;
}

int32_t tn_dataset_slowest_stage(const struct tn_dataset *dataset)
{
    struct tn_stage_times all = {0};
    int32_t slowest = 0;
    for (int32_t i = 0; dataset->workers && i < dataset->worker_count; i++)
        for (int32_t stage = 0; stage < TN_STAGES; stage++)
            all.seconds[stage] += dataset->workers[i].clock.times.seconds[stage];
    for (int32_t stage = 1; stage < TN_STAGES; stage++)
        if (all.seconds[stage] > all.seconds[slowest])
            slowest = stage;
    return all.seconds[slowest] > 0 ? slowest : -1;
}
