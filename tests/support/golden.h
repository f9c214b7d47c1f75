/* golden.h: the rig of the golden suites: counts cases by group, compares tensors, makes configured instances of types.
 */
#ifndef TENON_TESTS_GOLDEN_H
#define TENON_TESTS_GOLDEN_H

#include "registry/registry.h"
#include "support/bundle.h"

/* One group of cases. */
struct golden_group {
    const char *name; /* "layers/conv" */
    int passed, failed, uncovered;
};

/* One case in hand. */
struct golden_case {
    struct golden_group *group;
    const struct bundle_case *item;
    bool failed;
    int compared; /* tensors that were looked at */
    char reason[512];
};

/* Runs every case of the bundle `relative` (under the folder of fixtures) and prints the group's line; 0 groups are
 * printed when the file is absent, with a message. Returns the number of failed cases. */
int golden_run(const char *relative, const char *group, void (*run)(struct golden_case *item, void *context),
               void *context);

/* Inside of a case; the first of these decides. A case that calls none of them passes if it compared something. */
TN_PRINTF(2, 3) void golden_fail(struct golden_case *item, const char *format, ...);
TN_PRINTF(2, 3) void golden_uncovered(struct golden_case *item, const char *format, ...);
bool golden_decided(const struct golden_case *item);

/* |got - expected| <= absolute + relative * max |expected|, and NaN nowhere else than expected. */
void golden_compare(struct golden_case *item, const char *what, const struct bundle_tensor *expected, const float *got,
                    double absolute, double relative);

/* ---- types by name, with options given as text ---- */
struct golden_rig {
    struct tn_registry *registry;
    struct tn_instance *device; /* cpu, or NULL */
};
/* With `device`, opens the cpu device too, on one thread (the tensors are tiny) or $TENON_TEST_THREADS. Ends the
 * program when that fails. */
void golden_rig_open(struct golden_rig *rig, bool device);
void golden_rig_close(struct golden_rig *rig);

struct golden_options {
    struct tn_text text; /* of a section */
    const char *name;    /* of the section; NULL = "golden" */
};
TN_PRINTF(3, 4) void golden_option(struct golden_options *options, const char *key, const char *format, ...);

struct golden_instance {
    struct tn_config *config;
    struct tn_instance *instance; /* NULL when it could not be made */
    struct tn_problems problems;
    char reason[512]; /* then */
};
/* Makes an instance of type `type` with these options, and releases them. */
bool golden_instance_open(struct golden_rig *rig, uint32_t kind, const char *type, struct golden_options *options,
                          struct golden_instance *made);
void golden_instance_close(struct golden_instance *made);
/* The option `key` of a type, or NULL. */
const struct tn_option *golden_find_option(const struct tn_type *type, const char *key);
/* A type of a kind without a message when there is none. */
const struct tn_type *golden_find_type(struct golden_rig *rig, uint32_t kind, const char *name);

#endif
