/* eval.c: `tenon eval`: loss and metrics of a weight file on a source. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

struct options {
    const char *weights, *source, *plugin_path;
    int32_t json, quiet;
};

static const struct tn_option options[] = {
    TN_STRING_REQUIRED(struct options, weights, "weight file (.keras, .safetensors, .h5) to judge"),
    TN_STRING(struct options, source, NULL, "name of a [source:...]; default validation, or train without one"),
    TN_BOOL(struct options, json, 0, "print one JSON object"),
    TN_BOOL(struct options, quiet, 0, "no progress"),
    TN_PLUGIN_PATH_OPTION(struct options),
    TN_END,
};

static const struct tn_command_letter letters[] = {{'w', "weights"}, {'q', "quiet"}, {0, NULL}};

static void show_progress(void *context, uint64_t batch, uint64_t batches)
{
    tn_progress_count(context, "evaluating", batch, batches);
}

static void print_json(const char *source, const char *weights, const struct tn_evaluation *evaluation)
{
    struct tn_text text = {0};
    tn_text_add(&text, "{\"source\": ");
    tn_text_json(&text, source);
    tn_text_add(&text, ", \"weights\": ");
    tn_text_json(&text, weights);
    tn_text_format(&text, ", \"samples\": %llu, \"skipped\": %llu", (unsigned long long)evaluation->samples,
                   (unsigned long long)evaluation->skipped);
    for (uint32_t i = 0; i < evaluation->value_count; i++) {
        tn_text_add(&text, ", ");
        tn_text_json(&text, evaluation->values[i].name);
        tn_text_format(&text, ": %.9g", evaluation->values[i].value);
    }
    tn_text_add(&text, "}\n");
    fputs(text.failed ? "" : text.data, stdout);
    tn_text_release(&text);
}

static void print_plain(const char *source, const struct tn_evaluation *evaluation)
{
    struct tn_text text = {0};
    tn_progress_logs(&text, evaluation->values, evaluation->value_count);
    printf("%s: %llu images", source, (unsigned long long)evaluation->samples);
    if (evaluation->skipped)
        printf(" (%llu more could not be read)", (unsigned long long)evaluation->skipped);
    puts(text.failed || !text.data ? "" : text.data);
    tn_text_release(&text);
}

static tn_status evaluate(struct tn_arguments *arguments, struct tn_experiment *experiment, struct tn_error *error)
{
    const struct options *chosen = arguments->options;
    struct tn_progress_line line = {.console = arguments->console};
    const char *source = chosen->source ? chosen->source : experiment->validation ? "validation" : "train";
    struct tn_evaluation evaluation = {0};
    struct tn_dataset *dataset = NULL;
    char notes[512] = "";
    tn_status status;

    TN_TRY(status, tn_experiment_load_weights(experiment, chosen->weights, notes, sizeof notes, error), out);
    TN_TRY(status, tn_experiment_source(experiment, source, &dataset, error), out);
    TN_TRY(status, tn_experiment_evaluate(experiment, dataset, &evaluation, show_progress, &line, error), out);
    tn_console_paint(arguments->console, "");
    if (chosen->json)
        print_json(source, chosen->weights, &evaluation);
    else
        print_plain(source, &evaluation);
out:
    return status;
}

static int run(struct tn_arguments *arguments)
{
    const struct options *chosen = arguments->options;
    struct tn_experiment *experiment = NULL;
    struct tn_error error = {0};
    int exit_status;
    arguments->console->quiet = chosen->quiet || chosen->json;
    tn_arguments_plugin_path(chosen->plugin_path);
    if (tn_arguments_experiment(arguments, TN_OPEN_INFERENCE, &experiment, &exit_status)) {
        tn_status status = evaluate(arguments, experiment, &error);
        exit_status = status == TN_OK ? TN_EXIT_DONE : tn_console_fail(arguments->console, status, &error);
    }
    tn_experiment_close(&experiment);
    return exit_status;
}

const struct tn_command tn_command_eval_entry = {
    .name = "eval",
    .summary = "loss and metrics of a weight file",
    .usage = "FILE --weights W [--source NAME] [section.key=value ...] [options]",
    .about =
        "Runs the network with the weights of W over a source of the experiment, without random augmentation, and\n"
        "prints the loss and each [metric:...].",
    .examples = "  tenon eval cats.ini --weights runs/cats/checkpoints/best.h5\n"
                "  tenon eval cats.ini -w best.h5 --source train --json",
    .flags = TN_COMMAND_EXPERIMENT,
    .options = options,
    .options_size = sizeof(struct options),
    .letters = letters,
    .run = run,
};
