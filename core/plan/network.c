/* network.c: a network's life: create, plan, allocate, destroy. */
#include <stdlib.h>

#include "plan/internal.h"

enum { ALIGNMENT = 64 };

static uint64_t rounded(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void *self_of(const struct tn_network *network)
{
    return network->spec.device->self;
}

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

static uint64_t elements_of_image(const struct tn_shape *shape)
{
    return tn_shape_elements(shape) / (uint64_t)shape->dims[0];
}

/* Multiplications and additions of one op for one image, counted apart. */
static uint64_t op_flops(const struct tn_op *op)
{
    uint64_t out = elements_of_image(&op->outputs[0]->shape);
    const struct tn_shape *kernel = op->input_count > 1 && op->inputs[1] ? &op->inputs[1]->shape : NULL;
    if (op->kind == TN_OP_CONV2D)
        return out * 2u * (uint64_t)kernel->dims[0] * (uint64_t)kernel->dims[1] * (uint64_t)kernel->dims[2] +
               (op->inputs[2] ? out : 0);
    if (op->kind == TN_OP_DENSE)
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
            if (strcmp(network->spec.layers[k].instance->name, op->layer) == 0)
                network->layer_flops[k] += flops;
        if (heavy)
            passes =
                1 + (tn_info(op->inputs[0])->needs_gradient ? 1 : 0) + (tn_info(op->inputs[1])->needs_gradient ? 1 : 0);
        network->forward_flops += flops;
        network->train_flops += flops * passes;
    }
}

static void check_output(struct tn_network *network, struct tn_problems *problems)
{
    const struct tn_network_spec *spec = &network->spec;
    const struct tn_instance *last = spec->layers[spec->layer_count - 1].instance;
    uint64_t classes = elements_of_image(&network->output);
    char text[96];
    if (spec->class_count > 0 && (classes != (uint64_t)spec->class_count || network->output.rank != 2))
        tn_problem_add(
            problems, last->file, last->line,
            "[layer:%s] is the last layer and gives %s, but the data needs [%d]: end in a dense layer with %d unit%s",
            last->name, tn_shape_text(text, sizeof text, &network->output), spec->class_count, spec->class_count,
            spec->class_count == 1 ? "" : "s");
    else if (spec->loss && spec->loss_target_count > 1 && classes != (uint64_t)spec->loss_target_count)
        tn_problem_add(problems, last->file, last->line,
                       "[layer:%s] is the last layer and gives %s, but a target has %d numbers", last->name,
                       tn_shape_text(text, sizeof text, &network->output), spec->loss_target_count);
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
        network->output = output->shape;
        for (uint32_t i = 0; i < count; i++)
            network->layer_outputs[i] = layers[i].output;
        count_flops(network, &graph);
        sort_parameters(network);
    }
    tn_graph_release(&graph);
    free(layers);
    return status;
}

