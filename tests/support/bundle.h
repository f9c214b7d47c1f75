/* bundle.h: reads a fixture bundle, a text file of cases and the binary file that it names (shared/fixtures/README.md).
 *
 * The files are treated as hostile: every size is checked against the bytes that are there, nothing is allocated by a
 * size that a file claims, and a wrong line is an error with its number.
 */
#ifndef TENON_TESTS_BUNDLE_H
#define TENON_TESTS_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tenon/status.h"

enum bundle_type { BUNDLE_F32 = 1, BUNDLE_F64, BUNDLE_U8, BUNDLE_I32, BUNDLE_I64, BUNDLE_U16 };
enum { BUNDLE_MAX_RANK = 8 };

struct bundle_tensor {
    const char *role;
    int type; /* enum bundle_type */
    int rank;
    int32_t dims[BUNDLE_MAX_RANK];
    uint64_t count; /* elements */
    uint64_t bytes;
    const void *data; /* aligned to 16, C order; the bundle's */
};

struct bundle_setting {
    const char *key, *value;
};

struct bundle_case {
    const char *name;
    uint32_t line;
    const struct bundle_setting *settings;
    size_t setting_count;
    const struct bundle_tensor *tensors;
    size_t tensor_count;
};

struct bundle;

/* Opens PATH (NAME.txt) and the data file beside it. */
tn_status bundle_open(const char *path, struct bundle **bundle, struct tn_error *error);
void bundle_close(struct bundle **bundle);
size_t bundle_case_count(const struct bundle *bundle);
const struct bundle_case *bundle_case_at(const struct bundle *bundle, size_t index);
/* By name; NULL = none. */
const struct bundle_case *bundle_find(const struct bundle *bundle, const char *name);

/* Text behind `set KEY`; NULL when the case does not set it. */
const char *bundle_set(const struct bundle_case *item, const char *key);
/* The same, but NULL for `none` too. */
const char *bundle_value(const struct bundle_case *item, const char *key);
/* As a number; `otherwise` when it is absent, `none` or not a number. */
double bundle_number(const struct bundle_case *item, const char *key, double otherwise);
/* Numbers separated by spaces, at most `most`; returns how many there are (0 = absent, or not all are numbers). */
size_t bundle_numbers(const struct bundle_case *item, const char *key, double *numbers, size_t most);

/* NULL = the case has no tensor of that role. */
const struct bundle_tensor *bundle_tensor(const struct bundle_case *item, const char *role);
/* Element `index` as a number, whatever the type. */
double bundle_at(const struct bundle_tensor *tensor, uint64_t index);
/* A malloc'ed float copy of the tensor; NULL when memory is out. */
float *bundle_floats(const struct bundle_tensor *tensor);

/* The folder of the fixtures: $TENON_FIXTURES, else $TENON_SOURCE/../shared/fixtures. false (nothing written) when it
 * is not there. */
bool fixtures_folder(char *path, size_t bytes);
/* That folder and a relative path behind it; false when the file is not there. */
bool fixtures_file(char *path, size_t bytes, const char *relative);

#endif
