/* misbehaving.c: plugins that can be loaded and do wrong, one for each CASE that CMake defines: what `tenon plugin
 * check` has to find. CASE_WELL is their sound twin. */
#include <math.h>
#include <stdlib.h>

#include "tenon/plugin.h"

#define CASE_WELL           1
#define CASE_OVERRUN        2
#define CASE_UNREPEATABLE   3
#define CASE_DEREFERENCES   4
#define CASE_SHARED_STATE   5
#define CASE_WRONG_GRADIENT 6
#define CASE_UNWRITTEN      7
#define CASE_ADDS           8
#define CASE_SILENT         9
#define CASE_WRONG_LOSS     10
#define CASE_PADDING        11
#define CASE_BAD_DEFAULT    12
#define CASE_KEEPS          13
#define CASE_WRONG_LABEL    14
#define CASE_EXITS          15
#define CASE_SPLIT          16

struct instance {
    double number;
};

static const struct tn_option options[] = {
    TN_FLOAT(struct instance, number, CASE == CASE_BAD_DEFAULT ? 7 : 1, 0, 2, "a number"),
    TN_END,
};

#if CASE == CASE_WELL || CASE == CASE_OVERRUN || CASE == CASE_UNREPEATABLE || CASE == CASE_DEREFERENCES ||             \
    CASE == CASE_SHARED_STATE || CASE == CASE_SILENT || CASE == CASE_BAD_DEFAULT || CASE == CASE_EXITS
#define AUGMENT
#elif CASE == CASE_WRONG_GRADIENT || CASE == CASE_UNWRITTEN || CASE == CASE_ADDS || CASE == CASE_SPLIT
#define LAYER
#endif

#ifdef AUGMENT
static tn_status open_(void *self, const struct tn_host *host, struct tn_error *error)
{
    const struct instance *o = self;
    (void)host, (void)error;
    return CASE == CASE_SILENT && o->number == 2 ? TN_INVALID : TN_OK;
}

static tn_status apply(const void *self, struct tn_image *image, struct tn_random *random, struct tn_error *error)
{
    static float calls;
    size_t count = (size_t)image->height * (size_t)image->width * (size_t)image->channels;
    float *pixels = image->pixels, chance = (float)tn_random_unit(random);
    (void)error;
    for (size_t i = 0; i < count; i++)
        pixels[i] *= chance;
    if (CASE == CASE_OVERRUN)
        pixels[count] = 1; /* into the guard bytes, or the page behind them */
    if (CASE == CASE_UNREPEATABLE)
        pixels[0] += ++calls;
    if (CASE == CASE_DEREFERENCES && image->height == 17)
        abort();
    if (CASE == CASE_EXITS)
        exit(0);
    if (CASE == CASE_SHARED_STATE)
        ((struct instance *)(size_t)self)->number += 1;
    return TN_OK;
}
static const struct tn_augment type = {
    TN_TYPE_WITH(TN_AUGMENT, TN_TEST_NAME, struct instance, options, "a plugin of the tests", 0, open_, NULL),
    .apply = apply};
#endif

#ifdef LAYER
static tn_status infer(const void *self, const struct tn_shape *inputs, uint32_t count, struct tn_layer_spec *spec,
                       struct tn_error *error)
{
    (void)self, (void)count, (void)error;
    spec->output = inputs[0];
    return TN_OK;
}
static void forward_range(void *context, uint64_t begin, uint64_t end)
{
    const struct tn_pass *p = context;
    for (uint64_t i = begin; i < end; i++)
        p->outputs[0][i] = p->inputs[0][i] * p->inputs[0][i] + (CASE == CASE_SPLIT ? (float)begin : 0);
}
static tn_status forward(const struct tn_pass *p, struct tn_error *error)
{
    uint64_t count = tn_shape_elements(&p->output_shapes[0]);
    (void)error;
    p->parallel->run(p->parallel, count - (CASE == CASE_UNWRITTEN), 8, forward_range, (void *)(size_t)p);
    return TN_OK;
}
static tn_status backward(const struct tn_pass *p, struct tn_error *error)
{
    float *dx = p->input_gradients[0];
    (void)error;
    for (uint64_t i = 0; dx && i < tn_shape_elements(&p->output_shapes[0]); i++)
        dx[i] = (CASE == CASE_ADDS ? dx[i] : 0) +
                p->output_gradients[0][i] * p->inputs[0][i] * (CASE == CASE_WRONG_GRADIENT ? 1 : 2);
    return TN_OK;
}
static const struct tn_layer type = {
    TN_TYPE(TN_LAYER, TN_TEST_NAME, struct instance, options, "a plugin of the tests"),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
#endif

#if CASE == CASE_WRONG_LOSS
/* The gradient of the sum, where that of the mean is asked for. */
static void compute(const struct tn_loss_pass *p)
{
    for (int32_t i = 0; i < p->batch; i++) {
        float weight = p->weight ? p->weight[i] : 1;
        p->loss[i] = 0;
        for (int32_t k = 0; k < p->classes; k++) {
            float off = p->prediction[i * p->classes + k] - p->target[i * p->classes + k];
            p->loss[i] += weight * off * off;
            if (p->gradient)
                p->gradient[i * p->classes + k] = 2 * weight * off;
        }
    }
}
static const struct tn_loss type = {TN_TYPE(TN_LOSS, TN_TEST_NAME, struct instance, options, "a plugin of the tests"),
                                    .compute = compute};
#elif CASE == CASE_PADDING
static int32_t slot_count(const void *self)
{
    (void)self;
    return 0;
}
static double learning_rate(const void *self)
{
    return ((const struct instance *)self)->number;
}
static void update(const struct tn_update *u)
{
    for (uint64_t i = 0; i < u->count; i++)
        u->parameter[i] -= (float)u->learning_rate * (u->gradient[i] + 0.01f);
}
static const struct tn_optimizer type = {
    TN_TYPE(TN_OPTIMIZER, TN_TEST_NAME, struct instance, options, "a plugin of the tests"), .slot_count = slot_count,
    .learning_rate = learning_rate, .update = update};
#elif CASE == CASE_KEEPS
static tn_status on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    (void)self;
    return event == TN_EPOCH_END ? run->keep_weights(run, error) : TN_OK;
}
static const struct tn_callback type = {
    TN_TYPE(TN_CALLBACK, TN_TEST_NAME, struct instance, options, "a plugin of the tests"), .on = on};
#elif CASE == CASE_WRONG_LABEL
static tn_status scan(void *self, const struct tn_source_request *request, struct tn_source_info *info,
                      struct tn_error *error)
{
    static const char *const classes[] = {"a", "b"};
    (void)self, (void)request, (void)error;
    info->count = 4;
    info->class_count = 2;
    info->classes = classes;
    return TN_OK;
}
static void name(const void *self, uint64_t index, char *text, uint64_t bytes)
{
    (void)self;
    (void)snprintf(text, (size_t)bytes, "%d", (int)index);
}
static tn_status read_sample(const void *self, void *worker, uint64_t index, struct tn_sample *sample,
                             struct tn_error *error)
{
    static unsigned char pixel[3];
    (void)self, (void)worker, (void)error;
    sample->label = (int32_t)index; /* 0..3 of two classes */
    sample->image = (struct tn_image){1, 1, 3, TN_PIXEL_U8, pixel};
    return TN_OK;
}
static const struct tn_source type = {
    TN_TYPE(TN_SOURCE, TN_TEST_NAME, struct instance, options, "a plugin of the tests"), .scan = scan, .name = name,
    .read = read_sample};
#endif

TN_PLUGIN("test", "1", "MIT", &type.type);
