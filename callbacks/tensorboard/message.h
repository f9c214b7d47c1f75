/* message.h: protobuf, as far as event files need it: fields appended to bytes that grow. A failure (no memory, or more
 * than MESSAGE_MAXIMUM) is kept in `failed`, so that a whole message is written before it is asked about.
 */
#ifndef TENON_CALLBACKS_TENSORBOARD_MESSAGE_H
#define TENON_CALLBACKS_TENSORBOARD_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

enum { MESSAGE_MAXIMUM = 16 << 20 };

struct message {
    unsigned char *bytes;
    size_t used, capacity;
    int32_t failed;
};

void message_release(struct message *message);
void message_put(struct message *message, const void *bytes, size_t count);
void message_varint(struct message *message, uint32_t field, uint64_t value);
void message_double(struct message *message, uint32_t field, double value);
void message_bytes(struct message *message, uint32_t field, const void *bytes, size_t count);
void message_text(struct message *message, uint32_t field, const char *text);
/* A message within the message: what is put between open and close. Open gives what close needs. */
size_t message_open(struct message *message, uint32_t field);
void message_close(struct message *message, size_t opened);

#endif
