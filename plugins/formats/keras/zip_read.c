/* zip_read.c: see zip.h. Sizes come from the central directory, which alone is complete; the header in front of a
 * member has to agree in name and method, so that two readers cannot see two files in one archive.
 */
#include "keras/zip.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <stdlib.h>

enum {
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    ENTRY_BYTES = 46,
    LOCAL_BYTES = 30,
    MOST_COMMENT = 65535,
    STORED = 0,
    DEFLATED = 8,
    DEFLATE_AT_MOST = 1032 /* no byte of a deflated stream makes more */
};

static uint64_t little(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes; i > 0; i--)
        value = value << 8 | at[i - 1];
    return value;
}

/* `bytes` from `place` on lie in front of `end`. */
static bool inside(uint64_t place, uint64_t bytes, uint64_t end)
{
    return place <= end && bytes <= end - place;
}

static tn_status damaged(struct tn_error *error, const char *what)
{
    return tn_fail(error, TN_CORRUPT, "the archive is damaged: %s", what);
}

/* ---- the directory ---- */

/* Place of the end record, the last one whose comment ends with the file; `bytes`: there is none. */
static uint64_t find_end(const unsigned char *data, uint64_t bytes)
{
    uint64_t last = bytes < END_BYTES ? bytes : bytes - END_BYTES;
    uint64_t first = last > MOST_COMMENT ? last - MOST_COMMENT : 0;
    for (uint64_t at = last + 1; bytes >= END_BYTES && at-- > first;)
        if (memcmp(data + at, "PK\5\6", 4) == 0 && at + END_BYTES + little(data + at + 20, 2) == bytes)
            return at;
    return bytes;
}

/* Of more than 4 GB, or 65,535 members: a larger record, which a locator in front of the end record leads to. */
static tn_status read_end64(struct zip *zip, uint64_t end, uint64_t *size, struct tn_error *error)
{
    const unsigned char *locator = end < LOCATOR_BYTES ? NULL : zip->data + end - LOCATOR_BYTES, *record;
    uint64_t place;
    if (!locator || memcmp(locator, "PK\6\7", 4) != 0)
        return damaged(error, "its end names a larger one that is not there");
    place = little(locator + 8, 8);
    if (!inside(place, END64_BYTES, end - LOCATOR_BYTES) || memcmp(zip->data + place, "PK\6\6", 4) != 0)
        return damaged(error, "its end names a larger one that is not there");
    record = zip->data + place;
    zip->count = little(record + 32, 8);
    *size = little(record + 40, 8);
    zip->directory = little(record + 48, 8);
    return inside(zip->directory, *size, place) ? TN_OK : damaged(error, "its directory lies outside of it");
}

tn_status zip_open(const void *data, uint64_t bytes, struct zip *zip, struct tn_error *error)
{
    const unsigned char *record;
    uint64_t end, size;
    tn_status status = TN_OK;
    *zip = (struct zip){.data = data, .bytes = bytes};
    if (bytes < 4 || memcmp(data, "PK\3\4", 4) != 0)
        return tn_fail(error, TN_CORRUPT, "this is no .keras file: those are zip archives");
    end = find_end(data, bytes);
    if (end == bytes)
        return damaged(error, "it has no end (is it cut off?)");
    record = zip->data + end;
    if (little(record + 4, 2) != little(record + 6, 2) || little(record + 8, 2) != little(record + 10, 2))
        return tn_fail(error, TN_UNSUPPORTED, "the archive is split over several files");
    zip->count = little(record + 10, 2);
    size = little(record + 12, 4);
    zip->directory = little(record + 16, 4);
    if (zip->count == 0xFFFF || size == 0xFFFFFFFF || zip->directory == 0xFFFFFFFF)
        status = read_end64(zip, end, &size, error);
    else if (!inside(zip->directory, size, end))
        status = damaged(error, "its directory lies outside of it");
    zip->directory_end = zip->directory + size;
    if (status == TN_OK && zip->count > size / ENTRY_BYTES)
        status = damaged(error, "its directory has no room for the members that it claims");
    return status;
}

/* ---- one member ---- */

