/* value.c: typed values: numbers, quotients, sizes, bytes, durations, lists. Independent of the locale's decimal comma.
 */
#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <strings.h>

#include "config/internal.h"

const char *tn_option_kind_name(uint32_t kind)
{
    static const char *const names[] = {"",         "whole number", "number",         "yes/no",
                                        "text",     "one of",       "height x width", "bytes",
                                        "duration", "list",         "numbers",        "removed"};
    return kind < TN_COUNT_OF(names) ? names[kind] : "?";
}

/* strtod in the C locale, for decimal numbers only: no hexadecimal ones, no "inf", no "nan". Without a number `*end` is
 * `text`. */
static double number_at(const char *text, char **end)
{
    locale_t plain;
    double value;
    const char *digits = text;
    while (isspace((unsigned char)*digits))
        digits++;
    digits += *digits == '+' || *digits == '-';
    if ((!isdigit((unsigned char)*digits) && *digits != '.') || (digits[0] == '0' && tolower(digits[1]) == 'x')) {
        *end = (char *)text;
        return 0.0;
    }
    plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0)
        return strtod(text, end);
    value = strtod_l(text, end, plain);
    freelocale(plain);
    return value;
}

/* A number, or a quotient of two. */
static tn_status parse_number(const char *text, double *value, struct tn_error *error)
{
    char *end;
    *value = number_at(text, &end);
    while (end != text && isspace((unsigned char)*end))
        end++;
    if (end != text && *end == '/') {
        char *last;
        double divisor = number_at(end + 1, &last);
        if (last != end + 1 && *last == '\0' && divisor != 0.0) {
            *value /= divisor;
            end = last;
        }
    }
    if (end == text || *end != '\0' || !isfinite(*value))
        return tn_fail(error, TN_INVALID, "`%s` is not a number (a quotient such as 1/255 is fine)", text);
    return TN_OK;
}

static tn_status in_range(const struct tn_option *option, double value, struct tn_error *error)
{
    if (value >= option->minimum && value <= option->maximum)
        return TN_OK;
    if (isinf(option->maximum))
        return tn_fail(error, TN_INVALID, "%.15g is too small: at least %.15g", value, option->minimum);
    if (isinf(option->minimum))
        return tn_fail(error, TN_INVALID, "%.15g is too large: at most %.15g", value, option->maximum);
    return tn_fail(error, TN_INVALID, "%.15g is outside %.15g..%.15g", value, option->minimum, option->maximum);
}

static tn_status parse_whole(const struct tn_option *option, const char *text, int64_t *value, struct tn_error *error)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno == ERANGE)
        return tn_fail(error, TN_INVALID, "`%s` is not a whole number", text);
    return in_range(option, (double)*value, error);
}

static tn_status parse_bool(const char *text, int32_t *value, struct tn_error *error)
{
    static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false", "off", "0"};
    for (size_t i = 0; i < TN_COUNT_OF(yes); i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *value = strcasecmp(text, yes[i]) == 0;
            return TN_OK;
        }
    }
    return tn_fail(error, TN_INVALID, "`%s` is not yes or no", text);
}

static tn_status parse_choice(const struct tn_option *option, const char *text, int32_t *value, struct tn_error *error)
{
    char copy[1024], *rest, *name;
    const char *names[64], *near;
    int32_t count = 0;
    (void)snprintf(copy, sizeof copy, "%s", option->choices ? option->choices : "");
    for (name = strtok_r(copy, "|", &rest); name && count + 1 < (int32_t)TN_COUNT_OF(names);
         name = strtok_r(NULL, "|", &rest)) {
        if (strcmp(name, text) == 0) {
            *value = count;
            return TN_OK;
        }
        names[count++] = name;
    }
    names[count] = NULL;
    near = tn_nearest(text, names);
    return tn_fail(error, TN_INVALID, near ? "`%s` is not one of %s; did you mean `%s`?" : "`%s` is not one of %s",
                   text, option->choices, near);
}

