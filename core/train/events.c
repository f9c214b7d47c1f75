/* events.c: what callbacks see of a run, what they may ask for, and the logs that they read. */
#include <stdlib.h>
#include <string.h>

#include "train/state.h"

/* ---- logs ---- */

static void name_slot(struct tn_loop *loop, struct tn_log_value *value, const struct tn_log_slot *slot)
{
    struct tn_experiment *experiment = loop->experiment;
    const char *name = slot->metric == -1   ? "loss"
                       : slot->metric == -2 ? "learning_rate"
                                            : experiment->metrics[slot->metric]->name;
    value->value = NAN;
    value->direction = TN_DIRECTION_UNKNOWN;
    if (slot->metric >= 0)
        value->direction = ((const struct tn_metric *)experiment->metrics[slot->metric]->type)->direction;
    else if (slot->metric == -1)
        value->direction = TN_DIRECTION_DOWN;
    value->name = slot->validation ? tn_arena_format(&experiment->arena, "val_%s", name) : name;
}

static void sort_logs(struct tn_log_value *values, struct tn_log_slot *slots, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t j = i; j > 0 && strcmp(values[j - 1].name, values[j].name) > 0; j--) {
            struct tn_log_value value = values[j];
            struct tn_log_slot slot = slots[j];
            values[j] = values[j - 1];
            slots[j] = slots[j - 1];
            values[j - 1] = value;
            slots[j - 1] = slot;
        }
}

/* Keras logs it when something changes it. */
static bool rate_changes(const struct tn_experiment *experiment)
{
    for (uint32_t i = 0; i < experiment->callback_count; i++)
        if (experiment->callbacks[i]->type->flags & TN_CALLBACK_SETS_RATE)
            return true;
    return experiment->schedule != NULL;
}

static uint32_t fill_logs(struct tn_loop *loop, struct tn_log_value *values, struct tn_log_slot *slots, bool validation)
{
    const struct tn_experiment *experiment = loop->experiment;
    uint32_t count = 0;
    for (int pass = 0; pass <= (validation ? 1 : 0); pass++) {
        slots[count++] = (struct tn_log_slot){-1, pass == 1};
        for (uint32_t i = 0; i < experiment->metric_count; i++)
            if (strcmp(experiment->metrics[i]->name, "loss") != 0) /* it is there already */
                slots[count++] = (struct tn_log_slot){(int32_t)i, pass == 1};
    }
    if (values == loop->epoch_logs && rate_changes(experiment))
        slots[count++] = (struct tn_log_slot){-2, false};
    for (uint32_t i = 0; i < count; i++)
        name_slot(loop, &values[i], &slots[i]);
    return count;
}

tn_status tn_loop_open_logs(struct tn_loop *loop, struct tn_error *error)
{
    struct tn_experiment *experiment = loop->experiment;
    struct tn_arena *arena = &experiment->arena;
    size_t most = 2 * ((size_t)experiment->metric_count + 1) + 1;
    loop->epoch_logs = tn_arena_take(arena, most * sizeof *loop->epoch_logs);
    loop->batch_logs = tn_arena_take(arena, most * sizeof *loop->batch_logs);
    loop->epoch_slots = tn_arena_take(arena, most * sizeof *loop->epoch_slots);
    loop->batch_slots = tn_arena_take(arena, most * sizeof *loop->batch_slots);
    if (experiment->callback_count) {
        loop->unsaved = tn_arena_take(arena, experiment->callback_count * sizeof *loop->unsaved);
        tn_status status = tn_weight_writer_open(loop, error);
        if (status != TN_OK)
            return status;
    }
    if (experiment->callback_count && loop->request->verbose)
        loop->cost = tn_arena_take(arena, experiment->callback_count * sizeof *loop->cost);
    if (arena->failed)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the logs");
    if (loop->cost)
        memset(loop->cost, 0, experiment->callback_count * sizeof *loop->cost);
    if (loop->unsaved)
        memset(loop->unsaved, 0, experiment->callback_count * sizeof *loop->unsaved);
    loop->epoch_log_count = fill_logs(loop, loop->epoch_logs, loop->epoch_slots, experiment->validation != NULL);
    loop->batch_log_count = fill_logs(loop, loop->batch_logs, loop->batch_slots, false);
    if (arena->failed)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the logs");
    sort_logs(loop->epoch_logs, loop->epoch_slots, loop->epoch_log_count);
    sort_logs(loop->batch_logs, loop->batch_slots, loop->batch_log_count);
    return TN_OK;
}

