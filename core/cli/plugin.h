/* plugin.h: what the files of `tenon plugin …` share. */
#ifndef TENON_CLI_PLUGIN_H
#define TENON_CLI_PLUGIN_H

#include "cli/cli.h"
#include "registry/registry.h"

extern const struct tn_command tn_plugin_list_entry, tn_plugin_show_entry, tn_plugin_new_entry, tn_plugin_check_entry;

/* ---- templates/NAME.in, which the build turns into plugin_templates.c ---- */
struct tn_template {
    const char *name, *text; /* "augment.c" */
};
extern const struct tn_template tn_templates[]; /* ends with NULL */

/* ---- plugin_child.c: code of strangers runs in a process of its own ---- */
/* Forks; the child calls body(context, out), which writes text to the descriptor `out`, and ends with status 0. True
 * when it came to that; else `how` says what became of it ("crashed: segmentation fault"). What it wrote is in `said`
 * in either case. */
bool tn_child_run(void (*body)(void *context, int out), void *context, double seconds, struct tn_text *said, char *how,
                  size_t how_size);

/* ---- plugin_check….c: tries to break one type, in a child process ---- */

struct tn_checker {
    int out; /* where the lines go that the parent reads */
    struct tn_registry *registry;
    const struct tn_type *type; /* the host's full-size copy */
    const char *const *values;  /* "key=value" that the user gave for the options */
    size_t value_count;
    struct tn_random random;
    uint32_t failures; /* of this group */
};
/* What is tried next: said of a crash. */
TN_PRINTF(2, 3) void tn_check_step(struct tn_checker *checker, const char *format, ...);
TN_PRINTF(2, 3) void tn_check_pass(struct tn_checker *checker, const char *format, ...);
TN_PRINTF(2, 3) void tn_check_fail(struct tn_checker *checker, const char *format, ...);
TN_PRINTF(2, 3) void tn_check_remark(struct tn_checker *checker, const char *format, ...);
/* An instance with defaults, something for each required option, the user's values, and `key` = `value` (NULL: none).
 * NULL with the reason in `why` when the type refuses; that it refuses without a reason is a failed check. */
struct tn_instance *tn_check_open(struct tn_checker *checker, const char *key, const char *value, char *why,
                                  size_t why_size);
/* The same with defaults, and a remark when it is refused. */
struct tn_instance *tn_check_instance(struct tn_checker *checker);
/* Fails when `status` is a failure without a text; false = it was a failure. */
bool tn_check_status(struct tn_checker *checker, const char *what, tn_status status, const struct tn_error *error);

/* Memory that ends at a page that cannot be touched, with guard bytes on both sides: reading or writing far beyond
 * crashes, a little beyond is found by tn_guarded_intact. Floats are aligned to 16 bytes; `bytes` are not aligned and
 * end exactly at the page. Ends the child when memory is out. */
void *tn_guarded_bytes(uint64_t bytes);
float *tn_guarded_floats(uint64_t count);
bool tn_guarded_intact(const void *memory);
void tn_guarded_free(void *memory);
void tn_check_fill(struct tn_checker *checker, float *values, uint64_t count, double low, double high);
bool tn_check_finite(const float *values, uint64_t count);

void tn_check_options(struct tn_checker *checker);
void tn_check_source(struct tn_checker *checker);
void tn_check_codec(struct tn_checker *checker);
void tn_check_augment(struct tn_checker *checker);
void tn_check_layer(struct tn_checker *checker);
void tn_check_loss(struct tn_checker *checker);
void tn_check_metric(struct tn_checker *checker);
void tn_check_optimizer(struct tn_checker *checker);
void tn_check_schedule(struct tn_checker *checker);
void tn_check_callback(struct tn_checker *checker);

#endif
