/* convolution.c: see convolution.h. */
#include "convolution.h"

static bool is_plain_relu(const struct tn_activation *a)
{
    return a->function == TN_RELU && a->alpha == 0.0f && a->beta <= 0.0f && a->gamma == 0.0f;
}

static int64_t out_size(int64_t size, int64_t window, int64_t dilation, int64_t stride, int64_t low, int64_t high)
{
    int64_t room = size + low + high - ((window - 1) * dilation + 1);
    return room < 0 ? 0 : room / stride + 1;
}

static bool check_shapes(struct tn_planning *planning, const struct tn_value *x, const struct tn_value *kernel,
                         const struct tn_value *y, struct tn_convolution_geometry *g)
{
    const struct tn_convolution *o = &planning->op->a.conv;
    int64_t height, width;
    if (!x || !kernel || !y || x->shape.rank != 4 || kernel->shape.rank != 4 || y->shape.rank != 4) {
        tn_plan_fail(planning, TN_INVALID, "a convolution needs input, kernel and output of rank 4");
        return false;
    }
    if (o->stride_y < 1 || o->stride_x < 1 || o->dilation_y < 1 || o->dilation_x < 1 || o->groups < 1 || o->top < 0 ||
        o->left < 0 || o->bottom < 0 || o->right < 0 || kernel->shape.dims[3] % o->groups != 0 ||
        (int64_t)kernel->shape.dims[2] * o->groups != x->shape.dims[3]) {
        tn_plan_fail(planning, TN_INVALID, "strides, dilations, padding or groups of the convolution do not fit");
        return false;
    }
    g->x = x->shape;
    g->kernel_height = kernel->shape.dims[0], g->kernel_width = kernel->shape.dims[1];
    height = out_size(x->shape.dims[1], g->kernel_height, o->dilation_y, o->stride_y, o->top, o->bottom);
    width = out_size(x->shape.dims[2], g->kernel_width, o->dilation_x, o->stride_x, o->left, o->right);
    if (height < 1 || width < 1 || height > INT32_MAX || width > INT32_MAX) {
        tn_plan_fail(planning, TN_INVALID, "the convolution's window is larger than its input");
        return false;
    }
    g->y = tn_shape_make(4, x->shape.dims[0], (int32_t)height, (int32_t)width, kernel->shape.dims[3]);
    g->pooled = y->shape;
    g->has_pool = o->pool.mode != TN_POOL_NONE;
    g->relu = o->activation.function != TN_LINEAR;
    g->options = o;
    if (g->relu && !is_plain_relu(&o->activation)) {
        tn_plan_fail(planning, TN_UNSUPPORTED, "only a plain ReLU can be fused into a convolution");
        return false;
    }
    if (g->has_pool && (o->pool.mode != TN_POOL_MAX || !tn_pool_is_disjoint(&o->pool))) {
        tn_plan_fail(planning, TN_UNSUPPORTED,
                     "only a max pooling whose windows do not overlap can be fused into a convolution");
        return false;
    }
    if (!g->has_pool && !tn_shape_same(&g->y, &y->shape)) {
        tn_plan_fail(planning, TN_INVALID, "the convolution's output is %d x %d x %d, not %d x %d x %d",
                     (int)g->y.dims[1], (int)g->y.dims[2], (int)g->y.dims[3], (int)y->shape.dims[1],
                     (int)y->shape.dims[2], (int)y->shape.dims[3]);
        return false;
    }
    return true;
}

/* Layouts of kernel and bias in oneDNN's dimensions: [groups,] out, in, height, width; ours is [h, w, in, out]. */
static bool kernel_layouts(struct tn_planning *planning, struct tn_convolution_geometry *g)
{
    dnnl_dim_t groups = g->options->groups, out = g->y.dims[3], in = g->x.dims[3] / groups;
    dnnl_dim_t height = g->kernel_height, width = g->kernel_width, one = 1;
    dnnl_dim_t dims[] = {groups, out / groups, in, height, width};
    dnnl_dim_t strides[] = {out / groups, 1, out, width * in * out, in * out};
    int skip = groups == 1;
    g->kernel_plain = tn_layout_strided(planning->cpu, 5 - skip, dims + skip, strides + skip);
    g->kernel_any = tn_layout_any(planning->cpu, 5 - skip, dims + skip);
    g->bias = tn_layout_strided(planning->cpu, 1, &out, &one);
    if (!g->kernel_plain || !g->kernel_any || !g->bias)
        tn_plan_fail(planning, TN_NO_MEMORY, "out of memory");
    return planning->status == TN_OK;
}

struct tn_shape tn_convolution_shape(const struct tn_shape *whole, uint64_t images)
{
    struct tn_shape shape = *whole;
    shape.dims[0] = (int32_t)images;
    return shape;
}

