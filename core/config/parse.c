/* parse.c: INI text to sections with file:line.
 *
 * inih reads the lines; a line reader of our own feeds it, because the packaged library tells its handler no line
 * number, cuts long lines without a word, never reports empty sections and takes indented lines for continuations. The
 * reader hands over one clean line at a time, so that whatever the handler is told belongs to the line in hand.
 */
#include <ctype.h>
#include <ini.h>

#include "config/internal.h"

struct parser {
    const char *text;
    size_t length, at;
    const char *path; /* in the config's arena */
    uint32_t line;
    struct tn_config *config;
    struct tn_problems *problems;
    bool have_section, skip_section, out_of_memory;
};

static struct tn_section *current(struct parser *parser)
{
    return &parser->config->sections[parser->config->section_count - 1];
}

static char *trimmed(struct tn_arena *arena, const char *begin, const char *end)
{
    while (begin < end && isspace((unsigned char)*begin))
        begin++;
    while (end > begin && isspace((unsigned char)end[-1]))
        end--;
    return tn_arena_text(arena, begin, (size_t)(end - begin));
}

/* Puts a header's kind and name into the list, unless it is there already. A kind that does not exist gets a problem
 * and a section all the same, so that its keys can be read without noise. */
static void add_section(struct parser *parser, const char *kind, const char *name)
{
    struct tn_section section = {.kind = kind, .name = name};
    const struct tn_section *twin = tn__config_find(parser->config, kind, name);
    char text[512];
    if (twin) {
        tn_problem_add(parser->problems, parser->path, parser->line, "%s stands twice: first at %s:%u",
                       tn__section_title(&section, text, sizeof text), twin->file, twin->line);
        return;
    }
    if (!tn__is_section_kind(kind))
        tn_problem_add(parser->problems, parser->path, parser->line, "unknown section [%.200s]%s", kind,
                       tn__section_kind_hint(kind, text, sizeof text));
    if (!tn__config_append(parser->config, kind, name, parser->path, parser->line))
        parser->out_of_memory = true;
    else
        parser->skip_section = false;
}

/* "[kind:name]" begins a section. */
static void begin_section(struct parser *parser, const char *begin, const char *end)
{
    struct tn_arena *arena = &parser->config->arena;
    const char *close = memchr(begin, ']', (size_t)(end - begin)), *colon, *rest;
    char *kind, *name;
    parser->have_section = true;
    parser->skip_section = true;
    if (!close) {
        tn_problem_add(parser->problems, parser->path, parser->line, "a section header needs a closing `]`");
        return;
    }
    for (rest = close + 1; rest < end && isspace((unsigned char)*rest);)
        rest++;
    if (rest < end && *rest != ';' && *rest != '#')
        tn_problem_add(parser->problems, parser->path, parser->line, "text after `]`: put keys on lines of their own");
    colon = memchr(begin, ':', (size_t)(close - begin));
    kind = trimmed(arena, begin + 1, colon ? colon : close);
    name = colon ? trimmed(arena, colon + 1, close) : tn_arena_string(arena, "");
    if (!kind || !name)
        parser->out_of_memory = true;
    else if (tn__name_fault(kind) || tn__name_fault(name))
        tn_problem_add(parser->problems, parser->path, parser->line, "%s",
                       tn__name_fault(kind) ? tn__name_fault(kind) : tn__name_fault(name));
    else if (!kind[0] || (colon && !name[0]))
        tn_problem_add(parser->problems, parser->path, parser->line,
                       "an empty name: a section is [kind] or [kind:name]");
    else
        add_section(parser, kind, name);
}

/* Called by inih for a `key = value` line that next_line() just handed over. */
static int take_key(void *user, const char *section, const char *key, const char *value)
{
    struct parser *parser = user;
    struct tn_arena *arena = &parser->config->arena;
    struct tn_entry *twin;
    (void)section;
    if (!parser->have_section) {
        tn_problem_add(parser->problems, parser->path, parser->line, "`%s` stands before the first [section]", key);
        return 1;
    }
    if (parser->skip_section)
        return 1;
    twin = tn__section_find(current(parser), key);
    if (twin) {
        tn_problem_add(parser->problems, parser->path, parser->line,
                       "`%s` stands twice in this section: first on line %u", key, twin->line);
        return 1;
    }
    if (tn__section_add(current(parser), tn_arena_string(arena, key), tn_arena_string(arena, value), parser->path,
                        parser->line) != TN_OK)
        parser->out_of_memory = true;
    return 1;
}

