/* patience.c: reads a sample, and reads it again where its place fails for a while (a network folder: EIO, ESTALE),
 * with growing pauses. What is damaged, missing or refused for good is not tried twice.
 */
#include <errno.h>

#include "base/thread.h"
#include "data/dataset.h"

/* The longest pause; a drive that is gone for longer is a matter of `retries`. */
static const double longest_pause = 30;

/* Sleeps under the mutex; false when nobody waits for the sample any more. */
static bool pause_for(struct tn_dataset *dataset, double seconds)
{
    struct timespec until = tn_deadline(seconds);
    int code = 0;
    while (code != ETIMEDOUT && !dataset->quit && !dataset->halting)
        code = pthread_cond_timedwait(&dataset->work, &dataset->mutex, &until);
    return !dataset->quit && !dataset->halting;
}

/* Counts the failure and waits; the first few are told, then each time that their number has doubled. */
static bool wait_before_retry(struct tn_dataset *dataset, uint64_t sample, double seconds,
                              const struct tn_error *failure)
{
    char name[512];
    pthread_mutex_lock(&dataset->mutex);
    uint64_t count = ++dataset->retried;
    bool wanted = pause_for(dataset, seconds);
    pthread_mutex_unlock(&dataset->mutex);
    if (wanted && (count & (count - 1)) == 0) {
        tn_dataset_sample_name(dataset, sample, name, sizeof name);
        tn_log(TN_LOG_WARNING, "read again: %s (source %s): %s; %llu repeated so far", name, dataset->spec.source->name,
               failure->text, (unsigned long long)count);
    }
    return wanted;
}

tn_status tn_source_read(struct tn_dataset *dataset, void *source_worker, uint64_t sample, struct tn_sample *read,
                         struct tn_error *error)
{
    const struct tn_data_options *options = &dataset->spec.options;
    double pause = options->retry_pause;
    for (int64_t left = options->retries;; left--) {
        *read = (struct tn_sample){.size = sizeof *read, .label = -1};
        tn_status status = dataset->source->read(dataset->spec.source->self, source_worker, sample, read, error);
        if (status != TN_IO)
            return status;
        if (left <= 0 || !wait_before_retry(dataset, sample, pause, error))
            return options->retries > 0 ? tn_error_wrap(error, status, "read %lld times",
                                                        (long long)options->retries - (long long)left + 1)
                                        : status;
        pause = pause * 4 < longest_pause ? pause * 4 : longest_pause;
    }
}

tn_status tn_sample_read(struct tn_worker *worker, uint64_t sample, struct tn_sample *read, struct tn_error *error)
{
    if (worker->ahead && !worker->ahead->passed_by) {
        *read = worker->ahead->sample;
        if (worker->ahead->status != TN_OK && error)
            *error = worker->ahead->error;
        return worker->ahead->status;
    }
    double start = tn_seconds_now();
    tn_status status = tn_source_read(worker->dataset, worker->source_worker, sample, read, error);
    worker->read_seconds = tn_seconds_now() - start;
    return status;
}

uint64_t tn_dataset_retried(const struct tn_dataset *dataset)
{
    struct tn_dataset *locked = (struct tn_dataset *)dataset; /* as in tn_dataset_skipped */
    pthread_mutex_lock(&locked->mutex);
    uint64_t count = locked->retried;
    pthread_mutex_unlock(&locked->mutex);
    return count;
}