struct entry {
    const unsigned char *at;
    uint64_t name_bytes, extra_bytes, bytes, packed_bytes, local, next; /* next: place of the entry behind it */
    uint32_t crc;
    unsigned method, flags;
};

/* Numbers that did not fit into 32 bits stand in the extra field 1, those alone, in this order. */
static bool read_large(struct entry *entry)
{
    uint64_t *numbers[] = {&entry->bytes, &entry->packed_bytes, &entry->local};
    const unsigned char *at = entry->at + ENTRY_BYTES + entry->name_bytes, *end = at + entry->extra_bytes;
    bool wanted = entry->bytes == 0xFFFFFFFF || entry->packed_bytes == 0xFFFFFFFF || entry->local == 0xFFFFFFFF;
    while (wanted && end - at >= 4) {
        uint64_t size = little(at + 2, 2);
        if (size > (uint64_t)(end - at) - 4)
            return false;
        if (little(at, 2) == 1) {
            const unsigned char *number = at + 4;
            for (size_t i = 0; i < 3; i++)
                if (*numbers[i] == 0xFFFFFFFF) {
                    if ((uint64_t)(number - at) + 8 > size + 4)
                        return false;
                    *numbers[i] = little(number, 8);
                    number += 8;
                }
            return true;
        }
        at += 4 + size;
    }
    return !wanted;
}

static tn_status read_entry(const struct zip *zip, uint64_t place, struct entry *entry, struct tn_error *error)
{
    const unsigned char *at = zip->data + place;
    if (!inside(place, ENTRY_BYTES, zip->directory_end) || memcmp(at, "PK\1\2", 4) != 0)
        return damaged(error, "its directory is broken off");
    *entry = (struct entry){.at = at,
                            .flags = (unsigned)little(at + 8, 2),
                            .method = (unsigned)little(at + 10, 2),
                            .crc = (uint32_t)little(at + 16, 4),
                            .packed_bytes = little(at + 20, 4),
                            .bytes = little(at + 24, 4),
                            .name_bytes = little(at + 28, 2),
                            .extra_bytes = little(at + 30, 2),
                            .local = little(at + 42, 4)};
    entry->next = place + ENTRY_BYTES + entry->name_bytes + entry->extra_bytes + little(at + 32, 2);
    if (entry->next > zip->directory_end || !read_large(entry))
        return damaged(error, "an entry of its directory is broken off");
    return TN_OK;
}

/* Where the bytes of a member are. */
static tn_status find_data(const struct zip *zip, const struct entry *entry, const char *name,
                           const unsigned char **data, struct tn_error *error)
{
    const unsigned char *local = zip->data + (inside(entry->local, LOCAL_BYTES, zip->directory) ? entry->local : 0);
    uint64_t place = entry->local + LOCAL_BYTES;
    if (!inside(entry->local, LOCAL_BYTES, zip->directory) || memcmp(local, "PK\3\4", 4) != 0 ||
        !inside(place, entry->name_bytes, zip->directory) || little(local + 26, 2) != entry->name_bytes ||
        memcmp(local + LOCAL_BYTES, name, (size_t)entry->name_bytes) != 0 || little(local + 8, 2) != entry->method)
        return tn_fail(error, TN_CORRUPT, "the archive is damaged: its directory says of %s what is not true", name);
    place += entry->name_bytes + little(local + 28, 2);
    if (!inside(place, entry->packed_bytes, zip->directory))
        return tn_fail(error, TN_CORRUPT, "the archive is damaged: %s claims %llu bytes, which are not there", name,
                       (unsigned long long)entry->packed_bytes);
    *data = zip->data + place;
    return TN_OK;
}

static tn_status inflate_into(const struct entry *entry, const unsigned char *data, void *room)
{
    struct inflate_state *state = malloc(sizeof *state);
    bool good = false;
    if (!state)
        return TN_NO_MEMORY;
    if (entry->bytes <= UINT32_MAX && entry->packed_bytes <= UINT32_MAX) {
        isal_inflate_init(state);
        state->next_in = (uint8_t *)(uintptr_t)data;
        state->avail_in = (uint32_t)entry->packed_bytes;
        state->next_out = room;
        state->avail_out = (uint32_t)entry->bytes;
        good =
            isal_inflate(state) == ISAL_DECOMP_OK && state->block_state == ISAL_BLOCK_FINISH && state->avail_out == 0;
    }
    free(state);
    return good ? TN_OK : TN_CORRUPT;
}

