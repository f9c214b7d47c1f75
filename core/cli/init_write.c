/* init_write.c: from what was found to a commented experiment. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/init.h"

/* A side that halves cleanly and that the pictures can fill. Larger ones rarely help a network of this size. */
static int32_t choose_target(const struct tn_look *look)
{
    static const int32_t sides[] = {128, 96, 64, 48, 32};
    int32_t shorter = look->height < look->width ? look->height : look->width;
    for (size_t i = 0; i < TN_COUNT_OF(sides); i++)
        if (shorter >= sides[i])
            return sides[i];
    return 32;
}

static void name_of(const char *folder, char *name, size_t size)
{
    char whole[PATH_MAX];
    const char *last = realpath(folder, whole) ? strrchr(whole, '/') : NULL;
    size_t used = 0;
    for (const char *c = last ? last + 1 : "experiment"; *c && used + 1 < size; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '-' ||
                     *c == '_' || (*c == '.' && used);
        name[used++] = plain ? *c : '-';
    }
    name[used] = '\0';
    if (!used)
        snprintf(name, size, "experiment");
}

void tn_propose(const struct tn_look *look, struct tn_proposal *proposal)
{
    uint64_t count = look->train_count;
    name_of(look->folder, proposal->name, sizeof proposal->name);
    proposal->target = choose_target(look);
    /* Pooling goes on until 4 to 8 pixels are left. */
    proposal->stages = proposal->target >= 128 ? 5 : proposal->target >= 64 ? 4 : 3;
    proposal->batch = count < 1000 ? 16 : count < 20000 ? 32 : 64;
    /* Few images need more passes for as many steps. */
    proposal->epochs = count < 1000 ? 40 : count < 20000 ? 30 : 20;
    proposal->patience = count < 1000 ? 15 : 10; /* the schedule makes late epochs the better ones */
    proposal->learning_rate = count < 1000 ? "1e-3" : "2e-3";
    proposal->dropout = count < 20000 ? 0.3 : 0.2;
}

/* ---- paths relative to the file ---- */

/* The absolute folder in which `output` will stand. */
static tn_status folder_of(const char *output, char *folder, struct tn_error *error)
{
    char copy[PATH_MAX];
    char *slash;
    if (strlen(output) >= sizeof copy)
        return tn_fail(error, TN_INVALID, "%s: the path is too long", output);
    strcpy(copy, output);
    slash = strrchr(copy, '/');
    if (slash == copy)
        slash[1] = '\0';
    else if (slash)
        *slash = '\0';
    if (!realpath(slash ? copy : ".", folder))
        return tn_fail(error, TN_NOT_FOUND, "%s: %s", slash ? copy : ".", strerror(errno));
    return TN_OK;
}

/* `path` as seen from `base`, both absolute; absolute again when they share nothing but the root. */
static void add_relative(struct tn_text *text, const char *base, const char *path)
{
    size_t shared = 0;
    for (size_t i = 0;; i++) {
        bool base_ends = base[i] == '/' || base[i] == '\0', path_ends = path[i] == '/' || path[i] == '\0';
        if (base_ends && path_ends)
            shared = i;
        if (base[i] != path[i] || base[i] == '\0')
            break;
    }
    if (shared == 0) {
        tn_text_add(text, path);
        return;
    }
    for (const char *c = base + shared; *c; c++)
        if (*c == '/' && c[1])
            tn_text_add(text, "../");
    path += shared;
    while (*path == '/')
        path++;
    tn_text_add(text, *path ? path : ".");
}

/* ---- the text ---- */

enum { COMMENT_COLUMN = 28 };

/* One line `key = value`, with a comment at its column. */
TN_PRINTF(3, 4)
static void add_key(struct tn_text *text, const char *comment, const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (comment)
        tn_text_format(text, "%-*s ; %s\n", COMMENT_COLUMN, line, comment);
    else
        tn_text_format(text, "%s\n", line);
}

static void add_head(struct tn_text *text, const struct tn_look *look, const struct tn_proposal *proposal)
{
    char place[192];
    (void)snprintf(place, sizeof place, "the run is written to runs/%s/", proposal->name);
    tn_text_format(
        text,
        "; %s: written by `tenon init`. Every value may be changed; `tenon plugin show TYPE` explains them.\n"
        "; Found: %llu images of %u classes to train on, most about %dx%d.\n\n[experiment]\n",
        proposal->name, (unsigned long long)look->train_count, look->class_count, look->height, look->width);
    add_key(text, place, "name   = %s", proposal->name);
    add_key(text, NULL, "seed   = 42");
    add_key(text, "at most: early stopping ends it sooner", "epochs = %d", proposal->epochs);
}

static void add_data(struct tn_text *text, const struct tn_look *look, const struct tn_proposal *proposal,
                     const char *base)
{
    tn_text_add(text, "\n[data]\n");
    add_key(text, "height x width that every image is resized to", "target_size = %dx%d", proposal->target,
            proposal->target);
    add_key(text, NULL, "batch_size  = %d", proposal->batch);
    add_key(text, NULL, "class_mode  = categorical");
    add_key(text, "a strategy below; data.augment=none on the command line", "augment     = light");
    add_key(text, "skip: leave out images that cannot be read, and count them", "on_error    = fail");
    if (!look->validation)
        add_key(text, "share of each class that is kept for validation", "validation_split = 0.2");
    tn_text_add(text, "\n[source:train]\n");
    add_key(text, "one folder for each class", "type = directory");
    tn_text_add(text, "path = ");
    add_relative(text, base, look->train);
    if (look->validation) {
        tn_text_add(text, "\n\n[source:validation]\ntype = directory\npath = ");
        add_relative(text, base, look->validation);
    }
    tn_text_add(text, "\n\n");
}

