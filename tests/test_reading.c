/* test_reading.c: reading ahead: the same batches as without, bounded, in order, and nothing in use is written over.
 */
#include <stdatomic.h>
#include <time.h>

#include "data_rig.h"

enum { COUNT = 61, SIDE = 4, HEAD = 11, BYTES = HEAD + SIDE * SIDE * 3 };

/* A source of PPM pictures that hands out its worker's buffer, and watches how it is used. */
struct watched {
    int64_t pause_microseconds;
    uint64_t fails_at; /* UINT64_MAX = never */
    tn_status failure;
    atomic_int open, most_open, reads, busy, clashes;
};

struct watched_worker {
    unsigned char *bytes;
    atomic_int readers;
};

static tn_status watched_scan(void *self, const struct tn_source_request *request, struct tn_source_info *info,
                              struct tn_error *error)
{
    (void)self, (void)request, (void)error;
    info->count = COUNT;
    return TN_OK;
}

static void watched_name(const void *self, uint64_t index, char *text, uint64_t text_bytes)
{
    (void)self;
    (void)snprintf(text, (size_t)text_bytes, "picture %llu", (unsigned long long)index);
}

static tn_status watched_open(const void *self, void **worker, struct tn_error *error)
{
    struct watched *watched = (struct watched *)(uintptr_t)self;
    struct watched_worker *made = calloc(1, sizeof *made);
    (void)error;
    made->bytes = malloc(BYTES);
    int open = atomic_fetch_add(&watched->open, 1) + 1;
    if (open > atomic_load(&watched->most_open))
        atomic_store(&watched->most_open, open);
    *worker = made;
    return TN_OK;
}

static void watched_close(const void *self, void *worker)
{
    struct watched_worker *closing = worker;
    atomic_fetch_sub(&((struct watched *)(uintptr_t)self)->open, 1);
    memset(closing->bytes, 0xEE, BYTES);
    free(closing->bytes);
    free(closing);
}

static tn_status watched_read(const void *self, void *worker, uint64_t index, struct tn_sample *sample,
                              struct tn_error *error)
{
    struct watched *watched = (struct watched *)(uintptr_t)self;
    struct watched_worker *mine = worker;
    struct timespec pause = {0, watched->pause_microseconds * 1000};
    if (atomic_fetch_add(&mine->readers, 1) != 0)
        atomic_fetch_add(&watched->clashes, 1);
    atomic_fetch_add(&watched->reads, 1);
    memset(mine->bytes, 0xEE, BYTES); /* what the last sample's reader would see if it still looked */
    if (watched->pause_microseconds)
        (void)nanosleep(&pause, NULL);
    memcpy(mine->bytes, "P6\n4 4\n255\n", HEAD);
    for (int i = HEAD; i < BYTES; i++)
        mine->bytes[i] = (unsigned char)(index * 3 + (uint64_t)i);
    sample->bytes = mine->bytes;
    sample->byte_count = BYTES;
    atomic_fetch_sub(&mine->readers, 1);
    return index == watched->fails_at ? tn_fail(error, watched->failure, "it is said to fail") : TN_OK;
}

static const struct tn_source source = {
    .type = {sizeof source, TN_SOURCE, "watched", "", sizeof(struct watched), NULL, 0, 0, NULL, NULL},
    .scan = watched_scan,
    .name = watched_name,
    .worker_open = watched_open,
    .worker_close = watched_close,
    .read = watched_read};

struct bench {
    struct watched watched;
    struct tn_instance instance;
    struct tn_registry *registry;
    struct tn_dataset *dataset;
    struct tn_dataset_spec spec;
    struct tn_error error;
};

static void bench_open(struct bench *bench, int64_t workers, int64_t io_threads, int64_t read_ahead)
{
    static const char *codecs[] = {"ppm"};
    bench->instance = (struct tn_instance){.type = &source.type, .self = &bench->watched, .name = "watched"};
    ck_assert_int_eq(tn_registry_open(NULL, &bench->registry, NULL), TN_OK);
    bench->spec = (struct tn_dataset_spec){.options = {.target_size = {SIDE, SIDE},
                                                       .batch_size = 8,
                                                       .class_mode = TN_CLASS_NONE,
                                                       .shuffle = 1,
                                                       .fast_decode = 1,
                                                       .overlap = TN_OVERLAP_YES,
                                                       .workers = workers,
                                                       .prefetch = 2,
                                                       .maximum_pixels = 1000,
                                                       .codecs = {codecs, 1},
                                                       .retries = 2,
                                                       .retry_pause = 1e-4,
                                                       .io_threads = io_threads,
                                                       .read_ahead = read_ahead},
                                           .source = &bench->instance,
                                           .registry = bench->registry,
                                           .seed = 5,
                                           .training = 1};
    ck_assert_msg(tn_dataset_open(&bench->spec, &bench->dataset, &bench->error) == TN_OK, "%s", bench->error.text);
}

