/* shapes: draws a labelled data set of figures, so that there is something to train on without a download.
 *
 * Each picture shows one figure, whose kind is the class, on a background with a gradient and noise. Colour, brightness
 * (darker or lighter than the background), position, size and rotation are drawn: no pixel by itself tells the class,
 * so a linear model stays near chance. Picture `index` is a function of (seeds, index) and of the size asked for.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tenon/plugin.h"

enum { CLASS_LIMIT = 8, CORNER_LIMIT = 12 };

struct shapes {
    int64_t count, classes, start, seed;
    double noise, contrast;
    /* filled by scan() */
    uint64_t key, total;
    uint64_t class_first[CLASS_LIMIT], class_sizes[CLASS_LIMIT]; /* of the subset, in each class */
    int32_t height, width, channels;
};

static const struct tn_option shapes_options[] = {
    TN_INT(struct shapes, count, 2000, 1, 1000000000, "pictures"),
    TN_INT(struct shapes, classes, 6, 2, CLASS_LIMIT, "kinds of figures"),
    TN_INT(struct shapes, start, 0, 0, 1000000000000, "number of the first picture: other numbers, other pictures"),
    TN_INT(struct shapes, seed, 0, 0, 9007199254740992, "another set of pictures; joins the experiment's seed"),
    TN_FLOAT(struct shapes, noise, 0.05, 0.0, 1.0, "noise in each pixel, as a share of the full range"),
    TN_FLOAT(struct shapes, contrast, 0.35, 0.01, 0.9, "least difference in brightness of figure and background"),
    TN_END,
};

/* In the order of the alphabet, which is the order of class folders. */
static const char *const class_names[CLASS_LIMIT] = {"circle", "cross",    "ring",  "square",
                                                     "star",   "triangle", "wedge", "zigzag"};

/* ---- figures: signed distance from the edge, negative inside; the unit is the radius ---- */

struct point {
    double x, y;
};

struct outline {
    int count;
    struct point corners[CORNER_LIMIT];
};

static const struct outline cross = {12,
                                     {{-0.32, -0.95},
                                      {0.32, -0.95},
                                      {0.32, -0.32},
                                      {0.95, -0.32},
                                      {0.95, 0.32},
                                      {0.32, 0.32},
                                      {0.32, 0.95},
                                      {-0.32, 0.95},
                                      {-0.32, 0.32},
                                      {-0.95, 0.32},
                                      {-0.95, -0.32},
                                      {-0.32, -0.32}}};
static const struct outline square = {4, {{-0.78, -0.78}, {0.78, -0.78}, {0.78, 0.78}, {-0.78, 0.78}}};
static const struct outline star = {10,
                                    {{0, -1},
                                     {0.2351, -0.3236},
                                     {0.9511, -0.3090},
                                     {0.3804, 0.1236},
                                     {0.5878, 0.8090},
                                     {0, 0.4},
                                     {-0.5878, 0.8090},
                                     {-0.3804, 0.1236},
                                     {-0.9511, -0.3090},
                                     {-0.2351, -0.3236}}};
static const struct outline triangle = {3, {{0, -1}, {0.866, 0.5}, {-0.866, 0.5}}};
static const struct outline wedge = {6, {{-0.9, -0.8}, {-0.4, -0.8}, {0.75, 0}, {-0.4, 0.8}, {-0.9, 0.8}, {0.05, 0}}};
static const struct outline zigzag = {10,
                                      {{-0.85, -0.9},
                                       {0.8, -0.9},
                                       {0.8, -0.6},
                                       {-0.2, 0.5},
                                       {0.85, 0.5},
                                       {0.85, 0.9},
                                       {-0.8, 0.9},
                                       {-0.8, 0.6},
                                       {0.2, -0.5},
                                       {-0.85, -0.5}}};

/* Distance to the outline, with the sign of the crossing rule (Quilez, "2D distance functions"). */
static double outline_distance(const struct outline *outline, double x, double y)
{
    double nearest = INFINITY, sign = 1;
    for (int i = 0, before = outline->count - 1; i < outline->count; before = i++) {
        const struct point a = outline->corners[i], b = outline->corners[before];
        double edge_x = b.x - a.x, edge_y = b.y - a.y, to_x = x - a.x, to_y = y - a.y;
        double along = (to_x * edge_x + to_y * edge_y) / (edge_x * edge_x + edge_y * edge_y);
        along = along < 0 ? 0 : along > 1 ? 1 : along;
        double off_x = to_x - edge_x * along, off_y = to_y - edge_y * along;
        double square_distance = off_x * off_x + off_y * off_y;
        nearest = square_distance < nearest ? square_distance : nearest;
        int above = y >= a.y, below = y<b.y, left = edge_x * to_y> edge_y * to_x;
        if ((above && below && left) || (!above && !below && !left))
            sign = -sign;
    }
    return sign * sqrt(nearest);
}

