/* model_checkpoint: writes the weights after epochs, or after batches, or when they are the best so far; Keras'
 * ModelCheckpoint, and beyond it: how many files stay, a link to the best one, and training goes on meanwhile.
 */
#include "filename.h"
#include "kept.h"

enum { ON_SAVE_ERROR_WARN, ON_SAVE_ERROR_FAIL };

/* A file that is being written behind the training. */
struct pending {
    int32_t is, epoch, best; /* best: of those that are linked */
    char path[KEPT_PATH];
    struct monitor before; /* the decision for it */
};

struct model_checkpoint {
    const char *path, *filepath;
    const char *monitor;
    int32_t verbose, save_best_only, save_weights_only, mode;
    const char *save_freq;
    struct tn_numbers initial_value_threshold;
    int64_t keep;
    int32_t link_best, on_save_error;
    /* state */
    const char *template_; /* path or filepath */
    int64_t every;         /* batches; 0 = at the end of an epoch */
    int64_t batches_since; /* the last save, counted across epochs */
    struct monitor watch;
    double lost; /* the best value whose weights could not be saved; NAN = none */
    struct pending pending;
    struct kept kept;
    char *files; /* the names of those, for the state; from host->allocate */
    const struct tn_host *host;
};

static const struct tn_option model_checkpoint_options[] = {
    TN_STRING(
        struct model_checkpoint, path, NULL,
        "file to write, with {epoch:02d}, {val_loss:.2f}, …; relative: below checkpoints/ of the run. What it ends "
        "with says the format: .keras, .weights.h5, .safetensors, .h5"),
    TN_STRING(struct model_checkpoint, filepath, NULL, "Keras' name for path"),
    TN_STRING(struct model_checkpoint, monitor, "val_loss", "logged value that says which weights are best"),
    TN_BOOL(struct model_checkpoint, verbose, 0, "say what is saved and why"),
    TN_BOOL(struct model_checkpoint, save_best_only, 0, "write only when the watched value has improved"),
    TN_BOOL(struct model_checkpoint, save_weights_only, 0,
            "leave the model's description and the optimizer's state out of the file"),
    TN_ENUM(struct model_checkpoint, mode, MODE_AUTO, MODE_CHOICES, "which way is better; auto: as the metric says"),
    TN_STRING(struct model_checkpoint, save_freq, "epoch", "epoch, or a number of batches"),
    TN_NUMBERS(struct model_checkpoint, initial_value_threshold, NULL, -TN_ANY, TN_ANY,
               "value that the first saved weights have to beat"),
    TN_INT(struct model_checkpoint, keep, 0, 0, 1000,
           "the newest files that stay, older ones that this run wrote are removed; 0 = all"),
    TN_BOOL(struct model_checkpoint, link_best, 0,
            "beside the files a link best.h5 (or what they end with) to the best of them, which then stays too"),
    TN_ENUM(
        struct model_checkpoint, on_save_error, ON_SAVE_ERROR_WARN, "warn|fail",
        "when a file cannot be written: a warning, training goes on, and a run that ends without it has status 1; or "
        "the run ends"),
    TN_END,
};

/* The link is beside the files: placeholders are in the name and not in the folder. */
static int32_t can_link(const struct model_checkpoint *checkpoint)
{
    const char *slash = strrchr(checkpoint->template_, '/'), *first = strchr(checkpoint->template_, '{');
    return first && (!slash || first > slash);
}

static tn_status model_checkpoint_open(void *self, const struct tn_host *host, struct tn_error *error)
{
    struct model_checkpoint *checkpoint = self;
    char *end = NULL;
    checkpoint->host = host;
    if (checkpoint->path && checkpoint->filepath)
        return tn_fail(error, TN_INVALID, "path and filepath are the same option: give one of them");
    checkpoint->template_ = checkpoint->path ? checkpoint->path : checkpoint->filepath;
    if (!checkpoint->template_ || !*checkpoint->template_)
        return tn_fail(error, TN_INVALID, "path: is missing (for example: path = model_{epoch:02d}.h5)");
    if (strcmp(checkpoint->save_freq, "epoch") != 0) {
        long long every = strtoll(checkpoint->save_freq, &end, 10);
        if (*end != '\0' || every <= 0)
            return tn_fail(error, TN_INVALID, "save_freq: `%s` is neither `epoch` nor a number of batches",
                           checkpoint->save_freq);
        checkpoint->every = every;
    }
    if (checkpoint->every && checkpoint->save_best_only && strncmp(checkpoint->monitor, "val_", 4) == 0)
        return tn_fail(error, TN_INVALID,
                       "save_freq: after %lld batches there is no %s yet, which save_best_only watches: watch a value "
                       "of training, or save_freq = epoch",
                       (long long)checkpoint->every, checkpoint->monitor);
    if (checkpoint->link_best && !can_link(checkpoint))
        return tn_fail(error, TN_INVALID,
                       "link_best: %s is always the same file, or each goes into a folder of its own: give a file name "
                       "with a placeholder, such as model_{epoch:02d}.h5",
                       checkpoint->template_);
    return monitor_single(&checkpoint->initial_value_threshold, "initial_value_threshold", error);
}

