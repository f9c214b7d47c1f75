/* internal.h: what the files of core/train share and nobody else needs.
 *
 *   options.c        [experiment]; sections that are added when a file leaves them out
 *   experiment.c     open and close: the order in which everything is made
 *   sections.c       sections -> instances; sections of which there is only one
 *   fit.c            does the loss fit the labels; device; metrics
 *   datasets.c       sources -> datasets, class names
 *   pictures.c       a folder or file of pictures as a source
 *   weight_files.c   formats: load and save;  weight_writer.c saves behind the training
 *   meters.c         running means of loss and metrics
 *   run_directory.c  the folder of a run: lock, config.ini, classes.txt;  run_config.c what config.ini says
 *   manifest.c       manifest.json
 *   state.c, state_apply.c   the loop as bytes, and back;  state_files.c on disk;  resume.c going on
 *   save_rule.c      when a state is saved
 *   initial.c        what a run begins with
 *   train.c          the loop;  events.c what callbacks see and may ask for
 *   eval.c, predict.c
 */
#ifndef TENON_TRAIN_INTERNAL_H
#define TENON_TRAIN_INTERNAL_H

#include <pthread.h>

#include "train/experiment.h"

enum { TN_MAX_FORMATS = 8, TN_MAX_EXTRA = 16 };

/* A dataset that was opened by name. */
struct tn_extra_dataset {
    const char *name;
    struct tn_instance *source; /* of its own: one dataset each */
    struct tn_dataset *dataset;
};

struct tn_experiment_own {
    struct tn_augment_use *augments; /* the chosen strategy, in order */
    uint32_t augment_count;
    struct tn_network_layer *network_layers;
    struct tn_instance *validation_split; /* second instance of [source:train], for what the split sets aside */
    struct tn_extra_dataset extra[TN_MAX_EXTRA];
    uint32_t extra_count;
    struct tn_instance **pictures; /* sources of tn_experiment_pictures */
    size_t picture_count, picture_capacity;
    struct tn_instance *formats[TN_MAX_FORMATS];
    uint32_t format_count;
    struct tn_weights *weights;       /* host copy through which files are written; made once */
    struct tn_weights *whole;         /* the same with the optimizer's slots, made when a file holds them */
    struct tn_weights *shown;         /* what callbacks read, while a file may be made of `weights` */
    struct tn_weights *gradients;     /* what they read of the last step */
    const struct tn_instance *drawer; /* the callback that draws the progress line, or NULL */
    bool keeps_optimizer;             /* a callback's file may */
    bool writes_behind;               /* a callback's file may be written behind the training */
    const char *described_file;       /* of a callback, in a format that needs Keras' words for all layers; or NULL */
    char optimizer_config[2048];
    int32_t input_type; /* of the network: enum tn_pixel_type */
    int32_t batch;      /* planned */
    bool allocated;
};

/* State while an experiment is opened. */
struct tn_setup {
    struct tn_experiment *experiment;
    struct tn_problems *problems;
};

/* ---- sections.c ---- */
void tn_setup_names(struct tn_setup *setup);
/* One instance of each [kind:…] section, in order; those that fail leave a problem. */
tn_status tn_setup_instances(struct tn_setup *setup, uint32_t kind, const char *const *reserved,
                             struct tn_instance ***list, uint32_t *count);
/* The instance of the only section of a kind; *instance = NULL without one. */
tn_status tn_setup_single(struct tn_setup *setup, uint32_t kind, struct tn_instance **instance);
tn_status tn_setup_augments(struct tn_setup *setup);
tn_status tn_setup_layers(struct tn_setup *setup);
/* An error of a call as a problem: at its own place, else at the given one. */
void tn_setup_problem(struct tn_setup *setup, const struct tn_error *error, const char *file, uint32_t line);
/* Cuts "a, b" into texts of the arena; count 0 for NULL. */
tn_status tn_split_names(struct tn_arena *arena, const char *text, struct tn_list *list);

