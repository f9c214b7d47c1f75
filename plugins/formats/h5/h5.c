/* h5: the weight files of Keras.
 *
 * h5 is the legacy layout, .h5 and .hdf5, which every Keras from 1 to 3 reads; weights_h5 the one that Keras 3 wants
 * under names that end in .weights.h5. Both read both: what is in a file decides, not its name.
 */
#include "h5.h"

struct h5 {
    int32_t unused; /* no options */
};

static tn_status encode_legacy(const void *self, const struct tn_host *host, const struct tn_weights *weights,
                               uint32_t flags, void **data, uint64_t *bytes, struct tn_error *error)
{
    (void)self;
    return h5_write_legacy(host, weights, flags, data, bytes, error);
}

static tn_status encode_keras3(const void *self, const struct tn_host *host, const struct tn_weights *weights,
                               uint32_t flags, void **data, uint64_t *bytes, struct tn_error *error)
{
    (void)self;
    return h5_write_keras3(host, weights, flags, NULL, data, bytes, error);
}

static tn_status decode(const void *self, const struct tn_host *host, const void *data, uint64_t bytes,
                        struct tn_weights *weights, char *notes, uint64_t notes_bytes, struct tn_error *error)
{
    (void)self;
    (void)host;
    return h5_read_in_child(data, bytes, weights, notes, notes_bytes, error);
}

static tn_status list(const void *self, const struct tn_host *host, const void *data, uint64_t bytes,
                      void (*visit)(void *context, const struct tn_array_info *array), void *context, char *notes,
                      uint64_t notes_bytes, struct tn_error *error)
{
    (void)self;
    (void)host;
    return h5_list(data, bytes, visit, context, notes, notes_bytes, error);
}

static const struct tn_format h5 = {
    TN_TYPE(TN_FORMAT, "h5", struct h5, NULL, "Keras' legacy HDF5 layout, for every Keras"),
    .extensions = "h5|hdf5",
    .encode = encode_legacy,
    .decode = decode,
    .list = list,
};

static const struct tn_format weights_h5 = {
    TN_TYPE_WITH(TN_FORMAT, "weights_h5", struct h5, NULL,
                 "Keras 3's weights file with the optimizer's state, .weights.h5", TN_FORMAT_KEEPS_OPTIMIZER, NULL,
                 NULL),
    .extensions = "weights.h5",
    .encode = encode_keras3,
    .decode = decode,
    .list = list,
};

TN_PLUGIN("tenon.formats.h5", "0.1.0", "Apache-2.0", &h5.type, &weights_h5.type);
