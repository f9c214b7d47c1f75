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
         "`tenon COMMAND --help` says more; `tenon plugin list` shows what can stand in an experiment.\n"
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
