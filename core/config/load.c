/* load.c: from a file name to the resolved experiment: parse, include, override, remove, blocks, `${…}`. */
#include <stdlib.h>

#include "config/internal.h"

enum { LONGEST_FILE = 16 * 1024 * 1024, DEEPEST_INCLUDE = 16 };

/* One file on the way from the main file to an include, to find cycles. */
struct chain {
    const struct chain *above;
    const char *path;
};

static tn_status load_file(const char *path, const struct chain *above, struct tn_config *config, const char *from,
                           uint32_t from_line, struct tn_problems *problems);

/* Moves what `base` has and `config` lacks behind the sections of `config`; the including file wins, key by key. */
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
    /* The base's order counts (a network is a row of layers): sections that only the including file has come after it.
     */
    if (base->section_count) {
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
    }
    return TN_OK;
}

static tn_status include_one(struct tn_config *config, const char *path, const struct tn_entry *entry,
                             const struct chain *above, struct tn_problems *problems)
{
    struct tn_config *base = calloc(1, sizeof *base);
    tn_status status;
    if (!base)
        return TN_NO_MEMORY;
    status = load_file(path, above, base, entry->file, entry->line, problems);
    if (status != TN_NO_MEMORY)
        status = merge(config, base);
    tn_config_close(&base);
    return status;
}

/* `include = a.ini, b.ini` in [experiment]: later files lose against earlier ones. */
static tn_status follow_includes(struct tn_config *config, const struct chain *above, struct tn_problems *problems)
{
    struct tn_section *experiment = tn__config_find(config, "experiment", "");
    struct tn_entry *found = experiment ? tn__section_find(experiment, "include") : NULL, entry;
    const char *rest;
    if (!found)
        return TN_OK;
    entry = *found;
    *found = experiment->entries[--experiment->entry_count];
    for (rest = entry.value; *rest;) {
        size_t length = strcspn(rest, ",");
        const char *begin = rest, *end = rest + length;
        char *name;
        while (begin < end && (*begin == ' ' || *begin == '\t'))
            begin++;
        while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        name = tn_arena_text(&config->arena, begin, (size_t)(end - begin));
        name = name ? tn_path_beside(&config->arena, entry.file, name) : NULL;
        if (!name || include_one(config, name, &entry, above, problems) == TN_NO_MEMORY)
            return TN_NO_MEMORY;
        rest += length + (rest[length] == ',');
    }
    return TN_OK;
}

static tn_status load_text(const char *text, size_t length, const char *path, const struct chain *above,
                           struct tn_config *config, struct tn_problems *problems)
{
    struct chain here = {above, path};
    tn_status status = tn__config_parse(text, length, path, config, problems);
    return status == TN_OK ? follow_includes(config, &here, problems) : status;
}

static tn_status load_file(const char *path, const struct chain *above, struct tn_config *config, const char *from,
                           uint32_t from_line, struct tn_problems *problems)
{
    struct tn_error error = {0};
    void *data;
    uint64_t bytes;
    tn_status status;
    int depth = 0;
    for (const struct chain *c = above; c; c = c->above, depth++) {
        if (strcmp(c->path, path) == 0 || depth > DEEPEST_INCLUDE) {
            tn_problem_add(problems, from, from_line, "%s includes itself by way of %s", path, from);
            return TN_INVALID;
        }
    }
    status = tn_file_read(path, LONGEST_FILE, &data, &bytes, &error);
    if (status != TN_OK) {
        tn_problem_add(problems, from, from_line, "%s", error.text);
        return TN_INVALID;
    }
    status = load_text(data, (size_t)bytes, path, above, config, problems);
    free(data);
    return status;
}

static const char *trim(struct tn_arena *arena, const char *begin, size_t length)
{
    while (length && (*begin == ' ' || *begin == '\t')) {
        begin++;
        length--;
    }
    while (length && (begin[length - 1] == ' ' || begin[length - 1] == '\t'))
        length--;
    return tn_arena_text(arena, begin, length);
}

