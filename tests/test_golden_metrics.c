/* test_golden_metrics.c: metrics against Keras, over two updates. */
#include <stdlib.h>

#include "support/golden.h"

/* After tenon's headers: it has a macro named fail(). */
#include <check.h>

static bool is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

/* Keras' class names as the names that Keras gives the metric in logs, which are ours. */
static const char *type_name(const char *op)
{
    static const char *const names[][2] = {{"Accuracy", "accuracy"},
                                           {"SparseCategoricalAccuracy", "sparse_categorical_accuracy"},
                                           {"CategoricalAccuracy", "categorical_accuracy"},
                                           {"SparseTopKCategoricalAccuracy", "sparse_top_k_categorical_accuracy"},
                                           {"TopKCategoricalAccuracy", "top_k_categorical_accuracy"},
                                           {"BinaryAccuracy", "binary_accuracy"},
                                           {"Precision", "precision"},
                                           {"Recall", "recall"},
                                           {"AUC", "auc"},
                                           {"MeanSquaredError", "mean_squared_error"},
                                           {"MeanAbsoluteError", "mean_absolute_error"},
                                           {"RootMeanSquaredError", "root_mean_squared_error"}};
    for (size_t i = 0; i < TN_COUNT_OF(names); i++)
        if (is(op, names[i][0]))
            return names[i][1];
    return NULL;
}

static bool add_options(struct golden_case *item, const struct tn_type *type, struct golden_options *options)
{
    for (size_t i = 0; i < item->item->setting_count; i++) {
        const struct bundle_setting *setting = &item->item->settings[i];
        if (is(setting->key, "op") || is(setting->key, "source") || is(setting->key, "note"))
            continue;
        if (golden_find_option(type, setting->key))
            golden_option(options, setting->key, "%s", setting->value);
        else if (!is(setting->value, "none"))
            golden_uncovered(item, "%s has no option %s", type->name, setting->key);
    }
    return !golden_decided(item);
}

/* One update: y_true<n>, y_pred<n>; then result<n>. false: there is no such update. */
static bool update(struct golden_case *item, const struct tn_metric *metric, const void *self, void *state, int index)
{
    char role[32];
    (void)snprintf(role, sizeof role, "y_pred%d", index);
    const struct bundle_tensor *prediction = bundle_tensor(item->item, role);
    (void)snprintf(role, sizeof role, "y_true%d", index);
    const struct bundle_tensor *truth = bundle_tensor(item->item, role);
    (void)snprintf(role, sizeof role, "sample_weight%d", index);
    const struct bundle_tensor *weight = bundle_tensor(item->item, role);
    (void)snprintf(role, sizeof role, "result%d", index);
    const struct bundle_tensor *expected = bundle_tensor(item->item, role);
    if (!prediction || !truth || !expected)
        return false;
    if (prediction->rank < 1 || prediction->count == 0) {
        golden_fail(item, "y_pred%d is empty", index);
        return false;
    }
    float *x = bundle_floats(prediction), *y = bundle_floats(truth), *w = weight ? bundle_floats(weight) : NULL, result;
    int32_t batch = prediction->dims[0], classes = (int32_t)(prediction->count / (uint64_t)batch);
    struct tn_metric_batch seen = {.size = sizeof seen,
                                   .batch = batch,
                                   .classes = classes,
                                   .target_count = (int32_t)(truth->count / (uint64_t)batch),
                                   .sparse = truth->count == (uint64_t)batch && classes > 1,
                                   .prediction = x,
                                   .target = y,
                                   .weight = w};
    ck_assert(x && y && (w || !weight));
    metric->update(self, state, &seen);
    result = (float)metric->value(self, state);
    golden_compare(item, role, expected, &result, 1e-6, 0);
    free(x);
    free(y);
    free(w);
    return true;
}

static void run_updates(struct golden_case *item, const struct golden_instance *made)
{
    const struct tn_metric *metric = (const struct tn_metric *)(const void *)made->instance->type;
    void *state = calloc(1, metric->state_size ? metric->state_size : 1);
    ck_assert_ptr_nonnull(state);
    for (int i = 0; update(item, metric, made->instance->self, state, i); i++)
        ;
    free(state);
}

static void run_case(struct golden_case *item, void *context)
{
    struct golden_rig *rig = context;
    const char *op = bundle_set(item->item, "op"), *name = type_name(op);
    const struct tn_type *type = name ? golden_find_type(rig, TN_METRIC, name) : NULL;
    struct golden_options options = {0};
    struct golden_instance made;
    if (!type) {
        golden_uncovered(item, "no metric is %s", op);
    } else if (add_options(item, type, &options)) {
        if (golden_instance_open(rig, TN_METRIC, name, &options, &made))
            run_updates(item, &made);
        else
            golden_fail(item, "%s", made.reason);
        golden_instance_close(&made);
    }
    tn_text_release(&options.text);
}

