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

/* ---- plugin_check_….c: one file for each kind that has checks of its own ---- */

/* A running check, in the child. Lines begin with '+' (passed), '-' (failed) or '.' (a remark). */
struct tn_checker {
    int out;
    struct tn_registry *registry;
    const struct tn_type *type;
    uint64_t draws; /* of the checker's own random numbers */
};
TN_PRINTF(2, 3) void tn_check_pass(struct tn_checker *checker, const char *format, ...);
TN_PRINTF(2, 3) void tn_check_fail(struct tn_checker *checker, const char *format, ...);
TN_PRINTF(2, 3) void tn_check_remark(struct tn_checker *checker, const char *format, ...);
/* An instance with the smallest set of options that open() may expect: defaults, and for required ones their lower
 * bound or a plain text. NULL when it refuses them, with a remark: options of a type may depend on each other. */
struct tn_instance *tn_check_instance(struct tn_checker *checker);
/* Memory with guard bytes around it; broken() tells whether they were touched. */
void *tn_guarded_new(uint64_t bytes);
bool tn_guarded_broken(const void *memory);
void tn_guarded_free(void *memory);

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
void tn_check_format(struct tn_checker *checker);

#endif
