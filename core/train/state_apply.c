/* state_apply.c: a proved state back into the training loop. All of it is judged before anything is changed. */
#include <stdlib.h>
#include <string.h>

#include "registry/registry.h"
#include "train/state.h"

/* ---- arrays ---- */

static tn_status judge_array(const struct tn_state_block *block, const struct tn_parameter_info *info, const char *name,
                             struct tn_error *error)
{
    bool same = block && block->rank == info->shape.rank &&
                block->bytes == (uint64_t)tn_shape_elements(&info->shape) * sizeof(float);
    for (int32_t i = 0; same && i < info->shape.rank && i < 4; i++)
        same = block->dims[i] == info->shape.dims[i];
    if (same)
        return TN_OK;
    return tn_fail(error, TN_INVALID,
                   block ? "the state's %s has another shape than the network's" : "the state has no %s", name);
}

/* A kept copy is of use only where a callback keeps one still. */
static bool takes_kept(const struct tn_loop *loop, const void *data)
{
    return tn_state_head(data)->kept && tn_network_report(loop->experiment->network)->kept_bytes > 0;
}

/* Each array of the network, for judging (write = false) or storing. */
static tn_status each_array(struct tn_loop *loop, const void *data, bool write, struct tn_error *error)
{
    struct tn_network *network = loop->experiment->network;
    tn_status status = TN_OK;
    char name[208];
    for (uint32_t i = 0; i < tn_network_parameter_count(network); i++) {
        const struct tn_parameter_info *info = tn_network_parameter(network, i);
        int32_t first = takes_kept(loop, data) ? TN_SLOT_KEPT : -1;
        for (int32_t slot = first; status == TN_OK && slot < info->slot_count; slot++) {
            tn_state_array_name(info, slot, name, sizeof name);
            const struct tn_state_block *block = tn_state_find(data, TN_STATE_ARRAY, name);
            status = judge_array(block, info, name, error);
            if (status == TN_OK && write)
                status = tn_network_write(network, i, slot, (const float *)(const void *)(block + 1), error);
        }
    }
    return status;
}

/* ---- callbacks ---- */

/* Finds "name value" among the lines; the text is not ended by 0. NULL = it is not there. */
static const char *find_field(const char *text, uint64_t bytes, const char *name, size_t *value_length)
{
    size_t length = strlen(name);
    const char *end = text + bytes;
    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        if (!line_end)
            return NULL;
        size_t line = (size_t)(line_end - text);
        if (line > length && memcmp(text, name, length) == 0 && text[length] == ' ') {
            *value_length = line - length - 1;
            return text + length + 1;
        }
        text = line_end + 1;
    }
    return NULL;
}

static void store_text(char **at, const char *value, size_t length)
{
    const struct tn_host *host = tn_host_table();
    char *text = length ? host->allocate(length + 1) : NULL, *to = text;
    if (!text && length)
        return;
    for (size_t i = 0; i < length; i++) {
        if (value[i] != '\\' || i + 1 == length)
            *to++ = value[i];
        else
            *to++ = value[++i] == 'n' ? '\n' : value[i];
    }
    if (text)
        *to = '\0';
    host->release(*at);
    *at = text;
}

static bool store_field(void *self, const struct tn_state_field *field, const char *from, size_t length)
{
    unsigned char *at = (unsigned char *)self + field->offset;
    char *end = NULL, value[64];
    if (field->kind == TN_FIELD_TEXT) {
        store_text((char **)(void *)at, from, length);
        return true;
    }
    if (length == 0 || length >= sizeof value)
        return false;
    memcpy(value, from, length);
    value[length] = '\0';
    if (field->kind == TN_FIELD_DOUBLE) {
        double real = strtod(value, &end);
        if (*end == '\0')
            memcpy(at, &real, sizeof real);
        return *end == '\0';
    }
    long long whole = strtoll(value, &end, 10);
    int32_t small = (int32_t)whole;
    int64_t large = whole;
    if (*end != '\0' || end == value || (field->kind == TN_FIELD_INT32 && small != whole))
        return false;
    if (field->kind == TN_FIELD_INT32)
        memcpy(at, &small, sizeof small);
    else
        memcpy(at, &large, sizeof large);
    return true;
}

