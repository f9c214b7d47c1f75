/* plugin_new.c: `tenon plugin new KIND NAME [DIR]`: a folder with a plugin that builds with the installed header alone,
 * a test that passes, and an experiment that uses it. The templates are complete programs: what they say is what they
 * do. */
#include <ctype.h>
#include <stdlib.h>

#include "cli/plugin.h"

struct scaffold {
    const char *kind, *code, *section;
};

/* NAME stands for the plugin's name in every template. */
static const char source_code[] =
    "/* NAME.c: a source: lists samples and reads them. This one makes plain pictures, one colour for each class. */\n"
    "#include <stdlib.h>\n#include <tenon/plugin.h>\n\n"
    "struct NAME {\n    int64_t count;\n    struct tn_size size;\n};\n\n"
    "static const struct tn_option options[] = {\n"
    "    TN_INT(struct NAME, count, 64, 2, 1000000, \"number of samples\"),\n"
    "    TN_SIZE(struct NAME, size, \"32\", 1, 4096, \"height and width of a sample, pixels\"),\n    TN_END,\n};\n\n"
    "static const char *const classes[] = {\"dark\", \"light\"};\n\n"
    "static tn_status scan(void *self, const struct tn_source_request *request, struct tn_source_info *info, struct "
    "tn_error *error)\n{\n"
    "    const struct NAME *o = self;\n    (void)request;\n    (void)error;\n"
    "    info->count = (uint64_t)o->count;\n    info->class_count = 2;\n    info->classes = classes;\n    return "
    "TN_OK;\n}\n\n"
    "static void name(const void *self, uint64_t index, char *text, uint64_t bytes)\n{\n"
    "    (void)self;\n    (void)snprintf(text, (size_t)bytes, \"NAME#%llu\", (unsigned long long)index);\n}\n\n"
    "static int32_t label(const void *self, uint64_t index)\n{\n    (void)self;\n    return (int32_t)(index % "
    "2);\n}\n\n"
    "/* A worker's buffer: what read() hands out lives here until its next call. */\n"
    "static tn_status worker_open(const void *self, void **worker, struct tn_error *error)\n{\n"
    "    const struct NAME *o = self;\n    *worker = malloc((size_t)o->size.height * (size_t)o->size.width * 3);\n"
    "    return *worker ? TN_OK : tn_fail(error, TN_NO_MEMORY, \"no memory for a picture\");\n}\n\n"
    "static void worker_close(const void *self, void *worker)\n{\n    (void)self;\n    free(worker);\n}\n\n"
    "static tn_status read_sample(const void *self, void *worker, uint64_t index, struct tn_sample *sample, struct "
    "tn_error *error)\n{\n"
    "    const struct NAME *o = self;\n    (void)error;\n    sample->label = label(self, index);\n"
    "    memset(worker, sample->label ? 200 : 50, (size_t)o->size.height * (size_t)o->size.width * 3);\n"
    "    sample->image = (struct tn_image){o->size.height, o->size.width, 3, TN_PIXEL_U8, worker};\n    return "
    "TN_OK;\n}\n\n"
    "static const struct tn_source NAME = {\n    TN_TYPE(TN_SOURCE, \"NAME\", struct NAME, options, \"plain dark and "
    "light pictures\"),\n"
    "    .scan = scan,\n    .name = name,\n    .label = label,\n    .worker_open = worker_open,\n    .worker_close = "
    "worker_close,\n"
    "    .read = read_sample,\n};\n\nTN_PLUGIN(\"NAME\", \"0.1.0\", \"MIT\", &NAME.type);\n";

