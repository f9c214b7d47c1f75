/* columns.c: which columns of a manifest count, and the classes that its labels name. */
#include <stdlib.h>
#include <string.h>

#include "manifest.h"

/* ---- columns ---- */

static tn_status fail_column(const struct manifest *manifest, const char *name, struct tn_error *error)
{
    char names[512] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < manifest->table.field_count && i < 16 && used < sizeof names - 1; i++) {
        int length = manifest->header
                         ? snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", manifest->table.fields[i])
                         : snprintf(names + used, sizeof names - used, "%s%u", i ? ", " : "", (unsigned)i + 1);
        used += length > 0 ? (size_t)length : 0;
    }
    return tn_fail(error, TN_INVALID, "%s has no column `%s`; its columns: %s", manifest->path, name, names);
}

/* UINT32_MAX = there is none of that name. Without a header columns are called 1, 2, … */
static uint32_t column_of(const struct manifest *manifest, const char *name)
{
    if (!manifest->header) {
        char *end;
        unsigned long number = strtoul(name, &end, 10);
        return *end == '\0' && number >= 1 && number <= manifest->column_count ? (uint32_t)number - 1 : UINT32_MAX;
    }
    for (uint32_t i = 0; i < manifest->column_count; i++)
        if (strcmp(manifest->table.fields[i], name) == 0)
            return i;
    return UINT32_MAX;
}

/* `class` or `label` where there is one, else the column after the path's: Keras' defaults, then what people write. */
static tn_status default_label(struct manifest *manifest, struct tn_error *error)
{
    uint32_t at = UINT32_MAX;
    if (manifest->header)
        at = column_of(manifest, "class");
    if (manifest->header && at == UINT32_MAX)
        at = column_of(manifest, "label");
    if (at == UINT32_MAX)
        at = manifest->path_at == 0 ? 1 : 0;
    if (at >= manifest->column_count)
        return tn_fail(error, TN_INVALID,
                       "%s has one column only, and labels are needed: is the separator right? (class_mode = input and "
                       "none need no labels)",
                       manifest->path);
    manifest->label_at[0] = at, manifest->label_count = 1;
    return TN_OK;
}

static tn_status find_labels(struct manifest *manifest, struct tn_error *error)
{
    uint32_t count = manifest->label_column.count;
    manifest->label_at = calloc(count ? count : 1, sizeof *manifest->label_at);
    if (!manifest->label_at)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the columns of %s", manifest->path);
    if (count == 0)
        return default_label(manifest, error);
    for (uint32_t i = 0; i < count; i++) {
        manifest->label_at[i] = column_of(manifest, manifest->label_column.items[i]);
        if (manifest->label_at[i] == UINT32_MAX)
            return fail_column(manifest, manifest->label_column.items[i], error);
    }
    manifest->label_count = count;
    return TN_OK;
}

/* The names of the label columns; they are borrowed from the header or the options. */
static tn_status name_labels(struct manifest *manifest, struct tn_error *error)
{
    manifest->target_names = calloc((size_t)manifest->label_count + 1, sizeof *manifest->target_names);
    if (!manifest->target_names)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the columns of %s", manifest->path);
    for (uint32_t i = 0; i < manifest->label_count; i++)
        manifest->target_names[i] = manifest->label_column.count ? manifest->label_column.items[i]
                                    : manifest->header           ? manifest->table.fields[manifest->label_at[i]]
                                                                 : "value";
    return TN_OK;
}

tn_status columns_find(struct manifest *manifest, int needs_labels, struct tn_error *error)
{
    tn_status status = table_next(&manifest->table, manifest->path, error);
    if (status != TN_OK)
        return status;
    manifest->column_count = manifest->table.field_count;
    if (manifest->column_count == 0)
        return tn_fail(error, TN_INVALID, "%s is empty", manifest->path);
    if (manifest->path_column) {
        manifest->path_at = column_of(manifest, manifest->path_column);
        if (manifest->path_at == UINT32_MAX)
            return fail_column(manifest, manifest->path_column, error);
    } else {
        uint32_t found = manifest->header ? column_of(manifest, "filename") : 0;
        manifest->path_at = found == UINT32_MAX ? 0 : found;
    }
    if (!needs_labels)
        return TN_OK;
    status = find_labels(manifest, error);
    return status == TN_OK ? name_labels(manifest, error) : status;
}

