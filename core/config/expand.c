/* expand.c: `${section.key}`, `${layer:conv1.filters}` and `${env:HOME}` in values. A name without a dot (`${filters}`)
 * belongs to a block and is replaced when the block is used (blocks.c). */
#include <stdlib.h>

#include "config/internal.h"

/* The last two end what would double at every step: a = ${b}${b}, b = ${c}${c}, … */
enum { LONGEST_NAME = 255, DEEPEST = 64, LONGEST_VALUE = 64 * 1024, MOST_LOOKUPS = 4096 };

struct expansion {
    struct tn_config *config;
    struct tn_problems *problems;
    const struct tn_entry *entry; /* for messages */
    bool block_member;            /* names without a dot stay */
    unsigned lookups;
};

/* The values that are being replaced, from the innermost to the one that the user wrote. */
struct step {
    const struct step *above;
    const struct tn_entry *entry;
    const char *name; /* "section.key"; NULL for the outermost */
};

static bool expand_value(struct expansion *expansion, const struct step *step, struct tn_text *out);

static struct tn_entry *missing(struct expansion *expansion, const char *name, const char *what, const char *near)
{
    tn_problem_add(expansion->problems, expansion->entry->file, expansion->entry->line,
                   near ? "${%s}: %s; did you mean `%s`?" : "${%s}: %s", name, what, near);
    return NULL;
}

static struct tn_entry *missing_section(struct expansion *expansion, const char *name, const char *title)
{
    const struct tn_config *config = expansion->config;
    struct tn_arena arena = {0};
    const char **titles = tn_arena_take(&arena, (config->section_count + 1) * sizeof *titles);
    char what[LONGEST_NAME + 64];
    for (size_t i = 0; titles && i < config->section_count; i++) {
        const struct tn_section *section = &config->sections[i];
        titles[i] = tn_arena_format(&arena, "%s%s%s", section->kind, section->name[0] ? ":" : "", section->name);
    }
    (void)snprintf(what, sizeof what, "there is no section [%s]", title);
    (void)missing(expansion, name, what, arena.failed ? NULL : tn_nearest(title, titles));
    tn_arena_release(&arena);
    return NULL;
}

static struct tn_entry *missing_key(struct expansion *expansion, const char *name, const char *title,
                                    const struct tn_section *section, const char *key)
{
    struct tn_arena arena = {0};
    const char **keys = tn_arena_take(&arena, (section->entry_count + 1) * sizeof *keys);
    char what[2 * LONGEST_NAME + 64];
    for (size_t i = 0; keys && i < section->entry_count; i++)
        keys[i] = section->entries[i].key;
    (void)snprintf(what, sizeof what, "[%s] has no `%s`", title, key);
    (void)missing(expansion, name, what, keys ? tn_nearest(key, keys) : NULL);
    tn_arena_release(&arena);
    return NULL;
}

/* The entry that "section.key" names, or NULL with a problem. */
static struct tn_entry *look_up(struct expansion *expansion, const char *name)
{
    char title[LONGEST_NAME + 1], *colon;
    const char *key = strrchr(name, '.') + 1;
    const struct tn_section *section;
    struct tn_entry *entry;
    (void)snprintf(title, sizeof title, "%.*s", (int)(key - 1 - name), name);
    colon = strchr(title, ':');
    if (colon)
        *colon = '\0';
    section = tn__config_find(expansion->config, title, colon ? colon + 1 : "");
    if (colon)
        *colon = ':';
    if (!section)
        return missing_section(expansion, name, title);
    entry = tn__section_find(section, key);
    return entry ? entry : missing_key(expansion, name, title, section, key);
}

static bool expand_environment(struct expansion *expansion, const char *name, struct tn_text *out)
{
    const char *value = getenv(name + strlen("env:"));
    const char *fault = value ? tn__value_fault(value) : "the environment has no such variable";
    if (value && strstr(value, "${"))
        fault = "a variable of the environment cannot refer to another value";
    if (!fault) {
        tn_text_add(out, value);
        return true;
    }
    tn_problem_add(expansion->problems, expansion->entry->file, expansion->entry->line, "${%s}: %s", name, fault);
    return false;
}

