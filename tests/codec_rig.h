/* codec_rig.h: all codecs in a decoder, and decoding that shows what reads too far. */
#ifndef TENON_TEST_CODEC_RIG_H
#define TENON_TEST_CODEC_RIG_H

#include "data/decoder.h"
#include "data_rig.h"

struct codecs {
    struct tn_registry *registry;
    struct tn_decoder *decoder;
    struct tn_error error;
};

static inline void open_codecs(struct codecs *codecs)
{
    memset(codecs, 0, sizeof *codecs);
    ck_assert_int_eq(tn_registry_open(NULL, &codecs->registry, NULL), TN_OK);
    ck_assert_int_eq(tn_decoder_open(codecs->registry, &codecs->decoder, NULL), TN_OK);
}

static inline void close_codecs(struct codecs *codecs)
{
    tn_decoder_close(&codecs->decoder);
    tn_registry_close(&codecs->registry);
}

/* Decodes a copy that ends where its memory ends, so that reading too far shows. */
static inline tn_status decode(struct codecs *codecs, const void *bytes, size_t count, struct tn_decode_request request,
                               struct tn_image *image)
{
    void *copy = malloc(count ? count : 1);
    memcpy(copy, bytes, count);
    request.size = sizeof request;
    codecs->error.text[0] = '\0';
    tn_status status = tn_decoder_decode(codecs->decoder, copy, count, &request, image, &codecs->error);
    free(copy);
    ck_assert(status == TN_OK || codecs->error.text[0]);
    return status;
}

#endif
