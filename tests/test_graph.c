/* test_graph.c: what is wrong with a network is said with both layers and both shapes; plans never put two living
 * values in one place. */
#include "network_rig.h"

#include "plan/internal.h"

#define CONV "[layer:conv]\ntype=conv2d\nfilters=4\nkernel_size=3\n"

static const struct {
    const char *name, *ini, *says;
    uint32_t line;
} wrong[] = {
    {"no such input", CONV "[layer:end]\ntype=flatten\ninputs=cnov\n", "there is no layer `cnov`; did you mean `conv`?",
     5},
    {"cycle", "[layer:a]\ntype=add\ninputs=b, input\n[layer:b]\ntype=activation\nactivation=relu\ninputs=a\n",
     "form a cycle: a needs b needs a", 1},
    {"shapes of an add", CONV "[layer:sum]\ntype=add\ninputs=conv, input\n", "cannot combine [5, 7, 4] and [7, 9, 3]",
     5},
    {"both layers are named", CONV "[layer:sum]\ntype=add\ninputs=conv, input\n",
     "[5, 7, 4] from [layer:conv] (rig.ini:1)", 5},
    {"convolution of rows", "[layer:f]\ntype=flatten\n" CONV, "needs images, [height, width, channels]", 3},
    {"where rows come from", "[layer:f]\ntype=flatten\n" CONV, "[189] from [layer:f] (rig.ini:1)", 3},
    {"kernel too large", "[layer:c]\ntype=conv2d\nfilters=4\nkernel_size=8\n",
     "its 8x8 kernel does not fit into an input of [7, 9, 3]", 1},
    {"window too large", "[layer:p]\ntype=max_pooling2d\npool_size=10\n", "its 10x10 window does not fit", 1},
    {"groups", "[layer:c]\ntype=conv2d\nfilters=4\nkernel_size=3\ngroups=2\n",
     "groups = 2 has to divide the 3 input channels", 1},
    {"strides and dilation", "[layer:c]\ntype=conv2d\nfilters=4\nkernel_size=3\nstrides=2\ndilation_rate=2\n",
     "cannot both be larger than 1", 1},
    {"activation", "[layer:a]\ntype=activation\nactivation=relo\n", "unknown activation `relo`; did you mean `relu`?",
     1},
    {"unused", CONV "[layer:end]\ntype=flatten\ninputs=input\n", "nothing uses its output", 1},
    {"one input for an add", "[layer:sum]\ntype=add\n", "takes at least 2 inputs, but has 1", 1},
    {"two inputs for a flatten", CONV "[layer:f]\ntype=flatten\ninputs=conv, input\n",
     "takes 1 input, but `inputs` names 2", 5},
    {"concatenate", CONV "[layer:c]\ntype=concatenate\ninputs=conv, input\n",
     "cannot join [5, 7, 4] and [7, 9, 3] along axis 3", 5},
};

START_TEST(wrong_networks_name_the_place)
{
    struct rig rig;
    rig_open(&rig, wrong[_i].ini, (struct tn_size){7, 9}, 3);
    ck_assert_msg(rig.network == NULL, "%s: was taken", wrong[_i].name);
    ck_assert_msg(rig.problems.count == 1, "%s: %zu problems", wrong[_i].name, rig.problems.count);
    ck_assert_msg(strstr(rig.problems.items[0].text, wrong[_i].says) != NULL, "%s: says `%s`", wrong[_i].name,
                  rig.problems.items[0].text);
    ck_assert_str_eq(rig.problems.items[0].file, "rig.ini");
    ck_assert_msg(rig.problems.items[0].line == wrong[_i].line, "%s: line %u", wrong[_i].name,
                  rig.problems.items[0].line);
    rig_close(&rig);
}
END_TEST

START_TEST(the_output_has_to_fit_the_classes)
{
    struct rig rig;
    rig_open(&rig, "[layer:f]\ntype=flatten\n[layer:d]\ntype=dense\nunits=4\n", (struct tn_size){7, 9}, 3);
    tn_network_destroy(&rig.network);
    rig.spec.class_count = 10;
    ck_assert_int_ne(tn_network_create(&rig.spec, &rig.network, &rig.problems), TN_OK);
    ck_assert_ptr_nonnull(
        strstr(rig.problems.items[0].text, "[layer:d] is the last layer and gives [4], but the data needs [10]"));
    rig_close(&rig);
}
END_TEST

