/* write_keras3.c: the layout of .weights.h5: groups by class and number, and the optimizer's variables by number. */
#include <stdlib.h>

#include "write.h"

static tn_status put_layer(const struct h5_writer *writer, hid_t root, const char *key, const char *name,
                           const struct tn_weight_layer *layer)
{
    hid_t group = h5_make_group(root, key), vars = group < 0 ? -1 : h5_make_group(group, "vars");
    char number[32];
    tn_status status = vars < 0 ? h5_broken(writer, key) : h5_put_text(writer, vars, "name", name, writer->utf8);
    for (uint32_t i = 0; i < layer->weight_count && status == TN_OK; i++) {
        (void)snprintf(number, sizeof number, "%u", (unsigned)i);
        status = h5_put_tensor(writer, vars, number, &layer->weights[i].shape, layer->weights[i].data);
    }
    if (vars >= 0)
        (void)H5Gclose(vars);
    if (group >= 0)
        (void)H5Gclose(group);
    return status;
}

/* The two numbers that every optimizer of Keras has, then the slots. */
static tn_status put_variables(const struct h5_writer *writer, hid_t vars, const struct tn_weights *weights,
                               const struct h5_slot *slots, size_t count)
{
    char name[NAME_BYTES];
    tn_status status;
    h5_snake_case(weights->optimizer_class, name);
    status = h5_put_text(writer, vars, "name", name, writer->utf8);
    if (status == TN_OK)
        status = h5_put_number(writer, vars, "0", H5T_STD_I64LE, (double)weights->iterations);
    if (status == TN_OK)
        status = h5_put_number(writer, vars, "1", H5T_IEEE_F32LE, weights->learning_rate);
    for (size_t i = 0; i < count && status == TN_OK; i++) {
        const struct tn_weight *weight = &weights->layers[slots[i].layer].weights[slots[i].weight];
        (void)snprintf(name, sizeof name, "%zu", i + 2);
        status = h5_put_tensor(writer, vars, name, &weight->shape, weight->slots[slots[i].slot]);
    }
    return status;
}

static tn_status put_optimizer(const struct h5_writer *writer, const struct tn_weights *weights, const uint32_t *order)
{
    size_t count = 0;
    struct h5_slot *slots = h5_slot_order(weights, order, false, &count);
    hid_t group = slots ? h5_make_group(writer->file, "optimizer") : -1;
    hid_t vars = group < 0 ? -1 : h5_make_group(group, "vars");
    tn_status status = !slots     ? tn_fail(writer->error, TN_NO_MEMORY, "no memory for an HDF5 file")
                       : vars < 0 ? h5_broken(writer, "optimizer")
                                  : put_variables(writer, vars, weights, slots, count);
    if (vars >= 0)
        (void)H5Gclose(vars);
    if (group >= 0)
        (void)H5Gclose(group);
    free(slots);
    return status;
}

static tn_status put_layers(const struct h5_writer *writer, hid_t root, const struct tn_weights *weights,
                            const uint32_t *order)
{
    char(*names)[NAME_BYTES] = h5_layer_names(weights), (*keys)[NAME_BYTES] = h5_class_keys(weights, order);
    tn_status status = names && keys ? TN_OK : tn_fail(writer->error, TN_NO_MEMORY, "no memory for names");
    for (uint32_t i = 0; i < weights->layer_count && status == TN_OK; i++)
        status = put_layer(writer, root, keys[i], names[i], &weights->layers[i]);
    free(keys);
    free(names);
    return status;
}

tn_status h5_put_keras3(const struct h5_writer *writer, const struct tn_weights *weights, uint32_t flags)
{
    uint32_t *order = h5_layer_order(weights);
    hid_t root = h5_make_group(writer->file, "layers"), top = h5_make_group(writer->file, "vars");
    tn_status status = TN_OK;
    if (!order)
        status = tn_fail(writer->error, TN_NO_MEMORY, "no memory for an HDF5 file");
    else if (root < 0 || top < 0) /* `vars` is empty, but Keras 2 wants it */
        status = h5_broken(writer, "layers");
    if (status == TN_OK)
        status = put_layers(writer, root, weights, order);
    if (status == TN_OK && !(flags & TN_FORMAT_WEIGHTS_ONLY) && weights->optimizer_class &&
        weights->iterations < (UINT64_C(1) << 53))
        status = put_optimizer(writer, weights, order);
    if (top >= 0)
        (void)H5Gclose(top);
    if (root >= 0)
        (void)H5Gclose(root);
    free(order);
    return status;
}
