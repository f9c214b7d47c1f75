/* builder.c: the functions behind tn_builder_table: each checks shapes, says what is wrong in the layer's words, and
 * adds ops. */
#include "graph/graph.h"

#define STATE(builder_) ((struct tn_builder_state *)(void *)(builder_))

static tn_ref fail_with(struct tn_builder *builder, const char *text)
{
    struct tn_builder_state *state = STATE(builder);
    if (!state->problem[0])
        (void)snprintf(state->problem, sizeof state->problem, "%s", text);
    return 0;
}

struct tn_value *tn_builder_value(struct tn_builder_state *state, tn_ref ref)
{
    return ref && ref <= state->graph->value_count ? state->graph->values[ref - 1] : NULL;
}

tn_ref tn_builder_ref(struct tn_builder_state *state, const struct tn_value *value)
{
    for (size_t i = state->graph->value_count; i > 0; i--)
        if (state->graph->values[i - 1] == value)
            return (tn_ref)i;
    return 0;
}

static tn_ref new_value(struct tn_builder_state *state, struct tn_op *op, uint32_t output, int32_t role,
                        const struct tn_shape *shape)
{
    struct tn_value *value = op ? tn_graph_value(state->graph, role, shape, state->layer) : NULL;
    if (!value) {
        (void)fail_with(&state->builder, "out of memory");
        return 0;
    }
    for (int32_t i = 0; i < shape->rank; i++)
        if (shape->dims[i] <= 0)
            return tn_builder_fail(&state->builder, "its output would have no elements");
    if (tn_shape_elements(shape) > (uint64_t)1 << 40)
        return tn_builder_fail(&state->builder, "its output would have more than 2^40 elements");
    tn_op_output(op, output, value);
    for (uint32_t i = 0; i < op->input_count; i++)
        if (op->inputs[i] && tn_info(op->inputs[i])->needs_gradient)
            tn_info(value)->needs_gradient = true;
    return (tn_ref)state->graph->value_count;
}

/* Room that a forward op keeps for its backward op; the device says how much. */
static void add_workspace(struct tn_builder_state *state, struct tn_op *op, uint32_t output)
{
    const struct tn_shape none = {0};
    struct tn_value *value =
        state->graph->training ? tn_graph_value(state->graph, TN_ROLE_WORKSPACE, &none, state->layer) : NULL;
    if (value) {
        value->data_type = TN_U8;
        tn_op_output(op, output, value);
    }
}

static struct tn_shape shape_of(struct tn_builder *builder, tn_ref x)
{
    const struct tn_value *value = tn_builder_value(STATE(builder), x);
    return value ? value->shape : (struct tn_shape){0};
}

static tn_ref add_parameter(struct tn_builder *builder, const char *name, const struct tn_shape *shape,
                            const struct tn_initializer *initializer, int32_t trained)
{
    struct tn_builder_state *state = STATE(builder);
    struct tn_value *value;
    if (state->problem[0])
        return 0;
    for (int32_t i = 0; i < shape->rank; i++)
        if (shape->dims[i] <= 0)
            return tn_builder_fail(builder, "its %s would have no elements", name);
    if (tn_shape_elements(shape) > (uint64_t)1 << 34)
        return tn_builder_fail(builder, "its %s would have more than 2^34 elements", name);
    value = state->parameter(state, name, shape, initializer, trained);
    return value ? tn_builder_ref(state, value) : fail_with(builder, "out of memory");
}

/* An op of one input and one output of a given shape. */
static tn_ref simple(struct tn_builder *builder, int32_t kind, tn_ref x, const struct tn_shape *shape,
                     struct tn_op **made)
{
    struct tn_builder_state *state = STATE(builder);
    struct tn_value *in = tn_builder_value(state, x);
    struct tn_op *op =
        in ? tn_graph_op(state->graph, kind, TN_PHASE_FORWARD, 1, kind == TN_OP_DROPOUT ? 2 : 1, state->layer) : NULL;
    *made = op;
    if (!op)
        return 0;
    op->inputs[0] = in;
    return new_value(state, op, 0, TN_ROLE_ACTIVATION, shape);
}

