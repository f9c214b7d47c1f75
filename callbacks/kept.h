/* kept.h: which files of a series stay: the newest ones, and the best one, to which a link points. Private to this
 * folder. Only files that this run has written are ever removed.
 */
#ifndef TENON_CALLBACKS_KEPT_H
#define TENON_CALLBACKS_KEPT_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tenon/plugin.h"

enum { KEPT_PATH = 1024 };

struct kept {
    int64_t limit;            /* newest files that stay; 0 = all */
    char (*paths)[KEPT_PATH]; /* oldest first */
    int64_t count, room;      /* of paths; at least limit + 2 */
    char best[KEPT_PATH];     /* stays too; "" = none */
};

TN_UNUSED static void kept_release(struct kept *kept)
{
    free(kept->paths);
    *kept = (struct kept){.limit = 0};
}

TN_UNUSED static tn_status kept_begin(struct kept *kept, int64_t limit, struct tn_error *error)
{
    kept_release(kept);
    if (limit > 0)
        kept->paths = calloc((size_t)limit + 2, sizeof *kept->paths);
    if (limit > 0 && !kept->paths)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the names of %lld files", (long long)limit);
    kept->limit = limit;
    kept->room = limit > 0 ? limit + 2 : 0;
    return TN_OK;
}

/* ---- for a run that goes on: the best one and then all others, a line each; what is in the run directory without its
 * name, since that may be another one then ---- */

TN_UNUSED static const char *kept_below(const char *folder, const char *path)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && path[length] == '/' ? path + length + 1 : path;
}

/* Writes down what there is, in place of what was; `text` is from host->allocate. */
TN_UNUSED static tn_status kept_note(const struct kept *kept, const struct tn_host *host, const char *folder,
                                     char **text, struct tn_error *error)
{
    size_t bytes = strlen(kept->best) + 2, used;
    char *fresh;
    for (int64_t i = 0; i < kept->count; i++)
        bytes += strlen(kept->paths[i]) + 1;
    fresh = host->allocate(bytes);
    if (!fresh)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the names of %lld files", (long long)kept->count);
    used = (size_t)snprintf(fresh, bytes, "%s", kept_below(folder, kept->best));
    for (int64_t i = 0; i < kept->count; i++)
        used += (size_t)snprintf(fresh + used, bytes - used, "\n%s", kept_below(folder, kept->paths[i]));
    host->release(*text);
    *text = fresh;
    return TN_OK;
}

TN_UNUSED static void kept_above(const char *folder, const char *name, size_t length, char path[KEPT_PATH])
{
    int written = 0;
    if (length)
        written = snprintf(path, KEPT_PATH, "%s%s%.*s", *name == '/' ? "" : folder, *name == '/' ? "" : "/",
                           (int)length, name);
    if (length == 0 || written < 0 || written >= KEPT_PATH)
        path[0] = '\0';
}

/* The other way round. `limit` may be smaller than it was: what is too much goes when the next file is written. */
TN_UNUSED static tn_status kept_recall(struct kept *kept, const char *folder, const char *text, struct tn_error *error)
{
    size_t length = text ? strcspn(text, "\n") : 0;
    int64_t lines = 0;
    if (!text)
        return TN_OK;
    kept_above(folder, text, length, kept->best);
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    if (kept->limit == 0)
        return TN_OK;
    if (lines + 2 > kept->room) {
        void *grown = realloc(kept->paths, (size_t)(lines + 2) * sizeof *kept->paths);
        if (!grown)
            return tn_fail(error, TN_NO_MEMORY, "no memory for the names of %lld files", (long long)lines);
        kept->paths = grown;
        kept->room = lines + 2;
    }
    kept->count = 0;
    for (text += length; *text; text += length) {
        length = strcspn(++text, "\n");
        kept_above(folder, text, length, kept->paths[kept->count]);
        kept->count += kept->paths[kept->count][0] != '\0';
    }
    return TN_OK;
}

TN_UNUSED static void kept_drop(struct kept *kept, int64_t index)
{
    kept->count--;
    memmove(kept->paths[index], kept->paths[index + 1], (size_t)(kept->count - index) * sizeof *kept->paths);
}

/* A file was written: removes what is not to stay any more. A file that cannot be removed is warned of and forgotten.
 */
TN_UNUSED static void kept_add(struct kept *kept, const struct tn_run *run, const char *path)
{
    char text[KEPT_PATH + 128];
    if (kept->limit == 0)
        return;
    for (int64_t i = 0; i < kept->count; i++)
        if (strcmp(kept->paths[i], path) == 0)
            kept_drop(kept, i--);
    (void)snprintf(kept->paths[kept->count++], KEPT_PATH, "%s", path);
    for (int64_t i = 0; i < kept->count - kept->limit; i++) {
        if (strcmp(kept->paths[i], kept->best) == 0)
            continue;
        if (unlink(kept->paths[i]) != 0 && errno != ENOENT) {
            (void)snprintf(text, sizeof text, "keep: cannot remove %s: %s", kept->paths[i], strerror(errno));
            run->say(run, TN_LOG_WARNING, text);
        }
        kept_drop(kept, i--);
    }
}

/* Makes `link` point at `path`, which is in the same folder, in one step. Returns 0 where links cannot be made. */
TN_UNUSED static int32_t kept_link(const char *path, const char *link)
{
    char fresh[KEPT_PATH + 8];
    const char *slash = strrchr(path, '/');
    (void)snprintf(fresh, sizeof fresh, "%s.new", link);
    (void)unlink(fresh);
    if (symlink(slash ? slash + 1 : path, fresh) != 0)
        return 0;
    if (rename(fresh, link) == 0)
        return 1;
    (void)unlink(fresh);
    return 0;
}

/* In place of a link. */
TN_UNUSED static tn_status kept_copy(const struct tn_host *host, const char *path, const char *copy,
                                     struct tn_error *error)
{
    void *data = NULL;
    uint64_t bytes = 0;
    tn_status status = host->read_file(path, (uint64_t)1 << 40, &data, &bytes, error);
    if (status == TN_OK)
        status = host->write_file(copy, data, bytes, error);
    host->release(data);
    return status;
}

#endif
