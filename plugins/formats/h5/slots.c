/* slots.c: the optimizer's state, read where the caller gave buffers for it. */
#include <stdlib.h>

#include "read.h"

bool h5_wants_slots(const struct tn_weights *weights)
{
    bool wanted = false;
    for (uint32_t i = 0; i < weights->layer_count; i++)
        for (uint32_t j = 0; j < weights->layers[i].weight_count; j++)
            wanted = wanted || (weights->layers[i].weights[j].slot_count > 0 && weights->layers[i].weights[j].slots[0]);
    return wanted;
}

/* The file's names of the optimizer's variables in their order: attribute weight_names, or 0, 1, 2, … */
static tn_status slot_names(const struct h5_reader *reader, hid_t group, struct h5_names *names)
{
    H5G_info_t info;
    tn_status status = h5_names_read(group, "weight_names", reader->bytes, names, reader->error);
    if (status != TN_OK || names->count > 0 || H5Gget_info(group, &info) < 0 || info.nlinks > reader->bytes / 8)
        return status;
    names->items = calloc((size_t)info.nlinks + 1, sizeof *names->items);
    for (size_t i = 0; names->items && i < info.nlinks; i++) {
        char number[32];
        (void)snprintf(number, sizeof number, "%zu", i);
        names->items[i] = strdup(number);
        if (!names->items[i])
            break;
        names->count++;
    }
    return TN_OK;
}

/* Slot values follow the numbers at the head. */
static tn_status read_slot_data(const struct h5_reader *reader, hid_t group, const struct h5_names *names, size_t head,
                                const struct h5_slot *slots, size_t count)
{
    tn_status status = TN_OK;
    for (size_t i = 0; i < count && status == TN_OK; i++) {
        const struct tn_weight_layer *layer = &reader->weights->layers[slots[i].layer];
        const struct tn_weight *weight = &layer->weights[slots[i].weight];
        char what[512];
        if (!weight->slots[slots[i].slot])
            return TN_FAILED; /* no room was made for it */
        (void)snprintf(what, sizeof what, "layer \"%s\": optimizer state %d of %s", layer->name, (int)slots[i].slot,
                       weight->name);
        status =
            h5_read_tensor(reader, group, names->items[head + i], what, &weight->shape, weight->slots[slots[i].slot]);
    }
    return status;
}

static bool read_state(const struct h5_reader *reader, hid_t group, const struct h5_names *names)
{
    struct h5_result *result = reader->result;
    /* all m, then all v, before Keras 2.11 ("Adam/iter:0") */
    bool old = names->count > 0 && strstr(names->items[0], "iter:") != NULL, good = false;
    double iterations = 0, rate = 0;
    size_t wanted = 0, head;
    struct h5_slot *slots = h5_slot_order(reader->weights, reader->order, old, &wanted);
    if (slots && names->count > wanted && names->count <= wanted + 2 &&
        h5_read_number(group, names->items[0], &iterations) && iterations >= 0 && iterations < 0x1p53) {
        head = names->count - wanted;
        good = read_slot_data(reader, group, names, head, slots, wanted) == TN_OK;
        result->has_learning_rate = good && head == 2 && h5_read_number(group, names->items[1], &rate);
        result->iterations = (uint64_t)iterations;
        result->learning_rate = rate;
    }
    free(slots);
    return good;
}

/* State that does not fit is no failure: the weights are good. The note says so. */
void h5_read_slots(const struct h5_reader *reader, const char *path)
{
    struct h5_result *result = reader->result;
    struct h5_names names = {NULL, 0};
    hid_t group = h5_open_path(reader->file, path);
    if (group < 0) {
        (void)snprintf(result->notes, sizeof result->notes, "the file has no optimizer state");
        return;
    }
    result->has_slots = slot_names(reader, group, &names) == TN_OK && read_state(reader, group, &names);
    if (!result->has_slots)
        (void)snprintf(result->notes, sizeof result->notes,
                       "the file's optimizer state is that of another optimizer and was left out");
    h5_names_release(&names);
    (void)H5Oclose(group);
}
