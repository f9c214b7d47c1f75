/* leaky_re_lu.c: Keras' LeakyReLU layer. */
#include "common.h"

struct leaky_re_lu {
    double negative_slope;
};

static const struct tn_option options[] = {
    TN_FLOAT(struct leaky_re_lu, negative_slope, 0.3, 0.0, TN_ANY, "slope below 0"),
    TN_END,
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    struct tn_activation a = {TN_RELU, (float)((const struct leaky_re_lu *)self)->negative_slope, 0, 0};
    (void)count;
    return tn_activate(b, inputs[0], &a);
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    /* Keras 2 knows only `alpha`; Keras 3 takes it too. */
    return json_add(text, bytes, "\"alpha\": %.9g", ((const struct leaky_re_lu *)self)->negative_slope)
               ? TN_OK
               : tn_fail(error, TN_FAILED, "the configuration of leaky_re_lu does not fit");
}

static const struct tn_layer leaky_re_lu = {
    TN_TYPE(TN_LAYER, "leaky_re_lu", struct leaky_re_lu, options, "x, or negative_slope * x below 0"),
    .build = build,
    .keras_class = "LeakyReLU",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.layers.leaky_re_lu", TENON_VERSION, "Apache-2.0", &leaky_re_lu.type);
