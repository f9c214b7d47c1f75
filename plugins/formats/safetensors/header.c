/* header.c: see header.h. The header is gone through twice: once to count and to judge its syntax, then to fill a table
 * of just that size; so a file costs memory by its own length, and nothing by what it claims.
 */
#include "safetensors/header.h"

#include <isa-l/crc.h>
#include <stdlib.h>

#include "common/json.h"

static const struct dtype types[] = {
    {"F32", 32, "float32"}, {"F64", 64, "float64"},   {"F16", 16, "float16"},   {"BF16", 16, "bfloat16"},
    {"I64", 64, "int64"},   {"I32", 32, "int32"},     {"I16", 16, "int16"},     {"I8", 8, "int8"},
    {"U64", 64, "uint64"},  {"U32", 32, "uint32"},    {"U16", 16, "uint16"},    {"U8", 8, "uint8"},
    {"BOOL", 8, "bool"},    {"C64", 64, "complex"},   {"F8_E4M3", 8, "float8"}, {"F8_E5M2", 8, "float8"},
    {"F4", 4, "float4"},    {"F8_E8M0", 8, "scale8"}, {"F6_E2M3", 6, "float6"}, {"F6_E3M2", 6, "float6"},
};

/* The state of one pass. `tensors` NULL: the counting one. */
struct pass {
    struct json json;
    struct header *header;
    struct tensor *tensors;
    size_t count;
    char *texts; /* where the next text goes */
    size_t room;
    const char *base;    /* of the file */
    uint64_t crc_digits; /* place in the file; 0 = none */
    struct tn_error *error;
};

static tn_status damaged(const struct pass *pass, const char *what)
{
    return tn_fail(pass->error, TN_CORRUPT, "the header of the file is damaged at byte %llu: %s",
                   (unsigned long long)(pass->json.at - pass->base), what);
}

static tn_status fault(const struct pass *pass)
{
    return damaged(pass, pass->json.problem ? pass->json.problem : "it is not what safetensors demands");
}

/* A text that is kept: unescaped it is never longer than in the file. */
static bool keep_text(struct pass *pass, bool key, const char **kept)
{
    size_t length = 0;
    bool good = (key ? json_key : json_text)(&pass->json, pass->texts, pass->room, &length);
    *kept = pass->texts;
    if (good && pass->texts) {
        pass->texts += length + 1;
        pass->room -= length + 1;
    }
    return good;
}

/* ---- one tensor ---- */

static tn_status read_dtype(struct pass *pass, struct tensor *tensor)
{
    char name[16];
    if (!json_text(&pass->json, name, sizeof name, NULL))
        return fault(pass);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            tensor->type = &types[i];
    return tensor->type
               ? TN_OK
               : tn_fail(pass->error, TN_UNSUPPORTED, "the file has a tensor of the type %s, which is unknown", name);
}

static tn_status read_shape(struct pass *pass, struct tensor *tensor, uint64_t *elements)
{
    bool first = true;
    *elements = 1;
    if (!json_enter(&pass->json, '['))
        return fault(pass);
    while (json_more(&pass->json, '[', &first)) {
        uint64_t size;
        if (!json_whole(&pass->json, &size))
            return fault(pass);
        if (tensor->rank < KEPT_AXES)
            tensor->dims[tensor->rank] = size;
        if (++tensor->rank > 255 || __builtin_mul_overflow(*elements, size, elements))
            return damaged(pass, "a tensor that is larger than any memory");
    }
    return pass->json.problem ? fault(pass) : TN_OK;
}

static tn_status read_offsets(struct pass *pass, struct tensor *tensor)
{
    uint64_t *places[] = {&tensor->begin, &tensor->end};
    bool first = true;
    size_t count = 0;
    if (!json_enter(&pass->json, '['))
        return fault(pass);
    while (json_more(&pass->json, '[', &first)) {
        uint64_t place;
        if (!json_whole(&pass->json, &place))
            return fault(pass);
        if (count < 2)
            *places[count] = place;
        count++;
    }
    if (pass->json.problem)
        return fault(pass);
    return count == 2 ? TN_OK : damaged(pass, "data_offsets are not two numbers");
}

static tn_status judge(const struct pass *pass, const struct tensor *tensor, const char *name, uint64_t elements)
{
    uint64_t bits;
    if (tensor->begin > tensor->end || tensor->end > pass->header->data_bytes)
        return tn_fail(pass->error, TN_CORRUPT,
                       "tensor \"%.200s\": its data lies at bytes %llu to %llu, and there are %llu (is the file cut "
                       "off?)",
                       name, (unsigned long long)tensor->begin, (unsigned long long)tensor->end,
                       (unsigned long long)pass->header->data_bytes);
    if (__builtin_mul_overflow(elements, (uint64_t)tensor->type->bits, &bits) || bits % 8 ||
        bits / 8 != tensor->end - tensor->begin)
        return tn_fail(pass->error, TN_CORRUPT, "tensor \"%.200s\": its shape does not fit its %llu bytes", name,
                       (unsigned long long)(tensor->end - tensor->begin));
    return TN_OK;
}

