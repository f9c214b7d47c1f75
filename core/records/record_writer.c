/* record_writer.c: frames records and writes them to a file, plain or as one GZIP stream. Checksums and compression are
 * ISA-L's. */
#include "records/record_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <isa-l/crc.h>
#include <isa-l/crc64.h>
#include <isa-l/igzip_lib.h>

enum { BUFFER_BYTES = 1 << 20 };

struct tn_record_writer {
    char *path, *temporary;
    int file; /* -1 = closed */
    bool created, committed, compressed;
    uint64_t bytes;        /* given to the system so far */
    unsigned char *buffer; /* what waits to be written */
    size_t used;
    unsigned char *level; /* memory of the compressor */
    struct isal_zstream stream;
};

/* ---- checksums ---- */

uint32_t tn_record_crc(const void *bytes, uint64_t count)
{
    unsigned char *at = (unsigned char *)(uintptr_t)bytes; /* ISA-L does not write there, it only does not say so */
    uint32_t crc = ~(uint32_t)0;
    while (count > 0) {
        int part = count > (1 << 30) ? 1 << 30 : (int)count; /* it counts in int */
        crc = crc32_iscsi(at, part, crc);
        at += part;
        count -= (uint64_t)part;
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

uint64_t tn_record_digest(uint64_t before, const void *bytes, uint64_t count)
{
    return crc64_ecma_refl(before, bytes, count);
}

/* ---- framing ---- */

static void put_little(unsigned char *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

void tn_record_begin(struct tn_text *record)
{
    static const char room[TN_RECORD_HEAD] = {0};
    record->length = 0;
    tn_text_add_bytes(record, room, sizeof room);
}

tn_status tn_record_end(struct tn_text *record, struct tn_error *error)
{
    unsigned char tail[TN_RECORD_TAIL], *head;
    if (record->failed || record->length < TN_RECORD_HEAD)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a record of %zu bytes", record->length);
    uint64_t count = record->length - TN_RECORD_HEAD;
    put_little(tail, tn_record_crc(record->data + TN_RECORD_HEAD, count), 4);
    tn_text_add_bytes(record, (const char *)tail, sizeof tail);
    if (record->failed)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a record of %zu bytes", record->length);
    head = (unsigned char *)record->data;
    put_little(head, count, 8);
    put_little(head + 8, tn_record_crc(head, 8), 4);
    return TN_OK;
}

/* ---- the file ---- */

static tn_status io_error(const struct tn_record_writer *writer, const char *what, struct tn_error *error)
{
    return tn_fail(error, TN_IO, "cannot %s %s: %s", what, writer->temporary, strerror(errno));
}

static tn_status write_bytes(struct tn_record_writer *writer, const void *bytes, size_t count, struct tn_error *error)
{
    const char *at = bytes;
    while (count > 0) {
        ssize_t done = write(writer->file, at, count);
        if (done < 0 && errno == EINTR)
            continue;
        if (done == 0)
            errno = ENOSPC; /* no system does this to a file; without it the loop would never end */
        if (done <= 0)
            return io_error(writer, "write", error);
        at += done;
        count -= (size_t)done;
        writer->bytes += (uint64_t)done;
    }
    return TN_OK;
}

static tn_status empty_buffer(struct tn_record_writer *writer, struct tn_error *error)
{
    size_t count = writer->used;
    writer->used = 0;
    return write_bytes(writer, writer->buffer, count, error);
}

static tn_status add_plain(struct tn_record_writer *writer, const void *bytes, size_t count, struct tn_error *error)
{
    tn_status status = writer->used + count > BUFFER_BYTES ? empty_buffer(writer, error) : TN_OK;
    if (status != TN_OK)
        return status;
    if (count > BUFFER_BYTES)
        return write_bytes(writer, bytes, count, error);
    memcpy(writer->buffer + writer->used, bytes, count);
    writer->used += count;
    return TN_OK;
}

/* ---- compression ---- */

static tn_status start_compression(struct tn_record_writer *writer, struct tn_error *error)
{
    writer->level = malloc(ISAL_DEF_LVL1_DEFAULT);
    if (!writer->level)
        return tn_fail(error, TN_NO_MEMORY, "no memory to compress %s", writer->path);
    isal_deflate_init(&writer->stream);
    writer->stream.level = 1; /* pictures hardly shrink; a slower level gains next to nothing */
    writer->stream.level_buf = writer->level;
    writer->stream.level_buf_size = ISAL_DEF_LVL1_DEFAULT;
    writer->stream.gzip_flag = IGZIP_GZIP;
    return TN_OK;
}

/* Takes all of the input; with `last` it also ends the stream. */
static tn_status add_compressed(struct tn_record_writer *writer, const void *bytes, size_t count, bool last,
                                struct tn_error *error)
{
    struct isal_zstream *stream = &writer->stream;
    stream->next_in = (unsigned char *)(uintptr_t)bytes;
    stream->avail_in = (uint32_t)count; /* tn_record_writer_add gives no more at once */
    stream->end_of_stream = last;
    do {
        stream->next_out = writer->buffer + writer->used;
        stream->avail_out = (uint32_t)(BUFFER_BYTES - writer->used);
        if (isal_deflate(stream) != COMP_OK)
            return tn_fail(error, TN_FAILED, "the compression of %s failed", writer->path);
        writer->used = BUFFER_BYTES - stream->avail_out;
        if (writer->used == BUFFER_BYTES) {
            tn_status status = empty_buffer(writer, error);
            if (status != TN_OK)
                return status;
        }
    } while (stream->avail_in > 0 || (last && stream->internal_state.state != ZSTATE_END));
    return TN_OK;
}

/* ---- the writer ---- */

tn_status tn_record_writer_open(const char *path, int32_t compression, struct tn_record_writer **writer,
                                struct tn_error *error)
{
    struct tn_record_writer *made = calloc(1, sizeof *made);
    tn_status status = TN_OK;
    *writer = made;
    if (!made)
        return tn_fail(error, TN_NO_MEMORY, "no memory to write %s", path);
    made->file = -1;
    made->compressed = compression == TN_RECORD_GZIP;
    made->path = strdup(path);
    made->temporary = malloc(strlen(path) + sizeof ".tmp");
    made->buffer = malloc(BUFFER_BYTES);
    if (!made->path || !made->temporary || !made->buffer)
        status = tn_fail(error, TN_NO_MEMORY, "no memory to write %s", path);
    else if (made->compressed)
        status = start_compression(made, error);
    if (status == TN_OK) {
        (void)snprintf(made->temporary, strlen(path) + sizeof ".tmp", "%s.tmp", path);
        made->file = open(made->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        made->created = made->file >= 0;
        if (!made->created)
            status = io_error(made, "create", error);
    }
    if (status != TN_OK)
        tn_record_writer_close(writer);
    return status;
}

tn_status tn_record_writer_add(struct tn_record_writer *writer, const struct tn_text *record, struct tn_error *error)
{
    if (!writer->compressed)
        return add_plain(writer, record->data, record->length, error);
    tn_status status = TN_OK;
    for (size_t at = 0; status == TN_OK && at < record->length; at += BUFFER_BYTES) {
        size_t left = record->length - at;
        status = add_compressed(writer, record->data + at, left < BUFFER_BYTES ? left : BUFFER_BYTES, false, error);
    }
    return status;
}

tn_status tn_record_writer_commit(struct tn_record_writer *writer, uint64_t *bytes, struct tn_error *error)
{
    tn_status status = writer->compressed ? add_compressed(writer, "", 0, true, error) : TN_OK;
    if (status == TN_OK)
        status = empty_buffer(writer, error);
    if (status != TN_OK)
        return status;
    if (!tn_file_sync(writer->file))
        return io_error(writer, "write to the disk", error);
    int file = writer->file;
    writer->file = -1;
    if (close(file) != 0)
        return io_error(writer, "close", error);
    if (rename(writer->temporary, writer->path) != 0)
        return io_error(writer, "give its name to", error);
    writer->committed = true;
    if (!tn_folder_sync(writer->path))
        return io_error(writer, "write to the disk the folder of", error);
    *bytes = writer->bytes;
    return TN_OK;
}

void tn_record_writer_close(struct tn_record_writer **writer)
{
    struct tn_record_writer *closing = *writer;
    if (!closing)
        return;
    if (closing->file >= 0)
        (void)close(closing->file);
    if (closing->created && !closing->committed)
        (void)unlink(closing->temporary);
    free(closing->path);
    free(closing->temporary);
    free(closing->buffer);
    free(closing->level);
    free(closing);
    *writer = NULL;
}
