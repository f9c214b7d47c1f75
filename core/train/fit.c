/* fit.c: do the parts fit each other: loss and labels, device and precision. */
#include <string.h>

#include "train/internal.h"

static const char *const mode_names[] = {"categorical", "binary", "sparse", "input", "none", "raw", "multi_label"};

bool tn_loss_is_sparse(const struct tn_instance *loss)
{
    return loss && (loss->type->flags & TN_LOSS_SPARSE) != 0;
}

int32_t tn_experiment_target_count(const struct tn_experiment *experiment)
{
    const struct tn_size *size = &experiment->data.target_size;
    switch (experiment->data.class_mode) {
    case TN_CLASS_CATEGORICAL:
    case TN_CLASS_MULTI_LABEL:
        return (int32_t)experiment->class_count;
    case TN_CLASS_RAW:
        return (int32_t)experiment->target_count;
    case TN_CLASS_BINARY:
    case TN_CLASS_SPARSE:
        return 1;
    case TN_CLASS_INPUT:
        return size->height * size->width * tn_color_channels(experiment->data.color_mode);
    default:
        return 0;
    }
}

/* What to write instead when a loss cannot use the labels of a class_mode; NULL: it can. */
static const char *better_loss(const struct tn_instance *loss, int32_t class_mode)
{
    const char *name = loss->type->name;
    bool sparse = tn_loss_is_sparse(loss);
    if (class_mode == TN_CLASS_CATEGORICAL && sparse)
        return "categorical_crossentropy";
    if (class_mode == TN_CLASS_SPARSE && !sparse)
        return "sparse_categorical_crossentropy";
    if (class_mode == TN_CLASS_BINARY && strcmp(name, "categorical_crossentropy") == 0)
        return "binary_crossentropy";
    if (class_mode == TN_CLASS_INPUT && (sparse || strcmp(name, "categorical_crossentropy") == 0))
        return "mean_squared_error";
    if (class_mode == TN_CLASS_RAW && sparse)
        return "mean_squared_error or mean_absolute_error";
    if (class_mode == TN_CLASS_MULTI_LABEL && (sparse || strcmp(name, "categorical_crossentropy") == 0))
        return "binary_crossentropy";
    return NULL;
}

static void check_loss(struct tn_setup *setup)
{
    const struct tn_experiment *experiment = setup->experiment;
    const struct tn_instance *loss = experiment->loss;
    const char *better = better_loss(loss, experiment->data.class_mode);
    const char *gives[] = {"a vector with one 1 for each sample",
                           "a single 0 or 1 for each sample",
                           "a class number for each sample",
                           "the picture itself",
                           "no labels",
                           "numbers for each sample",
                           "a 1 for each class that a sample has"};
    int32_t mode = experiment->data.class_mode;
    if (!better)
        return;
    tn_problem_add(setup->problems, loss->file, loss->line,
                   "[loss] type: %s does not fit class_mode = %s of [data], which gives %s: use %s%s", loss->type->name,
                   mode_names[mode], gives[mode], better,
                   mode == TN_CLASS_CATEGORICAL ? " (or class_mode = sparse)"
                   : mode == TN_CLASS_SPARSE    ? " (or class_mode = categorical)"
                                                : "");
}

/* The run's name becomes a folder. */
static void check_name(struct tn_setup *setup)
{
    const struct tn_experiment *experiment = setup->experiment;
    const char *name = experiment->options.name;
    struct tn_section *section = tn_config_section(experiment->config, "experiment", "");
    const struct tn_entry *entry = section ? tn_section_entry(section, "name") : NULL;
    if (*name && *name != '.' && !strchr(name, '/') && strlen(name) < 200)
        return;
    tn_problem_add(setup->problems, entry ? entry->file : experiment->config->path, entry ? entry->line : 0,
                   "[experiment] name: `%s` cannot be the name of a folder", name);
}

/* What a callback will write has to have a format, which is opened here: its libraries are loaded before the run. */
static void check_weight_file(struct tn_setup *setup, const struct tn_instance *callback)
{
    const struct tn_callback *type = (const struct tn_callback *)callback->type;
    const char *path = type->weight_file ? type->weight_file(callback->self) : NULL;
    struct tn_error error = {.status = TN_OK};
    if (path && tn_weight_files_prepare(setup->experiment, path, &error) != TN_OK)
        tn_problem_add(setup->problems, callback->file, callback->line, "[callback:%s]: %s", callback->name,
                       error.text);
}

/* A schedule says the rate of every step: what a callback sets would be lost, or multiplied by it. */
static void check_rate(struct tn_setup *setup, const struct tn_instance *callback)
{
    const struct tn_instance *schedule = setup->experiment->schedule;
    if (schedule && (callback->type->flags & TN_CALLBACK_SETS_RATE))
        tn_problem_add(setup->problems, callback->file, callback->line,
                       "[callback:%s]: %s sets the learning rate, and so does [schedule] (line %u): leave out one of "
                       "them",
                       callback->name, callback->type->name, schedule->line);
}

