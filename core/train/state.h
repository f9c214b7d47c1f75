/* state.h: everything that a run needs to go on, as one file proves it. */
#ifndef TENON_STATE_H
#define TENON_STATE_H

#include "train/internal.h"

enum tn_state_block_kind {
    TN_STATE_CONFIG = 1,   /* the resolved experiment */
    TN_STATE_METRIC = 2,   /* sums of a metric, in the middle of an epoch */
    TN_STATE_CALLBACK = 3, /* lines "field value" */
    TN_STATE_ARRAY = 4,    /* floats of a weight, a slot of the optimizer, or a kept copy */
    TN_STATE_END = 5,      /* proves that the file is whole */
    TN_STATE_DATA = 6      /* tn_dataset_list_digest() of the training data; older states have none */
};

/* How a run has ended. */
enum { TN_STATE_UNFINISHED = 0, TN_STATE_FINISHED = 1 /* all epochs */, TN_STATE_STOPPED = 2 /* by a callback */ };

/* The beginning of a file; little-endian, as all machines that tenon runs on are. */
struct tn_state_head {
    char magic[8];
    uint32_t crc, head_bytes; /* CRC-32C of this struct, with 0 here */
    uint64_t bytes;           /* of the whole file */
    uint64_t generation;
    int32_t epoch, epochs_done;    /* epoch: the one to go on in */
    int32_t stopping, kept;        /* stopping: a callback has ended the run */
    uint64_t batch, batches, step; /* batch: the next one of the epoch */
    double base_rate, learning_rate, best_value, loss_sum, weight_sum;
    double saved_at; /* seconds since 1970 */
    int32_t warned_not_finite, threads;
    uint64_t data_batches, data_tail; /* of the training data: how many pictures there were */
    uint64_t run_id;                  /* drawn when the run began */
    int32_t session;                  /* of the process that saved it: 1 began the run, 2 went on with it, … */
    int32_t in_order;                 /* 1: saved because the run was to end, after its last step */
    char device[128], version[32];
    uint64_t steps_before; /* of the optimizer, before this run */
};

/* In front of each block; its bytes follow, filled up to a multiple of 8. */
struct tn_state_block {
    uint32_t kind, crc; /* CRC-32C of the bytes */
    uint64_t bytes;
    int64_t dims[4];
    int32_t rank;
    uint32_t own_crc; /* of this struct, with 0 here */
    char name[208];
};

/* A state in memory; `data` has room for `capacity` bytes, taken once. */
struct tn_state_image {
    unsigned char *data;
    uint64_t bytes, capacity;
};

/* ---- state.c: the loop as bytes, and back ---- */
/* Bytes that a state of this network takes, about. */
uint64_t tn_state_bytes(const struct tn_experiment *experiment);
tn_status tn_state_encode(struct tn_loop *loop, uint64_t generation, struct tn_state_image *image,
                          struct tn_error *error);
/* Proves the bytes, all CRCs and the end; TN_CORRUPT says what is wrong. */
tn_status tn_state_prove(const void *data, uint64_t bytes, struct tn_error *error);
const struct tn_state_head *tn_state_head(const void *data);
/* The block of this kind and name (NULL: the first), of proved bytes; NULL = there is none. */
const struct tn_state_block *tn_state_find(const void *data, uint32_t kind, const char *name);
/* What the block of a parameter is called. slot: -1 the weight, TN_SLOT_KEPT the kept copy, else the optimizer's. */
void tn_state_array_name(const struct tn_parameter_info *info, int32_t slot, char *name, size_t bytes);
/* Puts a proved state into the loop, but for the callbacks. What does not fit is an error before anything is changed.
 */
tn_status tn_state_apply(struct tn_loop *loop, const void *data, struct tn_error *error);
/* Gives callbacks what they had. `notes`: who begins anew. */
void tn_state_apply_callbacks(struct tn_loop *loop, const void *data, char *notes, size_t notes_bytes);

/* ---- state_line.c: which states are of the run as it is now ---- */
/* What the session files of a run directory say; false: there are none that are whole. */
bool tn_state_line_read(const char *directory, struct tn_state_line *line);
/* Is it no state of a branch that was left? */
bool tn_state_on_line(const struct tn_state_line *line, const struct tn_state_head *head);
/* Notes that this process goes on from a generation (a line of zeros, 0: begins the run). */
tn_status tn_state_line_begin(const char *directory, struct tn_state_line *line, uint64_t from, struct tn_error *error);

