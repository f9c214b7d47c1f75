/* stage_thread.c: which shards are copied, when, and which copies leave.
 *
 * One thread goes through the order of the epoch, beginning behind the files that reading has come to, and copies what
 * is not there. Where the budget is spent it removes what is needed last: first copies that reading is done with, then
 * those at the end of the order; never one that is needed before the file it makes room for. At the end of the order
 * the files that it came too late for are copied too, for the next epoch, as far as room is free.
 *
 * What is on the disk is the truth: the folder is looked through at the beginning, at each new order, and now and then,
 * since other processes may use it too.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stage_inside.h"

/* ---- messages ---- */

void stage_warn(struct stage *stage, const char *format, ...)
{
    char what[1024], text[1536];
    va_list arguments;
    if (!stage->host || !stage->host->log)
        return;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    (void)snprintf(text, sizeof text, "stage = %.400s: %s", stage->folder, what);
    stage->host->log(TN_LOG_WARNING, text);
}

/* ---- what is there ---- */

int stage_compare_hashes(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static struct entry *find_hash(const struct stage *stage, uint64_t hash)
{
    const uint64_t *found = bsearch(&hash, stage->hashes, (size_t)stage->count, 2 * sizeof hash, stage_compare_hashes);
    return found ? &stage->entries[found[1]] : NULL;
}

void stage_set_whole(struct stage *stage, struct entry *entry, int whole)
{
    if (atomic_load(&entry->whole) == whole)
        return;
    stage->used = whole ? stage->used + entry->file.size : stage->used - entry->file.size;
    atomic_store(&entry->whole, whole);
}

/* Opens a copy for good; one that is gone already is none. Not again where one was damaged: its descriptor has to stay
 * open for those who are at it. */
static void keep(struct stage *stage, struct entry *entry)
{
    if (!stage->keeps_open || atomic_load(&entry->kept) >= 0 || entry->rejected_kept >= 0)
        return;
    int descriptor = copy_open(&stage->copies, &entry->file);
    if (descriptor >= 0)
        atomic_store(&entry->kept, descriptor);
}

struct scan {
    struct stage *stage;
    unsigned char *found; /* [count] */
};

static int visit(void *context, uint64_t hash, const char *name, uint64_t size)
{
    struct scan *scan = context;
    char expected[COPY_NAME_BYTES];
    struct entry *entry = find_hash(scan->stage, hash);
    if (!entry || size != entry->file.size)
        return 0;
    copy_name(&entry->file, expected);
    if (strcmp(name, expected) != 0) /* of another version */
        return 0;
    scan->found[entry - scan->stage->entries] = 1;
    return 1;
}

/* Others, or a run with a larger budget, may have left more than is allowed: what is needed last leaves. */
static void trim(struct stage *stage)
{
    for (uint64_t i = stage->count; i-- > 0 && stage->used > stage->limit;) {
        struct entry *entry = &stage->entries[stage->order[i]];
        if (atomic_load(&entry->whole)) {
            copy_remove(&stage->copies, &entry->file);
            stage_set_whole(stage, entry, 0);
        }
    }
}

void stage_look_through(struct stage *stage)
{
    struct scan scan = {stage, calloc((size_t)stage->count, 1)};
    stage->stale = 0;
    stage->made = 0;
    if (!scan.found)
        return;
    pthread_mutex_unlock(&stage->mutex);
    copies_list(&stage->copies, visit, &scan);
    pthread_mutex_lock(&stage->mutex);
    for (uint64_t i = 0; i < stage->count; i++)
        stage_set_whole(stage, &stage->entries[i], scan.found[i] && !stage->entries[i].given_up);
    free(scan.found);
    trim(stage);
    for (uint64_t i = 0; i < stage->count; i++)
        if (atomic_load(&stage->entries[i].whole))
            keep(stage, &stage->entries[i]);
}

/* ---- room ---- */

static int is_done_with(const struct stage *stage, uint64_t position)
{
    return position + 2 * (uint64_t)stage->strands <= stage->progress;
}

/* A copy that is needed later than the file at `position`; NULL = there is none. */
static struct entry *choose_victim(struct stage *stage, uint64_t position)
{
    for (; is_done_with(stage, stage->oldest) && stage->oldest < position; stage->oldest++)
        if (atomic_load(&stage->entries[stage->order[stage->oldest]].whole))
            return &stage->entries[stage->order[stage->oldest]];
    for (; stage->latest > position + 1; stage->latest--)
        if (atomic_load(&stage->entries[stage->order[stage->latest - 1]].whole))
            return &stage->entries[stage->order[stage->latest - 1]];
    return NULL;
}

static int has_room(const struct stage *stage, uint64_t size)
{
    return size <= stage->limit && stage->used <= stage->limit - size;
}

/* Removes copies until a file fits. With a kept descriptor nothing would be freed, and reading is random: all are
 * needed as soon. */
static int make_room(struct stage *stage, uint64_t position, uint64_t size)
{
    while (!has_room(stage, size)) {
        struct entry *victim =
            stage->arranged && !stage->second_lap && !stage->keeps_open ? choose_victim(stage, position) : NULL;
        if (!victim)
            return 0;
        copy_remove(&stage->copies, &victim->file);
        stage_set_whole(stage, victim, 0);
    }
    return 1;
}

/* ---- copying ---- */

/* The next file to copy, room for it made; NULL: nothing to do, or no room before reading comes on. */
static struct entry *choose(struct stage *stage)
{
    for (;;) {
        uint64_t end = stage->second_lap ? stage->count : stage->needed;
        if (!stage->second_lap && stage->arranged && stage->next < stage->progress)
            stage->next = stage->progress;
        if (stage->next >= end && stage->second_lap)
            return NULL;
        if (stage->next >= end) {
            stage->second_lap = 1;
            stage->next = 0;
            continue;
        }
        struct entry *entry = &stage->entries[stage->order[stage->next]];
        if (!atomic_load(&entry->whole) && !entry->given_up && entry->file.size <= stage->limit) {
            if (make_room(stage, stage->next, entry->file.size))
                return entry;
            if (stage->arranged && !stage->second_lap)
                return NULL;
        }
        stage->next++;
    }
}

static void take_result(struct stage *stage, struct entry *entry, enum copy_result result, int reason)
{
    stage->used -= entry->file.size; /* what was reserved */
    if (result == COPY_MADE) {
        stage_set_whole(stage, entry, 1);
        keep(stage, entry);
        stage->made += entry->file.size;
        stage->stale |= stage->made > stage->limit / 16;
    } else if (result == COPY_NO_ROOM) {
        stage->limit = stage->used; /* goes on with what is there */
        if (!stage->full)
            stage_warn(stage, "%s; staging goes on with the %llu bytes that it has", strerror(reason),
                       (unsigned long long)stage->used);
        stage->full = 1;
    } else if (result == COPY_DISK_FAILED) {
        stage->stopped = 1;
        stage_warn(stage, "%s; no more is copied to it", strerror(reason));
    } else {
        entry->given_up = 1; /* who reads the original tells what is wrong with it */
    }
}

static void copy(struct stage *stage, struct entry *entry)
{
    enum copy_result result = COPY_MADE;
    int reason = 0;
    stage->used += entry->file.size;
    pthread_mutex_unlock(&stage->mutex);
    int there = copy_open(&stage->copies, &entry->file); /* somebody else's work */
    if (there >= 0)
        (void)close(there);
    else
        result = copy_make(&stage->copies, &entry->file, &stage->quit, &reason);
    pthread_mutex_lock(&stage->mutex);
    take_result(stage, entry, result, reason);
}

void *stage_main(void *argument)
{
    struct stage *stage = argument;
    pthread_mutex_lock(&stage->mutex);
    while (!atomic_load(&stage->quit)) {
        uint64_t seen = stage->moves;
        if (stage->stale)
            stage_look_through(stage);
        struct entry *entry = stage->stopped ? NULL : choose(stage);
        if (entry) {
            copy(stage, entry);
        } else if (!stage->stale && stage->moves == seen) { /* looking and choosing let go of the mutex at times */
            stage->idle = 1;
            pthread_cond_wait(&stage->moved, &stage->mutex);
            stage->idle = 0;
        }
    }
    pthread_mutex_unlock(&stage->mutex);
    return NULL;
}
