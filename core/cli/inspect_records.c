/* inspect_records.c: reads TFRecord files, several at a time: framing, both CRCs, tf.train.Example, pictures. What is
 * damaged is noted with its place, and the reading goes on wherever the next record can be found. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/thread.h"
#include "cli/inspect.h"
#include "tfrecord/tfrecord.h"

enum { MOST_DAMAGES = 100000, KEY_RECORDS = 100 };

static const uint64_t MAXIMUM_PIXELS = 178956970; /* as max_pixels of [data] */
static const uint64_t NOWHERE = UINT64_MAX;
static const double PATIENCE_SECONDS = 2;

struct worker {
    struct tn_record_set *set;
    struct tn_survey survey;
    struct tn_decoder *decoder;
    pthread_t thread;
    bool started;
};

/* ---- damage ---- */

TN_PRINTF(4, 5)
static void note(struct tn_record_file *file, uint64_t record, uint64_t byte, const char *format, ...)
{
    char text[1600];
    va_list arguments;
    file->damages_all++;
    if (file->damage_count == MOST_DAMAGES ||
        tn_grow(&file->damages, &file->damage_capacity, file->damage_count + 1, sizeof *file->damages) != TN_OK)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *kept = tn_inspect_printable(&file->arena, text, strlen(text), sizeof text);
    if (kept)
        file->damages[file->damage_count++] = (struct tn_record_damage){record, byte, kept};
}

/* The framing's own words begin with the place, which is kept apart here. */
static void note_framing(struct tn_record_file *file, const struct record_reader *reader, const struct tn_error *error)
{
    char place[96];
    const char *text = error->text;
    int length = snprintf(place, sizeof place, "record %llu at byte %llu: ", (unsigned long long)reader->number,
                          (unsigned long long)reader->at);
    if (length > 0 && strncmp(text, place, (size_t)length) == 0)
        text += length;
    if (reader->size == UINT64_MAX)
        note(file, reader->number, reader->at, "%s; nothing behind it can be read", text);
    else
        note(file, reader->number, reader->at, "%s; nothing behind it can be read (%llu bytes)", text,
             (unsigned long long)(reader->size - reader->at));
}

/* ---- opening ---- */

/* An open file, and the stream of what it inflates to when it is compressed. */
struct opened {
    int descriptor;
    struct inflater *inflater;
    struct record_reader reader;
};

static tn_status pull(void *from, unsigned char *bytes, uint64_t count, uint64_t *got, struct tn_error *error)
{
    return inflater_read(from, bytes, count, got, error);
}

static void close_records(struct opened *opened)
{
    record_reader_close(&opened->reader);
    inflater_close(opened->inflater);
    if (opened->descriptor >= 0)
        (void)close(opened->descriptor);
}

