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
 * for what feeds this repetition; a later layer that names stage1 gets the last layer of the last repetition.
 */
#include <stdlib.h>

#include "config/internal.h"

enum { MOST_REPEATS = 1000, MOST_LAYERS = 100000 };

struct expansion {
    struct tn_config *config;
    struct tn_problems *problems;
    struct tn_section *sections; /* the new list */
    size_t count, capacity;
    const char *last_of_use; /* name of the layer that a finished use ends in */
};

static tn_status push(struct expansion *expansion, const struct tn_section *section)
{
    if (expansion->count >= MOST_LAYERS ||
        tn_grow(&expansion->sections, &expansion->capacity, expansion->count + 1, sizeof *section) != TN_OK)
        return TN_NO_MEMORY;
    expansion->sections[expansion->count++] = *section;
    return TN_OK;
}

/* Replaces ${name} by the use's key or the block's default. */
static const char *fill_in(struct expansion *expansion, const char *value, const struct tn_section *use,
                           const struct tn_section *block, const struct tn_entry *entry)
{
    struct tn_text out = {0};
    const char *result;
    while (*value) {
        const char *start = strstr(value, "${"), *end = start ? strchr(start, '}') : NULL;
        const struct tn_entry *found;
        char name[256];
        if (!start || !end) {
            tn_text_add(&out, value);
            break;
        }
        tn_text_add_bytes(&out, value, (size_t)(start - value));
        (void)snprintf(name, sizeof name, "%.*s", (int)(end - start - 2), start + 2);
        found = tn__section_find(use, name);
        if (!found)
            found = tn__section_find(block, name);
        if (found)
            tn_text_add(&out, found->value);
        else
            tn_problem_add(expansion->problems, entry->file, entry->line,
                           "${%s}: neither [layer:%s] nor [block:%s] has `%s`", name, use->name, block->name, name);
        value = end + 1;
    }
    result = out.failed ? NULL : tn_arena_string(&expansion->config->arena, out.data ? out.data : "");
    tn_text_release(&out);
    return result;
}

/* Maps a comma list of a member's inputs to the names of this repetition. */
static const char *map_inputs(struct expansion *expansion, const char *value, const char *prefix, const char *feed)
{
    struct tn_arena *arena = &expansion->config->arena;
    const char *result = "";
    while (*value) {
        size_t length = strcspn(value, ",");
        const char *begin = value, *end = value + length;
        while (begin < end && (*begin == ' ' || *begin == '\t'))
            begin++;
        while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        if (end - begin == 5 && strncmp(begin, "input", 5) == 0)
            result = tn_arena_format(arena, "%s%s%s", result, *result ? ", " : "", feed);
        else
            result =
                tn_arena_format(arena, "%s%s%s/%.*s", result, *result ? ", " : "", prefix, (int)(end - begin), begin);
        if (!result)
            return NULL;
        value += length + (value[length] == ',');
    }
    return result;
}

static tn_status copy_member(struct expansion *expansion, const struct tn_section *use, const struct tn_section *block,
                             const struct tn_section *member, const char *prefix, const char *feed, bool first)
{
    struct tn_arena *arena = &expansion->config->arena;
    struct tn_section copy = {.kind = "layer", .file = member->file, .line = member->line};
    copy.name = tn_arena_format(arena, "%s%s", prefix, strchr(member->name, '/'));
    for (size_t k = 0; k < member->entry_count; k++) {
        const struct tn_entry *entry = &member->entries[k];
        const char *value = fill_in(expansion, entry->value, use, block, entry);
        if (value && strcmp(entry->key, "inputs") == 0)
            value = map_inputs(expansion, value, prefix, feed);
        if (tn__section_add(&copy, entry->key, value, entry->file, entry->line) != TN_OK) {
            tn__section_release(&copy);
            return TN_NO_MEMORY;
        }
    }
    /* The first member takes what feeds the block, which is not always the layer in front of it. */
    if (first && !tn__section_find(&copy, "inputs") && strcmp(feed, "") != 0 &&
        tn__section_add(&copy, "inputs", feed, use->file, use->line) != TN_OK) {
        tn__section_release(&copy);
        return TN_NO_MEMORY;
    }
    if (!copy.name || push(expansion, &copy) != TN_OK) {
        tn__section_release(&copy);
        return TN_NO_MEMORY;
    }
    expansion->last_of_use = copy.name;
    return TN_OK;
}

