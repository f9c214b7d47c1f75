/* op_norm.c: batch normalization by oneDNN; the moving values are ours.
 *
 * `saved` holds the batch's mean, its variance (each padded to 16 floats) and, with a fused ReLU, oneDNN's bit for
 * each element.
 */
#include "kernel.h"

struct norm {
    struct tn_norm_descriptor descriptor;
    const struct tn_layout *data;  /* the value's */
    const struct tn_layout *given; /* as oneDNN gets it: rank 4 */
    const struct tn_layout *statistics;
    uint64_t statistics_bytes;
    int64_t channels, count; /* elements that each mean is taken over */
};

/* oneDNN normalises [N, C, H, W]; other ranks are seen as [product, C, 1, 1]. */
static const struct tn_layout *as_rank_4(struct tn_cpu *cpu, const struct tn_layout *layout)
{
    dnnl_dim_t dims[4], strides[4], channels = layout->shape.dims[layout->shape.rank - 1];
    if (layout->shape.rank == 4)
        return layout;
    dims[0] = (dnnl_dim_t)tn_shape_elements(&layout->shape) / channels;
    dims[1] = channels, dims[2] = dims[3] = 1;
    strides[0] = strides[2] = strides[3] = channels, strides[1] = 1;
    return tn_layout_strided(cpu, 4, dims, strides);
}

static bool describe(struct tn_planning *planning, struct tn_value *x, struct norm *norm)
{
    const struct tn_normalization *options = &planning->op->a.norm;
    dnnl_dim_t one = 1, channels;
    if (!x || x->shape.rank < 1) {
        tn_plan_fail(planning, TN_INVALID, "batch normalization needs an input with channels");
        return false;
    }
    norm->data = tn_plan_layout(planning, x);
    if (planning->status != TN_OK)
        return false;
    if (norm->data->format == TN_FORMAT_OPAQUE)
        norm->data = tn_layout_plain(planning->cpu, &x->shape, TN_F32);
    norm->given = norm->data ? as_rank_4(planning->cpu, norm->data) : NULL;
    channels = norm->channels = x->shape.dims[x->shape.rank - 1];
    norm->count = (int64_t)tn_shape_elements(&x->shape) / channels;
    norm->statistics = tn_layout_strided(planning->cpu, 1, &channels, &one);
    norm->statistics_bytes = (uint64_t)(channels + 15) / 16 * 16 * sizeof(float);
    if (!norm->given || !norm->statistics) {
        tn_plan_fail(planning, TN_NO_MEMORY, "out of memory");
        return false;
    }
    norm->descriptor.data = norm->given->md;
    norm->descriptor.epsilon = options->epsilon;
    norm->descriptor.given_statistics = !options->training;
    norm->descriptor.relu = options->relu != 0;
    return true;
}

static struct tn_place at(struct tn_place place, uint64_t offset)
{
    place.offset += offset;
    return place;
}

/* Places: mean, variance of the batch; moving mean, moving variance. */
static tn_status update_moving(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    const struct norm *norm = kernel->details;
    const float *mean = tn_floats(kernel, 0), *variance = tn_floats(kernel, 1);
    float *moving_mean = tn_floats(kernel, 2), *moving_variance = tn_floats(kernel, 3);
    float keep = op->a.norm.momentum, take = 1.0f - keep, factor = 1.0f;
    (void)run;
    if (op->a.norm.unbiased && norm->count > 1)
        factor = (float)((double)norm->count / (double)(norm->count - 1));
    for (int64_t c = 0; c < norm->channels; c++) {
        moving_mean[c] = moving_mean[c] * keep + mean[c] * take;
        moving_variance[c] = moving_variance[c] * keep + variance[c] * factor * take;
    }
    return TN_OK;
}

static void argument_if(struct tn_planning *planning, uint32_t stage, int name, const struct norm *norm, uint32_t input)
{
    if (tn_plan_value(planning, input))
        tn_plan_argument(planning, stage, name, norm->statistics->md, tn_plan_input(planning, input, norm->statistics));
}

/* Bytes of oneDNN's own workspace. */
static uint64_t workspace_bytes(const_dnnl_primitive_desc_t descriptor, tn_const_md *md)
{
    *md = dnnl_primitive_desc_query_md(descriptor, dnnl_query_workspace_md, 0);
    return *md ? dnnl_memory_desc_get_size(*md) : 0;
}