struct tn_chunks tn_convolution_chunks(const struct tn_convolution_geometry *geometry)
{
    struct tn_chunks chunks = {(uint64_t)(geometry->x.dims[0] / geometry->images),
                               (uint64_t)(geometry->x.dims[0] % geometry->images)};
    return chunks;
}

struct tn_place tn_convolution_place(struct tn_place whole, const struct tn_layout *chunk, struct tn_chunks chunks,
                                     bool rest)
{
    if (rest)
        whole.offset += chunks.count * chunk->bytes;
    else
        whole.step = chunks.count > 1 ? chunk->bytes : 0;
    return whole;
}

static dnnl_status_t make_descriptor(struct tn_cpu *cpu, const struct tn_convolution_geometry *g,
                                     enum tn_convolution_pass pass, dnnl_alg_kind_t algorithm, tn_const_md x,
                                     tn_const_md kernel, tn_const_md y, bool bias, const_dnnl_primitive_desc_t forward,
                                     dnnl_primitive_desc_t *descriptor)
{
    const struct tn_convolution *o = g->options;
    struct tn_convolution_descriptor c = {.algorithm = algorithm,
                                          .x = x,
                                          .kernel = kernel,
                                          .bias = bias ? g->bias->md : NULL,
                                          .y = y,
                                          .strides = {o->stride_y, o->stride_x},
                                          .dilations = {o->dilation_y - 1, o->dilation_x - 1},
                                          .low = {o->top, o->left},
                                          .high = {o->bottom, o->right},
                                          /* A pooling behind does the ReLU itself, on fewer values. */
                                          .relu = g->relu && !g->has_pool};
    if (pass == TN_PASS_FORWARD)
        return tn_convolution_forward(descriptor, cpu->engine, &c);
    if (pass == TN_PASS_DATA)
        return tn_convolution_backward_data(descriptor, cpu->engine, &c, forward);
    return tn_convolution_backward_weights(descriptor, cpu->engine, &c, forward);
}

/* F(4x4, 3x3) saves three quarters of the multiplications and pays with transforms, which fewer channels do not earn
 * back. Measured on Zen 5, one thread, against direct: 32 -> 64 at 74x74 and 64 -> 128 at 36x36 1.36 of the whole step,
 * 32 -> 32 at 32x32 1.2 forward and by data but 0.9 by weights, 16 -> 16 0.7. oneDNN 3.2 and later have no Winograd. */
static const int32_t winograd_channels = 32, winograd_weight_channels = 96;

static bool may_be_winograd(const struct tn_cpu *cpu, const struct tn_convolution_geometry *g,
                            enum tn_convolution_pass pass)
{
    const struct tn_convolution *o = g->options;
    int32_t in = g->x.dims[3], out = g->y.dims[3], fewest = in < out ? in : out;
    if (cpu->convolution == TN_CONVOLUTION_DIRECT)
        return false;
    if (cpu->convolution == TN_CONVOLUTION_AUTO &&
        (fewest < winograd_channels || (pass == TN_PASS_WEIGHTS && in + out < winograd_weight_channels)))
        return false;
    return g->kernel_height == 3 && g->kernel_width == 3 && o->stride_y == 1 && o->stride_x == 1 &&
           o->dilation_y == 1 && o->dilation_x == 1 && o->groups == 1;
}

dnnl_status_t tn_convolution_descriptor(struct tn_cpu *cpu, const struct tn_convolution_geometry *g,
                                        enum tn_convolution_pass pass, uint64_t images, tn_const_md kernel, bool bias,
                                        const_dnnl_primitive_desc_t forward, dnnl_primitive_desc_t *descriptor)
{
    struct tn_shape of_x = tn_convolution_shape(&g->x, images), of_y = tn_convolution_shape(&g->y, images);
    const struct tn_layout *x = tn_layout_activation(cpu, &of_x, g->x_format);
    const struct tn_layout *y = tn_layout_activation(cpu, &of_y, g->y_format);
    if (!x || !y)
        return dnnl_out_of_memory;
    if (may_be_winograd(cpu, g, pass) && make_descriptor(cpu, g, pass, dnnl_convolution_winograd, x->md, kernel, y->md,
                                                         bias, forward, descriptor) == dnnl_success)
        return dnnl_success;
    return make_descriptor(cpu, g, pass, dnnl_convolution_direct, x->md, kernel, y->md, bias, forward, descriptor);
}