static tn_ref add_cast(struct tn_builder *builder, tn_ref x, float scale, float offset)
{
    struct tn_shape shape = shape_of(builder, x);
    struct tn_op *op;
    tn_ref y = simple(builder, TN_OP_CAST, x, &shape, &op);
    if (op) {
        op->a.cast.alpha = scale;
        op->a.cast.beta = offset;
    }
    return y;
}

/* Output length of a window that slides over `in` pixels; <= 0 when it does not fit. */
static int64_t slide(int64_t in, int64_t window, int64_t stride, int64_t dilation, int64_t padding)
{
    int64_t span = (window - 1) * dilation + 1;
    return in + padding < span ? 0 : (in + padding - span) / stride + 1;
}

static tn_ref add_conv2d(struct tn_builder *builder, tn_ref x, tn_ref kernel, tn_ref bias,
                         const struct tn_convolution *options)
{
    struct tn_builder_state *state = STATE(builder);
    struct tn_value *in = tn_builder_value(state, x), *weights = tn_builder_value(state, kernel);
    struct tn_shape shape = {4, {0}};
    struct tn_op *op;
    int64_t height, width;
    char text[96];
    if (!in || !weights)
        return 0;
    if (in->shape.rank != 4)
        return tn_builder_fail(builder, "needs an input of rank 4, [height, width, channels], but gets %s",
                               tn_shape_text(text, sizeof text, &in->shape));
    if (options->groups < 1 || in->shape.dims[3] % options->groups || weights->shape.dims[3] % options->groups)
        return tn_builder_fail(builder, "groups = %d has to divide the %d input channels and the %d filters",
                               options->groups, in->shape.dims[3], weights->shape.dims[3]);
    height = slide(in->shape.dims[1], weights->shape.dims[0], options->stride_y, options->dilation_y,
                   options->top + options->bottom);
    width = slide(in->shape.dims[2], weights->shape.dims[1], options->stride_x, options->dilation_x,
                  options->left + options->right);
    if (height <= 0 || width <= 0)
        return tn_builder_fail(
            builder, "its %dx%d kernel does not fit into an input of %s: use padding = same, or pool less before it",
            weights->shape.dims[0], weights->shape.dims[1], tn_shape_text(text, sizeof text, &in->shape));
    op = tn_graph_op(state->graph, TN_OP_CONV2D, TN_PHASE_FORWARD, 3, 2, state->layer);
    if (!op)
        return fail_with(builder, "out of memory");
    op->inputs[0] = in;
    op->inputs[1] = weights;
    op->inputs[2] = tn_builder_value(state, bias);
    op->a.conv = *options;
    shape.dims[0] = in->shape.dims[0];
    shape.dims[1] = (int32_t)height;
    shape.dims[2] = (int32_t)width;
    shape.dims[3] = weights->shape.dims[3];
    return new_value(state, op, 0, TN_ROLE_ACTIVATION, &shape);
}

static tn_ref add_dense(struct tn_builder *builder, tn_ref x, tn_ref kernel, tn_ref bias)
{
    struct tn_builder_state *state = STATE(builder);
    struct tn_value *in = tn_builder_value(state, x), *weights = tn_builder_value(state, kernel);
    struct tn_op *op;
    struct tn_shape shape;
    if (!in || !weights)
        return 0;
    if (in->shape.rank < 2)
        return tn_builder_fail(builder, "needs an input of rank 2 or more");
    op = tn_graph_op(state->graph, TN_OP_DENSE, TN_PHASE_FORWARD, 3, 1, state->layer);
    if (!op)
        return fail_with(builder, "out of memory");
    op->inputs[0] = in;
    op->inputs[1] = weights;
    op->inputs[2] = tn_builder_value(state, bias);
    shape = in->shape;
    shape.dims[shape.rank - 1] = weights->shape.dims[1];
    return new_value(state, op, 0, TN_ROLE_ACTIVATION, &shape);
}

