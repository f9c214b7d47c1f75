/* convolution.h: what the forward and the backward op of a convolution have in common.
 *
 * Both walk the batch in chunks of images. One chunk is the whole batch unless a max pooling is fused in (then the
 * convolution's own output exists only for the images of a chunk, in cache) or the algorithm's scratch grows with the
 * images (Winograd).
 */
#ifndef TENON_CPU_CONVOLUTION_H
#define TENON_CPU_CONVOLUTION_H

#include "kernel.h"
#include "pool.h"

enum tn_convolution_pass { TN_PASS_FORWARD = 0, TN_PASS_DATA = 1, TN_PASS_WEIGHTS = 2 };

struct tn_convolution_geometry {
    struct tn_shape x, y, pooled; /* whole batch; y is the convolution's own output, pooled what follows (or y) */
    int32_t kernel_height, kernel_width;
    bool relu, has_pool;
    const struct tn_convolution *options;
    const struct tn_layout *kernel_any, *kernel_plain, *bias;
    int32_t x_format, y_format; /* that the forward pass works in; the backward passes too, where they can */
    tn_md kernel_wanted;        /* by the forward pass; owned */
    const char *algorithm;      /* of the forward pass */
    int32_t images;             /* in a chunk */
};

/* Checks the op's shapes (y is the op's result or the gradient that arrives), chooses chunk, formats and algorithm of
 * the forward pass. Destroy also after a failure. */
bool tn_convolution_describe(struct tn_planning *planning, const struct tn_value *x, const struct tn_value *kernel,
                             const struct tn_value *y, struct tn_convolution_geometry *geometry);
void tn_convolution_destroy(struct tn_convolution_geometry *geometry);

/* Chunks: `count` of geometry.images each, then one of `rest` images if that is not 0. */
struct tn_chunks {
    uint64_t count, rest;
};
struct tn_chunks tn_convolution_chunks(const struct tn_convolution_geometry *geometry);
/* A shape of the whole batch, for fewer images. */
struct tn_shape tn_convolution_shape(const struct tn_shape *whole, uint64_t images);

/* A place inside a value or scratch of the whole batch: chunk after chunk, or what follows the last whole chunk. */
struct tn_place tn_convolution_place(struct tn_place whole, const struct tn_layout *chunk, struct tn_chunks chunks,
                                     bool rest);

/* The descriptor of a pass on `images` images in the geometry's formats (for `forward` it may be NULL). */
dnnl_status_t tn_convolution_descriptor(struct tn_cpu *cpu, const struct tn_convolution_geometry *geometry,
                                        enum tn_convolution_pass pass, uint64_t images, tn_const_md kernel, bool bias,
                                        const_dnnl_primitive_desc_t forward, dnnl_primitive_desc_t *descriptor);

/* The layout of the kernel in oneDNN's dimensions, once it is planned. */
const struct tn_layout *tn_convolution_kernel(const struct tn_value *kernel,
                                              const struct tn_convolution_geometry *geometry);
/* The kernel (an input) in the layout that a primitive wants: itself, or a copy made before the body. */
struct tn_place tn_convolution_kernel_as(struct tn_planning *planning, uint32_t input,
                                         const struct tn_convolution_geometry *geometry, tn_const_md wants);

#endif
