/* pack_read.c: reads a picture's bytes, and again where its place fails for a while (a network folder: EIO, ESTALE),
 * with growing pauses, as training does (data/patience.c). What is damaged or not there is not tried twice.
 */
#include <time.h>

#include "cli/pack.h"

static const double longest_pause = 30, nap = 0.1;

/* In short naps: false when the run is to end meanwhile. */
static bool wait_for(struct tn_pack *pack, double seconds)
{
    double end = tn_seconds_now() + seconds, left = seconds;
    while (left > 0) {
        const struct timespec time = {.tv_nsec = (long)(1e9 * (left < nap ? left : nap))};
        if (*pack->stop || atomic_load(&pack->quit))
            return false;
        (void)nanosleep(&time, NULL);
        left = end - tn_seconds_now();
    }
    return true;
}

/* The first few are told, then each time that their number has doubled. */
static void tell(struct tn_pack_worker *worker, uint64_t index, const struct tn_error *failure)
{
    unsigned long long count = atomic_fetch_add(&worker->pack->repeated, 1) + 1;
    char place[4096];
    if (count & (count - 1))
        return;
    tn_pack_place(worker->part, index, place, sizeof place);
    tn_console_say(worker->pack->console, TN_LOG_WARNING, "read again: %s: %s; %llu repeated so far", place,
                   failure->text, count);
}

tn_status tn_pack_read(struct tn_pack_worker *worker, uint64_t index, struct tn_sample *sample, struct tn_error *error)
{
    const struct tn_instance *from = worker->part->source;
    const struct tn_source *source = (const struct tn_source *)from->type;
    const struct tn_pack_options *options = worker->pack->options;
    double pause = options->retry_pause;
    for (int64_t tried = 1;; tried++) {
        *sample = (struct tn_sample){.size = sizeof *sample, .label = -1};
        tn_status status = source->read(from->self, worker->reader, index, sample, error);
        if (status != TN_IO)
            return status;
        if (tried > options->retries)
            return tried > 1 ? tn_error_wrap(error, status, "read %lld times", (long long)tried) : status;
        tell(worker, index, error);
        if (!wait_for(worker->pack, pause))
            return status;
        pause = pause * 4 < longest_pause ? pause * 4 : longest_pause;
    }
}
