/* re_lu.c: ReLU as a layer, with slope, limit and threshold: Keras' ReLU. */
#include "common.h"

struct re_lu {
    double max_value, negative_slope, threshold;
};

static const struct tn_option options[] = {
    TN_FLOAT(struct re_lu, max_value, 0.0, 0.0, TN_ANY, "upper limit, 6 gives ReLU6; 0 = none"),
    TN_FLOAT(struct re_lu, negative_slope, 0.0, 0.0, TN_ANY, "slope below the threshold"),
    TN_FLOAT(struct re_lu, threshold, 0.0, 0.0, TN_ANY, "values below it count as negative"),
    TN_END,
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    const struct re_lu *o = self;
    struct tn_activation a = {TN_RELU, (float)o->negative_slope, (float)o->max_value, (float)o->threshold};
    (void)count;
    return tn_activate(b, inputs[0], &a);
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    const struct re_lu *o = self;
    char limit[32] = "null";
    if (o->max_value > 0)
        (void)snprintf(limit, sizeof limit, "%.9g", o->max_value);
    return json_add(text, bytes, "\"max_value\": %s, \"negative_slope\": %.9g, \"threshold\": %.9g", limit,
                    o->negative_slope, o->threshold)
               ? TN_OK
               : tn_fail(error, TN_FAILED, "the configuration of a re_lu does not fit");
}

static const struct tn_layer re_lu = {
    TN_TYPE(TN_LAYER, "re_lu", struct re_lu, options, "max(x, 0), with an optional slope, limit and threshold"),
    .build = build,
    .keras_class = "ReLU",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.layers.re_lu", TENON_VERSION, "Apache-2.0", &re_lu.type);
