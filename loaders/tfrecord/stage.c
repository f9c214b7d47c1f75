/* stage.c: what a source asks of a stage, and how it begins and ends. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "stage_inside.h"

/* So many damaged copies, and the disk is not trusted any more. */
enum { MOST_REJECTED = 8 };

/* ---- what the source calls ---- */

static void begin_order(struct stage *stage, uint64_t needed)
{
    stage->needed = needed;
    stage->progress = stage->next = stage->oldest = 0;
    stage->latest = stage->count;
    stage->second_lap = 0;
}

void stage_arrange(struct stage *stage, const uint64_t *files, uint64_t count)
{
    uint64_t at = 0;
    if (!stage)
        return;
    pthread_mutex_lock(&stage->mutex);
    for (uint64_t i = 0; i < stage->count; i++) {
        stage->entries[i].position = UINT64_MAX;
        if (stage->entries[i].given_up != FOR_GOOD)
            stage->entries[i].given_up = 0;
    }
    for (uint64_t i = 0; i < count; i++)
        if (files[i] < stage->count && stage->entries[files[i]].position == UINT64_MAX) {
            stage->entries[files[i]].position = at;
            stage->order[at++] = files[i];
        }
    begin_order(stage, at);
    stage->arranged = 1;
    stage->progress = stage->strands < at ? stage->strands : at; /* these are read right now */
    for (uint64_t i = 0; i < stage->count; i++)
        if (stage->entries[i].position == UINT64_MAX) {
            stage->entries[i].position = at;
            stage->order[at++] = i;
        }
    stage->stale = 1;
    stage->idle = 0;
    stage->moves++;
    pthread_cond_broadcast(&stage->moved);
    pthread_mutex_unlock(&stage->mutex);
}

/* Reading has come to this file. */
static void come_to(struct stage *stage, const struct entry *entry)
{
    if (!stage->arranged) /* set while nobody reads */
        return;
    pthread_mutex_lock(&stage->mutex);
    if (entry->position < stage->needed && entry->position + 1 > stage->progress) {
        stage->progress = entry->position + 1;
        stage->idle = 0;
        stage->moves++;
        pthread_cond_broadcast(&stage->moved);
    }
    pthread_mutex_unlock(&stage->mutex);
}

static void forget(struct stage *stage, struct entry *entry)
{
    pthread_mutex_lock(&stage->mutex);
    stage_set_whole(stage, entry, 0);
    pthread_mutex_unlock(&stage->mutex);
}

int stage_descriptor(struct stage *stage, uint64_t file)
{
    struct entry *entry = &stage->entries[file];
    come_to(stage, entry);
    if (!atomic_load(&entry->whole))
        return -1;
    int descriptor = copy_open(&stage->copies, &entry->file);
    if (descriptor < 0) /* somebody has removed or cut it */
        forget(stage, entry);
    return descriptor;
}

int stage_kept_descriptor(const struct stage *stage, uint64_t file)
{
    return atomic_load(&stage->entries[file].kept);
}

int stage_reject(struct stage *stage, uint64_t file)
{
    struct entry *entry = &stage->entries[file];
    pthread_mutex_lock(&stage->mutex);
    int there = atomic_load(&entry->whole);
    if (there) {
        copy_remove(&stage->copies, &entry->file);
        stage_set_whole(stage, entry, 0);
        entry->given_up = FOR_GOOD;
        if (stage->rejected++ == 0)
            stage_warn(stage, "the copy of %.400s was damaged; the original is read instead", entry->file.path);
        if (stage->rejected == MOST_REJECTED) {
            stage->stopped = 1;
            stage_warn(stage, "%u copies were damaged; no more is copied to it", stage->rejected);
        }
    }
    int kept = atomic_exchange(&entry->kept, -1);
    if (kept >= 0)
        entry->rejected_kept = kept;
    pthread_mutex_unlock(&stage->mutex);
    return there;
}