/* Where a comment after a value begins: `;` or `#` with white space before it. */
static const char *value_end(const char *begin, const char *end)
{
    for (const char *c = begin; c < end; c++)
        if ((*c == ';' || *c == '#') && (c == begin || isspace((unsigned char)c[-1])))
            return c;
    return end;
}

/* Checks one raw line; returns the part that inih should see, or false for none. */
static bool judge_line(struct parser *parser, const char **begin, const char **end)
{
    if (memchr(*begin, '\0', (size_t)(*end - *begin))) {
        tn_problem_add(parser->problems, parser->path, parser->line, "a zero byte: this is not a text file");
        parser->at = parser->length;
        return false;
    }
    while (*begin < *end && isspace((unsigned char)**begin))
        ++*begin;
    while (*end > *begin && isspace((unsigned char)(*end)[-1]))
        --*end;
    if (*begin == *end || **begin == ';' || **begin == '#')
        return false;
    if (**begin == '[') {
        begin_section(parser, *begin, *end);
        return false;
    }
    *end = value_end(*begin, *end);
    while (*end > *begin && isspace((unsigned char)(*end)[-1]))
        --*end;
    if (!memchr(*begin, '=', (size_t)(*end - *begin)) || **begin == '=') {
        tn_problem_add(parser->problems, parser->path, parser->line, "expected `key = value`, got `%.*s`",
                       (int)(*end - *begin > 80 ? 80 : *end - *begin), *begin);
        return false;
    }
    return true;
}

/* Whether inih reads the line as it stands; `size` is what its buffer holds with the newline and the end. */
static bool suits_inih(struct parser *parser, const char *begin, const char *end, int size)
{
    const char *equals = memchr(begin, '=', (size_t)(end - begin));
    if (end - begin > size - 2) {
        tn_problem_add(parser->problems, parser->path, parser->line,
                       "the line has %zu bytes, and at most %d can be read (split a list over `include`d files, or "
                       "use ${section.key})",
                       (size_t)(end - begin), size - 2);
        return false;
    }
    /* inih also splits at ':'; in a key it is an error here, in a value it is text. */
    if (memchr(begin, ':', (size_t)(equals - begin))) {
        tn_problem_add(parser->problems, parser->path, parser->line, "`:` in the key `%.*s`", (int)(equals - begin),
                       begin);
        return false;
    }
    return true;
}

/* ini_reader: gives inih the next line worth its while. */
static char *next_line(char *buffer, int size, void *stream)
{
    struct parser *parser = stream;
    while (parser->at < parser->length && !parser->out_of_memory) {
        const char *begin = parser->text + parser->at, *all_end = parser->text + parser->length;
        const char *end = memchr(begin, '\n', (size_t)(all_end - begin));
        parser->at = end ? (size_t)(end - parser->text) + 1 : parser->length;
        parser->line++;
        if (!end)
            end = all_end;
        if (judge_line(parser, &begin, &end) && suits_inih(parser, begin, end, size)) {
            memcpy(buffer, begin, (size_t)(end - begin));
            buffer[end - begin] = '\n';
            buffer[end - begin + 1] = '\0';
            return buffer;
        }
    }
    return NULL;
}

tn_status tn__config_parse(const char *text, size_t length, const char *path, struct tn_config *config,
                           struct tn_problems *problems)
{
    struct parser parser = {.text = text, .length = length, .config = config, .problems = problems};
    parser.path = tn_arena_string(&config->arena, path);
    if (!parser.path)
        return TN_NO_MEMORY;
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        parser.at = 3;
    if (ini_parse_stream(next_line, &parser, take_key, &parser) != 0 && !parser.out_of_memory)
        tn_problem_add(problems, parser.path, parser.line, "the line cannot be read");
    return parser.out_of_memory ? TN_NO_MEMORY : TN_OK;
}
