/* test_golden_dirscan.c: the source `directory` lists what Keras lists, in its order, class by class. */
#include <limits.h>
#include <stdlib.h>

#include "data_rig.h"

#include "data_golden.h"

/* ---- the tree ---- */

static int hex_digit(char digit)
{
    return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* In place: %20 and the like. */
static char *percent_decode(char *text)
{
    char *write = text;
    for (const char *read = text; *read; read++) {
        if (read[0] == '%' && hex_digit(read[1]) >= 0 && hex_digit(read[2]) >= 0) {
            *write++ = (char)(hex_digit(read[1]) * 16 + hex_digit(read[2]));
            read += 2;
        } else {
            *write++ = *read;
        }
    }
    *write = '\0';
    return text;
}

/* Next line of `*text`, cut at its end; NULL at the end of the text. */
static char *next_line(char **text)
{
    char *line = *text;
    if (!*line)
        return NULL;
    size_t length = strcspn(line, "\n");
    *text = line + length + (line[length] == '\n');
    line[length] = '\0';
    return line;
}

static void make_tree(const char *folder, char *text)
{
    for (char *line = next_line(&text); line; line = next_line(&text)) {
        char path[PATH_MAX];
        if (line[0] == '#' || line[0] == '\0')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, percent_decode(line));
        rig_write(path, "x", 1);
    }
}

/* ---- one group of the manifest ---- */

struct expected {
    char *classes[64], *files[512];
    int labels[512];
    size_t class_count, file_count;
};

static void add_line(struct expected *expected, char *line)
{
    char *kind = strtok(line, " "), *first = strtok(NULL, " "), *second = strtok(NULL, " ");
    if (!kind || !first)
        return;
    if (strcmp(kind, "class") == 0 && second && expected->class_count < 64)
        expected->classes[expected->class_count++] = percent_decode(second);
    if (strcmp(kind, "file") == 0 && expected->file_count < 512) {
        expected->labels[expected->file_count] = second ? atoi(second) : -1;
        expected->files[expected->file_count++] = percent_decode(first);
    }
}

/* What the group's first line asks of the source; false = nothing that we cover. */
static bool understand(const char *heading, char *keys, size_t bytes, int32_t *subset)
{
    double split;
    char part[32], list[256];
    *subset = TN_SUBSET_ALL;
    keys[0] = '\0';
    if (strcmp(heading, "keras_idg") == 0 || strcmp(heading, "keras_ds") == 0)
        return true;
    if (sscanf(heading, "keras_idg_split %lf %31s", &split, part) == 2) {
        *subset = strcmp(part, "validation") == 0 ? TN_SUBSET_VALIDATION : TN_SUBSET_TRAINING;
        (void)snprintf(keys, bytes, "validation_split = %g\n", split);
        return true;
    }
    if (sscanf(heading, "keras_idg_classes %255[^\n]", list) == 1) {
        for (char *at = list; *at; at++)
            *at = *at == ' ' ? ',' : *at;
        (void)snprintf(keys, bytes, "classes = %s\n", percent_decode(list));
        return true;
    }
    return false;
}

static const char *compare(const struct rig *rig, const struct expected *expected)
{
    static char text[1024];
    const struct tn_source_info *info = tn_dataset_info(rig->dataset);
    const struct tn_source *source = (const struct tn_source *)rig->source->type;
    if (info->class_count != expected->class_count)
        return "another number of classes";
    for (size_t i = 0; i < expected->class_count; i++)
        if (strcmp(info->classes[i], expected->classes[i]) != 0)
            return "other classes";
    for (size_t i = 0; i < expected->file_count && i < info->count; i++) {
        char name[512];
        tn_dataset_sample_name(rig->dataset, i, name, sizeof name);
        int32_t label = source->label(rig->source->self, i);
        if (strcmp(name, expected->files[i]) == 0 && (expected->labels[i] < 0 || expected->labels[i] == label))
            continue;
        (void)snprintf(text, sizeof text, "file %zu is %s of class %d, not %s of class %d", i, name, (int)label,
                       expected->files[i], expected->labels[i]);
        return text;
    }
    return info->count == expected->file_count ? NULL : "another number of files";
}

static void run_group(struct tally *tally, const char *folder, const char *heading, const struct expected *expected)
{
    char ini[PATH_MAX + 1024], keys[512];
    struct rig rig;
    int32_t subset;
    if (!understand(heading, keys, sizeof keys, &subset)) {
        tally->uncovered++;
        return;
    }
    (void)snprintf(ini, sizeof ini, "[data]\n%s[source:train]\ntype = directory\npath = %s\nrules = %s\n", keys, folder,
                   strncmp(heading, "keras_ds", 8) == 0 ? "image_dataset" : "image_data_generator");
    const char *wrong = NULL;
    if (rig_prepare(&rig, ini) == TN_OK) {
        rig.spec.subset = subset;
        (void)tn_dataset_open(&rig.spec, &rig.dataset, &rig.error);
    }
    wrong = rig.dataset ? compare(&rig, expected) : rig.error.text;
    if (wrong)
        tally_fail(tally, heading, "%s", wrong);
    else
        tally->passed++;
    rig_close(&rig);
}

static void run_manifest(struct tally *tally, const char *folder, char *text)
{
    char heading[512] = "";
    struct expected expected = {.class_count = 0};
    for (char *line = next_line(&text);; line = next_line(&text)) {
        if (line && line[0] == '#')
            continue;
        if (line && line[0] == ' ') {
            add_line(&expected, line);
            continue;
        }
        if (heading[0])
            run_group(tally, folder, heading, &expected);
        if (!line)
            break;
        (void)snprintf(heading, sizeof heading, "%s", line);
        expected = (struct expected){.class_count = 0};
    }
}

START_TEST(files_are_those_of_keras)
{
    char tree_path[PATH_MAX], manifest_path[PATH_MAX], folder[PATH_MAX];
    struct tally tally = {.group = "dirscan"};
    void *tree = NULL, *manifest = NULL;
    uint64_t bytes = 0;
    if (!golden_file("dirscan/tree.txt", tree_path, sizeof tree_path) ||
        !golden_file("dirscan/manifest.txt", manifest_path, sizeof manifest_path))
        return;
    ck_assert_int_eq(tn_file_read(tree_path, 1u << 20, &tree, &bytes, NULL), TN_OK);
    ck_assert_int_eq(tn_file_read(manifest_path, 1u << 20, &manifest, &bytes, NULL), TN_OK);
    rig_folder(folder);
    make_tree(folder, tree);
    run_manifest(&tally, folder, manifest);
    rig_remove(folder);
    tally_print(&tally);
    free(tree);
    free(manifest);
    ck_assert_int_eq(tally.failed, 0);
    ck_assert_int_gt(tally.passed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden dirscan");
    TCase *scanning = tcase_create("dirscan");
    tcase_set_timeout(scanning, 60);
    tcase_add_test(scanning, files_are_those_of_keras);
    suite_add_tcase(suite, scanning);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
