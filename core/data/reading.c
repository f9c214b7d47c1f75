/* reading.c: samples are read ahead by threads of their own, in the order in which they will be wanted, which is known.
 *
 * From a page cache a read takes microseconds, and a worker that reads for itself is quickest. From a network folder it
 * takes milliseconds in which the worker only waits. So the workers time their reads, and when these are slow enough
 * (or `io_threads` says so) as many threads are started as it takes to hide the waiting. `read_ahead` bounds the bytes
 * that lie there. What is read does not depend on any of this.
 */
#include "data/reading.h"

#include <math.h>
#include <stdlib.h>

#include "base/thread.h"
#include "data/dataset.h"

enum { LOOK_AFTER = 64, FEWEST = 4, MOST = 64 };
/* A read that takes longer than this, and a fifth of the sample's time, is worth a thread. */
static const double SLOW = 1e-3, SHARE = 0.2;

static struct tn_ahead *slot_of(struct tn_reading *reading, uint64_t position)
{
    return &reading->slots[position % reading->slot_count];
}

/* ---- one read ---- */

static void close_slot(struct tn_dataset *dataset, struct tn_ahead *slot)
{
    if (slot->opened && dataset->source->worker_close)
        dataset->source->worker_close(dataset->spec.source->self, slot->source_worker);
    slot->opened = false;
    slot->source_worker = NULL;
    dataset->reading.kept -= slot->kept;
    slot->kept = 0;
}

/* Whether the next position may be read: its slot is free, and there is room or somebody waits for just this one. */
static bool may_read(const struct tn_dataset *dataset)
{
    const struct tn_reading *reading = &dataset->reading;
    if (dataset->halting || reading->claim >= dataset->claim_end)
        return false;
    const struct tn_ahead *slot = slot_of((struct tn_reading *)reading, reading->claim);
    uint64_t limit = (uint64_t)dataset->spec.options.read_ahead;
    return slot->state == TN_AHEAD_FREE && (reading->kept - slot->kept < limit || reading->claim <= dataset->claim);
}

static void read_into(struct tn_dataset *dataset, struct tn_ahead *slot)
{
    uint64_t sample = tn_order_at(&dataset->order, slot->position);
    slot->status = TN_OK;
    slot->error.text[0] = '\0';
    slot->sample = (struct tn_sample){.size = sizeof slot->sample, .label = -1};
    slot->passed_by = tn_cache_has(dataset->cache, sample);
    if (slot->passed_by)
        return;
    if (!slot->opened && dataset->source->worker_open)
        slot->status = dataset->source->worker_open(dataset->spec.source->self, &slot->source_worker, &slot->error);
    if (slot->status != TN_OK)
        return;
    slot->opened = true;
    slot->status = tn_source_read(dataset, slot->source_worker, sample, &slot->sample, &slot->error);
}

/* What a sample holds, encoded or as pixels. */
static uint64_t bytes_of(const struct tn_sample *sample)
{
    const struct tn_image *image = &sample->image;
    if (sample->bytes || !image->pixels || image->height <= 0 || image->width <= 0 || image->channels <= 0)
        return sample->byte_count;
    return (uint64_t)image->height * (uint64_t)image->width * (uint64_t)image->channels *
           (image->pixel_type == TN_PIXEL_F32 ? sizeof(float) : 1);
}

/* Counts `bytes` as held by the slot, if it held fewer so far. */
static void keep(struct tn_reading *reading, struct tn_ahead *slot, uint64_t bytes)
{
    if (bytes <= slot->kept)
        return;
    reading->kept += bytes - slot->kept;
    slot->kept = bytes;
}

static void read_next(struct tn_dataset *dataset)
{
    struct tn_reading *reading = &dataset->reading;
    struct tn_ahead *slot = slot_of(reading, reading->claim);
    slot->position = reading->claim++;
    slot->state = TN_AHEAD_READING;
    keep(reading, slot, reading->typical); /* else all threads would find room for one at the same time */
    dataset->busy++;
    pthread_mutex_unlock(&dataset->mutex);
    read_into(dataset, slot);
    pthread_mutex_lock(&dataset->mutex);
    if (slot->status == TN_OK && !slot->passed_by) {
        reading->typical = bytes_of(&slot->sample);
        keep(reading, slot, reading->typical);
    }
    slot->state = TN_AHEAD_READY;
    dataset->busy--;
    pthread_cond_broadcast(&reading->filled);
    if (dataset->halting && dataset->busy == 0)
        pthread_cond_broadcast(&dataset->ready);
}

static void *reader_main(void *argument)
{
    struct tn_dataset *dataset = argument;
    pthread_mutex_lock(&dataset->mutex);
    while (!dataset->quit) {
        if (may_read(dataset))
            read_next(dataset);
        else
            pthread_cond_wait(&dataset->reading.freed, &dataset->mutex);
    }
    pthread_mutex_unlock(&dataset->mutex);
    return NULL;
}

/* ---- for workers ---- */

