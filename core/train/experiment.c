/* experiment.c: opens an experiment: file -> sections -> instances -> datasets -> planned network. As much as possible
 * is tried in one run, so that a user sees all that is wrong at once.
 */
#include <stdlib.h>
#include <string.h>

#include "train/internal.h"
#include "train/pictures.h"

struct plugin_options {
    struct tn_list path;
};

static const struct tn_option plugin_options[] = {
    TN_LIST(struct plugin_options, path, NULL, "folders with plugins, searched before all others"),
    TN_END,
};

/* [plugins] path counts from the file's folder. */
static tn_status open_registry(struct tn_setup *setup)
{
    struct tn_experiment *experiment = setup->experiment;
    struct tn_section *section = tn_config_section(experiment->config, "plugins", "");
    struct plugin_options options = {.path = {NULL, 0}};
    struct tn_error error = {.status = TN_OK};
    const char **paths;
    tn_status status;
    if (section &&
        tn_options_apply(plugin_options, section, NULL, &options, &experiment->arena, setup->problems) == TN_NO_MEMORY)
        return TN_NO_MEMORY;
    paths = tn_arena_take(&experiment->arena, ((size_t)options.path.count + 1) * sizeof *paths);
    for (uint32_t i = 0; paths && i < options.path.count; i++) {
        const struct tn_entry *entry = tn_section_entry(section, "path");
        paths[i] =
            tn_path_beside(&experiment->arena, entry ? entry->file : experiment->config->path, options.path.items[i]);
    }
    if (!paths || experiment->arena.failed)
        return TN_NO_MEMORY;
    status = tn_registry_open(paths, &experiment->registry, &error);
    if (status != TN_OK)
        tn_setup_problem(setup, &error, experiment->config->path, 0);
    return status;
}

/* The file's name without folder and ending. */
static const char *stem(struct tn_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    return tn_arena_text(arena, name, dot && dot != name ? (size_t)(dot - name) : strlen(name));
}

static tn_status read_options(struct tn_setup *setup)
{
    static const char *const reserved[] = {"include", NULL};
    struct tn_experiment *experiment = setup->experiment;
    struct tn_config *config = experiment->config;
    if (tn_options_apply(tn_experiment_option_table, tn_config_section(config, "experiment", ""), reserved,
                         &experiment->options, &experiment->arena, setup->problems) == TN_NO_MEMORY ||
        tn_options_apply(tn_data_option_table, tn_config_section(config, "data", ""), NULL, &experiment->data,
                         &experiment->arena, setup->problems) == TN_NO_MEMORY ||
        tn_options_apply(tn_weights_option_table, tn_config_section(config, "weights", ""), NULL, &experiment->weights,
                         &experiment->arena, setup->problems) == TN_NO_MEMORY)
        return TN_NO_MEMORY;
    if (!experiment->options.name)
        experiment->options.name = stem(&experiment->arena, config->path);
    experiment->run_directory = tn_arena_format(
        &experiment->arena, "%s/%s", experiment->options.run_folder ? experiment->options.run_folder : "runs",
        experiment->options.name ? experiment->options.name : "");
    return experiment->arena.failed ? TN_NO_MEMORY : TN_OK;
}

static tn_status open_instances(struct tn_setup *setup)
{
    struct tn_experiment *experiment = setup->experiment;
    bool inference = (experiment->flags & TN_OPEN_INFERENCE) != 0;
    tn_status status;
    TN_TRY(status, tn_setup_instances(setup, TN_SOURCE, NULL, &experiment->sources, &experiment->source_count), out);
    TN_TRY(status, tn_setup_augments(setup), out);
    TN_TRY(status, tn_setup_layers(setup), out);
    TN_TRY(status, tn_setup_single(setup, TN_LOSS, &experiment->loss), out);
    TN_TRY(status, tn_setup_instances(setup, TN_METRIC, NULL, &experiment->metrics, &experiment->metric_count), out);
    if (!inference) {
        TN_TRY(status, tn_setup_single(setup, TN_OPTIMIZER, &experiment->optimizer), out);
        TN_TRY(status, tn_setup_single(setup, TN_SCHEDULE, &experiment->schedule), out);
        TN_TRY(status,
               tn_setup_instances(setup, TN_CALLBACK, NULL, &experiment->callbacks, &experiment->callback_count), out);
    }
    TN_TRY(status, tn_setup_device(setup), out);
    tn_setup_check_fit(setup);
    tn_setup_save_rule(setup);
out:
    return status;
}

/* What the network's input is: 8-bit pixels only where every dataset gives them. */
static int32_t input_type(const struct tn_experiment *experiment)
{
    if ((experiment->flags & TN_OPEN_INFERENCE) || (!experiment->train && experiment->own->augment_count))
        return TN_PIXEL_F32;
    if (experiment->train && tn_dataset_pixel_type(experiment->train) == TN_PIXEL_F32)
        return TN_PIXEL_F32;
    if (experiment->validation && tn_dataset_pixel_type(experiment->validation) == TN_PIXEL_F32)
        return TN_PIXEL_F32;
    return TN_PIXEL_U8;
}

/* Outputs that the labels ask for; 0 = any number. */
static int32_t wanted_outputs(const struct tn_experiment *experiment)
{
    switch (experiment->data.class_mode) {
    case TN_CLASS_CATEGORICAL:
    case TN_CLASS_SPARSE:
    case TN_CLASS_MULTI_LABEL:
        return (int32_t)experiment->class_count;
    case TN_CLASS_RAW:
        return (int32_t)experiment->target_count;
    case TN_CLASS_BINARY:
        return tn_loss_is_sparse(experiment->loss) ? 2 : 1;
    default:
        return 0;
    }
}

