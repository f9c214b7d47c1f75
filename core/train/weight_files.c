/* weight_files.c: weights from and to files, through the formats that plugins give. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/state.h"

/* A model of this size has four thousand million weights: more than any network that runs here. */
#define LARGEST_WEIGHT_FILE (1ull << 34)

tn_status tn_experiment_ready(struct tn_experiment *experiment, struct tn_error *error)
{
    tn_status status;
    if (experiment->own->allocated)
        return TN_OK;
    status = tn_network_allocate(experiment->network, error);
    if (status == TN_OK)
        experiment->own->allocated = true;
    return status;
}

/* ---- which format ---- */

/* Length of the longest extension of the format that the path ends in; 0 = none. */
static size_t extension_length(const struct tn_format *format, const char *path)
{
    size_t best = 0, path_length = strlen(path);
    for (const char *at = format->extensions; at && *at;) {
        size_t length = strcspn(at, "|");
        if (length > best && path_length > length + 1 && path[path_length - length - 1] == '.' &&
            strncmp(path + path_length - length, at, length) == 0)
            best = length;
        at += length + (at[length] == '|');
    }
    return best;
}

static const struct tn_format *best_format(struct tn_registry *registry, const char *path)
{
    const struct tn_format *best = NULL;
    const struct tn_type *type;
    size_t longest = 0;
    for (size_t i = 0; (type = tn_registry_type(registry, TN_FORMAT, i, NULL)) != NULL; i++) {
        const struct tn_format *format = (const struct tn_format *)type;
        size_t length = extension_length(format, path);
        if (length > longest) {
            best = format;
            longest = length;
        }
    }
    return best;
}

static const struct tn_format *find_format(struct tn_registry *registry, const char *path)
{
    const char *dot = strrchr(path, '.');
    const struct tn_format *format;
    if (dot && dot[1] && !strchr(dot, '/'))
        (void)tn_registry_find(registry, TN_FORMAT, dot + 1, NULL); /* opens the plugin of that name, if there is one */
    format = best_format(registry, path);
    if (!format) {
        tn_registry_load_all(registry);
        format = best_format(registry, path);
    }
    return format;
}

static tn_status open_format(struct tn_experiment *experiment, const char *path, const struct tn_instance **instance,
                             struct tn_error *error)
{
    struct tn_experiment_own *own = experiment->own;
    const struct tn_format *format = find_format(experiment->registry, path);
    struct tn_problems problems = {.items = NULL};
    tn_status status;
    if (!format)
        return tn_fail(error, TN_INVALID,
                       "%s: no format is known for files of this name (keras, safetensors, weights.h5 and h5 are)",
                       path);
    for (uint32_t i = 0; i < own->format_count; i++)
        if (strcmp(own->formats[i]->type->name, format->type.name) == 0) {
            *instance = own->formats[i];
            return TN_OK;
        }
    if (own->format_count == TN_COUNT_OF(own->formats))
        return tn_fail(error, TN_FAILED, "more than %d formats are in use", TN_MAX_FORMATS);
    status = tn_instance_open(experiment->registry, TN_FORMAT, format->type.name, NULL, NULL,
                              &own->formats[own->format_count], &problems);
    if (status == TN_OK)
        *instance = own->formats[own->format_count++];
    else
        status = tn_fail(error, status, "format %s: %s", format->type.name,
                         problems.count ? problems.items[0].text : "out of memory");
    tn_problems_release(&problems);
    return status;
}

tn_status tn_weight_files_prepare(struct tn_experiment *experiment, const char *path, struct tn_error *error)
{
    const struct tn_instance *instance;
    tn_status status = open_format(experiment, path, &instance, error);
    if (status != TN_OK)
        return status;
    experiment->own->writes_behind = true;
    if (instance->type->flags & TN_FORMAT_KEEPS_OPTIMIZER)
        experiment->own->keeps_optimizer = true;
    if (instance->type->flags & TN_FORMAT_NEEDS_DESCRIPTION)
        experiment->own->described_file = tn_arena_string(&experiment->arena, path);
    return TN_OK;
}

/* ---- the weights as files see them ---- */

/* What the network does not know: classes, and the words of Keras for loss and optimizer. */
static void describe(const struct tn_experiment *experiment, struct tn_weights *weights)
{
    struct tn_experiment_own *own = experiment->own;
    weights->classes = experiment->classes;
    weights->class_count = experiment->class_count;
    weights->loss = experiment->loss ? experiment->loss->type->name : NULL;
    weights->optimizer_class = NULL;
    weights->optimizer_config = NULL;
    if (experiment->optimizer) {
        const struct tn_optimizer *type = (const struct tn_optimizer *)experiment->optimizer->type;
        weights->optimizer_class = type->keras_class;
        weights->learning_rate = type->learning_rate(experiment->optimizer->self);
        if (type->keras_class && type->keras_config &&
            type->keras_config(experiment->optimizer->self, own->optimizer_config, sizeof own->optimizer_config,
                               NULL) == TN_OK)
            weights->optimizer_config = own->optimizer_config;
    }
}

