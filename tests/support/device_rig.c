/* device_rig.c: see device_rig.h. */
#include "support/device_rig.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { GUARD = 256 };

static void die(const char *what, const char *why)
{
    fprintf(stderr, "device rig: %s: %s\n", what, why);
    abort();
}

static void fill_options(const struct tn_type *type, char *self, int threads, const char *key, int value)
{
    for (const struct tn_option *o = type->options; o && o->kind != TN_OPTION_END; o++) {
        double number = o->default_number;
        if (strcmp(o->name, "threads") == 0)
            number = threads;
        else if (key && strcmp(o->name, key) == 0)
            number = value;
        if (o->kind == TN_OPTION_INT) {
            int64_t whole = (int64_t)number;
            memcpy(self + o->offset, &whole, sizeof whole);
        } else if (o->kind == TN_OPTION_BOOL || o->kind == TN_OPTION_ENUM) {
            int32_t whole = (int32_t)number;
            memcpy(self + o->offset, &whole, sizeof whole);
        } else {
            die(o->name, "an option of a kind that the rig does not know");
        }
    }
}

struct rig_device rig_open(const char *name, int threads, const char *key, int value)
{
    struct rig_device device = {NULL, NULL};
    struct tn_error error = {0};
    const struct tn_manifest *manifest;
    char path[4096];
    void *module;
    (void)snprintf(path, sizeof path, "%s/%s.so", getenv("TENON_SYSTEM_PLUGINS") ? getenv("TENON_SYSTEM_PLUGINS") : ".",
                   name);
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        die(path, dlerror());
    manifest = dlsym(module, TN_MANIFEST_SYMBOL);
    if (!manifest || manifest->types[0]->kind != TN_DEVICE)
        die(path, "is no device plugin");
    device.type = (const struct tn_device *)(const void *)manifest->types[0];
    device.self = calloc(1, device.type->type.instance_size);
    if (!device.self)
        die(path, "out of memory");
    fill_options(&device.type->type, device.self, threads, key, value);
    if (device.type->type.open && device.type->type.open(device.self, NULL, &error) != TN_OK)
        die(path, error.text);
    return device;
}

void rig_close(struct rig_device *device)
{
    if (device->type->type.close)
        device->type->type.close(device->self);
    free(device->self);
}

void rig_begin(struct rig *rig, struct rig_device *device)
{
    memset(rig, 0, sizeof *rig);
    rig->device = device;
    rig->program.size = sizeof rig->program;
    rig->program.ops = rig->ops;
    rig->program.values = rig->values;
    rig->program.training = 1;
    rig->step.size = sizeof rig->step;
    rig->step.step = 1;
    rig->step.learning_rate = 0.5;
    rig->step.seed = 99;
}

struct tn_value *rig_value(struct rig *rig, int role, int data_type, const char *name, ...)
{
    struct tn_value *value = calloc(1, sizeof *value);
    va_list dims;
    int dim;
    if (!value || rig->program.value_count == RIG_MAX_VALUES)
        die(name, "out of memory");
    value->id = rig->program.value_count;
    value->role = role;
    value->data_type = data_type;
    value->name = name;
    va_start(dims, name);
    while ((dim = va_arg(dims, int)) > 0)
        value->shape.dims[value->shape.rank++] = dim;
    va_end(dims);
    rig->values[rig->program.value_count++] = value;
    return value;
}

void rig_share(struct rig *rig, struct tn_value *value)
{
    rig->borrowed[rig->program.value_count] = true;
    rig->values[rig->program.value_count++] = value;
}

struct tn_op *rig_op(struct rig *rig, int kind, int inputs, int outputs, ...)
{
    struct tn_op *op = &rig->ops[rig->program.op_count];
    struct tn_value **values = rig->op_values[rig->program.op_count++];
    va_list arguments;
    op->kind = kind;
    op->layer = "layer";
    op->input_count = (uint32_t)inputs;
    op->output_count = (uint32_t)outputs;
    op->inputs = values;
    op->outputs = values + inputs;
    va_start(arguments, outputs);
    for (int i = 0; i < inputs + outputs; i++)
        values[i] = va_arg(arguments, struct tn_value *);
    va_end(arguments);
    return op;
}

static void *guarded(uint64_t bytes)
{
    uint64_t size = (bytes + 63) / 64 * 64;
    char *memory = aligned_alloc(4096, (size + GUARD + 4095) / 4096 * 4096);
    if (!memory)
        die("buffer", "out of memory");
    memset(memory, 0xFF, size); /* NaN */
    memset(memory + size, 0x5A, GUARD);
    return memory;
}

static void check_guard(const char *memory, uint64_t bytes, const char *name)
{
    uint64_t size = (bytes + 63) / 64 * 64;
    for (int i = 0; i < GUARD; i++)
        if (memory[size + (uint64_t)i] != 0x5A)
            die(name, "was written past its end");
}

static bool is_persistent(const struct tn_value *value)
{
    return value->role == TN_ROLE_PARAMETER || value->role == TN_ROLE_STATE || value->role == TN_ROLE_SLOT;
}

tn_status rig_plan(struct rig *rig)
{
    return rig->device->type->plan(rig->device->self, &rig->program, &rig->error);
}

