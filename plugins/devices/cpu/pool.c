/* pool.c: see pool.h. */
#include "pool.h"

enum { STRIP = 16 };

/* One strip of channels of one image: where it begins, and how many lanes it has. */
struct strip {
    const float *from; /* of the image that is read */
    int64_t x_offset, y_offset;
    int64_t lanes;
};

struct job {
    const struct tn_pool *pool;
    const float *x;
    float *y;
    void *index;
    const float *dy;
    float *dx;
};

static int64_t out_size(int64_t size, int64_t window, int64_t stride, int64_t low, int64_t high)
{
    int64_t room = size + low + high - window;
    return room < 0 ? 0 : room / stride + 1;
}

bool tn_pool_make(struct tn_pool *pool, const struct tn_window *window, const struct tn_layout *x,
                  const struct tn_layout *y, bool relu)
{
    const struct tn_window *w = window;
    if (w->height < 1 || w->width < 1 || w->stride_y < 1 || w->stride_x < 1 || w->top < 0 || w->left < 0 ||
        w->bottom < 0 || w->right < 0 || (w->mode != TN_POOL_MAX && w->mode != TN_POOL_AVERAGE))
        return false;
    pool->window = *window;
    pool->x = tn_view_of(x);
    pool->y = tn_view_of(y);
    pool->relu = relu;
    pool->wide = (int64_t)w->height * w->width >= TN_POOL_DEAD;
    if (!tn_view_regroup(&pool->y, pool->x.lanes) && !tn_view_regroup(&pool->x, pool->y.lanes))
        return false;
    return x->shape.rank == 4 && y->shape.rank == 4 && pool->x.batch == pool->y.batch &&
           pool->x.channels == pool->y.channels &&
           out_size(pool->x.height, w->height, w->stride_y, w->top, w->bottom) >= pool->y.height &&
           out_size(pool->x.width, w->width, w->stride_x, w->left, w->right) >= pool->y.width;
}

uint64_t tn_pool_index_bytes(const struct tn_pool *pool)
{
    return (uint64_t)pool->y.batch * (uint64_t)pool->y.stride_n * (pool->wide ? sizeof(int32_t) : 1);
}

bool tn_pool_is_disjoint(const struct tn_window *window)
{
    return window->stride_y >= window->height && window->stride_x >= window->width;
}

static int64_t strips_of(const struct tn_view *view)
{
    return view->groups * ((view->lanes + STRIP - 1) / STRIP);
}

static struct strip strip_at(const struct tn_pool *pool, int64_t index)
{
    int64_t in_group = (pool->x.lanes + STRIP - 1) / STRIP, strips = strips_of(&pool->x);
    int64_t n = index / strips, g = index % strips / in_group, s = index % in_group;
    struct strip strip = {NULL, 0, 0, pool->x.lanes - s * STRIP};
    strip.x_offset = n * pool->x.stride_n + g * pool->x.stride_g + s * STRIP;
    strip.y_offset = n * pool->y.stride_n + g * pool->y.stride_g + s * STRIP;
    if (strip.lanes > STRIP)
        strip.lanes = STRIP;
    return strip;
}

/* The part of a window that lies inside the picture. */
struct span {
    int64_t begin, end; /* in picture coordinates */
    int64_t origin;     /* of the window; may be negative */
};

TN_INLINE struct span span_at(int64_t out, int64_t stride, int64_t low, int64_t window, int64_t size)
{
    struct span span = {out * stride - low, 0, out * stride - low};
    span.end = span.begin + window < size ? span.begin + window : size;
    if (span.begin < 0)
        span.begin = 0;
    return span;
}

/* ---- forward ---- */

TN_INLINE void store_index(const struct tn_pool *pool, void *index, int64_t at, const int32_t *which, int64_t lanes)
{
    if (pool->wide) {
        for (int64_t c = 0; c < lanes; c++)
            ((int32_t *)index)[at + c] = which[c];
    } else {
        for (int64_t c = 0; c < lanes; c++)
            ((uint8_t *)index)[at + c] = (uint8_t)which[c];
    }
}

