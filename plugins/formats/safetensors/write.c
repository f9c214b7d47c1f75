/* write.c: tn_weights -> the bytes of a file: the same weights give the same bytes. */
#include <stdlib.h>

#include "common/json.h"
#include "safetensors/header.h"

struct writer {
    const struct tn_weights *weights;
    bool with_state;
    FILE *text;  /* the header as it grows */
    uint64_t at; /* next free byte of the data */
    char *to;    /* NULL: only counted */
};

static void put_json(FILE *file, const char *text)
{
    (void)fputc('"', file);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            (void)fputc('\\', file);
        if ((unsigned char)*text < 32)
            (void)fprintf(file, "\\u%04x", (unsigned)*text);
        else
            (void)fputc(*text, file);
    }
    (void)fputc('"', file);
}

/* A text made of pieces, quoted. */
static void put_name(FILE *file, const char *prefix, const char *layer, const char *weight, const char *slot)
{
    char name[1024];
    (void)snprintf(name, sizeof name, "%s%s/%s%s%s", prefix, layer, weight, slot ? "/" : "", slot ? slot : "");
    put_json(file, name);
}

/* One tensor: its line of the header, or its data. */
static void put_tensor(struct writer *writer, const char *prefix, const char *layer, const struct tn_weight *weight,
                       const char *slot, const float *data)
{
    uint64_t bytes = tn_shape_elements(&weight->shape) * sizeof(float), end = writer->at + bytes;
    if (writer->to) {
        memcpy(writer->to + writer->at, data, (size_t)bytes);
    } else {
        (void)fputc(',', writer->text);
        put_name(writer->text, prefix, layer, weight->name, slot);
        (void)fputs(":{\"dtype\":\"F32\",\"shape\":[", writer->text);
        for (int32_t i = 0; i < weight->shape.rank; i++)
            (void)fprintf(writer->text, "%s%d", i ? "," : "", (int)weight->shape.dims[i]);
        (void)fprintf(writer->text, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)writer->at,
                      (unsigned long long)end);
    }
    writer->at = end;
}

static void put_tensors(struct writer *writer)
{
    const struct tn_weights *weights = writer->weights;
    writer->at = 0;
    for (uint32_t i = 0; i < weights->layer_count; i++)
        for (uint32_t j = 0; j < weights->layers[i].weight_count; j++)
            put_tensor(writer, "", weights->layers[i].name, &weights->layers[i].weights[j], NULL,
                       weights->layers[i].weights[j].data);
    for (uint32_t i = 0; writer->with_state && i < weights->layer_count; i++)
        for (uint32_t j = 0; j < weights->layers[i].weight_count; j++) {
            const struct tn_weight *weight = &weights->layers[i].weights[j];
            for (int32_t slot = 0; weight->trained && slot < weight->slot_count && slot < 4; slot++)
                put_tensor(writer, OPTIMIZER_PREFIX, weights->layers[i].name, weight,
                           weights->slot_names ? weights->slot_names[slot] : "slot", weight->slots[slot]);
        }
}

/* A JSON list inside of a JSON text. */
static tn_status put_classes(FILE *file, const struct tn_weights *weights, struct tn_error *error)
{
    char *list = NULL;
    size_t length = 0;
    FILE *inner = open_memstream(&list, &length);
    bool failed = !inner;
    for (uint32_t i = 0; inner && i < weights->class_count; i++) {
        (void)fputs(i ? ", " : "[", inner);
        put_json(inner, weights->classes[i]);
    }
    if (inner) {
        (void)fputc(']', inner);
        failed = ferror(inner) != 0;
        failed = fclose(inner) != 0 || failed;
    }
    if (!failed) {
        (void)fputs(",\"classes\":", file);
        put_json(file, list);
    }
    free(list);
    return failed ? tn_fail(error, TN_NO_MEMORY, "no memory for the classes") : TN_OK;
}

