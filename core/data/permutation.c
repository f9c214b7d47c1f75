/* permutation.c: a keyed bijection of [0, count), so that position n of an epoch is computed and never replayed.
 *
 * A Feistel network over the product of two nearly equal halves (values left + right * n), with Philox as the round
 * function; a value that lands outside of [0, count) is sent through again until it is inside ("cycle walking", Black
 * and Rogaway, 2002). The halves are chosen close to the square root of count, so that hardly any value walks twice.
 */
#include "data/permutation.h"

#include <math.h>

#include "tenon/random.h"

/* Four rounds give a pseudo-random permutation; tiny domains need more until all orders come out equally often. */
enum { ROUNDS = 12 };

static const uint64_t PURPOSE = 0x7368756666756C65u; /* "shuffle": keeps this stream apart from all others */

struct tn_permutation tn_permutation_make(uint64_t seed, uint64_t epoch, uint64_t count)
{
    uint32_t block[4];
    tn_random_block(seed, PURPOSE, epoch, block);
    struct tn_permutation permutation = {(uint64_t)block[1] << 32 | block[0], count, 1, 1};
    uint64_t root = (uint64_t)ceil(sqrt((double)count));
    /* An even left half: a cyclic shift of an odd number of places is an even permutation, so two odd halves would
     * never give an odd order. */
    permutation.left = root < 2 ? 2 : root + root % 2;
    permutation.right = count / permutation.left + (count % permutation.left != 0);
    if (permutation.right == 0)
        permutation.right = 1;
    return permutation;
}

static uint64_t round_value(const struct tn_permutation *permutation, uint64_t round, uint64_t half, uint64_t modulus)
{
    uint32_t block[4];
    tn_random_block(permutation->key, round, half, block);
    return ((uint64_t)block[1] << 32 | block[0]) % modulus;
}

uint64_t tn_permutation_at(const struct tn_permutation *permutation, uint64_t position)
{
    if (permutation->count < 2)
        return 0;
    uint64_t value = position;
    do {
        uint64_t left = value % permutation->left, right = value / permutation->left;
        for (uint64_t round = 0; round < ROUNDS; round += 2) {
            left = (left + round_value(permutation, round, right, permutation->left)) % permutation->left;
            right = (right + round_value(permutation, round + 1, left, permutation->right)) % permutation->right;
        }
        value = right * permutation->left + left;
    } while (value >= permutation->count);
    return value;
}
