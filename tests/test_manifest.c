/* test_manifest.c: what the source `manifest` reads out of CSV and TSV files, and what it says of wrong ones. */
#include <fcntl.h>

#include "data_rig.h"

struct list {
    char root[PATH_MAX];
    struct rig rig;
};

/* A folder with a/1.jpg, a/2.jpg, b/1.jpg and `c,"d".jpg`, and the list as `name`. */
static void plant(struct list *list, const char *name, const char *text)
{
    static const char *const pictures[] = {"a/1.jpg", "a/2.jpg", "b/1.jpg", "c,\"d\".jpg"};
    char path[PATH_MAX + 64];
    rig_folder(list->root);
    for (size_t i = 0; i < TN_COUNT_OF(pictures); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", list->root, pictures[i]);
        rig_write(path, "x", 1);
    }
    (void)snprintf(path, sizeof path, "%s/%s", list->root, name);
    rig_write(path, text, strlen(text));
}

static tn_status look(struct list *list, const char *name, const char *data_keys, const char *source_keys)
{
    char ini[3 * PATH_MAX];
    (void)snprintf(ini, sizeof ini, "[data]\n%s\n[source:s]\ntype = manifest\npath = %s/%s\n%s\n", data_keys,
                   list->root, name, source_keys);
    return rig_open(&list->rig, ini);
}

static void drop(struct list *list)
{
    rig_close(&list->rig);
    rig_remove(list->root);
}

/* Looks at `text` as list.csv and compares "name=label name=label …" of all samples. */
static void check_list(const char *text, const char *data_keys, const char *source_keys, const char *expected)
{
    struct list list;
    char found[2048] = "";
    plant(&list, "list.csv", text);
    ck_assert_msg(look(&list, "list.csv", data_keys, source_keys) == TN_OK, "%s", list.rig.error.text);
    const struct tn_source *source = (const struct tn_source *)list.rig.source->type;
    for (uint64_t i = 0; i < tn_dataset_info(list.rig.dataset)->count; i++) {
        char name[256];
        size_t used = strlen(found);
        tn_dataset_sample_name(list.rig.dataset, i, name, sizeof name);
        (void)snprintf(found + used, sizeof found - used, "%s%s=%d", i ? " " : "", name,
                       (int)source->label(list.rig.source->self, i));
    }
    ck_assert_str_eq(found, expected);
    drop(&list);
}

static void check_refused(const char *text, const char *data_keys, const char *source_keys, const char *says)
{
    struct list list;
    plant(&list, "list.csv", text);
    ck_assert_int_ne(look(&list, "list.csv", data_keys, source_keys), TN_OK);
    ck_assert_msg(strstr(list.rig.error.text, says) != NULL, "`%s` is missing in: %s", says, list.rig.error.text);
    drop(&list);
}

START_TEST(names_and_classes_are_found)
{
    const char *expected = "a/1.jpg=0 b/1.jpg=1 a/2.jpg=0";
    check_list("filename,class\na/1.jpg,a\nb/1.jpg,b\na/2.jpg,a\n", "", "", expected);
    check_list("id,class,filename\n7,a,a/1.jpg\n8,b,b/1.jpg\n9,a,a/2.jpg", "", "", expected);
    check_list("file,kind\na/1.jpg,a\nb/1.jpg,b\na/2.jpg,a\n", "", "", expected);
    check_list("kind,file,x\na,a/1.jpg,\nb,b/1.jpg,\na,a/2.jpg,\n", "", "path_column = file\nlabel_column = kind",
               expected);
    check_list("a/1.jpg,a\nb/1.jpg,b\na/2.jpg,a\n", "", "header = no", expected);
    check_list("a,a/1.jpg\nb,b/1.jpg\na,a/2.jpg\n", "", "header = no\npath_column = 2\nlabel_column = 1", expected);
    check_list("filename;label\na/1.jpg;a\nb/1.jpg;b\na/2.jpg;a\n", "", "separator = semicolon", expected);
    check_list("filename\na/1.jpg\nb/1.jpg\n", "class_mode = none", "", "a/1.jpg=-1 b/1.jpg=-1");
}
END_TEST

