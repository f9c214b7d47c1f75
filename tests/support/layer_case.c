/* layer_case.c: see layer_case.h. */
#include "support/layer_case.h"

#include <stdlib.h>

#define MOST_NUMBERS 8

static bool is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

/* ---- Keras ---- */

/* Settings that say nothing about the layer, or only what it does anyway. */
static bool is_neutral(const char *key, const char *value)
{
    static const char *const ignored[] = {"op", "source", "note", "training", "peer"};
    static const char *const usual[][2] = {{"axis", "-1"},
                                           {"groups", "1"},
                                           {"dilation", "1 1"},
                                           {"dilation", "1"},
                                           {"ceil_mode", "0"},
                                           {"alpha", "1.0"},
                                           {"data_format", "channels_last"},
                                           {"output_padding", "0"}};
    for (size_t i = 0; i < TN_COUNT_OF(ignored); i++)
        if (is(key, ignored[i]))
            return true;
    for (size_t i = 0; i < TN_COUNT_OF(usual); i++)
        if (is(key, usual[i][0]) && is(value, usual[i][1]))
            return true;
    return is(value, "none");
}

/* Numbers separated by spaces as the option's kind wants them. */
static void add_option(struct layer_case *out, const struct tn_option *option, const char *value)
{
    const char *between = option->kind == TN_OPTION_SIZE ? "x" : ", ";
    char text[256];
    size_t used = 0;
    for (const char *c = value; *c && used + 4 < sizeof text; c++) {
        if (*c == ' ' && (option->kind == TN_OPTION_SIZE || option->kind == TN_OPTION_NUMBERS))
            used += (size_t)snprintf(text + used, sizeof text - used, "%s", between);
        else
            text[used++] = *c;
    }
    text[used] = '\0';
    golden_option(&out->options, option->name, "%s", text);
}

static const char *renamed(const char *key)
{
    return is(key, "dilation") ? "dilation_rate" : key;
}

/* What Keras takes from the weights' shapes. */
static void add_width(struct layer_case *out, const struct tn_type *type, const struct bundle_case *item)
{
    static const char *const keys[] = {"filters", "units"};
    const struct bundle_tensor *kernel =
        bundle_tensor(item, bundle_tensor(item, "pointwise_kernel") ? "pointwise_kernel" : "kernel");
    for (size_t i = 0; i < TN_COUNT_OF(keys); i++)
        if (golden_find_option(type, keys[i]) && !bundle_set(item, keys[i]) && kernel && kernel->rank > 0)
            golden_option(&out->options, keys[i], "%d", kernel->dims[kernel->rank - 1]);
}

static const struct tn_type *type_of_keras_class(struct golden_rig *rig, const char *name)
{
    const struct tn_type *type;
    for (size_t i = 0; (type = tn_registry_type(rig->registry, TN_LAYER, i, NULL)); i++) {
        const struct tn_layer *layer = (const struct tn_layer *)(const void *)type;
        if (is(layer->keras_class, name))
            return type;
    }
    return NULL;
}

static void translate_keras(struct golden_rig *rig, struct golden_case *item, struct layer_case *out)
{
    const char *op = bundle_set(item->item, "op");
    const struct tn_type *type = type_of_keras_class(rig, op);
    if (!type) {
        golden_uncovered(item, "no layer is Keras' %s", op);
        return;
    }
    for (size_t i = 0; i < item->item->setting_count; i++) {
        const struct bundle_setting *setting = &item->item->settings[i];
        const struct tn_option *option = golden_find_option(type, renamed(setting->key));
        if (option && !is(setting->value, "none")) {
            add_option(out, option, setting->value);
        } else if (!is_neutral(setting->key, setting->value)) {
            golden_uncovered(item, "%s has no option %s (= %s)", type->name, setting->key, setting->value);
            return;
        }
    }
    add_width(out, type, item->item);
    out->type = type->name;
}

/* ---- activations by the name of a function, with its numbers in the name ---- */

/* "0_01" as 0.01, "01" as 0.1, "4" as 4; *end behind it. */
static double number_in_name(const char *text, const char **end)
{
    double number = 0, unit = 1;
    bool fraction = false;
    if (text[0] == '0' && text[1] >= '0' && text[1] <= '9') {
        fraction = true;
        text++;
    }
    for (; (*text >= '0' && *text <= '9') || (*text == '_' && text[1] >= '0' && text[1] <= '9' && !fraction); text++) {
        if (*text == '_') {
            fraction = true;
            continue;
        }
        number = number * 10 + (*text - '0');
        unit = fraction ? unit * 10 : unit;
    }
    *end = text;
    return number / unit;
}

