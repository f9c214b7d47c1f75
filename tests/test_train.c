/* test_train.c: experiments end to end on the drawn shapes: what a run leaves, that seeds decide everything, how it is
 * interrupted, and what is said of mistakes.
 */
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train/experiment.h"

#include <check.h> /* after ours: it has a macro `fail` */

/* ---- a folder for each test, and an experiment in it ---- */

static char folder[64];

static int remove_one(const char *path, const struct stat *known, int type, struct FTW *walk)
{
    (void)known;
    (void)type;
    (void)walk;
    return remove(path);
}

static void setup(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/tenon-train-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static void teardown(void)
{
    ck_assert_int_eq(chdir("/"), 0);
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char small[] = "[experiment]\n"
                            "name = small\n"
                            "seed = 3\n"
                            "epochs = 2\n"
                            "[data]\n"
                            "target_size = 16x16\n"
                            "batch_size = 8\n"
                            "class_mode = categorical\n"
                            "augment = flip\n"
                            "[augment:flip]\n"
                            "type = horizontal_flip\n"
                            "[source:train]\n"
                            "type = shapes\n"
                            "count = 36\n"
                            "classes = 3\n"
                            "[source:validation]\n"
                            "type = shapes\n"
                            "count = 20\n"
                            "classes = 3\n"
                            "seed = 9\n"
                            "[layer:scale]\n"
                            "type = rescaling\n"
                            "scale = 1/255\n"
                            "[layer:conv]\n"
                            "type = conv2d\n"
                            "filters = 4\n"
                            "kernel_size = 3\n"
                            "activation = relu\n"
                            "[layer:pool]\n"
                            "type = max_pooling2d\n"
                            "[layer:flat]\n"
                            "type = flatten\n"
                            "[layer:drop]\n"
                            "type = dropout\n"
                            "rate = 0.2\n"
                            "[layer:out]\n"
                            "type = dense\n"
                            "units = 3\n"
                            "activation = softmax\n";

static void write_text(const char *path, const char *text)
{
    struct tn_error error = {.status = TN_OK};
    ck_assert_msg(tn_file_write(path, text, strlen(text), &error) == TN_OK, "%s", error.text);
}

/* Opens `text`, with up to three overrides. */
static tn_status open_text(const char *text, struct tn_experiment **experiment, struct tn_problems *problems,
                           uint32_t flags, const char *first, const char *second, const char *third)
{
    const char *overrides[] = {first, second, third};
    size_t count = third ? 3 : second ? 2 : first ? 1 : 0;
    memset(problems, 0, sizeof *problems);
    write_text("small.ini", text);
    return tn_experiment_open("small.ini", overrides, count, flags, experiment, problems);
}

static struct tn_experiment *open_good(const char *text, uint32_t flags, const char *first, const char *second)
{
    struct tn_experiment *experiment = NULL;
    struct tn_problems problems;
    tn_status status = open_text(text, &experiment, &problems, flags, first, second, NULL);
    ck_assert_msg(status == TN_OK, "%s", problems.count ? problems.items[0].text : "no reason");
    tn_problems_release(&problems);
    return experiment;
}

/* ---- watching a run ---- */

struct watch {
    uint64_t steps, stop_after; /* 0 = never */
    volatile int32_t stop;
    double last_val_loss;
    char said[4096];
    void (*during)(void);
};

static void see_progress(void *context, const struct tn_progress *progress, int32_t way, const char *text)
{
    struct watch *watch = context;
    (void)way, (void)text;
    if (progress->phase == 0 && ++watch->steps == watch->stop_after)
        watch->stop = 1;
    if (watch->during && watch->steps == 2 && progress->phase == 0)
        watch->during();
    for (uint32_t i = 0; progress->phase == 2 && i < progress->log_count; i++)
        if (strcmp(progress->logs[i].name, "val_loss") == 0)
            watch->last_val_loss = progress->logs[i].value;
}

static void see_text(void *context, int32_t level, const char *text)
{
    struct watch *watch = context;
    size_t used = strlen(watch->said);
    (void)level;
    (void)snprintf(watch->said + used, sizeof watch->said - used, "%s\n", text);
}

static tn_status train(struct tn_experiment *experiment, struct watch *watch, bool fresh,
                       struct tn_train_result *result, struct tn_error *error)
{
    struct tn_train_request request = {
        .fresh = fresh, .stop = &watch->stop, .progress = see_progress, .say = see_text, .context = watch};
    *error = (struct tn_error){.status = TN_OK};
    return tn_experiment_train(experiment, &request, result, error);
}

static void train_well(struct tn_experiment *experiment, struct watch *watch, struct tn_train_result *result)
{
    struct tn_error error;
    ck_assert_msg(train(experiment, watch, false, result, &error) == TN_OK, "%s", error.text);
}

static char *read_whole(const char *path)
{
    void *data = NULL;
    uint64_t bytes = 0;
    struct tn_error error = {.status = TN_OK};
    ck_assert_msg(tn_file_read(path, 1 << 20, &data, &bytes, &error) == TN_OK, "%s", error.text);
    return data;
}

static bool file_has(const char *path, const char *part)
{
    char *text = read_whole(path);
    bool has = strstr(text, part) != NULL;
    free(text);
    return has;
}

/* ---- what a run leaves ---- */

START_TEST(a_run_leaves_its_folder)
{
    struct tn_experiment *experiment = open_good(small, 0, NULL, NULL);
    struct watch watch = {.stop_after = 0};
    struct tn_train_result result;
    char *log;
    ck_assert_str_eq(experiment->run_directory, "runs/small");
    train_well(experiment, &watch, &result);
    ck_assert_int_eq(result.epochs_done, 2);
    ck_assert_uint_eq(result.steps, 10); /* 36 samples in batches of 8: the rest of 4 is trained on, too */
    ck_assert_ptr_null(result.stopped_because);
    ck_assert(file_has("runs/small/config.ini", "[optimizer]\ntype = adam"));
    ck_assert(file_has("runs/small/config.ini", "categorical_crossentropy"));
    ck_assert(file_has("runs/small/manifest.json", "\"tenon.layers.conv2d\""));
    ck_assert(file_has("runs/small/manifest.json", "\"seed\": 3"));
    log = read_whole("runs/small/log.csv");
    static const char head[] = "epoch,accuracy,loss,val_accuracy,val_loss\r\n0,";
    ck_assert_int_eq(strncmp(log, head, strlen(head)), 0);
    ck_assert_ptr_nonnull(strstr(log, "\r\n1,"));
    free(log);
    ck_assert(!tn_path_exists("runs/small/lock"));
    tn_experiment_close(&experiment);
    log = read_whole("runs/small/classes.txt");
    ck_assert_int_eq(strchr(log, '\n') != NULL, 1);
    free(log);
}
END_TEST

START_TEST(evaluation_agrees_with_validation)
{
    struct tn_experiment *experiment = open_good(small, 0, NULL, NULL), *other;
    struct watch watch = {.stop_after = 0};
    struct tn_train_result result;
    struct tn_evaluation trained, loaded;
    struct tn_dataset *dataset = NULL;
    struct tn_error error = {.status = TN_OK};
    char notes[256];
    train_well(experiment, &watch, &result);
    ck_assert_int_eq(tn_experiment_evaluate(experiment, experiment->validation, &trained, NULL, NULL, &error), TN_OK);
    ck_assert_uint_eq(trained.samples, 20);
    ck_assert_uint_eq(trained.value_count, 2);
    ck_assert_double_eq(trained.values[0].value, watch.last_val_loss);
    ck_assert_msg(tn_experiment_save_weights(experiment, "w/x.h5", 0, 10, 1e-3, &error) == TN_OK, "%s", error.text);
    tn_experiment_close(&experiment);
    other = open_good(small, TN_OPEN_INFERENCE, NULL, NULL);
    ck_assert_msg(tn_experiment_load_weights(other, "w/x.h5", notes, sizeof notes, &error) == TN_OK, "%s", error.text);
    ck_assert_msg(tn_experiment_source(other, "validation", &dataset, &error) == TN_OK, "%s", error.text);
    ck_assert_int_eq(tn_experiment_evaluate(other, dataset, &loaded, NULL, NULL, &error), TN_OK);
    ck_assert_double_eq_tol(loaded.values[0].value, trained.values[0].value, 1e-6);
    ck_assert_double_eq(loaded.values[1].value, trained.values[1].value);
    ck_assert_int_eq(tn_experiment_source(other, "elsewhere", &dataset, &error), TN_INVALID);
    tn_experiment_close(&other);
}
END_TEST

/* ---- the seed decides everything ---- */

static float *weights_after(const char *first, const char *second, size_t *count)
{
    struct tn_experiment *experiment = open_good(small, 0, first, second);
    struct watch watch = {.stop_after = 0};
    struct tn_train_result result;
    struct tn_error error = {.status = TN_OK};
    float *all;
    size_t used = 0;
    ck_assert_msg(train(experiment, &watch, true, &result, &error) == TN_OK, "%s", error.text);
    *count = (size_t)tn_network_report(experiment->network)->parameters;
    all = calloc(*count, sizeof *all);
    ck_assert_ptr_nonnull(all);
    for (uint32_t i = 0; i < tn_network_parameter_count(experiment->network); i++) {
        const struct tn_parameter_info *info = tn_network_parameter(experiment->network, i);
        ck_assert_int_eq(tn_network_read(experiment->network, i, -1, all + used, &error), TN_OK);
        used += (size_t)tn_shape_elements(&info->shape);
    }
    ck_assert_uint_eq(used, *count);
    tn_experiment_close(&experiment);
    return all;
}

START_TEST(any_number_of_workers_gives_the_same_weights)
{
    size_t count = 0, other_count = 0;
    float *one = weights_after("data.workers=1", NULL, &count), *other;
    static const char *const workers[] = {"data.workers=1", "data.workers=2", "data.workers=4"};
    for (size_t i = 0; i < TN_COUNT_OF(workers); i++) {
        other = weights_after(workers[i], NULL, &other_count);
        ck_assert_uint_eq(count, other_count);
        ck_assert_msg(memcmp(one, other, count * sizeof *one) == 0, "%s changes the weights", workers[i]);
        free(other);
    }
    other = weights_after("data.workers=1", "experiment.seed=4", &other_count);
    ck_assert_msg(memcmp(one, other, count * sizeof *one) != 0, "another seed gives the same weights");
    free(other);
    free(one);
}
END_TEST

/* ---- ends ---- */

START_TEST(a_signal_ends_it_in_order)
{
    struct tn_experiment *experiment = open_good(small, 0, NULL, NULL), *other;
    struct watch watch = {.stop_after = 3};
    struct tn_train_result result;
    struct tn_error error;
    char notes[256];
    ck_assert_int_eq(train(experiment, &watch, false, &result, &error), TN_INTERRUPTED);
    ck_assert_uint_eq(result.steps, 3);
    ck_assert_ptr_nonnull(strstr(error.text, "interrupted: stopped in epoch 1 of 2 after 3 steps"));
    ck_assert_ptr_nonnull(strstr(error.text, "runs/small/checkpoints/interrupted.h5"));
    tn_experiment_close(&experiment);
    other = open_good(small, 0, NULL, NULL);
    ck_assert_msg(tn_experiment_load_weights(other, "runs/small/checkpoints/interrupted.h5", notes, sizeof notes,
                                             &error) == TN_OK,
                  "%s", error.text);
    tn_experiment_close(&other);
}
END_TEST

START_TEST(steps_per_epoch_shortens_it)
{
    struct tn_experiment *experiment = open_good(small, 0, "experiment.steps_per_epoch=2", NULL);
    struct watch watch = {.stop_after = 0};
    struct tn_train_result result;
    train_well(experiment, &watch, &result);
    ck_assert_uint_eq(result.steps, 4);
    tn_experiment_close(&experiment);
}
END_TEST

START_TEST(an_old_run_is_not_overwritten)
{
    struct tn_experiment *experiment = open_good(small, 0, NULL, NULL);
    struct watch watch = {.stop_after = 0};
    struct tn_train_result result;
    struct tn_error error;
    train_well(experiment, &watch, &result);
    tn_experiment_close(&experiment);
    experiment = open_good(small, 0, NULL, NULL);
    ck_assert_int_eq(train(experiment, &watch, false, &result, &error), TN_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "--fresh"));
    tn_experiment_close(&experiment);
    experiment = open_good(small, 0, NULL, NULL);
    ck_assert_int_eq(train(experiment, &watch, true, &result, &error), TN_OK);
    ck_assert_str_eq(experiment->run_directory, "runs/small-2");
    tn_experiment_close(&experiment);
    ck_assert(tn_path_exists("runs/small-2/log.csv"));
}
END_TEST

static void second_run(void)
{
    struct tn_experiment *experiment = open_good(small, 0, NULL, NULL);
    struct watch watch = {.stop_after = 0};
    struct tn_train_result result;
    struct tn_error error;
    ck_assert_int_eq(train(experiment, &watch, false, &result, &error), TN_BUSY);
    ck_assert_ptr_nonnull(strstr(error.text, "in use by another run (process "));
    tn_experiment_close(&experiment);
}

START_TEST(two_runs_do_not_share_a_folder)
{
    struct tn_experiment *experiment = open_good(small, 0, NULL, NULL);
    struct watch watch = {.during = second_run};
    struct tn_train_result result;
    train_well(experiment, &watch, &result);
    tn_experiment_close(&experiment);
}
END_TEST

/* A process that was killed leaves its lock file, but no lock. */
START_TEST(the_lock_of_a_dead_run_is_taken_over)
{
    struct tn_experiment *experiment;
    struct watch watch = {.stop_after = 0};
    struct tn_train_result result;
    struct tn_error error;
    ck_assert_int_eq(tn_folder_make("runs/small", &error), TN_OK);
    write_text("runs/small/lock", "process 1 on nowhere\n");
    experiment = open_good(small, 0, NULL, NULL);
    train_well(experiment, &watch, &result);
    tn_experiment_close(&experiment);
}
END_TEST

START_TEST(a_folder_that_cannot_be_made)
{
    struct tn_experiment *experiment;
    struct watch watch = {.stop_after = 0};
    struct tn_train_result result;
    struct tn_error error;
    write_text("file", "x");
    experiment = open_good(small, 0, "experiment.run_folder=file/runs", NULL);
    ck_assert_int_ne(train(experiment, &watch, false, &result, &error), TN_OK);
    ck_assert_ptr_nonnull(strstr(error.text, "file/runs"));
    ck_assert_uint_eq(watch.steps, 0);
    tn_experiment_close(&experiment);
}
END_TEST

START_TEST(weights_that_do_not_fit)
{
    struct tn_experiment *experiment = open_good(small, 0, NULL, NULL);
    struct tn_error error = {.status = TN_OK};
    struct watch watch = {.stop_after = 0};
    struct tn_train_result result;
    struct tn_train_request request = {.weights = "w.h5", .stop = &watch.stop};
    ck_assert_int_eq(tn_experiment_save_weights(experiment, "w.h5", 0, 0, 0, &error), TN_OK);
    ck_assert_int_eq(tn_experiment_save_weights(experiment, "w.unknown", 0, 0, 0, &error), TN_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "no format is known"));
    tn_experiment_close(&experiment);
    experiment = open_good(small, 0, "layer:conv.filters=5", NULL);
    ck_assert_int_eq(tn_experiment_train(experiment, &request, &result, &error), TN_INVALID);
    ck_assert_msg(strstr(error.text, "layer \"conv\": kernel") && strstr(error.text, "3x3x3x4 in the file") &&
                      strstr(error.text, "3x3x3x5 in the network"),
                  "%s", error.text);
    ck_assert(!tn_path_exists("runs")); /* nothing half-written */
    ck_assert_int_eq(tn_experiment_load_weights(experiment, "none.h5", NULL, 0, &error), TN_NOT_FOUND);
    tn_experiment_close(&experiment);
}
END_TEST

