/* test_device_cpu_convolution.c: convolutions and dense layers of the cpu device against naive loops: forward and
 * gradients, odd sizes, groups, dilation, uneven padding, fused ReLU and pooling, blocked chains, several programs on
 * one set of weights, updates on opaque layouts, equal bits. */
#include "support/device_rig.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static struct rig_device device; /* opened by the fixture of each test case */

static void close_to(const float *actual, const double *expected, uint64_t count, double tolerance, const char *what)
{
    double largest = 0.0;
    for (uint64_t i = 0; i < count; i++)
        largest = fabs(expected[i]) > largest ? fabs(expected[i]) : largest;
    for (uint64_t i = 0; i < count; i++)
        if (!(fabs((double)actual[i] - expected[i]) <= tolerance * (largest + 1e-3)))
            ck_abort_msg("%s: element %llu is %g, not %g (largest %g)", what, (unsigned long long)i, (double)actual[i],
                         expected[i], largest);
}

static void check_value(struct rig *rig, const struct tn_value *value, const double *expected, const char *what)
{
    float *actual = rig_read(rig, value);
    close_to(actual, expected, rig_count(value), 2e-5, what);
    free(actual);
}

/* ---- naive loops, in double ---- */

struct sizes {
    int n, h, w, c, oh, ow, oc, kh, kw;
};

static struct sizes sizes_of(const struct tn_convolution *o, int n, int h, int w, int c, int oc, int kh, int kw)
{
    struct sizes s = {n, h, w, c, 0, 0, oc, kh, kw};
    s.oh = (h + o->top + o->bottom - ((kh - 1) * o->dilation_y + 1)) / o->stride_y + 1;
    s.ow = (w + o->left + o->right - ((kw - 1) * o->dilation_x + 1)) / o->stride_x + 1;
    return s;
}

/* Calls visit for every (output, input, kernel) triple of elements that meet. */
static void visit(const struct tn_convolution *o, const struct sizes *s,
                  void (*act)(void *context, size_t y, size_t x, size_t k), void *context)
{
    int icg = s->c / o->groups, ocg = s->oc / o->groups;
    for (int n = 0; n < s->n; n++)
        for (int oy = 0; oy < s->oh; oy++)
            for (int ox = 0; ox < s->ow; ox++)
                for (int ky = 0; ky < s->kh; ky++)
                    for (int kx = 0; kx < s->kw; kx++) {
                        int iy = oy * o->stride_y - o->top + ky * o->dilation_y;
                        int ix = ox * o->stride_x - o->left + kx * o->dilation_x;
                        if (iy < 0 || ix < 0 || iy >= s->h || ix >= s->w)
                            continue;
                        for (int co = 0; co < s->oc; co++)
                            for (int ci = 0; ci < icg; ci++)
                                act(context, ((size_t)(n * s->oh + oy) * s->ow + ox) * s->oc + co,
                                    ((size_t)(n * s->h + iy) * s->w + ix) * s->c + co / ocg * icg + ci,
                                    ((size_t)(ky * s->kw + kx) * icg + ci) * s->oc + co);
                    }
}

struct arrays {
    const float *x, *kernel;
    const double *dy;
    double *y, *dx, *dkernel;
};

static void act_forward(void *context, size_t y, size_t x, size_t k)
{
    struct arrays *a = context;
    a->y[y] += (double)a->x[x] * (double)a->kernel[k];
}

static void act_backward(void *context, size_t y, size_t x, size_t k)
{
    struct arrays *a = context;
    a->dx[x] += a->dy[y] * (double)a->kernel[k];
    a->dkernel[k] += a->dy[y] * (double)a->x[x];
}

/* ---- one convolution, forward and backward ---- */

struct conv_case {
    int n, h, w, c, oc, kh, kw;
    int stride, dilation, top, left, bottom, right, groups;
    int bias, relu, pool; /* pool: window and stride of a fused max pooling, 0 = none */
    int no_dx, dying;
};

struct conv_net {
    struct tn_value *x, *kernel, *bias, *y, *workspace, *dy, *dx, *dkernel, *dbias, *target;
    struct tn_convolution options;
    struct sizes s;
    int ph, pw;
};

