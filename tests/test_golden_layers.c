/* test_golden_layers.c: every layer type against Keras and PyTorch: output, gradients, moving statistics. */
#include <math.h>
#include <stdlib.h>

#include "support/golden.h"
#include "support/layer_case.h"
#include "support/one_layer.h"

/* After tenon's headers: it has a macro named fail(). */
#include <check.h>

/* A case's tensors, as floats. */
struct material {
    struct one_layer job;
    float *inputs[ONE_LAYER_MOST], *parameters[ONE_LAYER_MOST], *dy;
    const char *roles[ONE_LAYER_MOST]; /* of the parameters, as the case calls them */
};

static bool take_shape(const struct bundle_tensor *tensor, struct tn_shape *shape)
{
    *shape = (struct tn_shape){tensor->rank, {0}};
    if (tensor->rank > TN_MAX_RANK || tensor->count == 0)
        return false;
    memcpy(shape->dims, tensor->dims, (size_t)tensor->rank * sizeof shape->dims[0]);
    return true;
}

static const char *our_name(const char *role)
{
    if (strcmp(role, "running_mean") == 0)
        return "moving_mean";
    return strcmp(role, "running_var") == 0 ? "moving_variance" : role;
}

static bool is_parameter(const char *role)
{
    return strcmp(role, "x") != 0 && !(role[0] == 'x' && role[1] >= '0' && role[1] <= '9') && strcmp(role, "y") != 0 &&
           strcmp(role, "dy") != 0 && strncmp(role, "dx", 2) != 0 && strncmp(role, "d_", 2) != 0 &&
           strncmp(role, "new_", 4) != 0 && strcmp(role, "mask") != 0;
}

static const struct bundle_tensor *input_tensor(const struct bundle_case *item, uint32_t index, const char *prefix)
{
    char role[16];
    (void)snprintf(role, sizeof role, "%s%u", prefix, index);
    const struct bundle_tensor *found = bundle_tensor(item, role);
    return found || index ? found : bundle_tensor(item, prefix);
}

/* false: a shape or a number of tensors that the rig does not take. */
static bool take_material(const struct bundle_case *item, struct material *m)
{
    const struct bundle_tensor *tensor;
    for (uint32_t i = 0; (tensor = input_tensor(item, i, "x")); i++) {
        if (i == ONE_LAYER_MOST || !take_shape(tensor, &m->job.inputs[i].shape))
            return false;
        m->job.inputs[i].data = m->inputs[i] = bundle_floats(tensor);
        m->job.input_count = i + 1;
    }
    for (size_t i = 0; i < item->tensor_count; i++) {
        uint32_t at = m->job.parameter_count;
        tensor = &item->tensors[i];
        if (!is_parameter(tensor->role))
            continue;
        if (at == ONE_LAYER_MOST || !take_shape(tensor, &m->job.parameters[at].shape))
            return false;
        m->job.parameters[at].name = our_name(tensor->role);
        m->job.parameters[at].data = m->parameters[at] = bundle_floats(tensor);
        m->roles[at] = tensor->role;
        m->job.parameter_count++;
    }
    tensor = bundle_tensor(item, "dy");
    m->job.dy = m->dy = tensor ? bundle_floats(tensor) : NULL;
    return m->job.input_count > 0 && m->job.inputs[0].shape.rank > 1;
}

static void release_material(struct material *m)
{
    for (uint32_t i = 0; i < ONE_LAYER_MOST; i++) {
        free(m->inputs[i]);
        free(m->parameters[i]);
    }
    free(m->dy);
}

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static bool same_shape(const struct bundle_tensor *tensor, const struct tn_shape *shape)
{
    return tensor->rank == shape->rank &&
           memcmp(tensor->dims, shape->dims, (size_t)shape->rank * sizeof shape->dims[0]) == 0;
}

/* Where branches of a function meet, Keras and PyTorch choose different derivatives (selu at 0, hard_tanh at 1); ours
 * are Keras'. Such points are whole numbers, and PyTorch's choice for them is left out. */
