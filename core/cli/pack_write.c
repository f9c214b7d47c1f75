/* pack_write.c: threads make records, this one writes them in order: which thread made one never shows, and a kill
 * costs one shard at most. What is made ahead is bounded by a ring of slots that keep their memory. */
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "cli/pack.h"
#include "records/record_writer.h"

enum { SLOTS_PER_WORKER = 4, MOST_WARNINGS = 20 };

struct slot {
    struct tn_text record;
    struct tn_error error;
    tn_status status;
    uint64_t sample;
    int32_t label;
    bool ready;
};

/* One part on its way. Everything but the slots that are being made or written is under the lock. */
struct work {
    struct tn_pack *pack;
    struct tn_pack_part *part;
    pthread_mutex_t lock;
    pthread_cond_t made, room;
    struct slot *slots;
    uint64_t slot_count, claimed, taken, all; /* counted over the positions of all missing shards */
    uint32_t shard;                           /* where the next claim is */
    uint64_t position;
    bool quit;
    struct tn_progress_line line;
    uint64_t before, total; /* over all parts, for the progress line */
    double started;
    uint64_t warnings;
};

struct thread {
    struct work *work;
    struct tn_pack_worker worker;
    pthread_t id;
    bool running;
};

/* ---- threads ---- */

/* The next position that no finished shard holds; there is one. Under the lock. */
static uint64_t claim(struct work *work)
{
    const struct tn_pack_part *part = work->part;
    while (part->shards[work->shard].done || work->position == tn_pack_shard_begin(part, work->shard + 1)) {
        work->shard++;
        work->position = tn_pack_shard_begin(part, work->shard);
    }
    return work->position++;
}

static void *make_records(void *context)
{
    struct thread *thread = context;
    struct work *work = thread->work;
    pthread_mutex_lock(&work->lock);
    for (;;) {
        while (!work->quit && work->claimed < work->all && work->claimed - work->taken >= work->slot_count)
            pthread_cond_wait(&work->room, &work->lock);
        if (work->quit || work->claimed == work->all)
            break;
        uint64_t number = work->claimed++;
        struct slot *slot = &work->slots[number % work->slot_count];
        slot->sample = tn_pack_sample_at(work->part, claim(work));
        pthread_mutex_unlock(&work->lock);
        slot->error.text[0] = '\0';
        slot->status = tn_pack_sample(&thread->worker, slot->sample, &slot->record, &slot->label, &slot->error);
        pthread_mutex_lock(&work->lock);
        slot->ready = true;
        if (number == work->taken)
            pthread_cond_signal(&work->made);
    }
    pthread_mutex_unlock(&work->lock);
    return NULL;
}

/* The next record in order; NULL when the user has asked to stop. */
static struct slot *next_slot(struct work *work)
{
    struct slot *slot = &work->slots[work->taken % work->slot_count];
    pthread_mutex_lock(&work->lock);
    while (!slot->ready && !*work->pack->stop) {
        struct timespec until = tn_deadline(0.2); /* a signal sets a flag and wakes nobody */
        (void)pthread_cond_timedwait(&work->made, &work->lock, &until);
    }
    bool ready = slot->ready;
    pthread_mutex_unlock(&work->lock);
    return ready && !*work->pack->stop ? slot : NULL;
}

static void free_slot(struct work *work, struct slot *slot)
{
    pthread_mutex_lock(&work->lock);
    slot->ready = false;
    work->taken++;
    pthread_cond_broadcast(&work->room);
    pthread_mutex_unlock(&work->lock);
    tn_progress_pace(&work->line, "packing", work->before + work->taken, work->total, work->started);
}

/* ---- shards ---- */

