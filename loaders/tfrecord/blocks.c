/* blocks.c: shards are read in large pieces, from front to back, and each piece serves all workers while the window of
 * the shuffle lies in it.
 *
 * A slot holds one block. Who needs a block that is not there claims a slot and loads it, while others that need the
 * same one wait. The blocks of a compressed shard come out of its stream one after the other; those on the way to the
 * one that is wanted are kept too, and none is thrown out that somebody waits for: he would have to begin the stream
 * anew. A block is done with when each of its records has been read: its slot is the first
 * to be used again, before the least recently used one. There are slots enough for what a window touches, so each shard
 * is read once an epoch.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shards.h"
#include "wants.h"

enum state { EMPTY, LOADING, READY };

struct slot {
    enum state state;
    uint32_t shard, readers, version;
    uint64_t number, used; /* of the block; when it was last used */
    uint64_t count;        /* bytes; less than a whole block at the end of a shard */
    uint64_t left;         /* records in it that were not read yet */
    unsigned char *bytes;
};

/* A compressed shard that is being inflated: its next block. */
struct stream {
    struct inflater *inflater;
    int descriptor, busy;
    uint32_t shard, version;
    uint64_t next, used;
};

struct blocks {
    const struct tfrecord *source;
    struct slot *slots;
    struct stream *streams;
    /* [shard_count]; only with a stage */
    struct origin {
        uint32_t version; /* of its blocks: those of an earlier one came from a damaged copy */
        int staged;       /* a copy was read since */
    } * origins;
    uint64_t slot_count, stream_count, clock;
    unsigned char *memory;
    struct want *wants;
    uint64_t waiting; /* threads */
    pthread_mutex_t mutex;
    pthread_cond_t moved;
};

tn_status blocks_open(struct tfrecord *source, struct tn_error *error)
{
    struct blocks *blocks = calloc(1, sizeof *blocks);
    source->blocks = blocks;
    if (!blocks)
        return tn_fail(error, TN_NO_MEMORY, "no memory for blocks of shards");
    blocks->source = source;
    (void)pthread_mutex_init(&blocks->mutex, NULL);
    (void)pthread_cond_init(&blocks->moved, NULL);
    blocks->slot_count = blocks_needed(source);
    blocks->stream_count = 2 * (uint64_t)source->interleave + 1;
    blocks->slots = calloc((size_t)blocks->slot_count, sizeof *blocks->slots);
    blocks->streams = calloc((size_t)blocks->stream_count, sizeof *blocks->streams);
    blocks->origins = calloc((size_t)source->shard_count, sizeof *blocks->origins);
    blocks->memory = malloc((size_t)blocks->slot_count * BLOCK_BYTES);
    if (!blocks->slots || !blocks->streams || !blocks->origins || !blocks->memory)
        return tn_fail(error, TN_NO_MEMORY,
                       "no memory for %llu blocks of 1 MiB: a smaller shuffle_window or interleave needs less",
                       (unsigned long long)blocks->slot_count);
    for (uint64_t i = 0; i < blocks->slot_count; i++)
        blocks->slots[i].bytes = blocks->memory + i * BLOCK_BYTES;
    return TN_OK;
}

static void close_stream(struct stream *stream)
{
    if (!stream->inflater)
        return;
    inflater_close(stream->inflater);
    (void)close(stream->descriptor);
    stream->inflater = NULL;
}

void blocks_close(struct blocks *blocks)
{
    if (!blocks)
        return;
    for (uint64_t i = 0; blocks->streams && i < blocks->stream_count; i++)
        close_stream(&blocks->streams[i]);
    pthread_cond_destroy(&blocks->moved);
    pthread_mutex_destroy(&blocks->mutex);
    free(blocks->memory);
    free(blocks->streams);
    free(blocks->origins);
    free(blocks->slots);
    free(blocks);
}

uint64_t blocks_bytes(const struct blocks *blocks)
{
    return blocks ? blocks->slot_count * BLOCK_BYTES : 0;
}

/* ---- slots; all under the mutex ---- */

static void wait_for_move(struct blocks *blocks)
{
    blocks->waiting++;
    pthread_cond_wait(&blocks->moved, &blocks->mutex);
    blocks->waiting--;
}

static void tell_move(struct blocks *blocks)
{
    if (blocks->waiting > 0)
        pthread_cond_broadcast(&blocks->moved);
}

static struct slot *find(struct blocks *blocks, uint32_t shard, uint64_t number)
{
    for (uint64_t i = 0; i < blocks->slot_count; i++)
        if (blocks->slots[i].state != EMPTY && blocks->slots[i].number == number && blocks->slots[i].shard == shard &&
            blocks->slots[i].version == blocks->origins[shard].version)
            return &blocks->slots[i];
    return NULL;
}

/* Of an earlier version nobody will take it. */
static int is_wanted(const struct blocks *blocks, const struct slot *slot)
{
    if (slot->version != blocks->origins[slot->shard].version)
        return 0;
    return wants_have(blocks->wants, slot->shard, slot->number);
}

