/* fuzz_safetensors.c: bytes as a .safetensors file, for a small network with an optimizer, and to be listed. A CRC of
 * ours in it is made right, so that what stands behind it is reached. Whatever was refused has left the weights alone;
 * what was read and is written again comes back the same.
 */
#include "fuzz.h"
#include "registry/registry.h"
#include "safetensors/header.h"

enum { MOST = 1 << 16, NUMBERS = 24 };

static float numbers[NUMBERS], state[2][NUMBERS];
static const char *const slot_names[] = {"momentum", "velocity"};
static const char *const classes[] = {"cat", "dog"};

/* Layer d: kernel 4x3, bias 3; layer n: gamma 3. */
static void make(struct tn_weights *weights, struct tn_weight_layer layers[2], struct tn_weight items[3])
{
    static const char *const inputs[] = {"input", "d"};
    items[0] = (struct tn_weight){.name = "kernel", .shape = {2, {4, 3}}, .trained = 1};
    items[1] = (struct tn_weight){.name = "bias", .shape = {1, {3}}, .trained = 1};
    items[2] = (struct tn_weight){.name = "gamma", .shape = {1, {3}}, .trained = 0};
    for (size_t i = 0, at = 0; i < 3; at += i++ ? 3 : 12) {
        items[i].data = numbers + at;
        items[i].slot_count = items[i].trained ? 2 : 0;
        for (int32_t slot = 0; slot < items[i].slot_count; slot++)
            items[i].slots[slot] = state[slot] + at;
    }
    layers[0] = (struct tn_weight_layer){
        .name = "d", .type_name = "dense", .inputs = inputs, .input_count = 1, .weight_count = 2, .weights = items};
    layers[1] = (struct tn_weight_layer){.name = "n",
                                         .type_name = "norm",
                                         .inputs = inputs + 1,
                                         .input_count = 1,
                                         .weight_count = 1,
                                         .weights = items + 2};
    *weights = (struct tn_weights){.size = sizeof *weights,
                                   .layer_count = 2,
                                   .layers = layers,
                                   .input = {4, {1, 2, 2, 1}},
                                   .classes = classes,
                                   .class_count = 2,
                                   .slot_count = 2,
                                   .slot_names = slot_names,
                                   .optimizer_class = "Adam",
                                   .sequential = 1};
}

static void repair(uint8_t *file, size_t size)
{
    static const char key[] = "\"tenon_crc32c\":\"";
    uint8_t *at = memmem(file, size, key, sizeof key - 1);
    char digits[CRC_DIGITS + 1];
    if (!at || (size_t)(at - file) + sizeof key - 1 + CRC_DIGITS > size)
        return;
    at += sizeof key - 1;
    (void)snprintf(digits, sizeof digits, "%08x", (unsigned)file_crc(file, size, (uint64_t)(at - file)));
    memcpy(at, digits, CRC_DIGITS);
}

static void look_at(void *context, const struct tn_array_info *array)
{
    uint64_t *bytes = context;
    DEMAND(array->name && array->type_name[0] && array->rank >= 0);
    *bytes += array->bytes;
}

/* The same numbers once more, by way of our own writer. */
static void write_again(struct tn_weights *weights)
{
    float before[NUMBERS];
    void *data = NULL;
    uint64_t bytes = 0;
    char notes[512];
    struct tn_error error = {.status = TN_OK};
    memcpy(before, numbers, sizeof before);
    DEMAND(weights_write(tn_host_table(), weights, 0, &data, &bytes, &error) == TN_OK);
    memset(numbers, 0, sizeof numbers);
    DEMAND(weights_read(data, bytes, weights, notes, sizeof notes, &error) == TN_OK);
    DEMAND(memcmp(before, numbers, 18 * sizeof(float)) == 0);
    tn_host_table()->release(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[MOST];
    struct tn_weights weights;
    struct tn_weight_layer layers[2];
    struct tn_weight items[3];
    struct tn_error error = {.status = TN_OK};
    char notes[64] = "";
    uint64_t listed = 0;
    if (size > MOST)
        return 0;
    memcpy(file, data, size);
    repair(file, size);
    make(&weights, layers, items);
    for (size_t i = 0; i < NUMBERS; i++)
        numbers[i] = state[0][i] = state[1][i] = 7;
    tn_status status = weights_read(file, size, &weights, notes, sizeof notes, &error);
    demand_reason(status, &error);
    for (size_t i = 0; status != TN_OK && i < NUMBERS; i++)
        DEMAND(numbers[i] == 7 && state[0][i] == 7 && state[1][i] == 7);
    if (status == TN_OK)
        write_again(&weights);
    error = (struct tn_error){.status = TN_OK};
    status = tensors_list(file, size, look_at, &listed, notes, sizeof notes, &error);
    demand_reason(status, &error);
    DEMAND(listed <= size && strlen(notes) < sizeof notes);
    return 0;
}
