/* op_convolution_gradient.c: the backward passes of a convolution, chunk by chunk.
 *
 * For each chunk: the gradient behind the fused ReLU or pooling (in scratch, so that it stays in cache), then the
 * gradient of the input, then that of the kernel. oneDNN overwrites kernel gradients: those of later chunks go to
 * scratch and are added in the order of the chunks.
 */
#include "convolution.h"
#include "elementwise.h"

enum { DY = 0, X = 1, KERNEL = 2, Y = 3, WORKSPACE = 4 };
#define NO_STAGE UINT32_MAX
/* Body places. */
enum { AT_DY, AT_Y, AT_INDEX, AT_INNER, AT_DKERNEL, AT_DKERNEL_PART, AT_DBIAS, AT_DBIAS_PART, PLACE_COUNT };

/* What one chunk runs; set 1 is the rest. */
struct set {
    struct tn_pool pool;
    uint32_t data, weights; /* stages */
    uint64_t elements;      /* of dy behind the ReLU */
};

struct backward {
    struct tn_chunks chunks;
    struct set sets[2];
    bool has_pool, mask, inner_moves;
    uint64_t dy_step, y_step, index_step, inner_step; /* bytes of a whole chunk */
    uint64_t kernel_elements, bias_elements;
};

/* Makes the gradient of the convolution's own output for this chunk. */
static void make_inner(const struct tn_kernel *kernel, const struct backward *b, const struct set *set, uint64_t chunk,
                       const struct tn_run *run)
{
    const float *dy = (const float *)(const void *)(tn_place(kernel, AT_DY) + chunk * b->dy_step);
    float *inner = (float *)(void *)(tn_place(kernel, AT_INNER) + (b->inner_moves ? chunk * b->inner_step : 0));
    if (b->has_pool)
        tn_pool_backward(run->cpu, &set->pool, dy, tn_place(kernel, AT_INDEX) + chunk * b->index_step, inner);
    else if (b->mask)
        tn_elementwise_run(run->cpu, tn_relu_mask, dy,
                           (const float *)(const void *)(tn_place(kernel, AT_Y) + chunk * b->y_step), NULL, inner,
                           set->elements, NULL);
}

static tn_status run_weights(const struct tn_kernel *kernel, const struct backward *b, const struct set *set,
                             uint64_t chunk, bool rest, const struct tn_op *op, const struct tn_run *run)
{
    const struct tn_stage *stage = &kernel->stages[set->weights];
    bool first = chunk == 0;
    tn_status status;
    /* Set before the stage moves its other arguments: these two have no step. */
    tn_stage_point(stage, DNNL_ARG_DIFF_WEIGHTS, tn_place(kernel, first ? AT_DKERNEL : AT_DKERNEL_PART));
    if (b->bias_elements)
        tn_stage_point(stage, DNNL_ARG_DIFF_BIAS, tn_place(kernel, first ? AT_DBIAS : AT_DBIAS_PART));
    status = tn_stage_run(stage, rest ? 0 : chunk, op, run);
    if (status != TN_OK || first)
        return status;
    tn_elementwise_run(run->cpu, tn_add, tn_floats(kernel, AT_DKERNEL), tn_floats(kernel, AT_DKERNEL_PART), NULL,
                       tn_floats(kernel, AT_DKERNEL), b->kernel_elements, NULL);
    if (b->bias_elements)
        tn_elementwise_run(run->cpu, tn_add, tn_floats(kernel, AT_DBIAS), tn_floats(kernel, AT_DBIAS_PART), NULL,
                           tn_floats(kernel, AT_DBIAS), b->bias_elements, NULL);
    return TN_OK;
}

static tn_status body(const struct tn_kernel *kernel, const struct tn_op *op, const struct tn_run *run)
{
    const struct backward *b = kernel->details;
    uint64_t total = b->chunks.count + (b->chunks.rest != 0);
    tn_status status = TN_OK;
    for (uint64_t chunk = 0; chunk < total && status == TN_OK; chunk++) {
        bool rest = chunk == b->chunks.count;
        const struct set *set = &b->sets[rest];
        make_inner(kernel, b, set, chunk, run);
        if (set->data != NO_STAGE)
            status = tn_stage_run(&kernel->stages[set->data], rest ? 0 : chunk, op, run);
        if (set->weights != NO_STAGE && status == TN_OK)
            status = run_weights(kernel, b, set, chunk, rest, op, run);
    }
    return status;
}

