/* stream.c: epochs as the training thread sees them: begin, next, end. */
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

/* Waits until no worker is at a sample, having told them to take no more. */
static void halt(struct tn_dataset *dataset)
{
    dataset->claim_end = dataset->claim;
    dataset->halting = true;
    pthread_cond_broadcast(&dataset->work); /* who pauses before it reads again */
    tn_reading_wake(dataset);
    while (dataset->busy > 0)
        pthread_cond_wait(&dataset->ready, &dataset->mutex);
    dataset->halting = false;
    dataset->held = false;
}

/* Tells the source which of its groups come when. Under the mutex, without a worker at a sample. */
static tn_status arrange(struct tn_dataset *dataset, uint64_t first, struct tn_error *error)
{
    if (!dataset->source->arrange || !dataset->order.groups)
        return TN_OK;
    uint64_t *groups = calloc((size_t)dataset->order.group_count, sizeof *groups);
    if (!groups)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the order of shards");
    uint64_t count = 0;
    tn_status status = tn_order_groups(&dataset->order, first, groups, &count, error);
    if (status == TN_OK)
        dataset->source->arrange(dataset->spec.source->self, groups, count);
    free(groups);
    return status;
}

tn_status tn_dataset_begin(struct tn_dataset *dataset, uint64_t epoch, uint64_t first_batch, struct tn_error *error)
{
    if (first_batch > dataset->batches)
        return tn_fail(error, TN_INVALID, "batch %llu is beyond the %llu batches of an epoch",
                       (unsigned long long)first_batch, (unsigned long long)dataset->batches);
    tn_status status = tn_workers_start(dataset, error);
    if (status != TN_OK)
        return status;
    uint64_t size = (uint64_t)dataset->spec.options.batch_size;
    pthread_mutex_lock(&dataset->mutex);
    halt(dataset);
    for (uint32_t i = 0; i < dataset->ring_count; i++)
        dataset->ring[i].view.number = UINT64_MAX;
    dataset->failed = false;
    dataset->epoch = epoch;
    tn_order_begin(&dataset->order, epoch);
    status = arrange(dataset, first_batch * size, error);
    dataset->next_batch = status == TN_OK ? first_batch : dataset->batches;
    if (status == TN_OK) {
        dataset->claim = first_batch * size;
        dataset->claim_end = dataset->tail ? dataset->info.count : dataset->batches * size;
        tn_reading_begin(dataset, dataset->claim);
        tn_reading_start(dataset);
    }
    pthread_cond_broadcast(&dataset->work);
    pthread_mutex_unlock(&dataset->mutex);
    return status;
}

/* The failure of a batch, with the name of the sample in front. */
static tn_status batch_failure(struct tn_dataset *dataset, const struct tn_ring_batch *place)
{
    char name[512];
    dataset->failure = place->failure;
    tn_dataset_sample_name(dataset, place->samples[place->failed_slot], name, sizeof name);
    tn_error_wrap(&dataset->failure, place->failure.status ? place->failure.status : TN_FAILED, "%s (source %s)", name,
                  dataset->spec.source->name);
    dataset->failed = true;
    return dataset->failure.status;
}

static bool is_ready(const struct tn_dataset *dataset, const struct tn_ring_batch *place)
{
    return place->view.number == dataset->next_batch && place->done == place->view.count;
}

tn_status tn_dataset_next(struct tn_dataset *dataset, const struct tn_batch **batch, struct tn_error *error)
{
    tn_status status = TN_OK;
    *batch = NULL;
    pthread_mutex_lock(&dataset->mutex);
    dataset->held = false;
    if (!dataset->failed && dataset->next_batch < dataset->batches) {
        struct tn_ring_batch *place = &dataset->ring[dataset->next_batch % dataset->ring_count];
        double start = tn_seconds_now();
        tn_reading_start(dataset);
        pthread_cond_broadcast(&dataset->work);
        while (!is_ready(dataset, place))
            pthread_cond_wait(&dataset->ready, &dataset->mutex);
        if (place->failed_slot >= 0) {
            status = batch_failure(dataset, place);
        } else {
            place->view.wait_seconds = tn_seconds_now() - start;
            dataset->held = true;
            dataset->next_batch++;
            *batch = &place->view;
        }
    }
    if (dataset->failed) {
        status = dataset->failure.status;
        if (error)
            *error = dataset->failure;
    }
    pthread_mutex_unlock(&dataset->mutex);
    return status;
}

void tn_dataset_end(struct tn_dataset *dataset)
{
    pthread_mutex_lock(&dataset->mutex);
    halt(dataset);
    dataset->next_batch = dataset->batches;
    pthread_mutex_unlock(&dataset->mutex);
}

uint64_t tn_dataset_skipped(const struct tn_dataset *dataset)
{
    struct tn_dataset *locked = (struct tn_dataset *)dataset; /* the lock is not part of what a reader may not change */
    pthread_mutex_lock(&locked->mutex);
    uint64_t count = locked->skipped_count;
    pthread_mutex_unlock(&locked->mutex);
    return count;
}
