/* test_data_resume.c: an epoch that goes on from any of its steps gives the batches that it would have given, with any
 * number of workers: no state of a pipeline has to be saved but the number of the next batch.
 */
#include "tfrecord_rig.h"

enum { STEPS = 64, BATCH = 5, PICTURES = (STEPS - 1) * BATCH + 3, SHARDS = 5, CLASSES = 3, EPOCH = 3 };

static const char pipeline[] = "[data]\ntarget_size = 14x12\nbatch_size = 5\nclass_mode = categorical\nworkers = %d\n"
                               "overlap = yes\n%s\n[source:train]\n%s\n"
                               "[augment:warp]\ntype = image_data_generator\nrotation_range = 20\nzoom_range = 0.3\n"
                               "shear_range = 10\nhorizontal_flip = yes\n";

/* Where the pictures come from; %s is the folder that holds them. */
static const struct {
    const char *data, *source;
} ways[] = {
    {"", "type = directory\npath = %s/pictures"},
    {"on_error = skip", "type = directory\npath = %s/broken"},
    {"io_threads = 3", "type = directory\npath = %s/pictures"},
    {"cache = memory", "type = directory\npath = %s/pictures"},
    {"", "type = tfrecord\nfiles = %s/plain/*"},
    {"", "type = tfrecord\nfiles = %s/plain/*\nio = sequential\nshuffle_window = 40\ninterleave = 2"},
    {"prefetch = 0", "type = tfrecord\nfiles = %s/gzip/*\nshuffle_window = 40\ninterleave = 3"},
    {"shuffle = no", "type = tfrecord\nfiles = %s/gzip/*"},
};
static const int workers[] = {1, 2, 3, 8};

/* ---- pictures ---- */

static void add_picture(struct tn_record_writer *writer, const char *path, int64_t label)
{
    struct tn_text record = {0};
    void *bytes = NULL;
    uint64_t count = 0;
    ck_assert_int_eq(tn_file_read(path, 1 << 20, &bytes, &count, NULL), TN_OK);
    struct tn_feature features[] = {{"image", bytes, count, 0}, {"label", NULL, 0, label}};
    tn_record_begin(&record);
    ck_assert_int_eq(tn_example_write(&record, features, 2, NULL), TN_OK);
    ck_assert_int_eq(tn_record_end(&record, NULL), TN_OK);
    ck_assert_int_eq(tn_record_writer_add(writer, &record, NULL), TN_OK);
    tn_text_release(&record);
    free(bytes);
}

static void picture_path(char *path, const char *where, int number)
{
    (void)snprintf(path, PATH_MAX, "%.3000s/%s/class%d/%03d.jpg", folder, where, number % CLASSES, number);
}

/* The same pictures in class folders, twice (once with some that cannot be read), and in shards of uneven sizes. */
static void plant(void)
{
    char path[PATH_MAX];
    struct tn_registry *registry = NULL;
    ck_assert_int_eq(tn_registry_open(NULL, &registry, NULL), TN_OK);
    for (int i = 0; i < PICTURES; i++) {
        picture_path(path, "pictures", i);
        rig_jpeg(registry, path, 16 + i % 7, 15 + i % 5, i);
        picture_path(path, "broken", i);
        if (i % 23 == 5)
            rig_write(path, "no picture", 10);
        else
            rig_jpeg(registry, path, 16 + i % 7, 15 + i % 5, i);
    }
    ck_assert_int_eq(tn_folder_make(in_folder("plain"), NULL), TN_OK);
    ck_assert_int_eq(tn_folder_make(in_folder("gzip"), NULL), TN_OK);
    for (int shard = 0, i = 0; shard < SHARDS; shard++) {
        char name[64];
        (void)snprintf(name, sizeof name, "plain/t-%d", shard);
        struct tn_record_writer *plain = begin(name, TN_RECORD_PLAIN);
        (void)snprintf(name, sizeof name, "gzip/t-%d", shard);
        struct tn_record_writer *packed = begin(name, TN_RECORD_GZIP);
        for (int last = shard == SHARDS - 1 ? PICTURES : i + 30 + 13 * shard; i < last; i++) {
            picture_path(path, "pictures", i);
            add_picture(plain, path, i % CLASSES);
            add_picture(packed, path, i % CLASSES);
        }
        end(plain);
        end(packed);
    }
    tn_registry_close(&registry);
}

/* ---- batches ---- */

static uint64_t mix(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ at[i]) * 0x100000001B3u;
    return hash;
}