/* ---- mistakes ---- */

static void wrong(const char *text, const char *override, const char *part, uint32_t line)
{
    struct tn_experiment *experiment = NULL;
    struct tn_problems problems;
    tn_status status = open_text(text, &experiment, &problems, 0, override, NULL, NULL);
    bool found = false;
    ck_assert_msg(status != TN_OK, "accepted: %s", override ? override : part);
    ck_assert_ptr_null(experiment);
    for (size_t i = 0; i < problems.count; i++)
        found = found || (strstr(problems.items[i].text, part) && (!line || problems.items[i].line == line));
    ck_assert_msg(found, "wanted \"%s\" in line %u, got line %u: \"%s\"", part, line,
                  problems.count ? problems.items[0].line : 0, problems.count ? problems.items[0].text : "");
    tn_problems_release(&problems);
}

static void wrong_with(const char *more, const char *part)
{
    char text[4096];
    (void)snprintf(text, sizeof text, "%s%s", small, more);
    wrong(text, NULL, part, 0);
}

START_TEST(mistakes_are_named)
{
    wrong_with("[laier:x]\ntype = dense\n", "did you mean [layer]?");
    wrong_with("[data:x]\n", "has no name");
    wrong_with("[loss]\ntype = categorical_crossentropi\n", "categorical_crossentropy");
    wrong_with("[loss]\ntype = sparse_categorical_crossentropy\n", "use categorical_crossentropy");
    wrong_with("[optimizer]\ntype = adam\nlearning_rat = 1\n", "learning_rate");
    wrong_with("[optimizer]\ntype = adam\n[optimizer:b]\ntype = sgd\n", "there is one already");
    wrong_with("[callback:a]\ntype = early_stopping\nrestore_best_weights = yes\n"
               "[callback:b]\ntype = early_stopping\nrestore_best_weights = yes\n",
               "only one callback");
}
END_TEST

