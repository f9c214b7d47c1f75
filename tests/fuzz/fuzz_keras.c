/* fuzz_keras.c: bytes as a .keras file: the archive, and its texts as JSON. (model.weights.h5 goes to a child process,
 * since libhdf5 is not proof against all files: nothing of that is here.) In every second input the CRCs of stored
 * members are made right. What comes out of an archive is put into a new one, which has to give it back.
 */
#include <isa-l/crc.h>

#include "common/json.h"
#include "fuzz.h"
#include "keras/zip.h"

enum { MOST = 1 << 16, MEMBERS = 3 };

static uint32_t little(const uint8_t *at, int bytes)
{
    uint32_t value = 0;
    for (int i = bytes; i > 0; i--)
        value = value << 8 | at[i - 1];
    return value;
}

static void repair(uint8_t *file, size_t size)
{
    for (size_t at = 0; at + 46 <= size; at++) {
        uint64_t local, place, bytes;
        if (memcmp(file + at, "PK\1\2", 4) != 0 || little(file + at + 10, 2) != 0)
            continue;
        local = little(file + at + 42, 4);
        bytes = little(file + at + 20, 4);
        if (local + 30 > size)
            continue;
        place = local + 30 + little(file + local + 26, 2) + little(file + local + 28, 2);
        if (place > size || bytes > size - place)
            continue;
        uint32_t crc = crc32_gzip_refl(0, file + place, bytes);
        memcpy(file + at + 16, &crc, 4);
    }
}

/* What json_skip() takes, the calls for pieces take too, and the other way round where they go that deep. */
static void look_at_text(const struct zip_member *member)
{
    struct json json = json_begin(member->data, (size_t)member->bytes);
    bool good = json_skip(&json) && json_finished(&json), first = true, again;
    char key[64];
    size_t length = 0;
    DEMAND(good || json.problem || json.at <= json.end);
    json = json_begin(member->data, (size_t)member->bytes);
    if (json_peek(&json) != '{')
        return;
    again = json_enter(&json, '{');
    while (again && json_more(&json, '{', &first)) {
        again = json_key(&json, key, sizeof key, &length);
        DEMAND(!again || (length < sizeof key && key[length] == '\0'));
        again = again && json_skip(&json);
    }
    again = again && json_finished(&json);
    DEMAND(good || !again);
    DEMAND(again || !good || (json.problem && strcmp(json.problem, "a text that is too long") == 0));
}

static void write_again(const struct zip_member *members, size_t count, bool large)
{
    static const char *const names[MEMBERS] = {"a", "bb", "ccc"};
    struct zip_source sources[MEMBERS];
    struct zip zip;
    struct zip_member found;
    for (size_t i = 0; i < count; i++)
        sources[i] = (struct zip_source){names[i], members[i].data, members[i].bytes};
    uint64_t front = zip_front(sources, count, large), last = sources[count - 1].bytes;
    uint64_t bytes = front + last + zip_behind(sources, count, large);
    uint8_t *archive = malloc((size_t)bytes);
    DEMAND(archive);
    memcpy(archive + front, sources[count - 1].data, (size_t)last);
    sources[count - 1].data = archive + front;
    zip_write(archive, sources, count, large);
    DEMAND(zip_open(archive, bytes, &zip, NULL) == TN_OK && zip.count == count);
    for (size_t i = 0; i < count; i++) {
        DEMAND(zip_find(&zip, names[i], members[i].bytes, &found, NULL) == TN_OK);
        DEMAND(found.bytes == members[i].bytes && memcmp(found.data, members[i].data, (size_t)found.bytes) == 0);
        zip_release(&found);
    }
    free(archive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[MEMBERS] = {"metadata.json", "config.json", "model.weights.h5"};
    static uint8_t file[MOST];
    struct zip zip;
    struct zip_member members[MEMBERS];
    struct tn_error error = {.status = TN_OK};
    size_t count = 0;
    if (size > MOST)
        return 0;
    memcpy(file, data, size);
    if (size % 2)
        repair(file, size);
    tn_status status = zip_open(file, size, &zip, &error);
    demand_reason(status, &error);
    if (status != TN_OK)
        return 0;
    for (size_t i = 0; i < MEMBERS; i++) {
        error = (struct tn_error){.status = TN_OK};
        status = zip_find(&zip, names[i], 1 << 20, &members[count], &error);
        demand_reason(status, &error);
        DEMAND(status != TN_OK || members[count].bytes <= 1 << 20);
        if (status == TN_OK)
            look_at_text(&members[count++]);
    }
    if (count)
        write_again(members, count, size % 4 < 2);
    while (count)
        zip_release(&members[--count]);
    return 0;
}
