/* graph.c: the list of values and ops. */
#include "graph/graph.h"

#include <stdlib.h>

struct tn_value *tn_graph_value(struct tn_graph *graph, int32_t role, const struct tn_shape *shape, const char *name)
{
    struct tn_value *value = tn_arena_take(&graph->arena, sizeof *value);
    struct tn_value_info *info = tn_arena_take(&graph->arena, sizeof *info);
    char *copy = tn_arena_string(&graph->arena, name);
    if (!value || !info || !copy) {
        graph->failed = true;
        return NULL;
    }
    value->role = role;
    value->data_type = TN_F32;
    value->shape = *shape;
    value->name = copy;
    value->core = info;
    info->storage = value;
    tn_graph_adopt(graph, value);
    return value;
}

void tn_graph_adopt(struct tn_graph *graph, struct tn_value *value)
{
    if (tn_grow(&graph->values, &graph->value_capacity, graph->value_count + 1, sizeof(struct tn_value *)) != TN_OK) {
        graph->failed = true;
        return;
    }
    value->id = (uint32_t)graph->value_count;
    graph->values[graph->value_count++] = value;
}

struct tn_op *tn_graph_op(struct tn_graph *graph, int32_t kind, int32_t phase, uint32_t inputs, uint32_t outputs,
                          const char *layer)
{
    struct tn_op *op = tn_arena_take(&graph->arena, sizeof *op);
    struct tn_value **slots = tn_arena_take(&graph->arena, (inputs + outputs + 1) * sizeof(struct tn_value *));
    if (!op || !slots ||
        tn_grow(&graph->ops, &graph->op_capacity, graph->op_count + 1, sizeof(struct tn_op *)) != TN_OK) {
        graph->failed = true;
        return NULL;
    }
    op->kind = kind;
    op->phase = phase;
    op->input_count = inputs;
    op->output_count = outputs;
    op->inputs = slots;
    op->outputs = slots + inputs;
    op->layer = layer;
    graph->ops[graph->op_count++] = op;
    return op;
}

void tn_op_output(struct tn_op *op, uint32_t i, struct tn_value *value)
{
    op->outputs[i] = value;
    if (value)
        tn_info(value)->producer = op;
}

void tn_graph_release(struct tn_graph *graph)
{
    free(graph->values);
    free(graph->ops);
    tn_arena_release(&graph->arena);
    *graph = (struct tn_graph){0};
}

uint64_t tn_shape_count(const struct tn_shape *shape, uint64_t limit)
{
    uint64_t count = 1;
    if (shape->rank < 0 || shape->rank > TN_MAX_RANK)
        return UINT64_MAX;
    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 1 || (uint64_t)shape->dims[i] > limit / count)
            return UINT64_MAX;
        count *= (uint64_t)shape->dims[i];
    }
    return count;
}

bool tn_shape_equal(const struct tn_shape *a, const struct tn_shape *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof a->dims[0]) == 0;
}

char *tn_shape_text(char *buffer, size_t size, const struct tn_shape *shape)
{
    size_t used = 0;
    int more = snprintf(buffer, size, "[");
    used += more > 0 ? (size_t)more : 0;
    for (int32_t i = 1; i < shape->rank && used < size; i++) {
        more = snprintf(buffer + used, size - used, "%s%d", i > 1 ? ", " : "", shape->dims[i]);
        used += more > 0 ? (size_t)more : 0;
    }
    if (used < size)
        (void)snprintf(buffer + used, size - used, "]");
    return buffer;
}

uint64_t tn_hash_text(const char *text, uint64_t start)
{
    uint64_t hash = start ^ 0xCBF29CE484222325u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001B3u;
    return hash;
}