static tn_status read_tensor(struct pass *pass, const char *name)
{
    struct tensor tensor = {.name = name};
    uint64_t elements = 0;
    unsigned seen = 0;
    bool first = true;
    if (!json_enter(&pass->json, '{'))
        return fault(pass);
    while (json_more(&pass->json, '{', &first)) {
        char key[32];
        tn_status status;
        if (!json_key(&pass->json, key, sizeof key, NULL))
            return fault(pass);
        unsigned bit = strcmp(key, "dtype") == 0          ? 1
                       : strcmp(key, "shape") == 0        ? 2
                       : strcmp(key, "data_offsets") == 0 ? 4
                                                          : 0;
        if (bit == 0 || (seen & bit))
            return damaged(pass, bit ? "a member of a tensor comes twice" : "a tensor has an unknown member");
        seen |= bit;
        status = bit == 1   ? read_dtype(pass, &tensor)
                 : bit == 2 ? read_shape(pass, &tensor, &elements)
                            : read_offsets(pass, &tensor);
        if (status != TN_OK)
            return status;
    }
    if (pass->json.problem)
        return fault(pass);
    if (seen != 7)
        return damaged(pass, "a tensor lacks its dtype, shape or data_offsets");
    if (pass->tensors) {
        pass->tensors[pass->count] = tensor;
        if (judge(pass, &tensor, name, elements) != TN_OK)
            return TN_CORRUPT;
    }
    pass->count++;
    return TN_OK;
}

/* ---- metadata ---- */

static tn_status read_metadata(struct pass *pass)
{
    struct header *header = pass->header;
    struct {
        const char *key, **value;
    } known[] = {
        {"format", &header->format},         {"version", &header->version},
        {"classes", &header->classes},       {"optimizer", &header->optimizer},
        {"iterations", &header->iterations}, {"learning_rate", &header->learning_rate},
    };
    bool first = true;
    if (!json_enter(&pass->json, '{'))
        return fault(pass);
    while (json_more(&pass->json, '{', &first)) {
        const char *key, *value, *from;
        char copy[16] = "";
        if (!keep_text(pass, true, &key))
            return fault(pass);
        if (key)
            (void)snprintf(copy, sizeof copy, "%.15s", key);
        (void)json_peek(&pass->json);
        from = pass->json.at;
        if (!keep_text(pass, false, &value))
            return fault(pass);
        for (size_t i = 0; key && i < sizeof known / sizeof *known; i++)
            if (strcmp(known[i].key, copy) == 0)
                *known[i].value = value;
        if (strcmp(copy, "tenon_crc32c") == 0 && pass->json.at - from == CRC_DIGITS + 2)
            pass->crc_digits = (uint64_t)(from + 1 - pass->base);
    }
    header->has_metadata = true;
    return pass->json.problem ? fault(pass) : TN_OK;
}

static tn_status run_pass(struct pass *pass)
{
    bool first = true, metadata = false;
    if (!json_enter(&pass->json, '{'))
        return fault(pass);
    while (json_more(&pass->json, '{', &first)) {
        const char *at, *name;
        tn_status status;
        (void)json_peek(&pass->json);
        at = pass->json.at;
        if (!keep_text(pass, true, &name))
            return fault(pass);
        /* in the counting pass no text is kept; nobody escapes these letters */
        if (pass->json.end - at > 14 && memcmp(at, "\"__metadata__\"", 14) == 0) {
            if (metadata)
                return damaged(pass, "__metadata__ comes twice");
            metadata = true;
            status = read_metadata(pass);
        } else {
            status = read_tensor(pass, name);
        }
        if (status != TN_OK)
            return status;
    }
    if (pass->json.problem || !json_finished(&pass->json))
        return fault(pass);
    return TN_OK;
}

/* ---- all tensors together ---- */

