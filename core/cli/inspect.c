/* inspect.c: `tenon inspect`: what is in a file. What it is, its content says, not its name. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/inspect.h"
#include "tfrecord/tfrecord.h"

enum kind { KIND_NONE, KIND_RECORDS, KIND_WEIGHTS, KIND_PICTURE, KIND_RUN, KIND_FOLDER };
enum { HEAD_BYTES = 4096 };

static const struct tn_option options[] = {
    TN_BOOL(struct tn_inspect_options, check, 0,
            "verify everything and name every fault: CRCs, messages, all pictures decoded"),
    TN_INT(struct tn_inspect_options, records, 0, 0, 1000000, "list the first N records of TFRecord files instead"),
    TN_STRING(struct tn_inspect_options, image_key, NULL, "feature with the picture; found by its content if absent"),
    TN_STRING(struct tn_inspect_options, label_key, NULL,
              "feature with the label; label or image/class/label if absent"),
    TN_INT(struct tn_inspect_options, workers, 0, 0, 256, "threads, a file each; 0 = one for each core"),
    TN_BOOL(struct tn_inspect_options, json, 0, "print one JSON object"),
    TN_PLUGIN_PATH_OPTION(struct tn_inspect_options),
    TN_END,
};

static const struct tn_command_letter letters[] = {{'n', "records"}, {'c', "check"}, {'j', "workers"}, {0, NULL}};

/* The paths of one kind. */
struct paths {
    const char **items;
    size_t count, capacity;
};

struct sorting {
    struct tn_inspect *inspect;
    struct tn_decoder *decoder;
    struct paths records, weights, pictures, runs;
};

