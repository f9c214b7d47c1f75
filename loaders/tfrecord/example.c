/* example.c: one feature of a tf.train.Example, or all of them, found in the bytes of the message without a copy.
 *
 *   Example { Features features = 1; }   Features { map<string, Feature> feature = 1; }
 *   Feature { oneof { BytesList = 1; FloatList = 2; Int64List = 3; } }   each list: repeated value = 1, packed or not
 *
 * As protobuf has it: parts of one message merge, the last entry of a key wins, unknown fields are stepped over.
 */
#include <string.h>

#include "tfrecord.h"

struct cursor {
    const unsigned char *at, *end;
};

/* A field of a message: number, wire type, and what it holds. */
struct field {
    uint64_t number;
    int wire;
    uint64_t value;      /* of a varint */
    struct cursor inner; /* of what has a length */
};

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_GROUP = 3, WIRE_GROUP_END = 4, WIRE_32 = 5, DEEPEST = 100 };

static int read_varint(struct cursor *cursor, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (cursor->at == cursor->end)
            return 0;
        unsigned char byte = *cursor->at++;
        if (shift < 64)
            *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return 1;
    }
    return 0;
}

static int skip_bytes(struct cursor *cursor, uint64_t count)
{
    if ((uint64_t)(cursor->end - cursor->at) < count)
        return 0;
    cursor->at += count;
    return 1;
}

static int read_field(struct cursor *cursor, struct field *field, int depth);

/* To the end of a group: fields of any kind, groups among them. */
static int skip_group(struct cursor *cursor, uint64_t number, int depth)
{
    struct field field;
    while (depth < DEEPEST && read_field(cursor, &field, depth + 1))
        if (field.wire == WIRE_GROUP_END)
            return field.number == number;
    return 0;
}

static int read_field(struct cursor *cursor, struct field *field, int depth)
{
    uint64_t tag;
    if (!read_varint(cursor, &tag) || tag > UINT32_MAX)
        return 0;
    field->number = tag >> 3;
    field->wire = (int)(tag & 7);
    if (field->number == 0)
        return 0;
    switch (field->wire) {
    case WIRE_VARINT:
        return read_varint(cursor, &field->value);
    case WIRE_64:
        return skip_bytes(cursor, 8);
    case WIRE_32:
        return skip_bytes(cursor, 4);
    case WIRE_BYTES:
        if (!read_varint(cursor, &field->value))
            return 0;
        field->inner.at = cursor->at;
        if (!skip_bytes(cursor, field->value))
            return 0;
        field->inner.end = cursor->at;
        return 1;
    case WIRE_GROUP:
        return skip_group(cursor, field->number, depth);
    case WIRE_GROUP_END:
        return depth > 0;
    default:
        return 0;
    }
}

static int is_part(const struct field *field, uint64_t number)
{
    return field->number == number && field->wire == WIRE_BYTES;
}

