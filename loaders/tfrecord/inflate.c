/* inflate.c: GZIP and ZLIB files into plain ones, through ISA-L. Members that follow each other are one stream, as for
 * gunzip and TensorFlow; anything else behind a member is damage. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <isa-l/igzip_lib.h>

#include "tfrecord.h"

enum { CHUNK = 1 << 18 };

struct inflation {
    struct inflate_state state;
    unsigned char in[CHUNK], out[CHUNK];
    int from, to;
    uint32_t flag;
    uint64_t read, written, limit;
    int over; /* the file has been read to its end */
};

int32_t compression_of(int descriptor)
{
    unsigned char head[RECORD_HEAD];
    ssize_t got = pread(descriptor, head, sizeof head, 0);
    if (got == (ssize_t)sizeof head) {
        uint32_t stored =
            (uint32_t)head[8] | (uint32_t)head[9] << 8 | (uint32_t)head[10] << 16 | (uint32_t)head[11] << 24;
        if (record_crc(head, 8) == stored)
            return COMPRESSION_NONE;
    }
    if (got >= 3 && head[0] == 0x1F && head[1] == 0x8B && head[2] == 8)
        return COMPRESSION_GZIP;
    if (got >= 2 && (head[0] & 0x0F) == 8 && head[0] >> 4 <= 7 && (head[0] * 256 + head[1]) % 31 == 0 &&
        !(head[1] & 0x20))
        return COMPRESSION_ZLIB;
    return COMPRESSION_NONE;
}

static tn_status refill(struct inflation *inflation, struct tn_error *error)
{
    ssize_t got;
    do
        got = read(inflation->from, inflation->in, CHUNK);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return tn_fail(error, TN_IO, "cannot read it: %s", strerror(errno));
    inflation->over = got == 0;
    inflation->read += (uint64_t)got;
    inflation->state.next_in = inflation->in;
    inflation->state.avail_in = (uint32_t)got;
    return TN_OK;
}

static tn_status flush(struct inflation *inflation, struct tn_error *error)
{
    size_t count = (size_t)(inflation->state.next_out - inflation->out);
    for (size_t done = 0; done < count;) {
        ssize_t step = write(inflation->to, inflation->out + done, count - done);
        if (step < 0 && errno == EINTR)
            continue;
        if (step < 0)
            return tn_fail(error, TN_IO, "cannot write what was inflated into $TMPDIR: %s", strerror(errno));
        done += (size_t)step;
    }
    inflation->written += count;
    inflation->state.next_out = inflation->out;
    inflation->state.avail_out = CHUNK;
    if (inflation->written > inflation->limit)
        return tn_fail(error, TN_CORRUPT, "it inflates to more than decompressed_limit");
    return TN_OK;
}

/* One member, or as much of it as there is; begins with input in hand. */
static tn_status inflate_member(struct inflation *inflation, struct tn_error *error)
{
    struct inflate_state *state = &inflation->state;
    while (state->block_state != ISAL_BLOCK_FINISH) {
        tn_status status = TN_OK, flushed;
        uint32_t in = state->avail_in;
        uint32_t out = state->avail_out;
        int code = isal_inflate(state);
        flushed = flush(inflation, error);
        if (flushed != TN_OK)
            return flushed;
        if (code != ISAL_DECOMP_OK)
            return tn_fail(error, TN_CORRUPT, "the compressed stream is damaged before byte %llu (code %d)",
                           (unsigned long long)(inflation->read - state->avail_in), code);
        if (state->block_state == ISAL_BLOCK_FINISH)
            break;
        if (state->avail_in == 0)
            status = refill(inflation, error);
        if (status != TN_OK)
            return status;
        if (inflation->over && in == 0 && out == CHUNK && state->avail_out == CHUNK)
            return tn_fail(error, TN_CORRUPT, "the compressed stream ends early, after byte %llu",
                           (unsigned long long)inflation->read);
    }
    return TN_OK;
}

static void begin_member(struct inflation *inflation)
{
    struct inflate_state *state = &inflation->state;
    unsigned char *in = state->next_in;
    uint32_t left = state->avail_in;
    isal_inflate_init(state);
    state->crc_flag = inflation->flag;
    state->next_in = in;
    state->avail_in = left;
    state->next_out = inflation->out;
    state->avail_out = CHUNK;
}

tn_status inflate_file(int from, int to, int32_t compression, uint64_t limit, struct tn_error *error)
{
    struct inflation *inflation = calloc(1, sizeof *inflation);
    tn_status status;
    if (!inflation)
        return tn_fail(error, TN_NO_MEMORY, "no memory to inflate it");
    inflation->from = from;
    inflation->to = to;
    inflation->limit = limit;
    inflation->flag = compression == COMPRESSION_GZIP ? ISAL_GZIP : ISAL_ZLIB;
    status = refill(inflation, error); /* an empty file is an empty stream */
    while (status == TN_OK && inflation->state.avail_in > 0) {
        begin_member(inflation);
        status = inflate_member(inflation, error);
        if (status == TN_OK && inflation->state.avail_in == 0)
            status = refill(inflation, error);
        if (status == TN_OK && inflation->state.avail_in > 0 && compression == COMPRESSION_ZLIB)
            status = tn_fail(error, TN_CORRUPT, "there are bytes behind the compressed stream");
    }
    free(inflation);
    return status;
}
