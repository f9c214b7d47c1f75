/* rescaling.c: x * scale + offset inside of the network: Keras' Rescaling. */
#include "common.h"

struct rescaling {
    double scale, offset;
};

static const struct tn_option options[] = {
    TN_FLOAT(struct rescaling, scale, TN_REQUIRED, -TN_ANY, TN_ANY, "factor, such as 1/255"),
    TN_FLOAT(struct rescaling, offset, 0.0, -TN_ANY, TN_ANY, "added after the factor"),
    TN_END,
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    const struct rescaling *o = self;
    (void)count;
    return tn_cast(b, inputs[0], (float)o->scale, (float)o->offset);
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    const struct rescaling *o = self;
    return json_add(text, bytes, "\"scale\": %.9g, \"offset\": %.9g", o->scale, o->offset)
               ? TN_OK
               : tn_fail(error, TN_FAILED, "the configuration of a rescaling does not fit");
}

static const struct tn_layer rescaling = {
    TN_TYPE(TN_LAYER, "rescaling", struct rescaling, options, "x * scale + offset"),
    .build = build,
    .keras_class = "Rescaling",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.layers.rescaling", TENON_VERSION, "Apache-2.0", &rescaling.type);