static tn_status open_copy(struct tn_experiment *experiment, bool with_slots, struct tn_weights **copy,
                           struct tn_error *error)
{
    tn_status status = tn_experiment_ready(experiment, error);
    if (status == TN_OK && !*copy) {
        status = tn_network_weights_open(experiment->network, with_slots, copy, error);
        if (status == TN_OK)
            describe(experiment, *copy);
    }
    return status;
}

tn_status tn_experiment_prepare_saving(struct tn_experiment *experiment, struct tn_error *error)
{
    struct tn_experiment_own *own = experiment->own;
    tn_status status = open_copy(experiment, false, &own->weights, error);
    if (status == TN_OK && own->writes_behind)
        status = open_copy(experiment, false, &own->shown, error);
    if (status == TN_OK && tn_network_report(experiment->network)->keeps_gradients)
        status = open_copy(experiment, false, &own->gradients, error);
    return status;
}

/* A file that needs a description in Keras' words would fail at the end of the first epoch: better now. */
tn_status tn_experiment_judge_files(struct tn_experiment *experiment, struct tn_error *error)
{
    const char *path = experiment->own->described_file;
    tn_status status = tn_experiment_prepare_saving(experiment, error);
    const struct tn_weights *weights = experiment->own->weights;
    if (status != TN_OK)
        return status;
    for (uint32_t i = 0; path && i < weights->layer_count; i++)
        if (!weights->layers[i].keras_class)
            return tn_fail(error, TN_INVALID,
                           "%s: layer \"%s\": Keras has no words for a %s with these options, so there can be no such "
                           "file; .weights.h5 and .safetensors hold any network",
                           path, weights->layers[i].name, weights->layers[i].type_name);
    return TN_OK;
}

/* The copy that a format is given: with the optimizer's slots only when the file will hold them. */
static tn_status copy_for(struct tn_experiment *experiment, bool with_slots, struct tn_weights **copy,
                          struct tn_error *error)
{
    struct tn_experiment_own *own = experiment->own;
    struct tn_weights **kept = with_slots && experiment->optimizer ? &own->whole : &own->weights;
    tn_status status = open_copy(experiment, kept == &own->whole, kept, error);
    *copy = *kept;
    return status;
}

tn_status tn_experiment_read_weights(struct tn_experiment *experiment, const struct tn_weights **weights,
                                     struct tn_error *error)
{
    struct tn_experiment_own *own = experiment->own;
    struct tn_weights **copy = own->writes_behind ? &own->shown : &own->weights;
    tn_status status = open_copy(experiment, false, copy, error);
    if (status == TN_OK)
        status = tn_network_weights_fill(experiment->network, *copy, error);
    *weights = status == TN_OK ? *copy : NULL;
    return status;
}

tn_status tn_experiment_read_gradients(struct tn_experiment *experiment, const struct tn_weights **gradients,
                                       struct tn_error *error)
{
    struct tn_weights **copy = &experiment->own->gradients;
    tn_status status = open_copy(experiment, false, copy, error);
    if (status == TN_OK)
        status = tn_network_gradients_fill(experiment->network, *copy, error);
    *gradients = status == TN_OK ? *copy : NULL;
    return status;
}

static uint64_t callback_bytes(const struct tn_experiment *experiment)
{
    struct tn_shape output = tn_network_output_shape(experiment->network);
    struct tn_seen_batch sizes = tn_experiment_seen_sizes(experiment, (int32_t)tn_shape_elements(&output));
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < experiment->callback_count; i++) {
        const struct tn_callback *type = (const struct tn_callback *)experiment->callbacks[i]->type;
        if (type->host_bytes)
            bytes += type->host_bytes(experiment->callbacks[i]->self, &sizes);
    }
    return bytes;
}

