/* tiff: the first picture of a TIFF through libtiff: grey, colours, palette and CMYK, strips and tiles, 1 to 16 bits.
 *
 * 16 bits lose their lower half, as in PNG. Alpha is dropped, not blended, unless four channels are asked for. Pixels
 * come as they are stored; the core turns them where auto_orient asks for it. The file's bytes are all that libtiff
 * gets to see; its messages go into our errors, and what it allocates by claims of the file is bounded.
 */
#include "plain.h"
#include "tiff_memory.h"

/* What tiles may be larger than the picture. */
static const uint64_t TILE_EXCESS = (uint64_t)16 << 20;

struct tiff {
    int32_t unused; /* no options yet */
};

/* The buffers of a worker: pixels for the caller, samples as stored, and one strip or tile. */
struct worker {
    struct plain_worker plain;
    unsigned char *samples, *segment;
    size_t sample_bytes, segment_bytes; /* allocated */
};

struct layout {
    uint32_t height, width;
    uint32_t segment_height, segment_width; /* rows of a strip, size of a tile */
    uint16_t bits, samples, photometric, compression;
    int tiled, separate; /* separate: a plane for each sample */
    const uint16_t *palette[3];
};

/* ---- opening ---- */

static int32_t tiff_probe(const void *bytes, uint64_t byte_count)
{
    return byte_count >= 8 && (memcmp(bytes, "II*\0", 4) == 0 || memcmp(bytes, "MM\0*", 4) == 0 ||
                               memcmp(bytes, "II+\0", 4) == 0 || memcmp(bytes, "MM\0+", 4) == 0);
}

/* Those of pictures; what scientific and fax-era codecs would add is mostly a larger target. */
static int is_known_compression(uint16_t compression)
{
    return compression == COMPRESSION_NONE || compression == COMPRESSION_LZW || compression == COMPRESSION_PACKBITS ||
           compression == COMPRESSION_ADOBE_DEFLATE || compression == COMPRESSION_DEFLATE ||
           compression == COMPRESSION_JPEG || compression == COMPRESSION_CCITTRLE ||
           compression == COMPRESSION_CCITTFAX3 || compression == COMPRESSION_CCITTFAX4;
}

/* Samples that a colour needs; 0 = a kind that is not read. YCbCr comes as RGB out of a JPEG only. */
static uint16_t colours_of(const struct layout *layout)
{
    switch (layout->photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
    case PHOTOMETRIC_PALETTE:
        return 1;
    case PHOTOMETRIC_RGB:
        return 3;
    case PHOTOMETRIC_YCBCR:
        return layout->compression == COMPRESSION_JPEG && !layout->separate ? 3 : 0;
    case PHOTOMETRIC_SEPARATED:
        return 4;
    default:
        return 0;
    }
}

static tn_status judge_kind(const struct layout *layout, uint16_t format, struct tn_error *error)
{
    uint16_t colours = colours_of(layout);
    int small = layout->bits == 1 || layout->bits == 2 || layout->bits == 4;
    if (!is_known_compression(layout->compression) || !TIFFIsCODECConfigured(layout->compression))
        return tn_fail(error, TN_UNSUPPORTED, "a TIFF with compression %u is not supported",
                       (unsigned)layout->compression);
    if (colours == 0)
        return tn_fail(error, TN_UNSUPPORTED, "a TIFF with colours of kind %u is not supported",
                       (unsigned)layout->photometric);
    if (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID)
        return tn_fail(error, TN_UNSUPPORTED,
                       "a TIFF with samples that are no whole numbers (format %u) is not supported", (unsigned)format);
    if (layout->samples < colours || layout->samples > colours + 2)
        return tn_fail(error, TN_UNSUPPORTED, "a TIFF with %u samples where %u are expected is not supported",
                       (unsigned)layout->samples, (unsigned)colours);
    if (!(layout->bits == 8 || (small && layout->samples == 1) ||
          (layout->bits == 16 && layout->photometric != PHOTOMETRIC_PALETTE)))
        return tn_fail(error, TN_UNSUPPORTED, "a TIFF with %u bits for each of %u samples is not supported",
                       (unsigned)layout->bits, (unsigned)layout->samples);
    return TN_OK;
}

