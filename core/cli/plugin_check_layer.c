/* plugin_check_layer.c: tries to break layers: shapes, kernels in guarded memory, derivatives against finite
 * differences; composed ones in the core's own builder. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/plugin.h"
#include "graph/graph.h"

enum { BATCH = 3, MOST_INPUTS = 4, MOST_PARAMETERS = 8, DIRECTIONS = 12, TOUCHED = 8 };

static const struct tn_shape shapes[] = {
    {4, {BATCH, 5, 7, 3}}, {4, {BATCH, 1, 1, 1}}, {4, {BATCH, 8, 6, 4}}, {2, {BATCH, 5}}, {2, {BATCH, 1}},
};

/* How many inputs to try: the fewest, and one more where that is allowed. */
static void input_counts(const struct tn_layer *layer, uint32_t counts[2])
{
    bool given = layer->minimum_inputs || layer->maximum_inputs;
    int32_t low = given && layer->minimum_inputs > 0 ? layer->minimum_inputs : 1;
    int32_t high = !given ? 1 : layer->maximum_inputs < 0 ? low + 1 : layer->maximum_inputs;
    counts[0] = (uint32_t)low;
    counts[1] = (uint32_t)(high > low ? low + 1 : low);
}

/* ---- kernels ---- */

struct layer_run {
    struct tn_checker *checker;
    const struct tn_layer *type;
    const void *self;
    struct tn_shape inputs[MOST_INPUTS], parameter_shapes[MOST_PARAMETERS];
    uint32_t input_count;
    struct tn_layer_spec spec;
    struct tn_parallel parallel;
    struct tn_pass pass;
    float *x[MOST_INPUTS], *theta[MOST_PARAMETERS], *y, *weight;
    float *dx[MOST_INPUTS], *dtheta[MOST_PARAMETERS];
};

static void run_whole(const struct tn_parallel *parallel, uint64_t count, uint64_t grain,
                      void (*body)(void *context, uint64_t begin, uint64_t end), void *context)
{
    (void)parallel, (void)grain;
    if (count)
        body(context, 0, count);
}

/* In pieces, last one first: nothing may depend on how the work is split. */
static void run_in_pieces(const struct tn_parallel *parallel, uint64_t count, uint64_t grain,
                          void (*body)(void *context, uint64_t begin, uint64_t end), void *context)
{
    uint64_t step = grain ? grain : 1, begin;
    (void)parallel;
    if (!count)
        return;
    for (begin = (count - 1) / step * step;; begin -= step) {
        body(context, begin, begin + step < count ? begin + step : count);
        if (begin == 0)
            break;
    }
}

static bool check_spec(struct layer_run *run)
{
    const struct tn_layer_spec *spec = &run->spec;
    if (spec->output.rank < 1 || spec->output.rank > TN_MAX_RANK || spec->parameter_count < 0 ||
        spec->parameter_count > MOST_PARAMETERS) {
        tn_check_fail(run->checker, "infer() gives rank %d and %d parameters", spec->output.rank,
                      spec->parameter_count);
        return false;
    }
    for (int32_t i = 0; i < spec->output.rank; i++)
        if (spec->output.dims[i] < 1 || (i == 0 && spec->output.dims[0] != BATCH)) {
            tn_check_fail(run->checker, "infer() gives an output with %d at axis %d (0 is the batch, %d)",
                          spec->output.dims[i], i, BATCH);
            return false;
        }
    for (int32_t i = 0; i < spec->parameter_count; i++) {
        const struct tn_shape *shape = &spec->parameters[i].shape;
        if (!spec->parameters[i].name || !spec->parameters[i].name[0] || shape->rank < 0 || shape->rank > TN_MAX_RANK ||
            tn_shape_elements(shape) < 1 || tn_shape_elements(shape) > 1u << 24) {
            tn_check_fail(run->checker, "infer(): parameter %d has no name or no sound shape", i);
            return false;
        }
        run->parameter_shapes[i] = *shape;
    }
    return true;
}

/* Whether the layer takes these inputs. */
static bool infer(struct layer_run *run)
{
    struct tn_error error = {0};
    char text[64];
    run->spec = (struct tn_layer_spec){.size = sizeof run->spec};
    tn_check_step(run->checker, "infer() of %u inputs of %s", run->input_count,
                  tn_shape_text(text, sizeof text, &run->inputs[0]));
    return tn_check_status(run->checker, "infer()",
                           run->type->infer(run->self, run->inputs, run->input_count, &run->spec, &error), &error) &&
           check_spec(run);
}

