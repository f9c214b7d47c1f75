/* inspect_picture.c: one picture: format, size, channels, orientation, and whether all of it decodes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/inspect.h"

static const uint64_t LARGEST_FILE = (uint64_t)1 << 31, MAXIMUM_PIXELS = 178956970; /* as max_pixels of [data] */

/* What makes each upright; 1 is. */
static const char *const remedies[] = {"",
                                       "",
                                       "to be mirrored",
                                       "to be turned upside down",
                                       "to be turned upside down and mirrored",
                                       "to be turned right and mirrored",
                                       "to be turned right",
                                       "to be turned left and mirrored",
                                       "to be turned left"};

struct picture {
    const char *path, *format;
    uint64_t bytes;
    struct tn_image stored;
    int32_t orientation;
    struct tn_error damage; /* text "" = none */
};

static void look_at(struct tn_decoder *decoder, const void *data, struct picture *picture)
{
    const char *format = tn_decoder_codec(decoder, data, picture->bytes);
    struct tn_image image;
    picture->format = format ? format : "?";
    picture->orientation = tn_orientation_of(data, picture->bytes);
    if (tn_decoder_size(decoder, data, picture->bytes, &picture->stored, &picture->damage) != TN_OK)
        return;
    const struct tn_decode_request request = {
        .size = sizeof request, .channels = picture->stored.channels == 1 ? 1 : 3, .maximum_pixels = MAXIMUM_PIXELS};
    (void)tn_decoder_decode(decoder, data, picture->bytes, &request, &image, &picture->damage);
}

static void add_row(struct tn_inspect *inspect, const struct picture *picture, struct tn_table *table)
{
    char bytes[32];
    tn_table_cell(table, tn_inspect_printable(&inspect->arena, picture->path, strlen(picture->path), 400));
    tn_table_cell(table, picture->format);
    tn_table_format(table, "%dx%d", (int)picture->stored.height, (int)picture->stored.width);
    tn_table_format(table, "%d", (int)picture->stored.channels);
    tn_table_cell(table, tn_say_count(bytes, sizeof bytes, picture->bytes));
    if (picture->damage.text[0])
        tn_table_cell(table,
                      tn_inspect_printable(&inspect->arena, picture->damage.text, strlen(picture->damage.text), 400));
    else if (picture->orientation > 1)
        tn_table_format(table, "EXIF orientation %d: %s (auto_orient = yes does)", (int)picture->orientation,
                        remedies[picture->orientation]);
    else
        tn_table_cell(table, "");
}

static void add_json(struct tn_text *json, const struct picture *picture)
{
    tn_inspect_member(json, NULL);
    tn_text_add(json, "\n {\"file\": ");
    tn_text_json(json, picture->path);
    tn_text_format(json,
                   ", \"format\": \"%s\", \"height\": %d, \"width\": %d, \"channels\": %d, \"bytes\": %llu, "
                   "\"orientation\": %d, \"damage\": ",
                   picture->format, (int)picture->stored.height, (int)picture->stored.width,
                   (int)picture->stored.channels, (unsigned long long)picture->bytes, (int)picture->orientation);
    if (picture->damage.text[0])
        tn_text_json(json, picture->damage.text);
    else
        tn_text_add(json, "null");
    tn_text_add(json, "}");
}

tn_status tn_inspect_picture(struct tn_inspect *inspect, struct tn_decoder *decoder, const char *path,
                             struct tn_table *table, struct tn_error *error)
{
    struct picture picture = {.path = path};
    void *data = NULL;
    tn_status status = tn_file_read(path, LARGEST_FILE, &data, &picture.bytes, error);
    if (status != TN_OK)
        return status;
    look_at(decoder, data, &picture);
    free(data);
    inspect->wrong |= picture.damage.text[0] != '\0';
    if (inspect->options->json)
        add_json(&inspect->json, &picture);
    else
        add_row(inspect, &picture, table);
    return TN_OK;
}
