/* dataset.c: opens a source as a dataset: scan, checks, memory of the ring. */
#include "data/dataset.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

/* ---- what the dataset is ---- */

static int32_t channels_of(int32_t color_mode)
{
    return color_mode == TN_COLOR_GRAYSCALE ? 1 : color_mode == TN_COLOR_RGBA ? 4 : 3;
}

/* Bytes only when no link of the chain asks for floats. That is judged on all augmentations, also those that sit out
 * here: training and validation feed one network. */
static int32_t pixel_type_of(const struct tn_dataset *dataset)
{
    const struct tn_data_options *options = &dataset->spec.options;
    if (options->class_mode == TN_CLASS_INPUT)
        return TN_PIXEL_F32; /* the target is the picture, and targets are floats */
    if (options->interpolation == TN_BILINEAR && !options->fast_decode)
        return TN_PIXEL_F32; /* the peers' exact values are not whole numbers */
    for (uint32_t i = 0; i < dataset->spec.augment_count; i++) {
        const struct tn_augment *augment = (const struct tn_augment *)dataset->augments[i].instance->type;
        if (augment->apply || augment->scale_shift)
            return TN_PIXEL_F32;
    }
    return TN_PIXEL_U8;
}

static int32_t core_count(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? count : 1;
}

/* Decoding beside the computation steals its cores: a parallel loop waits for its slowest thread, so two threads on
 * 1.7 cores are worth little more than one. With few cores the two take turns instead. */
static bool overlap_pays(const struct tn_dataset_spec *spec, int32_t cores)
{
    if (spec->options.overlap != TN_OVERLAP_AUTO)
        return spec->options.overlap == TN_OVERLAP_YES;
    int32_t computing = spec->compute_threads > 0 ? spec->compute_threads : cores;
    return cores > 4 || computing < cores;
}

bool tn_augment_applies(const struct tn_dataset *dataset, const struct tn_augment_use *use)
{
    uint32_t flags = use->instance->type->flags;
    return dataset->spec.training || use->on_all || (flags & (TN_AUGMENT_ALWAYS | TN_AUGMENT_MIXED)) != 0;
}

/* ---- opening ---- */

static tn_status scan(struct tn_dataset *dataset, struct tn_error *error)
{
    const struct tn_dataset_spec *spec = &dataset->spec;
    const struct tn_source_request request = {.size = sizeof request,
                                              .subset = spec->subset,
                                              .validation_split = spec->options.validation_split,
                                              .class_mode = spec->options.class_mode,
                                              .seed = spec->seed,
                                              .target = spec->options.target_size,
                                              .channels = dataset->channels,
                                              .classes = spec->options.classes};
    dataset->info.size = sizeof dataset->info;
    if (!dataset->source->scan || !dataset->source->read)
        return tn_fail(error, TN_INVALID, "source type %s lacks scan or read", dataset->source->type.name);
    return dataset->source->scan(spec->source->self, &request, &dataset->info, error);
}

static tn_status check_classes(const struct tn_dataset *dataset, struct tn_error *error)
{
    const struct tn_source_info *info = &dataset->info;
    int32_t mode = dataset->spec.options.class_mode;
    if (info->count == 0)
        return tn_fail(error, TN_INVALID, "there are no pictures in it");
    if (mode == TN_CLASS_RAW && (info->target_count == 0 || info->class_count > 0))
        return tn_fail(error, TN_INVALID, "class_mode = raw needs numbers as targets, and there are classes");
    if (info->target_count > 0 || mode == TN_CLASS_INPUT || mode == TN_CLASS_NONE)
        return TN_OK;
    if (mode == TN_CLASS_BINARY && info->class_count != 2)
        return tn_fail(error, TN_INVALID, "class_mode = binary needs exactly 2 classes, and there %s %u%s%s",
                       info->class_count == 1 ? "is" : "are", (unsigned)info->class_count,
                       info->class_count == 1 ? ": " : "; for more use categorical or sparse",
                       info->class_count == 1 ? info->classes[0] : "");
    if (info->class_count == 0)
        return tn_fail(error, TN_INVALID, "there are no classes in it; class_mode = input and none need none");
    if (info->class_count == 1)
        tn_log(TN_LOG_WARNING, "source %s has one class only (%s): there is nothing to learn from it",
               dataset->spec.source->name, info->classes[0]);
    return TN_OK;
}

