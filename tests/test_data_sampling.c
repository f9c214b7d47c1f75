/* test_data_sampling.c: the pass from picture to slot: kernels against a plain reference, and the chain of
 * augmentations: what is composed, what is flushed, what applies where.
 */
#include <math.h>

#include "data/sampling.h"
#include "data_rig.h"

/* ---- sampling against a reference in double ---- */

static double pixel(const struct tn_image *in, int64_t y, int64_t x, int32_t c)
{
    y = y < 0 ? 0 : y >= in->height ? in->height - 1 : y;
    x = x < 0 ? 0 : x >= in->width ? in->width - 1 : x;
    size_t at = ((size_t)y * (size_t)in->width + (size_t)x) * (size_t)in->channels + (size_t)c;
    return in->pixel_type == TN_PIXEL_U8 ? ((unsigned char *)in->pixels)[at] : ((float *)in->pixels)[at];
}

static double bilinear(const struct tn_image *in, double y, double x, int32_t c)
{
    y = fmin(fmax(y, 0), in->height - 1), x = fmin(fmax(x, 0), in->width - 1);
    double fy = y - floor(y), fx = x - floor(x);
    int64_t top = (int64_t)floor(y), left = (int64_t)floor(x);
    double upper = pixel(in, top, left, c) * (1 - fx) + pixel(in, top, left + 1, c) * fx;
    double lower = pixel(in, top + 1, left, c) * (1 - fx) + pixel(in, top + 1, left + 1, c) * fx;
    return upper * (1 - fy) + lower * fy;
}

/* The same as bytes: the float value without its scale, rounded. */
static void check_bytes(const struct tn_image *in, const struct tn_sampling *s, size_t count)
{
    struct tn_sampling plain = *s, rounded = *s;
    unsigned char *bytes = malloc(count + 1);
    float *floats = malloc(count * sizeof *floats);
    for (int c = 0; c < 4; c++)
        plain.scale.scale[c] = 1, plain.scale.shift[c] = 0;
    rounded.pixel_type = TN_PIXEL_U8;
    bytes[count] = 77; /* nothing may be written behind the slot */
    tn_sampling_run(&plain, in, floats);
    tn_sampling_run(&rounded, in, bytes);
    ck_assert_int_eq(bytes[count], 77);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(bytes[i], (int)(floats[i] + 0.5f));
    free(bytes);
    free(floats);
}

static void check_against_reference(const struct tn_image *in, const struct tn_sampling *s)
{
    size_t count = (size_t)s->height * (size_t)s->width * (size_t)s->channels;
    float *out = malloc((count + 1) * sizeof *out);
    check_bytes(in, s, count);
    double centre_y = (s->height - 1) / 2.0, centre_x = (s->width - 1) / 2.0;
    out[count] = -12345; /* nothing may be written behind the slot */
    tn_sampling_run(s, in, out);
    ck_assert_float_eq(out[count], -12345.0f);
    for (int32_t i = 0; i < s->height; i++)
        for (int32_t k = 0; k < s->width; k++)
            for (int32_t c = 0; c < s->channels; c++) {
                double y = i - centre_y, x = k - centre_x;
                double in_y = (s->map.yy * y + s->map.yx * x + s->map.y0 + centre_y + 0.5) * s->ratio_y - 0.5;
                double in_x = (s->map.xy * y + s->map.xx * x + s->map.x0 + centre_x + 0.5) * s->ratio_x - 0.5;
                double expected = bilinear(in, in_y, in_x, c) * (double)s->scale.scale[c] + (double)s->scale.shift[c];
                float got = out[((size_t)i * (size_t)s->width + (size_t)k) * (size_t)s->channels + (size_t)c];
                ck_assert_msg(fabs(expected - (double)got) < 1e-3, "%d,%d,%d: %g, not %g", i, k, c, (double)got,
                              expected);
            }
    free(out);
}

