/* wants.h: blocks that threads ask for at the moment. All under the mutex of the blocks. */
#ifndef TENON_LOADER_TFRECORD_WANTS_H
#define TENON_LOADER_TFRECORD_WANTS_H

#include "tenon/plugin.h"

/* Lies on the stack of its thread while that waits or loads. */
struct want {
    struct want *next;
    uint64_t number;
    uint32_t shard;
};

static inline int wants_have(const struct want *want, uint32_t shard, uint64_t number)
{
    for (; want; want = want->next)
        if (want->number == number && want->shard == shard)
            return 1;
    return 0;
}

static inline void want_end(struct want **wants, const struct want *want)
{
    while (*wants != want)
        wants = &(*wants)->next;
    *wants = want->next;
}

#endif
