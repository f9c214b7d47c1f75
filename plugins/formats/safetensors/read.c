/* read.c: a judged header -> the weights that were asked for. All of it is compared before a number is copied. */
#include <stdlib.h>

#include "common/json.h"
#include "safetensors/header.h"

enum { NAME_BYTES = 512 };

struct reader {
    struct header header;
    struct tn_weights *weights;
    char *notes;
    size_t notes_bytes;
    struct tn_error *error;
};

TN_PRINTF(2, 3) static void add_note(const struct reader *reader, const char *format, ...)
{
    size_t used = reader->notes && reader->notes_bytes ? strlen(reader->notes) : 0;
    va_list arguments;
    if (!reader->notes || used + 3 >= reader->notes_bytes)
        return;
    if (used)
        used += (size_t)snprintf(reader->notes + used, reader->notes_bytes - used, "; ");
    va_start(arguments, format);
    (void)vsnprintf(reader->notes + used, reader->notes_bytes - used, format, arguments);
    va_end(arguments);
}

/* ---- shapes and numbers ---- */

static void shape_text(const uint64_t *dims, uint32_t rank, char *text, size_t bytes)
{
    size_t used = 0;
    (void)snprintf(text, bytes, "a single number");
    for (uint32_t i = 0; i < rank && i < KEPT_AXES && used < bytes; i++)
        used += (size_t)snprintf(text + used, bytes - used, "%s%llu", i ? "x" : "", (unsigned long long)dims[i]);
}

static bool is_float(const struct tensor *tensor)
{
    static const char *const floats[] = {"F32", "F64", "F16", "BF16"};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        if (strcmp(tensor->type->name, floats[i]) == 0)
            return true;
    return false;
}

static tn_status compare(const struct reader *reader, const struct tensor *tensor, const char *layer,
                         const struct tn_weight *weight)
{
    char here[128], there[192];
    uint64_t dims[TN_MAX_RANK] = {0};
    bool same = tensor->rank == (uint32_t)weight->shape.rank;
    for (int32_t i = 0; i < weight->shape.rank; i++) {
        dims[i] = (uint64_t)weight->shape.dims[i];
        same = same && tensor->dims[i] == dims[i];
    }
    if (!same) {
        shape_text(tensor->dims, tensor->rank, there, sizeof there);
        shape_text(dims, (uint32_t)weight->shape.rank, here, sizeof here);
        return tn_fail(reader->error, TN_INVALID,
                       "layer \"%s\": %s (\"%.200s\" in the file) is %s in the file and %s in the network", layer,
                       weight->name, tensor->name, there, here);
    }
    if (!is_float(tensor))
        return tn_fail(reader->error, TN_INVALID,
                       "layer \"%s\": %s is %s in the file: only floating-point types are read", layer, weight->name,
                       tensor->type->words);
    return TN_OK;
}

static float half(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits >> 15) << 31, exponent = bits >> 10 & 31u, fraction = bits & 1023u, all;
    float value;
    if (exponent == 0) { /* zero and what is below the smallest normal number */
        value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    all = sign | (exponent == 31 ? 255u : exponent + 112u) << 23 | fraction << 13;
    memcpy(&value, &all, sizeof value);
    return value;
}

static void copy(const struct reader *reader, const struct tensor *tensor, float *target)
{
    const unsigned char *from = reader->header.data + tensor->begin;
    uint64_t bytes = tensor->end - tensor->begin, size = tensor->type->bits / 8, count = bytes / size;
    if (strcmp(tensor->type->name, "F32") == 0 && bytes)
        memcpy(target, from, (size_t)bytes);
    for (uint64_t i = 0; strcmp(tensor->type->name, "F32") != 0 && i < count; i++, from += size) {
        uint16_t bits;
        double real;
        if (size == 8) {
            memcpy(&real, from, sizeof real);
            target[i] = (float)real;
            continue;
        }
        memcpy(&bits, from, sizeof bits);
        if (tensor->type->name[0] == 'B') {
            uint32_t all = (uint32_t)bits << 16;
            memcpy(&target[i], &all, sizeof all);
        } else {
            target[i] = half(bits);
        }
    }
}

/* ---- which tensor is it ---- */

/* LAYER/WEIGHT is ours; other programs put a dot or Keras 2's ":0" there. */
static const struct tensor *find(const struct reader *reader, const char *layer, const char *weight)
{
    const struct tensor *found = NULL;
    for (int i = 0; i < 3 && !found; i++) {
        char name[NAME_BYTES];
        int length = i == 0   ? snprintf(name, sizeof name, "%s/%s", layer, weight)
                     : i == 1 ? snprintf(name, sizeof name, "%s.%s", layer, weight)
                              : snprintf(name, sizeof name, "%s/%s:0", layer, weight);
        if (length > 0 && length < NAME_BYTES)
            found = header_find(&reader->header, name);
    }
    return found;
}

