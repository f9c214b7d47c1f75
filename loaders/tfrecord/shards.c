/* shards.c: finds and opens the files, inflates what is compressed, lists the records. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shards.h"

/* An open file that has no name any more. */
static tn_status open_temporary(int *descriptor, struct tn_error *error)
{
    const char *folder = getenv("TMPDIR");
    char path[4096];
    if (snprintf(path, sizeof path, "%s/tenon-inflated-XXXXXX", folder && *folder ? folder : "/tmp") >=
        (int)sizeof path)
        return tn_fail(error, TN_INVALID, "TMPDIR is too long");
    *descriptor = mkostemp(path, O_CLOEXEC);
    if (*descriptor < 0)
        return tn_fail(error, TN_IO, "cannot make a file for what is inflated (%s): %s", path, strerror(errno));
    (void)unlink(path);
    return TN_OK;
}

/* Replaces the shard's descriptor by one of its inflated bytes. Damage is told, and what came before it stays. */
static tn_status open_inflated(const struct tfrecord *source, struct shard *shard, int32_t compression,
                               struct tn_error *error)
{
    int to = -1;
    tn_status status = open_temporary(&to, error);
    if (status != TN_OK)
        return status;
    status = inflate_file(shard->descriptor, to, compression, source->decompressed_limit, error);
    (void)close(shard->descriptor);
    shard->descriptor = to;
    return status;
}

static void say(const struct tfrecord *source, int32_t level, const char *text)
{
    if (source->host && source->host->log)
        source->host->log(level, text);
}

static tn_status wrap(struct tn_error *error, tn_status status, const struct shard *shard)
{
    return tn_error_wrap(error, status, "%s", shard->path);
}

/* Damage that on_damage = skip goes on with. */
static int forgives(const struct tfrecord *source, tn_status status)
{
    return status == TN_CORRUPT && source->on_damage;
}

