/* plugin_check_tools.c: what all checks of plugins use: lines to the parent, instances, guarded memory; and the check
 * of option tables, which is the same for all kinds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/plugin.h"

enum { MOST_FAILURES = 6 }; /* lines for one group: the first ones tell what is wrong */

/* ---- lines ---- */

static void write_line(const struct tn_checker *checker, char mark, const char *format, va_list values)
{
    char line[700];
    size_t length;
    line[0] = mark;
    (void)vsnprintf(line + 1, sizeof line - 2, format, values);
    for (char *c = line + 1; *c; c++)
        if (*c == '\n')
            *c = ' ';
    length = strlen(line);
    line[length] = '\n';
    /* Nothing can be done about a parent that is gone. */
    (void)!write(checker->out, line, length + 1);
}

#define WRITE_LINE(mark_)                                                                                              \
    do {                                                                                                               \
        va_list values;                                                                                                \
        va_start(values, format);                                                                                      \
        write_line(checker, mark_, format, values);                                                                    \
        va_end(values);                                                                                                \
    } while (0)

void tn_check_step(struct tn_checker *checker, const char *format, ...)
{
    WRITE_LINE('?');
}

void tn_check_pass(struct tn_checker *checker, const char *format, ...)
{
    if (checker->failures == 0)
        WRITE_LINE('+');
}

void tn_check_fail(struct tn_checker *checker, const char *format, ...)
{
    if (checker->failures++ < MOST_FAILURES)
        WRITE_LINE('-');
}

void tn_check_remark(struct tn_checker *checker, const char *format, ...)
{
    WRITE_LINE('.');
}

/* ---- instances ---- */

/* Something that a required option may be. */
static void set_required(struct tn_config *config, struct tn_section *section, const struct tn_option *option)
{
    bool number = option->kind == TN_OPTION_INT || option->kind == TN_OPTION_FLOAT;
    double value = option->kind == TN_OPTION_SIZE ? 3 : 1;
    char text[64];
    if (!(option->flags & TN_OPTION_IS_REQUIRED) && !(number && isnan(option->default_number)))
        return;
    value = fmin(fmax(value, option->minimum), option->maximum);
    if (option->kind == TN_OPTION_STRING || option->kind == TN_OPTION_LIST)
        (void)snprintf(text, sizeof text, "%s", strstr(option->name, "activation") ? "relu" : "check");
    else
        (void)snprintf(text, sizeof text, "%.17g", value);
    (void)tn_section_set(config, section, option->name, text);
}

/* The values of the user, for the options that this type has. */
static void set_given(const struct tn_checker *checker, struct tn_config *config, struct tn_section *section)
{
    for (size_t i = 0; i < checker->value_count; i++) {
        size_t length = strcspn(checker->values[i], "=");
        for (const struct tn_option *option = checker->type->options; option && option->kind; option++)
            if (strlen(option->name) == length && strncmp(option->name, checker->values[i], length) == 0)
                (void)tn_section_set(config, section, option->name, checker->values[i] + length + 1);
    }
}

struct tn_instance *tn_check_open(struct tn_checker *checker, const char *key, const char *value, char *why,
                                  size_t why_size)
{
    struct tn_problems problems = {0};
    struct tn_config *config = NULL;
    struct tn_section *section = NULL;
    struct tn_instance *instance = NULL;
    if (tn_config_load_text("", 0, "check", NULL, 0, &config, &problems) == TN_OK)
        section = tn_config_add(config, tn_kind_name(checker->type->kind), "check");
    for (const struct tn_option *option = checker->type->options; section && option && option->kind; option++)
        set_required(config, section, option);
    if (section) {
        set_given(checker, config, section);
        if (key)
            (void)tn_section_set(config, section, key, value);
        (void)tn_instance_open(checker->registry, checker->type->kind, checker->type->name, section, NULL, &instance,
                               &problems);
    }
    (void)snprintf(why, why_size, "%s", problems.count ? problems.items[0].text : "out of memory");
    if (!instance && strstr(why, "did not say why"))
        tn_check_fail(checker, "open() fails without a text%s%s%s%s", key ? ": " : "", key ? key : "", key ? " = " : "",
                      key ? value : "");
    tn_problems_release(&problems);
    tn_config_close(&config);
    return instance;
}

struct tn_instance *tn_check_instance(struct tn_checker *checker)
{
    char why[512];
    struct tn_instance *instance;
    tn_check_step(checker, "open() with defaults");
    instance = tn_check_open(checker, NULL, NULL, why, sizeof why);
    if (!instance)
        tn_check_remark(checker, "not checked further, it cannot be opened with defaults (give OPTION=VALUE): %s", why);
    return instance;
}

bool tn_check_status(struct tn_checker *checker, const char *what, tn_status status, const struct tn_error *error)
{
    if (status != TN_OK && !error->text[0])
        tn_check_fail(checker, "%s fails without a text (tn_fail)", what);
    return status == TN_OK;
}

/* ---- options ---- */

