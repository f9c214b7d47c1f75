/* cache.c: entries behind each other in memory or in a file, and where each sample's lie.
 *
 * Room is taken by moving one number on; an entry appears by storing its place, when it is whole. So nobody locks, and
 * nothing is ever moved or thrown out: with a new order in each epoch the first samples to come are as good to keep as
 * any others. When there is no room left, nothing more is taken in.
 *
 * A file begins with a page that says what it was made of. Its entries are walked when it is opened; behind the last
 * whole one it is cut off. Each is proved by its CRC whenever it is used; one that is damaged is made anew.
 */
#include "data/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "data/dataset.h"

static const uint32_t MAGIC = 0x454E5443; /* "CTNE" */
enum { PAGE = 4096, TEXT = 3072 };

/* The first page of a file. */
struct front {
    char magic[8];
    uint32_t crc, unused; /* of the page, with 0 here */
    uint64_t digest[2];
    char text[TEXT]; /* the options that what is kept hangs on */
};

struct tn_cache {
    const struct tn_dataset *dataset;
    char *path; /* NULL: in memory */
    unsigned char *memory;
    int file;
    uint64_t count, limit; /* samples; bytes */
    _Atomic uint64_t used, kept;
    _Atomic uint64_t *places; /* [count][TN_CACHE_WAYS]: offset, 0 = nothing */
    atomic_bool full, told_damage;
};

/* ---- reading and writing ---- */

static bool read_at(const struct tn_cache *cache, uint64_t at, void *bytes, uint64_t count)
{
    for (uint64_t done = 0; done < count;) {
        ssize_t step = pread(cache->file, (unsigned char *)bytes + done, (size_t)(count - done), (off_t)(at + done));
        if (step < 0 && errno == EINTR)
            continue;
        if (step <= 0)
            return false;
        done += (uint64_t)step;
    }
    return true;
}

static bool write_at(const struct tn_cache *cache, uint64_t at, const void *bytes, uint64_t count)
{
    for (uint64_t done = 0; done < count;) {
        ssize_t step =
            pwrite(cache->file, (const unsigned char *)bytes + done, (size_t)(count - done), (off_t)(at + done));
        if (step < 0 && errno == EINTR)
            continue;
        if (step <= 0)
            return false;
        done += (uint64_t)step;
    }
    return true;
}

static uint32_t crc_of_entry(const struct tn_cache_entry *entry)
{
    struct tn_cache_entry copy = *entry;
    copy.own_crc = 0;
    return tn_crc32c(&copy, sizeof copy);
}

static uint64_t content_bytes(const struct tn_cache_entry *entry)
{
    return entry->target_count * sizeof(float) + entry->bytes;
}

static uint64_t whole_bytes(const struct tn_cache_entry *entry)
{
    return (sizeof *entry + content_bytes(entry) + 7) & ~(uint64_t)7;
}

/* Whether an entry of a file is one, and lies inside of the first `end` bytes. */
static bool is_sound(const struct tn_cache *cache, const struct tn_cache_entry *entry, uint64_t at, uint64_t end)
{
    if (entry->magic != MAGIC || entry->own_crc != crc_of_entry(entry) || entry->sample >= cache->count ||
        entry->kind < TN_CACHED_BYTES || entry->kind > TN_CACHED_PICTURE ||
        entry->target_count != cache->dataset->info.target_count || entry->bytes > end || whole_bytes(entry) > end - at)
        return false;
    if (entry->kind == TN_CACHED_BYTES)
        return true;
    return entry->height > 0 && entry->width > 0 && entry->channels > 0 && entry->channels <= 4 &&
           (uint64_t)entry->height * (uint64_t)entry->width <= entry->bytes &&
           (uint64_t)entry->height * (uint64_t)entry->width * (uint64_t)entry->channels == entry->bytes &&
           entry->ratio_y > 0 && entry->ratio_x > 0 && entry->ratio_y < 1e9 && entry->ratio_x < 1e9;
}

