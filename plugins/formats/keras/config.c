/* config.c: config.json: the model, and how it is trained, in the words of Keras 3. */
#include <stdlib.h>

#include "h5/h5.h"
#include "keras/zip.h"

struct text {
    FILE *file;
    const struct tn_weights *weights;
    char (*names)[NAME_BYTES];
};

/* {"module": …, "class_name": …, "config": {…}, "registered_name": null}; `members`: of the config. */
static void put_object(FILE *file, const char *module, const char *class_name, const char *name, const char *members)
{
    bool some = members && *members;
    (void)fprintf(file, "{\"module\": \"%s\", \"class_name\": ", module);
    h5_put_json(file, class_name);
    (void)fputs(", \"config\": {", file);
    if (name) {
        (void)fputs("\"name\": ", file);
        h5_put_json(file, name);
    }
    (void)fprintf(file, "%s%s}, \"registered_name\": null", name && some ? ", " : "", some ? members : "");
}

static const char *file_name(const struct text *text, const char *name)
{
    for (uint32_t i = 0; i < text->weights->layer_count; i++)
        if (strcmp(text->weights->layers[i].name, name) == 0)
            return text->names[i];
    return "input";
}

/* What a layer is called with: one tensor, or a list of them. */
static void put_inbound(const struct text *text, uint32_t index)
{
    const struct tn_weight_layer *layer = &text->weights->layers[index];
    (void)fputs(", \"name\": ", text->file);
    h5_put_json(text->file, text->names[index]);
    (void)fputs(layer->input_count > 1 ? ", \"inbound_nodes\": [{\"args\": [[" : ", \"inbound_nodes\": [{\"args\": [",
                text->file);
    for (uint32_t i = 0; i < layer->input_count; i++) {
        (void)fprintf(text->file,
                      "%s{\"class_name\": \"__keras_tensor__\", \"config\": {\"shape\": [null], \"dtype\": "
                      "\"float32\", \"keras_history\": [",
                      i ? ", " : "");
        h5_put_json(text->file, file_name(text, layer->inputs[i]));
        (void)fputs(", 0, 0]}}", text->file);
    }
    (void)fputs(layer->input_count > 1 ? "]], \"kwargs\": {}}]" : "], \"kwargs\": {}}]", text->file);
}

static void put_layers(const struct text *text)
{
    const struct tn_weights *weights = text->weights;
    bool chain = weights->sequential != 0;
    (void)fputs("{\"module\": \"keras.layers\", \"class_name\": \"InputLayer\", \"config\": {\"batch_shape\": [null",
                text->file);
    for (int32_t i = 1; i < weights->input.rank; i++)
        (void)fprintf(text->file, ", %d", weights->input.dims[i]);
    (void)fputs("], \"dtype\": \"float32\", \"sparse\": false, \"name\": \"input\"}, \"registered_name\": null",
                text->file);
    (void)fputs(chain ? "}" : ", \"name\": \"input\", \"inbound_nodes\": []}", text->file);
    for (uint32_t i = 0; i < weights->layer_count; i++) {
        const struct tn_weight_layer *layer = &weights->layers[i];
        (void)fputs(", ", text->file);
        put_object(text->file, "keras.layers", layer->keras_class, text->names[i], layer->keras_config);
        if (!chain)
            put_inbound(text, i);
        (void)fputc('}', text->file);
    }
}

static void put_training(const struct text *text)
{
    const struct tn_weights *weights = text->weights;
    FILE *file = text->file;
    (void)fputs(", \"compile_config\": {\"optimizer\": ", file);
    put_object(file, "keras.optimizers", weights->optimizer_class, NULL, weights->optimizer_config);
    (void)fputs("}, \"loss\": ", file);
    put_object(file, "keras.losses", weights->loss_class, NULL, weights->loss_config);
    (void)fprintf(file,
                  "}, \"loss_weights\": null, \"metrics\": %s, \"weighted_metrics\": null, \"run_eagerly\": false, "
                  "\"steps_per_execution\": 1, \"jit_compile\": false}",
                  weights->loss && strstr(weights->loss, "crossentropy") ? "[\"accuracy\"]" : "null");
}

static void put_model(const struct text *text, uint32_t flags)
{
    const struct tn_weights *weights = text->weights;
    bool chain = weights->sequential != 0;
    (void)fprintf(text->file,
                  "{\"module\": \"%s\", \"class_name\": \"%s\", \"config\": {\"name\": \"%s\", \"trainable\": "
                  "true, \"layers\": [",
                  chain ? "keras" : "keras.src.models.functional", chain ? "Sequential" : "Functional",
                  chain ? "sequential" : "model");
    put_layers(text);
    (void)fputc(']', text->file);
    if (!chain) {
        (void)fputs(", \"input_layers\": [[\"input\", 0, 0]], \"output_layers\": [[", text->file);
        h5_put_json(text->file, text->names[weights->layer_count - 1]);
        (void)fputs(", 0, 0]]", text->file);
    }
    (void)fputs("}, \"registered_name\": null", text->file);
    if (!(flags & TN_FORMAT_WEIGHTS_ONLY) && weights->optimizer_class && weights->loss_class)
        put_training(text);
    (void)fputc('}', text->file);
}

tn_status keras_model_text(const struct tn_weights *weights, uint32_t flags, char **result, struct tn_error *error)
{
    struct text text = {NULL, weights, NULL};
    size_t length;
    bool failed = true;
    *result = NULL;
    if (weights->layer_count == 0 || weights->input.rank < 2)
        return tn_fail(error, TN_UNSUPPORTED, "a network without layers has no .keras file");
    for (uint32_t i = 0; i < weights->layer_count; i++)
        if (!weights->layers[i].keras_class)
            return tn_fail(error, TN_UNSUPPORTED,
                           "layer \"%s\": Keras has no words for a %s with these options, so there can be no .keras "
                           "file; .weights.h5 and .safetensors hold any network",
                           weights->layers[i].name, weights->layers[i].type_name);
    text.names = h5_layer_names(weights);
    text.file = text.names ? open_memstream(result, &length) : NULL;
    if (text.file) {
        put_model(&text, flags);
        failed = ferror(text.file) != 0;
        failed = fclose(text.file) != 0 || failed;
    }
    free(text.names);
    if (!failed)
        return TN_OK;
    free(*result);
    *result = NULL;
    return tn_fail(error, TN_NO_MEMORY, "no memory for the model's description");
}