static tn_status override_one(struct tn_config *config, const char *text, struct tn_problems *problems)
{
    struct tn_arena *arena = &config->arena;
    const char *equals = strchr(text, '='), *dot = NULL, *colon;
    const char *kind, *name, *key, *value;
    struct tn_section *section;
    struct tn_entry *entry;
    for (const char *c = text; equals && c < equals; c++)
        if (*c == '.')
            dot = c;
    if (!equals || !dot || dot == text) {
        tn_problem_add(problems, NULL, 0,
                       "`%s`: expected section.key=value, e.g. data.batch_size=16 or layer:conv1.filters=64", text);
        return TN_INVALID;
    }
    colon = memchr(text, ':', (size_t)(dot - text));
    kind = trim(arena, text, (size_t)((colon ? colon : dot) - text));
    name = colon ? trim(arena, colon + 1, (size_t)(dot - colon - 1)) : tn_arena_string(arena, "");
    key = trim(arena, dot + 1, (size_t)(equals - dot - 1));
    value = trim(arena, equals + 1, strlen(equals + 1));
    if (!kind || !name || !key || !value)
        return TN_NO_MEMORY;
    section = tn__config_find(config, kind, name);
    if (!section) {
        bool known = false;
        for (const char *const *k = tn__section_kinds; *k; k++)
            known = known || strcmp(*k, kind) == 0;
        if (!known) {
            const char *near = tn_nearest(kind, tn__section_kinds);
            tn_problem_add(problems, NULL, 0,
                           near ? "`%s`: there is no section [%s]; did you mean %s?" : "`%s`: there is no section [%s]",
                           text, kind, near);
            return TN_INVALID;
        }
        section = tn__config_append(config, kind, name, "command line", 0);
        if (!section)
            return TN_NO_MEMORY;
    }
    entry = tn__section_find(section, key);
    if (!entry)
        return tn__section_add(section, key, value, "command line", 0);
    entry->value = value;
    entry->file = "command line";
    entry->line = 0;
    return TN_OK;
}

tn_status tn__config_override(struct tn_config *config, const char *const *overrides, size_t count,
                              struct tn_problems *problems)
{
    for (size_t i = 0; i < count; i++)
        if (override_one(config, overrides[i], problems) == TN_NO_MEMORY)
            return TN_NO_MEMORY;
    return TN_OK;
}

void tn__config_remove(struct tn_config *config)
{
    size_t kept = 0;
    for (size_t i = 0; i < config->section_count; i++) {
        struct tn_section *section = &config->sections[i];
        const struct tn_entry *entry = tn__section_find(section, "remove");
        if (entry &&
            (strcmp(entry->value, "yes") == 0 || strcmp(entry->value, "true") == 0 || strcmp(entry->value, "1") == 0))
            tn__section_release(section);
        else
            config->sections[kept++] = *section;
    }
    config->section_count = kept;
}

/* Everything after the text was read. */
static tn_status resolve(struct tn_config *config, const char *const *overrides, size_t count,
                         struct tn_problems *problems)
{
    tn_status status = tn__config_override(config, overrides, count, problems);
    if (status == TN_NO_MEMORY)
        return status;
    tn__config_remove(config);
    status = tn__config_expand(config, problems);
    if (status == TN_NO_MEMORY)
        return status;
    return tn__config_blocks(config, problems);
}

static tn_status load(const char *text, size_t length, const char *path, const char *const *overrides, size_t count,
                      struct tn_config **config, struct tn_problems *problems)
{
    size_t before = problems->count;
    tn_status status;
    *config = calloc(1, sizeof **config);
    if (!*config)
        return TN_NO_MEMORY;
    (*config)->path = tn_arena_string(&(*config)->arena, path);
    if (!(*config)->path) {
        tn_config_close(config);
        return TN_NO_MEMORY;
    }
    status = text ? load_text(text, length, path, NULL, *config, problems)
                  : load_file(path, NULL, *config, NULL, 0, problems);
    if (status != TN_NO_MEMORY && problems->count == before)
        status = resolve(*config, overrides, count, problems);
    else if (status != TN_NO_MEMORY)
        (void)resolve(*config, overrides, count, problems);
    if (status == TN_NO_MEMORY || problems->failed || (*config)->arena.failed) {
        tn_config_close(config);
        return TN_NO_MEMORY;
    }
    return problems->count == before ? TN_OK : TN_INVALID;
}

tn_status tn_config_load(const char *path, const char *const *overrides, size_t override_count,
                         struct tn_config **config, struct tn_problems *problems)
{
    return load(NULL, 0, path, overrides, override_count, config, problems);
}

tn_status tn_config_load_text(const char *text, size_t length, const char *path, const char *const *overrides,
                              size_t override_count, struct tn_config **config, struct tn_problems *problems)
{
    return load(text ? text : "", length, path, overrides, override_count, config, problems);
}
