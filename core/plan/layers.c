/* layers.c: from the experiment's layers to a forward graph: names, inputs, order, parameters, and errors with both
 * places. */
#include "plan/internal.h"

enum { MOST_INPUTS = 63, IMAGES = -1, UNKNOWN = -2 };

/* Where the inputs of one layer come from: indices of layers, or IMAGES, or UNKNOWN. */
struct sources {
    int32_t *items;
    uint32_t count;
};

enum state { WAITING = 0, BUILT, FAILED };

struct build {
    struct tn_builder_state state;
    struct tn_network *network;
    struct built_layer *layers;
    struct sources *sources;
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

/* Each program begins with fresh notes of the core; layout and place stay. */
static void begin_parameter(struct parameter *p)
{
    p->value_info = (struct tn_value_info){.needs_gradient = p->info.trained != 0, .storage = &p->value};
    p->value.core = &p->value_info;
    for (int32_t i = 0; i < p->info.slot_count; i++) {
        p->slot_info[i] = (struct tn_value_info){.storage = &p->slots[i]};
        p->slots[i].core = &p->slot_info[i];
    }
}

/* tn_builder_state.parameter: the same parameter in every program. */
static struct tn_value *take_parameter(struct tn_builder_state *state, const char *name, const struct tn_shape *shape,
                                       const struct tn_initializer *initializer, int32_t trained)
{
    struct build *build = state->context;
    struct parameter *p = find_parameter(build->network, state->layer, name);
    if (!p && build->network->complete) {
        (void)tn_builder_fail(&state->builder, "asks for its weight %s here, but not in training", name);
        return NULL;
    }
    if (!p)
        p = make_parameter(build, name, shape, initializer, trained);
    if (!p)
        return NULL;
    if (!tn_shape_equal(&p->info.shape, shape) || !p->info.trained != !trained) {
        (void)tn_builder_fail(&state->builder, "asks for its weight %s twice, and differently", name);
        return NULL;
    }
    if (tn_builder_ref(state, &p->value))
        return &p->value;
    begin_parameter(p);
    tn_graph_adopt(state->graph, &p->value);
    return &p->value;
}

static int32_t source_index(const struct build *build, const char *name)
{
    for (uint32_t k = 0; k < build->network->spec.layer_count; k++)
        if (strcmp(instance_of(build, k)->name, name) == 0)
            return (int32_t)k;
    return strcmp(name, "input") == 0 ? IMAGES : UNKNOWN;
}

/* Looks up all inputs once; false = no memory. */
static bool find_sources(struct build *build)
{
    const struct tn_network_spec *spec = &build->network->spec;
    struct tn_arena *arena = &build->state.graph->arena;
    build->sources = tn_arena_take(arena, spec->layer_count * sizeof *build->sources);
    for (uint32_t i = 0; build->sources && i < spec->layer_count; i++) {
        const struct tn_network_layer *layer = &spec->layers[i];
        struct sources *sources = &build->sources[i];
        sources->count = layer->input_count ? layer->input_count : 1;
        sources->items = tn_arena_take(arena, sources->count * sizeof *sources->items);
        if (!sources->items)
            return false;
        for (uint32_t k = 0; k < sources->count; k++)
            sources->items[k] = layer->input_count ? source_index(build, layer->inputs[k]) : (int32_t)i - 1;
    }
    return build->sources != NULL;
}

static void problem_at(struct build *build, uint32_t index, const char *text)
{
    const struct tn_instance *instance = instance_of(build, index);
    const struct sources *sources = &build->sources[index];
    struct tn_text from = {0};
    for (uint32_t i = 0; i < sources->count; i++) {
        int32_t source = sources->items[i];
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

/* What `inputs` of one layer gets wrong. */
static void check_inputs(struct build *build, uint32_t index, const char *const *names)
{
    const struct tn_instance *instance = instance_of(build, index);
    const struct tn_layer *type = (const struct tn_layer *)(const void *)instance->type;
    const struct sources *sources = &build->sources[index];
    bool one = !type->minimum_inputs && !type->maximum_inputs;
    int32_t least = one ? 1 : type->minimum_inputs, most = one ? 1 : type->maximum_inputs;
    if (most < least || most > MOST_INPUTS)
        most = most < 0 || most > MOST_INPUTS ? MOST_INPUTS : least;
    for (uint32_t k = 0; k < sources->count; k++) {
        if (sources->items[k] == UNKNOWN) {
            const char *wrong = build->network->spec.layers[index].inputs[k], *near = tn_nearest(wrong, names);
            tn_problem_add(build->problems, instance->file, instance->line,
                           near ? "[layer:%s] inputs: there is no layer `%s`; did you mean `%s`?"
                                : "[layer:%s] inputs: there is no layer `%s`",
                           instance->name, wrong, near);
        }
    }
    if (sources->count < (uint32_t)least || (least == most && sources->count != (uint32_t)least))
        tn_problem_add(build->problems, instance->file, instance->line,
                       least == most ? "[layer:%s] a %s takes %d input%s, but `inputs` names %u"
                                     : "[layer:%s] a %s takes at least %d input%s, but has %u",
                       instance->name, type->type.name, least, least == 1 ? "" : "s", sources->count);
    else if (sources->count > (uint32_t)most)
        tn_problem_add(build->problems, instance->file, instance->line,
                       "[layer:%s] a %s takes at most %d inputs, but `inputs` names %u", instance->name,
                       type->type.name, most, sources->count);
    if (strcmp(instance->name, "input") == 0)
        tn_problem_add(build->problems, instance->file, instance->line,
                       "[layer:input] `input` stands for the images: give the layer another name");
}

static bool check_names(struct build *build)
{
    const struct tn_network_spec *spec = &build->network->spec;
    size_t before = build->problems->count;
    const char **names = tn_arena_take(&build->state.graph->arena, (spec->layer_count + 2) * sizeof *names);
    if (!names)
        return false;
    for (uint32_t i = 0; i < spec->layer_count; i++)
        names[i] = instance_of(build, i)->name;
    names[spec->layer_count] = "input";
    for (uint32_t i = 0; i < spec->layer_count; i++)
        check_inputs(build, i, names);
    return build->problems->count == before;
}

/* Builds one layer whose inputs are all there. */
static enum state build_one(struct build *build, uint32_t index)
{
    const struct tn_instance *instance = instance_of(build, index);
    const struct tn_layer *type = (const struct tn_layer *)(const void *)instance->type;
    const struct sources *sources = &build->sources[index];
    const struct tn_value *value;
    tn_ref refs[MOST_INPUTS], out;
    build->state.layer = instance->name;
    build->state.problem[0] = '\0';
    build->state.dropouts = 0;
    build->index = index;
    for (uint32_t i = 0; i < sources->count; i++) {
        int32_t source = sources->items[i];
        refs[i] = source < 0 ? tn_builder_ref(&build->state, build->images) : build->layers[source].ref;
    }
    out = type->build ? type->build(instance->self, &build->state.builder, refs, sources->count)
                      : tn_builder_custom(&build->state, type, instance->self, refs, sources->count);
    value = tn_builder_value(&build->state, out);
    if (!value || build->state.problem[0]) {
        problem_at(build, index, build->state.problem[0] ? build->state.problem : "gives no output");
        return FAILED;
    }
    if (value->shape.rank < 1 || value->shape.dims[0] != build->images->shape.dims[0]) {
        problem_at(build, index, "gives an output whose first axis is not the batch");
        return FAILED;
    }
    build->layers[index].ref = out;
    build->layers[index].output = value->shape;
    return BUILT;
}

/* The first input that is not built yet. */
static uint32_t waits_for(const struct build *build, const enum state *states, uint32_t index)
{
    const struct sources *sources = &build->sources[index];
    uint32_t k = 0;
    while (k + 1 < sources->count && (sources->items[k] < 0 || states[sources->items[k]] != WAITING))
        k++;
    return (uint32_t)sources->items[k];
}

/* Whoever still waits, waits for someone who waits: after as many steps as there are layers we walk in a circle. */
static void report_cycle(struct build *build, const enum state *states, uint32_t from)
{
    struct tn_text names = {0};
    uint32_t at;
    for (uint32_t steps = 0; steps < build->network->spec.layer_count; steps++)
        from = waits_for(build, states, from);
    tn_text_add(&names, instance_of(build, from)->name);
    at = from;
    do {
        at = waits_for(build, states, at);
        tn_text_format(&names, " needs %s", instance_of(build, at)->name);
    } while (at != from);
    tn_problem_add(build->problems, instance_of(build, from)->file, instance_of(build, from)->line,
                   "[layer:%s] the `inputs` form a cycle: %s", instance_of(build, from)->name,
                   names.data ? names.data : "");
    tn_text_release(&names);
}

static bool is_ready(const struct build *build, const enum state *states, uint32_t index, bool *failed)
{
    bool ready = true;
    for (uint32_t k = 0; k < build->sources[index].count; k++) {
        int32_t source = build->sources[index].items[k];
        ready = ready && (source < 0 || states[source] == BUILT);
        *failed = *failed || (source >= 0 && states[source] == FAILED);
    }
    return ready;
}

/* Builds layers as their inputs become ready. What is behind a layer that failed is left out, without a word. */
static void build_all(struct build *build)
{
    uint32_t count = build->network->spec.layer_count;
    enum state *states = tn_arena_take(&build->state.graph->arena, count * sizeof *states);
    bool progress = states != NULL;
    while (progress) {
        progress = false;
        for (uint32_t i = 0; i < count; i++) {
            bool failed = false;
            if (states[i] != WAITING || (!is_ready(build, states, i, &failed) && !failed))
                continue;
            states[i] = failed ? FAILED : build_one(build, i);
            progress = true;
        }
    }
    for (uint32_t i = 0; states && i < count; i++) {
        if (states[i] == WAITING) {
            report_cycle(build, states, i);
            break;
        }
    }
}

static void check_unused(struct build *build)
{
    uint32_t count = build->network->spec.layer_count;
    bool *used = tn_arena_take(&build->state.graph->arena, count * sizeof *used);
    for (uint32_t i = 0; used && i < count; i++)
        for (uint32_t k = 0; k < build->sources[i].count; k++)
            if (build->sources[i].items[k] >= 0)
                used[build->sources[i].items[k]] = true;
    for (uint32_t i = 0; used && i + 1 < count; i++)
        if (!used[i])
            tn_problem_add(build->problems, instance_of(build, i)->file, instance_of(build, i)->line,
                           "[layer:%s] nothing uses its output: name it in the `inputs` of a later layer, or remove it",
                           instance_of(build, i)->name);
}

tn_status tn__build_layers(struct tn_network *network, struct tn_graph *graph, int32_t batch,
                           struct built_layer *layers, struct tn_value **images, struct tn_value **output,
                           struct tn_problems *problems)
{
    struct build build = {.network = network, .layers = layers, .problems = problems};
    const struct tn_network_spec *spec = &network->spec;
    struct tn_shape shape = {4, {batch, spec->input_size.height, spec->input_size.width, spec->input_channels}};
    size_t before = problems->count;
    for (size_t i = 0; i < network->parameter_count; i++)
        begin_parameter(network->parameters[i]);
    tn_builder_begin(&build.state, graph);
    build.state.parameter = take_parameter;
    build.state.context = &build;
    if (tn_shape_count(&shape, (uint64_t)1 << 40) == UINT64_MAX) {
        tn_problem_add(problems, NULL, 0, "%d pictures of %dx%d pixels are no batch that can be", batch,
                       spec->input_size.height, spec->input_size.width);
        return TN_INVALID;
    }
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
    if (find_sources(&build) && check_names(&build)) {
        build_all(&build);
        check_unused(&build);
    }
    if (graph->failed || graph->arena.failed || network->arena.failed)
        return TN_NO_MEMORY;
    if (problems->count != before)
        return TN_INVALID;
    *output = tn_builder_value(&build.state, layers[spec->layer_count - 1].ref);
    return TN_OK;
}