static tn_status unpack(const struct entry *entry, const char *name, const unsigned char *data,
                        struct zip_member *member, struct tn_error *error)
{
    tn_status status;
    member->bytes = entry->bytes;
    if (entry->method == STORED) {
        member->data = data;
        return entry->bytes == entry->packed_bytes
                   ? TN_OK
                   : tn_fail(error, TN_CORRUPT, "the archive is damaged: %s has two sizes", name);
    }
    if (entry->bytes / DEFLATE_AT_MOST > entry->packed_bytes)
        return tn_fail(error, TN_CORRUPT,
                       "the archive is damaged: %s claims %llu bytes, which no %llu can be unpacked to", name,
                       (unsigned long long)entry->bytes, (unsigned long long)entry->packed_bytes);
    member->owned = malloc((size_t)entry->bytes + 1);
    member->data = member->owned;
    if (!member->owned)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the %llu bytes of %s", (unsigned long long)entry->bytes,
                       name);
    status = inflate_into(entry, data, member->owned);
    return status == TN_OK ? TN_OK : tn_fail(error, status, "the archive is damaged: %s cannot be unpacked", name);
}

static bool crc_fits(const struct zip_member *member, uint32_t wanted)
{
    const unsigned char *at = member->data;
    uint32_t crc = 0;
    for (uint64_t left = member->bytes; left > 0;) {
        uint64_t step = left > 1 << 30 ? 1 << 30 : left;
        crc = crc32_gzip_refl(crc, at, step);
        at += step;
        left -= step;
    }
    return crc == wanted;
}

static tn_status take(const struct zip *zip, const struct entry *entry, const char *name, uint64_t most,
                      struct zip_member *member, struct tn_error *error)
{
    const unsigned char *data = NULL;
    tn_status status;
    if ((entry->flags & 1) || (entry->method != STORED && entry->method != DEFLATED))
        return tn_fail(error, TN_UNSUPPORTED, "%s is %s in the archive, which is not read", name,
                       entry->flags & 1 ? "encrypted" : "packed by an unusual method");
    if (entry->bytes > most)
        return tn_fail(error, TN_CORRUPT, "%s claims %llu bytes, and more than %llu make no sense here", name,
                       (unsigned long long)entry->bytes, (unsigned long long)most);
    status = find_data(zip, entry, name, &data, error);
    if (status == TN_OK)
        status = unpack(entry, name, data, member, error);
    if (status == TN_OK && !crc_fits(member, entry->crc))
        status = tn_fail(error, TN_CORRUPT, "the archive is damaged: the CRC of %s does not fit", name);
    if (status != TN_OK)
        zip_release(member);
    return status;
}

tn_status zip_find(const struct zip *zip, const char *name, uint64_t most, struct zip_member *member,
                   struct tn_error *error)
{
    struct entry entry = {.at = NULL}, found = {.at = NULL};
    uint64_t place = zip->directory;
    size_t length = strlen(name);
    *member = (struct zip_member){NULL, 0, NULL};
    for (uint64_t i = 0; i < zip->count; i++, place = entry.next) {
        tn_status status = read_entry(zip, place, &entry, error);
        if (status != TN_OK)
            return status;
        if (entry.name_bytes != length || memcmp(entry.at + ENTRY_BYTES, name, length) != 0)
            continue;
        if (found.at)
            return tn_fail(error, TN_CORRUPT, "the archive has two members with the name %s", name);
        found = entry;
    }
    return found.at ? take(zip, &found, name, most, member, error)
                    : tn_fail(error, TN_NOT_FOUND, "the archive has no %s", name);
}

void zip_release(struct zip_member *member)
{
    free(member->owned);
    *member = (struct zip_member){NULL, 0, NULL};
}