struct option_run {
    struct tn_checker *checker;
    const struct tn_option *option;
    size_t tried, refused;
};

static void try_value(struct option_run *run, const char *value)
{
    char why[512];
    struct tn_instance *instance;
    tn_check_step(run->checker, "open() with %s = %s", run->option->name, value);
    instance = tn_check_open(run->checker, run->option->name, value, why, sizeof why);
    run->tried++;
    run->refused += !instance;
    tn_instance_close(&instance);
}

static void try_numbers(struct option_run *run)
{
    const double bounds[] = {run->option->minimum, run->option->maximum};
    for (size_t i = 0; i < 2; i++) {
        char text[64];
        if (!isfinite(bounds[i]))
            continue;
        (void)snprintf(text, sizeof text, "%.17g", bounds[i]);
        try_value(run, text);
    }
}

static void try_choices(struct option_run *run)
{
    const char *choice = run->option->choices;
    while (*choice) {
        char text[128];
        size_t length = strcspn(choice, "|");
        (void)snprintf(text, sizeof text, "%.*s", (int)length, choice);
        try_value(run, text);
        choice += length + (choice[length] == '|');
    }
}

static void try_option(struct option_run *run)
{
    switch (run->option->kind) {
    case TN_OPTION_BOOL:
        try_value(run, "yes");
        try_value(run, "no");
        break;
    case TN_OPTION_ENUM:
        try_choices(run);
        break;
    case TN_OPTION_STRING:
    case TN_OPTION_LIST:
        try_value(run, "");
        try_value(run, "%s%n%x{epoch}{");
        try_value(run, "a, b, \xc3\xa9\xe2\x82\xac, ../../..");
        break;
    case TN_OPTION_GONE:
        break;
    default:
        try_numbers(run);
        break;
    }
}

void tn_check_options(struct tn_checker *checker)
{
    struct option_run run = {.checker = checker};
    struct tn_instance *first = tn_check_instance(checker), *second;
    char why[512];
    if (first) {
        tn_check_step(checker, "two instances, closed in the order of their opening");
        second = tn_check_open(checker, NULL, NULL, why, sizeof why);
        tn_instance_close(&first);
        tn_instance_close(&second);
    }
    for (run.option = checker->type->options; run.option && run.option->kind; run.option++)
        try_option(&run);
    tn_check_pass(checker, "open() and close(): %zu settings at the bounds of options, %zu of them refused with a text",
                  run.tried, run.refused);
}

/* ---- guarded memory ---- */

#define GUARD_BYTE 0xA5u

struct guard { /* at the begin of the mapping */
    size_t mapped, bytes, offset;
};

static size_t page_size(void)
{
    long size = sysconf(_SC_PAGESIZE);
    return size > 0 ? (size_t)size : 4096;
}

static struct guard *guard_of(const void *memory)
{
    /* Data begin in the second page at the earliest, and one page holds all that is before them. */
    uintptr_t address;
    memcpy(&address, (const char *)memory - sizeof address, sizeof address);
    return (struct guard *)(void *)address;
}

/* [guard, fill][address][data][fill, less than `align`][page that cannot be touched] */
static void *guarded_new(uint64_t bytes, size_t align)
{
    size_t page = page_size(), data_pages, mapped, offset;
    char *base;
    if (bytes > (uint64_t)1 << 32)
        _exit(3);
    data_pages = ((size_t)bytes + align + page - 1) / page;
    mapped = (data_pages + 2) * page;
    base = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || mprotect(base + mapped - page, page, PROT_NONE) != 0)
        _exit(3);
    offset = (mapped - page - (size_t)bytes) / align * align;
    memset(base, (int)GUARD_BYTE, mapped - page);
    *(struct guard *)(void *)base = (struct guard){mapped, (size_t)bytes, offset};
    memcpy(base + offset - sizeof base, &base, sizeof base);
    return base + offset;
}

void *tn_guarded_bytes(uint64_t bytes)
{
    return guarded_new(bytes, 1);
}

float *tn_guarded_floats(uint64_t count)
{
    return guarded_new(count * sizeof(float), 16);
}

bool tn_guarded_intact(const void *memory)
{
    const struct guard *guard = guard_of(memory);
    const unsigned char *base = (const unsigned char *)guard;
    size_t begin = guard->offset + guard->bytes, end = guard->mapped - page_size();
    for (size_t i = sizeof *guard; i < guard->offset - sizeof base; i++)
        if (base[i] != GUARD_BYTE)
            return false;
    for (size_t i = begin; i < end; i++)
        if (base[i] != GUARD_BYTE)
            return false;
    return true;
}

void tn_guarded_free(void *memory)
{
    struct guard *guard = guard_of(memory);
    (void)munmap(guard, guard->mapped);
}

void tn_check_fill(struct tn_checker *checker, float *values, uint64_t count, double low, double high)
{
    for (uint64_t i = 0; i < count; i++)
        values[i] = (float)tn_random_uniform(&checker->random, low, high);
}

bool tn_check_finite(const float *values, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}