/* ---- entries ---- */

static _Atomic uint64_t *place_of(const struct tn_cache *cache, uint64_t sample, uint32_t way)
{
    return &cache->places[sample * TN_CACHE_WAYS + way];
}

bool tn_cache_has(const struct tn_cache *cache, uint64_t sample)
{
    return cache && atomic_load_explicit(place_of(cache, sample, 0), memory_order_relaxed) != 0;
}

static const struct tn_cache_entry *get_from_file(struct tn_cache *cache, uint64_t sample, uint64_t at,
                                                  struct tn_buffer *scratch)
{
    struct tn_cache_entry head;
    uint64_t end = atomic_load(&cache->used);
    if (!read_at(cache, at, &head, sizeof head) || !is_sound(cache, &head, at, end) || head.sample != sample)
        return NULL;
    unsigned char *bytes = tn_buffer_take(scratch, (size_t)whole_bytes(&head));
    if (!bytes || !read_at(cache, at + sizeof head, bytes + sizeof head, content_bytes(&head)) ||
        tn_crc32c(bytes + sizeof head, content_bytes(&head)) != head.content_crc)
        return NULL;
    memcpy(bytes, &head, sizeof head);
    return (const struct tn_cache_entry *)(const void *)bytes;
}

const struct tn_cache_entry *tn_cache_get(struct tn_cache *cache, uint64_t sample, uint32_t way,
                                          struct tn_buffer *scratch)
{
    uint64_t at = atomic_load_explicit(place_of(cache, sample, way), memory_order_acquire);
    if (at == 0)
        return NULL;
    if (cache->memory)
        return (const struct tn_cache_entry *)(const void *)(cache->memory + at);
    const struct tn_cache_entry *entry = get_from_file(cache, sample, at, scratch);
    if (entry)
        return entry;
    atomic_store(place_of(cache, sample, way), 0);
    if (!atomic_exchange(&cache->told_damage, true))
        tn_log(TN_LOG_WARNING, "cache %s: an entry is damaged or cannot be read; such are made anew", cache->path);
    return NULL;
}

static void tell_full(struct tn_cache *cache, const char *reason)
{
    char here[64], all[64];
    if (atomic_exchange(&cache->full, true))
        return;
    uint64_t used = atomic_load(&cache->used), kept = atomic_load(&cache->kept);
    used = used < cache->limit ? used : cache->limit;
    tn_log(TN_LOG_WARNING, "cache %s: %s, with %llu of %llu pictures in %s; all of them would take about %s",
           cache->path ? cache->path : "in memory", reason, (unsigned long long)kept, (unsigned long long)cache->count,
           tn_say_bytes(here, sizeof here, used),
           tn_say_bytes(all, sizeof all, (uint64_t)((double)used / (double)(kept ? kept : 1) * (double)cache->count)));
}

/* Writes an entry at its place; files in one piece. */
static bool store(struct tn_cache *cache, uint64_t at, struct tn_cache_entry *entry, const float *targets,
                  const void *bytes, struct tn_buffer *scratch)
{
    uint64_t size = whole_bytes(entry), target_bytes = entry->target_count * sizeof(float);
    unsigned char *to = cache->memory ? cache->memory + at : tn_buffer_take(scratch, (size_t)size);
    if (!to)
        return false;
    if (target_bytes)
        memcpy(to + sizeof *entry, targets, (size_t)target_bytes);
    memcpy(to + sizeof *entry + target_bytes, bytes, (size_t)entry->bytes);
    if (!cache->memory) {
        memset(to + sizeof *entry + content_bytes(entry), 0, (size_t)(size - sizeof *entry - content_bytes(entry)));
        entry->content_crc = tn_crc32c(to + sizeof *entry, content_bytes(entry));
    }
    entry->magic = MAGIC;
    entry->own_crc = crc_of_entry(entry);
    memcpy(to, entry, sizeof *entry);
    return cache->memory || write_at(cache, at, to, size);
}

