/* registry.h: finds plugins, judges them, and gives out instances of their types. */
#ifndef TENON_REGISTRY_H
#define TENON_REGISTRY_H

#include "base/base.h"
#include "config/config.h"
#include "tenon/plugin.h"

/* One .so file that was looked at. */
struct tn_plugin {
    const char *path;
    const char *problem;                /* why it cannot be used; NULL = fine */
    const struct tn_manifest *manifest; /* NULL while not opened or not usable */
    const char *shadowed_by;
};

struct tn_registry;

/* `paths`: NULL or NULL-terminated folders (or single .so files) searched first ([plugins] path, --plugin-path). Then
 * TENON_PLUGIN_PATH, the user's folder
 * (${XDG_DATA_HOME:-~/.local/share}/tenon/plugins), then the install folder (lib/tenon/plugins beside the binary's lib;
 * overridable for tests by TENON_SYSTEM_PLUGINS). Opens nothing yet: files are opened when a type is looked up. */
tn_status tn_registry_open(const char *const *paths, struct tn_registry **registry, struct tn_error *error);
/* One file and nothing else, on no search path: to judge a plugin by itself. */
tn_status tn_registry_open_file(const char *path, struct tn_registry **registry, struct tn_error *error);
void tn_registry_close(struct tn_registry **registry); /* never dlclose()s */
/* The type, or NULL with the reason: nearest names, paths searched, and why a file of that name could not be loaded.
 * First opens NAME.so of the kind's index, then, if need be, every other file. */
const struct tn_type *tn_registry_find(struct tn_registry *registry, uint32_t kind, const char *name,
                                       struct tn_error *error);
/* Opens one file, or everything that can be opened. What was opened before is left alone. */
void tn_registry_load(struct tn_registry *registry, size_t index);
void tn_registry_load_all(struct tn_registry *registry);
/* Keeps a file from being opened (it crashed in a child process, say); `reason` becomes its problem. */
void tn_registry_refuse(struct tn_registry *registry, size_t index, const char *reason);
/* The folders that were searched, in order. */
size_t tn_registry_folder_count(const struct tn_registry *registry);
const char *tn_registry_folder(const struct tn_registry *registry, size_t index);
size_t tn_registry_plugin_count(const struct tn_registry *registry);
const struct tn_plugin *tn_registry_plugin(const struct tn_registry *registry, size_t index);
/* All loaded types of a kind (0 = all), after tn_registry_load_all; index counts up; NULL at the end. */
const struct tn_type *tn_registry_type(const struct tn_registry *registry, uint32_t kind, size_t index,
                                       const struct tn_plugin **plugin);
const char *tn_kind_name(uint32_t kind);      /* "layer" */
uint32_t tn_kind_from_name(const char *name); /* 0 = unknown */
const struct tn_host *tn_host_table(void);

/* A configured instance of a type. `type` is the host's own full-size copy of the kind struct: cast it, members that
 * the plugin does not know are NULL. */
struct tn_instance {
    const struct tn_type *type;
    void *self;       /* type->instance_size bytes */
    const char *name; /* section's name, or the type's */
    const char *file; /* place of the section; NULL = made by the core */
    uint32_t line;
    const struct tn_plugin *plugin;
    struct tn_arena arena; /* texts of the options */
    bool opened;
};
/* Makes an instance of the type that section's `type` key names (or `type_name` when not NULL), fills options, calls
 * open(). Problems go to `problems`. `reserved`: keys that the core reads itself besides "type". Section may be NULL:
 * defaults. */
tn_status tn_instance_open(struct tn_registry *registry, uint32_t kind, const char *type_name,
                           struct tn_section *section, const char *const *reserved, struct tn_instance **instance,
                           struct tn_problems *problems);
void tn_instance_close(struct tn_instance **instance);

#endif
