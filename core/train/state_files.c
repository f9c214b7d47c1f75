/* state_files.c: states on disk: RUN/state/NNNNNNNN.tns, immutable, numbered, the last two kept.
 *
 * On the step path a state is only copied into memory. A thread writes it: under another name, synced, closed, renamed,
 * read back and proved; then the one before the last goes. A place that refuses does not stop training: it is told, and
 * tried again with the next state. A file is believed by what it says of itself, never by its name.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/state.h"

enum { KEPT_GENERATIONS = 2, MOST_FILES = 64 };
/* Of a run's time: what copying may cost, and what copying and writing may. */
static const double COPY_SHARE = 0.01, SAVE_SHARE = 0.035;
/* Between two states, whatever they cost: not more often, not less often. */
static const double LEAST_SECONDS = 5, MOST_SECONDS = 300;
static const uint64_t LARGEST = 1ull << 36;

struct tn_state_keeper {
    struct tn_state_image image;
    char folder[1100];
    uint64_t generation; /* of the state in `image`, or that was written last */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    bool synchronised, started, quit, busy;        /* busy: `image` waits for the thread, or is being written */
    double last_save, copy_seconds, write_seconds; /* when, and how long the last ones took */
    uint64_t last_step;
    tn_status status; /* of the last writing */
    struct tn_error failure;
    bool told;
};

/* ---- names ---- */

static void file_name(const struct tn_state_keeper *keeper, uint64_t generation, char *path, size_t bytes)
{
    (void)snprintf(path, bytes, "%s/%08llu.tns", keeper->folder, (unsigned long long)generation);
}

static int compare_down(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? 1 : left > right ? -1 : 0;
}

/* Generations in a folder, newest first. */
static size_t list(const char *folder, uint64_t found[MOST_FILES])
{
    DIR *stream = opendir(folder);
    const struct dirent *entry;
    size_t count = 0;
    while (stream && (entry = readdir(stream)) && count < MOST_FILES) {
        char *end;
        unsigned long long number = strtoull(entry->d_name, &end, 10);
        if (end != entry->d_name && strcmp(end, ".tns") == 0)
            found[count++] = number;
    }
    if (stream)
        (void)closedir(stream);
    qsort(found, count, sizeof *found, compare_down);
    return count;
}

/* ---- writing ---- */

static tn_status read_back(const char *path, struct tn_error *error)
{
    void *data = NULL;
    uint64_t bytes = 0;
    tn_status status = tn_file_read(path, LARGEST, &data, &bytes, error);
    if (status == TN_OK)
        status = tn_state_prove(data, bytes, error);
    free(data);
    return status;
}

static void drop_old(const struct tn_state_keeper *keeper)
{
    uint64_t found[MOST_FILES];
    char path[1200];
    size_t count = list(keeper->folder, found);
    for (size_t i = 0; i < count; i++) {
        if (found[i] + KEPT_GENERATIONS > keeper->generation)
            continue;
        file_name(keeper, found[i], path, sizeof path);
        if (truncate(path, 0) == 0) /* a drive's trash counts what is in it */
            (void)unlink(path);
    }
}

static tn_status write_state(struct tn_state_keeper *keeper, struct tn_error *error)
{
    char path[1200];
    tn_status status = tn_folder_make(keeper->folder, error);
    file_name(keeper, keeper->generation, path, sizeof path);
    if (status == TN_OK)
        status = tn_file_write(path, keeper->image.data, keeper->image.bytes, error);
    if (status == TN_OK)
        status = read_back(path, error);
    if (status == TN_OK)
        drop_old(keeper);
    return status;
}

