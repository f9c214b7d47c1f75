/* step.c: running the planned programs, and reading and writing weights. Allocates nothing, except where tests ask for
 * gradients. */
#include <stdlib.h>

#include "plan/internal.h"

static size_t image_bytes(const struct tn_network *network)
{
    size_t pixels = (size_t)network->spec.input_size.height * (size_t)network->spec.input_size.width *
                    (size_t)network->spec.input_channels;
    return pixels * (network->spec.input_type == TN_PIXEL_U8 ? 1 : sizeof(float));
}

static size_t output_elements(const struct tn_network *network)
{
    return (size_t)tn_shape_elements(&network->output); /* built with one image */
}

/* Hands over the inputs of one full batch; weights NULL: all 1. */
static tn_status write_inputs(struct tn_network *network, struct program *program, const void *images,
                              const float *targets, const float *weights, struct tn_error *error)
{
    const struct tn_device *device = tn__device(network);
    tn_status status = device->write(tn__device_self(network), program->images, images, error);
    if (status != TN_OK || !program->targets)
        return status;
    if (!weights) {
        for (int32_t i = 0; i < program->batch; i++)
            network->host_weights[i] = 1.0f;
        weights = network->host_weights;
    }
    status = device->write(tn__device_self(network), program->targets, targets, error);
    return status == TN_OK ? device->write(tn__device_self(network), program->weights, weights, error) : status;
}

static tn_status run(struct tn_network *network, struct program *program, const struct tn_step *step,
                     struct tn_error *error)
{
    return tn__device(network)->run(tn__device_self(network), &program->program, 0, program->program.op_count, step,
                                    error);
}

tn_status tn_network_train_step(struct tn_network *network, int32_t batch, const void *images, const float *targets,
                                const float *weights, const struct tn_step *step, float *losses, float *predictions,
                                struct tn_error *error)
{
    const struct tn_device *device = tn__device(network);
    struct program *program = network->train.planned && batch == network->train.batch ? &network->train
                              : network->tail.planned && batch == network->tail.batch ? &network->tail
                                                                                      : NULL;
    tn_status status;
    if (!program || !network->lasting_arena)
        return tn_fail(error, TN_FAILED, "no training program is there for a batch of %d", batch);
    network->stepped = NULL;
    TN_TRY(status, write_inputs(network, program, images, targets, weights, error), out);
    TN_TRY(status, run(network, program, step, error), out);
    network->stepped = program;
    if (losses)
        TN_TRY(status, device->read(tn__device_self(network), program->losses, losses, error), out);
    if (predictions)
        TN_TRY(status, device->read(tn__device_self(network), program->predictions, predictions, error), out);
out:
    return status;
}

/* Copies a short batch to the front of a full one, and clears the rest. */
static const void *padded(void *buffer, const void *data, size_t each, int32_t count, int32_t full)
{
    memcpy(buffer, data, each * (size_t)count);
    memset((char *)buffer + each * (size_t)count, 0, each * (size_t)(full - count));
    return buffer;
}

tn_status tn_network_infer(struct tn_network *network, int32_t batch, const void *images, const float *targets,
                           const float *weights, float *losses, float *predictions, struct tn_error *error)
{
    static const struct tn_step no_step = {.size = sizeof no_step};
    const struct tn_device *device = tn__device(network);
    struct program *program = &network->infer;
    size_t target_bytes = tn__has_loss(network) ? (size_t)network->spec.loss_target_count * sizeof(float) : 0;
    bool partial = batch < program->batch;
    tn_status status;
    if (!program->planned || !network->lasting_arena || batch > program->batch || batch < 1)
        return tn_fail(error, TN_FAILED, "no inference program is there for a batch of %d", batch);
    if (partial) {
        images = padded(network->host_images, images, image_bytes(network), batch, program->batch);
        if (targets)
            targets = padded(network->host_targets, targets, target_bytes, batch, program->batch);
        if (weights)
            weights = padded(network->host_weights, weights, sizeof(float), batch, program->batch);
    }
    if (!targets) {
        memset(network->host_targets, 0, target_bytes * (size_t)program->batch);
        targets = network->host_targets;
    }
    network->stepped = NULL; /* the same memory */
    TN_TRY(status, write_inputs(network, program, images, targets, weights, error), out);
    TN_TRY(status, run(network, program, &no_step, error), out);
    if (losses && program->losses) {
        TN_TRY(status, device->read(tn__device_self(network), program->losses, network->host_losses, error), out);
        memcpy(losses, network->host_losses, sizeof(float) * (size_t)batch);
    }
    if (predictions) {
        TN_TRY(status, device->read(tn__device_self(network), program->predictions, network->host_predictions, error),
               out);
        memcpy(predictions, network->host_predictions, sizeof(float) * output_elements(network) * (size_t)batch);
    }
out:
    return status;
}

/* ---- gradients, for tests ---- */

