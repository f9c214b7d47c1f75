/* test_cache.c: a cache changes nothing but the time: the same batches, after a restart too, and with damaged, full and
 * outdated files. */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "data_rig.h"

enum { COUNT = 40, EPOCHS = 3 };

static char folder[PATH_MAX];

/* 40 JPEGs in two classes, from 20x30 to 137x147. */
static void plant(void)
{
    struct rig rig;
    char path[PATH_MAX + 32];
    rig_folder(folder);
    ck_assert_int_eq(rig_prepare(&rig, "[data]\n"), TN_OK);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(path, sizeof path, "%s/data/%c/p%02d.jpg", folder, 'a' + i % 2, i);
        rig_write(path, "", 0);
        rig_jpeg(rig.registry, path, 20 + 3 * i, 30 + 3 * i, i);
    }
    rig_close(&rig);
}

static tn_status look(struct rig *rig, const char *data_keys)
{
    char ini[2 * PATH_MAX];
    (void)snprintf(ini, sizeof ini,
                   "[data]\ntarget_size = 24x20\nbatch_size = 7\n%s\n"
                   "[source:s]\ntype = directory\npath = %s/data\n"
                   "[augment:a]\ntype = image_data_generator\nzoom_range = 0.6\nhorizontal_flip = yes\n"
                   "shear_range = 10\nrescale = 1/255\n",
                   data_keys, folder);
    return rig_open(rig, ini);
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ at[i]) * 0x100000001B3u;
    return hash;
}

static uint64_t run_epochs(struct rig *rig)
{
    const struct tn_batch *batch;
    uint64_t hash = 14695981039346656037u;
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        uint64_t samples = 0;
        ck_assert_int_eq(tn_dataset_begin(rig->dataset, epoch, 0, &rig->error), TN_OK);
        for (;;) {
            ck_assert_msg(tn_dataset_next(rig->dataset, &batch, &rig->error) == TN_OK, "%s", rig->error.text);
            if (!batch)
                break;
            size_t pixel = batch->pixel_type == TN_PIXEL_U8 ? 1 : sizeof(float);
            hash = mix(hash, batch->images,
                       (size_t)batch->count * 24 * 20 * (size_t)tn_dataset_channels(rig->dataset) * pixel);
            hash = mix(hash, batch->targets,
                       (size_t)batch->count * (size_t)tn_dataset_target_count(rig->dataset) * sizeof(float));
            hash = mix(hash, batch->samples, (size_t)batch->count * sizeof *batch->samples);
            samples += (uint64_t)batch->count;
        }
        ck_assert_uint_eq(samples, tn_dataset_info(rig->dataset)->count);
    }
    return hash;
}

static uint64_t run(const char *keys, const char *more)
{
    struct rig rig;
    char both[2 * PATH_MAX];
    (void)snprintf(both, sizeof both, "%s\n%s", keys, more);
    ck_assert_msg(look(&rig, both) == TN_OK, "%s", rig.error.text);
    uint64_t hash = run_epochs(&rig);
    rig_close(&rig);
    return hash;
}

static const char *in_file(const char *more)
{
    static char keys[2 * PATH_MAX];
    (void)snprintf(keys, sizeof keys, "cache = %s/cache\n%s", folder, more);
    return keys;
}

/* ---- the same batches ---- */

static const char *const modes[] = {
    "workers = 1",
    "fast_decode = no\nworkers = 2",
    "interpolation = nearest",
    "color_mode = grayscale",
    "color_mode = rgba\nworkers = 3\noverlap = yes",
    "validation_split = 0.3",
    "class_mode = input",
    "io_threads = 6\nworkers = 2\noverlap = yes",
};

