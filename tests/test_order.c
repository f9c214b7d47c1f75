/* test_order.c: the order of an epoch: every sample once, evenly spread, and near to each other where seeks are dear.
 */
#include <stdlib.h>
#include <string.h>

#include "data/order.h"

/* After tenon's headers: it has a macro named fail(). */
#include <check.h>

enum { GROUPS = 7 };
/* Uneven, with empty ones. */
static const uint64_t starts[GROUPS + 1] = {0, 10, 10, 47, 48, 100, 151, 151};

static struct tn_source_info in_groups(uint64_t window, uint32_t strands)
{
    return (struct tn_source_info){.size = sizeof(struct tn_source_info),
                                   .count = 151,
                                   .group_starts = starts,
                                   .group_count = GROUPS,
                                   .shuffle_window = window,
                                   .strands = strands};
}

static void check_each_once(const struct tn_order *order)
{
    unsigned char seen[1024] = {0};
    for (uint64_t i = 0; i < order->count; i++) {
        uint64_t sample = tn_order_at(order, i);
        ck_assert_uint_lt(sample, order->count);
        ck_assert_int_eq(seen[sample]++, 0);
    }
}

START_TEST(every_sample_has_one_position)
{
    static const uint64_t windows[] = {0, 1, 2, 16, 150, 151, 4096};
    static const uint32_t strands[] = {0, 1, 2, 4, 7, 200};
    struct tn_error error = {0};
    for (size_t w = 0; w < TN_COUNT_OF(windows); w++)
        for (size_t s = 0; s < TN_COUNT_OF(strands); s++)
            for (uint64_t epoch = 0; epoch < 5; epoch++) {
                struct tn_source_info info = in_groups(windows[w], strands[s]);
                struct tn_order order;
                ck_assert_int_eq(tn_order_open(&order, &info, 3, true, &error), TN_OK);
                tn_order_begin(&order, epoch);
                check_each_once(&order);
                tn_order_close(&order);
            }
}
END_TEST

START_TEST(epochs_differ_and_come_back)
{
    struct tn_source_info info = in_groups(32, 3);
    struct tn_error error = {0};
    struct tn_order order;
    uint64_t first[151], other = 0;
    ck_assert_int_eq(tn_order_open(&order, &info, 3, true, &error), TN_OK);
    tn_order_begin(&order, 1);
    for (uint64_t i = 0; i < 151; i++)
        first[i] = tn_order_at(&order, i);
    tn_order_begin(&order, 2);
    for (uint64_t i = 0; i < 151; i++)
        other += tn_order_at(&order, i) != first[i];
    ck_assert_uint_gt(other, 130);
    tn_order_begin(&order, 1);
    for (uint64_t i = 0; i < 151; i++)
        ck_assert_uint_eq(tn_order_at(&order, i), first[i]);
    tn_order_close(&order);
}
END_TEST

START_TEST(without_shuffling_the_order_is_that_of_the_source)
{
    struct tn_source_info info = in_groups(32, 3);
    struct tn_error error = {0};
    struct tn_order order;
    uint64_t groups[GROUPS], count;
    ck_assert_int_eq(tn_order_open(&order, &info, 3, false, &error), TN_OK);
    for (uint64_t i = 0; i < 151; i++)
        ck_assert_uint_eq(tn_order_at(&order, i), i);
    ck_assert_int_eq(tn_order_groups(&order, 0, groups, &count, &error), TN_OK);
    ck_assert_uint_eq(count, 5); /* two are empty */
    for (uint64_t i = 1; i < count; i++)
        ck_assert_uint_gt(groups[i], groups[i - 1]);
    tn_order_close(&order);
}
END_TEST

/* A window touches what lies side by side: each strand's samples of it are a run in the stream of groups. */
START_TEST(a_window_reads_runs)
{
    struct tn_source_info info = in_groups(30, 3);
    struct tn_error error = {0};
    struct tn_order order;
    ck_assert_int_eq(tn_order_open(&order, &info, 9, true, &error), TN_OK);
    for (uint64_t window = 0; window < 5; window++) {
        unsigned char seen[151] = {0};
        int runs = 0;
        for (uint64_t i = window * 30; i < window * 30 + 30; i++) {
            uint64_t sample = tn_order_at(&order, i), group = 0, place;
            while (order.group_starts[order.groups[group]] > sample ||
                   order.group_starts[order.groups[group] + 1] <= sample)
                group++;
            place = order.ends[group] - (order.group_starts[order.groups[group] + 1] - sample);
            seen[place] = 1;
        }
        for (int i = 0; i < 151; i++)
            runs += seen[i] && (i == 0 || !seen[i - 1]);
        ck_assert_int_le(runs, 3);
    }
    tn_order_close(&order);
}
END_TEST

