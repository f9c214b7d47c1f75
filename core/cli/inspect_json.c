/* inspect_json.c: the same as inspect_report.c for programs: everything, nothing cut short. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/inspect.h"
#include "tfrecord/tfrecord.h"

void tn_inspect_member(struct tn_text *json, const char *name)
{
    size_t end = json->length;
    while (end > 0 && (json->data[end - 1] == ' ' || json->data[end - 1] == '\n'))
        end--;
    if (end > 0 && json->data[end - 1] != '{' && json->data[end - 1] != '[')
        tn_text_add(json, ", ");
    if (!name)
        return;
    tn_text_json(json, name);
    tn_text_add(json, ": ");
}

static void add_count(struct tn_text *json, const char *name, uint64_t value)
{
    tn_inspect_member(json, name);
    tn_text_format(json, "%llu", (unsigned long long)value);
}

static void add_text(struct tn_text *json, const char *name, const char *text)
{
    tn_inspect_member(json, name);
    if (text)
        tn_text_json(json, text);
    else
        tn_text_add(json, "null");
}

static void add_damages(struct tn_text *json, const struct tn_record_file *file)
{
    tn_inspect_member(json, "faults");
    tn_text_add(json, "[");
    for (size_t i = 0; i < file->damage_count; i++) {
        const struct tn_record_damage *damage = &file->damages[i];
        tn_inspect_member(json, NULL);
        tn_text_add(json, "{");
        if (damage->record != UINT64_MAX) {
            add_count(json, "record", damage->record);
            add_count(json, "byte", damage->byte);
        }
        add_text(json, "text", damage->text);
        tn_text_add(json, "}");
    }
    tn_text_add(json, "]");
    add_count(json, "fault_count", file->damages_all);
}

static void add_files(struct tn_text *json, const struct tn_record_set *set)
{
    tn_inspect_member(json, "files");
    tn_text_add(json, "[");
    for (size_t i = 0; i < set->file_count; i++) {
        const struct tn_record_file *file = &set->files[i];
        tn_inspect_member(json, NULL);
        tn_text_add(json, "\n {");
        add_text(json, "file", file->path);
        add_text(json, "compression", tn_compression_names[file->compression]);
        add_count(json, "bytes", file->bytes);
        add_count(json, "inflated_bytes", file->inflated);
        add_count(json, "records", file->records);
        add_damages(json, file);
        tn_text_add(json, "}");
    }
    tn_text_add(json, "]");
}

static void add_feature(struct tn_text *json, const struct tn_feature_survey *feature)
{
    add_text(json, "key", feature->key);
    tn_inspect_member(json, "kinds");
    tn_text_add(json, "{");
    for (int kind = 0; kind < TN_SURVEY_KINDS; kind++)
        if (feature->kinds[kind])
            add_count(json, tn_feature_kind_names[kind], feature->kinds[kind]);
    tn_text_add(json, "}");
    add_count(json, "records", feature->records);
    add_count(json, "least_values", feature->least);
    add_count(json, "most_values", feature->most);
    if (feature->kinds[FEATURE_BYTES]) {
        add_count(json, "least_bytes", feature->shortest);
        add_count(json, "most_bytes", feature->longest);
        add_count(json, "all_bytes", feature->bytes);
    }
    if (feature->lowest <= feature->highest) {
        tn_inspect_member(json, "lowest");
        tn_text_format(json, "%.17g", feature->lowest);
        tn_inspect_member(json, "highest");
        tn_text_format(json, "%.17g", feature->highest);
    }
    if (feature->not_finite)
        add_count(json, "not_finite", feature->not_finite);
    add_text(json, "example", feature->example ? feature->example : "");
}

static void add_side(struct tn_text *json, const char *name, const uint64_t *counts, uint64_t count)
{
    int32_t least, middle, greatest;
    tn_inspect_middle(counts, count, &least, &middle, &greatest);
    tn_inspect_member(json, name);
    tn_text_format(json, "{\"least\": %d, \"median\": %d, \"greatest\": %d}", (int)least, (int)middle, (int)greatest);
}

static void add_tally(struct tn_text *json, const char *name, const struct tn_tally *tally)
{
    tn_inspect_member(json, name);
    tn_text_add(json, "{");
    for (size_t i = 0; i < tally->count; i++)
        add_count(json, tally->rows[i].text, tally->rows[i].count);
    tn_text_add(json, "}");
}

static void add_labels(struct tn_text *json, struct tn_record_set *set)
{
    size_t name_count;
    const char *const *names = tn_inspect_class_names(set, &name_count);
    tn_inspect_member(json, "labels");
    tn_text_add(json, "[");
    for (size_t i = 0; i < set->survey.labels.count; i++) {
        const struct tn_tally_row *row = &set->survey.labels.rows[i];
        const char *name = tn_inspect_class_name(names, name_count, row->text);
        tn_inspect_member(json, NULL);
        tn_text_add(json, "{");
        add_text(json, "label", row->text);
        if (name)
            add_text(json, "name", name);
        add_count(json, "records", row->count);
        tn_text_add(json, "}");
    }
    tn_text_add(json, "]");
}

static void add_listing(struct tn_text *json, const struct tn_record_set *set)
{
    tn_inspect_member(json, "listing");
    tn_text_add(json, "[");
    for (size_t i = 0; i < set->listed_count; i++) {
        const struct tn_listed_record *row = &set->listed[i];
        tn_inspect_member(json, NULL);
        tn_text_add(json, "\n {");
        add_text(json, "file", set->files[row->file].path);
        add_count(json, "record", row->number);
        add_count(json, "byte", row->byte);
        add_count(json, "bytes", row->bytes);
        add_text(json, "label", row->label);
        add_text(json, "format", row->format);
        if (row->height > 0)
            tn_text_format(json, ", \"height\": %d, \"width\": %d", (int)row->height, (int)row->width);
        tn_text_add(json, "}");
    }
    tn_text_add(json, "]");
}

void tn_inspect_json_records(struct tn_record_set *set)
{
    struct tn_text *json = &set->inspect->json;
    const struct tn_survey *survey = &set->survey;
    tn_inspect_member(json, "tfrecord");
    tn_text_add(json, "{");
    tn_inspect_member(json, "checked");
    tn_text_add(json, set->inspect->options->check ? "true" : "false");
    add_count(json, "records", survey->records);
    add_files(json, set);
    tn_inspect_member(json, "features");
    tn_text_add(json, "[");
    for (size_t i = 0; i < survey->feature_count; i++) {
        tn_inspect_member(json, NULL);
        tn_text_add(json, "\n {");
        add_feature(json, &survey->features[i]);
        tn_text_add(json, "}");
    }
    tn_text_add(json, "]");
    add_text(json, "image_key", set->keys.image);
    add_text(json, "label_key", set->keys.label);
    add_count(json, "pictures", survey->pictures);
    if (survey->pictures) {
        add_side(json, "height", survey->heights, survey->pictures);
        add_side(json, "width", survey->widths, survey->pictures);
    }
    add_tally(json, "formats", &survey->formats);
    add_tally(json, "sizes", &survey->sizes);
    add_labels(json, set);
    if (set->inspect->options->records > 0)
        add_listing(json, set);
    tn_text_add(json, "}");
}
