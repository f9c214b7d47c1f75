/* load.c: from a file name to the resolved experiment: read, override, remove, `${…}`, blocks. */
#include <stdlib.h>

#include "config/internal.h"

void tn__config_remove(struct tn_config *config, struct tn_problems *problems)
{
    static const struct tn_option option = {.kind = TN_OPTION_BOOL, .name = "remove", .maximum = 1};
    size_t kept = 0;
    for (size_t i = 0; i < config->section_count; i++) {
        struct tn_section *section = &config->sections[i];
        struct tn_entry *entry = tn__section_find(section, "remove");
        struct tn_error error;
        int32_t drop = 0;
        char title[512];
        if (entry && tn_option_parse(&option, entry->value, NULL, &drop, NULL, &error) != TN_OK)
            tn_problem_add(problems, entry->file, entry->line, "%s remove: %s",
                           tn__section_title(section, title, sizeof title), error.text);
        if (entry && !drop) {
            size_t at = (size_t)(entry - section->entries);
            section->entry_count--;
            memmove(entry, entry + 1, (section->entry_count - at) * sizeof *entry);
        }
        if (drop)
            tn__section_release(section);
        else
            config->sections[kept++] = *section;
    }
    config->section_count = kept;
}

/* Everything after the text was read. TN_OK even when there are problems: all of them are wanted. */
static tn_status resolve(struct tn_config *config, const char *const *overrides, size_t count,
                         struct tn_problems *problems)
{
    bool *later = calloc(count + 1, sizeof *later);
    tn_status status = later ? TN_OK : TN_NO_MEMORY;
    TN_TRY(status, status, out);
    TN_TRY(status, tn__config_override(config, overrides, count, later, problems), out);
    tn__config_remove(config, problems);
    TN_TRY(status, tn__config_expand(config, problems), out);
    TN_TRY(status, tn__config_blocks(config, problems), out);
    status = tn__config_override_made(config, overrides, count, later, problems);
out:
    free(later);
    return status;
}

static tn_status load(const char *text, size_t length, const char *path, const char *const *overrides, size_t count,
                      struct tn_config **config, struct tn_problems *problems)
{
    size_t before = problems->count;
    tn_status status = TN_NO_MEMORY;
    struct tn_config *made = calloc(1, sizeof *made);
    *config = NULL;
    if (!made)
        return TN_NO_MEMORY;
    made->path = tn_arena_string(&made->arena, path);
    if (made->path)
        status = tn__config_read(text, length, path, made, problems);
    if (status == TN_NOT_FOUND) { /* nothing to check any further */
        tn_config_close(&made);
        return problems->failed ? TN_NO_MEMORY : TN_INVALID;
    }
    if (status != TN_NO_MEMORY)
        status = resolve(made, overrides, count, problems);
    if (status != TN_OK || problems->failed || made->arena.failed) {
        tn_config_close(&made);
        return TN_NO_MEMORY;
    }
    *config = made;
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
