/* test_data_shapes.c: the drawn data set: a function of seed and number, all classes alike often, and on disk. */
#include <dirent.h>

#include "data_rig.h"

/* The picture of a sample, copied. */
static void read_sample(const struct rig *rig, uint64_t index, unsigned char *pixels, size_t bytes)
{
    const struct tn_source *source = (const struct tn_source *)rig->source->type;
    struct tn_sample sample = {.size = sizeof sample};
    void *worker = NULL;
    ck_assert_int_eq(source->worker_open(rig->source->self, &worker, NULL), TN_OK);
    ck_assert_int_eq(source->read(rig->source->self, worker, index, &sample, NULL), TN_OK);
    ck_assert_uint_eq((size_t)sample.image.height * (size_t)sample.image.width * (size_t)sample.image.channels, bytes);
    memcpy(pixels, sample.image.pixels, bytes);
    source->worker_close(rig->source->self, worker);
}

enum { BYTES = 20 * 30 * 3 };

static void open_shapes(struct rig *rig, const char *keys)
{
    char ini[512];
    (void)snprintf(ini, sizeof ini, "[data]\ntarget_size = 20x30\n[source:s]\ntype = shapes\ncount = 60\n%s\n", keys);
    ck_assert_msg(rig_open(rig, ini) == TN_OK, "%s", rig->error.text);
}

START_TEST(pictures_depend_on_seed_and_number_alone)
{
    static const char *const others[] = {"seed = 1", "start = 6", "noise = 0.2"};
    unsigned char first[BYTES], second[BYTES];
    struct rig rig;
    open_shapes(&rig, "");
    read_sample(&rig, 5, first, BYTES);
    read_sample(&rig, 6, second, BYTES);
    ck_assert_mem_ne(first, second, BYTES);
    rig_close(&rig);
    open_shapes(&rig, "");
    read_sample(&rig, 5, second, BYTES);
    ck_assert_mem_eq(first, second, BYTES);
    rig_close(&rig);
    for (size_t i = 0; i < TN_COUNT_OF(others); i++) {
        open_shapes(&rig, others[i]);
        read_sample(&rig, 5, second, BYTES);
        ck_assert_mem_ne(first, second, BYTES);
        rig_close(&rig);
    }
    open_shapes(&rig, "start = 12"); /* numbers of one class are `classes` apart: 12 further is two samples further */
    read_sample(&rig, 3, second, BYTES);
    ck_assert_mem_eq(first, second, BYTES);
    rig_close(&rig);
    open_shapes(&rig, "start = 8"); /* number 30 is the sixth of class 0 in 0, 6, …, and the fourth in 12, 18, … */
    read_sample(&rig, 3, second, BYTES);
    ck_assert_mem_eq(first, second, BYTES);
    rig_close(&rig);
}
END_TEST

START_TEST(classes_are_balanced_and_named)
{
    struct rig rig;
    char name[64];
    open_shapes(&rig, "classes = 8");
    const struct tn_source_info *info = tn_dataset_info(rig.dataset);
    const struct tn_source *source = (const struct tn_source *)rig.source->type;
    uint64_t counts[8] = {0};
    ck_assert_uint_eq(info->class_count, 8);
    for (uint32_t i = 0; i + 1 < 8; i++)
        ck_assert_int_lt(strcmp(info->classes[i], info->classes[i + 1]), 0); /* the order that folders have */
    for (uint64_t i = 0; i < 60; i++)
        counts[source->label(rig.source->self, i)]++;
    for (uint32_t i = 0; i < 8; i++) {
        ck_assert_uint_eq(counts[i], info->class_sizes[i]);
        ck_assert(counts[i] == 7 || counts[i] == 8);
    }
    tn_dataset_sample_name(rig.dataset, 1, name, sizeof name);
    ck_assert_str_eq(name, "shapes#8");
    rig_close(&rig);
}
END_TEST

