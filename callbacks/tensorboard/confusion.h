/* confusion.h: how often pictures of each class were taken for each class, as a picture. */
#ifndef TENON_CALLBACKS_TENSORBOARD_CONFUSION_H
#define TENON_CALLBACKS_TENSORBOARD_CONFUSION_H

#include "tenon/plugin.h"

enum { CONFUSION_MOST = 1000 /* classes */ };

struct confusion {
    uint32_t *counts; /* [classes, classes]: rows are what pictures are */
    uint32_t classes;
};

/* Memory for the counts and the picture. */
uint64_t confusion_bytes(const struct tn_seen_batch *sizes);
void confusion_release(struct confusion *confusion);
/* Begins to count anew. */
void confusion_begin(struct confusion *confusion);
/* Counts a batch. Memory is taken at the first one; TN_UNSUPPORTED: not one class for each picture, or too many. */
tn_status confusion_see(struct confusion *confusion, const struct tn_seen_batch *seen, struct tn_error *error);
/* A PNG of what was counted, from malloc: a row for each class, dark where most of its pictures went. */
tn_status confusion_draw(const struct confusion *confusion, const char *const *names, uint32_t name_count, void **png,
                         size_t *bytes, int32_t *width, int32_t *height, struct tn_error *error);

#endif
