/* predict.c: `tenon predict`: class and score for each image, as a table, CSV or JSON. */
#include <stdio.h>
#include <string.h>

#include "cli/predict.h"

struct options {
    const char *weights, *plugin_path;
    int64_t top;
    int32_t csv, json;
};

static const struct tn_option options[] = {
    TN_STRING_REQUIRED(struct options, weights, "weight file (.keras, .safetensors, .h5)"),
    TN_INT(struct options, top, 1, 1, 1000, "how many classes for each image, the likeliest first"),
    TN_BOOL(struct options, csv, 0,
            "print CSV: file,class,score (then class2,score2, ...); several classes or numbers: a column for each"),
    TN_BOOL(struct options, json, 0, "print a JSON list"),
    TN_PLUGIN_PATH_OPTION(struct options),
    TN_END,
};

static const struct tn_command_letter letters[] = {{'w', "weights"}, {'n', "top"}, {0, NULL}};

static tn_status predict_all(struct tn_arguments *arguments, struct tn_experiment *experiment, struct tn_error *error)
{
    const struct options *chosen = arguments->options;
    struct tn_predict_printer printer = {
        .form = chosen->json  ? TN_PREDICT_JSON
                : chosen->csv ? TN_PREDICT_CSV
                              : TN_PREDICT_PLAIN,
        .top = chosen->top,
        .experiment = experiment,
        .name_width = 24,
    };
    struct tn_dataset *dataset = NULL;
    char notes[512] = "";
    tn_status status = tn_experiment_load_weights(experiment, chosen->weights, notes, sizeof notes, error);

    for (size_t i = 0; i < arguments->operand_count && status == TN_OK; i++) {
        status = tn_experiment_pictures(experiment, arguments->operands[i], &dataset, error);
        if (status == TN_OK)
            status = tn_experiment_predict(experiment, dataset, tn_predict_row, &printer, error);
        tn_dataset_close(&dataset);
    }
    if (chosen->json)
        puts(printer.rows ? "]" : "[]");
    return status;
}

static int run(struct tn_arguments *arguments)
{
    const struct options *chosen = arguments->options;
    struct tn_experiment *experiment = NULL;
    struct tn_error error = {0};
    int exit_status;
    if (chosen->csv && chosen->json) {
        tn_console_say(arguments->console, TN_LOG_ERROR, "predict: --csv or --json, not both");
        return TN_EXIT_WRONG;
    }
    arguments->console->quiet = true; /* the table is the output: nothing else belongs there */
    tn_arguments_plugin_path(chosen->plugin_path);
    if (tn_arguments_experiment(arguments, TN_OPEN_INFERENCE, &experiment, &exit_status)) {
        tn_status status = predict_all(arguments, experiment, &error);
        exit_status = status == TN_OK ? TN_EXIT_DONE : tn_console_fail(arguments->console, status, &error);
    }
    tn_experiment_close(&experiment);
    return exit_status;
}

const struct tn_command tn_command_predict_entry = {
    .name = "predict",
    .summary = "class and score for each image",
    .usage = "FILE --weights W PATH... [--csv|--json] [--top N] [section.key=value ...]",
    .about = "Runs the network with the weights of W over pictures and folders of pictures (with what is in them) and\n"
             "prints the likeliest class of each with its score; with class_mode = multi_label all classes above 50 %, "
             "and with\n"
             "class_mode = raw the numbers. What the experiment does to validation pictures\n"
             "(resize, rescale) is done to these.",
    .examples = "  tenon predict cats.ini --weights runs/cats/checkpoints/best.h5 picture.jpg\n"
                "  tenon predict cats.ini -w best.h5 --csv --top 3 inbox/ > guesses.csv",
    .flags = TN_COMMAND_EXPERIMENT,
    .minimum_operands = 1,
    .maximum_operands = -1,
    .operand_name = "PATH",
    .options = options,
    .options_size = sizeof(struct options),
    .letters = letters,
    .run = run,
};
