/* inspect_survey.c: what the records of a set hold: features and their values, labels, pictures. Each thread has a
 * survey of its own; at the end they are joined. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/inspect.h"
#include "tfrecord/tfrecord.h"

enum { MOST_FEATURES = 500, SHOWN_NUMBERS = 6, SHOWN_BYTES = 32, LONGEST_LABEL = 100 };

/* The values of the feature whose entry comes next, and what the record in hand is. */
struct gathering {
    struct tn_survey *survey;
    struct tn_decoder *decoder;
    const struct tn_record_keys *keys;
    struct tn_record_look *look;
    size_t file;
    uint64_t pictures; /* values of the picture's feature; UINT64_MAX: there is no such feature */
    /* pending */
    int kind;
    uint64_t count, not_finite, shortest, longest, bytes;
    double lowest, highest;
    const void *first; /* value of bytes */
    uint64_t first_bytes;
    char numbers[SHOWN_NUMBERS * 26];
    size_t numbers_length;
};

tn_status tn_survey_open(struct tn_survey *survey, struct tn_error *error)
{
    *survey = (struct tn_survey){.heights = calloc(TN_LONGEST_SIDE, sizeof(uint64_t)),
                                 .widths = calloc(TN_LONGEST_SIDE, sizeof(uint64_t))};
    if (survey->heights && survey->widths)
        return TN_OK;
    tn_survey_close(survey);
    return tn_fail(error, TN_NO_MEMORY, "no memory for what is counted");
}

void tn_survey_close(struct tn_survey *survey)
{
    free(survey->features);
    free(survey->heights);
    free(survey->widths);
    tn_tally_release(&survey->labels);
    tn_tally_release(&survey->formats);
    tn_tally_release(&survey->sizes);
    tn_arena_release(&survey->arena);
    *survey = (struct tn_survey){0};
}

/* ---- values ---- */

static void forget_values(struct gathering *gathering)
{
    gathering->kind = FEATURE_NONE;
    gathering->count = gathering->not_finite = gathering->longest = gathering->bytes = gathering->first_bytes = 0;
    gathering->shortest = UINT64_MAX;
    gathering->lowest = INFINITY, gathering->highest = -INFINITY;
    gathering->first = NULL;
    gathering->numbers_length = 0;
    gathering->numbers[0] = '\0';
}

static void take_number(struct gathering *gathering, const struct feature *value)
{
    double number = value->kind == FEATURE_INT ? (double)value->integer : value->real;
    size_t room = sizeof gathering->numbers - gathering->numbers_length;
    char *at = gathering->numbers + gathering->numbers_length;
    const char *separator = gathering->count ? ", " : "";
    int used = 0;
    if (isfinite(number)) {
        gathering->lowest = fmin(gathering->lowest, number);
        gathering->highest = fmax(gathering->highest, number);
    } else {
        gathering->not_finite++;
    }
    if (gathering->count >= SHOWN_NUMBERS)
        return;
    used = value->kind == FEATURE_INT ? snprintf(at, room, "%s%lld", separator, (long long)value->integer)
                                      : snprintf(at, room, "%s%.6g", separator, value->real);
    if (used > 0 && (size_t)used < room)
        gathering->numbers_length += (size_t)used;
}

static void take_value(void *context, const struct feature *value)
{
    struct gathering *gathering = context;
    if (value->kind != gathering->kind) /* of a oneof the last member counts */
        forget_values(gathering);
    gathering->kind = value->kind;
    if (value->kind == FEATURE_BYTES) {
        if (gathering->count == 0)
            gathering->first = value->bytes, gathering->first_bytes = value->byte_count;
        if (value->byte_count < gathering->shortest)
            gathering->shortest = value->byte_count;
        if (value->byte_count > gathering->longest)
            gathering->longest = value->byte_count;
        gathering->bytes += value->byte_count;
    } else {
        take_number(gathering, value);
    }
    gathering->count++;
}

