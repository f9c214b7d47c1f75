/* permutation.h: the order of an epoch as a function, not as a list. */
#ifndef TENON_PERMUTATION_H
#define TENON_PERMUTATION_H

#include <stdint.h>

/* A bijection of [0, count), named by (seed, epoch). Small enough to be made anew wherever it is needed. */
struct tn_permutation {
    uint64_t key, count, left, right; /* left * right >= count: the two halves of the Feistel network */
};

struct tn_permutation tn_permutation_make(uint64_t seed, uint64_t epoch, uint64_t count);
/* Image of `position` < count. */
uint64_t tn_permutation_at(const struct tn_permutation *permutation, uint64_t position);

#endif