static const char augment_code[] =
    "/* NAME.c: an augmentation: changes samples on their way into a batch. This one negates some of them. */\n"
    "#include <tenon/plugin.h>\n\n"
    "struct NAME {\n    double probability;\n};\n\n"
    "static const struct tn_option options[] = {\n"
    "    TN_FLOAT(struct NAME, probability, 0.5, 0.0, 1.0, \"chance that an image is negated\"),\n    TN_END,\n};\n\n"
    "/* [worker]: many threads at once; self is read only; draws come from `random` alone, so that runs repeat. */\n"
    "static tn_status apply(const void *self, struct tn_image *image, struct tn_random *random, struct tn_error "
    "*error)\n{\n"
    "    const struct NAME *o = self;\n    float *x = image->pixels;\n"
    "    size_t count = (size_t)image->height * (size_t)image->width * (size_t)image->channels;\n    (void)error;\n"
    "    if (tn_random_unit(random) >= o->probability)\n        return TN_OK;\n"
    "    for (size_t i = 0; i < count; i++)\n        x[i] = 255.0f - x[i];\n    return TN_OK;\n}\n\n"
    "static const struct tn_augment NAME = {\n    TN_TYPE(TN_AUGMENT, \"NAME\", struct NAME, options, \"negates some "
    "images\"),\n"
    "    .apply = apply,\n};\n\nTN_PLUGIN(\"NAME\", \"0.1.0\", \"MIT\", &NAME.type);\n";

static const char layer_code[] =
    "/* NAME.c: a layer with kernels of its own: y = x * sigmoid(beta * x), element by element. */\n"
    "#include <math.h>\n#include <tenon/plugin.h>\n\n"
    "struct NAME {\n    double beta;\n};\n\n"
    "static const struct tn_option options[] = {\n"
    "    TN_FLOAT(struct NAME, beta, 1.0, 0.001, 100.0, \"slope of the gate\"),\n    TN_END,\n};\n\n"
    "static tn_status infer(const void *self, const struct tn_shape *inputs, uint32_t count, struct tn_layer_spec "
    "*spec,\n"
    "                       struct tn_error *error)\n{\n    (void)self;\n    (void)count;\n    (void)error;\n"
    "    spec->output = inputs[0];\n    return TN_OK;\n}\n\n"
    "static tn_status forward(const struct tn_pass *p, struct tn_error *error)\n{\n"
    "    const struct NAME *o = p->self;\n    uint64_t count = tn_shape_elements(&p->output_shapes[0]);\n    "
    "(void)error;\n"
    "    for (uint64_t i = 0; i < count; i++)\n"
    "        p->outputs[0][i] = p->inputs[0][i] / (1.0f + expf(-(float)o->beta * p->inputs[0][i]));\n    return "
    "TN_OK;\n}\n\n"
    "/* With s = sigmoid(beta x): dy/dx = s + beta x s (1 - s). */\n"
    "static tn_status backward(const struct tn_pass *p, struct tn_error *error)\n{\n"
    "    const struct NAME *o = p->self;\n    uint64_t count = tn_shape_elements(&p->output_shapes[0]);\n"
    "    float beta = (float)o->beta;\n    (void)error;\n    if (!p->input_gradients[0])\n        return TN_OK;\n"
    "    for (uint64_t i = 0; i < count; i++) {\n        float x = p->inputs[0][i], s = 1.0f / (1.0f + expf(-beta * "
    "x));\n"
    "        p->input_gradients[0][i] = p->output_gradients[0][i] * (s + beta * x * s * (1.0f - s));\n    }\n    "
    "return TN_OK;\n}\n\n"
    "static const struct tn_layer NAME = {\n    TN_TYPE(TN_LAYER, \"NAME\", struct NAME, options, \"x * sigmoid(beta * "
    "x)\"),\n"
    "    .infer = infer,\n    .forward = forward,\n    .backward = backward,\n};\n\nTN_PLUGIN(\"NAME\", \"0.1.0\", "
    "\"MIT\", &NAME.type);\n";

static const char loss_code[] =
    "/* NAME.c: a loss: mean absolute difference of prediction and target. */\n#include <math.h>\n#include "
    "<tenon/plugin.h>\n\n"
    "struct NAME {\n    char none;\n};\n\n"
    "static void compute(const struct tn_loss_pass *p)\n{\n    for (int32_t i = 0; i < p->batch; i++) {\n"
    "        float weight = p->weight ? p->weight[i] : 1.0f, sum = 0.0f;\n        for (int32_t k = 0; k < p->classes; "
    "k++) {\n"
    "            size_t at = (size_t)i * (size_t)p->classes + (size_t)k;\n            float d = p->prediction[at] - "
    "p->target[at];\n"
    "            sum += fabsf(d);\n            if (p->gradient)\n"
    "                p->gradient[at] = weight * (float)((d > 0) - (d < 0)) / (float)(p->classes * p->batch);\n        "
    "}\n"
    "        p->loss[i] = weight * sum / (float)p->classes;\n    }\n}\n\n"
    "static const struct tn_loss NAME = {\n    TN_TYPE(TN_LOSS, \"NAME\", struct NAME, NULL, \"mean absolute "
    "difference\"),\n"
    "    .compute = compute,\n};\n\nTN_PLUGIN(\"NAME\", \"0.1.0\", \"MIT\", &NAME.type);\n";

