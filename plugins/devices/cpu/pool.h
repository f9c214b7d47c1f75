/* pool.h: pooling loops, used by the pooling ops and by convolutions with pooling fused in.
 *
 * Our own, because they have to give a maximum's gradient to the first maximum in row order, write the index of a
 * fused ReLU, and walk a few images at a time. Work is cut into strips of at most 16 channels.
 */
#ifndef TENON_CPU_POOL_H
#define TENON_CPU_POOL_H

#include "layout.h"

enum { TN_POOL_DEAD = 255 }; /* index of an output that passes no gradient (fused ReLU) */

struct tn_pool {
    struct tn_window window;
    struct tn_view x, y; /* of equal lanes; their batch is how many images a call works on */
    bool relu;           /* y = max(0, pooled) */
    bool wide;           /* indices are int32_t because the window has more than 255 pixels */
};

/* Fails when the window does not lead from x to y. */
bool tn_pool_make(struct tn_pool *pool, const struct tn_window *window, const struct tn_layout *x,
                  const struct tn_layout *y, bool relu);
/* Bytes of the indices of one call. */
uint64_t tn_pool_index_bytes(const struct tn_pool *pool);
/* Each input pixel is in one window at most. */
bool tn_pool_is_disjoint(const struct tn_window *window);

/* y and index may be NULL: not wanted. */
void tn_pool_forward(const struct tn_cpu *cpu, const struct tn_pool *pool, const float *x, float *y, void *index);
/* Writes all of dx. index is not read by average pooling. */
void tn_pool_backward(const struct tn_cpu *cpu, const struct tn_pool *pool, const float *dy, const void *index,
                      float *dx);

#endif
