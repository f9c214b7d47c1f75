/* test_golden_tfrecord.c: framing, compression and tf.train.Example against files of TensorFlow and broken ones. The
 * manifest's own format is told at its top. */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../loaders/tfrecord/tfrecord.h"
#include "support/bundle.h"
#include "support/sha256.h"

/* After tenon's headers: it has a macro named fail(). */
#include <check.h>

struct suite {
    FILE *manifest;
    char line[1 << 16];
    int passed, failed;
    /* the file in hand */
    char name[256], why[1024];
    int descriptor;
    struct record_reader reader;
    tn_status end;
    struct tn_error error;
    uint64_t records;
    bool open, ended, compressed, has_record, is_example;
};

TN_PRINTF(2, 3) static void wrong(struct suite *suite, const char *format, ...)
{
    va_list arguments;
    if (suite->why[0])
        return;
    va_start(arguments, format);
    (void)vsnprintf(suite->why, sizeof suite->why, format, arguments);
    va_end(arguments);
}

static void next_record(struct suite *suite)
{
    int more = 0;
    suite->has_record = false;
    if (suite->ended)
        return;
    tn_status status = record_reader_next(&suite->reader, &more, &suite->error);
    if (status != TN_OK && suite->end == TN_OK)
        suite->end = status;
    suite->has_record = status == TN_OK && more;
    suite->ended = !suite->has_record;
    suite->records += suite->has_record;
}

static void end_file(struct suite *suite)
{
    if (!suite->open)
        return;
    if (suite->why[0])
        printf("golden tfrecord: %s: %s\n", suite->name, suite->why);
    suite->failed += suite->why[0] != '\0';
    suite->passed += suite->why[0] == '\0';
    record_reader_close(&suite->reader);
    (void)close(suite->descriptor);
    suite->open = false;
}

static int temporary(void)
{
    char path[] = "/tmp/tenon-golden-XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    (void)unlink(path);
    return descriptor;
}

static void begin_file(struct suite *suite, const char *name)
{
    end_file(suite);
    (void)snprintf(suite->name, sizeof suite->name, "%s", name);
    suite->why[0] = '\0';
    suite->end = TN_OK;
    suite->records = 0;
    suite->ended = suite->has_record = false;
    suite->open = true;
    suite->descriptor = -1;
    suite->reader = (struct record_reader){0};
}

static void open_file(struct suite *suite, const char *compression)
{
    char path[PATH_MAX], relative[512];
    (void)snprintf(relative, sizeof relative, "tfrecord/%s", suite->name);
    ck_assert_msg(fixtures_file(path, sizeof path, relative), "%s", relative);
    int file = open(path, O_RDONLY);
    ck_assert_int_ge(file, 0);
    suite->compressed = strcmp(compression, "NONE") != 0;
    suite->descriptor = file;
    if (suite->compressed) {
        suite->descriptor = temporary();
        suite->end = inflate_file(file, suite->descriptor,
                                  strcmp(compression, "GZIP") == 0 ? COMPRESSION_GZIP : COMPRESSION_ZLIB, 1u << 30,
                                  &suite->error);
        (void)close(file);
    }
    ck_assert_int_eq(record_reader_open(&suite->reader, suite->descriptor, 1, &suite->error), TN_OK);
}

/* "record INDEX LENGTH SHA256": steps to it. */
static void check_record(struct suite *suite, char *text)
{
    char digest[65], wanted[65];
    unsigned long long index, length;
    if (sscanf(text, "%llu %llu %64s", &index, &length, wanted) != 3) {
        wrong(suite, "a line of the manifest is not understood");
        return;
    }
    next_record(suite);
    if (!suite->has_record) {
        if (!suite->compressed || suite->end == TN_OK) /* after damage a stream may yield fewer */
            wrong(suite, "record %llu is not there (%s)", index, suite->error.text);
        return;
    }
    sha256_text(suite->reader.data, (size_t)suite->reader.length, digest);
    if (suite->reader.length != length || strcmp(digest, wanted) != 0)
        wrong(suite, "record %llu has other bytes", index);
}

static void decode_name(char *name)
{
    char *out = name;
    for (char *in = name; *in; in++, out++) {
        unsigned byte;
        if (*in == '%' && sscanf(in + 1, "%2x", &byte) == 1) {
            *out = (char)byte;
            in += 2;
        } else {
            *out = *in;
        }
    }
    *out = '\0';
}

/* "feature KIND COUNT NAME VALUES" */
static void check_feature(struct suite *suite, char *text)
{
    static const char *const kinds[] = {"unset", "bytes", "float", "int"};
    /* A name may be empty. */
    char *rest = text, *kind = strsep(&rest, " "), *count = strsep(&rest, " "), *name = strsep(&rest, " "),
         *value = strsep(&rest, " ");
    struct feature feature;
    struct tn_error error = {0};
    char digest[65], have[160] = "";
    if (!suite->has_record)
        return;
    if (!kind || !count || !name) {
        wrong(suite, "a line of the manifest is not understood");
        return;
    }
    decode_name(name);
    if (example_find(suite->reader.data, suite->reader.length, name, &feature, &error) != TN_OK) {
        wrong(suite, "feature %s: %s", name, error.text);
        return;
    }
    unsigned long long wanted = strtoull(count, NULL, 10);
    if (feature.count != wanted || (wanted > 0 && strcmp(kinds[feature.kind], kind) != 0))
        wrong(suite, "feature %s: %llu values of kind %s, not %llu of %s", name, (unsigned long long)feature.count,
              kinds[feature.kind], wanted, kind);
    if (!value || wanted == 0 || feature.kind == FEATURE_FLOAT)
        return;
    if (feature.kind == FEATURE_INT) {
        (void)snprintf(have, sizeof have, "%lld", (long long)feature.integer);
    } else {
        sha256_text(feature.bytes, (size_t)feature.byte_count, digest);
        (void)snprintf(have, sizeof have, "%llu:%s", (unsigned long long)feature.byte_count, digest);
    }
    if (strcmp(have, value) != 0)
        wrong(suite, "feature %s: its first value is %s, not %s", name, have, value);
}

