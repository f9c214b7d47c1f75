/* builder.c: the functions behind tn_builder_table: each checks shapes, says what is wrong in the layer's words, and
 * adds ops. */
#include "graph/graph.h"

#define STATE(builder_) ((struct tn_builder_state *)(void *)(builder_))

static const uint64_t most_elements = (uint64_t)1 << 40, most_weights = (uint64_t)1 << 34;

static tn_ref fail_with(struct tn_builder *builder, const char *text)
{
    struct tn_builder_state *state = STATE(builder);
    if (!state->problem[0])
        (void)snprintf(state->problem, sizeof state->problem, "%s", text);
    return 0;
}

/* For checks: always false. */
TN_PRINTF(2, 3) static bool refuse(struct tn_builder *builder, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)fail_with(builder, text);
    return false;
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

/* Says what is wrong with the shape of `what`; true when nothing is. */
static bool sound(struct tn_builder *builder, const struct tn_shape *shape, uint64_t limit, const char *what)
{
    if (tn_shape_count(shape, limit) != UINT64_MAX)
        return true;
    if (shape->rank < 0 || shape->rank > TN_MAX_RANK)
        return refuse(builder, "its %s would have %d axes, of at most %d", what, shape->rank, TN_MAX_RANK);
    for (int32_t i = 0; i < shape->rank; i++)
        if (shape->dims[i] < 1)
            return refuse(builder, "its %s would have no elements", what);
    return refuse(builder, "its %s would have more than %llu elements", what, (unsigned long long)limit);
}

static tn_ref new_value(struct tn_builder_state *state, struct tn_op *op, uint32_t output, int32_t role,
                        const struct tn_shape *shape)
{
    struct tn_value *value;
    if (!sound(&state->builder, shape, most_elements, "output"))
        return 0;
    value = op ? tn_graph_value(state->graph, role, shape, state->layer) : NULL;
    if (!value)
        return fail_with(&state->builder, "out of memory");
    tn_op_output(op, output, value);
    for (uint32_t i = 0; i < op->input_count; i++)
        if (op->inputs[i] && tn_info(op->inputs[i])->needs_gradient)
            tn_info(value)->needs_gradient = true;
    return (tn_ref)state->graph->value_count;
}

