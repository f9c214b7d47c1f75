/* test_tfrecord_doubt.c: the source `tfrecord` where threads are out of step, and where a list of records is wrong. */
#include <fcntl.h>
#include <isa-l/igzip_lib.h>

#include "tfrecord_rig.h"

/* Every record comes once. */
static void run_epoch(struct rig *rig, uint64_t epoch, int count)
{
    const struct tn_batch *batch;
    int *seen = calloc((size_t)count, sizeof *seen);
    ck_assert_int_eq(tn_dataset_begin(rig->dataset, epoch, 0, &rig->error), TN_OK);
    do {
        ck_assert_msg(tn_dataset_next(rig->dataset, &batch, &rig->error) == TN_OK, "%s", rig->error.text);
        for (int32_t i = 0; batch && i < batch->count; i++) {
            int number = number_of(batch->images, (size_t)i);
            ck_assert_int_lt(number, count);
            seen[number]++;
        }
    } while (batch);
    for (int i = 0; i < count; i++)
        ck_assert_msg(seen[i] == 1, "record %d came %d times", i, seen[i]);
    free(seen);
}

/* Threads that read ahead come out of step; none finds that its block has been there and is gone. */
START_TEST(long_records_are_read_once_too)
{
    struct rig rig;
    begin_with_cache();
    for (int s = 0; s < 4; s++) {
        char name[8];
        (void)snprintf(name, sizeof name, "t-%d", s);
        struct tn_record_writer *writer = begin(name, TN_RECORD_GZIP);
        for (int i = 0; i < 40; i++)
            add_long(writer, s * 40 + i, i, NULL, 800000);
        end(writer);
    }
    ck_assert_msg(look(&rig, "workers = 2\noverlap = yes\nio_threads = 64", "shuffle_window = 0\ninterleave = 4") ==
                      TN_OK,
                  "%s", rig.error.text);
    double bytes = 160 * 800000.0;
    for (uint64_t epoch = 0; epoch < 2; epoch++) {
        uint64_t before = bytes_read();
        run_epoch(&rig, epoch, 160);
        double share = (double)(bytes_read() - before) / bytes;
        ck_assert_msg(share < 1.5, "epoch %d read %.2f times what there is", (int)epoch, share);
    }
    ck_assert_uint_lt(tn_dataset_info(rig.dataset)->index_bytes, 128u << 20);
    rig_close(&rig);
    end_with_cache();
}
END_TEST

/* Same size, time and ends, and something else in the middle: no list tells that, but reading does. */
START_TEST(a_record_that_is_no_picture_any_more_is_an_error)
{
    struct rig rig;
    struct stat state;
    static char picture[100000];
    const struct tn_batch *batch;
    begin_with_cache();
    for (int changed = 0; changed < 2; changed++) {
        struct tn_record_writer *writer = begin("t-0", TN_RECORD_PLAIN);
        for (int i = 0; i < 3; i++) {
            struct tn_text record = {0};
            size_t bytes = draw((unsigned char *)picture, i, sizeof picture);
            struct tn_feature features[] = {{changed && i == 1 ? "imagf" : "image", picture, bytes, 0},
                                            {"label", NULL, 0, i}};
            tn_record_begin(&record);
            ck_assert_int_eq(tn_example_write(&record, features, 2, NULL), TN_OK);
            ck_assert_int_eq(tn_record_end(&record, NULL), TN_OK);
            ck_assert_int_eq(tn_record_writer_add(writer, &record, NULL), TN_OK);
            tn_text_release(&record);
        }
        end(writer);
        if (changed) {
            struct timespec times[2] = {state.st_atim, state.st_mtim};
            ck_assert_int_eq(utimensat(AT_FDCWD, in_folder("t-0"), times, 0), 0);
        }
        ck_assert_int_eq(stat(in_folder("t-0"), &state), 0);
        ck_assert_msg(look(&rig, "", "") == TN_OK, "%s", rig.error.text);
        ck_assert_int_eq(tn_dataset_begin(rig.dataset, 0, 0, &rig.error), TN_OK);
        ck_assert_int_eq(tn_dataset_next(rig.dataset, &batch, &rig.error), changed ? TN_CORRUPT : TN_OK);
        if (changed)
            check_says(&rig, "no picture any more");
        rig_close(&rig);
    }
    end_with_cache();
}
END_TEST

/* The shard t-0 of some records, as a ZLIB stream with `extra` bytes behind it. */
static void plant_zlib(int records, int extra)
{
    static unsigned char plain[1 << 16], packed[1 << 17];
    struct isal_zstream stream;
    struct tn_record_writer *writer = begin("t-0", TN_RECORD_PLAIN);
    for (int i = 0; i < records; i++)
        add_long(writer, i, i, NULL, 100);
    end(writer);
    FILE *file = fopen(in_folder("t-0"), "rb");
    ck_assert_ptr_nonnull(file);
    isal_deflate_stateless_init(&stream);
    stream.gzip_flag = IGZIP_ZLIB;
    stream.end_of_stream = 1;
    stream.next_in = plain, stream.avail_in = (uint32_t)fread(plain, 1, sizeof plain, file);
    stream.next_out = packed, stream.avail_out = sizeof packed - 64;
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(isal_deflate_stateless(&stream), COMP_OK);
    memset(packed + stream.total_out, '_', (size_t)extra);
    rig_write(in_folder("t-0"), packed, stream.total_out + (size_t)extra);
}

/* The library takes in a few bytes more than it needs. */
START_TEST(bytes_behind_a_stream_are_damage)
{
    struct rig rig;
    begin_with_cache();
    for (int extra = 0; extra <= 20; extra++) {
        plant_zlib(3 + _i, extra);
        tn_status status = look(&rig, "", _i ? "io = random\nindex = no" : "index = no");
        ck_assert_msg(status == (extra ? TN_CORRUPT : TN_OK), "%d bytes more: %s", extra, rig.error.text);
        if (extra)
            check_says(&rig, "behind the compressed stream");
        rig_close(&rig);
    }
    end_with_cache();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("tfrecord, in doubt");
    TCase *doubt = tcase_create("doubt");
    tcase_set_timeout(doubt, 120);
    tcase_add_test(doubt, long_records_are_read_once_too);
    tcase_add_test(doubt, a_record_that_is_no_picture_any_more_is_an_error);
    tcase_add_loop_test(doubt, bytes_behind_a_stream_are_damage, 0, 2);
    suite_add_tcase(suite, doubt);
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
