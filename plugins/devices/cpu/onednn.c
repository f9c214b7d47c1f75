/* onednn.c: see onednn.h. The only file that knows which version of oneDNN it is compiled against. */
#include "onednn.h"

#include <stdlib.h>

/* ---- memory descriptors: plain structs in 2.x (here on the heap), handles in 3.x ---- */

#if DNNL_VERSION_MAJOR >= 3

dnnl_status_t tn_md_strided(tn_md *md, int rank, const dnnl_dim_t *dims, const dnnl_dim_t *strides,
                            dnnl_data_type_t type)
{
    return dnnl_memory_desc_create_with_strides(md, rank, dims, type, strides);
}

dnnl_status_t tn_md_tagged(tn_md *md, int rank, const dnnl_dim_t *dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(md, rank, dims, dnnl_f32, tag);
}

dnnl_status_t tn_md_clone(tn_md *md, tn_const_md from)
{
    return dnnl_memory_desc_clone(md, from);
}

void tn_md_destroy(tn_md md)
{
    if (md)
        dnnl_memory_desc_destroy(md);
}

bool tn_md_is_blocked(tn_const_md md)
{
    dnnl_format_kind_t kind = dnnl_format_kind_undef;
    return dnnl_memory_desc_query(md, dnnl_query_format_kind, &kind) == dnnl_success && kind == dnnl_blocked;
}

#else

static dnnl_status_t keep(tn_md *md, dnnl_status_t status)
{
    if (status != dnnl_success) {
        free(*md);
        *md = NULL;
    }
    return status;
}

dnnl_status_t tn_md_strided(tn_md *md, int rank, const dnnl_dim_t *dims, const dnnl_dim_t *strides,
                            dnnl_data_type_t type)
{
    *md = calloc(1, sizeof **md);
    return *md ? keep(md, dnnl_memory_desc_init_by_strides(*md, rank, dims, type, strides)) : dnnl_out_of_memory;
}

dnnl_status_t tn_md_tagged(tn_md *md, int rank, const dnnl_dim_t *dims, dnnl_format_tag_t tag)
{
    *md = calloc(1, sizeof **md);
    return *md ? keep(md, dnnl_memory_desc_init_by_tag(*md, rank, dims, dnnl_f32, tag)) : dnnl_out_of_memory;
}

dnnl_status_t tn_md_clone(tn_md *md, tn_const_md from)
{
    *md = malloc(sizeof **md);
    if (!*md)
        return dnnl_out_of_memory;
    **md = *from;
    return dnnl_success;
}

void tn_md_destroy(tn_md md)
{
    free(md);
}

bool tn_md_is_blocked(tn_const_md md)
{
    return md->format_kind == dnnl_blocked;
}

#endif

bool tn_md_equal(tn_const_md a, tn_const_md b)
{
    return dnnl_memory_desc_equal(a, b) != 0;
}

/* ---- attributes ---- */

static dnnl_status_t append_relu(dnnl_primitive_attr_t attributes)
{
    dnnl_post_ops_t after = NULL;
    dnnl_status_t status = dnnl_post_ops_create(&after);
    if (status != dnnl_success)
        return status;
#if DNNL_VERSION_MAJOR >= 3
    status = dnnl_post_ops_append_eltwise(after, dnnl_eltwise_relu, 0.0f, 0.0f);
#else
    status = dnnl_post_ops_append_eltwise(after, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f);
#endif
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(attributes, after); /* copies */
    dnnl_post_ops_destroy(after);
    return status;
}

static dnnl_status_t make_attributes(dnnl_primitive_attr_t *attributes, bool relu)
{
    dnnl_status_t status = dnnl_primitive_attr_create(attributes);
    if (status != dnnl_success)
        return status;
    status = dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success && relu)
        status = append_relu(*attributes);
    if (status != dnnl_success) {
        dnnl_primitive_attr_destroy(*attributes);
        *attributes = NULL;
    }
    return status;
}

/* ---- primitive descriptors: one call in 3.x, an operation descriptor first in 2.x ---- */

#if DNNL_VERSION_MAJOR < 3

