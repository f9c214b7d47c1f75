/* pack_report.c: what lies beside the shards (classes.txt, skipped.txt, pack.json), and what is said at the end. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/pack.h"

static const char *const key_names[] = {"full", "seed"}, *const compression_names[] = {"none", "gzip"};

static tn_status write_text(struct tn_pack *pack, const char *name, const struct tn_text *text, struct tn_error *error)
{
    const char *path = tn_pack_path(pack, name);
    if (text->failed || !path)
        return tn_fail(error, TN_NO_MEMORY, "no memory for %s", name);
    return tn_file_write(path, text->data ? text->data : "", text->length, error);
}

tn_status tn_pack_write_classes(struct tn_pack *pack, struct tn_error *error)
{
    struct tn_text text = {0};
    for (uint32_t c = 0; c < pack->class_count; c++)
        tn_text_format(&text, "%s\n", pack->classes[c]);
    tn_status status = write_text(pack, "classes.txt", &text, error);
    tn_text_release(&text);
    return status;
}

/* ---- pictures that were left out ---- */

/* The JSON texts of all shards, as they are in pack.json: `separator` before each but the first. */
static uint64_t add_skipped(const struct tn_pack *pack, struct tn_text *text, const char *separator, const char *ending)
{
    uint64_t count = 0;
    for (uint32_t p = 0; p < pack->part_count; p++)
        for (uint32_t s = 0; s < pack->parts[p].shard_count; s++) {
            const char *line = pack->parts[p].shards[s].skipped;
            while (line && *line) {
                const char *end = strchr(line, '\n');
                tn_text_add(text, count++ ? separator : "");
                tn_text_add_bytes(text, line, (size_t)(end - line));
                tn_text_add(text, ending);
                line = end + 1;
            }
        }
    return count;
}

static tn_status write_skipped(struct tn_pack *pack, struct tn_error *error)
{
    struct tn_text text = {0};
    tn_status status = TN_OK;
    if (add_skipped(pack, &text, "", "\n") > 0) {
        status = write_text(pack, "skipped.txt", &text, error);
    } else {
        const char *path = tn_pack_path(pack, "skipped.txt");
        if (path)
            (void)unlink(path); /* of an earlier run, whose pictures can be read now */
    }
    tn_text_release(&text);
    return status;
}

/* ---- pack.json ---- */

static void add_shards(const struct tn_pack_part *part, struct tn_text *text)
{
    struct tn_arena arena = {0};
    tn_text_add(text, ",\n      \"shards\": [");
    for (uint32_t s = 0; s < part->shard_count; s++) {
        const struct tn_pack_shard *shard = &part->shards[s];
        const char *name = tn_pack_shard_name(&arena, part, s);
        tn_text_add(text, s ? ",\n        {\"name\": " : "\n        {\"name\": ");
        tn_text_json(text, name ? name : "");
        tn_text_format(text, ", \"records\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"labels\": %s}", shard->records,
                       shard->bytes, shard->labels);
    }
    tn_text_add(text, "\n      ]");
    tn_arena_release(&arena);
}

static tn_status add_part(const struct tn_pack *pack, const struct tn_pack_part *part, struct tn_text *text,
                          struct tn_error *error)
{
    uint64_t records = 0, bytes = 0, *counts = calloc(pack->class_count, sizeof *counts);
    if (!counts)
        return tn_fail(error, TN_NO_MEMORY, "no memory for pack.json");
    for (uint32_t s = 0; s < part->shard_count; s++) {
        records += part->shards[s].records, bytes += part->shards[s].bytes;
        (void)tn_pack_add_labels(part->shards[s].labels, counts, pack->class_count);
    }
    tn_text_json(text, part->name);
    tn_text_format(text,
                   ": {\n      \"records\": %" PRIu64 ",\n      \"bytes\": %" PRIu64 ",\n      \"class_sizes\": [",
                   records, bytes);
    for (uint32_t c = 0; c < pack->class_count; c++)
        tn_text_format(text, "%s%" PRIu64, c ? ", " : "", counts[c]);
    tn_text_add(text, "]");
    add_shards(part, text);
    tn_text_add(text, "\n    }");
    free(counts);
    return TN_OK;
}

