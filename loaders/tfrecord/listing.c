/* listing.c: reads a shard from front to back and notes its records. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../digest.h"
#include "shards.h"

/* ---- texts of labels, each once ---- */

static uint64_t hash_of(const char *text, size_t length)
{
    uint64_t hash = hash_bytes(TEXT_HASH, text, length);
    return hash ^ hash >> 32;
}

const char *texts_at(const struct texts *texts, uint32_t number)
{
    return texts->bytes + texts->starts[number - 1];
}

static void put_in_slot(struct texts *texts, uint32_t number)
{
    const char *text = texts_at(texts, number);
    uint64_t slot = hash_of(text, strlen(text)) & (texts->slot_count - 1);
    while (texts->slots[slot])
        slot = (slot + 1) & (texts->slot_count - 1);
    texts->slots[slot] = number;
}

static int make_room(struct texts *texts, size_t length)
{
    if (texts->byte_count + length + 1 > texts->byte_capacity) {
        uint64_t capacity = 2 * (texts->byte_count + length) + 256;
        char *grown = realloc(texts->bytes, (size_t)capacity);
        if (!grown)
            return 0;
        texts->bytes = grown, texts->byte_capacity = capacity;
    }
    if (texts->count < texts->capacity)
        return 1;
    uint32_t capacity = texts->capacity ? 2 * texts->capacity : 64, slots = 2 * capacity;
    uint64_t *starts = realloc(texts->starts, capacity * sizeof *starts);
    texts->starts = starts ? starts : texts->starts;
    uint32_t *table = starts ? calloc(slots, sizeof *table) : NULL;
    if (!table)
        return 0;
    free(texts->slots);
    texts->slots = table, texts->slot_count = slots, texts->capacity = capacity;
    for (uint32_t i = 1; i <= texts->count; i++)
        put_in_slot(texts, i);
    return 1;
}

uint32_t texts_add(struct texts *texts, const char *text, size_t length)
{
    if (texts->slot_count > 0) {
        uint64_t slot = hash_of(text, length) & (texts->slot_count - 1);
        for (; texts->slots[slot]; slot = (slot + 1) & (texts->slot_count - 1)) {
            const char *known = texts_at(texts, texts->slots[slot]);
            if (strlen(known) == length && memcmp(known, text, length) == 0)
                return texts->slots[slot];
        }
    }
    if (texts->count == UINT32_MAX / 4 || !make_room(texts, length))
        return 0;
    memcpy(texts->bytes + texts->byte_count, text, length);
    texts->bytes[texts->byte_count + length] = '\0';
    texts->starts[texts->count++] = texts->byte_count;
    texts->byte_count += length + 1;
    put_in_slot(texts, texts->count);
    return texts->count;
}

/* ---- the list ---- */

tn_status listing_add(struct listing *listing, const struct entry *entry, struct tn_error *error)
{
    if (listing->count == listing->capacity) {
        uint64_t more = listing->capacity ? listing->capacity * 2 : 1024;
        struct entry *grown = realloc(listing->entries, (size_t)more * sizeof *grown);
        if (!grown)
            return tn_fail(error, TN_NO_MEMORY, "no memory for the list of records");
        listing->entries = grown;
        listing->capacity = more;
    }
    listing->entries[listing->count++] = *entry;
    return TN_OK;
}

void listing_release(struct listing *listing)
{
    free(listing->entries);
    free(listing->texts.bytes);
    free(listing->texts.starts);
    free(listing->texts.slots);
    *listing = (struct listing){0};
}

/* ---- one record ---- */

static tn_status take_label(const struct tfrecord *source, struct listing *listing, const struct feature *label,
                            struct entry *entry, struct tn_error *error)
{
    if (label->kind == FEATURE_NONE)
        return tn_fail(error, TN_CORRUPT, "it has no feature `%s` for the label", source->label);
    if (label->kind == FEATURE_FLOAT)
        return tn_fail(error, TN_UNSUPPORTED, "the feature `%s` holds floats: labels are whole numbers or texts",
                       source->label);
    if (label->count != 1)
        return tn_fail(error, TN_CORRUPT, "the feature `%s` has %llu values: one label is needed", source->label,
                       (unsigned long long)label->count);
    entry->number = label->integer;
    if (label->kind != FEATURE_BYTES)
        return TN_OK;
    if (label->byte_count == 0 || label->byte_count > 4096 || memchr(label->bytes, '\0', (size_t)label->byte_count))
        return tn_fail(error, TN_CORRUPT, "the label is no text that could name a class");
    entry->text = texts_add(&listing->texts, label->bytes, (size_t)label->byte_count);
    return entry->text ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for labels");
}

