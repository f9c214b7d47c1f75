/* main.c: `tenon`: finds the command, hands it its words, ends with its exit status. `--version` loads nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* It reads its own words (plugin.c): it has commands of its own. */
static const struct tn_command plugin_entry = {
    .name = "plugin",
    .summary = "list, show, make and check plugins",
    .run_words = tn_command_plugin,
};

const struct tn_command *const tn_commands[] = {
    &tn_command_init_entry,    &tn_command_check_entry,
    &tn_command_train_entry,   &tn_command_eval_entry,
    &tn_command_predict_entry, &tn_command_plan_entry,
    &tn_command_config_entry,  &plugin_entry,
    &tn_command_doctor_entry,  &tn_command_pack_entry,
    &tn_command_inspect_entry, &tn_command_synth_entry,
    &tn_command_bench_entry,   NULL,
};

/* libgomp reads these when it is loaded, which is long after this: with the CPU device. Threads that wait for the next
 * op should spin, since ops follow each other within microseconds, but not for the milliseconds that are libgomp's
 * default: on a small machine the decoding threads need that time. */
static void settle_waiting(void)
{
    if (!getenv("OMP_WAIT_POLICY") && !getenv("GOMP_SPINCOUNT"))
        setenv("GOMP_SPINCOUNT", "20000", 1);
}

static int unknown_command(struct tn_console *console, const char *name)
{
    const char *names[TN_COUNT_OF(tn_commands)] = {NULL};
    const char *nearest;
    for (size_t i = 0; tn_commands[i]; i++)
        names[i] = tn_commands[i]->name;
    nearest = tn_nearest(name, names);
    if (nearest)
        tn_console_say(console, TN_LOG_ERROR, "no command `%s`; did you mean `%s`?", name, nearest);
    else
        tn_console_say(console, TN_LOG_ERROR, "no command `%s`; `tenon --help` lists them", name);
    return TN_EXIT_WRONG;
}

static const struct tn_command *find_command(const char *name)
{
    for (size_t i = 0; tn_commands[i]; i++)
        if (strcmp(tn_commands[i]->name, name) == 0)
            return tn_commands[i];
    return NULL;
}

static int run_command(struct tn_console *console, const struct tn_command *command, int argc, char **argv)
{
    struct tn_arguments arguments = {.console = console, .command = command};
    int status = TN_EXIT_WRONG;
    if (command->run_words)
        return command->run_words(argc, argv);
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

/* `tenon help`, `tenon help COMMAND`, `tenon help data` */
static int help(struct tn_console *console, int argc, char **argv)
{
    const struct tn_command *command = argc > 0 ? find_command(argv[0]) : NULL;
    if (argc == 0)
        tn_help_all();
    else if (command && command->run_words)
        return command->run_words(2, (char *[]){argv[0], (char *)"--help", NULL});
    else if (command)
        tn_help_command(command);
    else if (!tn_help_section(argv[0], argc > 1 && strcmp(argv[1], "--json") == 0))
        return unknown_command(console, argv[0]);
    return TN_EXIT_DONE;
}

static int dispatch(struct tn_console *console, int argc, char **argv)
{
    const struct tn_command *command;
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("tenon " TENON_VERSION);
        return TN_EXIT_DONE;
    }
    if (argc < 2) {
        tn_help_all();
        return TN_EXIT_WRONG;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return help(console, argc - 2, argv + 2);
    command = find_command(name);
    return command ? run_command(console, command, argc - 1, argv + 1) : unknown_command(console, name);
}

int main(int argc, char **argv)
{
    struct tn_console console;
    int status;
    settle_waiting();
    tn_console_open(&console);
    tn_log_to(tn_console_log, &console);
    status = dispatch(&console, argc, argv);
    tn_log_to(NULL, NULL);
    tn_console_close(&console);
    /* Results that did not reach the disk or the pipe are a failure, not a success with less output. */
    if (fflush(stdout) != 0 && status == TN_EXIT_DONE)
        status = TN_EXIT_FAILED;
    return status;
}
