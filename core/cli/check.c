/* check.c: `tenon check`: proves a run before it starts, and leaves nothing behind. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/probe.h"

struct options {
    const char *plugin_path;
};

static const struct tn_option options[] = {
    TN_PLUGIN_PATH_OPTION(struct options),
    TN_END,
};

/* Everything that the checks share; each check says its line itself. */
struct checking {
    struct tn_console *console;
    struct tn_experiment *experiment;
    struct tn_probe probe;
    char folder[1024];         /* nearest folder of the run directory that is there */
    char checkpoint[1100];     /* temporary file in it */
    uint64_t checkpoint_bytes; /* 0 = could not be written */
    int failed;
};

TN_PRINTF(4, 5)
static void say(struct checking *checking, bool good, const char *what, const char *format, ...)
{
    char text[1024];
    bool color = checking->console->color_out;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("%s%-6s%s  %-18s  %s\n",
           !color ? ""
           : good ? "\033[32m"
                  : "\033[1;31m",
           good ? "ok" : "FAILED", color ? "\033[0m" : "", what, text);
    fflush(stdout);
    checking->failed += !good;
}

static void check_source(struct checking *checking, const char *what, const struct tn_dataset *dataset)
{
    const struct tn_source_info *info = tn_dataset_info(dataset);
    char count[32];
    uint64_t least = UINT64_MAX;
    tn_say_count(count, sizeof count, info->count);
    for (uint32_t i = 0; info->class_sizes && i < info->class_count; i++)
        least = info->class_sizes[i] < least ? info->class_sizes[i] : least;
    if (info->class_sizes && info->class_count)
        say(checking, true, what, "%s images in %u classes, the smallest has %llu; %llu batches in an epoch", count,
            info->class_count, (unsigned long long)least, (unsigned long long)tn_dataset_batches(dataset));
    else
        say(checking, true, what, "%s images; %llu batches in an epoch", count,
            (unsigned long long)tn_dataset_batches(dataset));
}

/* Bytes that the system could still give, from /proc/meminfo; 0 = unknown. */
static uint64_t available_memory(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    unsigned long long kibibytes = 0;
    char line[128];
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %llu", &kibibytes) == 1)
            break;
    if (file)
        fclose(file);
    return kibibytes * 1024;
}

static void check_memory(struct checking *checking)
{
    const struct tn_experiment *experiment = checking->experiment;
    uint64_t needed = tn_experiment_planned_bytes(experiment);
    uint64_t there = available_memory();
    char planned[32], free_now[32];
    tn_say_bytes(planned, sizeof planned, needed);
    tn_say_bytes(free_now, sizeof free_now, there);
    say(checking, !there || needed <= there, "memory", "%s planned, %s available%s", planned, free_now,
        there && needed > there ? ": a smaller data.batch_size is needed (`tenon plan --memory`)" : "");
}

/* The file of the next model_checkpoint; *section NULL at first. NULL: there is none more. */
static const char *next_checkpoint(const struct tn_experiment *experiment, struct tn_section **section)
{
    while ((*section = tn_config_next(experiment->config, "callback", *section)) != NULL) {
        const char *type = tn_section_value(*section, "type"), *path = tn_section_value(*section, "path");
        if (!path)
            path = tn_section_value(*section, "filepath");
        if (type && strcmp(type, "model_checkpoint") == 0 && path)
            return path;
    }
    return NULL;
}

/* What the checkpoints' names end with, of which the format hangs: of several the one that is not .h5, since those hold
 * more. */
static void checkpoint_ending(const struct tn_experiment *experiment, char *ending, size_t bytes)
{
    struct tn_section *section = NULL;
    snprintf(ending, bytes, ".h5");
    for (const char *path; strcmp(ending, ".h5") == 0 && (path = next_checkpoint(experiment, &section)) != NULL;) {
        const char *name = strrchr(path, '}'), *slash = strrchr(path, '/');
        name = slash && slash > (name ? name : path) ? slash : name ? name : path;
        name = strchr(name, '.');
        if (name && strlen(name) < bytes)
            snprintf(ending, bytes, "%s", name);
    }
}

