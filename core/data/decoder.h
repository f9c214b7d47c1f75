/* decoder.h: decoders as the workers use them. */
#ifndef TENON_DECODER_H
#define TENON_DECODER_H

#include "data/data.h"

/* Opens the codecs that `names` lists. One that cannot be loaded is no error here: what it would have read is one
 * later, with the reason.  [setup] */
tn_status tn_decoder_open_named(struct tn_registry *registry, const struct tn_list *names, struct tn_decoder **decoder,
                                struct tn_error *error);
/* Stored size of the picture, from its header.  [worker] */
tn_status tn_decoder_size(struct tn_decoder *decoder, const void *bytes, uint64_t byte_count, struct tn_image *image,
                          struct tn_error *error);
/* Name of the codec that reads these bytes ("jpeg"); NULL = none does.  [worker] */
const char *tn_decoder_codec(const struct tn_decoder *decoder, const void *bytes, uint64_t byte_count);

#endif
