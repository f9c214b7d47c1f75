/* pack_list.c: the pictures to pack: their order, and a digest of all that the shards hang on. */
#include <stdlib.h>
#include <string.h>

#include "cli/pack.h"
#include "records/record_writer.h"

enum { NAME_BYTES = 4096 };

uint64_t tn_pack_sample_at(const struct tn_pack_part *part, uint64_t position)
{
    return part->samples[tn_permutation_at(&part->order, position)];
}

uint64_t tn_pack_shard_begin(const struct tn_pack_part *part, uint32_t shard)
{
    uint64_t whole = part->count / part->shard_count, rest = part->count % part->shard_count;
    return whole * shard + rest * shard / part->shard_count;
}

static const struct tn_source *type_of(const struct tn_instance *source)
{
    return (const struct tn_source *)source->type;
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
            if (part->listed) { /* a folder's name tells the class; a list's does not */
                snprintf(text, sizeof text, "%d",
                         (int)type_of(part->source)->label(part->source->self, part->samples[i]));
                digest = add_text(digest, text);
            }
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
    tn_status status = tn_pack_find(pack, error);
    if (status != TN_OK)
        return status;
    for (uint32_t p = 0; p < pack->part_count; p++)
        pack->parts[p].order = tn_permutation_make((uint64_t)pack->options->seed, p, pack->parts[p].count);
    pack->digest = digest_of(pack);
    warn_of_bare_classes(pack);
    return TN_OK;
}
