/* table.c: columns of text, as wide as their widest cell. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define MOST_COLUMNS 12

void tn_table_cell(struct tn_table *table, const char *text)
{
    tn_text_add_bytes(&table->cells, text, strlen(text) + 1);
    table->cell_count++;
}

void tn_table_format(struct tn_table *table, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    tn_table_cell(table, text);
}

static int column_of(const struct tn_table *table, size_t cell)
{
    return (int)(cell % (size_t)table->columns);
}

static void measure(const struct tn_table *table, int *widths)
{
    const char *cell = table->cells.data;
    for (size_t i = 0; i < table->cell_count; i++, cell += strlen(cell) + 1) {
        int *width = &widths[column_of(table, i)];
        if ((int)strlen(cell) > *width)
            *width = (int)strlen(cell);
    }
}

static void print_rule(const struct tn_table *table, const int *widths)
{
    int total = 0;
    for (int i = 0; i < table->columns; i++)
        total += widths[i] + (i ? 2 : 0);
    while (total-- > 0)
        putchar('-');
    putchar('\n');
}

void tn_table_print(struct tn_table *table, size_t rule_after)
{
    int widths[MOST_COLUMNS] = {0};
    const char *cell = table->cells.data;
    if (table->cells.failed || table->columns < 1 || table->columns > MOST_COLUMNS) {
        fputs("(no memory for this table)\n", stderr);
        tn_text_release(&table->cells);
        return;
    }
    measure(table, widths);
    for (size_t i = 0; i < table->cell_count; i++, cell += strlen(cell) + 1) {
        int column = column_of(table, i);
        bool last = column == table->columns - 1;
        if (column && !(last && *cell == '\0' && table->alignment[column] == 'l')) /* no blanks at the end */
            fputs("  ", stdout);
        if (table->alignment[column] == 'r')
            printf("%*s", widths[column], cell);
        else
            printf("%-*s", last ? 0 : widths[column], cell);
        if (last) {
            putchar('\n');
            if (rule_after && (i + 1) / (size_t)table->columns == rule_after)
                print_rule(table, widths);
        }
    }
    tn_text_release(&table->cells);
    table->cell_count = 0;
}