/* ---- features ---- */

/* As in printf's %s for what may be any bytes: quotes around, control characters written out. */
static const char *example_of(struct gathering *gathering, const struct feature *feature)
{
    struct tn_arena *arena = &gathering->survey->arena;
    const char *more = gathering->count > SHOWN_NUMBERS ? ", ..." : "";
    const char *codec;
    if (feature->count == 0)
        return "";
    if (feature->kind != FEATURE_BYTES)
        return tn_arena_format(arena, "%s%s", gathering->numbers, more);
    codec = gathering->decoder ? tn_decoder_codec(gathering->decoder, gathering->first, gathering->first_bytes) : NULL;
    if (codec)
        return tn_arena_format(arena, "a picture (%s)", codec);
    return tn_arena_format(arena, "\"%s\"%s",
                           tn_inspect_printable(arena, gathering->first, gathering->first_bytes, SHOWN_BYTES),
                           gathering->count > 1 ? ", ..." : "");
}

static struct tn_feature_survey *find_feature(struct tn_survey *survey, const void *key, uint64_t key_bytes)
{
    for (size_t i = 0; i < survey->feature_count; i++)
        if (strlen(survey->features[i].key) == key_bytes && memcmp(survey->features[i].key, key, key_bytes) == 0)
            return &survey->features[i];
    return NULL;
}

static struct tn_feature_survey *add_feature(struct tn_survey *survey, const char *key)
{
    if (survey->feature_count == MOST_FEATURES) {
        survey->features_left_out++;
        return NULL;
    }
    if (!key || tn_grow(&survey->features, &survey->feature_capacity, survey->feature_count + 1,
                        sizeof *survey->features) != TN_OK) {
        survey->failed = true;
        return NULL;
    }
    struct tn_feature_survey *made = &survey->features[survey->feature_count++];
    *made = (struct tn_feature_survey){.key = key,
                                       .least = UINT64_MAX,
                                       .shortest = UINT64_MAX,
                                       .lowest = INFINITY,
                                       .highest = -INFINITY,
                                       .example_file = SIZE_MAX};
    return made;
}

static bool is_key(const char *wanted, const void *key, uint64_t key_bytes)
{
    return wanted && strlen(wanted) == key_bytes && memcmp(wanted, key, key_bytes) == 0;
}

static void note_label(const struct gathering *gathering, const struct feature *feature)
{
    struct tn_record_look *look = gathering->look;
    struct tn_arena scratch = {0};
    const char *text = gathering->numbers;
    if (feature->count == 0)
        return;
    if (feature->kind == FEATURE_BYTES)
        text = tn_inspect_printable(&scratch, gathering->first, gathering->first_bytes, LONGEST_LABEL);
    (void)snprintf(look->label, sizeof look->label, "%s%s", text ? text : "",
                   feature->count > (feature->kind == FEATURE_BYTES ? 1u : SHOWN_NUMBERS) ? ", ..." : "");
    tn_arena_release(&scratch);
}

static void add_values(struct gathering *gathering, struct tn_feature_survey *seen, const struct feature *feature)
{
    bool again = seen->record == gathering->survey->records; /* a key that is there twice */
    seen->record = gathering->survey->records;
    seen->records += !again;
    seen->kinds[feature->count ? feature->kind : FEATURE_NONE] += !again;
    seen->least = feature->count < seen->least ? feature->count : seen->least;
    seen->most = feature->count > seen->most ? feature->count : seen->most;
    seen->values += feature->count;
    seen->lowest = fmin(seen->lowest, gathering->lowest);
    seen->highest = fmax(seen->highest, gathering->highest);
    seen->not_finite += gathering->not_finite;
    seen->shortest = gathering->shortest < seen->shortest ? gathering->shortest : seen->shortest;
    seen->longest = gathering->longest > seen->longest ? gathering->longest : seen->longest;
    seen->bytes += gathering->bytes;
    if (seen->example_file == SIZE_MAX && feature->count) {
        seen->example = example_of(gathering, feature);
        seen->example_file = gathering->file;
    }
}

