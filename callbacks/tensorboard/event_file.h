/* event_file.h: events.out.tfevents.SECONDS.HOST.PROCESS.NUMBER.v2, a TFRecord file that grows. */
#ifndef TENON_CALLBACKS_TENSORBOARD_EVENT_FILE_H
#define TENON_CALLBACKS_TENSORBOARD_EVENT_FILE_H

#include "tenon/plugin.h"

#include "message.h"

struct event_file {
    int descriptor; /* -1: not open */
    char path[1280];
    struct message event; /* in the making */
    /* Whole records that are not in the file yet. While the disk is full they wait, and what finds no room is dropped.
     */
    unsigned char *pending;
    size_t pending_bytes, capacity;
    uint64_t written; /* length of the file: whole records only */
    double flushed;   /* when, in seconds */
    int reason;       /* errno of the last attempt to write; 0 = it went well */
};

/* Makes the folder and a file in it that no other run has, and puts the version record there. */
tn_status event_file_open(struct event_file *file, const char *folder, struct tn_error *error);
/* Frames file->event, of which nothing is left afterwards, as the next record. Writes only when the room is used up. */
tn_status event_file_add(struct event_file *file, struct tn_error *error);
/* What is not written stays pending; the file never ends inside of a record. */
tn_status event_file_flush(struct event_file *file, struct tn_error *error);
tn_status event_file_close(struct event_file *file, struct tn_error *error);

double wall_seconds(void);

#endif
