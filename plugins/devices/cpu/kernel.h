/* kernel.h: what a planned op consists of, and how the op_….c files build it.
 *
 * A kernel is a row of stages (primitives of oneDNN with their arguments) with at most one body (a function of ours)
 * among them. Addresses are not known while planning: stages and bodies name places, which bind() resolves.
 *
 * Planning is sticky: after the first failure every tn_plan_… call does nothing, so that an op's plan function reads
 * straight down and plan.c checks once.
 */
#ifndef TENON_CPU_KERNEL_H
#define TENON_CPU_KERNEL_H

#include "cpu.h"
#include "layout.h"

enum tn_place_base {
    TN_PLACE_NOWHERE = 0,
    TN_PLACE_INPUT = 1, /* index: which */
    TN_PLACE_OUTPUT = 2,
    TN_PLACE_SCRATCH = 3,
    TN_PLACE_SCRATCHPAD = 4, /* of primitives; shared by all stages of an op */
};

struct tn_place {
    int32_t base;
    uint32_t index;
    uint64_t offset;
    uint64_t step; /* bytes from one chunk of images to the next; 0 = the same place for all */
};

enum { TN_STAGE_ARGUMENTS = 12 };

struct tn_stage {
    dnnl_primitive_desc_t descriptor;
    dnnl_primitive_t primitive;
    uint32_t count;
    bool moves; /* an argument has a step */
    struct tn_place places[TN_STAGE_ARGUMENTS];
    char *addresses[TN_STAGE_ARGUMENTS];
    dnnl_exec_arg_t arguments[TN_STAGE_ARGUMENTS];
};

struct tn_kernel;

/* What a body may use during a step. */
struct tn_run {
    struct tn_cpu *cpu;
    const struct tn_step *step;
    struct tn_error *error;
};

typedef tn_status (*tn_body)(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run);

struct tn_kernel {
    struct tn_stage *stages;
    uint32_t stage_count;
    uint32_t stages_before, stages_after; /* [0, before) run before the body, [after, count) after it; the body itself
                                             runs those between, as often as it likes */
    struct tn_place *places;              /* that the body asked for, */
    char **addresses;                     /* and where they are; NULL for TN_PLACE_NOWHERE */
    uint32_t place_count;
    uint64_t scratchpad_offset;
    tn_body body;
    void *details; /* the op's own, from tn_plan_details */
};

/* The state of planning one op. */
struct tn_planning {
    struct tn_cpu *cpu;
    const struct tn_program *program;
    struct tn_op *op;
    struct tn_kernel *kernel;
    uint64_t scratchpad_bytes;
    struct {
        uint32_t output;
        const struct tn_layout *layout;
        struct tn_place place;
    } pending[8]; /* outputs to convert after the body */
    uint32_t pending_count;
    tn_status status;
    struct tn_error *error;
};

/* ---- planning ---- */

/* Records the first failure, with the layer's name before it. */
TN_PRINTF(3, 4) void tn_plan_fail(struct tn_planning *planning, tn_status status, const char *format, ...);
/* Fails for a status other than success. */
void tn_plan_check(struct tn_planning *planning, dnnl_status_t status, const char *what);
void *tn_plan_details(struct tn_planning *planning, uint64_t bytes);
struct tn_place tn_plan_scratch(struct tn_planning *planning, uint64_t bytes);

TN_INLINE struct tn_place tn_place_input(uint32_t index)
{
    struct tn_place place = {TN_PLACE_INPUT, index, 0, 0};
    return place;
}
TN_INLINE struct tn_place tn_place_output(uint32_t index)
{
    struct tn_place place = {TN_PLACE_OUTPUT, index, 0, 0};
    return place;
}

/* Input or output that may be absent. */
struct tn_value *tn_plan_value(const struct tn_planning *planning, uint32_t input);
struct tn_value *tn_plan_result(const struct tn_planning *planning, uint32_t output);
/* The input's layout; plain is chosen now for a value that nobody has planned yet. */
const struct tn_layout *tn_plan_layout(struct tn_planning *planning, struct tn_value *value);
void tn_plan_set_layout(struct tn_planning *planning, struct tn_value *value, const struct tn_layout *layout);
/* May this op choose the layout? Not when it is planned, or shared with the host. */
bool tn_plan_is_free(const struct tn_value *value);

/* The place of an input in the given layout: itself, or a copy that a stage added here makes. */
struct tn_place tn_plan_input(struct tn_planning *planning, uint32_t input, const struct tn_layout *layout);
/* The place where the op has to put an output in the given layout: the value gets this layout if it is free, else a
 * conversion follows the body. */