static void allocate(struct layer_run *run)
{
    uint64_t count = tn_shape_elements(&run->spec.output);
    run->y = tn_guarded_floats(count);
    run->weight = tn_guarded_floats(count);
    tn_check_fill(run->checker, run->weight, count, -1, 1);
    for (uint32_t i = 0; i < run->input_count; i++) {
        count = tn_shape_elements(&run->inputs[i]);
        run->x[i] = tn_guarded_floats(count);
        run->dx[i] = tn_guarded_floats(count);
        tn_check_fill(run->checker, run->x[i], count, -1.5, 1.5);
    }
    for (int32_t i = 0; i < run->spec.parameter_count; i++) {
        const struct tn_initializer *first = &run->spec.parameters[i].initializer;
        double centre = first->kind == TN_ONES ? 1 : first->kind == TN_CONSTANT ? (double)first->value : 0;
        count = tn_shape_elements(&run->parameter_shapes[i]);
        run->theta[i] = tn_guarded_floats(count);
        run->dtheta[i] = tn_guarded_floats(count);
        tn_check_fill(run->checker, run->theta[i], count, centre - 0.3, centre + 0.3);
    }
    run->parallel = (struct tn_parallel){sizeof run->parallel, 2, run_whole};
    run->pass = (struct tn_pass){.size = sizeof run->pass,
                                 .self = run->self,
                                 .training = 1,
                                 .input_count = (int32_t)run->input_count,
                                 .output_count = 1,
                                 .parameter_count = run->spec.parameter_count,
                                 .input_shapes = run->inputs,
                                 .output_shapes = &run->spec.output,
                                 .parameter_shapes = run->parameter_shapes,
                                 .inputs = (const float *const *)run->x,
                                 .outputs = &run->y,
                                 .parameters = (const float *const *)run->theta,
                                 .parallel = &run->parallel};
}

static void release(struct layer_run *run)
{
    tn_guarded_free(run->y);
    tn_guarded_free(run->weight);
    for (uint32_t i = 0; i < run->input_count; i++) {
        tn_guarded_free(run->x[i]);
        tn_guarded_free(run->dx[i]);
    }
    for (int32_t i = 0; i < run->spec.parameter_count; i++) {
        tn_guarded_free(run->theta[i]);
        tn_guarded_free(run->dtheta[i]);
    }
}

static void fill_nan(float *values, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        values[i] = NAN;
}

static void check_guards(struct layer_run *run, const char *what)
{
    bool intact = tn_guarded_intact(run->y);
    for (uint32_t i = 0; i < run->input_count; i++)
        intact = intact && tn_guarded_intact(run->x[i]) && tn_guarded_intact(run->dx[i]);
    for (int32_t i = 0; i < run->spec.parameter_count; i++)
        intact = intact && tn_guarded_intact(run->theta[i]) && tn_guarded_intact(run->dtheta[i]);
    if (!intact)
        tn_check_fail(run->checker, "%s writes outside of its buffers", what);
}

/* sum(weight * y): linear, so that its derivative is the layer's own. NaN when forward() fails. */
static double forward(struct layer_run *run)
{
    struct tn_error error = {0};
    uint64_t count = tn_shape_elements(&run->spec.output);
    double sum = 0;
    fill_nan(run->y, count); /* what is not written shows */
    if (!tn_check_status(run->checker, "forward()", run->type->forward(&run->pass, &error), &error)) {
        tn_check_fail(run->checker, "forward() fails on what infer() took: %s", error.text);
        return NAN;
    }
    for (uint64_t i = 0; i < count; i++)
        sum += (double)run->weight[i] * run->y[i];
    return sum;
}

static bool check_forward(struct layer_run *run)
{
    double once, again, pieces;
    tn_check_step(run->checker, "forward()");
    once = forward(run);
    if (!isfinite(once)) {
        tn_check_fail(run->checker, "forward() leaves outputs unwritten, or writes what is no number");
        return false;
    }
    run->parallel.run = run_in_pieces;
    pieces = forward(run);
    run->parallel.run = run_whole;
    again = forward(run);
    if (again != once)
        tn_check_fail(run->checker, "forward() gives another output for the same input");
    if (!(fabs(pieces - once) <= 1e-4 * (1 + fabs(once))))
        tn_check_fail(run->checker, "forward() gives another output when run() splits the work");
    run->pass.training = 0;
    if (!isfinite(forward(run)))
        tn_check_fail(run->checker, "forward() outside of training leaves outputs unwritten");
    run->pass.training = 1;
    check_guards(run, "forward()");
    return true;
}

