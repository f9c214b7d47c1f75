/* manifest: pictures that a CSV or TSV file lists with their labels, as Keras' flow_from_dataframe takes them.
 *
 * The file is read once and stays in memory; pictures are read whole when a worker asks. Unlike Keras nothing is left
 * out silently: a missing file, or a label that is not among the classes, is an error that names the line.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "manifest.h"

/* Offsets of fields have 32 bits. */
static const uint64_t MAXIMUM_BYTES = (uint64_t)1 << 31;

static const struct tn_option manifest_options[] = {
    TN_PATH_REQUIRED(struct manifest, path, "the list: a file with a header and a line for each picture"),
    TN_PATH(struct manifest, folder, NULL, "folder that relative paths count from; absent = the list's own"),
    TN_STRING(struct manifest, separator, NULL,
              "one character between columns, `tab` or `semicolon`; absent = tab for .tsv and .tab, else a comma"),
    TN_BOOL(struct manifest, header, 1, "the first line names the columns; no = they are called 1, 2, 3, ..."),
    TN_STRING(struct manifest, path_column, NULL, "column of the picture's path; absent = filename, else the first"),
    TN_LIST(struct manifest, label_column, NULL,
            "column of the class; several = numbers, a target each; absent = class, else label, else the second"),
    TN_ENUM(struct manifest, labels, LABELS_AUTO, "auto|class|numbers",
            "what labels are: class names, or numbers (regression); auto = numbers where several columns are named"),
    TN_STRING(struct manifest, label_separator, NULL,
              "text between the classes of a picture that may have several; its target has a 1 for each"),
    TN_BOOL(struct manifest, check_files, 1, "look at the start whether all files are there"),
    TN_END,
};

static void manifest_close(void *self)
{
    struct manifest *manifest = self;
    for (uint32_t i = 0; manifest->copies && manifest->copies[i]; i++)
        free(manifest->copies[i]);
    manifest->host->release(manifest->table.text);
    table_release(&manifest->table);
    free(manifest->copies);
    free(manifest->classes);
    free(manifest->sorted);
    free(manifest->class_sizes);
    free(manifest->rows);
    free(manifest->numbers);
    free(manifest->label_at);
    free(manifest->target_names);
    manifest->target_names = NULL;
    free(manifest->base);
    manifest->copies = NULL, manifest->classes = NULL, manifest->sorted = NULL, manifest->class_sizes = NULL;
    manifest->rows = NULL, manifest->numbers = NULL, manifest->label_at = NULL, manifest->base = NULL;
    manifest->row_count = manifest->row_capacity = manifest->number_capacity = 0;
    manifest->class_count = manifest->label_count = manifest->target_count = manifest->column_count = 0;
}

/* The experiment file takes a tab for space and a semicolon for a comment, so both have names. 0 = it is neither. */
static char named_separator(const char *text)
{
    return strcmp(text, "tab") == 0 ? '\t' : strcmp(text, "semicolon") == 0 ? ';' : 0;
}

static tn_status manifest_open(void *self, const struct tn_host *host, struct tn_error *error)
{
    struct manifest *manifest = self;
    manifest->host = host;
    if (manifest->separator && !named_separator(manifest->separator) && strlen(manifest->separator) != 1)
        return tn_fail(error, TN_INVALID, "separator: one character, `tab` or `semicolon` is expected");
    if (manifest->separator && strchr("\"\r\n", manifest->separator[0]))
        return tn_fail(error, TN_INVALID, "separator: a quote or the end of a line cannot be one");
    if (manifest->label_separator && !manifest->label_separator[0])
        return tn_fail(error, TN_INVALID, "label_separator: a text is expected");
    if (manifest->label_separator && strcmp(manifest->label_separator, "semicolon") == 0)
        manifest->label_separator = ";";
    int numbers =
        manifest->labels == LABELS_NUMBERS || (manifest->labels == LABELS_AUTO && manifest->label_column.count > 1);
    if (manifest->labels == LABELS_CLASS && manifest->label_column.count > 1)
        return tn_fail(error, TN_INVALID, "label_column: labels = class takes one column");
    if (numbers && manifest->label_separator)
        return tn_fail(error, TN_INVALID, "label_separator: it goes with classes in one column, not with numbers");
    return TN_OK;
}

/* ---- the file ---- */

