/* plugin_check.c: `tenon plugin check FILE.so`: tries to break each type of a plugin. Every probe runs in a child
 * process, so that a crash is a failed probe and not the end of the check. */
#include "cli/plugin.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plan/network.h"

enum { GUARD = 64, PROBE_SECONDS = 60 };

struct probe {
    struct tn_registry *registry;
    const struct tn_type *type;
    char text[1500]; /* what is wrong; "" = fine; "-…" = skipped, with the reason */
};

TN_PRINTF(2, 3) static void wrong(struct probe *probe, const char *format, ...)
{
    va_list arguments;
    if (probe->text[0])
        return;
    va_start(arguments, format);
    (void)vsnprintf(probe->text, sizeof probe->text, format, arguments);
    va_end(arguments);
}

/* An instance with the given "key=value", or with something for each required option. NULL with a reason in `probe`. */
static struct tn_instance *open_instance(struct probe *probe, const char *key, const char *value, bool expect_failure)
{
    struct tn_text ini = {0};
    struct tn_problems problems = {0};
    struct tn_config *config = NULL;
    struct tn_instance *instance = NULL;
    tn_text_format(&ini, "[%s:probe]\ntype = %s\n", tn_kind_name(probe->type->kind), probe->type->name);
    for (const struct tn_option *o = probe->type->options; o && o->kind; o++) {
        bool number = o->kind == TN_OPTION_INT || o->kind == TN_OPTION_FLOAT;
        if (key && strcmp(key, o->name) == 0)
            tn_text_format(&ini, "%s = %s\n", key, value);
        else if (number && isnan(o->default_number))
            tn_text_format(&ini, "%s = %.17g\n", o->name,
                           o->minimum <= 1 && o->maximum >= 1 ? 1.0
                           : isfinite(o->minimum)             ? o->minimum
                                                              : 0.0);
        else if (o->flags & TN_OPTION_IS_REQUIRED)
            tn_text_format(&ini, "%s = %s\n", o->name,
                           o->kind == TN_OPTION_SIZE     ? "3"
                           : o->kind == TN_OPTION_STRING ? "relu"
                                                         : "1");
    }
    if (tn_config_load_text(ini.data, ini.length, "probe.ini", NULL, 0, &config, &problems) == TN_OK)
        (void)tn_instance_open(probe->registry, probe->type->kind, NULL,
                               tn_config_next(config, tn_kind_name(probe->type->kind), NULL), NULL, &instance,
                               &problems);
    if (!instance && !expect_failure)
        wrong(probe, "cannot be opened%s%s%s%s: %s", key ? " with " : "", key ? key : "", key ? " = " : "",
              key ? value : "", problems.count ? problems.items[0].text : "out of memory");
    tn_text_release(&ini);
    tn_problems_release(&problems);
    return instance; /* the config is left to the end of this process: the instance reads it */
}

static void probe_options(struct probe *probe)
{
    struct tn_instance *instance = open_instance(probe, NULL, NULL, false);
    tn_instance_close(&instance);
    for (const struct tn_option *o = probe->type->options; o && o->kind && !probe->text[0]; o++) {
        const double bounds[] = {o->minimum, o->maximum};
        if (o->kind != TN_OPTION_INT && o->kind != TN_OPTION_FLOAT)
            continue;
        if (!(o->minimum <= o->maximum))
            wrong(probe, "%s: its least value is above its largest", o->name);
        if (!isnan(o->default_number) && (o->default_number < o->minimum || o->default_number > o->maximum))
            wrong(probe, "%s: its default is outside of its own range", o->name);
        for (size_t i = 0; i < 2; i++) {
            char text[64];
            /* Above this, opening may rightly refuse for want of memory. */
            if (!isfinite(bounds[i]) || fabs(bounds[i]) > 4096)
                continue;
            (void)snprintf(text, sizeof text, "%.17g", bounds[i]);
            instance = open_instance(probe, o->name, text, true);
            tn_instance_close(&instance);
            (void)snprintf(text, sizeof text, "%.17g", i ? bounds[i] + 1 : bounds[i] - 1);
            instance = open_instance(probe, o->name, text, true);
            if (instance)
                wrong(probe, "%s = %s was taken though it is out of range", o->name, text);
            tn_instance_close(&instance);
        }
    }
}

