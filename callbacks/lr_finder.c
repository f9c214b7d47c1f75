/* lr_finder: the learning rate range test. The rate rises from `start` to `end` by the same factor in every batch, the
 * loss of each batch is written down, and when it explodes, or all batches are done, the curve is written, rates are
 * suggested, the weights are put back as they were, and the run ends.
 */
#include <errno.h>
#include <stdlib.h>

#include "monitor.h"
#include "number.h"

struct sample {
    double rate, loss, smooth;
};

struct lr_finder {
    double start, end;
    int64_t steps;
    double smoothing, diverge;
    const char *filename;
    /* state */
    struct sample *samples;
    int64_t count, wanted;  /* batches seen, and to see */
    double average, lowest; /* of the loss so far, smoothed */
    int32_t done, begun;    /* begun: the weights are kept */
    char *series;           /* the samples, for the state: "rate loss", a line each; from host->allocate */
    size_t series_bytes, series_room;
    const struct tn_host *host;
    char path[1024];
};

static const struct tn_option lr_finder_options[] = {
    TN_FLOAT(struct lr_finder, start, 1e-6, 0, TN_ANY, "learning rate of the first batch"),
    TN_FLOAT(struct lr_finder, end, 10, 0, TN_ANY, "learning rate of the last batch"),
    TN_INT(struct lr_finder, steps, 100, 10, 1e6, "batches; no more than the run has"),
    TN_FLOAT(struct lr_finder, smoothing, 0.9, 0, 0.999, "how much of the loss is the mean of the batches before it"),
    TN_FLOAT(struct lr_finder, diverge, 4, 1, TN_ANY, "it ends when the smoothed loss is this many times the lowest"),
    TN_STRING(struct lr_finder, filename, "lr_finder.csv", "file to write; relative: in the run directory"),
    TN_END,
};

static tn_status lr_finder_open(void *self, const struct tn_host *host, struct tn_error *error)
{
    struct lr_finder *finder = self;
    finder->host = host;
    if (!finder->filename || !*finder->filename)
        return tn_fail(error, TN_INVALID, "filename: is empty");
    if (!(finder->start > 0) || !(finder->end > finder->start))
        return tn_fail(error, TN_INVALID, "start and end: 0 < start < end is expected, not %g and %g", finder->start,
                       finder->end);
    return TN_OK;
}

static void lr_finder_close(void *self)
{
    struct lr_finder *finder = self;
    free(finder->samples);
    finder->samples = NULL;
    finder->host->release(finder->series);
    finder->series = NULL;
    finder->series_bytes = finder->series_room = 0;
}

/* ---- for a run that is cut off inside of the test ---- */

static tn_status note_sample(struct lr_finder *finder, const struct sample *sample, struct tn_error *error)
{
    enum { LINE = 80 };
    if (finder->series_room - finder->series_bytes < LINE) {
        size_t room = finder->series_bytes * 2 + 8192;
        char *longer = finder->host->allocate(room);
        if (!longer)
            return tn_fail(error, TN_NO_MEMORY, "no memory for %lld batches", (long long)finder->count);
        if (finder->series)
            memcpy(longer, finder->series, finder->series_bytes + 1);
        finder->host->release(finder->series);
        finder->series = longer;
        finder->series_room = room;
    }
    finder->series_bytes +=
        (size_t)snprintf(finder->series + finder->series_bytes, LINE, "%a %a\n", sample->rate, sample->loss);
    return TN_OK;
}

/* The weights of before the test are kept in the state too. One that was not in the run before begins here. */
static tn_status run_resume(struct lr_finder *finder, const struct tn_run *run, struct tn_error *error)
{
    char *at = finder->series, *end = at;
    int64_t count = 0;
    if (!finder->begun) {
        finder->begun = 1;
        return run->keep_weights(run, error);
    }
    finder->series_bytes = at ? strlen(at) : 0;
    finder->series_room = at ? finder->series_bytes + 1 : 0;
    for (; at && *at && count < finder->wanted; at = end + (*end == '\n')) {
        struct sample sample = {.rate = strtod(at, &end)};
        sample.loss = strtod(end, &end);
        if (*end != '\n')
            break;
        finder->samples[count++] = sample;
    }
    finder->count = count;
    return TN_OK;
}