static void take_entry(void *context, const void *key, uint64_t key_bytes, const struct feature *feature)
{
    struct gathering *gathering = context;
    struct tn_survey *survey = gathering->survey;
    struct tn_feature_survey *seen = find_feature(survey, key, key_bytes);
    if (!seen && !memchr(key, '\0', (size_t)key_bytes) && key_bytes < SIZE_MAX)
        seen = add_feature(survey, tn_arena_text(&survey->arena, key, (size_t)key_bytes));
    if (seen)
        add_values(gathering, seen, feature);
    if (is_key(gathering->keys->label, key, key_bytes))
        note_label(gathering, feature);
    if (is_key(gathering->keys->image, key, key_bytes)) {
        bool picture = feature->kind == FEATURE_BYTES && feature->count == 1;
        gathering->pictures = feature->count;
        gathering->look->picture = picture ? feature->bytes : NULL;
        gathering->look->picture_bytes = picture ? feature->byte_count : 0;
    }
    forget_values(gathering);
}

/* ---- records ---- */

static size_t side(int32_t length)
{
    return length < 0 ? 0 : length < TN_LONGEST_SIDE ? (size_t)length : TN_LONGEST_SIDE - 1;
}

static tn_status take_picture(struct gathering *gathering, struct tn_error *error)
{
    struct tn_survey *survey = gathering->survey;
    struct tn_record_look *look = gathering->look;
    char text[64];
    if (!look->picture && gathering->pictures == UINT64_MAX)
        return tn_fail(error, TN_CORRUPT, "it has no feature `%s`", gathering->keys->image);
    if (!look->picture)
        return tn_fail(error, TN_CORRUPT, "its feature `%s` is not one encoded picture", gathering->keys->image);
    look->format = tn_decoder_codec(gathering->decoder, look->picture, look->picture_bytes);
    tn_status status = tn_decoder_size(gathering->decoder, look->picture, look->picture_bytes, &look->image, error);
    tn_tally_add(&survey->formats, look->format ? look->format : "unknown", 1);
    if (status != TN_OK)
        return status;
    survey->pictures++;
    survey->heights[side(look->image.height)]++;
    survey->widths[side(look->image.width)]++;
    (void)snprintf(text, sizeof text, "%dx%d", (int)look->image.height, (int)look->image.width);
    tn_tally_add(&survey->sizes, text, 1);
    return TN_OK;
}

tn_status tn_survey_add(struct tn_survey *survey, const void *data, uint64_t bytes, size_t file,
                        const struct tn_record_keys *keys, struct tn_decoder *decoder, struct tn_record_look *look,
                        struct tn_error *error)
{
    struct gathering gathering = {
        .survey = survey, .decoder = decoder, .keys = keys, .look = look, .file = file, .pictures = UINT64_MAX};
    const struct example_visitor visitor = {take_value, take_entry, &gathering};
    tn_status status;
    *look = (struct tn_record_look){0};
    survey->records++;
    survey->bytes += bytes;
    forget_values(&gathering);
    status = example_each(data, bytes, &visitor, error);
    if (status != TN_OK)
        return status;
    if (look->label[0]) {
        tn_tally_add(&survey->labels, look->label, 1);
        survey->labelled++;
    }
    if (keys->image)
        status = take_picture(&gathering, error);
    if (status == TN_OK && keys->label && !look->label[0])
        status = tn_fail(error, TN_CORRUPT, "it has no feature `%s`, or an empty one", keys->label);
    return status;
}

/* ---- joining ---- */

