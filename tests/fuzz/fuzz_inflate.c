/* fuzz_inflate.c: a compressed shard: what it is taken for, and inflating it, never to more than the limit and a
 * buffer. */
#include <sys/stat.h>

#include "fuzz.h"
#include "tfrecord/tfrecord.h"

enum { LIMIT = 1 << 20 };

/* The stream gives what the file got, whatever the size of the pieces, up to damage too. */
static void compare_stream(int from, int32_t kind, int to, uint64_t count, tn_status of_file)
{
    static unsigned char piece[5000], other[5000];
    struct inflater *inflater = NULL;
    struct tn_error error = {.status = TN_OK};
    uint64_t at = 0, got = 0;
    DEMAND(inflater_open(&inflater, from, kind, &error) == TN_OK);
    tn_status status = TN_OK;
    while (status == TN_OK && at < LIMIT) {
        status = inflater_read(inflater, piece, sizeof piece, &got, &error);
        DEMAND(got <= sizeof piece);
        if (at + got <= count) {
            DEMAND(pread(to, other, got, (off_t)at) == (ssize_t)got && memcmp(piece, other, got) == 0);
        }
        at += got;
        if (got < sizeof piece)
            break;
    }
    demand_reason(status, &error);
    DEMAND(at >= LIMIT || (status == TN_OK) == (of_file == TN_OK));
    DEMAND(at >= LIMIT || at == count);
    inflater_close(inflater);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int to = -1;
    struct tn_error error = {.status = TN_OK};
    struct stat state;
    int from = file_of(data, size);
    int32_t kind = compression_of(from);
    if (to < 0)
        to = memfd_create("output", MFD_CLOEXEC);
    DEMAND(to >= 0 && ftruncate(to, 0) == 0 && lseek(to, 0, SEEK_SET) == 0);
    if (kind == COMPRESSION_NONE)
        kind = size % 2 ? COMPRESSION_GZIP : COMPRESSION_ZLIB;
    tn_status status = inflate_file(from, to, kind, LIMIT, &error);
    demand_reason(status, &error);
    DEMAND(fstat(to, &state) == 0 && state.st_size <= LIMIT + (1 << 18));
    compare_stream(from, kind, to, (uint64_t)state.st_size, status);
    return 0;
}
