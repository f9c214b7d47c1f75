/* meters.c: running means of loss and metrics over the samples of an epoch, weighted by their weights. A sample of
 * weight 0 stands in for one that could not be read and counts nowhere.
 */
#include <stdlib.h>

#include "train/internal.h"

static uint64_t pixels_of(const struct tn_experiment *experiment)
{
    const struct tn_size *size = &experiment->data.target_size;
    return (uint64_t)size->height * (uint64_t)size->width * (uint64_t)tn_color_channels(experiment->data.color_mode);
}

/* 8-bit pictures for a network that takes floats. */
static bool needs_pixels(const struct tn_experiment *experiment, const struct tn_dataset *dataset)
{
    return experiment->own->input_type == TN_PIXEL_F32 && tn_dataset_pixel_type(dataset) == TN_PIXEL_U8;
}

tn_status tn_meters_open(struct tn_meters *meters, const struct tn_experiment *experiment,
                         const struct tn_dataset *dataset, struct tn_error *error)
{
    struct tn_shape output = tn_network_output_shape(experiment->network);
    int32_t batch = experiment->own->batch;
    bool enough = true, pixels = needs_pixels(experiment, dataset);
    output.dims[0] = 1;
    *meters = (struct tn_meters){.experiment = experiment, .classes = (int32_t)tn_shape_elements(&output)};
    meters->losses = calloc((size_t)batch, sizeof(float));
    meters->predictions = calloc((size_t)batch * (size_t)meters->classes, sizeof(float));
    meters->states = calloc((size_t)experiment->metric_count + 1, sizeof *meters->states);
    for (uint32_t i = 0; meters->states && i < experiment->metric_count; i++) {
        const struct tn_metric *metric = (const struct tn_metric *)experiment->metrics[i]->type;
        meters->states[i] = calloc(1, metric->state_size + 1);
        enough = enough && meters->states[i];
    }
    if (pixels)
        meters->pixels = calloc((size_t)batch * (size_t)pixels_of(experiment), sizeof(float));
    if (enough && meters->losses && meters->predictions && meters->states && (meters->pixels || !pixels))
        return TN_OK;
    tn_meters_close(meters);
    return tn_fail(error, TN_NO_MEMORY, "no memory for the results of a batch of %d", batch);
}

void tn_meters_close(struct tn_meters *meters)
{
    for (uint32_t i = 0; meters->states && i < meters->experiment->metric_count; i++)
        free(meters->states[i]);
    free(meters->states);
    free(meters->losses);
    free(meters->predictions);
    free(meters->pixels);
    *meters = (struct tn_meters){.experiment = NULL};
}

void tn_meters_reset(struct tn_meters *meters)
{
    meters->loss_sum = 0;
    meters->weight_sum = 0;
    for (uint32_t i = 0; i < meters->experiment->metric_count; i++)
        memset(meters->states[i], 0, ((const struct tn_metric *)meters->experiment->metrics[i]->type)->state_size);
}

void tn_meters_add(struct tn_meters *meters, const struct tn_batch *batch)
{
    const struct tn_experiment *experiment = meters->experiment;
    int32_t mode = experiment->data.class_mode;
    struct tn_metric_batch seen = {
        .size = sizeof seen,
        .batch = batch->count,
        .classes = meters->classes,
        .target_count = tn_experiment_target_count(experiment),
        .multi_label = mode == TN_CLASS_MULTI_LABEL,
        .sparse = mode == TN_CLASS_SPARSE || (mode == TN_CLASS_BINARY && meters->classes > 1),
        .prediction = meters->predictions,
        .target = batch->targets,
        .weight = batch->weights,
    };
    double loss_sum = 0, weight_sum = 0;
    for (int32_t i = 0; i < batch->count; i++) {
        double weight = batch->weights ? batch->weights[i] : 1;
        if (weight == 0)
            continue;
        meters->loss_sum += meters->losses[i]; /* weighted already */
        meters->weight_sum += weight;
        loss_sum += meters->losses[i];
        weight_sum += weight;
    }
    meters->batch_loss = weight_sum > 0 ? loss_sum / weight_sum : 0;
    for (uint32_t i = 0; i < experiment->metric_count && batch->targets; i++) {
        const struct tn_instance *metric = experiment->metrics[i];
        ((const struct tn_metric *)metric->type)->update(metric->self, meters->states[i], &seen);
    }
}

double tn_meters_loss(const struct tn_meters *meters)
{
    return meters->weight_sum > 0 ? meters->loss_sum / meters->weight_sum : 0;
}

double tn_meters_metric(const struct tn_meters *meters, uint32_t metric)
{
    const struct tn_instance *instance = meters->experiment->metrics[metric];
    return ((const struct tn_metric *)instance->type)->value(instance->self, meters->states[metric]);
}

const void *tn_meters_images(struct tn_meters *meters, const struct tn_batch *batch)
{
    const uint8_t *bytes = batch->images;
    uint64_t count = (uint64_t)batch->count * pixels_of(meters->experiment);
    if (batch->pixel_type == meters->experiment->own->input_type)
        return batch->images;
    for (uint64_t i = 0; i < count; i++)
        meters->pixels[i] = bytes[i];
    return meters->pixels;
}
