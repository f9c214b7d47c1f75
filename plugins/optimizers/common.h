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

#endif
