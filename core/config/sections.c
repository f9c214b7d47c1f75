/* sections.c: the list of sections and keys: find, add, read, release. */
#include "config/internal.h"

#include <stdlib.h>

static const char *const section_kinds[] = {"experiment", "plugins", "data",    "source",    "augment",  "strategy",
                                            "layer",      "block",   "loss",    "optimizer", "schedule", "metric",
                                            "callback",   "device",  "weights", NULL};

bool tn__is_section_kind(const char *kind)
{
    for (const char *const *known = section_kinds; *known; known++)
        if (strcmp(*known, kind) == 0)
            return true;
    return false;
}

const char *tn__section_kind_hint(const char *kind, char *buffer, size_t size)
{
    const char *near = tn_nearest(kind, section_kinds);
    size_t used;
    if (near) {
        (void)snprintf(buffer, size, "; did you mean [%s]?", near);
        return buffer;
    }
    (void)snprintf(buffer, size, "; known are");
    for (const char *const *known = section_kinds; *known; known++) {
        used = strlen(buffer);
        (void)snprintf(buffer + used, size - used, "%s %s", known == section_kinds ? "" : ",", *known);
    }
    return buffer;
}

struct tn_entry *tn__section_find(const struct tn_section *section, const char *key)
{
    for (size_t i = 0; i < section->entry_count; i++)
        if (strcmp(section->entries[i].key, key) == 0)
            return &section->entries[i];
    return NULL;
}

struct tn_section *tn__config_find(const struct tn_config *config, const char *kind, const char *name)
{
    for (size_t i = 0; i < config->section_count; i++)
        if (strcmp(config->sections[i].kind, kind) == 0 && strcmp(config->sections[i].name, name) == 0)
            return &config->sections[i];
    return NULL;
}

tn_status tn__section_add(struct tn_section *section, const char *key, const char *value, const char *file,
                          uint32_t line)
{
    if (!key || !value ||
        tn_grow(&section->entries, &section->entry_capacity, section->entry_count + 1, sizeof *section->entries) !=
            TN_OK)
        return TN_NO_MEMORY;
    section->entries[section->entry_count++] = (struct tn_entry){key, value, file, line, false};
    return TN_OK;
}

struct tn_section *tn__config_append(struct tn_config *config, const char *kind, const char *name, const char *file,
                                     uint32_t line)
{
    struct tn_section *section;
    if (!kind || !name ||
        tn_grow(&config->sections, &config->section_capacity, config->section_count + 1, sizeof *config->sections) !=
            TN_OK)
        return NULL;
    section = &config->sections[config->section_count++];
    *section = (struct tn_section){.kind = kind, .name = name, .file = file, .line = line};
    return section;
}

void tn__section_release(struct tn_section *section)
{
    free(section->entries);
    section->entries = NULL;
    section->entry_count = section->entry_capacity = 0;
}

const char *tn__section_title(const struct tn_section *section, char *buffer, size_t size)
{
    (void)snprintf(buffer, size, section->name[0] ? "[%s:%s]" : "[%s]", section->kind, section->name);
    return buffer;
}

bool tn__section_has(const struct tn_section *section, const char *key, const char *value)
{
    const struct tn_entry *entry = tn__section_find(section, key);
    return entry && strcmp(entry->value, value) == 0;
}

const char *tn__name_fault(const char *name)
{
    enum { LONGEST = 128 }; /* blocks put longer ones together */
    if (strlen(name) > LONGEST)
        return "the name of a section has more than 128 bytes";
    if (strpbrk(name, "[],") || strstr(name, "${"))
        return "the name of a section cannot have `[`, `]`, `,` or `${`";
    return tn__value_fault(name);
}

const char *tn__value_fault(const char *value)
{
    if (strpbrk(value, "\r\n"))
        return "a name or value cannot have a line break";
    for (const char *c = value; *c; c++)
        if ((*c == ';' || *c == '#') && c > value && (c[-1] == ' ' || c[-1] == '\t'))
            return "a name or value cannot have ` ;` or ` #`, where a comment begins";
    return NULL;
}

bool tn__next_item(const char **rest, const char **item, size_t *length)
{
    const char *end;
    if (!**rest)
        return false;
    *item = *rest;
    end = *rest + strcspn(*rest, ",");
    *rest = *end ? end + 1 : end;
    while (*item < end && (**item == ' ' || **item == '\t'))
        ++*item;
    while (end > *item && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *length = (size_t)(end - *item);
    return true;
}

bool tn__is_block_member(const struct tn_config *config, const struct tn_section *section)
{
    char block[256];
    const char *slash = strchr(section->name, '/');
    if (!slash || strcmp(section->kind, "layer") != 0 || (size_t)(slash - section->name) >= sizeof block)
        return false;
    memcpy(block, section->name, (size_t)(slash - section->name));
    block[slash - section->name] = '\0';
    return tn__config_find(config, "block", block) != NULL;
}

struct tn_section *tn_config_section(struct tn_config *config, const char *kind, const char *name)
{
    struct tn_section *section = tn__config_find(config, kind, name);
    if (section)
        section->used = true;
    return section;
}

struct tn_section *tn_config_next(struct tn_config *config, const char *kind, const struct tn_section *after)
{
    size_t i = after ? (size_t)(after - config->sections) + 1 : 0;
    for (; i < config->section_count; i++) {
        if (strcmp(config->sections[i].kind, kind) == 0) {
            config->sections[i].used = true;
            return &config->sections[i];
        }
    }
    return NULL;
}

struct tn_entry *tn_section_entry(struct tn_section *section, const char *key)
{
    struct tn_entry *entry = tn__section_find(section, key);
    if (entry)
        entry->used = true;
    return entry;
}

const char *tn_section_value(struct tn_section *section, const char *key)
{
    struct tn_entry *entry = tn_section_entry(section, key);
    return entry ? entry->value : NULL;
}

struct tn_section *tn_config_add(struct tn_config *config, const char *kind, const char *name)
{
    return tn__config_append(config, tn_arena_string(&config->arena, kind), tn_arena_string(&config->arena, name), NULL,
                             0);
}

tn_status tn_section_set(struct tn_config *config, struct tn_section *section, const char *key, const char *value)
{
    struct tn_entry *entry = tn__section_find(section, key);
    char *copy = tn_arena_string(&config->arena, value);
    if (!copy)
        return TN_NO_MEMORY;
    if (entry) {
        entry->value = copy;
        return TN_OK;
    }
    return tn__section_add(section, tn_arena_string(&config->arena, key), copy, NULL, 0);
}

void tn_config_close(struct tn_config **config)
{
    if (!*config)
        return;
    for (size_t i = 0; i < (*config)->section_count; i++)
        tn__section_release(&(*config)->sections[i]);
    free((*config)->sections);
    tn_arena_release(&(*config)->arena);
    free(*config);
    *config = NULL;
}