uint64_t tn_experiment_host_bytes(const struct tn_experiment *experiment, uint64_t batch)
{
    const struct tn_plan_report *report = tn_network_report(experiment->network);
    struct tn_shape output = tn_network_output_shape(experiment->network);
    uint64_t results = (1 + tn_shape_elements(&output)) * batch * sizeof(float);
    /* the copy that is filled from the device, and the file that is built from it */
    uint64_t state = strcmp(experiment->options.save_every, "no") == 0 ? 0 : tn_state_bytes(experiment);
    /* a second copy, with the optimizer's slots, and they in the file */
    uint64_t slots = experiment->own->keeps_optimizer ? report->parameters * sizeof(float) + report->slot_bytes * 2 : 0;
    /* what callbacks read while a file is made of the weights is a copy of its own, and so are gradients */
    uint64_t copies = (experiment->own->writes_behind ? 3 : 2) + (report->keeps_gradients ? 1 : 0);
    return report->parameters * sizeof(float) * copies + slots + results * (experiment->validation ? 2 : 1) + state +
           callback_bytes(experiment);
}

uint64_t tn_experiment_planned_bytes(const struct tn_experiment *experiment)
{
    const struct tn_plan_report *report = tn_network_report(experiment->network);
    return report->lasting_arena_bytes + report->step_arena_bytes +
           tn_experiment_host_bytes(experiment, (uint64_t)experiment->own->batch) +
           (experiment->train ? tn_dataset_bytes(experiment->train) : 0) +
           (experiment->validation ? tn_dataset_bytes(experiment->validation) : 0);
}

uint64_t tn_experiment_cache_bytes(const struct tn_experiment *experiment,
                                   uint64_t (*of)(const struct tn_dataset *dataset))
{
    return (experiment->train ? of(experiment->train) : 0) + (experiment->validation ? of(experiment->validation) : 0);
}

void tn_weight_files_close(struct tn_experiment *experiment)
{
    struct tn_experiment_own *own = experiment->own;
    tn_network_weights_close(&own->weights);
    tn_network_weights_close(&own->whole);
    tn_network_weights_close(&own->shown);
    tn_network_weights_close(&own->gradients);
    for (uint32_t i = 0; i < own->format_count; i++)
        tn_instance_close(&own->formats[i]);
}

/* A name that ends as the format of a file wants it: its own where that tells a format, else one by its content, since
 * files come without their names. */
static const char *path_for(struct tn_registry *registry, const char *path, const void *data, uint64_t bytes)
{
    const unsigned char *head = data;
    if (find_format(registry, path))
        return path;
    if (bytes >= 8 && memcmp(head, "\x89HDF\r\n\x1A\n", 8) == 0)
        return "any.h5";
    if (bytes >= 4 && memcmp(head, "PK\3\4", 4) == 0)
        return "any.keras";
    return bytes >= 10 && head[8] == '{' && head[6] == 0 && head[7] == 0 ? "any.safetensors" : path;
}

/* Reads a file into the host copy and from there into the network. */
static tn_status load(struct tn_experiment *experiment, const char *path, struct tn_weights *weights, char *notes,
                      size_t notes_bytes, struct tn_error *error)
{
    const struct tn_instance *instance = NULL;
    const struct tn_format *format;
    void *data = NULL;
    uint64_t bytes = 0;
    tn_status status;
    if (notes && notes_bytes)
        notes[0] = '\0';
    TN_TRY(status, tn_file_read(path, LARGEST_WEIGHT_FILE, &data, &bytes, error), out);
    TN_TRY(status, open_format(experiment, path_for(experiment->registry, path, data, bytes), &instance, error), out);
    format = (const struct tn_format *)instance->type;
    status = format->decode
                 ? format->decode(instance->self, tn_host_table(), data, bytes, weights, notes, notes_bytes, error)
                 : tn_fail(error, TN_UNSUPPORTED, "the format %s cannot be read", format->type.name);
    if (status != TN_OK) {
        status = tn_error_wrap(error, status, "%s", path);
        goto out;
    }
    status = tn_network_weights_store(experiment->network, weights, error);
out:
    free(data);
    return status;
}

tn_status tn_experiment_load_weights(struct tn_experiment *experiment, const char *path, char *notes,
                                     size_t notes_bytes, struct tn_error *error)
{
    tn_status status = tn_experiment_prepare_saving(experiment, error);
    return status == TN_OK ? load(experiment, path, experiment->own->weights, notes, notes_bytes, error) : status;
}

tn_status tn_experiment_load_whole(struct tn_experiment *experiment, const char *path, struct tn_loaded *loaded,
                                   struct tn_error *error)
{
    struct tn_weights *weights = NULL;
    tn_status status = copy_for(experiment, true, &weights, error);
    *loaded = (struct tn_loaded){.iterations = 0};
    if (status != TN_OK)
        return status;
    status = tn_network_weights_fill(experiment->network, weights, error); /* what a file lacks stays as it is */
    weights->iterations = UINT64_MAX;
    weights->learning_rate = NAN;
    if (status == TN_OK)
        status = load(experiment, path, weights, loaded->notes, sizeof loaded->notes, error);
    if (status != TN_OK)
        return status;
    loaded->has_optimizer = weights->iterations != UINT64_MAX;
    loaded->iterations = loaded->has_optimizer ? weights->iterations : 0;
    loaded->learning_rate = weights->learning_rate;
    for (uint32_t i = 0; i < weights->layer_count; i++)
        for (uint32_t j = 0; j < weights->layers[i].weight_count; j++)
            loaded->slots += (uint32_t)weights->layers[i].weights[j].slot_count;
    return TN_OK;
}

