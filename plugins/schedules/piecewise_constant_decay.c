/* piecewise_constant_decay.c: one rate until a step, another until the next: Keras' PiecewiseConstantDecay. */
#include "common.h"

struct piecewise_constant_decay {
    struct tn_numbers boundaries, values;
};

static const struct tn_option options[] = {
    TN_NUMBERS(struct piecewise_constant_decay, boundaries, NULL, 0.0, 1e15,
               "last step of each rate but the last, rising: 1000, 5000"),
    TN_NUMBERS(struct piecewise_constant_decay, values, NULL, 0.0, TN_ANY, "the rates, one more: 0.1, 0.01, 0.001"),
    TN_END,
};

static tn_status open_schedule(void *self, const struct tn_host *host, struct tn_error *error)
{
    const struct piecewise_constant_decay *o = self;
    (void)host;
    if (o->values.count != o->boundaries.count + 1)
        return tn_fail(error, TN_INVALID, "values: %u rates for %u boundaries, which need %u", o->values.count,
                       o->boundaries.count, o->boundaries.count + 1);
    for (uint32_t i = 1; i < o->boundaries.count; i++)
        if (!(o->boundaries.items[i] > o->boundaries.items[i - 1]))
            return tn_fail(error, TN_INVALID, "boundaries: %g does not come after %g", o->boundaries.items[i],
                           o->boundaries.items[i - 1]);
    return TN_OK;
}

static double rate(const void *self, const struct tn_schedule_point *point)
{
    const struct piecewise_constant_decay *o = self;
    uint32_t i = 0;
    while (i < o->boundaries.count && (double)point->step > o->boundaries.items[i])
        i++;
    return o->values.items[i];
}

static const struct tn_schedule piecewise_constant_decay = {
    TN_TYPE_WITH(TN_SCHEDULE, "piecewise_constant_decay", struct piecewise_constant_decay, options,
                 "one rate until a step, another until the next", 0, open_schedule, NULL),
    .rate = rate,
};

TN_PLUGIN("tenon.schedules.piecewise_constant_decay", TENON_VERSION, "Apache-2.0", &piecewise_constant_decay.type);
