/* test_registry.c: what the registry refuses and says, which of two files wins, where it looks, and instances. The
 * plugins come from tests/plugins/broken.c. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registry/registry.h"

#include <check.h> /* after ours: it has a macro `fail` */

static char root[64];   /* a temporary folder */
static char build[512]; /* the build folder */

static void clear_environment(void)
{
    (void)snprintf(root, sizeof root, "/tmp/tenon-registry-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    (void)snprintf(build, sizeof build, "%s", getenv("TENON_BUILD") ? getenv("TENON_BUILD") : ".");
    (void)setenv("XDG_DATA_HOME", root, 1);
    (void)setenv("TENON_SYSTEM_PLUGINS", root, 1);
    (void)unsetenv("TENON_PLUGIN_PATH");
}

static void remove_folder(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", root);
    ck_assert_int_eq(system(command), 0);
}

/* Copies the test plugin `from` to ROOT/FOLDER/TO.so; returns the folder's path. */
static const char *place(const char *from, const char *folder, const char *to)
{
    static char paths[8][256];
    static size_t next;
    char *path = paths[next++ % 8], source[640], target[512];
    struct tn_error error = {0};
    uint64_t size;
    void *data;
    (void)snprintf(path, 256, "%s/%s", root, folder);
    (void)snprintf(source, sizeof source, "%s/lib/tenon/test-plugins/%s.so", build, from);
    (void)snprintf(target, sizeof target, "%s/%s.so", path, to);
    ck_assert_int_eq(tn_folder_make(path, &error), TN_OK);
    ck_assert_msg(tn_file_read(source, 1 << 24, &data, &size, &error) == TN_OK, "%s", error.text);
    ck_assert_msg(tn_file_write(target, data, size, &error) == TN_OK, "%s", error.text);
    free(data);
    return path;
}

static struct tn_registry *open_registry(const char *first, const char *second)
{
    const char *paths[] = {first, second, NULL};
    struct tn_registry *registry = NULL;
    struct tn_error error = {0};
    ck_assert_msg(tn_registry_open(paths, &registry, &error) == TN_OK, "%s", error.text);
    return registry;
}

static const struct tn_plugin *plugin_at(const struct tn_registry *registry, const char *part)
{
    for (size_t i = 0; i < tn_registry_plugin_count(registry); i++)
        if (strstr(tn_registry_plugin(registry, i)->path, part))
            return tn_registry_plugin(registry, i);
    ck_abort_msg("no plugin %s", part);
    return NULL;
}

static size_t opened_count(const struct tn_registry *registry)
{
    size_t count = 0;
    for (size_t i = 0; i < tn_registry_plugin_count(registry); i++)
        count += tn_registry_plugin(registry, i)->manifest != NULL;
    return count;
}

static void assert_says(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "should say `%s`: %s", part, text);
}

/* ---- what is refused ---- */

static const struct {
    const char *name, *says;
} refused[] = {
    {"wrong_magic", "TN_PLUGIN"},
    {"wrong_major", "ABI 7, this tenon has ABI 1."},
    {"newer_need", "use a newer tenon"},
    {"no_symbol", "tn_plugin_manifest"},
    {"missing_library", "libtenon-test-gone.so.1"},
    {"undefined", "tenon_test_defined_nowhere"},
    {"tiny_type", "size of 8 bytes"},
    {"huge_type", "size of 1048576 bytes"},
    {"newer_member", "uses a member at byte"},
    {"older_type", "no function rate"},
    {"endless_options", "does not end with TN_END"},
    {"outside_option", "outside of its instance struct"},
    {"crooked_option", "byte 4"},
    {"unknown_option", "kind 77"},
    {"no_choices", "no choices"},
    {"unknown_kind", "kind 99"},
    {"no_function", "no function rate"},
    {"no_name", "no name"},
    {"no_types", "lists 0 types"},
    {"type_twice", "twice"},
    {"tiny_manifest", "size of 20 bytes"},
};

START_TEST(broken_plugin_is_refused_with_its_reason)
{
    const char *name = refused[_i].name;
    struct tn_registry *registry = open_registry(place(name, "a", name), NULL);
    struct tn_error error = {0};
    ck_assert_ptr_null(tn_registry_find(registry, TN_SCHEDULE, name, &error));
    ck_assert_int_eq(error.status, TN_NOT_FOUND);
    assert_says(error.text, name);
    assert_says(error.text, refused[_i].says);
    ck_assert_ptr_nonnull(plugin_at(registry, name)->problem);
    ck_assert_ptr_null(plugin_at(registry, name)->manifest);
    tn_registry_close(&registry);
}
END_TEST

