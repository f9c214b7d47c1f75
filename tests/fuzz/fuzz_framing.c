/* fuzz_framing.c: a TFRecord file. Half of the inputs are taken as they are, which mostly tests the CRCs; of the other
 * half lengths are obeyed and the CRCs are made right, so that the fuzzer gets behind them.
 */
#include "fuzz.h"
#include "tfrecord/tfrecord.h"

/* The input as records of 1 to 256 bytes, as its bytes say, with CRCs that hold. */
static size_t frame(const uint8_t *data, size_t size, uint8_t *out)
{
    size_t used = 0;
    for (size_t at = 0; at < size;) {
        size_t length = data[at++];
        uint32_t crc;
        if (length > size - at)
            length = size - at;
        for (unsigned i = 0; i < 8; i++)
            out[used + i] = i ? 0 : (uint8_t)length;
        crc = record_crc(out + used, 8);
        memcpy(out + used + 8, &crc, 4);
        if (length > 0)
            memcpy(out + used + RECORD_HEAD, data + at, length);
        crc = record_crc(out + used + RECORD_HEAD, length);
        memcpy(out + used + RECORD_HEAD + length, &crc, 4);
        used += RECORD_HEAD + length + RECORD_TAIL;
        at += length;
    }
    return used;
}

static void look_at(const struct record_reader *reader, int file)
{
    static const char *const keys[] = {"image", "label", "image/encoded", ""};
    struct tn_error error = {.status = TN_OK};
    struct feature feature;
    DEMAND(reader->offset + reader->length + RECORD_TAIL <= reader->size);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        demand_reason(example_find(reader->data, reader->length, keys[i], &feature, &error), &error);
    unsigned char *copy = malloc(reader->length + RECORD_TAIL);
    DEMAND(copy);
    tn_status status = record_read_at(file, reader->offset, reader->length, copy, &error);
    if (reader->verify)
        DEMAND(status == TN_OK && memcmp(copy, reader->data, reader->length) == 0);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record_reader reader = {0};
    struct tn_error error = {.status = TN_OK};
    int more = 1, verify = size && data[0] & 2;
    if (size == 0 || size > 1 << 16)
        return 0;
    uint8_t *framed = malloc(size * (1 + RECORD_HEAD + RECORD_TAIL));
    DEMAND(framed);
    size_t length = size - 1;
    memcpy(framed, data + 1, length);
    if (data[0] & 1)
        length = frame(data + 1, size - 1, framed);
    int file = file_of(framed, length);
    tn_status status = record_reader_open(&reader, file, verify, &error);
    for (uint64_t count = 0; status == TN_OK && more; count++) {
        DEMAND(count <= size);
        status = record_reader_next(&reader, &more, &error);
        if (status == TN_OK && more)
            look_at(&reader, file);
    }
    demand_reason(status, &error);
    DEMAND(!(data[0] & 1) || status == TN_OK);
    record_reader_close(&reader);
    free(framed);
    return 0;
}
