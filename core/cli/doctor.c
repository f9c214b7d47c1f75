/* doctor.c: `tenon doctor`: what is wrong with a folder of pictures, before hours are spent on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/doctor.h"

struct options {
    const char *list;
    int64_t tiny, most, workers;
    const char *plugin_path;
};

static const struct tn_option options[] = {
    TN_PATH(struct options, list, NULL, "write the pictures to leave out into this file, for `exclude` of the source"),
    TN_INT(struct options, tiny, 32, 1, 65536, "pictures with a shorter side than this are reported"),
    TN_INT(struct options, most, 10, 0, 1000000000, "pictures named for each kind of finding"),
    TN_INT(struct options, workers, 0, 0, 256, "threads; 0 = one for each core"),
    TN_PLUGIN_PATH_OPTION(struct options),
    TN_END,
};

static const struct tn_command_letter letters[] = {{'l', "list"}, {0, NULL}};

static void say_classes(const struct tn_checkup *checkup)
{
    struct tn_table table = {.columns = (int)(1 + checkup->part_count), .alignment = "lrr"};
    uint64_t least = UINT64_MAX, largest = 0;
    tn_table_cell(&table, "class");
    for (uint32_t p = 0; p < checkup->part_count; p++)
        tn_table_cell(&table, checkup->parts[p].name);
    for (uint32_t i = 0; i < checkup->look.class_count; i++) {
        tn_table_cell(&table, checkup->look.classes[i]);
        for (uint32_t p = 0; p < checkup->part_count; p++) {
            const struct tn_source_info *info = &checkup->parts[p].info;
            uint64_t size = info->class_sizes && i < info->class_count ? info->class_sizes[i] : 0;
            tn_table_format(&table, "%llu", (unsigned long long)size);
            if (p == 0) {
                least = size < least ? size : least;
                largest = size > largest ? size : largest;
            }
        }
    }
    tn_table_print(&table, 1);
    if (least > 0 && largest >= 3 * least)
        printf("the largest class has %.1f times the pictures of the smallest\n", (double)largest / (double)least);
}

/* Bytes of the pixels that a cache keeps: decoders halve a picture while no side becomes shorter than the target's. */
static uint64_t cached_bytes(const struct tn_checkup *checkup, int32_t target)
{
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < checkup->count; i++) {
        int32_t height = checkup->records[i].height, width = checkup->records[i].width;
        while (height / 2 >= target && width / 2 >= target)
            height = (height + 1) / 2, width = (width + 1) / 2;
        bytes += 3 * (uint64_t)height * (uint64_t)width;
    }
    return bytes;
}

/* What makes training quicker, at the size that tenon init proposes for such pictures. */
static void say_advice(const struct tn_checkup *checkup, const struct options *chosen, int32_t side, uint64_t good)
{
    struct tn_look look = {.folder = checkup->look.folder, .height = side, .width = side, .train_count = good};
    struct tn_proposal proposal;
    const char *listed = chosen->list ? " --exclude " : "", *list = chosen->list ? chosen->list : "";
    char text[32];
    tn_propose(&look, &proposal);
    int target = (int)proposal.target;
    bool smaller = side >= 2 * target;
    uint64_t packed = 3 * (uint64_t)target * (uint64_t)target * good;
    if (smaller)
        printf(
            "\nFor training at %dx%d, which tenon init proposes, pictures of this size are read and decoded quicker:\n"
            "  tenon pack %s %s-%d --resize %dx%d%s%s\n",
            target, target, checkup->look.folder, proposal.name, target, target, target, listed, list);
    else if (good >= 10000)
        printf("\nSo many files are quicker to list and to read in shards, above all from a network folder:\n"
               "  tenon pack %s %s-packed%s%s\n",
               checkup->look.folder, proposal.name, listed, list);
    if (!tn_data_has_key("cache"))
        return;
    printf("%sA cache (cache = memory in [data]) would take about %s for training at %dx%d", smaller ? "" : "\n",
           tn_say_bytes(text, sizeof text, cached_bytes(checkup, target)), target, target);
    if (smaller)
        printf(", %s after such a pack", tn_say_bytes(text, sizeof text, packed));
    puts(".");
}

