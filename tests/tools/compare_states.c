/* compare_states.c: whether two states are of the same moment of the same run: position, rates, sums, weights, slots of
 * the optimizer and what callbacks remember, bit for bit. When they were saved, by which generation, and the
 * experiment's text (it has the run's name) may differ. usage: compare_states STATE STATE     says what differs; 1 when
 * anything does
 */
#include <stdlib.h>
#include <string.h>

#include "train/state.h"

static unsigned differences;

static void differ(const char *what)
{
    (void)printf("another %s\n", what);
    differences++;
}

static void *open_state(const char *path)
{
    struct tn_error error = {0};
    void *data = NULL;
    uint64_t bytes = 0;
    tn_status status = tn_file_read(path, 1ull << 36, &data, &bytes, &error);
    if (status == TN_OK)
        status = tn_state_prove(data, bytes, &error);
    if (status == TN_OK)
        return data;
    (void)fprintf(stderr, "compare_states: %s: %s\n", path, error.text);
    exit(2);
}

#define COMPARE(member_)                                                                                               \
    if (memcmp(&a->member_, &b->member_, sizeof a->member_) != 0)                                                      \
    differ(#member_)

static void compare_heads(const struct tn_state_head *a, const struct tn_state_head *b)
{
    COMPARE(epoch);
    COMPARE(epochs_done);
    COMPARE(stopping);
    COMPARE(kept);
    COMPARE(batch);
    COMPARE(batches);
    COMPARE(step);
    COMPARE(base_rate);
    COMPARE(learning_rate);
    COMPARE(best_value);
    COMPARE(loss_sum);
    COMPARE(weight_sum);
    COMPARE(warned_not_finite);
}

/* Blocks of `a` that `b` has not, or has with other bytes. Returns how many were looked at. */
static unsigned compare_blocks(const unsigned char *a, const void *b)
{
    uint64_t at = sizeof(struct tn_state_head), end = tn_state_head(a)->bytes;
    unsigned count = 0;
    while (at < end) {
        const struct tn_state_block *block = (const void *)(a + at);
        at += sizeof *block + (block->bytes + 7) / 8 * 8;
        if (block->kind == TN_STATE_CONFIG || block->kind == TN_STATE_END)
            continue;
        const struct tn_state_block *other = tn_state_find(b, block->kind, block->name);
        count++;
        if (!other || other->bytes != block->bytes || memcmp(other + 1, block + 1, block->bytes) != 0)
            differ(block->name);
    }
    return count;
}

int main(int count, char **words)
{
    if (count != 3) {
        (void)fprintf(stderr, "usage: compare_states STATE STATE\n");
        return 2;
    }
    void *a = open_state(words[1]), *b = open_state(words[2]);
    compare_heads(tn_state_head(a), tn_state_head(b));
    unsigned blocks = compare_blocks(a, b);
    if (compare_blocks(b, a) != blocks)
        differ("number of blocks");
    free(a);
    free(b);
    return differences ? 1 : 0;
}
