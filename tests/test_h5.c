/* test_h5.c: the formats h5 and weights_h5: what is written is read back, what Keras wrote is read (fixtures/keras-h5),
 * what does not fit is said, and what is damaged or hostile does no harm. (That Keras reads ours: check_keras_h5.py.)
 */
#include <hdf5.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/bundle.h"
#include "support/weight_model.h"

#include <check.h> /* after ours: it has a macro `fail` */

static void setup(void)
{
    weight_model_setup();
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/* All of these files are read by what is in them, whatever their name. */
static tn_status decode(const void *data, uint64_t count, struct model *model, char *notes, struct tn_error *error)
{
    return decode_as("h5", data, count, model, notes, error);
}

/* ---- round trips ---- */

START_TEST(what_is_written_is_read)
{
    static const struct {
        const char *format;
        uint32_t flags;
        int32_t sequential;
    } ways[] = {{"h5", 0, 1}, {"h5", 0, 0}, {"h5", TN_FORMAT_WEIGHTS_ONLY, 1}, {"weights_h5", 0, 1}};
    struct model written, read;
    struct tn_error error;
    char notes[512];
    model_small(&written);
    model_small(&read);
    for (size_t i = 0; i < TN_COUNT_OF(ways); i++) {
        struct bytes first, second;
        written.weights.sequential = ways[i].sequential;
        first = encode(ways[i].format, &written, ways[i].flags);
        second = encode(ways[i].format, &written, ways[i].flags);
        ck_assert_uint_eq(first.count, second.count);
        ck_assert_mem_eq(first.data, second.data, first.count);
        model_wipe(&read);
        ck_assert_msg(decode(first.data, first.count, &read, notes, &error) == TN_OK, "%s", error.text);
        ck_assert_str_eq(notes, "");
        ck_assert(same_weights(&written, &read));
        tn_host_table()->release(first.data);
        tn_host_table()->release(second.data);
    }
    model_clear(&written);
    model_clear(&read);
}
END_TEST

/* Names of many layers pass what one attribute may hold in Keras: they are split. */
START_TEST(layers_with_strange_names)
{
    static const char *const names[] = {"..", ".", "a/b", "a_b", "input", "h\303\274", "", "a:b", "a\"b\\"};
    struct model written, read;
    struct tn_error error;
    struct bytes bytes;
    char notes[512];
    struct model *both[] = {&written, &read};
    for (int m = 0; m < 2; m++) {
        model_begin(both[m]);
        for (size_t i = 0; i < TN_COUNT_OF(names); i++)
            add_weight(add_layer(both[m], names[i], "dense", "Dense"), "kernel", 1, (struct tn_shape){2, {2, 2}});
    }
    for (int i = 0; i < 2; i++) {
        bytes = encode(i ? "weights_h5" : "h5", &written, 0);
        model_wipe(&read);
        ck_assert_msg(decode(bytes.data, bytes.count, &read, notes, &error) == TN_OK, "%s", error.text);
        ck_assert(same_weights(&written, &read));
        tn_host_table()->release(bytes.data);
    }
    model_clear(&written);
    model_clear(&read);
}
END_TEST

/* ---- what does not fit ---- */

/* Reads `written` into `read`: refused, with `part` in the text, and nothing touched. */
static void refused(const struct model *written, struct model *read, const char *name, const char *part)
{
    struct bytes bytes = encode(name, written, 0);
    struct tn_error error;
    char notes[512];
    float before = read->items[0][0].data[0];
    ck_assert_int_eq(decode(bytes.data, bytes.count, read, notes, &error), TN_INVALID);
    ck_assert_msg(strstr(error.text, part) != NULL, "wanted \"%s\", got \"%s\"", part, error.text);
    ck_assert_float_eq(read->items[0][0].data[0], before);
    tn_host_table()->release(bytes.data);
}

START_TEST(what_does_not_fit_is_said)
{
    static const char *const turned[] = {"dog", "cat", "h\303\274hner"};
    static const char *const other[] = {"ox", "cow", "yak"};
    struct model written, read;
    struct tn_error error;
    struct bytes bytes;
    char notes[512];
    model_small(&written);
    model_small(&read);
    read.items[0][0].data[0] = 42;
    read.items[3][0].shape.dims[1] = 2; /* smaller than its buffer */
    refused(&written, &read, "h5",
            "layer \"out\": kernel (\"out\" in the file) is 4x3 in the file and 4x2 in the network");
    refused(&written, &read, "weights_h5", "is 4x3 in the file and 4x2 in the network");
    read.items[3][0].shape.dims[1] = 3;
    read.weights.layer_count = 3;
    refused(&written, &read, "h5", "more layers with weights than the network's 2");
    read.weights.layer_count = 4;
    written.weights.layer_count = 3;
    refused(&written, &read, "h5", "ends before layer \"out\" (dense)");
    refused(&written, &read, "weights_h5", "no group dense/vars");
    written.weights.layer_count = 4;
    written.layers[1].weight_count = 3;
    refused(&written, &read, "h5", "layer \"norm\" (batch_normalization) has 4 weights");
    refused(&written, &read, "weights_h5", "has 3");
    written.layers[1].weight_count = 4;
    read.weights.classes = turned;
    refused(&written, &read, "h5", "another order");
    read.weights.classes = other;
    bytes = encode("h5", &written, 0);
    ck_assert_int_eq(decode(bytes.data, bytes.count, &read, notes, &error), TN_OK);
    ck_assert_ptr_nonnull(strstr(notes, "other classes"));
    tn_host_table()->release(bytes.data);
    model_clear(&written);
    model_clear(&read);
}
END_TEST

/* ---- damaged and hostile bytes ---- */

/* Cuts, and changes one to eight bytes of, the file of one format. */
static void damage(const char *name, struct model *written, struct model *read)
{
    struct tn_error error;
    char notes[512];
    struct bytes bytes = encode(name, written, 0);
    uint8_t *copy = malloc((size_t)bytes.count);
    struct tn_random random = tn_random_stream(3, 5);
    unsigned refusals = 0;
    ck_assert_ptr_nonnull(copy);
    for (int i = 0; i < 100; i++) {
        uint64_t length = tn_random_below(&random, bytes.count);
        memcpy(copy, bytes.data, (size_t)bytes.count);
        ck_assert_msg(decode(copy, length, read, notes, &error) != TN_OK, "%llu of %llu bytes are accepted",
                      (unsigned long long)length, (unsigned long long)bytes.count);
    }
    for (int i = 0; i < 600; i++) {
        memcpy(copy, bytes.data, (size_t)bytes.count);
        for (uint64_t n = 1 + tn_random_below(&random, 8); n > 0; n--)
            copy[tn_random_below(&random, bytes.count)] = (uint8_t)tn_random_bits(&random);
        refusals += decode(copy, bytes.count, read, notes, &error) != TN_OK;
        ck_assert_uint_lt(strlen(error.text), sizeof error.text);
    }
    ck_assert_uint_gt(refusals, 10);
    memset(copy, 0, (size_t)bytes.count);
    ck_assert_int_eq(decode(copy, bytes.count, read, notes, &error), TN_CORRUPT);
    ck_assert_int_eq(decode(copy, 0, read, notes, &error), TN_CORRUPT);
    free(copy);
    tn_host_table()->release(bytes.data);
}

START_TEST(damage_is_an_error_or_harmless)
{
    struct model written, read;
    model_small(&written);
    model_small(&read);
    damage("h5", &written, &read);
    damage("weights_h5", &written, &read);
    model_clear(&written);
    model_clear(&read);
}
END_TEST

/* A legacy file with one layer `d` whose weight `w` is made by `make`. */
static void hostile(const char *part, void (*make)(hid_t group))
{
    char path[] = "/tmp/tenon-h5-XXXXXX";
    int descriptor = mkstemp(path);
    const char *layer = "d", *weight = "w";
    hid_t file, group, type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR), attribute;
    hsize_t one = 1;
    hid_t list = H5Screate_simple(1, &one, NULL);
    struct model read;
    struct tn_error error;
    char notes[512];
    void *data = NULL;
    uint64_t bytes = 0;
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_ge(H5Tset_size(type, H5T_VARIABLE), 0);
    file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    attribute = H5Acreate2(file, "layer_names", type, list, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(H5Awrite(attribute, type, &layer), 0);
    ck_assert_int_ge(H5Aclose(attribute), 0);
    group = H5Gcreate2(file, "d", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    attribute = H5Acreate2(group, "weight_names", type, list, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(H5Awrite(attribute, type, &weight), 0);
    ck_assert_int_ge(H5Aclose(attribute), 0);
    make(group);
    (void)H5Gclose(group);
    (void)H5Tclose(type);
    (void)H5Sclose(space);
    (void)H5Sclose(list);
    ck_assert_int_ge(H5Fclose(file), 0);
    ck_assert_int_eq(tn_file_read(path, 1 << 24, &data, &bytes, &error), TN_OK);
    model_begin(&read);
    add_weight(add_layer(&read, "d", "dense", "Dense"), "kernel", 1, (struct tn_shape){2, {2, 2}});
    ck_assert_msg(decode(data, bytes, &read, notes, &error) != TN_OK, "accepted, wanted: %s", part);
    ck_assert_msg(strstr(error.text, part) != NULL, "wanted \"%s\", got \"%s\"", part, error.text);
    model_clear(&read);
    free(data);
    (void)close(descriptor);
    (void)unlink(path);
}

static void make_external_link(hid_t group)
{
    ck_assert_int_ge(H5Lcreate_external("/etc/passwd", "/x", group, "w", H5P_DEFAULT, H5P_DEFAULT), 0);
}
static void make_soft_link(hid_t group)
{
    ck_assert_int_ge(H5Lcreate_soft("/d/x", group, "w", H5P_DEFAULT, H5P_DEFAULT), 0);
}
static void make_data(hid_t group, hid_t type, const hsize_t *dims, hid_t plist)
{
    hid_t space = H5Screate_simple(2, dims, NULL);
    hid_t data = H5Dcreate2(group, "w", type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    ck_assert_int_ge(data, 0);
    (void)H5Dclose(data);
    (void)H5Sclose(space);
}
static void make_external_storage(hid_t group)
{
    static const hsize_t dims[] = {2, 2};
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    ck_assert_int_ge(H5Pset_external(plist, "/etc/passwd", 0, 16), 0);
    make_data(group, H5T_IEEE_F32LE, dims, plist);
    (void)H5Pclose(plist);
}
static void make_virtual(hid_t group)
{
    static const hsize_t dims[] = {2, 2};
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(2, dims, NULL);
    ck_assert_int_ge(H5Pset_virtual(plist, space, "/tmp/other.h5", "/x", space), 0);
    make_data(group, H5T_IEEE_F32LE, dims, plist);
    (void)H5Sclose(space);
    (void)H5Pclose(plist);
}
static void make_huge(hid_t group)
{
    static const hsize_t dims[] = {1u << 20, 1u << 20}, chunk[] = {1024, 1024};
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    ck_assert_int_ge(H5Pset_chunk(plist, 2, chunk), 0);
    make_data(group, H5T_IEEE_F32LE, dims, plist);
    (void)H5Pclose(plist);
}
static void make_text(hid_t group)
{
    static const hsize_t dims[] = {2, 2};
    make_data(group, H5T_C_S1, dims, H5P_DEFAULT);
}
static void make_group(hid_t group)
{
    (void)H5Gclose(H5Gcreate2(group, "w", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}
static void make_nothing(hid_t group)
{
    (void)group;
}

START_TEST(hostile_files_are_refused)
{
    hostile("has no data w", make_external_link);
    hostile("has no data w", make_soft_link);
    hostile("outside of the file", make_external_storage);
    hostile("outside of the file", make_virtual);
    hostile("1048576x1048576 in the file", make_huge);
    hostile("no floating-point numbers", make_text);
    hostile("has no data w", make_group);
    hostile("has no data w", make_nothing);
}
END_TEST

static void no_array(void *context, const struct tn_array_info *array)
{
    (void)array;
    ++*(unsigned *)context;
}

/* Groups that hold each other: whoever walks through them by name would never come to an end. */
START_TEST(circles_of_links_have_an_end)
{
    char path[] = "/tmp/tenon-h5-XXXXXX";
    int descriptor = mkstemp(path);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), layers, inner;
    struct model read;
    struct tn_error error;
    char notes[512];
    void *data = NULL;
    uint64_t bytes = 0;
    unsigned arrays = 0;
    ck_assert(descriptor >= 0 && file >= 0);
    layers = H5Gcreate2(file, "layers", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    inner = H5Gcreate2(layers, "dense", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    for (int i = 0; i < 6; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "again%d", i);
        ck_assert_int_ge(H5Lcreate_hard(file, "layers", inner, name, H5P_DEFAULT, H5P_DEFAULT), 0);
        ck_assert_int_ge(H5Lcreate_hard(inner, ".", layers, name, H5P_DEFAULT, H5P_DEFAULT), 0);
    }
    (void)H5Gclose(inner);
    (void)H5Gclose(layers);
    ck_assert_int_ge(H5Fclose(file), 0);
    ck_assert_int_eq(tn_file_read(path, 1 << 24, &data, &bytes, &error), TN_OK);
    model_begin(&read);
    add_weight(add_layer(&read, "d", "dense", "Dense"), "kernel", 1, (struct tn_shape){2, {2, 2}});
    ck_assert_int_ne(decode(data, bytes, &read, notes, &error), TN_OK);
    ck_assert(error.text[0]);
    (void)format("h5")->list(NULL, tn_host_table(), data, bytes, no_array, &arrays, notes, sizeof notes, &error);
    ck_assert_uint_eq(arrays, 0);
    model_clear(&read);
    free(data);
    (void)close(descriptor);
    (void)unlink(path);
}
END_TEST

/* ---- what Keras wrote ---- */

/* Layers that are put together from the bundle's tensors "w:LAYER/VARIABLE". */
static void model_from_case(struct model *model, const struct bundle_case *item)
{
    static char names[MOST_LAYERS * MOST_WEIGHTS][128];
    size_t used = 0;
    struct tn_weight_layer *layer = NULL;
    model_begin(model);
    model->weights.class_count = 0;
    for (size_t i = 0; i < item->tensor_count; i++) {
        const struct bundle_tensor *tensor = &item->tensors[i];
        const char *slash = strrchr(tensor->role, '/');
        struct tn_shape shape = {tensor->rank, {0}};
        char name[128];
        if (strncmp(tensor->role, "w:", 2) != 0 || !slash)
            continue;
        (void)snprintf(name, sizeof name, "%.*s", (int)(slash - tensor->role - 2), tensor->role + 2);
        if (!layer || strcmp(layer->name, name) != 0) {
            const char *kind = strcmp(slash + 1, "gamma") == 0              ? "batch_normalization"
                               : strcmp(slash + 1, "depthwise_kernel") == 0 ? "separable_conv2d"
                               : strncmp(name, "dw", 2) == 0                ? "depthwise_conv2d"
                               : tensor->rank == 4                          ? "conv2d"
                                                                            : "dense";
            (void)snprintf(names[used], sizeof *names, "%s", name);
            layer = add_layer(model, names[used++], kind, NULL);
        }
        for (int d = 0; d < tensor->rank; d++)
            shape.dims[d] = tensor->dims[d];
        (void)snprintf(names[used], sizeof *names, "%s", slash + 1);
        add_weight(layer, names[used++], strncmp(slash + 1, "moving_", 7) != 0, shape);
        ck_assert_uint_lt(used, TN_COUNT_OF(names) - 2);
    }
}

static void compare_with_case(const struct model *model, const struct bundle_case *item, const char *file)
{
    for (uint32_t i = 0; i < model->weights.layer_count; i++)
        for (uint32_t j = 0; j < model->layers[i].weight_count; j++) {
            char role[300];
            const struct bundle_tensor *tensor;
            (void)snprintf(role, sizeof role, "w:%s/%s", model->layers[i].name, model->items[i][j].name);
            tensor = bundle_tensor(item, role);
            ck_assert_ptr_nonnull(tensor);
            ck_assert_msg(memcmp(tensor->data, model->items[i][j].data, (size_t)tensor->bytes) == 0, "%s: %s differs",
                          file, role);
        }
}

/* Optimizer state: "slot:N:NAME" for every variable in the optimizer's order; the first ones are single numbers. */
static uint32_t slots_of(const struct bundle_case *item, const struct bundle_tensor *slots[], uint32_t most)
{
    uint32_t count = 0;
    for (size_t i = 0; i < item->tensor_count && count < most; i++)
        if (strncmp(item->tensors[i].role, "slot:", 5) == 0)
            slots[count++] = &item->tensors[i];
    return count;
}

/* Gives buffers for the state of every trained weight; returns how many there are for each. */
static int32_t want_slots(struct model *model, uint32_t slot_count)
{
    int32_t trained = 0, each;
    for (uint32_t i = 0; i < model->weights.layer_count; i++)
        for (uint32_t j = 0; j < model->layers[i].weight_count; j++)
            trained += model->items[i][j].trained;
    each = slot_count > 2 ? ((int32_t)slot_count - 2) / trained : 0;
    ck_assert_int_le(each, 4);
    for (uint32_t i = 0; i < model->weights.layer_count; i++)
        for (uint32_t j = 0; j < model->layers[i].weight_count; j++) {
            struct tn_weight *weight = &model->items[i][j];
            weight->slot_count = weight->trained ? each : 0;
            for (int32_t slot = 0; slot < weight->slot_count; slot++)
                weight->slots[slot] = calloc((size_t)tn_shape_elements(&weight->shape), sizeof(float));
        }
    return each;
}

static void compare_slots(const struct model *model, const struct bundle_tensor *const slots[], const char *file)
{
    uint32_t next = 2;
    for (uint32_t i = 0; i < model->weights.layer_count; i++)
        for (uint32_t j = 0; j < model->layers[i].weight_count; j++) {
            const struct tn_weight *weight = &model->items[i][j];
            for (int32_t slot = 0; slot < weight->slot_count; slot++, next++)
                ck_assert_msg(memcmp(weight->slots[slot], slots[next]->data, (size_t)slots[next]->bytes) == 0,
                              "%s: %s differs", file, slots[next]->role);
        }
    ck_assert_uint_eq(model->weights.iterations, (uint64_t)bundle_at(slots[0], 0));
    ck_assert_double_eq(model->weights.learning_rate, bundle_at(slots[1], 0));
}

static unsigned read_case_file(const struct bundle_case *item, const char *file)
{
    char path[1024], relative[512], notes[512];
    const struct bundle_tensor *slots[256];
    uint32_t slot_count = slots_of(item, slots, 256);
    struct model model;
    struct tn_error error = {.status = TN_OK};
    void *data = NULL;
    uint64_t bytes = 0;
    bool archive = strstr(file, ".keras") != NULL;
    bool whole = strstr(file, ".k3_model.h5") || strstr(file, ".k3.weights.h5") || archive;
    (void)snprintf(relative, sizeof relative, "keras-h5/%s", file);
    if (!fixtures_file(path, sizeof path, relative))
        return 0;
    ck_assert_msg(tn_file_read(path, 1 << 26, &data, &bytes, &error) == TN_OK, "%s", error.text);
    model_from_case(&model, item);
    if (whole && slot_count)
        (void)want_slots(&model, slot_count);
    model_wipe(&model);
    ck_assert_msg(decode_as(archive ? "keras" : "h5", data, bytes, &model, notes, &error) == TN_OK, "%s: %s", file,
                  error.text);
    compare_with_case(&model, item, file);
    if (whole && slot_count > 2) {
        ck_assert_msg(notes[0] == '\0', "%s: %s", file, notes);
        compare_slots(&model, slots, file);
    }
    model_clear(&model);
    free(data);
    return 1;
}

START_TEST(what_keras_wrote_is_read)
{
    struct bundle *bundle = NULL;
    struct tn_error error = {.status = TN_OK};
    char path[1024];
    unsigned files = 0;
    if (!fixtures_file(path, sizeof path, "keras-h5/manifest.txt")) {
        printf("skipped: there are no fixtures (set TENON_FIXTURES)\n");
        return;
    }
    ck_assert_msg(bundle_open(path, &bundle, &error) == TN_OK, "%s", error.text);
    for (size_t i = 0; i < bundle_case_count(bundle); i++) {
        const struct bundle_case *item = bundle_case_at(bundle, i);
        char list[2048], *rest = NULL;
        ck_assert_ptr_nonnull(bundle_set(item, "files"));
        (void)snprintf(list, sizeof list, "%s", bundle_set(item, "files"));
        for (char *file = strtok_r(list, " ", &rest); file; file = strtok_r(NULL, " ", &rest))
            files += read_case_file(item, file);
    }
    ck_assert_uint_gt(files, 0);
    bundle_close(&bundle);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("h5");
    TCase *tests = tcase_create("h5");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_unchecked_fixture(tests, setup, weight_model_teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, what_is_written_is_read);
    tcase_add_test(tests, layers_with_strange_names);
    tcase_add_test(tests, what_does_not_fit_is_said);
    tcase_add_test(tests, damage_is_an_error_or_harmless);
    tcase_add_test(tests, hostile_files_are_refused);
    tcase_add_test(tests, circles_of_links_have_an_end);
    tcase_add_test(tests, what_keras_wrote_is_read);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
