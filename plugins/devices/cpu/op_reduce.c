/* op_reduce.c: sums over axes, and the repetition that is their gradient. Sums are carried in double: broadcast
 * gradients may add up millions of terms. */
#include "broadcast.h"

struct details {
    struct tn_broadcast broadcast; /* result = x (the large one), operand 0 = y */
    uint64_t outputs;
    uint64_t tasks; /* ranges of rows, fixed when planned */
    bool shared;    /* every task has its own part of y; else each has its own sums */
};

struct sums {
    const struct details *details;
    const float *x;
    double *sums;
};

TN_VECTOR static void add_row(double *sums, const float *x, int64_t width)
{
    for (int64_t i = 0; i < width; i++)
        sums[i] += (double)x[i];
}

static void sum_range(void *context, uint64_t begin, uint64_t end)
{
    const struct sums *s = context;
    const struct details *d = s->details;
    const struct tn_broadcast *br = &d->broadcast;
    int64_t first_axis = br->rank > 1 ? br->dims[0] : 1, rows_each = br->rows / first_axis;
    for (uint64_t task = begin; task < end; task++) {
        double *sums = s->sums + (d->shared ? 0 : task * d->outputs);
        uint64_t units = d->shared ? (uint64_t)first_axis : (uint64_t)br->rows;
        int64_t scale = d->shared ? rows_each : 1;
        int64_t from = (int64_t)(units * task / d->tasks) * scale,
                to = (int64_t)(units * (task + 1) / d->tasks) * scale;
        for (int64_t row = from; row < to; row++) {
            double *target = sums + tn_broadcast_row(br, 0, row);
            const float *x = s->x + row * br->width;
            if (tn_broadcast_step(br, 0)) {
                add_row(target, x, br->width);
            } else {
                double sum = 0.0;
                for (int64_t i = 0; i < br->width; i++)
                    sum += (double)x[i];
                *target += sum;
            }
        }
    }
}

static tn_status sum_body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    const struct details *d = kernel->details;
    uint64_t parts = d->shared ? 1 : d->tasks;
    struct sums sums = {d, tn_floats(kernel, 0), (double *)(void *)tn_place(kernel, 2)};
    float *y = tn_floats(kernel, 1);
    (void)op;
    memset(sums.sums, 0, parts * d->outputs * sizeof *sums.sums);
    tn_parallel_for(run->cpu, d->tasks, 1, sum_range, &sums);
    for (uint64_t i = 0; i < d->outputs; i++) {
        double sum = 0.0;
        for (uint64_t part = 0; part < parts; part++)
            sum += sums.sums[part * d->outputs + i];
        y[i] = (float)sum;
    }
    return TN_OK;
}

void tn_plan_reduce_sum(struct tn_planning *planning)
{
    struct tn_value *x = tn_plan_value(planning, 0), *y = tn_plan_result(planning, 0);
    struct details *d = tn_plan_details(planning, sizeof *d);
    uint64_t first_axis;
    if (!x || !y || !d)
        return;
    if (!tn_broadcast_make(&d->broadcast, &x->shape, &y->shape, NULL)) {
        tn_plan_fail(planning, TN_INVALID, "the result of a sum has a shape that its input does not contain");
        return;
    }
    first_axis = d->broadcast.rank > 1 ? (uint64_t)d->broadcast.dims[0] : 1;
    d->outputs = tn_shape_elements(&y->shape);
    d->shared = d->broadcast.rank > 1 && d->broadcast.steps[0][0] != 0;
    d->tasks = d->shared ? first_axis : (uint64_t)d->broadcast.rows;
    if (d->tasks > (uint64_t)planning->cpu->threads)
        d->tasks = (uint64_t)planning->cpu->threads;
    tn_plan_body_place(planning, tn_plan_input(planning, 0, tn_layout_plain(planning->cpu, &x->shape, TN_F32)));
    tn_plan_body_place(planning, tn_plan_output(planning, 0, tn_layout_plain(planning->cpu, &y->shape, TN_F32)));
    tn_plan_body_place(planning, tn_plan_scratch(planning, (d->shared ? 1 : d->tasks) * d->outputs * sizeof(double)));
    tn_plan_body(planning, sum_body);
    planning->op->algorithm = "loop";
}

/* ---- gradient: dx = dy, repeated ---- */

struct repeat {
    const struct tn_broadcast *broadcast;
    const float *dy;
    float *dx;
};

static void repeat_range(void *context, uint64_t begin, uint64_t end)
{
    const struct repeat *r = context;
    int64_t width = r->broadcast->width;
    for (int64_t row = (int64_t)begin; row < (int64_t)end; row++) {
        const float *from = r->dy + tn_broadcast_row(r->broadcast, 0, row);
        float *to = r->dx + row * width;
        if (tn_broadcast_step(r->broadcast, 0))
            memcpy(to, from, (size_t)width * sizeof *to);
        else
            for (int64_t i = 0; i < width; i++)
                to[i] = *from;
    }
}

static tn_status repeat_body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    const struct details *d = kernel->details;
    struct repeat repeat = {&d->broadcast, tn_floats(kernel, 0), tn_floats(kernel, 1)};
    (void)op;
    tn_parallel_for(run->cpu, (uint64_t)d->broadcast.rows, 8192 / (uint64_t)d->broadcast.width + 1, repeat_range,
                    &repeat);
    return TN_OK;
}

void tn_plan_reduce_sum_gradient(struct tn_planning *planning)
{
    struct tn_value *dy = tn_plan_value(planning, 0), *dx = tn_plan_result(planning, 0);
    struct details *d = tn_plan_details(planning, sizeof *d);
    if (!dy || !dx || !d)
        return;
    if (!tn_broadcast_make(&d->broadcast, &dx->shape, &dy->shape, NULL)) {
        tn_plan_fail(planning, TN_INVALID, "the gradient of a sum has a shape that does not repeat to its input's");
        return;
    }
    tn_plan_body_place(planning, tn_plan_input(planning, 0, tn_layout_plain(planning->cpu, &dy->shape, TN_F32)));
    tn_plan_body_place(planning, tn_plan_output(planning, 0, tn_layout_plain(planning->cpu, &dx->shape, TN_F32)));
    tn_plan_body(planning, repeat_body);
    planning->op->algorithm = "loop";
}
