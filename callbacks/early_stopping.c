/* early_stopping: ends a run when the watched value has stopped improving; Keras' EarlyStopping. */
#include "monitor.h"

struct early_stopping {
    const char *monitor;
    double min_delta;
    int64_t patience;
    int32_t verbose;
    int32_t mode;
    struct tn_numbers baseline;
    int32_t restore_best_weights;
    int64_t start_from_epoch;
    /* state */
    struct monitor watch;
    int64_t wait;
    int32_t best_epoch, stopped_epoch;
    int32_t kept; /* a copy of the weights is held */
};

static const struct tn_option early_stopping_options[] = {
    TN_STRING(struct early_stopping, monitor, "val_loss", "logged value to watch"),
    TN_FLOAT(struct early_stopping, min_delta, 0, -TN_ANY, TN_ANY, "smallest change that counts as an improvement"),
    TN_INT(struct early_stopping, patience, 0, 0, 1e9, "epochs without improvement after which the run ends"),
    TN_BOOL(struct early_stopping, verbose, 0, "say when it stops and which weights it restores"),
    TN_ENUM(struct early_stopping, mode, MODE_AUTO, MODE_CHOICES, "which way is better; auto: as the metric says"),
    TN_NUMBERS(struct early_stopping, baseline, NULL, -TN_ANY, TN_ANY,
               "value that has to be beaten for the patience to begin anew"),
    TN_BOOL(struct early_stopping, restore_best_weights, 0, "end with the weights of the best epoch, not the last"),
    TN_INT(struct early_stopping, start_from_epoch, 0, 0, 1e9, "epochs to wait before watching"),
    TN_END,
};

static tn_status early_stopping_open(void *self, const struct tn_host *host, struct tn_error *error)
{
    struct early_stopping *stopping = self;
    (void)host;
    return monitor_single(&stopping->baseline, "baseline", error);
}

static tn_status run_begin(struct early_stopping *stopping, const struct tn_run *run, struct tn_error *error)
{
    stopping->watch =
        (struct monitor){.key = stopping->monitor, .minimum_delta = fabs(stopping->min_delta), .mode = stopping->mode};
    stopping->wait = 0;
    stopping->best_epoch = 0;
    stopping->stopped_epoch = 0;
    stopping->kept = 0;
    /* A value that is never logged is said now and not after the first epoch. */
    return run->log_count ? monitor_settle(&stopping->watch, run, error) : TN_OK;
}

static tn_status keep(struct early_stopping *stopping, const struct tn_run *run, struct tn_error *error)
{
    tn_status status = run->keep_weights(run, error);
    if (status == TN_OK)
        stopping->kept = 1;
    return status;
}

static tn_status epoch_end(struct early_stopping *stopping, const struct tn_run *run, struct tn_error *error)
{
    const struct tn_log_value *value = monitor_find(run, stopping->monitor);
    struct monitor *watch = &stopping->watch;
    tn_status status = monitor_settle(watch, run, error);
    char reason[160];
    if (status != TN_OK)
        return status;
    if (!value) {
        monitor_warn_missing(watch, run, "Early stopping");
        return TN_OK;
    }
    if (run->epoch < stopping->start_from_epoch)
        return TN_OK;
    stopping->wait++;
    if (monitor_improves(watch, value->value)) {
        watch->best = value->value;
        watch->has_best = 1;
        stopping->best_epoch = run->epoch;
        /* The patience begins anew only when the baseline is beaten too. */
        if (stopping->baseline.count == 0 || monitor_better(watch, value->value, stopping->baseline.items[0]))
            stopping->wait = 0;
        return stopping->restore_best_weights ? keep(stopping, run, error) : TN_OK;
    }
    if (stopping->wait >= stopping->patience && run->epoch > 0) {
        stopping->stopped_epoch = run->epoch;
        (void)snprintf(reason, sizeof reason, "Epoch %d: early stopping", run->epoch + 1);
        run->stop(run, reason);
    }
    return TN_OK;
}

static tn_status run_end(struct early_stopping *stopping, const struct tn_run *run, struct tn_error *error)
{
    char text[160];
    if (stopping->stopped_epoch > 0 && stopping->verbose) {
        (void)snprintf(text, sizeof text, "Epoch %d: early stopping", stopping->stopped_epoch + 1);
        run->say(run, TN_LOG_INFO, text);
    }
    if (!stopping->kept)
        return TN_OK;
    if (stopping->verbose) {
        (void)snprintf(text, sizeof text, "Restoring model weights from the end of the best epoch: %d.",
                       stopping->best_epoch + 1);
        run->say(run, TN_LOG_INFO, text);
    }
    return run->restore_weights(run, error);
}

static tn_status early_stopping_on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    struct early_stopping *stopping = self;
    switch (event) {
    case TN_RUN_BEGIN:
        return run_begin(stopping, run, error);
    case TN_RUN_RESUME: /* it may have been asked to restore them in the first half only */
        stopping->kept = stopping->kept && stopping->restore_best_weights;
        if (monitor_resume(&stopping->watch, run))
            stopping->wait = 0;
        return TN_OK;
    case TN_EPOCH_END:
        return epoch_end(stopping, run, error);
    case TN_RUN_END:
        return run_end(stopping, run, error);
    default:
        return TN_OK;
    }
}

static int32_t early_stopping_keeps(const void *self)
{
    return ((const struct early_stopping *)self)->restore_best_weights;
}

static const struct tn_state_field early_stopping_state[] = {
    {"best", TN_FIELD_DOUBLE, 0, offsetof(struct early_stopping, watch.best)},
    {"has_best", TN_FIELD_INT32, 0, offsetof(struct early_stopping, watch.has_best)},
    {"direction", TN_FIELD_INT32, 0, offsetof(struct early_stopping, watch.direction)},
    {"warned", TN_FIELD_INT32, 0, offsetof(struct early_stopping, watch.warned)},
    {"watched", TN_FIELD_INT64, 0, offsetof(struct early_stopping, watch.digest)},
    {"wait", TN_FIELD_INT64, 0, offsetof(struct early_stopping, wait)},
    {"best_epoch", TN_FIELD_INT32, 0, offsetof(struct early_stopping, best_epoch)},
    {"stopped_epoch", TN_FIELD_INT32, 0, offsetof(struct early_stopping, stopped_epoch)},
    {"kept", TN_FIELD_INT32, 0, offsetof(struct early_stopping, kept)},
    {NULL, 0, 0, 0},
};

static const struct tn_callback early_stopping = {
    TN_TYPE_WITH(TN_CALLBACK, "early_stopping", struct early_stopping, early_stopping_options,
                 "end the run when a value has stopped improving", TN_CALLBACK_KEEPS_WEIGHTS, early_stopping_open,
                 NULL),
    .on = early_stopping_on,
    .state = early_stopping_state,
    .keeps_weights = early_stopping_keeps,
};

TN_PLUGIN("tenon.callbacks.early_stopping", "0.1.0", "Apache-2.0", &early_stopping.type);
