/* read.c: names, classes and bytes of samples. */
#include "../digest.h"
#include "../reader.h"
#include "directory.h"

void directory_name(const void *self, uint64_t sample, char *text, uint64_t text_bytes)
{
    const struct index *index = &((const struct directory *)self)->index;
    const struct file *file = &index->files[sample];
    const char *folder = index->names + index->folders[file->folder].path;
    (void)snprintf(text, (size_t)text_bytes, "%s%s%s", folder, folder[0] ? "/" : "", index->names + file->name);
}

int32_t directory_label(const void *self, uint64_t sample)
{
    const struct index *index = &((const struct directory *)self)->index;
    return index->folders[index->files[sample].folder].label;
}

tn_status directory_worker_open(const void *self, void **worker, struct tn_error *error)
{
    (void)self;
    *worker = calloc(1, sizeof(struct reader));
    return *worker ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for a reader");
}

void directory_worker_close(const void *self, void *worker)
{
    struct reader *reader = worker;
    (void)self;
    if (reader)
        free(reader->bytes);
    free(reader);
}

tn_status directory_read(const void *self, void *worker, uint64_t index, struct tn_sample *sample,
                         struct tn_error *error)
{
    const struct directory *directory = self;
    struct reader *reader = worker;
    char path[4096];
    directory_name(self, index, path, sizeof path);
    tn_status status = reader_read(reader, directory->root, path, error);
    if (status == TN_IO && errno == ESTALE &&
        (size_t)snprintf(path, sizeof path, "%s/", directory->path) < sizeof path) {
        /* by its whole name: a server that was away does not know the open folder any more */
        size_t used = strlen(path);
        directory_name(self, index, path + used, sizeof path - used);
        status = reader_read(reader, AT_FDCWD, path, error);
    }
    if (status != TN_OK)
        return status;
    sample->label = directory_label(self, index);
    sample->bytes = reader->bytes;
    sample->byte_count = reader->length;
    return TN_OK;
}

tn_status directory_digest(const void *self, uint64_t digest[2], struct tn_error *error)
{
    const struct directory *directory = self;
    char path[4096];
    (void)error;
    digest_begin(digest);
    for (uint64_t i = 0; i < directory->index.file_count; i++) {
        directory_name(self, i, path, sizeof path);
        digest_text(digest, path);
        digest_number(digest, (uint64_t)directory_label(self, i));
        digest_file(digest, directory->root, path);
    }
    return TN_OK;
}
