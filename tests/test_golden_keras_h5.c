/* test_golden_keras_h5.c: files that Keras wrote, loaded into our networks: the same outputs, and with the optimizer's
 * state the same next step. The model comes from the description in the case's .keras file. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "support/keras_model.h"

/* After tenon's headers: it has a macro named fail(). */
#include <check.h>

enum { LARGEST_FILE = 64 << 20 };

static bool ends_in(const char *text, size_t length, const char *end, size_t end_length)
{
    return length > end_length && strncmp(text + length - end_length, end, end_length) == 0;
}

/* The format whose extension fits best, as the core finds it. */
static const struct tn_type *format_of(struct golden_rig *rig, const char *path)
{
    const struct tn_type *type, *best = NULL;
    size_t longest = 0;
    for (size_t i = 0; (type = tn_registry_type(rig->registry, TN_FORMAT, i, NULL)); i++) {
        const char *at = ((const struct tn_format *)(const void *)type)->extensions;
        for (size_t length; at && *at; at += length + (at[length] == '|')) {
            length = strcspn(at, "|");
            if (length > longest && ends_in(path, strlen(path), at, length)) {
                best = type;
                longest = length;
            }
        }
    }
    return best;
}

/* Reads a file into the network; *weights (with the optimizer's slots) is the caller's to close. */
static bool load(struct golden_case *item, struct golden_rig *rig, struct small_network *net, const char *file,
                 struct tn_weights **weights)
{
    char relative[512], path[PATH_MAX], notes[512] = "";
    struct golden_options none = {0};
    struct golden_instance made = {0};
    struct tn_error error = {0};
    void *data = NULL;
    uint64_t bytes = 0;
    (void)snprintf(relative, sizeof relative, "keras-h5/%s", file);
    const struct tn_type *type = format_of(rig, relative);
    *weights = NULL;
    if (!type || !golden_instance_open(rig, TN_FORMAT, type->name, &none, &made))
        golden_fail(item, "%s: no format reads it (%s)", file, made.reason);
    else if (!fixtures_file(path, sizeof path, relative))
        golden_fail(item, "%s is not there", file);
    else if (tn_network_weights_open(net->network, 1, weights, &error) != TN_OK ||
             tn_file_read(path, LARGEST_FILE, &data, &bytes, &error) != TN_OK ||
             ((const struct tn_format *)(const void *)made.instance->type)
                     ->decode(made.instance->self, tn_host_table(), data, bytes, *weights, notes, sizeof notes,
                              &error) != TN_OK ||
             tn_network_weights_store(net->network, *weights, &error) != TN_OK)
        golden_fail(item, "%s: %s", file, error.text);
    if (notes[0] && getenv("TENON_GOLDEN_VERBOSE"))
        printf("golden keras-h5: %s: %s\n", file, notes);
    free(data);
    golden_instance_close(&made);
    return !golden_decided(item);
}

static void compare_output(struct golden_case *item, struct small_network *net, const char *file)
{
    const struct bundle_tensor *x = bundle_tensor(item->item, "x"), *output = bundle_tensor(item->item, "output");
    struct tn_error error = {0};
    float *pixels = bundle_floats(x), *scores = calloc(output->count, sizeof *scores);
    ck_assert(pixels && scores);
    if (tn_network_infer(net->network, x->dims[0], pixels, NULL, NULL, NULL, scores, &error) == TN_OK)
        golden_compare(item, file, output, scores, 1e-5, 1e-5);
    else
        golden_fail(item, "%s: %s", file, error.text);
    free(pixels);
    free(scores);
}

/* slot:INDEX:… of the case; Keras counts iteration, learning rate, then every variable's slots. */
static const struct bundle_tensor *slot_tensor(const struct bundle_case *item, int index)
{
    char prefix[32];
    size_t length = (size_t)snprintf(prefix, sizeof prefix, "slot:%d:", index);
    for (size_t i = 0; i < item->tensor_count; i++)
        if (strncmp(item->tensors[i].role, prefix, length) == 0)
            return &item->tensors[i];
    return NULL;
}

/* Whether the file brought the optimizer's state that the case tells. */
static bool has_state(const struct bundle_case *item, const struct tn_weights *weights)
{
    const struct bundle_tensor *iteration = slot_tensor(item, 0), *slot;
    int index = 2;
    if (!iteration || weights->iterations == 0 || (double)weights->iterations != bundle_at(iteration, 0))
        return false;
    for (uint32_t l = 0; l < weights->layer_count; l++)
        for (uint32_t i = 0; i < weights->layers[l].weight_count; i++) {
            const struct tn_weight *weight = &weights->layers[l].weights[i];
            for (int32_t s = 0; weight->trained && s < weight->slot_count; s++) {
                slot = slot_tensor(item, index++);
                if (!slot || slot->count != tn_shape_elements(&weight->shape))
                    return false;
                for (uint64_t k = 0; k < slot->count; k++)
                    if ((float)bundle_at(slot, k) != weight->slots[s][k])
                        return false;
            }
        }
    return true;
}

