/* tiff_memory.h: libtiff on bytes in memory: no file is opened, messages are kept, allocations are bounded. */
#ifndef TENON_CODECS_TIFF_MEMORY_H
#define TENON_CODECS_TIFF_MEMORY_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <tiffio.h>

#include "tenon/plugin.h"

/* Besides the file's own length, the most that libtiff may take at once: it needs rows and lists of strips. */
static const uint64_t LIBTIFF_BYTES = (uint64_t)64 << 20;
struct reading {
    TIFF *tiff;
    const unsigned char *bytes;
    uint64_t count, at;
    int failed, warned;
    char reason[200]; /* what libtiff said first */
};

static tmsize_t read_bytes(thandle_t handle, void *out, tmsize_t wanted)
{
    struct reading *reading = handle;
    uint64_t left = reading->at < reading->count ? reading->count - reading->at : 0;
    uint64_t given = wanted > 0 && (uint64_t)wanted < left ? (uint64_t)wanted : wanted > 0 ? left : 0;
    if (given > 0)
        memcpy(out, reading->bytes + reading->at, (size_t)given);
    reading->at += given;
    return (tmsize_t)given;
}

static tmsize_t write_bytes(thandle_t handle, void *bytes, tmsize_t count)
{
    (void)handle, (void)bytes, (void)count;
    return 0;
}

static toff_t seek_to(thandle_t handle, toff_t offset, int whence)
{
    struct reading *reading = handle;
    reading->at = whence == SEEK_CUR ? reading->at + offset : whence == SEEK_END ? reading->count + offset : offset;
    return reading->at;
}

static int close_nothing(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t size_of(thandle_t handle)
{
    return ((const struct reading *)handle)->count;
}

static int take_error(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments)
{
    struct reading *reading = user;
    (void)tiff, (void)module;
    if (!reading->failed++)
        (void)vsnprintf(reading->reason, sizeof reading->reason, format, arguments);
    return 1;
}

static int take_warning(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments)
{
    struct reading *reading = user;
    (void)tiff, (void)module, (void)format, (void)arguments;
    reading->warned++;
    return 1;
}

static tn_status fail_damaged(const struct reading *reading, struct tn_error *error)
{
    return tn_fail(error, TN_CORRUPT, "damaged TIFF: %s",
                   reading->reason[0] ? reading->reason : "libtiff cannot decode it");
}

static tn_status open_file(struct reading *reading, struct tn_error *error)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a TIFF decoder");
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)(LIBTIFF_BYTES + 2 * reading->count));
    TIFFOpenOptionsSetErrorHandlerExtR(options, take_error, reading);
    TIFFOpenOptionsSetWarningHandlerExtR(options, take_warning, reading);
    /* r: read; m: no mapping; c: strips as they are */
    reading->tiff = TIFFClientOpenExt("picture", "rmc", reading, read_bytes, write_bytes, seek_to, close_nothing,
                                      size_of, NULL, NULL, options);
    TIFFOpenOptionsFree(options);
    return reading->tiff ? TN_OK : fail_damaged(reading, error);
}

#endif