static void *keeper_main(void *argument)
{
    struct tn_state_keeper *keeper = argument;
    pthread_mutex_lock(&keeper->mutex);
    for (;;) {
        while (!keeper->busy && !keeper->quit)
            pthread_cond_wait(&keeper->moved, &keeper->mutex);
        if (!keeper->busy)
            break;
        pthread_mutex_unlock(&keeper->mutex);
        struct tn_error failure = {0};
        double begin = tn_seconds_now();
        tn_status status = write_state(keeper, &failure);
        pthread_mutex_lock(&keeper->mutex);
        keeper->write_seconds = tn_seconds_now() - begin;
        keeper->status = status;
        if (status != TN_OK)
            keeper->failure = failure, keeper->told = false;
        keeper->busy = false;
        pthread_cond_broadcast(&keeper->moved);
    }
    pthread_mutex_unlock(&keeper->mutex);
    return NULL;
}

/* ---- open and close ---- */

tn_status tn_state_keeper_open(struct tn_loop *loop, struct tn_state_keeper **keeper, struct tn_error *error)
{
    uint64_t found[MOST_FILES];
    sigset_t all, before;
    struct tn_state_keeper *made = calloc(1, sizeof *made);
    *keeper = made;
    if (!made)
        return tn_fail(error, TN_NO_MEMORY, "no memory to save the run's state");
    (void)snprintf(made->folder, sizeof made->folder, "%s/state", loop->directory.path);
    made->generation = list(made->folder, found) ? found[0] : 0;
    made->last_save = tn_seconds_now();
    made->last_step = loop->run.step;
    (void)pthread_mutex_init(&made->mutex, NULL);
    (void)pthread_cond_init(&made->moved, NULL);
    made->synchronised = true;
    sigfillset(&all); /* signals are the main thread's affair */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    made->started = pthread_create(&made->thread, NULL, keeper_main, made) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return made->started ? TN_OK
                         : tn_fail(error, TN_FAILED, "the thread that saves the run's state could not be started");
}

void tn_state_keeper_close(struct tn_state_keeper **keeper)
{
    struct tn_state_keeper *closing = *keeper;
    if (!closing)
        return;
    if (closing->started) {
        pthread_mutex_lock(&closing->mutex);
        closing->quit = true;
        pthread_cond_broadcast(&closing->moved);
        pthread_mutex_unlock(&closing->mutex);
        pthread_join(closing->thread, NULL);
    }
    if (closing->synchronised) {
        pthread_cond_destroy(&closing->moved);
        pthread_mutex_destroy(&closing->mutex);
    }
    free(closing->image.data);
    free(closing);
    *keeper = NULL;
}

/* ---- when ---- */

static bool is_time(const struct tn_loop *loop, const struct tn_state_keeper *keeper, bool epoch_end)
{
    const struct tn_save_rule *rule = &loop->save;
    double since = tn_seconds_now() - keeper->last_save;
    double least = keeper->copy_seconds / COPY_SHARE,
           most = (keeper->copy_seconds + keeper->write_seconds) / SAVE_SHARE;
    switch (rule->kind) {
    case TN_SAVE_EPOCH:
        return epoch_end;
    case TN_SAVE_STEPS:
        return loop->run.step - keeper->last_step >= rule->steps;
    case TN_SAVE_SECONDS:
        return since >= rule->seconds;
    case TN_SAVE_AUTO:
        least = fmax(fmax(least, most), LEAST_SECONDS);
        return since >= (epoch_end ? least : fmax(least, MOST_SECONDS));
    default:
        return false;
    }
}

/* Tells a writing that failed, once each. */
static void tell_failure(struct tn_loop *loop, struct tn_state_keeper *keeper)
{
    char text[1700];
    if (keeper->status == TN_OK || keeper->told)
        return;
    keeper->told = true;
    (void)snprintf(text, sizeof text, "the run's state could not be saved: %s; training goes on", keeper->failure.text);
    tn_loop_say(loop, TN_LOG_WARNING, text);
}

static tn_status copy_state(struct tn_loop *loop, struct tn_error *error)
{
    struct tn_state_keeper *keeper = loop->keeper;
    double begin = tn_seconds_now();
    tn_status status = tn_state_encode(loop, keeper->generation + 1, &keeper->image, error);
    if (status != TN_OK)
        return status;
    keeper->generation++;
    keeper->copy_seconds = tn_seconds_now() - begin;
    keeper->last_save = tn_seconds_now();
    keeper->last_step = loop->run.step;
    keeper->busy = true;
    pthread_cond_broadcast(&keeper->moved);
    return TN_OK;
}

