/* tfrecord_rig.h: shards made by tests of the source `tfrecord`. */
#ifndef TENON_TFRECORD_RIG_H
#define TENON_TFRECORD_RIG_H

#include "data_rig.h"
#include "records/example_writer.h"
#include "records/record_writer.h"

static char folder[PATH_MAX], cache[PATH_MAX];

/* A picture of 2x2 as PPM whose colour is its number, and behind its pixels what makes it `bytes` long. */
static inline size_t draw(unsigned char *out, int number, size_t bytes)
{
    size_t used = (size_t)sprintf((char *)out, "P6 2 2 255\n");
    struct tn_random random = tn_random_stream(5, (uint64_t)number);
    for (int i = 0; i < 12; i++)
        out[used++] = (unsigned char)(number >> i % 3 * 8);
    while (used < bytes)
        out[used++] = (unsigned char)tn_random_bits(&random);
    return used;
}

/* The number that a picture's first pixel of three bytes says. */
static inline int number_of(const void *images, size_t slot)
{
    const unsigned char *pixel = (const unsigned char *)images + slot * 12;
    return pixel[0] | pixel[1] << 8 | pixel[2] << 16;
}

/* A record with the seed's keys; text NULL: the label is a number; label < -9 leaves the label out. */
static inline void add_long(struct tn_record_writer *writer, int number, int64_t label, const char *text, size_t bytes)
{
    unsigned char *picture = malloc(bytes + 64);
    struct tn_text record = {0};
    struct tn_feature features[] = {{"image", picture, draw(picture, number, bytes), 0},
                                    {"label", text, text ? strlen(text) : 0, label}};
    tn_record_begin(&record);
    ck_assert_int_eq(tn_example_write(&record, features, label < -9 ? 1 : 2, NULL), TN_OK);
    ck_assert_int_eq(tn_record_end(&record, NULL), TN_OK);
    ck_assert_int_eq(tn_record_writer_add(writer, &record, NULL), TN_OK);
    tn_text_release(&record);
    free(picture);
}

static inline void add(struct tn_record_writer *writer, int number, int64_t label, const char *text)
{
    add_long(writer, number, label, text, 0);
}

static inline const char *in_folder(const char *name)
{
    static char path[PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static inline struct tn_record_writer *begin(const char *name, int32_t compression)
{
    struct tn_record_writer *writer;
    ck_assert_int_eq(tn_record_writer_open(in_folder(name), compression, &writer, NULL), TN_OK);
    return writer;
}

static inline void end(struct tn_record_writer *writer)
{
    uint64_t bytes;
    ck_assert_int_eq(tn_record_writer_commit(writer, &bytes, NULL), TN_OK);
    tn_record_writer_close(&writer);
}

static inline tn_status look(struct rig *rig, const char *data_keys, const char *source_keys)
{
    char ini[2 * PATH_MAX];
    (void)snprintf(ini, sizeof ini,
                   "[data]\ntarget_size = 2x2\nbatch_size = 5\n%s\n%s\n[source:s]\ntype = tfrecord\n"
                   "files = %s/t-*\n%s\n",
                   strstr(data_keys, "class_mode") ? "" : "class_mode = sparse", data_keys, folder, source_keys);
    return rig_open(rig, ini);
}

static inline void check_says(const struct rig *rig, const char *part)
{
    ck_assert_msg(strstr(rig->error.text, part) != NULL, "`%s` is missing in: %s", part, rig->error.text);
}

/* Bytes that this process has read from files so far. */
static inline uint64_t bytes_read(void)
{
    unsigned long long bytes = 0;
    FILE *file = fopen("/proc/self/io", "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "rchar: %llu", &bytes), 1);
    (void)fclose(file);
    return bytes;
}

/* The folder of the shards, and one for what the source keeps of them. */
static inline void begin_with_cache(void)
{
    rig_folder(folder);
    rig_folder(cache);
    ck_assert_int_eq(setenv("XDG_CACHE_HOME", cache, 1), 0);
}

static inline void end_with_cache(void)
{
    rig_remove(folder);
    rig_remove(cache);
}

#endif
