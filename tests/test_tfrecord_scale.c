/* test_tfrecord_scale.c: many records in bounded memory: the list of them, an epoch through all of them, and that
 * epochs leave nothing behind.
 *
 * TENON_SCALE_RECORDS=1000000 makes it as long as one wants and prints what it measures: tests/bench/scale.sh.
 */
#include <time.h>

#include "data_rig.h"
#include "records/example_writer.h"
#include "records/record_writer.h"

enum { RECORDS = 100000, SOAK_RECORDS = 8000, SHARDS = 20, WARM_UP = 2, SAMPLED = 5, EPOCHS = 10 };

#define MIB                1048576.0
#define MOST_MEMORY        (300 * MIB)
#define MOST_INDEX_SECONDS 30.0

/* Sanitizers keep what was freed, and shadows of it. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
static const int memory_is_ours = 0;
#else
static const int memory_is_ours = 1;
#endif

static char folder[PATH_MAX], cache[PATH_MAX];

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void forget_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (file)
        (void)fputs("5", file);
    if (file)
        (void)fclose(file);
}

/* Most memory since then. */
static double peak(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %llu", &kib) == 1)
            break;
    if (file)
        (void)fclose(file);
    ck_assert_uint_gt(kib, 0);
    return (double)kib * 1024;
}

static void tell(const char *what, double seconds, double memory)
{
    if (getenv("TENON_SCALE_RECORDS"))
        (void)printf("%-44s %7.2f s, peak %6.1f MiB\n", what, seconds, memory / MIB);
}

static int records_asked(void)
{
    const char *text = getenv("TENON_SCALE_RECORDS");
    int records = text ? atoi(text) : memory_is_ours ? RECORDS : RECORDS / 10;
    ck_assert_msg(records > 0 && records < 1 << 24, "TENON_SCALE_RECORDS=%s: 1 to 16777215", text);
    return records;
}

/* A picture of 2x2 whose colour is its number. */
static void write_record(struct tn_record_writer *writer, struct tn_text *record, int number)
{
    char picture[32];
    size_t used = (size_t)sprintf(picture, "P6 2 2 255\n");
    for (int i = 0; i < 12; i++)
        picture[used++] = (char)(number >> i % 3 * 8);
    struct tn_feature features[] = {{"image", picture, used, 0}, {"label", NULL, 0, number % 10}};
    tn_record_begin(record);
    ck_assert_int_eq(tn_example_write(record, features, 2, NULL), TN_OK);
    ck_assert_int_eq(tn_record_end(record, NULL), TN_OK);
    ck_assert_int_eq(tn_record_writer_add(writer, record, NULL), TN_OK);
}

static void plant(int records, int32_t compression)
{
    struct tn_text record = {0};
    int number = 0;
    for (int s = 0; s < SHARDS; s++) {
        char path[PATH_MAX + 64];
        struct tn_record_writer *writer;
        uint64_t bytes;
        (void)snprintf(path, sizeof path, "%s/t-%03d", folder, s);
        ck_assert_int_eq(tn_record_writer_open(path, compression, &writer, NULL), TN_OK);
        for (; number < (int)((int64_t)records * (s + 1) / SHARDS); number++)
            write_record(writer, &record, number);
        ck_assert_int_eq(tn_record_writer_commit(writer, &bytes, NULL), TN_OK);
        tn_record_writer_close(&writer);
    }
    tn_text_release(&record);
}

static void look(struct rig *rig, const char *keys, int workers)
{
    char ini[2 * PATH_MAX];
    (void)snprintf(ini, sizeof ini,
                   "[data]\ntarget_size = 2x2\nbatch_size = 100\nclass_mode = sparse\nworkers = %d\n"
                   "[source:s]\ntype = tfrecord\nfiles = %s/t-*\n%s\n",
                   workers, folder, keys);
    ck_assert_msg(rig_open(rig, ini) == TN_OK, "%s", rig->error.text);
}

/* Every record once, with its label. */
static void run_epoch(struct rig *rig, uint64_t epoch, int records, unsigned char *seen)
{
    const struct tn_batch *batch;
    int count = 0;
    memset(seen, 0, (size_t)records);
    ck_assert_int_eq(tn_dataset_begin(rig->dataset, epoch, 0, &rig->error), TN_OK);
    for (;;) {
        ck_assert_msg(tn_dataset_next(rig->dataset, &batch, &rig->error) == TN_OK, "%s", rig->error.text);
        if (!batch)
            break;
        for (int32_t i = 0; i < batch->count; i++, count++) {
            const unsigned char *pixel = (const unsigned char *)batch->images + (size_t)i * 12;
            int number = pixel[0] | pixel[1] << 8 | pixel[2] << 16;
            ck_assert_int_lt(number, records);
            ck_assert_msg(!seen[number], "record %d came twice", number);
            ck_assert_int_eq((int)batch->targets[i], number % 10);
            seen[number] = 1;
        }
    }
    ck_assert_int_eq(count, records);
}