/* Bytes of the character at `at` that a terminal may be given, of `left`; 0 = none. C1 controls are controls too. */
static size_t character_length(const unsigned char *at, uint64_t left)
{
    size_t length = *at >= 0xF0 ? 4 : *at >= 0xE0 ? 3 : *at >= 0x80 ? 2 : 1;
    if (length > left || *at < 0x20 || *at == 0x7F || (*at >= 0x80 && *at < 0xC2) || *at > 0xF4 ||
        (*at == 0xC2 && at[1] < 0xA0))
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

char *tn_inspect_printable(struct tn_arena *arena, const void *text, uint64_t bytes, size_t most)
{
    struct tn_text out = {0};
    const unsigned char *at = text;
    for (uint64_t i = 0, length; i < bytes; i += length) {
        size_t shown = character_length(at + i, bytes - i);
        length = shown ? shown : 1;
        if (i + length > most) {
            tn_text_add(&out, "...");
            break;
        }
        if (shown)
            tn_text_add_bytes(&out, (const char *)at + i, shown);
        else
            tn_text_format(&out, "\\x%02x", at[i]);
    }
    char *kept = out.failed ? NULL : tn_arena_text(arena, out.data ? out.data : "", out.length);
    tn_text_release(&out);
    return kept;
}

/* ---- what is it ---- */

static bool add_path(struct sorting *sorting, struct paths *paths, const char *path)
{
    const char *copy = tn_arena_string(&sorting->inspect->arena, path);
    if (!copy || tn_grow(&paths->items, &paths->capacity, paths->count + 1, sizeof *paths->items) != TN_OK)
        return false;
    paths->items[paths->count++] = copy;
    return true;
}

/* Names that people give TFRecord files: train.tfrecord, train.tfrecords.gz, train-00000-of-00008.tfrecord. */
static bool is_called_records(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strstr(slash ? slash : path, ".tfrec") != NULL;
}

/* HDF5 is known by its first bytes; archives and safetensors by these and their names: others have such bytes too. */
static bool is_weights(const char *path, const unsigned char *head, size_t bytes)
{
    const char *dot = strrchr(path, '.');
    if (bytes >= 8 && memcmp(head, "\x89HDF\r\n\x1A\n", 8) == 0)
        return true;
    return dot && (strcmp(dot, ".keras") == 0 || strcmp(dot, ".safetensors") == 0 || strcmp(dot, ".h5") == 0);
}

static enum kind kind_of_file(const struct sorting *sorting, const char *path, struct tn_error *error)
{
    unsigned char head[HEAD_BYTES];
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = descriptor < 0 ? -1 : pread(descriptor, head, sizeof head, 0);
    enum kind kind = KIND_NONE;
    if (got < 0) {
        (void)tn_fail(error, TN_IO, "%s: cannot read it: %s", path, strerror(errno));
    } else if (is_weights(path, head, (size_t)got)) {
        kind = KIND_WEIGHTS;
    } else if (tn_decoder_codec(sorting->decoder, head, (uint64_t)got)) {
        kind = KIND_PICTURE;
    } else if (is_called_records(path) || compression_of(descriptor) != COMPRESSION_NONE ||
               (got >= RECORD_HEAD && record_crc(head, 8) == ((uint32_t)head[8] | (uint32_t)head[9] << 8 |
                                                              (uint32_t)head[10] << 16 | (uint32_t)head[11] << 24))) {
        kind = KIND_RECORDS;
    } else {
        (void)tn_fail(error, TN_UNSUPPORTED,
                      "%s: %s no TFRecord file, weight file (.keras, .safetensors, .h5), picture or run directory",
                      path, got == 0 ? "it is empty:" : "it is");
    }
    if (descriptor >= 0)
        (void)close(descriptor);
    return kind;
}

static bool has_file(const char *folder, const char *name)
{
    char path[4096];
    return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path && tn_path_exists(path);
}

/* ---- folders ---- */

static int is_records_entry(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && is_called_records(entry->d_name) && !strstr(entry->d_name, ".tmp");
}

static tn_status take_folder(struct sorting *sorting, const char *path, struct tn_error *error)
{
    struct dirent **entries = NULL;
    tn_status status = TN_OK;
    int count = scandir(path, &entries, is_records_entry, alphasort);
    if (count < 0)
        status = tn_fail(error, TN_IO, "%s: cannot look into it: %s", path, strerror(errno));
    if (count == 0)
        status = tn_fail(error, TN_INVALID,
                         "%s is a folder, and neither a run nor one with TFRecord files; `tenon doctor %s` looks at "
                         "folders of pictures",
                         path, path);
    for (int i = 0; i < count; i++) {
        char name[8192];
        if (status == TN_OK && (snprintf(name, sizeof name, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/",
                                         entries[i]->d_name) >= (int)sizeof name ||
                                !add_path(sorting, &sorting->records, name)))
            status = tn_fail(error, TN_NO_MEMORY, "no memory for the files of %s", path);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static tn_status take_path(struct sorting *sorting, const char *path, struct tn_error *error)
{
    struct stat state;
    bool kept = true;
    if (stat(path, &state) != 0)
        return tn_fail(error, TN_INVALID, "%s: %s", path, strerror(errno));
    if (S_ISDIR(state.st_mode)) {
        if (!has_file(path, "manifest.json") && !(has_file(path, "config.ini") && has_file(path, "log.csv")))
            return take_folder(sorting, path, error);
        return add_path(sorting, &sorting->runs, path) ? TN_OK : TN_NO_MEMORY;
    }
    if (!S_ISREG(state.st_mode))
        return tn_fail(error, TN_INVALID, "%s is neither a file nor a folder", path);
    switch (kind_of_file(sorting, path, error)) {
    case KIND_RECORDS:
        kept = add_path(sorting, &sorting->records, path);
        break;
    case KIND_WEIGHTS:
        kept = add_path(sorting, &sorting->weights, path);
        break;
    case KIND_PICTURE:
        kept = add_path(sorting, &sorting->pictures, path);
        break;
    default:
        return TN_CORRUPT; /* the reason is recorded */
    }
    return kept ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for names");
}

/* What cannot be looked at is told, and the others are looked at all the same. */
static void complain(struct tn_inspect *inspect, tn_status status, const struct tn_error *error)
{
    (void)tn_console_fail(inspect->console, status, error);
    inspect->unlooked = true;
}

/* A pattern that the shell has left alone; a path that is there is no pattern. */
static void take_operand(struct sorting *sorting, const char *operand)
{
    glob_t found = {0};
    struct tn_error error = {0};
    if (tn_path_exists(operand) || glob(operand, GLOB_BRACE, NULL, &found) != 0) {
        tn_status status = take_path(sorting, operand, &error);
        if (status != TN_OK)
            complain(sorting->inspect, status, &error);
        return;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        tn_status status = take_path(sorting, found.gl_pathv[i], &error);
        if (status != TN_OK)
            complain(sorting->inspect, status, &error);
    }
    globfree(&found);
}

/* ---- telling ---- */

/* Each kind by itself, with an empty line between. */
static void begin_part(struct tn_inspect *inspect, bool *first, const char *name)
{
    if (inspect->options->json) {
        tn_inspect_member(&inspect->json, name);
        tn_text_add(&inspect->json, "[");
    } else if (!*first) {
        puts("");
    }
    *first = false;
}

static void end_part(struct tn_inspect *inspect)
{
    if (inspect->options->json)
        tn_text_add(&inspect->json, "]");
}

static void tell_each(struct tn_inspect *inspect, const struct paths *paths, const char *name, bool *first,
                      tn_status (*tell)(struct tn_inspect *inspect, const char *path, struct tn_error *error))
{
    for (size_t i = 0; i < paths->count; i++) {
        struct tn_error error = {0};
        if (i == 0)
            begin_part(inspect, first, name);
        else if (!inspect->options->json)
            puts("");
        fflush(stdout);
        tn_status status = tell(inspect, paths->items[i], &error);
        if (status == TN_CORRUPT) { /* looked at, and found wrong */
            (void)tn_console_fail(inspect->console, status, &error);
            inspect->wrong = true;
        } else if (status != TN_OK) {
            complain(inspect, status, &error);
        }
    }
    if (paths->count)
        end_part(inspect);
}

static void tell_pictures(struct sorting *sorting, bool *first)
{
    struct tn_inspect *inspect = sorting->inspect;
    struct tn_table table = {.columns = 6, .alignment = "llrrrl"};
    if (sorting->pictures.count == 0)
        return;
    begin_part(inspect, first, "pictures");
    for (const char *const *head =
             (const char *const[]){"picture", "format", "height x width", "channels", "bytes", "", NULL};
         *head; head++)
        tn_table_cell(&table, *head);
    for (size_t i = 0; i < sorting->pictures.count; i++) {
        struct tn_error error = {0};
        tn_status status = tn_inspect_picture(inspect, sorting->decoder, sorting->pictures.items[i], &table, &error);
        if (status != TN_OK)
            complain(inspect, status, &error);
    }
    if (!inspect->options->json)
        tn_table_print(&table, 1);
    tn_text_release(&table.cells);
    end_part(inspect);
}

static void tell(struct sorting *sorting)
{
    struct tn_inspect *inspect = sorting->inspect;
    struct tn_error error = {0};
    bool first = true;
    tn_text_add(&inspect->json, "{");
    if (sorting->records.count) {
        tn_status status = tn_inspect_records(inspect, sorting->records.items, sorting->records.count, &error);
        if (status != TN_OK)
            complain(inspect, status, &error);
        first = false;
    }
    tell_each(inspect, &sorting->weights, "weights", &first, tn_inspect_weights);
    tell_each(inspect, &sorting->runs, "runs", &first, tn_inspect_run);
    tell_pictures(sorting, &first);
    tn_text_add(&inspect->json, "}");
    if (inspect->options->json && !inspect->json.failed)
        puts(inspect->json.data);
    inspect->unlooked |= inspect->json.failed;
}

static int run(struct tn_arguments *arguments)
{
    const struct tn_inspect_options *chosen = arguments->options;
    struct tn_inspect inspect = {.options = chosen, .console = arguments->console};
    struct sorting sorting = {.inspect = &inspect};
    struct tn_error error = {0};
    tn_status status;
    arguments->console->quiet = chosen->json;
    tn_arguments_plugin_path(chosen->plugin_path);
    status = tn_registry_open(NULL, &inspect.registry, &error);
    if (status == TN_OK)
        status = tn_decoder_open(inspect.registry, &sorting.decoder, &error);
    if (status == TN_OK) {
        for (size_t i = 0; i < arguments->operand_count; i++)
            take_operand(&sorting, arguments->operands[i]);
        tell(&sorting);
    } else {
        complain(&inspect, status, &error);
    }
    free(sorting.records.items);
    free(sorting.weights.items);
    free(sorting.pictures.items);
    free(sorting.runs.items);
    tn_text_release(&inspect.json);
    tn_decoder_close(&sorting.decoder);
    tn_registry_close(&inspect.registry);
    tn_arena_release(&inspect.arena);
    return inspect.unlooked ? TN_EXIT_WRONG : inspect.wrong ? TN_EXIT_FAILED : TN_EXIT_DONE;
}

const struct tn_command tn_command_inspect_entry = {
    .name = "inspect",
    .summary = "show what is in TFRecord files, weights, pictures, runs",
    .usage = "PATH... [--check] [--records N] [--json]",
    .about =
        "TFRecord files (plain, GZIP, ZLIB; folders of them and quoted patterns too): records, features and their\n"
        "values, labels, sizes of pictures. Weight files (.h5): name, shape and type of each array. Pictures: format,\n"
        "size, EXIF orientation. Run directories: what was run, best values, checkpoints. Every CRC is compared; with\n"
        "--check all pictures are decoded too. A fault is told with file, record and byte, both counted from 0 (in\n"
        "compressed files: byte of what they inflate to). Nothing is changed.\n"
        "Exit status 0: nothing is wrong, 1: something is damaged, 2: something could not be looked at.",
    .examples = "  tenon inspect packed                      # a folder that tenon pack has written\n"
                "  tenon inspect 'data/train-*.tfrecord' --check\n"
                "  tenon inspect train.tfrecord.gz --records 20\n"
                "  tenon inspect runs/photos runs/photos/checkpoints/best.h5\n"
                "  tenon inspect packed --json",
    .minimum_operands = 1,
    .maximum_operands = -1,
    .operand_name = "PATH",
    .options = options,
    .options_size = sizeof(struct tn_inspect_options),
    .letters = letters,
    .run = run,
};