static const char metric_code[] =
    "/* NAME.c: a metric: mean of the largest score, the network's own opinion of how sure it is. */\n#include "
    "<tenon/plugin.h>\n\n"
    "struct NAME {\n    char none;\n};\n\n/* Kept by the core, zero at the begin of each epoch. */\nstruct sums {\n    "
    "double sum, count;\n};\n\n"
    "static void update(const void *self, void *state, const struct tn_metric_batch *b)\n{\n    struct sums *s = "
    "state;\n    (void)self;\n"
    "    for (int32_t i = 0; i < b->batch; i++) {\n        const float *p = b->prediction + (size_t)i * "
    "(size_t)b->classes;\n        float most = p[0];\n"
    "        for (int32_t k = 1; k < b->classes; k++)\n            most = p[k] > most ? p[k] : most;\n        s->sum "
    "+= most;\n        s->count += 1;\n    }\n}\n\n"
    "static double value(const void *self, const void *state)\n{\n    const struct sums *s = state;\n    (void)self;\n"
    "    return s->count > 0 ? s->sum / s->count : 0.0;\n}\n\n"
    "static const struct tn_metric NAME = {\n    TN_TYPE(TN_METRIC, \"NAME\", struct NAME, NULL, \"mean of the largest "
    "score\"),\n"
    "    .state_size = sizeof(struct sums),\n    .direction = TN_DIRECTION_UP,\n    .update = update,\n    .value = "
    "value,\n};\n\n"
    "TN_PLUGIN(\"NAME\", \"0.1.0\", \"MIT\", &NAME.type);\n";

static const char optimizer_code[] =
    "/* NAME.c: an optimizer: steps of a fixed size along the sign of the gradient. */\n#include <tenon/plugin.h>\n\n"
    "struct NAME {\n    double learning_rate;\n};\n\n"
    "static const struct tn_option options[] = {\n"
    "    TN_FLOAT(struct NAME, learning_rate, 0.001, 0.0, TN_ANY, \"size of a step\"),\n    TN_END,\n};\n\n"
    "static int32_t slot_count(const void *self)\n{\n    (void)self;\n    return 0;\n}\n\n"
    "static double learning_rate(const void *self)\n{\n    return ((const struct NAME *)self)->learning_rate;\n}\n\n"
    "static void update(const struct tn_update *u)\n{\n    float rate = (float)u->learning_rate;\n    for (uint64_t i "
    "= 0; i < u->count; i++)\n"
    "        u->parameter[i] -= rate * (float)((u->gradient[i] > 0) - (u->gradient[i] < 0));\n}\n\n"
    "static const struct tn_optimizer NAME = {\n    TN_TYPE(TN_OPTIMIZER, \"NAME\", struct NAME, options, \"steps "
    "along the sign of the gradient\"),\n"
    "    .slot_count = slot_count,\n    .learning_rate = learning_rate,\n    .update = "
    "update,\n};\n\nTN_PLUGIN(\"NAME\", \"0.1.0\", \"MIT\", &NAME.type);\n";

static const char callback_code[] =
    "/* NAME.c: a callback: says after each epoch by how much the loss fell. */\n#include <tenon/plugin.h>\n\n"
    "struct NAME {\n    const char *monitor;\n    double last; /* not an option: the callback's own */\n    int32_t "
    "seen;\n};\n\n"
    "static const struct tn_option options[] = {\n    TN_STRING(struct NAME, monitor, \"loss\", \"the value to "
    "follow\"),\n    TN_END,\n};\n\n"
    "static tn_status on(void *self, int32_t event, const struct tn_run *run, struct tn_error *error)\n{\n    struct "
    "NAME *o = self;\n    (void)error;\n"
    "    for (uint32_t i = 0; event == TN_EPOCH_END && i < run->log_count; i++) {\n        char text[128];\n"
    "        if (strcmp(run->logs[i].name, o->monitor) != 0)\n            continue;\n        if (o->seen) {\n"
    "            (void)snprintf(text, sizeof text, \"%s changed by %+.4f\", o->monitor, run->logs[i].value - "
    "o->last);\n"
    "            run->say(run, TN_LOG_INFO, text);\n        }\n        o->last = run->logs[i].value;\n        o->seen "
    "= 1;\n    }\n    return TN_OK;\n}\n\n"
    "static const struct tn_callback NAME = {\n    TN_TYPE(TN_CALLBACK, \"NAME\", struct NAME, options, \"says how a "
    "value changed\"),\n    .on = on,\n};\n\n"
    "TN_PLUGIN(\"NAME\", \"0.1.0\", \"MIT\", &NAME.type);\n";

