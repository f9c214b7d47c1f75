/* rewrite.c: joins ops that a device runs as one: conv/dense + ReLU, batch norm + ReLU, conv + max pooling (ReLU and
 * max pooling commute, so that their order does not matter), cast + rescaling.
 *
 * Works on the forward graph, before it is differentiated, so that the derivative of a joined op is one op too. An
 * intermediate value is only given up when nothing else reads it. */
#include "graph/graph.h"

static void count_uses(struct tn_graph *graph, struct tn_value *const *keep, size_t keep_count)
{
    for (size_t i = 0; i < graph->value_count; i++)
        tn_info(graph->values[i])->uses = 0;
    for (size_t i = 0; i < graph->op_count; i++)
        for (uint32_t k = 0; k < graph->ops[i]->input_count; k++)
            if (graph->ops[i]->inputs[k])
                tn_info(graph->ops[i]->inputs[k])->uses++;
    for (size_t i = 0; i < keep_count; i++)
        if (keep[i])
            tn_info(keep[i])->uses++;
}

static bool is_plain_relu(const struct tn_op *op)
{
    return op->kind == TN_OP_ACTIVATION && op->a.activation.function == TN_RELU && op->a.activation.alpha == 0.0f &&
           op->a.activation.beta == 0.0f && op->a.activation.gamma == 0.0f;
}

static bool is_whole_max_pool(const struct tn_op *op)
{
    const struct tn_window *w = &op->a.pool;
    return op->kind == TN_OP_POOL && w->mode == TN_POOL_MAX && w->stride_y == w->height && w->stride_x == w->width &&
           !w->top && !w->left && !w->bottom && !w->right;
}

/* The cast of the images' bytes: joined with the rescaling behind it nothing is rounded differently. */
static bool is_mere_cast(const struct tn_op *op)
{
    return op->kind == TN_OP_CAST && op->a.cast.alpha == 1.0f && op->a.cast.beta == 0.0f;
}

/* `first` takes over what `second` does; true when joined. */
static bool join(struct tn_op *first, struct tn_op *second, uint32_t fusions)
{
    if (is_plain_relu(second)) {
        if (first->kind == TN_OP_CONV2D && (fusions & TN_FUSE_BIAS_RELU) &&
            first->a.conv.activation.function == TN_LINEAR)
            first->a.conv.activation = second->a.activation;
        else if (first->kind == TN_OP_DENSE && (fusions & TN_FUSE_BIAS_RELU) &&
                 first->a.dense.activation.function == TN_LINEAR)
            first->a.dense.activation = second->a.activation;
        else if (first->kind == TN_OP_BATCH_NORM && (fusions & TN_FUSE_NORM_RELU) && first->a.norm.training &&
                 !first->a.norm.relu)
            first->a.norm.relu = 1;
        else
            return false;
    } else if (is_whole_max_pool(second) && first->kind == TN_OP_CONV2D && (fusions & TN_FUSE_CONV_POOL) &&
               !first->a.conv.pool.mode) {
        first->a.conv.pool = second->a.pool;
        tn_op_output(first, 1, second->outputs[1]);
    } else if (second->kind == TN_OP_CAST && is_mere_cast(first)) {
        first->a.cast = second->a.cast;
        first->layer = second->layer;
    } else {
        return false;
    }
    tn_op_output(first, 0, second->outputs[0]);
    return true;
}

tn_status tn_graph_rewrite(struct tn_graph *graph, uint32_t fusions, struct tn_value *const *keep, size_t keep_count)
{
    size_t kept = 0;
    count_uses(graph, keep, keep_count);
    for (size_t i = 0; i < graph->op_count; i++) {
        struct tn_op *op = graph->ops[i];
        struct tn_value *in = op->input_count ? op->inputs[0] : NULL;
        struct tn_op *before = in ? tn_info(in)->producer : NULL;
        if (before && before->outputs[0] == in && tn_info(in)->uses == 1 && join(before, op, fusions)) {
            tn_info(in)->producer = NULL;
            tn_info(in)->uses = 0;
            continue;
        }
        graph->ops[kept++] = op;
    }
    graph->op_count = kept;
    return graph->failed ? TN_NO_MEMORY : TN_OK;
}
