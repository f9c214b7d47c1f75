/* test_tfrecord_stage.c: copies of shards on a local disk: whole or not there, within the budget, never in the way. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../loaders/tfrecord/copies.h"

#include <check.h>

enum { MOST = 64, KB = 1024 };

static char base[PATH_MAX], folder[PATH_MAX + 16];
static char paths[MOST][PATH_MAX + 64];
static struct stage_file files[MOST];
static int warnings;
static char warning[2048];

static void hear(int32_t level, const char *text)
{
    if (level >= TN_LOG_WARNING) {
        warnings++;
        (void)snprintf(warning, sizeof warning, "%s", text);
    }
}

static const struct tn_host host = {.size = sizeof host, .log = hear};

/* ---- files ---- */

static unsigned char byte_of(int number, size_t at)
{
    return (unsigned char)((at * 2654435761u >> 13) + (size_t)number * 77 + at / 3);
}

static void describe(int number)
{
    struct stat state;
    ck_assert_int_eq(stat(paths[number], &state), 0);
    files[number] =
        (struct stage_file){paths[number], (uint64_t)state.st_size, state.st_mtim.tv_sec, state.st_mtim.tv_nsec};
}

static void plant(int number, size_t bytes)
{
    (void)snprintf(paths[number], sizeof paths[number], "%s/shard-%02d", base, number);
    FILE *file = fopen(paths[number], "wb");
    ck_assert_ptr_nonnull(file);
    for (size_t i = 0; i < bytes; i++)
        (void)fputc(byte_of(number, i), file);
    ck_assert_int_eq(fclose(file), 0);
    describe(number);
}

static void begin_test(void)
{
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(base, sizeof base, "%s/tenon-test-XXXXXX", temporary ? temporary : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(base));
    (void)snprintf(folder, sizeof folder, "%s/local/stage", base);
    warnings = 0;
}

static void end_test(void)
{
    char command[PATH_MAX + 16];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", base);
    ck_assert_int_eq(system(command), 0);
}

static void check_warnings(int count, const char *part)
{
    ck_assert_msg(warnings == count, "%d warnings, the last: %s", warnings, warning);
    ck_assert_msg(count == 0 || strstr(warning, part), "`%s` is missing in: %s", part, warning);
}

/* The descriptor's file is this shard; closes it. */
static void check_copy(int descriptor, int number)
{
    static unsigned char bytes[1 << 20];
    ck_assert_int_ge(descriptor, 0);
    ssize_t got = pread(descriptor, bytes, sizeof bytes, 0);
    ck_assert_int_eq(got, (ssize_t)files[number].size);
    for (ssize_t i = 0; i < got; i += 101)
        ck_assert_int_eq(bytes[i], byte_of(number, (size_t)i));
    ck_assert_int_eq(close(descriptor), 0);
}

