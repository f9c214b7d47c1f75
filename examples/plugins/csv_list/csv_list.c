/* csv_list.c: a source: pictures that a CSV file lists, one `file,label` a line; Keras' flow_from_dataframe.
 *
 * The list is read once; a picture's bytes are read when a worker asks and decoded by the core, which picks the codec
 * by content. Files count from the folder of the CSV. A first line whose file is `file`, `filename` or `path` is a
 * header.
 */
#include <stdlib.h>
#include <string.h>

#include <tenon/plugin.h>

#define LIST_LIMIT    ((uint64_t)1 << 30)
#define PICTURE_LIMIT ((uint64_t)1 << 28)

struct row {
    const char *file, *label; /* into `text` */
    int32_t class_index;
};

struct csv_list {
    const char *path, *separator;
    /* its own */
    const struct tn_host *host;
    char *text;       /* the whole list; rows point into it */
    struct row *rows; /* all of it, then those of the subset */
    uint64_t row_count;
    const char **classes;
    uint64_t *class_sizes;
    uint32_t class_count;
};

/* What one worker holds: the bytes of the picture that it read last. */
struct worker {
    void *bytes;
};

static const struct tn_option options[] = {
    TN_PATH_REQUIRED(struct csv_list, path, "the list: a file and its label on each line"),
    TN_STRING(struct csv_list, separator, ",", "one character between file and label"),
    TN_END,
};

static tn_status csv_open(void *self, const struct tn_host *host, struct tn_error *error)
{
    struct csv_list *list = self;
    list->host = host;
    if (!list->separator || strlen(list->separator) != 1)
        return tn_fail(error, TN_INVALID, "separator: one character is expected");
    return TN_OK;
}

static void csv_close(void *self)
{
    struct csv_list *list = self;
    list->host->release(list->text);
    free(list->rows);
    free(list->classes);
    free(list->class_sizes);
    list->text = NULL, list->rows = NULL, list->classes = NULL, list->class_sizes = NULL;
    list->row_count = 0, list->class_count = 0;
}

/* ---- the list ---- */

static int is_header(const char *file)
{
    return strcmp(file, "file") == 0 || strcmp(file, "filename") == 0 || strcmp(file, "path") == 0;
}

/* Cuts the text into rows in place. */
static tn_status split_rows(struct csv_list *list, struct tn_error *error)
{
    uint64_t lines = 1;
    for (const char *c = list->text; *c; c++)
        lines += *c == '\n';
    list->rows = calloc(lines, sizeof *list->rows);
    if (!list->rows)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the %llu lines of %s", (unsigned long long)lines,
                       list->path);
    lines = 0;
    for (char *line = list->text, *next; line; line = next) {
        char *comma;
        lines++;
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        if (!*line)
            continue;
        comma = strrchr(line, list->separator[0]); /* a file's name may have one */
        if (!comma || comma == line || !comma[1])
            return tn_fail(error, TN_INVALID, "%s:%llu: `file%slabel` is expected", list->path,
                           (unsigned long long)lines, list->separator);
        *comma = '\0';
        if (lines > 1 || !is_header(line))
            list->rows[list->row_count++] = (struct row){line, comma + 1, 0};
    }
    return TN_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The experiment's classes, or all labels in the order of the alphabet. */
static tn_status find_classes(struct csv_list *list, const struct tn_source_request *request, struct tn_error *error)
{
    uint64_t count = request->classes.count ? request->classes.count : list->row_count, kept = 0;
    list->classes = calloc(count + 1, sizeof *list->classes);
    list->class_sizes = calloc(count + 1, sizeof *list->class_sizes);
    if (!list->classes || !list->class_sizes)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the classes of %s", list->path);
    for (uint64_t i = 0; i < count; i++)
        list->classes[i] = request->classes.count ? request->classes.items[i] : list->rows[i].label;
    if (request->classes.count) {
        kept = count;
    } else {
        qsort(list->classes, count, sizeof *list->classes, by_name);
        for (uint64_t i = 0; i < count; i++)
            if (kept == 0 || strcmp(list->classes[kept - 1], list->classes[i]) != 0)
                list->classes[kept++] = list->classes[i];
    }
    list->class_count = (uint32_t)kept;
    for (uint64_t i = 0; i < list->row_count; i++) {
        uint32_t c = 0;
        while (c < list->class_count && strcmp(list->classes[c], list->rows[i].label) != 0)
            c++;
        if (c == list->class_count)
            return tn_fail(error, TN_INVALID, "%s: %s is of class `%s`, which is not among the `classes`", list->path,
                           list->rows[i].file, list->rows[i].label);
        list->rows[i].class_index = (int32_t)c;
        list->class_sizes[c]++;
    }
    return TN_OK;
}

