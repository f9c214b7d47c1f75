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

/* Keras' class names of initialisers, in the order of enum tn_initializer_kind. */
TN_UNUSED static inline const char *keras_initializer(int32_t kind)
{
    static const char *const names[] = {"Zeros",        "Ones",         "Constant",      "GlorotUniform",
                                        "GlorotNormal", "HeUniform",    "HeNormal",      "LecunUniform",
                                        "LecunNormal",  "RandomNormal", "RandomUniform", "TruncatedNormal"};
    return kind >= 0 && kind < (int32_t)(sizeof names / sizeof *names) ? names[kind] : "Zeros";
}

TN_UNUSED static inline const char *name_or_linear(const char *activation)
{
    return activation && activation[0] ? activation : "linear";
}

/* Options that every layer with a kernel and a bias has. */
#define KERNEL_OPTIONS(struct_)                                                                                        \
    TN_STRING(struct_, activation, "linear", "activation: linear, relu, softmax, sigmoid, tanh, elu, gelu, silu, …"),  \
        TN_BOOL(struct_, use_bias, 1, "add a bias to each output"),                                                    \
        TN_ENUM(struct_, kernel_initializer, TN_GLOROT_UNIFORM, TN_INITIALIZER_CHOICES, "first values of the kernel"), \
        TN_ENUM(struct_, bias_initializer, TN_ZEROS, TN_INITIALIZER_CHOICES, "first values of the bias")

#endif
