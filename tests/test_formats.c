/* test_formats.c: .weights.h5, .keras and .safetensors hold a training: what is written is read back with the
 * optimizer's state, training goes on from it as if nothing had been, what does not fit is said, and no damage does
 * harm. (Hostile files made by hand: test_safetensors_doubt.c, test_keras_doubt.c. What Keras and safetensors make of
 * ours: check_keras_formats.py.)
 */
#include <stdlib.h>

#include "support/small_network.h"
#include "support/weight_model.h"

#include <check.h> /* after ours: it has a macro `fail` */

static const char *const names[] = {"weights_h5", "keras", "safetensors"};

/* ---- round trips ---- */

/* One, two and three slots: SGD with momentum, Adam, and with amsgrad. */
START_TEST(weights_and_state_come_back)
{
    const char *name = names[_i % 3];
    int32_t slots = 1 + _i / 3;
    struct model written, read;
    struct tn_error error;
    struct bytes first, second;
    char notes[512];
    model_small(&written);
    model_small(&read);
    model_add_slots(&written, slots);
    model_add_slots(&read, slots);
    model_wipe(&read);
    read.weights.iterations = 0;
    read.weights.learning_rate = 0;
    first = encode(name, &written, 0);
    second = encode(name, &written, 0);
    ck_assert_uint_eq(first.count, second.count);
    ck_assert_mem_eq(first.data, second.data, first.count);
    ck_assert_msg(decode_as(name, first.data, first.count, &read, notes, &error) == TN_OK, "%s", error.text);
    ck_assert_str_eq(notes, "");
    ck_assert(same_weights(&written, &read));
    ck_assert(same_slots(&written, &read));
    tn_host_table()->release(first.data);
    tn_host_table()->release(second.data);
    model_clear(&written);
    model_clear(&read);
}
END_TEST

/* Who asks for the state and does not get it is told; the weights are read all the same, and nothing of a state. */
static void no_state(const char *name, const struct model *written, struct model *read, uint32_t flags,
                     const char *part)
{
    struct bytes bytes = encode(name, written, flags);
    struct tn_error error;
    char notes[512];
    model_wipe(read);
    read->weights.iterations = 7;
    ck_assert_msg(decode_as(name, bytes.data, bytes.count, read, notes, &error) == TN_OK, "%s", error.text);
    ck_assert_msg(strstr(notes, part) != NULL, "%s: wanted \"%s\", got \"%s\"", name, part, notes);
    ck_assert(same_weights(written, read));
    ck_assert_uint_eq(read->weights.iterations, 7);
    for (int32_t slot = 0; slot < read->items[0][0].slot_count; slot++)
        ck_assert_float_eq(read->items[0][0].slots[slot][0], 0);
    tn_host_table()->release(bytes.data);
}

START_TEST(a_state_that_is_not_there_is_said)
{
    const char *name = names[_i];
    struct model one, two, none;
    struct tn_error error;
    struct bytes bytes;
    char notes[512];
    model_small(&one);
    model_small(&two);
    model_small(&none);
    model_add_slots(&one, 1);
    model_add_slots(&two, 2);
    no_state(name, &two, &two, TN_FORMAT_WEIGHTS_ONLY, "no optimizer state");
    no_state(name, &one, &two, 0, "another optimizer");
    no_state(name, &two, &one, 0, "another optimizer");
    /* who does not ask is not told */
    bytes = encode(name, &two, 0);
    ck_assert_int_eq(decode_as(name, bytes.data, bytes.count, &none, notes, &error), TN_OK);
    ck_assert_str_eq(notes, "");
    tn_host_table()->release(bytes.data);
    model_clear(&one);
    model_clear(&two);
    model_clear(&none);
}
END_TEST

/* ---- what does not fit ---- */

static void refused(const char *name, const struct model *written, struct model *read, const char *part)
{
    struct bytes bytes = encode(name, written, 0);
    struct tn_error error;
    char notes[512];
    float before = read->items[0][0].data[0];
    ck_assert_int_eq(decode_as(name, bytes.data, bytes.count, read, notes, &error), TN_INVALID);
    ck_assert_msg(strstr(error.text, part) != NULL, "%s: wanted \"%s\", got \"%s\"", name, part, error.text);
    ck_assert_float_eq(read->items[0][0].data[0], before);
    tn_host_table()->release(bytes.data);
}

