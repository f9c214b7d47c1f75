/* test_tfrecord.c: the source `tfrecord` on shards made here: every record once, labels and classes, damage told with
 * its place, and broken bytes of all kinds without harm. (What TensorFlow wrote: test_golden_tfrecord.c.) */
#include <fcntl.h>

#include "../loaders/tfrecord/tfrecord.h"
#include "tfrecord_rig.h"

/* 3 shards of 7 records, one of them compressed; labels 0 to 3. */
static void plant(void)
{
    rig_folder(folder);
    for (int shard = 0; shard < 3; shard++) {
        char name[32];
        (void)snprintf(name, sizeof name, "t-%d.tfrecord", shard);
        struct tn_record_writer *writer = begin(name, shard == 1 ? TN_RECORD_GZIP : TN_RECORD_PLAIN);
        for (int i = 0; i < 7; i++)
            add(writer, shard * 7 + i, (shard * 7 + i) % 4, NULL);
        end(writer);
    }
}

START_TEST(every_record_comes_once_with_its_label)
{
    static const char *const keys[] = {"workers = 1", "workers = 2", "workers = 4", "workers = 3\nshuffle = no"};
    struct rig rig;
    plant();
    ck_assert_msg(look(&rig, keys[_i], "") == TN_OK, "%s", rig.error.text);
    ck_assert_uint_eq(tn_dataset_info(rig.dataset)->count, 21);
    ck_assert_uint_eq(tn_dataset_info(rig.dataset)->class_count, 4);
    ck_assert_str_eq(tn_dataset_info(rig.dataset)->classes[3], "3");
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        const struct tn_batch *batch;
        int seen[21] = {0};
        ck_assert_int_eq(tn_dataset_begin(rig.dataset, epoch, 0, &rig.error), TN_OK);
        while (tn_dataset_next(rig.dataset, &batch, &rig.error) == TN_OK && batch)
            for (int32_t i = 0; i < batch->count; i++) {
                int number = ((const unsigned char *)batch->images)[(size_t)i * 12];
                seen[number]++;
                ck_assert_int_eq((int)batch->targets[i], number % 4);
            }
        for (int i = 0; i < 21; i++)
            ck_assert_int_eq(seen[i], 1);
        tn_dataset_end(rig.dataset);
    }
    rig_close(&rig);
    rig_remove(folder);
}
END_TEST

START_TEST(classes_have_names)
{
    static const char *const words[] = {"dog", "cat", "cat", "ant"};
    struct rig rig;
    plant();
    rig_write(in_folder("classes.txt"), "red\ngreen\nblue\nblack\n", 21);
    ck_assert_int_eq(look(&rig, "", ""), TN_OK);
    ck_assert_str_eq(tn_dataset_info(rig.dataset)->classes[2], "blue");
    rig_close(&rig);
    ck_assert_int_ne(look(&rig, "classes = a, b, c", ""), TN_OK);
    check_says(&rig, "its label is 3");
    rig_close(&rig);
    rig_remove(folder);
    rig_folder(folder);
    struct tn_record_writer *writer = begin("t-0", TN_RECORD_PLAIN);
    for (int i = 0; i < 4; i++)
        add(writer, i, 0, words[i]);
    end(writer);
    ck_assert_int_eq(look(&rig, "shuffle = no", ""), TN_OK);
    ck_assert_uint_eq(tn_dataset_info(rig.dataset)->class_count, 3);
    ck_assert_str_eq(tn_dataset_info(rig.dataset)->classes[0], "ant");
    ck_assert_uint_eq(tn_dataset_info(rig.dataset)->class_sizes[1], 2);
    rig_close(&rig);
    ck_assert_int_ne(look(&rig, "classes = cat, dog", ""), TN_OK);
    check_says(&rig, "`ant` is not one of");
    rig_close(&rig);
    rig_remove(folder);
}
END_TEST