void tn_loop_set_logs(struct tn_loop *loop, bool epoch_end)
{
    struct tn_log_value *values = epoch_end ? loop->epoch_logs : loop->batch_logs;
    const struct tn_log_slot *slots = epoch_end ? loop->epoch_slots : loop->batch_slots;
    uint32_t count = epoch_end ? loop->epoch_log_count : loop->batch_log_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct tn_meters *meters = slots[i].validation ? &loop->validation : &loop->train;
        values[i].value = slots[i].metric == -1   ? tn_meters_loss(meters)
                          : slots[i].metric == -2 ? loop->learning_rate
                                                  : tn_meters_metric(meters, (uint32_t)slots[i].metric);
    }
    loop->run.logs = values;
    loop->run.log_count = count;
}

/* ---- what callbacks may ask for ---- */

static struct tn_loop *loop_of(const struct tn_run *run)
{
    return run->core;
}

static void run_stop(const struct tn_run *run, const char *reason)
{
    struct tn_loop *loop = loop_of(run);
    loop->stop = true;
    loop->pausing = loop->telling && (loop->telling->type->flags & TN_CALLBACK_PAUSES) != 0;
    (void)snprintf(loop->stop_reason, sizeof loop->stop_reason, "%s", reason ? reason : "a callback asked to stop");
}

static void run_set_learning_rate(const struct tn_run *run, double rate)
{
    struct tn_loop *loop = loop_of(run);
    if (!(rate >= 0))
        return;
    loop->base_rate = rate;
    loop->learning_rate = rate;
    loop->run.learning_rate = rate;
}

static tn_status run_save_weights(const struct tn_run *run, const char *path, uint32_t flags, struct tn_error *error)
{
    struct tn_loop *loop = loop_of(run);
    tn_weight_writer_wait(&loop->writer);
    tn_state_await_first(loop);
    return tn_experiment_save_weights(loop->experiment, path, flags, loop->steps_before + run->step, run->learning_rate,
                                      error);
}

/* The number of the callback that asks. */
static uint32_t asking(const struct tn_loop *loop)
{
    uint32_t i = 0;
    while (i < loop->experiment->callback_count && loop->experiment->callbacks[i] != loop->telling)
        i++;
    return i;
}

static tn_status run_save_weights_behind(const struct tn_run *run, const char *path, uint32_t flags,
                                         struct tn_error *error)
{
    return tn_weight_writer_begin(loop_of(run), asking(loop_of(run)), path, flags, error);
}

static int32_t run_saved(const struct tn_run *run, int32_t wait, tn_status *outcome, struct tn_error *error)
{
    return tn_weight_writer_ask(loop_of(run), asking(loop_of(run)), wait != 0, outcome, error);
}

static void run_unsaved(const struct tn_run *run, const char *text)
{
    struct tn_loop *loop = loop_of(run);
    uint32_t i = asking(loop);
    if (loop->unsaved && i < loop->experiment->callback_count)
        (void)snprintf(loop->unsaved[i], sizeof *loop->unsaved, "%s", text ? text : "");
}

const char *tn_loop_unsaved(const struct tn_loop *loop)
{
    for (uint32_t i = 0; loop->unsaved && i < loop->experiment->callback_count; i++)
        if (loop->unsaved[i][0])
            return loop->unsaved[i];
    return NULL;
}

static tn_status run_read_weights(const struct tn_run *run, const struct tn_weights **weights, struct tn_error *error)
{
    return tn_experiment_read_weights(loop_of(run)->experiment, weights, error);
}

static tn_status run_read_gradients(const struct tn_run *run, const struct tn_weights **gradients,
                                    struct tn_error *error)
{
    return tn_experiment_read_gradients(loop_of(run)->experiment, gradients, error);
}

