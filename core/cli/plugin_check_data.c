/* plugin_check_data.c: tries to break sources, codecs and augmentations. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cli/plugin.h"

/* ---- source ---- */

struct source_run {
    struct tn_checker *checker;
    const struct tn_source *type;
    struct tn_instance *instance;
    struct tn_source_request request;
    struct tn_source_info info;
};

static bool scan(struct source_run *run)
{
    struct tn_checker *checker = run->checker;
    struct tn_error error = {0};
    uint64_t sum = 0;
    tn_status status;
    run->info = (struct tn_source_info){.size = sizeof run->info};
    tn_check_step(checker, "scan() for subset %d, split %g, %d channels, %dx%d", run->request.subset,
                  run->request.validation_split, run->request.channels, run->request.target.height,
                  run->request.target.width);
    status = run->type->scan(run->instance->self, &run->request, &run->info, &error);
    if (!tn_check_status(checker, "scan()", status, &error)) {
        tn_check_remark(checker, "scan() refuses: %s", error.text);
        return false;
    }
    if (run->info.count == 0)
        tn_check_fail(checker, "scan() succeeds but finds no samples: that should be an error that says where");
    for (uint32_t i = 0; i < run->info.class_count; i++) {
        if (!run->info.classes || !run->info.classes[i] || !run->info.classes[i][0]) {
            tn_check_fail(checker, "scan() counts %u classes, but number %u has no name", run->info.class_count, i);
            return false;
        }
        sum += run->info.class_sizes ? run->info.class_sizes[i] : 0;
    }
    if (run->info.class_count && run->info.class_sizes && sum != run->info.count)
        tn_check_fail(checker, "class_sizes add up to %llu of %llu samples", (unsigned long long)sum,
                      (unsigned long long)run->info.count);
    return run->info.count > 0;
}

static uint64_t hash_bytes(const void *data, uint64_t count)
{
    const unsigned char *bytes = data;
    uint64_t hash = 0xCBF29CE484222325u;
    for (uint64_t i = 0; i < count; i++)
        hash = (hash ^ bytes[i]) * 0x100000001B3u;
    return hash;
}

/* Reads a sample and returns a hash of what it is; 0 after a failure. */
static uint64_t read_sample(struct source_run *run, void *worker, uint64_t index)
{
    struct tn_checker *checker = run->checker;
    const struct tn_source *type = run->type;
    struct tn_sample sample = {.size = sizeof sample, .label = -1};
    struct tn_error error = {0};
    const struct tn_image *image = &sample.image;
    uint64_t hash;
    tn_check_step(checker, "read() of sample %llu", (unsigned long long)index);
    if (!tn_check_status(checker, "read()", type->read(run->instance->self, worker, index, &sample, &error), &error)) {
        tn_check_remark(checker, "read() of sample %llu: %s", (unsigned long long)index, error.text);
        return 0;
    }
    if (!sample.bytes == !image->pixels) {
        tn_check_fail(checker, "read() has to give bytes or pixels, one of them");
        return 0;
    }
    if (sample.label < -1 || (run->info.class_count && sample.label >= (int32_t)run->info.class_count))
        tn_check_fail(checker, "sample %llu has label %d of %u classes", (unsigned long long)index, sample.label,
                      run->info.class_count);
    if (type->label && type->label(run->instance->self, index) >= 0 &&
        type->label(run->instance->self, index) != sample.label)
        tn_check_fail(checker, "label() and read() disagree on sample %llu", (unsigned long long)index);
    if (run->info.target_count && !sample.targets)
        tn_check_fail(checker, "scan() promised targets, read() gave none");
    if (sample.bytes)
        return hash_bytes(sample.bytes, sample.byte_count) + (uint64_t)sample.label + 2;
    if (image->height < 1 || image->width < 1 ||
        (image->channels != 1 && image->channels != 3 && image->channels != 4) ||
        (image->pixel_type != TN_PIXEL_U8 && image->pixel_type != TN_PIXEL_F32)) {
        tn_check_fail(checker, "sample %llu is a picture of %dx%dx%d, pixel type %d", (unsigned long long)index,
                      image->height, image->width, image->channels, image->pixel_type);
        return 0;
    }
    hash = (uint64_t)image->height * (uint64_t)image->width * (uint64_t)image->channels;
    return hash_bytes(image->pixels, hash * (image->pixel_type == TN_PIXEL_F32 ? 4 : 1)) + (uint64_t)sample.label + 2;
}

