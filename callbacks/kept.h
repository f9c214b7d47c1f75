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
    char (*paths)[KEPT_PATH]; /* oldest first; room for limit + 2 */
    int64_t count;
    char best[KEPT_PATH]; /* stays too; "" = none */
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

#endif