static void choose_drawer(struct tn_setup *setup, const struct tn_instance *callback)
{
    struct tn_experiment_own *own = setup->experiment->own;
    if (!((const struct tn_callback *)callback->type)->progress)
        return;
    if (own->drawer)
        tn_problem_add(setup->problems, callback->file, callback->line,
                       "[callback:%s]: [callback:%s] draws the progress line already (line %u)", callback->name,
                       own->drawer->name, own->drawer->line);
    else
        own->drawer = callback;
}

void tn_setup_check_fit(struct tn_setup *setup)
{
    const struct tn_experiment *experiment = setup->experiment;
    struct tn_section *section = tn_config_section(experiment->config, "experiment", "");
    const struct tn_entry *precision = section ? tn_section_entry(section, "precision") : NULL;
    uint32_t keepers = 0;
    check_name(setup);
    if (experiment->loss)
        check_loss(setup);
    else if (!(experiment->flags & TN_OPEN_INFERENCE) && experiment->data.class_mode == TN_CLASS_NONE &&
             !tn_config_next(experiment->config, "loss", NULL))
        tn_problem_add(setup->problems, experiment->config->path, 0,
                       "class_mode = none gives no labels: there is nothing to train on");
    if (experiment->options.precision != 0 && precision)
        tn_problem_add(setup->problems, precision->file, precision->line,
                       "[experiment] precision: bfloat16 is not implemented yet");
    for (uint32_t i = 0; i < experiment->callback_count; i++) {
        const struct tn_instance *callback = experiment->callbacks[i];
        const struct tn_callback *type = (const struct tn_callback *)callback->type;
        check_weight_file(setup, callback);
        check_rate(setup, callback);
        choose_drawer(setup, callback);
        if (!(type->type.flags & TN_CALLBACK_KEEPS_WEIGHTS) ||
            (type->keeps_weights && !type->keeps_weights(callback->self)))
            continue;
        if (++keepers > 1)
            tn_problem_add(setup->problems, callback->file, callback->line,
                           "[callback:%s]: only one callback of a run can keep weights to restore them",
                           callback->name);
    }
}

static bool has_option(const struct tn_type *type, const char *name)
{
    for (const struct tn_option *option = type->options; option && option->kind != TN_OPTION_END; option++)
        if (option->kind != TN_OPTION_GONE && strcmp(option->name, name) == 0)
            return true;
    return false;
}

/* [device:NAME] or [device] of the file, with the threads of [experiment] unless it has its own. */
static tn_status device_section(struct tn_experiment *experiment, const struct tn_type *type,
                                struct tn_section **section)
{
    char threads[32];
    *section = tn_config_section(experiment->config, "device", type->name);
    if (!*section)
        *section = tn_config_section(experiment->config, "device", "");
    if (experiment->options.threads == 0 || !has_option(type, "threads") ||
        (*section && tn_section_entry(*section, "threads")))
        return TN_OK;
    if (!*section)
        *section = tn_config_add(experiment->config, "device", type->name);
    (void)snprintf(threads, sizeof threads, "%lld", (long long)experiment->options.threads);
    return *section ? tn_section_set(experiment->config, *section, "threads", threads) : TN_NO_MEMORY;
}

tn_status tn_setup_device(struct tn_setup *setup)
{
    struct tn_experiment *experiment = setup->experiment;
    struct tn_section *section = tn_config_section(experiment->config, "experiment", "");
    const struct tn_entry *entry = section ? tn_section_entry(section, "device") : NULL;
    const char *file = entry ? entry->file : experiment->config->path;
    uint32_t line = entry ? entry->line : 0;
    const char *name = strcmp(experiment->options.device, "auto") == 0 ? "cpu" : experiment->options.device;
    struct tn_error error = {.status = TN_OK};
    const struct tn_type *type;
    tn_status status;
    if (strcmp(name, "cuda") == 0) {
        tn_problem_add(setup->problems, file, line, "[experiment] device: cuda is not implemented yet; use cpu");
        return TN_OK;
    }
    type = tn_registry_find(experiment->registry, TN_DEVICE, name, &error);
    if (!type) {
        tn_setup_problem(setup, &error, file, line);
        return TN_OK;
    }
    status = device_section(experiment, type, &section);
    if (status != TN_OK)
        return status;
    status =
        tn_instance_open(experiment->registry, TN_DEVICE, name, section, NULL, &experiment->device, setup->problems);
    return status == TN_NO_MEMORY ? status : TN_OK;
}
