/* kernels.c: the innermost loops of sampling.c.
 *
 * Positions are 32.32 fixed point: the upper half is the pixel, the lower half the blend factor (24 bits of it, which a
 * float holds exactly). A blend is horizontal first, then vertical, as in TensorFlow.
 */
#include "data/kernels.h"

#include <math.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>
#define HAVE_AVX2_KERNEL 1
#endif
#endif

static int64_t fixed(double position)
{
    return (int64_t)floor(position * 0x1p32 + 0.5);
}

static float fraction(int64_t position)
{
    return (float)((uint32_t)position >> 8) * 0x1p-24f;
}

static float blend(float upper_left, float upper_right, float lower_left, float lower_right, float across, float down)
{
    float upper = upper_left + (upper_right - upper_left) * across;
    float lower = lower_left + (lower_right - lower_left) * across;
    return upper + (lower - upper) * down;
}

/* Rounded to the nearest byte; `value` lies in 0..255 or is a fill value that the user gave. */
static unsigned char to_byte(float value)
{
    return value >= 255 ? 255 : value > 0 ? (unsigned char)(value + 0.5f) : 0;
}

static void store(const struct tn_kernel *kernel, void *out, int32_t channel, float value)
{
    if (kernel->pixel_type == TN_PIXEL_U8)
        ((unsigned char *)out)[channel] = to_byte(value);
    else
        ((float *)out)[channel] = value * kernel->scale.scale[channel] + kernel->scale.shift[channel];
}

static float load(const struct tn_image *in, size_t index)
{
    return in->pixel_type == TN_PIXEL_U8 ? (float)((const unsigned char *)in->pixels)[index]
                                         : ((const float *)in->pixels)[index];
}

/* ---- any picture ---- */

static void walk_plain(const struct tn_kernel *kernel, void *out, const struct tn_walk *walk)
{
    const struct tn_image *in = kernel->in;
    size_t channels = (size_t)in->channels, row = (size_t)in->width * channels;
    size_t out_bytes = (size_t)kernel->channels * (kernel->pixel_type == TN_PIXEL_U8 ? 1 : sizeof(float));
    int64_t y = fixed(walk->y), x = fixed(walk->x);
    int64_t step_y = walk->count > 1 ? fixed(walk->step_y) : 0, step_x = walk->count > 1 ? fixed(walk->step_x) : 0;
    for (int32_t i = 0; i < walk->count; i++, y += step_y, x += step_x, out = (unsigned char *)out + out_bytes) {
        size_t at = (size_t)(y >> 32) * row + (size_t)(x >> 32) * channels;
        float across = fraction(x), down = fraction(y);
        for (int32_t c = 0; c < kernel->channels; c++, at++)
            store(kernel, out, c,
                  blend(load(in, at), load(in, at + channels), load(in, at + row), load(in, at + row + channels),
                        across, down));
    }
}

/* floor(p + 0.5); the nudge lets a tie that rounding has pushed down go up, as it does exactly. */
static double to_nearest(double position)
{
    return position + 0.5 + 0x1p-20;
}

static void walk_nearest(const struct tn_kernel *kernel, void *out, const struct tn_walk *walk)
{
    const struct tn_image *in = kernel->in;
    size_t channels = (size_t)in->channels, row = (size_t)in->width * channels;
    size_t out_bytes = (size_t)kernel->channels * (kernel->pixel_type == TN_PIXEL_U8 ? 1 : sizeof(float));
    int64_t y = fixed(to_nearest(walk->y)), x = fixed(to_nearest(walk->x));
    int64_t step_y = walk->count > 1 ? fixed(walk->step_y) : 0, step_x = walk->count > 1 ? fixed(walk->step_x) : 0;
    for (int32_t i = 0; i < walk->count; i++, y += step_y, x += step_x, out = (unsigned char *)out + out_bytes) {
        size_t at = (size_t)(y >> 32) * row + (size_t)(x >> 32) * channels;
        for (int32_t c = 0; c < kernel->channels; c++)
            store(kernel, out, c, load(in, at + (size_t)c));
    }
}