static void fill_random(float *data, size_t count, double low, double high, uint64_t seed)
{
    struct tn_random random = tn_random_stream(seed, 7);
    for (size_t i = 0; i < count; i++)
        data[i] = (float)tn_random_uniform(&random, low, high);
}

static void augment_once(struct probe *probe, const struct tn_instance *instance, int32_t height, int32_t width,
                         int32_t channels, bool random_given)
{
    const struct tn_augment *augment = (const struct tn_augment *)(const void *)probe->type;
    size_t count = (size_t)height * (size_t)width * (size_t)channels;
    float *memory = calloc(count + 2 * GUARD, sizeof *memory), *twin = calloc(count, sizeof *twin);
    struct tn_image image = {height, width, channels, TN_PIXEL_F32, memory ? memory + GUARD : NULL};
    struct tn_random random = tn_random_stream(1, 2);
    struct tn_error error = {0};
    if (!memory || !twin)
        return;
    for (int pass = 0; pass < 2 && augment->apply && !probe->text[0]; pass++) {
        for (size_t i = 0; i < GUARD; i++)
            memory[i] = memory[GUARD + count + i] = 12345.0f;
        fill_random(image.pixels, count, 0, 255, 3);
        random = tn_random_stream(1, 2);
        if (augment->apply(instance->self, &image, random_given ? &random : NULL, &error) != TN_OK)
            wrong(probe, "apply() fails on a %dx%dx%d image: %s", height, width, channels, error.text);
        if (image.height != height || image.width != width || image.channels != channels ||
            image.pixels != memory + GUARD)
            wrong(probe, "apply() changes the size of the image or its buffer");
        for (size_t i = 0; i < GUARD; i++)
            if (memory[i] != 12345.0f || memory[GUARD + count + i] != 12345.0f)
                wrong(probe, "apply() writes outside of a %dx%dx%d image", height, width, channels);
        for (size_t i = 0; i < count; i++)
            if (!isfinite(memory[GUARD + i]))
                wrong(probe, "apply() makes a pixel that is no number");
        if (pass == 1 && memcmp(twin, memory + GUARD, count * sizeof *twin) != 0)
            wrong(probe, "apply() gives other pixels for the same random stream: runs would not repeat");
        memcpy(twin, memory + GUARD, count * sizeof *twin);
    }
    if (augment->affine) {
        struct tn_affine map = {1, 0, 0, 0, 1, 0};
        int32_t fill_mode = TN_FILL_NEAREST;
        float fill_value = 0;
        if (augment->affine(instance->self, height, width, random_given ? &random : NULL, &map, &fill_mode, &fill_value,
                            &error) != TN_OK)
            wrong(probe, "affine() fails: %s", error.text);
        if (!isfinite(map.yy + map.yx + map.y0 + map.xy + map.xx + map.x0))
            wrong(probe, "affine() gives a map that is no number");
    }
    if (augment->scale_shift) {
        struct tn_scale_shift out = {{1, 1, 1, 1}, {0, 0, 0, 0}};
        if (augment->scale_shift(instance->self, channels, random_given ? &random : NULL, &out, &error) != TN_OK)
            wrong(probe, "scale_shift() fails: %s", error.text);
    }
    free(memory);
    free(twin);
}

