/* test_directory.c: what the source `directory` takes, leaves out, and says. The exact lists of Keras are checked by
 * test_golden_dirscan.
 */
#include <fcntl.h>

#include "data_rig.h"

struct tree {
    char root[PATH_MAX];
    char log[4096]; /* all lines */
    struct rig rig;
};

static void collect(void *context, int32_t level, const char *text)
{
    struct tree *tree = context;
    size_t used = strlen(tree->log);
    (void)snprintf(tree->log + used, sizeof tree->log - used, "%d %s\n", (int)level, text);
}

static void plant(struct tree *tree, const char *const *files)
{
    rig_folder(tree->root);
    for (; *files; files++) {
        char path[PATH_MAX + 256];
        (void)snprintf(path, sizeof path, "%s/%s", tree->root, *files);
        rig_write(path, "x", 1);
    }
}

/* Opens the tree with some keys of [data] and of the source. */
static tn_status look(struct tree *tree, const char *data_keys, const char *source_keys, const char *below)
{
    char ini[3 * PATH_MAX];
    (void)snprintf(ini, sizeof ini, "[data]\n%s\n[source:s]\ntype = directory\npath = %s%s\n%s\n", data_keys,
                   tree->root, below, source_keys);
    tree->log[0] = '\0';
    tn_log_to(collect, tree);
    tn_status status = rig_open(&tree->rig, ini);
    tn_log_to(NULL, NULL);
    return status;
}

static void check_names(const struct tree *tree, const char *const *names)
{
    uint64_t count = tn_dataset_info(tree->rig.dataset)->count;
    for (uint64_t i = 0; i < count; i++) {
        char name[512];
        tn_dataset_sample_name(tree->rig.dataset, i, name, sizeof name);
        ck_assert_ptr_nonnull(names[i]);
        ck_assert_str_eq(name, names[i]);
    }
    ck_assert_ptr_null(names[count]);
}

static void check_says(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "`%s` is missing in: %s", part, text);
}

static const char *const usual[] = {"b/2.jpg",      "b/10.JPG",      "b/notes.txt",  "a/z.png",
                                    "a/sub/p.jpeg", "a/.hidden.jpg", ".ipynb/x.jpg", "a/q.heic",
                                    "a/r.gif",      "loose.jpg",     "a/.git/1.jpg", NULL};

START_TEST(hidden_and_foreign_files_are_left_out_with_one_line)
{
    static const char *const expected[] = {"a/z.png", "a/sub/p.jpeg", "b/10.JPG", "b/2.jpg", NULL};
    struct tree tree;
    plant(&tree, usual);
    ck_assert_msg(look(&tree, "", "", "") == TN_OK, "%s", tree.rig.error.text);
    check_names(&tree, expected);
    check_says(tree.log, "4 pictures");
    check_says(tree.log, "3 hidden");
    check_says(tree.log, "2 pictures without a codec (1 .gif, 1 .heic)");
    check_says(tree.log, "1 picture outside of class folders");
    check_says(tree.log, "1 other file");
    ck_assert_ptr_eq(strchr(tree.log, '\n'), strrchr(tree.log, '\n')); /* one line */
    rig_close(&tree.rig);
    rig_remove(tree.root);
}
END_TEST

START_TEST(hidden_files_count_when_asked_for)
{
    static const char *const expected[] = {".ipynb/x.jpg", "a/.hidden.jpg", "a/z.png", "a/.git/1.jpg",
                                           "a/sub/p.jpeg", "b/10.JPG",      "b/2.jpg", NULL};
    struct tree tree;
    plant(&tree, usual);
    ck_assert_msg(look(&tree, "", "hidden = yes", "") == TN_OK, "%s", tree.rig.error.text);
    check_names(&tree, expected);
    ck_assert_uint_eq(tn_dataset_info(tree.rig.dataset)->class_count, 3);
    rig_close(&tree.rig);
    rig_remove(tree.root);
}
END_TEST

START_TEST(a_clean_folder_says_nothing)
{
    static const char *const files[] = {"a/1.jpg", "b/1.jpg", NULL};
    struct tree tree;
    plant(&tree, files);
    ck_assert_int_eq(look(&tree, "", "", ""), TN_OK);
    ck_assert_str_eq(tree.log, "");
    rig_close(&tree.rig);
    rig_remove(tree.root);
}
END_TEST

