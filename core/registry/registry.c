/* registry.c: the search path, and types by name. Files are opened when a type is asked for, and never closed again:
 * code of a closed plugin could still be on some thread's stack, and nothing is gained. */
#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>

#include "registry/internal.h"

static tn_status add_folder(struct tn_registry *registry, const char *path, size_t length)
{
    char *copy;
    if (length == 0)
        return TN_OK;
    copy = tn_arena_text(&registry->arena, path, length);
    while (copy && length > 1 && copy[length - 1] == '/')
        copy[--length] = '\0';
    for (size_t i = 0; copy && i < registry->folder_count; i++)
        if (strcmp(registry->folders[i], copy) == 0)
            return TN_OK;
    if (!copy || tn_grow(&registry->folders, &registry->folder_capacity, registry->folder_count + 1,
                         sizeof *registry->folders) != TN_OK)
        return TN_NO_MEMORY;
    registry->folders[registry->folder_count++] = copy;
    return TN_OK;
}

static tn_status add_folders(struct tn_registry *registry, const char *list)
{
    tn_status status = TN_OK;
    while (list && *list && status == TN_OK) {
        size_t length = strcspn(list, ":");
        status = add_folder(registry, list, length);
        list += length + (list[length] == ':');
    }
    return status;
}

/* lib/tenon/plugins beside libtenon.so: true in a build folder and in an installed tree, wherever it was moved to. */
static tn_status add_system_folder(struct tn_registry *registry)
{
    const char *set = getenv("TENON_SYSTEM_PLUGINS");
    Dl_info info;
    if (set)
        return add_folders(registry, set);
    if (dladdr((void *)(uintptr_t)&tn_registry_open, &info) && info.dli_fname) {
        char *real = realpath(info.dli_fname, NULL), *slash = real ? strrchr(real, '/') : NULL;
        char *path = slash ? tn_arena_format(&registry->arena, "%.*s/tenon/plugins", (int)(slash - real), real) : NULL;
        free(real);
        if (path && tn_path_is_folder(path))
            return add_folder(registry, path, strlen(path));
    }
#ifdef TENON_INSTALL_PLUGINS
    return add_folder(registry, TENON_INSTALL_PLUGINS, strlen(TENON_INSTALL_PLUGINS));
#else
    return TN_OK;
#endif
}

static tn_status add_user_folder(struct tn_registry *registry)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (data && data[0] == '/')
        path = tn_arena_format(&registry->arena, "%s/tenon/plugins", data);
    else if (home && home[0] == '/')
        path = tn_arena_format(&registry->arena, "%s/.local/share/tenon/plugins", home);
    else
        return TN_OK;
    return path ? add_folder(registry, path, strlen(path)) : TN_NO_MEMORY;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static tn_status add_file(struct tn_registry *registry, const char *path)
{
    if (!path ||
        tn_grow(&registry->plugins, &registry->plugin_capacity, registry->plugin_count + 1,
                sizeof *registry->plugins) != TN_OK ||
        tn_grow(&registry->opened, &registry->opened_capacity, registry->plugin_count + 1, sizeof *registry->opened) !=
            TN_OK)
        return TN_NO_MEMORY;
    registry->plugins[registry->plugin_count] = (struct tn_plugin){.path = path};
    registry->opened[registry->plugin_count++] = false;
    return TN_OK;
}

/* Lists the .so files of one folder, sorted; a folder that is not there is no error. */
static tn_status list_folder(struct tn_registry *registry, const char *folder)
{
    DIR *handle = opendir(folder);
    const struct dirent *entry;
    char **names = NULL;
    size_t count = 0, capacity = 0;
    tn_status status = TN_OK;
    if (!handle)
        return TN_OK;
    while (status == TN_OK && (entry = readdir(handle))) {
        size_t length = strlen(entry->d_name);
        if (length < 4 || entry->d_name[0] == '.' || strcmp(entry->d_name + length - 3, ".so") != 0)
            continue;
        status = tn_grow(&names, &capacity, count + 1, sizeof *names);
        if (status == TN_OK) {
            names[count] = tn_arena_format(&registry->arena, "%s/%s", folder, entry->d_name);
            status = names[count++] ? TN_OK : TN_NO_MEMORY;
        }
    }
    (void)closedir(handle);
    if (status == TN_OK && count)
        qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count && status == TN_OK; i++)
        status = add_file(registry, names[i]);
    free(names);
    return status;
}