START_TEST(every_way_to_write_a_table_is_read)
{
    check_list("\xEF\xBB\xBF\"filename\",\"class\"\r\n\r\n\"a/1.jpg\",\"x, \"\"y\"\"\"\r\n\n\"c,\"\"d\"\".jpg\",z\r\n"
               "b/1.jpg,\"two\nlines\"\r\na/2.jpg,z\r",
               "", "", "a/1.jpg=1 c,\"d\".jpg=2 b/1.jpg=0 a/2.jpg=2");
    struct list list;
    plant(&list, "list.TSV", "filename\tclass\na/1.jpg\tx,y\nb/1.jpg\tz\n");
    ck_assert_msg(look(&list, "list.TSV", "", "") == TN_OK, "%s", list.rig.error.text);
    ck_assert_str_eq(tn_dataset_info(list.rig.dataset)->classes[0], "x,y");
    ck_assert_uint_eq(tn_dataset_info(list.rig.dataset)->class_sizes[1], 1);
    drop(&list);
}
END_TEST

START_TEST(classes_have_keras_order_or_the_experiments)
{
    const char *text = "filename,class\na/1.jpg,9\nb/1.jpg,10\na/2.jpg,Z\n";
    check_list(text, "", "", "a/1.jpg=1 b/1.jpg=0 a/2.jpg=2");
    check_list(text, "classes = Z, 9, 10, more", "", "a/1.jpg=1 b/1.jpg=2 a/2.jpg=0");
    check_refused(text, "classes = Z, 9", "", "list.csv:3: `10` is not among the classes");
    check_refused(text, "classes = Z, 9, 10, 9", "", "`9` is there twice");
    check_refused(text, "class_mode = binary", "", "exactly 2 classes");
}
END_TEST

/* Keras: the first int(split * n) rows of the whole table, and classes of the whole table too. */
START_TEST(the_first_rows_are_for_validation)
{
    const char *text = "filename,class\na/1.jpg,a\na/2.jpg,a\nb/1.jpg,b\na/1.jpg,a\nb/1.jpg,c\n";
    static const struct {
        int32_t subset;
        uint64_t count;
        uint64_t sizes[3];
    } cases[] = {
        {TN_SUBSET_ALL, 5, {3, 1, 1}}, {TN_SUBSET_TRAINING, 3, {1, 1, 1}}, {TN_SUBSET_VALIDATION, 2, {2, 0, 0}}};
    for (size_t i = 0; i < TN_COUNT_OF(cases); i++) {
        struct list list;
        char ini[2 * PATH_MAX];
        plant(&list, "list.csv", text);
        (void)snprintf(ini, sizeof ini,
                       "[data]\nvalidation_split = 0.5\n[source:s]\ntype = manifest\npath = %s/list.csv\n", list.root);
        ck_assert_int_eq(rig_prepare(&list.rig, ini), TN_OK);
        list.rig.spec.subset = cases[i].subset;
        ck_assert_int_eq(tn_dataset_open(&list.rig.spec, &list.rig.dataset, &list.rig.error), TN_OK);
        const struct tn_source_info *info = tn_dataset_info(list.rig.dataset);
        ck_assert_uint_eq(info->count, cases[i].count);
        ck_assert_uint_eq(info->class_count, 3);
        for (int c = 0; c < 3; c++)
            ck_assert_uint_eq(info->class_sizes[c], cases[i].sizes[c]);
        drop(&list);
    }
}
END_TEST

