/* bench.c: `tenon bench`: images per second of the data pipeline and its stages, of the computation, and of both
 * together; and which of them is the limit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/probe.h"

enum { BENCH_ALL, BENCH_PIPELINE, BENCH_COMPUTE, BENCH_TRAIN };
enum { MOST_STEPS = 100000, WARM_STEPS = 3 };

struct options {
    const char *plugin_path;
    int64_t threads, workers;
    double seconds;
    int32_t only, json;
};

static const struct tn_option options[] = {
    TN_DURATION(struct options, seconds, "5s", 0.1, 3600, "how long each part is measured"),
    TN_INT(struct options, threads, 0, 0, 4096, "compute threads; 0 = as the experiment says"),
    TN_INT(struct options, workers, 0, 0, 4096, "data workers; 0 = as the experiment says"),
    TN_ENUM(struct options, only, BENCH_ALL, "all|pipeline|compute|train", "what to measure"),
    TN_BOOL(struct options, json, 0, "print one JSON object"),
    TN_PLUGIN_PATH_OPTION(struct options),
    TN_END,
};

struct bench {
    struct tn_experiment *experiment;
    double seconds;
    double pipeline, compute, train; /* images/s; 0 = not measured */
    double wait_share;               /* of the time of `train` */
    /* of the pipeline: each stage alone */
    double stages[TN_STAGES], shares[TN_STAGES]; /* images/s of one thread; share of the workers' time */
    int32_t slowest;                             /* stage; -1 = not measured */
};

static const char *const stage_names[] = {"reading", "decoding", "sampling"};

/* Batches for `seconds`, epoch after epoch; with a probe each one is trained on. The first batch of all is not counted:
 * threads start, files are opened. */
static tn_status stream(struct bench *bench, struct tn_probe *probe, double *rate, struct tn_error *error)
{
    struct tn_dataset *dataset = bench->experiment->train;
    const struct tn_batch *batch = NULL;
    double begin = 0, waited = 0, now = 0;
    uint64_t images = 0, before;
    bool counting = false;
    tn_status status = TN_OK;

    for (uint64_t epoch = 0; !counting || now - begin < bench->seconds; epoch++) {
        before = images;
        TN_TRY(status, tn_dataset_begin(dataset, epoch, 0, error), out);
        while (!counting || now - begin < bench->seconds) {
            TN_TRY(status, tn_dataset_next(dataset, &batch, error), out);
            if (!batch)
                break;
            if (probe)
                TN_TRY(status, tn_probe_step(probe, batch, 0, NULL, error), out);
            now = tn_seconds_now();
            if (counting) {
                images += (uint64_t)batch->count;
                waited += batch->wait_seconds;
            } else {
                counting = true;
                begin = now;
            }
        }
        tn_dataset_end(dataset);
        if (images == before &&
            epoch > 0) /* one batch an epoch is counted from the second on; none at all never ends */
            break;
    }
    *rate = now > begin ? (double)images / (now - begin) : 0;
    bench->wait_share = now > begin ? waited / (now - begin) : 0;
out:
    if (status != TN_OK)
        tn_dataset_end(dataset);
    return status;
}

/* What the workers' time went into. A stage's rate is what a thread would do that does nothing else. */
static void take_stages(struct bench *bench)
{
    const struct tn_dataset *dataset = bench->experiment->train;
    struct tn_stage_times all = {0};
    double seconds = 0;
    for (int32_t i = 0; i < tn_dataset_workers(dataset); i++) {
        struct tn_stage_times times = tn_dataset_stage_times(dataset, i);
        all.samples += times.samples;
        for (int stage = 0; stage < TN_STAGES; stage++)
            all.seconds[stage] += times.seconds[stage];
    }
    bench->slowest = tn_dataset_slowest_stage(dataset);
    for (int stage = 0; stage < TN_STAGES; stage++)
        seconds += all.seconds[stage];
    for (int stage = 0; stage < TN_STAGES; stage++) {
        bench->stages[stage] = all.seconds[stage] > 0 ? (double)all.samples / all.seconds[stage] : 0;
        bench->shares[stage] = seconds > 0 ? all.seconds[stage] / seconds : 0;
    }
}

