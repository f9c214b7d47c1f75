/* subtract.c: first input minus second, element by element; shapes stretch as in NumPy: Keras' Subtract. */
#include "common.h"

struct subtract {
    char none;
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    (void)self;
    return merge(b, inputs, count, TN_SUBTRACT);
}

static const struct tn_layer subtract = {
    TN_TYPE(TN_LAYER, "subtract", struct subtract, NULL, "first input minus second, element by element"),
    .minimum_inputs = 2,
    .maximum_inputs = 2,
    .build = build,
    .keras_class = "Subtract",
};

TN_PLUGIN("tenon.layers.subtract", TENON_VERSION, "Apache-2.0", &subtract.type);
