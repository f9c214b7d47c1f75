/* doctor_scan.c: reads, hashes and decodes every picture of a data set, on several threads. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "data/data.h"

struct scan {
    struct tn_checkup *checkup;
    const volatile int32_t *stop;
    pthread_mutex_t mutex;
    uint64_t next, done; /* under the mutex, as are the checkup's complaints */
    struct tn_error error;
    tn_status status;
};

/* One thread's tools. */
struct examiner {
    struct scan *scan;
    pthread_t thread;
    bool started;
    struct tn_decoder *decoder;
    void *workers[2];
    bool worker_opened[2];
};

/* Two hashes of 64 bits by multiplication and shift: enough to tell files apart, no defence against forgery. */
static void hash_bytes(const void *bytes, uint64_t count, uint64_t hash[2])
{
    const unsigned char *at = bytes;
    uint64_t a = count * 0x9E3779B97F4A7C15u, b = count ^ 0xC2B2AE3D27D4EB4Fu, word;
    for (uint64_t left = count; left > 0;) {
        size_t step = left < sizeof word ? (size_t)left : sizeof word;
        word = 0;
        memcpy(&word, at, step);
        a = (a ^ word) * 0xFF51AFD7ED558CCDu;
        a ^= a >> 32;
        b = (b + word) * 0xC4CEB9FE1A85EC53u;
        b ^= b >> 29;
        at += step;
        left -= step;
    }
    hash[0] = a;
    hash[1] = b;
}

/* Does the ending of the name belong to the format? */
static bool fits_name(const char *name, const char *codec)
{
    static const char *const endings[][2] = {{"jpg", "jpeg"}, {"jpe", "jpeg"}, {"jfif", "jpeg"},
                                             {"pgm", "ppm"},  {"pnm", "ppm"},  {"tif", "tiff"}};
    const char *dot = strrchr(name, '.');
    if (!dot || strcasecmp(dot + 1, codec) == 0)
        return true;
    for (size_t i = 0; i < TN_COUNT_OF(endings); i++)
        if (strcasecmp(dot + 1, endings[i][0]) == 0 && strcmp(codec, endings[i][1]) == 0)
            return true;
    return false;
}

static void complain(struct scan *scan, uint64_t record, const char *text)
{
    struct tn_checkup *checkup = scan->checkup;
    pthread_mutex_lock(&scan->mutex);
    if (tn_grow(&checkup->complaints, &checkup->complaint_capacity, checkup->complaint_count + 1,
                sizeof *checkup->complaints) == TN_OK)
        checkup->complaints[checkup->complaint_count++] =
            (struct tn_complaint){record, tn_arena_string(&checkup->arena, text)};
    pthread_mutex_unlock(&scan->mutex);
}

static void examine(struct examiner *examiner, uint64_t number)
{
    const struct tn_checkup *checkup = examiner->scan->checkup;
    struct tn_record *record = &checkup->records[number];
    const struct tn_part *part = &checkup->parts[record->part];
    const struct tn_source *type = (const struct tn_source *)part->source->type;
    struct tn_decode_request request = {.size = sizeof request, .channels = 3, .maximum_pixels = 178956970};
    struct tn_sample sample = {.size = sizeof sample, .label = -1};
    struct tn_image image = {0};
    struct tn_error error = {0};
    char name[1024];
    tn_status status = type->read(part->source->self, examiner->workers[record->part], record->index, &sample, &error);
    record->label = sample.label;
    if (status == TN_OK) {
        const char *codec = tn_decoder_codec(examiner->decoder, sample.bytes, sample.byte_count);
        type->name(part->source->self, record->index, name, sizeof name);
        record->bytes = sample.byte_count;
        record->misnamed = codec && !fits_name(name, codec);
        hash_bytes(sample.bytes, sample.byte_count, record->hash);
        status = tn_decoder_decode(examiner->decoder, sample.bytes, sample.byte_count, &request, &image, &error);
    }
    if (status == TN_OK) {
        record->height = image.height;
        record->width = image.width;
        return;
    }
    record->excluded = 1;
    complain(examiner->scan, number, error.text);
}

static void *examiner_main(void *argument)
{
    struct examiner *examiner = argument;
    struct scan *scan = examiner->scan;
    for (;;) {
        pthread_mutex_lock(&scan->mutex);
        uint64_t number = scan->next;
        bool over = number >= scan->checkup->count || *scan->stop;
        scan->next += !over;
        pthread_mutex_unlock(&scan->mutex);
        if (over)
            return NULL;
        examine(examiner, number);
        pthread_mutex_lock(&scan->mutex);
        scan->done++;
        pthread_mutex_unlock(&scan->mutex);
    }
}

static tn_status open_examiner(struct examiner *examiner, struct scan *scan, struct tn_error *error)
{
    const struct tn_checkup *checkup = scan->checkup;
    tn_status status = tn_decoder_open(checkup->registry, &examiner->decoder, error);
    examiner->scan = scan;
    for (uint32_t i = 0; status == TN_OK && i < checkup->part_count; i++) {
        const struct tn_instance *source = checkup->parts[i].source;
        const struct tn_source *type = (const struct tn_source *)source->type;
        if (type->worker_open)
            status = type->worker_open(source->self, &examiner->workers[i], error);
        examiner->worker_opened[i] = status == TN_OK && type->worker_open;
    }
    return status;
}

static void close_examiner(struct examiner *examiner, const struct tn_checkup *checkup)
{
    for (uint32_t i = 0; i < checkup->part_count; i++) {
        const struct tn_source *type = (const struct tn_source *)checkup->parts[i].source->type;
        if (examiner->worker_opened[i] && type->worker_close)
            type->worker_close(checkup->parts[i].source->self, examiner->workers[i]);
    }
    tn_decoder_close(&examiner->decoder);
}