START_TEST(file_that_is_no_library_is_refused)
{
    struct tn_registry *registry;
    struct tn_error error = {0};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/text.so", root);
    ck_assert_int_eq(tn_file_write(path, "hello", 5, &error), TN_OK);
    (void)snprintf(path, sizeof path, "%s/empty.so", root);
    ck_assert_int_eq(tn_file_write(path, "", 0, &error), TN_OK);
    registry = open_registry(NULL, NULL);
    tn_registry_load_all(registry);
    assert_says(plugin_at(registry, "text.so")->problem, "cannot be loaded");
    assert_says(plugin_at(registry, "empty.so")->problem, "cannot be loaded");
    tn_registry_close(&registry);
}
END_TEST

/* ---- older and newer plugins ---- */

START_TEST(newer_plugin_that_uses_nothing_new_is_taken)
{
    struct tn_registry *registry = open_registry(place("newer_zeros", "a", "newer_zeros"), NULL);
    struct tn_error error = {0};
    const struct tn_type *type = tn_registry_find(registry, TN_SCHEDULE, "newer_zeros", &error);
    ck_assert_msg(type != NULL, "%s", error.text);
    ck_assert_uint_eq(type->size, sizeof(struct tn_schedule));
    tn_registry_close(&registry);
}
END_TEST

START_TEST(members_that_an_older_plugin_lacks_are_null)
{
    struct tn_registry *registry = open_registry(place("older_good", "a", "older_good"), NULL);
    struct tn_error error = {0};
    const struct tn_type *type = tn_registry_find(registry, TN_AUGMENT, "older_good", &error);
    const struct tn_augment *augment = (const struct tn_augment *)(const void *)type;
    ck_assert_msg(type != NULL, "%s", error.text);
    ck_assert_uint_eq(type->size, sizeof(struct tn_augment));
    ck_assert(augment->apply && !augment->affine && !augment->scale_shift);
    tn_registry_close(&registry);
}
END_TEST

/* ---- where is looked, and who wins ---- */

START_TEST(only_what_is_used_is_opened)
{
    const char *folder = place("several", "a", "several");
    struct tn_registry *registry;
    struct tn_error error = {0};
    (void)place("refusing", "a", "refusing");
    (void)place("newer_zeros", "a", "newer_zeros");
    registry = open_registry(folder, NULL);
    ck_assert_uint_eq(tn_registry_plugin_count(registry), 3);
    ck_assert_uint_eq(opened_count(registry), 0);
    ck_assert_ptr_nonnull(tn_registry_find(registry, TN_SCHEDULE, "refusing", &error));
    ck_assert_uint_eq(opened_count(registry), 1);
    /* Its file has another name. */
    ck_assert_ptr_nonnull(tn_registry_find(registry, TN_METRIC, "several_two", &error));
    ck_assert_ptr_nonnull(tn_registry_find(registry, TN_SCHEDULE, "several_one", &error));
    tn_registry_close(&registry);
}
END_TEST

START_TEST(folders_are_searched_in_order)
{
    const char *given = place("newer_zeros", "given", "newer_zeros");
    const char *from_environment = place("newer_zeros", "environment", "newer_zeros");
    const char *order[] = {"/given/", "/environment/", "/tenon/plugins/", "/system/"};
    const char *system_folder;
    char list[600];
    (void)place("newer_zeros", "tenon/plugins", "newer_zeros"); /* the user's: XDG_DATA_HOME is the root */
    system_folder = place("newer_zeros", "system", "newer_zeros");
    (void)snprintf(list, sizeof list, "/does/not/exist::%s", from_environment);
    (void)setenv("TENON_PLUGIN_PATH", list, 1);
    (void)setenv("TENON_SYSTEM_PLUGINS", system_folder, 1);
    struct tn_registry *registry = open_registry(given, NULL);
    const struct tn_plugin *plugin;
    ck_assert_uint_eq(tn_registry_plugin_count(registry), 4);
    for (size_t i = 0; i < 4; i++)
        assert_says(tn_registry_plugin(registry, i)->path, order[i]);
    tn_registry_load_all(registry);
    ck_assert_ptr_nonnull(tn_registry_type(registry, TN_SCHEDULE, 0, &plugin));
    ck_assert_ptr_eq(plugin, tn_registry_plugin(registry, 0));
    ck_assert_ptr_null(tn_registry_type(registry, TN_SCHEDULE, 1, NULL)); /* the twins are hidden */
    for (size_t i = 1; i < 4; i++)
        ck_assert_ptr_eq(tn_registry_plugin(registry, i)->shadowed_by, plugin->path);
    ck_assert_ptr_null(plugin->shadowed_by);
    tn_registry_close(&registry);
}
END_TEST

