/* message.c: see message.h. */
#include <stdlib.h>
#include <string.h>

#include "message.h"

enum { VARINT = 0, FIXED64 = 1, DELIMITED = 2, LONGEST_VARINT = 10 };

void message_release(struct message *message)
{
    free(message->bytes);
    *message = (struct message){.bytes = NULL};
}

static int make_room(struct message *message, size_t count)
{
    size_t capacity = message->capacity ? message->capacity : 1024;
    unsigned char *grown;
    if (message->failed || count > MESSAGE_MAXIMUM - message->used) {
        message->failed = 1;
        return 0;
    }
    while (capacity - message->used < count)
        capacity *= 2;
    if (capacity == message->capacity)
        return 1;
    grown = realloc(message->bytes, capacity);
    if (!grown) {
        message->failed = 1;
        return 0;
    }
    message->bytes = grown;
    message->capacity = capacity;
    return 1;
}

void message_put(struct message *message, const void *bytes, size_t count)
{
    if (count == 0 || !make_room(message, count))
        return;
    memcpy(message->bytes + message->used, bytes, count);
    message->used += count;
}

static size_t encode(unsigned char varint[LONGEST_VARINT], uint64_t value)
{
    size_t used = 0;
    for (; value >= 0x80; value >>= 7)
        varint[used++] = (unsigned char)(value | 0x80);
    varint[used++] = (unsigned char)value;
    return used;
}

static void put_varint(struct message *message, uint64_t value)
{
    unsigned char varint[LONGEST_VARINT];
    message_put(message, varint, encode(varint, value));
}

static void put_tag(struct message *message, uint32_t field, uint32_t wire)
{
    put_varint(message, (uint64_t)field << 3 | wire);
}

void message_varint(struct message *message, uint32_t field, uint64_t value)
{
    put_tag(message, field, VARINT);
    put_varint(message, value);
}

void message_double(struct message *message, uint32_t field, double value)
{
    unsigned char bytes[8];
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(bits >> 8 * i);
    put_tag(message, field, FIXED64);
    message_put(message, bytes, sizeof bytes);
}

void message_bytes(struct message *message, uint32_t field, const void *bytes, size_t count)
{
    put_tag(message, field, DELIMITED);
    put_varint(message, count);
    message_put(message, bytes, count);
}

void message_text(struct message *message, uint32_t field, const char *text)
{
    message_bytes(message, field, text, strlen(text));
}

size_t message_open(struct message *message, uint32_t field)
{
    put_tag(message, field, DELIMITED);
    return message->used;
}

/* The length stands before the content and is known after it: the content, which is small, makes way. */
void message_close(struct message *message, size_t opened)
{
    unsigned char varint[LONGEST_VARINT];
    size_t content = message->used - opened, length = encode(varint, content);
    if (!make_room(message, length))
        return;
    memmove(message->bytes + opened + length, message->bytes + opened, content);
    memcpy(message->bytes + opened, varint, length);
    message->used += length;
}