static void translate_relu(struct layer_case *out, const char *name)
{
    static const struct {
        const char *word, *key;
    } parts[] = {{"_thr", "threshold"}, {"_max", "max_value"}, {"_slope", "negative_slope"}};
    for (name += strlen("relu"); *name;) {
        size_t i = 0;
        while (i < TN_COUNT_OF(parts) && strncmp(name, parts[i].word, strlen(parts[i].word)) != 0)
            i++;
        if (i == TN_COUNT_OF(parts))
            return;
        double number = number_in_name(name + strlen(parts[i].word), &name);
        golden_option(&out->options, parts[i].key, "%.9g", number);
    }
    out->type = "re_lu";
}

static void translate_function(struct golden_case *item, struct layer_case *out, const char *name)
{
    static const char *const same[][2] = {
        {"gelu_exact", "gelu"}, {"hardswish", "hard_silu"}, {"hardsigmoid", "hard_sigmoid"}, {"hardtanh", "hard_tanh"}};
    static const char *const known[] = {
        "linear",      "relu",      "relu6",       "elu",         "selu",      "celu",       "sigmoid",     "tanh",
        "softplus",    "softsign",  "exponential", "gelu",        "gelu_tanh", "silu",       "swish",       "mish",
        "log_sigmoid", "hard_tanh", "softmax",     "log_softmax", "hard_silu", "hard_swish", "hard_sigmoid"};
    const char *end = name;
    for (size_t i = 0; i < TN_COUNT_OF(same); i++)
        name = is(name, same[i][0]) ? same[i][1] : name;
    for (size_t i = 0; i < TN_COUNT_OF(known); i++) {
        if (is(name, known[i])) {
            golden_option(&out->options, "activation", "%s", name);
            out->type = "activation";
            return;
        }
    }
    if (strncmp(name, "relu_", 5) == 0) {
        translate_relu(out, name);
    } else if (strncmp(name, "leaky_relu_", 11) == 0) {
        golden_option(&out->options, "negative_slope", "%.9g", number_in_name(name + 11, &end));
        out->type = *end ? NULL : "leaky_re_lu";
    } else if (strncmp(name, "elu_", 4) == 0) {
        golden_option(&out->options, "alpha", "%.9g", number_in_name(name + 4, &end));
        out->type = *end ? NULL : "elu";
    }
    if (!out->type)
        golden_uncovered(item, "no activation is %s", name);
}

/* ---- PyTorch ---- */

struct window {
    int32_t size[2], stride[2], dilation[2], before[2], after[2];
};

/* One or two numbers for height and width. */
static void pair(const struct bundle_case *item, const char *key, int32_t otherwise, int32_t out[2])
{
    double numbers[2] = {otherwise, otherwise};
    size_t count = bundle_numbers(item, key, numbers, 2);
    out[0] = (int32_t)numbers[0];
    out[1] = (int32_t)numbers[count == 2 ? 1 : 0];
}

/* "valid" or "same" when it means just this padding for this input; NULL otherwise. What PyTorch pads behind and no
 * window reaches does not count: with `sizes`, only what the output needs does. */
static const char *padding_that_fits(const struct window *w, const struct bundle_tensor *x,
                                     const struct bundle_tensor *y)
{
    bool valid = true, same = true;
    for (int i = 0; i < 2; i++) {
        int64_t in = x->dims[1 + i], out = y->dims[1 + i], stride = w->stride[i];
        int64_t span = ((int64_t)w->size[i] - 1) * w->dilation[i] + 1;
        int64_t needed = (out - 1) * stride + span - in, total = needed > 0 ? needed : 0;
        int64_t behind = needed - w->before[i];
        valid = valid && w->before[i] == 0 && behind <= 0 && out == (in - span) / stride + 1;
        same = same && out == (in + stride - 1) / stride && w->before[i] == total / 2;
    }
    return valid ? "valid" : same ? "same" : NULL;
}

