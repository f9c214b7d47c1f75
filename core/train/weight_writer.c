/* weight_writer.c: files of weights that are made and written behind the training.
 *
 * The step path only copies the weights. One thread makes the files, one after the other; the experiment's copies
 * belong to it until it is joined, and several files of one moment are made of the same copy. What became of a file is
 * kept until the callback whose it is has asked: a state of the run is saved only when all have, so that it never
 * speaks of a file that is not there.
 */
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "train/state.h"

tn_status tn_weight_writer_open(struct tn_loop *loop, struct tn_error *error)
{
    struct tn_weight_writer *writer = &loop->writer;
    uint32_t count = loop->experiment->callback_count;
    if (count == 0)
        return TN_OK;
    writer->jobs = calloc(count, sizeof *writer->jobs);
    writer->owners = calloc(count, sizeof *writer->owners);
    struct tn_outcome *outcomes = calloc(count, sizeof *outcomes);
    if (!writer->jobs || !writer->owners || !outcomes || pthread_mutex_init(&writer->mutex, NULL) != 0) {
        free(outcomes);
        return tn_fail(error, TN_NO_MEMORY, "no memory to write weights behind the training");
    }
    writer->outcomes = outcomes;
    return TN_OK;
}

void tn_weight_writer_close(struct tn_loop *loop)
{
    struct tn_weight_writer *writer = &loop->writer;
    tn_weight_writer_wait(writer);
    if (writer->outcomes)
        (void)pthread_mutex_destroy(&writer->mutex);
    free(writer->jobs);
    free(writer->owners);
    free(writer->outcomes);
    *writer = (struct tn_weight_writer){.jobs = NULL};
}

/* ---- the thread ---- */

static void *write_files(void *argument)
{
    struct tn_weight_writer *writer = argument;
    pthread_mutex_lock(&writer->mutex);
    while (writer->done < writer->count) {
        const struct tn_weight_job *job = &writer->jobs[writer->done];
        struct tn_outcome outcome = {.there = true};
        pthread_mutex_unlock(&writer->mutex);
        outcome.status = tn_weight_job_write(job, &outcome.error);
        pthread_mutex_lock(&writer->mutex);
        writer->outcomes[writer->owners[writer->done++]] = outcome;
    }
    writer->finished = true;
    pthread_mutex_unlock(&writer->mutex);
    return NULL;
}

/* ---- the loop's side ---- */

void tn_weight_writer_wait(struct tn_weight_writer *writer)
{
    if (!writer->running)
        return;
    (void)pthread_join(writer->thread, NULL);
    writer->running = false;
    writer->done = writer->count = 0;
}

/* Joins a thread that has nothing left to do. */
static void collect(struct tn_weight_writer *writer)
{
    if (!writer->running)
        return;
    pthread_mutex_lock(&writer->mutex);
    bool finished = writer->finished;
    pthread_mutex_unlock(&writer->mutex);
    if (finished)
        tn_weight_writer_wait(writer);
}

static bool is_under_way(struct tn_weight_writer *writer, uint32_t owner)
{
    bool is = false;
    pthread_mutex_lock(&writer->mutex);
    for (uint32_t i = writer->done; i < writer->count; i++)
        is |= writer->owners[i] == owner;
    pthread_mutex_unlock(&writer->mutex);
    return is;
}

bool tn_weight_writer_busy(struct tn_loop *loop)
{
    struct tn_weight_writer *writer = &loop->writer;
    if (!writer->outcomes)
        return false;
    collect(writer);
    bool busy = writer->running;
    pthread_mutex_lock(&writer->mutex);
    for (uint32_t i = 0; i < loop->experiment->callback_count; i++)
        busy |= writer->outcomes[i].there;
    pthread_mutex_unlock(&writer->mutex);
    return busy;
}

/* A copy that a file is made of may not be filled anew. One of this very moment need not. */
static tn_status fill(struct tn_loop *loop, const struct tn_weight_job *job, struct tn_error *error)
{
    struct tn_weight_writer *writer = &loop->writer;
    uint64_t iterations = loop->steps_before + loop->run.step;
    for (uint32_t i = 0; writer->running && i < writer->count; i++) {
        if (writer->jobs[i].weights != job->weights)
            continue;
        if (job->weights->iterations == iterations && job->weights->learning_rate == loop->run.learning_rate)
            return TN_OK;
        tn_weight_writer_wait(writer);
    }
    return tn_weight_job_fill(loop->experiment, job, iterations, loop->run.learning_rate, error);
}

static void append(struct tn_weight_writer *writer, const struct tn_weight_job *job, uint32_t owner)
{
    pthread_mutex_lock(&writer->mutex);
    if (writer->running && writer->finished) { /* just now */
        pthread_mutex_unlock(&writer->mutex);
        tn_weight_writer_wait(writer);
        pthread_mutex_lock(&writer->mutex);
    }
    writer->outcomes[owner].there = false;
    writer->owners[writer->count] = owner;
    writer->jobs[writer->count++] = *job;
    if (!writer->running)
        writer->finished = false;
    pthread_mutex_unlock(&writer->mutex);
    if (writer->running)
        return;
    writer->running = tn_thread_start(&writer->thread, write_files, writer) == 0;
    if (!writer->running) { /* without a thread it takes as long as it takes */
        (void)write_files(writer);
        writer->done = writer->count = 0;
    }
}

tn_status tn_weight_writer_begin(struct tn_loop *loop, uint32_t owner, const char *path, uint32_t flags,
                                 struct tn_error *error)
{
    struct tn_weight_writer *writer = &loop->writer;
    struct tn_weight_job job;
    tn_status status;
    if (owner >= loop->experiment->callback_count)
        return tn_fail(error, TN_FAILED, "save_weights_behind(): only a callback that is being told may call it");
    collect(writer);
    if (writer->running && (is_under_way(writer, owner) || writer->count == loop->experiment->callback_count))
        tn_weight_writer_wait(writer);
    tn_state_await_first(loop);
    status = tn_weight_job_open(loop->experiment, path, flags, &job, error);
    if (status == TN_OK)
        status = fill(loop, &job, error);
    if (status == TN_OK)
        append(writer, &job, owner);
    return status;
}

int32_t tn_weight_writer_ask(struct tn_loop *loop, uint32_t owner, bool wait, tn_status *outcome,
                             struct tn_error *error)
{
    struct tn_weight_writer *writer = &loop->writer;
    struct tn_outcome mine;
    if (owner >= loop->experiment->callback_count)
        return 0;
    if (wait && writer->running && is_under_way(writer, owner))
        tn_weight_writer_wait(writer);
    collect(writer);
    pthread_mutex_lock(&writer->mutex);
    mine = writer->outcomes[owner];
    writer->outcomes[owner].there = false;
    pthread_mutex_unlock(&writer->mutex);
    if (!mine.there)
        return 0;
    *outcome = mine.status;
    if (mine.status != TN_OK && error)
        *error = mine.error;
    return 1;
}
