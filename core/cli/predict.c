/* predict.c: `tenon predict`: class and score for each image, as a table, CSV or JSON. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

struct options {
    const char *weights, *plugin_path;
    int64_t top;
    int32_t csv, json;
};

static const struct tn_option options[] = {
    TN_STRING_REQUIRED(struct options, weights, "weight file (.h5)"),
    TN_INT(struct options, top, 1, 1, 1000, "how many classes for each image, the likeliest first"),
    TN_BOOL(struct options, csv, 0, "print CSV: file,class,score (then class2,score2, ...)"),
    TN_BOOL(struct options, json, 0, "print a JSON list"),
    TN_PLUGIN_PATH_OPTION(struct options),
    TN_END,
};

static const struct tn_command_letter letters[] = {{'w', "weights"}, {'n', "top"}, {0, NULL}};

struct printer {
    const struct options *options;
    const struct tn_experiment *experiment;
    uint64_t rows;
    int name_width; /* of the table: the longest name so far */
};

struct guess {
    int32_t class_number; /* -1: one already taken */
    double score;
};

/* The n-th likeliest class. K is small and n too: no sorting. */
static struct guess nth_guess(const float *scores, int32_t count, int64_t n)
{
    struct guess best = {-1, -INFINITY};
    int32_t last = -1;
    for (int64_t turn = 0; turn <= n; turn++) {
        double below = best.score;
        last = best.class_number;
        best = (struct guess){-1, -INFINITY};
        for (int32_t i = 0; i < count; i++) {
            bool after = turn == 0 || scores[i] < below || (scores[i] == (float)below && i > last);
            if (after && scores[i] > best.score)
                best = (struct guess){i, scores[i]};
        }
    }
    return best;
}

/* One output unit means two classes: the score is that of the second (Keras' class_mode binary). */
static int32_t spread_binary(const struct tn_experiment *experiment, const float **scores, int32_t count, float pair[2])
{
    if (count != 1 || experiment->class_count != 2)
        return count;
    pair[0] = 1 - (*scores)[0];
    pair[1] = (*scores)[0];
    *scores = pair;
    return 2;
}

static const char *class_name(const struct printer *printer, int32_t number, char *buffer, size_t size)
{
    if (number >= 0 && (uint32_t)number < printer->experiment->class_count)
        return printer->experiment->classes[number];
    snprintf(buffer, size, "%d", number);
    return buffer;
}

/* As RFC 4180 wants it: quoted only where it has to be. */
static void print_csv_field(const char *text)
{
    if (!strpbrk(text, ",\"\n\r")) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void print_json_text(const char *text)
{
    struct tn_text json = {0};
    tn_text_json(&json, text);
    fputs(json.failed ? "null" : json.data, stdout);
    tn_text_release(&json);
}

static void print_row_json(struct printer *printer, const char *name, const float *scores, int32_t count, int64_t top)
{
    char number[16];
    printf("%s{\"file\": ", printer->rows ? ",\n " : "[");
    print_json_text(name);
    for (int64_t n = 0; n < top; n++) {
        struct guess guess = nth_guess(scores, count, n);
        if (n == 0)
            fputs(", \"class\": ", stdout);
        else
            fputs(n == 1 ? ", \"others\": [{\"class\": " : ", {\"class\": ", stdout);
        print_json_text(class_name(printer, guess.class_number, number, sizeof number));
        printf(", \"score\": %.6g%s", guess.score, n ? "}" : "");
    }
    fputs(top > 1 ? "]}" : "}", stdout);
}

static void print_row_csv(struct printer *printer, const char *name, const float *scores, int32_t count, int64_t top)
{
    char number[16];
    if (printer->rows == 0) {
        fputs("file,class,score", stdout);
        for (int64_t n = 2; n <= top; n++)
            printf(",class%lld,score%lld", (long long)n, (long long)n);
        putchar('\n');
    }
    print_csv_field(name);
    for (int64_t n = 0; n < top; n++) {
        struct guess guess = nth_guess(scores, count, n);
        putchar(',');
        print_csv_field(class_name(printer, guess.class_number, number, sizeof number));
        printf(",%.6g", guess.score);
    }
    putchar('\n');
}

static void print_row_plain(struct printer *printer, const char *name, const float *scores, int32_t count, int64_t top)
{
    char number[16];
    int length = (int)strlen(name);
    printer->name_width = length > printer->name_width ? length : printer->name_width;
    printf("%-*s", printer->name_width, name);
    for (int64_t n = 0; n < top; n++) {
        struct guess guess = nth_guess(scores, count, n);
        printf("  %-12s %6.2f%%", class_name(printer, guess.class_number, number, sizeof number), 100 * guess.score);
    }
    putchar('\n');
}

static tn_status print_row(void *context, const char *name, uint64_t sample, const float *scores, int32_t count,
                           struct tn_error *error)
{
    struct printer *printer = context;
    float pair[2];
    int64_t top;
    (void)sample;
    count = spread_binary(printer->experiment, &scores, count, pair);
    if (count < 1)
        return tn_fail(error, TN_FAILED, "the network has no outputs to choose from");
    top = printer->options->top < count ? printer->options->top : count;
    if (printer->options->json)
        print_row_json(printer, name, scores, count, top);
    else if (printer->options->csv)
        print_row_csv(printer, name, scores, count, top);
    else
        print_row_plain(printer, name, scores, count, top);
    printer->rows++;
    return ferror(stdout) ? tn_fail(error, TN_IO, "the output cannot be written") : TN_OK;
}

static tn_status predict_all(struct tn_arguments *arguments, struct tn_experiment *experiment, struct tn_error *error)
{
    const struct options *chosen = arguments->options;
    struct printer printer = {chosen, experiment, 0, 24};
    struct tn_dataset *dataset = NULL;
    char notes[512] = "";
    tn_status status = tn_experiment_load_weights(experiment, chosen->weights, notes, sizeof notes, error);

    for (size_t i = 0; i < arguments->operand_count && status == TN_OK; i++) {
        status = tn_experiment_pictures(experiment, arguments->operands[i], &dataset, error);
        if (status == TN_OK)
            status = tn_experiment_predict(experiment, dataset, print_row, &printer, error);
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
             "prints the likeliest class of each with its score. What the experiment does to validation pictures\n"
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
