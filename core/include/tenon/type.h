/* tenon/type.h: what all kinds of plugin types have in common, the host's services, and the manifest that a plugin
 * exports.
 *
 * Threads, named once and used in every comment of these headers:
 *   [setup]   one thread, nothing else runs: while an experiment is opened or closed
 *   [worker]  many data threads at once; never the same worker state twice
 *   [step]    the training thread, one at a time
 *   [any]     no promise: has to be safe from every thread
 *
 * Structs that cross the border begin with their size. The host copies min(size, its own) bytes into a zeroed struct,
 * so a member that an old plugin does not know is NULL or 0 and means the default; a newer plugin's extra members are
 * accepted while they are zero. Members are only ever appended (docs/plugin-guide.md, "What may change").
 */
#ifndef TENON_TYPE_H
#define TENON_TYPE_H

#include "tenon/option.h"
#include "tenon/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TN_ABI_MAJOR 1u          /* changes only for what cannot be appended */
#define TN_ABI_MINOR 0u          /* grows with each appended member */
#define TN_ABI_MAGIC 0x6E6F6E74u /* "tnon" */

/* Lowest minor version that a plugin's binary needs; a plugin may define it lower before the include. */
#ifndef TN_ABI_NEED
#define TN_ABI_NEED 0u
#endif

enum tn_kind {
    TN_SOURCE = 1,
    TN_CODEC = 2,
    TN_AUGMENT = 3,
    TN_LAYER = 4,
    TN_LOSS = 5,
    TN_METRIC = 6,
    TN_OPTIMIZER = 7,
    TN_SCHEDULE = 8,
    TN_CALLBACK = 9,
    TN_FORMAT = 10,
    TN_DEVICE = 11,
    TN_STORE = 12,      /* reserved: opens addresses such as gs:// */
    TN_COLLECTIVE = 13, /* reserved: all-reduce between processes */
    TN_KIND_COUNT = 14,
};

enum tn_log_level { TN_LOG_DEBUG = 0, TN_LOG_INFO = 1, TN_LOG_WARNING = 2, TN_LOG_ERROR = 3 };

/* Services of the host. The table lives as long as the process. All functions: [any]. */
struct tn_host {
    uint32_t size, abi_minor;
    /* One line without a newline; the host adds who speaks. */
    void (*log)(int32_t level, const char *text);
    /* Aligned to 64 bytes, zeroed; NULL when there is none. Memory never crosses: who allocates frees. */
    void *(*allocate)(uint64_t bytes);
    void (*release)(void *memory);
    /* Reads a whole file of at most `limit` bytes into memory from allocate(); the caller releases it. */
    tn_status (*read_file)(const char *path, uint64_t limit, void **data, uint64_t *bytes, struct tn_error *error);
    /* Writes a file so that it is either whole or not there: temporary name, fsync, rename, fsync of the folder. */
    tn_status (*write_file)(const char *path, const void *data, uint64_t bytes, struct tn_error *error);
    /* An extension by its id ("tenon.name/1"), or NULL. */
    const void *(*extension)(const char *id);
};

/* The common head of every type. */
struct tn_type {
    uint32_t size; /* of the whole kind struct that begins with this one */
    uint32_t kind; /* enum tn_kind */
    const char *name, *summary;
    uint64_t instance_size;
    const struct tn_option *options; /* ends with TN_END; NULL = none */
    uint32_t revision;               /* of the meaning of saved state; 0 at first */
    uint32_t flags;                  /* TN_…_ flags of the kind */
    /* After the options were filled in; NULL = nothing to do. On failure close() is not called.  [setup] */
    tn_status (*open)(void *self, const struct tn_host *host, struct tn_error *error);
    void (*close)(void *self); /* [setup] */
};

/* What a plugin exports, as data that is read and judged before any of its code runs. The first five fields never
 * change. */
struct tn_manifest {
    uint32_t magic, abi_major, abi_need, size, type_count;
    const struct tn_type *const *types;
    const char *name, *version, *licence, *author, *built_with;
};

#define TN_MANIFEST_SYMBOL "tn_plugin_manifest"

#if defined(_WIN32)
#define TN_EXPORT __declspec(dllexport)
#elif defined(__cplusplus)
#define TN_EXPORT extern __attribute__((visibility("default")))
#else
#define TN_EXPORT __attribute__((visibility("default")))
#endif

#ifndef TN_AUTHOR
#define TN_AUTHOR ""
#endif
#if defined(__clang__)
#define TN_BUILT_WITH __VERSION__ /* says "Clang" itself */
#elif defined(__GNUC__)
#define TN_BUILT_WITH "GCC " __VERSION__
#else
#define TN_BUILT_WITH "unknown compiler"
#endif

/* Fills the common head:  static const struct tn_augment invert = { TN_TYPE(TN_AUGMENT, "invert", struct invert,
 * options, "…"), … }; */
#define TN_TYPE(kind_, name_, instance_, options_, summary_)                                                           \
    .type = {TN_SIZE_OF_##kind_, kind_, name_, summary_, sizeof(instance_), options_, 0, 0, NULL, NULL}
/* The same with flags, open and close. */
#define TN_TYPE_WITH(kind_, name_, instance_, options_, summary_, flags_, open_, close_)                               \
    .type = {TN_SIZE_OF_##kind_, kind_, name_, summary_, sizeof(instance_), options_, 0, flags_, open_, close_}

/* Once in a plugin, after its types:  TN_PLUGIN("example.invert", "1.0.0", "MIT", &invert.type); */
#define TN_PLUGIN(name_, version_, licence_, ...)                                                                      \
    static const struct tn_type *const tn_plugin_types_[] = {__VA_ARGS__};                                             \
    TN_EXPORT const struct tn_manifest tn_plugin_manifest;                                                             \
    const struct tn_manifest tn_plugin_manifest = {TN_ABI_MAGIC,                                                       \
                                                   TN_ABI_MAJOR,                                                       \
                                                   TN_ABI_NEED,                                                        \
                                                   sizeof(struct tn_manifest),                                         \
                                                   sizeof tn_plugin_types_ / sizeof *tn_plugin_types_,                 \
                                                   tn_plugin_types_,                                                   \
                                                   name_,                                                              \
                                                   version_,                                                           \
                                                   licence_,                                                           \
                                                   TN_AUTHOR,                                                          \
                                                   TN_BUILT_WITH}

#ifdef __cplusplus
}
#endif
#endif