START_TEST(overrides_are_checked_too)
{
    wrong(small, "data.augment=strong", "there is neither [augment:strong] nor [strategy:strong]", 0);
    wrong(small, "experiment.device=cuda", "not implemented", 0);
    wrong(small, "experiment.device=abacus", "abacus", 0);
    wrong(small, "experiment.precision=bfloat16", "not implemented", 0);
    wrong(small, "experiment.name=../x", "name of a folder", 0);
    wrong(small, "experiment.epochs=0", "epochs", 0);
    wrong(small, "layer:out.units=4", "3", 0);
    wrong(small, "layer:conv.inputs=out", "conv", 0);
    wrong(small, "data.class_mode=none", "nothing to train on", 0);
    wrong(small, "data.validation_split=0.5", "keep one", 0);
    wrong(small, "source:train.count=many", "many", 0);
}
END_TEST

/* All in one run, each at its line. */
START_TEST(all_mistakes_are_said_at_once)
{
    static const char text[] = "[experiment]\n"
                               "epochs = none\n"
                               "[data]\n"
                               "batch_sise = 8\n"
                               "[source:train]\n"
                               "type = shapes\n"
                               "[layer:a]\n"
                               "type = conw2d\n"
                               "[layer:b]\n"
                               "type = dense\n"
                               "units = -3\n";
    struct tn_experiment *experiment = NULL;
    struct tn_problems problems;
    uint32_t lines = 0;
    ck_assert_int_eq(open_text(text, &experiment, &problems, 0, NULL, NULL, NULL), TN_INVALID);
    for (size_t i = 0; i < problems.count; i++)
        lines |= 1u << (problems.items[i].line & 31);
    ck_assert_uint_eq(lines & (1u << 2), 1u << 2);
    ck_assert_uint_eq(lines & (1u << 4), 1u << 4);
    ck_assert_uint_eq(lines & (1u << 7 | 1u << 8) ? 1 : 0, 1);
    ck_assert_uint_eq(lines & (1u << 11), 1u << 11);
    tn_problems_release(&problems);
}
END_TEST

