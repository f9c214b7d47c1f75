/* framing.c: records of a TFRecord file: a length and its CRC, the data and its CRC. A length is believed when its CRC
 * is right and the file is long enough; only then is memory taken for it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

tn_status record_reader_open(struct record_reader *reader, int descriptor, int verify, struct tn_error *error)
{
    struct stat state;
    *reader = (struct record_reader){.descriptor = descriptor, .verify = verify};
    if (fstat(descriptor, &state) != 0)
        return tn_fail(error, TN_IO, "cannot look at it: %s", strerror(errno));
    reader->size = (uint64_t)state.st_size;
    return TN_OK;
}

void record_reader_close(struct record_reader *reader)
{
    free(reader->bytes);
    reader->bytes = NULL;
}

/* Makes `count` bytes from the place in hand on available. `count` was checked against the file's size. */
static tn_status fill(struct record_reader *reader, uint64_t count, struct tn_error *error)
{
    uint64_t have = reader->held - reader->used, got;
    tn_status status;
    if (have >= count)
        return TN_OK;
    if (have)
        memmove(reader->bytes, reader->bytes + reader->used, (size_t)have);
    reader->used = 0;
    reader->held = have;
    if (reader->capacity < count + READ_AHEAD) {
        uint64_t capacity = count + count / 4 + READ_AHEAD;
        unsigned char *grown = realloc(reader->bytes, (size_t)capacity);
        if (!grown)
            return tn_fail(error, TN_NO_MEMORY, "no memory for a record of %llu bytes", (unsigned long long)count);
        reader->bytes = grown;
        reader->capacity = capacity;
    }
    uint64_t wanted = reader->capacity - have, left = reader->size - reader->at - have;
    status = read_fully(reader->descriptor, reader->bytes + have, wanted < left ? wanted : left, reader->at + have,
                        &got, error);
    reader->held += status == TN_OK ? got : 0;
    if (status == TN_OK && reader->held < count)
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

tn_status record_reader_next(struct record_reader *reader, int *more, struct tn_error *error)
{
    uint64_t left = reader->size - reader->at, length;
    const unsigned char *head;
    tn_status status;
    *more = 0;
    if (reader->data) {
        step_over(reader, RECORD_HEAD + reader->length + RECORD_TAIL);
        reader->data = NULL;
        reader->number++;
        left = reader->size - reader->at;
    }
    if (left == 0)
        return TN_OK;
    if (left < RECORD_HEAD)
        return damaged(reader, error, "the file ends inside of its length");
    status = fill(reader, RECORD_HEAD, error);
    if (status != TN_OK)
        return status;
    head = reader->bytes + reader->used;
    if (record_crc(head, 8) != little32(head + 8))
        return damaged(reader, error, "the CRC of its length does not match: no TFRecord file, or damaged");
    length = little64(head);
    if (left - RECORD_HEAD < RECORD_TAIL || length > left - RECORD_HEAD - RECORD_TAIL)
        return damaged(reader, error, "the file ends before the record does");
    if (length > RECORD_MAXIMUM)
        return damaged(reader, error, "it is longer than 2 GiB");
    status = fill(reader, RECORD_HEAD + length + RECORD_TAIL, error);
    if (status != TN_OK)
        return status;
    head = reader->bytes + reader->used;
    if (reader->verify && record_crc(head + RECORD_HEAD, length) != little32(head + RECORD_HEAD + length))
        return damaged(reader, error, "the CRC of its data does not match");
    reader->data = head + RECORD_HEAD;
    reader->offset = reader->at + RECORD_HEAD;
    reader->length = length;
    *more = 1;
    return TN_OK;
}

tn_status record_read_at(int descriptor, uint64_t offset, uint64_t length, unsigned char *data, struct tn_error *error)
{
    uint64_t got;
    tn_status status = read_fully(descriptor, data, length + RECORD_TAIL, offset, &got, error);
    if (status != TN_OK)
        return status;
    if (got < length + RECORD_TAIL)
        return tn_fail(error, TN_IO, "at byte %llu: it has become shorter", (unsigned long long)offset);
    if (record_crc(data, length) != little32(data + length))
        return tn_fail(error, TN_CORRUPT, "at byte %llu: the CRC of the data does not match",
                       (unsigned long long)offset);
    return TN_OK;
}
