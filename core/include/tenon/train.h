/* tenon/train.h: kinds optimizer, schedule, callback and format. */
#ifndef TENON_TRAIN_H
#define TENON_TRAIN_H

#include "tenon/device.h"
#include "tenon/layer.h"
#include "tenon/type.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- optimizer
 * ------------------------------------------------------------------------------------------------------------------ */

/* State belongs to the core (slots: float arrays shaped like the parameter, zero at first), so it is planned, saved and
 * counted without code. update() is elementwise; a device splits it among threads, or runs its own kernel of the same
 * type name. */
struct tn_optimizer {
    struct tn_type type;
    int32_t (*slot_count)(const void *self);                  /* 0..4  [setup] */
    const char *(*slot_name)(const void *self, int32_t slot); /* Keras' ("momentum", "velocity") */
    double (*learning_rate)(const void *self);                /* the initial one */
    void (*update)(const struct tn_update *update);           /* [step], any thread */
    const char *keras_class;                                  /* "Adam"; NULL = none */
    tn_status (*keras_config)(const void *self, char *text, uint64_t text_bytes, struct tn_error *error);
};

/* ---- schedule: the learning rate of each step
 * ------------------------------------------------------------------------------------ */

struct tn_schedule_point {
    uint32_t size, reserved;
    uint64_t step, total_steps; /* steps done before this one */
    uint64_t steps_per_epoch;
    double initial; /* of the optimizer */
};

struct tn_schedule {
    struct tn_type type;
    double (*rate)(const void *self, const struct tn_schedule_point *point); /* [step] */
};

/* ---- weights, and formats that read and write them
 * -------------------------------------------------------------------------------- */

struct tn_weight {
    const char *name; /* "kernel" */
    struct tn_shape shape;
    int32_t trained, slot_count;
    float *data;     /* plain; owned by the core */
    float *slots[4]; /* plain; NULL where not wanted */
};

struct tn_weight_layer {
    const char *name, *type_name; /* "conv1", "conv2d" */
    const char *keras_class;      /* "Conv2D" or NULL */
    const char *keras_config;     /* members of a JSON object, without braces; NULL when keras_class is */
    const char *const *inputs;    /* names of the layers (or "input") that feed it */
    uint32_t input_count;
    uint32_t weight_count;
    struct tn_weight *weights; /* trained first, as Keras orders them */
};

/* A network's weights as files see them. Built and owned by the core. */
struct tn_weights {
    uint32_t size;
    uint32_t layer_count;
    struct tn_weight_layer *layers; /* in model order */
    struct tn_shape input;          /* [1, h, w, c] */
    const char *const *classes;
    uint32_t class_count;
    int32_t slot_count;
    const char *const *slot_names;
    uint64_t iterations;
    double learning_rate;
    const char *loss, *optimizer_class, *optimizer_config; /* Keras' names; config: members of a JSON object */
    int32_t sequential;                                    /* 1: a plain chain */
    const char *loss_class, *loss_config; /* Keras' class of the loss, and members of its config; NULL = none */
};

enum { TN_FORMAT_WEIGHTS_ONLY = 1u /* leave out the model's description and the optimizer */ };

/* Flags of a format's type. */
enum {
    TN_FORMAT_KEEPS_OPTIMIZER = 1u,   /* encode() writes slots: it is given them unless TN_FORMAT_WEIGHTS_ONLY */
    TN_FORMAT_NEEDS_DESCRIPTION = 2u, /* encode() fails where a layer has no keras_class; told before a run */
};

enum tn_array_role { TN_ARRAY_WEIGHT = 0, TN_ARRAY_OPTIMIZER = 1, TN_ARRAY_OTHER = 2 };

/* An array of a weight file, as list() tells it; valid during the call. */
struct tn_array_info {
    uint32_t size;
    int32_t role;          /* enum tn_array_role */
    const char *name;      /* where it is: "model_weights/conv1/conv1/kernel:0" */
    const char *type_name; /* of an element: "float32" */
    int32_t rank, reserved;
    uint64_t dims[8]; /* [rank]; of more than 8 axes the first ones */
    uint64_t bytes;   /* that it takes in the file */
};