/* ---- defaults ---- */

static const char *type_in(struct tn_config *config, const char *kind)
{
    struct tn_section *section = tn_config_next(config, kind, NULL);
    return section ? tn_section_value(section, "type") : "";
}

START_TEST(what_is_left_out_is_added)
{
    static const char *const modes[][2] = {{"categorical", "categorical_crossentropy"},
                                           {"sparse", "sparse_categorical_crossentropy"},
                                           {"binary", "binary_crossentropy"},
                                           {"input", "mean_squared_error"},
                                           {"none", ""},
                                           {"raw", "mean_squared_error"},
                                           {"multi_label", "binary_crossentropy"}};
    static const char *const metrics[] = {"accuracy",       "accuracy", "accuracy", "", "", "mean_absolute_error",
                                          "binary_accuracy"};
    for (size_t i = 0; i < TN_COUNT_OF(modes); i++) {
        struct tn_config *config = NULL;
        struct tn_problems problems = {.items = NULL};
        char text[128];
        (void)snprintf(text, sizeof text, "[data]\nclass_mode = %s\n", modes[i][0]);
        ck_assert_int_eq(tn_config_load_text(text, strlen(text), "x.ini", NULL, 0, &config, &problems), TN_OK);
        ck_assert_int_eq(tn_experiment_add_defaults(config), TN_OK);
        ck_assert_str_eq(type_in(config, "loss"), modes[i][1]);
        ck_assert_str_eq(type_in(config, "optimizer"), "adam");
        ck_assert_str_eq(type_in(config, "callback"), "csv_logger");
        ck_assert_str_eq(type_in(config, "metric"), metrics[i]);
        tn_config_close(&config);
        tn_problems_release(&problems);
    }
}
END_TEST

