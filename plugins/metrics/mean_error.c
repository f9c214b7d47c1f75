/* mean_error.c: mean squared and mean absolute difference of outputs and targets, and the root of the former. */
#include <math.h>
#include <tenon/plugin.h>

struct mean_error {
    char none;
};

struct sums {
    double error, total;
};

static double squared(double difference)
{
    return difference * difference;
}

static void add(struct sums *s, const struct tn_metric_batch *b, double (*measure)(double))
{
    /* A class number where the output is wider than one value is compared as one-hot. */
    for (int32_t i = 0; i < b->batch; i++) {
        double weight = b->weight ? (double)b->weight[i] : 1.0, sum = 0;
        for (int32_t k = 0; k < b->classes; k++) {
            double target = b->target_count == b->classes
                                ? (double)b->target[(size_t)i * (size_t)b->classes + (size_t)k]
                            : (int32_t)b->target[i] == k ? 1.0
                                                         : 0.0;
            sum += measure((double)b->prediction[(size_t)i * (size_t)b->classes + (size_t)k] - target);
        }
        s->error += weight * sum / b->classes;
        s->total += weight;
    }
}

static void update_squared(const void *self, void *state, const struct tn_metric_batch *b)
{
    (void)self;
    add(state, b, squared);
}

static void update_absolute(const void *self, void *state, const struct tn_metric_batch *b)
{
    (void)self;
    add(state, b, fabs);
}

static double value(const void *self, const void *state)
{
    const struct sums *s = state;
    (void)self;
    return s->total > 0 ? s->error / s->total : 0.0;
}

static double root(const void *self, const void *state)
{
    return sqrt(value(self, state));
}

#define MEAN_ERROR(variable_, name_, update_, value_, summary_)                                                        \
    static const struct tn_metric variable_ = {                                                                        \
        TN_TYPE(TN_METRIC, name_, struct mean_error, NULL, summary_),                                                  \
        .state_size = sizeof(struct sums),                                                                             \
        .direction = TN_DIRECTION_DOWN,                                                                                \
        .update = (update_),                                                                                           \
        .value = (value_),                                                                                             \
    }

MEAN_ERROR(squared_error, "mean_squared_error", update_squared, value, "mean of squared differences");
MEAN_ERROR(absolute_error, "mean_absolute_error", update_absolute, value, "mean of absolute differences");
MEAN_ERROR(root_squared_error, "root_mean_squared_error", update_squared, root, "root of the mean squared difference");

TN_PLUGIN("tenon.metrics.mean_error", TENON_VERSION, "Apache-2.0", &squared_error.type, &absolute_error.type,
          &root_squared_error.type);
