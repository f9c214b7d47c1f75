/* test_golden_losses.c: losses and their gradients against Keras and PyTorch. A loss is called as the device would. */
#include <math.h>
#include <stdlib.h>

#include "support/golden.h"

/* After tenon's headers: it has a macro named fail(). */
#include <check.h>

static bool is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

/* "SparseCategoricalCrossentropy" as "sparse_categorical_crossentropy". */
static void snake_case(const char *camel, char *snake, size_t bytes)
{
    size_t used = 0;
    for (; *camel && used + 2 < bytes; camel++) {
        bool capital = *camel >= 'A' && *camel <= 'Z';
        if (capital && used)
            snake[used++] = '_';
        snake[used++] = capital ? (char)(*camel + 32) : *camel;
    }
    snake[used] = '\0';
}

/* What PyTorch calls otherwise; NULL when it is not one of ours. */
static const char *torch_type(struct golden_case *item, struct golden_options *options)
{
    const char *op = bundle_set(item->item, "op"), *reduction = bundle_set(item->item, "reduction");
    if (bundle_tensor(item->item, "class_weight") || bundle_tensor(item->item, "pos_weight") ||
        (reduction && !is(reduction, "mean")) || bundle_set(item->item, "ignore_index"))
        return NULL;
    if (is(op, "mse"))
        return "mean_squared_error";
    if (is(op, "l1"))
        return "mean_absolute_error";
    golden_option(options, "from_logits", "yes");
    if (is(op, "bce_logits"))
        return "binary_crossentropy";
    if (!is(op, "cross_entropy"))
        return NULL;
    if (bundle_number(item->item, "label_smoothing", 0) != 0)
        golden_option(options, "label_smoothing", "%.17g", bundle_number(item->item, "label_smoothing", 0));
    /* Class numbers with smoothing are the categorical loss on one-hot targets. */
    return bundle_tensor(item->item, "label") && bundle_number(item->item, "label_smoothing", 0) == 0
               ? "sparse_categorical_crossentropy"
               : "categorical_crossentropy";
}

static bool keras_options(struct golden_case *item, const struct tn_type *type, struct golden_options *options)
{
    for (size_t i = 0; i < item->item->setting_count; i++) {
        const struct bundle_setting *setting = &item->item->settings[i];
        if (is(setting->key, "op") || is(setting->key, "source") || is(setting->key, "note"))
            continue;
        if (!golden_find_option(type, setting->key)) {
            if (is(setting->value, "none"))
                continue;
            golden_uncovered(item, "%s has no option %s", type->name, setting->key);
            return false;
        }
        if (!is(setting->value, "none"))
            golden_option(options, setting->key, "%s", setting->value);
    }
    return true;
}

/* Targets as the loss wants them: class numbers for a sparse loss, else [N, K] (one-hot from class numbers). */
static float *targets_of(const struct bundle_tensor *truth, int32_t batch, int32_t classes, bool sparse)
{
    if (sparse || truth->count == (uint64_t)batch * (uint64_t)classes)
        return bundle_floats(truth);
    float *one_hot = calloc((size_t)batch * (size_t)classes, sizeof *one_hot);
    for (int32_t i = 0; one_hot && i < batch; i++) {
        double label = bundle_at(truth, (uint64_t)i);
        if (label >= 0 && label < classes)
            one_hot[(size_t)i * (size_t)classes + (size_t)label] = 1.0f;
    }
    return one_hot;
}

static double sum_over(const float *values, int32_t count)
{
    double sum = 0;
    for (int32_t i = 0; i < count; i++)
        sum += (double)values[i];
    return sum;
}

/* Clipping at 1e-7 amplifies: probabilities and extreme logits get 1e-4, as the README says. */
static double tolerance_of(const struct bundle_case *item)
{
    const struct bundle_tensor *prediction = bundle_tensor(item, "y_pred");
    if (is(bundle_set(item, "from_logits"), "0"))
        return 1e-4;
    for (uint64_t i = 0; i < prediction->count; i++)
        if (fabs(bundle_at(prediction, i)) > 20)
            return 1e-4;
    return 1e-5;
}

/* The unreduced loss: what a batch of one gives (with classes that are ignored, a larger batch is scaled). */
static void each_alone(const struct tn_loss *loss, const struct tn_loss_pass *whole, float *losses)
{
    for (int32_t i = 0; i < whole->batch; i++) {
        struct tn_loss_pass pass = *whole;
        pass.batch = 1;
        pass.prediction += (size_t)i * (size_t)pass.classes;
        pass.target += (size_t)i * (size_t)pass.target_count;
        pass.loss = losses + i;
        pass.gradient = NULL;
        loss->compute(&pass);
    }
}

