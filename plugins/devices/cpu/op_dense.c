/* op_dense.c: fully connected layers by oneDNN's inner product, with bias and ReLU fused.
 *
 * oneDNN chooses the kernel's layout for the forward pass, and the two backward passes accept it (2.6 and 3.2 with
 * brgemm: measured equal to the best plain order for each pass), so that 75 MB of weights are never reordered.
 */
#include "elementwise.h"

struct dense {
    const struct tn_layout *x, *kernel, *kernel_any, *plain_kernel, *bias, *y; /* as oneDNN gets them: rank 2 (1) */
    dnnl_dim_t rows, in, out;
    bool relu;
};

static const struct tn_layout *matrix(struct tn_cpu *cpu, dnnl_dim_t rows, dnnl_dim_t columns, dnnl_dim_t row_stride,
                                      dnnl_dim_t column_stride)
{
    dnnl_dim_t dims[] = {rows, columns}, strides[] = {row_stride, column_stride};
    return tn_layout_strided(cpu, 2, dims, strides);
}

static bool describe(struct tn_planning *planning, const struct tn_value *x, const struct tn_value *kernel,
                     const struct tn_value *y, struct dense *d)
{
    const struct tn_activation *activation = &planning->op->a.dense.activation;
    struct tn_cpu *cpu = planning->cpu;
    dnnl_dim_t dims[2], one = 1;
    if (!x || !kernel || !y || x->shape.rank < 1 || kernel->shape.rank != 2 ||
        kernel->shape.dims[0] != x->shape.dims[x->shape.rank - 1] || y->shape.rank < 1 ||
        kernel->shape.dims[1] != y->shape.dims[y->shape.rank - 1] ||
        tn_shape_elements(&x->shape) / (uint64_t)kernel->shape.dims[0] !=
            tn_shape_elements(&y->shape) / (uint64_t)kernel->shape.dims[1]) {
        tn_plan_fail(planning, TN_INVALID, "the shapes of a dense layer's input, kernel and output do not fit");
        return false;
    }
    if (activation->function != TN_LINEAR && (activation->function != TN_RELU || activation->alpha != 0.0f ||
                                              activation->beta > 0.0f || activation->gamma != 0.0f)) {
        tn_plan_fail(planning, TN_UNSUPPORTED, "only a plain ReLU can be fused into a dense layer");
        return false;
    }
    d->in = kernel->shape.dims[0], d->out = kernel->shape.dims[1];
    d->rows = (dnnl_dim_t)tn_shape_elements(&x->shape) / d->in;
    d->relu = activation->function == TN_RELU;
    d->x = matrix(cpu, d->rows, d->in, d->in, 1);
    d->y = matrix(cpu, d->rows, d->out, d->out, 1);
    d->plain_kernel = matrix(cpu, d->out, d->in, 1, d->out); /* ours is [in, out], oneDNN's [out, in] */
    dims[0] = d->out, dims[1] = d->in;
    d->kernel_any = tn_layout_any(cpu, 2, dims);
    d->bias = tn_layout_strided(cpu, 1, dims, &one);
    if (!d->x || !d->y || !d->plain_kernel || !d->kernel_any || !d->bias) {
        tn_plan_fail(planning, TN_NO_MEMORY, "out of memory");
        return false;
    }
    return true;
}

/* The kernel's layout as rank 2, once it is planned. */
static const struct tn_layout *kernel_layout(const struct tn_value *kernel, const struct dense *d)
{
    const struct tn_layout *layout = kernel->layout;
    return layout->plain ? d->plain_kernel : layout;
}

static struct tn_dense_descriptor descriptor_of(const struct dense *d, const struct tn_layout *kernel, bool bias,
                                                bool relu)
{
    struct tn_dense_descriptor result = {d->x->md, kernel->md, bias ? d->bias->md : NULL, d->y->md, relu};
    return result;
}

/* The kernel in the layout that a primitive wants: itself or a copy. */
static struct tn_place kernel_as(struct tn_planning *planning, uint32_t input, const struct dense *d, tn_const_md wants)
{
    const struct tn_layout *has = kernel_layout(planning->op->inputs[input], d);
    struct tn_place place = tn_place_input(input);
    if (!tn_md_equal(has->md, wants)) {
        place = tn_plan_scratch(planning, dnnl_memory_desc_get_size(wants));
        tn_plan_reorder(planning, has->md, tn_place_input(input), wants, place);
    }
    return place;
}

