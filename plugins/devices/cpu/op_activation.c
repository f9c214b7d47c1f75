/* op_activation.c: activation functions and their gradients, one loop each. */
#include "elementwise.h"
#include "vector_math.h"

static const float selu_alpha = 1.67326324f, selu_scale = 1.05070099f;

/* ---- the functions: y of x; a, b, c are the op's alpha, beta, gamma ---- */

#define FORWARD(name_, ...)                                                                                            \
    TN_VECTOR static void forward_##name_(const float *x0, const float *x1, const float *x2, float *y0,                \
                                          uint64_t count, const float parameters[4])                                   \
    {                                                                                                                  \
        const float a = parameters[0], b = parameters[1], c = parameters[2];                                           \
        (void)a, (void)b, (void)c, (void)x1, (void)x2;                                                                 \
        TN_INDEPENDENT                                                                                                 \
        for (uint64_t i = 0; i < count; i++) {                                                                         \
            float x = x0[i], y;                                                                                        \
            __VA_ARGS__;                                                                                               \
            y0[i] = y;                                                                                                 \
        }                                                                                                              \
    }

/* Keras: values above the threshold pass (up to the limit), others become slope * (x - threshold). */
FORWARD(relu, float limit = b > 0.0f ? b : INFINITY; float low = a * (x - c); y = x > c ? x : low;
        y = y > limit ? limit : y)
FORWARD(plain_relu, y = x < 0.0f ? 0.0f : x)
FORWARD(elu, float e = a * tn_expm1f(x); y = x > 0.0f ? x : e)
FORWARD(selu, float e = selu_scale * selu_alpha * tn_expm1f(x); float l = selu_scale * x; y = x > 0.0f ? l : e)
FORWARD(celu, float e = a * tn_expm1f(x / a); y = x > 0.0f ? x : e)
FORWARD(sigmoid, y = tn_sigmoidf(x))
FORWARD(tanh, y = tn_tanhf(x))
FORWARD(softplus, y = tn_softplusf(x))
FORWARD(softsign, y = x / (1.0f + tn_absf(x)))
FORWARD(exponential, y = tn_expf(x))
FORWARD(gelu, y = x * tn_normal_cdff(x))
FORWARD(gelu_tanh, float t = tn_tanhf(0.797884561f * (x + 0.044715f * x * x * x)); y = 0.5f * x * (1.0f + t))
FORWARD(silu, y = x * tn_sigmoidf(x))
FORWARD(hard_sigmoid, y = (x + 3.0f) * (1.0f / 6); y = y < 0.0f ? 0.0f : y; y = y > 1.0f ? 1.0f : y)
FORWARD(hard_silu, float s = (x + 3.0f) * (1.0f / 6); s = s < 0.0f ? 0.0f : s; s = s > 1.0f ? 1.0f : s; y = x * s)
FORWARD(mish, y = x * tn_tanhf(tn_softplusf(x)))
FORWARD(log_sigmoid, y = -tn_softplusf(-x))
FORWARD(hard_tanh, y = x < -1.0f ? -1.0f : x; y = y > 1.0f ? 1.0f : y)

/* ---- the gradients: d = dx / dy from x, or from y. Where branches meet they are TensorFlow's, which the golden cases
 * hold exactly: clips pass at their limits, relu6 does not, and celu, a sum of a maximum and a minimum, passes twice
 * at 0. ---- */

#define BACKWARD(name_, from_, ...)                                                                                    \
    TN_VECTOR static void backward_##name_(const float *x0, const float *x1, const float *x2, float *y0,               \
                                           uint64_t count, const float parameters[4])                                  \
    {                                                                                                                  \
        const float a = parameters[0], b = parameters[1], c = parameters[2];                                           \
        (void)a, (void)b, (void)c, (void)x2;                                                                           \
        TN_INDEPENDENT                                                                                                 \
        for (uint64_t i = 0; i < count; i++) {                                                                         \
            float from_ = x1[i], d;                                                                                    \
            __VA_ARGS__;                                                                                               \
            y0[i] = x0[i] * d;                                                                                         \
        }                                                                                                              \
    }

BACKWARD(plain_relu, y, d = y > 0.0f ? 1.0f : 0.0f)
BACKWARD(relu_x, x, float limit = b > 0.0f ? b : INFINITY; float at_limit = b == 6.0f && c == 0.0f ? 0.0f : 1.0f;
         float at_threshold = c == 0.0f ? a : 0.0f; d = x > c ? 1.0f : a; d = x == c ? at_threshold : d;
         d = x > limit ? 0.0f : d; d = x == limit ? at_limit : d)