static tn_status run_keep_weights(const struct tn_run *run, struct tn_error *error)
{
    tn_status status = tn_network_keep(loop_of(run)->experiment->network, error);
    loop_of(run)->kept |= status == TN_OK;
    return status;
}

static tn_status run_restore_weights(const struct tn_run *run, struct tn_error *error)
{
    tn_weight_writer_wait(&loop_of(run)->writer); /* no copy of this moment is one of those weights any more */
    return tn_network_restore(loop_of(run)->experiment->network, error);
}

static tn_status run_settle(const struct tn_run *run, struct tn_error *error)
{
    return tn_loop_settle(loop_of(run), false, error);
}

static void run_save_state(const struct tn_run *run)
{
    loop_of(run)->state_wanted = true;
}

static int32_t run_asked_to_stop(const struct tn_run *run)
{
    const struct tn_train_request *request = loop_of(run)->request;
    return request->stop && *request->stop;
}

static void run_say(const struct tn_run *run, int32_t level, const char *text)
{
    tn_loop_say(loop_of(run), level, text);
}

void tn_loop_say(struct tn_loop *loop, int32_t level, const char *text)
{
    if (loop->request->quiet && level < TN_LOG_WARNING)
        return;
    if (loop->request->say)
        loop->request->say(loop->request->context, level, text);
    else
        tn_log(level, "%s", text);
}

struct tn_seen_batch tn_experiment_seen_sizes(const struct tn_experiment *experiment, int32_t prediction_count)
{
    const struct tn_size *size = &experiment->data.target_size;
    return (struct tn_seen_batch){
        .size = sizeof(struct tn_seen_batch),
        .height = size->height,
        .width = size->width,
        .channels = tn_color_channels(experiment->data.color_mode),
        .class_mode = experiment->data.class_mode,
        .prediction_count = prediction_count,
        .target_count = tn_experiment_target_count(experiment),
        .class_count = experiment->class_count,
        .class_names = experiment->classes,
    };
}

static void bind_seen(struct tn_loop *loop)
{
    loop->seen = tn_experiment_seen_sizes(loop->experiment, loop->train.classes);
}

tn_status tn_loop_tell_batch(struct tn_loop *loop, int32_t event, const struct tn_meters *meters,
                             const struct tn_batch *batch, struct tn_error *error)
{
    struct tn_seen_batch *seen = &loop->seen;
    tn_status status;
    seen->count = batch->count;
    seen->pixel_type = batch->pixel_type;
    seen->images = batch->images;
    seen->targets = batch->targets;
    seen->weights = batch->weights;
    seen->samples = batch->samples;
    seen->predictions = meters->predictions;
    seen->losses = meters->losses;
    status = tn_loop_tell(loop, event, error);
    bind_seen(loop); /* the batch is gone */
    return status;
}

void tn_loop_bind_run(struct tn_loop *loop)
{
    bind_seen(loop);
    loop->run = (struct tn_run){
        .size = sizeof loop->run,
        .epochs = (int32_t)loop->experiment->options.epochs,
        .batches = loop->batches,
        .quiet = loop->request->quiet,
        .directory = loop->directory.path,
        .name = loop->experiment->options.name,
        .learning_rate = loop->learning_rate,
        .logs = loop->epoch_logs,
        .log_count = loop->epoch_log_count,
        .core = loop,
        .stop = run_stop,
        .set_learning_rate = run_set_learning_rate,
        .save_weights = run_save_weights,
        .keep_weights = run_keep_weights,
        .restore_weights = run_restore_weights,
        .say = run_say,
        .read_weights = run_read_weights,
        .asked_to_stop = run_asked_to_stop,
        .unsaved = run_unsaved,
        .seen = loop->experiment->validation ? &loop->seen : NULL,
        .save_weights_behind = run_save_weights_behind,
        .saved = run_saved,
        .settle = run_settle,
        .save_state = run_save_state,
        .batch_seen = &loop->seen,
        .read_gradients = run_read_gradients,
    };
}

