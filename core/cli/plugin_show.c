/* plugin_show.c: `tenon plugin show [KIND] NAME`: what a type says of itself: options, form, an example section. */
#include <math.h>
#include <stdio.h>
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

static bool is_required(const struct tn_option *option)
{
    bool number = option->kind == TN_OPTION_INT || option->kind == TN_OPTION_FLOAT;
    return (option->flags & TN_OPTION_IS_REQUIRED) || (number && isnan(option->default_number));
}

/* "whole number, 1..64", "number, at least 0", "valid|same" */
static void add_value(struct tn_text *text, const struct tn_option *option)
{
    double low = option->minimum, high = option->maximum;
    tn_text_add(text, option->choices ? option->choices : tn_option_kind_name(option->kind));
    switch (option->kind) {
    case TN_OPTION_INT:
    case TN_OPTION_FLOAT:
    case TN_OPTION_SIZE:
    case TN_OPTION_NUMBERS:
    case TN_OPTION_BYTES:
    case TN_OPTION_DURATION:
        if (isfinite(low) && isfinite(high))
            tn_text_format(text, ", %.10g..%.10g", low, high);
        else if (isfinite(low))
            tn_text_format(text, ", at least %.10g", low);
        else if (isfinite(high))
            tn_text_format(text, ", at most %.10g", high);
        break;
    default:
        break;
    }
}

/* What the kind's own members tell a user. */
static void add_form(struct tn_text *text, const struct tn_type *type)
{
    const void *whole = type;
    if (type->kind == TN_LAYER) {
        const struct tn_layer *layer = whole;
        int32_t low = layer->minimum_inputs, high = layer->maximum_inputs;
        tn_text_add(text, layer->build ? "composed of the core's ops" : "own kernels on the CPU");
        if ((low == 0 && high == 0) || (low == 1 && high == 1))
            tn_text_add(text, "; one input");
        else if (high < 0)
            tn_text_format(text, "; %d or more inputs", low);
        else
            tn_text_format(text, "; %d to %d inputs", low, high);
        if (layer->keras_class)
            tn_text_format(text, "; Keras' %s", layer->keras_class);
    } else if (type->kind == TN_AUGMENT) {
        const struct tn_augment *augment = whole;
        tn_text_format(text, "%s%s%s", augment->affine ? "geometry " : "", augment->apply ? "pixels " : "",
                       augment->scale_shift ? "scale and shift " : "");
        tn_text_add(text, type->flags & TN_AUGMENT_ALWAYS  ? "on every source"
                          : type->flags & TN_AUGMENT_MIXED ? "on training; its fixed parts on every source"
                                                           : "on training only (unless `on = all`)");
    } else if (type->kind == TN_LOSS) {
        const struct tn_loss *loss = whole;
        tn_text_add(text, type->flags & TN_LOSS_SPARSE ? "targets are class numbers" : "targets as wide as the output");
        if (loss->activation)
            tn_text_format(text, "; stable together with a last %s", loss->activation);
    } else if (type->kind == TN_FORMAT) {
        const struct tn_format *format = whole;
        tn_text_format(text, "files that end in %s; %s%s%s%s", format->extensions, format->encode ? "writes" : "",
                       format->encode && format->decode ? " and " : "", format->decode ? "reads" : "",
                       format->list ? "; tenon inspect lists them" : "");
    }
}

static void print_example(const struct tn_type *type, struct tn_arena *arena)
{
    bool alone =
        type->kind == TN_LOSS || type->kind == TN_OPTIMIZER || type->kind == TN_SCHEDULE || type->kind == TN_DEVICE;
    printf("\nexample:\n  [%s%s]\n  type = %s\n", tn_kind_name(type->kind),
           alone                     ? ""
           : type->kind == TN_SOURCE ? ":train"
                                     : ":name",
           type->name);
    for (const struct tn_option *option = type->options; option && option->kind; option++) {
        const char *standard = tn_option_default_text(option, arena);
        if (option->kind == TN_OPTION_GONE)
            continue;
        if (is_required(option))
            printf("  %s = …\n", option->name);
        else
            printf("  ; %s = %s\n", option->name, standard ? standard : "");
    }
}

static void print_type(const struct tn_type *type, const struct tn_plugin *plugin)
{
    struct tn_arena arena = {0};
    struct tn_text form = {0};
    add_form(&form, type);
    printf("%s %s: %s\n", tn_kind_name(type->kind), type->name, type->summary);
    if (form.length)
        printf("%s\n", form.data);
    printf("from %s (%s %s, %s)\n", plugin->path, plugin->manifest->name, plugin->manifest->version,
           plugin->manifest->licence);
    if (!type->options || !type->options->kind)
        puts("\nno options");
    else
        puts("\noptions:");
    for (const struct tn_option *option = type->options; option && option->kind; option++) {
        const char *standard = tn_option_default_text(option, &arena);
        struct tn_text value = {0};
        if (option->kind == TN_OPTION_GONE) {
            printf("  %s\n      no longer used: %s\n", option->name, option->help);
            continue;
        }
        add_value(&value, option);
        if (is_required(option))
            printf("  %s   (required)\n", option->name);
        else
            printf("  %s = %s\n", option->name, standard ? standard : "");
        printf("      %s\n      %s\n", option->help, value.failed ? "" : value.data);
        tn_text_release(&value);
    }
    if (type->kind != TN_CODEC && type->kind != TN_FORMAT) /* never named in a section */
        print_example(type, &arena);
    tn_text_release(&form);
    tn_arena_release(&arena);
}

static void add_text(struct tn_text *text, const char *before, const char *value)
{
    tn_text_add(text, before);
    tn_text_json(text, value ? value : "");
}