static float little_float(const unsigned char *at)
{
    uint32_t bits = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void give_float(const struct example_visitor *visitor, const unsigned char *at)
{
    visitor->value(visitor->context,
                   &(struct feature){.kind = FEATURE_FLOAT, .count = 1, .real = (double)little_float(at)});
}

static void give_integer(const struct example_visitor *visitor, int64_t value)
{
    visitor->value(visitor->context, &(struct feature){.kind = FEATURE_INT, .count = 1, .integer = value});
}

/* Values of one list join those that are there. `visitor` may be NULL. */
static int read_list(struct cursor list, struct feature *feature, const struct example_visitor *visitor)
{
    struct field field;
    uint64_t value;
    while (list.at < list.end) {
        if (!read_field(&list, &field, 0))
            return 0;
        if (field.number != 1)
            continue;
        if (feature->kind == FEATURE_BYTES && field.wire == WIRE_BYTES) {
            if (feature->count++ == 0) {
                feature->bytes = field.inner.at;
                feature->byte_count = field.value;
            }
            if (visitor)
                visitor->value(visitor->context, &(struct feature){.kind = FEATURE_BYTES,
                                                                   .count = 1,
                                                                   .bytes = field.inner.at,
                                                                   .byte_count = field.value});
        } else if (feature->kind == FEATURE_INT && field.wire == WIRE_VARINT) {
            if (feature->count++ == 0)
                feature->integer = (int64_t)field.value;
            if (visitor)
                give_integer(visitor, (int64_t)field.value);
        } else if (feature->kind == FEATURE_INT && field.wire == WIRE_BYTES) {
            while (field.inner.at < field.inner.end) {
                if (!read_varint(&field.inner, &value))
                    return 0;
                if (feature->count++ == 0)
                    feature->integer = (int64_t)value;
                if (visitor)
                    give_integer(visitor, (int64_t)value);
            }
        } else if (feature->kind == FEATURE_FLOAT && field.wire == WIRE_32) {
            feature->count++;
            if (visitor)
                give_float(visitor, list.at - 4);
        } else if (feature->kind == FEATURE_FLOAT && field.wire == WIRE_BYTES) {
            if (field.value % 4)
                return 0;
            feature->count += field.value / 4;
            for (; visitor && field.inner.at < field.inner.end; field.inner.at += 4)
                give_float(visitor, field.inner.at);
        }
    }
    return 1;
}

static int read_feature(struct cursor message, struct feature *feature, const struct example_visitor *visitor)
{
    struct field field;
    while (message.at < message.end) {
        if (!read_field(&message, &field, 0))
            return 0;
        if (field.wire != WIRE_BYTES || field.number < FEATURE_BYTES || field.number > FEATURE_INT)
            continue;
        if (feature->kind != (int)field.number) /* another member of the oneof */
            *feature = (struct feature){.kind = (int)field.number};
        if (!read_list(field.inner, feature, visitor))
            return 0;
    }
    return 1;
}

static int read_entry(struct cursor entry, const char *key, struct feature *feature)
{
    struct cursor again = entry;
    struct field field;
    struct feature found = {0};
    int matches = key[0] == '\0'; /* a key that is absent is empty */
    while (entry.at < entry.end) {
        if (!read_field(&entry, &field, 0))
            return 0;
        if (is_part(&field, 1))
            matches = field.value == strlen(key) && memcmp(field.inner.at, key, (size_t)field.value) == 0;
        else if (is_part(&field, 2) && !read_feature(field.inner, &(struct feature){0}, NULL))
            return 0;
    }
    if (!matches)
        return 1;
    while (again.at < again.end && read_field(&again, &field, 0))
        if (is_part(&field, 2))
            (void)read_feature(field.inner, &found, NULL); /* was read once already */
    *feature = found;
    return 1;
}

static int read_features(struct cursor message, const char *key, struct feature *feature)
{
    struct field field;
    while (message.at < message.end) {
        if (!read_field(&message, &field, 0))
            return 0;
        if (is_part(&field, 1) && !read_entry(field.inner, key, feature))
            return 0;
    }
    return 1;
}

tn_status example_find(const void *data, uint64_t bytes, const char *key, struct feature *feature,
                       struct tn_error *error)
{
    struct cursor message = {data, (const unsigned char *)data + bytes};
    struct field field;
    *feature = (struct feature){0};
    while (message.at < message.end)
        if (!read_field(&message, &field, 0) || (is_part(&field, 1) && !read_features(field.inner, key, feature)))
            return tn_fail(error, TN_CORRUPT, "its data is no tf.train.Example");
    if (feature->count == 0)
        feature->kind = FEATURE_NONE;
    return TN_OK;
}

/* ---- all of them ---- */

static int visit_entry(struct cursor entry, const struct example_visitor *visitor)
{
    struct cursor key = {(const unsigned char *)"", (const unsigned char *)""};
    struct field field;
    struct feature found = {0};
    while (entry.at < entry.end) {
        if (!read_field(&entry, &field, 0))
            return 0;
        if (is_part(&field, 1))
            key = field.inner;
        else if (is_part(&field, 2) && !read_feature(field.inner, &found, visitor))
            return 0;
    }
    visitor->entry(visitor->context, key.at, (uint64_t)(key.end - key.at), &found);
    return 1;
}

static int visit_features(struct cursor message, const struct example_visitor *visitor)
{
    struct field field;
    while (message.at < message.end)
        if (!read_field(&message, &field, 0) || (is_part(&field, 1) && !visit_entry(field.inner, visitor)))
            return 0;
    return 1;
}

tn_status example_each(const void *data, uint64_t bytes, const struct example_visitor *visitor, struct tn_error *error)
{
    struct cursor message = {data, (const unsigned char *)data + bytes};
    struct field field;
    while (message.at < message.end)
        if (!read_field(&message, &field, 0) || (is_part(&field, 1) && !visit_features(field.inner, visitor)))
            return tn_fail(error, TN_CORRUPT, "its data is no tf.train.Example");
    return TN_OK;
}
