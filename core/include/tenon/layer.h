/* tenon/layer.h: kinds layer, loss and metric.
 *
 * A layer comes in one of two forms. (a) Composition: build() adds ops of the core through a builder; derivatives,
 * devices and fusion come for free. (b) Its own kernels: infer() says shapes and parameters, forward() and backward()
 * work on plain float buffers. A layer without weights has no parameter() calls. Names of weights are Keras' (kernel,
 * bias, gamma, …): they go into files.
 */
#ifndef TENON_LAYER_H
#define TENON_LAYER_H

#include "tenon/device.h"
#include "tenon/random.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tn_initializer_kind {
    TN_ZEROS = 0,
    TN_ONES = 1,
    TN_CONSTANT = 2,       /* value */
    TN_GLOROT_UNIFORM = 3, /* fans from the shape as in Keras: [..., in, out] */
    TN_GLOROT_NORMAL = 4,  /* normal ones are cut at 2 sigma and rescaled as in Keras */
    TN_HE_UNIFORM = 5,
    TN_HE_NORMAL = 6,
    TN_LECUN_UNIFORM = 7,
    TN_LECUN_NORMAL = 8,
    TN_RANDOM_NORMAL = 9,   /* mean 0, sigma `value` (0 = 0.05) */
    TN_RANDOM_UNIFORM = 10, /* +- `value` (0 = 0.05) */
    TN_TRUNCATED_NORMAL = 11,
};
/* The names for a TN_ENUM option, in the order of the numbers above. */
#define TN_INITIALIZER_CHOICES                                                                                         \
    "zeros|ones|constant|glorot_uniform|glorot_normal|he_uniform|he_normal|lecun_uniform|lecun_normal|random_normal|"  \
    "random_uniform|truncated_normal"
/* The names of activations for a TN_STRING option are parsed by tn_builder.activation(). */

struct tn_initializer {
    int32_t kind; /* enum tn_initializer_kind */
    float value;
};

struct tn_builder;
/* A value while a layer is built; 0 is "none" or, after a failure, "broken": every builder call takes it and returns it
 * again, so that a build function checks only once, at its end. */
typedef uint32_t tn_ref;

/* Functions of a builder; use the inline wrappers below. All: [setup]. A failure is recorded in the builder and
 * reported once, with the layer's name and line. */
struct tn_builder_table {
    uint32_t size;
    struct tn_shape (*shape)(struct tn_builder *builder, tn_ref x);
    tn_ref (*parameter)(struct tn_builder *builder, const char *name, const struct tn_shape *shape,
                        const struct tn_initializer *initializer, int32_t trained);
    tn_ref (*cast)(struct tn_builder *builder, tn_ref x, float scale, float offset);
    tn_ref (*conv2d)(struct tn_builder *builder, tn_ref x, tn_ref kernel, tn_ref bias,
                     const struct tn_convolution *options);
    tn_ref (*dense)(struct tn_builder *builder, tn_ref x, tn_ref kernel, tn_ref bias);
    tn_ref (*pool)(struct tn_builder *builder, tn_ref x, const struct tn_window *options);
    tn_ref (*global_pool)(struct tn_builder *builder, tn_ref x, int32_t mode, int32_t keep_dims);
    tn_ref (*batch_norm)(struct tn_builder *builder, tn_ref x, tn_ref gamma, tn_ref beta, tn_ref moving_mean,
                         tn_ref moving_variance, const struct tn_normalization *options);
    tn_ref (*activation)(struct tn_builder *builder, tn_ref x, const struct tn_activation *options); /* softmax too */
    tn_ref (*activation_named)(struct tn_builder *builder, tn_ref x,
                               const char *name); /* Keras' names; NULL or "linear": x itself */
    tn_ref (*binary)(struct tn_builder *builder, tn_ref x0, tn_ref x1, int32_t function);
    tn_ref (*concat)(struct tn_builder *builder, const tn_ref *x, uint32_t count,
                     int32_t axis);                                                        /* axis may be negative */
    tn_ref (*reshape)(struct tn_builder *builder, tn_ref x, const struct tn_shape *shape); /* dims[0] is the batch */
    tn_ref (*dropout)(struct tn_builder *builder, tn_ref x, float rate);
    /* Records a failure of this layer; returns 0. Give the phrase only: the core adds place and layer. */
    tn_ref (*problem)(struct tn_builder *builder, const char *text);
    int32_t (*training)(struct tn_builder *builder);
};

