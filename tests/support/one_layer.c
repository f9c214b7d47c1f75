/* one_layer.c: see one_layer.h. */
#include "support/one_layer.h"

#include <stdlib.h>

#include "plan/internal.h"

struct run {
    struct tn_builder_state state; /* first: the parameter callback gets it */
    struct tn_builder_table table;
    const struct one_layer *job;
    struct one_layer_result *result;
    const struct tn_device *device;
    struct program program;
    struct tn_value parameters[ONE_LAYER_MOST];
    struct tn_value_info parameter_infos[ONE_LAYER_MOST];
    struct tn_value *inputs[ONE_LAYER_MOST], *y, *dy;
    void *arena, *places[ONE_LAYER_MOST];
    uint64_t arena_bytes, place_bytes[ONE_LAYER_MOST];
};

static struct run *run_of(struct tn_builder *builder)
{
    return (struct run *)(void *)builder;
}

/* Is told apart from graph.training, which stays on wherever gradients are derived. */
static int32_t is_training(struct tn_builder *builder)
{
    return run_of(builder)->job->training;
}

static struct tn_value *take_parameter(struct tn_builder_state *state, const char *name, const struct tn_shape *shape,
                                       const struct tn_initializer *initializer, int32_t trained)
{
    struct run *run = (struct run *)(void *)state;
    (void)initializer;
    for (uint32_t i = 0; i < run->job->parameter_count; i++) {
        const struct one_layer_tensor *tensor = &run->job->parameters[i];
        struct tn_value *value = &run->parameters[i];
        if (strcmp(tensor->name, name) != 0)
            continue;
        if (tensor->shape.rank != shape->rank ||
            memcmp(tensor->shape.dims, shape->dims, (size_t)shape->rank * sizeof shape->dims[0]) != 0) {
            (void)tn_builder_fail(&state->builder, "the layer's %s has another shape than the case's", name);
            return NULL;
        }
        run->result->used[i] = true;
        run->parameter_infos[i] = (struct tn_value_info){.needs_gradient = trained, .storage = value};
        *value = (struct tn_value){.role = trained ? TN_ROLE_PARAMETER : TN_ROLE_STATE,
                                   .data_type = TN_F32,
                                   .shape = *shape,
                                   .name = tensor->name,
                                   .core = &run->parameter_infos[i]};
        tn_graph_adopt(state->graph, value);
        return value;
    }
    (void)tn_builder_fail(&state->builder, "the layer wants a parameter `%s` that the case does not have", name);
    return NULL;
}

static tn_status build(struct run *run, struct tn_error *error)
{
    const struct one_layer *job = run->job;
    const struct tn_layer *type = (const struct tn_layer *)(const void *)job->layer->type;
    struct tn_graph *graph = &run->program.graph;
    tn_ref refs[ONE_LAYER_MOST] = {0}, y;
    graph->training = job->training || job->dy;
    tn_builder_begin(&run->state, graph);
    run->table = *run->state.builder.table;
    run->table.training = is_training;
    run->state.builder.table = &run->table;
    run->state.layer = job->layer->name;
    run->state.parameter = take_parameter;
    for (uint32_t i = 0; i < job->input_count; i++) {
        run->inputs[i] = tn_graph_value(graph, TN_ROLE_INPUT, &job->inputs[i].shape, "input");
        if (!run->inputs[i])
            return tn_fail(error, TN_NO_MEMORY, "no memory for the graph");
        tn_info(run->inputs[i])->needs_gradient = job->dy != NULL;
        refs[i] = tn_builder_ref(&run->state, run->inputs[i]);
    }
    y = type->build ? type->build(job->layer->self, &run->state.builder, refs, job->input_count)
                    : tn_builder_custom(&run->state, type, job->layer->self, refs, job->input_count);
    run->y = tn_builder_value(&run->state, y);
    if (run->state.problem[0] || !run->y)
        return tn_fail(error, TN_INVALID, "%s",
                       run->state.problem[0] ? run->state.problem : "the layer gave no output and did not say why");
    run->result->y_shape = run->y->shape;
    return TN_OK;
}

