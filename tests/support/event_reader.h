/* event_reader.h: reads TensorBoard's event files back, by code that shares nothing with what writes them. */
#ifndef TENON_TESTS_EVENT_READER_H
#define TENON_TESTS_EVENT_READER_H

#include <stddef.h>
#include <stdint.h>

struct event_bytes {
    const unsigned char *at;
    size_t count;
};

struct event {
    struct event_bytes payload;
    double wall;
    uint64_t step;
    struct event_bytes version, tag, plugin, plugin_content, content, text;
    uint64_t type, dims[4];
    int rank;
};

struct events {
    void *data;
    struct event *items;
    size_t count;
};

/* 1 when the file is whole records with right checksums of well-formed messages; else says what is wrong. */
int events_read(const char *path, struct events *events);
void events_release(struct events *events);
/* The only file below `folder` whose name begins with events.out.tfevents., or number `index` of them in TensorBoard's
 * order; 0 when there is none. */
int events_find(const char *folder, size_t index, char *path, size_t bytes);
int event_is(const struct event_bytes *bytes, const char *text);
float event_scalar(const struct event *event);
double event_number(const struct event *event, size_t index); /* of a float64 tensor */

#endif