START_TEST(what_does_not_fit_is_said)
{
    static const char *const turned[] = {"dog", "cat", "h\303\274hner"};
    static const char *const other[] = {"ox", "c\\w", "y\"k"};
    const char *name = names[_i];
    bool tensors = strcmp(name, "safetensors") == 0;
    struct model written, read;
    struct tn_error error;
    struct bytes bytes;
    char notes[512];
    model_small(&written);
    model_small(&read);
    read.items[0][0].data[0] = 42;
    read.items[3][0].shape.dims[1] = 2; /* smaller than its buffer */
    refused(name, &written, &read, "is 4x3 in the file and 4x2 in the network");
    read.items[3][0].shape.dims[1] = 3;
    written.weights.layer_count = 3;
    refused(name, &written, &read, tensors ? "no tensor \"out/kernel\"" : "no group dense/vars");
    written.weights.layer_count = 4;
    written.layers[1].weight_count = 3;
    refused(name, &written, &read, tensors ? "no tensor \"norm/moving_variance\"" : "has 3");
    written.layers[1].weight_count = 4;
    if (tensors) {
        read.weights.layer_count = 3;
        refused(name, &written, &read, "a tensor \"out/bias\" for which the network has no weight");
        read.weights.layer_count = 4;
    }
    read.weights.classes = turned;
    refused(name, &written, &read, "another order");
    read.weights.classes = other;
    bytes = encode(name, &written, 0);
    ck_assert_int_eq(decode_as(name, bytes.data, bytes.count, &read, notes, &error), TN_OK);
    ck_assert_msg(strstr(notes, "other classes (\"cat\"") != NULL, "%s", notes);
    tn_host_table()->release(bytes.data);
    model_clear(&written);
    model_clear(&read);
}
END_TEST

/* A layer that Keras has no words for. */
START_TEST(keras_needs_words)
{
    struct model model;
    struct tn_error error = {.status = TN_OK};
    void *data = NULL;
    uint64_t count = 0;
    model_small(&model);
    model.layers[1].keras_class = model.layers[1].keras_config = NULL;
    ck_assert_int_eq(format("keras")->encode(NULL, tn_host_table(), &model.weights, 0, &data, &count, &error),
                     TN_UNSUPPORTED);
    ck_assert_msg(strstr(error.text, "layer \"norm\"") != NULL, "%s", error.text);
    ck_assert_ptr_null(data);
    model_clear(&model);
}
END_TEST

/* ---- damage ---- */

START_TEST(damage_is_an_error_or_harmless)
{
    const char *name = names[_i];
    struct model written, read;
    struct tn_error error;
    char notes[512];
    struct tn_random random = tn_random_stream(17, 4);
    model_small(&written);
    model_small(&read);
    model_add_slots(&written, 2);
    model_add_slots(&read, 2);
    struct bytes bytes = encode(name, &written, 0);
    bool slow = strcmp(name, "safetensors") != 0; /* those are read in a child process */
    uint64_t rounds = slow ? 300 : bytes.count;
    uint8_t *copy = malloc((size_t)bytes.count);
    ck_assert_ptr_nonnull(copy);
    for (uint64_t i = 0; i < rounds; i++) { /* cut: for safetensors, and the ends of archives, at each place */
        uint64_t length = !slow ? i : i < 100 ? bytes.count - 1 - i : tn_random_below(&random, bytes.count);
        memcpy(copy, bytes.data, (size_t)length);
        ck_assert_msg(decode_as(name, copy, length, &read, notes, &error) != TN_OK, "%llu of %llu bytes are accepted",
                      (unsigned long long)length, (unsigned long long)bytes.count);
        ck_assert(error.text[0] && strlen(error.text) < sizeof error.text);
    }
    for (uint64_t i = 0; i < rounds; i++) { /* one byte is another one */
        uint64_t place = slow ? tn_random_below(&random, bytes.count) : i;
        memcpy(copy, bytes.data, (size_t)bytes.count);
        copy[place] ^= (uint8_t)(1 + tn_random_below(&random, 255));
        tn_status status = decode_as(name, copy, bytes.count, &read, notes, &error);
        ck_assert(status == TN_OK || error.text[0]);
        if (!slow) /* the CRC is of everything */
            ck_assert_msg(status != TN_OK, "byte %llu is not missed", (unsigned long long)place);
        else if (strcmp(name, "keras") == 0 && status == TN_OK) /* in what says nothing of the weights */
            ck_assert(same_weights(&written, &read) && same_slots(&written, &read));
    }
    free(copy);
    tn_host_table()->release(bytes.data);
    model_clear(&written);
    model_clear(&read);
}
END_TEST

