/* options.c: the keys of [data]. */
#include "data/data.h"

/* Rows whose key is not the name of the field. */
#define ROW_INT(key_, field_, default_, low_, high_, help_)                                                            \
    {                                                                                                                  \
        TN_OPTION_INT, 0, key_, offsetof(struct tn_data_options, field_), default_, low_, high_, NULL, NULL, help_     \
    }

const struct tn_option tn_data_option_table[] = {
    TN_SIZE(struct tn_data_options, target_size, "256x256", 1, 32768, "size of the network's input, height x width"),
    TN_INT(struct tn_data_options, batch_size, 32, 1, 1048576, "pictures in a batch"),
    TN_ENUM(
        struct tn_data_options, class_mode, TN_CLASS_CATEGORICAL,
        "categorical|binary|sparse|input|none|raw|multi_label",
        "target of a picture: one-hot class, 0 or 1, class number, the picture itself, nothing, numbers of the source "
        "(regression), or a 1 for each of its classes"),
    TN_ENUM(struct tn_data_options, color_mode, TN_COLOR_RGB, "rgb|grayscale|rgba", "channels of a picture: 3, 1 or 4"),
    TN_ENUM(struct tn_data_options, interpolation, TN_BILINEAR, "bilinear|nearest", "how pictures are resized"),
    TN_BOOL(struct tn_data_options, shuffle, 1, "another order in each epoch (training only)"),
    TN_BOOL(struct tn_data_options, fast_decode, 1,
            "decode smaller where the target is smaller; no = full size, the same pixels as Keras and TensorFlow"),
    TN_BOOL(struct tn_data_options, drop_remainder, 0, "leave out a smaller last batch (training only)"),
    TN_ENUM(struct tn_data_options, on_error, TN_ON_ERROR_FAIL, "fail|skip",
            "a picture that cannot be read: end the run, or count it and go on without it"),
    TN_INT(struct tn_data_options, retries, 4, 0, 1000,
           "times that a read is tried again when the system refuses it (EIO, ESTALE), before on_error decides"),
    TN_FLOAT(struct tn_data_options, retry_pause, 0.1, 0, 3600,
             "seconds before the first of them; each pause is 4 times the one before, 30 s at most"),
    TN_PATH_OR(
        struct tn_data_options, cache, "none", "none|memory|FILE",
        "keep pictures once they are decoded, in memory or in a file that the next run uses too; the same batches"),
    TN_ENUM(struct tn_data_options, cache_stage, 0, "decoded|encoded",
            "what is kept: pixels before any random change, or the picture file's bytes, which are fewer"),
    TN_BYTES(struct tn_data_options, cache_limit, "0", 0, 0x1p60,
             "most that is kept for each source; 0 = a quarter of the free memory, or nine tenths of the free disk"),
    TN_INT(struct tn_data_options, io_threads, 0, 0, 256,
           "threads that read ahead of the workers; 0 = none while reads are quick, else as many as hide the waiting"),
    TN_BYTES(struct tn_data_options, read_ahead, "64MiB", 0, 0x1p50,
             "bytes that may lie there, read and not yet decoded"),
    TN_INT(struct tn_data_options, workers, 0, 0, 256, "threads that decode; 0 = one for each core"),
    TN_INT(struct tn_data_options, prefetch, 2, 0, 64, "batches made ready besides the one in use"),
    TN_FLOAT(struct tn_data_options, validation_split, 0, 0, 0.999999,
             "share of each class that is kept for validation, the first files in order, as in Keras; 0 = none"),
    TN_LIST(struct tn_data_options, classes, NULL, "class names in order; absent = find them"),
    TN_STRING(struct tn_data_options, augment, NULL, "name of a strategy or of augmentations, separated by commas"),
    ROW_INT("max_pixels", maximum_pixels, 178956970, 1, 0x1p40, "larger pictures are refused before they are decoded"),
    TN_ENUM(struct tn_data_options, overlap, TN_OVERLAP_AUTO, "auto|no|yes",
            "decode while the network computes; auto = where there are cores to spare"),
    TN_LIST(struct tn_data_options, codecs, "jpeg, png, webp, bmp, ppm, tiff",
            "picture formats that are recognised, types of kind codec"),
    TN_BOOL(struct tn_data_options, auto_orient, 0,
            "turn photos as their EXIF orientation says (JPEG, PNG, WebP, TIFF); no = as they are stored, as Keras and "
            "TensorFlow do (but Keras turns a TIFF)"),
    TN_END,
};
