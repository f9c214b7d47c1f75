/* table.c: rows of a CSV or TSV text, cut in place. Quoted fields hold separators, line ends and doubled quotes. */
#include <stdlib.h>
#include <string.h>

#include "manifest.h"

enum { MAXIMUM_FIELDS = 100000 };

static tn_status add_field(struct table *table, char *field, const char *path, struct tn_error *error)
{
    if (table->field_count == MAXIMUM_FIELDS)
        return tn_fail(error, TN_INVALID, "%s:%llu: more than %d columns", path, (unsigned long long)table->row_line,
                       (int)MAXIMUM_FIELDS);
    if (table->field_count == table->field_capacity) {
        uint32_t more = table->field_capacity ? table->field_capacity * 2 : 16;
        char **grown = realloc(table->fields, more * sizeof *grown);
        if (!grown)
            return tn_fail(error, TN_NO_MEMORY, "no memory for the columns of %s", path);
        table->fields = grown, table->field_capacity = more;
    }
    table->fields[table->field_count++] = field;
    return TN_OK;
}

/* Moves a quoted field's content to its beginning; `at` lies behind the first quote. Returns where it goes on behind
 * the last one, 0 = the quote is never closed. The end of the content is written to *end. */
static uint64_t unquote(struct table *table, uint64_t at, uint64_t *end)
{
    uint64_t to = at - 1;
    for (; at < table->bytes; at++) {
        char c = table->text[at];
        if (c == '"' && table->text[at + 1] != '"') { /* a 0 lies behind the text */
            *end = to;
            return at + 1;
        }
        at += c == '"';
        table->line += c == '\n';
        table->text[to++] = c;
    }
    return 0;
}

/* Reads one field and what ends it; *more tells whether the row goes on. */
static tn_status take_field(struct table *table, const char *path, int *more, struct tn_error *error)
{
    uint64_t begin = table->at, end = begin, at = begin;
    if (table->text[at] == '"') {
        uint64_t line = table->line;
        at = unquote(table, at + 1, &end);
        if (!at)
            return tn_fail(error, TN_INVALID, "%s:%llu: a quoted field is never closed", path,
                           (unsigned long long)line);
    } else {
        while (at < table->bytes && table->text[at] != table->separator && table->text[at] != '\n')
            at++;
        end = at;
    }
    if (at == end && at > begin && table->text[at - 1] == '\r' && table->text[at] != table->separator)
        end--;
    else if (table->text[at] == '\r' && (at + 1 == table->bytes || table->text[at + 1] == '\n'))
        at++;
    char stop = at < table->bytes ? table->text[at] : '\n';
    if (stop != table->separator && stop != '\n')
        return tn_fail(error, TN_INVALID, "%s:%llu: text behind a closing quote; quotes inside of a field are doubled",
                       path, (unsigned long long)table->line);
    table->text[end] = '\0';
    table->line += at < table->bytes && stop == '\n';
    table->at = at < table->bytes ? at + 1 : at;
    *more = stop == table->separator;
    return add_field(table, table->text + begin, path, error);
}

tn_status table_next(struct table *table, const char *path, struct tn_error *error)
{
    table->field_count = 0;
    while (table->at < table->bytes) {
        int more = 1;
        table->row_line = table->line;
        while (more) {
            tn_status status = take_field(table, path, &more, error);
            if (status != TN_OK)
                return status;
        }
        if (table->field_count > 1 || table->fields[0][0] != '\0')
            return TN_OK;
        table->field_count = 0; /* an empty line */
    }
    return TN_OK;
}

void table_release(struct table *table)
{
    free(table->fields);
    *table = (struct table){0};
}
