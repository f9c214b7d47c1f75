/* elementwise.h: running a flat loop over whole values, on all threads. */
#ifndef TENON_CPU_ELEMENTWISE_H
#define TENON_CPU_ELEMENTWISE_H

#include "kernel.h"

/* y[i] = f(x0[i], x1[i], x2[i]); buffers may be the same, or NULL where f does not read them. */
typedef void (*tn_elementwise)(const float *x0, const float *x1, const float *x2, float *y, uint64_t count,
                               const float parameters[4]);

/* Over all stored elements, padding included: for functions with f(0) = 0. */
void tn_elementwise_run(const struct tn_cpu *cpu, tn_elementwise function, const float *x0, const float *x1,
                        const float *x2, float *y, uint64_t count, const float parameters[4]);
/* y = x1 > 0 ? x0 : 0: the gradient of a fused ReLU; oneDNN's own is several times slower. */
void tn_relu_mask(const float *x0, const float *x1, const float *x2, float *y, uint64_t count,
                  const float parameters[4]);
/* y = x0 + x1. */
void tn_add(const float *x0, const float *x1, const float *x2, float *y, uint64_t count, const float parameters[4]);
/* Writes zeros into the channels that are padding. Nothing to do for layouts without any. */
void tn_clear_padding(const struct tn_cpu *cpu, const struct tn_layout *layout, float *data);

#endif