/* The run directory is not made: what is tried is the folder in which it would be. */
static void check_folder(struct checking *checking)
{
    char *folder = checking->folder;
    char ending[32];
    int descriptor;
    if (snprintf(folder, sizeof checking->folder, "%s", checking->experiment->run_directory) >=
        (int)sizeof checking->folder) {
        say(checking, false, "run directory", "%s: the path is too long", checking->experiment->run_directory);
        return;
    }
    while (!tn_path_exists(folder)) {
        char *slash = strrchr(folder, '/');
        if (slash && slash != folder)
            *slash = '\0';
        else
            snprintf(folder, sizeof checking->folder, "%s", slash ? "/" : ".");
    }
    checkpoint_ending(checking->experiment, ending, sizeof ending);
    snprintf(checking->checkpoint, sizeof checking->checkpoint, "%s/tenon-check-XXXXXX%s", folder, ending);
    descriptor = mkstemps(checking->checkpoint, (int)strlen(ending));
    if (descriptor < 0) {
        say(checking, false, "run directory", "%s: cannot write into %s: %s", checking->experiment->run_directory,
            folder, strerror(errno));
        checking->checkpoint[0] = '\0';
        return;
    }
    close(descriptor);
    say(checking, true, "run directory", "%s can be written", checking->experiment->run_directory);
}

/* One batch, from files to updated weights. */
static void check_step(struct checking *checking)
{
    struct tn_dataset *train = checking->experiment->train;
    const struct tn_batch *batch = NULL;
    struct tn_error error = {0};
    double begin = tn_seconds_now(), loss = 0, step_seconds;
    tn_status status = tn_dataset_begin(train, 0, 0, &error);
    if (status == TN_OK)
        status = tn_dataset_next(train, &batch, &error);
    if (status != TN_OK || !batch) {
        say(checking, false, "a batch", "%s", status != TN_OK ? error.text : "the training data has no batch");
        tn_dataset_end(train);
        return;
    }
    say(checking, true, "a batch", "%d images read, decoded and augmented in %.0f ms", batch->count,
        1000 * (tn_seconds_now() - begin));
    begin = tn_seconds_now();
    status = tn_probe_open(&checking->probe, checking->experiment, &error);
    if (status == TN_OK)
        status = tn_probe_step(&checking->probe, batch, 1e-6, &loss, &error);
    step_seconds = tn_seconds_now() - begin;
    tn_dataset_end(train);
    if (status != TN_OK)
        say(checking, false, "a training step", "%s", error.text);
    else
        say(checking, isfinite(loss) != 0, "a training step", "forward, backward, update in %.0f ms; loss %.4f",
            1000 * step_seconds, loss);
}

/* Reads all parameters into one buffer. */
static tn_status read_weights(struct tn_network *network, float *values, struct tn_error *error)
{
    tn_status status = TN_OK;
    for (uint32_t i = 0; i < tn_network_parameter_count(network) && status == TN_OK; i++) {
        status = tn_network_read(network, i, -1, values, error);
        values += tn_shape_elements(&tn_network_parameter(network, i)->shape);
    }
    return status;
}

static uint64_t file_bytes(const char *path)
{
    FILE *file = fopen(path, "rb");
    long bytes = file && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : 0;
    if (file)
        fclose(file);
    return bytes > 0 ? (uint64_t)bytes : 0;
}

static tn_status write_and_read_back(struct checking *checking, float *before, float *after, size_t bytes,
                                     struct tn_error *error)
{
    struct tn_experiment *experiment = checking->experiment;
    char notes[512] = "";
    tn_status status = read_weights(experiment->network, before, error);
    if (status == TN_OK)
        status = tn_experiment_save_weights(experiment, checking->checkpoint, 0, 1, 1e-3, error);
    if (status == TN_OK)
        status = tn_experiment_judge_files(experiment, error);
    if (status == TN_OK)
        status = tn_experiment_load_weights(experiment, checking->checkpoint, notes, sizeof notes, error);
    if (status == TN_OK)
        status = read_weights(experiment->network, after, error);
    if (status == TN_OK && memcmp(before, after, bytes) != 0)
        status = tn_fail(error, TN_CORRUPT, "the weights that come back are not those that were written");
    return status;
}