/* All values are texts, as the format wants it. */
static tn_status put_metadata(struct writer *writer, struct tn_error *error)
{
    const struct tn_weights *weights = writer->weights;
    FILE *file = writer->text;
    (void)fprintf(file, "{\"__metadata__\":{\"format\":\"tenon\",\"version\":\"%d\",\"tenon_crc32c\":\"00000000\"",
                  FORMAT_VERSION);
    if (weights->class_count) {
        tn_status status = put_classes(file, weights, error);
        if (status != TN_OK)
            return status;
    }
    if (writer->with_state) {
        (void)fputs(",\"optimizer\":", file);
        put_json(file, weights->optimizer_class ? weights->optimizer_class : "");
        (void)fprintf(file, ",\"iterations\":\"%llu\",\"learning_rate\":\"%.17g\"",
                      (unsigned long long)weights->iterations, weights->learning_rate);
    }
    (void)fputc('}', file);
    return TN_OK;
}

/* The header's text, filled up with blanks so that the data begins at a multiple of 8. */
static tn_status make_header(struct writer *writer, char **text, size_t *length, struct tn_error *error)
{
    bool failed;
    tn_status status;
    writer->text = open_memstream(text, length);
    if (!writer->text)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a file");
    status = put_metadata(writer, error);
    put_tensors(writer);
    (void)fputc('}', writer->text);
    (void)fflush(writer->text);
    for (size_t blanks = *length; blanks % 8; blanks++)
        (void)fputc(' ', writer->text);
    failed = ferror(writer->text) != 0;
    failed = fclose(writer->text) != 0 || failed;
    if (status == TN_OK && failed)
        status = tn_fail(error, TN_NO_MEMORY, "no memory for a file");
    if (status == TN_OK && *length > MOST_HEADER_BYTES)
        status = tn_fail(error, TN_UNSUPPORTED, "the names of all weights take more than the format allows");
    return status;
}

/* Puts the CRC where the zeros are. */
static void sign(unsigned char *file, uint64_t bytes, uint64_t header)
{
    static const char key[] = "\"tenon_crc32c\":\"";
    unsigned char *at = memmem(file + 8, (size_t)header, key, sizeof key - 1);
    char digits[CRC_DIGITS + 1];
    if (!at)
        return;
    at += sizeof key - 1;
    (void)snprintf(digits, sizeof digits, "%08x", (unsigned)file_crc(file, bytes, (uint64_t)(at - file)));
    memcpy(at, digits, CRC_DIGITS);
}

/* What we would not read ourselves is not written: a name twice, say. */
static tn_status prove(const void *data, uint64_t bytes, struct tn_error *error)
{
    struct header header;
    tn_status status = header_read(data, bytes, &header, error);
    if (status != TN_OK)
        return tn_error_wrap(error, TN_UNSUPPORTED, "these weights cannot be written as safetensors");
    header_release(&header);
    return TN_OK;
}

tn_status weights_write(const struct tn_host *host, const struct tn_weights *weights, uint32_t flags, void **data,
                        uint64_t *bytes, struct tn_error *error)
{
    struct writer writer = {.weights = weights,
                            .with_state = !(flags & TN_FORMAT_WEIGHTS_ONLY) && weights->optimizer_class};
    char *text = NULL;
    size_t length = 0;
    unsigned char *file = NULL;
    tn_status status = make_header(&writer, &text, &length, error);
    if (status != TN_OK)
        goto out;
    *bytes = 8 + length + writer.at;
    file = host->allocate(*bytes);
    if (!file) {
        status = tn_fail(error, TN_NO_MEMORY, "no memory for a file of %llu bytes", (unsigned long long)*bytes);
        goto out;
    }
    for (int i = 0; i < 8; i++)
        file[i] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(file + 8, text, length);
    writer.to = (char *)file + 8 + length;
    put_tensors(&writer);
    sign(file, *bytes, length);
    status = prove(file, *bytes, error);
    if (status == TN_OK)
        *data = file;
    else
        host->release(file);
out:
    free(text);
    return status;
}