static tn_status pipeline(struct bench *bench, struct tn_error *error)
{
    tn_dataset_watch(bench->experiment->train, true);
    tn_status status = stream(bench, NULL, &bench->pipeline, error);
    take_stages(bench);
    tn_dataset_watch(bench->experiment->train, false);
    return status;
}

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The same batch again and again; the median step counts, as for the peers in tests/bench. */
static tn_status compute(struct bench *bench, struct tn_probe *probe, struct tn_error *error)
{
    struct tn_dataset *dataset = bench->experiment->train;
    const struct tn_batch *batch = NULL;
    double *times = malloc(MOST_STEPS * sizeof *times), begin;
    size_t count = 0;
    tn_status status;

    if (!times)
        return tn_fail(error, TN_NO_MEMORY, "no memory for %d measurements", MOST_STEPS);
    TN_TRY(status, tn_dataset_begin(dataset, 0, 0, error), out);
    TN_TRY(status, tn_dataset_next(dataset, &batch, error), out);
    for (int i = 0; i < WARM_STEPS; i++)
        TN_TRY(status, tn_probe_step(probe, batch, 0, NULL, error), out);
    begin = tn_seconds_now();
    while (count < MOST_STEPS && (count < 3 || tn_seconds_now() - begin < bench->seconds)) {
        double start = tn_seconds_now();
        TN_TRY(status, tn_probe_step(probe, batch, 0, NULL, error), out);
        times[count++] = tn_seconds_now() - start;
    }
    qsort(times, count, sizeof *times, by_time);
    bench->compute = batch->count / times[count / 2];
out:
    tn_dataset_end(dataset);
    free(times);
    return status;
}

static tn_status measure(struct bench *bench, int32_t only, struct tn_error *error)
{
    struct tn_probe probe = {.experiment = NULL};
    tn_status status = TN_OK;
    if (only == BENCH_ALL || only == BENCH_PIPELINE)
        TN_TRY(status, pipeline(bench, error), out);
    if (only == BENCH_PIPELINE)
        goto out;
    TN_TRY(status, tn_probe_open(&probe, bench->experiment, error), out);
    if (only == BENCH_ALL || only == BENCH_COMPUTE)
        TN_TRY(status, compute(bench, &probe, error), out);
    if (only == BENCH_ALL || only == BENCH_TRAIN)
        TN_TRY(status, stream(bench, &probe, &bench->train, error), out);
out:
    tn_probe_close(&probe);
    return status;
}

/* ---- what it means ---- */

/* Data is the limit where a run would wait for it a good part of its time. Workers and computation may take turns, so
 * that is measured, and reckoned only where it was not. */
static const char *find_limit(const struct bench *bench)
{
    bool waits = bench->train > 0 ? bench->wait_share >= 0.2 : bench->pipeline < 1.2 * bench->compute;
    if (bench->slowest >= 0 && (waits || (bench->compute <= 0 && bench->train <= 0)))
        return stage_names[bench->slowest];
    if (bench->train > 0 && bench->pipeline <= 0)
        return bench->wait_share >= 0.2 ? "data" : "computation";
    return bench->pipeline > 0 ? "computation" : NULL;
}

static void find_advice(const struct bench *bench, char *text, size_t bytes)
{
    const char *limit = find_limit(bench);
    text[0] = '\0';
    if (limit && strcmp(limit, "computation") != 0)
        tn_experiment_advise(bench->experiment, bench->slowest, text, bytes);
}

/* ---- telling ---- */

static void add_stages(const struct bench *bench, struct tn_text *text)
{
    int32_t workers = tn_dataset_workers(bench->experiment->train);
    tn_text_format(text, ", \"pipeline_images_per_s_per_thread\": %.1f, \"stages\": {", bench->pipeline / workers);
    for (int stage = 0; stage < TN_STAGES; stage++)
        tn_text_format(text, "%s\"%s\": {\"images_per_s_per_thread\": %.1f, \"images_per_s\": %.1f, \"share\": %.4f}",
                       stage ? ", " : "", stage_names[stage], bench->stages[stage], bench->stages[stage] * workers,
                       bench->shares[stage]);
    tn_text_add(text, "}");
}

static void print_json(const struct bench *bench)
{
    const struct tn_experiment *experiment = bench->experiment;
    const struct tn_plan_report *report = tn_network_report(experiment->network);
    const char *limit = find_limit(bench);
    struct tn_text text = {0};
    char advice[480];
    tn_text_add(&text, "{\"name\": ");
    tn_text_json(&text, experiment->options.name);
    tn_text_add(&text, ", \"device\": ");
    tn_text_json(&text, report->device.name);
    tn_text_format(&text, ", \"threads\": %d, \"workers\": %d, \"batch_size\": %lld", report->device.threads,
                   tn_dataset_workers(experiment->train), (long long)experiment->data.batch_size);
    if (bench->pipeline > 0)
        tn_text_format(&text, ", \"pipeline_images_per_s\": %.1f", bench->pipeline);
    if (bench->compute > 0)
        tn_text_format(&text, ", \"compute_images_per_s\": %.1f, \"compute_gflops\": %.1f", bench->compute,
                       bench->compute * (double)report->train_flops / 1e9);
    if (bench->train > 0)
        tn_text_format(&text, ", \"train_images_per_s\": %.1f, \"input_wait_share\": %.3f", bench->train,
                       bench->wait_share);
    if (bench->pipeline > 0)
        add_stages(bench, &text);
    if (limit) {
        find_advice(bench, advice, sizeof advice);
        tn_text_format(&text, ", \"limit\": \"%s\", \"advice\": ", limit);
        tn_text_json(&text, advice);
    }
    tn_text_add(&text, "}");
    puts(text.failed ? "" : text.data);
    tn_text_release(&text);
}

