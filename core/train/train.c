/* train.c: the loop: epochs, steps, validation, callbacks, and how a run ends. After the first step begins nothing is
 * allocated here.
 */
#include <stdlib.h>
#include <string.h>

#include "train/state.h"

/* Below this share of an epoch's time, waiting for data is not worth a word. */
static const double hint_share = 0.2;
static const double hint_seconds = 2.0;
/* The purpose under which a step's seed is drawn; any fixed number does. */
static const uint64_t step_stream = 0x73746570; /* "step" */

static bool asked_to_stop(const struct tn_loop *loop)
{
    return loop->request->stop && *loop->request->stop;
}

/* ---- progress ---- */

/* What to do when data is the limit. Without the share, which the line above it tells: the same words come once. */
static const char *find_hint(struct tn_loop *loop, double seconds)
{
    static const char *const stages[] = {"reading", "decoding", "sampling"};
    double share = seconds > 0 ? loop->wait_seconds / seconds : 0;
    char advice[480];
    if (share < hint_share || seconds < hint_seconds)
        return NULL;
    tn_experiment_advise(loop->experiment, loop->slowest_stage, advice, sizeof advice);
    (void)snprintf(loop->hint, sizeof loop->hint, "training waits for pictures%s%s%s%s",
                   loop->slowest_stage >= 0 ? ", above all for " : "",
                   loop->slowest_stage >= 0 ? stages[loop->slowest_stage] : "", advice[0] ? "; to go faster: " : "",
                   advice);
    return loop->hint;
}

/* Rates are those of the training part of the epoch, also while it is validated. */
static void show(struct tn_loop *loop, int32_t phase, uint64_t batch, uint64_t batches)
{
    double now = tn_seconds_now(), in_phase = now - loop->phase_begin;
    double training = phase == 0 ? in_phase : loop->training_seconds;
    struct tn_progress progress = {
        .size = sizeof progress,
        .epoch = loop->run.epoch,
        .epochs = loop->run.epochs,
        .batch = batch,
        .batches = batches,
        .images_per_second = training > 0 ? (double)loop->images / training : 0,
        .seconds = now - loop->epoch_begin,
        .eta_seconds = batch && phase != 2 ? in_phase / (double)batch * (double)(batches - batch) : 0,
        .wait_share = training > 0 ? loop->wait_seconds / training : 0,
        .logs = loop->run.logs,
        .log_count = loop->run.log_count,
        .phase = phase,
        .repaints = loop->request->repaints,
        .hint = phase == 2 ? find_hint(loop, training) : NULL,
    };
    if (loop->request->progress)
        tn_loop_show(loop, &progress);
}

/* ---- one step ---- */

static uint64_t step_seed(const struct tn_loop *loop)
{
    uint32_t block[4];
    tn_random_block((uint64_t)loop->experiment->options.seed, step_stream, loop->run.step + 1, block);
    return (uint64_t)block[1] << 32 | block[0];
}

static void choose_rate(struct tn_loop *loop)
{
    const struct tn_instance *schedule = loop->experiment->schedule;
    struct tn_schedule_point point = {
        .size = sizeof point,
        .step = loop->run.step,
        .total_steps = loop->total_steps,
        .steps_per_epoch = loop->batches,
        .initial = loop->base_rate,
    };
    loop->learning_rate = loop->base_rate;
    if (schedule)
        loop->learning_rate = ((const struct tn_schedule *)schedule->type)->rate(schedule->self, &point);
    loop->run.learning_rate = loop->learning_rate;
}

/* Training goes on with numbers that are none, as in Keras (a callback may stop it), but not without a word. */
static void watch_loss(struct tn_loop *loop)
{
    char text[256];
    if (loop->warned_not_finite || isfinite(tn_meters_loss(&loop->train)))
        return;
    loop->warned_not_finite = true;
    (void)snprintf(text, sizeof text,
                   "the loss is not a number any more since step %llu: the learning rate (%g) may be too high, or an "
                   "input is not finite",
                   (unsigned long long)loop->run.step, loop->learning_rate);
    tn_loop_say(loop, TN_LOG_WARNING, text);
}

