/* plugin_check.c: `tenon plugin check FILE.so`: reads what a plugin says of itself, then tries to break each of its
 * types. Whatever runs the plugin's code does so in a child process: a crash is a failed check and not our end. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/plugin.h"

enum { GROUP_SECONDS = 120 };

static const struct group {
    const char *name;
    uint32_t kind; /* 0 = all */
    void (*run)(struct tn_checker *checker);
} groups[] = {
    {"options", 0, tn_check_options},
    {"source", TN_SOURCE, tn_check_source},
    {"codec", TN_CODEC, tn_check_codec},
    {"augment", TN_AUGMENT, tn_check_augment},
    {"layer", TN_LAYER, tn_check_layer},
    {"loss", TN_LOSS, tn_check_loss},
    {"metric", TN_METRIC, tn_check_metric},
    {"optimizer", TN_OPTIMIZER, tn_check_optimizer},
    {"schedule", TN_SCHEDULE, tn_check_schedule},
    {"callback", TN_CALLBACK, tn_check_callback},
};

struct tally {
    size_t passed, failed;
};

static void print_line(struct tally *tally, bool passed, const char *text)
{
    printf("  %-7s %s\n", passed ? "ok" : "FAILED", text);
    tally->passed += passed;
    tally->failed += !passed;
}

/* ---- what can be read without running anything ---- */

