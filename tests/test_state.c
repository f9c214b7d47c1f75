/* test_state.c: a state is believed only when all of it is what was written. */
#include <stdlib.h>
#include <string.h>

#include "train/state.h"

/* After tenon's headers: it has a macro named fail(). */
#include <check.h>

enum { ROOM = 4096 };

static void put(unsigned char *data, uint64_t *at, uint32_t kind, const char *name, const void *content, uint64_t bytes)
{
    struct tn_state_block block = {.kind = kind, .bytes = bytes, .crc = tn_crc32c(content, bytes)};
    (void)snprintf(block.name, sizeof block.name, "%s", name);
    block.own_crc = tn_crc32c(&block, sizeof block);
    memcpy(data + *at, &block, sizeof block);
    memset(data + *at + sizeof block, 0, (bytes + 7) / 8 * 8);
    memcpy(data + *at + sizeof block, content, bytes);
    *at += sizeof block + (bytes + 7) / 8 * 8;
}

/* A small state as tn_state_encode lays one out. */
static uint64_t make(unsigned char *data)
{
    struct tn_state_head head = {
        .magic = {'T', 'N', 'S', 'T', 'A', 'T', 'E', '1'}, .head_bytes = sizeof head, .generation = 7};
    uint64_t at = sizeof head;
    put(data, &at, TN_STATE_CONFIG, "config.ini", "[data]\n", 7);
    put(data, &at, TN_STATE_CALLBACK, "early_stopping stop", "wait 3\nbest 0x1p-2\n", 19);
    put(data, &at, TN_STATE_ARRAY, "conv/kernel", (const float[]){1, 2, 3}, 12);
    put(data, &at, TN_STATE_END, "end", &head.generation, sizeof head.generation);
    head.bytes = at;
    head.crc = tn_crc32c(&head, sizeof head);
    memcpy(data, &head, sizeof head);
    return at;
}

START_TEST(a_whole_state_is_believed)
{
    _Alignas(8) unsigned char data[ROOM];
    uint64_t bytes = make(data);
    struct tn_error error = {0};
    ck_assert_msg(tn_state_prove(data, bytes, &error) == TN_OK, "%s", error.text);
    ck_assert_uint_eq(tn_state_head(data)->generation, 7);
    const struct tn_state_block *block = tn_state_find(data, TN_STATE_ARRAY, "conv/kernel");
    ck_assert_ptr_nonnull(block);
    ck_assert_float_eq(((const float *)(const void *)(block + 1))[2], 3);
    ck_assert_ptr_null(tn_state_find(data, TN_STATE_ARRAY, "conv/bias"));
    ck_assert_ptr_nonnull(tn_state_find(data, TN_STATE_CONFIG, NULL));
}
END_TEST

/* Every bit of the head, of what blocks say and of what they hold; what fills up to a multiple of 8 says nothing. */
START_TEST(every_changed_bit_shows)
{
    _Alignas(8) unsigned char data[ROOM], kept[ROOM];
    uint64_t bytes = make(kept), at = sizeof(struct tn_state_head);
    struct tn_error error = {0};
    for (uint64_t i = 0; i < sizeof(struct tn_state_head) * 8; i++) {
        memcpy(data, kept, bytes);
        data[i / 8] ^= (unsigned char)(1 << i % 8);
        ck_assert_int_eq(tn_state_prove(data, bytes, &error), TN_CORRUPT);
    }
    while (at < bytes) {
        struct tn_state_block block;
        memcpy(&block, kept + at, sizeof block);
        for (uint64_t i = 0; i < (sizeof block + block.bytes) * 8; i++) {
            memcpy(data, kept, bytes);
            data[at + i / 8] ^= (unsigned char)(1 << i % 8);
            ck_assert_int_eq(tn_state_prove(data, bytes, &error), TN_CORRUPT);
        }
        at += sizeof block + (block.bytes + 7) / 8 * 8;
    }
}
END_TEST

START_TEST(every_cut_shows)
{
    unsigned char *data = malloc(ROOM);
    uint64_t bytes = make(data);
    struct tn_error error = {0};
    for (uint64_t length = 0; length < bytes; length++) {
        unsigned char *cut = malloc(length ? length : 1); /* so that reading behind it shows */
        memcpy(cut, data, length);
        ck_assert_int_eq(tn_state_prove(cut, length, &error), TN_CORRUPT);
        free(cut);
    }
    free(data);
}
END_TEST

