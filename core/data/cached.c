/* cached.c: which of a sample's cached forms may stand in for reading and decoding it: only one that gives the same
 * pixels as if it were decoded anew. */
#include "data/dataset.h"

#include <string.h>

/* What a picture was made smaller to hangs on what is asked for, in powers of two. True when a decoder that is asked
 * for `least` would come to this very size: it may not stop earlier, and could not go further. */
static bool has_the_size(const struct tn_cache_entry *entry, const struct tn_size *least)
{
    int32_t height = entry->least_height, width = entry->least_width;
    if (least->height == height && least->width == width)
        return true;
    if (height == 0 || width == 0 || least->height == 0 || least->width == 0)
        return false; /* of full size, and something smaller would do, or the other way round */
    bool reaches = (least->height <= height && least->width <= width) ||
                   (least->height < entry->height && least->width < entry->width);
    bool ends = (least->height >= height && least->width >= width) || (entry->height + 1) / 2 < least->height ||
                (entry->width + 1) / 2 < least->width;
    return reaches && ends;
}

static const float *targets_of(const struct tn_cache_entry *entry)
{
    return entry->target_count ? (const float *)(const void *)(entry + 1) : NULL;
}

static const unsigned char *bytes_of(const struct tn_cache_entry *entry)
{
    return (const unsigned char *)(entry + 1) + entry->target_count * sizeof(float);
}

static bool take_picture(struct tn_worker *worker, const struct tn_cache_entry *entry, struct tn_picture *picture)
{
    struct tn_image image = {entry->height, entry->width, entry->channels, TN_PIXEL_U8,
                             (void *)(uintptr_t)bytes_of(entry)};
    picture->ratio_y = entry->ratio_y, picture->ratio_x = entry->ratio_x;
    picture->image = image;
    if (entry->channels != 3)
        return entry->channels == (worker->dataset->channels == 1 ? 1 : 4);
    picture->image.pixels = tn_buffer_take(&worker->expanded, (size_t)image.height * (size_t)image.width * 4);
    if (!picture->image.pixels)
        return false;
    tn_expand_rgb(&image, &picture->image);
    return true;
}

enum tn_cached tn_cached_take(struct tn_worker *worker, uint64_t sample, const struct tn_size *least,
                              struct tn_sample *read, struct tn_picture *picture)
{
    struct tn_cache *cache = worker->dataset->cache;
    for (uint32_t way = 0; cache && way < TN_CACHE_WAYS; way++) {
        const struct tn_cache_entry *entry = tn_cache_get(cache, sample, way, &worker->cached);
        if (!entry)
            continue;
        *read = (struct tn_sample){.size = sizeof *read, .label = entry->label, .targets = targets_of(entry)};
        if (entry->kind == TN_CACHED_PICTURE) {
            if (has_the_size(entry, least) && take_picture(worker, entry, picture))
                return TN_CACHED_DECODED;
            continue;
        }
        if (entry->kind == TN_CACHED_BYTES)
            read->bytes = bytes_of(entry), read->byte_count = entry->bytes;
        else
            read->image = (struct tn_image){entry->height, entry->width, entry->channels, TN_PIXEL_U8,
                                            (void *)(uintptr_t)bytes_of(entry)};
        return TN_CACHED_READ;
    }
    return TN_CACHED_NOTHING;
}

/* The fourth byte of a pixel is of use only where the network sees it. */
static const void *packed(struct tn_worker *worker, const struct tn_image *image, struct tn_cache_entry *entry)
{
    size_t pixels = (size_t)image->height * (size_t)image->width;
    const unsigned char *in = image->pixels;
    if (image->channels != 4 || worker->dataset->channels != 3)
        return in;
    unsigned char *out = tn_buffer_take(&worker->packed, pixels * 3);
    entry->channels = 3;
    entry->bytes = pixels * 3;
    for (size_t i = 0; out && i < pixels; i++)
        memcpy(out + 3 * i, in + 4 * i, 3);
    return out;
}

void tn_cached_keep(struct tn_worker *worker, uint64_t sample, const struct tn_size *least,
                    const struct tn_sample *read, const struct tn_picture *picture)
{
    const struct tn_dataset *dataset = worker->dataset;
    if (!dataset->cache)
        return;
    bool encoded = read->bytes || !read->image.pixels;
    bool decoded = encoded && dataset->spec.options.cache_stage == TN_CACHE_DECODED;
    const struct tn_image *image = decoded ? &picture->image : &read->image;
    const void *bytes = read->bytes;
    struct tn_cache_entry entry = {.kind = decoded   ? TN_CACHED_PICTURE
                                           : encoded ? TN_CACHED_BYTES
                                                     : TN_CACHED_PIXELS,
                                   .sample = sample,
                                   .bytes = read->byte_count,
                                   .label = read->label,
                                   .target_count = dataset->info.target_count,
                                   .ratio_y = 1,
                                   .ratio_x = 1};
    if (entry.kind != TN_CACHED_BYTES) {
        if (image->pixel_type != TN_PIXEL_U8 || !image->pixels)
            return;
        entry.height = image->height, entry.width = image->width, entry.channels = image->channels;
        entry.bytes = (uint64_t)image->height * (uint64_t)image->width * (uint64_t)image->channels;
        bytes = decoded ? packed(worker, image, &entry) : image->pixels;
    }
    if (decoded) {
        entry.least_height = least->height, entry.least_width = least->width;
        entry.ratio_y = picture->ratio_y, entry.ratio_x = picture->ratio_x;
    }
    if (bytes && (entry.target_count == 0 || read->targets))
        tn_cache_put(dataset->cache, &entry, read->targets, bytes, &worker->cached);
}
