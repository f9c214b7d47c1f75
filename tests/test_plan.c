/* test_plan.c: programs of random networks on a device that computes nothing. Instead it writes a mark of its own into
 * every value and junk into every scratch, and looks at each op whether what it reads is still there. */
#include <check.h>
#include <stdlib.h>

#include "plan/internal.h"

enum { LAYERS = 24, SIDE = 6, CHANNELS = 4, NETWORKS = 150 };

/* ---- a device of marks ---- */

struct marks {
    struct tn_random random;
    bool wild; /* writes over inputs that it may not */
};

static uint32_t mark_of(const struct tn_value *value)
{
    return (uint32_t)((uintptr_t)value >> 4) * 2654435761u;
}

static void put_mark(const struct tn_value *value)
{
    uint32_t mark = mark_of(value);
    for (uint64_t i = 0; i + sizeof mark <= value->bytes; i += sizeof mark)
        memcpy((char *)value->data + i, &mark, sizeof mark);
}

static bool has_mark(const struct tn_value *value)
{
    uint32_t mark = mark_of(value);
    for (uint64_t i = 0; i + sizeof mark <= value->bytes; i += sizeof mark)
        if (memcmp((const char *)value->data + i, &mark, sizeof mark) != 0)
            return false;
    return true;
}

static tn_status marks_info(void *self, struct tn_device_info *info, struct tn_error *error)
{
    (void)self, (void)error;
    info->threads = 1;
    info->fusions = TN_FUSE_BIAS_RELU | TN_FUSE_CONV_POOL | TN_FUSE_NORM_RELU;
    return TN_OK;
}

static void marks_plan_op(struct marks *marks, struct tn_op *op)
{
    const struct tn_value *y = op->output_count ? op->outputs[0] : NULL;
    op->scratch_bytes = tn_random_below(&marks->random, 3) ? 0 : 64 + tn_random_below(&marks->random, 9000);
    op->overwrites = 0;
    for (uint32_t k = 0; y && k < op->input_count && k < 64 && !op->overwrites; k++) {
        bool may = (op->dying >> k & 1) && op->inputs[k]->bytes >= y->bytes && tn_random_below(&marks->random, 2);
        if (marks->wild ? op->inputs[k] && !(op->dying >> k & 1) : may)
            op->overwrites = 1 + k;
    }
}

static tn_status marks_plan(void *self, struct tn_program *program, struct tn_error *error)
{
    struct marks *marks = self;
    (void)error;
    for (uint32_t i = 0; i < program->value_count; i++) {
        struct tn_value *value = program->values[i];
        if (value->planned)
            continue;
        value->planned = value->plain = 1;
        value->bytes = value->role == TN_ROLE_WORKSPACE ? 4 * tn_random_below(&marks->random, 500)
                                                        : 4 * tn_shape_elements(&value->shape);
    }
    for (uint32_t i = 0; i < program->op_count; i++)
        marks_plan_op(marks, &program->ops[i]);
    return TN_OK;
}

static tn_status marks_allocate(void *self, uint64_t bytes, void **memory, struct tn_error *error)
{
    (void)self;
    *memory = aligned_alloc(4096, (size_t)bytes);
    if (!*memory || bytes % 4096)
        return tn_fail(error, TN_NO_MEMORY, "no arena of %llu bytes", (unsigned long long)bytes);
    memset(*memory, 0, (size_t)bytes);
    return TN_OK;
}

static void marks_release(void *self, void *memory, uint64_t bytes)
{
    (void)self, (void)bytes;
    free(memory);
}

static tn_status marks_bind(void *self, struct tn_program *program, struct tn_error *error)
{
    (void)self;
    for (uint32_t i = 0; i < program->value_count; i++)
        if (program->values[i]->id != i || (uintptr_t)program->values[i]->data % 64)
            return tn_fail(error, TN_FAILED, "%s has a wrong number or address", program->values[i]->name);
    return TN_OK;
}

/* Assertions that hold cost a write to a file: so only what fails becomes one. */
static void look_at_inputs(const struct tn_op *op, uint64_t except, const char *when)
{
    for (uint32_t k = 0; k < op->input_count; k++) {
        bool skip =
            !op->inputs[k] || op->inputs[k]->role == TN_ROLE_SLOT || (k < 64 && ((op->layout_only | except) >> k & 1));
        if (!skip && !has_mark(op->inputs[k]))
            ck_abort_msg("[layer:%s] op %d: input %u (%s) is spoilt %s", op->layer, op->kind, k, op->inputs[k]->name,
                         when);
    }
}

