/* onednn.h: the calls of oneDNN whose C form differs between 2.x and 3.x, in one form of our own.
 *
 * Only onednn.c looks at the version. Memory descriptors are handles here: made by tn_md_…, destroyed by
 * tn_md_destroy. Every primitive descriptor asks for the scratchpad mode `user`, so that the library never allocates
 * while a step runs. All functions return oneDNN's own status; dnnl_unimplemented means "no such kernel", which is a
 * choice to make and not a failure.
 */
#ifndef TENON_CPU_ONEDNN_H
#define TENON_CPU_ONEDNN_H

#include <stdbool.h>
#include <stddef.h>

#include <oneapi/dnnl/dnnl.h>

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t tn_md;
typedef const_dnnl_memory_desc_t tn_const_md;
#else
typedef dnnl_memory_desc_t *tn_md;
typedef const dnnl_memory_desc_t *tn_const_md;
#endif

dnnl_status_t tn_md_strided(tn_md *md, int rank, const dnnl_dim_t *dims, const dnnl_dim_t *strides,
                            dnnl_data_type_t type);
dnnl_status_t tn_md_tagged(tn_md *md, int rank, const dnnl_dim_t *dims, dnnl_format_tag_t tag);
dnnl_status_t tn_md_clone(tn_md *md, tn_const_md from);
void tn_md_destroy(tn_md md);
bool tn_md_equal(tn_const_md a, tn_const_md b);
/* False for descriptors that no plain loop could touch (packed, transformed): not fit for a trained parameter. */
bool tn_md_is_blocked(tn_const_md md);

struct tn_convolution_descriptor {
    dnnl_alg_kind_t algorithm;
    tn_const_md x, kernel, bias, y; /* bias NULL = none */
    dnnl_dims_t strides, dilations, low, high;
    bool relu; /* fused into the forward pass */
};
dnnl_status_t tn_convolution_forward(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                                     const struct tn_convolution_descriptor *convolution);
dnnl_status_t tn_convolution_backward_data(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                                           const struct tn_convolution_descriptor *convolution,
                                           const_dnnl_primitive_desc_t forward);
dnnl_status_t tn_convolution_backward_weights(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                                              const struct tn_convolution_descriptor *convolution,
                                              const_dnnl_primitive_desc_t forward);

struct tn_dense_descriptor {
    tn_const_md x, kernel, bias, y; /* bias NULL = none */
    bool relu;
};
dnnl_status_t tn_dense_forward(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                               const struct tn_dense_descriptor *dense);
dnnl_status_t tn_dense_backward_data(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                                     const struct tn_dense_descriptor *dense, const_dnnl_primitive_desc_t forward);
dnnl_status_t tn_dense_backward_weights(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                                        const struct tn_dense_descriptor *dense, const_dnnl_primitive_desc_t forward);

struct tn_norm_descriptor {
    tn_const_md data; /* of x, y and their gradients alike */
    float epsilon;
    bool given_statistics; /* mean and variance are inputs */
    bool inference;        /* nothing is kept for a backward pass */
    bool scale, shift, relu;
};
dnnl_status_t tn_norm_forward(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                              const struct tn_norm_descriptor *norm);
dnnl_status_t tn_norm_backward(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                               const struct tn_norm_descriptor *norm, const_dnnl_primitive_desc_t forward);
/* The shift is of no use to the gradient, but 2.x counts it among the inputs that have to be there; 3.x refuses it. */
extern const bool tn_norm_backward_takes_shift;

dnnl_status_t tn_reorder(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine, tn_const_md from, tn_const_md to);

/* Name of the kernel behind a descriptor ("jit:avx512_core"); never NULL. */
const char *tn_kernel_name(const_dnnl_primitive_desc_t descriptor);

#endif