static void fill_picture(struct tn_image *image, uint64_t seed)
{
    struct tn_random random = tn_random_stream(seed, 0);
    size_t count = (size_t)image->height * (size_t)image->width * (size_t)image->channels;
    image->pixels = malloc(count * (image->pixel_type == TN_PIXEL_U8 ? 1 : sizeof(float)));
    for (size_t i = 0; i < count; i++) {
        unsigned char value = (unsigned char)tn_random_below(&random, 256);
        if (image->pixel_type == TN_PIXEL_U8)
            ((unsigned char *)image->pixels)[i] = value;
        else
            ((float *)image->pixels)[i] = value;
    }
}

START_TEST(any_map_of_any_picture_is_sampled_right)
{
    struct tn_random random = tn_random_stream(1000 + (uint64_t)_i, 1);
    for (int round = 0; round < 60; round++) {
        static const int32_t channels[] = {1, 3, 4, 4};
        struct tn_image in = {1 + (int32_t)tn_random_below(&random, 40), 1 + (int32_t)tn_random_below(&random, 40),
                              channels[tn_random_below(&random, 4)],
                              tn_random_below(&random, 2) ? TN_PIXEL_U8 : TN_PIXEL_F32, NULL};
        fill_picture(&in, (uint64_t)round);
        struct tn_sampling s = tn_sampling_resize(&in, 1 + (int32_t)tn_random_below(&random, 30),
                                                  1 + (int32_t)tn_random_below(&random, 30));
        if (in.channels == 4 && tn_random_below(&random, 2))
            s.channels = 3;
        double spread = _i == 0 ? 0.0 : _i == 1 ? 0.3 : 3.0; /* resize alone, mild, wild */
        s.map.yy += tn_random_uniform(&random, -spread, spread),
            s.map.yx += tn_random_uniform(&random, -spread, spread);
        s.map.xx += tn_random_uniform(&random, -spread, spread),
            s.map.xy += tn_random_uniform(&random, -spread, spread);
        s.map.y0 += tn_random_uniform(&random, -9 * spread, 9 * spread);
        s.map.x0 += tn_random_uniform(&random, -9 * spread, 9 * spread);
        for (int c = 0; c < 4; c++)
            s.scale.scale[c] = (float)tn_random_unit(&random), s.scale.shift[c] = (float)c;
        check_against_reference(&in, &s);
        free(in.pixels);
    }
}
END_TEST

START_TEST(absurd_maps_stay_inside_of_the_picture)
{
    static const double values[] = {0, 1e-300, 1e300, -1e300, 1e18, -1e18, 1e9, 4294967296.0, 0.5};
    struct tn_random random = tn_random_stream(5, 5);
    struct tn_image in = {7, 9, 4, TN_PIXEL_U8, NULL};
    float out[6 * 5 * 3];
    fill_picture(&in, 1);
    for (int round = 0; round < 3000; round++) {
        double map[6];
        for (int i = 0; i < 6; i++)
            map[i] = values[tn_random_below(&random, TN_COUNT_OF(values))];
        struct tn_sampling s = tn_sampling_resize(&in, 6, 5);
        s.channels = 3;
        s.map = (struct tn_affine){map[0], map[1], map[2], map[3], map[4], map[5]};
        s.nearest = round % 2;
        s.fill_mode = (int32_t)tn_random_below(&random, 4);
        tn_sampling_run(&s, &in, out);
        for (size_t i = 0; i < TN_COUNT_OF(out); i++)
            ck_assert(out[i] >= 0 && out[i] <= 255);
    }
    free(in.pixels);
}
END_TEST

START_TEST(same_size_passes_through_untouched)
{
    struct tn_image in = {11, 13, 3, TN_PIXEL_U8, NULL};
    float out[11 * 13 * 3];
    unsigned char bytes[11 * 13 * 3];
    fill_picture(&in, 3);
    struct tn_sampling s = tn_sampling_resize(&in, 11, 13);
    tn_sampling_run(&s, &in, out);
    for (size_t i = 0; i < TN_COUNT_OF(out); i++)
        ck_assert_float_eq(out[i], (float)((unsigned char *)in.pixels)[i]);
    s.pixel_type = TN_PIXEL_U8;
    tn_sampling_run(&s, &in, bytes);
    ck_assert_mem_eq(bytes, in.pixels, sizeof bytes);
    free(in.pixels);
}
END_TEST

