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

static size_t slot_total(const struct tn_weights *weights)
{
    size_t total = 0;
    for (uint32_t i = 0; i < weights->layer_count; i++)
        for (uint32_t j = 0; j < weights->layers[i].weight_count; j++)
            if (weights->layers[i].weights[j].trained)
                total += (size_t)weights->layers[i].weights[j].slot_count;
    return total;
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

/* Slot values follow the numbers at the head: kernel/m, kernel/v, bias/m, … in Keras since 2.11; all m, then all v, in
 * what came before ("Adam/iter:0"). */
static tn_status read_slot_data(const struct h5_reader *reader, hid_t group, const struct h5_names *names, size_t head)
{
    struct tn_weights *weights = reader->weights;
    bool old = strstr(names->items[0], "iter:") != NULL;
    size_t interleaved = head, parameters = 0, number = 0;
    for (uint32_t i = 0; i < weights->layer_count; i++)
        for (uint32_t j = 0; j < weights->layers[i].weight_count; j++)
            parameters += weights->layers[i].weights[j].trained && weights->layers[i].weights[j].slot_count > 0;
    for (uint32_t i = 0; i < weights->layer_count; i++)
        for (uint32_t j = 0; j < weights->layers[i].weight_count; j++) {
            struct tn_weight *weight = &weights->layers[i].weights[j];
            if (!weight->trained || weight->slot_count == 0)
                continue;
            for (int32_t slot = 0; slot < weight->slot_count; slot++) {
                size_t at = old ? head + (size_t)slot * parameters + number : interleaved++;
                char what[512];
                tn_status status;
                (void)snprintf(what, sizeof what, "layer \"%s\": optimizer state %d of %s", weights->layers[i].name,
                               slot, weight->name);
                status = h5_read_tensor(reader, group, names->items[at], what, &weight->shape, weight->slots[slot]);
                if (status != TN_OK)
                    return status;
            }
            number++;
        }
    return TN_OK;
}

/* State that does not fit is no failure: the weights are good. The note says so. */
void h5_read_slots(const struct h5_reader *reader, const char *path)
{
    struct h5_result *result = reader->result;
    struct h5_names names = {NULL, 0};
    hid_t group = h5_open_path(reader->file, path);
    double iterations = 0, rate = 0;
    size_t wanted = slot_total(reader->weights), head;
    if (group < 0) {
        (void)snprintf(result->notes, sizeof result->notes, "the file has no optimizer state");
        return;
    }
    if (slot_names(reader, group, &names) == TN_OK && names.count > wanted && names.count <= wanted + 2 &&
        h5_read_number(group, names.items[0], &iterations) && iterations >= 0 && iterations < 0x1p53) {
        head = names.count - wanted;
        if (read_slot_data(reader, group, &names, head) == TN_OK) {
            result->has_slots = 1;
            result->iterations = (uint64_t)iterations;
            result->has_learning_rate = head == 2 && h5_read_number(group, names.items[1], &rate);
            result->learning_rate = rate;
        }
    }
    if (!result->has_slots)
        (void)snprintf(result->notes, sizeof result->notes,
                       "the file's optimizer state is that of another optimizer and was left out");
    h5_names_release(&names);
    (void)H5Oclose(group);
}
