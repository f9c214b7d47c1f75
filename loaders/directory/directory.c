/* directory: pictures in class folders, as Keras' flow_from_directory reads them.
 *
 * The list of files is made once, in Keras' order; pictures are read whole when a worker asks. By default hidden files
 * and folders are no data (a stray .ipynb_checkpoints is a class for Keras), and an empty class is an error; `rules`
 * gives the exact lists of either Keras function.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "directory.h"

static const struct tn_option directory_options[] = {
    TN_PATH_REQUIRED(struct directory, path,
                     "folder with a folder for each class; or of pictures, where no classes "
                     "are asked for"),
    TN_PATH(struct directory, exclude, NULL,
            "text file with pictures to leave out, a path a line (tenon doctor --list)"),
    TN_BOOL(struct directory, follow_links, 0, "go into linked folders inside of a class"),
    TN_BOOL(struct directory, hidden, 0, "count files and folders that begin with a dot"),
    TN_BOOL(struct directory, empty_classes, 0, "allow class folders without pictures"),
    TN_LIST(struct directory, extensions, "jpg, jpeg, png, webp, bmp, ppm, pgm, tif, tiff",
            "endings of pictures, in any case"),
    TN_ENUM(struct directory, rules, RULES_TENON, "tenon|image_data_generator|image_dataset",
            "which files count: these options, or exactly what one of Keras' functions takes"),
    TN_END,
};

static tn_status directory_open(void *self, const struct tn_host *host, struct tn_error *error)
{
    struct directory *directory = self;
    (void)error;
    directory->host = host;
    directory->root = -1;
    return TN_OK;
}

static void directory_close(void *self)
{
    struct directory *directory = self;
    index_release(&directory->index);
    exclusion_release(&directory->exclusion);
    if (directory->root_opened)
        close(directory->root);
    directory->root = -1, directory->root_opened = 0;
}

/* ---- finding the classes ---- */

static tn_status open_root(struct directory *directory, const struct tn_source_request *request, int *is_file,
                           struct tn_error *error)
{
    struct stat status;
    *is_file = 0;
    directory_close(directory); /* of an earlier scan */
    memset(&directory->left_out, 0, sizeof directory->left_out);
    if (stat(directory->path, &status) == 0 && S_ISREG(status.st_mode)) {
        if (request->class_mode != TN_CLASS_NONE && request->class_mode != TN_CLASS_INPUT)
            return tn_fail(error, TN_INVALID, "%s is a file, not a folder with a folder for each class",
                           directory->path);
        *is_file = 1;
        directory->root = AT_FDCWD;
        return TN_OK;
    }
    directory->root = open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory->root < 0) {
        int reason = errno;
        if (reason == ENOENT)
            return tn_fail(error, TN_NOT_FOUND,
                           "folder %s is not there (a relative path counts from the experiment file's folder)",
                           directory->path);
        return tn_fail(error, TN_IO, "cannot open folder %s: %s", directory->path, strerror(reason));
    }
    directory->root_opened = 1;
    return TN_OK;
}

static tn_status take_classes(struct directory *directory, char **names, uint32_t count, struct tn_error *error)
{
    struct index *index = &directory->index;
    index->classes = calloc(count ? count : 1, sizeof *index->classes);
    index->class_sizes = calloc(count ? count : 1, sizeof *index->class_sizes);
    if (!index->classes || !index->class_sizes)
        return tn_fail(error, TN_NO_MEMORY, "no memory for %u classes", (unsigned)count);
    index->class_count = count;
    for (uint32_t i = 0; i < count; i++) {
        index->classes[i] = strdup(names[i]);
        if (!index->classes[i])
            return tn_fail(error, TN_NO_MEMORY, "no memory for %u classes", (unsigned)count);
    }
    return TN_OK;
}

/* A class that the user names is a folder below the source's, nowhere else. */
static int stays_below(const char *name)
{
    if (name[0] == '\0' || name[0] == '/')
        return 0;
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
            return 0;
    }
    return 1;
}

static void count_unnamed(struct directory *directory, const struct tn_list *classes, char *const *names,
                          uint32_t count)
{
    struct left_out *out = &directory->left_out;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t k = 0;
        while (k < classes->count && strcmp(classes->items[k], names[i]) != 0)
            k++;
        if (k == classes->count && out->unnamed++ == 0)
            (void)snprintf(out->an_unnamed, sizeof out->an_unnamed, "%.*s", (int)sizeof out->an_unnamed - 1, names[i]);
    }
}

