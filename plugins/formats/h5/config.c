/* config.c: names and JSON texts as Keras wants them; the dialect that Keras 2 and 3 both take. */
#include <ctype.h>
#include <stdlib.h>

#include "h5.h"

static bool name_taken(char (*names)[NAME_BYTES], uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return strcmp(name, "input") == 0 || strcmp(name, "top_level_model_weights") == 0;
}

/* Letters, digits, '_', '.', '-'; begins with a letter or a digit ("." and ".." would be folders to HDF5). */
static void clean_name(const char *from, char to[NAME_BYTES])
{
    size_t used = 0;
    if (!isalnum((unsigned char)from[0]) || (unsigned char)from[0] > 127)
        used = (size_t)snprintf(to, NAME_BYTES, "layer_");
    for (; *from && used < NAME_BYTES - 16; from++) {
        bool plain = (unsigned char)*from < 128 && (isalnum((unsigned char)*from) || strchr("_.-", *from));
        to[used++] = *from;
        if (!plain)
            to[used - 1] = '_';
    }
    to[used] = '\0';
}

char (*h5_layer_names(const struct tn_weights *weights))[NAME_BYTES]
{
    char(*names)[NAME_BYTES] = calloc((size_t)weights->layer_count + 1, sizeof *names);
    for (uint32_t i = 0; names && i < weights->layer_count; i++) {
        clean_name(weights->layers[i].name, names[i]);
        for (uint32_t n = 1; name_taken(names, i, names[i]); n++) {
            char base[NAME_BYTES];
            clean_name(weights->layers[i].name, base);
            (void)snprintf(names[i], NAME_BYTES, "%.*s_%u", NAME_BYTES - 16, base, (unsigned)n);
        }
    }
    return names;
}

void h5_put_json(FILE *file, const char *text)
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

static void put_layer(FILE *file, const struct tn_weight_layer *layer, const char *name)
{
    (void)fputs("{\"class_name\": ", file);
    h5_put_json(file, layer->keras_class);
    (void)fputs(", \"config\": {\"name\": ", file);
    h5_put_json(file, name);
    (void)fputs(", \"dtype\": \"float32\"", file);
    if (layer->keras_config && *layer->keras_config)
        (void)fprintf(file, ", %s", layer->keras_config);
    (void)fputc('}', file);
}

/* The name in the file of what feeds a layer. */
static const char *input_name(const struct tn_weights *weights, char (*names)[NAME_BYTES], const char *name)
{
    for (uint32_t i = 0; i < weights->layer_count; i++)
        if (strcmp(weights->layers[i].name, name) == 0)
            return names[i];
    return "input";
}

static void put_inbound(FILE *file, const struct tn_weights *weights, char (*names)[NAME_BYTES], uint32_t index)
{
    const struct tn_weight_layer *layer = &weights->layers[index];
    (void)fputs(", \"name\": ", file);
    h5_put_json(file, names[index]);
    (void)fputs(", \"inbound_nodes\": [[", file);
    for (uint32_t i = 0; i < layer->input_count; i++) {
        (void)fputs(i ? ", [" : "[", file);
        h5_put_json(file, input_name(weights, names, layer->inputs[i]));
        (void)fputs(", 0, 0, {}]", file);
    }
    (void)fputs("]]}", file);
}

static void put_model(FILE *file, const struct tn_weights *weights, char (*names)[NAME_BYTES])
{
    const struct tn_shape *input = &weights->input;
    bool chain = weights->sequential != 0;
    (void)fprintf(file, "{\"class_name\": \"%s\", \"config\": {\"name\": \"%s\", \"layers\": [",
                  chain ? "Sequential" : "Functional", chain ? "sequential" : "model");
    (void)fputs("{\"class_name\": \"InputLayer\", \"config\": {\"batch_input_shape\": [null", file);
    for (int32_t i = 1; i < input->rank; i++)
        (void)fprintf(file, ", %d", input->dims[i]);
    (void)fputs("], \"dtype\": \"float32\", \"sparse\": false, \"name\": \"input\"}", file);
    (void)fputs(chain ? "}" : ", \"name\": \"input\", \"inbound_nodes\": []}", file);
    for (uint32_t i = 0; i < weights->layer_count; i++) {
        (void)fputs(", ", file);
        put_layer(file, &weights->layers[i], names[i]);
        if (chain)
            (void)fputc('}', file);
        else
            put_inbound(file, weights, names, i);
    }
    (void)fputc(']', file);
    if (!chain) {
        (void)fputs(", \"input_layers\": [[\"input\", 0, 0]], \"output_layers\": [[", file);
        h5_put_json(file, names[weights->layer_count - 1]);
        (void)fputs(", 0, 0]]", file);
    }
    (void)fputs("}}", file);
}

static tn_status finish(FILE *file, char **text, struct tn_error *error)
{
    bool failed = ferror(file) != 0;
    failed = fclose(file) != 0 || failed;
    if (!failed)
        return TN_OK;
    free(*text);
    *text = NULL;
    return tn_fail(error, TN_NO_MEMORY, "no memory for the model's description");
}

tn_status h5_model_config(const struct tn_weights *weights, char (*names)[NAME_BYTES], char **text,
                          struct tn_error *error)
{
    size_t length;
    FILE *file;
    *text = NULL;
    if (weights->layer_count == 0 || weights->input.rank < 2)
        return TN_OK;
    for (uint32_t i = 0; i < weights->layer_count; i++)
        if (!weights->layers[i].keras_class)
            return TN_OK;
    file = open_memstream(text, &length);
    if (!file)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the model's description");
    put_model(file, weights, names);
    return finish(file, text, error);
}

/* A loss with options is an object: its name alone would be one with Keras' defaults. */
static void put_loss(FILE *file, const struct tn_weights *weights)
{
    if (!weights->loss_class) {
        h5_put_json(file, weights->loss);
        return;
    }
    (void)fputs("{\"class_name\": ", file);
    h5_put_json(file, weights->loss_class);
    (void)fprintf(file, ", \"config\": {%s}}", weights->loss_config ? weights->loss_config : "");
}

tn_status h5_training_config(const struct tn_weights *weights, char **text, struct tn_error *error)
{
    size_t length;
    FILE *file;
    *text = NULL;
    if (!weights->loss || !weights->optimizer_class)
        return TN_OK;
    file = open_memstream(text, &length);
    if (!file)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the model's description");
    (void)fputs("{\"loss\": ", file);
    put_loss(file, weights);
    (void)fprintf(file, ", \"metrics\": %s, \"weighted_metrics\": null, \"loss_weights\": null, ",
                  strstr(weights->loss, "crossentropy") ? "[\"accuracy\"]" : "null");
    (void)fputs("\"optimizer_config\": {\"class_name\": ", file);
    h5_put_json(file, weights->optimizer_class);
    (void)fprintf(file, ", \"config\": {%s}}}", weights->optimizer_config ? weights->optimizer_config : "");
    return finish(file, text, error);
}
