/* console.c: everything that the command prints about a run, with the progress line kept at the bottom. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"

#define BOLD_RED    "\033[1;31m"
#define BOLD_YELLOW "\033[1;33m"
#define PLAIN       "\033[0m"

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

static bool can_paint(int descriptor)
{
    const char *terminal = getenv("TERM");
    return isatty(descriptor) && (!terminal || strcmp(terminal, "dumb") != 0);
}

void tn_console_open(struct tn_console *console)
{
    memset(console, 0, sizeof *console);
    pthread_mutex_init(&console->lock, NULL);
    console->paint = can_paint(STDOUT_FILENO);
    console->color_out = console->paint && !is_set("NO_COLOR");
    console->color_err = can_paint(STDERR_FILENO) && !is_set("NO_COLOR");
    console->debug = is_set("TENON_DEBUG");
}

void tn_console_close(struct tn_console *console)
{
    tn_console_paint(console, "");
    pthread_mutex_destroy(&console->lock);
}

/* Under the lock. */
static void take_line_away(struct tn_console *console)
{
    if (console->painted)
        fputs("\r\033[K", stdout);
    console->painted = 0;
    fflush(stdout);
}

void tn_console_say(struct tn_console *console, int32_t level, const char *format, ...)
{
    FILE *stream = level >= TN_LOG_WARNING ? stderr : stdout;
    bool color = level >= TN_LOG_WARNING ? console->color_err : console->color_out;
    va_list arguments;
    pthread_mutex_lock(&console->lock);
    take_line_away(console);
    if (level >= TN_LOG_ERROR)
        fprintf(stream, "%stenon:%s ", color ? BOLD_RED : "", color ? PLAIN : "");
    else if (level == TN_LOG_WARNING)
        fprintf(stream, "%swarning:%s ", color ? BOLD_YELLOW : "", color ? PLAIN : "");
    va_start(arguments, format);
    vfprintf(stream, format, arguments);
    va_end(arguments);
    fputc('\n', stream);
    fflush(stream);
    pthread_mutex_unlock(&console->lock);
}

void tn_console_paint(struct tn_console *console, const char *line)
{
    int width = tn_console_width();
    pthread_mutex_lock(&console->lock);
    if (console->paint) {
        if (*line == '\0') {
            take_line_away(console);
        } else {
            fprintf(stdout, "\r%.*s\033[K", width - 1, line);
            console->painted = strlen(line);
            fflush(stdout);
        }
    }
    pthread_mutex_unlock(&console->lock);
}

int tn_console_width(void)
{
    struct winsize size = {0};
    /* Some terminals (Colab's) say 0. */
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
        return size.ws_col;
    return 80;
}

int tn_exit_status(tn_status status)
{
    switch (status) {
    case TN_OK:
        return TN_EXIT_DONE;
    case TN_INVALID:
        return TN_EXIT_WRONG;
    case TN_INTERRUPTED:
        return TN_EXIT_INTERRUPTED;
    default:
        return TN_EXIT_FAILED;
    }
}

int tn_console_problems(struct tn_console *console, const struct tn_problems *problems, tn_status status)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct tn_problem *problem = &problems->items[i];
        if (problem->file && problem->line)
            fprintf(stderr, "%s:%u: %s\n", problem->file, problem->line, problem->text);
        else if (problem->file)
            fprintf(stderr, "%s: %s\n", problem->file, problem->text);
        else
            fprintf(stderr, "%s\n", problem->text);
    }
    if (problems->failed || status == TN_NO_MEMORY) {
        tn_console_say(console, TN_LOG_ERROR, "out of memory while the experiment was opened");
        return TN_EXIT_FAILED;
    }
    if (problems->count == 0) {
        /* A bug of ours, but not one to be silent about. */
        tn_console_say(console, TN_LOG_ERROR, "the experiment cannot be opened (status %d)", (int)status);
        return TN_EXIT_FAILED;
    }
    tn_console_say(console, TN_LOG_ERROR, "%zu problem%s; nothing was started", problems->count,
                   problems->count == 1 ? "" : "s");
    return TN_EXIT_WRONG;
}

int tn_console_fail(struct tn_console *console, tn_status status, const struct tn_error *error)
{
    const char *text = error->text[0] ? error->text : "failed without a reason";
    if (error->file[0] && error->line)
        tn_console_say(console, TN_LOG_ERROR, "%s:%u: %s", error->file, error->line, text);
    else if (error->file[0])
        tn_console_say(console, TN_LOG_ERROR, "%s: %s", error->file, text);
    else
        tn_console_say(console, TN_LOG_ERROR, "%s", text);
    return tn_exit_status(status);
}

void tn_console_log(void *context, int32_t level, const char *text)
{
    struct tn_console *console = context;
    if (level == TN_LOG_DEBUG && !console->debug)
        return;
    if (level == TN_LOG_INFO && console->quiet)
        return;
    tn_console_say(console, level, "%s", text);
}
