/* test_tfrecord_index.c: what the source `tfrecord` keeps of shards that it has looked through, and how it reads shards
 * from front to back. */
#include <dirent.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "tfrecord_rig.h"

/* `shards` files of so many records of about so many bytes; labels count from 0 to 9, or are texts. */
static void plant(int shards, int records, size_t bytes, int32_t compression, bool texts)
{
    for (int s = 0; s < shards; s++) {
        char name[64];
        (void)snprintf(name, sizeof name, "t-%03d", s);
        struct tn_record_writer *writer = begin(name, compression);
        for (int i = 0; i < records; i++) {
            int number = s * records + i;
            static const char *const words[] = {"ant", "bee", "cat"};
            add_long(writer, number, number % 10, texts ? words[number % 3] : NULL,
                     bytes + (size_t)(number % 7) * bytes / 8);
        }
        end(writer);
    }
}

/* Runs an epoch; every record once, with its label. Returns a hash of the order. */
static uint64_t run_epoch(struct rig *rig, uint64_t epoch, int count, int classes)
{
    const struct tn_batch *batch;
    int *seen = calloc((size_t)count, sizeof *seen);
    uint64_t hash = 1;
    ck_assert_int_eq(tn_dataset_begin(rig->dataset, epoch, 0, &rig->error), TN_OK);
    for (;;) {
        ck_assert_msg(tn_dataset_next(rig->dataset, &batch, &rig->error) == TN_OK, "%s", rig->error.text);
        if (!batch)
            break;
        for (int32_t i = 0; i < batch->count; i++) {
            int number = number_of(batch->images, (size_t)i);
            ck_assert_int_lt(number, count);
            seen[number]++;
            ck_assert_int_eq((int)batch->targets[i], number % classes);
            hash = hash * 6364136223846793005u + (uint64_t)number;
        }
    }
    for (int i = 0; i < count; i++)
        ck_assert_msg(seen[i] == 1, "record %d came %d times", i, seen[i]);
    free(seen);
    return hash;
}

/* ---- from front to back ---- */

/* 6 shards of 150 records of 10 to 18 KB: blocks of 1 MiB, records that cross them, the end of a shard in a block. */
static const struct {
    const char *data, *source;
    int32_t compression;
} ways[] = {
    {"workers = 1", "io = sequential\nshuffle_window = 64\ninterleave = 2", TN_RECORD_PLAIN},
    {"workers = 2\noverlap = yes", "io = sequential\nshuffle_window = 64\ninterleave = 2", TN_RECORD_GZIP},
    {"workers = 8\noverlap = yes", "io = sequential\nshuffle_window = 64\ninterleave = 2", TN_RECORD_PLAIN},
    {"workers = 3\nio_threads = 8\noverlap = yes", "shuffle_window = 64\ninterleave = 2", TN_RECORD_GZIP},
    {"workers = 2\nio_threads = 3\noverlap = yes", "io = sequential\nshuffle_window = 0\ninterleave = 1",
     TN_RECORD_GZIP},
    {"workers = 2\nshuffle = no", "io = sequential\nshuffle_window = 0", TN_RECORD_GZIP},
    {"workers = 2", "io = sequential\nshuffle_window = 100000\ninterleave = 5", TN_RECORD_PLAIN},
    {"workers = 2", "io = random", TN_RECORD_GZIP},
    {"workers = 2", "io = random", TN_RECORD_PLAIN},
};

START_TEST(every_record_comes_once_whichever_way)
{
    struct rig rig;
    uint64_t first;
    begin_with_cache();
    plant(6, 150, 10000, ways[_i].compression, false);
    ck_assert_msg(look(&rig, ways[_i].data, ways[_i].source) == TN_OK, "%s", rig.error.text);
    first = run_epoch(&rig, 0, 900, 10);
    uint64_t second = run_epoch(&rig, 1, 900, 10);
    if (strstr(ways[_i].data, "shuffle = no"))
        ck_assert_uint_eq(first, second);
    else
        ck_assert_uint_ne(first, second);
    ck_assert_uint_eq(run_epoch(&rig, 0, 900, 10), first);
    rig_close(&rig);
    end_with_cache();
}
END_TEST

