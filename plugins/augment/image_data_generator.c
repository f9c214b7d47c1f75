/* image_data_generator: Keras' ImageDataGenerator as one map and one factor.
 *
 * Ranges, units and order of the draws are Keras'; the numbers drawn are our own. Rotation, shift, shear and zoom make
 * one matrix R T S Z about the centre of the picture, flips follow it, rescale comes last. Keras 3 swaps the axes of
 * that matrix by mistake (keras#17398: width_shift_range moves rows, and non-square pictures turn about a wrong
 * centre); `keras_axes = yes` does as it does.
 */
#include <math.h>

#include "tenon/plugin.h"

struct image_data_generator {
    double rotation_range, shear_range, rescale, cval;
    struct tn_numbers width_shift_range, height_shift_range, zoom_range;
    int32_t horizontal_flip, vertical_flip, fill_mode, keras_axes;
};

static const struct tn_option image_data_generator_options[] = {
    TN_FLOAT(struct image_data_generator, rescale, 0.0, -TN_ANY, TN_ANY,
             "factor for every pixel, such as 1/255; on every source; 0 = none"),
    TN_FLOAT(struct image_data_generator, rotation_range, 0.0, 0.0, 360.0, "turn by up to so many degrees either way"),
    TN_NUMBERS(struct image_data_generator, width_shift_range, "0", -TN_ANY, TN_ANY,
               "move sideways by up to this share of the width (from 1 on: pixels); several numbers: one of these"),
    TN_NUMBERS(struct image_data_generator, height_shift_range, "0", -TN_ANY, TN_ANY,
               "move up or down by up to this share of the height (from 1 on: pixels); several numbers: one of these"),
    TN_FLOAT(struct image_data_generator, shear_range, 0.0, 0.0, 89.0, "shear by up to so many degrees either way"),
    TN_NUMBERS(struct image_data_generator, zoom_range, "0", 0.0, 100.0,
               "z = between 1-z and 1+z, or the pair itself; each axis draws its own; above 1 looks smaller"),
    TN_BOOL(struct image_data_generator, horizontal_flip, 0, "mirror left to right every other time"),
    TN_BOOL(struct image_data_generator, vertical_flip, 0, "mirror top to bottom every other time"),
    TN_ENUM(struct image_data_generator, fill_mode, TN_FILL_NEAREST, "nearest|constant|reflect|wrap",
            "what lies beyond the edge of a moved picture"),
    TN_FLOAT(struct image_data_generator, cval, 0.0, -TN_ANY, TN_ANY,
             "grey level beyond the edge with fill_mode = constant, before rescale"),
    TN_BOOL(struct image_data_generator, keras_axes, 0, "swap the axes of shift and shear as Keras 3 does"),
    TN_END,
};

/* ---- checks that one number alone cannot tell ---- */

static tn_status check_zoom(const struct tn_numbers *zoom, struct tn_error *error)
{
    if (zoom->count > 2)
        return tn_fail(error, TN_INVALID, "zoom_range takes one number or two, not %u", (unsigned)zoom->count);
    if (zoom->count == 1 && zoom->items[0] >= 1)
        return tn_fail(error, TN_INVALID, "zoom_range = %g would shrink to nothing (1 - %g): below 1, or a pair",
                       zoom->items[0], zoom->items[0]);
    if (zoom->count == 2 && (zoom->items[0] <= 0 || zoom->items[1] < zoom->items[0]))
        return tn_fail(error, TN_INVALID, "zoom_range = %g, %g is no range: low, high, both above 0", zoom->items[0],
                       zoom->items[1]);
    return TN_OK;
}

static tn_status check_shift(const char *name, const struct tn_numbers *shift, struct tn_error *error)
{
    for (uint32_t i = 0; i < shift->count; i++)
        if (!isfinite(shift->items[i]) || fabs(shift->items[i]) > 1e6 || (shift->count == 1 && shift->items[i] < 0))
            return tn_fail(error, TN_INVALID, "%s = %g is outside of 0..1000000", name, shift->items[i]);
    return TN_OK;
}

static tn_status image_data_generator_open(void *self, const struct tn_host *host, struct tn_error *error)
{
    const struct image_data_generator *generator = self;
    (void)host;
    tn_status status = check_zoom(&generator->zoom_range, error);
    if (status == TN_OK)
        status = check_shift("width_shift_range", &generator->width_shift_range, error);
    if (status == TN_OK)
        status = check_shift("height_shift_range", &generator->height_shift_range, error);
    return status;
}

/* ---- draws, in Keras' order ---- */

struct draw {
    double theta, shear; /* radians */
    double down, right;  /* pixels */
    double zoom_y, zoom_x;
    int flip_x, flip_y;
};

static double radians(double degrees)
{
    return degrees * 3.14159265358979323846 / 180.0;
}