static tn_status train_batch(struct tn_loop *loop, const struct tn_batch *batch, struct tn_error *error)
{
    struct tn_meters *meters = &loop->train;
    struct tn_step step = {.size = sizeof step};
    tn_status status;
    loop->run.batch = batch->number;
    choose_rate(loop);
    TN_TRY(status, tn_loop_tell(loop, TN_BATCH_BEGIN, error), out);
    step.learning_rate = loop->learning_rate;
    step.step = loop->steps_before + loop->run.step + 1;
    step.seed = step_seed(loop);
    TN_TRY(status,
           tn_network_train_step(loop->experiment->network, batch->count, tn_meters_images(meters, batch),
                                 batch->targets, batch->weights, &step, meters->losses, meters->predictions, error),
           out);
    loop->run.step++;
    loop->result->steps = loop->run.step;
    loop->images += (uint64_t)batch->count;
    loop->wait_seconds += batch->wait_seconds;
    tn_meters_add(meters, batch);
    loop->run.batch_loss = meters->batch_loss;
    watch_loss(loop);
    tn_loop_set_logs(loop, false);
    TN_TRY(status, tn_loop_tell_batch(loop, TN_BATCH_END, meters, batch, error), out);
    loop->next_batch = batch->number + 1;
    status = tn_state_after_step(loop, false, error);
out:
    return status;
}

/* ---- one epoch ---- */

static tn_status train_epoch(struct tn_loop *loop, struct tn_error *error)
{
    struct tn_dataset *dataset = loop->experiment->train;
    const struct tn_batch *batch = NULL;
    uint64_t done = loop->next_batch;
    loop->phase_begin = tn_seconds_now();
    if (done >= loop->batches) /* resumed behind the last batch */
        return TN_OK;
    tn_dataset_watch(dataset, true);
    tn_status status = tn_dataset_begin(dataset, (uint64_t)loop->run.epoch, done, error);
    if (status != TN_OK)
        return status;
    while (done < loop->batches && (!loop->stop || loop->pausing)) {
        if (asked_to_stop(loop) || loop->pausing) {
            loop->interrupted = true;
            break;
        }
        TN_TRY(status, tn_dataset_next(dataset, &batch, error), out);
        if (!batch)
            break;
        TN_TRY(status, train_batch(loop, batch, error), out);
        done++;
        show(loop, 0, done, loop->batches);
    }
    loop->training_seconds = tn_seconds_now() - loop->phase_begin;
out:
    tn_dataset_end(dataset);
    loop->slowest_stage = tn_dataset_slowest_stage(dataset);
    return status;
}

static tn_status validate(struct tn_loop *loop, struct tn_error *error)
{
    struct tn_experiment *experiment = loop->experiment;
    struct tn_meters *meters = &loop->validation;
    const struct tn_batch *batch = NULL;
    uint64_t batches = tn_dataset_batches(experiment->validation);
    tn_status status;
    TN_TRY(status, tn_loop_tell(loop, TN_VALIDATION_BEGIN, error), out);
    tn_meters_reset(meters);
    loop->phase_begin = tn_seconds_now();
    TN_TRY(status, tn_dataset_begin(experiment->validation, 0, 0, error), out);
    for (;;) {
        if (asked_to_stop(loop)) {
            loop->interrupted = true;
            break;
        }
        TN_TRY(status, tn_dataset_next(experiment->validation, &batch, error), end);
        if (!batch)
            break;
        TN_TRY(status,
               tn_network_infer(experiment->network, batch->count, tn_meters_images(meters, batch), batch->targets,
                                batch->weights, meters->losses, meters->predictions, error),
               end);
        tn_meters_add(meters, batch);
        TN_TRY(status, tn_loop_tell_batch(loop, TN_VALIDATION_BATCH_END, meters, batch, error), end);
        show(loop, 1, batch->number + 1, batches);
    }
end:
    tn_dataset_end(experiment->validation);
    if (status == TN_OK && !loop->interrupted)
        status = tn_loop_tell(loop, TN_VALIDATION_END, error);
out:
    return status;
}

