/* test_gradient.c: every op's derivative against finite differences, through real networks on the CPU device; with and
 * without fusion, in branches, and for the smaller last batch. */
#include "network_rig.h"

#define IMAGE 7, 9
enum { HEIGHT = 7, WIDTH = 9, CHANNELS = 3, PIXELS = HEIGHT * WIDTH * CHANNELS, BATCH = 3 };

/* Layers in front of a flatten; `kinks` ones may differ at a few points. */
static const struct {
    const char *name, *ini;
    bool kinks;
} nets[] = {
    {"conv2d", "[layer:a]\ntype=conv2d\nfilters=5\nkernel_size=3\n", false},
    {"conv2d same, strides, no bias",
     "[layer:a]\ntype=conv2d\nfilters=4\nkernel_size=3\nstrides=2\npadding=same\nuse_bias=no\n", false},
    {"conv2d dilated", "[layer:a]\ntype=conv2d\nfilters=2\nkernel_size=2x3\ndilation_rate=2\n", false},
    {"conv2d groups", "[layer:a]\ntype=conv2d\nfilters=6\nkernel_size=3\ngroups=3\n", false},
    {"depthwise", "[layer:a]\ntype=depthwise_conv2d\nkernel_size=3\ndepth_multiplier=2\npadding=same\n", false},
    {"depthwise of 16 channels",
     "[layer:c]\ntype=conv2d\nfilters=16\nkernel_size=1\n[layer:a]\ntype=depthwise_conv2d\nkernel_size=3\nstrides=2\n",
     false},
    {"separable", "[layer:a]\ntype=separable_conv2d\nfilters=5\nkernel_size=3\n", false},
    {"conv2d 1x1 of 16 channels",
     "[layer:a]\ntype=conv2d\nfilters=16\nkernel_size=1\n[layer:b]\ntype=conv2d\nfilters=17\nkernel_size=3\n", false},
    {"conv2d relu", "[layer:a]\ntype=conv2d\nfilters=5\nkernel_size=3\nactivation=relu\n", true},
    {"conv2d relu pool",
     "[layer:a]\ntype=conv2d\nfilters=5\nkernel_size=3\nactivation=relu\n[layer:p]\ntype=max_pooling2d\n", true},
    {"conv2d pool", "[layer:a]\ntype=conv2d\nfilters=16\nkernel_size=2\n[layer:p]\ntype=max_pooling2d\n", true},
    {"dense", "[layer:f]\ntype=flatten\n[layer:a]\ntype=dense\nunits=7\n", false},
    {"dense on pixels", "[layer:a]\ntype=dense\nunits=4\n", false},
    {"dense relu chain",
     "[layer:f]\ntype=flatten\n[layer:a]\ntype=dense\nunits=9\nactivation=relu\n[layer:b]\ntype=dense\nunits=4\nuse_"
     "bias=no\n",
     true},
    {"max pooling, overlapping", "[layer:a]\ntype=max_pooling2d\npool_size=3\nstrides=2\npadding=same\n", true},
    {"average pooling", "[layer:a]\ntype=average_pooling2d\npool_size=3\nstrides=2\npadding=same\n", false},
    {"global average", "[layer:a]\ntype=global_average_pooling2d\n", false},
    {"global max", "[layer:a]\ntype=global_max_pooling2d\n", true},
    {"batch norm", "[layer:c]\ntype=conv2d\nfilters=5\nkernel_size=3\n[layer:a]\ntype=batch_normalization\n", false},
    {"batch norm relu",
     "[layer:c]\ntype=conv2d\nfilters=16\nkernel_size=3\nuse_bias=no\n[layer:a]\ntype=batch_normalization\n[layer:r]"
     "\ntype=activation\nactivation=relu\n",
     true},
    {"batch norm bare", "[layer:a]\ntype=batch_normalization\ncenter=no\nscale=no\n", false},
    {"batch norm of rows",
     "[layer:f]\ntype=flatten\n[layer:d]\ntype=dense\nunits=5\n[layer:a]\ntype=batch_normalization\n", false},
    {"relu6", "[layer:a]\ntype=activation\nactivation=relu6\n", true},
    {"leaky", "[layer:a]\ntype=leaky_re_lu\n", true},
    {"elu", "[layer:a]\ntype=elu\n", false},
    {"selu", "[layer:a]\ntype=activation\nactivation=selu\n", true},
    {"sigmoid", "[layer:a]\ntype=activation\nactivation=sigmoid\n", false},
    {"tanh", "[layer:a]\ntype=activation\nactivation=tanh\n", false},
    {"softplus", "[layer:a]\ntype=activation\nactivation=softplus\n", false},
    {"softsign", "[layer:a]\ntype=activation\nactivation=softsign\n", false},
    {"exponential", "[layer:a]\ntype=activation\nactivation=exponential\n", false},
    {"gelu", "[layer:a]\ntype=activation\nactivation=gelu\n", false},
    {"gelu_tanh", "[layer:a]\ntype=activation\nactivation=gelu_tanh\n", false},
    {"silu after blocked conv",
     "[layer:c]\ntype=conv2d\nfilters=17\nkernel_size=3\n[layer:a]\ntype=activation\nactivation=silu\n", false},
    {"sigmoid after blocked conv",
     "[layer:c]\ntype=conv2d\nfilters=17\nkernel_size=3\n[layer:a]\ntype=activation\nactivation=sigmoid\n[layer:d]"
     "\ntype=conv2d\nfilters=3\nkernel_size=1\n",
     false},
    {"hard_sigmoid", "[layer:a]\ntype=activation\nactivation=hard_sigmoid\n", true},
    {"hard_silu", "[layer:a]\ntype=activation\nactivation=hard_silu\n", true},
    {"mish", "[layer:a]\ntype=activation\nactivation=mish\n", false},
    {"celu", "[layer:a]\ntype=activation\nactivation=celu\n", false},
    {"log_sigmoid", "[layer:a]\ntype=activation\nactivation=log_sigmoid\n", false},
    {"hard_tanh", "[layer:a]\ntype=activation\nactivation=hard_tanh\n", true},
    {"softmax", "[layer:a]\ntype=softmax\n", false},
    {"log_softmax", "[layer:a]\ntype=activation\nactivation=log_softmax\n", false},
    {"rescaling", "[layer:a]\ntype=rescaling\nscale=0.5\noffset=1\n", false},
    {"dropout", "[layer:a]\ntype=dropout\nrate=0.4\n", false},
    {"residual add",
     "[layer:a]\ntype=conv2d\nfilters=3\nkernel_size=3\npadding=same\n[layer:s]\ntype=add\ninputs=a, input\n", false},
    {"add, stretched", "[layer:a]\ntype=conv2d\nfilters=1\nkernel_size=1\n[layer:s]\ntype=add\ninputs=a, input\n",
     false},
    {"squeeze and excite",
     "[layer:c]\ntype=conv2d\nfilters=4\nkernel_size=1\n[layer:g]\ntype=global_average_pooling2d\nkeepdims=yes\n[layer:"
     "e]\ntype=dense\nunits=4\nactivation=sigmoid\n[layer:m]\ntype=multiply\ninputs=c, e\n",
     false},
    {"subtract", "[layer:a]\ntype=conv2d\nfilters=3\nkernel_size=1\n[layer:s]\ntype=subtract\ninputs=input, a\n",
     false},
    {"maximum", "[layer:a]\ntype=conv2d\nfilters=3\nkernel_size=1\n[layer:s]\ntype=maximum\ninputs=input, a\n", true},
    {"minimum", "[layer:a]\ntype=conv2d\nfilters=3\nkernel_size=1\n[layer:s]\ntype=minimum\ninputs=input, a\n", true},
    {"concatenate channels",
     "[layer:a]\ntype=conv2d\nfilters=5\nkernel_size=1\n[layer:b]\ntype=conv2d\ninputs=input\nfilters=2\nkernel_size="
     "1\n[layer:s]\ntype=concatenate\ninputs=a, input, b\n[layer:d]\ntype=conv2d\nfilters=2\nkernel_size=3\n",
     false},
    {"concatenate rows",
     "[layer:a]\ntype=conv2d\nfilters=3\nkernel_size=1\n[layer:s]\ntype=concatenate\naxis=1\ninputs=a, input\n", false},
    {"reshape",
     "[layer:a]\ntype=conv2d\nfilters=4\nkernel_size=1\n[layer:r]\ntype=reshape\ntarget_shape=9, 7, "
     "4\n[layer:b]\ntype=conv2d\nfilters=2\nkernel_size=3\n",
     false},
    {"one value read three times",
     "[layer:a]\ntype=conv2d\nfilters=3\nkernel_size=1\n[layer:s]\ntype=add\ninputs=a, a, "
     "input\n[layer:m]\ntype=multiply\ninputs=s, a\n",
     false},
};

