/* shards.h: the files of a source `tfrecord` and the list of their records. */
#ifndef TENON_LOADER_TFRECORD_SHARDS_H
#define TENON_LOADER_TFRECORD_SHARDS_H

#include "tfrecord.h"

struct shard {
    char *path;
    int descriptor; /* of the file, or of what it inflates to; -1 = closed */
};

/* Where a record lies, and its label. 24 bytes. */
struct place {
    uint64_t offset;
    uint32_t length, shard, number; /* number in the shard, for messages */
    int32_t label;
};

struct tfrecord {
    /* options */
    const char *files, *image_key, *label_key;
    int32_t compression, verify, on_damage;
    int64_t label_offset;
    uint64_t decompressed_limit;
    /* found by scan() */
    const struct tn_host *host;
    const char *image, *label; /* keys in use; label NULL = none wanted */
    struct shard *shards;
    struct place *places;
    char **classes; /* names, when they were found here */
    uint64_t *class_sizes;
    uint64_t shard_count, place_count, place_capacity, left_out;
    uint32_t class_count, class_capacity;
    int classes_given, wants_label;
};

/* Opens the files that `files` names, sorted; compressed ones are inflated into $TMPDIR. */
tn_status shards_open(struct tfrecord *source, struct tn_error *error);
void shards_close(struct tfrecord *source);
/* Notes the places and labels of all records. Labels of text become classes in order of appearance. */
tn_status shards_index(struct tfrecord *source, struct tn_error *error);
/* Image and label of a record's data; `label` NULL where none is wanted. */
tn_status record_take(struct tfrecord *source, const void *data, uint64_t length, struct feature *image, int32_t *label,
                      struct tn_error *error);

#endif
