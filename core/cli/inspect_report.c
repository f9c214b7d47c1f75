/* inspect_report.c: what `tenon inspect` says of TFRecord files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/inspect.h"
#include "tfrecord/tfrecord.h"

enum { MOST_FILES = 20, MOST_LABELS = 20, MOST_SIZES = 5, MOST_DAMAGES_SAID = 20 };

const char *const tn_compression_names[] = {"auto", "none", "gzip", "zlib"}, *const tn_feature_kind_names[] = {
                                                                                 "empty", "bytes", "float", "int64"};

/* ---- classes ---- */

const char **tn_inspect_class_names(struct tn_record_set *set, size_t *count)
{
    const char *path = set->files[0].path, *slash = strrchr(path, '/');
    char name[4096];
    void *data = NULL;
    uint64_t bytes;
    size_t lines = 1;
    const char **names;
    *count = 0;
    if (snprintf(name, sizeof name, "%.*sclasses.txt", slash ? (int)(slash - path + 1) : 0, path) >= (int)sizeof name ||
        tn_file_read(name, 1 << 26, &data, &bytes, NULL) != TN_OK)
        return NULL;
    for (const char *at = data; *at; at++)
        lines += *at == '\n';
    names = tn_arena_take(&set->arena, lines * sizeof *names);
    for (const char *at = data; names && *at;) {
        size_t length = strcspn(at, "\r\n");
        if (length)
            names[(*count)++] = tn_inspect_printable(&set->arena, at, length, 200);
        at += length + (at[length] != '\0');
    }
    free(data);
    return names;
}

const char *tn_inspect_class_name(const char *const *names, size_t count, const char *text)
{
    char *end;
    unsigned long long number = strtoull(text, &end, 10);
    return names && end != text && *end == '\0' && *text != '-' && number < count ? names[number] : NULL;
}

void tn_inspect_middle(const uint64_t *counts, uint64_t count, int32_t *least, int32_t *middle, int32_t *greatest)
{
    uint64_t seen = 0;
    *least = *middle = *greatest = 0;
    for (int32_t i = 0; i < TN_LONGEST_SIDE; i++) {
        if (!counts[i])
            continue;
        *least = seen == 0 ? i : *least;
        if (seen < (count + 1) / 2)
            *middle = i;
        *greatest = i;
        seen += counts[i];
    }
}

/* ---- parts of the text ---- */

static void say_head(const struct tn_record_set *set)
{
    const struct tn_record_file *first = &set->files[0];
    char count[32], size[32], inflated[32];
    uint64_t bytes = 0;
    for (size_t i = 0; i < set->file_count; i++)
        bytes += set->files[i].bytes;
    tn_say_count(count, sizeof count, set->survey.records);
    tn_say_bytes(size, sizeof size, bytes);
    if (set->file_count > 1)
        printf("%zu TFRecord files: %s record%s, %s\n", set->file_count, count, set->survey.records == 1 ? "" : "s",
               size);
    else if (first->compression > COMPRESSION_NONE)
        printf("%s: TFRecord, %s record%s, %s, %s of %s\n", first->path, count, set->survey.records == 1 ? "" : "s",
               size, tn_compression_names[first->compression],
               tn_say_bytes(inflated, sizeof inflated, first->inflated));
    else
        printf("%s: TFRecord, %s record%s, %s, not compressed\n", first->path, count,
               set->survey.records == 1 ? "" : "s", size);
}

static void say_files(const struct tn_record_set *set)
{
    struct tn_table table = {.columns = 5, .alignment = "lrrlr"};
    char text[32];
    if (set->file_count < 2)
        return;
    puts("");
    for (const char *const *head = (const char *const[]){"file", "records", "bytes", "compression", "faults", NULL};
         *head; head++)
        tn_table_cell(&table, *head);
    for (size_t i = 0; i < set->file_count && i < MOST_FILES; i++) {
        const struct tn_record_file *file = &set->files[i];
        tn_table_cell(&table, file->path);
        tn_table_cell(&table, tn_say_count(text, sizeof text, file->records));
        tn_table_cell(&table, tn_say_count(text, sizeof text, file->bytes));
        tn_table_cell(&table, tn_compression_names[file->compression]);
        tn_table_format(&table, "%llu", (unsigned long long)file->damages_all);
    }
    tn_table_print(&table, 1);
    if (set->file_count > MOST_FILES)
        printf("... and %zu more files\n", set->file_count - MOST_FILES);
}

/* "int64", or "int64 and float" where records differ. */
static void add_kinds(struct tn_table *table, const struct tn_feature_survey *feature)
{
    char text[64] = "";
    size_t used = 0;
    for (int kind = TN_SURVEY_KINDS - 1; kind >= 0; kind--)
        if (feature->kinds[kind] && used < sizeof text)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? " and " : "",
                                     tn_feature_kind_names[kind]);
    tn_table_cell(table, text);
}

