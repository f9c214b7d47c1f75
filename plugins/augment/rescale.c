/* rescale: pixel * scale + offset, on every source. Joins the store into the batch: no pass of its own. */
#include "tenon/plugin.h"

struct rescale {
    double scale, offset;
};

static const struct tn_option rescale_options[] = {
    TN_FLOAT(struct rescale, scale, 1.0 / 255, -TN_ANY, TN_ANY, "factor, such as 1/255"),
    TN_FLOAT(struct rescale, offset, 0.0, -TN_ANY, TN_ANY, "added after the factor"),
    TN_END,
};

static tn_status rescale_scale_shift(const void *self, int32_t channels, struct tn_random *random,
                                     struct tn_scale_shift *out, struct tn_error *error)
{
    const struct rescale *rescale = self;
    (void)random, (void)error;
    for (int32_t c = 0; c < channels; c++)
        out->scale[c] = (float)rescale->scale, out->shift[c] = (float)rescale->offset;
    return TN_OK;
}

static const struct tn_augment rescale = {
    TN_TYPE_WITH(TN_AUGMENT, "rescale", struct rescale, rescale_options, "pixel * scale + offset", TN_AUGMENT_ALWAYS,
                 NULL, NULL),
    .scale_shift = rescale_scale_shift,
};

TN_PLUGIN("tenon.augment.rescale", "0.1.0", "Apache-2.0", &rescale.type);
