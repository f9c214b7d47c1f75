/* predict.c: scores of each sample of a dataset, in order. */
#include "train/internal.h"

/* Hands the rows of one batch on; samples that could not be read have none. */
static tn_status give_rows(const struct tn_dataset *dataset, const struct tn_batch *batch,
                           const struct tn_meters *meters,
                           tn_status (*row)(void *context, const char *name, uint64_t sample, const float *scores,
                                            int32_t count, struct tn_error *error),
                           void *context, struct tn_error *error)
{
    char name[4096];
    tn_status status = TN_OK;
    for (int32_t i = 0; i < batch->count && status == TN_OK; i++) {
        if (batch->weights && batch->weights[i] == 0)
            continue;
        tn_dataset_sample_name(dataset, batch->samples[i], name, sizeof name);
        status = row(context, name, batch->samples[i], meters->predictions + (size_t)i * (size_t)meters->classes,
                     meters->classes, error);
    }
    return status;
}

tn_status tn_experiment_predict(struct tn_experiment *experiment, struct tn_dataset *dataset,
                                tn_status (*row)(void *context, const char *name, uint64_t sample, const float *scores,
                                                 int32_t count, struct tn_error *error),
                                void *context, struct tn_error *error)
{
    struct tn_meters meters = {.experiment = NULL};
    const struct tn_batch *batch = NULL;
    bool begun = false;
    tn_status status;
    TN_TRY(status, tn_experiment_ready(experiment, error), out);
    TN_TRY(status, tn_meters_open(&meters, experiment, dataset, error), out);
    TN_TRY(status, tn_dataset_begin(dataset, 0, 0, error), out);
    begun = true;
    for (;;) {
        TN_TRY(status, tn_dataset_next(dataset, &batch, error), out);
        if (!batch)
            break;
        TN_TRY(status,
               tn_network_infer(experiment->network, batch->count, tn_meters_images(&meters, batch), NULL, NULL, NULL,
                                meters.predictions, error),
               out);
        TN_TRY(status, give_rows(dataset, batch, &meters, row, context, error), out);
    }
out:
    if (begun)
        tn_dataset_end(dataset);
    if (meters.experiment)
        tn_meters_close(&meters);
    return status;
}
