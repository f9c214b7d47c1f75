/* tfrecord: pictures and labels in TFRecord shards of tf.train.Example, as TensorFlow writes them and `tenon pack`
 * does.
 *
 * All shards are looked through once: place and label of each record are kept, and written to a sidecar for the next
 * time. So training shuffles all records and not a buffer of them; or, where seeks are dear, it reads shards from front
 * to back in a keyed order. A record's CRC is proved again whenever it is read.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../digest.h"
#include "shards.h"

static const struct tn_option options[] = {
    TN_PATH_REQUIRED(struct tfrecord, files, "the shards, a pattern: data/train-*.tfrecord, data/{a,b}.tfrecord"),
    TN_STRING(struct tfrecord, image_key, NULL,
              "feature with the encoded picture; absent: image, or image/encoded, what the first record has"),
    TN_STRING(
        struct tfrecord, label_key, NULL,
        "feature with the class, a number (named by classes.txt beside the shards, where there is one) or a text; "
        "absent: label, or image/class/label"),
    TN_INT(struct tfrecord, label_offset, 0, -1e9, 1e9, "number of the first class: 1 where labels count from 1"),
    TN_ENUM(struct tfrecord, compression, COMPRESSION_AUTO, "auto|none|gzip|zlib", "auto looks at the content"),
    TN_ENUM(struct tfrecord, io, IO_AUTO, "auto|random|sequential",
            "random: any record at any time; sequential: shards from front to back, in another order each epoch, for "
            "folders where seeks are dear; auto: sequential for compressed shards"),
    TN_INT(struct tfrecord, shuffle_window, 2048, 0, 1e9,
           "sequential: records that are shuffled among each other; they are held in memory, encoded"),
    TN_INT(struct tfrecord, interleave, 4, 1, 1024, "sequential: places that are read in turn"),
    TN_PATH_OR(struct tfrecord, index, "auto", "auto|no|FOLDER",
               "where lists of records are kept, so that shards are looked through once; auto: tenon/index in the "
               "user's cache "
               "folder; no: nowhere"),
    TN_BOOL(struct tfrecord, verify, 1,
            "prove the CRC of all data when a shard is looked through, not only when it is read"),
    TN_ENUM(struct tfrecord, on_damage, 0, "fail|skip",
            "skip: use the records before the damage, and leave out those without picture or label"),
    TN_BYTES(struct tfrecord, decompressed_limit, "64GiB", 1, 1e18,
             "most that a compressed shard may inflate to; with io = random it is inflated into $TMPDIR"),
    TN_PATH(struct tfrecord, stage, NULL,
            "folder on a local disk; shards are copied there ahead of their use, and stay for the next run"),
    TN_BYTES(struct tfrecord, stage_limit, "10GiB", 0, 1e18, "most that the copies in the folder `stage` may take"),
    TN_END,
};

static tn_status open_source(void *self, const struct tn_host *host, struct tn_error *error)
{
    struct tfrecord *source = self;
    (void)error;
    source->host = host;
    return TN_OK;
}

static void close_source(void *self)
{
    shards_close(self);
}

/* The first records are for validation, as with a manifest. */
static void apply_subset(struct tfrecord *source, const struct tn_source_request *request)
{
    uint64_t validation = (uint64_t)(request->validation_split * (double)source->place_count);
    if (request->subset == TN_SUBSET_VALIDATION) {
        source->place_count = validation;
    } else if (request->subset == TN_SUBSET_TRAINING) {
        source->place_count -= validation;
        memmove(source->places, source->places + validation, (size_t)source->place_count * sizeof *source->places);
    }
}

/* Decides how records are read, now that all shards are known. */
static tn_status choose_io(struct tfrecord *source, struct tn_error *error)
{
    uint64_t place = 0;
    source->sequential = source->io == IO_SEQUENTIAL;
    for (uint64_t i = 0; i < source->shard_count && source->io == IO_AUTO; i++)
        source->sequential |= source->shards[i].compression != COMPRESSION_NONE;
    if (!source->sequential)
        return TN_OK;
    source->starts = calloc((size_t)source->shard_count + 1, sizeof *source->starts);
    if (!source->starts)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the list of shards");
    for (uint64_t i = 0; i < source->shard_count; i++) {
        source->starts[i] = place;
        while (place < source->place_count && source->places[place].shard == i)
            place++;
    }
    source->starts[source->shard_count] = place;
    return blocks_open(source, error);
}