/* ---- fit.c ---- */
tn_status tn_setup_device(struct tn_setup *setup);
void tn_setup_check_fit(struct tn_setup *setup);
/* Floats of one sample's target, for class_mode and class count of the experiment. */
int32_t tn_experiment_target_count(const struct tn_experiment *experiment);
bool tn_loss_is_sparse(const struct tn_instance *loss);

/* ---- datasets.c ---- */
tn_status tn_setup_datasets(struct tn_setup *setup);
struct tn_instance *tn_experiment_source_instance(const struct tn_experiment *experiment, const char *name);
tn_status tn_experiment_dataset(struct tn_experiment *experiment, struct tn_instance *source, bool training,
                                int32_t subset, struct tn_dataset **dataset, struct tn_error *error);
int32_t tn_color_channels(int32_t color_mode);

/* ---- weight_files.c ---- */
/* Makes the host copy of the weights through which files are written. */
tn_status tn_experiment_prepare_saving(struct tn_experiment *experiment, struct tn_error *error);
/* Fills that copy with the weights as they are now. */
tn_status tn_experiment_read_weights(struct tn_experiment *experiment, const struct tn_weights **weights,
                                     struct tn_error *error);
/* The same of the gradients of the last training step. */
tn_status tn_experiment_read_gradients(struct tn_experiment *experiment, const struct tn_weights **gradients,
                                       struct tn_error *error);
/* Opens the format that writes files of this name; TN_INVALID when there is none. */
tn_status tn_weight_files_prepare(struct tn_experiment *experiment, const char *path, struct tn_error *error);
/* What a file brought. */
struct tn_loaded {
    bool has_optimizer; /* the optimizer's state too */
    uint32_t slots;     /* arrays of it */
    uint64_t iterations;
    double learning_rate; /* NaN: the file has none */
    char notes[512];
};
/* Loads weights, and the optimizer's state where the file has it. */
tn_status tn_experiment_load_whole(struct tn_experiment *experiment, const char *path, struct tn_loaded *loaded,
                                   struct tn_error *error);
/* A file that is to be made: `weights` is one of the experiment's copies, which nobody else may touch meanwhile. */
struct tn_weight_job {
    char path[1100];
    uint32_t flags;
    const struct tn_instance *format;
    struct tn_weights *weights;
};
/* Says which format and which copy; then the weights are copied as they are now. */
tn_status tn_weight_job_open(struct tn_experiment *experiment, const char *path, uint32_t flags,
                             struct tn_weight_job *job, struct tn_error *error);
tn_status tn_weight_job_fill(struct tn_experiment *experiment, const struct tn_weight_job *job, uint64_t iterations,
                             double learning_rate, struct tn_error *error);
/* Makes the file and writes it.  [any thread, one at a time] */
tn_status tn_weight_job_write(const struct tn_weight_job *job, struct tn_error *error);
void tn_weight_files_close(struct tn_experiment *experiment);

/* What is known of a batch, with predictions of so many numbers, before there is one. */
struct tn_seen_batch tn_experiment_seen_sizes(const struct tn_experiment *experiment, int32_t prediction_count);

/* ---- meters.c: mean loss and metrics of the samples seen since reset ---- */
struct tn_meters {
    const struct tn_experiment *experiment;
    void **states; /* of each metric */
    double loss_sum, weight_sum;
    double batch_loss; /* mean of the batch that was added last */
    /* room for one batch */
    int32_t classes; /* elements of one prediction */
    float *losses, *predictions, *pixels;
};
/* Buffers for the batches of `dataset`. */
tn_status tn_meters_open(struct tn_meters *meters, const struct tn_experiment *experiment,
                         const struct tn_dataset *dataset, struct tn_error *error);
void tn_meters_close(struct tn_meters *meters);
void tn_meters_reset(struct tn_meters *meters);
/* Adds a batch whose losses and predictions stand in the buffers. */
void tn_meters_add(struct tn_meters *meters, const struct tn_batch *batch);
double tn_meters_loss(const struct tn_meters *meters);
double tn_meters_metric(const struct tn_meters *meters, uint32_t metric);
/* Images of a batch in the network's type: as they are, or 8-bit ones as floats in the meters' buffer. */
const void *tn_meters_images(struct tn_meters *meters, const struct tn_batch *batch);