struct tn_builder {
    const struct tn_builder_table *table;
};

/* What infer() says of a layer with its own kernels. */
struct tn_layer_spec {
    uint32_t size;
    struct tn_shape output;  /* dims[0] = batch of the input */
    int32_t parameter_count; /* at most 8 */
    struct {
        const char *name;
        struct tn_shape shape;
        struct tn_initializer initializer;
        int32_t trained;
    } parameters[8];
};

struct tn_layer {
    struct tn_type type;
    int32_t minimum_inputs, maximum_inputs; /* 0, 0 = exactly one; maximum -1 = any number */
    /* Form (a). Returns the layer's output.  [setup] */
    tn_ref (*build)(const void *self, struct tn_builder *builder, const tn_ref *inputs, uint32_t input_count);
    /* Form (b). */
    tn_status (*infer)(const void *self, const struct tn_shape *inputs, uint32_t input_count,
                       struct tn_layer_spec *spec, struct tn_error *error);    /* [setup] */
    tn_status (*forward)(const struct tn_pass *pass, struct tn_error *error);  /* [step] */
    tn_status (*backward)(const struct tn_pass *pass, struct tn_error *error); /* [step] */
    /* Keras' class name ("Conv2D") and config for files that carry the model; NULL = cannot be expressed in Keras.
     * Writes a JSON object's members ("\"filters\": 32, …") into text.  [setup] */
    const char *keras_class;
    tn_status (*keras_config)(const void *self, char *text, uint64_t text_bytes, struct tn_error *error);
};

enum { TN_LOSS_SPARSE = 1u /* targets are class numbers [N]; without it [N, K] */ };

struct tn_loss {
    struct tn_type type; /* flags: TN_LOSS_… */
    /* The activation whose input the loss prefers ("softmax", "sigmoid"): when the network ends in it, compute() gets
     * the activation's input with from_logits = 1 and the stable formula is used, as compiled Keras does. NULL = none.
     */
    const char *activation;
    /* Fills pass->loss, and pass->gradient when not NULL.  [step] */
    void (*compute)(const struct tn_loss_pass *pass);
    /* 1 when the instance's own option from_logits is set (then predictions are logits whatever the network ends in).
     * NULL = no. */
    int32_t (*from_logits)(const void *self);
    const char *keras_class; /* "CategoricalCrossentropy"; NULL = none */
    /* Members of the config of that class; NULL = its defaults say the same. */
    tn_status (*keras_config)(const void *self, char *text, uint64_t text_bytes, struct tn_error *error);
};

/* What a metric sees of one batch; prediction [N, K] as the network's output (after its last activation). */
struct tn_metric_batch {
    uint32_t size;
    int32_t batch, classes, target_count;      /* target_count 1 with class numbers when sparse */
    int32_t sparse;                            /* 1: target holds class numbers [N]; 0: [N, target_count] */
    const float *prediction, *target, *weight; /* weight may be NULL */
    int32_t multi_label;                       /* 1: each output is a yes or no of its own */
    int32_t reserved;
};

enum tn_direction { TN_DIRECTION_UNKNOWN = 0, TN_DIRECTION_UP = 1, TN_DIRECTION_DOWN = -1 };

/* A metric keeps its sums in `state`, state_size bytes that the core owns, zeroes at each epoch and saves.  [step] */
struct tn_metric {
    struct tn_type type;
    uint64_t state_size;
    int32_t direction; /* enum tn_direction: which way is better */
    int32_t reserved;
    void (*update)(const void *self, void *state, const struct tn_metric_batch *batch);
    double (*value)(const void *self, const void *state);
};