/* Blocks that lie, in a head that is proved. */
START_TEST(claims_are_not_believed)
{
    static const uint64_t claims[] = {UINT64_MAX, UINT64_MAX - 7, 1ull << 63, 1ull << 32, 4096, 1};
    for (size_t k = 0; k < TN_COUNT_OF(claims); k++) {
        unsigned char *data = malloc(ROOM);
        uint64_t bytes = make(data);
        struct tn_error error = {0};
        memcpy(data + sizeof(struct tn_state_head) + offsetof(struct tn_state_block, bytes), &claims[k], 8);
        ck_assert_int_eq(tn_state_prove(data, bytes, &error), TN_CORRUPT);
        free(data);
    }
}
END_TEST

/* The newest is found among more files than are ever kept, and names that are not ours count for nothing. */
START_TEST(the_newest_is_found_among_many)
{
    static const char *const strange[] = {
        "-0000001.tns", "99999999999999999999.tns", "7.tns", "00000999.tns.tmp-1", "00000500.txt", "x0000998.tns",
        "00000000.tns"};
    char folder[] = "/tmp/tenon-shelf-XXXXXX", path[128];
    struct tn_state_shelf shelf = {.newest = 200};
    struct tn_error error = {.status = TN_OK};
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(shelf.folder, sizeof shelf.folder, "%s", folder);
    for (size_t i = 0; i < TN_COUNT_OF(strange); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, strange[i]);
        ck_assert_int_eq(tn_file_write(path, "x", 1, &error), TN_OK);
    }
    ck_assert_uint_eq(tn_state_newest_generation(folder), 0);
    for (uint64_t generation = 101; generation <= 200; generation++) {
        tn_state_file_name(folder, 101 + (generation * 37) % 100, path, sizeof path);
        ck_assert_int_eq(tn_file_write(path, "x", 1, &error), TN_OK);
    }
    ck_assert_uint_eq(tn_state_newest_generation(folder), 200);
    ck_assert_int_eq(tn_state_shelve(&shelf, 201, "y", 1, &error), TN_OK);
    ck_assert_uint_eq(tn_state_newest_generation(folder), 201);
    tn_state_file_name(folder, 200, path, sizeof path);
    ck_assert(tn_path_exists(path)); /* the one before stays */
    tn_state_file_name(folder, 199, path, sizeof path);
    ck_assert(!tn_path_exists(path));
    (void)snprintf(path, sizeof path, "rm -r %s", folder);
    ck_assert_int_eq(system(path), 0);
}
END_TEST

START_TEST(rules_are_understood)
{
    static const struct {
        const char *text;
        int32_t kind;
        uint64_t steps;
        double seconds;
    } good[] = {{"auto", TN_SAVE_AUTO, 0, 0},      {"no", TN_SAVE_NO, 0, 0},
                {"epoch", TN_SAVE_EPOCH, 0, 0},    {"500 batches", TN_SAVE_STEPS, 500, 0},
                {"1 batch", TN_SAVE_STEPS, 1, 0},  {"20 steps", TN_SAVE_STEPS, 20, 0},
                {"5min", TN_SAVE_SECONDS, 0, 300}, {"2s", TN_SAVE_SECONDS, 0, 2}};
    static const char *const bad[] = {"", "never", "-1 batches", "0 batches", "5 apples", "5min later", "0s"};
    struct tn_save_rule rule;
    struct tn_error error = {0};
    for (size_t i = 0; i < TN_COUNT_OF(good); i++) {
        ck_assert_msg(tn_save_rule_parse(good[i].text, &rule, &error) == TN_OK, "%s", good[i].text);
        ck_assert_int_eq(rule.kind, good[i].kind);
        ck_assert_uint_eq(rule.steps, good[i].steps);
        ck_assert_double_eq(rule.seconds, good[i].seconds);
    }
    for (size_t i = 0; i < TN_COUNT_OF(bad); i++)
        ck_assert_msg(tn_save_rule_parse(bad[i], &rule, &error) == TN_INVALID, "%s", bad[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("state");
    TCase *tcase = tcase_create("state");
    tcase_add_test(tcase, a_whole_state_is_believed);
    tcase_add_test(tcase, every_changed_bit_shows);
    tcase_add_test(tcase, every_cut_shows);
    tcase_add_test(tcase, claims_are_not_believed);
    tcase_add_test(tcase, the_newest_is_found_among_many);
    tcase_add_test(tcase, rules_are_understood);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