tn_status tn_registry_open(const char *const *paths, struct tn_registry **registry, struct tn_error *error)
{
    struct tn_registry *r = calloc(1, sizeof *r);
    tn_status status = r ? TN_OK : TN_NO_MEMORY;
    *registry = NULL;
    for (; status == TN_OK && paths && *paths; paths++)
        status = add_folders(r, *paths);
    if (status == TN_OK)
        status = add_folders(r, getenv("TENON_PLUGIN_PATH"));
    if (status == TN_OK)
        status = add_user_folder(r);
    if (status == TN_OK)
        status = add_system_folder(r);
    for (size_t i = 0; status == TN_OK && i < r->folder_count; i++)
        status = list_folder(r, r->folders[i]);
    if (status != TN_OK) {
        tn_registry_close(&r);
        return tn_fail(error, status, "no memory for the list of plugins");
    }
    *registry = r;
    return TN_OK;
}

void tn_registry_close(struct tn_registry **registry)
{
    if (!*registry)
        return;
    free((*registry)->plugins);
    free((*registry)->opened);
    free((*registry)->types);
    free((*registry)->folders);
    tn_arena_release(&(*registry)->arena);
    free(*registry);
    *registry = NULL;
}

/* Takes over the types of a manifest that was judged sound. */
static void register_types(struct tn_registry *registry, size_t index)
{
    struct tn_plugin *plugin = &registry->plugins[index];
    for (uint32_t i = 0; i < plugin->manifest->type_count; i++) {
        const struct tn_type *type = tn__type_copy(plugin->manifest->types[i], &registry->arena);
        bool shadowed = false;
        for (size_t k = 0; type && k < registry->type_count; k++) {
            const struct tn_registered *other = &registry->types[k];
            if (other->type->kind == type->kind && strcmp(other->type->name, type->name) == 0 && !other->shadowed) {
                /* Search order decides, not the order in which files happened to be opened. */
                if (other->plugin > index) {
                    registry->types[k].shadowed = true;
                    registry->plugins[other->plugin].shadowed_by = plugin->path;
                } else {
                    shadowed = true;
                    plugin->shadowed_by = registry->plugins[other->plugin].path;
                }
            }
        }
        if (!type || tn_grow(&registry->types, &registry->type_capacity, registry->type_count + 1,
                             sizeof *registry->types) != TN_OK)
            return;
        registry->types[registry->type_count++] = (struct tn_registered){type, index, shadowed};
    }
}

static const char *open_plugin(struct tn_registry *registry, struct tn_plugin *plugin)
{
    struct tn_error error = {0};
    const struct tn_manifest *manifest;
    void *handle = dlopen(plugin->path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *reason = dlerror();
        return tn_arena_format(&registry->arena, "cannot be loaded: %s", reason ? reason : "unknown reason");
    }
    manifest = dlsym(handle, TN_MANIFEST_SYMBOL);
    if (!manifest)
        return tn_arena_format(&registry->arena,
                               "has no symbol %s: it is not a plugin of tenon (does it end with TN_PLUGIN?)",
                               TN_MANIFEST_SYMBOL);
    if (tn__manifest_check(manifest, &error) != TN_OK)
        return tn_arena_string(&registry->arena, error.text);
    for (uint32_t i = 0; i < manifest->type_count; i++) {
        const struct tn_type *type = manifest->types[i], *copy;
        const char *missing;
        if (tn__type_check(type, &error) != TN_OK)
            return tn_arena_string(&registry->arena, error.text);
        copy = tn__type_copy(type, &registry->arena);
        missing = copy ? tn__type_missing(copy) : NULL;
        if (missing)
            return tn_arena_format(&registry->arena, "%s `%s` has no function %s", tn_kind_name(type->kind), type->name,
                                   missing);
    }
    plugin->manifest = manifest;
    return NULL;
}

