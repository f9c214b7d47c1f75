/* read.c: names, classes and bytes of samples. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "directory.h"

/* Larger files are no pictures. */
static const uint64_t MAXIMUM_FILE_BYTES = (uint64_t)1 << 31;

void directory_name(const void *self, uint64_t sample, char *text, uint64_t text_bytes)
{
    const struct index *index = &((const struct directory *)self)->index;
    const struct file *file = &index->files[sample];
    const char *folder = index->names + index->folders[file->folder].path;
    (void)snprintf(text, (size_t)text_bytes, "%s%s%s", folder, folder[0] ? "/" : "", index->names + file->name);
}

int32_t directory_label(const void *self, uint64_t sample)
{
    const struct index *index = &((const struct directory *)self)->index;
    return index->folders[index->files[sample].folder].label;
}

/* A worker's buffer: grows to the largest file so far and is used again. */
struct reader {
    unsigned char *bytes;
    size_t capacity;
};

tn_status directory_worker_open(const void *self, void **worker, struct tn_error *error)
{
    (void)self;
    *worker = calloc(1, sizeof(struct reader));
    return *worker ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for a reader");
}

void directory_worker_close(const void *self, void *worker)
{
    struct reader *reader = worker;
    (void)self;
    if (reader)
        free(reader->bytes);
    free(reader);
}

static tn_status reserve(struct reader *reader, size_t bytes, struct tn_error *error)
{
    if (bytes <= reader->capacity)
        return TN_OK;
    size_t capacity = bytes + bytes / 4;
    free(reader->bytes);
    reader->bytes = malloc(capacity);
    reader->capacity = reader->bytes ? capacity : 0;
    return reader->bytes ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for a file of %zu bytes", bytes);
}

/* Reads to the end, whatever the size was when the file was opened. */
static tn_status read_all(int descriptor, struct reader *reader, size_t expected, size_t *length,
                          struct tn_error *error)
{
    *length = 0;
    tn_status status = reserve(reader, expected + 1, error);
    while (status == TN_OK && *length < reader->capacity) {
        ssize_t count = read(descriptor, reader->bytes + *length, reader->capacity - *length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return tn_fail(error, TN_IO, "cannot read it: %s", strerror(errno));
        if (count == 0)
            return *length == expected ? TN_OK
                                       : tn_fail(error, TN_IO, "it ended after %zu of %zu bytes", *length, expected);
        *length += (size_t)count;
        if (*length > expected)
            return tn_fail(error, TN_IO, "it grew while it was read");
    }
    return status;
}

static tn_status read_file(const struct directory *directory, const char *path, struct reader *reader, size_t *length,
                           struct tn_error *error)
{
    struct stat status;
    /* Not blocking: a pipe that has taken the place of a picture must not hang a worker. */
    int descriptor = openat(directory->root, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return tn_fail(error, errno == ENOENT ? TN_NOT_FOUND : TN_IO, "cannot open it: %s", strerror(errno));
    tn_status result;
    if (fstat(descriptor, &status) != 0)
        result = tn_fail(error, TN_IO, "cannot look at it: %s", strerror(errno));
    else if (!S_ISREG(status.st_mode))
        result = tn_fail(error, TN_CORRUPT, "it is not a file");
    else if ((uint64_t)status.st_size > MAXIMUM_FILE_BYTES)
        result = tn_fail(error, TN_CORRUPT, "it has %lld bytes: too large for a picture", (long long)status.st_size);
    else
        result = read_all(descriptor, reader, (size_t)status.st_size, length, error);
    close(descriptor);
    return result;
}

tn_status directory_read(const void *self, void *worker, uint64_t index, struct tn_sample *sample,
                         struct tn_error *error)
{
    const struct directory *directory = self;
    struct reader *reader = worker;
    char path[4096];
    size_t length = 0;
    directory_name(self, index, path, sizeof path);
    tn_status status = read_file(directory, path, reader, &length, error);
    if (status != TN_OK)
        return status;
    sample->label = directory_label(self, index);
    sample->bytes = reader->bytes;
    sample->byte_count = length;
    return TN_OK;
}
