/* save_rule.c: [experiment] save_every, and callbacks that say it instead. */
#include <stdlib.h>
#include <string.h>

#include "train/internal.h"

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

tn_status tn_save_rule_parse(const char *text, struct tn_save_rule *rule, struct tn_error *error)
{
    static const char *const batches[] = {" batches", " batch", " steps", " step", NULL};
    static const struct tn_option seconds = {
        .kind = TN_OPTION_DURATION, .name = "save_every", .minimum = 0.001, .maximum = 1e9};
    char *end;
    *rule = (struct tn_save_rule){.kind = TN_SAVE_AUTO};
    if (strcmp(text, "auto") == 0)
        return TN_OK;
    if (strcmp(text, "no") == 0 || strcmp(text, "epoch") == 0) {
        rule->kind = text[0] == 'n' ? TN_SAVE_NO : TN_SAVE_EPOCH;
        return TN_OK;
    }
    unsigned long long count = strtoull(text, &end, 10);
    if (text[0] >= '1' && text[0] <= '9' && is_one_of(end, batches)) {
        rule->kind = TN_SAVE_STEPS;
        rule->steps = count;
        return TN_OK;
    }
    rule->kind = TN_SAVE_SECONDS;
    if (tn_option_parse(&seconds, text, NULL, &rule->seconds, NULL, NULL) == TN_OK)
        return TN_OK;
    return tn_fail(error, TN_INVALID,
                   "save_every: `%s` is none of auto, no, epoch, a time (5min), a number of batches (500 batches)",
                   text);
}

static bool is_same(const struct tn_save_rule *one, const struct tn_save_rule *other)
{
    return one->kind == other->kind && one->steps == other->steps &&
           !(one->seconds < other->seconds || one->seconds > other->seconds);
}

/* What a callback says, against what was said before it: by [experiment] (which is there when `experiment` is) or by
 * another callback. */
static void take_rule(struct tn_setup *setup, const struct tn_instance *callback, const struct tn_entry *experiment,
                      const struct tn_instance **before)
{
    const char *text = ((const struct tn_callback *)callback->type)->save_every(callback->self), *said;
    struct tn_experiment_options *options = &setup->experiment->options;
    struct tn_save_rule mine, theirs;
    struct tn_error error = {.status = TN_OK};
    if (!text && strcmp(options->save_every, "no") != 0)
        return;
    if (text && tn_save_rule_parse(text, &mine, &error) != TN_OK) {
        tn_problem_add(setup->problems, callback->file, callback->line, "[callback:%s]: %s", callback->name,
                       error.text);
        return;
    }
    said = experiment || *before ? options->save_every : NULL;
    if (said && tn_save_rule_parse(said, &theirs, NULL) != TN_OK)
        return; /* that is told when the run begins */
    if (!text)
        tn_problem_add(setup->problems, callback->file, callback->line,
                       "[callback:%s]: it saves the run's state, and save_every is no in %s%s%s: leave out one of them",
                       callback->name, *before ? "[callback:" : "[experiment]", *before ? (*before)->name : "",
                       *before ? "]" : "");
    else if (said && !is_same(&mine, &theirs))
        tn_problem_add(setup->problems, callback->file, callback->line,
                       "[callback:%s]: save_every is %s here, and %s in %s%s%s: leave out one of them", callback->name,
                       text, said, *before ? "[callback:" : "[experiment]", *before ? (*before)->name : "",
                       *before ? "]" : "");
    else
        options->save_every = text;
    *before = text ? callback : *before;
}

void tn_setup_save_rule(struct tn_setup *setup)
{
    struct tn_experiment *made = setup->experiment;
    struct tn_section *section = tn_config_section(made->config, "experiment", "");
    const struct tn_entry *experiment = section ? tn_section_entry(section, "save_every") : NULL;
    const struct tn_instance *before = NULL;
    for (uint32_t i = 0; i < made->callback_count; i++)
        if (((const struct tn_callback *)made->callbacks[i]->type)->save_every)
            take_rule(setup, made->callbacks[i], experiment, &before);
}
