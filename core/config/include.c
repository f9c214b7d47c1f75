/* include.c: `include = base.ini` in [experiment]: reads files below the main file and merges them, key by key. */
#include <limits.h>
#include <stdlib.h>

#include "config/internal.h"

enum { LONGEST_FILE = 16 * 1024 * 1024, DEEPEST_INCLUDE = 16, MOST_FILES = 256 };

/* One file on the way from the main file to an include, to find cycles and to say how one got there. */
struct chain {
    const struct chain *above;
    const char *path;
    const char *real; /* without links, "." and ".."; NULL when the file has no such name (text) */
};

/* What the reading of one experiment shares. */
struct reading {
    struct tn_problems *problems;
    unsigned files;
};

static tn_status load_text(struct reading *reading, const char *text, size_t length, const struct chain *here,
                           struct tn_config *config);

/* "main.ini -> a.ini -> b.ini" into a buffer. */
static const char *say_chain(const struct chain *chain, char *buffer, size_t size)
{
    size_t used = 0;
    buffer[0] = '\0';
    if (chain->above) {
        (void)say_chain(chain->above, buffer, size);
        used = strlen(buffer);
    }
    (void)snprintf(buffer + used, size - used, "%s%s", used ? " -> " : "", chain->path);
    return buffer;
}

/* Puts the sections in order: the base's first (a network is a row of layers), then those that only the including file
 * has. */
static tn_status order_by(struct tn_config *config, const struct tn_config *base, size_t own)
{
    struct tn_section *ordered = calloc(config->section_count, sizeof *ordered);
    size_t used = 0;
    if (!ordered)
        return TN_NO_MEMORY;
    for (size_t i = 0; i < base->section_count; i++)
        ordered[used++] = *tn__config_find(config, base->sections[i].kind, base->sections[i].name);
    for (size_t i = 0; i < own; i++)
        if (!tn__config_find(base, config->sections[i].kind, config->sections[i].name))
            ordered[used++] = config->sections[i];
    memcpy(config->sections, ordered, used * sizeof *ordered);
    config->section_count = used;
    free(ordered);
    return TN_OK;
}

/* Copies what `base` has and `config` lacks; the including file wins, key by key. */
static tn_status merge(struct tn_config *config, const struct tn_config *base)
{
    struct tn_arena *arena = &config->arena;
    size_t own = config->section_count;
    for (size_t i = 0; i < base->section_count; i++) {
        const struct tn_section *from = &base->sections[i];
        struct tn_section *into = tn__config_find(config, from->kind, from->name);
        if (!into)
            into = tn__config_append(config, tn_arena_string(arena, from->kind), tn_arena_string(arena, from->name),
                                     tn_arena_string(arena, from->file), from->line);
        if (!into)
            return TN_NO_MEMORY;
        for (size_t k = 0; k < from->entry_count; k++) {
            const struct tn_entry *entry = &from->entries[k];
            if (!tn__section_find(into, entry->key) &&
                tn__section_add(into, tn_arena_string(arena, entry->key), tn_arena_string(arena, entry->value),
                                tn_arena_string(arena, entry->file), entry->line) != TN_OK)
                return TN_NO_MEMORY;
        }
    }
    return base->section_count ? order_by(config, base, own) : TN_OK;
}

/* Whether `path` may be read below `above`; a problem at the line that includes it says why not. */
static bool may_include(struct reading *reading, const char *path, const char *real, const struct chain *above,
                        const struct tn_entry *from)
{
    char way[2048];
    int depth = 0;
    for (const struct chain *c = above; c; c = c->above, depth++) {
        if (strcmp(c->path, path) != 0 && (!real || !c->real || strcmp(c->real, real) != 0))
            continue;
        tn_problem_add(reading->problems, from->file, from->line, "include: a cycle: %s -> %s",
                       say_chain(above, way, sizeof way), path);
        return false;
    }
    if (depth > DEEPEST_INCLUDE || reading->files >= MOST_FILES) {
        tn_problem_add(reading->problems, from->file, from->line,
                       "include: more than %d files, or %d in one another: %s -> %s", MOST_FILES, DEEPEST_INCLUDE,
                       say_chain(above, way, sizeof way), path);
        return false;
    }
    return true;
}

/* Reads one file; `from` is the key that includes it, NULL for the main file. */
static tn_status load_file(struct reading *reading, const char *path, const struct chain *above,
                           const struct tn_entry *from, struct tn_config *config)
{
    struct tn_error error = {.status = TN_OK};
    char *real = realpath(path, NULL);
    struct chain here = {above, path, real};
    void *data = NULL;
    uint64_t bytes;
    tn_status status = TN_INVALID;
    if (from && !may_include(reading, path, real, above, from))
        goto out;
    reading->files++;
    if (tn_file_read(path, LONGEST_FILE, &data, &bytes, &error) == TN_OK) {
        status = load_text(reading, data, (size_t)bytes, &here, config);
    } else if (from) {
        char way[2048];
        tn_problem_add(reading->problems, from->file, from->line, "include: %s (%s)", error.text,
                       say_chain(&here, way, sizeof way));
    } else {
        tn_problem_add(reading->problems, NULL, 0, "%s", error.text);
        status = TN_NOT_FOUND;
    }
out:
    free(data);
    free(real);
    return status;
}

static tn_status include_one(struct reading *reading, const char *path, const struct tn_entry *from,
                             const struct chain *above, struct tn_config *config)
{
    struct tn_config *base = calloc(1, sizeof *base);
    tn_status status;
    if (!base)
        return TN_NO_MEMORY;
    status = load_file(reading, path, above, from, base);
    if (status != TN_NO_MEMORY && !base->arena.failed)
        status = merge(config, base);
    else
        status = TN_NO_MEMORY;
    tn_config_close(&base);
    return status;
}

/* `include = a.ini, b.ini`: the files lose against this one, and later ones against earlier ones. */
static tn_status follow_includes(struct reading *reading, const struct chain *here, struct tn_config *config)
{
    struct tn_section *experiment = tn__config_find(config, "experiment", "");
    struct tn_entry *found = experiment ? tn__section_find(experiment, "include") : NULL, entry;
    const char *rest, *item;
    size_t length, at;
    if (!found)
        return TN_OK;
    entry = *found;
    at = (size_t)(found - experiment->entries);
    experiment->entry_count--;
    memmove(found, found + 1, (experiment->entry_count - at) * sizeof *found);
    for (rest = entry.value; tn__next_item(&rest, &item, &length);) {
        char *path = length ? tn_arena_text(&config->arena, item, length) : NULL;
        if (!length) {
            tn_problem_add(reading->problems, entry.file, entry.line, "include: an empty name in the list");
            continue;
        }
        path = path ? tn_path_beside(&config->arena, entry.file, path) : NULL;
        if (!path || include_one(reading, path, &entry, here, config) == TN_NO_MEMORY)
            return TN_NO_MEMORY;
    }
    return TN_OK;
}

static tn_status load_text(struct reading *reading, const char *text, size_t length, const struct chain *here,
                           struct tn_config *config)
{
    tn_status status = tn__config_parse(text, length, here->path, config, reading->problems);
    return status == TN_OK ? follow_includes(reading, here, config) : status;
}

tn_status tn__config_read(const char *text, size_t length, const char *path, struct tn_config *config,
                          struct tn_problems *problems)
{
    struct reading reading = {problems, 0};
    struct chain here = {NULL, path, NULL};
    return text ? load_text(&reading, text, length, &here, config) : load_file(&reading, path, NULL, NULL, config);
}
