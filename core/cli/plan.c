/* plan.c: `tenon plan`: what a run will compute and hold, before anything is allocated. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

struct options {
    const char *plugin_path;
    uint64_t memory;
    int32_t json;
};

static const struct tn_option options[] = {
    TN_BYTES(struct options, memory, NULL, 1, 1e18, "say the largest batch that fits into this much memory (12GiB)"),
    TN_BOOL(struct options, json, 0, "print one JSON object"),
    TN_PLUGIN_PATH_OPTION(struct options),
    TN_END,
};

enum { LARGEST_BATCH = 1 << 20 };

static const char *shape_text(const struct tn_shape *shape, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int32_t i = 0; i < shape->rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%d", i ? "x" : "", shape->dims[i]);
    return text;
}

/* What a run holds that is not in the arenas. */
struct host {
    uint64_t data;    /* rings and indexes of the sources */
    uint64_t cache;   /* at most */
    uint64_t files;   /* weights on their way into a file, results of a batch */
    uint64_t program; /* code, libraries, plugins, plan: what is resident already */
};

/* The ring of a source with another batch size; the index stays. */
static uint64_t data_bytes(const struct tn_dataset *dataset, uint64_t now, uint64_t batch)
{
    uint64_t index = dataset ? tn_dataset_info(dataset)->index_bytes : 0;
    return dataset ? (tn_dataset_bytes(dataset) - index) / now * batch + index : 0;
}

static struct host host_bytes(const struct tn_experiment *experiment, uint64_t batch)
{
    uint64_t now = (uint64_t)experiment->data.batch_size;
    return (struct host){
        .data = data_bytes(experiment->train, now, batch) + data_bytes(experiment->validation, now, batch),
        .cache = tn_experiment_cache_bytes(experiment, tn_dataset_cache_limit),
        .files = tn_experiment_host_bytes(experiment, batch),
        .program = tn_memory_resident(),
    };
}

static uint64_t total_bytes(const struct tn_plan_report *report, const struct host *host)
{
    return report->lasting_arena_bytes + report->step_arena_bytes + host->data + host->cache + host->files +
           host->program;
}

/* In a plain chain every layer reads the one before it: no column has to say so. */
static bool is_chain(const struct tn_plan_report *report)
{
    const char *before = "input";
    for (uint32_t i = 0; i < report->layer_count; i++) {
        const struct tn_plan_layer *layer = &report->layers[i];
        if (layer->inputs[0] && strcmp(layer->inputs, before) != 0)
            return false;
        before = layer->name;
    }
    return true;
}

static void print_layers(const struct tn_plan_report *report)
{
    static const char *const head[] = {"layer", "type", "output", "parameters", "FLOPs/image", "kernel"};
    bool chain = is_chain(report);
    struct tn_table table = {.columns = (int)TN_COUNT_OF(head) + !chain, .alignment = "llrrrll"};
    char text[128];
    for (size_t i = 0; i < TN_COUNT_OF(head); i++)
        tn_table_cell(&table, head[i]);
    if (!chain)
        tn_table_cell(&table, "inputs");
    for (uint32_t i = 0; i < report->layer_count; i++) {
        const struct tn_plan_layer *layer = &report->layers[i];
        tn_table_cell(&table, layer->name);
        tn_table_cell(&table, layer->type_name);
        tn_table_cell(&table, shape_text(&layer->output, text, sizeof text));
        tn_table_cell(&table, tn_say_count(text, sizeof text, layer->parameters));
        tn_table_cell(&table, tn_say_count(text, sizeof text, layer->forward_flops));
        tn_table_cell(&table, layer->algorithm ? layer->algorithm : "");
        if (!chain)
            tn_table_cell(&table, layer->inputs[0] ? layer->inputs : "");
    }
    tn_table_print(&table, 1);
}

static void bytes_row(struct tn_table *table, const char *what, uint64_t bytes)
{
    char text[64];
    tn_table_cell(table, what);
    tn_table_cell(table, tn_say_bytes(text, sizeof text, bytes));
    tn_table_format(table, "%llu", (unsigned long long)bytes);
}

