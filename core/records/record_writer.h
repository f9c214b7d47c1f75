/* record_writer.h: TFRecord files: framing, checksums, GZIP; whole or not there.
 *
 * A record is its length (8 bytes, little endian), a masked CRC-32C of those, the bytes, a masked CRC-32C of the bytes.
 * Framing is apart from writing, so that threads frame their own records and one writes them in order.
 */
#ifndef TENON_RECORD_WRITER_H
#define TENON_RECORD_WRITER_H

#include "base/base.h"

enum { TN_RECORD_HEAD = 12, TN_RECORD_TAIL = 4 };
enum tn_record_compression { TN_RECORD_PLAIN = 0, TN_RECORD_GZIP = 1 };

/* CRC-32C as the format stores it: rotated and shifted, since a CRC of data that holds its own CRC says little. */
uint32_t tn_record_crc(const void *bytes, uint64_t count);
/* Not secret, the same on every machine: CRC-64 (ECMA-182, reflected) of more bytes behind those of `before`; begin
 * with 0. For digests of lists. */
uint64_t tn_record_digest(uint64_t before, const void *bytes, uint64_t count);

/* Empties `record` and leaves room for the head; the payload is appended behind it. */
void tn_record_begin(struct tn_text *record);
/* Fills in the head and appends the tail. */
tn_status tn_record_end(struct tn_text *record, struct tn_error *error);

struct tn_record_writer;
/* Writes PATH.tmp until the commit. */
tn_status tn_record_writer_open(const char *path, int32_t compression, struct tn_record_writer **writer,
                                struct tn_error *error);
/* A record that tn_record_end has finished. */
tn_status tn_record_writer_add(struct tn_record_writer *writer, const struct tn_text *record, struct tn_error *error);
/* Ends the stream, brings it to the disk and gives the file its name. `bytes`: of the file. */
tn_status tn_record_writer_commit(struct tn_record_writer *writer, uint64_t *bytes, struct tn_error *error);
/* What was not committed is removed. */
void tn_record_writer_close(struct tn_record_writer **writer);

#endif