static void translate_torch_window(struct golden_case *item, struct layer_case *out, const char *type,
                                   const char *size_key)
{
    const struct bundle_tensor *x = bundle_tensor(item->item, "x"), *y = bundle_tensor(item->item, "y");
    const struct bundle_tensor *kernel = bundle_tensor(item->item, "kernel");
    struct window w;
    double pads[4] = {0};
    const char *padding;
    pair(item->item, size_key, 1, w.size);
    pair(item->item, "strides", 1, w.stride);
    pair(item->item, "dilation", 1, w.dilation);
    pair(item->item, "pad", 0, w.before);
    if (bundle_numbers(item->item, "pads", pads, 4) == 4) {
        w.before[0] = (int32_t)pads[0];
        w.before[1] = (int32_t)pads[2];
    }
    if (!x || !y || x->rank != 4 || y->rank != 4 || w.stride[0] < 1 || w.stride[1] < 1)
        return;
    padding = padding_that_fits(&w, x, y);
    if (!padding)
        golden_uncovered(item, "%s has no padding that fits", type);
    else if ((w.before[0] || w.before[1]) && bundle_number(item->item, "count_include_pad", 0) != 0)
        golden_uncovered(item, "%s does not count padding", type);
    else if (kernel && (w.stride[0] > 1 || w.stride[1] > 1) && (w.dilation[0] > 1 || w.dilation[1] > 1))
        golden_uncovered(item, "Keras, and so %s, has no strides together with dilation", type);
    else if (!kernel && (w.dilation[0] > 1 || w.dilation[1] > 1))
        golden_uncovered(item, "%s has no dilation", type);
    if (golden_decided(item))
        return;
    out->type = type;
    golden_option(&out->options, size_key, "%dx%d", w.size[0], w.size[1]);
    golden_option(&out->options, "strides", "%dx%d", w.stride[0], w.stride[1]);
    golden_option(&out->options, "padding", "%s", padding);
    if (kernel) {
        golden_option(&out->options, "filters", "%d", kernel->dims[3]);
        golden_option(&out->options, "dilation_rate", "%dx%d", w.dilation[0], w.dilation[1]);
        golden_option(&out->options, "groups", "%.0f", bundle_number(item->item, "groups", 1));
        golden_option(&out->options, "use_bias", "%s", bundle_tensor(item->item, "bias") ? "yes" : "no");
    }
}

static void translate_torch(struct golden_case *item, struct layer_case *out)
{
    const char *op = bundle_set(item->item, "op"), *function = bundle_set(item->item, "fn_name");
    int32_t output[2];
    pair(item->item, "output_size", 0, output);
    if (is(op, "act") && function) {
        translate_function(item, out, function);
    } else if (is(op, "conv2d")) {
        const struct bundle_tensor *kernel = bundle_tensor(item->item, "kernel");
        if (kernel && kernel->rank == 4)
            translate_torch_window(item, out, "conv2d", "kernel_size");
    } else if (is(op, "maxpool") || is(op, "avgpool")) {
        translate_torch_window(item, out, is(op, "maxpool") ? "max_pooling2d" : "average_pooling2d", "pool_size");
    } else if ((is(op, "adaptive_avg") || is(op, "adaptive_max")) && output[0] == 1 && output[1] == 1) {
        out->type = is(op, "adaptive_avg") ? "global_average_pooling2d" : "global_max_pooling2d";
        golden_option(&out->options, "keepdims", "yes");
    } else if (is(op, "batchnorm")) {
        out->type = "batch_normalization";
        golden_option(&out->options, "momentum", "%.17g", 1.0 - bundle_number(item->item, "momentum", 0.1));
        golden_option(&out->options, "epsilon", "%.17g", bundle_number(item->item, "epsilon", 1e-5));
        golden_option(&out->options, "unbiased_variance", "yes");
        golden_option(&out->options, "scale", "%s", bundle_tensor(item->item, "gamma") ? "yes" : "no");
        golden_option(&out->options, "center", "%s", bundle_tensor(item->item, "beta") ? "yes" : "no");
    }
    if (!out->type)
        golden_uncovered(item, "no layer is PyTorch's %s", op);
}

void layer_case_translate(struct golden_rig *rig, struct golden_case *item, struct layer_case *out)
{
    const char *op = bundle_set(item->item, "op"), *function = bundle_set(item->item, "fn");
    *out = (struct layer_case){0};
    if (!op)
        golden_fail(item, "the case sets no op");
    else if (is(op, "Fn") && function && bundle_number(item->item, "axis", -1) == -1)
        translate_function(item, out, function);
    else if (is(op, "Fn"))
        golden_uncovered(item, "no layer for this function");
    else if (is(bundle_set(item->item, "source"), "torch"))
        translate_torch(item, out);
    else
        translate_keras(rig, item, out);
    if (golden_decided(item)) {
        tn_text_release(&out->options.text);
        out->type = NULL;
    }
}
