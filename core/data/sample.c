/* sample.c: one sample from its source into its slot.
 *
 * The chain of augmentations is read from front to back. What can be composed is: geometry into one map, scale and
 * shift into one multiply-add, both carried out by the single sampling pass at the end. Only what cannot be composed
 * (an augmentation that takes the whole picture, or a fill that earlier links would have changed) flushes what is
 * pending into a float picture of the target's size, and the chain goes on from there.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset.h"

/* An augmentation and what it drew for this sample. */
struct tn_link {
    const struct tn_augment *augment;
    const void *self;
    bool applies, random; /* takes part at all; gets random numbers */
    struct tn_random numbers;
    struct tn_affine map;
    int32_t fill_mode;
    float fill_value;
};

/* What is composed and not yet carried out. */
struct pending {
    struct tn_affine map;
    int32_t fill_mode;
    float fill_value;
    bool has_fill; /* some map reaches outside, so fill_mode counts */
    struct tn_scale_shift scale;
    bool has_scale;
};

static const struct pending NOTHING = {
    {1, 0, 0, 0, 1, 0}, TN_FILL_NEAREST, 0, false, {{1, 1, 1, 1}, {0, 0, 0, 0}}, false};

static const uint64_t PURPOSE = 0x6175676D656E7421u; /* "augment!": keeps these streams apart from all others */

void *tn_buffer_take(struct tn_buffer *buffer, size_t bytes)
{
    if (buffer->bytes < bytes) {
        void *data = NULL;
        if (posix_memalign(&data, 64, bytes) != 0)
            return NULL;
        free(buffer->data);
        buffer->data = data, buffer->bytes = bytes;
    }
    return buffer->data;
}

tn_status tn_links_make(const struct tn_dataset *dataset, struct tn_link **links)
{
    uint32_t count = dataset->spec.augment_count;
    *links = calloc(count ? count : 1, sizeof **links);
    if (!*links)
        return TN_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        const struct tn_augment_use *use = &dataset->augments[i];
        struct tn_link *link = &(*links)[i];
        link->augment = (const struct tn_augment *)use->instance->type;
        link->self = use->instance->self;
        link->applies = tn_augment_applies(dataset, use);
        link->random = dataset->spec.training || use->on_all || (link->augment->type.flags & TN_AUGMENT_MIXED) == 0;
    }
    return TN_OK;
}

/* ---- what augmentations say ---- */

/* The stream of augmentation `index`: named by seed, epoch and sample alone. */
static struct tn_random numbers_of(uint64_t seed, uint64_t index, uint64_t epoch, uint64_t sample)
{
    uint32_t block[4];
    tn_random_block(seed ^ PURPOSE, index << 48 ^ epoch, sample, block);
    return tn_random_stream((uint64_t)block[1] << 32 | block[0], (uint64_t)block[3] << 32 | block[2]);
}

static const char *link_name(const struct tn_dataset *dataset, uint32_t index)
{
    return dataset->augments[index].instance->name;
}

static tn_status draw_geometry(const struct tn_dataset *dataset, struct tn_link *links, uint64_t epoch, uint64_t sample,
                               struct tn_error *error)
{
    const struct tn_size target = dataset->spec.options.target_size;
    for (uint32_t i = 0; i < dataset->spec.augment_count; i++) {
        struct tn_link *link = &links[i];
        if (!link->applies)
            continue;
        link->numbers = numbers_of(dataset->spec.seed, i, epoch, sample);
        link->map = TN_AFFINE_IDENTITY;
        link->fill_mode = TN_FILL_NEAREST, link->fill_value = 0;
        if (!link->augment->affine)
            continue;
        tn_status status =
            link->augment->affine(link->self, target.height, target.width, link->random ? &link->numbers : NULL,
                                  &link->map, &link->fill_mode, &link->fill_value, error);
        if (status == TN_OK && (!tn_affine_is_finite(&link->map) || !isfinite(link->fill_value) ||
                                link->fill_mode < TN_FILL_NEAREST || link->fill_mode > TN_FILL_WRAP))
            status = tn_fail(error, TN_FAILED, "it gave a map that is not finite, or an unknown fill mode");
        if (status != TN_OK)
            return tn_error_wrap(error, status, "augment %s", link_name(dataset, i));
    }
    return TN_OK;
}

/* ---- composing ---- */

