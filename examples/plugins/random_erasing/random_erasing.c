/* random_erasing.c: an augmentation: a random rectangle of a picture is filled with one value or with noise
 * (Zhong et al., "Random Erasing Data Augmentation", AAAI 2020). */
#include <math.h>

#include <tenon/plugin.h>

enum { FILL_VALUE = 0, FILL_NOISE = 1 };

struct random_erasing {
    double probability, value;
    struct tn_numbers area, aspect;
    int32_t fill;
};

static const struct tn_option options[] = {
    TN_FLOAT(struct random_erasing, probability, 0.5, 0.0, 1.0, "chance that a picture loses a rectangle"),
    TN_NUMBERS(struct random_erasing, area, "0.02, 0.33", 0.0, 1.0, "least and largest share of the picture"),
    TN_NUMBERS(struct random_erasing, aspect, "0.3, 3.3", 0.01, 100.0, "least and largest height / width"),
    TN_ENUM(struct random_erasing, fill, FILL_VALUE, "value|noise", "what the rectangle is filled with"),
    TN_FLOAT(struct random_erasing, value, 0.0, -TN_ANY, TN_ANY, "with fill = value: 0..255 unless rescaled before"),
    TN_END,
};

static tn_status check_pair(const char *name, const struct tn_numbers *pair, struct tn_error *error)
{
    if (pair->count != 2 || pair->items[0] > pair->items[1])
        return tn_fail(error, TN_INVALID, "%s: two numbers are expected, the smaller one first", name);
    return TN_OK;
}

/* The host has checked each option by itself; what options owe each other is checked here. */
static tn_status open_(void *self, const struct tn_host *host, struct tn_error *error)
{
    const struct random_erasing *o = self;
    tn_status status = check_pair("area", &o->area, error);
    (void)host;
    return status == TN_OK ? check_pair("aspect", &o->aspect, error) : status;
}

static void erase(const struct random_erasing *o, struct tn_image *image, int32_t top, int32_t left, int32_t height,
                  int32_t width, struct tn_random *random)
{
    float *pixels = image->pixels;
    for (int32_t y = top; y < top + height; y++) {
        float *row = pixels + ((size_t)y * (size_t)image->width + (size_t)left) * (size_t)image->channels;
        for (int32_t i = 0; i < width * image->channels; i++)
            row[i] = o->fill == FILL_NOISE ? (float)tn_random_uniform(random, 0, 255) : (float)o->value;
    }
}

/* [worker]: many threads at once. `self` is read only, and chance comes from `random` alone: a run repeats. */
static tn_status apply(const void *self, struct tn_image *image, struct tn_random *random, struct tn_error *error)
{
    const struct random_erasing *o = self;
    double pixels = (double)image->height * image->width;
    (void)error;
    if (tn_random_unit(random) >= o->probability)
        return TN_OK;
    for (int attempt = 0; attempt < 10; attempt++) {
        double area = pixels * tn_random_uniform(random, o->area.items[0], o->area.items[1]);
        double aspect = exp(tn_random_uniform(random, log(o->aspect.items[0]), log(o->aspect.items[1])));
        double height = round(sqrt(area * aspect)), width = round(sqrt(area / aspect));
        if (height < 1 || width < 1 || height > image->height || width > image->width)
            continue;
        erase(o, image, (int32_t)tn_random_below(random, (uint64_t)(image->height - (int32_t)height + 1)),
              (int32_t)tn_random_below(random, (uint64_t)(image->width - (int32_t)width + 1)), (int32_t)height,
              (int32_t)width, random);
        break;
    }
    return TN_OK;
}

static const struct tn_augment random_erasing = {
    TN_TYPE_WITH(TN_AUGMENT, "random_erasing", struct random_erasing, options,
                 "fills a random rectangle with a value or noise", 0, open_, NULL),
    .apply = apply,
};

TN_PLUGIN("example.random_erasing", "1.0.0", "Apache-2.0", &random_erasing.type);