static void note_best(struct tn_loop *loop)
{
    double value = tn_meters_loss(loop->experiment->validation ? &loop->validation : &loop->train);
    if (!(loop->result->best_value <= value)) /* NaN at first */
        loop->result->best_value = value;
}

static tn_status run_epoch(struct tn_loop *loop, struct tn_error *error)
{
    tn_status status;
    loop->epoch_begin = tn_seconds_now();
    loop->wait_seconds = 0;
    loop->images = 0;
    loop->run.batch = 0;
    loop->run.log_count = 0;
    loop->epoch_told = false;
    if (loop->next_batch == 0) { /* else it was begun by the run that goes on */
        tn_meters_reset(&loop->train);
        TN_TRY(status, tn_loop_tell(loop, TN_EPOCH_BEGIN, error), out);
    }
    TN_TRY(status, train_epoch(loop, error), out);
    if (loop->interrupted || (loop->interrupted = loop->pausing))
        return TN_OK;
    if (loop->experiment->validation)
        TN_TRY(status, validate(loop, error), out);
    if (loop->interrupted)
        return TN_OK;
    loop->result->epochs_done = loop->run.epoch + 1;
    note_best(loop);
    tn_loop_set_logs(loop, true);
    loop->run.images_per_second = loop->training_seconds > 0 ? (double)loop->images / loop->training_seconds : 0;
    loop->run.input_wait = loop->training_seconds > 0 ? loop->wait_seconds / loop->training_seconds : 0;
    tn_state_await_first(loop);
    TN_TRY(status, tn_loop_tell(loop, TN_EPOCH_END, error), out);
    show(loop, 2, loop->batches, loop->batches);
    loop->next_batch = 0;
    loop->epoch_told = true;
    status = tn_state_after_step(loop, true, error);
out:
    return status;
}

/* ---- how a run ends ---- */

/* What a signal, or a callback that pauses, leaves behind: the state, from which the same command goes on, and the
 * weights. */
static tn_status end_interrupted(struct tn_loop *loop, struct tn_error *error)
{
    const char *why = loop->pausing ? loop->stop_reason : "interrupted";
    char path[1200];
    tn_status status = tn_loop_tell(loop, TN_INTERRUPT, error);
    if (status == TN_OK)
        status = tn_loop_settle(loop, loop->keeper != NULL, error);
    if (status != TN_OK)
        return status;
    status = tn_state_save_now(loop, error);
    if (status != TN_OK)
        return tn_error_wrap(error, status, "interrupted, and the run's state could not be saved");
    (void)snprintf(path, sizeof path, "%s/checkpoints/interrupted.h5", loop->directory.path);
    status = tn_experiment_save_weights(loop->experiment, path, 0, loop->steps_before + loop->run.step,
                                        loop->learning_rate, error);
    if (status != TN_OK)
        return tn_error_wrap(error, status, "interrupted, and the weights could not be saved");
    return tn_fail(
        error, TN_INTERRUPTED, "%s: stopped in epoch %d of %d after %llu steps; %s; the weights are in %s", why,
        loop->run.epoch + 1, loop->run.epochs, (unsigned long long)loop->run.step,
        loop->keeper ? "the same command goes on from here" : "save_every = no: there is no state to go on from", path);
}

/* The last state is from before the callbacks are told of the end, which may change the weights: more epochs go on from
 * it. Then it is noted that the run has ended, so that the same command does not begin it anew. */
