/* op_concat.c: concatenation and its gradient. Each part is a strided copy: rows of `length` bytes at distances. */
#include "kernel.h"

#include <stdlib.h>

struct part {
    uint64_t rows, length; /* bytes */
    uint64_t part_step, whole_step, whole_offset;
    uint32_t place; /* of the part; the whole is place 0 */
};

struct concat {
    uint32_t count;
    struct part parts[];
};

struct copy {
    const struct part *part;
    char *part_data, *whole_data;
    bool split; /* whole -> part */
};

static void copy_rows(void *context, uint64_t begin, uint64_t end)
{
    const struct copy *c = context;
    for (uint64_t i = begin; i < end; i++) {
        char *part = c->part_data + i * c->part->part_step;
        char *whole = c->whole_data + i * c->part->whole_step + c->part->whole_offset;
        if (c->split)
            memcpy(part, whole, c->part->length);
        else
            memcpy(whole, part, c->part->length);
    }
}

static tn_status concat_body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    const struct concat *concat = kernel->details;
    for (uint32_t i = 0; i < concat->count; i++) {
        const struct part *part = &concat->parts[i];
        struct copy copy = {part, tn_place(kernel, part->place), tn_place(kernel, 0),
                            op->kind == TN_OP_CONCAT_GRADIENT};
        uint64_t grain = part->length < 32768 ? 32768 / part->length + 1 : 1;
        if (copy.part_data)
            tn_parallel_for(run->cpu, part->rows, grain, copy_rows, &copy);
    }
    return TN_OK;
}

/* Can all parts be blocked as `format`, without padding between them? */
static bool fits(const struct tn_shape *const *shapes, uint32_t count, int32_t axis, int32_t format)
{
    int32_t block = format == TN_FORMAT_BLOCK16 ? 16 : format == TN_FORMAT_BLOCK8 ? 8 : 0;
    if (block == 0 || axis != 3)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (shapes[i]->rank != 4 || shapes[i]->dims[3] % block != 0)
            return false;
    return true;
}

/* Fills in the copies; `format` of the whole and of every part. */
static void lay_out(struct concat *concat, const struct tn_shape *whole, const struct tn_shape *const *shapes,
                    int32_t axis, bool blocked)
{
    uint64_t outer = 1, inner = sizeof(float), offset = 0;
    if (blocked) { /* n, group, y, x, lane: groups are what is concatenated; a channel counts H * W */
        outer = (uint64_t)whole->dims[0];
        inner *= (uint64_t)whole->dims[1] * (uint64_t)whole->dims[2];
    } else {
        for (int32_t i = 0; i < axis; i++)
            outer *= (uint64_t)whole->dims[i];
        for (int32_t i = axis + 1; i < whole->rank; i++)
            inner *= (uint64_t)whole->dims[i];
    }
    for (uint32_t i = 0; i < concat->count; i++) {
        struct part *part = &concat->parts[i];
        part->rows = outer;
        part->length = inner * (uint64_t)shapes[i]->dims[axis];
        part->part_step = part->length;
        part->whole_step = inner * (uint64_t)whole->dims[axis];
        part->whole_offset = offset;
        offset += part->length;
    }
}

static bool check(struct tn_planning *planning, const struct tn_shape *whole, const struct tn_shape *const *shapes,
                  uint32_t count, int32_t axis)
{
    int64_t sum = 0;
    if (axis < 0 || axis >= whole->rank) {
        tn_plan_fail(planning, TN_INVALID, "axis %d is not one of %d", (int)axis, (int)whole->rank);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        for (int32_t j = 0; j < whole->rank; j++)
            if (shapes[i]->rank != whole->rank || (j != axis && shapes[i]->dims[j] != whole->dims[j])) {
                tn_plan_fail(planning, TN_INVALID, "shapes to concatenate differ outside axis %d", (int)axis);
                return false;
            }
        sum += shapes[i]->dims[axis];
    }
    if (sum != whole->dims[axis]) {
        tn_plan_fail(planning, TN_INVALID, "parts have %lld along axis %d, the whole has %d", (long long)sum, (int)axis,
                     (int)whole->dims[axis]);
        return false;
    }
    return true;
}

static int32_t real_axis(const struct tn_op *op, const struct tn_shape *whole)
{
    return op->a.axis < 0 ? op->a.axis + whole->rank : op->a.axis;
}