void stage_look(struct stage *stage, struct stage_state *state)
{
    *state = (struct stage_state){0};
    pthread_mutex_lock(&stage->mutex);
    for (uint64_t i = 0; i < stage->count; i++)
        state->copies += (uint64_t)atomic_load(&stage->entries[i].whole);
    state->bytes = stage->used;
    state->idle = stage->idle;
    pthread_mutex_unlock(&stage->mutex);
}

/* ---- opening ---- */

static void release(struct stage *stage)
{
    for (uint64_t i = 0; stage->entries && i < stage->count; i++) {
        int kept = atomic_load(&stage->entries[i].kept);
        if (kept >= 0)
            (void)close(kept);
        if (stage->entries[i].rejected_kept >= 0)
            (void)close(stage->entries[i].rejected_kept);
    }
    copies_close(&stage->copies);
    pthread_cond_destroy(&stage->moved);
    pthread_mutex_destroy(&stage->mutex);
    free(stage->entries);
    free(stage->order);
    free(stage->hashes);
    free(stage);
}

static struct stage *make_stage(const struct stage_spec *spec)
{
    struct stage *stage = calloc(1, sizeof *stage);
    if (!stage)
        return NULL;
    stage->copies = (struct copies){-1, -1};
    (void)pthread_mutex_init(&stage->mutex, NULL);
    (void)pthread_cond_init(&stage->moved, NULL);
    stage->entries = calloc((size_t)spec->count + 1, sizeof *stage->entries);
    stage->order = calloc((size_t)spec->count + 1, sizeof *stage->order);
    stage->hashes = calloc((size_t)spec->count + 1, 2 * sizeof *stage->hashes);
    if (!stage->entries || !stage->order || !stage->hashes) {
        release(stage);
        return NULL;
    }
    stage->count = spec->count;
    stage->limit = spec->limit;
    stage->host = spec->host;
    stage->folder = spec->folder;
    stage->strands = spec->strands ? spec->strands : 1;
    stage->keeps_open = spec->keeps_open;
    for (uint64_t i = 0; i < spec->count; i++) {
        struct entry *entry = &stage->entries[i];
        entry->file = spec->files[i];
        entry->position = stage->order[i] = i;
        entry->rejected_kept = -1;
        atomic_init(&entry->kept, -1);
        stage->hashes[2 * i] = copy_hash(&entry->file);
        stage->hashes[2 * i + 1] = i;
    }
    qsort(stage->hashes, (size_t)spec->count, 2 * sizeof *stage->hashes, stage_compare_hashes);
    begin_order(stage, spec->count);
    return stage;
}

static int start_thread(struct stage *stage)
{
    sigset_t all, before;
    sigfillset(&all); /* signals are the main thread's affair, and a file that grows too long is no reason to end */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&stage->thread, NULL, stage_main, stage);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code == 0;
}

tn_status stage_open(struct stage **stage, const struct stage_spec *spec, struct tn_error *error)
{
    struct tn_error reason = {0};
    *stage = NULL;
    if (spec->count == 0 || spec->limit == 0)
        return TN_OK;
    struct stage *made = make_stage(spec);
    if (!made)
        return tn_fail(error, TN_NO_MEMORY, "no memory to stage %llu files", (unsigned long long)spec->count);
    if (copies_open(&made->copies, spec, &reason) != TN_OK) {
        stage_warn(made, "it cannot be used, and nothing is staged: %s", reason.text);
        release(made);
        return TN_OK;
    }
    pthread_mutex_lock(&made->mutex);
    stage_look_through(made);
    pthread_mutex_unlock(&made->mutex);
    if (!start_thread(made)) {
        release(made);
        return tn_fail(error, TN_FAILED, "no thread could be started to stage files");
    }
    *stage = made;
    return TN_OK;
}

void stage_close(struct stage *stage)
{
    if (!stage)
        return;
    pthread_mutex_lock(&stage->mutex);
    atomic_store(&stage->quit, 1);
    stage->moves++;
    pthread_cond_broadcast(&stage->moved);
    pthread_mutex_unlock(&stage->mutex);
    pthread_join(stage->thread, NULL);
    release(stage);
}
