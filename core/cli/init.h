/* init.h: what `tenon init` finds in a folder of images, and what it proposes.  (init.c, init_look.c, init_write.c) */
#ifndef TENON_CLI_INIT_H
#define TENON_CLI_INIT_H

#include "cli/cli.h"
#include "registry/registry.h"

struct tn_look {
    const char *folder;             /* as the user wrote it */
    const char *train, *validation; /* absolute; validation NULL = none, a part of train is set aside */
    uint64_t train_count, validation_count;
    uint32_t class_count;
    const char **classes; /* of train */
    uint64_t *class_sizes;
    uint32_t sampled, unreadable; /* pictures that were opened; of those, that could not be decoded */
    char first_unreadable[256];
    int32_t height, width; /* median of those opened; 0 = unknown */
    struct tn_arena arena;
};
/* Finds train and validation folders, classes and sizes. The caller releases the arena in either case. */
tn_status tn_look_at(struct tn_look *look, const char *folder, struct tn_error *error);

/* FOLDER/train (or training) and FOLDER/val (valid, validation, test); without a train folder all of it is for
 * training. *validation = NULL: there is none. From the arena. */
tn_status tn_look_parts(struct tn_arena *arena, const char *folder, const char **train, const char **validation,
                        struct tn_error *error);
/* A source of type directory that is in no file. The caller closes it. */
tn_status tn_look_open_source(struct tn_registry *registry, struct tn_config *config, const char *name,
                              const char *path, struct tn_instance **source, struct tn_error *error);
/* Lists it, with the classes of `look` where it has some. */
tn_status tn_look_scan(struct tn_instance *source, const struct tn_look *look, struct tn_source_info *info,
                       struct tn_error *error);

struct tn_proposal {
    char name[128];        /* of the experiment */
    int32_t target;        /* side of the network's input */
    int32_t batch, stages; /* images of a batch; conv stages */
    int32_t epochs, patience;
    double dropout;
    const char *learning_rate;
};
void tn_propose(const struct tn_look *look, struct tn_proposal *proposal);
/* The experiment as text; paths count from the folder of `output`. */
tn_status tn_init_text(const struct tn_look *look, const struct tn_proposal *proposal, const char *output,
                       struct tn_text *text, struct tn_error *error);

#endif
