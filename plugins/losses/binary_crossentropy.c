/* binary_crossentropy.c: -(y log p + (1 - y) log(1 - p)), mean over the outputs: Keras' BinaryCrossentropy. */
#include "common.h"

struct binary_crossentropy {
    int32_t from_logits;
    double label_smoothing;
};

static const struct tn_option options[] = {
    TN_BOOL(struct binary_crossentropy, from_logits, 0,
            "the network ends without sigmoid; with one, yes is implied where it helps"),
    TN_FLOAT(struct binary_crossentropy, label_smoothing, 0.0, 0.0, 1.0, "moves targets this far towards 1/2"),
    TN_END,
};

/* One output; *slope gets the derivative. */
static double one(double x, double y, int32_t logits, double *slope)
{
    double p = clipped(x);
    if (logits) {
        *slope = 1.0 / (1.0 + exp(-x)) - y;
        return (x > 0 ? x : 0) - x * y + log1p(exp(-fabs(x)));
    }
    *slope = inside(x) ? (1.0 - y) / (1.0 - p) - y / p : 0.0;
    return -(y * log(p) + (1.0 - y) * log(1.0 - p));
}

static void compute(const struct tn_loss_pass *pass)
{
    const struct binary_crossentropy *o = pass->self;
    for (int32_t i = 0; i < pass->batch; i++) {
        double weight = weight_of(pass, i), loss = 0;
        for (int32_t k = 0; k < pass->classes; k++) {
            size_t at = (size_t)i * (size_t)pass->classes + (size_t)k;
            double slope, y = pass->target[at] * (1.0 - o->label_smoothing) + 0.5 * o->label_smoothing;
            loss += one(pass->prediction[at], y, pass->from_logits, &slope);
            if (pass->gradient)
                pass->gradient[at] = (float)(weight * slope / ((double)pass->classes * pass->batch));
        }
        pass->loss[i] = (float)(weight * loss / pass->classes);
    }
}

static int32_t from_logits(const void *self)
{
    return ((const struct binary_crossentropy *)self)->from_logits;
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    const struct binary_crossentropy *o = self;
    return fits(bytes, error,
                snprintf(text, (size_t)bytes, "\"from_logits\": %s, \"label_smoothing\": %.9g",
                         o->from_logits ? "true" : "false", o->label_smoothing));
}

static const struct tn_loss binary_crossentropy = {
    TN_TYPE(TN_LOSS, "binary_crossentropy", struct binary_crossentropy, options,
            "cross-entropy of yes/no targets (class_mode = binary or multi_label)"),
    .activation = "sigmoid",
    .compute = compute,
    .from_logits = from_logits,
    .keras_class = "BinaryCrossentropy",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.losses.binary_crossentropy", TENON_VERSION, "Apache-2.0", &binary_crossentropy.type);
