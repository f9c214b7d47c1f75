/* example_writer.h: pictures as tf.train.Example, the message that TFRecord files of images hold. */
#ifndef TENON_EXAMPLE_WRITER_H
#define TENON_EXAMPLE_WRITER_H

#include "base/base.h"

/* One feature: a list of one text or of one whole number. */
struct tn_feature {
    const char *key;
    const void *bytes; /* NULL: `number` counts */
    uint64_t byte_count;
    int64_t number;
};

/* Appends the message. More than the 2 GiB that protobuf allows is TN_UNSUPPORTED. */
tn_status tn_example_write(struct tn_text *out, const struct tn_feature *features, size_t count,
                           struct tn_error *error);

enum tn_example_keys {
    TN_EXAMPLE_FULL = 0, /* image/encoded, image/format, image/class/label and the like, as ImageNet's and TFDS' */
    TN_EXAMPLE_SEED = 1, /* image, label */
};

struct tn_example_image {
    const void *bytes; /* encoded */
    uint64_t byte_count;
    const char *format; /* "JPEG" */
    int32_t height, width;
    int64_t label; /* counted from 0 */
    const char *class_name, *file_name;
};

/* The same for a picture, with the usual keys. */
tn_status tn_example_write_image(struct tn_text *out, const struct tn_example_image *image, int32_t keys,
                                 struct tn_error *error);

#endif
