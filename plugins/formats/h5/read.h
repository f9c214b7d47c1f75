/* read.h: what the files that read share; all of it runs in the child. */
#ifndef TENON_FORMAT_H5_READ_H
#define TENON_FORMAT_H5_READ_H

#include "h5.h"

struct h5_reader {
    hid_t file;
    uint64_t bytes; /* of the file */
    struct tn_weights *weights;
    uint32_t *order; /* Keras' order of the layers */
    struct h5_result *result;
    struct tn_error *error;
};

/* ---- tensor.c ---- */
/* Opens `path` below `parent`, part by part, over plain links only. -1: there is none (no error is recorded). */
hid_t h5_open_path(hid_t parent, const char *path);
bool h5_has_path(hid_t parent, const char *path);
/* Reads `path` below `parent` into `target`; its shape has to be `shape`. `what`: for messages. */
tn_status h5_read_tensor(const struct h5_reader *reader, hid_t parent, const char *path, const char *what,
                         const struct tn_shape *shape, float *target);
/* One number of any numeric type; false when it is not there. */
bool h5_read_number(hid_t parent, const char *path, double *value);

/* ---- legacy.c, keras3.c, slots.c: `root` is the group that holds the layers ---- */
tn_status h5_read_legacy(const struct h5_reader *reader, hid_t root);
tn_status h5_read_keras3(const struct h5_reader *reader, hid_t root);
bool h5_wants_slots(const struct tn_weights *weights);
/* State that does not fit is no failure: the weights are good. The note says so. */
void h5_read_slots(const struct h5_reader *reader, const char *path);

/* ---- image.c ---- */
struct h5_image {
    void *bytes;
};
hid_t h5_open_image(struct h5_image *image, size_t bytes);

#endif
