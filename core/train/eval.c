/* eval.c: loss and metrics of a dataset. */
#include <string.h>

#include "train/internal.h"

static void add_value(struct tn_evaluation *evaluation, const char *name, double value, int32_t direction)
{
    if (evaluation->value_count < TN_COUNT_OF(evaluation->values))
        evaluation->values[evaluation->value_count++] = (struct tn_log_value){name, value, direction, 0};
}

static tn_status check_dataset(const struct tn_experiment *experiment, const struct tn_dataset *dataset,
                               struct tn_error *error)
{
    if (!experiment->loss)
        return tn_fail(error, TN_INVALID, "there is no loss to evaluate: class_mode = none gives no labels");
    if (experiment->data.class_mode == TN_CLASS_RAW && experiment->target_count == 0)
        return tn_fail(error, TN_INVALID,
                       "how many numbers a picture has is not known: [source:train] is needed, or the targets.txt of "
                       "the run in %s",
                       experiment->run_directory);
    if (tn_dataset_target_count(dataset) != tn_experiment_target_count(experiment))
        return tn_fail(error, TN_INVALID, "the source has no labels of the kind that the experiment was made for");
    return TN_OK;
}

/* One pass over a dataset: forward, loss, metrics into `meters`. *samples counts what was read. */
static tn_status run_pass(struct tn_experiment *experiment, struct tn_dataset *dataset, struct tn_meters *meters,
                          uint64_t *samples, void (*progress)(void *context, uint64_t batch, uint64_t batches),
                          void *context, struct tn_error *error)
{
    const struct tn_batch *batch = NULL;
    tn_status status = tn_dataset_begin(dataset, 0, 0, error);
    if (status != TN_OK)
        return status;
    for (;;) {
        TN_TRY(status, tn_dataset_next(dataset, &batch, error), out);
        if (!batch)
            break;
        TN_TRY(status,
               tn_network_infer(experiment->network, batch->count, tn_meters_images(meters, batch), batch->targets,
                                batch->weights, meters->losses, meters->predictions, error),
               out);
        tn_meters_add(meters, batch);
        for (int32_t i = 0; i < batch->count; i++)
            *samples += !batch->weights || batch->weights[i] != 0;
        if (progress)
            progress(context, batch->number + 1, tn_dataset_batches(dataset));
    }
out:
    tn_dataset_end(dataset);
    return status;
}

tn_status tn_experiment_evaluate(struct tn_experiment *experiment, struct tn_dataset *dataset,
                                 struct tn_evaluation *evaluation,
                                 void (*progress)(void *context, uint64_t batch, uint64_t batches), void *context,
                                 struct tn_error *error)
{
    struct tn_meters meters = {.experiment = NULL};
    uint64_t skipped = tn_dataset_skipped(dataset);
    tn_status status;
    *evaluation = (struct tn_evaluation){.samples = 0};
    TN_TRY(status, check_dataset(experiment, dataset, error), out);
    TN_TRY(status, tn_experiment_ready(experiment, error), out);
    TN_TRY(status, tn_meters_open(&meters, experiment, dataset, error), out);
    tn_meters_reset(&meters);
    TN_TRY(status, run_pass(experiment, dataset, &meters, &evaluation->samples, progress, context, error), out);
    evaluation->skipped = tn_dataset_skipped(dataset) - skipped;
    add_value(evaluation, "loss", tn_meters_loss(&meters), TN_DIRECTION_DOWN);
    for (uint32_t i = 0; i < experiment->metric_count; i++)
        if (strcmp(experiment->metrics[i]->name, "loss") != 0)
            add_value(evaluation, experiment->metrics[i]->name, tn_meters_metric(&meters, i),
                      ((const struct tn_metric *)experiment->metrics[i]->type)->direction);
out:
    if (meters.experiment)
        tn_meters_close(&meters);
    return status;
}