START_TEST(mistakes_are_named_with_their_line)
{
    check_refused("filename,class\na/1.jpg,a\n\ngone.jpg,b\n", "", "", "list.csv:4: ");
    check_refused("filename,class\na/1.jpg,a\na,b\n", "", "", "is not a file");
    check_refused("filename,class\na/1.jpg,a\nb/1.jpg\n", "", "", "list.csv:3: 1 column where 2 are expected");
    check_refused("filename,class\na/1.jpg,a,b\n", "", "", "list.csv:2: 3 columns");
    check_refused("filename,class\na/1.jpg,\n", "", "", "list.csv:2: the label is empty");
    check_refused("filename,class\n,a\n", "", "", "list.csv:2: the path is empty");
    check_refused("filename,class\n\"a\nb\",\"a\n", "", "", "list.csv:3: a quoted field is never closed");
    check_refused("filename,class\n\"a\"b,a\n", "", "", "list.csv:2: text behind a closing quote");
    check_refused("filename,class\na/1.jpg,a\n", "", "path_column = file",
                  "no column `file`; its columns: filename, c");
    check_refused("filename,class\na/1.jpg,a\n", "", "header = no\npath_column = 3",
                  "no column `3`; its columns: 1, 2");
    check_refused("filename\na/1.jpg\n", "", "", "one column only");
    check_refused("filename,class\n", "", "", "lists no pictures");
    check_refused("\n\n", "", "", "is empty");
    check_refused("", "", "", "is empty");
    check_refused("filename,class\na/1.jpg,a\n", "", "separator = ab", "one character, `tab`");
    struct list list;
    plant(&list, "other.csv", "");
    ck_assert_int_ne(look(&list, "list.csv", "", ""), TN_OK);
    ck_assert_ptr_nonnull(strstr(list.rig.error.text, "list.csv"));
    drop(&list);
}
END_TEST

START_TEST(a_zero_byte_is_no_text)
{
    struct list list;
    char path[PATH_MAX + 64];
    plant(&list, "other.csv", "");
    (void)snprintf(path, sizeof path, "%s/list.csv", list.root);
    rig_write(path, "filename,class\na/1\0.jpg,a\n", 26);
    ck_assert_int_ne(look(&list, "list.csv", "", ""), TN_OK);
    ck_assert_msg(strstr(list.rig.error.text, "zero byte at 18") != NULL, "%s", list.rig.error.text);
    drop(&list);
}
END_TEST

/* Reads all samples as a worker does, and compares their targets. */
static void check_targets(struct list *list, uint32_t count, const float *expected)
{
    const struct tn_source *source = (const struct tn_source *)list->rig.source->type;
    const struct tn_source_info *info = tn_dataset_info(list->rig.dataset);
    void *worker = NULL;
    ck_assert_uint_eq(info->target_count, count);
    ck_assert_int_eq(tn_dataset_target_count(list->rig.dataset), (int32_t)count);
    ck_assert_int_eq(source->worker_open(list->rig.source->self, &worker, &list->rig.error), TN_OK);
    for (uint64_t i = 0; i < info->count; i++) {
        struct tn_sample sample = {.size = sizeof sample, .label = -1};
        ck_assert_int_eq(source->read(list->rig.source->self, worker, i, &sample, &list->rig.error), TN_OK);
        ck_assert_uint_eq(sample.byte_count, 1);
        ck_assert_ptr_nonnull(sample.targets);
        for (uint32_t k = 0; k < count; k++)
            ck_assert_float_eq(sample.targets[k], expected[i * count + k]);
    }
    source->worker_close(list->rig.source->self, worker);
}

START_TEST(columns_of_numbers_are_targets)
{
    const char *text = "filename,x,y\na/1.jpg,1,-2.5\nb/1.jpg,0,1e3\na/2.jpg,7,8\n";
    struct list list;
    plant(&list, "list.csv", text);
    ck_assert_msg(look(&list, "list.csv", "", "label_column = x, y") == TN_OK, "%s", list.rig.error.text);
    ck_assert_uint_eq(tn_dataset_info(list.rig.dataset)->class_count, 0);
    check_targets(&list, 2, (const float[]){1, -2.5f, 0, 1000, 7, 8});
    rig_close(&list.rig);
    ck_assert_int_eq(look(&list, "list.csv", "", "label_column = y\nlabels = numbers"), TN_OK);
    check_targets(&list, 1, (const float[]){-2.5f, 1000, 8});
    drop(&list);
    check_refused("filename,x,y\na/1.jpg,1,2\nb/1.jpg,1,two\n", "", "label_column = x, y",
                  "list.csv:3: `two` in column 3 is not a number");
    check_refused("filename,x,y\na/1.jpg,1,nan\n", "", "label_column = x, y", "list.csv:2: `nan`");
    check_refused("filename,x,y\na/1.jpg,1,\n", "", "label_column = x, y", "list.csv:2: ``");
    check_refused(text, "", "label_column = x, y\nlabels = class", "takes one column");
}
END_TEST

