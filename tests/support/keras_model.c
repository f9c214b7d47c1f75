/* keras_model.c: see keras_model.h. */
#include "support/keras_model.h"

#include <stdlib.h>

enum { LARGEST_FILE = 64 << 20 };

/* ---- zip: only what Keras writes, members that are stored as they are ---- */

static uint32_t little(const unsigned char *at, int bytes)
{
    uint32_t value = 0;
    for (int i = bytes; i > 0; i--)
        value = value << 8 | at[i - 1];
    return value;
}

/* The bytes of a member by way of the central directory; NULL = not there, or not stored. */
static const unsigned char *zip_member(const unsigned char *zip, uint64_t size, const char *name, uint32_t *bytes)
{
    uint64_t end = size < 22 ? 0 : size - 22;
    while (end > 0 && memcmp(zip + end, "PK\5\6", 4) != 0)
        end--;
    if (size < 22 || memcmp(zip + end, "PK\5\6", 4) != 0)
        return NULL;
    uint64_t at = little(zip + end + 16, 4);
    for (uint32_t left = little(zip + end + 10, 2); left > 0; left--) {
        if (at + 46 > size || memcmp(zip + at, "PK\1\2", 4) != 0)
            return NULL;
        const unsigned char *entry = zip + at;
        uint64_t name_bytes = little(entry + 28, 2), local = little(entry + 42, 4);
        if (at + 46 + name_bytes > size)
            return NULL;
        at += 46 + name_bytes + little(entry + 30, 2) + little(entry + 32, 2);
        if (name_bytes != strlen(name) || memcmp(entry + 46, name, name_bytes) != 0)
            continue;
        *bytes = little(entry + 24, 4);
        if (little(entry + 10, 2) != 0 || local + 30 > size)
            return NULL;
        uint64_t data = local + 30 + little(zip + local + 26, 2) + little(zip + local + 28, 2);
        return data <= size && *bytes <= size - data ? zip + data : NULL;
    }
    return NULL;
}

const struct json *keras_model_read(struct tn_arena *arena, const char *path, struct tn_error *error)
{
    void *zip = NULL;
    uint64_t size = 0;
    uint32_t bytes = 0;
    const struct json *model = NULL;
    if (tn_file_read(path, LARGEST_FILE, &zip, &size, error) != TN_OK)
        return NULL;
    const unsigned char *text = zip_member(zip, size, "config.json", &bytes);
    if (text)
        model = json_parse(arena, (const char *)text, bytes);
    if (!model)
        (void)tn_fail(error, TN_CORRUPT, "%s has no config.json that can be read", path);
    free(zip);
    return model;
}

/* ---- one layer ---- */

static const struct tn_type *type_of(struct golden_rig *rig, const char *keras_class)
{
    const struct tn_type *type;
    for (size_t i = 0; (type = tn_registry_type(rig->registry, TN_LAYER, i, NULL)); i++) {
        const char *name = ((const struct tn_layer *)(const void *)type)->keras_class;
        if (name && strcmp(name, keras_class) == 0)
            return type;
    }
    return NULL;
}

/* Members that say nothing that matters here, or nothing while they are null, false or empty. */
static bool is_neutral(const struct json *member)
{
    static const char *const ignored[] = {"name", "dtype", "data_format", "seed", "batch_shape", "renorm_momentum"};
    size_t length = strlen(member->key);
    if (member->kind == JSON_NULL || member->kind == JSON_FALSE ||
        (strcmp(member->key, "trainable") == 0 && member->kind == JSON_TRUE))
        return true;
    for (size_t i = 0; i < TN_COUNT_OF(ignored); i++)
        if (strcmp(member->key, ignored[i]) == 0)
            return true;
    if (strcmp(member->key, "axis") == 0)
        return member->kind == JSON_NUMBER ? member->number < 0 : json_element(member, 1) == NULL;
    return length > 12 && strcmp(member->key + length - 12, "_initializer") == 0;
}

static void add_option(struct golden_options *options, const struct tn_option *option, const struct json *value)
{
    const char *between = option->kind == TN_OPTION_SIZE ? "x" : ", ";
    char text[256] = "";
    if (value->kind == JSON_ARRAY) {
        for (const struct json *element = value->first; element; element = element->next) {
            size_t used = strlen(text);
            (void)snprintf(text + used, sizeof text - used, "%s%s", used ? between : "",
                           element->text ? element->text : "");
        }
        golden_option(options, option->name, "%s", text);
    } else if (value->kind == JSON_TRUE || value->kind == JSON_FALSE) {
        golden_option(options, option->name, "%s", value->kind == JSON_TRUE ? "yes" : "no");
    } else if (value->text) {
        golden_option(options, option->name, "%s", value->text);
    }
}

/* Names of the layers that feed a node, in order: Keras 3 buries them in keras_history, Keras 2 in ["name", 0, 0, {}].
 */