void tn_kernel_point(const struct tn_kernel *kernel, void *out, double y, double x)
{
    const struct tn_image *in = kernel->in;
    size_t channels = (size_t)in->channels, row = (size_t)in->width * channels;
    double bottom = in->height - 1, right = in->width - 1;
    if (kernel->nearest)
        y = floor(to_nearest(y)), x = floor(to_nearest(x));
    y = !(y > 0) ? 0 : y > bottom ? bottom : y; /* NaN becomes 0 */
    x = !(x > 0) ? 0 : x > right ? right : x;
    int64_t fixed_y = (int64_t)(y * 0x1p32 + 0.5), fixed_x = (int64_t)(x * 0x1p32 + 0.5); /* as fixed(): not below 0 */
    size_t upper = (size_t)(fixed_y >> 32), left = (size_t)(fixed_x >> 32);
    size_t at = upper * row + left * channels;
    size_t down_step = upper + 1 < (size_t)in->height ? row : 0;
    size_t right_step = left + 1 < (size_t)in->width ? channels : 0;
    float across = fraction(fixed_x), down = fraction(fixed_y);
    if (kernel->point) {
        const unsigned char *corner = (const unsigned char *)in->pixels + at;
        kernel->point(kernel, out, corner, right_step, down_step, across, down);
        return;
    }
    for (int32_t c = 0; c < kernel->channels; c++, at++)
        store(kernel, out, c,
              blend(load(in, at), load(in, at + right_step), load(in, at + down_step),
                    load(in, at + down_step + right_step), across, down));
}

void tn_kernel_fill(const struct tn_kernel *kernel, void *out, float value)
{
    for (int32_t c = 0; c < kernel->channels; c++)
        store(kernel, out, c, value);
}

void tn_kernel_copy_row(const struct tn_kernel *kernel, void *out, int32_t y, bool mirrored)
{
    const struct tn_image *in = kernel->in;
    size_t channels = (size_t)in->channels, row = (size_t)y * (size_t)in->width * channels;
    size_t out_bytes = (size_t)kernel->channels * (kernel->pixel_type == TN_PIXEL_U8 ? 1 : sizeof(float));
    if (kernel->copy) {
        size_t first = mirrored ? (size_t)in->width - 1 : 0;
        kernel->copy(kernel, out, (const unsigned char *)in->pixels + row + first * 4, mirrored ? -4 : 4, in->width);
        return;
    }
    for (int32_t x = 0; x < in->width; x++, out = (unsigned char *)out + out_bytes) {
        size_t at = row + (size_t)(mirrored ? in->width - 1 - x : x) * channels;
        for (int32_t c = 0; c < kernel->channels; c++)
            store(kernel, out, c, load(in, at + (size_t)c));
    }
}

/* In float as TensorFlow does it, so that ties fall on the same side as there. */
int32_t tn_kernel_nearest(int32_t i, double ratio, int32_t pixels)
{
    float position = floorf(((float)i + 0.5f) * (float)ratio);
    return position >= (float)pixels ? pixels - 1 : (int32_t)position;
}

void tn_kernel_pick_row(const struct tn_kernel *kernel, void *out, int32_t y, int32_t width, double ratio,
                        bool mirrored)
{
    const struct tn_image *in = kernel->in;
    size_t channels = (size_t)in->channels, row = (size_t)y * (size_t)in->width * channels;
    size_t out_bytes = (size_t)kernel->channels * (kernel->pixel_type == TN_PIXEL_U8 ? 1 : sizeof(float));
    for (int32_t x = 0; x < width; x++, out = (unsigned char *)out + out_bytes) {
        size_t at = row + (size_t)tn_kernel_nearest(mirrored ? width - 1 - x : x, ratio, in->width) * channels;
        for (int32_t c = 0; c < kernel->channels; c++)
            store(kernel, out, c, load(in, at + (size_t)c));
    }
}

/* ---- 4-byte pixels: what nearly every picture takes ---- */

