/* graph.h: a program while it is made: values and ops, the builder that layers use, derivatives, rewriting. */
#ifndef TENON_GRAPH_H
#define TENON_GRAPH_H

#include "base/base.h"
#include "tenon/plugin.h"

/* The core's own data of a value, behind tn_value.core. */
struct tn_value_info {
    struct tn_op *producer;    /* NULL: input, parameter */
    struct tn_value *gradient; /* while the backward pass is derived */
    bool needs_gradient;       /* depends on something trained */
    bool keep;                 /* read after the program: its place is not reused */
    uint32_t uses;             /* how many ops read it */
    int32_t first, last; /* op indices of its life; first -1 = before the program, last = op_count: until after it */
    struct tn_value *storage; /* whose place it shares; itself when its own */
    uint64_t offset;          /* in the arena */
};

struct tn_graph {
    struct tn_arena arena;
    struct tn_value **values;
    size_t value_count, value_capacity;
    struct tn_op **ops;
    size_t op_count, op_capacity;
    bool training;
    bool failed; /* memory ran out */
};

static inline struct tn_value_info *tn_info(const struct tn_value *value)
{
    return value->core;
}

/* NULL when memory is out (and graph->failed is set). */
struct tn_value *tn_graph_value(struct tn_graph *graph, int32_t role, const struct tn_shape *shape, const char *name);
/* Makes a value that lives outside of the graph (a parameter) part of it. */
void tn_graph_adopt(struct tn_graph *graph, struct tn_value *value);
/* Appends an op with room for inputs and outputs (all NULL). */
struct tn_op *tn_graph_op(struct tn_graph *graph, int32_t kind, int32_t phase, uint32_t inputs, uint32_t outputs,
                          const char *layer);
/* Sets output i and notes the producer. */
void tn_op_output(struct tn_op *op, uint32_t i, struct tn_value *value);
void tn_graph_release(struct tn_graph *graph);

/* ---- builder.c: what layers see ---- */
struct tn_builder_state {
    struct tn_builder builder; /* first: a tn_builder * is a tn_builder_state * */
    struct tn_graph *graph;
    const char *layer;  /* name of the layer in hand */
    char problem[1536]; /* first failure of the layer in hand; "" = none */
    uint32_t dropouts;  /* in this layer, to tell their streams apart */
    /* Finds or makes the parameter (layer, name); NULL with a problem set. */
    struct tn_value *(*parameter)(struct tn_builder_state *state, const char *name, const struct tn_shape *shape,
                                  const struct tn_initializer *initializer, int32_t trained);
    void *context;
};
void tn_builder_begin(struct tn_builder_state *state, struct tn_graph *graph);
tn_ref tn_builder_ref(struct tn_builder_state *state, const struct tn_value *value); /* 0 = not in the graph */
struct tn_value *tn_builder_value(struct tn_builder_state *state, tn_ref ref);
/* A layer with kernels of its own. */
enum { TN_MOST_OWN_INPUTS = 16 };
tn_ref tn_builder_custom(struct tn_builder_state *state, const struct tn_layer *layer, const void *self,
                         const tn_ref *inputs, uint32_t count);
/* Number of elements; UINT64_MAX when there are none, more than `limit`, or no such rank. */
uint64_t tn_shape_count(const struct tn_shape *shape, uint64_t limit);
bool tn_shape_equal(const struct tn_shape *a, const struct tn_shape *b);
/* "[150, 150, 3]" without the batch. */
char *tn_shape_text(char *buffer, size_t size, const struct tn_shape *shape);
uint64_t tn_hash_text(const char *text, uint64_t start); /* FNV-1a: stable names for random streams */

/* ---- activation.c ---- */
/* Keras' name of an activation to its parameters; false = unknown. */
bool tn_activation_by_name(const char *name, struct tn_activation *activation);
extern const char *const tn_activation_names[];

/* ---- rewrite.c, autodiff.c ---- */
/* Fuses what `fusions` (TN_FUSE_…) allows; `keep` are values that something outside of the graph reads. */
tn_status tn_graph_rewrite(struct tn_graph *graph, uint32_t fusions, struct tn_value *const *keep, size_t keep_count);
/* Appends the backward ops of everything that leads to `from`, whose gradient is `gradient`. Afterwards
 * tn_info(parameter)->gradient. */
tn_status tn_graph_differentiate(struct tn_graph *graph, struct tn_value *from, struct tn_value *gradient,
                                 struct tn_error *error);

#endif
