/* jsonl_logger.c: a callback: appends one JSON object a line for each epoch (or every so many batches), for tools that
 * follow a run: `tail -f runs/NAME/log.jsonl | jq .val_loss`. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tenon/plugin.h>

struct jsonl_logger {
    const char *filename;
    int64_t every_batches;
    FILE *file; /* its own */
};

static const struct tn_option options[] = {
    TN_STRING(struct jsonl_logger, filename, "log.jsonl", "file to append to; relative: in the run directory"),
    TN_INT(struct jsonl_logger, every_batches, 0, 0, 1000000000, "also a line each N batches; 0 = epochs only"),
    TN_END,
};

static void put_text(FILE *file, const char *text)
{
    (void)fputc('"', file);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            (void)fprintf(file, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            (void)fprintf(file, "\\u%04x", (unsigned)(unsigned char)*text);
        else
            (void)fputc(*text, file);
    }
    (void)fputc('"', file);
}

/* JSON has no NaN and no infinity. */
static void put_number(FILE *file, double value)
{
    if (isfinite(value))
        (void)fprintf(file, "%.9g", value);
    else
        (void)fputs("null", file);
}

static tn_status finish(struct jsonl_logger *logger, struct tn_error *error)
{
    int failed = logger->file && fclose(logger->file) != 0;
    logger->file = NULL;
    return failed ? tn_fail(error, TN_IO, "cannot write %s: %s", logger->filename, strerror(errno)) : TN_OK;
}

static tn_status begin(struct jsonl_logger *logger, const struct tn_run *run, struct tn_error *error)
{
    char path[4096];
    int length = logger->filename[0] == '/' ? snprintf(path, sizeof path, "%s", logger->filename)
                                            : snprintf(path, sizeof path, "%s/%s", run->directory, logger->filename);
    (void)finish(logger, NULL);
    if (length < 0 || (size_t)length >= sizeof path)
        return tn_fail(error, TN_INVALID, "filename: is too long");
    logger->file = fopen(path, "a");
    return logger->file ? TN_OK : tn_fail(error, TN_IO, "cannot open %s: %s", path, strerror(errno));
}

static tn_status write_line(struct jsonl_logger *logger, const char *event, const struct tn_run *run,
                            struct tn_error *error)
{
    if (!logger->file)
        return TN_OK;
    (void)fprintf(logger->file, "{\"event\": \"%s\", \"time\": %lld, \"epoch\": %d, \"step\": %llu", event,
                  (long long)time(NULL), (int)run->epoch, (unsigned long long)run->step);
    for (uint32_t i = 0; i < run->log_count; i++) {
        (void)fputs(", ", logger->file);
        put_text(logger->file, run->logs[i].name);
        (void)fputs(": ", logger->file);
        put_number(logger->file, run->logs[i].value);
    }
    (void)fputs("}\n", logger->file);
    /* A full disk is told of where it happens, not at the end of the run. */
    if (fflush(logger->file) != 0)
        return tn_fail(error, TN_IO, "cannot write %s: %s", logger->filename, strerror(errno));
    return TN_OK;
}

/* [step] A failure here ends the run with our text. */
static tn_status on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    struct jsonl_logger *logger = self;
    switch (event) {
    case TN_RUN_BEGIN:
        return begin(logger, run, error);
    case TN_BATCH_END:
        if (logger->every_batches == 0 || (run->batch + 1) % (uint64_t)logger->every_batches != 0)
            return TN_OK;
        return write_line(logger, "batch", run, error);
    case TN_EPOCH_END:
        return write_line(logger, "epoch", run, error);
    case TN_RUN_END:
    case TN_INTERRUPT:
    case TN_RUN_ERROR:
        return finish(logger, error);
    default:
        return TN_OK;
    }
}

static tn_status open_(void *self, const struct tn_host *host, struct tn_error *error)
{
    const struct jsonl_logger *logger = self;
    (void)host;
    return logger->filename && logger->filename[0] ? TN_OK : tn_fail(error, TN_INVALID, "filename: is empty");
}

static void close_(void *self)
{
    (void)finish(self, NULL);
}

static const struct tn_callback jsonl_logger = {
    TN_TYPE_WITH(TN_CALLBACK, "jsonl_logger", struct jsonl_logger, options, "a line of JSON for each epoch", 0, open_,
                 close_),
    .on = on,
};

TN_PLUGIN("example.jsonl_logger", "1.0.0", "Apache-2.0", &jsonl_logger.type);
