/* state_line.c: which states are of the run as it is now.
 *
 * A run may be gone on with on another machine while newer states of it lie on the disk of the first one. Logs and
 * checkpoints are those of the machine that goes on; so each process that begins or continues a run says in
 * RUN/state/session-N from which generation it did, and what earlier sessions saved behind that is no more of the run.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "train/state.h"

static const char PREFIX[] = "session-";

static void session_path(const char *directory, int32_t session, char *path, size_t bytes)
{
    (void)snprintf(path, bytes, "%s/state/%s%d", directory, PREFIX, (int)session);
}

/* Calls `visit` with the number of each session file. */
static void each_session(const char *directory, void (*visit)(void *context, int32_t session), void *context)
{
    char folder[1100], *end;
    (void)snprintf(folder, sizeof folder, "%s/state", directory);
    DIR *stream = opendir(folder);
    const struct dirent *entry;
    while (stream && (entry = readdir(stream))) {
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0)
            continue;
        long number = strtol(entry->d_name + sizeof PREFIX - 1, &end, 10);
        if (*end == '\0' && number > 0 && number < INT32_MAX)
            visit(context, (int32_t)number);
    }
    if (stream)
        (void)closedir(stream);
}

/* ---- reading ---- */

/* `text` ends with "end\n", or has not been written to its end. */
static bool parse(const char *text, struct tn_state_line *line)
{
    unsigned long long id, from;
    int session, used;
    *line = (struct tn_state_line){.run_id = 0};
    if (sscanf(text, "run %llx session %d%n", &id, &session, &used) != 2 || session < 1)
        return false;
    line->run_id = id;
    line->session = session;
    for (text += used; sscanf(text, " %d %llu%n", &session, &from, &used) == 2; text += used) {
        if (line->count == TN_COUNT_OF(line->begun))
            return false;
        line->begun[line->count].session = session;
        line->begun[line->count++].from = from;
    }
    return strcmp(text, "\nend\n") == 0;
}

struct search {
    const char *directory;
    struct tn_state_line *line;
    bool found;
};

static void look_at(void *context, int32_t session)
{
    struct search *search = context;
    struct tn_state_line line;
    char path[1200];
    void *text = NULL;
    uint64_t bytes;
    if (search->found && session <= search->line->session)
        return;
    session_path(search->directory, session, path, sizeof path);
    if (tn_file_read(path, 1u << 16, &text, &bytes, NULL) == TN_OK && parse(text, &line) && line.session == session) {
        *search->line = line;
        search->found = true;
    }
    free(text);
}

bool tn_state_line_read(const char *directory, struct tn_state_line *line)
{
    struct search search = {directory, line, false};
    *line = (struct tn_state_line){.run_id = 0};
    each_session(directory, look_at, &search);
    return search.found;
}

bool tn_state_on_line(const struct tn_state_line *line, const struct tn_state_head *head)
{
    if (head->run_id != line->run_id || head->session > line->session || line->count == 0 ||
        head->session + 1 < line->begun[0].session) /* so old that it is not known any more */
        return false;
    for (uint32_t i = 0; i < line->count; i++)
        if (line->begun[i].session > head->session && line->begun[i].from < head->generation)
            return false;
    return true;
}

/* ---- writing ---- */

static void drop_old(void *context, int32_t session)
{
    const struct search *search = context;
    char path[1200];
    if (session + 2 > search->line->session)
        return;
    session_path(search->directory, session, path, sizeof path);
    (void)unlink(path);
}

static void note_highest(void *context, int32_t session)
{
    int32_t *highest = context;
    *highest = session > *highest ? session : *highest;
}

tn_status tn_state_line_begin(const char *directory, struct tn_state_line *line, uint64_t from, struct tn_error *error)
{
    struct tn_text text = {.data = NULL};
    struct search search = {directory, line, true};
    char path[1200];
    tn_status status;
    bool fresh = line->session == 0; /* a new run */
    if (fresh)                       /* behind the sessions of one that was here before and has left nothing else */
        each_session(directory, note_highest, &line->session);
    if (fresh && getrandom(&line->run_id, sizeof line->run_id, 0) != (ssize_t)sizeof line->run_id)
        line->run_id = (uint64_t)time(NULL) << 22 ^ (uint64_t)getpid();
    if (line->count == TN_COUNT_OF(line->begun))
        memmove(line->begun, line->begun + 1, --line->count * sizeof *line->begun);
    line->begun[line->count].session = ++line->session;
    line->begun[line->count++].from = from;
    tn_text_format(&text, "run %016llx session %d\n", (unsigned long long)line->run_id, (int)line->session);
    for (uint32_t i = 0; i < line->count; i++)
        tn_text_format(&text, "%d %llu\n", (int)line->begun[i].session, (unsigned long long)line->begun[i].from);
    tn_text_add(&text, "end\n");
    (void)snprintf(path, sizeof path, "%s/state", directory);
    TN_TRY(status, text.failed ? tn_fail(error, TN_NO_MEMORY, "no memory to begin a session") : TN_OK, out);
    TN_TRY(status, tn_folder_make(path, error), out);
    session_path(directory, line->session, path, sizeof path);
    TN_TRY(status, tn_file_write(path, text.data, text.length, error), out);
    each_session(directory, drop_old, &search);
out:
    tn_text_release(&text);
    return status;
}
