/* common.h: what the losses share: Keras' constants and the division by the batch. */
#ifndef TENON_LOSSES_COMMON_H
#define TENON_LOSSES_COMMON_H

#include <math.h>
#include <tenon/plugin.h>

/* Keras clips probabilities to [1e-7, 1 - 1e-7] before it takes a logarithm. */
#define PROBABILITY_MINIMUM 1e-7

TN_UNUSED static inline double clipped(double p)
{
    return p < PROBABILITY_MINIMUM         ? PROBABILITY_MINIMUM
           : p > 1.0 - PROBABILITY_MINIMUM ? 1.0 - PROBABILITY_MINIMUM
                                           : p;
}

/* Whether the clip lets a gradient through. */
TN_UNUSED static inline int inside(double p)
{
    return p > PROBABILITY_MINIMUM && p < 1.0 - PROBABILITY_MINIMUM;
}

TN_UNUSED static inline double weight_of(const struct tn_loss_pass *pass, int32_t sample)
{
    return pass->weight ? pass->weight[sample] : 1.0;
}

/* log(sum(exp(x))) without overflow. */
TN_UNUSED static inline double log_sum_exp(const float *x, int32_t count)
{
    double largest = x[0], sum = 0;
    for (int32_t k = 1; k < count; k++)
        largest = x[k] > largest ? x[k] : largest;
    for (int32_t k = 0; k < count; k++)
        sum += exp(x[k] - largest);
    return largest + log(sum);
}

/* What snprintf() said of a configuration. */
TN_UNUSED static inline tn_status fits(uint64_t bytes, struct tn_error *error, int length)
{
    return length > 0 && (uint64_t)length < bytes
               ? TN_OK
               : tn_fail(error, TN_FAILED, "the configuration of the loss does not fit");
}

#endif