/* Whether the map of `link` may join what is pending, with the same result as if done after it. */
static bool joins(const struct pending *pending, const struct tn_link *link)
{
    if (tn_affine_stays_inside(&link->map))
        return true;
    if (pending->has_scale && link->fill_mode == TN_FILL_CONSTANT)
        return false; /* the fill is meant in the values after the scaling */
    return !pending->has_fill || (pending->fill_mode == link->fill_mode &&
                                  (link->fill_mode != TN_FILL_CONSTANT || pending->fill_value == link->fill_value));
}

static void join_map(struct pending *pending, const struct tn_link *link)
{
    pending->map = tn_affine_product(&pending->map, &link->map);
    if (tn_affine_stays_inside(&link->map))
        return;
    pending->has_fill = true;
    pending->fill_mode = link->fill_mode, pending->fill_value = link->fill_value;
}

static void join_scale(struct pending *pending, const struct tn_scale_shift *next, int32_t channels)
{
    for (int32_t c = 0; c < channels; c++) {
        pending->scale.shift[c] = pending->scale.shift[c] * next->scale[c] + next->shift[c];
        pending->scale.scale[c] *= next->scale[c];
        pending->has_scale |= next->scale[c] != 1 || next->shift[c] != 0;
    }
}

/* How many pixels of the target one output pixel moves, at most, along each axis: below 1 the picture is enlarged and
 * needs more pixels. Looks at the links up to the first flush, since later ones see a picture of the target's size. */
static struct tn_affine first_map(const struct tn_dataset *dataset, const struct tn_link *links)
{
    struct pending pending = NOTHING;
    for (uint32_t i = 0; i < dataset->spec.augment_count; i++) {
        if (!links[i].applies)
            continue;
        if (!joins(&pending, &links[i]))
            break;
        join_map(&pending, &links[i]);
        if (links[i].augment->apply)
            break;
    }
    return pending.map;
}

/* ---- from source to pixels ---- */

/* Least number of pixels along an axis of the stored picture so that sampling does not enlarge it. */
static int32_t needed(int32_t target, double along, double across)
{
    double step = sqrt(along * along + across * across);
    double pixels = ceil((double)target / fmax(step, 1e-3));
    return pixels > 1e9 ? 1000000000 : (int32_t)pixels;
}

/* The factor by which a codec has made a picture smaller: it rounds sizes up, so 375 rows at half size are 188 that
 * stand for 376, and treating them as 375 would shift everything by a fraction of a pixel. */
static double reduction(int32_t stored, int32_t decoded)
{
    for (int32_t factor = 1; factor <= 64; factor *= 2)
        if ((stored + factor - 1) / factor == decoded)
            return factor;
    return (double)stored / decoded;
}

/* Averages 2x2 blocks while the picture is still twice as large as needed: two taps would skip pixels. */
static tn_status shrink(struct tn_worker *worker, struct tn_picture *picture, int32_t least_height, int32_t least_width,
                        struct tn_error *error)
{
    struct tn_image *image = &picture->image;
    while (image->height / 2 >= least_height && image->width / 2 >= least_width && image->height > 1 &&
           image->width > 1) {
        size_t bytes = (size_t)((image->height + 1) / 2) * (size_t)((image->width + 1) / 2) * (size_t)image->channels;
        struct tn_image half = {.pixels = image->pixels};
        if (image->pixels != worker->reduced.data)
            half.pixels = tn_buffer_take(&worker->reduced, bytes);
        if (!half.pixels)
            return tn_fail(error, TN_NO_MEMORY, "no memory for a picture of %d x %d", (int)image->height,
                           (int)image->width);
        tn_halve(image, &half);
        *image = half;
        picture->ratio_y /= 2, picture->ratio_x /= 2;
    }
    return TN_OK;
}

/* What a picture may be made smaller to while it is decoded; 0 = nothing. */
static struct tn_size least_size(const struct tn_dataset *dataset, const struct tn_link *links)
{
    const struct tn_data_options *options = &dataset->spec.options;
    struct tn_affine map = first_map(dataset, links);
    struct tn_size least = {0, 0};
    if (options->fast_decode) {
        least.height = needed(options->target_size.height, map.yy, map.yx);
        least.width = needed(options->target_size.width, map.xx, map.xy);
    }
    return least;
}

