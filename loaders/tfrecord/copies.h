/* copies.h: the folder of a stage: which files are there, how one is made and removed. No policy, no threads. */
#ifndef TENON_LOADER_TFRECORD_COPIES_H
#define TENON_LOADER_TFRECORD_COPIES_H

#include <stdatomic.h>

#include "stage.h"

struct copies {
    int folder, lock; /* descriptors; the lock is held while the folder is in use */
};

/* Makes DIR/tenon-HASH for these files and claims it. Folders of other lists of files that nobody uses are removed,
 * oldest first, as far as the limit is not enough for both.  Errors: TN_IO. */
tn_status copies_open(struct copies *copies, const struct stage_spec *spec, struct tn_error *error);
void copies_close(struct copies *copies);

enum { COPY_NAME_BYTES = 96 };
/* "HASH-SIZE-SECONDS.NANOSECONDS": a copy of another version has another name. */
void copy_name(const struct stage_file *file, char name[COPY_NAME_BYTES]);
uint64_t copy_hash(const struct stage_file *file);

/* Calls `visit` for each file that looks like a copy; an answer other than 1 removes it. What a killed process was
 * writing is removed too. */
void copies_list(const struct copies *copies,
                 int (*visit)(void *context, uint64_t hash, const char *name, uint64_t size), void *context);
/* A descriptor of a copy that has the right length; -1 = there is none. */
int copy_open(const struct copies *copies, const struct stage_file *file);
void copy_remove(const struct copies *copies, const struct stage_file *file);

enum copy_result {
    COPY_MADE,
    COPY_STOPPED,     /* `quit` was set */
    COPY_UNREADABLE,  /* the original cannot be read, or is not what it was */
    COPY_NO_ROOM,     /* on the disk */
    COPY_DISK_FAILED, /* and `reason` says how */
};
/* Copies a file under a temporary name, brings it to the disk and gives it its name. */
enum copy_result copy_make(const struct copies *copies, const struct stage_file *file, const atomic_int *quit,
                           int *reason);

#endif