#if defined(__SSE2__)

static inline __m128 blend_vectors(__m128 upper_left, __m128 upper_right, __m128 lower_left, __m128 lower_right,
                                   __m128 across, __m128 down)
{
    __m128 upper = _mm_add_ps(upper_left, _mm_mul_ps(_mm_sub_ps(upper_right, upper_left), across));
    __m128 lower = _mm_add_ps(lower_left, _mm_mul_ps(_mm_sub_ps(lower_right, lower_left), across));
    return _mm_add_ps(upper, _mm_mul_ps(_mm_sub_ps(lower, upper), down));
}

/* Two neighbouring pixels from each of two rows, blended: four channels at once. */
static inline __m128 blend_four(const unsigned char *upper, const unsigned char *lower, __m128 across, __m128 down)
{
    const __m128i zero = _mm_setzero_si128();
    __m128i above = _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)(const void *)upper), zero);
    __m128i below = _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)(const void *)lower), zero);
    __m128 a = _mm_cvtepi32_ps(_mm_unpacklo_epi16(above, zero)), b = _mm_cvtepi32_ps(_mm_unpackhi_epi16(above, zero));
    __m128 c = _mm_cvtepi32_ps(_mm_unpacklo_epi16(below, zero)), d = _mm_cvtepi32_ps(_mm_unpackhi_epi16(below, zero));
    return blend_vectors(a, b, c, d, across, down);
}

static inline __m128 load_pixel(const unsigned char *pixel)
{
    const __m128i zero = _mm_setzero_si128();
    int32_t four;
    memcpy(&four, pixel, sizeof four);
    return _mm_cvtepi32_ps(_mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_cvtsi32_si128(four), zero), zero));
}

/* Both write all four channels where they may: that spills into the next pixel, which is written after it. */

static inline void store_floats(float *out, __m128 value, bool all, size_t channels)
{
    if (all) {
        _mm_storeu_ps(out, value);
        return;
    }
    float four[4];
    _mm_storeu_ps(four, value);
    memcpy(out, four, channels * sizeof *out);
}

/* Rounded as to_byte() does. */
static inline void store_bytes(unsigned char *out, __m128 value, bool all, size_t channels)
{
    __m128i whole = _mm_cvttps_epi32(_mm_add_ps(value, _mm_set1_ps(0.5f)));
    whole = _mm_packs_epi32(whole, whole);
    int32_t four = _mm_cvtsi128_si32(_mm_packus_epi16(whole, whole));
    memcpy(out, &four, all ? sizeof four : channels);
}

/* tn_kernel.point for four bytes a pixel: the neighbours may be the pixel itself. */
static void point_four_bytes(const struct tn_kernel *kernel, void *out, const unsigned char *corner, size_t right,
                             size_t down, float across_share, float down_share)
{
    __m128 value = blend_vectors(load_pixel(corner), load_pixel(corner + right), load_pixel(corner + down),
                                 load_pixel(corner + down + right), _mm_set1_ps(across_share), _mm_set1_ps(down_share));
    if (kernel->pixel_type == TN_PIXEL_U8)
        store_bytes(out, value, false, (size_t)kernel->channels);
    else
        store_floats(
            out, _mm_add_ps(_mm_mul_ps(value, _mm_loadu_ps(kernel->scale.scale)), _mm_loadu_ps(kernel->scale.shift)),
            false, (size_t)kernel->channels);
}

