/* save_rule.c: [experiment] save_every. */
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