static tn_status use_block(struct expansion *expansion, const struct tn_section *use, const char *before)
{
    const struct tn_entry *named = tn__section_find(use, "use"), *repeat = tn__section_find(use, "repeat");
    const struct tn_entry *inputs = tn__section_find(use, "inputs");
    const struct tn_section *block = named ? tn__config_find(expansion->config, "block", named->value) : NULL;
    const char *feed = inputs ? inputs->value : before;
    char *end;
    long times = repeat ? strtol(repeat->value, &end, 10) : 1;
    if (!block) {
        tn_problem_add(expansion->problems, use->file, named ? named->line : use->line,
                       named ? "[layer:%s] use: there is no [block:%s]"
                             : "[layer:%s] needs `use = NAME` of a [block:NAME]%s",
                       use->name, named ? named->value : "");
        return TN_OK;
    }
    if (repeat && (*end || times < 1 || times > MOST_REPEATS)) {
        tn_problem_add(expansion->problems, repeat->file, repeat->line,
                       "[layer:%s] repeat: `%s` is not a whole number in 1..%d", use->name, repeat->value,
                       MOST_REPEATS);
        return TN_OK;
    }
    for (long time = 1; time <= times; time++) {
        char *prefix = tn_arena_format(&expansion->config->arena, "%s/%ld", use->name, time);
        bool first = true;
        size_t members = 0;
        if (!prefix)
            return TN_NO_MEMORY;
        for (size_t i = 0; i < expansion->config->section_count; i++) {
            const struct tn_section *member = &expansion->config->sections[i];
            size_t length = strlen(block->name);
            if (strcmp(member->kind, "layer") != 0 || strncmp(member->name, block->name, length) != 0 ||
                member->name[length] != '/')
                continue;
            if (copy_member(expansion, use, block, member, prefix, feed, first) != TN_OK)
                return TN_NO_MEMORY;
            first = false;
            members++;
        }
        if (!members) {
            tn_problem_add(expansion->problems, block->file, block->line,
                           "[block:%s] has no layers: write [layer:%s/NAME]", block->name, block->name);
            return TN_OK;
        }
        feed = expansion->last_of_use;
    }
    return TN_OK;
}

/* Inputs that name a use mean the layer that the use ends in. */
static tn_status rename_inputs(struct expansion *expansion, const char *use, const char *last)
{
    for (size_t i = 0; i < expansion->count; i++) {
        struct tn_entry *entry = tn__section_find(&expansion->sections[i], "inputs");
        struct tn_text out = {0};
        const char *value;
        if (strcmp(expansion->sections[i].kind, "layer") != 0 || !entry || !strstr(entry->value, use))
            continue;
        for (value = entry->value; *value;) {
            size_t length = strcspn(value, ",");
            const char *begin = value, *end = value + length;
            while (begin < end && (*begin == ' ' || *begin == '\t'))
                begin++;
            while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
                end--;
            if (out.length)
                tn_text_add(&out, ", ");
            if ((size_t)(end - begin) == strlen(use) && strncmp(begin, use, strlen(use)) == 0)
                tn_text_add(&out, last);
            else
                tn_text_add_bytes(&out, begin, (size_t)(end - begin));
            value += length + (value[length] == ',');
        }
        entry->value = out.failed ? NULL : tn_arena_string(&expansion->config->arena, out.data ? out.data : "");
        tn_text_release(&out);
        if (!entry->value)
            return TN_NO_MEMORY;
    }
    return TN_OK;
}

tn_status tn__config_blocks(struct tn_config *config, struct tn_problems *problems)
{
    struct expansion expansion = {.config = config, .problems = problems};
    size_t problems_before = problems->count;
    const char *before = "input";
    tn_status status = TN_OK;
    bool any = false;
    for (size_t i = 0; i < config->section_count; i++)
        any = any || strcmp(config->sections[i].kind, "block") == 0 ||
              (tn__section_find(&config->sections[i], "type") &&
               strcmp(tn__section_find(&config->sections[i], "type")->value, "block") == 0);
    if (!any)
        return TN_OK;
    struct {
        const char *use, *last;
    } *renames = calloc(config->section_count + 1, sizeof *renames);
    size_t rename_count = 0;
    if (!renames)
        return TN_NO_MEMORY;
    for (size_t i = 0; i < config->section_count && status == TN_OK; i++) {
        struct tn_section *section = &config->sections[i];
        const struct tn_entry *type = tn__section_find(section, "type");
        bool layer = strcmp(section->kind, "layer") == 0;
        if (strcmp(section->kind, "block") == 0 || tn__is_block_member(config, section))
            continue;
        if (layer && type && strcmp(type->value, "block") == 0) {
            status = use_block(&expansion, section, before);
            renames[rename_count].use = section->name;
            renames[rename_count++].last = expansion.last_of_use ? expansion.last_of_use : section->name;
            before = expansion.last_of_use ? expansion.last_of_use : before;
            continue;
        }
        if (layer)
            before = section->name;
        status = push(&expansion, section);
        if (status == TN_OK)
            section->entries = NULL; /* moved */
    }
    for (size_t i = 0; i < rename_count && status == TN_OK; i++)
        status = rename_inputs(&expansion, renames[i].use, renames[i].last);
    free(renames);
    if (status != TN_OK) {
        for (size_t i = 0; i < expansion.count; i++)
            tn__section_release(&expansion.sections[i]);
        free(expansion.sections);
        return status;
    }
    for (size_t i = 0; i < config->section_count; i++)
        tn__section_release(&config->sections[i]);
    free(config->sections);
    config->sections = expansion.sections;
    config->section_count = expansion.count;
    config->section_capacity = expansion.capacity;
    return problems->count == problems_before ? TN_OK : TN_INVALID;
}
