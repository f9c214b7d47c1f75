/* args.c: the words of a command line. Options come from the same tables as those of plugins, so that ranges, wording
 * of errors and help agree with the experiment file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define LONGEST_NAME 64

/* `--plugin-path` is the field plugin_path. */
static void option_words(const struct tn_option *option, char *words, size_t size)
{
    snprintf(words, size, "--%s", option->name);
    for (char *c = words; *c; c++)
        if (*c == '_')
            *c = '-';
}

static const struct tn_option *option_by_words(const struct tn_command *command, const char *name, size_t length)
{
    for (const struct tn_option *option = command->options; option && option->kind; option++) {
        char words[LONGEST_NAME];
        option_words(option, words, sizeof words);
        if (strlen(words) == length && strncmp(words, name, length) == 0)
            return option;
    }
    return NULL;
}

static const struct tn_option *option_by_letter(const struct tn_command *command, char letter)
{
    for (const struct tn_command_letter *row = command->letters; row && row->letter; row++)
        for (const struct tn_option *option = command->options; row->letter == letter && option->kind; option++)
            if (strcmp(option->name, row->option) == 0)
                return option;
    return NULL;
}

static void say_unknown_option(struct tn_arguments *arguments, const char *word, size_t length)
{
    const struct tn_command *command = arguments->command;
    const char *names[LONGEST_NAME] = {"--help"};
    size_t count = 1;
    char *typed = tn_arena_text(&arguments->arena, word, length);
    const char *nearest;
    for (const struct tn_option *option = command->options; option && option->kind && count + 1 < TN_COUNT_OF(names);
         option++) {
        char words[LONGEST_NAME];
        option_words(option, words, sizeof words);
        names[count++] = tn_arena_string(&arguments->arena, words);
    }
    names[count] = NULL;
    nearest = typed ? tn_nearest(typed, names) : NULL;
    if (nearest)
        tn_console_say(arguments->console, TN_LOG_ERROR, "%s: no option %s; did you mean %s?", command->name, typed,
                       nearest);
    else
        tn_console_say(arguments->console, TN_LOG_ERROR, "%s: no option %s; `tenon %s --help` lists them",
                       command->name, typed ? typed : word, command->name);
}

/* Parses one option word; `*next` moves behind a value that stands in the following word. */
static bool parse_option(struct tn_arguments *arguments, void *options, char **argv, int argc, int *next)
{
    const char *word = argv[*next], *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    const char *value = equals ? equals + 1 : NULL;
    const struct tn_option *option;
    struct tn_error error = {0};

    if (word[1] == '-') {
        option = option_by_words(arguments->command, word, length);
    } else {
        option = option_by_letter(arguments->command, word[1]);
        if (option && word[2] && !equals)
            value = word + 2; /* -oFILE */
    }
    if (!option) {
        say_unknown_option(arguments, word, length);
        return false;
    }
    ++*next;
    if (!value && option->kind == TN_OPTION_BOOL)
        value = "yes";
    if (!value && *next < argc)
        value = argv[(*next)++];
    if (!value) {
        tn_console_say(arguments->console, TN_LOG_ERROR, "%s: %.*s needs a value (%s)", arguments->command->name,
                       (int)length, word, option->help);
        return false;
    }
    if (tn_option_parse(option, value, NULL, (char *)options + option->offset, &arguments->arena, &error) != TN_OK) {
        tn_console_say(arguments->console, TN_LOG_ERROR, "%s: %.*s: %s", arguments->command->name, (int)length, word,
                       error.text);
        return false;
    }
    return true;
}

/* section.key=value. A path that exists wins, so that a picture called a.b=c.jpg can be named. */
static bool is_override(const char *word)
{
    const char *equals = strchr(word, '=');
    return equals && equals != word && memchr(word, '.', (size_t)(equals - word)) && !tn_path_exists(word);
}

/* Required options have no default: that they are missing is said after the words were read. */
static bool set_defaults(struct tn_arguments *arguments, void *options)
{
    struct tn_problems problems = {0};
    tn_status status = TN_OK;
    if (arguments->command->options)
        status = tn_options_apply(arguments->command->options, NULL, NULL, options, &arguments->arena, &problems);
    if (status == TN_NO_MEMORY)
        tn_console_say(arguments->console, TN_LOG_ERROR, "out of memory");
    tn_problems_release(&problems);
    return status != TN_NO_MEMORY;
}

