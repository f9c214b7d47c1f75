/* fuzz_inflate.c: a compressed shard: what it is taken for, and inflating it, never to more than the limit and a
 * buffer. */
#include <sys/stat.h>

#include "fuzz.h"
#include "tfrecord/tfrecord.h"

enum { LIMIT = 1 << 20 };

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
    return 0;
}
