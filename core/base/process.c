/* process.c: what this process uses, and the time. */
#include "base/base.h"

#include <stdlib.h>
#include <time.h>

/* A "Name:   123 kB" line of /proc/self/status in bytes; 0 where there is no such file. */
static uint64_t status_bytes(const char *name)
{
    char line[256];
    uint64_t bytes = 0;
    size_t length = strlen(name);
    FILE *file = fopen("/proc/self/status", "re");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            bytes = strtoull(line + length + 1, NULL, 10) * 1024u;
            break;
        }
    }
    (void)fclose(file);
    return bytes;
}

uint64_t tn_memory_resident(void)
{
    return status_bytes("VmRSS");
}

uint64_t tn_memory_peak(void)
{
    return status_bytes("VmHWM");
}

double tn_seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
