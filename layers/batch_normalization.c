/* batch_normalization.c: each channel to mean 0 and variance 1 over the batch, then scaled and shifted: Keras'
 * BatchNormalization (Ioffe and Szegedy, ICML 2015). Predictions use the moving values. */
#include "common.h"

struct batch_normalization {
    double momentum, epsilon;
    int32_t center, scale, unbiased_variance, trainable;
    int32_t beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer;
};

static const struct tn_option options[] = {
    TN_FLOAT(struct batch_normalization, momentum, 0.99, 0.0, 1.0,
             "share of the old moving values that each step keeps"),
    TN_FLOAT(struct batch_normalization, epsilon, 1e-3, 1e-12, 1.0, "added to the variance"),
    TN_BOOL(struct batch_normalization, center, 1, "add a trained offset, beta"),
    TN_BOOL(struct batch_normalization, scale, 1, "multiply by a trained factor, gamma"),
    TN_BOOL(struct batch_normalization, unbiased_variance, 0,
            "moving variance takes n/(n-1) times the batch's, as Keras 2 and PyTorch do (Keras 3: no)"),
    TN_ENUM(struct batch_normalization, beta_initializer, TN_ZEROS, TN_INITIALIZER_CHOICES, "first values of beta"),
    TN_ENUM(struct batch_normalization, gamma_initializer, TN_ONES, TN_INITIALIZER_CHOICES, "first values of gamma"),
    TN_ENUM(struct batch_normalization, moving_mean_initializer, TN_ZEROS, TN_INITIALIZER_CHOICES,
            "first values of the moving mean"),
    TN_ENUM(struct batch_normalization, moving_variance_initializer, TN_ONES, TN_INITIALIZER_CHOICES,
            "first values of the moving variance"),
    TN_BOOL(struct batch_normalization, trainable, 1,
            "no: gamma, beta and the moving values stay as they are, and training uses the moving values too"),
    TN_END,
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    const struct batch_normalization *o = self;
    struct tn_shape in = tn_shape_of(b, inputs[0]), channels = {1, {0}};
    struct tn_normalization n = {.epsilon = (float)o->epsilon,
                                 .momentum = (float)o->momentum,
                                 .training = o->trainable && tn_is_training(b),
                                 .unbiased = o->unbiased_variance};
    tn_ref gamma = 0, beta = 0, mean, variance;
    (void)count;
    if (in.rank < 2)
        return tn_builder_fail(b, "needs an input with channels");
    channels.dims[0] = in.dims[in.rank - 1];
    if (o->scale)
        gamma = tn_parameter(b, "gamma", channels, (struct tn_initializer){o->gamma_initializer, 0}, o->trainable);
    if (o->center)
        beta = tn_parameter(b, "beta", channels, (struct tn_initializer){o->beta_initializer, 0}, o->trainable);
    mean = tn_parameter(b, "moving_mean", channels, (struct tn_initializer){o->moving_mean_initializer, 0}, 0);
    variance =
        tn_parameter(b, "moving_variance", channels, (struct tn_initializer){o->moving_variance_initializer, 0}, 0);
    return tn_batch_norm(b, inputs[0], gamma, beta, mean, variance, &n);
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    const struct batch_normalization *o = self;
    return json_add(text, bytes,
                    "\"momentum\": %.9g, \"epsilon\": %.9g, \"center\": %s, \"scale\": %s, "
                    "\"beta_initializer\": \"%s\", \"gamma_initializer\": \"%s\", "
                    "\"moving_mean_initializer\": \"%s\", \"moving_variance_initializer\": \"%s\", \"trainable\": %s",
                    o->momentum, o->epsilon, json_bool(o->center), json_bool(o->scale),
                    keras_initializer(o->beta_initializer), keras_initializer(o->gamma_initializer),
                    keras_initializer(o->moving_mean_initializer), keras_initializer(o->moving_variance_initializer),
                    json_bool(o->trainable))
               ? TN_OK
               : tn_fail(error, TN_FAILED, "the configuration of a batch_normalization does not fit");
}

static const struct tn_layer batch_normalization = {
    TN_TYPE(TN_LAYER, "batch_normalization", struct batch_normalization, options,
            "each channel to mean 0, variance 1, then scaled and shifted"),
    .build = build,
    .keras_class = "BatchNormalization",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.layers.batch_normalization", TENON_VERSION, "Apache-2.0", &batch_normalization.type);
