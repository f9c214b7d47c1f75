/* data_golden.h: counting and comparing for the golden suites of the data pipeline. */
#ifndef TENON_TEST_DATA_GOLDEN_H
#define TENON_TEST_DATA_GOLDEN_H

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "support/bundle.h"

struct tally {
    const char *group;
    int passed, failed, uncovered;
};

/* Says why a case failed, at most a screen of them. */
TN_PRINTF(3, 4) static inline void tally_fail(struct tally *tally, const char *name, const char *format, ...)
{
    va_list arguments;
    if (++tally->failed > 20)
        return;
    printf("golden %s: %s: ", tally->group, name);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

static inline void tally_print(const struct tally *tally)
{
    printf("golden %-20s %5d passed %5d failed %5d not covered yet\n", tally->group, tally->passed, tally->failed,
           tally->uncovered);
    (void)fflush(stdout);
}

/* Where fixtures are absent the suite is skipped, and says so. */
static inline bool golden_file(const char *relative, char *path, size_t bytes)
{
    if (fixtures_file(path, bytes, relative))
        return true;
    printf("golden %s: skipped, no fixtures (set TENON_FIXTURES)\n", relative);
    return false;
}

/* Greatest difference of `count` values, whatever their types; NaN counts as infinite. */
static inline double golden_difference(const struct bundle_tensor *expected, const float *floats,
                                       const unsigned char *bytes)
{
    double greatest = 0;
    for (uint64_t i = 0; i < expected->count; i++) {
        double difference = fabs(bundle_at(expected, i) - (floats ? (double)floats[i] : (double)bytes[i]));
        greatest = difference <= greatest ? greatest : isnan(difference) ? INFINITY : difference;
    }
    return greatest;
}

#endif