static tn_status run_begin(struct lr_finder *finder, const struct tn_run *run, struct tn_error *error)
{
    uint64_t batches = run->batches * (uint64_t)(run->epochs > 0 ? run->epochs : 0);
    int length = snprintf(finder->path, sizeof finder->path, "%s%s%s", *finder->filename == '/' ? "" : run->directory,
                          *finder->filename == '/' ? "" : "/", finder->filename);
    char text[200];
    if (length < 0 || (size_t)length >= sizeof finder->path)
        return tn_fail(error, TN_INVALID, "filename: %s in %s is too long", finder->filename, run->directory);
    if (run->size < offsetof(struct tn_run, batch_loss) + sizeof run->batch_loss)
        return tn_fail(error, TN_UNSUPPORTED, "this tenon does not tell the loss of a single batch");
    lr_finder_close(finder);
    finder->wanted = batches < (uint64_t)finder->steps ? (int64_t)batches : finder->steps;
    finder->samples = calloc((size_t)finder->wanted + 1, sizeof *finder->samples);
    if (!finder->samples)
        return tn_fail(error, TN_NO_MEMORY, "no memory for %lld batches", (long long)finder->wanted);
    if (finder->wanted < finder->steps) {
        (void)snprintf(
            text, sizeof text,
            "lr_finder: the run has %lld batches, so that many are used instead of %lld (epochs = makes more)",
            (long long)finder->wanted, (long long)finder->steps);
        run->say(run, TN_LOG_WARNING, text);
    }
    finder->count = 0;
    finder->average = finder->lowest = 0;
    finder->done = 0;
    finder->begun = !run->resumed;
    return finder->begun ? run->keep_weights(run, error) : TN_OK;
}

static void set_rate(const struct lr_finder *finder, const struct tn_run *run)
{
    double share = finder->wanted > 1 ? (double)finder->count / (double)(finder->wanted - 1) : 0;
    run->set_learning_rate(run, finder->start * pow(finder->end / finder->start, share));
}

/* ---- what the curve says ---- */

/* Mean of what comes before and what comes after, so that the curve is not shifted to higher rates as a running mean
 * alone would. What has exploded counts as much as it takes to end the test, or it would hide all the rest. */
static void smooth(struct lr_finder *finder)
{
    double keep = finder->smoothing, most = finder->lowest > 0 ? finder->lowest * finder->diverge : INFINITY;
    for (int pass = 0; pass < 2; pass++) {
        double average = 0, weight = 1;
        for (int64_t k = 0; k < finder->count; k++) {
            struct sample *sample = &finder->samples[pass ? finder->count - 1 - k : k];
            average = keep * average + (1 - keep) * fmin(sample->loss, most);
            weight *= keep;
            sample->smooth = (pass ? sample->smooth : 0) + average / (1 - weight) / 2;
        }
    }
}

struct finding {
    double steepest;  /* rate at which the loss falls most for a factor in the rate; 0 = it never falls */
    double lowest_at; /* rate at which it is lowest */
    int32_t doubtful; /* it falls hardly more than the batches differ */
};

static void judge(const struct lr_finder *finder, struct finding *finding)
{
    const struct sample *samples = finder->samples;
    int64_t width = finder->count / 20 > 1 ? finder->count / 20 : 1, lowest = 0;
    double steepest = 0, noise = 0, keep = finder->smoothing, fall;
    for (int64_t i = 1; i < finder->count; i++)
        if (samples[i].smooth < samples[lowest].smooth)
            lowest = i;
    *finding = (struct finding){.lowest_at = samples[lowest].rate};
    for (int64_t i = width; i + width < finder->count && i <= lowest; i++) {
        double slope = samples[i + width].smooth - samples[i - width].smooth;
        if (slope < steepest) {
            steepest = slope;
            finding->steepest = samples[i].rate;
        }
    }
    for (int64_t i = 0; i <= lowest; i++)
        noise += (samples[i].loss - samples[i].smooth) * (samples[i].loss - samples[i].smooth);
    /* Each smoothed value is the mean of about (1 + keep) / (1 - keep) batches. */
    noise = sqrt(noise / (double)(lowest + 1) * (1 - keep) / (1 + keep));
    fall = samples[0].smooth - samples[lowest].smooth;
    finding->doubtful = fall < 4 * noise;
}

static tn_status write_curve(const struct lr_finder *finder, struct tn_error *error)
{
    FILE *file = fopen(finder->path, "we");
    int failed = !file;
    if (file) {
        (void)fputs("batch,learning_rate,loss,smoothed_loss\r\n", file);
        for (int64_t i = 0; i < finder->count; i++) {
            char rate[32], loss[32], mean[32];
            number_repr(rate, finder->samples[i].rate);
            number_repr(loss, finder->samples[i].loss);
            number_repr(mean, finder->samples[i].smooth);
            (void)fprintf(file, "%lld,%s,%s,%s\r\n", (long long)i, rate, loss, mean);
        }
        failed = ferror(file);
        failed = fclose(file) != 0 || failed;
    }
    return failed ? tn_fail(error, TN_IO, "cannot write %s: %s", finder->path, strerror(errno)) : TN_OK;
}

