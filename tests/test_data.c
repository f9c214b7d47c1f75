/* test_data.c: the stream of batches: every sample once an epoch, the same bits for any number of workers, resume,
 * tails, targets, and what happens to pictures that cannot be read.
 */
#include "data/permutation.h"
#include "data_rig.h"

/* ---- order ---- */

START_TEST(permutation_is_a_bijection)
{
    static const uint64_t counts[] = {1, 2, 3, 4, 5, 7, 10, 31, 64, 100, 257, 1000, 4096, 10007};
    uint64_t count = counts[_i];
    for (uint64_t epoch = 0; epoch < 5; epoch++) {
        unsigned char *seen = calloc((size_t)count, 1);
        struct tn_permutation permutation = tn_permutation_make(42, epoch, count);
        for (uint64_t i = 0; i < count; i++) {
            uint64_t image = tn_permutation_at(&permutation, i);
            ck_assert_uint_lt(image, count);
            ck_assert_int_eq(seen[image], 0);
            seen[image] = 1;
        }
        free(seen);
    }
}
END_TEST

/* All orders of 4 things come out, each about as often as the others (chi-square with 23 degrees of freedom). */
START_TEST(permutation_reaches_every_order_evenly)
{
    enum { TRIES = 24000 };
    int counts[256] = {0}, orders = 0;
    double statistic = 0;
    for (uint64_t epoch = 0; epoch < TRIES; epoch++) {
        struct tn_permutation permutation = tn_permutation_make(_i, epoch, 4);
        unsigned code = 0;
        for (uint64_t i = 0; i < 4; i++)
            code = code * 4 + (unsigned)tn_permutation_at(&permutation, i);
        counts[code]++;
    }
    for (int i = 0; i < 256; i++) {
        orders += counts[i] > 0;
        if (counts[i])
            statistic += (counts[i] - TRIES / 24.0) * (counts[i] - TRIES / 24.0) / (TRIES / 24.0);
    }
    ck_assert_int_eq(orders, 24);
    ck_assert_msg(statistic < 52, "chi-square %g: the orders are not equally likely", statistic); /* p = 0.0005 */
}
END_TEST

/* In a large set: neighbours do not stay neighbours, and the mean move is a third of the length. */
START_TEST(permutation_scatters)
{
    enum { COUNT = 20000 };
    struct tn_permutation permutation = tn_permutation_make(3, 1, COUNT);
    int neighbours = 0, fixed = 0;
    double moved = 0;
    for (uint64_t i = 0; i + 1 < COUNT; i++) {
        uint64_t a = tn_permutation_at(&permutation, i), b = tn_permutation_at(&permutation, i + 1);
        neighbours += b == a + 1;
        fixed += a == i;
        moved += a > i ? (double)(a - i) : (double)(i - a);
    }
    ck_assert_int_lt(neighbours, 8);
    ck_assert_int_lt(fixed, 8);
    ck_assert_msg(fabs(moved / COUNT / COUNT - 1 / 3.0) < 0.01, "mean move %g", moved / COUNT / COUNT);
}
END_TEST

/* ---- streams ---- */

static const char drawn[] = "[data]\ntarget_size = 24x20\nbatch_size = 8\n%s\n"
                            "[source:train]\ntype = shapes\ncount = 53\nclasses = 3\n"
                            "[augment:a]\ntype = image_data_generator\nrescale = 1/255\nshear_range = 10\n"
                            "zoom_range = 0.3\nhorizontal_flip = yes\nfill_mode = %s\n";

static void open_drawn(struct rig *rig, const char *keys, const char *fill)
{
    char ini[2048];
    (void)snprintf(ini, sizeof ini, drawn, keys, fill);
    ck_assert_msg(rig_open(rig, ini) == TN_OK, "%s", rig->error.text);
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ at[i]) * 0x100000001B3u;
    return hash;
}

