/* op_dropout.c: dropout. An element's fate depends on (seed of the step, stream of the layer, its number in plain
 * order) only, so that it is the same in every layout and on any number of threads. */
#include "kernel.h"
#include "tenon/random.h"

enum { BLOCKS = 16, WORDS = 4 * BLOCKS };

/* The words of BLOCKS Philox blocks from `position` on: tn_random_block, many at once. */
TN_INLINE void random_words(uint64_t key, uint64_t stream, uint64_t position, uint32_t words[WORDS])
{
    uint32_t c0[BLOCKS], c1[BLOCKS], c2[BLOCKS], c3[BLOCKS];
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        uint64_t at = position + i;
        c0[i] = (uint32_t)at, c1[i] = (uint32_t)(at >> 32);
        c2[i] = (uint32_t)stream, c3[i] = (uint32_t)(stream >> 32);
    }
    for (int round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < BLOCKS; i++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * c0[i], p1 = (uint64_t)0xCD9E8D57u * c2[i];
            uint32_t a = (uint32_t)(p1 >> 32) ^ c1[i] ^ k0, b = (uint32_t)(p0 >> 32) ^ c3[i] ^ k1;
            c0[i] = a, c1[i] = (uint32_t)p1, c2[i] = b, c3[i] = (uint32_t)p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (uint32_t i = 0; i < BLOCKS; i++)
        words[4 * i] = c0[i], words[4 * i + 1] = c1[i], words[4 * i + 2] = c2[i], words[4 * i + 3] = c3[i];
}

struct mask {
    struct tn_view view;
    uint64_t key, stream;
    uint32_t threshold;
    uint8_t *keep;
};

/* Fates of elements [first, first + count), plain order. */
TN_VECTOR static void keep_run(const struct mask *m, uint64_t first, int64_t count, uint8_t *keep)
{
    uint32_t words[WORDS];
    int64_t done = 0;
    while (done < count) {
        uint64_t element = first + (uint64_t)done;
        int64_t skip = (int64_t)(element % 4), take = WORDS - skip < count - done ? WORDS - skip : count - done;
        random_words(m->key, m->stream, element / 4, words);
        for (int64_t i = 0; i < take; i++)
            keep[done + i] = words[skip + i] >= m->threshold;
        done += take;
    }
}

/* A range of pixels. */
static void mask_range(void *context, uint64_t begin, uint64_t end)
{
    const struct mask *m = context;
    const struct tn_view *v = &m->view;
    int64_t pixels = v->height * v->width;
    if (v->lanes == v->channels) { /* plain: one long run */
        keep_run(m, begin * (uint64_t)v->channels, (int64_t)(end - begin) * v->channels,
                 m->keep + begin * (uint64_t)v->channels);
        return;
    }
    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        uint8_t *image = m->keep + i / pixels * v->stride_n + i % pixels * v->stride_x;
        for (int64_t g = 0; g < v->groups; g++) {
            int64_t used = tn_view_used(v, g);
            uint8_t *lanes = image + g * v->stride_g;
            keep_run(m, (uint64_t)(i * v->channels + g * v->lanes), used, lanes);
            memset(lanes + used, 0, (size_t)(v->lanes - used));
        }
    }
}

struct apply {
    const float *x;
    const uint8_t *keep;
    float *y;
    float scale;
};

TN_VECTOR static void apply_range(void *context, uint64_t begin, uint64_t end)
{
    const struct apply a = *(const struct apply *)context;
    TN_INDEPENDENT
    for (uint64_t i = begin; i < end; i++)
        a.y[i] = a.keep[i] ? a.x[i] * a.scale : 0.0f;
}

static float scale_of(const struct tn_dropout *dropout)
{
    return dropout->rate < 1.0f ? 1.0f / (1.0f - dropout->rate) : 0.0f;
}

static uint32_t threshold_of(const struct tn_dropout *dropout)
{
    double threshold = (double)dropout->rate * 4294967296.0;
    return threshold >= 4294967295.0 ? 4294967295u : threshold > 0.0 ? (uint32_t)threshold : 0;
}

/* Places: x, mask, y. Backward: dy, mask, dx. */
static tn_status body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    const struct tn_layout *layout = *(const struct tn_layout *const *)kernel->details;
    struct apply apply = {tn_floats(kernel, 0), (uint8_t *)tn_place(kernel, 1), tn_floats(kernel, 2),
                          scale_of(&op->a.dropout)};
    if (op->kind == TN_OP_DROPOUT) {
        struct mask mask = {tn_view_of(layout), run->step->seed, op->a.dropout.stream, threshold_of(&op->a.dropout),
                            (uint8_t *)tn_place(kernel, 1)};
        uint64_t pixels = (uint64_t)(mask.view.batch * mask.view.height * mask.view.width);
        tn_parallel_for(run->cpu, pixels, 4096 / (uint64_t)mask.view.channels + 1, mask_range, &mask);
    }
    tn_parallel_for(run->cpu, layout->bytes / sizeof(float), 8192, apply_range, &apply);
    return TN_OK;
}

static const struct tn_layout **remember(struct tn_planning *planning, const struct tn_layout *layout)
{
    const struct tn_layout **details = tn_plan_details(planning, sizeof *details);
    if (details)
        *details = layout;
    return details;
}

void tn_plan_dropout(struct tn_planning *planning)
{
    struct tn_value *x = tn_plan_value(planning, 0), *mask = tn_plan_result(planning, 1);
    const struct tn_layout *layout;
    struct tn_place place;
    if (!x || !(layout = tn_plan_layout(planning, x)) || !remember(planning, layout))
        return;
    if (mask) { /* one byte for each stored element; the layout tells the gradient op their order */
        tn_plan_set_layout(planning, mask, layout);
        mask->plain = 0;
        mask->bytes = layout->bytes / sizeof(float);
        place = tn_place_output(1);
    } else {
        place = tn_plan_scratch(planning, layout->bytes / sizeof(float));
    }
    tn_plan_body_place(planning, tn_plan_input(planning, 0, layout));
    tn_plan_body_place(planning, place);
    tn_plan_body_place(planning, tn_plan_output(planning, 0, layout));
    tn_plan_overwrite(planning, 0);
    tn_plan_body(planning, body);
    planning->op->algorithm = "loop";
}

void tn_plan_dropout_gradient(struct tn_planning *planning)
{
    struct tn_value *mask = tn_plan_value(planning, 1);
    const struct tn_layout *layout = mask ? mask->layout : NULL;
    if (!layout) {
        tn_plan_fail(planning, TN_FAILED, "the gradient of dropout needs the mask of its forward op");
        return;
    }
    if (!remember(planning, layout))
        return;
    tn_plan_body_place(planning, tn_plan_input(planning, 0, layout));
    tn_plan_body_place(planning, tn_place_input(1));
    tn_plan_body_place(planning, tn_plan_output(planning, 0, layout));
    tn_plan_overwrite(planning, 0);
    tn_plan_body(planning, body);
    planning->op->algorithm = "loop";
}