static void add_range(struct tn_table *table, const struct tn_feature_survey *feature)
{
    char least[32], most[32], mean[32];
    if (feature->kinds[FEATURE_BYTES] && feature->shortest == feature->longest)
        tn_table_format(table, "%s", tn_say_bytes(least, sizeof least, feature->longest));
    else if (feature->kinds[FEATURE_BYTES])
        tn_table_format(table, "%s to %s, mean %s", tn_say_bytes(least, sizeof least, feature->shortest),
                        tn_say_bytes(most, sizeof most, feature->longest),
                        tn_say_bytes(mean, sizeof mean, feature->bytes / (feature->values ? feature->values : 1)));
    else if (feature->lowest > feature->highest)
        tn_table_cell(table, feature->not_finite ? "not finite" : "");
    else if (feature->not_finite)
        tn_table_format(table, "%.10g to %.10g, %llu not finite", feature->lowest, feature->highest,
                        (unsigned long long)feature->not_finite);
    else
        tn_table_format(table, "%.10g to %.10g", feature->lowest, feature->highest);
}

static void say_features(struct tn_record_set *set)
{
    const struct tn_survey *survey = &set->survey;
    struct tn_table table = {.columns = 6, .alignment = "llrrll"};
    char text[64];
    if (survey->feature_count == 0)
        return;
    puts("");
    for (const char *const *head =
             (const char *const[]){"feature", "kind", "records", "values", "range", "example", NULL};
         *head; head++)
        tn_table_cell(&table, *head);
    for (size_t i = 0; i < survey->feature_count; i++) {
        const struct tn_feature_survey *feature = &survey->features[i];
        tn_table_cell(&table, tn_inspect_printable(&set->arena, feature->key, strlen(feature->key), 60));
        add_kinds(&table, feature);
        tn_table_cell(&table, tn_say_count(text, sizeof text, feature->records));
        tn_table_format(&table, feature->least == feature->most ? "%llu" : "%llu to %llu",
                        (unsigned long long)feature->least, (unsigned long long)feature->most);
        add_range(&table, feature);
        tn_table_cell(&table, feature->example ? feature->example : "");
    }
    tn_table_print(&table, 1);
    if (survey->features_left_out)
        puts("... and more: there are too many different features to count them all");
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void say_pictures(const struct tn_record_set *set)
{
    const struct tn_survey *survey = &set->survey;
    int32_t least, middle, greatest;
    char count[32];
    if (!set->keys.image || survey->formats.count == 0)
        return;
    printf("\npictures in `%s`: %s", set->keys.image, tn_say_count(count, sizeof count, survey->pictures));
    for (size_t i = 0; i < survey->formats.count; i++)
        printf("%s %s", i ? "," : ";", survey->formats.rows[i].text);
    tn_inspect_middle(survey->heights, survey->pictures, &least, &middle, &greatest);
    if (survey->pictures)
        printf("\n  height %d to %d, median %d", (int)least, (int)greatest, (int)middle);
    tn_inspect_middle(survey->widths, survey->pictures, &least, &middle, &greatest);
    if (survey->pictures)
        printf("; width %d to %d, median %d; height x width:", (int)least, (int)greatest, (int)middle);
    printf("\n");
    for (size_t i = 0; i < survey->sizes.count && i < MOST_SIZES; i++)
        printf("  %-13s%9s  %5.1f %%\n", survey->sizes.rows[i].text,
               tn_say_count(count, sizeof count, survey->sizes.rows[i].count),
               percent(survey->sizes.rows[i].count, survey->pictures));
    if (survey->sizes.count > MOST_SIZES)
        printf("  ... and %zu other size%s\n", survey->sizes.count - MOST_SIZES,
               survey->sizes.count == MOST_SIZES + 1 ? "" : "s");
}

static void say_labels(struct tn_record_set *set)
{
    const struct tn_survey *survey = &set->survey;
    struct tn_table table = {.columns = 4, .alignment = "llrr"};
    size_t name_count;
    const char *const *names = tn_inspect_class_names(set, &name_count);
    char text[32];
    if (!set->keys.label || survey->labels.count == 0)
        return;
    printf("\nlabels in `%s`: %s different%s\n", set->keys.label, tn_say_count(text, sizeof text, survey->labels.count),
           name_count ? "; named by classes.txt beside the records" : "");
    for (size_t i = 0; i < survey->labels.count && i < MOST_LABELS; i++) {
        const struct tn_tally_row *row = &survey->labels.rows[i];
        const char *name = tn_inspect_class_name(names, name_count, row->text);
        tn_table_format(&table, "  %s", row->text);
        tn_table_cell(&table, name ? name : "");
        tn_table_cell(&table, tn_say_count(text, sizeof text, row->count));
        tn_table_format(&table, "%5.1f %%", percent(row->count, survey->labelled));
    }
    tn_table_print(&table, 0);
    if (survey->labels.count > MOST_LABELS)
        printf("  ... and %zu more\n", survey->labels.count - MOST_LABELS);
}

/* What a [source] needs besides the files, since the source finds usual names itself. */
static void say_source(const struct tn_record_set *set)
{
    const struct tn_record_keys *keys = &set->keys;
    const struct tn_survey *survey = &set->survey;
    bool usual = !keys->image || strcmp(keys->image, "image") == 0 || strcmp(keys->image, "image/encoded") == 0;
    const struct tn_feature_survey *label = NULL;
    for (size_t i = 0; keys->label && i < survey->feature_count; i++)
        if (strcmp(survey->features[i].key, keys->label) == 0)
            label = &survey->features[i];
    if (!usual)
        printf("\nIn the source: image_key = %s\n", keys->image);
    if (label && label->kinds[FEATURE_INT] == label->records && label->most == 1 && label->lowest == 1)
        printf("\nLabels count from 1; in the source: label_offset = 1\n");
}

/* ---- damage ---- */

static void say_damages(const struct tn_record_set *set)
{
    uint64_t all = 0, said = 0, files = 0;
    uint64_t most = set->inspect->options->check ? UINT64_MAX : MOST_DAMAGES_SAID;
    for (size_t i = 0; i < set->file_count; i++) {
        const struct tn_record_file *file = &set->files[i];
        if (file->damages_all && all == 0)
            puts("");
        files += file->damages_all > 0;
        all += file->damages_all;
        for (size_t j = 0; j < file->damage_count && said < most; j++, said++) {
            const struct tn_record_damage *damage = &file->damages[j];
            if (damage->record == UINT64_MAX)
                printf("%s: %s\n", file->path, damage->text);
            else
                printf("%s: record %llu at byte %llu: %s\n", file->path, (unsigned long long)damage->record,
                       (unsigned long long)damage->byte, damage->text);
        }
    }
    if (all > said)
        printf("... and %llu more%s\n", (unsigned long long)(all - said),
               set->inspect->options->check ? "" : "; --check names them all");
    if (all)
        printf("%llu fault%s in %llu of %zu file%s\n", (unsigned long long)all, all == 1 ? "" : "s",
               (unsigned long long)files, set->file_count, set->file_count == 1 ? "" : "s");
}

static void say_verdict(const struct tn_record_set *set)
{
    char records[32], pictures[32];
    if (!set->inspect->options->check || set->inspect->wrong)
        return;
    printf("\nnothing is wrong: %s records whose CRCs and messages are right",
           tn_say_count(records, sizeof records, set->survey.records));
    if (set->keys.image)
        printf(", %s pictures that decode\n", tn_say_count(pictures, sizeof pictures, set->survey.pictures));
    else
        puts(" (no pictures were found in them)");
}

static void say_listing(struct tn_record_set *set)
{
    bool several = set->file_count > 1;
    size_t name_count;
    const char *const *names = tn_inspect_class_names(set, &name_count);
    struct tn_table table = {.columns = several ? 7 : 6, .alignment = several ? "lrrrlll" : "rrrlll"};
    if (several)
        tn_table_cell(&table, "file");
    for (const char *const *head =
             (const char *const[]){"record", "byte", "bytes", "label", "picture", "height x width", NULL};
         *head; head++)
        tn_table_cell(&table, *head);
    for (size_t i = 0; i < set->listed_count; i++) {
        const struct tn_listed_record *row = &set->listed[i];
        if (several)
            tn_table_cell(&table, set->files[row->file].path);
        tn_table_format(&table, "%llu", (unsigned long long)row->number);
        tn_table_format(&table, "%llu", (unsigned long long)row->byte);
        tn_table_format(&table, "%llu", (unsigned long long)row->bytes);
        const char *name = row->label ? tn_inspect_class_name(names, name_count, row->label) : NULL;
        tn_table_format(&table, "%s%s%s", row->label ? row->label : "-", name ? " " : "", name ? name : "");
        tn_table_cell(&table, row->format ? row->format : "-");
        if (row->height > 0)
            tn_table_format(&table, "%dx%d", (int)row->height, (int)row->width);
        else
            tn_table_cell(&table, "-");
    }
    tn_table_print(&table, 1);
}

void tn_inspect_say_records(struct tn_record_set *set)
{
    if (set->inspect->options->records > 0)
        say_listing(set);
    if (set->inspect->options->records == 0 || set->inspect->options->check) {
        say_head(set);
        say_files(set);
        say_features(set);
        say_pictures(set);
        say_labels(set);
        say_source(set);
    }
    say_damages(set);
    say_verdict(set);
}
