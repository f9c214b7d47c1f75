/* index.c: lists the records of all shards. Threads look through one shard each; their lists are joined in the order of
 * the shards, so that the result, and the first damage that is told, do not depend on who was quicker. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shards.h"

enum { MOST_THREADS = 16, TOLD_AFTER_SECONDS = 5 };

struct job {
    struct listing listing;
    tn_status status;
    struct tn_error *error; /* NULL while all is well */
    int done, from_sidecar;
};

struct crew {
    struct tfrecord *source;
    struct job *jobs; /* [shard_count] */
    pthread_t threads[MOST_THREADS];
    uint32_t thread_count, started;
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    uint64_t claim, joined; /* next shard to look through; shards that were joined */
    int quit;
};

static uint32_t core_count(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : count > MOST_THREADS ? MOST_THREADS : (uint32_t)count;
}

/* ---- one shard ---- */

static tn_status look_through(const struct tfrecord *source, struct shard *shard, struct job *job,
                              struct tn_error *error)
{
    tn_status status = shard_open(source, shard, error);
    if (status != TN_OK)
        return status;
    job->from_sidecar = source->index_folder && sidecar_load(source, shard, &job->listing);
    if (!job->from_sidecar)
        status = listing_scan(source, shard, &job->listing, error);
    if (status == TN_OK && source->index_folder && !job->from_sidecar && job->listing.left_out == 0)
        sidecar_save(source, shard, &job->listing);
    shard->end = job->listing.end;
    int needs_descriptor = shard->compression != COMPRESSION_NONE && source->io == IO_RANDOM;
    if (!source->keeps_open && needs_descriptor && status == TN_OK)
        return tn_fail(error, TN_UNSUPPORTED,
                       "%llu compressed shards are too many for io = random: use io = sequential",
                       (unsigned long long)source->shard_count);
    if (!source->keeps_open || (shard->compression != COMPRESSION_NONE && !needs_descriptor)) {
        (void)close(shard->descriptor);
        shard->descriptor = -1;
    }
    return status;
}

