/* keras.c: the whole model as Keras 3 keeps it, .keras: from such a file Keras goes on training, with the optimizer's
 * state, and so do we.
 */
#include <stdlib.h>

#include "common/json.h"
#include "h5/h5.h"
#include "keras/zip.h"

struct keras {
    int32_t unused; /* no options */
};

/* A version of Keras that knows this dialect, and no time. */
static const char metadata[] = "{\"keras_version\": \"3.0.0\", \"date_saved\": \"1980-01-01@00:00:00\"}";
static const char weights_name[] = "model.weights.h5";
/* Above this, and some room for what HDF5 adds, numbers may not fit into 32 bits. */
#define LARGE_FROM (UINT64_C(3) << 30)
/* What a description may take, and HDF5 around the numbers. */
#define MOST_TEXT   (UINT64_C(64) << 20)
#define LEAST_LIMIT (UINT64_C(64) << 20)

/* ---- writing ---- */

static uint64_t number_bytes(const struct tn_weights *weights, int32_t slots)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < weights->layer_count; i++)
        for (uint32_t j = 0; j < weights->layers[i].weight_count; j++)
            bytes += tn_shape_elements(&weights->layers[i].weights[j].shape) * sizeof(float) * (1 + (uint64_t)slots);
    return bytes;
}

static tn_status encode(const void *self, const struct tn_host *host, const struct tn_weights *weights, uint32_t flags,
                        void **data, uint64_t *bytes, struct tn_error *error)
{
    struct zip_source sources[] = {
        {"metadata.json", metadata, sizeof metadata - 1}, {"config.json", NULL, 0}, {weights_name, NULL, 0}};
    size_t count = sizeof sources / sizeof *sources;
    bool large = number_bytes(weights, H5_MOST_SLOTS) >= LARGE_FROM;
    struct h5_room room;
    char *text = NULL;
    tn_status status = keras_model_text(weights, flags, &text, error);
    (void)self;
    if (status != TN_OK)
        return status;
    sources[1].data = text;
    sources[1].bytes = strlen(text);
    room = (struct h5_room){zip_front(sources, count, large), zip_behind(sources, count, large)};
    status = h5_write_keras3(host, weights, flags, &room, data, &sources[2].bytes, error);
    if (status == TN_OK) {
        sources[2].data = (const char *)*data + room.front;
        *bytes = room.front + sources[2].bytes + room.behind;
        zip_write(*data, sources, count, large);
    }
    free(text);
    return status;
}

/* ---- reading ---- */

/* Weights that are somewhere else than in one file of HDF5. */
static tn_status no_weights(const struct zip *zip, tn_status status, struct tn_error *error)
{
    static const char *const others[] = {"model.weights.npz", "model.weights.json"};
    struct zip_member member;
    if (status != TN_NOT_FOUND)
        return status;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (zip_find(zip, others[i], 0, &member, NULL) != TN_NOT_FOUND)
            return tn_fail(error, TN_UNSUPPORTED, "its weights are in %s: only model.weights.h5 is read", others[i]);
    return tn_fail(error, TN_CORRUPT, "the archive has no model.weights.h5: this is no model of Keras 3");
}

static tn_status judge_text(const struct zip *zip, const char *name, struct tn_error *error)
{
    struct zip_member member;
    struct json json;
    tn_status status = zip_find(zip, name, MOST_TEXT, &member, error);
    if (status != TN_OK)
        return status;
    json = json_begin(member.data, (size_t)member.bytes);
    if (!json_skip(&json) || !json_finished(&json))
        status = tn_fail(error, TN_CORRUPT, "its %s is damaged: %s", name,
                         json.problem ? json.problem : "something follows on it");
    zip_release(&member);
    return status;
}

/* Opens the archive, and in it the weights. */
static tn_status open_weights(const void *data, uint64_t bytes, uint64_t most, struct zip *zip,
                              struct zip_member *weights, struct tn_error *error)
{
    tn_status status = zip_open(data, bytes, zip, error);
    if (status == TN_OK)
        status = judge_text(zip, "config.json", error);
    if (status == TN_NOT_FOUND)
        status = tn_fail(error, TN_CORRUPT, "the archive has no config.json: this is no model of Keras 3");
    if (status == TN_OK)
        status = no_weights(zip, zip_find(zip, weights_name, most, weights, error), error);
    return status;
}

static tn_status decode(const void *self, const struct tn_host *host, const void *data, uint64_t bytes,
                        struct tn_weights *weights, char *notes, uint64_t notes_bytes, struct tn_error *error)
{
    /* the numbers as doubles, with as many slots as any optimizer has, and as much again */
    uint64_t most = LEAST_LIMIT + 4 * number_bytes(weights, H5_MOST_SLOTS);
    struct zip zip;
    struct zip_member member;
    tn_status status = open_weights(data, bytes, most, &zip, &member, error);
    (void)self;
    (void)host;
    if (status != TN_OK)
        return status;
    status = h5_read_in_child(member.data, member.bytes, weights, notes, notes_bytes, error);
    zip_release(&member);
    return status == TN_OK ? TN_OK : tn_error_wrap(error, status, "%s", weights_name);
}

/* The text of one member of the object that a file of the archive is; "" without one. */
static void find_text(const struct zip *zip, const char *name, const char *wanted, char *text, size_t room)
{
    struct zip_member member;
    struct json json;
    char key[64];
    bool first = true;
    text[0] = '\0';
    if (zip_find(zip, name, MOST_TEXT, &member, NULL) != TN_OK)
        return;
    json = json_begin(member.data, (size_t)member.bytes);
    for (bool good = json_enter(&json, '{'); good && json_more(&json, '{', &first);) {
        good = json_key(&json, key, sizeof key, NULL);
        if (good && strcmp(key, wanted) == 0 && json_peek(&json) == '"') {
            if (!json_text(&json, text, room, NULL))
                text[0] = '\0';
            break;
        }
        good = good && json_skip(&json);
    }
    zip_release(&member);
}

static tn_status list(const void *self, const struct tn_host *host, const void *data, uint64_t bytes,
                      void (*visit)(void *context, const struct tn_array_info *array), void *context, char *notes,
                      uint64_t notes_bytes, struct tn_error *error)
{
    char version[48], class_name[64], inner[512] = "";
    struct zip zip;
    struct zip_member member;
    tn_status status = open_weights(data, bytes, LEAST_LIMIT + 8 * bytes, &zip, &member, error);
    (void)self;
    (void)host;
    if (status != TN_OK)
        return status;
    status = h5_list(member.data, member.bytes, visit, context, inner, sizeof inner, error);
    zip_release(&member);
    if (status != TN_OK)
        return tn_error_wrap(error, status, "%s", weights_name);
    find_text(&zip, "metadata.json", "keras_version", version, sizeof version);
    find_text(&zip, "config.json", "class_name", class_name, sizeof class_name);
    if (notes && notes_bytes)
        (void)snprintf(notes, (size_t)notes_bytes, "a whole model (%s) for Keras %s; in it %s",
                       class_name[0] ? class_name : "of unknown class", version[0] ? version : "3", inner);
    return TN_OK;
}

static const struct tn_format keras = {
    TN_TYPE_WITH(TN_FORMAT, "keras", struct keras, NULL, "Keras 3's model file with the optimizer's state, .keras",
                 TN_FORMAT_KEEPS_OPTIMIZER | TN_FORMAT_NEEDS_DESCRIPTION, NULL, NULL),
    .extensions = "keras",
    .encode = encode,
    .decode = decode,
    .list = list,
};

TN_PLUGIN("tenon.formats.keras", "0.1.0", "Apache-2.0", &keras.type);
