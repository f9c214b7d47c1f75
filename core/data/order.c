/* order.c: the order of an epoch, computed and never stored sample by sample.
 *
 * Most sources are shuffled as a whole: the sample at a position is the keyed permutation of it. Where seeks are dear a
 * source comes in groups (shards) that want to be read from front to back. Then
 *
 *     position --shuffled within its window--> turn --dealt to strands--> place in the stream --> group and sample
 *
 * The stream is all groups one behind the other in a keyed order. It is cut into `strands` equal pieces, each read from
 * its front, in turn: as many files are open at a time, and a window holds samples of all of them. Every step is a
 * bijection that is computed from the position alone, so an epoch can begin anywhere.
 */
#include "data/order.h"

#include <stdlib.h>

#include "data/permutation.h"
#include "tenon/random.h"

static const uint64_t GROUPS = 0x67726F7570732121u, WINDOW = 0x77696E646F772121u; /* streams of their own */

tn_status tn_order_open(struct tn_order *order, const struct tn_source_info *info, uint64_t seed, bool shuffles,
                        struct tn_error *error)
{
    uint64_t groups = info->group_starts ? info->group_count : 0;
    *order = (struct tn_order){.seed = seed,
                               .count = info->count,
                               .shuffles = shuffles,
                               .group_starts = info->group_starts,
                               .group_count = groups,
                               .window = info->shuffle_window,
                               .strands = info->strands > 0 ? info->strands : 1};
    if (groups == 0)
        return TN_OK;
    for (uint64_t g = 0; g < groups; g++)
        if (info->group_starts[g] > info->group_starts[g + 1])
            return tn_fail(error, TN_FAILED, "its group %llu ends before it begins", (unsigned long long)g);
    if (info->group_starts[0] != 0 || info->group_starts[groups] != info->count)
        return tn_fail(error, TN_FAILED, "its groups do not cover its %llu samples", (unsigned long long)info->count);
    if (order->strands > order->count)
        order->strands = order->count ? order->count : 1;
    order->groups = calloc((size_t)groups, sizeof *order->groups);
    order->ends = calloc((size_t)groups, sizeof *order->ends);
    if (!order->groups || !order->ends) {
        tn_order_close(order);
        return tn_fail(error, TN_NO_MEMORY, "no memory for the order of %llu shards", (unsigned long long)groups);
    }
    tn_order_begin(order, 0);
    return TN_OK;
}

void tn_order_close(struct tn_order *order)
{
    free(order->groups);
    free(order->ends);
    order->groups = order->ends = NULL;
}

uint64_t tn_order_bytes(const struct tn_order *order)
{
    return order->groups ? order->group_count * (sizeof *order->groups + sizeof *order->ends) : 0;
}

void tn_order_begin(struct tn_order *order, uint64_t epoch)
{
    uint64_t end = 0;
    order->epoch = epoch;
    if (!order->groups)
        return;
    struct tn_permutation keyed = tn_permutation_make(order->seed ^ GROUPS, epoch, order->group_count);
    for (uint64_t i = 0; i < order->group_count; i++) {
        uint64_t group = order->shuffles ? tn_permutation_at(&keyed, i) : i;
        end += order->group_starts[group + 1] - order->group_starts[group];
        order->groups[i] = group;
        order->ends[i] = end;
    }
}

/* ---- the steps ---- */

static uint64_t shuffled(const struct tn_order *order, uint64_t position)
{
    if (order->window < 2)
        return position;
    uint64_t number = position / order->window, first = number * order->window, left = order->count - first;
    uint32_t block[4];
    tn_random_block(order->seed ^ WINDOW, number, order->epoch, block);
    struct tn_permutation keyed = tn_permutation_make((uint64_t)block[1] << 32 | block[0], order->epoch,
                                                      left < order->window ? left : order->window);
    return first + tn_permutation_at(&keyed, position - first);
}

/* Where strand `number` begins in the stream; the first `count % strands` are longer by one. */
static uint64_t strand_start(const struct tn_order *order, uint64_t number)
{
    uint64_t longer = order->count % order->strands;
    return number * (order->count / order->strands) + (number < longer ? number : longer);
}

static uint64_t in_stream(const struct tn_order *order, uint64_t turn)
{
    return strand_start(order, turn % order->strands) + turn / order->strands;
}

/* Index into `groups` of the one that holds this place of the stream. */
static uint64_t group_at(const struct tn_order *order, uint64_t place)
{
    uint64_t low = 0, high = order->group_count - 1;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (order->ends[middle] <= place)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t tn_order_at(const struct tn_order *order, uint64_t position)
{
    if (!order->shuffles)
        return position;
    if (!order->groups) {
        struct tn_permutation permutation = tn_permutation_make(order->seed, order->epoch, order->count);
        return tn_permutation_at(&permutation, position);
    }
    uint64_t place = in_stream(order, shuffled(order, position)), at = group_at(order, place);
    return order->group_starts[order->groups[at] + 1] - (order->ends[at] - place);
}

/* ---- what comes when ---- */

struct need {
    uint64_t turn, group;
};

static int compare_needs(const void *a, const void *b)
{
    const struct need *left = a, *right = b;
    if (left->turn != right->turn)
        return left->turn < right->turn ? -1 : 1;
    return left->group < right->group ? -1 : left->group > right->group;
}

/* First step of any strand, from `from` on, at which it reads within [start, end) of the stream; UINT64_MAX = none. */
static uint64_t first_step(const struct tn_order *order, uint64_t start, uint64_t end, uint64_t from)
{
    uint64_t least = UINT64_MAX;
    for (uint64_t s = 0; s < order->strands; s++) {
        uint64_t low = strand_start(order, s) + from, high = strand_start(order, s + 1);
        uint64_t first = start > low ? start : low, last = end < high ? end : high;
        if (first < last && first - (low - from) < least)
            least = first - (low - from);
    }
    return least;
}

tn_status tn_order_groups(const struct tn_order *order, uint64_t first, uint64_t *groups, uint64_t *count,
                          struct tn_error *error)
{
    uint64_t found = 0, window = order->window > 1 ? order->window : 1;
    struct need *needs = calloc(order->group_count ? (size_t)order->group_count : 1, sizeof *needs);
    *count = 0;
    if (!needs)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the order of shards");
    /* A window begins anew even in its middle: its samples are asked for in any order. */
    uint64_t strands = order->shuffles ? order->strands : 1, from = first / window * window / strands;
    struct tn_order straight = *order;
    straight.strands = strands;
    for (uint64_t i = 0; order->groups && i < order->group_count; i++) {
        uint64_t start = i ? order->ends[i - 1] : 0;
        uint64_t step = first_step(&straight, start, order->ends[i], from);
        if (step != UINT64_MAX)
            needs[found++] = (struct need){step, order->groups[i]};
    }
    qsort(needs, (size_t)found, sizeof *needs, compare_needs);
    for (uint64_t i = 0; i < found; i++)
        groups[i] = needs[i].group;
    *count = found;
    free(needs);
    return TN_OK;
}