/* ---- listing ---- */

struct listed {
    unsigned weights, state, others;
    uint64_t bytes;
};

static void count_array(void *context, const struct tn_array_info *array)
{
    struct listed *listed = context;
    listed->weights += array->role == TN_ARRAY_WEIGHT;
    listed->state += array->role == TN_ARRAY_OPTIMIZER;
    listed->others += array->role == TN_ARRAY_OTHER;
    listed->bytes += array->bytes;
    ck_assert(array->name[0] && array->type_name[0]);
}

START_TEST(files_are_listed)
{
    const char *name = names[_i];
    struct model model;
    struct listed listed = {0};
    struct tn_error error = {.status = TN_OK};
    char notes[512] = "";
    model_small(&model);
    model_add_slots(&model, 2);
    struct bytes bytes = encode(name, &model, 0);
    ck_assert_msg(format(name)->list(NULL, tn_host_table(), bytes.data, bytes.count, count_array, &listed, notes,
                                     sizeof notes, &error) == TN_OK,
                  "%s", error.text);
    ck_assert_uint_eq(listed.weights, 8);
    ck_assert_uint_eq(listed.state, strcmp(name, "safetensors") == 0 ? 12 : 14);
    ck_assert_uint_eq(listed.others, 0);
    ck_assert_ptr_nonnull(strstr(notes, "cat"));
    ck_assert_int_ne(format(name)->list(NULL, tn_host_table(), bytes.data, bytes.count / 2, count_array, &listed, notes,
                                        sizeof notes, &error),
                     TN_OK);
    tn_host_table()->release(bytes.data);
    model_clear(&model);
}
END_TEST

/* ---- going on ---- */

enum { SIDE = 10, BATCH = 4, CLASSES = 3 };

static void make_network(struct small_network *net, struct golden_rig *rig, const char *optimizer)
{
    struct golden_options conv = {0}, dense = {0}, options = {0}, loss = {0};
    small_network_begin(net, rig);
    golden_option(&conv, "filters", "5");
    golden_option(&conv, "kernel_size", "3");
    golden_option(&dense, "units", "%d", CLASSES);
    golden_option(&loss, "from_logits", "yes");
    if (strcmp(optimizer, "sgd") == 0)
        golden_option(&options, "momentum", "0.9");
    else
        golden_option(&options, "amsgrad", "yes");
    small_network_layer(net, "conv", "conv2d", &conv, NULL, 0);
    small_network_layer(net, "norm", "batch_normalization", NULL, NULL, 0);
    small_network_layer(net, "gap", "global_average_pooling2d", NULL, NULL, 0);
    small_network_layer(net, "out", "dense", &dense, NULL, 0);
    small_network_train(net, "sparse_categorical_crossentropy", &loss, optimizer, &options);
    tn_text_release(&loss.text);
    tn_text_release(&options.text);
    ck_assert_msg(small_network_make(net, SIDE, SIDE, 3, BATCH, BATCH), "%s", net->reason);
}