static void check_checkpoint(struct checking *checking)
{
    struct tn_network *network = checking->experiment->network;
    struct tn_error error = {0};
    uint64_t count = 0;
    float *before, *after;
    char text[32];
    tn_status status;
    for (uint32_t i = 0; i < tn_network_parameter_count(network); i++)
        count += tn_shape_elements(&tn_network_parameter(network, i)->shape);
    before = calloc(count + 1, sizeof(float));
    after = calloc(count + 1, sizeof(float));
    status = before && after ? write_and_read_back(checking, before, after, count * sizeof(float), &error)
                             : tn_fail(&error, TN_NO_MEMORY, "no memory for a copy of the weights");
    free(before);
    free(after);
    if (status != TN_OK) {
        say(checking, false, "a checkpoint", "%s", error.text);
        return;
    }
    checking->checkpoint_bytes = file_bytes(checking->checkpoint);
    say(checking, true, "a checkpoint", "%s written and read back, bit for bit",
        tn_say_bytes(text, sizeof text, checking->checkpoint_bytes));
}

/* How many checkpoint files the callbacks may leave: one for each epoch where the name has the epoch in it. */
static uint64_t checkpoint_files(const struct tn_experiment *experiment)
{
    uint64_t files = 0;
    struct tn_section *section = NULL;
    for (const char *path; (path = next_checkpoint(experiment, &section)) != NULL;)
        /* While a file is replaced there are two of it. */
        files += strchr(path, '{') ? (uint64_t)experiment->options.epochs : 2;
    return files;
}

static void check_disk(struct checking *checking)
{
    struct statvfs disk;
    uint64_t files = checkpoint_files(checking->experiment);
    uint64_t needed = files * checking->checkpoint_bytes + (1u << 20); /* logs */
    uint64_t there;
    char want[32], have[32];
    if (statvfs(checking->folder, &disk) != 0) {
        say(checking, false, "disk", "%s: %s", checking->folder, strerror(errno));
        return;
    }
    there = (uint64_t)disk.f_bavail * disk.f_frsize;
    say(checking, needed <= there, "disk", "%s for %llu checkpoint files, %s free",
        tn_say_bytes(want, sizeof want, needed), (unsigned long long)files, tn_say_bytes(have, sizeof have, there));
}

static void check_all(struct checking *checking)
{
    const struct tn_experiment *experiment = checking->experiment;
    char count[32];
    say(checking, true, "experiment", "%zu sections, every name and value known", experiment->config->section_count);
    check_source(checking, "training data", experiment->train);
    if (experiment->validation)
        check_source(checking, "validation data", experiment->validation);
    say(checking, true, "network", "%u layers, %s parameters, on %s", experiment->layer_count,
        tn_say_count(count, sizeof count, tn_network_report(experiment->network)->parameters),
        tn_network_report(experiment->network)->device.name);
    check_memory(checking);
    check_folder(checking);
    if (!checking->failed)
        check_step(checking);
    if (!checking->failed)
        check_checkpoint(checking);
    if (!checking->failed)
        check_disk(checking);
    if (checking->checkpoint[0])
        unlink(checking->checkpoint);
    tn_probe_close(&checking->probe);
}

static int run(struct tn_arguments *arguments)
{
    const struct options *chosen = arguments->options;
    struct checking checking = {.console = arguments->console};
    int exit_status;
    tn_arguments_plugin_path(chosen->plugin_path);
    if (tn_arguments_experiment(arguments, 0, &checking.experiment, &exit_status)) {
        check_all(&checking);
        exit_status = checking.failed ? TN_EXIT_FAILED : TN_EXIT_DONE;
        if (checking.failed)
            tn_console_say(arguments->console, TN_LOG_ERROR, "the run would fail; nothing was left behind");
        else
            printf("all is well: tenon train %s\n", arguments->file);
    }
    tn_experiment_close(&checking.experiment);
    return exit_status;
}

const struct tn_command tn_command_check_entry = {
    .name = "check",
    .summary = "prove the whole run before it starts",
    .usage = "FILE [section.key=value ...]",
    .about =
        "Checks every name and value of the experiment, looks at the data, plans the memory, takes one batch through\n"
        "forward, backward and update, writes a checkpoint and reads it back, and compares disk and memory with\n"
        "what the run will need. Each check is a line with ok or FAILED; nothing is left behind.",
    .examples = "  tenon check cats.ini\n"
                "  tenon check cats.ini data.batch_size=256",
    .flags = TN_COMMAND_EXPERIMENT,
    .options = options,
    .options_size = sizeof(struct options),
    .run = run,
};