static const struct tn_step step = {.size = sizeof step, .step = 1, .seed = 5};

static double mean_loss(struct rig *rig, int32_t batch, const float *images)
{
    float losses[BATCH], targets[BATCH] = {0};
    struct tn_error error = {0};
    double sum = 0;
    ck_assert_msg(tn_network_train_step(rig->network, batch, images, targets, NULL, &step, losses, NULL, &error) ==
                      TN_OK,
                  "%s", error.text);
    for (int32_t i = 0; i < batch; i++)
        sum += losses[i];
    return sum / batch;
}

/* Where moving statistics are written by a step nothing else changes, so that a step can be repeated. */
static void compare(struct rig *rig, const char *name, const char *what, int32_t batch, float *images, float *changed,
                    uint32_t parameter, const float *gradient, size_t count, bool kinks)
{
    double largest = 1e-2;
    size_t bad = 0, tried = 0;
    double worst = 0;
    for (size_t i = 0; i < count; i++)
        largest = fabs(gradient[i]) > largest ? fabs(gradient[i]) : largest;
    for (size_t i = 0; i < count; i += 1 + count / 40, tried++) {
        const double h = kinks ? 1e-3 : 4e-3; /* a small step crosses few kinks */
        float old = changed[i];
        double up, down, difference;
        changed[i] = (float)(old + h);
        if (parameter != UINT32_MAX)
            ck_assert_int_eq(tn_network_write(rig->network, parameter, -1, changed, NULL), TN_OK);
        up = mean_loss(rig, batch, images);
        changed[i] = (float)(old - h);
        if (parameter != UINT32_MAX)
            ck_assert_int_eq(tn_network_write(rig->network, parameter, -1, changed, NULL), TN_OK);
        down = mean_loss(rig, batch, images);
        changed[i] = old;
        if (parameter != UINT32_MAX)
            ck_assert_int_eq(tn_network_write(rig->network, parameter, -1, changed, NULL), TN_OK);
        difference = (up - down) / (2 * h);
        worst = fabs(difference - gradient[i]) / largest > worst ? fabs(difference - gradient[i]) / largest : worst;
        bad += fabs(difference - gradient[i]) > 0.01 * largest;
    }
    ck_assert_msg(bad <= (kinks ? tried / 6 + 1 : 0),
                  "%s (batch %d, fuse %d): derivative by %s: %zu of %zu points differ, worst %.3g of the largest %.3g",
                  name, batch, rig->spec.fuse, what, bad, tried, worst, largest);
}

