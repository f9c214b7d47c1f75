/* op_softmax.c: softmax and log softmax over the last axis, and their gradients. */
#include "kernel.h"
#include "vector_math.h"

struct rows {
    const float *x0, *x1;
    float *y;
    uint64_t width;
    bool logarithm;
};

TN_VECTOR static void softmax_row(const float *x, float *y, uint64_t width, bool logarithm)
{
    float largest = x[0], sum = 0.0f, factor;
    for (uint64_t i = 1; i < width; i++)
        largest = x[i] > largest ? x[i] : largest;
    if (logarithm) {
        for (uint64_t i = 0; i < width; i++)
            sum += tn_expf(x[i] - largest);
        factor = tn_logf(sum) + largest;
        TN_INDEPENDENT
        for (uint64_t i = 0; i < width; i++)
            y[i] = x[i] - factor;
        return;
    }
    TN_INDEPENDENT
    for (uint64_t i = 0; i < width; i++)
        y[i] = tn_expf(x[i] - largest);
    for (uint64_t i = 0; i < width; i++)
        sum += y[i];
    factor = 1.0f / sum;
    for (uint64_t i = 0; i < width; i++)
        y[i] *= factor;
}

static void forward_range(void *context, uint64_t begin, uint64_t end)
{
    const struct rows *r = context;
    for (uint64_t i = begin; i < end; i++)
        softmax_row(r->x0 + i * r->width, r->y + i * r->width, r->width, r->logarithm);
}

/* softmax: dx = y * (dy - sum(dy * y)).  log softmax: dx = dy - exp(y) * sum(dy). */
TN_VECTOR static void gradient_row(const float *dy, const float *y, float *dx, uint64_t width, bool logarithm)
{
    float sum = 0.0f;
    if (logarithm) {
        for (uint64_t i = 0; i < width; i++)
            sum += dy[i];
        TN_INDEPENDENT
        for (uint64_t i = 0; i < width; i++)
            dx[i] = dy[i] - tn_expf(y[i]) * sum;
        return;
    }
    for (uint64_t i = 0; i < width; i++)
        sum += dy[i] * y[i];
    TN_INDEPENDENT
    for (uint64_t i = 0; i < width; i++)
        dx[i] = y[i] * (dy[i] - sum);
}

static void gradient_range(void *context, uint64_t begin, uint64_t end)
{
    const struct rows *r = context;
    for (uint64_t i = begin; i < end; i++)
        gradient_row(r->x0 + i * r->width, r->x1 + i * r->width, r->y + i * r->width, r->width, r->logarithm);
}

static tn_status body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    const struct tn_shape *shape = &op->inputs[0]->shape;
    uint64_t width = shape->rank > 0 ? (uint64_t)shape->dims[shape->rank - 1] : 1;
    struct rows rows = {tn_floats(kernel, 0), tn_floats(kernel, 1), tn_floats(kernel, 2), width,
                        op->a.activation.function == TN_LOG_SOFTMAX};
    tn_parallel_for(run->cpu, tn_shape_elements(shape) / width, 1024 / width + 1,
                    op->kind == TN_OP_SOFTMAX ? forward_range : gradient_range, &rows);
    return TN_OK;
}

static void plan(struct tn_planning *planning, bool gradient)
{
    struct tn_value *x = tn_plan_value(planning, 0);
    const struct tn_layout *plain = x ? tn_layout_plain(planning->cpu, &x->shape, TN_F32) : NULL;
    int32_t function = planning->op->a.activation.function;
    if (function != TN_SOFTMAX && function != TN_LOG_SOFTMAX) {
        tn_plan_fail(planning, TN_UNSUPPORTED, "function %d is no softmax", (int)function);
        return;
    }
    tn_plan_body_place(planning, tn_plan_input(planning, 0, plain));
    if (gradient)
        tn_plan_body_place(planning, tn_plan_input(planning, 1, plain));
    else
        tn_plan_body_place(planning, (struct tn_place){TN_PLACE_NOWHERE, 0, 0, 0});
    tn_plan_body_place(planning, tn_plan_output(planning, 0, plain));
    tn_plan_overwrite(planning, 0);
    tn_plan_body(planning, body);
    planning->op->algorithm = "loop";
}

void tn_plan_softmax(struct tn_planning *planning)
{
    plan(planning, false);
}

void tn_plan_softmax_gradient(struct tn_planning *planning)
{
    plan(planning, true);
}
