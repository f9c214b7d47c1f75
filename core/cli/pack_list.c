/* pack_list.c: the pictures to pack: classes, what is set aside for validation, the order, and a digest of it all. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/init.h"
#include "cli/pack.h"
#include "records/record_writer.h"

enum { NAME_BYTES = 4096 };

static const uint64_t PURPOSE = 0x7061636B73706C74u; /* "packsplt": keeps these numbers apart from all others */

uint64_t tn_pack_sample_at(const struct tn_pack_part *part, uint64_t position)
{
    return part->samples[tn_permutation_at(&part->order, position)];
}

uint64_t tn_pack_shard_begin(const struct tn_pack_part *part, uint32_t shard)
{
    uint64_t whole = part->count / part->shard_count, rest = part->count % part->shard_count;
    return whole * shard + rest * shard / part->shard_count;
}

/* ---- finding ---- */

static const struct tn_source *type_of(const struct tn_instance *source)
{
    return (const struct tn_source *)source->type;
}

/* A [source:NAME] of type directory that is in no file. */
static tn_status open_source(struct tn_pack *pack, const char *name, const char *path, struct tn_instance **source,
                             struct tn_error *error)
{
    struct tn_problems problems = {0};
    struct tn_section *section = tn_config_add(pack->config, "source", name);
    tn_status status = section ? tn_section_set(pack->config, section, "path", path) : TN_NO_MEMORY;
    if (status == TN_OK && pack->options->exclude)
        status = tn_section_set(pack->config, section, "exclude", pack->options->exclude);
    if (status == TN_OK)
        status = tn_instance_open(pack->registry, TN_SOURCE, "directory", section, NULL, source, &problems);
    if (status != TN_OK)
        tn_fail(error, status, "%s", problems.count ? problems.items[0].text : "no memory");
    tn_problems_release(&problems);
    return status;
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
    if (info->class_count == 0)
        return tn_fail(error, TN_INVALID, "%s: no class folders found", pack->from);
    for (uint32_t i = 0; i < info->class_count; i++)
        if (strpbrk(info->classes[i], "\r\n"))
            return tn_fail(error, TN_INVALID, "%s: the name of a class folder has a line break in it: rename it",
                           pack->from);
    return TN_OK;
}

static tn_status find(struct tn_pack *pack, struct tn_error *error)
{
    char whole[PATH_MAX];
    const char *train = NULL, *validation = NULL;
    struct tn_source_info info;
    tn_status status;
    if (!realpath(pack->from, whole))
        return tn_fail(error, TN_INVALID, "%s: %s", pack->from, strerror(errno));
    if (!tn_path_is_folder(whole))
        return tn_fail(error, TN_INVALID, "%s is not a folder", pack->from);
    TN_TRY(status, tn_look_parts(&pack->arena, whole, &train, &validation, error), out);
    if (validation && pack->options->split > 0)
        return tn_fail(error, TN_INVALID, "--split sets validation aside, and there is %s for that already",
                       validation);
    TN_TRY(status, open_source(pack, "train", train, &pack->sources[0], error), out);
    TN_TRY(status, scan(pack, pack->sources[0], &info, error), out);
    TN_TRY(status, judge_classes(pack, &info, error), out);
    pack->classes = info.classes, pack->class_count = info.class_count;
    TN_TRY(status, share_out(pack, train, pack->sources[0], info.count, error), out);
    if (validation) {
        struct tn_pack_part *part;
        TN_TRY(status, open_source(pack, "validation", validation, &pack->sources[1], error), out);
        TN_TRY(status, scan(pack, pack->sources[1], &info, error), out);
        part = add_part(pack, "validation", validation, pack->sources[1], info.count, error);
        if (!part)
            return TN_NO_MEMORY;
        for (part->count = 0; part->count < info.count; part->count++)
            part->samples[part->count] = part->count;
    }
out:
    return status == TN_NOT_FOUND ? TN_INVALID : status;
}

/* ---- the digest ---- */

static uint64_t add_text(uint64_t digest, const char *text)
{
    return tn_record_digest(digest, text, strlen(text) + 1); /* with its 0: "a", "bc" is not "ab", "c" */
}

/* All that the shards' bytes hang on, but for the pictures' bytes. --on-error is not in it: an unreadable picture that
 * ended a run must not cost the shards before it. */
static uint64_t digest_of(const struct tn_pack *pack)
{
    const struct tn_pack_options *o = pack->options;
    bool resized = o->resize.height > 0;
    char text[NAME_BYTES];
    snprintf(text, sizeof text, "pack 1 shards %lld size %llu split %.17g seed %lld keys %d compression %d trust %d",
             (long long)o->shards, (unsigned long long)o->shard_size, o->split, (long long)o->seed, (int)o->keys,
             (int)o->compression, !resized && o->trust);
    uint64_t digest = add_text(0, text);
    snprintf(text, sizeof text, "resize %dx%d keep %d quality %d", (int)o->resize.height, (int)o->resize.width,
             resized && o->keep_aspect, resized ? (int)o->quality : 0);
    digest = add_text(digest, text);
    for (uint32_t i = 0; i < pack->class_count; i++)
        digest = add_text(digest, pack->classes[i]);
    for (uint32_t p = 0; p < pack->part_count; p++) {
        const struct tn_pack_part *part = &pack->parts[p];
        digest = add_text(digest, part->name);
        for (uint64_t i = 0; i < part->count; i++) {
            type_of(part->source)->name(part->source->self, part->samples[i], text, sizeof text);
            digest = add_text(digest, text);
        }
    }
    return digest;
}

static void warn_of_bare_classes(const struct tn_pack *pack)
{
    const struct tn_pack_part *aside = &pack->parts[1];
    uint32_t bare = 0;
    const char *first = NULL;
    uint64_t *counts = pack->options->split > 0 ? calloc(pack->class_count, sizeof *counts) : NULL;
    if (!counts)
        return;
    for (uint64_t i = 0; i < aside->count; i++)
        counts[type_of(aside->source)->label(aside->source->self, aside->samples[i])]++;
    for (uint32_t c = 0; c < pack->class_count; c++)
        if (counts[c] == 0 && bare++ == 0)
            first = pack->classes[c];
    free(counts);
    if (bare)
        tn_console_say(pack->console, TN_LOG_WARNING,
                       "--split %g leaves %u class%s without a picture for validation, beginning with %s",
                       pack->options->split, bare, bare == 1 ? "" : "es", first);
}

tn_status tn_pack_list(struct tn_pack *pack, struct tn_error *error)
{
    tn_status status = find(pack, error);
    if (status != TN_OK)
        return status;
    for (uint32_t p = 0; p < pack->part_count; p++)
        pack->parts[p].order = tn_permutation_make((uint64_t)pack->options->seed, p, pack->parts[p].count);
    pack->digest = digest_of(pack);
    warn_of_bare_classes(pack);
    return TN_OK;
}
