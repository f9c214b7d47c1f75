/* test_options.c: typed values and option tables: what a value may look like, and what each mistake is told. */
#include <locale.h>
#include <stdlib.h>

#include "config/config.h"

#include <check.h> /* after ours: it has a macro `fail` */

/* ---- one value ---- */

static const struct tn_option whole = {.kind = TN_OPTION_INT, .minimum = 1, .maximum = 64};
static const struct tn_option any_whole = {.kind = TN_OPTION_INT, .minimum = -TN_ANY, .maximum = TN_ANY};
static const struct tn_option share = {.kind = TN_OPTION_FLOAT, .minimum = 0, .maximum = 1};
static const struct tn_option any = {.kind = TN_OPTION_FLOAT, .minimum = -TN_ANY, .maximum = TN_ANY};
static const struct tn_option positive = {.kind = TN_OPTION_FLOAT, .minimum = 1e-6, .maximum = TN_ANY};
static const struct tn_option negative = {.kind = TN_OPTION_FLOAT, .minimum = -TN_ANY, .maximum = -1};
static const struct tn_option yes_no = {.kind = TN_OPTION_BOOL, .maximum = 1};
static const struct tn_option choice = {.kind = TN_OPTION_ENUM, .choices = "same|valid|causal"};
static const struct tn_option size = {.kind = TN_OPTION_SIZE, .minimum = 1, .maximum = 4096};
static const struct tn_option bytes = {.kind = TN_OPTION_BYTES, .minimum = 0, .maximum = TN_ANY};
static const struct tn_option small_bytes = {.kind = TN_OPTION_BYTES, .minimum = 1024, .maximum = 1048576};
static const struct tn_option duration = {.kind = TN_OPTION_DURATION, .minimum = 0, .maximum = TN_ANY};

#define NOT_NUMBER(text_)   "`" text_ "` is not a number (a quotient such as 1/255 is fine)"
#define NOT_SIZE(text_)     "`" text_ "` is not a size such as 3 or 150x150 (height x width)"
#define NOT_BYTES(text_)    "`" text_ "` is not a number of bytes such as 512M or 2GiB"
#define NOT_DURATION(text_) "`" text_ "` is not a duration such as 90s, 10m or 11h30m"

