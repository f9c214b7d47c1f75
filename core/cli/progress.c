/* progress.c: one repainted line on a terminal; elsewhere plain lines: one every ten seconds and one each epoch. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#define REPAINT_SECONDS 0.1
#define PLAIN_SECONDS   10.0

static void add_log(struct tn_text *text, const struct tn_log_value *log)
{
    double value = log->value;
    /* Learning rates and tiny losses need their digits, the others four places. */
    bool tiny = value != 0 && value < 0.001 && value > -0.001;
    tn_text_format(text, tiny ? "  %s %.2e" : "  %s %.4f", log->name, value);
}

/* Where a value stands: loss, other values of training, val_loss, others of validation. */
static int place_of(const struct tn_log_value *log)
{
    bool validation = strncmp(log->name, "val_", 4) == 0;
    return 2 * validation + (strcmp(log->name + (validation ? 4 : 0), "loss") != 0);
}

void tn_progress_logs(struct tn_text *text, const struct tn_log_value *logs, uint32_t count)
{
    for (int place = 0; place < 4; place++)
        for (uint32_t i = 0; i < count; i++)
            if (place_of(&logs[i]) == place && !isnan(logs[i].value)) /* NaN: not known yet, or lost */
                add_log(text, &logs[i]);
}

static void add_counts(struct tn_text *text, const struct tn_progress *progress)
{
    char number[32], eta[48];
    uint64_t all = progress->batches ? progress->batches : 1;
    tn_text_format(text, "Epoch %d/%d", progress->epoch + 1, progress->epochs);
    if (progress->phase == TN_PROGRESS_EPOCH_END) {
        tn_text_format(text, "  %s", tn_say_seconds(eta, sizeof eta, progress->seconds));
    } else {
        tn_text_format(text, "%s  %llu/%llu  %d%%", progress->phase == TN_PROGRESS_VALIDATION ? "  validation" : "",
                       (unsigned long long)progress->batch, (unsigned long long)progress->batches,
                       (int)(100 * progress->batch / all));
    }
    if (progress->images_per_second > 0)
        tn_text_format(text, "  %s img/s",
                       tn_say_count(number, sizeof number, (uint64_t)(progress->images_per_second + 0.5)));
    if (progress->phase != TN_PROGRESS_EPOCH_END)
        tn_text_format(text, "  ETA %s", tn_say_seconds(eta, sizeof eta, progress->eta_seconds));
    /* Where the time goes; before the values, which a narrow terminal cuts. */
    if (progress->wait_share >= 0.005 || (progress->phase == TN_PROGRESS_EPOCH_END && progress->images_per_second > 0))
        tn_text_format(text, progress->phase == TN_PROGRESS_EPOCH_END ? "  waiting for input %d%%" : "  input %d%%",
                       (int)(progress->wait_share * 100 + 0.5));
}

static void show_hint(struct tn_progress_line *line, const struct tn_progress *progress)
{
    if (!progress->hint || strcmp(progress->hint, line->hint) == 0)
        return;
    snprintf(line->hint, sizeof line->hint, "%s", progress->hint);
    tn_console_say(line->console, TN_LOG_INFO, "  %s", progress->hint);
}

/* Is it time for another line? The end of an epoch always is. */
static bool is_due(struct tn_progress_line *line, double now)
{
    if (line->console->paint)
        return now - line->painted_at >= REPAINT_SECONDS;
    if (line->printed_at == 0)
        line->printed_at = now; /* the first plain line comes after the first interval */
    return now - line->printed_at >= PLAIN_SECONDS;
}

/* tenon's own line. */
static void show_own(struct tn_progress_line *line, const struct tn_progress *progress)
{
    struct tn_text text = {0};
    add_counts(&text, progress);
    tn_progress_logs(&text, progress->logs, progress->log_count);
    if (!text.failed && line->console->paint && progress->phase != TN_PROGRESS_EPOCH_END)
        tn_console_paint(line->console, text.data);
    else if (!text.failed)
        tn_console_say(line->console, TN_LOG_INFO, "%s", text.data);
    tn_text_release(&text);
}

void tn_progress_show(void *context, const struct tn_progress *progress, int32_t way, const char *text)
{
    struct tn_progress_line *line = context;
    double now = tn_seconds_now();
    bool end = progress->phase == TN_PROGRESS_EPOCH_END;

    if (line->console->quiet)
        return;
    if (way == TN_PROGRESS_PAINT && line->console->paint)
        tn_console_paint(line->console, text);
    else if (way == TN_PROGRESS_LINE)
        tn_console_say(line->console, TN_LOG_INFO, "%s", text);
    else if (way == TN_PROGRESS_OWN_NOW || (way == TN_PROGRESS_OWN && (is_due(line, now) || end))) {
        show_own(line, progress);
        line->painted_at = line->printed_at = now;
    }
    if (end)
        show_hint(line, progress);
}

void tn_progress_count(struct tn_progress_line *line, const char *what, uint64_t done, uint64_t all)
{
    double now = tn_seconds_now();
    char text[128];
    if (line->console->quiet || !line->console->paint || (done < all && now - line->painted_at < REPAINT_SECONDS))
        return;
    line->painted_at = now;
    snprintf(text, sizeof text, "%s  %llu/%llu", what, (unsigned long long)done, (unsigned long long)all);
    tn_console_paint(line->console, done >= all ? "" : text);
}

void tn_progress_pace(struct tn_progress_line *line, const char *what, uint64_t done, uint64_t all, double started)
{
    double now = tn_seconds_now(), took = now - started;
    char text[192], number[32], left[48];
    if (line->console->quiet || !is_due(line, now))
        return;
    line->painted_at = line->printed_at = now;
    double pace = took > 0 ? (double)done / took : 0;
    snprintf(text, sizeof text, "%s  %llu/%llu  %d%%  %s img/s  ETA %s", what, (unsigned long long)done,
             (unsigned long long)all, (int)(all ? 100 * done / all : 100),
             tn_say_count(number, sizeof number, (uint64_t)(pace + 0.5)),
             tn_say_seconds(left, sizeof left, pace > 0 ? (double)(all - done) / pace : 0));
    if (line->console->paint)
        tn_console_paint(line->console, text);
    else
        tn_console_say(line->console, TN_LOG_INFO, "%s", text);
}
