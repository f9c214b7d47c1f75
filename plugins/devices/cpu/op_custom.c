/* op_custom.c: kernels that types bring along (layers, losses, optimizers), on plain host buffers. */
#include "kernel.h"

#include <stdlib.h>

/* ---- a layer's own kernel ---- */

/* Pointers for one call; bind() resolves the body's places, run only copies addresses into the arrays. */
struct custom {
    struct tn_pass pass;
    uint32_t first_gradient, first_input, first_parameter, first_output; /* body places; of what forward() gets too */
    uint32_t first_input_gradient, first_parameter_gradient;
    struct tn_shape *shapes;
    const float **constants; /* inputs, parameters, output gradients */
    float **writables;       /* outputs, input gradients, parameter gradients */
};

static tn_status custom_body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    const struct custom *c = kernel->details;
    struct tn_pass pass = c->pass;
    bool backward = op->kind == TN_OP_CUSTOM_GRADIENT;
    int32_t inputs = pass.input_count, parameters = pass.parameter_count, outputs = pass.output_count;
    tn_status status;
    for (int32_t i = 0; i < inputs; i++)
        c->constants[i] = tn_floats(kernel, c->first_input + (uint32_t)i);
    for (int32_t i = 0; i < parameters; i++)
        c->constants[inputs + i] = tn_floats(kernel, c->first_parameter + (uint32_t)i);
    for (int32_t i = 0; i < outputs; i++)
        c->writables[i] = tn_floats(kernel, c->first_output + (uint32_t)i);
    pass.inputs = c->constants;
    pass.parameters = c->constants + inputs;
    pass.outputs = c->writables;
    if (backward) {
        for (int32_t i = 0; i < outputs; i++)
            c->constants[inputs + parameters + i] = tn_floats(kernel, c->first_gradient + (uint32_t)i);
        for (int32_t i = 0; i < inputs; i++)
            c->writables[outputs + i] = tn_floats(kernel, c->first_input_gradient + (uint32_t)i);
        for (int32_t i = 0; i < parameters; i++)
            c->writables[outputs + inputs + i] = tn_floats(kernel, c->first_parameter_gradient + (uint32_t)i);
        pass.output_gradients = c->constants + inputs + parameters;
        pass.input_gradients = c->writables + outputs;
        pass.parameter_gradients = c->writables + outputs + inputs;
    }
    pass.parallel = &run->cpu->parallel;
    status = backward ? op->custom->backward(&pass, run->error) : op->custom->forward(&pass, run->error);
    return status == TN_OK ? TN_OK
                           : tn_error_wrap(run->error, status, "layer \"%s\" (%s)", op->layer, op->custom->type_name);
}

/* Places of op inputs [first, first + count) as plain buffers; the shapes go to *shapes. */
static uint32_t plain_inputs(struct tn_planning *planning, uint32_t first, int32_t count, struct tn_shape *shapes)
{
    uint32_t place = planning->kernel->place_count;
    for (int32_t i = 0; i < count; i++) {
        struct tn_value *value = tn_plan_value(planning, first + (uint32_t)i);
        if (value) {
            if (shapes)
                shapes[i] = value->shape;
            tn_plan_body_place(planning, tn_plan_input(planning, first + (uint32_t)i,
                                                       tn_layout_plain(planning->cpu, &value->shape, TN_F32)));
        } else {
            tn_plan_body_place(planning, (struct tn_place){TN_PLACE_NOWHERE, 0, 0, 0});
        }
    }
    return place;
}

static uint32_t plain_outputs(struct tn_planning *planning, uint32_t first, int32_t count, struct tn_shape *shapes)
{
    uint32_t place = planning->kernel->place_count;
    for (int32_t i = 0; i < count; i++) {
        struct tn_value *value = tn_plan_result(planning, first + (uint32_t)i);
        if (value) {
            if (shapes)
                shapes[i] = value->shape;
            tn_plan_body_place(planning, tn_plan_output(planning, first + (uint32_t)i,
                                                        tn_layout_plain(planning->cpu, &value->shape, TN_F32)));
        } else {
            tn_plan_body_place(planning, (struct tn_place){TN_PLACE_NOWHERE, 0, 0, 0});
        }
    }
    return place;
}