/* Makes the program without updates for this batch, with an arena of its own that the caller releases. */
static tn_status gradient_program(struct tn_network *network, int32_t batch, void **arena, uint64_t *bytes,
                                  struct tn_error *error)
{
    const struct tn_device *device = tn__device(network);
    struct program *program = &network->gradient;
    tn_status status;
    TN_TRY(status, tn__program_make(network, program, batch, true, false, error), out);
    TN_TRY(status, device->plan(tn__device_self(network), &program->program, error), out);
    program->planned = true;
    TN_TRY(status, tn__place(program, error), out);
    *bytes = program->arena_bytes ? program->arena_bytes : 64;
    TN_TRY(status, device->allocate(tn__device_self(network), *bytes, arena, error), out);
    tn__bind_addresses(program, *arena);
    TN_TRY(status, device->bind(tn__device_self(network), &program->program, error), out);
out:
    return status;
}

static tn_status read_gradient(struct tn_network *network, int32_t batch, const void *images, const float *targets,
                               const struct tn_step *step, int64_t parameter, float *gradient, struct tn_error *error)
{
    const struct tn_device *device = tn__device(network);
    const struct tn_value *wanted;
    void *arena = NULL;
    uint64_t bytes = 0;
    tn_status status;
    if (batch < 1 || batch > network->host_batch || !tn__has_loss(network))
        return tn_fail(error, TN_INVALID, "no training is planned for a batch of %d", batch);
    TN_TRY(status, gradient_program(network, batch, &arena, &bytes, error), out);
    wanted = parameter < 0 ? network->gradient.input_gradient : network->gradient.gradients[parameter];
    if (!wanted) {
        status = tn_fail(error, TN_INVALID, "nothing derives this gradient");
        goto out;
    }
    TN_TRY(status, write_inputs(network, &network->gradient, images, targets, NULL, error), out);
    TN_TRY(status, run(network, &network->gradient, step, error), out);
    TN_TRY(status, device->read(tn__device_self(network), wanted, gradient, error), out);
out:
    tn__program_release(network, &network->gradient);
    if (arena)
        device->release(tn__device_self(network), arena, bytes);
    return status;
}

tn_status tn_network_gradient(struct tn_network *network, int32_t batch, const void *images, const float *targets,
                              const struct tn_step *step, uint32_t parameter, float *gradient, struct tn_error *error)
{
    if (parameter >= network->parameter_count)
        return tn_fail(error, TN_INVALID, "there is no parameter %u", parameter);
    return read_gradient(network, batch, images, targets, step, parameter, gradient, error);
}

tn_status tn_network_input_gradient(struct tn_network *network, int32_t batch, const void *images, const float *targets,
                                    const struct tn_step *step, float *gradient, struct tn_error *error)
{
    return read_gradient(network, batch, images, targets, step, -1, gradient, error);
}

/* NULL where there is no such value. The kept copy lies as the weight does, in another place: `kept` then describes it.
 */
static const struct tn_value *value_of(struct tn_network *network, uint32_t index, int32_t slot, struct tn_value *kept,
                                       struct tn_error *error)
{
    struct parameter *p = index < network->parameter_count ? network->parameters[index] : NULL;
    const struct tn_value *value = NULL;
    if (p && slot >= TN_SLOT_KEPT && slot < p->info.slot_count)
        value = slot < 0 ? &p->value : &p->slots[slot];
    if (value && slot == TN_SLOT_KEPT) {
        *kept = *value;
        kept->data = network->request.keep_weights ? p->kept : NULL;
        value = kept;
    }
    if (value && value->data)
        return value;
    (void)tn_fail(error, TN_INVALID, "there is no weight %u, slot %d in memory", index, slot);
    return NULL;
}

tn_status tn_network_read(struct tn_network *network, uint32_t index, int32_t slot, float *plain,
                          struct tn_error *error)
{
    struct tn_value kept;
    const struct tn_value *value = value_of(network, index, slot, &kept, error);
    return value ? tn__device(network)->read(tn__device_self(network), value, plain, error) : TN_INVALID;
}

tn_status tn_network_write(struct tn_network *network, uint32_t index, int32_t slot, const float *plain,
                           struct tn_error *error)
{
    struct tn_value kept;
    const struct tn_value *value = value_of(network, index, slot, &kept, error);
    return value ? tn__device(network)->write(tn__device_self(network), (struct tn_value *)value, plain, error)
                 : TN_INVALID;
}

/* Copies every weight to its kept copy, or back, by way of a COPY that the device does in its own layout. */
static tn_status copy_kept(struct tn_network *network, bool back, struct tn_error *error)
{
    const struct tn_device *device = tn__device(network);
    if (!network->request.keep_weights)
        return tn_fail(error, TN_FAILED, "no copy of the weights was planned");
    if (!device->copy)
        return tn_fail(error, TN_UNSUPPORTED, "the device cannot copy memory");
    for (size_t i = 0; i < network->parameter_count; i++) {
        struct parameter *p = network->parameters[i];
        tn_status status = device->copy(tn__device_self(network), back ? p->value.data : p->kept,
                                        back ? p->kept : p->value.data, p->value.bytes, error);
        if (status != TN_OK)
            return status;
    }
    return TN_OK;
}

tn_status tn_network_keep(struct tn_network *network, struct tn_error *error)
{
    return copy_kept(network, false, error);
}

tn_status tn_network_restore(struct tn_network *network, struct tn_error *error)
{
    return copy_kept(network, true, error);
}
