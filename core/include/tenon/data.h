/* tenon/data.h: from a place on disk to pixels: kinds source, codec and augment.
 *
 * Path of one sample: source.read gives encoded bytes (or pixels) -> codec.decode gives 8-bit pixels, possibly decoded
 * smaller -> the core samples them once through the product of all geometric augmentations and the resize -> per-pixel
 * augmentations -> scale and shift while it is stored into the slot of the batch. Images are rows of pixels, channels
 * last: [height][width][channels].
 */
#ifndef TENON_DATA_H
#define TENON_DATA_H

#include "tenon/random.h"
#include "tenon/type.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tn_pixel_type { TN_PIXEL_U8 = 1, TN_PIXEL_F32 = 2 };

/* A picture in memory. `pixels` holds height * width * channels elements of `pixel_type`, rows without gaps. */
struct tn_image {
    int32_t height, width, channels;
    int32_t pixel_type; /* enum tn_pixel_type */
    void *pixels;       /* owner: whoever made the image; see each function */
};

/* ---- source: lists samples and reads them
 * ---------------------------------------------------------------------------------- */

enum tn_class_mode {
    TN_CLASS_CATEGORICAL = 0,
    TN_CLASS_BINARY = 1,
    TN_CLASS_SPARSE = 2,
    TN_CLASS_INPUT = 3,
    TN_CLASS_NONE = 4,
    TN_CLASS_RAW = 5,        /* numbers of the source as they are (regression) */
    TN_CLASS_MULTI_LABEL = 6 /* a 1 for each class that the picture has, else 0 */
};
enum tn_subset { TN_SUBSET_ALL = 0, TN_SUBSET_TRAINING = 1, TN_SUBSET_VALIDATION = 2 };

/* What the experiment wants of a source; valid during scan() only. */
struct tn_source_request {
    uint32_t size;
    int32_t subset;          /* enum tn_subset */
    double validation_split; /* 0 = no split; else share of each class, as in Keras */
    int32_t class_mode;      /* enum tn_class_mode */
    uint64_t seed;
    struct tn_size target;  /* size of the network's input, for sources that draw */
    int32_t channels;       /* 1, 3 or 4 */
    struct tn_list classes; /* of the experiment; count 0 = find them */
};

/* What a source found; the arrays belong to the source and live until its close(). */
struct tn_source_info {
    uint32_t size;
    uint32_t class_count;        /* 0 when there are none */
    uint64_t count;              /* samples */
    const char *const *classes;  /* [class_count] names */
    const uint64_t *class_sizes; /* [class_count] samples of each; NULL = unknown */
    uint32_t target_count;       /* 0: `label` of a sample is its class; else the number of floats in `targets` */
    uint64_t index_bytes;        /* memory that the list of samples takes; 0 = next to none */
    /* Where seeks are dear: samples [group_starts[g], group_starts[g + 1]) lie one behind the other in one file, and
     * training reads `strands` files at a time from front to back, shuffling within `shuffle_window` samples, instead
     * of picking from all of them. NULL = any order is as good. [group_count + 1]; the last is `count`. */
    const uint64_t *group_starts;
    uint64_t group_count;
    uint64_t shuffle_window; /* samples; 0 = in order of the files */
    uint32_t strands;        /* at least 1 */
    const char *const
        *target_names; /* [target_count] where targets are numbers (class_mode raw); NULL = they have none */
};

/* One sample as read. Set either `bytes` (encoded) or `image.pixels`; buffers belong to the source's worker state and
 * stay valid until its next read() or worker_close(). */
struct tn_sample {
    uint32_t size;
    int32_t label; /* class, or -1 when unknown */
    const void *bytes;
    uint64_t byte_count;
    struct tn_image image;
    const float *targets; /* [target_count], or NULL */
};

struct tn_source {
    struct tn_type type;
    /* Finds the samples: names and sizes, no pixels. Errors name the folder or file.  [setup] */
    tn_status (*scan)(void *self, const struct tn_source_request *request, struct tn_source_info *info,
                      struct tn_error *error);
    /* Writes a readable name ("a/b.jpg", "part-3.tfrecord#17") of sample `index`.  [any] */
    void (*name)(const void *self, uint64_t index, char *text, uint64_t text_bytes);
    /* Class of a sample without reading it, -1 = unknown; NULL = never known before reading.  [any] */
    int32_t (*label)(const void *self, uint64_t index);
    /* State of one worker (open file, buffer); NULL functions = none needed.  [worker] */
    tn_status (*worker_open)(const void *self, void **worker, struct tn_error *error);
    void (*worker_close)(const void *self, void *worker);
    /* Reads sample `index`, 0 <= index < count, in any order.  [worker] */
    tn_status (*read)(const void *self, void *worker, uint64_t index, struct tn_sample *sample, struct tn_error *error);
    /* Two numbers that change when a sample is added, removed, renamed or rewritten (judged by sizes and times, not by
     * reading all of it), and stay when nothing changed: what a cache on disk is good for. NULL = no such cache with
     * this source.  [setup] */
    tn_status (*digest)(const void *self, uint64_t digest[2], struct tn_error *error);
    /* Tells which groups an epoch needs, in the order in which it comes to them; for copying ahead. `groups` is valid
     * during the call. No worker reads meanwhile.  [setup] */
    void (*arrange)(void *self, const uint64_t *groups, uint64_t count);
};

