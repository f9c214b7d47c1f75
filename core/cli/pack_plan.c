/* pack_plan.c: how many shards there will be. Records have no size before they are made, so some of them are made for
 * that; the number is kept in .pack-job, and a run that goes on does not ask again. */
#include <math.h>
#include <sched.h>
#include <stdlib.h>

#include "cli/pack.h"

enum { MEASURED = 64 };

uint32_t tn_pack_worker_count(const struct tn_pack *pack)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (pack->options->workers > 0)
        return (uint32_t)pack->options->workers;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? (uint32_t)count : 1;
}

/* The first pictures of a part on their way to be measured. */
struct measuring {
    const struct tn_pack_part *part;
    atomic_uint next;
    unsigned count;
    uint64_t bytes[MEASURED]; /* 0: it cannot be read, which will be told when its shard is written */
};

struct measurer {
    struct measuring *measuring;
    struct tn_pack_worker worker;
    pthread_t id;
    bool running;
};

static void *measure(void *context)
{
    struct measurer *measurer = context;
    struct measuring *measuring = measurer->measuring;
    struct tn_text record = {0};
    for (unsigned i; (i = atomic_fetch_add(&measuring->next, 1)) < measuring->count;) {
        struct tn_error reason = {0};
        int32_t label;
        uint64_t sample = tn_pack_sample_at(measuring->part, i);
        if (*measurer->worker.pack->stop)
            break;
        if (tn_pack_sample(&measurer->worker, sample, &record, &label, &reason) == TN_OK)
            measuring->bytes[i] = record.length;
    }
    tn_text_release(&record);
    return NULL;
}

static tn_status run_measurers(struct tn_pack *pack, struct measuring *measuring, struct tn_error *error)
{
    struct measurer measurers[MEASURED] = {0};
    uint32_t count = tn_pack_worker_count(pack);
    tn_status status = TN_OK;
    count = count < measuring->count ? count : measuring->count;
    for (uint32_t i = 0; status == TN_OK && i < count; i++) {
        measurers[i].measuring = measuring;
        status = tn_pack_worker_open(pack, measuring->part, &measurers[i].worker, error);
    }
    for (uint32_t i = 1; status == TN_OK && i < count; i++)
        measurers[i].running = pthread_create(&measurers[i].id, NULL, measure, &measurers[i]) == 0;
    if (status == TN_OK && count > 0)
        (void)measure(&measurers[0]); /* this thread too: without any other it is enough */
    for (uint32_t i = 0; i < count; i++) {
        if (measurers[i].running)
            pthread_join(measurers[i].id, NULL);
        tn_pack_worker_close(&measurers[i].worker);
    }
    return status;
}

/* Bytes of all records of a part, from some of them. */
static tn_status estimate(struct tn_pack *pack, const struct tn_pack_part *part, double *bytes, struct tn_error *error)
{
    struct measuring measuring = {.part = part, .count = part->count < MEASURED ? (unsigned)part->count : MEASURED};
    unsigned good = 0;
    tn_status status = run_measurers(pack, &measuring, error);
    *bytes = 0;
    for (unsigned i = 0; i < measuring.count; i++) {
        *bytes += (double)measuring.bytes[i];
        good += measuring.bytes[i] > 0;
    }
    if (good)
        *bytes *= (double)part->count / good;
    return status;
}

/* Validation gets shards of the size of those for training. */
static double wanted_shards(const struct tn_pack *pack, const struct tn_pack_part *part)
{
    const struct tn_pack_part *train = &pack->parts[0];
    double count = (double)pack->options->shards;
    return part == train ? count : nearbyint(count * (double)part->count / (double)train->count);
}

tn_status tn_pack_plan(struct tn_pack *pack, struct tn_error *error)
{
    tn_status status = TN_OK;
    for (uint32_t p = 0; status == TN_OK && p < pack->part_count; p++) {
        struct tn_pack_part *part = &pack->parts[p];
        double count, bytes = 0;
        if (part->shards)
            continue; /* an earlier run has decided */
        if (pack->options->shards > 0) {
            if (p == 0 && (uint64_t)pack->options->shards > part->count)
                return tn_fail(error, TN_INVALID, "--shards %lld: there are only %llu pictures",
                               (long long)pack->options->shards, (unsigned long long)part->count);
            count = wanted_shards(pack, part);
        } else {
            status = estimate(pack, part, &bytes, error);
            count = ceil(bytes / (double)pack->options->shard_size);
            if (status == TN_OK && count > TN_PACK_MOST_SHARDS)
                return tn_fail(error, TN_INVALID, "%.0f shards would be too many; give a larger --shard-size", count);
        }
        count = fmin(fmax(count, 1), (double)part->count);
        if (status == TN_OK)
            status = tn_pack_set_shards(pack, part, (uint64_t)count, error);
    }
    return status;
}