/* `says` NULL: fine, and the value is `number` (and `second` for the width of a size). */
static const struct {
    const struct tn_option *option;
    const char *text;
    double number, second;
    const char *says;
} values[] = {
    {&whole, "32", 32, 0, NULL},
    {&whole, "+5", 5, 0, NULL},
    {&whole, "64", 64, 0, NULL},
    {&whole, "0", 0, 0, "0 is outside 1..64"},
    {&whole, "65", 0, 0, "65 is outside 1..64"},
    {&whole, "-3", 0, 0, "-3 is outside 1..64"},
    {&whole, "8x", 0, 0, "`8x` is not a whole number"},
    {&whole, "8.0", 0, 0, "`8.0` is not a whole number"},
    {&whole, "1e1", 0, 0, "`1e1` is not a whole number"},
    {&whole, "0x8", 0, 0, "`0x8` is not a whole number"},
    {&whole, "", 0, 0, "`` is not a whole number"},
    {&whole, "8 8", 0, 0, "`8 8` is not a whole number"},
    {&any_whole, "9007199254740993", 9007199254740992.0, 0, NULL},
    {&any_whole, "9223372036854775807", 9223372036854775808.0, 0, NULL},
    {&any_whole, "9223372036854775808", 0, 0, "`9223372036854775808` is not a whole number"},
    {&share, "1/255", 1.0 / 255.0, 0, NULL},
    {&share, "1 / 4", 0.25, 0, NULL},
    {&share, ".5", 0.5, 0, NULL},
    {&share, "1e-3", 1e-3, 0, NULL},
    {&share, "0,5", 0, 0, NOT_NUMBER("0,5")},
    {&share, "3/2", 0, 0, "1.5 is outside 0..1"},
    {&share, "1/0", 0, 0, NOT_NUMBER("1/0")},
    {&share, "1/", 0, 0, NOT_NUMBER("1/")},
    {&share, "/2", 0, 0, NOT_NUMBER("/2")},
    {&share, "1/2/3", 0, 0, NOT_NUMBER("1/2/3")},
    {&share, "0.5f", 0, 0, NOT_NUMBER("0.5f")},
    {&share, "nan", 0, 0, NOT_NUMBER("nan")},
    {&any, "inf", 0, 0, NOT_NUMBER("inf")},
    {&any, "-Infinity", 0, 0, NOT_NUMBER("-Infinity")},
    {&any, "1e999", 0, 0, NOT_NUMBER("1e999")},
    {&any, "1/inf", 0, 0, NOT_NUMBER("1/inf")},
    {&any, "1e300/1e-300", 0, 0, NOT_NUMBER("1e300/1e-300")},
    {&any, "0x1p3", 0, 0, NOT_NUMBER("0x1p3")},
    {&any, "1/0x10", 0, 0, NOT_NUMBER("1/0x10")},
    {&any, ".", 0, 0, NOT_NUMBER(".")},
    {&any, "-", 0, 0, NOT_NUMBER("-")},
    {&any, "", 0, 0, NOT_NUMBER("")},
    {&any, "-1.25e2", -125, 0, NULL},
    {&positive, "0", 0, 0, "0 is too small: at least 1e-06"},
    {&negative, "0.5", 0, 0, "0.5 is too large: at most -1"},
    {&yes_no, "yes", 1, 0, NULL},
    {&yes_no, "Off", 0, 0, NULL},
    {&yes_no, "TRUE", 1, 0, NULL},
    {&yes_no, "0", 0, 0, NULL},
    {&yes_no, "2", 0, 0, "`2` is not yes or no"},
    {&yes_no, "", 0, 0, "`` is not yes or no"},
    {&choice, "same", 0, 0, NULL},
    {&choice, "causal", 2, 0, NULL},
    {&choice, "vaild", 0, 0, "`vaild` is not one of same|valid|causal; did you mean `valid`?"},
    {&choice, "same|valid", 0, 0, "`same|valid` is not one of same|valid|causal"},
    {&choice, "", 0, 0, "`` is not one of same|valid|causal"},
    {&size, "3", 3, 3, NULL},
    {&size, "150x160", 150, 160, NULL},
    {&size, "3, 5", 3, 5, NULL},
    {&size, "3 X 5", 3, 5, NULL},
    {&size, "3x", 0, 0, NOT_SIZE("3x")},
    {&size, "x3", 0, 0, NOT_SIZE("x3")},
    {&size, "3x5x7", 0, 0, NOT_SIZE("3x5x7")},
    {&size, "3.5", 0, 0, NOT_SIZE("3.5")},
    {&size, "99999999999x1", 0, 0, NOT_SIZE("99999999999x1")},
    {&size, "1x-99999999999", 0, 0, NOT_SIZE("1x-99999999999")},
    {&size, "3x0", 0, 0, "0 is outside 1..4096"},
    {&size, "4097", 0, 0, "4097 is outside 1..4096"},
    {&bytes, "512", 512, 0, NULL},
    {&bytes, "10k", 10240, 0, NULL},
    {&bytes, "2GiB", 2147483648.0, 0, NULL},
    {&bytes, "2 gib", 2147483648.0, 0, NULL},
    {&bytes, "2GB", 2e9, 0, NULL},
    {&bytes, "1.5M", 1572864, 0, NULL},
    {&bytes, "3B", 3, 0, NULL},
    {&bytes, "-1", 0, 0, NOT_BYTES("-1")},
    {&bytes, "10q", 0, 0, NOT_BYTES("10q")},
    {&bytes, "10kk", 0, 0, NOT_BYTES("10kk")},
    {&bytes, "99999999999P", 0, 0, NOT_BYTES("99999999999P")},
    {&bytes, "inf", 0, 0, NOT_BYTES("inf")},
    {&bytes, "0x10", 0, 0, NOT_BYTES("0x10")},
    {&bytes, "", 0, 0, NOT_BYTES("")},
    {&small_bytes, "1", 0, 0, "1 is outside 1024..1048576"},
    {&duration, "90", 90, 0, NULL},
    {&duration, "10m", 600, 0, NULL},
    {&duration, "11h30m", 41400, 0, NULL},
    {&duration, "1 d 2 hours", 93600, 0, NULL},
    {&duration, "250ms", 0.25, 0, NULL},
    {&duration, "1.5min", 90, 0, NULL},
    {&duration, "1 2", 0, 0, NOT_DURATION("1 2")},
    {&duration, "1h30", 0, 0, NOT_DURATION("1h30")},
    {&duration, "5 apples", 0, 0, NOT_DURATION("5 apples")},
    {&duration, "-5s", 0, 0, NOT_DURATION("-5s")},
    {&duration, "", 0, 0, NOT_DURATION("")},
    {&duration, "0x1m", 0, 0, NOT_DURATION("0x1m")},
    {&duration, "nan", 0, 0, NOT_DURATION("nan")},
};

