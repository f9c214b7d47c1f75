/* plain.h: what the codecs of uncompressed formats share: a buffer that stays, bounds, one pixel as asked for. */
#ifndef TENON_CODECS_PLAIN_H
#define TENON_CODECS_PLAIN_H

#include <stdlib.h>

#include "colours.h"
#include "tenon/plugin.h"

struct plain_worker {
    unsigned char *pixels;
    size_t pixel_bytes; /* allocated */
};

static inline tn_status plain_worker_open(const void *self, void **state, struct tn_error *error)
{
    (void)self;
    *state = calloc(1, sizeof(struct plain_worker));
    return *state ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for a decoder");
}

static inline void plain_worker_close(const void *self, void *state)
{
    struct plain_worker *worker = state;
    (void)self;
    if (worker)
        free(worker->pixels);
    free(worker);
}

/* Memory for a picture whose size the caller has judged. */
static inline tn_status plain_reserve(struct plain_worker *worker, int32_t height, int32_t width, int32_t channels,
                                      struct tn_error *error)
{
    size_t bytes = (size_t)height * (size_t)width * (size_t)channels;
    if (worker->pixel_bytes >= bytes)
        return TN_OK;
    free(worker->pixels);
    worker->pixels = malloc(bytes);
    worker->pixel_bytes = worker->pixels ? bytes : 0;
    return worker->pixels ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for a picture of %zu bytes", bytes);
}

static inline tn_status plain_judge_size(const char *format, int32_t height, int32_t width,
                                         const struct tn_decode_request *request, struct tn_error *error)
{
    if (!request->maximum_pixels || (uint64_t)height * (uint64_t)width <= request->maximum_pixels)
        return TN_OK;
    return tn_fail(error, TN_CORRUPT, "refused %s: it claims %d x %d pixels, more than the limit of %llu", format,
                   (int)height, (int)width, (unsigned long long)request->maximum_pixels);
}

static inline void plain_store(unsigned char *out, int32_t channels, const unsigned char rgb[3], unsigned char alpha)
{
    if (channels == 1) {
        out[0] = grey_of(rgb);
        return;
    }
    out[0] = rgb[0], out[1] = rgb[1], out[2] = rgb[2];
    if (channels == 4)
        out[3] = alpha;
}

#endif