static int by_number(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Shorter sides in classes of powers of two, the extremes, and what the set would take as a packed one. */
static tn_status say_sizes(const struct tn_checkup *checkup, const struct options *chosen, struct tn_error *error)
{
    static const int32_t bounds[] = {32, 64, 128, 256, 512, 1024, 2048, INT32_MAX};
    uint64_t counts[TN_COUNT_OF(bounds)] = {0}, good = 0, bytes = 0;
    double pixels = 0;
    int32_t *sides = calloc((size_t)checkup->count + 1, sizeof *sides);
    char text[32];
    if (!sides)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the sizes of %llu pictures",
                       (unsigned long long)checkup->count);
    for (uint64_t i = 0; i < checkup->count; i++) {
        const struct tn_record *record = &checkup->records[i];
        size_t k = 0;
        if (record->height <= 0)
            continue;
        sides[good] = record->height < record->width ? record->height : record->width;
        while (sides[good] >= bounds[k] && k + 1 < TN_COUNT_OF(bounds))
            k++;
        counts[k]++;
        good++;
        bytes += record->bytes;
        pixels += (double)record->height * record->width;
    }
    if (good) {
        qsort(sides, (size_t)good, sizeof *sides, by_number);
        printf("\nshorter side: %d to %d pixels, median %d\n", sides[0], sides[good - 1], sides[good / 2]);
        for (size_t k = 0; k < TN_COUNT_OF(bounds); k++)
            if (counts[k])
                printf("  %s%-5d %9llu  %5.1f %%\n", k + 1 < TN_COUNT_OF(bounds) ? "below   " : "at least",
                       k + 1 < TN_COUNT_OF(bounds) ? bounds[k] : bounds[k - 1], (unsigned long long)counts[k],
                       100.0 * (double)counts[k] / (double)good);
        printf("files: %s, %.2f bits a pixel; decoded they would take ", tn_say_bytes(text, sizeof text, bytes),
               8.0 * (double)bytes / pixels);
        printf("%s\n", tn_say_bytes(text, sizeof text, (uint64_t)(3 * pixels)));
        say_advice(checkup, chosen, sides[good / 2], good);
    }
    free(sides);
    return TN_OK;
}

static uint64_t say_unreadable(const struct tn_checkup *checkup, const struct options *chosen)
{
    char name[1024];
    if (checkup->complaint_count)
        printf("\n%zu cannot be read:\n", checkup->complaint_count);
    for (size_t i = 0; i < checkup->complaint_count && i < (size_t)chosen->most; i++) {
        const struct tn_complaint *complaint = &checkup->complaints[i];
        tn_checkup_name(checkup, &checkup->records[complaint->record], name, sizeof name);
        printf("  %s: %s\n", name, complaint->text ? complaint->text : "");
    }
    return checkup->complaint_count;
}

/* Names the records that `is` holds for. */
static uint64_t say_those(const struct tn_checkup *checkup, const struct options *chosen, const char *what,
                          bool (*is)(const struct tn_record *record, const struct options *chosen))
{
    uint64_t count = 0;
    char name[1024];
    for (uint64_t i = 0; i < checkup->count; i++)
        count += is(&checkup->records[i], chosen);
    if (count)
        printf("\n%llu %s:\n", (unsigned long long)count, what);
    for (uint64_t i = 0, said = 0; i < checkup->count && said < (uint64_t)chosen->most; i++) {
        const struct tn_record *record = &checkup->records[i];
        if (!is(record, chosen))
            continue;
        tn_checkup_name(checkup, record, name, sizeof name);
        printf("  %s, %dx%d\n", name, record->height, record->width);
        said++;
    }
    return count;
}

static bool is_misnamed(const struct tn_record *record, const struct options *chosen)
{
    (void)chosen;
    return record->misnamed && record->height > 0;
}

static bool is_tiny(const struct tn_record *record, const struct options *chosen)
{
    return record->height > 0 && (record->height < chosen->tiny || record->width < chosen->tiny);
}

static void say_group(const struct tn_checkup *checkup, const uint64_t *records, uint64_t count, const char *kind)
{
    char name[1024];
    printf("  %s:", kind);
    for (uint64_t i = 0; i < count; i++) {
        tn_checkup_name(checkup, &checkup->records[records[i]], name, sizeof name);
        printf("%s %s", i ? " =" : "", name);
    }
    puts("");
}

