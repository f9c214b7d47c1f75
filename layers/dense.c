/* dense.c: every output is a weighted sum of every input: Keras' Dense. Works on the last axis of inputs of any rank.
 */
#include "common.h"

struct dense {
    int64_t units;
    int32_t use_bias, kernel_initializer, bias_initializer, trainable;
    const char *activation;
};

static const struct tn_option options[] = {
    TN_INT(struct dense, units, TN_REQUIRED, 1, 1 << 24, "number of outputs"),
    KERNEL_OPTIONS(struct dense),
    TN_END,
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    const struct dense *o = self;
    struct tn_shape in = tn_shape_of(b, inputs[0]), kernel_shape = {2, {0}}, bias_shape = {1, {(int32_t)o->units}};
    tn_ref kernel, bias = 0;
    (void)count;
    if (in.rank < 2)
        return tn_builder_fail(b, "needs an input with at least one axis besides the batch");
    kernel_shape.dims[0] = in.dims[in.rank - 1];
    kernel_shape.dims[1] = (int32_t)o->units;
    kernel = tn_parameter(b, "kernel", kernel_shape, (struct tn_initializer){o->kernel_initializer, 0}, o->trainable);
    if (o->use_bias)
        bias = tn_parameter(b, "bias", bias_shape, (struct tn_initializer){o->bias_initializer, 0}, o->trainable);
    return tn_activate_named(b, tn_dense_apply(b, inputs[0], kernel, bias), o->activation);
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    const struct dense *o = self;
    int fits = json_add(text, bytes, "\"units\": %d", (int)o->units) && json_kernel(text, bytes, o) &&
               json_add(text, bytes, ", ");
    return fits ? json_activation(text, bytes, o->activation, error)
                : tn_fail(error, TN_FAILED, "the configuration of a dense does not fit");
}

static const struct tn_layer dense = {
    TN_TYPE(TN_LAYER, "dense", struct dense, options, "fully connected: y = activation(x * kernel + bias)"),
    .build = build,
    .keras_class = "Dense",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.layers.dense", TENON_VERSION, "Apache-2.0", &dense.type);
