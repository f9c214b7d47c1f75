/* legacy.c: Keras' legacy layout: layer_names and a group for each layer with weight_names. Weights are matched by
 * order, as Keras does it, since names differ between its versions; layers too, unless the file has all of ours by
 * name.
 */
#include <stdlib.h>

#include "read.h"

/* What is walked through: the layers in the order in which the file has them. */
struct layers {
    struct tn_weight_layer *all;
    const uint32_t *order;
    uint32_t count;
};

static struct tn_weight_layer *layer_at(const struct layers *layers, uint32_t place)
{
    return &layers->all[layers->order[place]];
}

/* Weight number `index` of `count` layers from `first` on, in Keras' order for a group: what is trained of all of them,
 * then the rest. A nested model is one layer to its file, and several here. */
static struct tn_weight *group_weight(const struct layers *layers, uint32_t first, uint32_t count, size_t index,
                                      const char **layer)
{
    for (int trained = 1; trained >= 0; trained--)
        for (uint32_t i = first; i < first + count; i++)
            for (uint32_t j = 0; j < layer_at(layers, i)->weight_count; j++) {
                struct tn_weight *weight = &layer_at(layers, i)->weights[j];
                if (count > 1 ? (weight->trained != 0) != trained : !trained)
                    continue;
                if (index-- == 0) {
                    *layer = layer_at(layers, i)->name;
                    return weight;
                }
            }
    return NULL;
}

/* How many layers from `first` on have `wanted` weights together; 0 when no number of them has. */
static uint32_t group_size(const struct layers *layers, uint32_t first, size_t wanted)
{
    size_t sum = 0;
    for (uint32_t i = first; i < layers->count; i++) {
        sum += layer_at(layers, i)->weight_count;
        if (sum >= wanted)
            return sum == wanted ? i - first + 1 : 0;
    }
    return 0;
}

static uint32_t weighted_layers(const struct tn_weights *weights)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < weights->layer_count; i++)
        count += weights->layers[i].weight_count > 0;
    return count;
}

/* One group of the file into the layers from *next on. */
static tn_status read_group(const struct h5_reader *reader, const struct layers *layers, hid_t root, const char *name,
                            uint32_t *next)
{
    struct h5_names names = {NULL, 0};
    hid_t group = h5_open_path(root, name);
    uint32_t count;
    tn_status status;
    if (group < 0)
        return tn_fail(reader->error, TN_CORRUPT, "layer_names has \"%s\", but there is no such group", name);
    status = h5_names_read(group, "weight_names", reader->bytes, &names, reader->error);
    if (status != TN_OK || names.count == 0)
        goto out;
    while (*next < layers->count && layer_at(layers, *next)->weight_count == 0)
        ++*next;
    if (*next == layers->count) {
        status = tn_fail(reader->error, TN_INVALID,
                         "the file has more layers with weights than the network's %u: \"%s\" is one too many",
                         (unsigned)weighted_layers(reader->weights), name);
        goto out;
    }
    count = group_size(layers, *next, names.count);
    if (count == 0) {
        status = tn_fail(reader->error, TN_INVALID,
                         "layer \"%s\" (%s) has %u weights, its counterpart \"%s\" in the "
                         "file has %zu",
                         layer_at(layers, *next)->name, layer_at(layers, *next)->type_name,
                         (unsigned)layer_at(layers, *next)->weight_count, name, names.count);
        goto out;
    }
    for (size_t i = 0; i < names.count && status == TN_OK; i++) {
        const char *layer = "";
        struct tn_weight *weight = group_weight(layers, *next, count, i, &layer);
        char what[512];
        (void)snprintf(what, sizeof what, "layer \"%s\": %s (\"%.80s\" in the file)", layer, weight->name, name);
        status = h5_read_tensor(reader, group, names.items[i], what, &weight->shape, weight->data);
    }
    *next += count;
out:
    h5_names_release(&names);
    (void)H5Oclose(group);
    return status;
}

static bool contains(const uint32_t *numbers, uint32_t count, uint32_t number)
{
    for (uint32_t i = 0; i < count; i++)
        if (numbers[i] == number)
            return true;
    return false;
}

/* The file's order of our layers, when it has each that has weights under its name; else NULL. */
static uint32_t *order_by_name(const struct tn_weights *weights, const struct h5_names *names)
{
    char(*ours)[NAME_BYTES] = h5_layer_names(weights);
    uint32_t count = weights->layer_count, found = 0, *order = calloc((size_t)count + 1, sizeof *order);
    for (size_t i = 0; ours && order && i < names->count; i++)
        for (uint32_t k = 0; k < count; k++)
            if (weights->layers[k].weight_count && strcmp(ours[k], names->items[i]) == 0 && !contains(order, found, k))
                order[found++] = k;
    free(ours);
    if (order && found == weighted_layers(weights)) {
        for (uint32_t k = 0; k < count; k++)
            if (weights->layers[k].weight_count == 0)
                order[found++] = k;
        return order;
    }
    free(order);
    return NULL;
}

tn_status h5_read_legacy(const struct h5_reader *reader, hid_t root)
{
    struct tn_weights *weights = reader->weights;
    struct h5_names names = {NULL, 0};
    uint32_t next = 0, *named;
    tn_status status = h5_names_read(root, "layer_names", reader->bytes, &names, reader->error);
    if (status != TN_OK)
        return status;
    named = order_by_name(weights, &names);
    const struct layers layers = {weights->layers, named ? named : reader->order, weights->layer_count};
    for (size_t i = 0; i < names.count && status == TN_OK; i++)
        status = read_group(reader, &layers, root, names.items[i], &next);
    while (status == TN_OK && next < layers.count && layer_at(&layers, next)->weight_count == 0)
        next++;
    if (status == TN_OK && next < layers.count)
        status = tn_fail(reader->error, TN_INVALID,
                         "the file ends before layer \"%s\" (%s): it has fewer layers with weights than the network's "
                         "%u",
                         layer_at(&layers, next)->name, layer_at(&layers, next)->type_name,
                         (unsigned)weighted_layers(weights));
    h5_names_release(&names);
    free(named);
    return status;
}