static double figure_distance(int32_t figure, double x, double y)
{
    double radius = sqrt(x * x + y * y);
    switch (figure) {
    case 0:
        return radius - 0.9;
    case 1:
        return outline_distance(&cross, x, y);
    case 2:
        return fabs(radius - 0.72) - 0.22;
    case 3:
        return outline_distance(&square, x, y);
    case 4:
        return outline_distance(&star, x, y);
    case 5:
        return outline_distance(&triangle, x, y);
    case 6:
        return outline_distance(&wedge, x, y);
    default:
        return outline_distance(&zigzag, x, y);
    }
}

/* ---- a picture ---- */

struct scene {
    int32_t figure;
    double centre_x, centre_y, radius, cosine, sine; /* in pixels; rotation */
    double figure_colour[3], ground[3];
    double slope_x[3], slope_y[3]; /* gradient of the background over the whole picture */
};

static double brightness(const double colour[3])
{
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2];
}

static void draw_colour(struct tn_random *random, double colour[3])
{
    for (int c = 0; c < 3; c++)
        colour[c] = tn_random_uniform(random, 0.08, 0.92);
}

static struct scene draw_scene(const struct shapes *shapes, int32_t figure, struct tn_random *random)
{
    struct scene scene = {.figure = figure};
    double side = shapes->height < shapes->width ? shapes->height : shapes->width;
    double angle = tn_random_uniform(random, 0, 6.283185307179586);
    scene.cosine = cos(angle), scene.sine = sin(angle);
    scene.radius = side * tn_random_uniform(random, 0.3, 0.45);
    /* The figure may touch the edge, not leave the picture. */
    scene.centre_x = tn_random_uniform(random, 0.95 * scene.radius, shapes->width - 0.95 * scene.radius);
    scene.centre_y = tn_random_uniform(random, 0.95 * scene.radius, shapes->height - 0.95 * scene.radius);
    draw_colour(random, scene.ground);
    for (int c = 0; c < 3; c++) {
        scene.slope_x[c] = tn_random_uniform(random, -0.2, 0.2);
        scene.slope_y[c] = tn_random_uniform(random, -0.2, 0.2);
    }
    /* Bounded, so that an extreme contrast cannot hang: the last try stands. */
    for (int i = 0; i < 64; i++) {
        draw_colour(random, scene.figure_colour);
        if (fabs(brightness(scene.figure_colour) - brightness(scene.ground)) >= shapes->contrast)
            break;
    }
    return scene;
}

/* How much of a pixel the figure covers, by the distance of its centre. */
static double coverage(const struct scene *scene, double x, double y)
{
    double off_x = x - scene->centre_x, off_y = y - scene->centre_y;
    if (off_x * off_x + off_y * off_y > 2 * scene->radius * scene->radius + 4)
        return 0;
    double turned_x = (off_x * scene->cosine + off_y * scene->sine) / scene->radius;
    double turned_y = (off_y * scene->cosine - off_x * scene->sine) / scene->radius;
    double inside = 0.5 - figure_distance(scene->figure, turned_x, turned_y) * scene->radius;
    return inside < 0 ? 0 : inside > 1 ? 1 : inside;
}

static unsigned char to_byte(double value)
{
    return value <= 0 ? 0 : value >= 1 ? 255 : (unsigned char)(value * 255 + 0.5);
}

/* Three noises in -1..1 from the bits of one draw, each the sum of two uniform ones. */
static void draw_noise(struct tn_random *random, double noise[3])
{
    uint64_t bits = tn_random_bits(random);
    for (int c = 0; c < 3; c++, bits >>= 20)
        noise[c] = ((double)(bits & 1023) + (double)(bits >> 10 & 1023)) / 1023.0 - 1;
}

static void draw_picture(const struct shapes *shapes, const struct scene *scene, struct tn_random *random,
                         unsigned char *pixels)
{
    for (int32_t y = 0; y < shapes->height; y++)
        for (int32_t x = 0; x < shapes->width; x++) {
            double across = (x + 0.5) / shapes->width - 0.5, down = (y + 0.5) / shapes->height - 0.5;
            double covered = coverage(scene, x + 0.5, y + 0.5), noise[3], colour[3];
            draw_noise(random, noise);
            for (int c = 0; c < 3; c++) {
                double ground = scene->ground[c] + scene->slope_x[c] * across + scene->slope_y[c] * down;
                colour[c] = ground + (scene->figure_colour[c] - ground) * covered + shapes->noise * noise[c];
            }
            if (shapes->channels == 1) {
                *pixels++ = to_byte(brightness(colour));
                continue;
            }
            for (int c = 0; c < 3; c++)
                *pixels++ = to_byte(colour[c]);
            if (shapes->channels == 4)
                *pixels++ = 255;
        }
}

/* ---- the source ---- */

/* The class of a picture is its number modulo the classes. Distance from `start` to the first number of class c: */
static uint64_t first_of_class(const struct shapes *shapes, uint64_t c)
{
    uint64_t classes = (uint64_t)shapes->classes;
    return (c + classes - (uint64_t)shapes->start % classes) % classes;
}

