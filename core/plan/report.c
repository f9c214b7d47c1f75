/* report.c: what `tenon plan` prints, from the same numbers that allocate() uses. */
#include "plan/internal.h"

static void add_program(struct tn_plan_report *report, const struct program *program)
{
    for (uint32_t i = 0; i < program->program.value_count; i++) {
        const struct tn_value *value = program->program.values[i];
        if (tn_info(value)->storage != value)
            continue;
        if (value->role == TN_ROLE_GRADIENT)
            report->gradient_bytes += value->bytes;
        else if (value->role == TN_ROLE_WORKSPACE)
            report->workspace_bytes += value->bytes;
        else if (!tn__is_lasting(value))
            report->activation_bytes += value->bytes;
    }
}

static const char *algorithm_of(const struct program *program, const char *layer)
{
    for (uint32_t i = 0; i < program->program.op_count; i++)
        if (program->ops[i].phase == TN_PHASE_FORWARD && program->ops[i].algorithm &&
            strcmp(program->ops[i].layer, layer) == 0)
            return program->ops[i].algorithm;
    return NULL;
}

static void add_layers(struct tn_network *network, const struct program *program)
{
    for (uint32_t i = 0; i < network->spec.layer_count; i++) {
        const struct tn_network_layer *from = &network->spec.layers[i];
        struct tn_plan_layer *layer = &network->report_layers[i];
        size_t used = 0;
        *layer = (struct tn_plan_layer){.name = from->instance->name,
                                        .type_name = from->instance->type->name,
                                        .output = network->layer_outputs[i],
                                        .forward_flops = network->layer_flops[i],
                                        .algorithm = algorithm_of(program, from->instance->name)};
        layer->output.dims[0] = program->batch;
        for (uint32_t k = 0; k < from->input_count && used < sizeof layer->inputs; k++) {
            int more =
                snprintf(layer->inputs + used, sizeof layer->inputs - used, "%s%s", k ? ", " : "", from->inputs[k]);
            used += more > 0 ? (size_t)more : 0;
        }
        for (size_t p = 0; p < network->parameter_count; p++) {
            uint64_t count = tn_shape_elements(&network->parameters[p]->info.shape);
            if (network->parameters[p]->layer_index != i)
                continue;
            layer->parameters += count;
            layer->trained_parameters += network->parameters[p]->info.trained ? count : 0;
        }
        network->report.parameters += layer->parameters;
        network->report.trained_parameters += layer->trained_parameters;
    }
}

tn_status tn__report(struct tn_network *network, struct tn_error *error)
{
    struct tn_plan_report *report = &network->report;
    const struct program *programs[] = {&network->train, &network->tail, &network->infer};
    const struct program *main_program = network->train.planned ? &network->train : &network->infer;
    tn_status status;
    *report = (struct tn_plan_report){.device.size = sizeof report->device};
    if (!network->report_layers)
        network->report_layers =
            tn_arena_take(&network->arena, network->spec.layer_count * sizeof *network->report_layers);
    if (!network->report_layers)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the plan's report");
    status = tn__device(network)->info(tn__device_self(network), &report->device, error);
    report->layers = network->report_layers;
    report->keeps_gradients = network->request.keep_gradients;
    report->layer_count = network->spec.layer_count;
    report->forward_flops = network->forward_flops;
    report->train_flops = network->train_flops;
    add_layers(network, main_program);
    for (size_t i = 0; i < network->parameter_count; i++) {
        const struct parameter *p = network->parameters[i];
        report->weight_bytes += p->value.bytes;
        report->lasting_arena_bytes +=
            tn__rounded(p->value.bytes, PLACE_BYTES) * (network->request.keep_weights ? 2 : 1);
        report->kept_bytes += network->request.keep_weights ? p->value.bytes : 0;
        for (int32_t s = 0; s < p->info.slot_count; s++) {
            report->slot_bytes += p->slots[s].bytes;
            report->lasting_arena_bytes += tn__rounded(p->slots[s].bytes, PLACE_BYTES);
        }
    }
    add_program(report, main_program);
    for (size_t i = 0; i < TN_COUNT_OF(programs); i++) {
        if (programs[i]->arena_bytes > report->step_arena_bytes)
            report->step_arena_bytes = programs[i]->arena_bytes;
        if (programs[i]->scratch_bytes > report->scratch_bytes)
            report->scratch_bytes = programs[i]->scratch_bytes;
    }
    report->step_arena_bytes = tn__rounded(report->step_arena_bytes + 1, ARENA_BYTES); /* never nothing */
    report->lasting_arena_bytes = tn__rounded(report->lasting_arena_bytes + 1, ARENA_BYTES);
    return status;
}