static uint32_t kept_copies(const struct tn_experiment *experiment)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < experiment->callback_count; i++) {
        const struct tn_callback *type = (const struct tn_callback *)experiment->callbacks[i]->type;
        count += (type->type.flags & TN_CALLBACK_KEEPS_WEIGHTS) &&
                 (!type->keeps_weights || type->keeps_weights(experiment->callbacks[i]->self));
    }
    return count;
}

static bool reads_gradients(const struct tn_experiment *experiment)
{
    for (uint32_t i = 0; i < experiment->callback_count; i++) {
        const struct tn_callback *type = (const struct tn_callback *)experiment->callbacks[i]->type;
        if (type->reads_gradients && type->reads_gradients(experiment->callbacks[i]->self))
            return true;
    }
    return false;
}

static tn_status make_network(struct tn_setup *setup)
{
    struct tn_experiment *experiment = setup->experiment;
    struct tn_experiment_own *own = experiment->own;
    bool inference = (experiment->flags & TN_OPEN_INFERENCE) != 0;
    struct tn_error error = {.status = TN_OK};
    struct tn_network_spec spec = {
        .device = experiment->device,
        .layers = own->network_layers,
        .layer_count = experiment->layer_count,
        .input_size = experiment->data.target_size,
        .input_channels = tn_color_channels(experiment->data.color_mode),
        .input_type = input_type(experiment),
        .loss = experiment->loss,
        .loss_target_count = tn_experiment_target_count(experiment),
        .optimizer = experiment->optimizer,
        .class_count = wanted_outputs(experiment),
        .multi_label = experiment->data.class_mode == TN_CLASS_MULTI_LABEL,
        .seed = (uint64_t)experiment->options.seed,
        .fuse = 1,
    };
    struct tn_plan_request request = {.infer = (int32_t)experiment->data.batch_size};
    tn_status status = tn_network_create(&spec, &experiment->network, setup->problems);
    if (status != TN_OK)
        return status;
    own->input_type = spec.input_type;
    own->batch = request.infer;
    if (!inference) {
        request.train = request.infer;
        request.train_tail = experiment->train ? (int32_t)tn_dataset_tail(experiment->train) : 0;
        request.keep_weights = (int32_t)kept_copies(experiment);
        request.keep_gradients = reads_gradients(experiment);
    }
    status = tn_network_plan(experiment->network, &request, &error);
    if (status != TN_OK)
        tn_setup_problem(setup, &error, experiment->config->path, 0);
    return status;
}

static tn_status open_all(struct tn_setup *setup, const char *path, const char *const *overrides, size_t override_count)
{
    struct tn_experiment *experiment = setup->experiment;
    tn_status status = tn_config_load(path, overrides, override_count, &experiment->config, setup->problems);
    if (!experiment->config || status == TN_NO_MEMORY)
        return status;
    TN_TRY(status, tn_experiment_add_defaults(experiment->config), out);
    TN_TRY(status, open_registry(setup), out);
    TN_TRY(status, read_options(setup), out);
    tn_setup_names(setup);
    TN_TRY(status, open_instances(setup), out);
    TN_TRY(status, setup->problems->count ? TN_INVALID : TN_OK, out);
    TN_TRY(status, tn_setup_datasets(setup), out);
    TN_TRY(status, setup->problems->count ? TN_INVALID : TN_OK, out);
    status = make_network(setup);
out:
    return status;
}

tn_status tn_experiment_open(const char *path, const char *const *overrides, size_t override_count, uint32_t flags,
                             struct tn_experiment **experiment, struct tn_problems *problems)
{
    struct tn_experiment *made = calloc(1, sizeof *made);
    struct tn_setup setup = {made, problems};
    tn_status status = TN_NO_MEMORY;
    *experiment = NULL;
    if (made) {
        made->flags = flags;
        made->own = tn_arena_take(&made->arena, sizeof *made->own);
        if (made->own)
            status = open_all(&setup, path, overrides, override_count);
    }
    if (status == TN_OK && problems->count)
        status = TN_INVALID;
    if (status == TN_NO_MEMORY && problems->count == 0)
        tn_problem_add(problems, path, 0, "out of memory");
    if (status == TN_OK)
        *experiment = made;
    else
        tn_experiment_close(&made);
    return status;
}

static void close_list(struct tn_instance **list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        tn_instance_close(&list[i]);
}

void tn_experiment_close(struct tn_experiment **experiment)
{
    struct tn_experiment *e = *experiment;
    *experiment = NULL;
    if (!e)
        return;
    if (e->own)
        tn_weight_files_close(e);
    tn_network_destroy(&e->network);
    tn_dataset_close(&e->train);
    tn_dataset_close(&e->validation);
    if (e->own) {
        for (uint32_t i = 0; i < e->own->extra_count; i++) {
            tn_dataset_close(&e->own->extra[i].dataset);
            tn_instance_close(&e->own->extra[i].source);
        }
        for (size_t i = 0; i < e->own->picture_count; i++)
            tn_pictures_close(&e->own->pictures[i]);
        free(e->own->pictures);
        tn_instance_close(&e->own->validation_split);
    }
    close_list(e->callbacks, e->callback_count);
    close_list(e->metrics, e->metric_count);
    close_list(e->layers, e->layer_count);
    close_list(e->augments, e->augment_count);
    close_list(e->sources, e->source_count);
    tn_instance_close(&e->schedule);
    tn_instance_close(&e->optimizer);
    tn_instance_close(&e->loss);
    tn_instance_close(&e->device);
    tn_registry_close(&e->registry);
    tn_config_close(&e->config);
    tn_arena_release(&e->arena);
    free(e);
}
