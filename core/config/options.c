/* options.c: a section against an option table: one voice for every key that is wrong. */
#include <stdlib.h>

#include "config/internal.h"

static bool is_reserved(const char *const *reserved, const char *key)
{
    for (; reserved && *reserved; reserved++)
        if (strcmp(*reserved, key) == 0)
            return true;
    return false;
}

static const struct tn_option *find_option(const struct tn_option *table, const char *key)
{
    for (; table && table->kind != TN_OPTION_END; table++)
        if (strcmp(table->name, key) == 0)
            return table;
    return NULL;
}

static bool is_required(const struct tn_option *option)
{
    bool number = option->kind == TN_OPTION_INT || option->kind == TN_OPTION_FLOAT || option->kind == TN_OPTION_BOOL ||
                  option->kind == TN_OPTION_ENUM;
    return (option->flags & TN_OPTION_IS_REQUIRED) != 0 || (number && isnan(option->default_number));
}

/* "unknown key `filers`; did you mean `filters`?", or the list of keys when none is near. */
static void unknown_key(const struct tn_option *table, const struct tn_section *section, const struct tn_entry *entry,
                        const char *const *reserved, struct tn_problems *problems)
{
    char title[512], all[1024] = "";
    const char *names[128], *near;
    size_t count = 0, used = 0;
    for (const struct tn_option *o = table; o && o->kind != TN_OPTION_END && count + 1 < TN_COUNT_OF(names); o++)
        if (o->kind != TN_OPTION_GONE)
            names[count++] = o->name;
    for (; reserved && *reserved && count + 1 < TN_COUNT_OF(names); reserved++)
        names[count++] = *reserved;
    names[count] = NULL;
    near = tn_nearest(entry->key, names);
    (void)tn__section_title(section, title, sizeof title);
    if (near) {
        tn_problem_add(problems, entry->file, entry->line, "%s unknown key `%s`; did you mean `%s`?", title, entry->key,
                       near);
        return;
    }
    for (size_t i = 0; i < count && used + 1 < sizeof all; i++) {
        int more = snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", names[i]);
        used += more > 0 ? (size_t)more : 0;
    }
    tn_problem_add(problems, entry->file, entry->line, "%s unknown key `%s`; known are: %s", title, entry->key, all);
}

static void set_default(const struct tn_option *option, void *instance, struct tn_arena *arena)
{
    char *field = (char *)instance + option->offset;
    struct tn_error error;
    int64_t whole;
    int32_t small;
    switch (option->kind) {
    case TN_OPTION_INT:
        whole = isfinite(option->default_number) ? (int64_t)option->default_number : 0;
        memcpy(field, &whole, sizeof whole);
        break;
    case TN_OPTION_FLOAT:
        memcpy(field, &option->default_number, sizeof(double));
        break;
    case TN_OPTION_BOOL:
    case TN_OPTION_ENUM:
        small = isfinite(option->default_number) ? (int32_t)option->default_number : 0;
        memcpy(field, &small, sizeof small);
        break;
    case TN_OPTION_GONE:
        break;
    default:
        if (option->default_text)
            (void)tn_option_parse(option, option->default_text, NULL, field, arena, &error);
        break;
    }
}

tn_status tn_options_apply(const struct tn_option *table, struct tn_section *section, const char *const *reserved,
                           void *instance, struct tn_arena *arena, struct tn_problems *problems)
{
    size_t before = problems->count;
    char title[512] = "";
    if (section)
        (void)tn__section_title(section, title, sizeof title);
    for (const struct tn_option *o = table; o && o->kind != TN_OPTION_END; o++) {
        struct tn_entry *entry = section && !is_reserved(reserved, o->name) ? tn__section_find(section, o->name) : NULL;
        struct tn_error error = {0};
        if (!entry) {
            if (is_required(o) && !is_reserved(reserved, o->name))
                tn_problem_add(problems, section ? section->file : NULL, section ? section->line : 0,
                               "%s%sneeds `%s` (%s): %s", title, *title ? " " : "", o->name,
                               o->kind == TN_OPTION_ENUM && o->choices ? o->choices : tn_option_kind_name(o->kind),
                               o->help ? o->help : "");
            set_default(o, instance, arena);
            continue;
        }
        entry->used = true;
        set_default(o, instance, arena);
        /* What `${…}` could not be replaced by has been said already. */
        if (problems->count && strstr(entry->value, "${"))
            continue;
        if (o->kind == TN_OPTION_GONE)
            tn_problem_add(problems, entry->file, entry->line, "%s %s: no longer used: %s", title, o->name,
                           o->help ? o->help : "");
        else if (tn_option_parse(o, entry->value, entry->file, (char *)instance + o->offset, arena, &error) != TN_OK)
            tn_problem_add(problems, entry->file, entry->line, "%s %s: %s", title, o->name, error.text);
    }
    for (size_t i = 0; section && i < section->entry_count; i++) {
        struct tn_entry *entry = &section->entries[i];
        if (is_reserved(reserved, entry->key))
            entry->used = true;
        else if (!find_option(table, entry->key))
            unknown_key(table, section, entry, reserved, problems);
    }
    if (problems->failed || arena->failed)
        return TN_NO_MEMORY;
    return problems->count == before ? TN_OK : TN_INVALID;
}
