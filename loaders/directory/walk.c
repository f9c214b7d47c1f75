/* walk.c: lists folders as os.walk does, and orders them as Keras does: folders by their path, names within each. Bytes
 * are compared, which for UTF-8 is the order of code points. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "directory.h"

enum { MAXIMUM_DEPTH = 100 };

struct name_list {
    char **items;
    uint64_t count, capacity;
};

/* A folder as found, before all folders of its class are sorted. */
struct found {
    char *path;
    struct name_list names;
};

struct walk {
    struct directory *directory;
    struct found *folders;
    uint64_t count, capacity;
    int depth;
    struct {
        dev_t device;
        ino_t number;
    } ancestors[MAXIMUM_DEPTH];
};

/* ---- which names count ---- */

/* Ends `name` with `extension`, a dot before it where `dot` says so, in any case? */
static int ends_with(const char *name, const char *extension, int dot)
{
    size_t length = strlen(name), tail = strlen(extension);
    if (length < tail + (dot ? 1u : 0u) || strcasecmp(name + length - tail, extension) != 0)
        return 0;
    return !dot || name[length - tail - 1] == '.';
}

static int is_picture(const struct directory *directory, const char *name)
{
    static const char *const generator[] = {"png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff"};
    static const char *const dataset[] = {"bmp", "gif", "jpeg", "jpg", "png"};
    const char *const *list = directory->extensions.items;
    size_t count = directory->extensions.count;
    if (directory->rules == RULES_IMAGE_DATA_GENERATOR)
        list = generator, count = sizeof generator / sizeof *generator;
    if (directory->rules == RULES_IMAGE_DATASET)
        list = dataset, count = sizeof dataset / sizeof *dataset;
    for (size_t i = 0; i < count; i++)
        /* ImageDataGenerator asks for no dot: "filejpg" passes. */
        if (ends_with(name, list[i] + (list[i][0] == '.'), directory->rules != RULES_IMAGE_DATA_GENERATOR))
            return 1;
    return 0;
}

static void count_other(struct left_out *left_out, const char *name)
{
    static const char *const foreign[FOREIGN_COUNT] = {FOREIGN_EXTENSIONS};
    for (size_t i = 0; i < FOREIGN_COUNT; i++)
        if (ends_with(name, foreign[i], 1)) {
            left_out->foreign[i]++;
            return;
        }
    left_out->others++;
}

/* Both Keras functions take hidden files; below the class folders they take hidden folders too. */
static int is_skipped_as_hidden(const struct directory *directory, const char *name)
{
    return name[0] == '.' && directory->rules == RULES_TENON && !directory->hidden;
}

enum entry { ENTRY_FILE, ENTRY_FOLDER, ENTRY_LINKED_FOLDER, ENTRY_OTHER };