static tn_status find_classes(struct directory *directory, const struct tn_source_request *request,
                              struct tn_error *error)
{
    for (uint32_t i = 0; i < request->classes.count; i++) {
        if (!stays_below(request->classes.items[i]))
            return tn_fail(error, TN_INVALID, "classes: `%s` is no folder below %s", request->classes.items[i],
                           directory->path);
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(request->classes.items[i], request->classes.items[k]) == 0)
                return tn_fail(error, TN_INVALID, "classes: `%s` is there twice", request->classes.items[i]);
    }
    char **names = NULL;
    uint32_t count = 0;
    tn_status status = walk_classes(directory, &names, &count, error);
    if (status != TN_OK)
        return status;
    if (request->classes.count) {
        count_unnamed(directory, &request->classes, names, count);
        status = take_classes(directory, (char **)(uintptr_t)request->classes.items, request->classes.count, error);
    } else {
        status = take_classes(directory, names, count, error);
    }
    for (uint32_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return status;
}

/* ---- filling the index ---- */

/* Keras: the first int(split * n) files of each class are for validation. */
static void apply_subset(struct directory *directory, const struct tn_source_request *request, uint64_t first)
{
    uint64_t count = directory->index.file_count - first;
    uint64_t validation = (uint64_t)(request->validation_split * (double)count);
    if (request->subset == TN_SUBSET_VALIDATION)
        index_keep(&directory->index, first, 0, validation);
    else if (request->subset == TN_SUBSET_TRAINING)
        index_keep(&directory->index, first, validation, count);
}

static tn_status fill_class(struct directory *directory, const struct tn_source_request *request, uint32_t label,
                            uint64_t *found, struct tn_error *error)
{
    struct index *index = &directory->index;
    uint64_t first = index->file_count;
    tn_status status = walk_class(directory, index->classes[label], (int32_t)label, error);
    if (status == TN_NOT_FOUND && (directory->rules != RULES_TENON || directory->empty_classes))
        status = TN_OK; /* Keras takes a class without a folder as an empty one */
    if (status == TN_NOT_FOUND)
        return tn_fail(error, TN_INVALID, "%s has no folder for class %s", directory->path, index->classes[label]);
    if (status != TN_OK)
        return status;
    *found = index->file_count - first;
    apply_subset(directory, request, first);
    index->class_sizes[label] = index->file_count - first;
    if (*found > 0 && index->class_sizes[label] == 0) {
        char line[1024];
        (void)snprintf(line, sizeof line, "%s: class %s has %llu picture%s, none of them for %s", directory->path,
                       index->classes[label], (unsigned long long)*found, plural(*found),
                       request->subset == TN_SUBSET_VALIDATION ? "validation" : "training");
        say(directory, TN_LOG_WARNING, line);
    }
    return TN_OK;
}

static tn_status fail_empty(const struct directory *directory, const char *names, uint32_t count,
                            struct tn_error *error)
{
    char endings[256];
    looked_for(directory, endings, sizeof endings);
    return tn_fail(error, TN_INVALID,
                   "%s: class folder%s without pictures: %s (looked for %s); remove %s, name the others in classes, or "
                   "set empty_classes = yes",
                   directory->path, plural(count), names, endings, count == 1 ? "it" : "them");
}

static tn_status fill_classes(struct directory *directory, const struct tn_source_request *request,
                              struct tn_error *error)
{
    struct index *index = &directory->index;
    char empty[512] = "";
    uint32_t empty_count = 0;
    uint64_t total = 0;
    for (uint32_t i = 0; i < index->class_count; i++) {
        uint64_t found = 0;
        tn_status status = fill_class(directory, request, i, &found, error);
        if (status != TN_OK)
            return status;
        total += found;
        if (found == 0 && empty_count++ < 8)
            text_add(empty, sizeof empty, "%s%s", empty_count > 1 ? ", " : "", index->classes[i]);
    }
    if (total > 0 && empty_count > 0 && directory->rules == RULES_TENON && !directory->empty_classes)
        return fail_empty(directory, empty, empty_count, error);
    return TN_OK;
}

