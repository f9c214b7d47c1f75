/* resume.c: goes on with a run that was cut off: its newest whole state, after the experiment has been compared with
 * the one that made it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "train/state.h"

/* ---- the same experiment? ---- */

/* Keys that may change between two halves of a run: they decide how long it is, where things are and how quickly they
 * are done, not what is computed. */
static bool may_change(const char *kind, const char *key)
{
    static const char *const experiment[] = {"name",    "epochs",     "run_folder",   "threads",       "device",
                                             "include", "save_every", "state_folder", "on_save_error", NULL};
    static const char *const data[] = {"workers",     "prefetch", "overlap",     "io_threads",  "read_ahead", "cache",
                                       "cache_stage", "retries",  "retry_pause", "cache_limit", "on_error",   NULL};
    static const char *const source[] = {"path", "files", "folder", "index", "stage", "stage_limit", "verify", NULL};
    const char *const *allowed = strcmp(kind, "experiment") == 0 ? experiment
                                 : strcmp(kind, "data") == 0     ? data
                                 : strcmp(kind, "source") == 0   ? source
                                                                 : NULL;
    if (strcmp(kind, "callback") == 0 || strcmp(kind, "plugins") == 0 || strcmp(kind, "device") == 0 ||
        strcmp(kind, "weights") == 0) /* what it began with is in the state */
        return true;
    for (; allowed && *allowed; allowed++)
        if (strcmp(*allowed, key) == 0)
            return true;
    return false;
}

/* What was compared: the refused differences, and those that are taken. */
struct differences {
    struct tn_text refused, taken;
};

static void note(struct differences *differences, const struct tn_section *section, const char *key, const char *before,
                 const char *now)
{
    struct tn_text *text = may_change(section->kind, key) ? &differences->taken : &differences->refused;
    tn_text_format(text, "%s[%s%s%s] %s: was %s, is %s", text->length ? "; " : "", section->kind,
                   section->name[0] ? ":" : "", section->name, key, before ? before : "not given",
                   now ? now : "not given");
}

/* Values of `from` that `to` has not; `turned`: `from` is the new one. */
static void compare(struct tn_config *from, struct tn_config *to, bool turned, struct differences *differences)
{
    for (size_t i = 0; i < from->section_count; i++) {
        const struct tn_section *section = &from->sections[i];
        struct tn_section *other = tn_config_section(to, section->kind, section->name);
        for (size_t k = 0; k < section->entry_count; k++) {
            const struct tn_entry *mine = &section->entries[k];
            const struct tn_entry *entry = other ? tn_section_entry(other, mine->key) : NULL;
            if (turned && entry)
                continue; /* was seen the other way round */
            if (!entry || strcmp(entry->value, mine->value) != 0)
                note(differences, section, mine->key, turned ? NULL : mine->value,
                     turned  ? mine->value
                     : entry ? entry->value
                             : NULL);
        }
    }
}

static tn_status compare_configs(struct tn_loop *loop, const void *data, struct tn_error *error)
{
    const struct tn_state_block *block = tn_state_find(data, TN_STATE_CONFIG, NULL);
    struct tn_problems problems = {0};
    struct tn_config *before = NULL, *now = NULL;
    struct differences differences = {{0}, {0}};
    tn_status status = TN_OK;
    if (block)
        (void)tn_config_load_text((const char *)(block + 1), block->bytes, "/state/config.ini", NULL, 0, &before,
                                  &problems);
    (void)tn_config_load_text(loop->config.data, loop->config.length, "/state/config.ini", NULL, 0, &now, &problems);
    if (!before || !now) {
        status = tn_fail(error, TN_CORRUPT, "the state does not say which experiment it is of");
        goto out;
    }
    compare(before, now, false, &differences);
    compare(now, before, true, &differences);
    if (differences.refused.length)
        status =
            tn_fail(error, TN_INVALID,
                    "%s holds a run of another experiment that is not finished: %.900s. Give the old values again, or "
                    "begin anew with --fresh",
                    loop->directory.path, differences.refused.data);
    else if (differences.taken.length) {
        char text[1024];
        (void)snprintf(text, sizeof text, "changed since: %.1000s", differences.taken.data);
        tn_loop_say(loop, TN_LOG_INFO, text);
    }
out:
    tn_text_release(&differences.refused);
    tn_text_release(&differences.taken);
    tn_config_close(&before);
    tn_config_close(&now);
    tn_problems_release(&problems);
    return status;
}

/* ---- going on ---- */

/* "optimizer state: 24 of 24 tensors": what Keras leaves out without a word. */
static uint32_t count_slots(const struct tn_network *network)
{
    uint32_t slots = 0;
    for (uint32_t i = 0; i < tn_network_parameter_count(network); i++)
        slots += (uint32_t)tn_network_parameter(network, i)->slot_count;
    return slots;
}

