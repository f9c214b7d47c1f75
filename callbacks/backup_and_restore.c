/* backup_and_restore: Keras' name for what tenon does by itself: the run's state is saved, and the same command goes on
 * from it. It says how often, in place of [experiment] save_every; the saving is the core's.
 */
#include <stdlib.h>

#include "tenon/plugin.h"

struct backup_and_restore {
    const char *save_every, *save_freq;
    /* state */
    char from_freq[40]; /* save_freq in the words of save_every; "" = not given */
};

static const struct tn_option backup_and_restore_options[] = {
    TN_STRING(struct backup_and_restore, save_every, NULL,
              "when the run's state is saved, into state/ of the run directory: auto, epoch, a time (5min) or a number "
              "of batches (500 batches); not given: what [experiment] save_every says"),
    TN_STRING(struct backup_and_restore, save_freq, NULL, "Keras' name for it: epoch, or a number of batches"),
    TN_GONE("backup_dir",
            "the state is in state/ of the run directory; [experiment] state_folder names a folder on the "
            "machine's own disk where it goes first"),
    TN_GONE("double_checkpoint", "two states are there at any time, and a new one is proved before the older one goes"),
    TN_GONE("delete_checkpoint", "the last state of a finished run stays: more epochs go on from it"),
    TN_END,
};

static tn_status backup_and_restore_open(void *self, const struct tn_host *host, struct tn_error *error)
{
    struct backup_and_restore *backup = self;
    char *end = NULL;
    long long batches;
    (void)host;
    if (!backup->save_freq)
        return TN_OK;
    if (backup->save_every)
        return tn_fail(error, TN_INVALID, "save_every and save_freq say the same thing: give one of them");
    batches = strtoll(backup->save_freq, &end, 10);
    if (strcmp(backup->save_freq, "epoch") == 0)
        (void)snprintf(backup->from_freq, sizeof backup->from_freq, "epoch");
    else if (end != backup->save_freq && *end == '\0' && batches > 0)
        (void)snprintf(backup->from_freq, sizeof backup->from_freq, "%lld batches", batches);
    else
        return tn_fail(error, TN_INVALID, "save_freq: `%s` is neither `epoch` nor a number of batches",
                       backup->save_freq);
    return TN_OK;
}

static tn_status backup_and_restore_on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    (void)self, (void)event, (void)run, (void)error;
    return TN_OK;
}

static const char *backup_and_restore_every(const void *self)
{
    const struct backup_and_restore *backup = self;
    return backup->from_freq[0] ? backup->from_freq : backup->save_every;
}

static const struct tn_callback backup_and_restore = {
    TN_TYPE_WITH(TN_CALLBACK, "backup_and_restore", struct backup_and_restore, backup_and_restore_options,
                 "say how often the run's state is saved, as Keras names it", 0, backup_and_restore_open, NULL),
    .on = backup_and_restore_on,
    .save_every = backup_and_restore_every,
};

TN_PLUGIN("tenon.callbacks.backup_and_restore", "0.1.0", "Apache-2.0", &backup_and_restore.type);
