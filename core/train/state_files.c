/* state_files.c: generations of a run's state in a folder, NNNNNNNN.tns: written once, read back, two kept.
 *
 * A file is believed by what it says of itself, never by its name. There may be two folders: one on a disk of the
 * machine, and state/ of the run directory, where copies of some of them go.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train/state.h"

enum { MOST_FILES = 64 };
static const uint64_t LARGEST = 1ull << 36;

/* ---- names ---- */

void tn_state_file_name(const char *folder, uint64_t generation, char *path, size_t bytes)
{
    (void)snprintf(path, bytes, "%s/%08llu.tns", folder, (unsigned long long)generation);
}

static int compare_down(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? 1 : left > right ? -1 : 0;
}

/* 0: it is no name of ours. */
static uint64_t number_of(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return digits >= 8 && digits <= 18 && strcmp(name + digits, ".tns") == 0 ? strtoull(name, NULL, 10) : 0;
}

/* The newest generations in a folder, newest first. */
static size_t list(const char *folder, uint64_t found[MOST_FILES])
{
    DIR *stream = opendir(folder);
    const struct dirent *entry;
    size_t count = 0;
    while (stream && (entry = readdir(stream))) {
        uint64_t number = number_of(entry->d_name);
        if (number == 0)
            continue;
        if (count == MOST_FILES) { /* the oldest makes room */
            qsort(found, count, sizeof *found, compare_down);
            if (number < found[--count])
                number = found[count];
        }
        found[count++] = number;
    }
    if (stream)
        (void)closedir(stream);
    qsort(found, count, sizeof *found, compare_down);
    return count;
}

/* On a machine's own disk: by the run's number, so that two runs of one name never meet. */
void tn_state_local_folder(const char *base, uint64_t run_id, char *path, size_t bytes)
{
    (void)snprintf(path, bytes, "%s/%016llx", base, (unsigned long long)run_id);
}

uint64_t tn_state_newest_generation(const char *folder)
{
    uint64_t found[MOST_FILES];
    return list(folder, found) ? found[0] : 0;
}

/* ---- writing ---- */

static void drop(const char *folder, uint64_t generation)
{
    char path[1200];
    tn_state_file_name(folder, generation, path, sizeof path);
    if (truncate(path, 0) == 0) /* a drive's trash counts what is in it */
        (void)unlink(path);
}

/* How long a process has lived is seen by when it last touched this. */
static void alive_path(const char *folder, char *path, size_t bytes)
{
    (void)snprintf(path, bytes, "%s/alive", folder);
}

void tn_state_touch(const char *folder)
{
    char path[1200];
    alive_path(folder, path, sizeof path);
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0)
        return;
    (void)futimens(file, NULL);
    (void)close(file);
}

static double last_touched(const char *folder)
{
    char path[1200];
    struct stat info;
    alive_path(folder, path, sizeof path);
    return stat(path, &info) == 0 ? (double)info.st_mtim.tv_sec + (double)info.st_mtim.tv_nsec * 1e-9 : 0;
}

/* The one before stays until the new one is proved, whatever else lies there. */
tn_status tn_state_shelve(struct tn_state_shelf *shelf, uint64_t generation, const void *data, uint64_t bytes,
                          struct tn_error *error)
{
    uint64_t found[MOST_FILES];
    char path[1200];
    tn_status status = tn_folder_make(shelf->folder, error);
    tn_state_file_name(shelf->folder, generation, path, sizeof path);
    if (status == TN_OK)
        status = tn_file_write(path, data, bytes, error);
    if (status == TN_OK)
        status = tn_file_compare(path, data, bytes, error);
    if (status != TN_OK)
        return status;
    size_t count = list(shelf->folder, found);
    for (size_t i = 0; i < count; i++)
        if (found[i] != generation && found[i] != shelf->newest && found[i] != atomic_load(&shelf->held))
            drop(shelf->folder, found[i]);
    shelf->newest = generation;
    return TN_OK;
}

void tn_state_clear(const char *folder)
{
    uint64_t found[MOST_FILES];
    char path[1200];
    size_t count = list(folder, found);
    for (size_t i = 0; i < count; i++)
        drop(folder, found[i]);
    alive_path(folder, path, sizeof path);
    (void)unlink(path);
    (void)rmdir(folder);
}

/* ---- the end of a run ---- */