/* Runs an epoch from a batch on; hashes all that came, and counts how often each sample came. */
static uint64_t run_epoch(struct rig *rig, uint64_t epoch, uint64_t first, int *seen)
{
    const struct tn_batch *batch;
    uint64_t hash = 14695981039346656037u, expected = first;
    const struct tn_data_options *options = &rig->spec.options;
    size_t elements = (size_t)options->target_size.height * (size_t)options->target_size.width *
                      (size_t)tn_dataset_channels(rig->dataset);
    size_t pixel = tn_dataset_pixel_type(rig->dataset) == TN_PIXEL_U8 ? 1 : sizeof(float);
    ck_assert_int_eq(tn_dataset_begin(rig->dataset, epoch, first, &rig->error), TN_OK);
    for (;;) {
        ck_assert_msg(tn_dataset_next(rig->dataset, &batch, &rig->error) == TN_OK, "%s", rig->error.text);
        if (!batch)
            break;
        ck_assert_uint_eq(batch->number, expected);
        expected++;
        size_t count = (size_t)batch->count;
        hash = mix(hash, batch->images, count * elements * pixel);
        hash = mix(hash, batch->samples, count * sizeof *batch->samples);
        if (batch->targets)
            hash = mix(hash, batch->targets, count * (size_t)tn_dataset_target_count(rig->dataset) * sizeof(float));
        for (size_t i = 0; seen && i < count; i++)
            seen[batch->samples[i]]++;
    }
    ck_assert_uint_eq(expected, tn_dataset_batches(rig->dataset));
    return hash;
}

START_TEST(every_sample_comes_once_and_alike_for_any_workers)
{
    static const char *const keys[] = {"workers = 1\noverlap = yes", "workers = 2\noverlap = yes",
                                       "workers = 4\noverlap = yes\nprefetch = 5", "workers = 4\noverlap = no",
                                       "workers = 3\noverlap = yes\nprefetch = 0"};
    static const char *const fills[] = {"nearest", "constant", "reflect", "wrap"};
    uint64_t first[3] = {0};
    for (size_t k = 0; k < TN_COUNT_OF(keys); k++) {
        struct rig rig;
        open_drawn(&rig, keys[k], fills[_i]);
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            int seen[53] = {0};
            uint64_t hash = run_epoch(&rig, epoch, 0, seen);
            for (int i = 0; i < 53; i++)
                ck_assert_int_eq(seen[i], 1);
            if (k == 0)
                first[epoch] = hash;
            ck_assert_uint_eq(hash, first[epoch]);
        }
        rig_close(&rig);
    }
    ck_assert_uint_ne(first[0], first[1]);
    ck_assert_uint_ne(first[1], first[2]);
}
END_TEST

START_TEST(resume_continues_the_epoch)
{
    struct rig rig, again;
    const struct tn_batch *batch;
    open_drawn(&rig, "workers = 2\noverlap = yes", "nearest");
    open_drawn(&again, "workers = 1", "nearest");
    for (uint64_t first = 0; first <= 7; first++) {
        uint64_t expected = run_epoch(&again, 4, first, NULL);
        ck_assert_int_eq(tn_dataset_begin(rig.dataset, 4, 0, &rig.error), TN_OK);
        for (uint64_t i = 0; i < first; i++)
            ck_assert_int_eq(tn_dataset_next(rig.dataset, &batch, &rig.error), TN_OK);
        tn_dataset_end(rig.dataset);
        ck_assert_int_eq(tn_dataset_next(rig.dataset, &batch, &rig.error), TN_OK);
        ck_assert_ptr_null(batch);
        ck_assert_uint_eq(run_epoch(&rig, 4, first, NULL), expected);
    }
    ck_assert_int_eq(tn_dataset_begin(rig.dataset, 4, 8, &rig.error), TN_INVALID);
    rig_close(&again);
    rig_close(&rig);
}
END_TEST

