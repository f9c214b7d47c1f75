/* csv_logger: a row of numbers for each epoch; Keras' CSVLogger: columns epoch (from 0) and the logged names in order,
 * lines end in CR LF, a run without validation gets its val_ columns filled with NA. Behind Keras' columns stands how
 * fast the epoch was, and what it waited for.
 *
 * A row is written whole, or it waits until the place takes it: training goes on meanwhile. The rows are in the run's
 * state too, so that those come back that a drive has lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor.h"
#include "number.h"

enum { MOST_ROWS = 1 << 18, MOST_BYTES = 1 << 30 };

struct csv_logger {
    const char *filename, *separator;
    int32_t append, throughput;
    /* state */
    const struct tn_host *host;
    int32_t begun, warned;
    char *rows;      /* of this run, the newest ones, from host->allocate; NULL = none */
    int64_t start;   /* bytes of the file in front of them */
    int64_t written; /* bytes of them that are in the file */
    char path[1024];
    char (*columns)[128]; /* fixed by the first epoch */
    uint32_t column_count;
    int32_t header_wanted;
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
    logger->host = host;
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

static int takes_whole_files_only(int reason)
{
    return reason == EPERM || reason == EINVAL || reason == ENOTSUP || reason == ENOSYS;
}

static void forget(struct csv_logger *logger)
{
    logger->host->release(logger->rows);
    logger->rows = NULL;
    logger->written = 0;
    free(logger->columns);
    logger->columns = NULL;
    logger->column_count = 0;
    logger->begun = 0;
}

/* ---- the file ---- */

static int write_all(int file, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t step = write(file, text, length);
        if (step < 0 && errno == EINTR)
            continue;
        if (step <= 0)
            return -1;
        text += step;
        length -= (size_t)step;
    }
    return 0;
}

/* Behind the whole rows; half a row of an earlier attempt goes. On the disk before the run's state says that it is
 * there. */
static int append(const struct csv_logger *logger, size_t length)
{
    int file = open(logger->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666), failed, reason;
    if (file < 0)
        return -1;
    failed = ftruncate(file, (off_t)(logger->start + logger->written)) != 0 || lseek(file, 0, SEEK_END) < 0 ||
             write_all(file, logger->rows + logger->written, length) != 0 ||
             (fdatasync(file) != 0 && errno != EINVAL && errno != ENOTSUP && errno != ENOSYS);
    reason = errno;
    if (close(file) != 0 && !failed)
        return -1;
    errno = reason;
    return failed ? -1 : 0;
}

/* On a place that only takes whole new files. */
static tn_status write_anew(const struct csv_logger *logger, struct tn_error *error)
{
    void *before = NULL;
    uint64_t bytes = 0, length = logger->rows ? strlen(logger->rows) : 0;
    tn_status status = TN_OK;
    if (logger->start > 0)
        status = logger->host->read_file(logger->path, MOST_BYTES, &before, &bytes, error);
    if (status == TN_OK && bytes < (uint64_t)logger->start)
        status = tn_fail(error, TN_IO, "%s is shorter than it was", logger->path);
    char *whole = status == TN_OK ? logger->host->allocate((uint64_t)logger->start + length + 1) : NULL;
    if (whole) {
        if (logger->start > 0)
            memcpy(whole, before, (size_t)logger->start);
        if (length)
            memcpy(whole + logger->start, logger->rows, (size_t)length);
        status = logger->host->write_file(logger->path, whole, (uint64_t)logger->start + length, error);
    } else if (status == TN_OK) {
        status = tn_fail(error, TN_NO_MEMORY, "no memory for the rows of %s", logger->path);
    }
    logger->host->release(whole);
    logger->host->release(before);
    return status;
}

static tn_status write_rows(struct csv_logger *logger, struct tn_error *error)
{
    int64_t length = logger->rows ? (int64_t)strlen(logger->rows) : 0;
    tn_status status = TN_OK;
    if (length == logger->written)
        return TN_OK;
    if (append(logger, (size_t)(length - logger->written)) != 0)
        status = takes_whole_files_only(errno) ? write_anew(logger, error) : refuse(logger, error);
    if (status == TN_OK)
        logger->written = length;
    return status;
}

/* Tells the first failure, and what is missing at the end. */
static void try_to_write(struct csv_logger *logger, const struct tn_run *run)
{
    struct tn_error failure = {.status = TN_OK};
    char text[sizeof failure.text + 64];
    if (write_rows(logger, &failure) == TN_OK) {
        run->unsaved(run, NULL);
        logger->warned = 0;
        return;
    }
    (void)snprintf(text, sizeof text, "%s; training goes on, and it is tried again", failure.text);
    if (!logger->warned)
        run->say(run, TN_LOG_WARNING, text);
    logger->warned = 1;
    run->unsaved(run, failure.text);
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
    forget(logger);
    length = snprintf(logger->path, sizeof logger->path, "%s%s%s", *between ? run->directory : "", between,
                      logger->filename);
    if (length < 0 || (size_t)length >= sizeof logger->path)
        return tn_fail(error, TN_INVALID, "filename: %s in %s is too long", logger->filename, run->directory);
    logger->header_wanted = !logger->append || stat(logger->path, &known) != 0 || known.st_size == 0;
    logger->speed_wanted = run->size >= offsetof(struct tn_run, input_wait) + sizeof(double) &&
                           (logger->header_wanted ? logger->throughput : has_speed(logger->path));
    logger->start = logger->append && !logger->header_wanted ? (int64_t)known.st_size : 0;
    /* A run that goes on cuts its own file to the rows that it still knows of, in run_resume(). */
    int file =
        open(logger->path, O_WRONLY | O_CREAT | O_CLOEXEC | (logger->append || run->resumed ? 0 : O_TRUNC), 0666);
    if (file < 0 && !(run->resumed && takes_whole_files_only(errno)))
        return refuse(logger, error);
    if (file >= 0)
        (void)close(file);
    logger->begun = 1;
    return TN_OK;
}