/* One block of memory behind the struct holds the arrays. */
static struct custom *make_custom(struct tn_planning *planning)
{
    const struct tn_custom *type = planning->op->custom;
    struct custom *c;
    size_t values, shape_bytes, constant_bytes;
    if (!type || type->input_count < 0 || type->parameter_count < 0 || type->output_count < 0 ||
        type->input_count > 4096 || type->parameter_count > 4096 || type->output_count > 4096) {
        tn_plan_fail(planning, TN_FAILED, "the op has no kernel of its own");
        return NULL;
    }
    values = (size_t)type->input_count + (size_t)type->parameter_count + (size_t)type->output_count;
    shape_bytes = (values * sizeof *c->shapes + 15) / 16 * 16;
    constant_bytes = values * sizeof *c->constants;
    c = tn_plan_details(planning, (sizeof *c + 15) / 16 * 16 + shape_bytes + 2 * constant_bytes + 16);
    if (!c)
        return NULL;
    c->shapes = (struct tn_shape *)(void *)((char *)c + (sizeof *c + 15) / 16 * 16);
    c->constants = (const float **)(void *)((char *)c->shapes + shape_bytes);
    c->writables = (float **)(void *)((char *)c->constants + constant_bytes);
    c->pass.size = sizeof c->pass;
    c->pass.self = type->self;
    c->pass.training = planning->op->a.mode.training;
    c->pass.input_count = type->input_count;
    c->pass.output_count = type->output_count;
    c->pass.parameter_count = type->parameter_count;
    c->pass.input_shapes = c->shapes;
    c->pass.parameter_shapes = c->shapes + type->input_count;
    c->pass.output_shapes = c->shapes + type->input_count + type->parameter_count;
    return c;
}

void tn_plan_custom(struct tn_planning *planning)
{
    const struct tn_custom *type = planning->op->custom;
    struct custom *c = make_custom(planning);
    if (!c)
        return;
    if (!type->forward) {
        tn_plan_fail(planning, TN_UNSUPPORTED, "%s has no forward kernel", type->type_name);
        return;
    }
    c->first_input = plain_inputs(planning, 0, type->input_count, c->shapes);
    c->first_parameter =
        plain_inputs(planning, (uint32_t)type->input_count, type->parameter_count, c->shapes + type->input_count);
    c->first_output =
        plain_outputs(planning, 0, type->output_count, c->shapes + type->input_count + type->parameter_count);
    tn_plan_body(planning, custom_body);
    planning->op->algorithm = "own kernel";
}

void tn_plan_custom_gradient(struct tn_planning *planning)
{
    const struct tn_custom *type = planning->op->custom;
    struct custom *c = make_custom(planning);
    uint32_t inputs, parameters, outputs;
    struct tn_shape *output_shapes;
    if (!c)
        return;
    if (!type->backward) {
        tn_plan_fail(planning, TN_UNSUPPORTED, "%s has no backward kernel", type->type_name);
        return;
    }
    inputs = (uint32_t)type->input_count, parameters = (uint32_t)type->parameter_count;
    outputs = (uint32_t)type->output_count;
    output_shapes = c->shapes + inputs + parameters;
    c->first_gradient = plain_inputs(planning, 0, type->output_count, output_shapes);
    c->first_input = plain_inputs(planning, outputs, type->input_count, c->shapes);
    c->first_parameter = plain_inputs(planning, outputs + inputs, type->parameter_count, c->shapes + inputs);
    c->first_output = plain_inputs(planning, outputs + inputs + parameters, type->output_count, output_shapes);
    for (uint32_t i = 0; i < parameters; i++) { /* a gradient is stored as its parameter is */
        struct tn_value *gradient = tn_plan_result(planning, inputs + i);
        struct tn_value *parameter = tn_plan_value(planning, outputs + inputs + i);
        if (gradient && parameter && tn_plan_is_free(gradient))
            tn_plan_set_layout(planning, gradient, tn_plan_layout(planning, parameter));
    }
    c->first_input_gradient = plain_outputs(planning, 0, type->input_count, c->shapes);
    c->first_parameter_gradient = plain_outputs(planning, inputs, type->parameter_count, NULL);
    tn_plan_body(planning, custom_body);
    planning->op->algorithm = "own kernel";
}

