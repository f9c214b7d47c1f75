/* monitor.h: what callbacks that watch one logged value share: which way is better, and whether a value is better.
 * Private to this folder; the rules are those of Keras 3's MonitorCallback.
 */
#ifndef TENON_CALLBACKS_MONITOR_H
#define TENON_CALLBACKS_MONITOR_H

#include <stddef.h>

#include "tenon/plugin.h"

/* In the order of the option's choices. */
enum { MODE_AUTO = 0, MODE_MIN = 1, MODE_MAX = 2 };
#define MODE_CHOICES "auto|min|max"

struct monitor {
    const char *key;      /* of the log */
    double minimum_delta; /* >= 0 */
    double best;
    int32_t mode;
    int32_t direction; /* enum tn_direction; unknown until monitor_settle() */
    int32_t has_best;  /* 0: nothing seen yet, so that any value is better */
    int32_t warned;    /* said once that the value is not logged */
    int64_t digest;    /* of key and mode, for the state; 0 until monitor_settle() */
};

TN_UNUSED static const struct tn_log_value *monitor_find(const struct tn_run *run, const char *key)
{
    for (uint32_t i = 0; i < run->log_count; i++)
        if (strcmp(run->logs[i].name, key) == 0)
            return &run->logs[i];
    return NULL;
}

/* Writes "accuracy, loss, …": what there is to watch. */
TN_UNUSED static void monitor_list(const struct tn_run *run, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < run->log_count && used < bytes; i++) {
        int written = snprintf(text + used, bytes - used, "%s%s", i ? ", " : "", run->logs[i].name);
        if (written < 0)
            break;
        used += (size_t)written;
    }
}

TN_UNUSED static int64_t monitor_digest(const struct monitor *monitor)
{
    uint64_t digest = 14695981039346656037u; /* FNV-1a */
    for (const char *at = monitor->key; *at; at++)
        digest = (digest ^ (unsigned char)*at) * 1099511628211u;
    digest = (digest ^ (unsigned)monitor->mode) * 1099511628211u;
    return (int64_t)(digest >> 1 | 1); /* not 0 */
}

/* The fields of a state are back: it may be another value that is watched now, or the other way round, and then the
 * best of before says nothing. Returns 1 then. */
TN_UNUSED static int32_t monitor_resume(struct monitor *monitor, const struct tn_run *run)
{
    int64_t before = monitor->digest;
    char text[512];
    monitor->digest = monitor_digest(monitor);
    if (before == 0 || before == monitor->digest)
        return 0;
    monitor->has_best = monitor->warned = 0;
    monitor->direction = TN_DIRECTION_UNKNOWN;
    (void)snprintf(text, sizeof text, "%.400s is watched in another way than before: the best so far begins anew",
                   monitor->key);
    run->say(run, TN_LOG_INFO, text);
    return 1;
}

/* Decides which way is better: `mode`, else loss goes down, else what the metric behind the key says. The value without
 * "val_" tells it too, so that a run without validation gets a warning and not a failure. */
TN_UNUSED static tn_status monitor_settle(struct monitor *monitor, const struct tn_run *run, struct tn_error *error)
{
    const char *base = strncmp(monitor->key, "val_", 4) == 0 ? monitor->key + 4 : monitor->key;
    const struct tn_log_value *value;
    char known[512];
    if (monitor->digest == 0)
        monitor->digest = monitor_digest(monitor);
    if (monitor->direction != TN_DIRECTION_UNKNOWN)
        return TN_OK;
    if (monitor->mode != MODE_AUTO) {
        monitor->direction = monitor->mode == MODE_MIN ? TN_DIRECTION_DOWN : TN_DIRECTION_UP;
        return TN_OK;
    }
    value = monitor_find(run, monitor->key);
    if (!value)
        value = monitor_find(run, base);
    if (strcmp(base, "loss") == 0)
        monitor->direction = TN_DIRECTION_DOWN;
    else if (value)
        monitor->direction = value->direction;
    if (monitor->direction != TN_DIRECTION_UNKNOWN)
        return TN_OK;
    monitor_list(run, known, sizeof known);
    if (value)
        return tn_fail(error, TN_INVALID,
                       "monitor = %s: the metric does not say whether more or less of it is better; give mode = max or "
                       "mode = min",
                       monitor->key);
    return tn_fail(error, TN_INVALID, "monitor = %s: no such value is logged; there are: %s", monitor->key, known);
}

TN_UNUSED static int32_t monitor_better(const struct monitor *monitor, double value, double reference)
{
    /* Every comparison with NaN is false: NaN never improves. */
    return monitor->direction == TN_DIRECTION_UP ? value - monitor->minimum_delta > reference
                                                 : value + monitor->minimum_delta < reference;
}

TN_UNUSED static int32_t monitor_improves(const struct monitor *monitor, double value)
{
    return !monitor->has_best || monitor_better(monitor, value, monitor->best);
}

/* Says once that the watched value is not logged. `what` is what hangs on it. */
TN_UNUSED static void monitor_warn_missing(struct monitor *monitor, const struct tn_run *run, const char *what)
{
    char text[768], known[512];
    if (monitor->warned)
        return;
    monitor->warned = 1;
    monitor_list(run, known, sizeof known);
    (void)snprintf(text, sizeof text, "%s conditioned on metric `%s` which is not available. Available metrics are: %s",
                   what, monitor->key, known);
    run->say(run, TN_LOG_WARNING, text);
}

/* The optional single number of a TN_NUMBERS option. */
TN_UNUSED static tn_status monitor_single(const struct tn_numbers *numbers, const char *option, struct tn_error *error)
{
    if (numbers->count > 1)
        return tn_fail(error, TN_INVALID, "%s: one number is expected, not %u", option, (unsigned)numbers->count);
    return TN_OK;
}

#endif