struct tn_format {
    struct tn_type type;    /* flags: TN_FORMAT_… */
    const char *extensions; /* "h5|hdf5": the longest that fits a name wins */
    /* Encodes into memory from host->allocate, which the core writes and releases.  [step] */
    tn_status (*encode)(const void *self, const struct tn_host *host, const struct tn_weights *weights, uint32_t flags,
                        void **data, uint64_t *bytes, struct tn_error *error);
    /* Fills the `data` of weights that the core has laid out; what does not fit is an error that names both shapes. The
     * bytes are hostile: nothing is allocated by a size that they claim. `notes` may take a sentence for the user ("no
     * optimizer state").  [setup] */
    tn_status (*decode)(const void *self, const struct tn_host *host, const void *data, uint64_t bytes,
                        struct tn_weights *weights, char *notes, uint64_t notes_bytes, struct tn_error *error);
    /* Tells what arrays are in the bytes, whatever network they are for. `notes` may take what else there is to say of
     * the file. As hostile as for decode(). NULL = this format cannot be listed.  [setup] */
    tn_status (*list)(const void *self, const struct tn_host *host, const void *data, uint64_t bytes,
                      void (*visit)(void *context, const struct tn_array_info *array), void *context, char *notes,
                      uint64_t notes_bytes, struct tn_error *error);
};

/* ---- callback
 * -------------------------------------------------------------------------------------------------------------------
 */

enum tn_event {
    TN_RUN_BEGIN = 1, /* logs: the names that TN_EPOCH_END will have, with NaN as values */
    TN_EPOCH_BEGIN = 2,
    TN_BATCH_BEGIN = 3,
    TN_BATCH_END = 4,
    TN_VALIDATION_BEGIN = 5,
    TN_VALIDATION_END = 6,
    TN_EPOCH_END = 7, /* logs hold the epoch's values, val_… too */
    TN_RUN_END = 8,   /* in order: last epoch, early stop */
    TN_INTERRUPT = 9, /* a signal asked to stop; RUN_END does not follow */
    TN_RUN_ERROR = 10,
    TN_RUN_RESUME = 11, /* a run goes on: RUN_BEGIN was told with `resumed`, and the fields of `state` are back */
    TN_VALIDATION_BATCH_END = 12, /* only told with TN_CALLBACK_SEES_VALIDATION; `seen` of the run holds the batch */
    TN_SETTLE = 13, /* before the run's state is saved, or somebody looks at its files: what was begun behind the
                     * training is to be ended now, and fields of `state` to be as they are to be saved */
};

/* A batch after the forward pass. What it points to is valid during the call; before the first batch
 * only its sizes and class names are known, and count is 0. */
struct tn_seen_batch {
    uint32_t size;
    int32_t count, height, width, channels;
    int32_t pixel_type;       /* enum tn_pixel_type */
    int32_t class_mode;       /* of [data] */
    int32_t prediction_count; /* numbers of one prediction */
    int32_t target_count;     /* numbers of one target */
    uint32_t class_count;
    const char *const *class_names; /* [class_count] */
    const void *images;             /* [count, height, width, channels], as the network gets them */
    const float *targets;           /* [count, target_count] or NULL */
    const float *predictions;       /* [count, prediction_count] */
    const float *losses;            /* [count], times the sample's weight */
    const float *weights;           /* [count]; 0: stands in for a sample that could not be read; NULL = all 1 */
    const uint64_t *samples;        /* [count] index in the source */
};

struct tn_log_value {
    const char *name; /* "loss", "accuracy", "val_loss", "learning_rate" */
    double value;
    int32_t direction; /* enum tn_direction of the metric behind it */
    int32_t reserved;
};