START_TEST(last_batch_is_short_or_dropped)
{
    struct rig rig;
    const struct tn_batch *batch;
    open_drawn(&rig, "", "nearest");
    ck_assert_uint_eq(tn_dataset_batches(rig.dataset), 7);
    ck_assert_uint_eq(tn_dataset_tail(rig.dataset), 5);
    ck_assert_int_eq(tn_dataset_begin(rig.dataset, 0, 6, &rig.error), TN_OK);
    ck_assert_int_eq(tn_dataset_next(rig.dataset, &batch, &rig.error), TN_OK);
    ck_assert_int_eq(batch->count, 5);
    rig_close(&rig);
    open_drawn(&rig, "drop_remainder = yes", "nearest");
    ck_assert_uint_eq(tn_dataset_batches(rig.dataset), 6);
    ck_assert_uint_eq(tn_dataset_tail(rig.dataset), 0);
    run_epoch(&rig, 0, 0, NULL);
    rig_close(&rig);
}
END_TEST

START_TEST(order_is_kept_without_shuffle_and_for_validation)
{
    struct rig rig;
    open_drawn(&rig, "shuffle = no", "nearest");
    for (uint64_t i = 0; i < 53; i++)
        ck_assert_uint_eq(tn_dataset_order(rig.dataset, i), i);
    rig_close(&rig);
    open_drawn(&rig, "", "nearest");
    int moved = 0;
    for (uint64_t i = 0; i < 53; i++)
        moved += tn_dataset_order(rig.dataset, i) != i;
    ck_assert_int_gt(moved, 40);
    tn_dataset_close(&rig.dataset);
    rig.spec.training = 0;
    ck_assert_int_eq(tn_dataset_open(&rig.spec, &rig.dataset, &rig.error), TN_OK);
    for (uint64_t i = 0; i < 53; i++)
        ck_assert_uint_eq(tn_dataset_order(rig.dataset, i), i);
    rig_close(&rig);
}
END_TEST

/* Draws differ from sample to sample and from epoch to epoch: half of the pictures are flipped, not always the same. */
START_TEST(each_sample_of_each_epoch_has_draws_of_its_own)
{
    enum { COUNT = 60, BYTES = 12 * 12 * 3 };
    static unsigned char plain[COUNT][BYTES];
    bool flipped[4][COUNT];
    int flips = 0, changes = 0;
    static const char ini[] = "[data]\ntarget_size = 12\nbatch_size = 60\nshuffle = no\n"
                              "[source:s]\ntype = shapes\ncount = 60\nclasses = 2\n%s";
    char text[512];
    for (int with = 0; with < 2; with++) {
        struct rig rig;
        const struct tn_batch *batch;
        (void)snprintf(text, sizeof text, ini, with ? "[augment:f]\ntype = horizontal_flip\n" : "");
        ck_assert_msg(rig_open(&rig, text) == TN_OK, "%s", rig.error.text);
        for (uint64_t epoch = 0; epoch < 4; epoch++) {
            ck_assert_int_eq(tn_dataset_begin(rig.dataset, epoch, 0, &rig.error), TN_OK);
            ck_assert_int_eq(tn_dataset_next(rig.dataset, &batch, &rig.error), TN_OK);
            const unsigned char *images = batch->images;
            for (int i = 0; i < COUNT; i++)
                flipped[epoch][i] = memcmp(plain[i], images + i * BYTES, BYTES) != 0;
            if (!with)
                memcpy(plain, images, sizeof plain);
        }
        rig_close(&rig);
    }
    for (int epoch = 0; epoch < 4; epoch++)
        for (int i = 0; i < COUNT; i++) {
            flips += flipped[epoch][i];
            changes += flipped[epoch][i] != flipped[(epoch + 1) % 4][i];
        }
    ck_assert_msg(flips > 80 && flips < 160, "%d of 240 are flipped", flips);
    ck_assert_msg(changes > 80 && changes < 160, "%d of 240 differ from epoch to epoch", changes);
    int within = 0;
    for (int i = 0; i + 1 < COUNT; i++)
        within += flipped[0][i] != flipped[0][i + 1];
    ck_assert_msg(within > 15 && within < 45, "%d of 59 differ from their neighbour", within);
}
END_TEST

/* ---- targets ---- */

static const struct tn_batch *first_batch(struct rig *rig)
{
    const struct tn_batch *batch;
    ck_assert_int_eq(tn_dataset_begin(rig->dataset, 0, 0, &rig->error), TN_OK);
    ck_assert_msg(tn_dataset_next(rig->dataset, &batch, &rig->error) == TN_OK, "%s", rig->error.text);
    ck_assert_ptr_nonnull(batch);
    return batch;
}