/* Lets oneDNN choose formats for the forward pass on a chunk. */
static void choose_formats(struct tn_planning *planning, struct tn_convolution_geometry *g, bool bias)
{
    struct tn_cpu *cpu = planning->cpu;
    struct tn_shape of_x = tn_convolution_shape(&g->x, (uint64_t)g->images);
    struct tn_shape of_y = tn_convolution_shape(&g->y, (uint64_t)g->images);
    dnnl_dim_t x_dims[] = {of_x.dims[0], of_x.dims[3], of_x.dims[1], of_x.dims[2]};
    dnnl_dim_t y_dims[] = {of_y.dims[0], of_y.dims[3], of_y.dims[1], of_y.dims[2]};
    const struct tn_layout *x = tn_layout_any(cpu, 4, x_dims), *y = tn_layout_any(cpu, 4, y_dims);
    dnnl_primitive_desc_t chosen = NULL;
    dnnl_status_t status = dnnl_unimplemented;
    if (!x || !y) {
        tn_plan_fail(planning, TN_NO_MEMORY, "out of memory");
        return;
    }
    if (may_be_winograd(cpu, g, TN_PASS_FORWARD))
        status = make_descriptor(cpu, g, TN_PASS_FORWARD, dnnl_convolution_winograd, x->md, g->kernel_any->md, y->md,
                                 bias, NULL, &chosen);
    if (status != dnnl_success)
        status = make_descriptor(cpu, g, TN_PASS_FORWARD, dnnl_convolution_direct, x->md, g->kernel_any->md, y->md,
                                 bias, NULL, &chosen);
    tn_plan_check(planning, status, "this convolution");
    if (planning->status != TN_OK)
        return;
    g->x_format = tn_layout_format(cpu, dnnl_primitive_desc_query_md(chosen, dnnl_query_src_md, 0), &of_x);
    g->y_format = tn_layout_format(cpu, dnnl_primitive_desc_query_md(chosen, dnnl_query_dst_md, 0), &of_y);
    if (g->x_format == TN_FORMAT_OPAQUE || g->y_format == TN_FORMAT_OPAQUE || g->y_format == TN_FORMAT_PLANAR) {
        /* Nothing that our loops could walk well. */
        g->x_format = g->y_format = TN_FORMAT_PLAIN;
        dnnl_primitive_desc_destroy(chosen);
        chosen = NULL;
        tn_plan_check(planning,
                      tn_convolution_descriptor(cpu, g, TN_PASS_FORWARD, (uint64_t)g->images, g->kernel_any->md, bias,
                                                NULL, &chosen),
                      "this convolution");
        if (planning->status != TN_OK)
            return;
    }
    g->algorithm = tn_algorithm(tn_kernel_name(chosen));
    tn_plan_check(planning,
                  tn_md_clone(&g->kernel_wanted, dnnl_primitive_desc_query_md(chosen, dnnl_query_weights_md, 0)),
                  "a description of the kernel");
    dnnl_primitive_desc_destroy(chosen);
}

static int32_t choose_images(const struct tn_cpu *cpu, const struct tn_convolution_geometry *g)
{
    const uint64_t budget = 3u << 20; /* bytes of the output of a chunk, for each thread */
    uint64_t image = (uint64_t)g->y.dims[1] * (uint64_t)g->y.dims[2] * (uint64_t)g->y.dims[3] * sizeof(float);
    uint64_t images = (uint64_t)cpu->threads * budget / image;
    if (!g->has_pool || images >= (uint64_t)g->x.dims[0])
        return g->x.dims[0];
    return images > 1 ? (int32_t)images : 1;
}

bool tn_convolution_describe(struct tn_planning *planning, const struct tn_value *x, const struct tn_value *kernel,
                             const struct tn_value *y, struct tn_convolution_geometry *g)
{
    memset(g, 0, sizeof *g);
    if (!check_shapes(planning, x, kernel, y, g) || !kernel_layouts(planning, g))
        return false;
    g->images = choose_images(planning->cpu, g);
    choose_formats(planning, g, true);
    return planning->status == TN_OK;
}

void tn_convolution_destroy(struct tn_convolution_geometry *geometry)
{
    tn_md_destroy(geometry->kernel_wanted);
    geometry->kernel_wanted = NULL;
}

const struct tn_layout *tn_convolution_kernel(const struct tn_value *kernel,
                                              const struct tn_convolution_geometry *geometry)
{
    const struct tn_layout *layout = kernel->layout;
    return layout->plain ? geometry->kernel_plain : layout;
}

struct tn_place tn_convolution_kernel_as(struct tn_planning *planning, uint32_t input,
                                         const struct tn_convolution_geometry *geometry, tn_const_md wants)
{
    struct tn_place place = tn_place_input(input);
    const struct tn_layout *has;
    if (planning->status != TN_OK)
        return place;
    has = tn_convolution_kernel(planning->op->inputs[input], geometry);
    if (!tn_md_equal(has->md, wants)) {
        place = tn_plan_scratch(planning, dnnl_memory_desc_get_size(wants));
        tn_plan_reorder(planning, has->md, tn_place_input(input), wants, place);
    }
    return place;
}
