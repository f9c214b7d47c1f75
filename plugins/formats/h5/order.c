/* order.c: the order in which Keras counts. Its files number layers and the optimizer's variables by their place in
 * model.layers: a chain has it as written, a graph by depth from its end, and among layers of one depth by a walk that
 * begins there (keras/src/ops/function.py, map_graph). What is in a file under a number is found only by the same rule.
 */
#include <ctype.h>
#include <stdlib.h>

#include "h5.h"

/* ---- layers ---- */

/* What is known of a layer while the graph is walked. */
struct node {
    uint32_t index; /* in tn_weights */
    uint32_t depth; /* steps to the end of the network */
    uint32_t seen;  /* when the walk came by; layer_count: never, nobody reads it */
    uint32_t next;  /* input that is walked next */
    uint32_t came_from;
    uint32_t *parents; /* [input_count]; layer_count = the network's input */
};

static uint32_t find_layer(const struct tn_weights *weights, const char *name)
{
    uint32_t i = 0;
    while (i < weights->layer_count && strcmp(weights->layers[i].name, name) != 0)
        i++;
    return i;
}

/* From the last layer against the arrows, inputs in their order. */
static void walk(struct node *nodes, const struct tn_weights *weights)
{
    uint32_t none = weights->layer_count, at = none - 1, seen = 0;
    nodes[at].seen = seen++;
    nodes[at].came_from = none;
    while (at != none) {
        struct node *node = &nodes[at];
        if (node->next < weights->layers[at].input_count) {
            uint32_t parent = node->parents[node->next++];
            if (parent != none && nodes[parent].seen == none) {
                nodes[parent].seen = seen++;
                nodes[parent].came_from = at;
                at = parent;
            }
        } else {
            at = node->came_from;
        }
    }
}