static tn_ref add_pool(struct tn_builder *builder, tn_ref x, const struct tn_window *options)
{
    struct tn_builder_state *state = STATE(builder);
    struct tn_value *in = tn_builder_value(state, x);
    struct tn_shape shape;
    struct tn_op *op;
    int64_t height, width;
    tn_ref y;
    char text[96];
    if (!in)
        return 0;
    if (in->shape.rank != 4)
        return tn_builder_fail(builder, "needs an input of rank 4, [height, width, channels], but gets %s",
                               tn_shape_text(text, sizeof text, &in->shape));
    height = slide(in->shape.dims[1], options->height, options->stride_y, 1, options->top + options->bottom);
    width = slide(in->shape.dims[2], options->width, options->stride_x, 1, options->left + options->right);
    if (height <= 0 || width <= 0)
        return tn_builder_fail(builder, "its %dx%d window does not fit into an input of %s", options->height,
                               options->width, tn_shape_text(text, sizeof text, &in->shape));
    op = tn_graph_op(state->graph, TN_OP_POOL, TN_PHASE_FORWARD, 1, 2, state->layer);
    if (!op)
        return fail_with(builder, "out of memory");
    op->inputs[0] = in;
    op->a.pool = *options;
    shape = in->shape;
    shape.dims[1] = (int32_t)height;
    shape.dims[2] = (int32_t)width;
    y = new_value(state, op, 0, TN_ROLE_ACTIVATION, &shape);
    if (options->mode == TN_POOL_MAX)
        add_workspace(state, op, 1);
    return y;
}

static tn_ref add_global_pool(struct tn_builder *builder, tn_ref x, int32_t mode, int32_t keep_dims)
{
    struct tn_shape in = shape_of(builder, x), shape = {keep_dims ? 4 : 2, {in.dims[0], 1, 1, in.dims[3]}};
    struct tn_op *op;
    tn_ref y;
    char text[96];
    if (!x)
        return 0;
    if (in.rank != 4)
        return tn_builder_fail(builder, "needs an input of rank 4, [height, width, channels], but gets %s",
                               tn_shape_text(text, sizeof text, &in));
    if (!keep_dims)
        shape.dims[1] = in.dims[3];
    y = simple(builder, TN_OP_GLOBAL_POOL, x, &shape, &op);
    if (op)
        op->a.pool.mode = mode;
    return y;
}

static tn_ref add_batch_norm(struct tn_builder *builder, tn_ref x, tn_ref gamma, tn_ref beta, tn_ref mean,
                             tn_ref variance, const struct tn_normalization *options)
{
    struct tn_builder_state *state = STATE(builder);
    struct tn_value *in = tn_builder_value(state, x);
    struct tn_op *op;
    tn_ref y;
    if (!in)
        return 0;
    op = tn_graph_op(state->graph, TN_OP_BATCH_NORM, TN_PHASE_FORWARD, 5, 2, state->layer);
    if (!op)
        return fail_with(builder, "out of memory");
    op->inputs[0] = in;
    op->inputs[1] = tn_builder_value(state, gamma);
    op->inputs[2] = tn_builder_value(state, beta);
    op->inputs[3] = tn_builder_value(state, mean);
    op->inputs[4] = tn_builder_value(state, variance);
    op->a.norm = *options;
    op->a.norm.training = options->training && state->graph->training;
    y = new_value(state, op, 0, TN_ROLE_ACTIVATION, &in->shape);
    add_workspace(state, op, 1);
    return y;
}

static tn_ref add_activation(struct tn_builder *builder, tn_ref x, const struct tn_activation *options)
{
    struct tn_shape shape = shape_of(builder, x);
    bool soft = options->function == TN_SOFTMAX || options->function == TN_LOG_SOFTMAX;
    struct tn_op *op;
    tn_ref y;
    if (options->function == TN_LINEAR || !x)
        return x;
    y = simple(builder, soft ? TN_OP_SOFTMAX : TN_OP_ACTIVATION, x, &shape, &op);
    if (op)
        op->a.activation = *options;
    return y;
}