static tn_status tell_one(struct tn_loop *loop, uint32_t number, int32_t event, struct tn_error *error)
{
    const struct tn_instance *instance = loop->experiment->callbacks[number];
    const struct tn_instance *before = loop->telling; /* it has asked the others to settle */
    double begin = loop->cost ? tn_seconds_now() : 0;
    loop->telling = instance;
    tn_status status = ((const struct tn_callback *)instance->type)->on(instance->self, event, &loop->run, error);
    loop->telling = before;
    if (loop->cost)
        loop->cost[number] += tn_seconds_now() - begin;
    if (status == TN_OK)
        return TN_OK;
    if (!error || strncmp(error->text, "[callback:", 10) != 0) /* it has come from one that it asked to settle */
        status = tn_error_wrap(error, status, "[callback:%s]", instance->name);
    if (error && !error->file[0] && instance->file && status == TN_INVALID) {
        (void)snprintf(error->file, sizeof error->file, "%s", instance->file);
        error->line = instance->line;
    }
    return status;
}

/* What became of files that their callback did not ask about is said for it. */
static void say_unasked(struct tn_loop *loop)
{
    for (uint32_t i = 0; loop->writer.outcomes && i < loop->experiment->callback_count; i++) {
        struct tn_outcome *outcome = &loop->writer.outcomes[i];
        if (loop->experiment->callbacks[i] == loop->telling)
            continue; /* it still can */
        if (outcome->there && outcome->status != TN_OK) {
            tn_loop_say(loop, TN_LOG_WARNING, outcome->error.text);
            (void)snprintf(loop->unsaved[i], sizeof *loop->unsaved, "%.500s", outcome->error.text);
        }
        outcome->there = false;
    }
}

tn_status tn_loop_settle(struct tn_loop *loop, bool saving, struct tn_error *error)
{
    tn_status status = TN_OK;
    if (loop->settling || (!saving && !tn_weight_writer_busy(loop)))
        return TN_OK;
    loop->settling = true;
    for (uint32_t i = 0; i < loop->experiment->callback_count && status == TN_OK; i++)
        if (loop->experiment->callbacks[i] != loop->telling)
            status = tell_one(loop, i, TN_SETTLE, error);
    loop->settling = false;
    tn_weight_writer_wait(&loop->writer);
    say_unasked(loop);
    return status;
}

tn_status tn_loop_tell(struct tn_loop *loop, int32_t event, struct tn_error *error)
{
    struct tn_experiment *experiment = loop->experiment;
    for (uint32_t i = 0; i < experiment->callback_count; i++) {
        tn_status status;
        if (event == TN_VALIDATION_BATCH_END && !(experiment->callbacks[i]->type->flags & TN_CALLBACK_SEES_VALIDATION))
            continue;
        status = tell_one(loop, i, event, error);
        if (status != TN_OK)
            return status;
    }
    return TN_OK;
}

void tn_loop_show(struct tn_loop *loop, const struct tn_progress *progress)
{
    const struct tn_instance *drawer = loop->experiment->own->drawer;
    double begin = loop->cost && drawer ? tn_seconds_now() : 0;
    int32_t way = TN_PROGRESS_OWN;
    char text[1024] = "";
    if (drawer && !loop->request->quiet)
        way = ((const struct tn_callback *)drawer->type)->progress(drawer->self, progress, text, sizeof text);
    for (uint32_t i = 0; loop->cost && drawer && i < loop->experiment->callback_count; i++)
        if (loop->experiment->callbacks[i] == drawer)
            loop->cost[i] += tn_seconds_now() - begin;
    text[sizeof text - 1] = '\0';
    loop->request->progress(loop->request->context, progress, way, text);
}

void tn_loop_say_cost(struct tn_loop *loop, double seconds)
{
    char text[400];
    for (uint32_t i = 0; loop->cost && i < loop->experiment->callback_count; i++) {
        const struct tn_instance *instance = loop->experiment->callbacks[i];
        (void)snprintf(text, sizeof text, "[callback:%s] (%s) took %.4g s, %.3f %% of the run's %.4g s", instance->name,
                       instance->type->name, loop->cost[i], seconds > 0 ? 100 * loop->cost[i] / seconds : 0, seconds);
        tn_loop_say(loop, TN_LOG_INFO, text);
    }
}
