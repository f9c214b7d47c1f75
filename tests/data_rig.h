/* data_rig.h: sources, augmentations and datasets from a few lines of INI, for tests of the data pipeline. */
#ifndef TENON_TEST_DATA_RIG_H
#define TENON_TEST_DATA_RIG_H

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "data/data.h"
#include "registry/registry.h"

/* After tenon's headers: it has a macro named fail(). */
#include <check.h>

/* An opened pipeline. Sections of the text: [data], [source:…] (the first one is taken), [augment:…] in order. */
struct rig {
    struct tn_registry *registry;
    struct tn_config *config;
    struct tn_arena arena;
    struct tn_instance *source;
    struct tn_instance *augments[8];
    struct tn_augment_use uses[8];
    struct tn_dataset_spec spec;
    struct tn_dataset *dataset;
    struct tn_error error;
};

static inline void rig_problems(struct rig *rig, struct tn_problems *problems)
{
    if (problems->count) {
        rig->error.status = TN_INVALID;
        (void)snprintf(rig->error.text, sizeof rig->error.text, "%s", problems->items[0].text);
    }
    tn_problems_release(problems);
}

/* Reads the text and opens all instances, but no dataset yet. A problem stands in rig->error. */
static inline tn_status rig_prepare(struct rig *rig, const char *ini)
{
    static const char *const reserved[] = {"on", NULL};
    struct tn_problems problems = {0};
    memset(rig, 0, sizeof *rig);
    ck_assert_int_eq(tn_registry_open(NULL, &rig->registry, &rig->error), TN_OK);
    tn_config_load_text(ini, strlen(ini), "/nowhere/test.ini", NULL, 0, &rig->config, &problems);
    ck_assert_ptr_nonnull(rig->config);
    tn_options_apply(tn_data_option_table, tn_config_section(rig->config, "data", ""), NULL, &rig->spec.options,
                     &rig->arena, &problems);
    struct tn_section *section = tn_config_next(rig->config, "source", NULL);
    if (section)
        tn_instance_open(rig->registry, TN_SOURCE, NULL, section, NULL, &rig->source, &problems);
    for (section = tn_config_next(rig->config, "augment", NULL); section;
         section = tn_config_next(rig->config, "augment", section)) {
        uint32_t index = rig->spec.augment_count;
        const char *on = tn_section_value(section, "on");
        ck_assert_uint_lt(index, 8);
        tn_instance_open(rig->registry, TN_AUGMENT, NULL, section, reserved, &rig->augments[index], &problems);
        rig->uses[index] = (struct tn_augment_use){rig->augments[index], on && strcmp(on, "all") == 0};
        rig->spec.augment_count++;
    }
    rig->spec.source = rig->source;
    rig->spec.augments = rig->uses;
    rig->spec.registry = rig->registry;
    rig->spec.training = 1;
    rig->spec.seed = 7;
    rig_problems(rig, &problems);
    return rig->error.status;
}

static inline tn_status rig_open(struct rig *rig, const char *ini)
{
    tn_status status = rig_prepare(rig, ini);
    return status == TN_OK ? tn_dataset_open(&rig->spec, &rig->dataset, &rig->error) : status;
}

static inline void rig_close(struct rig *rig)
{
    tn_dataset_close(&rig->dataset);
    for (uint32_t i = 0; i < 8; i++)
        tn_instance_close(&rig->augments[i]);
    tn_instance_close(&rig->source);
    tn_arena_release(&rig->arena);
    tn_config_close(&rig->config);
    tn_registry_close(&rig->registry);
}

/* ---- files ---- */

/* A new folder below the system's for temporary files. */
static inline void rig_folder(char path[PATH_MAX])
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(path, PATH_MAX, "%s/tenon-test-XXXXXX", base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(path));
}

static inline void rig_write(const char *path, const void *bytes, size_t count)
{
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    *slash = '\0';
    ck_assert_int_eq(tn_folder_make(folder, NULL), TN_OK);
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "cannot write %s", path);
    ck_assert_uint_eq(fwrite(bytes, 1, count, file), count);
    ck_assert_int_eq(fclose(file), 0);
}

static inline void rig_remove(const char *path)
{
    char command[PATH_MAX + 16];
    ck_assert_msg(strncmp(path, "/", 1) == 0 && strstr(path, "tenon-test-"), "not a folder of this test: %s", path);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", path);
    ck_assert_int_eq(system(command), 0);
}

/* A small picture as PNM would hold it, encoded by the codec jpeg: rows of one colour that grows with `number`. */
static inline void rig_jpeg(struct tn_registry *registry, const char *path, int32_t height, int32_t width, int number)
{
    struct tn_problems problems = {0};
    struct tn_instance *instance = NULL;
    unsigned char *pixels = malloc((size_t)height * (size_t)width * 3);
    struct tn_image image = {height, width, 3, TN_PIXEL_U8, pixels};
    struct tn_error error = {0};
    void *bytes = NULL;
    uint64_t count = 0;
    for (int32_t i = 0; i < height * width * 3; i++)
        pixels[i] = (unsigned char)(i * 7 / 3 + number * 31);
    tn_instance_open(registry, TN_CODEC, "jpeg", NULL, NULL, &instance, &problems);
    ck_assert_msg(instance != NULL, "%s", problems.count ? problems.items[0].text : "no codec jpeg");
    const struct tn_codec *codec = (const struct tn_codec *)instance->type;
    ck_assert_msg(codec->encode(instance->self, tn_host_table(), &image, 90, &bytes, &count, &error) == TN_OK, "%s",
                  error.text);
    rig_write(path, bytes, count);
    tn_host_table()->release(bytes);
    tn_instance_close(&instance);
    tn_problems_release(&problems);
    free(pixels);
}

#endif
