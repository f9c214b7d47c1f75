/* json.c: see json.h. RFC 8259, and nothing beside it. */
#include "common/json.h"

#include <string.h>

struct json json_begin(const void *text, size_t bytes)
{
    return (struct json){text, (const char *)text + bytes, NULL};
}

bool json_fault(struct json *json, const char *problem)
{
    if (!json->problem)
        json->problem = problem;
    json->at = json->end;
    return false;
}

char json_peek(struct json *json)
{
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\n' || *json->at == '\t' || *json->at == '\r'))
        json->at++;
    return json->at < json->end ? *json->at : '\0';
}

static bool take(struct json *json, char wanted)
{
    if (json->problem || json_peek(json) != wanted || json->at == json->end)
        return false;
    json->at++;
    return true;
}

bool json_enter(struct json *json, char bracket)
{
    return take(json, bracket) ||
           json_fault(json, bracket == '{' ? "no object where one has to be" : "no list where one has to be");
}

bool json_more(struct json *json, char bracket, bool *first)
{
    if (json->problem || take(json, bracket == '{' ? '}' : ']'))
        return false;
    if (!*first && !take(json, ','))
        return json_fault(json, "a comma or a closing bracket is missing");
    *first = false;
    return true;
}

/* ---- texts ---- */

/* Bytes of the character at `at`, as UTF-8 allows them; 0: it does not. */
static size_t character(const unsigned char *at, size_t left)
{
    size_t length = *at < 0x80 ? 1 : *at < 0xC2 ? 0 : *at < 0xE0 ? 2 : *at < 0xF0 ? 3 : *at < 0xF5 ? 4 : 0;
    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    if ((*at == 0xE0 && at[1] < 0xA0) || (*at == 0xED && at[1] > 0x9F) || (*at == 0xF0 && at[1] < 0x90) ||
        (*at == 0xF4 && at[1] > 0x8F))
        return 0;
    return length;
}

static bool hex4(struct json *json, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++, json->at++) {
        char c = json->at < json->end ? *json->at : '\0';
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
                                                : 16;
        if (digit == 16)
            return json_fault(json, "\\u without four hexadecimal digits");
        *value = *value << 4 | digit;
    }
    return true;
}

/* Behind "\u": one character, which may take two escapes. */
static size_t unicode(struct json *json, char out[4])
{
    uint32_t code, low;
    if (!hex4(json, &code))
        return 0;
    if (code >= 0xD800 && code < 0xDC00) {
        if (json->end - json->at < 2 || json->at[0] != '\\' || json->at[1] != 'u')
            return json_fault(json, "half of a character in a text");
        json->at += 2;
        if (!hex4(json, &low))
            return 0;
        if (low < 0xDC00 || low > 0xDFFF)
            return json_fault(json, "half of a character in a text");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code == 0 || (code >= 0xDC00 && code < 0xE000)) {
        return json_fault(json, code ? "half of a character in a text" : "a character 0 in a text");
    }
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = length; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(lead[length] | code);
    return length;
}

/* One character of a text into `out`; 0 after a fault. */
static size_t text_character(struct json *json, char out[4])
{
    static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const unsigned char *at = (const unsigned char *)json->at;
    size_t length;
    const char *escape;
    if (*at == '\\') {
        if (json->end - json->at < 2)
            return json_fault(json, "a text without an end");
        json->at += 2;
        if (at[1] == 'u')
            return unicode(json, out);
        escape = at[1] ? strchr(escapes, at[1]) : NULL;
        if (!escape)
            return json_fault(json, "an escape that JSON does not know");
        out[0] = meanings[escape - escapes];
        return 1;
    }
    length = *at < 0x20 ? 0 : character(at, (size_t)(json->end - json->at));
    if (length == 0)
        return json_fault(json, "a text that is not UTF-8");
    memcpy(out, at, length);
    json->at += length;
    return length;
}

