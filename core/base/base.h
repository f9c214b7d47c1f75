/* base.h: memory, text, files and log of the core. No dependency on any other folder of the core. */
#ifndef TENON_BASE_H
#define TENON_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tenon/status.h"
#include "tenon/type.h"

#define TN_COUNT_OF(array_) (sizeof(array_) / sizeof *(array_))
/* Evaluates `call_`; on failure keeps its status in `status_` and jumps to `label_`. */
#define TN_TRY(status_, call_, label_)                                                                                 \
    do {                                                                                                               \
        (status_) = (call_);                                                                                           \
        if ((status_) != TN_OK)                                                                                        \
            goto label_;                                                                                               \
    } while (0)

/* ---- arena: many small allocations, one release (arena.c) ---- */
struct tn_arena {
    struct tn_arena_block *blocks;
    bool failed; /* an allocation failed; every later one returns NULL */
};
/* Zeroed, aligned to 16; NULL when memory is out (and `failed` is set). Zero-initialise the arena before first use. */
void *tn_arena_take(struct tn_arena *arena, size_t bytes);
/* Copies `length` bytes of text and ends them with 0; NULL gives NULL. */
char *tn_arena_text(struct tn_arena *arena, const char *text, size_t length);
char *tn_arena_string(struct tn_arena *arena, const char *text);
TN_PRINTF(2, 3) char *tn_arena_format(struct tn_arena *arena, const char *format, ...);
void tn_arena_release(struct tn_arena *arena);

/* ---- growing array: `tn_grow(&items, &capacity, needed, sizeof *items)`; TN_NO_MEMORY when out (arena.c) ---- */
tn_status tn_grow(void *items_address, size_t *capacity, size_t needed, size_t item_bytes);

/* ---- text builder (text.c) ---- */
struct tn_text {
    char *data; /* always ends with 0 once something was added; may be NULL before */
    size_t length, capacity;
    bool failed;
};
void tn_text_add(struct tn_text *text, const char *more);
void tn_text_add_bytes(struct tn_text *text, const char *more, size_t length);
TN_PRINTF(2, 3) void tn_text_format(struct tn_text *text, const char *format, ...);
/* As a JSON string with quotes. */
void tn_text_json(struct tn_text *text, const char *more);
void tn_text_release(struct tn_text *text);
/* The name of `names` (NULL-terminated) that is nearest to `word` (Damerau-Levenshtein without regard to case, at most
 * a third of the longer one's length away; a name that `word` begins counts as near), or NULL. */
const char *tn_nearest(const char *word, const char *const *names);
/* "1.4 GiB", "19,034,186", "2 min 5 s" into a caller's buffer; returns it. */
char *tn_say_bytes(char *buffer, size_t size, uint64_t bytes);
char *tn_say_count(char *buffer, size_t size, uint64_t count);
char *tn_say_seconds(char *buffer, size_t size, double seconds);

/* ---- files (file.c); every error names the path and the system's reason ---- */
/* malloc'ed, with a 0 behind the last byte; more than `limit` bytes is TN_NO_MEMORY before anything is allocated. */
tn_status tn_file_read(const char *path, uint64_t limit, void **data, uint64_t *bytes, struct tn_error *error);
/* Whole or not there: PATH.tmp-PID, write, fsync, close, rename, fsync of the folder; the temporary file never stays
 * behind. */
tn_status tn_file_write(const char *path, const void *data, uint64_t bytes, struct tn_error *error);
/* One file under its own name: written, synced and closed, and not left behind when that fails. flags: O_EXCL or
 * O_TRUNC, for what is there already. */
tn_status tn_file_write_new(const char *path, int flags, const void *data, uint64_t bytes, struct tn_error *error);
/* Does a file begin with these bytes? TN_IO where it cannot be read or holds others. */
tn_status tn_file_compare(const char *path, const void *data, uint64_t bytes, struct tn_error *error);
/* Appends to a file and flushes it to the system. */
tn_status tn_file_append(const char *path, const void *data, uint64_t bytes, struct tn_error *error);
/* Makes what was written to an open file last through a power cut; some file systems cannot, which is no error. False:
 * errno says why not. */
bool tn_file_sync(int file);
tn_status tn_folder_make(const char *path, struct tn_error *error); /* with parents */
/* Makes what was done to the name `path` in its folder (a rename, a new folder) last through a power cut, where the
 * file system can. False: errno says why not. */
bool tn_folder_sync(const char *path);
bool tn_path_exists(const char *path);
bool tn_path_is_folder(const char *path);
/* `path` if absolute, else folder of `base_file` + path; from the arena. */
char *tn_path_beside(struct tn_arena *arena, const char *base_file, const char *path);
/* Resident bytes of this process now and at its peak, from /proc/self/status; 0 when unknown. */
uint64_t tn_memory_resident(void);
uint64_t tn_memory_peak(void);

/* CRC-32C (Castagnoli): whether bytes are those that were written. (crc.c) */
uint32_t tn_crc32c(const void *bytes, uint64_t count);

/* ---- time ---- */
double tn_seconds_now(void); /* monotonic */

/* ---- log (log.c): the CLI installs a sink, without one nothing is printed. [any] ---- */
typedef void (*tn_log_sink)(void *context, int32_t level, const char *text);
void tn_log_to(tn_log_sink sink, void *context);
TN_PRINTF(2, 3) void tn_log(int32_t level, const char *format, ...);

#endif