static struct tn_convolution options_of(const struct conv_case *t)
{
    struct tn_convolution o = {.stride_y = t->stride,
                               .stride_x = t->stride,
                               .dilation_y = t->dilation,
                               .dilation_x = t->dilation,
                               .top = t->top,
                               .left = t->left,
                               .bottom = t->bottom,
                               .right = t->right,
                               .groups = t->groups};
    if (t->relu)
        o.activation.function = TN_RELU;
    if (t->pool)
        o.pool = (struct tn_window){TN_POOL_MAX, t->pool, t->pool, t->pool, t->pool, 0, 0, 0, 0};
    return o;
}

static void build(struct rig *rig, struct conv_net *net, const struct conv_case *t)
{
    struct tn_op *op;
    net->options = options_of(t);
    net->s = sizes_of(&net->options, t->n, t->h, t->w, t->c, t->oc, t->kh, t->kw);
    net->ph = t->pool ? net->s.oh / t->pool : net->s.oh;
    net->pw = t->pool ? net->s.ow / t->pool : net->s.ow;
    net->x = rig_value(rig, TN_ROLE_INPUT, TN_F32, "x", t->n, t->h, t->w, t->c, 0);
    net->kernel = rig_value(rig, TN_ROLE_PARAMETER, TN_F32, "kernel", t->kh, t->kw, t->c / t->groups, t->oc, 0);
    net->bias = t->bias ? rig_value(rig, TN_ROLE_PARAMETER, TN_F32, "bias", t->oc, 0) : NULL;
    net->y = rig_value(rig, TN_ROLE_ACTIVATION, TN_F32, "y", t->n, net->ph, net->pw, t->oc, 0);
    net->workspace =
        t->pool ? rig_value(rig, TN_ROLE_WORKSPACE, TN_F32, "workspace", t->n, net->ph, net->pw, t->oc, 0) : NULL;
    net->target = rig_value(rig, TN_ROLE_TARGET, TN_F32, "dy0", t->n, net->ph, net->pw, t->oc, 0);
    net->dy = rig_value(rig, TN_ROLE_GRADIENT, TN_F32, "dy", t->n, net->ph, net->pw, t->oc, 0);
    net->dx = t->no_dx ? NULL : rig_value(rig, TN_ROLE_GRADIENT, TN_F32, "dx", t->n, t->h, t->w, t->c, 0);
    net->dkernel = rig_value(rig, TN_ROLE_GRADIENT, TN_F32, "dkernel", t->kh, t->kw, t->c / t->groups, t->oc, 0);
    net->dbias = t->bias ? rig_value(rig, TN_ROLE_GRADIENT, TN_F32, "dbias", t->oc, 0) : NULL;
    op = rig_op(rig, TN_OP_CONV2D, 3, 2, net->x, net->kernel, net->bias, net->y, net->workspace);
    op->a.conv = net->options;
    rig_op(rig, TN_OP_COPY, 1, 1, net->target, net->dy);
    op = rig_op(rig, TN_OP_CONV2D_GRADIENT, 5, 3, net->dy, net->x, net->kernel, t->relu ? net->y : NULL, net->workspace,
                net->dx, net->dkernel, net->dbias);
    op->a.conv = net->options;
    op->dying = t->dying ? 1 : 0;
}

/* y = pool(relu(convolved)); routes[i] = element of convolved that gradient i flows to, or -1. */
static void pool_reference(const struct conv_case *t, const struct conv_net *net, const double *convolved, double *y,
                           long *routes)
{
    const struct sizes *s = &net->s;
    int window = t->pool ? t->pool : 1;
    for (int n = 0; n < s->n; n++)
        for (int py = 0; py < net->ph; py++)
            for (int px = 0; px < net->pw; px++)
                for (int c = 0; c < s->oc; c++) {
                    size_t at = ((size_t)(n * net->ph + py) * net->pw + px) * s->oc + c;
                    double best = -INFINITY;
                    for (int k = 0; k < window * window; k++) {
                        int oy = py * window + k / window, ox = px * window + k % window;
                        long from = ((long)(n * s->oh + oy) * s->ow + ox) * s->oc + c;
                        if (convolved[from] > best)
                            best = convolved[from], routes[at] = from;
                    }
                    y[at] = t->relu && best <= 0.0 ? 0.0 : best;
                    if (t->relu && best <= 0.0)
                        routes[at] = -1;
                }
}

