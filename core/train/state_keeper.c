/* state_keeper.c: when a run's state is saved, and the thread that does it.
 *
 * On the step path a state is only copied into memory. The thread writes it: to the machine's own disk when the run
 * directory is elsewhere, from where it is copied behind, else to the run directory. A place that refuses does not stop
 * training: it is told, and tried again with the next state.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "train/state.h"

/* Of a run's time: what copying may cost, and what copying and writing may. */
static const double COPY_SHARE = 0.01, SAVE_SHARE = 0.035;
/* Between two states, whatever they cost; and what a disk is written to, on average, so that it is not worn out. */
static const double LEAST_SECONDS = 5, BYTES_PER_SECOND = 4e6;
static const double BEAT_SECONDS = 1; /* between two signs of life */
/* For a file that is being written behind the training, so that nobody waits; then the state does not any more. */
static const double MOST_SECONDS_LATE = 5;

struct tn_state_keeper {
    struct tn_state_image image;
    struct tn_state_shelf shelf;    /* where it writes */
    char run_folder[1100];          /* state/ of the run directory; the shelf's folder unless there is `behind` */
    struct tn_state_behind *behind; /* NULL = one place */
    uint64_t generation;            /* of the state in `image`, or that was written last */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    bool synchronised, started, quit, busy;        /* busy: `image` waits for the thread, or is being written */
    bool tried;                                    /* a first state was written, or could not be */
    double last_save, copy_seconds, write_seconds; /* when, and how long the last ones took */
    double late_since;                             /* the state is put off; 0 = it is not */
    uint64_t last_step;
    tn_status status; /* of the last writing */
    struct tn_error failure;
    bool told, finished;
};

/* ---- the thread ---- */

static tn_status write_state(struct tn_state_keeper *keeper, struct tn_error *error)
{
    const struct tn_state_image *image = &keeper->image;
    tn_status status = tn_state_shelve(&keeper->shelf, keeper->generation, image->data, image->bytes, error);
    if (status == TN_OK && keeper->behind)
        tn_state_behind_offer(keeper->behind, keeper->generation, tn_crc32c(image->data, image->bytes));
    return status;
}

static void beat(struct tn_state_keeper *keeper)
{
    struct timespec until = tn_deadline(BEAT_SECONDS);
    (void)pthread_cond_timedwait(&keeper->moved, &keeper->mutex, &until);
}

static void *keeper_main(void *argument)
{
    struct tn_state_keeper *keeper = argument;
    pthread_mutex_lock(&keeper->mutex);
    for (;;) {
        while (!keeper->busy && !keeper->quit) {
            pthread_mutex_unlock(&keeper->mutex);
            tn_state_touch(keeper->shelf.folder);
            pthread_mutex_lock(&keeper->mutex);
            if (!keeper->busy && !keeper->quit)
                beat(keeper);
        }
        if (!keeper->busy)
            break;
        pthread_mutex_unlock(&keeper->mutex);
        struct tn_error failure = {.status = TN_OK};
        double begin = tn_seconds_now();
        tn_status status = write_state(keeper, &failure);
        tn_state_touch(keeper->shelf.folder);
        pthread_mutex_lock(&keeper->mutex);
        keeper->write_seconds = tn_seconds_now() - begin;
        keeper->status = status;
        if (status != TN_OK)
            keeper->failure = failure, keeper->told = false;
        keeper->busy = false;
        keeper->tried = true;
        pthread_cond_broadcast(&keeper->moved);
    }
    pthread_mutex_unlock(&keeper->mutex);
    return NULL;
}

/* ---- open and close ---- */

