/* separable_conv2d.c: a convolution of each channel by itself and a 1x1 convolution that mixes them, Keras'
 * SeparableConv2D. */
#include "depthwise.h"

struct separable_conv2d {
    struct tn_size kernel_size, strides, dilation_rate;
    int64_t filters, depth_multiplier;
    int32_t padding, use_bias, depthwise_initializer, pointwise_initializer, bias_initializer, trainable;
    const char *activation;
};

static const struct tn_option options[] = {
    TN_INT(struct separable_conv2d, filters, TN_REQUIRED, 1, 1 << 20, "output channels"),
    DEPTHWISE_OPTIONS(struct separable_conv2d),
    TN_STRING(struct separable_conv2d, activation, "linear",
              "activation: linear, relu, softmax, sigmoid, tanh, elu, gelu, silu, …"),
    TN_BOOL(struct separable_conv2d, use_bias, 1, "add a bias to each output"),
    TN_ENUM(struct separable_conv2d, depthwise_initializer, TN_GLOROT_UNIFORM, TN_INITIALIZER_CHOICES,
            "first values of the kernel of each channel"),
    TN_ENUM(struct separable_conv2d, pointwise_initializer, TN_GLOROT_UNIFORM, TN_INITIALIZER_CHOICES,
            "first values of the 1x1 kernel"),
    TN_ENUM(struct separable_conv2d, bias_initializer, TN_ZEROS, TN_INITIALIZER_CHOICES, "first values of the bias"),
    TN_BOOL(struct separable_conv2d, trainable, 1, "no: the weights stay as they are"),
    TN_END,
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    const struct separable_conv2d *o = self;
    const struct depthwise step = {.kernel_size = o->kernel_size,
                                   .strides = o->strides,
                                   .dilation_rate = o->dilation_rate,
                                   .depth_multiplier = o->depth_multiplier,
                                   .padding = o->padding,
                                   .initializer = o->depthwise_initializer,
                                   .trainable = o->trainable,
                                   .kernel_name = "depthwise_kernel"};
    const struct tn_convolution mix = {.stride_y = 1, .stride_x = 1, .dilation_y = 1, .dilation_x = 1, .groups = 1};
    struct tn_shape kernel_shape = {4, {1, 1, 0, (int32_t)o->filters}}, bias_shape = {1, {(int32_t)o->filters}};
    tn_ref y = depthwise_build(b, inputs[0], &step), kernel, bias = 0;
    (void)count;
    if (!y)
        return 0;
    kernel_shape.dims[2] = tn_shape_of(b, y).dims[3];
    kernel = tn_parameter(b, "pointwise_kernel", kernel_shape, (struct tn_initializer){o->pointwise_initializer, 0},
                          o->trainable);
    if (o->use_bias)
        bias = tn_parameter(b, "bias", bias_shape, (struct tn_initializer){o->bias_initializer, 0}, o->trainable);
    return tn_activate_named(b, tn_conv2d(b, y, kernel, bias, &mix), o->activation);
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    const struct separable_conv2d *o = self;
    int fits = json_add(text, bytes,
                        "\"filters\": %d, \"kernel_size\": [%d, %d], \"strides\": [%d, %d], \"padding\": \"%s\", "
                        "\"dilation_rate\": [%d, %d], \"depth_multiplier\": %d, \"use_bias\": %s, "
                        "\"depthwise_initializer\": \"%s\", \"pointwise_initializer\": \"%s\", "
                        "\"bias_initializer\": \"%s\", \"trainable\": %s, ",
                        (int)o->filters, o->kernel_size.height, o->kernel_size.width, o->strides.height,
                        o->strides.width, o->padding == PADDING_SAME ? "same" : "valid", o->dilation_rate.height,
                        o->dilation_rate.width, (int)o->depth_multiplier, json_bool(o->use_bias),
                        keras_initializer(o->depthwise_initializer), keras_initializer(o->pointwise_initializer),
                        keras_initializer(o->bias_initializer), json_bool(o->trainable));
    return fits ? json_activation(text, bytes, o->activation, error)
                : tn_fail(error, TN_FAILED, "the configuration of a separable_conv2d does not fit");
}

static const struct tn_layer separable_conv2d = {
    TN_TYPE(TN_LAYER, "separable_conv2d", struct separable_conv2d, options,
            "convolution of each channel by itself, then a 1x1 convolution that mixes them"),
    .build = build,
    .keras_class = "SeparableConv2D",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.layers.separable_conv2d", TENON_VERSION, "Apache-2.0", &separable_conv2d.type);
