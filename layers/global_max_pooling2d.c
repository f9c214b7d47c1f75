/* global_max_pooling2d.c: one number for each channel: Keras' GlobalMaxPooling2D. */
#include "common.h"

struct global_pooling {
    int32_t keepdims;
};

static const struct tn_option options[] = {
    TN_BOOL(struct global_pooling, keepdims, 0, "keep height and width as axes of length 1"),
    TN_END,
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    (void)count;
    return tn_global_pool(b, inputs[0], TN_POOL_MAX, ((const struct global_pooling *)self)->keepdims);
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    return json_add(text, bytes, "\"keepdims\": %s", ((const struct global_pooling *)self)->keepdims ? "true" : "false")
               ? TN_OK
               : tn_fail(error, TN_FAILED, "the configuration of a global_max_pooling2d does not fit");
}

static const struct tn_layer global_max_pooling2d = {
    TN_TYPE(TN_LAYER, "global_max_pooling2d", struct global_pooling, options,
            "largest value of each channel over the whole picture"),
    .build = build,
    .keras_class = "GlobalMaxPooling2D",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.layers.global_max_pooling2d", TENON_VERSION, "Apache-2.0", &global_max_pooling2d.type);
