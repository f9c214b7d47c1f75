/* pack.c: `tenon pack`: a folder or a list of images to TFRecord shards. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/pack.h"
#include "records/example_writer.h"
#include "records/record_writer.h"

static const struct tn_option options[] = {
    TN_INT(struct tn_pack_options, shards, 0, 0, TN_PACK_MOST_SHARDS,
           "number of shards for training; 0: by their size"),
    TN_BYTES(struct tn_pack_options, shard_size, NULL, 1024, 1099511627776.0,
             "about how large a shard is; 128MiB if absent"),
    TN_FLOAT(struct tn_pack_options, split, 0, 0, 0.9, "share of the pictures to set aside for validation"),
    TN_INT(struct tn_pack_options, seed, 1, 0, 9007199254740992.0, "of the order and of the pictures set aside"),
    TN_SIZE(struct tn_pack_options, resize, NULL, 1, 16384,
            "make JPEGs of this size; else files are kept byte by byte"),
    TN_BOOL(struct tn_pack_options, keep_aspect, 0, "with --resize: keep the shape; the picture covers that size"),
    TN_INT(struct tn_pack_options, quality, 90, 1, 100, "with --resize: of the JPEGs"),
    TN_ENUM(struct tn_pack_options, compression, TN_RECORD_PLAIN, "none|gzip", "of each shard"),
    TN_ENUM(struct tn_pack_options, keys, TN_EXAMPLE_FULL, "full|seed",
            "full: image/encoded, image/class/label …; seed: image, label"),
    TN_ENUM(struct tn_pack_options, on_error, TN_ON_ERROR_FAIL, "fail|skip", "what an unreadable picture does"),
    TN_PATH(struct tn_pack_options, exclude, NULL, "list of pictures to leave out, as `tenon doctor --list` writes it"),
    TN_PATH(struct tn_pack_options, folder, NULL, "of a list: folder that relative paths count from; the list's own"),
    TN_STRING(struct tn_pack_options, path_column, NULL, "of a list: column of the path; else filename, or the first"),
    TN_STRING(struct tn_pack_options, label_column, NULL,
              "of a list: column of the class; else class, label, or the second"),
    TN_STRING(struct tn_pack_options, separator, NULL,
              "of a list: between columns; else tab for .tsv and .tab, a comma"),
    TN_BOOL(struct tn_pack_options, no_header, 0, "of a list: its first line is a picture; columns are called 1, 2"),
    TN_INT(struct tn_pack_options, retries, 4, 0, 1000, "of a read that the system refuses, as a network drive may"),
    TN_FLOAT(struct tn_pack_options, retry_pause, 0.1, 0, 3600, "seconds before the first; each is 4 times the last"),
    TN_BOOL(struct tn_pack_options, trust, 0, "without --resize: look at headers only, do not decode to find damage"),
    TN_INT(struct tn_pack_options, workers, 0, 0, 256, "threads that read and decode; 0: one for each core"),
    TN_BOOL(struct tn_pack_options, quiet, 0, "no progress, no summary"),
    TN_PLUGIN_PATH_OPTION(struct tn_pack_options),
    TN_END,
};

static const struct tn_command_letter letters[] = {{'q', "quiet"}, {'j', "workers"}, {0, NULL}};

/* What a table cannot say. */
static tn_status judge_options(struct tn_pack_options *chosen, struct tn_error *error)
{
    if (chosen->shards > 0 && chosen->shard_size)
        return tn_fail(error, TN_INVALID, "pack: --shards or --shard-size, not both");
    if (chosen->keep_aspect && chosen->resize.height == 0)
        return tn_fail(error, TN_INVALID, "pack: --keep-aspect says how to --resize, which is not asked for");
    if (chosen->trust && chosen->resize.height > 0)
        return tn_fail(error, TN_INVALID, "pack: --trust and --resize do not go together: resizing decodes everything");
    if (chosen->shard_size == 0)
        chosen->shard_size = (uint64_t)128 << 20;
    return TN_OK;
}

static tn_status open_encoder(struct tn_pack *pack, struct tn_error *error)
{
    struct tn_problems problems = {0};
    if (pack->options->resize.height == 0)
        return TN_OK;
    tn_status status = tn_instance_open(pack->registry, TN_CODEC, "jpeg", NULL, NULL, &pack->encoder, &problems);
    if (status != TN_OK)
        tn_fail(error, status, "codec jpeg: %s", problems.count ? problems.items[0].text : "cannot be opened");
    else if (!((const struct tn_codec *)pack->encoder->type)->encode)
        status = tn_fail(error, TN_UNSUPPORTED, "this codec jpeg does not write");
    tn_problems_release(&problems);
    return status;
}

static void count_done(const struct tn_pack *pack, uint32_t *done, uint32_t *all)
{
    *done = *all = 0;
    for (uint32_t p = 0; p < pack->part_count; p++) {
        *all += pack->parts[p].shard_count;
        for (uint32_t s = 0; s < pack->parts[p].shard_count; s++)
            *done += pack->parts[p].shards[s].done;
    }
}

