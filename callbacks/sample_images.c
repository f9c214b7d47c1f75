/* sample_images: the pictures of the validation that the network got most wrong, on a sheet samples/epoch_003.png in
 * the run directory, with what they are and what was said of them. Only the worst ones are kept while the batches pass
 * by; their memory is taken before the first step.
 */
#include <errno.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "font.h"
#include "picture.h"
#include "tenon/option.h"
#include "tenon/plugin.h"
#include "tenon/train.h"
#include "verdict.h"

enum { BY_LOSS, BY_CONFIDENCE };
enum { GAP = 8, LINES = 3, LINE_HEIGHT = 11, LEAST_SIDE = 112, MOST_SIDE = 256, LETTER = FONT_WIDTH + 1, TEXT = 48 };

struct kept {
    double rank, loss, confidence;
    uint64_t sample;
    int32_t truth, said; /* classes; -1 = the labels are none */
    uint8_t *pixels;     /* [height, width, 3] of the sheet */
};

struct sample_images {
    int64_t count, every;
    int32_t by;
    /* state */
    struct kept *kept;
    uint8_t *pixels;
    int64_t used;
    int32_t height, width; /* of a kept picture */
    int32_t shrink, grow;  /* how the sheet's pixels come from those of the batch */
    int32_t failed;
};

struct sheet {
    uint8_t *pixels;
    int32_t width, height, columns;
    int32_t each_width, each_height; /* with what stands under it */
};

static const struct tn_option sample_images_options[] = {
    TN_INT(struct sample_images, count, 25, 1, 400, "pictures on a sheet"),
    TN_INT(struct sample_images, every, 1, 1, 1e6, "a sheet after each of so many epochs"),
    TN_ENUM(struct sample_images, by, BY_LOSS, "loss|confidence",
            "which are the worst: those of the highest loss, or those wrong with the highest probability"),
    TN_END,
};

static void sample_images_close(void *self)
{
    struct sample_images *samples = self;
    free(samples->kept);
    free(samples->pixels);
    samples->kept = NULL;
    samples->pixels = NULL;
}

/* How large pictures are kept and shown. */
static void choose_sizes(struct sample_images *samples, const struct tn_seen_batch *seen)
{
    int32_t longest = seen->height > seen->width ? seen->height : seen->width;
    samples->shrink = (longest + MOST_SIDE - 1) / MOST_SIDE;
    samples->height = seen->height / samples->shrink > 0 ? seen->height / samples->shrink : 1;
    samples->width = seen->width / samples->shrink > 0 ? seen->width / samples->shrink : 1;
    samples->grow = samples->width < LEAST_SIDE ? (LEAST_SIDE + samples->width - 1) / samples->width : 1;
    if (samples->grow * samples->height > 2 * MOST_SIDE)
        samples->grow = 1;
}

static struct sheet sheet_of(const struct sample_images *samples, int64_t pictures)
{
    int32_t columns = (int32_t)ceil(sqrt((double)pictures)), rows = (int32_t)((pictures + columns - 1) / columns);
    int32_t width = samples->width * samples->grow;
    return (struct sheet){.columns = columns,
                          .each_width = (width > LEAST_SIDE ? width : LEAST_SIDE) + GAP,
                          .each_height = samples->height * samples->grow + 4 + LINES * LINE_HEIGHT + GAP,
                          .width = columns * ((width > LEAST_SIDE ? width : LEAST_SIDE) + GAP) + GAP,
                          .height = rows * (samples->height * samples->grow + 4 + LINES * LINE_HEIGHT + GAP) + GAP};
}

/* The pictures that are kept, and the sheet while it is drawn. */
static uint64_t sample_images_host_bytes(const void *self, const struct tn_seen_batch *sizes)
{
    struct sample_images samples = *(const struct sample_images *)self;
    choose_sizes(&samples, sizes);
    struct sheet sheet = sheet_of(&samples, samples.count);
    return (uint64_t)samples.count * (sizeof(struct kept) + (uint64_t)samples.height * (uint64_t)samples.width * 3) +
           (uint64_t)sheet.width * (uint64_t)sheet.height * 3;
}

