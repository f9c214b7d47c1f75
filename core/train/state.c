/* state.c: the training loop as bytes, and back.
 *
 * Order, augmentation, dropout and schedules are functions of seed, epoch and step, so no generator and no buffer is
 * saved: position, weights, slots, sums of the epoch so far and what callbacks remember are all that a run is. Numbers
 * of callbacks stand there as text (doubles as %a, which is exact), so that a field more or less in another version is
 * no trouble.
 */
#include "train/state.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

_Static_assert(sizeof(struct tn_state_head) % 8 == 0 && sizeof(struct tn_state_block) % 8 == 0,
               "blocks begin at multiples of 8");

static const char MAGIC[8] = {'T', 'N', 'S', 'T', 'A', 'T', 'E', '1'};

/* ---- writing ---- */

/* With data == NULL it only counts. */
static void *reserve(struct tn_state_image *image, uint64_t bytes)
{
    uint64_t at = image->bytes;
    image->bytes += (bytes + 7) & ~(uint64_t)7;
    if (!image->data)
        return NULL;
    memset(image->data + at + bytes, 0, (size_t)(image->bytes - at - bytes));
    return image->data + at;
}

static struct tn_state_block *begin_block(struct tn_state_image *image, uint32_t kind, const char *name, uint64_t bytes,
                                          void **content)
{
    struct tn_state_block *block = reserve(image, sizeof *block);
    *content = reserve(image, bytes);
    if (!block)
        return NULL;
    memset(block, 0, sizeof *block);
    block->kind = kind;
    block->bytes = bytes;
    (void)snprintf(block->name, sizeof block->name, "%s", name);
    return block;
}

/* The last thing that is done to a block. */
static void seal(struct tn_state_block *block)
{
    block->crc = tn_crc32c(block + 1, block->bytes);
    block->own_crc = 0;
    block->own_crc = tn_crc32c(block, sizeof *block);
}

static void put_block(struct tn_state_image *image, uint32_t kind, const char *name, const void *from, uint64_t bytes)
{
    void *content;
    struct tn_state_block *block = begin_block(image, kind, name, bytes, &content);
    if (!block)
        return;
    if (bytes)
        memcpy(content, from, (size_t)bytes);
    seal(block);
}

void tn_state_array_name(const struct tn_parameter_info *info, int32_t slot, char *name, size_t bytes)
{
    if (slot == -1)
        (void)snprintf(name, bytes, "%s/%s", info->layer, info->name);
    else if (slot == TN_SLOT_KEPT)
        (void)snprintf(name, bytes, "%s/%s#kept", info->layer, info->name);
    else
        (void)snprintf(name, bytes, "%s/%s#%d", info->layer, info->name, (int)slot);
}

static tn_status put_array(struct tn_state_image *image, struct tn_network *network, uint32_t index, int32_t slot,
                           struct tn_error *error)
{
    const struct tn_parameter_info *info = tn_network_parameter(network, index);
    char name[sizeof((struct tn_state_block *)0)->name];
    void *content;
    tn_state_array_name(info, slot, name, sizeof name);
    struct tn_state_block *block =
        begin_block(image, TN_STATE_ARRAY, name, (uint64_t)tn_shape_elements(&info->shape) * sizeof(float), &content);
    if (!block)
        return TN_OK;
    block->rank = info->shape.rank;
    for (int32_t i = 0; i < info->shape.rank && i < 4; i++)
        block->dims[i] = info->shape.dims[i];
    tn_status status = tn_network_read(network, index, slot, content, error);
    seal(block);
    return status;
}

static tn_status put_arrays(struct tn_state_image *image, struct tn_network *network, bool kept, struct tn_error *error)
{
    tn_status status = TN_OK;
    for (uint32_t i = 0; i < tn_network_parameter_count(network); i++) {
        int32_t slots = tn_network_parameter(network, i)->slot_count;
        for (int32_t slot = -1; status == TN_OK && slot < slots; slot++)
            status = put_array(image, network, i, slot, error);
        if (status == TN_OK && kept)
            status = put_array(image, network, i, TN_SLOT_KEPT, error);
    }
    return status;
}

/* On one line. */
static void put_escaped(struct tn_text *text, const char *from)
{
    for (; *from; from++) {
        const char *replaced = *from == '\n' ? "\\n" : *from == '\\' ? "\\\\" : NULL;
        if (replaced)
            tn_text_add(text, replaced);
        else
            tn_text_add_bytes(text, from, 1);
    }
}