/* The field as a number, whatever its type. */
static double number_of(uint32_t kind, const void *field)
{
    switch (kind) {
    case TN_OPTION_INT:
        return (double)*(const int64_t *)field;
    case TN_OPTION_BOOL:
    case TN_OPTION_ENUM:
        return *(const int32_t *)field;
    case TN_OPTION_SIZE:
        return ((const struct tn_size *)field)->height;
    case TN_OPTION_BYTES:
        return (double)*(const uint64_t *)field;
    default:
        return *(const double *)field;
    }
}

START_TEST(values_of_each_kind)
{
    const struct tn_option *option = values[_i].option;
    struct tn_arena arena = {0};
    struct tn_error error = {.status = TN_OK};
    union {
        int64_t whole;
        double number;
        struct tn_size size;
        uint64_t bytes;
    } field = {0};
    tn_status status = tn_option_parse(option, values[_i].text, NULL, &field, &arena, &error);
    if (values[_i].says) {
        ck_assert_int_eq(status, TN_INVALID);
        ck_assert_str_eq(error.text, values[_i].says);
        ck_assert_int_eq(tn_option_parse(option, values[_i].text, NULL, &field, &arena, NULL), TN_INVALID);
    } else {
        ck_assert_msg(status == TN_OK, "`%s`: %s", values[_i].text, error.text);
        ck_assert_double_eq(number_of(option->kind, &field), values[_i].number);
        if (option->kind == TN_OPTION_SIZE)
            ck_assert_double_eq(field.size.width, values[_i].second);
    }
    tn_arena_release(&arena);
}
END_TEST

/* A German user's locale writes 0,5; experiment files do not. */
START_TEST(numbers_do_not_depend_on_the_locale)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "nl_NL.UTF-8"};
    double value = 0;
    size_t i = 0;
    while (i < TN_COUNT_OF(names) && !setlocale(LC_NUMERIC, names[i]))
        i++;
    if (i == TN_COUNT_OF(names)) {
        printf("test_options: no locale with a decimal comma is installed: skipped\n");
        return;
    }
    ck_assert_int_eq(tn_option_parse(&any, "0.5", NULL, &value, NULL, NULL), TN_OK);
    ck_assert_double_eq(value, 0.5);
    ck_assert_int_eq(tn_option_parse(&any, "0,5", NULL, &value, NULL, NULL), TN_INVALID);
    (void)setlocale(LC_NUMERIC, "C");
}
END_TEST

