/* broken.c: plugins that have to be refused, and odd ones that must not be, one for each CASE that CMake defines. Built
 * into lib/tenon/test-plugins. */
#include <stdlib.h>

#include "tenon/plugin.h"

#define CASE_WRONG_MAGIC     1
#define CASE_WRONG_MAJOR     2
#define CASE_NEWER_NEED      3
#define CASE_NO_SYMBOL       4
#define CASE_MISSING_LIBRARY 5
#define CASE_UNDEFINED       6
#define CASE_TINY_TYPE       7
#define CASE_HUGE_TYPE       8
#define CASE_NEWER_MEMBER    9
#define CASE_NEWER_ZEROS     10
#define CASE_OLDER_TYPE      11
#define CASE_ENDLESS_OPTIONS 12
#define CASE_OUTSIDE_OPTION  13
#define CASE_CROOKED_OPTION  14
#define CASE_UNKNOWN_OPTION  15
#define CASE_NO_CHOICES      16
#define CASE_UNKNOWN_KIND    17
#define CASE_NO_FUNCTION     18
#define CASE_NO_NAME         19
#define CASE_NO_TYPES        20
#define CASE_TYPE_TWICE      21
#define CASE_SEVERAL         22
#define CASE_CRASHING        23
#define CASE_TINY_MANIFEST   24
#define CASE_REFUSING        25
#define CASE_OLDER_GOOD      26

struct instance {
    int64_t number;
    const char *text;
    int32_t choice;
};

#if CASE == CASE_ENDLESS_OPTIONS
#define ROW     TN_INT(struct instance, number, 1, 0, 9, "one of too many")
#define ROWS_8  ROW, ROW, ROW, ROW, ROW, ROW, ROW, ROW
#define ROWS_64 ROWS_8, ROWS_8, ROWS_8, ROWS_8, ROWS_8, ROWS_8, ROWS_8, ROWS_8
static const struct tn_option options[] = {ROWS_64, ROWS_64, ROWS_64, ROWS_64, ROWS_64};
#elif CASE == CASE_OUTSIDE_OPTION
static const struct tn_option options[] = {
    {TN_OPTION_INT, 0, "number", sizeof(struct instance) - 4, 1, 0, 9, NULL, NULL, "reaches beyond the struct"},
    TN_END};
#elif CASE == CASE_CROOKED_OPTION
static const struct tn_option options[] = {{TN_OPTION_INT, 0, "number", 4, 1, 0, 9, NULL, NULL, "not aligned"}, TN_END};
#elif CASE == CASE_UNKNOWN_OPTION
static const struct tn_option options[] = {{77, 0, "number", 0, 1, 0, 9, NULL, NULL, "of a kind to come"}, TN_END};
#elif CASE == CASE_NO_CHOICES
static const struct tn_option options[] = {TN_ENUM(struct instance, choice, 2, "left|right", "points behind the last"),
                                           TN_END};
#else
static const struct tn_option options[] = {
    TN_INT(struct instance, number, 3, 0, 9, "a number"),
    TN_STRING(struct instance, text, "abc", "a text"),
    TN_ENUM(struct instance, choice, 1, "left|right", "a choice"),
    TN_END,
};
#endif

#if CASE == CASE_MISSING_LIBRARY
int tenon_test_gone(void);
#elif CASE == CASE_UNDEFINED
int tenon_test_defined_nowhere(void);
#endif

TN_UNUSED static double rate(const void *self, const struct tn_schedule_point *point)
{
    (void)self;
#if CASE == CASE_MISSING_LIBRARY
    return point->initial + tenon_test_gone();
#elif CASE == CASE_UNDEFINED
    return point->initial + tenon_test_defined_nowhere();
#else
    return point->initial;
#endif
}

#if CASE == CASE_REFUSING
static tn_status refuse(void *self, const struct tn_host *host, struct tn_error *error)
{
    const struct instance *instance = self;
    (void)host;
    return tn_fail(error, TN_INVALID, "number: %d is not to our taste", (int)instance->number);
}
#define OPEN refuse
#else
#define OPEN NULL
#endif

#if CASE == CASE_NO_NAME
#define NAME NULL
#elif CASE == CASE_SEVERAL
#define NAME "several_one" /* a file that is called after none of its types */
#else
#define NAME TN_TEST_NAME /* the file's: CMake defines it */
#endif

static const struct tn_schedule schedule = {
    TN_TYPE_WITH(TN_SCHEDULE, NAME, struct instance, options, "a plugin of the tests", 0, OPEN, NULL),
#if CASE != CASE_NO_FUNCTION
    .rate = rate,
#endif
};

