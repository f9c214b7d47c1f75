/* cli.h: what the commands of `tenon` share: their table, arguments, messages, the progress line, signals.
 *
 * The command is a thin shell over libtenon: it parses words, prints, and turns a status into an exit status. Only this
 * folder prints and only main.c ends the process.
 */
#ifndef TENON_CLI_H
#define TENON_CLI_H

#include <pthread.h>
#include <signal.h>

#include "base/base.h"
#include "config/config.h"
#include "tenon/option.h"
#include "train/experiment.h"

/* Exit statuses; documented in README.md and fixed. */
enum { TN_EXIT_DONE = 0, TN_EXIT_FAILED = 1, TN_EXIT_WRONG = 2, TN_EXIT_INTERRUPTED = 75, TN_EXIT_KILLED = 130 };

/* ---- console.c: everything that is printed ---- */
struct tn_console {
    pthread_mutex_t lock; /* workers log too; a line is never torn */
    bool color_out, color_err;
    bool paint;     /* stdout is a terminal that can repaint a line */
    bool quiet;     /* no progress, no remarks: results, warnings and errors only */
    bool debug;     /* TENON_DEBUG is set */
    size_t painted; /* columns of the progress line that stands on the screen, 0 = none */
};
void tn_console_open(struct tn_console *console);
void tn_console_close(struct tn_console *console);
/* A line for the user: remarks on stdout, warnings and errors on stderr, always above the progress line. */
TN_PRINTF(3, 4) void tn_console_say(struct tn_console *console, int32_t level, const char *format, ...);
/* Replaces the progress line (terminal only); "" takes it away. */
void tn_console_paint(struct tn_console *console, const char *line);
int tn_console_width(void); /* columns of the terminal */
/* Prints each problem as `file:line: text` and how many there are; returns the exit status. */
int tn_console_problems(struct tn_console *console, const struct tn_problems *problems, tn_status status);
/* Prints the error; returns the exit status for it. */
int tn_console_fail(struct tn_console *console, tn_status status, const struct tn_error *error);
int tn_exit_status(tn_status status);
/* The sinks that the core calls; `context` is the console. */
void tn_console_log(void *context, int32_t level, const char *text);

/* ---- args.c: words into a struct, through the same option tables that plugins have ---- */
struct tn_arguments {
    struct tn_console *console;
    const struct tn_command *command;
    const char *file; /* the experiment; NULL for commands that take none */
    const char **overrides, **operands;
    size_t override_count, operand_count;
    const void *options; /* the command's struct, filled */
    struct tn_arena arena;
    bool help; /* --help was asked for */
};

struct tn_command_letter {
    char letter;
    const char *option;
};

enum { TN_COMMAND_EXPERIMENT = 1u /* the first operand is FILE; section.key=value may follow */ };

struct tn_command {
    const char *name, *summary, *usage, *about, *examples;
    uint32_t flags;
    int minimum_operands, maximum_operands; /* besides FILE; maximum -1 = any number */
    const char *operand_name;               /* "DIR"; NULL = none */
    const struct tn_option *options;        /* `fresh_start` is typed --fresh-start */
    size_t options_size;
    const struct tn_command_letter *letters; /* ends with {0, NULL}; may be NULL */
    int (*run)(struct tn_arguments *arguments);
    int (*run_words)(int argc, char **argv); /* instead of run: the command reads its own words; argv[0] is its name */
};

/* The option that every command with plugins has. */
#define TN_PLUGIN_PATH_OPTION(struct_)                                                                                 \
    TN_STRING(struct_, plugin_path, NULL, "folders to search for plugins first, separated by `:`")

/* False when a message was printed: the command line is wrong. The caller releases in either case. */
bool tn_arguments_parse(struct tn_arguments *arguments, int argc, char **argv);
void tn_arguments_release(struct tn_arguments *arguments);
/* Puts `paths` before TENON_PLUGIN_PATH; NULL does nothing. */
void tn_arguments_plugin_path(const char *paths);
/* Appends an override, as if the user had typed it last. */
TN_PRINTF(2, 3) void tn_arguments_override(struct tn_arguments *arguments, const char *format, ...);
/* Opens the experiment of the arguments; prints all problems and sets *exit_status on failure. */
bool tn_arguments_experiment(struct tn_arguments *arguments, uint32_t flags, struct tn_experiment **experiment,
                             int *exit_status);

/* ---- help.c ---- */
extern const struct tn_command *const tn_commands[]; /* ends with NULL (main.c) */
void tn_help_all(void);
void tn_help_command(const struct tn_command *command);
/* The keys of [experiment] or [data]; false = no such section. */
bool tn_help_section(const char *name, bool json);
/* `1..64`, `yes or no`, `same or valid`: what an option takes. */
void tn_help_option_range(struct tn_text *text, const struct tn_option *option);
/* One option as a JSON object. */
void tn_help_option_json(struct tn_text *text, const struct tn_option *option, struct tn_arena *arena, bool first);
const char *tn_option_placeholder(const struct tn_option *option); /* NULL for a switch */

/* ---- progress.c ---- */
struct tn_progress_line {
    struct tn_console *console;
    double painted_at, printed_at; /* tn_seconds_now() of the last repaint, of the last plain line */
    char hint[560];                /* the last one shown */
};
/* For tn_train_request.progress; `context` is a tn_progress_line. */
void tn_progress_show(void *context, const struct tn_progress *progress, int32_t way, const char *text);
/* A simple counter for eval and predict, on a terminal only. */
void tn_progress_count(struct tn_progress_line *line, const char *what, uint64_t done, uint64_t all);
/* A counter with pace and time left, since `started` (tn_seconds_now()): repainted, or a line every ten seconds. */
void tn_progress_pace(struct tn_progress_line *line, const char *what, uint64_t done, uint64_t all, double started);
/* "loss 0.4321  accuracy 0.8765" */
void tn_progress_logs(struct tn_text *text, const struct tn_log_value *logs, uint32_t count);

/* ---- signals.c ---- */
/* From now on SIGINT, SIGTERM and SIGHUP set the returned flag; a second one ends the process at once with 130. */
volatile int32_t *tn_signals_catch(void);

/* ---- table.c: columns of text ---- */
struct tn_table {
    struct tn_text cells; /* each ends with 0 */
    size_t cell_count;
    int columns;
    const char *alignment; /* one letter a column: l or r */
};
void tn_table_cell(struct tn_table *table, const char *text);
TN_PRINTF(2, 3) void tn_table_format(struct tn_table *table, const char *format, ...);
/* Prints and releases it; `rule_after` rows are followed by a line of dashes (the head); 0 = none. */
void tn_table_print(struct tn_table *table, size_t rule_after);

/* ---- the commands ---- */
extern const struct tn_command tn_command_init_entry, tn_command_train_entry, tn_command_eval_entry,
    tn_command_predict_entry, tn_command_check_entry, tn_command_plan_entry, tn_command_config_entry,
    tn_command_synth_entry, tn_command_doctor_entry, tn_command_bench_entry, tn_command_pack_entry,
    tn_command_inspect_entry;
/* `tenon plugin …` (plugin*.c); argv[0] is "plugin". Returns the exit status. */
int tn_command_plugin(int argc, char **argv);

#endif
