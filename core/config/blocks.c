/* blocks.c: a block is a few layers under one name that a network uses again and again.
 *
 *   [block:residual]                 defaults of its variables
 *   filters = 64
 *   [layer:residual/conv]            a member: a template, with ${filters} inside
 *   …
 *   [layer:stage1]
 *   type = block, use = residual, repeat = 3, filters = 64      (on lines of their own)
 *
 * A use becomes the layers stage1/1/conv, stage1/2/conv, … in its place. `inputs` of a member name members, or `input`
 * for what feeds this repetition, or layers outside; a later layer that names stage1 gets the last layer of the last
 * repetition. A member may itself use a block.
 */
#include <stdlib.h>

#include "config/internal.h"

enum { MOST_REPEATS = 1000, MOST_LAYERS = 10000, MOST_VARIABLES = 64, DEEPEST = 16 };

/* A use that was replaced: `inputs` that name it mean the layer that it ends in. */
struct ending {
    const char *use, *last;
};

struct expansion {
    struct tn_config *config;
    struct tn_problems *problems;
    struct tn_section *sections; /* the new list */
    size_t count, capacity;
    struct ending *endings;
    size_t ending_count, ending_capacity;
    const char *last; /* the layer in front of the next one */
};

/* One use of a block, and the uses that it stands in. */
struct use {
    const struct use *above;
    const struct tn_section *layer, *block;
    const char *feed;   /* what `input` means in this repetition */
    const char *prefix; /* of the names of this repetition */
};

static bool is_member(const struct tn_section *section, const struct tn_section *block)
{
    size_t length = strlen(block->name);
    return strcmp(section->kind, "layer") == 0 && strncmp(section->name, block->name, length) == 0 &&
           section->name[length] == '/';
}

/* Takes over the section with its keys, also when it fails. */
static tn_status push(struct expansion *expansion, struct tn_section *section)
{
    if (tn_grow(&expansion->sections, &expansion->capacity, expansion->count + 1, sizeof *section) != TN_OK) {
        tn__section_release(section);
        return TN_NO_MEMORY;
    }
    if (strcmp(section->kind, "layer") == 0)
        expansion->last = section->name;
    expansion->sections[expansion->count++] = *section;
    section->entries = NULL; /* moved */
    section->entry_count = section->entry_capacity = 0;
    return TN_OK;
}

/* ---- variables ---- */

/* The next `${name}` in a value, from `*rest` on. */
static bool next_variable(const char **rest, const char **start, char *name, size_t size)
{
    const char *end;
    *start = strstr(*rest, "${");
    end = *start ? strchr(*start, '}') : NULL;
    if (!end)
        return false;
    (void)snprintf(name, size, "%.*s", (int)(end - *start - 2), *start + 2);
    *rest = end + 1;
    return true;
}

/* Replaces ${name} by the use's key or the block's default. NULL: out of memory. */
static const char *fill_in(struct expansion *expansion, const struct use *use, const struct tn_entry *entry)
{
    struct tn_text out = {0};
    const char *rest = entry->value, *before = rest, *start, *result;
    char name[256];
    if (!strstr(rest, "${"))
        return rest;
    while (next_variable(&rest, &start, name, sizeof name)) {
        const struct tn_entry *found = tn__section_find(use->layer, name);
        if (!found)
            found = tn__section_find(use->block, name);
        tn_text_add_bytes(&out, before, (size_t)(start - before));
        if (found)
            tn_text_add(&out, found->value);
        else
            tn_problem_add(expansion->problems, entry->file, entry->line,
                           "${%s}: neither [layer:%s] nor [block:%s] has `%s`", name, use->layer->name,
                           use->block->name, name);
        before = rest;
    }
    tn_text_add(&out, before);
    if (!out.failed && strstr(out.data, "${"))
        tn_problem_add(expansion->problems, entry->file, entry->line, "`%s` becomes a `${` by what is put in",
                       entry->key);
    result = out.failed ? NULL : tn_arena_string(&expansion->config->arena, out.data);
    tn_text_release(&out);
    return result;
}

