/* test_golden_trajectory.c: whole training runs against Keras: every loss, the weights at the end, predictions.
 *
 * A case gives the layers' names and weights, not their settings. Kinds follow from the weights and from the first
 * letter of a name (p: pooling, f: flatten, g: global average, r: ReLU); what else is open (padding and strides of the
 * convolutions, the momentum of batch norm) is tried, and the one network that begins with the case's first loss has to
 * follow it to the end.
 *
 * Where a ReLU's input comes within rounding of 0, the run forks, and float32 cannot tell the branches apart: from the
 * weights of bn_sgdm Keras in true float64 and PyTorch in float32 end 3.7e-4 and 4.4e-4 away from Keras in float32,
 * ours with PyTorch's. So a case that leaves the path is run again from weights moved by at most 8 units in the last
 * place: Keras' path is right when one of these runs stays on it to the end, within the same tolerance.
 */
#include <math.h>
#include <stdlib.h>

#include "support/small_network.h"

/* After tenon's headers: it has a macro named fail(). */
#include <check.h>

enum { MOST_NAMES = 32 };

struct names {
    char text[512];
    const char *items[MOST_NAMES];
    size_t count;
};

static bool split(const char *text, struct names *names)
{
    names->count = 0;
    if (!text || strlen(text) >= sizeof names->text)
        return false;
    (void)snprintf(names->text, sizeof names->text, "%s", text);
    for (char *rest, *word = strtok_r(names->text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (names->count == MOST_NAMES)
            return false;
        names->items[names->count++] = word;
    }
    return names->count > 0;
}

static const struct bundle_tensor *weight(const struct bundle_case *item, const char *when, const char *layer,
                                          const char *name)
{
    char role[256];
    (void)snprintf(role, sizeof role, "%s:%s/%s", when, layer, name);
    return bundle_tensor(item, role);
}

/* What the case leaves open: bit i of `valid` is the padding, of `steps` the stride of convolution i. */
struct guess {
    unsigned valid, steps;
    double momentum;
    uint64_t nudge; /* 0 = the weights of the case; else the stream of what moves them */
};

enum { MOST_NUDGES = 32 };
static const double nudge_size = 8 * 0x1p-23; /* relative */

static void add_layer(struct small_network *net, const struct bundle_case *item, const struct names *names, size_t i,
                      const struct guess *guess, unsigned *convolutions)
{
    const char *name = names->items[i], *next = i + 1 < names->count ? names->items[i + 1] : NULL;
    const struct bundle_tensor *kernel = weight(item, "w0", name, "kernel");
    bool bias = weight(item, "w0", name, "bias") != NULL;
    bool linear = !next || weight(item, "w0", next, "moving_mean") != NULL;
    struct golden_options options = {0};
    const char *type = NULL;
    if (kernel && kernel->rank == 4) {
        type = "conv2d";
        golden_option(&options, "filters", "%d", kernel->dims[3]);
        golden_option(&options, "kernel_size", "%dx%d", kernel->dims[0], kernel->dims[1]);
        golden_option(&options, "padding", "%s", guess->valid >> *convolutions & 1 ? "valid" : "same");
        golden_option(&options, "strides", "%d", guess->steps >> *convolutions & 1 ? 2 : 1);
        (*convolutions)++;
    } else if (kernel && kernel->rank == 2) {
        type = "dense";
        golden_option(&options, "units", "%d", kernel->dims[1]);
    } else if (weight(item, "w0", name, "moving_mean")) {
        type = "batch_normalization";
        golden_option(&options, "momentum", "%g", guess->momentum);
    } else {
        type = name[0] == 'p'   ? "max_pooling2d"
               : name[0] == 'f' ? "flatten"
               : name[0] == 'g' ? "global_average_pooling2d"
               : name[0] == 'r' ? "re_lu"
                                : "unknown";
    }
    if (kernel) {
        golden_option(&options, "use_bias", bias ? "yes" : "no");
        golden_option(&options, "activation", linear ? "linear" : "relu");
    }
    small_network_layer(net, name, type, &options, NULL, 0);
}

static void add_training(struct small_network *net, const struct bundle_case *item)
{
    struct golden_options loss = {0}, optimizer = {0};
    const char *name = bundle_set(item, "optimizer");
    golden_option(&loss, "from_logits", "yes");
    for (size_t i = 0; i < item->setting_count; i++)
        if (strncmp(item->settings[i].key, "opt_", 4) == 0)
            golden_option(&optimizer, item->settings[i].key + 4, "%s", item->settings[i].value);
    small_network_train(net, "sparse_categorical_crossentropy", &loss,
                        name && strncmp(name, "sgd", 3) == 0 ? "sgd" : name, &optimizer);
}

/* Puts w0:… into the network; false when a shape does not fit. */
static bool load_weights(struct small_network *net, const struct bundle_case *item, uint64_t nudge)
{
    struct tn_random random = tn_random_stream(1, nudge);
    struct tn_error error = {0};
    for (uint32_t i = 0; i < tn_network_parameter_count(net->network); i++) {
        const struct tn_parameter_info *info = tn_network_parameter(net->network, i);
        const struct bundle_tensor *tensor = weight(item, "w0", info->layer, info->name);
        if (!tensor || tensor->count != tn_shape_elements(&info->shape) || tensor->dims[0] != info->shape.dims[0])
            return false;
        float *floats = bundle_floats(tensor);
        for (uint64_t k = 0; floats && nudge && k < tensor->count; k++)
            floats[k] *= (float)(1 + tn_random_uniform(&random, -nudge_size, nudge_size));
        tn_status status = floats ? tn_network_write(net->network, i, -1, floats, &error) : TN_NO_MEMORY;
        free(floats);
        if (status != TN_OK)
            return false;
    }
    return true;
}

static bool make(struct small_network *net, struct golden_rig *rig, const struct bundle_case *item,
                 const struct guess *guess)
{
    const struct bundle_tensor *images = bundle_tensor(item, "images");
    struct names names;
    unsigned convolutions = 0;
    int32_t batch = (int32_t)bundle_number(item, "batch", 0);
    small_network_begin(net, rig);
    ck_assert(split(bundle_set(item, "layers"), &names));
    for (size_t i = 0; i < names.count; i++)
        add_layer(net, item, &names, i, guess, &convolutions);
    add_training(net, item);
    return small_network_make(net, images->dims[1], images->dims[2], images->dims[3], batch, batch) &&
           load_weights(net, item, guess->nudge);
}

static double allowed(const struct bundle_case *item, const char *key, double least)
{
    double rounding = 20 * bundle_number(item, key, 0);
    return rounding > least ? rounding : least;
}

/* All steps. false: the first loss is another, so that this is not the case's network. */
static bool train(struct golden_case *item, struct small_network *net, float *pixels, float *labels)
{
    const struct bundle_tensor *images = bundle_tensor(item->item, "images"), *loss = bundle_tensor(item->item, "loss");
    int32_t batch = (int32_t)bundle_number(item->item, "batch", 0), groups = images->dims[0] / batch;
    size_t each = (size_t)(images->count / (uint64_t)images->dims[0]);
    double tolerance = allowed(item->item, "f32_f64_loss_max_abs", 1e-4);
    struct tn_error error = {0};
    float *losses = calloc((size_t)batch, sizeof *losses), *means = calloc(loss->count, sizeof *means);
    bool right = losses && means;
    for (uint64_t s = 0; right && s < loss->count; s++) {
        const struct tn_step step = {
            .size = sizeof step, .learning_rate = bundle_number(item->item, "opt_learning_rate", 0), .step = s + 1};
        size_t first = (size_t)(s % (uint64_t)groups) * (size_t)batch;
        double sum = 0;
        if (tn_network_train_step(net->network, batch, pixels + first * each, labels + first, NULL, &step, losses, NULL,
                                  &error) != TN_OK) {
            golden_fail(item, "step %llu: %s", (unsigned long long)s, error.text);
            break;
        }
        for (int32_t i = 0; i < batch; i++)
            sum += (double)losses[i];
        means[s] = (float)(sum / batch);
        right = s > 0 || fabs(sum / batch - bundle_at(loss, 0)) <= tolerance;
    }
    if (right && !golden_decided(item))
        golden_compare(item, "loss", loss, means, tolerance, 0);
    free(losses);
    free(means);
    return right;
}

static void compare_end(struct golden_case *item, struct small_network *net, const float *pixels)
{
    const struct bundle_tensor *infer = bundle_tensor(item->item, "infer");
    int32_t batch = (int32_t)bundle_number(item->item, "batch", 0);
    struct tn_error error = {0};
    char role[512];
    for (uint32_t i = 0; i < tn_network_parameter_count(net->network); i++) {
        const struct tn_parameter_info *info = tn_network_parameter(net->network, i);
        (void)snprintf(role, sizeof role, "w20:%s/%s", info->layer, info->name);
        const struct bundle_tensor *tensor = bundle_tensor(item->item, role);
        float *floats = calloc((size_t)tn_shape_elements(&info->shape), sizeof *floats);
        ck_assert(tensor && floats && tensor->count == tn_shape_elements(&info->shape));
        ck_assert_int_eq(tn_network_read(net->network, i, -1, floats, &error), TN_OK);
        golden_compare(item, role, tensor, floats, allowed(item->item, "f32_f64_weight_max_abs", 5e-4), 0);
        free(floats);
    }
    if (infer && infer->dims[0] == batch) {
        float *logits = calloc(infer->count, sizeof *logits);
        ck_assert_ptr_nonnull(logits);
        ck_assert_int_eq(tn_network_infer(net->network, batch, pixels, NULL, NULL, NULL, logits, &error), TN_OK);
        golden_compare(item, "infer", infer, logits, allowed(item->item, "f32_f64_logit_max_abs", 1e-4), 1e-3);
        free(logits);
    }
}

/* One run of one network. false: it is not the case's. */
static bool attempt(struct golden_case *item, struct golden_rig *rig, const struct guess *guess, float *pixels,
                    float *labels)
{
    struct small_network net;
    bool right = make(&net, rig, item->item, guess) && train(item, &net, pixels, labels);
    if (right)
        compare_end(item, &net, pixels);
    else if (net.reason[0])
        (void)snprintf(item->reason, sizeof item->reason, "%s", net.reason);
    small_network_end(&net);
    return right;
}

/* The network that begins as the case does; when it leaves the case's path, again with its weights moved a little. */
static bool follow(struct golden_case *item, struct golden_rig *rig, struct guess guess, float *pixels, float *labels)
{
    struct golden_case first = *item;
    bool right = attempt(&first, rig, &guess, pixels, labels);
    if (right && golden_decided(&first))
        for (guess.nudge = 1; guess.nudge <= MOST_NUDGES; guess.nudge++) {
            struct golden_case again = *item;
            if (attempt(&again, rig, &guess, pixels, labels) && !golden_decided(&again)) {
                printf("golden train-trajectory: %s: %s; from weights moved by 1e-6 (run %d of %d) it stays\n",
                       item->item->name, first.reason, (int)guess.nudge, (int)MOST_NUDGES);
                first = again;
                break;
            }
        }
    *item = first;
    return right;
}

static unsigned count_convolutions(const struct bundle_case *item)
{
    unsigned convolutions = 0;
    for (size_t i = 0; i < item->tensor_count; i++)
        convolutions += item->tensors[i].rank == 4 && strncmp(item->tensors[i].role, "w0:", 3) == 0;
    return convolutions;
}

/* Tries every network that the case may mean. */
static void search(struct golden_case *item, struct golden_rig *rig, float *pixels, float *labels)
{
    static const double momenta[] = {0.99, 0.9};
    unsigned convolutions = count_convolutions(item->item);
    struct golden_case best = *item;
    bool found = false;
    for (size_t m = 0; m < TN_COUNT_OF(momenta); m++)
        for (unsigned code = 0; code < 1u << 2 * convolutions; code++) {
            const struct guess guess = {code & ((1u << convolutions) - 1), code >> convolutions, momenta[m], 0};
            struct golden_case one = *item;
            if (follow(&one, rig, guess, pixels, labels)) {
                best = one;
                found = true;
                if (!golden_decided(&one)) {
                    *item = one;
                    return;
                }
            } else if (!found) {
                best = one;
            }
        }
    if (found)
        *item = best;
    else
        golden_fail(item, "no network with these layers begins with this loss (%s)", best.reason);
}

static void run_case(struct golden_case *item, void *context)
{
    const struct bundle_tensor *images = bundle_tensor(item->item, "images"),
                               *classes = bundle_tensor(item->item, "labels");
    int32_t batch = (int32_t)bundle_number(item->item, "batch", 0);
    struct names names;
    if (!images || !classes || images->rank != 4 || !bundle_tensor(item->item, "loss") || batch < 1 ||
        images->dims[0] % batch || classes->count != (uint64_t)images->dims[0] ||
        !split(bundle_set(item->item, "layers"), &names) || count_convolutions(item->item) > 4) {
        golden_fail(item, "the case lacks layers, images, labels or losses of a whole number of batches");
        return;
    }
    float *pixels = bundle_floats(images), *labels = bundle_floats(classes);
    ck_assert(pixels && labels);
    for (uint64_t i = 0; i < images->count && images->type == BUNDLE_U8; i++)
        pixels[i] /= 255.0f;
    search(item, context, pixels, labels);
    free(pixels);
    free(labels);
}

START_TEST(training_follows_keras)
{
    struct golden_rig rig;
    golden_rig_open(&rig, true);
    int failed = golden_run("train-trajectory/manifest.txt", "train-trajectory", run_case, &rig);
    golden_rig_close(&rig);
    ck_assert_int_eq(failed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden trajectory");
    TCase *trajectory = tcase_create("trajectory");
    tcase_set_timeout(trajectory, 120);
    tcase_add_test(trajectory, training_follows_keras);
    suite_add_tcase(suite, trajectory);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
