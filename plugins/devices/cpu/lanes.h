/* lanes.h: sixteen floats or numbers at once, by the vector types that GCC and Clang share. Loads and stores need no
 * alignment. They go through pointers, because passing such vectors by value depends on compiler flags.
 */
#ifndef TENON_CPU_LANES_H
#define TENON_CPU_LANES_H

#include "cpu.h"

#include <string.h>

enum { TN_LANES = 16 };
typedef float tn_floats16 __attribute__((vector_size(64)));
typedef int32_t tn_numbers16 __attribute__((vector_size(64)));
typedef uint8_t tn_bytes16 __attribute__((vector_size(16)));

TN_INLINE void tn_load16(tn_floats16 *to, const float *from)
{
    memcpy(to, from, sizeof *to);
}

TN_INLINE void tn_store16(float *to, const tn_floats16 *from)
{
    memcpy(to, from, sizeof *from);
}

/* Lanes of `yes` where the mask is all ones, of `no` where it is zero. */
TN_INLINE void tn_select16(tn_floats16 *to, const tn_numbers16 *mask, const tn_floats16 *yes, const tn_floats16 *no)
{
    *to = (tn_floats16)(((tn_numbers16)*yes & *mask) | ((tn_numbers16)*no & ~*mask));
}

TN_INLINE void tn_load_bytes16(tn_numbers16 *to, const uint8_t *from)
{
    tn_bytes16 bytes;
    memcpy(&bytes, from, sizeof bytes);
    *to = __builtin_convertvector(bytes, tn_numbers16);
}

TN_INLINE void tn_store_bytes16(uint8_t *to, const tn_numbers16 *from)
{
    tn_bytes16 bytes = __builtin_convertvector(*from, tn_bytes16);
    memcpy(to, &bytes, sizeof bytes);
}

#endif
