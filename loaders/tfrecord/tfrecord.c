/* tfrecord: pictures and labels in TFRecord shards of tf.train.Example, as TensorFlow writes them and `tenon pack`
 * does.
 *
 * All shards are read once, when the source is opened: place and label of each record are kept, so that training
 * shuffles all records and not a buffer of them. A record is read again with its CRC when a worker asks for it.
 */
#include <stdlib.h>
#include <string.h>

#include "shards.h"

static const struct tn_option options[] = {
    TN_PATH_REQUIRED(struct tfrecord, files, "the shards, a pattern: data/train-*.tfrecord, data/{a,b}.tfrecord"),
    TN_STRING(struct tfrecord, image_key, NULL,
              "feature with the encoded picture; absent: image, or image/encoded, what the first record has"),
    TN_STRING(
        struct tfrecord, label_key, NULL,
        "feature with the class, a number (named by classes.txt beside the shards, where there is one) or a text; "
        "absent: label, or image/class/label"),
    TN_INT(struct tfrecord, label_offset, 0, -1e9, 1e9, "number of the first class: 1 where labels count from 1"),
    TN_ENUM(struct tfrecord, compression, COMPRESSION_AUTO, "auto|none|gzip|zlib", "auto looks at the content"),
    TN_BOOL(struct tfrecord, verify, 1,
            "prove the CRC of all data when the source is opened, not only when it is read"),
    TN_ENUM(struct tfrecord, on_damage, 0, "fail|skip",
            "skip: use the records before the damage, and leave out those without picture or label"),
    TN_BYTES(struct tfrecord, decompressed_limit, "64GiB", 1, 1e18,
             "compressed shards are inflated into $TMPDIR, each up to this size"),
    TN_END,
};

static tn_status open_source(void *self, const struct tn_host *host, struct tn_error *error)
{
    struct tfrecord *source = self;
    (void)error;
    source->host = host;
    return TN_OK;
}

static void close_source(void *self)
{
    shards_close(self);
}

/* ---- labels ---- */

