/* reading.h: threads that read samples ahead of the workers, where reading is slow. */
#ifndef TENON_READING_H
#define TENON_READING_H

#include <pthread.h>

#include "base/base.h"
#include "tenon/data.h"

struct tn_dataset;
struct tn_worker;

enum tn_ahead_state { TN_AHEAD_FREE, TN_AHEAD_READING, TN_AHEAD_READY };

/* One sample that is being read or waits for its worker. It has a source's worker state of its own, so that the bytes
 * stay where the source put them: nothing is copied. */
struct tn_ahead {
    enum tn_ahead_state state;
    uint64_t position; /* of the epoch */
    void *source_worker;
    bool opened;
    bool passed_by; /* it is in the cache; should that be of no use, its worker reads it */
    struct tn_sample sample;
    tn_status status;
    struct tn_error error;
    uint64_t kept; /* bytes that the state may hold: of the largest sample it has read */
};

/* Under the dataset's mutex, but for what the thread at a slot writes. */
struct tn_reading {
    struct tn_ahead *slots; /* [slot_count]; position p has slot p % slot_count */
    uint32_t slot_count;
    pthread_t *threads;
    uint32_t thread_count, started;
    pthread_cond_t filled, freed; /* for workers; for readers */
    bool synchronised;
    uint64_t from;    /* positions before it are read by the workers themselves */
    uint64_t claim;   /* next position to be read */
    uint64_t kept;    /* sum over the slots */
    uint64_t typical; /* bytes of the sample that was read last */
    uint32_t wanted;
    /* What reading costs the workers, since the last look. */
    uint64_t reads;
    double read_seconds, other_seconds;
};

/* Starts the threads when they are asked for (io_threads) or have turned out to pay. Called by the training thread,
 * with the mutex held; without memory or threads all goes on as it was. */
void tn_reading_start(struct tn_dataset *dataset);
/* Wakes all; called with the mutex held. */
void tn_reading_wake(struct tn_dataset *dataset);
/* Joins the threads, which `quit` has ended. Without the mutex. */
void tn_reading_stop(struct tn_dataset *dataset);
/* A new stream from `position` on. With the mutex held and nobody at a sample. */
void tn_reading_begin(struct tn_dataset *dataset, uint64_t position);
/* Waits for the sample at `position`, when it is read ahead: sets worker->ahead, else NULL. False when the stream ends
 * meanwhile. With the mutex held. */
bool tn_reading_await(struct tn_worker *worker, uint64_t position);
/* Gives the slot back. With the mutex held. */
void tn_reading_release(struct tn_worker *worker);
/* Notes what one sample took, and decides whether reading ahead would pay. With the mutex held. */
void tn_reading_note(struct tn_dataset *dataset, double read_seconds, double other_seconds);

#endif