static inline void walk_four_bytes(const struct tn_kernel *kernel, unsigned char *write, const struct tn_walk *walk,
                                   bool to_bytes)
{
    const struct tn_image *in = kernel->in;
    const unsigned char *pixels = in->pixels;
    const size_t row = (size_t)in->width * 4, channels = (size_t)kernel->channels;
    const size_t pixel_bytes = channels * (to_bytes ? 1 : sizeof(float));
    const __m128 scale = _mm_loadu_ps(kernel->scale.scale), shift = _mm_loadu_ps(kernel->scale.shift);
    int64_t y = fixed(walk->y), x = fixed(walk->x);
    int64_t step_y = walk->count > 1 ? fixed(walk->step_y) : 0, step_x = walk->count > 1 ? fixed(walk->step_x) : 0;
    int32_t spilling = walk->count - (walk->ends_row && channels < 4);
    for (int32_t i = 0; i < walk->count; i++, y += step_y, x += step_x, write += pixel_bytes) {
        const unsigned char *upper = pixels + (size_t)(y >> 32) * row + (size_t)(x >> 32) * 4;
        __m128 value = blend_four(upper, upper + row, _mm_set1_ps(fraction(x)), _mm_set1_ps(fraction(y)));
        if (to_bytes)
            store_bytes(write, value, i < spilling, channels);
        else
            store_floats((float *)(void *)write, _mm_add_ps(_mm_mul_ps(value, scale), shift), i < spilling, channels);
    }
}

static void walk_to_floats(const struct tn_kernel *kernel, void *out, const struct tn_walk *walk)
{
    walk_four_bytes(kernel, out, walk, false);
}

#if defined(HAVE_AVX2_KERNEL)
/* The same sums, both rows of a pixel in one register. */
__attribute__((target("avx2"))) static void walk_to_floats_avx2(const struct tn_kernel *kernel, void *out,
                                                                const struct tn_walk *walk)
{
    const unsigned char *pixels = kernel->in->pixels;
    const size_t row = (size_t)kernel->in->width * 4, channels = (size_t)kernel->channels;
    const __m128 scale = _mm_loadu_ps(kernel->scale.scale), shift = _mm_loadu_ps(kernel->scale.shift);
    int64_t y = fixed(walk->y), x = fixed(walk->x);
    int64_t step_y = walk->count > 1 ? fixed(walk->step_y) : 0, step_x = walk->count > 1 ? fixed(walk->step_x) : 0;
    int32_t spilling = walk->count - (walk->ends_row && channels < 4);
    float *write = out;
    for (int32_t i = 0; i < walk->count; i++, y += step_y, x += step_x, write += channels) {
        const unsigned char *upper = pixels + (size_t)(y >> 32) * row + (size_t)(x >> 32) * 4;
        __m256 above = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)upper)));
        __m256 below =
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(upper + row))));
        __m256 left = _mm256_permute2f128_ps(above, below, 0x20), right = _mm256_permute2f128_ps(above, below, 0x31);
        left = _mm256_add_ps(left, _mm256_mul_ps(_mm256_sub_ps(right, left), _mm256_set1_ps(fraction(x))));
        __m128 top = _mm256_castps256_ps128(left), bottom = _mm256_extractf128_ps(left, 1);
        __m128 value = _mm_add_ps(top, _mm_mul_ps(_mm_sub_ps(bottom, top), _mm_set1_ps(fraction(y))));
        store_floats(write, _mm_add_ps(_mm_mul_ps(value, scale), shift), i < spilling, channels);
    }
}
#endif

/* Pixels that are scaled and not moved. */
static void copy_to_floats(const struct tn_kernel *kernel, void *out, const unsigned char *pixel, ptrdiff_t step,
                           int32_t count)
{
    const size_t channels = (size_t)kernel->channels;
    const __m128 scale = _mm_loadu_ps(kernel->scale.scale), shift = _mm_loadu_ps(kernel->scale.shift);
    float *write = out;
    int32_t spilling = count - (channels < 4);
    for (int32_t i = 0; i < count; i++, pixel += step, write += channels)
        store_floats(write, _mm_add_ps(_mm_mul_ps(load_pixel(pixel), scale), shift), i < spilling, channels);
}

static void copy_to_bytes(const struct tn_kernel *kernel, void *out, const unsigned char *pixel, ptrdiff_t step,
                          int32_t count)
{
    const size_t channels = (size_t)kernel->channels;
    unsigned char *write = out;
    int32_t spilling = count - (channels < 4);
    for (int32_t i = 0; i < count; i++, pixel += step, write += channels)
        memcpy(write, pixel, i < spilling ? 4 : channels);
}

