/* terminate_on_nan: ends a run whose loss is no number any more; Keras' TerminateOnNaN.
 *
 * Keras lets the epoch end as if nothing had happened, so that a checkpoint of every epoch is overwritten with broken
 * weights. Here the run fails at that batch unless `raise_error = no` asks for Keras' way.
 */
#include "monitor.h"

struct terminate_on_nan {
    int32_t raise_error;
};

static const struct tn_option terminate_on_nan_options[] = {
    TN_BOOL(struct terminate_on_nan, raise_error, 1,
            "the run fails at once (exit status 1), nothing is saved any more; no, as Keras has it: the epoch is ended "
            "in order with validation and checkpoints, exit status 0"),
    TN_END,
};

static tn_status terminate_on_nan_on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    const struct terminate_on_nan *terminate = self;
    const struct tn_log_value *loss = event == TN_BATCH_END ? monitor_find(run, "loss") : NULL;
    char reason[160];
    if (!loss || isfinite(loss->value))
        return TN_OK;
    (void)snprintf(reason, sizeof reason, "Batch %llu: Invalid loss, terminating training",
                   (unsigned long long)run->batch);
    if (terminate->raise_error)
        return tn_fail(error, TN_FAILED,
                       "%s (epoch %d, learning rate %g); a lower learning rate or clipping of the gradients may help",
                       reason, run->epoch + 1, run->learning_rate);
    run->stop(run, reason);
    return TN_OK;
}

static const struct tn_callback terminate_on_nan = {
    TN_TYPE(TN_CALLBACK, "terminate_on_nan", struct terminate_on_nan, terminate_on_nan_options,
            "end the run when the loss is no number any more"),
    .on = terminate_on_nan_on,
};

TN_PLUGIN("tenon.callbacks.terminate_on_nan", "0.1.0", "Apache-2.0", &terminate_on_nan.type);