static void compare_resumed(struct golden_case *item, struct small_network *net, const char *file)
{
    double tolerance = 2e-5;
    struct tn_error error = {0};
    char role[256], what[512];
    for (uint32_t i = 0; i < tn_network_parameter_count(net->network); i++)
        if (strncmp(tn_network_parameter(net->network, i)->name, "moving_", 7) == 0)
            tolerance = 5e-5; /* running statistics join in */
    for (uint32_t i = 0; i < tn_network_parameter_count(net->network); i++) {
        const struct tn_parameter_info *info = tn_network_parameter(net->network, i);
        (void)snprintf(role, sizeof role, "rw:%s/%s", info->layer, info->name);
        (void)snprintf(what, sizeof what, "%s: %s", file, role);
        const struct bundle_tensor *tensor = bundle_tensor(item->item, role);
        float *floats = calloc((size_t)tn_shape_elements(&info->shape), sizeof *floats);
        ck_assert_ptr_nonnull(floats);
        if (!tensor || tensor->count != tn_shape_elements(&info->shape) ||
            tn_network_read(net->network, i, -1, floats, &error) != TN_OK)
            golden_fail(item, "%s: %s cannot be compared", file, role);
        else
            golden_compare(item, what, tensor, floats, tolerance, 0);
        free(floats);
    }
}

static void resume(struct golden_case *item, struct small_network *net, const struct tn_weights *weights,
                   const char *file)
{
    const struct bundle_tensor *x = bundle_tensor(item->item, "resume_x"), *y = bundle_tensor(item->item, "resume_y");
    const struct bundle_tensor *loss = bundle_tensor(item->item, "resume_loss");
    struct tn_step step = {.size = sizeof step,
                           .learning_rate = bundle_number(item->item, "learning_rate", 0),
                           .step = weights->iterations + 1};
    struct tn_error error = {0};
    char what[512];
    float mean, *pixels = bundle_floats(x), *labels = bundle_floats(y), *losses = calloc(y->count, sizeof *losses);
    double sum = 0;
    ck_assert(pixels && labels && losses);
    if (tn_network_train_step(net->network, x->dims[0], pixels, labels, NULL, &step, losses, NULL, &error) == TN_OK) {
        for (uint64_t i = 0; i < y->count; i++)
            sum += (double)losses[i];
        mean = (float)(sum / (double)y->count);
        (void)snprintf(what, sizeof what, "%s: resume_loss", file);
        golden_compare(item, what, loss, &mean, 1e-5, 1e-5);
        compare_resumed(item, net, file);
    } else {
        golden_fail(item, "%s: %s", file, error.text);
    }
    free(pixels);
    free(labels);
    free(losses);
}

static const char *our_optimizer(const struct bundle_case *item)
{
    const char *name = bundle_set(item, "optimizer");
    return name && strncmp(name, "adam", 4) == 0 && name[4] != 'w' && name[4] != 'a' ? "adam"
           : name && strncmp(name, "sgd", 3) == 0                                    ? "sgd"
                                                                                     : NULL;
}

/* The case's first file that holds a whole model and not only weights. */
static bool whole_model(const struct bundle_case *item, char *path, size_t bytes)
{
    const char *files = bundle_set(item, "files");
    for (size_t length; files && *files; files += length + (files[length] == ' ')) {
        char relative[512];
        length = strcspn(files, " ");
        (void)snprintf(relative, sizeof relative, "keras-h5/%.*s", (int)length, files);
        if (ends_in(files, length, "_model.h5", 9) && fixtures_file(path, bytes, relative))
            return true;
    }
    return false;
}

/* A network for the case: from its description, or, where there is none, the dense layers that its weights are, with
 * ReLU between them (which has to prove right by the output). */