/* ---- classes ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct class_name *)a)->name, ((const struct class_name *)b)->name);
}

static tn_status no_memory(const struct manifest *manifest, struct tn_error *error)
{
    return tn_fail(error, TN_NO_MEMORY, "no memory for the classes of %s", manifest->path);
}

static tn_status make_sizes(struct manifest *manifest, struct tn_error *error)
{
    manifest->class_sizes = calloc((size_t)manifest->class_count + 1, sizeof *manifest->class_sizes);
    return manifest->class_sizes ? TN_OK : no_memory(manifest, error);
}

tn_status classes_given(struct manifest *manifest, const struct tn_list *classes, struct tn_error *error)
{
    manifest->classes = calloc((size_t)classes->count + 1, sizeof *manifest->classes);
    manifest->copies = calloc((size_t)classes->count + 1, sizeof *manifest->copies);
    manifest->sorted = calloc((size_t)classes->count + 1, sizeof *manifest->sorted);
    if (!manifest->classes || !manifest->copies || !manifest->sorted)
        return no_memory(manifest, error);
    for (uint32_t i = 0; i < classes->count; i++) {
        manifest->copies[i] = strdup(classes->items[i]);
        if (!manifest->copies[i])
            return no_memory(manifest, error);
        manifest->classes[i] = manifest->copies[i];
        manifest->sorted[i] = (struct class_name){manifest->copies[i], i};
    }
    manifest->class_count = classes->count;
    qsort(manifest->sorted, classes->count, sizeof *manifest->sorted, by_name);
    for (uint32_t i = 1; i < classes->count; i++)
        if (strcmp(manifest->sorted[i - 1].name, manifest->sorted[i].name) == 0)
            return tn_fail(error, TN_INVALID, "classes: `%s` is there twice", manifest->sorted[i].name);
    return make_sizes(manifest, error);
}

const char *next_part(const struct manifest *manifest, const char **text, size_t *length)
{
    const char *part = *text;
    if (!part)
        return NULL;
    if (!manifest->label_separator) {
        *length = strlen(part), *text = NULL;
        return part;
    }
    const char *end = strstr(part, manifest->label_separator);
    *length = end ? (size_t)(end - part) : strlen(part);
    *text = end ? end + strlen(manifest->label_separator) : NULL;
    return part;
}

/* Text ordering of names that are parts of longer texts. */
struct part {
    const char *text;
    size_t length;
};

static int by_part(const void *a, const void *b)
{
    const struct part *left = a, *right = b;
    size_t shorter = left->length < right->length ? left->length : right->length;
    int order = memcmp(left->text, right->text, shorter);
    return order ? order : (left->length > right->length) - (left->length < right->length);
}

/* All names in `parts`, sorted, each once. */
static tn_status take_parts(struct manifest *manifest, struct part *parts, uint64_t count, struct tn_error *error)
{
    uint64_t kept = 0;
    qsort(parts, (size_t)count, sizeof *parts, by_part);
    for (uint64_t i = 0; i < count; i++)
        if (kept == 0 || by_part(&parts[kept - 1], &parts[i]) != 0)
            parts[kept++] = parts[i];
    if (kept > INT32_MAX)
        return tn_fail(error, TN_INVALID, "%s has too many classes", manifest->path);
    manifest->classes = calloc((size_t)kept + 1, sizeof *manifest->classes);
    manifest->copies = calloc((size_t)kept + 1, sizeof *manifest->copies);
    manifest->sorted = calloc((size_t)kept + 1, sizeof *manifest->sorted);
    if (!manifest->classes || !manifest->copies || !manifest->sorted)
        return no_memory(manifest, error);
    for (uint64_t i = 0; i < kept; i++) {
        manifest->copies[i] = strndup(parts[i].text, parts[i].length);
        if (!manifest->copies[i])
            return no_memory(manifest, error);
        manifest->class_count = (uint32_t)i + 1;
        manifest->classes[i] = manifest->copies[i];
        manifest->sorted[i] = (struct class_name){manifest->copies[i], (uint32_t)i};
    }
    return make_sizes(manifest, error);
}

tn_status classes_found(struct manifest *manifest, struct tn_error *error)
{
    uint64_t count = 0, capacity = manifest->row_count + 16;
    struct part *parts = malloc((size_t)capacity * sizeof *parts);
    for (uint64_t i = 0; parts && i < manifest->row_count; i++) {
        const char *text = manifest->table.text + manifest->rows[i].label;
        struct part part;
        while ((part.text = next_part(manifest, &text, &part.length))) {
            if (part.length == 0)
                continue;
            if (count == capacity) {
                struct part *grown = realloc(parts, (size_t)(capacity *= 2) * sizeof *parts);
                if (!grown) {
                    free(parts);
                    return no_memory(manifest, error);
                }
                parts = grown;
            }
            parts[count++] = part;
        }
    }
    tn_status status = parts ? take_parts(manifest, parts, count, error) : no_memory(manifest, error);
    free(parts);
    return status;
}

int32_t class_of(const struct manifest *manifest, const char *name, size_t length)
{
    uint32_t low = 0, high = manifest->class_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const char *other = manifest->sorted[middle].name;
        int order = strncmp(other, name, length);
        if (order == 0 && other[length] != '\0')
            order = 1;
        if (order == 0)
            return (int32_t)manifest->sorted[middle].index;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}
