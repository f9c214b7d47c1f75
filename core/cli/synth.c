/* synth.c: `tenon synth`: draws the shapes data set as class folders of JPEGs. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

struct options {
    int64_t count, validation_count, classes, quality, seed;
    struct tn_size size;
    const char *plugin_path;
    int32_t quiet;
};

static const struct tn_option options[] = {
    TN_INT(struct options, count, 2000, 1, 10000000, "pictures in train/"),
    TN_INT(struct options, validation_count, -1, -1, 10000000, "pictures in validation/; -1: a fifth of --count"),
    TN_SIZE(struct options, size, "64", 8, 4096, "size of a picture, height x width"),
    TN_INT(struct options, classes, 6, 2, 1000, "kinds of figures"),
    TN_INT(struct options, quality, 90, 1, 100, "of the JPEGs"),
    TN_INT(struct options, seed, 1, 0, 9007199254740992.0, "other pictures for another seed"),
    TN_BOOL(struct options, quiet, 0, "no progress"),
    TN_PLUGIN_PATH_OPTION(struct options),
    TN_END,
};

static const struct tn_command_letter letters[] = {{'n', "count"}, {'q', "quiet"}, {0, NULL}};

struct writing {
    struct tn_progress_line line;
    const volatile int32_t *stop;
};

static int32_t show_progress(void *context, uint64_t done, uint64_t count)
{
    struct writing *writing = context;
    tn_progress_count(&writing->line, "drawing", done, count);
    return *writing->stop;
}

static tn_status set_number(struct tn_config *config, struct tn_section *section, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return tn_section_set(config, section, key, text);
}

/* [source:PART] of type shapes, as if it stood in an experiment. */
static tn_status open_shapes(struct tn_registry *registry, struct tn_config *config, const struct options *chosen,
                             const char *part, int64_t count, int64_t seed, struct tn_instance **source,
                             struct tn_error *error)
{
    struct tn_problems problems = {0};
    struct tn_section *section = tn_config_add(config, "source", part);
    tn_status status = section ? set_number(config, section, "count", count) : TN_NO_MEMORY;
    if (status == TN_OK)
        status = set_number(config, section, "seed", seed);
    if (status == TN_OK)
        status = set_number(config, section, "classes", chosen->classes);
    if (status == TN_OK)
        status = tn_instance_open(registry, TN_SOURCE, "shapes", section, NULL, source, &problems);
    if (status != TN_OK)
        tn_fail(error, status, "%s", problems.count ? problems.items[0].text : "no memory");
    tn_problems_release(&problems);
    return status;
}

static tn_status write_part(struct tn_arguments *arguments, struct tn_registry *registry, struct tn_config *config,
                            const char *part, int64_t count, int64_t seed, struct tn_error *error)
{
    const struct options *chosen = arguments->options;
    struct writing writing = {.line = {.console = arguments->console}, .stop = tn_signals_catch()};
    struct tn_instance *source = NULL;
    struct tn_text folder = {0};
    tn_status status;

    tn_text_format(&folder, "%s/%s", arguments->operands[0], part);
    if (folder.failed)
        return tn_fail(error, TN_NO_MEMORY, "no memory");
    TN_TRY(status, open_shapes(registry, config, chosen, part, count, seed, &source, error), out);
    TN_TRY(status,
           tn_synth_write(registry, source, folder.data, (uint64_t)count, (int32_t)chosen->quality, chosen->size,
                          (uint64_t)seed, show_progress, &writing, error),
           out);
    tn_console_paint(arguments->console, "");
    if (!chosen->quiet)
        tn_console_say(arguments->console, TN_LOG_INFO, "%s: %lld pictures of %dx%d", folder.data, (long long)count,
                       chosen->size.height, chosen->size.width);
out:
    tn_instance_close(&source);
    tn_text_release(&folder);
    return status;
}

static int run(struct tn_arguments *arguments)
{
    const struct options *chosen = arguments->options;
    int64_t validation = chosen->validation_count < 0 ? chosen->count / 5 : chosen->validation_count;
    struct tn_problems problems = {0};
    struct tn_registry *registry = NULL;
    struct tn_config *config = NULL;
    struct tn_error error = {0};
    tn_status status;

    arguments->console->quiet = chosen->quiet;
    tn_arguments_plugin_path(chosen->plugin_path);
    TN_TRY(status, tn_registry_open(NULL, &registry, &error), out);
    TN_TRY(status, tn_config_load_text("", 0, "synth", NULL, 0, &config, &problems), out);
    TN_TRY(status, write_part(arguments, registry, config, "train", chosen->count, chosen->seed, &error), out);
    /* Other pictures: the seed names the set, and no user's seed is negative or this large. */
    if (validation > 0)
        TN_TRY(status,
               write_part(arguments, registry, config, "validation", validation, chosen->seed + 1000003, &error), out);
out:
    tn_problems_release(&problems);
    tn_config_close(&config);
    tn_registry_close(&registry);
    return status == TN_OK ? TN_EXIT_DONE : tn_console_fail(arguments->console, status, &error);
}

const struct tn_command tn_command_synth_entry = {
    .name = "synth",
    .summary = "draw a data set of shapes as class folders of JPEGs",
    .usage = "DIR [--count N] [--size S] [--classes N] [--quality Q] [--seed N]",
    .about =
        "Writes DIR/train/CLASS/*.jpg and DIR/validation/CLASS/*.jpg: simple shapes in many colours, sizes, places\n"
        "and angles, with clutter and noise. A data set to try things on, without a download.",
    .examples = "  tenon synth shapes\n"
                "  tenon synth shapes --count 5000 --size 96 --seed 7 && tenon init shapes && tenon train shapes.ini",
    .minimum_operands = 1,
    .maximum_operands = 1,
    .operand_name = "DIR",
    .options = options,
    .options_size = sizeof(struct options),
    .letters = letters,
    .run = run,
};
