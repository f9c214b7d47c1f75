/* op_global_pool.c: the mean or the maximum over all pixels of each channel. */
#include "kernel.h"

struct details {
    struct tn_view view; /* of x */
    bool maximum;
};

struct job {
    const struct details *details;
    const float *x, *dy;
    float *y, *dx;
};

enum { STRIP = 16 };

static int64_t strips_of(const struct tn_view *view)
{
    return view->groups * ((view->lanes + STRIP - 1) / STRIP);
}

/* Where strip i begins in x and in y, and its channels without padding. */
static int64_t strip_at(const struct tn_view *v, int64_t i, int64_t *x_offset, int64_t *y_offset)
{
    int64_t in_group = (v->lanes + STRIP - 1) / STRIP, n = i / strips_of(v);
    int64_t g = i % strips_of(v) / in_group, s = i % in_group, left;
    *x_offset = n * v->stride_n + g * v->stride_g + s * STRIP;
    *y_offset = n * v->channels + g * v->lanes + s * STRIP;
    left = tn_view_used(v, g) - s * STRIP;
    return left < STRIP ? left : STRIP;
}

/* Rows are summed first, then the rows' sums: shorter chains of additions, smaller rounding errors. */
TN_INLINE void mean_strip(const struct tn_view *v, const float *x, float *y, int64_t lanes)
{
    float total[STRIP] = {0}, factor = 1.0f / (float)(v->height * v->width);
    for (int64_t iy = 0; iy < v->height; iy++) {
        float row[STRIP] = {0};
        for (int64_t ix = 0; ix < v->width; ix++)
            for (int64_t c = 0; c < lanes; c++)
                row[c] += x[iy * v->stride_y + ix * v->stride_x + c];
        for (int64_t c = 0; c < lanes; c++)
            total[c] += row[c];
    }
    for (int64_t c = 0; c < lanes; c++)
        y[c] = total[c] * factor;
}

/* Value and pixel number of the first maximum. */
TN_INLINE void maximum_strip(const struct tn_view *v, const float *x, float *best, int32_t *where, int64_t lanes)
{
    for (int64_t c = 0; c < lanes; c++)
        best[c] = x[c], where[c] = 0;
    for (int64_t i = 1; i < v->height * v->width; i++) /* rows follow each other in every layout */
        for (int64_t c = 0; c < lanes; c++) {
            float value = x[i * v->stride_x + c];
            bool take = (value > best[c]) | (value != value);
            best[c] = take ? value : best[c];
            where[c] = take ? (int32_t)i : where[c];
        }
}

TN_VECTOR static void forward_range(void *context, uint64_t begin, uint64_t end)
{
    const struct job *job = context;
    const struct tn_view *v = &job->details->view;
    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        int64_t x_offset, y_offset, lanes = strip_at(v, i, &x_offset, &y_offset);
        float best[STRIP];
        int32_t where[STRIP];
        if (lanes <= 0)
            continue;
        if (!job->details->maximum) {
            if (lanes == STRIP)
                mean_strip(v, job->x + x_offset, job->y + y_offset, STRIP);
            else
                mean_strip(v, job->x + x_offset, job->y + y_offset, lanes);
            continue;
        }
        maximum_strip(v, job->x + x_offset, best, where, lanes);
        memcpy(job->y + y_offset, best, (size_t)lanes * sizeof(float));
    }
}

TN_VECTOR static void backward_range(void *context, uint64_t begin, uint64_t end)
{
    const struct job *job = context;
    const struct tn_view *v = &job->details->view;
    float factor = 1.0f / (float)(v->height * v->width);
    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        int64_t x_offset, y_offset, lanes = strip_at(v, i, &x_offset, &y_offset);
        int64_t stored = v->lanes < STRIP ? v->lanes : STRIP;
        float best[STRIP], each[STRIP] = {0};
        int32_t where[STRIP];
        if (lanes > 0)
            memcpy(each, job->dy + y_offset, (size_t)lanes * sizeof(float));
        if (stored > lanes && v->lanes == v->channels) /* the last strip of a plain row has no padding */
            stored = lanes;
        if (job->details->maximum && lanes > 0)
            maximum_strip(v, job->x + x_offset, best, where, lanes);
        for (int64_t p = 0; p < v->height * v->width; p++)
            for (int64_t c = 0; c < stored; c++) {
                float value = job->details->maximum ? (c < lanes && where[c] == p ? each[c] : 0.0f) : each[c] * factor;
                job->dx[x_offset + p * v->stride_x + c] = value;
            }
    }
}