static void name_sample(struct source_run *run, uint64_t index)
{
    char *small = tn_guarded_bytes(4), text[512] = "";
    tn_check_step(run->checker, "name() of sample %llu into 4 bytes", (unsigned long long)index);
    run->type->name(run->instance->self, index, small, 4);
    if (!tn_guarded_intact(small) || !memchr(small, 0, 4))
        tn_check_fail(run->checker, "name() writes more than it may, or does not end its text");
    run->type->name(run->instance->self, index, text, sizeof text);
    if (!text[0])
        tn_check_fail(run->checker, "name() gives nothing for sample %llu", (unsigned long long)index);
    tn_guarded_free(small);
}

static bool open_worker(struct source_run *run, void **worker)
{
    struct tn_error error = {0};
    *worker = NULL;
    tn_check_step(run->checker, "worker_open()");
    return !run->type->worker_open ||
           tn_check_status(run->checker, "worker_open()", run->type->worker_open(run->instance->self, worker, &error),
                           &error);
}

static void close_worker(struct source_run *run, void *worker)
{
    tn_check_step(run->checker, "worker_close()");
    if (run->type->worker_close)
        run->type->worker_close(run->instance->self, worker);
}

/* Two workers, one from the front and one from the back: what they read must not depend on each other or on order. */
static void read_samples(struct source_run *run)
{
    uint64_t count = run->info.count < 24 ? run->info.count : 24, forward[24] = {0}, last = run->info.count - 1;
    void *workers[2];
    if (!open_worker(run, &workers[0]))
        return;
    if (!open_worker(run, &workers[1])) {
        close_worker(run, workers[0]);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        forward[i] = read_sample(run, workers[0], i * last / (count > 1 ? count - 1 : 1));
        (void)read_sample(run, workers[1], tn_random_below(&run->checker->random, run->info.count));
    }
    for (uint64_t i = count; i-- > 0;)
        if (read_sample(run, workers[1], i * last / (count > 1 ? count - 1 : 1)) != forward[i])
            tn_check_fail(run->checker, "another worker reads another sample %llu: order or state matters",
                          (unsigned long long)i);
    name_sample(run, 0);
    name_sample(run, last);
    close_worker(run, workers[0]);
    close_worker(run, workers[1]);
}

void tn_check_source(struct tn_checker *checker)
{
    static const struct tn_source_request requests[] = {
        {.size = sizeof *requests, .target = {32, 32}, .channels = 3},
        {.size = sizeof *requests, .target = {1, 1}, .channels = 1, .seed = 7},
        {.size = sizeof *requests, .target = {7, 13}, .channels = 4, .class_mode = TN_CLASS_SPARSE},
        {.size = sizeof *requests,
         .target = {64, 48},
         .channels = 3,
         .validation_split = 0.25,
         .subset = TN_SUBSET_TRAINING},
        {.size = sizeof *requests,
         .target = {64, 48},
         .channels = 3,
         .validation_split = 0.25,
         .subset = TN_SUBSET_VALIDATION},
    };
    struct source_run run = {.checker = checker, .type = (const struct tn_source *)(const void *)checker->type};
    uint64_t counts[TN_COUNT_OF(requests)] = {0};
    run.instance = tn_check_instance(checker);
    if (!run.instance)
        return;
    for (size_t i = 0; i < TN_COUNT_OF(requests); i++) {
        run.request = requests[i];
        if (!scan(&run))
            continue;
        counts[i] = run.info.count;
        read_samples(&run);
    }
    if (counts[3] && counts[4] && counts[3] + counts[4] != counts[0])
        tn_check_fail(checker, "training and validation are %llu + %llu samples of %llu", (unsigned long long)counts[3],
                      (unsigned long long)counts[4], (unsigned long long)counts[0]);
    tn_instance_close(&run.instance);
    if (counts[0])
        tn_check_pass(checker, "scan() and read(): sizes, channels, subsets; any order, two workers, the same samples");
}

/* ---- codec ---- */

struct codec_run {
    struct tn_checker *checker;
    const struct tn_codec *type;
    const void *self;
    void *worker;
    size_t refused;
};

/* Hostile bytes that end at a page which cannot be read. Success is allowed (a change may be harmless), a crash is not.
 */
