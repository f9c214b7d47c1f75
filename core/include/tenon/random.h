/* tenon/random.h: the counter-based random numbers of tenon.
 *
 * Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011). A stream is named by a 64-bit
 * key and a 64-bit stream number; draw i of a stream is a pure function of (key, stream, i). So the augmentation of
 * sample s in epoch e is the same for any number of workers, in any order, and after a restart, with no generator state
 * to save.
 */
#ifndef TENON_RANDOM_H
#define TENON_RANDOM_H

#include <stdint.h>

#include "tenon/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A position in one stream. Copying it forks it; make it with tn_random_stream. */
struct tn_random {
    uint64_t key, stream, position;
};

/* One Philox4x32-10 block: 128 bits from counter (stream, position) and key. */
TN_UNUSED static inline void tn_random_block(uint64_t key, uint64_t stream, uint64_t position, uint32_t out[4])
{
    uint32_t c0 = (uint32_t)position, c1 = (uint32_t)(position >> 32), c2 = (uint32_t)stream,
             c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

TN_UNUSED static inline struct tn_random tn_random_stream(uint64_t key, uint64_t stream)
{
    struct tn_random random = {key, stream, 0};
    return random;
}

/* 64 fresh bits. */
TN_UNUSED static inline uint64_t tn_random_bits(struct tn_random *random)
{
    uint32_t block[4];
    tn_random_block(random->key, random->stream, random->position++, block);
    return (uint64_t)block[1] << 32 | block[0];
}

/* Uniform in [0, 1), 53 bits. */
TN_UNUSED static inline double tn_random_unit(struct tn_random *random)
{
    return (double)(tn_random_bits(random) >> 11) * 0x1p-53;
}

/* Uniform in [low, high). */
TN_UNUSED static inline double tn_random_uniform(struct tn_random *random, double low, double high)
{
    return low + (high - low) * tn_random_unit(random);
}

/* Uniform whole number in [0, count); count > 0. The bias of the multiply method is below 2^-32 for count < 2^32. */
TN_UNUSED static inline uint64_t tn_random_below(struct tn_random *random, uint64_t count)
{
    uint64_t bits = tn_random_bits(random);
    uint64_t high = bits >> 32, low = bits & 0xFFFFFFFFu;
    if (count <= 0xFFFFFFFFu)
        return (high * count + (low * count >> 32)) >> 32;
    return bits % count;
}

#ifdef __cplusplus
}
#endif
#endif