/* ---- planning ---- */

/* Descriptors of one set, made before anything is placed. */
struct descriptors {
    uint64_t images;
    dnnl_primitive_desc_t forward, data, weights;
};

struct plan {
    struct tn_convolution_geometry geometry;
    struct backward *b;
    struct descriptors sets[2];
    int set_count;
    struct tn_place dy, y, x, dx, inner, kernels[2], dkernel, dkernel_part, dbias, dbias_part;
    const struct tn_layout *x_chunk, *inner_chunk;
    bool inner_is_whole; /* dy itself, masked in place or as it came; else scratch of one chunk */
};

static bool wants_data(const struct tn_planning *planning)
{
    return tn_plan_result(planning, 0) != NULL;
}

static bool wants_weights(const struct tn_planning *planning)
{
    return tn_plan_result(planning, 1) || tn_plan_result(planning, 2);
}

static tn_const_md kernel_made(const struct plan *p)
{
    return dnnl_primitive_desc_query_md(p->sets[0].weights, dnnl_query_diff_weights_md, 0);
}

static void describe_set(struct tn_planning *planning, struct plan *p, struct descriptors *d)
{
    const struct tn_convolution_geometry *g = &p->geometry;
    /* The rest has to make the kernel's gradient in the same layout, or it could not be added. */
    tn_const_md makes = d == &p->sets[0] || !p->sets[0].weights ? g->kernel_any->md : kernel_made(p);
    tn_plan_check(planning,
                  tn_convolution_descriptor(planning->cpu, g, TN_PASS_FORWARD, d->images, g->kernel_wanted, false, NULL,
                                            &d->forward),
                  "this convolution");
    if (planning->status == TN_OK && wants_data(planning))
        tn_plan_check(planning,
                      tn_convolution_descriptor(planning->cpu, g, TN_PASS_DATA, d->images, g->kernel_any->md, false,
                                                d->forward, &d->data),
                      "the gradient of this convolution's input");
    if (planning->status == TN_OK && wants_weights(planning))
        tn_plan_check(planning,
                      tn_convolution_descriptor(planning->cpu, g, TN_PASS_WEIGHTS, d->images, makes,
                                                tn_plan_result(planning, 2) != NULL, d->forward, &d->weights),
                      "the gradient of this convolution's kernel");
}

/* Where the gradient of the convolution's own output lies. */
static void place_inner(struct tn_planning *planning, struct plan *p)
{
    const struct tn_convolution_geometry *g = &p->geometry;
    const struct tn_layout *of_dy = tn_layout_activation(planning->cpu, &g->pooled, g->y_format);
    p->dy = p->inner = tn_plan_input(planning, DY, of_dy);
    p->inner_is_whole = true;
    p->b->has_pool = g->has_pool;
    p->b->mask = g->relu && !g->has_pool;
    if (planning->status != TN_OK || !(g->has_pool || g->relu))
        return;
    if (p->b->mask)
        p->y = tn_plan_input(planning, Y, of_dy);
    if (p->b->mask && (p->dy.base == TN_PLACE_SCRATCH || tn_plan_may_overwrite(planning, DY)))
        return;
    p->inner = tn_plan_scratch(planning, p->inner_chunk->bytes);
    p->inner_is_whole = false;
}

static void place_kernels(struct tn_planning *planning, struct plan *p)
{
    for (int i = 0; i < p->set_count && planning->status == TN_OK; i++) {
        tn_const_md wants = dnnl_primitive_desc_query_md(p->sets[i].data, dnnl_query_weights_md, 0);
        if (i > 0 && tn_md_equal(wants, dnnl_primitive_desc_query_md(p->sets[0].data, dnnl_query_weights_md, 0)))
            p->kernels[i] = p->kernels[0];
        else
            p->kernels[i] = tn_convolution_kernel_as(planning, KERNEL, &p->geometry, wants);
    }
}

