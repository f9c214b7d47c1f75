/* plan.c: a program becomes kernels, is bound to addresses, and runs. */
#include "plan.h"

#include <stdlib.h>

/* Indexed by enum tn_op_kind; NULL = no such op. */
static const tn_planner planners[] = {
    [TN_OP_CAST] = tn_plan_cast,
    [TN_OP_CONV2D] = tn_plan_convolution,
    [TN_OP_DENSE] = tn_plan_dense,
    [TN_OP_POOL] = tn_plan_pool,
    [TN_OP_BATCH_NORM] = tn_plan_norm,
    [TN_OP_ACTIVATION] = tn_plan_activation,
    [TN_OP_SOFTMAX] = tn_plan_softmax,
    [TN_OP_BINARY] = tn_plan_binary,
    [TN_OP_CONCAT] = tn_plan_concat,
    [TN_OP_RESHAPE] = tn_plan_reshape,
    [TN_OP_DROPOUT] = tn_plan_dropout,
    [TN_OP_GLOBAL_POOL] = tn_plan_global_pool,
    [TN_OP_REDUCE_SUM] = tn_plan_reduce_sum,
    [TN_OP_COPY] = tn_plan_copy,
    [TN_OP_LOSS] = tn_plan_loss,
    [TN_OP_CUSTOM] = tn_plan_custom,
    [TN_OP_CONV2D_GRADIENT] = tn_plan_convolution_gradient,
    [TN_OP_DENSE_GRADIENT] = tn_plan_dense_gradient,
    [TN_OP_POOL_GRADIENT] = tn_plan_pool_gradient,
    [TN_OP_BATCH_NORM_GRADIENT] = tn_plan_norm_gradient,
    [TN_OP_ACTIVATION_GRADIENT] = tn_plan_activation_gradient,
    [TN_OP_SOFTMAX_GRADIENT] = tn_plan_softmax_gradient,
    [TN_OP_BINARY_GRADIENT] = tn_plan_binary_gradient,
    [TN_OP_CONCAT_GRADIENT] = tn_plan_concat_gradient,
    [TN_OP_DROPOUT_GRADIENT] = tn_plan_dropout_gradient,
    [TN_OP_GLOBAL_POOL_GRADIENT] = tn_plan_global_pool_gradient,
    [TN_OP_REDUCE_SUM_GRADIENT] = tn_plan_reduce_sum_gradient,
    [TN_OP_CAST_GRADIENT] = tn_plan_cast_gradient,
    [TN_OP_CUSTOM_GRADIENT] = tn_plan_custom_gradient,
    [TN_OP_ACCUMULATE] = tn_plan_accumulate,
    [TN_OP_UPDATE] = tn_plan_update,
};

static bool is_persistent(const struct tn_value *value)
{
    return value->role == TN_ROLE_PARAMETER || value->role == TN_ROLE_STATE || value->role == TN_ROLE_SLOT;
}

static tn_status check_shape(const struct tn_value *value, struct tn_error *error)
{
    uint64_t count = 1;
    if (value->shape.rank < 0 || value->shape.rank > TN_MAX_RANK)
        return tn_fail(error, TN_INVALID, "value \"%s\" has rank %d", value->name ? value->name : "?",
                       (int)value->shape.rank);
    for (int32_t i = 0; i < value->shape.rank; i++) {
        if (value->shape.dims[i] <= 0)
            return tn_fail(error, TN_INVALID, "value \"%s\" has a dimension of %d", value->name ? value->name : "?",
                           (int)value->shape.dims[i]);
        count *= (uint64_t)value->shape.dims[i];
        if (count > (uint64_t)1 << 40)
            return tn_fail(error, TN_UNSUPPORTED, "value \"%s\" has too many elements",
                           value->name ? value->name : "?");
    }
    return TN_OK;
}

static tn_status check_op(const struct tn_op *op, struct tn_error *error)
{
    if (op->kind < 0 || op->kind >= (int32_t)(sizeof planners / sizeof *planners) || !planners[op->kind])
        return tn_fail(error, TN_UNSUPPORTED, "layer \"%s\": the cpu device has no op of kind %d", op->layer,
                       (int)op->kind);
    for (uint32_t i = 0; i < op->input_count; i++)
        if (op->inputs[i] && check_shape(op->inputs[i], error) != TN_OK)
            return tn_error_wrap(error, TN_INVALID, "layer \"%s\"", op->layer);
    for (uint32_t i = 0; i < op->output_count; i++)
        if (op->outputs[i] && check_shape(op->outputs[i], error) != TN_OK)
            return tn_error_wrap(error, TN_INVALID, "layer \"%s\"", op->layer);
    return TN_OK;
}