static tn_status judge_result(const struct tn_pack *pack, struct tn_error *error)
{
    for (uint32_t p = 0; p < pack->part_count; p++) {
        const struct tn_pack_part *part = &pack->parts[p];
        uint64_t records = 0;
        for (uint32_t s = 0; s < part->shard_count; s++)
            records += part->shards[s].records;
        if (records == 0)
            return tn_fail(error, TN_CORRUPT, "none of the %llu pictures for %s could be read",
                           (unsigned long long)part->count, part->name);
    }
    return TN_OK;
}

static tn_status pack_all(struct tn_pack *pack, struct tn_error *error)
{
    struct tn_problems problems = {0};
    uint32_t done, all;
    tn_status status = tn_config_load_text("", 0, "pack", NULL, 0, &pack->config, &problems);
    tn_problems_release(&problems);
    if (status != TN_OK)
        return tn_fail(error, status, "no memory");
    TN_TRY(status, tn_registry_open(NULL, &pack->registry, error), out);
    TN_TRY(status, tn_pack_list(pack, error), out);
    TN_TRY(status, open_encoder(pack, error), out);
    TN_TRY(status, tn_pack_job_open(pack, error), out);
    TN_TRY(status, tn_pack_plan(pack, error), out);
    if (*pack->stop)
        TN_TRY(status, tn_fail(error, TN_INTERRUPTED, "stopped before the first shard"), out);
    count_done(pack, &done, &all);
    if (pack->continued && done == all)
        tn_console_say(pack->console, TN_LOG_INFO, "%s: all %u shards are there already", pack->to, all);
    else if (pack->continued)
        tn_console_say(pack->console, TN_LOG_INFO, "%s: goes on; %u of %u shards are there already", pack->to, done,
                       all);
    TN_TRY(status, tn_pack_job_begin(pack, error), out);
    if (done < all)
        TN_TRY(status, tn_pack_forget_manifest(pack, error), out);
    TN_TRY(status, tn_pack_write_classes(pack, error), out);
    TN_TRY(status, tn_pack_write(pack, error), out);
    TN_TRY(status, judge_result(pack, error), out);
    status = tn_pack_write_manifest(pack, error);
out:
    return status;
}

static int run(struct tn_arguments *arguments)
{
    struct tn_pack_options chosen = *(const struct tn_pack_options *)arguments->options;
    struct tn_pack pack = {.options = &chosen,
                           .console = arguments->console,
                           .from = arguments->operands[0],
                           .to = arguments->operands[1],
                           .lock = -1,
                           .stop = tn_signals_catch()};
    struct tn_error error = {0};
    arguments->console->quiet = chosen.quiet;
    tn_arguments_plugin_path(chosen.plugin_path);
    tn_status status = judge_options(&chosen, &error);
    if (status == TN_OK)
        status = pack_all(&pack, &error);
    if (status == TN_OK && !chosen.quiet)
        tn_pack_say(&pack);
    for (uint32_t p = 0; p < pack.part_count; p++)
        free(pack.parts[p].samples);
    tn_instance_close(&pack.encoder);
    for (uint32_t i = 0; i < TN_PACK_PARTS; i++)
        tn_instance_close(&pack.sources[i]);
    tn_config_close(&pack.config);
    tn_registry_close(&pack.registry);
    tn_arena_release(&pack.arena);
    if (pack.lock >= 0)
        close(pack.lock);
    return status == TN_OK ? TN_EXIT_DONE : tn_console_fail(arguments->console, status, &error);
}

const struct tn_command tn_command_pack_entry = {
    .name = "pack",
    .summary = "write a folder or list of images as TFRecord shards",
    .usage = "SRC DST [--resize S] [--split X] [--shards N | --shard-size BYTES] [--compression gzip]",
    .about = "SRC holds one folder of images for each class, or train/ and val/ (valid, validation, test) with such\n"
             "folders; or it is a list (CSV, TSV): a path and a class in each line, as the source manifest reads it.\n"
             "Writes DST/train-00000-of-00008.tfrecord and so on, validation-… likewise, which TensorFlow reads;\n"
             "DST/classes.txt: line N is the name of label N, from 0; DST/pack.json: records by shard and class.\n"
             "Pictures are in an order that mixes the classes, the same for the same seed and any number of workers.\n"
             "A run that was stopped or killed leaves whole shards only; the same command goes on from there.",
    .examples = "  tenon pack photos packed\n"
                "  tenon pack photos.csv packed --label-column species --split 0.1\n"
                "  tenon pack photos packed-150 --resize 150x150 --quality 95 --split 0.1\n"
                "  tenon pack photos packed-gz --shard-size 200MiB --compression gzip --on-error skip\n"
                "  tenon pack photos packed-seed --keys seed --shards 16",
    .minimum_operands = 2,
    .maximum_operands = 2,
    .operand_name = "SRC or DST",
    .options = options,
    .options_size = sizeof(struct tn_pack_options),
    .letters = letters,
    .run = run,
};