static bool lasting(const struct tn_value *value)
{
    return value->role == TN_ROLE_PARAMETER || value->role == TN_ROLE_STATE || value->role == TN_ROLE_SLOT;
}

static const struct tn_value *root(const struct tn_value *value)
{
    while (tn_info(value)->storage != value)
        value = tn_info(value)->storage;
    return value;
}

/* By brute force: no two values that live at the same time overlap, and no scratch lies in a living value. */
static void check_places(const struct program *program)
{
    const struct tn_program *p = &program->program;
    for (uint32_t i = 0; i < p->value_count; i++) {
        const struct tn_value *a = p->values[i];
        if (lasting(a) || !a->bytes || root(a) != a || tn_info(a)->first > tn_info(a)->last)
            continue;
        ck_assert_uint_le(tn_info(a)->offset + a->bytes, program->arena_bytes);
        for (uint32_t k = 0; k < i; k++) {
            const struct tn_value *b = p->values[k];
            if (lasting(b) || !b->bytes || root(b) != b || tn_info(b)->first > tn_info(b)->last)
                continue;
            if (tn_info(a)->first <= tn_info(b)->last && tn_info(b)->first <= tn_info(a)->last)
                ck_assert_msg(tn_info(a)->offset + a->bytes <= tn_info(b)->offset ||
                                  tn_info(b)->offset + b->bytes <= tn_info(a)->offset,
                              "%s and %s share a place while both live", a->name, b->name);
        }
        for (uint32_t k = 0; k < p->op_count; k++) {
            const char *scratch = p->ops[k].scratch, *data = a->data;
            if (!p->ops[k].scratch_bytes || (int32_t)k < tn_info(a)->first || (int32_t)k > tn_info(a)->last)
                continue;
            ck_assert_msg(scratch + p->ops[k].scratch_bytes <= data || data + a->bytes <= scratch,
                          "scratch of %s lies in %s", p->ops[k].layer, a->name);
        }
    }
}

static const char residual_net[] =
    "[layer:c]\ntype=conv2d\nfilters=16\nkernel_size=3\npadding=same\nactivation=relu\n[layer:p]\ntype=max_pooling2d\n"
    "[layer:a]\ntype=conv2d\nfilters=16\nkernel_size=3\npadding=same\n[layer:b]\ntype=batch_normalization\n[layer:r]"
    "\ntype=activation\nactivation=relu\n"
    "[layer:s]\ntype=add\ninputs=r, p\n[layer:k]\ntype=concatenate\ninputs=s, r\n[layer:d]\ntype=dropout\nrate=0.5\n"
    "[layer:g]\ntype=global_average_pooling2d\n[layer:e]\ntype=dense\nunits=10\nactivation=softmax\n";

START_TEST(living_values_never_share_a_place)
{
    struct rig rig;
    rig_open(&rig, residual_net, (struct tn_size){24, 24}, 3);
    rig_allocate(&rig, 8, 3, 8);
    check_places(&rig.network->train);
    check_places(&rig.network->tail);
    check_places(&rig.network->infer);
    rig_close(&rig);
}
END_TEST

START_TEST(places_are_reused)
{
    struct rig rig;
    uint64_t all = 0;
    rig_open(&rig, residual_net, (struct tn_size){24, 24}, 3);
    rig_allocate(&rig, 8, 0, 0);
    for (uint32_t i = 0; i < rig.network->train.program.value_count; i++)
        if (!lasting(rig.network->train.program.values[i]))
            all += rig.network->train.program.values[i]->bytes;
    ck_assert_uint_lt(rig.network->train.arena_bytes, all);
    ck_assert_uint_ge(tn_network_report(rig.network)->step_arena_bytes, rig.network->train.arena_bytes);
    rig_close(&rig);
}
END_TEST

/* The gradient of a weight that is updated at once does not wait for the end of the step. */
START_TEST(updates_come_early)
{
    struct rig rig;
    int32_t first_update = -1;
    rig_open(&rig, residual_net, (struct tn_size){24, 24}, 3);
    rig_allocate(&rig, 8, 0, 0);
    for (uint32_t i = 0; i < rig.network->train.program.op_count && first_update < 0; i++)
        if (rig.network->train.ops[i].kind == TN_OP_UPDATE)
            first_update = (int32_t)i;
    ck_assert_int_ge(first_update, 0);
    ck_assert_int_lt(first_update, (int32_t)rig.network->train.program.op_count - 6);
    rig_close(&rig);
}
END_TEST

