/* weight_model.c: see weight_model.h. */
#include "support/weight_model.h"

#include <stdlib.h>

/* After tenon's headers: it has a macro named fail(). */
#include <check.h>

static const char *const class_names[] = {"cat", "dog", "h\303\274hner"};

static float *numbers(uint64_t count, unsigned seed)
{
    float *values = malloc((size_t)count * sizeof *values);
    struct tn_random random = tn_random_stream(seed, 1);
    ck_assert_ptr_nonnull(values);
    for (uint64_t i = 0; i < count; i++)
        values[i] = (float)tn_random_uniform(&random, -1, 1);
    return values;
}

struct tn_weight_layer *add_layer(struct model *model, const char *name, const char *type, const char *keras)
{
    uint32_t index = model->weights.layer_count++;
    struct tn_weight_layer *layer = &model->layers[index];
    ck_assert_uint_lt(index, MOST_LAYERS);
    model->inputs[index] = index ? model->layers[index - 1].name : "input";
    *layer = (struct tn_weight_layer){.name = name,
                                      .type_name = type,
                                      .keras_class = keras,
                                      .keras_config = "",
                                      .inputs = &model->inputs[index],
                                      .input_count = 1,
                                      .weights = model->items[index]};
    return layer;
}

void add_weight(struct tn_weight_layer *layer, const char *name, int32_t trained, struct tn_shape shape)
{
    struct tn_weight *weight = &layer->weights[layer->weight_count++];
    ck_assert_uint_le(layer->weight_count, MOST_WEIGHTS);
    *weight = (struct tn_weight){.name = name, .shape = shape, .trained = trained};
    weight->data = numbers(tn_shape_elements(&shape), (unsigned)(layer->weight_count * 7u) + (unsigned)name[0]);
}

void model_begin(struct model *model)
{
    memset(model, 0, sizeof *model);
    model->weights = (struct tn_weights){.size = sizeof model->weights,
                                         .layers = model->layers,
                                         .input = {4, {1, 8, 8, 3}},
                                         .classes = class_names,
                                         .class_count = 3,
                                         .sequential = 1};
}

void model_small(struct model *model)
{
    struct tn_weight_layer *layer;
    model_begin(model);
    layer = add_layer(model, "stage/conv", "conv2d", "Conv2D");
    add_weight(layer, "kernel", 1, (struct tn_shape){4, {3, 3, 3, 4}});
    add_weight(layer, "bias", 1, (struct tn_shape){1, {4}});
    layer = add_layer(model, "norm", "batch_normalization", "BatchNormalization");
    add_weight(layer, "gamma", 1, (struct tn_shape){1, {4}});
    add_weight(layer, "beta", 1, (struct tn_shape){1, {4}});
    add_weight(layer, "moving_mean", 0, (struct tn_shape){1, {4}});
    add_weight(layer, "moving_variance", 0, (struct tn_shape){1, {4}});
    (void)add_layer(model, "gap", "global_average_pooling2d", "GlobalAveragePooling2D");
    layer = add_layer(model, "out", "dense", "Dense");
    add_weight(layer, "kernel", 1, (struct tn_shape){2, {4, 3}});
    add_weight(layer, "bias", 1, (struct tn_shape){1, {3}});
}

void model_clear(struct model *model)
{
    for (uint32_t i = 0; i < model->weights.layer_count; i++)
        for (uint32_t j = 0; j < model->layers[i].weight_count; j++) {
            free(model->items[i][j].data);
            for (int slot = 0; slot < 4; slot++)
                free(model->items[i][j].slots[slot]);
        }
    memset(model, 0, sizeof *model);
}

/* ---- the plugin ---- */

static struct tn_registry *registry;

const struct tn_format *format(const char *name)
{
    struct tn_error error = {.status = TN_OK};
    const struct tn_type *type = tn_registry_find(registry, TN_FORMAT, name, &error);
    ck_assert_msg(type != NULL, "%s", error.text);
    return (const struct tn_format *)type;
}

void weight_model_setup(void)
{
    struct tn_error error = {.status = TN_OK};
    ck_assert_msg(tn_registry_open(NULL, &registry, &error) == TN_OK, "%s", error.text);
}

