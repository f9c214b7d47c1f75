/* test_keras_doubt.c: .keras archives made by hand to do harm: each is refused with a sentence, costs no memory by what
 * it claims, and leaves the weights alone. What is odd and good is read.
 */
#include <stdlib.h>
#include <sys/resource.h>

#include "support/weight_model.h"

#include <check.h> /* after ours: it has a macro `fail` */

/* Room for the largest file here. */
enum { MOST = 1 << 20 };

/* A member, and how its two headers lie about it. */
struct member {
    const char *name;
    const void *data;
    uint64_t bytes;
    unsigned method, flags;
    uint64_t claims;         /* size in the directory; 0 = the true one */
    uint64_t packed;         /* the same of the packed size */
    const char *called;      /* in front of the data; NULL = name */
    uint32_t wrong_crc, far; /* added to CRC and place */
};

struct archive {
    unsigned char *data;
    uint64_t count;
};

static uint32_t zip_crc(const unsigned char *data, uint64_t bytes)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (uint64_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

static void put(struct archive *archive, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        archive->data[archive->count++] = i < 8 ? (unsigned char)(value >> (8 * i)) : 0;
}

static void put_bytes(struct archive *archive, const void *bytes, size_t count)
{
    ck_assert_uint_lt(archive->count + count, MOST - 4096);
    memcpy(archive->data + archive->count, bytes, count);
    archive->count += count;
}

/* A deflated stream of stored blocks; its CRC is that of the content. */
static void put_deflated(struct archive *archive, const unsigned char *data, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes;) {
        uint64_t step = bytes - at < 65535 ? bytes - at : 65535;
        put(archive, at + step == bytes, 1);
        put(archive, step, 2);
        put(archive, ~step, 2);
        put_bytes(archive, data + at, (size_t)step);
        at += step;
    }
}

static struct archive make_archive(const struct member *members, size_t count)
{
    struct archive archive = {calloc(1, MOST), 0};
    uint64_t places[8], packed[8], directory;
    ck_assert(archive.data && count <= 8);
    for (size_t i = 0; i < count; i++) {
        const struct member *m = &members[i];
        const char *called = m->called ? m->called : m->name;
        places[i] = archive.count;
        put_bytes(&archive, "PK\3\4", 4);
        put(&archive, 20, 2);
        put(&archive, m->flags, 2);
        put(&archive, m->method, 2);
        put(&archive, 0, 4 + 4 + 8); /* as if a descriptor followed: these are not believed */
        put(&archive, strlen(called), 2);
        put(&archive, 0, 2);
        put_bytes(&archive, called, strlen(called));
        packed[i] = archive.count;
        if (m->method == 8)
            put_deflated(&archive, m->data, m->bytes);
        else
            put_bytes(&archive, m->data, (size_t)m->bytes);
        packed[i] = archive.count - packed[i];
    }
    directory = archive.count;
    for (size_t i = 0; i < count; i++) {
        const struct member *m = &members[i];
        put_bytes(&archive, "PK\1\2", 4);
        put(&archive, 20, 2);
        put(&archive, 20, 2);
        put(&archive, m->flags, 2);
        put(&archive, m->method, 2);
        put(&archive, 0, 4);
        put(&archive, zip_crc(m->data, m->bytes) + m->wrong_crc, 4);
        put(&archive, m->packed ? m->packed : packed[i], 4);
        put(&archive, m->claims ? m->claims : m->bytes, 4);
        put(&archive, strlen(m->name), 2);
        put(&archive, 0, 2 + 2 + 2 + 2 + 4);
        put(&archive, places[i] + m->far, 4);
        put_bytes(&archive, m->name, strlen(m->name));
    }
    uint64_t size = archive.count - directory;
    put_bytes(&archive, "PK\5\6", 4);
    put(&archive, 0, 4);
    put(&archive, count, 2);
    put(&archive, count, 2);
    put(&archive, size, 4);
    put(&archive, directory, 4);
    put(&archive, 0, 2);
    return archive;
}

