/* dropout.c: zeroes a share of its inputs while training: Keras' Dropout (Srivastava et al., JMLR 15, 2014). What is
 * kept is scaled by 1 / (1 - rate), so that nothing has to be done afterwards. */
#include "common.h"

struct dropout {
    double rate;
};

static const struct tn_option options[] = {
    TN_FLOAT(struct dropout, rate, TN_REQUIRED, 0.0, 0.999999, "share of the inputs that is zeroed"),
    TN_END,
};

static tn_ref build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    (void)count;
    return tn_drop(b, inputs[0], (float)((const struct dropout *)self)->rate);
}

static tn_status keras_config(const void *self, char *text, uint64_t bytes, struct tn_error *error)
{
    return json_add(text, bytes, "\"rate\": %.9g", ((const struct dropout *)self)->rate)
               ? TN_OK
               : tn_fail(error, TN_FAILED, "the configuration of a dropout does not fit");
}

static const struct tn_layer dropout = {
    TN_TYPE(TN_LAYER, "dropout", struct dropout, options, "zeroes a random share of its inputs while training"),
    .build = build,
    .keras_class = "Dropout",
    .keras_config = keras_config,
};

TN_PLUGIN("tenon.layers.dropout", TENON_VERSION, "Apache-2.0", &dropout.type);
