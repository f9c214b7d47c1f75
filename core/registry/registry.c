/* registry.c: the search path, and types by name. Files are opened when a type is asked for, and never closed again:
 * code of a closed plugin could still be on some thread's stack, and nothing is gained. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
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

static bool ends_in_so(const char *path)
{
    size_t length = strlen(path);
    return length > 3 && strcmp(path + length - 3, ".so") == 0;
}

/* Lists the .so files of one folder, sorted; a folder that is not there is no error. A file may stand for a folder. */
static tn_status list_folder(struct tn_registry *registry, const char *folder)
{
    DIR *handle = opendir(folder);
    const struct dirent *entry;
    char **names = NULL;
    size_t count = 0, capacity = 0;
    tn_status status = TN_OK;
    if (!handle) {
        /* dlopen() would look a name without a slash up in the system's folders. */
        if (errno == ENOTDIR && ends_in_so(folder))
            return add_file(registry, strchr(folder, '/') ? folder : tn_arena_format(&registry->arena, "./%s", folder));
        return TN_OK;
    }
    while (status == TN_OK && (entry = readdir(handle))) {
        if (entry->d_name[0] == '.' || !ends_in_so(entry->d_name))
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
        if (r)
            tn_registry_close(&r);
        return tn_fail(error, status, "no memory for the list of plugins");
    }
    *registry = r;
    return TN_OK;
}

