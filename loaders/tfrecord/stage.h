/* stage.h: copies of shards on a local disk, made ahead of their use by one thread, within a budget.
 *
 * Copies help and are never needed: whoever asks for one and gets none reads the original. No fault of the staging
 * disk is an error; it is told once. Needs nothing else of the source.
 */
#ifndef TENON_LOADER_TFRECORD_STAGE_H
#define TENON_LOADER_TFRECORD_STAGE_H

#include "tenon/plugin.h"

/* An original, as it was when it was indexed. */
struct stage_file {
    const char *path; /* borrowed until stage_close() */
    uint64_t size;
    int64_t seconds, nanoseconds; /* when it was written */
};

struct stage_spec {
    const char *folder; /* made where it is missing */
    uint64_t limit;     /* bytes that copies may take */
    const struct stage_file *files;
    uint64_t count;
    const struct tn_host *host; /* for its log; may be NULL */
    uint32_t strands;           /* files that are read at a time, at least 1 */
    int keeps_open;             /* holds a descriptor of each copy: for random reading of few files */
};

struct stage_state {
    uint64_t copies, bytes; /* that are whole and may be read; with what the one in the making will take */
    int idle;               /* nothing is being copied, nothing can be now */
};

struct stage;

/* Takes over the copies of earlier runs and starts the thread. `*stage` is NULL with TN_OK when the folder is of no
 * use, which the log says.  [setup] */
tn_status stage_open(struct stage **stage, const struct stage_spec *spec, struct tn_error *error);
/* Copies stay, for the next run. NULL is ignored.  [setup] */
void stage_close(struct stage *stage);
/* The files that come next, in the order in which they are needed; the others are needed last. Before the first call
 * files are copied in their own order until the budget is spent. Returns at once; nobody reads meanwhile.  [setup] */
void stage_arrange(struct stage *stage, const uint64_t *files, uint64_t count);
/* A descriptor of the whole copy of a file, which the caller closes; -1: read the original. Tells at the same time that
 * reading has come to this file. A copy that is removed meanwhile stays readable through it.  [worker] */
int stage_descriptor(struct stage *stage, uint64_t file);
/* With keeps_open: the same without a system call or a lock; the descriptor stays the stage's.  [worker] */
int stage_kept_descriptor(const struct stage *stage, uint64_t file);
/* What the copy held was damaged: it is removed and not made again in this run, and the original is to be read. 1 when
 * there was a copy.  [worker] */
int stage_reject(struct stage *stage, uint64_t file);
void stage_look(struct stage *stage, struct stage_state *state);

#endif