START_TEST(metrics_are_those_of_keras)
{
    struct golden_rig rig;
    golden_rig_open(&rig, false);
    int failed = golden_run("layers/metric.txt", "metrics", run_case, &rig);
    golden_rig_close(&rig);
    ck_assert_int_eq(failed, 0);
}
END_TEST

/* `accuracy` chooses its rule by the shapes: each must give what the rule's own type gives. */
START_TEST(accuracy_chooses_by_the_shapes)
{
    static const float scores[] = {0.1f, 0.7f, 0.2f, 0.5f, 0.3f, 0.2f}, numbers[] = {1, 2};
    static const float one_hot[] = {0, 1, 0, 1, 0, 0}, yes_no[] = {0, 1, 1, 1, 0, 0}, several[] = {0, 1, 1, 0, 1, 0},
                       ones[] = {0.5f, 0.51f};
    static const struct {
        struct tn_metric_batch batch;
        double value;
    } cases[] = {
        {{.batch = 2, .classes = 3, .target_count = 1, .sparse = 1, .prediction = scores, .target = numbers}, 0.5},
        {{.batch = 2, .classes = 3, .target_count = 3, .prediction = scores, .target = one_hot}, 1.0},
        {{.batch = 6, .classes = 1, .target_count = 1, .prediction = scores, .target = yes_no}, 4.0 / 6},
        {{.batch = 2, .classes = 1, .target_count = 1, .sparse = 1, .prediction = ones, .target = yes_no},
         1.0}, /* 0.5 is no */
        {{.size = sizeof(struct tn_metric_batch),
          .batch = 2,
          .classes = 3,
          .target_count = 3,
          .prediction = scores,
          .target = several,
          .multi_label = 1},
         4.0 / 6}, /* each output by itself: yes where it is above 0.5 */
    };
    struct golden_rig rig;
    struct golden_options none = {0};
    struct golden_instance made;
    double state[8] = {0};
    golden_rig_open(&rig, false);
    ck_assert_msg(golden_instance_open(&rig, TN_METRIC, "accuracy", &none, &made), "%s", made.reason);
    const struct tn_metric *metric = (const struct tn_metric *)(const void *)made.instance->type;
    ck_assert_uint_le(metric->state_size, sizeof state);
    memset(state, 0, sizeof state);
    metric->update(made.instance->self, state, &cases[_i].batch);
    ck_assert_double_eq_tol(metric->value(made.instance->self, state), cases[_i].value, 1e-12);
    golden_instance_close(&made);
    golden_rig_close(&rig);
}
END_TEST

/* Two samples of two numbers, worked out by hand: errors 1, -2 and 3, 0, weights 1 and 3. */
START_TEST(errors_by_hand)
{
    static const float predicted[] = {2, 1, 8, 5}, wanted[] = {1, 3, 5, 5}, weights[] = {1, 3};
    static const struct {
        const char *name;
        const float *weight;
        double value;
    } cases[] = {
        {"mean_squared_error", NULL, 3.5},
        {"mean_squared_error", weights, 4.0}, /* (1 * 2.5 + 3 * 4.5) / 4 */
        {"mean_absolute_error", NULL, 1.5},
        {"mean_absolute_error", weights, 1.5},
        {"root_mean_squared_error", NULL, 1.8708286933869707},
        {"root_mean_squared_error", weights, 2.0},
    };
    struct golden_rig rig;
    struct golden_options none = {0};
    struct golden_instance made;
    double state[8] = {0};
    struct tn_metric_batch batch = {.size = sizeof batch,
                                    .batch = 2,
                                    .classes = 2,
                                    .target_count = 2,
                                    .prediction = predicted,
                                    .target = wanted,
                                    .weight = cases[_i].weight};
    golden_rig_open(&rig, false);
    ck_assert_msg(golden_instance_open(&rig, TN_METRIC, cases[_i].name, &none, &made), "%s", made.reason);
    const struct tn_metric *metric = (const struct tn_metric *)(const void *)made.instance->type;
    ck_assert_uint_le(metric->state_size, sizeof state);
    metric->update(made.instance->self, state, &batch);
    ck_assert_double_eq_tol(metric->value(made.instance->self, state), cases[_i].value, 1e-12);
    ck_assert_int_eq(metric->direction, TN_DIRECTION_DOWN);
    golden_instance_close(&made);
    golden_rig_close(&rig);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden metrics");
    TCase *metrics = tcase_create("metrics");
    tcase_add_test(metrics, metrics_are_those_of_keras);
    tcase_add_loop_test(metrics, accuracy_chooses_by_the_shapes, 0, 5);
    tcase_add_loop_test(metrics, errors_by_hand, 0, 6);
    suite_add_tcase(suite, metrics);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