static bool has_required(struct tn_arguments *arguments)
{
    const struct tn_command *command = arguments->command;
    for (const struct tn_option *option = command->options; option && option->kind; option++) {
        char words[LONGEST_NAME];
        const char *value;
        if (option->kind != TN_OPTION_STRING || !(option->flags & TN_OPTION_IS_REQUIRED))
            continue;
        memcpy(&value, (const char *)arguments->options + option->offset, sizeof(const char *));
        if (value)
            continue;
        option_words(option, words, sizeof words);
        tn_console_say(arguments->console, TN_LOG_ERROR, "%s: %s is missing: %s; usage: tenon %s %s", command->name,
                       words, option->help, command->name, command->usage);
        return false;
    }
    return true;
}

static bool count_fits(struct tn_arguments *arguments)
{
    const struct tn_command *command = arguments->command;
    struct tn_console *console = arguments->console;
    if ((command->flags & TN_COMMAND_EXPERIMENT) && !arguments->file) {
        tn_console_say(console, TN_LOG_ERROR, "%s: which experiment? usage: tenon %s %s", command->name, command->name,
                       command->usage);
        return false;
    }
    if (arguments->operand_count < (size_t)command->minimum_operands) {
        tn_console_say(console, TN_LOG_ERROR, "%s: %s is missing; usage: tenon %s %s", command->name,
                       command->operand_name, command->name, command->usage);
        return false;
    }
    if (command->maximum_operands >= 0 && arguments->operand_count > (size_t)command->maximum_operands) {
        const char *extra = arguments->operands[command->maximum_operands];
        tn_console_say(console, TN_LOG_ERROR, "%s: what is `%s`?%s usage: tenon %s %s", command->name, extra,
                       strchr(extra, '=') ? " (an override is section.key=value)" : "", command->name, command->usage);
        return false;
    }
    return true;
}

bool tn_arguments_parse(struct tn_arguments *arguments, int argc, char **argv)
{
    const struct tn_command *command = arguments->command;
    void *options = tn_arena_take(&arguments->arena, command->options_size + 1);
    bool only_operands = false;

    arguments->options = options;
    arguments->operands = tn_arena_take(&arguments->arena, ((size_t)argc + 1) * sizeof *arguments->operands);
    /* Room for what commands add themselves (--threads and the like). */
    arguments->overrides = tn_arena_take(&arguments->arena, ((size_t)argc + 9) * sizeof *arguments->overrides);
    if (!options || !arguments->operands || !arguments->overrides || !set_defaults(arguments, options))
        return false;
    for (int i = 1; i < argc;) {
        const char *word = argv[i];
        if (!only_operands && strcmp(word, "--") == 0) {
            only_operands = true;
            i++;
        } else if (!only_operands && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            arguments->help = true;
            return true;
        } else if (!only_operands && word[0] == '-' && word[1]) {
            if (!parse_option(arguments, options, argv, argc, &i))
                return false;
        } else {
            if ((command->flags & TN_COMMAND_EXPERIMENT) && is_override(word))
                arguments->overrides[arguments->override_count++] = word;
            else if ((command->flags & TN_COMMAND_EXPERIMENT) && !arguments->file)
                arguments->file = word;
            else
                arguments->operands[arguments->operand_count++] = word;
            i++;
        }
    }
    return count_fits(arguments) && has_required(arguments);
}

void tn_arguments_release(struct tn_arguments *arguments)
{
    tn_arena_release(&arguments->arena);
}

void tn_arguments_plugin_path(const char *paths)
{
    const char *before = getenv("TENON_PLUGIN_PATH");
    struct tn_text text = {0};
    if (!paths)
        return;
    tn_text_add(&text, paths);
    if (before && *before)
        tn_text_format(&text, ":%s", before);
    if (!text.failed)
        setenv("TENON_PLUGIN_PATH", text.data, 1);
    tn_text_release(&text);
}

void tn_arguments_override(struct tn_arguments *arguments, const char *format, ...)
{
    char text[512];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    arguments->overrides[arguments->override_count] = tn_arena_string(&arguments->arena, text);
    if (arguments->overrides[arguments->override_count])
        arguments->override_count++;
}

bool tn_arguments_experiment(struct tn_arguments *arguments, uint32_t flags, struct tn_experiment **experiment,
                             int *exit_status)
{
    struct tn_problems problems = {0};
    tn_status status = tn_experiment_open(arguments->file, arguments->overrides, arguments->override_count, flags,
                                          experiment, &problems);
    if (status != TN_OK)
        *exit_status = tn_console_problems(arguments->console, &problems, status);
    tn_problems_release(&problems);
    return status == TN_OK;
}
