/* sampling.c: one pass from a decoded picture to the slot of a batch: resize, geometry, scale and shift, store.
 *
 * Each output row is cut into at most five spans, left to right:
 *
 *     outside | clamped | interior | clamped | outside
 *
 * "Outside" lies beyond the edge of the target and follows the fill mode. "Interior" has all four neighbours in the
 * picture and walks in 32.32 fixed point without any check. "Clamped" is the seam between them, where a neighbour is
 * the edge pixel itself. All blends are a + (b - a) * f in float, so the SSE2 and the plain kernel give the same bits,
 * and all agree with TensorFlow's and SciPy's bilinear rule to float rounding.
 */
#include "data/sampling.h"

#include <math.h>
#include <string.h>

#include "data/kernels.h"

/* A position may miss an edge by this much and still count as on it: rounding of the walk, far below a grey level. */
static const double EDGE = 0x1p-20;
/* Room for what a fixed-point walk of 32,768 steps may drift. */
static const double SEAM = 0x1p-16;

/* A quantity that changes linearly along a row: value at pixel 0, and the step. */
struct line {
    double start, step;
};

static double line_at(const struct line *line, int32_t x)
{
    return line->start + x * line->step;
}

static int32_t clip_to_row(double x, int32_t width)
{
    return x <= 0 ? 0 : x >= width ? width : (int32_t)x;
}

/* Narrows [*first, *last) to the pixels where low <= line <= high. */
static void narrow(const struct line *line, double low, double high, int32_t width, int32_t *first, int32_t *last)
{
    if (line->step != 0) {
        double a = (low - line->start) / line->step, b = (high - line->start) / line->step;
        int32_t from = clip_to_row(ceil(fmin(a, b)), width), to = clip_to_row(floor(fmax(a, b)) + 1, width);
        *first = from > *first ? from : *first;
        *last = to < *last ? to : *last;
    }
    /* The division rounds: settle both ends by the value itself. */
    while (*first < *last && !(line_at(line, *first) >= low && line_at(line, *first) <= high))
        ++*first;
    while (*first < *last && !(line_at(line, *last - 1) >= low && line_at(line, *last - 1) <= high))
        --*last;
    if (*last < *first)
        *last = *first;
}

static double clamped(double value, double high)
{
    return !(value > 0) ? 0 : value > high ? high : value;
}

/* SciPy's folding of a position on an axis of n pixels (reflect: d c b a | a b c d | d c b a; wrap has period n-1). */
static double folded(double p, int32_t n, int32_t fill_mode)
{
    if (n == 1)
        return 0;
    if (fill_mode == TN_FILL_REFLECT) {
        double q = fmod(p + 0.5, 2.0 * n);
        if (q < 0)
            q += 2.0 * n;
        if (q > n)
            q = 2.0 * n - q;
        return clamped(q - 0.5, n - 1);
    }
    double period = n - 1;
    if (p < 0)
        return p + period * (trunc(-p / period) + 1);
    return p > period ? p - period * trunc(p / period) : p;
}

/* One row on its way: where its pixels lie in the target and in the picture. */
struct row {
    const struct tn_sampling *sampling;
    struct tn_kernel kernel;
    struct line target_y, target_x; /* in pixels of the target */
    struct line y, x;               /* in pixels of the picture */
    unsigned char *out;
    size_t pixel_bytes;
};

static void row_outside(const struct row *row, int32_t from, int32_t to)
{
    const struct tn_sampling *s = row->sampling;
    for (int32_t i = from; i < to; i++) {
        void *out = row->out + (size_t)i * row->pixel_bytes;
        if (s->fill_mode == TN_FILL_CONSTANT) {
            tn_kernel_fill(&row->kernel, out, s->fill_value);
            continue;
        }
        double y = folded(line_at(&row->target_y, i), s->height, s->fill_mode);
        double x = folded(line_at(&row->target_x, i), s->width, s->fill_mode);
        tn_kernel_point(&row->kernel, out, (y + 0.5) * s->ratio_y - 0.5, (x + 0.5) * s->ratio_x - 0.5);
    }
}

