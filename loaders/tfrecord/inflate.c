/* inflate.c: GZIP and ZLIB files as a stream of plain bytes, through ISA-L. Members that follow each other are one
 * stream, as for gunzip and TensorFlow; anything else behind a member is damage. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <isa-l/igzip_lib.h>

#include "tfrecord.h"

enum { CHUNK = 1 << 18 };

struct inflater {
    struct inflate_state state;
    unsigned char in[CHUNK], out[CHUNK];
    uint32_t given, ready; /* of `out`: bytes that were handed on, and that can be */
    int from;
    uint32_t flag;
    uint64_t read;          /* bytes of the file so far */
    int over;               /* the file has been read to its end */
    int in_member;          /* between the first and the last byte of a member */
    struct tn_error damage; /* once found it stays */
};

int32_t compression_of(int descriptor)
{
    unsigned char head[RECORD_HEAD];
    uint64_t got = 0;
    (void)read_patiently(descriptor, head, sizeof head, 0, &got, NULL);
    if (got == sizeof head) {
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

/* Reads on; there is none in hand. */
static tn_status refill(struct inflater *inflater, struct tn_error *error)
{
    uint64_t got;
    tn_status status = read_patiently(inflater->from, inflater->in, CHUNK, inflater->read, &got, error);
    if (status != TN_OK)
        return status;
    inflater->over = got == 0;
    inflater->read += got;
    inflater->state.next_in = inflater->in;
    inflater->state.avail_in = (uint32_t)got;
    return TN_OK;
}

tn_status inflater_open(struct inflater **inflater, int descriptor, int32_t compression, struct tn_error *error)
{
    *inflater = calloc(1, sizeof **inflater);
    if (!*inflater)
        return tn_fail(error, TN_NO_MEMORY, "no memory to inflate it");
    (*inflater)->from = descriptor;
    (*inflater)->flag = compression == COMPRESSION_GZIP ? ISAL_GZIP : ISAL_ZLIB;
    return TN_OK;
}

void inflater_close(struct inflater *inflater)
{
    free(inflater);
}

/* Between members: begins the next one, or notices the end (`*ended`). */
static tn_status begin_member(struct inflater *inflater, int *ended, struct tn_error *error)
{
    struct inflate_state *state = &inflater->state;
    tn_status status = TN_OK;
    int first = inflater->read == 0;
    if (state->avail_in == 0)
        status = refill(inflater, error);
    *ended = status == TN_OK && inflater->over;
    if (status != TN_OK || *ended)
        return status;
    if (!first && inflater->flag == ISAL_ZLIB)
        return tn_fail(error, TN_CORRUPT, "there are bytes behind the compressed stream");
    unsigned char *in = state->next_in;
    uint32_t left = state->avail_in;
    isal_inflate_init(state);
    state->crc_flag = inflater->flag;
    state->next_in = in;
    state->avail_in = left;
    inflater->in_member = 1;
    return TN_OK;
}

/* Fills up what is left of the output, or reaches the end of the member. */
static tn_status inflate_on(struct inflater *inflater, struct tn_error *error)
{
    struct inflate_state *state = &inflater->state;
    while (state->avail_out > 0) {
        uint32_t in = state->avail_in, out = state->avail_out;
        int code = isal_inflate(state);
        if (code != ISAL_DECOMP_OK)
            return tn_fail(error, TN_CORRUPT, "the compressed stream is damaged before byte %llu (code %d)",
                           (unsigned long long)(inflater->read - state->avail_in), code);
        if (state->block_state == ISAL_BLOCK_FINISH) {
            inflater->in_member = 0;
            if (inflater->flag == ISAL_ZLIB && state->read_in_length >= 8) /* ISA-L has taken them in already */
                return tn_fail(error, TN_CORRUPT, "there are bytes behind the compressed stream");
            return TN_OK;
        }
        if (inflater->over && in == 0 && out == state->avail_out)
            return tn_fail(error, TN_CORRUPT, "the compressed stream ends early, after byte %llu",
                           (unsigned long long)inflater->read);
        if (state->avail_in == 0) {
            tn_status status = refill(inflater, error);
            if (status != TN_OK)
                return status;
        }
    }
    return TN_OK;
}

/* Fills `out` anew, or as far as the stream goes. The library looks ahead: how much comes out before it notices damage
 * hangs on the room that it has, so it always has the same, whatever is asked for. */
static tn_status fill_out(struct inflater *inflater, struct tn_error *error)
{
    struct inflate_state *state = &inflater->state;
    tn_status status = TN_OK;
    int ended = 0;
    state->next_out = inflater->out, state->avail_out = CHUNK;
    while (status == TN_OK && !ended && state->avail_out > 0) {
        uint32_t room = state->avail_out;
        unsigned char *to = state->next_out;
        if (!inflater->in_member)
            status = begin_member(inflater, &ended, error);
        state->next_out = to, state->avail_out = room;
        if (status == TN_OK && !ended)
            status = inflate_on(inflater, error);
    }
    inflater->ready = CHUNK - state->avail_out;
    return status;
}

tn_status inflater_read(struct inflater *inflater, unsigned char *bytes, uint64_t count, uint64_t *got,
                        struct tn_error *error)
{
    tn_status status = TN_OK;
    for (*got = 0; *got < count;) {
        uint32_t there = inflater->ready - inflater->given;
        if (there == 0) {
            struct tn_error reason = {0};
            inflater->given = inflater->ready = 0;
            status = inflater->damage.status ? inflater->damage.status : fill_out(inflater, &reason);
            if (status == TN_CORRUPT && !inflater->damage.status)
                inflater->damage = reason;
            there = inflater->ready;
            if (status != TN_OK && error)
                *error = inflater->damage.status ? inflater->damage : reason;
            if (there == 0 || (status != TN_OK && status != TN_CORRUPT))
                break;
            status = TN_OK; /* what came before damage first */
        }
        uint64_t step = count - *got < there ? count - *got : there;
        memcpy(bytes + *got, inflater->out + inflater->given, (size_t)step);
        inflater->given += (uint32_t)step;
        *got += step;
    }
    return status;
}

static tn_status write_fully(int to, const unsigned char *bytes, uint64_t count, struct tn_error *error)
{
    for (uint64_t done = 0; done < count;) {
        ssize_t step = write(to, bytes + done, (size_t)(count - done));
        if (step < 0 && errno == EINTR)
            continue;
        if (step < 0)
            return tn_fail(error, TN_IO, "cannot write what was inflated into $TMPDIR: %s", strerror(errno));
        done += (uint64_t)step;
    }
    return TN_OK;
}

tn_status inflate_file(int from, int to, int32_t compression, uint64_t limit, struct tn_error *error)
{
    struct inflater *inflater = NULL;
    unsigned char *bytes = malloc(CHUNK);
    uint64_t got = 1, written = 0;
    tn_status status = inflater_open(&inflater, from, compression, error);
    if (status == TN_OK && !bytes)
        status = tn_fail(error, TN_NO_MEMORY, "no memory to inflate it");
    while (status == TN_OK && got > 0) {
        status = inflater_read(inflater, bytes, CHUNK, &got, error);
        tn_status stored =
            write_fully(to, bytes, got, status == TN_OK ? error : NULL); /* what came before damage too */
        status = status == TN_OK ? stored : status;
        written += got;
        if (status == TN_OK && written > limit)
            status = tn_fail(error, TN_CORRUPT, "it inflates to more than decompressed_limit");
    }
    inflater_close(inflater);
    free(bytes);
    return status;
}
