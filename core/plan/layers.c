/* layers.c: from the experiment's layers to a forward graph: names, inputs, order, parameters, and errors with both
 * places. */
#include <stdlib.h>

#include "plan/internal.h"

struct build {
    struct tn_builder_state state;
    struct tn_network *network;
    struct built_layer *layers;
    struct tn_value *images;
    struct tn_problems *problems;
    uint32_t index; /* of the layer in hand */
};

static const struct tn_instance *instance_of(const struct build *build, uint32_t index)
{
    return build->network->spec.layers[index].instance;
}

static struct parameter *find_parameter(const struct tn_network *network, const char *layer, const char *name)
{
    for (size_t i = 0; i < network->parameter_count; i++)
        if (strcmp(network->parameters[i]->info.layer, layer) == 0 &&
            strcmp(network->parameters[i]->info.name, name) == 0)
            return network->parameters[i];
    return NULL;
}

static struct parameter *make_parameter(struct build *build, const char *name, const struct tn_shape *shape,
                                        const struct tn_initializer *initializer, int32_t trained)
{
    struct tn_network *network = build->network;
    struct tn_arena *arena = &network->arena;
    struct parameter *p = tn_arena_take(arena, sizeof *p);
    if (!p || tn_grow(&network->parameters, &network->parameter_capacity, network->parameter_count + 1,
                      sizeof(struct parameter *)) != TN_OK)
        return NULL;
    p->info = (struct tn_parameter_info){tn_arena_string(arena, build->state.layer), tn_arena_string(arena, name),
                                         *shape, trained, trained ? network->slot_count : 0};
    p->initializer = *initializer;
    p->layer_index = build->index;
    p->value = (struct tn_value){.role = trained ? TN_ROLE_PARAMETER : TN_ROLE_STATE,
                                 .data_type = TN_F32,
                                 .shape = *shape,
                                 .name = tn_arena_format(arena, "%s/%s", build->state.layer, name)};
    for (int32_t i = 0; i < p->info.slot_count; i++) {
        p->slots[i] = p->value;
        p->slots[i].role = TN_ROLE_SLOT;
    }
    if (!p->info.layer || !p->info.name || !p->value.name)
        return NULL;
    network->parameters[network->parameter_count++] = p;
    return p;
}

/* tn_builder_state.parameter: the same parameter in every program. */
static struct tn_value *take_parameter(struct tn_builder_state *state, const char *name, const struct tn_shape *shape,
                                       const struct tn_initializer *initializer, int32_t trained)
{
    struct build *build = state->context;
    struct parameter *p = find_parameter(build->network, state->layer, name);
    if (!p)
        p = make_parameter(build, name, shape, initializer, trained);
    if (!p)
        return NULL;
    /* Each program begins with fresh notes of the core; layout and place stay. */
    p->value_info = (struct tn_value_info){.needs_gradient = trained, .storage = &p->value};
    p->value.core = &p->value_info;
    for (int32_t i = 0; i < p->info.slot_count; i++) {
        p->slot_info[i] = (struct tn_value_info){.storage = &p->slots[i]};
        p->slots[i].core = &p->slot_info[i];
    }
    tn_graph_adopt(state->graph, &p->value);
    return &p->value;
}

/* Index of the layer that input `i` of layer `index` names; -1 = the images; -2 = unknown. */
static int64_t input_index(const struct build *build, uint32_t index, uint32_t i)
{
    const struct tn_network_layer *layer = &build->network->spec.layers[index];
    if (layer->input_count == 0)
        return (int64_t)index - 1;
    for (uint32_t k = 0; k < build->network->spec.layer_count; k++)
        if (strcmp(instance_of(build, k)->name, layer->inputs[i]) == 0)
            return k;
    return strcmp(layer->inputs[i], "input") == 0 ? -1 : -2;
}

static uint32_t input_count(const struct build *build, uint32_t index)
{
    uint32_t count = build->network->spec.layers[index].input_count;
    return count ? count : 1;
}

