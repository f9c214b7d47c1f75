/* op_shape.c: ops that move values without computing: cast, reshape, copy, concatenate. */
#include "elementwise.h"

/* ---- cast: y = x * alpha + beta ---- */

struct cast {
    const void *x;
    float *y;
    float alpha, beta;
    bool bytes;
};

TN_VECTOR static void cast_bytes(const uint8_t *x, float *y, uint64_t count, float alpha, float beta)
{
    for (uint64_t i = 0; i < count; i++)
        y[i] = (float)x[i] * alpha + beta;
}

TN_VECTOR static void cast_floats(const float *x, float *y, uint64_t count, float alpha, float beta)
{
    TN_INDEPENDENT
    for (uint64_t i = 0; i < count; i++)
        y[i] = x[i] * alpha + beta;
}

static void cast_range(void *context, uint64_t begin, uint64_t end)
{
    const struct cast *c = context;
    if (c->bytes)
        cast_bytes((const uint8_t *)c->x + begin, c->y + begin, end - begin, c->alpha, c->beta);
    else
        cast_floats((const float *)c->x + begin, c->y + begin, end - begin, c->alpha, c->beta);
}

static tn_status cast_body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    const struct tn_layout *layout = op->inputs[0]->layout;
    bool bytes = layout->data_type == TN_U8;
    struct cast cast = {tn_place(kernel, 0), tn_floats(kernel, 1), op->a.cast.alpha, op->a.cast.beta, bytes};
    if (op->kind == TN_OP_CAST_GRADIENT)
        cast.beta = 0.0f;
    tn_parallel_for(run->cpu, bytes ? layout->bytes : layout->bytes / sizeof(float), 16384, cast_range, &cast);
    if (cast.beta != 0.0f && !bytes)
        tn_clear_padding(run->cpu, layout, cast.y);
    return TN_OK;
}

void tn_plan_cast(struct tn_planning *planning)
{
    struct tn_value *x = tn_plan_value(planning, 0);
    const struct tn_layout *layout = tn_plan_layout(planning, x);
    if (planning->status != TN_OK)
        return;
    if (x->data_type == TN_U8)
        tn_plan_body_place(planning, tn_place_input(0));
    else
        tn_plan_body_place(planning, tn_plan_input(planning, 0, layout));
    tn_plan_body_place(
        planning, tn_plan_output(planning, 0,
                                 x->data_type == TN_U8 ? tn_layout_plain(planning->cpu, &x->shape, TN_F32) : layout));
    tn_plan_overwrite(planning, 0);
    tn_plan_body(planning, cast_body);
    planning->op->algorithm = "loop";
}

void tn_plan_cast_gradient(struct tn_planning *planning)
{
    tn_plan_cast(planning);
}

/* ---- reshape and copy: bytes ---- */

struct bytes {
    const char *from;
    char *to;
};

static void copy_range(void *context, uint64_t begin, uint64_t end)
{
    const struct bytes *b = context;
    memcpy(b->to + begin, b->from + begin, end - begin);
}

/* Nothing to do when the output lives in the input's place. */
static tn_status copy_body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    struct bytes bytes = {tn_place(kernel, 0), tn_place(kernel, 1)};
    if (bytes.from != bytes.to)
        tn_parallel_for(run->cpu, op->outputs[0]->bytes, 65536, copy_range, &bytes);
    return TN_OK;
}

void tn_plan_reshape(struct tn_planning *planning)
{
    struct tn_value *x = tn_plan_value(planning, 0), *y = tn_plan_result(planning, 0);
    const struct tn_layout *from, *to;
    if (!x || !y)
        return;
    from = tn_plan_layout(planning, x);
    to = tn_layout_plain(planning->cpu, &y->shape, TN_F32);
    if (planning->status != TN_OK || !from || !to) {
        tn_plan_fail(planning, TN_NO_MEMORY, "out of memory");
        return;
    }
    if (tn_shape_elements(&x->shape) != tn_shape_elements(&y->shape)) {
        tn_plan_fail(planning, TN_INVALID, "a reshape cannot change the number of elements");
        return;
    }
    planning->op->algorithm = "reorder";
    if (tn_plan_is_free(y))
        tn_plan_set_layout(planning, y, to);
    if (!from->plain && y->plain) { /* straight into the output */
        tn_plan_reorder(planning, from->md, tn_place_input(0), from->plain_md, tn_place_output(0));
        return;
    }
    tn_plan_body_place(planning, tn_plan_input(planning, 0, tn_layout_plain(planning->cpu, &x->shape, TN_F32)));
    tn_plan_body_place(planning, tn_plan_output(planning, 0, to));
    tn_plan_overwrite(planning, 0);
    tn_plan_body(planning, copy_body);
    if (planning->op->overwrites)
        planning->op->algorithm = "in place";
}

void tn_plan_copy(struct tn_planning *planning)
{
    struct tn_value *x = tn_plan_value(planning, 0), *y = tn_plan_result(planning, 0);
    const struct tn_layout *from;
    if (!x || !y)
        return;
    from = tn_plan_layout(planning, x);
    if (planning->status != TN_OK)
        return;
    if (tn_plan_is_free(y))
        tn_plan_set_layout(planning, y, from);
    if (!tn_layout_same(from, tn_plan_layout(planning, y))) {
        const struct tn_layout *to = y->layout;
        tn_plan_reorder(planning, from->md, tn_place_input(0), to->md, tn_place_output(0));
        planning->op->algorithm = "reorder";
        return;
    }
    tn_plan_body_place(planning, tn_place_input(0));
    tn_plan_body_place(planning, tn_place_output(0));
    tn_plan_overwrite(planning, 0);
    tn_plan_body(planning, copy_body);
    planning->op->algorithm = planning->op->overwrites ? "in place" : "copy";
}
