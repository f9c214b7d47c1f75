/* weight_writer.c: a file of weights that is made and written behind the training.
 *
 * The step path only copies the weights. One file is under way at a time; the experiment's copies belong to its thread
 * until that is joined. What became of a file is kept until the callback whose it is has asked: a state of the run is
 * saved only when all have, so that it never speaks of a file that is not there.
 */
#include <string.h>

#include "base/thread.h"
#include "train/state.h"

static void *write_file(void *argument)
{
    struct tn_weight_writer *writer = argument;
    writer->outcome.status = tn_weight_job_write(&writer->job, &writer->outcome.error);
    atomic_store(&writer->done, true);
    return NULL;
}

static void note(struct tn_weight_writer *writer)
{
    writer->outcome.there = true;
    writer->outcomes[writer->owner] = writer->outcome;
}

void tn_weight_writer_wait(struct tn_weight_writer *writer)
{
    if (!writer->running)
        return;
    (void)pthread_join(writer->thread, NULL);
    writer->running = false;
    note(writer);
}

bool tn_weight_writer_busy(const struct tn_loop *loop)
{
    const struct tn_weight_writer *writer = &loop->writer;
    if (writer->running)
        return true;
    for (uint32_t i = 0; writer->outcomes && i < loop->experiment->callback_count; i++)
        if (writer->outcomes[i].there)
            return true;
    return false;
}

tn_status tn_weight_writer_begin(struct tn_loop *loop, uint32_t owner, const char *path, uint32_t flags,
                                 struct tn_error *error)
{
    struct tn_weight_writer *writer = &loop->writer;
    tn_status status;
    if (owner >= loop->experiment->callback_count)
        return tn_fail(error, TN_FAILED, "save_weights_behind(): only a callback that is being told may call it");
    tn_weight_writer_wait(writer);
    tn_state_await_first(loop);
    status = tn_weight_job_take(loop->experiment, path, flags, loop->steps_before + loop->run.step,
                                loop->run.learning_rate, &writer->job, error);
    if (status != TN_OK)
        return status;
    writer->owner = owner;
    writer->outcome = (struct tn_outcome){.status = TN_OK};
    writer->outcomes[owner].there = false;
    atomic_store(&writer->done, false);
    writer->running = tn_thread_start(&writer->thread, write_file, writer) == 0;
    if (!writer->running) { /* without a thread it takes as long as it takes */
        (void)write_file(writer);
        note(writer);
    }
    return TN_OK;
}

int32_t tn_weight_writer_ask(struct tn_loop *loop, uint32_t owner, bool wait, tn_status *outcome,
                             struct tn_error *error)
{
    struct tn_weight_writer *writer = &loop->writer;
    struct tn_outcome *mine;
    if (owner >= loop->experiment->callback_count)
        return 0;
    if (writer->running && writer->owner == owner && (wait || atomic_load(&writer->done)))
        tn_weight_writer_wait(writer);
    mine = &writer->outcomes[owner];
    if (!mine->there)
        return 0;
    mine->there = false;
    *outcome = mine->status;
    if (mine->status != TN_OK && error)
        *error = mine->error;
    return 1;
}
