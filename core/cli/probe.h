/* probe.h: single training steps outside of a run, for `tenon check` and `tenon bench`. */
#ifndef TENON_CLI_PROBE_H
#define TENON_CLI_PROBE_H

#include "cli/cli.h"

struct tn_probe {
    struct tn_experiment *experiment; /* borrowed */
    float *losses, *predictions, *pixels;
    uint64_t pixel_count; /* of one image */
    uint64_t steps;
    bool wants_floats; /* the network's input, where it differs from the batch's */
};
/* Allocates the network and room for a batch. The caller closes in either case. */
tn_status tn_probe_open(struct tn_probe *probe, struct tn_experiment *experiment, struct tn_error *error);
void tn_probe_close(struct tn_probe *probe);
/* Forward, backward and update with this learning rate; *loss (may be NULL) is the batch's mean. */
tn_status tn_probe_step(struct tn_probe *probe, const struct tn_batch *batch, double learning_rate, double *loss,
                        struct tn_error *error);

#endif
