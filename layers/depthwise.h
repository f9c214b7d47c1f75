/* depthwise.h: the depthwise step that depthwise_conv2d and separable_conv2d share: each channel by itself, with
 * `multiplier` filters (Howard et al., "MobileNets", 2017). */
#ifndef TENON_LAYERS_DEPTHWISE_H
#define TENON_LAYERS_DEPTHWISE_H

#include "common.h"

struct depthwise {
    struct tn_size kernel_size, strides, dilation_rate;
    int64_t depth_multiplier;
    int32_t padding, initializer, use_bias, bias_initializer, trainable;
    const char *kernel_name;
};

/* Options by which a layer fills it; `struct_` has the members. */
#define DEPTHWISE_OPTIONS(struct_)                                                                                     \
    TN_SIZE_REQUIRED(struct_, kernel_size, 1, 4096, "height and width of the kernel, pixels: 3 or 3x5"),               \
        TN_SIZE(struct_, strides, "1", 1, 4096, "steps of the kernel, pixels; Keras wants both alike"),                \
        TN_ENUM(struct_, padding, PADDING_VALID, PADDING_CHOICES,                                                      \
                "valid: none; same: output as large as input / strides"),                                              \
        TN_SIZE(struct_, dilation_rate, "1", 1, 4096, "distance of the kernel's pixels"),                              \
        TN_INT(struct_, depth_multiplier, 1, 1, 1 << 16, "filters for each input channel")

/* The kernel is Keras' [height, width, channels, multiplier]; a convolution in as many groups as there are channels
 * wants the same numbers as [height, width, 1, channels * multiplier]. */
TN_UNUSED static inline tn_ref depthwise_build(struct tn_builder *b, tn_ref x, const struct depthwise *o)
{
    struct tn_shape in = tn_shape_of(b, x), shape = {4, {0}}, bias_shape = {1, {0}};
    struct tn_convolution c = {.stride_y = o->strides.height,
                               .stride_x = o->strides.width,
                               .dilation_y = o->dilation_rate.height,
                               .dilation_x = o->dilation_rate.width};
    tn_ref kernel, bias = 0;
    if (in.rank != 4)
        return tn_builder_fail(
            b, "needs images, [height, width, channels]; after a flatten or a dense layer there are none");
    if ((int64_t)in.dims[3] * o->depth_multiplier > 1 << 24)
        return tn_builder_fail(b, "%d channels times depth_multiplier are too many", in.dims[3]);
    if ((c.stride_y > 1 || c.stride_x > 1) && (c.dilation_y > 1 || c.dilation_x > 1))
        return tn_builder_fail(b, "strides and dilation_rate cannot both be larger than 1");
    if (o->padding == PADDING_SAME) {
        same_padding(in.dims[1], o->kernel_size.height, c.stride_y, c.dilation_y, &c.top, &c.bottom);
        same_padding(in.dims[2], o->kernel_size.width, c.stride_x, c.dilation_x, &c.left, &c.right);
    }
    c.groups = in.dims[3];
    shape.dims[0] = o->kernel_size.height;
    shape.dims[1] = o->kernel_size.width;
    shape.dims[2] = in.dims[3];
    shape.dims[3] = (int32_t)o->depth_multiplier;
    kernel = tn_parameter(b, o->kernel_name, shape, (struct tn_initializer){o->initializer, 0}, o->trainable);
    shape.dims[2] = 1;
    shape.dims[3] = (int32_t)(in.dims[3] * o->depth_multiplier);
    bias_shape.dims[0] = shape.dims[3];
    if (o->use_bias)
        bias = tn_parameter(b, "bias", bias_shape, (struct tn_initializer){o->bias_initializer, 0}, o->trainable);
    return tn_conv2d(b, x, tn_reshape(b, kernel, shape), bias, &c);
}

#endif