static void *crew_main(void *argument)
{
    struct crew *crew = argument;
    pthread_mutex_lock(&crew->mutex);
    for (;;) {
        /* not far ahead of the joining, so that memory holds few lists twice */
        while (!crew->quit && crew->claim < crew->source->shard_count &&
               crew->claim >= crew->joined + 4 * (uint64_t)crew->thread_count)
            pthread_cond_wait(&crew->moved, &crew->mutex);
        if (crew->quit || crew->claim == crew->source->shard_count)
            break;
        uint64_t number = crew->claim++;
        pthread_mutex_unlock(&crew->mutex);
        struct job *job = &crew->jobs[number];
        struct tn_error error = {0};
        job->status = look_through(crew->source, &crew->source->shards[number], job, &error);
        if (job->status != TN_OK) {
            job->error = malloc(sizeof *job->error);
            if (job->error)
                *job->error = error;
        }
        pthread_mutex_lock(&crew->mutex);
        job->done = 1;
        pthread_cond_broadcast(&crew->moved);
    }
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

/* ---- joining ---- */

static tn_status add_place(struct tfrecord *source, const struct place *place, struct tn_error *error)
{
    if (source->place_count == source->place_capacity) {
        uint64_t more = source->place_capacity ? source->place_capacity + source->place_capacity / 2 : 1024;
        struct place *grown = realloc(source->places, (size_t)more * sizeof *grown);
        if (!grown)
            return tn_fail(error, TN_NO_MEMORY, "no memory for the list of records");
        source->places = grown;
        source->place_capacity = more;
    }
    source->places[source->place_count++] = *place;
    return TN_OK;
}

/* Numbers or texts, not both: what was seen first counts. */
enum { UNKNOWN_KIND, NUMBERS, TEXTS };

static tn_status take_entry(struct tfrecord *source, const struct listing *listing, const struct entry *entry,
                            uint32_t shard, int32_t *classes, int *kind, struct tn_error *error)
{
    struct place place = {entry->offset, entry->length, shard, entry->ordinal, -1};
    tn_status status = TN_OK;
    if (source->wants_label) {
        int its_kind = entry->text ? TEXTS : NUMBERS;
        *kind = *kind == UNKNOWN_KIND ? its_kind : *kind;
        if (its_kind != *kind)
            status = tn_fail(error, TN_CORRUPT, "its label is %s, and the labels before it are not",
                             entry->text ? "a text" : "a number");
        else if (!entry->text)
            status = label_of_number(source, entry->number, &place.label, error);
        else if (classes[entry->text - 1] >= 0)
            place.label = classes[entry->text - 1];
        else {
            const char *text = texts_at(&listing->texts, entry->text);
            status = label_of_text(source, text, strlen(text), &place.label, error);
            classes[entry->text - 1] = status == TN_OK ? place.label : -1;
        }
    }
    return status == TN_OK ? add_place(source, &place, error) : status;
}

static tn_status join(struct tfrecord *source, struct job *job, uint32_t number, int *kind, struct tn_error *error)
{
    const struct shard *shard = &source->shards[number];
    const struct listing *listing = &job->listing;
    int32_t *classes = malloc((listing->texts.count + (size_t)1) * sizeof *classes);
    tn_status status = classes ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for classes");
    for (uint32_t i = 0; classes && i < listing->texts.count; i++)
        classes[i] = -1;
    for (uint64_t i = 0; status == TN_OK && i < listing->count; i++) {
        struct tn_error reason = {0};
        const struct entry *entry = &listing->entries[i];
        status = take_entry(source, listing, entry, number, classes, kind, &reason);
        if (forgives(source, status)) {
            source->left_out++;
            status = TN_OK;
        } else if (status != TN_OK) {
            status = tn_fail(error, status, "%s: record %u at byte %llu: %s", shard->path, (unsigned)entry->ordinal,
                             (unsigned long long)entry->offset - RECORD_HEAD, reason.text);
        }
    }
    free(classes);
    source->left_out += listing->left_out;
    if (status != TN_OK || job->status == TN_OK)
        return status;
    if (!listing->cut) {
        if (error && job->error)
            *error = *job->error;
        return job->status;
    }
    char text[2048];
    (void)snprintf(text, sizeof text, "%s: the rest of the file is left out",
                   job->error ? job->error->text : shard->path);
    say(source, TN_LOG_WARNING, text);
    return TN_OK;
}

/* ---- all of them ---- */

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void tell_progress(const struct tfrecord *source, uint64_t joined, double *told)
{
    char text[256];
    double now = seconds_now();
    if (now - *told < TOLD_AFTER_SECONDS)
        return;
    *told = now;
    (void)snprintf(text, sizeof text, "%.150s: %llu of %llu shards looked through, %llu records", source->files,
                   (unsigned long long)joined, (unsigned long long)source->shard_count,
                   (unsigned long long)source->place_count);
    say(source, TN_LOG_INFO, text);
}

static tn_status join_all(struct crew *crew, struct tn_error *error)
{
    struct tfrecord *source = crew->source;
    int kind = UNKNOWN_KIND;
    double told = seconds_now();
    tn_status status = TN_OK;
    for (uint64_t i = 0; status == TN_OK && i < source->shard_count; i++) {
        struct job *job = &crew->jobs[i];
        pthread_mutex_lock(&crew->mutex);
        while (!job->done)
            pthread_cond_wait(&crew->moved, &crew->mutex);
        pthread_mutex_unlock(&crew->mutex);
        status = join(source, job, (uint32_t)i, &kind, error);
        listing_release(&job->listing);
        tell_progress(source, i + 1, &told);
        pthread_mutex_lock(&crew->mutex);
        crew->joined = i + 1;
        pthread_cond_broadcast(&crew->moved);
        pthread_mutex_unlock(&crew->mutex);
    }
    return status;
}

static tn_status run_crew(struct crew *crew, struct tn_error *error)
{
    tn_status status = TN_OK;
    sigset_t all, before;
    sigfillset(&all); /* signals are the main thread's affair */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (crew->started < crew->thread_count &&
           pthread_create(&crew->threads[crew->started], NULL, crew_main, crew) == 0)
        crew->started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (crew->started == 0)
        status = tn_fail(error, TN_FAILED, "no thread could be started to look through %s", crew->source->files);
    if (status == TN_OK)
        status = join_all(crew, error);
    pthread_mutex_lock(&crew->mutex);
    crew->quit = 1;
    pthread_cond_broadcast(&crew->moved);
    pthread_mutex_unlock(&crew->mutex);
    for (uint32_t i = 0; i < crew->started; i++)
        pthread_join(crew->threads[i], NULL);
    return status;
}

static void tell_left_out(const struct tfrecord *source)
{
    char text[256];
    if (!source->left_out)
        return;
    (void)snprintf(text, sizeof text, "%.150s: %llu records without what is needed are left out", source->files,
                   (unsigned long long)source->left_out);
    say(source, TN_LOG_WARNING, text);
}

tn_status index_build(struct tfrecord *source, struct tn_error *error)
{
    struct crew crew = {.source = source, .thread_count = core_count()};
    if (crew.thread_count > source->shard_count)
        crew.thread_count = (uint32_t)source->shard_count;
    crew.jobs = calloc((size_t)source->shard_count, sizeof *crew.jobs);
    if (!crew.jobs)
        return tn_fail(error, TN_NO_MEMORY, "no memory to look through %llu shards",
                       (unsigned long long)source->shard_count);
    (void)pthread_mutex_init(&crew.mutex, NULL);
    (void)pthread_cond_init(&crew.moved, NULL);
    tn_status status = run_crew(&crew, error);
    pthread_cond_destroy(&crew.moved);
    pthread_mutex_destroy(&crew.mutex);
    for (uint64_t i = 0; i < source->shard_count; i++) {
        listing_release(&crew.jobs[i].listing);
        free(crew.jobs[i].error);
    }
    free(crew.jobs);
    if (status != TN_OK)
        return status;
    tell_left_out(source);
    struct place *fitting = realloc(source->places, ((size_t)source->place_count + 1) * sizeof *fitting);
    source->places = fitting ? fitting : source->places;
    source->place_capacity = fitting ? source->place_count : source->place_capacity;
    return status;
}