/* A picture that cannot be packed: an error, or a line in the list of those that were left out. */
static tn_status pass_over(struct work *work, const struct slot *slot, struct tn_text *skipped, struct tn_error *error)
{
    const struct tn_pack_part *part = work->part;
    const struct tn_source *source = (const struct tn_source *)part->source->type;
    char name[4096], place[4096];
    struct tn_text line = {0};
    source->name(part->source->self, slot->sample, name, sizeof name);
    tn_pack_place(part, slot->sample, place, sizeof place);
    if (work->pack->options->on_error == TN_ON_ERROR_FAIL || slot->status == TN_NO_MEMORY)
        return tn_fail(error, slot->status == TN_INVALID ? TN_CORRUPT : slot->status, "%s: %s%s", place,
                       slot->error.text,
                       slot->status == TN_NO_MEMORY ? "" : " (--on-error skip leaves such pictures out)");
    if (work->warnings++ < MOST_WARNINGS)
        tn_console_say(work->pack->console, TN_LOG_WARNING, "left out %s: %s", place, slot->error.text);
    else if (work->warnings == MOST_WARNINGS + 1)
        tn_console_say(work->pack->console, TN_LOG_WARNING, "more are left out; skipped.txt will list them");
    tn_text_format(&line, "%s/%s: %s", part->name, name, slot->error.text);
    tn_text_json(skipped, line.failed ? name : line.data);
    tn_text_add(skipped, "\n");
    tn_text_release(&line);
    return skipped->failed ? tn_fail(error, TN_NO_MEMORY, "no memory") : TN_OK;
}

static tn_status add_slot(struct work *work, const struct slot *slot, struct tn_record_writer *writer,
                          struct tn_pack_shard *shard, uint64_t *counts, struct tn_text *skipped,
                          struct tn_error *error)
{
    if (slot->status != TN_OK)
        return pass_over(work, slot, skipped, error);
    shard->records++;
    counts[slot->label]++;
    return tn_record_writer_add(writer, &slot->record, error);
}

static const char *labels_text(struct tn_pack *pack, const uint64_t *counts)
{
    struct tn_text text = {0};
    const char *separator = "{";
    for (uint32_t c = 0; c < pack->class_count; c++)
        if (counts[c]) {
            tn_text_format(&text, "%s\"%u\":%llu", separator, (unsigned)c, (unsigned long long)counts[c]);
            separator = ",";
        }
    tn_text_add(&text, *separator == '{' ? "{}" : "}");
    const char *kept = text.failed ? NULL : tn_arena_text(&pack->arena, text.data, text.length);
    tn_text_release(&text);
    return kept;
}

static tn_status finish(struct work *work, uint32_t number, struct tn_pack_shard *shard, const uint64_t *counts,
                        const struct tn_text *skipped, struct tn_error *error)
{
    struct tn_pack *pack = work->pack;
    shard->labels = labels_text(pack, counts);
    shard->skipped = tn_arena_text(&pack->arena, skipped->length ? skipped->data : "", skipped->length);
    if (!shard->labels || !shard->skipped)
        return tn_fail(error, TN_NO_MEMORY, "no memory");
    shard->done = true;
    /* The threads look at `done` to find the next position. They are behind this shard already, but may read it. */
    pthread_mutex_lock(&work->lock);
    work->part->shards[number] = *shard;
    pthread_mutex_unlock(&work->lock);
    return tn_pack_job_add(pack, work->part, number, error);
}

static tn_status write_shard(struct work *work, uint32_t number, uint64_t *counts, struct tn_error *error)
{
    struct tn_pack *pack = work->pack;
    uint64_t left = tn_pack_shard_begin(work->part, number + 1) - tn_pack_shard_begin(work->part, number);
    const char *name = tn_pack_shard_name(&pack->arena, work->part, number),
               *path = name ? tn_pack_path(pack, name) : NULL;
    struct tn_record_writer *writer = NULL;
    struct tn_pack_shard shard = {0};
    struct tn_text skipped = {0};
    tn_status status = path ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory");
    memset(counts, 0, pack->class_count * sizeof *counts);
    if (status == TN_OK)
        status = tn_record_writer_open(path, pack->options->compression, &writer, error);
    for (; status == TN_OK && left > 0; left--) {
        struct slot *slot = next_slot(work);
        if (!slot) {
            status = tn_fail(error, TN_INTERRUPTED, "stopped; the same command goes on from here");
            break;
        }
        status = add_slot(work, slot, writer, &shard, counts, &skipped, error);
        free_slot(work, slot);
    }
    if (status == TN_OK)
        status = tn_record_writer_commit(writer, &shard.bytes, error);
    if (status == TN_OK)
        status = finish(work, number, &shard, counts, &skipped, error);
    tn_record_writer_close(&writer);
    tn_text_release(&skipped);
    return status;
}

