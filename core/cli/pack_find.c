/* pack_find.c: which pictures are packed: those of a folder or of a list, their classes, and what of them is set aside
 * for validation. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/init.h"
#include "cli/pack.h"
#include "records/record_writer.h"

enum { NAME_BYTES = 4096 };

static const uint64_t PURPOSE = 0x7061636B73706C74u; /* "packsplt": keeps these numbers apart from all others */

static const struct tn_source *type_of(const struct tn_instance *source)
{
    return (const struct tn_source *)source->type;
}

void tn_pack_place(const struct tn_pack_part *part, uint64_t sample, char *text, size_t bytes)
{
    char name[NAME_BYTES];
    type_of(part->source)->name(part->source->self, sample, name, sizeof name);
    if (name[0] == '/')
        (void)snprintf(text, bytes, "%s", name);
    else
        (void)snprintf(text, bytes, "%s/%s", part->path, name);
}

/* A key of a source and its value; NULL leaves it out. */
struct key {
    const char *name, *value;
};

/* A [source:NAME] that is in no file. */
static tn_status open_source(struct tn_pack *pack, const char *name, const char *type, const struct key *keys,
                             struct tn_instance **source, struct tn_error *error)
{
    struct tn_problems problems = {0};
    struct tn_section *section = tn_config_add(pack->config, "source", name);
    tn_status status = section ? TN_OK : TN_NO_MEMORY;
    for (; status == TN_OK && keys->name; keys++)
        if (keys->value)
            status = tn_section_set(pack->config, section, keys->name, keys->value);
    if (status == TN_OK)
        status = tn_instance_open(pack->registry, TN_SOURCE, type, section, NULL, source, &problems);
    if (status != TN_OK)
        tn_fail(error, status, "%s", problems.count ? problems.items[0].text : "no memory");
    tn_problems_release(&problems);
    return status;
}

static tn_status open_folder(struct tn_pack *pack, const char *name, const char *path, struct tn_instance **source,
                             struct tn_error *error)
{
    const struct key keys[] = {{"path", path}, {"exclude", pack->options->exclude}, {NULL, NULL}};
    return open_source(pack, name, "directory", keys, source, error);
}

static tn_status scan(struct tn_pack *pack, struct tn_instance *source, struct tn_source_info *info,
                      struct tn_error *error)
{
    struct tn_source_request request = {.size = sizeof request,
                                        .subset = TN_SUBSET_ALL,
                                        .class_mode = TN_CLASS_CATEGORICAL,
                                        .target = {64, 64},
                                        .channels = 3};
    memset(info, 0, sizeof *info);
    info->size = sizeof *info;
    if (pack->class_count)
        request.classes = (struct tn_list){pack->classes, pack->class_count};
    return type_of(source)->scan(source->self, &request, info, error);
}

static struct tn_pack_part *add_part(struct tn_pack *pack, const char *name, const char *path,
                                     struct tn_instance *source, uint64_t room, struct tn_error *error)
{
    struct tn_pack_part *part = &pack->parts[pack->part_count++];
    *part = (struct tn_pack_part){.name = name, .path = path, .source = source};
    part->samples = room <= SIZE_MAX / sizeof *part->samples ? malloc((room + 1) * sizeof *part->samples) : NULL;
    if (part->samples)
        return part;
    tn_fail(error, TN_NO_MEMORY, "no memory for a list of %llu pictures", (unsigned long long)room);
    return NULL;
}

/* A share of [0, 1) that hangs on seed and name alone: a picture stays on its side when others come or go. */
static double draw(uint64_t seed, const char *name)
{
    uint32_t block[4];
    tn_random_block(seed, PURPOSE, tn_record_digest(0, name, strlen(name)), block);
    return (double)(((uint64_t)block[1] << 32 | block[0]) >> 11) * 0x1p-53;
}

/* All of a source to the first part; or those that the draw sets aside to the second. */
static tn_status share_out(struct tn_pack *pack, const char *path, struct tn_instance *source, uint64_t count,
                           struct tn_error *error)
{
    double split = pack->options->split;
    struct tn_pack_part *train = add_part(pack, "train", path, source, count, error), *aside = NULL;
    if (train && split > 0)
        aside = add_part(pack, "validation", path, source, count, error);
    if (!train || (split > 0 && !aside))
        return TN_NO_MEMORY;
    for (uint64_t i = 0; i < count; i++) {
        char name[NAME_BYTES];
        if (aside)
            type_of(source)->name(source->self, i, name, sizeof name);
        struct tn_pack_part *part = aside && draw((uint64_t)pack->options->seed, name) < split ? aside : train;
        part->samples[part->count++] = i;
    }
    if (train->count == 0 || (aside && aside->count == 0))
        return tn_fail(error, TN_INVALID, "--split %g of %llu pictures leaves none for %s", split,
                       (unsigned long long)count, train->count == 0 ? "training" : "validation");
    return TN_OK;
}

