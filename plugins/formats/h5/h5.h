/* h5.h: what the files of this plugin share.
 *
 *   h5.c       the two types: h5 (Keras' legacy layout) and weights_h5 (Keras 3's .weights.h5)
 *   write.c    tn_weights -> bytes, with libhdf5 in memory; write_legacy.c and write_keras3.c, its two layouts
 *   order.c    the order in which Keras numbers layers and the optimizer's variables
 *   config.c   the JSON texts that describe the model and its training to Keras
 *   child.c    runs the reader in a process of its own: files are hostile and libhdf5 is not proof against all of them
 *   read.c     bytes -> the weights that were asked for; runs in that child, with
 *              legacy.c, keras3.c, slots.c, tensor.c and image.c
 *   list.c     bytes -> names, shapes and types of all arrays, in that child too
 *   names.c    text attributes, in all the ways in which they have been written
 */
#ifndef TENON_FORMAT_H5_H
#define TENON_FORMAT_H5_H

#include <hdf5.h>
#include <stdbool.h>

#include "tenon/plugin.h"

enum { NAME_BYTES = 256 };

/* ---- write.c ---- */
tn_status h5_write_legacy(const struct tn_host *host, const struct tn_weights *weights, uint32_t flags, void **data,
                          uint64_t *bytes, struct tn_error *error);
/* Bytes that are left free around a file for what it is put into: *data is the beginning of that room. */
struct h5_room {
    uint64_t front, behind;
};
/* `room` NULL: none. *bytes are the file's alone. */
tn_status h5_write_keras3(const struct tn_host *host, const struct tn_weights *weights, uint32_t flags,
                          const struct h5_room *room, void **data, uint64_t *bytes, struct tn_error *error);

/* ---- config.c ---- */
/* The names that layers have in a file: Keras allows letters, digits, '_', '.', '-' only, and none twice. [layer_count]
 * texts of NAME_BYTES; the caller frees. NULL: no memory. */
char (*h5_layer_names(const struct tn_weights *weights))[NAME_BYTES];
/* malloc'ed JSON. *text = NULL (and TN_OK) when Keras has no words for the network. */
tn_status h5_model_config(const struct tn_weights *weights, char (*names)[NAME_BYTES], char **text,
                          struct tn_error *error);
tn_status h5_training_config(const struct tn_weights *weights, char **text, struct tn_error *error);
/* A text as JSON, quoted. */
void h5_put_json(FILE *file, const char *text);

/* ---- order.c: arrays from malloc; NULL: no memory ---- */
/* Numbers of the layers in the order of Keras' model.layers. */
uint32_t *h5_layer_order(const struct tn_weights *weights);
/* By number of the layer, its group in .weights.h5: "max_pooling2d" for the first MaxPooling2D in that order,
 * "max_pooling2d_1" for the next, … */
char (*h5_class_keys(const struct tn_weights *weights, const uint32_t *order))[NAME_BYTES];
void h5_snake_case(const char *name, char key[NAME_BYTES]);
enum { H5_MOST_SLOTS = 4 };
struct h5_slot {
    uint32_t layer, weight; /* whose: weights->layers[layer].weights[weight] */
    int32_t slot;
};
/* The optimizer's slots in the order of its variables; `by_kind`: all of a kind together, as before Keras 2.11. */
struct h5_slot *h5_slot_order(const struct tn_weights *weights, const uint32_t *order, bool by_kind, size_t *count);

/* ---- child.c ---- */
/* What the reader fills, in memory that both processes see. */
struct h5_result {
    tn_status status;
    int32_t finished; /* 0: the child died on the way */
    struct tn_error error;
    char notes[512];
    int32_t has_slots, has_learning_rate;
    uint64_t iterations;
    double learning_rate;
};
/* Reads in a child and copies what it found into `weights`; nothing of it is touched on failure. */
tn_status h5_read_in_child(const void *data, uint64_t bytes, struct tn_weights *weights, char *notes,
                           uint64_t notes_bytes, struct tn_error *error);

/* Does `job` in a process that may open no file and take little memory and time; `*finished`, in memory that both
 * processes see, is set by the job's end. TN_CORRUPT when the child did not come to it. */
tn_status h5_in_child(void (*job)(void *context), void *context, uint64_t bytes, int32_t *finished,
                      struct tn_error *error);

/* ---- list.c ---- */
tn_status h5_list(const void *data, uint64_t bytes, void (*visit)(void *context, const struct tn_array_info *array),
                  void *context, char *notes, uint64_t notes_bytes, struct tn_error *error);

/* ---- read.c ---- */
/* Fills weights->layers[].weights[].data (and slots that are not NULL). Sizes are those of `weights`, never the
 * file's. */
void h5_read(const void *data, uint64_t bytes, struct tn_weights *weights, struct h5_result *result);

/* ---- names.c ---- */
struct h5_names {
    char **items;
    size_t count;
};
/* Texts of attribute `name`, or of its pieces name0, name1, …; no such attribute: count 0. `limit`: bytes of the file,
 * which bounds what can be claimed. */
tn_status h5_names_read(hid_t object, const char *name, uint64_t limit, struct h5_names *names, struct tn_error *error);
void h5_names_release(struct h5_names *names);

#endif