TN_INLINE void max_pixel(const struct tn_pool *pool, const float *x, struct span rows, struct span columns, float *y,
                         void *index, int64_t at, int64_t lanes)
{
    float best[STRIP];
    int32_t which[STRIP];
    int32_t dead = pool->wide ? -1 : TN_POOL_DEAD;
    for (int64_t c = 0; c < lanes; c++)
        best[c] = -INFINITY, which[c] = dead;
    for (int64_t iy = rows.begin; iy < rows.end; iy++)
        for (int64_t ix = columns.begin; ix < columns.end; ix++) {
            const float *pixel = x + iy * pool->x.stride_y + ix * pool->x.stride_x;
            int32_t k = (int32_t)((iy - rows.origin) * pool->window.width + (ix - columns.origin));
            for (int64_t c = 0; c < lanes; c++) {
                bool take = (pixel[c] > best[c]) | (pixel[c] != pixel[c]) | (which[c] == dead);
                best[c] = take ? pixel[c] : best[c];
                which[c] = take ? k : which[c];
            }
        }
    for (int64_t c = 0; c < lanes; c++) {
        bool none = which[c] == dead; /* the window lies in the padding altogether */
        bool off = none | (pool->relu & (best[c] <= 0.0f));
        best[c] = off ? 0.0f : best[c];
        which[c] = off ? dead : which[c];
    }
    if (y)
        for (int64_t c = 0; c < lanes; c++)
            y[at + c] = best[c];
    if (index)
        store_index(pool, index, at, which, lanes);
}

TN_INLINE void average_pixel(const struct tn_pool *pool, const float *x, struct span rows, struct span columns,
                             float *y, int64_t lanes)
{
    float sum[STRIP];
    int64_t count = (rows.end - rows.begin) * (columns.end - columns.begin);
    float factor = rows.end > rows.begin && columns.end > columns.begin ? 1.0f / (float)count : 0.0f;
    for (int64_t c = 0; c < lanes; c++)
        sum[c] = 0.0f;
    for (int64_t iy = rows.begin; iy < rows.end; iy++)
        for (int64_t ix = columns.begin; ix < columns.end; ix++)
            for (int64_t c = 0; c < lanes; c++)
                sum[c] += x[iy * pool->x.stride_y + ix * pool->x.stride_x + c];
    for (int64_t c = 0; c < lanes; c++)
        y[c] = sum[c] * factor;
}

TN_INLINE void forward_row(const struct job *job, const struct strip *strip, int64_t oy, int64_t lanes)
{
    const struct tn_pool *pool = job->pool;
    const struct tn_window *w = &pool->window;
    struct span rows = span_at(oy, w->stride_y, w->top, w->height, pool->x.height);
    for (int64_t ox = 0; ox < pool->y.width; ox++) {
        struct span columns = span_at(ox, w->stride_x, w->left, w->width, pool->x.width);
        int64_t at = strip->y_offset + oy * pool->y.stride_y + ox * pool->y.stride_x;
        if (w->mode == TN_POOL_MAX)
            max_pixel(pool, job->x + strip->x_offset, rows, columns, job->y, job->index, at, lanes);
        else
            average_pixel(pool, job->x + strip->x_offset, rows, columns, job->y + at, lanes);
    }
}

TN_VECTOR static void forward_range(void *context, uint64_t begin, uint64_t end)
{
    const struct job *job = context;
    int64_t height = job->pool->y.height;
    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        struct strip strip = strip_at(job->pool, i / height);
        if (strip.lanes == STRIP)
            forward_row(job, &strip, i % height, STRIP);
        else
            forward_row(job, &strip, i % height, strip.lanes);
    }
}

void tn_pool_forward(const struct tn_cpu *cpu, const struct tn_pool *pool, const float *x, float *y, void *index)
{
    struct job job = {pool, x, y, index, NULL, NULL};
    uint64_t rows = (uint64_t)(pool->y.batch * strips_of(&pool->x) * pool->y.height);
    tn_parallel_for(cpu, rows, 4096 / (uint64_t)(pool->x.width * STRIP) + 1, forward_range, &job);
}

/* ---- backward ---- */

TN_INLINE void load_index(const struct tn_pool *pool, const void *index, int64_t at, int32_t *which, int64_t lanes)
{
    if (pool->wide) {
        for (int64_t c = 0; c < lanes; c++)
            which[c] = ((const int32_t *)index)[at + c];
    } else {
        for (int64_t c = 0; c < lanes; c++)
            which[c] = ((const uint8_t *)index)[at + c];
    }
}

/* Windows that do not overlap: every input pixel is written once, by the window that it belongs to; the last window of
 * a row also clears what no window covers. */
