/* horizontal_flip: mirrors a picture left to right with a given probability. A map alone: it costs nothing. */
#include "tenon/plugin.h"

struct horizontal_flip {
    double probability;
};

static const struct tn_option horizontal_flip_options[] = {
    TN_FLOAT(struct horizontal_flip, probability, 0.5, 0.0, 1.0, "chance that a picture is mirrored"),
    TN_END,
};

static tn_status horizontal_flip_affine(const void *self, int32_t height, int32_t width, struct tn_random *random,
                                        struct tn_affine *map, int32_t *fill_mode, float *fill_value,
                                        struct tn_error *error)
{
    const struct horizontal_flip *flip = self;
    (void)height, (void)width, (void)fill_mode, (void)fill_value, (void)error;
    map->xx = tn_random_unit(random) < flip->probability ? -1 : 1;
    return TN_OK;
}

static const struct tn_augment horizontal_flip = {
    TN_TYPE(TN_AUGMENT, "horizontal_flip", struct horizontal_flip, horizontal_flip_options,
            "mirror a picture left to right"),
    .affine = horizontal_flip_affine,
};

TN_PLUGIN("tenon.augment.horizontal_flip", "0.1.0", "Apache-2.0", &horizontal_flip.type);