/* Flips of a picture of the target's size, in every width: exact, and nothing is written behind the slot. */
START_TEST(flips_are_exact)
{
    for (int32_t width = 1; width <= 19; width++)
        for (int32_t k = 0; k < 16; k++) {
            struct tn_image in = {3, width, k & 8 ? 4 : 3, TN_PIXEL_U8, NULL};
            struct tn_sampling s = tn_sampling_resize(&in, 3, width);
            size_t count = 3 * (size_t)width * 3;
            float floats[3 * 19 * 3 + 1];
            unsigned char bytes[3 * 19 * 3 + 1];
            fill_picture(&in, (uint64_t)width);
            s.channels = 3;
            s.map.yy = k & 1 ? -1 : 1, s.map.xx = k & 2 ? -1 : 1;
            for (int c = 0; c < 4; c++)
                s.scale.scale[c] = k & 4 ? 1 / 255.0f : 1, s.scale.shift[c] = k & 4 ? (float)c : 0;
            floats[count] = 4711, bytes[count] = 77;
            tn_sampling_run(&s, &in, floats);
            s.pixel_type = TN_PIXEL_U8;
            tn_sampling_run(&s, &in, bytes);
            ck_assert(floats[count] == 4711 && bytes[count] == 77);
            for (size_t i = 0; i < count; i++) {
                int64_t y = (int64_t)(i / 3 / (size_t)width), x = (int64_t)(i / 3 % (size_t)width);
                float value = (float)pixel(&in, k & 1 ? 2 - y : y, k & 2 ? width - 1 - x : x, (int32_t)(i % 3));
                ck_assert_float_eq(floats[i], value * s.scale.scale[i % 3] + s.scale.shift[i % 3]);
                ck_assert_int_eq(bytes[i], (int)value);
            }
            free(in.pixels);
        }
}
END_TEST

START_TEST(halving_averages_blocks)
{
    unsigned char pixels[] = {10, 20, 30, 30, 40, 50, 255, 255, 0}, out[4];
    struct tn_image in = {3, 3, 1, TN_PIXEL_U8, pixels}, half = {.pixels = out};
    tn_halve(&in, &half);
    ck_assert_int_eq(half.height, 2);
    ck_assert_int_eq(half.width, 2);
    ck_assert_int_eq(out[0], 25);
    ck_assert_int_eq(out[1], 40);
    ck_assert_int_eq(out[2], 255);
    ck_assert_int_eq(out[3], 0);
    half.pixels = pixels;
    tn_halve(&in, &half); /* in place */
    ck_assert_mem_eq(pixels, out, sizeof out);
}
END_TEST

/* ---- the chain: augmentations made for the test ---- */

static tn_status shift_affine(const void *self, int32_t height, int32_t width, struct tn_random *random,
                              struct tn_affine *map, int32_t *fill_mode, float *fill_value, struct tn_error *error)
{
    (void)height, (void)width, (void)random, (void)error;
    map->x0 = *(const double *)self; /* moves the picture to the left */
    *fill_mode = TN_FILL_CONSTANT, *fill_value = 100;
    return TN_OK;
}

static tn_status negate_apply(const void *self, struct tn_image *image, struct tn_random *random,
                              struct tn_error *error)
{
    float *pixels = image->pixels;
    (void)self, (void)random, (void)error;
    ck_assert_int_eq(image->pixel_type, TN_PIXEL_F32);
    for (int32_t i = 0; i < image->height * image->width * image->channels; i++)
        pixels[i] = 255 - pixels[i];
    return TN_OK;
}

static tn_status half_scale(const void *self, int32_t channels, struct tn_random *random, struct tn_scale_shift *out,
                            struct tn_error *error)
{
    (void)self, (void)random, (void)error;
    for (int32_t c = 0; c < channels; c++)
        out->scale[c] = 0.5f, out->shift[c] = 1;
    return TN_OK;
}

