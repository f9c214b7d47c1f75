/* kernel.c: see kernel.h. */
#include "kernel.h"

#include <stdlib.h>

enum { SCRATCH_ALIGNMENT = 256 };

/* ---- planning ---- */

void tn_plan_fail(struct tn_planning *planning, tn_status status, const char *format, ...)
{
    char text[512];
    va_list arguments;
    if (planning->status != TN_OK)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    planning->status = tn_fail(planning->error, status, "layer \"%s\": %s", planning->op->layer, text);
}

void tn_plan_check(struct tn_planning *planning, dnnl_status_t status, const char *what)
{
    if (status == dnnl_success)
        return;
    if (status == dnnl_out_of_memory)
        tn_plan_fail(planning, TN_NO_MEMORY, "out of memory for %s", what);
    else if (status == dnnl_unimplemented)
        tn_plan_fail(planning, TN_UNSUPPORTED, "oneDNN has no kernel for %s", what);
    else
        tn_plan_fail(planning, TN_FAILED, "oneDNN refuses %s (status %d)", what, (int)status);
}

void *tn_plan_details(struct tn_planning *planning, uint64_t bytes)
{
    planning->kernel->details = calloc(1, bytes);
    if (!planning->kernel->details)
        tn_plan_fail(planning, TN_NO_MEMORY, "out of memory");
    return planning->kernel->details;
}

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + SCRATCH_ALIGNMENT - 1) / SCRATCH_ALIGNMENT * SCRATCH_ALIGNMENT;
}

struct tn_place tn_plan_scratch(struct tn_planning *planning, uint64_t bytes)
{
    struct tn_place place = {TN_PLACE_SCRATCH, 0, planning->op->scratch_bytes, 0};
    planning->op->scratch_bytes += round_up(bytes);
    return place;
}

struct tn_value *tn_plan_value(const struct tn_planning *planning, uint32_t input)
{
    return input < planning->op->input_count ? planning->op->inputs[input] : NULL;
}

struct tn_value *tn_plan_result(const struct tn_planning *planning, uint32_t output)
{
    return output < planning->op->output_count ? planning->op->outputs[output] : NULL;
}

bool tn_plan_is_free(const struct tn_value *value)
{
    return !value->planned && value->role != TN_ROLE_INPUT && value->role != TN_ROLE_TARGET &&
           value->role != TN_ROLE_OUTPUT;
}

void tn_plan_set_layout(struct tn_planning *planning, struct tn_value *value, const struct tn_layout *layout)
{
    if (planning->status != TN_OK)
        return;
    if (!layout) {
        tn_plan_fail(planning, TN_NO_MEMORY, "out of memory");
        return;
    }
    value->layout = (void *)(uintptr_t)layout; /* read only: nobody casts it back to a writable one */
    value->plain = layout->plain;
    value->bytes = layout->bytes;
    value->planned = 1;
}

const struct tn_layout *tn_plan_layout(struct tn_planning *planning, struct tn_value *value)
{
    if (!value->planned)
        tn_plan_set_layout(planning, value, tn_layout_plain(planning->cpu, &value->shape, value->data_type));
    return value->layout;
}

struct tn_place tn_plan_input(struct tn_planning *planning, uint32_t input, const struct tn_layout *layout)
{
    struct tn_place place = tn_place_input(input);
    struct tn_value *value = tn_plan_value(planning, input);
    const struct tn_layout *has;
    if (planning->status != TN_OK)
        return place;
    if (!value) {
        tn_plan_fail(planning, TN_FAILED, "input %u of its op (kind %d) is missing", (unsigned)input,
                     (int)planning->op->kind);
        return place;
    }
    has = tn_plan_layout(planning, value);
    if (planning->status != TN_OK || !layout || tn_layout_same(has, layout)) {
        if (planning->status == TN_OK && !layout)
            tn_plan_fail(planning, TN_NO_MEMORY, "out of memory");
        return place;
    }
    place = tn_plan_scratch(planning, layout->bytes);
    /* A kernel of a convolution has other logical dimensions than its plain shape. */
    tn_plan_reorder(planning, has->md, tn_place_input(input),
                    layout->plain && has->format == TN_FORMAT_OPAQUE ? has->plain_md : layout->md, place);
    return place;
}

