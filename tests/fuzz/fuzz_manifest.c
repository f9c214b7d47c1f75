/* fuzz_manifest.c: a CSV list through the source `manifest`, opened with the options that the first byte chooses; its
 * samples are asked for their names, classes and targets.
 */
#include "fuzz.h"
#include "manifest/manifest.h"
#include "registry/registry.h"

extern const struct tn_manifest tn_plugin_manifest; /* of loaders/manifest */

static const uint8_t *input;
static size_t input_bytes;

static tn_status read_input(const char *path, uint64_t limit, void **data, uint64_t *bytes, struct tn_error *error)
{
    char *copy = malloc(input_bytes + 1);
    (void)path, (void)limit, (void)error;
    DEMAND(copy);
    memcpy(copy, input, input_bytes);
    copy[input_bytes] = '\0';
    *data = copy;
    *bytes = input_bytes;
    return TN_OK;
}

static void look_at_samples(const struct tn_source *type, const struct manifest *manifest,
                            const struct tn_source_info *info)
{
    void *worker = NULL;
    struct tn_error error = {.status = TN_OK};
    DEMAND(type->worker_open(manifest, &worker, &error) == TN_OK);
    for (uint64_t i = 0; i < info->count && i < 50; i++) {
        char name[256];
        struct tn_sample sample = {.size = sizeof sample};
        type->name(manifest, i, name, sizeof name);
        int32_t label = type->label(manifest, i);
        DEMAND(label >= -1 && label < (int32_t)info->class_count);
        (void)type->read(manifest, worker, i, &sample, &error); /* there are no such pictures */
    }
    type->worker_close(manifest, worker);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const columns[] = {"x", "2", "class"}, *const classes[] = {"a", "b", "x"};
    static struct tn_host host;
    struct manifest manifest = {.path = "/nowhere/list.csv", .header = 1};
    const struct tn_source *type = (const struct tn_source *)(const void *)tn_plugin_manifest.types[0];
    struct tn_source_info info = {.size = sizeof info};
    struct tn_error error = {.status = TN_OK};
    if (size < 2)
        return 0;
    host = *tn_host_table();
    host.read_file = read_input;
    struct tn_source_request request = {.size = sizeof request,
                                        .subset = data[0] % 3,
                                        .validation_split = data[0] % 3 ? 0.3 : 0,
                                        .class_mode = data[0] / 4 % 7,
                                        .classes = {classes, data[1] & 1 ? 3 : 0}};
    manifest.header = !(data[1] & 2);
    manifest.label_separator = data[1] & 4 ? "|" : NULL;
    manifest.separator = data[1] & 8 ? "tab" : NULL;
    manifest.label_column = (struct tn_list){columns, data[1] >> 4 & 3};
    manifest.labels = (int32_t)(data[1] >> 6) % 3;
    input = data + 2;
    input_bytes = size - 2;
    tn_status status = type->type.open(&manifest, &host, &error);
    if (status == TN_OK)
        status = type->scan(&manifest, &request, &info, &error);
    demand_reason(status, &error);
    if (status == TN_OK)
        look_at_samples(type, &manifest, &info);
    type->type.close(&manifest);
    return 0;
}