/* What a callback sees. Valid during the call. Epochs and steps count from 0. */
struct tn_run {
    uint32_t size;
    int32_t epoch, epochs;
    uint64_t batch, batches; /* in this epoch; TN_BATCH_END: number of the batch that ended */
    uint64_t step;           /* optimizer steps done since the run began */
    const struct tn_log_value *logs;
    uint32_t log_count;
    int32_t quiet;         /* 1: print nothing */
    const char *directory; /* the run directory */
    const char *name;      /* of the experiment */
    double learning_rate;
    void *core;
    /* Requests; all [step], during a call only. */
    void (*stop)(const struct tn_run *run, const char *reason);
    void (*set_learning_rate)(const struct tn_run *run, double rate);
    /* Writes a weight file (format by extension; parents are made, written atomically). */
    tn_status (*save_weights)(const struct tn_run *run, const char *path, uint32_t flags, struct tn_error *error);
    /* Keeps a copy of the weights in memory, or puts it back. Planned: `keeps_weights` of the type must be set. */
    tn_status (*keep_weights)(const struct tn_run *run, struct tn_error *error);
    tn_status (*restore_weights)(const struct tn_run *run, struct tn_error *error);
    /* A line for the user, above the progress line. */
    void (*say)(const struct tn_run *run, int32_t level, const char *text);
    /* TN_EPOCH_END: how fast the training part of the epoch was, and which share of its time went into waiting for
     * pictures: 0 = the computation was the limit all the time. images_per_second 0 = unknown. */
    double images_per_second, input_wait;
    int32_t resumed,
        reserved; /* 1: goes on with a run that was cut off; files of it are there and to be gone on with */
    /* The weights as they are now, without the optimizer's slots: a copy on the host that belongs to the core, must not
     * be written to, and is valid until on() returns. */
    tn_status (*read_weights)(const struct tn_run *run, const struct tn_weights **weights, struct tn_error *error);
    /* TN_BATCH_END: mean loss of that batch alone; "loss" of the logs is the mean since the epoch began. */
    double batch_loss;
    /* 1 when a signal has asked to stop: what takes long should come to an end. */
    int32_t (*asked_to_stop)(const struct tn_run *run);
    /* Something that this callback was to save is not saved: the run goes on, and ends with status 1 and this text.
     * NULL takes it back: by now it is. */
    void (*unsaved)(const struct tn_run *run, const char *text);
    /* NULL without validation. */
    const struct tn_seen_batch *seen;
    /* As save_weights(), behind the training: the weights are copied now, and a thread makes and writes the file. Those
     * of one step are written one after the other; one of a later step waits for them. What became of it is asked with
     * saved(), which each callback that begins one does after batches, and at the end of an epoch, TN_SETTLE, and the
     * end of the run, where it waits. */
    tn_status (*save_weights_behind)(const struct tn_run *run, const char *path, uint32_t flags,
                                     struct tn_error *error);
    /* 1: the file that this callback had written behind is done with, and *outcome says how (its error is in `error`);
     * said once. 0: there is none, or it is under way, which it is not after a call with `wait`. */
    int32_t (*saved)(const struct tn_run *run, int32_t wait, tn_status *outcome, struct tn_error *error);
    /* Before somebody looks at the run's files: tells the other callbacks TN_SETTLE where something is under way. */
    tn_status (*settle)(const struct tn_run *run, struct tn_error *error);
    /* Asks for the run's state to be saved behind this step or epoch, whatever save_every says, unless it is `no`. */
    void (*save_state)(const struct tn_run *run);
    /* TN_BATCH_END: the batch of training, augmented as the network got it, with the results of its forward pass;
     * TN_VALIDATION_BATCH_END: the same as `seen`. */
    const struct tn_seen_batch *batch_seen;
    /* TN_BATCH_END: the mean gradients of that step, in a copy as read_weights() gives it; data is NULL where there is
     * none. Planned: `reads_gradients` of the type must say so. */
    tn_status (*read_gradients)(const struct tn_run *run, const struct tn_weights **gradients, struct tn_error *error);
};

enum {
    TN_CALLBACK_KEEPS_WEIGHTS = 1u, /* may call keep_weights(): the plan counts that memory */
    /* Calls set_learning_rate(): refused beside a schedule, and "learning_rate" is in the logs of an epoch. */
    TN_CALLBACK_SETS_RATE = 2u,
    /* Its stop() only ends this process in order: the run is not finished, and the same command goes on with it. */
    TN_CALLBACK_PAUSES = 4u,
    /* Wants TN_VALIDATION_BATCH_END. */
    TN_CALLBACK_SEES_VALIDATION = 8u,
};