static void add_options(const struct tn_pack *pack, struct tn_text *text)
{
    const struct tn_pack_options *o = pack->options;
    tn_text_format(text, "{\n  \"format\": \"tenon-pack 1\",\n  \"digest\": \"%016" PRIx64 "\",\n", pack->digest);
    tn_text_format(text, "  \"compression\": \"%s\",\n  \"keys\": \"%s\",\n  \"seed\": %lld,\n  \"split\": %.10g,\n",
                   compression_names[o->compression], key_names[o->keys], (long long)o->seed, o->split);
    if (o->resize.height > 0)
        tn_text_format(text, "  \"resize\": {\"height\": %d, \"width\": %d, \"keep_aspect\": %s, \"quality\": %d},\n",
                       (int)o->resize.height, (int)o->resize.width, o->keep_aspect ? "true" : "false", (int)o->quality);
    else
        tn_text_add(text, "  \"resize\": null,\n");
    tn_text_add(text, "  \"classes\": [");
    for (uint32_t c = 0; c < pack->class_count; c++) {
        tn_text_add(text, c ? ", " : "");
        tn_text_json(text, pack->classes[c]);
    }
    tn_text_add(text, "],\n");
}

tn_status tn_pack_forget_manifest(struct tn_pack *pack, struct tn_error *error)
{
    const char *path = tn_pack_path(pack, "pack.json");
    if (!path)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a path");
    if (unlink(path) != 0 && errno != ENOENT)
        return tn_fail(error, TN_IO, "cannot remove %s: %s", path, strerror(errno));
    return TN_OK;
}

tn_status tn_pack_write_manifest(struct tn_pack *pack, struct tn_error *error)
{
    struct tn_text text = {0};
    tn_status status = write_skipped(pack, error);
    add_options(pack, &text);
    tn_text_add(&text, "  \"parts\": {\n    ");
    for (uint32_t p = 0; status == TN_OK && p < pack->part_count; p++) {
        tn_text_add(&text, p ? ",\n    " : "");
        status = add_part(pack, &pack->parts[p], &text, error);
    }
    tn_text_add(&text, "\n  },\n  \"skipped\": [");
    (void)add_skipped(pack, &text, ",\n    ", "");
    tn_text_add(&text, "]\n}\n");
    if (status == TN_OK)
        status = write_text(pack, "pack.json", &text, error);
    tn_text_release(&text);
    return status;
}

/* ---- the last words ---- */

void tn_pack_say(const struct tn_pack *pack)
{
    char size[32], count[32];
    struct tn_text text = {0};
    uint64_t skipped = add_skipped(pack, &text, "", "");
    tn_text_release(&text);
    for (uint32_t p = 0; p < pack->part_count; p++) {
        const struct tn_pack_part *part = &pack->parts[p];
        uint64_t records = 0, bytes = 0;
        for (uint32_t s = 0; s < part->shard_count; s++)
            records += part->shards[s].records, bytes += part->shards[s].bytes;
        tn_console_say(pack->console, TN_LOG_INFO, "%s/%s-*.tfrecord: %s pictures of %u classes in %u shard%s, %s",
                       pack->to, part->name, tn_say_count(count, sizeof count, records), (unsigned)pack->class_count,
                       (unsigned)part->shard_count, part->shard_count == 1 ? "" : "s",
                       tn_say_bytes(size, sizeof size, bytes));
    }
    if (skipped)
        tn_console_say(pack->console, TN_LOG_WARNING,
                       "%llu picture%s left out: %s/skipped.txt lists them; --on-error fail tries them again",
                       (unsigned long long)skipped, skipped == 1 ? " was" : "s were", pack->to);
}
