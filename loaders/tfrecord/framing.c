/* framing.c: records of a TFRecord file: a length and its CRC, the data and its CRC. A length is believed when its CRC
 * is right and the file is long enough; only then is memory taken for it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <isa-l/crc.h>

#include "tfrecord.h"

enum { READ_AHEAD = 1 << 20 };

static uint32_t little32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t little64(const unsigned char *at)
{
    return (uint64_t)little32(at) | (uint64_t)little32(at + 4) << 32;
}

uint32_t record_crc(const void *bytes, uint64_t count)
{
    const unsigned char *at = bytes;
    uint32_t crc = 0xFFFFFFFFu;
    for (; count > 0;) {
        int step = count > 1 << 30 ? 1 << 30 : (int)count;
        crc = crc32_iscsi((unsigned char *)(uintptr_t)at, step, crc);
        at += step;
        count -= (uint64_t)step;
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

/* pread until `count` bytes are there or the file ends. */
static tn_status read_fully(int descriptor, unsigned char *bytes, uint64_t count, uint64_t at, uint64_t *got,
                            struct tn_error *error)
{
    *got = 0;
    while (*got < count) {
        ssize_t step = pread(descriptor, bytes + *got, (size_t)(count - *got), (off_t)(at + *got));
        if (step < 0 && errno == EINTR)
            continue;
        if (step < 0)
            return tn_fail(error, TN_IO, "cannot read at byte %llu: %s", (unsigned long long)(at + *got),
                           strerror(errno));
        if (step == 0)
            break;
        *got += (uint64_t)step;
    }
    return TN_OK;
}

/* While shards are looked through nobody behind us tries again, as is done for samples: pauses of 0.1 to 6.4 s. */
tn_status read_patiently(int descriptor, unsigned char *bytes, uint64_t count, uint64_t at, uint64_t *got,
                         struct tn_error *error)
{
    enum { TRIES = 4 };
    long milliseconds = 100;
    tn_status status = read_fully(descriptor, bytes, count, at, got, error);
    for (int left = TRIES; status == TN_IO && left > 0; left--, milliseconds *= 4) {
        struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
        uint64_t more = 0, done = *got; /* what has come stays */
        (void)nanosleep(&pause, NULL);
        status = read_fully(descriptor, bytes + done, count - done, at + done, &more, error);
        *got = done + more;
        left += more > 0 && left < TRIES; /* it goes on, if slowly */
    }
    return status;
}

static tn_status pull_descriptor(void *from, unsigned char *bytes, uint64_t count, uint64_t *got,
                                 struct tn_error *error)
{
    struct record_reader *reader = from;
    tn_status status = read_patiently(reader->descriptor, bytes, count, reader->pulled, got, error);
    reader->pulled += *got;
    return status;
}

tn_status record_reader_open(struct record_reader *reader, int descriptor, int verify, struct tn_error *error)
{
    struct stat state;
    *reader =
        (struct record_reader){.pull = pull_descriptor, .from = reader, .descriptor = descriptor, .verify = verify};
    if (fstat(descriptor, &state) != 0)
        return tn_fail(error, TN_IO, "cannot look at it: %s", strerror(errno));
    reader->size = (uint64_t)state.st_size;
    return TN_OK;
}

void record_reader_open_stream(struct record_reader *reader, record_pull pull, void *from, int verify)
{
    *reader =
        (struct record_reader){.pull = pull, .from = from, .descriptor = -1, .verify = verify, .size = UINT64_MAX};
}

void record_reader_close(struct record_reader *reader)
{
    free(reader->bytes);
    reader->bytes = NULL;
}

/* Room behind what is held: for all that is wanted when the file is known to have it, else for twice what it has given
 * so far, so that a length is believed only as far as bytes have come. */
static tn_status make_room(struct record_reader *reader, uint64_t count, struct tn_error *error)
{
    uint64_t wanted = count + READ_AHEAD;
    if (reader->size == UINT64_MAX && wanted > 2 * reader->held + READ_AHEAD)
        wanted = 2 * reader->held + READ_AHEAD;
    if (reader->capacity >= wanted)
        return TN_OK;
    unsigned char *grown = realloc(reader->bytes, (size_t)wanted);
    if (!grown)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a record of %llu bytes", (unsigned long long)count);
    reader->bytes = grown;
    reader->capacity = wanted;
    return TN_OK;
}

/* Makes `count` bytes from the place in hand on available; of a file they were checked against its size. At the end of
 * a stream there may be fewer. */
