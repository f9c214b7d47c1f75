/* test_golden_schedules.c: learning rates of each step against Keras'. */
#include <ctype.h>
#include <stdlib.h>

#include "support/golden.h"

/* After tenon's headers: it has a macro named fail(). */
#include <check.h>

/* ExponentialDecay -> exponential_decay. */
static void type_name(const char *op, char *name, size_t size)
{
    size_t used = 0;
    for (; *op && used + 2 < size; op++) {
        if (isupper((unsigned char)*op) && used)
            name[used++] = '_';
        name[used++] = (char)tolower((unsigned char)*op);
    }
    name[used] = '\0';
}

static void run_case(struct golden_case *item, void *context)
{
    struct golden_rig *rig = context;
    const struct bundle_tensor *expected = bundle_tensor(item->item, "lr");
    const char *op = bundle_set(item->item, "op");
    struct golden_options options = {0};
    struct golden_instance made = {0};
    char name[128] = "";
    const struct tn_type *type;
    type_name(op ? op : "", name, sizeof name);
    type = golden_find_type(rig, TN_SCHEDULE, name);
    if (!type || !expected) {
        golden_uncovered(item, "no schedule is %s", name);
        return;
    }
    for (size_t i = 0; i < item->item->setting_count; i++) {
        const struct bundle_setting *setting = &item->item->settings[i];
        char value[256];
        if (!golden_find_option(type, setting->key) || strcmp(setting->value, "none") == 0)
            continue;
        (void)snprintf(value, sizeof value, "%s", setting->value);
        for (char *c = value; *c; c++)
            *c = *c == ' ' ? ',' : *c;
        golden_option(&options, setting->key, "%s", value);
    }
    if (golden_instance_open(rig, TN_SCHEDULE, name, &options, &made)) {
        const struct tn_schedule *schedule = (const struct tn_schedule *)(const void *)type;
        float *rates = calloc(expected->count, sizeof *rates);
        ck_assert_ptr_nonnull(rates);
        for (uint64_t step = 0; step < expected->count; step++) {
            struct tn_schedule_point point = {.size = sizeof point,
                                              .step = step,
                                              .total_steps = expected->count,
                                              .steps_per_epoch = expected->count,
                                              .initial = 123};
            rates[step] = (float)schedule->rate(made.instance->self, &point);
        }
        golden_compare(item, "lr", expected, rates, 0, 1e-6);
        free(rates);
    } else {
        golden_fail(item, "%s", made.reason);
    }
    golden_instance_close(&made);
}

START_TEST(rates_are_those_of_keras)
{
    struct golden_rig rig;
    golden_rig_open(&rig, false);
    int failed = golden_run("layers/schedule.txt", "schedules", run_case, &rig);
    golden_rig_close(&rig);
    ck_assert_int_eq(failed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden schedules");
    TCase *rates = tcase_create("rates");
    tcase_add_test(rates, rates_are_those_of_keras);
    suite_add_tcase(suite, rates);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
