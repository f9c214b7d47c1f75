/* csv_logger: a row of numbers for each epoch; Keras' CSVLogger: columns epoch (from 0) and the logged names in order,
 * lines end in CR LF, a run without validation gets its val_ columns filled with NA. Behind Keras' columns stands how
 * fast the epoch was, and what it waited for.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor.h"
#include "number.h"

struct csv_logger {
    const char *filename, *separator;
    int32_t append, throughput;
    /* state */
    FILE *file;
    char path[1024];
    char (*columns)[128]; /* fixed by the first epoch */
    uint32_t column_count;
    int32_t header_wanted;
    int64_t bytes;        /* of whole rows so far */
    int32_t speed_wanted; /* the columns of throughput; known runs only, and not where an older file goes on without */
};

static const char *const speed_columns[] = {"images_per_second", "input_wait"};

static const struct tn_option csv_logger_options[] = {
    TN_STRING(struct csv_logger, filename, "log.csv", "file to write; relative: in the run directory"),
    TN_STRING(struct csv_logger, separator, ",", "one character between columns"),
    TN_BOOL(struct csv_logger, append, 0, "go on with an existing file instead of emptying it"),
    TN_BOOL(struct csv_logger, throughput, 0,
            "two more columns at the end: images_per_second, and input_wait, the share of the time spent waiting for "
            "pictures; no = Keras' columns only, which are the same whenever the run is"),
    TN_END,
};

static tn_status csv_logger_open(void *self, const struct tn_host *host, struct tn_error *error)
{
    struct csv_logger *logger = self;
    (void)host;
    if (!logger->filename || !*logger->filename)
        return tn_fail(error, TN_INVALID, "filename: is empty");
    if (logger->separator && strcmp(logger->separator, "\\t") == 0)
        logger->separator = "\t"; /* a tab cannot be typed as a value: blanks at its ends are cut */
    if (!logger->separator || strlen(logger->separator) != 1 || strchr("\"\r\n", logger->separator[0]))
        return tn_fail(error, TN_INVALID, "separator: one character is expected (\\t for a tab)");
    return TN_OK;
}

static tn_status refuse(const struct csv_logger *logger, struct tn_error *error)
{
    return tn_fail(error, TN_IO, "cannot write %s: %s", logger->path, strerror(errno));
}

static tn_status finish(struct csv_logger *logger, struct tn_error *error)
{
    int failed = logger->file && fclose(logger->file) != 0;
    logger->file = NULL;
    free(logger->columns);
    logger->columns = NULL;
    logger->column_count = 0;
    return failed ? refuse(logger, error) : TN_OK;
}

/* Whether a file that is gone on with has the columns of throughput. */
static int32_t has_speed(const char *path)
{
    char head[4096];
    FILE *file = fopen(path, "r");
    int32_t has = file && fgets(head, sizeof head, file) && strstr(head, speed_columns[0]);
    if (file)
        (void)fclose(file);
    return has;
}

static tn_status run_begin(struct csv_logger *logger, const struct tn_run *run, struct tn_error *error)
{
    const char *between = logger->filename[0] == '/' ? "" : "/";
    struct stat known;
    int length;
    (void)finish(logger, NULL);
    length = snprintf(logger->path, sizeof logger->path, "%s%s%s", *between ? run->directory : "", between,
                      logger->filename);
    if (length < 0 || (size_t)length >= sizeof logger->path)
        return tn_fail(error, TN_INVALID, "filename: %s in %s is too long", logger->filename, run->directory);
    logger->header_wanted = !logger->append || stat(logger->path, &known) != 0 || known.st_size == 0;
    logger->speed_wanted = run->size >= offsetof(struct tn_run, input_wait) + sizeof(double) &&
                           (logger->header_wanted ? logger->throughput : has_speed(logger->path));
    logger->bytes = logger->append && !logger->header_wanted ? (int64_t)known.st_size : 0;
    /* A run that goes on cuts its own file to the rows that it still knows of, in run_resume(). */
    logger->file = fopen(logger->path, logger->append || run->resumed ? "a" : "w");
    return logger->file ? TN_OK : refuse(logger, error);
}

/* Rows of epochs that are done again leave. */
static tn_status run_resume(struct csv_logger *logger, const struct tn_run *run, struct tn_error *error)
{
    struct stat known;
    if (!logger->file || fstat(fileno(logger->file), &known) != 0)
        return refuse(logger, error);
    if (known.st_size < logger->bytes) {
        run->say(run, TN_LOG_WARNING, "rows of the log have been lost: it goes on with what is there");
        logger->bytes = known.st_size;
    }
    logger->header_wanted = logger->bytes == 0;
    return ftruncate(fileno(logger->file), (off_t)logger->bytes) == 0 ? TN_OK : refuse(logger, error);
}