/* Rows of epochs that are done again leave, and those that were lost come back. */
static tn_status run_resume(struct csv_logger *logger, const struct tn_run *run, struct tn_error *error)
{
    struct stat known;
    int64_t length = logger->rows ? (int64_t)strlen(logger->rows) : 0;
    if (stat(logger->path, &known) != 0)
        return refuse(logger, error);
    if (logger->start < 0 || logger->written < 0 || logger->written > length)
        return tn_fail(error, TN_CORRUPT, "the state of %s makes no sense", logger->path);
    if (known.st_size < logger->start) {
        run->say(run, TN_LOG_WARNING, "rows of the log have been lost: it goes on with what is there");
        logger->start = known.st_size;
    }
    if (known.st_size < logger->start + logger->written)
        logger->written = known.st_size - logger->start;
    logger->header_wanted = logger->start + length == 0;
    if (known.st_size > logger->start + logger->written &&
        truncate(logger->path, (off_t)(logger->start + logger->written)) != 0) {
        tn_status status = takes_whole_files_only(errno) ? write_anew(logger, error) : refuse(logger, error);
        if (status != TN_OK)
            return status;
        logger->written = length;
    }
    try_to_write(logger, run);
    return TN_OK;
}

/* ---- rows ---- */

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
static void put_text(const struct csv_logger *logger, FILE *row, const char *text)
{
    if (!strpbrk(text, "\"\r\n") && !strchr(text, logger->separator[0])) {
        (void)fputs(text, row);
        return;
    }
    (void)fputc('"', row);
    for (; *text; text++) {
        if (*text == '"')
            (void)fputc('"', row);
        (void)fputc(*text, row);
    }
    (void)fputc('"', row);
}

static void put_header(const struct csv_logger *logger, FILE *row)
{
    int columns = logger->speed_wanted ? (int)(sizeof speed_columns / sizeof *speed_columns) : 0;
    (void)fputs("epoch", row);
    for (uint32_t i = 0; i < logger->column_count; i++) {
        (void)fputs(logger->separator, row);
        put_text(logger, row, logger->columns[i]);
    }
    for (int i = 0; i < columns; i++) {
        (void)fputs(logger->separator, row);
        put_text(logger, row, speed_columns[i]);
    }
    (void)fputs("\r\n", row);
}

static void put_values(const struct csv_logger *logger, const struct tn_run *run, FILE *row)
{
    (void)fprintf(row, "%d", run->epoch);
    for (uint32_t i = 0; i < logger->column_count; i++) {
        const struct tn_log_value *value = monitor_find(run, logger->columns[i]);
        char text[32] = "NA";
        if (value)
            number_repr(text, value->value);
        (void)fputs(logger->separator, row);
        (void)fputs(text, row);
    }
    if (logger->speed_wanted)
        (void)fprintf(row, "%s%.1f%s%.4f", logger->separator, run->images_per_second, logger->separator,
                      run->input_wait);
    (void)fputs("\r\n", row);
}

/* Puts a row behind the others. Of a very long run the oldest ones that are in the file are not kept any more. */
static tn_status add_row(struct csv_logger *logger, const char *text, size_t length, struct tn_error *error)
{
    size_t before = logger->rows ? strlen(logger->rows) : 0;
    size_t leave = before > MOST_ROWS ? (size_t)logger->written : 0;
    char *longer = logger->host->allocate(before - leave + length + 1);
    if (!longer)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a row of %s", logger->path);
    if (before > leave)
        memcpy(longer, logger->rows + leave, before - leave);
    memcpy(longer + before - leave, text, length);
    logger->host->release(logger->rows);
    logger->rows = longer;
    logger->start += (int64_t)leave;
    logger->written -= (int64_t)leave;
    return TN_OK;
}

static tn_status epoch_end(struct csv_logger *logger, const struct tn_run *run, struct tn_error *error)
{
    char *text = NULL;
    size_t length = 0;
    int32_t header = 0;
    tn_status status = TN_OK;
    if (!logger->begun)
        return TN_OK;
    if (!logger->columns) {
        if (logger->header_wanted && logger->speed_wanted)
            logger->speed_wanted = run->images_per_second > 0;
        status = choose_columns(logger, run, error);
        header = logger->header_wanted;
    }
    if (status != TN_OK)
        return status;
    FILE *row = open_memstream(&text, &length);
    if (row && header)
        put_header(logger, row);
    if (row)
        put_values(logger, run, row);
    if (!row || fclose(row) != 0)
        status = tn_fail(error, TN_NO_MEMORY, "no memory for a row of %s", logger->path);
    else
        status = add_row(logger, text, length, error);
    free(text);
    if (status == TN_OK)
        try_to_write(logger, run);
    return status;
}

static void run_end(struct csv_logger *logger, const struct tn_run *run)
{
    if (logger->begun)
        try_to_write(logger, run);
    forget(logger);
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
    case TN_RUN_ERROR:
        run_end(logger, run);
        return TN_OK;
    case TN_INTERRUPT: /* what waits still is in the state that is saved next */
        if (logger->begun)
            try_to_write(logger, run);
        return TN_OK;
    default:
        return TN_OK;
    }
}

static void csv_logger_close(void *self)
{
    forget(self);
}

static const struct tn_state_field csv_logger_state[] = {
    {"rows", TN_FIELD_TEXT, 0, offsetof(struct csv_logger, rows)},
    {"start", TN_FIELD_INT64, 0, offsetof(struct csv_logger, start)},
    {"written", TN_FIELD_INT64, 0, offsetof(struct csv_logger, written)},
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
