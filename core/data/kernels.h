/* kernels.h: the innermost loops of sampling.c: read pixels, blend, scale, store. */
#ifndef TENON_KERNELS_H
#define TENON_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include "tenon/data.h"

struct tn_walk;
struct tn_kernel {
    const struct tn_image *in;
    int32_t channels, pixel_type; /* of what is written */
    bool nearest;
    struct tn_scale_shift scale; /* always finite; {1, 0} when nothing is to be done */
    void (*walk)(const struct tn_kernel *kernel, void *out, const struct tn_walk *walk);
    /* `count` pixels from `pixel` on, each `step` bytes (4 or -4) behind the one before, scaled; NULL = the plain one.
     */
    void (*copy)(const struct tn_kernel *kernel, void *out, const unsigned char *pixel, ptrdiff_t step, int32_t count);
    /* One blend of the pixels at `corner` and so many bytes right of it and below; NULL = the plain one. */
    void (*point)(const struct tn_kernel *kernel, void *out, const unsigned char *corner, size_t right, size_t down,
                  float across_share, float down_share);
};

/* A span in the interior: positions of its first pixel in the picture, and the steps. */
struct tn_walk {
    double y, x, step_y, step_x;
    int32_t count;
    bool ends_row; /* nothing may be written behind its last pixel */
};

struct tn_kernel tn_kernel_choose(const struct tn_image *in, int32_t channels, int32_t pixel_type, bool nearest,
                                  const struct tn_scale_shift *scale);
void tn_kernel_walk(const struct tn_kernel *kernel, void *out, const struct tn_walk *walk);
/* One pixel at any position; what lies beyond the picture is its edge. */
void tn_kernel_point(const struct tn_kernel *kernel, void *out, double y, double x);
void tn_kernel_fill(const struct tn_kernel *kernel, void *out, float value);
/* Row `y` of a picture that is as wide as the target, from right to left where `mirrored`. */
void tn_kernel_copy_row(const struct tn_kernel *kernel, void *out, int32_t y, bool mirrored);
/* Pixel of the picture that is nearest to pixel `i` of the target, in TensorFlow's arithmetic. */
int32_t tn_kernel_nearest(int32_t i, double ratio, int32_t pixels);
/* A row of `width` nearest pixels of row `y`, from right to left where `mirrored`. */
void tn_kernel_pick_row(const struct tn_kernel *kernel, void *out, int32_t y, int32_t width, double ratio,
                        bool mirrored);

#endif
