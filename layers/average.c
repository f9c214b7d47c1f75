/* average.c: mean of its inputs, element by element; shapes stretch: Keras' Average. */
#include "common.h"

struct average {
    char none;
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    (void)self;
    return tn_cast(b, merge(b, inputs, count, TN_ADD), 1.0f / (float)count, 0.0f);
}

static const struct tn_layer average = {
    TN_TYPE(TN_LAYER, "average", struct average, NULL, "mean of its inputs, element by element"),
    .minimum_inputs = 2,
    .maximum_inputs = -1,
    .build = build,
    .keras_class = "Average",
};

TN_PLUGIN("tenon.layers.average", TENON_VERSION, "Apache-2.0", &average.type);
