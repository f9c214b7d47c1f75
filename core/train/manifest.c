/* manifest.c: manifest.json of a run: what made it, so that it can be made again. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "train/internal.h"

#ifndef TENON_VERSION
#define TENON_VERSION "unknown"
#endif

static void add_member(struct tn_text *text, const char *name, const char *value)
{
    tn_text_format(text, "  \"%s\": ", name);
    tn_text_json(text, value ? value : "");
    tn_text_add(text, ",\n");
}

/* The words of the command line, which the system keeps with zeros between them. */
static void add_command_line(struct tn_text *text)
{
    char words[8192];
    size_t length = 0;
    FILE *file = fopen("/proc/self/cmdline", "r");
    if (file) {
        length = fread(words, 1, sizeof words - 1, file);
        (void)fclose(file);
    }
    words[length] = '\0';
    tn_text_add(text, "  \"command_line\": [");
    for (size_t at = 0; at < length; at += strlen(words + at) + 1) {
        tn_text_add(text, at ? ", " : "");
        tn_text_json(text, words + at);
    }
    tn_text_add(text, "],\n");
}

struct plugin_set {
    const struct tn_plugin *plugins[512];
    size_t count;
};

static void collect(struct plugin_set *set, const struct tn_instance *instance)
{
    if (!instance || !instance->plugin || set->count == TN_COUNT_OF(set->plugins))
        return;
    for (size_t i = 0; i < set->count; i++)
        if (set->plugins[i] == instance->plugin)
            return;
    set->plugins[set->count++] = instance->plugin;
}

static void collect_list(struct plugin_set *set, struct tn_instance *const *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        collect(set, list[i]);
}

static void add_plugins(struct tn_text *text, const struct tn_experiment *experiment)
{
    struct plugin_set set = {.count = 0};
    collect(&set, experiment->device);
    collect_list(&set, experiment->sources, experiment->source_count);
    collect_list(&set, experiment->augments, experiment->augment_count);
    collect_list(&set, experiment->layers, experiment->layer_count);
    collect(&set, experiment->loss);
    collect(&set, experiment->optimizer);
    collect(&set, experiment->schedule);
    collect_list(&set, experiment->metrics, experiment->metric_count);
    collect_list(&set, experiment->callbacks, experiment->callback_count);
    tn_text_add(text, "  \"plugins\": [");
    for (size_t i = 0; i < set.count; i++) {
        const struct tn_manifest *manifest = set.plugins[i]->manifest;
        tn_text_add(text, i ? ",\n    {\"name\": " : "\n    {\"name\": ");
        tn_text_json(text, manifest ? manifest->name : "");
        tn_text_add(text, ", \"version\": ");
        tn_text_json(text, manifest ? manifest->version : "");
        tn_text_add(text, ", \"file\": ");
        tn_text_json(text, set.plugins[i]->path ? set.plugins[i]->path : "");
        tn_text_add(text, "}");
    }
    tn_text_add(text, set.count ? "\n  ],\n" : "],\n");
}

static void add_time(struct tn_text *text)
{
    char stamp[64] = "";
    time_t now = time(NULL);
    struct tm parts;
    if (gmtime_r(&now, &parts))
        (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &parts);
    add_member(text, "started", stamp);
}

tn_status tn_manifest_write(const struct tn_experiment *experiment, const char *directory, struct tn_error *error)
{
    const struct tn_plan_report *report = tn_network_report(experiment->network);
    struct tn_text text = {.data = NULL};
    char path[1200], host[256] = "";
    tn_status status;
    (void)gethostname(host, sizeof host - 1);
    tn_text_add(&text, "{\n");
    add_member(&text, "tenon", TENON_VERSION);
    add_member(&text, "experiment", experiment->options.name);
    add_member(&text, "file", experiment->config->path);
    add_time(&text);
    add_member(&text, "host", host);
    add_command_line(&text);
    add_member(&text, "device", report ? report->device.name : "");
    tn_text_format(&text, "  \"threads\": %d,\n", report ? report->device.threads : 0);
    add_plugins(&text, experiment);
    tn_text_format(&text, "  \"parameters\": %llu,\n", report ? (unsigned long long)report->parameters : 0ull);
    tn_text_format(&text, "  \"seed\": %lld\n}\n", (long long)experiment->options.seed);
    (void)snprintf(path, sizeof path, "%s/manifest.json", directory);
    status = text.failed ? tn_fail(error, TN_NO_MEMORY, "no memory to write %s", path)
                         : tn_file_write(path, text.data, text.length, error);
    tn_text_release(&text);
    return status;
}
