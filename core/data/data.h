/* data.h: from a source to batches: index, order, workers, a bounded ring.
 *
 * A dataset is opened once and streams any number of epochs. Sample n of epoch e is a pure function of (seed, e, n), so
 * batches are the same bits for any number of workers. The ring's slots are allocated when the dataset opens and
 * reused.
 */
#ifndef TENON_DATA_CORE_H
#define TENON_DATA_CORE_H

#include "base/base.h"
#include "registry/registry.h"
#include "tenon/plugin.h"

enum tn_on_error { TN_ON_ERROR_FAIL = 0, TN_ON_ERROR_SKIP = 1 };
enum tn_color_mode { TN_COLOR_RGB = 0, TN_COLOR_GRAYSCALE = 1, TN_COLOR_RGBA = 2 };
enum tn_interpolation { TN_BILINEAR = 0, TN_NEAREST = 1 };
enum tn_overlap { TN_OVERLAP_AUTO = 0, TN_OVERLAP_NO = 1, TN_OVERLAP_YES = 2 };

/* [data] of an experiment; tn_data_option_table is its option table. */
struct tn_data_options {
    struct tn_size target_size; /* default 256x256 as in Keras */
    int64_t batch_size;         /* default 32 */
    int32_t class_mode;         /* enum tn_class_mode */
    int32_t color_mode;         /* enum tn_color_mode */
    int32_t interpolation;      /* enum tn_interpolation */
    int32_t shuffle;            /* default yes; training only */
    int32_t fast_decode;        /* default yes */
    int32_t drop_remainder;     /* default no */
    int32_t on_error;           /* enum tn_on_error; default fail */
    int64_t workers;            /* 0 = auto */
    int64_t prefetch;           /* batches in the ring besides the one in use; default 2 */
    double validation_split;    /* default 0 */
    struct tn_list classes;
    const char
        *augment; /* name of a strategy, or an augment section, or a comma list of them; resolved by the experiment */
    int64_t maximum_pixels; /* key max_pixels; default 178956970, Pillow's limit */
    int32_t overlap;        /* enum tn_overlap: may workers decode while the training thread computes? */
    int64_t retries;        /* of a read that the system refuses; default 4 */
    int64_t io_threads;     /* that read ahead; 0 = as many as it takes, none where reading is quick */
    int64_t read_ahead;     /* bytes; 0 = workers read for themselves */
    const char *cache;      /* none, memory, or a file; each dataset adds its source's name to it */
    int32_t cache_stage;    /* enum tn_cache_stage */
    int64_t cache_limit;    /* bytes; 0 = a quarter of the free memory, or most of the free disk */
    double retry_pause;     /* seconds before the first; each is 4 times the one before; default 0.1 */
    struct tn_list codecs;  /* types of the codecs that are asked, in order */
    int32_t auto_orient;    /* default no, as Keras and TensorFlow do */
};
extern const struct tn_option tn_data_option_table[];

/* One link of the chain of augmentations. */
struct tn_augment_use {
    const struct tn_instance *instance; /* of kind TN_AUGMENT */
    int32_t on_all;                     /* `on = all`: random parts on every source */
};

struct tn_dataset_spec {
    struct tn_data_options options;
    struct tn_instance *source; /* of kind TN_SOURCE; borrowed, one dataset each */
    const struct tn_augment_use *augments;
    uint32_t augment_count;
    struct tn_registry *registry; /* for codecs */
    uint64_t seed;
    int32_t training; /* 1: random augmentations and shuffle apply */
    int32_t subset;   /* enum tn_subset */
    /* Cores that the computation keeps busy, for overlap = auto; 0 = all of them (a GPU: 1). */
    int32_t compute_threads;
};

struct tn_dataset;
/* Scans the source. Errors: missing folder, no samples, binary without exactly two classes, … */
tn_status tn_dataset_open(const struct tn_dataset_spec *spec, struct tn_dataset **dataset, struct tn_error *error);
void tn_dataset_close(struct tn_dataset **dataset);
const struct tn_source_info *tn_dataset_info(const struct tn_dataset *dataset);
/* A number that changes with the list of samples: their names without folders, and classes where they are known. The
 * same wherever the files lie. About 0.3 s for a million. */
uint64_t tn_dataset_list_digest(const struct tn_dataset *dataset);
void tn_dataset_sample_name(const struct tn_dataset *dataset, uint64_t sample, char *text, size_t bytes);
int32_t tn_dataset_channels(const struct tn_dataset *dataset);
/* Floats of a sample's target: class_count for categorical and multi_label, 1 for sparse and binary, image elements for
 * input, as many as the source has for raw, 0 for none. */
int32_t tn_dataset_target_count(const struct tn_dataset *dataset);
/* TN_PIXEL_U8 when nothing needs float (uploads a quarter of the bytes), else TN_PIXEL_F32. Fixed by the augmentations.
 */
