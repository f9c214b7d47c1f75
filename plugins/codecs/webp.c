/* webp: WebP pictures through libwebp, lossy and lossless.
 *
 * Always full size: the library's own scaling is no multiple of what the file stores, so that pixels would no longer be
 * the peers'. Alpha is dropped, not blended, unless four channels are asked for. Of animations nothing is read.
 */
#include <string.h>

#include <webp/decode.h>

#include "plain.h"

struct webp {
    int32_t unused; /* no options yet */
};

static int32_t webp_probe(const void *bytes, uint64_t byte_count)
{
    const unsigned char *at = bytes;
    return byte_count >= 16 && memcmp(at, "RIFF", 4) == 0 && memcmp(at + 8, "WEBPVP8", 7) == 0;
}

static tn_status fail_code(VP8StatusCode code, struct tn_error *error)
{
    switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY:
        return tn_fail(error, TN_NO_MEMORY, "no memory for a WebP picture");
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
        return tn_fail(error, TN_CORRUPT, "damaged WebP: the file ends too early");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return tn_fail(error, TN_UNSUPPORTED, "a WebP with a feature that libwebp does not support");
    default:
        return tn_fail(error, TN_CORRUPT, "damaged WebP: libwebp cannot decode it (code %d)", (int)code);
    }
}

static tn_status read_header(const void *bytes, uint64_t byte_count, WebPBitstreamFeatures *features,
                             struct tn_error *error)
{
    VP8StatusCode code = WebPGetFeatures(bytes, (size_t)byte_count, features);
    if (code != VP8_STATUS_OK)
        return fail_code(code, error);
    if (features->has_animation)
        return tn_fail(error, TN_UNSUPPORTED, "an animated WebP is not supported");
    if (features->width < 1 || features->height < 1)
        return tn_fail(error, TN_CORRUPT, "damaged WebP: it claims a size of %d x %d", features->height,
                       features->width);
    return TN_OK;
}

static tn_status webp_size(const void *self, void *state, const void *bytes, uint64_t byte_count,
                           struct tn_image *image, struct tn_error *error)
{
    WebPBitstreamFeatures features;
    (void)self, (void)state;
    tn_status status = read_header(bytes, byte_count, &features, error);
    if (status == TN_OK)
        *image = (struct tn_image){features.height, features.width, features.has_alpha ? 4 : 3, TN_PIXEL_U8, NULL};
    return status;
}

static tn_status decode_into(struct plain_worker *worker, const void *bytes, uint64_t byte_count, int32_t height,
                             int32_t width, int32_t channels, struct tn_error *error)
{
    WebPDecoderConfig config;
    tn_status status = plain_reserve(worker, height, width, channels, error);
    if (status != TN_OK)
        return status;
    if (!WebPInitDecoderConfig(&config))
        return tn_fail(error, TN_FAILED, "libwebp is of another version than the one tenon was built with");
    config.output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = worker->pixels;
    config.output.u.RGBA.stride = width * channels;
    config.output.u.RGBA.size = (size_t)height * (size_t)width * (size_t)channels;
    VP8StatusCode code = WebPDecode(bytes, (size_t)byte_count, &config);
    WebPFreeDecBuffer(&config.output);
    return code == VP8_STATUS_OK ? TN_OK : fail_code(code, error);
}

static tn_status webp_decode(const void *self, void *state, const void *bytes, uint64_t byte_count,
                             const struct tn_decode_request *request, struct tn_image *image, struct tn_error *error)
{
    struct plain_worker *worker = state;
    WebPBitstreamFeatures features;
    (void)self;
    tn_status status = read_header(bytes, byte_count, &features, error);
    if (status == TN_OK)
        status = plain_judge_size("WebP", features.height, features.width, request, error);
    if (status == TN_OK)
        status = decode_into(worker, bytes, byte_count, features.height, features.width,
                             request->channels == 1 ? 3 : request->channels, error);
    if (status != TN_OK)
        return status;
    size_t count = (size_t)features.height * (size_t)features.width;
    for (size_t i = 0; request->channels == 1 && i < count; i++) /* in place: grey is shorter than colour */
        worker->pixels[i] = grey_of(worker->pixels + 3 * i);
    *image = (struct tn_image){features.height, features.width, request->channels, TN_PIXEL_U8, worker->pixels};
    return TN_OK;
}

static const struct tn_codec webp = {
    TN_TYPE(TN_CODEC, "webp", struct webp, NULL, "WebP pictures, through libwebp"),
    .probe = webp_probe,
    .worker_open = plain_worker_open,
    .worker_close = plain_worker_close,
    .size = webp_size,
    .decode = webp_decode,
};

TN_PLUGIN("tenon.codecs.webp", "0.1.0", "Apache-2.0", &webp.type);
