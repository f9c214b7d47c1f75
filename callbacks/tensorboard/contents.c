/* contents.c: histograms of weights and gradients, pictures of batches, and who was taken for whom. */
#include <stdio.h>
#include <stdlib.h>

#include "images.h"
#include "summary.h"
#include "tensorboard.h"

/* ---- histograms ---- */

static uint64_t elements(const struct tn_shape *shape)
{
    uint64_t count = 1;
    for (int32_t i = 0; i < shape->rank; i++)
        count *= (uint64_t)shape->dims[i];
    return count;
}

/* LAYER/WEIGHT + suffix + /histogram, as Keras names them. */
static void write_histograms(struct tensorboard *board, const struct tn_run *run, const struct tn_weights *weights,
                             const char *suffix)
{
    char tag[512];
    if (!tensorboard_ready(board, &board->train, run))
        return;
    for (uint32_t i = 0; i < weights->layer_count; i++)
        for (uint32_t k = 0; k < weights->layers[i].weight_count; k++) {
            const struct tn_weight *weight = &weights->layers[i].weights[k];
            if (!weight->data)
                continue;
            (void)snprintf(tag, sizeof tag, "%s/%s%s/histogram", weights->layers[i].name, weight->name, suffix);
            summary_histogram(&board->train.event, tag, (uint64_t)run->epoch, weight->data, elements(&weight->shape));
            tensorboard_add(board, &board->train, run);
        }
}

tn_status contents_weights(struct tensorboard *board, const struct tn_run *run, struct tn_error *error)
{
    const struct tn_weights *weights = NULL;
    tn_status status;
    if (run->size < offsetof(struct tn_run, read_weights) + sizeof run->read_weights || !run->read_weights)
        return tn_fail(error, TN_UNSUPPORTED, "histogram_freq: this tenon does not show weights to callbacks");
    status = run->read_weights(run, &weights, error);
    if (status == TN_OK)
        write_histograms(board, run, weights, "");
    return status;
}

tn_status contents_gradients(struct tensorboard *board, const struct tn_run *run, struct tn_error *error)
{
    const struct tn_weights *gradients = NULL;
    tn_status status;
    if (run->size < offsetof(struct tn_run, read_gradients) + sizeof run->read_gradients || !run->read_gradients)
        return tn_fail(error, TN_UNSUPPORTED, "write_grads: this tenon does not show gradients to callbacks");
    status = run->read_gradients(run, &gradients, error);
    if (status == TN_OK)
        write_histograms(board, run, gradients, "_grad");
    return status;
}

/* ---- pictures ---- */

void contents_images(struct tensorboard *board, const struct tn_run *run)
{
    struct tn_error error = {.status = TN_OK};
    const struct tn_seen_batch *seen =
        run->size >= offsetof(struct tn_run, batch_seen) + sizeof run->batch_seen ? run->batch_seen : NULL;
    if (!seen || !seen->images || seen->count == 0 || !tensorboard_ready(board, &board->train, run))
        return;
    if (images_write(&board->train.event, "training_batch", (uint64_t)run->epoch, seen, (int32_t)board->images,
                     &error) != TN_OK)
        tensorboard_warn(board, run, &error);
    else if (board->train.event.used) /* else there was none that stands for a sample */
        tensorboard_add(board, &board->train, run);
}

void contents_count(struct tensorboard *board, const struct tn_run *run)
{
    struct tn_error error = {.status = TN_OK};
    if (!board->confusion_matrix || board->cannot_count || confusion_see(&board->confusion, run->seen, &error) == TN_OK)
        return;
    board->cannot_count = 1;
    tensorboard_warn(board, run, &error);
}

void contents_confusion(struct tensorboard *board, const struct tn_run *run)
{
    struct tn_error error = {.status = TN_OK};
    struct summary_png png = {NULL, 0};
    int32_t width, height;
    if (!board->confusion_matrix || board->cannot_count || !board->confusion.counts || !run->seen ||
        !tensorboard_ready(board, &board->validation, run))
        return;
    if (confusion_draw(&board->confusion, run->seen->class_names, run->seen->class_count, &png.bytes, &png.count,
                       &width, &height, &error) == TN_OK) {
        summary_images(&board->validation.event, "confusion_matrix", (uint64_t)run->epoch, &png, 1, width, height);
        tensorboard_add(board, &board->validation, run);
    } else {
        tensorboard_warn(board, run, &error);
    }
    free(png.bytes);
}