static tn_status missing(const struct reader *reader, const char *layer, const char *weight)
{
    char list[400] = "none";
    size_t used = 0;
    for (size_t i = 0; i < reader->header.count && i < 6 && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s\"%.60s\"", i ? ", " : "",
                                 reader->header.tensors[i].name);
    return tn_fail(reader->error, TN_INVALID,
                   "the file has no tensor \"%s/%s\" (it has %zu: %s%s); tensors are found by LAYER/WEIGHT", layer,
                   weight, reader->header.count, list, reader->header.count > 6 ? ", ..." : "");
}

static bool is_state(const struct tensor *tensor)
{
    return strncmp(tensor->name, OPTIMIZER_PREFIX, sizeof OPTIMIZER_PREFIX - 1) == 0;
}

/* Each weight has its tensor; `taken` notes which. */
static tn_status find_weights(const struct reader *reader, const struct tensor **found, bool *taken)
{
    for (uint32_t i = 0; i < reader->weights->layer_count; i++)
        for (uint32_t j = 0; j < reader->weights->layers[i].weight_count; j++, found++) {
            const struct tn_weight_layer *layer = &reader->weights->layers[i];
            tn_status status;
            *found = find(reader, layer->name, layer->weights[j].name);
            if (!*found)
                return missing(reader, layer->name, layer->weights[j].name);
            status = compare(reader, *found, layer->name, &layer->weights[j]);
            if (status != TN_OK)
                return status;
            taken[*found - reader->header.tensors] = true;
        }
    return TN_OK;
}

/* And no tensor of floats is left over: else it is another network's file. */
static tn_status judge_weights(const struct reader *reader, const struct tensor **found)
{
    bool *taken = calloc(reader->header.count + 1, sizeof *taken);
    tn_status status =
        taken ? find_weights(reader, found, taken) : tn_fail(reader->error, TN_NO_MEMORY, "no memory to read weights");
    for (size_t i = 0; i < reader->header.count && status == TN_OK; i++) {
        const struct tensor *tensor = &reader->header.tensors[i];
        if (!taken[i] && is_float(tensor) && !is_state(tensor))
            status = tn_fail(reader->error, TN_INVALID,
                             "the file has a tensor \"%.200s\" for which the network has no weight", tensor->name);
    }
    free(taken);
    return status;
}

/* ---- classes ---- */

static bool is_class(const struct tn_weights *weights, const char *name)
{
    for (uint32_t i = 0; i < weights->class_count; i++)
        if (strcmp(weights->classes[i], name) == 0)
            return true;
    return false;
}

/* The same classes in another order would turn every answer into a wrong one. */
static tn_status judge_classes(const struct reader *reader)
{
    const struct tn_weights *weights = reader->weights;
    const char *text = reader->header.classes;
    size_t bytes = text ? strlen(text) : 0, count = 0, known = 0, in_place = 0;
    struct json json = json_begin(text ? text : "", bytes);
    char *name = text && weights->class_count ? malloc(bytes + 1) : NULL, first_name[128] = "";
    bool first = true;
    if (!name)
        return TN_OK;
    for (bool good = json_enter(&json, '[');
         good && json_more(&json, '[', &first) && json_text(&json, name, bytes + 1, NULL); count++) {
        if (count == 0)
            (void)snprintf(first_name, sizeof first_name, "%.100s", name);
        known += is_class(weights, name);
        in_place += count < weights->class_count && strcmp(weights->classes[count], name) == 0;
    }
    tn_status status = TN_OK;
    if (!json_finished(&json))
        status = tn_fail(reader->error, TN_CORRUPT, "its list of classes is damaged: %s",
                         json.problem ? json.problem : "something follows on it");
    else if (count == weights->class_count && in_place < count && known == count)
        status = tn_fail(reader->error, TN_INVALID,
                         "the weights were trained with the same classes in another order (\"%s\" first, here "
                         "\"%s\"): set `classes` in [data] to the order of classes.txt of that run",
                         first_name, weights->classes[0]);
    else if (count == weights->class_count && in_place < count)
        add_note(reader, "the weights were trained with other classes (\"%s\", …)", first_name);
    free(name);
    return status;
}

/* ---- the optimizer ---- */

static const struct tensor *find_slot(const struct reader *reader, const char *layer, const struct tn_weight *weight,
                                      int32_t slot)
{
    char name[NAME_BYTES];
    int length = snprintf(name, sizeof name, OPTIMIZER_PREFIX "%s/%s/%s", layer, weight->name,
                          reader->weights->slot_names ? reader->weights->slot_names[slot] : "slot");
    return length > 0 && length < NAME_BYTES ? header_find(&reader->header, name) : NULL;
}