static void problem_at(struct build *build, uint32_t index, const char *text)
{
    const struct tn_instance *instance = instance_of(build, index);
    struct tn_text from = {0};
    for (uint32_t i = 0; i < input_count(build, index); i++) {
        int64_t source = input_index(build, index, i);
        struct tn_value *value =
            source < 0 ? build->images : tn_builder_value(&build->state, build->layers[source].ref);
        char shape[96];
        if (!value)
            continue;
        tn_text_format(&from, "%s %s from ", from.length ? " and" : "",
                       tn_shape_text(shape, sizeof shape, &value->shape));
        if (source < 0)
            tn_text_add(&from, "the images");
        else
            tn_text_format(&from, "[layer:%s] (%s:%u)", instance_of(build, (uint32_t)source)->name,
                           instance_of(build, (uint32_t)source)->file, instance_of(build, (uint32_t)source)->line);
    }
    tn_problem_add(build->problems, instance->file, instance->line, "[layer:%s] %s; its input is%s", instance->name,
                   text, from.data ? from.data : " unknown");
    tn_text_release(&from);
}

static bool check_names(struct build *build)
{
    const struct tn_network_spec *spec = &build->network->spec;
    size_t before = build->problems->count;
    const char **names = calloc(spec->layer_count + 2, sizeof *names);
    if (!names)
        return false;
    for (uint32_t i = 0; i < spec->layer_count; i++)
        names[i] = instance_of(build, i)->name;
    names[spec->layer_count] = "input";
    for (uint32_t i = 0; i < spec->layer_count; i++) {
        const struct tn_layer *type = (const struct tn_layer *)(const void *)instance_of(build, i)->type;
        int32_t least = type->minimum_inputs || type->maximum_inputs ? type->minimum_inputs : 1;
        int32_t most = type->minimum_inputs || type->maximum_inputs ? type->maximum_inputs : 1;
        uint32_t count = input_count(build, i);
        for (uint32_t k = 0; k < count; k++) {
            if (input_index(build, i, k) == -2) {
                const char *wrong = spec->layers[i].inputs[k], *near = tn_nearest(wrong, names);
                tn_problem_add(build->problems, instance_of(build, i)->file, instance_of(build, i)->line,
                               near ? "[layer:%s] inputs: there is no layer `%s`; did you mean `%s`?"
                                    : "[layer:%s] inputs: there is no layer `%s`",
                               instance_of(build, i)->name, wrong, near);
            }
        }
        if ((int32_t)count < least || (most >= 0 && (int32_t)count > most))
            tn_problem_add(build->problems, instance_of(build, i)->file, instance_of(build, i)->line,
                           least == most ? "[layer:%s] a %s takes %d input%s, but `inputs` names %u"
                                         : "[layer:%s] a %s takes at least %d input%s, but has %u",
                           instance_of(build, i)->name, type->type.name, least, least == 1 ? "" : "s", count);
    }
    free(names);
    return build->problems->count == before;
}

/* Builds one layer whose inputs are all there; false = a problem was added. */
static bool build_one(struct build *build, uint32_t index)
{
    const struct tn_instance *instance = instance_of(build, index);
    const struct tn_layer *type = (const struct tn_layer *)(const void *)instance->type;
    uint32_t count = input_count(build, index);
    tn_ref refs[64], out;
    build->state.layer = instance->name;
    build->state.problem[0] = '\0';
    build->state.dropouts = 0;
    build->index = index;
    for (uint32_t i = 0; i < count && i < TN_COUNT_OF(refs); i++) {
        int64_t source = input_index(build, index, i);
        refs[i] = source < 0 ? tn_builder_ref(&build->state, build->images) : build->layers[source].ref;
    }
    if (count > TN_COUNT_OF(refs)) {
        problem_at(build, index, "has more than 64 inputs");
        return false;
    }
    out = type->build ? type->build(instance->self, &build->state.builder, refs, count)
                      : tn_builder_custom(&build->state, type, instance->self, refs, count);
    if (!out || build->state.problem[0]) {
        problem_at(build, index, build->state.problem[0] ? build->state.problem : "gives no output");
        return false;
    }
    build->layers[index].ref = out;
    build->layers[index].output = tn_builder_value(&build->state, out)->shape;
    return true;
}