void tn_plan_norm(struct tn_planning *planning)
{
    struct tn_op *op = planning->op;
    struct tn_value *saved = tn_plan_result(planning, 1);
    struct norm *norm = tn_plan_details(planning, sizeof *norm);
    dnnl_primitive_desc_t descriptor = NULL;
    struct tn_place keep, x, y;
    tn_const_md workspace;
    uint64_t extra, bytes;
    uint32_t stage;
    if (!norm || !describe(planning, tn_plan_value(planning, 0), norm))
        return;
    norm->descriptor.scale = tn_plan_value(planning, 1) != NULL;
    norm->descriptor.shift = tn_plan_value(planning, 2) != NULL;
    norm->descriptor.inference = !saved && !op->a.norm.training;
    tn_plan_check(planning, tn_norm_forward(&descriptor, planning->cpu->engine, &norm->descriptor),
                  "this batch normalization");
    if (planning->status != TN_OK)
        return;
    extra = workspace_bytes(descriptor, &workspace);
    bytes = 2 * norm->statistics_bytes + extra;
    op->algorithm = tn_algorithm(tn_kernel_name(descriptor));
    if (saved) {
        saved->planned = 1;
        saved->bytes = bytes;
        keep = tn_place_output(1);
    } else {
        keep = tn_plan_scratch(planning, bytes);
    }
    x = tn_plan_input(planning, 0, norm->data);
    y = tn_plan_output(planning, 0, norm->data);
    stage = tn_plan_stage(planning, descriptor);
    tn_plan_argument(planning, stage, DNNL_ARG_SRC, norm->given->md, x);
    tn_plan_argument(planning, stage, DNNL_ARG_DST, norm->given->md, y);
    argument_if(planning, stage, DNNL_ARG_SCALE, norm, 1);
    argument_if(planning, stage, DNNL_ARG_SHIFT, norm, 2);
    if (extra)
        tn_plan_argument(planning, stage, DNNL_ARG_WORKSPACE, workspace, at(keep, 2 * norm->statistics_bytes));
    if (!op->a.norm.training) {
        argument_if(planning, stage, DNNL_ARG_MEAN, norm, 3);
        argument_if(planning, stage, DNNL_ARG_VARIANCE, norm, 4);
        return;
    }
    tn_plan_argument(planning, stage, DNNL_ARG_MEAN, norm->statistics->md, keep);
    tn_plan_argument(planning, stage, DNNL_ARG_VARIANCE, norm->statistics->md, at(keep, norm->statistics_bytes));
    tn_plan_body_place(planning, keep);
    tn_plan_body_place(planning, at(keep, norm->statistics_bytes));
    tn_plan_body_place(planning, tn_plan_input(planning, 3, norm->statistics));
    tn_plan_body_place(planning, tn_plan_input(planning, 4, norm->statistics));
    tn_plan_body(planning, update_moving);
}

/* Where the gradient of gamma or beta goes; somewhere it has to, also when nobody wants it. */
static struct tn_place weight_gradient(struct tn_planning *planning, const struct norm *norm, uint32_t output)
{
    return tn_plan_result(planning, output) ? tn_plan_output(planning, output, norm->statistics)
                                            : tn_plan_scratch(planning, norm->statistics_bytes);
}

void tn_plan_norm_gradient(struct tn_planning *planning)
{
    enum { DY = 0, X = 1, GAMMA = 2, BETA = 3, SAVED = 5, MOVING_MEAN = 6, MOVING_VARIANCE = 7 };
    struct tn_op *op = planning->op;
    struct norm *norm = tn_plan_details(planning, sizeof *norm);
    dnnl_primitive_desc_t forward = NULL, descriptor = NULL;
    struct tn_place saved = tn_place_input(SAVED), dy, x, dx;
    tn_const_md workspace;
    uint32_t stage;
    if (!norm || !describe(planning, tn_plan_value(planning, X), norm))
        return;
    norm->descriptor.scale = tn_plan_value(planning, GAMMA) != NULL;
    norm->descriptor.shift = tn_plan_value(planning, BETA) != NULL;
    if ((op->a.norm.training || op->a.norm.relu) && !tn_plan_value(planning, SAVED)) {
        tn_plan_fail(planning, TN_FAILED, "the gradient of batch normalization needs what its forward op saved");
        return;
    }
    tn_plan_check(planning, tn_norm_forward(&forward, planning->cpu->engine, &norm->descriptor),
                  "this batch normalization");
    if (planning->status != TN_OK)
        return;
    tn_plan_check(planning, tn_norm_backward(&descriptor, planning->cpu->engine, &norm->descriptor, forward),
                  "the gradient of this batch normalization");
    dnnl_primitive_desc_destroy(forward);
    if (planning->status != TN_OK)
        return;
    op->algorithm = tn_algorithm(tn_kernel_name(descriptor));
    dy = tn_plan_input(planning, DY, norm->data);
    x = tn_plan_input(planning, X, norm->data);
    dx = tn_plan_result(planning, 0) ? tn_plan_output(planning, 0, norm->data)
                                     : tn_plan_scratch(planning, norm->data->bytes);
    stage = tn_plan_stage(planning, descriptor);
    tn_plan_argument(planning, stage, DNNL_ARG_SRC, norm->given->md, x);
    tn_plan_argument(planning, stage, DNNL_ARG_DIFF_DST, norm->given->md, dy);
    tn_plan_argument(planning, stage, DNNL_ARG_DIFF_SRC, norm->given->md, dx);
    argument_if(planning, stage, DNNL_ARG_SCALE, norm, GAMMA);
    if (tn_norm_backward_takes_shift)
        argument_if(planning, stage, DNNL_ARG_SHIFT, norm, BETA);
    if (norm->descriptor.scale)
        tn_plan_argument(planning, stage, DNNL_ARG_DIFF_SCALE, norm->statistics->md,
                         weight_gradient(planning, norm, 1));
    if (norm->descriptor.shift)
        tn_plan_argument(planning, stage, DNNL_ARG_DIFF_SHIFT, norm->statistics->md,
                         weight_gradient(planning, norm, 2));
    if (workspace_bytes(descriptor, &workspace))
        tn_plan_argument(planning, stage, DNNL_ARG_WORKSPACE, workspace, at(saved, 2 * norm->statistics_bytes));
    if (op->a.norm.training) {
        tn_plan_argument(planning, stage, DNNL_ARG_MEAN, norm->statistics->md, saved);
        tn_plan_argument(planning, stage, DNNL_ARG_VARIANCE, norm->statistics->md, at(saved, norm->statistics_bytes));
    } else {
        argument_if(planning, stage, DNNL_ARG_MEAN, norm, MOVING_MEAN);
        argument_if(planning, stage, DNNL_ARG_VARIANCE, norm, MOVING_VARIANCE);
    }
    tn_plan_overwrite(planning, DY);
}
