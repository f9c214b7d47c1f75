/* network.h: a network on a device: layers in, a planned, allocated, running program out.
 *
 * Life: create (layers, loss, optimizer) -> plan (programs for the batch sizes that will occur; nothing allocated) ->
 * allocate (one arena for what lasts, one for what a step uses; weights initialised) -> train_step / infer -> destroy.
 * Threads: create, plan, allocate, destroy are [setup]; everything else is [step].
 */
#ifndef TENON_NETWORK_H
#define TENON_NETWORK_H

#include "base/base.h"
#include "config/config.h"
#include "registry/registry.h"
#include "tenon/plugin.h"

struct tn_network;

struct tn_network_layer {
    const struct tn_instance *instance; /* of kind TN_LAYER */
    const char *const *inputs; /* names of layers, or "input"; count 0 = the layer before (the first: "input") */
    uint32_t input_count;
};

/* What a network is made of; everything is borrowed and has to live as long as the network. */
struct tn_network_spec {
    const struct tn_instance *device; /* of kind TN_DEVICE */
    const struct tn_network_layer *layers;
    uint32_t layer_count;
    struct tn_size input_size;
    int32_t input_channels;
    int32_t input_type;                  /* TN_PIXEL_U8 or TN_PIXEL_F32 */
    const struct tn_instance *loss;      /* NULL: inference only */
    int32_t loss_target_count;           /* floats of a sample's target: 1 for class numbers, else K */
    const struct tn_instance *optimizer; /* NULL: inference only */
    int32_t class_count;                 /* checked against the output; 0 = do not check */
    int32_t multi_label;                 /* 1: each output has to be a yes or no of its own */
    uint64_t seed;
    int32_t fuse;           /* 0: no rewriting (for tests); 1 normal */
    int32_t input_gradient; /* 1: also derive the gradient of the images (tests, saliency) */
};
/* Builds the forward graph once with batch 1 to check shapes; problems carry file:line of the layer's section and name
 * both layers and both shapes; cycles and unknown inputs are found here. */
tn_status tn_network_create(const struct tn_network_spec *spec, struct tn_network **network,
                            struct tn_problems *problems);
void tn_network_destroy(struct tn_network **network);

/* Batch sizes to plan for; 0 = not needed. train_tail is the last, smaller batch of an epoch. Smaller inference batches
 * than `infer` run in the same program, padded. */
struct tn_plan_request {
    int32_t train, train_tail, infer;
    int32_t keep_weights;   /* copies of the weights that callbacks keep */
    int32_t keep_gradients; /* 1: those of a training step can be read until the next step or inference */
};
/* Plans all programs. Allocates no device memory. May be called again with other sizes before allocate (for "what would
 * fit"). */
tn_status tn_network_plan(struct tn_network *network, const struct tn_plan_request *request, struct tn_error *error);

struct tn_plan_layer {
    const char *name, *type_name;
    struct tn_shape output; /* dims[0] = train batch, or infer batch */
    uint64_t parameters, trained_parameters;
    uint64_t forward_flops; /* of one image, multiply and add counted apart */
    const char *algorithm;  /* what the device chose for its main op, or NULL */
    char inputs[128];
};
struct tn_plan_report {
    const struct tn_plan_layer *layers;
    uint32_t layer_count;
    uint64_t parameters, trained_parameters, forward_flops, train_flops; /* of one image */
    int32_t keeps_gradients;                                             /* as it was asked for */
    uint64_t weight_bytes, gradient_bytes, slot_bytes, activation_bytes, workspace_bytes, scratch_bytes, kept_bytes;
    uint64_t step_arena_bytes, lasting_arena_bytes; /* what allocate() will take from the device */
    struct tn_device_info device;
};
/* Owned by the network, valid until the next plan. */
const struct tn_plan_report *tn_network_report(const struct tn_network *network);

/* Takes the arenas, initialises weights from the seed (Philox by layer and weight name: independent of order and
 * threads), binds. */
tn_status tn_network_allocate(struct tn_network *network, struct tn_error *error);

struct tn_shape tn_network_output_shape(const struct tn_network *network); /* dims[0] = 1 */

/* One optimizer step on `batch` samples (the planned train or train_tail size).
 *   images  [batch, h, w, c] of input_type;  targets [batch, loss_target_count];  weights [batch] or NULL (all 1)
 *   losses [batch] and predictions [batch, K] are written when not NULL (predictions: output of the last layer). */
tn_status tn_network_train_step(struct tn_network *network, int32_t batch, const void *images, const float *targets,
                                const float *weights, const struct tn_step *step, float *losses, float *predictions,
                                struct tn_error *error);
/* Forward only, moving statistics, no dropout. batch <= planned infer. targets may be NULL (then losses must be NULL).
 */
tn_status tn_network_infer(struct tn_network *network, int32_t batch, const void *images, const float *targets,
                           const float *weights, float *losses, float *predictions, struct tn_error *error);
/* For tests: the gradients that the last train_step used are gone after it; this runs forward and backward without
 * update and reads d(mean loss)/d(parameter) into `gradient` (plain). */
tn_status tn_network_gradient(struct tn_network *network, int32_t batch, const void *images, const float *targets,
                              const struct tn_step *step, uint32_t parameter, float *gradient, struct tn_error *error);

/* The same for d(mean loss)/d(images), [batch, h, w, c]; the spec has to have asked for it. */
tn_status tn_network_input_gradient(struct tn_network *network, int32_t batch, const void *images, const float *targets,
                                    const struct tn_step *step, float *gradient, struct tn_error *error);

/* Parameters and states in model order, trained ones of a layer first. */
struct tn_parameter_info {
    const char *layer, *name;
    struct tn_shape shape;
    int32_t trained, slot_count;
};
uint32_t tn_network_parameter_count(const struct tn_network *network);
const struct tn_parameter_info *tn_network_parameter(const struct tn_network *network, uint32_t index);
/* slot -1: the parameter itself; 0..slot_count-1: the optimizer's; TN_SLOT_KEPT: the kept copy. Plain floats. */
enum { TN_SLOT_KEPT = -2 };
tn_status tn_network_read(struct tn_network *network, uint32_t index, int32_t slot, float *plain,
                          struct tn_error *error);
tn_status tn_network_write(struct tn_network *network, uint32_t index, int32_t slot, const float *plain,
                           struct tn_error *error);
/* The copy in device memory that early stopping keeps (planned by keep_weights). */
tn_status tn_network_keep(struct tn_network *network, struct tn_error *error);
tn_status tn_network_restore(struct tn_network *network, struct tn_error *error);
/* The weights as files see them: structure and host buffers (with_slots: optimizer state too) from malloc; fill copies
 * device -> host, store copies host -> device. */
tn_status tn_network_weights_open(struct tn_network *network, int32_t with_slots, struct tn_weights **weights,
                                  struct tn_error *error);
tn_status tn_network_weights_fill(struct tn_network *network, struct tn_weights *weights, struct tn_error *error);
tn_status tn_network_weights_store(struct tn_network *network, const struct tn_weights *weights,
                                   struct tn_error *error);
/* Fills it (opened without slots) with the gradients of the last training step instead; data is NULL where there is
 * none. TN_FAILED when the plan does not keep them, or something ran since. */
tn_status tn_network_gradients_fill(struct tn_network *network, struct tn_weights *gradients, struct tn_error *error);
void tn_network_weights_close(struct tn_weights **weights);

#endif
