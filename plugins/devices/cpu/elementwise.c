/* elementwise.c: see elementwise.h. */
#include "elementwise.h"

enum { GRAIN = 8192 }; /* floats: 32 KiB, so that small values stay on one thread */

struct flat {
    tn_elementwise function;
    const float *x0, *x1, *x2;
    float *y;
    const float *parameters;
};

static void flat_range(void *context, uint64_t begin, uint64_t end)
{
    const struct flat *f = context;
    f->function(f->x0 ? f->x0 + begin : NULL, f->x1 ? f->x1 + begin : NULL, f->x2 ? f->x2 + begin : NULL, f->y + begin,
                end - begin, f->parameters);
}

void tn_elementwise_run(const struct tn_cpu *cpu, tn_elementwise function, const float *x0, const float *x1,
                        const float *x2, float *y, uint64_t count, const float parameters[4])
{
    struct flat flat = {function, x0, x1, x2, y, parameters};
    tn_parallel_for(cpu, count, GRAIN, flat_range, &flat);
}

TN_VECTOR void tn_relu_mask(const float *x0, const float *x1, const float *x2, float *y, uint64_t count,
                            const float parameters[4])
{
    (void)x2, (void)parameters;
    TN_INDEPENDENT
    for (uint64_t i = 0; i < count; i++)
        y[i] = x1[i] > 0.0f ? x0[i] : 0.0f;
}

TN_VECTOR void tn_add(const float *x0, const float *x1, const float *x2, float *y, uint64_t count,
                      const float parameters[4])
{
    (void)x2, (void)parameters;
    TN_INDEPENDENT
    for (uint64_t i = 0; i < count; i++)
        y[i] = x0[i] + x1[i];
}

struct padding {
    struct tn_view view;
    float *data;
};

static void padding_range(void *context, uint64_t begin, uint64_t end)
{
    const struct padding *p = context;
    int64_t used = tn_view_used(&p->view, p->view.groups - 1), pixels = p->view.height * p->view.width;
    for (uint64_t n = begin; n < end; n++) {
        float *group = p->data + (int64_t)n * p->view.stride_n + (p->view.groups - 1) * p->view.stride_g;
        for (int64_t i = 0; i < pixels; i++)
            for (int64_t c = used; c < p->view.lanes; c++)
                group[i * p->view.lanes + c] = 0.0f;
    }
}

void tn_clear_padding(const struct tn_cpu *cpu, const struct tn_layout *layout, float *data)
{
    struct padding padding = {tn_view_of(layout), data};
    if (padding.view.channels % padding.view.lanes != 0)
        tn_parallel_for(cpu, (uint64_t)padding.view.batch, 1, padding_range, &padding);
}
