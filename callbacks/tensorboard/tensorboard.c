/* tensorboard: event files for TensorBoard; Keras' TensorBoard, with its names, folders and steps: LOG_DIR/train and
 * LOG_DIR/validation, epoch_loss … with the epoch (from 0) as step, batch_loss … with the optimizer steps of the run.
 *
 * A run that goes on writes new files behind the old ones; what it repeats lies on what is there already, since it
 * repeats it exactly. Once training has begun no failure to write ends it: that is a warning, once, what waits is tried
 * again at the end of each epoch, and what finds no room meanwhile is missing from the graphs.
 */
#include <errno.h>
#include <stdlib.h>

#include "../clock.h"
#include "images.h"
#include "summary.h"
#include "tensorboard.h"

/* With values of batches: how long somebody who looks on may have to wait for them. */
static const double flush_seconds = 10;

static const struct tn_option tensorboard_options[] = {
    TN_STRING(struct tensorboard, log_dir, "logs", "folder to write to; relative: in the run directory"),
    TN_INT(struct tensorboard, histogram_freq, 0, 0, 1e9, "epochs between histograms of all weights; 0 = none"),
    TN_BOOL(
        struct tensorboard, write_grads, 0,
        "with histogram_freq also histograms of the gradients of the epoch's last batch; they stay in memory to the "
        "end of each step for it"),
    TN_INT(struct tensorboard, images, 0, 0, IMAGES_MOST,
           "so many pictures of an epoch's first batch, augmented, as the network gets them; 0 = none"),
    TN_INT(struct tensorboard, images_freq, 1, 1, 1e9, "epochs between them"),
    TN_STRING(struct tensorboard, update_freq, "epoch",
              "epoch, or batch, or a number of batches: how often loss and metrics are written"),
    TN_BOOL(struct tensorboard, write_steps_per_second, 0, "write how many steps were done in a second"),
    TN_BOOL(struct tensorboard, throughput, 0,
            "write images_per_second, and input_wait, the share of the time spent waiting for pictures"),
    TN_BOOL(struct tensorboard, write_configuration, 1, "write the experiment with everything resolved, as text"),
    TN_BOOL(struct tensorboard, confusion_matrix, 0,
            "after each validation a picture of how often each class was taken for each class"),
    TN_LIST(struct tensorboard, hparams, NULL,
            "keys of the experiment for the page of hyper-parameters: data.batch_size, layer:hidden.units"),
    TN_GONE("write_graph", "tenon plan shows the layers; there is no graph of TensorFlow to write"),
    TN_GONE("write_images", "weights are not written as images; histogram_freq writes their histograms"),
    TN_GONE("profile_batch", "tenon bench FILE says where the time goes"),
    TN_GONE("embeddings_freq", "there are no embedding layers"),
    TN_GONE("embeddings_metadata", "there are no embedding layers"),
    TN_END,
};

static tn_status tensorboard_open(void *self, const struct tn_host *host, struct tn_error *error)
{
    struct tensorboard *board = self;
    char *end = NULL;
    board->host = host;
    board->train.descriptor = board->validation.descriptor = board->session.descriptor = -1;
    if (!board->log_dir || !*board->log_dir)
        return tn_fail(error, TN_INVALID, "log_dir: is empty");
    if (board->write_grads && board->histogram_freq == 0)
        return tn_fail(error, TN_INVALID, "write_grads: histogram_freq says how often, and is 0: give both");
    if (!board->update_freq || strcmp(board->update_freq, "epoch") == 0)
        return TN_OK;
    board->every = strcmp(board->update_freq, "batch") == 0 ? 1 : strtoll(board->update_freq, &end, 10);
    if (board->every <= 0 || (end && *end))
        return tn_fail(error, TN_INVALID, "update_freq: `%s` is neither `epoch` nor `batch` nor a number of batches",
                       board->update_freq);
    return TN_OK;
}

/* ---- failures ---- */

void tensorboard_warn(struct tensorboard *board, const struct tn_run *run, const struct tn_error *error)
{
    char text[sizeof error->text + 160];
    if (board->warned)
        return;
    board->warned = 1;
    (void)snprintf(text, sizeof text, "%s; training goes on, and TensorBoard's graphs may miss some of it",
                   error->text);
    run->say(run, TN_LOG_WARNING, text);
}

/* The files are opened when there is something to write. */
int32_t tensorboard_ready(struct tensorboard *board, struct event_file *file, const struct tn_run *run)
{
    struct tn_error error;
    char folder[1024];
    if (file->descriptor >= 0)
        return 1;
    (void)snprintf(folder, sizeof folder, "%s%s", board->folder,
                   file == &board->train        ? "/train"
                   : file == &board->validation ? "/validation"
                                                : "");
    if (event_file_open(file, folder, &error) != TN_OK)
        tensorboard_warn(board, run, &error);
    return file->descriptor >= 0;
}