/* Keras: one number below 1 is a share of the size, from 1 on pixels; of a list, one entry with a random sign. */
static double draw_shift(const struct tn_numbers *range, int32_t size, struct tn_random *random)
{
    if (range->count == 0)
        return 0;
    double largest = range->items[0], shift;
    for (uint32_t i = 1; i < range->count; i++)
        largest = fmax(largest, range->items[i]);
    if (range->count == 1) {
        if (range->items[0] == 0)
            return 0;
        shift = tn_random_uniform(random, -range->items[0], range->items[0]);
    } else {
        shift = range->items[tn_random_below(random, range->count)];
        shift = tn_random_below(random, 2) ? shift : -shift;
    }
    return largest < 1 ? shift * size : shift;
}

static void draw_zoom(const struct tn_numbers *range, struct tn_random *random, struct draw *draw)
{
    double low = 1, high = 1;
    if (range->count == 1)
        low = 1 - range->items[0], high = 1 + range->items[0];
    else if (range->count == 2)
        low = range->items[0], high = range->items[1];
    draw->zoom_y = draw->zoom_x = 1;
    if (low == 1 && high == 1)
        return;
    draw->zoom_y = tn_random_uniform(random, low, high);
    draw->zoom_x = tn_random_uniform(random, low, high);
}

static struct draw draw_all(const struct image_data_generator *generator, int32_t height, int32_t width,
                            struct tn_random *random)
{
    struct draw draw = {0};
    if (generator->rotation_range > 0)
        draw.theta = radians(tn_random_uniform(random, -generator->rotation_range, generator->rotation_range));
    draw.down = draw_shift(&generator->height_shift_range, height, random);
    draw.right = draw_shift(&generator->width_shift_range, width, random);
    if (generator->shear_range > 0)
        draw.shear = radians(tn_random_uniform(random, -generator->shear_range, generator->shear_range));
    draw_zoom(&generator->zoom_range, random, &draw);
    draw.flip_x = tn_random_unit(random) < 0.5 && generator->horizontal_flip;
    draw.flip_y = tn_random_unit(random) < 0.5 && generator->vertical_flip;
    return draw;
}

/* ---- the matrix ---- */

static struct tn_affine matrix(const struct draw *draw)
{
    double cosine = cos(draw->theta), sine = sin(draw->theta);
    double sheared_cosine = cos(draw->theta + draw->shear), sheared_sine = sin(draw->theta + draw->shear);
    struct tn_affine map = {.yy = cosine * draw->zoom_y,
                            .yx = -sheared_sine * draw->zoom_x,
                            .y0 = cosine * draw->down - sine * draw->right,
                            .xy = sine * draw->zoom_y,
                            .xx = sheared_cosine * draw->zoom_x,
                            .x0 = sine * draw->down + cosine * draw->right};
    return map;
}

/* Keras 3: rows and columns of the matrix change places, and with them the two coordinates of its centre. */
static struct tn_affine matrix_of_keras(const struct draw *draw, int32_t height, int32_t width)
{
    struct tn_affine right = matrix(draw);
    double off = (height - width) / 2.0; /* rows turn about the centre of the columns, and the other way round */
    struct tn_affine map = {.yy = right.xx, .yx = right.xy, .xy = right.yx, .xx = right.yy};
    map.y0 = right.x0 + (map.yy - 1) * off - map.yx * off;
    map.x0 = right.y0 + map.xy * off - (map.xx - 1) * off;
    return map;
}

static tn_status image_data_generator_affine(const void *self, int32_t height, int32_t width, struct tn_random *random,
                                             struct tn_affine *map, int32_t *fill_mode, float *fill_value,
                                             struct tn_error *error)
{
    const struct image_data_generator *generator = self;
    (void)error;
    if (!random)
        return TN_OK; /* the fixed part moves nothing */
    struct draw draw = draw_all(generator, height, width, random);
    *map = generator->keras_axes ? matrix_of_keras(&draw, height, width) : matrix(&draw);
    if (draw.flip_x)
        map->yx = -map->yx, map->xx = -map->xx;
    if (draw.flip_y)
        map->yy = -map->yy, map->xy = -map->xy;
    *fill_mode = generator->fill_mode;
    *fill_value = (float)generator->cval;
    return TN_OK;
}

static tn_status image_data_generator_scale_shift(const void *self, int32_t channels, struct tn_random *random,
                                                  struct tn_scale_shift *out, struct tn_error *error)
{
    const struct image_data_generator *generator = self;
    (void)random, (void)error;
    for (int32_t c = 0; c < channels && generator->rescale != 0; c++)
        out->scale[c] = (float)generator->rescale;
    return TN_OK;
}

static const struct tn_augment image_data_generator = {
    TN_TYPE_WITH(TN_AUGMENT, "image_data_generator", struct image_data_generator, image_data_generator_options,
                 "Keras' ImageDataGenerator: rotate, shift, shear, zoom, flip, rescale", TN_AUGMENT_MIXED,
                 image_data_generator_open, NULL),
    .affine = image_data_generator_affine,
    .scale_shift = image_data_generator_scale_shift,
};

TN_PLUGIN("tenon.augment.image_data_generator", "0.1.0", "Apache-2.0", &image_data_generator.type);
