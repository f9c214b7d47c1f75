/* small_network.c: see small_network.h. */
#include "support/small_network.h"

void small_network_begin(struct small_network *net, struct golden_rig *rig)
{
    *net = (struct small_network){.rig = rig};
}

TN_PRINTF(2, 3) static void give_reason(struct small_network *net, const char *format, ...)
{
    va_list arguments;
    if (net->reason[0])
        return;
    va_start(arguments, format);
    (void)vsnprintf(net->reason, sizeof net->reason, format, arguments);
    va_end(arguments);
}

static void open_instance(struct small_network *net, uint32_t kind, const char *type, struct golden_options *options,
                          struct golden_instance *made)
{
    struct golden_options none = {0};
    if (!golden_instance_open(net->rig, kind, type, options ? options : &none, made))
        give_reason(net, "%s", made->reason);
}

void small_network_layer(struct small_network *net, const char *name, const char *type, struct golden_options *options,
                         const char *const *inputs, uint32_t input_count)
{
    uint32_t index = net->count;
    struct golden_options none = {0};
    if (net->reason[0] || index == SMALL_NETWORK_LAYERS || input_count > SMALL_NETWORK_INPUTS) {
        give_reason(net, "too many layers or inputs");
        if (options)
            tn_text_release(&options->text);
        return;
    }
    options = options ? options : &none;
    options->name = name;
    open_instance(net, TN_LAYER, type, options, &net->instances[index]);
    for (uint32_t i = 0; i < input_count; i++)
        net->inputs[index][i] = tn_arena_string(&net->arena, inputs[i]);
    net->layers[index] = (struct tn_network_layer){net->instances[index].instance, net->inputs[index], input_count};
    net->count++;
}

void small_network_train(struct small_network *net, const char *loss, struct golden_options *loss_options,
                         const char *optimizer, struct golden_options *optimizer_options)
{
    open_instance(net, TN_LOSS, loss, loss_options, &net->loss);
    open_instance(net, TN_OPTIMIZER, optimizer, optimizer_options, &net->optimizer);
}

bool small_network_make(struct small_network *net, int32_t height, int32_t width, int32_t channels, int32_t train,
                        int32_t infer)
{
    const struct tn_plan_request request = {.train = train, .infer = infer};
    struct tn_network_spec spec = {.device = net->rig->device,
                                   .layers = net->layers,
                                   .layer_count = net->count,
                                   .input_size = {height, width},
                                   .input_channels = channels,
                                   .input_type = TN_PIXEL_F32,
                                   .loss = net->loss.instance,
                                   .loss_target_count = 1,
                                   .optimizer = net->optimizer.instance,
                                   .seed = 1,
                                   .fuse = 1};
    struct tn_problems problems = {0};
    struct tn_error error = {0};
    if (net->reason[0])
        return false;
    if (tn_network_create(&spec, &net->network, &problems) != TN_OK)
        give_reason(net, "%s", problems.count ? problems.items[0].text : "no network, and no reason given");
    else if (tn_network_plan(net->network, &request, &error) != TN_OK ||
             tn_network_allocate(net->network, &error) != TN_OK)
        give_reason(net, "%s", error.text);
    tn_problems_release(&problems);
    return !net->reason[0];
}

int64_t small_network_parameter(const struct small_network *net, const char *path)
{
    for (uint32_t i = 0; i < tn_network_parameter_count(net->network); i++) {
        const struct tn_parameter_info *info = tn_network_parameter(net->network, i);
        size_t length = strlen(info->layer);
        if (strncmp(path, info->layer, length) == 0 && path[length] == '/' &&
            strcmp(path + length + 1, info->name) == 0)
            return i;
    }
    return -1;
}

void small_network_end(struct small_network *net)
{
    tn_network_destroy(&net->network);
    for (uint32_t i = 0; i < net->count; i++)
        golden_instance_close(&net->instances[i]);
    golden_instance_close(&net->loss);
    golden_instance_close(&net->optimizer);
    tn_arena_release(&net->arena);
}