BACKWARD(relu_y, y, float limit = b > 0.0f ? b : INFINITY; d = y > 0.0f ? 1.0f : a; d = y >= limit ? 0.0f : d)
BACKWARD(elu_x, x, float e = a * tn_expf(x); d = x > 0.0f ? 1.0f : e)
BACKWARD(elu_y, y, float e = y + a; d = y > 0.0f ? 1.0f : e)
BACKWARD(celu_x, x, float e = tn_expf(x / a); d = x > 0.0f ? 1.0f : e; d = x == 0.0f ? 2.0f : d)
BACKWARD(celu_y, y, float e = y / a + 1.0f; d = y > 0.0f ? 1.0f : e; d = y == 0.0f ? 2.0f : d)
BACKWARD(selu_x, x, float e = selu_scale * selu_alpha * tn_expf(x); d = x >= 0.0f ? selu_scale : e)
BACKWARD(selu_y, y, float e = y + selu_scale * selu_alpha; d = y >= 0.0f ? selu_scale : e)
BACKWARD(sigmoid_x, x, float s = tn_sigmoidf(x); d = s * (1.0f - s))
BACKWARD(sigmoid_y, y, d = y * (1.0f - y))
BACKWARD(tanh_x, x, float t = tn_tanhf(x); d = 1.0f - t * t)
BACKWARD(tanh_y, y, d = 1.0f - y * y)
BACKWARD(softplus_x, x, d = tn_sigmoidf(x))
BACKWARD(softplus_y, y, d = -tn_expm1f(-y))
BACKWARD(softsign_x, x, float s = 1.0f + tn_absf(x); d = 1.0f / (s * s))
BACKWARD(softsign_y, y, float s = 1.0f - tn_absf(y); d = s * s)
BACKWARD(exponential_x, x, d = tn_expf(x))
BACKWARD(exponential_y, y, d = y)
BACKWARD(gelu, x, d = tn_normal_cdff(x) + x * 0.398942280f * tn_expf(-0.5f * x * x))
BACKWARD(gelu_tanh, x, float u = 0.797884561f * (x + 0.044715f * x * x * x); float t = tn_tanhf(u);
         float du = 0.797884561f * (1.0f + 3.0f * 0.044715f * x * x);
         d = 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * du)
BACKWARD(silu, x, float s = tn_sigmoidf(x); d = s + x * s * (1.0f - s))
BACKWARD(hard_sigmoid_x, x, d = x > -3.0f ? 1.0f / 6 : 0.0f; d = x < 3.0f ? d : 0.0f)
BACKWARD(hard_sigmoid_y, y, d = y > 0.0f ? 1.0f / 6 : 0.0f; d = y < 1.0f ? d : 0.0f)
BACKWARD(hard_silu, x, float s = (x + 3.0f) * (1.0f / 6); float m = (2.0f * x + 3.0f) * (1.0f / 6);
         d = s <= 0.0f ? 0.0f : m; d = s >= 1.0f ? 1.0f : d)
BACKWARD(mish, x, float t = tn_tanhf(tn_softplusf(x)); d = t + x * (1.0f - t * t) * tn_sigmoidf(x))
BACKWARD(log_sigmoid_x, x, d = tn_sigmoidf(-x))
BACKWARD(log_sigmoid_y, y, d = -tn_expm1f(y))
BACKWARD(hard_tanh, x, d = x >= -1.0f ? 1.0f : 0.0f; d = x <= 1.0f ? d : 0.0f)

/* ---- the table ---- */

struct function {
    tn_elementwise forward, from_x, from_y;
    bool zero_at_zero; /* f(0) = 0, so that padding stays zero by itself */
};

static const struct function functions[] = {
    [TN_RELU] = {forward_relu, backward_relu_x, backward_relu_y, false},
    [TN_ELU] = {forward_elu, backward_elu_x, backward_elu_y, true},
    [TN_SELU] = {forward_selu, backward_selu_x, backward_selu_y, true},
    [TN_SIGMOID] = {forward_sigmoid, backward_sigmoid_x, backward_sigmoid_y, false},
    [TN_TANH] = {forward_tanh, backward_tanh_x, backward_tanh_y, true},
    [TN_SOFTPLUS] = {forward_softplus, backward_softplus_x, backward_softplus_y, false},
    [TN_SOFTSIGN] = {forward_softsign, backward_softsign_x, backward_softsign_y, true},
    [TN_EXPONENTIAL] = {forward_exponential, backward_exponential_x, backward_exponential_y, false},
    [TN_GELU] = {forward_gelu, backward_gelu, NULL, true},
    [TN_GELU_TANH] = {forward_gelu_tanh, backward_gelu_tanh, NULL, true},
    [TN_SILU] = {forward_silu, backward_silu, NULL, true},
    [TN_HARD_SIGMOID] = {forward_hard_sigmoid, backward_hard_sigmoid_x, backward_hard_sigmoid_y, false},
    [TN_HARD_SILU] = {forward_hard_silu, backward_hard_silu, NULL, true},
    [TN_MISH] = {forward_mish, backward_mish, NULL, true},
    [TN_CELU] = {forward_celu, backward_celu_x, backward_celu_y, true},
    [TN_LOG_SIGMOID] = {forward_log_sigmoid, backward_log_sigmoid_x, backward_log_sigmoid_y, false},
    [TN_HARD_TANH] = {forward_hard_tanh, backward_hard_tanh, NULL, true},
};

