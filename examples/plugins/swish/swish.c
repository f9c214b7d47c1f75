/* swish.c: a layer with kernels of its own: y = x * sigmoid(beta * x), with one beta for each channel that may be
 * trained (Ramachandran et al., "Searching for Activation Functions", 2017). beta = 1 is SiLU; a large one is nearly
 * ReLU.
 *
 * Kernels see plain float buffers, channels last; the core converts layouts, owns all memory and adds up gradients.
 */
#include <math.h>

#include <tenon/plugin.h>

struct swish {
    double beta;
    int32_t trained;
};

static const struct tn_option options[] = {
    TN_FLOAT(struct swish, beta, 1.0, 1e-3, 100.0, "slope of the gate at the start"),
    TN_BOOL(struct swish, trained, 1, "train a beta for each channel"),
    TN_END,
};

/* [setup] Shapes and weights; what is wrong with the input is said here, once. */
static tn_status infer(const void *self, const struct tn_shape *inputs, uint32_t count, struct tn_layer_spec *spec,
                       struct tn_error *error)
{
    const struct swish *o = self;
    int32_t rank = inputs[0].rank;
    (void)count;
    if (rank < 2)
        return tn_fail(error, TN_INVALID, "needs an input with channels");
    spec->output = inputs[0];
    spec->parameter_count = 1;
    spec->parameters[0].name = "beta";
    spec->parameters[0].shape = (struct tn_shape){1, {inputs[0].dims[rank - 1]}};
    spec->parameters[0].initializer = (struct tn_initializer){TN_CONSTANT, (float)o->beta};
    spec->parameters[0].trained = o->trained;
    return TN_OK;
}

static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static void forward_range(void *context, uint64_t begin, uint64_t end)
{
    const struct tn_pass *p = context;
    const float *x = p->inputs[0], *beta = p->parameters[0];
    uint64_t channels = (uint64_t)p->parameter_shapes[0].dims[0];
    for (uint64_t i = begin; i < end; i++)
        p->outputs[0][i] = x[i] * sigmoid(beta[i % channels] * x[i]);
}

/* With s = sigmoid(beta x): dy/dx = s + beta x s (1 - s). */
static void backward_range(void *context, uint64_t begin, uint64_t end)
{
    const struct tn_pass *p = context;
    const float *x = p->inputs[0], *dy = p->output_gradients[0];
    uint64_t channels = (uint64_t)p->parameter_shapes[0].dims[0];
    for (uint64_t i = begin; i < end; i++) {
        float beta = p->parameters[0][i % channels], s = sigmoid(beta * x[i]);
        p->input_gradients[0][i] = dy[i] * (s + beta * x[i] * s * (1.0f - s));
    }
}

/* dy/dbeta = x^2 s (1 - s), summed over all but the channels: one channel belongs to one thread. */
static void backward_beta_range(void *context, uint64_t begin, uint64_t end)
{
    const struct tn_pass *p = context;
    const float *x = p->inputs[0], *dy = p->output_gradients[0];
    uint64_t channels = (uint64_t)p->parameter_shapes[0].dims[0], count = tn_shape_elements(&p->input_shapes[0]);
    for (uint64_t c = begin; c < end; c++) {
        double sum = 0;
        for (uint64_t i = c; i < count; i += channels) {
            float s = sigmoid(p->parameters[0][c] * x[i]);
            sum += (double)dy[i] * x[i] * x[i] * s * (1.0f - s);
        }
        p->parameter_gradients[0][c] = (float)sum;
    }
}

/* [step] */
static tn_status forward(const struct tn_pass *p, struct tn_error *error)
{
    (void)error;
    p->parallel->run(p->parallel, tn_shape_elements(&p->input_shapes[0]), 4096, forward_range, (void *)p);
    return TN_OK;
}

/* [step] A gradient that is NULL is not wanted. */
static tn_status backward(const struct tn_pass *p, struct tn_error *error)
{
    (void)error;
    if (p->input_gradients[0])
        p->parallel->run(p->parallel, tn_shape_elements(&p->input_shapes[0]), 4096, backward_range, (void *)p);
    if (p->parameter_gradients[0])
        p->parallel->run(p->parallel, (uint64_t)p->parameter_shapes[0].dims[0], 1, backward_beta_range, (void *)p);
    return TN_OK;
}

static const struct tn_layer swish = {
    TN_TYPE(TN_LAYER, "swish", struct swish, options, "x * sigmoid(beta * x), with a trained beta for each channel"),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

TN_PLUGIN("example.swish", "1.0.0", "Apache-2.0", &swish.type);