static double *zeros(size_t count)
{
    double *numbers = calloc(count + 1, sizeof *numbers);
    ck_assert_ptr_nonnull(numbers);
    return numbers;
}

static void check_convolution(const struct conv_case *t)
{
    struct rig rig;
    struct conv_net net;
    const float *x, *kernel, *bias = NULL, *dy;
    double *convolved, *y, *inner, *dx, *dkernel, *dbias;
    long *routes;
    size_t outputs;
    char what[128];
    rig_begin(&rig, &device);
    build(&rig, &net, t);
    x = rig_fill(&rig, net.x, 1, -1, 1);
    kernel = rig_fill(&rig, net.kernel, 2, -1, 1);
    if (t->bias)
        bias = rig_fill(&rig, net.bias, 3, -1, 1);
    dy = rig_fill(&rig, net.target, 4, -1, 1);
    rig_ready(&rig);
    rig_run(&rig);

    outputs = (size_t)net.s.n * net.s.oh * net.s.ow * net.s.oc;
    convolved = zeros(outputs), inner = zeros(outputs), y = zeros(rig_count(net.y));
    dx = zeros(rig_count(net.x)), dkernel = zeros(rig_count(net.kernel)), dbias = zeros((size_t)t->oc);
    routes = calloc(rig_count(net.y), sizeof *routes);
    ck_assert_ptr_nonnull(routes);
    for (size_t i = 0; i < outputs && bias; i++)
        convolved[i] = (double)bias[i % (size_t)t->oc];
    struct arrays arrays = {x, kernel, inner, convolved, dx, dkernel};
    visit(&net.options, &net.s, act_forward, &arrays);
    pool_reference(t, &net, convolved, y, routes);
    for (size_t i = 0; i < rig_count(net.y); i++)
        if (routes[i] >= 0)
            inner[routes[i]] = (double)dy[i];
    visit(&net.options, &net.s, act_backward, &arrays);
    for (size_t i = 0; i < outputs; i++)
        dbias[i % (size_t)t->oc] += inner[i];

    (void)snprintf(what, sizeof what, "%dx%dx%dx%d->%d k%dx%d s%d d%d g%d relu%d pool%d", t->n, t->h, t->w, t->c, t->oc,
                   t->kh, t->kw, t->stride, t->dilation, t->groups, t->relu, t->pool);
    check_value(&rig, net.y, y, what);
    if (!t->no_dx)
        check_value(&rig, net.dx, dx, what);
    check_value(&rig, net.dkernel, dkernel, what);
    if (t->bias)
        check_value(&rig, net.dbias, dbias, what);
    free(convolved), free(inner), free(y), free(dx), free(dkernel), free(dbias), free(routes);
    rig_end(&rig);
}

static const struct conv_case cases[] = {
    /* n, h, w, c, oc, kh, kw, stride, dilation, top, left, bottom, right, groups, bias, relu, pool, no_dx, dying */
    {2, 7, 9, 3, 5, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0},
    {2, 8, 8, 16, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0},
    {2, 8, 8, 16, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 1},
    {1, 5, 6, 20, 33, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0},
    {3, 9, 7, 17, 16, 3, 2, 2, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0},
    {2, 10, 10, 8, 24, 5, 5, 2, 1, 1, 1, 2, 2, 1, 1, 1, 0, 0, 1},
    {2, 12, 12, 16, 16, 3, 3, 1, 2, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0},
    {2, 6, 6, 32, 64, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0},
    {2, 6, 6, 48, 10, 1, 1, 2, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0},
    {2, 6, 6, 32, 64, 3, 3, 1, 1, 1, 1, 1, 1, 4, 1, 1, 0, 0, 0},
    {2, 6, 6, 12, 18, 3, 3, 1, 1, 1, 1, 1, 1, 3, 1, 0, 0, 0, 0},
    {2, 7, 7, 24, 24, 3, 3, 1, 1, 1, 1, 1, 1, 24, 1, 0, 0, 0, 0},
    {2, 7, 7, 24, 24, 3, 3, 2, 1, 0, 0, 1, 1, 24, 0, 1, 0, 0, 1},
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0},
    {4, 11, 11, 3, 32, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 1, 0},
    {1, 3, 3, 1, 4, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0},
};

