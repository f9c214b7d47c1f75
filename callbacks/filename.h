/* filename.h: file names with placeholders, "model_{epoch:02d}-{val_loss:.2f}.h5", filled as Python's str.format does.
 * Private to this folder.
 *
 * Understood: {name}, {name:SPEC}, {{ and }}; SPEC = [sign + or space][0][width][.precision][type], with type d (whole
 * numbers) or one of e E f F g G %; a precision needs a type. All else is an error that names the placeholder.
 */
#ifndef TENON_CALLBACKS_FILENAME_H
#define TENON_CALLBACKS_FILENAME_H

#include "monitor.h"
#include "number.h"

struct filename_spec {
    char sign;                      /* 0, '+' or ' ' */
    int32_t zero, width, precision; /* precision -1: not given */
    char type;                      /* 0: not given */
};

struct filename_value {
    int32_t whole; /* 1: `number` is a count */
    double number;
};

/* Reads digits; a value beyond 99 is refused, since a name with it would not fit anyway. Returns -1 then. */
TN_UNUSED static int32_t filename_digits(const char **text)
{
    int32_t value = 0;
    while (**text >= '0' && **text <= '9') {
        value = value * 10 + (*(*text)++ - '0');
        if (value > 99)
            return -1;
    }
    return value;
}

/* 0 when the text is not a specification that we know. */
TN_UNUSED static int32_t filename_parse(const char *text, struct filename_spec *spec)
{
    *spec = (struct filename_spec){.precision = -1};
    if (*text == '+' || *text == ' ' || *text == '-') {
        spec->sign = *text == '-' ? 0 : *text;
        text++;
    }
    if (*text == '0') {
        spec->zero = 1;
        text++;
    }
    spec->width = filename_digits(&text);
    if (*text == '.') {
        text++;
        if (*text < '0' || *text > '9')
            return 0;
        spec->precision = filename_digits(&text);
        if (spec->precision < 0)
            return 0;
    }
    if (*text && strchr("deEfFgG%", *text))
        spec->type = *text++;
    return spec->width >= 0 && *text == '\0' && (spec->precision < 0 || spec->type != 0);
}

/* Writes a value by a specification; 0 when Python would refuse it (`d` for a number with a fraction). 512 bytes are
 * enough: a double in %f has 309 digits before the point and 99 at most behind it. */
TN_UNUSED static int32_t filename_number(const struct filename_spec *spec, const struct filename_value *value,
                                         char text[512])
{
    char body[480] = "", format[16];
    const char sign[2] = {spec->sign, '\0'};
    double number = spec->type == '%' ? value->number * 100 : value->number;
    size_t pad, lead;
    if (spec->type == 'd' ? !value->whole || spec->precision >= 0 : 0)
        return 0;
    if (spec->type == 'd' || (spec->type == 0 && value->whole)) {
        (void)snprintf(body, sizeof body, "%s%.0f", number >= 0 ? sign : "", number);
    } else if (spec->type == 0) {
        char plain[32];
        number_repr(plain, number);
        (void)snprintf(body, sizeof body, "%s%s", plain[0] == '-' ? "" : sign, plain);
    } else {
        char type = spec->type;
        (void)snprintf(format, sizeof format, "%%%s.*%c%s", sign, type == '%' ? 'f' : type, type == '%' ? "%%" : "");
        (void)snprintf(body, sizeof body, format, spec->precision < 0 ? 6 : spec->precision, number);
    }
    lead = spec->zero && strchr("+- ", body[0]) != NULL; /* zeros go between sign and digits */
    pad = (size_t)spec->width > strlen(body) ? (size_t)spec->width - strlen(body) : 0;
    memcpy(text, body, lead);
    memset(text + lead, spec->zero ? '0' : ' ', pad);
    memcpy(text + lead + pad, body + lead, strlen(body) - lead + 1);
    return 1;
}

/* Looks a placeholder's name up: epoch and batch count from 1 in names; batch exists only when saving by batches. */
TN_UNUSED static int32_t filename_value(const struct tn_run *run, const char *name, int32_t by_batch,
                                        struct filename_value *value)
{
    const struct tn_log_value *log = monitor_find(run, name);
    if (strcmp(name, "epoch") == 0)
        *value = (struct filename_value){1, (double)run->epoch + 1};
    else if (by_batch && strcmp(name, "batch") == 0)
        *value = (struct filename_value){1, (double)run->batch + 1};
    else if (log && !(by_batch && strncmp(name, "val_", 4) == 0)) /* known only at the end of an epoch */
        *value = (struct filename_value){0, log->value};
    else
        return 0;
    return 1;
}

/* What stands between the braces -> text; `inside` is changed. */
TN_UNUSED static tn_status filename_placeholder(const char *path, char *inside, const struct tn_run *run,
                                                int32_t by_batch, char piece[512], struct tn_error *error)
{
    struct filename_spec spec = {.precision = -1};
    struct filename_value value;
    char known[512];
    char *colon = strchr(inside, ':');
    if (colon)
        *colon = '\0';
    if (colon && !filename_parse(colon + 1, &spec))
        return tn_fail(error, TN_INVALID,
                       "path = %s: {%s:%s} is not a format that is known (examples: {epoch:02d}, {val_loss:.2f})", path,
                       inside, colon + 1);
    if (!filename_value(run, inside, by_batch, &value)) {
        monitor_list(run, known, sizeof known);
        return tn_fail(error, TN_INVALID,
                       "Failed to format this callback filepath: \"%s\". Reason: '%s' is not there; there are: epoch, "
                       "%s%s",
                       path, inside, by_batch ? "batch, " : "", known);
    }
    if (!filename_number(&spec, &value, piece))
        return tn_fail(error, TN_INVALID, "path = %s: {%s:%s}: d is for whole numbers without a precision", path,
                       inside, colon + 1);
    return TN_OK;
}

/* Fills `text` from the template `path`. */
TN_UNUSED static tn_status filename_fill(const char *path, const struct tn_run *run, int32_t by_batch, char *text,
                                         size_t bytes, struct tn_error *error)
{
    size_t used = 0;
    for (const char *at = path; *at;) {
        char inside[128], piece[512] = {0};
        size_t length;
        if (*at != '{' && *at != '}') {
            piece[0] = *at++;
        } else if (at[0] == at[1]) {
            piece[0] = *at;
            at += 2;
        } else {
            tn_status status;
            length = strcspn(at + 1, "{}");
            if (*at == '}' || at[1 + length] != '}' || length >= sizeof inside)
                return tn_fail(error, TN_INVALID, "path = %s: a brace without its partner ({{ stands for a plain one)",
                               path);
            memcpy(inside, at + 1, length);
            inside[length] = '\0';
            at += length + 2;
            status = filename_placeholder(path, inside, run, by_batch, piece, error);
            if (status != TN_OK)
                return status;
        }
        length = strlen(piece);
        if (length >= bytes - used)
            return tn_fail(error, TN_INVALID, "path = %s: the name becomes too long", path);
        memcpy(text + used, piece, length + 1);
        used += length;
    }
    return used ? TN_OK : tn_fail(error, TN_INVALID, "path is empty");
}

#endif