START_TEST(the_order_does_not_hang_on_threads_or_compression)
{
    uint64_t first = 0;
    for (int k = 0; k < 4; k++) {
        struct rig rig;
        begin_with_cache();
        plant(6, 150, 10000, ways[k].compression, false);
        ck_assert_msg(look(&rig, ways[k].data, ways[k].source) == TN_OK, "%s", rig.error.text);
        uint64_t hash = run_epoch(&rig, 3, 900, 10);
        if (k == 0)
            first = hash;
        ck_assert_uint_eq(hash, first);
        rig_close(&rig);
        end_with_cache();
    }
}
END_TEST

/* Each byte once an epoch, but for the shards that two strands share. */
START_TEST(shards_are_read_once_an_epoch)
{
    struct rig rig;
    begin_with_cache();
    plant(8, 400, 10000, _i ? TN_RECORD_GZIP : TN_RECORD_PLAIN, false);
    ck_assert_msg(look(&rig, "workers = 2\noverlap = yes", "io = sequential\nshuffle_window = 256\ninterleave = 4") ==
                      TN_OK,
                  "%s", rig.error.text);
    double bytes = 3200 * 10000 * 11 / 8.0;
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        uint64_t before = bytes_read();
        (void)run_epoch(&rig, epoch, 3200, 10);
        double share = (double)(bytes_read() - before) / bytes;
        ck_assert_msg(share < 1.3, "epoch %d read %.2f times what there is", (int)epoch, share);
    }
    /* what is held is a window and no more */
    ck_assert_uint_lt(tn_dataset_info(rig.dataset)->index_bytes, 24u << 20);
    rig_close(&rig);
    end_with_cache();
}
END_TEST

START_TEST(an_epoch_begins_anywhere)
{
    struct rig rig, again;
    const struct tn_batch *batch, *other;
    begin_with_cache();
    plant(4, 100, 20000, TN_RECORD_GZIP, false);
    ck_assert_int_eq(look(&rig, "workers = 2", "shuffle_window = 50"), TN_OK);
    ck_assert_int_eq(look(&again, "workers = 1", "shuffle_window = 50"), TN_OK);
    ck_assert_int_eq(tn_dataset_begin(rig.dataset, 2, 0, &rig.error), TN_OK);
    for (uint64_t n = 0; n < 80; n++) {
        ck_assert_int_eq(tn_dataset_next(rig.dataset, &batch, &rig.error), TN_OK);
        if (n % 9)
            continue;
        ck_assert_int_eq(tn_dataset_begin(again.dataset, 2, n, &again.error), TN_OK);
        ck_assert_int_eq(tn_dataset_next(again.dataset, &other, &again.error), TN_OK);
        ck_assert_mem_eq(batch->images, other->images, 5 * 12);
    }
    rig_close(&again);
    rig_close(&rig);
    end_with_cache();
}
END_TEST

/* ---- sidecars ---- */

/* Path of the only sidecar. */
static void find_sidecar(char path[PATH_MAX])
{
    char index[PATH_MAX + 16];
    struct dirent *entry;
    int found = 0;
    (void)snprintf(index, sizeof index, "%s/tenon/index", cache);
    DIR *dir = opendir(index);
    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.') {
            (void)snprintf(path, PATH_MAX, "%.2000s/%.200s", index, entry->d_name);
            found++;
        }
    (void)closedir(dir);
    ck_assert_int_eq(found, 1);
}

static void check_content(int count, bool texts)
{
    struct rig rig;
    ck_assert_msg(look(&rig, "workers = 1", "") == TN_OK, "%s", rig.error.text);
    ck_assert_uint_eq(tn_dataset_info(rig.dataset)->count, (uint64_t)count);
    (void)run_epoch(&rig, 0, count, texts ? 3 : 10);
    rig_close(&rig);
}