static void add_augmentation(struct tn_text *text)
{
    tn_text_add(text, "; Random changes of the training images. Validation and prediction never see them.\n"
                      "[augment:random]\n");
    add_key(text, NULL, "type            = image_data_generator");
    add_key(text, "sizes from 85 to 115 %", "zoom_range      = 0.15");
    add_key(text, "degrees", "shear_range     = 5");
    add_key(text, "no, where left and right mean something", "horizontal_flip = yes");
    tn_text_add(text, "\n[strategy:light]\naugments = random\n\n[strategy:none]\naugments =\n\n");
}

static void add_network(struct tn_text *text, const struct tn_look *look, const struct tn_proposal *proposal)
{
    tn_text_add(text, "; The network: the order of the [layer:...] sections.\n[layer:scale]\n");
    add_key(text, "0..255 to 0..1", "type  = rescaling");
    tn_text_add(text, "scale = 1/255\n\n"
                      "; One stage: 3x3 convolution, batch norm, ReLU, and half the size.\n"
                      "[block:stage]\n\n"
                      "[layer:stage/conv]\n"
                      "type        = conv2d\n"
                      "filters     = ${filters}\n"
                      "kernel_size = 3\n"
                      "padding     = same\n");
    add_key(text, "batch norm has its own", "use_bias    = no");
    tn_text_add(text, "\n[layer:stage/norm]\n"
                      "type     = batch_normalization\n"
                      "momentum = 0.9             ; few steps an epoch: the moving statistics have to keep up\n\n"
                      "[layer:stage/relu]\n"
                      "type       = activation\n"
                      "activation = relu\n\n"
                      "[layer:stage/pool]\n"
                      "type = max_pooling2d\n\n");
    for (int32_t stage = 0; stage < proposal->stages; stage++) {
        int32_t filters = 32 << (stage < 2 ? stage : 2);
        tn_text_format(text, "[layer:stage%d]\ntype    = block\nuse     = stage\nfilters = %d\n\n", stage + 1, filters);
    }
    tn_text_format(text,
                   "[layer:flatten]\n"
                   "type = flatten\n\n"
                   "[layer:dropout]\n"
                   "type = dropout\n"
                   "rate = %g\n\n"
                   "[layer:classes]\n"
                   "type       = dense\n",
                   proposal->dropout);
    add_key(text, "one for each class", "units      = %u", look->class_count);
    add_key(text, NULL, "activation = softmax");
}

static void add_training(struct tn_text *text, const struct tn_proposal *proposal)
{
    tn_text_format(text,
                   "\n[loss]\n"
                   "type = categorical_crossentropy\n\n"
                   "[optimizer]\n"
                   "type          = adam\n"
                   "learning_rate = %s\n\n"
                   "[schedule]\n"
                   "type = cosine_decay          ; of the learning rate, down to 0 in the last epoch\n\n"
                   "[metric:accuracy]\n"
                   "type = accuracy\n\n"
                   "; The best weights so far: runs/%s/checkpoints/best.h5\n"
                   "[callback:checkpoint]\n"
                   "type           = model_checkpoint\n"
                   "path           = best.h5\n"
                   "monitor        = val_loss\n"
                   "save_best_only = yes\n\n"
                   "[callback:stop]\n"
                   "type                 = early_stopping\n"
                   "monitor              = val_loss\n",
                   proposal->learning_rate, proposal->name);
    add_key(text, "epochs without a better val_loss", "patience             = %d", proposal->patience);
    add_key(text, NULL, "restore_best_weights = yes");
}

/* Reads the text back: a folder whose name the file format cannot carry (a comment sign, a very long line) is found
 * here and not by the run. */
static tn_status prove(const struct tn_look *look, const struct tn_text *text, const char *base, const char *output,
                       struct tn_error *error)
{
    struct tn_problems problems = {0};
    struct tn_config *config = NULL;
    struct tn_text path = {0};
    tn_status status = tn_config_load_text(text->data, text->length, output, NULL, 0, &config, &problems);
    struct tn_section *section = status == TN_OK ? tn_config_section(config, "source", "train") : NULL;
    const char *value = section ? tn_section_value(section, "path") : NULL;
    add_relative(&path, base, look->train);
    if (status == TN_NO_MEMORY || path.failed)
        status = tn_fail(error, TN_NO_MEMORY, "no memory");
    else if (!value || strcmp(value, path.data) != 0)
        status = tn_fail(error, TN_INVALID, "%s: a path like this cannot stand in an experiment%s%s", look->train,
                         problems.count ? ": " : "", problems.count ? problems.items[0].text : "");
    tn_text_release(&path);
    tn_config_close(&config);
    tn_problems_release(&problems);
    return status;
}

tn_status tn_init_text(const struct tn_look *look, const struct tn_proposal *proposal, const char *output,
                       struct tn_text *text, struct tn_error *error)
{
    char base[PATH_MAX];
    tn_status status = folder_of(output, base, error);
    if (status != TN_OK)
        return status;
    add_head(text, look, proposal);
    add_data(text, look, proposal, base);
    add_augmentation(text);
    add_network(text, look, proposal);
    add_training(text, proposal);
    return text->failed ? tn_fail(error, TN_NO_MEMORY, "no memory") : prove(look, text, base, output, error);
}
