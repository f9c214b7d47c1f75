/* advice.c: what to do when training waits for data: only what this tenon can do and this experiment does not yet. */
#include <string.h>
#include <unistd.h>

#include "train/internal.h"

bool tn_data_has_key(const char *key)
{
    for (const struct tn_option *option = tn_data_option_table; option->kind; option++)
        if (option->kind != TN_OPTION_GONE && strcmp(option->name, key) == 0)
            return true;
    return false;
}

/* [data] knows the key and the file does not set it. */
static bool is_unused(const struct tn_experiment *experiment, const char *key)
{
    struct tn_section *section = tn_config_section(experiment->config, "data", "");
    return tn_data_has_key(key) && (!section || !tn_section_entry(section, key));
}

/* A file for each picture: what `tenon pack` can change. Whether packed ones are of the right size is not known here.
 */
static bool has_loose_files(const struct tn_experiment *experiment)
{
    for (uint32_t i = 0; i < experiment->source_count; i++)
        if (strcmp(experiment->sources[i]->type->name, "directory") == 0 ||
            strcmp(experiment->sources[i]->type->name, "manifest") == 0)
            return true;
    return false;
}

TN_PRINTF(2, 3) static void add(struct tn_text *text, const char *format, ...)
{
    char words[200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    tn_text_add(text, text->length ? ", or " : "");
    tn_text_add(text, words);
}

void tn_experiment_advise(const struct tn_experiment *experiment, int32_t stage, char *text, size_t bytes)
{
    const struct tn_size *size = &experiment->data.target_size;
    struct tn_text words = {.data = NULL};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (stage != TN_STAGE_READ && tn_dataset_workers(experiment->train) < cores)
        add(&words, "set data.workers = %ld", cores);
    if (stage != TN_STAGE_READ && stage != TN_STAGE_SAMPLE && !experiment->data.fast_decode)
        add(&words, "set data.fast_decode = yes");
    if (stage != TN_STAGE_SAMPLE && is_unused(experiment, "cache"))
        add(&words, "set data.cache = memory (or a file)");
    if (stage == TN_STAGE_READ && experiment->data.io_threads > 0)
        add(&words, "leave data.io_threads out, so that tenon finds the number");
    if (stage == TN_STAGE_READ && has_loose_files(experiment))
        add(&words, "pack the pictures into large files (tenon pack)");
    if (stage != TN_STAGE_READ && stage != TN_STAGE_SAMPLE && has_loose_files(experiment))
        add(&words, "store pictures at %dx%d (tenon pack --resize %dx%d)", size->height, size->width, size->height,
            size->width);
    if (stage == TN_STAGE_SAMPLE && experiment->augment_count)
        add(&words, "use fewer augmentations");
    (void)snprintf(text, bytes, "%s", words.data && !words.failed ? words.data : "");
    tn_text_release(&words);
}
