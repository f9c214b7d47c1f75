/* fuzz_config.c: an experiment as text: sections, blocks, ${...}, overrides, option tables; and what is printed of it
 * has to be an experiment again.
 */
#include "data/data.h"
#include "fuzz.h"
#include "train/experiment.h"

static void apply(struct tn_config *config, const char *kind, const struct tn_option *table, void *instance,
                  struct tn_problems *problems)
{
    struct tn_arena arena = {0};
    (void)tn_options_apply(table, tn_config_section(config, kind, ""), NULL, instance, &arena, problems);
    tn_arena_release(&arena);
}

static void print_and_load(struct tn_config *config)
{
    struct tn_text text = {0};
    struct tn_config *again = NULL;
    struct tn_problems problems = {0};
    DEMAND(tn_config_print(config, false, &text) == TN_OK);
    if (text.data && tn_config_load_text(text.data, text.length, "again.ini", NULL, 0, &again, &problems) != TN_OK) {
        fprintf(stderr, "printed:\n%s\nproblem: %s\n", text.data, problems.count ? problems.items[0].text : "none");
        abort();
    }
    tn_config_close(&again);
    tn_problems_release(&problems);
    tn_text_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const overrides[] = {"data.batch_size=8", "layer:a.units=3", "experiment.include=none.ini"};
    struct tn_config *config = NULL;
    struct tn_problems problems = {0};
    tn_status status =
        tn_config_load_text((const char *)data, size, "fuzz.ini", overrides, size % 4, &config, &problems);
    DEMAND(status == TN_OK || problems.count > 0);
    if (config) {
        struct tn_experiment_options options = {0};
        struct tn_data_options pictures = {0};
        if (status == TN_OK && size % 4 < 3)
            print_and_load(config);
        DEMAND(tn_experiment_add_defaults(config) == TN_OK);
        apply(config, "experiment", tn_experiment_option_table, &options, &problems);
        apply(config, "data", tn_data_option_table, &pictures, &problems);
    }
    tn_config_close(&config);
    tn_problems_release(&problems);
    return 0;
}