void tn_plan_dense(struct tn_planning *planning)
{
    enum { X = 0, KERNEL = 1, BIAS = 2 };
    struct tn_value *x = tn_plan_value(planning, X), *kernel = tn_plan_value(planning, KERNEL);
    struct tn_value *y = tn_plan_result(planning, 0);
    bool bias = tn_plan_value(planning, BIAS) != NULL;
    struct tn_place x_place, kernel_place, bias_place = {0}, y_place;
    struct tn_dense_descriptor wish;
    dnnl_primitive_desc_t chosen = NULL;
    tn_const_md wants;
    struct dense d;
    uint32_t stage;
    if (!describe(planning, x, kernel, y, &d))
        return;
    wish = descriptor_of(&d, kernel->planned ? kernel_layout(kernel, &d) : d.kernel_any, bias, d.relu);
    if (tn_dense_forward(&chosen, planning->cpu->engine, &wish) != dnnl_success) {
        wish.kernel = d.kernel_any->md; /* a layout of another batch size that does not suit this one */
        tn_plan_check(planning, tn_dense_forward(&chosen, planning->cpu->engine, &wish), "this dense layer");
        if (planning->status != TN_OK)
            return;
    }
    planning->op->algorithm = tn_algorithm(tn_kernel_name(chosen));
    wants = dnnl_primitive_desc_query_md(chosen, dnnl_query_weights_md, 0);
    if (tn_plan_is_free(kernel))
        tn_plan_set_layout(
            planning, kernel,
            tn_layout_opaque(planning->cpu, tn_md_is_blocked(wants) ? wants : d.plain_kernel->md, d.plain_kernel->md));
    x_place = tn_plan_input(planning, X, tn_layout_plain(planning->cpu, &x->shape, TN_F32));
    if (bias)
        bias_place = tn_plan_input(planning, BIAS, d.bias);
    y_place = tn_plan_output(planning, 0, tn_layout_plain(planning->cpu, &y->shape, TN_F32));
    if (planning->status == TN_OK)
        kernel_place = kernel_as(planning, KERNEL, &d, wants);
    stage = tn_plan_stage(planning, chosen);
    if (planning->status != TN_OK)
        return;
    tn_plan_argument(planning, stage, DNNL_ARG_SRC, d.x->md, x_place);
    tn_plan_argument(planning, stage, DNNL_ARG_WEIGHTS, wants, kernel_place);
    if (bias)
        tn_plan_argument(planning, stage, DNNL_ARG_BIAS, d.bias->md, bias_place);
    tn_plan_argument(planning, stage, DNNL_ARG_DST, d.y->md, y_place);
}

/* ---- gradient ---- */

enum { DY = 0, X = 1, KERNEL = 2, Y = 3 };

/* Places: dy, y, masked dy. */
static tn_status mask_body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    tn_elementwise_run(run->cpu, tn_relu_mask, tn_floats(kernel, 0), tn_floats(kernel, 1), NULL, tn_floats(kernel, 2),
                       tn_shape_elements(&op->inputs[DY]->shape), NULL);
    return TN_OK;
}

/* dy behind the ReLU. */
static struct tn_place plan_mask(struct tn_planning *planning, const struct dense *d)
{
    const struct tn_layout *plain = tn_layout_plain(planning->cpu, &planning->op->inputs[DY]->shape, TN_F32);
    struct tn_place dy = tn_plan_input(planning, DY, plain), y, masked = dy;
    if (!d->relu)
        return dy;
    y = tn_plan_input(planning, Y, plain);
    if (dy.base == TN_PLACE_INPUT && !tn_plan_may_overwrite(planning, DY) && planning->status == TN_OK)
        masked = tn_plan_scratch(planning, plain->bytes);
    tn_plan_body_place(planning, dy);
    tn_plan_body_place(planning, y);
    tn_plan_body_place(planning, masked);
    tn_plan_body(planning, mask_body);
    return masked;
}

static void plan_backward_data(struct tn_planning *planning, const struct dense *d, const_dnnl_primitive_desc_t forward,
                               struct tn_place dy)
{
    const struct tn_value *kernel = planning->op->inputs[KERNEL];
    struct tn_dense_descriptor wish = descriptor_of(d, kernel_layout(kernel, d), false, false);
    dnnl_primitive_desc_t chosen = NULL;
    struct tn_place kernel_place, dx;
    tn_const_md wants;
    uint32_t stage;
    if (tn_dense_backward_data(&chosen, planning->cpu->engine, &wish, forward) != dnnl_success) {
        wish.kernel = d->kernel_any->md;
        tn_plan_check(planning, tn_dense_backward_data(&chosen, planning->cpu->engine, &wish, forward),
                      "the gradient of this dense layer's input");
        if (planning->status != TN_OK)
            return;
    }
    wants = dnnl_primitive_desc_query_md(chosen, dnnl_query_weights_md, 0);
    kernel_place = kernel_as(planning, KERNEL, d, wants);
    dx = tn_plan_output(planning, 0, tn_layout_plain(planning->cpu, &planning->op->inputs[X]->shape, TN_F32));
    stage = tn_plan_stage(planning, chosen);
    tn_plan_argument(planning, stage, DNNL_ARG_DIFF_DST, d->y->md, dy);
    tn_plan_argument(planning, stage, DNNL_ARG_WEIGHTS, wants, kernel_place);
    tn_plan_argument(planning, stage, DNNL_ARG_DIFF_SRC, d->x->md, dx);
}

