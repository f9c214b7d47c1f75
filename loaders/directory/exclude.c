/* exclude.c: a list of pictures that are left out, as `tenon doctor --list` writes it: one path a line, `#` begins a
 * comment. A line means each picture whose path ends in it, in whole names and with all of its path below the source:
 * of cat/1.jpg in data/train, `cat/1.jpg`, `train/cat/1.jpg` and `data/train/cat/1.jpg` do.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "directory.h"

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static tn_status add_line(struct exclusion *list, char *line, struct tn_error *error)
{
    size_t length = strlen(line);
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        line[--length] = '\0';
    while (strncmp(line, "./", 2) == 0)
        line += 2;
    if (line[0] == '\0' || line[0] == '#')
        return TN_OK;
    if (list->count == list->capacity) {
        uint64_t more = list->capacity ? list->capacity * 2 : 64;
        char **grown = realloc(list->lines, (size_t)more * sizeof *grown);
        if (!grown)
            return tn_fail(error, TN_NO_MEMORY, "no memory for the list of pictures to leave out");
        list->lines = grown, list->capacity = more;
    }
    list->lines[list->count] = strdup(line);
    if (!list->lines[list->count])
        return tn_fail(error, TN_NO_MEMORY, "no memory for the list of pictures to leave out");
    list->count++;
    return TN_OK;
}

tn_status exclusion_read(struct exclusion *list, const char *path, struct tn_error *error)
{
    char *line = NULL;
    size_t capacity = 0;
    tn_status status = TN_OK;
    exclusion_release(list);
    if (!path)
        return TN_OK;
    FILE *file = fopen(path, "re");
    if (!file)
        return tn_fail(error, errno == ENOENT ? TN_NOT_FOUND : TN_IO, "exclude: cannot open %s: %s", path,
                       strerror(errno));
    errno = 0;
    while (status == TN_OK && getline(&line, &capacity, file) >= 0)
        status = add_line(list, line, error);
    if (status == TN_OK && (ferror(file) || errno == ENOMEM))
        status = tn_fail(error, TN_IO, "exclude: cannot read %s: %s", path, strerror(errno));
    free(line);
    (void)fclose(file);
    if (list->count > 1)
        qsort(list->lines, (size_t)list->count, sizeof *list->lines, compare_lines);
    return status;
}

void exclusion_release(struct exclusion *list)
{
    for (uint64_t i = 0; i < list->count; i++)
        free(list->lines[i]);
    free(list->lines);
    *list = (struct exclusion){0};
}

static int has_line(const struct exclusion *list, const char *line)
{
    return bsearch(&line, list->lines, (size_t)list->count, sizeof *list->lines, compare_lines) != NULL;
}

int exclusion_has(const struct exclusion *list, const char *root, const char *folder, const char *name)
{
    char whole[8192];
    int root_length, length;
    if (list->count == 0)
        return 0;
    root_length = snprintf(whole, sizeof whole, "%s", root);
    if (root_length < 0 || (size_t)root_length >= sizeof whole)
        return 0;
    while (root_length > 1 && whole[root_length - 1] == '/')
        root_length--;
    length = snprintf(whole + root_length, sizeof whole - (size_t)root_length, "/%s%s%s", folder, folder[0] ? "/" : "",
                      name);
    if (length < 0 || (size_t)length >= sizeof whole - (size_t)root_length)
        return 0;
    for (int at = root_length; at >= 0; at--)
        if ((whole[at] == '/' && has_line(list, whole + at + 1)) || (at == 0 && has_line(list, whole)))
            return 1;
    return 0;
}
