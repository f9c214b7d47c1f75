/* directory.h: inside of the source `directory`: options, the list of files, and what was left out of it. */
#ifndef TENON_LOADER_DIRECTORY_H
#define TENON_LOADER_DIRECTORY_H

#include "tenon/plugin.h"

/* Which entries count. Both Keras functions are kept as they are, so that a list can be compared name by name. */
enum rules { RULES_TENON, RULES_IMAGE_DATA_GENERATOR, RULES_IMAGE_DATASET };

/* One folder with pictures, and one picture in it. Names lie in `names`, each ended by 0. */
struct folder {
    uint32_t path; /* below the source's path; empty text = that itself */
    int32_t label;
};
struct file {
    uint32_t folder, name;
};

struct index {
    char *names;
    struct folder *folders;
    struct file *files;
    uint64_t name_bytes, name_capacity, folder_count, folder_capacity, file_count, file_capacity;
    const char **classes;
    uint64_t *class_sizes;
    uint32_t class_count;
};

/* Image formats that others read and we have no codec for. */
#define FOREIGN_EXTENSIONS "gif", "tif", "tiff", "heic", "avif"
enum { FOREIGN_COUNT = 5 };

/* What a scan passed over, for one line in the log. */
struct left_out {
    uint64_t hidden, foreign[FOREIGN_COUNT], others, loose, linked, loops, excluded;
    uint64_t unnamed;     /* folders that are not in `classes` */
    char an_unnamed[128]; /* one of them */
};

/* The lines of `exclude`, sorted. */
struct exclusion {
    char **lines;
    uint64_t count, capacity;
};

struct directory {
    const char *path, *exclude;
    int32_t rules, hidden, follow_links, empty_classes;
    struct tn_list extensions;
    const struct tn_host *host;
    int root; /* descriptor of the folder; -1 = closed */
    int root_opened;
    struct index index;
    struct left_out left_out;
    struct exclusion exclusion;
};

/* ---- index.c ---- */
/* Copies a text into the names; TN_NO_MEMORY, also beyond 4 GiB of names. */
tn_status index_add_name(struct index *index, const char *text, uint32_t *offset, struct tn_error *error);
tn_status index_add_folder(struct index *index, const char *path, int32_t label, struct tn_error *error);
/* A file in the folder that was added last. */
tn_status index_add_file(struct index *index, const char *name, struct tn_error *error);
/* Keeps the files [from, to) of those behind `first`. */
void index_keep(struct index *index, uint64_t first, uint64_t from, uint64_t to);
uint64_t index_bytes(const struct index *index);
void index_release(struct index *index);

/* ---- walk.c ---- */
/* Names of the entries of the source's folder that are class folders, sorted; `*names` is malloc'ed, as is each. Loose
 * pictures are counted. */
tn_status walk_classes(struct directory *directory, char ***names, uint32_t *count, struct tn_error *error);
/* Adds all pictures below `path` (relative to the source's folder; "" = all of it), in order. A folder that is not
 * there is TN_NOT_FOUND. */
tn_status walk_class(struct directory *directory, const char *path, int32_t label, struct tn_error *error);

/* ---- exclude.c ---- */
/* Reads the list; path NULL = none. */
tn_status exclusion_read(struct exclusion *list, const char *path, struct tn_error *error);
void exclusion_release(struct exclusion *list);
/* `folder` and `name` below the source's `root`. */
int exclusion_has(const struct exclusion *list, const char *root, const char *folder, const char *name);

/* ---- report.c ---- */
/* Appends to a fixed text; what does not fit is left away. */
TN_PRINTF(3, 4) void text_add(char *text, size_t bytes, const char *format, ...);
const char *plural(uint64_t count);
void say(const struct directory *directory, int32_t level, const char *text);
/* One line about everything that was passed over; nothing when there is nothing. */
void say_left_out(const struct directory *directory);
/* ".jpg, .jpeg, .png" */
void looked_for(const struct directory *directory, char *text, size_t bytes);

/* ---- read.c ---- */
void directory_name(const void *self, uint64_t sample, char *text, uint64_t text_bytes);
int32_t directory_label(const void *self, uint64_t sample);
tn_status directory_worker_open(const void *self, void **worker, struct tn_error *error);
void directory_worker_close(const void *self, void *worker);
tn_status directory_read(const void *self, void *worker, uint64_t index, struct tn_sample *sample,
                         struct tn_error *error);
tn_status directory_digest(const void *self, uint64_t digest[2], struct tn_error *error);

#endif
