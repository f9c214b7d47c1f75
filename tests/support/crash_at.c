/* crash_at.c: preloaded into tenon, ends the process at once, as a power switch would, at the k-th call that changes
 * something below $CRASH_UNDER.
 *
 *   CRASH_AT=K        the call that is the last: of those that make, change, rename or remove a file, sync and close
 *   CRASH_AFTER=1     behind that call and not before it
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/types.h>

#define UNDER "CRASH_UNDER"
#include "below.h"

static atomic_ulong calls;

/* Counts a call; 1 when it is the one. */
static int is_it(int counts)
{
    const char *at = getenv("CRASH_AT");
    return counts && at && atomic_fetch_add(&calls, 1) + 1 == strtoul(at, NULL, 10);
}

static void before(int it)
{
    if (it && !getenv("CRASH_AFTER"))
        _exit(99);
}

static void after(int it)
{
    if (it)
        _exit(99);
}

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
    int it = is_it((flags & O_CREAT) && is_below(path));
    before(it);
    int result = real(path, flags, mode);
    after(it);
    return result;
}

ssize_t write(int descriptor, const void *bytes, size_t count)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    int it = is_it(is_open_below(descriptor));
    before(it);
    /* the one before which it ends may have come half way */
    ssize_t result = real(descriptor, bytes, it && count > 1 ? count / 2 : count);
    after(it);
    return result;
}

#define OF_DESCRIPTOR(name_)                                                                                           \
    int name_(int descriptor)                                                                                          \
    {                                                                                                                  \
        REAL(int, #name_, int);                                                                                        \
        int it = is_it(is_open_below(descriptor));                                                                     \
        before(it);                                                                                                    \
        int result = real(descriptor);                                                                                 \
        after(it);                                                                                                     \
        return result;                                                                                                 \
    }
OF_DESCRIPTOR(fsync)
OF_DESCRIPTOR(close)

int ftruncate(int descriptor, off_t length)
{
    REAL(int, "ftruncate", int, off_t);
    int it = is_it(is_open_below(descriptor));
    before(it);
    int result = real(descriptor, length);
    after(it);
    return result;
}

int rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *);
    int it = is_it(is_below(to));
    before(it);
    int result = real(from, to);
    after(it);
    return result;
}

int unlink(const char *path)
{
    REAL(int, "unlink", const char *);
    int it = is_it(is_below(path));
    before(it);
    int result = real(path);
    after(it);
    return result;
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
    int it = is_it((flags & O_CREAT) && is_below_folder(folder, path));
    before(it);
    int result = real(folder, path, flags, mode);
    after(it);
    return result;
}

int mkostemp(char *path, int flags)
{
    REAL(int, "mkostemp", char *, int);
    int it = is_it(is_below(path));
    before(it);
    int result = real(path, flags);
    after(it);
    return result;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t at)
{
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    int it = is_it(is_open_below(descriptor));
    before(it);
    ssize_t result = real(descriptor, bytes, it && count > 1 ? count / 2 : count, at);
    after(it);
    return result;
}

int fallocate(int descriptor, int mode, off_t at, off_t bytes)
{
    REAL(int, "fallocate", int, int, off_t, off_t);
    int it = is_it(is_open_below(descriptor));
    before(it);
    int result = real(descriptor, mode, at, bytes);
    after(it);
    return result;
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(int, "unlinkat", int, const char *, int);
    int it = is_it(is_below_folder(folder, path));
    before(it);
    int result = real(folder, path, flags);
    after(it);
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    REAL(int, "mkdir", const char *, mode_t);
    int it = is_it(is_below(path));
    before(it);
    int result = real(path, mode);
    after(it);
    return result;
}
