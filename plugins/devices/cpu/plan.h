/* plan.h: whole programs; the functions of struct tn_device that plan.c has. */
#ifndef TENON_CPU_PLAN_H
#define TENON_CPU_PLAN_H

#include "kernel.h"

tn_status tn_program_plan(void *self, struct tn_program *program, struct tn_error *error);
tn_status tn_program_bind(void *self, struct tn_program *program, struct tn_error *error);
tn_status tn_program_run(void *self, struct tn_program *program, uint32_t first, uint32_t last,
                         const struct tn_step *step, struct tn_error *error);
void tn_program_forget(void *self, struct tn_program *program);
void tn_value_forget(void *self, struct tn_value *value);

#endif
