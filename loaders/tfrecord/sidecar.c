/* sidecar.c: the list of a shard's records, kept in a file, so that the shard need not be read through again.
 *
 *   "TENONIX1"  key bytes (u32) and the key  records (u64)  texts (u32)
 *   for each record: offset (u64) length (u32) text (u32) number (i64)
 *   for each text: bytes (u32) and the bytes
 *   CRC-32C of all before it
 *
 * All numbers little-endian. The key says which shard (path, size, time, both ends) and what was looked for; one that
 * differs in a byte is of no use. A sidecar is hostile until checked, and any doubt only costs reading the shard.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../digest.h"
#include "shards.h"

static const char MAGIC[] = "TENONIX1";
enum { RECORD_BYTES = 24, MOST_TEXT = 4096 };

/* ---- bytes ---- */

/* Grows while it is written, and says at the end whether memory was enough; while it is read, `at` moves. */
struct bytes {
    unsigned char *data;
    uint64_t count, capacity, at;
    int failed;
};

static void put(struct bytes *bytes, const void *from, uint64_t count)
{
    if (bytes->failed)
        return;
    if (bytes->count + count > bytes->capacity) {
        uint64_t capacity = 2 * (bytes->count + count) + 4096;
        unsigned char *grown = realloc(bytes->data, (size_t)capacity);
        if (!grown) {
            bytes->failed = 1;
            return;
        }
        bytes->data = grown, bytes->capacity = capacity;
    }
    memcpy(bytes->data + bytes->count, from, (size_t)count);
    bytes->count += count;
}

static void put_number(struct bytes *bytes, uint64_t value, int size)
{
    unsigned char little[8];
    for (int i = 0; i < size; i++)
        little[i] = (unsigned char)(value >> 8 * i);
    put(bytes, little, (uint64_t)size);
}

static void put_text(struct bytes *bytes, const char *text)
{
    uint64_t length = strlen(text);
    put_number(bytes, length, 4);
    put(bytes, text, length);
}

static uint64_t take_number(struct bytes *bytes, int size)
{
    uint64_t value = 0;
    if (bytes->count - bytes->at < (uint64_t)size) {
        bytes->failed = 1;
        return 0;
    }
    for (int i = 0; i < size; i++)
        value |= (uint64_t)bytes->data[bytes->at + (uint64_t)i] << 8 * i;
    bytes->at += (uint64_t)size;
    return value;
}

/* ---- which sidecar ---- */

static void put_key(struct bytes *key, const struct tfrecord *source, const struct shard *shard)
{
    put_text(key, shard->path);
    put_number(key, shard->size, 8);
    put_number(key, (uint64_t)shard->seconds, 8);
    put_number(key, (uint64_t)shard->nanoseconds, 8);
    put_number(key, shard->head, 4);
    put_number(key, shard->tail, 4);
    put_number(key, (uint64_t)shard->compression, 4);
    put_number(key, (uint64_t)(source->verify != 0), 1);
    put_text(key, source->image);
    put_text(key, source->wants_label ? source->label : "");
}

/* Named by the shard and the keys, so that two experiments do not throw out each other's. */
static int sidecar_path(const struct tfrecord *source, const struct shard *shard, char *path, size_t bytes)
{
    uint64_t hash = hash_text(TEXT_HASH, shard->path);
    hash = hash_text(hash_text(hash, source->image), source->wants_label ? source->label : "");
    int length = snprintf(path, bytes, "%s/%016llx.index", source->index_folder, (unsigned long long)hash);
    return length > 0 && (size_t)length < bytes;
}

char *sidecar_folder(const char *option)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char path[4096];
    int length = 0;
    if (strcmp(option, "no") == 0)
        return NULL;
    if (strcmp(option, "auto") != 0)
        length = snprintf(path, sizeof path, "%s", option);
    else if (cache && cache[0] == '/')
        length = snprintf(path, sizeof path, "%s/tenon/index", cache);
    else if (home && home[0] == '/')
        length = snprintf(path, sizeof path, "%s/.cache/tenon/index", home);
    return length > 0 && (size_t)length < sizeof path ? strdup(path) : NULL;
}

/* ---- reading ---- */

static int read_whole(const char *path, struct bytes *bytes)
{
    struct stat state;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW), whole = 0;
    if (file < 0)
        return 0;
    if (fstat(file, &state) == 0 && S_ISREG(state.st_mode) && state.st_size > 0 &&
        (bytes->data = malloc((size_t)state.st_size))) {
        bytes->capacity = (uint64_t)state.st_size;
        ssize_t step = 1;
        while (bytes->count < bytes->capacity && step > 0) {
            step = read(file, bytes->data + bytes->count, (size_t)(bytes->capacity - bytes->count));
            if (step < 0 && errno == EINTR)
                step = 1;
            else if (step > 0)
                bytes->count += (uint64_t)step;
        }
        whole = bytes->count == bytes->capacity;
    }
    (void)close(file);
    return whole;
}

/* CRC, magic and key; `at` is then behind them. */
static int fits(struct bytes *bytes, const struct bytes *key)
{
    uint64_t head = sizeof MAGIC - 1 + 4;
    if (bytes->count < head + key->count + 4 + 12 || memcmp(bytes->data, MAGIC, sizeof MAGIC - 1) != 0)
        return 0;
    bytes->at = bytes->count - 4;
    if (record_crc(bytes->data, bytes->count - 4) != take_number(bytes, 4))
        return 0;
    bytes->count -= 4;
    bytes->at = sizeof MAGIC - 1;
    if (take_number(bytes, 4) != key->count || memcmp(bytes->data + bytes->at, key->data, (size_t)key->count) != 0)
        return 0;
    bytes->at += key->count;
    return 1;
}

