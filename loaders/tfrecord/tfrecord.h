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

/* Delivers the next `count` bytes of a file; fewer (`*got`) only at its end. */
typedef tn_status (*record_pull)(void *from, unsigned char *bytes, uint64_t count, uint64_t *got,
                                 struct tn_error *error);

/* Reads the records of a file from its first byte to its last; each is whole or an error. */
struct record_reader {
    record_pull pull;
    void *from;
    int descriptor;
    int verify;           /* the CRC of the data too; that of the length always is */
    uint64_t size, at;    /* size: UINT64_MAX while unknown */
    unsigned char *bytes; /* room for one record and what was read ahead */
    uint64_t capacity, held, used;
    uint64_t pulled; /* from a descriptor so far */
    uint64_t number; /* of the record in hand */
    /* The record in hand: */
    uint64_t offset, length; /* of its data, in the file */
    const unsigned char *data;
};
/* Of an open file, whatever its descriptor's position; `reader` must not move afterwards. */
tn_status record_reader_open(struct record_reader *reader, int descriptor, int verify, struct tn_error *error);
/* Of a stream whose length is not known. */
void record_reader_open_stream(struct record_reader *reader, record_pull pull, void *from, int verify);
/* `*more` = 0 at the end. TN_CORRUPT says record and byte. */
tn_status record_reader_next(struct record_reader *reader, int *more, struct tn_error *error);
void record_reader_close(struct record_reader *reader);
/* pread until `count` bytes are there or the file ends, again after failures that may pass. */
tn_status read_patiently(int descriptor, unsigned char *bytes, uint64_t count, uint64_t at, uint64_t *got,
                         struct tn_error *error);
/* Reads bytes whose place is known. */
tn_status record_read_bytes(int descriptor, uint64_t offset, unsigned char *bytes, uint64_t count,
                            struct tn_error *error);
/* Proves a record's data by the CRC behind it; `offset` is for the message. */
tn_status record_prove(const unsigned char *data, uint64_t length, uint64_t offset, struct tn_error *error);

/* ---- inflate.c ---- */
enum compression { COMPRESSION_AUTO, COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZLIB };
/* What the first bytes are: COMPRESSION_NONE where they fit a record's head, or nothing else. */
int32_t compression_of(int descriptor);
/* A compressed file as a stream; reads it by pread, from its first byte. The descriptor stays the caller's. */
struct inflater;
tn_status inflater_open(struct inflater **inflater, int descriptor, int32_t compression, struct tn_error *error);
void inflater_close(struct inflater *inflater);
/* The next `count` bytes; fewer only at the end. On TN_CORRUPT the `*got` bytes before the damage are there. */
tn_status inflater_read(struct inflater *inflater, unsigned char *bytes, uint64_t count, uint64_t *got,
                        struct tn_error *error);
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