/* Order and batches follow from the list of samples. */
static void compare_data(struct tn_loop *loop, const void *data)
{
    const struct tn_state_head *head = tn_state_head(data);
    const struct tn_state_block *block = tn_state_find(data, TN_STATE_DATA, NULL);
    uint64_t digest = loop->data_digest;
    if (head->data_batches != tn_dataset_batches(loop->experiment->train) ||
        head->data_tail != tn_dataset_tail(loop->experiment->train)) {
        tn_loop_say(loop, TN_LOG_WARNING,
                    "not bitwise: the training data has more or fewer pictures than when the state was saved");
        return;
    }
    if (block && block->bytes == sizeof digest)
        memcpy(&digest, block + 1, sizeof digest);
    if (digest != loop->data_digest)
        tn_loop_say(loop, TN_LOG_WARNING,
                    "not bitwise: the training data has as many pictures as when the state was saved, but names or "
                    "classes of them are others");
}

static void say_where(struct tn_loop *loop, const struct tn_state_found *state)
{
    const struct tn_state_head *head = tn_state_head(state->data);
    uint32_t slots = count_slots(loop->experiment->network);
    const struct tn_plan_report *report = tn_network_report(loop->experiment->network);
    char text[1800], ago[64], lost[96] = "";
    double since = (double)time(NULL) - head->saved_at, after = state->last_alive - head->saved_at;
    if (head->in_order)
        (void)snprintf(lost, sizeof lost, ", nothing is lost");
    else if (state->last_alive > 0) /* it may have lived a second longer than it was seen to */
        (void)snprintf(lost, sizeof lost, ", lost at most %s of work",
                       tn_say_seconds(ago, sizeof ago, fmax(after, 0) + 1));
    (void)snprintf(
        text, sizeof text,
        "resumed at epoch %d, batch %llu of %llu%s; the state is of step %llu, %s ago; optimizer state: %u of %u "
        "tensors%s%s",
        head->epoch + 1, (unsigned long long)head->batch, (unsigned long long)loop->batches, lost,
        (unsigned long long)head->step, tn_say_seconds(ago, sizeof ago, since > 0 ? since : 0), slots, slots,
        state->notes[0] ? "; " : "", state->notes);
    tn_loop_say(loop, TN_LOG_INFO, text);
    compare_data(loop, state->data);
    if (strcmp(head->device, report->device.name) == 0 && strcmp(head->version, TENON_VERSION) == 0)
        return;
    (void)snprintf(text, sizeof text,
                   "not bitwise: the run was begun with tenon %s on %s, and goes on with tenon %s on %s", head->version,
                   head->device, TENON_VERSION, report->device.name);
    tn_loop_say(loop, TN_LOG_WARNING, text);
}

static tn_status refuse_finished(const struct tn_loop *loop, const struct tn_state_head *head, struct tn_error *error)
{
    int32_t how = tn_state_ended(loop->directory.path, head->generation);
    if (how == TN_STATE_UNFINISHED || (how == TN_STATE_FINISHED && head->epoch < loop->run.epochs))
        return TN_OK;
    return tn_fail(error, TN_INVALID, "%s holds a run that is finished: %s--fresh begins anew in another folder",
                   loop->directory.path,
                   how == TN_STATE_FINISHED ? "more epochs continue it (experiment.epochs), "
                                            : "a callback has ended it; ");
}

tn_status tn_resume(struct tn_loop *loop, struct tn_error *error)
{
    struct tn_state_found state = {.data = NULL};
    char buffer[1100];
    const char *local =
        tn_place_local(loop->experiment->options.state_folder, loop->directory.path, buffer, sizeof buffer);
    tn_status status = tn_state_load_newest(loop->directory.path, local, &state, error);
    if (status == TN_OK)
        status = compare_configs(loop, state.data, error);
    if (status == TN_OK)
        status = refuse_finished(loop, tn_state_head(state.data), error);
    if (status == TN_OK)
        status = tn_state_apply(loop, state.data, error);
    if (status == TN_OK) {
        loop->run.resumed = 1;
        loop->line = state.line;
        loop->resumed_from = tn_state_head(state.data)->generation;
        say_where(loop, &state);
        loop->resumed_state = state.data; /* until the callbacks have begun */
        state.data = NULL;
    }
    free(state.data);
    return status;
}

tn_status tn_resume_callbacks(struct tn_loop *loop, struct tn_error *error)
{
    char notes[512] = "";
    tn_state_apply_callbacks(loop, loop->resumed_state, notes, sizeof notes);
    free(loop->resumed_state);
    loop->resumed_state = NULL;
    if (notes[0])
        tn_loop_say(loop, TN_LOG_WARNING, notes);
    return tn_loop_tell(loop, TN_RUN_RESUME, error);
}
