/* tally.c: texts and how often each was there. What is counted may come from hostile files: the number of different
 * texts is bounded. */
#include <stdlib.h>
#include <string.h>

#include "cli/inspect.h"

enum { MOST_TEXTS = 1 << 20 };

static uint64_t hash_of(const char *text)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash ^ hash >> 29;
}

static size_t *find_slot(const struct tn_tally *tally, const char *text)
{
    size_t at = (size_t)hash_of(text) & (tally->slot_count - 1);
    while (tally->slots[at] && strcmp(tally->rows[tally->slots[at] - 1].text, text) != 0)
        at = (at + 1) & (tally->slot_count - 1);
    return &tally->slots[at];
}

static bool make_room(struct tn_tally *tally)
{
    size_t more = tally->slot_count ? tally->slot_count * 2 : 64;
    if (tn_grow(&tally->rows, &tally->capacity, tally->count + 1, sizeof *tally->rows) != TN_OK)
        return false;
    if (tally->slot_count > 2 * (tally->count + 1))
        return true;
    size_t *old = tally->slots;
    tally->slots = calloc(more, sizeof *tally->slots);
    if (!tally->slots) {
        tally->slots = old;
        return false;
    }
    free(old);
    tally->slot_count = more;
    for (size_t i = 0; i < tally->count; i++)
        *find_slot(tally, tally->rows[i].text) = i + 1;
    return true;
}

void tn_tally_add(struct tn_tally *tally, const char *text, uint64_t count)
{
    size_t *slot = tally->slot_count ? find_slot(tally, text) : NULL;
    const char *copy;
    if (slot && *slot) {
        tally->rows[*slot - 1].count += count;
        return;
    }
    if (tally->count == MOST_TEXTS) {
        tally->others += count;
        return;
    }
    copy = make_room(tally) ? tn_arena_string(&tally->arena, text) : NULL;
    if (!copy) {
        tally->failed = true;
        return;
    }
    tally->rows[tally->count] = (struct tn_tally_row){copy, count};
    *find_slot(tally, text) = ++tally->count;
}

void tn_tally_join(struct tn_tally *tally, const struct tn_tally *other)
{
    for (size_t i = 0; i < other->count; i++)
        tn_tally_add(tally, other->rows[i].text, other->rows[i].count);
    tally->others += other->others;
    tally->failed |= other->failed;
}

static int by_count(const void *a, const void *b)
{
    const struct tn_tally_row *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    long long left = strtoll(x->text, NULL, 10), right = strtoll(y->text, NULL, 10);
    return left != right ? (left > right) - (left < right) : strcmp(x->text, y->text);
}

void tn_tally_sort(struct tn_tally *tally)
{
    free(tally->slots);
    tally->slots = NULL;
    tally->slot_count = 0;
    if (tally->count)
        qsort(tally->rows, tally->count, sizeof *tally->rows, by_count);
}

void tn_tally_release(struct tn_tally *tally)
{
    free(tally->rows);
    free(tally->slots);
    tn_arena_release(&tally->arena);
    *tally = (struct tn_tally){0};
}
