/* common.h: what the optimizers share: Keras' order is clip, weight decay, update. */
#ifndef TENON_OPTIMIZERS_COMMON_H
#define TENON_OPTIMIZERS_COMMON_H

#include <math.h>
#include <tenon/plugin.h>

/* The same loop for machines with wider vectors, chosen when the plugin is loaded. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&               \
    !defined(__SANITIZE_THREAD__)
#define FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_CPU
#endif

static inline float prepared_gradient(float g, float limit)
{
    if (limit > 0.0f) {
        g = g > limit ? limit : g;
        g = g < -limit ? -limit : g;
    }
    return g;
}

/* Adds the members that every optimizer of Keras knows, where they are set, behind `length` bytes of its own. */
static inline tn_status common_config(char *text, uint64_t bytes, int length, double weight_decay, double clipvalue,
                                      struct tn_error *error)
{
    if (length > 0 && (uint64_t)length < bytes && weight_decay > 0)
        length += snprintf(text + length, (size_t)bytes - (size_t)length, ", \"weight_decay\": %.9g", weight_decay);
    if (length > 0 && (uint64_t)length < bytes && clipvalue > 0)
        length += snprintf(text + length, (size_t)bytes - (size_t)length, ", \"clipvalue\": %.9g", clipvalue);
    return length > 0 && (uint64_t)length < bytes
               ? TN_OK
               : tn_fail(error, TN_FAILED, "the configuration of the optimizer does not fit");
}

#endif
