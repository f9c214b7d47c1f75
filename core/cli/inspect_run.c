/* inspect_run.c: a run directory in short: what it was, how far it came, its best values, its checkpoints. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/inspect.h"

enum { MOST_COLUMNS = 256 };

static const uint64_t LARGEST_TEXT = (uint64_t)64 << 20;

/* A column of log.csv. */
struct column {
    const char *name;
    double last, lowest, highest;
    long lowest_epoch, highest_epoch; /* counted from 1 */
};

struct run {
    struct tn_inspect *inspect;
    const char *path;
    char *manifest, *log; /* texts, or NULL */
    struct column columns[MOST_COLUMNS];
    size_t column_count;
    long epochs; /* rows of log.csv */
    uint64_t classes;
    struct dirent **checkpoints;
    int checkpoint_count;
    bool busy; /* a process holds it */
};

/* ---- manifest.json ---- */

/* Behind the string that begins at `at`. */
static const char *skip_string(const char *at)
{
    for (at++; *at && *at != '"'; at++)
        if (*at == '\\' && at[1])
            at++;
    return *at ? at + 1 : at;
}

/* The value of a member of the outermost object, or NULL. */
static const char *member(const char *json, const char *name)
{
    size_t length = strlen(name);
    int depth = 0;
    for (const char *at = json ? json : ""; *at;) {
        if (*at == '"') {
            const char *end = skip_string(at), *behind = end + strspn(end, " \t\r\n");
            if (depth == 1 && *behind == ':' && (size_t)(end - at) == length + 2 && strncmp(at + 1, name, length) == 0)
                return behind + 1 + strspn(behind + 1, " \t\r\n");
            at = end;
            continue;
        }
        depth += *at == '{' || *at == '[';
        depth -= *at == '}' || *at == ']';
        at++;
    }
    return NULL;
}

/* Strings without their quotes, numbers as they stand; lists as they stand, too. */
static const char *member_text(struct run *run, const char *name)
{
    const char *value = member(run->manifest, name), *end;
    if (!value)
        return NULL;
    if (*value == '"') {
        end = skip_string(value);
        if (end > value + 1)
            return tn_inspect_printable(&run->inspect->arena, value + 1, (uint64_t)(end - value - 2), 400);
    }
    end = value + (*value == '[' ? strcspn(value, "]") + 1 : strcspn(value, ",}\r\n"));
    return tn_inspect_printable(&run->inspect->arena, value, strnlen(value, (size_t)(end - value)), 400);
}

/* The words of the command line, which is a list of strings. */
static const char *command_text(struct run *run)
{
    const char *at = member(run->manifest, "command_line");
    struct tn_text text = {0};
    const char *kept;
    if (!at || *at != '[')
        return NULL;
    for (at++; *at == '"' || *at == ',' || *at == ' ' || *at == '\n';) {
        if (*at != '"') {
            at++;
            continue;
        }
        const char *end = skip_string(at);
        tn_text_add(&text, text.length ? " " : "");
        if (end > at + 2)
            tn_text_add_bytes(&text, at + 1, (size_t)(end - at - 2));
        at = end;
    }
    kept = text.failed || !text.data ? NULL : tn_inspect_printable(&run->inspect->arena, text.data, text.length, 1000);
    tn_text_release(&text);
    return kept;
}

/* ---- log.csv ---- */

static void take_header(struct run *run, char *line)
{
    char *rest = NULL;
    for (char *word = strtok_r(line, ",", &rest); word && run->column_count < MOST_COLUMNS;
         word = strtok_r(NULL, ",", &rest))
        run->columns[run->column_count++] =
            (struct column){tn_inspect_printable(&run->inspect->arena, word, strlen(word), 60), NAN, NAN, NAN, 0, 0};
}

