/* doctor_twins.c: files with the same bytes: wasted twice in training, a lie between training and validation, a
 * contradiction between classes. */
#include <stdlib.h>

#include "cli/doctor.h"

struct key {
    const struct tn_record *record;
    uint64_t number;
};

static bool same(const struct tn_record *a, const struct tn_record *b)
{
    return a->hash[0] == b->hash[0] && a->hash[1] == b->hash[1] && a->bytes == b->bytes;
}

/* Twins beside each other, in the order of their records. */
static int by_content(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    if (x->record->hash[0] != y->record->hash[0])
        return x->record->hash[0] < y->record->hash[0] ? -1 : 1;
    if (x->record->hash[1] != y->record->hash[1])
        return x->record->hash[1] < y->record->hash[1] ? -1 : 1;
    if (x->record->bytes != y->record->bytes)
        return x->record->bytes < y->record->bytes ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

/* What a group of twins is, and which of them are to be left out. */
static const char *judge(struct tn_checkup *checkup, const struct key *keys, uint64_t count, struct tn_twins *twins)
{
    bool contradicts = false, across = false;
    for (uint64_t i = 1; i < count; i++) {
        contradicts = contradicts || keys[i].record->label != keys[0].record->label;
        across = across || keys[i].record->part != keys[0].record->part;
    }
    twins->groups++;
    twins->copies += count - 1;
    twins->across += across;
    twins->contradicting += contradicts;
    /* Of twins of one class one stays, and where validation has one, that is the one. */
    for (uint64_t i = 0; i < count; i++) {
        uint64_t stays = across ? count - 1 : 0;
        checkup->records[keys[i].number].excluded = contradicts || i != stays;
    }
    return contradicts ? "in several classes" : across ? "in training and in validation" : "twice";
}

tn_status tn_checkup_twins(struct tn_checkup *checkup, struct tn_twins *twins,
                           void (*tell)(const struct tn_checkup *checkup, const uint64_t *records, uint64_t count,
                                        const char *kind),
                           uint64_t most, struct tn_error *error)
{
    enum { MOST_SHOWN = 8 };
    struct key *keys = calloc((size_t)checkup->count + 1, sizeof *keys);
    uint64_t known = 0, shown[MOST_SHOWN];
    *twins = (struct tn_twins){0};
    if (!keys)
        return tn_fail(error, TN_NO_MEMORY, "no memory to compare %llu pictures", (unsigned long long)checkup->count);
    for (uint64_t i = 0; i < checkup->count; i++)
        if (checkup->records[i].height > 0)
            keys[known++] = (struct key){&checkup->records[i], i};
    if (known > 1)
        qsort(keys, (size_t)known, sizeof *keys, by_content);
    for (uint64_t first = 0, next; first < known; first = next) {
        next = first + 1;
        while (next < known && same(keys[first].record, keys[next].record))
            next++;
        if (next - first < 2)
            continue;
        const char *kind = judge(checkup, keys + first, next - first, twins);
        for (uint64_t i = 0; i < MOST_SHOWN && first + i < next; i++)
            shown[i] = keys[first + i].number;
        if (twins->groups <= most)
            tell(checkup, shown, next - first < MOST_SHOWN ? next - first : MOST_SHOWN, kind);
    }
    free(keys);
    return TN_OK;
}