START_TEST(targets_follow_class_mode)
{
    struct rig rig;
    const struct tn_source *source;
    const struct tn_batch *batch;
    open_drawn(&rig, "class_mode = categorical", "nearest");
    source = (const struct tn_source *)rig.source->type;
    ck_assert_int_eq(tn_dataset_target_count(rig.dataset), 3);
    batch = first_batch(&rig);
    for (int i = 0; i < batch->count; i++)
        for (int c = 0; c < 3; c++)
            ck_assert_float_eq(batch->targets[3 * i + c],
                               source->label(rig.source->self, batch->samples[i]) == c ? 1.0f : 0.0f);
    rig_close(&rig);
    open_drawn(&rig, "class_mode = sparse", "nearest");
    source = (const struct tn_source *)rig.source->type;
    ck_assert_int_eq(tn_dataset_target_count(rig.dataset), 1);
    batch = first_batch(&rig);
    for (int i = 0; i < batch->count; i++)
        ck_assert_float_eq(batch->targets[i], (float)source->label(rig.source->self, batch->samples[i]));
    rig_close(&rig);
    open_drawn(&rig, "class_mode = input", "nearest");
    ck_assert_int_eq(tn_dataset_target_count(rig.dataset), 24 * 20 * 3);
    batch = first_batch(&rig);
    ck_assert_mem_eq(batch->targets, batch->images, (size_t)batch->count * 24 * 20 * 3 * sizeof(float));
    rig_close(&rig);
    open_drawn(&rig, "class_mode = none", "nearest");
    ck_assert_int_eq(tn_dataset_target_count(rig.dataset), 0);
    ck_assert_ptr_null(first_batch(&rig)->targets);
    rig_close(&rig);
}
END_TEST

START_TEST(binary_needs_two_classes)
{
    struct rig rig;
    ck_assert_int_eq(rig_open(&rig, "[data]\nclass_mode = binary\n[source:s]\ntype = shapes\nclasses = 3\n"),
                     TN_INVALID);
    ck_assert_ptr_nonnull(strstr(rig.error.text, "exactly 2 classes"));
    ck_assert_ptr_null(rig.dataset);
    rig_close(&rig);
    ck_assert_int_eq(rig_open(&rig, "[data]\nclass_mode = binary\n[source:s]\ntype = shapes\nclasses = 2\n"), TN_OK);
    rig_close(&rig);
}
END_TEST

/* ---- pictures that cannot be read ---- */

struct broken {
    char folder[PATH_MAX];
    char ini[2 * PATH_MAX];
};

/* Two classes of four pictures; a/2.jpg is text and b/1.jpg is cut off. */
static void make_broken(struct broken *broken, const char *keys)
{
    struct tn_registry *registry = NULL;
    char path[PATH_MAX + 64];
    void *bytes = NULL;
    uint64_t count = 0;
    rig_folder(broken->folder);
    ck_assert_int_eq(tn_registry_open(NULL, &registry, NULL), TN_OK);
    for (int i = 0; i < 8; i++) {
        (void)snprintf(path, sizeof path, "%s/%s/%d.jpg", broken->folder, i < 4 ? "a" : "b", i % 4);
        rig_jpeg(registry, path, 40, 30, i);
    }
    (void)snprintf(path, sizeof path, "%s/b/1.jpg", broken->folder);
    ck_assert_int_eq(tn_file_read(path, 1u << 20, &bytes, &count, NULL), TN_OK);
    rig_write(path, bytes, (size_t)count / 2);
    free(bytes);
    (void)snprintf(path, sizeof path, "%s/a/2.jpg", broken->folder);
    rig_write(path, "not a picture\n", 14);
    (void)snprintf(broken->ini, sizeof broken->ini,
                   "[data]\ntarget_size = 16\nbatch_size = 4\nshuffle = no\nworkers = 2\n%s\n"
                   "[source:train]\ntype = directory\npath = %s\n",
                   keys, broken->folder);
    tn_registry_close(&registry);
}