START_TEST(batches_are_the_same)
{
    plant();
    uint64_t without = run(modes[_i], "");
    ck_assert_uint_eq(run(modes[_i], "cache = none"), without);
    ck_assert_uint_eq(run(modes[_i], "cache = memory"), without);
    ck_assert_uint_eq(run(modes[_i], "cache = memory\ncache_stage = encoded"), without);
    ck_assert_uint_eq(run(modes[_i], "cache = memory\ncache_limit = 60KiB"), without);
    for (int round = 0; round < 2; round++)
        ck_assert_uint_eq(run(modes[_i], in_file("")), without);
    for (int round = 0; round < 2; round++) /* other options: made anew, then used */
        ck_assert_uint_eq(run(modes[_i], in_file("cache_stage = encoded")), without);
    ck_assert_uint_eq(run(modes[_i], in_file("cache_limit = 60KiB")), without);
    rig_remove(folder);
}
END_TEST

/* What is in the cache is not read again. */
START_TEST(what_is_kept_is_not_read)
{
    struct rig rig;
    char command[2 * PATH_MAX];
    plant();
    ck_assert_int_eq(look(&rig, _i ? "cache = memory\ncache_stage = encoded" : "cache = memory\nfast_decode = no"),
                     TN_OK);
    uint64_t hash = run_epochs(&rig);
    (void)snprintf(command, sizeof command, "rm -r '%s/data/a' '%s/data/b'", folder, folder);
    ck_assert_int_eq(system(command), 0);
    ck_assert_uint_eq(run_epochs(&rig), hash);
    ck_assert_uint_gt(tn_dataset_cache_bytes(rig.dataset), 40 * 500);
    ck_assert_uint_le(tn_dataset_cache_bytes(rig.dataset), tn_dataset_cache_limit(rig.dataset));
    rig_close(&rig);
    rig_remove(folder);
}
END_TEST

/* ---- files ---- */

static size_t file_size(const char *path)
{
    struct stat state;
    ck_assert_int_eq(stat(path, &state), 0);
    return (size_t)state.st_size;
}

