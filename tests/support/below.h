/* below.h: what the preloaded libraries share: which files they are about, and the calls they stand before. UNDER,
 * defined before this is included, names the environment variable with a part of the paths that are meant. */
#ifndef TENON_TEST_BELOW_H
#define TENON_TEST_BELOW_H

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The next function of this name, as `real`. */
#define REAL(type_, name_, ...)                                                                                        \
    type_ (*real)(__VA_ARGS__);                                                                                        \
    *(void **)&real = dlsym(RTLD_NEXT, name_)

static inline int is_below(const char *path)
{
    const char *under = getenv(UNDER);
    return under && path && strstr(path, under) != NULL;
}

/* Whether the file or folder behind a descriptor lies there. */
static inline int is_open_below(int descriptor)
{
    char link[64], path[PATH_MAX];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    return is_below(path);
}

#endif
