/* event_reader.c: see event_reader.h. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/event_reader.h"

static uint64_t little(const unsigned char *at, int count)
{
    uint64_t value = 0;
    for (int i = count; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

/* Bit by bit, as the polynomial says it. */
static uint32_t masked_crc(const unsigned char *bytes, size_t count)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

/* ---- protobuf ---- */

struct field {
    uint64_t number, wire, value;
    struct event_bytes bytes;
};

static int take_varint(struct event_bytes *from, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && from->count; shift += 7) {
        unsigned char byte = *from->at++;
        from->count--;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return 1;
    }
    return 0;
}

/* 0 at the end, -1 for what is no field. */
static int take_field(struct event_bytes *from, struct field *field)
{
    uint64_t tag, length;
    *field = (struct field){0};
    if (from->count == 0)
        return 0;
    if (!take_varint(from, &tag))
        return -1;
    field->number = tag >> 3;
    field->wire = tag & 7;
    if (field->wire == 0)
        return take_varint(from, &field->value) ? 1 : -1;
    length = field->wire == 1 ? 8 : field->wire == 5 ? 4 : 0;
    if (field->wire == 2 && !take_varint(from, &length))
        return -1;
    if ((length == 0 && field->wire != 2) || length > from->count)
        return -1;
    field->bytes = (struct event_bytes){from->at, (size_t)length};
    if (field->wire != 2)
        field->value = little(from->at, (int)length);
    from->at += length;
    from->count -= (size_t)length;
    return 1;
}

static int read_shape(struct event *event, struct event_bytes bytes)
{
    struct field field, size;
    int more;
    while ((more = take_field(&bytes, &field)) > 0) {
        struct event_bytes dimension = field.bytes;
        if (field.number != 2 || event->rank == 4 || take_field(&dimension, &size) < 0)
            return 0;
        event->dims[event->rank++] = size.value;
    }
    return more == 0;
}

static int read_tensor(struct event *event, struct event_bytes bytes)
{
    struct field field;
    int more, good = 1;
    while (good && (more = take_field(&bytes, &field)) > 0) {
        if (field.number == 1)
            event->type = field.value;
        else if (field.number == 2)
            good = read_shape(event, field.bytes);
        else if (field.number == 4)
            event->content = field.bytes;
        else if (field.number == 8)
            event->text = field.bytes;
        else
            good = 0;
    }
    return good && more == 0;
}

static int read_metadata(struct event *event, struct event_bytes bytes)
{
    struct field data, field;
    int more;
    if (take_field(&bytes, &data) != 1 || data.number != 1)
        return 0;
    while ((more = take_field(&data.bytes, &field)) > 0)
        *(field.number == 1 ? &event->plugin : &event->plugin_content) = field.bytes;
    return more == 0;
}

static int read_summary(struct event *event, struct event_bytes bytes)
{
    struct field value, field;
    int more, good = 1;
    if (take_field(&bytes, &value) != 1 || value.number != 1 || bytes.count)
        return 0;
    while (good && (more = take_field(&value.bytes, &field)) > 0) {
        if (field.number == 1)
            event->tag = field.bytes;
        else
            good = field.number == 8   ? read_tensor(event, field.bytes)
                   : field.number == 9 ? read_metadata(event, field.bytes)
                                       : 0;
    }
    return good && more == 0;
}

static int read_event(struct event *event, struct event_bytes bytes)
{
    struct field field;
    int more, good = 1;
    *event = (struct event){.payload = bytes};
    while (good && (more = take_field(&bytes, &field)) > 0) {
        if (field.number == 1)
            memcpy(&event->wall, field.bytes.at, sizeof event->wall);
        else if (field.number == 2)
            event->step = field.value;
        else if (field.number == 3)
            event->version = field.bytes;
        else if (field.number == 5)
            good = read_summary(event, field.bytes);
        else
            good = field.number == 10;
    }
    return good && more == 0;
}

/* ---- files ---- */

static int complain(const char *path, size_t at, const char *what)
{
    printf("%s: at byte %zu: %s\n", path, at, what);
    return 0;
}

static size_t read_file(const char *path, unsigned char **data)
{
    FILE *file = fopen(path, "rb");
    long size = -1;
    *data = NULL;
    if (file && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 && (*data = malloc((size_t)size + 1)) &&
        fseek(file, 0, SEEK_SET) == 0 && fread(*data, 1, (size_t)size, file) != (size_t)size)
        size = 0;
    if (file)
        (void)fclose(file);
    return size < 0 ? 0 : (size_t)size;
}

int events_read(const char *path, struct events *events)
{
    unsigned char *data;
    size_t size = read_file(path, &data);
    *events = (struct events){.data = data, .items = calloc(size / 16 + 1, sizeof *events->items)};
    for (size_t at = 0; at < size;) {
        uint64_t length;
        if (size - at < 16 || masked_crc(data + at, 8) != little(data + at + 8, 4))
            return complain(path, at, "no head of a record");
        length = little(data + at, 8);
        if (length > size - at - 16)
            return complain(path, at, "the file ends inside of a record");
        if (masked_crc(data + at + 12, (size_t)length) != little(data + at + 12 + length, 4))
            return complain(path, at, "the checksum of the data is wrong");
        if (!read_event(&events->items[events->count++], (struct event_bytes){data + at + 12, (size_t)length}))
            return complain(path, at, "not an Event");
        at += 16 + (size_t)length;
    }
    return size > 0;
}

void events_release(struct events *events)
{
    free(events->data);
    free(events->items);
    *events = (struct events){.data = NULL};
}

static int is_event_file(const struct dirent *entry)
{
    return strncmp(entry->d_name, "events.out.tfevents.", 20) == 0;
}

int events_find(const char *folder, size_t index, char *path, size_t bytes)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_event_file, alphasort), found = count > 0 && index < (size_t)count;
    if (found)
        (void)snprintf(path, bytes, "%s/%s", folder, entries[index]->d_name);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return found;
}

int event_is(const struct event_bytes *bytes, const char *text)
{
    return bytes->at && bytes->count == strlen(text) && memcmp(bytes->at, text, bytes->count) == 0;
}

float event_scalar(const struct event *event)
{
    uint32_t bits = event->content.count == 4 ? (uint32_t)little(event->content.at, 4) : 0x7FC00000u;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double event_number(const struct event *event, size_t index)
{
    uint64_t bits = little(event->content.at + 8 * index, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
