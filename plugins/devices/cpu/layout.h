/* layout.h: how a value lies in memory.
 *
 * Activations of rank 4 (ours NHWC, oneDNN's logical order N, C, H, W) are stored in one of a few formats that our own
 * loops can walk as well (struct tn_view). Kernels of convolutions and dense layers may be stored in whatever order
 * oneDNN asks for (TN_FORMAT_OPAQUE); only reorders and elementwise updates touch those. All else is plain.
 */
#ifndef TENON_CPU_LAYOUT_H
#define TENON_CPU_LAYOUT_H

#include "cpu.h"

enum tn_format {
    TN_FORMAT_PLAIN = 1,   /* row-major, channels last */
    TN_FORMAT_BLOCK16 = 2, /* nChw16c: channels in groups of 16, padded with zeros */
    TN_FORMAT_BLOCK8 = 3,
    TN_FORMAT_BLOCK4 = 4,
    TN_FORMAT_PLANAR = 5, /* nchw: wanted by the first convolution of a net */
    TN_FORMAT_OPAQUE = 6,
};

struct tn_layout {
    int32_t format;    /* enum tn_format */
    int32_t data_type; /* enum tn_data_type */
    bool plain;        /* the bytes are those of the plain order, whatever the format is called */
    uint64_t bytes;
    struct tn_shape shape; /* of formats other than opaque */
    tn_md md, plain_md;    /* of the same logical dimensions */
};

/* All layouts belong to the device and live until it closes; NULL means that memory ran out. */
const struct tn_layout *tn_layout_plain(struct tn_cpu *cpu, const struct tn_shape *shape, int32_t data_type);
/* Rank 4, floats. */
const struct tn_layout *tn_layout_activation(struct tn_cpu *cpu, const struct tn_shape *shape, int32_t format);
/* Copies both descriptors. */
const struct tn_layout *tn_layout_opaque(struct tn_cpu *cpu, tn_const_md md, tn_const_md plain_md);
/* Plain with logical dimensions and strides of the caller's choice. */
const struct tn_layout *tn_layout_strided(struct tn_cpu *cpu, int rank, const dnnl_dim_t *dims,
                                          const dnnl_dim_t *strides);
/* No strides chosen: "any". */
const struct tn_layout *tn_layout_any(struct tn_cpu *cpu, int rank, const dnnl_dim_t *dims);
/* The format of a descriptor of shape's logical dimensions; TN_FORMAT_OPAQUE when it is none of ours. */
int32_t tn_layout_format(struct tn_cpu *cpu, tn_const_md md, const struct tn_shape *shape);
/* Equal bytes for equal values. */
bool tn_layout_same(const struct tn_layout *a, const struct tn_layout *b);
void tn_layout_free_all(struct tn_cpu *cpu);

/* Element (n, y, x, c) is at n * stride_n + (c / lanes) * stride_g + y * stride_y + x * stride_x + c % lanes. */
struct tn_view {
    int64_t batch, height, width, channels;
    int64_t groups, lanes;
    int64_t stride_n, stride_g, stride_y, stride_x;
};
/* Shapes of another rank count as [first, 1, product of the middle, last]. */
struct tn_view tn_view_of(const struct tn_layout *layout);
/* The same memory seen in groups of other lanes, where that is possible (one pixel, or nothing to change). */
bool tn_view_regroup(struct tn_view *view, int64_t lanes);
/* Channels of group g that are not padding. */
TN_INLINE int64_t tn_view_used(const struct tn_view *view, int64_t g)
{
    int64_t left = view->channels - g * view->lanes;
    return left < view->lanes ? left : view->lanes;
}

struct tn_shape tn_shape_make(int32_t rank, int32_t a, int32_t b, int32_t c, int32_t d);
bool tn_shape_same(const struct tn_shape *a, const struct tn_shape *b);

#endif