/* A number of a callback's instance that a continued run needs: what it counted, what was best so far. Or a text: a
 * char * whose memory is from host->allocate; the one that is given back is too, and takes the place of one that is
 * there, which is released; an empty one is NULL. */
enum tn_field_kind { TN_FIELD_INT32 = 1, TN_FIELD_INT64 = 2, TN_FIELD_DOUBLE = 3, TN_FIELD_TEXT = 4 };
struct tn_state_field {
    const char *name; /* NULL ends the table */
    uint32_t kind;    /* enum tn_field_kind */
    uint32_t reserved;
    uint64_t offset;
};

/* How far a run is, for what draws the progress line; valid during the call. */
struct tn_progress {
    uint32_t size;
    int32_t phase; /* enum tn_progress_phase */
    int32_t epoch, epochs;
    uint64_t batch, batches; /* done, and all of this phase */
    /* wait_share: share of the epoch's time spent waiting for data; eta_seconds: to the end of the phase */
    double images_per_second, seconds, eta_seconds, wait_share;
    const struct tn_log_value *logs;
    uint32_t log_count;
    int32_t repaints; /* 1: a line can be painted over; 0: a file, say, where every line stays */
    const char *hint; /* what limits and what to do, or NULL; shown in any case */
};

enum tn_progress_phase { TN_PROGRESS_TRAINING = 0, TN_PROGRESS_VALIDATION = 1, TN_PROGRESS_EPOCH_END = 2 };

enum tn_progress_way {
    TN_PROGRESS_OWN = 0,     /* tenon's own line, when it is time for one */
    TN_PROGRESS_OWN_NOW = 1, /* the same at once */
    TN_PROGRESS_NOTHING = 2,
    TN_PROGRESS_PAINT = 3, /* `text` over what was painted before; nothing where no line can be painted over */
    TN_PROGRESS_LINE = 4,  /* `text` as a line that stays */
};

struct tn_callback {
    struct tn_type type; /* flags: TN_CALLBACK_… */
    /* A failure of a callback ends the run with its text; nothing else of the run is touched.  [step] */
    tn_status (*on)(void *self, int32_t event, const struct tn_run *run, struct tn_error *error);
    /* Of a type with TN_CALLBACK_KEEPS_WEIGHTS: 1 when it will, with these options; NULL = always.  [setup] */
    int32_t (*keeps_weights)(const void *self);
    /* The file that save_weights() will be asked for, placeholders and all, so that a name of no known format is an
     * error before the run; NULL (or the result NULL) = it saves none, or does not know yet.  [setup] */
    const char *(*weight_file)(const void *self);
    /* What is saved with the run's state and given back when the run goes on, by name; NULL = nothing. The core reads
     * the numbers after the callbacks of a step, and writes them between RUN_BEGIN and RUN_RESUME. */
    const struct tn_state_field *state;
    /* Of a type that says when the run's state is saved, in the words of [experiment] save_every; the core does the
     * saving. The result NULL leaves that to [experiment], where it cannot be `no` then.  [setup] */
    const char *(*save_every)(const void *self);
    /* Of a type that draws the progress line, of which a run has one at most: asked after each batch and at the end of
     * an epoch, unless the user wants none. Returns enum tn_progress_way; `text` has text_bytes of room.  [step] */
    int32_t (*progress)(void *self, const struct tn_progress *progress, char *text, uint64_t text_bytes);
    /* 1 when it will call read_gradients(): they are kept to the end of each step then; NULL = no.  [setup] */
    int32_t (*reads_gradients)(const void *self);
    /* Memory that it will take with these options, for the plan. `sizes`: what is known of a batch before there is one.
     * NULL = next to none.  [setup] */
    uint64_t (*host_bytes)(const void *self, const struct tn_seen_batch *sizes);
};

#define TN_SIZE_OF_TN_OPTIMIZER sizeof(struct tn_optimizer)
#define TN_SIZE_OF_TN_SCHEDULE  sizeof(struct tn_schedule)
#define TN_SIZE_OF_TN_CALLBACK  sizeof(struct tn_callback)
#define TN_SIZE_OF_TN_FORMAT    sizeof(struct tn_format)

#ifdef __cplusplus
}
#endif
#endif
