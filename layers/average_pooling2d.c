/* average_pooling2d.c: the mean over windows of the picture: Keras' AveragePooling2D. */
#include "common.h"

struct pooling {
    struct tn_size pool_size, strides;
    int32_t padding;
};

static const struct tn_option options[] = {
    TN_SIZE(struct pooling, pool_size, "2", 1, 4096, "height and width of the window, pixels"),
    TN_SIZE(struct pooling, strides, NULL, 1, 4096, "steps of the window; default: pool_size"),
    TN_ENUM(struct pooling, padding, PADDING_VALID, PADDING_CHOICES,
            "valid: whole windows only; same: output as large as input / strides"),
    TN_END,
};

static struct tn_size steps(const struct pooling *o)
{
    return o->strides.height ? o->strides : o->pool_size;
}

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    const struct pooling *o = self;
    struct tn_shape in = tn_shape_of(b, inputs[0]);
    struct tn_window w = {.mode = TN_POOL_AVERAGE,
                          .height = o->pool_size.height,
                          .width = o->pool_size.width,
                          .stride_y = steps(o).height,
                          .stride_x = steps(o).width};
    (void)count;
    if (in.rank == 4 && o->padding == PADDING_SAME) {
        same_padding(in.dims[1], w.height, w.stride_y, 1, &w.top, &w.bottom);
        same_padding(in.dims[2], w.width, w.stride_x, 1, &w.left, &w.right);
    }
    return tn_pool(b, inputs[0], &w);
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    const struct pooling *o = self;
    return json_add(text, bytes, "\"pool_size\": [%d, %d], \"strides\": [%d, %d], \"padding\": \"%s\"",
                    o->pool_size.height, o->pool_size.width, steps(o).height, steps(o).width,
                    o->padding == PADDING_SAME ? "same" : "valid")
               ? TN_OK
               : tn_fail(error, TN_FAILED, "the configuration of a average_pooling2d does not fit");
}

static const struct tn_layer average_pooling2d = {
    TN_TYPE(TN_LAYER, "average_pooling2d", struct pooling, options,
            "mean of each window (of its real pixels: padding does not count)"),
    .build = build,
    .keras_class = "AveragePooling2D",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.layers.average_pooling2d", TENON_VERSION, "Apache-2.0", &average_pooling2d.type);
