/* network_rig.h: a network from a few lines of INI, with a linear probe as its loss, for tests of graph, plan and
 * devices. */
#ifndef TENON_TESTS_NETWORK_RIG_H
#define TENON_TESTS_NETWORK_RIG_H

#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "plan/network.h"

enum { RIG_LAYERS = 32 };

struct rig {
    struct tn_registry *registry;
    struct tn_config *config;
    struct tn_problems problems;
    struct tn_instance *device, *layers[RIG_LAYERS];
    struct tn_instance loss, optimizer;
    struct tn_network_layer list[RIG_LAYERS];
    struct tn_list inputs[RIG_LAYERS];
    struct tn_arena arena;
    struct tn_network_spec spec;
    struct tn_network *network;
    char nothing;
};

/* sum(c * y) with a fixed c: its derivative is the network's own. */
static inline float rig_factor(size_t at)
{
    return (float)((at * 7 + 3) % 11) / 11.0f - 0.4f;
}

static void rig_loss(const struct tn_loss_pass *p)
{
    for (int32_t i = 0; i < p->batch; i++) {
        double sum = 0;
        for (int32_t k = 0; k < p->classes; k++) {
            size_t at = (size_t)i * (size_t)p->classes + (size_t)k;
            sum += (double)rig_factor(at) * p->prediction[at];
            if (p->gradient)
                p->gradient[at] = rig_factor(at) / (float)p->batch;
        }
        p->loss[i] = (float)sum;
    }
}

static int32_t rig_no_slots(const void *self)
{
    (void)self;
    return 0;
}

static double rig_no_rate(const void *self)
{
    (void)self;
    return 0;
}

static void rig_no_update(const struct tn_update *update)
{
    (void)update;
}

/* Takes class numbers, and pays no attention to them: so it fits any output. */
static const struct tn_loss rig_loss_type = {
    TN_TYPE_WITH(TN_LOSS, "linear", char, NULL, "probe", TN_LOSS_SPARSE, NULL, NULL), .compute = rig_loss};
static const struct tn_optimizer rig_optimizer_type = {TN_TYPE(TN_OPTIMIZER, "still", char, NULL, "probe"),
                                                       .slot_count = rig_no_slots, .learning_rate = rig_no_rate,
                                                       .update = rig_no_update};

/* Reads the [layer:…] sections of `ini`; problems are left in rig->problems and NULL in rig->network. */
static inline void rig_open(struct rig *rig, const char *ini, struct tn_size size, int32_t channels)
{
    static const struct tn_option inputs_table[] = {{TN_OPTION_LIST, 0, "inputs", 0, 0, 0, 0, NULL, NULL, "inputs"},
                                                    TN_END};
    static const char *const reserved[] = {"inputs", NULL};
    struct tn_section *section = NULL;
    uint32_t count = 0;
    memset(rig, 0, sizeof *rig);
    ck_assert_int_eq(tn_registry_open(NULL, &rig->registry, NULL), TN_OK);
    (void)tn_config_load_text(ini, strlen(ini), "rig.ini", NULL, 0, &rig->config, &rig->problems);
    ck_assert_ptr_nonnull(rig->config);
    while ((section = tn_config_next(rig->config, "layer", section)) && count < RIG_LAYERS) {
        struct tn_entry *entry = tn_section_entry(section, "inputs");
        struct tn_error error;
        if (entry)
            ck_assert_int_eq(
                tn_option_parse(inputs_table, entry->value, NULL, &rig->inputs[count], &rig->arena, &error), TN_OK);
        if (tn_instance_open(rig->registry, TN_LAYER, NULL, section, reserved, &rig->layers[count], &rig->problems) !=
            TN_OK)
            return;
        rig->list[count] =
            (struct tn_network_layer){rig->layers[count], rig->inputs[count].items, rig->inputs[count].count};
        count++;
    }
    ck_assert_int_eq(tn_instance_open(rig->registry, TN_DEVICE, "cpu", NULL, NULL, &rig->device, &rig->problems),
                     TN_OK);
    rig->loss =
        (struct tn_instance){.type = &rig_loss_type.type, .self = &rig->nothing, .name = "linear", .file = "rig.ini"};
    rig->optimizer = (struct tn_instance){
        .type = &rig_optimizer_type.type, .self = &rig->nothing, .name = "still", .file = "rig.ini"};
    rig->spec = (struct tn_network_spec){.device = rig->device,
                                         .layers = rig->list,
                                         .layer_count = count,
                                         .input_size = size,
                                         .input_channels = channels,
                                         .input_type = TN_PIXEL_F32,
                                         .loss = &rig->loss,
                                         .loss_target_count = 1,
                                         .optimizer = &rig->optimizer,
                                         .seed = 3,
                                         .fuse = 1,
                                         .input_gradient = 1};
    (void)tn_network_create(&rig->spec, &rig->network, &rig->problems);
}

static inline void rig_request(struct rig *rig, const struct tn_plan_request *request)
{
    struct tn_error error = {0};
    ck_assert_msg(rig->network != NULL, "%s", rig->problems.count ? rig->problems.items[0].text : "no network");
    ck_assert_msg(tn_network_plan(rig->network, request, &error) == TN_OK, "%s", error.text);
    ck_assert_msg(tn_network_allocate(rig->network, &error) == TN_OK, "%s", error.text);
}

static inline void rig_allocate(struct rig *rig, int32_t train, int32_t tail, int32_t infer)
{
    struct tn_plan_request request = {.train = train, .train_tail = tail, .infer = infer};
    rig_request(rig, &request);
}

static inline void rig_close(struct rig *rig)
{
    tn_network_destroy(&rig->network);
    for (size_t i = 0; i < RIG_LAYERS; i++)
        tn_instance_close(&rig->layers[i]);
    tn_instance_close(&rig->device);
    tn_config_close(&rig->config);
    tn_problems_release(&rig->problems);
    tn_arena_release(&rig->arena);
    tn_registry_close(&rig->registry);
}

static inline void rig_random(float *data, size_t count, uint64_t seed)
{
    struct tn_random random = tn_random_stream(seed, 1);
    for (size_t i = 0; i < count; i++)
        data[i] = (float)tn_random_uniform(&random, -1.0, 1.0);
}

#endif
