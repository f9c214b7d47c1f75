/* op_binary.c: add, subtract, multiply, maximum, minimum with broadcasting; their gradients; sums of gradients.
 *
 * Operands of one shape are walked flat in whatever layout they have (all these functions keep zeros of padding zero);
 * where shapes differ, everything is plain.
 */
#include "broadcast.h"

/* y of a row: g is the incoming gradient (or unused), a and b the operands, each repeated (step 0) or not (step 1). */
typedef void (*row_function)(const float *g, const float *a, int64_t a_step, const float *b, int64_t b_step, float *y,
                             int64_t width);

#define ROW_LOOP(a_, b_, ...)                                                                                          \
    {                                                                                                                  \
        TN_INDEPENDENT                                                                                                 \
        for (int64_t i = 0; i < width; i++) {                                                                          \
            float g = g0[i], a = a_, b = b_;                                                                           \
            (void)g, (void)a, (void)b;                                                                                 \
            y[i] = __VA_ARGS__;                                                                                        \
        }                                                                                                              \
    }

#define ROW(name_, ...)                                                                                                \
    TN_VECTOR static void row_##name_(const float *g0, const float *a0, int64_t a_step, const float *b0,               \
                                      int64_t b_step, float *y, int64_t width)                                         \
    {                                                                                                                  \
        if (a_step && b_step)                                                                                          \
            ROW_LOOP(a0[i], b0[i], __VA_ARGS__)                                                                        \
        else if (a_step)                                                                                               \
            ROW_LOOP(a0[i], b0[0], __VA_ARGS__)                                                                        \
        else if (b_step)                                                                                               \
            ROW_LOOP(a0[0], b0[i], __VA_ARGS__)                                                                        \
        else                                                                                                           \
            ROW_LOOP(a0[0], b0[0], __VA_ARGS__)                                                                        \
    }

ROW(add, a + b)
ROW(subtract, a - b)
ROW(multiply, a *b)
ROW(maximum, a >= b ? a : b)
ROW(minimum, a <= b ? a : b)
/* Ties of maximum and minimum give the whole gradient to the first operand, as TensorFlow does. */
ROW(pass, g)
ROW(negate, -g)
ROW(times_a, g *a)
ROW(times_b, g *b)
ROW(if_not_less, a >= b ? g : 0.0f)
ROW(if_less, a >= b ? 0.0f : g)
ROW(if_not_greater, a <= b ? g : 0.0f)
ROW(if_greater, a <= b ? 0.0f : g)

static const row_function forward_rows[] = {
    [TN_ADD] = row_add,         [TN_SUBTRACT] = row_subtract, [TN_MULTIPLY] = row_multiply,
    [TN_MAXIMUM] = row_maximum, [TN_MINIMUM] = row_minimum,
};
static const row_function gradient_rows[][2] = {
    [TN_ADD] = {row_pass, row_pass},
    [TN_SUBTRACT] = {row_pass, row_negate},
    [TN_MULTIPLY] = {row_times_b, row_times_a},
    [TN_MAXIMUM] = {row_if_not_less, row_if_less},
    [TN_MINIMUM] = {row_if_not_greater, row_if_greater},
};

struct details {
    bool flat;
    uint64_t count; /* stored elements, when flat */
    struct tn_broadcast broadcast;
};

struct work {
    const struct details *details;
    row_function function;
    const float *g, *a, *b;
    float *y;
};

static void flat_range(void *context, uint64_t begin, uint64_t end)
{
    const struct work *w = context;
    w->function(w->g + begin, w->a + begin, 1, w->b + begin, 1, w->y + begin, (int64_t)(end - begin));
}

static void row_range(void *context, uint64_t begin, uint64_t end)
{
    const struct work *w = context;
    const struct tn_broadcast *br = &w->details->broadcast;
    for (int64_t row = (int64_t)begin; row < (int64_t)end; row++)
        w->function(w->g + row * br->width, w->a + tn_broadcast_row(br, 0, row), tn_broadcast_step(br, 0),
                    w->b + tn_broadcast_row(br, 1, row), tn_broadcast_step(br, 1), w->y + row * br->width, br->width);
}

static void compute(const struct tn_cpu *cpu, struct work *work)
{
    const struct details *d = work->details;
    if (d->flat)
        tn_parallel_for(cpu, d->count, 8192, flat_range, work);
    else
        tn_parallel_for(cpu, (uint64_t)d->broadcast.rows, 8192 / (uint64_t)d->broadcast.width + 1, row_range, work);
}

/* Places: a, b, y. */
static tn_status forward_body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    const float *a = tn_floats(kernel, 0), *b = tn_floats(kernel, 1);
    float *y = tn_floats(kernel, 2);
    int32_t function = op->kind == TN_OP_ACCUMULATE ? TN_ADD : op->a.binary.function;
    /* The loops read g, and no forward function uses it: any readable row of y's length will do. */
    struct work work = {kernel->details, forward_rows[function], y, a, b, y};
    compute(run->cpu, &work);
    return TN_OK;
}

/* Places: g, a, b, dx0, dx1. The first result may overwrite g and therefore comes last. */
static tn_status gradient_body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    for (int i = 1; i >= 0; i--) {
        struct work work = {kernel->details,      gradient_rows[op->a.binary.function][i],
                            tn_floats(kernel, 0), tn_floats(kernel, 1),
                            tn_floats(kernel, 2), tn_floats(kernel, 3 + (uint32_t)i)};
        if (work.y)
            compute(run->cpu, &work);
    }
    return TN_OK;
}

