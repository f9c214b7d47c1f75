/* index.c: the list of files, compact: 8 bytes and its name for each. */
#include <stdlib.h>
#include <string.h>

#include "directory.h"

/* Room for `needed` items; doubles, so that adding one at a time stays cheap. */
static tn_status grow(void *items, uint64_t *capacity, uint64_t needed, size_t item_bytes, struct tn_error *error)
{
    void *old;
    if (needed <= *capacity)
        return TN_OK;
    uint64_t more = *capacity < 64 ? 64 : *capacity * 2;
    if (more < needed)
        more = needed;
    memcpy(&old, items, sizeof old);
    void *grown = more <= SIZE_MAX / item_bytes ? realloc(old, (size_t)more * item_bytes) : NULL;
    if (!grown)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a list of %llu files", (unsigned long long)needed);
    memcpy(items, &grown, sizeof grown);
    *capacity = more;
    return TN_OK;
}

tn_status index_add_name(struct index *index, const char *text, uint32_t *offset, struct tn_error *error)
{
    size_t bytes = strlen(text) + 1;
    if (index->name_bytes + bytes > UINT32_MAX)
        return tn_fail(error, TN_NO_MEMORY, "the file names are longer than 4 GiB together");
    tn_status status = grow(&index->names, &index->name_capacity, index->name_bytes + bytes, 1, error);
    if (status != TN_OK)
        return status;
    memcpy(index->names + index->name_bytes, text, bytes);
    *offset = (uint32_t)index->name_bytes;
    index->name_bytes += bytes;
    return TN_OK;
}

tn_status index_add_folder(struct index *index, const char *path, int32_t label, struct tn_error *error)
{
    struct folder folder = {0, label};
    tn_status status = index_add_name(index, path, &folder.path, error);
    if (status == TN_OK)
        status = grow(&index->folders, &index->folder_capacity, index->folder_count + 1, sizeof folder, error);
    if (status == TN_OK)
        index->folders[index->folder_count++] = folder;
    return status;
}

tn_status index_add_file(struct index *index, const char *name, struct tn_error *error)
{
    struct file file = {(uint32_t)(index->folder_count - 1), 0};
    tn_status status = index_add_name(index, name, &file.name, error);
    if (status == TN_OK)
        status = grow(&index->files, &index->file_capacity, index->file_count + 1, sizeof file, error);
    if (status == TN_OK)
        index->files[index->file_count++] = file;
    return status;
}

void index_keep(struct index *index, uint64_t first, uint64_t from, uint64_t to)
{
    if (to > from && from > 0)
        memmove(index->files + first, index->files + first + from, (size_t)(to - from) * sizeof *index->files);
    index->file_count = first + (to > from ? to - from : 0);
}

uint64_t index_bytes(const struct index *index)
{
    return index->name_capacity + index->folder_capacity * sizeof *index->folders +
           index->file_capacity * sizeof *index->files + index->class_count * (sizeof(char *) + sizeof(uint64_t));
}

void index_release(struct index *index)
{
    for (uint32_t i = 0; index->classes && i < index->class_count; i++)
        free((void *)(uintptr_t)index->classes[i]);
    free(index->classes);
    free(index->class_sizes);
    free(index->names);
    free(index->folders);
    free(index->files);
    memset(index, 0, sizeof *index);
}