/* Which of two loaded slots to give up. */
static int is_better(const struct slot *slot, const struct slot *best)
{
    if ((slot->left == 0) != (best->left == 0))
        return slot->left == 0;
    return slot->used < best->used;
}

/* An empty slot, or the one that will be missed least; NULL when all are in use. */
static struct slot *claim(struct blocks *blocks, uint32_t shard, uint64_t number)
{
    struct slot *best = NULL;
    for (uint64_t i = 0; i < blocks->slot_count; i++) {
        struct slot *slot = &blocks->slots[i];
        if (slot->state == LOADING || slot->readers > 0)
            continue;
        if (slot->state == EMPTY) {
            best = slot;
            break;
        }
        if ((!best || is_better(slot, best)) && !is_wanted(blocks, slot))
            best = slot;
    }
    if (!best)
        return NULL;
    best->state = LOADING;
    best->shard = shard;
    best->version = blocks->origins[shard].version;
    best->number = number;
    best->left = records_in(blocks->source, shard, number);
    best->used = ++blocks->clock;
    return best;
}

static struct slot *claim_or_wait(struct blocks *blocks, uint32_t shard, uint64_t number)
{
    struct slot *slot = claim(blocks, shard, number);
    while (!slot) {
        wait_for_move(blocks);
        slot = claim(blocks, shard, number);
    }
    return slot;
}

static void settle(struct blocks *blocks, struct slot *slot, int good)
{
    slot->state = good ? READY : EMPTY;
    tell_move(blocks);
}

/* ---- loading; called with the mutex held, works without it ---- */

/* Of the staged copy, where there is one. Without the mutex. */
static tn_status open_shard(struct blocks *blocks, uint32_t shard, int *descriptor, struct tn_error *error)
{
    struct stage *stage = blocks->source->staged;
    *descriptor = stage ? stage_descriptor(stage, shard) : -1;
    if (*descriptor < 0)
        return shard_reopen(&blocks->source->shards[shard], descriptor, error);
    pthread_mutex_lock(&blocks->mutex);
    blocks->origins[shard].staged = 1;
    pthread_mutex_unlock(&blocks->mutex);
    return TN_OK;
}

static tn_status read_plain(struct blocks *blocks, struct slot *slot, struct tn_error *error)
{
    const struct shard *shard = &blocks->source->shards[slot->shard];
    uint64_t at = slot->number * BLOCK_BYTES, left = shard->size > at ? shard->size - at : 0;
    int descriptor = blocks->source->staged ? -1 : shard->descriptor;
    tn_status status = descriptor < 0 ? open_shard(blocks, slot->shard, &descriptor, error) : TN_OK;
    slot->count = left < BLOCK_BYTES ? left : BLOCK_BYTES;
    if (status == TN_OK)
        status = record_read_bytes(descriptor, at, slot->bytes, slot->count, error);
    if (status == TN_IO && errno == ESTALE && descriptor >= 0 && descriptor == shard->descriptor) {
        status = shard_reopen(shard, &descriptor, error); /* a server that was away does not know the old one */
        if (status == TN_OK)
            status = record_read_bytes(descriptor, at, slot->bytes, slot->count, error);
    }
    if (descriptor >= 0 && descriptor != shard->descriptor)
        (void)close(descriptor);
    return status;
}

static tn_status load_plain(struct blocks *blocks, uint32_t shard, uint64_t number, struct tn_error *error)
{
    struct slot *slot = claim(blocks, shard, number);
    if (!slot) { /* wait, and look again whether somebody else has loaded it */
        wait_for_move(blocks);
        return TN_OK;
    }
    pthread_mutex_unlock(&blocks->mutex);
    tn_status status = read_plain(blocks, slot, error);
    pthread_mutex_lock(&blocks->mutex);
    settle(blocks, slot, status == TN_OK);
    return status;
}

/* The stream of a shard, or one to begin with; NULL: wait and look again. */
static struct stream *take_stream(struct blocks *blocks, uint32_t shard, uint64_t number)
{
    struct stream *unused = NULL;
    for (uint64_t i = 0; i < blocks->stream_count; i++) {
        struct stream *stream = &blocks->streams[i];
        if (stream->busy && stream->shard == shard)
            return NULL; /* somebody is on the way, perhaps to this very block */
        if (stream->inflater && stream->shard == shard) {
            if (stream->next > number || stream->version != blocks->origins[shard].version) /* begins anew */
                close_stream(stream);
            return stream;
        }
        if (!stream->busy && (!unused || !stream->inflater || (unused->inflater && stream->used < unused->used)))
            unused = stream;
    }
    if (unused)
        close_stream(unused);
    return unused;
}

