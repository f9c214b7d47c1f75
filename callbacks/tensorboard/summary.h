/* summary.h: the events that TensorBoard knows how to show, with the bytes that TensorFlow 2 writes for them. */
#ifndef TENON_CALLBACKS_TENSORBOARD_SUMMARY_H
#define TENON_CALLBACKS_TENSORBOARD_SUMMARY_H

#include "message.h"

/* The first record of every file. */
void summary_version(struct message *event);
void summary_scalar(struct message *event, const char *tag, uint64_t step, double value);
/* Text is shown as Markdown. */
void summary_text(struct message *event, const char *tag, uint64_t step, const char *text, size_t bytes);
/* How many of `count` numbers lie in each of 30 parts of their range; those that are not finite are left out. */
void summary_histogram(struct message *event, const char *tag, uint64_t step, const float *values, uint64_t count);
struct summary_png {
    void *bytes;
    size_t count;
};
/* Pictures of one size. */
void summary_images(struct message *event, const char *tag, uint64_t step, const struct summary_png *pictures,
                    int32_t count, int32_t width, int32_t height);
/* What only the plugin `plugin` of TensorBoard reads. */
void summary_data(struct message *event, const char *tag, const char *plugin, const struct message *data);

#endif