static void decode(struct codec_run *run, const void *data, uint64_t count, const char *what)
{
    struct tn_decode_request request = {.size = sizeof request, .channels = 3, .maximum_pixels = 1 << 20};
    struct tn_image image = {0};
    struct tn_error error = {0};
    void *bytes = tn_guarded_bytes(count);
    memcpy(bytes, data, (size_t)count);
    tn_check_step(run->checker, "%s, %llu bytes", what, (unsigned long long)count);
    if (run->type->probe(bytes, count) > 1)
        tn_check_fail(run->checker, "probe() has to give 0 or 1");
    if (tn_check_status(run->checker, "size()", run->type->size(run->self, run->worker, bytes, count, &image, &error),
                        &error) &&
        (image.height < 1 || image.width < 1 || image.channels < 1))
        tn_check_fail(run->checker, "size() succeeds with %dx%dx%d", image.height, image.width, image.channels);
    error.text[0] = '\0';
    if (!tn_check_status(run->checker, "decode()",
                         run->type->decode(run->self, run->worker, bytes, count, &request, &image, &error), &error))
        run->refused++;
    else if (image.channels != 3 || image.pixel_type != TN_PIXEL_U8 || !image.pixels || image.height < 1 ||
             image.width < 1)
        tn_check_fail(run->checker, "decode() to 3 channels gives %dx%dx%d, pixel type %d", image.height, image.width,
                      image.channels, image.pixel_type);
    if (!tn_guarded_intact(bytes))
        tn_check_fail(run->checker, "writes into the bytes it decodes, or beside them");
    tn_guarded_free(bytes);
}

static void decode_damaged(struct codec_run *run, const unsigned char *data, uint64_t count)
{
    unsigned char *copy = malloc((size_t)count);
    uint64_t cut = 1 + count / 40;
    if (!copy)
        return;
    for (uint64_t length = 0; length < count; length += cut)
        decode(run, data, length, "a cut picture");
    for (int i = 0; i < 300; i++) {
        memcpy(copy, data, (size_t)count);
        for (uint64_t k = tn_random_below(&run->checker->random, 4) + 1; k > 0; k--)
            copy[tn_random_below(&run->checker->random, count)] = (unsigned char)tn_random_bits(&run->checker->random);
        decode(run, copy, count, "a damaged picture");
    }
    free(copy);
}

/* A picture of the codec's own making, read back. */
static void encode_and_decode(struct codec_run *run)
{
    unsigned char pixels[19 * 23 * 3];
    struct tn_image image = {19, 23, 3, TN_PIXEL_U8, pixels}, back = {0};
    struct tn_decode_request request = {.size = sizeof request, .channels = 3, .maximum_pixels = 1 << 20};
    struct tn_error error = {0};
    void *bytes = NULL;
    uint64_t count = 0;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (unsigned char)(i * 7 % 251);
    tn_check_step(run->checker, "encode()");
    if (!tn_check_status(run->checker, "encode()",
                         run->type->encode(run->self, tn_host_table(), &image, 90, &bytes, &count, &error), &error)) {
        tn_check_fail(run->checker, "encode() of a 19x23x3 picture: %s", error.text);
        return;
    }
    if (run->type->probe(bytes, count) != 1)
        tn_check_fail(run->checker, "probe() does not know what encode() made");
    if (run->type->decode(run->self, run->worker, bytes, count, &request, &back, &error) != TN_OK)
        tn_check_fail(run->checker, "decode() refuses what encode() made: %s", error.text);
    else if (back.height != image.height || back.width != image.width)
        tn_check_fail(run->checker, "decode() gives %dx%d for a picture of 19x23", back.height, back.width);
    decode_damaged(run, bytes, count);
    tn_host_table()->release(bytes);
}

void tn_check_codec(struct tn_checker *checker)
{
    struct codec_run run = {.checker = checker, .type = (const struct tn_codec *)(const void *)checker->type};
    struct tn_instance *instance = tn_check_instance(checker);
    struct tn_error error = {0};
    unsigned char noise[256];
    if (!instance)
        return;
    run.self = instance->self;
    if (run.type->worker_open &&
        !tn_check_status(checker, "worker_open()", run.type->worker_open(run.self, &run.worker, &error), &error))
        return;
    for (size_t length = 0; length < sizeof noise; length += 1 + length / 4) {
        for (size_t i = 0; i < length; i++)
            noise[i] = (unsigned char)tn_random_bits(&checker->random);
        decode(&run, noise, length, "noise");
    }
    if (run.type->encode)
        encode_and_decode(&run);
    else
        tn_check_remark(checker, "has no encode(): damaged pictures were not tried, only noise");
    if (run.type->worker_close)
        run.type->worker_close(run.self, run.worker);
    tn_instance_close(&instance);
    tn_check_pass(checker, "decode(): noise, cut and damaged pictures, %zu refused with a text", run.refused);
}

