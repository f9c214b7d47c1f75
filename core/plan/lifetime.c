/* lifetime.c: when each value lives, and one arena in which values that never live together share their place. */
#include <stdlib.h>

#include "plan/internal.h"

enum { ALIGNMENT = 64 };

static bool is_lasting(const struct tn_value *value)
{
    return value->role == TN_ROLE_PARAMETER || value->role == TN_ROLE_STATE || value->role == TN_ROLE_SLOT;
}

void tn__lifetimes(struct program *program)
{
    int32_t end = (int32_t)program->program.op_count;
    for (uint32_t i = 0; i < program->program.value_count; i++) {
        struct tn_value_info *info = tn_info(program->program.values[i]);
        int32_t role = program->program.values[i]->role;
        info->first = role == TN_ROLE_INPUT || role == TN_ROLE_TARGET ? -1 : end;
        info->last = role == TN_ROLE_OUTPUT || info->keep ? end : -1;
        info->storage = program->program.values[i];
    }
    for (int32_t i = 0; i < end; i++) {
        struct tn_op *op = &program->ops[i];
        for (uint32_t k = 0; k < op->output_count; k++) {
            struct tn_value_info *info = op->outputs[k] ? tn_info(op->outputs[k]) : NULL;
            if (info) {
                info->first = info->first < i ? info->first : i;
                info->last = info->last > i ? info->last : i;
            }
        }
        for (uint32_t k = 0; k < op->input_count; k++)
            if (op->inputs[k] && !(op->layout_only >> k & 1) && tn_info(op->inputs[k])->last < i)
                tn_info(op->inputs[k])->last = i;
    }
    for (int32_t i = 0; i < end; i++) {
        struct tn_op *op = &program->ops[i];
        op->dying = 0;
        for (uint32_t k = 0; k < op->input_count && k < 64; k++) {
            const struct tn_value *value = op->inputs[k];
            bool twice = false;
            for (uint32_t n = 0; n < op->input_count; n++)
                twice = twice || (n != k && op->inputs[n] == value);
            if (value && !is_lasting(value) && tn_info(value)->last == i && !twice && !(op->layout_only >> k & 1))
                op->dying |= (uint64_t)1 << k;
        }
    }
}

static struct tn_value *root_of(struct tn_value *value)
{
    while (tn_info(value)->storage != value)
        value = tn_info(value)->storage;
    return value;
}

/* Follows the device's wishes to write an output over a dying input. */
static tn_status share(struct program *program, struct tn_error *error)
{
    for (uint32_t i = 0; i < program->program.op_count; i++) {
        struct tn_op *op = &program->ops[i];
        uint32_t k = op->overwrites - 1;
        struct tn_value *root;
        if (!op->overwrites)
            continue;
        if (k >= op->input_count || k >= 64 || !(op->dying >> k & 1) || op->inputs[k]->bytes < op->outputs[0]->bytes)
            return tn_fail(error, TN_FAILED, "[layer:%s] the device writes over an input that it may not overwrite",
                           op->layer);
        root = root_of(op->inputs[k]);
        tn_info(op->outputs[0])->storage = root;
        if (tn_info(op->outputs[0])->last > tn_info(root)->last)
            tn_info(root)->last = tn_info(op->outputs[0])->last;
    }
    return TN_OK;
}

/* Something that needs a place: a value, or the scratch of one op. */
struct piece {
    struct tn_value *value;
    struct tn_op *op;
    uint64_t bytes, offset;
    int32_t first, last;
};

static int larger_first(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->first != y->first ? (x->first > y->first) - (x->first < y->first)
                                : (x->last > y->last) - (x->last < y->last);
}

static int lower_first(const void *a, const void *b)
{
    const struct piece *x = *(const struct piece *const *)a, *y = *(const struct piece *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Lowest gap among the pieces already placed that live at the same time. */
static uint64_t find_offset(const struct piece *piece, struct piece *placed, size_t count, struct piece **near)
{
    size_t conflicts = 0;
    uint64_t offset = 0;
    for (size_t i = 0; i < count; i++)
        if (placed[i].first <= piece->last && piece->first <= placed[i].last)
            near[conflicts++] = &placed[i];
    qsort(near, conflicts, sizeof *near, lower_first);
    for (size_t i = 0; i < conflicts; i++) {
        if (near[i]->offset >= offset + piece->bytes)
            break;
        if (near[i]->offset + near[i]->bytes > offset)
            offset = near[i]->offset + near[i]->bytes;
    }
    return offset;
}

static uint64_t rounded(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

tn_status tn__place(struct program *program, struct tn_error *error)
{
    size_t most = (size_t)program->program.value_count + program->program.op_count, count = 0;
    struct piece *pieces = calloc(most + 1, sizeof *pieces);
    struct piece **near = calloc(most + 1, sizeof *near);
    tn_status status = pieces && near ? share(program, error) : tn_fail(error, TN_NO_MEMORY, "no memory for the plan");
    program->arena_bytes = program->scratch_bytes = 0;
    for (uint32_t i = 0; status == TN_OK && i < program->program.value_count; i++) {
        struct tn_value *value = program->program.values[i];
        const struct tn_value_info *info = tn_info(value);
        if (!is_lasting(value) && info->storage == value && info->first <= info->last && value->bytes)
            pieces[count++] = (struct piece){value, NULL, rounded(value->bytes), 0, info->first, info->last};
    }
    for (uint32_t i = 0; status == TN_OK && i < program->program.op_count; i++) {
        struct tn_op *op = &program->ops[i];
        if (op->scratch_bytes)
            pieces[count++] = (struct piece){NULL, op, rounded(op->scratch_bytes), 0, (int32_t)i, (int32_t)i};
        if (op->scratch_bytes > program->scratch_bytes)
            program->scratch_bytes = op->scratch_bytes;
    }
    if (status == TN_OK)
        qsort(pieces, count, sizeof *pieces, larger_first);
    for (size_t i = 0; status == TN_OK && i < count; i++) {
        pieces[i].offset = find_offset(&pieces[i], pieces, i, near);
        if (pieces[i].offset + pieces[i].bytes > program->arena_bytes)
            program->arena_bytes = pieces[i].offset + pieces[i].bytes;
        if (pieces[i].value)
            tn_info(pieces[i].value)->offset = pieces[i].offset;
        else
            pieces[i].op->scratch = (void *)(uintptr_t)(pieces[i].offset + 1); /* becomes an address in bind */
    }
    for (uint32_t i = 0; status == TN_OK && i < program->program.value_count; i++) {
        struct tn_value *value = program->program.values[i], *root = is_lasting(value) ? value : root_of(value);
        if (root != value)
            tn_info(value)->offset = tn_info(root)->offset;
    }
    free(pieces);
    free(near);
    return status;
}
