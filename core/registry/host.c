/* host.c: the services that the host hands to plugins, and the names of the kinds. */
#include <stdlib.h>

#include "registry/registry.h"

static const char *const kind_names[TN_KIND_COUNT] = {NULL,     "source", "codec",     "augment",   "layer",
                                                      "loss",   "metric", "optimizer", "schedule",  "callback",
                                                      "format", "device", "store",     "collective"};

const char *tn_kind_name(uint32_t kind)
{
    return kind > 0 && kind < TN_KIND_COUNT ? kind_names[kind] : "unknown kind";
}

uint32_t tn_kind_from_name(const char *name)
{
    for (uint32_t kind = 1; kind < TN_KIND_COUNT; kind++)
        if (strcmp(kind_names[kind], name) == 0)
            return kind;
    return 0;
}

static void host_log(int32_t level, const char *text)
{
    tn_log(level, "%s", text);
}

static void *host_allocate(uint64_t bytes)
{
    void *memory;
    if (bytes > SIZE_MAX / 2 || posix_memalign(&memory, 64, bytes ? (size_t)bytes : 1) != 0)
        return NULL;
    memset(memory, 0, (size_t)bytes);
    return memory;
}

static void host_release(void *memory)
{
    free(memory);
}

static const void *host_extension(const char *id)
{
    (void)id;
    return NULL;
}

const struct tn_host *tn_host_table(void)
{
    static const struct tn_host host = {sizeof host,  TN_ABI_MINOR, host_log,      host_allocate,
                                        host_release, tn_file_read, tn_file_write, host_extension};
    return &host;
}