START_TEST(classes_give_order_and_number)
{
    static const char *const expected[] = {"b/10.JPG", "b/2.jpg", "a/z.png", "a/sub/p.jpeg", NULL};
    struct tree tree;
    plant(&tree, usual);
    ck_assert_int_eq(look(&tree, "classes = b, a", "", ""), TN_OK);
    check_names(&tree, expected);
    rig_close(&tree.rig);
    ck_assert_int_eq(look(&tree, "classes = b", "", ""), TN_OK);
    check_says(tree.log, "1 folder that is no class here (a)");
    rig_close(&tree.rig);
    ck_assert_int_eq(look(&tree, "classes = b, c", "", ""), TN_INVALID);
    check_says(tree.rig.error.text, "no folder for class c");
    rig_close(&tree.rig);
    ck_assert_int_eq(look(&tree, "classes = b, b", "", ""), TN_INVALID);
    check_says(tree.rig.error.text, "`b` is there twice");
    rig_close(&tree.rig);
    ck_assert_int_eq(look(&tree, "classes = b, ../etc", "", ""), TN_INVALID);
    check_says(tree.rig.error.text, "no folder below");
    rig_close(&tree.rig);
    rig_remove(tree.root);
}
END_TEST

START_TEST(what_is_missing_is_named)
{
    static const char *const files[] = {"a/1.jpg", "b/1.txt", "c/2.gif", "parts/train/a/1.jpg", NULL};
    static const char *const loose[] = {"1.jpg", "2.jpg", NULL};
    struct tree tree;
    plant(&tree, files);
    ck_assert_int_eq(look(&tree, "", "", "/gone"), TN_NOT_FOUND);
    check_says(tree.rig.error.text, "/gone is not there");
    rig_close(&tree.rig);
    ck_assert_int_eq(look(&tree, "", "", ""), TN_INVALID);
    check_says(tree.rig.error.text, "class folders without pictures: b, c");
    check_says(tree.rig.error.text, "empty_classes = yes");
    rig_close(&tree.rig);
    ck_assert_int_eq(look(&tree, "", "empty_classes = yes", ""), TN_OK);
    ck_assert_uint_eq(tn_dataset_info(tree.rig.dataset)->class_count, 4);
    rig_close(&tree.rig);
    ck_assert_int_eq(look(&tree, "", "", "/b"), TN_INVALID);
    check_says(tree.rig.error.text, "no pictures in");
    rig_close(&tree.rig);
    ck_assert_int_eq(look(&tree, "", "", "/parts"), TN_OK);
    check_says(tree.log, "one folder too high");
    rig_close(&tree.rig);
    ck_assert_int_eq(look(&tree, "", "", "/a/1.jpg"), TN_INVALID);
    check_says(tree.rig.error.text, "is a file");
    rig_close(&tree.rig);
    rig_remove(tree.root);
    plant(&tree, loose);
    ck_assert_int_eq(look(&tree, "", "", ""), TN_INVALID);
    check_says(tree.rig.error.text, "2 pictures but no class folders");
    rig_close(&tree.rig);
    rig_remove(tree.root);
}
END_TEST

START_TEST(without_classes_every_picture_counts)
{
    static const char *const all[] = {"loose.jpg", "a/z.png", "a/sub/p.jpeg", "b/10.JPG", "b/2.jpg", NULL};
    struct tree tree;
    plant(&tree, usual);
    ck_assert_int_eq(look(&tree, "class_mode = none", "", ""), TN_OK);
    check_names(&tree, all);
    ck_assert_uint_eq(tn_dataset_info(tree.rig.dataset)->class_count, 0);
    rig_close(&tree.rig);
    ck_assert_int_eq(look(&tree, "class_mode = none", "", "/a/z.png"), TN_OK);
    ck_assert_uint_eq(tn_dataset_info(tree.rig.dataset)->count, 1);
    rig_close(&tree.rig);
    rig_remove(tree.root);
}
END_TEST