static tn_status read_layout(struct reading *reading, struct layout *layout, struct tn_error *error)
{
    TIFF *tiff = reading->tiff;
    uint16_t planar = PLANARCONFIG_CONTIG, format = SAMPLEFORMAT_UINT;
    *layout = (struct layout){.photometric = UINT16_MAX};
    if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &layout->width) ||
        !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &layout->height) || layout->width < 1 || layout->height < 1 ||
        layout->width > INT32_MAX || layout->height > INT32_MAX)
        return tn_fail(error, TN_CORRUPT, "damaged TIFF: it claims a size of %u x %u", (unsigned)layout->height,
                       (unsigned)layout->width);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &layout->bits);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &layout->samples);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &layout->compression);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &planar);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &format);
    (void)TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &layout->photometric);
    layout->separate = planar == PLANARCONFIG_SEPARATE && layout->samples > 1;
    tn_status status = judge_kind(layout, format, error);
    if (status != TN_OK)
        return status;
    if (layout->photometric == PHOTOMETRIC_PALETTE &&
        !TIFFGetField(tiff, TIFFTAG_COLORMAP, &layout->palette[0], &layout->palette[1], &layout->palette[2]))
        return tn_fail(error, TN_CORRUPT, "damaged TIFF: its palette is missing");
    if (layout->photometric == PHOTOMETRIC_YCBCR)
        (void)TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    return TN_OK;
}

static tn_status tiff_open(struct reading *reading, const void *bytes, uint64_t byte_count, struct layout *layout,
                           struct tn_error *error)
{
    *reading = (struct reading){.bytes = bytes, .count = byte_count};
    tn_status status = open_file(reading, error);
    return status == TN_OK ? read_layout(reading, layout, error) : status;
}

/* ---- strips and tiles into samples ---- */

static tn_status reserve(unsigned char **buffer, size_t *allocated, uint64_t bytes, struct tn_error *error)
{
    if (*allocated >= bytes)
        return TN_OK;
    free(*buffer);
    *buffer = bytes <= SIZE_MAX ? malloc((size_t)bytes) : NULL;
    *allocated = *buffer ? (size_t)bytes : 0;
    return *buffer ? TN_OK
                   : tn_fail(error, TN_NO_MEMORY, "no memory for a picture of %llu bytes", (unsigned long long)bytes);
}

/* One sample as 8 bits; of a palette its number. */
static unsigned char sample_of(const struct layout *layout, const unsigned char *row, size_t index)
{
    uint16_t wide;
    if (layout->bits == 8)
        return row[index];
    if (layout->bits == 16) {
        memcpy(&wide, row + 2 * index, sizeof wide); /* in the machine's order already */
        return (unsigned char)(wide >> 8);
    }
    unsigned most = (1u << layout->bits) - 1;
    unsigned value = (unsigned)row[index * layout->bits / 8] >> (8 - layout->bits - index * layout->bits % 8) & most;
    return (unsigned char)(layout->photometric == PHOTOMETRIC_PALETTE ? value : value * 255 / most);
}

/* Takes what a strip or tile at (top, left) holds of the picture; `plane`: which sample, where they lie apart. */
static void take_segment(const struct layout *layout, const struct worker *worker, uint64_t row_bytes, uint32_t top,
                         uint32_t left, uint16_t plane)
{
    uint32_t rows = layout->height - top < layout->segment_height ? layout->height - top : layout->segment_height;
    uint32_t columns = layout->width - left < layout->segment_width ? layout->width - left : layout->segment_width;
    size_t together = layout->separate ? 1 : layout->samples;
    for (uint32_t y = 0; y < rows; y++) {
        const unsigned char *row = worker->segment + y * row_bytes;
        unsigned char *out = worker->samples + (((size_t)top + y) * layout->width + left) * layout->samples + plane;
        if (layout->bits == 8 && !layout->separate) {
            memcpy(out, row, columns * together);
            continue;
        }
        for (uint32_t x = 0; x < columns; x++)
            for (size_t s = 0; s < together; s++)
                out[x * (size_t)layout->samples + s] = sample_of(layout, row, x * together + s);
    }
}