static bool is_listed(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* The names that members of the block refer to; returns how many, at most MOST_VARIABLES. */
static size_t list_variables(struct expansion *expansion, const struct tn_section *block, const char **names)
{
    const struct tn_config *config = expansion->config;
    size_t count = 0;
    for (size_t i = 0; i < config->section_count; i++) {
        const struct tn_section *member = &config->sections[i];
        for (size_t k = 0; is_member(member, block) && k < member->entry_count; k++) {
            const char *rest = member->entries[k].value, *start;
            char name[256];
            while (count < MOST_VARIABLES && next_variable(&rest, &start, name, sizeof name)) {
                if (is_listed(names, count, name))
                    continue;
                names[count] = tn_arena_string(&expansion->config->arena, name);
                count += names[count] != NULL;
            }
        }
    }
    return count;
}

/* A key that no member refers to is a typing error, in the use as in the block. */
static void check_variables(struct expansion *expansion, const struct tn_section *section,
                            const struct tn_section *block)
{
    static const char *const own[] = {"type", "use", "repeat", "inputs"};
    const char *names[MOST_VARIABLES + TN_COUNT_OF(own) + 1];
    char title[512];
    size_t count = list_variables(expansion, block, names);
    if (count == MOST_VARIABLES) /* there may be more */
        return;
    for (size_t i = 0; section != block && i < TN_COUNT_OF(own); i++)
        names[count++] = own[i];
    names[count] = NULL;
    for (size_t k = 0; k < section->entry_count; k++) {
        const struct tn_entry *entry = &section->entries[k];
        const char *near;
        if (is_listed(names, count, entry->key))
            continue;
        near = tn_nearest(entry->key, names);
        (void)tn__section_title(section, title, sizeof title);
        tn_problem_add(expansion->problems, entry->file, entry->line,
                       near ? "%s unknown key `%s`; did you mean `%s`?"
                            : "%s unknown key `%s`: no layer of [block:%s] has ${%s}",
                       title, entry->key, near ? near : block->name, entry->key);
    }
}

/* ---- layers ---- */

/* Maps the inputs of a member to the names of this repetition. NULL: out of memory. */
static const char *map_inputs(struct expansion *expansion, const struct use *use, const char *value)
{
    struct tn_text out = {0};
    const char *item, *result;
    size_t length;
    while (tn__next_item(&value, &item, &length)) {
        char name[512];
        (void)snprintf(name, sizeof name, "%s/%.*s", use->block->name, (int)length, item);
        if (out.length)
            tn_text_add(&out, ", ");
        if (length == strlen("input") && strncmp(item, "input", length) == 0)
            tn_text_add(&out, use->feed);
        else if (tn__config_find(expansion->config, "layer", name))
            tn_text_format(&out, "%s/%.*s", use->prefix, (int)length, item);
        else
            tn_text_add_bytes(&out, item, length); /* a layer outside, or one that is not there: the graph says so */
    }
    result = out.failed ? NULL : tn_arena_string(&expansion->config->arena, out.data ? out.data : "");
    tn_text_release(&out);
    return result;
}

static tn_status use_block(struct expansion *expansion, const struct tn_section *layer, const struct use *above);

static tn_status copy_member(struct expansion *expansion, const struct use *use, const struct tn_section *member,
                             bool first)
{
    struct tn_section copy = {.kind = "layer", .file = member->file, .line = member->line};
    tn_status status = TN_OK;
    copy.name = tn_arena_format(&expansion->config->arena, "%s%s", use->prefix, strchr(member->name, '/'));
    if (!copy.name)
        return TN_NO_MEMORY;
    for (size_t k = 0; k < member->entry_count; k++) {
        const struct tn_entry *entry = &member->entries[k];
        const char *value = fill_in(expansion, use, entry);
        if (value && strcmp(entry->key, "inputs") == 0)
            value = map_inputs(expansion, use, value);
        TN_TRY(status, tn__section_add(&copy, entry->key, value, entry->file, entry->line), out);
    }
    /* The first member takes what feeds the block, which is not always the layer in front of it. */
    if (first && !tn__section_find(&copy, "inputs"))
        TN_TRY(status, tn__section_add(&copy, "inputs", use->feed, use->layer->file, use->layer->line), out);
    if (tn__section_has(&copy, "type", "block")) {
        status = use_block(expansion, &copy, use);
    } else if (expansion->count >= MOST_LAYERS) {
        tn_problem_add(expansion->problems, use->layer->file, use->layer->line,
                       "[layer:%s]: blocks make more than %d layers", use->layer->name, MOST_LAYERS);
        status = TN_INVALID;
    } else {
        status = push(expansion, &copy);
    }
out:
    tn__section_release(&copy);
    return status;
}

/* One repetition. */
static tn_status copy_members(struct expansion *expansion, const struct use *use)
{
    const struct tn_config *config = expansion->config;
    size_t problems = expansion->problems->count;
    bool first = true;
    for (size_t i = 0; i < config->section_count; i++) {
        tn_status status;
        if (!is_member(&config->sections[i], use->block))
            continue;
        status = copy_member(expansion, use, &config->sections[i], first);
        if (status != TN_OK)
            return status;
        first = false;
    }
    if (first)
        tn_problem_add(expansion->problems, use->block->file, use->block->line,
                       "[block:%s] has no layers: write [layer:%s/NAME]", use->block->name, use->block->name);
    /* The next repetition would say the same. */
    return expansion->problems->count == problems ? TN_OK : TN_INVALID;
}

/* The block that a layer uses, or NULL with a problem. */
static const struct tn_section *find_block(struct expansion *expansion, const struct tn_section *layer,
                                           const struct use *above)
{
    const struct tn_entry *named = tn__section_find(layer, "use");
    const struct tn_section *block = named ? tn__config_find(expansion->config, "block", named->value) : NULL;
    int depth = 0;
    if (!named) {
        tn_problem_add(expansion->problems, layer->file, layer->line, "[layer:%s] needs `use = NAME` of a [block:NAME]",
                       layer->name);
    } else if (!block) {
        struct tn_config *config = expansion->config;
        const char **names = tn_arena_take(&config->arena, (config->section_count + 1) * sizeof *names), *near = NULL;
        for (size_t i = 0, k = 0; names && i < config->section_count; i++)
            if (strcmp(config->sections[i].kind, "block") == 0)
                names[k++] = config->sections[i].name;
        near = names ? tn_nearest(named->value, names) : NULL;
        tn_problem_add(expansion->problems, named->file, named->line,
                       near ? "[layer:%s] use: there is no [block:%s]; did you mean `%s`?"
                            : "[layer:%s] use: there is no [block:%s]",
                       layer->name, named->value, near);
    }
    for (const struct use *use = above; block && use; use = use->above) {
        if (use->block == block || ++depth > DEEPEST) {
            tn_problem_add(expansion->problems, layer->file, layer->line,
                           depth > DEEPEST ? "[layer:%s] use: [block:%s] is too deep: %d blocks in one another"
                                           : "[layer:%s] use: [block:%s] contains itself",
                           layer->name, block->name, DEEPEST);
            return NULL;
        }
    }
    return block;
}

/* Replaces one use by its members. TN_INVALID: problems were added. */
static tn_status use_block(struct expansion *expansion, const struct tn_section *layer, const struct use *above)
{
    static const struct tn_option option = {.kind = TN_OPTION_INT, .minimum = 1, .maximum = MOST_REPEATS};
    const struct tn_entry *repeat = tn__section_find(layer, "repeat"), *inputs = tn__section_find(layer, "inputs");
    size_t problems = expansion->problems->count;
    struct use use = {above, layer, find_block(expansion, layer, above), NULL, NULL};
    struct tn_error error;
    int64_t times = 1;
    if (repeat && tn_option_parse(&option, repeat->value, NULL, &times, NULL, &error) != TN_OK)
        tn_problem_add(expansion->problems, repeat->file, repeat->line, "[layer:%s] repeat: %s", layer->name,
                       error.text);
    if (use.block)
        check_variables(expansion, layer, use.block);
    if (expansion->problems->count != problems)
        return TN_INVALID;
    use.feed = inputs ? inputs->value : expansion->last;
    for (int64_t time = 1; time <= times; time++) {
        tn_status status;
        use.prefix = tn_arena_format(&expansion->config->arena, "%s/%lld", layer->name, (long long)time);
        status = use.prefix ? copy_members(expansion, &use) : TN_NO_MEMORY;
        if (status != TN_OK)
            return status;
        use.feed = expansion->last;
    }
    if (tn_grow(&expansion->endings, &expansion->ending_capacity, expansion->ending_count + 1,
                sizeof *expansion->endings) != TN_OK)
        return TN_NO_MEMORY;
    expansion->endings[expansion->ending_count++] = (struct ending){layer->name, expansion->last};
    return TN_OK;
}

/* ---- inputs of what comes after ---- */

static const char *ending_of(const struct expansion *expansion, const char *name, size_t length)
{
    for (size_t i = 0; i < expansion->ending_count; i++)
        if (strlen(expansion->endings[i].use) == length && strncmp(expansion->endings[i].use, name, length) == 0)
            return expansion->endings[i].last;
    return NULL;
}

/* Inputs that name a use mean the layer that the use ends in. */
static tn_status rename_inputs(struct expansion *expansion, struct tn_section *section)
{
    struct tn_entry *entry = strcmp(section->kind, "layer") == 0 ? tn__section_find(section, "inputs") : NULL;
    const char *rest = entry ? entry->value : "", *item, *last;
    struct tn_text out = {0};
    bool any = false;
    size_t length;
    while (tn__next_item(&rest, &item, &length)) {
        last = ending_of(expansion, item, length);
        any = any || last;
        if (out.length)
            tn_text_add(&out, ", ");
        tn_text_add_bytes(&out, last ? last : item, last ? strlen(last) : length);
    }
    if (any && !out.failed)
        entry->value = tn_arena_string(&expansion->config->arena, out.data);
    any = out.failed || (entry && !entry->value);
    tn_text_release(&out);
    return any ? TN_NO_MEMORY : TN_OK;
}

/* A layer of the file whose name a block makes as well. */
static void check_clash(struct expansion *expansion, const struct tn_section *section)
{
    const char *slash = strchr(section->name, '/');
    for (size_t i = 0; slash && i < expansion->config->section_count; i++) {
        const struct tn_section *other = &expansion->config->sections[i];
        if (strcmp(other->kind, "layer") == 0 && strlen(other->name) == (size_t)(slash - section->name) &&
            strncmp(other->name, section->name, strlen(other->name)) == 0 && tn__section_has(other, "type", "block"))
            tn_problem_add(expansion->problems, section->file, section->line,
                           "[layer:%s]: names with `%s/` belong to the layers that [layer:%s] makes", section->name,
                           other->name, other->name);
    }
}

static tn_status expand_section(struct expansion *expansion, struct tn_section *section)
{
    tn_status status;
    if (strcmp(section->kind, "block") == 0) {
        check_variables(expansion, section, section);
        return TN_OK;
    }
    if (tn__is_block_member(expansion->config, section))
        return TN_OK;
    if (strcmp(section->kind, "layer") != 0)
        return push(expansion, section);
    check_clash(expansion, section);
    if (!tn__section_has(section, "type", "block"))
        return push(expansion, section);
    status = use_block(expansion, section, NULL);
    return status == TN_INVALID ? TN_OK : status; /* a problem says it; the other sections are wanted all the same */
}

tn_status tn__config_blocks(struct tn_config *config, struct tn_problems *problems)
{
    struct expansion expansion = {.config = config, .problems = problems, .last = "input"};
    tn_status status = TN_OK;
    bool any = false;
    for (size_t i = 0; i < config->section_count; i++)
        any = any || strcmp(config->sections[i].kind, "block") == 0 ||
              tn__section_has(&config->sections[i], "type", "block");
    if (!any)
        return TN_OK;
    for (size_t i = 0; i < config->section_count && status == TN_OK; i++)
        status = expand_section(&expansion, &config->sections[i]);
    for (size_t i = 0; i < expansion.count && expansion.ending_count && status == TN_OK; i++)
        status = rename_inputs(&expansion, &expansion.sections[i]);
    for (size_t i = 0; i < config->section_count; i++)
        tn__section_release(&config->sections[i]);
    free(config->sections);
    free(expansion.endings);
    config->sections = expansion.sections;
    config->section_count = expansion.count;
    config->section_capacity = expansion.capacity;
    return status;
}