static void field_text(const void *self, const struct tn_state_field *field, struct tn_text *text)
{
    const unsigned char *at = (const unsigned char *)self + field->offset;
    int32_t small;
    int64_t large;
    double real;
    const char *string;
    switch (field->kind) {
    case TN_FIELD_TEXT:
        memcpy(&string, at, sizeof string);
        tn_text_format(text, "%s ", field->name);
        put_escaped(text, string ? string : "");
        tn_text_add(text, "\n");
        break;
    case TN_FIELD_INT32:
        memcpy(&small, at, sizeof small);
        tn_text_format(text, "%s %d\n", field->name, (int)small);
        break;
    case TN_FIELD_INT64:
        memcpy(&large, at, sizeof large);
        tn_text_format(text, "%s %lld\n", field->name, (long long)large);
        break;
    default:
        memcpy(&real, at, sizeof real);
        tn_text_format(text, "%s %a\n", field->name, real);
        break;
    }
}

static tn_status put_callbacks(struct tn_state_image *image, const struct tn_experiment *experiment,
                               struct tn_error *error)
{
    struct tn_text text = {.data = NULL};
    for (uint32_t i = 0; i < experiment->callback_count; i++) {
        const struct tn_instance *instance = experiment->callbacks[i];
        const struct tn_state_field *field = ((const struct tn_callback *)instance->type)->state;
        char name[208];
        (void)snprintf(name, sizeof name, "%s %s", instance->type->name, instance->name);
        text.length = 0;
        for (; field && field->name; field++)
            field_text(instance->self, field, &text);
        /* Numbers have other lengths the next time: room is counted generously, and what is left over stays blank. */
        uint64_t room = ((uint64_t)text.length + 1024) / 512 * 512;
        void *content;
        struct tn_state_block *block = begin_block(image, TN_STATE_CALLBACK, name, room, &content);
        if (block) {
            memset(content, ' ', (size_t)room);
            if (text.length)
                memcpy(content, text.data, text.length < room ? text.length : room);
            seal(block);
        }
    }
    bool failed = text.failed;
    tn_text_release(&text);
    return failed ? tn_fail(error, TN_NO_MEMORY, "no memory for the state of the callbacks") : TN_OK;
}

static void put_head(struct tn_state_head *head, const struct tn_loop *loop, uint64_t generation)
{
    const struct tn_plan_report *report = tn_network_report(loop->experiment->network);
    memset(head, 0, sizeof *head);
    memcpy(head->magic, MAGIC, sizeof MAGIC);
    head->head_bytes = sizeof *head;
    head->generation = generation;
    head->epoch = loop->run.epoch + (loop->next_batch == 0 && loop->epoch_told ? 1 : 0);
    head->epochs_done = loop->result->epochs_done;
    head->run_id = loop->line.run_id;
    head->session = loop->line.session;
    head->in_order = loop->ending;
    head->data_batches = tn_dataset_batches(loop->experiment->train);
    head->data_tail = tn_dataset_tail(loop->experiment->train);
    head->stopping = loop->stop && !loop->pausing;
    head->kept = loop->kept;
    head->batch = loop->next_batch;
    head->batches = loop->batches;
    head->step = loop->run.step;
    head->steps_before = loop->steps_before;
    head->base_rate = loop->base_rate;
    head->learning_rate = loop->learning_rate;
    head->best_value = loop->result->best_value;
    head->loss_sum = loop->train.loss_sum;
    head->weight_sum = loop->train.weight_sum;
    head->saved_at = (double)time(NULL);
    head->warned_not_finite = loop->warned_not_finite;
    head->threads = report->device.threads;
    (void)snprintf(head->device, sizeof head->device, "%s", report->device.name);
    (void)snprintf(head->version, sizeof head->version, "%s", TENON_VERSION);
}

static tn_status put_all(struct tn_loop *loop, uint64_t generation, struct tn_state_image *image,
                         struct tn_error *error)
{
    struct tn_experiment *experiment = loop->experiment;
    struct tn_state_head *head = reserve(image, sizeof *head);
    if (head)
        put_head(head, loop, generation);
    put_block(image, TN_STATE_DATA, "training data", &loop->data_digest, sizeof loop->data_digest);
    put_block(image, TN_STATE_CONFIG, "config.ini", loop->config.data ? loop->config.data : "", loop->config.length);
    for (uint32_t i = 0; i < experiment->metric_count; i++)
        put_block(image, TN_STATE_METRIC, experiment->metrics[i]->name, loop->train.states[i],
                  ((const struct tn_metric *)experiment->metrics[i]->type)->state_size);
    tn_status status = put_callbacks(image, experiment, error);
    if (status == TN_OK)
        status = put_arrays(image, experiment->network, loop->kept, error);
    put_block(image, TN_STATE_END, "end", &generation, sizeof generation);
    if (status == TN_OK && head) {
        head->bytes = image->bytes;
        head->crc = tn_crc32c(head, sizeof *head);
    }
    return status;
}