/* What could not be built waits for itself. */
static void report_cycle(struct build *build)
{
    struct tn_text names = {0};
    uint32_t first = UINT32_MAX;
    for (uint32_t i = 0; i < build->network->spec.layer_count; i++) {
        if (build->layers[i].ref)
            continue;
        if (first == UINT32_MAX)
            first = i;
        tn_text_format(&names, "%s%s", names.length ? ", " : "", instance_of(build, i)->name);
    }
    if (first != UINT32_MAX)
        tn_problem_add(build->problems, instance_of(build, first)->file, instance_of(build, first)->line,
                       "[layer:%s] the `inputs` of these layers form a cycle: %s", instance_of(build, first)->name,
                       names.data ? names.data : "");
    tn_text_release(&names);
}

static bool build_all(struct build *build)
{
    uint32_t count = build->network->spec.layer_count, done = 0;
    bool progress = true;
    while (done < count && progress) {
        progress = false;
        for (uint32_t i = 0; i < count; i++) {
            bool ready = !build->layers[i].ref;
            for (uint32_t k = 0; ready && k < input_count(build, i); k++) {
                int64_t source = input_index(build, i, k);
                ready = source < 0 || build->layers[source].ref;
            }
            if (!ready)
                continue;
            if (!build_one(build, i))
                return false;
            progress = true;
            done++;
        }
    }
    if (done < count)
        report_cycle(build);
    return done == count;
}

static void check_unused(struct build *build)
{
    uint32_t count = build->network->spec.layer_count;
    for (uint32_t i = 0; i + 1 < count; i++) {
        bool used = false;
        for (uint32_t k = 0; k < count && !used; k++)
            for (uint32_t n = 0; n < input_count(build, k); n++)
                used = used || input_index(build, k, n) == (int64_t)i;
        if (!used)
            tn_problem_add(build->problems, instance_of(build, i)->file, instance_of(build, i)->line,
                           "[layer:%s] nothing uses its output: name it in the `inputs` of a later layer, or remove it",
                           instance_of(build, i)->name);
    }
}

tn_status tn__build_layers(struct tn_network *network, struct tn_graph *graph, int32_t batch,
                           struct built_layer *layers, struct tn_value **images, struct tn_value **output,
                           struct tn_problems *problems)
{
    struct build build = {.network = network, .layers = layers, .problems = problems};
    const struct tn_network_spec *spec = &network->spec;
    struct tn_shape shape = {4, {batch, spec->input_size.height, spec->input_size.width, spec->input_channels}};
    size_t before = problems->count;
    tn_builder_begin(&build.state, graph);
    build.state.parameter = take_parameter;
    build.state.context = &build;
    *images = tn_graph_value(graph, TN_ROLE_INPUT, &shape, "images");
    if (!*images)
        return TN_NO_MEMORY;
    tn_info(*images)->needs_gradient = spec->input_gradient != 0;
    build.images = *images;
    if (spec->input_type == TN_PIXEL_U8) {
        (*images)->data_type = TN_U8;
        build.state.layer = "images";
        build.images = tn_builder_value(
            &build.state, tn_cast(&build.state.builder, tn_builder_ref(&build.state, *images), 1.0f, 0.0f));
        if (!build.images)
            return TN_NO_MEMORY;
    }
    if (check_names(&build) && build_all(&build))
        check_unused(&build);
    if (graph->failed || network->arena.failed)
        return TN_NO_MEMORY;
    if (problems->count != before)
        return TN_INVALID;
    *output = tn_builder_value(&build.state, layers[spec->layer_count - 1].ref);
    return TN_OK;
}