static uint64_t hash_of(const struct tn_dataset *dataset, const struct tn_batch *batch)
{
    size_t pixel = tn_dataset_pixel_type(dataset) == TN_PIXEL_U8 ? 1 : sizeof(float), count = (size_t)batch->count;
    uint64_t hash = mix(14695981039346656037u, &batch->count, sizeof batch->count);
    hash = mix(hash, batch->images, count * 14 * 12 * 3 * pixel);
    hash = mix(hash, batch->samples, count * sizeof *batch->samples);
    hash = mix(hash, batch->targets, count * CLASSES * sizeof(float));
    return batch->weights ? mix(hash, batch->weights, count * sizeof(float)) : hash;
}

static void open_way(struct rig *rig, size_t way, int worker_count)
{
    char source[PATH_MAX + 256], ini[PATH_MAX + 1024];
    (void)snprintf(source, sizeof source, ways[way].source, folder);
    (void)snprintf(ini, sizeof ini, pipeline, worker_count, ways[way].data, source);
    ck_assert_msg(rig_open(rig, ini) == TN_OK, "%s", rig->error.text);
    ck_assert_uint_eq(tn_dataset_batches(rig->dataset), STEPS);
}

/* Hashes of the epoch's batches from `first` on. */
static void run_epoch(struct rig *rig, uint64_t first, uint64_t hashes[STEPS])
{
    const struct tn_batch *batch;
    ck_assert_msg(tn_dataset_begin(rig->dataset, EPOCH, first, &rig->error) == TN_OK, "%s", rig->error.text);
    for (uint64_t step = first; step < STEPS; step++) {
        ck_assert_msg(tn_dataset_next(rig->dataset, &batch, &rig->error) == TN_OK, "%s", rig->error.text);
        ck_assert_ptr_nonnull(batch);
        ck_assert_uint_eq(batch->number, step);
        ck_assert_int_eq(batch->count, step == STEPS - 1 ? 3 : BATCH);
        hashes[step] = hash_of(rig->dataset, batch);
    }
    ck_assert_int_eq(tn_dataset_next(rig->dataset, &batch, &rig->error), TN_OK);
    ck_assert_ptr_null(batch);
}

/* As another process would: everything is opened anew for each step. */
START_TEST(every_step_of_an_epoch_can_be_gone_on_from)
{
    uint64_t stride = getenv("TENON_SANITIZED") ? 9 : 1; /* there it takes ten times as long */
    uint64_t whole[STEPS], rest[STEPS];
    struct rig rig;
    rig_folder(folder);
    ck_assert_int_eq(setenv("XDG_CACHE_HOME", folder, 1), 0);
    plant();
    open_way(&rig, (size_t)_i, 1);
    run_epoch(&rig, 0, whole);
    rig_close(&rig);
    for (uint64_t a = 0; a < STEPS; a++)
        for (uint64_t b = 0; b < a; b++)
            ck_assert_uint_ne(whole[a], whole[b]);
    for (size_t w = 0; w < TN_COUNT_OF(workers); w++)
        for (uint64_t first = 0; first < STEPS; first += stride) {
            open_way(&rig, (size_t)_i, workers[w]);
            run_epoch(&rig, first, rest);
            for (uint64_t step = first; step < STEPS; step++)
                ck_assert_msg(rest[step] == whole[step], "batch %d is another one from step %d on with %d workers",
                              (int)step, (int)first, workers[w]);
            rig_close(&rig);
        }
    rig_remove(folder);
}
END_TEST

/* In one process: the rest of an epoch after another one was left in its middle. */
START_TEST(a_pipeline_that_was_left_begins_anywhere)
{
    uint64_t whole[STEPS], rest[STEPS];
    const struct tn_batch *batch;
    struct rig rig;
    rig_folder(folder);
    ck_assert_int_eq(setenv("XDG_CACHE_HOME", folder, 1), 0);
    plant();
    open_way(&rig, (size_t)_i, 3);
    run_epoch(&rig, 0, whole);
    for (uint64_t first = 0; first < STEPS; first += 7) {
        ck_assert_int_eq(tn_dataset_begin(rig.dataset, EPOCH + 1 + first, 0, &rig.error), TN_OK);
        for (uint64_t step = 0; step < first; step += 9)
            ck_assert_int_eq(tn_dataset_next(rig.dataset, &batch, &rig.error), TN_OK);
        tn_dataset_end(rig.dataset);
        run_epoch(&rig, first, rest);
        ck_assert_mem_eq(rest + first, whole + first, (STEPS - first) * sizeof *rest);
    }
    rig_close(&rig);
    rig_remove(folder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data_resume");
    TCase *tcase = tcase_create("data_resume");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, every_step_of_an_epoch_can_be_gone_on_from, 0, TN_COUNT_OF(ways));
    tcase_add_loop_test(tcase, a_pipeline_that_was_left_begins_anywhere, 0, TN_COUNT_OF(ways));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