static void forgive_branch_points(const struct bundle_case *item, const struct bundle_tensor *dx, float *got)
{
    const struct bundle_tensor *x = bundle_tensor(item, "x");
    const char *source = bundle_set(item, "source");
    if (!source || strcmp(source, "torch") != 0 || !bundle_set(item, "fn_name") || !x || x->count != dx->count)
        return;
    for (uint64_t i = 0; i < x->count; i++)
        if (bundle_at(x, i) == rint(bundle_at(x, i)))
            got[i] = (float)bundle_at(dx, i);
}

/* Tolerances of the README: 1e-5 + 1e-4 of the largest; what only moves numbers is exact. */
static void compare_all(struct golden_case *item, const struct material *m, const struct one_layer_result *result,
                        const char *type)
{
    static const char *const moves[] = {"concatenate", "flatten", "reshape", NULL};
    static const char *const picks[] = {"max_pooling2d", "global_max_pooling2d", "maximum", "minimum", NULL};
    bool exact_back = is_one_of(type, moves), exact = exact_back || is_one_of(type, picks);
    const struct bundle_tensor *y = bundle_tensor(item->item, "y"), *tensor;
    char role[128];
    if (!y || !same_shape(y, &result->y_shape)) {
        golden_fail(item, "the output has another shape");
        return;
    }
    golden_compare(item, "y", y, result->y, exact ? 0 : 1e-5, exact ? 0 : 1e-4);
    for (uint32_t i = 0; i < m->job.input_count && m->dy; i++)
        if ((tensor = input_tensor(item->item, i, "dx")) && same_shape(tensor, &m->job.inputs[i].shape)) {
            if (result->dx[i])
                forgive_branch_points(item->item, tensor, result->dx[i]);
            if (result->dx[i])
                golden_compare(item, tensor->role, tensor, result->dx[i], exact_back ? 0 : 1e-5, exact_back ? 0 : 1e-4);
            else
                golden_fail(item, "%s was not derived", tensor->role);
        }
    for (uint32_t i = 0; i < m->job.parameter_count; i++) {
        if (!result->used[i])
            golden_fail(item, "the layer does not use %s", m->roles[i]);
        (void)snprintf(role, sizeof role, "d_%s", m->roles[i]);
        tensor = m->dy ? bundle_tensor(item->item, role) : NULL;
        if (tensor && result->d_parameter[i])
            golden_compare(item, role, tensor, result->d_parameter[i], 1e-5, 1e-4);
        else if (tensor)
            golden_fail(item, "%s was not derived", role);
        (void)snprintf(role, sizeof role, "new_%s", m->roles[i]);
        if ((tensor = bundle_tensor(item->item, role)) && result->after[i])
            golden_compare(item, role, tensor, result->after[i], 1e-5, 1e-4);
    }
}

static void run_once(struct golden_case *item, struct material *m, const char *type)
{
    struct one_layer_result result;
    struct tn_error error = {0};
    if (one_layer_run(&m->job, &result, &error) == TN_OK)
        compare_all(item, m, &result, type);
    else
        golden_fail(item, "%s", error.text);
    one_layer_release(&result);
}

/* Training with gradients, with and without fusion; and the inference program where it is the same function. */
static void run_layer(struct golden_rig *rig, struct golden_case *item, struct layer_case *layer)
{
    struct golden_instance made;
    struct material m = {0};
    bool statistics = bundle_set(item->item, "training") != NULL;
    if (!golden_instance_open(rig, TN_LAYER, layer->type, &layer->options, &made)) {
        golden_fail(item, "%s", made.reason);
    } else if (!take_material(item->item, &m)) {
        golden_uncovered(item, "tensors that no layer takes");
    } else {
        const float *dy = m.job.dy;
        m.job.device = rig->device;
        m.job.layer = made.instance;
        m.job.training = bundle_number(item->item, "training", 1) != 0;
        for (int fuse = 0; fuse < 2 && !golden_decided(item); fuse++) {
            m.job.fuse = fuse != 0;
            m.job.dy = dy;
            run_once(item, &m, layer->type);
            if (statistics && m.job.training)
                continue;
            m.job.dy = m.dy = NULL;
            m.job.training = false;
            run_once(item, &m, layer->type);
            m.dy = (float *)(uintptr_t)dy;
            m.job.training = bundle_number(item->item, "training", 1) != 0;
        }
    }
    release_material(&m);
    golden_instance_close(&made);
}