static tn_status read_segment(struct reading *reading, const struct layout *layout, struct worker *worker, uint32_t top,
                              uint32_t left, uint16_t plane, struct tn_error *error)
{
    TIFF *tiff = reading->tiff;
    uint64_t row_bytes = layout->tiled ? TIFFTileRowSize64(tiff) : TIFFScanlineSize64(tiff);
    uint32_t rows = layout->segment_height;
    if (!layout->tiled && layout->height - top < rows)
        rows = layout->height - top;
    uint64_t bytes = row_bytes * rows;
    tmsize_t got =
        bytes > worker->segment_bytes ? -1
        : layout->tiled
            ? TIFFReadEncodedTile(tiff, TIFFComputeTile(tiff, left, top, 0, plane), worker->segment, (tmsize_t)bytes)
            : TIFFReadEncodedStrip(tiff, TIFFComputeStrip(tiff, top, plane), worker->segment, (tmsize_t)bytes);
    /* Where data is missing or wrong JPEG and fax go on with a warning and grey or white. */
    if (got < 0 || (uint64_t)got != bytes || reading->failed || reading->warned)
        return fail_damaged(reading, error);
    take_segment(layout, worker, row_bytes, top, left, plane);
    return TN_OK;
}

static tn_status prepare_segments(struct reading *reading, struct layout *layout, struct worker *worker,
                                  struct tn_error *error)
{
    TIFF *tiff = reading->tiff;
    uint64_t pixels = (uint64_t)layout->height * layout->width, bytes;
    layout->tiled = TIFFIsTiled(tiff);
    layout->segment_width = layout->width;
    if (layout->tiled) {
        if (!TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &layout->segment_width) ||
            !TIFFGetField(tiff, TIFFTAG_TILELENGTH, &layout->segment_height))
            return tn_fail(error, TN_CORRUPT, "damaged TIFF: its tiles have no size");
    } else {
        (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &layout->segment_height);
        if (layout->segment_height > layout->height)
            layout->segment_height = layout->height;
    }
    /* A row has to hold what will be read from it: libtiff computes sizes from tags that may contradict. */
    uint64_t together = layout->separate ? 1 : layout->samples;
    uint64_t least = ((uint64_t)layout->segment_width * together * layout->bits + 7) / 8;
    uint64_t row_bytes = layout->tiled ? TIFFTileRowSize64(tiff) : TIFFScanlineSize64(tiff);
    bytes = layout->tiled ? TIFFTileSize64(tiff) : TIFFVStripSize64(tiff, layout->segment_height);
    if (layout->segment_width < 1 || layout->segment_height < 1 || row_bytes < least || bytes == 0 ||
        bytes > 4 * pixels * layout->samples * 2 + TILE_EXCESS || bytes / row_bytes < layout->segment_height)
        return tn_fail(error, TN_CORRUPT, "damaged TIFF: its strips or tiles make no sense");
    return reserve(&worker->segment, &worker->segment_bytes, bytes, error);
}

static tn_status read_samples(struct reading *reading, struct layout *layout, struct worker *worker,
                              struct tn_error *error)
{
    tn_status status = prepare_segments(reading, layout, worker, error);
    if (status == TN_OK)
        status = reserve(&worker->samples, &worker->sample_bytes,
                         (uint64_t)layout->height * layout->width * layout->samples, error);
    reading->failed = reading->warned = 0; /* of the header: odd tags are no reason to refuse */
    for (uint16_t plane = 0; status == TN_OK && plane < (layout->separate ? layout->samples : 1); plane++)
        for (uint64_t top = 0; status == TN_OK && top < layout->height; top += layout->segment_height)
            for (uint64_t left = 0; status == TN_OK && left < layout->width; left += layout->segment_width)
                status = read_segment(reading, layout, worker, (uint32_t)top, (uint32_t)left, plane, error);
    return status;
}

