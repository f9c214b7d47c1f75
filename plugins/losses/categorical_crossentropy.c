/* categorical_crossentropy.c: -sum(y log p) for one-hot (or soft) targets: Keras' CategoricalCrossentropy.
 *
 * From logits, log p = x - log(sum(exp(x))) and the gradient is p * sum(y) - y. From probabilities, as Keras: p /
 * sum(p), then clipped. */
#include "common.h"

struct categorical_crossentropy {
    int32_t from_logits;
    double label_smoothing;
};

static const struct tn_option options[] = {
    TN_BOOL(struct categorical_crossentropy, from_logits, 0,
            "the network ends without softmax; with one, yes is implied where it helps"),
    TN_FLOAT(struct categorical_crossentropy, label_smoothing, 0.0, 0.0, 1.0,
             "share of each target that is spread over all classes"),
    TN_END,
};

static double logits_loss(const float *x, const float *y, float *gradient, int32_t classes, double smoothing,
                          double scale)
{
    double all = log_sum_exp(x, classes), loss = 0, mass = 0;
    for (int32_t k = 0; k < classes; k++) {
        double target = y[k] * (1.0 - smoothing) + smoothing / classes;
        loss -= target * (x[k] - all);
        mass += target;
    }
    for (int32_t k = 0; gradient && k < classes; k++) {
        double target = y[k] * (1.0 - smoothing) + smoothing / classes;
        gradient[k] = (float)(scale * (exp(x[k] - all) * mass - target));
    }
    return loss;
}

static double probability_loss(const float *p, const float *y, float *gradient, int32_t classes, double smoothing,
                               double scale)
{
    double sum = 0, loss = 0, through = 0;
    for (int32_t k = 0; k < classes; k++)
        sum += p[k];
    if (sum == 0.0)
        sum = 1e-30;
    for (int32_t k = 0; k < classes; k++) {
        double target = y[k] * (1.0 - smoothing) + smoothing / classes, q = p[k] / sum;
        loss -= target * log(clipped(q));
        if (inside(q))
            through += target; /* sum over classes of dL/dq * q, with its sign turned */
    }
    for (int32_t k = 0; gradient && k < classes; k++) {
        double target = y[k] * (1.0 - smoothing) + smoothing / classes, q = p[k] / sum;
        gradient[k] = (float)(scale * ((inside(q) ? -target / q : 0.0) + through) / sum);
    }
    return loss;
}

static void compute(const struct tn_loss_pass *pass)
{
    const struct categorical_crossentropy *o = pass->self;
    for (int32_t i = 0; i < pass->batch; i++) {
        size_t at = (size_t)i * (size_t)pass->classes;
        double weight = weight_of(pass, i), scale = weight / pass->batch;
        float *gradient = pass->gradient ? pass->gradient + at : NULL;
        double loss = (pass->from_logits ? logits_loss : probability_loss)(
            pass->prediction + at, pass->target + at, gradient, pass->classes, o->label_smoothing, scale);
        pass->loss[i] = (float)(loss * weight);
    }
}

static int32_t from_logits(const void *self)
{
    return ((const struct categorical_crossentropy *)self)->from_logits;
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    const struct categorical_crossentropy *o = self;
    return fits(bytes, error,
                snprintf(text, (size_t)bytes, "\"from_logits\": %s, \"label_smoothing\": %.9g",
                         o->from_logits ? "true" : "false", o->label_smoothing));
}

static const struct tn_loss categorical_crossentropy = {
    TN_TYPE(TN_LOSS, "categorical_crossentropy", struct categorical_crossentropy, options,
            "cross-entropy of one-hot targets (class_mode = categorical)"),
    .activation = "softmax",
    .compute = compute,
    .from_logits = from_logits,
    .keras_class = "CategoricalCrossentropy",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.losses.categorical_crossentropy", TENON_VERSION, "Apache-2.0", &categorical_crossentropy.type);
