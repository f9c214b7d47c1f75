/* write_legacy.c: the layout of .h5 that every Keras reads, and the attributes by which it makes a model of it. */
#include <stdlib.h>

#include "write.h"

/* Group NAME with the data NAME/kernel:0, …, as Keras 2 names them. */
static tn_status put_legacy_layer(const struct h5_writer *writer, hid_t root, const char *name,
                                  const struct tn_weight_layer *layer)
{
    uint32_t count = layer->weight_count;
    hid_t group = h5_make_group(root, name), inner = -1;
    char(*texts)[2 * NAME_BYTES] = calloc((size_t)count + 1, sizeof *texts);
    const char **list = calloc((size_t)count + 1, sizeof *list);
    tn_status status = TN_OK;
    if (!texts || !list)
        status = tn_fail(writer->error, TN_NO_MEMORY, "no memory for an HDF5 file");
    else if (group < 0 || (count && (inner = h5_make_group(group, name)) < 0))
        status = h5_broken(writer, name);
    for (uint32_t i = 0; i < count && status == TN_OK; i++) {
        (void)snprintf(texts[i], sizeof *texts, "%s/%s:0", name, layer->weights[i].name);
        list[i] = texts[i];
        status =
            h5_put_tensor(writer, inner, texts[i] + strlen(name) + 1, &layer->weights[i].shape, layer->weights[i].data);
    }
    if (status == TN_OK)
        status = h5_put_texts(writer, group, "weight_names", list, count, writer->ascii);
    if (inner >= 0)
        (void)H5Gclose(inner);
    if (group >= 0)
        (void)H5Gclose(group);
    free(list);
    free(texts);
    return status;
}

/* Keras 2 and 3 both take what this version of Keras 2 would have written. */
static tn_status put_versions(const struct h5_writer *writer, hid_t object)
{
    tn_status status = h5_put_text(writer, object, "keras_version", "2.15.0", writer->utf8);
    return status != TN_OK ? status : h5_put_text(writer, object, "backend", "tensorflow", writer->utf8);
}

static tn_status put_legacy_layers(const struct h5_writer *writer, hid_t root, const struct tn_weights *weights,
                                   char (*names)[NAME_BYTES])
{
    const char **list = calloc((size_t)weights->layer_count + 1, sizeof *list);
    uint32_t *order = h5_layer_order(weights);
    tn_status status =
        list && order ? put_versions(writer, root) : tn_fail(writer->error, TN_NO_MEMORY, "no memory for names");
    for (uint32_t i = 0; i < weights->layer_count && status == TN_OK; i++) {
        list[i] = names[order[i]];
        status = put_legacy_layer(writer, root, list[i], &weights->layers[order[i]]);
    }
    if (status == TN_OK)
        status = h5_put_texts(writer, root, "layer_names", list, weights->layer_count, writer->ascii);
    free(order);
    free(list);
    return status;
}

static tn_status put_configs(const struct h5_writer *writer, const struct tn_weights *weights,
                             char (*names)[NAME_BYTES])
{
    char *model = NULL, *training = NULL;
    tn_status status = h5_model_config(weights, names, &model, writer->error);
    if (status == TN_OK && model)
        status = h5_put_text(writer, writer->file, "model_config", model, writer->ascii);
    if (status == TN_OK && model)
        status = h5_training_config(weights, &training, writer->error);
    if (status == TN_OK && training)
        status = h5_put_text(writer, writer->file, "training_config", training, writer->ascii);
    free(model);
    free(training);
    return status;
}

tn_status h5_put_legacy(const struct h5_writer *writer, const struct tn_weights *weights, uint32_t flags)
{
    bool only_weights = (flags & TN_FORMAT_WEIGHTS_ONLY) != 0;
    char(*names)[NAME_BYTES] = h5_layer_names(weights);
    hid_t root = only_weights ? writer->file : h5_make_group(writer->file, "model_weights");
    tn_status status = TN_OK;
    if (!names)
        status = tn_fail(writer->error, TN_NO_MEMORY, "no memory for names");
    else if (root < 0)
        status = h5_broken(writer, "model_weights");
    if (status == TN_OK)
        status = put_legacy_layers(writer, root, weights, names);
    if (status == TN_OK && !only_weights)
        status = put_versions(writer, writer->file);
    if (status == TN_OK && !only_weights)
        status = put_configs(writer, weights, names);
    if (!only_weights && root >= 0)
        (void)H5Gclose(root);
    free(names);
    return status;
}
