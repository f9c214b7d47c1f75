/* test_golden_optimizers.c: optimizers against Keras and PyTorch: five steps with given gradients, and the state after
 * them. */
#include <math.h>
#include <stdlib.h>

#include "support/golden.h"

/* After tenon's headers: it has a macro named fail(). */
#include <check.h>

enum { MOST_SLOTS = 4 };

static bool is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

/* A setting that changes nothing: absent, off, or a number that only matters with another setting. */
static bool is_off(const struct bundle_setting *setting)
{
    static const char *const ignored[] = {"op", "source", "note", "ema_momentum"};
    for (size_t i = 0; i < TN_COUNT_OF(ignored); i++)
        if (is(setting->key, ignored[i]))
            return true;
    return is(setting->value, "none") || is(setting->value, "0") || is(setting->value, "0.0");
}

/* Gives our type the settings that it knows under their own names. */
static void add_options(struct golden_case *item, const struct tn_type *type, struct golden_options *options)
{
    for (size_t i = 0; i < item->item->setting_count; i++) {
        const struct bundle_setting *setting = &item->item->settings[i];
        const char *key = is(setting->key, "lr") ? "learning_rate" : setting->key;
        if (golden_find_option(type, key)) {
            if (!is(setting->value, "none"))
                golden_option(options, key, "%s", setting->value);
        } else if (!is_off(setting)) {
            golden_uncovered(item, "%s has no option %s (= %s)", type->name, key, setting->value);
        }
    }
}

/* Name of our type; NULL = none, or one that computes something else with these settings. */
static const char *type_name(const struct bundle_case *item)
{
    const char *op = bundle_set(item, "op");
    if (!is(bundle_set(item, "source"), "torch") && !bundle_set(item, "lr"))
        return is(op, "SGD") ? "sgd" : is(op, "Adam") || is(op, "AdamW") ? "adam" : NULL;
    /* PyTorch's Adam adds epsilon to the corrected root, and its weight decay goes into the gradient. */
    if (is(op, "SGD") && bundle_number(item, "weight_decay", 0) == 0 && bundle_number(item, "dampening", 0) == 0)
        return "sgd";
    return NULL;
}

/* One variable: its gradients for each step, its values before the first and after each, its state at the end. */
static void run_variable(struct golden_case *item, const struct golden_instance *made, int index, int32_t decay)
{
    const struct tn_optimizer *optimizer = (const struct tn_optimizer *)(const void *)made->instance->type;
    const void *self = made->instance->self;
    char role[96];
    (void)snprintf(role, sizeof role, "g%d", index);
    const struct bundle_tensor *gradients = bundle_tensor(item->item, role);
    (void)snprintf(role, sizeof role, "v%d", index);
    const struct bundle_tensor *values = bundle_tensor(item->item, role);
    int32_t steps = gradients->dims[0], slot_count = optimizer->slot_count(self);
    if (!values || steps < 1 || values->dims[0] != steps + 1 ||
        values->count / (uint64_t)values->dims[0] != gradients->count / (uint64_t)steps) {
        golden_fail(item, "g%d and v%d do not belong together", index, index);
        return;
    }
    size_t count = (size_t)(gradients->count / (uint64_t)steps);
    float *all = bundle_floats(values), *g = bundle_floats(gradients), *slots[MOST_SLOTS] = {NULL};
    float *got = calloc(values->count, sizeof *got), *w = malloc(count * sizeof *w);
    ck_assert(all && g && got && w && slot_count <= MOST_SLOTS);
    for (int32_t s = 0; s < slot_count; s++)
        ck_assert_ptr_nonnull(slots[s] = calloc(count, sizeof(float)));
    memcpy(w, all, count * sizeof *w);
    memcpy(got, w, count * sizeof *w);
    for (int32_t step = 0; step < steps; step++) {
        const struct tn_update update = {.size = sizeof update,
                                         .self = self,
                                         .count = count,
                                         .learning_rate = optimizer->learning_rate(self),
                                         .step = (uint64_t)step + 1,
                                         .slot_count = slot_count,
                                         .decay = decay,
                                         .parameter = w,
                                         .gradient = g + (size_t)step * count,
                                         .slots = slots};
        optimizer->update(&update);
        memcpy(got + ((size_t)step + 1) * count, w, count * sizeof *w);
    }
    (void)snprintf(role, sizeof role, "v%d", index);
    golden_compare(item, role, values, got, 1e-6, 1e-5);
    for (int32_t s = 0; s < slot_count; s++) {
        (void)snprintf(role, sizeof role, "slot_p%d_%s", index, optimizer->slot_name(self, s));
        const struct bundle_tensor *slot = bundle_tensor(item->item, role);
        if (slot && slot->count == count)
            golden_compare(item, role, slot, slots[s], 1e-6, 1e-5);
    }
    free(all);
    free(g);
    free(got);
    free(w);
    for (int32_t s = 0; s < slot_count; s++)
        free(slots[s]);
}

/* Keras excludes variables from weight decay by their names, which the settings do not tell: a bias may be one. */
static void run_variable_either_way(struct golden_case *item, const struct golden_instance *made, int index)
{
    struct golden_case with = *item, without = *item;
    char role[16];
    run_variable(&with, made, index, 1);
    (void)snprintf(role, sizeof role, "v%d", index);
    const struct bundle_tensor *values = bundle_tensor(item->item, role);
    if (golden_decided(&with) && values && values->rank == 2 && bundle_number(item->item, "weight_decay", 0) != 0) {
        run_variable(&without, made, index, 0);
        with = golden_decided(&without) ? with : without;
    }
    *item = with;
}

static void run_case(struct golden_case *item, void *context)
{
    struct golden_rig *rig = context;
    const char *name = type_name(item->item);
    const struct tn_type *type = name ? golden_find_type(rig, TN_OPTIMIZER, name) : NULL;
    struct golden_options options = {0};
    struct golden_instance made;
    char role[16] = "g0";
    if (type)
        add_options(item, type, &options);
    else
        golden_uncovered(item, "no optimizer does what %s does with these settings", bundle_set(item->item, "op"));
    if (!golden_decided(item)) {
        if (golden_instance_open(rig, TN_OPTIMIZER, name, &options, &made))
            for (int i = 0; bundle_tensor(item->item, role); (void)snprintf(role, sizeof role, "g%d", ++i))
                run_variable_either_way(item, &made, i);
        else
            golden_fail(item, "%s", made.reason);
        golden_instance_close(&made);
    }
    tn_text_release(&options.text);
}

START_TEST(optimizers_are_those_of_keras_and_pytorch)
{
    static const char *const files[][2] = {{"layers/optim.txt", "optimizers"},
                                           {"layers/torch_optim.txt", "optimizers/torch"}};
    struct golden_rig rig;
    golden_rig_open(&rig, false);
    int failed = golden_run(files[_i][0], files[_i][1], run_case, &rig);
    golden_rig_close(&rig);
    ck_assert_int_eq(failed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden optimizers");
    TCase *optimizers = tcase_create("optimizers");
    tcase_add_loop_test(optimizers, optimizers_are_those_of_keras_and_pytorch, 0, 2);
    suite_add_tcase(suite, optimizers);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