bool tn_reading_await(struct tn_worker *worker, uint64_t position)
{
    struct tn_dataset *dataset = worker->dataset;
    struct tn_reading *reading = &dataset->reading;
    worker->ahead = NULL;
    if (reading->started == 0 || position < reading->from)
        return true;
    struct tn_ahead *slot = slot_of(reading, position);
    if (reading->claim <= position)
        pthread_cond_signal(&reading->freed); /* `claim` of the dataset has moved: room or not, this one is wanted */
    while (!(slot->state == TN_AHEAD_READY && slot->position == position)) {
        if (dataset->halting || dataset->quit)
            return false;
        pthread_cond_wait(&reading->filled, &dataset->mutex);
    }
    worker->ahead = slot;
    return true;
}

void tn_reading_release(struct tn_worker *worker)
{
    struct tn_dataset *dataset = worker->dataset;
    if (!worker->ahead)
        return;
    worker->ahead->state = TN_AHEAD_FREE;
    if (dataset->reading.kept > (uint64_t)dataset->spec.options.read_ahead)
        close_slot(dataset, worker->ahead); /* its buffer has grown to a large picture */
    worker->ahead = NULL;
    pthread_cond_signal(&dataset->reading.freed);
}

/* As many threads as keep all workers busy: reading takes so many times as long as the rest (Little's law), and a
 * half more for reads that take longer than others. */
static uint32_t threads_that_pay(const struct tn_dataset *dataset, double read, double other)
{
    double threads = ceil(1.5 * dataset->worker_count * read / fmax(other, 1e-6));
    return threads < FEWEST ? FEWEST : threads > MOST ? MOST : (uint32_t)threads;
}

void tn_reading_note(struct tn_dataset *dataset, double read_seconds, double other_seconds)
{
    struct tn_reading *reading = &dataset->reading;
    if (reading->started > 0 || reading->wanted > 0 || dataset->spec.options.read_ahead == 0)
        return;
    reading->reads++;
    reading->read_seconds += read_seconds;
    reading->other_seconds += other_seconds;
    if (reading->reads < LOOK_AFTER)
        return;
    double read = reading->read_seconds / (double)reading->reads,
           other = reading->other_seconds / (double)reading->reads;
    if (read > SLOW && read > SHARE * (read + other))
        reading->wanted = threads_that_pay(dataset, read, other);
    reading->reads = 0;
    reading->read_seconds = reading->other_seconds = 0;
    if (reading->wanted)
        tn_log(TN_LOG_INFO, "source %s: a read takes %.1f ms, so %u threads read ahead (io_threads, read_ahead)",
               dataset->spec.source->name, 1e3 * read, (unsigned)reading->wanted);
}

/* ---- start and stop ---- */

void tn_reading_begin(struct tn_dataset *dataset, uint64_t position)
{
    struct tn_reading *reading = &dataset->reading;
    for (uint32_t i = 0; i < reading->slot_count; i++)
        reading->slots[i].state = TN_AHEAD_FREE;
    reading->from = reading->claim = position;
    if (dataset->spec.options.read_ahead > 0 && dataset->spec.options.io_threads > 0)
        reading->wanted = (uint32_t)dataset->spec.options.io_threads;
    if (reading->started)
        pthread_cond_broadcast(&reading->freed);
}

void tn_reading_wake(struct tn_dataset *dataset)
{
    if (!dataset->reading.synchronised)
        return;
    pthread_cond_broadcast(&dataset->reading.filled);
    pthread_cond_broadcast(&dataset->reading.freed);
}

static bool make_room(struct tn_reading *reading, uint32_t threads)
{
    reading->slots = calloc((size_t)threads * 2, sizeof *reading->slots);
    reading->threads = calloc(threads, sizeof *reading->threads);
    if (!reading->slots || !reading->threads || pthread_cond_init(&reading->filled, NULL) != 0)
        return false;
    if (pthread_cond_init(&reading->freed, NULL) != 0) {
        pthread_cond_destroy(&reading->filled);
        return false;
    }
    reading->synchronised = true;
    reading->slot_count = threads * 2; /* one in hand, one that waits for a worker */
    return true;
}

void tn_reading_start(struct tn_dataset *dataset)
{
    struct tn_reading *reading = &dataset->reading;
    uint32_t threads = reading->wanted;
    if (reading->started > 0 || threads == 0 || reading->slots)
        return;
    if (!make_room(reading, threads)) {
        free(reading->slots);
        free(reading->threads);
        reading->slots = NULL;
        reading->threads = NULL;
        reading->wanted = 0;
        return;
    }
    reading->from = reading->claim = dataset->claim;
    while (reading->started < threads &&
           tn_thread_start(&reading->threads[reading->started], reader_main, dataset) == 0)
        reading->started++;
    if (reading->started < threads)
        tn_log(TN_LOG_WARNING, "source %s: %u of %u threads that read ahead could be started",
               dataset->spec.source->name, (unsigned)reading->started, (unsigned)threads);
}

void tn_reading_stop(struct tn_dataset *dataset)
{
    struct tn_reading *reading = &dataset->reading;
    for (uint32_t i = 0; i < reading->started; i++)
        pthread_join(reading->threads[i], NULL);
    for (uint32_t i = 0; i < reading->slot_count; i++)
        close_slot(dataset, &reading->slots[i]);
    if (reading->synchronised) {
        pthread_cond_destroy(&reading->filled);
        pthread_cond_destroy(&reading->freed);
    }
    free(reading->slots);
    free(reading->threads);
    *reading = (struct tn_reading){0};
}
