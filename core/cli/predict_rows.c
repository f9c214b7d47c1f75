/* predict_rows.c: what `tenon predict` prints of a picture: its likeliest classes, all of several, or numbers. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/predict.h"

/* ---- one class ---- */

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

static const char *class_name(const struct tn_predict_printer *printer, int32_t number, char *buffer, size_t size)
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

static void print_row_json(struct tn_predict_printer *printer, const char *name, const float *scores, int32_t count,
                           int64_t top)
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

static void print_row_csv(struct tn_predict_printer *printer, const char *name, const float *scores, int32_t count,
                          int64_t top)
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

/* A column for each output. */
static void print_csv_header(const struct tn_predict_printer *printer, const char *first, int32_t count,
                             const char *(*column)(const struct tn_predict_printer *, int32_t, char *, size_t))
{
    char number[24];
    fputs(first, stdout);
    for (int32_t i = 0; i < count; i++) {
        putchar(',');
        print_csv_field(column(printer, i, number, sizeof number));
    }
    putchar('\n');
}

static void print_name(struct tn_predict_printer *printer, const char *name)
{
    int length = (int)strlen(name);
    printer->name_width = length > printer->name_width ? length : printer->name_width;
    printf("%-*s", printer->name_width, name);
}

static void print_row_plain(struct tn_predict_printer *printer, const char *name, const float *scores, int32_t count,
                            int64_t top)
{
    char number[16];
    print_name(printer, name);
    for (int64_t n = 0; n < top; n++) {
        struct guess guess = nth_guess(scores, count, n);
        printf("  %-12s %6.2f%%", class_name(printer, guess.class_number, number, sizeof number), 100 * guess.score);
    }
    putchar('\n');
}

/* ---- several classes: each output is a yes or no ---- */

/* The probability of class `i`: the network may end in what goes into a sigmoid. */
static double probability(const struct tn_predict_printer *printer, double score)
{
    const struct tn_instance *instance = printer->experiment->loss;
    const struct tn_loss *loss = instance ? (const struct tn_loss *)(const void *)instance->type : NULL;
    if (loss && loss->from_logits && loss->from_logits(instance->self))
        return 1 / (1 + exp(-score));
    return score;
}

/* Calls `say` for each class above one half, the likeliest first; returns how many there are. */
static int32_t each_yes(const struct tn_predict_printer *printer, const float *scores, int32_t count,
                        void (*say)(const char *name, double value, int32_t before))
{
    char number[16];
    int32_t said = 0;
    for (; said < count; said++) {
        struct guess guess = nth_guess(scores, count, said);
        double value = probability(printer, guess.score);
        if (guess.class_number < 0 || !(value > 0.5))
            break;
        say(class_name(printer, guess.class_number, number, sizeof number), value, said);
    }
    return said;
}

static void say_yes_json(const char *name, double value, int32_t before)
{
    fputs(before ? ", {\"class\": " : "{\"class\": ", stdout);
    print_json_text(name);
    printf(", \"score\": %.6g}", value);
}

static void say_yes_plain(const char *name, double value, int32_t before)
{
    (void)before;
    printf("  %-12s %6.2f%%", name, 100 * value);
}

/* The names with `|` between them, as a list for the source `manifest` has them. */
static void add_yes_name(const struct tn_predict_printer *printer, const float *scores, int32_t count,
                         struct tn_text *text)
{
    char number[16];
    for (int32_t n = 0; n < count; n++) {
        struct guess guess = nth_guess(scores, count, n);
        if (guess.class_number < 0 || !(probability(printer, guess.score) > 0.5))
            return;
        tn_text_format(text, "%s%s", n ? "|" : "", class_name(printer, guess.class_number, number, sizeof number));
    }
}

