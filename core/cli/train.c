/* train.c: `tenon train`. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

struct options {
    const char *weights, *resume, *plugin_path;
    int32_t fresh, quiet, verbose;
};

static const struct tn_option options[] = {
    TN_BOOL(struct options, fresh, 0, "start anew beside an earlier run of this name: in NAME-2, NAME-3, ..."),
    TN_PATH(struct options, weights, NULL,
            "begin with the weights of this file, and with its optimizer state (see [weights])"),
    TN_PATH(struct options, resume, NULL, "go on with the run in this folder, not with that of the experiment's name"),
    TN_BOOL(struct options, quiet, 0, "print warnings and errors only"),
    TN_BOOL(struct options, verbose, 0, "say at the end how much time each callback took"),
    TN_PLUGIN_PATH_OPTION(struct options),
    TN_END,
};

static const struct tn_command_letter letters[] = {{'w', "weights"}, {'q', "quiet"}, {'v', "verbose"}, {0, NULL}};

/* What is about to run, in three lines. */
static void say_begin(struct tn_console *console, const struct tn_experiment *experiment)
{
    const struct tn_plan_report *report = tn_network_report(experiment->network);
    uint64_t most = tn_experiment_cache_bytes(experiment, tn_dataset_cache_limit);
    char count[32], bytes[32], cache[32], targets[48] = "";
    if (experiment->class_count)
        (void)snprintf(targets, sizeof targets, " in %u classes", (unsigned)experiment->class_count);
    else if (experiment->target_count)
        (void)snprintf(targets, sizeof targets, " with %u number%s each", (unsigned)experiment->target_count,
                       experiment->target_count == 1 ? "" : "s");
    tn_console_say(console, TN_LOG_INFO, "%s: %llu training images%s%s, batches of %lld", experiment->options.name,
                   (unsigned long long)tn_dataset_info(experiment->train)->count, targets,
                   experiment->validation ? "" : ", no validation", (long long)experiment->data.batch_size);
    tn_console_say(console, TN_LOG_INFO, "%s; %s parameters, %s planned%s%s", report->device.name,
                   tn_say_count(count, sizeof count, report->parameters),
                   tn_say_bytes(bytes, sizeof bytes, tn_experiment_planned_bytes(experiment)),
                   most ? ", and for the cache at most " : "", most ? tn_say_bytes(cache, sizeof cache, most) : "");
    tn_console_say(console, TN_LOG_INFO, "writing to %s", experiment->run_directory);
}

static int say_end(struct tn_console *console, const struct tn_experiment *experiment, tn_status status,
                   const struct tn_train_result *result, const struct tn_error *error)
{
    char planned[32], grown[32];
    if (status == TN_INTERRUPTED) {
        tn_console_say(console, TN_LOG_WARNING, "%s",
                       error->text[0] ? error->text : "interrupted; the run ended in order");
        return TN_EXIT_INTERRUPTED;
    }
    if (status != TN_OK)
        return tn_console_fail(console, status, error);
    if (!console->quiet) {
        tn_console_say(console, TN_LOG_INFO, "done: %d epoch%s, %llu steps%s%s; see %s", result->epochs_done,
                       result->epochs_done == 1 ? "" : "s", (unsigned long long)result->steps,
                       result->stopped_because ? "; stopped: " : "",
                       result->stopped_because ? result->stopped_because : "", experiment->run_directory);
        tn_console_say(console, TN_LOG_INFO, "memory: the process grew by at most %s; planned were %s",
                       tn_say_bytes(grown, sizeof grown, result->grown_bytes),
                       tn_say_bytes(planned, sizeof planned, result->planned_bytes));
    }
    return TN_EXIT_DONE;
}

static int run(struct tn_arguments *arguments)
{
    const struct options *chosen = arguments->options;
    struct tn_console *console = arguments->console;
    struct tn_progress_line line = {.console = console};
    struct tn_train_result result = {0};
    struct tn_error error = {0};
    struct tn_experiment *experiment = NULL;
    int exit_status;
    struct tn_train_request request = {.fresh = chosen->fresh,
                                       .quiet = chosen->quiet,
                                       .verbose = chosen->verbose,
                                       .weights = chosen->weights,
                                       .resume = chosen->resume,
                                       .stop = tn_signals_catch(),
                                       .progress = tn_progress_show,
                                       .repaints = console->paint,
                                       .context = &line,
                                       .say = NULL};

    console->quiet = chosen->quiet;
    tn_arguments_plugin_path(chosen->plugin_path);
    if (tn_arguments_experiment(arguments, 0, &experiment, &exit_status)) {
        tn_status status;
        if (!chosen->quiet)
            say_begin(console, experiment);
        status = tn_experiment_train(experiment, &request, &result, &error);
        tn_console_paint(console, "");
        exit_status = say_end(console, experiment, status, &result, &error);
    }
    tn_experiment_close(&experiment);
    return exit_status;
}

const struct tn_command tn_command_train_entry = {
    .name = "train",
    .summary = "train a network",
    .usage = "FILE [section.key=value ...] [options]",
    .about = "Trains what the experiment FILE describes and writes runs/NAME/: config.ini, classes.txt, log.csv,\n"
             "manifest.json, checkpoints, and state/, from which the same command goes on with a run that was cut off\n"
             "where it was, with the result of one that was not. Values can be replaced on the command line; nothing\n"
             "in FILE changes. Ctrl-C ends the run in order (exit status 75); a second Ctrl-C ends it at once.",
    .examples = "  tenon train cats.ini\n"
                "  tenon train cats.ini data.batch_size=64 optimizer.learning_rate=3e-4\n"
                "  tenon train cats.ini data.augment=strong experiment.name=cats-strong\n"
                "  tenon train cats.ini --weights runs/cats/checkpoints/best.h5 --fresh\n"
                "  tenon train cats.ini experiment.epochs=40                  # goes on when 30 of 30 were done\n"
                "  tenon train cats.ini --resume=runs/cats-2",
    .flags = TN_COMMAND_EXPERIMENT,
    .options = options,
    .options_size = sizeof(struct options),
    .letters = letters,
    .run = run,
};