static void check_net(size_t index, int32_t fuse, int32_t batch)
{
    struct rig rig;
    char ini[2048];
    float images[BATCH * PIXELS], targets[BATCH] = {0}, *gradient = calloc(1 << 16, sizeof *gradient),
                                  *values = calloc(1 << 16, sizeof *values);
    struct tn_error error = {0};
    (void)snprintf(ini, sizeof ini, "%s[layer:end]\ntype=flatten\n", nets[index].ini);
    rig_open(&rig, ini, (struct tn_size){IMAGE}, CHANNELS);
    ck_assert_msg(rig.network != NULL, "%s: %s", nets[index].name,
                  rig.problems.count ? rig.problems.items[0].text : "?");
    tn_network_destroy(&rig.network);
    rig.spec.fuse = fuse;
    ck_assert_int_eq(tn_network_create(&rig.spec, &rig.network, &rig.problems), TN_OK);
    rig_allocate(&rig, BATCH, 2, 0);
    rig_random(images, BATCH * PIXELS, 17);
    ck_assert_msg(tn_network_input_gradient(rig.network, batch, images, targets, &step, gradient, &error) == TN_OK,
                  "%s: %s", nets[index].name, error.text);
    compare(&rig, nets[index].name, "the images", batch, images, images, UINT32_MAX, gradient, (size_t)batch * PIXELS,
            nets[index].kinks);
    for (uint32_t p = 0; p < tn_network_parameter_count(rig.network); p++) {
        const struct tn_parameter_info *info = tn_network_parameter(rig.network, p);
        size_t count = (size_t)tn_shape_elements(&info->shape);
        if (!info->trained)
            continue;
        ck_assert_uint_lt(count, 1 << 16);
        ck_assert_int_eq(tn_network_read(rig.network, p, -1, values, &error), TN_OK);
        ck_assert_msg(tn_network_gradient(rig.network, batch, images, targets, &step, p, gradient, &error) == TN_OK,
                      "%s: %s", nets[index].name, error.text);
        compare(&rig, nets[index].name, info->name, batch, images, values, p, gradient, count, nets[index].kinks);
    }
    free(gradient);
    free(values);
    rig_close(&rig);
}