static dnnl_status_t from_operation(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                                    const_dnnl_op_desc_t operation, dnnl_primitive_attr_t attributes,
                                    const_dnnl_primitive_desc_t forward)
{
    return dnnl_primitive_desc_create(descriptor, operation, attributes, engine, forward);
}

#endif

dnnl_status_t tn_convolution_forward(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                                     const struct tn_convolution_descriptor *c)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = make_attributes(&attributes, c->relu);
    if (status != dnnl_success)
        return status;
#if DNNL_VERSION_MAJOR >= 3
    status = dnnl_convolution_forward_primitive_desc_create(descriptor, engine, dnnl_forward_training, c->algorithm,
                                                            c->x, c->kernel, c->bias, c->y, c->strides, c->dilations,
                                                            c->low, c->high, attributes);
#else
    dnnl_convolution_desc_t operation;
    status =
        dnnl_dilated_convolution_forward_desc_init(&operation, dnnl_forward_training, c->algorithm, c->x, c->kernel,
                                                   c->bias, c->y, c->strides, c->dilations, c->low, c->high);
    if (status == dnnl_success)
        status = from_operation(descriptor, engine, &operation, attributes, NULL);
#endif
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

dnnl_status_t tn_convolution_backward_data(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                                           const struct tn_convolution_descriptor *c,
                                           const_dnnl_primitive_desc_t forward)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = make_attributes(&attributes, false);
    if (status != dnnl_success)
        return status;
#if DNNL_VERSION_MAJOR >= 3
    status = dnnl_convolution_backward_data_primitive_desc_create(descriptor, engine, c->algorithm, c->x, c->kernel,
                                                                  c->y, c->strides, c->dilations, c->low, c->high,
                                                                  forward, attributes);
#else
    dnnl_convolution_desc_t operation;
    status = dnnl_dilated_convolution_backward_data_desc_init(&operation, c->algorithm, c->x, c->kernel, c->y,
                                                              c->strides, c->dilations, c->low, c->high);
    if (status == dnnl_success)
        status = from_operation(descriptor, engine, &operation, attributes, forward);
#endif
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

dnnl_status_t tn_convolution_backward_weights(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                                              const struct tn_convolution_descriptor *c,
                                              const_dnnl_primitive_desc_t forward)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = make_attributes(&attributes, false);
    if (status != dnnl_success)
        return status;
#if DNNL_VERSION_MAJOR >= 3
    status = dnnl_convolution_backward_weights_primitive_desc_create(descriptor, engine, c->algorithm, c->x, c->kernel,
                                                                     c->bias, c->y, c->strides, c->dilations, c->low,
                                                                     c->high, forward, attributes);
#else
    dnnl_convolution_desc_t operation;
    status = dnnl_dilated_convolution_backward_weights_desc_init(&operation, c->algorithm, c->x, c->kernel, c->bias,
                                                                 c->y, c->strides, c->dilations, c->low, c->high);
    if (status == dnnl_success)
        status = from_operation(descriptor, engine, &operation, attributes, forward);
#endif
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

dnnl_status_t tn_dense_forward(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                               const struct tn_dense_descriptor *d)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = make_attributes(&attributes, d->relu);
    if (status != dnnl_success)
        return status;
#if DNNL_VERSION_MAJOR >= 3
    status = dnnl_inner_product_forward_primitive_desc_create(descriptor, engine, dnnl_forward_training, d->x,
                                                              d->kernel, d->bias, d->y, attributes);
#else
    dnnl_inner_product_desc_t operation;
    status = dnnl_inner_product_forward_desc_init(&operation, dnnl_forward_training, d->x, d->kernel, d->bias, d->y);
    if (status == dnnl_success)
        status = from_operation(descriptor, engine, &operation, attributes, NULL);
#endif
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

dnnl_status_t tn_dense_backward_data(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                                     const struct tn_dense_descriptor *d, const_dnnl_primitive_desc_t forward)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = make_attributes(&attributes, false);
    if (status != dnnl_success)
        return status;
