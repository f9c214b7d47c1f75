/* keras_model.h: the network that a .keras file describes (its config.json), made of our layers. */
#ifndef TENON_TESTS_KERAS_MODEL_H
#define TENON_TESTS_KERAS_MODEL_H

#include "support/json.h"
#include "support/small_network.h"

/* The description inside of a .keras file, an uncompressed zip; NULL and `error` when there is none. */
const struct json *keras_model_read(struct tn_arena *arena, const char *path, struct tn_error *error);

/* Appends the layers of a Sequential or Functional model to `net`. A class or setting that none of our types has makes
 * the case uncovered. `keep_dropout`: false gives Dropout the rate 0. */
void keras_model_build(struct small_network *net, struct golden_case *item, const struct json *model,
                       bool keep_dropout);

/* The settings with which the model in an .h5 file was compiled, for our optimizer `type`: from the text of the file's
 * attribute training_config. Adds none when there is no such text. */
void keras_model_optimizer(struct golden_rig *rig, struct tn_arena *arena, const char *path, const char *type,
                           struct golden_options *options);

#endif
