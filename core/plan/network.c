/* network.c: a network's life after it was made: plan, allocate, destroy. */
#include <stdlib.h>

#include "plan/internal.h"

static void release_programs(struct tn_network *network)
{
    tn__program_release(network, &network->train);
    tn__program_release(network, &network->tail);
    tn__program_release(network, &network->infer);
    tn__program_release(network, &network->gradient);
}

static void forget(struct tn_network *network, struct tn_value *value)
{
    if (value->planned && tn__device(network)->forget_value)
        tn__device(network)->forget_value(tn__device_self(network), value);
    value->planned = 0;
}

/* Layouts are chosen anew: those of another batch size might not be the best. */
static void forget_parameters(struct tn_network *network)
{
    for (size_t i = 0; i < network->parameter_count; i++) {
        struct parameter *p = network->parameters[i];
        forget(network, &p->value);
        for (int32_t s = 0; s < p->info.slot_count; s++)
            forget(network, &p->slots[s]);
    }
}

void tn_network_destroy(struct tn_network **network)
{
    struct tn_network *n = *network;
    if (!n)
        return;
    if (n->spec.device) {
        const struct tn_device *device = tn__device(n);
        release_programs(n);
        forget_parameters(n);
        if (n->step_arena)
            device->release(tn__device_self(n), n->step_arena, n->step_bytes);
        if (n->lasting_arena)
            device->release(tn__device_self(n), n->lasting_arena, n->lasting_bytes);
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
    status = tn__device(network)->plan(tn__device_self(network), &program->program, error);
    program->planned = true;
    return status == TN_OK ? tn__place(program, error) : status;
}

tn_status tn_network_plan(struct tn_network *network, const struct tn_plan_request *request, struct tn_error *error)
{
    bool can_train = tn__has_loss(network) && network->spec.optimizer;
    tn_status status;
    if (network->step_arena || network->lasting_arena)
        return tn_fail(error, TN_FAILED, "the network is allocated already");
    if ((request->train > 0 || request->train_tail > 0) && !can_train)
        return tn_fail(error, TN_INVALID, "a network without a loss, labels and an optimizer cannot train");
    release_programs(network);
    forget_parameters(network);
    network->ready = false;
    network->request = *request;
    status = plan_program(network, &network->train, request->train, true, error);
    if (status == TN_OK)
        status = plan_program(network, &network->tail, request->train_tail, true, error);
    if (status == TN_OK)
        status = plan_program(network, &network->infer, request->infer, false, error);
    if (status == TN_OK)
        status = tn__report(network, error);
    network->ready = status == TN_OK && (network->train.planned || network->tail.planned || network->infer.planned);
    return status;
}

static tn_status bind_program(struct tn_network *network, struct program *program, struct tn_error *error)
{
    if (!program->planned)
        return TN_OK;
    tn__bind_addresses(program, network->step_arena);
    return tn__device(network)->bind(tn__device_self(network), &program->program, error);
}

static void place_lasting(struct tn_network *network)
{
    char *at = network->lasting_arena;
    for (size_t i = 0; i < network->parameter_count; i++) {
        struct parameter *p = network->parameters[i];
        p->value.data = at;
        at += tn__rounded(p->value.bytes, PLACE_BYTES);
        for (int32_t s = 0; s < p->info.slot_count; s++) {
            p->slots[s].data = at;
            at += tn__rounded(p->slots[s].bytes, PLACE_BYTES);
        }
        if (network->request.keep_weights) {
            p->kept = at;
            at += tn__rounded(p->value.bytes, PLACE_BYTES);
        }
    }
}

static int32_t largest_batch(const struct tn_plan_request *request)
{
    int32_t batch = request->train > request->train_tail ? request->train : request->train_tail;
    return batch > request->infer ? batch : request->infer;
}

/* Buffers in host memory, for batches that are smaller than the planned one. */
static tn_status host_buffers(struct tn_network *network, struct tn_error *error)
{
    size_t batch = (size_t)largest_batch(&network->request);
    size_t targets = (size_t)(tn__has_loss(network) ? network->spec.loss_target_count : 0);
    network->host_batch = (int32_t)batch;
    if (network->infer.planned)
        network->host_images = calloc(1, (size_t)network->infer.images->bytes + 1);
    network->host_targets = calloc(batch * targets + 1, sizeof(float));
    network->host_weights = calloc(batch, sizeof(float));
    network->host_losses = calloc(batch, sizeof(float));
    network->host_predictions = calloc(batch * (size_t)tn_shape_elements(&network->output), sizeof(float));
    if ((network->infer.planned && !network->host_images) || !network->host_targets || !network->host_weights ||
        !network->host_losses || !network->host_predictions)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a batch in host memory");
    return TN_OK;
}

tn_status tn_network_allocate(struct tn_network *network, struct tn_error *error)
{
    const struct tn_device *device = tn__device(network);
    tn_status status;
    if (!network->ready || network->step_arena || network->lasting_arena)
        return tn_fail(error, TN_FAILED, "the network has to be planned, and is allocated once");
    network->step_bytes = network->report.step_arena_bytes;
    network->lasting_bytes = network->report.lasting_arena_bytes;
    TN_TRY(status, device->allocate(tn__device_self(network), network->step_bytes, &network->step_arena, error), out);
    TN_TRY(status, device->allocate(tn__device_self(network), network->lasting_bytes, &network->lasting_arena, error),
           out);
    TN_TRY(status, host_buffers(network, error), out);
    place_lasting(network);
    TN_TRY(status, bind_program(network, &network->train, error), out);
    TN_TRY(status, bind_program(network, &network->tail, error), out);
    TN_TRY(status, bind_program(network, &network->infer, error), out);
    TN_TRY(status, tn__initialize(network, error), out);
out:
    return status;
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