static void bench_close(struct bench *bench)
{
    tn_dataset_close(&bench->dataset);
    tn_registry_close(&bench->registry);
    ck_assert_int_eq(atomic_load(&bench->watched.open), 0);
    ck_assert_int_eq(atomic_load(&bench->watched.clashes), 0);
}

/* Takes batches from `first` on, at most `most`, and proves every pixel. */
static void take(struct bench *bench, uint64_t epoch, uint64_t first, uint64_t most, int *seen)
{
    const struct tn_batch *batch;
    ck_assert_int_eq(tn_dataset_begin(bench->dataset, epoch, first, &bench->error), TN_OK);
    for (uint64_t n = 0; n < most; n++) {
        ck_assert_msg(tn_dataset_next(bench->dataset, &batch, &bench->error) == TN_OK, "%s", bench->error.text);
        if (!batch)
            break;
        for (int32_t i = 0; i < batch->count; i++) {
            const unsigned char *pixels = (const unsigned char *)batch->images + (size_t)i * SIDE * SIDE * 3;
            seen[batch->samples[i]]++;
            ck_assert_uint_eq(batch->samples[i], tn_dataset_order(bench->dataset, (first + n) * 8 + (uint64_t)i));
            for (int k = 0; k < SIDE * SIDE * 3; k++)
                ck_assert_int_eq(pixels[k], (unsigned char)(batch->samples[i] * 3 + (uint64_t)(k + HEAD)));
        }
    }
}

static const struct {
    int64_t workers, threads, ahead, pause;
} settings[] = {{1, 1, 1 << 20, 0}, {1, 8, 1 << 20, 300}, {4, 32, 1 << 20, 300}, {8, 2, 1 << 20, 100},
                {2, 8, 1, 100},     {4, 3, 150, 0},       {1, 0, 1 << 20, 2000}, {3, 0, 1 << 20, 0}};

START_TEST(every_sample_comes_once_and_whole)
{
    struct bench bench = {.watched = {.pause_microseconds = settings[_i].pause, .fails_at = UINT64_MAX}};
    bench_open(&bench, settings[_i].workers, settings[_i].threads, settings[_i].ahead);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        int seen[COUNT] = {0};
        take(&bench, epoch, 0, UINT64_MAX, seen);
        for (int i = 0; i < COUNT; i++)
            ck_assert_int_eq(seen[i], 1);
    }
    ck_assert_int_eq(atomic_load(&bench.watched.reads), 3 * COUNT); /* none in vain */
    bench_close(&bench);
}
END_TEST

START_TEST(streams_end_and_begin_anywhere)
{
    struct bench bench = {.watched = {.pause_microseconds = 200, .fails_at = UINT64_MAX}};
    int seen[COUNT];
    bench_open(&bench, 3, 8, 1 << 20);
    for (uint64_t round = 0; round < 40; round++) {
        take(&bench, round % 3, round % 7, round % 5, seen);
        if (round % 2)
            tn_dataset_end(bench.dataset);
    }
    bench_close(&bench);
}
END_TEST

/* Closing while everybody waits for a slow read. */
START_TEST(closing_in_the_middle_waits_for_no_more_than_a_read)
{
    for (int64_t threads = 0; threads < 5; threads += 4) {
        struct bench bench = {.watched = {.pause_microseconds = 20000, .fails_at = UINT64_MAX}};
        bench_open(&bench, 2, threads, 1 << 20);
        ck_assert_int_eq(tn_dataset_begin(bench.dataset, 0, 0, &bench.error), TN_OK);
        bench_close(&bench);
        ck_assert_int_le(atomic_load(&bench.watched.reads), 2 + 2 * 4);
    }
}
END_TEST

