/* lifetime.c: when each value of a program lives, and which inputs die with an op, so that it may write over them. */
#include "plan/internal.h"

/* Whether op input `k` is read, and not only named for its shape and layout. */
static bool is_read(const struct tn_op *op, uint32_t k)
{
    return op->inputs[k] && (k >= 64 || !(op->layout_only >> k & 1));
}

static void begin_lives(struct program *program, int32_t end)
{
    for (uint32_t i = 0; i < program->program.value_count; i++) {
        struct tn_value *value = program->program.values[i];
        struct tn_value_info *info = tn_info(value);
        info->first = value->role == TN_ROLE_INPUT || value->role == TN_ROLE_TARGET ? -1 : end;
        info->last = value->role == TN_ROLE_OUTPUT || info->keep ? end : -1;
        info->storage = value;
    }
}

static uint32_t times_read(const struct tn_op *op, const struct tn_value *value)
{
    uint32_t times = 0;
    for (uint32_t k = 0; k < op->input_count; k++)
        times += op->inputs[k] == value;
    return times;
}

static uint64_t dying_inputs(const struct tn_op *op, int32_t index)
{
    uint64_t dying = 0;
    for (uint32_t k = 0; k < op->input_count && k < 64; k++)
        if (is_read(op, k) && !tn__is_lasting(op->inputs[k]) && tn_info(op->inputs[k])->last == index &&
            times_read(op, op->inputs[k]) == 1)
            dying |= (uint64_t)1 << k;
    return dying;
}

void tn__lifetimes(struct program *program)
{
    int32_t end = (int32_t)program->program.op_count;
    begin_lives(program, end);
    for (int32_t i = 0; i < end; i++) {
        const struct tn_op *op = &program->ops[i];
        for (uint32_t k = 0; k < op->output_count; k++) {
            struct tn_value_info *info = op->outputs[k] ? tn_info(op->outputs[k]) : NULL;
            if (info) {
                info->first = info->first < i ? info->first : i;
                info->last = info->last > i ? info->last : i;
            }
        }
        for (uint32_t k = 0; k < op->input_count; k++)
            if (is_read(op, k) && tn_info(op->inputs[k])->last < i)
                tn_info(op->inputs[k])->last = i;
    }
    for (int32_t i = 0; i < end; i++)
        program->ops[i].dying = dying_inputs(&program->ops[i], i);
}