tn_status tn_network_create(const struct tn_network_spec *spec, struct tn_network **network,
                            struct tn_problems *problems)
{
    size_t before = problems->count;
    struct tn_network *n = calloc(1, sizeof *n);
    tn_status status = n ? TN_OK : TN_NO_MEMORY;
    *network = NULL;
    if (spec->layer_count == 0) {
        free(n);
        tn_problem_add(problems, NULL, 0, "the network has no layers: add [layer:NAME] sections");
        return TN_INVALID;
    }
    if (n) {
        n->spec = *spec;
        n->layer_flops = tn_arena_take(&n->arena, spec->layer_count * sizeof *n->layer_flops);
        n->layer_outputs = tn_arena_take(&n->arena, spec->layer_count * sizeof *n->layer_outputs);
        if (spec->optimizer) {
            const struct tn_optimizer *optimizer = (const struct tn_optimizer *)(const void *)spec->optimizer->type;
            n->slot_count = optimizer->slot_count(spec->optimizer->self);
            n->slot_count = n->slot_count < 0 ? 0 : n->slot_count > MOST_SLOTS ? MOST_SLOTS : n->slot_count;
            n->update_custom = (struct tn_custom){
                .type_name = spec->optimizer->type->name, .self = spec->optimizer->self, .update = optimizer->update};
        }
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

static void release_programs(struct tn_network *network)
{
    tn__program_release(network, &network->train);
    tn__program_release(network, &network->tail);
    tn__program_release(network, &network->infer);
    tn__program_release(network, &network->gradient);
}

void tn_network_destroy(struct tn_network **network)
{
    struct tn_network *n = *network;
    if (!n)
        return;
    if (n->spec.device) {
        const struct tn_device *device = tn__device(n);
        release_programs(n);
        for (size_t i = 0; i < n->parameter_count && device->forget_value; i++) {
            device->forget_value(self_of(n), &n->parameters[i]->value);
            for (int32_t s = 0; s < n->parameters[i]->info.slot_count; s++)
                device->forget_value(self_of(n), &n->parameters[i]->slots[s]);
        }
        if (n->step_arena)
            device->release(self_of(n), n->step_arena, n->step_bytes);
        if (n->lasting_arena)
            device->release(self_of(n), n->lasting_arena, n->lasting_bytes);
    }
    free(n->parameters);
    free(n->host_images);
    free(n->host_targets);
    free(n->host_weights);
    free(n->host_losses);
    free(n->host_predictions);
    tn_arena_release(&n->arena);
    free(n);
    *network = NULL;
}

static tn_status plan_program(struct tn_network *network, struct program *program, int32_t batch, bool training,
                              struct tn_error *error)
{
    tn_status status;
    if (batch <= 0)
        return TN_OK;
    status = tn__program_make(network, program, batch, training, training, error);
    if (status != TN_OK)
        return status;
    status = tn__device(network)->plan(self_of(network), &program->program, error);
    program->planned = true;
    return status == TN_OK ? tn__place(program, error) : status;
}

tn_status tn_network_plan(struct tn_network *network, const struct tn_plan_request *request, struct tn_error *error)
{
    bool can_train = network->spec.loss && network->spec.optimizer;
    tn_status status;
    if (network->step_arena)
        return tn_fail(error, TN_FAILED, "the network is allocated already");
    if (request->train > 0 && !can_train)
        return tn_fail(error, TN_INVALID, "a network without a loss and an optimizer cannot train");
    release_programs(network);
    network->request = *request;
    status = plan_program(network, &network->train, request->train, true, error);
    if (status == TN_OK)
        status = plan_program(network, &network->tail, request->train_tail, true, error);
    if (status == TN_OK)
        status = plan_program(network, &network->infer, request->infer, false, error);
    if (status == TN_OK)
        status = tn__report(network, error);
    return status;
}

static void bind_addresses(struct program *program, void *arena)
{
    for (uint32_t i = 0; i < program->program.value_count; i++) {
        struct tn_value *value = program->program.values[i];
        if (value->role != TN_ROLE_PARAMETER && value->role != TN_ROLE_STATE && value->role != TN_ROLE_SLOT)
            value->data = (char *)arena + tn_info(value)->offset;
    }
    for (uint32_t i = 0; i < program->program.op_count; i++) {
        struct tn_op *op = &program->ops[i];
        if (op->scratch_bytes)
            op->scratch = (char *)arena + ((uintptr_t)op->scratch - 1);
    }
}

static tn_status bind_program(struct tn_network *network, struct program *program, struct tn_error *error)
{
    if (!program->planned)
        return TN_OK;
    bind_addresses(program, network->step_arena);
    return tn__device(network)->bind(self_of(network), &program->program, error);
}

static void place_lasting(struct tn_network *network)
{
    char *at = network->lasting_arena;
    for (size_t i = 0; i < network->parameter_count; i++) {
        struct parameter *p = network->parameters[i];
        p->value.data = at;
        at += rounded(p->value.bytes);
        for (int32_t s = 0; s < p->info.slot_count; s++) {
            p->slots[s].data = at;
            at += rounded(p->slots[s].bytes);
        }
        if (network->request.keep_weights) {
            p->kept = at;
            at += rounded(p->value.bytes);
        }
    }
}

/* Buffers in host memory, for batches that are smaller than the planned one. */
static tn_status host_buffers(struct tn_network *network, struct tn_error *error)
{
    const struct program *program = network->infer.planned ? &network->infer : &network->train;
    size_t batch =
        (size_t)(network->request.infer > network->request.train ? network->request.infer : network->request.train);
    if (!program->planned)
        return TN_OK;
    if (network->infer.planned)
        network->host_images = calloc(1, (size_t)network->infer.images->bytes + 64);
    network->host_targets = calloc(batch * (size_t)(network->spec.loss_target_count + 1), sizeof(float));
    network->host_weights = calloc(batch, sizeof(float));
    network->host_losses = calloc(batch, sizeof(float));
    network->host_predictions = calloc(batch * (size_t)elements_of_image(&network->output), sizeof(float));
    if ((network->infer.planned && !network->host_images) || !network->host_targets || !network->host_weights ||
        !network->host_losses || !network->host_predictions)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a batch in host memory");
    return TN_OK;
}

tn_status tn_network_allocate(struct tn_network *network, struct tn_error *error)
{
    const struct tn_device *device = tn__device(network);
    tn_status status;
    network->step_bytes = network->report.step_arena_bytes;
    network->lasting_bytes = network->report.lasting_arena_bytes;
    if (!network->train.planned && !network->infer.planned)
        return tn_fail(error, TN_FAILED, "the network has to be planned before it is allocated");
    status = device->allocate(self_of(network), network->step_bytes, &network->step_arena, error);
    if (status == TN_OK)
        status = device->allocate(self_of(network), network->lasting_bytes, &network->lasting_arena, error);
    if (status == TN_OK)
        status = host_buffers(network, error);
    if (status != TN_OK)
        return status;
    place_lasting(network);
    status = bind_program(network, &network->train, error);
    if (status == TN_OK)
        status = bind_program(network, &network->tail, error);
    if (status == TN_OK)
        status = bind_program(network, &network->infer, error);
    return status == TN_OK ? tn__initialize(network, error) : status;
}

const struct tn_plan_report *tn_network_report(const struct tn_network *network)
{
    return &network->report;
}

struct tn_shape tn_network_output_shape(const struct tn_network *network)
{
    return network->output;
}

uint32_t tn_network_parameter_count(const struct tn_network *network)
{
    return (uint32_t)network->parameter_count;
}

const struct tn_parameter_info *tn_network_parameter(const struct tn_network *network, uint32_t index)
{
    return index < network->parameter_count ? &network->parameters[index]->info : NULL;
}
