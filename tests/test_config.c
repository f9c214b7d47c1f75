/* test_config.c: experiment files: what can be written, what each mistake is told, and that no text at all breaks it.
 * Options have a file of their own: test_options.c.
 */
#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"

#include <check.h> /* after ours: it has a macro `fail` */

static char folder[64]; /* for files that include one another */

static void make_folder(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/tenon-config-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static void write_file(const char *name, const char *text)
{
    char path[256];
    struct tn_error error;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (strrchr(name, '/')) {
        *strrchr(path, '/') = '\0';
        ck_assert_int_eq(tn_folder_make(path, &error), TN_OK);
        (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    }
    ck_assert_int_eq(tn_file_write(path, text, strlen(text), &error), TN_OK);
}

/* "file:line: text" of each problem, a line each, without the folder. */
static void say_problems(const struct tn_problems *problems, struct tn_text *said)
{
    size_t skip = strlen(folder) + 1;
    tn_text_add(said, "");
    for (size_t i = 0; i < problems->count; i++) {
        const struct tn_problem *problem = &problems->items[i];
        const char *file = problem->file ? problem->file : "-";
        if (folder[0] && strncmp(file, folder, skip - 1) == 0)
            file += skip;
        tn_text_format(said, "%s:%u: ", file, problem->line);
        for (const char *c = problem->text, *found; *c; c = found) {
            found = folder[0] ? strstr(c, folder) : NULL;
            tn_text_add_bytes(said, c, found ? (size_t)(found - c) : strlen(c));
            found = found ? found + skip : c + strlen(c);
        }
        tn_text_add(said, "\n");
    }
}

struct loaded {
    struct tn_config *config;
    struct tn_problems problems;
    struct tn_text printed, said;
    tn_status status;
};

static void finish_load(struct loaded *loaded)
{
    if (loaded->config)
        ck_assert_int_eq(tn_config_print(loaded->config, false, &loaded->printed), TN_OK);
    tn_text_add(&loaded->printed, "");
    say_problems(&loaded->problems, &loaded->said);
    ck_assert_int_eq(loaded->status, loaded->problems.count ? TN_INVALID : TN_OK);
}

static struct loaded load_text(const char *text, const char *const *overrides, size_t count)
{
    struct loaded loaded = {0};
    loaded.status =
        tn_config_load_text(text, strlen(text), "exp.ini", overrides, count, &loaded.config, &loaded.problems);
    finish_load(&loaded);
    return loaded;
}

static struct loaded load_file(const char *name, const char *const *overrides, size_t count)
{
    char path[256];
    struct loaded loaded = {0};
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    loaded.status = tn_config_load(path, overrides, count, &loaded.config, &loaded.problems);
    finish_load(&loaded);
    return loaded;
}

static void unload(struct loaded *loaded)
{
    tn_config_close(&loaded->config);
    tn_problems_release(&loaded->problems);
    tn_text_release(&loaded->printed);
    tn_text_release(&loaded->said);
}

/* ---- what can be written ---- */

static const struct {
    const char *text, *resolved;
} fine[] = {
    {"", ""},
    {"[data]", "[data]\n"},
    {"[data]\nbatch_size=8", "[data]\nbatch_size = 8\n"},
    {"; a comment\n# another\n\n[data] ; behind\n  batch_size =  8 ; eight\nx = a;b # c\ny = a#b\n",
     "[data]\nbatch_size = 8\nx          = a;b\ny          = a#b\n"},
    {"\xEF\xBB\xBF[data]\r\nbatch_size = 8\r\n\r\n[loss]\r\n", "[data]\nbatch_size = 8\n\n[loss]\n"},
    {"[data]\n    batch_size = 8\n\t[loss]\n\ttype = x\n",
     "[data]\nbatch_size = 8\n\n[loss]\ntype = x\n"}, /* indented */
    {"[data]\na =\nb = ; nothing\n", "[data]\na =\nb =\n"},
    {"[data]\na = x = y\nb = k:v\nc = \"q\"\n", "[data]\na = x = y\nb = k:v\nc = \"q\"\n"},
    {"[ layer : conv 1 ]\ntype = conv2d\n", "[layer:conv 1]\ntype = conv2d\n"},
    {"[layer:b]\n[layer:a]\n[metric:z]\n[metric:y]\n", "[layer:b]\n\n[layer:a]\n\n[metric:z]\n\n[metric:y]\n"},
    {"[strategy:light]\naugments = a, b\n", "[strategy:light]\naugments = a, b\n"},
    {"[layer:a]\n[layer:b]\nremove = yes\nx = 1\n[layer:c]\nremove = no\ny = 2\n", "[layer:a]\n\n[layer:c]\ny = 2\n"},
    /* references */
    {"[experiment]\nname = x\n[data]\na = ${experiment.name}-${data.b}\nb = 1\n",
     "[experiment]\nname = x\n\n[data]\na = x-1\nb = 1\n"},
    {"[layer:c1]\nfilters = 32\n[layer:c.2]\nfilters = ${layer:c1.filters}\n[layer:c3]\nfilters = "
     "${layer:c.2.filters}\n",
     "[layer:c1]\nfilters = 32\n\n[layer:c.2]\nfilters = 32\n\n[layer:c3]\nfilters = 32\n"},
    {"[data]\na = ${data.b}\nb = ${data.c}\nc = ${env:TENON_TEST_VARIABLE}\n",
     "[data]\na = from outside\nb = from outside\nc = from outside\n"},
    {"[data]\na = $5 {x} $ model_{epoch:02d}.h5\n", "[data]\na = $5 {x} $ model_{epoch:02d}.h5\n"},
};
START_TEST(files_that_are_fine)
{
    struct loaded loaded;
    ck_assert_int_eq(setenv("TENON_TEST_VARIABLE", "from outside", 1), 0);
    loaded = load_text(fine[_i].text, NULL, 0);
    ck_assert_str_eq(loaded.said.data, "");
    ck_assert_str_eq(loaded.printed.data, fine[_i].resolved);
    unload(&loaded);
}
END_TEST

/* What is printed is an experiment that resolves to itself. */
START_TEST(the_resolved_experiment_reads_as_itself)
{
    struct loaded first, second;
    struct tn_text places = {0};
    ck_assert_int_eq(setenv("TENON_TEST_VARIABLE", "from outside", 1), 0);
    first = load_text(fine[_i].text, NULL, 0);
    second = load_text(first.printed.data, NULL, 0);
    ck_assert_str_eq(second.said.data, "");
    ck_assert_str_eq(second.printed.data, first.printed.data);
    unload(&second);
    ck_assert_int_eq(tn_config_print(first.config, true, &places), TN_OK);
    second = load_text(places.data ? places.data : "", NULL, 0);
    ck_assert_str_eq(second.said.data, "");
    ck_assert_str_eq(second.printed.data, first.printed.data);
    unload(&second);
    unload(&first);
    tn_text_release(&places);
}
END_TEST

START_TEST(every_value_keeps_its_place)
{
    static const char *const overrides[] = {"data.workers=2"};
    struct loaded loaded = load_text("; one\n[data]\nbatch_size = 8\n\ntarget_size = 4x4\n[loss]\n", overrides, 1);
    struct tn_text places = {0};
    ck_assert_str_eq(loaded.said.data, "");
    ck_assert_int_eq(tn_section_set(loaded.config, tn_config_section(loaded.config, "loss", ""), "type", "mse"), TN_OK);
    ck_assert_ptr_nonnull(tn_config_add(loaded.config, "device", "cpu"));
    ck_assert_int_eq(tn_config_print(loaded.config, true, &places), TN_OK);
    ck_assert_str_eq(places.data, "[data]\n"
                                  "batch_size  = 8    ; exp.ini:3\n"
                                  "target_size = 4x4  ; exp.ini:5\n"
                                  "workers     = 2    ; command line\n"
                                  "\n[loss]\n"
                                  "type = mse  ; default\n"
                                  "\n[device:cpu]\n");
    ck_assert_uint_eq(tn_config_section(loaded.config, "data", "")->line, 2);
    tn_text_release(&places);
    unload(&loaded);
}
END_TEST

START_TEST(sections_are_walked_in_order_and_marked)
{
    static const char *const names[] = {"b", "a", "c"};
    struct loaded loaded = load_text("[layer:b]\nk = v\n[loss]\n[layer:a]\n[layer:c]\n", NULL, 0);
    struct tn_section *section = NULL;
    for (size_t i = 0; i < TN_COUNT_OF(names); i++) {
        section = tn_config_next(loaded.config, "layer", section);
        ck_assert_ptr_nonnull(section);
        ck_assert_str_eq(section->name, names[i]);
        ck_assert(section->used);
    }
    ck_assert_ptr_null(tn_config_next(loaded.config, "layer", section));
    ck_assert_ptr_null(tn_config_section(loaded.config, "loss", "x"));
    section = tn_config_section(loaded.config, "layer", "b");
    ck_assert(!section->entries[0].used);
    ck_assert_str_eq(tn_section_value(section, "k"), "v");
    ck_assert(section->entries[0].used);
    ck_assert_ptr_null(tn_section_value(section, "absent"));
    unload(&loaded);
}
END_TEST

/* ---- mistakes ---- */

#define TEN(text_) text_ text_ text_ text_ text_ text_ text_ text_ text_ text_

static const struct {
    const char *text, *said;
} wrong[] = {
    {"a = 1\n[data]\n", "exp.ini:1: `a` stands before the first [section]\n"},
    {"[data\na = 1\n", "exp.ini:1: a section header needs a closing `]`\n"},
    {"[data] a = 1\n", "exp.ini:1: text after `]`: put keys on lines of their own\n"},
    {"[data]\nbatch_size 8\n", "exp.ini:2: expected `key = value`, got `batch_size 8`\n"},
    {"[data]\n= 8\n", "exp.ini:2: expected `key = value`, got `= 8`\n"},
    {"[data]\nbatch_size ; = 8\n", "exp.ini:2: expected `key = value`, got `batch_size`\n"},
    {"[data]\na:b = 8\n", "exp.ini:2: `:` in the key `a:b `\n"},
    {"[data]\na = 1\nb = 2\na = 3\n", "exp.ini:4: `a` stands twice in this section: first on line 2\n"},
    {"[data]\na = 1\n[loss]\n[data]\nb = 2\n", "exp.ini:4: [data] stands twice: first at exp.ini:1\n"},
    {"[layer:x]\n\n[layer:x]\n", "exp.ini:3: [layer:x] stands twice: first at exp.ini:1\n"},
    {"[layer:]\n[]\n", "exp.ini:1: an empty name: a section is [kind] or [kind:name]\n"
                       "exp.ini:2: an empty name: a section is [kind] or [kind:name]\n"},
    {"[layer:" TEN("0123456789") TEN("0123456789") "]\nx = 1\n[layer:a[b]\n",
     "exp.ini:1: the name of a section has more than 128 bytes\n"
     "exp.ini:3: the name of a section cannot have `[`, `]`, `,` or `${`\n"},
    {"[layers:x]\ntype = y\n", "exp.ini:1: unknown section [layers]; did you mean [layer]?\n"},
    {"[nonsense]\n", "exp.ini:1: unknown section [nonsense]; known are experiment, plugins, data, source, augment, "
                     "strategy, layer, block, loss, optimizer, schedule, metric, callback, device, weights\n"},
    {"[loss]\ntype = x\nremove = perhaps\n", "exp.ini:3: [loss] remove: `perhaps` is not yes or no\n"},
    /* 198 bytes are fine, 199 are not; the comment behind them does not count */
    {"[data]\na = " TEN("0123456789") TEN("012345678") "0123"
                                                       "\n",
     ""},
    {"[data]\na = " TEN("0123456789") TEN("012345678") "0123"
                                                       "   ; " TEN("0123456789") "\n",
     ""},
    {"[data]\na = " TEN("0123456789") TEN("012345678") "01234"
                                                       "\nb = 1\n[data]\n",
     "exp.ini:2: the line has 199 bytes, and at most 198 can be read (split a list over `include`d files, or use "
     "${section.key})\n"
     "exp.ini:4: [data] stands twice: first at exp.ini:1\n"},
    /* references */
    {"[data]\na = ${data.bath_size}\nbatch_size = 1\n",
     "exp.ini:2: ${data.bath_size}: [data] has no `bath_size`; did you mean `batch_size`?\n"},
    {"[data]\na = ${data.zzz}\n", "exp.ini:2: ${data.zzz}: [data] has no `zzz`\n"},
    {"[layer:conv1]\n[data]\na = ${layer:conv2.filters}\n",
     "exp.ini:3: ${layer:conv2.filters}: there is no section [layer:conv2]; did you mean `layer:conv1`?\n"},
    {"[data]\na = ${env:TENON_NOT_THERE}\n",
     "exp.ini:2: ${env:TENON_NOT_THERE}: the environment has no such variable\n"},
    {"[data]\na = ${env:TENON_TEST_LINES}\n",
     "exp.ini:2: ${env:TENON_TEST_LINES}: a name or value cannot have a line break\n"},
    {"[data]\na = ${env:TENON_TEST_REFERENCE}\n",
     "exp.ini:2: ${env:TENON_TEST_REFERENCE}: a variable of the environment cannot refer to another value\n"},
    {"[data]\na = ${filters}\n", "exp.ini:2: ${filters}: expected ${section.key} or ${env:NAME}\n"},
    {"[data]\na = ${}\n", "exp.ini:2: ${}: expected ${section.key} or ${env:NAME}\n"},
    {"[data]\na = ${.}\n", "exp.ini:2: ${.}: there is no section []\n"},
    {"[data]\na = x${data.b\nb = 1\n", "exp.ini:2: `a`: a `${` without its `}`\n"},
    {"[data]\na = $${data.b}\nb = {x}\n", "exp.ini:2: `a` becomes a `${` by what is put in\n"},
    {"[data]\na = ${data.a}\n", "exp.ini:2: `a` leads back to itself: a -> data.a\n"},
    {"[data]\na = ${data.b}\nb = ${loss.c}\n[loss]\nc = ${data.a}\n",
     "exp.ini:2: `a` leads back to itself: a -> data.b -> loss.c -> data.a\n"
     "exp.ini:3: `b` leads back to itself: b -> loss.c -> data.a -> data.b\n"
     "exp.ini:5: `c` leads back to itself: c -> data.a -> data.b -> loss.c\n"},
    /* all at once */
    {"x = 1\n[dta]\n[data]\na\nb = ${c}\n", "exp.ini:1: `x` stands before the first [section]\n"
                                            "exp.ini:2: unknown section [dta]; did you mean [data]?\n"
                                            "exp.ini:4: expected `key = value`, got `a`\n"
                                            "exp.ini:5: ${c}: expected ${section.key} or ${env:NAME}\n"},
};
START_TEST(each_mistake_has_its_sentence_and_its_line)
{
    struct loaded loaded;
    ck_assert_int_eq(setenv("TENON_TEST_LINES", "a\n[loss]", 1), 0);
    ck_assert_int_eq(setenv("TENON_TEST_REFERENCE", "${data.a}", 1), 0);
    loaded = load_text(wrong[_i].text, NULL, 0);
    ck_assert_str_eq(loaded.said.data, wrong[_i].said);
    ck_assert_ptr_nonnull(loaded.config); /* so that more can be checked */
    unload(&loaded);
}
END_TEST

START_TEST(a_file_that_is_no_text_is_said_once)
{
    static const char bytes[] = "[data]\n\0\0\0\n\0\0\n\0\na\n";
    struct loaded loaded = {0};
    loaded.status = tn_config_load_text(bytes, sizeof bytes - 1, "exp.ini", NULL, 0, &loaded.config, &loaded.problems);
    finish_load(&loaded);
    ck_assert_str_eq(loaded.said.data, "exp.ini:2: a zero byte: this is not a text file\n");
    unload(&loaded);
}
END_TEST

START_TEST(a_main_file_that_is_not_there)
{
    struct loaded loaded = load_file("absent.ini", NULL, 0);
    ck_assert_str_eq(loaded.said.data, "-:0: cannot open absent.ini: No such file or directory\n");
    ck_assert_ptr_null(loaded.config);
    unload(&loaded);
}
END_TEST

/* Values that double at every step end in a sentence, soon. */
START_TEST(references_that_explode_are_stopped)
{
    for (int empty = 0; empty < 2; empty++) {
        struct tn_text text = {0};
        struct loaded loaded;
        double start = tn_seconds_now();
        tn_text_add(&text, "[data]\n");
        for (int i = 0; i < 40; i++)
            tn_text_format(&text, "k%d = ${data.k%d}${data.k%d}${data.k%d}\n", i, i + 1, i + 1, i + 1);
        tn_text_format(&text, "k40 = %s\n", empty ? "" : TEN("x"));
        loaded = load_text(text.data, NULL, 0);
        ck_assert_int_eq(loaded.status, TN_INVALID);
        ck_assert_ptr_nonnull(strstr(loaded.said.data, "exp.ini:2: `k0` needs more than 4096 replacements"));
        ck_assert(tn_seconds_now() - start < 5.0);
        unload(&loaded);
        tn_text_release(&text);
    }
}
END_TEST

/* ---- overrides ---- */

static const struct {
    const char *overrides[4];
    const char *resolved, *said;
} overridden[] = {
    {{"data.batch_size=8"}, "[data]\nbatch_size = 8\n\n[layer:conv1]\nfilters = 32\n", ""},
    {{"data.x = a=b.c "}, "[data]\nbatch_size = 4\nx          = a=b.c\n\n[layer:conv1]\nfilters = 32\n", ""},
    {{"layer:conv1.filters=64", "layer:conv1.filters=128"},
     "[data]\nbatch_size = 4\n\n[layer:conv1]\nfilters = 128\n",
     ""},
    {{"source:train.path=x", "loss.type=mse"},
     "[data]\nbatch_size = 4\n\n[layer:conv1]\nfilters = 32\n\n[source:train]\npath = x\n\n[loss]\ntype = mse\n",
     ""},
    {{"layer:conv1.remove=yes", "data.batch_size=${env:TENON_TEST_NUMBER}"}, "[data]\nbatch_size = 16\n", ""},
    {{"data.batch_size="}, "[data]\nbatch_size =\n\n[layer:conv1]\nfilters = 32\n", ""},
    {{"daat.batch_size=8"}, NULL, "-:0: `daat.batch_size=8`: there is no section [daat]; did you mean [data]?\n"},
    {{"conv1.filters=8"},
     NULL,
     "-:0: `conv1.filters=8`: there is no section [conv1]; did you mean layer:conv1.filters?\n"},
    {{"batch_size=8", "data.batch_size", ".x=1", "data.=1"},
     NULL,
     "-:0: `batch_size=8`: expected section.key=value, e.g. data.batch_size=16 or layer:conv1.filters=64\n"
     "-:0: `data.batch_size`: expected section.key=value, e.g. data.batch_size=16 or layer:conv1.filters=64\n"
     "-:0: `.x=1`: expected section.key=value, e.g. data.batch_size=16 or layer:conv1.filters=64\n"
     "-:0: `data.=1`: expected section.key=value, e.g. data.batch_size=16 or layer:conv1.filters=64\n"},
    {{"layer:a]b.x=1", "data.a:b=1", "data.;x=1", "metric:a\nb.x=1"},
     NULL,
     "-:0: `layer:a]b.x=1`: the name of a section cannot have `[`, `]`, `,` or `${`\n"
     "-:0: `data.a:b=1`: no key is called that\n"
     "-:0: `data.;x=1`: no key is called that\n"
     "-:0: `metric:a\nb.x=1`: a name or value cannot have a line break\n"},
    {{"data.x=a ; b", "data.y=a\nb", "experiment.include=x.ini"},
     NULL,
     "-:0: `data.x=a ; b`: a name or value cannot have ` ;` or ` #`, where a comment begins\n"
     "-:0: `data.y=a\nb`: a name or value cannot have a line break\n"
     "-:0: `experiment.include=x.ini`: `include` belongs into a file: files are read before the command line counts\n"},
    {{"data.x=${data.batch}"},
     NULL,
     "command line:0: ${data.batch}: [data] has no `batch`; did you mean `batch_size`?\n"},
};
START_TEST(command_line_overrides)
{
    struct loaded loaded;
    size_t count = 0;
    while (count < TN_COUNT_OF(overridden[_i].overrides) && overridden[_i].overrides[count])
        count++;
    ck_assert_int_eq(setenv("TENON_TEST_NUMBER", "16", 1), 0);
    loaded = load_text("[data]\nbatch_size = 4\n[layer:conv1]\nfilters = 32\n", overridden[_i].overrides, count);
    ck_assert_str_eq(loaded.said.data, overridden[_i].said);
    if (overridden[_i].resolved)
        ck_assert_str_eq(loaded.printed.data, overridden[_i].resolved);
    unload(&loaded);
}
END_TEST

/* ---- includes ---- */

START_TEST(the_including_file_wins_key_by_key)
{
    struct loaded loaded;
    write_file("base/net.ini", "[experiment]\nepochs = 1\nname = base\n[layer:a]\nfilters = 1\nkernel_size = 3\n"
                               "[layer:b]\ntype = flatten\n[layer:c]\n[loss]\ntype = from_net\n");
    write_file("base/data.ini", "[data]\nbatch_size = 4\n[loss]\ntype = from_data\nfrom = 1\n");
    write_file("base/all.ini", "[experiment]\ninclude = net.ini, data.ini\nseed = 1\n");
    write_file("main.ini", "[experiment]\nseed = 2\ninclude = base/all.ini\nname = main\n[layer:a]\nfilters = 2\n"
                           "[layer:b]\nremove = yes\n[layer:d]\ntype = dense\n");
    loaded = load_file("main.ini", NULL, 0);
    ck_assert_str_eq(loaded.said.data, "");
    ck_assert_str_eq(loaded.printed.data, "[data]\nbatch_size = 4\n\n"
                                          "[loss]\ntype = from_net\nfrom = 1\n\n"
                                          "[experiment]\nseed   = 2\nname   = main\nepochs = 1\n\n"
                                          "[layer:a]\nfilters     = 2\nkernel_size = 3\n\n"
                                          "[layer:c]\n\n"
                                          "[layer:d]\ntype = dense\n");
    ck_assert_ptr_nonnull(
        strstr(tn_section_entry(tn_config_section(loaded.config, "layer", "a"), "kernel_size")->file, "/base/net.ini"));
    unload(&loaded);
}
END_TEST

START_TEST(includes_that_go_wrong_show_the_way)
{
    static const struct {
        const char *main, *said;
    } cases[] = {
        {"self.ini", "self.ini:2: include: a cycle: self.ini -> self.ini\n"},
        {"dots.ini", "dots.ini:2: include: a cycle: dots.ini -> ./sub/../dots.ini\n"},
        {"a.ini", "sub/c.ini:3: include: a cycle: a.ini -> b.ini -> sub/c.ini -> sub/../a.ini\n"},
        {"missing.ini",
         "sub/lost.ini:2: include: cannot open sub/nowhere.ini: No such file or directory (missing.ini -> "
         "sub/lost.ini -> sub/nowhere.ini)\n"},
        {"folder.ini", "folder.ini:2: include: cannot read sub: it is not a regular file (folder.ini -> sub)\n"},
        {"empty.ini", "empty.ini:2: include: an empty name in the list\n"},
        {"faulty.ini", "sub/faulty.ini:2: expected `key = value`, got `oops`\nfaulty.ini:3: `${` …\n"},
    };
    write_file("self.ini", "[experiment]\ninclude = self.ini\n");
    write_file("dots.ini", "[experiment]\ninclude = ./sub/../dots.ini\n");
    write_file("a.ini", "[experiment]\ninclude = b.ini\n");
    write_file("b.ini", "[experiment]\ninclude = sub/c.ini\n");
    write_file("sub/c.ini", "[experiment]\n\ninclude = ../a.ini\n");
    write_file("missing.ini", "[experiment]\ninclude = sub/lost.ini\n");
    write_file("sub/lost.ini", "[experiment]\ninclude = nowhere.ini\n");
    write_file("folder.ini", "[experiment]\ninclude = sub\n");
    write_file("empty.ini", "[experiment]\ninclude = sub/fine.ini, , sub/fine.ini\n");
    write_file("sub/fine.ini", "[data]\n");
    write_file("faulty.ini", "[experiment]\ninclude = sub/faulty.ini\nx = ${data.a}\n");
    write_file("sub/faulty.ini", "[data]\noops\na = 1\n");
    for (size_t i = 0; i < TN_COUNT_OF(cases); i++) {
        struct loaded loaded = load_file(cases[i].main, NULL, 0);
        if (strcmp(cases[i].main, "faulty.ini") == 0) /* the rest of it is taken over all the same */
            ck_assert_str_eq(loaded.said.data, "sub/faulty.ini:2: expected `key = value`, got `oops`\n");
        else
            ck_assert_str_eq(loaded.said.data, cases[i].said);
        unload(&loaded);
    }
}
END_TEST

START_TEST(includes_that_explode_are_stopped)
{
    struct loaded loaded;
    for (int i = 0; i < 30; i++) {
        char name[32], text[128];
        (void)snprintf(name, sizeof name, "f%d.ini", i);
        (void)snprintf(text, sizeof text, "[experiment]\ninclude = f%d.ini, f%d.ini, f%d.ini\n", i + 1, i + 1, i + 1);
        write_file(name, text);
    }
    write_file("f30.ini", "[data]\n");
    loaded = load_file("f0.ini", NULL, 0);
    ck_assert_int_eq(loaded.status, TN_INVALID);
    ck_assert_ptr_nonnull(strstr(loaded.said.data, "include: more than 256 files, or 16 in one another: f0.ini -> "));
    unload(&loaded);
}
END_TEST

/* ---- blocks ---- */

#define PAIR                                                                                                           \
    "[block:pair]\nfilters = 16\n[layer:pair/conv]\ntype = conv2d\nfilters = ${filters}\n[layer:pair/act]\n"           \
    "type = ${kind}\n[layer:pair/sum]\ntype = add\ninputs = act, input\n"

static const struct {
    const char *text, *resolved, *said;
} blocks[] = {
    {PAIR "[layer:stem]\n[layer:s1]\ntype = block\nuse = pair\nkind = relu\nrepeat = 2\nfilters = 64\n"
          "[layer:head]\n[layer:far]\ninputs = s1, stem\n",
     "[layer:stem]\n\n"
     "[layer:s1/1/conv]\ntype    = conv2d\nfilters = 64\ninputs  = stem\n\n"
     "[layer:s1/1/act]\ntype = relu\n\n"
     "[layer:s1/1/sum]\ntype   = add\ninputs = s1/1/act, stem\n\n"
     "[layer:s1/2/conv]\ntype    = conv2d\nfilters = 64\ninputs  = s1/1/sum\n\n"
     "[layer:s1/2/act]\ntype = relu\n\n"
     "[layer:s1/2/sum]\ntype   = add\ninputs = s1/2/act, s1/1/sum\n\n"
     "[layer:head]\n\n[layer:far]\ninputs = s1/2/sum, stem\n",
     ""},
    /* the block's default; the first layer of a network reads `input`; a use after a use */
    {PAIR "[layer:s1]\ntype = block\nuse = pair\nkind = relu\n[layer:s2]\ntype = block\nuse = pair\nkind = elu\n"
          "inputs = s1\n",
     "[layer:s1/1/conv]\ntype    = conv2d\nfilters = 16\ninputs  = input\n\n"
     "[layer:s1/1/act]\ntype = relu\n\n"
     "[layer:s1/1/sum]\ntype   = add\ninputs = s1/1/act, input\n\n"
     "[layer:s2/1/conv]\ntype    = conv2d\nfilters = 16\ninputs  = s1/1/sum\n\n"
     "[layer:s2/1/act]\ntype = elu\n\n"
     "[layer:s2/1/sum]\ntype   = add\ninputs = s2/1/act, s1/1/sum\n",
     ""},
    /* a layer outside of the block stays what it is */
    {"[block:b]\n[layer:b/x]\ninputs = input, stem\n[layer:stem]\n[layer:s]\ntype = block\nuse = b\nrepeat = 2\n",
     "[layer:stem]\n\n[layer:s/1/x]\ninputs = stem, stem\n\n[layer:s/2/x]\ninputs = s/1/x, stem\n", ""},
    /* blocks in blocks */
    {"[block:in]\n[layer:in/x]\nfilters = ${n}\n[block:out]\n[layer:out/a]\ntype = block\nuse = in\nn = ${m}\n"
     "repeat = 2\n[layer:out/b]\ninputs = a\n[layer:s]\ntype = block\nuse = out\nm = 7\n[layer:end]\ninputs = s\n",
     "[layer:s/1/a/1/x]\nfilters = 7\ninputs  = input\n\n"
     "[layer:s/1/a/2/x]\nfilters = 7\ninputs  = s/1/a/1/x\n\n"
     "[layer:s/1/b]\ninputs = s/1/a/2/x\n\n"
     "[layer:end]\ninputs = s/1/b\n",
     ""},
    {"[layer:s]\ntype = block\n", "", "exp.ini:1: [layer:s] needs `use = NAME` of a [block:NAME]\n"},
    {PAIR "[layer:s]\ntype = block\nuse = pari\n", NULL,
     "exp.ini:13: [layer:s] use: there is no [block:pari]; did you mean `pair`?\n"},
    {PAIR "[layer:s]\ntype = block\nuse = pair\nrepeat = 0\nkind = x\n", NULL,
     "exp.ini:14: [layer:s] repeat: 0 is outside 1..1000\n"},
    {PAIR "[layer:s]\ntype = block\nuse = pair\nrepeat = 5\n", NULL,
     "exp.ini:7: ${kind}: neither [layer:s] nor [block:pair] has `kind`\n"},
    {PAIR "[layer:s]\ntype = block\nuse = pair\nkind = x\nfilers = 3\nzzz = 1\n", NULL,
     "exp.ini:15: [layer:s] unknown key `filers`; did you mean `filters`?\n"
     "exp.ini:16: [layer:s] unknown key `zzz`: no layer of [block:pair] has ${zzz}\n"},
    {"[block:b]\nfilters = 2\n[layer:b/x]\ntype = y\n", NULL,
     "exp.ini:2: [block:b] unknown key `filters`: no layer of [block:b] has ${filters}\n"},
    {"[block:b]\n[layer:s]\ntype = block\nuse = b\nrepeat = 3\n", NULL,
     "exp.ini:1: [block:b] has no layers: write [layer:b/NAME]\n"},
    {"[block:b]\n[layer:b/x]\ntype = block\nuse = b\n[layer:s]\ntype = block\nuse = b\n", NULL,
     "exp.ini:2: [layer:s/1/x] use: [block:b] contains itself\n"},
    {PAIR "[layer:s]\ntype = block\nuse = pair\nkind = x\n[layer:s/1/conv]\ntype = dense\n", NULL,
     "exp.ini:15: [layer:s/1/conv]: names with `s/` belong to the layers that [layer:s] makes\n"},
    {"[block:a]\n[layer:a/x]\n[block:b]\n[layer:b/y]\ntype = block\nuse = a\nrepeat = 1000\n[layer:s]\ntype = block\n"
     "use = b\nrepeat = 1000\n",
     NULL, "exp.ini:4: [layer:s/11/y]: blocks make more than 10000 layers\n"},
};
START_TEST(blocks_become_layers)
{
    struct loaded loaded = load_text(blocks[_i].text, NULL, 0);
    ck_assert_str_eq(loaded.said.data, blocks[_i].said);
    if (blocks[_i].resolved)
        ck_assert_str_eq(loaded.printed.data, blocks[_i].resolved);
    unload(&loaded);
}
END_TEST

START_TEST(overrides_reach_into_blocks)
{
    static const char *const right[] = {"layer:s/2/x.filters=${data.n}", "layer:s.k=4"};
    static const char *const bad[] = {"layer:s/3/x.filters=9"};
    static const char text[] =
        "[data]\nn = 9\n[block:b]\n[layer:b/x]\nfilters = ${k}\n[layer:s]\ntype = block\nuse = b\nk = 1\nrepeat = 2\n";
    struct loaded loaded = load_text(text, right, TN_COUNT_OF(right));
    ck_assert_str_eq(loaded.said.data, "");
    ck_assert_str_eq(loaded.printed.data, "[data]\nn = 9\n\n[layer:s/1/x]\nfilters = 4\ninputs  = input\n\n"
                                          "[layer:s/2/x]\nfilters = 9\ninputs  = s/1/x\n");
    unload(&loaded);
    loaded = load_text(text, bad, TN_COUNT_OF(bad));
    ck_assert_str_eq(loaded.said.data,
                     "-:0: `layer:s/3/x.filters=9`: the block makes no [layer:s/3/x]; did you mean layer:s/1/x?\n");
    unload(&loaded);
}
END_TEST

/* ---- no text breaks it ---- */

static uint32_t draw(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static size_t mutate(char *text, size_t length, size_t room, uint32_t *state)
{
    static const char *const bits[] = {
        "${", "}", "[",  "]",   "=",  "\n",   ":",     ".",          ";",    " #",
        "/",  ",", "\r", "yes", "-1", "1e99", "block", "include = ", "\xC3", "repeat = 1000\n"};
    for (uint32_t changes = 1 + draw(state) % 6; changes; changes--) {
        size_t at = draw(state) % (length + 1), span = draw(state) % 40;
        const char *bit = bits[draw(state) % TN_COUNT_OF(bits)];
        switch (draw(state) % 4) {
        case 0: /* cut */
            span = span > length - at ? length - at : span;
            memmove(text + at, text + at + span, length - at - span);
            length -= span;
            break;
        case 1: /* double a piece */
            span = span > length - at ? length - at : span;
            if (length + span > room)
                break;
            memmove(text + at + span, text + at, length - at);
            length += span;
            break;
        case 2: /* insert */
            if (length + strlen(bit) > room)
                break;
            memmove(text + at + strlen(bit), text + at, length - at);
            memcpy(text + at, bit, strlen(bit));
            length += strlen(bit);
            break;
        default:
            if (at < length)
                text[at] = (char)draw(state);
        }
    }
    return length;
}

START_TEST(no_text_breaks_it)
{
    static const char sample[] =
        "[experiment]\nname = fuzz\nseed = ${data.batch_size}\n\n[data]\nbatch_size = 8 ; eight\ntarget_size = 4x4\n"
        "augment = light\n[source:train]\npath = ${experiment.name}/train\n[strategy:light]\naugments = a, b\n"
        "[block:in]\nfilters = 4\n[layer:in/conv]\ntype = conv2d\nfilters = ${filters}\n[layer:in/sum]\ntype = add\n"
        "inputs = conv, input\n[block:out]\n[layer:out/a]\ntype = block\nuse = in\nrepeat = 2\n[layer:stem]\n"
        "type = conv2d\n[layer:s]\ntype = block\nuse = out\nrepeat = 3\n[layer:far]\ninputs = s, stem\n"
        "[metric:accuracy]\n[layer:gone]\nremove = yes\n";
    enum { ROUNDS = 4000 };
    uint32_t state = 12345;
    unsigned fine_ones = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char text[2 * sizeof sample], override[64] = "layer:s/1/a/1/conv.filters=64";
        const char *overrides[] = {override};
        size_t length = sizeof sample - 1, override_length = strlen(override);
        struct tn_config *config;
        struct tn_problems problems = {0};
        struct tn_text printed = {0};
        tn_status status;
        char *exact;
        memcpy(text, sample, length);
        length = mutate(text, length, sizeof text, &state);
        exact = malloc(length ? length : 1); /* without an end, so that a sanitizer sees a byte too far */
        memcpy(exact, text, length);
        if (round % 4 == 0) {
            override_length = mutate(override, override_length, sizeof override - 1, &state);
            override[override_length] = '\0';
        }
        status = tn_config_load_text(exact, length, "exp.ini", overrides, 1, &config, &problems);
        ck_assert_msg(status == (problems.count ? TN_INVALID : TN_OK), "round %d: status %d", round, status);
        if (status == TN_OK) {
            struct tn_config *again;
            fine_ones++;
            ck_assert_int_eq(tn_config_print(config, round % 2, &printed), TN_OK);
            status = tn_config_load_text(printed.data, printed.length, "again.ini", NULL, 0, &again, &problems);
            ck_assert_msg(status == TN_OK || strstr(problems.items[0].text, "the line has"), "round %d: line %u: %s",
                          round, problems.count ? problems.items[0].line : 0,
                          problems.count ? problems.items[0].text : "");
            tn_config_close(&again);
        }
        tn_config_close(&config);
        tn_problems_release(&problems);
        tn_text_release(&printed);
        free(exact);
    }
    ck_assert_uint_gt(fine_ones, ROUNDS / 50); /* else the mutations only ever see the first check */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *text = tcase_create("text"), *files = tcase_create("files"), *fuzz = tcase_create("fuzz");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_loop_test(text, files_that_are_fine, 0, TN_COUNT_OF(fine));
    tcase_add_loop_test(text, the_resolved_experiment_reads_as_itself, 0, TN_COUNT_OF(fine));
    tcase_add_test(text, every_value_keeps_its_place);
    tcase_add_test(text, sections_are_walked_in_order_and_marked);
    tcase_add_loop_test(text, each_mistake_has_its_sentence_and_its_line, 0, TN_COUNT_OF(wrong));
    tcase_add_test(text, a_file_that_is_no_text_is_said_once);
    tcase_add_test(text, references_that_explode_are_stopped);
    tcase_add_loop_test(text, command_line_overrides, 0, TN_COUNT_OF(overridden));
    tcase_add_loop_test(text, blocks_become_layers, 0, TN_COUNT_OF(blocks));
    tcase_add_test(text, overrides_reach_into_blocks);
    tcase_add_checked_fixture(files, make_folder, remove_folder);
    tcase_add_test(files, a_main_file_that_is_not_there);
    tcase_add_test(files, the_including_file_wins_key_by_key);
    tcase_add_test(files, includes_that_go_wrong_show_the_way);
    tcase_add_test(files, includes_that_explode_are_stopped);
    tcase_add_test(fuzz, no_text_breaks_it);
    tcase_set_timeout(fuzz, 120);
    suite_add_tcase(suite, text);
    suite_add_tcase(suite, files);
    suite_add_tcase(suite, fuzz);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
