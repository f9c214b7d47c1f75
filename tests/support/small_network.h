/* small_network.h: a network of real layers, loss and optimizer on the cpu device, put together by a test. */
#ifndef TENON_TESTS_SMALL_NETWORK_H
#define TENON_TESTS_SMALL_NETWORK_H

#include "plan/network.h"
#include "support/golden.h"

enum { SMALL_NETWORK_LAYERS = 64, SMALL_NETWORK_INPUTS = 8 };

struct small_network {
    struct golden_rig *rig;
    struct golden_instance instances[SMALL_NETWORK_LAYERS], loss, optimizer;
    struct tn_network_layer layers[SMALL_NETWORK_LAYERS];
    const char *inputs[SMALL_NETWORK_LAYERS][SMALL_NETWORK_INPUTS];
    uint32_t count;
    struct tn_network *network;
    struct tn_arena arena;
    char reason[512]; /* of the first failure; later calls then do nothing */
};

void small_network_begin(struct small_network *net, struct golden_rig *rig);
/* Appends a layer; inputs NULL: the layer before. */
void small_network_layer(struct small_network *net, const char *name, const char *type, struct golden_options *options,
                         const char *const *inputs, uint32_t input_count);
/* Loss and optimizer (types with options); optional. */
void small_network_train(struct small_network *net, const char *loss, struct golden_options *loss_options,
                         const char *optimizer, struct golden_options *optimizer_options);
/* Creates, plans and allocates; images are floats. Batch 0 = not planned. */
bool small_network_make(struct small_network *net, int32_t height, int32_t width, int32_t channels, int32_t train,
                        int32_t infer);
/* Index of the parameter "LAYER/NAME"; -1 = none. */
int64_t small_network_parameter(const struct small_network *net, const char *path);
void small_network_end(struct small_network *net);

#endif
