/* op_convolution.c: the forward pass of a convolution, with bias, ReLU and max pooling fused in. */
#include "convolution.h"

struct forward {
    struct tn_chunks chunks;
    uint32_t stages[2]; /* of a whole chunk, of the rest */
    struct tn_pool pools[2];
    uint64_t y_step, index_step; /* bytes of a chunk */
    bool has_pool;
};

/* Places (with pooling): the convolution's output, y, index. */
static tn_status body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    const struct forward *f = kernel->details;
    uint64_t total = f->chunks.count + (f->chunks.rest != 0);
    for (uint64_t chunk = 0; chunk < total; chunk++) {
        int set = chunk == f->chunks.count;
        char *index;
        tn_status status = tn_stage_run(&kernel->stages[f->stages[set]], set ? 0 : chunk, op, run);
        if (status != TN_OK)
            return status;
        if (!f->has_pool)
            continue;
        index = tn_place(kernel, 2);
        tn_pool_forward(run->cpu, &f->pools[set], tn_floats(kernel, 0),
                        (float *)(void *)(tn_place(kernel, 1) + chunk * f->y_step),
                        index ? index + chunk * f->index_step : NULL);
    }
    return TN_OK;
}

enum { X = 0, KERNEL = 1, BIAS = 2 };

static void plan_kernel_layout(struct tn_planning *planning, const struct tn_convolution_geometry *g)
{
    struct tn_value *kernel = planning->op->inputs[KERNEL];
    if (tn_plan_is_free(kernel))
        tn_plan_set_layout(planning, kernel,
                           tn_layout_opaque(planning->cpu,
                                            tn_md_is_blocked(g->kernel_wanted) ? g->kernel_wanted : g->kernel_plain->md,
                                            g->kernel_plain->md));
}

struct places {
    struct tn_place x, kernel, bias, y, convolved;
    bool has_bias;
};

static void plan_set(struct tn_planning *planning, const struct tn_convolution_geometry *g, struct forward *f, int set,
                     const struct places *places)
{
    uint64_t images = set ? f->chunks.rest : (uint64_t)g->images;
    struct tn_cpu *cpu = planning->cpu;
    struct tn_shape of_x = tn_convolution_shape(&g->x, (uint64_t)g->images);
    struct tn_shape of_y = tn_convolution_shape(&g->y, (uint64_t)g->images), of_pooled;
    const struct tn_layout *x_chunk = tn_layout_activation(cpu, &of_x, g->x_format);
    const struct tn_layout *y_chunk = tn_layout_activation(cpu, &of_y, g->y_format), *y, *pooled;
    dnnl_primitive_desc_t descriptor = NULL;
    uint32_t stage;
    of_y = tn_convolution_shape(&g->y, images), of_pooled = tn_convolution_shape(&g->pooled, images);
    y = tn_layout_activation(cpu, &of_y, g->y_format);
    pooled = tn_layout_activation(cpu, &of_pooled, g->y_format);
    if (!x_chunk || !y_chunk || !y || !pooled) {
        tn_plan_fail(planning, TN_NO_MEMORY, "out of memory");
        return;
    }
    tn_plan_check(planning,
                  tn_convolution_descriptor(cpu, g, TN_PASS_FORWARD, images, g->kernel_wanted, places->has_bias, NULL,
                                            &descriptor),
                  "this convolution");
    stage = f->stages[set] = tn_plan_stage(planning, descriptor);
    if (planning->status != TN_OK)
        return;
    tn_plan_argument(planning, stage, DNNL_ARG_SRC, dnnl_primitive_desc_query_md(descriptor, dnnl_query_src_md, 0),
                     tn_convolution_place(places->x, x_chunk, f->chunks, set));
    tn_plan_argument(planning, stage, DNNL_ARG_WEIGHTS, g->kernel_wanted, places->kernel);
    if (places->has_bias)
        tn_plan_argument(planning, stage, DNNL_ARG_BIAS, g->bias->md, places->bias);
    tn_plan_argument(planning, stage, DNNL_ARG_DST, y->md,
                     g->has_pool ? places->convolved : tn_convolution_place(places->y, y_chunk, f->chunks, set));
    if (g->has_pool && !tn_pool_make(&f->pools[set], &g->options->pool, y, pooled, g->relu))
        tn_plan_fail(planning, TN_INVALID, "the pooling window does not lead from the convolution to the output");
}

static void plan(struct tn_planning *planning, struct tn_convolution_geometry *g, struct forward *f)
{
    struct tn_cpu *cpu = planning->cpu;
    struct tn_value *workspace = tn_plan_result(planning, 1);
    struct tn_shape of_chunk = tn_convolution_shape(&g->y, (uint64_t)g->images);
    const struct tn_layout *chunk = tn_layout_activation(cpu, &of_chunk, g->y_format);
    struct places places = {.has_bias = tn_plan_value(planning, BIAS) != NULL};
    struct tn_place index = {TN_PLACE_NOWHERE, 0, 0, 0};
    plan_kernel_layout(planning, g);
    f->chunks = tn_convolution_chunks(g);
    f->has_pool = g->has_pool;
    places.x = tn_plan_input(planning, X, tn_layout_activation(cpu, &g->x, g->x_format));
    places.kernel = tn_convolution_kernel_as(planning, KERNEL, g, g->kernel_wanted);
    if (places.has_bias)
        places.bias = tn_plan_input(planning, BIAS, g->bias);
    places.y = tn_plan_output(planning, 0, tn_layout_activation(cpu, &g->pooled, g->y_format));
    if (g->has_pool && chunk)
        places.convolved = tn_plan_scratch(planning, chunk->bytes);
    tn_plan_body(planning, body);
    plan_set(planning, g, f, 0, &places);
    if (f->chunks.rest)
        plan_set(planning, g, f, 1, &places);
    tn_plan_body_end(planning);
    if (!g->has_pool || planning->status != TN_OK)
        return;
    f->index_step = tn_pool_index_bytes(&f->pools[0]);
    f->y_step = (uint64_t)f->pools[0].y.batch * (uint64_t)f->pools[0].y.stride_n * sizeof(float);
    if (workspace) {
        workspace->planned = 1;
        workspace->bytes = f->chunks.count * f->index_step;
        if (f->chunks.rest)
            workspace->bytes += tn_pool_index_bytes(&f->pools[1]);
        index = tn_place_output(1);
    }
    tn_plan_body_place(planning, places.convolved);
    tn_plan_body_place(planning, places.y);
    tn_plan_body_place(planning, index);
}

void tn_plan_convolution(struct tn_planning *planning)
{
    struct tn_convolution_geometry geometry;
    struct forward *f = tn_plan_details(planning, sizeof *f);
    if (f && tn_convolution_describe(planning, tn_plan_value(planning, X), tn_plan_value(planning, KERNEL),
                                     tn_plan_result(planning, 0), &geometry)) {
        plan(planning, &geometry, f);
        planning->op->algorithm = geometry.algorithm;
    }
    if (f)
        tn_convolution_destroy(&geometry);
}