START_TEST(fused)
{
    check_net((size_t)_i, 1, BATCH);
}
END_TEST

START_TEST(not_fused)
{
    check_net((size_t)_i, 0, BATCH);
}
END_TEST

START_TEST(smaller_last_batch)
{
    check_net((size_t)_i, 1, 2);
}
END_TEST

/* What a callback reads of a step, in which weights were updated, are the gradients that it used. */
static void compare_kept(struct rig *rig, const char *name, int32_t batch, const float *images,
                         const struct tn_weights *kept)
{
    float targets[BATCH] = {0}, *gradient = calloc(1 << 16, sizeof *gradient);
    struct tn_error error = {0};
    uint32_t parameter = 0, found = 0;
    for (uint32_t l = 0; l < kept->layer_count; l++)
        for (uint32_t i = 0; i < kept->layers[l].weight_count; i++, parameter++) {
            const struct tn_weight *weight = &kept->layers[l].weights[i];
            size_t count = (size_t)tn_shape_elements(&weight->shape);
            double largest = 1e-3, worst = 0;
            ck_assert_msg((weight->data != NULL) == (weight->trained != 0), "%s: %s", name, weight->name);
            if (!weight->data)
                continue;
            found++;
            ck_assert_int_eq(
                tn_network_gradient(rig->network, batch, images, targets, &step, parameter, gradient, &error), TN_OK);
            for (size_t k = 0; k < count; k++) {
                largest = fmax(largest, fabs(gradient[k]));
                worst = fmax(worst, fabs(gradient[k] - weight->data[k]));
            }
            ck_assert_msg(worst <= 1e-5 * largest, "%s: %s: off by %g of %g", name, weight->name, worst, largest);
        }
    for (uint32_t p = 0; p < tn_network_parameter_count(rig->network); p++)
        found -= tn_network_parameter(rig->network, p)->trained != 0;
    ck_assert_msg(found == 0, "%s: %u gradients too many", name, found);
    free(gradient);
}

START_TEST(kept_to_the_end_of_a_step)
{
    struct tn_plan_request request = {.train = BATCH, .train_tail = 2, .infer = BATCH, .keep_gradients = 1};
    struct rig rig;
    char ini[2048];
    float images[BATCH * PIXELS];
    struct tn_weights *kept = NULL;
    struct tn_error error = {0};
    uint64_t bytes;
    (void)snprintf(ini, sizeof ini, "%s[layer:end]\ntype=flatten\n", nets[_i].ini);
    rig_open(&rig, ini, (struct tn_size){IMAGE}, CHANNELS);
    rig_request(&rig, &request);
    bytes = tn_network_report(rig.network)->step_arena_bytes;
    ck_assert_int_eq(tn_network_weights_open(rig.network, 0, &kept, &error), TN_OK);
    ck_assert_int_eq(tn_network_gradients_fill(rig.network, kept, &error), TN_FAILED);
    rig_random(images, BATCH * PIXELS, 17);
    for (int32_t batch = BATCH; batch >= 2; batch -= BATCH - 2) {
        (void)mean_loss(&rig, batch, images);
        ck_assert_msg(tn_network_gradients_fill(rig.network, kept, &error) == TN_OK, "%s", error.text);
        compare_kept(&rig, nets[_i].name, batch, images, kept);
    }
    ck_assert_int_eq(tn_network_infer(rig.network, BATCH, images, NULL, NULL, NULL, NULL, &error), TN_OK);
    ck_assert_int_eq(tn_network_gradients_fill(rig.network, kept, &error), TN_FAILED); /* their place is taken */
    tn_network_weights_close(&kept);
    tn_network_destroy(&rig.network);
    ck_assert_int_eq(tn_network_create(&rig.spec, &rig.network, &rig.problems), TN_OK);
    request.keep_gradients = 0;
    rig_request(&rig, &request);
    ck_assert_uint_le(tn_network_report(rig.network)->step_arena_bytes, bytes);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gradient");
    TCase *tcase = tcase_create("gradient");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, fused, 0, (int)TN_COUNT_OF(nets));
    tcase_add_loop_test(tcase, not_fused, 0, (int)TN_COUNT_OF(nets));
    tcase_add_loop_test(tcase, smaller_last_batch, 0, (int)TN_COUNT_OF(nets));
    tcase_add_loop_test(tcase, kept_to_the_end_of_a_step, 0, (int)TN_COUNT_OF(nets));
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