/* At most one stat, and that only for links and on file systems that do not tell the type. */
static enum entry entry_type(int folder, const struct dirent *entry)
{
    struct stat status;
    int type = entry->d_type;
    if (type == DT_UNKNOWN && fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
        type = S_ISDIR(status.st_mode)   ? DT_DIR
               : S_ISREG(status.st_mode) ? DT_REG
               : S_ISLNK(status.st_mode) ? DT_LNK
                                         : DT_FIFO;
    if (type == DT_DIR)
        return ENTRY_FOLDER;
    if (type == DT_REG)
        return ENTRY_FILE;
    if (type != DT_LNK)
        return ENTRY_OTHER;
    if (fstatat(folder, entry->d_name, &status, 0) != 0)
        return ENTRY_FILE; /* a dangling link: listed, so that reading it says what is wrong */
    return S_ISDIR(status.st_mode) ? ENTRY_LINKED_FOLDER : S_ISREG(status.st_mode) ? ENTRY_FILE : ENTRY_OTHER;
}

/* ---- small parts ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_folders(const void *a, const void *b)
{
    return strcmp(((const struct found *)a)->path, ((const struct found *)b)->path);
}

static tn_status no_memory(struct tn_error *error)
{
    (void)tn_fail(error, TN_NO_MEMORY, "no memory for the list of files");
    return TN_NO_MEMORY;
}

static tn_status add_name(struct name_list *list, const char *name, struct tn_error *error)
{
    if (list->count == list->capacity) {
        uint64_t more = list->capacity ? list->capacity * 2 : 64;
        char **grown = realloc(list->items, (size_t)more * sizeof *grown);
        if (!grown)
            return no_memory(error);
        list->items = grown, list->capacity = more;
    }
    list->items[list->count] = strdup(name);
    if (!list->items[list->count])
        return no_memory(error);
    list->count++;
    return TN_OK;
}

static void sort_names(struct name_list *list)
{
    if (list->count > 1)
        qsort(list->items, (size_t)list->count, sizeof *list->items, compare_names);
}

static void release_names(struct name_list *list)
{
    for (uint64_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct name_list){0};
}

static char *join(const char *folder, const char *name)
{
    size_t length = strlen(folder), bytes = length + strlen(name) + 2;
    char *path = malloc(bytes);
    if (path)
        (void)snprintf(path, bytes, "%s%s%s", folder, length ? "/" : "", name);
    return path;
}

/* ---- one folder ---- */

static tn_status open_folder(const struct directory *directory, const char *path, DIR **folder, struct tn_error *error)
{
    int descriptor = openat(directory->root, path[0] ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *folder = descriptor >= 0 ? fdopendir(descriptor) : NULL;
    if (*folder)
        return TN_OK;
    int reason = errno;
    if (descriptor >= 0)
        close(descriptor);
    tn_status status = reason == ENOENT || reason == ENOTDIR ? TN_NOT_FOUND : TN_IO;
    (void)tn_fail(error, status, "cannot open folder %s/%s: %s", directory->path, path, strerror(reason));
    return status;
}

/* readdir that tells the end from an error. */
static tn_status next_entry(const struct directory *directory, DIR *folder, const char *path, struct dirent **entry,
                            struct tn_error *error)
{
    do {
        errno = 0;
        *entry = readdir(folder);
        if (!*entry && errno != 0)
            return tn_fail(error, TN_IO, "cannot list folder %s/%s: %s", directory->path, path, strerror(errno));
    } while (*entry && (strcmp((*entry)->d_name, ".") == 0 || strcmp((*entry)->d_name, "..") == 0));
    return TN_OK;
}

static tn_status walk_folder(struct walk *walk, const char *path, struct tn_error *error);

/* Files go to the folder that was found last, folders to `below`. */
static tn_status take_entry(struct walk *walk, DIR *folder, const struct dirent *entry, struct name_list *below,
                            struct tn_error *error)
{
    struct directory *directory = walk->directory;
    const char *name = entry->d_name;
    if (is_skipped_as_hidden(directory, name)) {
        directory->left_out.hidden++;
        return TN_OK;
    }
    enum entry type = entry_type(dirfd(folder), entry);
    if (type == ENTRY_FOLDER || (type == ENTRY_LINKED_FOLDER && directory->follow_links))
        return add_name(below, name, error);
    if (type == ENTRY_LINKED_FOLDER) {
        directory->left_out.linked++;
        return TN_OK;
    }
    if (type == ENTRY_FILE && is_picture(directory, name))
        return add_name(&walk->folders[walk->count - 1].names, name, error);
    count_other(&directory->left_out, name);
    return TN_OK;
}

/* True when the open folder is one of those that it lies in: a link that leads back. */
static int leads_back(struct walk *walk, DIR *folder)
{
    struct stat status;
    if (fstat(dirfd(folder), &status) != 0)
        return 0;
    for (int i = 0; i < walk->depth; i++)
        if (walk->ancestors[i].device == status.st_dev && walk->ancestors[i].number == status.st_ino)
            return 1;
    walk->ancestors[walk->depth].device = status.st_dev;
    walk->ancestors[walk->depth].number = status.st_ino;
    return 0;
}

static tn_status add_found(struct walk *walk, const char *path, struct tn_error *error)
{
    if (walk->count == walk->capacity) {
        uint64_t more = walk->capacity ? walk->capacity * 2 : 16;
        struct found *grown = realloc(walk->folders, (size_t)more * sizeof *grown);
        if (!grown)
            return no_memory(error);
        walk->folders = grown, walk->capacity = more;
    }
    walk->folders[walk->count] = (struct found){.path = strdup(path)};
    if (!walk->folders[walk->count].path)
        return no_memory(error);
    walk->count++;
    return TN_OK;
}

static tn_status walk_below(struct walk *walk, const char *path, const struct name_list *names, struct tn_error *error)
{
    tn_status status = TN_OK;
    for (uint64_t i = 0; status == TN_OK && i < names->count; i++) {
        char *below = join(path, names->items[i]);
        status = below ? walk_folder(walk, below, error) : no_memory(error);
        free(below);
    }
    return status;
}

/* Lists a folder whole and closes it before it goes into those below: descriptors stay few. */
static tn_status walk_folder(struct walk *walk, const char *path, struct tn_error *error)
{
    DIR *folder = NULL;
    struct name_list below = {0};
    if (walk->depth == MAXIMUM_DEPTH)
        return tn_fail(error, TN_INVALID, "folders are nested more than %d deep at %s/%s", (int)MAXIMUM_DEPTH,
                       walk->directory->path, path);
    tn_status status = open_folder(walk->directory, path, &folder, error);
    if (status != TN_OK)
        return status;
    if (leads_back(walk, folder)) {
        walk->directory->left_out.loops++;
        closedir(folder);
        return TN_OK;
    }
    status = add_found(walk, path, error);
    while (status == TN_OK) {
        struct dirent *entry;
        status = next_entry(walk->directory, folder, path, &entry, error);
        if (status != TN_OK || !entry)
            break;
        status = take_entry(walk, folder, entry, &below, error);
    }
    closedir(folder);
    walk->depth++;
    if (status == TN_OK)
        status = walk_below(walk, path, &below, error);
    walk->depth--;
    release_names(&below);
    return status;
}

/* ---- a class ---- */

static tn_status add_sorted(struct walk *walk, int32_t label, struct tn_error *error)
{
    struct index *index = &walk->directory->index;
    tn_status status = TN_OK;
    if (walk->count > 1)
        qsort(walk->folders, (size_t)walk->count, sizeof *walk->folders, compare_folders);
    for (uint64_t i = 0; status == TN_OK && i < walk->count; i++) {
        struct found *found = &walk->folders[i];
        if (found->names.count == 0)
            continue;
        sort_names(&found->names);
        status = index_add_folder(index, found->path, label, error);
        for (uint64_t k = 0; status == TN_OK && k < found->names.count; k++) {
            if (exclusion_has(&walk->directory->exclusion, walk->directory->path, found->path, found->names.items[k]))
                walk->directory->left_out.excluded++;
            else
                status = index_add_file(index, found->names.items[k], error);
        }
    }
    return status;
}

tn_status walk_class(struct directory *directory, const char *path, int32_t label, struct tn_error *error)
{
    struct walk walk = {.directory = directory};
    tn_status status = walk_folder(&walk, path, error);
    if (status == TN_OK)
        status = add_sorted(&walk, label, error);
    for (uint64_t i = 0; i < walk.count; i++) {
        release_names(&walk.folders[i].names);
        free(walk.folders[i].path);
    }
    free(walk.folders);
    return status;
}

/* ---- the folders of the classes ---- */

tn_status walk_classes(struct directory *directory, char ***names, uint32_t *count, struct tn_error *error)
{
    DIR *folder = NULL;
    struct name_list found = {0};
    tn_status status = open_folder(directory, "", &folder, error);
    while (status == TN_OK) {
        struct dirent *entry;
        status = next_entry(directory, folder, "", &entry, error);
        if (status != TN_OK || !entry)
            break;
        enum entry type = entry_type(dirfd(folder), entry);
        int is_folder = type == ENTRY_FOLDER || type == ENTRY_LINKED_FOLDER;
        int dataset_hides = entry->d_name[0] == '.' && directory->rules == RULES_IMAGE_DATASET;
        if (is_skipped_as_hidden(directory, entry->d_name) || (is_folder && dataset_hides))
            directory->left_out.hidden++;
        else if (is_folder)
            status = add_name(&found, entry->d_name, error);
        else if (type == ENTRY_FILE && is_picture(directory, entry->d_name))
            directory->left_out.loose++;
    }
    if (folder)
        closedir(folder);
    if (status == TN_OK && found.count > INT32_MAX)
        status = tn_fail(error, TN_INVALID, "%s has too many folders to be classes", directory->path);
    if (status != TN_OK)
        release_names(&found);
    sort_names(&found);
    *names = found.items, *count = (uint32_t)found.count;
    return status;
}