/* Fills dx and dtheta; every element has to be overwritten. */
static bool backward(struct layer_run *run)
{
    const float *dy = run->weight;
    float *none[MOST_PARAMETERS] = {NULL};
    struct tn_error error = {0};
    bool good;
    (void)forward(run);
    run->pass.output_gradients = &dy;
    for (uint32_t i = 0; i < run->input_count; i++)
        fill_nan(run->dx[i], tn_shape_elements(&run->inputs[i]));
    for (int32_t i = 0; i < run->spec.parameter_count; i++)
        fill_nan(run->dtheta[i], tn_shape_elements(&run->parameter_shapes[i]));
    tn_check_step(run->checker, "backward() with no gradient wanted");
    run->pass.input_gradients = run->pass.parameter_gradients = none;
    good = run->type->backward(&run->pass, &error) == TN_OK;
    tn_check_step(run->checker, "backward()");
    run->pass.input_gradients = run->dx;
    run->pass.parameter_gradients = run->dtheta;
    good = tn_check_status(run->checker, "backward()", run->type->backward(&run->pass, &error), &error) && good;
    if (!good)
        tn_check_fail(run->checker, "backward() fails: %s", error.text);
    for (uint32_t i = 0; good && i < run->input_count; i++)
        good = tn_check_finite(run->dx[i], tn_shape_elements(&run->inputs[i]));
    for (int32_t i = 0; good && i < run->spec.parameter_count; i++)
        good = !run->spec.parameters[i].trained ||
               tn_check_finite(run->dtheta[i], tn_shape_elements(&run->parameter_shapes[i]));
    if (!good)
        tn_check_fail(run->checker, "backward() leaves gradients unwritten (it overwrites, it does not add)");
    check_guards(run, "backward()");
    return good;
}

/* Along a few directions that touch a few elements each: at a kink (ReLU at 0) some may differ, not many. */
static void compare(struct layer_run *run, const char *name, float *values, const float *gradient, uint64_t count)
{
    const double h = 4e-3;
    double wrong[2] = {0, 0};
    int bad = 0;
    for (int direction = 0; direction < DIRECTIONS; direction++) {
        uint64_t touched = count < TOUCHED ? count : TOUCHED, at[TOUCHED];
        float old[TOUCHED];
        double expected = 0, ends[2], found;
        for (uint64_t i = 0; i < touched; i++) {
            /* One element of each stretch: none twice. */
            at[i] = i * count / touched +
                    tn_random_below(&run->checker->random, (i + 1) * count / touched - i * count / touched);
            old[i] = values[at[i]];
        }
        for (int side = 0; side < 2; side++) {
            for (uint64_t i = 0; i < touched; i++)
                values[at[i]] = (float)(old[i] + (side ? h : -h) * (at[i] % 2 ? 1 : -0.5));
            ends[side] = forward(run);
        }
        for (uint64_t i = 0; i < touched; i++) {
            expected += (double)gradient[at[i]] * (at[i] % 2 ? 1 : -0.5);
            values[at[i]] = old[i];
        }
        found = (ends[1] - ends[0]) / (2 * h);
        if (!(fabs(found - expected) <= 0.02 * fmax(fabs(found), fabs(expected)) + 4e-3)) {
            wrong[0] = expected, wrong[1] = found;
            bad++;
        }
    }
    if (bad > DIRECTIONS / 4)
        tn_check_fail(run->checker, "backward(): the derivative by %s is %.4g where finite differences give %.4g", name,
                      wrong[0], wrong[1]);
}

static void check_derivatives(struct layer_run *run)
{
    char name[96];
    if (!backward(run))
        return;
    tn_check_step(run->checker, "finite differences");
    for (uint32_t i = 0; i < run->input_count; i++) {
        (void)snprintf(name, sizeof name, "input %u", i);
        compare(run, name, run->x[i], run->dx[i], tn_shape_elements(&run->inputs[i]));
    }
    for (int32_t i = 0; i < run->spec.parameter_count; i++) {
        (void)snprintf(name, sizeof name, "%.64s", run->spec.parameters[i].name);
        if (run->spec.parameters[i].trained)
            compare(run, name, run->theta[i], run->dtheta[i], tn_shape_elements(&run->parameter_shapes[i]));
    }
}

static void check_kernels(struct tn_checker *checker, const struct tn_layer *type, const void *self)
{
    size_t taken = 0;
    uint32_t counts[2];
    input_counts(type, counts);
    for (size_t i = 0; i < TN_COUNT_OF(shapes) * 2; i++) {
        struct layer_run run = {.checker = checker, .type = type, .self = self, .input_count = counts[i % 2]};
        if ((i % 2 && counts[1] == counts[0]) || run.input_count > MOST_INPUTS)
            continue;
        for (uint32_t k = 0; k < run.input_count; k++)
            run.inputs[k] = shapes[i / 2];
        if (!infer(&run))
            continue;
        taken++;
        allocate(&run);
        if (check_forward(&run))
            check_derivatives(&run);
        release(&run);
    }
    if (taken)
        tn_check_pass(checker, "forward() and backward() on %zu shapes: guards, split work, finite differences", taken);
    else
        tn_check_remark(checker, "infer() takes none of the shapes that are tried: kernels were not run");
}

