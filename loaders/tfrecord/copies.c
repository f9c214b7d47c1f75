/* copies.c: the folder of a stage.
 *
 *   DIR/tenon-HASH/          HASH of the paths of all files: each set of shards has a folder of its own
 *     lock                   locked (flock, shared) by each process that uses the folder
 *     HASH-SIZE-TIME         a whole copy: hash of the path, size and time of the original
 *     copying-XXXXXX         one in the making, locked by its maker
 *
 * Who finds a folder or a half copy that nobody locks may remove it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../digest.h"
#include "copies.h"

enum { PIECE = 1 << 20, ATTEMPTS = 8 };

static const char FOLDER_PREFIX[] = "tenon-", HALF_PREFIX[] = "copying-", LOCK_NAME[] = "lock";

/* ---- names ---- */

uint64_t copy_hash(const struct stage_file *file)
{
    return hash_text(TEXT_HASH, file->path);
}

void copy_name(const struct stage_file *file, char name[COPY_NAME_BYTES])
{
    (void)snprintf(name, COPY_NAME_BYTES, "%016llx-%llu-%lld.%09lld", (unsigned long long)copy_hash(file),
                   (unsigned long long)file->size, (long long)file->seconds, (long long)file->nanoseconds);
}

static uint64_t hash_of_all(const struct stage_spec *spec)
{
    uint64_t hash = TEXT_HASH;
    for (uint64_t i = 0; i < spec->count; i++)
        hash = hash_text(hash, spec->files[i].path);
    return hash;
}