static tn_status class_of_text(struct tfrecord *source, const char *text, size_t length, int32_t *label,
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
    if (length == 0 || length > 4096 || memchr(text, '\0', length))
        return tn_fail(error, TN_CORRUPT, "the label is no text that could name a class");
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

static tn_status take_label(struct tfrecord *source, const struct feature *label, int32_t *number,
                            struct tn_error *error)
{
    int64_t value;
    if (label->kind == FEATURE_NONE)
        return tn_fail(error, TN_CORRUPT, "it has no feature `%s` for the label", source->label);
    if (label->kind == FEATURE_FLOAT)
        return tn_fail(error, TN_UNSUPPORTED, "the feature `%s` holds floats: labels are whole numbers or texts",
                       source->label);
    if (label->count != 1)
        return tn_fail(error, TN_CORRUPT, "the feature `%s` has %llu values: one label is needed", source->label,
                       (unsigned long long)label->count);
    if (label->kind == FEATURE_BYTES)
        return class_of_text(source, label->bytes, (size_t)label->byte_count, number, error);
    value = (int64_t)((uint64_t)label->integer - (uint64_t)source->label_offset);
    if (value < 0 || value >= 1000000 || (source->classes_given && value >= (int64_t)source->class_count))
        return tn_fail(error, TN_CORRUPT, "its label is %lld: %s", (long long)label->integer,
                       source->classes_given ? "there are not so many `classes`"
                                             : "classes are numbered from label_offset");
    *number = (int32_t)value;
    return TN_OK;
}

tn_status record_take(struct tfrecord *source, const void *data, uint64_t length, struct feature *image, int32_t *label,
                      struct tn_error *error)
{
    struct feature found;
    tn_status status = example_find(data, length, source->image, image, error);
    if (status != TN_OK)
        return status;
    if (image->kind != FEATURE_BYTES || image->count != 1)
        return tn_fail(error, TN_CORRUPT, "the feature `%s` %s: one encoded picture is needed", source->image,
                       image->kind == FEATURE_NONE    ? "is not there"
                       : image->kind != FEATURE_BYTES ? "holds numbers"
                                                      : "has several values");
    if (!label)
        return TN_OK;
    status = example_find(data, length, source->label, &found, error);
    return status == TN_OK ? take_label(source, &found, label, error) : status;
}

/* ---- scan ---- */

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
            status = class_of_text(source, line, length, &label, error);
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
        tn_status status = class_of_text(source, name, (size_t)length, &label, error);
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

static tn_status settle_classes(struct tfrecord *source, struct tn_error *error)
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

static tn_status count_classes(struct tfrecord *source, struct tn_error *error)
{
    source->class_sizes = calloc(source->class_count + 1, sizeof *source->class_sizes);
    if (!source->class_sizes)
        return tn_fail(error, TN_NO_MEMORY, "no memory for classes");
    for (uint64_t i = 0; i < source->place_count && source->wants_label; i++)
        source->class_sizes[source->places[i].label]++;
    return TN_OK;
}

/* The first records are for validation, as with a manifest. */
static void apply_subset(struct tfrecord *source, const struct tn_source_request *request)
{
    uint64_t validation = (uint64_t)(request->validation_split * (double)source->place_count);
    if (request->subset == TN_SUBSET_VALIDATION) {
        source->place_count = validation;
    } else if (request->subset == TN_SUBSET_TRAINING) {
        source->place_count -= validation;
        memmove(source->places, source->places + validation, (size_t)source->place_count * sizeof *source->places);
    }
}

static tn_status take_given(struct tfrecord *source, const struct tn_list *classes, struct tn_error *error)
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

static tn_status scan(void *self, const struct tn_source_request *request, struct tn_source_info *info,
                      struct tn_error *error)
{
    struct tfrecord *source = self;
    tn_status status = shards_open(source, error);
    source->wants_label = request->class_mode != TN_CLASS_NONE && request->class_mode != TN_CLASS_INPUT;
    if (status == TN_OK)
        status = take_given(source, &request->classes, error);
    if (status == TN_OK)
        status = shards_index(source, error);
    if (status == TN_OK && source->place_count == 0)
        status = tn_fail(error, TN_INVALID, "%s: no records in %llu file%s", source->files,
                         (unsigned long long)source->shard_count, source->shard_count == 1 ? "" : "s");
    if (status == TN_OK)
        status = settle_classes(source, error);
    if (status == TN_OK) {
        apply_subset(source, request);
        status = count_classes(source, error);
    }
    if (status != TN_OK)
        return status;
    info->count = source->place_count;
    info->class_count = source->wants_label ? source->class_count : 0;
    info->classes = (const char *const *)source->classes;
    info->class_sizes = source->class_sizes;
    info->index_bytes = source->place_capacity * sizeof *source->places;
    return TN_OK;
}

/* ---- samples ---- */

struct worker {
    unsigned char *bytes;
    uint64_t capacity;
};

static void name_sample(const void *self, uint64_t index, char *text, uint64_t text_bytes)
{
    const struct tfrecord *source = self;
    const struct place *place = &source->places[index];
    (void)snprintf(text, (size_t)text_bytes, "%s#%u", source->shards[place->shard].path, place->number);
}

static int32_t label_sample(const void *self, uint64_t index)
{
    return ((const struct tfrecord *)self)->places[index].label;
}

static tn_status worker_open(const void *self, void **state, struct tn_error *error)
{
    (void)self;
    *state = calloc(1, sizeof(struct worker));
    return *state ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for a reader");
}

static void worker_close(const void *self, void *state)
{
    struct worker *worker = state;
    (void)self;
    if (worker)
        free(worker->bytes);
    free(worker);
}

static tn_status read_sample(const void *self, void *state, uint64_t index, struct tn_sample *sample,
                             struct tn_error *error)
{
    const struct tfrecord *source = self;
    const struct place *place = &source->places[index];
    struct worker *worker = state;
    uint64_t needed = (uint64_t)place->length + RECORD_TAIL;
    struct feature image;
    tn_status status;
    if (worker->capacity < needed) {
        free(worker->bytes);
        worker->capacity = needed + needed / 4;
        worker->bytes = malloc((size_t)worker->capacity);
        if (!worker->bytes) {
            worker->capacity = 0;
            return tn_fail(error, TN_NO_MEMORY, "no memory for a record of %llu bytes", (unsigned long long)needed);
        }
    }
    status =
        record_read_at(source->shards[place->shard].descriptor, place->offset, place->length, worker->bytes, error);
    if (status == TN_OK)
        status = example_find(worker->bytes, place->length, source->image, &image, error);
    if (status != TN_OK)
        return status;
    sample->label = place->label;
    sample->bytes = image.bytes;
    sample->byte_count = image.byte_count;
    return TN_OK;
}

static const struct tn_source tfrecord = {
    TN_TYPE_WITH(TN_SOURCE, "tfrecord", struct tfrecord, options,
                 "pictures and labels in TFRecord shards of tf.train.Example", 0, open_source, close_source),
    .scan = scan,
    .name = name_sample,
    .label = label_sample,
    .worker_open = worker_open,
    .worker_close = worker_close,
    .read = read_sample,
};

TN_PLUGIN("tenon.loaders.tfrecord", TENON_VERSION, "Apache-2.0", &tfrecord.type);