static void split_classes(struct shapes *shapes, const struct tn_source_request *request)
{
    shapes->total = 0;
    for (uint64_t c = 0; c < (uint64_t)shapes->classes; c++) {
        uint64_t classes = (uint64_t)shapes->classes, count = (uint64_t)shapes->count;
        uint64_t size = count / classes + (first_of_class(shapes, c) < count % classes);
        uint64_t validation = (uint64_t)(request->validation_split * (double)size);
        shapes->class_first[c] = request->subset == TN_SUBSET_TRAINING ? validation : 0;
        shapes->class_sizes[c] = request->subset == TN_SUBSET_ALL        ? size
                                 : request->subset == TN_SUBSET_TRAINING ? size - validation
                                                                         : validation;
        shapes->total += shapes->class_sizes[c];
    }
}

/* Classes of the experiment have to be our first ones: there is no folder to look a name up in. */
static tn_status check_classes(struct shapes *shapes, const struct tn_source_request *request, struct tn_error *error)
{
    if (request->classes.count == 0)
        return TN_OK;
    if (request->classes.count < 2 || request->classes.count > CLASS_LIMIT)
        return tn_fail(error, TN_INVALID, "shapes have 2 to %d classes, not %u", (int)CLASS_LIMIT,
                       (unsigned)request->classes.count);
    for (uint32_t i = 0; i < request->classes.count; i++)
        if (strcmp(request->classes.items[i], class_names[i]) != 0)
            return tn_fail(error, TN_INVALID, "class %u of shapes is %s, not %s", (unsigned)i, class_names[i],
                           request->classes.items[i]);
    shapes->classes = request->classes.count;
    return TN_OK;
}

static tn_status shapes_scan(void *self, const struct tn_source_request *request, struct tn_source_info *info,
                             struct tn_error *error)
{
    struct shapes *shapes = self;
    uint32_t block[4];
    tn_status status = check_classes(shapes, request, error);
    if (status != TN_OK)
        return status;
    tn_random_block(request->seed, 0x736861706573u, (uint64_t)shapes->seed, block);
    shapes->key = (uint64_t)block[1] << 32 | block[0];
    shapes->height = request->target.height, shapes->width = request->target.width;
    shapes->channels = request->channels;
    split_classes(shapes, request);
    if (shapes->total == 0)
        return tn_fail(error, TN_INVALID, "no pictures are left: count = %lld, validation_split = %g",
                       (long long)shapes->count, request->validation_split);
    info->class_count = (uint32_t)shapes->classes;
    info->classes = class_names;
    info->class_sizes = shapes->class_sizes;
    info->count = shapes->total;
    return TN_OK;
}

/* Class and number of a sample; samples are in the order of their classes. */
static uint64_t locate(const struct shapes *shapes, uint64_t sample, int32_t *label)
{
    int32_t c = 0;
    while (c + 1 < shapes->classes && sample >= shapes->class_sizes[c])
        sample -= shapes->class_sizes[c++];
    *label = c;
    return (uint64_t)shapes->start + first_of_class(shapes, (uint64_t)c) +
           (shapes->class_first[c] + sample) * (uint64_t)shapes->classes;
}

static void shapes_name(const void *self, uint64_t sample, char *text, uint64_t text_bytes)
{
    int32_t label;
    unsigned long long number = locate(self, sample, &label);
    (void)snprintf(text, (size_t)text_bytes, "shapes#%llu", number);
}

static int32_t shapes_label(const void *self, uint64_t sample)
{
    int32_t label;
    (void)locate(self, sample, &label);
    return label;
}

static tn_status shapes_worker_open(const void *self, void **worker, struct tn_error *error)
{
    const struct shapes *shapes = self;
    *worker = malloc((size_t)shapes->height * (size_t)shapes->width * (size_t)shapes->channels);
    return *worker ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for a picture");
}

static void shapes_worker_close(const void *self, void *worker)
{
    (void)self;
    free(worker);
}

static tn_status shapes_read(const void *self, void *worker, uint64_t index, struct tn_sample *sample,
                             struct tn_error *error)
{
    const struct shapes *shapes = self;
    (void)error;
    struct tn_random random = tn_random_stream(shapes->key, locate(shapes, index, &sample->label));
    struct scene scene = draw_scene(shapes, sample->label, &random);
    draw_picture(shapes, &scene, &random, worker);
    sample->image = (struct tn_image){shapes->height, shapes->width, shapes->channels, TN_PIXEL_U8, worker};
    return TN_OK;
}

static const struct tn_source shapes = {
    TN_TYPE(TN_SOURCE, "shapes", struct shapes, shapes_options, "figures drawn on the fly: a data set without files"),
    .scan = shapes_scan,
    .name = shapes_name,
    .label = shapes_label,
    .worker_open = shapes_worker_open,
    .worker_close = shapes_worker_close,
    .read = shapes_read,
};

TN_PLUGIN("tenon.loaders.shapes", "0.1.0", "Apache-2.0", &shapes.type);
