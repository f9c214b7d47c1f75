/* clock.h: the time, for callbacks. Private to this folder. */
#ifndef TENON_CALLBACKS_CLOCK_H
#define TENON_CALLBACKS_CLOCK_H

#include <time.h>

static inline double clock_seconds(clockid_t clock)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Goes on steadily, whatever is done to the time of day. */
static inline double seconds_now(void)
{
    return clock_seconds(CLOCK_MONOTONIC);
}

#endif