static tn_status measure(struct tn_dataset *dataset, struct tn_error *error)
{
    const struct tn_data_options *options = &dataset->spec.options;
    const struct tn_source_info *info = &dataset->info;
    dataset->image_elements =
        (size_t)options->target_size.height * (size_t)options->target_size.width * (size_t)dataset->channels;
    dataset->image_bytes = dataset->image_elements * (dataset->pixel_type == TN_PIXEL_U8 ? 1 : sizeof(float));
    uint64_t targets = 0;
    if (options->class_mode == TN_CLASS_INPUT)
        targets = dataset->image_elements;
    else if (options->class_mode != TN_CLASS_NONE)
        targets = info->target_count > 0                       ? info->target_count
                  : tn_one_for_each_class(options->class_mode) ? info->class_count
                                                               : 1;
    if (targets > INT32_MAX)
        return tn_fail(error, TN_INVALID, "a picture of %dx%d is too large to be a target",
                       (int)options->target_size.height, (int)options->target_size.width);
    dataset->target_count = (int32_t)targets;
    uint64_t size = (uint64_t)options->batch_size;
    bool drops = options->drop_remainder && dataset->spec.training;
    dataset->tail = drops ? 0 : info->count % size;
    dataset->batches = info->count / size + (dataset->tail != 0);
    if (dataset->batches == 0)
        return tn_fail(error, TN_INVALID, "%llu pictures do not fill a batch of %llu, and drop_remainder is on",
                       (unsigned long long)info->count, (unsigned long long)size);
    return TN_OK;
}