tn_status tn_registry_open_file(const char *path, struct tn_registry **registry, struct tn_error *error)
{
    struct tn_registry *r = calloc(1, sizeof *r);
    const char *copy = NULL;
    tn_status status;
    *registry = NULL;
    if (r)
        copy = tn_arena_format(&r->arena, "%s%s", strchr(path, '/') ? "" : "./", path);
    status = copy ? add_file(r, copy) : TN_NO_MEMORY;
    if (status != TN_OK) {
        if (r)
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

/* 1 when the file is called NAME.so. */
static bool is_called(const struct tn_plugin *plugin, const char *name)
{
    const char *slash = strrchr(plugin->path, '/'), *stem = slash ? slash + 1 : plugin->path;
    size_t length = strlen(name);
    return strncmp(stem, name, length) == 0 && strcmp(stem + length, ".so") == 0;
}

/* Which of two files with a type of the same kind and name it is taken from: one that is called NAME.so, else the
 * first on the search path; never the one that happened to be opened first. */
static bool comes_first(const struct tn_registry *registry, size_t a, size_t b, const char *name)
{
    bool a_called = is_called(&registry->plugins[a], name), b_called = is_called(&registry->plugins[b], name);
    return a_called != b_called ? a_called : a < b;
}

/* Decides between a new type and the one that had its name so far; returns whether the new one lost. */
static bool settle_twin(struct tn_registry *registry, struct tn_registered *other, size_t index, const char *name)
{
    size_t loser = comes_first(registry, index, other->plugin, name) ? other->plugin : index;
    size_t winner = loser == index ? other->plugin : index;
    if (!registry->plugins[loser].shadowed_by)
        registry->plugins[loser].shadowed_by = registry->plugins[winner].path;
    other->shadowed = loser != index;
    return loser == index;
}

/* Takes over the types of a manifest that was judged sound; `copies` are the host's. */
static tn_status register_types(struct tn_registry *registry, size_t index, const struct tn_type *const *copies,
                                size_t count)
{
    if (tn_grow(&registry->types, &registry->type_capacity, registry->type_count + count, sizeof *registry->types) !=
        TN_OK)
        return TN_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        bool shadowed = false;
        for (size_t k = 0; k < registry->type_count; k++) {
            struct tn_registered *other = &registry->types[k];
            if (other->type->kind == copies[i]->kind && strcmp(other->type->name, copies[i]->name) == 0 &&
                !other->shadowed)
                shadowed = settle_twin(registry, other, index, copies[i]->name);
        }
        registry->types[registry->type_count++] = (struct tn_registered){copies[i], index, shadowed};
    }
    return TN_OK;
}

/* Judges and copies every type of a manifest; the reason against it, or NULL. */
static const char *judge_types(struct tn_registry *registry, const struct tn_manifest *manifest,
                               const struct tn_type **copies)
{
    struct tn_error error = {0};
    for (uint32_t i = 0; i < manifest->type_count; i++) {
        const char *missing;
        if (tn__type_check(manifest->types[i], &error) != TN_OK)
            return tn_arena_string(&registry->arena, error.text);
        copies[i] = tn__type_copy(manifest->types[i], &registry->arena);
        if (!copies[i])
            return "no memory for its types";
        missing = tn__type_missing(copies[i]);
        if (missing)
            return tn_arena_format(&registry->arena, "%s `%s` has no function %s", tn_kind_name(copies[i]->kind),
                                   copies[i]->name, missing);
        for (uint32_t k = 0; k < i; k++)
            if (copies[k]->kind == copies[i]->kind && strcmp(copies[k]->name, copies[i]->name) == 0)
                return tn_arena_format(&registry->arena, "lists %s `%s` twice", tn_kind_name(copies[i]->kind),
                                       copies[i]->name);
    }
    return NULL;
}

/* The reason why a file is of no use, or NULL. What was mapped stays mapped either way. */
static const char *open_plugin(struct tn_registry *registry, size_t index)
{
    struct tn_plugin *plugin = &registry->plugins[index];
    struct tn_error error = {0};
    const struct tn_manifest *manifest;
    const struct tn_type **copies;
    const char *problem;
    void *handle = dlopen(plugin->path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *reason = dlerror();
        return tn_arena_format(&registry->arena, "cannot be loaded: %s", reason ? reason : "unknown reason");
    }
    manifest = dlsym(handle, TN_MANIFEST_SYMBOL);
    if (!manifest)
        return tn_arena_format(&registry->arena,
                               "has no symbol %s: it is not a plugin of tenon (does its source end with TN_PLUGIN?)",
                               TN_MANIFEST_SYMBOL);
    if (tn__manifest_check(manifest, &error) != TN_OK)
        return tn_arena_string(&registry->arena, error.text);
    copies = tn_arena_take(&registry->arena, manifest->type_count * sizeof *copies);
    problem = copies ? judge_types(registry, manifest, copies) : "no memory for its types";
    if (problem)
        return problem;
    if (register_types(registry, index, copies, manifest->type_count) != TN_OK)
        return "no memory for its types";
    plugin->manifest = manifest;
    return NULL;
}

void tn_registry_load(struct tn_registry *registry, size_t index)
{
    if (index >= registry->plugin_count || registry->opened[index])
        return;
    registry->opened[index] = true;
    registry->plugins[index].problem = open_plugin(registry, index);
    if (!registry->plugins[index].manifest && !registry->plugins[index].problem)
        registry->plugins[index].problem = "cannot be used, and there is no memory to say why";
}

void tn_registry_refuse(struct tn_registry *registry, size_t index, const char *reason)
{
    if (index >= registry->plugin_count || registry->opened[index])
        return;
    registry->opened[index] = true;
    registry->plugins[index].problem = tn_arena_string(&registry->arena, reason);
}

static const struct tn_registered *look_up(const struct tn_registry *registry, uint32_t kind, const char *name)
{
    for (size_t i = 0; i < registry->type_count; i++)
        if (registry->types[i].type->kind == kind && !registry->types[i].shadowed &&
            strcmp(registry->types[i].type->name, name) == 0)
            return &registry->types[i];
    return NULL;
}

/* Names of a kind, for "did you mean"; ends with NULL. Owned by the caller (free). */
static const char **names_of(const struct tn_registry *registry, uint32_t kind)
{
    const char **names = malloc((registry->type_count + 1) * sizeof *names);
    size_t count = 0;
    for (size_t i = 0; names && i < registry->type_count; i++)
        if (registry->types[i].type->kind == kind && !registry->types[i].shadowed)
            names[count++] = registry->types[i].type->name;
    if (names)
        names[count] = NULL;
    return names;
}

static void add_list(struct tn_text *text, const char *title, const char *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        tn_text_format(text, "%s %s", i ? "," : title, items[i]);
}

/* What helps first comes first, since a long text is cut: nearest name, broken file of that name, other kind of that
 * name, then what there is and where was looked. */
static void say_not_found(struct tn_registry *registry, uint32_t kind, const char *name, struct tn_error *error)
{
    const char **names = names_of(registry, kind), *near = names ? tn_nearest(name, names) : NULL;
    struct tn_text text = {0};
    size_t count = 0, broken = 0;
    tn_text_format(&text, "there is no %s `%s`", tn_kind_name(kind), name);
    if (near)
        tn_text_format(&text, "; did you mean `%s`?", near);
    for (size_t i = 0; i < registry->plugin_count; i++) {
        const struct tn_plugin *plugin = &registry->plugins[i];
        if (plugin->problem && is_called(plugin, name))
            tn_text_format(&text, "; %s %s", plugin->path, plugin->problem);
        else
            broken += plugin->problem != NULL;
    }
    for (size_t i = 0; i < registry->type_count; i++)
        if (registry->types[i].type->kind != kind && strcmp(registry->types[i].type->name, name) == 0)
            tn_text_format(&text, "; there is a %s of that name", tn_kind_name(registry->types[i].type->kind));
    while (!near && names && names[count])
        count++;
    if (count)
        add_list(&text, "; there are:", names, count);
    if (broken)
        tn_text_format(&text, "; %zu file%s could not be loaded (`tenon plugin list` says why)", broken,
                       broken == 1 ? "" : "s");
    add_list(&text, "; looked in", registry->folders, registry->folder_count);
    (void)tn_fail(error, TN_NOT_FOUND, "%s", text.failed ? "out of memory" : text.data);
    tn_text_release(&text);
    free(names);
}

const struct tn_type *tn_registry_find(struct tn_registry *registry, uint32_t kind, const char *name,
                                       struct tn_error *error)
{
    const struct tn_registered *found = NULL;
    /* Files of that name first, so that only what is used is opened; they win over others (comes_first). */
    for (size_t i = 0; i < registry->plugin_count; i++) {
        if (!is_called(&registry->plugins[i], name))
            continue;
        tn_registry_load(registry, i);
        found = look_up(registry, kind, name);
        if (found && found->plugin == i)
            return found->type;
    }
    found = look_up(registry, kind, name);
    for (size_t i = 0; i < (found ? found->plugin : registry->plugin_count); i++) {
        tn_registry_load(registry, i);
        found = look_up(registry, kind, name);
    }
    if (found)
        return found->type;
    say_not_found(registry, kind, name, error);
    return NULL;
}

void tn_registry_load_all(struct tn_registry *registry)
{
    for (size_t i = 0; i < registry->plugin_count; i++)
        tn_registry_load(registry, i);
}

size_t tn_registry_folder_count(const struct tn_registry *registry)
{
    return registry->folder_count;
}

const char *tn_registry_folder(const struct tn_registry *registry, size_t index)
{
    return index < registry->folder_count ? registry->folders[index] : NULL;
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
