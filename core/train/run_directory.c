/* run_directory.c: the folder of a run, RUN_FOLDER/NAME: made, locked, and begun with what describes the run. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train/state.h"

#define LOCK_NAME "lock"

/* Does the folder hold anything but a lock? A folder that is not there holds nothing. */
static bool is_used(const char *path)
{
    DIR *stream = opendir(path);
    const struct dirent *entry;
    bool used = false;
    if (!stream)
        return false;
    while (!used && (entry = readdir(stream)) != NULL)
        used = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
               strcmp(entry->d_name, LOCK_NAME) != 0;
    (void)closedir(stream);
    return used;
}

/* Whether a run has come to anything here: one that was killed in its first moments has not, and is begun again. */
static bool has_results(const char *path, const char *local_base)
{
    char part[1100];
    struct stat log;
    (void)snprintf(part, sizeof part, "%s/checkpoints", path);
    if (tn_path_exists(part) || tn_state_is_there(path, local_base))
        return true;
    (void)snprintf(part, sizeof part, "%s/log.csv", path);
    return stat(part, &log) == 0 && log.st_size > 0;
}

static tn_status say_busy(const char *path, int descriptor, struct tn_error *error)
{
    char owner[128] = "";
    ssize_t length = pread(descriptor, owner, sizeof owner - 1, 0);
    owner[length > 0 ? (size_t)length : 0] = '\0';
    owner[strcspn(owner, "\n")] = '\0';
    return tn_fail(error, TN_BUSY,
                   "%s is in use by another run (%s): wait for it, or give this one another "
                   "experiment.name",
                   path, *owner ? owner : "of an unknown process");
}

/* The lock is the kernel's, on an open file: it ends with the process that holds it, however that ends, so that nothing
 * has to be cleaned up after a kill. The file names the owner for people only. */
static tn_status take_lock(const char *folder, int *lock, struct tn_error *error)
{
    char path[1100], owner[160], host[64] = "";
    struct stat by_name, by_descriptor;
    (void)snprintf(path, sizeof path, "%s/%s", folder, LOCK_NAME);
    for (;;) {
        int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (descriptor < 0)
            return tn_fail(error, TN_IO, "cannot write into the run directory: %s: %s", path, strerror(errno));
        if (flock(descriptor, LOCK_EX | LOCK_NB) != 0 && (errno == EWOULDBLOCK || errno == EINTR)) {
            tn_status status = say_busy(folder, descriptor, error);
            (void)close(descriptor);
            return status;
        } /* any other failure: a mount without locks, where nobody can be kept out */
        if (fstat(descriptor, &by_descriptor) != 0 || stat(path, &by_name) != 0 ||
            by_name.st_ino != by_descriptor.st_ino || by_name.st_dev != by_descriptor.st_dev) {
            (void)close(descriptor); /* its owner removed it just now */
            continue;
        }
        (void)gethostname(host, sizeof host - 1);
        (void)snprintf(owner, sizeof owner, "process %ld on %s\n", (long)getpid(), host);
        if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, owner, strlen(owner), 0) != (ssize_t)strlen(owner)) {
            tn_status status =
                tn_fail(error, TN_IO, "cannot write into the run directory: %s: %s", path, strerror(errno));
            (void)close(descriptor);
            return status;
        }
        *lock = descriptor;
        return TN_OK;
    }
}

void tn_run_directory_close(struct tn_run_directory *directory)
{
    char path[1100];
    if (directory->lock < 0)
        return;
    (void)snprintf(path, sizeof path, "%s/%s", directory->path, LOCK_NAME);
    (void)unlink(path);
    (void)close(directory->lock);
    directory->lock = -1;
}

/* Makes and locks one folder. *free_ = false: another run has been here (no error is recorded then); it stays locked
 * when that can be gone on with, and may be. */
static tn_status try_folder(struct tn_run_directory *directory, const char *state_folder, bool *free_, bool may_resume,
                            struct tn_error *error)
{
    char buffer[1100];
    bool existed = tn_path_exists(directory->path);
    tn_status status = tn_folder_make(directory->path, error);
    if (status != TN_OK)
        return tn_error_wrap(error, status, "cannot make the run directory");
    status = take_lock(directory->path, &directory->lock, error);
    if (status != TN_OK)
        return status;
    const char *local = tn_place_local(state_folder, directory->path, buffer, sizeof buffer);
    *free_ = !existed || !is_used(directory->path) || (may_resume && !has_results(directory->path, local));
    directory->resumes = !*free_ && may_resume && tn_state_is_there(directory->path, local);
    if (!*free_ && !directory->resumes)
        tn_run_directory_close(directory);
    return TN_OK;
}

