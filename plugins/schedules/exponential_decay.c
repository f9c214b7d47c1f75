/* exponential_decay.c: the rate is multiplied by decay_rate again and again: Keras' ExponentialDecay. */
#include "common.h"

struct exponential_decay {
    struct tn_numbers initial_learning_rate;
    int64_t decay_steps;
    double decay_rate;
    int32_t staircase;
};

static const struct tn_option options[] = {
    INITIAL_LEARNING_RATE(struct exponential_decay),
    DECAY_STEPS(struct exponential_decay, "steps to which decay_rate applies once"),
    TN_FLOAT(struct exponential_decay, decay_rate, TN_REQUIRED, 0.0, TN_ANY,
             "what is left of the rate after decay_steps"),
    STAIRCASE(struct exponential_decay),
    TN_END,
};

static tn_status open_schedule(void *self, const struct tn_host *host, struct tn_error *error)
{
    const struct exponential_decay *o = self;
    (void)host;
    return at_most_one(&o->initial_learning_rate, "initial_learning_rate", error);
}

static double rate(const void *self, const struct tn_schedule_point *point)
{
    const struct exponential_decay *o = self;
    double share = share_done(o->decay_steps, point);
    if (o->staircase)
        share = floor(share);
    return initial_rate(&o->initial_learning_rate, point) * pow(o->decay_rate, share);
}

static const struct tn_schedule exponential_decay = {
    TN_TYPE_WITH(TN_SCHEDULE, "exponential_decay", struct exponential_decay, options,
                 "the rate is multiplied by decay_rate again and again", 0, open_schedule, NULL),
    .rate = rate,
};

TN_PLUGIN("tenon.schedules.exponential_decay", TENON_VERSION, "Apache-2.0", &exponential_decay.type);