int32_t tn_dataset_pixel_type(const struct tn_dataset *dataset);
uint64_t tn_dataset_batches(const struct tn_dataset *dataset); /* of an epoch */
uint64_t tn_dataset_tail(const struct tn_dataset *dataset);    /* size of a smaller last batch, 0 = none */
uint64_t tn_dataset_bytes(const struct tn_dataset *dataset);   /* of the ring and the index */
/* Memory that the cache takes now, and at most. */
uint64_t tn_dataset_cache_bytes(const struct tn_dataset *dataset);
uint64_t tn_dataset_cache_limit(const struct tn_dataset *dataset);
int32_t tn_dataset_workers(const struct tn_dataset *dataset);
uint64_t
tn_dataset_skipped(const struct tn_dataset *dataset); /* samples that could not be read so far (on_error = skip) */
uint64_t tn_dataset_retried(const struct tn_dataset *dataset); /* reads that had to be done again so far */

struct tn_batch {
    uint64_t number; /* in the epoch */
    int32_t count;
    int32_t pixel_type;
    const void *images;      /* [count, h, w, c] */
    const float *targets;    /* [count, target_count] or NULL */
    const float *weights;    /* [count]: 0 for a slot that stands in for a skipped sample; NULL = all 1 */
    const uint64_t *samples; /* [count] index in the source */
    double wait_seconds;     /* how long next() had to wait for it */
};
/* Starts epoch `epoch` at batch `first_batch`; one stream at a time for each dataset. Workers start at the first call
 * and stay. */
tn_status tn_dataset_begin(struct tn_dataset *dataset, uint64_t epoch, uint64_t first_batch, struct tn_error *error);
/* Next batch in order, owned by the dataset until the following next() or end(); *batch = NULL after the last.
 * A sample that fails with on_error = fail is an error here that names the sample. */
tn_status tn_dataset_next(struct tn_dataset *dataset, const struct tn_batch **batch, struct tn_error *error);
/* Ends the epoch early: stops the work in flight. */
void tn_dataset_end(struct tn_dataset *dataset);
/* Source index of a position of the epoch that has begun (epoch 0 before the first): see data/order.c. */
uint64_t tn_dataset_order(const struct tn_dataset *dataset, uint64_t position);

/* ---- where the workers' time goes (stages.c) ---- */
enum tn_stage {
    TN_STAGE_READ = 0,   /* reading, or waiting for those who read ahead */
    TN_STAGE_DECODE = 1, /* to pixels, no larger than needed */
    TN_STAGE_SAMPLE = 2, /* augmentations and the pass into the batch */
    TN_STAGES = 3,
};
struct tn_stage_times {
    uint64_t samples;
    double seconds[TN_STAGES];
};
/* From the next epoch on workers look at the clock between stages; counts begin anew. Not while one is streamed. */
void tn_dataset_watch(struct tn_dataset *dataset, bool watch);
/* What worker `number` of tn_dataset_workers() has done since. Not while an epoch is streamed. */
struct tn_stage_times tn_dataset_stage_times(const struct tn_dataset *dataset, int32_t number);
/* Enum tn_stage that took most of all workers' time since; -1 = unknown. Not while an epoch is streamed. */
int32_t tn_dataset_slowest_stage(const struct tn_dataset *dataset);

/* ---- parts, for tests and the golden suites ---- */
/* TensorFlow's half-pixel rule, no antialias: float result. nearest: floor((i + 0.5) * in / out). */
void tn_resize_bilinear(const struct tn_image *in, float *out, int32_t height, int32_t width);
void tn_resize_nearest(const struct tn_image *in, float *out, int32_t height, int32_t width);
/* Decodes bytes with the codec that recognises them. `decoder` holds worker states of all codecs. */
struct tn_decoder;
tn_status tn_decoder_open(struct tn_registry *registry, struct tn_decoder **decoder, struct tn_error *error);
void tn_decoder_close(struct tn_decoder **decoder);
tn_status tn_decoder_decode(struct tn_decoder *decoder, const void *bytes, uint64_t byte_count,
                            const struct tn_decode_request *request, struct tn_image *image, struct tn_error *error);
/* Name of the codec that recognises the bytes ("jpeg"); NULL = none. */
const char *tn_decoder_codec(const struct tn_decoder *decoder, const void *bytes, uint64_t byte_count);

/* ---- a drawn data set on disk (synth.c; `tenon synth`) ---- */
/* Scans `source` (kind TN_SOURCE, delivering pixels: shapes) for pictures of `size`, and writes its first `count` (0 =
 * all) samples as FOLDER/CLASS/NUMBER.jpg. FOLDER is made; one with something in it is refused. `progress` may be NULL;
 * it is called after each picture, and an answer other than 0 ends the work with TN_INTERRUPTED. */
tn_status tn_synth_write(struct tn_registry *registry, struct tn_instance *source, const char *folder, uint64_t count,
                         int32_t quality, struct tn_size size, uint64_t seed,
                         int32_t (*progress)(void *context, uint64_t done, uint64_t count), void *context,
                         struct tn_error *error);

#endif