/* Makes the folders above a file. */
static tn_status make_parents(const char *path, struct tn_error *error)
{
    char folder[1024];
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return TN_OK;
    if ((size_t)(slash - path) >= sizeof folder)
        return tn_fail(error, TN_INVALID, "%s: the name is too long", path);
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    return tn_folder_make(folder, error);
}

tn_status tn_weight_job_open(struct tn_experiment *experiment, const char *path, uint32_t flags,
                             struct tn_weight_job *job, struct tn_error *error)
{
    tn_status status = open_format(experiment, path, &job->format, error);
    if (status != TN_OK)
        return status;
    bool whole = !(flags & TN_FORMAT_WEIGHTS_ONLY) && (job->format->type->flags & TN_FORMAT_KEEPS_OPTIMIZER) != 0;
    job->flags = flags;
    if ((size_t)snprintf(job->path, sizeof job->path, "%s", path) >= sizeof job->path)
        return tn_fail(error, TN_INVALID, "%s: the name is too long", path);
    return copy_for(experiment, whole, &job->weights, error);
}

tn_status tn_weight_job_fill(struct tn_experiment *experiment, const struct tn_weight_job *job, uint64_t iterations,
                             double learning_rate, struct tn_error *error)
{
    tn_status status = tn_network_weights_fill(experiment->network, job->weights, error);
    job->weights->iterations = iterations;
    job->weights->learning_rate = learning_rate;
    return status;
}

tn_status tn_weight_job_write(const struct tn_weight_job *job, struct tn_error *error)
{
    const struct tn_format *format = (const struct tn_format *)job->format->type;
    void *data = NULL;
    uint64_t bytes = 0;
    tn_status status = make_parents(job->path, error);
    if (status != TN_OK)
        return status;
    status = format->encode
                 ? format->encode(job->format->self, tn_host_table(), job->weights, job->flags, &data, &bytes, error)
                 : tn_fail(error, TN_UNSUPPORTED, "the format %s cannot be written", format->type.name);
    status =
        status == TN_OK ? tn_file_write(job->path, data, bytes, error) : tn_error_wrap(error, status, "%s", job->path);
    if (data)
        tn_host_table()->release(data);
    return status;
}

tn_status tn_experiment_save_weights(struct tn_experiment *experiment, const char *path, uint32_t flags,
                                     uint64_t iterations, double learning_rate, struct tn_error *error)
{
    struct tn_weight_job job;
    tn_status status = tn_weight_job_open(experiment, path, flags, &job, error);
    if (status == TN_OK)
        status = tn_weight_job_fill(experiment, &job, iterations, learning_rate, error);
    return status == TN_OK ? tn_weight_job_write(&job, error) : status;
}

/* ---- listing, without a network ---- */

tn_status tn_weight_file_list(struct tn_registry *registry, const char *path,
                              void (*visit)(void *context, const struct tn_array_info *array), void *context,
                              char *notes, size_t notes_bytes, struct tn_error *error)
{
    struct tn_problems problems = {.items = NULL};
    struct tn_instance *instance = NULL;
    const struct tn_format *format;
    void *data = NULL;
    uint64_t bytes = 0;
    tn_status status = tn_file_read(path, LARGEST_WEIGHT_FILE, &data, &bytes, error);
    if (status != TN_OK)
        return status;
    format = find_format(registry, path_for(registry, path, data, bytes));
    if (!format || !format->list) {
        status =
            tn_fail(error, TN_UNSUPPORTED, "%s: no format that can be listed is known for files of this name", path);
        goto out;
    }
    status = tn_instance_open(registry, TN_FORMAT, format->type.name, NULL, NULL, &instance, &problems);
    if (status != TN_OK)
        (void)tn_fail(error, status, "format %s: %s", format->type.name,
                      problems.count ? problems.items[0].text : "out of memory");
    else
        status = ((const struct tn_format *)instance->type)
                     ->list(instance->self, tn_host_table(), data, bytes, visit, context, notes, notes_bytes, error);
    if (status != TN_OK)
        (void)tn_error_wrap(error, status, "%s", path);
out:
    tn_instance_close(&instance);
    tn_problems_release(&problems);
    free(data);
    return status;
}