static bool is_plain_name(const char *name)
{
    return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

/* Keys that the core reads itself: in every section, and in those of one kind. */
static bool is_core_key(const struct tn_type *type, const char *name)
{
    static const struct {
        const char *name;
        uint32_t kind; /* 0 = every */
    } keys[] = {{"type", 0}, {"remove", 0}, {"inputs", 0}, {"on", TN_AUGMENT}};
    for (size_t i = 0; i < TN_COUNT_OF(keys); i++)
        if (strcmp(keys[i].name, name) == 0 && (keys[i].kind == 0 || keys[i].kind == type->kind))
            return true;
    return false;
}

/* What is wrong with one option, or NULL. */
static const char *option_problem(const struct tn_type *type, const struct tn_option *option)
{
    double low = option->minimum, high = option->maximum, standard = option->default_number;
    bool number = option->kind == TN_OPTION_INT || option->kind == TN_OPTION_FLOAT;
    struct tn_arena arena = {0};
    struct tn_error error = {0};
    uint64_t field[4]; /* room for the widest */
    const char *problem = NULL;
    if (!is_plain_name(option->name))
        return "has a name with other letters than a-z, 0-9 and _";
    if (is_core_key(type, option->name))
        return "has a name that the core keeps for itself";
    for (const struct tn_option *other = type->options; other != option; other++)
        if (strcmp(other->name, option->name) == 0)
            return "stands twice in the table";
    if (!option->help[0] || strchr(option->help, '\n'))
        return "needs a help text of one line";
    if (option->kind == TN_OPTION_GONE)
        return NULL;
    if (!(low <= high))
        return "has a lower bound above the upper one";
    if (number && !isnan(standard) && !(standard >= low && standard <= high))
        return "has a default outside of its own range";
    if (option->kind == TN_OPTION_INT && !isnan(standard) && standard != floor(standard))
        return "has a default that is not whole";
    if (option->default_text && !(number || option->kind == TN_OPTION_BOOL || option->kind == TN_OPTION_ENUM) &&
        tn_option_parse(option, option->default_text, NULL, field, &arena, &error) != TN_OK)
        problem = "has a default text that its own kind refuses";
    tn_arena_release(&arena);
    return problem;
}

static void lint(const struct tn_type *type, struct tally *tally)
{
    char text[256];
    size_t options = 0;
    bool good = is_plain_name(type->name);
    if (!good)
        print_line(tally, false, "its name has other letters than a-z, 0-9 and _");
    if (!type->summary[0] || strchr(type->summary, '\n')) {
        print_line(tally, false, "its summary is not a line of text");
        good = false;
    }
    for (const struct tn_option *option = type->options; option && option->kind; option++, options++) {
        const char *problem = option_problem(type, option);
        if (!problem)
            continue;
        (void)snprintf(text, sizeof text, "option `%s` %s", option->name, problem);
        print_line(tally, false, text);
        good = false;
    }
    (void)snprintf(text, sizeof text, "names, summary, table of %zu options", options);
    if (good)
        print_line(tally, true, text);
}

/* ---- groups of checks, each in a child ---- */

struct running {
    struct tn_checker checker;
    const struct group *group;
};

static void run_group(void *context, int out)
{
    struct running *running = context;
    running->checker.out = out;
    running->checker.random = tn_random_stream(20, running->checker.type->kind);
    running->group->run(&running->checker);
}

/* Lines of the child: + passed, - failed, . remark, ? what is tried. Cuts `said` up. */
static const char *print_said(struct tn_text *said, struct tally *tally)
{
    const char *step = NULL;
    for (char *line = said->failed ? NULL : said->data, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (*line == '?')
            step = line + 1;
        else if (*line == '.')
            printf("  %-7s %s\n", "note", line + 1);
        else
            print_line(tally, *line == '+', line + 1);
    }
    return step;
}

static void check_type(struct tn_checker *checker, struct tally *tally)
{
    printf("%s %s: %s\n", tn_kind_name(checker->type->kind), checker->type->name, checker->type->summary);
    lint(checker->type, tally);
    for (size_t i = 0; i < TN_COUNT_OF(groups); i++) {
        struct running running = {*checker, &groups[i]};
        struct tn_text said = {0};
        char how[160], text[512];
        const char *step;
        bool ended;
        if (groups[i].kind && groups[i].kind != checker->type->kind)
            continue;
        ended = tn_child_run(run_group, &running, GROUP_SECONDS, &said, how, sizeof how);
        step = print_said(&said, tally);
        if (!ended) {
            (void)snprintf(text, sizeof text, "%s: %s%s%s", groups[i].name, how, step ? ", at: " : "",
                           step ? step : "");
            print_line(tally, false, text);
        }
        tn_text_release(&said);
    }
    if (checker->type->kind == TN_DEVICE || checker->type->kind == TN_FORMAT)
        printf("  %-7s there are no checks of this kind's functions yet\n", "note");
}

static void load(void *context, int out)
{
    (void)out;
    tn_registry_load_all(context);
}

/* The file's own problem, or a crash while it is opened; NULL = it can be used. `how` is the caller's buffer. */
static const char *load_problem(struct tn_registry *registry, char *how, size_t how_size)
{
    struct tn_text said = {0};
    bool good = tn_child_run(load, registry, GROUP_SECONDS, &said, how, how_size);
    tn_text_release(&said);
    if (!good)
        return how;
    tn_registry_load_all(registry);
    return tn_registry_plugin(registry, 0)->problem;
}

static int check_file(struct tn_arguments *arguments, struct tn_registry *registry)
{
    const struct tn_plugin *plugin = tn_registry_plugin(registry, 0);
    struct tn_checker checker = {
        .registry = registry, .values = arguments->operands + 1, .value_count = arguments->operand_count - 1};
    struct tally tally = {0};
    char how[160];
    const char *problem = load_problem(registry, how, sizeof how);
    if (problem) {
        tn_console_say(arguments->console, TN_LOG_ERROR, "%s %s", plugin->path, problem);
        return TN_EXIT_FAILED;
    }
    printf("%s: %s %s, %s, built with %s, needs plugin ABI %u.%u\n", plugin->path, plugin->manifest->name,
           plugin->manifest->version, plugin->manifest->licence,
           plugin->manifest->size >= sizeof *plugin->manifest && plugin->manifest->built_with
               ? plugin->manifest->built_with
               : "an unknown compiler",
           plugin->manifest->abi_major, plugin->manifest->abi_need);
    for (size_t i = 0; (checker.type = tn_registry_type(registry, 0, i, NULL)) != NULL; i++)
        check_type(&checker, &tally);
    if (tally.failed)
        printf("%zu of %zu checks failed\n", tally.failed, tally.failed + tally.passed);
    else
        printf("all %zu checks passed\n", tally.passed);
    return tally.failed ? TN_EXIT_FAILED : TN_EXIT_DONE;
}

static int run(struct tn_arguments *arguments)
{
    struct tn_registry *registry;
    struct tn_error error = {0};
    tn_status status;
    int exit_status;
    for (size_t i = 1; i < arguments->operand_count; i++) {
        if (strchr(arguments->operands[i], '='))
            continue;
        tn_console_say(arguments->console, TN_LOG_ERROR, "plugin check: what is `%s`? usage: tenon plugin check %s",
                       arguments->operands[i], arguments->command->usage);
        return TN_EXIT_WRONG;
    }
    if (!tn_path_exists(arguments->operands[0])) {
        tn_console_say(arguments->console, TN_LOG_ERROR, "plugin check: there is no file %s", arguments->operands[0]);
        return TN_EXIT_WRONG;
    }
    status = tn_registry_open_file(arguments->operands[0], &registry, &error);
    if (status != TN_OK)
        return tn_console_fail(arguments->console, status, &error);
    exit_status = check_file(arguments, registry);
    tn_registry_close(&registry);
    return exit_status;
}

const struct tn_command tn_plugin_check_entry = {
    .name = "plugin check",
    .summary = "tries to break a plugin",
    .usage = "FILE.so [OPTION=VALUE ...]",
    .about =
        "Reads the tables of a plugin, then calls each of its types with odd sizes, bounds, guarded memory and\n"
        "finite differences, each group in a process of its own: a crash is a failed check. OPTION=VALUE sets an\n"
        "option of the types that have it, for those that cannot be opened without (a path, say). Exit status 1 when\n"
        "a check failed.",
    .examples = "  tenon plugin check ./sepia.so\n"
                "  tenon plugin check ./csv_list.so path=pictures/list.csv",
    .minimum_operands = 1,
    .maximum_operands = -1,
    .operand_name = "FILE.so",
    .run = run,
};
