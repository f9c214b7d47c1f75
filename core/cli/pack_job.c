/* pack_job.c: the target folder. `.pack-job` in it says which job it belongs to and which shards are finished:
 *
 *   tenon-pack 1
 *   digest 0123456789abcdef
 *   shards train 8
 *   skipped "cats/7.jpg: it is empty (0 bytes)"      of the shard that follows
 *   shard train 0 134217000 1234 {"0":617,"1":617}   number, bytes, records, records of each class
 *
 * A line is added when its shard has its final name. What a killed run has left otherwise is made anew.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/pack.h"

#define JOB_NAME  ".pack-job"
#define JOB_LIMIT ((uint64_t)1 << 30)

char *tn_pack_path(struct tn_pack *pack, const char *name)
{
    return tn_arena_format(&pack->arena, "%s/%s", pack->to, name);
}

char *tn_pack_shard_name(struct tn_arena *arena, const struct tn_pack_part *part, uint32_t shard)
{
    return tn_arena_format(arena, "%s-%05u-of-%05u.tfrecord", part->name, (unsigned)shard, (unsigned)part->shard_count);
}

tn_status tn_pack_set_shards(struct tn_pack *pack, struct tn_pack_part *part, uint64_t count, struct tn_error *error)
{
    part->shard_count = (uint32_t)count;
    part->shards = tn_arena_take(&pack->arena, (size_t)count * sizeof *part->shards);
    return part->shards ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for %llu shards", (unsigned long long)count);
}

bool tn_pack_add_labels(const char *labels, uint64_t *counts, uint32_t class_count)
{
    const char *at = labels;
    if (*at++ != '{')
        return false;
    while (*at == '"') {
        char *end;
        uint64_t label = strtoull(at + 1, &end, 10), count;
        if (end == at + 1 || strncmp(end, "\":", 2) != 0 || label >= class_count)
            return false;
        at = end + 2;
        count = strtoull(at, &end, 10);
        if (end == at)
            return false;
        counts[label] += count;
        at = *end == ',' ? end + 1 : end;
    }
    return strcmp(at, "}") == 0;
}

/* ---- the folder ---- */

/* The target may not be there yet: then it is its nearest parent that counts. */
static bool lies_in(const char *path, const char *folder)
{
    char text[PATH_MAX], whole[PATH_MAX];
    size_t length = strlen(folder);
    if (snprintf(text, sizeof text, "%s", path) >= (int)sizeof text)
        return false;
    while (!realpath(text, whole)) {
        char *slash = strrchr(text, '/');
        if (errno != ENOENT || slash == text)
            return false;
        if (slash)
            *slash = '\0';
        else
            memcpy(text, ".", 2);
    }
    return strncmp(whole, folder, length) == 0 && (whole[length] == '/' || whole[length] == '\0');
}