static void compute_and_compare(struct golden_case *item, const struct golden_instance *made)
{
    const struct tn_loss *loss = (const struct tn_loss *)(const void *)made->instance->type;
    const struct bundle_tensor *prediction = bundle_tensor(item->item, "y_pred");
    const struct bundle_tensor *truth = bundle_tensor(item->item, "y_true"),
                               *weight = bundle_tensor(item->item, "sample_weight"), *expected;
    bool sparse = (loss->type.flags & TN_LOSS_SPARSE) != 0;
    int32_t batch = prediction->dims[0], classes = (int32_t)(prediction->count / (uint64_t)batch);
    float *x = bundle_floats(prediction), *gradient = calloc(prediction->count, sizeof *gradient);
    float *losses = calloc((size_t)batch, sizeof *losses), *weights = weight ? bundle_floats(weight) : NULL;
    float *targets = targets_of(truth ? truth : bundle_tensor(item->item, "label"), batch, classes, sparse), mean;
    struct tn_loss_pass pass = {.size = sizeof pass,
                                .self = made->instance->self,
                                .batch = batch,
                                .classes = classes,
                                .target_count = sparse ? 1 : classes,
                                .from_logits = loss->from_logits && loss->from_logits(made->instance->self),
                                .prediction = x,
                                .target = targets,
                                .loss = losses,
                                .gradient = gradient};
    double tolerance = tolerance_of(item->item);
    ck_assert(x && gradient && losses && targets && (weights || !weight));
    if ((expected = bundle_tensor(item->item, "per_sample")) && expected->count == (uint64_t)batch) {
        each_alone(loss, &pass, losses);
        golden_compare(item, "per_sample", expected, losses, 0, tolerance);
    }
    pass.weight = weights;
    loss->compute(&pass);
    mean = (float)(sum_over(losses, batch) / batch);
    if ((expected = bundle_tensor(item->item, "loss")))
        golden_compare(item, "loss", expected, &mean, 0, tolerance);
    if ((expected = bundle_tensor(item->item, "d_pred")))
        golden_compare(item, "d_pred", expected, gradient, 0, tolerance);
    free(x);
    free(gradient);
    free(losses);
    free(weights);
    free(targets);
}

static void run_case(struct golden_case *item, void *context)
{
    struct golden_rig *rig = context;
    const char *op = bundle_set(item->item, "op");
    const struct bundle_tensor *prediction = bundle_tensor(item->item, "y_pred");
    bool torch = bundle_tensor(item->item, "label") || is(bundle_set(item->item, "source"), "torch") ||
                 !(op && *op >= 'A' && *op <= 'Z');
    struct golden_options options = {0};
    struct golden_instance made;
    char name[128] = "";
    const struct tn_type *type;
    const char *known;
    if (!op || !prediction || prediction->rank < 1 || prediction->count == 0 ||
        !(bundle_tensor(item->item, "y_true") || bundle_tensor(item->item, "label"))) {
        golden_fail(item, "the case has no op, y_pred or y_true");
        return;
    }
    if (!torch)
        snake_case(op, name, sizeof name);
    else if ((known = torch_type(item, &options)))
        (void)snprintf(name, sizeof name, "%s", known);
    type = name[0] ? golden_find_type(rig, TN_LOSS, name) : NULL;
    if (!type)
        golden_uncovered(item, "no loss is %s", op);
    else if (!torch)
        (void)keras_options(item, type, &options);
    if (!golden_decided(item)) {
        if (golden_instance_open(rig, TN_LOSS, name, &options, &made))
            compute_and_compare(item, &made);
        else
            golden_fail(item, "%s", made.reason);
        golden_instance_close(&made);
    }
    tn_text_release(&options.text);
}

START_TEST(losses_are_those_of_keras_and_pytorch)
{
    static const char *const files[][2] = {{"layers/loss.txt", "losses"}, {"layers/torch_loss.txt", "losses/torch"}};
    struct golden_rig rig;
    golden_rig_open(&rig, false);
    int failed = golden_run(files[_i][0], files[_i][1], run_case, &rig);
    golden_rig_close(&rig);
    ck_assert_int_eq(failed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden losses");
    TCase *losses = tcase_create("losses");
    tcase_add_loop_test(losses, losses_are_those_of_keras_and_pytorch, 0, 2);
    suite_add_tcase(suite, losses);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
