/* layout.c: see layout.h. */
#include "layout.h"

#include <stdlib.h>

static const struct {
    int32_t format;
    dnnl_format_tag_t tag;
    int32_t block;
} formats[] = {
    {TN_FORMAT_PLAIN, dnnl_nhwc, 0},    {TN_FORMAT_BLOCK16, dnnl_nChw16c, 16}, {TN_FORMAT_BLOCK8, dnnl_nChw8c, 8},
    {TN_FORMAT_BLOCK4, dnnl_nChw4c, 4}, {TN_FORMAT_PLANAR, dnnl_nchw, 0},
};

enum { FORMAT_COUNT = sizeof formats / sizeof *formats };

struct tn_shape tn_shape_make(int32_t rank, int32_t a, int32_t b, int32_t c, int32_t d)
{
    struct tn_shape shape = {rank, {a, b, c, d}};
    return shape;
}

bool tn_shape_same(const struct tn_shape *a, const struct tn_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int32_t i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i])
            return false;
    return true;
}

static int32_t block_of(int32_t format)
{
    for (int i = 0; i < FORMAT_COUNT; i++)
        if (formats[i].format == format)
            return formats[i].block;
    return 0;
}

/* oneDNN's logical dimensions of a plain shape, and the strides that make them row-major with channels last. */
static int logical(const struct tn_shape *shape, dnnl_dim_t *dims, dnnl_dim_t *strides)
{
    dnnl_dim_t step = 1, row_major[TN_MAX_RANK];
    if (shape->rank == 0) {
        dims[0] = strides[0] = 1;
        return 1;
    }
    for (int i = shape->rank - 1; i >= 0; i--) {
        row_major[i] = step;
        step *= shape->dims[i];
    }
    for (int i = 0; i < shape->rank; i++) {
        int from = shape->rank != 4 || i == 0 ? i : i == 1 ? 3 : i - 1;
        dims[i] = shape->dims[from];
        strides[i] = row_major[from];
    }
    return shape->rank;
}

/* Is a value of this format stored in plain order all the same (one group of channels, one pixel)? */
static bool is_plain(int32_t format, const struct tn_shape *shape)
{
    int64_t pixels, channels, block = block_of(format);
    if (format == TN_FORMAT_PLAIN)
        return true;
    if (format == TN_FORMAT_OPAQUE)
        return false;
    pixels = (int64_t)shape->dims[1] * shape->dims[2];
    channels = shape->dims[3];
    if (format == TN_FORMAT_PLANAR)
        return pixels == 1 || channels == 1;
    return channels == block || (pixels == 1 && channels % block == 0);
}

static uint64_t size_of_type(int32_t data_type)
{
    return data_type == TN_U8 ? 1 : 4;
}

static void layout_free(struct tn_layout *layout)
{
    tn_md_destroy(layout->md);
    tn_md_destroy(layout->plain_md);
    free(layout);
}

/* Takes `layout` (heap) and returns the one to use: an equal one that is known, or this one. */
static const struct tn_layout *intern(struct tn_cpu *cpu, struct tn_layout *layout)
{
    for (uint32_t i = 0; i < cpu->layout_count; i++) {
        const struct tn_layout *known = cpu->layouts[i];
        if (known->format == layout->format && known->data_type == layout->data_type &&
            tn_shape_same(&known->shape, &layout->shape) && tn_md_equal(known->md, layout->md) &&
            tn_md_equal(known->plain_md, layout->plain_md)) {
            layout_free(layout);
            return known;
        }
    }
    if (cpu->layout_count == cpu->layout_capacity) {
        uint32_t capacity = cpu->layout_capacity ? 2 * cpu->layout_capacity : 64;
        struct tn_layout **grown = realloc(cpu->layouts, capacity * sizeof *grown);
        if (!grown) {
            layout_free(layout);
            return NULL;
        }
        cpu->layouts = grown;
        cpu->layout_capacity = capacity;
    }
    cpu->layouts[cpu->layout_count++] = layout;
    return layout;
}

void tn_layout_free_all(struct tn_cpu *cpu)
{
    for (uint32_t i = 0; i < cpu->layout_count; i++)
        layout_free(cpu->layouts[i]);
    free(cpu->layouts);
    cpu->layouts = NULL;
    cpu->layout_count = cpu->layout_capacity = 0;
}

const struct tn_layout *tn_layout_plain(struct tn_cpu *cpu, const struct tn_shape *shape, int32_t data_type)
{
    dnnl_data_type_t type = data_type == TN_U8 ? dnnl_u8 : data_type == TN_I32 ? dnnl_s32 : dnnl_f32;
    dnnl_dim_t dims[TN_MAX_RANK], strides[TN_MAX_RANK];
    int rank = logical(shape, dims, strides);
    struct tn_layout *layout = calloc(1, sizeof *layout);
    if (!layout)
        return NULL;
    layout->format = TN_FORMAT_PLAIN;
    layout->data_type = data_type;
    layout->plain = true;
    layout->shape = *shape;
    layout->bytes = tn_shape_elements(shape) * size_of_type(data_type);
    if (tn_md_strided(&layout->md, rank, dims, strides, type) != dnnl_success ||
        tn_md_strided(&layout->plain_md, rank, dims, strides, type) != dnnl_success) {
        layout_free(layout);
        return NULL;
    }
    return intern(cpu, layout);
}