static void train(struct small_network *net, uint64_t from, uint64_t steps)
{
    static const float labels[BATCH] = {0, 1, 2, 1};
    struct tn_error error = {.status = TN_OK};
    for (uint64_t i = from; i < from + steps; i++) {
        struct tn_random random = tn_random_stream(i, 9);
        struct tn_step step = {.size = sizeof step, .learning_rate = 0.01, .step = i + 1};
        float pixels[BATCH * SIDE * SIDE * 3], losses[BATCH];
        for (size_t k = 0; k < TN_COUNT_OF(pixels); k++)
            pixels[k] = (float)tn_random_uniform(&random, 0, 1);
        ck_assert_msg(tn_network_train_step(net->network, BATCH, pixels, labels, NULL, &step, losses, NULL, &error) ==
                          TN_OK,
                      "%s", error.text);
    }
}

static struct tn_weights *open_weights(struct small_network *net)
{
    struct tn_error error = {.status = TN_OK};
    struct tn_weights *weights = NULL;
    ck_assert_msg(tn_network_weights_open(net->network, 1, &weights, &error) == TN_OK, "%s", error.text);
    ck_assert_int_eq(tn_network_weights_fill(net->network, weights, &error), TN_OK);
    return weights;
}

static void compare(const struct tn_weights *a, const struct tn_weights *b)
{
    for (uint32_t i = 0; i < a->layer_count; i++)
        for (uint32_t j = 0; j < a->layers[i].weight_count; j++) {
            const struct tn_weight *x = &a->layers[i].weights[j], *y = &b->layers[i].weights[j];
            size_t bytes = (size_t)tn_shape_elements(&x->shape) * sizeof(float);
            ck_assert_mem_eq(x->data, y->data, bytes);
            for (int32_t slot = 0; slot < x->slot_count; slot++)
                ck_assert_mem_eq(x->slots[slot], y->slots[slot], bytes);
        }
}

/* Five steps in one go, and three steps, a file, another network, two steps: the same bits. */
START_TEST(training_goes_on_from_a_file)
{
    const char *name = names[_i % 3], *optimizer = _i < 3 ? "adam" : "sgd";
    struct golden_rig rig;
    struct small_network one, two;
    struct tn_weights *first, *second, *last;
    struct tn_error error = {.status = TN_OK};
    void *data = NULL;
    uint64_t count = 0;
    char notes[512] = "";
    golden_rig_open(&rig, true);
    make_network(&one, &rig, optimizer);
    train(&one, 0, 3);
    first = open_weights(&one);
    first->iterations = 3;
    first->learning_rate = 0.01;
    ck_assert_msg(format(name)->encode(NULL, tn_host_table(), first, 0, &data, &count, &error) == TN_OK, "%s",
                  error.text);
    train(&one, 3, 2);
    ck_assert_int_eq(tn_network_weights_fill(one.network, first, &error), TN_OK);

    make_network(&two, &rig, optimizer);
    second = open_weights(&two);
    ck_assert_msg(format(name)->decode(NULL, tn_host_table(), data, count, second, notes, sizeof notes, &error) ==
                      TN_OK,
                  "%s", error.text);
    ck_assert_str_eq(notes, "");
    ck_assert_uint_eq(second->iterations, 3);
    ck_assert_int_eq(tn_network_weights_store(two.network, second, &error), TN_OK);
    train(&two, second->iterations, 2);
    last = open_weights(&two);
    compare(first, last);

    tn_host_table()->release(data);
    tn_network_weights_close(&first);
    tn_network_weights_close(&second);
    tn_network_weights_close(&last);
    small_network_end(&one);
    small_network_end(&two);
    golden_rig_close(&rig);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("formats");
    TCase *tests = tcase_create("formats");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_unchecked_fixture(tests, weight_model_setup, weight_model_teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, weights_and_state_come_back, 0, 9);
    tcase_add_loop_test(tests, a_state_that_is_not_there_is_said, 0, 3);
    tcase_add_loop_test(tests, what_does_not_fit_is_said, 0, 3);
    tcase_add_test(tests, keras_needs_words);
    tcase_add_loop_test(tests, damage_is_an_error_or_harmless, 0, 3);
    tcase_add_loop_test(tests, files_are_listed, 0, 3);
    tcase_add_loop_test(tests, training_goes_on_from_a_file, 0, 6);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