static char separator_of(const struct manifest *manifest)
{
    const char *end = strrchr(manifest->path, '.');
    if (manifest->separator)
        return named_separator(manifest->separator) ? named_separator(manifest->separator) : manifest->separator[0];
    return end && (strcasecmp(end, ".tsv") == 0 || strcasecmp(end, ".tab") == 0) ? '\t' : ',';
}

static tn_status load(struct manifest *manifest, struct tn_error *error)
{
    struct table *table = &manifest->table;
    const char *slash = strrchr(manifest->path, '/');
    void *text = NULL;
    manifest_close(manifest); /* of an earlier scan */
    if (manifest->folder)
        manifest->base = strdup(manifest->folder);
    else if (slash)
        manifest->base = strndup(manifest->path, slash == manifest->path ? 1 : (size_t)(slash - manifest->path));
    else
        manifest->base = strdup(".");
    if (!manifest->base)
        return tn_fail(error, TN_NO_MEMORY, "no memory for %s", manifest->path);
    tn_status status = manifest->host->read_file(manifest->path, MAXIMUM_BYTES, &text, &table->bytes, error);
    if (status != TN_OK)
        return status;
    table->text = text; /* the host puts a 0 behind it */
    table->separator = separator_of(manifest);
    table->line = 1;
    const char *zero = memchr(table->text, '\0', (size_t)table->bytes);
    if (zero)
        return tn_fail(error, TN_INVALID, "%s is no text: it has a zero byte at %llu (UTF-8 is expected)",
                       manifest->path, (unsigned long long)(zero - table->text));
    if (table->bytes >= 3 && memcmp(table->text, "\xEF\xBB\xBF", 3) == 0)
        table->at = 3; /* byte order mark */
    return TN_OK;
}

/* ---- rows ---- */

static tn_status grow(void *items, uint64_t *capacity, uint64_t needed, size_t item_bytes, struct tn_error *error)
{
    void *old;
    if (needed <= *capacity)
        return TN_OK;
    uint64_t more = *capacity * 2 > needed ? *capacity * 2 : needed + 64;
    memcpy(&old, items, sizeof old);
    void *grown = more <= SIZE_MAX / item_bytes ? realloc(old, (size_t)more * item_bytes) : NULL;
    if (!grown)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a list of %llu rows", (unsigned long long)needed);
    memcpy(items, &grown, sizeof grown);
    *capacity = more;
    return TN_OK;
}

static tn_status take_numbers(struct manifest *manifest, struct tn_error *error)
{
    const struct table *table = &manifest->table;
    uint64_t first = manifest->row_count * manifest->label_count;
    tn_status status =
        grow(&manifest->numbers, &manifest->number_capacity, first + manifest->label_count, sizeof(float), error);
    for (uint32_t i = 0; status == TN_OK && i < manifest->label_count; i++) {
        const char *text = table->fields[manifest->label_at[i]];
        char *end;
        float number = strtof(text, &end);
        if (end == text || *end != '\0' || !isfinite(number))
            return tn_fail(error, TN_INVALID, "%s:%llu: `%s` in column %u is not a number%s", manifest->path,
                           (unsigned long long)table->row_line, text, (unsigned)manifest->label_at[i] + 1,
                           manifest->labels == LABELS_AUTO
                               ? " (several label columns are numbers; several classes of a picture go into one "
                                 "column, with label_separator)"
                               : "");
        manifest->numbers[first + i] = number;
    }
    return status;
}

static tn_status take_row(struct manifest *manifest, struct tn_error *error)
{
    const struct table *table = &manifest->table;
    unsigned long long line = table->row_line;
    if (table->field_count != manifest->column_count)
        return tn_fail(error, TN_INVALID, "%s:%llu: %u column%s where %u are expected", manifest->path, line,
                       (unsigned)table->field_count, table->field_count == 1 ? "" : "s",
                       (unsigned)manifest->column_count);
    const char *path = table->fields[manifest->path_at];
    if (path[0] == '\0')
        return tn_fail(error, TN_INVALID, "%s:%llu: the path is empty", manifest->path, line);
    struct row row = {.path = (uint32_t)(path - table->text), .line = (uint32_t)line, .class_index = -1};
    tn_status status = TN_OK;
    if (manifest->by_number) {
        status = take_numbers(manifest, error);
    } else if (manifest->label_count > 0) {
        const char *label = table->fields[manifest->label_at[0]];
        if (label[0] == '\0' && !manifest->label_separator)
            return tn_fail(error, TN_INVALID, "%s:%llu: the label is empty", manifest->path, line);
        row.label = (uint32_t)(label - table->text);
    }
    if (status == TN_OK)
        status = grow(&manifest->rows, &manifest->row_capacity, manifest->row_count + 1, sizeof row, error);
    if (status == TN_OK)
        manifest->rows[manifest->row_count++] = row;
    return status;
}

