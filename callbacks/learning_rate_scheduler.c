/* learning_rate_scheduler: sets the learning rate at the beginning of epochs; Keras' LearningRateScheduler, whose
 * function of the epoch is a list here. A rate that changes with every step is a [schedule].
 */
#include "monitor.h"
#include "number.h"

struct point {
    double epoch, rate;
};

struct learning_rate_scheduler {
    struct tn_list rates;
    int32_t verbose;
    /* state */
    struct point *points;
    uint32_t count;
};

static const struct tn_option learning_rate_scheduler_options[] = {
    TN_LIST(struct learning_rate_scheduler, rates, NULL,
            "EPOCH:RATE, … in ascending order, for example 0:0.01, 10:0.001; epochs count from 0, as Keras counts "
            "them; before the first one the optimizer's rate holds"),
    TN_BOOL(struct learning_rate_scheduler, verbose, 0, "say the learning rate of each epoch"),
    TN_END,
};

static int32_t read_point(const char *text, struct point *point)
{
    char *end = NULL;
    if (*text < '0' || *text > '9')
        return 0;
    point->epoch = (double)strtoll(text, &end, 10);
    end += strspn(end, " \t");
    if (*end != ':')
        return 0;
    text = end + 1;
    point->rate = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(point->rate) && point->rate >= 0;
}

static tn_status learning_rate_scheduler_open(void *self, const struct tn_host *host, struct tn_error *error)
{
    struct learning_rate_scheduler *scheduler = self;
    uint32_t count = scheduler->rates.count;
    (void)host;
    if (count == 0)
        return tn_fail(error, TN_INVALID, "rates: is missing (for example: rates = 0:0.01, 10:0.001)");
    scheduler->points = calloc(count, sizeof *scheduler->points);
    if (!scheduler->points)
        return tn_fail(error, TN_NO_MEMORY, "no memory for %u rates", (unsigned)count);
    for (uint32_t i = 0; i < count; i++) {
        const char *text = scheduler->rates.items[i];
        struct point *point = &scheduler->points[i];
        const char *wrong = !read_point(text, point) ? "is not EPOCH:RATE, such as 10:0.001"
                            : i && point->epoch <= scheduler->points[i - 1].epoch ? "is not after the epoch before it"
                                                                                  : NULL;
        if (wrong) {
            free(scheduler->points);
            scheduler->points = NULL;
            return tn_fail(error, TN_INVALID, "rates: `%s` %s", text, wrong);
        }
    }
    scheduler->count = count;
    return TN_OK;
}

static void learning_rate_scheduler_close(void *self)
{
    free(((struct learning_rate_scheduler *)self)->points);
}

static tn_status learning_rate_scheduler_on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    const struct learning_rate_scheduler *scheduler = self;
    double rate = run->learning_rate;
    char text[160], number[32];
    uint32_t next = 0;
    (void)error;
    if (event != TN_EPOCH_BEGIN)
        return TN_OK;
    while (next < scheduler->count && scheduler->points[next].epoch <= run->epoch)
        rate = scheduler->points[next++].rate;
    /* Set in every epoch and not only where it changes: a run that goes on begins anywhere. */
    if (next)
        run->set_learning_rate(run, rate);
    if (scheduler->verbose) {
        number_repr(number, rate);
        (void)snprintf(text, sizeof text, "Epoch %d: LearningRateScheduler setting learning rate to %s.",
                       run->epoch + 1, number);
        run->say(run, TN_LOG_INFO, text);
    }
    return TN_OK;
}

static const struct tn_callback learning_rate_scheduler = {
    TN_TYPE_WITH(TN_CALLBACK, "learning_rate_scheduler", struct learning_rate_scheduler,
                 learning_rate_scheduler_options, "set the learning rate by the number of the epoch",
                 TN_CALLBACK_SETS_RATE, learning_rate_scheduler_open, learning_rate_scheduler_close),
    .on = learning_rate_scheduler_on,
};

TN_PLUGIN("tenon.callbacks.learning_rate_scheduler", "0.1.0", "Apache-2.0", &learning_rate_scheduler.type);