/* The groups come in the order in which positions first ask for them, up to the window. */
START_TEST(groups_are_told_before_they_are_needed)
{
    static const uint64_t windows[] = {0, 1, 8};
    struct tn_error error = {0};
    for (size_t w = 0; w < TN_COUNT_OF(windows); w++)
        for (uint64_t first = 0; first < 151; first += 10) {
            struct tn_source_info info = in_groups(windows[w], 3);
            struct tn_order order;
            uint64_t groups[GROUPS], count, window = windows[w] > 1 ? windows[w] : 1;
            ck_assert_int_eq(tn_order_open(&order, &info, 5, true, &error), TN_OK);
            tn_order_begin(&order, 4);
            ck_assert_int_eq(tn_order_groups(&order, first, groups, &count, &error), TN_OK);
            for (uint64_t i = first; i < 151; i++) {
                uint64_t sample = tn_order_at(&order, i), place = 0;
                while (place < count && !(starts[groups[place]] <= sample && sample < starts[groups[place] + 1]))
                    place++;
                ck_assert_uint_lt(place, count);
            }
            /* what comes later in the list is needed at most a window and a round of the strands earlier */
            for (uint64_t g = 0; g + 1 < count; g++) {
                uint64_t needed[2] = {UINT64_MAX, UINT64_MAX};
                for (uint64_t i = first / window * window; i < 151; i++)
                    for (int k = 0; k < 2; k++) {
                        uint64_t sample = tn_order_at(&order, i);
                        if (needed[k] == UINT64_MAX && starts[groups[g + (uint64_t)k]] <= sample &&
                            sample < starts[groups[g + (uint64_t)k] + 1])
                            needed[k] = i;
                    }
                ck_assert_uint_le(needed[0], needed[1] + window + 3);
            }
            tn_order_close(&order);
        }
}
END_TEST

START_TEST(groups_that_do_not_fit_are_refused)
{
    static const uint64_t crooked[] = {0, 60, 50, 151}, short_of[] = {0, 60, 100, 150};
    struct tn_source_info info = in_groups(8, 2);
    struct tn_error error = {0};
    struct tn_order order;
    info.group_count = 3;
    info.group_starts = crooked;
    ck_assert_int_eq(tn_order_open(&order, &info, 1, true, &error), TN_FAILED);
    info.group_starts = short_of;
    ck_assert_int_eq(tn_order_open(&order, &info, 1, true, &error), TN_FAILED);
}
END_TEST

/* Pearson's statistic of how often each sample stood at each position over many epochs, in units of its standard
 * deviation from its mean. Fixed seeds: it cannot fail by chance from one run to the next. */
static double unevenness(struct tn_order *order, uint64_t epochs)
{
    uint64_t n = order->count;
    uint32_t *counts = calloc((size_t)(n * n), sizeof *counts);
    double expected = (double)epochs / (double)n, sum = 0, freedom = (double)((n - 1) * (n - 1));
    ck_assert_ptr_nonnull(counts);
    for (uint64_t epoch = 0; epoch < epochs; epoch++) {
        tn_order_begin(order, epoch);
        for (uint64_t i = 0; i < n; i++)
            counts[i * n + tn_order_at(order, i)]++;
    }
    for (uint64_t i = 0; i < n * n; i++)
        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    free(counts);
    return (sum - freedom) / __builtin_sqrt(2 * freedom);
}

START_TEST(a_random_order_is_even)
{
    static const uint64_t counts[] = {5, 24, 53, 100};
    struct tn_error error = {0};
    for (size_t k = 0; k < TN_COUNT_OF(counts); k++)
        for (uint64_t seed = 1; seed <= 3; seed++) {
            struct tn_source_info info = {.size = sizeof info, .count = counts[k]};
            struct tn_order order;
            ck_assert_int_eq(tn_order_open(&order, &info, seed, true, &error), TN_OK);
            double off = unevenness(&order, 4000);
            ck_assert_msg(off > -4 && off < 4, "%llu samples, seed %llu: %.1f standard deviations",
                          (unsigned long long)counts[k], (unsigned long long)seed, off);
            tn_order_close(&order);
        }
}
END_TEST

/* Neighbours in the source are neighbours in the order as often as any other two. */
START_TEST(neighbours_are_torn_apart)
{
    enum { COUNT = 40, EPOCHS = 4000 };
    struct tn_source_info info = {.size = sizeof info, .count = COUNT};
    struct tn_error error = {0};
    struct tn_order order;
    static uint32_t counts[COUNT][COUNT];
    double expected = (double)EPOCHS * (COUNT - 1) / (COUNT * (COUNT - 1)), sum = 0;
    ck_assert_int_eq(tn_order_open(&order, &info, 11, true, &error), TN_OK);
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        tn_order_begin(&order, epoch);
        for (uint64_t i = 0; i + 1 < COUNT; i++)
            counts[tn_order_at(&order, i)][tn_order_at(&order, i + 1)]++;
    }
    for (int a = 0; a < COUNT; a++)
        for (int b = 0; b < COUNT; b++)
            sum += a == b ? 0 : (counts[a][b] - expected) * (counts[a][b] - expected) / expected;
    double freedom = COUNT * (COUNT - 1) - 1, off = (sum - freedom) / __builtin_sqrt(2 * freedom);
    ck_assert_msg(off > -4 && off < 4, "%.1f standard deviations", off);
    tn_order_close(&order);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("order");
    TCase *groups = tcase_create("groups"), *spread = tcase_create("spread");
    tcase_add_test(groups, every_sample_has_one_position);
    tcase_add_test(groups, epochs_differ_and_come_back);
    tcase_add_test(groups, without_shuffling_the_order_is_that_of_the_source);
    tcase_add_test(groups, a_window_reads_runs);
    tcase_add_test(groups, groups_are_told_before_they_are_needed);
    tcase_add_test(groups, groups_that_do_not_fit_are_refused);
    tcase_add_test(spread, a_random_order_is_even);
    tcase_add_test(spread, neighbours_are_torn_apart);
    tcase_set_timeout(spread, 120);
    suite_add_tcase(suite, groups);
    suite_add_tcase(suite, spread);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