static tn_status hold(struct tn_pack *pack, struct tn_error *error)
{
    pack->lock = open(pack->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (pack->lock < 0)
        return tn_fail(error, TN_IO, "cannot open folder %s: %s", pack->to, strerror(errno));
    /* File systems without locks are no reason to refuse. */
    if (flock(pack->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return tn_fail(error, TN_BUSY, "another tenon is packing into %s", pack->to);
    return TN_OK;
}

static bool starts(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* What only a run that was killed leaves behind: our names, with the endings of what is not finished. */
static bool is_leftover(const char *name)
{
    static const char *const ours[] = {JOB_NAME ".tmp-", "classes.txt.tmp-", "pack.json.tmp-", "skipped.txt.tmp-"};
    const char *ending = strrchr(name, '.');
    for (size_t i = 0; i < TN_COUNT_OF(ours); i++)
        if (starts(name, ours[i]))
            return true;
    return (starts(name, "train-") || starts(name, "validation-")) && strstr(name, ".tfrecord.tmp") && ending &&
           strcmp(ending, ".tmp") == 0;
}

/* Removes leftovers; `other`: the name of something that was there besides, "" = nothing. */
static tn_status tidy(struct tn_pack *pack, bool ours, char *other, size_t other_bytes, struct tn_error *error)
{
    DIR *folder = opendir(pack->to);
    const struct dirent *entry;
    if (!folder)
        return tn_fail(error, TN_IO, "cannot look into %s: %s", pack->to, strerror(errno));
    *other = '\0';
    while ((entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (is_leftover(entry->d_name) && (ours || starts(entry->d_name, JOB_NAME)))
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
        else
            snprintf(other, other_bytes, "%s", entry->d_name);
    }
    closedir(folder);
    return TN_OK;
}

/* ---- reading .pack-job ---- */

static struct tn_pack_part *part_named(struct tn_pack *pack, const char *name)
{
    for (uint32_t p = 0; p < pack->part_count; p++)
        if (strcmp(pack->parts[p].name, name) == 0)
            return &pack->parts[p];
    return NULL;
}

/* Takes a finished shard over, if its file is what the line says. `skipped`: the lines before it. */
static void keep_shard(struct tn_pack *pack, const char *line, const struct tn_text *skipped, uint64_t *counts)
{
    char name[32];
    unsigned number;
    uint64_t bytes, records;
    int used = 0;
    struct stat info;
    struct tn_pack_part *part;
    if (sscanf(line, "shard %31s %u %" SCNu64 " %" SCNu64 " %n", name, &number, &bytes, &records, &used) < 4 || !used)
        return;
    part = part_named(pack, name);
    if (!part || number >= part->shard_count || part->shards[number].done ||
        !tn_pack_add_labels(line + used, counts, pack->class_count))
        return;
    if (skipped->length > 0 && pack->options->on_error == TN_ON_ERROR_FAIL)
        return; /* made under --on-error skip; now nothing may be missing */
    const char *path = tn_pack_path(pack, tn_pack_shard_name(&pack->arena, part, number));
    if (!path || stat(path, &info) != 0 || !S_ISREG(info.st_mode) || (uint64_t)info.st_size != bytes)
        return;
    part->shards[number] = (struct tn_pack_shard){
        .done = true,
        .bytes = bytes,
        .records = records,
        .labels = tn_arena_string(&pack->arena, line + used),
        .skipped = tn_arena_text(&pack->arena, skipped->length ? skipped->data : "", skipped->length)};
}

static tn_status take_line(struct tn_pack *pack, const char *line, struct tn_text *skipped, uint64_t *counts,
                           struct tn_error *error)
{
    char name[32];
    uint64_t count;
    struct tn_pack_part *part;
    if (sscanf(line, "shards %31s %" SCNu64, name, &count) == 2) {
        part = part_named(pack, name);
        if (part && !part->shards && count > 0 && count <= part->count && count <= TN_PACK_MOST_SHARDS)
            return tn_pack_set_shards(pack, part, count, error);
    } else if (starts(line, "skipped ")) {
        tn_text_format(skipped, "%s\n", line + strlen("skipped "));
    } else if (starts(line, "shard ")) {
        keep_shard(pack, line, skipped, counts);
        skipped->length = 0;
    }
    return TN_OK;
}

static tn_status read_job(struct tn_pack *pack, char *text, struct tn_error *error)
{
    struct tn_text skipped = {0};
    uint64_t digest = 0;
    uint64_t *counts = calloc(pack->class_count, sizeof *counts);
    tn_status status = counts ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for %u classes", pack->class_count);
    /* A last line without its end was cut off by a kill. */
    for (char *line = text, *end; status == TN_OK && (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        if (starts(line, "digest ")) {
            digest = strtoull(line + strlen("digest "), NULL, 16);
            if (digest != pack->digest)
                status = tn_fail(error, TN_INVALID,
                                 "%s holds another pack (its options or its list of pictures differ); name a new "
                                 "folder, or remove that one",
                                 pack->to);
        } else if (digest) {
            status = take_line(pack, line, &skipped, counts, error);
        }
    }
    if (status == TN_OK && !digest)
        status =
            tn_fail(error, TN_INVALID, "%s/%s is not what tenon pack writes; name a new folder", pack->to, JOB_NAME);
    tn_text_release(&skipped);
    free(counts);
    return status;
}

tn_status tn_pack_job_open(struct tn_pack *pack, struct tn_error *error)
{
    const char *path = tn_pack_path(pack, JOB_NAME);
    void *text = NULL;
    uint64_t bytes;
    char other[NAME_MAX + 1] = "";
    tn_status status;
    for (uint32_t p = 0; p < pack->part_count; p++)
        if (!pack->parts[p].listed && lies_in(pack->to, pack->parts[p].path))
            return tn_fail(error, TN_INVALID, "%s lies in %s, which is being packed; name a folder beside it", pack->to,
                           pack->parts[p].path);
    if (tn_path_exists(pack->to) && !tn_path_is_folder(pack->to))
        return tn_fail(error, TN_INVALID, "%s is a file, not a folder", pack->to);
    TN_TRY(status, path ? tn_folder_make(pack->to, error) : tn_fail(error, TN_NO_MEMORY, "no memory"), out);
    TN_TRY(status, hold(pack, error), out);
    pack->continued = tn_path_exists(path);
    if (pack->continued) {
        TN_TRY(status, tn_file_read(path, JOB_LIMIT, &text, &bytes, error), out);
        TN_TRY(status, read_job(pack, text, error), out);
    }
    TN_TRY(status, tidy(pack, pack->continued, other, sizeof other, error), out);
    if (!pack->continued && *other)
        status = tn_fail(error, TN_INVALID, "folder %s is not empty (%s is in it); name a new one", pack->to, other);
out:
    free(text);
    return status;
}

/* ---- writing .pack-job ---- */

static void add_lines(struct tn_text *text, const struct tn_pack_part *part, uint32_t shard)
{
    const struct tn_pack_shard *state = &part->shards[shard];
    for (const char *line = state->skipped; *line;) {
        const char *end = strchr(line, '\n');
        tn_text_format(text, "skipped %.*s\n", (int)(end - line), line);
        line = end + 1;
    }
    tn_text_format(text, "shard %s %u %" PRIu64 " %" PRIu64 " %s\n", part->name, (unsigned)shard, state->bytes,
                   state->records, state->labels);
}

tn_status tn_pack_job_begin(struct tn_pack *pack, struct tn_error *error)
{
    struct tn_text text = {0};
    const char *path = tn_pack_path(pack, JOB_NAME);
    tn_text_format(&text, "tenon-pack 1\ndigest %016" PRIx64 "\n", pack->digest);
    for (uint32_t p = 0; p < pack->part_count; p++)
        tn_text_format(&text, "shards %s %u\n", pack->parts[p].name, (unsigned)pack->parts[p].shard_count);
    for (uint32_t p = 0; p < pack->part_count; p++)
        for (uint32_t s = 0; s < pack->parts[p].shard_count; s++)
            if (pack->parts[p].shards[s].done)
                add_lines(&text, &pack->parts[p], s);
    tn_status status = text.failed || !path ? tn_fail(error, TN_NO_MEMORY, "no memory for %s", JOB_NAME)
                                            : tn_file_write(path, text.data, text.length, error);
    tn_text_release(&text);
    return status;
}

tn_status tn_pack_job_add(struct tn_pack *pack, const struct tn_pack_part *part, uint32_t shard, struct tn_error *error)
{
    struct tn_text text = {0};
    const char *path = tn_pack_path(pack, JOB_NAME);
    add_lines(&text, part, shard);
    tn_status status = text.failed || !path ? tn_fail(error, TN_NO_MEMORY, "no memory for %s", JOB_NAME)
                                            : tn_file_append(path, text.data, text.length, error);
    tn_text_release(&text);
    return status;
}
