/* bundle.c: the reader of fixture bundles. */
#include "support/bundle.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"

enum { MAX_TEXT = 64 << 20, MAX_DATA = 1 << 30 };

struct bundle {
    struct tn_arena arena;
    char *text;
    char *data;
    uint64_t data_bytes;
    struct bundle_case *cases;
    size_t case_count, case_capacity;
    /* of the case in hand */
    struct bundle_setting *settings;
    size_t setting_count, setting_capacity;
    struct bundle_tensor *tensors;
    size_t tensor_count, tensor_capacity;
    bool inside;
};

static const struct {
    const char *name;
    int type;
    unsigned bytes;
} types[] = {
    {"f32", BUNDLE_F32, 4}, {"f64", BUNDLE_F64, 8}, {"u8", BUNDLE_U8, 1},
    {"i32", BUNDLE_I32, 4}, {"i64", BUNDLE_I64, 8}, {"u16", BUNDLE_U16, 2},
};

/* Cuts the next word off *rest; NULL at the end. */
static char *next_word(char **rest)
{
    char *word = *rest + strspn(*rest, " \t");
    if (!*word)
        return NULL;
    char *end = word + strcspn(word, " \t");
    *rest = *end ? end + 1 : end;
    *end = '\0';
    return word;
}

static bool parse_count(const char *text, uint64_t *value)
{
    if (!text || *text < '0' || *text > '9' || strlen(text) > 18)
        return false;
    char *end = NULL;
    *value = strtoull(text, &end, 10);
    return *end == '\0';
}

/* "2x7x9x3" into dims and the number of elements. */
static bool parse_dims(const char *text, struct bundle_tensor *tensor)
{
    tensor->count = 1;
    for (tensor->rank = 0; tensor->rank < BUNDLE_MAX_RANK;) {
        char *end = NULL;
        if (*text < '0' || *text > '9')
            return false;
        unsigned long long value = strtoull(text, &end, 10);
        if (value > INT32_MAX || (value && tensor->count > MAX_DATA / value))
            return false;
        tensor->dims[tensor->rank++] = (int32_t)value;
        tensor->count *= value;
        if (*end == '\0')
            return true;
        if (*end != 'x')
            return false;
        text = end + 1;
    }
    return false;
}

static tn_status add_tensor(struct bundle *bundle, char *rest, struct tn_error *error)
{
    struct bundle_tensor tensor = {.role = next_word(&rest)};
    const char *type = next_word(&rest), *dims = next_word(&rest), *offset = next_word(&rest),
               *bytes = next_word(&rest);
    uint64_t at = 0, size = 0;
    if (!bytes || next_word(&rest))
        return tn_fail(error, TN_CORRUPT, "expected `tensor ROLE DTYPE DIMS OFFSET BYTES`");
    for (size_t i = 0; i < TN_COUNT_OF(types); i++) {
        if (strcmp(type, types[i].name) == 0) {
            tensor.type = types[i].type;
            size = types[i].bytes;
        }
    }
    if (!tensor.type)
        return tn_fail(error, TN_CORRUPT, "unknown data type `%s`", type);
    if (!parse_dims(dims, &tensor))
        return tn_fail(error, TN_CORRUPT, "`%s` is no shape", dims);
    if (!parse_count(offset, &at) || !parse_count(bytes, &tensor.bytes))
        return tn_fail(error, TN_CORRUPT, "offset or size is no number");
    if (at % 16 != 0)
        return tn_fail(error, TN_CORRUPT, "offset %s is no multiple of 16", offset);
    if (tensor.bytes != tensor.count * size)
        return tn_fail(error, TN_CORRUPT, "%s bytes are not %s elements of %s", bytes, dims, type);
    if (at > bundle->data_bytes || tensor.bytes > bundle->data_bytes - at)
        return tn_fail(error, TN_CORRUPT, "tensor %s ends behind the data file", tensor.role);
    tensor.data = bundle->data + at;
    if (tn_grow(&bundle->tensors, &bundle->tensor_capacity, bundle->tensor_count + 1, sizeof tensor) != TN_OK)
        return tn_fail(error, TN_NO_MEMORY, "out of memory");
    bundle->tensors[bundle->tensor_count++] = tensor;
    return TN_OK;
}

static tn_status add_setting(struct bundle *bundle, char *rest, struct tn_error *error)
{
    struct bundle_setting setting = {.key = next_word(&rest)};
    if (!setting.key)
        return tn_fail(error, TN_CORRUPT, "expected `set KEY VALUE`");
    setting.value = rest + strspn(rest, " \t");
    if (tn_grow(&bundle->settings, &bundle->setting_capacity, bundle->setting_count + 1, sizeof setting) != TN_OK)
        return tn_fail(error, TN_NO_MEMORY, "out of memory");
    bundle->settings[bundle->setting_count++] = setting;
    return TN_OK;
}

