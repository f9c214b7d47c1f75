/* cosine_decay.c: half a cosine from the initial rate down, after an optional rise: Keras' CosineDecay (Loshchilov and
 * Hutter, "SGDR", 2017). */
#include "common.h"

struct cosine_decay {
    struct tn_numbers initial_learning_rate, warmup_target;
    int64_t decay_steps, warmup_steps;
    double alpha;
};

static const struct tn_option options[] = {
    INITIAL_LEARNING_RATE(struct cosine_decay),
    DECAY_STEPS(struct cosine_decay, "steps of the fall, after those of the rise"),
    TN_FLOAT(struct cosine_decay, alpha, 0.0, 0.0, 1.0, "share of the rate that is left at the end"),
    TN_NUMBERS(struct cosine_decay, warmup_target, NULL, 0.0, TN_ANY,
               "rate to rise to from the initial one; what is not given means no rise"),
    TN_INT(struct cosine_decay, warmup_steps, 0, 0, 1e15, "steps of the rise"),
    TN_END,
};

static tn_status open_schedule(void *self, const struct tn_host *host, struct tn_error *error)
{
    const struct cosine_decay *o = self;
    tn_status status = at_most_one(&o->initial_learning_rate, "initial_learning_rate", error);
    (void)host;
    if (status == TN_OK)
        status = at_most_one(&o->warmup_target, "warmup_target", error);
    if (status == TN_OK && o->warmup_steps > 0 && !o->warmup_target.count)
        status = tn_fail(error, TN_INVALID, "warmup_steps: needs a warmup_target to rise to");
    return status;
}

static double rate(const void *self, const struct tn_schedule_point *point)
{
    const struct cosine_decay *o = self;
    double begin = initial_rate(&o->initial_learning_rate, point);
    double rise = o->warmup_target.count ? (double)o->warmup_steps : 0, step = (double)point->step;
    double fall = o->decay_steps ? (double)o->decay_steps : (double)point->total_steps - rise;
    double top = o->warmup_target.count ? o->warmup_target.items[0] : begin;
    if (step < rise)
        return begin + (top - begin) * step / rise;
    return top * ((1 - o->alpha) * cosine_fall(fall > 0 ? fmin((step - rise) / fall, 1) : 1) + o->alpha);
}

static const struct tn_schedule cosine_decay = {
    TN_TYPE_WITH(TN_SCHEDULE, "cosine_decay", struct cosine_decay, options,
                 "half a cosine from the initial rate down, after an optional rise", 0, open_schedule, NULL),
    .rate = rate,
};

TN_PLUGIN("tenon.schedules.cosine_decay", TENON_VERSION, "Apache-2.0", &cosine_decay.type);