static void suggest(const struct lr_finder *finder, const struct tn_run *run)
{
    struct finding finding = {0};
    char text[1400];
    if (finder->count > 4)
        judge(finder, &finding);
    if (finding.steepest > 0)
        (void)snprintf(text, sizeof text,
                       "lr_finder: the loss falls fastest at learning_rate = %.2g; a tenth of the rate at which it is "
                       "lowest is %.2g%s; the curve of %lld batches is in %s",
                       finding.steepest, finding.lowest_at / 10,
                       finding.doubtful ? "; but it falls hardly more than the batches differ: give it more steps or "
                                          "larger batches"
                                        : "",
                       (long long)finder->count, finder->path);
    else
        (void)snprintf(
            text, sizeof text,
            "lr_finder: in %lld batches the loss never fell, so there is nothing to suggest: try more steps, "
            "or a lower start; the curve is in %s",
            (long long)finder->count, finder->path);
    run->say(run, TN_LOG_INFO, text);
}

/* A run that is interrupted shows what it has, and goes on with the test when it goes on. */
static tn_status interrupted(struct lr_finder *finder, const struct tn_run *run, struct tn_error *error)
{
    tn_status status;
    if (finder->done || !finder->samples)
        return TN_OK;
    smooth(finder);
    status = write_curve(finder, error);
    if (status == TN_OK)
        suggest(finder, run);
    return status;
}

/* Once, however it ends. */
static tn_status finish(struct lr_finder *finder, const struct tn_run *run, struct tn_error *error)
{
    tn_status status;
    if (finder->done || !finder->samples)
        return TN_OK;
    finder->done = 1;
    smooth(finder);
    status = run->restore_weights(run, error);
    if (status == TN_OK)
        status = write_curve(finder, error);
    if (status == TN_OK)
        suggest(finder, run);
    return status;
}

static tn_status batch_end(struct lr_finder *finder, const struct tn_run *run, struct tn_error *error)
{
    double loss = run->batch_loss, keep = finder->smoothing, smoothed;
    const char *reason = NULL;
    tn_status status;
    if (finder->done || !finder->samples)
        return TN_OK;
    if (isfinite(loss)) {
        finder->samples[finder->count] = (struct sample){run->learning_rate, loss, 0};
        status = note_sample(finder, &finder->samples[finder->count++], error);
        if (status != TN_OK)
            return status;
        finder->average = keep * finder->average + (1 - keep) * loss;
        smoothed = finder->average / (1 - pow(keep, (double)finder->count));
        if (finder->count == 1 || smoothed < finder->lowest)
            finder->lowest = smoothed;
        if (finder->lowest > 0 && smoothed > finder->lowest * finder->diverge)
            reason = "lr_finder: the loss has exploded, the test is done";
    } else {
        reason = "lr_finder: the loss is no number any more, the test is done";
    }
    if (finder->count >= finder->wanted)
        reason = "lr_finder: the test is done";
    if (!reason)
        return TN_OK;
    run->stop(run, reason);
    return finish(finder, run, error);
}

static tn_status lr_finder_on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    struct lr_finder *finder = self;
    switch (event) {
    case TN_RUN_BEGIN:
        return run_begin(finder, run, error);
    case TN_RUN_RESUME:
        return run_resume(finder, run, error);
    case TN_BATCH_BEGIN:
        if (!finder->done && finder->count < finder->wanted)
            set_rate(finder, run);
        return TN_OK;
    case TN_BATCH_END:
        return batch_end(finder, run, error);
    case TN_RUN_END:
        return finish(finder, run, error);
    case TN_INTERRUPT:
        return interrupted(finder, run, error);
    default:
        return TN_OK;
    }
}

static const struct tn_state_field lr_finder_state[] = {
    {"begun", TN_FIELD_INT32, 0, offsetof(struct lr_finder, begun)},
    {"done", TN_FIELD_INT32, 0, offsetof(struct lr_finder, done)},
    {"average", TN_FIELD_DOUBLE, 0, offsetof(struct lr_finder, average)},
    {"lowest", TN_FIELD_DOUBLE, 0, offsetof(struct lr_finder, lowest)},
    {"series", TN_FIELD_TEXT, 0, offsetof(struct lr_finder, series)},
    {NULL, 0, 0, 0},
};

static const struct tn_callback lr_finder = {
    TN_TYPE_WITH(TN_CALLBACK, "lr_finder", struct lr_finder, lr_finder_options,
                 "try rising learning rates and suggest one; the weights stay as they were",
                 TN_CALLBACK_KEEPS_WEIGHTS | TN_CALLBACK_SETS_RATE, lr_finder_open, lr_finder_close),
    .on = lr_finder_on,
    .state = lr_finder_state,
};

TN_PLUGIN("tenon.callbacks.lr_finder", "0.1.0", "Apache-2.0", &lr_finder.type);