/* The mean picture of a class tells nothing: brightness and colour are drawn alike for all. */
START_TEST(the_mean_pictures_of_two_classes_are_alike)
{
    enum { COUNT = 3000, SIDE = 16 };
    static double means[2][SIDE * SIDE];
    struct rig rig;
    unsigned char pixels[SIDE * SIDE];
    ck_assert_msg(rig_open(&rig, "[data]\ntarget_size = 16\ncolor_mode = grayscale\n"
                                 "[source:s]\ntype = shapes\ncount = 6000\nclasses = 2\n") == TN_OK,
                  "%s", rig.error.text);
    for (int c = 0; c < 2; c++)
        for (int i = 0; i < COUNT; i++) {
            read_sample(&rig, (uint64_t)(c * COUNT + i), pixels, sizeof pixels);
            for (int k = 0; k < SIDE * SIDE; k++)
                means[c][k] += pixels[k] / (double)COUNT;
        }
    for (int k = 0; k < SIDE * SIDE; k++)
        ck_assert_msg(fabs(means[0][k] - means[1][k]) < 9, "pixel %d: %g and %g", k, means[0][k], means[1][k]);
    rig_close(&rig);
}
END_TEST

/* ---- on disk ---- */

static int32_t stop_after(void *context, uint64_t done, uint64_t count)
{
    (void)count;
    return done >= *(const uint64_t *)context;
}

static uint64_t count_files(const char *folder, const char *class_name)
{
    char path[PATH_MAX + 64];
    uint64_t count = 0;
    (void)snprintf(path, sizeof path, "%s/%s", folder, class_name);
    DIR *listing = opendir(path);
    ck_assert_ptr_nonnull(listing);
    for (const struct dirent *entry = readdir(listing); entry; entry = readdir(listing))
        count += entry->d_name[0] != '.';
    closedir(listing);
    return count;
}

START_TEST(synth_writes_class_folders_that_read_back)
{
    char root[PATH_MAX], folder[PATH_MAX + 8], ini[2 * PATH_MAX];
    struct rig rig;
    const struct tn_batch *batch;
    const struct tn_size size = {32, 24};
    uint64_t limit = 3;
    rig_folder(root);
    (void)snprintf(folder, sizeof folder, "%s/set", root);
    ck_assert_int_eq(rig_prepare(&rig, "[source:s]\ntype = shapes\ncount = 60\nclasses = 3\n"), TN_OK);
    ck_assert_msg(tn_synth_write(rig.registry, rig.source, folder, 30, 90, size, 5, NULL, NULL, &rig.error) == TN_OK,
                  "%s", rig.error.text);
    ck_assert_uint_eq(count_files(folder, "circle"), 10);
    ck_assert_uint_eq(count_files(folder, "cross"), 10);
    ck_assert_uint_eq(count_files(folder, "ring"), 10);
    ck_assert_int_eq(tn_synth_write(rig.registry, rig.source, folder, 30, 90, size, 5, NULL, NULL, &rig.error),
                     TN_INVALID);
    ck_assert_ptr_nonnull(strstr(rig.error.text, "not empty"));
    (void)snprintf(folder, sizeof folder, "%s/more", root);
    ck_assert_int_eq(tn_synth_write(rig.registry, rig.source, folder, 61, 90, size, 5, NULL, NULL, &rig.error),
                     TN_INVALID);
    ck_assert_int_eq(tn_synth_write(rig.registry, rig.source, folder, 0, 90, size, 5, stop_after, &limit, &rig.error),
                     TN_INTERRUPTED);
    ck_assert_uint_eq(count_files(folder, "circle"), 3);
    rig_close(&rig);
    (void)snprintf(ini, sizeof ini, "[data]\ntarget_size = 32x24\n[source:s]\ntype = directory\npath = %s/set\n", root);
    ck_assert_msg(rig_open(&rig, ini) == TN_OK, "%s", rig.error.text);
    ck_assert_uint_eq(tn_dataset_info(rig.dataset)->count, 30);
    ck_assert_int_eq(tn_dataset_pixel_type(rig.dataset), TN_PIXEL_U8); /* nothing here needs floats */
    ck_assert_int_eq(tn_dataset_begin(rig.dataset, 0, 0, &rig.error), TN_OK);
    ck_assert_msg(tn_dataset_next(rig.dataset, &batch, &rig.error) == TN_OK, "%s", rig.error.text);
    ck_assert_int_eq(batch->count, 30);
    rig_close(&rig);
    rig_remove(root);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data shapes");
    TCase *shapes = tcase_create("shapes");
    tcase_set_timeout(shapes, 60);
    tcase_add_test(shapes, pictures_depend_on_seed_and_number_alone);
    tcase_add_test(shapes, classes_are_balanced_and_named);
    tcase_add_test(shapes, the_mean_pictures_of_two_classes_are_alike);
    tcase_add_test(shapes, synth_writes_class_folders_that_read_back);
    suite_add_tcase(suite, shapes);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
