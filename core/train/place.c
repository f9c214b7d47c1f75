/* place.c: where states go, and what that place can do: tried out before the first step, so that a run is not begun
 * that could not be saved. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "train/state.h"

enum { PROBE_BYTES = 1 << 20 };

/* ---- which place ---- */

/* File systems whose files are elsewhere, by the numbers of statfs(2). */
static bool is_remote(const char *path)
{
    static const uint32_t remote[] = {
        0x6969,     /* NFS */
        0x517B,     /* SMB */
        0xFF534D42, /* CIFS */
        0xFE534D42, /* SMB 2 */
        0x65735546, /* FUSE: Drive, gcsfuse, Mountpoint for S3, rclone, sshfs */
        0x01021997, /* 9P */
        0x00C36400, /* Ceph */
        0x5346414F, /* AFS */
        0x0BD00BD0, /* Lustre */
        0x47504653, /* GPFS */
        0x19830326, /* BeeGFS */
    };
    struct statfs info;
    if (statfs(path, &info) != 0)
        return false;
    for (size_t i = 0; i < TN_COUNT_OF(remote); i++)
        if ((uint32_t)info.f_type == remote[i])
            return true;
    return false;
}

const char *tn_place_local(const char *state_folder, const char *directory, char *buffer, size_t bytes)
{
    const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int length = 0;
    if (strcmp(state_folder, "no") == 0)
        return NULL;
    if (strcmp(state_folder, "auto") != 0)
        return state_folder;
    if (!is_remote(directory))
        return NULL;
    if (base && base[0] == '/')
        length = snprintf(buffer, bytes, "%s/tenon", base);
    else if (home && home[0] == '/')
        length = snprintf(buffer, bytes, "%s/.local/state/tenon", home);
    return length > 0 && (size_t)length < bytes ? buffer : NULL;
}

/* ---- what it can do ---- */

static tn_status write_and_read_back(const char *folder, const char *path, const char *data, struct tn_error *error)
{
    tn_status status = TN_IO;
    for (int i = 0; i < 2 && status != TN_OK; i++) { /* a network folder fails now and then */
        status = tn_file_write_new(path, O_TRUNC, data, PROBE_BYTES, error);
        if (status == TN_OK)
            status = tn_file_compare(path, data, PROBE_BYTES, error);
    }
    return status == TN_OK ? TN_OK : tn_error_wrap(error, TN_IO, "a state could not be saved in %s", folder);
}

/* As a new file takes the place of an old one. It need not work: tn_file_write knows another way. */
static bool can_replace(const char *new_file, const char *old_file, const char *data)
{
    return tn_file_write_new(old_file, O_TRUNC, data, 1, NULL) == TN_OK && rename(new_file, old_file) == 0;
}

static void measure_room(const char *folder, struct tn_place_report *report)
{
    struct statvfs room;
    report->free_bytes = UINT64_MAX;
    if (statvfs(folder, &room) == 0 && room.f_blocks > 0)
        report->free_bytes = (uint64_t)room.f_bavail * room.f_frsize;
}

tn_status tn_place_probe(const char *folder, uint64_t state_bytes, struct tn_place_report *report,
                         struct tn_error *error)
{
    char first[1200], second[1200], needed[32], there[32];
    char *data = malloc(PROBE_BYTES);
    tn_status status = data ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory to try out %s", folder);
    memset(report, 0, sizeof *report);
    (void)snprintf(first, sizeof first, "%s/probe.tmp-%ld", folder, (long)getpid());
    (void)snprintf(second, sizeof second, "%s/probe-2.tmp-%ld", folder, (long)getpid());
    TN_TRY(status, status, out);
    TN_TRY(status, tn_folder_make(folder, error), out);
    for (size_t i = 0; i < PROBE_BYTES; i++)
        data[i] = (char)(i * 131 + i / 251);
    double begin = tn_seconds_now();
    status = write_and_read_back(folder, first, data, error);
    report->seconds_per_byte = (tn_seconds_now() - begin) / PROBE_BYTES;
    report->replaces = status == TN_OK && can_replace(first, second, data);
    (void)unlink(first);
    (void)unlink(second);
    measure_room(folder, report);
    if (status == TN_OK && report->free_bytes < state_bytes)
        status = tn_fail(
            error, TN_IO, "%s has %s free, and a state of this run takes %s: make room, or save_every = no", folder,
            tn_say_bytes(there, sizeof there, report->free_bytes), tn_say_bytes(needed, sizeof needed, state_bytes));
out:
    free(data);
    return status;
}
