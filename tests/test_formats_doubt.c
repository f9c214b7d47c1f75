/* test_formats_doubt.c: .safetensors and .keras files made by hand to do harm: each is refused with a sentence, costs
 * no memory by what it claims, and leaves the weights alone. What is odd and good is read.
 */
#include <stdlib.h>
#include <sys/resource.h>

#include "support/weight_model.h"

#include <check.h> /* after ours: it has a macro `fail` */

/* Room for the largest file here. */
enum { MOST = 1 << 20 };

/* ---- one layer with a kernel of 2x2 ---- */

static void model_tiny(struct model *model)
{
    model_begin(model);
    add_weight(add_layer(model, "d", "dense", "Dense"), "kernel", 1, (struct tn_shape){2, {2, 2}});
    model->items[0][0].data[0] = 42;
}

static void refused(const char *format_name, const void *data, uint64_t count, const char *part)
{
    struct model model;
    struct tn_error error;
    char notes[512];
    model_tiny(&model);
    ck_assert_msg(decode_as(format_name, data, count, &model, notes, &error) != TN_OK, "accepted, wanted: %s", part);
    ck_assert_msg(strstr(error.text, part) != NULL, "wanted \"%s\", got \"%s\"", part, error.text);
    ck_assert_float_eq(model.items[0][0].data[0], 42);
    model_clear(&model);
}

/* ---- safetensors ---- */

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
    refused("safetensors", file, count, tensors[_i].says);
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

/* ---- archives ---- */

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
        refused("keras", archive.data, archive.count, archives[_i].says);
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
        refused("keras", archive.data, archive.count, lies[i].says);
        free(archive.data);
    }
    refused("keras", "PK\3\4", 4, "it has no end");
    refused("keras", "", 0, "no .keras file");
    tn_host_table()->release(weights.data);
    model_clear(&model);
}
END_TEST

/* Brackets without end, as config.json and as a safetensors header. */
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
    refused("keras", archive.data, archive.count, "nested too deeply");
    deep[0] = '{';
    deep[DEEP] = '\0';
    archive.count = put_tensors(archive.data, deep, 0, 0);
    refused("safetensors", archive.data, archive.count, "damaged");
    free(archive.data);
    free(deep);
    tn_host_table()->release(weights.data);
    model_clear(&model);
}
END_TEST

/* All files above in one process: what they claim is not what they cost. */
START_TEST(claims_cost_nothing)
{
    static unsigned char file[1 << 12];
    struct rusage before, after;
    struct model model;
    struct bytes weights = weights_of(&model);
    struct tn_error error;
    char notes[512];
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &before), 0);
    for (size_t i = 0; i < TN_COUNT_OF(tensors); i++)
        (void)decode_as("safetensors", file, put_tensors(file, tensors[i].header, tensors[i].data, tensors[i].claim),
                        &model, notes, &error);
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
    Suite *suite = suite_create("formats in doubt");
    TCase *tests = tcase_create("doubt");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_unchecked_fixture(tests, weight_model_setup, weight_model_teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, hostile_tensors_are_refused, 0, (int)TN_COUNT_OF(tensors));
    tcase_add_loop_test(tests, odd_tensors_are_read, 0, 4);
    tcase_add_test(tests, tensors_without_end);
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