/* Places: x, y. */
static tn_status forward_body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    const struct details *d = kernel->details;
    struct job job = {d, tn_floats(kernel, 0), NULL, tn_floats(kernel, 1), NULL};
    (void)op;
    tn_parallel_for(run->cpu, (uint64_t)(d->view.batch * strips_of(&d->view)), 4, forward_range, &job);
    return TN_OK;
}

/* Places: dy, dx, x (maximum only). */
static tn_status backward_body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    const struct details *d = kernel->details;
    struct job job = {d, tn_floats(kernel, 2), tn_floats(kernel, 0), NULL, tn_floats(kernel, 1)};
    (void)op;
    tn_parallel_for(run->cpu, (uint64_t)(d->view.batch * strips_of(&d->view)), 4, backward_range, &job);
    return TN_OK;
}

static bool check(struct tn_planning *planning, const struct tn_shape *x, const struct tn_shape *y)
{
    int32_t mode = planning->op->a.pool.mode;
    if (x->rank != 4 || tn_shape_elements(y) != (uint64_t)x->dims[0] * (uint64_t)x->dims[3]) {
        tn_plan_fail(planning, TN_INVALID, "global pooling needs [N, H, W, C] and gives one value for each channel");
        return false;
    }
    if (mode != TN_POOL_MAX && mode != TN_POOL_AVERAGE) {
        tn_plan_fail(planning, TN_UNSUPPORTED, "global pooling has no mode %d", (int)mode);
        return false;
    }
    return true;
}

void tn_plan_global_pool(struct tn_planning *planning)
{
    struct tn_value *x = tn_plan_value(planning, 0), *y = tn_plan_result(planning, 0);
    struct details *d = tn_plan_details(planning, sizeof *d);
    const struct tn_layout *layout;
    if (!x || !y || !d || !check(planning, &x->shape, &y->shape) || !(layout = tn_plan_layout(planning, x)))
        return;
    d->view = tn_view_of(layout);
    d->maximum = planning->op->a.pool.mode == TN_POOL_MAX;
    tn_plan_body_place(planning, tn_plan_input(planning, 0, layout));
    tn_plan_body_place(planning, tn_plan_output(planning, 0, tn_layout_plain(planning->cpu, &y->shape, TN_F32)));
    tn_plan_body(planning, forward_body);
    planning->op->algorithm = "loop";
}

void tn_plan_global_pool_gradient(struct tn_planning *planning)
{
    struct tn_value *dy = tn_plan_value(planning, 0), *x = tn_plan_value(planning, 1);
    struct details *d = tn_plan_details(planning, sizeof *d);
    const struct tn_layout *layout;
    if (!dy || !x || !d || !check(planning, &x->shape, &dy->shape) || !(layout = tn_plan_layout(planning, x)))
        return;
    d->view = tn_view_of(layout);
    d->maximum = planning->op->a.pool.mode == TN_POOL_MAX;
    tn_plan_body_place(planning, tn_plan_input(planning, 0, tn_layout_plain(planning->cpu, &dy->shape, TN_F32)));
    tn_plan_body_place(planning, tn_plan_output(planning, 0, layout));
    tn_plan_body_place(planning, d->maximum ? tn_place_input(1) : (struct tn_place){TN_PLACE_NOWHERE, 0, 0, 0});
    tn_plan_body(planning, backward_body);
    planning->op->algorithm = "loop";
}