bool json_text(struct json *json, char *text, size_t room, size_t *length)
{
    size_t used = 0;
    if (!take(json, '"'))
        return json_fault(json, "no text where one has to be");
    while (json->at < json->end && *json->at != '"') {
        char out[4];
        size_t bytes = text_character(json, out);
        if (bytes == 0)
            return false;
        if (text && used + bytes >= room)
            return json_fault(json, "a text that is too long");
        if (text)
            memcpy(text + used, out, bytes);
        used += bytes;
    }
    if (json->at == json->end)
        return json_fault(json, "a text without an end");
    json->at++;
    if (text)
        text[used] = '\0';
    if (length)
        *length = used;
    return true;
}

bool json_key(struct json *json, char *text, size_t room, size_t *length)
{
    return json_text(json, text, room, length) && (take(json, ':') || json_fault(json, "a colon is missing"));
}

/* ---- numbers, and what is not looked at ---- */

static bool is_digit(const struct json *json)
{
    return json->at < json->end && *json->at >= '0' && *json->at <= '9';
}

bool json_whole(struct json *json, uint64_t *value)
{
    const char *begin;
    *value = 0;
    (void)json_peek(json);
    begin = json->at;
    for (; !json->problem && is_digit(json); json->at++) {
        uint64_t digit = (uint64_t)(*json->at - '0');
        if (*value > (UINT64_MAX - digit) / 10)
            return json_fault(json, "a number that is too large");
        *value = *value * 10 + digit;
    }
    if (json->problem || json->at == begin || (*begin == '0' && json->at - begin > 1) ||
        (json->at < json->end && strchr(".eE", *json->at) && *json->at))
        return json_fault(json, "no whole number where one has to be");
    return true;
}

static bool skip_digits(struct json *json)
{
    if (!is_digit(json))
        return json_fault(json, "a number without digits");
    while (is_digit(json))
        json->at++;
    return true;
}

static bool skip_number(struct json *json)
{
    if (*json->at == '-')
        json->at++;
    if (json->at < json->end && *json->at == '0')
        json->at++;
    else if (!skip_digits(json))
        return false;
    if (json->at < json->end && *json->at == '.') {
        json->at++;
        if (!skip_digits(json))
            return false;
    }
    if (json->at < json->end && (*json->at == 'e' || *json->at == 'E')) {
        json->at++;
        if (json->at < json->end && (*json->at == '+' || *json->at == '-'))
            json->at++;
        return skip_digits(json);
    }
    return true;
}

/* Python writes NaN and Infinity, which no standard allows. */
static bool skip_word(struct json *json)
{
    static const char *const words[] = {"true", "false", "null", "NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(json->end - json->at) >= length && memcmp(json->at, words[i], length) == 0) {
            json->at += length;
            return true;
        }
    }
    if (*json->at == '-' || is_digit(json))
        return skip_number(json);
    return json_fault(json, "no value where one has to be");
}

bool json_skip(struct json *json)
{
    char open[JSON_DEEPEST];
    bool first[JSON_DEEPEST];
    int depth = 0;
    do {
        char next;
        if (depth > 0 && !json_more(json, open[depth - 1], &first[depth - 1])) {
            if (json->problem)
                return false;
            depth--;
            continue;
        }
        if (depth > 0 && open[depth - 1] == '{' && !json_key(json, NULL, 0, NULL))
            return false;
        next = json_peek(json);
        if (json->problem || next == '\0')
            return json_fault(json, "an end in the middle");
        if (next == '{' || next == '[') {
            if (depth == JSON_DEEPEST)
                return json_fault(json, "values that are nested too deeply");
            json->at++;
            open[depth] = next;
            first[depth++] = true;
        } else if (next == '"' ? !json_text(json, NULL, 0, NULL) : !skip_word(json)) {
            return false;
        }
    } while (depth > 0);
    return true;
}

bool json_finished(struct json *json)
{
    return !json->problem && json_peek(json) == '\0' && json->at == json->end;
}