START_TEST(lists)
{
    static const struct tn_option list = {.kind = TN_OPTION_LIST};
    static const struct tn_option numbers = {.kind = TN_OPTION_NUMBERS, .minimum = 0, .maximum = 10};
    struct tn_arena arena = {0};
    struct tn_error error;
    struct tn_list names;
    struct tn_numbers values_of;
    ck_assert_int_eq(tn_option_parse(&list, "a,  b c ,d", NULL, &names, &arena, &error), TN_OK);
    ck_assert_uint_eq(names.count, 3);
    ck_assert_str_eq(names.items[0], "a");
    ck_assert_str_eq(names.items[1], "b c");
    ck_assert_str_eq(names.items[2], "d");
    ck_assert_int_eq(tn_option_parse(&list, "", NULL, &names, &arena, &error), TN_OK);
    ck_assert_uint_eq(names.count, 0);
    ck_assert_int_eq(tn_option_parse(&list, "a,,b", NULL, &names, &arena, &error), TN_INVALID);
    ck_assert_str_eq(error.text, "an empty item in the list");
    ck_assert_int_eq(tn_option_parse(&numbers, "1, 1/2,3e0", NULL, &values_of, &arena, &error), TN_OK);
    ck_assert_uint_eq(values_of.count, 3);
    ck_assert_double_eq(values_of.items[1], 0.5);
    ck_assert_int_eq(tn_option_parse(&numbers, "1, x", NULL, &values_of, &arena, &error), TN_INVALID);
    ck_assert_str_eq(error.text, NOT_NUMBER("x"));
    ck_assert_int_eq(tn_option_parse(&numbers, "1, 11", NULL, &values_of, &arena, &error), TN_INVALID);
    ck_assert_str_eq(error.text, "11 is outside 0..10");
    tn_arena_release(&arena);
}
END_TEST

START_TEST(paths_count_from_the_file_that_says_them)
{
    static const struct tn_option path = {.kind = TN_OPTION_STRING, .flags = TN_OPTION_IS_PATH};
    static const struct tn_option text = {.kind = TN_OPTION_STRING};
    static const struct {
        const struct tn_option *option;
        const char *value, *file, *result;
    } cases[] = {
        {&path, "data", "exp/a.ini", "exp/data"},
        {&path, "/data", "exp/a.ini", "/data"},
        {&path, "data", "a.ini", "data"},
        {&path, "data", "command line", "data"},
        {&path, "data", NULL, "data"},
        {&path, "", "exp/a.ini", ""},
        {&text, "data", "exp/a.ini", "data"},
    };
    struct tn_arena arena = {0};
    for (size_t i = 0; i < TN_COUNT_OF(cases); i++) {
        const char *result = NULL;
        ck_assert_int_eq(tn_option_parse(cases[i].option, cases[i].value, cases[i].file, &result, &arena, NULL), TN_OK);
        ck_assert_str_eq(result, cases[i].result);
    }
    tn_arena_release(&arena);
}
END_TEST

/* ---- a section against a table ---- */

struct conv {
    int64_t filters, stride;
    double rate;
    int32_t use_bias, padding;
    struct tn_size kernel_size;
    const char *path, *note;
    uint64_t scratch;
    double wait;
    struct tn_list names;
    struct tn_numbers weights;
};

static const struct tn_option table[] = {
    TN_INT(struct conv, filters, TN_REQUIRED, 1, 65536, "output channels"),
    TN_INT(struct conv, stride, 1, 1, 64, "step in pixels"),
    TN_FLOAT(struct conv, rate, 0.5, 0, 1, "share"),
    TN_BOOL(struct conv, use_bias, 1, "adds a bias"),
    TN_ENUM(struct conv, padding, 1, "same|valid", "border handling"),
    TN_SIZE(struct conv, kernel_size, "3x5", 1, 64, "window"),
    TN_PATH(struct conv, path, NULL, "a file"),
    TN_STRING(struct conv, note, "none", "a text"),
    TN_BYTES(struct conv, scratch, "1M", 0, TN_ANY, "workspace"),
    TN_DURATION(struct conv, wait, "2m", 0, TN_ANY, "time"),
    TN_LIST(struct conv, names, "a, b", "names"),
    TN_NUMBERS(struct conv, weights, NULL, 0, 1, "weights"),
    TN_GONE("pad", "write padding = same|valid"),
    TN_END,
};

struct applied {
    struct conv conv;
    struct tn_config *config;
    struct tn_arena arena;
    struct tn_problems problems;
    struct tn_text said;
    tn_status status;
};

