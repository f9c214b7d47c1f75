/* file.c: reading files whole, and writing them so that they are whole or not there. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    PIECE = 1 << 18 /* bytes that are compared at a time */,
    WINDOW = 4 << 20 /* that are on their way to the disk */
};

static tn_status io_error(struct tn_error *error, const char *what, const char *path)
{
    int reason = errno;
    return tn_fail(error, reason == ENOENT || reason == ENOTDIR ? TN_NOT_FOUND : TN_IO, "cannot %s %s: %s", what, path,
                   strerror(reason));
}

static tn_status read_all(int file, void *data, uint64_t bytes, uint64_t *got)
{
    *got = 0;
    while (*got < bytes) {
        ssize_t n = read(file, (char *)data + *got, (size_t)(bytes - *got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return TN_IO;
        if (n == 0)
            break;
        *got += (uint64_t)n;
    }
    return TN_OK;
}

/* A large file goes to the disk while it is written, and out of the system's cache: that belongs to the pictures,
 * memory that is touched anew is dear on rented machines, and what is read back then comes from the disk. */
static void pass_on(int file, uint64_t from, uint64_t to)
{
#ifdef SYNC_FILE_RANGE_WRITE
    (void)sync_file_range(file, (off_t)from, (off_t)(to - from), SYNC_FILE_RANGE_WRITE);
    if (from >= WINDOW)
        (void)sync_file_range(file, (off_t)(from - WINDOW), WINDOW,
                              SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
#endif
    if (from >= WINDOW)
        (void)posix_fadvise(file, (off_t)(from - WINDOW), WINDOW, POSIX_FADV_DONTNEED);
    (void)to;
}

static tn_status write_all(int file, const void *data, uint64_t bytes)
{
    uint64_t done = 0, passed = 0;
    while (done < bytes) {
        uint64_t count = bytes - done < WINDOW ? bytes - done : WINDOW;
        ssize_t n = write(file, (const char *)data + done, (size_t)count);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ENOSPC; /* no system does this to a file; without it the loop would never end */
        if (n <= 0)
            return TN_IO;
        done += (uint64_t)n;
        if (done - passed >= WINDOW) {
            pass_on(file, passed, done);
            passed = done;
        }
    }
    return TN_OK;
}

tn_status tn_file_read(const char *path, uint64_t limit, void **data, uint64_t *bytes, struct tn_error *error)
{
    tn_status status = TN_OK;
    struct stat info;
    char *memory = NULL;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer is an error, not a wait */
    *data = NULL;
    *bytes = 0;
    if (file < 0)
        return io_error(error, "open", path);
    if (fstat(file, &info) != 0) {
        status = io_error(error, "examine", path);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        status = tn_fail(error, TN_IO, "cannot read %s: it is not a regular file", path);
        goto out;
    }
    if ((uint64_t)info.st_size > limit) {
        status = tn_fail(error, TN_NO_MEMORY, "%s has %lld bytes, more than the limit of %llu", path,
                         (long long)info.st_size, (unsigned long long)limit);
        goto out;
    }
    memory = malloc((size_t)info.st_size + 1);
    if (!memory) {
        status = tn_fail(error, TN_NO_MEMORY, "no memory for the %lld bytes of %s", (long long)info.st_size, path);
        goto out;
    }
    if (read_all(file, memory, (uint64_t)info.st_size, bytes) != TN_OK) {
        status = io_error(error, "read", path);
        goto out;
    }
    memory[*bytes] = '\0';
    *data = memory;
    memory = NULL;
out:
    free(memory);
    (void)close(file);
    return status;
}

bool tn_file_sync(int file)
{
    return fsync(file) == 0 || errno == EINVAL || errno == ENOTSUP || errno == ENOSYS;
}

/* A folder that cannot be opened or synced at all, as on some mounts, is no error. */
bool tn_folder_sync(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    bool synced = true;
    int file;
    if (length >= sizeof folder)
        return true;
    memcpy(folder, path, length);
    folder[length] = '\0';
    file = open(slash ? (length ? folder : "/") : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file >= 0) {
        synced = tn_file_sync(file) || errno == EACCES || errno == EPERM || errno == EBADF || errno == EROFS;
        int reason = errno;
        (void)close(file);
        errno = reason;
    }
    return synced;
}

/* A failed fsync or close condemns it: the system may have dropped what was not written, and a second fsync would
 * succeed. */
tn_status tn_file_write_new(const char *path, int flags, const void *data, uint64_t bytes, struct tn_error *error)
{
    tn_status status = TN_OK;
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
    if (file < 0)
        return io_error(error, "create", path);
    if (write_all(file, data, bytes) != TN_OK)
        status = io_error(error, "write", path);
    else if (!tn_file_sync(file))
        status = io_error(error, "write to the disk", path);
    if (close(file) != 0 && status == TN_OK)
        status = io_error(error, "close", path);
    if (status != TN_OK)
        (void)unlink(path);
    return status;
}

/* On a place that cannot rename (Mountpoint for S3). A file that is there goes only when another whole one lies beside
 * it, which stays when this one fails or is cut off. */
static tn_status write_without_rename(const char *path, const void *data, uint64_t bytes, struct tn_error *error)
{
    char beside[4096];
    tn_status status;
    int length = snprintf(beside, sizeof beside, "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof beside)
        return tn_fail(error, TN_IO, "the path %.200s… is too long", path);
    if (!tn_path_exists(path)) {
        status = tn_file_write_new(path, O_EXCL, data, bytes, error);
        (void)tn_folder_sync(path);
        return status;
    }
    (void)unlink(beside);
    status = tn_file_write_new(beside, O_EXCL, data, bytes, error);
    if (status != TN_OK)
        return status;
    (void)tn_folder_sync(beside);
    if (unlink(path) != 0)
        status = io_error(error, "replace", path);
    else
        status = tn_file_write_new(path, O_EXCL, data, bytes, error);
    if (status != TN_OK)
        return tn_error_wrap(error, status, "the new file is %s", beside);
    (void)tn_folder_sync(path);
    (void)unlink(beside);
    return TN_OK;
}

static bool means_no_rename(int reason)
{
    return reason == EPERM || reason == ENOSYS || reason == ENOTSUP || reason == EINVAL;
}

static tn_status write_once(const char *path, const void *data, uint64_t bytes, struct tn_error *error)
{
    char temporary[4096];
    tn_status status;
    int length = snprintf(temporary, sizeof temporary, "%s.tmp-%ld", path, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof temporary)
        return tn_fail(error, TN_IO, "the path %.200s… is too long", path);
    status = tn_file_write_new(temporary, O_TRUNC, data, bytes, error);
    if (status != TN_OK)
        return status;
    if (rename(temporary, path) == 0)
        return tn_folder_sync(path) ? TN_OK : io_error(error, "write to the disk the folder of", path);
    int reason = errno;
    status = io_error(error, "rename the new file to", path);
    (void)unlink(temporary);
    return means_no_rename(reason) ? write_without_rename(path, data, bytes, error) : status;
}

/* A network folder fails now and then: what goes wrong is tried once more, with another new file. */
tn_status tn_file_write(const char *path, const void *data, uint64_t bytes, struct tn_error *error)
{
    static const struct timespec pause = {0, 50000000};
    tn_status status = write_once(path, data, bytes, error);
    if (status != TN_IO)
        return status;
    (void)nanosleep(&pause, NULL);
    return write_once(path, data, bytes, error);
}

tn_status tn_file_compare(const char *path, const void *data, uint64_t bytes, struct tn_error *error)
{
    const unsigned char *expected = data;
    unsigned char *piece = malloc(PIECE);
    uint64_t at = 0, got = 0;
    tn_status status = TN_OK;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || !piece)
        status = tn_fail(error, TN_IO, "cannot read %s back: %s", path, strerror(errno));
    while (status == TN_OK && at < bytes) {
        uint64_t count = bytes - at < PIECE ? bytes - at : PIECE;
        if (read_all(file, piece, count, &got) != TN_OK)
            status = tn_fail(error, TN_IO, "cannot read %s back: %s", path, strerror(errno));
        else if (got < count || memcmp(piece, expected + at, (size_t)count) != 0)
            status = tn_fail(error, TN_IO, "%s does not hold what was written to it", path);
        at += count;
        (void)posix_fadvise(file, 0, (off_t)at, POSIX_FADV_DONTNEED);
    }
    if (status == TN_OK && (read_all(file, piece, 1, &got) != TN_OK || got != 0))
        status = tn_fail(error, TN_IO, "%s holds more than what was written to it", path);
    if (file >= 0)
        (void)close(file);
    free(piece);
    return status;
}

tn_status tn_file_append(const char *path, const void *data, uint64_t bytes, struct tn_error *error)
{
    tn_status status = TN_OK;
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0)
        return io_error(error, "open", path);
    if (write_all(file, data, bytes) != TN_OK)
        status = io_error(error, "write", path);
    if (close(file) != 0 && status == TN_OK)
        status = io_error(error, "close", path);
    return status;
}

/* errno says why not. What is made stays over a power cut, as do files that are synced in it. */
static bool make_one(const char *path)
{
    if (mkdir(path, 0777) == 0) {
        (void)tn_folder_sync(path);
        return true;
    }
    if (errno == EEXIST)
        return true;
    int reason = errno;
    bool there = tn_path_is_folder(path);
    errno = reason;
    return there;
}

tn_status tn_folder_make(const char *path, struct tn_error *error)
{
    char part[4096];
    size_t length = strlen(path);
    if (length >= sizeof part)
        return tn_fail(error, TN_IO, "the path %.200s… is too long", path);
    memcpy(part, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        if (!make_one(part) && !make_one(part)) /* a network folder fails now and then */
            return io_error(error, "make the folder", part);
        if (i < length)
            part[i] = '/';
    }
    if (!tn_path_is_folder(path))
        return tn_fail(error, TN_IO, "cannot make the folder %s: a file of that name is in the way", path);
    return TN_OK;
}

bool tn_path_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool tn_path_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

char *tn_path_beside(struct tn_arena *arena, const char *base_file, const char *path)
{
    const char *slash = base_file ? strrchr(base_file, '/') : NULL;
    if (path[0] == '/' || !slash)
        return tn_arena_string(arena, path);
    return tn_arena_format(arena, "%.*s/%s", (int)(slash - base_file), base_file, path);
}