struct tn_place tn_plan_output(struct tn_planning *planning, uint32_t output, const struct tn_layout *layout)
{
    struct tn_place place = tn_place_output(output);
    struct tn_value *value = tn_plan_result(planning, output);
    if (planning->status != TN_OK)
        return place;
    if (!layout) {
        tn_plan_fail(planning, TN_NO_MEMORY, "out of memory");
        return place;
    }
    if (!value) {
        place.base = TN_PLACE_NOWHERE;
        return place;
    }
    if (tn_plan_is_free(value))
        tn_plan_set_layout(planning, value, layout);
    if (tn_layout_same(tn_plan_layout(planning, value), layout))
        return place;
    if (planning->pending_count == sizeof planning->pending / sizeof *planning->pending) {
        tn_plan_fail(planning, TN_UNSUPPORTED, "too many outputs to convert");
        return place;
    }
    place = tn_plan_scratch(planning, layout->bytes);
    planning->pending[planning->pending_count].output = output;
    planning->pending[planning->pending_count].layout = layout;
    planning->pending[planning->pending_count++].place = place;
    return place;
}

bool tn_plan_may_overwrite(const struct tn_planning *planning, uint32_t input)
{
    const struct tn_value *value = tn_plan_value(planning, input);
    if (planning->status != TN_OK || !value || input >= 64 || !(planning->op->dying >> input & 1))
        return false;
    return value->role == TN_ROLE_ACTIVATION || value->role == TN_ROLE_GRADIENT;
}

void tn_plan_overwrite(struct tn_planning *planning, uint32_t input)
{
    const struct tn_value *from = tn_plan_value(planning, input), *to = tn_plan_result(planning, 0);
    if (!to || planning->pending_count > 0 || !tn_plan_may_overwrite(planning, input))
        return;
    if (from->bytes == to->bytes && from->data_type == to->data_type &&
        (from->layout == to->layout || (from->plain && to->plain)))
        planning->op->overwrites = 1 + input;
}

static void stage_free(struct tn_stage *stage)
{
    for (uint32_t i = 0; i < stage->count; i++)
        if (stage->arguments[i].memory)
            dnnl_memory_destroy(stage->arguments[i].memory);
    if (stage->primitive)
        dnnl_primitive_destroy(stage->primitive);
    if (stage->descriptor)
        dnnl_primitive_desc_destroy(stage->descriptor);
}

uint32_t tn_plan_stage(struct tn_planning *planning, dnnl_primitive_desc_t descriptor)
{
    struct tn_kernel *kernel = planning->kernel;
    struct tn_stage *grown, *stage;
    tn_const_md scratchpad;
    if (planning->status != TN_OK) {
        if (descriptor)
            dnnl_primitive_desc_destroy(descriptor);
        return 0;
    }
    grown = realloc(kernel->stages, (kernel->stage_count + 1) * sizeof *grown);
    if (!grown) {
        dnnl_primitive_desc_destroy(descriptor);
        tn_plan_fail(planning, TN_NO_MEMORY, "out of memory");
        return 0;
    }
    kernel->stages = grown;
    stage = &grown[kernel->stage_count];
    memset(stage, 0, sizeof *stage);
    stage->descriptor = descriptor;
    kernel->stage_count++;
    tn_plan_check(planning, dnnl_primitive_create(&stage->primitive, descriptor), tn_kernel_name(descriptor));
    scratchpad = dnnl_primitive_desc_query_md(descriptor, dnnl_query_scratchpad_md, 0);
    if (scratchpad && dnnl_memory_desc_get_size(scratchpad) > 0) {
        struct tn_place place = {TN_PLACE_SCRATCHPAD, 0, 0, 0};
        uint64_t bytes = dnnl_memory_desc_get_size(scratchpad);
        if (bytes > planning->scratchpad_bytes)
            planning->scratchpad_bytes = bytes;
        tn_plan_argument(planning, kernel->stage_count - 1, DNNL_ARG_SCRATCHPAD, scratchpad, place);
    }
    return kernel->stage_count - 1;
}

