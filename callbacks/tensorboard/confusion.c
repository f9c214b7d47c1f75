/* confusion.c: see confusion.h. */
#include <stdlib.h>
#include <string.h>

#include "../font.h"
#include "../verdict.h"
#include "confusion.h"
#include "images.h"

enum { LETTER = FONT_WIDTH + 1, NAME_LETTERS = 14, GAP = 4, LARGEST = 800 };

struct canvas {
    uint8_t *pixels;
    int32_t width, height;
};

uint64_t confusion_bytes(const struct tn_seen_batch *sizes)
{
    uint64_t classes = sizes->prediction_count == 1 ? 2 : (uint64_t)sizes->prediction_count;
    uint64_t side = (classes > LARGEST ? classes : LARGEST) + NAME_LETTERS * LETTER + 2 * GAP;
    return classes > CONFUSION_MOST ? 0 : classes * classes * sizeof(uint32_t) + side * side * 3;
}

void confusion_release(struct confusion *confusion)
{
    free(confusion->counts);
    *confusion = (struct confusion){.counts = NULL};
}

void confusion_begin(struct confusion *confusion)
{
    if (confusion->counts)
        memset(confusion->counts, 0, (size_t)confusion->classes * confusion->classes * sizeof *confusion->counts);
}

static tn_status take_memory(struct confusion *confusion, const struct tn_seen_batch *seen, struct tn_error *error)
{
    int64_t classes = seen->prediction_count == 1 ? 2 : seen->prediction_count;
    if (confusion->counts)
        return TN_OK;
    if (classes > CONFUSION_MOST)
        return tn_fail(error, TN_UNSUPPORTED, "confusion_matrix: %lld classes are too many for a picture (most: %d)",
                       (long long)classes, CONFUSION_MOST);
    confusion->counts = calloc((size_t)(classes * classes), sizeof *confusion->counts);
    if (!confusion->counts)
        return tn_fail(error, TN_NO_MEMORY, "no memory to count %lld x %lld classes", (long long)classes,
                       (long long)classes);
    confusion->classes = (uint32_t)classes;
    return TN_OK;
}

tn_status confusion_see(struct confusion *confusion, const struct tn_seen_batch *seen, struct tn_error *error)
{
    struct verdict verdict;
    tn_status status = take_memory(confusion, seen, error);
    for (int32_t i = 0; status == TN_OK && i < seen->count; i++) {
        if (seen->weights && !(seen->weights[i] > 0))
            continue;
        if (!verdict_of(seen, i, &verdict))
            return tn_fail(error, TN_UNSUPPORTED, "confusion_matrix: these pictures have not one class each");
        if (verdict.truth >= 0 && (uint32_t)verdict.truth < confusion->classes)
            confusion->counts[(size_t)verdict.truth * confusion->classes + (size_t)verdict.said]++;
    }
    return status;
}

/* ---- drawing ---- */

static void fill(const struct canvas *canvas, int32_t left, int32_t top, int32_t side, const uint8_t color[3])
{
    for (int32_t y = top; y < top + side; y++)
        for (int32_t x = left; x < left + side; x++)
            memcpy(canvas->pixels + ((size_t)y * (size_t)canvas->width + (size_t)x) * 3, color, 3);
}

static void write_text(const struct canvas *canvas, int32_t left, int32_t top, const char *text, uint8_t shade)
{
    const uint8_t color[3] = {shade, shade, shade};
    for (; *text && left + LETTER <= canvas->width; left += LETTER) {
        const uint8_t *columns = font_letter(&text);
        for (int32_t x = 0; x < FONT_WIDTH; x++)
            for (int32_t y = 0; y < FONT_HEIGHT; y++)
                if (columns[x] >> y & 1)
                    fill(canvas, left + x, top + y, 1, color);
    }
}

/* Shares of the row: from white to dark blue; in cells that are large enough as percent too. */
static void draw_row(const struct confusion *confusion, const struct canvas *canvas, uint32_t row, int32_t left,
                     int32_t top, int32_t cell)
{
    const uint32_t *counts = confusion->counts + (size_t)row * confusion->classes;
    uint64_t sum = 0;
    char text[8];
    for (uint32_t i = 0; i < confusion->classes; i++)
        sum += counts[i];
    for (uint32_t i = 0; sum && i < confusion->classes; i++) {
        double share = (double)counts[i] / (double)sum;
        const uint8_t color[3] = {(uint8_t)(255 - 230 * share), (uint8_t)(255 - 190 * share),
                                  (uint8_t)(255 - 115 * share)};
        fill(canvas, left + (int32_t)i * cell, top, cell > 4 ? cell - 1 : cell, color);
        (void)snprintf(text, sizeof text, "%.0f", 100 * share);
        if (cell >= 3 * LETTER + 2 && counts[i])
            write_text(canvas, left + (int32_t)i * cell + (cell - (int32_t)strlen(text) * LETTER) / 2,
                       top + (cell - FONT_HEIGHT) / 2, text, share > 0.5 ? 255 : 60);
    }
}

/* Of the longest name. */
static int32_t name_letters(const char *const *names, uint32_t name_count, uint32_t classes)
{
    size_t longest = name_count < classes ? NAME_LETTERS : 1;
    for (uint32_t i = 0; i < name_count && i < classes; i++)
        longest = strlen(names[i]) > longest ? strlen(names[i]) : longest;
    return longest < NAME_LETTERS ? (int32_t)longest : NAME_LETTERS;
}

tn_status confusion_draw(const struct confusion *confusion, const char *const *names, uint32_t name_count, void **png,
                         size_t *bytes, int32_t *width, int32_t *height, struct tn_error *error)
{
    int32_t classes = (int32_t)confusion->classes, fit = LARGEST / classes;
    int32_t cell = fit >= 24 ? 24 : fit > 0 ? fit : 1, named = cell > FONT_HEIGHT;
    int32_t left = GAP + (named ? name_letters(names, name_count, confusion->classes) * LETTER + GAP : 0);
    struct canvas canvas = {.width = left + classes * cell + GAP, .height = 2 * GAP + classes * cell};
    char name[NAME_LETTERS + 1];
    canvas.pixels = malloc((size_t)canvas.width * (size_t)canvas.height * 3);
    if (!canvas.pixels)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a picture of %d x %d", (int)canvas.width,
                       (int)canvas.height);
    memset(canvas.pixels, 255, (size_t)canvas.width * (size_t)canvas.height * 3);
    for (int32_t row = 0; row < classes; row++) {
        if ((uint32_t)row < name_count)
            (void)snprintf(name, sizeof name, "%s", names[row]);
        else
            (void)snprintf(name, sizeof name, "class %d", (int)row);
        if (named)
            write_text(&canvas, GAP, GAP + row * cell + (cell - FONT_HEIGHT) / 2, name, 40);
        draw_row(confusion, &canvas, (uint32_t)row, left, GAP + row * cell, cell);
    }
    tn_status status = encode_png(canvas.pixels, canvas.width, canvas.height, png, bytes, error);
    *width = canvas.width;
    *height = canvas.height;
    free(canvas.pixels);
    return status;
}
