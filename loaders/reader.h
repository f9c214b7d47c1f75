/* reader.h: reads whole pictures into a buffer that a worker keeps. For sources. */
#ifndef TENON_LOADERS_READER_H
#define TENON_LOADERS_READER_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tenon/plugin.h"

/* Larger files are no pictures. */
#define READER_MAXIMUM_BYTES ((uint64_t)1 << 31)

/* Grows to the largest file so far and is used again. */
struct reader {
    unsigned char *bytes;
    size_t capacity, length;
};

static inline tn_status reader_reserve(struct reader *reader, size_t bytes, struct tn_error *error)
{
    if (bytes <= reader->capacity)
        return TN_OK;
    size_t capacity = bytes + bytes / 4;
    free(reader->bytes);
    reader->bytes = malloc(capacity);
    reader->capacity = reader->bytes ? capacity : 0;
    return reader->bytes ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for a file of %zu bytes", bytes);
}

/* Reads what the file had when it was opened. The size is asked for again, since reading on to the end would be one
 * more round trip to a network folder for each picture. */
static inline tn_status reader_fill(int descriptor, struct reader *reader, size_t expected, struct tn_error *error)
{
    struct stat state;
    reader->length = 0;
    tn_status status = reader_reserve(reader, expected + 1, error);
    while (status == TN_OK && reader->length < expected) {
        ssize_t count = read(descriptor, reader->bytes + reader->length, expected - reader->length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return tn_fail(error, TN_IO, "cannot read it: %s", strerror(errno));
        if (count == 0)
            return tn_fail(error, TN_IO, "it ended after %zu of %zu bytes", reader->length, expected);
        reader->length += (size_t)count;
    }
    if (status == TN_OK && (fstat(descriptor, &state) != 0 || (size_t)state.st_size != expected))
        return tn_fail(error, TN_IO, "its size changed while it was read");
    return status;
}

/* Reads the file at `path`, which counts from the open folder `root` (or AT_FDCWD). */
static inline tn_status reader_read(struct reader *reader, int root, const char *path, struct tn_error *error)
{
    struct stat state;
    /* Not blocking: a pipe that has taken the place of a picture must not hang a worker. */
    int descriptor = openat(root, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return tn_fail(error, errno == ENOENT ? TN_NOT_FOUND : TN_IO, "cannot open it: %s", strerror(errno));
    tn_status status;
    if (fstat(descriptor, &state) != 0)
        status = tn_fail(error, TN_IO, "cannot look at it: %s", strerror(errno));
    else if (!S_ISREG(state.st_mode))
        status = tn_fail(error, TN_CORRUPT, "it is not a file");
    else if ((uint64_t)state.st_size > READER_MAXIMUM_BYTES)
        status = tn_fail(error, TN_CORRUPT, "it has %lld bytes: too large for a picture", (long long)state.st_size);
    else
        status = reader_fill(descriptor, reader, (size_t)state.st_size, error);
    close(descriptor);
    return status;
}

#endif