static tn_status bad_affine(const void *self, int32_t height, int32_t width, struct tn_random *random,
                            struct tn_affine *map, int32_t *fill_mode, float *fill_value, struct tn_error *error)
{
    (void)self, (void)height, (void)width, (void)random, (void)fill_mode, (void)fill_value, (void)error;
    map->yy = NAN;
    return TN_OK;
}

static const double two = 2;
static const struct tn_augment shift = {.type = {sizeof shift, TN_AUGMENT, "shift", "", 8, NULL, 0, 0, NULL, NULL},
                                        .affine = shift_affine};
static const struct tn_augment negate = {.type = {sizeof negate, TN_AUGMENT, "negate", "", 8, NULL, 0, 0, NULL, NULL},
                                         .apply = negate_apply};
static const struct tn_augment halve = {
    .type = {sizeof halve, TN_AUGMENT, "halve", "", 8, NULL, 0, TN_AUGMENT_ALWAYS, NULL, NULL},
    .scale_shift = half_scale};
static const struct tn_augment bad = {.type = {sizeof bad, TN_AUGMENT, "bad", "", 8, NULL, 0, 0, NULL, NULL},
                                      .affine = bad_affine};

/* A source of one picture, 4 x 4 grey: 16 y + x, times 2. */
static tn_status ramp_scan(void *self, const struct tn_source_request *request, struct tn_source_info *info,
                           struct tn_error *error)
{
    (void)self, (void)request, (void)error;
    info->count = 1;
    return TN_OK;
}

static tn_status ramp_read(const void *self, void *worker, uint64_t index, struct tn_sample *sample,
                           struct tn_error *error)
{
    (void)worker, (void)index, (void)error;
    sample->image = (struct tn_image){4, 4, 1, TN_PIXEL_U8, (void *)(uintptr_t)self};
    return TN_OK;
}

static const struct tn_source ramp = {
    .type = {sizeof ramp, TN_SOURCE, "ramp", "", 16, NULL, 0, 0, NULL, NULL}, .scan = ramp_scan, .read = ramp_read};

struct chain {
    struct tn_instance instances[6], source;
    struct tn_augment_use uses[6];
    struct tn_dataset_spec spec;
    struct tn_registry *registry;
    struct tn_dataset *dataset;
    unsigned char pixels[16];
    struct tn_error error;
    float out[16];
};

/* Runs the ramp through the augmentations (ended by NULL); false on an error. */
static bool run_chain(struct chain *chain, int training, const struct tn_augment *const *augments)
{
    const struct tn_batch *batch;
    uint32_t count = 0;
    memset(chain, 0, sizeof *chain);
    for (int i = 0; i < 16; i++)
        chain->pixels[i] = (unsigned char)(2 * (16 * (i / 4) + i % 4));
    chain->source = (struct tn_instance){.type = &ramp.type, .self = chain->pixels, .name = "ramp"};
    for (; augments[count]; count++) {
        chain->instances[count] =
            (struct tn_instance){.type = &augments[count]->type, .self = (void *)(uintptr_t)&two, .name = "a"};
        chain->uses[count].instance = &chain->instances[count];
    }
    ck_assert_int_eq(tn_registry_open(NULL, &chain->registry, NULL), TN_OK);
    chain->spec = (struct tn_dataset_spec){.options = {.target_size = {4, 4},
                                                       .batch_size = 1,
                                                       .class_mode = TN_CLASS_NONE,
                                                       .color_mode = TN_COLOR_GRAYSCALE,
                                                       .workers = 1,
                                                       .maximum_pixels = 100},
                                           .source = &chain->source,
                                           .augments = chain->uses,
                                           .augment_count = count,
                                           .registry = chain->registry,
                                           .training = training};
    tn_status status = tn_dataset_open(&chain->spec, &chain->dataset, &chain->error);
    if (status == TN_OK)
        status = tn_dataset_begin(chain->dataset, 0, 0, &chain->error);
    if (status == TN_OK)
        status = tn_dataset_next(chain->dataset, &batch, &chain->error);
    if (status == TN_OK)
        memcpy(chain->out, batch->images, sizeof chain->out);
    tn_dataset_close(&chain->dataset);
    tn_registry_close(&chain->registry);
    return status == TN_OK;
}