START_TEST(a_part_is_set_aside)
{
    struct rig rig;
    plant();
    char ini[2 * PATH_MAX];
    (void)snprintf(ini, sizeof ini,
                   "[data]\ntarget_size = 2x2\nvalidation_split = 0.25\nclass_mode = sparse\n[source:s]\n"
                   "type = tfrecord\nfiles = %s/t-*\n",
                   folder);
    for (int32_t subset = TN_SUBSET_TRAINING; subset <= TN_SUBSET_VALIDATION; subset++) {
        char name[512];
        ck_assert_int_eq(rig_prepare(&rig, ini), TN_OK);
        rig.spec.subset = subset;
        ck_assert_int_eq(tn_dataset_open(&rig.spec, &rig.dataset, &rig.error), TN_OK);
        ck_assert_uint_eq(tn_dataset_info(rig.dataset)->count, subset == TN_SUBSET_TRAINING ? 16 : 5);
        tn_dataset_sample_name(rig.dataset, 0, name, sizeof name);
        ck_assert_ptr_nonnull(strstr(name, subset == TN_SUBSET_TRAINING ? "t-0.tfrecord#5" : "t-0.tfrecord#0"));
        rig_close(&rig);
    }
    rig_remove(folder);
}
END_TEST

/* Turns a bit of a file. */
static void damage(const char *name, off_t at)
{
    int file = open(in_folder(name), O_RDWR);
    unsigned char byte;
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(pread(file, &byte, 1, at), 1);
    byte ^= 1;
    ck_assert_int_eq(pwrite(file, &byte, 1, at), 1);
    (void)close(file);
}

START_TEST(damage_is_told_with_its_place)
{
    struct rig rig;
    struct stat state;
    plant();
    ck_assert_int_eq(stat(in_folder("t-2.tfrecord"), &state), 0);
    off_t record = state.st_size / 7;
    damage("t-2.tfrecord", 3 * record + 30);
    ck_assert_int_ne(look(&rig, "", ""), TN_OK);
    char place[64];
    (void)snprintf(place, sizeof place, "t-2.tfrecord: record 3 at byte %lld: the CRC of its data",
                   (long long)(3 * record));
    check_says(&rig, place);
    rig_close(&rig);
    ck_assert_int_eq(look(&rig, "", "on_damage = skip"), TN_OK);
    ck_assert_uint_eq(tn_dataset_info(rig.dataset)->count, 17);
    rig_close(&rig);
    /* Found when it is read, where the check at the beginning is off. */
    const struct tn_batch *batch = NULL;
    tn_status status;
    ck_assert_int_eq(look(&rig, "", "verify = no"), TN_OK);
    ck_assert_int_eq(tn_dataset_begin(rig.dataset, 0, 0, &rig.error), TN_OK);
    do
        status = tn_dataset_next(rig.dataset, &batch, &rig.error);
    while (status == TN_OK && batch);
    ck_assert_int_ne(status, TN_OK);
    check_says(&rig, "t-2.tfrecord#3");
    check_says(&rig, "CRC");
    rig_close(&rig);
    damage("t-1.tfrecord", 20);
    ck_assert_int_ne(look(&rig, "", ""), TN_OK);
    check_says(&rig, "t-1.tfrecord");
    rig_close(&rig);
    rig_remove(folder);
}
END_TEST

