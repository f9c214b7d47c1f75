/* internal.h: what the files of core/plan share: the network, its parameters, its programs. */
#ifndef TENON_PLAN_INTERNAL_H
#define TENON_PLAN_INTERNAL_H

#include "graph/graph.h"
#include "plan/network.h"

enum { MOST_SLOTS = 4 };

/* A weight and what the optimizer keeps for it. The values are shared by all programs. */
struct parameter {
    struct tn_parameter_info info;
    struct tn_initializer initializer;
    struct tn_value value, slots[MOST_SLOTS];
    struct tn_value_info value_info, slot_info[MOST_SLOTS];
    void *kept; /* the copy that early stopping keeps */
    uint32_t layer_index;
};

/* One program: a graph, flattened and planned. */
struct program {
    struct tn_graph graph;
    struct tn_program program;                   /* what the device sees */
    struct tn_op *ops;                           /* [program.op_count], behind program.ops */
    struct tn_value *images, *targets, *weights; /* inputs; targets and weights NULL without a loss */
    struct tn_value *losses, *predictions;       /* outputs */
    struct tn_value *input_gradient;             /* for tests; NULL = none */
    struct tn_value **gradients; /* of each parameter; NULL = none. Valid where nothing updates, or all are kept */
    struct tn_custom loss;
    int32_t batch;
    bool training, made, planned;
    uint64_t arena_bytes, scratch_bytes;
};

struct built_layer {
    tn_ref ref; /* in the graph that is being built; 0 = not yet */
    struct tn_shape output;
};

struct tn_network {
    struct tn_network_spec spec;
    struct tn_arena arena;
    struct parameter **parameters; /* in model order after create */
    size_t parameter_count, parameter_capacity;
    struct tn_shape output; /* of the last layer, batch 1 */
    uint64_t *layer_flops;  /* forward, one image */
    struct tn_shape *layer_outputs;
    uint64_t forward_flops, train_flops;
    struct program train, tail, infer, gradient; /* gradient: training without updates, made on demand by tests */
    const struct program *stepped; /* the training program that ran last, while its gradients stand; or NULL */
    struct tn_plan_request request;
    struct tn_plan_report report;
    struct tn_plan_layer *report_layers;
    void *step_arena, *lasting_arena;
    uint64_t step_bytes, lasting_bytes;
    int32_t slot_count;
    float *host_images, *host_targets, *host_weights, *host_losses, *host_predictions; /* padded batches of infer */
    int32_t host_batch;                                                                /* samples in each of these */
    uint32_t last_kind;    /* enum tn_op_kind of the op that makes the output; 0 = none */
    int32_t last_function; /* of an activation or softmax */
    bool complete;         /* all parameters are known */
    bool ready;            /* planned without a failure */
    struct tn_custom update_custom;
};

const struct tn_device *tn__device(const struct tn_network *network);

static inline void *tn__device_self(const struct tn_network *network)
{
    return network->spec.device->self;
}

/* Lives in the lasting arena. */
static inline bool tn__is_lasting(const struct tn_value *value)
{
    return value->role == TN_ROLE_PARAMETER || value->role == TN_ROLE_STATE || value->role == TN_ROLE_SLOT;
}

static inline uint64_t tn__rounded(uint64_t bytes, uint64_t to)
{
    return (bytes + to - 1) / to * to;
}

enum { PLACE_BYTES = 64, ARENA_BYTES = 4096 }; /* alignment of values, and of arenas */

/* Whether there is a loss to compute: an experiment without labels has none. */
static inline bool tn__has_loss(const struct tn_network *network)
{
    return network->spec.loss && network->spec.loss_target_count > 0;
}

/* layers.c: builds the forward graph of one program; refs of all layers go to `layers` (caller's, layer_count long). */
tn_status tn__build_layers(struct tn_network *network, struct tn_graph *graph, int32_t batch,
                           struct built_layer *layers, struct tn_value **images, struct tn_value **output,
                           struct tn_problems *problems);
/* program.c: builds, rewrites, differentiates, flattens. `updates`: with optimizer ops. */
tn_status tn__program_make(struct tn_network *network, struct program *program, int32_t batch, bool training,
                           bool updates, struct tn_error *error);
void tn__program_release(struct tn_network *network, struct program *program);
/* lifetime.c, before the device plans: dying bits, and when each value lives. */
void tn__lifetimes(struct program *program);
/* place.c, after: an offset in one arena for each value and scratch; op.scratch is 1 + offset until it is bound. */
tn_status tn__place(struct program *program, struct tn_error *error);
/* Turns offsets into addresses. */
void tn__bind_addresses(struct program *program, void *arena);
/* initialize.c */
tn_status tn__initialize(struct tn_network *network, struct tn_error *error);
/* report.c */
tn_status tn__report(struct tn_network *network, struct tn_error *error);

#endif
