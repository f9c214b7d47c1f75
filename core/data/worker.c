/* worker.c: the threads that fill batches. A worker claims the next position of the epoch, makes that sample in its own
 * scratch and writes it into its slot; the batch is ready when its last slot is. Which worker does what never shows. */
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "base/thread.h"

/* ---- claims; all under the mutex ---- */

/* True when the next position belongs to a batch that has a place in the ring. */
static bool can_claim(const struct tn_dataset *dataset)
{
    uint64_t first = dataset->next_batch - (dataset->held ? 1 : 0);
    return dataset->claim < dataset->claim_end &&
           dataset->claim / (uint64_t)dataset->spec.options.batch_size < first + dataset->ring_count;
}

/* Readies the place of the batch that `position` begins. */
static void open_batch(struct tn_dataset *dataset, struct tn_ring_batch *place, uint64_t position)
{
    uint64_t size = (uint64_t)dataset->spec.options.batch_size, left = dataset->claim_end - position;
    place->view = (struct tn_batch){.number = position / size,
                                    .count = (int32_t)(left < size ? left : size),
                                    .pixel_type = dataset->pixel_type,
                                    .images = place->images,
                                    .targets = place->targets,
                                    .weights = place->weights,
                                    .samples = place->samples};
    place->done = 0;
    place->failed_slot = -1;
}

static void note_failure(struct tn_ring_batch *place, int32_t slot, const struct tn_error *failure)
{
    if (place->failed_slot >= 0 && place->failed_slot < slot)
        return; /* the first in order is the one that is reported, whoever came first in time */
    place->failed_slot = slot;
    place->failure = *failure;
}

/* Adds `sample` to the sorted list; false when it is there already. Without memory it counts again next time. */
static bool note_skip(struct tn_dataset *dataset, uint64_t sample)
{
    size_t low = 0, high = dataset->skipped_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (dataset->skipped[middle] < sample)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < dataset->skipped_count && dataset->skipped[low] == sample)
        return false;
    if (tn_grow(&dataset->skipped, &dataset->skipped_capacity, dataset->skipped_count + 1, sizeof(uint64_t)) == TN_OK) {
        memmove(dataset->skipped + low + 1, dataset->skipped + low, (dataset->skipped_count - low) * sizeof(uint64_t));
        dataset->skipped[low] = sample;
        dataset->skipped_count++;
    }
    return true;
}

/* ---- one sample ---- */

static void blank_slot(struct tn_dataset *dataset, void *image, float *target)
{
    memset(image, 0, dataset->image_bytes);
    if (target)
        memset(target, 0, (size_t)dataset->target_count * sizeof *target);
}

static void log_skip(struct tn_dataset *dataset, uint64_t sample, const struct tn_error *failure)
{
    char name[512];
    tn_dataset_sample_name(dataset, sample, name, sizeof name);
    tn_log(TN_LOG_WARNING, "left out %s (source %s): %s", name, dataset->spec.source->name, failure->text);
}

/* Makes the sample at `position`. Called with the mutex held, works without it. */
static void fill_slot(struct tn_worker *worker, uint64_t position)
{
    struct tn_dataset *dataset = worker->dataset;
    uint64_t size = (uint64_t)dataset->spec.options.batch_size, epoch = dataset->epoch;
    struct tn_ring_batch *place = &dataset->ring[position / size % dataset->ring_count];
    size_t slot = (size_t)(position % size);
    unsigned char *image = place->images + slot * dataset->image_bytes;
    float *target = place->targets ? place->targets + slot * (size_t)dataset->target_count : NULL;
    dataset->busy++;
    tn_stage_begin(worker);
    bool goes_on = tn_reading_await(worker, position);
    pthread_mutex_unlock(&dataset->mutex);

    double start = tn_seconds_now();
    worker->read_seconds = 0;
    uint64_t sample = tn_order_at(&dataset->order, position);
    place->samples[slot] = sample;
    worker->error.text[0] = '\0';
    tn_status status = goes_on ? tn_sample_store(worker, epoch, sample, image, target, &worker->error) : TN_INTERRUPTED;
    if (status != TN_OK)
        blank_slot(dataset, image, target);
    if (place->weights)
        place->weights[slot] = status == TN_OK ? 1.0f : 0.0f;

    double seconds = tn_seconds_now() - start;
    pthread_mutex_lock(&dataset->mutex);
    if (!worker->ahead && goes_on)
        tn_reading_note(dataset, worker->read_seconds, seconds - worker->read_seconds);
    tn_reading_release(worker);
    bool failed = status != TN_OK && !dataset->halting && goes_on; /* else nobody wants it any more */
    bool skips = failed && dataset->spec.options.on_error == TN_ON_ERROR_SKIP && status != TN_NO_MEMORY;
    bool fresh = skips && note_skip(dataset, sample);
    if (failed && !skips) {
        worker->error.status = status;
        note_failure(place, (int32_t)slot, &worker->error);
    }
    if (fresh) {
        pthread_mutex_unlock(&dataset->mutex);
        log_skip(dataset, sample, &worker->error);
        pthread_mutex_lock(&dataset->mutex);
    }
    place->done++;
    dataset->busy--;
    if (place->done == place->view.count || (dataset->halting && dataset->busy == 0))
        pthread_cond_broadcast(&dataset->ready);
}

