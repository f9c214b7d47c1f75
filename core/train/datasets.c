/* datasets.c: sources -> datasets, and the names of the classes.
 *
 * The training source says which classes there are and in which order; every other source is opened with that list, so
 * that a folder more or less in the validation data cannot shift the numbers of the classes. Evaluation and prediction
 * take the list from the experiment or from classes.txt of its run, and look at the training data only without both.
 */
#include <stdlib.h>
#include <string.h>

#include "train/internal.h"
#include "train/pictures.h"

int32_t tn_color_channels(int32_t color_mode)
{
    return color_mode == TN_COLOR_GRAYSCALE ? 1 : color_mode == TN_COLOR_RGBA ? 4 : 3;
}

struct tn_instance *tn_experiment_source_instance(const struct tn_experiment *experiment, const char *name)
{
    for (uint32_t i = 0; i < experiment->source_count; i++)
        if (strcmp(experiment->sources[i]->name, name) == 0)
            return experiment->sources[i];
    return NULL;
}

tn_status tn_experiment_dataset(struct tn_experiment *experiment, struct tn_instance *source, bool training,
                                int32_t subset, struct tn_dataset **dataset, struct tn_error *error)
{
    struct tn_dataset_spec spec = {
        .options = experiment->data,
        .source = source,
        .augments = experiment->own->augments,
        .augment_count = experiment->own->augment_count,
        .registry = experiment->registry,
        .seed = (uint64_t)experiment->options.seed,
        .training = training,
        .subset = subset,
        .compute_threads = (int32_t)experiment->options.threads,
    };
    if (subset == TN_SUBSET_ALL)
        spec.options.validation_split = 0;
    if (experiment->class_count)
        spec.options.classes = (struct tn_list){experiment->classes, experiment->class_count};
    return tn_dataset_open(&spec, dataset, error);
}

static bool has_classes(const struct tn_experiment *experiment)
{
    int32_t mode = experiment->data.class_mode;
    return mode == TN_CLASS_CATEGORICAL || mode == TN_CLASS_BINARY || mode == TN_CLASS_SPARSE ||
           mode == TN_CLASS_MULTI_LABEL;
}

static tn_status take_classes(struct tn_experiment *experiment, const char *const *names, uint32_t count)
{
    const char **copy = tn_arena_take(&experiment->arena, ((size_t)count + 1) * sizeof *copy);
    if (!copy)
        return TN_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++)
        copy[i] = tn_arena_string(&experiment->arena, names[i]);
    experiment->classes = copy;
    experiment->class_count = count;
    return experiment->arena.failed ? TN_NO_MEMORY : TN_OK;
}

/* classes.txt or targets.txt of the run directory: one name in each line. */
static tn_status read_names(struct tn_experiment *experiment, const char *file, const char *const **list,
                            uint32_t *list_count)
{
    char *path = tn_arena_format(&experiment->arena, "%s/%s", experiment->run_directory, file);
    void *data = NULL;
    uint64_t bytes = 0;
    uint32_t lines = 0, count = 0;
    const char **names;
    if (!path || !tn_path_exists(path) || tn_file_read(path, 64u << 20, &data, &bytes, NULL) != TN_OK)
        return path ? TN_OK : TN_NO_MEMORY;
    for (uint64_t i = 0; i < bytes; i++)
        lines += ((const char *)data)[i] == '\n';
    names = tn_arena_take(&experiment->arena, ((size_t)lines + 2) * sizeof *names);
    for (const char *at = data; names && *at;) {
        size_t length = strcspn(at, "\n");
        if (length)
            names[count++] = tn_arena_text(&experiment->arena, at, length);
        at += length + (at[length] == '\n');
    }
    free(data);
    if (!names || experiment->arena.failed)
        return TN_NO_MEMORY;
    *list = names;
    *list_count = count;
    return TN_OK;
}

