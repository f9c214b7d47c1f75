/* init_look.c: which of the folders is what, how many images of which classes, how large. The `directory` source does
 * the looking, so that a run will see exactly what is reported here. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/init.h"

enum { MOST_SAMPLES = 32 };

static const char *const train_names[] = {"train", "training", NULL};
static const char *const validation_names[] = {"val", "valid", "validation", "test", NULL};

/* FOLDER/name for the first name that is a folder there, also in capitals; NULL = none. */
static const char *subfolder(struct tn_arena *arena, const char *folder, const char *const *names)
{
    for (; *names; names++) {
        char *path = tn_arena_format(arena, "%s/%s", folder, *names);
        if (path && tn_path_is_folder(path))
            return path;
        if (path) {
            char *first = path + strlen(folder) + 1;
            *first = (char)(*first - 'a' + 'A');
            if (tn_path_is_folder(path))
                return path;
        }
    }
    return NULL;
}

tn_status tn_look_parts(struct tn_arena *arena, const char *folder, const char **train, const char **validation,
                        struct tn_error *error)
{
    *validation = NULL;
    *train = subfolder(arena, folder, train_names);
    if (*train)
        *validation = subfolder(arena, folder, validation_names);
    else
        *train = tn_arena_string(arena, folder);
    return arena->failed ? tn_fail(error, TN_NO_MEMORY, "no memory") : TN_OK;
}

tn_status tn_look_open_source(struct tn_registry *registry, struct tn_config *config, const char *name,
                              const char *path, struct tn_instance **source, struct tn_error *error)
{
    struct tn_problems problems = {0};
    struct tn_section *section = tn_config_add(config, "source", name);
    tn_status status = section ? tn_section_set(config, section, "path", path) : TN_NO_MEMORY;
    if (status == TN_OK)
        status = tn_instance_open(registry, TN_SOURCE, "directory", section, NULL, source, &problems);
    if (status != TN_OK && problems.count)
        tn_fail(error, status, "%s", problems.items[0].text);
    else if (status != TN_OK)
        tn_fail(error, status, "no memory");
    tn_problems_release(&problems);
    return status;
}

tn_status tn_look_scan(struct tn_instance *source, const struct tn_look *look, struct tn_source_info *info,
                       struct tn_error *error)
{
    const struct tn_source *type = (const struct tn_source *)source->type;
    struct tn_source_request request = {.size = sizeof request,
                                        .subset = TN_SUBSET_ALL,
                                        .class_mode = TN_CLASS_CATEGORICAL,
                                        .target = {64, 64},
                                        .channels = 3};
    memset(info, 0, sizeof *info);
    info->size = sizeof *info;
    if (look->class_count)
        request.classes = (struct tn_list){look->classes, look->class_count};
    return type->scan(source->self, &request, info, error);
}

static tn_status take_classes(struct tn_look *look, const struct tn_source_info *info, struct tn_error *error)
{
    look->train_count = info->count;
    look->classes = tn_arena_take(&look->arena, (info->class_count + 1) * sizeof *look->classes);
    look->class_sizes = tn_arena_take(&look->arena, (info->class_count + 1) * sizeof *look->class_sizes);
    if (!look->classes || !look->class_sizes)
        return tn_fail(error, TN_NO_MEMORY, "no memory for %u class names", info->class_count);
    for (uint32_t i = 0; i < info->class_count; i++) {
        look->classes[i] = tn_arena_string(&look->arena, info->classes[i]);
        look->class_sizes[i] = info->class_sizes ? info->class_sizes[i] : 0;
    }
    look->class_count = info->class_count;
    return look->arena.failed ? tn_fail(error, TN_NO_MEMORY, "no memory for class names") : TN_OK;
}

