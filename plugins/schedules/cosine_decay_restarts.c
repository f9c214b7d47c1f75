/* cosine_decay_restarts.c: cosines one after the other, each longer and lower: Keras' CosineDecayRestarts (Loshchilov
 * and Hutter, "SGDR", 2017). */
#include "common.h"

struct cosine_decay_restarts {
    struct tn_numbers initial_learning_rate;
    int64_t first_decay_steps;
    double t_mul, m_mul, alpha;
};

static const struct tn_option options[] = {
    INITIAL_LEARNING_RATE(struct cosine_decay_restarts),
    TN_INT(struct cosine_decay_restarts, first_decay_steps, TN_REQUIRED, 1, 1e15, "steps of the first fall"),
    TN_FLOAT(struct cosine_decay_restarts, t_mul, 2.0, 1.0, 1e6,
             "each fall takes this many times the steps of the one before"),
    TN_FLOAT(struct cosine_decay_restarts, m_mul, 1.0, 0.0, 1e6, "and begins at this many times its rate"),
    TN_FLOAT(struct cosine_decay_restarts, alpha, 0.0, 0.0, 1.0, "share of the rate that is left at the end of a fall"),
    TN_END,
};

static tn_status open_schedule(void *self, const struct tn_host *host, struct tn_error *error)
{
    const struct cosine_decay_restarts *o = self;
    (void)host;
    return at_most_one(&o->initial_learning_rate, "initial_learning_rate", error);
}

static double rate(const void *self, const struct tn_schedule_point *point)
{
    const struct cosine_decay_restarts *o = self;
    double done = (double)point->step / (double)o->first_decay_steps, restarts, before, length;
    if (o->t_mul == 1) {
        restarts = floor(done);
        done -= restarts;
    } else {
        restarts = floor(log(1 - done * (1 - o->t_mul)) / log(o->t_mul));
        length = pow(o->t_mul, restarts);
        before = (1 - length) / (1 - o->t_mul);
        done = (done - before) / length;
    }
    return initial_rate(&o->initial_learning_rate, point) *
           ((1 - o->alpha) * pow(o->m_mul, restarts) * cosine_fall(done) + o->alpha);
}

static const struct tn_schedule cosine_decay_restarts = {
    TN_TYPE_WITH(TN_SCHEDULE, "cosine_decay_restarts", struct cosine_decay_restarts, options,
                 "cosines one after the other, each longer and lower", 0, open_schedule, NULL),
    .rate = rate,
};

TN_PLUGIN("tenon.schedules.cosine_decay_restarts", TENON_VERSION, "Apache-2.0", &cosine_decay_restarts.type);
