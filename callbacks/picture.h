/* picture.h: a picture of a batch as colours that can be shown. Private to this folder. */
#ifndef TENON_CALLBACKS_PICTURE_H
#define TENON_CALLBACKS_PICTURE_H

#include <math.h>

#include "tenon/plugin.h"

struct picture {
    const struct tn_seen_batch *seen;
    size_t first;       /* its first number in the batch */
    double least, most; /* what is black and white */
};

/* 0..255 as they are; what was rescaled is stretched: from 0..1, or, with negative numbers, from its own least to its
 * own most. */
TN_UNUSED static struct picture picture_of(const struct tn_seen_batch *seen, int32_t i)
{
    size_t each = (size_t)seen->height * (size_t)seen->width * (size_t)seen->channels;
    struct picture picture = {seen, (size_t)i * each, 0, 255};
    const float *floats = seen->images;
    double low = INFINITY, high = -INFINITY;
    if (seen->pixel_type != TN_PIXEL_F32)
        return picture;
    for (size_t k = picture.first; k < picture.first + each; k++) {
        low = fmin(low, floats[k]);
        high = fmax(high, floats[k]);
    }
    if (low < 0 || high <= 1) {
        picture.least = low < 0 ? low : 0;
        picture.most = low < 0 ? high : 1;
    }
    return picture;
}

/* One of red, green and blue; a picture of one channel is gray. */
TN_UNUSED static uint8_t picture_value(const struct picture *picture, int32_t y, int32_t x, int32_t channel)
{
    const struct tn_seen_batch *seen = picture->seen;
    size_t at = picture->first + ((size_t)y * (size_t)seen->width + (size_t)x) * (size_t)seen->channels +
                (size_t)(channel < seen->channels ? channel : 0);
    double value =
        seen->pixel_type == TN_PIXEL_F32 ? ((const float *)seen->images)[at] : ((const uint8_t *)seen->images)[at];
    value = picture->most > picture->least ? (value - picture->least) * 255 / (picture->most - picture->least) : 0;
    return value > 0 ? (uint8_t)(fmin(value, 255) + 0.5) : 0; /* not a number: black */
}

#endif