static tn_status begin_stream(struct blocks *blocks, struct stream *stream, struct tn_error *error)
{
    tn_status status = open_shard(blocks, stream->shard, &stream->descriptor, error);
    if (status != TN_OK)
        return status;
    status =
        inflater_open(&stream->inflater, stream->descriptor, blocks->source->shards[stream->shard].compression, error);
    if (status != TN_OK)
        (void)close(stream->descriptor);
    stream->next = 0;
    return status;
}

/* Inflates up to and with the block. Damage behind the last record that is used does not matter. */
static tn_status inflate_to(struct blocks *blocks, struct stream *stream, uint64_t number, struct tn_error *error)
{
    tn_status status = TN_OK;
    while (status == TN_OK && stream->next <= number) {
        struct slot *slot = claim_or_wait(blocks, stream->shard, stream->next);
        slot->version = stream->version;
        pthread_mutex_unlock(&blocks->mutex);
        status = inflater_read(stream->inflater, slot->bytes, BLOCK_BYTES, &slot->count, error);
        pthread_mutex_lock(&blocks->mutex);
        if (status == TN_CORRUPT && stream->next == number)
            status = TN_OK;
        stream->next++;
        settle(blocks, slot, status == TN_OK);
    }
    return status;
}

static tn_status load_compressed(struct blocks *blocks, uint32_t shard, uint64_t number, struct tn_error *error)
{
    tn_status status = TN_OK;
    struct stream *stream = take_stream(blocks, shard, number);
    if (!stream) {
        wait_for_move(blocks);
        return TN_OK;
    }
    stream->busy = 1;
    stream->shard = shard;
    stream->used = ++blocks->clock;
    if (!stream->inflater) {
        stream->version = blocks->origins[shard].version;
        pthread_mutex_unlock(&blocks->mutex);
        status = begin_stream(blocks, stream, error);
        pthread_mutex_lock(&blocks->mutex);
    }
    if (status == TN_OK)
        status = inflate_to(blocks, stream, number, error);
    stream->busy = 0;
    if (status != TN_OK)
        close_stream(stream);
    tell_move(blocks);
    return status;
}

/* ---- reading ---- */

static tn_status take(struct blocks *blocks, uint32_t shard, uint64_t number, struct slot **slot,
                      struct tn_error *error)
{
    tn_status status = TN_OK;
    struct want want = {blocks->wants, number, shard};
    blocks->wants = &want;
    while (status == TN_OK) {
        *slot = find(blocks, shard, number);
        if (*slot && (*slot)->state == READY)
            break;
        if (*slot)
            wait_for_move(blocks);
        else if (blocks->source->shards[shard].compression == COMPRESSION_NONE)
            status = load_plain(blocks, shard, number, error);
        else
            status = load_compressed(blocks, shard, number, error);
    }
    want_end(&blocks->wants, &want);
    if (status != TN_OK) {
        tell_move(blocks); /* what was kept for this one may go */
        return status;
    }
    (*slot)->readers++;
    (*slot)->left -= (*slot)->left > 0;
    (*slot)->used = ++blocks->clock;
    return TN_OK;
}

tn_status blocks_read(struct blocks *blocks, uint32_t shard, uint64_t offset, unsigned char *bytes, uint64_t count,
                      struct tn_error *error)
{
    for (uint64_t done = 0; done < count;) {
        struct slot *slot;
        uint64_t at = offset + done, within = at % BLOCK_BYTES;
        pthread_mutex_lock(&blocks->mutex);
        tn_status status = take(blocks, shard, at / BLOCK_BYTES, &slot, error);
        pthread_mutex_unlock(&blocks->mutex);
        if (status != TN_OK)
            return status;
        uint64_t there = slot->count > within ? slot->count - within : 0;
        uint64_t step = count - done < there ? count - done : there;
        memcpy(bytes + done, slot->bytes + within, (size_t)step);
        pthread_mutex_lock(&blocks->mutex);
        if (--slot->readers == 0)
            tell_move(blocks);
        pthread_mutex_unlock(&blocks->mutex);
        if (step == 0)
            return tn_fail(error, TN_IO, "at byte %llu: it has become shorter", (unsigned long long)offset);
        done += step;
    }
    return TN_OK;
}

/* ---- damaged copies ---- */

uint32_t blocks_version(struct blocks *blocks, uint32_t shard)
{
    if (!blocks->source->staged)
        return 0;
    pthread_mutex_lock(&blocks->mutex);
    uint32_t version = blocks->origins[shard].version;
    pthread_mutex_unlock(&blocks->mutex);
    return version;
}

int blocks_renounce(struct blocks *blocks, uint32_t shard, uint32_t version)
{
    if (!blocks->source->staged)
        return 0;
    pthread_mutex_lock(&blocks->mutex);
    struct origin *origin = &blocks->origins[shard];
    int again = origin->version != version; /* somebody else did */
    if (!again && origin->staged) {
        (void)stage_reject(blocks->source->staged, shard);
        origin->version++;
        origin->staged = 0;
        again = 1;
    }
    pthread_mutex_unlock(&blocks->mutex);
    return again;
}
