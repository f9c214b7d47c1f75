/* conv2d.c: two-dimensional convolution (cross-correlation, as everywhere in the field), Keras' Conv2D. */
#include "common.h"

struct conv2d {
    int64_t filters, groups;
    struct tn_size kernel_size, strides, dilation_rate;
    int32_t padding, use_bias, kernel_initializer, bias_initializer, trainable;
    const char *activation;
};

static const struct tn_option options[] = {
    TN_INT(struct conv2d, filters, TN_REQUIRED, 1, 1 << 20, "output channels"),
    TN_SIZE_REQUIRED(struct conv2d, kernel_size, 1, 4096, "height and width of the kernel, pixels: 3 or 3x5"),
    TN_SIZE(struct conv2d, strides, "1", 1, 4096, "steps of the kernel, pixels"),
    TN_ENUM(struct conv2d, padding, PADDING_VALID, PADDING_CHOICES,
            "valid: none; same: output as large as input / strides"),
    TN_SIZE(struct conv2d, dilation_rate, "1", 1, 4096, "distance of the kernel's pixels"),
    TN_INT(struct conv2d, groups, 1, 1, 1 << 20, "input and filters are split into this many separate convolutions"),
    KERNEL_OPTIONS(struct conv2d),
    TN_END,
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    const struct conv2d *o = self;
    struct tn_shape in = tn_shape_of(b, inputs[0]), kernel_shape = {4, {0}}, bias_shape = {1, {(int32_t)o->filters}};
    struct tn_convolution c = {.stride_y = o->strides.height,
                               .stride_x = o->strides.width,
                               .dilation_y = o->dilation_rate.height,
                               .dilation_x = o->dilation_rate.width,
                               .groups = (int32_t)o->groups};
    tn_ref kernel, bias = 0, y;
    (void)count;
    if (in.rank != 4)
        return tn_builder_fail(
            b, "needs images, [height, width, channels]; after a flatten or a dense layer there are none");
    if (in.dims[3] % o->groups || o->filters % o->groups)
        return tn_builder_fail(b, "groups = %d has to divide the %d input channels and the %d filters", (int)o->groups,
                               in.dims[3], (int)o->filters);
    if ((c.stride_y > 1 || c.stride_x > 1) && (c.dilation_y > 1 || c.dilation_x > 1))
        return tn_builder_fail(b, "strides and dilation_rate cannot both be larger than 1");
    if (o->padding == PADDING_SAME) {
        same_padding(in.dims[1], o->kernel_size.height, c.stride_y, c.dilation_y, &c.top, &c.bottom);
        same_padding(in.dims[2], o->kernel_size.width, c.stride_x, c.dilation_x, &c.left, &c.right);
    }
    kernel_shape.dims[0] = o->kernel_size.height;
    kernel_shape.dims[1] = o->kernel_size.width;
    kernel_shape.dims[2] = in.dims[3] / (int32_t)o->groups;
    kernel_shape.dims[3] = (int32_t)o->filters;
    kernel = tn_parameter(b, "kernel", kernel_shape, (struct tn_initializer){o->kernel_initializer, 0}, o->trainable);
    if (o->use_bias)
        bias = tn_parameter(b, "bias", bias_shape, (struct tn_initializer){o->bias_initializer, 0}, o->trainable);
    y = tn_conv2d(b, inputs[0], kernel, bias, &c);
    return tn_activate_named(b, y, o->activation);
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    const struct conv2d *o = self;
    int fits = json_add(text, bytes,
                        "\"filters\": %d, \"kernel_size\": [%d, %d], \"strides\": [%d, %d], \"padding\": \"%s\", "
                        "\"dilation_rate\": [%d, %d], \"groups\": %d",
                        (int)o->filters, o->kernel_size.height, o->kernel_size.width, o->strides.height,
                        o->strides.width, o->padding == PADDING_SAME ? "same" : "valid", o->dilation_rate.height,
                        o->dilation_rate.width, (int)o->groups) &&
               json_kernel(text, bytes, o) && json_add(text, bytes, ", ");
    return fits ? json_activation(text, bytes, o->activation, error)
                : tn_fail(error, TN_FAILED, "the configuration of a conv2d does not fit");
}

static const struct tn_layer conv2d = {
    TN_TYPE(TN_LAYER, "conv2d", struct conv2d, options,
            "convolution over height and width, with a bias and an activation"),
    .build = build,
    .keras_class = "Conv2D",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.layers.conv2d", TENON_VERSION, "Apache-2.0", &conv2d.type);