static void collect_inputs(const struct json *node, const char **inputs, uint32_t *count)
{
    const char *name = json_text(json_element(json_member(node, "keras_history"), 0));
    if (json_member(node, "config") && !name)
        name = json_text(json_element(json_member(json_member(node, "config"), "keras_history"), 0));
    if (!name && json_element(node, 1) && json_element(node, 1)->kind == JSON_NUMBER)
        name = json_text(json_element(node, 0));
    if (name && *count < SMALL_NETWORK_INPUTS)
        inputs[(*count)++] = name;
    for (const struct json *child = name ? NULL : node->first; child; child = child->next)
        if (!child->key || strcmp(child->key, "kwargs") != 0)
            collect_inputs(child, inputs, count);
}

static void add_layer(struct small_network *net, struct golden_case *item, const struct json *layer,
                      const char *input_name, bool keep_dropout)
{
    const char *keras_class = json_text(json_member(layer, "class_name")), *inputs[SMALL_NETWORK_INPUTS];
    const struct json *config = json_member(layer, "config"), *nodes = json_member(layer, "inbound_nodes");
    const char *name = json_text(json_member(config, "name"));
    const struct tn_type *type = keras_class ? type_of(net->rig, keras_class) : NULL;
    struct golden_options options = {0};
    uint32_t input_count = 0;
    if (!type || !name || json_element(nodes, 1)) {
        golden_uncovered(item, "no layer is Keras' %s", keras_class ? keras_class : "layer without a class");
        return;
    }
    for (const struct json *member = config->first; member; member = member->next) {
        const struct tn_option *option = golden_find_option(type, member->key);
        if (option && strcmp(keras_class, "Dropout") == 0 && strcmp(member->key, "rate") == 0 && !keep_dropout)
            golden_option(&options, "rate", "0");
        else if (option && member->kind != JSON_NULL && member->kind != JSON_OBJECT)
            add_option(&options, option, member);
        else if (!option && !is_neutral(member))
            golden_uncovered(item, "%s has no option %s", type->name, member->key);
    }
    if (nodes)
        collect_inputs(nodes, inputs, &input_count);
    for (uint32_t i = 0; i < input_count; i++)
        if (input_name && strcmp(inputs[i], input_name) == 0)
            inputs[i] = "input";
    small_network_layer(net, name, type->name, &options, inputs, input_count);
}

void keras_model_build(struct small_network *net, struct golden_case *item, const struct json *model, bool keep_dropout)
{
    const struct json *layers = json_member(json_member(model, "config"), "layers");
    const char *input_name = NULL;
    if (!layers || layers->kind != JSON_ARRAY)
        golden_fail(item, "the model's description has no layers");
    for (const struct json *layer = layers ? layers->first : NULL; layer && !golden_decided(item);
         layer = layer->next) {
        const char *keras_class = json_text(json_member(layer, "class_name"));
        if (keras_class && strcmp(keras_class, "InputLayer") == 0)
            input_name = json_text(json_member(json_member(layer, "config"), "name"));
        else
            add_layer(net, item, layer, input_name, keep_dropout);
    }
    if (net->reason[0])
        golden_fail(item, "%s", net->reason);
}

/* The text of the object that begins at `text`; NULL = it does not end. */
static const char *object_end(const char *text, const char *end)
{
    int depth = 0;
    bool quoted = false;
    for (; text < end; text++) {
        if (*text == '"' && text[-1] != '\\')
            quoted = !quoted;
        depth += !quoted && *text == '{';
        depth -= !quoted && *text == '}';
        if (depth == 0)
            return text + 1;
    }
    return NULL;
}

void keras_model_optimizer(struct golden_rig *rig, struct tn_arena *arena, const char *path, const char *name,
                           struct golden_options *options)
{
    static const char key[] = "\"optimizer_config\": ";
    const struct tn_type *type = golden_find_type(rig, TN_OPTIMIZER, name);
    const struct json *config = NULL;
    struct tn_error error = {0};
    void *data = NULL;
    uint64_t bytes = 0;
    if (tn_file_read(path, LARGEST_FILE, &data, &bytes, &error) == TN_OK) {
        const char *from = memmem(data, (size_t)bytes, key, sizeof key - 1);
        const char *begin = from ? from + sizeof key - 1 : NULL;
        const char *end = begin ? object_end(begin, (const char *)data + bytes) : NULL;
        if (end)
            config = json_member(json_parse(arena, begin, (uint64_t)(end - begin)), "config");
    }
    for (const struct json *member = config ? config->first : NULL; type && member; member = member->next) {
        const struct tn_option *option = golden_find_option(type, member->key);
        if (option && member->kind != JSON_NULL && member->kind != JSON_OBJECT)
            add_option(options, option, member);
    }
    free(data);
}
