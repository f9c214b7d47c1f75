/* text.c: a text that grows, and numbers as people read them. */
#include "base/base.h"

#include <stdarg.h>
#include <stdlib.h>

static bool reserve(struct tn_text *text, size_t more)
{
    if (text->failed || more > SIZE_MAX - text->length - 1 ||
        tn_grow(&text->data, &text->capacity, text->length + more + 1, 1) != TN_OK) {
        text->failed = true;
        return false;
    }
    return true;
}

void tn_text_add_bytes(struct tn_text *text, const char *more, size_t length)
{
    if (!reserve(text, length))
        return;
    if (length)
        memcpy(text->data + text->length, more, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void tn_text_add(struct tn_text *text, const char *more)
{
    tn_text_add_bytes(text, more, strlen(more));
}

void tn_text_format(struct tn_text *text, const char *format, ...)
{
    va_list arguments;
    int length;
    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) {
        text->failed = true;
        return;
    }
    if (!reserve(text, (size_t)length))
        return;
    va_start(arguments, format);
    (void)vsnprintf(text->data + text->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->length += (size_t)length;
}

/* Bytes of the UTF-8 character at `c` (not ASCII), or 0 when it is none: file names may be anything. */
static size_t utf8_length(const unsigned char *c)
{
    size_t length = *c >= 0xF0 ? 4 : *c >= 0xE0 ? 3 : 2;
    if (*c < 0xC2 || *c > 0xF4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((c[i] & 0xC0) != 0x80)
            return 0;
    /* Too long a form, a surrogate, beyond the last code point. */
    if ((*c == 0xE0 && c[1] < 0xA0) || (*c == 0xED && c[1] >= 0xA0) || (*c == 0xF0 && c[1] < 0x90) ||
        (*c == 0xF4 && c[1] >= 0x90))
        return 0;
    return length;
}

void tn_text_json(struct tn_text *text, const char *more)
{
    tn_text_add(text, "\"");
    for (const unsigned char *c = (const unsigned char *)more; *c; c++) {
        size_t wide = *c >= 0x80 ? utf8_length(c) : 0;
        if (wide) {
            tn_text_add_bytes(text, (const char *)c, wide);
            c += wide - 1;
            continue;
        }
        if (*c >= 0x80) {
            tn_text_add(text, "\\ufffd");
            continue;
        }
        if (*c == '"' || *c == '\\')
            tn_text_format(text, "\\%c", *c);
        else if (*c == '\n')
            tn_text_add(text, "\\n");
        else if (*c == '\t')
            tn_text_add(text, "\\t");
        else if (*c < 0x20)
            tn_text_format(text, "\\u%04x", *c);
        else
            tn_text_add_bytes(text, (const char *)c, 1);
    }
    tn_text_add(text, "\"");
}

void tn_text_release(struct tn_text *text)
{
    free(text->data);
    *text = (struct tn_text){0};
}

char *tn_say_bytes(char *buffer, size_t size, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000.0 && unit + 1 < TN_COUNT_OF(units)) {
        value /= 1024.0;
        unit++;
    }
    (void)snprintf(buffer, size, unit == 0 || value >= 99.95 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return buffer;
}

char *tn_say_count(char *buffer, size_t size, uint64_t count)
{
    char digits[24], grouped[32];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    size_t used = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            grouped[used++] = ',';
        grouped[used++] = digits[i];
    }
    grouped[used] = '\0';
    (void)snprintf(buffer, size, "%s", grouped);
    return buffer;
}

char *tn_say_seconds(char *buffer, size_t size, double seconds)
{
    unsigned long long whole;
    if (!(seconds >= 0.0) || seconds > 1e12)
        seconds = 0.0;
    whole = (unsigned long long)(seconds + 0.5);
    if (seconds < 9.95)
        (void)snprintf(buffer, size, "%.1f s", seconds);
    else if (whole < 60)
        (void)snprintf(buffer, size, "%llu s", whole);
    else if (whole < 3600)
        (void)snprintf(buffer, size, "%llu min %llu s", whole / 60, whole % 60);
    else
        (void)snprintf(buffer, size, "%llu h %llu min", whole / 3600, whole % 3600 / 60);
    return buffer;
}
