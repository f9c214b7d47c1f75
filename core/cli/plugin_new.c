/* plugin_new.c: `tenon plugin new KIND NAME [DIR]`: a folder with a plugin that builds with the installed header alone,
 * a test that passes, and an experiment that uses it. Its files are core/cli/templates. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/plugin.h"

enum { LONGEST_NAME = 60 };

struct scaffold {
    const char *kind, *name, *folder;
};

#define DRAWN_SOURCES                                                                                                  \
    "[source:train]\ntype    = shapes\ncount   = 240\nclasses = 4\n\n"                                                 \
    "[source:validation]\ntype    = shapes\ncount   = 80\nclasses = 4\nstart   = 1000000\n"

/* What differs between the experiments of the kinds: a word of experiment.ini.in, and its text for one kind (NULL: for
 * all others). The first row that fits wins. */
static const struct {
    const char *word, *kind, *text;
} pieces[] = {
    {"SOURCE", "source", "[source:train]\ntype = @NAME@\n"},
    {"SOURCE", NULL, DRAWN_SOURCES},
    {"DATA", "source", "validation_split = 0.25\n"},
    {"DATA", "augment", "augment     = mine\n"},
    {"DATA", NULL, ""},
    {"AUGMENT", "augment", "[augment:mine]\ntype = @NAME@\n\n"},
    {"AUGMENT", NULL, ""},
    {"LAYER", "layer", "[layer:mine]\ntype = @NAME@\n\n"},
    {"LAYER", NULL, ""},
    {"CLASSES", "source", "2"},
    {"CLASSES", NULL, "4"},
    {"END", "loss", "\n[loss]\ntype = @NAME@\n"},
    {"END", "metric", "\n[metric:mine]\ntype = @NAME@\n"},
    {"END", "optimizer", "\n[optimizer]\ntype = @NAME@\n"},
    {"END", "schedule", "\n[schedule]\ntype = @NAME@\n"},
    {"END", "callback", "\n[callback:mine]\ntype = @NAME@\n"},
    {"END", NULL, ""},
};

static const char *template_of(const char *name)
{
    for (const struct tn_template *row = tn_templates; row->name; row++)
        if (strcmp(row->name, name) == 0)
            return row->text;
    return NULL;
}

/* The template of a kind's code, or NULL: that is which kinds there are. */
static const char *code_of(const char *kind)
{
    char name[LONGEST_NAME];
    (void)snprintf(name, sizeof name, "%.40s.c", kind);
    return template_of(name);
}

static const char *piece_of(const struct scaffold *scaffold, const char *word, size_t length)
{
    if (length == 4 && strncmp(word, "NAME", length) == 0)
        return scaffold->name;
    if (length == 4 && strncmp(word, "KIND", length) == 0)
        return scaffold->kind;
    for (size_t i = 0; i < TN_COUNT_OF(pieces); i++)
        if (strlen(pieces[i].word) == length && strncmp(pieces[i].word, word, length) == 0 &&
            (!pieces[i].kind || strcmp(pieces[i].kind, scaffold->kind) == 0))
            return pieces[i].text;
    return NULL;
}

/* Replaces each @WORD@ that is known; other @ stay (a Makefile's $@). Pieces have at most @NAME@ in them. */
static void fill_in(struct tn_text *text, const char *from, const struct scaffold *scaffold)
{
    while (*from) {
        size_t plain = strcspn(from, "@"), length;
        const char *piece;
        tn_text_add_bytes(text, from, plain);
        from += plain;
        if (!*from)
            break;
        length = strcspn(from + 1, "@ \n");
        piece = from[1 + length] == '@' ? piece_of(scaffold, from + 1, length) : NULL;
        if (piece) {
            fill_in(text, piece, scaffold);
            from += length + 2;
        } else {
            tn_text_add(text, "@");
            from++;
        }
    }
}

static tn_status write_file(const struct scaffold *scaffold, const char *file, const char *from, bool program,
                            struct tn_error *error)
{
    struct tn_text text = {0}, path = {0};
    tn_status status = TN_NO_MEMORY;
    fill_in(&text, from, scaffold);
    tn_text_format(&path, "%s/", scaffold->folder);
    fill_in(&path, file, scaffold);
    if (text.failed || path.failed)
        (void)tn_fail(error, status, "out of memory");
    else
        status = tn_file_write(path.data, text.data, text.length, error);
    if (status == TN_OK && program && chmod(path.data, 0755) != 0)
        status = tn_fail(error, TN_IO, "%s: %s", path.data, strerror(errno));
    tn_text_release(&text);
    tn_text_release(&path);
    return status;
}

