/* activation.c: an activation as a layer of its own: Keras' Activation. */
#include "common.h"

struct activation {
    const char *activation;
};

static const struct tn_option options[] = {
    TN_STRING_REQUIRED(struct activation, activation,
                       "relu, relu6, leaky_relu, elu, selu, gelu, silu, sigmoid, tanh, softmax, …"),
    TN_END,
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    (void)count;
    return tn_activate_named(b, inputs[0], ((const struct activation *)self)->activation);
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    return json_activation(text, bytes, ((const struct activation *)self)->activation, error);
}

static const struct tn_layer activation = {
    TN_TYPE(TN_LAYER, "activation", struct activation, options, "an activation function, element by element"),
    .build = build,
    .keras_class = "Activation",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.layers.activation", TENON_VERSION, "Apache-2.0", &activation.type);