static tn_ref add_activation_named(struct tn_builder *builder, tn_ref x, const char *name)
{
    struct tn_activation activation;
    const char *near;
    if (!name || !name[0])
        return x;
    if (tn_activation_by_name(name, &activation))
        return add_activation(builder, x, &activation);
    near = tn_nearest(name, tn_activation_names);
    return tn_builder_fail(builder, near ? "unknown activation `%s`; did you mean `%s`?" : "unknown activation `%s`",
                           name, near);
}

/* NumPy's rule: shapes are aligned at their ends, 1 stretches. */
static bool broadcast(const struct tn_shape *a, const struct tn_shape *b, struct tn_shape *out)
{
    out->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int32_t i = 1; i <= out->rank; i++) {
        int32_t x = i <= a->rank ? a->dims[a->rank - i] : 1, y = i <= b->rank ? b->dims[b->rank - i] : 1;
        if (x != y && x != 1 && y != 1)
            return false;
        out->dims[out->rank - i] = x > y ? x : y;
    }
    return true;
}

static tn_ref add_binary(struct tn_builder *builder, tn_ref x0, tn_ref x1, int32_t function)
{
    struct tn_builder_state *state = STATE(builder);
    struct tn_value *a = tn_builder_value(state, x0), *b = tn_builder_value(state, x1);
    struct tn_shape shape = {0};
    struct tn_op *op;
    char text[2][96];
    if (!a || !b)
        return 0;
    if (!broadcast(&a->shape, &b->shape, &shape))
        return tn_builder_fail(builder, "cannot combine %s and %s: their shapes differ",
                               tn_shape_text(text[0], sizeof text[0], &a->shape),
                               tn_shape_text(text[1], sizeof text[1], &b->shape));
    op = tn_graph_op(state->graph, TN_OP_BINARY, TN_PHASE_FORWARD, 2, 1, state->layer);
    if (!op)
        return fail_with(builder, "out of memory");
    op->inputs[0] = a;
    op->inputs[1] = b;
    op->a.binary.function = function;
    return new_value(state, op, 0, TN_ROLE_ACTIVATION, &shape);
}

static tn_ref add_concat(struct tn_builder *builder, const tn_ref *x, uint32_t count, int32_t axis)
{
    struct tn_builder_state *state = STATE(builder);
    struct tn_shape shape = count ? shape_of(builder, x[0]) : (struct tn_shape){0};
    struct tn_op *op;
    char text[2][96];
    if (!count || !x[0])
        return 0;
    if (axis < 0)
        axis += shape.rank;
    if (axis < 1 || axis >= shape.rank)
        return tn_builder_fail(builder, "axis %d is outside of its inputs' rank %d", axis, shape.rank);
    for (uint32_t i = 1; i < count; i++) {
        struct tn_shape other = shape_of(builder, x[i]);
        bool same = other.rank == shape.rank;
        for (int32_t d = 1; same && d < shape.rank; d++)
            same = d == axis || other.dims[d] == shape.dims[d];
        if (!x[i])
            return 0;
        if (!same)
            return tn_builder_fail(builder, "cannot join %s and %s along axis %d",
                                   tn_shape_text(text[0], sizeof text[0], &shape),
                                   tn_shape_text(text[1], sizeof text[1], &other), axis);
        shape.dims[axis] += other.dims[axis];
    }
    op = tn_graph_op(state->graph, TN_OP_CONCAT, TN_PHASE_FORWARD, count, 1, state->layer);
    if (!op)
        return fail_with(builder, "out of memory");
    for (uint32_t i = 0; i < count; i++)
        op->inputs[i] = tn_builder_value(state, x[i]);
    op->a.axis = axis;
    return new_value(state, op, 0, TN_ROLE_ACTIVATION, &shape);
}

static tn_ref add_reshape(struct tn_builder *builder, tn_ref x, const struct tn_shape *shape)
{
    struct tn_shape in = shape_of(builder, x);
    struct tn_op *op;
    char text[2][96];
    if (!x)
        return 0;
    if (tn_shape_elements(&in) != tn_shape_elements(shape))
        return tn_builder_fail(builder, "cannot reshape %s to %s: another number of elements",
                               tn_shape_text(text[0], sizeof text[0], &in),
                               tn_shape_text(text[1], sizeof text[1], shape));
    if (in.rank == shape->rank && memcmp(in.dims, shape->dims, (size_t)in.rank * sizeof in.dims[0]) == 0)
        return x;
    return simple(builder, TN_OP_RESHAPE, x, shape, &op);
}