static tn_status plan_op(struct tn_cpu *cpu, const struct tn_program *program, struct tn_op *op, struct tn_error *error)
{
    struct tn_planning planning = {.cpu = cpu, .program = program, .op = op, .error = error};
    tn_status status = check_op(op, error);
    if (status != TN_OK)
        return status;
    planning.kernel = calloc(1, sizeof *planning.kernel);
    if (!planning.kernel)
        return tn_fail(error, TN_NO_MEMORY, "layer \"%s\": out of memory", op->layer);
    op->kernel = planning.kernel; /* forget() frees it, also after a failure */
    planners[op->kind](&planning);
    tn_plan_finish(&planning);
    /* What the op did not place: gradients and activations nobody touches, unused workspaces. */
    for (uint32_t i = 0; i < op->output_count && planning.status == TN_OK; i++) {
        struct tn_value *value = op->outputs[i];
        if (value && !value->planned && value->role == TN_ROLE_WORKSPACE)
            value->planned = 1, value->bytes = 0;
        else if (value)
            tn_plan_layout(&planning, value);
    }
    return planning.status;
}

static tn_status plan_values(struct tn_cpu *cpu, struct tn_program *program, struct tn_error *error)
{
    for (uint32_t i = 0; i < program->value_count; i++) {
        struct tn_value *value = program->values[i];
        bool shared = value->role == TN_ROLE_INPUT || value->role == TN_ROLE_TARGET || value->role == TN_ROLE_OUTPUT;
        const struct tn_layout *layout;
        tn_status status = check_shape(value, error);
        if (status != TN_OK)
            return status;
        if (value->planned || !shared)
            continue;
        layout = tn_layout_plain(cpu, &value->shape, value->data_type);
        if (!layout)
            return tn_fail(error, TN_NO_MEMORY, "out of memory");
        value->layout = (void *)(uintptr_t)layout;
        value->plain = 1;
        value->bytes = layout->bytes;
        value->planned = 1;
    }
    return TN_OK;
}

/* Values that no op touched. */
static void plan_rest(struct tn_cpu *cpu, struct tn_program *program)
{
    for (uint32_t i = 0; i < program->value_count; i++) {
        struct tn_value *value = program->values[i];
        const struct tn_layout *layout;
        if (value->planned || value->role == TN_ROLE_SLOT)
            continue;
        layout = tn_layout_plain(cpu, &value->shape, value->data_type);
        if (!layout)
            continue;
        value->layout = (void *)(uintptr_t)layout;
        value->plain = 1;
        value->bytes = value->role == TN_ROLE_WORKSPACE ? 0 : layout->bytes;
        value->planned = 1;
    }
}

tn_status tn_program_plan(void *self, struct tn_program *program, struct tn_error *error)
{
    struct tn_cpu *cpu = self;
    struct tn_parallel_state state;
    tn_status status = TN_OK;
    for (uint32_t i = 0; i < program->op_count; i++) {
        struct tn_op *op = &program->ops[i];
        op->kernel = NULL;
        op->scratch_bytes = 0;
        op->overwrites = 0;
        op->algorithm = NULL;
    }
    state = tn_parallel_enter(cpu); /* the number of threads is built into every kernel */
    status = plan_values(cpu, program, error);
    for (uint32_t i = 0; i < program->op_count && status == TN_OK; i++)
        status = plan_op(cpu, program, &program->ops[i], error);
    if (status == TN_OK)
        plan_rest(cpu, program);
    tn_parallel_leave(state);
    if (status != TN_OK)
        tn_program_forget(self, program);
    return status;
}

tn_status tn_program_bind(void *self, struct tn_program *program, struct tn_error *error)
{
    tn_status status = TN_OK;
    for (uint32_t i = 0; i < program->op_count && status == TN_OK; i++) {
        if (!program->ops[i].kernel)
            return tn_fail(error, TN_FAILED, "the program has not been planned");
        status = tn_kernel_bind(self, program->ops[i].kernel, &program->ops[i], error);
    }
    return status;
}

tn_status tn_program_run(void *self, struct tn_program *program, uint32_t first, uint32_t last,
                         const struct tn_step *step, struct tn_error *error)
{
    struct tn_run run = {self, step, error};
    struct tn_parallel_state state;
    tn_status status = TN_OK;
    if (last > program->op_count)
        return tn_fail(error, TN_FAILED, "op %u of %u does not exist", (unsigned)last, (unsigned)program->op_count);
    state = tn_parallel_enter(self);
    for (uint32_t i = first; i < last && status == TN_OK; i++)
        status = tn_kernel_run(program->ops[i].kernel, &program->ops[i], &run);
    tn_parallel_leave(state);
    return status;
}

void tn_value_forget(void *self, struct tn_value *value)
{
    (void)self; /* the layout itself is shared and lives as long as the device */
    value->layout = NULL;
    value->planned = 0;
    value->plain = 0;
    value->bytes = 0;
}

void tn_program_forget(void *self, struct tn_program *program)
{
    for (uint32_t i = 0; i < program->op_count; i++) {
        tn_kernel_free(program->ops[i].kernel);
        program->ops[i].kernel = NULL;
    }
    for (uint32_t i = 0; i < program->value_count; i++)
        if (!is_persistent(program->values[i]))
            tn_value_forget(self, program->values[i]);
}
