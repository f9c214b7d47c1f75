/* fuzz.h: what the fuzzers share: the entry that libFuzzer calls, demands, and a file in memory. */
#ifndef TENON_FUZZ_H
#define TENON_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "tenon/plugin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What has to hold for any input; libFuzzer keeps the input that breaks it. */
#define DEMAND(condition_)                                                                                             \
    do {                                                                                                               \
        if (!(condition_)) {                                                                                           \
            fprintf(stderr, "%s:%d: demanded: %s\n", __FILE__, __LINE__, #condition_);                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A failure has to say why. */
TN_UNUSED static inline void demand_reason(tn_status status, const struct tn_error *error)
{
    DEMAND(status == TN_OK || (error->text[0] && error->status != TN_OK));
}

/* The bytes as an open file that reads from its beginning; the same one each time. */
TN_UNUSED static inline int file_of(const uint8_t *data, size_t size)
{
    static int file = -1;
    if (file < 0)
        file = memfd_create("input", MFD_CLOEXEC);
    DEMAND(file >= 0 && ftruncate(file, 0) == 0);
    DEMAND(pwrite(file, data, size, 0) == (ssize_t)size && lseek(file, 0, SEEK_SET) == 0);
    return file;
}

#endif
