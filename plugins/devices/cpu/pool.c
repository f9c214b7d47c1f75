/* pool.c: see pool.h. */
#include "pool.h"
#include "lanes.h"

enum { STRIP = TN_LANES };

/* One strip of channels of one image: where it begins, and how many lanes it has. */
struct strip {
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

/* `again`: the last strip of a row of more than STRIP channels may begin earlier and repeat some, so that it is full.
 */
static struct strip strip_at(const struct tn_pool *pool, int64_t index)
{
    int64_t in_group = (pool->x.lanes + STRIP - 1) / STRIP, strips = strips_of(&pool->x);
    int64_t n = index / strips, g = index % strips / in_group, lane = index % in_group * STRIP;
    struct strip strip;
    strip.lanes = pool->x.lanes - lane < STRIP ? pool->x.lanes - lane : STRIP;
    strip.x_offset = n * pool->x.stride_n + g * pool->x.stride_g + lane;
    strip.y_offset = n * pool->y.stride_n + g * pool->y.stride_g + lane;
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

/* Index of outputs that pass no gradient, as a number. */
TN_INLINE int32_t dead_index(const struct tn_pool *pool)
{
    return pool->wide ? -1 : TN_POOL_DEAD;
}

TN_INLINE void store_index(const struct tn_pool *pool, void *index, int64_t at, const int32_t *which, int64_t lanes)
{
    for (int64_t c = 0; c < lanes; c++) {
        if (pool->wide)
            ((int32_t *)index)[at + c] = which[c];
        else
            ((uint8_t *)index)[at + c] = (uint8_t)which[c];
    }
}

TN_INLINE const float *pixel_of(const struct tn_pool *pool, const float *x, int64_t iy, int64_t ix)
{
    return x + iy * pool->x.stride_y + ix * pool->x.stride_x;
}

TN_INLINE int32_t number_of(const struct tn_pool *pool, struct span rows, struct span columns, int64_t iy, int64_t ix)
{
    return (int32_t)((iy - rows.origin) * pool->window.width + (ix - columns.origin));
}

/* The window has at least one pixel here. */
TN_INLINE void max_full(const struct tn_pool *pool, const float *x, struct span rows, struct span columns, float *y,
                        void *index, int64_t at)
{
    tn_floats16 best, value;
    tn_numbers16 which = {0}, take;
    tn_load16(&best, pixel_of(pool, x, rows.begin, columns.begin));
    which += number_of(pool, rows, columns, rows.begin, columns.begin);
    for (int64_t iy = rows.begin; iy < rows.end; iy++)
        for (int64_t ix = columns.begin; ix < columns.end; ix++) {
            tn_load16(&value, pixel_of(pool, x, iy, ix));
            take = value > best;
            tn_select16(&best, &take, &value, &best);
            which = (which & ~take) | (take & number_of(pool, rows, columns, iy, ix));
        }
    if (pool->relu) {
        take = best <= 0.0f; /* NaN is not, and stays */
        best = (tn_floats16)((tn_numbers16)best & ~take);
        which = (which & ~take) | (take & dead_index(pool));
    }
    if (y)
        tn_store16(y + at, &best);
    if (index && pool->wide)
        memcpy((int32_t *)index + at, &which, sizeof which);
    else if (index)
        tn_store_bytes16((uint8_t *)index + at, &which);
}

/* Fewer lanes, or a window that lies in the padding altogether. */
TN_INLINE void max_part(const struct tn_pool *pool, const float *x, struct span rows, struct span columns, float *y,
                        void *index, int64_t at, int64_t lanes)
{
    bool empty = rows.begin >= rows.end || columns.begin >= columns.end;
    float best[STRIP] = {0};
    int32_t which[STRIP];
    for (int64_t c = 0; c < lanes; c++) {
        which[c] = empty ? dead_index(pool) : number_of(pool, rows, columns, rows.begin, columns.begin);
        if (!empty)
            best[c] = pixel_of(pool, x, rows.begin, columns.begin)[c];
    }
    for (int64_t iy = rows.begin; iy < rows.end; iy++)
        for (int64_t ix = columns.begin; ix < columns.end; ix++)
            for (int64_t c = 0; c < lanes; c++) {
                float value = pixel_of(pool, x, iy, ix)[c];
                which[c] = value > best[c] ? number_of(pool, rows, columns, iy, ix) : which[c];
                best[c] = value > best[c] ? value : best[c];
            }
    for (int64_t c = 0; c < lanes; c++) {
        bool off = pool->relu && best[c] <= 0.0f;
        best[c] = off ? 0.0f : best[c];
        which[c] = off ? dead_index(pool) : which[c];
    }
    if (y)
        memcpy(y + at, best, (size_t)lanes * sizeof *y);
    if (index)
        store_index(pool, index, at, which, lanes);
}

TN_INLINE float average_factor(struct span rows, struct span columns)
{
    return rows.begin < rows.end && columns.begin < columns.end
               ? 1.0f / (float)((rows.end - rows.begin) * (columns.end - columns.begin))
               : 0.0f;
}

TN_INLINE void average_full(const struct tn_pool *pool, const float *x, struct span rows, struct span columns, float *y)
{
    tn_floats16 sum = {0}, value;
    for (int64_t iy = rows.begin; iy < rows.end; iy++)
        for (int64_t ix = columns.begin; ix < columns.end; ix++) {
            tn_load16(&value, pixel_of(pool, x, iy, ix));
            sum += value;
        }
    sum *= average_factor(rows, columns);
    tn_store16(y, &sum);
}

TN_INLINE void average_part(const struct tn_pool *pool, const float *x, struct span rows, struct span columns, float *y,
                            int64_t lanes)
{
    float sum[STRIP] = {0};
    for (int64_t iy = rows.begin; iy < rows.end; iy++)
        for (int64_t ix = columns.begin; ix < columns.end; ix++)
            for (int64_t c = 0; c < lanes; c++)
                sum[c] += pixel_of(pool, x, iy, ix)[c];
    for (int64_t c = 0; c < lanes; c++)
        y[c] = sum[c] * average_factor(rows, columns);
}

TN_INLINE void forward_row(const struct job *job, const struct strip *strip, int64_t oy)
{
    const struct tn_pool *pool = job->pool;
    const struct tn_window *w = &pool->window;
    const float *x = job->x + strip->x_offset;
    struct span rows = span_at(oy, w->stride_y, w->top, w->height, pool->x.height);
    for (int64_t ox = 0; ox < pool->y.width; ox++) {
        struct span columns = span_at(ox, w->stride_x, w->left, w->width, pool->x.width);
        int64_t at = strip->y_offset + oy * pool->y.stride_y + ox * pool->y.stride_x;
        bool full = strip->lanes == STRIP && rows.begin < rows.end && columns.begin < columns.end;
        if (w->mode == TN_POOL_MAX && full)
            max_full(pool, x, rows, columns, job->y, job->index, at);
        else if (w->mode == TN_POOL_MAX)
            max_part(pool, x, rows, columns, job->y, job->index, at, strip->lanes);
        else if (full)
            average_full(pool, x, rows, columns, job->y + at);
        else
            average_part(pool, x, rows, columns, job->y + at, strip->lanes);
    }
}

TN_VECTOR static void forward_range(void *context, uint64_t begin, uint64_t end)
{
    const struct job *job = context;
    int64_t height = job->pool->y.height;
    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        struct strip strip = strip_at(job->pool, i / height);
        forward_row(job, &strip, i % height);
    }
}

void tn_pool_forward(const struct tn_cpu *cpu, const struct tn_pool *pool, const float *x, float *y, void *index)
{
    struct job job = {pool, x, y, index, NULL, NULL};
    uint64_t rows = (uint64_t)(pool->y.batch * strips_of(&pool->x) * pool->y.height);
    tn_parallel_for(cpu, rows, 4096 / (uint64_t)(pool->x.width * STRIP) + 1, forward_range, &job);
}

/* ---- backward ---- */

TN_INLINE int32_t load_index(const struct tn_pool *pool, const void *index, int64_t at)
{
    return pool->wide ? ((const int32_t *)index)[at] : ((const uint8_t *)index)[at];
}

TN_INLINE void load_index16(const struct tn_pool *pool, tn_numbers16 *which, const void *index, int64_t at)
{
    if (pool->wide)
        memcpy(which, (const int32_t *)index + at, sizeof *which);
    else
        tn_load_bytes16(which, (const uint8_t *)index + at);
}

/* Windows that do not overlap: every input pixel is written once, by the window that it belongs to; the last window of
 * a row also clears what no window covers. */
TN_INLINE void expand_row(const struct job *job, const struct strip *strip, int64_t oy)
{
    const struct tn_pool *pool = job->pool;
    const struct tn_window *w = &pool->window;
    int64_t top = oy * w->stride_y - w->top, from_y = oy == 0 || top < 0 ? 0 : top;
    int64_t bottom = oy + 1 == pool->y.height ? pool->x.height : top + w->stride_y;
    for (int64_t ox = 0; ox < pool->y.width; ox++) {
        int64_t at = strip->y_offset + oy * pool->y.stride_y + ox * pool->y.stride_x;
        int64_t left = ox * w->stride_x - w->left, from_x = ox == 0 || left < 0 ? 0 : left;
        int64_t right = ox + 1 == pool->y.width ? pool->x.width : left + w->stride_x;
        bool full = strip->lanes == STRIP;
        tn_floats16 dy = {0}, value;
        tn_numbers16 which = {0};
        if (full) {
            tn_load16(&dy, job->dy + at);
            load_index16(pool, &which, job->index, at);
        }
        for (int64_t iy = from_y; iy < bottom; iy++)
            for (int64_t ix = from_x; ix < right; ix++) {
                float *pixel = job->dx + strip->x_offset + iy * pool->x.stride_y + ix * pool->x.stride_x;
                bool inside = iy >= top && ix >= left && iy - top < w->height && ix - left < w->width;
                int32_t k = inside ? (int32_t)((iy - top) * w->width + (ix - left)) : -2;
                if (full) {
                    value = (tn_floats16)((tn_numbers16)dy & (which == k));
                    tn_store16(pixel, &value);
                } else {
                    for (int64_t c = 0; c < strip->lanes; c++)
                        pixel[c] = load_index(pool, job->index, at + c) == k ? job->dy[at + c] : 0.0f;
                }
            }
    }
}

TN_VECTOR static void expand_range(void *context, uint64_t begin, uint64_t end)
{
    const struct job *job = context;
    int64_t height = job->pool->y.height;
    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        struct strip strip = strip_at(job->pool, i / height);
        expand_row(job, &strip, i % height);
    }
}

