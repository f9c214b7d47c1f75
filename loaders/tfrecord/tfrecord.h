/* tfrecord.h: inside of the source `tfrecord`: framing of records, tf.train.Example, shards. framing.c, inflate.c and
 * example.c need nothing but these headers. */
#ifndef TENON_LOADER_TFRECORD_H
#define TENON_LOADER_TFRECORD_H

#include "tenon/plugin.h"

/* ---- framing.c ---- */
enum { RECORD_HEAD = 12, RECORD_TAIL = 4 };
/* Longer records are no pictures. */
#define RECORD_MAXIMUM ((uint64_t)1 << 31)

/* CRC-32C as the format stores it. */
uint32_t record_crc(const void *bytes, uint64_t count);

/* Reads the records of an open file from its first byte to its last; each is whole or an error. */
struct record_reader {
    int descriptor;
    int verify; /* the CRC of the data too; that of the length always is */
    uint64_t size, at;
    unsigned char *bytes; /* room for one record and what was read ahead */
    uint64_t capacity, held, used;
    uint64_t number; /* of the record in hand */
    /* The record in hand: */
    uint64_t offset, length; /* of its data, in the file */
    const unsigned char *data;
};
tn_status record_reader_open(struct record_reader *reader, int descriptor, int verify, struct tn_error *error);
/* `*more` = 0 at the end. TN_CORRUPT says record and byte. */
tn_status record_reader_next(struct record_reader *reader, int *more, struct tn_error *error);
void record_reader_close(struct record_reader *reader);
/* Reads the data of one record whose place is known, and proves it. */
tn_status record_read_at(int descriptor, uint64_t offset, uint64_t length, unsigned char *data, struct tn_error *error);

/* ---- inflate.c ---- */
enum compression { COMPRESSION_AUTO, COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZLIB };
/* What the first bytes are: COMPRESSION_NONE where they fit a record's head, or nothing else. */
int32_t compression_of(int descriptor);
/* Inflates all of a file into another. TN_CORRUPT when the stream is damaged or ends early; what came before it has
 * been written. */
tn_status inflate_file(int from, int to, int32_t compression, uint64_t limit, struct tn_error *error);

/* ---- example.c ---- */
enum feature_kind { FEATURE_NONE = 0, FEATURE_BYTES = 1, FEATURE_FLOAT = 2, FEATURE_INT = 3 };
struct feature {
    int kind;          /* enum feature_kind; FEATURE_NONE: there is none, or it is empty */
    uint64_t count;    /* values */
    const void *bytes; /* of the first, where it is of bytes */
    uint64_t byte_count;
    int64_t integer; /* the first, where it is an integer */
    double real;     /* of a value that example_each gives, where it is a float */
};
/* Finds the feature `key` of a tf.train.Example. TN_CORRUPT when the bytes are no such message. */
tn_status example_find(const void *data, uint64_t bytes, const char *key, struct feature *feature,
                       struct tn_error *error);

/* Told of all features, in order. Values come before the entry that they belong to; the last entry of a key counts. */
struct example_visitor {
    void (*value)(void *context, const struct feature *value);
    void (*entry)(void *context, const void *key, uint64_t key_bytes, const struct feature *feature);
    void *context;
};
/* TN_CORRUPT as above; some may have been told by then. */
tn_status example_each(const void *data, uint64_t bytes, const struct example_visitor *visitor, struct tn_error *error);

#endif
