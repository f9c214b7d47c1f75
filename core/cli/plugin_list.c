/* plugin_list.c: `tenon plugin list`: every type that can be used, and every file that cannot, with the reason. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/plugin.h"

struct options {
    const char *plugin_path;
    int32_t json;
};

static const struct tn_option options[] = {
    TN_BOOL(struct options, json, 0, "as JSON"),
    TN_PLUGIN_PATH_OPTION(struct options),
    TN_END,
};

struct row {
    const struct tn_type *type;
    const struct tn_plugin *plugin;
};

struct loading {
    struct tn_registry *registry;
    size_t index;
};

static void load(void *context, int out)
{
    struct loading *loading = context;
    (void)out;
    tn_registry_load(loading->registry, loading->index);
}

/* A file that crashes while it is opened crashes a child, and is then left alone. */
static void load_all(struct tn_registry *registry)
{
    for (size_t i = 0; i < tn_registry_plugin_count(registry); i++) {
        struct loading loading = {registry, i};
        struct tn_text said = {0};
        char how[128], reason[192];
        if (!tn_child_run(load, &loading, 20, &said, how, sizeof how)) {
            (void)snprintf(reason, sizeof reason, "%s while it was opened", how);
            tn_registry_refuse(registry, i, reason);
        }
        tn_text_release(&said);
        tn_registry_load(registry, i);
    }
}

static int by_kind_and_name(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->type->kind != y->type->kind)
        return x->type->kind < y->type->kind ? -1 : 1;
    return strcmp(x->type->name, y->type->name);
}

static struct row *rows_of(struct tn_registry *registry, uint32_t kind, size_t *count)
{
    struct row *rows = NULL;
    size_t capacity = 0;
    const struct tn_plugin *plugin;
    const struct tn_type *type;
    *count = 0;
    while ((type = tn_registry_type(registry, kind, *count, &plugin)) != NULL) {
        if (tn_grow(&rows, &capacity, *count + 1, sizeof *rows) != TN_OK)
            break;
        rows[(*count)++] = (struct row){type, plugin};
    }
    if (*count)
        qsort(rows, *count, sizeof *rows, by_kind_and_name);
    return rows;
}

static void print_table(const struct row *rows, size_t count)
{
    struct tn_table table = {.columns = 5, .alignment = "lllll"};
    tn_table_cell(&table, "kind");
    tn_table_cell(&table, "name");
    tn_table_cell(&table, "version");
    tn_table_cell(&table, "plugin");
    tn_table_cell(&table, "file");
    for (size_t i = 0; i < count; i++) {
        tn_table_cell(&table, tn_kind_name(rows[i].type->kind));
        tn_table_cell(&table, rows[i].type->name);
        tn_table_cell(&table, rows[i].plugin->manifest->version);
        tn_table_cell(&table, rows[i].plugin->manifest->name);
        tn_table_cell(&table, rows[i].plugin->path);
    }
    tn_table_print(&table, 1);
}

static void print_others(const struct tn_registry *registry)
{
    size_t broken = 0;
    for (size_t i = 0; i < tn_registry_plugin_count(registry); i++) {
        const struct tn_plugin *plugin = tn_registry_plugin(registry, i);
        if (plugin->problem && broken++ == 0)
            puts("\ncannot be used:");
        if (plugin->problem)
            printf("  %s %s\n", plugin->path, plugin->problem);
    }
    for (size_t i = 0; i < tn_registry_plugin_count(registry); i++) {
        const struct tn_plugin *plugin = tn_registry_plugin(registry, i);
        if (plugin->shadowed_by)
            printf("note: %s: what it has in common with %s is taken from there\n", plugin->path, plugin->shadowed_by);
    }
    fputs("\nsearched:", stdout);
    for (size_t i = 0; i < tn_registry_folder_count(registry); i++)
        printf(" %s", tn_registry_folder(registry, i));
    putchar('\n');
}

static void add_member(struct tn_text *text, const char *name, const char *value)
{
    tn_text_format(text, "%s\"%s\": ", text->data[text->length - 1] == '{' ? "" : ", ", name);
    tn_text_json(text, value ? value : "");
}

static void print_json(const struct tn_registry *registry, const struct row *rows, size_t count)
{
    struct tn_text text = {0};
    tn_text_add(&text, "{\"types\": [");
    for (size_t i = 0; i < count; i++) {
        tn_text_add(&text, i ? ",\n  {" : "\n  {");
        add_member(&text, "kind", tn_kind_name(rows[i].type->kind));
        add_member(&text, "name", rows[i].type->name);
        add_member(&text, "summary", rows[i].type->summary);
        add_member(&text, "version", rows[i].plugin->manifest->version);
        add_member(&text, "plugin", rows[i].plugin->manifest->name);
        add_member(&text, "licence", rows[i].plugin->manifest->licence);
        add_member(&text, "file", rows[i].plugin->path);
        tn_text_add(&text, "}");
    }
    tn_text_add(&text, "],\n \"problems\": [");
    for (size_t i = 0, any = 0; i < tn_registry_plugin_count(registry); i++) {
        const struct tn_plugin *plugin = tn_registry_plugin(registry, i);
        if (!plugin->problem && !plugin->shadowed_by)
            continue;
        tn_text_add(&text, any++ ? ",\n  {" : "\n  {");
        add_member(&text, "file", plugin->path);
        add_member(&text, plugin->problem ? "problem" : "shadowed_by",
                   plugin->problem ? plugin->problem : plugin->shadowed_by);
        tn_text_add(&text, "}");
    }
    tn_text_add(&text, "]}");
    puts(text.failed ? "{}" : text.data);
    tn_text_release(&text);
}

static int run(struct tn_arguments *arguments)
{
    const struct options *chosen = arguments->options;
    struct tn_registry *registry;
    struct tn_error error = {0};
    uint32_t kind = arguments->operand_count ? tn_kind_from_name(arguments->operands[0]) : 0;
    struct row *rows;
    size_t count;
    tn_status status;
    if (arguments->operand_count && !kind) {
        tn_console_say(
            arguments->console, TN_LOG_ERROR,
            "there is no kind `%s`; kinds are source, codec, augment, layer, loss, metric, optimizer, schedule, "
            "callback, format, device",
            arguments->operands[0]);
        return TN_EXIT_WRONG;
    }
    tn_arguments_plugin_path(chosen->plugin_path);
    status = tn_registry_open(NULL, &registry, &error);
    if (status != TN_OK)
        return tn_console_fail(arguments->console, status, &error);
    load_all(registry);
    rows = rows_of(registry, kind, &count);
    if (chosen->json) {
        print_json(registry, rows, count);
    } else {
        print_table(rows, count);
        print_others(registry);
    }
    free(rows);
    tn_registry_close(&registry);
    return TN_EXIT_DONE;
}

const struct tn_command tn_plugin_list_entry = {
    .name = "plugin list",
    .summary = "what can be loaded, from where, and why something cannot",
    .usage = "[KIND]",
    .about = "Lists the types of every plugin on the search path. Each file is first opened in a process of its own, "
             "so that\n"
             "one that crashes is a line of the list.",
    .examples = "  tenon plugin list\n"
                "  tenon plugin list layer --json\n"
                "  tenon plugin list --plugin-path build/plugins",
    .maximum_operands = 1,
    .operand_name = "KIND",
    .options = options,
    .options_size = sizeof(struct options),
    .run = run,
};
