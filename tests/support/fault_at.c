/* fault_at.c: preloaded into tenon, makes calls on what is below $FAULT_UNDER fail.
 *
 * - FAULT_AT=K: the K-th call of those that change or read something: open, read, write, fsync, fdatasync, close,
 *   rename, mkdir, unlink, truncate, ftruncate, and those of caches and copies
 * - FAULT_ERRNO=N: with this errno; 0: reads and writes are short, the others are as always
 * - FAULT_FOREVER=1: and all behind it that write, as on a disk that is full or a drive that is gone
 * - FAULT_COUNT=FILE: at the end the number of calls is written to FILE
 * - FAULT_PLACE=…: a place that cannot: rename, overwrite (change a file that is there), fsync (does not know it)
 * - FAULT_SLOW=N: fsync takes N milliseconds
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#define UNDER "FAULT_UNDER"
#include "below.h"

static atomic_ulong calls;

static int cannot(const char *what)
{
    const char *place = getenv("FAULT_PLACE");
    return place && strcmp(place, what) == 0;
}

static int reason(void)
{
    const char *number = getenv("FAULT_ERRNO");
    return number ? (int)strtol(number, NULL, 10) : EIO;
}

/* Counts a call; 1 when it is to fail. */
static int fails(int counts, int writes)
{
    const char *at = getenv("FAULT_AT");
    if (!counts)
        return 0;
    unsigned long call = atomic_fetch_add(&calls, 1) + 1, wanted = at ? strtoul(at, NULL, 10) : 0;
    return wanted && (call == wanted || (call > wanted && writes && getenv("FAULT_FOREVER")));
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("FAULT_COUNT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file)
        return;
    (void)fprintf(file, "%lu\n", atomic_load(&calls));
    (void)fclose(file);
}

/* What fails does nothing, and says why; a short call has no reason. */
#define FAIL_IF(condition_)                                                                                            \
    do {                                                                                                               \
        if ((condition_) && reason() != 0) {                                                                           \
            errno = reason();                                                                                          \
            return -1;                                                                                                 \
        }                                                                                                              \
    } while (0)
#define REFUSE_IF(condition_, errno_)                                                                                  \
    do {                                                                                                               \
        if (condition_) {                                                                                              \
            errno = errno_;                                                                                            \
            return -1;                                                                                                 \
        }                                                                                                              \
    } while (0)

int open(const char *path, int flags, ...)
{
    REAL(int, "open", const char *, int, ...);
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    int below = is_below(path) && !(flags & O_DIRECTORY) && !strstr(path, "/lock");
    REFUSE_IF(below && cannot("overwrite") && (flags & O_ACCMODE) != O_RDONLY && !strstr(path, "/alive") &&
                  access(path, F_OK) == 0,
              EPERM);
    FAIL_IF(fails(below, (flags & O_ACCMODE) != O_RDONLY));
    return real(path, flags, mode);
}

ssize_t write(int descriptor, const void *bytes, size_t count)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    int it = fails(is_open_below(descriptor), 1);
    FAIL_IF(it);
    return real(descriptor, bytes, it && count > 1 ? count / 2 : count);
}

ssize_t read(int descriptor, void *bytes, size_t count)
{
    REAL(ssize_t, "read", int, void *, size_t);
    int it = fails(is_open_below(descriptor), 0);
    FAIL_IF(it);
    return real(descriptor, bytes, it && count > 1 ? count / 2 : count);
}

static int sync_call(int (*real)(int), int descriptor)
{
    int below = is_open_below(descriptor);
    const char *slow = below ? getenv("FAULT_SLOW") : NULL;
    struct timespec pause = {0, slow ? strtol(slow, NULL, 10) * 1000000 : 0};
    if (slow)
        (void)nanosleep(&pause, NULL);
    REFUSE_IF(below && cannot("fsync"), EINVAL);
    FAIL_IF(fails(below, 1));
    return real(descriptor);
}

int fsync(int descriptor)
{
    REAL(int, "fsync", int);
    return sync_call(real, descriptor);
}

int fdatasync(int descriptor)
{
    REAL(int, "fdatasync", int);
    return sync_call(real, descriptor);
}

/* It is closed all the same, as Linux does. */
int close(int descriptor)
{
    REAL(int, "close", int);
    int it = fails(is_open_below(descriptor), 1), result = real(descriptor);
    FAIL_IF(it);
    return result;
}

int rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *);
    int below = is_below(to);
    REFUSE_IF(below && cannot("rename"), EPERM);
    REFUSE_IF(below && cannot("overwrite") && access(to, F_OK) == 0, EPERM);
    FAIL_IF(fails(below, 1));
    return real(from, to);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(int, "mkdir", const char *, mode_t);
    FAIL_IF(fails(is_below(path), 1));
    return real(path, mode);
}

int unlink(const char *path)
{
    REAL(int, "unlink", const char *);
    FAIL_IF(fails(is_below(path) && !strstr(path, "/lock"), 1));
    return real(path);
}

int truncate(const char *path, off_t length)
{
    REAL(int, "truncate", const char *, off_t);
    int below = is_below(path);
    REFUSE_IF(below && cannot("overwrite"), EPERM);
    FAIL_IF(fails(below, 1));
    return real(path, length);
}

int ftruncate(int descriptor, off_t length)
{
    REAL(int, "ftruncate", int, off_t);
    int below = is_open_below(descriptor);
    FAIL_IF(fails(below, 1));
    return real(descriptor, length);
}

/* ---- the calls of caches, lists of records and staged copies ---- */

static int is_below_folder(int folder, const char *path)
{
    return path[0] == '/' || folder == AT_FDCWD ? is_below(path) : is_open_below(folder);
}

int openat(int folder, const char *path, int flags, ...)
{
    REAL(int, "openat", int, const char *, int, ...);
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    FAIL_IF(fails(is_below_folder(folder, path) && !(flags & O_DIRECTORY), (flags & O_ACCMODE) != O_RDONLY));
    return real(folder, path, flags, mode);
}

int mkostemp(char *path, int flags)
{
    REAL(int, "mkostemp", char *, int);
    FAIL_IF(fails(is_below(path), 1));
    return real(path, flags);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t at)
{
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    int it = fails(is_open_below(descriptor), 1);
    FAIL_IF(it);
    return real(descriptor, bytes, it && count > 1 ? count / 2 : count, at);
}

ssize_t pread(int descriptor, void *bytes, size_t count, off_t at)
{
    REAL(ssize_t, "pread", int, void *, size_t, off_t);
    int it = fails(is_open_below(descriptor), 0);
    FAIL_IF(it);
    return real(descriptor, bytes, it && count > 1 ? count / 2 : count, at);
}

int fallocate(int descriptor, int mode, off_t at, off_t bytes)
{
    REAL(int, "fallocate", int, int, off_t, off_t);
    FAIL_IF(fails(is_open_below(descriptor), 1));
    return real(descriptor, mode, at, bytes);
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(int, "unlinkat", int, const char *, int);
    FAIL_IF(fails(is_below_folder(folder, path), 1));
    return real(folder, path, flags);
}
