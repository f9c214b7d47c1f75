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
    DEMAND(reader->offset + reader->length + RECORD_TAIL <= reader->size); /* a stream's size is UINT64_MAX */
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        demand_reason(example_find(reader->data, reader->length, keys[i], &feature, &error), &error);
    unsigned char *copy = malloc(reader->length + RECORD_TAIL);
    DEMAND(copy);
    DEMAND(record_read_bytes(file, reader->offset, copy, reader->length + RECORD_TAIL, &error) == TN_OK);
    DEMAND(memcmp(copy, reader->data, reader->length) == 0);
    tn_status status = record_prove(copy, reader->length, reader->offset, &error);
    demand_reason(status, &error);
    DEMAND(status == TN_OK || !reader->verify);
    free(copy);
}

/* A stream that gives what the file has, in pieces. */
struct stream {
    const uint8_t *bytes;
    size_t count, at;
};

static tn_status pull(void *from, unsigned char *bytes, uint64_t count, uint64_t *got, struct tn_error *error)
{
    struct stream *stream = from;
    (void)error;
    *got = count < stream->count - stream->at ? count : stream->count - stream->at;
    if (*got > 0)
        memcpy(bytes, stream->bytes + stream->at, *got);
    stream->at += *got;
    return TN_OK;
}

/* All records; returns how many there are, and the status of the end. */
static tn_status read_all(struct record_reader *reader, int file, size_t most, uint64_t *count)
{
    struct tn_error error = {.status = TN_OK};
    tn_status status = TN_OK;
    int more = 1;
    for (*count = 0; status == TN_OK && more; *count += more != 0) {
        DEMAND(*count <= most);
        status = record_reader_next(reader, &more, &error);
        if (status != TN_OK)
            break;
        if (more)
            look_at(reader, file);
    }
    demand_reason(status, &error);
    record_reader_close(reader);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record_reader reader = {0};
    struct tn_error error = {.status = TN_OK};
    uint64_t in_file, in_stream;
    if (size == 0 || size > 1 << 16)
        return 0;
    int made = data[0] & 1, verify = data[0] & 2;
    uint8_t *framed = malloc(size * (1 + RECORD_HEAD + RECORD_TAIL));
    DEMAND(framed);
    size_t length = size - 1;
    memcpy(framed, data + 1, length);
    if (made)
        length = frame(data + 1, size - 1, framed);
    int file = file_of(framed, length);
    struct stream stream = {framed, length, 0};
    DEMAND(record_reader_open(&reader, file, verify, &error) == TN_OK);
    tn_status status = read_all(&reader, file, size, &in_file);
    DEMAND(!made || status == TN_OK);
    reader = (struct record_reader){0};
    record_reader_open_stream(&reader, pull, &stream, verify);
    DEMAND(read_all(&reader, file, size, &in_stream) == status && in_stream == in_file);
    free(framed);
    return 0;
}
