/* timed_stop: pauses a run before a known limit of time, at the end of a step, and in good time for the validation and
 * the checkpoints at the end of an epoch. The same command goes on with it, as after a signal.
 */
#include "clock.h"
#include "tenon/plugin.h"

struct timed_stop {
    double max_time, margin;
    /* state; seconds of the monotonic clock */
    double begin, step_end, tail_begin;
    double longest_step, longest_tail;
    int32_t asked;
};

static const struct tn_option timed_stop_options[] = {
    TN_DURATION(struct timed_stop, max_time, NULL, 0, 1e9, "pause after this time, for example 11h30m"),
    TN_DURATION(struct timed_stop, margin, "0", 0, 1e9,
                "time to spare for saving the state; 0: a twentieth of max_time, at most a minute"),
    TN_END,
};

static tn_status timed_stop_open(void *self, const struct tn_host *host, struct tn_error *error)
{
    struct timed_stop *timed = self;
    (void)host;
    if (!(timed->max_time > 0))
        return tn_fail(error, TN_INVALID, "max_time: is missing (for example: max_time = 11h30m)");
    if (timed->margin >= timed->max_time)
        return tn_fail(error, TN_INVALID, "margin: is not shorter than max_time");
    if (!(timed->margin > 0))
        timed->margin = fmin(60, timed->max_time / 20);
    return TN_OK;
}

static void write_duration(char *text, size_t bytes, double seconds)
{
    long long whole = (long long)(seconds + 0.5);
    if (whole >= 3600)
        (void)snprintf(text, bytes, "%lldh%02lldm", whole / 3600, whole / 60 % 60);
    else if (whole >= 60)
        (void)snprintf(text, bytes, "%lldm%02llds", whole / 60, whole % 60);
    else
        (void)snprintf(text, bytes, "%.3gs", seconds);
}

/* What comes after the step in hand has to fit too: one more step, or the end of the epoch. */
static void step_ended(struct timed_stop *timed, const struct tn_run *run)
{
    double now = seconds_now(), left = timed->begin + timed->max_time - timed->margin - now;
    char reason[160], limit[48], spent[48];
    timed->longest_step = fmax(timed->longest_step, now - timed->step_end);
    timed->step_end = now;
    timed->tail_begin = now;
    if (timed->asked || left > (run->batch + 1 < run->batches ? timed->longest_step : timed->longest_tail))
        return;
    timed->asked = 1;
    write_duration(limit, sizeof limit, timed->max_time);
    write_duration(spent, sizeof spent, now - timed->begin);
    (void)snprintf(reason, sizeof reason, "after %s, before max_time = %s is over (epoch %d, step %llu)", spent, limit,
                   run->epoch + 1, (unsigned long long)run->step);
    run->stop(run, reason);
}

static tn_status timed_stop_on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    struct timed_stop *timed = self;
    (void)error;
    switch (event) {
    case TN_RUN_BEGIN:
        timed->begin = timed->step_end = seconds_now(); /* a run that goes on begins inside of an epoch */
        timed->longest_step = timed->longest_tail = timed->tail_begin = 0;
        timed->asked = 0;
        break;
    case TN_EPOCH_BEGIN:
        timed->step_end = seconds_now();
        if (timed->tail_begin > 0)
            timed->longest_tail = fmax(timed->longest_tail, timed->step_end - timed->tail_begin);
        break;
    case TN_BATCH_END:
        step_ended(timed, run);
        break;
    default:
        break;
    }
    return TN_OK;
}

static const struct tn_callback timed_stop = {
    TN_TYPE_WITH(TN_CALLBACK, "timed_stop", struct timed_stop, timed_stop_options,
                 "pause the run before a limit of time; the same command goes on with it", TN_CALLBACK_PAUSES,
                 timed_stop_open, NULL),
    .on = timed_stop_on,
};

TN_PLUGIN("tenon.callbacks.timed_stop", "0.1.0", "Apache-2.0", &timed_stop.type);