START_TEST(a_picture_may_have_several_classes)
{
    struct list list;
    plant(&list, "list.csv", "filename,class\na/1.jpg,red|big\nb/1.jpg,\na/2.jpg,big|blue|big\n");
    ck_assert_msg(look(&list, "list.csv", "", "label_separator = |") == TN_OK, "%s", list.rig.error.text);
    const struct tn_source_info *info = tn_dataset_info(list.rig.dataset);
    ck_assert_uint_eq(info->class_count, 3);
    ck_assert_str_eq(info->classes[0], "big");
    ck_assert_str_eq(info->classes[1], "blue");
    ck_assert_str_eq(info->classes[2], "red");
    check_targets(&list, 3, (const float[]){1, 0, 1, 0, 0, 0, 1, 1, 0});
    rig_close(&list.rig);
    ck_assert_int_ne(look(&list, "list.csv", "classes = big, red", "label_separator = |"), TN_OK);
    ck_assert_msg(strstr(list.rig.error.text, "list.csv:4: `blue`") != NULL, "%s", list.rig.error.text);
    rig_close(&list.rig);
    ck_assert_int_ne(look(&list, "list.csv", "class_mode = sparse", "label_separator = |"), TN_OK);
    rig_close(&list.rig);
    ck_assert_int_eq(look(&list, "list.csv", "class_mode = multi_label", "label_separator = |"), TN_OK);
    check_targets(&list, 3, (const float[]){1, 0, 1, 0, 0, 0, 1, 1, 0});
    rig_close(&list.rig);
    ck_assert_int_ne(look(&list, "list.csv", "class_mode = multi_label", ""), TN_OK);
    ck_assert_msg(strstr(list.rig.error.text, "label_separator") != NULL, "%s", list.rig.error.text);
    drop(&list);
}
END_TEST

START_TEST(columns_may_be_classes)
{
    const char *text = "filename,red,big\na/1.jpg,1,0\nb/1.jpg,0,0\na/2.jpg,0.5,1\n";
    struct list list;
    plant(&list, "list.csv", text);
    ck_assert_msg(look(&list, "list.csv", "class_mode = multi_label", "label_column = red, big") == TN_OK, "%s",
                  list.rig.error.text);
    const struct tn_source_info *info = tn_dataset_info(list.rig.dataset);
    ck_assert_uint_eq(info->class_count, 2);
    ck_assert_str_eq(info->classes[0], "red"); /* as they stand, not sorted */
    ck_assert_str_eq(info->classes[1], "big");
    check_targets(&list, 2, (const float[]){1, 0, 0, 0, 0.5f, 1});
    rig_close(&list.rig);
    ck_assert_int_ne(look(&list, "list.csv", "class_mode = multi_label\nclasses = big, red", "label_column = red, big"),
                     TN_OK);
    ck_assert_msg(strstr(list.rig.error.text, "column 1 should be `big`") != NULL, "%s", list.rig.error.text);
    rig_close(&list.rig);
    /* Raw: the same columns as numbers, with their names. */
    ck_assert_int_eq(look(&list, "list.csv", "class_mode = raw", "label_column = red, big"), TN_OK);
    info = tn_dataset_info(list.rig.dataset);
    ck_assert_uint_eq(info->class_count, 0);
    ck_assert_str_eq(info->target_names[1], "big");
    drop(&list);
    check_refused("filename,x,y\na/1.jpg,1,2\nb/1.jpg,1,1\n", "class_mode = multi_label", "label_column = x, y",
                  "list.csv:2: 2 in column `y` is outside of 0 to 1");
    check_refused("filename,x\na/1.jpg,red\n", "class_mode = raw", "", "list.csv:2: `red`");
    check_refused("filename,x\na/1.jpg,1\n", "class_mode = raw", "labels = class",
                  "labels = class does not go with it");
}
END_TEST