static void probe_augment(struct probe *probe)
{
    static const int32_t sizes[][3] = {{1, 1, 1}, {1, 7, 3}, {5, 3, 3}, {64, 48, 3}, {17, 31, 4}, {32, 32, 1}};
    struct tn_instance *instance = open_instance(probe, NULL, NULL, false);
    for (size_t i = 0; instance && i < TN_COUNT_OF(sizes) && !probe->text[0]; i++) {
        augment_once(probe, instance, sizes[i][0], sizes[i][1], sizes[i][2], true);
        if (probe->type->flags & TN_AUGMENT_MIXED)
            augment_once(probe, instance, sizes[i][0], sizes[i][1], sizes[i][2], false);
    }
    tn_instance_close(&instance);
}

/* ---- layers: derivatives against differences, on the CPU device ---- */

/* sum(c * y) with a fixed c: linear, so that its derivative by anything is the layer's own. */
static void linear_loss(const struct tn_loss_pass *p)
{
    for (int32_t i = 0; i < p->batch; i++) {
        double sum = 0;
        for (int32_t k = 0; k < p->classes; k++) {
            size_t at = (size_t)i * (size_t)p->classes + (size_t)k;
            float c = (float)((at * 7 + 3) % 11) / 11.0f - 0.4f;
            sum += (double)c * p->prediction[at];
            if (p->gradient)
                p->gradient[at] = c / (float)p->batch;
        }
        p->loss[i] = (float)sum;
    }
}

static int32_t no_slots(const void *self)
{
    (void)self;
    return 0;
}

static double no_rate(const void *self)
{
    (void)self;
    return 0;
}

static void no_update(const struct tn_update *update)
{
    (void)update;
}

static double loss_of(struct tn_network *network, const float *images, const float *targets, struct probe *probe)
{
    static const struct tn_step step = {.size = sizeof step, .step = 1, .seed = 5};
    struct tn_error error = {0};
    float losses[2] = {0, 0};
    if (tn_network_train_step(network, 2, images, targets, NULL, &step, losses, NULL, &error) != TN_OK)
        wrong(probe, "a training step fails: %s", error.text);
    return ((double)losses[0] + losses[1]) / 2;
}

static void compare_gradients(struct probe *probe, struct tn_network *network, float *images, size_t count,
                              const float *targets)
{
    static const struct tn_step step = {.size = sizeof step, .step = 1, .seed = 5};
    struct tn_error error = {0};
    float *gradient = calloc(count, sizeof *gradient);
    double largest = 1e-3;
    size_t bad = 0, tried = 0;
    if (!gradient || tn_network_input_gradient(network, 2, images, targets, &step, gradient, &error) != TN_OK) {
        wrong(probe, "its derivative cannot be computed: %s", error.text);
        free(gradient);
        return;
    }
    for (size_t i = 0; i < count; i++)
        largest = fabs(gradient[i]) > largest ? fabs(gradient[i]) : largest;
    for (size_t i = 0; i < count && !probe->text[0]; i += 1 + count / 64, tried++) {
        const double h = 5e-3;
        float old = images[i];
        double up, down, difference;
        images[i] = (float)(old + h);
        up = loss_of(network, images, targets, probe);
        images[i] = (float)(old - h);
        down = loss_of(network, images, targets, probe);
        images[i] = old;
        difference = (up - down) / (2 * h);
        bad += fabs(difference - gradient[i]) > 0.02 * largest + 1e-4;
    }
    /* A few points may lie at a kink. */
    if (bad * 10 > tried)
        wrong(probe, "its derivative differs from finite differences at %zu of %zu points", bad, tried);
    free(gradient);
}