static void open_once(struct tn_registry *registry, size_t index)
{
    struct tn_plugin *plugin = &registry->plugins[index];
    if (registry->opened[index])
        return;
    registry->opened[index] = true;
    plugin->problem = open_plugin(registry, plugin);
    if (plugin->manifest)
        register_types(registry, index);
}

static const struct tn_registered *look_up(const struct tn_registry *registry, uint32_t kind, const char *name)
{
    for (size_t i = 0; i < registry->type_count; i++)
        if (registry->types[i].type->kind == kind && !registry->types[i].shadowed &&
            strcmp(registry->types[i].type->name, name) == 0)
            return &registry->types[i];
    return NULL;
}

/* 1 when the file is called NAME.so. */
static bool is_called(const struct tn_plugin *plugin, const char *name)
{
    const char *stem = strrchr(plugin->path, '/') + 1;
    size_t length = strlen(name);
    return strncmp(stem, name, length) == 0 && strcmp(stem + length, ".so") == 0;
}

static void say_not_found(struct tn_registry *registry, uint32_t kind, const char *name, struct tn_error *error)
{
    const char *names[512], *near;
    size_t count = 0;
    struct tn_text text = {0};
    for (size_t i = 0; i < registry->type_count && count + 1 < TN_COUNT_OF(names); i++)
        if (registry->types[i].type->kind == kind)
            names[count++] = registry->types[i].type->name;
    names[count] = NULL;
    near = tn_nearest(name, names);
    tn_text_format(&text, "there is no %s `%s`", tn_kind_name(kind), name);
    if (near)
        tn_text_format(&text, "; did you mean `%s`?", near);
    for (size_t i = 0; i < registry->plugin_count; i++)
        if (registry->plugins[i].problem && is_called(&registry->plugins[i], name))
            tn_text_format(&text, "; %s %s", registry->plugins[i].path, registry->plugins[i].problem);
    if (!near) {
        tn_text_add(&text, "; looked in");
        for (size_t i = 0; i < registry->folder_count; i++)
            tn_text_format(&text, "%s %s", i ? "," : "", registry->folders[i]);
        if (count)
            tn_text_add(&text, "; there are:");
        for (size_t i = 0; i < count; i++)
            tn_text_format(&text, "%s %s", i ? "," : "", names[i]);
    }
    (void)tn_fail(error, TN_NOT_FOUND, "%s", text.data ? text.data : "out of memory");
    tn_text_release(&text);
}

const struct tn_type *tn_registry_find(struct tn_registry *registry, uint32_t kind, const char *name,
                                       struct tn_error *error)
{
    const struct tn_registered *found = look_up(registry, kind, name);
    if (found)
        return found->type;
    for (size_t i = 0; i < registry->plugin_count; i++) {
        if (!is_called(&registry->plugins[i], name))
            continue;
        open_once(registry, i);
        found = look_up(registry, kind, name);
        if (found)
            return found->type;
    }
    tn_registry_load_all(registry);
    found = look_up(registry, kind, name);
    if (found)
        return found->type;
    say_not_found(registry, kind, name, error);
    return NULL;
}

void tn_registry_load_all(struct tn_registry *registry)
{
    for (size_t i = 0; i < registry->plugin_count; i++)
        open_once(registry, i);
}

size_t tn_registry_plugin_count(const struct tn_registry *registry)
{
    return registry->plugin_count;
}

const struct tn_plugin *tn_registry_plugin(const struct tn_registry *registry, size_t index)
{
    return index < registry->plugin_count ? &registry->plugins[index] : NULL;
}

const struct tn_type *tn_registry_type(const struct tn_registry *registry, uint32_t kind, size_t index,
                                       const struct tn_plugin **plugin)
{
    for (size_t i = 0; i < registry->type_count; i++) {
        const struct tn_registered *found = &registry->types[i];
        if (found->shadowed || (kind && found->type->kind != kind))
            continue;
        if (index-- == 0) {
            if (plugin)
                *plugin = &registry->plugins[found->plugin];
            return found->type;
        }
    }
    return NULL;
}
