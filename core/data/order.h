/* order.h: which sample stands at a position of an epoch. */
#ifndef TENON_ORDER_H
#define TENON_ORDER_H

#include "base/base.h"
#include "tenon/data.h"

struct tn_order {
    uint64_t seed, epoch, count;
    bool shuffles;
    /* Of a source in groups that is shuffled; else NULL. */
    uint64_t *groups; /* [group_count] in the order of this epoch */
    uint64_t *ends;   /* [group_count] samples up to the end of each of them */
    const uint64_t *group_starts;
    uint64_t group_count, window, strands;
};

/* Memory for the orders of all epochs; `info` must outlive it. */
tn_status tn_order_open(struct tn_order *order, const struct tn_source_info *info, uint64_t seed, bool shuffles,
                        struct tn_error *error);
void tn_order_close(struct tn_order *order);
uint64_t tn_order_bytes(const struct tn_order *order);
/* Turns to an epoch; the only call that changes it. */
void tn_order_begin(struct tn_order *order, uint64_t epoch);
/* Sample at `position` < count. Every sample has one position.  [any] */
uint64_t tn_order_at(const struct tn_order *order, uint64_t position);
/* Groups by the position at which they are first needed, without those that lie before `first`; `groups` has room for
 * group_count. */
tn_status tn_order_groups(const struct tn_order *order, uint64_t first, uint64_t *groups, uint64_t *count,
                          struct tn_error *error);

#endif
