/* json.c: see json.h. */
#include "support/json.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 64 };

struct reader {
    struct tn_arena *arena;
    const char *at, *end;
};

static void skip_space(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

static bool take(struct reader *r, char c)
{
    skip_space(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool take_word(struct reader *r, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0)
        return false;
    r->at += length;
    return true;
}

/* A text behind its opening quote. \uXXXX becomes '?': no name that matters has one. */
static const char *read_text(struct reader *r)
{
    const char *start = r->at;
    size_t used = 0;
    while (r->at < r->end && *r->at != '"')
        r->at += *r->at == '\\' && r->at + 1 < r->end ? 2 : 1;
    if (r->at >= r->end)
        return NULL;
    char *text = tn_arena_take(r->arena, (size_t)(r->at - start) + 1);
    for (const char *c = start; text && c < r->at; c++) {
        if (*c != '\\') {
            text[used++] = *c;
        } else if (*++c == 'u') {
            text[used++] = '?';
            c += r->at - c > 4 ? 4 : r->at - c - 1;
        } else {
            text[used++] = *c == 'n' ? '\n' : *c == 't' ? '\t' : *c;
        }
    }
    r->at++;
    return text;
}

static struct json *read_value(struct reader *r, int depth);

static bool read_members(struct reader *r, struct json *value, int depth)
{
    bool object = value->kind == JSON_OBJECT;
    char closing = object ? '}' : ']';
    struct json **last = &value->first;
    if (take(r, closing))
        return true;
    do {
        const char *key = NULL;
        if (object && (!take(r, '"') || !(key = read_text(r)) || !take(r, ':')))
            return false;
        *last = read_value(r, depth + 1);
        if (!*last)
            return false;
        (*last)->key = key;
        last = &(*last)->next;
    } while (take(r, ','));
    return take(r, closing);
}

static bool read_number(struct reader *r, struct json *value)
{
    char text[64];
    size_t length = 0;
    while (r->at + length < r->end && length + 1 < sizeof text && strchr("+-.0123456789eE", r->at[length]))
        length++;
    memcpy(text, r->at, length);
    text[length] = '\0';
    char *end = text;
    value->number = strtod(text, &end);
    r->at += length;
    value->text = tn_arena_string(r->arena, text);
    return end != text && *end == '\0' && value->text;
}

static struct json *read_value(struct reader *r, int depth)
{
    struct json *value = depth < MOST_DEPTH ? tn_arena_take(r->arena, sizeof *value) : NULL;
    bool good = true;
    skip_space(r);
    if (!value || r->at == r->end)
        return NULL;
    if (take(r, '{') || take(r, '[')) {
        value->kind = r->at[-1] == '{' ? JSON_OBJECT : JSON_ARRAY;
        good = read_members(r, value, depth);
    } else if (take(r, '"')) {
        value->kind = JSON_TEXT;
        good = (value->text = read_text(r)) != NULL;
    } else if (take_word(r, "null")) {
        value->kind = JSON_NULL;
    } else if (take_word(r, "true")) {
        value->kind = JSON_TRUE;
    } else if (take_word(r, "false")) {
        value->kind = JSON_FALSE;
    } else {
        value->kind = JSON_NUMBER;
        good = read_number(r, value);
    }
    return good ? value : NULL;
}

const struct json *json_parse(struct tn_arena *arena, const char *text, size_t length)
{
    struct reader reader = {arena, text, text + length};
    const struct json *value = read_value(&reader, 0);
    skip_space(&reader);
    return reader.at == reader.end ? value : NULL;
}

const struct json *json_member(const struct json *object, const char *key)
{
    const struct json *member = object && object->kind == JSON_OBJECT ? object->first : NULL;
    while (member && strcmp(member->key, key) != 0)
        member = member->next;
    return member;
}

const struct json *json_element(const struct json *array, size_t index)
{
    const struct json *element = array && array->kind == JSON_ARRAY ? array->first : NULL;
    while (element && index--)
        element = element->next;
    return element;
}

const char *json_text(const struct json *value)
{
    return value && value->kind == JSON_TEXT ? value->text : NULL;
}
