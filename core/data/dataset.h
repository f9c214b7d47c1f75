/* dataset.h: the inside of a dataset, shared by dataset.c (open, close), stream.c (epochs and batches), worker.c
 * (threads) and sample.c (one sample into its slot). */
#ifndef TENON_DATASET_H
#define TENON_DATASET_H

#include <pthread.h>

#include "data/cache.h"
#include "data/data.h"
#include "data/decoder.h"
#include "data/order.h"
#include "data/reading.h"
#include "data/sampling.h"

/* One place of the ring. Guarded by the dataset's mutex, except for what the slots' own workers write. */
struct tn_ring_batch {
    struct tn_batch view; /* as next() hands it out; `number` tells which batch lies here */
    unsigned char *images;
    float *targets, *weights;
    uint64_t *samples;
    int32_t done;            /* slots filled so far */
    int32_t failed_slot;     /* lowest slot that failed, -1 = none */
    struct tn_error failure; /* of that slot */
};

/* Scratch of one thread; buffers grow to what pictures need and stay. */
struct tn_buffer {
    void *data;
    size_t bytes;
};

/* A picture in hand, and how many pixels of it a pixel of the target is. */
struct tn_picture {
    struct tn_image image;
    double ratio_y, ratio_x;
};

/* What a worker's time goes into, while somebody wants to know (stages.c). */
struct tn_stage_clock {
    double at; /* tn_seconds_now() at the end of the last stage */
    struct tn_stage_times times;
};

struct tn_worker {
    struct tn_dataset *dataset;
    pthread_t thread;
    bool started, source_opened;
    void *source_worker;
    struct tn_decoder *decoder;
    struct tn_buffer expanded;  /* 3-channel pictures as 4 bytes a pixel */
    struct tn_buffer reduced;   /* halved pictures */
    struct tn_buffer floats[2]; /* target-size float images between augmentations that take the whole picture */
    struct tn_buffer cached;    /* an entry of a cache in a file */
    struct tn_buffer packed;    /* a picture on its way into the cache */
    struct tn_link *links;      /* [augment_count]: see sample.c */
    struct tn_stage_clock clock;
    struct tn_ahead *ahead; /* the sample in hand, where it was read ahead; else NULL */
    double read_seconds;    /* what reading it took here */
    struct tn_error error;
};

struct tn_dataset {
    struct tn_dataset_spec spec;
    struct tn_augment_use *augments; /* own copy */
    const struct tn_source *source;
    struct tn_source_info info;
    struct tn_cache *cache; /* NULL = none */
    struct tn_order order;  /* of the epoch; changes only while no worker runs */
    size_t image_elements, image_bytes;
    uint64_t batches, tail;
    void *memory; /* of the whole ring */
    size_t memory_bytes;
    struct tn_ring_batch *ring;
    struct tn_worker *workers;
    int32_t channels, target_count, pixel_type, worker_count;
    uint32_t ring_count;
    bool overlaps;     /* workers go on while the consumer is busy with a batch */
    bool synchronised; /* mutex and conditions exist */
    bool watched;      /* workers look at the clock between stages */

    pthread_mutex_t mutex;
    pthread_cond_t work, ready; /* for workers; for the consumer */
    /* Under the mutex: */
    uint64_t epoch;
    uint64_t claim, claim_end; /* next position of the epoch to be taken, and where the stream ends */
    uint64_t next_batch;       /* that next() will give; batches before it are free, but for the one that is held */
    uint64_t *skipped;         /* sorted indexes of samples that could not be read */
    size_t skipped_count, skipped_capacity;
    uint64_t retried;        /* reads that had to be done again */
    struct tn_error failure; /* of a batch: every later next() gives it too */
    struct tn_reading reading;
    int32_t busy; /* workers and readers at a sample */
    bool failed, quit;
    bool held;    /* the consumer has the batch before next_batch */
    bool halting; /* the consumer waits for busy to become 0 */
};

/* worker.c: opens the states and starts the threads; stops and closes them. */
tn_status tn_workers_start(struct tn_dataset *dataset, struct tn_error *error);
void tn_workers_stop(struct tn_dataset *dataset);

/* patience.c: reads a sample, again after failures that may pass. */
tn_status tn_source_read(struct tn_dataset *dataset, void *source_worker, uint64_t sample, struct tn_sample *read,
                         struct tn_error *error);
/* Takes what was read ahead for this worker, or reads it. */
tn_status tn_sample_read(struct tn_worker *worker, uint64_t sample, struct tn_sample *read, struct tn_error *error);

/* cached.c: what is kept of a sample, as far as it gives the pixels that decoding to at least `least` would give: the
 * picture, or what the source gave. */
enum tn_cached { TN_CACHED_NOTHING, TN_CACHED_READ, TN_CACHED_DECODED };
enum tn_cached tn_cached_take(struct tn_worker *worker, uint64_t sample, const struct tn_size *least,
                              struct tn_sample *read, struct tn_picture *picture);
void tn_cached_keep(struct tn_worker *worker, uint64_t sample, const struct tn_size *least,
                    const struct tn_sample *read, const struct tn_picture *picture);

/* sample.c: reads, decodes, augments and stores one sample. `target` has target_count floats. */
tn_status tn_sample_store(struct tn_worker *worker, uint64_t epoch, uint64_t sample, void *image, float *target,
                          struct tn_error *error);
tn_status tn_links_make(const struct tn_dataset *dataset, struct tn_link **links);
/* False when `augment` does nothing for this dataset: random, and neither training nor `on = all`. */
bool tn_augment_applies(const struct tn_dataset *dataset, const struct tn_augment_use *use);

/* stages.c: a sample begins; a stage of it is over. Nothing but a test of a flag unless the dataset is watched. */
void tn_stage_note(struct tn_stage_clock *clock, int32_t stage); /* -1: the beginning */
static inline void tn_stage_begin(struct tn_worker *worker)
{
    if (worker->dataset->watched)
        tn_stage_note(&worker->clock, -1);
}
static inline void tn_stage_end(struct tn_worker *worker, int32_t stage)
{
    if (worker->dataset->watched)
        tn_stage_note(&worker->clock, stage);
}

/* memory of a buffer, at least `bytes`; NULL when there is none */
void *tn_buffer_take(struct tn_buffer *buffer, size_t bytes);

/* Whether a target has a number for each class. */
static inline bool tn_one_for_each_class(int32_t class_mode)
{
    return class_mode == TN_CLASS_CATEGORICAL || class_mode == TN_CLASS_MULTI_LABEL;
}

#endif
