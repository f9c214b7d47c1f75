/* fuzz_sidecar.c: the list of a shard's records from a sidecar file. Half of the inputs stand behind the right key and
 * get a right CRC, so that the numbers in them are read; what is accepted has to make sense.
 */
#include <fcntl.h>

#include "fuzz.h"
#include "tfrecord/shards.h"

static char folder[64], path[128];

static void clean(void)
{
    (void)unlink(path);
    (void)rmdir(folder);
}

/* The bytes of a sidecar before its numbers, taken from one that was saved; its name is found that way too. */
static size_t head_of(struct tfrecord *source, const struct shard *shard, uint8_t *head, size_t room)
{
    struct listing none = {0};
    char command[160];
    (void)snprintf(folder, sizeof folder, "/tmp/tenon-fuzz-XXXXXX");
    DEMAND(mkdtemp(folder) && atexit(clean) == 0);
    source->index_folder = folder;
    sidecar_save(source, shard, &none);
    (void)snprintf(command, sizeof command, "ls %s/*.index", folder); /* one file, whose name is a hash */
    FILE *names = popen(command, "r");
    DEMAND(names && fgets(path, sizeof path, names));
    (void)pclose(names);
    path[strcspn(path, "\n")] = '\0';
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = read(file, head, room);
    (void)close(file);
    DEMAND(got > 16);
    return (size_t)got - 12 - 4; /* counts of records and texts, CRC */
}

static void look_at(const struct listing *listing, const struct shard *shard)
{
    uint64_t end = 0;
    for (uint64_t i = 0; i < listing->count; i++) {
        const struct entry *entry = &listing->entries[i];
        DEMAND(entry->offset >= end && entry->offset + entry->length <= shard->size);
        DEMAND(entry->text <= listing->texts.count);
        if (entry->text)
            DEMAND(strlen(texts_at(&listing->texts, entry->text)) > 0);
        end = entry->offset + entry->length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tfrecord source = {.image = "image", .label = "label", .wants_label = 1, .verify = 1};
    static char name[] = "/x.tfrecord";
    static struct shard shard = {.path = name, .compression = COMPRESSION_NONE, .size = 100000};
    static uint8_t file[1 << 16];
    static size_t head;
    struct listing listing = {0};
    if (head == 0)
        head = head_of(&source, &shard, file, sizeof file);
    if (size < 1 || size + head + 4 > sizeof file)
        return 0;
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    DEMAND(out >= 0);
    if (data[0] & 1) {
        memcpy(file + head, data + 1, size - 1);
        uint32_t crc = record_crc(file, head + size - 1);
        memcpy(file + head + size - 1, &crc, 4);
        DEMAND(write(out, file, head + size + 3) == (ssize_t)(head + size + 3));
    } else {
        DEMAND(write(out, data + 1, size - 1) == (ssize_t)size - 1);
    }
    (void)close(out);
    if (sidecar_load(&source, &shard, &listing))
        look_at(&listing, &shard);
    listing_release(&listing);
    return 0;
}
