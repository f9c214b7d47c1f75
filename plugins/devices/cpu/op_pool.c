/* op_pool.c: max and average pooling as ops of their own. */
#include "kernel.h"
#include "pool.h"

static tn_status forward_body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    (void)op;
    tn_pool_forward(run->cpu, kernel->details, tn_floats(kernel, 0), tn_floats(kernel, 1), tn_place(kernel, 2));
    return TN_OK;
}

void tn_plan_pool(struct tn_planning *planning)
{
    struct tn_value *x = tn_plan_value(planning, 0), *y = tn_plan_result(planning, 0);
    struct tn_value *workspace = tn_plan_result(planning, 1);
    struct tn_pool *pool = tn_plan_details(planning, sizeof *pool);
    const struct tn_layout *from, *to;
    struct tn_place index = {TN_PLACE_NOWHERE, 0, 0, 0};
    if (!x || !y || !pool || !(from = tn_plan_layout(planning, x)))
        return;
    to = tn_layout_activation(planning->cpu, &y->shape, from->plain ? TN_FORMAT_PLAIN : from->format);
    if (!to || !tn_pool_make(pool, &planning->op->a.pool, from, to, false)) {
        tn_plan_fail(planning, TN_INVALID, "the pooling window does not lead from the input's shape to the output's");
        return;
    }
    tn_plan_body_place(planning, tn_plan_input(planning, 0, from));
    tn_plan_body_place(planning, tn_plan_output(planning, 0, to));
    if (workspace && planning->op->a.pool.mode == TN_POOL_MAX) {
        workspace->planned = 1;
        workspace->bytes = tn_pool_index_bytes(pool);
        index = tn_place_output(1);
    }
    tn_plan_body_place(planning, index);
    tn_plan_body(planning, forward_body);
    planning->op->algorithm = "loop";
}

/* Places: dy, dx, index, x (to find the maxima again, when there is no workspace). */
static tn_status backward_body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    (void)op;
    if (tn_place(kernel, 3))
        tn_pool_forward(run->cpu, kernel->details, tn_floats(kernel, 3), NULL, tn_place(kernel, 2));
    tn_pool_backward(run->cpu, kernel->details, tn_floats(kernel, 0), tn_place(kernel, 2), tn_floats(kernel, 1));
    return TN_OK;
}

void tn_plan_pool_gradient(struct tn_planning *planning)
{
    struct tn_value *dy = tn_plan_value(planning, 0), *x = tn_plan_value(planning, 1);
    struct tn_value *workspace = tn_plan_value(planning, 3);
    struct tn_pool *pool = tn_plan_details(planning, sizeof *pool);
    struct tn_place nowhere = {TN_PLACE_NOWHERE, 0, 0, 0}, index = nowhere, again = nowhere;
    const struct tn_layout *of_x, *of_dy;
    bool maximum = planning->op->a.pool.mode == TN_POOL_MAX;
    if (!dy || !x || !pool || !(of_x = tn_plan_layout(planning, x)))
        return;
    /* The same choice as in the forward op, so that the indices lie alike. */
    of_dy = tn_layout_activation(planning->cpu, &dy->shape, of_x->plain ? TN_FORMAT_PLAIN : of_x->format);
    if (!of_dy || !tn_pool_make(pool, &planning->op->a.pool, of_x, of_dy, false)) {
        tn_plan_fail(planning, TN_INVALID, "the pooling window does not lead from the input's shape to the output's");
        return;
    }
    if (maximum && workspace) {
        index = tn_place_input(3);
    } else if (maximum) {
        index = tn_plan_scratch(planning, tn_pool_index_bytes(pool));
        again = tn_plan_input(planning, 1, of_x);
    }
    tn_plan_body_place(planning, tn_plan_input(planning, 0, of_dy));
    tn_plan_body_place(planning, tn_plan_output(planning, 0, of_x));
    tn_plan_body_place(planning, index);
    tn_plan_body_place(planning, again);
    tn_plan_body(planning, backward_body);
    planning->op->algorithm = "loop";
}