static tn_status take_rows(struct manifest *manifest, struct tn_error *error)
{
    tn_status status = manifest->header ? TN_OK : take_row(manifest, error); /* columns_find has read the first one */
    while (status == TN_OK) {
        status = table_next(&manifest->table, manifest->path, error);
        if (status != TN_OK || manifest->table.field_count == 0)
            return status;
        status = take_row(manifest, error);
    }
    return status;
}

/* ---- classes of the rows ---- */

static tn_status fail_class(const struct manifest *manifest, const struct row *row, const char *name, size_t length,
                            struct tn_error *error)
{
    return tn_fail(error, TN_INVALID, "%s:%u: `%.*s` is not among the classes of [data]", manifest->path,
                   (unsigned)row->line, (int)(length < 200 ? length : 200), name);
}

/* Classes are those of the whole table, whatever the subset, as in Keras. */
static tn_status take_classes(struct manifest *manifest, const struct tn_source_request *request,
                              struct tn_error *error)
{
    tn_status status =
        request->classes.count ? classes_given(manifest, &request->classes, error) : classes_found(manifest, error);
    for (uint64_t i = 0; status == TN_OK && i < manifest->row_count; i++) {
        struct row *row = &manifest->rows[i];
        const char *part, *text = manifest->table.text + row->label;
        size_t length;
        while ((part = next_part(manifest, &text, &length))) {
            if (length == 0)
                continue;
            int32_t found = class_of(manifest, part, length);
            if (found < 0)
                return fail_class(manifest, row, part, length, error);
            if (!manifest->label_separator)
                row->class_index = found;
        }
    }
    if (manifest->label_separator)
        manifest->target_count = manifest->class_count;
    return status;
}

static void count_classes(struct manifest *manifest)
{
    for (uint64_t i = 0; i < manifest->row_count; i++) {
        const char *part, *text = manifest->table.text + manifest->rows[i].label;
        size_t length;
        while ((part = next_part(manifest, &text, &length))) {
            int32_t found = length > 0 ? class_of(manifest, part, length) : -1;
            if (found >= 0)
                manifest->class_sizes[found]++;
        }
    }
}

/* Keras: the first int(split * n) rows of the table are for validation, whatever their classes. */
static tn_status keep_subset(struct manifest *manifest, const struct tn_source_request *request, struct tn_error *error)
{
    uint64_t validation = (uint64_t)(request->validation_split * (double)manifest->row_count);
    uint64_t from = request->subset == TN_SUBSET_TRAINING ? validation : 0;
    uint64_t to = request->subset == TN_SUBSET_VALIDATION ? validation : manifest->row_count;
    uint64_t all = manifest->row_count;
    if (from > 0 && manifest->numbers)
        memmove(manifest->numbers, manifest->numbers + from * manifest->label_count,
                (size_t)((to - from) * manifest->label_count) * sizeof(float));
    if (from > 0)
        memmove(manifest->rows, manifest->rows + from, (size_t)(to - from) * sizeof *manifest->rows);
    manifest->row_count = to - from;
    if (manifest->row_count > 0)
        return TN_OK;
    if (all == 0)
        return tn_fail(error, TN_INVALID, "%s lists no pictures", manifest->path);
    return tn_fail(error, TN_INVALID, "%s has no pictures for %s: validation_split = %g of %llu rows", manifest->path,
                   request->subset == TN_SUBSET_VALIDATION ? "validation" : "training", request->validation_split,
                   (unsigned long long)all);
}