/* ---- a loss ---- */

static tn_status loss_body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    const struct tn_shape *shape = &op->inputs[0]->shape;
    struct tn_loss_pass pass = {.size = sizeof pass, .self = op->custom->self};
    (void)run;
    pass.batch = shape->dims[0];
    pass.classes = (int32_t)(tn_shape_elements(shape) / (uint64_t)shape->dims[0]);
    pass.target_count = op->custom->target_count;
    pass.from_logits = op->custom->from_logits;
    pass.prediction = tn_floats(kernel, 0);
    pass.target = tn_floats(kernel, 1);
    pass.weight = tn_floats(kernel, 2);
    pass.loss = tn_floats(kernel, 3);
    pass.gradient = tn_floats(kernel, 4);
    op->custom->loss(&pass);
    return TN_OK;
}

void tn_plan_loss(struct tn_planning *planning)
{
    struct tn_value *prediction = tn_plan_value(planning, 0);
    if (!prediction || prediction->shape.rank < 1 || !planning->op->custom || !planning->op->custom->loss) {
        tn_plan_fail(planning, TN_FAILED, "the loss has no kernel or no prediction");
        return;
    }
    plain_inputs(planning, 0, 3, NULL);
    plain_outputs(planning, 0, 2, NULL);
    tn_plan_body(planning, loss_body);
    planning->op->algorithm = "own kernel";
}

/* ---- an optimizer's update of one parameter ---- */

enum { MAX_SLOTS = 8, UPDATE_GRAIN = 16384 };

struct update {
    const struct tn_custom *custom;
    struct tn_update update;
    float *slots[MAX_SLOTS];
};

static void update_range(void *context, uint64_t begin, uint64_t end)
{
    const struct update *whole = context;
    struct tn_update slice = whole->update;
    float *slots[MAX_SLOTS];
    for (int32_t i = 0; i < slice.slot_count; i++)
        slots[i] = whole->slots[i] + begin;
    slice.count = end - begin;
    slice.parameter += begin;
    slice.gradient += begin;
    slice.slots = slots;
    whole->custom->update(&slice);
}

static tn_status update_body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    struct update update = {.custom = op->custom, .update = {.size = sizeof update.update, .self = op->custom->self}};
    update.update.learning_rate = run->step->learning_rate;
    update.update.step = run->step->step;
    update.update.slot_count = (int32_t)op->input_count - 2;
    update.update.decay = op->a.update.decay;
    update.update.parameter = tn_floats(kernel, 0);
    update.update.gradient = tn_floats(kernel, 1);
    for (int32_t i = 0; i < update.update.slot_count; i++)
        update.slots[i] = tn_floats(kernel, 2 + (uint32_t)i);
    tn_parallel_for(run->cpu, op->inputs[0]->bytes / sizeof(float), UPDATE_GRAIN, update_range, &update);
    return TN_OK;
}

void tn_plan_update(struct tn_planning *planning)
{
    const struct tn_op *op = planning->op;
    struct tn_value *parameter = tn_plan_value(planning, 0);
    const struct tn_layout *layout;
    if (!parameter || !op->custom || !op->custom->update || op->input_count < 2 || op->input_count > 2 + MAX_SLOTS) {
        tn_plan_fail(planning, TN_FAILED, "the update has no kernel or the wrong number of inputs");
        return;
    }
    layout = tn_plan_layout(planning, parameter);
    tn_plan_body_place(planning, tn_place_input(0));
    tn_plan_body_place(planning, tn_plan_input(planning, 1, layout));
    for (uint32_t i = 2; i < op->input_count; i++) {
        struct tn_value *slot = op->inputs[i];
        if (slot && tn_plan_is_free(slot))
            tn_plan_set_layout(planning, slot, layout);
        if (!slot || !tn_layout_same(tn_plan_layout(planning, slot), layout)) {
            tn_plan_fail(planning, TN_FAILED, "an optimizer's slot is not laid out as its parameter");
            return;
        }
        tn_plan_body_place(planning, tn_place_input(i));
    }
    tn_plan_body(planning, update_body);
    planning->op->algorithm = "own kernel";
}
