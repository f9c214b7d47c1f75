/* depthwise_conv2d.c: a convolution of each channel by itself, Keras' DepthwiseConv2D. */
#include "depthwise.h"

struct depthwise_conv2d {
    struct tn_size kernel_size, strides, dilation_rate;
    int64_t depth_multiplier;
    int32_t padding, use_bias, depthwise_initializer, bias_initializer, trainable;
    const char *activation;
};

static const struct tn_option options[] = {
    DEPTHWISE_OPTIONS(struct depthwise_conv2d),
    TN_STRING(struct depthwise_conv2d, activation, "linear",
              "activation: linear, relu, softmax, sigmoid, tanh, elu, gelu, silu, …"),
    TN_BOOL(struct depthwise_conv2d, use_bias, 1, "add a bias to each output"),
    TN_ENUM(struct depthwise_conv2d, depthwise_initializer, TN_GLOROT_UNIFORM, TN_INITIALIZER_CHOICES,
            "first values of the kernel"),
    TN_ENUM(struct depthwise_conv2d, bias_initializer, TN_ZEROS, TN_INITIALIZER_CHOICES, "first values of the bias"),
    TN_BOOL(struct depthwise_conv2d, trainable, 1, "no: the weights stay as they are"),
    TN_END,
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    const struct depthwise_conv2d *o = self;
    const struct depthwise step = {.kernel_size = o->kernel_size,
                                   .strides = o->strides,
                                   .dilation_rate = o->dilation_rate,
                                   .depth_multiplier = o->depth_multiplier,
                                   .padding = o->padding,
                                   .initializer = o->depthwise_initializer,
                                   .use_bias = o->use_bias,
                                   .bias_initializer = o->bias_initializer,
                                   .trainable = o->trainable,
                                   .kernel_name = "kernel"};
    (void)count;
    return tn_activate_named(b, depthwise_build(b, inputs[0], &step), o->activation);
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    const struct depthwise_conv2d *o = self;
    int fits = json_add(text, bytes,
                        "\"kernel_size\": [%d, %d], \"strides\": [%d, %d], \"padding\": \"%s\", "
                        "\"dilation_rate\": [%d, %d], \"depth_multiplier\": %d, \"use_bias\": %s, "
                        "\"depthwise_initializer\": \"%s\", \"bias_initializer\": \"%s\", \"trainable\": %s, ",
                        o->kernel_size.height, o->kernel_size.width, o->strides.height, o->strides.width,
                        o->padding == PADDING_SAME ? "same" : "valid", o->dilation_rate.height, o->dilation_rate.width,
                        (int)o->depth_multiplier, json_bool(o->use_bias), keras_initializer(o->depthwise_initializer),
                        keras_initializer(o->bias_initializer), json_bool(o->trainable));
    return fits ? json_activation(text, bytes, o->activation, error)
                : tn_fail(error, TN_FAILED, "the configuration of a depthwise_conv2d does not fit");
}

static const struct tn_layer depthwise_conv2d = {
    TN_TYPE(TN_LAYER, "depthwise_conv2d", struct depthwise_conv2d, options,
            "convolution of each channel by itself, with a bias and an activation"),
    .build = build,
    .keras_class = "DepthwiseConv2D",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.layers.depthwise_conv2d", TENON_VERSION, "Apache-2.0", &depthwise_conv2d.type);