static void join_feature(struct tn_survey *survey, const struct tn_feature_survey *other)
{
    struct tn_feature_survey *seen = find_feature(survey, other->key, strlen(other->key));
    if (!seen)
        seen = add_feature(survey, tn_arena_string(&survey->arena, other->key));
    if (!seen)
        return;
    for (int kind = 0; kind < TN_SURVEY_KINDS; kind++)
        seen->kinds[kind] += other->kinds[kind];
    seen->records += other->records;
    seen->values += other->values;
    seen->least = other->least < seen->least ? other->least : seen->least;
    seen->most = other->most > seen->most ? other->most : seen->most;
    seen->lowest = fmin(seen->lowest, other->lowest);
    seen->highest = fmax(seen->highest, other->highest);
    seen->not_finite += other->not_finite;
    seen->shortest = other->shortest < seen->shortest ? other->shortest : seen->shortest;
    seen->longest = other->longest > seen->longest ? other->longest : seen->longest;
    seen->bytes += other->bytes;
    if (other->example_file < seen->example_file) {
        seen->example = tn_arena_string(&survey->arena, other->example);
        seen->example_file = other->example_file;
    }
}

void tn_survey_join(struct tn_survey *survey, const struct tn_survey *other)
{
    for (size_t i = 0; i < other->feature_count; i++)
        join_feature(survey, &other->features[i]);
    for (size_t i = 0; i < TN_LONGEST_SIDE; i++) {
        survey->heights[i] += other->heights[i];
        survey->widths[i] += other->widths[i];
    }
    tn_tally_join(&survey->labels, &other->labels);
    tn_tally_join(&survey->formats, &other->formats);
    tn_tally_join(&survey->sizes, &other->sizes);
    survey->features_left_out += other->features_left_out;
    survey->records += other->records;
    survey->bytes += other->bytes;
    survey->pictures += other->pictures;
    survey->labelled += other->labelled;
    survey->failed |= other->failed || other->arena.failed;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct tn_feature_survey *)a)->key, ((const struct tn_feature_survey *)b)->key);
}

void tn_survey_sort(struct tn_survey *survey)
{
    if (survey->feature_count)
        qsort(survey->features, survey->feature_count, sizeof *survey->features, by_key);
    tn_tally_sort(&survey->labels);
    tn_tally_sort(&survey->formats);
    tn_tally_sort(&survey->sizes);
}

/* ---- which features ---- */

struct choice {
    struct tn_decoder *decoder;
    struct tn_arena *arena;
    struct tn_record_keys *keys;
};

static void ignore_value(void *context, const struct feature *value)
{
    (void)context;
    (void)value;
}

/* The usual name wins over another picture of the same record. */
static void choose(void *context, const void *key, uint64_t key_bytes, const struct feature *feature)
{
    const struct choice *choice = context;
    struct tn_record_keys *keys = choice->keys;
    bool usual = is_key("image", key, key_bytes) || is_key("image/encoded", key, key_bytes);
    if (memchr(key, '\0', (size_t)key_bytes))
        return;
    if (feature->kind == FEATURE_BYTES && feature->count == 1 && (!keys->image || usual) &&
        tn_decoder_codec(choice->decoder, feature->bytes, feature->byte_count))
        keys->image = tn_arena_text(choice->arena, key, (size_t)key_bytes);
    if (feature->count && is_key("label", key, key_bytes))
        keys->label = "label";
    if (!keys->label && feature->count && is_key("image/class/label", key, key_bytes))
        keys->label = "image/class/label";
}

void tn_survey_choose_keys(const void *data, uint64_t bytes, struct tn_decoder *decoder, struct tn_arena *arena,
                           struct tn_record_keys *keys)
{
    struct tn_record_keys found = {0};
    struct choice choice = {decoder, arena, &found};
    const struct example_visitor visitor = {ignore_value, choose, &choice};
    if (example_each(data, bytes, &visitor, NULL) != TN_OK)
        return;
    keys->image = keys->image ? keys->image : found.image;
    keys->label = keys->label ? keys->label : found.label;
}