static tn_status derive(struct run *run, struct tn_error *error)
{
    struct tn_graph *graph = &run->program.graph;
    struct tn_device_info info = {.size = sizeof info};
    tn_status status = run->device->info(run->job->device->self, &info, error);
    if (status == TN_OK && run->job->fuse)
        status = tn_graph_rewrite(graph, info.fusions, &run->y, 1);
    tn_info(run->y)->keep = true;
    if (status != TN_OK || !run->job->dy)
        return status;
    run->dy = tn_graph_value(graph, TN_ROLE_INPUT, &run->y->shape, "dy");
    return run->dy ? tn_graph_differentiate(graph, run->y, run->dy, error)
                   : tn_fail(error, TN_NO_MEMORY, "no memory for the graph");
}

static void keep_gradient(const struct tn_value *value)
{
    if (value && value->core && tn_info(value)->gradient)
        tn_info(tn_info(value)->gradient)->keep = true;
}

/* One array of ops, and only the values that they touch. */
static tn_status flatten(struct run *run, struct tn_error *error)
{
    struct program *program = &run->program;
    struct tn_graph *graph = &program->graph;
    size_t kept = 0;
    program->ops = tn_arena_take(&graph->arena, (graph->op_count + 1) * sizeof *program->ops);
    if (!program->ops || graph->failed)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the graph");
    for (size_t i = 0; i < graph->value_count; i++)
        tn_info(graph->values[i])->uses = graph->values[i]->role == TN_ROLE_INPUT;
    for (size_t i = 0; i < graph->op_count; i++) {
        program->ops[i] = *graph->ops[i];
        for (uint32_t k = 0; k < program->ops[i].input_count; k++)
            if (program->ops[i].inputs[k])
                tn_info(program->ops[i].inputs[k])->uses++;
        for (uint32_t k = 0; k < program->ops[i].output_count; k++)
            if (program->ops[i].outputs[k])
                tn_info(program->ops[i].outputs[k])->uses++;
    }
    for (size_t i = 0; i < graph->value_count; i++)
        if (tn_info(graph->values[i])->uses) {
            graph->values[i]->id = (uint32_t)kept;
            graph->values[kept++] = graph->values[i];
        }
    graph->value_count = kept;
    program->program = (struct tn_program){.size = sizeof program->program,
                                           .op_count = (uint32_t)graph->op_count,
                                           .value_count = (uint32_t)kept,
                                           .training = graph->training,
                                           .batch = run->job->inputs[0].shape.dims[0],
                                           .ops = program->ops,
                                           .values = graph->values};
    for (uint32_t i = 0; i < run->job->input_count; i++)
        keep_gradient(run->inputs[i]);
    for (uint32_t i = 0; i < run->job->parameter_count; i++)
        keep_gradient(&run->parameters[i]);
    tn__lifetimes(program);
    return TN_OK;
}

static tn_status place(struct run *run, struct tn_error *error)
{
    struct program *program = &run->program;
    void *self = run->job->device->self;
    tn_status status;
    TN_TRY(status, run->device->plan(self, &program->program, error), out);
    program->planned = true;
    TN_TRY(status, tn__place(program, error), out);
    run->arena_bytes = program->arena_bytes + 64;
    TN_TRY(status, run->device->allocate(self, run->arena_bytes, &run->arena, error), out);
    for (uint32_t i = 0; i < run->job->parameter_count; i++) {
        run->place_bytes[i] = run->parameters[i].bytes + 64;
        TN_TRY(status, run->device->allocate(self, run->place_bytes[i], &run->places[i], error), out);
        run->parameters[i].data = run->places[i];
    }
    for (uint32_t i = 0; i < program->program.value_count; i++) {
        struct tn_value *value = program->program.values[i];
        if (value->role != TN_ROLE_PARAMETER && value->role != TN_ROLE_STATE)
            value->data = (char *)run->arena + tn_info(value)->offset;
    }
    for (uint32_t i = 0; i < program->program.op_count; i++)
        if (program->ops[i].scratch_bytes)
            program->ops[i].scratch = (char *)run->arena + ((uintptr_t)program->ops[i].scratch - 1);
    TN_TRY(status, run->device->bind(self, &program->program, error), out);
out:
    return status;
}

