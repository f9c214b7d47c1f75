/* legacy.c: Keras' legacy layout: layer_names and a group for each layer with weight_names. Weights are matched by
 * order, as Keras does it, since names differ between its versions.
 */
#include "read.h"

/* Weight number `index` of `count` layers from `first` on, in Keras' order for a group: what is trained of all of them,
 * then the rest. A nested model is one layer to its file, and several here. */
static struct tn_weight *group_weight(struct tn_weights *weights, uint32_t first, uint32_t count, size_t index,
                                      const char **layer)
{
    for (int trained = 1; trained >= 0; trained--)
        for (uint32_t i = first; i < first + count; i++)
            for (uint32_t j = 0; j < weights->layers[i].weight_count; j++) {
                struct tn_weight *weight = &weights->layers[i].weights[j];
                if (count > 1 ? (weight->trained != 0) != trained : !trained)
                    continue;
                if (index-- == 0) {
                    *layer = weights->layers[i].name;
                    return weight;
                }
            }
    return NULL;
}

/* How many layers from `first` on have `wanted` weights together; 0 when no number of them has. */
static uint32_t group_size(const struct tn_weights *weights, uint32_t first, size_t wanted)
{
    size_t sum = 0;
    for (uint32_t i = first; i < weights->layer_count; i++) {
        sum += weights->layers[i].weight_count;
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
static tn_status read_group(const struct h5_reader *reader, hid_t root, const char *name, uint32_t *next)
{
    struct tn_weights *weights = reader->weights;
    struct h5_names names = {NULL, 0};
    hid_t group = h5_open_path(root, name);
    uint32_t count;
    tn_status status;
    if (group < 0)
        return tn_fail(reader->error, TN_CORRUPT, "layer_names has \"%s\", but there is no such group", name);
    status = h5_names_read(group, "weight_names", reader->bytes, &names, reader->error);
    if (status != TN_OK || names.count == 0)
        goto out;
    while (*next < weights->layer_count && weights->layers[*next].weight_count == 0)
        ++*next;
    if (*next == weights->layer_count) {
        status = tn_fail(reader->error, TN_INVALID,
                         "the file has more layers with weights than the network's %u: \"%s\" is one too many",
                         (unsigned)weighted_layers(weights), name);
        goto out;
    }
    count = group_size(weights, *next, names.count);
    if (count == 0) {
        status = tn_fail(reader->error, TN_INVALID,
                         "layer \"%s\" (%s) has %u weights, its counterpart \"%s\" in the "
                         "file has %zu",
                         weights->layers[*next].name, weights->layers[*next].type_name,
                         (unsigned)weights->layers[*next].weight_count, name, names.count);
        goto out;
    }
    for (size_t i = 0; i < names.count && status == TN_OK; i++) {
        const char *layer = "";
        struct tn_weight *weight = group_weight(weights, *next, count, i, &layer);
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

tn_status h5_read_legacy(const struct h5_reader *reader, hid_t root)
{
    struct tn_weights *weights = reader->weights;
    struct h5_names layers = {NULL, 0};
    uint32_t next = 0;
    tn_status status = h5_names_read(root, "layer_names", reader->bytes, &layers, reader->error);
    for (size_t i = 0; i < layers.count && status == TN_OK; i++)
        status = read_group(reader, root, layers.items[i], &next);
    h5_names_release(&layers);
    while (status == TN_OK && next < weights->layer_count && weights->layers[next].weight_count == 0)
        next++;
    if (status == TN_OK && next < weights->layer_count)
        status =
            tn_fail(reader->error, TN_INVALID,
                    "the file ends before layer \"%s\" (%s): it has fewer layers with weights than the network's "
                    "%u",
                    weights->layers[next].name, weights->layers[next].type_name, (unsigned)weighted_layers(weights));
    return status;
}
