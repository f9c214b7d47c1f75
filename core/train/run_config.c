/* run_config.c: the experiment as the run directory keeps it: resolved, and with every path absolute, so that it is an
 * experiment in itself wherever the file lies. */
#include <limits.h>
#include <unistd.h>

#include "train/internal.h"

/* The path of an entry as it was meant, from the root; NULL = no memory, or the folder we are in is gone. */
static const char *whole_path(struct tn_arena *arena, const struct tn_entry *entry, const char *value)
{
    char here[PATH_MAX];
    const char *path = tn_path_beside(arena, entry->file, value); /* as it is, when it comes from the command line */
    if (!path || path[0] == '/')
        return path;
    if (!getcwd(here, sizeof here))
        return NULL;
    return tn_arena_format(arena, "%s/%s", here, path);
}

static bool is_path(const struct tn_option *option)
{
    return option->kind == TN_OPTION_STRING && (option->flags & TN_OPTION_IS_PATH);
}

static const struct tn_option *table_of(const struct tn_experiment *experiment, struct tn_section *section)
{
    const struct tn_entry *type = tn_section_entry(section, "type");
    uint32_t kind = tn_kind_from_name(section->kind);
    const struct tn_type *found;
    if (strcmp(section->kind, "experiment") == 0)
        return tn_experiment_option_table;
    if (strcmp(section->kind, "data") == 0)
        return tn_data_option_table;
    if (strcmp(section->kind, "weights") == 0)
        return tn_weights_option_table;
    if (!kind || !type)
        return NULL;
    found = tn_registry_find(experiment->registry, kind, type->value, NULL);
    return found ? found->options : NULL;
}

static tn_status make_whole(const struct tn_experiment *experiment, struct tn_section *section)
{
    const struct tn_option *option = table_of(experiment, section);
    for (; option && option->kind != TN_OPTION_END; option++) {
        struct tn_entry *entry = is_path(option) ? tn_section_entry(section, option->name) : NULL;
        if (!entry || !*entry->value || !entry->file || tn_option_has_word(option, entry->value))
            continue;
        entry->value = whole_path(&experiment->config->arena, entry, entry->value);
        if (!entry->value)
            return TN_NO_MEMORY;
    }
    return TN_OK;
}

/* [plugins] path is a list. */
static tn_status make_plugins_whole(const struct tn_experiment *experiment)
{
    struct tn_section *section = tn_config_section(experiment->config, "plugins", "");
    struct tn_entry *entry = section ? tn_section_entry(section, "path") : NULL;
    struct tn_text text = {.data = NULL};
    struct tn_list list = {.items = NULL};
    tn_status status = TN_OK;
    if (!entry || !entry->file)
        return TN_OK;
    status = tn_split_names(&experiment->config->arena, entry->value, &list);
    for (uint32_t i = 0; status == TN_OK && i < list.count; i++) {
        const char *path = whole_path(&experiment->config->arena, entry, list.items[i]);
        if (path)
            tn_text_format(&text, "%s%s", i ? ", " : "", path);
        else
            status = TN_NO_MEMORY;
    }
    if (status == TN_OK && text.data) {
        entry->value = tn_arena_string(&experiment->config->arena, text.data);
        status = entry->value && !text.failed ? TN_OK : TN_NO_MEMORY;
    }
    tn_text_release(&text);
    return status;
}

tn_status tn_run_config_print(const struct tn_experiment *experiment, struct tn_text *text)
{
    struct tn_config *config = experiment->config;
    tn_status status = make_plugins_whole(experiment);
    for (size_t i = 0; status == TN_OK && i < config->section_count; i++)
        status = make_whole(experiment, &config->sections[i]);
    tn_text_format(text, "; the resolved experiment of %s\n", config->path);
    return status == TN_OK ? tn_config_print(config, false, text) : status;
}
