/* weights.c: the network's weights as formats see them: layers, names, host buffers, and how Keras would describe the
 * model. */
#include <stdlib.h>

#include "plan/internal.h"

/* One allocation that owns everything a tn_weights points to. */
struct weights {
    struct tn_weights weights; /* first: handed out */
    struct tn_arena arena;
};

static tn_status describe_layer(struct tn_network *network, struct weights *w, uint32_t index, struct tn_error *error)
{
    const struct tn_network_layer *from = &network->spec.layers[index];
    const struct tn_layer *type = (const struct tn_layer *)(const void *)from->instance->type;
    struct tn_weight_layer *layer = &w->weights.layers[index];
    const char **inputs = tn_arena_take(&w->arena, (from->input_count + 1) * sizeof *inputs);
    char config[4096] = "";
    if (!inputs)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the weights");
    layer->name = from->instance->name;
    layer->type_name = type->type.name;
    layer->keras_class = type->keras_class;
    if (type->keras_class && type->keras_config) {
        tn_status status = type->keras_config(from->instance->self, config, sizeof config, error);
        if (status == TN_UNSUPPORTED) /* these options have no counterpart: weights can still be written */
            layer->keras_class = NULL;
        else if (status != TN_OK)
            return status;
    }
    if (layer->keras_class)
        layer->keras_config = tn_arena_string(&w->arena, config);
    for (uint32_t i = 0; i < from->input_count; i++)
        inputs[i] = from->inputs[i];
    if (from->input_count == 0)
        inputs[0] = index ? network->spec.layers[index - 1].instance->name : "input";
    layer->inputs = inputs;
    layer->input_count = from->input_count ? from->input_count : 1;
    if (layer->input_count != 1 ||
        strcmp(inputs[0], index ? network->spec.layers[index - 1].instance->name : "input") != 0)
        w->weights.sequential = 0;
    return TN_OK;
}

static tn_status describe_weights(struct tn_network *network, struct weights *w, uint32_t index, bool with_slots,
                                  struct tn_error *error)
{
    struct tn_weight_layer *layer = &w->weights.layers[index];
    uint32_t count = 0;
    for (size_t i = 0; i < network->parameter_count; i++)
        count += network->parameters[i]->layer_index == index;
    layer->weights = tn_arena_take(&w->arena, (count + 1) * sizeof *layer->weights);
    if (!layer->weights)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the weights");
    for (size_t i = 0; i < network->parameter_count; i++) {
        const struct parameter *p = network->parameters[i];
        size_t bytes = (size_t)tn_shape_elements(&p->info.shape) * sizeof(float);
        struct tn_weight *weight;
        if (p->layer_index != index)
            continue;
        weight = &layer->weights[layer->weight_count++];
        *weight = (struct tn_weight){.name = p->info.name,
                                     .shape = p->info.shape,
                                     .trained = p->info.trained,
                                     .data = tn_arena_take(&w->arena, bytes)};
        weight->slot_count = with_slots ? p->info.slot_count : 0;
        for (int32_t s = 0; s < weight->slot_count; s++)
            weight->slots[s] = tn_arena_take(&w->arena, bytes);
    }
    return w->arena.failed ? tn_fail(error, TN_NO_MEMORY, "no memory for a copy of the weights") : TN_OK;
}

static tn_status describe_loss(const struct tn_instance *instance, struct weights *w, struct tn_error *error)
{
    const struct tn_loss *loss = (const struct tn_loss *)(const void *)instance->type;
    char config[1024] = "";
    if (!loss->keras_class)
        return TN_OK;
    if (loss->keras_config) {
        tn_status status = loss->keras_config(instance->self, config, sizeof config, error);
        if (status != TN_OK)
            return status;
    }
    w->weights.loss_class = loss->keras_class;
    w->weights.loss_config = tn_arena_string(&w->arena, config);
    return TN_OK;
}