static void probe_layer(struct probe *probe)
{
    static const struct tn_loss loss = {TN_TYPE(TN_LOSS, "linear", char, NULL, "probe"), .compute = linear_loss};
    static const struct tn_optimizer still = {TN_TYPE(TN_OPTIMIZER, "still", char, NULL, "probe"),
                                              .slot_count = no_slots, .learning_rate = no_rate, .update = no_update};
    const struct tn_layer *type = (const struct tn_layer *)(const void *)probe->type;
    char nothing = 0;
    struct tn_instance loss_instance = {.type = &loss.type, .self = &nothing, .name = "linear", .file = "probe"};
    struct tn_instance optimizer = {.type = &still.type, .self = &nothing, .name = "still", .file = "probe"};
    struct tn_instance *layer = open_instance(probe, NULL, NULL, false), *device = NULL, *flatten = NULL;
    static const char *const twice[] = {"input", "input"};
    struct tn_network_layer layers[2] = {{layer, NULL, 0}, {NULL, NULL, 0}};
    struct tn_problems problems = {0};
    struct tn_network *network = NULL;
    struct tn_error error = {0};
    struct tn_network_spec spec = {.layers = layers,
                                   .layer_count = 2,
                                   .input_size = {7, 9},
                                   .input_channels = 4,
                                   .input_type = TN_PIXEL_F32,
                                   .loss = &loss_instance,
                                   .loss_target_count = 1,
                                   .optimizer = &optimizer,
                                   .seed = 11,
                                   .fuse = 1,
                                   .input_gradient = 1};
    struct tn_plan_request request = {.train = 2};
    float images[2 * 7 * 9 * 4], targets[2] = {0, 0};
    if (!layer)
        return;
    if (type->minimum_inputs == 2) {
        layers[0].inputs = twice;
        layers[0].input_count = 2;
    }
    if (tn_instance_open(probe->registry, TN_DEVICE, "cpu", NULL, NULL, &device, &problems) != TN_OK ||
        tn_instance_open(probe->registry, TN_LAYER, "flatten", NULL, NULL, &flatten, &problems) != TN_OK) {
        wrong(probe, "-the derivative was not checked: %s", problems.count ? problems.items[0].text : "no CPU device");
        return;
    }
    layers[1].instance = flatten;
    spec.device = device;
    if (tn_network_create(&spec, &network, &problems) != TN_OK)
        wrong(probe, "-not checked on a 7x9x4 image: %s", problems.count ? problems.items[0].text : "?");
    else if (tn_network_plan(network, &request, &error) != TN_OK || tn_network_allocate(network, &error) != TN_OK)
        wrong(probe, "cannot be planned: %s", error.text);
    else {
        fill_random(images, TN_COUNT_OF(images), -1, 1, 9);
        compare_gradients(probe, network, images, TN_COUNT_OF(images), targets);
    }
    tn_network_destroy(&network);
}

/* ---- sources and callbacks ---- */

static void probe_source(struct probe *probe)
{
    const struct tn_source *source = (const struct tn_source *)(const void *)probe->type;
    struct tn_instance *instance = open_instance(probe, NULL, NULL, false);
    struct tn_source_request request = {.size = sizeof request, .target = {32, 24}, .channels = 3};
    struct tn_source_info info = {.size = sizeof info};
    struct tn_error error = {0};
    void *worker = NULL;
    if (!instance)
        return;
    if (source->scan(instance->self, &request, &info, &error) != TN_OK) {
        wrong(probe, error.text[0] ? "-nothing to read with default options: %s" : "scan() fails without a message%s",
              error.text);
        return;
    }
    if (info.class_count && !info.classes)
        wrong(probe, "scan() counts classes but gives no names");
    if (source->worker_open && source->worker_open(instance->self, &worker, &error) != TN_OK)
        wrong(probe, "worker_open() fails: %s", error.text);
    for (uint64_t i = 0; i < info.count && i < 200 && !probe->text[0]; i++) {
        uint64_t index = i < 100 ? i : info.count - 1 - (i - 100) % info.count;
        struct tn_sample sample = {.size = sizeof sample};
        char name[256] = "";
        source->name(instance->self, index, name, sizeof name);
        if (!name[0])
            wrong(probe, "sample %llu has no name", (unsigned long long)index);
        if (source->read(instance->self, worker, index, &sample, &error) != TN_OK)
            wrong(probe, "read() of %s fails: %s", name, error.text);
        else if (!sample.bytes && !sample.image.pixels)
            wrong(probe, "read() of %s gives neither bytes nor pixels", name);
        else if (info.class_count && (sample.label < 0 || sample.label >= (int32_t)info.class_count))
            wrong(probe, "%s has label %d of %u classes", name, sample.label, info.class_count);
    }
    if (source->worker_close)
        source->worker_close(instance->self, worker);
    tn_instance_close(&instance);
}