static tn_status write_all(const struct scaffold *scaffold, struct tn_error *error)
{
    tn_status status = tn_folder_make(scaffold->folder, error);
    if (status == TN_OK)
        status = write_file(scaffold, "@NAME@.c", code_of(scaffold->kind), false, error);
    if (status == TN_OK)
        status = write_file(scaffold, "@NAME@.ini", template_of("experiment.ini"), false, error);
    if (status == TN_OK)
        status = write_file(scaffold, "Makefile", template_of("Makefile"), false, error);
    if (status == TN_OK)
        status = write_file(scaffold, "test.sh", template_of("test.sh"), true, error);
    if (status == TN_OK)
        status = write_file(scaffold, "README.md", template_of("README.md"), false, error);
    if (status == TN_OK)
        status = write_file(scaffold, ".gitignore", template_of("gitignore"), false, error);
    return status;
}

/* A name of C that also is a file's and an option's. */
static bool is_good_name(const char *name)
{
    size_t length = strlen(name);
    return length && length <= LONGEST_NAME && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == length &&
           (name[0] < '0' || name[0] > '9');
}

static bool is_good_kind(struct tn_console *console, const char *kind)
{
    const char *names[TN_KIND_COUNT + 1], *near;
    struct tn_text all = {0};
    size_t count = 0;
    if (code_of(kind))
        return true;
    for (uint32_t i = 1; i < TN_KIND_COUNT; i++) {
        if (!code_of(tn_kind_name(i)))
            continue;
        tn_text_format(&all, "%s%s", count ? ", " : "", tn_kind_name(i));
        names[count++] = tn_kind_name(i);
    }
    names[count] = NULL;
    near = tn_nearest(kind, names);
    if (near)
        tn_console_say(console, TN_LOG_ERROR, "plugin new: there is no kind `%s`; did you mean `%s`?", kind, near);
    else
        tn_console_say(console, TN_LOG_ERROR, "plugin new: there is nothing to begin with for `%s`; there is for %s",
                       kind, all.failed ? "" : all.data);
    tn_text_release(&all);
    return false;
}

static int run(struct tn_arguments *arguments)
{
    const char *const *words = arguments->operands;
    struct scaffold scaffold = {words[0], words[1], arguments->operand_count > 2 ? words[2] : words[1]};
    struct tn_console *console = arguments->console;
    struct tn_error error = {0};
    tn_status status;
    if (!is_good_kind(console, scaffold.kind))
        return TN_EXIT_WRONG;
    if (!is_good_name(scaffold.name)) {
        tn_console_say(
            console, TN_LOG_ERROR,
            "plugin new: `%s` is no good name: it may have a-z, 0-9 and _, begins with a letter, and has at most "
            "%d letters",
            scaffold.name, (int)LONGEST_NAME);
        return TN_EXIT_WRONG;
    }
    if (tn_path_exists(scaffold.folder)) {
        tn_console_say(console, TN_LOG_ERROR, "plugin new: %s is there already; name another folder as last word",
                       scaffold.folder);
        return TN_EXIT_WRONG;
    }
    status = write_all(&scaffold, &error);
    if (status != TN_OK)
        return tn_console_fail(console, status, &error);
    printf("wrote %s/: %s.c, %s.ini, Makefile, test.sh, README.md\nnext:  cd %s && make test\n", scaffold.folder,
           scaffold.name, scaffold.name, scaffold.folder);
    return TN_EXIT_DONE;
}

const struct tn_command tn_plugin_new_entry = {
    .name = "plugin new",
    .summary = "a folder with a plugin that builds on its own and has a test",
    .usage = "KIND NAME [DIR]",
    .about =
        "Writes a plugin that does something small: C file, Makefile, test, an experiment that uses it. It needs a C\n"
        "compiler and tenon's header, nothing else. KIND: source, augment, layer, loss, metric, optimizer, schedule,\n"
        "callback. DIR is NAME unless it is given.",
    .examples = "  tenon plugin new augment sepia && make -C sepia test\n"
                "  tenon plugin new layer swish plugins/swish",
    .minimum_operands = 2,
    .maximum_operands = 3,
    .operand_name = "KIND or NAME",
    .run = run,
};