/* A type from a plugin that was built with longer, shorter or strange structs. */
struct longer {
    struct tn_schedule schedule;
    uint64_t more[4];
};
TN_UNUSED static struct longer strange(uint32_t size, uint32_t kind, uint64_t more)
{
    struct longer type = {schedule, {0, 0, more, 0}};
    type.schedule.type.size = size;
    type.schedule.type.kind = kind;
    return type;
}

#if CASE == CASE_NO_SYMBOL
TN_EXPORT const int tenon_test_something_else;
const int tenon_test_something_else = sizeof schedule;
#elif CASE == CASE_WRONG_MAGIC || CASE == CASE_WRONG_MAJOR || CASE == CASE_NEWER_NEED || CASE == CASE_NO_TYPES ||      \
    CASE == CASE_TINY_MANIFEST
static const struct tn_type *const types[] = {&schedule.type};
TN_EXPORT const struct tn_manifest tn_plugin_manifest;
const struct tn_manifest tn_plugin_manifest = {
    .magic = CASE == CASE_WRONG_MAGIC ? 0x12345678u : TN_ABI_MAGIC,
    .abi_major = CASE == CASE_WRONG_MAJOR ? TN_ABI_MAJOR + 6 : TN_ABI_MAJOR,
    .abi_need = CASE == CASE_NEWER_NEED ? TN_ABI_MINOR + 9 : 0,
    .size = CASE == CASE_TINY_MANIFEST ? 20 : sizeof(struct tn_manifest),
    .type_count = CASE == CASE_NO_TYPES ? 0 : 1,
    .types = types,
    .name = "test",
    .version = "1",
    .licence = "MIT",
};
#elif CASE == CASE_TINY_TYPE || CASE == CASE_HUGE_TYPE || CASE == CASE_NEWER_MEMBER || CASE == CASE_NEWER_ZEROS ||     \
    CASE == CASE_OLDER_TYPE || CASE == CASE_UNKNOWN_KIND
static struct longer odd;
/* Made before the manifest is read, since a constant cannot change one member of another. */
__attribute__((constructor)) static void make(void)
{
    uint32_t size = CASE == CASE_TINY_TYPE                                  ? 8
                    : CASE == CASE_HUGE_TYPE                                ? 1u << 20
                    : CASE == CASE_NEWER_MEMBER || CASE == CASE_NEWER_ZEROS ? sizeof(struct longer)
                    : CASE == CASE_OLDER_TYPE                               ? sizeof(struct tn_type)
                                                                            : sizeof(struct tn_schedule);
    odd = strange(size, CASE == CASE_UNKNOWN_KIND ? 99 : TN_SCHEDULE, CASE == CASE_NEWER_MEMBER);
}
TN_PLUGIN("test", "1", "MIT", &odd.schedule.type);
#elif CASE == CASE_OLDER_GOOD
/* Built when struct tn_augment ended with apply(): what follows it in this file is nobody's member. */
static tn_status apply(const void *self, struct tn_image *image, struct tn_random *random, struct tn_error *error)
{
    (void)self, (void)image, (void)random, (void)error;
    return TN_OK;
}
static const struct older {
    struct tn_type type;
    void (*affine)(void);
    tn_status (*apply)(const void *, struct tn_image *, struct tn_random *, struct tn_error *);
    const char *not_a_member;
} older = {
    {offsetof(struct older, not_a_member), TN_AUGMENT, NAME, "from the past", sizeof(struct instance), options, 0, 0,
     NULL, NULL},
    NULL,
    apply,
    "must not be read",
};
TN_PLUGIN("test", "1", "MIT", &older.type);
#elif CASE == CASE_TYPE_TWICE
TN_PLUGIN("test", "1", "MIT", &schedule.type, &schedule.type);
#elif CASE == CASE_SEVERAL
static double value(const void *self, const void *state)
{
    (void)self, (void)state;
    return 0;
}
static void update(const void *self, void *state, const struct tn_metric_batch *batch)
{
    (void)self, (void)state, (void)batch;
}
static const struct tn_metric metric = {TN_TYPE(TN_METRIC, "several_two", struct instance, options, "of another kind"),
                                        .update = update, .value = value};
TN_PLUGIN("test", "1", "MIT", &schedule.type, &metric.type);
#else
TN_PLUGIN("test", "1", "MIT", &schedule.type);
#endif

#if CASE == CASE_CRASHING
__attribute__((constructor)) static void crash(void)
{
    abort();
}
#endif