#define TN_SIZE_OF_TN_LAYER  sizeof(struct tn_layer)
#define TN_SIZE_OF_TN_LOSS   sizeof(struct tn_loss)
#define TN_SIZE_OF_TN_METRIC sizeof(struct tn_metric)

/* ---- wrappers that hide the table
 * --------------------------------------------------------------------------------------------- */

TN_UNUSED static inline struct tn_shape tn_shape_of(struct tn_builder *b, tn_ref x)
{
    return b->table->shape(b, x);
}
TN_UNUSED static inline tn_ref tn_parameter(struct tn_builder *b, const char *name, struct tn_shape shape,
                                            struct tn_initializer initializer, int32_t trained)
{
    return b->table->parameter(b, name, &shape, &initializer, trained);
}
TN_UNUSED static inline tn_ref tn_cast(struct tn_builder *b, tn_ref x, float scale, float offset)
{
    return b->table->cast(b, x, scale, offset);
}
TN_UNUSED static inline tn_ref tn_conv2d(struct tn_builder *b, tn_ref x, tn_ref kernel, tn_ref bias,
                                         const struct tn_convolution *options)
{
    return b->table->conv2d(b, x, kernel, bias, options);
}
TN_UNUSED static inline tn_ref tn_dense_apply(struct tn_builder *b, tn_ref x, tn_ref kernel, tn_ref bias)
{
    return b->table->dense(b, x, kernel, bias);
}
TN_UNUSED static inline tn_ref tn_pool(struct tn_builder *b, tn_ref x, const struct tn_window *options)
{
    return b->table->pool(b, x, options);
}
TN_UNUSED static inline tn_ref tn_global_pool(struct tn_builder *b, tn_ref x, int32_t mode, int32_t keep_dims)
{
    return b->table->global_pool(b, x, mode, keep_dims);
}
TN_UNUSED static inline tn_ref tn_batch_norm(struct tn_builder *b, tn_ref x, tn_ref gamma, tn_ref beta,
                                             tn_ref moving_mean, tn_ref moving_variance,
                                             const struct tn_normalization *options)
{
    return b->table->batch_norm(b, x, gamma, beta, moving_mean, moving_variance, options);
}
TN_UNUSED static inline tn_ref tn_activate(struct tn_builder *b, tn_ref x, const struct tn_activation *options)
{
    return b->table->activation(b, x, options);
}
TN_UNUSED static inline tn_ref tn_activate_named(struct tn_builder *b, tn_ref x, const char *name)
{
    return b->table->activation_named(b, x, name);
}
TN_UNUSED static inline tn_ref tn_add(struct tn_builder *b, tn_ref x0, tn_ref x1)
{
    return b->table->binary(b, x0, x1, TN_ADD);
}
TN_UNUSED static inline tn_ref tn_subtract(struct tn_builder *b, tn_ref x0, tn_ref x1)
{
    return b->table->binary(b, x0, x1, TN_SUBTRACT);
}
TN_UNUSED static inline tn_ref tn_multiply(struct tn_builder *b, tn_ref x0, tn_ref x1)
{
    return b->table->binary(b, x0, x1, TN_MULTIPLY);
}
TN_UNUSED static inline tn_ref tn_concat(struct tn_builder *b, const tn_ref *x, uint32_t count, int32_t axis)
{
    return b->table->concat(b, x, count, axis);
}
TN_UNUSED static inline tn_ref tn_reshape(struct tn_builder *b, tn_ref x, struct tn_shape shape)
{
    return b->table->reshape(b, x, &shape);
}
TN_UNUSED static inline tn_ref tn_drop(struct tn_builder *b, tn_ref x, float rate)
{
    return b->table->dropout(b, x, rate);
}
TN_UNUSED static inline int32_t tn_is_training(struct tn_builder *b)
{
    return b->table->training(b);
}
TN_PRINTF(2, 3)
TN_UNUSED static inline tn_ref tn_builder_fail(struct tn_builder *b, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return b->table->problem(b, text);
}

#ifdef __cplusplus
}
#endif
#endif
