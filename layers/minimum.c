/* minimum.c: smallest of its inputs, element by element; shapes stretch as in NumPy: Keras' Minimum. */
#include "common.h"

struct minimum {
    char none;
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    (void)self;
    return merge(b, inputs, count, TN_MINIMUM);
}

static const struct tn_layer minimum = {
    TN_TYPE(TN_LAYER, "minimum", struct minimum, NULL, "smallest of its inputs, element by element"),
    .minimum_inputs = 2,
    .maximum_inputs = -1,
    .build = build,
    .keras_class = "Minimum",
};

TN_PLUGIN("tenon.layers.minimum", TENON_VERSION, "Apache-2.0", &minimum.type);
