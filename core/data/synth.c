/* synth.c: writes what a source draws as class folders of JPEGs. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "data/data.h"

/* All that a picture needs on its way to its file. */
struct synth {
    const struct tn_source *source;
    struct tn_instance *instance;
    struct tn_instance *writer; /* the codec jpeg */
    const struct tn_codec *codec;
    struct tn_source_info info;
    void *worker;
    bool worker_opened;
    const char *folder;
    int32_t quality;
};

/* The user's own files never get mixed with drawn ones. */
static tn_status check_empty(const char *folder, struct tn_error *error)
{
    DIR *listing = opendir(folder);
    if (!listing)
        return errno == ENOENT ? TN_OK : tn_fail(error, TN_IO, "cannot look into %s: %s", folder, strerror(errno));
    const struct dirent *entry;
    int others = 0;
    while ((entry = readdir(listing)) != NULL)
        others += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(listing);
    return others ? tn_fail(error, TN_INVALID, "folder %s is not empty; name a new one", folder) : TN_OK;
}

/* Without fsync and rename: a data set that is cut off is drawn anew, and thousands of fsyncs take minutes. */
static tn_status write_plainly(const char *path, const void *bytes, uint64_t byte_count, struct tn_error *error)
{
    FILE *file = fopen(path, "wbe");
    if (!file)
        return tn_fail(error, TN_IO, "cannot write %s: %s", path, strerror(errno));
    size_t written = fwrite(bytes, 1, (size_t)byte_count, file);
    int reason = errno;
    if (fclose(file) != 0 || written != byte_count) {
        if (written == byte_count)
            reason = errno;
        (void)unlink(path);
        return tn_fail(error, TN_IO, "cannot write %s: %s", path, strerror(reason));
    }
    return TN_OK;
}

static tn_status open_writer(struct tn_registry *registry, struct synth *synth, struct tn_error *error)
{
    struct tn_problems problems = {0};
    tn_status status = tn_instance_open(registry, TN_CODEC, "jpeg", NULL, NULL, &synth->writer, &problems);
    if (status != TN_OK)
        tn_fail(error, status, "codec jpeg: %s", problems.count ? problems.items[0].text : "cannot be opened");
    tn_problems_release(&problems);
    if (status != TN_OK)
        return status;
    synth->codec = (const struct tn_codec *)synth->writer->type;
    return synth->codec->encode ? TN_OK : tn_fail(error, TN_UNSUPPORTED, "this codec jpeg does not write");
}

static tn_status open_source(struct synth *synth, struct tn_size size, uint64_t seed, struct tn_error *error)
{
    const struct tn_source_request request = {.size = sizeof request,
                                              .subset = TN_SUBSET_ALL,
                                              .class_mode = TN_CLASS_CATEGORICAL,
                                              .seed = seed,
                                              .target = size,
                                              .channels = 3};
    synth->info.size = sizeof synth->info;
    tn_status status = synth->source->scan(synth->instance->self, &request, &synth->info, error);
    if (status == TN_OK && synth->source->worker_open)
        status = synth->source->worker_open(synth->instance->self, &synth->worker, error);
    synth->worker_opened = status == TN_OK;
    if (status == TN_OK && synth->info.class_count == 0)
        status = tn_fail(error, TN_INVALID, "source %s has no classes to make folders of", synth->instance->name);
    return status;
}

static tn_status make_folders(const struct synth *synth, struct tn_error *error)
{
    struct tn_text path = {0};
    tn_status status = TN_OK;
    for (uint32_t i = 0; status == TN_OK && i < synth->info.class_count; i++) {
        path.length = 0;
        tn_text_format(&path, "%s/%s", synth->folder, synth->info.classes[i]);
        status = path.failed ? tn_fail(error, TN_NO_MEMORY, "no memory for a path") : tn_folder_make(path.data, error);
    }
    tn_text_release(&path);
    return status;
}

static tn_status write_sample(const struct synth *synth, uint64_t index, struct tn_error *error)
{
    struct tn_sample sample = {.size = sizeof sample, .label = -1};
    struct tn_text path = {0};
    const struct tn_host *host = tn_host_table();
    void *bytes = NULL;
    uint64_t byte_count = 0;
    tn_status status = TN_OK;
    TN_TRY(status, synth->source->read(synth->instance->self, synth->worker, index, &sample, error), out);
    if (!sample.image.pixels || sample.label < 0 || (uint32_t)sample.label >= synth->info.class_count)
        TN_TRY(status, tn_fail(error, TN_UNSUPPORTED, "source %s does not draw pictures", synth->instance->name), out);
    TN_TRY(status,
           synth->codec->encode(synth->writer->self, host, &sample.image, synth->quality, &bytes, &byte_count, error),
           out);
    tn_text_format(&path, "%s/%s/%06llu.jpg", synth->folder, synth->info.classes[sample.label],
                   (unsigned long long)index);
    if (path.failed)
        TN_TRY(status, tn_fail(error, TN_NO_MEMORY, "no memory for a path"), out);
    status = write_plainly(path.data, bytes, byte_count, error);
out:
    if (bytes)
        host->release(bytes);
    tn_text_release(&path);
    return status;
}

/* Sample `step` of `count`, spread evenly over the set: sources list class after class, and a part of the set has to
 * hold all of them. */
static uint64_t spread(uint64_t step, uint64_t count, uint64_t total)
{
    return count == total ? step : (uint64_t)((double)step * ((double)total / (double)count));
}

tn_status tn_synth_write(struct tn_registry *registry, struct tn_instance *source, const char *folder, uint64_t count,
                         int32_t quality, struct tn_size size, uint64_t seed,
                         int32_t (*progress)(void *context, uint64_t done, uint64_t count), void *context,
                         struct tn_error *error)
{
    struct synth synth = {
        .source = (const struct tn_source *)source->type, .instance = source, .folder = folder, .quality = quality};
    tn_status status = TN_OK;
    if (quality < 1 || quality > 100 || size.height < 8 || size.width < 8)
        return tn_fail(error, TN_INVALID, "quality has to be 1..100 and a picture at least 8x8");
    TN_TRY(status, check_empty(folder, error), out);
    TN_TRY(status, open_writer(registry, &synth, error), out);
    TN_TRY(status, open_source(&synth, size, seed, error), out);
    if (count == 0)
        count = synth.info.count;
    if (count > synth.info.count)
        TN_TRY(status,
               tn_fail(error, TN_INVALID, "%llu pictures are asked for and source %s draws %llu",
                       (unsigned long long)count, source->name, (unsigned long long)synth.info.count),
               out);
    TN_TRY(status, make_folders(&synth, error), out);
    for (uint64_t i = 0; i < count; i++) {
        TN_TRY(status, write_sample(&synth, spread(i, count, synth.info.count), error), out);
        if (progress && progress(context, i + 1, count) != 0)
            TN_TRY(status, tn_fail(error, TN_INTERRUPTED, "stopped after %llu pictures", (unsigned long long)i + 1),
                   out);
    }
out:
    if (synth.worker_opened && synth.source->worker_close)
        synth.source->worker_close(source->self, synth.worker);
    tn_instance_close(&synth.writer);
    return status;
}