static void run_op(const struct tn_op *op)
{
    uint64_t over = op->overwrites ? (uint64_t)1 << (op->overwrites - 1) : 0;
    bool whole = true;
    look_at_inputs(op, 0, "before it runs");
    if (op->scratch_bytes)
        memset(op->scratch, 0xA5, (size_t)op->scratch_bytes);
    look_at_inputs(op, 0, "by its scratch");
    for (uint32_t k = 0; k < op->output_count; k++)
        if (op->outputs[k])
            put_mark(op->outputs[k]);
    for (uint32_t k = 0; k < op->output_count; k++)
        if (op->outputs[k] && !has_mark(op->outputs[k]))
            ck_abort_msg("[layer:%s] outputs lie in each other", op->layer);
    for (uint64_t i = 0; i < op->scratch_bytes; i++)
        whole = whole && ((const unsigned char *)op->scratch)[i] == 0xA5;
    if (!whole)
        ck_abort_msg("[layer:%s] outputs lie in the scratch", op->layer);
    look_at_inputs(op, over, "by its outputs");
}

static tn_status marks_run(void *self, struct tn_program *program, uint32_t first, uint32_t last,
                           const struct tn_step *step, struct tn_error *error)
{
    (void)self, (void)step, (void)error;
    for (uint32_t i = first; i < last; i++)
        run_op(&program->ops[i]);
    return TN_OK;
}

static tn_status marks_write(void *self, struct tn_value *value, const void *plain, struct tn_error *error)
{
    (void)self, (void)plain, (void)error;
    put_mark(value);
    return TN_OK;
}

static tn_status marks_read(void *self, const struct tn_value *value, void *plain, struct tn_error *error)
{
    (void)self;
    memset(plain, 0, (size_t)tn_shape_elements(&value->shape) * sizeof(float));
    return has_mark(value) ? TN_OK : tn_fail(error, TN_FAILED, "%s is spoilt", value->name);
}

static const struct tn_device marks_type = {TN_TYPE(TN_DEVICE, "marks", struct marks, NULL, "marks"),
                                            .info = marks_info,
                                            .plan = marks_plan,
                                            .allocate = marks_allocate,
                                            .release = marks_release,
                                            .bind = marks_bind,
                                            .run = marks_run,
                                            .write = marks_write,
                                            .read = marks_read};

/* ---- layers ---- */

struct unit {
    int32_t kind, choice;
};

static tn_ref convolve(struct tn_builder *b, tn_ref x, const char *kernel_name)
{
    struct tn_shape in = tn_shape_of(b, x), kernel = {4, {3, 3, in.dims[3], CHANNELS}};
    const struct tn_convolution c = {.stride_y = 1,
                                     .stride_x = 1,
                                     .dilation_y = 1,
                                     .dilation_x = 1,
                                     .groups = 1,
                                     .top = 1,
                                     .left = 1,
                                     .bottom = 1,
                                     .right = 1};
    return tn_conv2d(b, x, tn_parameter(b, kernel_name, kernel, (struct tn_initializer){TN_GLOROT_UNIFORM, 0}, 1), 0,
                     &c);
}

static tn_ref normalize(struct tn_builder *b, tn_ref x)
{
    struct tn_shape channels = {1, {tn_shape_of(b, x).dims[3]}};
    const struct tn_initializer ones = {TN_ONES, 0};
    const struct tn_normalization n = {.epsilon = 1e-3f, .momentum = 0.9f, .training = tn_is_training(b)};
    return tn_batch_norm(b, x, tn_parameter(b, "gamma", channels, ones, 1), tn_parameter(b, "beta", channels, ones, 1),
                         tn_parameter(b, "moving_mean", channels, ones, 0),
                         tn_parameter(b, "moving_variance", channels, ones, 0), &n);
}

static tn_ref unit_build(const void *self, struct tn_builder *b, const tn_ref *inputs, uint32_t count)
{
    static const char *const functions[] = {"relu", "sigmoid", "gelu", "tanh"};
    const struct unit *unit = self;
    tn_ref x = inputs[0];
    if (count > 1) /* what is joined over and over must not grow */
        x = convolve(b, tn_concat(b, inputs, count, -1), "join");
    switch (unit->kind) {
    case 0:
        return tn_activate_named(b, x, functions[unit->choice]);
    case 1:
        return tn_activate_named(b, convolve(b, x, "kernel"), unit->choice % 2 ? "relu" : "linear");
    case 2:
        return tn_activate_named(b, normalize(b, x), unit->choice % 2 ? "relu" : "linear");
    case 3:
        return tn_drop(b, x, 0.5f);
    case 4: /* stretched: [n, 1, 1, c] */
        return tn_multiply(b, x, tn_global_pool(b, x, unit->choice % 2 ? TN_POOL_MAX : TN_POOL_AVERAGE, 1));
    case 5:
        return tn_add(b, x, tn_subtract(b, x, x));
    default: /* one kernel, used twice */
        return tn_add(b, convolve(b, x, "kernel"), convolve(b, x, "kernel"));
    }
}

