/* create.c: makes a network: builds it once for one image, which shows everything that is wrong with it, and tells its
 * shapes, weights and FLOPs. */
#include <stdlib.h>

#include "plan/internal.h"

/* Model order: by layer, trained ones first, as Keras lists weights. */
static int model_order(const void *a, const void *b)
{
    const struct parameter *x = *(struct parameter *const *)a, *y = *(struct parameter *const *)b;
    if (x->layer_index != y->layer_index)
        return x->layer_index < y->layer_index ? -1 : 1;
    return y->info.trained - x->info.trained;
}

/* qsort is not stable, and within a layer the order of creation counts. */
static void sort_parameters(struct tn_network *network)
{
    for (size_t i = 1; i < network->parameter_count; i++) {
        struct parameter *p = network->parameters[i];
        size_t k = i;
        for (; k > 0 && model_order(&network->parameters[k - 1], &p) > 0; k--)
            network->parameters[k] = network->parameters[k - 1];
        network->parameters[k] = p;
    }
}

/* The graph is built with one image. What has no batch (a kernel made of weights) counts whole. */
static uint64_t elements_of_image(const struct tn_shape *shape)
{
    return tn_shape_elements(shape);
}

/* Multiplications and additions of one op for one image, counted apart. */
static uint64_t op_flops(const struct tn_op *op)
{
    uint64_t out = elements_of_image(&op->outputs[0]->shape);
    const struct tn_shape *kernel = op->input_count > 1 && op->inputs[1] ? &op->inputs[1]->shape : NULL;
    if (kernel && op->kind == TN_OP_CONV2D)
        return out * 2u * (uint64_t)kernel->dims[0] * (uint64_t)kernel->dims[1] * (uint64_t)kernel->dims[2] +
               (op->inputs[2] ? out : 0);
    if (kernel && op->kind == TN_OP_DENSE)
        return out * 2u * (uint64_t)kernel->dims[0] + (op->inputs[2] ? out : 0);
    if (op->kind == TN_OP_POOL)
        return out * (uint64_t)op->a.pool.height * (uint64_t)op->a.pool.width;
    if (op->kind == TN_OP_BATCH_NORM)
        return out * 2u;
    return op->kind == TN_OP_RESHAPE ? 0 : out;
}

static void count_flops(struct tn_network *network, const struct tn_graph *graph)
{
    for (size_t i = 0; i < graph->op_count; i++) {
        const struct tn_op *op = graph->ops[i];
        uint64_t flops = op_flops(op);
        bool heavy = op->kind == TN_OP_CONV2D || op->kind == TN_OP_DENSE;
        uint32_t passes = 2;
        for (uint32_t k = 0; k < network->spec.layer_count; k++)
            if (network->spec.layers[k].instance->name == op->layer)
                network->layer_flops[k] += flops;
        if (heavy)
            passes =
                1 + (tn_info(op->inputs[0])->needs_gradient ? 1 : 0) + (tn_info(op->inputs[1])->needs_gradient ? 1 : 0);
        network->forward_flops += flops;
        network->train_flops += flops * passes;
    }
}

/* Whether a loss would find as many numbers in a target as it reads. */
static void check_targets(const struct tn_network *network, struct tn_problems *problems)
{
    const struct tn_network_spec *spec = &network->spec;
    const struct tn_instance *last = spec->layers[spec->layer_count - 1].instance, *loss = spec->loss;
    uint64_t outputs = elements_of_image(&network->output);
    char text[96];
    if (loss->type->flags & TN_LOSS_SPARSE) {
        if (spec->loss_target_count != 1)
            tn_problem_add(problems, loss->file, loss->line,
                           "[loss] %s takes the number of a class as target, but the data gives %d numbers",
                           loss->type->name, spec->loss_target_count);
    } else if (outputs != (uint64_t)spec->loss_target_count) {
        tn_problem_add(problems, last->file, last->line,
                       "[layer:%s] is the last layer and gives %s, but %s compares it with targets of %d number%s",
                       last->name, tn_shape_text(text, sizeof text, &network->output), loss->type->name,
                       spec->loss_target_count, spec->loss_target_count == 1 ? "" : "s");
    }
}

