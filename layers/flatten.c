/* flatten.c: all axes of a sample in one row, [height][width][channels] order: Keras' Flatten. */
#include "common.h"

struct flatten {
    char none;
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    struct tn_shape in = tn_shape_of(b, inputs[0]), out = {2, {in.dims[0], 1}};
    int64_t elements = 1;
    (void)self;
    (void)count;
    for (int32_t i = 1; i < in.rank && elements <= INT32_MAX; i++)
        elements *= in.dims[i];
    if (elements > INT32_MAX)
        return tn_builder_fail(b, "would make one axis of more than %d elements", INT32_MAX);
    out.dims[1] = (int32_t)elements;
    return tn_reshape(b, inputs[0], out);
}

static const struct tn_layer flatten = {
    TN_TYPE(TN_LAYER, "flatten", struct flatten, NULL, "all numbers of a sample in one row"),
    .build = build,
    .keras_class = "Flatten",
};

TN_PLUGIN("tenon.layers.flatten", TENON_VERSION, "Apache-2.0", &flatten.type);
