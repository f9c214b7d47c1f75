/* manifest.h: inside of the source `manifest`: options, the table as it was read, and the samples. */
#ifndef TENON_LOADER_MANIFEST_H
#define TENON_LOADER_MANIFEST_H

#include "tenon/plugin.h"

/* What the label columns hold. */
enum labels { LABELS_AUTO, LABELS_CLASS, LABELS_NUMBERS };

/* The text of a manifest, cut into fields in place: each ends with 0, and rows point into it. */
struct table {
    char *text;
    uint64_t bytes;
    char separator;
    /* its own */
    uint64_t at, line; /* where the next row begins */
    char **fields;     /* of the row that was read last */
    uint32_t field_count, field_capacity;
    uint64_t row_line; /* where that row begins */
};

/* One sample: offsets into the text, and the line for messages. */
struct row {
    uint32_t path, label; /* label: text of several classes, else unused */
    uint32_t line;
    int32_t class_index;
};

/* A class by its name, sorted for searching. */
struct class_name {
    const char *name;
    uint32_t index;
};

struct manifest {
    const char *path, *folder, *separator, *path_column, *label_separator;
    struct tn_list label_column;
    int32_t labels, header, check_files;
    /* its own */
    const struct tn_host *host;
    struct table table;
    char *base; /* folder that relative paths count from */
    uint32_t column_count;
    uint32_t path_at, *label_at, label_count; /* columns by number; label_count 0 = no labels are wanted */
    struct row *rows;
    uint64_t row_count, row_capacity;
    float *numbers; /* [row_count][label_count] of numeric columns */
    uint64_t number_capacity;
    const char **classes; /* in order; point into the text, or copies of the experiment's */
    char **copies;
    struct class_name *sorted;
    uint64_t *class_sizes;
    uint32_t class_count;
    uint32_t target_count;     /* floats of a sample, 0 = one class */
    const char **target_names; /* of numeric columns; they belong to the text or the options */
    int32_t by_number;         /* labels are numbers */
};

/* ---- table.c: CSV and TSV ---- */

/* Reads the next row that is not empty into table->fields; field_count 0 = the end. Errors name path and line. */
tn_status table_next(struct table *table, const char *path, struct tn_error *error);
/* Forgets the row, keeps the text. */
void table_release(struct table *table);

/* ---- columns.c: which columns, and classes ---- */

/* Takes the header, or numbers the columns of the first row, and finds those that the options name. */
tn_status columns_find(struct manifest *manifest, int needs_labels, struct tn_error *error);
/* Makes the list of classes out of the experiment's, or of `labels` texts. */
tn_status classes_given(struct manifest *manifest, const struct tn_list *classes, struct tn_error *error);
tn_status classes_found(struct manifest *manifest, struct tn_error *error);
/* Number of a class, -1 = there is none of that name; `length` bytes of `name` count. */
int32_t class_of(const struct manifest *manifest, const char *name, size_t length);
/* Calls for each part of a text of several classes: returns its length and moves *text past it; NULL at the end. */
const char *next_part(const struct manifest *manifest, const char **text, size_t *length);

/* ---- read.c: names, classes and bytes of samples ---- */

void manifest_name(const void *self, uint64_t sample, char *text, uint64_t text_bytes);
int32_t manifest_label(const void *self, uint64_t sample);
tn_status manifest_worker_open(const void *self, void **worker, struct tn_error *error);
void manifest_worker_close(const void *self, void *worker);
tn_status manifest_digest(const void *self, uint64_t digest[2], struct tn_error *error);
tn_status manifest_read(const void *self, void *worker, uint64_t index, struct tn_sample *sample,
                        struct tn_error *error);
/* Fails when the file of a row is not there. */
tn_status check_file(const struct manifest *manifest, const struct row *row, struct tn_error *error);

#endif
