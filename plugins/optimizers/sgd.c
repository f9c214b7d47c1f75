/* sgd.c: gradient descent with momentum: Keras' SGD. The learning rate is inside of the velocity: m = momentum * m - lr
 * * g; w += m. */
#include "common.h"

struct sgd {
    double learning_rate, momentum, weight_decay, clipvalue;
    int32_t nesterov;
};

static const struct tn_option options[] = {
    TN_FLOAT(struct sgd, learning_rate, 0.01, 0.0, TN_ANY, "size of a step"),
    TN_FLOAT(struct sgd, momentum, 0.0, 0.0, 1.0, "share of the last step that is taken again"),
    TN_BOOL(struct sgd, nesterov, 0, "look ahead along the momentum"),
    TN_FLOAT(struct sgd, weight_decay, 0.0, 0.0, TN_ANY,
             "before each step weights lose this share times the learning rate"),
    TN_FLOAT(struct sgd, clipvalue, 0.0, 0.0, TN_ANY, "gradients are clipped to this size; 0 = not"),
    TN_END,
};

FOR_EACH_CPU static void plain(uint64_t n, float *restrict w, const float *restrict g, float rate, float limit,
                               float keep)
{
    for (uint64_t i = 0; i < n; i++)
        w[i] = w[i] * keep - rate * prepared_gradient(g[i], limit);
}

FOR_EACH_CPU static void with_momentum(uint64_t n, float *restrict w, const float *restrict g, float *restrict m,
                                       float rate, float momentum, float limit, float keep)
{
    for (uint64_t i = 0; i < n; i++) {
        float v = momentum * m[i] - rate * prepared_gradient(g[i], limit);
        m[i] = v;
        w[i] = w[i] * keep + v;
    }
}

FOR_EACH_CPU static void with_nesterov(uint64_t n, float *restrict w, const float *restrict g, float *restrict m,
                                       float rate, float momentum, float limit, float keep)
{
    for (uint64_t i = 0; i < n; i++) {
        float d = prepared_gradient(g[i], limit), v = momentum * m[i] - rate * d;
        m[i] = v;
        w[i] = w[i] * keep + momentum * v - rate * d;
    }
}

static void update(const struct tn_update *u)
{
    const struct sgd *o = u->self;
    float rate = (float)u->learning_rate, limit = (float)o->clipvalue, momentum = (float)o->momentum;
    float keep = u->decay ? (float)(1.0 - o->weight_decay * u->learning_rate) : 1.0f;
    if (momentum == 0.0f)
        plain(u->count, u->parameter, u->gradient, rate, limit, keep);
    else
        (o->nesterov ? with_nesterov : with_momentum)(u->count, u->parameter, u->gradient, u->slots[0], rate, momentum,
                                                      limit, keep);
}

static int32_t slot_count(const void *self)
{
    return ((const struct sgd *)self)->momentum > 0.0;
}

static const char *slot_name(const void *self, int32_t slot)
{
    (void)self;
    (void)slot;
    return "momentum";
}

static double learning_rate(const void *self)
{
    return ((const struct sgd *)self)->learning_rate;
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    const struct sgd *o = self;
    int length = snprintf(text, (size_t)bytes, "\"learning_rate\": %.9g, \"momentum\": %.9g, \"nesterov\": %s",
                          o->learning_rate, o->momentum, o->nesterov ? "true" : "false");
    return common_config(text, bytes, length, o->weight_decay, o->clipvalue, error);
}

static const struct tn_optimizer sgd = {
    TN_TYPE(TN_OPTIMIZER, "sgd", struct sgd, options, "gradient descent, with optional (Nesterov) momentum"),
    .slot_count = slot_count,
    .slot_name = slot_name,
    .learning_rate = learning_rate,
    .update = update,
    .keras_class = "SGD",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.optimizers.sgd", TENON_VERSION, "Apache-2.0", &sgd.type);