static tn_status end_in_order(struct tn_loop *loop, struct tn_error *error)
{
    tn_status status = tn_loop_settle(loop, loop->keeper != NULL, error), saved;
    const char *unsaved;
    if (status != TN_OK)
        return status;
    saved = tn_state_save_now(loop, error);
    if (loop->result->epochs_done > 0)
        loop->run.epoch = loop->result->epochs_done - 1; /* resumed behind the last epoch, it would be one more */
    status = tn_loop_tell(loop, TN_RUN_END, saved == TN_OK ? error : NULL);
    if (status == TN_OK)
        status = tn_loop_settle(loop, false, saved == TN_OK ? error : NULL); /* what was begun there */
    if (saved != TN_OK)
        return tn_error_wrap(error, saved, "all is computed, but the run's last state could not be saved");
    if (status == TN_OK)
        status = tn_state_finish(loop, loop->stop ? TN_STATE_STOPPED : TN_STATE_FINISHED, error);
    unsaved = tn_loop_unsaved(loop);
    return status == TN_OK && unsaved ? tn_fail(error, TN_IO, "all is computed, but not all is saved: %s", unsaved)
                                      : status;
}

static tn_status end_run(struct tn_loop *loop, tn_status status, struct tn_error *error)
{
    bool ended = status == TN_OK && !loop->interrupted;
    if (status == TN_OK && loop->interrupted)
        status = end_interrupted(loop, error);
    else if (status == TN_OK)
        status = end_in_order(loop, error);
    if (status == TN_OK && loop->stop)
        loop->result->stopped_because =
            tn_arena_string(&loop->experiment->arena, loop->stop_reason); /* the caller may read it later */
    if (status != TN_OK && status != TN_INTERRUPTED && !ended)
        (void)tn_loop_tell(loop, TN_RUN_ERROR, NULL);
    return status;
}

/* ---- begin ---- */

static void count_steps(struct tn_loop *loop)
{
    const struct tn_experiment_options *options = &loop->experiment->options;
    loop->batches = tn_dataset_batches(loop->experiment->train);
    if (options->steps_per_epoch && (uint64_t)options->steps_per_epoch < loop->batches)
        loop->batches = (uint64_t)options->steps_per_epoch;
    loop->total_steps = loop->batches * (uint64_t)options->epochs;
}

/* --fresh may have chosen another folder than the one that the experiment names. */
static void say_folder(struct tn_loop *loop)
{
    struct tn_experiment *experiment = loop->experiment;
    char text[1200];
    if (strcmp(experiment->run_directory, loop->directory.path) == 0)
        return;
    (void)snprintf(text, sizeof text, "%s holds a run already: this one goes to %s", experiment->run_directory,
                   loop->directory.path);
    tn_loop_say(loop, TN_LOG_INFO, text);
    experiment->run_directory = tn_arena_string(&experiment->arena, loop->directory.path);
}

/* --resume */
static tn_status choose_directory(struct tn_loop *loop, struct tn_error *error)
{
    struct tn_experiment *experiment = loop->experiment;
    const char *chosen = loop->request->resume;
    char buffer[1100];
    if (!chosen)
        return TN_OK;
    if (loop->request->fresh)
        return tn_fail(error, TN_INVALID, "--resume and --fresh contradict each other");
    if (!tn_state_is_there(chosen, tn_place_local(experiment->options.state_folder, chosen, buffer, sizeof buffer)))
        return tn_fail(error, TN_INVALID, "--resume: %s holds no state of a run", chosen);
    experiment->run_directory = tn_arena_string(&experiment->arena, chosen);
    return experiment->run_directory ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for %s", chosen);
}

/* Everything that can fail or allocate comes before the first step, and the run directory after what can be wrong with
 * the weights: a mistake leaves nothing behind. */
