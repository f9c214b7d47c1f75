/* make_shards.c: TFRecord shards of tiny pictures, for measuring what many records cost.
 * usage: make_shards FOLDER SHARDS RECORDS BYTES [gzip]     RECORDS in all, each of about BYTES */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "records/example_writer.h"
#include "records/record_writer.h"

/* A PPM picture of 2x2 that is as long as its comment makes it. */
static size_t draw(char *out, uint64_t number, size_t bytes)
{
    uint64_t state = number * 2654435761u + 1;
    size_t used = (size_t)sprintf(out, "P6 2 2 255\n");
    for (int i = 0; i < 12; i++)
        out[used++] = (char)(number >> (i % 3 * 8));
    while (used < bytes) { /* behind the pixels, where nobody looks; it does not compress */
        state = state * 6364136223846793005u + 1442695040888963407u;
        out[used++] = (char)(state >> 56);
    }
    return used;
}

int main(int count, char **words)
{
    struct tn_error error = {0};
    struct tn_text record = {0};
    if (count < 5)
        return 2;
    uint64_t shards = strtoull(words[2], NULL, 10), records = strtoull(words[3], NULL, 10);
    size_t bytes = strtoull(words[4], NULL, 10);
    char *picture = malloc(bytes + 64), path[4096];
    tn_status status = picture ? tn_folder_make(words[1], &error) : TN_NO_MEMORY;
    for (uint64_t s = 0, number = 0; status == TN_OK && s < shards; s++) {
        struct tn_record_writer *writer = NULL;
        uint64_t size, end = records * (s + 1) / shards;
        (void)snprintf(path, sizeof path, "%s/part-%05llu.tfrecord", words[1], (unsigned long long)s);
        status = tn_record_writer_open(path, count > 5 ? TN_RECORD_GZIP : TN_RECORD_PLAIN, &writer, &error);
        for (; status == TN_OK && number < end; number++) {
            struct tn_feature features[] = {{"image", picture, draw(picture, number, bytes), 0},
                                            {"label", NULL, 0, (int64_t)(number % 10)}};
            tn_record_begin(&record);
            status = tn_example_write(&record, features, 2, &error);
            status = status == TN_OK ? tn_record_end(&record, &error) : status;
            status = status == TN_OK ? tn_record_writer_add(writer, &record, &error) : status;
        }
        if (status == TN_OK)
            status = tn_record_writer_commit(writer, &size, &error);
        tn_record_writer_close(&writer);
    }
    tn_text_release(&record);
    free(picture);
    if (status != TN_OK)
        (void)fprintf(stderr, "make_shards: %s\n", error.text);
    return status == TN_OK ? 0 : 1;
}
