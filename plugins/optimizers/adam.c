/* adam.c: Adam (Kingma and Ba, ICLR 2015) as Keras has it: epsilon is added to the uncorrected sqrt(v) ("epsilon hat").
 */
#include "common.h"

struct adam {
    double learning_rate, beta_1, beta_2, epsilon, weight_decay, clipvalue;
    int32_t amsgrad;
};

static const struct tn_option options[] = {
    TN_FLOAT(struct adam, learning_rate, 0.001, 0.0, TN_ANY, "size of a step"),
    TN_FLOAT(struct adam, beta_1, 0.9, 0.0, 1.0, "decay of the mean of gradients"),
    TN_FLOAT(struct adam, beta_2, 0.999, 0.0, 1.0, "decay of the mean of squared gradients"),
    TN_FLOAT(struct adam, epsilon, 1e-7, 0.0, 1.0, "added to the divisor"),
    TN_BOOL(struct adam, amsgrad, 0, "divide by the largest mean of squares so far (Reddi et al., ICLR 2018)"),
    TN_FLOAT(struct adam, weight_decay, 0.0, 0.0, TN_ANY,
             "before each step weights lose this share times the learning rate (AdamW)"),
    TN_FLOAT(struct adam, clipvalue, 0.0, 0.0, TN_ANY, "gradients are clipped to this size; 0 = not"),
    TN_END,
};

struct factors {
    float rate, b1, b2, epsilon, limit, keep; /* b1, b2: 1 - beta */
};

FOR_EACH_CPU static void step(uint64_t n, float *restrict w, const float *restrict g, float *restrict m,
                              float *restrict v, const struct factors *f)
{
    const float rate = f->rate, b1 = f->b1, b2 = f->b2, epsilon = f->epsilon, limit = f->limit, keep = f->keep;
    for (uint64_t i = 0; i < n; i++) {
        float d = prepared_gradient(g[i], limit);
        m[i] += (d - m[i]) * b1;
        v[i] += (d * d - v[i]) * b2;
        w[i] = w[i] * keep - rate * m[i] / (sqrtf(v[i]) + epsilon);
    }
}

FOR_EACH_CPU static void step_amsgrad(uint64_t n, float *restrict w, const float *restrict g, float *restrict m,
                                      float *restrict v, float *restrict largest, const struct factors *f)
{
    const float rate = f->rate, b1 = f->b1, b2 = f->b2, epsilon = f->epsilon, limit = f->limit, keep = f->keep;
    for (uint64_t i = 0; i < n; i++) {
        float d = prepared_gradient(g[i], limit);
        m[i] += (d - m[i]) * b1;
        v[i] += (d * d - v[i]) * b2;
        largest[i] = v[i] > largest[i] ? v[i] : largest[i];
        w[i] = w[i] * keep - rate * m[i] / (sqrtf(largest[i]) + epsilon);
    }
}

/* 1 - beta^t in float, as Keras has it. The rounding of 0.999 alone makes 6e-6 of a step: enough to part ways with a
 * run of Keras within ten steps, where a ReLU's input happens to be close to 0. */
static float correction(double beta, uint64_t step)
{
    return 1.0f - (float)pow((double)(float)beta, (double)step);
}

static void update(const struct tn_update *u)
{
    const struct adam *o = u->self;
    struct factors f = {.rate = (float)(u->learning_rate * sqrt((double)correction(o->beta_2, u->step)) /
                                        (double)correction(o->beta_1, u->step)),
                        .b1 = (float)(1.0 - o->beta_1),
                        .b2 = (float)(1.0 - o->beta_2),
                        .epsilon = (float)o->epsilon,
                        .limit = (float)o->clipvalue,
                        .keep = u->decay ? (float)(1.0 - o->weight_decay * u->learning_rate) : 1.0f};
    if (o->amsgrad)
        step_amsgrad(u->count, u->parameter, u->gradient, u->slots[0], u->slots[1], u->slots[2], &f);
    else
        step(u->count, u->parameter, u->gradient, u->slots[0], u->slots[1], &f);
}

static int32_t slot_count(const void *self)
{
    return ((const struct adam *)self)->amsgrad ? 3 : 2;
}

static const char *slot_name(const void *self, int32_t slot)
{
    static const char *const names[] = {"momentum", "velocity", "velocity_hat"};
    (void)self;
    return names[slot];
}

static double learning_rate(const void *self)
{
    return ((const struct adam *)self)->learning_rate;
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    const struct adam *o = self;
    int length =
        snprintf(text, (size_t)bytes,
                 "\"learning_rate\": %.9g, \"beta_1\": %.9g, \"beta_2\": %.9g, \"epsilon\": %.9g, \"amsgrad\": %s",
                 o->learning_rate, o->beta_1, o->beta_2, o->epsilon, o->amsgrad ? "true" : "false");
    return common_config(text, bytes, length, o->weight_decay, o->clipvalue, error);
}

static const struct tn_optimizer adam = {
    TN_TYPE(TN_OPTIMIZER, "adam", struct adam, options,
            "adaptive moments: steps scaled by the running mean of squared gradients"),
    .slot_count = slot_count,
    .slot_name = slot_name,
    .learning_rate = learning_rate,
    .update = update,
    .keras_class = "Adam",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.optimizers.adam", TENON_VERSION, "Apache-2.0", &adam.type);
