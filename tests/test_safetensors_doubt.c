/* test_safetensors_doubt.c: .safetensors files made by hand to do harm: each is refused with a sentence and leaves the
 * weights alone. What is odd and good is read.
 */
#include <stdlib.h>

#include "support/weight_model.h"

#include <check.h> /* after ours: it has a macro `fail` */

#define GOOD    "{\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}"
#define D(tail) "{\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[2,2]," tail

static const struct {
    const char *header;
    uint64_t data;  /* bytes behind it */
    uint64_t claim; /* length of the header as the file has it; 0 = the true one */
    const char *says;
} tensors[] = {
    {GOOD, 16, 100000001, "claims 100000001 bytes, and the format allows 100000000"},
    {GOOD, 16, UINT64_MAX, "and the format allows 100000000"},
    {GOOD, 16, 99999999, "claims 99999999 bytes, and the file has"},
    {GOOD, 16, 1, "no safetensors file"},
    {GOOD, 0, 0, "is the file cut off?"},
    {GOOD, 15, 0, "is the file cut off?"},
    {GOOD, 17, 0, "1 bytes behind its last tensor"},
    {"[1]", 16, 0, "no safetensors file"},
    {"{", 16, 0, "no safetensors file"},
    {"{\"", 16, 0, "damaged"},
    {"{}", 16, 0, "16 bytes behind its last tensor"},
    {"{}", 0, 0, "no tensor \"d/kernel\""},
    {"{} {}", 16, 0, "damaged"},
    {"{\"d/kernel\":1}", 16, 0, "no object where one has to be"},
    {"{\"d/kernel\":{}}", 16, 0, "lacks its dtype"},
    {"{\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[2,2]}}", 16, 0, "lacks its dtype"},
    {D("\"more\":0}}"), 16, 0, "unknown member"},
    {D("\"shape\":[2,2],\"data_offsets\":[0,16]}}"), 16, 0, "comes twice"},
    {D("\"data_offsets\":[0]}}"), 16, 0, "not two numbers"},
    {D("\"data_offsets\":[0,16,32]}}"), 16, 0, "not two numbers"},
    {D("\"data_offsets\":[0,-16]}}"), 16, 0, "no whole number"},
    {D("\"data_offsets\":[0,1.6e1]}}"), 16, 0, "no whole number"},
    {D("\"data_offsets\":[0,16.0]}}"), 16, 0, "no whole number"},
    {D("\"data_offsets\":[0,016]}}"), 16, 0, "no whole number"},
    {D("\"data_offsets\":[16,0]}}"), 16, 0, "lies at bytes 16 to 0"},
    {D("\"data_offsets\":[0,18446744073709551615]}}"), 16, 0, "is the file cut off?"},
    {D("\"data_offsets\":[0,18446744073709551616]}}"), 16, 0, "a number that is too large"},
    {D("\"data_offsets\":[0,12]}}"), 12, 0, "does not fit its 12 bytes"},
    {D("\"data_offsets\":[1,17]}}"), 17, 0, "there is a gap"},
    {"{\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,16]}}", 16, 0,
     "larger than any memory"},
    {"{\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,16]}}", 16, 0,
     "does not fit its 16 bytes"},
    {"{\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,2,2],\"data_offsets\":[0,16]}}", 16, 0,
     "1x1x1x1x1x1x1x2 in the file and 2x2 in the network"},
    {"{\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", 16, 0,
     "is 4 in the file and 2x2 in the network"},
    {"{\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, 0, "a single number in the file"},
    {"{\"d/kernel\":{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 16, 0, "is int32 in the file"},
    {"{\"d/kernel\":{\"dtype\":\"Q7\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 16, 0, "type Q7, which is unknown"},
    {"{\"d/kernel\":{\"dtype\":\"F6_E2M3\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2, 0, "does not fit its 2 bytes"},
    {"{\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
     "\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[16,32]}}",
     32, 0, "two tensors with the name \"d/kernel\""},
    {"{\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
     "\"x\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[8,24]}}",
     24, 0, "lies on top of another one"},
    {"{\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
     "\"d\\u002fkernel\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[16,16]}}",
     16, 0, "two tensors with the name \"d/kernel\""},
    {"{\"__metadata__\":{},\"__metadata__\":{},\"d/"
     "kernel\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}",
     16, 0, "__metadata__ comes twice"},
    {"{\"__metadata__\":{\"a\":1},\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 16, 0,
     "no text where one has to be"},
    {"{\"__metadata__\":{\"format\":\"tenon\"},\"d/"
     "kernel\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}",
     16, 0, "it has no tenon_crc32c"},
    {"{\"__metadata__\":{\"tenon_crc32c\":\"00000000\"},"
     "\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}",
     16, 0, "CRC does not fit"},
    {"{\"__metadata__\":{\"classes\":\"[\\\"cat\\\", 1]\"},"
     "\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}",
     16, 0, "list of classes is damaged"},
    {"{\"d/kern\\ud800el\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 16, 0, "half of a character"},
    {"{\"d/kern\\u0000el\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 16, 0, "a character 0"},
    {"{\"d/kern\xC0\x80"
     "el\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}",
     16, 0, "not UTF-8"},
    {"{\"d/kern\xED\xA0\x80"
     "el\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}",
     16, 0, "not UTF-8"},
    {"{\"d/kern\\xel\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 16, 0, "an escape"},
    {"{\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},}", 16, 0, "no text where"},
    {"{\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[2,2,],\"data_offsets\":[0,16]}}", 16, 0, "no whole number"},
    {"{\"d/kernel\":{\"dtype\":\"F32\",\"shape\":[2 2],\"data_offsets\":[0,16]}}", 16, 0, "a comma"},
    {"{\"d/kernel\":{\"dtype\":\"F32\" \"shape\":[2,2],\"data_offsets\":[0,16]}}", 16, 0, "a comma"},
    {"{\"d/kernel\" {\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 16, 0, "a colon"},
};

static uint64_t put_tensors(unsigned char *file, const char *header, uint64_t data, uint64_t claim)
{
    uint64_t length = strlen(header);
    for (int i = 0; i < 8; i++)
        file[i] = (unsigned char)((claim ? claim : length) >> (8 * i));
    memcpy(file + 8, header, (size_t)length);
    memset(file + 8 + length, 0, (size_t)data);
    return 8 + length + data;
}

START_TEST(hostile_tensors_are_refused)
{
    static unsigned char file[1 << 12];
    uint64_t count = put_tensors(file, tensors[_i].header, tensors[_i].data, tensors[_i].claim);
    demand_refusal("safetensors", file, count, tensors[_i].says);
}
END_TEST

/* Other types, an empty tensor, blanks wherever they may be, escapes, names with dots. */
START_TEST(odd_tensors_are_read)
{
    static const char form[] = "{\n\t\"d.\\u006bernel\" : { \"data_offsets\" : [ 0 , %u ] , \"shape\":[2,2] , "
                               "\"dtype\":\"%s\"}, \"nothing\":{\"dtype\":\"I64\",\"shape\":[3,0],"
                               "\"data_offsets\":[%u,%u]},\"__metadata__\":{\"format\":\"pt\"} }   ";
    static const struct {
        const char *type;
        unsigned bytes;
        unsigned char numbers[32];
        float values[4];
    } kinds[] = {
        {"F16", 8, {0x00, 0x3C, 0x00, 0xC0, 0x01, 0x00, 0xFF, 0x7B}, {1, -2, 0x1p-24f, 65504}},
        {"BF16", 8, {0x80, 0x3F, 0x00, 0xC0, 0x00, 0x80, 0x40, 0x40}, {1, -2, -0.0f, 3}},
        {"F32", 16, {0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0x40, 0x40}, {1, -2, 0, 3}},
        {"F64", 32, {[6] = 0xF0, [7] = 0x3F, [15] = 0xC0, [30] = 0x08, [31] = 0x40}, {1, -2, 0, 3}},
    };
    unsigned char file[512];
    char header[400];
    struct model model;
    struct tn_error error;
    char notes[512];
    unsigned bytes = kinds[_i].bytes;
    (void)snprintf(header, sizeof header, form, bytes, kinds[_i].type, bytes, bytes);
    uint64_t count = put_tensors(file, header, bytes, 0);
    memcpy(file + count - bytes, kinds[_i].numbers, bytes);
    model_tiny(&model);
    ck_assert_msg(decode_as("safetensors", file, count, &model, notes, &error) == TN_OK, "%s", error.text);
    ck_assert_mem_eq(model.items[0][0].data, kinds[_i].values, sizeof kinds[_i].values);
    model_clear(&model);
}
END_TEST

static void count_arrays(void *context, const struct tn_array_info *array)
{
    *(unsigned *)context += array->role == TN_ARRAY_OTHER;
}

/* As many empty tensors as are read, and one more. */
START_TEST(tensors_without_end)
{
    enum { LIMIT = 1 << 18, EACH = 64 };
    unsigned char *file = malloc((size_t)(LIMIT + 2) * EACH);
    struct tn_error error = {.status = TN_OK};
    char notes[512];
    ck_assert_ptr_nonnull(file);
    for (unsigned more = 0; more < 2; more++) {
        uint64_t length = 1;
        unsigned listed = 0;
        file[8] = '{';
        for (unsigned i = 0; i < LIMIT + more; i++)
            length +=
                (uint64_t)sprintf((char *)file + 8 + length,
                                  "%s\"%x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i ? "," : "", i);
        file[8 + length++] = '}';
        for (int i = 0; i < 8; i++)
            file[i] = (unsigned char)(length >> (8 * i));
        tn_status status =
            format("safetensors")
                ->list(NULL, tn_host_table(), file, 8 + length, count_arrays, &listed, notes, sizeof notes, &error);
        ck_assert_int_eq(status, more ? TN_UNSUPPORTED : TN_OK);
        ck_assert_uint_eq(listed, more ? 0 : LIMIT);
    }
    ck_assert_ptr_nonnull(strstr(error.text, "262145 tensors; no more than 262144"));
    free(file);
}
END_TEST

/* Brackets without end. */
START_TEST(deep_nesting_is_refused)
{
    enum { DEEP = 200000 };
    unsigned char *file = malloc(DEEP + 16);
    char *deep = malloc(DEEP + 1);
    ck_assert(file && deep);
    memset(deep, '[', DEEP);
    deep[0] = '{';
    deep[DEEP] = '\0';
    demand_refusal("safetensors", file, put_tensors(file, deep, 0, 0), "damaged");
    free(deep);
    free(file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("safetensors in doubt");
    TCase *tests = tcase_create("doubt");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_unchecked_fixture(tests, weight_model_setup, weight_model_teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, hostile_tensors_are_refused, 0, (int)TN_COUNT_OF(tensors));
    tcase_add_loop_test(tests, odd_tensors_are_read, 0, 4);
    tcase_add_test(tests, tensors_without_end);
    tcase_add_test(tests, deep_nesting_is_refused);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