TN_INLINE void expand_row(const struct job *job, const struct strip *strip, int64_t oy, int64_t lanes)
{
    const struct tn_pool *pool = job->pool;
    const struct tn_window *w = &pool->window;
    int64_t top = oy * w->stride_y - w->top, left, right, bottom;
    bottom = oy + 1 == pool->y.height ? pool->x.height : top + w->stride_y;
    for (int64_t ox = 0; ox < pool->y.width; ox++) {
        int64_t at = strip->y_offset + oy * pool->y.stride_y + ox * pool->y.stride_x;
        const float *dy = job->dy + at;
        int32_t which[STRIP];
        load_index(pool, job->index, at, which, lanes);
        left = ox * w->stride_x - w->left;
        right = ox + 1 == pool->y.width ? pool->x.width : left + w->stride_x;
        for (int64_t iy = oy == 0 || top < 0 ? 0 : top; iy < bottom; iy++)
            for (int64_t ix = ox == 0 || left < 0 ? 0 : left; ix < right; ix++) {
                float *pixel = job->dx + strip->x_offset + iy * pool->x.stride_y + ix * pool->x.stride_x;
                bool inside = iy >= top && ix >= left && iy - top < w->height && ix - left < w->width;
                int32_t k = inside ? (int32_t)((iy - top) * w->width + (ix - left)) : -2;
                for (int64_t c = 0; c < lanes; c++)
                    pixel[c] = which[c] == k ? dy[c] : 0.0f;
            }
    }
}

TN_VECTOR static void expand_range(void *context, uint64_t begin, uint64_t end)
{
    const struct job *job = context;
    int64_t height = job->pool->y.height;
    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        struct strip strip = strip_at(job->pool, i / height);
        if (strip.lanes == STRIP)
            expand_row(job, &strip, i % height, STRIP);
        else
            expand_row(job, &strip, i % height, strip.lanes);
    }
}

/* Windows that overlap, and averages: clear the strip, then add. */
TN_INLINE void add_strip(const struct job *job, const struct strip *strip, int64_t lanes)
{
    const struct tn_pool *pool = job->pool;
    const struct tn_window *w = &pool->window;
    float *dx = job->dx + strip->x_offset;
    for (int64_t iy = 0; iy < pool->x.height; iy++)
        for (int64_t ix = 0; ix < pool->x.width; ix++)
            for (int64_t c = 0; c < lanes; c++)
                dx[iy * pool->x.stride_y + ix * pool->x.stride_x + c] = 0.0f;
    for (int64_t oy = 0; oy < pool->y.height; oy++)
        for (int64_t ox = 0; ox < pool->y.width; ox++) {
            struct span rows = span_at(oy, w->stride_y, w->top, w->height, pool->x.height);
            struct span columns = span_at(ox, w->stride_x, w->left, w->width, pool->x.width);
            int64_t at = strip->y_offset + oy * pool->y.stride_y + ox * pool->y.stride_x;
            int64_t count = (rows.end - rows.begin) * (columns.end - columns.begin);
            bool average = w->mode == TN_POOL_AVERAGE;
            float factor = average && count > 0 ? 1.0f / (float)count : 1.0f;
            int32_t which[STRIP] = {0};
            if (!average)
                load_index(pool, job->index, at, which, lanes);
            for (int64_t iy = rows.begin; iy < rows.end; iy++)
                for (int64_t ix = columns.begin; ix < columns.end; ix++) {
                    float *pixel = dx + iy * pool->x.stride_y + ix * pool->x.stride_x;
                    int32_t k = (int32_t)((iy - rows.origin) * w->width + (ix - columns.origin));
                    for (int64_t c = 0; c < lanes; c++)
                        pixel[c] += average | (which[c] == k) ? job->dy[at + c] * factor : 0.0f;
                }
        }
}

TN_VECTOR static void add_range(void *context, uint64_t begin, uint64_t end)
{
    const struct job *job = context;
    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        struct strip strip = strip_at(job->pool, i);
        if (strip.lanes == STRIP)
            add_strip(job, &strip, STRIP);
        else
            add_strip(job, &strip, strip.lanes);
    }
}

void tn_pool_backward(const struct tn_cpu *cpu, const struct tn_pool *pool, const float *dy, const void *index,
                      float *dx)
{
    struct job job = {pool, NULL, NULL, (void *)(uintptr_t)index, dy, dx};
    uint64_t strips = (uint64_t)(pool->y.batch * strips_of(&pool->x));
    if (pool->window.mode == TN_POOL_MAX && tn_pool_is_disjoint(&pool->window))
        tn_parallel_for(cpu, strips * (uint64_t)pool->y.height, 4096 / (uint64_t)(pool->x.width * STRIP) + 1,
                        expand_range, &job);
    else
        tn_parallel_for(cpu, strips, 1, add_range, &job);
}