static void begin_test(int records, int32_t compression)
{
    rig_folder(folder);
    rig_folder(cache);
    ck_assert_int_eq(setenv("XDG_CACHE_HOME", cache, 1), 0);
    plant(records, compression);
}

static void end_test(void)
{
    rig_remove(folder);
    rig_remove(cache);
}

static double open_measured(struct rig *rig, const char *what, const char *keys, int records)
{
    double begun = now();
    forget_peak();
    look(rig, keys, 2);
    double seconds = now() - begun;
    tell(what, seconds, peak());
    ck_assert_uint_eq(tn_dataset_info(rig->dataset)->count, (uint64_t)records);
    if (memory_is_ours)
        ck_assert_double_lt(peak(), MOST_MEMORY);
    return seconds;
}

/* The list of all records, as of new shards and of known ones; then all of them once. */
static const struct {
    const char *name, *keys;
    int32_t compression;
    double most_growth;
} modes[] = {
    {"random", "io = random", TN_RECORD_PLAIN, 1 * MIB},
    {"sequential", "io = sequential", TN_RECORD_PLAIN, 1 * MIB},
    /* the streams that stand open at the end of an epoch, a third of a MiB each, are not always the same number */
    {"gzip", "io = sequential", TN_RECORD_GZIP, 4 * MIB},
};

START_TEST(many_records)
{
    int records = records_asked();
    char what[64];
    struct rig rig;
    unsigned char *seen = malloc((size_t)records);
    begin_test(records, modes[_i].compression);
    (void)snprintf(what, sizeof what, "%d records, %s: new shards", records, modes[_i].name);
    double seconds = open_measured(&rig, what, modes[_i].keys, records);
    if (getenv("TENON_SCALE_RECORDS")) /* it was asked for on a quiet machine */
        ck_assert_double_lt(seconds, MOST_INDEX_SECONDS);
    rig_close(&rig);
    (void)snprintf(what, sizeof what, "%d records, %s: known shards", records, modes[_i].name);
    (void)open_measured(&rig, what, modes[_i].keys, records);
    double begun = now();
    run_epoch(&rig, 0, records, seen);
    (void)snprintf(what, sizeof what, "%d records, %s: an epoch", records, modes[_i].name);
    tell(what, now() - begun, peak());
    if (memory_is_ours)
        ck_assert_double_lt(peak(), MOST_MEMORY);
    rig_close(&rig);
    free(seen);
    end_test();
}
END_TEST

/* Least memory at the end of some epochs: at some ends more streams of compressed shards stand open than at others. */
static double floor_of(struct rig *rig, uint64_t first, unsigned char *seen)
{
    double least = 0;
    for (uint64_t epoch = first; epoch < first + SAMPLED; epoch++) {
        run_epoch(rig, epoch, SOAK_RECORDS, seen);
        double memory = (double)tn_memory_resident();
        least = epoch == first || memory < least ? memory : least;
    }
    return least;
}

/* The first epochs touch the pages of buffers; the others may take no more. */
START_TEST(epochs_leave_nothing_behind)
{
    struct rig rig;
    unsigned char *seen = malloc(SOAK_RECORDS);
    begin_test(SOAK_RECORDS, modes[_i].compression);
    look(&rig, modes[_i].keys, 3);
    for (uint64_t epoch = 0; epoch < WARM_UP; epoch++)
        run_epoch(&rig, epoch, SOAK_RECORDS, seen);
    double before = floor_of(&rig, WARM_UP, seen);
    for (uint64_t epoch = WARM_UP + SAMPLED; epoch < WARM_UP + EPOCHS; epoch++)
        run_epoch(&rig, epoch, SOAK_RECORDS, seen);
    double grown = floor_of(&rig, WARM_UP + EPOCHS, seen) - before;
    if (getenv("TENON_SCALE_RECORDS"))
        (void)printf("%d epochs of %d records, %-12s memory grew by %.2f MiB\n", EPOCHS, SOAK_RECORDS, modes[_i].name,
                     grown / MIB);
    if (memory_is_ours)
        ck_assert_double_lt(grown, modes[_i].most_growth);
    rig_close(&rig);
    free(seen);
    end_test();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tfrecord_scale");
    TCase *tests = tcase_create("scale");
    int count = (int)(sizeof modes / sizeof modes[0]);
    tcase_set_timeout(tests, 540);
    tcase_add_loop_test(tests, many_records, 0, count);
    tcase_add_loop_test(tests, epochs_leave_nothing_behind, 0, count);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
