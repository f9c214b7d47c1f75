/* sparse_categorical_crossentropy.c: -log p[class] for class numbers: Keras' SparseCategoricalCrossentropy. */
#include "common.h"

struct sparse_categorical_crossentropy {
    int32_t from_logits;
    int64_t ignore_class;
};

static const struct tn_option options[] = {
    TN_BOOL(struct sparse_categorical_crossentropy, from_logits, 0,
            "the network ends without softmax; with one, yes is implied where it helps"),
    TN_INT(struct sparse_categorical_crossentropy, ignore_class, -1, -1, 1 << 24,
           "samples of this class do not count; -1 = none"),
    TN_END,
};

/* Keras divides by the number of samples that count; the core by the batch. */
static double batch_by_counted(const struct tn_loss_pass *pass, int64_t ignored)
{
    int32_t counted = 0;
    for (int32_t i = 0; i < pass->batch; i++)
        counted += (int64_t)pass->target[i] != ignored;
    return ignored >= 0 && counted > 0 ? (double)pass->batch / counted : 1.0;
}

static void compute(const struct tn_loss_pass *pass)
{
    const struct sparse_categorical_crossentropy *o = pass->self;
    int32_t classes = pass->classes;
    double factor = batch_by_counted(pass, o->ignore_class);
    for (int32_t i = 0; i < pass->batch; i++) {
        const float *x = pass->prediction + (size_t)i * (size_t)classes;
        float *gradient = pass->gradient ? pass->gradient + (size_t)i * (size_t)classes : NULL;
        double weight = weight_of(pass, i) * factor, scale = weight / pass->batch;
        int32_t label = (int32_t)pass->target[i];
        if (gradient)
            memset(gradient, 0, (size_t)classes * sizeof *gradient);
        pass->loss[i] = 0.0f;
        if (label < 0 || label >= classes || label == o->ignore_class)
            continue;
        if (pass->from_logits) {
            double all = log_sum_exp(x, classes);
            pass->loss[i] = (float)(weight * (all - x[label]));
            for (int32_t k = 0; gradient && k < classes; k++)
                gradient[k] = (float)(scale * (exp(x[k] - all) - (k == label)));
        } else {
            /* Keras takes the logarithm of clipped probabilities as logits, which renormalises them. */
            double sum = 0;
            for (int32_t k = 0; k < classes; k++)
                sum += clipped(x[k]);
            pass->loss[i] = (float)(weight * (log(sum) - log(clipped(x[label]))));
            for (int32_t k = 0; gradient && k < classes; k++)
                gradient[k] =
                    (float)(inside(x[k]) ? scale * (1.0 / sum - (k == label ? 1.0 / clipped(x[k]) : 0.0)) : 0.0);
        }
    }
}

static int32_t from_logits(const void *self)
{
    return ((const struct sparse_categorical_crossentropy *)self)->from_logits;
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    const struct sparse_categorical_crossentropy *o = self;
    char ignored[32] = "null";
    if (o->ignore_class >= 0)
        (void)snprintf(ignored, sizeof ignored, "%lld", (long long)o->ignore_class);
    return fits(bytes, error,
                snprintf(text, (size_t)bytes, "\"from_logits\": %s, \"ignore_class\": %s",
                         o->from_logits ? "true" : "false", ignored));
}

static const struct tn_loss sparse_categorical_crossentropy = {
    TN_TYPE_WITH(TN_LOSS, "sparse_categorical_crossentropy", struct sparse_categorical_crossentropy, options,
                 "cross-entropy of class numbers (class_mode = sparse)", TN_LOSS_SPARSE, NULL, NULL),
    .activation = "softmax",
    .compute = compute,
    .from_logits = from_logits,
    .keras_class = "SparseCategoricalCrossentropy",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.losses.sparse_categorical_crossentropy", TENON_VERSION, "Apache-2.0",
          &sparse_categorical_crossentropy.type);
