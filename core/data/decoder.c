/* decoder.c: encoded bytes to pixels with the codec that recognises them; one decoder for each worker. */
#include "data/decoder.h"

#include <stdlib.h>
#include <string.h>

struct codec_use {
    struct tn_instance *instance;
    const struct tn_codec *codec;
    void *worker;
    bool worker_opened;
};

struct tn_decoder {
    struct codec_use *codecs;
    uint32_t count;
    bool orient;
    unsigned char *turned;  /* the picture that was turned last */
    size_t turned_bytes;    /* allocated */
    struct tn_text missing; /* why codecs could not be loaded, for the message about what they would have read */
};

/* ---- opening ---- */

static tn_status open_codec(struct tn_registry *registry, const char *name, struct codec_use *use,
                            struct tn_error *error)
{
    struct tn_problems problems = {0};
    tn_status status = tn_instance_open(registry, TN_CODEC, name, NULL, NULL, &use->instance, &problems);
    if (status != TN_OK)
        tn_fail(error, status, "%s", problems.count > 0 ? problems.items[0].text : "it could not be opened");
    tn_problems_release(&problems);
    if (status != TN_OK)
        return status;
    use->codec = (const struct tn_codec *)use->instance->type;
    if (!use->codec->probe || !use->codec->size || !use->codec->decode) {
        tn_instance_close(&use->instance);
        return tn_fail(error, TN_INVALID, "it lacks one of probe, size and decode");
    }
    if (use->codec->worker_open) {
        status = use->codec->worker_open(use->instance->self, &use->worker, error);
        if (status != TN_OK) {
            tn_instance_close(&use->instance);
            return status;
        }
    }
    use->worker_opened = true;
    return TN_OK;
}

tn_status tn_decoder_open_named(struct tn_registry *registry, const struct tn_list *names, struct tn_decoder **decoder,
                                struct tn_error *error)
{
    struct tn_decoder *made = calloc(1, sizeof *made);
    if (made)
        made->codecs = calloc(names->count ? names->count : 1, sizeof *made->codecs);
    *decoder = made;
    if (!made || !made->codecs) {
        tn_decoder_close(decoder);
        return tn_fail(error, TN_NO_MEMORY, "no memory for a decoder");
    }
    for (uint32_t i = 0; i < names->count; i++) {
        struct tn_error reason = {0};
        tn_status status = open_codec(registry, names->items[i], &made->codecs[made->count], &reason);
        if (status == TN_OK)
            made->count++;
        else
            tn_text_format(&made->missing, "; codec %s: %s", names->items[i], reason.text);
    }
    return TN_OK;
}

tn_status tn_decoder_open(struct tn_registry *registry, struct tn_decoder **decoder, struct tn_error *error)
{
    static const char *const names[] = {"jpeg", "png", "webp", "bmp", "ppm", "tiff"};
    const struct tn_list list = {names, TN_COUNT_OF(names)};
    return tn_decoder_open_named(registry, &list, decoder, error);
}

void tn_decoder_orient(struct tn_decoder *decoder, bool orient)
{
    decoder->orient = orient;
}

void tn_decoder_close(struct tn_decoder **decoder)
{
    struct tn_decoder *closing = *decoder;
    if (!closing)
        return;
    for (uint32_t i = 0; closing->codecs && i < closing->count; i++) {
        struct codec_use *use = &closing->codecs[i];
        if (use->worker_opened && use->codec->worker_close)
            use->codec->worker_close(use->instance->self, use->worker);
        tn_instance_close(&use->instance);
    }
    tn_text_release(&closing->missing);
    free(closing->turned);
    free(closing->codecs);
    free(closing);
    *decoder = NULL;
}

/* ---- what the bytes are ---- */

