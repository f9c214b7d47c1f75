/* layer_case.h: turns the settings of a layer's fixture case into one of our layer types and its options. */
#ifndef TENON_TESTS_LAYER_CASE_H
#define TENON_TESTS_LAYER_CASE_H

#include "support/golden.h"

/* The layer that a case describes. Nothing is decided by a case's name: a Keras operation is the type with that
 * keras_class, its settings are options of the type's table, and what the table lacks makes the case uncovered. */
struct layer_case {
    const char *type; /* NULL: uncovered, and said so */
    struct golden_options options;
};
void layer_case_translate(struct golden_rig *rig, struct golden_case *item, struct layer_case *out);

#endif