static tn_status begin_case(struct bundle *bundle, char *rest, uint32_t line, struct tn_error *error)
{
    char *name = next_word(&rest);
    if (bundle->inside || !name || next_word(&rest))
        return tn_fail(error, TN_CORRUPT, "expected `case NAME`, after the `end` of the case before");
    if (tn_grow(&bundle->cases, &bundle->case_capacity, bundle->case_count + 1, sizeof *bundle->cases) != TN_OK)
        return tn_fail(error, TN_NO_MEMORY, "out of memory");
    bundle->cases[bundle->case_count++] = (struct bundle_case){.name = name, .line = line};
    bundle->inside = true;
    bundle->setting_count = bundle->tensor_count = 0;
    return TN_OK;
}

/* Copies what was collected, at its final size, into the arena. */
static tn_status end_case(struct bundle *bundle, struct tn_error *error)
{
    if (!bundle->inside)
        return tn_fail(error, TN_CORRUPT, "`end` without a case");
    struct bundle_case *item = &bundle->cases[bundle->case_count - 1];
    size_t setting_bytes = bundle->setting_count * sizeof *bundle->settings;
    size_t tensor_bytes = bundle->tensor_count * sizeof *bundle->tensors;
    struct bundle_setting *settings = tn_arena_take(&bundle->arena, setting_bytes + 1);
    struct bundle_tensor *tensors = tn_arena_take(&bundle->arena, tensor_bytes + 1);
    if (!settings || !tensors)
        return tn_fail(error, TN_NO_MEMORY, "out of memory");
    if (setting_bytes)
        memcpy(settings, bundle->settings, setting_bytes);
    if (tensor_bytes)
        memcpy(tensors, bundle->tensors, tensor_bytes);
    item->settings = settings;
    item->setting_count = bundle->setting_count;
    item->tensors = tensors;
    item->tensor_count = bundle->tensor_count;
    bundle->inside = false;
    return TN_OK;
}

static tn_status open_data(struct bundle *bundle, const char *path, char *rest, struct tn_error *error)
{
    char *name = next_word(&rest);
    if (bundle->data || !name || strchr(name, '/') || strcmp(name, "..") == 0)
        return tn_fail(error, TN_CORRUPT, "expected one `# data FILE`, a name without folders");
    const char *full = tn_path_beside(&bundle->arena, path, name);
    void *data = NULL;
    if (!full)
        return tn_fail(error, TN_NO_MEMORY, "out of memory");
    tn_status status = tn_file_read(full, MAX_DATA, &data, &bundle->data_bytes, error);
    bundle->data = data;
    return status;
}

static tn_status read_line(struct bundle *bundle, const char *path, char *line, uint32_t number, struct tn_error *error)
{
    char *rest = line;
    if (strncmp(line, "# data ", 7) == 0 && number <= 2)
        return open_data(bundle, path, line + 7, error);
    if (*line == '#')
        return TN_OK;
    const char *word = next_word(&rest);
    if (!word)
        return TN_OK;
    if (!bundle->data)
        return tn_fail(error, TN_CORRUPT, "no `# data FILE` in the first two lines");
    if (strcmp(word, "case") == 0)
        return begin_case(bundle, rest, number, error);
    if (strcmp(word, "end") == 0)
        return end_case(bundle, error);
    if (!bundle->inside)
        return tn_fail(error, TN_CORRUPT, "`%s` outside of a case", word);
    if (strcmp(word, "set") == 0)
        return add_setting(bundle, rest, error);
    if (strcmp(word, "tensor") == 0)
        return add_tensor(bundle, rest, error);
    return tn_fail(error, TN_CORRUPT, "unknown word `%s`", word);
}

static tn_status read_lines(struct bundle *bundle, const char *path, uint64_t bytes, struct tn_error *error)
{
    uint32_t number = 0;
    if (memchr(bundle->text, '\0', bytes))
        return tn_fail(error, TN_CORRUPT, "%s: not a text file", path);
    for (char *line = bundle->text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        number++;
        tn_status status = read_line(bundle, path, line, number, error);
        if (status != TN_OK)
            return tn_error_wrap(error, status, "%s:%u", path, number);
    }
    if (bundle->inside)
        return tn_fail(error, TN_CORRUPT, "%s:%u: the last case has no `end`", path, number);
    return TN_OK;
}

