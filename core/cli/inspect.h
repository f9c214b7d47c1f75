/* inspect.h: inside of `tenon inspect`.
 *
 * inspect.c (what each file is, the order of things), inspect_records.c (TFRecord files, on several threads),
 * inspect_survey.c (what their records hold), inspect_report.c and inspect_json.c (how that is told),
 * inspect_weights.c, inspect_run.c, inspect_picture.c, tally.c (texts and how often each was there).
 */
#ifndef TENON_CLI_INSPECT_H
#define TENON_CLI_INSPECT_H

#include <stdatomic.h>

#include "cli/cli.h"
#include "data/decoder.h"
#include "registry/registry.h"

struct tn_inspect_options {
    int64_t records, workers;
    const char *image_key, *label_key, *plugin_path;
    int32_t check, json;
};

struct tn_inspect {
    const struct tn_inspect_options *options;
    struct tn_console *console;
    struct tn_registry *registry;
    struct tn_text json;  /* with --json: everything, printed at the end */
    bool wrong, unlooked; /* something is damaged; something could not be looked at */
    struct tn_arena arena;
};

/* A text that may hold anything, as it can be printed: at most `most` bytes of it, control characters as \x1b. */
char *tn_inspect_printable(struct tn_arena *arena, const void *text, uint64_t bytes, size_t most);
/* `name` is a member of the object that is being written; a comma where one is needed. */
void tn_inspect_member(struct tn_text *json, const char *name);

/* ---- tally.c ---- */
struct tn_tally_row {
    const char *text;
    uint64_t count;
};
struct tn_tally {
    struct tn_tally_row *rows; /* in order of appearance, until it is sorted */
    size_t count, capacity;
    size_t *slots; /* numbers of rows + 1 by hash; 0 = empty */
    size_t slot_count;
    uint64_t others; /* what came when there was no room for more texts */
    bool failed;     /* no memory */
    struct tn_arena arena;
};
void tn_tally_add(struct tn_tally *tally, const char *text, uint64_t count);
void tn_tally_join(struct tn_tally *tally, const struct tn_tally *other);
void tn_tally_sort(
    struct tn_tally *tally); /* the most frequent first, then by text, numbers as numbers; no more adds */
void tn_tally_release(struct tn_tally *tally);

/* ---- inspect_survey.c: what records hold ---- */
enum { TN_SURVEY_KINDS = 4, TN_LONGEST_SIDE = 65536 };

/* What was seen of one feature. */
struct tn_feature_survey {
    const char *key;
    uint64_t kinds[TN_SURVEY_KINDS]; /* records in which it was of each enum feature_kind */
    uint64_t records, least, most;   /* that have it; values in one of them */
    uint64_t values;
    double lowest, highest; /* of numbers */
    uint64_t not_finite;
    uint64_t shortest, longest, bytes; /* of texts */
    const char *example;
    size_t example_file;
    /* in the record in hand */
    uint64_t record; /* its number + 1, when it has it */
};

struct tn_survey {
    struct tn_feature_survey *features;
    size_t feature_count, feature_capacity;
    uint64_t features_left_out;
    uint64_t records, bytes; /* of data */
    struct tn_tally labels, formats, sizes;
    uint64_t *heights, *widths; /* [TN_LONGEST_SIDE]: pictures of each; longer ones count as the longest */
    uint64_t pictures, labelled;
    bool failed; /* no memory */
    struct tn_arena arena;
};

/* What one record turned out to be. Texts are valid until the next one. */
struct tn_record_look {
    const void *picture;
    uint64_t picture_bytes;
    char label[128]; /* "" = none */
    struct tn_image image;
    const char *format;
};
struct tn_record_keys {
    const char *image, *label; /* NULL = none */
};
tn_status tn_survey_open(struct tn_survey *survey, struct tn_error *error);
void tn_survey_close(struct tn_survey *survey);
/* Adds the record of `file` (a number, for examples). TN_CORRUPT: it is no tf.train.Example, or its picture is none. */
tn_status tn_survey_add(struct tn_survey *survey, const void *data, uint64_t bytes, size_t file,
                        const struct tn_record_keys *keys, struct tn_decoder *decoder, struct tn_record_look *look,
                        struct tn_error *error);
void tn_survey_sort(struct tn_survey *survey); /* features by name, the rest by how often; no more adds */
void tn_survey_join(struct tn_survey *survey, const struct tn_survey *other);
/* Finds out which features are picture and label, by the record's content where no name is usual. */
void tn_survey_choose_keys(const void *data, uint64_t bytes, struct tn_decoder *decoder, struct tn_arena *arena,
                           struct tn_record_keys *keys);

/* ---- inspect_records.c ---- */
struct tn_record_damage {
    uint64_t record, byte; /* UINT64_MAX: of the file as a whole */
    const char *text;
};

struct tn_record_file {
    const char *path;
    int32_t compression;
    uint64_t bytes, inflated, records;
    struct tn_record_damage *damages;
    size_t damage_count, damage_capacity;
    uint64_t damages_all;
    struct tn_arena arena;
};

/* A row of --records. */
struct tn_listed_record {
    size_t file;
    uint64_t number, byte, bytes;
    const char *label, *format; /* NULL = none */
    int32_t height, width;
};

struct tn_record_set {
    struct tn_inspect *inspect;
    struct tn_record_file *files;
    size_t file_count;
    struct tn_record_keys keys;
    struct tn_survey survey; /* of all files */
    struct tn_listed_record *listed;
    size_t listed_count, listed_capacity;
    size_t next;      /* file that a thread takes; under the lock */
    uint32_t running; /* threads; under the lock */
    pthread_mutex_t lock;
    pthread_cond_t ended;
    atomic_ullong done; /* bytes of files that were read */
    struct tn_arena arena;
};
/* Reads all of the files and tells. */
tn_status tn_inspect_records(struct tn_inspect *inspect, const char *const *paths, size_t count,
                             struct tn_error *error);

/* ---- inspect_report.c, inspect_json.c ---- */
extern const char *const tn_compression_names[], *const tn_feature_kind_names[]; /* by enum compression, feature_kind */
/* Names of classes beside the first file (classes.txt); *count 0 = none. */
const char **tn_inspect_class_names(struct tn_record_set *set, size_t *count);
/* The name of the label `text`, or NULL. */
const char *tn_inspect_class_name(const char *const *names, size_t count, const char *text);
/* Least, middle and greatest of the lengths that `counts` holds `count` of. */
void tn_inspect_middle(const uint64_t *counts, uint64_t count, int32_t *least, int32_t *middle, int32_t *greatest);
void tn_inspect_say_records(struct tn_record_set *set);
void tn_inspect_json_records(struct tn_record_set *set);

/* ---- the others: each tells what it finds, or adds it to the JSON ---- */
tn_status tn_inspect_weights(struct tn_inspect *inspect, const char *path, struct tn_error *error);
tn_status tn_inspect_run(struct tn_inspect *inspect, const char *path, struct tn_error *error);
/* Pictures come as rows of one table: `table` is printed by the caller. */
tn_status tn_inspect_picture(struct tn_inspect *inspect, struct tn_decoder *decoder, const char *path,
                             struct tn_table *table, struct tn_error *error);

#endif