/* The members of a good file: config.json, and weights of the tiny model. */
static struct bytes weights_of(struct model *model)
{
    model_tiny(model);
    struct bytes bytes = encode("weights_h5", model, TN_FORMAT_WEIGHTS_ONLY);
    ck_assert_uint_lt(bytes.count, MOST / 4);
    return bytes;
}

#define CONFIG(text) "config.json", text, sizeof text - 1
#define H5           "model.weights.h5", NULL, 0

static const struct {
    struct member members[3];
    const char *says; /* NULL: it is good */
} archives[] = {
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 0}}, NULL},
    {{{CONFIG("{}"), .method = 8}, {H5, .method = 8}}, NULL},
    {{{CONFIG("{\"a\": [1, -2.5e-3, NaN, true, null, \"\\ud83d\\ude00\"]}"), .method = 0}, {H5, .method = 8}}, NULL},
    {{{CONFIG("{}"), .method = 0}}, "no model.weights.h5"},
    {{{H5, .method = 0}}, "no config.json"},
    {{{CONFIG("{}"), .method = 0}, {"model.weights.npz", "", 0, .method = 0}}, "weights are in model.weights.npz"},
    {{{CONFIG("{}"), .method = 0}, {"model.weights.h5", "rubbish", 7, .method = 0}}, "no HDF5 file"},
    {{{CONFIG("{]"), .method = 0}, {H5, .method = 0}}, "config.json is damaged"},
    {{{CONFIG("{} x"), .method = 0}, {H5, .method = 0}}, "config.json is damaged"},
    {{{CONFIG(""), .method = 0}, {H5, .method = 0}}, "config.json is damaged"},
    {{{CONFIG("[01]"), .method = 0}, {H5, .method = 0}}, "config.json is damaged"},
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 0}, {H5, .method = 0}}, "two members with the name"},
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 0, .wrong_crc = 1}}, "the CRC of model.weights.h5"},
    {{{CONFIG("{}"), .method = 0, .wrong_crc = 1}, {H5, .method = 0}}, "the CRC of config.json"},
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 12}}, "packed by an unusual method"},
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 0, .flags = 1}}, "encrypted"},
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 0, .called = "model.weights.h6"}}, "says of model.weights.h5"},
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 0, .far = 1}}, "says of model.weights.h5"},
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 0, .far = 0x7FFFFFFF}}, "says of model.weights.h5"},
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 0, .claims = 100, .packed = 101}}, "has two sizes"},
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 0, .claims = 60 << 20, .packed = 60 << 20}}, "which are not there"},
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 0, .claims = 0xFFFFFFFE, .packed = 0xFFFFFFFE}}, "make no sense"},
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 8, .claims = 0xFFFFFFF0}}, "make no sense"},
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 8, .claims = 60 << 20}}, "can be unpacked"},
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 8, .claims = 100}}, "cannot be unpacked"},
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 8, .packed = 100}}, "cannot be unpacked"},
    {{{CONFIG("{}"), .method = 8, .claims = 70 << 20}, {H5, .method = 0}}, "make no sense"},
    /* ZIP64 is promised by sizes of 32 ones, and not there */
    {{{CONFIG("{}"), .method = 0}, {H5, .method = 0, .claims = 0xFFFFFFFF}}, "is broken off"},
};

/* Members without data are the weights. */
static struct archive archive_of(size_t index, const struct bytes *weights)
{
    struct member members[3];
    size_t count = 0;
    for (; count < 3 && archives[index].members[count].name; count++) {
        members[count] = archives[index].members[count];
        if (!members[count].data) {
            members[count].data = weights->data;
            members[count].bytes = weights->count;
        }
    }
    return make_archive(members, count);
}