/* What a kill has left half written (see tn_file_write): the folder is ours alone. */
static void sweep(const char *folder)
{
    DIR *stream = opendir(folder);
    const struct dirent *entry;
    char path[1400];
    while (stream && (entry = readdir(stream)) != NULL) {
        const char *mark = strstr(entry->d_name, ".tmp-");
        if (!mark || mark[5 + strspn(mark + 5, "0123456789")] != '\0' || mark[5] == '\0')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        (void)unlink(path);
    }
    if (stream)
        (void)closedir(stream);
}

static void sweep_all(const char *directory)
{
    static const char *const parts[] = {"", "/checkpoints", "/state"};
    char folder[1100];
    for (size_t i = 0; i < TN_COUNT_OF(parts); i++) {
        (void)snprintf(folder, sizeof folder, "%s%s", directory, parts[i]);
        sweep(folder);
    }
}

static tn_status find_folder(struct tn_run_directory *directory, const struct tn_experiment *experiment, bool fresh,
                             struct tn_error *error)
{
    const char *path = experiment->run_directory;
    bool free_ = false;
    tn_status status = TN_OK;
    for (unsigned number = 1; !free_ && number < 100000; number++) {
        int length = number == 1 ? snprintf(directory->path, sizeof directory->path, "%s", path)
                                 : snprintf(directory->path, sizeof directory->path, "%s-%u", path, number);
        if (length < 0 || (size_t)length >= sizeof directory->path)
            return tn_fail(error, TN_INVALID, "the name of the run directory is too long: %s", path);
        if (fresh && is_used(directory->path))
            continue;
        status = try_folder(directory, experiment->options.state_folder, &free_, !fresh, error);
        if (status == TN_BUSY && fresh)
            continue;
        if (status != TN_OK)
            return status;
        if (directory->resumes)
            return TN_OK;
        if (!free_ && !fresh)
            return tn_fail(
                error, TN_INVALID,
                "%s holds a run already, without a state to go on from; use --fresh, or give this one another "
                "experiment.name",
                path);
    }
    return free_ ? TN_OK : status != TN_OK ? status : tn_fail(error, TN_FAILED, "%s: too many runs of this name", path);
}

/* ---- what describes the run ---- */

static tn_status write_text(const struct tn_run_directory *directory, const char *name, const struct tn_text *text,
                            struct tn_error *error)
{
    char path[1200];
    if (text->failed)
        return tn_fail(error, TN_NO_MEMORY, "no memory to write %s", name);
    (void)snprintf(path, sizeof path, "%s/%s", directory->path, name);
    return tn_file_write(path, text->data ? text->data : "", text->length, error);
}

static tn_status write_config(const struct tn_run_directory *directory, const struct tn_experiment *experiment,
                              struct tn_error *error)
{
    struct tn_text text = {.data = NULL};
    tn_status status = tn_run_config_print(experiment, &text);
    if (status == TN_OK)
        status = write_text(directory, "config.ini", &text, error);
    else
        status = tn_fail(error, status, "no memory to write config.ini");
    tn_text_release(&text);
    return status;
}

/* One name in each line. */
static tn_status write_names(const struct tn_run_directory *directory, const char *file, const char *const *names,
                             uint32_t count, struct tn_error *error)
{
    struct tn_text text = {.data = NULL};
    tn_status status;
    for (uint32_t i = 0; i < count; i++)
        tn_text_format(&text, "%s\n", names[i]);
    status = write_text(directory, file, &text, error);
    tn_text_release(&text);
    return status;
}

tn_status tn_run_directory_open(struct tn_run_directory *directory, const struct tn_experiment *experiment, bool fresh,
                                struct tn_error *error)
{
    tn_status status;
    *directory = (struct tn_run_directory){.lock = -1};
    TN_TRY(status, find_folder(directory, experiment, fresh, error), out);
    sweep_all(directory->path);
    if (!directory->resumes) /* else only once it is known that this run goes on */
        status = tn_run_directory_describe(directory, experiment, error);
out:
    if (status != TN_OK)
        tn_run_directory_close(directory);
    return status;
}

tn_status tn_run_directory_describe(const struct tn_run_directory *directory, const struct tn_experiment *experiment,
                                    struct tn_error *error)
{
    tn_status status;
    TN_TRY(status, write_config(directory, experiment, error), out);
    if (experiment->class_count)
        TN_TRY(status, write_names(directory, "classes.txt", experiment->classes, experiment->class_count, error), out);
    if (experiment->target_count)
        TN_TRY(status, write_names(directory, "targets.txt", experiment->targets, experiment->target_count, error),
               out);
    status = tn_manifest_write(experiment, directory->path, error);
out:
    return status;
}