const struct tn_layout *tn_layout_activation(struct tn_cpu *cpu, const struct tn_shape *shape, int32_t format)
{
    dnnl_dim_t dims[TN_MAX_RANK], strides[TN_MAX_RANK];
    dnnl_format_tag_t tag = dnnl_nhwc;
    struct tn_layout *layout;
    if (format == TN_FORMAT_PLAIN || shape->rank != 4)
        return tn_layout_plain(cpu, shape, TN_F32);
    for (int i = 0; i < FORMAT_COUNT; i++)
        if (formats[i].format == format)
            tag = formats[i].tag;
    logical(shape, dims, strides);
    layout = calloc(1, sizeof *layout);
    if (!layout)
        return NULL;
    layout->format = format;
    layout->data_type = TN_F32;
    layout->plain = is_plain(format, shape);
    layout->shape = *shape;
    if (tn_md_tagged(&layout->md, 4, dims, tag) != dnnl_success ||
        tn_md_strided(&layout->plain_md, 4, dims, strides, dnnl_f32) != dnnl_success) {
        layout_free(layout);
        return NULL;
    }
    layout->bytes = dnnl_memory_desc_get_size(layout->md);
    return intern(cpu, layout);
}

const struct tn_layout *tn_layout_opaque(struct tn_cpu *cpu, tn_const_md md, tn_const_md plain_md)
{
    struct tn_layout *layout = calloc(1, sizeof *layout);
    if (!layout)
        return NULL;
    layout->data_type = TN_F32;
    layout->plain = tn_md_equal(md, plain_md);
    layout->format = layout->plain ? TN_FORMAT_PLAIN : TN_FORMAT_OPAQUE;
    layout->shape.rank = -1; /* so that it is never taken for a plain value of some shape */
    layout->bytes = dnnl_memory_desc_get_size(md);
    if (tn_md_clone(&layout->md, md) != dnnl_success || tn_md_clone(&layout->plain_md, plain_md) != dnnl_success) {
        layout_free(layout);
        return NULL;
    }
    return intern(cpu, layout);
}

const struct tn_layout *tn_layout_strided(struct tn_cpu *cpu, int rank, const dnnl_dim_t *dims,
                                          const dnnl_dim_t *strides)
{
    const struct tn_layout *layout;
    tn_md md = NULL;
    if (tn_md_strided(&md, rank, dims, strides, dnnl_f32) != dnnl_success)
        return NULL;
    layout = tn_layout_opaque(cpu, md, md);
    tn_md_destroy(md);
    return layout;
}

const struct tn_layout *tn_layout_any(struct tn_cpu *cpu, int rank, const dnnl_dim_t *dims)
{
    const struct tn_layout *layout;
    tn_md md = NULL;
    if (tn_md_tagged(&md, rank, dims, dnnl_format_tag_any) != dnnl_success)
        return NULL;
    layout = tn_layout_opaque(cpu, md, md);
    tn_md_destroy(md);
    return layout;
}

int32_t tn_layout_format(struct tn_cpu *cpu, tn_const_md md, const struct tn_shape *shape)
{
    for (int i = 0; i < FORMAT_COUNT; i++) {
        const struct tn_layout *layout = tn_layout_activation(cpu, shape, formats[i].format);
        if (layout && tn_md_equal(layout->md, md))
            return formats[i].format;
    }
    return TN_FORMAT_OPAQUE;
}

bool tn_layout_same(const struct tn_layout *a, const struct tn_layout *b)
{
    return a == b || (a->plain && b->plain && a->bytes == b->bytes && a->data_type == b->data_type);
}

struct tn_view tn_view_of(const struct tn_layout *layout)
{
    const struct tn_shape *shape = &layout->shape;
    struct tn_view view = {1, 1, 1, 1, 1, 1, 0, 0, 0, 0};
    int64_t block = layout->plain ? 0 : block_of(layout->format);
    if (shape->rank > 0) {
        view.batch = shape->rank > 1 ? shape->dims[0] : 1;
        view.channels = shape->dims[shape->rank - 1];
    }
    if (shape->rank == 4) {
        view.height = shape->dims[1];
        view.width = shape->dims[2];
    } else {
        for (int32_t i = 1; i + 1 < shape->rank; i++)
            view.width *= shape->dims[i];
    }
    if (layout->plain) {
        view.groups = 1;
        view.lanes = view.channels;
    } else { /* blocked, or planar as blocks of one */
        view.lanes = block ? block : 1;
        view.groups = (view.channels + view.lanes - 1) / view.lanes;
    }
    view.stride_x = view.lanes;
    view.stride_y = view.stride_x * view.width;
    view.stride_g = view.stride_y * view.height;
    view.stride_n = view.stride_g * view.groups;
    return view;
}

bool tn_view_regroup(struct tn_view *view, int64_t lanes)
{
    if (view->lanes == lanes)
        return true;
    if (view->groups != 1 || view->height * view->width != 1 || view->channels % lanes != 0)
        return false;
    view->lanes = lanes;
    view->groups = view->channels / lanes;
    view->stride_x = view->stride_y = view->stride_g = lanes;
    return true;
}