START_TEST(hostile_archives_are_refused)
{
    struct model model;
    struct bytes weights = weights_of(&model);
    struct tn_error error;
    char notes[512];
    struct archive archive = archive_of((size_t)_i, &weights);
    if (archives[_i].says) {
        demand_refusal("keras", archive.data, archive.count, archives[_i].says);
    } else {
        model_wipe(&model);
        ck_assert_msg(decode_as("keras", archive.data, archive.count, &model, notes, &error) == TN_OK, "%s",
                      error.text);
        ck_assert_float_eq(model.items[0][0].data[0], 42);
    }
    free(archive.data);
    tn_host_table()->release(weights.data);
    model_clear(&model);
}
END_TEST

/* What the end record says: each of its numbers is wrong once. */
START_TEST(ends_of_archives_are_judged)
{
    static const struct {
        int place, bytes; /* from the end record on */
        uint64_t value;
        const char *says;
    } lies[] = {
        {0, 1, 'p', "it has no end"},     {4, 2, 1, "split over several"},     {6, 2, 1, "split over several"},
        {8, 2, 3, "split over several"},  {12, 4, 1 << 30, "lies outside"},    {12, 4, 10, "no room for the members"},
        {16, 4, 1 << 30, "lies outside"}, {16, 4, 0xFFFFFFFF, "is not there"}, {12, 4, 0xFFFFFFFF, "is not there"},
        {16, 4, 0, "broken off"},         {20, 2, 1, "it has no end"},
    };
    struct model model;
    struct bytes weights = weights_of(&model);
    const struct member members[] = {{.name = "config.json", .data = "{}", .bytes = 2},
                                     {.name = "model.weights.h5", .data = weights.data, .bytes = weights.count}};
    for (size_t i = 0; i < TN_COUNT_OF(lies); i++) {
        struct archive archive = make_archive(members, 2);
        archive.count = archive.count - 22 + (uint64_t)lies[i].place;
        put(&archive, lies[i].value, lies[i].bytes);
        archive.count += 22 - (uint64_t)lies[i].place - (uint64_t)lies[i].bytes;
        demand_refusal("keras", archive.data, archive.count, lies[i].says);
        free(archive.data);
    }
    demand_refusal("keras", "PK\3\4", 4, "it has no end");
    demand_refusal("keras", "", 0, "no .keras file");
    tn_host_table()->release(weights.data);
    model_clear(&model);
}
END_TEST

/* Brackets without end. */
START_TEST(deep_nesting_is_refused)
{
    enum { DEEP = 200000 };
    char *deep = malloc(DEEP + 1);
    struct model model;
    struct bytes weights = weights_of(&model);
    ck_assert_ptr_nonnull(deep);
    memset(deep, '[', DEEP);
    const struct member members[] = {{.name = "config.json", .data = deep, .bytes = DEEP},
                                     {.name = "model.weights.h5", .data = weights.data, .bytes = weights.count}};
    struct archive archive = make_archive(members, 2);
    demand_refusal("keras", archive.data, archive.count, "nested too deeply");
    free(archive.data);
    free(deep);
    tn_host_table()->release(weights.data);
    model_clear(&model);
}
END_TEST

/* All of them in one process: what they claim is not what they cost. */
START_TEST(claims_cost_nothing)
{
    struct rusage before, after;
    struct model model;
    struct bytes weights = weights_of(&model);
    struct tn_error error;
    char notes[512];
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &before), 0);
    for (size_t i = 0; i < TN_COUNT_OF(archives); i++) {
        struct archive archive = archive_of(i, &weights);
        (void)decode_as("keras", archive.data, archive.count, &model, notes, &error);
        free(archive.data);
    }
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &after), 0);
#ifndef __SANITIZE_ADDRESS__
    ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 24 << 10); /* KiB */
#endif
    tn_host_table()->release(weights.data);
    model_clear(&model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create(".keras in doubt");
    TCase *tests = tcase_create("doubt");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_unchecked_fixture(tests, weight_model_setup, weight_model_teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, hostile_archives_are_refused, 0, (int)TN_COUNT_OF(archives));
    tcase_add_test(tests, ends_of_archives_are_judged);
    tcase_add_test(tests, deep_nesting_is_refused);
    tcase_add_test(tests, claims_cost_nothing);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
