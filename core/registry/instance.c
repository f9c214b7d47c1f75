/* instance.c: a type plus the options of one section: something that can run. */
#include <stdlib.h>

#include "registry/internal.h"

enum { MOST_RESERVED = 32 }; /* keys of a section that the core reads itself; a caller with more is a bug */

static const struct tn_plugin *plugin_of(const struct tn_registry *registry, const struct tn_type *type)
{
    for (size_t i = 0; i < registry->type_count; i++)
        if (registry->types[i].type == type)
            return &registry->plugins[registry->types[i].plugin];
    return NULL;
}

/* The type that a section names, with the problem at the `type` key. */
static const struct tn_type *find_type(struct tn_registry *registry, uint32_t kind, const char *type_name,
                                       struct tn_section *section, struct tn_problems *problems)
{
    struct tn_entry *entry = section ? tn_section_entry(section, "type") : NULL;
    struct tn_error error = {0};
    const struct tn_type *type;
    const char *name = type_name ? type_name : entry ? entry->value : NULL;
    if (!name) {
        tn_problem_add(problems, section ? section->file : NULL, section ? section->line : 0, "[%s%s%s] needs `type`",
                       section ? section->kind : tn_kind_name(kind), section && section->name[0] ? ":" : "",
                       section ? section->name : "");
        return NULL;
    }
    type = tn_registry_find(registry, kind, name, &error);
    if (!type) {
        if (section)
            tn_problem_add(problems, entry ? entry->file : section->file, entry ? entry->line : section->line,
                           "[%s%s%s] type: %s", section->kind, section->name[0] ? ":" : "", section->name, error.text);
        else
            tn_problem_add(problems, NULL, 0, "%s", error.text);
    }
    return type;
}

static tn_status fill(struct tn_instance *instance, struct tn_registry *registry, uint32_t kind, const char *type_name,
                      struct tn_section *section, const char *const *reserved, struct tn_problems *problems)
{
    const char *all[MOST_RESERVED] = {"type"};
    struct tn_error error = {0};
    size_t count = 1, size;
    tn_status status;
    instance->type = find_type(registry, kind, type_name, section, problems);
    if (!instance->type)
        return TN_INVALID;
    for (; reserved && *reserved; reserved++) {
        if (count + 1 == TN_COUNT_OF(all))
            return TN_FAILED;
        all[count++] = *reserved;
    }
    size = instance->type->instance_size ? (size_t)instance->type->instance_size : 1;
    instance->self = tn_host_table()->allocate(size);
    instance->plugin = plugin_of(registry, instance->type);
    instance->name =
        tn_arena_string(&instance->arena, section && section->name[0] ? section->name : instance->type->name);
    instance->file = section ? tn_arena_string(&instance->arena, section->file) : NULL;
    instance->line = section ? section->line : 0;
    if (!instance->self || !instance->name)
        return TN_NO_MEMORY;
    status = tn_options_apply(instance->type->options, section, all, instance->self, &instance->arena, problems);
    if (status != TN_OK)
        return status;
    if (instance->type->open && instance->type->open(instance->self, tn_host_table(), &error) != TN_OK) {
        tn_problem_add(problems, instance->file, instance->line, "[%s:%s] %s", tn_kind_name(kind), instance->name,
                       error.text[0] ? error.text : "could not be opened, and did not say why");
        return TN_INVALID;
    }
    instance->opened = true;
    return TN_OK;
}

tn_status tn_instance_open(struct tn_registry *registry, uint32_t kind, const char *type_name,
                           struct tn_section *section, const char *const *reserved, struct tn_instance **instance,
                           struct tn_problems *problems)
{
    tn_status status;
    *instance = calloc(1, sizeof **instance);
    if (!*instance)
        return TN_NO_MEMORY;
    status = fill(*instance, registry, kind, type_name, section, reserved, problems);
    if (status != TN_OK)
        tn_instance_close(instance);
    return status;
}

void tn_instance_close(struct tn_instance **instance)
{
    struct tn_instance *old = *instance;
    if (!old)
        return;
    if (old->opened && old->type->close)
        old->type->close(old->self);
    tn_host_table()->release(old->self);
    tn_arena_release(&old->arena);
    free(old);
    *instance = NULL;
}
