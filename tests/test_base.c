/* test_base.c: memory, text, nearest names, files and log of the core. */
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

#include <check.h> /* after ours: it has a macro `fail` */

static char folder[64]; /* made for each test, removed after it */

static void make_folder(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/tenon-base-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *in_folder(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* ---- arena and growing arrays ---- */

static bool all_are(const unsigned char *bytes, size_t count, unsigned char value)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

START_TEST(arena_gives_zeroed_aligned_memory_that_does_not_overlap)
{
    struct tn_arena arena = {0};
    unsigned char *kept[400];
    size_t sizes[400];
    for (size_t i = 0; i < TN_COUNT_OF(kept); i++) {
        sizes[i] = i % 37 == 36 ? 40000 : i * 7 % 300; /* some are larger than a block */
        kept[i] = tn_arena_take(&arena, sizes[i]);
        ck_assert_ptr_nonnull(kept[i]);
        ck_assert_uint_eq((uintptr_t)kept[i] % 16, 0);
        ck_assert(all_are(kept[i], sizes[i], 0));
        memset(kept[i], (int)(i % 255 + 1), sizes[i]);
    }
    for (size_t i = 0; i < TN_COUNT_OF(kept); i++)
        ck_assert(all_are(kept[i], sizes[i], (unsigned char)(i % 255 + 1)));
    tn_arena_release(&arena);
    ck_assert_ptr_null(arena.blocks);
}
END_TEST

START_TEST(arena_refuses_sizes_that_overflow_and_stays_failed)
{
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 16 * 1024};
    for (size_t i = 0; i < TN_COUNT_OF(sizes); i++) {
        struct tn_arena arena = {0};
        ck_assert_ptr_null(tn_arena_take(&arena, sizes[i]));
        ck_assert(arena.failed);
        ck_assert_ptr_null(tn_arena_take(&arena, 1));
        ck_assert_ptr_null(tn_arena_string(&arena, "x"));
        tn_arena_release(&arena);
        ck_assert(!arena.failed);
    }
}
END_TEST

START_TEST(arena_copies_text)
{
    struct tn_arena arena = {0};
    char long_text[5000];
    memset(long_text, 'a', sizeof long_text);
    ck_assert_str_eq(tn_arena_text(&arena, "hello", 4), "hell");
    ck_assert_str_eq(tn_arena_string(&arena, ""), "");
    ck_assert_ptr_null(tn_arena_string(&arena, NULL));
    ck_assert_str_eq(tn_arena_format(&arena, "%s-%d", "conv", 3), "conv-3");
    ck_assert_uint_eq(strlen(tn_arena_format(&arena, "%.*s", (int)sizeof long_text, long_text)), sizeof long_text);
    tn_arena_release(&arena);
}
END_TEST

START_TEST(arrays_grow_and_keep_what_they_have)
{
    int *numbers = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < 10000; i++) {
        ck_assert_int_eq(tn_grow(&numbers, &capacity, i + 1, sizeof *numbers), TN_OK);
        ck_assert_uint_gt(capacity, i);
        numbers[i] = (int)i;
    }
    for (size_t i = 0; i < 10000; i++)
        ck_assert_msg(numbers[i] == (int)i, "number %zu is %d", i, numbers[i]);
    size_t before = capacity;
    ck_assert_int_eq(tn_grow(&numbers, &capacity, SIZE_MAX, sizeof *numbers), TN_NO_MEMORY);
    ck_assert_int_eq(tn_grow(&numbers, &capacity, SIZE_MAX / 2, sizeof *numbers), TN_NO_MEMORY);
    ck_assert_uint_eq(capacity, before);
    ck_assert_int_eq(numbers[9999], 9999);
    free(numbers);
}
END_TEST

/* ---- text ---- */

START_TEST(text_builder_adds)
{
    struct tn_text text = {0};
    tn_text_add_bytes(&text, NULL, 0);
    ck_assert_str_eq(text.data, "");
    for (int i = 0; i < 1000; i++)
        tn_text_format(&text, "%d,", i % 10);
    tn_text_add(&text, "end");
    tn_text_add_bytes(&text, "!!", 1);
    ck_assert_uint_eq(text.length, 2004);
    ck_assert_uint_eq(strlen(text.data), text.length);
    ck_assert_str_eq(text.data + 1998, "9,end!");
    tn_text_add_bytes(&text, "x", SIZE_MAX); /* refused before anything is read */
    ck_assert(text.failed);
    ck_assert_uint_eq(text.length, 2004);
    tn_text_release(&text);
    ck_assert_ptr_null(text.data);
}
END_TEST