#if DNNL_VERSION_MAJOR >= 3
    status = dnnl_inner_product_backward_data_primitive_desc_create(descriptor, engine, d->x, d->kernel, d->y, forward,
                                                                    attributes);
#else
    dnnl_inner_product_desc_t operation;
    status = dnnl_inner_product_backward_data_desc_init(&operation, d->x, d->kernel, d->y);
    if (status == dnnl_success)
        status = from_operation(descriptor, engine, &operation, attributes, forward);
#endif
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

dnnl_status_t tn_dense_backward_weights(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                                        const struct tn_dense_descriptor *d, const_dnnl_primitive_desc_t forward)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = make_attributes(&attributes, false);
    if (status != dnnl_success)
        return status;
#if DNNL_VERSION_MAJOR >= 3
    status = dnnl_inner_product_backward_weights_primitive_desc_create(descriptor, engine, d->x, d->kernel, d->bias,
                                                                       d->y, forward, attributes);
#else
    dnnl_inner_product_desc_t operation;
    status = dnnl_inner_product_backward_weights_desc_init(&operation, d->x, d->kernel, d->bias, d->y);
    if (status == dnnl_success)
        status = from_operation(descriptor, engine, &operation, attributes, forward);
#endif
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

static unsigned norm_flags(const struct tn_norm_descriptor *n)
{
    unsigned flags = 0;
    if (n->given_statistics)
        flags |= dnnl_use_global_stats;
    if (n->scale)
        flags |= dnnl_use_scale;
    if (n->shift)
        flags |= dnnl_use_shift;
    if (n->relu)
        flags |= dnnl_fuse_norm_relu;
    return flags;
}

dnnl_status_t tn_norm_forward(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                              const struct tn_norm_descriptor *n)
{
    dnnl_prop_kind_t kind = n->inference ? dnnl_forward_inference : dnnl_forward_training;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = make_attributes(&attributes, false);
    if (status != dnnl_success)
        return status;
#if DNNL_VERSION_MAJOR >= 3
    status = dnnl_batch_normalization_forward_primitive_desc_create(descriptor, engine, kind, n->data, n->data,
                                                                    n->epsilon, norm_flags(n), attributes);
#else
    dnnl_batch_normalization_desc_t operation;
    status = dnnl_batch_normalization_forward_desc_init(&operation, kind, n->data, n->epsilon, norm_flags(n));
    if (status == dnnl_success)
        status = from_operation(descriptor, engine, &operation, attributes, NULL);
#endif
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

const bool tn_norm_backward_takes_shift = DNNL_VERSION_MAJOR < 3;

dnnl_status_t tn_norm_backward(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                               const struct tn_norm_descriptor *n, const_dnnl_primitive_desc_t forward)
{
    /* 2.6 cannot leave out the gradients of scale and shift. */
    dnnl_prop_kind_t kind = n->scale || n->shift ? dnnl_backward : dnnl_backward_data;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = make_attributes(&attributes, false);
    if (status != dnnl_success)
        return status;
#if DNNL_VERSION_MAJOR >= 3
    status = dnnl_batch_normalization_backward_primitive_desc_create(
        descriptor, engine, kind, n->data, n->data, n->data, n->epsilon, norm_flags(n), forward, attributes);
#else
    dnnl_batch_normalization_desc_t operation;
    status = dnnl_batch_normalization_backward_desc_init(&operation, kind, n->data, n->data, n->epsilon, norm_flags(n));
    if (status == dnnl_success)
        status = from_operation(descriptor, engine, &operation, attributes, forward);
#endif
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

dnnl_status_t tn_reorder(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine, tn_const_md from, tn_const_md to)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = make_attributes(&attributes, false);
    if (status != dnnl_success)
        return status;
    status = dnnl_reorder_primitive_desc_create(descriptor, from, engine, to, engine, attributes);
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

const char *tn_kernel_name(const_dnnl_primitive_desc_t descriptor)
{
    const char *name = NULL;
    if (dnnl_primitive_desc_query(descriptor, dnnl_query_impl_info_str, 0, &name) != dnnl_success || !name)
        return "";
    return name;
}