START_TEST(what_is_missing_is_named)
{
    struct rig rig;
    rig_folder(folder);
    ck_assert_int_ne(look(&rig, "", ""), TN_OK);
    check_says(&rig, "no file is called");
    rig_close(&rig);
    struct tn_record_writer *writer = begin("t-0", TN_RECORD_PLAIN);
    add(writer, 1, 0, NULL);
    add(writer, 2, -10, NULL);
    end(writer);
    ck_assert_int_ne(look(&rig, "", ""), TN_OK);
    check_says(&rig, "record 1 at byte");
    check_says(&rig, "no feature `label`");
    rig_close(&rig);
    ck_assert_int_eq(look(&rig, "", "on_damage = skip"), TN_OK);
    ck_assert_uint_eq(tn_dataset_info(rig.dataset)->count, 1);
    rig_close(&rig);
    ck_assert_int_eq(look(&rig, "class_mode = none", ""), TN_OK);
    ck_assert_uint_eq(tn_dataset_info(rig.dataset)->count, 2);
    rig_close(&rig);
    ck_assert_int_ne(look(&rig, "", "image_key = picture"), TN_OK);
    check_says(&rig, "the feature `picture` is not there");
    rig_close(&rig);
    ck_assert_int_ne(look(&rig, "", "compression = gzip"), TN_OK);
    check_says(&rig, "compressed stream is damaged");
    rig_close(&rig);
    rig_write(in_folder("t-0"), "this is no record file at all", 29);
    ck_assert_int_ne(look(&rig, "", ""), TN_OK);
    check_says(&rig, "no TFRecord file");
    rig_close(&rig);
    rig_remove(folder);
}
END_TEST

/* Reads whatever there is; only memory checkers can fail this. */
static uint64_t read_all(int descriptor)
{
    struct record_reader reader;
    struct tn_error error;
    struct feature feature;
    uint64_t count = 0;
    int more = 1;
    ck_assert_int_eq(record_reader_open(&reader, descriptor, 0, &error), TN_OK);
    while (record_reader_next(&reader, &more, &error) == TN_OK && more) {
        (void)example_find(reader.data, reader.length, "image", &feature, &error);
        (void)example_find(reader.data, reader.length, "", &feature, &error);
        count++;
    }
    record_reader_close(&reader);
    return count;
}

/* Bits turned in plain and compressed shards, and in Examples whose CRC nobody asks for. */
START_TEST(broken_bytes_do_no_harm)
{
    enum { TRIES = 3000 };
    struct tn_random random = tn_random_stream(11, (uint64_t)_i);
    unsigned char bytes[4096], changed[4096];
    struct feature feature;
    plant();
    int file = open(in_folder(_i ? "t-1.tfrecord" : "t-0.tfrecord"), O_RDONLY);
    ssize_t size = read(file, bytes, sizeof bytes);
    ck_assert_int_gt(size, 100);
    (void)close(file);
    char path[] = "/tmp/tenon-broken-XXXXXX", other[] = "/tmp/tenon-broken-XXXXXX";
    int from = mkstemp(path), to = mkstemp(other);
    for (int try = 0; try < TRIES; try++) {
        memcpy(changed, bytes, (size_t)size);
        for (uint64_t k = 0; k < 1 + tn_random_below(&random, 6); k++)
            changed[tn_random_below(&random, (uint64_t)size)] = (unsigned char)tn_random_bits(&random);
        size_t length = tn_random_below(&random, 4) ? (size_t)size : (size_t)tn_random_below(&random, (uint64_t)size);
        (void)example_find(changed + 12, length > 12 ? length - 12 : 0, "image", &feature, NULL);
        ck_assert_int_eq(ftruncate(from, 0) + ftruncate(to, 0), 0);
        ck_assert_int_eq(pwrite(from, changed, length, 0), (ssize_t)length);
        (void)lseek(from, 0, SEEK_SET);
        (void)lseek(to, 0, SEEK_SET);
        if (_i)
            (void)inflate_file(from, to, COMPRESSION_GZIP, 1 << 20, NULL);
        ck_assert_uint_le(read_all(_i ? to : from), 7);
        (void)compression_of(from);
    }
    (void)close(from);
    (void)close(to);
    (void)unlink(path);
    (void)unlink(other);
    rig_remove(folder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tfrecord");
    TCase *tcase = tcase_create("tfrecord");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, every_record_comes_once_with_its_label, 0, 4);
    tcase_add_test(tcase, classes_have_names);
    tcase_add_test(tcase, a_part_is_set_aside);
    tcase_add_test(tcase, damage_is_told_with_its_place);
    tcase_add_test(tcase, what_is_missing_is_named);
    tcase_add_loop_test(tcase, broken_bytes_do_no_harm, 0, 2);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