/* Names of the numbers that class_mode = raw gives, made up where the source has none. */
static tn_status take_targets(struct tn_experiment *experiment, const struct tn_source_info *info)
{
    const char **names = tn_arena_take(&experiment->arena, ((size_t)info->target_count + 1) * sizeof *names);
    if (!names)
        return TN_NO_MEMORY;
    for (uint32_t i = 0; i < info->target_count; i++)
        names[i] = info->target_names ? tn_arena_string(&experiment->arena, info->target_names[i])
                                      : tn_arena_format(&experiment->arena, "value%u", (unsigned)i + 1);
    experiment->targets = names;
    experiment->target_count = info->target_count;
    return experiment->arena.failed ? TN_NO_MEMORY : TN_OK;
}

/* What the source gives against what class_mode asks for; NULL = they agree. */
static const char *wrong_mode(const struct tn_experiment *experiment, const struct tn_source_info *info)
{
    int32_t mode = experiment->data.class_mode;
    if (info->target_count == 0 || mode == TN_CLASS_INPUT || mode == TN_CLASS_NONE)
        return NULL;
    if (info->class_count == 0 && mode != TN_CLASS_RAW)
        return "gives numbers for each picture: set class_mode = raw in [data] (multi_label, if they are 0 and 1 and "
               "say which classes a picture has)";
    if (info->class_count > 0 && mode != TN_CLASS_MULTI_LABEL)
        return "gives several classes for each picture: set class_mode = multi_label in [data], with a sigmoid at the "
               "end of the network";
    return NULL;
}

/* Validation numbers have to be the same ones in the same order. */
static void check_same_targets(struct tn_setup *setup, const struct tn_instance *source,
                               const struct tn_source_info *info)
{
    const struct tn_experiment *experiment = setup->experiment;
    if (experiment->data.class_mode != TN_CLASS_RAW || experiment->target_count == 0)
        return;
    if (info->target_count != experiment->target_count) {
        tn_problem_add(setup->problems, source->file, source->line,
                       "[source:%s] gives %u number%s for each picture, and [source:train] %u", source->name,
                       (unsigned)info->target_count, info->target_count == 1 ? "" : "s",
                       (unsigned)experiment->target_count);
        return;
    }
    for (uint32_t i = 0; info->target_names && i < info->target_count; i++)
        if (strcmp(info->target_names[i], experiment->targets[i]) != 0) {
            tn_problem_add(setup->problems, source->file, source->line,
                           "[source:%s]: number %u of a picture is `%s`, and `%s` in [source:train]", source->name,
                           (unsigned)i + 1, info->target_names[i], experiment->targets[i]);
            return;
        }
}

static tn_status open_train(struct tn_setup *setup, struct tn_instance *source, int32_t subset)
{
    struct tn_experiment *experiment = setup->experiment;
    struct tn_error error = {.status = TN_OK};
    const struct tn_source_info *info;
    const char *wrong;
    tn_status status = tn_experiment_dataset(experiment, source, true, subset, &experiment->train, &error);
    if (status != TN_OK) {
        tn_setup_problem(setup, &error, source->file, source->line);
        return status == TN_NO_MEMORY ? status : TN_OK;
    }
    info = tn_dataset_info(experiment->train);
    wrong = wrong_mode(experiment, info);
    if (wrong)
        tn_problem_add(setup->problems, source->file, source->line, "[source:%s] %s", source->name, wrong);
    if (experiment->data.class_mode == TN_CLASS_RAW)
        return take_targets(experiment, info);
    if (wrong || !has_classes(experiment))
        return TN_OK;
    if (info->class_count == 0)
        tn_problem_add(setup->problems, source->file, source->line,
                       "[source:%s] has no classes, which class_mode of [data] asks for", source->name);
    return take_classes(experiment, info->classes, info->class_count);
}