static const struct {
    const char *text, *json;
} json_texts[] = {
    {"", "\"\""},
    {"plain", "\"plain\""},
    {"a\"b\\c", "\"a\\\"b\\\\c\""},
    {"tab\tline\n\r\x01", "\"tab\\tline\\n\\u000d\\u0001\""},
    {"\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x90\xB1", "\"\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x90\xB1\""},
    {"Latin-1 \xE4", "\"Latin-1 \\ufffd\""},                 /* cut off */
    {"\xE4 x", "\"\\ufffd x\""},                             /* no continuation */
    {"\xC0\xAF", "\"\\ufffd\\ufffd\""},                      /* too long a form */
    {"\xE0\x80\xAF", "\"\\ufffd\\ufffd\\ufffd\""},           /* too long a form */
    {"\xED\xA0\x80", "\"\\ufffd\\ufffd\\ufffd\""},           /* half of a surrogate pair */
    {"\xF4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""} /* beyond the last character */
};
START_TEST(json_strings_are_valid_whatever_a_file_is_called)
{
    struct tn_text text = {0};
    tn_text_json(&text, json_texts[_i].text);
    ck_assert_str_eq(text.data, json_texts[_i].json);
    tn_text_release(&text);
}
END_TEST

START_TEST(numbers_for_people)
{
    static const struct {
        uint64_t bytes;
        const char *said;
    } bytes[] = {{0, "0 B"},          {999, "999 B"},          {1000, "1.0 KiB"},       {1536, "1.5 KiB"},
                 {102359, "100 KiB"}, {1503238553, "1.4 GiB"}, {1ull << 40, "1.0 TiB"}, {UINT64_MAX, "16.0 EiB"}};
    static const struct {
        uint64_t count;
        const char *said;
    } counts[] = {
        {0, "0"}, {999, "999"}, {1000, "1,000"}, {19034186, "19,034,186"}, {UINT64_MAX, "18,446,744,073,709,551,615"}};
    static const struct {
        double seconds;
        const char *said;
    } durations[] = {{0, "0.0 s"},        {0.04, "0.0 s"},     {9.94, "9.9 s"},    {9.96, "10 s"},
                     {59.4, "59 s"},      {59.6, "1 min 0 s"}, {125, "2 min 5 s"}, {3599.7, "1 h 0 min"},
                     {7322, "2 h 2 min"}, {-1, "0.0 s"},       {NAN, "0.0 s"},     {INFINITY, "0.0 s"}};
    char buffer[64], small[5];
    for (size_t i = 0; i < TN_COUNT_OF(bytes); i++)
        ck_assert_str_eq(tn_say_bytes(buffer, sizeof buffer, bytes[i].bytes), bytes[i].said);
    for (size_t i = 0; i < TN_COUNT_OF(counts); i++) {
        ck_assert_str_eq(tn_say_count(buffer, sizeof buffer, counts[i].count), counts[i].said);
        /* A buffer that just fits holds all of it. */
        ck_assert_str_eq(tn_say_count(buffer, strlen(counts[i].said) + 1, counts[i].count), counts[i].said);
    }
    for (size_t i = 0; i < TN_COUNT_OF(durations); i++)
        ck_assert_str_eq(tn_say_seconds(buffer, sizeof buffer, durations[i].seconds), durations[i].said);
    ck_assert_uint_lt(strlen(tn_say_count(small, sizeof small, UINT64_MAX)), sizeof small);
    ck_assert_uint_lt(strlen(tn_say_bytes(small, sizeof small, UINT64_MAX)), sizeof small);
    ck_assert_uint_lt(strlen(tn_say_seconds(small, sizeof small, 1e9)), sizeof small);
}
END_TEST

static const struct {
    const char *word, *nearest;
} near_words[] = {{"filers", "filters"},
                  {"filter", "filters"},
                  {"fitlers", "filters"}, /* two letters changed places */
                  {"FILTERS", "filters"},
                  {"SGD", "sgd"},
                  {"Conv2D", "conv2d"},
                  {"MaxPooling2D", "max_pooling2d"},
                  {"max_pool", "max_pooling2d"}, /* a beginning */
                  {"pading", "padding"},
                  {"mode", NULL},
                  {"x", NULL},
                  {"", NULL},
                  {"sg", "sgd"},
                  {"kernel", "kernel_size"},
                  {"entirely_different", NULL}};
START_TEST(nearest_name)
{
    static const char *const names[] = {"filters", "kernel_size",   "padding", "sgd",
                                        "conv2d",  "max_pooling2d", "l2",      NULL};
    static const char *const none[] = {NULL};
    const char *found = tn_nearest(near_words[_i].word, names);
    if (near_words[_i].nearest)
        ck_assert_pstr_eq(found, near_words[_i].nearest);
    else
        ck_assert_ptr_null(found);
    ck_assert_ptr_null(tn_nearest(near_words[_i].word, none));
}
END_TEST

START_TEST(nearest_name_of_long_words_does_not_overrun)
{
    char word[300], exactly[65];
    const char *names[] = {word, exactly, NULL};
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    memset(exactly, 'a', sizeof exactly - 1);
    exactly[sizeof exactly - 1] = '\0';
    ck_assert_ptr_null(tn_nearest(word, names));
    ck_assert_pstr_eq(tn_nearest(exactly + 1, names), exactly);
    ck_assert_pstr_eq(tn_nearest(exactly, names), exactly);
}
END_TEST

/* ---- files ---- */

/* Names in the folder, without "." and "..". */
static int count_files(void)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    int count = 0;
    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)))
        count += entry->d_name[0] != '.';
    (void)closedir(directory);
    return count;
}