/* False when it cannot be read at all, which is noted. The CRC of data is looked at here, not by the reader. */
static bool open_records(struct tn_record_file *file, struct opened *opened)
{
    struct stat state;
    struct tn_error error = {0};
    tn_status status = TN_OK;
    *opened = (struct opened){.descriptor = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (opened->descriptor < 0 || fstat(opened->descriptor, &state) != 0)
        status = tn_fail(&error, TN_IO, "cannot open it: %s", strerror(errno));
    else if (!S_ISREG(state.st_mode))
        status = tn_fail(&error, TN_INVALID, "it is not a file");
    if (status == TN_OK) {
        file->bytes = (uint64_t)state.st_size;
        file->compression = compression_of(opened->descriptor);
        if (file->compression == COMPRESSION_NONE)
            status = record_reader_open(&opened->reader, opened->descriptor, 0, &error);
        else
            status = inflater_open(&opened->inflater, opened->descriptor, file->compression, &error);
    }
    if (status == TN_OK && opened->inflater)
        record_reader_open_stream(&opened->reader, pull, opened->inflater, 0);
    if (status == TN_OK)
        return true;
    note(file, NOWHERE, NOWHERE, "%s", error.text);
    close_records(opened);
    return false;
}

/* ---- one record ---- */

static bool crc_matches(const struct record_reader *reader)
{
    const unsigned char *at = reader->data + reader->length;
    uint32_t stored = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    return record_crc(reader->data, reader->length) == stored;
}

/* Whether all of a picture decodes. At an eighth of the size where a codec can: that finds the same damage sooner. */
static tn_status decode(const struct worker *worker, const struct tn_record_look *look, struct tn_error *error)
{
    struct tn_image image;
    const struct tn_decode_request request = {.size = sizeof request,
                                              .channels = look->image.channels == 1 ? 1 : 3,
                                              .minimum_height = 1,
                                              .minimum_width = 1,
                                              .fast = 1,
                                              .maximum_pixels = MAXIMUM_PIXELS};
    return tn_decoder_decode(worker->decoder, look->picture, look->picture_bytes, &request, &image, error);
}

/* Only one thread is at work when records are listed. */
static void list(struct tn_record_set *set, size_t file, const struct record_reader *reader,
                 const struct tn_record_look *look)
{
    if (tn_grow(&set->listed, &set->listed_capacity, set->listed_count + 1, sizeof *set->listed) != TN_OK)
        return;
    set->listed[set->listed_count++] =
        (struct tn_listed_record){.file = file,
                                  .number = reader->number,
                                  .byte = reader->at,
                                  .bytes = reader->length,
                                  .label = look->label[0] ? tn_arena_string(&set->arena, look->label) : NULL,
                                  .format = look->format ? tn_arena_string(&set->arena, look->format) : NULL,
                                  .height = look->image.height,
                                  .width = look->image.width};
}

static bool lists(const struct tn_record_set *set)
{
    return set->listed_count < (size_t)set->inspect->options->records;
}

static void take_record(struct worker *worker, size_t number, const struct record_reader *reader)
{
    struct tn_record_set *set = worker->set;
    struct tn_record_file *file = &set->files[number];
    struct tn_record_look look = {0};
    struct tn_error error = {0};
    tn_status status;
    file->records++;
    if (!crc_matches(reader)) {
        note(file, reader->number, reader->at, "the CRC of its data does not match");
        worker->survey.records++, worker->survey.bytes += reader->length;
    } else {
        status = tn_survey_add(&worker->survey, reader->data, reader->length, number, &set->keys, worker->decoder,
                               &look, &error);
        if (status == TN_OK && look.picture && set->inspect->options->check)
            status = decode(worker, &look, &error);
        if (status != TN_OK)
            note(file, reader->number, reader->at, "%s", error.text);
    }
    if (lists(set))
        list(set, number, reader, &look);
}

/* ---- one file ---- */

/* A quick look: only the rows were asked for, and they are there. */
static bool is_enough(const struct tn_record_set *set)
{
    return set->inspect->options->records > 0 && !set->inspect->options->check && !lists(set);
}

/* What of a file has been read: of a compressed one a guess, since pictures hardly shrink. */
static uint64_t reached(const struct tn_record_file *file, const struct record_reader *reader)
{
    return reader->at < file->bytes ? reader->at : file->bytes;
}

static void take_file(struct worker *worker, size_t number)
{
    struct tn_record_set *set = worker->set;
    struct tn_record_file *file = &set->files[number];
    struct tn_error error = {0};
    struct opened opened;
    uint64_t counted = 0;
    int more = 1;
    tn_status status = TN_OK;
    if (!open_records(file, &opened))
        return;
    while (status == TN_OK && more && !is_enough(set)) {
        status = record_reader_next(&opened.reader, &more, &error);
        if (status == TN_OK && more)
            take_record(worker, number, &opened.reader);
        atomic_fetch_add(&set->done, reached(file, &opened.reader) - counted);
        counted = reached(file, &opened.reader);
    }
    if (status != TN_OK)
        note_framing(file, &opened.reader, &error);
    file->inflated = opened.inflater ? opened.reader.at : file->bytes;
    atomic_fetch_add(&set->done, file->bytes - counted);
    close_records(&opened);
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct tn_record_set *set = worker->set;
    for (;;) {
        pthread_mutex_lock(&set->lock);
        size_t number = set->next++;
        pthread_mutex_unlock(&set->lock);
        if (number >= set->file_count)
            break;
        take_file(worker, number);
    }
    pthread_mutex_lock(&set->lock);
    set->running--;
    pthread_cond_signal(&set->ended);
    pthread_mutex_unlock(&set->lock);
    return NULL;
}

/* ---- all files ---- */

static void paint(struct tn_record_set *set, uint64_t total, double took)
{
    char done_text[32], total_text[32], left[48], line[200];
    double share = total ? (double)atomic_load(&set->done) / (double)total : 1;
    (void)snprintf(line, sizeof line, "reading  %s of %s  %d%%  ETA %s",
                   tn_say_bytes(done_text, sizeof done_text, atomic_load(&set->done)),
                   tn_say_bytes(total_text, sizeof total_text, total), (int)(100 * share),
                   share > 0.001 ? tn_say_seconds(left, sizeof left, took / share - took) : "?");
    tn_console_paint(set->inspect->console, line);
}

/* This thread shows how far the others are, when they take longer than a moment. */
static void watch(struct tn_record_set *set)
{
    double started = tn_seconds_now();
    uint64_t total = 0;
    struct stat state;
    for (size_t i = 0; i < set->file_count; i++)
        total += stat(set->files[i].path, &state) == 0 ? (uint64_t)state.st_size : 0;
    pthread_mutex_lock(&set->lock);
    while (set->running > 0) {
        struct timespec until = tn_deadline(0.1);
        (void)pthread_cond_timedwait(&set->ended, &set->lock, &until);
        double took = tn_seconds_now() - started;
        if (took > PATIENCE_SECONDS && !set->inspect->options->json)
            paint(set, total, took);
    }
    pthread_mutex_unlock(&set->lock);
    tn_console_paint(set->inspect->console, "");
}

/* Which features are meant, from the first records that can be read. */
static void choose_keys(struct tn_record_set *set, struct tn_decoder *decoder)
{
    const struct tn_inspect_options *options = set->inspect->options;
    uint64_t seen = 0;
    set->keys = (struct tn_record_keys){options->image_key, options->label_key};
    for (size_t i = 0; i < set->file_count && seen == 0; i++) {
        struct tn_record_file file = {.path = set->files[i].path};
        struct opened opened;
        int more = 1;
        if (open_records(&file, &opened)) {
            while (seen < KEY_RECORDS && !(set->keys.image && set->keys.label) &&
                   record_reader_next(&opened.reader, &more, NULL) == TN_OK && more) {
                seen++;
                if (crc_matches(&opened.reader))
                    tn_survey_choose_keys(opened.reader.data, opened.reader.length, decoder, &set->arena, &set->keys);
            }
            close_records(&opened);
        }
        free(file.damages);
        tn_arena_release(&file.arena);
    }
}

static uint32_t worker_count(const struct tn_record_set *set)
{
    const struct tn_inspect_options *options = set->inspect->options;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t count = options->workers ? (size_t)options->workers : cores > 0 ? (size_t)cores : 1;
    if (options->records)
        count = 1; /* rows come in order */
    return (uint32_t)(count < set->file_count ? count : set->file_count);
}

/* Decoders are opened here, one after the other: the registry is not for threads. */
static tn_status start(struct tn_record_set *set, struct worker *workers, uint32_t count, struct tn_error *error)
{
    tn_status status = TN_OK;
    for (uint32_t i = 0; status == TN_OK && i < count; i++) {
        workers[i].set = set;
        status = tn_survey_open(&workers[i].survey, error);
        if (status == TN_OK)
            status = tn_decoder_open(set->inspect->registry, &workers[i].decoder, error);
    }
    if (status != TN_OK)
        return status;
    choose_keys(set, workers[0].decoder);
    pthread_mutex_lock(&set->lock);
    for (uint32_t i = 0; i < count; i++) {
        int code = pthread_create(&workers[i].thread, NULL, work, &workers[i]);
        workers[i].started = code == 0;
        set->running += code == 0;
        if (code && i == 0)
            status = tn_fail(error, TN_FAILED, "cannot start a thread: %s", strerror(code));
    }
    pthread_mutex_unlock(&set->lock);
    return status;
}

static tn_status read_all(struct tn_record_set *set, struct tn_error *error)
{
    uint32_t count = worker_count(set);
    struct worker *workers = calloc(count, sizeof *workers);
    tn_status status = workers ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for %u threads", (unsigned)count);
    if (status == TN_OK)
        status = start(set, workers, count, error);
    if (status == TN_OK)
        watch(set);
    for (uint32_t i = 0; workers && i < count; i++) {
        if (workers[i].started)
            (void)pthread_join(workers[i].thread, NULL);
        if (status == TN_OK)
            tn_survey_join(&set->survey, &workers[i].survey);
        tn_survey_close(&workers[i].survey);
        tn_decoder_close(&workers[i].decoder);
    }
    free(workers);
    if (status == TN_OK && (set->survey.failed || set->survey.labels.failed || set->survey.sizes.failed))
        status = tn_fail(error, TN_NO_MEMORY, "no memory for what is counted");
    return status;
}

tn_status tn_inspect_records(struct tn_inspect *inspect, const char *const *paths, size_t count, struct tn_error *error)
{
    struct tn_record_set set = {.inspect = inspect, .file_count = count};
    tn_status status;
    pthread_mutex_init(&set.lock, NULL);
    pthread_cond_init(&set.ended, NULL);
    set.files = calloc(count, sizeof *set.files);
    if (!set.files)
        status = tn_fail(error, TN_NO_MEMORY, "no memory for %zu files", count);
    else
        status = tn_survey_open(&set.survey, error);
    for (size_t i = 0; status == TN_OK && i < count; i++)
        set.files[i].path = paths[i];
    if (status == TN_OK)
        status = read_all(&set, error);
    for (size_t i = 0; status == TN_OK && i < count; i++)
        inspect->wrong |= set.files[i].damages_all > 0;
    tn_survey_sort(&set.survey);
    if (status == TN_OK && inspect->options->json)
        tn_inspect_json_records(&set);
    else if (status == TN_OK)
        tn_inspect_say_records(&set);
    for (size_t i = 0; set.files && i < count; i++) {
        free(set.files[i].damages);
        tn_arena_release(&set.files[i].arena);
    }
    tn_survey_close(&set.survey);
    tn_arena_release(&set.arena);
    free(set.listed);
    free(set.files);
    pthread_cond_destroy(&set.ended);
    pthread_mutex_destroy(&set.lock);
    return status;
}
