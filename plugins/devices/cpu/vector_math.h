/* vector_math.h: exp, log and friends as straight-line code that a compiler can vectorise. Relative errors are below
 * 3e-7 (tests/test_device_cpu.c holds every activation to 1e-5 of libm's). NaN stays NaN.
 */
#ifndef TENON_CPU_VECTOR_MATH_H
#define TENON_CPU_VECTOR_MATH_H

#include "cpu.h"

#include <string.h>

TN_INLINE uint32_t tn_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

TN_INLINE float tn_from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* e^x = 2^n * e^r with |r| <= ln(2) / 2; Taylor's polynomial of degree 7 for e^r is exact to 1 ulp there. */
TN_INLINE float tn_expf(float x)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    float bounded = x < -87.3f ? -87.3f : x, whole, rest, power;
    uint32_t n;
    bounded = bounded > 88.7f ? 88.7f : bounded;
    whole = bounded * 1.44269504f + shift;
    n = tn_bits(whole) - 0x4B400000u;
    whole -= shift;
    rest = bounded - whole * 0.693359375f;
    rest = rest + whole * 2.12194440e-4f;
    power = 1.0f / 5040;
    power = power * rest + 1.0f / 720;
    power = power * rest + 1.0f / 120;
    power = power * rest + 1.0f / 24;
    power = power * rest + 1.0f / 6;
    power = power * rest + 0.5f;
    power = power * rest + 1.0f;
    power = power * rest + 1.0f;
    /* In two steps: 2^128 is no float, yet 88.7 needs n = 128. */
    power = power * tn_from_bits(((n >> 1 | (n & 0x80000000u)) + 127u) << 23);
    power = power * tn_from_bits((n - (n >> 1 | (n & 0x80000000u)) + 127u) << 23);
    power = x > 88.722839f ? INFINITY : power;
    return x < -87.3f ? 0.0f : power;
}

/* Natural logarithm of a positive, normal number: x = 2^n * m, m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(s). */
TN_INLINE float tn_logf(float x)
{
    uint32_t bits = tn_bits(x) - 0x3F3504F3u; /* relative to sqrt(1/2) */
    float n = (float)((int32_t)bits >> 23);
    float m = tn_from_bits((bits & 0x007FFFFFu) + 0x3F3504F3u);
    float s = (m - 1.0f) / (m + 1.0f), t = s * s, sum;
    sum = 1.0f / 11;
    sum = sum * t + 1.0f / 9;
    sum = sum * t + 1.0f / 7;
    sum = sum * t + 1.0f / 5;
    sum = sum * t + 1.0f / 3;
    sum = sum * t * s + s;
    sum = 2.0f * sum;
    sum = sum + n * 2.12194440e-4f * -1.0f;
    return sum + n * 0.693359375f;
}

/* log(1 + u) for u >= 0: the rounding error of 1 + u is put back. */
TN_INLINE float tn_log1pf(float u)
{
    float y = 1.0f + u;
    float correction = (u - (y - 1.0f)) / y;
    return tn_logf(y) + correction;
}

TN_INLINE float tn_absf(float x)
{
    return tn_from_bits(tn_bits(x) & 0x7FFFFFFFu);
}

TN_INLINE float tn_copysignf(float magnitude, float sign)
{
    return tn_from_bits((tn_bits(magnitude) & 0x7FFFFFFFu) | (tn_bits(sign) & 0x80000000u));
}

TN_INLINE float tn_expm1f(float x)
{
    float large = tn_expf(x) - 1.0f, small;
    small = 1.0f / 5040;
    small = small * x + 1.0f / 720;
    small = small * x + 1.0f / 120;
    small = small * x + 1.0f / 24;
    small = small * x + 1.0f / 6;
    small = small * x + 0.5f;
    small = small * x * x + x;
    return tn_absf(x) < 0.35f ? small : large;
}

TN_INLINE float tn_sigmoidf(float x)
{
    return 1.0f / (1.0f + tn_expf(-x));
}

/* tanh |x| = 1 - 2 / (e^2|x| + 1), or from expm1 where that would cancel. */
TN_INLINE float tn_tanhf(float x)
{
    float a = tn_absf(x), e = tn_expm1f(2.0f * (a < 20.0f ? a : 20.0f));
    float y = e / (e + 2.0f);
    y = a != a ? a : y;
    return tn_copysignf(y, x);
}

TN_INLINE float tn_softplusf(float x)
{
    return (x > 0.0f ? x : 0.0f * x) + tn_log1pf(tn_expf(-tn_absf(x)));
}

/* erfc(z) for z >= 0 as t * exp(-z^2 + polynomial in t), t = 1 / (1 + z / 2): a Chebyshev fit whose relative error is
 * below 1.2e-7 everywhere, also far out where erfc itself is tiny. */
TN_INLINE float tn_erfcf(float z)
{
    float t = 1.0f / (1.0f + 0.5f * z), sum;
    sum = 0.17087277f;
    sum = sum * t + -0.82215223f;
    sum = sum * t + 1.48851587f;
    sum = sum * t + -1.13520398f;
    sum = sum * t + 0.27886807f;
    sum = sum * t + -0.18628806f;
    sum = sum * t + 0.09678418f;
    sum = sum * t + 0.37409196f;
    sum = sum * t + 1.00002368f;
    sum = sum * t + -1.26551223f;
    return t * tn_expf(sum - z * z);
}

/* The normal distribution's function Phi(x). */
TN_INLINE float tn_normal_cdff(float x)
{
    float half = 0.5f * tn_erfcf(tn_absf(x) * 0.70710678f);
    return x > 0.0f ? 1.0f - half : half;
}

#endif
