/* config.h: an experiment file as sections and keys, each with the place that it came from.
 *
 * tn_config_load reads the INI text, follows `include`, applies command-line overrides, expands `${…}`, blocks and
 * `remove = yes`. What it returns is the resolved experiment: plain sections in order. It does not know which keys a
 * type has: tn_options_apply checks a section against an option table. Problems are collected, not returned at the
 * first.
 */
#ifndef TENON_CONFIG_H
#define TENON_CONFIG_H

#include "base/base.h"
#include "tenon/option.h"

/* ---- problems: all the errors of a file in one run (problems.c) ---- */
struct tn_problem {
    const char *file; /* may be NULL: command line */
    uint32_t line;    /* 0 = none */
    const char *text;
};
struct tn_problems {
    struct tn_problem *items;
    size_t count, capacity;
    struct tn_arena arena;
    bool failed; /* memory ran out while a problem was recorded */
};
TN_PRINTF(4, 5)
void tn_problem_add(struct tn_problems *problems, const char *file, uint32_t line, const char *format, ...);
void tn_problems_release(struct tn_problems *problems);

/* ---- sections ---- */
struct tn_entry {
    const char *key, *value; /* value: expanded */
    const char *file;        /* "command line" for an override */
    uint32_t line;
    bool used; /* somebody read it; what stays false is an unknown key */
};
struct tn_section {
    const char *kind; /* "layer" of [layer:conv1], "data" of [data] */
    const char *name; /* "conv1"; "" when there is none */
    const char *file;
    uint32_t line;
    struct tn_entry *entries;
    size_t entry_count, entry_capacity;
    bool used;
};
struct tn_config {
    const char *path; /* of the main file */
    struct tn_section *sections;
    size_t section_count, section_capacity;
    struct tn_arena arena;
};

/* Loads `path`; `overrides` are "section.key=value" texts ("data.batch_size=8", "layer:conv1.filters=64",
 * "source:train.path=x"). TN_INVALID when there are problems (the config is still returned as far as it goes, so that
 * more can be checked; NULL when `path` itself cannot be read), TN_NO_MEMORY (NULL). Caller releases with
 * tn_config_close(&config). */
tn_status tn_config_load(const char *path, const char *const *overrides, size_t override_count,
                         struct tn_config **config, struct tn_problems *problems);
/* The same from text, for tests and fuzzers; `path` is the name used in messages and the base of includes. */
tn_status tn_config_load_text(const char *text, size_t length, const char *path, const char *const *overrides,
                              size_t override_count, struct tn_config **config, struct tn_problems *problems);
void tn_config_close(struct tn_config **config);

struct tn_section *tn_config_section(struct tn_config *config, const char *kind,
                                     const char *name); /* NULL = none; name "" matches [kind] */
/* Next section of a kind after `after` (NULL = first), in order. */
struct tn_section *tn_config_next(struct tn_config *config, const char *kind, const struct tn_section *after);
/* Value of a key, or NULL; marks it used. */
const char *tn_section_value(struct tn_section *section, const char *key);
struct tn_entry *tn_section_entry(struct tn_section *section, const char *key);
/* Appends a section (for defaults that the core adds); from the config's arena. Pointers to other sections do not
 * survive it: the list may move. */
struct tn_section *tn_config_add(struct tn_config *config, const char *kind, const char *name);
tn_status tn_section_set(struct tn_config *config, struct tn_section *section, const char *key, const char *value);
/* The resolved experiment as INI text; with_places adds "; file:line" to each value. */
tn_status tn_config_print(const struct tn_config *config, bool with_places, struct tn_text *text);

/* ---- options (options.c): a section against a table ---- */
/* Fills the zeroed `instance` from defaults and section (NULL: defaults only). Texts and lists come from `arena`. Keys
 * named in `reserved` (NULL-terminated; "type", "inputs", …) are left alone and counted as known. Each wrong, missing
 * or unknown key adds a problem "[kind:name] key: …"; unknown ones with the nearest known name. Returns TN_INVALID when
 * it added any. */
tn_status tn_options_apply(const struct tn_option *table, struct tn_section *section, const char *const *reserved,
                           void *instance, struct tn_arena *arena, struct tn_problems *problems);
/* Whether the text is one of the option's words, so that it is no path. */
bool tn_option_has_word(const struct tn_option *option, const char *text);
/* Parses one text as an option says; a failure gives the phrase ("0 is outside 1..64", "`8x` is not a whole number").
 */
tn_status tn_option_parse(const struct tn_option *option, const char *text, const char *base_file, void *field,
                          struct tn_arena *arena, struct tn_error *error);
/* The default of an option as a user would type it ("", when there is none). */
char *tn_option_default_text(const struct tn_option *option, struct tn_arena *arena);
/* Type name for people: "whole number", "yes/no", "height x width", … */
const char *tn_option_kind_name(uint32_t kind);

#endif