static tn_status parse_size(const struct tn_option *option, const char *text, struct tn_size *size,
                            struct tn_error *error)
{
    char *end;
    long height = strtol(text, &end, 10), width = height;
    if (end == text)
        return tn_fail(error, TN_INVALID, "`%s` is not a size such as 3 or 150x150 (height x width)", text);
    while (isspace((unsigned char)*end))
        end++;
    if (*end == 'x' || *end == 'X' || *end == ',') {
        const char *second = end + 1;
        width = strtol(second, &end, 10);
        if (end == second)
            end = (char *)"?";
    }
    if (*end != '\0' || height > INT32_MAX || width > INT32_MAX || height < INT32_MIN || width < INT32_MIN)
        return tn_fail(error, TN_INVALID, "`%s` is not a size such as 3 or 150x150 (height x width)", text);
    if (in_range(option, (double)height, error) != TN_OK || in_range(option, (double)width, error) != TN_OK)
        return TN_INVALID;
    *size = (struct tn_size){(int32_t)height, (int32_t)width};
    return TN_OK;
}

static tn_status parse_bytes(const struct tn_option *option, const char *text, uint64_t *bytes, struct tn_error *error)
{
    static const char letters[] = "kmgtp";
    char *end;
    double value = number_at(text, &end);
    const char *unit;
    if (end == text || !isfinite(value) || value < 0)
        return tn_fail(error, TN_INVALID, "`%s` is not a number of bytes such as 512M or 2GiB", text);
    while (isspace((unsigned char)*end))
        end++;
    unit = *end ? strchr(letters, tolower((unsigned char)*end)) : NULL;
    if (unit) {
        double base = end[1] && tolower((unsigned char)end[1]) == 'b' ? 1000.0 : 1024.0;
        for (const char *u = letters; u <= unit; u++)
            value *= base;
        end++;
        if (tolower((unsigned char)*end) == 'i')
            end++;
    }
    if (tolower((unsigned char)*end) == 'b')
        end++;
    if (*end != '\0' || value > 9.2e18)
        return tn_fail(error, TN_INVALID, "`%s` is not a number of bytes such as 512M or 2GiB", text);
    if (in_range(option, value, error) != TN_OK)
        return TN_INVALID;
    *bytes = (uint64_t)value;
    return TN_OK;
}

static tn_status parse_duration(const struct tn_option *option, const char *text, double *seconds,
                                struct tn_error *error)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ms", 1e-3}, {"seconds", 1},  {"sec", 1},  {"s", 1},        {"minutes", 60}, {"min", 60},
                 {"m", 60},    {"hours", 3600}, {"h", 3600}, {"days", 86400}, {"d", 86400}};
    const char *at = text;
    *seconds = 0;
    do {
        char *end;
        double value = number_at(at, &end), factor = 1;
        size_t length = 0;
        if (end == at || !isfinite(value) || value < 0)
            return tn_fail(error, TN_INVALID, "`%s` is not a duration such as 90s, 10m or 11h30m", text);
        while (isspace((unsigned char)*end))
            end++;
        while (isalpha((unsigned char)end[length]))
            length++;
        if (length) {
            size_t i;
            for (i = 0; i < TN_COUNT_OF(units); i++)
                if (strlen(units[i].name) == length && strncmp(units[i].name, end, length) == 0)
                    break;
            if (i == TN_COUNT_OF(units))
                return tn_fail(error, TN_INVALID, "`%s` is not a duration such as 90s, 10m or 11h30m", text);
            factor = units[i].seconds;
        } else if (at != text || *end) {
            return tn_fail(error, TN_INVALID, "`%s` is not a duration such as 90s, 10m or 11h30m", text);
        }
        *seconds += value * factor;
        at = end + length;
        while (isspace((unsigned char)*at))
            at++;
    } while (*at);
    return in_range(option, *seconds, error);
}

/* Cuts a comma list into trimmed texts; "" has none. */
static tn_status parse_list(const char *text, struct tn_list *list, struct tn_arena *arena, struct tn_error *error)
{
    size_t count = 1, used = 0;
    const char **items;
    for (const char *c = text; *c; c++)
        count += *c == ',';
    items = tn_arena_take(arena, count * sizeof *items);
    if (!items)
        return tn_fail(error, TN_NO_MEMORY, "out of memory");
    while (*text) {
        size_t length = strcspn(text, ",");
        const char *begin = text, *end = text + length;
        while (begin < end && isspace((unsigned char)*begin))
            begin++;
        while (end > begin && isspace((unsigned char)end[-1]))
            end--;
        if (begin == end)
            return tn_fail(error, TN_INVALID, "an empty item in the list");
        items[used] = tn_arena_text(arena, begin, (size_t)(end - begin));
        if (!items[used++])
            return tn_fail(error, TN_NO_MEMORY, "out of memory");
        text += length + (text[length] == ',');
    }
    *list = (struct tn_list){items, (uint32_t)used};
    return TN_OK;
}

