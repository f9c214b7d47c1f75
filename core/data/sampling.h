/* sampling.h: the one pass from a picture to the slot of a batch. */
#ifndef TENON_SAMPLING_H
#define TENON_SAMPLING_H

#include <stdbool.h>

#include "tenon/data.h"

static const struct tn_affine TN_AFFINE_IDENTITY = {1, 0, 0, 0, 1, 0};

/* What to write, from where. Positions are counted in pixels of the target; `ratio_…` says how many pixels of the
 * picture one of them is. */
struct tn_sampling {
    int32_t height, width, channels; /* of what is written; channels <= those of the picture */
    int32_t pixel_type;              /* of what is written: TN_PIXEL_U8 rounds and ignores `scale` */
    double ratio_y, ratio_x;
    struct tn_affine map; /* target to target, as augmentations give it */
    bool nearest;
    int32_t fill_mode; /* enum tn_fill_mode: beyond the edge of the target */
    float fill_value;
    struct tn_scale_shift scale; /* of the stored value, fill included */
};

/* Whole picture to whole target, unscaled, float. */
struct tn_sampling tn_sampling_resize(const struct tn_image *in, int32_t height, int32_t width);
void tn_sampling_run(const struct tn_sampling *sampling, const struct tn_image *in, void *out);

/* outer(inner(position)) */
struct tn_affine tn_affine_product(const struct tn_affine *outer, const struct tn_affine *inner);
/* True when the map sends the target onto itself (identity, flips): what lies outside is never asked for. */
bool tn_affine_stays_inside(const struct tn_affine *map);
bool tn_affine_is_finite(const struct tn_affine *map);

/* Halves an 8-bit picture by averaging 2x2 blocks, rounded; `out` has (height+1)/2 x (width+1)/2 pixels and may be the
 * picture's own memory. */
void tn_halve(const struct tn_image *in, struct tn_image *out);
/* 3-channel bytes to 4-channel bytes, the fourth 255. */
void tn_expand_rgb(const struct tn_image *in, struct tn_image *out);

#endif
