/* callback_rig.h: a callback made from the text of its section, and a run without a network that is fed by hand and
 * notes what it is asked for. For the tests of callbacks.
 */
#ifndef TENON_TESTS_CALLBACK_RIG_H
#define TENON_TESTS_CALLBACK_RIG_H

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "registry/registry.h"

#include <check.h> /* after ours: it has a macro `fail` */

/* ---- a run without a network ---- */

struct fake {
    struct tn_run run;
    struct tn_log_value logs[8];
    char saved[64][256];
    unsigned saved_count, flags;
    char said[64][512];
    unsigned said_count;
    int32_t stopped, kept_epoch, weights_epoch; /* whose weights the model has */
    int32_t kept_count, restored_count;
    int32_t asked; /* how often whether to stop */
    int32_t fails; /* saving weights does not work */
    int32_t slow;  /* what is written behind is over only when somebody waits */
    int32_t pending, waited;
    tn_status outcome; /* of that */
    struct tn_error failure;
    char reason[256], unsaved[512];
};

TN_UNUSED static struct fake *fake_of(const struct tn_run *run)
{
    return run->core;
}
TN_UNUSED static void fake_stop(const struct tn_run *run, const char *reason)
{
    struct fake *fake = fake_of(run);
    fake->stopped = 1;
    (void)snprintf(fake->reason, sizeof fake->reason, "%s", reason);
}
TN_UNUSED static void fake_rate(const struct tn_run *run, double rate)
{
    fake_of(run)->run.learning_rate = rate;
}
TN_UNUSED static tn_status fake_save(const struct tn_run *run, const char *path, uint32_t flags, struct tn_error *error)
{
    struct fake *fake = fake_of(run);
    if (fake->fails)
        return tn_fail(error, TN_IO, "cannot write %s: no room", path);
    ck_assert_uint_lt(fake->saved_count, 64);
    (void)snprintf(fake->saved[fake->saved_count++], sizeof *fake->saved, "%s", path);
    fake->flags = flags;
    return TN_OK;
}
TN_UNUSED static tn_status fake_keep(const struct tn_run *run, struct tn_error *error)
{
    (void)error;
    fake_of(run)->kept_epoch = run->epoch;
    fake_of(run)->kept_count++;
    return TN_OK;
}
TN_UNUSED static tn_status fake_restore(const struct tn_run *run, struct tn_error *error)
{
    (void)error;
    fake_of(run)->weights_epoch = fake_of(run)->kept_epoch;
    fake_of(run)->restored_count++;
    return TN_OK;
}
TN_UNUSED static void fake_say(const struct tn_run *run, int32_t level, const char *text)
{
    struct fake *fake = fake_of(run);
    (void)level;
    ck_assert_uint_lt(fake->said_count, 64);
    (void)snprintf(fake->said[fake->said_count++], sizeof *fake->said, "%s", text);
}

TN_UNUSED static void fake_unsaved(const struct tn_run *run, const char *text)
{
    (void)snprintf(fake_of(run)->unsaved, sizeof fake_of(run)->unsaved, "%s", text ? text : "");
}

/* ---- files that are written behind: at once here, but it is not told ---- */

TN_UNUSED static tn_status fake_save_behind(const struct tn_run *run, const char *path, uint32_t flags,
                                            struct tn_error *error)
{
    struct fake *fake = fake_of(run);
    (void)error;
    ck_assert_int_eq(fake->pending, 0);
    fake->pending = 1;
    fake->outcome = run->save_weights(run, path, flags, &fake->failure);
    return TN_OK;
}
TN_UNUSED static int32_t fake_saved(const struct tn_run *run, int32_t wait, tn_status *outcome, struct tn_error *error)
{
    struct fake *fake = fake_of(run);
    if (!fake->pending || (fake->slow && !wait))
        return 0;
    fake->waited += wait != 0;
    fake->pending = 0;
    *outcome = fake->outcome;
    if (fake->outcome != TN_OK)
        *error = fake->failure;
    return 1;
}
TN_UNUSED static void fake_behind(struct fake *fake, int32_t slow)
{
    fake->slow = slow;
    fake->run.save_weights_behind = fake_save_behind;
    fake->run.saved = fake_saved;
}