static tn_status decode(struct tn_worker *worker, const struct tn_sample *sample, const struct tn_size *least,
                        struct tn_picture *picture, struct tn_error *error)
{
    const struct tn_data_options *options = &worker->dataset->spec.options;
    struct tn_decode_request request = {.size = sizeof request,
                                        /* four bytes a pixel are quicker to decode to and to sample from */
                                        .channels = worker->dataset->channels == 1 ? 1 : 4,
                                        .minimum_height = least->height,
                                        .minimum_width = least->width,
                                        .fast = options->fast_decode,
                                        .maximum_pixels = (uint64_t)options->maximum_pixels};
    struct tn_image stored;
    tn_status status = tn_decoder_size(worker->decoder, sample->bytes, sample->byte_count, &stored, error);
    if (status != TN_OK)
        return status;
    if (stored.height <= 0 || stored.width <= 0)
        return tn_fail(error, TN_CORRUPT, "it claims a size of %d x %d", (int)stored.height, (int)stored.width);
    if ((uint64_t)stored.height * (uint64_t)stored.width > request.maximum_pixels)
        return tn_fail(error, TN_CORRUPT, "it claims %d x %d pixels, more than max_pixels = %llu", (int)stored.height,
                       (int)stored.width, (unsigned long long)request.maximum_pixels);
    status = tn_decoder_decode(worker->decoder, sample->bytes, sample->byte_count, &request, &picture->image, error);
    if (status != TN_OK)
        return status;
    picture->ratio_y = stored.height / reduction(stored.height, picture->image.height) / options->target_size.height;
    picture->ratio_x = stored.width / reduction(stored.width, picture->image.width) / options->target_size.width;
    if (options->fast_decode && options->interpolation == TN_BILINEAR)
        status = shrink(worker, picture, request.minimum_height, request.minimum_width, error);
    return status;
}

/* Pixels that the source itself delivers. */
static tn_status take_pixels(struct tn_worker *worker, const struct tn_sample *sample, struct tn_picture *picture,
                             struct tn_error *error)
{
    const struct tn_dataset *dataset = worker->dataset;
    const struct tn_image *image = &sample->image;
    bool bytes = image->pixel_type == TN_PIXEL_U8;
    if (!image->pixels || image->height <= 0 || image->width <= 0 || image->channels != dataset->channels ||
        (!bytes && image->pixel_type != TN_PIXEL_F32))
        return tn_fail(error, TN_FAILED, "the source gave a picture of %d x %d with %d channels; %d were asked for",
                       (int)image->height, (int)image->width, (int)image->channels, (int)dataset->channels);
    picture->image = *image;
    picture->ratio_y = (double)image->height / dataset->spec.options.target_size.height;
    picture->ratio_x = (double)image->width / dataset->spec.options.target_size.width;
    if (bytes && image->channels == 3) {
        size_t size = (size_t)image->height * (size_t)image->width * 4;
        picture->image.pixels = tn_buffer_take(&worker->expanded, size);
        if (!picture->image.pixels)
            return tn_fail(error, TN_NO_MEMORY, "no memory for a picture of %d x %d", (int)image->height,
                           (int)image->width);
        tn_expand_rgb(image, &picture->image);
    }
    return TN_OK;
}

/* ---- carrying out ---- */

static void sample_into(const struct tn_dataset *dataset, const struct tn_picture *picture,
                        const struct pending *pending, int32_t pixel_type, void *out)
{
    const struct tn_sampling sampling = {.height = dataset->spec.options.target_size.height,
                                         .width = dataset->spec.options.target_size.width,
                                         .channels = dataset->channels,
                                         .pixel_type = pixel_type,
                                         .ratio_y = picture->ratio_y,
                                         .ratio_x = picture->ratio_x,
                                         .map = pending->map,
                                         .nearest = dataset->spec.options.interpolation == TN_NEAREST,
                                         .fill_mode = pending->fill_mode,
                                         .fill_value = pending->fill_value,
                                         .scale = pending->scale};
    tn_sampling_run(&sampling, &picture->image, out);
}

/* Carries out what is pending: afterwards `picture` is a float picture of the target's size in the worker's scratch. */
static tn_status flush(struct tn_worker *worker, struct tn_picture *picture, struct pending *pending,
                       struct tn_error *error)
{
    const struct tn_dataset *dataset = worker->dataset;
    struct tn_buffer *buffer = &worker->floats[picture->image.pixels == worker->floats[0].data ? 1 : 0];
    void *out = tn_buffer_take(buffer, dataset->image_elements * sizeof(float));
    if (!out)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a picture between augmentations");
    sample_into(dataset, picture, pending, TN_PIXEL_F32, out);
    *pending = NOTHING;
    picture->image = (struct tn_image){dataset->spec.options.target_size.height,
                                       dataset->spec.options.target_size.width, dataset->channels, TN_PIXEL_F32, out};
    picture->ratio_y = picture->ratio_x = 1;
    return TN_OK;
}