/* Whether our dropout kept element i is known only where x is not zero; there its output is compared with the fixture's
 * in every run whose mask agrees. Over many seeds each element is seen kept and dropped. */
static void run_dropout(struct golden_rig *rig, struct golden_case *item)
{
    enum { SEEDS = 64 };
    const struct bundle_tensor *mask = bundle_tensor(item->item, "mask"), *x = bundle_tensor(item->item, "x");
    const struct bundle_tensor *y = bundle_tensor(item->item, "y"), *dx = bundle_tensor(item->item, "dx");
    struct golden_instance made;
    struct golden_options options = {0};
    struct material m = {0};
    float *got_y = NULL, *got_dx = NULL;
    if (!y || !dx || mask->rank != x->rank || mask->count != x->count) {
        golden_uncovered(item, "no layer drops whole channels");
        return;
    }
    golden_option(&options, "rate", "%.17g", bundle_number(item->item, "rate", 0.5));
    if (golden_instance_open(rig, TN_LAYER, "dropout", &options, &made) && take_material(item->item, &m)) {
        m.job.device = rig->device;
        m.job.layer = made.instance;
        m.job.training = true;
        got_y = malloc(y->count * sizeof *got_y);
        got_dx = malloc(y->count * sizeof *got_dx);
        for (uint64_t i = 0; i < y->count; i++)
            got_y[i] = got_dx[i] = NAN;
        for (uint64_t seed = 1; seed <= SEEDS && !golden_decided(item); seed++) {
            struct one_layer_result result;
            struct tn_error error = {0};
            m.job.seed = seed;
            if (one_layer_run(&m.job, &result, &error) != TN_OK)
                golden_fail(item, "%s", error.text);
            for (uint64_t i = 0; i < y->count && !golden_decided(item); i++)
                if ((result.y[i] != 0) == (bundle_at(mask, i) != 0)) {
                    got_y[i] = result.y[i];
                    got_dx[i] = result.dx[0][i];
                }
            one_layer_release(&result);
        }
        golden_compare(item, "y", y, got_y, 1e-5, 1e-4);
        golden_compare(item, "dx", dx, got_dx, 1e-5, 1e-4);
    } else {
        golden_fail(item, "%s", made.reason[0] ? made.reason : "tensors that dropout does not take");
    }
    free(got_y);
    free(got_dx);
    release_material(&m);
    golden_instance_close(&made);
}

static void run_case(struct golden_case *item, void *context)
{
    struct layer_case layer;
    if (bundle_tensor(item->item, "mask") && bundle_tensor(item->item, "x") && bundle_value(item->item, "rate")) {
        run_dropout(context, item);
        return;
    }
    layer_case_translate(context, item, &layer);
    if (layer.type)
        run_layer(context, item, &layer);
}

START_TEST(layers_are_those_of_keras_and_pytorch)
{
    static const char *const names[] = {"conv",       "norm",       "pool",       "act",       "misc",
                                        "torch_conv", "torch_norm", "torch_pool", "torch_act", "torch_resize"};
    const char *name = names[_i];
    char relative[64], group[64];
    struct golden_rig rig;
    (void)snprintf(relative, sizeof relative, "layers/%s.txt", name);
    (void)snprintf(group, sizeof group, "layers/%s", name);
    golden_rig_open(&rig, true);
    int failed = golden_run(relative, group, run_case, &rig);
    golden_rig_close(&rig);
    ck_assert_int_eq(failed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden layers");
    TCase *layers = tcase_create("layers");
    tcase_set_timeout(layers, 120);
    tcase_add_loop_test(layers, layers_are_those_of_keras_and_pytorch, 0, 10);
    suite_add_tcase(suite, layers);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