/* The file that is called after the type wins over an earlier one with another name, whichever was opened first. */
START_TEST(winner_does_not_depend_on_the_order_of_opening)
{
    const char *first = place("refusing", "first", "other_name"), *second = place("refusing", "second", "refusing");
    for (int early = 0; early < 2; early++) {
        struct tn_registry *registry = open_registry(first, second);
        struct tn_error error = {0};
        const struct tn_plugin *plugin;
        if (early)
            tn_registry_load(registry, 0);
        ck_assert_ptr_nonnull(tn_registry_find(registry, TN_SCHEDULE, "refusing", &error));
        tn_registry_load_all(registry);
        ck_assert_ptr_nonnull(tn_registry_type(registry, TN_SCHEDULE, 0, &plugin));
        assert_says(plugin->path, "/second/refusing.so");
        ck_assert_ptr_null(tn_registry_type(registry, TN_SCHEDULE, 1, NULL));
        ck_assert_str_eq(plugin_at(registry, "other_name")->shadowed_by, plugin->path);
        tn_registry_close(&registry);
    }
}
END_TEST

START_TEST(single_file_can_be_given)
{
    struct tn_registry *registry;
    struct tn_error error = {0};
    ck_assert_int_eq(chdir(place("refusing", "a", "refusing")), 0);
    (void)place("newer_zeros", "a", "newer_zeros");
    registry = open_registry("refusing.so", NULL); /* no slash: dlopen() would search the system for it */
    ck_assert_uint_eq(tn_registry_plugin_count(registry), 1);
    ck_assert_msg(tn_registry_find(registry, TN_SCHEDULE, "refusing", &error) != NULL, "%s", error.text);
    tn_registry_close(&registry);
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(not_found_says_what_helps)
{
    const char *folder = place("several", "a", "several");
    struct tn_registry *registry;
    struct tn_error error = {0};
    (void)place("undefined", "a", "undefined");
    registry = open_registry(folder, NULL);
    ck_assert_ptr_null(tn_registry_find(registry, TN_SCHEDULE, "several_on", &error));
    assert_says(error.text, "there is no schedule `several_on`; did you mean `several_one`?");
    assert_says(error.text, folder);
    assert_says(error.text, "1 file could not be loaded");
    ck_assert_ptr_null(tn_registry_find(registry, TN_SCHEDULE, "several_two", &error));
    assert_says(error.text, "there is a metric of that name");
    ck_assert_ptr_null(tn_registry_find(registry, TN_SCHEDULE, "xyz", &error));
    assert_says(error.text, "there are: several_one");
    ck_assert_ptr_null(tn_registry_find(registry, TN_SCHEDULE, "undefined", &error));
    assert_says(error.text, "tenon_test_defined_nowhere");
    ck_assert_ptr_null(tn_registry_find(registry, TN_SCHEDULE, "xyz", NULL)); /* an error record is not required */
    tn_registry_close(&registry);
}
END_TEST

START_TEST(refused_file_is_never_opened)
{
    struct tn_registry *registry = open_registry(place("crashing", "a", "crashing"), NULL);
    tn_registry_refuse(registry, 0, "crashed elsewhere");
    tn_registry_load_all(registry);
    ck_assert_str_eq(tn_registry_plugin(registry, 0)->problem, "crashed elsewhere");
    tn_registry_close(&registry);
}
END_TEST

START_TEST(crashing_file_is_a_line_of_the_list)
{
    char command[1024], line[1024], text[4096] = "";
    FILE *output;
    (void)place("crashing", "tenon/plugins", "crashing");
    (void)place("refusing", "tenon/plugins", "refusing");
    (void)snprintf(command, sizeof command, "%s/bin/tenon plugin list 2>/dev/null", build);
    output = popen(command, "r");
    ck_assert_ptr_nonnull(output);
    while (fgets(line, sizeof line, output))
        (void)strncat(text, line, sizeof text - strlen(text) - 1);
    ck_assert_int_eq(pclose(output), 0);
    assert_says(text, "crashing.so crashed: Abort");
    assert_says(text, "schedule  refusing");
}
END_TEST

/* All that tenon brings along is sound and called after its type. */
START_TEST(built_in_plugins_are_sound)
{
    char folder[600];
    struct tn_registry *registry;
    (void)snprintf(folder, sizeof folder, "%s/lib/tenon/plugins", build);
    (void)setenv("TENON_SYSTEM_PLUGINS", folder, 1);
    registry = open_registry(NULL, NULL);
    tn_registry_load_all(registry);
    ck_assert_uint_gt(tn_registry_plugin_count(registry), 0);
    for (size_t i = 0; i < tn_registry_plugin_count(registry); i++) {
        const struct tn_plugin *plugin = tn_registry_plugin(registry, i);
        ck_assert_msg(!plugin->problem, "%s %s", plugin->path, plugin->problem);
        ck_assert_msg(!plugin->shadowed_by, "%s has a type in common with %s", plugin->path, plugin->shadowed_by);
    }
    tn_registry_close(&registry);
}
END_TEST

/* ---- instances ---- */

struct probe { /* as in broken.c */
    int64_t number;
    const char *text;
    int32_t choice;
};

static tn_status open_instance(const char *ini, struct tn_registry *registry, struct tn_instance **instance,
                               struct tn_problems *problems)
{
    static const char *const reserved[] = {"mine", NULL};
    struct tn_config *config;
    struct tn_section *section;
    tn_status status;
    ck_assert_int_eq(tn_config_load_text(ini, strlen(ini), "t.ini", NULL, 0, &config, problems), TN_OK);
    section = tn_config_next(config, "schedule", NULL);
    status = tn_instance_open(registry, TN_SCHEDULE, NULL, section, reserved, instance, problems);
    tn_config_close(&config); /* an instance needs nothing of it */
    return status;
}

START_TEST(instance_is_filled_from_section_and_defaults)
{
    struct tn_registry *registry = open_registry(place("newer_zeros", "a", "newer_zeros"), NULL);
    struct tn_problems problems = {0};
    struct tn_instance *instance;
    const struct probe *self;
    ck_assert_int_eq(
        open_instance("[schedule:s]\ntype = newer_zeros\nnumber = 7\nmine = ignored\n", registry, &instance, &problems),
        TN_OK);
    self = instance->self;
    ck_assert_int_eq(self->number, 7);
    ck_assert_str_eq(self->text, "abc");
    ck_assert_int_eq(self->choice, 1);
    ck_assert_uint_eq((uintptr_t)self % 64, 0);
    ck_assert_str_eq(instance->name, "s");
    ck_assert_str_eq(instance->file, "t.ini");
    ck_assert_uint_eq(instance->line, 1);
    assert_says(instance->plugin->path, "newer_zeros.so");
    tn_instance_close(&instance);
    ck_assert_ptr_null(instance);
    ck_assert_int_eq(tn_instance_open(registry, TN_SCHEDULE, "newer_zeros", NULL, NULL, &instance, &problems), TN_OK);
    ck_assert_str_eq(instance->name, "newer_zeros");
    tn_instance_close(&instance);
    tn_problems_release(&problems);
    tn_registry_close(&registry);
}
END_TEST

static const struct {
    const char *ini;
    uint32_t line;
    const char *says;
} wrong[] = {
    {"[schedule:s]\nnumber = 1\n", 1, "[schedule:s] needs `type`"},
    {"[schedule:s]\n\ntype = refusin\n", 3, "did you mean `refusing`?"},
    {"[schedule:s]\ntype = newer_zeros\nnumbr = 1\n", 3, "did you mean `number`?"},
    {"[schedule:s]\ntype = newer_zeros\nnumber = 10\n", 3, "[schedule:s] number"},
    {"[schedule:s]\ntype = newer_zeros\nchoice = up\n", 3, "[schedule:s] choice"},
    {"[schedule:s]\nnumber = 4\ntype = refusing\n", 1, "[schedule:s] number: 4 is not to our taste"},
};

START_TEST(wrong_section_is_a_problem_with_its_place)
{
    struct tn_registry *registry;
    struct tn_problems problems = {0};
    struct tn_instance *instance;
    (void)place("newer_zeros", "a", "newer_zeros");
    registry = open_registry(place("refusing", "a", "refusing"), NULL);
    ck_assert_int_eq(open_instance(wrong[_i].ini, registry, &instance, &problems), TN_INVALID);
    ck_assert_ptr_null(instance);
    ck_assert_uint_eq(problems.count, 1);
    ck_assert_str_eq(problems.items[0].file, "t.ini");
    ck_assert_uint_eq(problems.items[0].line, wrong[_i].line);
    assert_says(problems.items[0].text, wrong[_i].says);
    tn_problems_release(&problems);
    tn_registry_close(&registry);
}
END_TEST

/* ---- host and kinds ---- */

START_TEST(host_serves)
{
    const struct tn_host *host = tn_host_table();
    struct tn_error error = {0};
    char path[128];
    unsigned char *memory = host->allocate(1000);
    void *data;
    uint64_t bytes;
    ck_assert_uint_eq(host->size, sizeof *host);
    ck_assert_ptr_nonnull(memory);
    ck_assert_uint_eq((uintptr_t)memory % 64, 0);
    for (size_t i = 0; i < 1000; i++)
        ck_assert_uint_eq(memory[i], 0);
    host->release(memory);
    ck_assert_ptr_null(host->allocate(UINT64_MAX));
    memory = host->allocate(0);
    ck_assert_ptr_nonnull(memory);
    host->release(memory);
    host->release(NULL);
    (void)snprintf(path, sizeof path, "%s/file", root);
    ck_assert_int_eq(host->write_file(path, "abc", 3, &error), TN_OK);
    ck_assert_int_eq(host->read_file(path, 3, &data, &bytes, &error), TN_OK);
    ck_assert(bytes == 3 && memcmp(data, "abc", 3) == 0);
    host->release(data);
    ck_assert_int_ne(host->read_file(path, 2, &data, &bytes, &error), TN_OK); /* over its limit */
    ck_assert_ptr_null(host->extension("tenon.nothing/1"));
    host->log(TN_LOG_INFO, "heard by nobody: no sink is set");
}
END_TEST

START_TEST(kinds_have_names)
{
    for (uint32_t kind = 1; kind < TN_KIND_COUNT; kind++)
        ck_assert_uint_eq(tn_kind_from_name(tn_kind_name(kind)), kind);
    ck_assert_uint_eq(tn_kind_from_name("nothing"), 0);
    ck_assert_str_eq(tn_kind_name(0), "unknown kind");
    ck_assert_str_eq(tn_kind_name(TN_KIND_COUNT), "unknown kind");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("registry");
    TCase *c = tcase_create("registry");
    SRunner *runner;
    int failed;
    tcase_add_checked_fixture(c, clear_environment, remove_folder);
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, broken_plugin_is_refused_with_its_reason, 0, (int)TN_COUNT_OF(refused));
    tcase_add_test(c, file_that_is_no_library_is_refused);
    tcase_add_test(c, newer_plugin_that_uses_nothing_new_is_taken);
    tcase_add_test(c, members_that_an_older_plugin_lacks_are_null);
    tcase_add_test(c, only_what_is_used_is_opened);
    tcase_add_test(c, folders_are_searched_in_order);
    tcase_add_test(c, winner_does_not_depend_on_the_order_of_opening);
    tcase_add_test(c, single_file_can_be_given);
    tcase_add_test(c, not_found_says_what_helps);
    tcase_add_test(c, refused_file_is_never_opened);
    tcase_add_test(c, crashing_file_is_a_line_of_the_list);
    tcase_add_test(c, built_in_plugins_are_sound);
    tcase_add_test(c, instance_is_filled_from_section_and_defaults);
    tcase_add_loop_test(c, wrong_section_is_a_problem_with_its_place, 0, (int)TN_COUNT_OF(wrong));
    tcase_add_test(c, host_serves);
    tcase_add_test(c, kinds_have_names);
    suite_add_tcase(suite, c);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
