/* state_cost.c: trains an experiment and says what saving its state has cost: how long steps were held up, and what the
 * thread that writes took of a core. It is linked from the core's own objects, so that two of its functions can be
 * timed (--wrap). usage: state_cost FILE [section.key=value …]     prints name=value, of all steps but the first two
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "train/state.h"

enum { SKIPPED_STEPS = 2 };

struct moment {
    double wall, core; /* seconds; of the whole process */
};
static struct moment first, last;
static uint64_t steps;
static double held_up, held_up_most; /* the training thread, by saving */
static double writer_wall, writer_core;
static uint64_t writer_bytes;
static unsigned writes;
static atomic_bool measuring;

static double clock_seconds(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static struct moment now(void)
{
    return (struct moment){clock_seconds(CLOCK_MONOTONIC), clock_seconds(CLOCK_PROCESS_CPUTIME_ID)};
}

/* ---- what is timed ---- */

tn_status __real_tn_state_after_step(struct tn_loop *loop, bool epoch_end, struct tn_error *error);
tn_status __wrap_tn_state_after_step(struct tn_loop *loop, bool epoch_end, struct tn_error *error);
tn_status __wrap_tn_state_after_step(struct tn_loop *loop, bool epoch_end, struct tn_error *error)
{
    double begin = clock_seconds(CLOCK_MONOTONIC);
    tn_status status = __real_tn_state_after_step(loop, epoch_end, error);
    double took = clock_seconds(CLOCK_MONOTONIC) - begin;
    if (atomic_load(&measuring)) {
        held_up += took;
        held_up_most = fmax(held_up_most, took);
    }
    return status;
}

tn_status __real_tn_state_shelve(struct tn_state_shelf *shelf, uint64_t generation, const void *data, uint64_t bytes,
                                 struct tn_error *error);
tn_status __wrap_tn_state_shelve(struct tn_state_shelf *shelf, uint64_t generation, const void *data, uint64_t bytes,
                                 struct tn_error *error);
tn_status __wrap_tn_state_shelve(struct tn_state_shelf *shelf, uint64_t generation, const void *data, uint64_t bytes,
                                 struct tn_error *error)
{
    bool counts = atomic_load(&measuring);
    double wall = clock_seconds(CLOCK_MONOTONIC), core = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
    tn_status status = __real_tn_state_shelve(shelf, generation, data, bytes, error);
    if (counts) { /* one thread calls this, and it has ended when the numbers are read */
        writer_wall += clock_seconds(CLOCK_MONOTONIC) - wall;
        writer_core += clock_seconds(CLOCK_THREAD_CPUTIME_ID) - core;
        writer_bytes = bytes;
        writes++;
    }
    return status;
}

static void step_ended(void *context, const struct tn_progress *progress, int32_t way, const char *text)
{
    (void)way;
    (void)text;
    (void)context;
    if (progress->phase != 0)
        return;
    if (progress->batch == SKIPPED_STEPS) {
        first = now();
        atomic_store(&measuring, true);
    }
    if (progress->batch == progress->batches) {
        last = now();
        steps = progress->batches - SKIPPED_STEPS;
        atomic_store(&measuring, false); /* the last state of a run is not what is measured */
    }
}

/* ---- */

int main(int count, char **words)
{
    struct tn_experiment *experiment = NULL;
    struct tn_problems problems = {0};
    struct tn_train_request request = {.quiet = 1, .fresh = 1, .progress = step_ended};
    struct tn_train_result result;
    struct tn_error error = {.status = TN_OK};
    if (count < 2)
        return 2;
    tn_status status =
        tn_experiment_open(words[1], (const char *const *)(words + 2), (size_t)count - 2, 0, &experiment, &problems);
    for (size_t i = 0; i < problems.count; i++)
        (void)fprintf(stderr, "state_cost: %s\n", problems.items[i].text);
    if (status == TN_OK)
        status = tn_experiment_train(experiment, &request, &result, &error);
    if (error.text[0])
        (void)fprintf(stderr, "state_cost: %s\n", error.text);
    tn_experiment_close(&experiment);
    tn_problems_release(&problems);
    if (status != TN_OK)
        return 1;
    (void)printf("steps=%llu wall=%.3f core=%.3f saves=%u bytes=%llu held_up=%.4f held_up_most=%.4f writer_wall=%.3f "
                 "writer_core=%.4f\n",
                 (unsigned long long)steps, last.wall - first.wall, last.core - first.core, writes,
                 (unsigned long long)writer_bytes, held_up, held_up_most, writer_wall, writer_core);
    return 0;
}
