/* override.c: "section.key=value" texts of the command line. */
#include "config/internal.h"

struct override {
    const char *text; /* as typed */
    const char *kind, *name, *key, *value;
};

static const char *trimmed(struct tn_arena *arena, const char *begin, const char *end)
{
    while (begin < end && (*begin == ' ' || *begin == '\t'))
        begin++;
    while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return tn_arena_text(arena, begin, (size_t)(end - begin));
}

/* What is wrong with the parts, as a phrase: what no file could say, an override cannot either. NULL = nothing. */
static const char *fault_of(const struct override *override, bool named)
{
    const char *key = override->key, *fault = tn__name_fault(override->name);
    if (!override->kind[0] || !key[0] || (named && !override->name[0]))
        return "expected section.key=value, e.g. data.batch_size=16 or layer:conv1.filters=64";
    if (!fault && (strchr("[;#", key[0]) || strchr(key, ':') || tn__value_fault(key)))
        fault = "no key is called that";
    if (!fault && strcmp(key, "include") == 0 && strcmp(override->kind, "experiment") == 0)
        fault = "`include` belongs into a file: files are read before the command line counts";
    return fault ? fault : tn__value_fault(override->value);
}

/* Splits at the first `=`, and what is before it at its last `.`; problems say what is wrong with the text. */
static tn_status split(struct tn_config *config, const char *text, struct override *override,
                       struct tn_problems *problems)
{
    struct tn_arena *arena = &config->arena;
    const char *equals = strchr(text, '='), *dot = NULL, *colon, *fault;
    for (const char *c = text; equals && c < equals; c++)
        if (*c == '.')
            dot = c;
    if (!equals || !dot) {
        tn_problem_add(problems, NULL, 0,
                       "`%s`: expected section.key=value, e.g. data.batch_size=16 or layer:conv1.filters=64", text);
        return TN_INVALID;
    }
    colon = memchr(text, ':', (size_t)(dot - text));
    override->text = text;
    override->kind = trimmed(arena, text, colon ? colon : dot);
    override->name = colon ? trimmed(arena, colon + 1, dot) : "";
    override->key = trimmed(arena, dot + 1, equals);
    override->value = trimmed(arena, equals + 1, text + strlen(text));
    if (!override->kind || !override->name || !override->key || !override->value)
        return TN_NO_MEMORY;
    fault = fault_of(override, colon != NULL);
    if (!fault)
        return TN_OK;
    tn_problem_add(problems, NULL, 0, "`%s`: %s", text, fault);
    return TN_INVALID;
}

static tn_status set(struct tn_section *section, const struct override *override)
{
    struct tn_entry *entry = tn__section_find(section, override->key);
    if (!entry)
        return tn__section_add(section, override->key, override->value, TN__COMMAND_LINE, 0);
    entry->value = override->value;
    entry->file = TN__COMMAND_LINE;
    entry->line = 0;
    return TN_OK;
}

/* Whether a block that is used under the first part of the name will make this layer. */
static bool is_made_later(const struct tn_config *config, const struct override *override)
{
    const char *slash = strchr(override->name, '/');
    if (!slash || strcmp(override->kind, "layer") != 0)
        return false;
    for (size_t i = 0; i < config->section_count; i++) {
        const struct tn_section *section = &config->sections[i];
        if (strcmp(section->kind, "layer") == 0 && strlen(section->name) == (size_t)(slash - override->name) &&
            strncmp(section->name, override->name, strlen(section->name)) == 0)
            return tn__section_has(section, "type", "block");
    }
    return false;
}

/* No such section, and none of that kind can be: says so, with what was probably meant. */
static void unknown_section(const struct tn_config *config, const struct override *override,
                            struct tn_problems *problems)
{
    char hint[512];
    for (size_t i = 0; i < config->section_count; i++) {
        const struct tn_section *section = &config->sections[i];
        if (override->name[0] == '\0' && strcmp(section->name, override->kind) == 0) {
            tn_problem_add(problems, NULL, 0, "`%s`: there is no section [%s]; did you mean %s:%s.%s?", override->text,
                           override->kind, section->kind, section->name, override->key);
            return;
        }
    }
    tn_problem_add(problems, NULL, 0, "`%s`: there is no section [%s]%s", override->text, override->kind,
                   tn__section_kind_hint(override->kind, hint, sizeof hint));
}

tn_status tn__config_override(struct tn_config *config, const char *const *overrides, size_t count, bool *later,
                              struct tn_problems *problems)
{
    for (size_t i = 0; i < count; i++) {
        struct override override;
        struct tn_section *section;
        tn_status status = split(config, overrides[i], &override, problems);
        if (status == TN_NO_MEMORY)
            return status;
        if (status != TN_OK)
            continue;
        section = tn__config_find(config, override.kind, override.name);
        later[i] = !section && is_made_later(config, &override);
        if (later[i])
            continue;
        if (!section && !tn__is_section_kind(override.kind)) {
            unknown_section(config, &override, problems);
            continue;
        }
        if (!section)
            section = tn__config_append(config, override.kind, override.name, TN__COMMAND_LINE, 0);
        if (!section || set(section, &override) != TN_OK)
            return TN_NO_MEMORY;
    }
    return TN_OK;
}

/* "; did you mean layer:stage1/1/conv?", or nothing. */
static tn_status layer_hint(const struct tn_config *config, const char *name, struct tn_text *hint)
{
    struct tn_arena arena = {0};
    const char **names = tn_arena_take(&arena, (config->section_count + 1) * sizeof *names), *near;
    size_t count = 0;
    if (!names)
        return TN_NO_MEMORY;
    for (size_t i = 0; i < config->section_count; i++)
        if (strcmp(config->sections[i].kind, "layer") == 0)
            names[count++] = config->sections[i].name;
    near = tn_nearest(name, names);
    tn_text_add(hint, "");
    if (near)
        tn_text_format(hint, "; did you mean layer:%s?", near);
    tn_arena_release(&arena);
    return hint->failed ? TN_NO_MEMORY : TN_OK;
}

tn_status tn__config_override_made(struct tn_config *config, const char *const *overrides, size_t count,
                                   const bool *later, struct tn_problems *problems)
{
    for (size_t i = 0; i < count; i++) {
        struct override override;
        struct tn_section *section;
        struct tn_text hint = {0};
        tn_status status;
        if (!later[i])
            continue;
        if (split(config, overrides[i], &override, problems) != TN_OK)
            return TN_NO_MEMORY; /* the text was fine before */
        section = tn__config_find(config, override.kind, override.name);
        if (section) {
            status = set(section, &override);
            if (status == TN_OK)
                status = tn__entry_expand(config, section, tn__section_find(section, override.key), problems);
        } else {
            status = layer_hint(config, override.name, &hint);
            if (status == TN_OK)
                tn_problem_add(problems, NULL, 0, "`%s`: the block makes no [layer:%s]%s", override.text, override.name,
                               hint.data);
            tn_text_release(&hint);
        }
        if (status == TN_NO_MEMORY)
            return status;
    }
    return TN_OK;
}