static void add_json(struct tn_text *text, const struct tn_type *type, const struct tn_plugin *plugin)
{
    struct tn_arena arena = {0};
    struct tn_text form = {0};
    const char *between = "";
    add_form(&form, type);
    add_text(text, "{\"kind\": ", tn_kind_name(type->kind));
    add_text(text, ", \"name\": ", type->name);
    add_text(text, ",\n \"summary\": ", type->summary);
    add_text(text, ",\n \"form\": ", form.data);
    add_text(text, ",\n \"plugin\": ", plugin->manifest->name);
    add_text(text, ", \"version\": ", plugin->manifest->version);
    add_text(text, ", \"licence\": ", plugin->manifest->licence);
    add_text(text, ", \"file\": ", plugin->path);
    tn_text_add(text, ",\n \"options\": [");
    for (const struct tn_option *option = type->options; option && option->kind; option++) {
        struct tn_text value = {0};
        if (option->kind == TN_OPTION_GONE)
            continue;
        add_value(&value, option);
        tn_text_add(text, between);
        add_text(text, "\n  {\"name\": ", option->name);
        add_text(text, ", \"value\": ", value.data);
        add_text(text, ", \"default\": ", is_required(option) ? "" : tn_option_default_text(option, &arena));
        tn_text_format(text, ", \"required\": %s", is_required(option) ? "true" : "false");
        add_text(text, ", \"help\": ", option->help);
        tn_text_add(text, "}");
        tn_text_release(&value);
        between = ",";
    }
    tn_text_add(text, "]}");
    tn_text_release(&form);
    tn_arena_release(&arena);
}

/* All types of this name, or the one of this kind; returns how many there were. */
static size_t show(struct tn_registry *registry, uint32_t kind, const char *name, bool json)
{
    struct tn_text text = {0};
    const struct tn_plugin *plugin;
    const struct tn_type *type;
    size_t count = 0;
    for (size_t i = 0; (type = tn_registry_type(registry, kind, i, &plugin)) != NULL; i++) {
        if (strcmp(type->name, name) != 0)
            continue;
        if (json) {
            tn_text_add(&text, count ? ",\n" : "");
            add_json(&text, type, plugin);
        } else {
            if (count)
                putchar('\n');
            print_type(type, plugin);
        }
        count++;
    }
    /* One object for one type; several kinds may have a name in common. */
    if (json && count)
        printf(count > 1 ? "[%s]\n" : "%s\n", text.failed ? "" : text.data);
    tn_text_release(&text);
    return count;
}

static void say_unknown(struct tn_console *console, struct tn_registry *registry, const char *name)
{
    const char *names[1024], *near;
    const struct tn_type *type;
    size_t count = 0;
    while (count + 1 < TN_COUNT_OF(names) && (type = tn_registry_type(registry, 0, count, NULL)) != NULL)
        names[count++] = type->name;
    names[count] = NULL;
    near = tn_nearest(name, names);
    if (near)
        tn_console_say(console, TN_LOG_ERROR, "there is no type `%s`; did you mean `%s`?", name, near);
    else
        tn_console_say(console, TN_LOG_ERROR, "there is no type `%s`; `tenon plugin list` lists them", name);
    for (size_t i = 0; i < tn_registry_plugin_count(registry); i++) {
        const struct tn_plugin *plugin = tn_registry_plugin(registry, i);
        const char *stem = strrchr(plugin->path, '/');
        if (plugin->problem && stem && strncmp(stem + 1, name, strlen(name)) == 0)
            tn_console_say(console, TN_LOG_ERROR, "%s %s", plugin->path, plugin->problem);
    }
}

static int run(struct tn_arguments *arguments)
{
    const struct options *chosen = arguments->options;
    const char *name = arguments->operands[arguments->operand_count - 1];
    uint32_t kind = arguments->operand_count > 1 ? tn_kind_from_name(arguments->operands[0]) : 0;
    struct tn_registry *registry;
    struct tn_error error = {0};
    tn_status status;
    int exit_status = TN_EXIT_DONE;
    if (arguments->operand_count > 1 && !kind) {
        tn_console_say(arguments->console, TN_LOG_ERROR, "there is no kind `%s`; usage: tenon plugin show %s",
                       arguments->operands[0], arguments->command->usage);
        return TN_EXIT_WRONG;
    }
    tn_arguments_plugin_path(chosen->plugin_path);
    status = tn_registry_open(NULL, &registry, &error);
    if (status != TN_OK)
        return tn_console_fail(arguments->console, status, &error);
    if (kind && !tn_registry_find(registry, kind, name, &error)) {
        tn_console_say(arguments->console, TN_LOG_ERROR, "%s", error.text);
        exit_status = TN_EXIT_WRONG;
    } else {
        if (!kind)
            tn_registry_load_all(registry);
        if (show(registry, kind, name, chosen->json) == 0) {
            say_unknown(arguments->console, registry, name);
            exit_status = TN_EXIT_WRONG;
        }
    }
    tn_registry_close(&registry);
    return exit_status;
}

const struct tn_command tn_plugin_show_entry = {
    .name = "plugin show",
    .summary = "a type's options with ranges and defaults, and an example section",
    .usage = "[KIND] NAME",
    .about = "Prints what a type says of itself. These tables are also what parses the experiment file.",
    .examples = "  tenon plugin show conv2d\n"
                "  tenon plugin show loss mean_squared_error --json",
    .minimum_operands = 1,
    .maximum_operands = 2,
    .operand_name = "NAME",
    .options = options,
    .options_size = sizeof(struct options),
    .run = run,
};