static void ignore_stop(const struct tn_run *run, const char *reason)
{
    (void)run;
    (void)reason;
}
static void ignore_rate(const struct tn_run *run, double rate)
{
    (void)run;
    (void)rate;
}
static tn_status ignore_save(const struct tn_run *run, const char *path, uint32_t flags, struct tn_error *error)
{
    (void)run;
    (void)path;
    (void)flags;
    (void)error;
    return TN_OK;
}
static tn_status ignore_weights(const struct tn_run *run, struct tn_error *error)
{
    (void)run;
    (void)error;
    return TN_OK;
}
static void ignore_say(const struct tn_run *run, int32_t level, const char *text)
{
    (void)run;
    (void)level;
    (void)text;
}

static void probe_callback(struct probe *probe)
{
    const struct tn_callback *callback = (const struct tn_callback *)(const void *)probe->type;
    struct tn_instance *instance = open_instance(probe, NULL, NULL, false);
    struct tn_log_value logs[] = {
        {"accuracy", 0.5, 1, 0}, {"loss", 1.5, -1, 0}, {"val_accuracy", NAN, 1, 0}, {"val_loss", 1.2, -1, 0}};
    char folder[] = "/tmp/tenon-check-XXXXXX";
    struct tn_run run = {.size = sizeof run,
                         .epochs = 3,
                         .batches = 2,
                         .logs = logs,
                         .directory = mkdtemp(folder),
                         .name = "probe",
                         .learning_rate = 0.01,
                         .stop = ignore_stop,
                         .set_learning_rate = ignore_rate,
                         .save_weights = ignore_save,
                         .keep_weights = ignore_weights,
                         .restore_weights = ignore_weights,
                         .say = ignore_say};
    struct tn_error error = {0};
    if (!instance || !run.directory)
        return;
    for (run.epoch = 0; run.epoch < 3 && !probe->text[0]; run.epoch++) {
        for (int32_t event = TN_RUN_BEGIN; event <= TN_RUN_ERROR; event++) {
            run.log_count = event == TN_EPOCH_END || event == TN_RUN_END ? 4 : event == TN_BATCH_END ? 2 : 0;
            if (callback->on(instance->self, event, &run, &error) != TN_OK && !error.text[0])
                wrong(probe, "on() fails at event %d without a message", event);
        }
    }
    tn_instance_close(&instance);
}

/* Runs a probe in a child; the verdict comes back through a pipe. */
static bool run_probe(struct probe *probe, const char *what, void (*body)(struct probe *))
{
    int ends[2], status = 0;
    ssize_t got;
    pid_t child;
    probe->text[0] = '\0';
    (void)fflush(stdout);
    if (pipe(ends) != 0)
        return false;
    child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        (void)alarm(PROBE_SECONDS);
        body(probe);
        (void)!write(ends[1], probe->text, sizeof probe->text);
        _exit(0);
    }
    (void)close(ends[1]);
    got = read(ends[0], probe->text, sizeof probe->text);
    (void)close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    if (WIFSIGNALED(status))
        (void)snprintf(probe->text, sizeof probe->text,
                       WTERMSIG(status) == SIGALRM ? "does not end (%s)" : "crashes (%s)", strsignal(WTERMSIG(status)));
    else if (got <= 0)
        (void)snprintf(probe->text, sizeof probe->text, "ends the process");
    printf("%-8s %s %s: %s%s%s\n",
           !probe->text[0]         ? "ok"
           : probe->text[0] == '-' ? "skipped"
                                   : "FAILED",
           tn_kind_name(probe->type->kind), probe->type->name, what, probe->text[0] ? ": " : "",
           probe->text[0] == '-' ? probe->text + 1 : probe->text);
    return !probe->text[0] || probe->text[0] == '-';
}