/* ---- codec: encoded bytes to pixels
 * ---------------------------------------------------------------------------------------- */

struct tn_decode_request {
    uint32_t size;
    int32_t channels;                      /* 1, 3 or 4: convert to this */
    int32_t minimum_height, minimum_width; /* may decode smaller than stored, but not below these; 0 = full size */
    int32_t fast;                          /* 0: the peers' exact pixels, full size */
    uint64_t maximum_pixels;               /* refuse larger pictures before allocating anything */
};

struct tn_codec {
    struct tn_type type;
    /* 1 when the bytes begin like this format. Looks at content, never at names.  [any] */
    int32_t (*probe)(const void *bytes, uint64_t byte_count);
    tn_status (*worker_open)(const void *self, void **worker, struct tn_error *error);
    void (*worker_close)(const void *self, void *worker);
    /* Stored height, width and channels from the header alone; reads no pixels.  [worker] */
    tn_status (*size)(const void *self, void *worker, const void *bytes, uint64_t byte_count, struct tn_image *image,
                      struct tn_error *error);
    /* Decodes to TN_PIXEL_U8. The pixels belong to the worker state, valid until its next call. Damaged input is an
     * error, never a half grey picture.  [worker] */
    tn_status (*decode)(const void *self, void *worker, const void *bytes, uint64_t byte_count,
                        const struct tn_decode_request *request, struct tn_image *image, struct tn_error *error);
    /* Encodes a TN_PIXEL_U8 image of 1 or 3 channels into memory from host->allocate, which the caller releases.
     * `quality`: 1..100 where the format has one. NULL = this codec only reads.  [any] */
    tn_status (*encode)(const void *self, const struct tn_host *host, const struct tn_image *image, int32_t quality,
                        void **bytes, uint64_t *byte_count, struct tn_error *error);
};

/* ---- augment: changes samples on their way into a batch
 * -------------------------------------------------------------------- */

/* Maps output pixels to input positions, both counted from the picture's centre in output pixels (of the target size):
 * in_y = yy*y + yx*x + y0,  in_x = xy*y + xx*x + x0.  The identity is {1, 0, 0, 0, 1, 0}. */
struct tn_affine {
    double yy, yx, y0, xy, xx, x0;
};

enum tn_fill_mode { TN_FILL_NEAREST = 0, TN_FILL_CONSTANT = 1, TN_FILL_REFLECT = 2, TN_FILL_WRAP = 3 };

/* pixel = pixel * scale + shift, by channel; composed and applied while the batch is stored. */
struct tn_scale_shift {
    float scale[4], shift[4];
};

enum {
    /* Nothing random in it: applied to every source (training, validation, prediction). */
    TN_AUGMENT_ALWAYS = 1u,
    /* Has random and fixed parts: called for every source, with random == NULL where only the fixed parts are wanted.
     * Without a flag an augmentation is random: applied to training only (unless `on = all`), random is never NULL. */
    TN_AUGMENT_MIXED = 2u,
};

/* Any of the functions may be NULL; those given are called in this order for each sample. All: [worker], self is read
 * only. */
struct tn_augment {
    struct tn_type type;
    /* Geometry: writes the map of this augmentation (the core multiplies them and samples once); fill_mode and
     * fill_value say what lies outside. `height`, `width`: of the output. */
    tn_status (*affine)(const void *self, int32_t height, int32_t width, struct tn_random *random,
                        struct tn_affine *map, int32_t *fill_mode, float *fill_value, struct tn_error *error);
    /* Pixels: changes the TN_PIXEL_F32 image (0..255 unless an earlier augmentation rescaled) in place; size stays. */
    tn_status (*apply)(const void *self, struct tn_image *image, struct tn_random *random, struct tn_error *error);
    /* A factor and a shift for each channel: no pass of its own. */
    tn_status (*scale_shift)(const void *self, int32_t channels, struct tn_random *random, struct tn_scale_shift *out,
                             struct tn_error *error);
};

#define TN_SIZE_OF_TN_SOURCE  sizeof(struct tn_source)
#define TN_SIZE_OF_TN_CODEC   sizeof(struct tn_codec)
#define TN_SIZE_OF_TN_AUGMENT sizeof(struct tn_augment)

#ifdef __cplusplus
}
#endif
#endif
