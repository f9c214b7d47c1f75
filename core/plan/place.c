/* place.c: one arena in which values that never live together share their place.
 *
 * Pieces are placed one after the other at the lowest offset where nothing that lives at the same time is in the way.
 * No order of placing is the best for every network, so that a few are tried and the smallest arena is taken. */
#include <stdlib.h>

#include "plan/internal.h"

/* Something that needs a place: a value, or the scratch of one op. */
struct piece {
    struct tn_value *value;
    struct tn_op *op;
    uint64_t bytes, offset;
    int32_t first, last; /* ops of its life */
    size_t index;        /* decides where nothing else does: the same plan everywhere */
};

struct pieces {
    struct piece *items;
    struct piece **placed; /* by offset */
    size_t count;
};

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
        const struct tn_op *op = &program->ops[i];
        struct tn_value *output = op->output_count ? op->outputs[0] : NULL, *root;
        uint32_t k = op->overwrites - 1;
        if (!op->overwrites)
            continue;
        if (k >= op->input_count || k >= 64 || !(op->dying >> k & 1) || !output || op->inputs[k]->bytes < output->bytes)
            return tn_fail(error, TN_FAILED, "[layer:%s] the device writes over an input that it may not overwrite",
                           op->layer);
        root = root_of(op->inputs[k]);
        tn_info(output)->storage = root;
        if (tn_info(output)->last > tn_info(root)->last)
            tn_info(root)->last = tn_info(output)->last;
    }
    return TN_OK;
}

static void add_piece(struct pieces *pieces, struct tn_value *value, struct tn_op *op, uint64_t bytes, int32_t first,
                      int32_t last)
{
    size_t index = pieces->count++;
    pieces->items[index] = (struct piece){value, op, tn__rounded(bytes, PLACE_BYTES), 0, first, last, index};
}

static void collect(struct program *program, struct pieces *pieces)
{
    for (uint32_t i = 0; i < program->program.value_count; i++) {
        struct tn_value *value = program->program.values[i];
        const struct tn_value_info *info = tn_info(value);
        if (!tn__is_lasting(value) && info->storage == value && info->first <= info->last && value->bytes)
            add_piece(pieces, value, NULL, value->bytes, info->first, info->last);
    }
    for (uint32_t i = 0; i < program->program.op_count; i++) {
        struct tn_op *op = &program->ops[i];
        if (op->scratch_bytes)
            add_piece(pieces, NULL, op, op->scratch_bytes, (int32_t)i, (int32_t)i);
        if (op->scratch_bytes > program->scratch_bytes)
            program->scratch_bytes = op->scratch_bytes;
    }
}

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static uint64_t length(const struct piece *piece)
{
    return (uint64_t)((int64_t)piece->last - piece->first);
}

static int larger_first(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    int order = compare(y->bytes, x->bytes);
    if (!order)
        order = compare(length(y), length(x));
    return order ? order : compare(x->index, y->index);
}

static int longer_first(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    int order = compare(length(y), length(x));
    if (!order)
        order = compare(y->bytes, x->bytes);
    return order ? order : compare(x->index, y->index);
}

static int earlier_first(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    int order = (x->first > y->first) - (x->first < y->first);
    return order ? order : larger_first(a, b);
}

/* Places all pieces in their order; returns the bytes that it takes. */
static uint64_t pack(struct pieces *pieces)
{
    uint64_t total = 0;
    for (size_t i = 0; i < pieces->count; i++) {
        struct piece *piece = &pieces->items[i];
        size_t at = i;
        piece->offset = 0;
        for (size_t k = 0; k < i; k++) {
            const struct piece *other = pieces->placed[k];
            bool together = other->first <= piece->last && piece->first <= other->last;
            if (together && other->offset >= piece->offset + piece->bytes)
                break;
            if (together && other->offset + other->bytes > piece->offset)
                piece->offset = other->offset + other->bytes;
        }
        while (at > 0 && pieces->placed[at - 1]->offset > piece->offset) {
            pieces->placed[at] = pieces->placed[at - 1];
            at--;
        }
        pieces->placed[at] = piece;
        if (piece->offset + piece->bytes > total)
            total = piece->offset + piece->bytes;
    }
    return total;
}

static uint64_t pack_best(struct pieces *pieces)
{
    int (*const orders[])(const void *, const void *) = {larger_first, longer_first, earlier_first};
    uint64_t least = UINT64_MAX, bytes = UINT64_MAX;
    size_t best = 0;
    for (size_t i = 0; i < TN_COUNT_OF(orders); i++) {
        qsort(pieces->items, pieces->count, sizeof *pieces->items, orders[i]);
        bytes = pack(pieces);
        if (bytes < least) {
            least = bytes;
            best = i;
        }
    }
    if (bytes != least) {
        qsort(pieces->items, pieces->count, sizeof *pieces->items, orders[best]);
        (void)pack(pieces);
    }
    return least;
}

tn_status tn__place(struct program *program, struct tn_error *error)
{
    size_t most = (size_t)program->program.value_count + program->program.op_count + 1;
    struct pieces pieces = {calloc(most, sizeof *pieces.items), calloc(most, sizeof(struct piece *)), 0};
    tn_status status =
        pieces.items && pieces.placed ? share(program, error) : tn_fail(error, TN_NO_MEMORY, "no memory for the plan");
    program->arena_bytes = program->scratch_bytes = 0;
    if (status != TN_OK)
        goto out;
    collect(program, &pieces);
    program->arena_bytes = pack_best(&pieces);
    for (size_t i = 0; i < pieces.count; i++) {
        const struct piece *piece = &pieces.items[i];
        if (piece->value)
            tn_info(piece->value)->offset = piece->offset;
        else
            piece->op->scratch = (void *)(uintptr_t)(piece->offset + 1);
    }
    for (uint32_t i = 0; i < program->program.value_count; i++) {
        struct tn_value *value = program->program.values[i];
        if (!tn__is_lasting(value))
            tn_info(value)->offset = tn_info(root_of(value))->offset;
    }
out:
    free(pieces.items);
    free(pieces.placed);
    return status;
}

void tn__bind_addresses(struct program *program, void *arena)
{
    for (uint32_t i = 0; i < program->program.value_count; i++) {
        struct tn_value *value = program->program.values[i];
        value->id = i; /* parameters belong to several programs */
        if (!tn__is_lasting(value))
            value->data = (char *)arena + tn_info(value)->offset;
    }
    for (uint32_t i = 0; i < program->program.op_count; i++) {
        struct tn_op *op = &program->ops[i];
        if (op->scratch_bytes)
            op->scratch = (char *)arena + ((uintptr_t)op->scratch - 1);
    }
}