static void row_clamped(const struct row *row, int32_t from, int32_t to)
{
    for (int32_t i = from; i < to; i++)
        tn_kernel_point(&row->kernel, row->out + (size_t)i * row->pixel_bytes, line_at(&row->y, i),
                        line_at(&row->x, i));
}

static void row_run(const struct row *row)
{
    const struct tn_sampling *s = row->sampling;
    const struct tn_image *in = row->kernel.in;
    int32_t width = s->width, inside_first = 0, inside_last = width;
    if (s->fill_mode != TN_FILL_NEAREST) {
        narrow(&row->target_y, -EDGE, s->height - 1 + EDGE, width, &inside_first, &inside_last);
        narrow(&row->target_x, -EDGE, s->width - 1 + EDGE, width, &inside_first, &inside_last);
    }
    int32_t first = inside_first, last = inside_last;
    /* Nearest pixels may lie half a pixel further out; a blend needs both of its neighbours inside. */
    double margin = s->nearest ? SEAM - 0.5 : SEAM;
    narrow(&row->y, margin, in->height - 1 - margin, width, &first, &last);
    narrow(&row->x, margin, in->width - 1 - margin, width, &first, &last);
    row_outside(row, 0, inside_first);
    row_clamped(row, inside_first, first);
    if (first < last) {
        struct tn_walk walk = {
            line_at(&row->y, first), line_at(&row->x, first), row->y.step, row->x.step, last - first, last == width};
        tn_kernel_walk(&row->kernel, row->out + (size_t)first * row->pixel_bytes, &walk);
    }
    row_clamped(row, last, inside_last);
    row_outside(row, inside_last, width);
}

/* Picture and target have one size and nothing moves but for flips: no sampling, exact. */
static bool passes_through(const struct tn_sampling *s, const struct tn_image *in)
{
    return in->height == s->height && in->width == s->width && s->ratio_y == 1 && s->ratio_x == 1 &&
           tn_affine_stays_inside(&s->map);
}

/* Nearest pixels of a picture that is resized and flipped at most. */
static void pick_row(const struct tn_sampling *s, const struct row *row, int32_t i)
{
    int32_t y = tn_kernel_nearest(s->map.yy < 0 ? s->height - 1 - i : i, s->ratio_y, row->kernel.in->height);
    tn_kernel_pick_row(&row->kernel, row->out, y, s->width, s->ratio_x, s->map.xx < 0);
}

void tn_sampling_run(const struct tn_sampling *sampling, const struct tn_image *in, void *out)
{
    const struct tn_affine *map = &sampling->map;
    struct row row = {.sampling = sampling};
    row.kernel = tn_kernel_choose(in, sampling->channels, sampling->pixel_type, sampling->nearest, &sampling->scale);
    row.pixel_bytes = (size_t)sampling->channels * (sampling->pixel_type == TN_PIXEL_U8 ? 1 : sizeof(float));
    double centre_y = (sampling->height - 1) / 2.0, centre_x = (sampling->width - 1) / 2.0;
    row.target_y.step = map->yx, row.target_x.step = map->xx;
    row.y.step = map->yx * sampling->ratio_y, row.x.step = map->xx * sampling->ratio_x;
    bool copy = passes_through(sampling, in), pick = sampling->nearest && tn_affine_stays_inside(map);
    for (int32_t i = 0; i < sampling->height; i++) {
        row.out = (unsigned char *)out + (size_t)i * (size_t)sampling->width * row.pixel_bytes;
        if (copy) {
            tn_kernel_copy_row(&row.kernel, row.out, map->yy < 0 ? sampling->height - 1 - i : i, map->xx < 0);
            continue;
        }
        if (pick) {
            pick_row(sampling, &row, i);
            continue;
        }
        double y = i - centre_y;
        row.target_y.start = map->yy * y - map->yx * centre_x + map->y0 + centre_y;
        row.target_x.start = map->xy * y - map->xx * centre_x + map->x0 + centre_x;
        row.y.start = (row.target_y.start + 0.5) * sampling->ratio_y - 0.5;
        row.x.start = (row.target_x.start + 0.5) * sampling->ratio_x - 0.5;
        row_run(&row);
    }
}
