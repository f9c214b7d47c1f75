/* tensorboard.h: what the files of this folder share.
 *
 *   tensorboard.c  options, events: what is written when
 *   settings.c     the experiment as text and as hyper-parameters
 *   summary.c      the events that TensorBoard shows
 *   event_file.c   a file that grows, record by record
 *   message.c      protobuf
 */
#ifndef TENON_CALLBACKS_TENSORBOARD_H
#define TENON_CALLBACKS_TENSORBOARD_H

#include "event_file.h"

struct tensorboard {
    const char *log_dir, *update_freq;
    int64_t histogram_freq;
    int32_t write_steps_per_second, throughput, write_configuration;
    /* state */
    const struct tn_host *host;
    int64_t every; /* batches; 0 = at the end of an epoch */
    char folder[900];
    struct event_file train, validation;
    int32_t warned;
    double epoch_began, batch_began; /* seconds */
    uint64_t epoch_step;             /* of the run when the epoch began */
};

/* The run's config.ini as text, when it is there. */
tn_status settings_write_text(struct tensorboard *board, const struct tn_run *run, struct tn_error *error);

#endif
