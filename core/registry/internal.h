/* internal.h: shared by the files of core/registry. */
#ifndef TENON_REGISTRY_INTERNAL_H
#define TENON_REGISTRY_INTERNAL_H

#include "registry/registry.h"

/* A usable type: the host's full-size copy, and where it came from. */
struct tn_registered {
    const struct tn_type *type;
    size_t plugin; /* index into plugins */
    bool shadowed; /* an earlier file has one of this kind and name */
};

struct tn_registry {
    struct tn_arena arena;
    const char **folders;
    size_t folder_count, folder_capacity;
    struct tn_plugin *plugins; /* in search order */
    bool *opened;              /* beside plugins */
    size_t plugin_count, plugin_capacity, opened_capacity;
    struct tn_registered *types;
    size_t type_count, type_capacity;
};

/* Size that this host knows of a kind's struct; 0 = a kind without one yet. */
size_t tn__kind_size(uint32_t kind);
/* Judges a manifest and one type of it without running any of the plugin's code (manifest.c). */
tn_status tn__manifest_check(const struct tn_manifest *manifest, struct tn_error *error);
tn_status tn__type_check(const struct tn_type *type, struct tn_error *error);
/* The host's copy of a type: as large as our struct, unknown members zero. */
const struct tn_type *tn__type_copy(const struct tn_type *type, struct tn_arena *arena);

/* The function that a type (a full-size copy) of its kind must not lack, or NULL. */
const char *tn__type_missing(const struct tn_type *copy);

#endif
