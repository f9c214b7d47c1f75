/* exec: runs a command when something happens, with what is known of the run in its environment; to notify, or to copy
 * files away. Training waits for it.
 */
#include <ctype.h>
#include <stdlib.h>

#include "command.h"
#include "number.h"

extern char **environ;

struct exec {
    struct tn_list on;
    const char *command;
    double time_limit;
    int32_t on_error;
    /* state */
    uint32_t events; /* bit 1 << event */
};

enum { ON_ERROR_WARN = 0, ON_ERROR_FAIL = 1 };

static const struct {
    const char *name;
    int32_t event;
} event_names[] = {
    {"run_begin", TN_RUN_BEGIN},           {"epoch_begin", TN_EPOCH_BEGIN}, {"batch_end", TN_BATCH_END},
    {"validation_end", TN_VALIDATION_END}, {"epoch_end", TN_EPOCH_END},     {"run_end", TN_RUN_END},
    {"interrupt", TN_INTERRUPT},           {"error", TN_RUN_ERROR},
};
enum { EVENT_NAMES = sizeof event_names / sizeof *event_names };

static const struct tn_option exec_options[] = {
    TN_LIST(struct exec, on, "epoch_end",
            "when: run_begin, epoch_begin, batch_end, validation_end, epoch_end, run_end (in order), interrupt, error"),
    TN_STRING_REQUIRED(struct exec, command,
                       "for /bin/sh; its environment has TENON_EVENT, TENON_NAME, TENON_RUN_DIRECTORY, TENON_EPOCH "
                       "(from 1), TENON_EPOCHS, TENON_STEP, TENON_LEARNING_RATE and TENON_LOG_loss, "
                       "TENON_LOG_val_loss, … where they are known; written $TENON_EPOCH, for braces are the "
                       "experiment's own"),
    TN_DURATION(struct exec, time_limit, "1min", 0, 1e9, "after this time it is ended; 0 = never"),
    TN_ENUM(struct exec, on_error, ON_ERROR_WARN, "warn|fail", "when it fails: a warning, or the run fails"),
    TN_END,
};

static tn_status exec_open(void *self, const struct tn_host *host, struct tn_error *error)
{
    struct exec *exec = self;
    (void)host;
    if (!exec->command || !*exec->command)
        return tn_fail(error, TN_INVALID, "command: is empty");
    for (uint32_t i = 0; i < exec->on.count; i++) {
        size_t k = 0;
        while (k < EVENT_NAMES && strcmp(event_names[k].name, exec->on.items[i]) != 0)
            k++;
        if (k == EVENT_NAMES)
            return tn_fail(error, TN_INVALID,
                           "on: there is no event `%s`; there are: run_begin, epoch_begin, batch_end, validation_end, "
                           "epoch_end, run_end, interrupt, error",
                           exec->on.items[i]);
        exec->events |= 1u << event_names[k].event;
    }
    return exec->events ? TN_OK : tn_fail(error, TN_INVALID, "on: names no event (for example: on = epoch_end)");
}

/* ---- environment ---- */

struct environment {
    char **items; /* ours first, then what we have inherited; ends with NULL */
    size_t count, own;
    int32_t failed;
};

TN_PRINTF(2, 3)
static void add(struct environment *environment, const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    environment->failed = environment->failed || !text;
    if (text)
        environment->items[environment->count++] = text;
}

static void add_log(struct environment *environment, const struct tn_log_value *log)
{
    char name[128], number[32];
    size_t length = 0;
    for (; log->name[length] && length < sizeof name - 1; length++)
        name[length] = (char)(isalnum((unsigned char)log->name[length]) ? log->name[length] : '_');
    name[length] = '\0';
    number_repr(number, log->value);
    add(environment, "TENON_LOG_%s=%s", name, number);
}

static int32_t is_own(const struct environment *environment, const char *text)
{
    size_t length = strcspn(text, "=") + 1;
    if (strncmp(text, "TENON_LOG_", 10) == 0)
        return 1; /* of a run around this one */
    for (size_t i = 0; i < environment->own; i++)
        if (strncmp(environment->items[i], text, length) == 0)
            return 1;
    return 0;
}