void tn_cache_put(struct tn_cache *cache, const struct tn_cache_entry *entry, const float *targets, const void *bytes,
                  struct tn_buffer *scratch)
{
    struct tn_cache_entry made = *entry;
    uint32_t way = 0;
    while (way < TN_CACHE_WAYS && atomic_load(place_of(cache, entry->sample, way)) != 0)
        way++;
    if (way == TN_CACHE_WAYS || atomic_load(&cache->full))
        return;
    uint64_t size = whole_bytes(entry), at = atomic_fetch_add(&cache->used, size);
    if (at > cache->limit || size > cache->limit - at) {
        tell_full(cache, "full");
        return;
    }
    if (!store(cache, at, &made, targets, bytes, scratch)) {
        tell_full(cache, cache->memory ? "out of memory" : strerror(errno));
        return;
    }
    atomic_fetch_add(&cache->kept, way == 0);
    atomic_store_explicit(place_of(cache, entry->sample, way), at, memory_order_release);
}

/* ---- files ---- */

static void describe(const struct tn_dataset *dataset, struct front *front)
{
    const struct tn_data_options *options = &dataset->spec.options;
    size_t used =
        (size_t)snprintf(front->text, TEXT,
                         "stage %d channels %d target %dx%d fast_decode %d interpolation %d auto_orient %d max_pixels "
                         "%lld samples %llu targets %u codecs",
                         (int)options->cache_stage, (int)dataset->channels, (int)options->target_size.height,
                         (int)options->target_size.width, (int)options->fast_decode, (int)options->interpolation,
                         (int)options->auto_orient, (long long)options->maximum_pixels,
                         (unsigned long long)dataset->info.count, (unsigned)dataset->info.target_count);
    for (uint32_t i = 0; i < options->codecs.count && used < TEXT; i++)
        used += (size_t)snprintf(front->text + used, TEXT - used, " %s", options->codecs.items[i]);
    uint32_t classes = 0;
    for (uint32_t i = 0; i < dataset->info.class_count; i++)
        classes = classes * 31 + tn_crc32c(dataset->info.classes[i], strlen(dataset->info.classes[i]));
    if (used < TEXT)
        (void)snprintf(front->text + used, TEXT - used, " classes %u %08x", (unsigned)dataset->info.class_count,
                       classes);
}

static tn_status make_front(const struct tn_dataset *dataset, struct front *front, struct tn_error *error)
{
    memset(front, 0, sizeof *front);
    memcpy(front->magic, "TENONCA1", 8);
    describe(dataset, front);
    if (!dataset->source->digest)
        return tn_fail(error, TN_UNSUPPORTED,
                       "cache = %s: the source cannot tell whether its pictures have changed; "
                       "cache = memory does not ask",
                       dataset->spec.options.cache);
    tn_status status = dataset->source->digest(dataset->spec.source->self, front->digest, error);
    front->crc = tn_crc32c(front, sizeof *front);
    return status;
}

/* Walks the entries; what lies behind the last whole one is cut off. */
static void walk(struct tn_cache *cache, uint64_t size)
{
    uint64_t at = PAGE;
    struct tn_cache_entry entry;
    while (size - at >= sizeof entry && read_at(cache, at, &entry, sizeof entry) && is_sound(cache, &entry, at, size)) {
        uint32_t way = 0;
        while (way < TN_CACHE_WAYS && atomic_load(place_of(cache, entry.sample, way)) != 0)
            way++;
        /* A third one has replaced a damaged one: it may be either. */
        atomic_store(place_of(cache, entry.sample, way < TN_CACHE_WAYS ? way : 0), at);
        cache->kept += way == 0;
        at += whole_bytes(&entry);
    }
    cache->used = at;
    if (at < size && ftruncate(cache->file, (off_t)at) != 0)
        tn_log(TN_LOG_WARNING, "cache %s: cannot cut off its damaged end: %s", cache->path, strerror(errno));
}

