/* embed.c: tenon/tenon.h: the library's face for other programs. */
#include "tenon/tenon.h"

#include <stdlib.h>

#include "train/experiment.h"

struct tn_model {
    struct tn_experiment *experiment;
};

const char *tn_version(void)
{
    return TENON_VERSION;
}

/* Several problems as one error: the first, and how many more there are. */
static tn_status open_experiment(const char *file, const char *const *overrides, uint32_t count, uint32_t flags,
                                 struct tn_experiment **experiment, struct tn_error *error)
{
    struct tn_problems problems = {0};
    tn_status status = tn_experiment_open(file, overrides, count, flags, experiment, &problems);
    if (status != TN_OK && problems.count) {
        const struct tn_problem *first = &problems.items[0];
        char more[48] = "";
        if (problems.count > 1)
            (void)snprintf(more, sizeof more, " (and %zu more problem%s)", problems.count - 1,
                           problems.count == 2 ? "" : "s");
        (void)tn_fail(error, status, "%s%s", first->text, more);
        if (error && first->file) {
            (void)snprintf(error->file, sizeof error->file, "%s", first->file);
            error->line = first->line;
        }
    } else if (status != TN_OK) {
        (void)tn_fail(error, status, "%s cannot be opened", file);
    }
    tn_problems_release(&problems);
    return status;
}

tn_status tn_train(const char *file, const char *const *overrides, uint32_t override_count, volatile int32_t *stop,
                   struct tn_error *error)
{
    volatile int32_t never = 0;
    struct tn_train_request request = {.quiet = 1, .stop = stop ? stop : &never};
    struct tn_train_result result = {0};
    struct tn_experiment *experiment = NULL;
    tn_status status = open_experiment(file, overrides, override_count, 0, &experiment, error);
    if (status == TN_OK)
        status = tn_experiment_train(experiment, &request, &result, error);
    tn_experiment_close(&experiment);
    return status;
}

tn_status tn_model_open(const char *file, const char *weights, struct tn_model **model, struct tn_error *error)
{
    struct tn_model *made = calloc(1, sizeof *made);
    char notes[512];
    tn_status status;
    *model = NULL;
    if (!made)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a model");
    status = open_experiment(file, NULL, 0, TN_OPEN_INFERENCE, &made->experiment, error);
    if (status == TN_OK)
        status = tn_experiment_load_weights(made->experiment, weights, notes, sizeof notes, error);
    if (status == TN_OK)
        *model = made;
    else
        tn_model_close(&made);
    return status;
}

void tn_model_close(struct tn_model **model)
{
    if (*model)
        tn_experiment_close(&(*model)->experiment);
    free(*model);
    *model = NULL;
}

const char *tn_model_class(const struct tn_model *model, uint32_t index)
{
    return index < model->experiment->class_count ? model->experiment->classes[index] : NULL;
}

tn_status tn_model_predict(struct tn_model *model, const char *path,
                           tn_status (*row)(void *context, const char *name, uint64_t sample, const float *scores,
                                            int32_t count, struct tn_error *error),
                           void *context, struct tn_error *error)
{
    struct tn_dataset *dataset = NULL;
    tn_status status = tn_experiment_pictures(model->experiment, path, &dataset, error);
    if (status == TN_OK)
        status = tn_experiment_predict(model->experiment, dataset, row, context, error);
    tn_dataset_close(&dataset);
    return status;
}