START_TEST(a_second_look_is_short)
{
    struct rig rig;
    begin_with_cache();
    plant(3, 200, 10000, _i == 1 ? TN_RECORD_GZIP : TN_RECORD_PLAIN, _i == 2);
    for (int round = 0; round < 2; round++) {
        uint64_t before = bytes_read();
        ck_assert_msg(look(&rig, "workers = 1", "") == TN_OK, "%s", rig.error.text);
        uint64_t bytes = bytes_read() - before;
        if (round == 0)
            ck_assert_uint_gt(bytes, 3 * 200 * 10000);
        else /* the ends of each shard, its first record (a megabyte is read at once), plugins */
            ck_assert_uint_lt(bytes, 3500000);
        (void)run_epoch(&rig, 0, 600, _i == 2 ? 3 : 10);
        rig_close(&rig);
    }
    end_with_cache();
}
END_TEST

START_TEST(a_damaged_sidecar_is_made_anew)
{
    char path[PATH_MAX];
    unsigned char kept[8192], changed[8192];
    begin_with_cache();
    plant(1, 12, 0, TN_RECORD_PLAIN, _i);
    check_content(12, _i);
    find_sidecar(path);
    FILE *file = fopen(path, "rb");
    size_t size = fread(kept, 1, sizeof kept, file);
    (void)fclose(file);
    ck_assert_uint_gt(size, 12 * 24);
    ck_assert_uint_lt(size, sizeof kept);
    for (size_t at = 0; at < size; at += at % 5 ? 1 : 3) {
        memcpy(changed, kept, size);
        changed[at] ^= (unsigned char)(1 + at % 255);
        rig_write(path, changed, size);
        check_content(12, _i);
        rig_write(path, kept, at);
        check_content(12, _i);
    }
    end_with_cache();
}
END_TEST

START_TEST(a_changed_shard_is_looked_through_again)
{
    struct timeval times[2];
    struct stat state;
    begin_with_cache();
    plant(1, 20, 100, TN_RECORD_PLAIN, false);
    check_content(20, false);
    ck_assert_int_eq(stat(in_folder("t-000"), &state), 0);
    plant(1, 30, 100, TN_RECORD_PLAIN, false);
    check_content(30, false);
    /* other content of the same size and time: the ends tell */
    struct tn_record_writer *writer = begin("t-000", TN_RECORD_PLAIN);
    for (int i = 0; i < 30; i++)
        add_long(writer, 29 - i, (29 - i) % 10, NULL, 100 + (size_t)(i % 7) * 100 / 8);
    end(writer);
    times[0].tv_sec = times[1].tv_sec = state.st_mtim.tv_sec, times[0].tv_usec = times[1].tv_usec = 0;
    ck_assert_int_eq(utimes(in_folder("t-000"), times), 0);
    check_content(30, false);
    end_with_cache();
}
END_TEST

START_TEST(without_a_folder_for_it_all_goes_on)
{
    struct rig rig;
    char path[PATH_MAX + 16];
    begin_with_cache();
    plant(2, 10, 100, TN_RECORD_PLAIN, false);
    (void)snprintf(path, sizeof path, "%s/tenon", cache);
    rig_write(path, "a file stands in the way", 24);
    check_content(20, false);
    ck_assert_int_eq(look(&rig, "workers = 1", "index = no"), TN_OK);
    rig_close(&rig);
    ck_assert_int_eq(unlink(path), 0);
    (void)snprintf(path, sizeof path, "index = %s/elsewhere/deep", cache);
    ck_assert_int_eq(look(&rig, "workers = 1", path), TN_OK);
    rig_close(&rig);
    (void)snprintf(path, sizeof path, "%s/elsewhere/deep", cache);
    ck_assert(tn_path_is_folder(path));
    end_with_cache();
}
END_TEST

/* ---- many records ---- */

START_TEST(epochs_take_no_more_memory)
{
    static const char *const sources[] = {"io = random", "io = sequential"};
    struct rig rig;
    uint64_t after = 0;
    begin_with_cache();
    plant(3, 1000, 500, TN_RECORD_PLAIN, false);
    ck_assert_int_eq(look(&rig, "workers = 2\nio_threads = 4\noverlap = yes", sources[_i]), TN_OK);
    for (uint64_t epoch = 0; epoch < 12; epoch++) {
        (void)run_epoch(&rig, epoch, 3000, 10);
        if (epoch == 1)
            after = tn_memory_resident();
    }
    ck_assert_uint_gt(after, 0);
    if (!getenv("TENON_SANITIZED")) /* those keep what was freed */
        ck_assert_uint_lt(tn_memory_resident(), after + (1 << 20));
    rig_close(&rig);
    end_with_cache();
}
END_TEST