START_TEST(a_bad_picture_ends_the_epoch_with_its_name)
{
    struct broken broken;
    struct rig rig;
    const struct tn_batch *batch;
    make_broken(&broken, "on_error = fail");
    ck_assert_msg(rig_open(&rig, broken.ini) == TN_OK, "%s", rig.error.text);
    for (int round = 0; round < 3; round++) {
        ck_assert_int_eq(tn_dataset_begin(rig.dataset, 0, 0, &rig.error), TN_OK);
        ck_assert_int_ne(tn_dataset_next(rig.dataset, &batch, &rig.error), TN_OK);
        ck_assert_ptr_null(batch);
        ck_assert_msg(strstr(rig.error.text, "a/2.jpg") && strstr(rig.error.text, "text"), "%s", rig.error.text);
        ck_assert_int_ne(tn_dataset_next(rig.dataset, &batch, &rig.error), TN_OK);
        ck_assert_int_eq(tn_dataset_begin(rig.dataset, 0, 1, &rig.error), TN_OK);
        ck_assert_int_ne(tn_dataset_next(rig.dataset, &batch, &rig.error), TN_OK);
        ck_assert_msg(strstr(rig.error.text, "b/1.jpg") && strstr(rig.error.text, "JPEG"), "%s", rig.error.text);
    }
    rig_close(&rig);
    rig_remove(broken.folder);
}
END_TEST

/* Several bad pictures in one batch: the first in order is named, whichever worker came to which first. */
START_TEST(the_first_bad_picture_is_the_one_that_is_named)
{
    struct broken broken;
    struct rig rig;
    const struct tn_batch *batch;
    make_broken(&broken, "on_error = fail");
    ck_assert_int_eq(rig_prepare(&rig, broken.ini), TN_OK);
    rig.spec.options.batch_size = 8;
    rig.spec.options.workers = 4;
    ck_assert_int_eq(tn_dataset_open(&rig.spec, &rig.dataset, &rig.error), TN_OK);
    for (int round = 0; round < 10; round++) {
        ck_assert_int_eq(tn_dataset_begin(rig.dataset, 0, 0, &rig.error), TN_OK);
        ck_assert_int_ne(tn_dataset_next(rig.dataset, &batch, &rig.error), TN_OK);
        ck_assert_msg(strstr(rig.error.text, "a/2.jpg"), "%s", rig.error.text);
    }
    rig_close(&rig);
    rig_remove(broken.folder);
}
END_TEST

struct log_count {
    int warnings;
    char last[512];
};

static void count_warning(void *context, int32_t level, const char *text)
{
    struct log_count *count = context;
    if (level != TN_LOG_WARNING || !strstr(text, "left out"))
        return;
    count->warnings++;
    (void)snprintf(count->last, sizeof count->last, "%s", text);
}

START_TEST(a_bad_picture_is_skipped_counted_and_logged_once)
{
    struct broken broken;
    struct rig rig;
    const struct tn_batch *batch;
    struct log_count log = {0};
    make_broken(&broken, "on_error = skip");
    ck_assert_msg(rig_open(&rig, broken.ini) == TN_OK, "%s", rig.error.text);
    tn_log_to(count_warning, &log);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        int missing = 0;
        ck_assert_int_eq(tn_dataset_begin(rig.dataset, epoch, 0, &rig.error), TN_OK);
        for (;;) {
            ck_assert_int_eq(tn_dataset_next(rig.dataset, &batch, &rig.error), TN_OK);
            if (!batch)
                break;
            ck_assert_ptr_nonnull(batch->weights);
            for (int i = 0; i < batch->count; i++) {
                bool bad = batch->samples[i] == 2 || batch->samples[i] == 5;
                ck_assert_float_eq(batch->weights[i], bad ? 0.0f : 1.0f);
                missing += bad;
                for (int k = 0; bad && k < 2; k++)
                    ck_assert_float_eq(batch->targets[2 * i + k], 0.0f);
            }
        }
        ck_assert_int_eq(missing, 2);
        ck_assert_uint_eq(tn_dataset_skipped(rig.dataset), 2);
    }
    rig_close(&rig);
    tn_log_to(NULL, NULL);
    ck_assert_int_eq(log.warnings, 2);
    rig_remove(broken.folder);
}
END_TEST