/* What a cache on disk goes by: targets are kept with the pictures. */
START_TEST(other_targets_are_another_digest)
{
    static const char *const keys[][2] = {{"class_mode = raw", "label_column = x, y"},
                                          {"class_mode = raw", "label_column = y, x"},
                                          {"class_mode = raw", "label_column = x"},
                                          {"class_mode = multi_label", "label_column = x, y"},
                                          {"class_mode = multi_label", "label_column = t\nlabel_separator = |"},
                                          {"class_mode = multi_label", "label_column = t\nlabel_separator = /"}};
    uint64_t digests[TN_COUNT_OF(keys)][2], again[2];
    struct list list;
    plant(&list, "list.csv", "filename,x,y,t\na/1.jpg,1,0,p|q/r\nb/1.jpg,0,1,q\n");
    for (size_t i = 0; i < TN_COUNT_OF(keys); i++) {
        ck_assert_msg(look(&list, "list.csv", keys[i][0], keys[i][1]) == TN_OK, "%s", list.rig.error.text);
        const struct tn_source *source = (const struct tn_source *)list.rig.source->type;
        ck_assert_int_eq(source->digest(list.rig.source->self, digests[i], &list.rig.error), TN_OK);
        ck_assert_int_eq(source->digest(list.rig.source->self, again, &list.rig.error), TN_OK);
        ck_assert_mem_eq(again, digests[i], sizeof again);
        rig_close(&list.rig);
    }
    for (size_t i = 1; i < 3; i++)
        ck_assert_mem_ne(digests[i], digests[i - 1], sizeof again);
    ck_assert_mem_ne(digests[4], digests[3], sizeof again);
    ck_assert_int_eq(look(&list, "list.csv", "", "label_column = x"), TN_OK);
    drop(&list);
}
END_TEST

/* From another folder, through the whole pipeline, and with a file that vanishes later. */
START_TEST(pictures_come_into_batches)
{
    struct list list;
    const struct tn_batch *batch;
    char path[PATH_MAX + 64], keys[PATH_MAX + 64];
    plant(&list, "lists/list.csv", "filename,x\none.jpg,3\ntwo.jpg,4\n");
    ck_assert_int_eq(look(&list, "lists/list.csv", "target_size = 8", ""), TN_NOT_FOUND);
    (void)snprintf(path, sizeof path, "%s/one.jpg", list.root);
    rig_jpeg(list.rig.registry, path, 20, 30, 1);
    (void)snprintf(path, sizeof path, "%s/two.jpg", list.root);
    rig_jpeg(list.rig.registry, path, 20, 30, 2);
    rig_close(&list.rig);
    (void)snprintf(keys, sizeof keys, "labels = numbers\nfolder = %s", list.root);
    ck_assert_msg(look(&list, "lists/list.csv", "target_size = 8\nshuffle = no", keys) == TN_OK, "%s",
                  list.rig.error.text);
    ck_assert_int_eq(tn_dataset_begin(list.rig.dataset, 0, 0, &list.rig.error), TN_OK);
    ck_assert_int_eq(tn_dataset_next(list.rig.dataset, &batch, &list.rig.error), TN_OK);
    ck_assert_int_eq(batch->count, 2);
    ck_assert_float_eq(batch->targets[0], 3);
    ck_assert_float_eq(batch->targets[1], 4);
    tn_dataset_end(list.rig.dataset);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(tn_dataset_begin(list.rig.dataset, 1, 0, &list.rig.error), TN_OK);
    ck_assert_int_eq(tn_dataset_next(list.rig.dataset, &batch, &list.rig.error), TN_NOT_FOUND);
    ck_assert_msg(strstr(list.rig.error.text, "list.csv:3: ") != NULL, "%s", list.rig.error.text);
    drop(&list);
}
END_TEST