void tn_plan_argument(struct tn_planning *planning, uint32_t index, int name, tn_const_md md, struct tn_place place)
{
    struct tn_stage *stage;
    if (planning->status != TN_OK)
        return;
    stage = &planning->kernel->stages[index];
    if (stage->count == TN_STAGE_ARGUMENTS) {
        tn_plan_fail(planning, TN_FAILED, "a primitive has too many arguments");
        return;
    }
    stage->places[stage->count] = place;
    stage->arguments[stage->count].arg = name;
    stage->moves |= place.step != 0;
    tn_plan_check(
        planning,
        dnnl_memory_create(&stage->arguments[stage->count].memory, md, planning->cpu->engine, DNNL_MEMORY_NONE),
        "a memory object");
    stage->count++;
}

uint32_t tn_plan_reorder(struct tn_planning *planning, tn_const_md from, struct tn_place from_place, tn_const_md to,
                         struct tn_place to_place)
{
    dnnl_primitive_desc_t descriptor = NULL;
    uint32_t stage;
    if (planning->status != TN_OK)
        return 0;
    tn_plan_check(planning, tn_reorder(&descriptor, planning->cpu->engine, from, to), "a change of layout");
    stage = tn_plan_stage(planning, descriptor);
    tn_plan_argument(planning, stage, DNNL_ARG_FROM, from, from_place);
    tn_plan_argument(planning, stage, DNNL_ARG_TO, to, to_place);
    return stage;
}

void tn_plan_body(struct tn_planning *planning, tn_body body)
{
    planning->kernel->body = body;
    planning->kernel->stages_before = planning->kernel->stages_after = planning->kernel->stage_count;
}

void tn_plan_body_end(struct tn_planning *planning)
{
    planning->kernel->stages_after = planning->kernel->stage_count;
}

uint32_t tn_plan_body_place(struct tn_planning *planning, struct tn_place place)
{
    struct tn_kernel *kernel = planning->kernel;
    struct tn_place *places = realloc(kernel->places, (kernel->place_count + 1) * sizeof *places);
    char **addresses;
    if (places)
        kernel->places = places;
    addresses = places ? realloc(kernel->addresses, (kernel->place_count + 1) * sizeof *addresses) : NULL;
    if (!addresses) {
        tn_plan_fail(planning, TN_NO_MEMORY, "out of memory");
        return 0;
    }
    kernel->addresses = addresses;
    addresses[kernel->place_count] = NULL;
    places[kernel->place_count] = place;
    return kernel->place_count++;
}