/* ---- samples into pixels ---- */

static void store_pixels(const struct layout *layout, const unsigned char *in, unsigned char *out, int32_t channels)
{
    size_t count = (size_t)layout->height * layout->width;
    uint16_t colours = colours_of(layout);
    for (size_t i = 0; i < count; i++, in += layout->samples, out += channels) {
        unsigned char rgb[3], alpha = layout->samples > colours ? in[colours] : 255;
        for (int c = 0; c < 3; c++)
            rgb[c] = layout->palette[c]                              ? (unsigned char)(layout->palette[c][in[0]] >> 8)
                     : layout->photometric == PHOTOMETRIC_MINISWHITE ? (unsigned char)(255 - in[0])
                     : colours == 1                                  ? in[0]
                                                                     : in[c];
        if (colours == 4)
            rgb_of_cmyk(in, 0, rgb);
        if (channels == 1 && colours == 1 && !layout->palette[0])
            out[0] = rgb[0];
        else
            plain_store(out, channels, rgb, alpha);
    }
}

static tn_status tiff_decode(const void *self, void *state, const void *bytes, uint64_t byte_count,
                             const struct tn_decode_request *request, struct tn_image *image, struct tn_error *error)
{
    struct worker *worker = state;
    struct reading reading;
    struct layout layout;
    (void)self;
    tn_status status = tiff_open(&reading, bytes, byte_count, &layout, error);
    int32_t height = status == TN_OK ? (int32_t)layout.height : 0, width = status == TN_OK ? (int32_t)layout.width : 0;
    if (status == TN_OK)
        status = plain_judge_size("TIFF", height, width, request, error);
    if (status == TN_OK)
        status = read_samples(&reading, &layout, worker, error);
    if (status == TN_OK)
        status = plain_reserve(&worker->plain, height, width, request->channels, error);
    if (status == TN_OK) {
        store_pixels(&layout, worker->samples, worker->plain.pixels, request->channels);
        *image = (struct tn_image){height, width, request->channels, TN_PIXEL_U8, worker->plain.pixels};
    }
    if (reading.tiff)
        TIFFClose(reading.tiff);
    return status;
}

static tn_status tiff_size(const void *self, void *state, const void *bytes, uint64_t byte_count,
                           struct tn_image *image, struct tn_error *error)
{
    struct reading reading;
    struct layout layout;
    (void)self, (void)state;
    tn_status status = tiff_open(&reading, bytes, byte_count, &layout, error);
    if (status == TN_OK) {
        int colours = colours_of(&layout) == 1 && layout.photometric != PHOTOMETRIC_PALETTE ? 1 : 3;
        int alpha = colours == 3 && layout.samples > colours_of(&layout);
        *image = (struct tn_image){(int32_t)layout.height, (int32_t)layout.width, colours + alpha, TN_PIXEL_U8, NULL};
    }
    if (reading.tiff)
        TIFFClose(reading.tiff);
    return status;
}

static tn_status tiff_worker_open(const void *self, void **state, struct tn_error *error)
{
    (void)self;
    *state = calloc(1, sizeof(struct worker));
    return *state ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory for a decoder");
}

static void tiff_worker_close(const void *self, void *state)
{
    struct worker *worker = state;
    (void)self;
    if (!worker)
        return;
    free(worker->plain.pixels);
    free(worker->samples);
    free(worker->segment);
    free(worker);
}

static const struct tn_codec tiff = {
    TN_TYPE(TN_CODEC, "tiff", struct tiff, NULL, "the first picture of a TIFF, through libtiff"),
    .probe = tiff_probe,
    .worker_open = tiff_worker_open,
    .worker_close = tiff_worker_close,
    .size = tiff_size,
    .decode = tiff_decode,
};

TN_PLUGIN("tenon.codecs.tiff", "0.1.0", "Apache-2.0", &tiff.type);