/* The name for this epoch; relative ones are below checkpoints/ of the run directory. */
static tn_status make_path(const struct model_checkpoint *checkpoint, const struct tn_run *run, char *path,
                           size_t bytes, struct tn_error *error)
{
    int used = 0;
    if (checkpoint->template_[0] != '/') {
        used = snprintf(path, bytes, "%s/checkpoints/", run->directory);
        if (used < 0 || (size_t)used >= bytes)
            return tn_fail(error, TN_INVALID, "the run directory's name is too long: %s", run->directory);
    }
    return filename_fill(checkpoint->template_, run, checkpoint->every > 0, path + used, bytes - (size_t)used, error);
}

static void begin_watch(struct model_checkpoint *checkpoint)
{
    checkpoint->watch =
        (struct monitor){.key = checkpoint->monitor, .mode = checkpoint->mode, .direction = TN_DIRECTION_UNKNOWN};
    if (checkpoint->initial_value_threshold.count) {
        checkpoint->watch.best = checkpoint->initial_value_threshold.items[0];
        checkpoint->watch.has_best = 1;
    }
}

static tn_status run_begin(struct model_checkpoint *checkpoint, const struct tn_run *run, struct tn_error *error)
{
    char path[1024];
    tn_status status;
    status = kept_begin(&checkpoint->kept, checkpoint->keep, error);
    if (status != TN_OK)
        return status;
    checkpoint->host->release(checkpoint->files);
    checkpoint->files = NULL;
    checkpoint->lost = NAN;
    checkpoint->batches_since = 0;
    checkpoint->pending.is = 0;
    begin_watch(checkpoint);
    if (run->log_count == 0)
        return TN_OK;
    /* What can be wrong with the name or the watched value is said now and not after the first epoch. A value that
     * exists only at the end of an epoch cannot be in the name of a file that is written in the middle of it. */
    if (checkpoint->save_best_only || checkpoint->link_best) {
        status = monitor_settle(&checkpoint->watch, run, error);
        if (status != TN_OK)
            return status;
    }
    return make_path(checkpoint, run, path, sizeof path, error);
}

/* The best file of the state may have gone since, when a better one was written that is not in the state: the link
 * points there, and goes to the next one that is written. (With save_best_only the link is at the last file.) */
static tn_status run_resume(struct model_checkpoint *checkpoint, const struct tn_run *run, struct tn_error *error)
{
    struct kept *kept = &checkpoint->kept;
    tn_status status = kept_recall(kept, run->directory, checkpoint->files, error);
    int32_t anew = monitor_resume(&checkpoint->watch, run);
    if (kept->best[0] && !checkpoint->save_best_only && access(kept->best, F_OK) != 0) {
        kept->best[0] = '\0';
        anew = 1;
    }
    if (anew)
        begin_watch(checkpoint);
    return status;
}

/* Decides whether to save, and says so. */
static int32_t should_save(struct model_checkpoint *checkpoint, const struct tn_run *run, const char *path, char *text,
                           size_t bytes)
{
    const struct tn_log_value *value = monitor_find(run, checkpoint->monitor);
    struct monitor *watch = &checkpoint->watch;
    int32_t epoch = run->epoch + 1, better;
    char best[64] = "None";
    if (!checkpoint->save_best_only) {
        (void)snprintf(text, bytes, "Epoch %d: saving model to %s", epoch, path);
        return 1;
    }
    if (!value) {
        if (!watch->warned) {
            (void)snprintf(text, bytes, "Can save best model only with %s available.", checkpoint->monitor);
            run->say(run, TN_LOG_WARNING, text);
        }
        watch->warned = 1;
        (void)snprintf(text, bytes, "Epoch %d: saving model to %s", epoch, path);
        return 1;
    }
    if (watch->has_best)
        (void)snprintf(best, sizeof best, "%.5f", watch->best);
    better = monitor_improves(watch, value->value);
    if (better) {
        (void)snprintf(text, bytes, "Epoch %d: %s improved from %s to %.5f, saving model to %s", epoch,
                       checkpoint->monitor, best, value->value, path);
        watch->best = value->value;
        watch->has_best = 1;
    } else {
        (void)snprintf(text, bytes, "Epoch %d: %s did not improve from %s", epoch, checkpoint->monitor, best);
    }
    return better;
}

