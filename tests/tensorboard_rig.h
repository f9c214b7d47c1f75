/* tensorboard_rig.h: the callback tensorboard on a run that is fed by hand. */
#ifndef TENON_TESTS_TENSORBOARD_RIG_H
#define TENON_TESTS_TENSORBOARD_RIG_H

#include <stdlib.h>
#include <unistd.h>

#include "registry/registry.h"
#include "support/event_reader.h"

#include <check.h> /* after ours: it has a macro `fail` */

/* ---- a run without a network, and the callback made from the text of its section ---- */

struct played {
    struct tn_config *config;
    struct tn_registry *registry;
    struct tn_instance *instance;
    struct tn_problems problems;
    struct tn_run run;
    struct tn_log_value logs[8];
    struct tn_weights weights;
    struct tn_seen_batch batch;
    char folder[64], said[512];
    unsigned said_count;
};

TN_UNUSED static void run_say(const struct tn_run *run, int32_t level, const char *text)
{
    struct played *played = run->core;
    ck_assert_int_eq(level, TN_LOG_WARNING);
    played->said_count++;
    (void)snprintf(played->said, sizeof played->said, "%s", text);
}

TN_UNUSED static tn_status run_read_weights(const struct tn_run *run, const struct tn_weights **weights,
                                            struct tn_error *error)
{
    (void)error;
    *weights = &((struct played *)run->core)->weights;
    return TN_OK;
}

TN_UNUSED static tn_status open_callback(struct played *played, const char *keys)
{
    char text[2048];
    struct tn_error error = {.status = TN_OK};
    (void)snprintf(text, sizeof text, "[callback:c]\ntype = tensorboard\n%s", keys);
    ck_assert_int_eq(tn_config_load_text(text, strlen(text), "test.ini", NULL, 0, &played->config, &played->problems),
                     TN_OK);
    ck_assert_int_eq(tn_registry_open(NULL, &played->registry, &error), TN_OK);
    return tn_instance_open(played->registry, TN_CALLBACK, NULL, tn_config_section(played->config, "callback", "c"),
                            NULL, &played->instance, &played->problems);
}

TN_UNUSED static void close_callback(struct played *played)
{
    tn_instance_close(&played->instance);
    tn_registry_close(&played->registry);
    tn_config_close(&played->config);
    tn_problems_release(&played->problems);
}

/* A run in a directory of its own. */
TN_UNUSED static void begin(struct played *played, const char *keys)
{
    memset(played, 0, sizeof *played);
    strcpy(played->folder, "/tmp/tenon-board-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(played->folder));
    played->run = (struct tn_run){.size = sizeof played->run,
                                  .epochs = 100,
                                  .batches = 4,
                                  .logs = played->logs,
                                  .directory = played->folder,
                                  .name = "test",
                                  .learning_rate = 0.25,
                                  .core = played,
                                  .say = run_say,
                                  .read_weights = run_read_weights,
                                  .batch_seen = &played->batch,
                                  .read_gradients = run_read_weights};
    ck_assert_msg(open_callback(played, keys) == TN_OK, "%s", played->problems.items[0].text);
}

TN_UNUSED static void end(struct played *played)
{
    char command[128];
    close_callback(played);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", played->folder);
    ck_assert_int_eq(system(command), 0);
}

TN_UNUSED static tn_status tell_status(struct played *played, int32_t event, struct tn_error *error)
{
    const struct tn_callback *type = (const struct tn_callback *)played->instance->type;
    return type->on(played->instance->self, event, &played->run, error);
}

TN_UNUSED static void tell(struct played *played, int32_t event)
{
    struct tn_error error = {.status = TN_OK};
    ck_assert_msg(tell_status(played, event, &error) == TN_OK, "%s", error.text);
}

TN_UNUSED static void set_log(struct played *played, const char *name, double value)
{
    played->logs[played->run.log_count++] = (struct tn_log_value){name, value, TN_DIRECTION_UNKNOWN, 0};
}

TN_UNUSED static void train_epoch(struct played *played, uint64_t batches)
{
    tell(played, TN_EPOCH_BEGIN);
    for (played->run.batch = 0; played->run.batch < batches; played->run.batch++) {
        tell(played, TN_BATCH_BEGIN);
        played->run.step++;
        played->run.log_count = 0;
        set_log(played, "loss", 1.0 / (double)played->run.step);
        tell(played, TN_BATCH_END);
    }
    played->run.log_count = 0;
    set_log(played, "loss", 10 + played->run.epoch);
    set_log(played, "val_loss", 20 + played->run.epoch);
    tell(played, TN_EPOCH_END);
    played->run.epoch++;
}

TN_UNUSED static void read_events(const struct played *played, const char *below, size_t index, struct events *events)
{
    char folder[128], path[512];
    (void)snprintf(folder, sizeof folder, "%s/%s", played->folder, below);
    ck_assert_msg(events_find(folder, index, path, sizeof path), "%s: there is no file %zu", folder, index);
    ck_assert_msg(events_read(path, events), "%s is damaged", path);
    ck_assert(event_is(&events->items[0].version, "brain.Event:2"));
    ck_assert_uint_eq(events->items[0].step, 0);
}

TN_UNUSED static void assert_event(const struct event *event, uint64_t step, const char *tag, float value)
{
    ck_assert_msg(event_is(&event->tag, tag), "%.*s and not %s", (int)event->tag.count, (const char *)event->tag.at,
                  tag);
    ck_assert_uint_eq(event->step, step);
    ck_assert(event_is(&event->plugin, "scalars"));
    ck_assert_uint_eq(event->type, 1);
    ck_assert_int_eq(event->rank, 0);
    ck_assert_float_eq(event_scalar(event), value);
    ck_assert(event->wall > 1.6e9);
}

TN_UNUSED static const struct event *find_event(const struct events *events, const char *tag, uint64_t step)
{
    for (size_t i = 0; i < events->count; i++)
        if (event_is(&events->items[i].tag, tag) && events->items[i].step == step)
            return &events->items[i];
    ck_abort_msg("no %s of step %llu", tag, (unsigned long long)step);
    return NULL;
}

#endif