/* Columns of 0 and 1 that say which classes a picture has: their names are the classes. */
static tn_status columns_as_classes(struct manifest *manifest, const struct tn_source_request *request,
                                    struct tn_error *error)
{
    const struct tn_list names = {manifest->target_names, manifest->label_count};
    for (uint32_t i = 0; i < request->classes.count; i++)
        if (request->classes.count != names.count || strcmp(request->classes.items[i], names.items[i]) != 0)
            return tn_fail(error, TN_INVALID,
                           "label_column: the columns have to be the classes of the experiment, in their order: column "
                           "%u should be `%s`",
                           (unsigned)i + 1, request->classes.items[i]);
    for (uint64_t i = 0; i < manifest->row_count * manifest->label_count; i++)
        if (manifest->numbers[i] < 0 || manifest->numbers[i] > 1)
            return tn_fail(error, TN_INVALID,
                           "%s:%u: %g in column `%s` is outside of 0 to 1, which class_mode = multi_label asks for",
                           manifest->path, (unsigned)manifest->rows[i / manifest->label_count].line,
                           (double)manifest->numbers[i], names.items[i % manifest->label_count]);
    return classes_given(manifest, &names, error);
}

static tn_status take_columns(struct manifest *manifest, const struct tn_source_request *request,
                              struct tn_error *error)
{
    manifest->target_count = manifest->label_count;
    return request->class_mode == TN_CLASS_MULTI_LABEL ? columns_as_classes(manifest, request, error) : TN_OK;
}

static tn_status take_labels(struct manifest *manifest, const struct tn_source_request *request, struct tn_error *error)
{
    int mode = request->class_mode;
    if (manifest->label_count == 0)
        return TN_OK;
    if (manifest->by_number)
        return take_columns(manifest, request, error);
    if (manifest->label_separator && mode != TN_CLASS_CATEGORICAL && mode != TN_CLASS_MULTI_LABEL)
        return tn_fail(error, TN_INVALID,
                       "label_separator: several classes of a picture need class_mode = multi_label");
    return take_classes(manifest, request, error);
}

static tn_status manifest_scan(void *self, const struct tn_source_request *request, struct tn_source_info *info,
                               struct tn_error *error)
{
    struct manifest *manifest = self;
    int needs_labels = request->class_mode != TN_CLASS_NONE && request->class_mode != TN_CLASS_INPUT;
    tn_status status = load(manifest, error);
    if (status == TN_OK)
        status = columns_find(manifest, needs_labels, error);
    if (status == TN_OK && manifest->labels == LABELS_CLASS && request->class_mode == TN_CLASS_RAW)
        return tn_fail(error, TN_INVALID, "class_mode = raw takes numbers: labels = class does not go with it");
    manifest->by_number =
        manifest->label_count > 0 &&
        (manifest->labels == LABELS_NUMBERS || manifest->label_count > 1 || request->class_mode == TN_CLASS_RAW);
    if (status == TN_OK && !manifest->by_number && !manifest->label_separator &&
        request->class_mode == TN_CLASS_MULTI_LABEL)
        return tn_fail(error, TN_INVALID,
                       "class_mode = multi_label: name the label_separator between the classes of a picture, or as "
                       "label_column a column of 0 and 1 for each class");
    if (status == TN_OK)
        status = take_rows(manifest, error);
    if (status == TN_OK)
        status = take_labels(manifest, request, error);
    if (status == TN_OK)
        status = keep_subset(manifest, request, error);
    for (uint64_t i = 0; status == TN_OK && manifest->check_files && i < manifest->row_count; i++)
        status = check_file(manifest, &manifest->rows[i], error);
    if (status != TN_OK)
        return status;
    if (manifest->classes && !manifest->by_number)
        count_classes(manifest);
    info->count = manifest->row_count;
    info->class_count = manifest->class_count;
    info->classes = manifest->classes;
    info->class_sizes = manifest->by_number ? NULL : manifest->class_sizes;
    info->target_count = manifest->target_count;
    info->target_names = manifest->target_names;
    info->index_bytes =
        manifest->table.bytes + manifest->row_capacity * sizeof(struct row) + manifest->number_capacity * sizeof(float);
    return TN_OK;
}

static const struct tn_source manifest = {
    TN_TYPE_WITH(TN_SOURCE, "manifest", struct manifest, manifest_options,
                 "pictures that a CSV or TSV file lists, as Keras' flow_from_dataframe", 0, manifest_open,
                 manifest_close),
    .scan = manifest_scan,
    .name = manifest_name,
    .label = manifest_label,
    .worker_open = manifest_worker_open,
    .worker_close = manifest_worker_close,
    .read = manifest_read,
    .digest = manifest_digest,
};

TN_PLUGIN("tenon.loaders.manifest", "0.1.0", "Apache-2.0", &manifest.type);
