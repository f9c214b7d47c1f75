/* state_behind.c: the second tier: states that are safe on this machine's disk, copied to the run directory.
 *
 * The place may be slow, or away for a while: training does not wait for it, and what is newest goes there when it is
 * back. The run ends only when its last state has arrived.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"
#include "train/state.h"

/* Of the time between two copies: what the place may be busy, and what a core may be. */
static const double BUSY_SHARE = 0.5, CORE_SHARE = 0.01;
static const double LEAST_SECONDS = 5, MOST_PAUSE = 300;

struct tn_state_behind {
    struct tn_state_shelf *from, shelf;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    bool started, quit, hurry, busy;
    uint64_t offered, tried, copied; /* generations: newest here, last that was tried there, last that is there */
    uint32_t crc;                    /* of the offered one */
    double next;                     /* not before */
    unsigned failures;               /* in a row */
    struct tn_error failure;
    int32_t news; /* 1: away; 2: back; 0: told */
};

/* ---- one copy ---- */

/* Reads all of it once, so that a bad sector is an error here and no signal while it is mapped. */
static tn_status touch_all(int file, uint64_t bytes)
{
    char *piece = malloc(1 << 18);
    uint64_t at = 0;
    while (piece && at < bytes) {
        ssize_t got = pread(file, piece, 1 << 18, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = EIO; /* it is shorter than it says */
        if (got <= 0)
            break;
        at += (uint64_t)got;
    }
    if (!piece)
        errno = ENOMEM;
    free(piece);
    return at == bytes ? TN_OK : TN_IO;
}

static tn_status copy(struct tn_state_behind *behind, uint64_t generation, uint32_t crc, struct tn_error *error)
{
    char path[1200];
    struct stat info;
    void *data = MAP_FAILED;
    tn_status status = TN_OK;
    tn_state_file_name(behind->from->folder, generation, path, sizeof path);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &info) != 0 || touch_all(file, (uint64_t)info.st_size) != TN_OK)
        status = tn_fail(error, TN_IO, "cannot read %s: %s", path, strerror(errno));
    else if ((data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0)) == MAP_FAILED)
        status = tn_fail(error, TN_NO_MEMORY, "cannot map %s: %s", path, strerror(errno));
    else if (tn_crc32c(data, (uint64_t)info.st_size) != crc)
        status = tn_fail(error, TN_CORRUPT, "%s does not hold any more what was written to it", path);
    if (status == TN_OK)
        status = tn_state_shelve(&behind->shelf, generation, data, (uint64_t)info.st_size, error);
    if (data != MAP_FAILED)
        (void)munmap(data, (size_t)info.st_size);
    if (file >= 0)
        (void)close(file);
    return status;
}

static double core_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- the thread; with the mutex locked ---- */

static void note_result(struct tn_state_behind *behind, uint64_t generation, tn_status status, double wall, double core,
                        const struct tn_error *failure)
{
    double pause = fmax(fmax(wall * (1 / BUSY_SHARE - 1), core / CORE_SHARE), LEAST_SECONDS);
    behind->tried = generation;
    if (status == TN_OK) {
        behind->copied = generation;
        if (behind->failures > 0)
            behind->news = 2;
        behind->failures = 0;
    } else {
        behind->failure = *failure;
        if (behind->failures++ == 0)
            behind->news = 1;
        for (unsigned i = 1; i < behind->failures && pause < MOST_PAUSE; i++)
            pause = fmin(2 * pause, MOST_PAUSE);
    }
    behind->next = tn_seconds_now() + pause;
}

static void copy_newest(struct tn_state_behind *behind)
{
    uint64_t generation = behind->offered;
    uint32_t crc = behind->crc;
    struct tn_error failure = {.status = TN_OK};
    atomic_store(&behind->from->held, generation);
    behind->busy = true;
    pthread_mutex_unlock(&behind->mutex);
    double begin = tn_seconds_now(), core = core_seconds();
    tn_status status = copy(behind, generation, crc, &failure);
    double wall = tn_seconds_now() - begin;
    core = core_seconds() - core;
    pthread_mutex_lock(&behind->mutex);
    atomic_store(&behind->from->held, 0);
    behind->busy = false;
    note_result(behind, generation, status, wall, core, &failure);
    pthread_cond_broadcast(&behind->moved);
}

