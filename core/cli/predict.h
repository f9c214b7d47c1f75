/* predict.h: `tenon predict`: predict.c (options, weights, pictures) and predict_rows.c (what is printed). */
#ifndef TENON_CLI_PREDICT_H
#define TENON_CLI_PREDICT_H

#include "cli/cli.h"

enum tn_predict_form { TN_PREDICT_PLAIN, TN_PREDICT_CSV, TN_PREDICT_JSON };

struct tn_predict_printer {
    enum tn_predict_form form;
    int64_t top; /* classes for each picture, where it has one class */
    const struct tn_experiment *experiment;
    uint64_t rows;  /* so far */
    int name_width; /* of the table: the longest name so far */
};

/* Prints one picture; `context` is the printer. */
tn_status tn_predict_row(void *context, const char *name, uint64_t sample, const float *scores, int32_t count,
                         struct tn_error *error);

#endif
