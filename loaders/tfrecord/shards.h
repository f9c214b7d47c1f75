/* shards.h: the files of a source `tfrecord`, the list of their records, and how these are read. */
#ifndef TENON_LOADER_TFRECORD_SHARDS_H
#define TENON_LOADER_TFRECORD_SHARDS_H

#include "stage.h"
#include "tfrecord.h"

enum io { IO_AUTO, IO_RANDOM, IO_SEQUENTIAL };

struct shard {
    char *path;
    int descriptor;      /* of the file, or of what it inflates to; -1: opened when it is needed */
    int32_t compression; /* enum compression, never COMPRESSION_AUTO */
    uint64_t size;       /* of the file, and when it was written: seconds and nanoseconds */
    int64_t seconds, nanoseconds;
    uint32_t head, tail; /* CRC-32C of its first and last bytes; 0 where nobody asks */
    uint64_t end;        /* where its last record ends, inflated */
};

/* Where a record lies, and its label. 24 bytes. */
struct place {
    uint64_t offset;
    uint32_t length, shard, number; /* number in the shard, for messages */
    int32_t label;
};

struct blocks;

struct tfrecord {
    /* options */
    const char *files, *image_key, *label_key, *index, *stage;
    int32_t compression, verify, on_damage, io;
    int64_t label_offset, shuffle_window, interleave;
    uint64_t decompressed_limit, stage_limit;
    /* found by scan() */
    const struct tn_host *host;
    const char *image, *label; /* keys in use */
    char *index_folder;        /* NULL = no sidecars */
    struct shard *shards;
    struct place *places;
    uint64_t *starts; /* [shard_count + 1] places of each shard; only where reading is sequential */
    char **classes;   /* names, when they were found here */
    uint64_t *class_sizes;
    struct blocks *blocks; /* only where reading is sequential */
    struct stage *staged;  /* copies of shards on a local disk; NULL = none */
    uint64_t shard_count, place_count, place_capacity, left_out;
    uint32_t class_count, class_capacity;
    int classes_given, wants_label, sequential, keeps_open;
};

/* ---- shards.c: the files ---- */
/* Finds the files that `files` names, sorted. */
tn_status shards_find(struct tfrecord *source, struct tn_error *error);
void shards_close(struct tfrecord *source);
/* Opens a shard and notes what it is; also what it inflates to, where reading is random. */
tn_status shard_open(const struct tfrecord *source, struct shard *shard, struct tn_error *error);
/* A descriptor of the file as it was when it was indexed; the caller closes it. */
tn_status shard_reopen(const struct shard *shard, int *descriptor, struct tn_error *error);
/* Damage that on_damage = skip goes on with. */
int forgives(const struct tfrecord *source, tn_status status);
void say(const struct tfrecord *source, int32_t level, const char *text);

/* ---- listing.c: the records of one shard, as they were read from it or from its sidecar ---- */
struct entry {
    uint64_t offset;
    int64_t number;        /* the label, when `text` is 0 */
    uint32_t length, text; /* text: number of the label's text, counted from 1 */
    uint32_t ordinal;
};

struct texts {
    char *bytes; /* each ended by 0 */
    uint64_t byte_count, byte_capacity;
    uint64_t *starts;
    uint32_t count, capacity;
    uint32_t *slots; /* hash table of count + 1 */
    uint32_t slot_count;
};

struct listing {
    struct entry *entries;
    uint64_t count, capacity;
    struct texts texts;
    uint64_t left_out; /* records without what is needed */
    uint64_t end;      /* of the last record */
    int cut;           /* the rest of the file is damaged and left out */
};

/* Number of the text, counted from 1, added when it is new; 0 when memory is out. */
uint32_t texts_add(struct texts *texts, const char *text, size_t length);
const char *texts_at(const struct texts *texts, uint32_t number);
tn_status listing_add(struct listing *listing, const struct entry *entry, struct tn_error *error);
void listing_release(struct listing *listing);
/* Reads all records of an open shard. Errors say shard, record and byte. */
tn_status listing_scan(const struct tfrecord *source, const struct shard *shard, struct listing *listing,
                       struct tn_error *error);
/* Of the keys that people use, those of the first record of all. */
tn_status keys_choose(struct tfrecord *source, struct tn_error *error);

/* ---- sidecar.c: listings kept in files ---- */
/* The folder by option `index`; NULL where there is none. malloc'ed. */
char *sidecar_folder(const char *option);
/* 1 when there was one that fits the shard. */
int sidecar_load(const struct tfrecord *source, const struct shard *shard, struct listing *listing);
void sidecar_save(const struct tfrecord *source, const struct shard *shard, const struct listing *listing);

/* ---- index.c: all shards ---- */
/* Fills places, shard by shard; labels of text become classes in order of appearance. */
tn_status index_build(struct tfrecord *source, struct tn_error *error);

/* ---- labels.c ---- */
tn_status label_of_text(struct tfrecord *source, const char *text, size_t length, int32_t *label,
                        struct tn_error *error);
tn_status label_of_number(const struct tfrecord *source, int64_t number, int32_t *label, struct tn_error *error);
tn_status classes_take(struct tfrecord *source, const struct tn_list *classes, struct tn_error *error);
/* Names and sizes of the classes, once all records are listed. */
tn_status classes_settle(struct tfrecord *source, struct tn_error *error);
tn_status classes_count(struct tfrecord *source, struct tn_error *error);

/* ---- spans.c: which records lie in which bytes ---- */
enum { BLOCK_BYTES = 1 << 20 };
/* Blocks that a window of the shuffle, and the beginning of the next one, can touch. */
uint64_t blocks_needed(const struct tfrecord *source);
/* Records that lie in the block, in whole or in part. */
uint64_t records_in(const struct tfrecord *source, uint32_t shard, uint64_t number);

/* ---- blocks.c: large pieces of shards, read once and shared ---- */
tn_status blocks_open(struct tfrecord *source, struct tn_error *error);
void blocks_close(struct blocks *blocks);
uint64_t blocks_bytes(const struct blocks *blocks);
/* How often the shard's blocks were renounced so far. */
uint32_t blocks_version(struct blocks *blocks, uint32_t shard);
/* What was read since that version is damaged. 1: it came from a staged copy, which is given up; read again. */
int blocks_renounce(struct blocks *blocks, uint32_t shard, uint32_t version);
/* Copies bytes of what a shard holds, inflated.  [worker] */
tn_status blocks_read(struct blocks *blocks, uint32_t shard, uint64_t offset, unsigned char *bytes, uint64_t count,
                      struct tn_error *error);

/* ---- read.c ---- */
void sample_name(const void *self, uint64_t index, char *text, uint64_t text_bytes);
int32_t sample_label(const void *self, uint64_t index);
tn_status worker_open(const void *self, void **state, struct tn_error *error);
void worker_close(const void *self, void *state);
tn_status sample_read(const void *self, void *state, uint64_t index, struct tn_sample *sample, struct tn_error *error);

#endif
