/* read.c: names, classes and bytes of the samples that a manifest lists. */
#include "../digest.h"
#include "../reader.h"
#include "manifest.h"

struct worker {
    struct reader reader;
    float *targets; /* of several classes */
};

void manifest_name(const void *self, uint64_t sample, char *text, uint64_t text_bytes)
{
    const struct manifest *manifest = self;
    (void)snprintf(text, (size_t)text_bytes, "%s", manifest->table.text + manifest->rows[sample].path);
}

int32_t manifest_label(const void *self, uint64_t sample)
{
    return ((const struct manifest *)self)->rows[sample].class_index;
}

static tn_status full_path(const struct manifest *manifest, const struct row *row, char *path, size_t bytes,
                           struct tn_error *error)
{
    const char *file = manifest->table.text + row->path;
    int length =
        file[0] == '/' ? snprintf(path, bytes, "%s", file) : snprintf(path, bytes, "%s/%s", manifest->base, file);
    if (length < 0 || (size_t)length >= bytes)
        return tn_fail(error, TN_INVALID, "%s:%u: the name of the file is too long", manifest->path,
                       (unsigned)row->line);
    return TN_OK;
}

tn_status check_file(const struct manifest *manifest, const struct row *row, struct tn_error *error)
{
    char path[4096];
    struct stat state;
    tn_status status = full_path(manifest, row, path, sizeof path, error);
    if (status != TN_OK)
        return status;
    if (stat(path, &state) != 0)
        return tn_fail(error, errno == ENOENT || errno == ENOTDIR ? TN_NOT_FOUND : TN_IO, "%s:%u: %s: %s",
                       manifest->path, (unsigned)row->line, path,
                       errno == ENOENT || errno == ENOTDIR
                           ? "this file is not there (relative paths count from `folder`, else from the manifest's)"
                           : strerror(errno));
    if (!S_ISREG(state.st_mode))
        return tn_fail(error, TN_INVALID, "%s:%u: %s is not a file", manifest->path, (unsigned)row->line, path);
    return TN_OK;
}

tn_status manifest_worker_open(const void *self, void **worker, struct tn_error *error)
{
    const struct manifest *manifest = self;
    struct worker *made = calloc(1, sizeof *made);
    if (made && manifest->target_count > 0)
        made->targets = calloc(manifest->target_count, sizeof *made->targets);
    *worker = made;
    if (made && (manifest->target_count == 0 || made->targets))
        return TN_OK;
    free(made);
    *worker = NULL;
    return tn_fail(error, TN_NO_MEMORY, "no memory for a reader");
}

void manifest_worker_close(const void *self, void *worker)
{
    struct worker *closing = worker;
    (void)self;
    if (!closing)
        return;
    free(closing->reader.bytes);
    free(closing->targets);
    free(closing);
}

/* 1 for each class that the row names, else 0. */
static void mark_classes(const struct manifest *manifest, const struct row *row, float *targets)
{
    const char *part, *text = manifest->table.text + row->label;
    size_t length;
    memset(targets, 0, manifest->target_count * sizeof *targets);
    while ((part = next_part(manifest, &text, &length))) {
        int32_t found = length > 0 ? class_of(manifest, part, length) : -1;
        if (found >= 0)
            targets[found] = 1;
    }
}

tn_status manifest_read(const void *self, void *worker, uint64_t index, struct tn_sample *sample,
                        struct tn_error *error)
{
    const struct manifest *manifest = self;
    const struct row *row = &manifest->rows[index];
    struct worker *mine = worker;
    char path[4096];
    struct tn_error reason = {0};
    tn_status status = full_path(manifest, row, path, sizeof path, error);
    if (status != TN_OK)
        return status;
    status = reader_read(&mine->reader, AT_FDCWD, path, &reason);
    if (status != TN_OK)
        return tn_fail(error, status, "%s:%u: %s", manifest->path, (unsigned)row->line, reason.text);
    sample->bytes = mine->reader.bytes;
    sample->byte_count = mine->reader.length;
    sample->label = row->class_index;
    if (manifest->numbers) {
        sample->targets = manifest->numbers + index * manifest->target_count;
    } else if (manifest->target_count > 0) {
        mark_classes(manifest, row, mine->targets);
        sample->targets = mine->targets;
    }
    return TN_OK;
}

/* Targets are kept with a picture: other columns, or another order of them, are other samples. */
static void digest_targets(uint64_t digest[2], const struct manifest *manifest, uint64_t row)
{
    uint32_t bits;
    for (uint32_t k = 0; manifest->numbers && k < manifest->target_count; k++) {
        memcpy(&bits, &manifest->numbers[row * manifest->target_count + k], sizeof bits);
        digest_number(digest, bits);
    }
    if (!manifest->numbers && manifest->target_count > 0)
        digest_text(digest, manifest->table.text + manifest->rows[row].label);
}

tn_status manifest_digest(const void *self, uint64_t digest[2], struct tn_error *error)
{
    const struct manifest *manifest = self;
    char path[4096];
    digest_begin(digest);
    digest_file(digest, AT_FDCWD, manifest->path);
    if (manifest->label_separator)
        digest_text(digest, manifest->label_separator);
    for (uint64_t i = 0; i < manifest->row_count; i++) {
        const struct row *row = &manifest->rows[i];
        tn_status status = full_path(manifest, row, path, sizeof path, error);
        if (status != TN_OK)
            return status;
        digest_text(digest, path);
        digest_number(digest, (uint64_t)row->class_index);
        digest_targets(digest, manifest, i);
        digest_file(digest, AT_FDCWD, path);
    }
    return TN_OK;
}
