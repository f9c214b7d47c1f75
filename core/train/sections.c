/* sections.c: sections of the experiment -> instances of plugin types. */
#include <stdlib.h>
#include <string.h>

#include "train/internal.h"

/* Sections of which there is one, without a name. */
static const char *const plain_kinds[] = {"experiment", "data", "plugins", "weights", NULL};
/* Sections of which there is one, with or without a name. */
static const char *const single_kinds[] = {"loss", "optimizer", "schedule", NULL};

static bool among(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

void tn_setup_problem(struct tn_setup *setup, const struct tn_error *error, const char *file, uint32_t line)
{
    if (error->file[0])
        tn_problem_add(setup->problems, error->file, error->line, "%s", error->text);
    else
        tn_problem_add(setup->problems, file, line, "%s", error->text);
}

void tn_setup_names(struct tn_setup *setup)
{
    struct tn_config *config = setup->experiment->config;
    for (size_t i = 0; i < config->section_count; i++) {
        const struct tn_section *section = &config->sections[i];
        struct tn_section *first = tn_config_next(config, section->kind, NULL);
        if (among(plain_kinds, section->kind) && *section->name)
            tn_problem_add(setup->problems, section->file, section->line,
                           "[%s:%s]: this section has no name: write [%s]", section->kind, section->name,
                           section->kind);
        else if (among(single_kinds, section->kind) && first != section)
            tn_problem_add(setup->problems, section->file, section->line,
                           "[%s%s%s]: there is one already in line %u, and an experiment has one %s", section->kind,
                           *section->name ? ":" : "", section->name, first->line, section->kind);
    }
}

tn_status tn_split_names(struct tn_arena *arena, const char *text, struct tn_list *list)
{
    const char **items;
    uint32_t count = 1;
    *list = (struct tn_list){NULL, 0};
    if (!text)
        return TN_OK;
    for (const char *at = text; *at; at++)
        count += *at == ',';
    items = tn_arena_take(arena, count * sizeof *items);
    if (!items)
        return TN_NO_MEMORY;
    count = 0;
    while (*text) {
        size_t length = strcspn(text, ","), end = length, start = 0;
        while (start < end && strchr(" \t", text[start]))
            start++;
        while (end > start && strchr(" \t", text[end - 1]))
            end--;
        if (end > start)
            items[count++] = tn_arena_text(arena, text + start, end - start);
        text += length + (text[length] == ',');
    }
    *list = (struct tn_list){items, count};
    return arena->failed ? TN_NO_MEMORY : TN_OK;
}

tn_status tn_setup_instances(struct tn_setup *setup, uint32_t kind, const char *const *reserved,
                             struct tn_instance ***list, uint32_t *count)
{
    struct tn_experiment *experiment = setup->experiment;
    const char *name = tn_kind_name(kind);
    struct tn_section *section = NULL;
    size_t sections = 0;
    while ((section = tn_config_next(experiment->config, name, section)) != NULL)
        sections++;
    *list = tn_arena_take(&experiment->arena, (sections + 1) * sizeof **list);
    if (!*list)
        return TN_NO_MEMORY;
    while ((section = tn_config_next(experiment->config, name, section)) != NULL) {
        struct tn_instance *instance = NULL;
        tn_status status =
            tn_instance_open(experiment->registry, kind, NULL, section, reserved, &instance, setup->problems);
        if (status == TN_NO_MEMORY)
            return status;
        if (status == TN_OK)
            (*list)[(*count)++] = instance;
    }
    return TN_OK;
}

tn_status tn_setup_single(struct tn_setup *setup, uint32_t kind, struct tn_instance **instance)
{
    struct tn_experiment *experiment = setup->experiment;
    struct tn_section *section = tn_config_next(experiment->config, tn_kind_name(kind), NULL);
    if (!section)
        return TN_OK;
    return tn_instance_open(experiment->registry, kind, NULL, section, NULL, instance, setup->problems) == TN_NO_MEMORY
               ? TN_NO_MEMORY
               : TN_OK;
}

/* ---- layers ---- */

tn_status tn_setup_layers(struct tn_setup *setup)
{
    static const char *const reserved[] = {"inputs", NULL};
    struct tn_experiment *experiment = setup->experiment;
    struct tn_network_layer *layers;
    tn_status status = tn_setup_instances(setup, TN_LAYER, reserved, &experiment->layers, &experiment->layer_count);
    if (status != TN_OK)
        return status;
    if (!tn_config_next(experiment->config, "layer", NULL))
        tn_problem_add(setup->problems, experiment->config->path, 0, "there is no [layer:NAME] section: no network");
    layers = tn_arena_take(&experiment->arena, (experiment->layer_count + 1) * sizeof *layers);
    if (!layers)
        return TN_NO_MEMORY;
    for (uint32_t i = 0; i < experiment->layer_count; i++) {
        struct tn_section *section = tn_config_section(experiment->config, "layer", experiment->layers[i]->name);
        struct tn_list inputs = {NULL, 0};
        if (section)
            status = tn_split_names(&experiment->arena, tn_section_value(section, "inputs"), &inputs);
        if (status != TN_OK)
            return status;
        layers[i] = (struct tn_network_layer){experiment->layers[i], inputs.items, inputs.count};
    }
    experiment->own->network_layers = layers;
    return TN_OK;
}

/* ---- augmentations: all sections are opened, so that all are checked; the strategy chooses ---- */

struct strategy {
    struct tn_list augments;
};

static const struct tn_option strategy_options[] = {
    TN_LIST(struct strategy, augments, NULL, "names of [augment:…] sections, in the order in which they are applied"),
    TN_END,
};

static struct tn_instance *find_augment(const struct tn_experiment *experiment, const char *name)
{
    for (uint32_t i = 0; i < experiment->augment_count; i++)
        if (strcmp(experiment->augments[i]->name, name) == 0)
            return experiment->augments[i];
    return NULL;
}

/* `on = all`: the random parts apply to every source. */
static bool applies_to_all(struct tn_setup *setup, const char *name)
{
    struct tn_section *section = tn_config_section(setup->experiment->config, "augment", name);
    const char *value = section ? tn_section_value(section, "on") : NULL;
    const struct tn_entry *entry;
    if (!value || strcmp(value, "train") == 0 || strcmp(value, "training") == 0)
        return false;
    if (strcmp(value, "all") == 0)
        return true;
    entry = tn_section_entry(section, "on");
    tn_problem_add(setup->problems, entry->file, entry->line, "[augment:%s] on: `%s` is neither `train` nor `all`",
                   name, value);
    return false;
}

static void use_augment(struct tn_setup *setup, const char *name, const struct tn_entry *from)
{
    struct tn_experiment *experiment = setup->experiment;
    struct tn_instance *instance = find_augment(experiment, name);
    const char *names[64 + 1];
    const char *near;
    size_t count = 0;
    if (instance) {
        struct tn_augment_use *use = &experiment->own->augments[experiment->own->augment_count++];
        *use = (struct tn_augment_use){instance, applies_to_all(setup, name)};
        return;
    }
    if (tn_config_section(experiment->config, "augment", name))
        return; /* it is there and has a problem of its own */
    for (struct tn_section *section = NULL;
         count < 64 && (section = tn_config_next(experiment->config, "augment", section)) != NULL;)
        names[count++] = section->name;
    for (struct tn_section *section = NULL;
         count < 64 && (section = tn_config_next(experiment->config, "strategy", section)) != NULL;)
        names[count++] = section->name;
    names[count] = NULL;
    near = tn_nearest(name, names);
    tn_problem_add(setup->problems, from->file, from->line, "%s: there is neither [augment:%s] nor [strategy:%s]%s%s%s",
                   from->key, name, name, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* Names of one strategy, or the name itself. */
static tn_status expand_strategy(struct tn_setup *setup, const char *name, struct tn_list *names,
                                 const struct tn_entry **from)
{
    struct tn_experiment *experiment = setup->experiment;
    struct tn_section *section = tn_config_section(experiment->config, "strategy", name);
    const struct tn_entry *entry = section ? tn_section_entry(section, "augments") : NULL;
    if (entry)
        *from = entry;
    return tn_split_names(&experiment->arena, section ? (entry ? entry->value : "") : name, names);
}

static tn_status choose_augments(struct tn_setup *setup)
{
    struct tn_experiment *experiment = setup->experiment;
    struct tn_section *data = tn_config_section(experiment->config, "data", "");
    const struct tn_entry *chosen = data ? tn_section_entry(data, "augment") : NULL;
    struct tn_list strategies, names;
    size_t most = 0;
    tn_status status;
    if (!chosen || (strcmp(chosen->value, "none") == 0 && !tn_config_section(experiment->config, "strategy", "none")))
        return TN_OK;
    status = tn_split_names(&experiment->arena, chosen->value, &strategies);
    for (int pass = 0; pass < 2 && status == TN_OK; pass++) { /* counts, then uses */
        if (pass == 1) {
            experiment->own->augments = tn_arena_take(&experiment->arena, (most + 1) * sizeof(struct tn_augment_use));
            if (!experiment->own->augments)
                return TN_NO_MEMORY;
        }
        for (uint32_t i = 0; i < strategies.count && status == TN_OK; i++) {
            const struct tn_entry *from = chosen;
            status = expand_strategy(setup, strategies.items[i], &names, &from);
            for (uint32_t j = 0; j < names.count && status == TN_OK && pass == 1; j++)
                use_augment(setup, names.items[j], from);
            most += names.count;
        }
    }
    return status;
}

tn_status tn_setup_augments(struct tn_setup *setup)
{
    static const char *const reserved[] = {"on", NULL};
    struct tn_experiment *experiment = setup->experiment;
    tn_status status =
        tn_setup_instances(setup, TN_AUGMENT, reserved, &experiment->augments, &experiment->augment_count);
    for (struct tn_section *section = NULL;
         status == TN_OK && (section = tn_config_next(experiment->config, "strategy", section)) != NULL;) {
        struct strategy strategy = {.augments = {NULL, 0}};
        if (tn_options_apply(strategy_options, section, NULL, &strategy, &experiment->arena, setup->problems) ==
            TN_NO_MEMORY)
            status = TN_NO_MEMORY;
    }
    return status == TN_OK ? choose_augments(setup) : status;
}
