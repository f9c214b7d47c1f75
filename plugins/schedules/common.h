/* common.h: what Keras' schedules share: where the rate begins and how long it falls. */
#ifndef TENON_SCHEDULES_COMMON_H
#define TENON_SCHEDULES_COMMON_H

#include <math.h>

#include "tenon/plugin.h"

/* An option that may be absent is a list of at most one number. */
#define INITIAL_LEARNING_RATE(struct_)                                                                                 \
    TN_NUMBERS(struct_, initial_learning_rate, NULL, 0.0, TN_ANY,                                                      \
               "rate at the first step; what is not given is the optimizer's learning_rate")
#define DECAY_STEPS(struct_, help_) TN_INT(struct_, decay_steps, 0, 0, 1e15, help_ "; 0 = all steps of the run")
#define STAIRCASE(struct_)          TN_BOOL(struct_, staircase, 0, "fall in steps of decay_steps and not evenly")

TN_UNUSED static tn_status at_most_one(const struct tn_numbers *numbers, const char *name, struct tn_error *error)
{
    return numbers->count <= 1 ? TN_OK : tn_fail(error, TN_INVALID, "%s: one number, not %u", name, numbers->count);
}

TN_UNUSED static double initial_rate(const struct tn_numbers *given, const struct tn_schedule_point *point)
{
    return given->count ? given->items[0] : point->initial;
}

/* Share of `decay_steps` that is over; may pass 1. */
TN_UNUSED static double share_done(int64_t decay_steps, const struct tn_schedule_point *point)
{
    double all = decay_steps ? (double)decay_steps : (double)point->total_steps;
    return all > 0 ? (double)point->step / all : 0;
}

/* 1 at 0, 0 at 1. */
TN_UNUSED static double cosine_fall(double share)
{
    return 0.5 * (1 + cos(3.14159265358979323846 * share));
}

#endif
