/* autodiff.c: reverse-mode differentiation: one rule for each forward op, walked from the last op to the first.
 *
 * When an op is reached, every op that reads its output has already added its share, so the output's gradient is whole.
 */
#include "graph/graph.h"

struct pass {
    struct tn_graph *graph;
    const char *layer;
};

static struct tn_op *gradient_op(struct pass *pass, int32_t kind, uint32_t inputs, uint32_t outputs)
{
    return tn_graph_op(pass->graph, kind, TN_PHASE_BACKWARD, inputs, outputs, pass->layer);
}

static struct tn_value *gradient_value(struct pass *pass, const struct tn_value *of, const struct tn_shape *shape)
{
    char name[256];
    (void)snprintf(name, sizeof name, "%s gradient", of->name);
    return tn_graph_value(pass->graph, TN_ROLE_GRADIENT, shape ? shape : &of->shape, name);
}

/* Adds a share to the gradient of `of`. */
static void contribute(struct pass *pass, struct tn_value *of, struct tn_value *share)
{
    struct tn_value_info *info = tn_info(of);
    struct tn_op *op;
    if (!share)
        return;
    if (!info->gradient) {
        info->gradient = share;
        return;
    }
    op = gradient_op(pass, TN_OP_ACCUMULATE, 2, 1);
    if (!op)
        return;
    op->inputs[0] = info->gradient;
    op->inputs[1] = share;
    tn_op_output(op, 0, gradient_value(pass, of, NULL));
    info->gradient = op->outputs[0];
}

/* Makes output `i` of a gradient op the gradient of `of`, if anybody needs it. */
static void want(struct pass *pass, struct tn_op *op, uint32_t i, struct tn_value *of)
{
    if (!op || !of || !tn_info(of)->needs_gradient)
        return;
    tn_op_output(op, i, gradient_value(pass, of, NULL));
    contribute(pass, of, op->outputs[i]);
}

static bool anyone(struct tn_value *const *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (values[i] && tn_info(values[i])->needs_gradient)
            return true;
    return false;
}

static void convolution(struct pass *pass, const struct tn_op *f, struct tn_value *dy)
{
    struct tn_op *op = gradient_op(pass, TN_OP_CONV2D_GRADIENT, 5, 3);
    if (!op)
        return;
    op->a.conv = f->a.conv;
    op->inputs[0] = dy;
    op->inputs[1] = f->inputs[0];
    op->inputs[2] = f->inputs[1];
    /* With a pooling fused in, the workspace knows both which pixel won and whether the ReLU let it through. */
    if (f->a.conv.activation.function != TN_LINEAR && !f->a.conv.pool.mode)
        op->inputs[3] = f->outputs[0];
    op->inputs[4] = f->outputs[1];
    for (uint32_t i = 0; i < 3; i++)
        want(pass, op, i, f->inputs[i]);
}

static void dense(struct pass *pass, const struct tn_op *f, struct tn_value *dy)
{
    struct tn_op *op = gradient_op(pass, TN_OP_DENSE_GRADIENT, 4, 3);
    if (!op)
        return;
    op->a.dense = f->a.dense;
    op->inputs[0] = dy;
    op->inputs[1] = f->inputs[0];
    op->inputs[2] = f->inputs[1];
    op->inputs[3] = f->a.dense.activation.function != TN_LINEAR ? f->outputs[0] : NULL;
    for (uint32_t i = 0; i < 3; i++)
        want(pass, op, i, f->inputs[i]);
}

static void normalization(struct pass *pass, const struct tn_op *f, struct tn_value *dy)
{
    struct tn_op *op = gradient_op(pass, TN_OP_BATCH_NORM_GRADIENT, 8, 3);
    if (!op)
        return;
    op->a.norm = f->a.norm;
    op->inputs[0] = dy;
    op->inputs[1] = f->inputs[0];
    op->inputs[2] = f->inputs[1];
    op->inputs[3] = f->inputs[2];
    op->inputs[5] = f->outputs[1];
    op->inputs[6] = f->inputs[3];
    op->inputs[7] = f->inputs[4];
    for (uint32_t i = 0; i < 3; i++)
        want(pass, op, i, f->inputs[i]);
}

/* Sums a gradient of the broadcast shape over the stretched axes. */
static struct tn_value *reduced(struct pass *pass, struct tn_value *gradient, const struct tn_value *to)
{
    struct tn_op *op;
    if (tn_shape_equal(&gradient->shape, &to->shape))
        return gradient;
    op = gradient_op(pass, TN_OP_REDUCE_SUM, 1, 1);
    if (!op)
        return NULL;
    op->inputs[0] = gradient;
    tn_op_output(op, 0, gradient_value(pass, to, NULL));
    return op->outputs[0];
}

static void binary(struct pass *pass, const struct tn_op *f, struct tn_value *dy)
{
    struct tn_value *shares[2] = {dy, dy};
    if (f->a.binary.function != TN_ADD) {
        struct tn_op *op = gradient_op(pass, TN_OP_BINARY_GRADIENT, 3, 2);
        if (!op)
            return;
        op->a = f->a;
        op->inputs[0] = dy;
        op->inputs[1] = f->inputs[0];
        op->inputs[2] = f->inputs[1];
        for (uint32_t i = 0; i < 2; i++) {
            shares[i] = NULL;
            if (!tn_info(f->inputs[i])->needs_gradient)
                continue;
            tn_op_output(op, i, gradient_value(pass, f->inputs[i], &f->outputs[0]->shape));
            shares[i] = op->outputs[i];
        }
    }
    for (uint32_t i = 0; i < 2; i++)
        if (shares[i] && tn_info(f->inputs[i])->needs_gradient)
            contribute(pass, f->inputs[i], reduced(pass, shares[i], f->inputs[i]));
}

