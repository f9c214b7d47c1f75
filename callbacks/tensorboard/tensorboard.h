/* tensorboard.h: what the files of this folder share.
 *
 *   tensorboard.c  options, events: what is written when
 *   settings.c     the experiment as text and as hyper-parameters
 *   contents.c     histograms of weights and gradients, pictures
 *   images.c       pictures of a batch
 *   summary.c      the events that TensorBoard shows
 *   confusion.c    how often classes were taken for others, as a picture
 *   event_file.c   a file that grows, record by record
 *   message.c      protobuf
 */
#ifndef TENON_CALLBACKS_TENSORBOARD_H
#define TENON_CALLBACKS_TENSORBOARD_H

#include "confusion.h"
#include "event_file.h"

struct tensorboard {
    const char *log_dir, *update_freq;
    int64_t histogram_freq, images, images_freq;
    int32_t write_grads;
    int32_t write_steps_per_second, throughput, write_configuration, confusion_matrix;
    struct tn_list hparams;
    /* state */
    const struct tn_host *host;
    int64_t every; /* batches; 0 = at the end of an epoch */
    char folder[900];
    struct event_file train, validation, session;
    int32_t warned, cannot_count;
    struct confusion confusion;
    double epoch_began, batch_began; /* seconds */
    uint64_t epoch_step;             /* of the run when the epoch began */
};

/* Opens a file of the board when it is not; 0 = it could not be, which the user has been told. */
int32_t tensorboard_ready(struct tensorboard *board, struct event_file *file, const struct tn_run *run);

/* A failure to write: said once. */
void tensorboard_warn(struct tensorboard *board, const struct tn_run *run, const struct tn_error *error);
/* Adds the file's event as a record. */
void tensorboard_add(struct tensorboard *board, struct event_file *file, const struct tn_run *run);

tn_status contents_weights(struct tensorboard *board, const struct tn_run *run, struct tn_error *error);
tn_status contents_gradients(struct tensorboard *board, const struct tn_run *run, struct tn_error *error);
void contents_images(struct tensorboard *board, const struct tn_run *run);
void contents_count(struct tensorboard *board, const struct tn_run *run);
void contents_confusion(struct tensorboard *board, const struct tn_run *run);

/* Puts what is asked for of the run's config.ini into the files: all of it as text, and the `hparams`.
 * `error`: TN_INVALID when one of them is not there; else it could not be written. */
tn_status settings_write(struct tensorboard *board, const struct tn_run *run, struct tn_error *error);
/* That the run is done, for the page of hyper-parameters. */
tn_status settings_write_end(struct tensorboard *board, struct tn_error *error);

#endif