TN_UNUSED static void fake_begin(struct fake *fake, const char *directory)
{
    memset(fake, 0, sizeof *fake);
    fake->kept_epoch = -1;
    fake->run = (struct tn_run){.size = sizeof fake->run,
                                .epochs = 100,
                                .batches = 4,
                                .learning_rate = 0.1,
                                .logs = fake->logs,
                                .directory = directory,
                                .name = "test",
                                .core = fake,
                                .stop = fake_stop,
                                .set_learning_rate = fake_rate,
                                .save_weights = fake_save,
                                .keep_weights = fake_keep,
                                .restore_weights = fake_restore,
                                .say = fake_say,
                                .unsaved = fake_unsaved};
}

TN_UNUSED static void fake_log(struct fake *fake, const char *name, double value, int32_t direction)
{
    fake->logs[fake->run.log_count++] = (struct tn_log_value){name, value, direction, 0};
}

/* ---- a callback made from the text of its section ---- */

struct made {
    struct tn_config *config;
    struct tn_registry *registry;
    struct tn_instance *instance;
    struct tn_problems problems;
};

/* `keys`: lines of the section. */
TN_UNUSED static tn_status make(struct made *made, const char *keys)
{
    char text[2048];
    struct tn_error error = {.status = TN_OK};
    tn_status status;
    memset(made, 0, sizeof *made);
    (void)snprintf(text, sizeof text, "[callback:c]\n%s", keys);
    ck_assert_int_eq(tn_config_load_text(text, strlen(text), "test.ini", NULL, 0, &made->config, &made->problems),
                     TN_OK);
    ck_assert_int_eq(tn_registry_open(NULL, &made->registry, &error), TN_OK);
    status = tn_instance_open(made->registry, TN_CALLBACK, NULL, tn_config_section(made->config, "callback", "c"), NULL,
                              &made->instance, &made->problems);
    return status;
}

TN_UNUSED static void unmake(struct made *made)
{
    tn_instance_close(&made->instance);
    tn_registry_close(&made->registry);
    tn_config_close(&made->config);
    tn_problems_release(&made->problems);
}

TN_UNUSED static tn_status tell(struct made *made, struct fake *fake, int32_t event, struct tn_error *error)
{
    const struct tn_callback *type = (const struct tn_callback *)made->instance->type;
    return type->on(made->instance->self, event, &fake->run, error);
}

/* One epoch in which `name` is `value`. */
TN_UNUSED static void epoch(struct made *made, struct fake *fake, int32_t number, const char *name, double value)
{
    struct tn_error error = {.status = TN_OK};
    fake->run.epoch = number;
    fake->run.log_count = 0;
    ck_assert_int_eq(tell(made, fake, TN_EPOCH_BEGIN, &error), TN_OK);
    fake_log(fake, name, value, TN_DIRECTION_DOWN);
    fake->weights_epoch = number;
    ck_assert_msg(tell(made, fake, TN_EPOCH_END, &error) == TN_OK, "%s", error.text);
}

TN_UNUSED static void begin_case(struct made *made, struct fake *fake, const char *keys, const char *monitor)
{
    struct tn_error error = {.status = TN_OK};
    ck_assert_msg(make(made, keys) == TN_OK, "%s: %s", keys,
                  made->problems.count ? made->problems.items[0].text : "no reason");
    fake_begin(fake, "run");
    fake_log(fake, monitor, NAN, TN_DIRECTION_DOWN);
    ck_assert_msg(tell(made, fake, TN_RUN_BEGIN, &error) == TN_OK, "%s", error.text);
}

/* A section with these keys is refused, with this in the reason. */
TN_UNUSED static void refused_section(const char *keys, const char *part)
{
    struct made made;
    ck_assert_msg(make(&made, keys) != TN_OK, "accepted: %s", keys);
    ck_assert_uint_gt(made.problems.count, 0);
    ck_assert_msg(strstr(made.problems.items[0].text, part) != NULL, "%s\n  is refused with: %s", keys,
                  made.problems.items[0].text);
    unmake(&made);
}

#endif