START_TEST(one_batch_holds_a_small_set)
{
    struct rig rig;
    ck_assert_msg(rig_open(&rig, "[data]\ntarget_size = 8\nbatch_size = 1000\nworkers = 9\n"
                                 "[source:s]\ntype = shapes\ncount = 3\nclasses = 2\n") == TN_OK,
                  "%s", rig.error.text);
    ck_assert_uint_eq(tn_dataset_batches(rig.dataset), 1);
    ck_assert_int_eq(first_batch(&rig)->count, 3);
    ck_assert_int_le(tn_dataset_workers(rig.dataset), 3);
    rig_close(&rig);
    ck_assert_int_eq(rig_open(&rig, "[data]\ntarget_size = 8\nbatch_size = 10\ndrop_remainder = yes\n"
                                    "[source:s]\ntype = shapes\ncount = 3\nclasses = 2\n"),
                     TN_INVALID);
    ck_assert_ptr_nonnull(strstr(rig.error.text, "drop_remainder"));
    rig_close(&rig);
}
END_TEST

START_TEST(the_split_parts_the_samples)
{
    struct rig rig;
    char name[64], names[2][60][16];
    uint64_t counts[2];
    for (int part = 0; part < 2; part++) {
        ck_assert_int_eq(rig_prepare(&rig, "[data]\ntarget_size = 8\nvalidation_split = 0.3\n"
                                           "[source:s]\ntype = shapes\ncount = 53\nclasses = 3\n"),
                         TN_OK);
        rig.spec.subset = part ? TN_SUBSET_VALIDATION : TN_SUBSET_TRAINING;
        ck_assert_int_eq(tn_dataset_open(&rig.spec, &rig.dataset, &rig.error), TN_OK);
        counts[part] = tn_dataset_info(rig.dataset)->count;
        for (uint64_t i = 0; i < counts[part]; i++) {
            tn_dataset_sample_name(rig.dataset, i, name, sizeof name);
            (void)snprintf(names[part][i], sizeof names[part][i], "%s", name);
        }
        rig_close(&rig);
    }
    ck_assert_uint_eq(counts[0] + counts[1], 53);
    ck_assert_uint_eq(counts[1], 15); /* int(0.3 * 18) + int(0.3 * 18) + int(0.3 * 17) */
    for (uint64_t i = 0; i < counts[0]; i++)
        for (uint64_t k = 0; k < counts[1]; k++)
            ck_assert_str_ne(names[0][i], names[1][k]);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("data");
    TCase *order = tcase_create("order"), *stream = tcase_create("stream"), *bad = tcase_create("bad pictures");
    tcase_set_timeout(bad, 60);
    tcase_add_loop_test(order, permutation_is_a_bijection, 0, 14);
    tcase_add_loop_test(order, permutation_reaches_every_order_evenly, 0, 3);
    tcase_add_test(order, permutation_scatters);
    tcase_set_timeout(stream, 60);
    tcase_add_loop_test(stream, every_sample_comes_once_and_alike_for_any_workers, 0, 4);
    tcase_add_test(stream, resume_continues_the_epoch);
    tcase_add_test(stream, last_batch_is_short_or_dropped);
    tcase_add_test(stream, order_is_kept_without_shuffle_and_for_validation);
    tcase_add_test(stream, each_sample_of_each_epoch_has_draws_of_its_own);
    tcase_add_test(stream, targets_follow_class_mode);
    tcase_add_test(stream, binary_needs_two_classes);
    tcase_add_test(stream, one_batch_holds_a_small_set);
    tcase_add_test(stream, the_split_parts_the_samples);
    tcase_add_test(bad, a_bad_picture_ends_the_epoch_with_its_name);
    tcase_add_test(bad, the_first_bad_picture_is_the_one_that_is_named);
    tcase_add_test(bad, a_bad_picture_is_skipped_counted_and_logged_once);
    suite_add_tcase(suite, order);
    suite_add_tcase(suite, stream);
    suite_add_tcase(suite, bad);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(make_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