const char *tn_algorithm(const char *kernel_name)
{
    static const struct {
        const char *part, *text;
    } names[] = {
        {"wino", "winograd"}, {"brg", "brgemm"},    {"_dw", "depthwise"}, {"1x1", "direct 1x1"}, {"gemm", "gemm"},
        {"ref", "reference"}, {"simple", "simple"}, {"bnorm", "jit"},     {"jit", "direct"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strstr(kernel_name, names[i].part))
            return names[i].text;
    return "oneDNN";
}

void tn_plan_finish(struct tn_planning *planning)
{
    struct tn_kernel *kernel = planning->kernel;
    if (!kernel->body)
        kernel->stages_before = kernel->stages_after = kernel->stage_count;
    for (uint32_t i = 0; i < planning->pending_count && planning->status == TN_OK; i++) {
        const struct tn_value *value = planning->op->outputs[planning->pending[i].output];
        const struct tn_layout *made = planning->pending[i].layout, *layout = value->layout;
        tn_plan_reorder(planning, made->plain && layout->format == TN_FORMAT_OPAQUE ? layout->plain_md : made->md,
                        planning->pending[i].place, layout->md, tn_place_output(planning->pending[i].output));
    }
    kernel->scratchpad_offset = planning->op->scratch_bytes;
    planning->op->scratch_bytes += round_up(planning->scratchpad_bytes);
}

/* ---- binding and running ---- */

static char *resolve(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_place *place)
{
    const struct tn_value *value = NULL;
    switch (place->base) {
    case TN_PLACE_INPUT:
        value = op->inputs[place->index];
        break;
    case TN_PLACE_OUTPUT:
        value = op->outputs[place->index];
        break;
    case TN_PLACE_SCRATCH:
        return op->scratch ? (char *)op->scratch + place->offset : NULL;
    case TN_PLACE_SCRATCHPAD:
        return op->scratch ? (char *)op->scratch + kernel->scratchpad_offset : NULL;
    default:
        break;
    }
    return value && value->data ? (char *)value->data + place->offset : NULL;
}

tn_status tn_kernel_bind(struct tn_cpu *cpu, struct tn_kernel *kernel, const struct tn_op *op, struct tn_error *error)
{
    (void)cpu;
    for (uint32_t i = 0; i < kernel->stage_count; i++) {
        struct tn_stage *stage = &kernel->stages[i];
        for (uint32_t j = 0; j < stage->count; j++) {
            stage->addresses[j] = resolve(kernel, op, &stage->places[j]);
            if (!stage->addresses[j])
                return tn_fail(error, TN_FAILED, "layer \"%s\": an argument of its op (kind %d) has no address",
                               op->layer, (int)op->kind);
            if (dnnl_memory_set_data_handle(stage->arguments[j].memory, stage->addresses[j]) != dnnl_success)
                return tn_fail(error, TN_FAILED, "layer \"%s\": oneDNN refuses a buffer", op->layer);
        }
    }
    for (uint32_t i = 0; i < kernel->place_count; i++) {
        kernel->addresses[i] = resolve(kernel, op, &kernel->places[i]);
        if (!kernel->addresses[i] && kernel->places[i].base != TN_PLACE_NOWHERE)
            return tn_fail(error, TN_FAILED, "layer \"%s\": a buffer of its op (kind %d) has no address", op->layer,
                           (int)op->kind);
    }
    return TN_OK;
}

tn_status tn_stage_run(const struct tn_stage *stage, uint64_t chunk, const struct tn_op *op, const struct tn_run *run)
{
    dnnl_status_t status;
    if (stage->moves)
        for (uint32_t i = 0; i < stage->count; i++)
            if (stage->places[i].step)
                dnnl_memory_set_data_handle(stage->arguments[i].memory,
                                            stage->addresses[i] + chunk * stage->places[i].step);
    status = dnnl_primitive_execute(stage->primitive, run->cpu->stream, (int)stage->count, stage->arguments);
    if (status != dnnl_success)
        return tn_fail(run->error, TN_FAILED, "layer \"%s\": oneDNN's %s failed (status %d)", op->layer,
                       tn_kernel_name(stage->descriptor), (int)status);
    return TN_OK;
}

void tn_stage_point(const struct tn_stage *stage, int name, char *address)
{
    for (uint32_t i = 0; i < stage->count; i++)
        if (stage->arguments[i].arg == name)
            dnnl_memory_set_data_handle(stage->arguments[i].memory, address);
}

tn_status tn_kernel_run(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    tn_status status = TN_OK;
    for (uint32_t i = 0; i < kernel->stages_before && status == TN_OK; i++)
        status = tn_stage_run(&kernel->stages[i], 0, op, run);
    if (kernel->body && status == TN_OK)
        status = kernel->body(kernel, op, run);
    for (uint32_t i = kernel->stages_after; i < kernel->stage_count && status == TN_OK; i++)
        status = tn_stage_run(&kernel->stages[i], 0, op, run);
    return status;
}

void tn_kernel_free(struct tn_kernel *kernel)
{
    if (!kernel)
        return;
    for (uint32_t i = 0; i < kernel->stage_count; i++)
        stage_free(&kernel->stages[i]);
    free(kernel->stages);
    free(kernel->places);
    free(kernel->addresses);
    free(kernel->details);
    free(kernel);
}
