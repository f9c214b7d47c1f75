/* progress: what stands on the line that tells how far a run is. Without this callback tenon draws the line by itself,
 * as `style = line` does; a plugin with a tn_callback.progress of its own takes its place.
 */
#include "clock.h"
#include "tenon/plugin.h"

enum { STYLE_LINE, STYLE_BAR, STYLE_EPOCHS, STYLE_NONE };
enum { BAR_CELLS = 30, BAR_ROOM = BAR_CELLS + 1 };
static const double bar_seconds = 0.1;

struct progress {
    int32_t style;
    double every;
    /* state */
    double drawn; /* seconds of the monotonic clock */
};

static const struct tn_option progress_options[] = {
    TN_ENUM(struct progress, style, STYLE_LINE, "line|bar|epochs|none",
            "line: tenon's own; bar: as Keras draws it (verbose = 1); epochs: a line at the end of each (verbose = 2)"),
    TN_DURATION(struct progress, every, "0", 0, 1e9,
                "time between two lines; 0: a tenth of a second on a terminal, where they are painted over, else ten "
                "seconds (line) or an epoch (bar)"),
    TN_END,
};

static tn_status progress_on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    (void)run, (void)error;
    if (event == TN_RUN_BEGIN) /* the first line comes after the first interval */
        ((struct progress *)self)->drawn = seconds_now();
    return TN_OK;
}

/* ---- the bar: 37/120 [========>.....................] - ETA: 12s - loss: 0.6931 ---- */

struct line {
    char *text;
    uint64_t used, room;
};

TN_PRINTF(2, 3)
static void add(struct line *line, const char *format, ...)
{
    va_list arguments;
    int length;
    va_start(arguments, format);
    length = vsnprintf(line->text + line->used, (size_t)(line->room - line->used), format, arguments);
    va_end(arguments);
    if (length > 0)
        line->used += (uint64_t)length < line->room - line->used ? (uint64_t)length : line->room - line->used - 1;
}

static void add_time(struct line *line, double seconds)
{
    long long whole = seconds > 0 ? (long long)seconds : 0;
    if (whole >= 3600)
        add(line, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
    else if (whole >= 60)
        add(line, "%lld:%02lld", whole / 60, whole % 60);
    else
        add(line, "%llds", whole);
}

static void add_pace(struct line *line, double seconds)
{
    if (seconds >= 1)
        add(line, " %.0fs/step", seconds);
    else if (seconds >= 1e-3)
        add(line, " %.0fms/step", seconds * 1e3);
    else
        add(line, " %.0fus/step", seconds * 1e6);
}

static void draw(const struct tn_progress *progress, struct line *line)
{
    uint64_t all = progress->batches ? progress->batches : 1, full = BAR_CELLS * progress->batch / all;
    char cells[BAR_ROOM];
    memset(cells, '.', BAR_CELLS);
    full = full > BAR_CELLS ? BAR_CELLS : full;
    memset(cells, '=', (size_t)full);
    if (full < BAR_CELLS)
        cells[full] = '>';
    cells[BAR_CELLS] = '\0';
    add(line, "Epoch %d/%d%s %llu/%llu [%s] - ", progress->epoch + 1, progress->epochs,
        progress->phase == TN_PROGRESS_VALIDATION ? " validation" : "", (unsigned long long)progress->batch,
        (unsigned long long)progress->batches, cells);
    if (progress->phase == TN_PROGRESS_EPOCH_END) {
        add_time(line, progress->seconds);
        add_pace(line, progress->seconds / (double)all);
    } else {
        add(line, "ETA: ");
        add_time(line, progress->eta_seconds);
    }
    for (uint32_t i = 0; i < progress->log_count; i++) {
        double value = progress->logs[i].value;
        if (isfinite(value))
            add(line, fabs(value) > 1e-3 ? " - %s: %.4f" : " - %s: %.4e", progress->logs[i].name, value);
    }
}

/* ---- when ---- */

static int32_t is_due(struct progress *progress, double interval)
{
    double now = seconds_now();
    if (now - progress->drawn < interval)
        return 0;
    progress->drawn = now;
    return 1;
}

static int32_t progress_draw(void *self, const struct tn_progress *now, char *text, uint64_t text_bytes)
{
    struct progress *progress = self;
    struct line line = {text, 0, text_bytes};
    int32_t end = now->phase == TN_PROGRESS_EPOCH_END;
    if (progress->style == STYLE_NONE || (progress->style == STYLE_EPOCHS && !end))
        return TN_PROGRESS_NOTHING;
    if (progress->style == STYLE_EPOCHS || (progress->style == STYLE_LINE && !(progress->every > 0)))
        return TN_PROGRESS_OWN;
    if (!end && !now->repaints && !(progress->every > 0))
        return TN_PROGRESS_NOTHING;
    if (!is_due(progress, progress->every > 0 ? progress->every : bar_seconds) && !end)
        return TN_PROGRESS_NOTHING;
    if (progress->style == STYLE_LINE)
        return TN_PROGRESS_OWN_NOW;
    draw(now, &line);
    return end || !now->repaints ? TN_PROGRESS_LINE : TN_PROGRESS_PAINT;
}

static const struct tn_callback progress_type = {
    TN_TYPE(TN_CALLBACK, "progress", struct progress, progress_options, "what the progress line looks like"),
    .on = progress_on,
    .progress = progress_draw,
};

TN_PLUGIN("tenon.callbacks.progress", "0.1.0", "Apache-2.0", &progress_type.type);
