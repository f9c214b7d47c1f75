/* write.h: what the files that write share. */
#ifndef TENON_FORMAT_H5_WRITE_H
#define TENON_FORMAT_H5_WRITE_H

#include "h5.h"

struct h5_writer {
    hid_t file;
    hid_t ascii, utf8;   /* variable-length texts */
    hid_t dataset_plist; /* without times, so that files can be compared */
    struct tn_error *error;
};

/* ---- write.c ---- */
tn_status h5_broken(const struct h5_writer *writer, const char *what);
hid_t h5_make_group(hid_t parent, const char *name);
tn_status h5_put_text(const struct h5_writer *writer, hid_t object, const char *name, const char *text, hid_t type);
/* Cut into several attributes where one would be too long. */
tn_status h5_put_texts(const struct h5_writer *writer, hid_t object, const char *name, const char *const *texts,
                       size_t count, hid_t type);
tn_status h5_put_tensor(const struct h5_writer *writer, hid_t group, const char *name, const struct tn_shape *shape,
                        const float *data);
/* A single number, stored as `stored`. */
tn_status h5_put_number(const struct h5_writer *writer, hid_t group, const char *name, hid_t stored, double value);

/* ---- write_legacy.c, write_keras3.c: all of a file but what both layouts have ---- */
tn_status h5_put_legacy(const struct h5_writer *writer, const struct tn_weights *weights, uint32_t flags);
tn_status h5_put_keras3(const struct h5_writer *writer, const struct tn_weights *weights, uint32_t flags);

#endif