static bool is_plain_relu(const struct tn_activation *a)
{
    return a->function == TN_RELU && a->alpha == 0.0f && a->beta <= 0.0f && a->gamma == 0.0f;
}

static bool find(struct tn_planning *planning, struct function *function)
{
    static const struct function plain_relu = {forward_plain_relu, backward_plain_relu, backward_plain_relu, true};
    const struct tn_activation *a = &planning->op->a.activation;
    if (is_plain_relu(a)) {
        *function = plain_relu;
        return true;
    }
    if (a->function < 0 || a->function >= (int32_t)(sizeof functions / sizeof *functions) ||
        !functions[a->function].forward) {
        tn_plan_fail(planning, TN_UNSUPPORTED, "the cpu device has no activation function of number %d",
                     (int)a->function);
        return false;
    }
    *function = functions[a->function];
    return true;
}

struct details {
    tn_elementwise function;
    const struct tn_layout *layout;
    bool clear;
};

static tn_status body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    const struct details *d = kernel->details;
    const struct tn_activation *a = &op->a.activation;
    const float parameters[4] = {a->alpha, a->beta, a->gamma, 0.0f};
    float *y = tn_floats(kernel, 2);
    tn_elementwise_run(run->cpu, d->function, tn_floats(kernel, 0), tn_floats(kernel, 1), NULL, y,
                       d->layout->bytes / sizeof(float), parameters);
    if (d->clear)
        tn_clear_padding(run->cpu, d->layout, y);
    return TN_OK;
}

void tn_plan_activation(struct tn_planning *planning)
{
    struct tn_value *x = tn_plan_value(planning, 0);
    struct details *d;
    struct function function;
    if (planning->op->a.activation.function == TN_LINEAR) {
        tn_plan_copy(planning);
        return;
    }
    d = tn_plan_details(planning, sizeof *d);
    if (!x || !d || !find(planning, &function))
        return;
    d->layout = tn_plan_layout(planning, x);
    d->function = function.forward;
    d->clear = !function.zero_at_zero;
    tn_plan_body_place(planning, tn_plan_input(planning, 0, d->layout));
    tn_plan_body_place(planning, (struct tn_place){TN_PLACE_NOWHERE, 0, 0, 0});
    tn_plan_body_place(planning, tn_plan_output(planning, 0, d->layout));
    tn_plan_overwrite(planning, 0);
    tn_plan_body(planning, body);
    planning->op->algorithm = "loop";
}

void tn_plan_activation_gradient(struct tn_planning *planning)
{
    struct tn_value *x = tn_plan_value(planning, 1), *y = tn_plan_value(planning, 2), *from;
    struct details *d;
    struct function function;
    uint32_t index;
    if (planning->op->a.activation.function == TN_LINEAR) {
        tn_plan_copy(planning);
        return;
    }
    d = tn_plan_details(planning, sizeof *d);
    if (!d || !find(planning, &function))
        return;
    from = y && function.from_y && !tn_activation_needs_input(&planning->op->a.activation) ? y : x;
    if (!from) {
        tn_plan_fail(planning, TN_UNSUPPORTED, "the gradient of activation function %d needs its input",
                     (int)planning->op->a.activation.function);
        return;
    }
    index = from == y ? 2 : 1;
    d->layout = tn_plan_layout(planning, from);
    d->function = from == y ? function.from_y : function.from_x;
    tn_plan_body_place(planning, tn_plan_input(planning, 0, d->layout));
    tn_plan_body_place(planning, tn_plan_input(planning, index, d->layout));
    tn_plan_body_place(planning, tn_plan_output(planning, 0, d->layout));
    tn_plan_overwrite(planning, 0);
    if (!planning->op->overwrites)
        tn_plan_overwrite(planning, index);
    tn_plan_body(planning, body);
    planning->op->algorithm = "loop";
}