START_TEST(files_are_written_whole_and_read_back)
{
    static const size_t sizes[] = {0, 1, 4096, 3000001};
    struct tn_error error = {.status = TN_OK};
    for (size_t i = 0; i < TN_COUNT_OF(sizes); i++) {
        unsigned char *bytes = malloc(sizes[i] + 1);
        void *data;
        uint64_t count;
        for (size_t k = 0; k < sizes[i]; k++)
            bytes[k] = (unsigned char)(k * 31 + i);
        ck_assert_int_eq(tn_file_write(in_folder("file"), bytes, sizes[i], &error), TN_OK);
        ck_assert_int_eq(count_files(), 1); /* nothing temporary stays */
        ck_assert_int_eq(tn_file_read(in_folder("file"), sizes[i], &data, &count, &error), TN_OK);
        ck_assert_uint_eq(count, sizes[i]);
        ck_assert_int_eq(memcmp(data, bytes, sizes[i]), 0);
        ck_assert_int_eq(((char *)data)[count], 0);
        free(data);
        if (sizes[i]) {
            ck_assert_int_eq(tn_file_read(in_folder("file"), sizes[i] - 1, &data, &count, &error), TN_NO_MEMORY);
            ck_assert_ptr_null(data);
            ck_assert_ptr_nonnull(strstr(error.text, in_folder("file")));
        }
        free(bytes);
    }
}
END_TEST

START_TEST(a_failed_write_leaves_the_old_file_and_nothing_else)
{
    struct tn_error error = {.status = TN_OK};
    void *data;
    uint64_t count;
    ck_assert_int_eq(tn_file_write(in_folder("file"), "old", 3, &error), TN_OK);
    /* No room: the limit on the size of files stands in for a full disk. */
    pid_t child = fork();
    if (child == 0) {
        struct tn_error own = {.status = TN_OK};
        char *large = calloc(1, 1 << 20);
        (void)signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, 4096}) != 0 || !large)
            _exit(9);
        _exit(tn_file_write(in_folder("file"), large, 1 << 20, &own) == TN_IO && strstr(own.text, "cannot write") ? 0
                                                                                                                  : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(count_files(), 1);
    ck_assert_int_eq(tn_file_read(in_folder("file"), 100, &data, &count, &error), TN_OK);
    ck_assert_str_eq(data, "old");
    free(data);
    /* A folder of that name is in the way of the rename. */
    ck_assert_int_eq(tn_folder_make(in_folder("taken/x"), &error), TN_OK);
    ck_assert_int_eq(tn_file_write(in_folder("taken"), "new", 3, &error), TN_IO);
    ck_assert_ptr_nonnull(strstr(error.text, "taken: "));
    ck_assert_int_eq(count_files(), 2);
}
END_TEST

