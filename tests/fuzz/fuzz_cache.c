/* fuzz_cache.c: the file in which `cache` of [data] keeps pictures. A good one is made once; the input changes bytes of
 * it, and in every second one the CRCs of its entries are made right again. Whatever the file says, the batches have to
 * come with as many samples as there are, and what no CRC vouches for must not change them.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "config/config.h"
#include "data/cache.h"
#include "data/data.h"
#include "fuzz.h"

enum { PICTURES = 3, PAGE = 4096, MOST = 1 << 16 };

static char folder[64], cache_path[128];
static struct tn_registry *registry;
static uint8_t good[MOST], changed[MOST];
static size_t good_bytes;
static uint64_t good_hash;

static void clean(void)
{
    char path[128];
    for (int i = 0; i < PICTURES; i++) {
        (void)snprintf(path, sizeof path, "%s/%d.ppm", folder, i);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof path, "%s/list.csv", folder);
    (void)unlink(path);
    (void)unlink(cache_path);
    (void)rmdir(folder);
}

static void write_file(const char *path, const void *bytes, size_t count)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    DEMAND(file >= 0 && write(file, bytes, count) == (ssize_t)count);
    (void)close(file);
}

static struct tn_instance *open_source(struct tn_config **config)
{
    struct tn_instance *source = NULL;
    struct tn_problems problems = {0};
    char text[256];
    int length = snprintf(text, sizeof text, "[source:s]\ntype = manifest\npath = %s/list.csv\n", folder);
    DEMAND(tn_config_load_text(text, (size_t)length, "fuzz.ini", NULL, 0, config, &problems) == TN_OK);
    DEMAND(tn_instance_open(registry, TN_SOURCE, NULL, tn_config_section(*config, "source", "s"), NULL, &source,
                            &problems) == TN_OK);
    tn_problems_release(&problems);
    return source;
}

/* One epoch with the file as it is; a hash of its pictures. */
static uint64_t run(void)
{
    struct tn_config *config = NULL;
    struct tn_instance *source = open_source(&config);
    struct tn_arena arena = {0};
    struct tn_problems problems = {0};
    struct tn_dataset_spec spec = {.source = source, .registry = registry, .subset = TN_SUBSET_ALL};
    struct tn_error error = {.status = TN_OK};
    struct tn_dataset *dataset = NULL;
    const struct tn_batch *batch = NULL;
    uint64_t hash = 14695981039346656037u, samples = 0;
    DEMAND(tn_options_apply(tn_data_option_table, NULL, NULL, &spec.options, &arena, &problems) == TN_OK);
    spec.options.target_size = (struct tn_size){4, 4};
    spec.options.workers = 1;
    char cache[96];
    (void)snprintf(cache, sizeof cache, "%s/cache", folder);
    spec.options.cache = cache;
    tn_status status = tn_dataset_open(&spec, &dataset, &error);
    demand_reason(status, &error);
    if (status == TN_OK)
        DEMAND(tn_dataset_begin(dataset, 0, 0, &error) == TN_OK);
    while (status == TN_OK) {
        status = tn_dataset_next(dataset, &batch, &error);
        demand_reason(status, &error);
        if (!batch || status != TN_OK)
            break;
        size_t count = (size_t)batch->count * 4 * 4 * 3 * (batch->pixel_type == TN_PIXEL_U8 ? 1 : sizeof(float));
        for (size_t i = 0; i < count; i++)
            hash = (hash ^ ((const uint8_t *)batch->images)[i]) * 1099511628211u;
        samples += (uint64_t)batch->count;
    }
    DEMAND(status != TN_OK || samples == PICTURES);
    if (dataset)
        tn_dataset_end(dataset);
    tn_dataset_close(&dataset);
    tn_instance_close(&source);
    tn_config_close(&config);
    tn_problems_release(&problems);
    tn_arena_release(&arena);
    return status == TN_OK ? hash : 0;
}

static void prepare(void)
{
    char path[128];
    (void)snprintf(folder, sizeof folder, "/tmp/tenon-fuzz-XXXXXX");
    DEMAND(mkdtemp(folder) && atexit(clean) == 0);
    for (int i = 0; i < PICTURES; i++) {
        char picture[128];
        int head = snprintf(picture, sizeof picture, "P6 %d 3 255\n", 3 + i);
        for (int k = 0; k < 9 * (3 + i); k++)
            picture[head + k] = (char)(k * 5 + i);
        (void)snprintf(path, sizeof path, "%s/%d.ppm", folder, i);
        write_file(path, picture, (size_t)(head + 9 * (3 + i)));
    }
    (void)snprintf(path, sizeof path, "%s/list.csv", folder);
    static const char list[] = "filename,class\n0.ppm,a\n1.ppm,b\n2.ppm,a\n";
    write_file(path, list, sizeof list - 1);
    DEMAND(tn_registry_open(NULL, &registry, NULL) == TN_OK);
    (void)snprintf(cache_path, sizeof cache_path, "%s/cache.s", folder);
    good_hash = run();
    int file = open(cache_path, O_RDONLY | O_CLOEXEC);
    ssize_t got = read(file, good, sizeof good);
    (void)close(file);
    DEMAND(good_hash && got > PAGE && run() == good_hash);
    good_bytes = (size_t)got;
}

/* Entries lie behind the first page, one behind the other; each gets the CRCs that its bytes have. */
static void repair(uint8_t *file, size_t count)
{
    struct tn_cache_entry entry;
    for (size_t at = PAGE; at < count && count - at >= sizeof entry;) {
        memcpy(&entry, file + at, sizeof entry);
        uint64_t content = entry.bytes + (uint64_t)entry.target_count * sizeof(float), room = count - at - sizeof entry;
        if (entry.bytes <= room && content <= room)
            entry.content_crc = tn_crc32c(file + at + sizeof entry, content);
        entry.own_crc = 0;
        entry.own_crc = tn_crc32c(&entry, sizeof entry);
        memcpy(file + at, &entry, sizeof entry);
        if (entry.bytes > room || content > room)
            return;
        at += (sizeof entry + content + 7) & ~(size_t)7;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!registry)
        prepare();
    if (size < 1)
        return 0;
    size_t count = size % 7 == 0 && good_bytes > size ? good_bytes - size : good_bytes;
    memcpy(changed, good, good_bytes);
    for (size_t i = 1; i + 2 < size; i += 3) { /* place (behind the first page, mostly), and the new byte */
        size_t at = ((size_t)data[i] << 8 | data[i + 1]) % good_bytes;
        changed[data[0] & 2 ? at : PAGE + at % (good_bytes - PAGE)] = data[i + 2];
    }
    if (data[0] & 1)
        repair(changed, count);
    write_file(cache_path, changed, count);
    uint64_t hash = run();
    DEMAND(data[0] & 1 || hash == good_hash || (data[0] & 2 && hash == 0)); /* 0: the file is no cache any more */
    return 0;
}