static tn_status fill(struct record_reader *reader, uint64_t count, struct tn_error *error)
{
    tn_status status = TN_OK;
    uint64_t got = 1;
    if (reader->held - reader->used >= count)
        return TN_OK;
    if (reader->held > reader->used)
        memmove(reader->bytes, reader->bytes + reader->used, (size_t)(reader->held - reader->used));
    reader->held -= reader->used;
    reader->used = 0;
    while (status == TN_OK && got > 0 && reader->held < count) {
        status = make_room(reader, count, error);
        if (status != TN_OK)
            break;
        status = reader->pull(reader->from, reader->bytes + reader->held, reader->capacity - reader->held, &got, error);
        reader->held += got;
        if (status == TN_CORRUPT && reader->held >= count)
            status = TN_OK; /* the damage lies behind this record: it comes back with the next one */
    }
    if (status == TN_OK && reader->held < count && reader->size != UINT64_MAX)
        return tn_fail(error, TN_IO, "it became shorter while it was read");
    return status;
}

static tn_status damaged(const struct record_reader *reader, struct tn_error *error, const char *what)
{
    return tn_fail(error, TN_CORRUPT, "record %llu at byte %llu: %s", (unsigned long long)reader->number,
                   (unsigned long long)reader->at, what);
}

static void step_over(struct record_reader *reader, uint64_t count)
{
    reader->used += count;
    reader->at += count;
}

/* The length that the record's head claims, when that can be. */
static tn_status read_length(struct record_reader *reader, uint64_t left, uint64_t *length, struct tn_error *error)
{
    const unsigned char *head = reader->bytes + reader->used;
    if (record_crc(head, 8) != little32(head + 8))
        return damaged(reader, error, "the CRC of its length does not match: no TFRecord file, or damaged");
    *length = little64(head);
    if (left - RECORD_HEAD < RECORD_TAIL || *length > left - RECORD_HEAD - RECORD_TAIL)
        return damaged(reader, error, "the file ends before the record does");
    if (*length > RECORD_MAXIMUM)
        return damaged(reader, error, "it is longer than 2 GiB");
    return TN_OK;
}

tn_status record_reader_next(struct record_reader *reader, int *more, struct tn_error *error)
{
    uint64_t left, length = 0, whole;
    tn_status status;
    *more = 0;
    if (reader->data) {
        step_over(reader, RECORD_HEAD + reader->length + RECORD_TAIL);
        reader->data = NULL;
        reader->number++;
    }
    left = reader->size == UINT64_MAX ? UINT64_MAX : reader->size - reader->at;
    if (left == 0)
        return TN_OK;
    if (left < RECORD_HEAD)
        return damaged(reader, error, "the file ends inside of its length");
    status = fill(reader, RECORD_HEAD, error);
    if (status != TN_OK)
        return status;
    if (reader->held - reader->used == 0)
        return TN_OK; /* the end of a stream */
    if (reader->held - reader->used < RECORD_HEAD)
        return damaged(reader, error, "the file ends inside of its length");
    status = read_length(reader, left, &length, error);
    whole = RECORD_HEAD + length + RECORD_TAIL;
    if (status == TN_OK)
        status = fill(reader, whole, error);
    if (status != TN_OK)
        return status;
    if (reader->held - reader->used < whole)
        return damaged(reader, error, "the file ends before the record does");
    const unsigned char *head = reader->bytes + reader->used;
    if (reader->verify && record_crc(head + RECORD_HEAD, length) != little32(head + RECORD_HEAD + length))
        return damaged(reader, error, "the CRC of its data does not match");
    reader->data = head + RECORD_HEAD;
    reader->offset = reader->at + RECORD_HEAD;
    reader->length = length;
    *more = 1;
    return TN_OK;
}

tn_status record_read_bytes(int descriptor, uint64_t offset, unsigned char *bytes, uint64_t count,
                            struct tn_error *error)
{
    uint64_t got;
    tn_status status = read_fully(descriptor, bytes, count, offset, &got, error);
    if (status == TN_OK && got < count)
        return tn_fail(error, TN_IO, "at byte %llu: it has become shorter", (unsigned long long)offset);
    return status;
}

tn_status record_prove(const unsigned char *data, uint64_t length, uint64_t offset, struct tn_error *error)
{
    if (record_crc(data, length) != little32(data + length))
        return tn_fail(error, TN_CORRUPT, "at byte %llu: the CRC of the data does not match",
                       (unsigned long long)offset);
    return TN_OK;
}