static const struct tn_layer unit_type = {TN_TYPE(TN_LAYER, "unit", struct unit, NULL, "a piece"), .minimum_inputs = 1,
                                          .maximum_inputs = -1, .build = unit_build};

static void no_loss(const struct tn_loss_pass *pass)
{
    (void)pass;
}

static int32_t two_slots(const void *self)
{
    (void)self;
    return 2;
}

static void no_update(const struct tn_update *update)
{
    (void)update;
}

static const struct tn_loss loss_type = {
    TN_TYPE_WITH(TN_LOSS, "none", char, NULL, "nothing", TN_LOSS_SPARSE, NULL, NULL), .compute = no_loss};
static const struct tn_optimizer optimizer_type = {TN_TYPE(TN_OPTIMIZER, "none", char, NULL, "nothing"),
                                                   .slot_count = two_slots, .update = no_update};

/* ---- random networks ---- */

struct net {
    struct marks marks;
    struct unit units[LAYERS];
    struct tn_instance instances[LAYERS], device, loss, optimizer;
    struct tn_network_layer layers[LAYERS];
    char names[LAYERS][16];
    const char *inputs[LAYERS][LAYERS];
    struct tn_problems problems;
    struct tn_network *network;
};

static void add_input(struct net *net, uint32_t layer, uint32_t from, bool *used)
{
    net->inputs[layer][net->layers[layer].input_count++] = net->names[from];
    used[from] = true;
}

/* Every layer reads one to three earlier ones; the last reads whatever nobody else did. */
static void connect(struct net *net, uint32_t count, struct tn_random *random)
{
    bool used[LAYERS] = {false};
    for (uint32_t i = 0; i < count; i++) {
        uint64_t inputs = 1 + tn_random_below(random, 3);
        (void)snprintf(net->names[i], sizeof net->names[i], "l%u", i);
        net->units[i] = (struct unit){(int32_t)tn_random_below(random, 7), (int32_t)tn_random_below(random, 4)};
        net->instances[i] = (struct tn_instance){
            .type = &unit_type.type, .self = &net->units[i], .name = net->names[i], .file = "t.ini", .line = i + 1};
        net->layers[i] = (struct tn_network_layer){&net->instances[i], net->inputs[i], 0};
        for (uint64_t k = 0; i && i + 1 < count && k < inputs; k++)
            add_input(net, i, (uint32_t)tn_random_below(random, i), used);
    }
    for (uint32_t i = 0; i + 1 < count; i++)
        if (!used[i])
            add_input(net, count - 1, i, used);
}

static void make_net(struct net *net, uint64_t seed)
{
    struct tn_random random = tn_random_stream(seed, 1);
    uint32_t count = 2 + (uint32_t)tn_random_below(&random, LAYERS - 2);
    struct tn_network_spec spec = {.layer_count = count,
                                   .input_size = {SIDE, SIDE},
                                   .input_channels = CHANNELS,
                                   .input_type = TN_PIXEL_F32,
                                   .loss_target_count = 1,
                                   .seed = seed,
                                   .fuse = seed % 2 != 0};
    memset(net, 0, sizeof *net);
    net->marks.random = tn_random_stream(seed, 2);
    connect(net, count, &random);
    net->device = (struct tn_instance){.type = &marks_type.type, .self = &net->marks, .name = "marks"};
    net->loss = (struct tn_instance){.type = &loss_type.type, .self = net, .name = "none", .file = "t.ini"};
    net->optimizer = (struct tn_instance){.type = &optimizer_type.type, .self = net, .name = "none"};
    spec.device = &net->device;
    spec.layers = net->layers;
    spec.loss = &net->loss;
    spec.optimizer = &net->optimizer;
    (void)tn_network_create(&spec, &net->network, &net->problems);
    if (!net->network)
        ck_abort_msg("%s", net->problems.count ? net->problems.items[0].text : "no network");
}

static void close_net(struct net *net)
{
    tn_network_destroy(&net->network);
    tn_problems_release(&net->problems);
}