/* ---- pictures ---- */

struct rows {
    uint32_t count;
    char last[256];
    bool in_order;
};

static tn_status see_row(void *context, const char *name, uint64_t sample, const float *scores, int32_t count,
                         struct tn_error *error)
{
    struct rows *rows = context;
    float sum = 0;
    (void)sample;
    (void)error;
    for (int32_t i = 0; i < count; i++)
        sum += scores[i];
    ck_assert_int_eq(count, 3);
    ck_assert_float_eq_tol(sum, 1, 1e-5);
    rows->in_order = rows->in_order && strcmp(rows->last, name) < 0;
    (void)snprintf(rows->last, sizeof rows->last, "%s", name);
    rows->count++;
    return TN_OK;
}

START_TEST(pictures_are_classified)
{
    struct tn_experiment *experiment = open_good(small, 0, NULL, NULL);
    struct tn_dataset *dataset = NULL;
    struct tn_error error = {.status = TN_OK};
    struct rows rows = {.in_order = true};
    struct tn_size size = {20, 24};
    ck_assert_msg(tn_synth_write(experiment->registry, experiment->sources[0], "pictures", 11, 90, size, 1, NULL, NULL,
                                 &error) == TN_OK,
                  "%s", error.text);
    tn_experiment_close(&experiment);
    experiment = open_good(small, TN_OPEN_INFERENCE, NULL, NULL);
    ck_assert_msg(tn_experiment_pictures(experiment, "pictures", &dataset, &error) == TN_OK, "%s", error.text);
    ck_assert_msg(tn_experiment_predict(experiment, dataset, see_row, &rows, &error) == TN_OK, "%s", error.text);
    ck_assert_uint_eq(rows.count, 11);
    ck_assert(rows.in_order);
    tn_dataset_close(&dataset);
    rows.count = 0;
    rows.in_order = true;
    ck_assert_int_eq(tn_experiment_pictures(experiment, "nowhere", &dataset, &error), TN_NOT_FOUND);
    tn_experiment_close(&experiment);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("train");
    TCase *tests = tcase_create("train");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_run_leaves_its_folder);
    tcase_add_test(tests, evaluation_agrees_with_validation);
    tcase_add_test(tests, any_number_of_workers_gives_the_same_weights);
    tcase_add_test(tests, a_signal_ends_it_in_order);
    tcase_add_test(tests, steps_per_epoch_shortens_it);
    tcase_add_test(tests, an_old_run_is_not_overwritten);
    tcase_add_test(tests, two_runs_do_not_share_a_folder);
    tcase_add_test(tests, the_lock_of_a_dead_run_is_taken_over);
    tcase_add_test(tests, a_folder_that_cannot_be_made);
    tcase_add_test(tests, weights_that_do_not_fit);
    tcase_add_test(tests, mistakes_are_named);
    tcase_add_test(tests, overrides_are_checked_too);
    tcase_add_test(tests, all_mistakes_are_said_at_once);
    tcase_add_test(tests, what_is_left_out_is_added);
    tcase_add_test(tests, pictures_are_classified);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