static void check_chain(int training, const struct tn_augment *const *augments, double inside, double inside_shift,
                        double moved, double fill)
{
    struct chain chain;
    ck_assert_msg(run_chain(&chain, training, augments), "%s", chain.error.text);
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 4; x++) {
            double from = x + moved;
            double expected = from > 3 ? fill : 2 * (16 * y + from) * inside + inside_shift;
            ck_assert_msg(fabs((double)chain.out[4 * y + x] - expected) < 1e-4, "%d,%d: %g, not %g", y, x,
                          (double)chain.out[4 * y + x], expected);
        }
}

START_TEST(augmentations_happen_in_their_order)
{
    /* value * factor + offset, moved so far, what was filled in */
    check_chain(1, (const struct tn_augment *[]){NULL}, 1, 0, 0, 0);
    check_chain(1, (const struct tn_augment *[]){&shift, NULL}, 1, 0, 2, 100);
    check_chain(1, (const struct tn_augment *[]){&shift, &shift, NULL}, 1, 0, 4, 100);
    check_chain(1, (const struct tn_augment *[]){&shift, &halve, NULL}, 0.5, 1, 2, 51);
    check_chain(1, (const struct tn_augment *[]){&halve, &shift, NULL}, 0.5, 1, 2, 100);
    check_chain(1, (const struct tn_augment *[]){&halve, &halve, NULL}, 0.25, 1.5, 0, 0);
    check_chain(1, (const struct tn_augment *[]){&negate, NULL}, -1, 255, 0, 0);
    check_chain(1, (const struct tn_augment *[]){&shift, &negate, NULL}, -1, 255, 2, 155);
    check_chain(1, (const struct tn_augment *[]){&negate, &shift, NULL}, -1, 255, 2, 100);
    check_chain(1, (const struct tn_augment *[]){&halve, &negate, &shift, &halve, NULL}, -0.25, 128, 2, 51);
    check_chain(1, (const struct tn_augment *[]){&negate, &negate, &negate, NULL}, -1, 255, 0, 0);
}
END_TEST

START_TEST(random_ones_sit_out_where_nothing_is_trained)
{
    check_chain(0, (const struct tn_augment *[]){&shift, &negate, NULL}, 1, 0, 0, 0);
    check_chain(0, (const struct tn_augment *[]){&shift, &halve, &negate, NULL}, 0.5, 1, 0, 0);
}
END_TEST

START_TEST(a_map_that_is_not_finite_is_an_error)
{
    struct chain chain;
    ck_assert(!run_chain(&chain, 1, (const struct tn_augment *[]){&bad, NULL}));
    ck_assert_ptr_nonnull(strstr(chain.error.text, "not finite"));
}
END_TEST

/* ---- decoding on the way ---- */

/* Exact mode is TensorFlow's: decode whole, half-pixel bilinear. */
START_TEST(exact_mode_equals_decode_and_resize)
{
    char folder[PATH_MAX], path[PATH_MAX + 32], ini[2 * PATH_MAX];
    struct rig rig;
    const struct tn_batch *batch;
    struct tn_decoder *decoder = NULL;
    struct tn_image image;
    void *bytes = NULL;
    uint64_t count = 0;
    float expected[25 * 31 * 3];
    rig_folder(folder);
    (void)snprintf(ini, sizeof ini,
                   "[data]\ntarget_size = 25x31\nfast_decode = no\nclass_mode = none\nworkers = 1\n"
                   "[source:s]\ntype = directory\npath = %s\n",
                   folder);
    (void)snprintf(path, sizeof path, "%s/p.jpg", folder);
    ck_assert_int_eq(rig_prepare(&rig, ini), TN_OK);
    rig_jpeg(rig.registry, path, 111, 87, 1);
    ck_assert_msg(tn_dataset_open(&rig.spec, &rig.dataset, &rig.error) == TN_OK, "%s", rig.error.text);
    ck_assert_int_eq(tn_dataset_pixel_type(rig.dataset), TN_PIXEL_F32);
    ck_assert_int_eq(tn_dataset_begin(rig.dataset, 0, 0, &rig.error), TN_OK);
    ck_assert_msg(tn_dataset_next(rig.dataset, &batch, &rig.error) == TN_OK, "%s", rig.error.text);
    const struct tn_decode_request request = {.size = sizeof request, .channels = 3};
    ck_assert_int_eq(tn_file_read(path, 1u << 20, &bytes, &count, NULL), TN_OK);
    ck_assert_int_eq(tn_decoder_open(rig.registry, &decoder, NULL), TN_OK);
    ck_assert_int_eq(tn_decoder_decode(decoder, bytes, count, &request, &image, NULL), TN_OK);
    tn_resize_bilinear(&image, expected, 25, 31);
    for (size_t i = 0; i < TN_COUNT_OF(expected); i++)
        ck_assert_float_eq_tol(((const float *)batch->images)[i], expected[i], 1e-3f);
    tn_decoder_close(&decoder);
    free(bytes);
    rig_close(&rig);
    rig_remove(folder);
}
END_TEST

