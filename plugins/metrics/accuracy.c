/* accuracy.c: share of right answers. `accuracy` decides by the shapes, as Keras does with the word "accuracy". */
#include <tenon/plugin.h>

struct accuracy {
    double threshold;
};

struct sums {
    double right, total;
};

static const struct tn_option threshold_options[] = {
    TN_FLOAT(struct accuracy, threshold, 0.5, 0.0, 1.0, "outputs above it count as yes (one output only)"),
    TN_END,
};

/* First of the largest. */
static int32_t largest(const float *x, int32_t count)
{
    int32_t best = 0;
    for (int32_t k = 1; k < count; k++)
        if (x[k] > x[best])
            best = k;
    return best;
}

static double weight_of(const struct tn_metric_batch *b, int32_t i)
{
    return b->weight ? b->weight[i] : 1.0;
}

/* The class that a sample's target says, whichever form the targets have: a metric may not suit the data set, but it
 * never reads beyond them. */
static int32_t label_of(const struct tn_metric_batch *b, int32_t i)
{
    return b->sparse ? (int32_t)b->target[i]
                     : largest(b->target + (size_t)i * (size_t)b->target_count, b->target_count);
}

static void update_classes(const void *self, void *state, const struct tn_metric_batch *b)
{
    struct sums *s = state;
    (void)self;
    for (int32_t i = 0; i < b->batch; i++) {
        double w = weight_of(b, i);
        s->right += w * (largest(b->prediction + (size_t)i * (size_t)b->classes, b->classes) == label_of(b, i));
        s->total += w;
    }
}

static void update_binary(const void *self, void *state, const struct tn_metric_batch *b)
{
    const struct accuracy *o = self;
    struct sums *s = state;
    if (b->target_count != b->classes) {
        update_classes(self, state, b);
        return;
    }
    for (int32_t i = 0; i < b->batch; i++) {
        double w = weight_of(b, i), right = 0;
        for (int32_t k = 0; k < b->classes; k++) {
            size_t at = (size_t)i * (size_t)b->classes + (size_t)k;
            right += (b->prediction[at] > (float)o->threshold) == (b->target[at] > 0.5f);
        }
        s->right += w * right / b->classes;
        s->total += w;
    }
}

/* Several classes of a picture: the largest output says nothing. (Keras 3 takes the one-hot rule even then.) */
static int is_multi_label(const struct tn_metric_batch *b)
{
    return b->size >= offsetof(struct tn_metric_batch, reserved) && b->multi_label;
}

static void update_any(const void *self, void *state, const struct tn_metric_batch *b)
{
    if (b->classes == 1 || is_multi_label(b))
        update_binary(self, state, b);
    else
        update_classes(self, state, b);
}

static double value(const void *self, const void *state)
{
    const struct sums *s = state;
    (void)self;
    return s->total > 0 ? s->right / s->total : 0.0;
}

/* Which of the types has which rule; all share state and value. */
#define ACCURACY(variable_, name_, options_, update_, summary_)                                                        \
    static const struct tn_metric variable_ = {                                                                        \
        TN_TYPE(TN_METRIC, name_, struct accuracy, options_, summary_),                                                \
        .state_size = sizeof(struct sums),                                                                             \
        .direction = TN_DIRECTION_UP,                                                                                  \
        .update = (update_),                                                                                           \
        .value = value,                                                                                                \
    }

ACCURACY(accuracy, "accuracy", threshold_options, update_any,
         "share of right answers; binary, categorical or sparse by the targets");
ACCURACY(categorical, "categorical_accuracy", NULL, update_classes, "share of right classes for one-hot targets");
ACCURACY(sparse, "sparse_categorical_accuracy", NULL, update_classes, "share of right classes for class numbers");
ACCURACY(binary, "binary_accuracy", threshold_options, update_binary, "share of right yes/no answers");

TN_PLUGIN("tenon.metrics.accuracy", TENON_VERSION, "Apache-2.0", &accuracy.type, &categorical.type, &sparse.type,
          &binary.type);