/* Each slot that is asked for, to be judged (copy_them false) or copied. */
static bool each_slot(const struct reader *reader, bool copy_them, size_t *wanted)
{
    struct reader silent = *reader;
    silent.error = NULL;
    *wanted = 0;
    for (uint32_t i = 0; i < reader->weights->layer_count; i++)
        for (uint32_t j = 0; j < reader->weights->layers[i].weight_count; j++) {
            const struct tn_weight_layer *layer = &reader->weights->layers[i];
            const struct tn_weight *weight = &layer->weights[j];
            for (int32_t slot = 0; weight->trained && slot < weight->slot_count && slot < 4; slot++) {
                const struct tensor *tensor = find_slot(reader, layer->name, weight, slot);
                if (!weight->slots[slot])
                    continue;
                ++*wanted;
                if (!tensor || compare(&silent, tensor, layer->name, weight) != TN_OK)
                    return false;
                if (copy_them)
                    copy(reader, tensor, weight->slots[slot]);
            }
        }
    return true;
}

static bool whole_number(const char *text, uint64_t *value)
{
    struct json json = json_begin(text ? text : "", text ? strlen(text) : 0);
    return json_whole(&json, value) && json_finished(&json);
}

/* State that does not fit is no failure: the weights are good. The note says so. */
static void read_optimizer(const struct reader *reader)
{
    size_t wanted = 0, there = 0;
    uint64_t iterations = 0;
    double rate;
    char *end = NULL;
    bool fits = each_slot(reader, false, &wanted);
    if (wanted == 0)
        return;
    for (size_t i = 0; i < reader->header.count; i++)
        there += is_state(&reader->header.tensors[i]);
    if (there == 0) {
        add_note(reader, "the file has no optimizer state");
    } else if (!fits || there != wanted || !whole_number(reader->header.iterations, &iterations)) {
        add_note(reader, "the file's optimizer state is that of another optimizer and was left out");
    } else {
        (void)each_slot(reader, true, &wanted);
        reader->weights->iterations = iterations;
        rate = reader->header.learning_rate ? strtod(reader->header.learning_rate, &end) : 0;
        if (end && *end == '\0' && end != reader->header.learning_rate && rate >= 0 && rate < 1e30)
            reader->weights->learning_rate = rate;
    }
}

/* ---- from outside ---- */

tn_status weights_read(const void *data, uint64_t bytes, struct tn_weights *weights, char *notes, uint64_t notes_bytes,
                       struct tn_error *error)
{
    struct reader reader = {.weights = weights, .notes = notes, .notes_bytes = (size_t)notes_bytes, .error = error};
    const struct tensor **found = NULL;
    size_t count = 0;
    tn_status status;
    for (uint32_t i = 0; i < weights->layer_count; i++)
        count += weights->layers[i].weight_count;
    found = calloc(count + 1, sizeof *found);
    if (!found)
        return tn_fail(error, TN_NO_MEMORY, "no memory to read weights");
    if (notes && notes_bytes)
        notes[0] = '\0';
    status = header_read(data, bytes, &reader.header, error);
    if (status == TN_OK)
        status = judge_weights(&reader, found);
    if (status == TN_OK)
        status = judge_classes(&reader);
    if (status == TN_OK) {
        count = 0;
        for (uint32_t i = 0; i < weights->layer_count; i++)
            for (uint32_t j = 0; j < weights->layers[i].weight_count; j++)
                copy(&reader, found[count++], weights->layers[i].weights[j].data);
        read_optimizer(&reader);
    }
    header_release(&reader.header);
    free(found);
    return status;
}

tn_status tensors_list(const void *data, uint64_t bytes,
                       void (*visit)(void *context, const struct tn_array_info *array), void *context, char *notes,
                       uint64_t notes_bytes, struct tn_error *error)
{
    struct reader reader = {.notes = notes, .notes_bytes = (size_t)notes_bytes, .error = error};
    struct header *header = &reader.header;
    tn_status status = header_read(data, bytes, header, error);
    if (status != TN_OK)
        return status;
    for (size_t i = 0; i < header->count; i++) {
        const struct tensor *tensor = &header->tensors[i];
        struct tn_array_info array = {
            .size = sizeof array,
            .role = is_state(tensor)   ? TN_ARRAY_OPTIMIZER
                    : is_float(tensor) ? TN_ARRAY_WEIGHT
                                       : TN_ARRAY_OTHER,
            .name = tensor->name,
            .type_name = tensor->type->words,
            .rank = (int32_t)tensor->rank,
            .bytes = tensor->end - tensor->begin,
        };
        memcpy(array.dims, tensor->dims, sizeof array.dims);
        visit(context, &array);
    }
    if (notes && notes_bytes)
        notes[0] = '\0';
    add_note(&reader, "safetensors%s%.40s", header->format ? " of " : "", header->format ? header->format : "");
    if (header->optimizer)
        add_note(&reader, "optimizer %.40s", header->optimizer);
    if (header->iterations)
        add_note(&reader, "after %.20s steps", header->iterations);
    if (header->classes)
        add_note(&reader, "classes %.200s", header->classes);
    header_release(header);
    return TN_OK;
}