/* "seed_spec ok LABEL" or an error: one picture and one whole number, or not. */
static void check_seed(struct suite *suite, const char *text)
{
    struct feature image = {0}, label = {0};
    if (!suite->has_record)
        return;
    bool good = example_find(suite->reader.data, suite->reader.length, "image", &image, NULL) == TN_OK &&
                example_find(suite->reader.data, suite->reader.length, "label", &label, NULL) == TN_OK &&
                image.kind == FEATURE_BYTES && image.count == 1 && label.kind == FEATURE_INT && label.count == 1;
    bool wanted = strncmp(text, "ok ", 3) == 0;
    /* TensorFlow's quick parser knows no groups, protobuf and we step over them. */
    if (good && suite->is_example && strstr(text, "Could not parse example input"))
        return;
    /* And of two members of a oneof it takes the first, protobuf and we the last. */
    if (!good && suite->is_example && wanted && image.count == 1 && label.kind == FEATURE_FLOAT && label.count == 1)
        return;
    if (good != wanted)
        wrong(suite, "record %llu: %s for TensorFlow", (unsigned long long)suite->reader.number, text);
    else if (good && label.integer != strtoll(text + 3, NULL, 10))
        wrong(suite, "record %llu: its label is not %s", (unsigned long long)suite->reader.number, text + 3);
}

static void check_example(struct suite *suite, const char *text)
{
    struct feature feature;
    if (!suite->has_record)
        return;
    bool good = example_find(suite->reader.data, suite->reader.length, "image", &feature, NULL) == TN_OK;
    suite->is_example = strcmp(text, "ok") == 0;
    if (good != suite->is_example)
        wrong(suite, "record %llu: tf.train.Example: %s", (unsigned long long)suite->reader.number, text);
}

static char *after(char *line, const char *word)
{
    size_t length = strlen(word);
    line += strspn(line, " ");
    return strncmp(line, word, length) == 0 && line[length] == ' ' ? line + length + 1 : NULL;
}

static uint64_t wanted_records;
static bool wanted_clean;

/* After the last record that the manifest tells of. */
static void check_end(struct suite *suite)
{
    if (!suite->open || suite->descriptor < 0)
        return;
    while (!suite->ended)
        next_record(suite);
    if (wanted_clean != (suite->end == TN_OK))
        wrong(suite, "its end is %s", suite->end == TN_OK ? "clean" : suite->error.text);
    if (suite->records != wanted_records && (!suite->compressed || wanted_clean || suite->records > wanted_records))
        wrong(suite, "%llu intact records, not %llu", (unsigned long long)suite->records,
              (unsigned long long)wanted_records);
}

static void take_line(struct suite *suite, char *line)
{
    char *rest;
    if (line[0] == '#')
        return;
    if ((rest = after(line, "file"))) {
        check_end(suite);
        begin_file(suite, rest);
    } else if ((rest = after(line, "compression"))) {
        open_file(suite, rest);
    } else if ((rest = after(line, "intact_records"))) {
        wanted_records = strtoull(rest, NULL, 10);
    } else if ((rest = after(line, "clean_end"))) {
        wanted_clean = rest[0] == '1';
    } else if ((rest = after(line, "record"))) {
        check_record(suite, rest);
    } else if ((rest = after(line, "example"))) {
        check_example(suite, rest);
    } else if ((rest = after(line, "feature"))) {
        check_feature(suite, rest);
    } else if ((rest = after(line, "seed_spec"))) {
        check_seed(suite, rest);
    }
}

START_TEST(files_are_read_as_a_strict_reader_does)
{
    static struct suite suite;
    char path[PATH_MAX];
    if (!fixtures_file(path, sizeof path, "tfrecord/manifest.txt")) {
        printf("golden tfrecord: skipped, no tfrecord/manifest.txt there (set TENON_FIXTURES)\n");
        return;
    }
    suite.manifest = fopen(path, "r");
    ck_assert_ptr_nonnull(suite.manifest);
    while (fgets(suite.line, sizeof suite.line, suite.manifest)) {
        suite.line[strcspn(suite.line, "\r\n")] = '\0';
        take_line(&suite, suite.line);
    }
    check_end(&suite);
    end_file(&suite);
    (void)fclose(suite.manifest);
    printf("golden %-20s %5d passed %5d failed %5d not covered yet\n", "tfrecord", suite.passed, suite.failed, 0);
    (void)fflush(stdout);
    ck_assert_int_gt(suite.passed, 0);
    ck_assert_int_eq(suite.failed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden tfrecord");
    TCase *files = tcase_create("files");
    tcase_set_timeout(files, 120);
    tcase_add_test(files, files_are_read_as_a_strict_reader_does);
    suite_add_tcase(suite, files);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
