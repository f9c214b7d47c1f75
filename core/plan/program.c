/* program.c: one program: forward, loss, backward, updates, in the order in which they will run. */
#include <stdlib.h>

#include "plan/internal.h"

const struct tn_device *tn__device(const struct tn_network *network)
{
    return (const struct tn_device *)(const void *)network->spec.device->type;
}

static const struct tn_loss *loss_type(const struct tn_network *network)
{
    return network->spec.loss ? (const struct tn_loss *)(const void *)network->spec.loss->type : NULL;
}

/* What goes into the activation that the loss would rather do itself, or the output as it is. */
static struct tn_value *loss_input(const struct tn_network *network, struct program *program, struct tn_value *output)
{
    const struct tn_loss *loss = loss_type(network);
    const struct tn_op *last = tn_info(output)->producer;
    bool softmax, sigmoid;
    program->loss = (struct tn_custom){.type_name = loss->type.name,
                                       .self = network->spec.loss->self,
                                       .loss = loss->compute,
                                       .target_count = network->spec.loss_target_count,
                                       .from_logits = loss->from_logits && loss->from_logits(network->spec.loss->self)};
    if (program->loss.from_logits || !loss->activation || !last)
        return output;
    softmax = last->kind == TN_OP_SOFTMAX && last->a.activation.function == TN_SOFTMAX;
    sigmoid = last->kind == TN_OP_ACTIVATION && last->a.activation.function == TN_SIGMOID;
    if ((softmax && strcmp(loss->activation, "softmax") == 0) ||
        (sigmoid && strcmp(loss->activation, "sigmoid") == 0)) {
        program->loss.from_logits = 1;
        return last->inputs[0];
    }
    return output;
}

static void add_prediction_copy(struct program *program, struct tn_value *output)
{
    struct tn_op *op = tn_graph_op(&program->graph, TN_OP_COPY, TN_PHASE_FORWARD, 1, 1, "predictions");
    program->predictions = tn_graph_value(&program->graph, TN_ROLE_OUTPUT, &output->shape, "predictions");
    if (op && program->predictions) {
        op->inputs[0] = output;
        tn_op_output(op, 0, program->predictions);
    }
}

/* Targets, weights and the loss op; returns the gradient of the prediction, NULL when not training. */
static struct tn_value *add_loss(struct tn_network *network, struct program *program, struct tn_value *prediction)
{
    struct tn_graph *graph = &program->graph;
    struct tn_shape targets = {2, {program->batch, network->spec.loss_target_count}}, each = {1, {program->batch}};
    struct tn_op *op = tn_graph_op(graph, TN_OP_LOSS, TN_PHASE_FORWARD, 3, 2, "loss");
    program->targets = tn_graph_value(graph, TN_ROLE_TARGET, &targets, "targets");
    program->weights = tn_graph_value(graph, TN_ROLE_TARGET, &each, "weights");
    program->losses = tn_graph_value(graph, TN_ROLE_OUTPUT, &each, "losses");
    if (!op || !program->losses || !program->targets || !program->weights)
        return NULL;
    op->custom = &program->loss;
    op->inputs[0] = prediction;
    op->inputs[1] = program->targets;
    op->inputs[2] = program->weights;
    tn_op_output(op, 0, program->losses);
    if (program->training)
        tn_op_output(op, 1, tn_graph_value(graph, TN_ROLE_GRADIENT, &prediction->shape, "prediction gradient"));
    return op->outputs[1];
}

static void add_update(struct tn_network *network, struct program *program, struct parameter *p)
{
    struct tn_op *op =
        tn_graph_op(&program->graph, TN_OP_UPDATE, TN_PHASE_UPDATE, 2 + (uint32_t)p->info.slot_count, 0, p->info.layer);
    if (!op)
        return;
    op->custom = &network->update_custom;
    op->a.update.decay = 1; /* as in Keras: biases and gammas too */
    op->inputs[0] = &p->value;
    op->inputs[1] = tn_info(&p->value)->gradient;
    for (int32_t i = 0; i < p->info.slot_count; i++) {
        op->inputs[2 + i] = &p->slots[i];
        tn_graph_adopt(&program->graph, &p->slots[i]);
    }
}

/* Copies the ops into one array; an update goes right behind the last op that reads its parameter or adds to its
 * gradient, so that the gradient's place is free again early. */
static tn_status flatten(struct tn_network *network, struct program *program, bool updates, struct tn_error *error)
{
    struct tn_graph *graph = &program->graph;
    size_t work = graph->op_count, used = 0;
    struct tn_op **updating = NULL;
    size_t *behind = NULL, update_count = 0;
    if (updates) {
        for (size_t i = 0; i < network->parameter_count; i++)
            if (network->parameters[i]->info.trained && tn_info(&network->parameters[i]->value)->gradient)
                add_update(network, program, network->parameters[i]);
        update_count = graph->op_count - work;
    }
    updating = calloc(update_count + 1, sizeof *updating);
    behind = calloc(update_count + 1, sizeof *behind);
    program->ops = tn_arena_take(&graph->arena, (graph->op_count + 1) * sizeof *program->ops);
    if (!updating || !behind || !program->ops || graph->failed) {
        free(updating);
        free(behind);
        return tn_fail(error, TN_NO_MEMORY, "no memory for the program");
    }
    for (size_t u = 0; u < update_count; u++) {
        updating[u] = graph->ops[work + u];
        for (size_t i = 0; i < work; i++)
            for (uint32_t k = 0; k < graph->ops[i]->input_count + graph->ops[i]->output_count; k++)
                if (graph->ops[i]->inputs[k] && (graph->ops[i]->inputs[k] == updating[u]->inputs[0] ||
                                                 graph->ops[i]->inputs[k] == updating[u]->inputs[1]))
                    behind[u] = i;
    }
    for (size_t i = 0; i < work; i++) {
        program->ops[used++] = *graph->ops[i];
        for (size_t u = 0; u < update_count; u++)
            if (behind[u] == i)
                program->ops[used++] = *updating[u];
    }
    free(updating);
    free(behind);
    program->program = (struct tn_program){.size = sizeof program->program,
                                           .op_count = (uint32_t)used,
                                           .value_count = (uint32_t)graph->value_count,
                                           .training = program->training,
                                           .batch = program->batch,
                                           .ops = program->ops,
                                           .values = graph->values};
    program->made = true;
    return TN_OK;
}