static tn_status print_several(struct tn_predict_printer *printer, const char *name, const float *scores, int32_t count)
{
    struct tn_text names = {0};
    char number[16];
    if (printer->form == TN_PREDICT_JSON) {
        printf("%s{\"file\": ", printer->rows ? ",\n " : "[");
        print_json_text(name);
        fputs(", \"classes\": [", stdout);
        (void)each_yes(printer, scores, count, say_yes_json);
        fputs("]}", stdout);
    } else if (printer->form == TN_PREDICT_CSV) {
        if (printer->rows == 0)
            print_csv_header(printer, "file,classes", count, class_name);
        add_yes_name(printer, scores, count, &names);
        print_csv_field(name);
        putchar(',');
        print_csv_field(names.data ? names.data : "");
        for (int32_t i = 0; i < count; i++)
            printf(",%.6g", probability(printer, scores[i]));
        putchar('\n');
    } else {
        print_name(printer, name);
        if (each_yes(printer, scores, count, say_yes_plain) == 0) {
            struct guess best = nth_guess(scores, count, 0);
            printf("  none (most likely %s, %.2f%%)", class_name(printer, best.class_number, number, sizeof number),
                   100 * probability(printer, best.score));
        }
        putchar('\n');
    }
    bool failed = names.failed;
    tn_text_release(&names);
    return failed ? TN_NO_MEMORY : TN_OK;
}

/* ---- numbers ---- */

static const char *value_name(const struct tn_predict_printer *printer, int32_t number, char *buffer, size_t size)
{
    if ((uint32_t)number < printer->experiment->target_count)
        return printer->experiment->targets[number];
    snprintf(buffer, size, "value%d", number + 1);
    return buffer;
}

/* JSON has no word for a number that is none. */
static void print_number_json(double value)
{
    if (isfinite(value))
        printf("%.9g", value);
    else
        fputs("null", stdout);
}

static void print_numbers(struct tn_predict_printer *printer, const char *name, const float *values, int32_t count)
{
    char number[24];
    if (printer->form == TN_PREDICT_JSON) {
        printf("%s{\"file\": ", printer->rows ? ",\n " : "[");
        print_json_text(name);
        fputs(", \"values\": {", stdout);
    } else if (printer->form == TN_PREDICT_CSV) {
        if (printer->rows == 0)
            print_csv_header(printer, "file", count, value_name);
        print_csv_field(name);
    } else {
        print_name(printer, name);
    }
    for (int32_t i = 0; i < count; i++) {
        const char *column = value_name(printer, i, number, sizeof number);
        if (printer->form == TN_PREDICT_CSV) {
            printf(",%.9g", (double)values[i]);
        } else if (printer->form == TN_PREDICT_JSON) {
            fputs(i ? ", " : "", stdout);
            print_json_text(column);
            fputs(": ", stdout);
            print_number_json(values[i]);
        } else {
            printf("  %s %.6g", column, (double)values[i]);
        }
    }
    fputs(printer->form == TN_PREDICT_JSON ? "}}" : "\n", stdout);
}

/* ---- a row ---- */

static void print_one_class(struct tn_predict_printer *printer, const char *name, const float *scores, int32_t count)
{
    float pair[2];
    int64_t top;
    count = spread_binary(printer->experiment, &scores, count, pair);
    top = printer->top < count ? printer->top : count;
    if (printer->form == TN_PREDICT_JSON)
        print_row_json(printer, name, scores, count, top);
    else if (printer->form == TN_PREDICT_CSV)
        print_row_csv(printer, name, scores, count, top);
    else
        print_row_plain(printer, name, scores, count, top);
}

tn_status tn_predict_row(void *context, const char *name, uint64_t sample, const float *scores, int32_t count,
                         struct tn_error *error)
{
    struct tn_predict_printer *printer = context;
    int32_t mode = printer->experiment->data.class_mode;
    tn_status status = TN_OK;
    (void)sample;
    if (count < 1)
        return tn_fail(error, TN_FAILED, "the network has no outputs to choose from");
    if (mode == TN_CLASS_MULTI_LABEL)
        status = print_several(printer, name, scores, count);
    else if (mode == TN_CLASS_RAW)
        print_numbers(printer, name, scores, count);
    else
        print_one_class(printer, name, scores, count);
    printer->rows++;
    if (status != TN_OK)
        return tn_fail(error, status, "no memory for the names of classes");
    return ferror(stdout) ? tn_fail(error, TN_IO, "the output cannot be written") : TN_OK;
}
