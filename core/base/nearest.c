/* nearest.c: the name that a user probably meant. */
#include <ctype.h>
#include <strings.h>

#include "base/base.h"

enum { LONGEST = 64 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* `SGD` means `sgd`: case does not count. */
static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Damerau-Levenshtein (optimal string alignment) by three rolling rows; both words are at most LONGEST long. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        above[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *spare;
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t cost = same(a[i - 1], b[j - 1]) ? 0 : 1;
            row[j] = least(least(above[j] + 1, row[j - 1] + 1), above[j - 1] + cost);
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[b_length];
}

const char *tn_nearest(const char *word, const char *const *names)
{
    const char *best = NULL;
    size_t length = strlen(word), best_distance = SIZE_MAX;
    if (length > LONGEST)
        return NULL;
    for (; *names; names++) {
        size_t name_length = strlen(*names), found;
        if (name_length > LONGEST)
            continue;
        found = distance(word, length, *names, name_length);
        /* A prefix ("filter" for "filters", "max_pooling" for "max_pooling2d") counts as near as well. */
        if (length >= 3 && name_length > length && strncasecmp(word, *names, length) == 0)
            found = least(found, 1);
        if (found < best_distance) {
            best_distance = found;
            best = *names;
        }
    }
    if (best && best_distance * 3 > (length > strlen(best) ? length : strlen(best)))
        return NULL;
    return best;
}
