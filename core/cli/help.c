/* help.c: `tenon --help` and `tenon COMMAND --help`, from the tables of the commands. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

void tn_help_all(void)
{
    puts("tenon trains convolutional image classifiers from an INI file.\n"
         "\n"
         "usage: tenon COMMAND ...\n");
    for (size_t i = 0; tn_commands[i]; i++)
        printf("  %-8s  %s\n", tn_commands[i]->name, tn_commands[i]->summary);
    puts("\n"
         "To begin, with a folder that has one folder of images for each class:\n"
         "  tenon init photos/        # looks at it and writes photos.ini\n"
         "  tenon train photos.ini\n"
         "  tenon predict photos.ini --weights runs/photos/checkpoints/best.h5 picture.jpg\n"
         "\n"
         "`tenon COMMAND --help` says more. What can stand in an experiment: `tenon help experiment`, `tenon help "
         "data`,\n"
         "`tenon plugin list`, `tenon plugin show TYPE`.\n"
         "Exit status: 0 done, 1 failed, 2 experiment or command line wrong, 75 interrupted.");
}

const char *tn_option_placeholder(const struct tn_option *option)
{
    if (option->choices)
        return option->choices;
    switch (option->kind) {
    case TN_OPTION_BOOL:
        return NULL;
    case TN_OPTION_INT:
        return "N";
    case TN_OPTION_FLOAT:
        return "X";
    case TN_OPTION_SIZE:
        return "HEIGHTxWIDTH";
    case TN_OPTION_BYTES:
        return "BYTES";
    case TN_OPTION_DURATION:
        return "TIME";
    case TN_OPTION_LIST:
        return "A,B,...";
    default:
        return option->flags & TN_OPTION_IS_PATH ? "FILE" : "TEXT";
    }
}

static char letter_of(const struct tn_command *command, const char *option)
{
    for (const struct tn_command_letter *row = command->letters; row && row->letter; row++)
        if (strcmp(row->option, option) == 0)
            return row->letter;
    return '\0';
}

static void print_option(const struct tn_command *command, const struct tn_option *option, struct tn_arena *arena)
{
    const char *placeholder = tn_option_placeholder(option);
    const char *standard = option->kind == TN_OPTION_BOOL ? "" : tn_option_default_text(option, arena);
    char letter = letter_of(command, option->name);
    char words[96];
    int used = letter ? snprintf(words, sizeof words, "-%c, --", letter) : snprintf(words, sizeof words, "    --");
    for (const char *c = option->name; *c && used + 1 < (int)sizeof words; c++)
        words[used++] = *c == '_' ? '-' : *c;
    words[used] = '\0';
    if (placeholder)
        snprintf(words + used, sizeof words - (size_t)used, " %s", placeholder);
    printf("  %-26s  %s", words, option->help);
    if (standard && *standard)
        printf(" (default %s)", standard);
    putchar('\n');
}

void tn_help_command(const struct tn_command *command)
{
    struct tn_arena arena = {0};
    printf("usage: tenon %s %s\n\n%s\n", command->name, command->usage, command->about);
    if (command->options) {
        puts("\noptions:");
        for (const struct tn_option *option = command->options; option->kind; option++)
            print_option(command, option, &arena);
        puts("  -h, --help                  this text");
    }
    printf("\nexamples:\n%s\n", command->examples);
    tn_arena_release(&arena);
}

/* ---- sections that the core reads itself ---- */

static const struct {
    const char *name, *about;
    const struct tn_option *options;
} sections[] = {
    {"experiment", "[experiment]: the run as a whole", tn_experiment_option_table},
    {"data", "[data]: how pictures become batches", tn_data_option_table},
    {"weights", "[weights]: what training begins with", tn_weights_option_table},
};

void tn_help_option_range(struct tn_text *text, const struct tn_option *option)
{
    bool number = option->kind == TN_OPTION_INT || option->kind == TN_OPTION_FLOAT || option->kind == TN_OPTION_SIZE;
    if (option->choices)
        tn_text_format(text, "%s", option->choices);
    else if (number && isfinite(option->minimum) && isfinite(option->maximum))
        tn_text_format(text, "%s, %.10g..%.10g", tn_option_kind_name(option->kind), option->minimum, option->maximum);
    else
        tn_text_add(text, tn_option_kind_name(option->kind));
}

void tn_help_option_json(struct tn_text *text, const struct tn_option *option, struct tn_arena *arena, bool first)
{
    const char *standard = tn_option_default_text(option, arena);
    struct tn_text range = {0};
    tn_help_option_range(&range, option);
    tn_text_add(text, first ? "\n  {\"name\": " : ",\n  {\"name\": ");
    tn_text_json(text, option->name);
    tn_text_add(text, ", \"value\": ");
    tn_text_json(text, range.failed ? "" : range.data);
    tn_text_add(text, ", \"default\": ");
    tn_text_json(text, standard ? standard : "");
    tn_text_add(text, ", \"help\": ");
    tn_text_json(text, option->help);
    tn_text_add(text, "}");
    tn_text_release(&range);
}

static void print_section(size_t index)
{
    struct tn_arena arena = {0};
    puts(sections[index].about);
    for (const struct tn_option *option = sections[index].options; option->kind; option++) {
        const char *standard = tn_option_default_text(option, &arena);
        struct tn_text range = {0};
        tn_help_option_range(&range, option);
        printf("\n  %s = %s\n      %s\n      %s\n", option->name, standard ? standard : "", option->help,
               range.failed ? "" : range.data);
        tn_text_release(&range);
    }
    tn_arena_release(&arena);
}

bool tn_help_section(const char *name, bool json)
{
    struct tn_arena arena = {0};
    struct tn_text text = {0};
    size_t index = 0;
    while (index < TN_COUNT_OF(sections) && strcmp(sections[index].name, name) != 0)
        index++;
    if (index == TN_COUNT_OF(sections))
        return false;
    if (!json) {
        print_section(index);
        return true;
    }
    tn_text_add(&text, "[");
    for (const struct tn_option *option = sections[index].options; option->kind; option++)
        tn_help_option_json(&text, option, &arena, option == sections[index].options);
    tn_text_add(&text, "]");
    puts(text.failed ? "[]" : text.data);
    tn_text_release(&text);
    tn_arena_release(&arena);
    return true;
}