tn_status tn_state_encode(struct tn_loop *loop, uint64_t generation, struct tn_state_image *image,
                          struct tn_error *error)
{
    struct tn_state_image counting = {NULL, 0, 0};
    tn_status status = put_all(loop, generation, &counting, error);
    if (status != TN_OK)
        return status;
    if (counting.bytes > image->capacity) {
        void *grown = realloc(image->data, (size_t)counting.bytes);
        if (!grown)
            return tn_fail(error, TN_NO_MEMORY, "no memory for the %llu bytes of the run's state",
                           (unsigned long long)counting.bytes);
        image->data = grown;
        image->capacity = counting.bytes;
    }
    image->bytes = 0;
    return put_all(loop, generation, image, error);
}

uint64_t tn_state_bytes(const struct tn_experiment *experiment)
{
    const struct tn_plan_report *report = tn_network_report(experiment->network);
    return report->weight_bytes + report->slot_bytes + report->kept_bytes + (1u << 16);
}

/* ---- proving ---- */

const struct tn_state_head *tn_state_head(const void *data)
{
    return data;
}

/* The block behind `block` (NULL: the first), of bytes that end at `end`; NULL when there is no room for one. */
static const struct tn_state_block *next_block(const unsigned char *data, uint64_t end, uint64_t *at)
{
    const struct tn_state_block *block;
    if (*at > end || end - *at < sizeof *block)
        return NULL;
    block = (const void *)(data + *at);
    uint64_t left = end - *at - sizeof *block;
    if (block->bytes > left || ((block->bytes + 7) & ~(uint64_t)7) > left ||
        !memchr(block->name, '\0', sizeof block->name))
        return NULL;
    *at += sizeof *block + ((block->bytes + 7) & ~(uint64_t)7);
    return block;
}

static bool is_sealed(const struct tn_state_block *block)
{
    struct tn_state_block copy = *block;
    copy.own_crc = 0;
    return tn_crc32c(&copy, sizeof copy) == block->own_crc && tn_crc32c(block + 1, block->bytes) == block->crc;
}

tn_status tn_state_prove(const void *data, uint64_t bytes, struct tn_error *error)
{
    struct tn_state_head head;
    uint64_t at = sizeof head;
    if (bytes < sizeof head || memcmp(data, MAGIC, sizeof MAGIC) != 0)
        return tn_fail(error, TN_CORRUPT, "it is no state of a run, or of another version of tenon");
    memcpy(&head, data, sizeof head);
    uint32_t crc = head.crc;
    head.crc = 0;
    if (head.head_bytes != sizeof head || tn_crc32c(&head, sizeof head) != crc)
        return tn_fail(error, TN_CORRUPT, "its head is damaged");
    if (head.bytes != bytes)
        return tn_fail(error, TN_CORRUPT, "it has %llu of %llu bytes", (unsigned long long)bytes,
                       (unsigned long long)head.bytes);
    while (at < bytes) {
        uint64_t begin = at;
        const struct tn_state_block *block = next_block(data, bytes, &at);
        if (!block || !is_sealed(block))
            return tn_fail(error, TN_CORRUPT, "it is damaged behind byte %llu", (unsigned long long)begin);
        if (block->kind == TN_STATE_END)
            return at == bytes && block->bytes == sizeof head.generation &&
                           memcmp(block + 1, &head.generation, sizeof head.generation) == 0
                       ? TN_OK
                       : tn_fail(error, TN_CORRUPT, "its end is not that of its beginning");
    }
    return tn_fail(error, TN_CORRUPT, "it has no end");
}

const struct tn_state_block *tn_state_find(const void *data, uint32_t kind, const char *name)
{
    uint64_t at = sizeof(struct tn_state_head), end = tn_state_head(data)->bytes;
    const struct tn_state_block *block;
    while ((block = next_block(data, end, &at)))
        if (block->kind == kind && (!name || strcmp(block->name, name) == 0))
            return block;
    return NULL;
}
