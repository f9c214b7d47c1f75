/* test_tfrecord_staged.c: the source `tfrecord` with `stage = DIR`: the same samples, from copies when they are there,
 * from the originals when these are damaged. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>

#include "tfrecord_rig.h"

enum { SHARDS = 24, RECORDS = 30, BYTES = 20000 };

static char stage[PATH_MAX];

static void plant(int32_t compression)
{
    rig_folder(folder);
    rig_folder(stage);
    for (int s = 0; s < SHARDS; s++) {
        char name[64];
        (void)snprintf(name, sizeof name, "t-%03d", s);
        struct tn_record_writer *writer = begin(name, compression);
        for (int i = 0; i < RECORDS; i++)
            add_long(writer, s * RECORDS + i, (s * RECORDS + i) % 10, NULL, BYTES);
        end(writer);
    }
}

static void end_test(void)
{
    rig_remove(folder);
    rig_remove(stage);
}

static void open_with(struct rig *rig, const char *keys, int workers, const char *stage_keys)
{
    char source[PATH_MAX + 512], data[64];
    (void)snprintf(source, sizeof source, "index = no\n%s\n%s", keys, stage_keys);
    (void)snprintf(data, sizeof data, "workers = %d\nio_threads = 2", workers);
    ck_assert_msg(look(rig, data, source) == TN_OK, "%s", rig->error.text);
}

static const char *staged(const char *limit)
{
    static char keys[PATH_MAX + 64];
    (void)snprintf(keys, sizeof keys, "stage = %s\nstage_limit = %s", stage, limit);
    return keys;
}

/* Every record once; returns a hash of the order. */
static uint64_t run_epoch(struct rig *rig, uint64_t epoch)
{
    unsigned char seen[SHARDS * RECORDS] = {0};
    const struct tn_batch *batch;
    uint64_t hash = 1;
    int count = 0;
    ck_assert_int_eq(tn_dataset_begin(rig->dataset, epoch, 0, &rig->error), TN_OK);
    for (;;) {
        ck_assert_msg(tn_dataset_next(rig->dataset, &batch, &rig->error) == TN_OK, "%s", rig->error.text);
        if (!batch)
            break;
        for (int32_t i = 0; i < batch->count; i++, count++) {
            int number = number_of(batch->images, (size_t)i);
            ck_assert_int_lt(number, SHARDS * RECORDS);
            ck_assert_msg(!seen[number]++, "record %d came twice", number);
            ck_assert_int_eq((int)batch->targets[i], number % 10);
            hash = hash * 6364136223846793005u + (uint64_t)number;
        }
    }
    ck_assert_int_eq(count, SHARDS * RECORDS);
    return hash;
}