/* A row of the table; with one worker there is nothing to add up. */
static void print_rate(const char *name, double rate, int32_t workers)
{
    printf("%-10s %12.1f", name, rate);
    if (workers > 1)
        printf(" %12.1f", rate * workers);
}

static void print_stages(const struct bench *bench)
{
    int32_t workers = tn_dataset_workers(bench->experiment->train);
    char heading[32] = "";
    if (workers > 1)
        (void)snprintf(heading, sizeof heading, " %4d of them", workers);
    printf("\n%-10s %12s%s  images/s\n", "", "a worker", heading);
    for (int stage = 0; stage < TN_STAGES; stage++) {
        print_rate(stage_names[stage], bench->stages[stage], workers);
        printf("  %3.0f %% of the workers' time\n", 100 * bench->shares[stage]);
    }
    print_rate("pipeline", bench->pipeline / workers, workers);
    puts("");
}

static void print_limit(const struct bench *bench)
{
    const char *limit = find_limit(bench);
    char advice[480];
    if (!limit)
        return;
    find_advice(bench, advice, sizeof advice);
    if (strcmp(limit, "computation") != 0)
        printf("\nthe limit is %s%s%s\n", limit, advice[0] ? "; to go faster: " : "", advice);
    else if (bench->compute > 0)
        printf("\nthe limit is the computation: data could come %.1f times as fast\n",
               bench->pipeline / bench->compute);
    else
        puts("\nthe limit is the computation, not the data");
}

static void print_plain(const struct bench *bench)
{
    const struct tn_experiment *experiment = bench->experiment;
    const struct tn_plan_report *report = tn_network_report(experiment->network);
    printf("%s, %d data workers, batches of %lld\n", report->device.name, tn_dataset_workers(experiment->train),
           (long long)experiment->data.batch_size);
    if (bench->pipeline > 0)
        print_stages(bench);
    if (bench->compute > 0 || bench->train > 0)
        puts("");
    if (bench->compute > 0)
        printf("%-10s %12.1f  images/s, %.1f GFLOP/s\n", "compute", bench->compute,
               bench->compute * (double)report->train_flops / 1e9);
    if (bench->train > 0)
        printf("%-10s %12.1f  images/s, waiting for input %.0f%% of the time\n", "training", bench->train,
               100 * bench->wait_share);
    print_limit(bench);
}

static int run(struct tn_arguments *arguments)
{
    const struct options *chosen = arguments->options;
    struct bench bench = {.seconds = chosen->seconds, .slowest = -1};
    struct tn_error error = {0};
    int exit_status;
    arguments->console->quiet = chosen->json;
    tn_arguments_plugin_path(chosen->plugin_path);
    if (chosen->threads)
        tn_arguments_override(arguments, "experiment.threads=%lld", (long long)chosen->threads);
    if (chosen->workers)
        tn_arguments_override(arguments, "data.workers=%lld", (long long)chosen->workers);
    if (tn_arguments_experiment(arguments, 0, &bench.experiment, &exit_status)) {
        tn_status status = measure(&bench, chosen->only, &error);
        exit_status = status == TN_OK ? TN_EXIT_DONE : tn_console_fail(arguments->console, status, &error);
        if (status == TN_OK && chosen->json)
            print_json(&bench);
        else if (status == TN_OK)
            print_plain(&bench);
    }
    tn_experiment_close(&bench.experiment);
    return exit_status;
}

const struct tn_command tn_command_bench_entry = {
    .name = "bench",
    .summary = "images/s of the data pipeline and its stages, the computation, and both",
    .usage = "FILE [section.key=value ...] [--threads N] [--workers N] [--seconds S] [--json]",
    .about =
        "Measures how fast the experiment's training data is read, decoded and augmented (pipeline), how fast the\n"
        "training step is on one and the same batch (compute: the median step), and both together (training, with\n"
        "the share of the time that was spent waiting for input). Of the pipeline also its stages, each as if a\n"
        "thread did nothing else: reading, decoding no larger than needed, sampling (augmentations and the pass into\n"
        "the batch). Says which is the limit and what to do. Writes nothing; the learning rate is 0.",
    .examples = "  tenon bench cats.ini\n"
                "  taskset -c 0 tenon bench cats.ini --threads 1 --only compute --json",
    .flags = TN_COMMAND_EXPERIMENT,
    .options = options,
    .options_size = sizeof(struct options),
    .run = run,
};
