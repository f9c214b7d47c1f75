/* header.h: what the files of this plugin share.
 *
 *   safetensors.c  the type: files that end in .safetensors
 *   header.c       bytes -> a table of tensors that has been judged; metadata
 *   read.c         table -> the weights that were asked for, and the list for `tenon inspect`
 *   write.c        tn_weights -> bytes
 *
 * A file is 8 bytes (length of the header), a header of JSON, and the tensors one behind the other, without gaps. It
 * can claim no more than it has, so it is read in this process, with no other memory than for the table.
 *
 * Tensors are called LAYER/WEIGHT, and what the optimizer keeps for a weight optimizer/LAYER/WEIGHT/SLOT. The metadata
 * of our files are: format = tenon, version, classes (a JSON list), optimizer, iterations, learning_rate, and
 * tenon_crc32c: of the whole file, with zeros for its own digits.
 */
#ifndef TENON_FORMAT_SAFETENSORS_H
#define TENON_FORMAT_SAFETENSORS_H

#include <stdbool.h>

#include "tenon/plugin.h"

enum { MOST_HEADER_BYTES = 100000000, MOST_TENSORS = 1 << 18, KEPT_AXES = 8, CRC_DIGITS = 8 };
#define OPTIMIZER_PREFIX "optimizer/"
#define FORMAT_VERSION   1

struct dtype {
    const char *name; /* "F32" */
    uint32_t bits;
    const char *words; /* "float32" */
};

struct tensor {
    const char *name;
    const struct dtype *type;
    uint32_t rank; /* of more than KEPT_AXES axes the first ones are kept */
    uint64_t dims[KEPT_AXES];
    uint64_t begin, end; /* in the data */
};

struct header {
    struct tensor *tensors; /* sorted by name */
    size_t count;
    char *texts; /* all names and metadata values */
    const unsigned char *data;
    uint64_t data_bytes;
    /* metadata; NULL where there is none */
    const char *format, *version, *classes, *optimizer, *iterations, *learning_rate;
    bool has_metadata;
};

/* ---- header.c ---- */
/* Judges all of the header: syntax, names, types, sizes, offsets, and the CRC of files that say they are tenon's. */
tn_status header_read(const void *data, uint64_t bytes, struct header *header, struct tn_error *error);
void header_release(struct header *header);
const struct tensor *header_find(const struct header *header, const char *name);
/* CRC-32C of a file whose CRC_DIGITS digits at `digits` (0: there are none) count as zeros. */
uint32_t file_crc(const unsigned char *data, uint64_t bytes, uint64_t digits);

/* ---- read.c ---- */
tn_status weights_read(const void *data, uint64_t bytes, struct tn_weights *weights, char *notes, uint64_t notes_bytes,
                       struct tn_error *error);
tn_status tensors_list(const void *data, uint64_t bytes,
                       void (*visit)(void *context, const struct tn_array_info *array), void *context, char *notes,
                       uint64_t notes_bytes, struct tn_error *error);

/* ---- write.c ---- */
tn_status weights_write(const struct tn_host *host, const struct tn_weights *weights, uint32_t flags, void **data,
                        uint64_t *bytes, struct tn_error *error);

#endif