/* "runs/x/checkpoints/best" + what the name ends with behind its last placeholder; 0 when that is no name. */
static int32_t link_name(const struct model_checkpoint *checkpoint, const char *path, char link[KEPT_PATH])
{
    const char *end = strrchr(checkpoint->template_, '}'), *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash + 1 - path) : 0;
    int length;
    end = end ? strchr(end, '.') : NULL;
    length = snprintf(link, KEPT_PATH, "%.*sbest%s", folder, path, end ? end : "");
    return length > 0 && length < KEPT_PATH && strcmp(link, path) != 0;
}

/* Whether the file that was just written is the best so far; without save_best_only nobody has asked yet. */
static int32_t is_best(struct model_checkpoint *checkpoint, const struct tn_run *run)
{
    const struct tn_log_value *value = monitor_find(run, checkpoint->monitor);
    struct monitor *watch = &checkpoint->watch;
    if (checkpoint->save_best_only)
        return 1;
    if (!value) {
        monitor_warn_missing(watch, run, "link_best is");
        return 0;
    }
    if (!monitor_improves(watch, value->value))
        return 0;
    watch->best = value->value;
    watch->has_best = 1;
    return 1;
}

static uint32_t flags_of(const struct model_checkpoint *checkpoint)
{
    return checkpoint->save_weights_only ? TN_FORMAT_WEIGHTS_ONLY : 0u;
}

/* The link comes before older files go: it never points at nothing. A folder without links (a mounted drive) gets a
 * copy. */
static tn_status written(struct model_checkpoint *checkpoint, const struct tn_run *run, struct tn_error *error)
{
    struct kept *kept = &checkpoint->kept;
    const struct pending *pending = &checkpoint->pending;
    char link[KEPT_PATH];
    tn_status status = TN_OK;
    if (pending->best && link_name(checkpoint, pending->path, link)) {
        (void)snprintf(kept->best, sizeof kept->best, "%s", pending->path);
        if (!kept_link(pending->path, link))
            status = kept_copy(checkpoint->host, pending->path, link, error);
    }
    kept_add(kept, run, pending->path);
    if (status == TN_OK && (kept->limit || kept->best[0]))
        status = kept_note(kept, checkpoint->host, run->directory, &checkpoint->files, error);
    return status;
}

/* The next file is compared with the best one that is on the disk. */
static tn_status not_saved(struct model_checkpoint *checkpoint, const struct tn_run *run, tn_status status,
                           struct tn_error *error)
{
    char text[sizeof error->text + 160];
    int32_t epoch = checkpoint->pending.epoch + 1;
    if (checkpoint->on_save_error == ON_SAVE_ERROR_FAIL || status == TN_UNSUPPORTED || status == TN_INVALID)
        return status;
    if (checkpoint->save_best_only && checkpoint->watch.has_best &&
        (isnan(checkpoint->lost) || monitor_better(&checkpoint->watch, checkpoint->watch.best, checkpoint->lost)))
        checkpoint->lost = checkpoint->watch.best;
    checkpoint->watch = checkpoint->pending.before;
    (void)snprintf(text, sizeof text, "Epoch %d: %.*s; training goes on", epoch, (int)sizeof error->text, error->text);
    run->say(run, TN_LOG_WARNING, text);
    (void)snprintf(text, sizeof text, "the weights of epoch %d: %.*s", epoch, (int)sizeof error->text, error->text);
    run->unsaved(run, text);
    return TN_OK;
}

/* What a file that was asked for has become. */
static tn_status ended(struct model_checkpoint *checkpoint, const struct tn_run *run, tn_status status,
                       struct tn_error *failure, struct tn_error *error)
{
    struct pending *pending = &checkpoint->pending;
    char text[1400];
    pending->is = 0;
    if (status == TN_OK && checkpoint->verbose) {
        (void)snprintf(text, sizeof text, "Epoch %d: finished saving model to %s", pending->epoch + 1, pending->path);
        run->say(run, TN_LOG_INFO, text);
    }
    if (status == TN_OK)
        status = written(checkpoint, run, failure);
    if (status == TN_OK && !(checkpoint->save_best_only && checkpoint->watch.has_best &&
                             monitor_better(&checkpoint->watch, checkpoint->lost, checkpoint->watch.best))) {
        checkpoint->lost = NAN;
        run->unsaved(run, NULL);
    } else if (status != TN_OK) {
        status = not_saved(checkpoint, run, status, failure);
        if (status != TN_OK && error)
            *error = *failure;
    }
    return status;
}