void tensorboard_add(struct tensorboard *board, struct event_file *file, const struct tn_run *run)
{
    struct tn_error error;
    if (event_file_add(file, &error) != TN_OK)
        tensorboard_warn(board, run, &error);
}

static void flush(struct tensorboard *board, const struct tn_run *run)
{
    struct event_file *files[] = {&board->train, &board->validation, &board->session};
    struct tn_error error;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (event_file_flush(files[i], &error) != TN_OK)
            tensorboard_warn(board, run, &error);
}

/* Of an instance that is closed without an end of the run there is nobody to tell. */
static void finish(struct tensorboard *board, const struct tn_run *run)
{
    struct event_file *files[] = {&board->train, &board->validation, &board->session};
    struct tn_error error;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (event_file_close(files[i], &error) != TN_OK && run) {
            tensorboard_warn(board, run, &error);
            run->unsaved(run, error.text);
        }
}

/* ---- what is written ---- */

static void scalar(struct tensorboard *board, struct event_file *file, const struct tn_run *run, const char *name,
                   uint64_t step, double value)
{
    summary_scalar(&file->event, name, step, value);
    tensorboard_add(board, file, run);
}

/* PREFIX, the name without its first `skip` letters, SUFFIX. */
static void logged(struct tensorboard *board, struct event_file *file, const struct tn_run *run, const char *prefix,
                   const struct tn_log_value *value, size_t skip, const char *suffix, uint64_t step)
{
    char tag[512];
    (void)snprintf(tag, sizeof tag, "%s%s%s", prefix, value->name + skip, suffix);
    scalar(board, file, run, tag, step, value->value);
}

static int32_t is_validation(const struct tn_log_value *value)
{
    return strncmp(value->name, "val_", 4) == 0;
}

static void write_train(struct tensorboard *board, const struct tn_run *run)
{
    struct event_file *file = &board->train;
    uint64_t epoch = (uint64_t)run->epoch;
    double seconds = seconds_now() - board->epoch_began;
    if (!tensorboard_ready(board, file, run))
        return;
    for (uint32_t i = 0; i < run->log_count; i++)
        if (!is_validation(&run->logs[i]) && strcmp(run->logs[i].name, "learning_rate") != 0)
            logged(board, file, run, "epoch_", &run->logs[i], 0, "", epoch);
    scalar(board, file, run, "epoch_learning_rate", epoch, run->learning_rate);
    if (board->write_steps_per_second && seconds > 0)
        scalar(board, file, run, "epoch_steps_per_second", epoch, (double)(run->step - board->epoch_step) / seconds);
    if (board->throughput && run->size >= offsetof(struct tn_run, input_wait) + sizeof run->input_wait &&
        run->images_per_second > 0) {
        scalar(board, file, run, "epoch_images_per_second", epoch, run->images_per_second);
        scalar(board, file, run, "epoch_input_wait", epoch, run->input_wait);
    }
}

static void write_validation(struct tensorboard *board, const struct tn_run *run)
{
    struct event_file *file = &board->validation;
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->log_count; i++)
        count += is_validation(&run->logs[i]) != 0;
    if (count == 0 || !tensorboard_ready(board, file, run))
        return;
    for (uint32_t i = 0; i < run->log_count; i++)
        if (is_validation(&run->logs[i]))
            logged(board, file, run, "evaluation_", &run->logs[i], 4, "_vs_iterations", run->step);
    for (uint32_t i = 0; i < run->log_count; i++)
        if (is_validation(&run->logs[i]))
            logged(board, file, run, "epoch_", &run->logs[i], 4, "", (uint64_t)run->epoch);
}

/* ---- events ---- */

/* 0: the run cannot begin. */
static int32_t open_first(struct tensorboard *board, const struct tn_run *run, struct tn_error *error)
{
    struct event_file *file = &board->train;
    char folder[1024];
    (void)snprintf(folder, sizeof folder, "%s/train", board->folder);
    if (event_file_open(file, folder, error) == TN_OK)
        return 1;
    if (file->descriptor < 0 && file->reason != ENOSPC && file->reason != EDQUOT)
        return 0;
    tensorboard_warn(board, run, error);
    return 1;
}

/* What is wrong with the folder or the options is said now, and ends the run; only for want of room it begins without.
 */