/* A file of its own: the state is that before the callbacks were told of the end, so that more epochs go on from it. */
static void end_path(const char *directory, char *path, size_t bytes)
{
    (void)snprintf(path, bytes, "%s/state/finished", directory);
}

tn_status tn_state_note_end(const char *directory, uint64_t generation, int32_t how, struct tn_error *error)
{
    char path[1200], text[64];
    end_path(directory, path, sizeof path);
    int length = snprintf(text, sizeof text, "%llu %d\n", (unsigned long long)generation, (int)how);
    return tn_file_write(path, text, (uint64_t)length, error);
}

int32_t tn_state_ended(const char *directory, uint64_t generation)
{
    char path[1200];
    unsigned long long of = 0;
    int how = TN_STATE_UNFINISHED;
    end_path(directory, path, sizeof path);
    FILE *file = fopen(path, "re");
    bool known = file && fscanf(file, "%llu %d", &of, &how) == 2 && of == generation;
    if (file)
        (void)fclose(file);
    return known ? how : TN_STATE_UNFINISHED;
}

/* ---- reading ---- */

struct candidate {
    uint64_t generation;
    const char *folder;
};

static int newer_first(const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;
    return compare_down(&left->generation, &right->generation);
}

/* Those of a folder behind the `count` that are there. */
static size_t add_folder(const char *folder, struct candidate *candidates, size_t count)
{
    uint64_t found[MOST_FILES];
    size_t more = list(folder, found);
    for (size_t i = 0; i < more; i++)
        candidates[count++] = (struct candidate){found[i], folder};
    return count;
}

/* The folders of a run: its own, and the one on this machine, when it is known whose that would be. */
static size_t find_candidates(const char *directory, const char *local_base, const struct tn_state_line *line,
                              char folders[2][1100], struct candidate candidates[2 * MOST_FILES])
{
    (void)snprintf(folders[1], sizeof folders[1], "%s/state", directory);
    size_t count = 0;
    if (local_base && line->session > 0) {
        tn_state_local_folder(local_base, line->run_id, folders[0], sizeof folders[0]);
        count = add_folder(folders[0], candidates, count);
    }
    count = add_folder(folders[1], candidates, count);
    qsort(candidates, count, sizeof *candidates, newer_first);
    return count;
}

bool tn_state_is_there(const char *directory, const char *local_base)
{
    struct candidate candidates[2 * MOST_FILES];
    struct tn_state_line line;
    char folders[2][1100];
    (void)tn_state_line_read(directory, &line);
    return find_candidates(directory, local_base, &line, folders, candidates) > 0;
}

static tn_status load(const char *path, const struct tn_state_line *line, void **data, struct tn_error *error)
{
    uint64_t bytes = 0;
    tn_status status = tn_file_read(path, LARGEST, data, &bytes, error);
    if (status == TN_OK)
        status = tn_state_prove(*data, bytes, error);
    if (status == TN_OK && line->session > 0 && !tn_state_on_line(line, tn_state_head(*data)))
        status = tn_fail(error, TN_INVALID, "the run was gone on with elsewhere from an earlier state");
    if (status != TN_OK) {
        free(*data);
        *data = NULL;
    }
    return status;
}

tn_status tn_state_load_newest(const char *directory, const char *local_base, struct tn_state_found *state,
                               struct tn_error *error)
{
    struct tn_state_line *line = &state->line;
    struct candidate candidates[2 * MOST_FILES];
    struct tn_error reason = {0};
    char folders[2][1100], path[1200];
    (void)tn_state_line_read(directory, line);
    size_t count = find_candidates(directory, local_base, line, folders, candidates);
    state->data = NULL;
    state->notes[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        tn_state_file_name(candidates[i].folder, candidates[i].generation, path, sizeof path);
        if (load(path, line, &state->data, &reason) == TN_OK) {
            if (line->session == 0) { /* its session files are gone */
                line->run_id = tn_state_head(state->data)->run_id;
                line->session = tn_state_head(state->data)->session;
            }
            state->last_alive = last_touched(candidates[i].folder);
            return TN_OK;
        }
        size_t used = strlen(state->notes);
        if (used < sizeof state->notes)
            (void)snprintf(state->notes + used, sizeof state->notes - used, "%s%s is passed over: %s", used ? "; " : "",
                           path, reason.text);
    }
    return tn_fail(error, TN_NOT_FOUND, "%s has no state that is whole%s%s", directory, state->notes[0] ? ": " : "",
                   state->notes);
}
