/* pack_sample.c: one picture to one record: its own bytes, or a smaller JPEG of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/pack.h"
#include "data/sampling.h"
#include "records/example_writer.h"
#include "records/record_writer.h"

enum { LONGEST_SIDE = 65500 /* of a JPEG */ };

static const uint64_t MAXIMUM_PIXELS = 178956970; /* as max_pixels of [data] */

tn_status tn_pack_worker_open(struct tn_pack *pack, const struct tn_pack_part *part, struct tn_pack_worker *worker,
                              struct tn_error *error)
{
    const struct tn_source *source = (const struct tn_source *)part->source->type;
    *worker = (struct tn_pack_worker){.pack = pack, .part = part};
    tn_status status = tn_decoder_open(pack->registry, &worker->decoder, error);
    if (status == TN_OK && source->worker_open)
        status = source->worker_open(part->source->self, &worker->reader, error);
    worker->reader_opened = status == TN_OK;
    return status;
}

void tn_pack_worker_close(struct tn_pack_worker *worker)
{
    if (worker->reader_opened) {
        const struct tn_source *source = (const struct tn_source *)worker->part->source->type;
        if (source->worker_close)
            source->worker_close(worker->part->source->self, worker->reader);
    }
    tn_decoder_close(&worker->decoder);
    free(worker->reduced);
    free(worker->pixels);
    *worker = (struct tn_pack_worker){0};
}

static void *reserve(unsigned char **memory, size_t *have, size_t need)
{
    if (*have < need) {
        free(*memory);
        *memory = malloc(need);
        *have = *memory ? need : 0;
    }
    return *memory;
}

/* ---- a smaller picture ---- */

/* Of what is written: as asked for, or the smallest of the picture's own shape that covers it. */
static tn_status choose_size(const struct tn_pack_options *options, const struct tn_image *stored, struct tn_size *size,
                             struct tn_error *error)
{
    *size = options->resize;
    if (!options->keep_aspect)
        return TN_OK;
    double down = (double)size->height / stored->height, across = (double)size->width / stored->width;
    double height = down >= across ? size->height : nearbyint(stored->height * across);
    double width = down >= across ? nearbyint(stored->width * down) : size->width;
    if (height > LONGEST_SIDE || width > LONGEST_SIDE)
        return tn_fail(error, TN_UNSUPPORTED, "a picture of %d x %d would become one of %.0f x %.0f", stored->height,
                       stored->width, height, width);
    *size =
        (struct tn_size){(int32_t)fmax(height, options->resize.height), (int32_t)fmax(width, options->resize.width)};
    return TN_OK;
}

/* The factor by which a codec has made a picture smaller; it rounds sizes up (see data/sample.c). */
static double reduction(int32_t stored, int32_t decoded)
{
    for (int32_t factor = 1; factor <= 64; factor *= 2)
        if ((stored + factor - 1) / factor == decoded)
            return factor;
    return (double)stored / decoded;
}

/* As a run with fast_decode makes it: decoded no larger than needed, halved while it is twice as large, sampled. */
static tn_status make_smaller(struct tn_pack_worker *worker, const struct tn_sample *sample,
                              const struct tn_image *stored, struct tn_image *made, struct tn_error *error)
{
    bool grey = stored->channels == 1;
    struct tn_size size;
    struct tn_image image;
    tn_status status = choose_size(worker->pack->options, stored, &size, error);
    if (status != TN_OK)
        return status;
    const struct tn_decode_request request = {.size = sizeof request,
                                              .channels = grey ? 1 : 4,
                                              .minimum_height = size.height,
                                              .minimum_width = size.width,
                                              .fast = 1,
                                              .maximum_pixels = MAXIMUM_PIXELS};
    status = tn_decoder_decode(worker->decoder, sample->bytes, sample->byte_count, &request, &image, error);
    if (status != TN_OK)
        return status;
    double ratio_y = stored->height / reduction(stored->height, image.height) / size.height;
    double ratio_x = stored->width / reduction(stored->width, image.width) / size.width;
    while (image.height / 2 >= size.height && image.width / 2 >= size.width && image.height > 1 && image.width > 1) {
        size_t bytes = (size_t)((image.height + 1) / 2) * (size_t)((image.width + 1) / 2) * (size_t)image.channels;
        struct tn_image half = {.pixels = reserve(&worker->reduced, &worker->reduced_bytes, bytes)};
        if (!half.pixels)
            return tn_fail(error, TN_NO_MEMORY, "no memory for a picture of %d x %d", image.height, image.width);
        tn_halve(&image, &half);
        image = half;
        ratio_y /= 2, ratio_x /= 2;
    }
    *made = (struct tn_image){size.height, size.width, grey ? 1 : 3, TN_PIXEL_U8, NULL};
    made->pixels = reserve(&worker->pixels, &worker->pixel_bytes,
                           (size_t)made->height * (size_t)made->width * (size_t)made->channels);
    if (!made->pixels)
        return tn_fail(error, TN_NO_MEMORY, "no memory for a picture of %d x %d", made->height, made->width);
    struct tn_sampling sampling = tn_sampling_resize(&image, made->height, made->width);
    sampling.channels = made->channels, sampling.pixel_type = TN_PIXEL_U8;
    sampling.ratio_y = ratio_y, sampling.ratio_x = ratio_x;
    tn_sampling_run(&sampling, &image, made->pixels);
    return TN_OK;
}