static int take_texts(struct bytes *bytes, struct listing *listing, uint64_t count)
{
    for (uint64_t i = 0; i < count && !bytes->failed; i++) {
        uint64_t length = take_number(bytes, 4);
        if (length == 0 || length > MOST_TEXT || length > bytes->count - bytes->at ||
            memchr(bytes->data + bytes->at, '\0', (size_t)length))
            return 0;
        if (texts_add(&listing->texts, (const char *)bytes->data + bytes->at, (size_t)length) != i + 1)
            return 0;
        bytes->at += length;
    }
    return !bytes->failed && bytes->at == bytes->count;
}

/* Records follow each other without overlap and end before the `most` bytes that the shard may have. */
static int take_records(struct bytes *bytes, uint64_t most, struct listing *listing, uint64_t count, uint64_t texts)
{
    for (uint64_t i = 0; i < count; i++) {
        struct entry entry = {.offset = take_number(bytes, 8), .ordinal = (uint32_t)i};
        entry.length = (uint32_t)take_number(bytes, 4);
        entry.text = (uint32_t)take_number(bytes, 4);
        entry.number = (int64_t)take_number(bytes, 8);
        if (bytes->failed || entry.text > texts || entry.length > RECORD_MAXIMUM || entry.offset > most ||
            entry.offset < listing->end + RECORD_HEAD || entry.length > most - entry.offset ||
            most - entry.offset - entry.length < RECORD_TAIL)
            return 0;
        listing->end = entry.offset + entry.length + RECORD_TAIL;
        if (listing_add(listing, &entry, NULL) != TN_OK)
            return 0;
    }
    return 1;
}

int sidecar_load(const struct tfrecord *source, const struct shard *shard, struct listing *listing)
{
    char path[4200];
    struct bytes bytes = {0}, key = {0};
    int good = 0;
    put_key(&key, source, shard);
    if (!key.failed && sidecar_path(source, shard, path, sizeof path) && read_whole(path, &bytes) &&
        fits(&bytes, &key)) {
        uint64_t records = take_number(&bytes, 8), texts = take_number(&bytes, 4);
        uint64_t most = shard->compression == COMPRESSION_NONE ? shard->size : source->decompressed_limit;
        good = records <= (bytes.count - bytes.at) / RECORD_BYTES && records <= UINT32_MAX &&
               texts <= (bytes.count - bytes.at) / 5 && take_records(&bytes, most, listing, records, texts) &&
               take_texts(&bytes, listing, texts);
    }
    free(bytes.data);
    free(key.data);
    if (!good)
        listing_release(listing);
    return good;
}

/* ---- writing ---- */

static void make_folders(const char *path)
{
    char folder[4200];
    (void)snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(folder, 0777);
        *slash = '/';
    }
}

static int write_whole(int file, const struct bytes *bytes)
{
    for (uint64_t done = 0; done < bytes->count;) {
        ssize_t step = write(file, bytes->data + done, (size_t)(bytes->count - done));
        if (step < 0 && errno != EINTR)
            return 0;
        done += step > 0 ? (uint64_t)step : 0;
    }
    return 1;
}

/* Under another name first, so that nobody reads half a file. It is not synced: one that a power cut tears is noticed
 * by its CRC and made again. */
static int replace(const char *path, const struct bytes *bytes)
{
    char other[4300];
    (void)snprintf(other, sizeof other, "%s.XXXXXX", path);
    make_folders(path);
    int file = mkostemp(other, O_CLOEXEC);
    if (file < 0)
        return 0;
    int good = write_whole(file, bytes);
    good = close(file) == 0 && good && rename(other, path) == 0;
    if (!good)
        (void)unlink(other);
    return good;
}

void sidecar_save(const struct tfrecord *source, const struct shard *shard, const struct listing *listing)
{
    char path[4200], text[4400];
    struct bytes bytes = {0}, key = {0};
    put_key(&key, source, shard);
    put(&bytes, MAGIC, sizeof MAGIC - 1);
    put_number(&bytes, key.count, 4);
    put(&bytes, key.data, key.count);
    put_number(&bytes, listing->count, 8);
    put_number(&bytes, listing->texts.count, 4);
    for (uint64_t i = 0; i < listing->count; i++) {
        const struct entry *entry = &listing->entries[i];
        put_number(&bytes, entry->offset, 8);
        put_number(&bytes, entry->length, 4);
        put_number(&bytes, entry->text, 4);
        put_number(&bytes, (uint64_t)entry->number, 8);
    }
    for (uint32_t i = 1; i <= listing->texts.count; i++)
        put_text(&bytes, texts_at(&listing->texts, i));
    if (!bytes.failed)
        put_number(&bytes, record_crc(bytes.data, bytes.count), 4);
    if (!key.failed && !bytes.failed && sidecar_path(source, shard, path, sizeof path) && !replace(path, &bytes)) {
        (void)snprintf(text, sizeof text, "the index of %.500s cannot be kept in %.500s: %s; it is made anew each time",
                       shard->path, source->index_folder, strerror(errno));
        say(source, TN_LOG_DEBUG, text);
    }
    free(bytes.data);
    free(key.data);
}
