/* reduce_lr_on_plateau: lowers the learning rate when the watched value has stopped improving; Keras'
 * ReduceLROnPlateau.
 */
#include "monitor.h"
#include "number.h"

struct reduce_lr_on_plateau {
    const char *monitor;
    double factor;
    int64_t patience;
    int32_t verbose;
    int32_t mode;
    double min_delta;
    int64_t cooldown;
    double min_lr;
    /* state */
    struct monitor watch;
    int64_t wait, cooling; /* epochs */
};

static const struct tn_option reduce_lr_on_plateau_options[] = {
    TN_STRING(struct reduce_lr_on_plateau, monitor, "val_loss", "logged value to watch"),
    TN_FLOAT(struct reduce_lr_on_plateau, factor, 0.1, 0, 1, "the new learning rate is the old one times this"),
    TN_INT(struct reduce_lr_on_plateau, patience, 10, 0, 1e9, "epochs without improvement after which it is lowered"),
    TN_BOOL(struct reduce_lr_on_plateau, verbose, 0, "say when it is lowered"),
    TN_ENUM(struct reduce_lr_on_plateau, mode, MODE_AUTO, MODE_CHOICES,
            "which way is better; auto: as the metric says"),
    TN_FLOAT(struct reduce_lr_on_plateau, min_delta, 1e-4, -TN_ANY, TN_ANY,
             "smallest change that counts as an improvement"),
    TN_INT(struct reduce_lr_on_plateau, cooldown, 0, 0, 1e9, "epochs to wait after lowering it before counting again"),
    TN_FLOAT(struct reduce_lr_on_plateau, min_lr, 0, 0, TN_ANY, "it never goes below this"),
    TN_END,
};

static tn_status reduce_lr_on_plateau_open(void *self, const struct tn_host *host, struct tn_error *error)
{
    const struct reduce_lr_on_plateau *plateau = self;
    (void)host;
    if (plateau->factor >= 1)
        return tn_fail(error, TN_INVALID, "factor: has to be below 1, or the learning rate would not go down");
    return TN_OK;
}

static tn_status run_begin(struct reduce_lr_on_plateau *plateau, const struct tn_run *run, struct tn_error *error)
{
    plateau->watch =
        (struct monitor){.key = plateau->monitor, .minimum_delta = fabs(plateau->min_delta), .mode = plateau->mode};
    plateau->wait = 0;
    plateau->cooling = 0;
    /* A value that is never logged is said now and not after the first epoch. */
    return run->log_count ? monitor_settle(&plateau->watch, run, error) : TN_OK;
}

static void reduce(struct reduce_lr_on_plateau *plateau, const struct tn_run *run)
{
    double rate = fmax(run->learning_rate * plateau->factor, plateau->min_lr);
    char text[160], number[32];
    if (!(run->learning_rate > plateau->min_lr))
        return;
    run->set_learning_rate(run, rate);
    if (plateau->verbose) {
        number_repr(number, rate);
        (void)snprintf(text, sizeof text, "Epoch %d: ReduceLROnPlateau reducing learning rate to %s.", run->epoch + 1,
                       number);
        run->say(run, TN_LOG_INFO, text);
    }
    plateau->cooling = plateau->cooldown;
    plateau->wait = 0;
}

static tn_status epoch_end(struct reduce_lr_on_plateau *plateau, const struct tn_run *run, struct tn_error *error)
{
    const struct tn_log_value *value = monitor_find(run, plateau->monitor);
    tn_status status = monitor_settle(&plateau->watch, run, error);
    if (status != TN_OK)
        return status;
    if (!value) {
        monitor_warn_missing(&plateau->watch, run, "Learning rate reduction is");
        return TN_OK;
    }
    if (plateau->cooling > 0) {
        plateau->cooling--;
        plateau->wait = 0;
    }
    if (monitor_improves(&plateau->watch, value->value)) {
        plateau->watch.best = value->value;
        plateau->watch.has_best = 1;
        plateau->wait = 0;
    } else if (plateau->cooling == 0 && ++plateau->wait >= plateau->patience) {
        reduce(plateau, run);
    }
    return TN_OK;
}

static tn_status reduce_lr_on_plateau_on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    struct reduce_lr_on_plateau *plateau = self;
    switch (event) {
    case TN_RUN_BEGIN:
        return run_begin(plateau, run, error);
    case TN_RUN_RESUME:
        if (monitor_resume(&plateau->watch, run))
            plateau->wait = 0;
        return TN_OK;
    case TN_EPOCH_END:
        return epoch_end(plateau, run, error);
    default:
        return TN_OK;
    }
}

static const struct tn_state_field reduce_lr_on_plateau_state[] = {
    {"best", TN_FIELD_DOUBLE, 0, offsetof(struct reduce_lr_on_plateau, watch.best)},
    {"has_best", TN_FIELD_INT32, 0, offsetof(struct reduce_lr_on_plateau, watch.has_best)},
    {"direction", TN_FIELD_INT32, 0, offsetof(struct reduce_lr_on_plateau, watch.direction)},
    {"warned", TN_FIELD_INT32, 0, offsetof(struct reduce_lr_on_plateau, watch.warned)},
    {"watched", TN_FIELD_INT64, 0, offsetof(struct reduce_lr_on_plateau, watch.digest)},
    {"wait", TN_FIELD_INT64, 0, offsetof(struct reduce_lr_on_plateau, wait)},
    {"cooling", TN_FIELD_INT64, 0, offsetof(struct reduce_lr_on_plateau, cooling)},
    {NULL, 0, 0, 0},
};

static const struct tn_callback reduce_lr_on_plateau = {
    TN_TYPE_WITH(TN_CALLBACK, "reduce_lr_on_plateau", struct reduce_lr_on_plateau, reduce_lr_on_plateau_options,
                 "lower the learning rate when a value has stopped improving", TN_CALLBACK_SETS_RATE,
                 reduce_lr_on_plateau_open, NULL),
    .on = reduce_lr_on_plateau_on,
    .state = reduce_lr_on_plateau_state,
};

TN_PLUGIN("tenon.callbacks.reduce_lr_on_plateau", "0.1.0", "Apache-2.0", &reduce_lr_on_plateau.type);
