/* init.c: `tenon init`: looks at a folder of images and writes an experiment for it. */
#include <stdio.h>
#include <string.h>

#include "cli/init.h"

struct options {
    const char *output, *plugin_path;
    int32_t force;
};

static const struct tn_option options[] = {
    TN_PATH(struct options, output, NULL, "file to write; default: the folder's name with .ini, here"),
    TN_BOOL(struct options, force, 0, "replace the file if there is one"),
    TN_PLUGIN_PATH_OPTION(struct options),
    TN_END,
};

static const struct tn_command_letter letters[] = {{'o', "output"}, {'f', "force"}, {0, NULL}};

static void say_classes(const struct tn_look *look)
{
    uint64_t least = look->class_sizes[0], most = look->class_sizes[0];
    for (uint32_t i = 0; i < look->class_count; i++) {
        least = look->class_sizes[i] < least ? look->class_sizes[i] : least;
        most = look->class_sizes[i] > most ? look->class_sizes[i] : most;
        if (i < 20)
            printf("%s%s (%llu)", i ? ", " : "  ", look->classes[i], (unsigned long long)look->class_sizes[i]);
    }
    puts(look->class_count > 20 ? ", ..." : "");
    if (least && most > 4 * least)
        printf("  The classes differ much in size (%llu to %llu images): look at more than the accuracy.\n",
               (unsigned long long)least, (unsigned long long)most);
}

static void say_found(const struct tn_look *look)
{
    printf("%s: %llu images of %u classes\n", look->train, (unsigned long long)look->train_count, look->class_count);
    say_classes(look);
    if (look->validation)
        printf("%s: %llu images for validation\n", look->validation, (unsigned long long)look->validation_count);
    else
        puts("no validation folder: a fifth of each class is set aside");
    printf("of %u pictures opened, the middle size is %dx%d (height x width)\n", look->sampled - look->unreadable,
           look->height, look->width);
    if (look->unreadable)
        printf("%u of %u could not be read, beginning with %s: consider on_error = skip\n", look->unreadable,
               look->sampled, look->first_unreadable);
}

static void say_next(const struct tn_proposal *proposal, const char *output)
{
    printf("\nwrote %s: %d stages of convolution, input %dx%d, batches of %d, at most %d epochs\n\n"
           "next:\n"
           "  tenon check %s\n"
           "  tenon train %s\n"
           "  tenon predict %s --weights runs/%s/checkpoints/best.h5 PICTURES\n",
           output, proposal->stages, proposal->target, proposal->target, proposal->batch, proposal->epochs, output,
           output, output, proposal->name);
}

static tn_status init(const struct tn_arguments *arguments, const struct options *chosen, struct tn_look *look,
                      struct tn_error *error)
{
    struct tn_proposal proposal;
    struct tn_text text = {0};
    char standard[192];
    const char *output = chosen->output;
    tn_status status = tn_look_at(look, arguments->operands[0], error);
    if (status != TN_OK)
        return status;
    tn_propose(look, &proposal);
    if (!output) {
        snprintf(standard, sizeof standard, "%s.ini", proposal.name);
        output = standard;
    }
    if (tn_path_exists(output) && !chosen->force)
        return tn_fail(error, TN_INVALID, "%s is there already; --force replaces it, -o FILE writes another", output);
    status = tn_init_text(look, &proposal, output, &text, error);
    if (status == TN_OK)
        status = tn_file_write(output, text.data, text.length, error);
    if (status == TN_OK) {
        say_found(look);
        say_next(&proposal, output);
    }
    tn_text_release(&text);
    return status;
}

static int run(struct tn_arguments *arguments)
{
    const struct options *chosen = arguments->options;
    struct tn_look look = {0};
    struct tn_error error = {0};
    tn_status status;
    tn_arguments_plugin_path(chosen->plugin_path);
    status = init(arguments, chosen, &look, &error);
    tn_arena_release(&look.arena);
    if (status == TN_NOT_FOUND)
        status = TN_INVALID; /* the folder on the command line */
    return status == TN_OK ? TN_EXIT_DONE : tn_console_fail(arguments->console, status, &error);
}

const struct tn_command tn_command_init_entry = {
    .name = "init",
    .summary = "look at a folder of images and write an experiment for it",
    .usage = "DIR [-o FILE] [--force]",
    .about = "DIR holds one folder of images for each class, or train/ and val/ (valid, validation, test) with such\n"
             "folders. Writes a commented experiment that trains as it is; `tenon train` takes it from there.",
    .examples = "  tenon init photos/\n"
                "  tenon init photos/ -o experiments/first.ini",
    .minimum_operands = 1,
    .maximum_operands = 1,
    .operand_name = "DIR",
    .options = options,
    .options_size = sizeof(struct options),
    .letters = letters,
    .run = run,
};