/* ---- run_directory.c ---- */
struct tn_run_directory {
    char path[1024];
    int lock;     /* descriptor, -1 = none */
    bool resumes; /* it holds a run with a state */
};
/* Makes and locks runs/NAME (fresh: the first of NAME, NAME-2, … that is free) and writes config.ini and classes.txt.
 */
tn_status tn_run_directory_open(struct tn_run_directory *directory, const struct tn_experiment *experiment, bool fresh,
                                struct tn_error *error);
/* Writes what describes the run. */
tn_status tn_run_directory_describe(const struct tn_run_directory *directory, const struct tn_experiment *experiment,
                                    struct tn_error *error);
void tn_run_directory_close(struct tn_run_directory *directory);

/* ---- run_config.c ---- */
/* Adds the resolved experiment with absolute paths (in the experiment's sections too). */
tn_status tn_run_config_print(const struct tn_experiment *experiment, struct tn_text *text);

/* ---- manifest.c ---- */
tn_status tn_manifest_write(const struct tn_experiment *experiment, const char *directory, struct tn_error *error);

/* ---- save_rule.c ---- */
enum tn_save_kind { TN_SAVE_NO, TN_SAVE_AUTO, TN_SAVE_EPOCH, TN_SAVE_STEPS, TN_SAVE_SECONDS };
struct tn_save_rule {
    int32_t kind; /* enum tn_save_kind */
    uint64_t steps;
    double seconds;
};
/* "auto", "no", "epoch", "500 batches", "5min". */
tn_status tn_save_rule_parse(const char *text, struct tn_save_rule *rule, struct tn_error *error);
/* Takes what a callback says of it into the experiment's options; that two say different things is a problem. */
void tn_setup_save_rule(struct tn_setup *setup);

/* ---- weight_writer.c: files that are written behind the training ---- */
struct tn_outcome { /* of the last file of one callback */
    bool there;
    tn_status status;
    struct tn_error error;
};
struct tn_weight_writer {
    pthread_mutex_t mutex; /* for all but `running` and the thread, which are the loop's */
    pthread_t thread;
    bool running, finished;      /* there is a thread to be joined; it has nothing left to do */
    struct tn_weight_job *jobs;  /* [callbacks], in order, since the thread was started */
    uint32_t *owners;            /* whose they are: numbers of callbacks */
    uint32_t done, count;        /* of jobs */
    struct tn_outcome *outcomes; /* of each callback, until it asks; NULL = there are no callbacks */
};
struct tn_loop;
/* Takes memory for the callbacks of the experiment. */
tn_status tn_weight_writer_open(struct tn_loop *loop, struct tn_error *error);
void tn_weight_writer_close(struct tn_loop *loop);
/* Waits for the files that are under way; then the experiment's copies of the weights are free. */
void tn_weight_writer_wait(struct tn_weight_writer *writer);
/* A file is being written, or a callback has not asked yet what became of its own. */
bool tn_weight_writer_busy(struct tn_loop *loop);
tn_status tn_weight_writer_begin(struct tn_loop *loop, uint32_t owner, const char *path, uint32_t flags,
                                 struct tn_error *error);
/* saved() of struct tn_run. */
int32_t tn_weight_writer_ask(struct tn_loop *loop, uint32_t owner, bool wait, tn_status *outcome,
                             struct tn_error *error);

