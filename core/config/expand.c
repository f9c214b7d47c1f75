/* expand.c: `${section.key}`, `${layer:conv1.filters}` and `${env:HOME}` in values. A name without a dot (`${filters}`)
 * belongs to a block and is replaced when the block is used (blocks.c). */
#include <stdlib.h>

#include "config/internal.h"

enum { DEEPEST = 16, LONGEST_VALUE = 64 * 1024 };

struct expansion {
    struct tn_config *config;
    struct tn_problems *problems;
    const struct tn_entry *entry; /* for messages */
    bool block_member;            /* names without a dot stay */
};

static bool expand_value(struct expansion *expansion, const char *value, int depth, struct tn_text *out);

/* The value that "section.key" names, or NULL with a problem. */
static const char *look_up(struct expansion *expansion, const char *name)
{
    char kind[128], section_name[256];
    const char *dot = strrchr(name, '.'), *colon = memchr(name, ':', (size_t)(dot - name));
    const char *kind_end = colon ? colon : dot;
    const struct tn_section *section;
    const struct tn_entry *entry;
    (void)snprintf(kind, sizeof kind, "%.*s", (int)(kind_end - name), name);
    (void)snprintf(section_name, sizeof section_name, "%.*s", colon ? (int)(dot - colon - 1) : 0,
                   colon ? colon + 1 : "");
    section = tn__config_find(expansion->config, kind, section_name);
    if (!section) {
        tn_problem_add(expansion->problems, expansion->entry->file, expansion->entry->line,
                       "${%s}: there is no section [%.*s]", name, (int)(dot - name), name);
        return NULL;
    }
    entry = tn__section_find(section, dot + 1);
    if (!entry) {
        const char *keys[64], *near;
        size_t count = 0;
        for (; count < section->entry_count && count + 1 < TN_COUNT_OF(keys); count++)
            keys[count] = section->entries[count].key;
        keys[count] = NULL;
        near = tn_nearest(dot + 1, keys);
        tn_problem_add(expansion->problems, expansion->entry->file, expansion->entry->line,
                       near ? "${%s}: [%.*s] has no `%s`; did you mean `%s`?" : "${%s}: [%.*s] has no `%s`", name,
                       (int)(dot - name), name, dot + 1, near);
        return NULL;
    }
    return entry->value;
}

static bool expand_reference(struct expansion *expansion, const char *name, int depth, struct tn_text *out)
{
    const char *value;
    if (strncmp(name, "env:", 4) == 0) {
        value = getenv(name + 4);
        if (!value) {
            tn_problem_add(expansion->problems, expansion->entry->file, expansion->entry->line,
                           "${%s}: the environment has no variable %s", name, name + 4);
            return false;
        }
        tn_text_add(out, value);
        return true;
    }
    if (!strchr(name, '.')) {
        if (expansion->block_member) {
            tn_text_format(out, "${%s}", name);
            return true;
        }
        tn_problem_add(expansion->problems, expansion->entry->file, expansion->entry->line,
                       "${%s}: expected ${section.key} or ${env:NAME}", name);
        return false;
    }
    value = look_up(expansion, name);
    return value && expand_value(expansion, value, depth + 1, out);
}

static bool expand_value(struct expansion *expansion, const char *value, int depth, struct tn_text *out)
{
    if (depth > DEEPEST || out->length > LONGEST_VALUE) {
        tn_problem_add(expansion->problems, expansion->entry->file, expansion->entry->line, "`%s` refers to itself",
                       expansion->entry->key);
        return false;
    }
    while (*value) {
        const char *start = strstr(value, "${"), *end = start ? strchr(start, '}') : NULL;
        char name[256];
        if (!start) {
            tn_text_add(out, value);
            return true;
        }
        if (!end || (size_t)(end - start - 2) >= sizeof name) {
            tn_problem_add(expansion->problems, expansion->entry->file, expansion->entry->line,
                           "`${` without a closing `}`");
            return false;
        }
        tn_text_add_bytes(out, value, (size_t)(start - value));
        (void)snprintf(name, sizeof name, "%.*s", (int)(end - start - 2), start + 2);
        if (!expand_reference(expansion, name, depth, out))
            return false;
        value = end + 1;
    }
    return true;
}

tn_status tn__config_expand(struct tn_config *config, struct tn_problems *problems)
{
    size_t before = problems->count;
    for (size_t i = 0; i < config->section_count; i++) {
        struct tn_section *section = &config->sections[i];
        for (size_t k = 0; k < section->entry_count; k++) {
            struct tn_entry *entry = &section->entries[k];
            struct expansion expansion = {config, problems, entry, tn__is_block_member(config, section)};
            struct tn_text out = {0};
            if (!strstr(entry->value, "${"))
                continue;
            if (expand_value(&expansion, entry->value, 0, &out) && !out.failed) {
                char *value = tn_arena_string(&config->arena, out.data ? out.data : "");
                if (value)
                    entry->value = value;
            }
            tn_text_release(&out);
            if (config->arena.failed)
                return TN_NO_MEMORY;
        }
    }
    return problems->count == before ? TN_OK : TN_INVALID;
}
