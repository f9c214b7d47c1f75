/* top_k_accuracy.c: share of samples whose class is among the k largest outputs. Outputs as large as the class's own
 * do not push it out, as in TensorFlow. */
#include <math.h>
#include <tenon/plugin.h>

struct top_k {
    int64_t k;
};

struct sums {
    double right, total;
};

static const struct tn_option options[] = {
    TN_INT(struct top_k, k, 5, 1, 1 << 24, "how many guesses count"),
    TN_END,
};

static int is_among(const float *x, int32_t classes, int32_t label, int64_t k)
{
    int64_t larger = 0;
    if (label < 0 || label >= classes || !isfinite(x[label]))
        return 0;
    for (int32_t c = 0; c < classes; c++)
        larger += x[c] > x[label];
    return larger < k;
}

static int32_t label_of(const struct tn_metric_batch *b, int32_t sample)
{
    const float *target = b->target + (size_t)sample * (size_t)b->target_count;
    int32_t best = 0;
    if (b->sparse)
        return (int32_t)b->target[sample];
    for (int32_t c = 1; c < b->target_count; c++)
        best = target[c] > target[best] ? c : best;
    return best;
}

static void update(const void *self, void *state, const struct tn_metric_batch *b)
{
    const struct top_k *o = self;
    struct sums *s = state;
    for (int32_t i = 0; i < b->batch; i++) {
        double weight = b->weight ? (double)b->weight[i] : 1.0;
        s->right += weight * is_among(b->prediction + (size_t)i * (size_t)b->classes, b->classes, label_of(b, i), o->k);
        s->total += weight;
    }
}

static double value(const void *self, const void *state)
{
    const struct sums *s = state;
    (void)self;
    return s->total > 0 ? s->right / s->total : 0.0;
}

#define TOP_K(variable_, name_, summary_)                                                                              \
    static const struct tn_metric variable_ = {                                                                        \
        TN_TYPE(TN_METRIC, name_, struct top_k, options, summary_),                                                    \
        .state_size = sizeof(struct sums),                                                                             \
        .direction = TN_DIRECTION_UP,                                                                                  \
        .update = update,                                                                                              \
        .value = value,                                                                                                \
    }

TOP_K(categorical, "top_k_categorical_accuracy", "share of classes among the k best guesses, one-hot targets");
TOP_K(sparse, "sparse_top_k_categorical_accuracy", "share of classes among the k best guesses, class numbers");

TN_PLUGIN("tenon.metrics.top_k_accuracy", TENON_VERSION, "Apache-2.0", &categorical.type, &sparse.type);
