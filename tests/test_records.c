/* test_records.c: TFRecord framing and tf.train.Example, byte for byte as TensorFlow 2.21 writes them; GZIP; a file is
 * whole or not there. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <isa-l/igzip_lib.h>

#include "records/example_writer.h"
#include "records/record_writer.h"
#include "support/bundle.h"

#include <check.h>

static char folder[64];

static void make_folder(void)
{
    strcpy(folder, "/tmp/tenon-records-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void assert_hex(const void *bytes, size_t count, const char *hex)
{
    char text[1024] = "";
    ck_assert_uint_lt(2 * count, sizeof text);
    for (size_t i = 0; i < count; i++)
        snprintf(text + 2 * i, 3, "%02x", ((const unsigned char *)bytes)[i]);
    ck_assert_str_eq(text, hex);
}

static uint32_t unmask(uint32_t stored)
{
    uint32_t rotated = stored - 0xA282EAD8u;
    return rotated >> 17 | rotated << 15;
}

/* RFC 3720, B.4, and the check value of the catalogues. */
START_TEST(checksums_are_crc32c)
{
    unsigned char bytes[32];
    ck_assert_uint_eq(unmask(tn_record_crc("123456789", 9)), 0xE3069283u);
    ck_assert_uint_eq(unmask(tn_record_crc("", 0)), 0);
    memset(bytes, 0, sizeof bytes);
    ck_assert_uint_eq(unmask(tn_record_crc(bytes, sizeof bytes)), 0x8A9136AAu);
    memset(bytes, 0xFF, sizeof bytes);
    ck_assert_uint_eq(unmask(tn_record_crc(bytes, sizeof bytes)), 0x62A8AB43u);
    for (int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    ck_assert_uint_eq(unmask(tn_record_crc(bytes, sizeof bytes)), 0x46DD794Eu);
    ck_assert_uint_eq(tn_record_crc(bytes, sizeof bytes), (0x46DD794Eu >> 15 | 0x46DD794Eu << 17) + 0xA282EAD8u);
}
END_TEST

START_TEST(records_are_framed_as_tensorflow_does)
{
    struct tn_text record = {0};
    tn_record_begin(&record);
    ck_assert_int_eq(tn_record_end(&record, NULL), TN_OK);
    assert_hex(record.data, record.length, "000000000000000029039807d8ea82a2");
    tn_record_begin(&record); /* the memory of the last one is used again */
    tn_text_add(&record, "123456789");
    ck_assert_int_eq(tn_record_end(&record, NULL), TN_OK);
    assert_hex(record.data, record.length, "090000000000000037f97139313233343536373839e5b08ac7");
    tn_text_release(&record);
}
END_TEST

static const struct {
    struct tn_feature feature;
    const char *hex;
} features[] = {
    {{"label", NULL, 0, 300}, "0a110a0f0a056c6162656c12061a040a02ac02"},
    {{"label", NULL, 0, 0}, "0a100a0e0a056c6162656c12051a030a0100"},
    {{"label", NULL, 0, -1}, "0a190a170a056c6162656c120e1a0c0a0affffffffffffffffff01"},
    {{"image", "ab", 2, 0}, "0a110a0f0a05696d61676512060a040a026162"},
    {{"image", "", 0, 0}, "0a0f0a0d0a05696d61676512040a020a00"},
};

START_TEST(features_are_written_as_protobuf_does)
{
    struct tn_text out = {0};
    ck_assert_int_eq(tn_example_write(&out, &features[_i].feature, 1, NULL), TN_OK);
    assert_hex(out.data, out.length, features[_i].hex);
    tn_text_release(&out);
}
END_TEST

/* Lengths of every number of bytes, one more and one less, nested. */
START_TEST(lengths_add_up)
{
    static const size_t sizes[] = {100, 105,   110,   115,   120,   127,     128,
                                   129, 16300, 16370, 16383, 16384, 2097151, 2097152};
    char *bytes = calloc(1, 2097152);
    for (size_t i = 0; i < TN_COUNT_OF(sizes); i++) {
        struct tn_text out = {0};
        const struct tn_feature feature = {"image", bytes, sizes[i], 0};
        ck_assert_int_eq(tn_example_write(&out, &feature, 1, NULL), TN_OK);
        const unsigned char *at = (const unsigned char *)out.data, *end = at + out.length;
        static const unsigned char tags[] = {0x0A, 0x0A, 0, 0x12, 0x0A, 0x0A};
        for (size_t level = 0; level < TN_COUNT_OF(tags); level++) {
            if (level == 2) { /* the key */
                ck_assert_mem_eq(at, "\n\5image", 7);
                at += 7;
                continue;
            }
            ck_assert_int_eq(*at++, tags[level]);
            uint64_t length = 0;
            for (int shift = 0;; shift += 7) {
                length |= (uint64_t)(*at & 0x7F) << shift;
                if (*at++ < 0x80)
                    break;
            }
            ck_assert_uint_eq(length, (uint64_t)(end - at)); /* each goes to the end */
        }
        ck_assert_uint_eq((size_t)(end - at), sizes[i]);
        tn_text_release(&out);
    }
    free(bytes);
}
END_TEST

START_TEST(more_than_a_record_holds_is_refused)
{
    struct tn_text out = {0};
    struct tn_error error = {0};
    const struct tn_feature feature = {"image", "", (uint64_t)1 << 31, 0};
    ck_assert_int_eq(tn_example_write(&out, &feature, 1, &error), TN_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(error.text, "more than a record can hold"));
    ck_assert_uint_eq(out.length, 0);
}
END_TEST

/* The picture and the label of a message of the seed's layout, found by hand. */
START_TEST(files_of_tensorflow_are_made_again_byte_by_byte)
{
    char path[4096];
    void *bytes;
    uint64_t count, made;
    struct tn_record_writer *writer;
    struct tn_text record = {0};
    int64_t label = 0;
    if (!fixtures_file(path, sizeof path, "tfrecord/seed_jpeg.tfrecord")) {
        puts("skipped: no fixtures");
        return;
    }
    ck_assert_int_eq(tn_file_read(path, 1 << 20, &bytes, &count, NULL), TN_OK);
    make_folder();
    ck_assert_int_eq(tn_record_writer_open(in_folder("again"), TN_RECORD_PLAIN, &writer, NULL), TN_OK);
    for (const unsigned char *at = bytes, *end = at + count; at < end; label++) {
        size_t length = (size_t)at[0] | (size_t)at[1] << 8;
        const unsigned char *payload = at + 12;
        /* Behind the heads stands the picture, then 16 bytes with the label. */
        size_t picture = 13;
        while (payload[picture] != 0xFF || payload[picture + 1] != 0xD8)
            ck_assert_uint_lt(picture++, 40);
        const struct tn_example_image image = {
            .bytes = payload + picture, .byte_count = length - picture - 16, .label = label};
        tn_record_begin(&record);
        ck_assert_int_eq(tn_example_write_image(&record, &image, TN_EXAMPLE_SEED, NULL), TN_OK);
        ck_assert_int_eq(tn_record_end(&record, NULL), TN_OK);
        ck_assert_uint_eq(record.length, length + 16);
        ck_assert_mem_eq(record.data, at, record.length);
        ck_assert_int_eq(tn_record_writer_add(writer, &record, NULL), TN_OK);
        at += length + 16;
    }
    ck_assert_int_eq(label, 6);
    ck_assert_int_eq(tn_record_writer_commit(writer, &made, NULL), TN_OK);
    ck_assert_uint_eq(made, count);
    tn_record_writer_close(&writer);
    void *again;
    ck_assert_int_eq(tn_file_read(in_folder("again"), 1 << 20, &again, &made, NULL), TN_OK);
    ck_assert_uint_eq(made, count);
    ck_assert_mem_eq(again, bytes, count);
    free(again);
    free(bytes);
    tn_text_release(&record);
    remove_folder();
}
END_TEST

START_TEST(a_file_has_its_name_only_when_it_is_whole)
{
    struct tn_record_writer *writer;
    struct tn_text record = {0};
    struct tn_error error = {0};
    uint64_t bytes;
    make_folder();
    tn_record_begin(&record);
    ck_assert_int_eq(tn_record_end(&record, NULL), TN_OK);
    ck_assert_int_eq(tn_record_writer_open(in_folder("a"), TN_RECORD_PLAIN, &writer, &error), TN_OK);
    ck_assert_int_eq(tn_record_writer_add(writer, &record, &error), TN_OK);
    ck_assert(!tn_path_exists(in_folder("a")));
    ck_assert(tn_path_exists(in_folder("a.tmp")));
    tn_record_writer_close(&writer); /* not committed */
    ck_assert_ptr_null(writer);
    ck_assert(!tn_path_exists(in_folder("a.tmp")));
    ck_assert_int_eq(tn_record_writer_open(in_folder("a"), TN_RECORD_PLAIN, &writer, &error), TN_OK);
    ck_assert_int_eq(tn_record_writer_commit(writer, &bytes, &error), TN_OK);
    ck_assert_uint_eq(bytes, 0); /* no records is a file without bytes, as TensorFlow's */
    tn_record_writer_close(&writer);
    ck_assert(tn_path_exists(in_folder("a")));
    ck_assert(!tn_path_exists(in_folder("a.tmp")));
    ck_assert_int_eq(tn_record_writer_open(in_folder("no/a"), TN_RECORD_PLAIN, &writer, &error), TN_IO);
    ck_assert_ptr_nonnull(strstr(error.text, "no/a.tmp"));
    ck_assert_ptr_null(writer);
    tn_text_release(&record);
    remove_folder();
}
END_TEST

/* A full disk is an error at the write or at the commit, and leaves no file. */
START_TEST(a_full_disk_is_told)
{
    struct tn_record_writer *writer;
    struct tn_text record = {0};
    struct tn_error error = {0};
    uint64_t bytes;
    if (access("/dev/full", W_OK) != 0)
        return;
    make_folder();
    ck_assert_int_eq(symlink("/dev/full", in_folder("a.tmp")), 0);
    tn_record_begin(&record);
    ck_assert_int_eq(tn_record_end(&record, NULL), TN_OK);
    ck_assert_int_eq(tn_record_writer_open(in_folder("a"), _i, &writer, &error), TN_OK);
    ck_assert_int_eq(tn_record_writer_add(writer, &record, &error), TN_OK); /* it fits into the buffer */
    ck_assert_int_eq(tn_record_writer_commit(writer, &bytes, &error), TN_IO);
    ck_assert_ptr_nonnull(strstr(error.text, "No space left"));
    tn_record_writer_close(&writer);
    ck_assert(!tn_path_exists(in_folder("a")));
    tn_text_release(&record);
    remove_folder();
}
END_TEST

static void inflate_all(const void *bytes, uint64_t count, unsigned char *out, size_t out_bytes)
{
    static struct inflate_state state;
    isal_inflate_init(&state);
    state.crc_flag = ISAL_GZIP;
    state.next_in = (unsigned char *)(uintptr_t)bytes, state.avail_in = (uint32_t)count;
    state.next_out = out, state.avail_out = (uint32_t)out_bytes;
    ck_assert_int_eq(isal_inflate(&state), ISAL_DECOMP_OK);
    ck_assert_int_eq(state.block_state, ISAL_BLOCK_FINISH); /* with the right CRC and length at the end */
    ck_assert_uint_eq(state.avail_out, 0);
    ck_assert_uint_eq(state.avail_in, 0);
}

/* Records that fill the writer's buffers several times over, some that compress and some that do not. */
START_TEST(gzip_gives_back_what_was_written)
{
    enum { COUNT = 40, LONGEST = 3 << 20 };
    struct tn_record_writer *writers[2];
    struct tn_text record = {0};
    uint64_t bytes[2];
    uint32_t noise = 1;
    make_folder();
    ck_assert_int_eq(tn_record_writer_open(in_folder("plain"), TN_RECORD_PLAIN, &writers[0], NULL), TN_OK);
    ck_assert_int_eq(tn_record_writer_open(in_folder("gzip"), TN_RECORD_GZIP, &writers[1], NULL), TN_OK);
    for (int i = 0; i < COUNT; i++) {
        size_t length = i == 7 ? LONGEST : (size_t)i * 9001;
        tn_record_begin(&record);
        for (size_t k = 0; k < length; k++) {
            char c = (char)(noise >> 24);
            noise = noise * 1664525u + 1013904223u;
            tn_text_add_bytes(&record, i % 3 ? &c : "a", 1);
        }
        ck_assert_int_eq(tn_record_end(&record, NULL), TN_OK);
        for (int w = 0; w < 2; w++)
            ck_assert_int_eq(tn_record_writer_add(writers[w], &record, NULL), TN_OK);
    }
    for (int w = 0; w < 2; w++) {
        ck_assert_int_eq(tn_record_writer_commit(writers[w], &bytes[w], NULL), TN_OK);
        tn_record_writer_close(&writers[w]);
    }
    void *plain, *packed;
    ck_assert_int_eq(tn_file_read(in_folder("plain"), 1 << 30, &plain, &bytes[0], NULL), TN_OK);
    ck_assert_int_eq(tn_file_read(in_folder("gzip"), 1 << 30, &packed, &bytes[1], NULL), TN_OK);
    ck_assert_uint_lt(bytes[1], bytes[0]);
    unsigned char *out = malloc(bytes[0]);
    inflate_all(packed, bytes[1], out, bytes[0]);
    ck_assert_mem_eq(out, plain, bytes[0]);
    free(out);
    free(plain);
    free(packed);
    tn_text_release(&record);
    remove_folder();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("records");
    TCase *cases = tcase_create("records");
    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, checksums_are_crc32c);
    tcase_add_test(cases, records_are_framed_as_tensorflow_does);
    tcase_add_loop_test(cases, features_are_written_as_protobuf_does, 0, TN_COUNT_OF(features));
    tcase_add_test(cases, lengths_add_up);
    tcase_add_test(cases, more_than_a_record_holds_is_refused);
    tcase_add_test(cases, files_of_tensorflow_are_made_again_byte_by_byte);
    tcase_add_test(cases, a_file_has_its_name_only_when_it_is_whole);
    tcase_add_loop_test(cases, a_full_disk_is_told, 0, 2);
    tcase_add_test(cases, gzip_gives_back_what_was_written);
    suite_add_tcase(suite, cases);
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
