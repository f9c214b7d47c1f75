/* problems.c: the list of everything that is wrong with an experiment, so that one run shows all of it. */
#include "config/config.h"

#include <stdarg.h>
#include <stdlib.h>

void tn_problem_add(struct tn_problems *problems, const char *file, uint32_t line, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    struct tn_problem *problem;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (tn_grow(&problems->items, &problems->capacity, problems->count + 1, sizeof *problems->items) != TN_OK) {
        problems->failed = true;
        return;
    }
    problem = &problems->items[problems->count++];
    problem->file = file ? tn_arena_string(&problems->arena, file) : NULL;
    problem->line = line;
    problem->text = tn_arena_string(&problems->arena, text);
    if (!problem->text) {
        problem->text = "out of memory";
        problems->failed = true;
    }
}

void tn_problems_release(struct tn_problems *problems)
{
    free(problems->items);
    tn_arena_release(&problems->arena);
    *problems = (struct tn_problems){0};
}
