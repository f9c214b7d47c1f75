/* faulty_storage.c: preloaded into tenon, makes files below $FAULTY_UNDER behave like those of a bad network folder.
 *
 *   FAULTY_ERROR=N   about one in N opens and reads fails with EIO
 *   FAULTY_SHORT=N   about one in N reads gives one byte only
 *   FAULTY_DELAY=MS  each open and read takes that long
 *   FAULTY_COUNT=F   at the end the number of failures is added to F as a line
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define UNDER "FAULTY_UNDER"
#include "below.h"

static atomic_ulong calls, failures;

static unsigned long number(const char *name)
{
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : 0;
}

/* The same share for any interleaving of threads; which call it hits does depend on that. */
static int hits(const char *name)
{
    unsigned long every = number(name), call = atomic_fetch_add(&calls, 1);
    return every && call * 2654435761u % 4294967296u % every == 0;
}

static void delay(void)
{
    unsigned long milliseconds = number("FAULTY_DELAY");
    struct timespec pause = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    if (milliseconds)
        (void)nanosleep(&pause, NULL);
}

static int fails(void)
{
    delay();
    if (!hits("FAULTY_ERROR"))
        return 0;
    (void)atomic_fetch_add(&failures, 1);
    errno = EIO;
    return 1;
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
    if (folder >= 0 && !(flags & O_DIRECTORY) && is_open_below(folder) && fails())
        return -1;
    return real(folder, path, flags, mode);
}

static ssize_t any_read(const char *name, int descriptor, void *buffer, size_t bytes, off_t offset)
{
    ssize_t (*real_read)(int, void *, size_t);
    ssize_t (*real_pread)(int, void *, size_t, off_t);
    if (is_open_below(descriptor)) {
        if (fails())
            return -1;
        if (bytes > 1 && hits("FAULTY_SHORT"))
            bytes = 1;
    }
    if (strcmp(name, "read") == 0) {
        *(void **)&real_read = dlsym(RTLD_NEXT, name);
        return real_read(descriptor, buffer, bytes);
    }
    *(void **)&real_pread = dlsym(RTLD_NEXT, name);
    return real_pread(descriptor, buffer, bytes, offset);
}

ssize_t read(int descriptor, void *buffer, size_t bytes)
{
    return any_read("read", descriptor, buffer, bytes, 0);
}

ssize_t pread(int descriptor, void *buffer, size_t bytes, off_t offset)
{
    return any_read("pread", descriptor, buffer, bytes, offset);
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("FAULTY_COUNT");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file)
        return;
    (void)fprintf(file, "%lu\n", atomic_load(&failures));
    (void)fclose(file);
}
