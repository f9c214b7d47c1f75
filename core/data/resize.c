/* resize.c: sizes without augmentation: TensorFlow's resize, and the reductions that come before sampling. */
#include <string.h>

#include "data/data.h"
#include "data/sampling.h"

struct tn_sampling tn_sampling_resize(const struct tn_image *in, int32_t height, int32_t width)
{
    struct tn_sampling sampling = {.height = height,
                                   .width = width,
                                   .channels = in->channels,
                                   .pixel_type = TN_PIXEL_F32,
                                   .ratio_y = (double)in->height / height,
                                   .ratio_x = (double)in->width / width,
                                   .map = TN_AFFINE_IDENTITY,
                                   .fill_mode = TN_FILL_NEAREST,
                                   .scale = {{1, 1, 1, 1}, {0, 0, 0, 0}}};
    return sampling;
}

void tn_resize_bilinear(const struct tn_image *in, float *out, int32_t height, int32_t width)
{
    struct tn_sampling sampling = tn_sampling_resize(in, height, width);
    tn_sampling_run(&sampling, in, out);
}

void tn_resize_nearest(const struct tn_image *in, float *out, int32_t height, int32_t width)
{
    struct tn_sampling sampling = tn_sampling_resize(in, height, width);
    sampling.nearest = true;
    tn_sampling_run(&sampling, in, out);
}

void tn_halve(const struct tn_image *in, struct tn_image *out)
{
    int32_t channels = in->channels;
    struct tn_image half = {(in->height + 1) / 2, (in->width + 1) / 2, channels, TN_PIXEL_U8, out->pixels};
    size_t row_bytes = (size_t)in->width * (size_t)channels;
    unsigned char *write = half.pixels;
    for (int32_t y = 0; y < half.height; y++) {
        const unsigned char *upper = (const unsigned char *)in->pixels + (size_t)(2 * y) * row_bytes;
        const unsigned char *lower = 2 * y + 1 < in->height ? upper + row_bytes : upper;
        int32_t pairs = in->width / 2;
        for (int32_t x = 0; x < pairs; x++, upper += 2 * channels, lower += 2 * channels)
            for (int32_t c = 0; c < channels; c++)
                *write++ = (unsigned char)((upper[c] + upper[c + channels] + lower[c] + lower[c + channels] + 2) >> 2);
        for (int32_t c = 0; in->width % 2 != 0 && c < channels; c++) /* an odd last column stands for itself */
            *write++ = (unsigned char)((upper[c] + lower[c] + 1) >> 1);
    }
    *out = half;
}

void tn_expand_rgb(const struct tn_image *in, struct tn_image *out)
{
    const unsigned char *read = in->pixels;
    unsigned char *write = out->pixels;
    size_t count = (size_t)in->height * (size_t)in->width;
    for (size_t i = 0; i < count; i++, read += 3, write += 4) {
        memcpy(write, read, 3);
        write[3] = 255;
    }
    out->height = in->height, out->width = in->width;
    out->channels = 4, out->pixel_type = TN_PIXEL_U8;
}