static const struct scaffold scaffolds[] = {
    {"source", source_code, "[source:train]\ntype = NAME\n\n[source:validation]\ntype = NAME\n"},
    {"augment", augment_code, "[augment:first]\ntype = NAME\n"},
    {"layer", layer_code, "[layer:mine]\ntype = NAME\n"},
    {"loss", loss_code, "[loss]\ntype = NAME\n"},
    {"metric", metric_code, "[metric:NAME]\ntype = NAME\n"},
    {"optimizer", optimizer_code, "[optimizer]\ntype = NAME\n"},
    {"callback", callback_code, "[callback:NAME]\ntype = NAME\n"},
};

static const char makefile[] =
    "# Builds NAME.so with the installed header of tenon, or with TENON_INCLUDE=DIR (…/core/include of a checkout).\n"
    "TENON ?= tenon\n"
    "CFLAGS ?= -O2 -Wall -Wextra\n"
    "INCLUDE := $(if $(TENON_INCLUDE),-I$(TENON_INCLUDE),$(shell pkg-config --cflags tenon 2>/dev/null))\n\n"
    "NAME.so: NAME.c\n\t$(CC) -std=c11 $(CFLAGS) $(INCLUDE) -shared -fPIC -fvisibility=hidden -o $@ $< -lm\n\n"
    "test: NAME.so\n\t$(TENON) plugin check ./NAME.so\n\n"
    "run: NAME.so\n\tTENON_PLUGIN_PATH=. $(TENON) train NAME.ini --fresh\n\n"
    "clean:\n\trm -rf NAME.so runs\n\n.PHONY: test run clean\n";

static const char readme[] =
    "# NAME\nA plugin of tenon.\n\n    make        # NAME.so\n    make test   # `tenon plugin check ./NAME.so`\n"
    "    make run    # trains NAME.ini with it\n\nUse it: put NAME.so into a folder of TENON_PLUGIN_PATH, or into\n"
    "~/.local/share/tenon/plugins.\n";

/* Every NAME of a template becomes the name. */
static void fill_in(struct tn_text *text, const char *from, const char *name)
{
    for (const char *next; (next = strstr(from, "NAME")); from = next + 4) {
        tn_text_add_bytes(text, from, (size_t)(next - from));
        tn_text_add(text, name);
    }
    tn_text_add(text, from);
}

static bool write_file(const char *folder, const char *file, const struct tn_text *text)
{
    char path[4096];
    struct tn_error error = {0};
    (void)snprintf(path, sizeof path, "%s/%s", folder, file);
    if (!text->failed && tn_file_write(path, text->data, text->length, &error) == TN_OK)
        return true;
    fprintf(stderr, "tenon: %s\n", text->failed ? "out of memory" : error.text);
    return false;
}

/* An experiment on drawn pictures that uses the plugin. */
static void experiment(struct tn_text *text, const struct scaffold *scaffold, const char *name)
{
    bool is_source = strcmp(scaffold->kind, "source") == 0, is_loss = strcmp(scaffold->kind, "loss") == 0;
    fill_in(text,
            "; An experiment that uses NAME: `make run`.\n[experiment]\nname = NAME\nepochs = 2\n\n[data]\ntarget_size "
            "= 32x32\nbatch_size = 16\n",
            name);
    if (strcmp(scaffold->kind, "augment") == 0)
        tn_text_add(text, "augment = first, scale\n");
    else
        tn_text_add(text, "augment = scale\n");
    if (!is_source)
        tn_text_add(text, "\n[source:train]\ntype = shapes\ncount = 128\nclasses = 4\n\n[source:validation]\ntype = "
                          "shapes\ncount = 32\nclasses = 4\nstart = 1000\n");
    tn_text_add(text, "\n[augment:scale]\ntype = rescale\nscale = 1/255\n\n");
    if (strcmp(scaffold->kind, "layer") != 0)
        fill_in(text, scaffold->section, name);
    tn_text_add(text, "\n[layer:conv]\ntype = conv2d\nfilters = 8\nkernel_size = 3\n\n");
    if (strcmp(scaffold->kind, "layer") == 0)
        fill_in(text, scaffold->section, name);
    tn_text_format(text,
                   "\n[layer:pool]\ntype = global_average_pooling2d\n\n[layer:classes]\ntype = dense\nunits = "
                   "%d\nactivation = %s\n",
                   is_source ? 2 : 4, is_loss ? "linear" : "softmax");
}

