/* zip_write.c: see zip.h. */
#include "keras/zip.h"

#include <isa-l/crc.h>

enum {
    LOCAL_BYTES = 30,
    LOCAL_EXTRA = 20, /* of ZIP64: two sizes */
    ENTRY_BYTES = 46,
    ENTRY_EXTRA = 28, /* two sizes, and the place */
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    VERSION = 20,
    VERSION64 = 45,
    FIRST_DAY = 0x21, /* 1980-01-01: archives have no clock in them */
};
#define ELSEWHERE UINT64_C(0xFFFFFFFF) /* the number stands in the extra field */

struct place {
    unsigned char *at;
};

static void put(struct place *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *to->at++ = (unsigned char)(value >> (8 * i));
}

static void put_bytes(struct place *to, const void *bytes, size_t count)
{
    memcpy(to->at, bytes, count);
    to->at += count;
}

static uint32_t crc_of(const unsigned char *at, uint64_t bytes)
{
    uint32_t crc = 0;
    while (bytes > 0) {
        uint64_t step = bytes > 1 << 30 ? 1 << 30 : bytes;
        crc = crc32_gzip_refl(crc, at, step);
        at += step;
        bytes -= step;
    }
    return crc;
}

/* From the version on, what a header in front of a member and its entry in the directory share. */
static void put_common(struct place *to, const struct zip_source *source, uint32_t crc, bool large, unsigned extra)
{
    put(to, large ? VERSION64 : VERSION, 2);
    put(to, 0, 2); /* flags */
    put(to, 0, 2); /* stored */
    put(to, 0, 2);
    put(to, FIRST_DAY, 2);
    put(to, crc, 4);
    put(to, large ? ELSEWHERE : source->bytes, 4);
    put(to, large ? ELSEWHERE : source->bytes, 4);
    put(to, strlen(source->name), 2);
    put(to, large ? extra : 0u, 2);
}

static void put_local(struct place *to, const struct zip_source *source, uint32_t crc, bool large)
{
    put_bytes(to, "PK\3\4", 4);
    put_common(to, source, crc, large, LOCAL_EXTRA);
    put_bytes(to, source->name, strlen(source->name));
    if (large) {
        put(to, 1, 2);
        put(to, LOCAL_EXTRA - 4, 2);
        put(to, source->bytes, 8);
        put(to, source->bytes, 8);
    }
}

static void put_entry(struct place *to, const struct zip_source *source, uint32_t crc, bool large, uint64_t local)
{
    put_bytes(to, "PK\1\2", 4);
    put(to, large ? VERSION64 : VERSION, 2);
    put_common(to, source, crc, large, ENTRY_EXTRA);
    put(to, 0, 2);                    /* comment */
    put(to, 0, 2);                    /* disk */
    put(to, 0, 2);                    /* not text */
    put(to, UINT64_C(0600) << 16, 4); /* rights, as zipfile sets them */
    put(to, large ? ELSEWHERE : local, 4);
    put_bytes(to, source->name, strlen(source->name));
    if (large) {
        put(to, 1, 2);
        put(to, ENTRY_EXTRA - 4, 2);
        put(to, source->bytes, 8);
        put(to, source->bytes, 8);
        put(to, local, 8);
    }
}

static void put_end(struct place *to, size_t count, uint64_t directory, uint64_t size, bool large)
{
    if (large) {
        put_bytes(to, "PK\6\6", 4);
        put(to, END64_BYTES - 12, 8);
        put(to, VERSION64, 2);
        put(to, VERSION64, 2);
        put(to, 0, 8); /* disks */
        put(to, count, 8);
        put(to, count, 8);
        put(to, size, 8);
        put(to, directory, 8);
        put_bytes(to, "PK\6\7", 4);
        put(to, 0, 4);
        put(to, directory + size, 8);
        put(to, 1, 4);
    }
    put_bytes(to, "PK\5\6", 4);
    put(to, 0, 4); /* disks */
    put(to, count, 2);
    put(to, count, 2);
    put(to, large ? ELSEWHERE : size, 4);
    put(to, large ? ELSEWHERE : directory, 4);
    put(to, 0, 2);
}

uint64_t zip_front(const struct zip_source *sources, size_t count, bool large)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += LOCAL_BYTES + strlen(sources[i].name) + (large ? LOCAL_EXTRA : 0u) +
                 (i + 1 < count ? sources[i].bytes : 0u);
    return bytes;
}

uint64_t zip_behind(const struct zip_source *sources, size_t count, bool large)
{
    uint64_t bytes = END_BYTES + (large ? END64_BYTES + LOCATOR_BYTES : 0u);
    for (size_t i = 0; i < count; i++)
        bytes += ENTRY_BYTES + strlen(sources[i].name) + (large ? ENTRY_EXTRA : 0u);
    return bytes;
}

void zip_write(unsigned char *archive, const struct zip_source *sources, size_t count, bool large)
{
    uint32_t crcs[ZIP_MOST_SOURCES];
    uint64_t places[ZIP_MOST_SOURCES];
    struct place to = {archive};
    for (size_t i = 0; i < count && i < ZIP_MOST_SOURCES; i++) {
        crcs[i] = crc_of(sources[i].data, sources[i].bytes);
        places[i] = (uint64_t)(to.at - archive);
        put_local(&to, &sources[i], crcs[i], large);
        if (i + 1 < count)
            put_bytes(&to, sources[i].data, (size_t)sources[i].bytes);
        else
            to.at += sources[i].bytes; /* lies there already */
    }
    uint64_t directory = (uint64_t)(to.at - archive);
    for (size_t i = 0; i < count && i < ZIP_MOST_SOURCES; i++)
        put_entry(&to, &sources[i], crcs[i], large, places[i]);
    put_end(&to, count, directory, (uint64_t)(to.at - archive) - directory, large);
}