static tn_status open_shard(struct tfrecord *source, struct shard *shard, struct tn_error *error)
{
    struct stat state;
    int32_t compression = source->compression;
    tn_status status = TN_OK;
    char text[1024];
    shard->descriptor = open(shard->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (shard->descriptor < 0)
        return tn_fail(error, errno == ENOENT ? TN_NOT_FOUND : TN_IO, "%s: cannot open it: %s", shard->path,
                       strerror(errno));
    if (fstat(shard->descriptor, &state) != 0 || !S_ISREG(state.st_mode))
        return tn_fail(error, TN_INVALID, "%s is not a file", shard->path);
    if (compression == COMPRESSION_AUTO)
        compression = compression_of(shard->descriptor);
    if (compression == COMPRESSION_NONE)
        return TN_OK;
    status = open_inflated(source, shard, compression, error);
    if (!forgives(source, status))
        return status == TN_OK ? TN_OK : wrap(error, status, shard);
    (void)snprintf(text, sizeof text, "%s: %s: the records before that are used", shard->path,
                   error ? error->text : "damaged");
    say(source, TN_LOG_WARNING, text);
    return TN_OK;
}

tn_status shards_open(struct tfrecord *source, struct tn_error *error)
{
    glob_t found = {0};
    int code = glob(source->files, GLOB_BRACE | GLOB_ERR, NULL, &found);
    tn_status status = TN_OK;
    shards_close(source);
    if (code == GLOB_NOMATCH)
        return tn_fail(error, TN_NOT_FOUND,
                       "no file is called %s (a pattern like data/train-*.tfrecord; relative paths count from the "
                       "experiment file's folder)",
                       source->files);
    if (code != 0)
        return tn_fail(error, code == GLOB_NOSPACE ? TN_NO_MEMORY : TN_IO, "cannot look for %s", source->files);
    source->shards = calloc(found.gl_pathc, sizeof *source->shards);
    if (!source->shards)
        status = tn_fail(error, TN_NO_MEMORY, "no memory for %zu shards", (size_t)found.gl_pathc);
    for (size_t i = 0; status == TN_OK && i < found.gl_pathc; i++) {
        struct shard *shard = &source->shards[source->shard_count++];
        shard->descriptor = -1;
        shard->path = strdup(found.gl_pathv[i]);
        status = shard->path ? open_shard(source, shard, error) : tn_fail(error, TN_NO_MEMORY, "no memory for names");
    }
    globfree(&found);
    return status;
}

void shards_close(struct tfrecord *source)
{
    for (uint64_t i = 0; i < source->shard_count; i++) {
        if (source->shards[i].descriptor >= 0)
            (void)close(source->shards[i].descriptor);
        free(source->shards[i].path);
    }
    for (uint32_t i = 0; i < source->class_count; i++)
        free(source->classes[i]);
    free(source->classes);
    free(source->class_sizes);
    free(source->shards);
    free(source->places);
    source->shards = NULL;
    source->places = NULL;
    source->classes = NULL;
    source->class_sizes = NULL;
    source->shard_count = source->place_count = source->place_capacity = source->left_out = 0;
    source->class_count = source->class_capacity = 0;
    source->classes_given = 0;
    source->image = source->image_key;
    source->label = source->label_key;
}

static tn_status add_place(struct tfrecord *source, const struct place *place, struct tn_error *error)
{
    if (source->place_count == source->place_capacity) {
        uint64_t more = source->place_capacity ? source->place_capacity * 2 : 1024;
        struct place *grown = realloc(source->places, (size_t)more * sizeof *grown);
        if (!grown)
            return tn_fail(error, TN_NO_MEMORY, "no memory for the list of records");
        source->places = grown;
        source->place_capacity = more;
    }
    source->places[source->place_count++] = *place;
    return TN_OK;
}

/* Of the keys that people use, those of the first record. */
static tn_status choose_keys(struct tfrecord *source, const void *data, uint64_t length, struct tn_error *error)
{
    static const char *const keys[][2] = {{"image", "label"}, {"image/encoded", "image/class/label"}};
    for (size_t i = 0; i < 2 && (!source->image || (source->wants_label && !source->label)); i++) {
        struct feature image, label;
        tn_status status = example_find(data, length, keys[i][0], &image, error);
        if (status == TN_OK)
            status = example_find(data, length, keys[i][1], &label, error);
        if (status != TN_OK)
            return status;
        if (!source->image && image.kind == FEATURE_BYTES)
            source->image = keys[i][0];
        if (!source->label && label.kind != FEATURE_NONE)
            source->label = keys[i][1];
    }
    /* Not in the first record: say what is missed by the name that comes first. */
    source->image = source->image ? source->image : keys[0][0];
    source->label = source->label ? source->label : keys[0][1];
    return TN_OK;
}

static tn_status take_record(struct tfrecord *source, const struct record_reader *reader, uint32_t shard,
                             struct tn_error *error)
{
    struct place place = {reader->offset, (uint32_t)reader->length, shard, (uint32_t)reader->number, -1};
    struct feature image;
    tn_status status;
    if (!source->image || (source->wants_label && !source->label)) {
        status = choose_keys(source, reader->data, reader->length, error);
        if (status != TN_OK)
            return status;
    }
    status =
        record_take(source, reader->data, reader->length, &image, source->wants_label ? &place.label : NULL, error);
    return status == TN_OK ? add_place(source, &place, error) : status;
}

/* Adds where: "x.tfrecord: record 17 at byte 12345: …". */
static tn_status fail_at(const struct shard *shard, const struct record_reader *reader, tn_status status,
                         struct tn_error *error)
{
    return tn_error_wrap(error, status, "%s: record %llu at byte %llu", shard->path, (unsigned long long)reader->number,
                         (unsigned long long)reader->at);
}

static tn_status index_shard(struct tfrecord *source, uint32_t number, struct tn_error *error)
{
    struct shard *shard = &source->shards[number];
    struct record_reader reader;
    struct tn_error reason = {0};
    char text[2048];
    int more = 1;
    tn_status status = record_reader_open(&reader, shard->descriptor, source->verify, error);
    while (status == TN_OK && more) {
        status = record_reader_next(&reader, &more, &reason);
        if (status != TN_OK) {
            (void)snprintf(text, sizeof text, "%s: %s", shard->path, reason.text);
            if (!forgives(source, status))
                status = tn_fail(error, status, "%s", text);
            break;
        }
        if (!more)
            break;
        status = take_record(source, &reader, number, &reason);
        if (forgives(source, status)) {
            source->left_out++;
            status = TN_OK;
        } else if (status != TN_OK) {
            (void)fail_at(shard, &reader, status, &reason);
            status = tn_fail(error, status, "%s", reason.text);
            break;
        }
    }
    if (forgives(source, status)) { /* the framing is lost: nothing behind it can be found */
        (void)strncat(text, ": the rest of the file is left out", sizeof text - strlen(text) - 1);
        say(source, TN_LOG_WARNING, text);
        status = TN_OK;
    }
    record_reader_close(&reader);
    return status;
}

tn_status shards_index(struct tfrecord *source, struct tn_error *error)
{
    char text[256];
    for (uint64_t i = 0; i < source->shard_count; i++) {
        tn_status status = index_shard(source, (uint32_t)i, error);
        if (status != TN_OK)
            return status;
    }
    if (source->left_out) {
        (void)snprintf(text, sizeof text, "%s: %llu records without what is needed are left out", source->files,
                       (unsigned long long)source->left_out);
        say(source, TN_LOG_WARNING, text);
    }
    return TN_OK;
}