/* "data.a -> data.b -> data.a" into a buffer. */
static void say_steps(const struct step *step, char *buffer, size_t size)
{
    size_t used;
    buffer[0] = '\0';
    if (step->above)
        say_steps(step->above, buffer, size);
    used = strlen(buffer);
    (void)snprintf(buffer + used, size - used, "%s%s", used ? " -> " : "", step->name ? step->name : step->entry->key);
}

/* Whether the value may be replaced below `step`: not when it is being replaced already. */
static bool may_step(struct expansion *expansion, const struct step *next)
{
    char way[1024];
    int depth = 0;
    for (const struct step *s = next->above; s; s = s->above, depth++) {
        if (s->entry != next->entry)
            continue;
        say_steps(next, way, sizeof way);
        tn_problem_add(expansion->problems, expansion->entry->file, expansion->entry->line,
                       "`%s` leads back to itself: %s", expansion->entry->key, way);
        return false;
    }
    if (depth <= DEEPEST && ++expansion->lookups <= MOST_LOOKUPS)
        return true;
    tn_problem_add(expansion->problems, expansion->entry->file, expansion->entry->line,
                   "`%s` needs more than %d replacements, or %d in one another", expansion->entry->key, MOST_LOOKUPS,
                   DEEPEST);
    return false;
}

static bool expand_reference(struct expansion *expansion, const struct step *step, const char *name,
                             struct tn_text *out)
{
    struct step next = {step, NULL, name};
    if (strncmp(name, "env:", 4) == 0)
        return expand_environment(expansion, name, out);
    if (!strchr(name, '.')) {
        if (expansion->block_member) {
            tn_text_format(out, "${%s}", name);
            return true;
        }
        tn_problem_add(expansion->problems, expansion->entry->file, expansion->entry->line,
                       "${%s}: expected ${section.key} or ${env:NAME}", name);
        return false;
    }
    next.entry = look_up(expansion, name);
    return next.entry && may_step(expansion, &next) && expand_value(expansion, &next, out);
}

static bool expand_value(struct expansion *expansion, const struct step *step, struct tn_text *out)
{
    for (const char *value = step->entry->value; *value;) {
        const char *start = strstr(value, "${"), *end = start ? strchr(start, '}') : NULL;
        char name[LONGEST_NAME + 1];
        size_t length = end ? (size_t)(end - start - 2) : 0;
        tn_text_add_bytes(out, value, start ? (size_t)(start - value) : strlen(value));
        if (out->length > LONGEST_VALUE || (start && (!end || length > LONGEST_NAME))) {
            tn_problem_add(expansion->problems, expansion->entry->file, expansion->entry->line,
                           out->length > LONGEST_VALUE ? "`%s` becomes too long" : "`%s`: a `${` without its `}`",
                           expansion->entry->key);
            return false;
        }
        if (!start)
            break;
        memcpy(name, start + 2, length);
        name[length] = '\0';
        if (!expand_reference(expansion, step, name, out))
            return false;
        value = end + 1;
    }
    return true;
}

tn_status tn__entry_expand(struct tn_config *config, struct tn_section *section, struct tn_entry *entry,
                           struct tn_problems *problems)
{
    struct expansion expansion = {config, problems, entry, tn__is_block_member(config, section), 0};
    struct step step = {NULL, entry, NULL};
    struct tn_text out = {0};
    bool whole;
    if (!strstr(entry->value, "${"))
        return TN_OK;
    whole = expand_value(&expansion, &step, &out) && !out.failed;
    if (whole && !expansion.block_member && out.data && strstr(out.data, "${")) {
        tn_problem_add(problems, entry->file, entry->line, "`%s` becomes a `${` by what is put in", entry->key);
    } else if (whole) {
        const char *value = tn_arena_string(&config->arena, out.data ? out.data : "");
        entry->value = value ? value : entry->value;
    }
    whole = !out.failed && !config->arena.failed;
    tn_text_release(&out);
    return whole ? TN_OK : TN_NO_MEMORY;
}

tn_status tn__config_expand(struct tn_config *config, struct tn_problems *problems)
{
    for (size_t i = 0; i < config->section_count; i++) {
        struct tn_section *section = &config->sections[i];
        for (size_t k = 0; k < section->entry_count; k++)
            if (tn__entry_expand(config, section, &section->entries[k], problems) != TN_OK)
                return TN_NO_MEMORY;
    }
    return TN_OK;
}
