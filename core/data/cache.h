/* cache.h: what was read or decoded once, kept in memory or in a file. */
#ifndef TENON_CACHE_H
#define TENON_CACHE_H

#include "base/base.h"
#include "tenon/data.h"

struct tn_dataset;
struct tn_buffer;
struct tn_cache;

enum tn_cache_stage { TN_CACHE_DECODED = 0, TN_CACHE_ENCODED = 1 };
enum tn_cache_kind {
    TN_CACHED_BYTES = 1,  /* as the source gave them, encoded */
    TN_CACHED_PIXELS = 2, /* as the source gave them, pixels */
    TN_CACHED_PICTURE = 3 /* decoded, and made smaller as far as it was allowed */
};

/* What is kept of a sample: this, its targets, its bytes. The same in memory and in a file, where it is hostile. */
struct tn_cache_entry {
    uint32_t magic;
    uint32_t own_crc;     /* of this struct, with 0 here */
    uint32_t content_crc; /* of all that follows; files only */
    int32_t kind;         /* enum tn_cache_kind */
    uint64_t sample;
    uint64_t bytes; /* behind the targets */
    int32_t label;
    uint32_t target_count;
    int32_t height, width, channels;
    int32_t least_height, least_width; /* TN_CACHED_PICTURE: what it was allowed to be made smaller to; 0 = full size */
    int32_t unused;
    double ratio_y, ratio_x;
};

/* `*cache` = NULL when [data] asks for none, or another process has the file. */
tn_status tn_cache_open(const struct tn_dataset *dataset, struct tn_cache **cache, struct tn_error *error);
void tn_cache_close(struct tn_cache **cache);
/* Memory that it takes now, and at most. */
uint64_t tn_cache_bytes(const struct tn_cache *cache);
uint64_t tn_cache_limit(const struct tn_cache *cache);

/* Whether something is kept of a sample; NULL has nothing.  [any] */
bool tn_cache_has(const struct tn_cache *cache, uint64_t sample);
enum { TN_CACHE_WAYS = 2 }; /* a picture may be kept in two sizes */
/* What is kept in a way, targets and bytes behind it; NULL = nothing, or it is damaged. Lies in the cache or in
 * `scratch`.  [worker] */
const struct tn_cache_entry *tn_cache_get(struct tn_cache *cache, uint64_t sample, uint32_t way,
                                          struct tn_buffer *scratch);
/* Adds an entry, where there is room: `entry` has all but magic and CRCs. `scratch` as above.  [worker] */
void tn_cache_put(struct tn_cache *cache, const struct tn_cache_entry *entry, const float *targets, const void *bytes,
                  struct tn_buffer *scratch);

#endif