static void say_twins(const struct tn_twins *twins)
{
    if (twins->groups == 0)
        return;
    printf("%llu pictures are there more than once, %llu copies; %llu of them in training and in validation, %llu in "
           "several classes\n",
           (unsigned long long)twins->groups, (unsigned long long)twins->copies, (unsigned long long)twins->across,
           (unsigned long long)twins->contradicting);
}

static tn_status write_list(const struct tn_checkup *checkup, const char *path, uint64_t *count, struct tn_error *error)
{
    struct tn_text text = {0};
    char name[1024];
    tn_status status;
    *count = 0;
    tn_text_format(&text, "# pictures of %s that tenon doctor would leave out: exclude = FILE in the source\n",
                   checkup->look.folder);
    for (uint64_t i = 0; i < checkup->count; i++) {
        if (!checkup->records[i].excluded)
            continue;
        tn_checkup_name(checkup, &checkup->records[i], name, sizeof name);
        tn_text_format(&text, "%s\n", name);
        ++*count;
    }
    status = text.failed ? tn_fail(error, TN_NO_MEMORY, "no memory for the list")
                         : tn_file_write(path, text.data, text.length, error);
    tn_text_release(&text);
    return status;
}

static tn_status examine(struct tn_checkup *checkup, struct tn_arguments *arguments, uint64_t *findings,
                         struct tn_error *error)
{
    const struct options *chosen = arguments->options;
    struct tn_progress_line line = {.console = arguments->console};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int32_t workers = chosen->workers ? (int32_t)chosen->workers : cores > 0 ? (int32_t)cores : 1;
    struct tn_twins twins;
    uint64_t listed;
    tn_status status;
    TN_TRY(status, tn_checkup_scan(checkup, arguments->operands[0], workers, &line, tn_signals_catch(), error), out);
    printf("%s: %llu pictures in %u classes\n\n", checkup->look.folder, (unsigned long long)checkup->count,
           checkup->look.class_count);
    say_classes(checkup);
    TN_TRY(status, say_sizes(checkup, chosen, error), out);
    *findings = say_unreadable(checkup, chosen);
    *findings += say_those(checkup, chosen, "are named like another format (they are read all the same)", is_misnamed);
    *findings += say_those(checkup, chosen, "are tiny", is_tiny);
    puts("");
    TN_TRY(status, tn_checkup_twins(checkup, &twins, say_group, (uint64_t)chosen->most, error), out);
    say_twins(&twins);
    *findings += twins.groups;
    puts(*findings ? "" : "nothing wrong was found");
    if (chosen->list) {
        TN_TRY(status, write_list(checkup, chosen->list, &listed, error), out);
        printf("%s: %llu pictures to leave out; in the source: exclude = %s\n", chosen->list,
               (unsigned long long)listed, chosen->list);
    }
out:
    return status;
}

static int run(struct tn_arguments *arguments)
{
    const struct options *chosen = arguments->options;
    struct tn_checkup checkup = {0};
    struct tn_error error = {0};
    uint64_t findings = 0;
    tn_status status;
    tn_arguments_plugin_path(chosen->plugin_path);
    status = examine(&checkup, arguments, &findings, &error);
    tn_checkup_release(&checkup);
    if (status != TN_OK) {
        int code = tn_console_fail(arguments->console, status, &error);
        return code == TN_EXIT_FAILED ? TN_EXIT_WRONG : code; /* 1 is a finding */
    }
    return findings ? TN_EXIT_FAILED : TN_EXIT_DONE;
}

const struct tn_command tn_command_doctor_entry = {
    .name = "doctor",
    .summary = "find what is wrong with a folder of pictures",
    .usage = "DIR [--list FILE] [--tiny PIXELS] [--most N]",
    .about =
        "Reads and decodes every picture of DIR (class folders, or train/ and val/ with such folders) and reports\n"
        "what cannot be read, what is named like another format, tiny pictures, files that are there twice (also\n"
        "between training and validation, and in several classes), classes and sizes. Nothing is changed. Exit\n"
        "status 0: nothing is wrong, 1: something is, 2: it could not look.",
    .examples = "  tenon doctor photos\n"
                "  tenon doctor photos --list bad.txt    # then in the source: exclude = bad.txt",
    .minimum_operands = 1,
    .maximum_operands = 1,
    .operand_name = "DIR",
    .options = options,
    .options_size = sizeof(struct options),
    .letters = letters,
    .run = run,
};