/* What lies in DIR/tenon-…: bytes of files, or their number where `count` is asked; half copies too. */
static uint64_t on_disk(int count)
{
    uint64_t sum = 0;
    struct stat state;
    struct dirent *outer, *inner;
    DIR *list = opendir(folder);
    while (list && (outer = readdir(list))) {
        char path[2 * PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s", folder, outer->d_name);
        DIR *below = strncmp(outer->d_name, "tenon-", 6) == 0 ? opendir(path) : NULL;
        while (below && (inner = readdir(below)))
            if (strchr(inner->d_name, '-') && fstatat(dirfd(below), inner->d_name, &state, 0) == 0)
                sum += count ? 1 : (uint64_t)state.st_size;
        if (below)
            (void)closedir(below);
    }
    if (list)
        (void)closedir(list);
    return sum;
}

/* Path of the copy of a file. */
static const char *copy_path(int number)
{
    static char path[2 * PATH_MAX];
    char name[COPY_NAME_BYTES];
    struct dirent *entry;
    DIR *list = opendir(folder);
    copy_name(&files[number], name);
    path[0] = '\0';
    while (list && (entry = readdir(list)))
        if (strncmp(entry->d_name, "tenon-", 6) == 0)
            (void)snprintf(path, sizeof path, "%s/%s/%s", folder, entry->d_name, name);
    if (list)
        (void)closedir(list);
    return path;
}

/* ---- stages ---- */

static struct stage *begin(int count, uint64_t limit, uint32_t strands, int keeps_open)
{
    struct stage *stage;
    struct stage_spec spec = {folder, limit, files, (uint64_t)count, &host, strands, keeps_open};
    struct tn_error error;
    ck_assert_int_eq(stage_open(&stage, &spec, &error), TN_OK);
    return stage;
}

static struct stage_state wait_idle(struct stage *stage)
{
    struct stage_state state;
    struct timespec pause = {0, 1000000};
    for (int i = 0; i < 20000; i++) {
        stage_look(stage, &state);
        if (state.idle)
            return state;
        (void)nanosleep(&pause, NULL);
    }
    ck_abort_msg("the stage does not come to rest");
    return state;
}

START_TEST(copies_are_made_and_used_again)
{
    begin_test();
    for (int i = 0; i < 6; i++)
        plant(i, i == 3 ? 0 : (size_t)(100 * KB + i * 997));
    struct stage *stage = begin(6, 1 << 30, 2, 0);
    struct stage_state state = wait_idle(stage);
    ck_assert_uint_eq(state.copies, 6);
    ck_assert_uint_eq(state.bytes, on_disk(0));
    for (int i = 0; i < 6; i++)
        check_copy(stage_descriptor(stage, (uint64_t)i), i);
    stage_close(stage);

    struct stat before, after;
    ck_assert_int_eq(stat(copy_path(2), &before), 0);
    ck_assert_int_eq(unlink(copy_path(4)), 0);
    stage = begin(6, 1 << 30, 2, 0);
    ck_assert_uint_eq(wait_idle(stage).copies, 6);
    ck_assert_int_eq(stat(copy_path(2), &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    check_copy(stage_descriptor(stage, 4), 4);
    stage_close(stage);
    check_warnings(0, "");
    end_test();
}
END_TEST

START_TEST(copies_of_changed_originals_leave)
{
    begin_test();
    for (int i = 0; i < 3; i++)
        plant(i, 50 * KB);
    struct stage *stage = begin(3, 1 << 30, 1, 0);
    (void)wait_idle(stage);
    stage_close(stage);
    plant(1, 60 * KB);
    plant(2, 50 * KB); /* the same size, another time */
    struct timespec times[2] = {{1000, 5}, {1000, 5}};
    ck_assert_int_eq(utimensat(AT_FDCWD, paths[2], times, 0), 0);
    describe(2);
    stage = begin(3, 1 << 30, 1, 0);
    ck_assert_uint_eq(wait_idle(stage).copies, 3);
    ck_assert_uint_eq(on_disk(1), 3);
    check_copy(stage_descriptor(stage, 1), 1);
    stage_close(stage);

    plant(0, 70 * KB); /* after it was indexed */
    files[0].size = 50 * KB;
    stage = begin(3, 1 << 30, 1, 0);
    ck_assert_int_eq(unlink(paths[1]), 0);
    ck_assert_uint_eq(wait_idle(stage).copies, 2);
    ck_assert_int_eq(stage_descriptor(stage, 0), -1);
    ck_assert_int_ge(stage_descriptor(stage, 1), 0); /* of what was there */
    stage_close(stage);
    check_warnings(0, "");
    end_test();
}
END_TEST

/* An order backwards, one that is mixed, and one that leaves files out. */
static void make_order(uint64_t *order, int count, int kind)
{
    for (int i = 0; i < count; i++)
        order[i] = (uint64_t)(kind == 0 ? count - 1 - i : i * 7 % count);
}

START_TEST(the_budget_is_kept_and_what_is_needed_next_is_there)
{
    enum { COUNT = 20, STRANDS = 2, ROOM = 7 };
    uint64_t order[COUNT], limit = ROOM * 100 * KB + 5000;
    begin_test();
    for (int i = 0; i < COUNT; i++)
        plant(i, 100 * KB);
    struct stage *stage = begin(COUNT, limit, STRANDS, 0);
    ck_assert_uint_eq(wait_idle(stage).copies, ROOM);
    for (int epoch = 0; epoch < 4; epoch++) {
        make_order(order, COUNT, epoch % 2);
        stage_arrange(stage, order, COUNT);
        (void)wait_idle(stage);
        for (int i = 0; i < COUNT; i++) {
            int descriptor = stage_descriptor(stage, order[i]);
            if (i >= STRANDS || descriptor >= 0) /* the first are read before they can be copied */
                check_copy(descriptor, (int)order[i]);
            struct stage_state state = wait_idle(stage);
            ck_assert_uint_le(state.bytes, limit);
            ck_assert_uint_le(on_disk(0), limit);
        }
    }
    ck_assert_uint_eq(on_disk(1), ROOM);
    /* Where an epoch goes on in its middle: the last three only; all others are needed later. */
    make_order(order, COUNT, 0);
    stage_arrange(stage, order + COUNT - 3, 3);
    (void)wait_idle(stage);
    check_copy(stage_descriptor(stage, order[COUNT - 1]), (int)order[COUNT - 1]);
    ck_assert_uint_le(on_disk(0), limit);
    stage_close(stage);
    check_warnings(0, "");
    end_test();
}
END_TEST

START_TEST(small_budgets_are_no_trouble)
{
    uint64_t order[] = {2, 1, 0};
    struct stage_state state;
    begin_test();
    for (int i = 0; i < 3; i++)
        plant(i, (size_t)(10 + 100 * (i == 1)) * KB);
    struct stage *stage = begin(3, 0, 1, 0);
    ck_assert_ptr_null(stage);
    stage_close(stage);
    stage = begin(3, 15 * KB, 1, 0); /* the large one fits never */
    stage_arrange(stage, order, 3);
    state = wait_idle(stage);
    ck_assert_uint_eq(state.copies, 1);
    check_copy(stage_descriptor(stage, 0), 0);
    stage_close(stage);
    stage = begin(3, 5 * KB, 1, 0); /* less than what a run with more room has left */
    stage_arrange(stage, order, 3);
    state = wait_idle(stage);
    ck_assert_uint_eq(state.copies, 0);
    ck_assert_uint_eq(on_disk(0), 0);
    stage_close(stage);
    check_warnings(0, "");
    end_test();
}
END_TEST

START_TEST(damaged_copies_are_not_used)
{
    begin_test();
    for (int i = 0; i < 4; i++)
        plant(i, 30 * KB);
    struct stage *stage = begin(4, 1 << 30, 1, 1);
    (void)wait_idle(stage);
    int kept = stage_kept_descriptor(stage, 3);
    ck_assert_int_ge(kept, 0);
    check_copy(dup(kept), 3);
    ck_assert_int_eq(truncate(copy_path(0), 29 * KB), 0); /* cut */
    ck_assert_int_eq(stage_descriptor(stage, 0), -1);
    ck_assert_int_eq(unlink(copy_path(1)), 0); /* gone */
    ck_assert_int_eq(stage_descriptor(stage, 1), -1);
    check_warnings(0, "");
    stage_reject(stage, 3); /* its CRCs were wrong */
    stage_reject(stage, 3);
    ck_assert_int_eq(stage_descriptor(stage, 3), -1);
    ck_assert_int_eq(stage_kept_descriptor(stage, 3), -1);
    ck_assert_int_ne(fcntl(kept, F_GETFD), -1); /* somebody may be reading from it */
    ck_assert_int_ne(access(copy_path(3), F_OK), 0);
    check_warnings(1, "shard-03");
    check_copy(stage_descriptor(stage, 2), 2);
    stage_close(stage);

    char path[2 * PATH_MAX]; /* what is none of ours, and a link in place of a copy */
    (void)snprintf(path, sizeof path, "%.*s/notes.txt", (int)(strrchr(copy_path(0), '/') - copy_path(0)), copy_path(0));
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    (void)fclose(file);
    ck_assert_int_eq(unlink(copy_path(2)), 0);
    ck_assert_int_eq(symlink(paths[2], copy_path(2)), 0);
    stage = begin(4, 1 << 30, 1, 0);
    ck_assert_uint_eq(wait_idle(stage).copies, 4);
    for (int i = 0; i < 4; i++)
        check_copy(stage_descriptor(stage, (uint64_t)i), i);
    ck_assert_int_eq(access(path, F_OK), 0);
    struct stat state;
    ck_assert_int_eq(lstat(copy_path(2), &state), 0);
    ck_assert(S_ISREG(state.st_mode));
    stage_close(stage);
    end_test();
}
END_TEST

START_TEST(a_disk_that_damages_copies_is_left_alone)
{
    begin_test();
    uint64_t order[12];
    for (int i = 0; i < 12; i++) {
        plant(i, 1 * KB);
        order[i] = (uint64_t)i;
    }
    struct stage *stage = begin(12, 1 << 30, 1, 0);
    (void)wait_idle(stage);
    for (uint64_t i = 0; i < 8; i++)
        stage_reject(stage, i);
    stage_arrange(stage, order, 12);
    ck_assert_uint_eq(wait_idle(stage).copies, 4);
    stage_close(stage);
    check_warnings(2, "8 copies were damaged");
    end_test();
}
END_TEST

/* Files may not grow beyond 64 KB: what a full disk does, on any machine. */
START_TEST(a_full_disk_is_one_warning)
{
    struct rlimit before, small;
    uint64_t order[] = {0, 3, 1, 2, 4, 5};
    begin_test();
    for (int i = 0; i < 6; i++)
        plant(i, (size_t)(i == 3 ? 100 : 20) * KB);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 64 * KB;
    (void)signal(SIGXFSZ, SIG_IGN); /* of this test's thread */
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct stage *stage = begin(6, 1 << 30, 1, 0);
    struct stage_state state = wait_idle(stage);
    ck_assert_uint_eq(state.copies, 3);
    check_copy(stage_descriptor(stage, 1), 1);
    ck_assert_int_eq(stage_descriptor(stage, 3), -1);
    stage_arrange(stage, order, 6);
    state = wait_idle(stage);
    ck_assert_uint_le(state.bytes, 60 * KB); /* and no more from now on */
    ck_assert_uint_eq(state.copies, 3);
    ck_assert_uint_eq(on_disk(0), state.bytes); /* no half copies */
    stage_close(stage);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    check_warnings(1, "goes on");
    end_test();
}
END_TEST

START_TEST(a_small_file_system_is_filled_and_no_more)
{
    uint64_t order[10];
    begin_test();
    for (int i = 0; i < 10; i++) {
        plant(i, 200 * KB);
        order[i] = (uint64_t)(9 - i);
    }
    char local[PATH_MAX + 16];
    (void)snprintf(local, sizeof local, "%s/local", base);
    ck_assert_int_eq(mkdir(local, 0777), 0);
    if (mount("tmpfs", local, "tmpfs", 0, "size=1m") != 0) {
        (void)printf("test_tfrecord_stage: no small file system can be mounted here: skipped\n");
        end_test();
        return;
    }
    struct stage *stage = begin(10, 1 << 30, 1, 0);
    struct stage_state first = wait_idle(stage);
    stage_arrange(stage, order, 10);
    (void)wait_idle(stage);
    for (int i = 1; i < 10; i++) {
        int descriptor = stage_descriptor(stage, order[i]);
        if (descriptor >= 0)
            check_copy(descriptor, (int)order[i]);
        (void)wait_idle(stage);
    }
    struct stage_state last = wait_idle(stage);
    stage_close(stage);
    (void)umount(local);
    ck_assert_uint_ge(first.copies, 4);
    ck_assert_uint_eq(last.copies, first.copies);
    check_warnings(1, "No space left");
    end_test();
}
END_TEST

START_TEST(a_useless_folder_is_one_warning)
{
    begin_test();
    plant(0, 1 * KB);
    (void)snprintf(folder, sizeof folder, "%s/shard-00", base);
    ck_assert_ptr_null(begin(1, 1 << 30, 1, 0));
    check_warnings(1, "nothing is staged");
    (void)snprintf(folder, sizeof folder, "%s/shard-00/below", base);
    ck_assert_ptr_null(begin(1, 1 << 30, 1, 0));
    check_warnings(2, "nothing is staged");
    end_test();
}
END_TEST

/* Copies of other shards are left while there is room, or somebody uses them. */
START_TEST(leftovers_of_others_make_room)
{
    begin_test();
    for (int i = 0; i < 4; i++)
        plant(i, 100 * KB);
    struct stage *other = begin(2, 1 << 30, 1, 0);
    (void)wait_idle(other);
    ck_assert_uint_eq(on_disk(1), 2);
    struct stage *stage = begin(4, 500 * KB, 1, 0); /* in use: stays */
    (void)wait_idle(stage);
    ck_assert_uint_eq(on_disk(1), 6);
    stage_close(stage);
    stage_close(other);
    stage = begin(3, 10000 * KB, 1, 0); /* room for all: stays */
    (void)wait_idle(stage);
    ck_assert_uint_eq(on_disk(1), 9);
    stage_close(stage);
    stage = begin(4, 500 * KB, 1, 0);
    ck_assert_uint_eq(wait_idle(stage).copies, 4);
    ck_assert_uint_eq(on_disk(1), 4);
    stage_close(stage);
    check_warnings(0, "");
    end_test();
}
END_TEST

/* Two sources of the same shards (training and validation) share what is there. */
START_TEST(stages_share_a_folder)
{
    begin_test();
    for (int i = 0; i < 8; i++)
        plant(i, 100 * KB);
    struct stage *one = begin(8, 1 << 30, 1, 0), *two = begin(8, 1 << 30, 1, 0);
    ck_assert_uint_eq(wait_idle(one).copies, 8);
    ck_assert_uint_eq(wait_idle(two).copies, 8);
    ck_assert_uint_eq(on_disk(1), 8);
    stage_reject(one, 5);
    ck_assert_int_eq(stage_descriptor(two, 5), -1);
    check_copy(stage_descriptor(two, 6), 6);
    stage_close(one);
    check_copy(stage_descriptor(two, 7), 7);
    stage_close(two);
    end_test();
}
END_TEST

/* Killed in the middle of a copy, again and again: what has a copy's name is whole, and halves do not pile up. */
START_TEST(killed_runs_leave_nothing_half)
{
    begin_test();
    for (int i = 0; i < 8; i++)
        plant(i, 900 * KB);
    for (int round = 0; round < 12; round++) {
        pid_t child = fork();
        if (child == 0) {
            (void)begin(8, 1 << 30, 1, 0);
            for (;;)
                (void)pause();
        }
        struct timespec some = {0, 1000000 + round * 700000};
        (void)nanosleep(&some, NULL);
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
    }
    struct stage *stage = begin(8, 1 << 30, 1, 0);
    ck_assert_uint_eq(wait_idle(stage).copies, 8);
    ck_assert_uint_eq(on_disk(1), 8);
    for (int i = 0; i < 8; i++)
        check_copy(stage_descriptor(stage, (uint64_t)i), i);
    stage_close(stage);
    end_test();
}
END_TEST

/* ---- many readers ---- */

static struct reading {
    struct stage *stage;
    uint64_t order[MOST];
    atomic_int at, wrong;
    int count;
} reading;

static void *read_on(void *unused)
{
    unsigned char bytes[64];
    (void)unused;
    for (int at = atomic_fetch_add(&reading.at, 1); at < reading.count; at = atomic_fetch_add(&reading.at, 1)) {
        uint64_t file = reading.order[at];
        int descriptor = stage_descriptor(reading.stage, file);
        if (descriptor < 0)
            continue;
        struct timespec pause = {0, 200000};
        (void)nanosleep(&pause, NULL); /* the copy may leave meanwhile */
        if (pread(descriptor, bytes, sizeof bytes, 5000) != sizeof bytes || bytes[0] != byte_of((int)file, 5000))
            atomic_fetch_add(&reading.wrong, 1);
        (void)close(descriptor);
        if (at % 11 == 10)
            stage_reject(reading.stage, file);
    }
    return NULL;
}

START_TEST(many_threads_read)
{
    enum { COUNT = 32, THREADS = 8, EPOCHS = 20 };
    begin_test();
    for (int i = 0; i < COUNT; i++)
        plant(i, 20 * KB);
    reading.stage = begin(COUNT, 10 * 20 * KB, 4, 0);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        pthread_t threads[THREADS];
        for (int i = 0; i < COUNT; i++)
            reading.order[i] = (uint64_t)((i * 5 + epoch * 3) % COUNT);
        reading.count = COUNT;
        atomic_store(&reading.at, 0);
        stage_arrange(reading.stage, reading.order, COUNT);
        for (int i = 0; i < THREADS; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, read_on, NULL), 0);
        for (int i = 0; i < THREADS; i++)
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    ck_assert_int_eq(atomic_load(&reading.wrong), 0);
    ck_assert_uint_le(on_disk(0), 10 * 20 * KB);
    stage_close(reading.stage);
    end_test();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tfrecord_stage");
    TCase *tests = tcase_create("stage");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, copies_are_made_and_used_again);
    tcase_add_test(tests, copies_of_changed_originals_leave);
    tcase_add_test(tests, the_budget_is_kept_and_what_is_needed_next_is_there);
    tcase_add_test(tests, small_budgets_are_no_trouble);
    tcase_add_test(tests, damaged_copies_are_not_used);
    tcase_add_test(tests, a_disk_that_damages_copies_is_left_alone);
    tcase_add_test(tests, a_full_disk_is_one_warning);
    tcase_add_test(tests, a_small_file_system_is_filled_and_no_more);
    tcase_add_test(tests, a_useless_folder_is_one_warning);
    tcase_add_test(tests, leftovers_of_others_make_room);
    tcase_add_test(tests, stages_share_a_folder);
    tcase_add_test(tests, killed_runs_leave_nothing_half);
    tcase_add_test(tests, many_threads_read);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