/* ---- shards that are many, or change ---- */

START_TEST(many_shards_need_few_descriptors)
{
    struct rlimit limit, low;
    struct rig rig;
    begin_with_cache();
    plant(90, 5, 100, _i ? TN_RECORD_GZIP : TN_RECORD_PLAIN, false);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = 48;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    ck_assert_msg(look(&rig, "workers = 3", "") == TN_OK, "%s", rig.error.text);
    (void)run_epoch(&rig, 0, 450, 10);
    (void)run_epoch(&rig, 1, 450, 10);
    rig_close(&rig);
    if (_i) {
        ck_assert_int_eq(look(&rig, "workers = 3", "io = random"), TN_UNSUPPORTED);
        check_says(&rig, "io = sequential");
        rig_close(&rig);
    }
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    end_with_cache();
}
END_TEST

START_TEST(a_shard_that_is_written_meanwhile_is_an_error)
{
    struct rig rig;
    const struct tn_batch *batch = NULL;
    tn_status status = TN_OK;
    begin_with_cache();
    plant(2, 50, 100, TN_RECORD_GZIP, false);
    ck_assert_int_eq(look(&rig, "workers = 1", ""), TN_OK);
    plant(2, 60, 100, TN_RECORD_GZIP, false);
    ck_assert_int_eq(tn_dataset_begin(rig.dataset, 0, 0, &rig.error), TN_OK);
    do
        status = tn_dataset_next(rig.dataset, &batch, &rig.error);
    while (status == TN_OK && batch);
    ck_assert_int_eq(status, TN_CORRUPT);
    check_says(&rig, "has been written since");
    rig_close(&rig);
    end_with_cache();
}
END_TEST

START_TEST(labels_are_of_one_kind)
{
    struct rig rig;
    begin_with_cache();
    struct tn_record_writer *writer = begin("t-0", TN_RECORD_PLAIN);
    add(writer, 0, 0, "cat");
    add(writer, 1, 999, NULL);
    end(writer);
    ck_assert_int_eq(look(&rig, "workers = 1", ""), TN_CORRUPT);
    check_says(&rig, "record 1 at byte");
    check_says(&rig, "its label is a number");
    rig_close(&rig);
    ck_assert_int_eq(look(&rig, "workers = 1", "on_damage = skip"), TN_OK);
    ck_assert_uint_eq(tn_dataset_info(rig.dataset)->count, 1);
    rig_close(&rig);
    end_with_cache();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tfrecord index");
    TCase *sequence = tcase_create("sequence"), *sidecars = tcase_create("sidecars"), *files = tcase_create("files");
    tcase_set_timeout(sequence, 120);
    tcase_set_timeout(sidecars, 120);
    tcase_set_timeout(files, 120);
    tcase_add_loop_test(sequence, every_record_comes_once_whichever_way, 0, TN_COUNT_OF(ways));
    tcase_add_test(sequence, the_order_does_not_hang_on_threads_or_compression);
    tcase_add_loop_test(sequence, shards_are_read_once_an_epoch, 0, 2);
    tcase_add_test(sequence, an_epoch_begins_anywhere);
    tcase_add_loop_test(sidecars, a_second_look_is_short, 0, 3);
    tcase_add_loop_test(sidecars, a_damaged_sidecar_is_made_anew, 0, 2);
    tcase_add_test(sidecars, a_changed_shard_is_looked_through_again);
    tcase_add_test(sidecars, without_a_folder_for_it_all_goes_on);
    tcase_add_loop_test(files, epochs_take_no_more_memory, 0, 2);
    tcase_add_loop_test(files, many_shards_need_few_descriptors, 0, 2);
    tcase_add_test(files, a_shard_that_is_written_meanwhile_is_an_error);
    tcase_add_test(files, labels_are_of_one_kind);
    suite_add_tcase(suite, sequence);
    suite_add_tcase(suite, sidecars);
    suite_add_tcase(suite, files);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
