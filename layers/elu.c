/* elu.c: Keras' ELU layer. */
#include "common.h"

struct elu {
    double alpha;
};

static const struct tn_option options[] = {
    TN_FLOAT(struct elu, alpha, 1.0, 0.0, TN_ANY, "limit below 0"),
    TN_END,
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    struct tn_activation a = {TN_ELU, (float)((const struct elu *)self)->alpha, 0, 0};
    (void)count;
    return tn_activate(b, inputs[0], &a);
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    return json_add(text, bytes, "\"alpha\": %.9g", ((const struct elu *)self)->alpha)
               ? TN_OK
               : tn_fail(error, TN_FAILED, "the configuration of elu does not fit");
}

static const struct tn_layer elu = {
    TN_TYPE(TN_LAYER, "elu", struct elu, options, "x, or alpha * (exp(x) - 1) below 0"),
    .build = build,
    .keras_class = "ELU",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.layers.elu", TENON_VERSION, "Apache-2.0", &elu.type);