/* True when the kernel's gradient has to be converted after the body. */
static bool place_weights(struct tn_planning *planning, struct plan *p)
{
    const struct tn_convolution_geometry *g = &p->geometry;
    struct tn_value *dkernel = tn_plan_result(planning, 1), *dbias = tn_plan_result(planning, 2);
    uint64_t bytes = dnnl_memory_desc_get_size(kernel_made(p));
    bool parts = p->b->chunks.count + (p->b->chunks.rest != 0) > 1, direct;
    if (dkernel && tn_plan_is_free(dkernel))
        tn_plan_set_layout(planning, dkernel, planning->op->inputs[KERNEL]->layout);
    if (planning->status != TN_OK)
        return false;
    direct = dkernel && tn_md_equal(kernel_made(p), tn_convolution_kernel(dkernel, g)->md);
    p->dkernel = direct ? tn_place_output(1) : tn_plan_scratch(planning, bytes);
    p->b->kernel_elements = bytes / sizeof(float);
    if (parts)
        p->dkernel_part = tn_plan_scratch(planning, bytes);
    if (dbias) {
        p->dbias = tn_plan_output(planning, 2, g->bias);
        p->b->bias_elements = (uint64_t)g->y.dims[3];
        if (parts)
            p->dbias_part = tn_plan_scratch(planning, g->bias->bytes);
    }
    return dkernel && !direct;
}

static void add_stages(struct tn_planning *planning, struct plan *p, int i)
{
    struct set *set = &p->b->sets[i];
    struct descriptors *d = &p->sets[i];
    struct tn_place inner = p->inner;
    dnnl_primitive_desc_t data = d->data, weights = d->weights;
    if (p->inner_is_whole)
        inner = tn_convolution_place(inner, p->inner_chunk, p->b->chunks, i);
    set->data = set->weights = NO_STAGE;
    if (data) {
        d->data = NULL;
        set->data = tn_plan_stage(planning, data);
        if (planning->status != TN_OK)
            return;
        tn_plan_argument(planning, set->data, DNNL_ARG_DIFF_DST,
                         dnnl_primitive_desc_query_md(data, dnnl_query_diff_dst_md, 0), inner);
        tn_plan_argument(planning, set->data, DNNL_ARG_WEIGHTS,
                         dnnl_primitive_desc_query_md(data, dnnl_query_weights_md, 0), p->kernels[i]);
        tn_plan_argument(planning, set->data, DNNL_ARG_DIFF_SRC,
                         dnnl_primitive_desc_query_md(data, dnnl_query_diff_src_md, 0),
                         tn_convolution_place(p->dx, p->x_chunk, p->b->chunks, i));
    }
    if (weights && planning->status == TN_OK) {
        d->weights = NULL;
        set->weights = tn_plan_stage(planning, weights);
        if (planning->status != TN_OK)
            return;
        tn_plan_argument(planning, set->weights, DNNL_ARG_SRC,
                         dnnl_primitive_desc_query_md(weights, dnnl_query_src_md, 0),
                         tn_convolution_place(p->x, p->x_chunk, p->b->chunks, i));
        tn_plan_argument(planning, set->weights, DNNL_ARG_DIFF_DST,
                         dnnl_primitive_desc_query_md(weights, dnnl_query_diff_dst_md, 0), inner);
        tn_plan_argument(planning, set->weights, DNNL_ARG_DIFF_WEIGHTS,
                         dnnl_primitive_desc_query_md(weights, dnnl_query_diff_weights_md, 0), p->dkernel);
        if (p->b->bias_elements)
            tn_plan_argument(planning, set->weights, DNNL_ARG_DIFF_BIAS, p->geometry.bias->md, p->dbias);
    }
}

/* Pools, sizes and steps of the body; places in the order of the AT_… numbers. */
static void fill_body(struct tn_planning *planning, struct plan *p)
{
    const struct tn_convolution_geometry *g = &p->geometry;
    struct backward *b = p->b;
    struct tn_place index = {TN_PLACE_NOWHERE, 0, 0, 0};
    struct tn_place places[PLACE_COUNT];
    for (int i = 0; i < p->set_count; i++) {
        struct tn_shape of_y = tn_convolution_shape(&g->y, p->sets[i].images);
        struct tn_shape of_pooled = tn_convolution_shape(&g->pooled, p->sets[i].images);
        const struct tn_layout *y = tn_layout_activation(planning->cpu, &of_y, g->y_format);
        const struct tn_layout *pooled = tn_layout_activation(planning->cpu, &of_pooled, g->y_format);
        if (!y || !pooled) {
            tn_plan_fail(planning, TN_NO_MEMORY, "out of memory");
            return;
        }
        b->sets[i].elements = y->bytes / sizeof(float);
        if (g->has_pool && !tn_pool_make(&b->sets[i].pool, &g->options->pool, y, pooled, g->relu)) {
            tn_plan_fail(planning, TN_INVALID, "the pooling window does not lead from the convolution to the output");
            return;
        }
        if (i == 0) {
            b->dy_step = b->y_step = pooled->bytes;
            b->inner_step = y->bytes;
        }
    }
    b->inner_moves = p->inner_is_whole;
    if (g->has_pool) {
        b->index_step = tn_pool_index_bytes(&b->sets[0].pool);
        index = tn_place_input(WORKSPACE);
    }
    places[AT_DY] = p->dy, places[AT_Y] = p->y, places[AT_INDEX] = index, places[AT_INNER] = p->inner;
    places[AT_DKERNEL] = p->dkernel, places[AT_DKERNEL_PART] = p->dkernel_part;
    places[AT_DBIAS] = p->dbias, places[AT_DBIAS_PART] = p->dbias_part;
    for (int i = 0; i < PLACE_COUNT; i++)
        tn_plan_body_place(planning, places[i]);
}