static tn_status run_begin(struct tensorboard *board, const struct tn_run *run, struct tn_error *error)
{
    int32_t absolute = board->log_dir[0] == '/';
    struct tn_error failure = {.status = TN_OK};
    int length = snprintf(board->folder, sizeof board->folder, "%s%s%s", absolute ? "" : run->directory,
                          absolute ? "" : "/", board->log_dir);
    finish(board, NULL);
    board->warned = board->cannot_count = 0;
    if (length < 0 || (size_t)length >= sizeof board->folder)
        return tn_fail(error, TN_INVALID, "log_dir: %s in %s is too long", board->log_dir, run->directory);
    if (!open_first(board, run, &failure) || settings_write(board, run, &failure) == TN_INVALID)
        return tn_fail(error, failure.status, "%s", failure.text);
    if (failure.status != TN_OK)
        tensorboard_warn(board, run, &failure);
    return TN_OK;
}

static void write_batch(struct tensorboard *board, const struct tn_run *run)
{
    double now;
    if (board->every == 0 || run->step % (uint64_t)board->every != 0 || !tensorboard_ready(board, &board->train, run))
        return;
    now = seconds_now();
    if (board->write_steps_per_second && now > board->batch_began)
        scalar(board, &board->train, run, "batch_steps_per_second", run->step, 1 / (now - board->batch_began));
    for (uint32_t i = 0; i < run->log_count; i++)
        logged(board, &board->train, run, "batch_", &run->logs[i], 0, "", run->step);
    if (now - board->train.flushed > flush_seconds)
        flush(board, run);
}

static tn_status batch_end(struct tensorboard *board, const struct tn_run *run, struct tn_error *error)
{
    write_batch(board, run);
    if (board->images && run->batch == 0 && run->epoch % board->images_freq == 0)
        contents_images(board, run);
    if (board->write_grads && run->batch + 1 == run->batches && run->epoch % board->histogram_freq == 0)
        return contents_gradients(board, run, error);
    return TN_OK;
}

static tn_status epoch_end(struct tensorboard *board, const struct tn_run *run, struct tn_error *error)
{
    tn_status status = TN_OK;
    write_validation(board, run);
    write_train(board, run);
    if (board->histogram_freq && run->epoch % board->histogram_freq == 0)
        status = contents_weights(board, run, error);
    flush(board, run);
    return status;
}

static tn_status tensorboard_on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    struct tensorboard *board = self;
    struct tn_error failure;
    switch (event) {
    case TN_RUN_BEGIN:
        return run_begin(board, run, error);
    case TN_RUN_RESUME: /* inside of an epoch: what was done of it before is no matter of this process */
    case TN_EPOCH_BEGIN:
        board->epoch_began = seconds_now();
        board->epoch_step = run->step;
        return TN_OK;
    case TN_BATCH_BEGIN:
        if (board->write_steps_per_second)
            board->batch_began = seconds_now();
        return TN_OK;
    case TN_BATCH_END:
        return batch_end(board, run, error);
    case TN_VALIDATION_BEGIN:
        confusion_begin(&board->confusion);
        return TN_OK;
    case TN_VALIDATION_BATCH_END:
        contents_count(board, run);
        return TN_OK;
    case TN_VALIDATION_END:
        contents_confusion(board, run);
        return TN_OK;
    case TN_EPOCH_END:
        return epoch_end(board, run, error);
    case TN_RUN_END:
    case TN_INTERRUPT:
    case TN_RUN_ERROR:
        if (event == TN_RUN_END && settings_write_end(board, &failure) != TN_OK)
            tensorboard_warn(board, run, &failure);
        finish(board, run);
        return TN_OK;
    default:
        return TN_OK;
    }
}

static void tensorboard_close(void *self)
{
    confusion_release(&((struct tensorboard *)self)->confusion);
    finish(self, NULL);
}

static int32_t tensorboard_reads_gradients(const void *self)
{
    return ((const struct tensorboard *)self)->write_grads;
}

static uint64_t tensorboard_host_bytes(const void *self, const struct tn_seen_batch *sizes)
{
    const struct tensorboard *board = self;
    uint64_t picture = (uint64_t)sizes->height * (uint64_t)sizes->width * 3;
    return (board->confusion_matrix ? confusion_bytes(sizes) : 0) +
           (board->images ? ((uint64_t)board->images * 2 + 1) * picture : 0); /* as PNG, and in the event */
}

static const struct tn_callback tensorboard = {
    TN_TYPE_WITH(TN_CALLBACK, "tensorboard", struct tensorboard, tensorboard_options,
                 "write event files that TensorBoard shows", TN_CALLBACK_SEES_VALIDATION, tensorboard_open,
                 tensorboard_close),
    .on = tensorboard_on,
    .reads_gradients = tensorboard_reads_gradients,
    .host_bytes = tensorboard_host_bytes,
};

TN_PLUGIN("tenon.callbacks.tensorboard", "0.1.0", "Apache-2.0", &tensorboard.type);