/* ---- composed layers ---- */

static struct tn_value *take_parameter(struct tn_builder_state *state, const char *name, const struct tn_shape *shape,
                                       const struct tn_initializer *initializer, int32_t trained)
{
    struct tn_text *names = state->context;
    struct tn_value *value;
    (void)initializer;
    tn_text_format(names, "%s%d ", name ? name : "", (int)shape->rank);
    value = tn_graph_value(state->graph, trained ? TN_ROLE_PARAMETER : TN_ROLE_STATE, shape, name ? name : "?");
    if (value)
        tn_info(value)->needs_gradient = trained;
    return value;
}

/* Builds into a graph; the output's shape, or rank 0 when the layer refuses. */
static struct tn_shape build(struct tn_checker *checker, const struct tn_layer *type, const void *self,
                             const struct tn_shape *input, uint32_t input_count, bool training, struct tn_text *names)
{
    struct tn_graph graph = {.training = training};
    struct tn_builder_state state = {.layer = "check", .parameter = take_parameter, .context = names};
    struct tn_shape shape = {0};
    tn_ref refs[MOST_INPUTS], out;
    char text[64];
    tn_builder_begin(&state, &graph);
    for (uint32_t i = 0; i < input_count; i++)
        refs[i] = tn_builder_ref(&state, tn_graph_value(&graph, TN_ROLE_INPUT, input, "input"));
    tn_check_step(checker, "build() on %u inputs of %s", input_count, tn_shape_text(text, sizeof text, input));
    out = type->build(self, &state.builder, refs, input_count);
    if (out && !state.problem[0] && tn_builder_value(&state, out))
        shape = tn_builder_value(&state, out)->shape;
    else if (!state.problem[0])
        tn_check_fail(checker, "build() gives nothing and does not say why (tn_builder_fail)");
    tn_graph_release(&graph);
    return shape;
}

static void check_built(struct tn_checker *checker, const struct tn_layer *type, const void *self)
{
    size_t taken = 0;
    uint32_t counts[2];
    input_counts(type, counts);
    for (size_t i = 0; i < TN_COUNT_OF(shapes) * 2; i++) {
        struct tn_text names[2] = {{0}, {0}};
        struct tn_shape out[2];
        if ((i % 2 && counts[1] == counts[0]) || counts[i % 2] > MOST_INPUTS)
            continue;
        for (int training = 0; training < 2; training++)
            out[training] = build(checker, type, self, &shapes[i / 2], counts[i % 2], training, &names[training]);
        taken += out[0].rank > 0;
        if (memcmp(&out[0], &out[1], sizeof out[0]) != 0)
            tn_check_fail(checker, "build() gives another shape in training than outside of it");
        if (out[0].rank > 0 && out[0].dims[0] != BATCH)
            tn_check_fail(checker, "build() changes the batch, axis 0, from %d to %d", BATCH, out[0].dims[0]);
        if (strcmp(names[0].data ? names[0].data : "", names[1].data ? names[1].data : "") != 0)
            tn_check_fail(checker, "build() asks for other weights in training than outside of it");
        tn_text_release(&names[0]);
        tn_text_release(&names[1]);
    }
    if (taken)
        tn_check_pass(checker, "build() on %zu shapes, in training and outside of it", taken);
    else
        tn_check_remark(checker, "build() takes none of the shapes that are tried");
}

static void check_keras_config(struct tn_checker *checker, const struct tn_layer *type, const void *self)
{
    static const uint64_t sizes[] = {4096, 12, 1};
    for (size_t i = 0; type->keras_config && i < TN_COUNT_OF(sizes); i++) {
        char *text = tn_guarded_bytes(sizes[i]);
        struct tn_error error = {0};
        text[0] = '\0';
        tn_check_step(checker, "keras_config() into %llu bytes", (unsigned long long)sizes[i]);
        (void)tn_check_status(checker, "keras_config()", type->keras_config(self, text, sizes[i], &error), &error);
        if (!tn_guarded_intact(text) || !memchr(text, 0, (size_t)sizes[i]))
            tn_check_fail(checker, "keras_config() writes more than it may, or does not end its text");
        tn_guarded_free(text);
    }
}

void tn_check_layer(struct tn_checker *checker)
{
    const struct tn_layer *type = (const struct tn_layer *)(const void *)checker->type;
    struct tn_instance *instance = tn_check_instance(checker);
    if (!instance)
        return;
    check_keras_config(checker, type, instance->self);
    if (type->build)
        check_built(checker, type, instance->self);
    else
        check_kernels(checker, type, instance->self);
    tn_check_step(checker, "close()");
    tn_instance_close(&instance);
}
