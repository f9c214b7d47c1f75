/* keras3.c: the layout of .weights.h5: /layers/CLASS_N/vars/0, 1, … A group `vars` carries its layer's name: layers are
 * found by that where all of ours are there, else by class and order, as Keras does it.
 */
#include <stdlib.h>

#include "read.h"

struct find {
    const char *name; /* of our layer */
    uint64_t limit;
    uint32_t matches;
    int depth;
    char path[1024], found[1024];
};

static bool last_part_is(const char *name, const char *wanted)
{
    const char *slash = strrchr(wanted, '/');
    return strcmp(name, wanted) == 0 || (slash && strcmp(name, slash + 1) == 0);
}

/* Walks groups for `vars` whose attribute name is that of our layer. */
static herr_t find_visit(hid_t group, const char *name, const H5L_info_t *link, void *context)
{
    struct find *find = context;
    size_t used = strlen(find->path);
    hid_t child;
    if (link->type != H5L_TYPE_HARD || find->depth >= 8 || used + strlen(name) + 2 > sizeof find->path)
        return 0;
    child = H5Oopen(group, name, H5P_DEFAULT);
    if (child < 0)
        return 0;
    (void)snprintf(find->path + used, sizeof find->path - used, "/%s", name);
    if (H5Iget_type(child) == H5I_GROUP && strcmp(name, "vars") == 0) {
        struct h5_names names;
        struct tn_error ignored;
        if (h5_names_read(child, "name", find->limit, &names, &ignored) == TN_OK) {
            if (names.count == 1 && last_part_is(names.items[0], find->name)) {
                find->matches++;
                memcpy(find->found, find->path, sizeof find->found);
            }
            h5_names_release(&names);
        }
    } else if (H5Iget_type(child) == H5I_GROUP) {
        find->depth++;
        (void)H5Literate(child, H5_INDEX_NAME, H5_ITER_INC, NULL, find_visit, find);
        find->depth--;
    }
    find->path[used] = '\0';
    (void)H5Oclose(child);
    return 0;
}

/* Path of the layer's variables: by its class and number, or (key NULL) by its name, when exactly one carries it. */
static void keras3_path(const struct h5_reader *reader, hid_t root, uint32_t index, const char *key, char path[1024])
{
    const struct tn_weights *weights = reader->weights;
    if (!key) {
        struct find find = {.name = weights->layers[index].name, .limit = reader->bytes};
        (void)H5Literate(root, H5_INDEX_NAME, H5_ITER_INC, NULL, find_visit, &find);
        (void)snprintf(path, 1024, "%s", find.matches == 1 ? find.found + 1 : "");
        return;
    }
    (void)snprintf(path, 1024, "%s/vars", key);
}

/* True when every layer with weights is found under its own name. */
static bool all_named(const struct h5_reader *reader, hid_t root)
{
    char path[1024];
    for (uint32_t i = 0; i < reader->weights->layer_count; i++) {
        if (reader->weights->layers[i].weight_count == 0)
            continue;
        keras3_path(reader, root, i, NULL, path);
        if (!*path)
            return false;
    }
    return true;
}

static tn_status read_keras3_layer(const struct h5_reader *reader, hid_t root, uint32_t index, const char *key)
{
    const struct tn_weight_layer *layer = &reader->weights->layers[index];
    char path[1024], number[32], what[1600];
    H5G_info_t info = {.nlinks = 0};
    hid_t group;
    tn_status status = TN_OK;
    keras3_path(reader, root, index, key, path);
    group = h5_open_path(root, path);
    if (group < 0)
        return tn_fail(reader->error, TN_INVALID,
                       "layer \"%s\" (%s): the file has no group %s (a .weights.h5 file names layers by class and "
                       "order)",
                       layer->name, layer->type_name, path);
    if (H5Gget_info(group, &info) < 0 || info.nlinks != layer->weight_count)
        status = tn_fail(reader->error, TN_INVALID,
                         "layer \"%s\" (%s) has %u weights, its counterpart %s in the file "
                         "has %llu",
                         layer->name, layer->type_name, (unsigned)layer->weight_count, path,
                         (unsigned long long)info.nlinks);
    for (uint32_t i = 0; i < layer->weight_count && status == TN_OK; i++) {
        (void)snprintf(number, sizeof number, "%u", (unsigned)i);
        (void)snprintf(what, sizeof what, "layer \"%s\": %s (\"%s/%u\" in the file)", layer->name,
                       layer->weights[i].name, path, (unsigned)i);
        status = h5_read_tensor(reader, group, number, what, &layer->weights[i].shape, layer->weights[i].data);
    }
    (void)H5Oclose(group);
    return status;
}

tn_status h5_read_keras3(const struct h5_reader *reader, hid_t root)
{
    bool by_name = all_named(reader, root);
    char(*keys)[NAME_BYTES] = h5_class_keys(reader->weights, reader->order);
    tn_status status = keys ? TN_OK : tn_fail(reader->error, TN_NO_MEMORY, "no memory for names");
    for (uint32_t i = 0; i < reader->weights->layer_count && status == TN_OK; i++)
        if (reader->weights->layers[i].weight_count)
            status = read_keras3_layer(reader, root, i, by_name ? NULL : keys[i]);
    free(keys);
    return status;
}
