/* read.c: the bytes of an .h5 file -> weights: which layout it is, and whether its classes are ours. Runs in the child
 * of child.c.
 */
#include <stdlib.h>

#include "read.h"

static bool contains(const struct h5_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0)
            return true;
    return false;
}

/* The same classes in another order would turn every answer into a wrong one. */
static tn_status check_classes(const struct h5_reader *reader)
{
    const struct tn_weights *weights = reader->weights;
    struct h5_names names;
    bool same_set = true, same_order = true;
    tn_status status = h5_names_read(reader->file, "tenon_classes", reader->bytes, &names, reader->error);
    if (status != TN_OK)
        return status;
    if (names.count != weights->class_count || names.count == 0) {
        h5_names_release(&names);
        return TN_OK; /* unknown on one side; shapes have been compared */
    }
    for (size_t i = 0; i < names.count; i++) {
        same_order = same_order && strcmp(names.items[i], weights->classes[i]) == 0;
        same_set = same_set && contains(&names, weights->classes[i]);
    }
    if (same_set && !same_order)
        status = tn_fail(reader->error, TN_INVALID,
                         "the weights were trained with the same classes in another order (\"%s\" first, here \"%s\"): "
                         "set `classes` in [data] to the order of classes.txt of that run",
                         names.items[0], weights->classes[0]);
    else if (!same_order)
        (void)snprintf(reader->result->notes, sizeof reader->result->notes,
                       "the weights were trained with other classes (\"%.100s\", …)", names.items[0]);
    h5_names_release(&names);
    return status;
}

static tn_status read_file(struct h5_reader *reader)
{
    bool legacy_root = H5Aexists(reader->file, "layer_names") > 0 || H5Aexists(reader->file, "layer_names0") > 0;
    hid_t whole = legacy_root ? -1 : h5_open_path(reader->file, "model_weights");
    hid_t keras3 = legacy_root || whole >= 0 ? -1 : h5_open_path(reader->file, "layers");
    tn_status status;
    if (!legacy_root && whole < 0 && keras3 < 0)
        keras3 = h5_open_path(reader->file, "_layer_checkpoint_dependencies"); /* Keras 2.12 */
    if (legacy_root)
        status = h5_read_legacy(reader, reader->file);
    else if (whole >= 0)
        status = h5_read_legacy(reader, whole);
    else if (keras3 >= 0)
        status = h5_read_keras3(reader, keras3);
    else
        status = tn_fail(reader->error, TN_CORRUPT,
                         "the file holds no weights of Keras (neither layer_names, model_weights nor layers)");
    if (whole >= 0)
        (void)H5Oclose(whole);
    if (keras3 >= 0)
        (void)H5Oclose(keras3);
    if (status == TN_OK)
        status = check_classes(reader);
    if (status == TN_OK && h5_wants_slots(reader->weights))
        h5_read_slots(reader, h5_has_path(reader->file, "optimizer_weights") ? "optimizer_weights" : "optimizer/vars");
    return status;
}

void h5_read(const void *data, uint64_t bytes, struct tn_weights *weights, struct h5_result *result)
{
    struct h5_image image = {(void *)(uintptr_t)data}; /* opened read only: HDF5 writes nothing into it */
    struct h5_reader reader = {-1, bytes, weights, NULL, result, &result->error};
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    (void)H5PLset_loading_state(0); /* no filters from elsewhere */
    if (bytes < 8 || bytes > SIZE_MAX / 4) {
        result->status =
            tn_fail(&result->error, TN_CORRUPT, "this is no HDF5 file: it has %llu bytes", (unsigned long long)bytes);
        return;
    }
    reader.order = h5_layer_order(weights);
    reader.file = h5_open_image(&image, (size_t)bytes);
    if (!reader.order)
        result->status = tn_fail(&result->error, TN_NO_MEMORY, "no memory to read weights");
    else if (reader.file < 0)
        result->status = tn_fail(&result->error, TN_CORRUPT, "this is no HDF5 file, or it is cut off");
    else
        result->status = read_file(&reader);
    if (reader.file >= 0)
        (void)H5Fclose(reader.file);
    free(reader.order);
}
