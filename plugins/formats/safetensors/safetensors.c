/* safetensors.c: Hugging Face's format for tensors: one header of JSON and plain numbers; no code can hide in it. */
#include "safetensors/header.h"

struct safetensors {
    int32_t unused; /* no options */
};

static tn_status encode(const void *self, const struct tn_host *host, const struct tn_weights *weights, uint32_t flags,
                        void **data, uint64_t *bytes, struct tn_error *error)
{
    (void)self;
    return weights_write(host, weights, flags, data, bytes, error);
}

static tn_status decode(const void *self, const struct tn_host *host, const void *data, uint64_t bytes,
                        struct tn_weights *weights, char *notes, uint64_t notes_bytes, struct tn_error *error)
{
    (void)self;
    (void)host;
    return weights_read(data, bytes, weights, notes, notes_bytes, error);
}

static tn_status list(const void *self, const struct tn_host *host, const void *data, uint64_t bytes,
                      void (*visit)(void *context, const struct tn_array_info *array), void *context, char *notes,
                      uint64_t notes_bytes, struct tn_error *error)
{
    (void)self;
    (void)host;
    return tensors_list(data, bytes, visit, context, notes, notes_bytes, error);
}

static const struct tn_format safetensors = {
    TN_TYPE_WITH(TN_FORMAT, "safetensors", struct safetensors, NULL,
                 "plain tensors with a checksum, and the optimizer's state", TN_FORMAT_KEEPS_OPTIMIZER, NULL, NULL),
    .extensions = "safetensors",
    .encode = encode,
    .decode = decode,
    .list = list,
};

TN_PLUGIN("tenon.formats.safetensors", "0.1.0", "Apache-2.0", &safetensors.type);
