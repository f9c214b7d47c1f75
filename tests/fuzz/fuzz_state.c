/* fuzz_state.c: the state of a run, and the file that says who has gone on with it. The first byte chooses: a session
 * file; a state as it is; a state whose CRCs are made right, so that what it says is read. Callbacks get their numbers
 * from what is accepted.
 */
#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "registry/registry.h"
#include "train/state.h"

enum { MOST = 1 << 16 };

static char folder[64], session_file[128];

static void clean(void)
{
    char path[96];
    (void)unlink(session_file);
    (void)snprintf(path, sizeof path, "%s/state", folder);
    (void)rmdir(path);
    (void)rmdir(folder);
}

static void read_session(const uint8_t *data, size_t size)
{
    struct tn_state_line line;
    struct tn_state_head head = {.generation = 5, .session = 1};
    if (!folder[0]) {
        (void)snprintf(folder, sizeof folder, "/tmp/tenon-fuzz-XXXXXX");
        DEMAND(mkdtemp(folder) && atexit(clean) == 0);
        (void)snprintf(session_file, sizeof session_file, "%s/state", folder);
        DEMAND(mkdir(session_file, 0700) == 0);
        (void)snprintf(session_file, sizeof session_file, "%s/state/session-7", folder);
    }
    int file = open(session_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    DEMAND(file >= 0 && write(file, data, size) == (ssize_t)size);
    (void)close(file);
    if (!tn_state_line_read(folder, &line))
        return;
    DEMAND(line.session == 7 && line.count <= TN_COUNT_OF(line.begun));
    head.run_id = line.run_id;
    if (tn_state_on_line(&line, &head))
        for (uint32_t i = 0; i < line.count; i++)
            DEMAND(line.begun[i].session <= 1 || line.begun[i].from >= 5);
}

/* Makes head and blocks prove themselves, as far as they lie within the bytes; the last one may become the end. */
static void repair(uint8_t *data, size_t size)
{
    static const char magic[8] = {'T', 'N', 'S', 'T', 'A', 'T', 'E', '1'};
    struct tn_state_head head;
    struct tn_state_block block;
    size_t at = sizeof head;
    if (size < sizeof head)
        return;
    memcpy(&head, data, sizeof head);
    while (size - at >= sizeof block) {
        memcpy(&block, data + at, sizeof block);
        block.kind = block.kind % TN_STATE_END + 1;
        block.bytes = block.kind == TN_STATE_END ? sizeof head.generation : block.bytes % 512;
        block.name[sizeof block.name - 1] = '\0';
        if (size - at < sizeof block + (block.bytes + 7) / 8 * 8)
            break;
        if (block.kind == TN_STATE_END)
            memcpy(data + at + sizeof block, &head.generation, sizeof head.generation);
        block.crc = tn_crc32c(data + at + sizeof block, block.bytes);
        block.own_crc = 0;
        block.own_crc = tn_crc32c(&block, sizeof block);
        memcpy(data + at, &block, sizeof block);
        at += sizeof block + (block.bytes + 7) / 8 * 8;
        if (block.kind == TN_STATE_END)
            break;
    }
    memcpy(head.magic, magic, sizeof magic);
    head.head_bytes = sizeof head;
    head.bytes = size;
    head.crc = 0;
    head.crc = tn_crc32c(&head, sizeof head);
    memcpy(data, &head, sizeof head);
}

struct counting {
    double best;
    int64_t wait;
    int32_t has_best, guard;
};

static void give_to_callbacks(const void *data)
{
    static const struct tn_state_field fields[] = {
        {"best", TN_FIELD_DOUBLE, 0, offsetof(struct counting, best)},
        {"wait", TN_FIELD_INT64, 0, offsetof(struct counting, wait)},
        {"has_best", TN_FIELD_INT32, 0, offsetof(struct counting, has_best)},
        {NULL, 0, 0, 0},
    };
    static const struct tn_callback type = {.type = {.name = "c"}, .state = fields};
    struct counting counting = {.guard = 77};
    struct tn_instance instance = {.type = &type.type, .self = &counting, .name = "c"}, *list[] = {&instance};
    struct tn_experiment experiment = {.callbacks = list, .callback_count = 1};
    struct tn_loop loop = {.experiment = &experiment};
    char notes[64] = "";
    tn_state_apply_callbacks(&loop, data, notes, sizeof notes);
    DEMAND(counting.guard == 77 && strlen(notes) < sizeof notes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tn_error error = {.status = TN_OK};
    if (size < 1 || size > MOST)
        return 0;
    if (data[0] % 3 == 0) {
        read_session(data + 1, size - 1);
        return 0;
    }
    uint8_t *copy = malloc(size); /* aligned, and with its end where the bytes end */
    DEMAND(copy);
    memcpy(copy, data + 1, size - 1);
    if (data[0] % 3 == 2)
        repair(copy, size - 1);
    tn_status status = tn_state_prove(copy, size - 1, &error);
    demand_reason(status, &error);
    if (status == TN_OK) {
        (void)tn_state_find(copy, TN_STATE_ARRAY, "conv/kernel");
        const struct tn_state_block *block = tn_state_find(copy, TN_STATE_CONFIG, NULL);
        DEMAND(!block || (const uint8_t *)(block + 1) + block->bytes <= copy + size - 1);
        give_to_callbacks(copy);
    }
    free(copy);
    return 0;
}