/* Fixes the columns: the names of the first epoch, and their val_ companions where there are none. */
static tn_status choose_columns(struct csv_logger *logger, const struct tn_run *run, struct tn_error *error)
{
    uint32_t count = run->log_count;
    int32_t validated = 0;
    for (uint32_t i = 0; i < count; i++)
        validated = validated || strncmp(run->logs[i].name, "val_", 4) == 0;
    logger->columns = calloc((size_t)count * 2 + 1, sizeof *logger->columns);
    if (!logger->columns)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the columns of %s", logger->path);
    logger->column_count = validated ? count : count * 2;
    for (uint32_t i = 0; i < logger->column_count; i++)
        (void)snprintf(logger->columns[i], sizeof *logger->columns, "%s%s", i < count ? "" : "val_",
                       run->logs[i % count].name);
    return TN_OK;
}

/* A text as CSV wants it: in quotes only when it holds something that needs them. */
static void put_text(const struct csv_logger *logger, const char *text)
{
    if (!strpbrk(text, "\"\r\n") && !strchr(text, logger->separator[0])) {
        (void)fputs(text, logger->file);
        return;
    }
    (void)fputc('"', logger->file);
    for (; *text; text++) {
        if (*text == '"')
            (void)fputc('"', logger->file);
        (void)fputc(*text, logger->file);
    }
    (void)fputc('"', logger->file);
}

static void put_header(const struct csv_logger *logger)
{
    int columns = logger->speed_wanted ? (int)(sizeof speed_columns / sizeof *speed_columns) : 0;
    (void)fputs("epoch", logger->file);
    for (uint32_t i = 0; i < logger->column_count; i++) {
        (void)fputs(logger->separator, logger->file);
        put_text(logger, logger->columns[i]);
    }
    for (int i = 0; i < columns; i++) {
        (void)fputs(logger->separator, logger->file);
        put_text(logger, speed_columns[i]);
    }
    (void)fputs("\r\n", logger->file);
}

static tn_status epoch_end(struct csv_logger *logger, const struct tn_run *run, struct tn_error *error)
{
    if (!logger->file)
        return TN_OK;
    if (!logger->columns) {
        if (logger->header_wanted && logger->speed_wanted)
            logger->speed_wanted = run->images_per_second > 0;
        tn_status status = choose_columns(logger, run, error);
        if (status != TN_OK)
            return status;
        if (logger->header_wanted)
            put_header(logger);
    }
    (void)fprintf(logger->file, "%d", run->epoch);
    for (uint32_t i = 0; i < logger->column_count; i++) {
        const struct tn_log_value *value = monitor_find(run, logger->columns[i]);
        char text[32] = "NA";
        if (value)
            number_repr(text, value->value);
        (void)fputs(logger->separator, logger->file);
        (void)fputs(text, logger->file);
    }
    if (logger->speed_wanted)
        (void)fprintf(logger->file, "%s%.1f%s%.4f", logger->separator, run->images_per_second, logger->separator,
                      run->input_wait);
    (void)fputs("\r\n", logger->file);
    if (fflush(logger->file) != 0 || ferror(logger->file))
        return refuse(logger, error);
    long at = ftell(logger->file);
    logger->bytes = at > 0 ? at : logger->bytes;
    return TN_OK;
}

static tn_status csv_logger_on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    struct csv_logger *logger = self;
    switch (event) {
    case TN_RUN_BEGIN:
        return run_begin(logger, run, error);
    case TN_RUN_RESUME:
        return run_resume(logger, run, error);
    case TN_EPOCH_END:
        return epoch_end(logger, run, error);
    case TN_RUN_END:
    case TN_INTERRUPT:
    case TN_RUN_ERROR:
        return finish(logger, error);
    default:
        return TN_OK;
    }
}

static void csv_logger_close(void *self)
{
    (void)finish(self, NULL);
}

static const struct tn_state_field csv_logger_state[] = {
    {"bytes", TN_FIELD_INT64, 0, offsetof(struct csv_logger, bytes)},
    {"speed_wanted", TN_FIELD_INT32, 0, offsetof(struct csv_logger, speed_wanted)},
    {NULL, 0, 0, 0},
};

static const struct tn_callback csv_logger = {
    TN_TYPE_WITH(TN_CALLBACK, "csv_logger", struct csv_logger, csv_logger_options,
                 "write a row of numbers for each epoch", 0, csv_logger_open, csv_logger_close),
    .on = csv_logger_on,
    .state = csv_logger_state,
};

TN_PLUGIN("tenon.callbacks.csv_logger", "0.1.0", "Apache-2.0", &csv_logger.type);
