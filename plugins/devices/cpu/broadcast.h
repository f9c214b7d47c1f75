/* broadcast.h: NumPy's broadcasting on plain values: where the rows of operands lie. */
#ifndef TENON_CPU_BROADCAST_H
#define TENON_CPU_BROADCAST_H

#include "kernel.h"

/* Walks the result row by row (a row = the last axis). */
struct tn_broadcast {
    int32_t rank;
    int64_t dims[TN_MAX_RANK];     /* of the result */
    int64_t steps[2][TN_MAX_RANK]; /* of both operands; 0 along axes that they repeat */
    int64_t rows, width;
};

/* False when the operands do not broadcast to the result. `b` may be NULL. */
bool tn_broadcast_make(struct tn_broadcast *broadcast, const struct tn_shape *result, const struct tn_shape *a,
                       const struct tn_shape *b);

/* Where row `row` of operand `which` begins. */
TN_INLINE int64_t tn_broadcast_row(const struct tn_broadcast *broadcast, int which, int64_t row)
{
    int64_t offset = 0;
    for (int32_t i = broadcast->rank - 2; i >= 0; i--) {
        offset += row % broadcast->dims[i] * broadcast->steps[which][i];
        row /= broadcast->dims[i];
    }
    return offset;
}

/* Step of an operand inside a row: 1 or 0. */
TN_INLINE int64_t tn_broadcast_step(const struct tn_broadcast *broadcast, int which)
{
    return broadcast->steps[which][broadcast->rank - 1];
}

#endif
