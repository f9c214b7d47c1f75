/* decoder.h: decoders as the workers use them. */
#ifndef TENON_DECODER_H
#define TENON_DECODER_H

#include "data/data.h"

/* Opens the codecs that `names` lists. One that cannot be loaded is no error here: what it would have read is one
 * later, with the reason.  [setup] */
tn_status tn_decoder_open_named(struct tn_registry *registry, const struct tn_list *names, struct tn_decoder **decoder,
                                struct tn_error *error);
/* From now on pictures are turned as their EXIF orientation says, in size and decode.  [setup] */
void tn_decoder_orient(struct tn_decoder *decoder, bool orient);
/* Stored size of the picture, from its header.  [worker] */
tn_status tn_decoder_size(struct tn_decoder *decoder, const void *bytes, uint64_t byte_count, struct tn_image *image,
                          struct tn_error *error);

/* ---- orientation.c ---- */

/* EXIF orientation of a JPEG, PNG, WebP or TIFF, 1..8; 1 when it has none, or one that makes no sense. Of a JPEG only
 * the markers before the first scan are read.  [any] */
int32_t tn_orientation_of(const void *bytes, uint64_t byte_count);
/* True when the orientation swaps height and width. */
bool tn_orientation_swaps(int32_t orientation);
/* Turns a TN_PIXEL_U8 picture upright into `pixels`, which has room for it; `out` describes what is there then. */
void tn_orientation_apply(const struct tn_image *in, int32_t orientation, void *pixels, struct tn_image *out);

#endif
