/* initial.c: the weights that a run begins with: [weights], or `train --weights`. */
#include <math.h>

#include "train/state.h"

/* What a file brought, in a line. The learning rate stays that of the experiment, and that is said. */
static void say_loaded(struct tn_loop *loop, const char *path, const struct tn_loaded *loaded)
{
    const struct tn_instance *optimizer = loop->experiment->optimizer;
    double rate = ((const struct tn_optimizer *)optimizer->type)->learning_rate(optimizer->self);
    char text[2400];
    if (loaded->notes[0]) {
        (void)snprintf(text, sizeof text, "%s: %s", path, loaded->notes);
        tn_loop_say(loop, TN_LOG_WARNING, text);
    }
    if (!loaded->has_optimizer)
        return;
    (void)snprintf(text, sizeof text, "%s: the weights and the optimizer's state (%u arrays) after %llu steps", path,
                   (unsigned)loaded->slots, (unsigned long long)loaded->iterations);
    tn_loop_say(loop, TN_LOG_INFO, text);
    if (isfinite(loaded->learning_rate) && fabs(loaded->learning_rate - rate) > 1e-6 * rate) {
        (void)snprintf(text, sizeof text,
                       "%s: its learning rate was %g at last; this experiment begins with %g ([optimizer] "
                       "learning_rate)",
                       path, loaded->learning_rate, rate);
        tn_loop_say(loop, TN_LOG_WARNING, text);
    }
}

static bool goes_on(const struct tn_experiment *experiment)
{
    char buffer[1200];
    const char *folder = experiment->run_directory;
    return tn_state_is_there(folder, tn_place_local(experiment->options.state_folder, folder, buffer, sizeof buffer));
}

/* A run that goes on has its weights in its state, and the file may be gone. */
tn_status tn_loop_load_initial(struct tn_loop *loop, struct tn_error *error)
{
    struct tn_experiment *experiment = loop->experiment;
    const char *path = loop->request->weights ? loop->request->weights : experiment->weights.from;
    struct tn_loaded loaded = {.iterations = 0};
    tn_status status;
    if (!path || (!loop->request->fresh && goes_on(experiment)))
        return TN_OK;
    if (experiment->weights.optimizer) {
        status = tn_experiment_load_whole(experiment, path, &loaded, error);
        loop->steps_before = loaded.iterations;
    } else {
        status = tn_experiment_load_weights(experiment, path, loaded.notes, sizeof loaded.notes, error);
    }
    if (status == TN_OK)
        say_loaded(loop, path, &loaded);
    return status;
}