/* A smooth picture looks the same however it is made smaller: the geometry of the reduced picture is right. */
START_TEST(fast_mode_does_not_shift_the_picture)
{
    enum { HEIGHT = 301, WIDTH = 403, SIDE = 40 };
    char folder[PATH_MAX], path[PATH_MAX + 32], ini[2 * PATH_MAX];
    float results[2][SIDE * SIDE * 3];
    struct rig rig;
    const struct tn_batch *batch;
    struct tn_problems problems = {0};
    struct tn_instance *jpeg = NULL;
    unsigned char *pixels = malloc(HEIGHT * WIDTH * 3);
    const struct tn_image image = {HEIGHT, WIDTH, 3, TN_PIXEL_U8, pixels};
    void *bytes = NULL;
    uint64_t count = 0;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < 3; c++)
                pixels[(y * WIDTH + x) * 3 + c] = (unsigned char)(128 + 120 * sin(y * 0.02 + c) * cos(x * 0.015));
    rig_folder(folder);
    (void)snprintf(path, sizeof path, "%s/p.jpg", folder);
    for (int fast = 0; fast < 2; fast++) {
        (void)snprintf(ini, sizeof ini,
                       "[data]\ntarget_size = %d\nfast_decode = %s\nclass_mode = none\nworkers = 1\n"
                       "[source:s]\ntype = directory\npath = %s\n[augment:r]\ntype = rescale\nscale = 1\n",
                       (int)SIDE, fast ? "yes" : "no", folder);
        ck_assert_int_eq(rig_prepare(&rig, ini), TN_OK);
        if (!fast) {
            ck_assert_int_eq(tn_instance_open(rig.registry, TN_CODEC, "jpeg", NULL, NULL, &jpeg, &problems), TN_OK);
            ck_assert_int_eq(((const struct tn_codec *)jpeg->type)
                                 ->encode(jpeg->self, tn_host_table(), &image, 97, &bytes, &count, NULL),
                             TN_OK);
            rig_write(path, bytes, (size_t)count);
            tn_host_table()->release(bytes);
            tn_instance_close(&jpeg);
        }
        ck_assert_msg(tn_dataset_open(&rig.spec, &rig.dataset, &rig.error) == TN_OK, "%s", rig.error.text);
        ck_assert_int_eq(tn_dataset_begin(rig.dataset, 0, 0, &rig.error), TN_OK);
        ck_assert_msg(tn_dataset_next(rig.dataset, &batch, &rig.error) == TN_OK, "%s", rig.error.text);
        memcpy(results[fast], batch->images, sizeof results[fast]);
        rig_close(&rig);
    }
    double sum = 0;
    for (size_t i = 0; i < SIDE * SIDE * 3; i++)
        sum += fabs((double)(results[0][i] - results[1][i]));
    ck_assert_msg(sum / (SIDE * SIDE * 3) < 0.8, "mean difference %g", sum / (SIDE * SIDE * 3));
    free(pixels);
    rig_remove(folder);
}
END_TEST

/* ---- image_data_generator ---- */