static void take_row(struct run *run, const char *line)
{
    const char *at = line;
    run->epochs++;
    for (size_t i = 0; i < run->column_count; i++) {
        struct column *column = &run->columns[i];
        char *end;
        double value = strtod(at, &end);
        column->last = end == at ? NAN : value;
        if (!(column->lowest <= column->last) && isfinite(column->last))
            column->lowest = column->last, column->lowest_epoch = run->epochs;
        if (!(column->highest >= column->last) && isfinite(column->last))
            column->highest = column->last, column->highest_epoch = run->epochs;
        at += strcspn(at, ",");
        at += *at == ',';
    }
}

static void read_log(struct run *run)
{
    char *rest = NULL;
    char *line = run->log ? strtok_r(run->log, "\r\n", &rest) : NULL;
    if (line)
        take_header(run, line);
    while (line && (line = strtok_r(NULL, "\r\n", &rest)) != NULL)
        take_row(run, line);
}

/* ---- the folder ---- */

static char *read_text(const struct run *run, const char *name)
{
    char path[4096];
    void *data = NULL;
    uint64_t bytes;
    if (snprintf(path, sizeof path, "%s/%s", run->path, name) >= (int)sizeof path ||
        tn_file_read(path, LARGEST_TEXT, &data, &bytes, NULL) != TN_OK)
        return NULL;
    return data;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void look_around(struct run *run)
{
    char path[4096];
    char *classes = read_text(run, "classes.txt");
    for (const char *at = classes; at && *at; at++)
        run->classes += *at == '\n';
    free(classes);
    if (snprintf(path, sizeof path, "%s/checkpoints", run->path) < (int)sizeof path)
        run->checkpoint_count = scandir(path, &run->checkpoints, is_visible, alphasort);
    if (snprintf(path, sizeof path, "%s/lock", run->path) < (int)sizeof path) {
        int lock = open(path, O_RDONLY | O_CLOEXEC);
        run->busy = lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        if (lock >= 0)
            (void)close(lock);
    }
}

static bool checkpoint_state(const struct run *run, int number, struct stat *state)
{
    char path[8192];
    return snprintf(path, sizeof path, "%s/checkpoints/%s", run->path, run->checkpoints[number]->d_name) <
               (int)sizeof path &&
           stat(path, state) == 0 && S_ISREG(state->st_mode);
}

/* ---- telling ---- */

/* Which end of a column is its best: 1 the lowest, 2 the highest, 0 it has none. */
static int best_end(const char *name)
{
    if (strcmp(name, "loss") == 0 || strcmp(name, "val_loss") == 0 || strstr(name, "error"))
        return 1;
    return strstr(name, "accuracy") ? 2 : 0;
}

static void say_line(const char *name, const char *value)
{
    if (value && *value)
        printf("  %-11s %s\n", name, value);
}

static void say_log(const struct run *run)
{
    struct tn_table table = {.columns = 4, .alignment = "lrrr"};
    if (run->epochs == 0) {
        puts("\nno epoch is in log.csv");
        return;
    }
    printf("\n%ld epoch%s in log.csv\n", run->epochs, run->epochs == 1 ? "" : "s");
    for (const char *const *head = (const char *const[]){"", "last", "best", "in epoch", NULL}; *head; head++)
        tn_table_cell(&table, *head);
    for (size_t i = 1; i < run->column_count; i++) {
        const struct column *column = &run->columns[i];
        int end = best_end(column->name);
        tn_table_cell(&table, column->name);
        tn_table_format(&table, "%.5g", column->last);
        if (end && column->lowest_epoch) {
            tn_table_format(&table, "%.5g", end == 1 ? column->lowest : column->highest);
            tn_table_format(&table, "%ld", end == 1 ? column->lowest_epoch : column->highest_epoch);
        } else {
            tn_table_cell(&table, "");
            tn_table_cell(&table, "");
        }
    }
    tn_table_print(&table, 1);
}

static void say_checkpoints(const struct run *run)
{
    struct tn_table table = {.columns = 3, .alignment = "lrl"};
    for (int i = 0; i < run->checkpoint_count; i++) {
        struct stat state;
        struct tm parts;
        char bytes[32], stamp[64] = "";
        const char *name = run->checkpoints[i]->d_name;
        if (!checkpoint_state(run, i, &state))
            continue;
        if (localtime_r(&state.st_mtime, &parts))
            (void)strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &parts);
        tn_table_format(&table, "checkpoints/%s", tn_inspect_printable(&run->inspect->arena, name, strlen(name), 300));
        tn_table_cell(&table, tn_say_bytes(bytes, sizeof bytes, (uint64_t)state.st_size));
        tn_table_cell(&table, stamp);
    }
    if (table.cell_count)
        puts("");
    else
        puts("\nno checkpoints");
    tn_table_print(&table, 0);
}