static tn_status ask(struct model_checkpoint *checkpoint, const struct tn_run *run, int32_t wait,
                     struct tn_error *error)
{
    struct tn_error failure = {.status = TN_OK};
    tn_status outcome = TN_OK;
    if (!checkpoint->pending.is || !run->saved(run, wait, &outcome, &failure))
        return TN_OK;
    return ended(checkpoint, run, outcome, &failure, error);
}

static tn_status save(struct model_checkpoint *checkpoint, const struct tn_run *run, struct tn_error *error)
{
    struct pending *pending = &checkpoint->pending;
    struct tn_error failure = {.status = TN_OK};
    int32_t behind = run->size >= offsetof(struct tn_run, saved) + sizeof run->saved && run->saved;
    char text[1400];
    int32_t wanted;
    tn_status status = ask(checkpoint, run, 1, error); /* its decision comes before the next one */
    if (status == TN_OK)
        status = make_path(checkpoint, run, pending->path, sizeof pending->path, error);
    if (status == TN_OK && (checkpoint->save_best_only || checkpoint->link_best))
        status = monitor_settle(&checkpoint->watch, run, error);
    if (status != TN_OK)
        return status;
    pending->before = checkpoint->watch;
    pending->epoch = run->epoch;
    wanted = should_save(checkpoint, run, pending->path, text, sizeof text);
    if (checkpoint->verbose)
        run->say(run, TN_LOG_INFO, text);
    if (!wanted)
        return TN_OK;
    pending->best = checkpoint->link_best && is_best(checkpoint, run);
    if (!behind) {
        status = run->save_weights(run, pending->path, flags_of(checkpoint), &failure);
        return ended(checkpoint, run, status, &failure, error);
    }
    status = run->save_weights_behind(run, pending->path, flags_of(checkpoint), &failure);
    if (status != TN_OK)
        return ended(checkpoint, run, status, &failure, error);
    pending->is = 1;
    return TN_OK;
}

static tn_status model_checkpoint_on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    struct model_checkpoint *checkpoint = self;
    switch (event) {
    case TN_RUN_BEGIN:
        return run_begin(checkpoint, run, error);
    case TN_RUN_RESUME:
        return run_resume(checkpoint, run, error);
    case TN_BATCH_END:
        if (checkpoint->every == 0 || ++checkpoint->batches_since < checkpoint->every)
            return ask(checkpoint, run, 0, error);
        checkpoint->batches_since = 0;
        return save(checkpoint, run, error);
    case TN_EPOCH_END:
        return checkpoint->every == 0 ? save(checkpoint, run, error) : ask(checkpoint, run, 0, error);
    case TN_SETTLE:
    case TN_RUN_END:
    case TN_INTERRUPT:
    case TN_RUN_ERROR:
        return ask(checkpoint, run, 1, error);
    default:
        return TN_OK;
    }
}

static void model_checkpoint_close(void *self)
{
    struct model_checkpoint *checkpoint = self;
    kept_release(&checkpoint->kept);
    checkpoint->host->release(checkpoint->files);
    checkpoint->files = NULL;
}

static const char *model_checkpoint_weight_file(const void *self)
{
    return ((const struct model_checkpoint *)self)->template_;
}

static const struct tn_state_field model_checkpoint_state[] = {
    {"best", TN_FIELD_DOUBLE, 0, offsetof(struct model_checkpoint, watch.best)},
    {"has_best", TN_FIELD_INT32, 0, offsetof(struct model_checkpoint, watch.has_best)},
    {"direction", TN_FIELD_INT32, 0, offsetof(struct model_checkpoint, watch.direction)},
    {"warned", TN_FIELD_INT32, 0, offsetof(struct model_checkpoint, watch.warned)},
    {"watched", TN_FIELD_INT64, 0, offsetof(struct model_checkpoint, watch.digest)},
    {"lost", TN_FIELD_DOUBLE, 0, offsetof(struct model_checkpoint, lost)},
    {"batches_since", TN_FIELD_INT64, 0, offsetof(struct model_checkpoint, batches_since)},
    {"files", TN_FIELD_TEXT, 0, offsetof(struct model_checkpoint, files)},
    {NULL, 0, 0, 0},
};

static const struct tn_callback model_checkpoint = {
    TN_TYPE_WITH(TN_CALLBACK, "model_checkpoint", struct model_checkpoint, model_checkpoint_options,
                 "write the weights after epochs or batches, or when they are the best so far", 0,
                 model_checkpoint_open, model_checkpoint_close),
    .on = model_checkpoint_on,
    .state = model_checkpoint_state,
    .weight_file = model_checkpoint_weight_file,
};

TN_PLUGIN("tenon.callbacks.model_checkpoint", "0.1.0", "Apache-2.0", &model_checkpoint.type);