START_TEST(wrong_ranges_are_refused)
{
    static const char *const wrong[] = {"zoom_range = 1.5",          "zoom_range = 1, 2, 3",   "zoom_range = 2, 1",
                                        "rotation_range = 400",      "width_shift_range = -1", "shear_range = 95",
                                        "brightness_range = 0.5, 1", "fill_mode = blur"};
    char ini[256];
    struct rig rig;
    (void)snprintf(ini, sizeof ini, "[augment:a]\ntype = image_data_generator\n%s\n", wrong[_i]);
    ck_assert_int_ne(rig_prepare(&rig, ini), TN_OK);
    ck_assert(rig.error.text[0] != '\0');
    rig_close(&rig);
}
END_TEST

/* Half of the flips flip; zooms keep to their range on each axis; without random numbers nothing moves. */
START_TEST(draws_keep_to_their_ranges)
{
    struct rig rig;
    int flipped = 0, fill_mode = -1;
    float fill_value = -1;
    double lowest = 9, highest = -9, most_down = 0, most_right = 0;
    ck_assert_msg(rig_prepare(&rig,
                              "[augment:a]\ntype = image_data_generator\nzoom_range = 0.2\nhorizontal_flip = yes\n"
                              "width_shift_range = 0.1\nheight_shift_range = 5\nfill_mode = reflect\n") == TN_OK,
                  "%s", rig.error.text);
    const struct tn_augment *augment = (const struct tn_augment *)rig.augments[0]->type;
    struct tn_random random = tn_random_stream(1, 1);
    for (int i = 0; i < 4000; i++) {
        struct tn_affine map = TN_AFFINE_IDENTITY;
        ck_assert_int_eq(augment->affine(rig.augments[0]->self, 100, 50, &random, &map, &fill_mode, &fill_value, NULL),
                         TN_OK);
        flipped += map.xx < 0;
        ck_assert(map.yx == 0 && map.xy == 0);
        lowest = fmin(lowest, fmin(map.yy, fabs(map.xx))), highest = fmax(highest, fmax(map.yy, fabs(map.xx)));
        most_down = fmax(most_down, fabs(map.y0)), most_right = fmax(most_right, fabs(map.x0));
    }
    ck_assert_int_eq(fill_mode, TN_FILL_REFLECT);
    ck_assert(flipped > 1850 && flipped < 2150);
    ck_assert(lowest >= 0.8 && lowest < 0.81 && highest <= 1.2 && highest > 1.19);
    ck_assert(most_down <= 5 && most_down > 4.9 && most_right <= 5 && most_right > 4.9);
    struct tn_affine map = TN_AFFINE_IDENTITY;
    ck_assert_int_eq(augment->affine(rig.augments[0]->self, 100, 50, NULL, &map, &fill_mode, &fill_value, NULL), TN_OK);
    ck_assert(tn_affine_stays_inside(&map) && map.yy == 1 && map.xx == 1);
    rig_close(&rig);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("data sampling");
    TCase *sampling = tcase_create("sampling"), *chain = tcase_create("chain"), *generator = tcase_create("generator");
    tcase_set_timeout(sampling, 60);
    tcase_set_timeout(chain, 60);
    tcase_add_loop_test(sampling, any_map_of_any_picture_is_sampled_right, 0, 3);
    tcase_add_test(sampling, absurd_maps_stay_inside_of_the_picture);
    tcase_add_test(sampling, same_size_passes_through_untouched);
    tcase_add_test(sampling, flips_are_exact);
    tcase_add_test(sampling, halving_averages_blocks);
    tcase_add_test(chain, augmentations_happen_in_their_order);
    tcase_add_test(chain, random_ones_sit_out_where_nothing_is_trained);
    tcase_add_test(chain, a_map_that_is_not_finite_is_an_error);
    tcase_add_test(chain, exact_mode_equals_decode_and_resize);
    tcase_add_test(chain, fast_mode_does_not_shift_the_picture);
    tcase_add_loop_test(generator, wrong_ranges_are_refused, 0, 8);
    tcase_add_test(generator, draws_keep_to_their_ranges);
    suite_add_tcase(suite, sampling);
    suite_add_tcase(suite, chain);
    suite_add_tcase(suite, generator);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(make_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
