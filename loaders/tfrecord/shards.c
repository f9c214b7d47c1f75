/* shards.c: finds and opens the files, inflates what is compressed and has to be read at random. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shards.h"

/* Of each end, to notice that a shard was rewritten. */
enum { END_BYTES = 1 << 16 };

void say(const struct tfrecord *source, int32_t level, const char *text)
{
    if (source->host && source->host->log)
        source->host->log(level, text);
}

int forgives(const struct tfrecord *source, tn_status status)
{
    return status == TN_CORRUPT && source->on_damage;
}

/* ---- inflating into a file ---- */

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
static tn_status open_inflated(const struct tfrecord *source, struct shard *shard, struct tn_error *error)
{
    int to = -1;
    char text[1024];
    struct tn_error reason = {0};
    tn_status status = open_temporary(&to, &reason);
    if (status == TN_OK) {
        status = inflate_file(shard->descriptor, to, shard->compression, source->decompressed_limit, &reason);
        (void)close(shard->descriptor);
        shard->descriptor = to;
    }
    if (!forgives(source, status))
        return status == TN_OK ? TN_OK : tn_fail(error, status, "%s: %s", shard->path, reason.text);
    (void)snprintf(text, sizeof text, "%s: %s: the records before that are used", shard->path, reason.text);
    say(source, TN_LOG_WARNING, text);
    return TN_OK;
}

/* ---- opening ---- */

static uint32_t crc_at(int descriptor, uint64_t at, unsigned char *bytes)
{
    uint64_t got = 0;
    (void)read_patiently(descriptor, bytes, END_BYTES, at, &got, NULL);
    return record_crc(bytes, got);
}

static tn_status open_file(const struct shard *shard, int *descriptor, struct stat *state, struct tn_error *error)
{
    *descriptor = open(shard->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*descriptor < 0)
        return tn_fail(error, errno == ENOENT ? TN_NOT_FOUND : TN_IO, "%s: cannot open it: %s", shard->path,
                       strerror(errno));
    if (fstat(*descriptor, state) == 0 && S_ISREG(state->st_mode))
        return TN_OK;
    (void)close(*descriptor);
    *descriptor = -1;
    return tn_fail(error, TN_INVALID, "%s is not a file", shard->path);
}

/* As read_patiently: nobody behind us tries again. */
static tn_status open_patiently(const struct shard *shard, int *descriptor, struct stat *state, struct tn_error *error)
{
    struct timespec pause = {0, 100000000};
    tn_status status = open_file(shard, descriptor, state, error);
    for (int left = 4; status == TN_IO && left > 0; left--) {
        (void)nanosleep(&pause, NULL);
        status = open_file(shard, descriptor, state, error);
        pause = (struct timespec){pause.tv_sec * 4 + pause.tv_nsec * 4 / 1000000000, pause.tv_nsec * 4 % 1000000000};
    }
    return status;
}

tn_status shard_open(const struct tfrecord *source, struct shard *shard, struct tn_error *error)
{
    struct stat state;
    tn_status status = open_patiently(shard, &shard->descriptor, &state, error);
    if (status != TN_OK)
        return status;
    shard->size = (uint64_t)state.st_size;
    shard->seconds = state.st_mtim.tv_sec;
    shard->nanoseconds = state.st_mtim.tv_nsec;
    shard->compression = source->compression;
    if (shard->compression == COMPRESSION_AUTO)
        shard->compression = compression_of(shard->descriptor);
    if (source->index_folder) {
        unsigned char *bytes = malloc(END_BYTES);
        if (!bytes)
            return tn_fail(error, TN_NO_MEMORY, "no memory to look at %s", shard->path);
        shard->head = crc_at(shard->descriptor, 0, bytes);
        shard->tail = crc_at(shard->descriptor, shard->size > END_BYTES ? shard->size - END_BYTES : 0, bytes);
        free(bytes);
    }
    return shard->compression != COMPRESSION_NONE && source->io == IO_RANDOM ? open_inflated(source, shard, error)
                                                                             : TN_OK;
}

tn_status shard_reopen(const struct shard *shard, int *descriptor, struct tn_error *error)
{
    struct stat state;
    tn_status status = open_file(shard, descriptor, &state, error);
    if (status == TN_OK && ((uint64_t)state.st_size != shard->size || state.st_mtim.tv_sec != shard->seconds ||
                            state.st_mtim.tv_nsec != shard->nanoseconds)) {
        (void)close(*descriptor);
        *descriptor = -1;
        return tn_fail(error, TN_CORRUPT, "%s has been written since it was looked through", shard->path);
    }
    return status;
}

/* ---- finding ---- */

/* Many shards are opened when they are read; of few the descriptors are kept. */
static int may_keep_open(uint64_t shards)
{
    struct rlimit limit;
    uint64_t most = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY ? limit.rlim_cur / 4 : 256;
    return shards <= (most < 1024 ? most : 1024);
}

tn_status shards_find(struct tfrecord *source, struct tn_error *error)
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
    source->keeps_open = may_keep_open(found.gl_pathc);
    source->shards = calloc(found.gl_pathc, sizeof *source->shards);
    if (!source->shards)
        status = tn_fail(error, TN_NO_MEMORY, "no memory for %zu shards", (size_t)found.gl_pathc);
    for (size_t i = 0; status == TN_OK && i < found.gl_pathc; i++) {
        struct shard *shard = &source->shards[source->shard_count++];
        shard->descriptor = -1;
        shard->path = strdup(found.gl_pathv[i]);
        if (!shard->path)
            status = tn_fail(error, TN_NO_MEMORY, "no memory for names");
    }
    globfree(&found);
    return status;
}

void shards_close(struct tfrecord *source)
{
    stage_close(source->staged);
    blocks_close(source->blocks);
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
    free(source->starts);
    free(source->index_folder);
    source->blocks = NULL;
    source->staged = NULL;
    source->shards = NULL;
    source->places = NULL;
    source->starts = NULL;
    source->classes = NULL;
    source->class_sizes = NULL;
    source->index_folder = NULL;
    source->shard_count = source->place_count = source->place_capacity = source->left_out = 0;
    source->class_count = source->class_capacity = 0;
    source->classes_given = source->sequential = 0;
    source->image = source->image_key;
    source->label = source->label_key;
}