START_TEST(convolutions)
{
    check_convolution(&cases[_i]);
}
END_TEST

static const struct conv_case pooled_cases[] = {
    {5, 11, 11, 3, 32, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 1, 2, 1, 0},
    {3, 11, 13, 16, 32, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 1, 2, 0, 0},
    {3, 9, 9, 20, 33, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 0, 0},
    {2, 8, 8, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0, 0, 2, 0, 0},
    {2, 4, 4, 16, 16, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 1, 2, 0, 0},
    {2, 4, 4, 16, 48, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 1, 2, 0, 0},
    {7, 66, 66, 3, 64, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 1, 2, 0, 0},
};

START_TEST(pooled_convolutions)
{
    check_convolution(&pooled_cases[_i]);
}
END_TEST

/* ---- dense ---- */

struct dense_case {
    int rows, in, out, bias, relu, dying;
};

static const struct dense_case dense_cases[] = {
    {1, 1, 1, 1, 0, 0},    {4, 7, 5, 1, 1, 0},      {32, 300, 64, 1, 1, 1},   {32, 64, 10, 1, 0, 0},
    {3, 129, 33, 0, 1, 0}, {17, 512, 100, 1, 0, 0}, {16, 4608, 128, 1, 1, 1},
};

START_TEST(dense_layers)
{
    const struct dense_case *t = &dense_cases[_i];
    struct rig rig;
    struct tn_value *x, *kernel, *bias, *y, *target, *dy, *dx, *dkernel, *dbias;
    const float *fx, *fk, *fb, *fdy;
    double *ey, *edx, *edk, *edb;
    struct tn_op *op;
    rig_begin(&rig, &device);
    x = rig_value(&rig, TN_ROLE_INPUT, TN_F32, "x", t->rows, t->in, 0);
    kernel = rig_value(&rig, TN_ROLE_PARAMETER, TN_F32, "kernel", t->in, t->out, 0);
    bias = t->bias ? rig_value(&rig, TN_ROLE_PARAMETER, TN_F32, "bias", t->out, 0) : NULL;
    y = rig_value(&rig, TN_ROLE_OUTPUT, TN_F32, "y", t->rows, t->out, 0);
    target = rig_value(&rig, TN_ROLE_TARGET, TN_F32, "dy0", t->rows, t->out, 0);
    dy = rig_value(&rig, TN_ROLE_GRADIENT, TN_F32, "dy", t->rows, t->out, 0);
    dx = rig_value(&rig, TN_ROLE_GRADIENT, TN_F32, "dx", t->rows, t->in, 0);
    dkernel = rig_value(&rig, TN_ROLE_GRADIENT, TN_F32, "dkernel", t->in, t->out, 0);
    dbias = t->bias ? rig_value(&rig, TN_ROLE_GRADIENT, TN_F32, "dbias", t->out, 0) : NULL;
    op = rig_op(&rig, TN_OP_DENSE, 3, 1, x, kernel, bias, y);
    op->a.dense.activation.function = t->relu ? TN_RELU : TN_LINEAR;
    rig_op(&rig, TN_OP_COPY, 1, 1, target, dy);
    op = rig_op(&rig, TN_OP_DENSE_GRADIENT, 4, 3, dy, x, kernel, t->relu ? y : NULL, dx, dkernel, dbias);
    op->a.dense.activation.function = t->relu ? TN_RELU : TN_LINEAR;
    op->dying = t->dying ? 1 : 0;
    fx = rig_fill(&rig, x, 1, -1, 1), fk = rig_fill(&rig, kernel, 2, -1, 1), fdy = rig_fill(&rig, target, 3, -1, 1);
    fb = t->bias ? rig_fill(&rig, bias, 4, -1, 1) : NULL;
    rig_ready(&rig);
    rig_run(&rig);
    ey = zeros(rig_count(y)), edx = zeros(rig_count(x)), edk = zeros(rig_count(kernel)), edb = zeros((size_t)t->out);
    for (int r = 0; r < t->rows; r++)
        for (int o = 0; o < t->out; o++) {
            double sum = fb ? (double)fb[o] : 0.0, g = (double)fdy[r * t->out + o];
            for (int i = 0; i < t->in; i++)
                sum += (double)fx[r * t->in + i] * (double)fk[i * t->out + o];
            ey[r * t->out + o] = t->relu && sum < 0 ? 0 : sum;
            g = t->relu && sum <= 0 ? 0 : g;
            edb[o] += g;
            for (int i = 0; i < t->in; i++) {
                edx[r * t->in + i] += g * (double)fk[i * t->out + o];
                edk[i * t->out + o] += g * (double)fx[r * t->in + i];
            }
        }
    check_value(&rig, y, ey, "dense y");
    check_value(&rig, dx, edx, "dense dx");
    check_value(&rig, dkernel, edk, "dense dkernel");
    if (dbias)
        check_value(&rig, dbias, edb, "dense dbias");
    free(ey), free(edx), free(edk), free(edb);
    rig_end(&rig);
}
END_TEST