/* Calls `each` for every copy; returns how many there are. */
static int for_copies(void (*each)(const char *path))
{
    int count = 0;
    struct dirent *outer, *inner;
    DIR *list = opendir(stage);
    while (list && (outer = readdir(list))) {
        char path[2 * PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s", stage, outer->d_name);
        DIR *below = strncmp(outer->d_name, "tenon-", 6) == 0 ? opendir(path) : NULL;
        while (below && (inner = readdir(below))) {
            if (!strchr(inner->d_name, '-') || strncmp(inner->d_name, "copying", 7) == 0)
                continue;
            count++;
            (void)snprintf(path, sizeof path, "%s/%s/%s", stage, outer->d_name, inner->d_name);
            if (each)
                each(path);
        }
        if (below)
            (void)closedir(below);
    }
    if (list)
        (void)closedir(list);
    return count;
}

static void wait_for_copies(int count)
{
    struct timespec pause = {0, 5000000};
    for (int i = 0; i < 4000 && for_copies(NULL) < count; i++)
        (void)nanosleep(&pause, NULL);
    ck_assert_int_eq(for_copies(NULL), count);
    (void)nanosleep(&pause, NULL); /* until its thread has taken note of the last one */
}

/* Changes bytes in place; size and time stay. */
static void damage(const char *path)
{
    struct stat state;
    static const char zeros[64];
    int file = open(path, O_WRONLY);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(fstat(file, &state), 0);
    for (off_t at = state.st_size / 4; at + 64 < state.st_size; at += 5000)
        ck_assert_int_eq(pwrite(file, zeros, sizeof zeros, at), sizeof zeros);
    struct timespec times[2] = {state.st_atim, state.st_mtim};
    ck_assert_int_eq(futimens(file, times), 0);
    ck_assert_int_eq(close(file), 0);
}

static const struct mode {
    const char *keys;
    int32_t compression;
    int files; /* descriptors that the process may have, 0 = as many as it has */
} modes[] = {
    {"io = random", TN_RECORD_PLAIN, 0},
    {"io = random", TN_RECORD_PLAIN, 92}, /* shards are opened when they are read */
    {"io = sequential\nshuffle_window = 16\ninterleave = 1", TN_RECORD_PLAIN, 0},
    {"io = sequential\nshuffle_window = 16\ninterleave = 2", TN_RECORD_PLAIN, 92},
    {"io = sequential\nshuffle_window = 16\ninterleave = 1", TN_RECORD_GZIP, 0},
};

static void limit_descriptors(int files)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (files)
        limit.rlim_cur = (rlim_t)files;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

START_TEST(samples_are_the_same)
{
    static const int workers[] = {1, 2, 8};
    static const char *const limits[] = {"1GiB", "5MiB"};
    const struct mode *mode = &modes[_i];
    uint64_t plain[3];
    struct rig rig;
    plant(mode->compression);
    limit_descriptors(mode->files);
    open_with(&rig, mode->keys, 1, "");
    for (uint64_t epoch = 0; epoch < 3; epoch++)
        plain[epoch] = run_epoch(&rig, epoch);
    rig_close(&rig);
    for (int l = 0; l < 2; l++)
        for (int w = 0; w < 3; w++) {
            open_with(&rig, mode->keys, workers[w], staged(limits[l]));
            for (uint64_t epoch = 0; epoch < 3; epoch++)
                ck_assert_uint_eq(run_epoch(&rig, epoch), plain[epoch]);
            rig_close(&rig);
            ck_assert_int_le(for_copies(NULL), l == 0 ? SHARDS : 8);
        }
    end_test();
}
END_TEST

START_TEST(whole_copies_are_read)
{
    const struct mode *mode = &modes[_i];
    struct rig rig;
    plant(mode->compression);
    limit_descriptors(mode->files);
    open_with(&rig, mode->keys, 2, staged("1GiB"));
    (void)run_epoch(&rig, 0);
    wait_for_copies(SHARDS);
    if (strstr(mode->keys, "sequential")) /* no block of an original is held after this */
        (void)run_epoch(&rig, 1);
    for (int s = 0; s < SHARDS; s++) {
        char name[64];
        (void)snprintf(name, sizeof name, "t-%03d", s);
        damage(in_folder(name));
    }
    (void)run_epoch(&rig, 2);
    rig_close(&rig);
    end_test();
}
END_TEST

START_TEST(damaged_copies_are_given_up)
{
    const struct mode *mode = &modes[_i];
    struct rig rig;
    plant(mode->compression);
    limit_descriptors(mode->files);
    open_with(&rig, mode->keys, 4, staged("1GiB"));
    uint64_t first = run_epoch(&rig, 0);
    wait_for_copies(SHARDS);
    rig_close(&rig);
    (void)for_copies(damage);
    open_with(&rig, mode->keys, 4, staged("1GiB"));
    ck_assert_uint_eq(run_epoch(&rig, 0), first);
    (void)run_epoch(&rig, 1);
    ck_assert_int_eq(for_copies(NULL), 0);
    rig_close(&rig);
    end_test();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tfrecord_staged");
    TCase *tests = tcase_create("staged");
    int count = (int)(sizeof modes / sizeof modes[0]);
    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, samples_are_the_same, 0, count);
    tcase_add_loop_test(tests, whole_copies_are_read, 0, count);
    tcase_add_loop_test(tests, damaged_copies_are_given_up, 0, count);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