START_TEST(no_gradient_that_nobody_needs)
{
    struct rig rig;
    rig_open(&rig, residual_net, (struct tn_size){24, 24}, 3);
    tn_network_destroy(&rig.network);
    rig.spec.input_gradient = 0;
    ck_assert_int_eq(tn_network_create(&rig.spec, &rig.network, &rig.problems), TN_OK);
    rig_allocate(&rig, 8, 0, 0);
    for (uint32_t i = 0; i < rig.network->train.program.op_count; i++) {
        const struct tn_op *op = &rig.network->train.ops[i];
        if (op->kind == TN_OP_CONV2D_GRADIENT && strcmp(op->layer, "c") == 0)
            ck_assert_ptr_null(op->outputs[0]);
    }
    rig_close(&rig);
}
END_TEST

START_TEST(weights_are_the_same_for_the_same_seed_and_layer)
{
    struct rig one, two;
    float a[3 * 3 * 3 * 16], b[3 * 3 * 3 * 16];
    rig_open(&one, residual_net, (struct tn_size){24, 24}, 3);
    rig_open(&two, "[layer:c]\ntype=conv2d\nfilters=16\nkernel_size=3\n[layer:z]\ntype=flatten\n",
             (struct tn_size){24, 24}, 3);
    rig_allocate(&one, 4, 0, 0);
    rig_allocate(&two, 0, 0, 2);
    ck_assert_int_eq(tn_network_read(one.network, 0, -1, a, NULL), TN_OK);
    ck_assert_int_eq(tn_network_read(two.network, 0, -1, b, NULL), TN_OK);
    ck_assert_mem_eq(a, b, sizeof a);
    rig_close(&one);
    rig_close(&two);
}
END_TEST

/* A smaller batch runs in the same program, padded: same answers. */
START_TEST(a_short_batch_gives_the_same_answers)
{
    struct rig rig;
    float images[8 * 24 * 24 * 3], all[8 * 10], some[8 * 10];
    rig_open(&rig, residual_net, (struct tn_size){24, 24}, 3);
    rig_allocate(&rig, 8, 0, 8);
    rig_random(images, TN_COUNT_OF(images), 4);
    ck_assert_int_eq(tn_network_infer(rig.network, 8, images, NULL, NULL, NULL, all, NULL), TN_OK);
    ck_assert_int_eq(tn_network_infer(rig.network, 5, images, NULL, NULL, NULL, some, NULL), TN_OK);
    ck_assert_mem_eq(all, some, 5 * 10 * sizeof *all);
    rig_close(&rig);
}
END_TEST

START_TEST(kept_weights_come_back)
{
    struct rig rig;
    struct tn_plan_request request = {.train = 4, .keep_weights = 1};
    float old[3 * 3 * 3 * 16], now[3 * 3 * 3 * 16], other[3 * 3 * 3 * 16] = {0};
    struct tn_error error = {0};
    rig_open(&rig, residual_net, (struct tn_size){24, 24}, 3);
    ck_assert_int_eq(tn_network_plan(rig.network, &request, &error), TN_OK);
    ck_assert_int_eq(tn_network_allocate(rig.network, &error), TN_OK);
    ck_assert_int_eq(tn_network_read(rig.network, 0, -1, old, NULL), TN_OK);
    ck_assert_msg(tn_network_keep(rig.network, &error) == TN_OK, "%s", error.text);
    ck_assert_int_eq(tn_network_write(rig.network, 0, -1, other, NULL), TN_OK);
    ck_assert_int_eq(tn_network_restore(rig.network, &error), TN_OK);
    ck_assert_int_eq(tn_network_read(rig.network, 0, -1, now, NULL), TN_OK);
    ck_assert_mem_eq(old, now, sizeof old);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph");
    TCase *tcase = tcase_create("graph");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, wrong_networks_name_the_place, 0, (int)TN_COUNT_OF(wrong));
    tcase_add_test(tcase, the_output_has_to_fit_the_classes);
    tcase_add_test(tcase, living_values_never_share_a_place);
    tcase_add_test(tcase, places_are_reused);
    tcase_add_test(tcase, updates_come_early);
    tcase_add_test(tcase, no_gradient_that_nobody_needs);
    tcase_add_test(tcase, weights_are_the_same_for_the_same_seed_and_layer);
    tcase_add_test(tcase, a_short_batch_gives_the_same_answers);
    tcase_add_test(tcase, kept_weights_come_back);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