static bool check_function(struct tn_planning *planning)
{
    int32_t function = planning->op->a.binary.function;
    if (function >= TN_ADD && function <= TN_MINIMUM)
        return true;
    tn_plan_fail(planning, TN_UNSUPPORTED, "the cpu device has no binary function of number %d", (int)function);
    return false;
}

/* The layout in which operands of one shape meet: the blocked one if any is. */
static const struct tn_layout *meeting_layout(struct tn_planning *planning, struct tn_value *a, struct tn_value *b)
{
    const struct tn_layout *of_a = tn_plan_layout(planning, a), *of_b = tn_plan_layout(planning, b);
    if (planning->status != TN_OK)
        return NULL;
    return of_a->plain ? of_b : of_a;
}

static void plan_forward(struct tn_planning *planning)
{
    struct tn_value *a = tn_plan_value(planning, 0), *b = tn_plan_value(planning, 1), *y = tn_plan_result(planning, 0);
    struct details *d = tn_plan_details(planning, sizeof *d);
    const struct tn_layout *layout;
    if (!a || !b || !y || !d)
        return;
    planning->op->algorithm = "loop";
    if (tn_shape_same(&a->shape, &b->shape) && tn_shape_same(&a->shape, &y->shape)) {
        layout = meeting_layout(planning, a, b);
        if (!layout)
            return;
        d->flat = true;
        d->count = layout->bytes / sizeof(float);
        tn_plan_body_place(planning, tn_plan_input(planning, 0, layout));
        tn_plan_body_place(planning, tn_plan_input(planning, 1, layout));
        tn_plan_body_place(planning, tn_plan_output(planning, 0, layout));
        tn_plan_overwrite(planning, 0);
        if (!planning->op->overwrites)
            tn_plan_overwrite(planning, 1);
    } else {
        if (!tn_broadcast_make(&d->broadcast, &y->shape, &a->shape, &b->shape)) {
            tn_plan_fail(planning, TN_INVALID, "the operands' shapes do not broadcast to the result's");
            return;
        }
        tn_plan_body_place(planning, tn_plan_input(planning, 0, tn_layout_plain(planning->cpu, &a->shape, TN_F32)));
        tn_plan_body_place(planning, tn_plan_input(planning, 1, tn_layout_plain(planning->cpu, &b->shape, TN_F32)));
        tn_plan_body_place(planning, tn_plan_output(planning, 0, tn_layout_plain(planning->cpu, &y->shape, TN_F32)));
        if (tn_shape_same(&a->shape, &y->shape)) /* an operand that is repeated must not be overwritten */
            tn_plan_overwrite(planning, 0);
    }
    tn_plan_body(planning, forward_body);
}

void tn_plan_binary(struct tn_planning *planning)
{
    if (check_function(planning))
        plan_forward(planning);
}

void tn_plan_accumulate(struct tn_planning *planning)
{
    plan_forward(planning);
}

void tn_plan_binary_gradient(struct tn_planning *planning)
{
    struct tn_value *g = tn_plan_value(planning, 0), *a = tn_plan_value(planning, 1), *b = tn_plan_value(planning, 2);
    struct details *d = tn_plan_details(planning, sizeof *d);
    const struct tn_layout *layout;
    struct tn_place place;
    bool needs_operands = planning->op->a.binary.function != TN_ADD && planning->op->a.binary.function != TN_SUBTRACT;
    if (!check_function(planning) || !g || !d || (needs_operands && (!a || !b)))
        return;
    planning->op->algorithm = "loop";
    if (!needs_operands || (tn_shape_same(&a->shape, &b->shape) && tn_shape_same(&a->shape, &g->shape))) {
        layout = needs_operands ? meeting_layout(planning, a, b) : tn_plan_layout(planning, g);
        if (!layout)
            return;
        d->flat = true;
        d->count = layout->bytes / sizeof(float);
        place = tn_plan_input(planning, 0, layout);
        tn_plan_body_place(planning, place);
        /* Without need of the operands the loops still read something: the gradient itself. */
        tn_plan_body_place(planning, needs_operands ? tn_plan_input(planning, 1, layout) : place);
        tn_plan_body_place(planning, needs_operands ? tn_plan_input(planning, 2, layout) : place);
    } else {
        layout = tn_layout_plain(planning->cpu, &g->shape, TN_F32);
        if (!tn_broadcast_make(&d->broadcast, &g->shape, &a->shape, &b->shape)) {
            tn_plan_fail(planning, TN_INVALID, "the operands' shapes do not broadcast to the result's");
            return;
        }
        tn_plan_body_place(planning, tn_plan_input(planning, 0, layout));
        tn_plan_body_place(planning, tn_plan_input(planning, 1, tn_layout_plain(planning->cpu, &a->shape, TN_F32)));
        tn_plan_body_place(planning, tn_plan_input(planning, 2, tn_layout_plain(planning->cpu, &b->shape, TN_F32)));
    }
    tn_plan_body_place(planning, tn_plan_output(planning, 0, layout));
    tn_plan_body_place(planning, tn_plan_output(planning, 1, layout));
    tn_plan_overwrite(planning, 0);
    tn_plan_body(planning, gradient_body);
}