static void custom(struct pass *pass, const struct tn_op *f, struct tn_value *dy)
{
    uint32_t in = f->input_count;
    struct tn_op *op = gradient_op(pass, TN_OP_CUSTOM_GRADIENT, 1 + in + 1, in);
    if (!op)
        return;
    op->a = f->a;
    op->custom = f->custom;
    op->inputs[0] = dy;
    for (uint32_t i = 0; i < in; i++)
        op->inputs[1 + i] = f->inputs[i];
    op->inputs[1 + in] = f->outputs[0];
    for (uint32_t i = 0; i < in; i++)
        want(pass, op, i, f->inputs[i]);
}

/* Ops with one data input whose gradient op reads dy and some of x, y, workspace. */
static void one_input(struct pass *pass, const struct tn_op *f, struct tn_value *dy, int32_t kind,
                      struct tn_value *second, struct tn_value *third, struct tn_value *fourth, uint32_t inputs,
                      uint64_t layout_only)
{
    struct tn_op *op = gradient_op(pass, kind, inputs, 1);
    if (!op)
        return;
    op->a = f->a;
    op->layout_only = layout_only;
    op->inputs[0] = dy;
    if (inputs > 1)
        op->inputs[1] = second;
    if (inputs > 2)
        op->inputs[2] = third;
    if (inputs > 3)
        op->inputs[3] = fourth;
    want(pass, op, 0, f->inputs[0]);
}

static tn_status differentiate_op(struct pass *pass, const struct tn_op *f, struct tn_value *dy, struct tn_error *error)
{
    struct tn_value *x = f->inputs[0], *y = f->outputs[0];
    switch (f->kind) {
    case TN_OP_CONV2D:
        convolution(pass, f, dy);
        return TN_OK;
    case TN_OP_DENSE:
        dense(pass, f, dy);
        return TN_OK;
    case TN_OP_BATCH_NORM:
        normalization(pass, f, dy);
        return TN_OK;
    case TN_OP_BINARY:
        binary(pass, f, dy);
        return TN_OK;
    case TN_OP_CUSTOM:
        if (!f->custom->backward)
            return tn_fail(error, TN_UNSUPPORTED,
                           "[layer:%s] a %s has no backward(), so that nothing in front of it can be trained", f->layer,
                           f->custom->type_name);
        custom(pass, f, dy);
        return TN_OK;
    case TN_OP_POOL:
        one_input(pass, f, dy, TN_OP_POOL_GRADIENT, x, y, f->outputs[1], 4, 6);
        return TN_OK;
    case TN_OP_GLOBAL_POOL: {
        bool max = f->a.pool.mode == TN_POOL_MAX;
        one_input(pass, f, dy, TN_OP_GLOBAL_POOL_GRADIENT, x, max ? y : NULL, NULL, 3, max ? 0 : 2);
        return TN_OK;
    }
    case TN_OP_ACTIVATION: {
        bool input = tn_activation_needs_input(&f->a.activation) != 0;
        one_input(pass, f, dy, TN_OP_ACTIVATION_GRADIENT, input ? x : NULL, input ? NULL : y, NULL, 3, 0);
        return TN_OK;
    }
    case TN_OP_SOFTMAX:
        one_input(pass, f, dy, TN_OP_SOFTMAX_GRADIENT, y, NULL, NULL, 2, 0);
        return TN_OK;
    case TN_OP_DROPOUT:
        one_input(pass, f, dy, TN_OP_DROPOUT_GRADIENT, f->outputs[1], NULL, NULL, 2, 0);
        return TN_OK;
    case TN_OP_RESHAPE:
        one_input(pass, f, dy, TN_OP_RESHAPE, NULL, NULL, NULL, 1, 0);
        return TN_OK;
    case TN_OP_CAST:
        one_input(pass, f, dy, TN_OP_CAST_GRADIENT, NULL, NULL, NULL, 1, 0);
        return TN_OK;
    case TN_OP_COPY:
        contribute(pass, x, dy);
        return TN_OK;
    case TN_OP_CONCAT: {
        struct tn_op *op = gradient_op(pass, TN_OP_CONCAT_GRADIENT, 1 + f->input_count, f->input_count);
        if (!op)
            return TN_OK;
        op->a = f->a;
        op->inputs[0] = dy;
        op->layout_only = ~(uint64_t)1;
        for (uint32_t i = 0; i < f->input_count; i++) {
            op->inputs[1 + i] = f->inputs[i];
            want(pass, op, i, f->inputs[i]);
        }
        return TN_OK;
    }
    default:
        return tn_fail(error, TN_UNSUPPORTED, "[layer:%s] op %d has no derivative", f->layer, f->kind);
    }
}

tn_status tn_graph_differentiate(struct tn_graph *graph, struct tn_value *from, struct tn_value *gradient,
                                 struct tn_error *error)
{
    size_t forward_count = graph->op_count;
    struct pass pass = {graph, ""};
    tn_info(from)->gradient = gradient;
    for (size_t i = forward_count; i > 0; i--) {
        const struct tn_op *op = graph->ops[i - 1];
        struct tn_value *dy = op->outputs[0] ? tn_info(op->outputs[0])->gradient : NULL;
        tn_status status;
        if (!dy || op->kind == TN_OP_LOSS || !anyone(op->inputs, op->input_count))
            continue;
        pass.layer = op->layer;
        status = differentiate_op(&pass, op, dy, error);
        if (status != TN_OK)
            return status;
        if (graph->failed)
            return tn_fail(error, TN_NO_MEMORY, "no memory for the backward pass");
    }
    return TN_OK;
}
