/* broadcast.c: see broadcast.h. */
#include "broadcast.h"

static bool set_steps(struct tn_broadcast *broadcast, int which, const struct tn_shape *shape)
{
    int32_t missing = broadcast->rank - shape->rank;
    int64_t step = 1;
    for (int32_t i = broadcast->rank - 1; i >= 0; i--) {
        int64_t size = i < missing ? 1 : shape->dims[i - missing];
        if (size != 1 && size != broadcast->dims[i])
            return false;
        broadcast->steps[which][i] = size == 1 ? 0 : step;
        step *= size;
    }
    return true;
}

bool tn_broadcast_make(struct tn_broadcast *broadcast, const struct tn_shape *result, const struct tn_shape *a,
                       const struct tn_shape *b)
{
    memset(broadcast, 0, sizeof *broadcast);
    broadcast->rank = result->rank > 0 ? result->rank : 1;
    broadcast->rows = 1;
    broadcast->dims[0] = 1;
    for (int32_t i = 0; i < result->rank; i++) {
        broadcast->dims[i] = result->dims[i];
        if (i + 1 < result->rank)
            broadcast->rows *= result->dims[i];
    }
    broadcast->width = broadcast->dims[broadcast->rank - 1];
    if (a->rank > broadcast->rank || (b && b->rank > broadcast->rank))
        return false;
    return set_steps(broadcast, 0, a) && (!b || set_steps(broadcast, 1, b));
}