static struct applied apply(const char *text, const char *const *overrides, size_t count)
{
    static const char *const reserved[] = {"type", "inputs", NULL};
    struct applied applied = {0};
    tn_status status =
        tn_config_load_text(text, strlen(text), "dir/exp.ini", overrides, count, &applied.config, &applied.problems);
    ck_assert_int_ne(status, TN_NO_MEMORY);
    applied.status = tn_options_apply(table, tn_config_section(applied.config, "layer", "c"), reserved, &applied.conv,
                                      &applied.arena, &applied.problems);
    tn_text_add(&applied.said, "");
    for (size_t i = 0; i < applied.problems.count; i++)
        tn_text_format(&applied.said, "%s:%u: %s\n", applied.problems.items[i].file, applied.problems.items[i].line,
                       applied.problems.items[i].text);
    return applied;
}

static void forget(struct applied *applied)
{
    tn_config_close(&applied->config);
    tn_arena_release(&applied->arena);
    tn_problems_release(&applied->problems);
    tn_text_release(&applied->said);
}

START_TEST(defaults_fill_what_the_section_does_not_say)
{
    struct applied applied = apply("[layer:c]\ntype = conv2d\ninputs = x\nfilters = 8\n", NULL, 0);
    ck_assert_str_eq(applied.said.data, "");
    ck_assert_int_eq(applied.status, TN_OK);
    ck_assert_int_eq(applied.conv.filters, 8);
    ck_assert_int_eq(applied.conv.stride, 1);
    ck_assert_double_eq(applied.conv.rate, 0.5);
    ck_assert_int_eq(applied.conv.use_bias, 1);
    ck_assert_int_eq(applied.conv.padding, 1);
    ck_assert_int_eq(applied.conv.kernel_size.height, 3);
    ck_assert_int_eq(applied.conv.kernel_size.width, 5);
    ck_assert_ptr_null(applied.conv.path);
    ck_assert_str_eq(applied.conv.note, "none");
    ck_assert_uint_eq(applied.conv.scratch, 1 << 20);
    ck_assert_double_eq(applied.conv.wait, 120);
    ck_assert_uint_eq(applied.conv.names.count, 2);
    ck_assert_uint_eq(applied.conv.weights.count, 0);
    forget(&applied);
}
END_TEST

START_TEST(the_section_and_the_command_line_decide)
{
    static const char *const overrides[] = {"layer:c.stride=4", "layer:c.path=there"};
    struct applied applied = apply("[layer:c]\nfilters = 8\npath = here\nuse_bias = no\npadding = same\nrate = 1/4\n",
                                   overrides, TN_COUNT_OF(overrides));
    ck_assert_str_eq(applied.said.data, "");
    ck_assert_int_eq(applied.conv.stride, 4);
    ck_assert_str_eq(applied.conv.path, "there"); /* from the current folder, not from dir/ */
    ck_assert_int_eq(applied.conv.use_bias, 0);
    ck_assert_int_eq(applied.conv.padding, 0);
    ck_assert_double_eq(applied.conv.rate, 0.25);
    for (size_t i = 0; i < tn_config_section(applied.config, "layer", "c")->entry_count; i++)
        ck_assert(tn_config_section(applied.config, "layer", "c")->entries[i].used);
    forget(&applied);
    applied = apply("[layer:c]\nfilters = 8\npath = here\n", NULL, 0);
    ck_assert_str_eq(applied.conv.path, "dir/here");
    forget(&applied);
}
END_TEST

