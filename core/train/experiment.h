/* experiment.h: a checked experiment: every section turned into an instance, sources scanned, network built and
 * planned. */
#ifndef TENON_EXPERIMENT_H
#define TENON_EXPERIMENT_H

#include "config/config.h"
#include "data/data.h"
#include "plan/network.h"
#include "registry/registry.h"

enum {
    TN_OPEN_NETWORK_ONLY = 1u, /* no sources are scanned where class names are given: plan without data */
    TN_OPEN_INFERENCE = 2u,    /* no loss gradient, no optimizer: eval and predict */
};

struct tn_experiment_options { /* [experiment] */
    const char *name;          /* default: the file's stem */
    const char *run_folder;    /* key `run_folder`, default "runs" */
    int64_t seed;              /* default 0 */
    int64_t epochs;            /* default 1 */
    int64_t steps_per_epoch;   /* 0 = all */
    int64_t threads;           /* compute threads, 0 = all cores */
    const char *device;        /* auto, cpu, cuda */
    const char *save_every;    /* see tn_save_rule_parse; default auto */
    int32_t on_save_error;     /* 0 warn, 1 fail */
    const char *state_folder;  /* auto, no, or a folder */
    int32_t precision;         /* float32 | bfloat16 (not implemented: an error) */
};
extern const struct tn_option tn_experiment_option_table[];

struct tn_weights_options { /* [weights] */
    const char *from;       /* a weight file, or NULL */
    int32_t optimizer;      /* 1: with the optimizer's state, where the file has it */
};
extern const struct tn_option tn_weights_option_table[];

struct tn_experiment {
    struct tn_config *config;
    struct tn_registry *registry;
    struct tn_experiment_options options;
    struct tn_data_options data;
    struct tn_weights_options weights;
    struct tn_instance *device, *loss, *optimizer, *schedule; /* loss, optimizer, schedule may be NULL */
    struct tn_instance **layers, **augments, **metrics, **callbacks, **sources;
    uint32_t layer_count, augment_count, metric_count, callback_count, source_count;
    struct tn_dataset *train, *validation; /* validation may be NULL */
    struct tn_network *network;
    const char *const *classes;
    uint32_t class_count;
    const char *const *targets; /* names of the numbers that class_mode = raw gives */
    uint32_t target_count;      /* 0 also where they are not known (prediction) */
    const char *run_directory;  /* run_folder/name, relative to the current directory */
    struct tn_arena arena;
    uint32_t flags;                /* TN_OPEN_… */
    struct tn_experiment_own *own; /* of core/train alone */
};

/* Adds the sections that a Keras user expects to be there when the file leaves them out: loss by class_mode, adam,
 * a metric that fits, csv_logger. tn_experiment_open does it; here for those who print the experiment. */
tn_status tn_experiment_add_defaults(struct tn_config *config);

/* Opens everything; problems collects all errors that can be found in one run. The network is planned, not yet
 * allocated (training, evaluation, prediction and weight files do it when they need it). Nothing is written.
 * With TN_OPEN_INFERENCE `train` and `validation` may be NULL although the file has such sources: ask for them with
 * tn_experiment_source, which says why one cannot be opened. */
tn_status tn_experiment_open(const char *path, const char *const *overrides, size_t override_count, uint32_t flags,
                             struct tn_experiment **experiment, struct tn_problems *problems);
void tn_experiment_close(struct tn_experiment **experiment);
/* Allocates the network on its device if that has not happened yet; what follows does it by itself. */
tn_status tn_experiment_ready(struct tn_experiment *experiment, struct tn_error *error);
/* Host memory that training with batches of `batch` takes besides the arenas and the rings: weights on their way into a
 * file, results of a batch. */
uint64_t tn_experiment_host_bytes(const struct tn_experiment *experiment, uint64_t batch);
/* Everything that training will take above what an opened experiment has taken: arenas, rings and indexes, host
 * memory. */
uint64_t tn_experiment_planned_bytes(const struct tn_experiment *experiment);
/* Of the caches of all sources: what `of` (tn_dataset_cache_bytes, tn_dataset_cache_limit) says. */
uint64_t tn_experiment_cache_bytes(const struct tn_experiment *experiment,
                                   uint64_t (*of)(const struct tn_dataset *dataset));
