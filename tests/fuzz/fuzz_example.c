/* fuzz_example.c: a tf.train.Example, without a frame around it. */
#include "fuzz.h"
#include "tfrecord/tfrecord.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {"image", "label", "image/encoded", "image/class/label", ""};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct feature feature = {0};
        struct tn_error error = {.status = TN_OK};
        tn_status status = example_find(data, size, keys[i], &feature, &error);
        const uint8_t *bytes = feature.bytes;
        demand_reason(status, &error);
        if (status == TN_OK && feature.kind == FEATURE_BYTES && feature.byte_count > 0) /* it lies within the message */
            DEMAND(bytes >= data && bytes <= data + size && feature.byte_count <= (uint64_t)(data + size - bytes));
    }
    return 0;
}