struct tn_place tn_plan_output(struct tn_planning *planning, uint32_t output, const struct tn_layout *layout);
/* Lets output 0 live in the place of the input if that is allowed; both must be used in their own layouts. */
void tn_plan_overwrite(struct tn_planning *planning, uint32_t input);
bool tn_plan_may_overwrite(const struct tn_planning *planning, uint32_t input);

/* Adds a stage; owns the descriptor from here on, also on failure. */
uint32_t tn_plan_stage(struct tn_planning *planning, dnnl_primitive_desc_t descriptor);
void tn_plan_argument(struct tn_planning *planning, uint32_t stage, int name, tn_const_md md, struct tn_place place);
uint32_t tn_plan_reorder(struct tn_planning *planning, tn_const_md from, struct tn_place from_place, tn_const_md to,
                         struct tn_place to_place);
/* Sets the body; stages added from here on run after it. Places that it wants are numbered from 0 in order of
 * tn_plan_body_place calls. */
void tn_plan_body(struct tn_planning *planning, tn_body body);
/* The stages added since tn_plan_body belong to the body; later ones run after it. */
void tn_plan_body_end(struct tn_planning *planning);
uint32_t tn_plan_body_place(struct tn_planning *planning, struct tn_place place);
/* What `tenon plan` calls a kernel of oneDNN: one of a few static texts. */
const char *tn_algorithm(const char *kernel_name);
/* Adds what is pending, settles scratch. */
void tn_plan_finish(struct tn_planning *planning);

/* ---- binding and running ---- */

tn_status tn_kernel_bind(struct tn_cpu *cpu, struct tn_kernel *kernel, const struct tn_op *op, struct tn_error *error);
tn_status tn_kernel_run(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run);
void tn_kernel_free(struct tn_kernel *kernel);

/* For bodies that run stages: those of chunk `chunk`. */
tn_status tn_stage_run(const struct tn_stage *stage, uint64_t chunk, const struct tn_op *op, const struct tn_run *run);
/* Points an argument elsewhere. */
void tn_stage_point(const struct tn_stage *stage, int name, char *address);

/* A body's place. */
TN_INLINE char *tn_place(const struct tn_kernel *kernel, uint32_t index)
{
    return kernel->addresses[index];
}
TN_INLINE float *tn_floats(const struct tn_kernel *kernel, uint32_t index)
{
    return (float *)(void *)kernel->addresses[index];
}

/* ---- the op families (op_….c) ---- */

typedef void (*tn_planner)(struct tn_planning *planning);
void tn_plan_cast(struct tn_planning *planning);
void tn_plan_cast_gradient(struct tn_planning *planning);
void tn_plan_convolution(struct tn_planning *planning);
void tn_plan_convolution_gradient(struct tn_planning *planning);
void tn_plan_dense(struct tn_planning *planning);
void tn_plan_dense_gradient(struct tn_planning *planning);
void tn_plan_pool(struct tn_planning *planning);
void tn_plan_pool_gradient(struct tn_planning *planning);
void tn_plan_norm(struct tn_planning *planning);
void tn_plan_norm_gradient(struct tn_planning *planning);
void tn_plan_activation(struct tn_planning *planning);
void tn_plan_activation_gradient(struct tn_planning *planning);
void tn_plan_softmax(struct tn_planning *planning);
void tn_plan_softmax_gradient(struct tn_planning *planning);
void tn_plan_binary(struct tn_planning *planning);
void tn_plan_binary_gradient(struct tn_planning *planning);
void tn_plan_concat(struct tn_planning *planning);
void tn_plan_concat_gradient(struct tn_planning *planning);
void tn_plan_reshape(struct tn_planning *planning);
void tn_plan_copy(struct tn_planning *planning);
void tn_plan_dropout(struct tn_planning *planning);
void tn_plan_dropout_gradient(struct tn_planning *planning);
void tn_plan_global_pool(struct tn_planning *planning);
void tn_plan_global_pool_gradient(struct tn_planning *planning);
void tn_plan_reduce_sum(struct tn_planning *planning);
void tn_plan_reduce_sum_gradient(struct tn_planning *planning);
void tn_plan_accumulate(struct tn_planning *planning);
void tn_plan_loss(struct tn_planning *planning);
void tn_plan_custom(struct tn_planning *planning);
void tn_plan_custom_gradient(struct tn_planning *planning);
void tn_plan_update(struct tn_planning *planning);

#endif