static int words_run(size_t count, const char *const *words)
{
    const struct scaffold *scaffold = NULL;
    struct tn_text text[4] = {{0}};
    struct tn_error error = {0};
    char folder[2048], file[300];
    const char *kinds[TN_COUNT_OF(scaffolds) + 1] = {NULL}, *near;
    bool good;
    for (size_t i = 0; i < TN_COUNT_OF(scaffolds); i++) {
        kinds[i] = scaffolds[i].kind;
        if (count > 0 && strcmp(words[0], scaffolds[i].kind) == 0)
            scaffold = &scaffolds[i];
    }
    near = count > 0 ? tn_nearest(words[0], kinds) : NULL;
    if (count < 2 || !scaffold) {
        fprintf(stderr,
                "tenon: plugin new KIND NAME [DIR]: KIND is source, augment, layer, loss, metric, optimizer or "
                "callback%s%s%s\n",
                !scaffold && near ? "; did you mean `" : "", !scaffold && near ? near : "",
                !scaffold && near ? "`?" : "");
        return TN_EXIT_WRONG;
    }
    for (const char *c = words[1]; *c; c++) {
        if (!(islower((unsigned char)*c) || *c == '_' || (c != words[1] && isdigit((unsigned char)*c))) ||
            strlen(words[1]) > 60) {
            fprintf(stderr,
                    "tenon: plugin new: `%s` is no good name: use a-z, 0-9 and _, as in C, at most 60 letters\n",
                    words[1]);
            return TN_EXIT_WRONG;
        }
    }
    (void)snprintf(folder, sizeof folder, "%s", count > 2 ? words[2] : words[1]);
    if (tn_path_exists(folder)) {
        fprintf(stderr, "tenon: plugin new: %s is there already; name another folder as last word\n", folder);
        return TN_EXIT_WRONG;
    }
    if (tn_folder_make(folder, &error) != TN_OK) {
        fprintf(stderr, "tenon: %s\n", error.text);
        return TN_EXIT_FAILED;
    }
    fill_in(&text[0], scaffold->code, words[1]);
    fill_in(&text[1], makefile, words[1]);
    fill_in(&text[2], readme, words[1]);
    experiment(&text[3], scaffold, words[1]);
    (void)snprintf(file, sizeof file, "%s.c", words[1]);
    good = write_file(folder, file, &text[0]) && write_file(folder, "Makefile", &text[1]) &&
           write_file(folder, "README.md", &text[2]);
    (void)snprintf(file, sizeof file, "%s.ini", words[1]);
    good = good && write_file(folder, file, &text[3]);
    for (size_t i = 0; i < TN_COUNT_OF(text); i++)
        tn_text_release(&text[i]);
    if (!good)
        return TN_EXIT_FAILED;
    printf("wrote %s/: %s.c, Makefile, README.md, %s.ini\nnext:  cd %s && make test\n", folder, words[1], words[1],
           folder);
    return TN_EXIT_DONE;
}

static int run(struct tn_arguments *arguments)
{
    return words_run(arguments->operand_count, arguments->operands);
}

const struct tn_command tn_plugin_new_entry = {
    .name = "plugin new",
    .summary = "a folder with a plugin that builds on its own and has a test",
    .usage = "KIND NAME [DIR]",
    .about = "a folder with a plugin that builds on its own and has a test",
    .examples = "  tenon plugin new augment sepia",
    .minimum_operands = 2,
    .maximum_operands = 3,
    .operand_name = "KIND",
    .run = run,
};
