/* options.c: the keys of [experiment], and the sections that are added when a file leaves them out. */
#include <string.h>

#include "train/internal.h"

const struct tn_option tn_experiment_option_table[] = {
    TN_STRING(struct tn_experiment_options, name, NULL, "name of the run and its folder; default: the file's name"),
    TN_STRING(struct tn_experiment_options, run_folder, "runs", "folder that holds the run directories"),
    TN_INT(struct tn_experiment_options, seed, 0, 0, 9007199254740992.0, "of everything that is drawn"),
    TN_INT(struct tn_experiment_options, epochs, 1, 1, 1e9, "passes over the training data"),
    TN_INT(struct tn_experiment_options, steps_per_epoch, 0, 0, 1e15, "batches of an epoch; 0 = all"),
    TN_INT(struct tn_experiment_options, threads, 0, 0, 4096, "compute threads; 0 = all cores"),
    TN_STRING(struct tn_experiment_options, device, "auto", "auto, cpu or cuda"),
    TN_STRING(struct tn_experiment_options, save_every, "auto",
              "when the run's state is saved, from which the same command goes on: auto, no, epoch, a time (5min) or a "
              "number of batches (500 batches); auto: as often as costs little, 5 seconds apart or more"),
    TN_ENUM(struct tn_experiment_options, on_save_error, 0, "warn|fail",
            "when the state cannot be saved: train on and try again, or end the run; what is not saved at the end is "
            "an error in any case"),
    TN_PATH_OR(
        struct tn_experiment_options, state_folder, "auto", "auto|no|FOLDER",
        "a folder on this machine's own disk where states go first, before they are copied to the run directory; "
        "auto: below ~/.local/state when the run directory is on a network or cloud drive"),
    TN_ENUM(struct tn_experiment_options, precision, 0, "float32|bfloat16", "of the computation"),
    TN_END,
};

const struct tn_option tn_weights_option_table[] = {
    TN_PATH(
        struct tn_weights_options, from, NULL,
        "weight file that training begins with (.keras, .safetensors, .weights.h5, .h5); `train --weights` overrides "
        "it"),
    TN_BOOL(struct tn_weights_options, optimizer, 1,
            "go on with the optimizer's state too, where the file has that of the same optimizer"),
    TN_END,
};

static tn_status add(struct tn_config *config, const char *kind, const char *name, const char *type)
{
    struct tn_section *section = tn_config_add(config, kind, name);
    return section ? tn_section_set(config, section, "type", type) : TN_NO_MEMORY;
}

static const char *type_of(struct tn_section *section)
{
    const struct tn_entry *entry = section ? tn_section_entry(section, "type") : NULL;
    return entry && entry->value ? entry->value : "";
}

static const char *mode_of(struct tn_config *config)
{
    struct tn_section *data = tn_config_section(config, "data", "");
    const struct tn_entry *entry = data ? tn_section_entry(data, "class_mode") : NULL;
    return entry ? entry->value : "categorical";
}

/* The metric that is reported where none is named: what fits the labels; NULL: the loss says enough. */
static const char *metric_for(struct tn_config *config)
{
    const char *mode = mode_of(config), *loss = type_of(tn_config_next(config, "loss", NULL));
    if (strcmp(mode, "raw") == 0 && !strstr(loss, "crossentropy"))
        return strcmp(loss, "mean_absolute_error") == 0 ? "mean_squared_error" : "mean_absolute_error";
    if (strcmp(mode, "multi_label") == 0)
        return "binary_accuracy";
    return strstr(loss, "crossentropy") ? "accuracy" : NULL;
}

/* Keras' loss for the labels that a class_mode gives; NULL: there is nothing to learn from. */
static const char *loss_for(struct tn_config *config)
{
    static const char *const pairs[][2] = {{"categorical", "categorical_crossentropy"},
                                           {"sparse", "sparse_categorical_crossentropy"},
                                           {"binary", "binary_crossentropy"},
                                           {"input", "mean_squared_error"},
                                           {"raw", "mean_squared_error"},
                                           {"multi_label", "binary_crossentropy"}};
    const char *mode = mode_of(config);
    for (size_t i = 0; i < TN_COUNT_OF(pairs); i++)
        if (strcmp(pairs[i][0], mode) == 0)
            return pairs[i][1];
    return NULL;
}

tn_status tn_experiment_add_defaults(struct tn_config *config)
{
    tn_status status = TN_OK;
    const char *loss, *metric;
    bool logged = false;
    if (!tn_config_next(config, "loss", NULL) && (loss = loss_for(config)) != NULL)
        status = add(config, "loss", "", loss);
    if (status == TN_OK && !tn_config_next(config, "optimizer", NULL))
        status = add(config, "optimizer", "", "adam");
    if (status == TN_OK && !tn_config_next(config, "metric", NULL) && (metric = metric_for(config)) != NULL)
        status = add(config, "metric", metric, metric);
    for (struct tn_section *section = NULL; (section = tn_config_next(config, "callback", section)) != NULL;)
        logged = logged || strcmp(type_of(section), "csv_logger") == 0;
    if (status == TN_OK && !logged)
        status = add(config, "callback", "log", "csv_logger");
    return status;
}
