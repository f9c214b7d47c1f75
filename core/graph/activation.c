/* activation.c: Keras' names of activations. */
#include "graph/graph.h"

static const struct {
    const char *name;
    struct tn_activation activation;
} table[] = {
    {"linear", {TN_LINEAR, 0, 0, 0}},
    {"relu", {TN_RELU, 0, 0, 0}},
    {"relu6", {TN_RELU, 0, 6, 0}},
    {"leaky_relu", {TN_RELU, 0.2f, 0, 0}}, /* the activation; the layer's default is 0.3 */
    {"elu", {TN_ELU, 1, 0, 0}},
    {"selu", {TN_SELU, 0, 0, 0}},
    {"celu", {TN_CELU, 1, 0, 0}},
    {"sigmoid", {TN_SIGMOID, 0, 0, 0}},
    {"tanh", {TN_TANH, 0, 0, 0}},
    {"softplus", {TN_SOFTPLUS, 0, 0, 0}},
    {"softsign", {TN_SOFTSIGN, 0, 0, 0}},
    {"exponential", {TN_EXPONENTIAL, 0, 0, 0}},
    {"gelu", {TN_GELU, 0, 0, 0}},
    {"gelu_tanh", {TN_GELU_TANH, 0, 0, 0}},
    {"silu", {TN_SILU, 0, 0, 0}},
    {"swish", {TN_SILU, 0, 0, 0}},
    {"hard_sigmoid", {TN_HARD_SIGMOID, 0, 0, 0}},
    {"hard_silu", {TN_HARD_SILU, 0, 0, 0}},
    {"hard_swish", {TN_HARD_SILU, 0, 0, 0}},
    {"mish", {TN_MISH, 0, 0, 0}},
    {"log_sigmoid", {TN_LOG_SIGMOID, 0, 0, 0}},
    {"hard_tanh", {TN_HARD_TANH, 0, 0, 0}},
    {"softmax", {TN_SOFTMAX, 0, 0, 0}},
    {"log_softmax", {TN_LOG_SOFTMAX, 0, 0, 0}},
};

const char *const tn_activation_names[] = {"linear",      "relu",         "relu6",     "leaky_relu",  "elu",
                                           "selu",        "celu",         "sigmoid",   "tanh",        "softplus",
                                           "softsign",    "exponential",  "gelu",      "gelu_tanh",   "silu",
                                           "swish",       "hard_sigmoid", "hard_silu", "hard_swish",  "mish",
                                           "log_sigmoid", "hard_tanh",    "softmax",   "log_softmax", NULL};

bool tn_activation_by_name(const char *name, struct tn_activation *activation)
{
    for (size_t i = 0; i < TN_COUNT_OF(table); i++) {
        if (strcmp(table[i].name, name) == 0) {
            *activation = table[i].activation;
            return true;
        }
    }
    return false;
}