/* Whatever the bytes are: an answer, and no reading beyond them. */
START_TEST(noise_never_crashes)
{
    static const char alphabet[] = "a\"\",,\n\r\t1./\xEF|;bfilename";
    struct list list;
    char path[PATH_MAX + 64], text[96];
    struct tn_random random = tn_random_stream(5, 0);
    plant(&list, "other.csv", "");
    (void)snprintf(path, sizeof path, "%s/list.csv", list.root);
    for (int round = 0; round < 400; round++) {
        size_t length = (size_t)tn_random_below(&random, sizeof text);
        for (size_t i = 0; i < length; i++)
            text[i] = alphabet[tn_random_below(&random, sizeof alphabet - 1)];
        rig_write(path, text, length);
        tn_status status = look(&list, "list.csv", "",
                                round % 3 == 0   ? "header = no\ncheck_files = no"
                                : round % 3 == 1 ? "header = no\ncheck_files = no\nlabel_separator = |"
                                                 : "header = no\nlabel_column = 1, 2");
        ck_assert(status == TN_OK || list.rig.error.text[0]);
        rig_close(&list.rig);
    }
    rig_remove(list.root);
}
END_TEST

/* ---- whether something has changed ---- */

struct digest {
    uint64_t numbers[2];
};

static struct digest digest_with(struct list *list, const char *data_keys, const char *source_keys)
{
    struct digest digest;
    ck_assert_msg(look(list, "list.csv", data_keys, source_keys) == TN_OK, "%s", list->rig.error.text);
    const struct tn_source *source = (const struct tn_source *)list->rig.source->type;
    ck_assert_int_eq(source->digest(list->rig.source->self, digest.numbers, &list->rig.error), TN_OK);
    rig_close(&list->rig);
    return digest;
}

static void check_same(struct digest a, struct digest b, bool same)
{
    ck_assert_int_eq(memcmp(&a, &b, sizeof a) == 0, same);
}

START_TEST(a_digest_tells_changes_of_pictures_and_list)
{
    const char *text = "filename,class\na/1.jpg,a\na/2.jpg,a\nb/1.jpg,b\n";
    struct list list;
    char path[PATH_MAX + 64];
    plant(&list, "list.csv", text);
    struct digest first = digest_with(&list, "", "");
    check_same(first, digest_with(&list, "", ""), true);
    check_same(first, digest_with(&list, "classes = b, a", ""), false);
    check_same(first, digest_with(&list, "validation_split = 0.5", ""), true); /* no subset: all of it */
    (void)snprintf(path, sizeof path, "%s/a/2.jpg", list.root);
    rig_write(path, "xy", 2);
    struct digest second = digest_with(&list, "", "");
    check_same(first, second, false);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000, .tv_nsec = 1}};
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
    struct digest third = digest_with(&list, "", "");
    check_same(second, third, false);
    ck_assert_int_eq(unlink(path), 0); /* found out only when it is read */
    check_same(third, digest_with(&list, "", "check_files = no"), false);
    (void)snprintf(path, sizeof path, "%s/list.csv", list.root);
    text = "filename,class\na/1.jpg,a\nb/1.jpg,b\n";
    rig_write(path, text, strlen(text));
    check_same(third, digest_with(&list, "", ""), false);
    rig_remove(list.root);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("manifest");
    TCase *scan = tcase_create("scan");
    tcase_set_timeout(scan, 60);
    tcase_add_test(scan, names_and_classes_are_found);
    tcase_add_test(scan, every_way_to_write_a_table_is_read);
    tcase_add_test(scan, classes_have_keras_order_or_the_experiments);
    tcase_add_test(scan, the_first_rows_are_for_validation);
    tcase_add_test(scan, mistakes_are_named_with_their_line);
    tcase_add_test(scan, a_zero_byte_is_no_text);
    tcase_add_test(scan, columns_of_numbers_are_targets);
    tcase_add_test(scan, a_picture_may_have_several_classes);
    tcase_add_test(scan, columns_may_be_classes);
    tcase_add_test(scan, other_targets_are_another_digest);
    tcase_add_test(scan, pictures_come_into_batches);
    tcase_add_test(scan, noise_never_crashes);
    tcase_add_test(scan, a_digest_tells_changes_of_pictures_and_list);
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