void tn_state_apply_callbacks(struct tn_loop *loop, const void *data, char *notes, size_t notes_bytes)
{
    const struct tn_experiment *experiment = loop->experiment;
    for (uint32_t i = 0; i < experiment->callback_count; i++) {
        const struct tn_instance *instance = experiment->callbacks[i];
        const struct tn_state_field *field = ((const struct tn_callback *)instance->type)->state;
        const char *value;
        char name[208];
        size_t length;
        (void)snprintf(name, sizeof name, "%s %s", instance->type->name, instance->name);
        const struct tn_state_block *block = tn_state_find(data, TN_STATE_CALLBACK, name);
        size_t used = strlen(notes);
        if (!block && field && used < notes_bytes)
            (void)snprintf(notes + used, notes_bytes - used, "%scallback %s is new and begins anew", used ? "; " : "",
                           instance->name);
        for (; block && field && field->name; field++)
            if ((value = find_field((const char *)(block + 1), block->bytes, field->name, &length)))
                (void)store_field(instance->self, field, value, length);
    }
}

/* ---- all of it ---- */

static tn_status judge(struct tn_loop *loop, const void *data, struct tn_error *error)
{
    const struct tn_state_head *head = tn_state_head(data);
    if (head->epoch < 0 || head->batch > head->batches || !isfinite(head->base_rate))
        return tn_fail(error, TN_CORRUPT, "the state's position makes no sense");
    if (head->batch > 0 && head->batches != loop->batches)
        return tn_fail(error, TN_INVALID,
                       "an epoch had %llu batches and has %llu now, and the state is from the middle of one",
                       (unsigned long long)head->batches, (unsigned long long)loop->batches);
    return each_array(loop, data, false, error);
}

static void apply_metrics(struct tn_loop *loop, const void *data)
{
    const struct tn_experiment *experiment = loop->experiment;
    for (uint32_t i = 0; i < experiment->metric_count; i++) {
        const struct tn_state_block *block = tn_state_find(data, TN_STATE_METRIC, experiment->metrics[i]->name);
        uint64_t bytes = ((const struct tn_metric *)experiment->metrics[i]->type)->state_size;
        if (block && block->bytes == bytes && bytes)
            memcpy(loop->train.states[i], block + 1, (size_t)bytes);
    }
}

tn_status tn_state_apply(struct tn_loop *loop, const void *data, struct tn_error *error)
{
    const struct tn_state_head *head = tn_state_head(data);
    tn_status status = judge(loop, data, error);
    if (status == TN_OK && takes_kept(loop, data)) /* the copy is written by way of the weights */
        loop->kept = true;
    if (status == TN_OK)
        status = each_array(loop, data, true, error);
    if (status != TN_OK)
        return status;
    if (head->stopping) {
        loop->stop = true;
        (void)snprintf(loop->stop_reason, sizeof loop->stop_reason, "a callback had ended the run");
    }
    loop->run.epoch = head->epoch;
    loop->run.step = loop->result->steps = head->step;
    loop->steps_before = head->steps_before;
    loop->next_batch = head->batch;
    loop->base_rate = head->base_rate;
    loop->learning_rate = loop->run.learning_rate = head->learning_rate;
    loop->warned_not_finite = head->warned_not_finite != 0;
    loop->result->best_value = head->best_value;
    loop->result->epochs_done = head->epochs_done;
    tn_meters_reset(&loop->train);
    loop->train.loss_sum = head->loss_sum;
    loop->train.weight_sum = head->weight_sum;
    apply_metrics(loop, data);
    return TN_OK;
}
