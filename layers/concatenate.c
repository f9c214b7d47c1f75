/* concatenate.c: joins its inputs along an axis: Keras' Concatenate. */
#include "common.h"

struct concatenate {
    int64_t axis;
};

static const struct tn_option options[] = {
    TN_INT(struct concatenate, axis, -1, -TN_MAX_RANK, TN_MAX_RANK,
           "axis to join along; 0 is the batch, -1 the channels"),
    TN_END,
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    return tn_concat(b, inputs, count, (int32_t)((const struct concatenate *)self)->axis);
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    return json_add(text, bytes, "\"axis\": %d", (int)((const struct concatenate *)self)->axis)
               ? TN_OK
               : tn_fail(error, TN_FAILED, "the configuration of a concatenate does not fit");
}

static const struct tn_layer concatenate = {
    TN_TYPE(TN_LAYER, "concatenate", struct concatenate, options, "joins its inputs along an axis"),
    .minimum_inputs = 2,
    .maximum_inputs = -1,
    .build = build,
    .keras_class = "Concatenate",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.layers.concatenate", TENON_VERSION, "Apache-2.0", &concatenate.type);