static tn_status begin_file(struct tn_cache *cache, const struct front *front, struct tn_error *error)
{
    unsigned char page[PAGE] = {0};
    memcpy(page, front, sizeof *front);
    if (ftruncate(cache->file, 0) != 0 || !write_at(cache, 0, page, PAGE))
        return tn_fail(error, TN_IO, "cache %s: cannot write it: %s", cache->path, strerror(errno));
    cache->used = PAGE;
    return TN_OK;
}

/* Room on the disk: all but a tenth of what is free. */
static uint64_t room_for(const struct tn_cache *cache, uint64_t size)
{
    struct statvfs disk;
    if (fstatvfs(cache->file, &disk) != 0)
        return UINT64_MAX >> 1;
    return size + (uint64_t)disk.f_bavail * disk.f_frsize / 10 * 9;
}

static tn_status use_file(struct tn_cache *cache, int64_t limit, struct tn_error *error)
{
    struct front wanted, found;
    struct stat state;
    tn_status status = make_front(cache->dataset, &wanted, error);
    if (status != TN_OK)
        return status;
    if (fstat(cache->file, &state) != 0 || !S_ISREG(state.st_mode))
        return tn_fail(error, TN_INVALID, "cache %s is not a file", cache->path);
    uint64_t size = (uint64_t)state.st_size;
    cache->limit = limit > 0 ? (uint64_t)limit : room_for(cache, size);
    bool whole = size >= PAGE && read_at(cache, 0, &found, sizeof found);
    if (size > 0 && !read_at(cache, 0, &found, 8 < size ? 8 : size))
        return tn_fail(error, TN_IO, "cache %s: cannot read it: %s", cache->path, strerror(errno));
    if (size > 0 && memcmp(found.magic, "TENONCA", size < 7 ? size : 7) != 0)
        return tn_fail(error, TN_INVALID, "cache %s: this file is no cache of tenon's, and is left alone; name another",
                       cache->path);
    if (whole && read_at(cache, 0, &found, sizeof found) && memcmp(&wanted, &found, sizeof wanted) == 0) {
        walk(cache, size);
        return TN_OK;
    }
    if (size > 0)
        tn_log(TN_LOG_INFO, "cache %s: the pictures or the options have changed; it is made anew", cache->path);
    return begin_file(cache, &wanted, error);
}

/* Each dataset has a file of its own: FILE.SOURCE, and FILE.SOURCE-training where a part is set aside. */
static char *file_path(const struct tn_dataset *dataset)
{
    const char *parts[] = {"", "-training", "-validation"};
    struct tn_text text = {.data = NULL};
    tn_text_format(&text, "%s.%s%s", dataset->spec.options.cache, dataset->spec.source->name,
                   parts[dataset->spec.subset >= 0 && dataset->spec.subset <= 2 ? dataset->spec.subset : 0]);
    if (!text.failed)
        return text.data;
    tn_text_release(&text);
    return NULL;
}

/* A disk that is full or broken, and not a mistake in the name. */
static bool is_of_disk(int reason)
{
    return reason == ENOSPC || reason == EDQUOT || reason == EIO || reason == EROFS;
}