START_TEST(a_file_is_compared_with_what_was_written)
{
    enum { BYTES = 600000 }; /* more than is compared at a time */
    struct tn_error error = {.status = TN_OK};
    const char *path = in_folder("compared");
    char *data = calloc(1, BYTES + 1);
    ck_assert_ptr_nonnull(data);
    data[BYTES - 1] = 'x';
    ck_assert_int_eq(tn_file_write_new(path, O_EXCL, data, BYTES, &error), TN_OK);
    ck_assert_int_eq(tn_file_compare(path, data, BYTES, &error), TN_OK);
    ck_assert_int_eq(tn_file_compare(path, data, BYTES + 1, &error), TN_IO); /* it is shorter */
    data[BYTES - 1] = 'y';
    ck_assert_int_eq(tn_file_compare(path, data, BYTES, &error), TN_IO);
    ck_assert_ptr_nonnull(strstr(error.text, path));
    ck_assert_int_eq(tn_file_write_new(path, O_EXCL, data, BYTES, &error), TN_IO); /* it is there */
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(tn_file_compare(path, data, BYTES, &error), TN_IO);
    free(data);
}
END_TEST

START_TEST(file_errors_name_the_path_and_the_reason)
{
    struct tn_error error = {.status = TN_OK};
    void *data;
    uint64_t count;
    char too_long[5000];
    memset(too_long, 'a', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    ck_assert_int_eq(tn_file_read(in_folder("absent"), 100, &data, &count, &error), TN_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.text, "absent: No such file"));
    ck_assert_int_eq(tn_file_read(in_folder("absent"), 100, &data, &count, NULL), TN_NOT_FOUND);
    ck_assert_int_eq(tn_file_read(folder, 1 << 20, &data, &count, &error), TN_IO);
    ck_assert_ptr_nonnull(strstr(error.text, "not a regular file"));
    ck_assert_int_eq(mkfifo(in_folder("pipe"), 0600), 0);
    ck_assert_int_eq(tn_file_read(in_folder("pipe"), 100, &data, &count, &error), TN_IO); /* at once */
    ck_assert_int_eq(tn_file_write(in_folder("no/such/file"), "x", 1, &error), TN_NOT_FOUND);
    ck_assert_int_eq(tn_file_write(too_long, "x", 1, &error), TN_IO);
    ck_assert_int_eq(tn_file_append(in_folder("no/such/file"), "x", 1, &error), TN_NOT_FOUND);
    ck_assert_int_eq(tn_folder_make(too_long, &error), TN_IO);
}
END_TEST

START_TEST(append_adds_to_the_end)
{
    struct tn_error error = {.status = TN_OK};
    void *data;
    uint64_t count;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(tn_file_append(in_folder("log"), "ab\n", 3, &error), TN_OK);
    ck_assert_int_eq(tn_file_read(in_folder("log"), 100, &data, &count, &error), TN_OK);
    ck_assert_str_eq(data, "ab\nab\nab\n");
    free(data);
}
END_TEST

START_TEST(folders_are_made_with_parents)
{
    struct tn_error error = {.status = TN_OK};
    ck_assert_int_eq(tn_folder_make(in_folder("a/b//c/"), &error), TN_OK);
    ck_assert(tn_path_is_folder(in_folder("a/b/c")));
    ck_assert_int_eq(tn_folder_make(in_folder("a/b/c"), &error), TN_OK);
    ck_assert_int_eq(tn_file_write(in_folder("a/file"), "x", 1, &error), TN_OK);
    ck_assert(tn_path_exists(in_folder("a/file")));
    ck_assert(!tn_path_is_folder(in_folder("a/file")));
    ck_assert(!tn_path_exists(in_folder("a/none")));
    ck_assert_int_eq(tn_folder_make(in_folder("a/file"), &error), TN_IO);
    ck_assert_ptr_nonnull(strstr(error.text, "in the way"));
    ck_assert_int_ne(tn_folder_make(in_folder("a/file/deeper"), &error), TN_OK);
    ck_assert_int_ne(tn_folder_make("", &error), TN_OK);
}
END_TEST