/* Adds one output's gradient to the pixels of its window. */
TN_INLINE void add_window(const struct job *job, float *dx, struct span rows, struct span columns, int64_t at,
                          int64_t lanes)
{
    const struct tn_pool *pool = job->pool;
    bool average = pool->window.mode == TN_POOL_AVERAGE, full = lanes == STRIP;
    float factor = average ? average_factor(rows, columns) : 1.0f;
    tn_floats16 dy = {0}, value;
    tn_numbers16 which = {0};
    if (full)
        tn_load16(&dy, job->dy + at);
    if (full && !average)
        load_index16(pool, &which, job->index, at);
    dy *= factor;
    for (int64_t iy = rows.begin; iy < rows.end; iy++)
        for (int64_t ix = columns.begin; ix < columns.end; ix++) {
            float *pixel = dx + iy * pool->x.stride_y + ix * pool->x.stride_x;
            int32_t k = number_of(pool, rows, columns, iy, ix);
            if (full) {
                tn_numbers16 take = which == k;
                tn_load16(&value, pixel);
                value += average ? dy : (tn_floats16)((tn_numbers16)dy & take);
                tn_store16(pixel, &value);
                continue;
            }
            for (int64_t c = 0; c < lanes; c++)
                if (average || load_index(pool, job->index, at + c) == k)
                    pixel[c] += job->dy[at + c] * factor;
        }
}

/* Windows that overlap, and averages: clear the strip, then add. */
TN_INLINE void add_strip(const struct job *job, const struct strip *strip)
{
    const struct tn_pool *pool = job->pool;
    const struct tn_window *w = &pool->window;
    float *dx = job->dx + strip->x_offset;
    for (int64_t i = 0; i < pool->x.height * pool->x.width; i++) /* rows follow each other in every layout */
        memset(dx + i * pool->x.stride_x, 0, (size_t)strip->lanes * sizeof *dx);
    for (int64_t oy = 0; oy < pool->y.height; oy++)
        for (int64_t ox = 0; ox < pool->y.width; ox++)
            add_window(job, dx, span_at(oy, w->stride_y, w->top, w->height, pool->x.height),
                       span_at(ox, w->stride_x, w->left, w->width, pool->x.width),
                       strip->y_offset + oy * pool->y.stride_y + ox * pool->y.stride_x, strip->lanes);
}

TN_VECTOR static void add_range(void *context, uint64_t begin, uint64_t end)
{
    const struct job *job = context;
    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        struct strip strip = strip_at(job->pool, i);
        add_strip(job, &strip);
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