static tn_status parse_numbers(const struct tn_option *option, const char *text, struct tn_numbers *numbers,
                               struct tn_arena *arena, struct tn_error *error)
{
    struct tn_list list;
    double *items;
    tn_status status = parse_list(text, &list, arena, error);
    if (status != TN_OK)
        return status;
    items = tn_arena_take(arena, (list.count + 1) * sizeof *items);
    if (!items)
        return tn_fail(error, TN_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i < list.count; i++)
        if (parse_number(list.items[i], &items[i], error) != TN_OK || in_range(option, items[i], error) != TN_OK)
            return TN_INVALID;
    *numbers = (struct tn_numbers){items, list.count};
    return TN_OK;
}

bool tn_option_has_word(const struct tn_option *option, const char *text)
{
    size_t length = strlen(text);
    for (const char *word = option->choices; word && length > 0; word = strchr(word, '|')) {
        word += *word == '|';
        if (strncmp(word, text, length) == 0 && (word[length] == '|' || word[length] == '\0'))
            return true;
    }
    return false;
}

static tn_status parse_text(const struct tn_option *option, const char *text, const char *base_file, const char **value,
                            struct tn_arena *arena, struct tn_error *error)
{
    if ((option->flags & TN_OPTION_IS_REQUIRED) && !*text)
        return tn_fail(error, TN_INVALID, "is empty");
    bool is_path = (option->flags & TN_OPTION_IS_PATH) && !tn_option_has_word(option, text);
    if (is_path && base_file && *text && strcmp(base_file, TN__COMMAND_LINE) != 0)
        *value = tn_path_beside(arena, base_file, text);
    else
        *value = tn_arena_string(arena, text);
    return *value ? TN_OK : tn_fail(error, TN_NO_MEMORY, "out of memory");
}

tn_status tn_option_parse(const struct tn_option *option, const char *text, const char *base_file, void *field,
                          struct tn_arena *arena, struct tn_error *error)
{
    struct tn_error own;
    if (!error)
        error = &own;
    switch (option->kind) {
    case TN_OPTION_INT:
        return parse_whole(option, text, field, error);
    case TN_OPTION_FLOAT:
        if (parse_number(text, field, error) != TN_OK)
            return TN_INVALID;
        return in_range(option, *(double *)field, error);
    case TN_OPTION_BOOL:
        return parse_bool(text, field, error);
    case TN_OPTION_STRING:
        return parse_text(option, text, base_file, field, arena, error);
    case TN_OPTION_ENUM:
        return parse_choice(option, text, field, error);
    case TN_OPTION_SIZE:
        return parse_size(option, text, field, error);
    case TN_OPTION_BYTES:
        return parse_bytes(option, text, field, error);
    case TN_OPTION_DURATION:
        return parse_duration(option, text, field, error);
    case TN_OPTION_LIST:
        return parse_list(text, field, arena, error);
    case TN_OPTION_NUMBERS:
        return parse_numbers(option, text, field, arena, error);
    default:
        return tn_fail(error, TN_INVALID, "an option of an unknown kind");
    }
}

char *tn_option_default_text(const struct tn_option *option, struct tn_arena *arena)
{
    char copy[1024], *rest, *name;
    switch (option->kind) {
    case TN_OPTION_INT:
    case TN_OPTION_FLOAT:
        return isnan(option->default_number) ? tn_arena_string(arena, "")
                                             : tn_arena_format(arena, "%.10g", option->default_number);
    case TN_OPTION_BOOL:
        if (isnan(option->default_number))
            return tn_arena_string(arena, "");
        return tn_arena_string(arena, option->default_number != 0 ? "yes" : "no");
    case TN_OPTION_ENUM:
        (void)snprintf(copy, sizeof copy, "%s", option->choices ? option->choices : "");
        name = strtok_r(copy, "|", &rest);
        if (isnan(option->default_number))
            name = NULL;
        for (int i = 0; name && i < option->default_number; i++)
            name = strtok_r(NULL, "|", &rest);
        return tn_arena_string(arena, name ? name : "");
    default:
        return tn_arena_string(arena, option->default_text ? option->default_text : "");
    }
}
