/* images.c: see images.h. */
#include <png.h>
#include <stdlib.h>

#include "../picture.h"
#include "images.h"
#include "summary.h"

tn_status encode_png(const uint8_t *pixels, int32_t width, int32_t height, void **png, size_t *bytes,
                     struct tn_error *error)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = PNG_FORMAT_RGB};
    png_alloc_size_t room = PNG_IMAGE_PNG_SIZE_MAX(image);
    *png = malloc(room);
    if (!*png)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a picture of %d x %d", (int)width, (int)height);
    if (!png_image_write_to_memory(&image, *png, &room, 0, pixels, 0, NULL)) {
        free(*png);
        *png = NULL;
        return tn_fail(error, TN_FAILED, "a picture of %d x %d could not be written: %s", (int)width, (int)height,
                       image.message);
    }
    *bytes = room;
    return TN_OK;
}

static void copy_picture(const struct tn_seen_batch *seen, int32_t i, int32_t step, int32_t width, int32_t height,
                         uint8_t *pixels)
{
    struct picture picture = picture_of(seen, i);
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++)
            for (int32_t c = 0; c < 3; c++)
                *pixels++ = picture_value(&picture, y * step, x * step, c);
}

tn_status images_write(struct message *event, const char *tag, uint64_t step, const struct tn_seen_batch *seen,
                       int32_t most, struct tn_error *error)
{
    int32_t longest = seen->height > seen->width ? seen->height : seen->width;
    int32_t each = (longest + IMAGES_SIDE - 1) / IMAGES_SIDE;
    int32_t width = (seen->width + each - 1) / each, height = (seen->height + each - 1) / each;
    struct summary_png pictures[IMAGES_MOST];
    uint8_t *pixels = malloc((size_t)width * (size_t)height * 3);
    tn_status status = pixels ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for a picture");
    int32_t count = 0;
    for (int32_t i = 0; i < seen->count && count < most && count < IMAGES_MOST && status == TN_OK; i++) {
        if (seen->weights && !(seen->weights[i] > 0))
            continue;
        copy_picture(seen, i, each, width, height, pixels);
        status = encode_png(pixels, width, height, &pictures[count].bytes, &pictures[count].count, error);
        count += status == TN_OK;
    }
    if (status == TN_OK && count > 0)
        summary_images(event, tag, step, pictures, count, width, height);
    for (int32_t i = 0; i < count; i++)
        free(pictures[i].bytes);
    free(pixels);
    return status;
}
