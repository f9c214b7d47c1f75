/* device_rig.h: small programs built by hand and run on a device plugin, without the core.
 *
 * Every value and scratch gets a buffer of its own, filled with NaN before the run and followed by guard bytes, so that
 * reading what was never written and writing too far both show.
 */
#ifndef TENON_TESTS_DEVICE_RIG_H
#define TENON_TESTS_DEVICE_RIG_H

#include <stdbool.h>

#include "tenon/plugin.h"

struct rig_device {
    const struct tn_device *type;
    void *self;
};

/* Loads TENON_SYSTEM_PLUGINS/NAME.so and opens an instance with its default options but for `threads` and, when
 * key is not NULL, one more whole-number option. Aborts the test program on failure. */
struct rig_device rig_open(const char *name, int threads, const char *key, int value);
void rig_close(struct rig_device *device);

enum { RIG_MAX_OPS = 128, RIG_MAX_VALUES = 256 };

struct rig {
    struct rig_device *device;
    struct tn_program program;
    struct tn_op ops[RIG_MAX_OPS];
    struct tn_value *values[RIG_MAX_VALUES];
    bool borrowed[RIG_MAX_VALUES];
    struct tn_value *op_values[RIG_MAX_OPS][32];
    float *written[RIG_MAX_VALUES]; /* plain content of values[i], which rig_ready writes; freed by rig_end */
    struct tn_step step;
    struct tn_error error;
};

void rig_begin(struct rig *rig, struct rig_device *device);
/* dims end with 0. */
struct tn_value *rig_value(struct rig *rig, int role, int data_type, const char *name, ...);
/* Adds a value that another program of the same device owns (a parameter). */
void rig_share(struct rig *rig, struct tn_value *value);
/* Inputs, then outputs: tn_value pointers (NULL allowed). */
struct tn_op *rig_op(struct rig *rig, int kind, int inputs, int outputs, ...);
/* plan + buffers + bind; aborts with the message on failure. */
void rig_ready(struct rig *rig);
/* Plan only: the status. */
tn_status rig_plan(struct rig *rig);
/* Lets rig_ready write random floats in [low, high) (or bytes, for TN_U8) into a value; returns them as floats. */
const float *rig_fill(struct rig *rig, struct tn_value *value, uint64_t seed, double low, double high);
void rig_write(struct rig *rig, struct tn_value *value, const void *plain);
/* Runs all ops, then checks guards. */
void rig_run(struct rig *rig);
/* Heap; the caller frees. */
float *rig_read(struct rig *rig, const struct tn_value *value);
/* Frees everything but borrowed values. */
void rig_end(struct rig *rig);

uint64_t rig_count(const struct tn_value *value);

#endif