/* ---- the record ---- */

/* Whether all of it decodes. At an eighth of the size: that finds the same damage in a fraction of the time. */
static tn_status check(struct tn_pack_worker *worker, const struct tn_sample *sample, const struct tn_image *stored,
                       struct tn_error *error)
{
    struct tn_image image;
    const struct tn_decode_request request = {.size = sizeof request,
                                              .channels = stored->channels == 1 ? 1 : 3,
                                              .minimum_height = 1,
                                              .minimum_width = 1,
                                              .fast = 1,
                                              .maximum_pixels = MAXIMUM_PIXELS};
    return tn_decoder_decode(worker->decoder, sample->bytes, sample->byte_count, &request, &image, error);
}

/* "JPEG" for the codec jpeg, as others write it. */
static void name_format(const struct tn_pack_worker *worker, const struct tn_sample *sample, char *text, size_t bytes)
{
    const char *name = tn_decoder_codec(worker->decoder, sample->bytes, sample->byte_count);
    size_t used = 0;
    for (; name && name[used] && used + 1 < bytes; used++)
        text[used] = (char)(name[used] >= 'a' && name[used] <= 'z' ? name[used] - 'a' + 'A' : name[used]);
    text[used] = '\0';
}

static tn_status write_example(struct tn_pack_worker *worker, const struct tn_example_image *picture,
                               struct tn_text *record, struct tn_error *error)
{
    tn_record_begin(record);
    tn_status status = tn_example_write_image(record, picture, worker->pack->options->keys, error);
    return status == TN_OK ? tn_record_end(record, error) : status;
}

tn_status tn_pack_sample(struct tn_pack_worker *worker, uint64_t index, struct tn_text *record, int32_t *label,
                         struct tn_error *error)
{
    const struct tn_pack *pack = worker->pack;
    const struct tn_instance *from = worker->part->source;
    const struct tn_source *source = (const struct tn_source *)from->type;
    const struct tn_host *host = tn_host_table();
    const struct tn_codec *encoder = pack->encoder ? (const struct tn_codec *)pack->encoder->type : NULL;
    struct tn_sample sample;
    struct tn_image stored = {0}, made;
    char name[4096], format[16];
    void *encoded = NULL;
    tn_status status;

    TN_TRY(status, tn_pack_read(worker, index, &sample, error), out);
    TN_TRY(status, tn_decoder_size(worker->decoder, sample.bytes, sample.byte_count, &stored, error), out);
    if (stored.height <= 0 || stored.width <= 0 || sample.label < 0 || (uint32_t)sample.label >= pack->class_count)
        TN_TRY(status, tn_fail(error, TN_CORRUPT, "it claims a size of %d x %d", stored.height, stored.width), out);
    *label = sample.label;
    source->name(from->self, index, name, sizeof name);
    name_format(worker, &sample, format, sizeof format);
    struct tn_example_image picture = {.bytes = sample.bytes,
                                       .byte_count = sample.byte_count,
                                       .format = format,
                                       .height = stored.height,
                                       .width = stored.width,
                                       .label = sample.label,
                                       .class_name = pack->classes[sample.label],
                                       .file_name = name};
    if (encoder) {
        TN_TRY(status, make_smaller(worker, &sample, &stored, &made, error), out);
        TN_TRY(status,
               encoder->encode(pack->encoder->self, host, &made, (int32_t)pack->options->quality, &encoded,
                               &picture.byte_count, error),
               out);
        picture.bytes = encoded, picture.format = "JPEG";
        picture.height = made.height, picture.width = made.width;
    } else if (!pack->options->trust) {
        TN_TRY(status, check(worker, &sample, &stored, error), out);
    }
    status = write_example(worker, &picture, record, error);
out:
    if (encoded)
        host->release(encoded);
    return status;
}
