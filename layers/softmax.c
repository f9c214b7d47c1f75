/* softmax.c: softmax over the last axis as a layer: Keras' Softmax. */
#include "common.h"

struct softmax {
    char none;
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    struct tn_activation a = {TN_SOFTMAX, 0, 0, 0};
    (void)self;
    (void)count;
    return tn_activate(b, inputs[0], &a);
}

static const struct tn_layer softmax = {
    TN_TYPE(TN_LAYER, "softmax", struct softmax, NULL, "exp(x) / sum of exp(x), over the last axis"),
    .build = build,
    .keras_class = "Softmax",
};

TN_PLUGIN("tenon.layers.softmax", TENON_VERSION, "Apache-2.0", &softmax.type);