/* Loads a weight file (format by content/extension). */
tn_status tn_experiment_load_weights(struct tn_experiment *experiment, const char *path, char *notes,
                                     size_t notes_bytes, struct tn_error *error);
tn_status tn_experiment_save_weights(struct tn_experiment *experiment, const char *path, uint32_t flags,
                                     uint64_t iterations, double learning_rate, struct tn_error *error);
/* Whether the network can be written into the files that callbacks want. */
tn_status tn_experiment_judge_files(struct tn_experiment *experiment, struct tn_error *error);
/* Tells what arrays are in a weight file, without a network. `notes`: what else the format has to say of it. */
tn_status tn_weight_file_list(struct tn_registry *registry, const char *path,
                              void (*visit)(void *context, const struct tn_array_info *array), void *context,
                              char *notes, size_t notes_bytes, struct tn_error *error);
/* The dataset of [source:NAME], opened like validation data (no shuffle, no random augmentation); "validation" is also
 * what validation_split sets aside. Borrowed. */
tn_status tn_experiment_source(struct tn_experiment *experiment, const char *name, struct tn_dataset **dataset,
                               struct tn_error *error);
/* A dataset over a folder or one picture (for `tenon predict`), without labels. Caller closes. */
tn_status tn_experiment_pictures(struct tn_experiment *experiment, const char *path, struct tn_dataset **dataset,
                                 struct tn_error *error);

/* ---- advice.c ---- */
/* Whether [data] has such a key. */
bool tn_data_has_key(const char *key);
/* Writes what would make the data quicker, of what this experiment does not do yet: keys of [data] and `tenon pack`.
 * `stage`: enum tn_stage that takes most of the workers' time, -1 = unknown. "" when there is nothing. */
void tn_experiment_advise(const struct tn_experiment *experiment, int32_t stage, char *text, size_t bytes);

/* ---- train.c ---- */
struct tn_train_request {
    int32_t fresh, quiet;
    int32_t verbose;        /* 1: say at the end what each callback has cost */
    const char *weights;    /* initial ones, or NULL */
    const char *resume;     /* a run directory to go on in, whatever the experiment is called; NULL = its own */
    volatile int32_t *stop; /* set by a signal handler: 1 = end in order */
    /* `way`, `text`: what the callback that draws the line says, else TN_PROGRESS_OWN. */
    void (*progress)(void *context, const struct tn_progress *progress, int32_t way, const char *text);
    int32_t repaints; /* for tn_progress */
    void (*say)(void *context, int32_t level, const char *text);
    void *context;
};
struct tn_train_result {
    int32_t epochs_done;
    uint64_t steps;
    const char *stopped_because; /* NULL: all epochs done */
    double best_value;           /* lowest val_loss of an epoch (loss, without validation) */
    uint64_t planned_bytes;      /* what tn_experiment_planned_bytes said */
    uint64_t grown_bytes;        /* how far the process was, at most, above its size when training was asked for */
};
/* Trains and writes the run directory. TN_INTERRUPTED after request->stop: the error's text says what was saved. Once
 * for each opened experiment. */
tn_status tn_experiment_train(struct tn_experiment *experiment, const struct tn_train_request *request,
                              struct tn_train_result *result, struct tn_error *error);

/* ---- eval.c ---- */
struct tn_evaluation {
    uint64_t samples, skipped;
    uint32_t value_count;
    struct tn_log_value values[32]; /* loss and metrics; names owned by the experiment */
};
tn_status tn_experiment_evaluate(struct tn_experiment *experiment, struct tn_dataset *dataset,
                                 struct tn_evaluation *evaluation,
                                 void (*progress)(void *context, uint64_t batch, uint64_t batches), void *context,
                                 struct tn_error *error);
/* Calls row() for each sample in order: name, scores [K]. */
tn_status tn_experiment_predict(struct tn_experiment *experiment, struct tn_dataset *dataset,
                                tn_status (*row)(void *context, const char *name, uint64_t sample, const float *scores,
                                                 int32_t count, struct tn_error *error),
                                void *context, struct tn_error *error);

#endif
