/* multiply.c: product of its inputs, element by element; shapes stretch as in NumPy: Keras' Multiply. */
#include "common.h"

struct multiply {
    char none;
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    (void)self;
    return merge(b, inputs, count, TN_MULTIPLY);
}

static const struct tn_layer multiply = {
    TN_TYPE(TN_LAYER, "multiply", struct multiply, NULL, "product of its inputs, element by element"),
    .minimum_inputs = 2,
    .maximum_inputs = -1,
    .build = build,
    .keras_class = "Multiply",
};

TN_PLUGIN("tenon.layers.multiply", TENON_VERSION, "Apache-2.0", &multiply.type);
