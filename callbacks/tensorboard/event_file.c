/* event_file.c: see event_file.h. A record is its length (8 bytes, little endian), the masked CRC-32C of those, the
 * bytes, their masked CRC-32C.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <isa-l/crc.h>

#include "../clock.h"
#include "event_file.h"
#include "summary.h"

enum { HEAD = 12, TAIL = 4, ROOM = 256 << 10 };
/* A place that fails may be slow to do so: a full room is tried to be emptied so often only. */
static const double retry_seconds = 10;

double wall_seconds(void)
{
    return clock_seconds(CLOCK_REALTIME);
}

static tn_status refuse(struct event_file *file, const char *path, struct tn_error *error)
{
    file->reason = errno;
    return tn_fail(error, TN_IO, "cannot write %s: %s", path, strerror(file->reason));
}

/* ---- open ---- */

static tn_status make_folder(struct event_file *file, const char *folder, struct tn_error *error)
{
    char path[1024];
    if (strlen(folder) >= sizeof path)
        return tn_fail(error, TN_INVALID, "the folder's name is too long: %s", folder);
    (void)snprintf(path, sizeof path, "%s", folder);
    for (char *at = path + 1;; at++) {
        char kept = *at;
        if (kept != '/' && kept != '\0')
            continue;
        *at = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return refuse(file, path, error);
        *at = kept;
        if (kept == '\0')
            return TN_OK;
    }
}

/* TensorBoard reads the files of a folder in the order of their names, so that a run that goes on stands behind. */
static tn_status create(struct event_file *file, const char *folder, struct tn_error *error)
{
    char host[64] = "";
    (void)gethostname(host, sizeof host - 1);
    for (char *at = host; *at; at++)
        *at = *at == '/' ? '_' : *at;
    for (unsigned number = 0; number < 10000; number++) {
        int length = snprintf(file->path, sizeof file->path, "%s/events.out.tfevents.%010lld.%s.%ld.%u.v2", folder,
                              (long long)time(NULL), *host ? host : "localhost", (long)getpid(), number);
        if (length < 0 || (size_t)length >= sizeof file->path)
            return tn_fail(error, TN_INVALID, "the folder's name is too long: %s", folder);
        file->descriptor = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->descriptor >= 0)
            return TN_OK;
        if (errno != EEXIST)
            break;
    }
    return refuse(file, file->path, error);
}

tn_status event_file_open(struct event_file *file, const char *folder, struct tn_error *error)
{
    tn_status status;
    *file = (struct event_file){.descriptor = -1, .flushed = seconds_now()};
    status = make_folder(file, folder, error);
    if (status == TN_OK)
        status = create(file, folder, error);
    if (status != TN_OK)
        return status;
    file->pending = malloc(ROOM);
    file->capacity = file->pending ? ROOM : 0;
    summary_version(&file->event);
    status = event_file_add(file, error);
    return status == TN_OK ? event_file_flush(file, error) : status;
}

/* ---- records ---- */

static uint32_t checksum(const unsigned char *bytes, size_t count)
{
    uint32_t crc = ~crc32_iscsi((unsigned char *)(uintptr_t)bytes, (int)count, 0xFFFFFFFFu);
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

static void put_little(unsigned char *at, uint64_t value, int count)
{
    for (int i = 0; i < count; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

/* Room for a record: by writing what is pending, or by more memory for one that is larger than all of the room. */
static tn_status make_room(struct event_file *file, size_t bytes, struct tn_error *error)
{
    unsigned char *grown;
    tn_status status = TN_OK;
    if (file->capacity - file->pending_bytes >= bytes)
        return TN_OK;
    if (file->reason && seconds_now() - file->flushed < retry_seconds) {
        errno = file->reason;
        return refuse(file, file->path, error);
    }
    if (file->pending_bytes)
        status = event_file_flush(file, error);
    if (status != TN_OK || file->capacity >= bytes)
        return status;
    grown = realloc(file->pending, bytes);
    if (!grown)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a record of %llu bytes", (unsigned long long)bytes);
    file->pending = grown;
    file->capacity = bytes;
    return TN_OK;
}

tn_status event_file_add(struct event_file *file, struct tn_error *error)
{
    struct message *event = &file->event;
    size_t length = event->used;
    int32_t failed = event->failed;
    unsigned char *at;
    tn_status status;
    event->used = 0;
    event->failed = 0;
    if (file->descriptor < 0)
        return TN_OK;
    if (failed)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a record of more than %llu bytes",
                       (unsigned long long)length);
    status = make_room(file, HEAD + length + TAIL, error);
    if (status != TN_OK)
        return status;
    at = file->pending + file->pending_bytes;
    put_little(at, length, 8);
    put_little(at + 8, checksum(at, 8), 4);
    memcpy(at + HEAD, event->bytes, length);
    put_little(at + HEAD + length, checksum(at + HEAD, length), 4);
    file->pending_bytes += HEAD + length + TAIL;
    return TN_OK;
}

/* ---- write ---- */

tn_status event_file_flush(struct event_file *file, struct tn_error *error)
{
    size_t done = 0;
    file->flushed = seconds_now();
    while (file->descriptor >= 0 && done < file->pending_bytes) {
        ssize_t step =
            pwrite(file->descriptor, file->pending + done, file->pending_bytes - done, (off_t)(file->written + done));
        if (step < 0 && errno == EINTR)
            continue;
        if (step <= 0) {
            tn_status status = refuse(file, file->path, error);
            if (done) /* a reader takes half a record for the end of the file, and nothing may stand behind one */
                (void)!ftruncate(file->descriptor, (off_t)file->written);
            return status;
        }
        done += (size_t)step;
    }
    file->written += done;
    file->pending_bytes = 0;
    file->reason = 0;
    return TN_OK;
}

tn_status event_file_close(struct event_file *file, struct tn_error *error)
{
    tn_status status = TN_OK;
    if (file->descriptor >= 0) {
        status = event_file_flush(file, error);
        if (close(file->descriptor) != 0 && status == TN_OK)
            status = refuse(file, file->path, error);
    }
    file->descriptor = -1;
    free(file->pending);
    file->pending = NULL;
    file->pending_bytes = file->capacity = 0;
    message_release(&file->event);
    return status;
}