static tn_status begin(struct tn_loop *loop, struct tn_error *error)
{
    struct tn_experiment *experiment = loop->experiment;
    const struct tn_instance *optimizer = experiment->optimizer;
    tn_status status;
    if (!experiment->train || !experiment->loss || !optimizer)
        return tn_fail(error, TN_INVALID, "this experiment was not opened for training");
    TN_TRY(status, tn_save_rule_parse(experiment->options.save_every, &loop->save, error), out);
    TN_TRY(status, tn_experiment_prepare_saving(experiment, error), out);
    TN_TRY(status, tn_experiment_judge_files(experiment, error), out);
    TN_TRY(status, choose_directory(loop, error), out);
    TN_TRY(status, tn_loop_load_initial(loop, error), out);
    TN_TRY(status, tn_meters_open(&loop->train, experiment, experiment->train, error), out);
    if (experiment->validation)
        TN_TRY(status, tn_meters_open(&loop->validation, experiment, experiment->validation, error), out);
    TN_TRY(status, tn_loop_open_logs(loop, error), out);
    TN_TRY(status, tn_run_directory_open(&loop->directory, experiment, loop->request->fresh != 0, error), out);
    say_folder(loop);
    count_steps(loop);
    loop->base_rate = ((const struct tn_optimizer *)optimizer->type)->learning_rate(optimizer->self);
    loop->learning_rate = loop->base_rate;
    tn_loop_bind_run(loop);
    TN_TRY(status, tn_run_config_print(experiment, &loop->config), out);
    if (loop->save.kind != TN_SAVE_NO || loop->directory.resumes)
        loop->data_digest = tn_dataset_list_digest(experiment->train);
    if (loop->directory.resumes) {
        TN_TRY(status, tn_resume(loop, error), out);
        if (loop->request->weights)
            tn_loop_say(loop, TN_LOG_INFO, "the run goes on with its own weights, not with those of --weights");
        TN_TRY(status, tn_run_directory_describe(&loop->directory, experiment, error), out);
    }
    if (loop->save.kind != TN_SAVE_NO) {
        TN_TRY(status, tn_state_line_begin(loop->directory.path, &loop->line, loop->resumed_from, error), out);
        TN_TRY(status, tn_state_keeper_open(loop, &loop->keeper, error), out);
    }
out:
    return status;
}

static void end(struct tn_loop *loop)
{
    tn_weight_writer_close(loop);
    tn_state_keeper_close(&loop->keeper);
    free(loop->resumed_state);
    tn_text_release(&loop->config);
    tn_run_directory_close(&loop->directory);
    if (loop->train.experiment)
        tn_meters_close(&loop->train);
    if (loop->validation.experiment)
        tn_meters_close(&loop->validation);
}

tn_status tn_experiment_train(struct tn_experiment *experiment, const struct tn_train_request *request,
                              struct tn_train_result *result, struct tn_error *error)
{
    struct tn_loop loop = {.experiment = experiment, .request = request, .result = result, .directory = {.lock = -1}};
    uint64_t before = tn_memory_resident(), peak;
    double began;
    tn_status status;
    *result = (struct tn_train_result){.best_value = NAN, .planned_bytes = tn_experiment_planned_bytes(experiment)};
    status = begin(&loop, error);
    began = tn_seconds_now();
    if (status == TN_OK) {
        status = tn_loop_tell(&loop, TN_RUN_BEGIN, error);
        if (status == TN_OK)
            status = loop.run.resumed ? tn_resume_callbacks(&loop, error) : tn_state_begin(&loop, error);
        for (; status == TN_OK && loop.run.epoch < loop.run.epochs && (!loop.stop || loop.next_batch > 0);
             loop.run.epoch++) { /* next_batch: resumed where a callback had stopped an epoch, which is to be ended */
            status = run_epoch(&loop, error);
            if (loop.interrupted || loop.stop || loop.run.epoch + 1 == loop.run.epochs)
                break; /* `epoch` stays that of the last one */
        }
        status = end_run(&loop, status, error);
        tn_loop_say_cost(&loop, tn_seconds_now() - began);
    }
    peak = tn_memory_peak();
    result->grown_bytes = peak > before ? peak - before : 0;
    /* What a cache will hold is known when it does. */
    result->planned_bytes += tn_experiment_cache_bytes(experiment, tn_dataset_cache_bytes);
    end(&loop);
    return status;
}