static tn_ref add_dropout(struct tn_builder *builder, tn_ref x, float rate)
{
    struct tn_builder_state *state = STATE(builder);
    struct tn_shape shape = shape_of(builder, x);
    struct tn_op *op;
    tn_ref y;
    if (!state->graph->training || rate <= 0.0f || !x)
        return x;
    y = simple(builder, TN_OP_DROPOUT, x, &shape, &op);
    if (op) {
        op->a.dropout.rate = rate;
        op->a.dropout.stream = tn_hash_text(state->layer, 0) + state->dropouts++;
        add_workspace(state, op, 1);
    }
    return y;
}

static int32_t is_training(struct tn_builder *builder)
{
    return STATE(builder)->graph->training;
}

void tn_builder_begin(struct tn_builder_state *state, struct tn_graph *graph)
{
    static const struct tn_builder_table table = {
        sizeof table, shape_of,        add_parameter,  add_cast,       add_conv2d,           add_dense,
        add_pool,     add_global_pool, add_batch_norm, add_activation, add_activation_named, add_binary,
        add_concat,   add_reshape,     add_dropout,    fail_with,      is_training};
    state->builder.table = &table;
    state->graph = graph;
}

/* The gradient op reads dy…, inputs, parameters, outputs; the layer's spec says which parameters there are. */
tn_ref tn_builder_custom(struct tn_builder_state *state, const struct tn_layer *layer, const void *self,
                         const tn_ref *inputs, uint32_t count)
{
    struct tn_layer_spec spec = {.size = sizeof spec};
    struct tn_shape shapes[16];
    struct tn_error error = {0};
    struct tn_custom *custom = tn_arena_take(&state->graph->arena, sizeof *custom);
    tn_ref parameters[8];
    struct tn_op *op;
    if (!custom || count > TN_COUNT_OF(shapes))
        return fail_with(&state->builder, custom ? "has too many inputs" : "out of memory");
    for (uint32_t i = 0; i < count; i++)
        shapes[i] = shape_of(&state->builder, inputs[i]);
    if (layer->infer(self, shapes, count, &spec, &error) != TN_OK)
        return fail_with(&state->builder, error.text);
    if (spec.parameter_count < 0 || spec.parameter_count > 8 || spec.output.rank < 1 || spec.output.rank > TN_MAX_RANK)
        return fail_with(&state->builder, "its infer() gives an impossible specification");
    for (int32_t i = 0; i < spec.parameter_count; i++) {
        parameters[i] = add_parameter(&state->builder, spec.parameters[i].name, &spec.parameters[i].shape,
                                      &spec.parameters[i].initializer, spec.parameters[i].trained);
        if (!parameters[i])
            return 0;
    }
    op = tn_graph_op(state->graph, TN_OP_CUSTOM, TN_PHASE_FORWARD, count + (uint32_t)spec.parameter_count, 1,
                     state->layer);
    if (!op)
        return fail_with(&state->builder, "out of memory");
    for (uint32_t i = 0; i < count; i++)
        op->inputs[i] = tn_builder_value(state, inputs[i]);
    for (int32_t i = 0; i < spec.parameter_count; i++)
        op->inputs[count + (uint32_t)i] = tn_builder_value(state, parameters[i]);
    *custom = (struct tn_custom){.type_name = layer->type.name,
                                 .self = self,
                                 .forward = layer->forward,
                                 .backward = layer->backward,
                                 .input_count = (int32_t)count,
                                 .parameter_count = spec.parameter_count,
                                 .output_count = 1};
    op->custom = custom;
    op->a.mode.training = state->graph->training;
    return new_value(state, op, 0, TN_ROLE_ACTIVATION, &spec.output);
}