static tn_status run_begin(struct sample_images *samples, const struct tn_run *run, struct tn_error *error)
{
    const struct tn_seen_batch *seen;
    size_t bytes;
    if (run->size < offsetof(struct tn_run, seen) + sizeof run->seen)
        return tn_fail(error, TN_UNSUPPORTED, "this tenon does not show the batches of the validation");
    seen = run->seen;
    if (!seen)
        return tn_fail(error, TN_INVALID,
                       "there is no validation whose mistakes could be shown: add "
                       "[source:validation], or validation_split to [data]");
    if (samples->by == BY_CONFIDENCE && !verdict_is_there(seen))
        return tn_fail(
            error, TN_INVALID,
            "by = confidence: with this class_mode of [data] a picture has not one class that could be right "
            "or wrong: use by = loss");
    choose_sizes(samples, seen);
    bytes = (size_t)samples->height * (size_t)samples->width * 3;
    sample_images_close(samples);
    samples->kept = calloc((size_t)samples->count, sizeof *samples->kept);
    samples->pixels = calloc((size_t)samples->count, bytes);
    if (!samples->kept || !samples->pixels)
        return tn_fail(error, TN_NO_MEMORY, "no memory for %lld pictures of %d x %d", (long long)samples->count,
                       samples->width, samples->height);
    for (int64_t i = 0; i < samples->count; i++)
        samples->kept[i].pixels = samples->pixels + (size_t)i * bytes;
    return TN_OK;
}

/* ---- which ones ---- */

static void judge(const struct tn_seen_batch *seen, int32_t i, struct kept *found)
{
    struct verdict verdict;
    double weight = seen->weights ? seen->weights[i] : 1;
    found->loss = seen->losses[i] / weight;
    found->sample = seen->samples[i];
    found->truth = found->said = -1;
    found->confidence = 0;
    if (!verdict_of(seen, i, &verdict))
        return;
    found->truth = verdict.truth;
    found->said = verdict.said;
    found->confidence = verdict.confidence;
}

static void copy_pixels(const struct sample_images *samples, const struct tn_seen_batch *seen, int32_t i,
                        uint8_t *pixels)
{
    struct picture picture = picture_of(seen, i);
    for (int32_t y = 0; y < samples->height; y++)
        for (int32_t x = 0; x < samples->width; x++)
            for (int32_t c = 0; c < 3; c++)
                *pixels++ = picture_value(&picture, y * samples->shrink, x * samples->shrink, c);
}

static struct kept *least_of(struct sample_images *samples)
{
    struct kept *least = samples->kept;
    for (int64_t i = 1; i < samples->used; i++)
        if (samples->kept[i].rank < least->rank)
            least = &samples->kept[i];
    return least;
}

static void see(struct sample_images *samples, const struct tn_seen_batch *seen)
{
    for (int32_t i = 0; i < seen->count; i++) {
        struct kept found, *place;
        uint8_t *pixels;
        int64_t fresh = samples->used < samples->count ? samples->used : -1;
        if (seen->weights && !(seen->weights[i] > 0))
            continue;
        judge(seen, i, &found);
        if (samples->by == BY_CONFIDENCE && found.truth == found.said)
            continue;
        found.rank = samples->by == BY_CONFIDENCE ? found.confidence : found.loss;
        if (!(found.rank <= INFINITY)) /* no number is the worst of all */
            found.rank = INFINITY;
        place = fresh >= 0 ? &samples->kept[samples->used++] : least_of(samples);
        if (fresh < 0 && place->rank >= found.rank)
            continue;
        pixels = place->pixels;
        *place = found;
        place->pixels = pixels;
        copy_pixels(samples, seen, i, pixels);
    }
}

static int compare(const void *a, const void *b)
{
    const struct kept *left = a, *right = b;
    if (left->rank != right->rank)
        return left->rank > right->rank ? -1 : 1;
    return (left->sample > right->sample) - (left->sample < right->sample);
}

/* ---- the sheet ---- */

static void draw_text(const struct sheet *sheet, int32_t left, int32_t top, int32_t room, const char *text,
                      const uint8_t *color)
{
    for (; *text && room >= FONT_WIDTH; left += LETTER, room -= LETTER) {
        const uint8_t *columns = font_letter(&text);
        for (int32_t x = 0; x < FONT_WIDTH; x++)
            for (int32_t y = 0; y < FONT_HEIGHT; y++)
                if (columns[x] >> y & 1)
                    memcpy(sheet->pixels + ((size_t)(top + y) * (size_t)sheet->width + (size_t)(left + x)) * 3, color,
                           3);
    }
}

static void class_text(const struct tn_seen_batch *seen, int32_t number, char *text)
{
    if (number >= 0 && (uint32_t)number < seen->class_count)
        (void)snprintf(text, TEXT, "%.40s", seen->class_names[number]);
    else
        (void)snprintf(text, TEXT, "class %d", number);
}