/* The second instance of [source:train], for the part that validation_split sets aside. */
static tn_status open_split_source(struct tn_setup *setup, const struct tn_instance *train)
{
    struct tn_experiment *experiment = setup->experiment;
    struct tn_section *section = tn_config_section(experiment->config, "source", train->name);
    tn_status status = tn_instance_open(experiment->registry, TN_SOURCE, NULL, section, NULL,
                                        &experiment->own->validation_split, setup->problems);
    return status == TN_NO_MEMORY ? status : TN_OK;
}

static tn_status open_validation(struct tn_setup *setup, struct tn_instance *source, int32_t subset)
{
    struct tn_experiment *experiment = setup->experiment;
    struct tn_error error = {.status = TN_OK};
    tn_status status = tn_experiment_dataset(experiment, source, false, subset, &experiment->validation, &error);
    if (status == TN_OK && !(experiment->flags & TN_OPEN_INFERENCE))
        check_same_targets(setup, source, tn_dataset_info(experiment->validation));
    if (status == TN_OK || (experiment->flags & TN_OPEN_INFERENCE))
        return TN_OK; /* tn_experiment_source tries again and says why not */
    tn_setup_problem(setup, &error, source->file, source->line);
    return status == TN_NO_MEMORY ? status : TN_OK;
}

/* What is wrong with the sections, before any folder is looked at. */
static void check_sources(struct tn_setup *setup, const struct tn_instance *train, const struct tn_instance *validation)
{
    struct tn_experiment *experiment = setup->experiment;
    if (!train && !(experiment->flags & TN_OPEN_INFERENCE) &&
        !((experiment->flags & TN_OPEN_NETWORK_ONLY) && experiment->data.classes.count))
        tn_problem_add(setup->problems, experiment->config->path, 0,
                       "there is no [source:train] section: nothing to train on");
    if (validation && experiment->data.validation_split > 0)
        tn_problem_add(setup->problems, validation->file, validation->line,
                       "[source:validation] and validation_split of [data] both say what to validate on: keep one");
}

tn_status tn_setup_datasets(struct tn_setup *setup)
{
    struct tn_experiment *experiment = setup->experiment;
    struct tn_instance *train = tn_experiment_source_instance(experiment, "train");
    struct tn_instance *validation = tn_experiment_source_instance(experiment, "validation");
    bool inference = (experiment->flags & TN_OPEN_INFERENCE) != 0;
    bool split = experiment->data.validation_split > 0, raw = experiment->data.class_mode == TN_CLASS_RAW;
    tn_status status = TN_OK;
    check_sources(setup, train, validation);
    if (setup->problems->count)
        return TN_OK;
    if (experiment->data.classes.count && !raw)
        status = take_classes(experiment, experiment->data.classes.items, experiment->data.classes.count);
    else if (inference && has_classes(experiment))
        status = read_names(experiment, "classes.txt", &experiment->classes, &experiment->class_count);
    else if (inference && raw)
        status = read_names(experiment, "targets.txt", &experiment->targets, &experiment->target_count);
    if (status != TN_OK || ((experiment->flags & TN_OPEN_NETWORK_ONLY) && experiment->class_count))
        return status;
    if (train && (!inference || (has_classes(experiment) && experiment->class_count == 0) ||
                  (raw && experiment->target_count == 0)))
        status = open_train(setup, train, split ? TN_SUBSET_TRAINING : TN_SUBSET_ALL);
    if (inference && raw)
        setup->problems->count = 0; /* names of numbers are nice to have: the network says how many there are */
    if (status == TN_OK && train && split)
        status = open_split_source(setup, train);
    if (status == TN_OK && experiment->own->validation_split)
        status = open_validation(setup, experiment->own->validation_split, TN_SUBSET_VALIDATION);
    else if (status == TN_OK && validation && setup->problems->count == 0)
        status = open_validation(setup, validation, TN_SUBSET_ALL);
    if (status == TN_OK && inference && has_classes(experiment) && experiment->class_count == 0 &&
        setup->problems->count == 0)
        tn_problem_add(setup->problems, experiment->config->path, 0,
                       "the names of the classes are not known: give `classes` in [data], [source:train], or the "
                       "classes.txt of the run in %s",
                       experiment->run_directory);
    return status;
}

