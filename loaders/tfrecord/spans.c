/* spans.c: which records lie in which blocks of a shard, and how many blocks it takes to hold a window. */
#include "shards.h"

enum { LEAST_SLOTS = 4 };
/* Threads that read ahead are apart, even where nothing is shuffled: by so many records, or less when they are long. */
static const double APART = 128, APART_BYTES = 64 << 20;

static uint64_t longest_record(const struct tfrecord *source)
{
    uint64_t most = 0;
    for (uint64_t i = 0; i < source->place_count; i++)
        most = source->places[i].length > most ? source->places[i].length : most;
    return most;
}

uint64_t blocks_needed(const struct tfrecord *source)
{
    uint64_t bytes = 0, strands = (uint64_t)source->interleave, all = 0;
    for (uint64_t i = 0; i < source->shard_count; i++) {
        bytes += source->shards[i].end;
        all += source->shards[i].end / BLOCK_BYTES + 1;
    }
    double mean = (double)bytes / (double)(source->place_count ? source->place_count : 1);
    double window = (double)source->shuffle_window * mean, apart = APART * mean;
    apart = apart < APART_BYTES ? apart : APART_BYTES;
    double run = (window > apart ? window : apart) / (double)strands;
    double slots = (double)strands * (1.25 * run / BLOCK_BYTES + 3);
    if (slots > (double)all)
        slots = (double)all;
    return (slots < LEAST_SLOTS ? LEAST_SLOTS : (uint64_t)slots) + longest_record(source) / BLOCK_BYTES;
}

/* First of the shard's places whose record ends behind `offset`. */
static uint64_t first_behind(const struct tfrecord *source, uint32_t shard, uint64_t offset)
{
    uint64_t low = source->starts[shard], high = source->starts[shard + 1];
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const struct place *place = &source->places[middle];
        if (place->offset + place->length + RECORD_TAIL <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t records_in(const struct tfrecord *source, uint32_t shard, uint64_t number)
{
    uint64_t first = first_behind(source, shard, number * BLOCK_BYTES), end = (number + 1) * BLOCK_BYTES;
    uint64_t last = first_behind(source, shard, end);
    if (last < source->starts[shard + 1] && source->places[last].offset < end)
        last++; /* the one that goes on in the next block */
    return last - first;
}