static void *worker_main(void *argument)
{
    struct tn_worker *worker = argument;
    struct tn_dataset *dataset = worker->dataset;
    pthread_mutex_lock(&dataset->mutex);
    for (;;) {
        while (!dataset->quit && !can_claim(dataset))
            pthread_cond_wait(&dataset->work, &dataset->mutex);
        if (dataset->quit)
            break;
        uint64_t position = dataset->claim++, size = (uint64_t)dataset->spec.options.batch_size;
        struct tn_ring_batch *place = &dataset->ring[position / size % dataset->ring_count];
        if (position % size == 0)
            open_batch(dataset, place, position);
        fill_slot(worker, position);
    }
    pthread_mutex_unlock(&dataset->mutex);
    return NULL;
}

/* ---- start and stop ---- */

static tn_status open_worker(struct tn_dataset *dataset, struct tn_worker *worker, struct tn_error *error)
{
    worker->dataset = dataset;
    tn_status status = tn_links_make(dataset, &worker->links);
    if (status != TN_OK)
        return tn_fail(error, status, "no memory for a data worker");
    status = tn_decoder_open_named(dataset->spec.registry, &dataset->spec.options.codecs, &worker->decoder, error);
    if (status != TN_OK)
        return status;
    tn_decoder_orient(worker->decoder, dataset->spec.options.auto_orient);
    if (dataset->source->worker_open) {
        status = dataset->source->worker_open(dataset->spec.source->self, &worker->source_worker, error);
        if (status != TN_OK)
            return status;
    }
    worker->source_opened = true;
    return TN_OK;
}

tn_status tn_workers_start(struct tn_dataset *dataset, struct tn_error *error)
{
    if (dataset->workers)
        return TN_OK;
    dataset->workers = calloc((size_t)dataset->worker_count, sizeof *dataset->workers);
    if (!dataset->workers)
        return tn_fail(error, TN_NO_MEMORY, "no memory for data workers");
    dataset->quit = false;
    tn_status status = TN_OK;
    for (int32_t i = 0; status == TN_OK && i < dataset->worker_count; i++)
        status = open_worker(dataset, &dataset->workers[i], error);
    for (int32_t i = 0; status == TN_OK && i < dataset->worker_count; i++) {
        int code = tn_thread_start(&dataset->workers[i].thread, worker_main, &dataset->workers[i]);
        if (code != 0)
            status = tn_fail(error, TN_FAILED, "data worker %d of %d could not be started: %s", (int)i + 1,
                             (int)dataset->worker_count, strerror(code));
        else
            dataset->workers[i].started = true;
    }
    if (status != TN_OK)
        tn_workers_stop(dataset);
    return status;
}

static void close_worker(struct tn_dataset *dataset, struct tn_worker *worker)
{
    if (worker->source_opened && dataset->source->worker_close)
        dataset->source->worker_close(dataset->spec.source->self, worker->source_worker);
    tn_decoder_close(&worker->decoder);
    free(worker->expanded.data);
    free(worker->reduced.data);
    free(worker->cached.data);
    free(worker->packed.data);
    free(worker->floats[0].data);
    free(worker->floats[1].data);
    free(worker->links);
}

void tn_workers_stop(struct tn_dataset *dataset)
{
    if (!dataset->workers)
        return;
    pthread_mutex_lock(&dataset->mutex);
    dataset->quit = true;
    pthread_cond_broadcast(&dataset->work);
    tn_reading_wake(dataset);
    pthread_mutex_unlock(&dataset->mutex);
    for (int32_t i = 0; i < dataset->worker_count; i++)
        if (dataset->workers[i].started)
            pthread_join(dataset->workers[i].thread, NULL);
    tn_reading_stop(dataset); /* after the workers, which hold its buffers */
    for (int32_t i = 0; i < dataset->worker_count; i++)
        close_worker(dataset, &dataset->workers[i]);
    free(dataset->workers);
    dataset->workers = NULL;
}
