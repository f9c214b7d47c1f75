/* labels.c: from the labels of records to numbered classes. */
#include <stdlib.h>
#include <string.h>

#include "shards.h"

tn_status label_of_text(struct tfrecord *source, const char *text, size_t length, int32_t *label,
                        struct tn_error *error)
{
    for (uint32_t i = 0; i < source->class_count; i++)
        if (strlen(source->classes[i]) == length && memcmp(source->classes[i], text, length) == 0) {
            *label = (int32_t)i;
            return TN_OK;
        }
    if (source->classes_given)
        return tn_fail(error, TN_INVALID, "the label `%.*s` is not one of `classes`", length > 200 ? 200 : (int)length,
                       text);
    if (source->class_count >= 100000)
        return tn_fail(error, TN_INVALID, "more than 100000 different labels: is `%s` the right label_key?",
                       source->label);
    if (source->class_count == source->class_capacity) {
        uint32_t more = source->class_capacity ? source->class_capacity * 2 : 64;
        char **grown = realloc(source->classes, more * sizeof *grown);
        if (!grown)
            return tn_fail(error, TN_NO_MEMORY, "no memory for classes");
        source->classes = grown;
        source->class_capacity = more;
    }
    source->classes[source->class_count] = strndup(text, length);
    if (!source->classes[source->class_count])
        return tn_fail(error, TN_NO_MEMORY, "no memory for classes");
    *label = (int32_t)source->class_count++;
    return TN_OK;
}

tn_status label_of_number(const struct tfrecord *source, int64_t number, int32_t *label, struct tn_error *error)
{
    int64_t value = (int64_t)((uint64_t)number - (uint64_t)source->label_offset);
    if (value < 0 || value >= 1000000 || (source->classes_given && value >= (int64_t)source->class_count))
        return tn_fail(error, TN_CORRUPT, "its label is %lld: %s", (long long)number,
                       source->classes_given ? "there are not so many `classes`"
                                             : "classes are numbered from label_offset");
    *label = (int32_t)value;
    return TN_OK;
}

/* Names of classes that lie beside the shards: classes.txt, a name a line, as `tenon pack` writes it. NULL = none. */
static FILE *open_names(const struct tfrecord *source)
{
    const char *path = source->shards[0].path, *slash = strrchr(path, '/');
    char names[4096];
    int length = snprintf(names, sizeof names, "%.*sclasses.txt", slash ? (int)(slash - path + 1) : 0, path);
    return length > 0 && (size_t)length < sizeof names ? fopen(names, "re") : NULL;
}

static tn_status take_names(struct tfrecord *source, FILE *file, struct tn_error *error)
{
    char *line = NULL;
    size_t capacity = 0;
    int32_t label;
    tn_status status = TN_OK;
    while (status == TN_OK && getline(&line, &capacity, file) >= 0) {
        size_t length = strcspn(line, "\r\n");
        if (length)
            status = label_of_text(source, line, length, &label, error);
    }
    free(line);
    (void)fclose(file);
    return status;
}

/* Labels that were numbers have the names beside the shards, or "0", "1", … up to the largest. */
static tn_status name_numbers(struct tfrecord *source, struct tn_error *error)
{
    int32_t most = -1;
    for (uint64_t i = 0; i < source->place_count; i++)
        most = source->places[i].label > most ? source->places[i].label : most;
    FILE *names = open_names(source);
    tn_status named = names ? take_names(source, names, error) : TN_OK;
    if (named != TN_OK)
        return named;
    for (int32_t k = (int32_t)source->class_count; k <= most; k++) {
        char name[32];
        int32_t label;
        int length = snprintf(name, sizeof name, "%lld", (long long)k + (long long)source->label_offset);
        tn_status status = label_of_text(source, name, (size_t)length, &label, error);
        if (status != TN_OK)
            return status;
    }
    return TN_OK;
}

static int compare_classes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Texts were numbered as they came: number them in order, as Keras does with names. */
static tn_status sort_classes(struct tfrecord *source, struct tn_error *error)
{
    char **sorted = calloc(source->class_count + 1, sizeof *sorted);
    int32_t *moved = calloc(source->class_count + 1, sizeof *moved);
    tn_status status = TN_OK;
    if (!sorted || !moved) {
        status = tn_fail(error, TN_NO_MEMORY, "no memory for classes");
    } else {
        memcpy(sorted, source->classes, source->class_count * sizeof *sorted);
        qsort(sorted, source->class_count, sizeof *sorted, compare_classes);
        for (uint32_t i = 0; i < source->class_count; i++) {
            char **at = bsearch(&source->classes[i], sorted, source->class_count, sizeof *sorted, compare_classes);
            moved[i] = (int32_t)(at - sorted);
        }
        memcpy(source->classes, sorted, source->class_count * sizeof *sorted);
        for (uint64_t i = 0; i < source->place_count; i++)
            source->places[i].label = moved[source->places[i].label];
    }
    free(sorted);
    free(moved);
    return status;
}

tn_status classes_settle(struct tfrecord *source, struct tn_error *error)
{
    tn_status status = TN_OK;
    if (!source->wants_label)
        return TN_OK;
    if (!source->classes_given && source->class_count > 0)
        status = sort_classes(source, error);
    else if (!source->classes_given)
        status = name_numbers(source, error);
    return status;
}

tn_status classes_count(struct tfrecord *source, struct tn_error *error)
{
    source->class_sizes = calloc(source->class_count + 1, sizeof *source->class_sizes);
    if (!source->class_sizes)
        return tn_fail(error, TN_NO_MEMORY, "no memory for classes");
    for (uint64_t i = 0; i < source->place_count && source->wants_label; i++)
        source->class_sizes[source->places[i].label]++;
    return TN_OK;
}

tn_status classes_take(struct tfrecord *source, const struct tn_list *classes, struct tn_error *error)
{
    if (classes->count == 0)
        return TN_OK;
    source->classes = calloc(classes->count, sizeof *source->classes);
    if (!source->classes)
        return tn_fail(error, TN_NO_MEMORY, "no memory for classes");
    source->classes_given = 1;
    for (uint32_t i = 0; i < classes->count; i++) { /* the request's texts live during scan() only */
        source->classes[i] = strdup(classes->items[i]);
        if (!source->classes[i])
            return tn_fail(error, TN_NO_MEMORY, "no memory for classes");
        source->class_count++;
    }
    return TN_OK;
}
