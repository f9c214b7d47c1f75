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
/* Each step: how long it took, and whether a state was copied or written beside it. */
enum { MOST_STEPS = 100000, AROUND = 15 };
static double took_step[MOST_STEPS];
static bool beside[MOST_STEPS];
static double step_began;
static atomic_int writing;
static atomic_bool was_writing;

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
    atomic_fetch_add(&writing, 1);
    atomic_store(&was_writing, true);
    tn_status status = __real_tn_state_shelve(shelf, generation, data, bytes, error);
    atomic_fetch_sub(&writing, 1);
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
    if (atomic_load(&measuring) && progress->batch <= MOST_STEPS) {
        took_step[progress->batch - 1] = clock_seconds(CLOCK_MONOTONIC) - step_began;
        beside[progress->batch - 1] = atomic_exchange(&was_writing, atomic_load(&writing) > 0);
    }
    step_began = clock_seconds(CLOCK_MONOTONIC);
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

/* ---- how much longer steps take beside a saving than those around it ---- */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* In all, in seconds. Both are of one minute of one run: a machine that is slower for a while does not matter. */
static double slowed(int count)
{
    double sum = 0, around[2 * AROUND + 1];
    for (int i = SKIPPED_STEPS; i < count; i++) {
        size_t alone = 0;
        if (!beside[i])
            continue;
        for (int k = i - AROUND; k <= i + AROUND; k++)
            if (k >= SKIPPED_STEPS && k < count && !beside[k])
                around[alone++] = took_step[k];
        if (alone < AROUND / 2)
            continue;
        qsort(around, alone, sizeof *around, compare);
        sum += took_step[i] - around[alone / 2];
    }
    return sum;
}

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
                 "writer_core=%.4f slowed=%.4f\n",
                 (unsigned long long)steps, last.wall - first.wall, last.core - first.core, writes,
                 (unsigned long long)writer_bytes, held_up, held_up_most, writer_wall, writer_core,
                 slowed((int)steps + SKIPPED_STEPS));
    return 0;
}