/* ---- weights that live in an opaque layout ---- */

static void sgd(const struct tn_update *update)
{
    ck_assert_int_eq(update->slot_count, 1);
    ck_assert_int_eq(update->decay, 1);
    for (uint64_t i = 0; i < update->count; i++) {
        update->slots[0][i] += update->gradient[i];
        update->parameter[i] -= (float)update->learning_rate * update->gradient[i];
    }
}

/* An update works on the stored bytes; what is read back is the plain result. Then a program with another batch runs
 * on the same weights. */
START_TEST(update_and_second_program)
{
    struct conv_case t = {4, 9, 9, 16, 40, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0};
    struct rig rig, second;
    struct conv_net net;
    struct tn_custom custom = {.type_name = "sgd", .update = sgd};
    struct tn_value *slot, *x, *y;
    struct tn_op *op;
    const float *kernel, *images;
    float *after, *gradient, *moment, *bias;
    double *expected;
    rig_begin(&rig, &device);
    build(&rig, &net, &t);
    slot = rig_value(&rig, TN_ROLE_SLOT, TN_F32, "slot", 3, 3, 16, 40, 0);
    op = rig_op(&rig, TN_OP_UPDATE, 3, 0, net.kernel, net.dkernel, slot);
    op->custom = &custom;
    op->a.update.decay = 1;
    rig_fill(&rig, net.x, 1, -1, 1), rig_fill(&rig, net.bias, 2, -1, 1), rig_fill(&rig, net.target, 3, -1, 1);
    kernel = rig_fill(&rig, net.kernel, 4, -1, 1);
    rig_fill(&rig, slot, 5, 0, 0);
    rig_ready(&rig);
    rig_run(&rig);
    after = rig_read(&rig, net.kernel), gradient = rig_read(&rig, net.dkernel), moment = rig_read(&rig, slot);
    for (uint64_t i = 0; i < rig_count(net.kernel); i++) {
        ck_assert_float_eq(after[i], kernel[i] - 0.5f * gradient[i]);
        ck_assert_float_eq(moment[i], gradient[i]);
    }

    rig_begin(&second, &device);
    second.program.training = 0;
    x = rig_value(&second, TN_ROLE_INPUT, TN_F32, "x", 1, 5, 6, 16, 0);
    y = rig_value(&second, TN_ROLE_OUTPUT, TN_F32, "y", 1, 5, 6, 40, 0);
    rig_share(&second, net.kernel), rig_share(&second, net.bias);
    op = rig_op(&second, TN_OP_CONV2D, 3, 2, x, net.kernel, net.bias, y, NULL);
    op->a.conv = net.options;
    images = rig_fill(&second, x, 6, -1, 1);
    rig_ready(&second);
    rig_run(&second);
    bias = rig_read(&second, net.bias);
    expected = zeros(rig_count(y));
    for (uint64_t i = 0; i < rig_count(y); i++)
        expected[i] = (double)bias[i % 40];
    struct sizes s = sizes_of(&net.options, 1, 5, 6, 16, 40, 3, 3);
    struct arrays arrays = {images, after, NULL, expected, NULL, NULL};
    visit(&net.options, &s, act_forward, &arrays);
    for (uint64_t i = 0; i < rig_count(y); i++)
        expected[i] = expected[i] < 0 ? 0 : expected[i];
    check_value(&second, y, expected, "second program");
    free(after), free(gradient), free(moment), free(bias), free(expected);
    rig_end(&second);
    rig_end(&rig);
}
END_TEST