/* Drops values that no op of the final program touches (a workspace that fusion made superfluous, a softmax that the
 * loss does). */
static void drop_unused(struct program *program)
{
    struct tn_graph *graph = &program->graph;
    size_t kept = 0;
    for (size_t i = 0; i < graph->value_count; i++)
        tn_info(graph->values[i])->uses = 0;
    for (uint32_t i = 0; i < program->program.op_count; i++)
        for (uint32_t k = 0; k < program->ops[i].input_count + program->ops[i].output_count; k++)
            if (program->ops[i].inputs[k])
                tn_info(program->ops[i].inputs[k])->uses++;
    for (size_t i = 0; i < graph->value_count; i++) {
        struct tn_value *value = graph->values[i];
        if (tn_info(value)->uses || value->role == TN_ROLE_INPUT || value->role == TN_ROLE_TARGET) {
            value->id = (uint32_t)kept;
            graph->values[kept++] = value;
        }
    }
    graph->value_count = kept;
    program->program.value_count = (uint32_t)kept;
}

static tn_status build_forward(struct tn_network *network, struct program *program, struct tn_value **output,
                               struct tn_error *error)
{
    struct tn_problems problems = {0};
    struct built_layer *layers = calloc(network->spec.layer_count, sizeof *layers);
    tn_status status =
        layers ? tn__build_layers(network, &program->graph, program->batch, layers, &program->images, output, &problems)
               : tn_fail(error, TN_NO_MEMORY, "no memory for the network");
    if (status != TN_OK && problems.count)
        (void)tn_fail(error, status, "%s", problems.items[0].text);
    else if (status == TN_NO_MEMORY)
        (void)tn_fail(error, status, "no memory for the network");
    free(layers);
    tn_problems_release(&problems);
    return status;
}

/* Notes the gradients that can be asked for; `keep`: they stay until the end of the program. */
static tn_status collect_gradients(const struct tn_network *network, struct program *program, bool keep,
                                   struct tn_error *error)
{
    size_t count = network->parameter_count;
    program->gradients = tn_arena_take(&program->graph.arena, (count + 1) * sizeof *program->gradients);
    if (!program->gradients)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the program");
    for (size_t i = 0; i < count; i++) {
        program->gradients[i] = tn_info(&network->parameters[i]->value)->gradient;
        if (keep && program->gradients[i])
            tn_info(program->gradients[i])->keep = true;
    }
    program->input_gradient = tn_info(program->images)->gradient;
    if (program->input_gradient)
        tn_info(program->input_gradient)->keep = true;
    return TN_OK;
}

tn_status tn__program_make(struct tn_network *network, struct program *program, int32_t batch, bool training,
                           bool updates, struct tn_error *error)
{
    struct tn_device_info device = {.size = sizeof device};
    struct tn_value *output = NULL, *prediction = NULL, *gradient = NULL;
    tn_status status = tn__device(network)->info(tn__device_self(network), &device, error);
    if (status != TN_OK)
        return status;
    *program = (struct program){.batch = batch, .training = training};
    program->graph.training = training;
    status = build_forward(network, program, &output, error);
    if (status != TN_OK)
        goto out;
    if (tn__has_loss(network))
        prediction = loss_input(network, program, output);
    if (network->spec.fuse) {
        struct tn_value *keep[] = {output, prediction};
        status = tn_graph_rewrite(&program->graph, device.fusions, keep, TN_COUNT_OF(keep));
        if (status != TN_OK) {
            (void)tn_fail(error, status, "no memory for the program");
            goto out;
        }
    }
    add_prediction_copy(program, output);
    if (prediction)
        gradient = add_loss(network, program, prediction);
    if (program->graph.failed) {
        status = tn_fail(error, TN_NO_MEMORY, "no memory for the program");
        goto out;
    }
    if (training) {
        status = tn_graph_differentiate(&program->graph, prediction, gradient, error);
        if (status != TN_OK)
            goto out;
        status = collect_gradients(network, program, !updates || network->request.keep_gradients, error);
        if (status != TN_OK)
            goto out;
    }
    status = flatten(network, program, updates, error);
    if (status == TN_OK)
        drop_unused(program);
    if (status == TN_OK)
        tn__lifetimes(program);
out:
    if (status != TN_OK)
        tn__program_release(network, program);
    return status;
}

void tn__program_release(struct tn_network *network, struct program *program)
{
    if (program->planned && tn__device(network)->forget)
        tn__device(network)->forget(tn__device_self(network), &program->program);
    tn_graph_release(&program->graph);
    *program = (struct program){0};
}
