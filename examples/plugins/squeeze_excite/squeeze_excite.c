/* squeeze_excite.c: a layer composed of the core's ops: each channel is scaled by a number that a small network makes
 * of the means of all channels (Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018).
 *
 * There is no backward code and no kernel: ops have derivatives, devices and fusions of their own.
 */
#include <tenon/plugin.h>

struct squeeze_excite {
    int64_t ratio;
    const char *activation, *gate;
};

static const struct tn_option options[] = {
    TN_INT(struct squeeze_excite, ratio, 16, 1, 4096, "the small network has channels / ratio units, at least 1"),
    TN_STRING(struct squeeze_excite, activation, "relu", "activation of the small network"),
    TN_STRING(struct squeeze_excite, gate, "sigmoid", "activation of the factors: sigmoid or hard_sigmoid"),
    TN_END,
};

static tn_ref dense(struct tn_builder *b, tn_ref x, int32_t in, int32_t out, const char *kernel, const char *bias)
{
    struct tn_shape kernel_shape = {2, {in, out}}, bias_shape = {1, {out}};
    tn_ref k = tn_parameter(b, kernel, kernel_shape, (struct tn_initializer){TN_GLOROT_UNIFORM, 0}, 1);
    return tn_dense_apply(b, x, k, tn_parameter(b, bias, bias_shape, (struct tn_initializer){TN_ZEROS, 0}, 1));
}

/* [setup] Every call takes and gives a broken ref after a failure, so nothing is checked in between. */
static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    const struct squeeze_excite *o = self;
    struct tn_shape in = tn_shape_of(b, inputs[0]);
    int32_t channels = in.dims[3], units = channels / (int32_t)o->ratio;
    tn_ref x;
    (void)count;
    if (in.rank != 4)
        return tn_builder_fail(b, "needs images, [height, width, channels]");
    if (units < 1)
        units = 1;
    x = tn_global_pool(b, inputs[0], TN_POOL_AVERAGE, 1); /* [N, 1, 1, C] */
    x = tn_activate_named(b, dense(b, x, channels, units, "squeeze_kernel", "squeeze_bias"), o->activation);
    x = tn_activate_named(b, dense(b, x, units, channels, "excite_kernel", "excite_bias"), o->gate);
    return tn_multiply(b, inputs[0], x); /* over height and width, as in NumPy */
}

static const struct tn_layer squeeze_excite = {
    TN_TYPE(TN_LAYER, "squeeze_excite", struct squeeze_excite, options,
            "scales channels by factors that a small network makes of their means"),
    .build = build,
};

TN_PLUGIN("example.squeeze_excite", "1.0.0", "Apache-2.0", &squeeze_excite.type);
