/* read.c: names, labels and bytes of samples. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shards.h"

/* Where there are too many shards to keep them all open, a worker keeps the last ones that it read. */
enum { KEPT = 2 };

struct worker {
    unsigned char *bytes;
    uint64_t capacity;
    struct {
        uint32_t shard;
        int descriptor; /* -1 = none */
    } kept[KEPT];
    uint32_t next;
};

void sample_name(const void *self, uint64_t index, char *text, uint64_t text_bytes)
{
    const struct tfrecord *source = self;
    const struct place *place = &source->places[index];
    (void)snprintf(text, (size_t)text_bytes, "%s#%u", source->shards[place->shard].path, place->number);
}

int32_t sample_label(const void *self, uint64_t index)
{
    return ((const struct tfrecord *)self)->places[index].label;
}

tn_status worker_open(const void *self, void **state, struct tn_error *error)
{
    struct worker *worker = calloc(1, sizeof *worker);
    (void)self;
    *state = worker;
    for (int i = 0; worker && i < KEPT; i++)
        worker->kept[i].descriptor = -1;
    return worker ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for a reader");
}

void worker_close(const void *self, void *state)
{
    struct worker *worker = state;
    (void)self;
    for (int i = 0; worker && i < KEPT; i++)
        if (worker->kept[i].descriptor >= 0)
            (void)close(worker->kept[i].descriptor);
    if (worker)
        free(worker->bytes);
    free(worker);
}

static tn_status descriptor_of(const struct tfrecord *source, struct worker *worker, uint32_t shard, int *descriptor,
                               struct tn_error *error)
{
    for (int i = 0; i < KEPT; i++)
        if (worker->kept[i].descriptor >= 0 && worker->kept[i].shard == shard) {
            *descriptor = worker->kept[i].descriptor;
            return TN_OK;
        }
    tn_status status = shard_reopen(&source->shards[shard], descriptor, error);
    if (status != TN_OK)
        return status;
    uint32_t slot = worker->next++ % KEPT;
    if (worker->kept[slot].descriptor >= 0)
        (void)close(worker->kept[slot].descriptor);
    worker->kept[slot].shard = shard;
    worker->kept[slot].descriptor = *descriptor;
    return TN_OK;
}

/* Forgets a descriptor that reads no more: a server that was away does not know it (ESTALE). */
static void forget(struct worker *worker, int descriptor)
{
    for (int i = 0; i < KEPT; i++)
        if (worker->kept[i].descriptor == descriptor) {
            (void)close(descriptor);
            worker->kept[i].descriptor = -1;
        }
}

static tn_status read_record(const struct tfrecord *source, struct worker *worker, const struct place *place,
                             uint64_t count, struct tn_error *error)
{
    int descriptor = source->shards[place->shard].descriptor;
    tn_status status;
    if (descriptor >= 0) {
        status = record_read_bytes(descriptor, place->offset, worker->bytes, count, error);
        if (status != TN_IO || errno != ESTALE || source->shards[place->shard].compression != COMPRESSION_NONE)
            return status;
    }
    status = descriptor_of(source, worker, place->shard, &descriptor, error);
    if (status != TN_OK)
        return status;
    status = record_read_bytes(descriptor, place->offset, worker->bytes, count, error);
    if (status == TN_IO)
        forget(worker, descriptor);
    return status;
}

static tn_status reserve(struct worker *worker, uint64_t needed, struct tn_error *error)
{
    if (worker->capacity >= needed)
        return TN_OK;
    free(worker->bytes);
    worker->capacity = needed + needed / 4;
    worker->bytes = malloc((size_t)worker->capacity);
    if (worker->bytes)
        return TN_OK;
    worker->capacity = 0;
    return tn_fail(error, TN_NO_MEMORY, "no memory for a record of %llu bytes", (unsigned long long)needed);
}

/* From a copy on a local disk. One that is damaged is given up, and the original is read. */
static tn_status read_staged(const struct tfrecord *source, struct worker *worker, const struct place *place,
                             uint64_t count)
{
    int kept = stage_kept_descriptor(source->staged, place->shard);
    int descriptor = kept >= 0 ? kept : stage_descriptor(source->staged, place->shard);
    if (descriptor < 0)
        return TN_NOT_FOUND;
    tn_status status = record_read_bytes(descriptor, place->offset, worker->bytes, count, NULL);
    if (status == TN_OK)
        status = record_prove(worker->bytes, place->length, place->offset, NULL);
    if (descriptor != kept)
        (void)close(descriptor);
    if (status != TN_OK)
        (void)stage_reject(source->staged, place->shard);
    return status;
}

static tn_status read_at_random(const struct tfrecord *source, struct worker *worker, const struct place *place,
                                uint64_t count, struct tn_error *error)
{
    if (source->staged && read_staged(source, worker, place, count) == TN_OK)
        return TN_OK;
    tn_status status = read_record(source, worker, place, count, error);
    return status == TN_OK ? record_prove(worker->bytes, place->length, place->offset, error) : status;
}

static tn_status read_in_sequence(const struct tfrecord *source, struct worker *worker, const struct place *place,
                                  uint64_t count, struct tn_error *error)
{
    for (;;) {
        uint32_t version = blocks_version(source->blocks, place->shard);
        tn_status status = blocks_read(source->blocks, place->shard, place->offset, worker->bytes, count, error);
        if (status == TN_OK)
            status = record_prove(worker->bytes, place->length, place->offset, error);
        if ((status != TN_CORRUPT && status != TN_IO) || !blocks_renounce(source->blocks, place->shard, version))
            return status;
    }
}

tn_status sample_read(const void *self, void *state, uint64_t index, struct tn_sample *sample, struct tn_error *error)
{
    const struct tfrecord *source = self;
    const struct place *place = &source->places[index];
    struct worker *worker = state;
    uint64_t whole = (uint64_t)place->length + RECORD_TAIL;
    struct feature image;
    tn_status status = reserve(worker, whole, error);
    if (status == TN_OK)
        status = source->blocks ? read_in_sequence(source, worker, place, whole, error)
                                : read_at_random(source, worker, place, whole, error);
    if (status == TN_OK)
        status = example_find(worker->bytes, place->length, source->image, &image, error);
    if (status == TN_OK && image.kind != FEATURE_BYTES) /* the list of records came from elsewhere: from a sidecar */
        status = tn_fail(error, TN_CORRUPT, "at byte %llu: the feature `%s` is no picture any more",
                         (unsigned long long)place->offset, source->image);
    if (status != TN_OK)
        return status;
    sample->label = place->label;
    sample->bytes = image.bytes;
    sample->byte_count = image.byte_count;
    return TN_OK;
}