void weight_model_teardown(void)
{
    tn_registry_close(&registry);
}

struct bytes encode(const char *name, const struct model *model, uint32_t flags)
{
    struct bytes bytes = {NULL, 0};
    struct tn_error error = {.status = TN_OK};
    ck_assert_msg(
        format(name)->encode(NULL, tn_host_table(), &model->weights, flags, &bytes.data, &bytes.count, &error) == TN_OK,
        "%s", error.text);
    return bytes;
}

tn_status decode_as(const char *name, const void *data, uint64_t count, struct model *model, char *notes,
                    struct tn_error *error)
{
    *error = (struct tn_error){.status = TN_OK};
    notes[0] = '\0';
    return format(name)->decode(NULL, tn_host_table(), data, count, &model->weights, notes, 512, error);
}

void model_wipe(struct model *model)
{
    for (uint32_t i = 0; i < model->weights.layer_count; i++)
        for (uint32_t j = 0; j < model->layers[i].weight_count; j++)
            for (int slot = -1; slot < 4; slot++) {
                float *data = slot < 0 ? model->items[i][j].data : model->items[i][j].slots[slot];
                if (data)
                    memset(data, 0, (size_t)tn_shape_elements(&model->items[i][j].shape) * sizeof(float));
            }
}

bool same_weights(const struct model *a, const struct model *b)
{
    for (uint32_t i = 0; i < a->weights.layer_count; i++)
        for (uint32_t j = 0; j < a->layers[i].weight_count; j++)
            if (memcmp(a->items[i][j].data, b->items[i][j].data,
                       (size_t)tn_shape_elements(&a->items[i][j].shape) * sizeof(float)) != 0)
                return false;
    return true;
}

bool same_slots(const struct model *a, const struct model *b)
{
    for (uint32_t i = 0; i < a->weights.layer_count; i++)
        for (uint32_t j = 0; j < a->layers[i].weight_count; j++)
            for (int32_t slot = 0; slot < a->items[i][j].slot_count; slot++)
                if (memcmp(a->items[i][j].slots[slot], b->items[i][j].slots[slot],
                           (size_t)tn_shape_elements(&a->items[i][j].shape) * sizeof(float)) != 0)
                    return false;
    return a->weights.iterations == b->weights.iterations &&
           (float)a->weights.learning_rate == (float)b->weights.learning_rate;
}

void model_add_slots(struct model *model, int32_t count)
{
    static const char *const names[] = {"momentum", "velocity", "velocity_hat", "fourth"};
    for (uint32_t i = 0; i < model->weights.layer_count; i++)
        for (uint32_t j = 0; j < model->layers[i].weight_count; j++) {
            struct tn_weight *weight = &model->items[i][j];
            weight->slot_count = weight->trained ? count : 0;
            for (int32_t slot = 0; slot < weight->slot_count; slot++)
                weight->slots[slot] = numbers(tn_shape_elements(&weight->shape), i * 100 + j * 10 + (unsigned)slot);
        }
    model->weights.slot_count = count;
    model->weights.slot_names = names;
    model->weights.optimizer_class = "Adam";
    model->weights.optimizer_config = "\"learning_rate\": 0.001";
    model->weights.loss = "categorical_crossentropy";
    model->weights.loss_class = "CategoricalCrossentropy";
    model->weights.loss_config = "";
    model->weights.iterations = 1234;
    model->weights.learning_rate = 0.0005;
}

void model_tiny(struct model *model)
{
    model_begin(model);
    add_weight(add_layer(model, "d", "dense", "Dense"), "kernel", 1, (struct tn_shape){2, {2, 2}});
    model->items[0][0].data[0] = 42;
}

void demand_refusal(const char *name, const void *data, uint64_t count, const char *part)
{
    struct model model;
    struct tn_error error;
    char notes[512];
    model_tiny(&model);
    ck_assert_msg(decode_as(name, data, count, &model, notes, &error) != TN_OK, "accepted, wanted: %s", part);
    ck_assert_msg(strstr(error.text, part) != NULL, "wanted \"%s\", got \"%s\"", part, error.text);
    ck_assert_float_eq(model.items[0][0].data[0], 42);
    model_clear(&model);
}