static int by_depth(const void *a, const void *b)
{
    const struct node *x = a, *y = b;
    if (x->depth != y->depth)
        return x->depth > y->depth ? -1 : 1;
    if (x->seen != y->seen)
        return x->seen < y->seen ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* The longest way to the end. Layers stand behind what feeds them, so one pass from the end settles it. */
static void measure(struct node *nodes, const struct tn_weights *weights)
{
    for (uint32_t i = weights->layer_count; i-- > 0;)
        for (uint32_t k = 0; nodes[i].seen < weights->layer_count && k < weights->layers[i].input_count; k++) {
            uint32_t parent = nodes[i].parents[k];
            if (parent < weights->layer_count && nodes[parent].depth < nodes[i].depth + 1)
                nodes[parent].depth = nodes[i].depth + 1;
        }
}

static void sort_graph(struct node *nodes, uint32_t *parents, const struct tn_weights *weights, uint32_t *order)
{
    uint32_t count = weights->layer_count;
    for (uint32_t i = 0; i < count; i++) {
        nodes[i] = (struct node){.index = i, .seen = count, .parents = parents};
        for (uint32_t k = 0; k < weights->layers[i].input_count; k++)
            *parents++ = find_layer(weights, weights->layers[i].inputs[k]);
    }
    walk(nodes, weights);
    measure(nodes, weights);
    qsort(nodes, count, sizeof *nodes, by_depth);
    for (uint32_t i = 0; i < count; i++)
        order[i] = nodes[i].index;
}

uint32_t *h5_layer_order(const struct tn_weights *weights)
{
    size_t inputs = 1, count = weights->layer_count;
    uint32_t *order = calloc(count + 1, sizeof *order), *parents = NULL;
    struct node *nodes = NULL;
    for (uint32_t i = 0; order && i < count; i++) {
        order[i] = i;
        inputs += weights->layers[i].input_count;
    }
    if (!order || weights->sequential || count == 0)
        return order;
    parents = calloc(inputs, sizeof *parents);
    nodes = calloc(count, sizeof *nodes);
    if (parents && nodes) {
        sort_graph(nodes, parents, weights, order);
    } else {
        free(order);
        order = NULL;
    }
    free(parents);
    free(nodes);
    return order;
}

/* "MaxPooling2D" -> "max_pooling2d". Keras: "(.)([A-Z][a-z]+)" -> "\1_\2", then "([a-z])([A-Z])" -> "\1_\2", then
 * lower case. */
void h5_snake_case(const char *name, char key[NAME_BYTES])
{
    size_t used = 0;
    for (size_t i = 0; name[i] && used < NAME_BYTES - 16; i++) {
        bool upper = isupper((unsigned char)name[i]) != 0;
        bool word = upper && i > 0 && islower((unsigned char)name[i + 1]);
        bool after_lower = upper && i > 0 && islower((unsigned char)name[i - 1]);
        if ((word || after_lower) && key[used - 1] != '_')
            key[used++] = '_';
        key[used++] = name[i] == '/' ? '_' : (char)tolower((unsigned char)name[i]);
    }
    key[used] = '\0';
}

char (*h5_class_keys(const struct tn_weights *weights, const uint32_t *order))[NAME_BYTES]
{
    char(*keys)[NAME_BYTES] = calloc((size_t)weights->layer_count + 1, sizeof *keys);
    for (uint32_t i = 0; keys && i < weights->layer_count; i++) {
        const struct tn_weight_layer *layer = &weights->layers[order[i]];
        char *key = keys[order[i]];
        uint32_t before = 0;
        h5_snake_case(layer->keras_class ? layer->keras_class : layer->type_name, key);
        for (uint32_t k = 0; k < i; k++) {
            const struct tn_weight_layer *other = &weights->layers[order[k]];
            char other_key[NAME_BYTES];
            h5_snake_case(other->keras_class ? other->keras_class : other->type_name, other_key);
            before += strcmp(key, other_key) == 0;
        }
        if (before)
            (void)snprintf(key + strlen(key), 16, "_%u", (unsigned)before);
    }
    return keys;
}

/* ---- the optimizer's variables ---- */

/* Adam's two means stand together; all other slots follow kind by kind, as the optimizers' build() makes them. */
static int32_t slots_together(const struct tn_weights *weights, int32_t slot_count)
{
    const char *const *names = weights->slot_names;
    if (slot_count < 2)
        return 1;
    return !names || (strcmp(names[0], "momentum") == 0 && strcmp(names[1], "velocity") == 0) ? 2 : 1;
}

/* Slots `first` to `last` of each trained weight. */
static size_t add_slots(const struct tn_weights *weights, const uint32_t *order, int32_t first, int32_t last,
                        struct h5_slot *slots, size_t count)
{
    for (uint32_t i = 0; i < weights->layer_count; i++)
        for (uint32_t j = 0; j < weights->layers[order[i]].weight_count; j++) {
            const struct tn_weight *weight = &weights->layers[order[i]].weights[j];
            for (int32_t slot = first; weight->trained && slot < last && slot < weight->slot_count; slot++) {
                if (slots)
                    slots[count] = (struct h5_slot){order[i], j, slot};
                count++;
            }
        }
    return count;
}

static int32_t most_slots(const struct tn_weights *weights)
{
    int32_t most = 0;
    for (uint32_t i = 0; i < weights->layer_count; i++)
        for (uint32_t j = 0; j < weights->layers[i].weight_count; j++)
            if (weights->layers[i].weights[j].trained && weights->layers[i].weights[j].slot_count > most)
                most = weights->layers[i].weights[j].slot_count;
    return most < H5_MOST_SLOTS ? most : H5_MOST_SLOTS;
}

static size_t all_slots(const struct tn_weights *weights, const uint32_t *order, bool by_kind, struct h5_slot *slots)
{
    int32_t most = most_slots(weights), together = by_kind ? 1 : slots_together(weights, most);
    size_t count = 0;
    for (int32_t slot = 0, next; slot < most; slot = next) {
        next = slot == 0 ? together : slot + 1;
        count = add_slots(weights, order, slot, next, slots, count);
    }
    return count;
}

struct h5_slot *h5_slot_order(const struct tn_weights *weights, const uint32_t *order, bool by_kind, size_t *count)
{
    struct h5_slot *slots;
    *count = all_slots(weights, order, by_kind, NULL);
    slots = calloc(*count + 1, sizeof *slots);
    if (slots)
        (void)all_slots(weights, order, by_kind, slots);
    return slots;
}