static size_t aligned(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* Lays the ring into one block, in huge pages where the system has them. */
static tn_status make_ring(struct tn_dataset *dataset, struct tn_error *error)
{
    const struct tn_data_options *options = &dataset->spec.options;
    uint64_t count =
        (uint64_t)options->batch_size < dataset->info.count ? (uint64_t)options->batch_size : dataset->info.count;
    uint64_t ring = (uint64_t)options->prefetch + 1;
    if (ring > dataset->batches)
        ring = dataset->batches;
    if (!dataset->overlaps || ring == 0)
        ring = 1; /* filled while next() waits, used while the workers wait */
    size_t slots = (size_t)count;
    if ((double)slots * (double)dataset->image_bytes * 2.0 * (double)ring > (double)(SIZE_MAX / 2))
        return tn_fail(error, TN_NO_MEMORY, "a batch of %llu pictures is larger than any memory",
                       (unsigned long long)count);
    size_t images = aligned(slots * dataset->image_bytes);
    size_t targets = aligned(slots * (size_t)dataset->target_count * sizeof(float));
    size_t weights = options->on_error == TN_ON_ERROR_SKIP ? aligned(slots * sizeof(float)) : 0;
    size_t samples = aligned(slots * sizeof(uint64_t));
    size_t batch = images + targets + weights + samples;
    dataset->ring = calloc((size_t)ring, sizeof *dataset->ring);
    dataset->memory_bytes = batch * (size_t)ring;
    if (!dataset->ring || posix_memalign(&dataset->memory, 1u << 21, dataset->memory_bytes) != 0) {
        char text[64];
        dataset->memory = NULL;
        return tn_fail(error, TN_NO_MEMORY, "no memory for the ring of batches (%s); a smaller batch_size needs less",
                       tn_say_bytes(text, sizeof text, dataset->memory_bytes));
    }
#if defined(MADV_HUGEPAGE)
    (void)madvise(dataset->memory, dataset->memory_bytes, MADV_HUGEPAGE); /* a wish; without it all works the same */
#endif
    dataset->ring_count = (uint32_t)ring;
    unsigned char *at = dataset->memory;
    for (uint64_t i = 0; i < ring; i++) {
        struct tn_ring_batch *place = &dataset->ring[i];
        place->images = at, at += images;
        place->targets = dataset->target_count ? (float *)(void *)at : NULL, at += targets;
        place->weights = weights ? (float *)(void *)at : NULL, at += weights;
        place->samples = (uint64_t *)(void *)at, at += samples;
        place->failed_slot = -1;
        place->view.number = UINT64_MAX;
    }
    return TN_OK;
}

static tn_status make_locks(struct tn_dataset *dataset, struct tn_error *error)
{
    if (pthread_mutex_init(&dataset->mutex, NULL) != 0)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a lock");
    if (pthread_cond_init(&dataset->work, NULL) != 0) {
        pthread_mutex_destroy(&dataset->mutex);
        return tn_fail(error, TN_NO_MEMORY, "no memory for a lock");
    }
    if (pthread_cond_init(&dataset->ready, NULL) != 0) {
        pthread_cond_destroy(&dataset->work);
        pthread_mutex_destroy(&dataset->mutex);
        return tn_fail(error, TN_NO_MEMORY, "no memory for a lock");
    }
    dataset->synchronised = true;
    return TN_OK;
}

static tn_status open_parts(struct tn_dataset *dataset, struct tn_error *error)
{
    tn_status status = TN_OK;
    int32_t cores = core_count();
    dataset->channels = channels_of(dataset->spec.options.color_mode);
    dataset->pixel_type = pixel_type_of(dataset);
    dataset->overlaps = overlap_pays(&dataset->spec, cores);
    dataset->worker_count = dataset->spec.options.workers > 0 ? (int32_t)dataset->spec.options.workers : cores;
    TN_TRY(status, scan(dataset, error), out);
    TN_TRY(status, check_classes(dataset, error), out);
    TN_TRY(status, tn_cache_open(dataset, &dataset->cache, error), out);
    TN_TRY(status,
           tn_order_open(&dataset->order, &dataset->info, dataset->spec.seed,
                         dataset->spec.training && dataset->spec.options.shuffle, error),
           out);
    TN_TRY(status, measure(dataset, error), out);
    TN_TRY(status, make_ring(dataset, error), out);
    TN_TRY(status, make_locks(dataset, error), out);
    dataset->next_batch = dataset->batches; /* next() before begin(): nothing left */
    if ((uint64_t)dataset->worker_count > dataset->info.count)
        dataset->worker_count = (int32_t)dataset->info.count;
out:
    return status;
}

tn_status tn_dataset_open(const struct tn_dataset_spec *spec, struct tn_dataset **dataset, struct tn_error *error)
{
    struct tn_dataset *made = calloc(1, sizeof *made);
    *dataset = made;
    if (!made)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a dataset");
    made->spec = *spec;
    made->source = (const struct tn_source *)spec->source->type;
    made->augments = calloc(spec->augment_count ? spec->augment_count : 1, sizeof *made->augments);
    if (!made->augments) {
        tn_dataset_close(dataset);
        (void)tn_fail(error, TN_NO_MEMORY, "no memory for a dataset");
        return TN_NO_MEMORY;
    }
    for (uint32_t i = 0; i < spec->augment_count; i++)
        made->augments[i] = spec->augments[i];
    made->spec.augments = made->augments;
    tn_status status = open_parts(made, error);
    if (status != TN_OK) {
        if (error)
            tn_error_wrap(error, status, "source %s", spec->source->name);
        tn_dataset_close(dataset);
    }
    return status;
}

void tn_dataset_close(struct tn_dataset **dataset)
{
    struct tn_dataset *closing = *dataset;
    if (!closing)
        return;
    if (closing->synchronised) {
        tn_workers_stop(closing);
        pthread_cond_destroy(&closing->ready);
        pthread_cond_destroy(&closing->work);
        pthread_mutex_destroy(&closing->mutex);
    }
    tn_order_close(&closing->order);
    tn_cache_close(&closing->cache);
    free(closing->skipped);
    free(closing->memory);
    free(closing->ring);
    free(closing->augments);
    free(closing);
    *dataset = NULL;
}

/* ---- questions ---- */

const struct tn_source_info *tn_dataset_info(const struct tn_dataset *dataset)
{
    return &dataset->info;
}

uint64_t tn_dataset_list_digest(const struct tn_dataset *dataset)
{
    const struct tn_instance *source = dataset->spec.source;
    uint64_t digest = dataset->info.count;
    char text[4096];
    for (uint64_t i = 0; i < dataset->info.count; i++) {
        uint32_t block[4];
        int32_t label = dataset->source->label ? dataset->source->label(source->self, i) : 0;
        tn_dataset_sample_name(dataset, i, text, sizeof text);
        const char *slash = strrchr(text, '/'), *name = slash ? slash + 1 : text;
        tn_random_block(digest, (uint64_t)(uint32_t)label, tn_crc32c(name, strlen(name)), block); /* mixes well */
        digest = (uint64_t)block[1] << 32 | block[0];
    }
    return digest;
}

void tn_dataset_sample_name(const struct tn_dataset *dataset, uint64_t sample, char *text, size_t bytes)
{
    if (bytes == 0)
        return;
    text[0] = '\0';
    if (dataset->source->name)
        dataset->source->name(dataset->spec.source->self, sample, text, bytes);
    if (!text[0])
        (void)snprintf(text, bytes, "sample %llu", (unsigned long long)sample);
}

int32_t tn_dataset_channels(const struct tn_dataset *dataset)
{
    return dataset->channels;
}

int32_t tn_dataset_target_count(const struct tn_dataset *dataset)
{
    return dataset->target_count;
}

int32_t tn_dataset_pixel_type(const struct tn_dataset *dataset)
{
    return dataset->pixel_type;
}

uint64_t tn_dataset_batches(const struct tn_dataset *dataset)
{
    return dataset->batches;
}

uint64_t tn_dataset_tail(const struct tn_dataset *dataset)
{
    return dataset->tail;
}

uint64_t tn_dataset_bytes(const struct tn_dataset *dataset)
{
    return dataset->memory_bytes + dataset->info.index_bytes + tn_order_bytes(&dataset->order);
}

uint64_t tn_dataset_cache_bytes(const struct tn_dataset *dataset)
{
    return tn_cache_bytes(dataset->cache);
}

uint64_t tn_dataset_cache_limit(const struct tn_dataset *dataset)
{
    return tn_cache_limit(dataset->cache);
}

int32_t tn_dataset_workers(const struct tn_dataset *dataset)
{
    return dataset->worker_count;
}

uint64_t tn_dataset_order(const struct tn_dataset *dataset, uint64_t position)
{
    return tn_order_at(&dataset->order, position);
}
