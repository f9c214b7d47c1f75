/* zip.h: what the files of this plugin share.
 *
 *   keras.c      the type: files that end in .keras, archives with metadata.json, config.json and model.weights.h5
 *   config.c     tn_weights -> config.json, as Keras 3 writes it
 *   zip_read.c   members of an archive in memory
 *   zip_write.c  an archive of members that are stored as they are
 *   ../h5/       reads and writes model.weights.h5
 *
 * The reader is our own since the bytes are in memory already: a stored member, and Keras stores all, is used where it
 * lies, and each size and place is compared with what is there before it is used. A library would copy it first. What
 * is deflated (by another program) is unpacked by ISA-L into no more room than the caller allows.
 */
#ifndef TENON_FORMAT_KERAS_ZIP_H
#define TENON_FORMAT_KERAS_ZIP_H

#include <stdbool.h>

#include "tenon/plugin.h"

/* ---- zip_read.c ---- */
struct zip {
    const unsigned char *data;
    uint64_t bytes;
    uint64_t directory, directory_end; /* where the list of members lies */
    uint64_t count;
};
struct zip_member {
    const void *data;
    uint64_t bytes;
    void *owned; /* NULL, or `data` from malloc */
};
tn_status zip_open(const void *data, uint64_t bytes, struct zip *zip, struct tn_error *error);
/* TN_NOT_FOUND without such a member; one that claims more than `most` bytes, or whose CRC is wrong, is TN_CORRUPT. */
tn_status zip_find(const struct zip *zip, const char *name, uint64_t most, struct zip_member *member,
                   struct tn_error *error);
void zip_release(struct zip_member *member);

/* ---- zip_write.c ---- */
struct zip_source {
    const char *name;
    const void *data;
    uint64_t bytes;
};
enum { ZIP_MOST_SOURCES = 4 };
/* Bytes of an archive in front of the data of its last member, and behind it. `large`: some number passes 4 GB, and all
 * are written in the way of ZIP64. */
uint64_t zip_front(const struct zip_source *sources, size_t count, bool large);
uint64_t zip_behind(const struct zip_source *sources, size_t count, bool large);
/* Writes all of an archive but the data of its last member, which lies already behind zip_front(). No times: the same
 * members give the same bytes. */
void zip_write(unsigned char *archive, const struct zip_source *sources, size_t count, bool large);

/* ---- config.c: texts from malloc ---- */
tn_status keras_model_text(const struct tn_weights *weights, uint32_t flags, char **text, struct tn_error *error);

#endif