/* Whether the last activation can say what the targets say. */
static void check_last(const struct tn_network *network, struct tn_problems *problems)
{
    const struct tn_network_spec *spec = &network->spec;
    const struct tn_instance *last = spec->layers[spec->layer_count - 1].instance, *instance = spec->loss;
    const struct tn_loss *loss = (const struct tn_loss *)(const void *)instance->type;
    bool softmax = network->last_kind == TN_OP_SOFTMAX;
    bool sigmoid = network->last_kind == TN_OP_ACTIVATION && network->last_function == TN_SIGMOID;
    bool logits = loss->from_logits && loss->from_logits(instance->self);
    if (softmax && elements_of_image(&network->output) == 1)
        tn_problem_add(problems, last->file, last->line,
                       "[layer:%s] is the last layer and has one output: its softmax is always 1; use activation = "
                       "sigmoid for a yes or no, and none for a number",
                       last->name);
    else if (spec->multi_label && softmax)
        tn_problem_add(problems, last->file, last->line,
                       "[layer:%s] ends in softmax, whose outputs add up to 1, but with class_mode = multi_label a "
                       "picture may have several classes: use activation = sigmoid",
                       last->name);
    else if (spec->multi_label && !sigmoid && !logits && loss->activation && strcmp(loss->activation, "sigmoid") == 0 &&
             network->last_kind != TN_OP_CUSTOM)
        tn_problem_add(problems, last->file, last->line,
                       "[layer:%s] is the last layer and does not end in sigmoid, but %s takes probabilities: use "
                       "activation = sigmoid (or from_logits = yes in [loss])",
                       last->name, loss->type.name);
}

static void check_output(const struct tn_network *network, struct tn_problems *problems)
{
    const struct tn_network_spec *spec = &network->spec;
    const struct tn_instance *last = spec->layers[spec->layer_count - 1].instance;
    char text[96];
    if (spec->class_count > 0 &&
        (network->output.rank != 2 || elements_of_image(&network->output) != (uint64_t)spec->class_count))
        tn_problem_add(
            problems, last->file, last->line,
            "[layer:%s] is the last layer and gives %s, but the data needs [%d]: end in a dense layer with %d unit%s",
            last->name, tn_shape_text(text, sizeof text, &network->output), spec->class_count, spec->class_count,
            spec->class_count == 1 ? "" : "s");
    else if (tn__has_loss(network))
        check_targets(network, problems);
    if (tn__has_loss(network))
        check_last(network, problems);
}

/* Builds once with a batch of 1: shapes, parameters and FLOPs are known then, and everything that is wrong. */
static tn_status try_build(struct tn_network *network, struct tn_problems *problems)
{
    struct tn_graph graph = {.training = true};
    uint32_t count = network->spec.layer_count;
    struct built_layer *layers = calloc(count, sizeof *layers);
    struct tn_value *images, *output;
    tn_status status = layers ? tn__build_layers(network, &graph, 1, layers, &images, &output, problems) : TN_NO_MEMORY;
    if (status == TN_OK) {
        const struct tn_op *last = tn_info(output)->producer;
        network->output = output->shape;
        network->last_kind = last ? last->kind : 0;
        network->last_function = last ? last->a.activation.function : 0;
        for (uint32_t i = 0; i < count; i++)
            network->layer_outputs[i] = layers[i].output;
        count_flops(network, &graph);
        sort_parameters(network);
        network->complete = true;
    }
    tn_graph_release(&graph);
    free(layers);
    return status;
}

static void take_optimizer(struct tn_network *network)
{
    const struct tn_instance *instance = network->spec.optimizer;
    const struct tn_optimizer *optimizer = instance ? (const struct tn_optimizer *)(const void *)instance->type : NULL;
    int32_t slots;
    if (!optimizer)
        return;
    slots = optimizer->slot_count ? optimizer->slot_count(instance->self) : 0;
    network->slot_count = slots < 0 ? 0 : slots > MOST_SLOTS ? MOST_SLOTS : slots;
    network->update_custom =
        (struct tn_custom){.type_name = instance->type->name, .self = instance->self, .update = optimizer->update};
}

tn_status tn_network_create(const struct tn_network_spec *spec, struct tn_network **network,
                            struct tn_problems *problems)
{
    size_t before = problems->count;
    struct tn_network *n = NULL;
    tn_status status = TN_NO_MEMORY;
    *network = NULL;
    if (spec->layer_count == 0) {
        tn_problem_add(problems, NULL, 0, "the network has no layers: add [layer:NAME] sections");
        return TN_INVALID;
    }
    n = calloc(1, sizeof *n);
    if (n) {
        n->spec = *spec;
        n->layer_flops = tn_arena_take(&n->arena, spec->layer_count * sizeof *n->layer_flops);
        n->layer_outputs = tn_arena_take(&n->arena, spec->layer_count * sizeof *n->layer_outputs);
        take_optimizer(n);
        status = n->arena.failed ? TN_NO_MEMORY : try_build(n, problems);
    }
    if (status == TN_OK)
        check_output(n, problems);
    if (status == TN_OK && problems->count != before)
        status = TN_INVALID;
    if (status == TN_NO_MEMORY)
        tn_problem_add(problems, NULL, 0, "no memory for the network");
    if (status != TN_OK)
        tn_network_destroy(&n);
    *network = n;
    return status;
}