static void release(struct environment *environment)
{
    for (size_t i = 0; environment->items && i < environment->own; i++)
        free(environment->items[i]);
    free(environment->items);
}

static const char *event_name(int32_t event)
{
    for (size_t i = 0; i < EVENT_NAMES; i++)
        if (event_names[i].event == event)
            return event_names[i].name;
    return "";
}

static tn_status make_environment(struct environment *environment, int32_t event, const struct tn_run *run,
                                  struct tn_error *error)
{
    char number[32], *whole = realpath(run->directory, NULL); /* the command may go elsewhere */
    size_t inherited = 0;
    *environment = (struct environment){.items = NULL};
    while (environ && environ[inherited])
        inherited++;
    environment->items = calloc(inherited + run->log_count + 16, sizeof *environment->items);
    if (environment->items) {
        number_repr(number, run->learning_rate);
        add(environment, "TENON_EVENT=%s", event_name(event));
        add(environment, "TENON_NAME=%s", run->name);
        add(environment, "TENON_RUN_DIRECTORY=%s", whole ? whole : run->directory);
        add(environment, "TENON_EPOCH=%d", run->epoch + 1);
        add(environment, "TENON_EPOCHS=%d", run->epochs);
        add(environment, "TENON_STEP=%llu", (unsigned long long)run->step);
        add(environment, "TENON_LEARNING_RATE=%s", number);
        for (uint32_t i = 0; i < run->log_count && event != TN_RUN_BEGIN; i++)
            add_log(environment, &run->logs[i]);
        environment->own = environment->count;
        for (size_t i = 0; i < inherited; i++)
            if (!is_own(environment, environ[i]))
                environment->items[environment->count++] = environ[i];
    }
    free(whole);
    if (environment->items && !environment->failed)
        return TN_OK;
    release(environment);
    return tn_fail(error, TN_NO_MEMORY, "no memory for the command's environment");
}

/* ---- events ---- */

static void say_line(void *context, const char *text)
{
    const struct tn_run *run = context;
    run->say(run, TN_LOG_INFO, text);
}

static int32_t is_to_stop(void *context)
{
    const struct tn_run *run = context;
    return run->size >= offsetof(struct tn_run, asked_to_stop) + sizeof run->asked_to_stop && run->asked_to_stop &&
           run->asked_to_stop(run);
}

/* The command may copy files that another callback writes behind the training. */
static tn_status settle(const struct tn_run *run, struct tn_error *error)
{
    if (run->size < offsetof(struct tn_run, settle) + sizeof run->settle || !run->settle)
        return TN_OK;
    return run->settle(run, error);
}

static tn_status exec_on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    const struct exec *exec = self;
    struct environment environment;
    char failure[160], text[512];
    int32_t last = event == TN_INTERRUPT || event == TN_RUN_ERROR, given_up;
    tn_status status;
    if (event <= 0 || event >= 32 || !(exec->events & 1u << event))
        return TN_OK;
    status = settle(run, last ? NULL : error);
    if (status == TN_OK || last)
        status = make_environment(&environment, event, run, error);
    if (status != TN_OK)
        return status;
    given_up = command_run(exec->command, environment.items, exec->time_limit, say_line, last ? NULL : is_to_stop,
                           (void *)(uintptr_t)run, failure, sizeof failure);
    release(&environment);
    if (!failure[0])
        return TN_OK;
    /* A run that ends otherwise has better things to say, and to save. */
    if (exec->on_error == ON_ERROR_FAIL && !last && !given_up)
        return tn_fail(error, TN_FAILED, "on %s: the command `%.200s` %s", event_name(event), exec->command, failure);
    (void)snprintf(text, sizeof text, "exec: on %s: the command `%.200s` %s", event_name(event), exec->command,
                   failure);
    run->say(run, TN_LOG_WARNING, text);
    return TN_OK;
}

static const struct tn_callback exec_type = {
    TN_TYPE_WITH(TN_CALLBACK, "exec", struct exec, exec_options, "run a command when something happens", 0, exec_open,
                 NULL),
    .on = exec_on,
};

TN_PLUGIN("tenon.callbacks.exec", "0.1.0", "Apache-2.0", &exec_type.type);