/* ---- augment ---- */

struct augment_run {
    struct tn_checker *checker;
    const struct tn_augment *type;
    const struct tn_instance *instance;
    int32_t height, width, channels;
    bool with_random;
};

static uint64_t pixel_count(const struct augment_run *run)
{
    return (uint64_t)run->height * (uint64_t)run->width * (uint64_t)run->channels;
}

static void fill_picture(float *pixels, uint64_t count, uint64_t seed)
{
    struct tn_random random = tn_random_stream(seed, 3);
    for (uint64_t i = 0; i < count; i++)
        pixels[i] = (float)tn_random_below(&random, 256);
}

/* apply() on a picture and a stream that `seed` tells. */
static void apply_once(struct augment_run *run, float *pixels, uint64_t seed)
{
    struct tn_image image = {run->height, run->width, run->channels, TN_PIXEL_F32, pixels};
    struct tn_random random = tn_random_stream(seed, 4);
    struct tn_error error = {0};
    tn_status status;
    fill_picture(pixels, pixel_count(run), seed);
    status = run->type->apply(run->instance->self, &image, run->with_random ? &random : NULL, &error);
    if (!tn_check_status(run->checker, "apply()", status, &error))
        tn_check_fail(run->checker, "apply() refuses a picture of %dx%dx%d: %s", run->height, run->width, run->channels,
                      error.text);
    if (image.height != run->height || image.width != run->width || image.channels != run->channels ||
        image.pixels != pixels || image.pixel_type != TN_PIXEL_F32)
        tn_check_fail(run->checker, "apply() changes the size of the picture or its buffer");
}

static void check_apply(struct augment_run *run)
{
    uint64_t count = pixel_count(run);
    float *first = tn_guarded_floats(count), *again = tn_guarded_floats(count);
    for (uint64_t seed = 1; seed <= 12; seed++) {
        tn_check_step(run->checker, "apply() on %dx%dx%d, random %s", run->height, run->width, run->channels,
                      run->with_random ? "given" : "NULL");
        apply_once(run, first, seed);
        apply_once(run, again, seed + 100); /* something else in between */
        apply_once(run, again, seed);
        if (!tn_guarded_intact(first) || !tn_guarded_intact(again))
            tn_check_fail(run->checker, "apply() writes outside of a picture of %dx%dx%d", run->height, run->width,
                          run->channels);
        if (memcmp(first, again, (size_t)count * sizeof *first) != 0)
            tn_check_fail(run->checker,
                          "apply() gives other pixels for the same picture and random stream: runs would not repeat");
        if (!tn_check_finite(first, count))
            tn_check_fail(run->checker, "apply() makes pixels that are no numbers");
    }
    tn_guarded_free(first);
    tn_guarded_free(again);
}

static void check_affine(struct augment_run *run)
{
    struct tn_affine maps[2];
    struct tn_error error = {0};
    for (int i = 0; i < 2; i++) {
        struct tn_random random = tn_random_stream(5, 6);
        int32_t fill_mode = -1;
        float fill_value = NAN;
        tn_status status;
        maps[i] = (struct tn_affine){1, 0, 0, 0, 1, 0};
        tn_check_step(run->checker, "affine() for %dx%d", run->height, run->width);
        status = run->type->affine(run->instance->self, run->height, run->width, run->with_random ? &random : NULL,
                                   &maps[i], &fill_mode, &fill_value, &error);
        if (!tn_check_status(run->checker, "affine()", status, &error))
            tn_check_fail(run->checker, "affine() refuses %dx%d: %s", run->height, run->width, error.text);
        else if (!isfinite(maps[i].yy + maps[i].yx + maps[i].y0 + maps[i].xy + maps[i].xx + maps[i].x0))
            tn_check_fail(run->checker, "affine() gives a map that is no number");
        else if (fill_mode < -1 || fill_mode > TN_FILL_WRAP)
            tn_check_fail(run->checker, "affine() gives fill mode %d", fill_mode);
    }
    if (maps[0].yy != maps[1].yy || maps[0].yx != maps[1].yx || maps[0].y0 != maps[1].y0 || maps[0].xy != maps[1].xy ||
        maps[0].xx != maps[1].xx || maps[0].x0 != maps[1].x0)
        tn_check_fail(run->checker, "affine() gives another map for the same random stream: runs would not repeat");
}