static tn_status judge_classes(const struct tn_pack *pack, const struct tn_source_info *info, struct tn_error *error)
{
    if (info->target_count > 0)
        return tn_fail(error, TN_UNSUPPORTED,
                       "%s: its labels are numbers or several classes for a picture; a pack holds one class for each",
                       pack->from);
    if (info->class_count == 0)
        return tn_fail(error, TN_INVALID, "%s: no class%s found", pack->from,
                       tn_path_is_folder(pack->from) ? " folders" : "es");
    for (uint32_t i = 0; i < info->class_count; i++)
        if (strpbrk(info->classes[i], "\r\n"))
            return tn_fail(error, TN_INVALID, "%s: the name of a class has a line break in it: rename it", pack->from);
    return TN_OK;
}

static tn_status find_in_folder(struct tn_pack *pack, const char *whole, struct tn_error *error)
{
    const char *train = NULL, *validation = NULL;
    struct tn_source_info info;
    struct tn_pack_part *part;
    tn_status status;
    TN_TRY(status, tn_look_parts(&pack->arena, whole, &train, &validation, error), out);
    if (validation && pack->options->split > 0)
        return tn_fail(error, TN_INVALID, "--split sets validation aside, and there is %s for that already",
                       validation);
    TN_TRY(status, open_folder(pack, "train", train, &pack->sources[0], error), out);
    TN_TRY(status, scan(pack, pack->sources[0], &info, error), out);
    TN_TRY(status, judge_classes(pack, &info, error), out);
    pack->classes = info.classes, pack->class_count = info.class_count;
    TN_TRY(status, share_out(pack, train, pack->sources[0], info.count, error), out);
    if (!validation)
        return TN_OK;
    TN_TRY(status, open_folder(pack, "validation", validation, &pack->sources[1], error), out);
    TN_TRY(status, scan(pack, pack->sources[1], &info, error), out);
    part = add_part(pack, "validation", validation, pack->sources[1], info.count, error);
    if (!part)
        return TN_NO_MEMORY;
    for (part->count = 0; part->count < info.count; part->count++)
        part->samples[part->count] = part->count;
out:
    return status;
}

/* Relative paths count from the list's folder, unless the user names another. */
static char *folder_of_list(struct tn_pack *pack, const char *whole, const char *given)
{
    char path[PATH_MAX];
    const char *slash = strrchr(whole, '/');
    if (!given)
        return tn_arena_text(&pack->arena, whole, slash == whole ? 1 : (size_t)(slash - whole));
    return tn_arena_string(&pack->arena, realpath(given, path) ? path : given);
}

/* What training would read with a source `manifest` (one class a picture). */
static tn_status find_in_list(struct tn_pack *pack, const char *whole, struct tn_error *error)
{
    const struct tn_pack_options *options = pack->options;
    struct tn_source_info info;
    const char *folder = folder_of_list(pack, whole, options->folder);
    const struct key keys[] = {{"path", whole},
                               {"folder", folder},
                               {"separator", options->separator},
                               {"header", options->no_header ? "no" : NULL},
                               {"path_column", options->path_column},
                               {"label_column", options->label_column},
                               {"check_files", options->on_error == TN_ON_ERROR_SKIP ? "no" : NULL},
                               {NULL, NULL}};
    tn_status status;
    if (options->exclude)
        return tn_fail(error, TN_INVALID, "--exclude goes with a folder; leave lines out of %s instead", pack->from);
    if (options->label_column && strchr(options->label_column, ','))
        return tn_fail(error, TN_INVALID, "--label-column %s: a pack holds one class for each picture, from one column",
                       options->label_column);
    if (!folder)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a name");
    TN_TRY(status, open_source(pack, "train", "manifest", keys, &pack->sources[0], error), out);
    TN_TRY(status, scan(pack, pack->sources[0], &info, error), out);
    TN_TRY(status, judge_classes(pack, &info, error), out);
    pack->classes = info.classes, pack->class_count = info.class_count;
    TN_TRY(status, share_out(pack, folder, pack->sources[0], info.count, error), out);
    for (uint32_t p = 0; p < pack->part_count; p++)
        pack->parts[p].listed = true;
out:
    return status;
}

tn_status tn_pack_find(struct tn_pack *pack, struct tn_error *error)
{
    const struct tn_pack_options *options = pack->options;
    char whole[PATH_MAX];
    tn_status status;
    if (!realpath(pack->from, whole))
        return tn_fail(error, TN_INVALID, "%s: %s", pack->from, strerror(errno));
    if (!tn_path_is_folder(whole)) {
        status = find_in_list(pack, whole, error);
    } else if (options->folder || options->separator || options->no_header || options->path_column ||
               options->label_column) {
        status =
            tn_fail(error, TN_INVALID,
                    "--folder, --separator, --no-header, --path-column and --label-column are for a list, and %s is "
                    "a folder",
                    pack->from);
    } else {
        status = find_in_folder(pack, whole, error);
    }
    return status == TN_NOT_FOUND || status == TN_UNSUPPORTED ? TN_INVALID : status;
}