static tn_status open_file(struct tn_cache **cache, int64_t limit, struct tn_error *error)
{
    struct tn_cache *made = *cache;
    made->path = file_path(made->dataset);
    if (!made->path)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a cache");
    made->file = open(made->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
    if (made->file < 0)
        return tn_fail(error, is_of_disk(errno) ? TN_IO : TN_INVALID, "cache %s: cannot open it: %s", made->path,
                       strerror(errno));
    if (flock(made->file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        tn_log(TN_LOG_WARNING, "cache %s: another process uses it; this one goes on without", made->path);
        tn_cache_close(cache);
        return TN_OK;
    }
    return use_file(made, limit, error);
}

/* ---- memory ---- */

/* A quarter of what is free. */
static uint64_t memory_to_spare(void)
{
    unsigned long long kilobytes = 0;
    char line[256];
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %llu kB", &kilobytes) == 1)
            break;
    if (file)
        (void)fclose(file);
    return kilobytes ? (uint64_t)kilobytes * 256 : (uint64_t)1 << 30;
}

static tn_status reserve(struct tn_cache *cache, int64_t limit, struct tn_error *error)
{
    char text[64];
    cache->limit = limit > 0 ? (uint64_t)limit : memory_to_spare();
    cache->limit = (cache->limit + PAGE - 1) / PAGE * PAGE;
    void *memory =
        mmap(NULL, (size_t)cache->limit, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a cache of %s: a smaller cache_limit needs less",
                       tn_say_bytes(text, sizeof text, cache->limit));
    cache->memory = memory;
    cache->used = 64; /* 0 says: nothing */
    return TN_OK;
}

/* ---- open and close ---- */

tn_status tn_cache_open(const struct tn_dataset *dataset, struct tn_cache **cache, struct tn_error *error)
{
    const struct tn_data_options *options = &dataset->spec.options;
    *cache = NULL;
    if (!options->cache || strcmp(options->cache, "none") == 0)
        return TN_OK;
    struct tn_cache *made = calloc(1, sizeof *made);
    struct tn_error failure = {.status = TN_OK};
    if (!made)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a cache");
    *cache = made;
    made->dataset = dataset;
    made->file = -1;
    made->count = dataset->info.count;
    made->places = calloc((size_t)made->count * TN_CACHE_WAYS, sizeof *made->places);
    tn_status status = TN_OK;
    if (!made->places)
        status =
            tn_fail(error, TN_NO_MEMORY, "no memory for a cache of %llu pictures", (unsigned long long)made->count);
    else if (strcmp(options->cache, "memory") == 0)
        status = reserve(made, options->cache_limit, error);
    else
        status = open_file(cache, options->cache_limit, &failure);
    if (status != TN_OK)
        tn_cache_close(cache);
    if (status == TN_IO) { /* a run that goes on must not depend on what only saves time */
        tn_log(TN_LOG_WARNING, "%s; pictures are not kept, which takes more time", failure.text);
        return TN_OK;
    }
    return failure.status == TN_OK ? status : tn_fail(error, status, "%s", failure.text);
}

void tn_cache_close(struct tn_cache **cache)
{
    struct tn_cache *closing = *cache;
    if (!closing)
        return;
    if (closing->memory)
        (void)munmap(closing->memory, (size_t)closing->limit);
    if (closing->file >= 0)
        (void)close(closing->file);
    free(closing->path);
    free(closing->places);
    free(closing);
    *cache = NULL;
}

uint64_t tn_cache_bytes(const struct tn_cache *cache)
{
    if (!cache)
        return 0;
    uint64_t used = cache->memory ? atomic_load(&((struct tn_cache *)cache)->used) : 0;
    return cache->count * TN_CACHE_WAYS * sizeof *cache->places + (used < cache->limit ? used : cache->limit);
}

/* Decoded pictures have at most twice the target's height and width, unless they are kept at full size. */
uint64_t tn_cache_limit(const struct tn_cache *cache)
{
    if (!cache)
        return 0;
    const struct tn_data_options *options = &cache->dataset->spec.options;
    uint64_t places = cache->count * TN_CACHE_WAYS * sizeof *cache->places, limit = cache->memory ? cache->limit : 0;
    double largest = 4.0 * options->target_size.height * options->target_size.width * cache->dataset->channels;
    double all = (double)cache->count * (largest + sizeof(struct tn_cache_entry));
    if (options->fast_decode && options->cache_stage == TN_CACHE_DECODED && all < (double)limit)
        limit = (uint64_t)all;
    return places + limit;
}