static int begins(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* ---- folders that others have left ---- */

struct leftover {
    uint64_t bytes;
    struct timespec written;
    char name[NAME_MAX + 1];
};

static DIR *open_folder_at(int at, const char *name)
{
    int folder = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *list = folder >= 0 ? fdopendir(folder) : NULL;
    if (folder >= 0 && !list)
        (void)close(folder);
    return list;
}

static uint64_t bytes_in(int at, const char *name)
{
    DIR *list = open_folder_at(at, name);
    struct dirent *entry;
    struct stat state;
    uint64_t bytes = 0;
    while (list && (entry = readdir(list)))
        if (fstatat(dirfd(list), entry->d_name, &state, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(state.st_mode))
            bytes += (uint64_t)state.st_size;
    if (list)
        (void)closedir(list);
    return bytes;
}

/* Removes a folder that nobody uses. Only what a stage has put there: files, and none below. */
static int remove_leftover(int at, const char *name)
{
    DIR *list = open_folder_at(at, name);
    struct dirent *entry;
    if (!list)
        return 0;
    int lock = openat(dirfd(list), LOCK_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    int ours = lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0;
    while (ours && (entry = readdir(list)))
        if (strchr(entry->d_name, '-')) /* a copy, or half of one */
            (void)unlinkat(dirfd(list), entry->d_name, 0);
    if (ours) {
        (void)unlinkat(dirfd(list), LOCK_NAME, 0);
        (void)unlinkat(at, name, AT_REMOVEDIR);
    }
    if (lock >= 0)
        (void)close(lock);
    (void)closedir(list);
    return ours;
}

static int is_older(const void *left, const void *right)
{
    const struct timespec *a = &((const struct leftover *)left)->written,
                          *b = &((const struct leftover *)right)->written;
    if (a->tv_sec != b->tv_sec)
        return a->tv_sec < b->tv_sec ? -1 : 1;
    return a->tv_nsec < b->tv_nsec ? -1 : a->tv_nsec > b->tv_nsec;
}

static struct leftover *find_leftovers(int at, const char *own, size_t *count)
{
    struct leftover *found = NULL;
    struct dirent *entry;
    struct stat state;
    DIR *list = open_folder_at(at, ".");
    *count = 0;
    while (list && (entry = readdir(list))) {
        if (!begins(entry->d_name, FOLDER_PREFIX) || strcmp(entry->d_name, own) == 0 ||
            fstatat(at, entry->d_name, &state, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(state.st_mode))
            continue;
        struct leftover *grown = realloc(found, (*count + 1) * sizeof *found);
        if (!grown)
            break;
        found = grown;
        found[*count].bytes = bytes_in(at, entry->d_name);
        found[*count].written = state.st_mtim;
        (void)snprintf(found[*count].name, sizeof found[*count].name, "%s", entry->d_name);
        (*count)++;
    }
    if (list)
        (void)closedir(list);
    return found;
}

static void remove_leftovers(int at, const char *own, const struct stage_spec *spec)
{
    size_t count;
    uint64_t wanted = 0, there = 0;
    struct leftover *found = find_leftovers(at, own, &count);
    for (uint64_t i = 0; i < spec->count; i++)
        wanted = spec->files[i].size > spec->limit - wanted ? spec->limit : wanted + spec->files[i].size;
    for (size_t i = 0; i < count; i++)
        there += found[i].bytes;
    if (count)
        qsort(found, count, sizeof *found, is_older);
    for (size_t i = 0; i < count && there > spec->limit - wanted; i++)
        if (remove_leftover(at, found[i].name))
            there -= found[i].bytes;
    free(found);
}

/* ---- opening ---- */

static void make_folders(const char *path)
{
    char folder[4096];
    if (snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder)
        return;
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(folder, 0777);
        *slash = '/';
    }
    (void)mkdir(folder, 0777);
}

/* 0 when somebody has removed the folder while it was being claimed: begin again. */
static int claim(struct copies *copies, int at, const char *name)
{
    struct stat locked, named;
    copies->folder = copies->lock = -1;
    if (mkdirat(at, name, 0777) != 0 && errno != EEXIST)
        return 0;
    copies->folder = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (copies->folder >= 0)
        copies->lock = openat(copies->folder, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (copies->lock >= 0 && flock(copies->lock, LOCK_SH) == 0 && fstat(copies->lock, &locked) == 0 &&
        fstatat(copies->folder, LOCK_NAME, &named, AT_SYMLINK_NOFOLLOW) == 0 && locked.st_ino == named.st_ino) {
        (void)futimens(copies->folder, NULL); /* used now */
        return 1;
    }
    int reason = errno;
    copies_close(copies);
    errno = reason;
    return 0;
}

tn_status copies_open(struct copies *copies, const struct stage_spec *spec, struct tn_error *error)
{
    char name[64];
    int claimed = 0;
    (void)snprintf(name, sizeof name, "%s%016llx", FOLDER_PREFIX, (unsigned long long)hash_of_all(spec));
    make_folders(spec->folder);
    int at = open(spec->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return tn_fail(error, TN_IO, "%s: %s", spec->folder, strerror(errno));
    for (int i = 0; i < ATTEMPTS && !claimed; i++)
        claimed = claim(copies, at, name);
    int reason = errno;
    if (claimed)
        remove_leftovers(at, name, spec);
    (void)close(at);
    return claimed ? TN_OK : tn_fail(error, TN_IO, "%s/%s: %s", spec->folder, name, strerror(reason));
}

void copies_close(struct copies *copies)
{
    if (copies->lock >= 0)
        (void)close(copies->lock);
    if (copies->folder >= 0)
        (void)close(copies->folder);
    copies->folder = copies->lock = -1;
}

/* ---- what is there ---- */

static void remove_half(int folder, const char *name)
{
    int file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return;
    if (flock(file, LOCK_EX | LOCK_NB) == 0)
        (void)unlinkat(folder, name, 0);
    (void)close(file);
}

void copies_list(const struct copies *copies,
                 int (*visit)(void *context, uint64_t hash, const char *name, uint64_t size), void *context)
{
    DIR *list = open_folder_at(copies->folder, ".");
    struct dirent *entry;
    struct stat state;
    while (list && (entry = readdir(list))) {
        char *end;
        uint64_t hash = strtoull(entry->d_name, &end, 16);
        if (begins(entry->d_name, HALF_PREFIX))
            remove_half(copies->folder, entry->d_name);
        else if (end == entry->d_name + 16 && *end == '-' &&
                 (fstatat(copies->folder, entry->d_name, &state, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(state.st_mode) ||
                  visit(context, hash, entry->d_name, (uint64_t)state.st_size) != 1))
            (void)unlinkat(copies->folder, entry->d_name, 0);
    }
    if (list)
        (void)closedir(list);
}

int copy_open(const struct copies *copies, const struct stage_file *file)
{
    char name[COPY_NAME_BYTES];
    struct stat state;
    copy_name(file, name);
    int copy = openat(copies->folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (copy >= 0 && fstat(copy, &state) == 0 && S_ISREG(state.st_mode) && (uint64_t)state.st_size == file->size)
        return copy;
    if (copy >= 0)
        (void)close(copy);
    return -1;
}

void copy_remove(const struct copies *copies, const struct stage_file *file)
{
    char name[COPY_NAME_BYTES];
    copy_name(file, name);
    (void)unlinkat(copies->folder, name, 0);
}

/* ---- making one ---- */

/* The original, when it still is what was indexed. */
static int open_original(const struct stage_file *file)
{
    struct stat state;
    int original = open(file->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (original >= 0 && fstat(original, &state) == 0 && S_ISREG(state.st_mode) &&
        (uint64_t)state.st_size == file->size && state.st_mtim.tv_sec == file->seconds &&
        state.st_mtim.tv_nsec == file->nanoseconds)
        return original;
    if (original >= 0)
        (void)close(original);
    return -1;
}

static enum copy_result failed_to_write(int reason, int *told)
{
    *told = reason;
    return reason == ENOSPC || reason == EDQUOT || reason == EFBIG ? COPY_NO_ROOM : COPY_DISK_FAILED;
}

static enum copy_result write_piece(int to, const unsigned char *bytes, size_t count, int *reason)
{
    for (size_t done = 0; done < count;) {
        ssize_t step = write(to, bytes + done, count - done);
        if (step < 0 && errno != EINTR)
            return failed_to_write(errno, reason);
        done += step > 0 ? (size_t)step : 0;
    }
    return COPY_MADE;
}

static enum copy_result copy_bytes(int from, int to, uint64_t size, const atomic_int *quit, int *reason)
{
    enum copy_result result = COPY_MADE;
    uint64_t done = 0;
    if (size > 0 && fallocate(to, 0, 0, (off_t)size) != 0 && failed_to_write(errno, reason) == COPY_NO_ROOM)
        return COPY_NO_ROOM; /* better told now than later */
    unsigned char *bytes = malloc(PIECE);
    if (!bytes)
        return COPY_UNREADABLE;
    while (result == COPY_MADE && done < size) {
        uint64_t left = size - done;
        ssize_t got = pread(from, bytes, left < PIECE ? (size_t)left : PIECE, (off_t)done);
        if (atomic_load(quit))
            result = COPY_STOPPED;
        else if (got == 0 || (got < 0 && errno != EINTR))
            result = COPY_UNREADABLE;
        else if (got > 0) {
            result = write_piece(to, bytes, (size_t)got, reason);
            done += (uint64_t)got;
        }
    }
    free(bytes);
    if (result == COPY_MADE && fsync(to) != 0)
        result = failed_to_write(errno, reason);
    return result;
}

/* A new file that is locked while it is written. */
static int open_half(int folder, char name[32])
{
    for (unsigned try = 0; try < 1000; try++) {
        (void)snprintf(name, 32, "%s%ld-%u", HALF_PREFIX, (long)getpid(), try);
        int half = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (half >= 0)
            (void)flock(half, LOCK_EX | LOCK_NB);
        if (half >= 0 || errno != EEXIST)
            return half;
    }
    return -1;
}

enum copy_result copy_make(const struct copies *copies, const struct stage_file *file, const atomic_int *quit,
                           int *reason)
{
    char half[32], name[COPY_NAME_BYTES];
    int from = open_original(file);
    if (from < 0)
        return COPY_UNREADABLE;
    int to = open_half(copies->folder, half);
    if (to < 0) {
        enum copy_result failed = failed_to_write(errno, reason);
        (void)close(from);
        return failed;
    }
    copy_name(file, name);
    enum copy_result result = copy_bytes(from, to, file->size, quit, reason);
    (void)close(from);
    from = result == COPY_MADE ? open_original(file) : -1; /* written meanwhile? */
    if (result == COPY_MADE && from < 0)
        result = COPY_UNREADABLE;
    if (result == COPY_MADE && renameat(copies->folder, half, copies->folder, name) != 0)
        /* gone: somebody took it for a dead one's, in the moment before it was locked */
        result = errno == ENOENT ? COPY_UNREADABLE : failed_to_write(errno, reason);
    if (result != COPY_MADE)
        (void)unlinkat(copies->folder, half, 0);
    if (from >= 0)
        (void)close(from);
    (void)close(to);
    return result;
}