#if defined(HAVE_AVX2_KERNEL)
/* copy_to_floats for three channels: four pixels at a time, twelve floats side by side. */
__attribute__((target("avx2"))) static void copy_to_floats_avx2(const struct tn_kernel *kernel, void *out,
                                                                const unsigned char *pixel, ptrdiff_t step,
                                                                int32_t count)
{
    const float *s = kernel->scale.scale, *t = kernel->scale.shift;
    const __m256 scale = _mm256_setr_ps(s[0], s[1], s[2], s[0], s[1], s[2], s[0], s[1]);
    const __m256 shift = _mm256_setr_ps(t[0], t[1], t[2], t[0], t[1], t[2], t[0], t[1]);
    const __m128 last_scale = _mm_setr_ps(s[2], s[0], s[1], s[2]), last_shift = _mm_setr_ps(t[2], t[0], t[1], t[2]);
    const __m128i forward = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m128i backward = _mm_setr_epi8(12, 13, 14, 8, 9, 10, 4, 5, 6, 0, 1, 2, -1, -1, -1, -1);
    const __m128i order = step > 0 ? forward : backward;
    float *write = out;
    int32_t i = 0;
    for (; i + 4 <= count; i += 4, pixel += 4 * step, write += 12) {
        const unsigned char *four = step > 0 ? pixel : pixel - 12;
        __m128i bytes = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)four), order);
        __m256 first = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
        __m128 last = _mm_cvtepi32_ps(_mm_cvtepu8_epi32(_mm_srli_si128(bytes, 8)));
        _mm256_storeu_ps(write, _mm256_add_ps(_mm256_mul_ps(first, scale), shift));
        _mm_storeu_ps(write + 8, _mm_add_ps(_mm_mul_ps(last, last_scale), last_shift));
    }
    copy_to_floats(kernel, write, pixel, step, count - i);
}
#endif

#if defined(HAVE_AVX2_KERNEL)
/* The same sums, two pixels at a time. */
__attribute__((target("avx512f,avx2"))) static inline __m512 load_corners_avx512(const unsigned char *upper, size_t row)
{
    __m128i above = _mm_loadl_epi64((const __m128i *)(const void *)upper);
    __m128i below = _mm_loadl_epi64((const __m128i *)(const void *)(upper + row));
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_unpacklo_epi64(above, below)));
}

/* fraction() of the next sixteen positions; their upper halves do not matter. */
__attribute__((target("avx512f,avx512vl,avx2"))) static inline void fractions_avx512(float out[16], int64_t position,
                                                                                     int64_t step)
{
    const __m512i count = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i low = _mm512_add_epi32(_mm512_set1_epi32((int32_t)(uint32_t)position),
                                   _mm512_mullo_epi32(count, _mm512_set1_epi32((int32_t)(uint32_t)step)));
    _mm512_storeu_ps(out, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32(low, 8)), _mm512_set1_ps(0x1p-24f)));
}