static void wait_until(struct tn_state_behind *behind, double seconds)
{
    struct timespec until = tn_deadline(fmax(seconds - tn_seconds_now(), 0.01));
    (void)pthread_cond_timedwait(&behind->moved, &behind->mutex, &until);
}

static void *behind_main(void *argument)
{
    struct tn_state_behind *behind = argument;
    pthread_mutex_lock(&behind->mutex);
    while (!behind->quit) {
        if (behind->offered == behind->copied)
            pthread_cond_wait(&behind->moved, &behind->mutex);
        else if (!behind->hurry && tn_seconds_now() < behind->next)
            wait_until(behind, behind->next);
        else {
            behind->hurry = false;
            copy_newest(behind);
        }
    }
    pthread_mutex_unlock(&behind->mutex);
    return NULL;
}

/* ---- for the keeper ---- */

tn_status tn_state_behind_open(struct tn_state_shelf *from, const char *folder, uint64_t newest,
                               struct tn_state_behind **behind, struct tn_error *error)
{
    struct tn_state_behind *made = calloc(1, sizeof *made);
    *behind = made;
    if (!made)
        return tn_fail(error, TN_NO_MEMORY, "no memory to copy the run's state");
    made->from = from;
    made->shelf.newest = newest;
    (void)snprintf(made->shelf.folder, sizeof made->shelf.folder, "%s", folder);
    (void)pthread_mutex_init(&made->mutex, NULL);
    (void)pthread_cond_init(&made->moved, NULL);
    made->started = tn_thread_start(&made->thread, behind_main, made) == 0;
    return made->started ? TN_OK
                         : tn_fail(error, TN_FAILED, "the thread that copies the run's state could not be started");
}

void tn_state_behind_close(struct tn_state_behind **behind)
{
    struct tn_state_behind *closing = *behind;
    if (!closing)
        return;
    if (closing->started) {
        pthread_mutex_lock(&closing->mutex);
        closing->quit = true;
        pthread_cond_broadcast(&closing->moved);
        pthread_mutex_unlock(&closing->mutex);
        pthread_join(closing->thread, NULL);
    }
    pthread_cond_destroy(&closing->moved);
    pthread_mutex_destroy(&closing->mutex);
    free(closing);
    *behind = NULL;
}

void tn_state_behind_offer(struct tn_state_behind *behind, uint64_t generation, uint32_t crc)
{
    pthread_mutex_lock(&behind->mutex);
    behind->offered = generation;
    behind->crc = crc;
    pthread_cond_broadcast(&behind->moved);
    pthread_mutex_unlock(&behind->mutex);
}

tn_status tn_state_behind_flush(struct tn_state_behind *behind, struct tn_error *error)
{
    pthread_mutex_lock(&behind->mutex);
    while (behind->busy) /* with an older one */
        pthread_cond_wait(&behind->moved, &behind->mutex);
    behind->tried = 0;
    behind->hurry = true;
    pthread_cond_broadcast(&behind->moved);
    while (behind->copied != behind->offered && behind->tried != behind->offered)
        pthread_cond_wait(&behind->moved, &behind->mutex);
    behind->hurry = false;
    tn_status status = behind->copied == behind->offered ? TN_OK : behind->failure.status;
    if (status != TN_OK && error)
        *error = behind->failure;
    pthread_mutex_unlock(&behind->mutex);
    return status;
}

int32_t tn_state_behind_news(struct tn_state_behind *behind, char *text, size_t bytes)
{
    pthread_mutex_lock(&behind->mutex);
    int32_t news = behind->news;
    behind->news = 0;
    if (news == 1)
        (void)snprintf(text, bytes,
                       "the run's state could not be copied to %s: %s; it is safe in %s, and goes there later",
                       behind->shelf.folder, behind->failure.text, behind->from->folder);
    else if (news == 2)
        (void)snprintf(text, bytes, "%s is back: the run's state is there again", behind->shelf.folder);
    pthread_mutex_unlock(&behind->mutex);
    return news == 1 ? TN_LOG_WARNING : news == 2 ? TN_LOG_INFO : -1;
}
