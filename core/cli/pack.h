/* pack.h: inside of `tenon pack`: what is packed, into what, and the state of both.
 *
 * pack.c (options, the order of things), pack_find.c (pictures), pack_list.c (their order), pack_job.c (the target
 * folder, what an earlier run has left there), pack_read.c (files, with patience), pack_sample.c (one picture to one
 * record), pack_plan.c (how many shards), pack_write.c (threads, shards), pack_report.c (lists and numbers beside the
 * shards).
 */
#ifndef TENON_CLI_PACK_H
#define TENON_CLI_PACK_H

#include <stdatomic.h>

#include "cli/cli.h"
#include "data/decoder.h"
#include "data/permutation.h"
#include "registry/registry.h"

struct tn_pack_options {
    int64_t shards, quality, seed, workers, retries;
    uint64_t shard_size; /* 0 = not given */
    const char *exclude, *plugin_path;
    const char *folder, *separator, *path_column, *label_column; /* of a list */
    double split, retry_pause;
    struct tn_size resize; /* 0x0 = none */
    int32_t no_header, keep_aspect, compression, keys, on_error, trust, quiet;
};

struct tn_pack_shard {
    bool done;
    uint64_t bytes, records;
    const char *labels;  /* {"0":12,"3":9}: records of each class; from the arena, as is the next */
    const char *skipped; /* a line for each picture that was left out: name and reason as a JSON text */
};

/* What becomes the shards of one name. */
struct tn_pack_part {
    const char *name; /* "train" or "validation" */
    const char *path; /* its folder, of a list that from which paths count; absolute */
    bool listed;      /* in a list, not all that is in the folder */
    struct tn_instance *source;
    uint64_t *samples; /* [count] numbers in the source */
    uint64_t count;
    struct tn_permutation order;
    struct tn_pack_shard *shards;
    uint32_t shard_count;
};

enum { TN_PACK_PARTS = 2, TN_PACK_MOST_SHARDS = 99999 };

struct tn_pack {
    const struct tn_pack_options *options;
    struct tn_console *console;
    const char *from, *to; /* as the user wrote them */
    struct tn_registry *registry;
    struct tn_config *config;
    struct tn_instance *sources[TN_PACK_PARTS], *encoder;
    struct tn_pack_part parts[TN_PACK_PARTS];
    uint32_t part_count, class_count;
    const char *const *classes; /* of the first source */
    uint64_t digest;            /* of options, classes and names */
    int lock;                   /* descriptor of the target folder; -1 = not held */
    bool continued;             /* the target held an earlier run of the same job */
    struct tn_arena arena;
    const volatile int32_t *stop; /* set by a signal */
    atomic_bool quit;             /* the threads are to end */
    atomic_ullong repeated;       /* reads that were tried again */
};

/* ---- pack_find.c ---- */
/* Finds the pictures, sets validation aside. */
tn_status tn_pack_find(struct tn_pack *pack, struct tn_error *error);
/* Where a picture is: its path as far as the user can tell it from others. */
void tn_pack_place(const struct tn_pack_part *part, uint64_t sample, char *text, size_t bytes);

/* ---- pack_list.c ---- */
/* Finds the pictures, fixes the order, computes the digest. */
tn_status tn_pack_list(struct tn_pack *pack, struct tn_error *error);
/* Source's number of the picture at `position` of the part's order. */
uint64_t tn_pack_sample_at(const struct tn_pack_part *part, uint64_t position);
/* First position of a shard; that of the shard behind the last one is the count. */
uint64_t tn_pack_shard_begin(const struct tn_pack_part *part, uint32_t shard);

/* ---- pack_job.c ---- */
/* Makes or takes over the target folder: TN_INVALID when something else is in it. */
tn_status tn_pack_job_open(struct tn_pack *pack, struct tn_error *error);
/* Writes down how many shards there will be, and those that are kept. */
tn_status tn_pack_job_begin(struct tn_pack *pack, struct tn_error *error);
/* Notes a finished shard. */
tn_status tn_pack_job_add(struct tn_pack *pack, const struct tn_pack_part *part, uint32_t shard,
                          struct tn_error *error);
/* Room for the shards of a part. */
tn_status tn_pack_set_shards(struct tn_pack *pack, struct tn_pack_part *part, uint64_t count, struct tn_error *error);
char *tn_pack_shard_name(struct tn_arena *arena, const struct tn_pack_part *part, uint32_t shard);
char *tn_pack_path(struct tn_pack *pack, const char *name); /* in the target folder; from the arena */
/* Adds the numbers of a shard's `labels` to counts[class_count]; false: they are not such a text. */
bool tn_pack_add_labels(const char *labels, uint64_t *counts, uint32_t class_count);

/* ---- pack_sample.c, pack_read.c ---- */
struct tn_pack_worker {
    struct tn_pack *pack;
    const struct tn_pack_part *part;
    struct tn_decoder *decoder;
    void *reader;
    bool reader_opened;
    unsigned char *reduced, *pixels;
    size_t reduced_bytes, pixel_bytes; /* allocated */
};
tn_status tn_pack_worker_open(struct tn_pack *pack, const struct tn_pack_part *part, struct tn_pack_worker *worker,
                              struct tn_error *error);
void tn_pack_worker_close(struct tn_pack_worker *worker);
/* Reads a picture's bytes; where the system refuses for a while (a network folder), again.  [worker] */
tn_status tn_pack_read(struct tn_pack_worker *worker, uint64_t index, struct tn_sample *sample, struct tn_error *error);
/* Reads a picture, checks it or makes another of it, frames the record.  [worker] */
tn_status tn_pack_sample(struct tn_pack_worker *worker, uint64_t sample, struct tn_text *record, int32_t *label,
                         struct tn_error *error);

/* ---- pack_plan.c ---- */
uint32_t tn_pack_worker_count(const struct tn_pack *pack);
/* Decides on the number of shards, from --shards or from the size of some records. */
tn_status tn_pack_plan(struct tn_pack *pack, struct tn_error *error);

/* ---- pack_write.c ---- */
/* Makes all shards that are not there yet. */
tn_status tn_pack_write(struct tn_pack *pack, struct tn_error *error);

/* ---- pack_report.c ---- */
tn_status tn_pack_write_classes(struct tn_pack *pack, struct tn_error *error);
/* Removes pack.json: where it lies, all shards do. */
tn_status tn_pack_forget_manifest(struct tn_pack *pack, struct tn_error *error);
/* skipped.txt and, last of all, pack.json. */
tn_status tn_pack_write_manifest(struct tn_pack *pack, struct tn_error *error);
void tn_pack_say(const struct tn_pack *pack);

#endif
