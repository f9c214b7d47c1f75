/* summary.c: see summary.h. The messages are
 *
 *   Event    { 1: wall time, 2: step, 3: file version, 5: Summary { 1: Value }, 10: SourceMetadata { 1: writer } }
 *   Value    { 1: tag, 8: Tensor, 9: Metadata { 1: PluginData { 1: name, 2: content } } }
 *   Tensor   { 1: type, 2: Shape { 2: Dimension { 1: size } … }, 4: content, 8: text }
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "event_file.h"
#include "summary.h"

enum { TYPE_FLOAT = 1, TYPE_DOUBLE = 2, TYPE_STRING = 7, BUCKETS = 30, COLUMNS = 3 };

struct opened {
    size_t summary, value, tensor;
};

void summary_version(struct message *event)
{
    size_t source;
    message_double(event, 1, floor(wall_seconds()));
    message_text(event, 3, "brain.Event:2");
    source = message_open(event, 10);
    message_text(event, 1, "tenon.callbacks.tensorboard");
    message_close(event, source);
}

static struct opened begin(struct message *event, const char *tag, uint64_t step)
{
    struct opened opened;
    message_double(event, 1, wall_seconds());
    if (step)
        message_varint(event, 2, step);
    opened.summary = message_open(event, 5);
    opened.value = message_open(event, 1);
    message_text(event, 1, tag);
    opened.tensor = message_open(event, 8);
    return opened;
}

static void end(struct message *event, const struct opened *opened, const char *plugin, const struct message *content)
{
    size_t metadata, data;
    message_close(event, opened->tensor);
    metadata = message_open(event, 9);
    data = message_open(event, 1);
    message_text(event, 1, plugin);
    if (content)
        message_bytes(event, 2, content->bytes, content->used);
    message_close(event, data);
    message_close(event, metadata);
    message_close(event, opened->value);
    message_close(event, opened->summary);
}

/* Content is little endian. */
static void put_bits(unsigned char *at, uint64_t bits, int count)
{
    for (int i = 0; i < count; i++)
        at[i] = (unsigned char)(bits >> 8 * i);
}

void summary_scalar(struct message *event, const char *tag, uint64_t step, double value)
{
    struct opened opened = begin(event, tag, step);
    float single = (float)value;
    unsigned char content[4];
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    put_bits(content, bits, 4);
    message_varint(event, 1, TYPE_FLOAT);
    message_bytes(event, 2, NULL, 0);
    message_bytes(event, 4, content, sizeof content);
    end(event, &opened, "scalars", NULL);
}

void summary_text(struct message *event, const char *tag, uint64_t step, const char *text, size_t bytes)
{
    struct opened opened = begin(event, tag, step);
    message_varint(event, 1, TYPE_STRING);
    message_bytes(event, 2, NULL, 0);
    message_bytes(event, 8, text, bytes);
    end(event, &opened, "text", NULL);
}

/* Texts of width, height and pictures, as tf.summary.image writes them. */
void summary_images(struct message *event, const char *tag, uint64_t step, const struct summary_png *pictures,
                    int32_t count, int32_t width, int32_t height)
{
    struct opened opened = begin(event, tag, step);
    char number[16];
    size_t shape, axis;
    message_varint(event, 1, TYPE_STRING);
    shape = message_open(event, 2);
    axis = message_open(event, 2);
    message_varint(event, 1, (uint64_t)count + 2);
    message_close(event, axis);
    message_close(event, shape);
    (void)snprintf(number, sizeof number, "%d", (int)width);
    message_text(event, 8, number);
    (void)snprintf(number, sizeof number, "%d", (int)height);
    message_text(event, 8, number);
    for (int32_t i = 0; i < count; i++)
        message_bytes(event, 8, pictures[i].bytes, pictures[i].count);
    end(event, &opened, "images", NULL);
}

/* The tensor is empty: one axis of size 0. */
void summary_data(struct message *event, const char *tag, const char *plugin, const struct message *data)
{
    struct opened opened = begin(event, tag, 0);
    size_t shape;
    message_varint(event, 1, TYPE_FLOAT);
    shape = message_open(event, 2);
    message_bytes(event, 2, NULL, 0);
    message_close(event, shape);
    end(event, &opened, plugin, data);
}

/* ---- histogram ---- */

/* Smallest and largest of the numbers that are finite; returns how many there are. */
static uint64_t find_range(const float *values, uint64_t count, float *low, float *high)
{
    uint64_t finite = 0;
    *low = INFINITY;
    *high = -INFINITY;
    for (uint64_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            continue;
        finite++;
        *low = values[i] < *low ? values[i] : *low;
        *high = values[i] > *high ? values[i] : *high;
    }
    return finite;
}

static void put_row(unsigned char *row, double left, double right, double count)
{
    double columns[COLUMNS] = {left, right, count};
    for (int i = 0; i < COLUMNS; i++) {
        uint64_t bits;
        memcpy(&bits, &columns[i], sizeof bits);
        put_bits(row + 8 * i, bits, 8);
    }
}

/* As tf.summary.histogram: parts of equal width in float64; all in the last part when all are the same. */
static void fill_rows(unsigned char (*rows)[COLUMNS * 8], const float *values, uint64_t count)
{
    uint64_t counts[BUCKETS] = {0};
    float low, high;
    uint64_t finite = find_range(values, count, &low, &high);
    double width = finite ? ((double)high - (double)low) / BUCKETS : 0;
    for (uint64_t i = 0; width > 0 && i < count; i++) {
        int part;
        if (!isfinite(values[i]))
            continue;
        part = (int)(((double)values[i] - (double)low) / width);
        counts[part < BUCKETS ? part : BUCKETS - 1]++;
    }
    if (!(width > 0))
        counts[BUCKETS - 1] = finite;
    for (int i = 0; i < BUCKETS; i++) {
        double left = finite ? low + width * i : 0;
        double right = finite && i + 1 == BUCKETS ? high : left + width;
        put_row(rows[i], left, right, (double)counts[i]);
    }
}

void summary_histogram(struct message *event, const char *tag, uint64_t step, const float *values, uint64_t count)
{
    static const uint64_t sizes[] = {BUCKETS, COLUMNS};
    unsigned char rows[BUCKETS][COLUMNS * 8];
    struct opened opened = begin(event, tag, step);
    size_t shape;
    message_varint(event, 1, TYPE_DOUBLE);
    shape = message_open(event, 2);
    for (int i = 0; i < 2; i++) {
        size_t dimension = message_open(event, 2);
        message_varint(event, 1, sizes[i]);
        message_close(event, dimension);
    }
    message_close(event, shape);
    fill_rows(rows, values, count);
    message_bytes(event, 4, rows, sizeof rows);
    end(event, &opened, "histograms", NULL);
}