void tn_plan_concat(struct tn_planning *planning)
{
    struct tn_op *op = planning->op;
    struct tn_value *y = tn_plan_result(planning, 0);
    const struct tn_shape **shapes = calloc(op->input_count + 1, sizeof *shapes);
    struct concat *concat = tn_plan_details(planning, sizeof *concat + (op->input_count + 1) * sizeof concat->parts[0]);
    int32_t format = TN_FORMAT_PLAIN;
    if (!shapes || !concat || !y)
        goto done;
    for (uint32_t i = 0; i < op->input_count; i++) {
        const struct tn_layout *layout = tn_plan_layout(planning, op->inputs[i]);
        if (planning->status != TN_OK)
            goto done;
        shapes[i] = &op->inputs[i]->shape;
        if (!layout->plain && layout->format != TN_FORMAT_OPAQUE && format == TN_FORMAT_PLAIN)
            format = layout->format;
    }
    concat->count = op->input_count;
    if (!check(planning, &y->shape, shapes, concat->count, real_axis(op, &y->shape)))
        goto done;
    if (!fits(shapes, concat->count, real_axis(op, &y->shape), format))
        format = TN_FORMAT_PLAIN;
    lay_out(concat, &y->shape, shapes, real_axis(op, &y->shape), format != TN_FORMAT_PLAIN);
    tn_plan_body_place(planning, tn_plan_output(planning, 0, tn_layout_activation(planning->cpu, &y->shape, format)));
    for (uint32_t i = 0; i < op->input_count; i++)
        concat->parts[i].place = tn_plan_body_place(
            planning, tn_plan_input(planning, i, tn_layout_activation(planning->cpu, shapes[i], format)));
    tn_plan_body(planning, concat_body);
    op->algorithm = format == TN_FORMAT_PLAIN ? "copy" : "copy of blocks";
done:
    free(shapes);
}

/* Shapes of the parts, from inputs 1… where they are given, else from the outputs; one of those may be missing. */
static bool part_shapes(struct tn_planning *planning, const struct tn_shape *whole, int32_t axis,
                        const struct tn_shape **shapes, struct tn_shape *missing)
{
    const struct tn_op *op = planning->op;
    int32_t left = whole->dims[axis];
    *missing = *whole;
    for (uint32_t i = 0; i < op->output_count; i++) {
        const struct tn_value *like = op->input_count > 1 + i && op->inputs[1 + i] ? op->inputs[1 + i] : op->outputs[i];
        if (like && like->shape.rank == whole->rank)
            shapes[i] = &like->shape, left -= like->shape.dims[axis];
    }
    for (uint32_t i = 0; i < op->output_count; i++)
        if (!shapes[i]) {
            if (left <= 0) {
                tn_plan_fail(planning, TN_INVALID, "the shapes of two parts that are not wanted are unknown");
                return false;
            }
            missing->dims[axis] = left;
            left = 0;
            shapes[i] = missing;
        }
    return true;
}

void tn_plan_concat_gradient(struct tn_planning *planning)
{
    struct tn_op *op = planning->op;
    struct tn_value *dy = tn_plan_value(planning, 0);
    const struct tn_shape **shapes = calloc(op->output_count + 1, sizeof *shapes);
    struct concat *concat =
        tn_plan_details(planning, sizeof *concat + (op->output_count + 1) * sizeof concat->parts[0]);
    struct tn_shape missing;
    const struct tn_layout *layout;
    int32_t axis, format;
    if (!shapes || !concat || !dy)
        goto done;
    axis = real_axis(op, &dy->shape);
    layout = tn_plan_layout(planning, dy);
    if (planning->status != TN_OK || axis < 0 || axis >= dy->shape.rank)
        goto done;
    if (!part_shapes(planning, &dy->shape, axis, shapes, &missing) ||
        !check(planning, &dy->shape, shapes, op->output_count, axis))
        goto done;
    format = layout->plain || !fits(shapes, op->output_count, axis, layout->format) ? TN_FORMAT_PLAIN : layout->format;
    concat->count = op->output_count;
    lay_out(concat, &dy->shape, shapes, axis, format != TN_FORMAT_PLAIN);
    tn_plan_body_place(planning, tn_plan_input(planning, 0, tn_layout_activation(planning->cpu, &dy->shape, format)));
    for (uint32_t i = 0; i < op->output_count; i++)
        concat->parts[i].place = tn_plan_body_place(
            planning, tn_plan_output(planning, i, tn_layout_activation(planning->cpu, shapes[i], format)));
    tn_plan_body(planning, concat_body);
    op->algorithm = format == TN_FORMAT_PLAIN ? "copy" : "copy of blocks";
done:
    free(shapes);
}
