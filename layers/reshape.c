/* reshape.c: the same numbers under another shape: Keras' Reshape. */
#include "common.h"

struct reshape {
    struct tn_numbers target_shape;
};

static const struct tn_option options[] = {
    TN_NUMBERS(struct reshape, target_shape, NULL, -1, 1 << 24,
               "axes of a sample, e.g. 7, 7, 64; one may be -1: what is left"),
    TN_END,
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    const struct reshape *o = self;
    struct tn_shape in = tn_shape_of(b, inputs[0]), out = {0};
    int64_t elements = 1, known = 1;
    int32_t open = 0;
    (void)count;
    if (o->target_shape.count < 1 || o->target_shape.count >= TN_MAX_RANK)
        return tn_builder_fail(b, "needs target_shape with 1 to %d axes", TN_MAX_RANK - 1);
    out.rank = (int32_t)o->target_shape.count + 1;
    out.dims[0] = in.dims[0];
    for (int32_t i = 1; i < in.rank; i++)
        elements *= in.dims[i];
    for (int32_t i = 1; i < out.rank; i++) {
        out.dims[i] = (int32_t)o->target_shape.items[i - 1];
        if ((double)out.dims[i] != o->target_shape.items[i - 1])
            return tn_builder_fail(b, "target_shape takes whole numbers");
        if (out.dims[i] == -1 && !open)
            open = i;
        else if (out.dims[i] < 1)
            return tn_builder_fail(b, "target_shape has an axis of length %d", out.dims[i]);
        else
            known *= out.dims[i];
        if (known > elements)
            return tn_builder_fail(b, "target_shape has more elements than the input's %lld", (long long)elements);
    }
    if (open)
        out.dims[open] = (int32_t)(elements / known);
    return tn_reshape(b, inputs[0], out);
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    const struct reshape *o = self;
    int fits = json_add(text, bytes, "\"target_shape\": [");
    for (uint32_t i = 0; i < o->target_shape.count; i++)
        fits = fits && json_add(text, bytes, "%s%d", i ? ", " : "", (int)o->target_shape.items[i]);
    return fits && json_add(text, bytes, "]")
               ? TN_OK
               : tn_fail(error, TN_FAILED, "the configuration of a reshape does not fit");
}

static const struct tn_layer reshape = {
    TN_TYPE(TN_LAYER, "reshape", struct reshape, options, "the same numbers under another shape"),
    .build = build,
    .keras_class = "Reshape",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.layers.reshape", TENON_VERSION, "Apache-2.0", &reshape.type);