static tn_status run_link(struct tn_worker *worker, struct tn_link *link, struct tn_picture *picture,
                          struct pending *pending, struct tn_error *error)
{
    tn_status status = TN_OK;
    struct tn_random *numbers = link->random ? &link->numbers : NULL;
    if (!joins(pending, link))
        status = flush(worker, picture, pending, error);
    if (status != TN_OK)
        return status;
    join_map(pending, link);
    if (link->augment->apply) {
        status = flush(worker, picture, pending, error);
        if (status == TN_OK)
            status = link->augment->apply(link->self, &picture->image, numbers, error);
        if (status != TN_OK)
            return status;
    }
    if (link->augment->scale_shift) {
        struct tn_scale_shift scale = {{1, 1, 1, 1}, {0, 0, 0, 0}};
        status = link->augment->scale_shift(link->self, worker->dataset->channels, numbers, &scale, error);
        if (status == TN_OK)
            join_scale(pending, &scale, worker->dataset->channels);
    }
    return status;
}

/* ---- the target ---- */

static tn_status store_target(const struct tn_dataset *dataset, const struct tn_sample *sample, const void *image,
                              float *target, struct tn_error *error)
{
    int32_t mode = dataset->spec.options.class_mode;
    if (!target)
        return TN_OK;
    if (mode == TN_CLASS_INPUT) {
        memcpy(target, image, dataset->image_bytes); /* pixel_type_of: floats in this mode */
        return TN_OK;
    }
    if (dataset->info.target_count > 0) {
        if (!sample->targets)
            return tn_fail(error, TN_FAILED, "the source gave no targets for it");
        memcpy(target, sample->targets, (size_t)dataset->target_count * sizeof *target);
        return TN_OK;
    }
    if (sample->label < 0 || (uint32_t)sample->label >= dataset->info.class_count)
        return tn_fail(error, TN_CORRUPT, "its class is number %d, and there are %u classes", (int)sample->label,
                       (unsigned)dataset->info.class_count);
    if (tn_one_for_each_class(mode)) {
        memset(target, 0, (size_t)dataset->target_count * sizeof *target);
        target[sample->label] = 1;
    } else {
        target[0] = (float)sample->label;
    }
    return TN_OK;
}

/* The sample's picture and target: out of the cache, or read and decoded. */
static tn_status obtain(struct tn_worker *worker, uint64_t sample, struct tn_sample *read, struct tn_picture *picture,
                        struct tn_error *error)
{
    struct tn_size least = least_size(worker->dataset, worker->links);
    enum tn_cached cached = tn_cached_take(worker, sample, &least, read, picture);
    tn_status status = TN_OK;
    if (cached == TN_CACHED_NOTHING)
        status = tn_sample_read(worker, sample, read, error);
    tn_stage_end(worker, TN_STAGE_READ);
    if (cached == TN_CACHED_DECODED)
        return TN_OK;
    if (status == TN_OK)
        status = read->bytes || !read->image.pixels ? decode(worker, read, &least, picture, error)
                                                    : take_pixels(worker, read, picture, error);
    if (status == TN_OK && cached == TN_CACHED_NOTHING)
        tn_cached_keep(worker, sample, &least, read, picture);
    tn_stage_end(worker, TN_STAGE_DECODE);
    return status;
}

tn_status tn_sample_store(struct tn_worker *worker, uint64_t epoch, uint64_t sample, void *image, float *target,
                          struct tn_error *error)
{
    const struct tn_dataset *dataset = worker->dataset;
    struct tn_sample read;
    struct tn_picture picture = {.ratio_y = 1};
    struct pending pending = NOTHING;
    tn_stage_end(worker, TN_STAGE_READ); /* the wait for what is read ahead */
    tn_status status = draw_geometry(dataset, worker->links, epoch, sample, error);
    tn_stage_end(worker, TN_STAGE_SAMPLE);
    if (status == TN_OK)
        status = obtain(worker, sample, &read, &picture, error);
    for (uint32_t i = 0; status == TN_OK && i < dataset->spec.augment_count; i++) {
        if (!worker->links[i].applies)
            continue;
        status = run_link(worker, &worker->links[i], &picture, &pending, error);
        if (status != TN_OK)
            tn_error_wrap(error, status, "augment %s", link_name(dataset, i));
    }
    if (status != TN_OK)
        return status;
    sample_into(dataset, &picture, &pending, dataset->pixel_type, image);
    tn_stage_end(worker, TN_STAGE_SAMPLE);
    return store_target(dataset, &read, image, target, error);
}