START_TEST(links_are_followed_when_asked_and_never_in_circles)
{
    static const char *const files[] = {"data/a/1.jpg", "data/b/1.jpg", "other/2.jpg", "other/deep/3.jpg", NULL};
    static const char *const plain[] = {"a/1.jpg", "a/dangling.jpg", "b/1.jpg", "c/2.jpg", "c/deep/3.jpg", NULL};
    static const char *const followed[] = {"a/1.jpg", "a/dangling.jpg", "a/more/2.jpg", "a/more/deep/3.jpg",
                                           "b/1.jpg", "c/2.jpg",        "c/deep/3.jpg", NULL};
    struct tree tree;
    plant(&tree, files);
    int here = open(".", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(chdir(tree.root), 0);
    ck_assert_int_eq(symlink("../../other", "data/a/more"), 0);
    ck_assert_int_eq(symlink("..", "data/a/up"), 0);
    ck_assert_int_eq(symlink("../other", "data/c"), 0); /* a linked class is read always */
    ck_assert_int_eq(symlink("nowhere.jpg", "data/a/dangling.jpg"), 0);
    ck_assert_int_eq(mkfifo("data/b/pipe.jpg", 0600), 0);
    ck_assert_int_eq(fchdir(here), 0);
    close(here);
    ck_assert_msg(look(&tree, "", "", "/data") == TN_OK, "%s", tree.rig.error.text);
    check_names(&tree, plain);
    check_says(tree.log, "2 linked folders");
    rig_close(&tree.rig);
    ck_assert_msg(look(&tree, "", "follow_links = yes", "/data") == TN_OK, "%s", tree.rig.error.text);
    /* a/up leads to data itself, whose a/ is an ancestor: b and c come once more below it */
    ck_assert_uint_ge(tn_dataset_info(tree.rig.dataset)->count, TN_COUNT_OF(followed) - 1);
    check_says(tree.log, "leading back");
    rig_close(&tree.rig);
    rig_remove(tree.root);
}
END_TEST

START_TEST(listed_pictures_are_left_out)
{
    static const char *const expected[] = {"a/sub/p.jpeg", "b/10.JPG", NULL};
    struct tree tree;
    char list[PATH_MAX + 16], keys[PATH_MAX + 64];
    plant(&tree, usual);
    (void)snprintf(list, sizeof list, "%s/list", tree.root);
    /* Below the source, with the source's folder in front, and what is no whole name or is not there. */
    const char *slash = strrchr(tree.root, '/');
    char text[PATH_MAX + 128];
    int length =
        snprintf(text, sizeof text, "# bad ones\r\na/z.png\r\n\n./%s/b/2.jpg\n0.JPG\nc/none.jpg\np.jpeg", slash + 1);
    rig_write(list, text, (size_t)length);
    (void)snprintf(keys, sizeof keys, "exclude = %s", list);
    ck_assert_msg(look(&tree, "", keys, "") == TN_OK, "%s", tree.rig.error.text);
    check_names(&tree, expected);
    check_says(tree.log, "2 excluded");
    rig_close(&tree.rig);
    ck_assert_int_ne(look(&tree, "", "exclude = /nowhere/list", ""), TN_OK);
    check_says(tree.rig.error.text, "/nowhere/list");
    rig_close(&tree.rig);
    rig_remove(tree.root);
}
END_TEST

START_TEST(a_file_that_vanished_is_an_error_that_names_it)
{
    static const char *const files[] = {"a/1.jpg", "b/1.jpg", NULL};
    struct tree tree;
    const struct tn_batch *batch;
    char path[PATH_MAX + 16];
    plant(&tree, files);
    ck_assert_int_eq(look(&tree, "target_size = 8", "", ""), TN_OK);
    (void)snprintf(path, sizeof path, "%s/a/1.jpg", tree.root);
    ck_assert_int_eq(unlink(path), 0);
    (void)snprintf(path, sizeof path, "%s/b/1.jpg", tree.root);
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert_int_eq(tn_dataset_begin(tree.rig.dataset, 0, 0, &tree.rig.error), TN_OK);
    ck_assert_int_ne(tn_dataset_next(tree.rig.dataset, &batch, &tree.rig.error), TN_OK);
    ck_assert(strstr(tree.rig.error.text, "a/1.jpg") || strstr(tree.rig.error.text, "b/1.jpg (source s): it is empty"));
    rig_close(&tree.rig);
    rig_remove(tree.root);
}
END_TEST

START_TEST(the_index_is_compact)
{
    enum { FILES = 600 };
    struct tree tree;
    rig_folder(tree.root);
    for (int i = 0; i < FILES; i++) {
        char path[PATH_MAX + 32];
        (void)snprintf(path, sizeof path, "%s/%c/%05d.jpg", tree.root, 'a' + i % 3, i);
        if (i < 3)
            rig_write(path, "x", 1);
        int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        ck_assert_int_ge(file, 0);
        close(file);
    }
    ck_assert_int_eq(look(&tree, "", "", ""), TN_OK);
    const struct tn_source_info *info = tn_dataset_info(tree.rig.dataset);
    ck_assert_uint_eq(info->count, FILES);
    ck_assert_uint_gt(info->index_bytes, FILES * 18);
    ck_assert_uint_le(info->index_bytes, FILES * 18 * 2 + 4096); /* doubling, at worst */
    rig_close(&tree.rig);
    rig_remove(tree.root);
}
END_TEST

/* ---- whether something has changed ---- */

struct digest {
    uint64_t numbers[2];
};

static struct digest digest_of(struct tree *tree, int32_t subset)
{
    struct digest digest;
    char ini[2 * PATH_MAX];
    (void)snprintf(ini, sizeof ini, "[data]\nvalidation_split = 0.5\n[source:s]\ntype = directory\npath = %s\n",
                   tree->root);
    ck_assert_msg(rig_prepare(&tree->rig, ini) == TN_OK, "%s", tree->rig.error.text);
    tree->rig.spec.subset = subset;
    ck_assert_msg(tn_dataset_open(&tree->rig.spec, &tree->rig.dataset, &tree->rig.error) == TN_OK, "%s",
                  tree->rig.error.text);
    const struct tn_source *source = (const struct tn_source *)tree->rig.source->type;
    ck_assert_int_eq(source->digest(tree->rig.source->self, digest.numbers, &tree->rig.error), TN_OK);
    rig_close(&tree->rig);
    return digest;
}

/* All digests so far are different, and the last one comes out again. */
static void check_new(struct tree *tree, struct digest *known, size_t *count)
{
    known[*count] = digest_of(tree, TN_SUBSET_ALL);
    for (size_t i = 0; i < *count; i++)
        ck_assert_msg(memcmp(&known[i], &known[*count], sizeof *known) != 0, "change %zu is not told from %zu", *count,
                      i);
    struct digest again = digest_of(tree, TN_SUBSET_ALL);
    ck_assert_mem_eq(&again, &known[*count], sizeof again);
    ++*count;
}

START_TEST(a_digest_tells_every_change)
{
    static const char *const files[] = {"a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", NULL};
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000, .tv_nsec = 1}};
    struct tree tree;
    struct digest known[16];
    size_t count = 0;
    char path[PATH_MAX + 64], other[PATH_MAX + 64];
    plant(&tree, files);
    check_new(&tree, known, &count);
    for (int32_t subset = TN_SUBSET_TRAINING; subset <= TN_SUBSET_VALIDATION; subset++, count++) {
        known[count] = digest_of(&tree, subset);
        for (size_t i = 0; i < count; i++)
            ck_assert_mem_ne(&known[i], &known[count], sizeof *known);
    }
    (void)snprintf(path, sizeof path, "%s/a/3.jpg", tree.root);
    (void)snprintf(other, sizeof other, "%s/a/4.jpg", tree.root);
    rig_write(path, "x", 1); /* added */
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
    check_new(&tree, known, &count);
    ck_assert_int_eq(rename(path, other), 0); /* renamed */
    check_new(&tree, known, &count);
    rig_write(other, "xy", 2); /* longer, of the same time */
    ck_assert_int_eq(utimensat(AT_FDCWD, other, times, 0), 0);
    check_new(&tree, known, &count);
    times[1].tv_nsec = 2; /* rewritten */
    ck_assert_int_eq(utimensat(AT_FDCWD, other, times, 0), 0);
    check_new(&tree, known, &count);
    (void)snprintf(path, sizeof path, "%s/b/4.jpg", tree.root);
    ck_assert_int_eq(rename(other, path), 0); /* in another class */
    check_new(&tree, known, &count);
    ck_assert_int_eq(unlink(path), 0); /* removed: all is as it was */
    struct digest now = digest_of(&tree, TN_SUBSET_ALL);
    ck_assert_mem_eq(&now, &known[0], sizeof now);
    rig_remove(tree.root);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("directory");
    TCase *scan = tcase_create("scan");
    tcase_set_timeout(scan, 60); /* many small files: a busy disk takes its time */
    tcase_add_test(scan, hidden_and_foreign_files_are_left_out_with_one_line);
    tcase_add_test(scan, hidden_files_count_when_asked_for);
    tcase_add_test(scan, a_clean_folder_says_nothing);
    tcase_add_test(scan, classes_give_order_and_number);
    tcase_add_test(scan, what_is_missing_is_named);
    tcase_add_test(scan, without_classes_every_picture_counts);
    tcase_add_test(scan, links_are_followed_when_asked_and_never_in_circles);
    tcase_add_test(scan, listed_pictures_are_left_out);
    tcase_add_test(scan, a_file_that_vanished_is_an_error_that_names_it);
    tcase_add_test(scan, the_index_is_compact);
    tcase_add_test(scan, a_digest_tells_every_change);
    suite_add_tcase(suite, scan);
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
