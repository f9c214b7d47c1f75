/* inverse_time_decay.c: the rate is divided by 1 + decay_rate * time: Keras' InverseTimeDecay. */
#include "common.h"

struct inverse_time_decay {
    struct tn_numbers initial_learning_rate;
    int64_t decay_steps;
    double decay_rate;
    int32_t staircase;
};

static const struct tn_option options[] = {
    INITIAL_LEARNING_RATE(struct inverse_time_decay),
    DECAY_STEPS(struct inverse_time_decay, "steps to which decay_rate applies once"),
    TN_FLOAT(struct inverse_time_decay, decay_rate, TN_REQUIRED, 0.0, TN_ANY, "1 halves the rate after decay_steps"),
    STAIRCASE(struct inverse_time_decay),
    TN_END,
};

static tn_status open_schedule(void *self, const struct tn_host *host, struct tn_error *error)
{
    const struct inverse_time_decay *o = self;
    (void)host;
    return at_most_one(&o->initial_learning_rate, "initial_learning_rate", error);
}

static double rate(const void *self, const struct tn_schedule_point *point)
{
    const struct inverse_time_decay *o = self;
    double share = share_done(o->decay_steps, point);
    if (o->staircase)
        share = floor(share);
    return initial_rate(&o->initial_learning_rate, point) / (1 + o->decay_rate * share);
}

static const struct tn_schedule inverse_time_decay = {
    TN_TYPE_WITH(TN_SCHEDULE, "inverse_time_decay", struct inverse_time_decay, options,
                 "the rate is divided by 1 + decay_rate * time", 0, open_schedule, NULL),
    .rate = rate,
};

TN_PLUGIN("tenon.schedules.inverse_time_decay", TENON_VERSION, "Apache-2.0", &inverse_time_decay.type);