static void check_scale_shift(struct augment_run *run)
{
    struct tn_scale_shift out[2];
    bool same = true;
    struct tn_error error = {0};
    for (int i = 0; i < 2; i++) {
        struct tn_random random = tn_random_stream(5, 6);
        tn_status status;
        out[i] = (struct tn_scale_shift){{1, 1, 1, 1}, {0, 0, 0, 0}};
        tn_check_step(run->checker, "scale_shift() for %d channels", run->channels);
        status = run->type->scale_shift(run->instance->self, run->channels, run->with_random ? &random : NULL, &out[i],
                                        &error);
        if (!tn_check_status(run->checker, "scale_shift()", status, &error))
            tn_check_fail(run->checker, "scale_shift() refuses %d channels: %s", run->channels, error.text);
        if (!tn_check_finite(out[i].scale, (uint64_t)run->channels) ||
            !tn_check_finite(out[i].shift, (uint64_t)run->channels))
            tn_check_fail(run->checker, "scale_shift() gives what is no number");
    }
    for (int32_t c = 0; c < run->channels; c++)
        same = same && out[0].scale[c] == out[1].scale[c] && out[0].shift[c] == out[1].shift[c];
    if (!same)
        tn_check_fail(run->checker, "scale_shift() gives others for the same random stream: runs would not repeat");
}

/* Four threads with one instance, as the workers of a run. */
struct thread_run {
    struct augment_run run;
    float *pixels;
    uint64_t seed;
};

static void *apply_in_thread(void *context)
{
    struct thread_run *thread = context;
    for (int i = 0; i < 20; i++)
        apply_once(&thread->run, thread->pixels, thread->seed);
    return NULL;
}

static void check_threads(struct augment_run *run)
{
    struct thread_run threads[4];
    pthread_t handles[4];
    uint64_t count = pixel_count(run);
    float *alone = tn_guarded_floats(count);
    size_t started = 0;
    tn_check_step(run->checker, "apply() in four threads");
    for (; started < 4; started++) {
        threads[started] = (struct thread_run){*run, tn_guarded_floats(count), 40 + started};
        if (pthread_create(&handles[started], NULL, apply_in_thread, &threads[started]) != 0)
            break;
    }
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(handles[i], NULL);
    for (size_t i = 0; i < started; i++) {
        apply_once(run, alone, 40 + i);
        if (memcmp(alone, threads[i].pixels, (size_t)count * sizeof *alone) != 0)
            tn_check_fail(run->checker, "apply() gives other pixels when four threads call it");
    }
    tn_guarded_free(alone);
}

static void check_size(struct augment_run *run)
{
    if (run->type->apply)
        check_apply(run);
    if (run->type->affine)
        check_affine(run);
    if (run->type->scale_shift)
        check_scale_shift(run);
}

void tn_check_augment(struct tn_checker *checker)
{
    static const int32_t sizes[][3] = {{1, 1, 1}, {1, 7, 3}, {5, 3, 4}, {17, 31, 3}, {48, 64, 1}};
    struct tn_instance *instance = tn_check_instance(checker);
    struct augment_run run = {.checker = checker, .type = (const struct tn_augment *)(const void *)checker->type};
    uint64_t before;
    if (!instance)
        return;
    run.instance = instance;
    before = hash_bytes(instance->self, instance->type->instance_size);
    for (size_t i = 0; i < TN_COUNT_OF(sizes); i++) {
        run.height = sizes[i][0], run.width = sizes[i][1], run.channels = sizes[i][2];
        run.with_random = true;
        if (!(checker->type->flags & TN_AUGMENT_ALWAYS))
            check_size(&run);
        run.with_random = false;
        if (checker->type->flags & (TN_AUGMENT_ALWAYS | TN_AUGMENT_MIXED))
            check_size(&run);
    }
    run.with_random = !(checker->type->flags & TN_AUGMENT_ALWAYS);
    if (run.type->apply)
        check_threads(&run);
    if (hash_bytes(instance->self, instance->type->instance_size) != before)
        tn_check_fail(checker, "writes into its instance: self is read only while samples are augmented");
    tn_instance_close(&instance);
    tn_check_pass(checker, "odd sizes, guard bytes, the same for the same stream, four threads");
}