static tn_status take_record(const struct tfrecord *source, const struct record_reader *reader, struct listing *listing,
                             struct tn_error *error)
{
    struct entry entry = {
        .offset = reader->offset, .length = (uint32_t)reader->length, .ordinal = (uint32_t)reader->number};
    struct feature image, label;
    tn_status status = example_find(reader->data, reader->length, source->image, &image, error);
    if (status != TN_OK)
        return status;
    if (image.kind != FEATURE_BYTES || image.count != 1)
        return tn_fail(error, TN_CORRUPT, "the feature `%s` %s: one encoded picture is needed", source->image,
                       image.kind == FEATURE_NONE    ? "is not there"
                       : image.kind != FEATURE_BYTES ? "holds numbers"
                                                     : "has several values");
    if (source->wants_label) {
        status = example_find(reader->data, reader->length, source->label, &label, error);
        if (status == TN_OK)
            status = take_label(source, listing, &label, &entry, error);
    }
    return status == TN_OK ? listing_add(listing, &entry, error) : status;
}

/* ---- a shard ---- */

/* What stands between a shard and its records. */
struct access {
    struct record_reader reader;
    struct inflater *inflater;
    uint64_t pulled, limit;
};

static tn_status pull_inflated(void *from, unsigned char *bytes, uint64_t count, uint64_t *got, struct tn_error *error)
{
    struct access *access = from;
    tn_status status = inflater_read(access->inflater, bytes, count, got, error);
    access->pulled += *got;
    if (status == TN_OK && access->pulled > access->limit)
        return tn_fail(error, TN_CORRUPT, "it inflates to more than decompressed_limit");
    return status;
}

static tn_status access_open(const struct tfrecord *source, const struct shard *shard, int verify,
                             struct access *access, struct tn_error *error)
{
    *access = (struct access){.limit = source->decompressed_limit};
    if (shard->compression == COMPRESSION_NONE || source->io == IO_RANDOM)
        return record_reader_open(&access->reader, shard->descriptor, verify, error);
    tn_status status = inflater_open(&access->inflater, shard->descriptor, shard->compression, error);
    if (status == TN_OK)
        record_reader_open_stream(&access->reader, pull_inflated, access, verify);
    return status;
}

static void access_close(struct access *access)
{
    record_reader_close(&access->reader);
    inflater_close(access->inflater);
}

tn_status listing_scan(const struct tfrecord *source, const struct shard *shard, struct listing *listing,
                       struct tn_error *error)
{
    struct access access;
    struct tn_error reason = {0};
    int more = 1;
    tn_status status = access_open(source, shard, source->verify, &access, error);
    while (status == TN_OK && more) {
        status = record_reader_next(&access.reader, &more, &reason);
        if (status != TN_OK) {
            listing->cut = forgives(source, status); /* the framing is lost: nothing behind it can be found */
            status = tn_fail(error, status, "%s: %s", shard->path, reason.text);
            break;
        }
        if (!more)
            break;
        status = take_record(source, &access.reader, listing, &reason);
        listing->end = access.reader.offset + access.reader.length + RECORD_TAIL;
        if (forgives(source, status)) {
            listing->left_out++;
            status = TN_OK;
        } else if (status != TN_OK) {
            status =
                tn_fail(error, status, "%s: record %llu at byte %llu: %s", shard->path,
                        (unsigned long long)access.reader.number, (unsigned long long)access.reader.at, reason.text);
        }
    }
    access_close(&access);
    return status;
}

/* ---- keys ---- */

static tn_status choose_by(struct tfrecord *source, const void *data, uint64_t length, struct tn_error *error)
{
    static const char *const keys[][2] = {{"image", "label"}, {"image/encoded", "image/class/label"}};
    for (size_t i = 0; i < 2 && (!source->image || (source->wants_label && !source->label)); i++) {
        struct feature image, label;
        tn_status status = example_find(data, length, keys[i][0], &image, error);
        if (status == TN_OK)
            status = example_find(data, length, keys[i][1], &label, error);
        if (status != TN_OK)
            return status;
        if (!source->image && image.kind == FEATURE_BYTES)
            source->image = keys[i][0];
        if (!source->label && label.kind != FEATURE_NONE)
            source->label = keys[i][1];
    }
    return TN_OK;
}

/* Looks at the first record of the first shard that has one. Damage is told later, by the scan. */
tn_status keys_choose(struct tfrecord *source, struct tn_error *error)
{
    int more = 0;
    tn_status status = TN_OK;
    for (uint64_t i = 0; i < source->shard_count && !more && status == TN_OK; i++) {
        struct shard shard = source->shards[i];
        struct access access;
        struct tfrecord as_stream = *source;
        as_stream.io = IO_SEQUENTIAL; /* nothing is inflated into a file for one record */
        as_stream.index_folder = NULL;
        status = shard_open(&as_stream, &shard, error);
        if (status != TN_OK)
            break;
        if (access_open(&as_stream, &shard, 0, &access, error) == TN_OK &&
            record_reader_next(&access.reader, &more, NULL) == TN_OK && more)
            (void)choose_by(source, access.reader.data, access.reader.length, NULL);
        access_close(&access);
        (void)close(shard.descriptor);
    }
    /* Not in the first record: say what is missed by the name that comes first. */
    source->image = source->image ? source->image : "image";
    source->label = source->label ? source->label : "label";
    return status;
}
