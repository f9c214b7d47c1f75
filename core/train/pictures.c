/* pictures.c: a folder of pictures, or a single one, as a source without labels, for `tenon predict`. Files are found
 * with their folders, in order of their names; what begins with a dot is left alone.
 */
#include "train/pictures.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { DEEPEST = 32 };
#define LARGEST_FILE (1ull << 30)

struct pictures {
    const char *path;
    struct tn_arena arena;
    const char **names; /* whole paths */
    size_t count, capacity;
    bool single; /* path is a file */
};

static bool looks_like_picture(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".tif", ".tiff", ".webp", ".gif"};
    size_t length = strlen(name);
    for (size_t i = 0; i < TN_COUNT_OF(endings); i++)
        if (length > strlen(endings[i]) && strcasecmp(name + length - strlen(endings[i]), endings[i]) == 0)
            return true;
    return false;
}

static tn_status add(struct pictures *pictures, const char *path, struct tn_error *error)
{
    const char *copy = tn_arena_string(&pictures->arena, path);
    if (!copy || tn_grow(&pictures->names, &pictures->capacity, pictures->count + 1, sizeof *pictures->names) != TN_OK)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the names of pictures");
    pictures->names[pictures->count++] = copy;
    return TN_OK;
}

static tn_status look_into(struct pictures *pictures, const char *folder, int depth, struct tn_error *error)
{
    DIR *stream = opendir(folder);
    const struct dirent *entry;
    tn_status status = TN_OK;
    if (!stream)
        return tn_fail(error, errno == ENOENT ? TN_NOT_FOUND : TN_IO, "cannot read the folder %s: %s", folder,
                       strerror(errno));
    while (status == TN_OK && (entry = readdir(stream)) != NULL) {
        struct stat known;
        char *path;
        if (entry->d_name[0] == '.')
            continue;
        path = tn_arena_format(&pictures->arena, "%s/%s", folder, entry->d_name);
        if (!path)
            status = tn_fail(error, TN_NO_MEMORY, "no memory for the names of pictures");
        else if (lstat(path, &known) != 0 ||
                 (S_ISLNK(known.st_mode) && (stat(path, &known) != 0 || S_ISDIR(known.st_mode))))
            continue; /* a link to nowhere, or to a folder: those may run in circles */
        else if (S_ISDIR(known.st_mode) && depth < DEEPEST)
            status = look_into(pictures, path, depth + 1, error);
        else if (S_ISREG(known.st_mode) && looks_like_picture(entry->d_name))
            status = add(pictures, path, error);
    }
    (void)closedir(stream);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static tn_status pictures_scan(void *self, const struct tn_source_request *request, struct tn_source_info *info,
                               struct tn_error *error)
{
    struct pictures *pictures = self;
    tn_status status;
    (void)request;
    if (!tn_path_exists(pictures->path))
        return tn_fail(error, TN_NOT_FOUND, "%s: there is no such file or folder", pictures->path);
    pictures->single = !tn_path_is_folder(pictures->path);
    status = pictures->single ? add(pictures, pictures->path, error) : look_into(pictures, pictures->path, 0, error);
    if (status != TN_OK)
        return status;
    if (pictures->count == 0)
        return tn_fail(error, TN_NOT_FOUND, "%s: there are no pictures in this folder", pictures->path);
    qsort(pictures->names, pictures->count, sizeof *pictures->names, compare_names);
    info->count = pictures->count;
    return TN_OK;
}

static void pictures_name(const void *self, uint64_t index, char *text, uint64_t text_bytes)
{
    const struct pictures *pictures = self;
    (void)snprintf(text, text_bytes, "%s", pictures->names[index]);
}

struct reading {
    void *bytes;
};

static tn_status pictures_worker_open(const void *self, void **worker, struct tn_error *error)
{
    (void)self;
    *worker = calloc(1, sizeof(struct reading));
    return *worker ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory to read pictures");
}

static void pictures_worker_close(const void *self, void *worker)
{
    (void)self;
    if (worker)
        free(((struct reading *)worker)->bytes);
    free(worker);
}

static tn_status pictures_read(const void *self, void *worker, uint64_t index, struct tn_sample *sample,
                               struct tn_error *error)
{
    const struct pictures *pictures = self;
    struct reading *reading = worker;
    tn_status status;
    free(reading->bytes);
    reading->bytes = NULL;
    status = tn_file_read(pictures->names[index], LARGEST_FILE, &reading->bytes, &sample->byte_count, error);
    sample->bytes = reading->bytes;
    sample->label = -1;
    return status;
}

static const struct tn_source pictures_type = {
    TN_TYPE(TN_SOURCE, "pictures", struct pictures, NULL, "a folder of pictures, or a single one, without labels"),
    .scan = pictures_scan,
    .name = pictures_name,
    .worker_open = pictures_worker_open,
    .worker_close = pictures_worker_close,
    .read = pictures_read,
};

tn_status tn_pictures_open(const char *path, struct tn_instance **instance, struct tn_error *error)
{
    struct tn_instance *made = calloc(1, sizeof *made);
    struct pictures *pictures = calloc(1, sizeof *pictures);
    if (!made || !pictures) {
        free(made);
        free(pictures);
        return tn_fail(error, TN_NO_MEMORY, "no memory to list pictures");
    }
    pictures->path = tn_arena_string(&pictures->arena, path);
    made->type = &pictures_type.type;
    made->self = pictures;
    made->name = pictures_type.type.name;
    *instance = made;
    return TN_OK;
}

void tn_pictures_close(struct tn_instance **instance)
{
    if (*instance) {
        struct pictures *pictures = (*instance)->self;
        tn_arena_release(&pictures->arena);
        free(pictures->names);
        free(pictures);
        free(*instance);
    }
    *instance = NULL;
}
