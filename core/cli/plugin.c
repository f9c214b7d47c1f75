/* plugin.c: `tenon plugin list|show|new|check`: finds the command behind `plugin` and hands it its words. */
#include <stdio.h>
#include <string.h>

#include "cli/plugin.h"

static const struct tn_command *const commands[] = {&tn_plugin_list_entry, &tn_plugin_show_entry, &tn_plugin_new_entry,
                                                    &tn_plugin_check_entry};

/* "list" of "plugin list" */
static const char *word_of(const struct tn_command *command)
{
    return strchr(command->name, ' ') + 1;
}

static void help(void)
{
    puts("usage: tenon plugin COMMAND ...\n");
    for (size_t i = 0; i < TN_COUNT_OF(commands); i++)
        printf("  %-6s %-22s %s\n", word_of(commands[i]), commands[i]->usage, commands[i]->summary);
    puts("\n"
         "Plugins are .so files. They are searched for, first match wins, in: `[plugins] path` of the experiment or\n"
         "--plugin-path, TENON_PLUGIN_PATH, ~/.local/share/tenon/plugins, the folder that was installed with tenon.\n"
         "`tenon plugin COMMAND --help` says more; docs/plugin-guide.md explains how to write one.\n"
         "\n"
         "examples:\n"
         "  tenon plugin list\n"
         "  tenon plugin show conv2d\n"
         "  tenon plugin new augment sepia && make -C sepia test\n"
         "  tenon plugin check sepia/sepia.so");
}

static const struct tn_command *find(const char *word)
{
    for (size_t i = 0; i < TN_COUNT_OF(commands); i++)
        if (strcmp(word_of(commands[i]), word) == 0)
            return commands[i];
    return NULL;
}

static int unknown(struct tn_console *console, const char *word)
{
    const char *names[TN_COUNT_OF(commands) + 1] = {NULL}, *near;
    for (size_t i = 0; i < TN_COUNT_OF(commands); i++)
        names[i] = word_of(commands[i]);
    near = tn_nearest(word, names);
    if (near)
        tn_console_say(console, TN_LOG_ERROR, "plugin: no command `%s`; did you mean `%s`?", word, near);
    else
        tn_console_say(console, TN_LOG_ERROR, "plugin: no command `%s`; there are list, show, new, check", word);
    return TN_EXIT_WRONG;
}

static int run(struct tn_console *console, const struct tn_command *command, int argc, char **argv)
{
    struct tn_arguments arguments = {.console = console, .command = command};
    int status = TN_EXIT_WRONG;
    if (tn_arguments_parse(&arguments, argc, argv)) {
        if (arguments.help) {
            tn_help_command(command);
            status = TN_EXIT_DONE;
        } else {
            status = command->run(&arguments);
        }
    }
    tn_arguments_release(&arguments);
    return status;
}

int tn_command_plugin(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    const struct tn_command *command = find(word);
    struct tn_console console;
    int status = TN_EXIT_DONE;
    tn_console_open(&console);
    if (command) {
        status = run(&console, command, argc - 1, argv + 1);
    } else if (argc < 2 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        help();
        status = argc < 2 ? TN_EXIT_WRONG : TN_EXIT_DONE;
    } else {
        status = unknown(&console, word);
    }
    tn_console_close(&console);
    return status;
}
