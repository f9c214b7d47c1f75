/* tenon/tenon.h: to embed tenon in a program (link with `pkg-config --libs tenon`).
 *
 * What it offers is what the command offers, no more: train what an experiment file describes, and judge pictures with
 * a trained network. Nothing is printed; the process is never ended; every failure is a status and a text. One thread
 * at a time for each model. This interface is young: it may still change between minor versions, unlike
 * tenon/plugin.h.
 */
#ifndef TENON_TENON_H
#define TENON_TENON_H

#include "tenon/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0" */
const char *tn_version(void);

/* Trains the experiment as `tenon train FILE OVERRIDES…` does and writes its run directory. `overrides` are texts like
 * "data.batch_size=8". `stop` may be NULL; set to 1 from a signal handler or another thread it ends the run in order
 * with TN_INTERRUPTED. */
tn_status tn_train(const char *file, const char *const *overrides, uint32_t override_count, volatile int32_t *stop,
                   struct tn_error *error);

/* A trained network. */
struct tn_model;
tn_status tn_model_open(const char *file, const char *weights, struct tn_model **model, struct tn_error *error);
void tn_model_close(struct tn_model **model);
/* Names of the classes, in the order of the scores; owned by the model. NULL beyond the last. */
const char *tn_model_class(const struct tn_model *model, uint32_t index);
/* Calls row() for each picture at `path` (a file, or a folder with what is in it), in order of the names. `scores` has
 * `count` outputs of the network and is valid during the call; a status other than TN_OK ends the work. */
tn_status tn_model_predict(struct tn_model *model, const char *path,
                           tn_status (*row)(void *context, const char *name, uint64_t sample, const float *scores,
                                            int32_t count, struct tn_error *error),
                           void *context, struct tn_error *error);

#ifdef __cplusplus
}
#endif
#endif