static const char *cache_path(void)
{
    static char path[PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/cache.s", folder);
    return path;
}

static time_t made_at(void)
{
    struct stat state;
    ck_assert_int_eq(stat(cache_path(), &state), 0);
    return state.st_mtim.tv_sec;
}

static void age(const char *path)
{
    struct timeval times[2] = {{1000000000, 0}, {1000000000, 0}};
    ck_assert_int_eq(utimes(path, times), 0);
}

START_TEST(a_file_is_used_until_something_changes)
{
    char picture[PATH_MAX + 32];
    struct rig rig;
    plant();
    uint64_t hash = run("fast_decode = no", in_file(""));
    age(cache_path());
    ck_assert_uint_eq(run("fast_decode = no", in_file("")), hash);
    ck_assert_int_eq(made_at(), 1000000000); /* nothing was written */
    (void)snprintf(picture, sizeof picture, "%s/data/a/p04.jpg", folder);
    ck_assert_int_eq(rig_prepare(&rig, "[data]\n"), TN_OK);
    rig_jpeg(rig.registry, picture, 50, 50, 77);
    rig_close(&rig);
    uint64_t changed = run("fast_decode = no", "");
    ck_assert_uint_ne(changed, hash);
    ck_assert_uint_eq(run("fast_decode = no", in_file("")), changed);
    ck_assert_int_ne(made_at(), 1000000000);
    /* another option that changes what is kept */
    uint64_t fast = run("", "");
    ck_assert_uint_eq(run("", in_file("")), fast);
    ck_assert_uint_eq(run("fast_decode = no", in_file("")), changed);
    rig_remove(folder);
}
END_TEST

START_TEST(a_damaged_file_does_no_harm)
{
    struct tn_random random = tn_random_stream(4, (uint64_t)_i);
    void *kept = NULL;
    uint64_t size = 0;
    plant();
    uint64_t hash = run(_i ? "cache_stage = encoded" : "", in_file(""));
    ck_assert_uint_eq(run(_i ? "cache_stage = encoded" : "", ""), hash);
    ck_assert_int_eq(tn_file_read(cache_path(), 1 << 24, &kept, &size, NULL), TN_OK);
    unsigned char *changed = malloc(size);
    for (int round = 0; round < 60; round++) {
        size_t length = size;
        memcpy(changed, kept, size);
        if (round % 3 == 0)
            length = (size_t)tn_random_below(&random, size);
        for (int k = 0; k < 1 + round % 4 && round % 3; k++) {
            /* in the front page, in the first entry's head, anywhere */
            uint64_t at = round % 5 == 0   ? tn_random_below(&random, 4096)
                          : round % 5 == 1 ? 4096 + tn_random_below(&random, 100)
                                           : tn_random_below(&random, size);
            changed[at < 7 ? 7 : at] ^= (unsigned char)(1 + tn_random_below(&random, 255));
        }
        rig_write(cache_path(), changed, length < 7 ? 7 : length);
        ck_assert_uint_eq(run(_i ? "cache_stage = encoded" : "", in_file("")), hash);
    }
    free(changed);
    free(kept);
    rig_remove(folder);
}
END_TEST

START_TEST(a_file_that_is_something_else_is_left_alone)
{
    struct rig rig;
    char text[32] = {0};
    plant();
    rig_write(cache_path(), "my only photograph", 18);
    ck_assert_int_eq(look(&rig, in_file("")), TN_INVALID);
    ck_assert_ptr_nonnull(strstr(rig.error.text, "is no cache"));
    rig_close(&rig);
    FILE *file = fopen(cache_path(), "rb");
    ck_assert_uint_eq(fread(text, 1, sizeof text, file), 18);
    (void)fclose(file);
    ck_assert_str_eq(text, "my only photograph");
    rig_remove(folder);
}
END_TEST

START_TEST(a_full_disk_ends_the_keeping_and_nothing_else)
{
    struct rlimit limit = {30000, 30000};
    plant();
    uint64_t hash = run("", "");
    (void)signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_uint_eq(run("", in_file("")), hash);
    ck_assert_uint_eq(run("", in_file("")), hash);
    ck_assert_uint_le(file_size(cache_path()), 30000);
    rig_remove(folder);
}
END_TEST

START_TEST(two_at_a_time_do_not_mix)
{
    struct rig first;
    plant();
    uint64_t hash = run("", "");
    ck_assert_int_eq(look(&first, in_file("")), TN_OK);
    ck_assert_uint_eq(run("", in_file("")), hash); /* goes on without */
    ck_assert_uint_eq(run_epochs(&first), hash);
    rig_close(&first);
    rig_remove(folder);
}
END_TEST

START_TEST(a_source_that_cannot_tell_has_no_file)
{
    struct rig rig;
    char ini[PATH_MAX + 128];
    rig_folder(folder);
    (void)snprintf(ini, sizeof ini,
                   "[data]\ntarget_size = 16x16\ncache = %s/c\n[source:s]\ntype = shapes\ncount = 20\n", folder);
    ck_assert_int_eq(rig_open(&rig, ini), TN_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(rig.error.text, "cache = memory"));
    rig_close(&rig);
    ck_assert_int_eq(
        rig_open(&rig, "[data]\ntarget_size = 16x16\ncache = memory\n[source:s]\ntype = shapes\ncount = 20\n"), TN_OK);
    rig_close(&rig);
    rig_remove(folder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache");
    TCase *same = tcase_create("same"), *files = tcase_create("files");
    tcase_set_timeout(same, 120);
    tcase_set_timeout(files, 240);
    tcase_add_loop_test(same, batches_are_the_same, 0, TN_COUNT_OF(modes));
    tcase_add_loop_test(same, what_is_kept_is_not_read, 0, 2);
    tcase_add_test(files, a_file_is_used_until_something_changes);
    tcase_add_loop_test(files, a_damaged_file_does_no_harm, 0, 2);
    tcase_add_test(files, a_file_that_is_something_else_is_left_alone);
    tcase_add_test(files, a_full_disk_ends_the_keeping_and_nothing_else);
    tcase_add_test(files, two_at_a_time_do_not_mix);
    tcase_add_test(files, a_source_that_cannot_tell_has_no_file);
    suite_add_tcase(suite, same);
    suite_add_tcase(suite, files);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
