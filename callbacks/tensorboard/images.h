/* images.h: pictures of a batch for TensorBoard. */
#ifndef TENON_CALLBACKS_TENSORBOARD_IMAGES_H
#define TENON_CALLBACKS_TENSORBOARD_IMAGES_H

#include "message.h"
#include "tenon/plugin.h"

enum { IMAGES_MOST = 64, IMAGES_SIDE = 1024 /* larger ones are shown in steps */ };

/* A PNG of [height, width, 3] pixels, from malloc. */
tn_status encode_png(const uint8_t *pixels, int32_t width, int32_t height, void **png, size_t *bytes,
                     struct tn_error *error);
/* Puts the first `most` pictures of a batch into an event: those that stand for a sample. */
tn_status images_write(struct message *event, const char *tag, uint64_t step, const struct tn_seen_batch *seen,
                       int32_t most, struct tn_error *error);

#endif