/* A source by name after the experiment was opened: an instance of its own, since the first may be in use. */
static tn_status open_extra(struct tn_experiment *experiment, const char *name, struct tn_extra_dataset *extra,
                            struct tn_error *error)
{
    struct tn_section *section = tn_config_section(experiment->config, "source", name);
    struct tn_problems problems = {.items = NULL};
    int32_t subset = TN_SUBSET_ALL;
    tn_status status;
    if (experiment->data.validation_split > 0 && strcmp(name, "train") == 0)
        subset = TN_SUBSET_TRAINING;
    if (experiment->data.validation_split > 0 && !section && strcmp(name, "validation") == 0) {
        section = tn_config_section(experiment->config, "source", "train");
        subset = TN_SUBSET_VALIDATION;
    }
    if (!section)
        return tn_fail(error, TN_INVALID, "the experiment has no [source:%s]", name);
    status = tn_instance_open(experiment->registry, TN_SOURCE, NULL, section, NULL, &extra->source, &problems);
    if (status != TN_OK)
        status = tn_fail(error, status, "%s", problems.count ? problems.items[0].text : "out of memory");
    tn_problems_release(&problems);
    if (status == TN_OK)
        status = tn_experiment_dataset(experiment, extra->source, false, subset, &extra->dataset, error);
    if (status != TN_OK) {
        tn_instance_close(&extra->source);
        return status;
    }
    extra->name = tn_arena_string(&experiment->arena, name);
    return extra->name ? TN_OK : tn_fail(error, TN_NO_MEMORY, "out of memory");
}

tn_status tn_experiment_source(struct tn_experiment *experiment, const char *name, struct tn_dataset **dataset,
                               struct tn_error *error)
{
    struct tn_experiment_own *own = experiment->own;
    tn_status status;
    *dataset = strcmp(name, "validation") == 0 ? experiment->validation : NULL;
    for (uint32_t i = 0; i < own->extra_count && !*dataset; i++)
        if (strcmp(own->extra[i].name, name) == 0)
            *dataset = own->extra[i].dataset;
    if (*dataset)
        return TN_OK;
    if (own->extra_count == TN_COUNT_OF(own->extra))
        return tn_fail(error, TN_FAILED, "more than %d sources are open", TN_MAX_EXTRA);
    status = open_extra(experiment, name, &own->extra[own->extra_count], error);
    if (status != TN_OK) {
        own->extra[own->extra_count] = (struct tn_extra_dataset){NULL, NULL, NULL};
        return status;
    }
    *dataset = own->extra[own->extra_count++].dataset;
    return TN_OK;
}

tn_status tn_experiment_pictures(struct tn_experiment *experiment, const char *path, struct tn_dataset **dataset,
                                 struct tn_error *error)
{
    struct tn_experiment_own *own = experiment->own;
    struct tn_instance *source = NULL;
    struct tn_dataset_spec spec = {
        .options = experiment->data,
        .augments = own->augments,
        .augment_count = own->augment_count,
        .registry = experiment->registry,
        .seed = (uint64_t)experiment->options.seed,
        .subset = TN_SUBSET_ALL,
        .compute_threads = (int32_t)experiment->options.threads,
    };
    tn_status status;
    if (tn_grow(&own->pictures, &own->picture_capacity, own->picture_count + 1, sizeof *own->pictures) != TN_OK)
        return tn_fail(error, TN_NO_MEMORY, "no memory to list pictures");
    status = tn_pictures_open(path, &source, error);
    if (status != TN_OK)
        return status;
    own->pictures[own->picture_count++] = source; /* lives as long as the experiment: the dataset is the caller's */
    spec.source = source;
    spec.options.class_mode = TN_CLASS_NONE;
    spec.options.classes = (struct tn_list){NULL, 0};
    spec.options.validation_split = 0;
    spec.options.drop_remainder = 0;
    return tn_dataset_open(&spec, dataset, error);
}