/* The caller's thread shows how far the others are. */
static void watch(struct scan *scan, struct tn_progress_line *line)
{
    for (bool over = false; !over;) {
        pthread_mutex_lock(&scan->mutex);
        uint64_t done = scan->done;
        over = done >= scan->checkup->count || *scan->stop;
        pthread_mutex_unlock(&scan->mutex);
        tn_progress_count(line, "examining", done, scan->checkup->count);
        if (!over)
            (void)nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    tn_console_paint(line->console, "");
}

static int by_record(const void *a, const void *b)
{
    uint64_t x = ((const struct tn_complaint *)a)->record, y = ((const struct tn_complaint *)b)->record;
    return (x > y) - (x < y);
}

static tn_status examine_all(struct tn_checkup *checkup, int32_t workers, struct tn_progress_line *line,
                             const volatile int32_t *stop, struct tn_error *error)
{
    struct scan scan = {.checkup = checkup, .stop = stop};
    struct examiner *examiners = calloc((size_t)workers, sizeof *examiners);
    tn_status status = TN_OK;
    int32_t started = 0;
    if (!examiners)
        return tn_fail(error, TN_NO_MEMORY, "no memory for %d threads", (int)workers);
    if (pthread_mutex_init(&scan.mutex, NULL) != 0) {
        free(examiners);
        return tn_fail(error, TN_FAILED, "no mutex");
    }
    for (int32_t i = 0; status == TN_OK && i < workers; i++)
        status = open_examiner(&examiners[i], &scan, error);
    for (int32_t i = 0; status == TN_OK && i < workers; i++) {
        examiners[i].started = pthread_create(&examiners[i].thread, NULL, examiner_main, &examiners[i]) == 0;
        started += examiners[i].started;
    }
    if (status == TN_OK && started == 0)
        status = tn_fail(error, TN_FAILED, "no thread could be started");
    if (status == TN_OK)
        watch(&scan, line);
    for (int32_t i = 0; i < workers; i++) {
        if (examiners[i].started)
            pthread_join(examiners[i].thread, NULL);
        close_examiner(&examiners[i], checkup);
    }
    free(examiners);
    pthread_mutex_destroy(&scan.mutex);
    if (status == TN_OK && *stop)
        status = tn_fail(error, TN_INTERRUPTED, "interrupted after %llu of %llu pictures",
                         (unsigned long long)scan.done, (unsigned long long)checkup->count);
    if (checkup->complaint_count > 1)
        qsort(checkup->complaints, checkup->complaint_count, sizeof *checkup->complaints, by_record);
    return status;
}

static tn_status open_part(struct tn_checkup *checkup, const char *path, struct tn_error *error)
{
    struct tn_part *part = &checkup->parts[checkup->part_count];
    const char *slash = strrchr(path, '/');
    tn_status status;
    part->path = path;
    part->name = slash ? slash + 1 : path;
    status = tn_look_open_source(checkup->registry, checkup->config, checkup->part_count ? "validation" : "train", path,
                                 &part->source, error);
    if (status != TN_OK)
        return status;
    checkup->part_count++;
    return tn_look_scan(part->source, &checkup->look, &part->info, error);
}

static tn_status make_records(struct tn_checkup *checkup, struct tn_error *error)
{
    for (uint32_t i = 0; i < checkup->part_count; i++) {
        checkup->parts[i].first = checkup->count;
        checkup->count += checkup->parts[i].info.count;
    }
    checkup->records = calloc((size_t)checkup->count + 1, sizeof *checkup->records);
    if (!checkup->records)
        return tn_fail(error, TN_NO_MEMORY, "no memory to note %llu pictures", (unsigned long long)checkup->count);
    for (uint32_t i = 0; i < checkup->part_count; i++)
        for (uint64_t k = 0; k < checkup->parts[i].info.count; k++)
            checkup->records[checkup->parts[i].first + k] =
                (struct tn_record){.part = (int16_t)i, .index = k, .label = -1};
    return TN_OK;
}

tn_status tn_checkup_scan(struct tn_checkup *checkup, const char *folder, int32_t workers,
                          struct tn_progress_line *line, const volatile int32_t *stop, struct tn_error *error)
{
    struct tn_problems problems = {0};
    tn_status status;
    TN_TRY(status, tn_look_at(&checkup->look, folder, error), out);
    TN_TRY(status, tn_registry_open(NULL, &checkup->registry, error), out);
    TN_TRY(status, tn_config_load_text("", 0, "doctor", NULL, 0, &checkup->config, &problems), out);
    TN_TRY(status, open_part(checkup, checkup->look.train, error), out);
    if (checkup->look.validation)
        TN_TRY(status, open_part(checkup, checkup->look.validation, error), out);
    TN_TRY(status, make_records(checkup, error), out);
    status = examine_all(checkup, workers, line, stop, error);
out:
    tn_problems_release(&problems);
    return status;
}

void tn_checkup_release(struct tn_checkup *checkup)
{
    for (uint32_t i = 0; i < checkup->part_count; i++)
        tn_instance_close(&checkup->parts[i].source);
    if (checkup->config)
        tn_config_close(&checkup->config);
    tn_registry_close(&checkup->registry);
    tn_arena_release(&checkup->look.arena);
    tn_arena_release(&checkup->arena);
    free(checkup->records);
    free(checkup->complaints);
}

void tn_checkup_name(const struct tn_checkup *checkup, const struct tn_record *record, char *text, size_t bytes)
{
    const struct tn_part *part = &checkup->parts[record->part];
    int used = snprintf(text, bytes, "%s/", part->name);
    if (used > 0 && (size_t)used < bytes)
        ((const struct tn_source *)part->source->type)
            ->name(part->source->self, record->index, text + used, bytes - (size_t)used);
}