/* The same program twice gives the same bits, and a write is read back unchanged through any layout. */
START_TEST(equal_bits)
{
    struct conv_case t = {6, 20, 20, 16, 40, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 0, 0};
    float *first[3] = {NULL, NULL, NULL};
    for (int round = 0; round < 2; round++) {
        struct rig rig;
        struct conv_net net;
        const float *kernel;
        float *read;
        rig_begin(&rig, &device);
        build(&rig, &net, &t);
        rig_fill(&rig, net.x, 1, -1, 1), rig_fill(&rig, net.bias, 2, -1, 1), rig_fill(&rig, net.target, 3, -1, 1);
        kernel = rig_fill(&rig, net.kernel, 4, -1, 1);
        rig_ready(&rig);
        read = rig_read(&rig, net.kernel);
        ck_assert_mem_eq(read, kernel, rig_count(net.kernel) * sizeof *read);
        free(read);
        rig_run(&rig);
        struct tn_value *results[] = {net.y, net.dx, net.dkernel};
        for (int i = 0; i < 3; i++) {
            read = rig_read(&rig, results[i]);
            if (round == 0) {
                first[i] = read;
                continue;
            }
            ck_assert_mem_eq(read, first[i], rig_count(results[i]) * sizeof *read);
            free(read), free(first[i]);
        }
        rig_end(&rig);
    }
}
END_TEST

/* What cannot be planned is refused with a sentence, and leaves nothing behind. */
START_TEST(refusals)
{
    struct conv_case t = {1, 4, 4, 2, 3, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0};
    struct rig rig;
    struct conv_net net;
    rig_begin(&rig, &device);
    build(&rig, &net, &t);
    switch (_i) {
    case 0:
        rig.ops[0].kind = 9999;
        break;
    case 1:
        net.y->shape.dims[1] = 7;
        break;
    case 2:
        rig.ops[0].a.conv.groups = 2;
        break;
    case 3:
        rig.ops[0].a.conv.activation.function = TN_TANH;
        break;
    case 4:
        net.kernel->shape.dims[0] = 99;
        break;
    default:
        net.x->shape.dims[0] = 0;
        break;
    }
    ck_assert_int_ne(rig_plan(&rig), TN_OK);
    ck_assert_int_gt((int)strlen(rig.error.text), 10);
    rig_end(&rig);
}
END_TEST

/* ---- the program ---- */

static int threads_wanted = 1, choice_wanted;

static void open_device(void)
{
    device = rig_open("cpu", threads_wanted, "convolution", choice_wanted);
}
static void open_two(void)
{
    threads_wanted = 2;
    open_device();
}
static void open_direct(void)
{
    choice_wanted = 1;
    open_device();
}
static void open_winograd(void)
{
    choice_wanted = 2;
    open_device();
}
static void close_device(void)
{
    rig_close(&device);
}

static TCase *make_case(const char *name, SFun setup)
{
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, setup, close_device);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, convolutions, 0, sizeof cases / sizeof *cases);
    tcase_add_loop_test(tests, pooled_convolutions, 0, sizeof pooled_cases / sizeof *pooled_cases);
    tcase_add_loop_test(tests, dense_layers, 0, sizeof dense_cases / sizeof *dense_cases);
    tcase_add_test(tests, update_and_second_program);
    tcase_add_test(tests, equal_bits);
    return tests;
}

int main(void)
{
    Suite *suite = suite_create("cpu device, convolutions");
    TCase *bad = tcase_create("refusals");
    SRunner *runner;
    int failed;
    tcase_add_checked_fixture(bad, open_device, close_device);
    tcase_add_loop_test(bad, refusals, 0, 6);
    suite_add_tcase(suite, make_case("one thread", open_device));
    suite_add_tcase(suite, make_case("two threads", open_two));
    suite_add_tcase(suite, make_case("direct", open_direct));
    suite_add_tcase(suite, make_case("winograd", open_winograd));
    suite_add_tcase(suite, bad);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