static tn_status check_found(const struct directory *directory, const struct tn_source_request *request,
                             struct tn_error *error)
{
    const struct index *index = &directory->index;
    char endings[256];
    if (index->file_count > 0)
        return TN_OK;
    looked_for(directory, endings, sizeof endings);
    if (request->subset == TN_SUBSET_VALIDATION)
        return tn_fail(error, TN_INVALID,
                       "%s has no pictures for validation: validation_split = %g of each class is less than one",
                       directory->path, request->validation_split);
    if (directory->left_out.loose)
        return tn_fail(error, TN_INVALID,
                       "%s has %llu pictures but no class folders with pictures: put each class into a folder of its "
                       "own, or set class_mode = none",
                       directory->path, (unsigned long long)directory->left_out.loose);
    return tn_fail(error, TN_INVALID, "no pictures in %s (looked for %s in it and in the folders below)",
                   directory->path, endings);
}

/* data/ instead of data/train/: the folders below are parts of the data, not classes. */
static void warn_of_parts(const struct directory *directory)
{
    static const char *const parts[] = {"train", "training", "val", "valid", "validation", "test", "testing"};
    const struct index *index = &directory->index;
    if (index->class_count == 0)
        return;
    for (uint32_t i = 0; i < index->class_count; i++) {
        size_t k = 0;
        while (k < sizeof parts / sizeof *parts && strcmp(index->classes[i], parts[k]) != 0)
            k++;
        if (k == sizeof parts / sizeof *parts)
            return;
    }
    char line[1024];
    (void)snprintf(line, sizeof line,
                   "%s: the classes are called %s%s%s; is the path one folder too high (%s/%s is meant)?",
                   directory->path, index->classes[0], index->class_count > 1 ? ", " : "",
                   index->class_count > 1 ? index->classes[1] : "", directory->path, index->classes[0]);
    say(directory, TN_LOG_WARNING, line);
}

static tn_status fill(struct directory *directory, const struct tn_source_request *request, int is_file,
                      struct tn_error *error)
{
    int needs_classes = request->class_mode != TN_CLASS_NONE && request->class_mode != TN_CLASS_INPUT;
    tn_status status = TN_OK;
    if (is_file) {
        status = index_add_folder(&directory->index, "", -1, error);
        return status == TN_OK ? index_add_file(&directory->index, directory->path, error) : status;
    }
    if (!needs_classes && directory->rules == RULES_TENON && request->classes.count == 0) {
        status = walk_class(directory, "", -1, error);
        if (status == TN_OK)
            apply_subset(directory, request, 0);
        return status;
    }
    status = find_classes(directory, request, error);
    if (status == TN_OK)
        status = fill_classes(directory, request, error);
    return status;
}

static tn_status directory_scan(void *self, const struct tn_source_request *request, struct tn_source_info *info,
                                struct tn_error *error)
{
    struct directory *directory = self;
    const struct index *index = &directory->index;
    int is_file;
    tn_status status = open_root(directory, request, &is_file, error);
    if (status == TN_OK)
        status = exclusion_read(&directory->exclusion, directory->exclude, error);
    if (status == TN_OK)
        status = fill(directory, request, is_file, error);
    if (status == TN_OK)
        status = check_found(directory, request, error);
    if (status != TN_OK)
        return status;
    if (request->subset != TN_SUBSET_VALIDATION) { /* the training part of the same folder has said it */
        say_left_out(directory);
        warn_of_parts(directory);
    }
    int needs_classes = request->class_mode != TN_CLASS_NONE && request->class_mode != TN_CLASS_INPUT;
    info->class_count = needs_classes ? index->class_count : 0;
    info->classes = needs_classes ? index->classes : NULL;
    info->class_sizes = needs_classes ? index->class_sizes : NULL;
    info->count = index->file_count;
    info->index_bytes = index_bytes(index);
    return TN_OK;
}

static const struct tn_source directory = {
    TN_TYPE_WITH(TN_SOURCE, "directory", struct directory, directory_options,
                 "pictures in class folders, as Keras' flow_from_directory", 0, directory_open, directory_close),
    .scan = directory_scan,
    .name = directory_name,
    .label = directory_label,
    .worker_open = directory_worker_open,
    .worker_close = directory_worker_close,
    .read = directory_read,
    .digest = directory_digest,
};

TN_PLUGIN("tenon.loaders.directory", "0.1.0", "Apache-2.0", &directory.type);