static void build(struct golden_case *item, struct small_network *net, const struct json *model)
{
    const char *output = bundle_set(item->item, "output"), *optimizer = our_optimizer(item->item);
    const struct bundle_tensor *x = bundle_tensor(item->item, "x"), *again = bundle_tensor(item->item, "resume_x");
    struct golden_options loss = {0}, options = {0};
    char path[PATH_MAX];
    bool image = x->rank == 4;
    if (model) {
        keras_model_build(net, item, model, bundle_number(item->item, "resume_training", 1) != 0);
    } else {
        size_t kernels = 0, seen = 0;
        for (size_t i = 0; i < item->item->tensor_count; i++)
            kernels += item->item->tensors[i].rank == 2 && strncmp(item->item->tensors[i].role, "w:", 2) == 0;
        for (size_t i = 0; i < item->item->tensor_count; i++) {
            const struct bundle_tensor *kernel = &item->item->tensors[i];
            struct golden_options dense = {0};
            char name[32];
            if (kernel->rank != 2 || strncmp(kernel->role, "w:", 2) != 0)
                continue;
            (void)snprintf(name, sizeof name, "dense%zu", ++seen);
            golden_option(&dense, "units", "%d", kernel->dims[1]);
            golden_option(&dense, "activation", "%s", seen < kernels ? "relu" : "linear");
            small_network_layer(net, name, "dense", &dense, NULL, 0);
        }
    }
    golden_option(&loss, "from_logits", "%s", output && strcmp(output, "softmax") == 0 ? "no" : "yes");
    if (optimizer && whole_model(item->item, path, sizeof path))
        keras_model_optimizer(net->rig, &net->arena, path, optimizer, &options);
    if (!golden_decided(item))
        small_network_train(net, "sparse_categorical_crossentropy", &loss, optimizer ? optimizer : "sgd", &options);
    tn_text_release(&loss.text);
    tn_text_release(&options.text);
    if (!golden_decided(item) &&
        !small_network_make(net, image ? x->dims[1] : 1, image ? x->dims[2] : 1, x->dims[x->rank - 1],
                            again ? again->dims[0] : x->dims[0], x->dims[0]))
        golden_fail(item, "%s", net->reason);
}

static void run_file(struct golden_case *item, struct golden_rig *rig, const struct json *model, const char *file)
{
    struct small_network net;
    struct tn_weights *weights = NULL;
    small_network_begin(&net, rig);
    build(item, &net, model);
    if (!golden_decided(item) && load(item, rig, &net, file, &weights)) {
        compare_output(item, &net, file);
        if (our_optimizer(item->item) && bundle_tensor(item->item, "resume_loss") && !golden_decided(item)) {
            if (has_state(item->item, weights))
                resume(item, &net, weights, file);
            else if (strstr(file, "k3_model.h5") || strstr(file, "k3.weights.h5"))
                golden_fail(item, "%s: the optimizer's state was not restored", file);
        }
    }
    if (weights)
        tn_network_weights_close(&weights);
    small_network_end(&net);
}

static const struct json *description(struct golden_case *item, struct tn_arena *arena, const char *const *files,
                                      size_t count)
{
    struct tn_error error = {0};
    for (size_t i = 0; i < count; i++) {
        char relative[512], path[PATH_MAX];
        (void)snprintf(relative, sizeof relative, "keras-h5/%s", files[i]);
        if (!ends_in(files[i], strlen(files[i]), ".keras", 6) || !fixtures_file(path, sizeof path, relative))
            continue;
        const struct json *model = keras_model_read(arena, path, &error);
        if (!model)
            golden_fail(item, "%s", error.text);
        return model;
    }
    return NULL;
}

static void run_case(struct golden_case *item, void *context)
{
    enum { MOST_FILES = 32 };
    const char *text = bundle_set(item->item, "files"), *files[MOST_FILES] = {0};
    const struct bundle_tensor *x = bundle_tensor(item->item, "x");
    struct tn_arena arena = {0};
    size_t count = 0;
    char *copy = tn_arena_string(&arena, text), *rest = NULL;
    if (!copy || !x || x->rank < 2 || x->count == 0 || !bundle_tensor(item->item, "output")) {
        golden_fail(item, "the case has no files, x or output");
        tn_arena_release(&arena);
        return;
    }
    for (char *word = strtok_r(copy, " ", &rest); word && count < MOST_FILES; word = strtok_r(NULL, " ", &rest))
        files[count++] = word;
    const struct json *model = description(item, &arena, files, count);
    for (size_t i = 0; i < count && !golden_decided(item); i++)
        if (ends_in(files[i], strlen(files[i]), ".h5", 3) || ends_in(files[i], strlen(files[i]), ".keras", 6))
            run_file(item, context, model, files[i]);
    if (!model && item->failed) {
        item->failed = false;
        item->reason[0] = '\0';
        golden_uncovered(item, "nothing describes the model");
    }
    tn_arena_release(&arena);
}

START_TEST(files_of_keras_give_its_outputs)
{
    struct golden_rig rig;
    golden_rig_open(&rig, true);
    int failed = golden_run("keras-h5/manifest.txt", "keras-h5", run_case, &rig);
    golden_rig_close(&rig);
    ck_assert_int_eq(failed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden keras-h5");
    TCase *files = tcase_create("files");
    tcase_set_timeout(files, 120);
    tcase_add_test(files, files_of_keras_give_its_outputs);
    suite_add_tcase(suite, files);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