static void say(struct run *run)
{
    char text[64];
    const char *name = member_text(run, "experiment");
    printf("%s: run%s%s%s\n", run->path, name ? " of " : "", name ? name : "", run->busy ? ", at work now" : "");
    say_line("started", member_text(run, "started"));
    say_line("by", command_text(run));
    say_line("from", member_text(run, "file"));
    say_line("device", member_text(run, "device"));
    say_line("parameters", member_text(run, "parameters"));
    say_line("seed", member_text(run, "seed"));
    say_line("tenon", member_text(run, "tenon"));
    (void)snprintf(text, sizeof text, "%" PRIu64, run->classes);
    say_line("classes", run->classes ? text : NULL);
    if (!run->manifest)
        puts("  manifest.json is missing: this run was not begun in order, or it is not all here");
    say_log(run);
    say_checkpoints(run);
}

static void add_columns(struct tn_text *json, const struct run *run)
{
    for (size_t i = 1; i < run->column_count; i++) {
        const struct column *column = &run->columns[i];
        int end = best_end(column->name);
        tn_inspect_member(json, column->name);
        tn_text_add(json, "{");
        tn_inspect_member(json, "last");
        tn_text_format(json, isfinite(column->last) ? "%.17g" : "null", column->last);
        if (end && column->lowest_epoch) {
            tn_inspect_member(json, "best");
            tn_text_format(json, "%.17g", end == 1 ? column->lowest : column->highest);
            tn_inspect_member(json, "best_epoch");
            tn_text_format(json, "%ld", end == 1 ? column->lowest_epoch : column->highest_epoch);
        }
        tn_text_add(json, "}");
    }
}

static void add_json(const struct run *run)
{
    struct tn_text *json = &run->inspect->json;
    struct stat state;
    tn_inspect_member(json, NULL);
    tn_text_add(json, "\n {\"directory\": ");
    tn_text_json(json, run->path);
    tn_text_format(json, ", \"at_work\": %s, \"epochs\": %ld, \"classes\": %" PRIu64 ", \"log\": {",
                   run->busy ? "true" : "false", run->epochs, run->classes);
    add_columns(json, run);
    tn_text_add(json, "}, \"checkpoints\": [");
    for (int i = 0; i < run->checkpoint_count; i++)
        if (checkpoint_state(run, i, &state)) {
            tn_inspect_member(json, NULL);
            tn_text_add(json, "{\"name\": ");
            tn_text_json(json, run->checkpoints[i]->d_name);
            tn_text_format(json, ", \"bytes\": %lld}", (long long)state.st_size);
        }
    tn_text_add(json, "]}");
}

tn_status tn_inspect_run(struct tn_inspect *inspect, const char *path, struct tn_error *error)
{
    struct run *run = calloc(1, sizeof *run);
    if (!run)
        return tn_fail(error, TN_NO_MEMORY, "no memory to look at %s", path);
    run->inspect = inspect;
    run->path = path;
    run->manifest = read_text(run, "manifest.json");
    run->log = read_text(run, "log.csv");
    read_log(run);
    look_around(run);
    if (inspect->options->json)
        add_json(run);
    else
        say(run);
    for (int i = 0; i < run->checkpoint_count; i++)
        free(run->checkpoints[i]);
    free(run->checkpoints);
    free(run->manifest);
    free(run->log);
    free(run);
    return TN_OK;
}