tn_status tn_state_begin(struct tn_loop *loop, struct tn_error *error)
{
    struct tn_state_keeper *keeper = loop->keeper;
    if (!keeper)
        return TN_OK;
    pthread_mutex_lock(&keeper->mutex);
    tn_status status = copy_state(loop, error);
    pthread_mutex_unlock(&keeper->mutex);
    return status;
}

tn_status tn_state_after_step(struct tn_loop *loop, bool epoch_end, struct tn_error *error)
{
    struct tn_state_keeper *keeper = loop->keeper;
    tn_status status = TN_OK;
    if (!keeper || !is_time(loop, keeper, epoch_end))
        return TN_OK;
    pthread_mutex_lock(&keeper->mutex);
    tell_failure(loop, keeper);
    if (!keeper->busy) /* else the place is slower than the rule: the next step asks again */
        status = copy_state(loop, error);
    pthread_mutex_unlock(&keeper->mutex);
    return status;
}

tn_status tn_state_save_now(struct tn_loop *loop, struct tn_error *error)
{
    struct tn_state_keeper *keeper = loop->keeper;
    if (!keeper)
        return TN_OK;
    pthread_mutex_lock(&keeper->mutex);
    while (keeper->busy)
        pthread_cond_wait(&keeper->moved, &keeper->mutex);
    tn_status status = copy_state(loop, error);
    while (status == TN_OK && keeper->busy)
        pthread_cond_wait(&keeper->moved, &keeper->mutex);
    if (status == TN_OK && keeper->status != TN_OK) {
        status = keeper->status;
        if (error)
            *error = keeper->failure;
    }
    pthread_mutex_unlock(&keeper->mutex);
    return status;
}

/* ---- the end of a run ---- */

/* A file of its own: the state is that before the callbacks were told of the end, so that more epochs go on from it. */
static void end_path(const char *directory, char *path, size_t bytes)
{
    (void)snprintf(path, bytes, "%s/state/finished", directory);
}

tn_status tn_state_finish(struct tn_loop *loop, int32_t how, struct tn_error *error)
{
    char path[1200], text[64];
    if (!loop->keeper)
        return TN_OK;
    end_path(loop->directory.path, path, sizeof path);
    int length = snprintf(text, sizeof text, "%llu %d\n", (unsigned long long)loop->keeper->generation, (int)how);
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

bool tn_state_is_there(const char *directory)
{
    char folder[1100];
    uint64_t found[MOST_FILES];
    (void)snprintf(folder, sizeof folder, "%s/state", directory);
    return list(folder, found) > 0;
}

tn_status tn_state_load_newest(const char *directory, void **data, char *notes, size_t notes_bytes,
                               struct tn_error *error)
{
    uint64_t found[MOST_FILES], bytes = 0;
    struct tn_state_keeper names = {.generation = 0};
    struct tn_error reason = {0};
    char path[1200];
    (void)snprintf(names.folder, sizeof names.folder, "%s/state", directory);
    size_t count = list(names.folder, found);
    *data = NULL;
    for (size_t i = 0; i < count; i++) {
        file_name(&names, found[i], path, sizeof path);
        tn_status status = tn_file_read(path, LARGEST, data, &bytes, &reason);
        if (status == TN_OK)
            status = tn_state_prove(*data, bytes, &reason);
        if (status == TN_OK)
            return TN_OK;
        free(*data);
        *data = NULL;
        size_t used = strlen(notes);
        if (used < notes_bytes)
            (void)snprintf(notes + used, notes_bytes - used, "%s%s is passed over: %s", used ? "; " : "", path,
                           reason.text);
    }
    return tn_fail(error, TN_NOT_FOUND, "%s has no state that is whole%s%s", directory, notes[0] ? ": " : "", notes);
}
