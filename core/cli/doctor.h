/* doctor.h: what `tenon doctor` finds in a data set.  (doctor.c the command and its words, doctor_scan.c every picture,
 * doctor_twins.c the same picture twice) */
#ifndef TENON_CLI_DOCTOR_H
#define TENON_CLI_DOCTOR_H

#include "cli/init.h"

/* One picture. 40 bytes, so that millions fit. */
struct tn_record {
    uint64_t hash[2]; /* of the file's bytes */
    uint64_t bytes;
    int32_t height, width; /* 0 = cannot be read */
    int32_t label;
    int16_t part;    /* index in tn_checkup.parts */
    int8_t misnamed; /* the name's ending says another format than the bytes */
    int8_t excluded; /* goes onto the list */
    uint64_t index;  /* in its source */
};

struct tn_part {
    const char *name; /* "train": the folder's name */
    const char *path;
    struct tn_instance *source;
    struct tn_source_info info;
    uint64_t first; /* its first record */
};

/* Why a picture cannot be read. */
struct tn_complaint {
    uint64_t record;
    const char *text; /* of the arena */
};

struct tn_checkup {
    struct tn_look look;
    struct tn_registry *registry;
    struct tn_config *config;
    struct tn_part parts[2]; /* training, validation */
    uint32_t part_count;
    struct tn_record *records;
    uint64_t count;
    struct tn_complaint *complaints; /* sorted by record */
    size_t complaint_count, complaint_capacity;
    struct tn_arena arena;
};

/* Reads and decodes every picture with `workers` threads; what is wrong with one is a complaint and no error. */
tn_status tn_checkup_scan(struct tn_checkup *checkup, const char *folder, int32_t workers,
                          struct tn_progress_line *line, const volatile int32_t *stop, struct tn_error *error);
void tn_checkup_release(struct tn_checkup *checkup);
/* "train/cat/1.jpg" */
void tn_checkup_name(const struct tn_checkup *checkup, const struct tn_record *record, char *text, size_t bytes);

/* Files with the same bytes: how many groups of them, and of what kind. */
struct tn_twins {
    uint64_t groups, copies;        /* copies: all but the first of each group */
    uint64_t across, contradicting; /* groups in training and validation; groups in several classes */
};
/* Finds them, marks what is to be left out (copies; in validation too: the training one; in several classes: all), and
 * calls `tell` for each group, the first `most` of them. Sorts nothing that others see. */
tn_status tn_checkup_twins(struct tn_checkup *checkup, struct tn_twins *twins,
                           void (*tell)(const struct tn_checkup *checkup, const uint64_t *records, uint64_t count,
                                        const char *kind),
                           uint64_t most, struct tn_error *error);

#endif