/* ---- state_files.c: generations in a folder ---- */
struct tn_state_shelf {
    char folder[1100];
    uint64_t newest;       /* that was proved, 0 = none; it stays until the next one is proved */
    _Atomic uint64_t held; /* stays too: it is being copied */
};
void tn_state_file_name(const char *folder, uint64_t generation, char *path, size_t bytes);
/* The highest number in a folder, whatever it holds; 0 = none. */
uint64_t tn_state_newest_generation(const char *folder);
/* Below `base`, the folder for the states of a run on this machine. */
void tn_state_local_folder(const char *base, uint64_t run_id, char *path, size_t bytes);
/* Writes a generation, reads it back, and drops the ones that are not needed any more. */
tn_status tn_state_shelve(struct tn_state_shelf *shelf, uint64_t generation, const void *data, uint64_t bytes,
                          struct tn_error *error);
/* Shows that the process that writes here is alive. */
void tn_state_touch(const char *folder);
/* Deletes what this file makes in a folder, and the folder when nothing else is in it. */
void tn_state_clear(const char *folder);
/* Notes beside the last state that the run has ended with it: TN_STATE_FINISHED or TN_STATE_STOPPED. */
tn_status tn_state_note_end(const char *directory, uint64_t generation, int32_t how, struct tn_error *error);
/* How the run has ended whose newest state is of this generation. */
int32_t tn_state_ended(const char *directory, uint64_t generation);
/* local_base: see tn_place_local; may be NULL. */
bool tn_state_is_there(const char *directory, const char *local_base);
struct tn_state_found {
    void *data; /* the caller frees it */
    struct tn_state_line line;
    double last_alive; /* when the process that wrote it was last seen; seconds since 1970, 0 = not known */
    char notes[1024];  /* those that were passed over, and why */
};
/* The newest state of a run that proves; data NULL where there is none. */
tn_status tn_state_load_newest(const char *directory, const char *local_base, struct tn_state_found *state,
                               struct tn_error *error);

/* ---- place.c: where states go ---- */
/* The folder for states on this machine's own disk; NULL: they go to the run directory alone ([experiment]
 * state_folder). `buffer` may be what it points to. */
const char *tn_place_local(const char *state_folder, const char *directory, char *buffer, size_t bytes);
struct tn_place_report {
    double seconds_per_byte; /* of writing, syncing and reading back */
    bool replaces;           /* a file by renaming a new one to its name, so that one of both is there at any time */
    uint64_t free_bytes;     /* UINT64_MAX = not known */
};
/* Tries out a folder with a small file. What cannot work is an error. */
tn_status tn_place_probe(const char *folder, uint64_t state_bytes, struct tn_place_report *report,
                         struct tn_error *error);

/* ---- state_behind.c: copies from the machine's own disk to the run directory ---- */
struct tn_state_behind;
/* `from` stays the caller's, and has to outlive it. */
tn_status tn_state_behind_open(struct tn_state_shelf *from, const char *folder, uint64_t newest,
                               struct tn_state_behind **behind, struct tn_error *error);
void tn_state_behind_close(struct tn_state_behind **behind);
/* A generation has been shelved: it is copied when it is time. */
void tn_state_behind_offer(struct tn_state_behind *behind, uint64_t generation, uint32_t crc);
/* Copies the newest one now, and waits for it. */
tn_status tn_state_behind_flush(struct tn_state_behind *behind, struct tn_error *error);
/* What the user is to know since the last call, in a buffer of the caller; an enum tn_log_level, -1 = nothing. */
int32_t tn_state_behind_news(struct tn_state_behind *behind, char *text, size_t bytes);

/* ---- state_keeper.c: states written behind the training ---- */
struct tn_state_keeper;
tn_status tn_state_keeper_open(struct tn_loop *loop, struct tn_state_keeper **keeper, struct tn_error *error);
/* Ends the thread; what it has in hand is written first. */
void tn_state_keeper_close(struct tn_state_keeper **keeper);
/* Saves the beginning of a run, so that there is something to go on from, and it shows early whether the place can hold
 * it. */
tn_status tn_state_begin(struct tn_loop *loop, struct tn_error *error);
/* Before the first result of a run is written: waits until its first state is. Killed in between, results without a
 * state would be refused. */
void tn_state_await_first(struct tn_loop *loop);
/* After a step (`epoch_end`: of an epoch, whose callbacks have been told): saves when it is time. */
tn_status tn_state_after_step(struct tn_loop *loop, bool epoch_end, struct tn_error *error);
/* Saves now and waits until it is on the disk of the run directory. */
tn_status tn_state_save_now(struct tn_loop *loop, struct tn_error *error);
/* The run has ended with the last state: TN_STATE_FINISHED or TN_STATE_STOPPED. */
tn_status tn_state_finish(struct tn_loop *loop, int32_t how, struct tn_error *error);

/* ---- resume.c ---- */
/* Continues what the run directory holds; says where. */
tn_status tn_resume(struct tn_loop *loop, struct tn_error *error);
/* After TN_RUN_BEGIN: gives the callbacks their numbers and tells them. */
tn_status tn_resume_callbacks(struct tn_loop *loop, struct tn_error *error);

#endif