START_TEST(nothing_alive_is_written_over)
{
    static const struct tn_step step = {.size = sizeof step, .step = 1};
    static float images[5 * SIDE * SIDE * CHANNELS], targets[5], losses[5], predictions[5 * SIDE * SIDE * CHANNELS];
    const struct tn_plan_request request = {.train = 4, .train_tail = 3, .infer = 5};
    struct net net;
    struct tn_error error = {0};
    make_net(&net, (uint64_t)_i);
    ck_assert_msg(tn_network_plan(net.network, &request, &error) == TN_OK, "%s", error.text);
    ck_assert_msg(tn_network_allocate(net.network, &error) == TN_OK, "%s", error.text);
    for (int32_t batch = 4; batch >= 3; batch--)
        ck_assert_msg(tn_network_train_step(net.network, batch, images, targets, NULL, &step, losses, predictions,
                                            &error) == TN_OK,
                      "%s", error.text);
    ck_assert_msg(tn_network_infer(net.network, 2, images, targets, NULL, losses, predictions, &error) == TN_OK, "%s",
                  error.text);
    for (uint32_t p = 0; p < tn_network_parameter_count(net.network); p++) {
        float *values = calloc((size_t)tn_shape_elements(&tn_network_parameter(net.network, p)->shape), sizeof *values);
        ck_assert_msg(tn_network_read(net.network, p, -1, values, &error) == TN_OK, "%s", error.text);
        free(values);
    }
    close_net(&net);
}
END_TEST

/* The most that ever lives at once: no arena can be smaller. */
static uint64_t least_bytes(const struct program *program)
{
    uint64_t least = 0;
    for (int32_t i = 0; i < (int32_t)program->program.op_count; i++) {
        uint64_t alive = tn__rounded(program->ops[i].scratch_bytes, PLACE_BYTES);
        for (uint32_t k = 0; k < program->program.value_count; k++) {
            const struct tn_value *value = program->program.values[k];
            const struct tn_value_info *info = tn_info(value);
            if (!tn__is_lasting(value) && info->storage == value && info->first <= i && i <= info->last)
                alive += tn__rounded(value->bytes, PLACE_BYTES);
        }
        least = alive > least ? alive : least;
    }
    return least;
}

START_TEST(arenas_are_tight)
{
    const struct tn_plan_request request = {.train = 4};
    uint64_t arenas = 0, bounds = 0;
    for (uint64_t seed = 0; seed < NETWORKS; seed++) {
        struct net net;
        struct tn_error error = {0};
        make_net(&net, seed);
        ck_assert_msg(tn_network_plan(net.network, &request, &error) == TN_OK, "%s", error.text);
        ck_assert_uint_ge(net.network->train.arena_bytes, least_bytes(&net.network->train));
        arenas += net.network->train.arena_bytes;
        bounds += least_bytes(&net.network->train);
        close_net(&net);
    }
    ck_assert_msg(arenas <= bounds + bounds / 20, "arenas take %llu bytes, %llu would be the least",
                  (unsigned long long)arenas, (unsigned long long)bounds);
}
END_TEST

START_TEST(a_device_that_overwrites_what_lives_is_refused)
{
    const struct tn_plan_request request = {.train = 4};
    struct net net;
    struct tn_error error = {0};
    make_net(&net, 11);
    net.marks.wild = true;
    ck_assert_int_ne(tn_network_plan(net.network, &request, &error), TN_OK);
    ck_assert_ptr_nonnull(strstr(error.text, "writes over an input that it may not overwrite"));
    ck_assert_int_ne(tn_network_allocate(net.network, &error), TN_OK); /* a failed plan is not run all the same */
    close_net(&net);
}
END_TEST

START_TEST(planning_again_gives_what_planning_once_gives)
{
    const struct tn_plan_request small = {.train = 2, .infer = 2}, large = {.train = 8, .infer = 8};
    struct net once, twice;
    struct tn_error error = {0};
    make_net(&once, 5);
    make_net(&twice, 5);
    ck_assert_int_eq(tn_network_plan(twice.network, &small, &error), TN_OK);
    once.marks.random = twice.marks.random = tn_random_stream(9, 9);
    ck_assert_int_eq(tn_network_plan(once.network, &large, &error), TN_OK);
    ck_assert_int_eq(tn_network_plan(twice.network, &large, &error), TN_OK);
    ck_assert_uint_eq(tn_network_report(once.network)->step_arena_bytes,
                      tn_network_report(twice.network)->step_arena_bytes);
    ck_assert_uint_eq(tn_network_report(once.network)->lasting_arena_bytes,
                      tn_network_report(twice.network)->lasting_arena_bytes);
    ck_assert_int_eq(tn_network_allocate(twice.network, &error), TN_OK);
    ck_assert_int_ne(tn_network_allocate(twice.network, &error), TN_OK);
    ck_assert_int_ne(tn_network_plan(twice.network, &small, &error), TN_OK);
    close_net(&once);
    close_net(&twice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    TCase *tcase = tcase_create("plan");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, nothing_alive_is_written_over, 0, NETWORKS);
    tcase_add_test(tcase, arenas_are_tight);
    tcase_add_test(tcase, a_device_that_overwrites_what_lives_is_refused);
    tcase_add_test(tcase, planning_again_gives_what_planning_once_gives);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
