/* golden.c: see golden.h. */
#include "support/golden.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

enum { MOST_SHOWN = 20 /* failures of a group that are told in words */ };

void golden_fail(struct golden_case *item, const char *format, ...)
{
    va_list arguments;
    if (golden_decided(item))
        return;
    item->failed = true;
    va_start(arguments, format);
    (void)vsnprintf(item->reason, sizeof item->reason, format, arguments);
    va_end(arguments);
}

void golden_uncovered(struct golden_case *item, const char *format, ...)
{
    va_list arguments;
    if (golden_decided(item))
        return;
    va_start(arguments, format);
    (void)vsnprintf(item->reason, sizeof item->reason, format, arguments);
    va_end(arguments);
}

bool golden_decided(const struct golden_case *item)
{
    return item->failed || item->reason[0];
}

static void count(const struct golden_case *item, bool tell)
{
    struct golden_group *group = item->group;
    if (item->failed) {
        if (++group->failed <= MOST_SHOWN)
            printf("golden %s: %s: %s\n", group->name, item->item->name, item->reason);
    } else if (item->reason[0]) {
        group->uncovered++;
        if (tell)
            printf("golden %s: %s: not covered: %s\n", group->name, item->item->name, item->reason);
    } else {
        group->passed++;
    }
}

int golden_run(const char *relative, const char *name, void (*run)(struct golden_case *item, void *context),
               void *context)
{
    char path[PATH_MAX];
    struct golden_group group = {.name = name};
    struct bundle *bundle = NULL;
    struct tn_error error = {0};
    bool tell = getenv("TENON_GOLDEN_VERBOSE") != NULL;
    if (!fixtures_file(path, sizeof path, relative)) {
        printf("golden %s: skipped, no %s there (set TENON_FIXTURES)\n", name, relative);
        return 0;
    }
    if (bundle_open(path, &bundle, &error) != TN_OK) {
        printf("golden %s: %s\n", name, error.text);
        return 1;
    }
    for (size_t i = 0; i < bundle_case_count(bundle); i++) {
        struct golden_case item = {.group = &group, .item = bundle_case_at(bundle, i)};
        run(&item, context);
        if (!item.compared)
            golden_fail(&item, "nothing was compared");
        count(&item, tell);
    }
    bundle_close(&bundle);
    printf("golden %-20s %5d passed %5d failed %5d not covered yet\n", group.name, group.passed, group.failed,
           group.uncovered);
    (void)fflush(stdout);
    return group.failed;
}

void golden_compare(struct golden_case *item, const char *what, const struct bundle_tensor *expected, const float *got,
                    double absolute, double relative)
{
    double largest = 0, worst = 0;
    uint64_t at = 0;
    for (uint64_t i = 0; i < expected->count; i++) {
        double magnitude = fabs(bundle_at(expected, i));
        largest = isfinite(magnitude) && magnitude > largest ? magnitude : largest;
    }
    for (uint64_t i = 0; i < expected->count; i++) {
        double wanted = bundle_at(expected, i), have = (double)got[i], difference = fabs(wanted - have);
        if (wanted == have || (isnan(wanted) && isnan(have)))
            difference = 0;
        else if (isnan(difference))
            difference = INFINITY;
        if (difference > worst) {
            worst = difference;
            at = i;
        }
    }
    item->compared++;
    if (worst > absolute + relative * largest)
        golden_fail(item, "%s[%llu] is %.9g, not %.9g: off by %.3g, allowed are %.3g", what, (unsigned long long)at,
                    (double)got[at], bundle_at(expected, at), worst, absolute + relative * largest);
}

/* ---- types ---- */

static void give_up(const char *what, const char *why)
{
    printf("golden: %s: %s\n", what, why);
    (void)fflush(stdout);
    abort();
}

void golden_rig_open(struct golden_rig *rig, bool with_device)
{
    struct tn_error error = {0};
    struct golden_options options = {0};
    struct golden_instance device = {0};
    const char *threads = getenv("TENON_TEST_THREADS");
    *rig = (struct golden_rig){0};
    if (tn_registry_open(NULL, &rig->registry, &error) != TN_OK)
        give_up("registry", error.text);
    tn_registry_load_all(rig->registry);
    if (!with_device)
        return;
    golden_option(&options, "threads", "%s", threads ? threads : "1");
    if (!golden_instance_open(rig, TN_DEVICE, "cpu", &options, &device))
        give_up("device cpu", device.reason);
    rig->device = device.instance;
    device.instance = NULL;
    golden_instance_close(&device);
}

void golden_rig_close(struct golden_rig *rig)
{
    tn_instance_close(&rig->device);
    tn_registry_close(&rig->registry);
}

void golden_option(struct golden_options *options, const char *key, const char *format, ...)
{
    char value[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    tn_text_format(&options->text, "%s = %s\n", key, value);
}

bool golden_instance_open(struct golden_rig *rig, uint32_t kind, const char *type, struct golden_options *options,
                          struct golden_instance *made)
{
    struct tn_text text = {0};
    struct tn_section *section = NULL;
    const char *name = options->name ? options->name : "golden";
    *made = (struct golden_instance){0};
    tn_text_format(&text, "[%s:%s]\ntype = %s\n", tn_kind_name(kind), name, type);
    if (options->text.data)
        tn_text_add(&text, options->text.data);
    tn_text_release(&options->text);
    /* Formats have no section: the core opens them by the file's extension. */
    if (kind == TN_FORMAT)
        (void)tn_instance_open(rig->registry, kind, type, NULL, NULL, &made->instance, &made->problems);
    else if (!text.failed && tn_config_load_text(text.data, text.length, "golden.ini", NULL, 0, &made->config,
                                                 &made->problems) == TN_OK)
        section = tn_config_section(made->config, tn_kind_name(kind), name);
    tn_text_release(&text);
    if (section)
        (void)tn_instance_open(rig->registry, kind, NULL, section, NULL, &made->instance, &made->problems);
    if (!made->instance)
        (void)snprintf(made->reason, sizeof made->reason, "%s",
                       made->problems.count ? made->problems.items[0].text : "no instance, and no reason given");
    return made->instance != NULL;
}

void golden_instance_close(struct golden_instance *made)
{
    tn_instance_close(&made->instance);
    if (made->config)
        tn_config_close(&made->config);
    tn_problems_release(&made->problems);
}

const struct tn_option *golden_find_option(const struct tn_type *type, const char *key)
{
    const struct tn_option *option = type->options;
    for (; option && option->kind != TN_OPTION_END; option++)
        if (option->kind != TN_OPTION_GONE && strcmp(option->name, key) == 0)
            return option;
    return NULL;
}

const struct tn_type *golden_find_type(struct golden_rig *rig, uint32_t kind, const char *name)
{
    const struct tn_type *type;
    for (size_t i = 0; (type = tn_registry_type(rig->registry, kind, i, NULL)); i++)
        if (strcmp(type->name, name) == 0)
            return type;
    return NULL;
}