static void plan_backward_weights(struct tn_planning *planning, const struct dense *d,
                                  const_dnnl_primitive_desc_t forward, struct tn_place dy)
{
    struct tn_value *dkernel = tn_plan_result(planning, 1), *dbias = tn_plan_result(planning, 2);
    const struct tn_layout *stored = kernel_layout(planning->op->inputs[KERNEL], d);
    struct tn_dense_descriptor wish = descriptor_of(d, stored, dbias != NULL, false);
    dnnl_primitive_desc_t chosen = NULL;
    struct tn_place x, target = tn_place_output(1), bias = {0};
    tn_const_md makes;
    uint32_t stage;
    bool direct;
    if (tn_dense_backward_weights(&chosen, planning->cpu->engine, &wish, forward) != dnnl_success) {
        wish.kernel = d->kernel_any->md;
        tn_plan_check(planning, tn_dense_backward_weights(&chosen, planning->cpu->engine, &wish, forward),
                      "the gradient of this dense layer's kernel");
        if (planning->status != TN_OK)
            return;
    }
    makes = dnnl_primitive_desc_query_md(chosen, dnnl_query_diff_weights_md, 0);
    if (dkernel && tn_plan_is_free(dkernel))
        tn_plan_set_layout(planning, dkernel, planning->op->inputs[KERNEL]->layout);
    if (dkernel && planning->status == TN_OK)
        stored = kernel_layout(dkernel, d);
    direct = dkernel && tn_md_equal(makes, stored->md);
    if (!direct)
        target = tn_plan_scratch(planning, dnnl_memory_desc_get_size(makes));
    x = tn_plan_input(planning, X, tn_layout_plain(planning->cpu, &planning->op->inputs[X]->shape, TN_F32));
    if (dbias)
        bias = tn_plan_output(planning, 2, d->bias);
    stage = tn_plan_stage(planning, chosen);
    tn_plan_argument(planning, stage, DNNL_ARG_SRC, d->x->md, x);
    tn_plan_argument(planning, stage, DNNL_ARG_DIFF_DST, d->y->md, dy);
    tn_plan_argument(planning, stage, DNNL_ARG_DIFF_WEIGHTS, makes, target);
    if (dbias)
        tn_plan_argument(planning, stage, DNNL_ARG_DIFF_BIAS, d->bias->md, bias);
    if (dkernel && !direct)
        tn_plan_reorder(planning, makes, target, stored->md, tn_place_output(1));
}

void tn_plan_dense_gradient(struct tn_planning *planning)
{
    struct tn_value *kernel = tn_plan_value(planning, KERNEL);
    struct tn_dense_descriptor wish;
    dnnl_primitive_desc_t forward = NULL;
    struct tn_place dy;
    struct dense d;
    if (!describe(planning, tn_plan_value(planning, X), kernel, tn_plan_value(planning, DY), &d))
        return;
    if (d.relu && !tn_plan_value(planning, Y)) {
        tn_plan_fail(planning, TN_FAILED, "the gradient of a dense layer with ReLU needs its output");
        return;
    }
    if (!kernel->planned)
        tn_plan_set_layout(planning, kernel, d.plain_kernel);
    if (planning->status != TN_OK)
        return;
    wish = descriptor_of(&d, kernel_layout(kernel, &d), false, false);
    if (tn_dense_forward(&forward, planning->cpu->engine, &wish) != dnnl_success) {
        wish.kernel = d.kernel_any->md;
        tn_plan_check(planning, tn_dense_forward(&forward, planning->cpu->engine, &wish), "this dense layer");
        if (planning->status != TN_OK)
            return;
    }
    planning->op->algorithm = tn_algorithm(tn_kernel_name(forward));
    dy = plan_mask(planning, &d);
    if (tn_plan_result(planning, 0) && planning->status == TN_OK)
        plan_backward_data(planning, &d, forward, dy);
    if ((tn_plan_result(planning, 1) || tn_plan_result(planning, 2)) && planning->status == TN_OK)
        plan_backward_weights(planning, &d, forward, dy);
    dnnl_primitive_desc_destroy(forward);
}
