/* one_layer.h: builds a graph of one layer, with any number of inputs of any shape, derives its gradient for a given
 * dy, plans it on a device, runs it once and reads everything back. It goes through the core's own builder, rewriting,
 * differentiation and lifetimes; only the network around the layer is missing.
 */
#ifndef TENON_TESTS_ONE_LAYER_H
#define TENON_TESTS_ONE_LAYER_H

#include "registry/registry.h"
#include "tenon/plugin.h"

enum { ONE_LAYER_MOST = 8 };

struct one_layer_tensor {
    const char *name; /* of a parameter */
    struct tn_shape shape;
    const float *data;
};

struct one_layer {
    const struct tn_instance *device, *layer;
    bool training; /* what the layer is told: batch statistics, dropout */
    bool fuse;     /* rewrite as for a network */
    uint64_t seed; /* of dropout */
    struct one_layer_tensor inputs[ONE_LAYER_MOST], parameters[ONE_LAYER_MOST];
    uint32_t input_count, parameter_count;
    const float *dy; /* of the output's shape; NULL: forward only */
};

/* malloc'ed arrays; what was not derived is NULL. */
struct one_layer_result {
    struct tn_shape y_shape;
    float *y;
    float *dx[ONE_LAYER_MOST];
    float *d_parameter[ONE_LAYER_MOST]; /* NULL for what is not trained */
    float *after[ONE_LAYER_MOST];       /* the parameter after the run: moving statistics change */
    bool used[ONE_LAYER_MOST];          /* the layer asked for the parameter */
};

/* On failure `error` says why; the result is to be released either way. */
tn_status one_layer_run(const struct one_layer *job, struct one_layer_result *result, struct tn_error *error);
void one_layer_release(struct one_layer_result *result);

#endif
