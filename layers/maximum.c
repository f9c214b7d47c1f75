/* maximum.c: largest of its inputs, element by element; shapes stretch as in NumPy: Keras' Maximum. */
#include "common.h"

struct maximum {
    char none;
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    (void)self;
    return merge(b, inputs, count, TN_MAXIMUM);
}

static const struct tn_layer maximum = {
    TN_TYPE(TN_LAYER, "maximum", struct maximum, NULL, "largest of its inputs, element by element"),
    .minimum_inputs = 2,
    .maximum_inputs = -1,
    .build = build,
    .keras_class = "Maximum",
};

TN_PLUGIN("tenon.layers.maximum", TENON_VERSION, "Apache-2.0", &maximum.type);