static int by_number(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Reads and decodes one picture; what fails is counted, not an error. */
static void open_one(struct tn_look *look, const struct tn_instance *source, void *worker, struct tn_decoder *decoder,
                     uint64_t index, int32_t *heights, int32_t *widths)
{
    const struct tn_source *type = (const struct tn_source *)source->type;
    struct tn_decode_request request = {.size = sizeof request, .channels = 3, .maximum_pixels = 178956970};
    struct tn_sample sample = {.size = sizeof sample};
    struct tn_image image = {0};
    struct tn_error error = {0};
    uint32_t good = look->sampled - look->unreadable;
    tn_status status = type->read(source->self, worker, index, &sample, &error);
    if (status == TN_OK)
        status = tn_decoder_decode(decoder, sample.bytes, sample.byte_count, &request, &image, &error);
    look->sampled++;
    if (status == TN_OK) {
        heights[good] = image.height;
        widths[good] = image.width;
    } else if (look->unreadable++ == 0) {
        type->name(source->self, index, look->first_unreadable, sizeof look->first_unreadable);
    }
}

/* Opens a few pictures, spread over the classes, for their size. */
static tn_status sample_sizes(struct tn_look *look, struct tn_registry *registry, const struct tn_instance *source,
                              struct tn_error *error)
{
    const struct tn_source *type = (const struct tn_source *)source->type;
    int32_t heights[MOST_SAMPLES], widths[MOST_SAMPLES];
    uint64_t count = look->train_count < MOST_SAMPLES ? look->train_count : MOST_SAMPLES;
    struct tn_decoder *decoder = NULL;
    void *worker = NULL;
    uint32_t good;
    tn_status status;

    TN_TRY(status, tn_decoder_open(registry, &decoder, error), out);
    if (type->worker_open)
        TN_TRY(status, type->worker_open(source->self, &worker, error), out);
    for (uint64_t i = 0; i < count; i++)
        open_one(look, source, worker, decoder, i * look->train_count / count, heights, widths);
    if (type->worker_close)
        type->worker_close(source->self, worker);
    good = look->sampled - look->unreadable;
    if (good == 0) {
        status = tn_fail(error, TN_CORRUPT, "%s: none of %u pictures can be decoded, beginning with %s", look->train,
                         look->sampled, look->first_unreadable);
        goto out;
    }
    qsort(heights, good, sizeof *heights, by_number);
    qsort(widths, good, sizeof *widths, by_number);
    look->height = heights[good / 2];
    look->width = widths[good / 2];
out:
    tn_decoder_close(&decoder);
    return status;
}

static tn_status look_into(struct tn_look *look, struct tn_registry *registry, struct tn_config *config,
                           struct tn_error *error)
{
    struct tn_instance *train = NULL, *validation = NULL;
    struct tn_source_info info;
    tn_status status;
    TN_TRY(status, tn_look_open_source(registry, config, "train", look->train, &train, error), out);
    TN_TRY(status, tn_look_scan(train, look, &info, error), out);
    if (info.class_count < 2) {
        status = tn_fail(error, TN_INVALID,
                         "%s: %u class%s found; a folder of images for each of at least two classes is needed",
                         look->train, info.class_count, info.class_count == 1 ? "" : "es");
        goto out;
    }
    TN_TRY(status, take_classes(look, &info, error), out);
    TN_TRY(status, sample_sizes(look, registry, train, error), out);
    if (look->validation) {
        TN_TRY(status, tn_look_open_source(registry, config, "validation", look->validation, &validation, error), out);
        TN_TRY(status, tn_look_scan(validation, look, &info, error), out);
        look->validation_count = info.count;
    }
out:
    tn_instance_close(&validation);
    tn_instance_close(&train);
    return status;
}

tn_status tn_look_at(struct tn_look *look, const char *folder, struct tn_error *error)
{
    struct tn_problems problems = {0};
    struct tn_registry *registry = NULL;
    struct tn_config *config = NULL;
    char whole[PATH_MAX];
    tn_status status;

    look->folder = folder;
    if (!realpath(folder, whole))
        return tn_fail(error, TN_NOT_FOUND, "%s: %s", folder, strerror(errno));
    if (!tn_path_is_folder(whole))
        return tn_fail(error, TN_INVALID, "%s is not a folder", folder);
    status = tn_look_parts(&look->arena, whole, &look->train, &look->validation, error);
    if (status != TN_OK)
        return status;
    TN_TRY(status, tn_registry_open(NULL, &registry, error), out);
    status = tn_config_load_text("", 0, "init", NULL, 0, &config, &problems);
    if (status != TN_OK) {
        tn_fail(error, status, "no memory");
        goto out;
    }
    status = look_into(look, registry, config, error);
out:
    tn_problems_release(&problems);
    tn_config_close(&config);
    tn_registry_close(&registry);
    return status;
}
