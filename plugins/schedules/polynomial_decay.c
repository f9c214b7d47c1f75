/* polynomial_decay.c: from the initial rate to another along a power of time, 1 being a line: Keras' PolynomialDecay.
 */
#include "common.h"

struct polynomial_decay {
    struct tn_numbers initial_learning_rate;
    int64_t decay_steps;
    double end_learning_rate, power;
    int32_t cycle;
};

static const struct tn_option options[] = {
    INITIAL_LEARNING_RATE(struct polynomial_decay),
    DECAY_STEPS(struct polynomial_decay, "steps of the fall"),
    TN_FLOAT(struct polynomial_decay, end_learning_rate, 0.0001, 0.0, TN_ANY, "rate at its end"),
    TN_FLOAT(struct polynomial_decay, power, 1.0, 0.0, TN_ANY, "1 = a line, 2 = a parabola"),
    TN_BOOL(struct polynomial_decay, cycle, 0, "begin again, with a longer fall, when the end is reached"),
    TN_END,
};

static tn_status open_schedule(void *self, const struct tn_host *host, struct tn_error *error)
{
    const struct polynomial_decay *o = self;
    (void)host;
    return at_most_one(&o->initial_learning_rate, "initial_learning_rate", error);
}

static double rate(const void *self, const struct tn_schedule_point *point)
{
    const struct polynomial_decay *o = self;
    double begin = initial_rate(&o->initial_learning_rate, point), share = share_done(o->decay_steps, point);
    if (o->cycle)
        share = share > 0 ? share / ceil(share) : 0;
    else
        share = fmin(share, 1);
    return (begin - o->end_learning_rate) * pow(1 - share, o->power) + o->end_learning_rate;
}

static const struct tn_schedule polynomial_decay = {
    TN_TYPE_WITH(TN_SCHEDULE, "polynomial_decay", struct polynomial_decay, options,
                 "from the initial rate to another, evenly or along a power of time", 0, open_schedule, NULL),
    .rate = rate,
};

TN_PLUGIN("tenon.schedules.polynomial_decay", TENON_VERSION, "Apache-2.0", &polynomial_decay.type);