/* Copies help where originals are read more than once; what was inflated into $TMPDIR is local already. */
static tn_status begin_staging(struct tfrecord *source, struct tn_error *error)
{
    struct stage_spec spec = {.folder = source->stage,
                              .limit = source->stage_limit,
                              .count = source->shard_count,
                              .host = source->host,
                              .strands = (uint32_t)source->interleave,
                              .keeps_open = source->keeps_open && !source->sequential};
    int useful = spec.folder != NULL;
    for (uint64_t i = 0; i < source->shard_count; i++)
        useful &= source->sequential || source->shards[i].compression == COMPRESSION_NONE;
    if (!useful)
        return TN_OK;
    struct stage_file *files = calloc((size_t)source->shard_count, sizeof *files);
    if (!files)
        return tn_fail(error, TN_NO_MEMORY, "no memory for the list of shards");
    for (uint64_t i = 0; i < source->shard_count; i++) {
        const struct shard *shard = &source->shards[i];
        files[i] = (struct stage_file){shard->path, shard->size, shard->seconds, shard->nanoseconds};
    }
    spec.files = files;
    tn_status status = stage_open(&source->staged, &spec, error);
    free(files);
    return status;
}

static void arrange(void *self, const uint64_t *groups, uint64_t count)
{
    stage_arrange(((struct tfrecord *)self)->staged, groups, count);
}

static tn_status look_through(struct tfrecord *source, const struct tn_source_request *request, struct tn_error *error)
{
    tn_status status = shards_find(source, error);
    source->wants_label = request->class_mode != TN_CLASS_NONE && request->class_mode != TN_CLASS_INPUT;
    source->index_folder = sidecar_folder(source->index);
    if (status == TN_OK)
        status = classes_take(source, &request->classes, error);
    if (status == TN_OK)
        status = keys_choose(source, error);
    if (status == TN_OK)
        status = index_build(source, error);
    if (status == TN_OK && source->place_count == 0)
        status = tn_fail(error, TN_INVALID, "%s: no records in %llu file%s", source->files,
                         (unsigned long long)source->shard_count, source->shard_count == 1 ? "" : "s");
    return status;
}

static tn_status scan(void *self, const struct tn_source_request *request, struct tn_source_info *info,
                      struct tn_error *error)
{
    struct tfrecord *source = self;
    tn_status status = look_through(source, request, error);
    if (status == TN_OK)
        status = classes_settle(source, error);
    if (status == TN_OK) {
        apply_subset(source, request);
        status = classes_count(source, error);
    }
    if (status == TN_OK)
        status = choose_io(source, error);
    if (status == TN_OK)
        status = begin_staging(source, error);
    if (status != TN_OK)
        return status;
    info->count = source->place_count;
    info->class_count = source->wants_label ? source->class_count : 0;
    info->classes = (const char *const *)source->classes;
    info->class_sizes = source->class_sizes;
    info->index_bytes = source->place_capacity * sizeof *source->places + blocks_bytes(source->blocks);
    if (source->sequential) {
        info->group_starts = source->starts;
        info->group_count = source->shard_count;
        info->shuffle_window = (uint64_t)source->shuffle_window;
        info->strands = (uint32_t)source->interleave;
    }
    return TN_OK;
}

/* ---- digest ---- */

/* The list of records follows from the files; which of them are used, from the places. */
static tn_status digest_source(const void *self, uint64_t digest[2], struct tn_error *error)
{
    const struct tfrecord *source = self;
    (void)error;
    digest_begin(digest);
    for (uint64_t i = 0; i < source->shard_count; i++) {
        const struct shard *shard = &source->shards[i];
        digest_text(digest, shard->path);
        digest_number(digest, shard->size);
        digest_number(digest, (uint64_t)shard->seconds);
        digest_number(digest, (uint64_t)shard->nanoseconds);
    }
    digest_text(digest, source->image);
    for (uint64_t i = 0; i < source->place_count; i++) {
        const struct place *place = &source->places[i];
        digest_number(digest, place->offset);
        digest_number(digest, (uint64_t)place->shard << 32 | (uint32_t)place->label);
    }
    return TN_OK;
}

static const struct tn_source tfrecord = {
    TN_TYPE_WITH(TN_SOURCE, "tfrecord", struct tfrecord, options,
                 "pictures and labels in TFRecord shards of tf.train.Example", 0, open_source, close_source),
    .scan = scan,
    .name = sample_name,
    .label = sample_label,
    .worker_open = worker_open,
    .worker_close = worker_close,
    .read = sample_read,
    .digest = digest_source,
    .arrange = arrange,
};

TN_PLUGIN("tenon.loaders.tfrecord", TENON_VERSION, "Apache-2.0", &tfrecord.type);