static void plan(struct tn_planning *planning, struct plan *p)
{
    const struct tn_convolution_geometry *g = &p->geometry;
    struct tn_shape of_x = tn_convolution_shape(&g->x, (uint64_t)g->images);
    struct tn_shape of_y = tn_convolution_shape(&g->y, (uint64_t)g->images);
    const struct tn_layout *whole_x = tn_layout_activation(planning->cpu, &g->x, g->x_format);
    bool convert = false;
    p->x_chunk = tn_layout_activation(planning->cpu, &of_x, g->x_format);
    p->inner_chunk = tn_layout_activation(planning->cpu, &of_y, g->y_format);
    p->b->chunks = tn_convolution_chunks(g);
    p->set_count = p->b->chunks.rest ? 2 : 1;
    p->sets[0].images = (uint64_t)g->images, p->sets[1].images = p->b->chunks.rest;
    for (int i = 0; i < p->set_count && planning->status == TN_OK; i++)
        describe_set(planning, p, &p->sets[i]);
    if (planning->status != TN_OK)
        return;
    place_inner(planning, p);
    if (wants_data(planning)) {
        p->dx = tn_plan_output(planning, 0, whole_x);
        place_kernels(planning, p);
    }
    if (wants_weights(planning)) {
        p->x = tn_plan_input(planning, X, whole_x);
        convert = place_weights(planning, p);
    }
    tn_plan_body(planning, body);
    fill_body(planning, p);
    for (int i = 0; i < p->set_count && planning->status == TN_OK; i++)
        add_stages(planning, p, i);
    tn_plan_body_end(planning);
    if (convert && planning->status == TN_OK) /* the descriptor belongs to its stage by now */
        tn_plan_reorder(planning,
                        dnnl_primitive_desc_query_md(planning->kernel->stages[p->b->sets[0].weights].descriptor,
                                                     dnnl_query_diff_weights_md, 0),
                        p->dkernel, tn_convolution_kernel(planning->op->outputs[1], g)->md, tn_place_output(1));
}

static void destroy(struct plan *p)
{
    for (int i = 0; i < 2; i++) {
        dnnl_primitive_desc_t all[] = {p->sets[i].forward, p->sets[i].data, p->sets[i].weights};
        for (int j = 0; j < 3; j++)
            if (all[j])
                dnnl_primitive_desc_destroy(all[j]);
    }
    tn_convolution_destroy(&p->geometry);
}

void tn_plan_convolution_gradient(struct tn_planning *planning)
{
    struct tn_value *kernel = tn_plan_value(planning, KERNEL);
    const struct tn_convolution *o = &planning->op->a.conv;
    struct plan p = {.b = tn_plan_details(planning, sizeof *p.b)};
    if (!p.b || !tn_convolution_describe(planning, tn_plan_value(planning, X), kernel, tn_plan_value(planning, DY),
                                         &p.geometry))
        goto done;
    if (o->pool.mode != TN_POOL_NONE ? !tn_plan_value(planning, WORKSPACE)
                                     : o->activation.function != TN_LINEAR && !tn_plan_value(planning, Y)) {
        tn_plan_fail(planning, TN_FAILED, "the gradient of a fused convolution needs its output or its workspace");
        goto done;
    }
    if (!kernel->planned)
        tn_plan_set_layout(planning, kernel, p.geometry.kernel_plain);
    planning->op->algorithm = p.geometry.algorithm;
    plan(planning, &p);
done:
    destroy(&p);
}