__attribute__((target("avx512f,avx512vl,avx2"))) static void
walk_to_floats_avx512(const struct tn_kernel *kernel, void *out, const struct tn_walk *walk)
{
    const unsigned char *pixels = kernel->in->pixels;
    const size_t row = (size_t)kernel->in->width * 4;
    const __m256 scale = _mm256_broadcast_ps((const __m128 *)(const void *)kernel->scale.scale);
    const __m256 shift = _mm256_broadcast_ps((const __m128 *)(const void *)kernel->scale.shift);
    int64_t y = fixed(walk->y), x = fixed(walk->x);
    int64_t step_y = walk->count > 1 ? fixed(walk->step_y) : 0, step_x = walk->count > 1 ? fixed(walk->step_x) : 0;
    float *write = out, across[16], down[16];
    int32_t i = 0, pairs = walk->count - (walk->ends_row ? 1 : 0);
    for (; i + 2 <= pairs; i += 2, write += 6) {
        int32_t k = i % 16;
        if (k == 0) {
            fractions_avx512(across, x, step_x);
            fractions_avx512(down, y, step_y);
        }
        __m512 a = load_corners_avx512(pixels + (size_t)(y >> 32) * row + (size_t)(x >> 32) * 4, row);
        y += step_y, x += step_x;
        __m512 b = load_corners_avx512(pixels + (size_t)(y >> 32) * row + (size_t)(x >> 32) * 4, row);
        y += step_y, x += step_x;
        /* lanes: upper left, upper right, lower left, lower right -> upper and lower of a, of b */
        __m512 left = _mm512_shuffle_f32x4(a, b, 0x88), right = _mm512_shuffle_f32x4(a, b, 0xDD);
        __m512 share = _mm512_mask_broadcastss_ps(_mm512_set1_ps(across[k]), 0xFF00, _mm_load_ss(&across[k + 1]));
        left = _mm512_add_ps(left, _mm512_mul_ps(_mm512_sub_ps(right, left), share));
        left = _mm512_shuffle_f32x4(left, left, 0xD8);
        __m256 top = _mm512_castps512_ps256(left);
        __m256 bottom = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(left), 1));
        __m256 part = _mm256_mask_broadcastss_ps(_mm256_set1_ps(down[k]), 0xF0, _mm_load_ss(&down[k + 1]));
        __m256 value = _mm256_add_ps(top, _mm256_mul_ps(_mm256_sub_ps(bottom, top), part));
        value = _mm256_add_ps(_mm256_mul_ps(value, scale), shift);
        _mm_storeu_ps(write, _mm256_castps256_ps128(value));
        _mm_storeu_ps(write + 3, _mm256_extractf128_ps(value, 1));
    }
    const struct tn_walk rest = {(double)y * 0x1p-32, (double)x * 0x1p-32, walk->step_y,
                                 walk->step_x,        walk->count - i,     walk->ends_row};
    if (rest.count > 0)
        walk_to_floats_avx2(kernel, write, &rest);
}
#endif

static void walk_to_bytes(const struct tn_kernel *kernel, void *out, const struct tn_walk *walk)
{
    walk_four_bytes(kernel, out, walk, true);
}

#endif

struct tn_kernel tn_kernel_choose(const struct tn_image *in, int32_t channels, int32_t pixel_type, bool nearest,
                                  const struct tn_scale_shift *scale)
{
    struct tn_kernel kernel = {.in = in,
                               .channels = channels,
                               .pixel_type = pixel_type,
                               .nearest = nearest,
                               .scale = *scale,
                               .walk = nearest ? walk_nearest : walk_plain};
#if defined(__SSE2__)
    if (in->channels == 4 && in->pixel_type == TN_PIXEL_U8 && channels >= 3) {
        kernel.copy = pixel_type == TN_PIXEL_U8 ? copy_to_bytes : copy_to_floats;
#if defined(HAVE_AVX2_KERNEL)
        if (pixel_type == TN_PIXEL_F32 && channels == 3 && __builtin_cpu_supports("avx2"))
            kernel.copy = copy_to_floats_avx2;
#endif
    }
    if (!nearest && in->channels == 4 && in->pixel_type == TN_PIXEL_U8 && channels >= 3) {
        kernel.walk = pixel_type == TN_PIXEL_U8 ? walk_to_bytes : walk_to_floats;
        kernel.point = point_four_bytes;
#if defined(HAVE_AVX2_KERNEL)
        if (pixel_type == TN_PIXEL_F32 && __builtin_cpu_supports("avx2"))
            kernel.walk = walk_to_floats_avx2;
        if (pixel_type == TN_PIXEL_F32 && channels == 3 && __builtin_cpu_supports("avx512vl"))
            kernel.walk = walk_to_floats_avx512;
#endif
    }
#endif
    return kernel;
}

void tn_kernel_walk(const struct tn_kernel *kernel, void *out, const struct tn_walk *walk)
{
    kernel->walk(kernel, out, walk);
}
