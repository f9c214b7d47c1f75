/* example_writer.c: writes tf.train.Example. The message is so small a part of protobuf that its sizes can be added up
 * before anything is written:
 *
 *   Example { 1: Features }    Features { 1: entry { 1: key, 2: Feature } … }
 *   Feature { 1: BytesList | 3: Int64List }    a list { 1: value … }, numbers packed
 */
#include "records/example_writer.h"

enum { BYTES_LIST = 1, INT64_LIST = 3, DELIMITED = 2 };

static const uint64_t MAXIMUM_BYTES = 0x7FFFFFFF; /* protobuf counts in int */

static uint64_t varint_bytes(uint64_t value)
{
    uint64_t bytes = 1;
    for (; value >= 0x80; value >>= 7)
        bytes++;
    return bytes;
}

static void put_varint(struct tn_text *out, uint64_t value)
{
    char bytes[10];
    size_t used = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[used++] = (char)(unsigned char)(value | 0x80);
    bytes[used++] = (char)(unsigned char)value;
    tn_text_add_bytes(out, bytes, used);
}

/* Number of the field and length of what follows. */
static void put_head(struct tn_text *out, uint32_t field, uint64_t length)
{
    put_varint(out, field << 3 | DELIMITED);
    put_varint(out, length);
}

/* A field of `length` bytes with its head; field numbers here are below 16, so the tag is one byte. */
static uint64_t field_bytes(uint64_t length)
{
    return 1 + varint_bytes(length) + length;
}

/* What is in the list's only value: the text, or the number as a varint. */
static uint64_t value_bytes(const struct tn_feature *feature)
{
    return feature->bytes ? feature->byte_count : varint_bytes((uint64_t)feature->number);
}

static uint64_t entry_bytes(const struct tn_feature *feature)
{
    uint64_t list = field_bytes(value_bytes(feature));
    return field_bytes(strlen(feature->key)) + field_bytes(field_bytes(list));
}

static void put_entry(struct tn_text *out, const struct tn_feature *feature)
{
    uint64_t value = value_bytes(feature), list = field_bytes(value);
    put_head(out, 1, entry_bytes(feature));
    put_head(out, 1, strlen(feature->key));
    tn_text_add(out, feature->key);
    put_head(out, 2, field_bytes(list));
    put_head(out, feature->bytes ? BYTES_LIST : INT64_LIST, list);
    put_head(out, 1, value);
    if (feature->bytes)
        tn_text_add_bytes(out, feature->bytes, (size_t)feature->byte_count);
    else
        put_varint(out, (uint64_t)feature->number);
}

tn_status tn_example_write(struct tn_text *out, const struct tn_feature *features, size_t count, struct tn_error *error)
{
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++) {
        if (features[i].bytes && features[i].byte_count > MAXIMUM_BYTES)
            return tn_fail(error, TN_UNSUPPORTED, "%s has %llu bytes, more than a record can hold", features[i].key,
                           (unsigned long long)features[i].byte_count);
        all += field_bytes(entry_bytes(&features[i]));
    }
    if (field_bytes(all) > MAXIMUM_BYTES)
        return tn_fail(error, TN_UNSUPPORTED, "%llu bytes are more than a record can hold", (unsigned long long)all);
    put_head(out, 1, all);
    for (size_t i = 0; i < count; i++)
        put_entry(out, &features[i]);
    return out->failed ? tn_fail(error, TN_NO_MEMORY, "no memory for a record of %llu bytes", (unsigned long long)all)
                       : TN_OK;
}

static struct tn_feature text_feature(const char *key, const char *text)
{
    return (struct tn_feature){.key = key, .bytes = text, .byte_count = strlen(text)};
}

static struct tn_feature number_feature(const char *key, int64_t number)
{
    return (struct tn_feature){.key = key, .number = number};
}

tn_status tn_example_write_image(struct tn_text *out, const struct tn_example_image *image, int32_t keys,
                                 struct tn_error *error)
{
    struct tn_feature picture = {.bytes = image->bytes, .byte_count = image->byte_count};
    if (keys == TN_EXAMPLE_SEED) {
        picture.key = "image";
        const struct tn_feature features[] = {picture, number_feature("label", image->label)};
        return tn_example_write(out, features, TN_COUNT_OF(features), error);
    }
    picture.key = "image/encoded";
    const struct tn_feature features[] = {
        number_feature("image/class/label", image->label),
        text_feature("image/class/text", image->class_name),
        picture,
        text_feature("image/filename", image->file_name),
        text_feature("image/format", image->format),
        number_feature("image/height", image->height),
        number_feature("image/width", image->width),
    };
    return tn_example_write(out, features, TN_COUNT_OF(features), error);
}