static void print_memory(const struct tn_plan_report *report, const struct host *host)
{
    struct tn_table table = {.columns = 3, .alignment = "lrr"};
    tn_table_cell(&table, "memory");
    tn_table_cell(&table, "");
    tn_table_cell(&table, "bytes");
    bytes_row(&table, "weights", report->weight_bytes);
    bytes_row(&table, "gradients", report->gradient_bytes);
    bytes_row(&table, "optimizer state", report->slot_bytes);
    bytes_row(&table, "kept weights", report->kept_bytes);
    bytes_row(&table, "activations", report->activation_bytes);
    bytes_row(&table, "workspaces", report->workspace_bytes);
    bytes_row(&table, "scratch", report->scratch_bytes);
    bytes_row(&table, "arena that lasts", report->lasting_arena_bytes);
    bytes_row(&table, "arena of a step", report->step_arena_bytes);
    bytes_row(&table, "batches and index", host->data);
    bytes_row(&table, "files and results", host->files);
    if (host->cache)
        bytes_row(&table, "cache, at most", host->cache);
    bytes_row(&table, host->cache ? "growth: these five" : "growth: these four",
              total_bytes(report, host) - host->program);
    bytes_row(&table, "program and libraries", host->program);
    bytes_row(&table, "total", total_bytes(report, host));
    tn_table_print(&table, 1);
}

static void print_plain(const struct tn_experiment *experiment, const struct tn_plan_report *report)
{
    const struct host host = host_bytes(experiment, (uint64_t)experiment->data.batch_size);
    char all[32], trained[32], forward[32], train[32];
    printf("%s on %s, batches of %lld\n\n", experiment->options.name, report->device.name,
           (long long)experiment->data.batch_size);
    print_layers(report);
    printf("\nparameters %s (%s trained); FLOPs of one image: %s forward, %s in training\n\n",
           tn_say_count(all, sizeof all, report->parameters),
           tn_say_count(trained, sizeof trained, report->trained_parameters),
           tn_say_count(forward, sizeof forward, report->forward_flops),
           tn_say_count(train, sizeof train, report->train_flops));
    print_memory(report, &host);
    puts("\nTensors share an arena where their lifetimes do not overlap, so that an arena is smaller than the sum of "
         "its "
         "parts.");
}

static void json_number(struct tn_text *text, const char *key, uint64_t value)
{
    tn_text_format(text, ", \"%s\": %llu", key, (unsigned long long)value);
}

static void json_layers(struct tn_text *text, const struct tn_plan_report *report)
{
    tn_text_add(text, ", \"layers\": [");
    for (uint32_t i = 0; i < report->layer_count; i++) {
        const struct tn_plan_layer *layer = &report->layers[i];
        tn_text_add(text, i ? ",\n  {\"name\": " : "\n  {\"name\": ");
        tn_text_json(text, layer->name);
        tn_text_add(text, ", \"type\": ");
        tn_text_json(text, layer->type_name);
        tn_text_add(text, ", \"inputs\": ");
        tn_text_json(text, layer->inputs);
        tn_text_add(text, ", \"output\": [");
        for (int32_t axis = 0; axis < layer->output.rank; axis++)
            tn_text_format(text, axis ? ", %d" : "%d", layer->output.dims[axis]);
        tn_text_add(text, "]");
        json_number(text, "parameters", layer->parameters);
        json_number(text, "trained_parameters", layer->trained_parameters);
        json_number(text, "forward_flops", layer->forward_flops);
        tn_text_add(text, ", \"kernel\": ");
        if (layer->algorithm)
            tn_text_json(text, layer->algorithm);
        else
            tn_text_add(text, "null");
        tn_text_add(text, "}");
    }
    tn_text_add(text, "]");
}

/* Without the closing brace. */
static void json_report(struct tn_text *text, const struct tn_experiment *experiment,
                        const struct tn_plan_report *report)
{
    const struct host host = host_bytes(experiment, (uint64_t)experiment->data.batch_size);
    tn_text_add(text, "{\"name\": ");
    tn_text_json(text, experiment->options.name);
    tn_text_add(text, ", \"device\": ");
    tn_text_json(text, report->device.name);
    json_number(text, "batch_size", (uint64_t)experiment->data.batch_size);
    json_number(text, "parameters", report->parameters);
    json_number(text, "trained_parameters", report->trained_parameters);
    json_number(text, "forward_flops", report->forward_flops);
    json_number(text, "train_flops", report->train_flops);
    json_number(text, "weight_bytes", report->weight_bytes);
    json_number(text, "gradient_bytes", report->gradient_bytes);
    json_number(text, "optimizer_bytes", report->slot_bytes);
    json_number(text, "kept_bytes", report->kept_bytes);
    json_number(text, "activation_bytes", report->activation_bytes);
    json_number(text, "workspace_bytes", report->workspace_bytes);
    json_number(text, "scratch_bytes", report->scratch_bytes);
    json_number(text, "lasting_arena_bytes", report->lasting_arena_bytes);
    json_number(text, "step_arena_bytes", report->step_arena_bytes);
    json_number(text, "batch_bytes", host.data);
    json_number(text, "file_bytes", host.files);
    json_number(text, "growth_bytes", total_bytes(report, &host) - host.program);
    json_number(text, "program_bytes", host.program);
    json_number(text, "total_bytes", total_bytes(report, &host));
    json_layers(text, report);
}