/* With room for one picture the states that hold more are given back. */
START_TEST(bytes_ahead_are_bounded)
{
    struct bench bench = {.watched = {.pause_microseconds = 0, .fails_at = UINT64_MAX}};
    const struct tn_batch *batch;
    struct timespec pause = {0, 30000000};
    bench_open(&bench, 1, 16, 3 * BYTES);
    ck_assert_int_eq(tn_dataset_begin(bench.dataset, 0, 0, &bench.error), TN_OK);
    ck_assert_int_eq(tn_dataset_next(bench.dataset, &batch, &bench.error), TN_OK);
    for (int i = 0; i < 5; i++)
        (void)nanosleep(&pause, NULL); /* the ring is full: what is read now lies there */
    /* the ring's batches, what lies there, and the next one that a worker will want */
    ck_assert_int_le(atomic_load(&bench.watched.reads), 3 * 8 + 3 + 1);
    bench_close(&bench);
}
END_TEST

START_TEST(failures_are_those_of_their_samples)
{
    static const tn_status failures[] = {TN_CORRUPT, TN_IO, TN_NOT_FOUND};
    for (size_t k = 0; k < TN_COUNT_OF(failures); k++) {
        struct bench bench = {.watched = {.fails_at = 17, .failure = failures[k]}};
        const struct tn_batch *batch = NULL;
        tn_status status;
        bench_open(&bench, 2, 8, 1 << 20);
        ck_assert_int_eq(tn_dataset_begin(bench.dataset, 0, 0, &bench.error), TN_OK);
        do
            status = tn_dataset_next(bench.dataset, &batch, &bench.error);
        while (status == TN_OK && batch);
        ck_assert_int_eq(status, failures[k]);
        ck_assert_ptr_nonnull(strstr(bench.error.text, "picture 17"));
        ck_assert_uint_eq(tn_dataset_retried(bench.dataset), failures[k] == TN_IO ? 2 : 0);
        bench_close(&bench);
    }
}
END_TEST

START_TEST(a_skipped_sample_is_counted_once)
{
    struct bench bench = {.watched = {.fails_at = 17, .failure = TN_CORRUPT}};
    const struct tn_batch *batch;
    bench_open(&bench, 2, 8, 1 << 20);
    tn_dataset_close(&bench.dataset);
    bench.spec.options.on_error = TN_ON_ERROR_SKIP;
    ck_assert_int_eq(tn_dataset_open(&bench.spec, &bench.dataset, &bench.error), TN_OK);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        float weights = 0;
        ck_assert_int_eq(tn_dataset_begin(bench.dataset, epoch, 0, &bench.error), TN_OK);
        while (tn_dataset_next(bench.dataset, &batch, &bench.error) == TN_OK && batch)
            for (int32_t i = 0; i < batch->count; i++)
                weights += batch->weights[i];
        ck_assert_float_eq(weights, COUNT - 1);
    }
    ck_assert_uint_eq(tn_dataset_skipped(bench.dataset), 1);
    bench_close(&bench);
}
END_TEST

/* Threads start by themselves where reads are slow, and only there. */
START_TEST(threads_start_where_reads_are_slow)
{
    int seen[COUNT];
    for (int slow = 0; slow < 2; slow++) {
        struct bench bench = {.watched = {.pause_microseconds = slow ? 3000 : 0, .fails_at = UINT64_MAX}};
        bench_open(&bench, 1, 0, 1 << 20);
        for (uint64_t epoch = 0; epoch < 4; epoch++)
            take(&bench, epoch, 0, UINT64_MAX, seen);
        if (slow)
            ck_assert_int_gt(atomic_load(&bench.watched.most_open), 2);
        else
            ck_assert_int_eq(atomic_load(&bench.watched.most_open), 1);
        bench_close(&bench);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reading");
    TCase *stream = tcase_create("stream");
    tcase_set_timeout(stream, 120);
    tcase_add_loop_test(stream, every_sample_comes_once_and_whole, 0, TN_COUNT_OF(settings));
    tcase_add_test(stream, streams_end_and_begin_anywhere);
    tcase_add_test(stream, closing_in_the_middle_waits_for_no_more_than_a_read);
    tcase_add_test(stream, bytes_ahead_are_bounded);
    tcase_add_test(stream, failures_are_those_of_their_samples);
    tcase_add_test(stream, a_skipped_sample_is_counted_once);
    tcase_add_test(stream, threads_start_where_reads_are_slow);
    suite_add_tcase(suite, stream);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