/* Whether `value` is a list of `count` numbers, one for each channel; NULL is, too. */
static bool of_channels(const struct tn_value *value, int32_t count)
{
    return !value || (value->shape.rank == 1 && value->shape.dims[0] == count);
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
    if (!name || !name[0])
        return fail_with(builder, "has a weight without a name");
    if (!sound(builder, shape, most_weights, name))
        return 0;
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

static bool steps_are_sound(struct tn_builder *builder, int32_t stride_y, int32_t stride_x, const int32_t padding[4])
{
    bool sound_steps = stride_y >= 1 && stride_x >= 1;
    for (int i = 0; i < 4; i++)
        sound_steps = sound_steps && padding[i] >= 0 && padding[i] <= 1 << 20;
    if (!sound_steps)
        (void)tn_builder_fail(builder, "has strides of %dx%d or a padding that cannot be", stride_y, stride_x);
    return sound_steps;
}

/* Everything that can be wrong with a convolution but its size. */
static bool convolution_is_sound(struct tn_builder *builder, const struct tn_value *in, const struct tn_value *kernel,
                                 const struct tn_value *bias, const struct tn_convolution *o)
{
    const int32_t padding[] = {o->top, o->left, o->bottom, o->right};
    char text[96];
    if (in->shape.rank != 4) {
        return refuse(builder, "needs an input of rank 4, [height, width, channels], but gets %s",
                      tn_shape_text(text, sizeof text, &in->shape));
    }
    if (!steps_are_sound(builder, o->stride_y, o->stride_x, padding))
        return false;
    if (kernel->shape.rank != 4 || !of_channels(bias, kernel->shape.dims[3]) || o->dilation_y < 1 || o->dilation_x < 1)
        return refuse(builder, "has a kernel, a bias or a dilation that cannot be");
    if (o->groups < 1 || in->shape.dims[3] % o->groups || kernel->shape.dims[3] % o->groups)
        return refuse(builder, "groups = %d has to divide the %d input channels and the %d filters", o->groups,
                      in->shape.dims[3], kernel->shape.dims[3]);
    if (kernel->shape.dims[2] != in->shape.dims[3] / o->groups)
        return refuse(builder, "has a kernel for %d channels, but gets %s", kernel->shape.dims[2] * o->groups,
                      tn_shape_text(text, sizeof text, &in->shape));
    return true;
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
    if (!in || !weights || !convolution_is_sound(builder, in, weights, tn_builder_value(state, bias), options))
        return 0;
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
    op->a.conv.activation = (struct tn_activation){0};
    op->a.conv.pool = (struct tn_window){0};
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
    char text[96];
    if (!in || !weights)
        return 0;
    if (in->shape.rank < 2)
        return tn_builder_fail(builder, "needs an input of rank 2 or more");
    if (weights->shape.rank != 2 || weights->shape.dims[0] != in->shape.dims[in->shape.rank - 1] ||
        !of_channels(tn_builder_value(state, bias), weights->shape.dims[1]))
        return tn_builder_fail(builder, "has a kernel or a bias that does not suit an input of %s",
                               tn_shape_text(text, sizeof text, &in->shape));
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
    const int32_t padding[] = {options->top, options->left, options->bottom, options->right};
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
    if (!steps_are_sound(builder, options->stride_y, options->stride_x, padding))
        return 0;
    if ((options->mode != TN_POOL_MAX && options->mode != TN_POOL_AVERAGE) || options->height < 1 ||
        options->width < 1 || options->top >= options->height || options->bottom >= options->height ||
        options->left >= options->width || options->right >= options->width)
        return tn_builder_fail(builder, "has a %dx%d window that cannot be", options->height, options->width);
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
    if (mode != TN_POOL_MAX && mode != TN_POOL_AVERAGE)
        return tn_builder_fail(builder, "pools by an unknown rule, %d", mode);
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
    int32_t channels;
    tn_ref y;
    char text[96];
    if (!in || !tn_builder_value(state, mean) || !tn_builder_value(state, variance))
        return 0;
    channels = in->shape.rank ? in->shape.dims[in->shape.rank - 1] : 0;
    if (in->shape.rank < 2 || !of_channels(tn_builder_value(state, gamma), channels) ||
        !of_channels(tn_builder_value(state, beta), channels) ||
        !of_channels(tn_builder_value(state, mean), channels) ||
        !of_channels(tn_builder_value(state, variance), channels))
        return tn_builder_fail(builder, "has weights that do not suit an input of %s",
                               tn_shape_text(text, sizeof text, &in->shape));
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
    if (options->function < TN_LINEAR || options->function > TN_LOG_SOFTMAX)
        return tn_builder_fail(builder, "asks for an unknown activation, %d", options->function);
    if (soft && shape.rank < 2)
        return tn_builder_fail(builder, "needs an input of rank 2 or more");
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
    if (function < TN_ADD || function > TN_MINIMUM)
        return tn_builder_fail(builder, "asks for an unknown function of two values, %d", function);
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
        if (other.dims[axis] > INT32_MAX - shape.dims[axis])
            return tn_builder_fail(builder, "its output would be longer than %d", INT32_MAX);
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
    if (!sound(builder, shape, most_elements, "output"))
        return 0;
    if (tn_shape_elements(&in) != tn_shape_elements(shape))
        return tn_builder_fail(builder, "cannot reshape %s to %s: another number of elements",
                               tn_shape_text(text[0], sizeof text[0], &in),
                               tn_shape_text(text[1], sizeof text[1], shape));
    if (tn_shape_equal(&in, shape))
        return x;
    return simple(builder, TN_OP_RESHAPE, x, shape, &op);
}

static tn_ref add_dropout(struct tn_builder *builder, tn_ref x, float rate)
{
    struct tn_builder_state *state = STATE(builder);
    struct tn_shape shape = shape_of(builder, x);
    struct tn_op *op;
    tn_ref y;
    if (!(rate >= 0.0f && rate < 1.0f))
        return tn_builder_fail(builder, "has a rate of %g, but 0 <= rate < 1", (double)rate);
    if (!state->graph->training || rate == 0.0f || !x)
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

/* What infer() says, checked; false = a problem is set. */
static bool infer(struct tn_builder_state *state, const struct tn_layer *layer, const void *self, const tn_ref *inputs,
                  uint32_t count, struct tn_layer_spec *spec)
{
    struct tn_shape shapes[TN_MOST_OWN_INPUTS];
    struct tn_error error = {0};
    *spec = (struct tn_layer_spec){.size = sizeof *spec};
    if (count > TN_MOST_OWN_INPUTS)
        return refuse(&state->builder, "takes at most %d inputs", TN_MOST_OWN_INPUTS);
    if (!layer->infer || !layer->forward)
        return refuse(&state->builder, "%s", "its type has neither build() nor infer() and forward()");
    for (uint32_t i = 0; i < count; i++)
        shapes[i] = shape_of(&state->builder, inputs[i]);
    if (layer->infer(self, shapes, count, spec, &error) != TN_OK)
        return refuse(&state->builder, "%s", error.text[0] ? error.text : "its infer() failed without saying why");
    if (spec->parameter_count < 0 || spec->parameter_count > (int32_t)TN_COUNT_OF(spec->parameters))
        return refuse(&state->builder, "its infer() asks for %d weights", spec->parameter_count);
    return sound(&state->builder, &spec->output, most_elements, "output");
}

tn_ref tn_builder_custom(struct tn_builder_state *state, const struct tn_layer *layer, const void *self,
                         const tn_ref *inputs, uint32_t count)
{
    struct tn_layer_spec spec;
    struct tn_custom *custom = tn_arena_take(&state->graph->arena, sizeof *custom);
    tn_ref parameters[TN_COUNT_OF(spec.parameters)];
    struct tn_op *op;
    if (!custom)
        return fail_with(&state->builder, "out of memory");
    if (!infer(state, layer, self, inputs, count, &spec))
        return 0;
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
