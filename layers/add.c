/* add.c: sum of its inputs, element by element; shapes stretch as in NumPy: Keras' Add. */
#include "common.h"

struct add {
    char none;
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    (void)self;
    return merge(b, inputs, count, TN_ADD);
}

static const struct tn_layer add = {
    TN_TYPE(TN_LAYER, "add", struct add, NULL, "sum of its inputs, element by element"),
    .minimum_inputs = 2,
    .maximum_inputs = -1,
    .build = build,
    .keras_class = "Add",
};

TN_PLUGIN("tenon.layers.add", TENON_VERSION, "Apache-2.0", &add.type);