/* ---- what would fit ---- */

/* What a run with this batch size takes in all: planned anew, allocated never. */
static tn_status bytes_at(struct tn_experiment *experiment, int64_t batch, int32_t kept, uint64_t *bytes,
                          struct tn_error *error)
{
    const struct host host = host_bytes(experiment, (uint64_t)batch);
    uint64_t images = experiment->train ? tn_dataset_info(experiment->train)->count : 0;
    struct tn_plan_request request = {.train = (int32_t)batch,
                                      .train_tail = (int32_t)(images % (uint64_t)batch),
                                      .infer = (int32_t)batch,
                                      .keep_weights = kept,
                                      .keep_gradients = tn_network_report(experiment->network)->keeps_gradients};
    tn_status status = tn_network_plan(experiment->network, &request, error);
    if (status == TN_OK)
        *bytes = total_bytes(tn_network_report(experiment->network), &host);
    return status;
}

/* The largest batch whose plan is not above `limit`; 0 when not even one image fits. */
static tn_status largest_batch(struct tn_experiment *experiment, uint64_t limit, int64_t *batch, struct tn_error *error)
{
    int64_t fits = 0, too_many = 1;
    uint64_t bytes = 0;
    tn_status status = TN_OK;
    /* At most one callback keeps a copy of the weights. */
    int32_t kept = tn_network_report(experiment->network)->kept_bytes ? 1 : 0;
    while (too_many <= LARGEST_BATCH) {
        TN_TRY(status, bytes_at(experiment, too_many, kept, &bytes, error), out);
        if (bytes > limit)
            break;
        fits = too_many;
        too_many *= 2;
    }
    while (too_many - fits > 1) {
        int64_t middle = fits + (too_many - fits) / 2;
        TN_TRY(status, bytes_at(experiment, middle, kept, &bytes, error), out);
        if (bytes > limit)
            too_many = middle;
        else
            fits = middle;
    }
    *batch = fits;
out:
    return status;
}

static void say_fit(int64_t fits, uint64_t memory)
{
    char text[64];
    tn_say_bytes(text, sizeof text, memory);
    if (fits == 0)
        printf("\nin %s not even a batch of 1 fits\n", text);
    else
        printf("\nin %s the largest batch that fits is %lld: data.batch_size=%lld\n", text, (long long)fits,
               (long long)fits);
}

static tn_status plan(struct tn_experiment *experiment, const struct options *chosen, struct tn_error *error)
{
    struct tn_text json = {0};
    int64_t fits = -1;
    tn_status status = TN_OK;
    /* The report is that of the last plan: read it before other batch sizes are tried. */
    if (chosen->json)
        json_report(&json, experiment, tn_network_report(experiment->network));
    else
        print_plain(experiment, tn_network_report(experiment->network));
    if (chosen->memory)
        TN_TRY(status, largest_batch(experiment, chosen->memory, &fits, error), out);
    if (chosen->memory && chosen->json)
        json_number(&json, "largest_batch", (uint64_t)fits);
    else if (chosen->memory)
        say_fit(fits, chosen->memory);
    if (chosen->json) {
        tn_text_add(&json, "}");
        puts(json.failed ? "" : json.data);
    }
out:
    tn_text_release(&json);
    return status;
}

static int run(struct tn_arguments *arguments)
{
    const struct options *chosen = arguments->options;
    struct tn_experiment *experiment = NULL;
    struct tn_error error = {0};
    int exit_status;
    arguments->console->quiet = chosen->json;
    tn_arguments_plugin_path(chosen->plugin_path);
    if (tn_arguments_experiment(arguments, TN_OPEN_NETWORK_ONLY, &experiment, &exit_status)) {
        tn_status status = plan(experiment, chosen, &error);
        exit_status = status == TN_OK ? TN_EXIT_DONE : tn_console_fail(arguments->console, status, &error);
    }
    tn_experiment_close(&experiment);
    return exit_status;
}

const struct tn_command tn_command_plan_entry = {
    .name = "plan",
    .summary = "layers, shapes, parameters, FLOPs, memory",
    .usage = "FILE [section.key=value ...] [--memory BYTES] [--json]",
    .about = "Plans the run and prints what it would compute and hold; nothing is allocated or written. `growth` is\n"
             "what a run takes above the program itself: two arenas, the ring of batches, files on their way.",
    .examples = "  tenon plan cats.ini\n"
                "  tenon plan cats.ini --memory 12GiB\n"
                "  tenon plan cats.ini data.batch_size=256 --json",
    .flags = TN_COMMAND_EXPERIMENT,
    .options = options,
    .options_size = sizeof(struct options),
    .run = run,
};