static tn_status describe_optimizer(struct tn_network *network, struct weights *w, bool with_slots,
                                    struct tn_error *error)
{
    const struct tn_instance *instance = network->spec.optimizer;
    const struct tn_optimizer *optimizer = instance ? (const struct tn_optimizer *)(const void *)instance->type : NULL;
    const char **names = tn_arena_take(&w->arena, MOST_SLOTS * sizeof *names);
    char config[2048] = "";
    if (!names)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the weights");
    w->weights.loss = network->spec.loss ? network->spec.loss->type->name : NULL;
    if (network->spec.loss) {
        tn_status status = describe_loss(network->spec.loss, w, error);
        if (status != TN_OK)
            return status;
    }
    if (!optimizer)
        return TN_OK;
    w->weights.optimizer_class = optimizer->keras_class;
    if (optimizer->keras_class && optimizer->keras_config) {
        tn_status status = optimizer->keras_config(instance->self, config, sizeof config, error);
        if (status != TN_OK)
            return status;
    }
    w->weights.optimizer_config = tn_arena_string(&w->arena, config);
    w->weights.slot_count = with_slots ? network->slot_count : 0;
    for (int32_t s = 0; s < network->slot_count; s++)
        names[s] = optimizer->slot_name ? optimizer->slot_name(instance->self, s) : "slot";
    w->weights.slot_names = names;
    return TN_OK;
}

tn_status tn_network_weights_open(struct tn_network *network, int32_t with_slots, struct tn_weights **weights,
                                  struct tn_error *error)
{
    struct weights *w = calloc(1, sizeof *w);
    tn_status status;
    *weights = NULL;
    if (!w)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the weights");
    w->weights.size = sizeof w->weights;
    w->weights.sequential = 1;
    w->weights.layer_count = network->spec.layer_count;
    w->weights.input = (struct tn_shape){
        4, {1, network->spec.input_size.height, network->spec.input_size.width, network->spec.input_channels}};
    w->weights.layers = tn_arena_take(&w->arena, network->spec.layer_count * sizeof *w->weights.layers);
    status = w->weights.layers ? describe_optimizer(network, w, with_slots, error)
                               : tn_fail(error, TN_NO_MEMORY, "no memory for the weights");
    for (uint32_t i = 0; i < network->spec.layer_count && status == TN_OK; i++) {
        status = describe_layer(network, w, i, error);
        if (status == TN_OK)
            status = describe_weights(network, w, i, with_slots, error);
    }
    *weights = &w->weights;
    if (status != TN_OK)
        tn_network_weights_close(weights);
    return status;
}

static tn_status transfer(struct tn_network *network, const struct tn_weights *weights, bool store,
                          struct tn_error *error)
{
    uint32_t next = 0;
    for (uint32_t l = 0; l < weights->layer_count; l++) {
        for (uint32_t i = 0; i < weights->layers[l].weight_count; i++, next++) {
            const struct tn_weight *weight = &weights->layers[l].weights[i];
            for (int32_t s = -1; s < weight->slot_count; s++) {
                float *data = s < 0 ? weight->data : weight->slots[s];
                tn_status status;
                if (!data)
                    continue;
                status = store ? tn_network_write(network, next, s, data, error)
                               : tn_network_read(network, next, s, data, error);
                if (status != TN_OK)
                    return status;
            }
        }
    }
    return TN_OK;
}

tn_status tn_network_weights_fill(struct tn_network *network, struct tn_weights *weights, struct tn_error *error)
{
    return transfer(network, weights, false, error);
}

tn_status tn_network_weights_store(struct tn_network *network, const struct tn_weights *weights, struct tn_error *error)
{
    return transfer(network, weights, true, error);
}

tn_status tn_network_gradients_fill(struct tn_network *network, struct tn_weights *gradients, struct tn_error *error)
{
    uint32_t next = 0;
    if (!network->request.keep_gradients || !network->stepped)
        return tn_fail(error, TN_FAILED, "there are no gradients: none were kept, or no step was done");
    for (uint32_t l = 0; l < gradients->layer_count; l++)
        for (uint32_t i = 0; i < gradients->layers[l].weight_count; i++, next++) {
            struct tn_weight *weight = &gradients->layers[l].weights[i];
            const struct tn_value *value = network->stepped->gradients[next];
            tn_status status;
            if (!value)
                weight->data = NULL; /* nothing derives it; its place is the arena's */
            if (!value || !weight->data)
                continue;
            status = tn__device(network)->read(tn__device_self(network), value, weight->data, error);
            if (status != TN_OK)
                return status;
        }
    return TN_OK;
}

void tn_network_weights_close(struct tn_weights **weights)
{
    struct weights *w = (struct weights *)(void *)*weights;
    if (!w)
        return;
    tn_arena_release(&w->arena);
    free(w);
    *weights = NULL;
}