/* Name of a well-known format, for the message about a picture that no codec reads. */
static const char *known_format(const unsigned char *bytes, uint64_t byte_count)
{
    static const struct {
        const char *magic;
        size_t offset, length;
        const char *name;
    } formats[] = {
        {"\xFF\xD8\xFF", 0, 3, "a JPEG picture"},
        {"\x89PNG\r\n\x1A\n", 0, 8, "a PNG picture"},
        {"GIF8", 0, 4, "a GIF picture"},
        {"BM", 0, 2, "a BMP picture"},
        {"WEBP", 8, 4, "a WebP picture"},
        {"II*\0", 0, 4, "a TIFF picture"},
        {"MM\0*", 0, 4, "a TIFF picture"},
        {"ftyp", 4, 4, "a HEIF, AVIF or MP4 file"},
        {"%PDF", 0, 4, "a PDF file"},
        {"PK\3\4", 0, 4, "a ZIP file"},
        {"\x1F\x8B", 0, 2, "a gzip file"},
        {"<svg", 0, 4, "an SVG drawing"},
        {"<!DOCTYPE", 0, 9, "a web page"},
        {"<html", 0, 5, "a web page"},
    };
    for (size_t i = 0; i < TN_COUNT_OF(formats); i++)
        if (byte_count >= formats[i].offset + formats[i].length &&
            memcmp(bytes + formats[i].offset, formats[i].magic, formats[i].length) == 0)
            return formats[i].name;
    if (byte_count >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7' && bytes[2] <= ' ')
        return "a PNM picture";
    for (uint64_t i = 0; i < byte_count && i < 64; i++)
        if ((bytes[i] < ' ' && bytes[i] != '\n' && bytes[i] != '\r' && bytes[i] != '\t') || bytes[i] >= 0x7F)
            return NULL;
    return "text";
}

static struct codec_use *recognise(struct tn_decoder *decoder, const void *bytes, uint64_t byte_count,
                                   struct tn_error *error)
{
    if (byte_count == 0) {
        tn_fail(error, TN_CORRUPT, "it is empty (0 bytes)");
        return NULL;
    }
    for (uint32_t i = 0; i < decoder->count; i++)
        if (decoder->codecs[i].codec->probe(bytes, byte_count))
            return &decoder->codecs[i];
    const char *format = known_format(bytes, byte_count);
    struct tn_text names = {0};
    for (uint32_t i = 0; i < decoder->count; i++)
        tn_text_format(&names, "%s%s", i ? ", " : "", decoder->codecs[i].codec->type.name);
    tn_fail(error, TN_UNSUPPORTED, "%s%s that none of the codecs (%s) reads%s", format ? "it is " : "it has a content",
            format ? format : "", names.data ? names.data : "none", decoder->missing.data ? decoder->missing.data : "");
    tn_text_release(&names);
    return NULL;
}

const char *tn_decoder_codec(const struct tn_decoder *decoder, const void *bytes, uint64_t byte_count)
{
    for (uint32_t i = 0; i < decoder->count; i++)
        if (decoder->codecs[i].codec->probe(bytes, byte_count))
            return decoder->codecs[i].codec->type.name;
    return NULL;
}

/* ---- decoding ---- */

tn_status tn_decoder_size(struct tn_decoder *decoder, const void *bytes, uint64_t byte_count, struct tn_image *image,
                          struct tn_error *error)
{
    struct codec_use *use = recognise(decoder, bytes, byte_count, error);
    if (!use)
        return error ? error->status : TN_UNSUPPORTED;
    memset(image, 0, sizeof *image);
    tn_status status = use->codec->size(use->instance->self, use->worker, bytes, byte_count, image, error);
    if (status == TN_OK && decoder->orient && tn_orientation_swaps(tn_orientation_of(bytes, byte_count)))
        *image = (struct tn_image){image->width, image->height, image->channels, image->pixel_type, image->pixels};
    return status;
}

/* A codec is somebody else's code: what it hands over is judged before it is read. */
static tn_status judge(const struct codec_use *use, const struct tn_decode_request *request,
                       const struct tn_image *image, struct tn_error *error)
{
    if (image->pixels && image->height > 0 && image->width > 0 && image->channels == request->channels &&
        image->pixel_type == TN_PIXEL_U8)
        return TN_OK;
    return tn_fail(error, TN_FAILED, "codec %s gave a picture of %d x %d with %d channels where %d were asked for",
                   use->codec->type.name, (int)image->height, (int)image->width, (int)image->channels,
                   (int)request->channels);
}

static tn_status turn(struct tn_decoder *decoder, int32_t orientation, struct tn_image *image, struct tn_error *error)
{
    size_t bytes = (size_t)image->height * (size_t)image->width * (size_t)image->channels;
    const struct tn_image stored = *image;
    if (decoder->turned_bytes < bytes) {
        free(decoder->turned);
        decoder->turned = malloc(bytes);
        decoder->turned_bytes = decoder->turned ? bytes : 0;
        if (!decoder->turned)
            return tn_fail(error, TN_NO_MEMORY, "no memory to turn a picture of %zu bytes", bytes);
    }
    tn_orientation_apply(&stored, orientation, decoder->turned, image);
    return TN_OK;
}

tn_status tn_decoder_decode(struct tn_decoder *decoder, const void *bytes, uint64_t byte_count,
                            const struct tn_decode_request *request, struct tn_image *image, struct tn_error *error)
{
    struct codec_use *use = recognise(decoder, bytes, byte_count, error);
    struct tn_decode_request stored = *request;
    if (!use)
        return error ? error->status : TN_UNSUPPORTED;
    int32_t orientation = decoder->orient ? tn_orientation_of(bytes, byte_count) : 1;
    if (tn_orientation_swaps(orientation)) { /* the codec sees the picture as it is stored */
        stored.minimum_height = request->minimum_width;
        stored.minimum_width = request->minimum_height;
    }
    memset(image, 0, sizeof *image);
    tn_status status = use->codec->decode(use->instance->self, use->worker, bytes, byte_count, &stored, image, error);
    if (status == TN_OK)
        status = judge(use, request, image, error);
    return status == TN_OK && orientation != 1 ? turn(decoder, orientation, image, error) : status;
}
