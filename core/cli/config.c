/* config.c: `tenon config`: the resolved experiment. */
#include <stdio.h>

#include "cli/cli.h"

struct options {
    int32_t places;
};

static const struct tn_option options[] = {
    TN_BOOL(struct options, places, 0, "say behind each value which file and line it came from"),
    TN_END,
};

static int run(struct tn_arguments *arguments)
{
    const struct options *chosen = arguments->options;
    struct tn_problems problems = {0};
    struct tn_config *config = NULL;
    struct tn_text text = {0};
    int exit_status = TN_EXIT_DONE;
    tn_status status =
        tn_config_load(arguments->file, arguments->overrides, arguments->override_count, &config, &problems);
    if (status == TN_OK)
        status = tn_experiment_add_defaults(config);
    if (status == TN_OK)
        status = tn_config_print(config, chosen->places, &text);
    if (status != TN_OK)
        exit_status = tn_console_problems(arguments->console, &problems, status);
    else
        fputs(text.data ? text.data : "", stdout);
    tn_text_release(&text);
    tn_config_close(&config);
    tn_problems_release(&problems);
    return exit_status;
}

const struct tn_command tn_command_config_entry = {
    .name = "config",
    .summary = "print the resolved experiment",
    .usage = "FILE [section.key=value ...] [--places]",
    .about =
        "Prints the experiment as the run will see it: includes, blocks, strategies, ${...} and overrides resolved.\n"
        "What is printed is itself an experiment. It does not load plugins: `tenon check` judges names and values.",
    .examples = "  tenon config cats.ini --places\n"
                "  tenon config cats.ini data.augment=strong",
    .flags = TN_COMMAND_EXPERIMENT,
    .options = options,
    .options_size = sizeof(struct options),
    .run = run,
};
