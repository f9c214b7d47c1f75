/* probe.c: a training step as the run does it, on a batch that the caller has. */
#include <stdlib.h>

#include "cli/probe.h"

tn_status tn_probe_open(struct tn_probe *probe, struct tn_experiment *experiment, struct tn_error *error)
{
    const struct tn_size size = experiment->data.target_size;
    struct tn_shape output;
    size_t batch = (size_t)experiment->data.batch_size, classes;
    tn_status status;

    *probe = (struct tn_probe){.experiment = experiment};
    status = tn_experiment_ready(experiment, error);
    if (status != TN_OK)
        return status;
    output = tn_network_output_shape(experiment->network);
    output.dims[0] = 1;
    classes = (size_t)tn_shape_elements(&output);
    probe->pixel_count =
        (uint64_t)size.height * (uint64_t)size.width * (uint64_t)tn_dataset_channels(experiment->train);
    /* The network takes bytes only where every source gives bytes (experiment.c). */
    probe->wants_floats = tn_dataset_pixel_type(experiment->train) == TN_PIXEL_U8 && experiment->validation &&
                          tn_dataset_pixel_type(experiment->validation) == TN_PIXEL_F32;
    probe->losses = calloc(batch, sizeof(float));
    probe->predictions = calloc(batch * classes, sizeof(float));
    if (probe->wants_floats)
        probe->pixels = calloc(batch * (size_t)probe->pixel_count, sizeof(float));
    if (!probe->losses || !probe->predictions || (probe->wants_floats && !probe->pixels))
        return tn_fail(error, TN_NO_MEMORY, "no memory for the results of a batch");
    return TN_OK;
}

void tn_probe_close(struct tn_probe *probe)
{
    free(probe->losses);
    free(probe->predictions);
    free(probe->pixels);
    *probe = (struct tn_probe){.experiment = NULL};
}

static const void *images_of(struct tn_probe *probe, const struct tn_batch *batch)
{
    const uint8_t *bytes = batch->images;
    if (!probe->wants_floats || batch->pixel_type != TN_PIXEL_U8)
        return batch->images;
    for (uint64_t i = 0; i < (uint64_t)batch->count * probe->pixel_count; i++)
        probe->pixels[i] = bytes[i];
    return probe->pixels;
}

tn_status tn_probe_step(struct tn_probe *probe, const struct tn_batch *batch, double learning_rate, double *loss,
                        struct tn_error *error)
{
    struct tn_step step = {.size = sizeof step,
                           .learning_rate = learning_rate,
                           .step = ++probe->steps,
                           .seed = (uint64_t)probe->experiment->options.seed};
    double sum = 0;
    tn_status status =
        tn_network_train_step(probe->experiment->network, batch->count, images_of(probe, batch), batch->targets,
                              batch->weights, &step, probe->losses, probe->predictions, error);
    for (int32_t i = 0; i < batch->count; i++)
        sum += probe->losses[i];
    if (loss)
        *loss = sum / batch->count;
    return status;
}