/* As in Keras: the first share of each class is for validation. */
static void take_subset(struct csv_list *list, const struct tn_source_request *request, uint64_t *seen)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < list->row_count; i++) {
        int32_t c = list->rows[i].class_index;
        uint64_t validation = (uint64_t)(request->validation_split * (double)list->class_sizes[c]);
        int for_validation = seen[c]++ < validation;
        if (request->subset == TN_SUBSET_ALL || for_validation == (request->subset == TN_SUBSET_VALIDATION))
            list->rows[kept++] = list->rows[i];
    }
    list->row_count = kept;
    memset(list->class_sizes, 0, list->class_count * sizeof *list->class_sizes);
    for (uint64_t i = 0; i < kept; i++)
        list->class_sizes[list->rows[i].class_index]++;
}

/* [setup] */
static tn_status csv_scan(void *self, const struct tn_source_request *request, struct tn_source_info *info,
                          struct tn_error *error)
{
    struct csv_list *list = self;
    void *data = NULL;
    uint64_t bytes = 0, *seen;
    tn_status status;
    csv_close(list); /* of an earlier scan */
    status = list->host->read_file(list->path, LIST_LIMIT, &data, &bytes, error);
    if (status != TN_OK)
        return status;
    list->text = data; /* the host puts a 0 behind it */
    status = split_rows(list, error);
    if (status == TN_OK)
        status = find_classes(list, request, error);
    if (status != TN_OK)
        return status;
    seen = calloc((size_t)list->class_count + 1, sizeof *seen);
    if (!seen)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the classes of %s", list->path);
    take_subset(list, request, seen);
    free(seen);
    if (list->row_count == 0)
        return tn_fail(error, TN_INVALID, "%s lists no pictures", list->path);
    info->count = list->row_count;
    info->class_count = list->class_count;
    info->classes = list->classes;
    info->class_sizes = list->class_sizes;
    info->index_bytes = bytes + list->row_count * sizeof(struct row);
    return TN_OK;
}

/* ---- samples ---- */

static void csv_name(const void *self, uint64_t index, char *text, uint64_t text_bytes)
{
    const struct csv_list *list = self;
    (void)snprintf(text, (size_t)text_bytes, "%s", list->rows[index].file);
}

static int32_t csv_label(const void *self, uint64_t index)
{
    return ((const struct csv_list *)self)->rows[index].class_index;
}

static tn_status csv_worker_open(const void *self, void **worker, struct tn_error *error)
{
    (void)self;
    *worker = calloc(1, sizeof(struct worker));
    return *worker ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory");
}

static void csv_worker_close(const void *self, void *worker)
{
    ((const struct csv_list *)self)->host->release(((struct worker *)worker)->bytes);
    free(worker);
}

/* [worker] */
static tn_status csv_read(const void *self, void *worker, uint64_t index, struct tn_sample *sample,
                          struct tn_error *error)
{
    const struct csv_list *list = self;
    struct worker *mine = worker;
    const char *file = list->rows[index].file, *slash = strrchr(list->path, '/');
    char path[4096];
    int length = file[0] == '/' || !slash
                     ? snprintf(path, sizeof path, "%s", file)
                     : snprintf(path, sizeof path, "%.*s/%s", (int)(slash - list->path), list->path, file);
    if (length < 0 || (size_t)length >= sizeof path)
        return tn_fail(error, TN_INVALID, "%s: the name of a file is too long", list->path);
    list->host->release(mine->bytes);
    mine->bytes = NULL;
    sample->label = list->rows[index].class_index;
    sample->bytes = NULL;
    if (list->host->read_file(path, PICTURE_LIMIT, &mine->bytes, &sample->byte_count, error) != TN_OK)
        return TN_IO;
    sample->bytes = mine->bytes;
    return TN_OK;
}

static const struct tn_source csv_list = {
    TN_TYPE_WITH(TN_SOURCE, "csv_list", struct csv_list, options, "pictures that a CSV file lists with their labels", 0,
                 csv_open, csv_close),
    .scan = csv_scan,
    .name = csv_name,
    .label = csv_label,
    .worker_open = csv_worker_open,
    .worker_close = csv_worker_close,
    .read = csv_read,
};

TN_PLUGIN("example.csv_list", "1.0.0", "Apache-2.0", &csv_list.type);