/* ---- the loop: train.c, events.c and initial.c ---- */
struct tn_state_keeper;
/* Who has gone on with a run, and from which generation (state_line.c). */
struct tn_state_line {
    uint64_t run_id;
    int32_t session; /* the newest; 0 = not known */
    uint32_t count;
    struct {
        uint64_t from;
        int32_t session;
    } begun[64]; /* the newest ones, the oldest first */
};
/* One line of the logs: which value it is. */
struct tn_log_slot {
    int32_t metric; /* -1 loss, -2 learning rate */
    bool validation;
};
struct tn_loop {
    struct tn_experiment *experiment;
    const struct tn_train_request *request;
    struct tn_train_result *result;
    struct tn_run_directory directory;
    struct tn_meters train, validation;
    struct tn_run run; /* what callbacks see */
    struct tn_seen_batch seen;
    /* all values of an epoch, and those known after a batch; both sorted by name as Keras does */
    struct tn_log_value *epoch_logs, *batch_logs;
    struct tn_log_slot *epoch_slots, *batch_slots;
    uint32_t epoch_log_count, batch_log_count;
    uint64_t batches, total_steps;
    uint64_t steps_before; /* of the optimizer, whose state came with the weights that the run began with */
    double learning_rate;  /* now */
    double base_rate;      /* what a schedule starts from */
    bool stop, interrupted, warned_not_finite;
    char stop_reason[256], hint[560];
    double epoch_begin, phase_begin, training_seconds, wait_seconds;
    int32_t slowest_stage; /* enum tn_stage of the epoch's data; -1 = unknown */
    uint64_t images;
    /* What a state is made of, besides what stands above. */
    uint64_t next_batch; /* of the epoch; 0 once its end was told */
    bool epoch_told;     /* TN_EPOCH_END was told for run.epoch */
    bool kept;           /* there is a kept copy of the weights */
    struct tn_text config;
    uint64_t data_digest; /* of the list of the training data */
    struct tn_save_rule save;
    struct tn_state_keeper *keeper;
    struct tn_state_line line;
    uint64_t resumed_from;             /* generation, 0 = the run has begun */
    void *resumed_state;               /* until the callbacks have it */
    double *cost;                      /* seconds, of each callback; NULL = nobody asks */
    char (*unsaved)[512];              /* of each callback: what it could not save; "" = all is saved */
    const struct tn_instance *telling; /* the callback that is being told */
    struct tn_weight_writer writer;
    bool ending;       /* what is saved now is saved behind the last step */
    bool settling;     /* callbacks are told TN_SETTLE */
    bool state_wanted; /* one has asked for a state behind this step */
    bool pausing;      /* one with TN_CALLBACK_PAUSES has stopped the run */
};
tn_status tn_loop_open_logs(struct tn_loop *loop, struct tn_error *error);
void tn_loop_set_logs(struct tn_loop *loop, bool epoch_end);
/* Tells all callbacks, in order; the first failure ends it. */
tn_status tn_loop_tell(struct tn_loop *loop, int32_t event, struct tn_error *error);
/* Lets the callbacks end what they have begun behind the training; the copies of the weights are free afterwards.
 * `saving`: also where nothing was, since a state is about to be saved. */
tn_status tn_loop_settle(struct tn_loop *loop, bool saving, struct tn_error *error);
void tn_loop_say(struct tn_loop *loop, int32_t level, const char *text);
void tn_loop_bind_run(struct tn_loop *loop);
/* Asks the callback that draws the progress line, and hands on what it says. */
void tn_loop_show(struct tn_loop *loop, const struct tn_progress *progress);
/* Says what each callback has cost, of a run of so many seconds; nothing unless that was asked for. */
void tn_loop_say_cost(struct tn_loop *loop, double seconds);
/* Tells a batch whose results stand in the meters: TN_VALIDATION_BATCH_END, which only those are told that want it, or
 * TN_BATCH_END. `seen` of the run shows it meanwhile. */
tn_status tn_loop_tell_batch(struct tn_loop *loop, int32_t event, const struct tn_meters *meters,
                             const struct tn_batch *batch, struct tn_error *error);
/* What a callback could not save; NULL = nothing. */
const char *tn_loop_unsaved(const struct tn_loop *loop);
/* Loads the weights of the file that was asked for, if any; says what came. */
tn_status tn_loop_load_initial(struct tn_loop *loop, struct tn_error *error);

#endif