tn_status bundle_open(const char *path, struct bundle **out, struct tn_error *error)
{
    struct bundle *bundle = calloc(1, sizeof *bundle);
    void *text = NULL;
    uint64_t bytes = 0;
    tn_status status = TN_OK;
    *out = NULL;
    if (!bundle)
        return tn_fail(error, TN_NO_MEMORY, "out of memory");
    TN_TRY(status, tn_file_read(path, MAX_TEXT, &text, &bytes, error), failed);
    bundle->text = text;
    TN_TRY(status, read_lines(bundle, path, bytes, error), failed);
    *out = bundle;
    return TN_OK;
failed:
    bundle_close(&bundle);
    return status;
}

void bundle_close(struct bundle **pointer)
{
    struct bundle *bundle = *pointer;
    if (!bundle)
        return;
    free(bundle->text);
    free(bundle->data);
    free(bundle->cases);
    free(bundle->settings);
    free(bundle->tensors);
    tn_arena_release(&bundle->arena);
    free(bundle);
    *pointer = NULL;
}

size_t bundle_case_count(const struct bundle *bundle)
{
    return bundle->case_count;
}

const struct bundle_case *bundle_case_at(const struct bundle *bundle, size_t index)
{
    return index < bundle->case_count ? &bundle->cases[index] : NULL;
}

const struct bundle_case *bundle_find(const struct bundle *bundle, const char *name)
{
    for (size_t i = 0; i < bundle->case_count; i++)
        if (strcmp(bundle->cases[i].name, name) == 0)
            return &bundle->cases[i];
    return NULL;
}

const char *bundle_set(const struct bundle_case *item, const char *key)
{
    for (size_t i = 0; i < item->setting_count; i++)
        if (strcmp(item->settings[i].key, key) == 0)
            return item->settings[i].value;
    return NULL;
}

const char *bundle_value(const struct bundle_case *item, const char *key)
{
    const char *value = bundle_set(item, key);
    return value && strcmp(value, "none") == 0 ? NULL : value;
}

size_t bundle_numbers(const struct bundle_case *item, const char *key, double *numbers, size_t most)
{
    const char *text = bundle_value(item, key);
    size_t count = 0;
    while (text && *text) {
        char *end = NULL;
        double number = strtod(text, &end);
        if (end == text || count == most)
            return 0;
        numbers[count++] = number;
        text = end + strspn(end, " \t");
    }
    return count;
}

double bundle_number(const struct bundle_case *item, const char *key, double otherwise)
{
    double number = otherwise;
    return bundle_numbers(item, key, &number, 1) == 1 ? number : otherwise;
}

const struct bundle_tensor *bundle_tensor(const struct bundle_case *item, const char *role)
{
    for (size_t i = 0; i < item->tensor_count; i++)
        if (strcmp(item->tensors[i].role, role) == 0)
            return &item->tensors[i];
    return NULL;
}

double bundle_at(const struct bundle_tensor *tensor, uint64_t index)
{
    switch (tensor->type) {
    case BUNDLE_F32:
        return (double)((const float *)tensor->data)[index];
    case BUNDLE_F64:
        return ((const double *)tensor->data)[index];
    case BUNDLE_U8:
        return ((const uint8_t *)tensor->data)[index];
    case BUNDLE_I32:
        return ((const int32_t *)tensor->data)[index];
    case BUNDLE_I64:
        return (double)((const int64_t *)tensor->data)[index];
    default:
        return ((const uint16_t *)tensor->data)[index];
    }
}

float *bundle_floats(const struct bundle_tensor *tensor)
{
    float *floats = malloc((size_t)(tensor->count ? tensor->count : 1) * sizeof *floats);
    for (uint64_t i = 0; floats && i < tensor->count; i++)
        floats[i] = (float)bundle_at(tensor, i);
    return floats;
}

static bool is_there(const char *path, bool folder)
{
    struct stat status;
    return stat(path, &status) == 0 && (!folder || S_ISDIR(status.st_mode));
}

bool fixtures_folder(char *path, size_t bytes)
{
    const char *folder = getenv("TENON_FIXTURES"), *source = getenv("TENON_SOURCE");
    int length = folder && *folder ? snprintf(path, bytes, "%s", folder)
                                   : snprintf(path, bytes, "%s/../shared/fixtures", source && *source ? source : ".");
    return length > 0 && (size_t)length < bytes && is_there(path, true);
}

bool fixtures_file(char *path, size_t bytes, const char *relative)
{
    if (!fixtures_folder(path, bytes))
        return false;
    size_t used = strlen(path);
    int length = snprintf(path + used, bytes - used, "/%s", relative);
    return length > 0 && (size_t)length < bytes - used && is_there(path, false);
}
