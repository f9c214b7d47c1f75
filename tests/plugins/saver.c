/* saver.c: a callback that asks for the run's state behind one batch, and counts how often it is told of a saving. With
 * `behind` it has the weights written there when the run ends, and does not ask what became of them. */
#include <stdio.h>

#include "tenon/plugin.h"

struct saver {
    const char *behind;
    int64_t at;
    int32_t settled;
};

static const struct tn_option saver_options[] = {
    TN_INT(struct saver, at, 2, 0, 1e9, "step behind which it asks"),
    TN_STRING(struct saver, behind, NULL, "file to write at the end"),
    TN_END,
};

static tn_status saver_on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)
{
    struct saver *saver = self;
    char text[80];
    if (event == TN_RUN_END && saver->behind)
        return run->save_weights_behind(run, saver->behind, 0, error);
    if (event == TN_BATCH_END && run->step == (uint64_t)saver->at)
        run->save_state(run);
    if (event == TN_SETTLE) {
        (void)snprintf(text, sizeof text, "saver: told of a state behind step %llu", (unsigned long long)run->step);
        run->say(run, TN_LOG_INFO, text);
        saver->settled++;
    }
    return TN_OK;
}

static const struct tn_state_field saver_state[] = {
    {"settled", TN_FIELD_INT32, 0, offsetof(struct saver, settled)},
    {NULL, 0, 0, 0},
};

static const struct tn_callback saver = {
    TN_TYPE(TN_CALLBACK, TN_TEST_NAME, struct saver, saver_options, "a plugin of the tests"),
    .on = saver_on,
    .state = saver_state,
};

TN_PLUGIN("test.saver", "0.1.0", "Apache-2.0", &saver.type);