static tn_status execute(struct run *run, struct tn_error *error)
{
    const struct one_layer *job = run->job;
    const struct tn_step step = {.size = sizeof step, .step = 1, .seed = job->seed};
    tn_status status = TN_OK;
    for (uint32_t i = 0; i < job->parameter_count; i++)
        if (run->result->used[i])
            TN_TRY(status, run->device->write(job->device->self, &run->parameters[i], job->parameters[i].data, error),
                   out);
    for (uint32_t i = 0; i < job->input_count; i++)
        TN_TRY(status, run->device->write(job->device->self, run->inputs[i], job->inputs[i].data, error), out);
    if (run->dy)
        TN_TRY(status, run->device->write(job->device->self, run->dy, job->dy, error), out);
    TN_TRY(status,
           run->device->run(job->device->self, &run->program.program, 0, run->program.program.op_count, &step, error),
           out);
    TN_TRY(status, run->device->wait(job->device->self, error), out);
out:
    return status;
}

static tn_status read_back(struct run *run, const struct tn_value *value, float **floats, struct tn_error *error)
{
    if (!value)
        return TN_OK;
    *floats = calloc((size_t)tn_shape_elements(&value->shape) + 1, sizeof **floats);
    return *floats ? run->device->read(run->job->device->self, value, *floats, error)
                   : tn_fail(error, TN_NO_MEMORY, "no memory for a result");
}

static tn_status collect(struct run *run, struct tn_error *error)
{
    struct one_layer_result *result = run->result;
    tn_status status = read_back(run, run->y, &result->y, error);
    for (uint32_t i = 0; status == TN_OK && i < run->job->input_count; i++)
        status = read_back(run, tn_info(run->inputs[i])->gradient, &result->dx[i], error);
    for (uint32_t i = 0; status == TN_OK && i < run->job->parameter_count; i++) {
        if (!result->used[i])
            continue;
        status = read_back(run, tn_info(&run->parameters[i])->gradient, &result->d_parameter[i], error);
        if (status == TN_OK)
            status = read_back(run, &run->parameters[i], &result->after[i], error);
    }
    return status;
}

static void finish(struct run *run)
{
    void *self = run->job->device->self;
    if (run->program.planned && run->device->forget)
        run->device->forget(self, &run->program.program);
    for (uint32_t i = 0; i < run->job->parameter_count; i++) {
        if (run->result->used[i] && run->device->forget_value)
            run->device->forget_value(self, &run->parameters[i]);
        if (run->places[i])
            run->device->release(self, run->places[i], run->place_bytes[i]);
    }
    if (run->arena)
        run->device->release(self, run->arena, run->arena_bytes);
    tn_graph_release(&run->program.graph);
}

tn_status one_layer_run(const struct one_layer *job, struct one_layer_result *result, struct tn_error *error)
{
    struct run run = {.job = job, .result = result};
    tn_status status;
    *result = (struct one_layer_result){0};
    run.device = (const struct tn_device *)(const void *)job->device->type;
    TN_TRY(status, build(&run, error), out);
    TN_TRY(status, derive(&run, error), out);
    TN_TRY(status, flatten(&run, error), out);
    TN_TRY(status, place(&run, error), out);
    TN_TRY(status, execute(&run, error), out);
    TN_TRY(status, collect(&run, error), out);
out:
    finish(&run);
    return status;
}

void one_layer_release(struct one_layer_result *result)
{
    free(result->y);
    for (uint32_t i = 0; i < ONE_LAYER_MOST; i++) {
        free(result->dx[i]);
        free(result->d_parameter[i]);
        free(result->after[i]);
    }
    *result = (struct one_layer_result){0};
}