static const struct {
    const char *text, *said;
} wrong[] = {
    {"[layer:c]\nfilters = 8\nstride = 0\n", "dir/exp.ini:3: [layer:c] stride: 0 is outside 1..64\n"},
    {"[data]\n[layer:c]\n", "dir/exp.ini:2: [layer:c] needs `filters` (whole number): output channels\n"},
    {"[layer:c]\nfilters = 8\nfilers = 8\n",
     "dir/exp.ini:3: [layer:c] unknown key `filers`; did you mean `filters`?\n"},
    {"[layer:c]\nfilters = 8\ntyp = x\n", "dir/exp.ini:3: [layer:c] unknown key `typ`; did you mean `type`?\n"},
    {"[layer:c]\nfilters = 8\nzzz = 1\n", "dir/exp.ini:3: [layer:c] unknown key `zzz`; known are: filters, stride, "
                                          "rate, use_bias, padding, kernel_size, path, "
                                          "note, scratch, wait, names, weights, type, inputs\n"},
    {"[layer:c]\nfilters = 8\npad = same\n",
     "dir/exp.ini:3: [layer:c] pad: no longer used: write padding = same|valid\n"},
    /* all of a section at once, and a reference that failed is not blamed twice */
    {"[layer:c]\nstride = ${layer:c.zzz}\nrate = 2\nkernel_sizes = 3\npadding = vaild\n",
     "dir/exp.ini:2: ${layer:c.zzz}: [layer:c] has no `zzz`\n"
     "dir/exp.ini:1: [layer:c] needs `filters` (whole number): output channels\n"
     "dir/exp.ini:3: [layer:c] rate: 2 is outside 0..1\n"
     "dir/exp.ini:5: [layer:c] padding: `vaild` is not one of same|valid; did you mean `valid`?\n"
     "dir/exp.ini:4: [layer:c] unknown key `kernel_sizes`; did you mean `kernel_size`?\n"},
};
START_TEST(each_mistake_of_a_section)
{
    struct applied applied = apply(wrong[_i].text, NULL, 0);
    ck_assert_int_eq(applied.status, TN_INVALID);
    ck_assert_str_eq(applied.said.data, wrong[_i].said);
    forget(&applied);
}
END_TEST

START_TEST(a_table_without_a_section)
{
    struct conv conv = {0};
    struct tn_arena arena = {0};
    struct tn_problems problems = {0};
    ck_assert_int_eq(tn_options_apply(table, NULL, NULL, &conv, &arena, &problems), TN_INVALID);
    ck_assert_uint_eq(problems.count, 1);
    ck_assert_str_eq(problems.items[0].text, "needs `filters` (whole number): output channels");
    ck_assert_int_eq(conv.stride, 1);
    ck_assert_int_eq(tn_options_apply(NULL, NULL, NULL, &conv, &arena, &problems), TN_OK);
    tn_problems_release(&problems);
    tn_arena_release(&arena);
}
END_TEST

/* What `plugin show` and the reference print as a default gives, when a user types it, the default. */
START_TEST(defaults_as_a_user_would_type_them)
{
    static const char *const texts[] = {"", "1", "0.5", "yes", "valid", "3x5", "", "none", "1M", "2m", "a, b", ""};
    struct tn_arena arena = {0};
    for (size_t i = 0; i < TN_COUNT_OF(texts); i++)
        ck_assert_str_eq(tn_option_default_text(&table[i], &arena), texts[i]);
    tn_arena_release(&arena);
    for (uint32_t kind = TN_OPTION_INT; kind <= TN_OPTION_GONE; kind++)
        ck_assert_str_ne(tn_option_kind_name(kind), "?");
    ck_assert_str_eq(tn_option_kind_name(999), "?");
}
END_TEST

START_TEST(an_option_of_an_unknown_kind_is_an_error)
{
    static const struct tn_option strange = {.kind = 77};
    struct tn_error error;
    double field = 0;
    ck_assert_int_eq(tn_option_parse(&strange, "1", NULL, &field, NULL, &error), TN_INVALID);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options");
    TCase *value = tcase_create("value"), *section = tcase_create("section");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_loop_test(value, values_of_each_kind, 0, TN_COUNT_OF(values));
    tcase_add_test(value, numbers_do_not_depend_on_the_locale);
    tcase_add_test(value, lists);
    tcase_add_test(value, paths_count_from_the_file_that_says_them);
    tcase_add_test(value, an_option_of_an_unknown_kind_is_an_error);
    tcase_add_test(section, defaults_fill_what_the_section_does_not_say);
    tcase_add_test(section, the_section_and_the_command_line_decide);
    tcase_add_loop_test(section, each_mistake_of_a_section, 0, TN_COUNT_OF(wrong));
    tcase_add_test(section, a_table_without_a_section);
    tcase_add_test(section, defaults_as_a_user_would_type_them);
    suite_add_tcase(suite, value);
    suite_add_tcase(suite, section);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