/* ---- a part ---- */

static uint64_t missing(const struct tn_pack_part *part)
{
    uint64_t count = 0;
    for (uint32_t s = 0; s < part->shard_count; s++)
        if (!part->shards[s].done)
            count += tn_pack_shard_begin(part, s + 1) - tn_pack_shard_begin(part, s);
    return count;
}

/* What the threads need is opened here, one after the other: the registry is not for threads. */
static tn_status start(struct work *work, struct thread *threads, uint32_t count, struct tn_error *error)
{
    tn_status status = TN_OK;
    for (uint32_t i = 0; status == TN_OK && i < count; i++) {
        threads[i].work = work;
        status = tn_pack_worker_open(work->pack, work->part, &threads[i].worker, error);
    }
    for (uint32_t i = 0; status == TN_OK && i < count; i++) {
        int reason = pthread_create(&threads[i].id, NULL, make_records, &threads[i]);
        threads[i].running = reason == 0;
        if (reason && i == 0)
            status = tn_fail(error, TN_FAILED, "cannot start a thread: %s", strerror(reason));
        else if (reason)
            break; /* fewer are enough */
    }
    return status;
}

static void stop(struct work *work, struct thread *threads, uint32_t count)
{
    pthread_mutex_lock(&work->lock);
    work->quit = true;
    atomic_store(&work->pack->quit, true); /* also for those that wait for a drive */
    pthread_cond_broadcast(&work->room);
    pthread_mutex_unlock(&work->lock);
    for (uint32_t i = 0; i < count; i++) {
        if (threads[i].running)
            pthread_join(threads[i].id, NULL);
        tn_pack_worker_close(&threads[i].worker);
    }
}

static tn_status write_part(struct work *work, struct tn_error *error)
{
    struct tn_pack_part *part = work->part;
    uint32_t workers = tn_pack_worker_count(work->pack);
    uint64_t *counts = calloc(work->pack->class_count, sizeof *counts);
    struct thread *threads = calloc(workers, sizeof *threads);
    tn_status status = TN_OK;
    work->slot_count = (uint64_t)workers * SLOTS_PER_WORKER;
    work->slots = calloc(work->slot_count, sizeof *work->slots);
    if (!counts || !threads || !work->slots)
        status = tn_fail(error, TN_NO_MEMORY, "no memory for %u workers", workers);
    atomic_store(&work->pack->quit, false);
    pthread_mutex_init(&work->lock, NULL);
    pthread_cond_init(&work->made, NULL);
    pthread_cond_init(&work->room, NULL);
    if (status == TN_OK)
        status = start(work, threads, workers, error);
    for (uint32_t s = 0; status == TN_OK && s < part->shard_count; s++)
        if (!part->shards[s].done)
            status = write_shard(work, s, counts, error);
    if (threads)
        stop(work, threads, workers);
    pthread_cond_destroy(&work->room);
    pthread_cond_destroy(&work->made);
    pthread_mutex_destroy(&work->lock);
    for (uint64_t i = 0; work->slots && i < work->slot_count; i++)
        tn_text_release(&work->slots[i].record);
    free(work->slots);
    free(threads);
    free(counts);
    return status;
}

tn_status tn_pack_write(struct tn_pack *pack, struct tn_error *error)
{
    uint64_t total = 0, before = 0, warnings = 0;
    double started = tn_seconds_now();
    tn_status status = TN_OK;
    for (uint32_t p = 0; p < pack->part_count; p++)
        total += missing(&pack->parts[p]);
    for (uint32_t p = 0; status == TN_OK && p < pack->part_count; p++) {
        struct work work = {.pack = pack,
                            .part = &pack->parts[p],
                            .all = missing(&pack->parts[p]),
                            .line = {.console = pack->console},
                            .before = before,
                            .total = total,
                            .started = started,
                            .warnings = warnings};
        if (work.all > 0)
            status = write_part(&work, error);
        before += work.all, warnings = work.warnings;
    }
    tn_console_paint(pack->console, "");
    return status;
}