static void write_filled(struct rig *rig);

void rig_ready(struct rig *rig)
{
    if (rig_plan(rig) != TN_OK)
        die("plan", rig->error.text);
    for (uint32_t i = 0; i < rig->program.op_count; i++) {
        struct tn_op *op = &rig->ops[i];
        op->scratch = op->scratch_bytes ? guarded(op->scratch_bytes) : NULL;
        for (uint32_t j = 0; j < op->output_count; j++)
            if (op->outputs[j] && !op->outputs[j]->data) {
                bool shares = j == 0 && op->overwrites;
                if (shares && (!(op->dying >> (op->overwrites - 1) & 1) ||
                               op->inputs[op->overwrites - 1]->bytes < op->outputs[0]->bytes))
                    die("plan", "overwrites an input that it may not overwrite");
                if (shares && !op->inputs[op->overwrites - 1]->data)
                    op->inputs[op->overwrites - 1]->data = guarded(op->inputs[op->overwrites - 1]->bytes);
                op->outputs[j]->data = shares ? op->inputs[op->overwrites - 1]->data : guarded(op->outputs[j]->bytes);
            }
    }
    for (uint32_t i = 0; i < rig->program.value_count; i++)
        if (!rig->values[i]->data)
            rig->values[i]->data = guarded(rig->values[i]->bytes);
    if (rig->device->type->bind(rig->device->self, &rig->program, &rig->error) != TN_OK)
        die("bind", rig->error.text);
    write_filled(rig);
}

void rig_write(struct rig *rig, struct tn_value *value, const void *plain)
{
    if (rig->device->type->write(rig->device->self, value, plain, &rig->error) != TN_OK)
        die("write", rig->error.text);
}

void rig_run(struct rig *rig)
{
    if (rig->device->type->run(rig->device->self, &rig->program, 0, rig->program.op_count, &rig->step, &rig->error) !=
            TN_OK ||
        rig->device->type->wait(rig->device->self, &rig->error) != TN_OK)
        die("run", rig->error.text);
    for (uint32_t i = 0; i < rig->program.value_count; i++)
        check_guard(rig->values[i]->data, rig->values[i]->bytes, rig->values[i]->name);
    for (uint32_t i = 0; i < rig->program.op_count; i++)
        if (rig->ops[i].scratch)
            check_guard(rig->ops[i].scratch, rig->ops[i].scratch_bytes, "scratch");
}

float *rig_read(struct rig *rig, const struct tn_value *value)
{
    float *plain = malloc(rig_count(value) * sizeof *plain);
    if (!plain || rig->device->type->read(rig->device->self, value, plain, &rig->error) != TN_OK)
        die("read", rig->error.text);
    return plain;
}

void rig_end(struct rig *rig)
{
    rig->device->type->forget(rig->device->self, &rig->program);
    for (uint32_t i = 0; i < rig->program.op_count; i++)
        free(rig->ops[i].scratch);
    for (uint32_t i = 0; i < rig->program.value_count; i++) {
        struct tn_value *value = rig->values[i];
        bool again = false;
        for (uint32_t j = i + 1; j < rig->program.value_count; j++)
            again |= rig->values[j]->data == value->data;
        if (!again && !rig->borrowed[i])
            free(value->data);
        free(rig->written[i]);
    }
    for (uint32_t i = 0; i < rig->program.value_count; i++) {
        if (rig->borrowed[i])
            continue;
        if (is_persistent(rig->values[i]))
            rig->device->type->forget_value(rig->device->self, rig->values[i]);
        free(rig->values[i]);
    }
}

uint64_t rig_count(const struct tn_value *value)
{
    return tn_shape_elements(&value->shape);
}

static uint32_t index_of(const struct rig *rig, const struct tn_value *value)
{
    for (uint32_t i = 0; i < rig->program.value_count; i++)
        if (rig->values[i] == value)
            return i;
    die("value", "is not of this program");
    return 0;
}

const float *rig_fill(struct rig *rig, struct tn_value *value, uint64_t seed, double low, double high)
{
    struct tn_random random = tn_random_stream(seed, 7);
    uint64_t count = rig_count(value);
    float *numbers = malloc(count * sizeof *numbers);
    if (!numbers)
        die("numbers", "out of memory");
    for (uint64_t i = 0; i < count; i++) {
        numbers[i] = (float)tn_random_uniform(&random, low, high);
        if (value->data_type == TN_U8)
            numbers[i] = floorf(numbers[i]);
    }
    rig->written[index_of(rig, value)] = numbers;
    return numbers;
}

static void write_filled(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->program.value_count; i++) {
        struct tn_value *value = rig->values[i];
        uint64_t count = rig_count(value);
        uint8_t *bytes;
        if (!rig->written[i])
            continue;
        if (value->data_type != TN_U8) {
            rig_write(rig, value, rig->written[i]);
            continue;
        }
        bytes = malloc(count);
        if (!bytes)
            die("numbers", "out of memory");
        for (uint64_t k = 0; k < count; k++)
            bytes[k] = (uint8_t)rig->written[i][k];
        rig_write(rig, value, bytes);
        free(bytes);
    }
}
