/* stage_inside.h: state of a stage, shared by those who ask for copies and the thread that makes them. */
#ifndef TENON_LOADER_TFRECORD_STAGE_INSIDE_H
#define TENON_LOADER_TFRECORD_STAGE_INSIDE_H

#include <pthread.h>

#include "copies.h"

enum { FOR_GOOD = 2 };

struct entry {
    struct stage_file file;
    uint64_t position; /* in the order */
    atomic_int whole;  /* a copy is there */
    atomic_int kept;   /* descriptor of it, or -1 */
    int rejected_kept; /* one that was given up, or -1; readers may still be at it */
    int given_up;      /* not copied before the next order, or never more */
};

/* The mutex guards all but `whole` and `kept`, which readers look at without it. */
struct stage {
    struct copies copies;
    struct entry *entries;
    uint64_t *order;                   /* [count] */
    uint64_t *hashes;                  /* [count][2] hash and number, sorted */
    uint64_t count, limit, used, made; /* made: bytes since the folder was looked through */
    const struct tn_host *host;
    const char *folder;
    uint32_t strands, rejected;
    int keeps_open;
    /* of this order */
    uint64_t needed;   /* so many of the order were asked for; the others come behind them */
    uint64_t progress; /* positions that reading has come to */
    uint64_t next;     /* position to copy */
    uint64_t oldest;   /* positions before it hold no copies that are done with */
    uint64_t latest;   /* nor those from here on */
    int arranged, second_lap, stale, idle, stopped, full;
    atomic_int quit;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    uint64_t moves; /* how often it was signalled */
};

/* All with the mutex held: */
TN_PRINTF(2, 3)
void stage_warn(struct stage *stage, const char *format, ...);
void stage_set_whole(struct stage *stage, struct entry *entry, int whole);
/* Finds out which copies are there, and removes what is none. Lets go of the mutex meanwhile. */
void stage_look_through(struct stage *stage);

void *stage_main(void *stage);
/* For `hashes`. */
int stage_compare_hashes(const void *left, const void *right);

#endif