static int by_place(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

/* No gaps, no overlaps, no name twice. Leaves them sorted by name. */
static tn_status judge_all(struct header *header, struct tn_error *error)
{
    uint64_t at = 0;
    qsort(header->tensors, header->count, sizeof *header->tensors, by_place);
    for (size_t i = 0; i < header->count; at = header->tensors[i++].end)
        if (header->tensors[i].begin != at)
            return tn_fail(error, TN_CORRUPT, "tensor \"%.200s\" %s", header->tensors[i].name,
                           header->tensors[i].begin < at ? "lies on top of another one"
                                                         : "does not follow on the one before: there is a gap");
    if (at != header->data_bytes)
        return tn_fail(error, TN_CORRUPT, "the file has %llu bytes behind its last tensor",
                       (unsigned long long)(header->data_bytes - at));
    qsort(header->tensors, header->count, sizeof *header->tensors, by_name);
    for (size_t i = 1; i < header->count; i++)
        if (strcmp(header->tensors[i - 1].name, header->tensors[i].name) == 0)
            return tn_fail(error, TN_CORRUPT, "the file has two tensors with the name \"%.200s\"",
                           header->tensors[i].name);
    return TN_OK;
}

/* ---- the CRC ---- */

static uint32_t crc_more(const unsigned char *data, uint64_t bytes, uint32_t crc)
{
    while (bytes > 0) {
        int step = bytes > 1 << 30 ? 1 << 30 : (int)bytes;
        crc = crc32_iscsi((unsigned char *)(uintptr_t)data, step, crc);
        data += step;
        bytes -= (uint64_t)step;
    }
    return crc;
}

uint32_t file_crc(const unsigned char *data, uint64_t bytes, uint64_t digits)
{
    uint32_t crc = 0xFFFFFFFFu;
    if (digits == 0)
        return ~crc_more(data, bytes, crc);
    crc = crc_more(data, digits, crc);
    crc = crc_more((const unsigned char *)"00000000", CRC_DIGITS, crc);
    return ~crc_more(data + digits + CRC_DIGITS, bytes - digits - CRC_DIGITS, crc);
}

static tn_status judge_crc(const struct pass *pass, const unsigned char *data, uint64_t bytes)
{
    char digits[CRC_DIGITS + 1];
    bool ours = pass->header->format && strcmp(pass->header->format, "tenon") == 0;
    if (!ours && !pass->crc_digits)
        return TN_OK;
    if (!pass->crc_digits)
        return tn_fail(pass->error, TN_CORRUPT, "the file says that tenon wrote it, but it has no tenon_crc32c");
    (void)snprintf(digits, sizeof digits, "%08x", (unsigned)file_crc(data, bytes, pass->crc_digits));
    if (memcmp(digits, data + pass->crc_digits, CRC_DIGITS) != 0)
        return tn_fail(pass->error, TN_CORRUPT,
                       "the file's CRC does not fit: it is damaged (or another program has changed it and kept our "
                       "metadata: leave them out there)");
    return TN_OK;
}

/* ---- from outside ---- */

static tn_status header_place(const unsigned char *bytes, uint64_t count, uint64_t *length, struct tn_error *error)
{
    *length = 0;
    for (int i = 8; count >= 8 && i-- > 0;)
        *length = *length << 8 | bytes[i];
    if (count < 10 || *length < 2 || bytes[8] != '{')
        return tn_fail(error, TN_CORRUPT, "this is no safetensors file");
    if (*length > MOST_HEADER_BYTES)
        return tn_fail(error, TN_CORRUPT, "its header claims %llu bytes, and the format allows %d",
                       (unsigned long long)*length, (int)MOST_HEADER_BYTES);
    if (*length > count - 8)
        return tn_fail(error, TN_CORRUPT, "its header claims %llu bytes, and the file has %llu: it is cut off",
                       (unsigned long long)*length, (unsigned long long)count);
    return TN_OK;
}

tn_status header_read(const void *data, uint64_t bytes, struct header *header, struct tn_error *error)
{
    const char *base = data;
    uint64_t length;
    tn_status status;
    *header = (struct header){.tensors = NULL};
    status = header_place(data, bytes, &length, error);
    if (status != TN_OK)
        return status;
    header->data = (const unsigned char *)data + 8 + length;
    header->data_bytes = bytes - 8 - length;
    struct pass pass = {json_begin(base + 8, (size_t)length), header, NULL, 0, NULL, 0, base, 0, error};
    status = run_pass(&pass);
    if (status != TN_OK)
        return status;
    if (pass.count > MOST_TENSORS)
        return tn_fail(error, TN_UNSUPPORTED, "the file has %zu tensors; no more than %d are read", pass.count,
                       (int)MOST_TENSORS);
    header->tensors = calloc(pass.count + 1, sizeof *header->tensors);
    header->texts = malloc((size_t)length + 1);
    if (!header->tensors || !header->texts)
        status = tn_fail(error, TN_NO_MEMORY, "no memory for the names of %zu tensors", pass.count);
    struct pass second = {json_begin(base + 8, (size_t)length),
                          header,
                          header->tensors,
                          0,
                          header->texts,
                          (size_t)length + 1,
                          base,
                          0,
                          error};
    if (status == TN_OK)
        status = run_pass(&second);
    header->count = second.count;
    if (status == TN_OK)
        status = judge_crc(&second, data, bytes);
    if (status == TN_OK)
        status = judge_all(header, error);
    if (status != TN_OK)
        header_release(header);
    return status;
}

void header_release(struct header *header)
{
    free(header->tensors);
    free(header->texts);
    *header = (struct header){.tensors = NULL};
}

const struct tensor *header_find(const struct header *header, const char *name)
{
    struct tensor wanted = {.name = name};
    if (header->count == 0)
        return NULL;
    return bsearch(&wanted, header->tensors, header->count, sizeof wanted, by_name);
}