START_TEST(paths_beside_a_file)
{
    static const struct {
        const char *base, *path, *result;
    } cases[] = {{"exp/a.ini", "b.ini", "exp/b.ini"},         {"a.ini", "b.ini", "b.ini"},
                 {"/exp/a.ini", "../b", "/exp/../b"},         {"/a.ini", "b", "/b"},
                 {"exp/a.ini", "/data/train", "/data/train"}, {NULL, "b", "b"}};
    struct tn_arena arena = {0};
    for (size_t i = 0; i < TN_COUNT_OF(cases); i++)
        ck_assert_str_eq(tn_path_beside(&arena, cases[i].base, cases[i].path), cases[i].result);
    tn_arena_release(&arena);
}
END_TEST

/* ---- process ---- */

START_TEST(memory_of_the_process_is_seen)
{
    enum { MORE = 64 << 20 };
    uint64_t before = tn_memory_resident();
    double start = tn_seconds_now();
    volatile char *memory = malloc(MORE);
    ck_assert_uint_gt(before, 0);
    for (size_t i = 0; i < MORE; i += 4096)
        memory[i] = 1;
    ck_assert_uint_gt(tn_memory_resident(), before + MORE / 2);
    ck_assert_uint_ge(tn_memory_peak(), before + MORE / 2);
    ck_assert(tn_seconds_now() > start);
    free((void *)memory);
}
END_TEST

/* ---- log ---- */

struct heard {
    unsigned lines, wrong;
    int32_t level;
    char last[4096];
};

static void hear(void *context, int32_t level, const char *text)
{
    struct heard *heard = context;
    heard->lines++; /* the log's lock protects it */
    heard->level = level;
    heard->wrong += strncmp(text, "thread ", 7) != 0;
    (void)snprintf(heard->last, sizeof heard->last, "%s", text);
}

static void *speak(void *argument)
{
    for (int i = 0; i < 500; i++)
        tn_log(2, "thread %d line %d", *(int *)argument, i);
    return NULL;
}

START_TEST(log_reaches_the_sink_from_all_threads)
{
    struct heard heard = {0};
    pthread_t threads[4];
    int numbers[4];
    char long_text[5000];
    tn_log(1, "nobody listens");
    tn_log_to(hear, &heard);
    for (int i = 0; i < 4; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, speak, &numbers[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_uint_eq(heard.lines, 2000);
    ck_assert_uint_eq(heard.wrong, 0);
    ck_assert_int_eq(heard.level, 2);
    memset(long_text, 'a', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    tn_log(3, "%s", long_text); /* cut, not overrun */
    ck_assert_uint_gt(strlen(heard.last), 1000);
    tn_log_to(NULL, NULL);
    tn_log(1, "nobody listens");
    ck_assert_uint_eq(heard.lines, 2001);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *memory = tcase_create("memory"), *text = tcase_create("text"), *files = tcase_create("files");
    TCase *process = tcase_create("process");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_test(memory, arena_gives_zeroed_aligned_memory_that_does_not_overlap);
    tcase_add_test(memory, arena_refuses_sizes_that_overflow_and_stays_failed);
    tcase_add_test(memory, arena_copies_text);
    tcase_add_test(memory, arrays_grow_and_keep_what_they_have);
    tcase_add_test(text, text_builder_adds);
    tcase_add_loop_test(text, json_strings_are_valid_whatever_a_file_is_called, 0, TN_COUNT_OF(json_texts));
    tcase_add_test(text, numbers_for_people);
    tcase_add_loop_test(text, nearest_name, 0, TN_COUNT_OF(near_words));
    tcase_add_test(text, nearest_name_of_long_words_does_not_overrun);
    tcase_add_checked_fixture(files, make_folder, remove_folder);
    tcase_add_test(files, files_are_written_whole_and_read_back);
    tcase_add_test(files, a_failed_write_leaves_the_old_file_and_nothing_else);
    tcase_add_test(files, a_file_is_compared_with_what_was_written);
    tcase_add_test(files, file_errors_name_the_path_and_the_reason);
    tcase_add_test(files, append_adds_to_the_end);
    tcase_add_test(files, folders_are_made_with_parents);
    tcase_add_test(files, paths_beside_a_file);
    tcase_add_test(process, memory_of_the_process_is_seen);
    tcase_add_test(process, log_reaches_the_sink_from_all_threads);
    suite_add_tcase(suite, memory);
    suite_add_tcase(suite, text);
    suite_add_tcase(suite, files);
    suite_add_tcase(suite, process);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