static size_t check_type(struct probe *probe)
{
    size_t failed = !run_probe(probe, "options at their bounds", probe_options);
    switch (probe->type->kind) {
    case TN_AUGMENT:
        failed += !run_probe(probe, "odd sizes, guard bytes, repeatable", probe_augment);
        break;
    case TN_LAYER:
        failed += !run_probe(probe, "derivative against finite differences", probe_layer);
        break;
    case TN_SOURCE:
        failed += !run_probe(probe, "scan and read", probe_source);
        break;
    case TN_CALLBACK:
        failed += !run_probe(probe, "every event", probe_callback);
        break;
    default:
        break;
    }
    return failed;
}

static int words_run(size_t count, const char *const *words)
{
    struct tn_registry *registry = NULL;
    struct tn_error error = {0};
    const struct tn_plugin *plugin = NULL;
    const struct tn_type *type;
    char *path = count == 1 ? realpath(words[0], NULL) : NULL, *folder = path ? strdup(path) : NULL;
    const char *paths[2] = {NULL, NULL};
    size_t failed = 0, checked = 0;
    int status = TN_EXIT_FAILED;
    if (!path || !folder) {
        fprintf(stderr,
                count == 1 ? "tenon: plugin check: there is no file %s\n"
                           : "tenon: plugin check: expected one FILE.so%s\n",
                count == 1 ? words[0] : "");
        free(path);
        free(folder);
        return TN_EXIT_WRONG;
    }
    *strrchr(folder, '/') = '\0';
    paths[0] = folder;
    if (tn_registry_open(paths, &registry, &error) != TN_OK) {
        fprintf(stderr, "tenon: %s\n", error.text);
        goto out;
    }
    tn_registry_load_all(registry);
    for (size_t i = 0; i < tn_registry_plugin_count(registry) && !plugin; i++) {
        char *real = realpath(tn_registry_plugin(registry, i)->path, NULL);
        if (real && strcmp(real, path) == 0)
            plugin = tn_registry_plugin(registry, i);
        free(real);
    }
    if (!plugin || plugin->problem) {
        fprintf(stderr, "tenon: %s %s\n", path, plugin ? plugin->problem : "is not called NAME.so");
        goto out;
    }
    printf("%s: %s %s, %u type%s\n", path, plugin->manifest->name, plugin->manifest->version,
           plugin->manifest->type_count, plugin->manifest->type_count == 1 ? "" : "s");
    for (size_t i = 0; (type = tn_registry_type(registry, 0, i, &plugin)); i++) {
        struct probe probe = {.registry = registry, .type = type};
        if (strncmp(plugin->path, folder, strlen(folder)) != 0 || !strstr(path, strrchr(plugin->path, '/')))
            continue;
        checked++;
        failed += check_type(&probe);
    }
    printf(failed ? "%zu of the checks failed\n" : "all checks passed%.0zu\n", failed);
    status = failed || !checked ? TN_EXIT_FAILED : TN_EXIT_DONE;
out:
    tn_registry_close(&registry);
    free(path);
    free(folder);
    return status;
}

static int run(struct tn_arguments *arguments)
{
    return words_run(arguments->operand_count, arguments->operands);
}

const struct tn_command tn_plugin_check_entry = {
    .name = "plugin check",
    .summary = "tries to break a plugin",
    .usage = "FILE.so",
    .about = "tries to break a plugin",
    .examples = "  tenon plugin check ./sepia.so",
    .minimum_operands = 1,
    .maximum_operands = 1,
    .operand_name = "FILE.so",
    .run = run,
};