static void say_place(struct tn_loop *loop, const struct tn_state_keeper *keeper, const struct tn_place_report *first,
                      const struct tn_place_report *second)
{
    double bytes = (double)tn_state_bytes(loop->experiment);
    char text[2600], size[32], quick[64], slow[64];
    int length = snprintf(text, sizeof text, "a state has %s and takes about %s to save in %s",
                          tn_say_bytes(size, sizeof size, (uint64_t)bytes),
                          tn_say_seconds(quick, sizeof quick, bytes * first->seconds_per_byte), keeper->shelf.folder);
    if (keeper->behind && length > 0 && (size_t)length < sizeof text)
        (void)snprintf(text + length, sizeof text - (size_t)length, "; from there it is copied to %s, in about %s",
                       keeper->run_folder, tn_say_seconds(slow, sizeof slow, bytes * second->seconds_per_byte));
    tn_loop_say(loop, TN_LOG_INFO, text);
    if (second->replaces)
        return;
    (void)snprintf(
        text, sizeof text,
        "files in %s cannot be replaced by renaming: a checkpoint that is written again is written twice, and "
        "a run that is cut off while it does may leave it as FILE.new",
        loop->directory.path);
    tn_loop_say(loop, TN_LOG_INFO, text);
}

/* Where to write, and whether that works. A machine's own disk that does not is done without. */
static tn_status choose_place(struct tn_loop *loop, struct tn_state_keeper *keeper, struct tn_error *error)
{
    uint64_t bytes = tn_state_bytes(loop->experiment);
    char buffer[1000], text[1400];
    struct tn_place_report first, second;
    struct tn_error reason = {.status = TN_OK};
    (void)snprintf(keeper->run_folder, sizeof keeper->run_folder, "%s/state", loop->directory.path);
    (void)snprintf(keeper->shelf.folder, sizeof keeper->shelf.folder, "%s", keeper->run_folder);
    tn_status status = tn_place_probe(keeper->run_folder, bytes, &second, error);
    if (status != TN_OK)
        return status;
    const char *base =
        tn_place_local(loop->experiment->options.state_folder, keeper->run_folder, buffer, sizeof buffer);
    first = second;
    if (base) {
        tn_state_local_folder(base, loop->line.run_id, keeper->shelf.folder, sizeof keeper->shelf.folder);
        if (tn_place_probe(keeper->shelf.folder, bytes, &first, &reason) == TN_OK)
            status =
                tn_state_behind_open(&keeper->shelf, keeper->run_folder, loop->resumed_from, &keeper->behind, error);
        else {
            (void)snprintf(text, sizeof text, "states go to the run directory alone: %.1300s", reason.text);
            tn_loop_say(loop, TN_LOG_WARNING, text);
            (void)snprintf(keeper->shelf.folder, sizeof keeper->shelf.folder, "%s", keeper->run_folder);
        }
    }
    if (status == TN_OK)
        say_place(loop, keeper, &first, &second);
    return status;
}

/* Higher than any file of the run, so that none is written over. */
static uint64_t last_number(const struct tn_loop *loop, const struct tn_state_keeper *keeper)
{
    uint64_t here = tn_state_newest_generation(keeper->shelf.folder),
             there = tn_state_newest_generation(keeper->run_folder), most = loop->resumed_from;
    most = here > most ? here : most;
    return there > most ? there : most;
}

tn_status tn_state_keeper_open(struct tn_loop *loop, struct tn_state_keeper **keeper, struct tn_error *error)
{
    struct tn_state_keeper *made = calloc(1, sizeof *made);
    *keeper = made;
    if (!made)
        return tn_fail(error, TN_NO_MEMORY, "no memory to save the run's state");
    (void)pthread_mutex_init(&made->mutex, NULL);
    (void)pthread_cond_init(&made->moved, NULL);
    made->synchronised = true;
    tn_status status = choose_place(loop, made, error);
    if (status != TN_OK)
        return status;
    made->shelf.newest = loop->resumed_from;
    made->tried = loop->resumed_from != 0;
    made->generation = last_number(loop, made);
    made->last_save = tn_seconds_now();
    made->last_step = loop->run.step;
    made->started = tn_thread_start(&made->thread, keeper_main, made) == 0;
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
    if (closing->behind && closing->finished) /* all of it is in the run directory */
        tn_state_clear(closing->shelf.folder);
    tn_state_behind_close(&closing->behind);
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
    double least = fmax(keeper->copy_seconds / COPY_SHARE, (keeper->copy_seconds + keeper->write_seconds) / SAVE_SHARE);
    if (loop->state_wanted)
        return true;
    switch (rule->kind) {
    case TN_SAVE_EPOCH:
        return epoch_end;
    case TN_SAVE_STEPS:
        return loop->run.step - keeper->last_step >= rule->steps;
    case TN_SAVE_SECONDS:
        return since >= rule->seconds;
    case TN_SAVE_AUTO:
        return since >= fmax(fmax(least, LEAST_SECONDS), (double)keeper->image.bytes / BYTES_PER_SECOND);
    default:
        return false;
    }
}

