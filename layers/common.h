/* common.h: what several layer plugins share: windows and paddings by Keras' rules, and pieces of Keras' configuration.
 */
#ifndef TENON_LAYERS_COMMON_H
#define TENON_LAYERS_COMMON_H

#include <tenon/plugin.h>

enum { PADDING_VALID = 0, PADDING_SAME = 1 };
#define PADDING_CHOICES "valid|same"

/* Keras' "same": the output has ceil(in / stride) pixels; what has to be added is split in two, the odd one behind. */
TN_UNUSED static inline void same_padding(int32_t in, int32_t window, int32_t stride, int32_t dilation, int32_t *before,
                                          int32_t *after)
{
    int64_t out = ((int64_t)in + stride - 1) / stride;
    int64_t total = (out - 1) * stride + ((int64_t)window - 1) * dilation + 1 - in;
    if (total < 0)
        total = 0;
    *before = (int32_t)(total / 2);
    *after = (int32_t)(total - total / 2);
}

/* Appends to a JSON text; false when it does not fit. */
TN_PRINTF(3, 4)
TN_UNUSED static inline int json_add(char *text, uint64_t bytes, const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;
    int more;
    va_start(arguments, format);
    more = vsnprintf(text + used, (size_t)bytes - used, format, arguments);
    va_end(arguments);
    return more >= 0 && (uint64_t)more < bytes - used;
}

/* Keras' names of initialisers, which Keras 2 and 3 take as plain text, in the order of enum tn_initializer_kind. */
TN_UNUSED static inline const char *keras_initializer(int32_t kind)
{
    static const char *const names[] = {"zeros",         "ones",          "constant",       "glorot_uniform",
                                        "glorot_normal", "he_uniform",    "he_normal",      "lecun_uniform",
                                        "lecun_normal",  "random_normal", "random_uniform", "truncated_normal"};
    return kind >= 0 && kind < (int32_t)(sizeof names / sizeof *names) ? names[kind] : "zeros";
}

TN_UNUSED static inline const char *json_bool(int32_t value)
{
    return value ? "true" : "false";
}

/* Appends "activation" as Keras names it; Keras knows the tanh form of gelu by an argument only. */
TN_UNUSED static inline tn_status json_activation(char *text, uint64_t bytes, const char *activation,
                                                  struct tn_error *error)
{
    const char *name = activation && activation[0] ? activation : "linear";
    if (strcmp(name, "gelu_tanh") == 0)
        return tn_fail(error, TN_UNSUPPORTED, "Keras has no name for the activation gelu_tanh");
    return json_add(text, bytes, "\"activation\": \"%s\"", name)
               ? TN_OK
               : tn_fail(error, TN_FAILED, "the configuration of a layer does not fit");
}

/* Keras' merging layers give an input of smaller rank axes of length 1 behind the batch ([c] meets [h, w, c] as
 * [1, 1, c]); axes of length 1 then stretch. */
TN_UNUSED static inline tn_ref merge_rank(struct tn_builder *b, tn_ref x, int32_t rank)
{
    struct tn_shape in = tn_shape_of(b, x), out = {rank, {in.dims[0]}};
    int32_t missing = rank - in.rank;
    if (!x || missing <= 0)
        return x;
    for (int32_t i = 1; i < rank; i++)
        out.dims[i] = i <= missing ? 1 : in.dims[i - missing];
    return tn_reshape(b, x, out);
}

/* Folds the inputs with a function of two (enum tn_binary_function), from left to right. */
TN_UNUSED static inline tn_ref merge(struct tn_builder *b, const tn_ref *inputs, uint32_t count, int32_t function)
{
    int32_t rank = 0;
    tn_ref y = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct tn_shape in = tn_shape_of(b, inputs[i]);
        rank = in.rank > rank ? in.rank : rank;
    }
    for (uint32_t i = 0; i < count; i++) {
        tn_ref x = merge_rank(b, inputs[i], rank);
        y = i ? b->table->binary(b, y, x, function) : x;
    }
    return y;
}

/* The rest of Keras' configuration of a layer with KERNEL_OPTIONS, after its own members. */
#define json_kernel(text_, bytes_, options_)                                                                           \
    json_add(text_, bytes_,                                                                                            \
             ", \"use_bias\": %s, \"kernel_initializer\": \"%s\", \"bias_initializer\": \"%s\", "                      \
             "\"trainable\": %s",                                                                                      \
             json_bool((options_)->use_bias), keras_initializer((options_)->kernel_initializer),                       \
             keras_initializer((options_)->bias_initializer), json_bool((options_)->trainable))

/* Options that every layer with a kernel and a bias has. */
#define KERNEL_OPTIONS(struct_)                                                                                        \
    TN_STRING(struct_, activation, "linear", "activation: linear, relu, softmax, sigmoid, tanh, elu, gelu, silu, …"),  \
        TN_BOOL(struct_, use_bias, 1, "add a bias to each output"),                                                    \
        TN_ENUM(struct_, kernel_initializer, TN_GLOROT_UNIFORM, TN_INITIALIZER_CHOICES, "first values of the kernel"), \
        TN_ENUM(struct_, bias_initializer, TN_ZEROS, TN_INITIALIZER_CHOICES, "first values of the bias"),              \
        TN_BOOL(struct_, trainable, 1, "no: the weights stay as they are")

#endif