static void draw_one(const struct sample_images *samples, const struct sheet *sheet, const struct tn_seen_batch *seen,
                     const struct kept *kept, int32_t left, int32_t top)
{
    static const uint8_t black[3] = {32, 32, 32}, gray[3] = {120, 120, 120}, red[3] = {190, 30, 30},
                         green[3] = {20, 120, 50};
    int32_t grow = samples->grow, height = samples->height * grow, width = samples->width * grow;
    int32_t room = width > LEAST_SIDE ? width : LEAST_SIDE;
    char line[2 * TEXT], name[TEXT];
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++)
            memcpy(sheet->pixels + ((size_t)(top + y) * (size_t)sheet->width + (size_t)(left + x)) * 3,
                   kept->pixels + ((size_t)(y / grow) * (size_t)samples->width + (size_t)(x / grow)) * 3, 3);
    top += height + 4;
    if (kept->truth >= 0) {
        class_text(seen, kept->truth, name);
        (void)snprintf(line, sizeof line, "is %s", name);
        draw_text(sheet, left, top, room, line, black);
        class_text(seen, kept->said, name);
        (void)snprintf(line, sizeof line, "%.0f%% %s", 100 * kept->confidence, name);
        draw_text(sheet, left, top + LINE_HEIGHT, room, line, kept->truth == kept->said ? green : red);
    }
    (void)snprintf(line, sizeof line, "loss %.3g #%llu", kept->loss, (unsigned long long)kept->sample);
    draw_text(sheet, left, top + 2 * LINE_HEIGHT, room, line, gray);
}

/* Under another name first: a sheet that is there is whole. */
static int write_png(const struct sheet *sheet, const char *path, char *why, size_t room)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)sheet->width,
                       .height = (png_uint_32)sheet->height,
                       .format = PNG_FORMAT_RGB};
    char part[1300];
    *why = 0;
    (void)snprintf(part, sizeof part, "%s.part", path);
    if (!png_image_write_to_file(&image, part, 0, sheet->pixels, 0, NULL))
        (void)snprintf(why, room, "%s", image.message);
    else if (rename(part, path) != 0)
        (void)snprintf(why, room, "%s", strerror(errno));
    if (*why)
        (void)remove(part);
    return *why == 0;
}

static int draw(const struct sample_images *samples, const struct tn_seen_batch *seen, const char *path, char *why,
                size_t room)
{
    struct sheet sheet = sheet_of(samples, samples->used);
    size_t bytes = (size_t)sheet.width * (size_t)sheet.height * 3;
    int done;
    sheet.pixels = malloc(bytes);
    if (!sheet.pixels) {
        (void)snprintf(why, room, "no memory for the sheet");
        return 0;
    }
    memset(sheet.pixels, 255, bytes);
    for (int32_t i = 0; i < (int32_t)samples->used; i++)
        draw_one(samples, &sheet, seen, &samples->kept[i], GAP + i % sheet.columns * sheet.each_width,
                 GAP + i / sheet.columns * sheet.each_height);
    done = write_png(&sheet, path, why, room);
    free(sheet.pixels);
    return done;
}

/* A sheet that cannot be written ends no run; it is said once. */
static void validation_end(struct sample_images *samples, const struct tn_run *run)
{
    char path[1200], text[1500], why[128];
    int done;
    if (samples->used == 0)
        return;
    qsort(samples->kept, (size_t)samples->used, sizeof *samples->kept, compare);
    (void)snprintf(path, sizeof path, "%s/samples", run->directory);
    (void)mkdir(path, 0777);
    (void)snprintf(path, sizeof path, "%s/samples/epoch_%03d.png", run->directory, run->epoch + 1);
    done = draw(samples, run->seen, path, why, sizeof why);
    if (!done && !samples->failed) {
        (void)snprintf(text, sizeof text, "sample_images: cannot write %s: %s; training goes on without it", path, why);
        run->say(run, TN_LOG_WARNING, text);
    }
    (void)snprintf(text, sizeof text, "cannot write %s: %s", path, why);
    run->unsaved(run, done ? NULL : text);
    samples->failed = !done;
}

static tn_status sample_images_on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    struct sample_images *samples = self;
    int32_t due = (run->epoch + 1) % samples->every == 0;
    if (event == TN_RUN_BEGIN)
        return run_begin(samples, run, error);
    if (event == TN_VALIDATION_BEGIN)
        samples->used = 0;
    else if (event == TN_VALIDATION_BATCH_END && due)
        see(samples, run->seen);
    else if (event == TN_VALIDATION_END && due)
        validation_end(samples, run);
    return TN_OK;
}

static const struct tn_callback sample_images = {
    TN_TYPE_WITH(TN_CALLBACK, "sample_images", struct sample_images, sample_images_options,
                 "the worst mistakes of the validation on a sheet of pictures", TN_CALLBACK_SEES_VALIDATION, NULL,
                 sample_images_close),
    .on = sample_images_on,
    .host_bytes = sample_images_host_bytes,
};

TN_PLUGIN("tenon.callbacks.sample_images", "0.1.0", "Apache-2.0", &sample_images.type);