/* A callback's file has to be there before a state speaks of it. One that is due at no certain step waits for that. */
static bool puts_off(struct tn_loop *loop, struct tn_state_keeper *keeper)
{
    double now = tn_seconds_now();
    if (loop->save.kind == TN_SAVE_EPOCH || loop->save.kind == TN_SAVE_STEPS || !tn_weight_writer_busy(loop))
        return false;
    if (keeper->late_since == 0)
        keeper->late_since = now;
    return now - keeper->late_since < MOST_SECONDS_LATE;
}

/* Tells a writing that failed, once each, and whether copies arrive. */
static void tell_news(struct tn_loop *loop, struct tn_state_keeper *keeper)
{
    char text[3600];
    int32_t level = keeper->behind ? tn_state_behind_news(keeper->behind, text, sizeof text) : -1;
    if (level >= 0)
        tn_loop_say(loop, level, text);
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
    keeper->late_since = 0;
    loop->state_wanted = false;
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

void tn_state_await_first(struct tn_loop *loop)
{
    struct tn_state_keeper *keeper = loop->keeper;
    if (!keeper)
        return;
    pthread_mutex_lock(&keeper->mutex);
    while (keeper->busy && !keeper->tried)
        pthread_cond_wait(&keeper->moved, &keeper->mutex);
    pthread_mutex_unlock(&keeper->mutex);
}

tn_status tn_state_after_step(struct tn_loop *loop, bool epoch_end, struct tn_error *error)
{
    struct tn_state_keeper *keeper = loop->keeper;
    tn_status status = TN_OK;
    bool wanted = false;
    if (!keeper)
        return TN_OK;
    pthread_mutex_lock(&keeper->mutex);
    tell_news(loop, keeper);
    if (keeper->status != TN_OK && loop->experiment->options.on_save_error) {
        status = keeper->status;
        if (error)
            *error = keeper->failure;
        (void)tn_error_wrap(error, status, "the run's state could not be saved (on_save_error = fail)");
    } else { /* busy: the next step asks again */
        wanted = !keeper->busy && is_time(loop, keeper, epoch_end) && !puts_off(loop, keeper);
    }
    pthread_mutex_unlock(&keeper->mutex);
    if (!wanted)
        return status;
    status = tn_loop_settle(loop, true, error);
    pthread_mutex_lock(&keeper->mutex);
    if (status == TN_OK)
        status = copy_state(loop, error);
    pthread_mutex_unlock(&keeper->mutex);
    return status;
}

tn_status tn_state_save_now(struct tn_loop *loop, struct tn_error *error)
{
    struct tn_state_keeper *keeper = loop->keeper;
    if (!keeper)
        return TN_OK;
    loop->ending = true;
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
    if (status == TN_OK && keeper->behind)
        status = tn_state_behind_flush(keeper->behind, error);
    return status;
}

tn_status tn_state_finish(struct tn_loop *loop, int32_t how, struct tn_error *error)
{
    struct tn_state_keeper *keeper = loop->keeper;
    if (!keeper)
        return TN_OK;
    tn_status status = tn_state_note_end(loop->directory.path, keeper->generation, how, error);
    keeper->finished = status == TN_OK;
    return status;
}
