/* plugin_check_train.c: tries to break losses, metrics, optimizers, schedules and callbacks. */
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/plugin.h"

/* ---- loss ---- */

struct loss_run {
    struct tn_checker *checker;
    const struct tn_loss *type;
    struct tn_loss_pass pass;
    float *prediction, *target, *weight, *loss, *gradient;
};

/* What the last activation would give: between 0 and 1, adding up to 1 after a softmax. */
static void fill_prediction(struct loss_run *run, bool logits)
{
    int32_t classes = run->pass.classes;
    bool sums_to_one = !logits && run->type->activation && strcmp(run->type->activation, "softmax") == 0;
    for (int32_t i = 0; i < run->pass.batch; i++) {
        float *row = run->prediction + (size_t)i * (size_t)classes;
        double sum = 0;
        tn_check_fill(run->checker, row, (uint64_t)classes, logits ? -2 : 0.1, logits ? 2 : 0.9);
        for (int32_t k = 0; k < classes; k++)
            sum += row[k];
        for (int32_t k = 0; sums_to_one && k < classes; k++)
            row[k] = (float)(row[k] / sum);
    }
}

static void fill_target(struct loss_run *run)
{
    bool sparse = run->type->type.flags & TN_LOSS_SPARSE;
    for (int32_t i = 0; i < run->pass.batch; i++) {
        int32_t label = (int32_t)tn_random_below(&run->checker->random, (uint64_t)run->pass.classes);
        for (int32_t k = 0; k < run->pass.target_count; k++)
            run->target[i * run->pass.target_count + k] = sparse ? (float)label : (float)(k == label);
    }
}

/* (sum of loss) / N */
static double mean_loss(struct loss_run *run, float *gradient)
{
    double sum = 0;
    for (int32_t i = 0; i < run->pass.batch; i++)
        run->loss[i] = NAN;
    run->pass.gradient = gradient;
    run->type->compute(&run->pass);
    for (int32_t i = 0; i < run->pass.batch; i++)
        sum += run->loss[i];
    return sum / run->pass.batch;
}

static void compare_loss(struct loss_run *run)
{
    size_t count = (size_t)run->pass.batch * (size_t)run->pass.classes, bad = 0;
    const double h = 2e-3;
    double first[2] = {0, 0};
    for (size_t i = 0; i < count; i++) {
        float old = run->prediction[i];
        double up, down, found;
        run->prediction[i] = (float)(old + h);
        up = mean_loss(run, NULL);
        run->prediction[i] = (float)(old - h);
        down = mean_loss(run, NULL);
        run->prediction[i] = old;
        found = (up - down) / (2 * h);
        if (!(fabs(found - run->gradient[i]) <= 0.02 * fmax(fabs(found), fabs(run->gradient[i])) + 2e-3)) {
            if (bad++ == 0)
                first[0] = run->gradient[i], first[1] = found;
        }
    }
    /* A kink (|x| at 0) may be hit by one of a few. */
    if (bad > count / 8)
        tn_check_fail(
            run->checker,
            "the gradient is %.4g where finite differences of (sum of loss) / N give %.4g (%d samples of %d%s%s)",
            first[0], first[1], run->pass.batch, run->pass.classes, run->pass.weight ? ", weighted" : "",
            run->pass.from_logits ? ", from logits" : "");
}

static void check_loss_size(struct loss_run *run, int32_t batch, int32_t classes, bool weighted, bool logits)
{
    bool sparse = run->type->type.flags & TN_LOSS_SPARSE;
    size_t count = (size_t)batch * (size_t)classes;
    run->pass = (struct tn_loss_pass){.size = sizeof run->pass,
                                      .self = run->pass.self,
                                      .batch = batch,
                                      .classes = classes,
                                      .target_count = sparse ? 1 : classes,
                                      .from_logits = logits};
    run->prediction = tn_guarded_floats(count);
    run->gradient = tn_guarded_floats(count);
    run->target = tn_guarded_floats((uint64_t)batch * (uint64_t)run->pass.target_count);
    run->weight = tn_guarded_floats((uint64_t)batch);
    run->loss = tn_guarded_floats((uint64_t)batch);
    fill_prediction(run, logits);
    fill_target(run);
    tn_check_fill(run->checker, run->weight, (uint64_t)batch, 0.2, 2);
    run->pass.prediction = run->prediction;
    run->pass.target = run->target;
    run->pass.weight = weighted ? run->weight : NULL;
    run->pass.loss = run->loss;
    for (size_t i = 0; i < count; i++)
        run->gradient[i] = NAN;
    tn_check_step(run->checker, "compute() of %d samples of %d%s", batch, classes, logits ? " from logits" : "");
    if (!isfinite(mean_loss(run, run->gradient)) || !tn_check_finite(run->gradient, count))
        tn_check_fail(run->checker, "compute() leaves losses or gradients unwritten, or writes what is no number");
    else
        compare_loss(run);
    if (!tn_guarded_intact(run->prediction) || !tn_guarded_intact(run->gradient) || !tn_guarded_intact(run->target) ||
        !tn_guarded_intact(run->weight) || !tn_guarded_intact(run->loss))
        tn_check_fail(run->checker, "compute() writes outside of its buffers");
    tn_guarded_free(run->prediction);
    tn_guarded_free(run->gradient);
    tn_guarded_free(run->target);
    tn_guarded_free(run->weight);
    tn_guarded_free(run->loss);
}

void tn_check_loss(struct tn_checker *checker)
{
    static const int32_t sizes[][2] = {{2, 1}, {1, 2}, {4, 5}, {7, 10}};
    struct tn_instance *instance = tn_check_instance(checker);
    struct loss_run run = {.checker = checker, .type = (const struct tn_loss *)(const void *)checker->type};
    if (!instance)
        return;
    run.pass.self = instance->self;
    /* One class after a softmax is always 1, the edge where losses clip. */
    for (size_t i = run.type->activation && strcmp(run.type->activation, "softmax") == 0; i < TN_COUNT_OF(sizes); i++)
        for (int logits = 0; logits < (run.type->activation ? 2 : 1); logits++) {
            check_loss_size(&run, sizes[i][0], sizes[i][1], false, logits);
            check_loss_size(&run, sizes[i][0], sizes[i][1], true, logits);
        }
    tn_instance_close(&instance);
    tn_check_pass(checker, "compute(): sizes, weights, guard bytes, finite differences");
}

/* ---- metric ---- */

static void check_metric_batch(struct tn_checker *checker, const struct tn_metric *type, const void *self, void *state,
                               int32_t count, int32_t classes, int32_t sparse)
{
    int32_t targets = sparse ? 1 : classes;
    float *prediction = tn_guarded_floats((uint64_t)count * (uint64_t)classes);
    float *target = tn_guarded_floats((uint64_t)count * (uint64_t)targets);
    struct tn_metric_batch batch = {.size = sizeof batch,
                                    .batch = count,
                                    .classes = classes,
                                    .target_count = targets,
                                    .sparse = sparse,
                                    .prediction = prediction,
                                    .target = target};
    tn_check_fill(checker, prediction, (uint64_t)count * (uint64_t)classes, 0, 1);
    for (int32_t i = 0; i < count * targets; i++)
        target[i] = (float)tn_random_below(&checker->random, sparse ? (uint64_t)classes : 2);
    tn_check_step(checker, "update() with %d samples of %d classes%s", count, classes, sparse ? ", class numbers" : "");
    type->update(self, state, &batch);
    if (!isfinite(type->value(self, state)))
        tn_check_fail(checker, "value() after %d samples of %d classes is no number", count, classes);
    if (!tn_guarded_intact(prediction) || !tn_guarded_intact(target) || !tn_guarded_intact(state))
        tn_check_fail(checker, "update() writes outside of its state");
    tn_guarded_free(prediction);
    tn_guarded_free(target);
}

void tn_check_metric(struct tn_checker *checker)
{
    const struct tn_metric *type = (const struct tn_metric *)(const void *)checker->type;
    struct tn_instance *instance = tn_check_instance(checker);
    char *state;
    if (!instance)
        return;
    state = (char *)tn_guarded_floats((type->state_size + sizeof(float) - 1) / sizeof(float));
    for (int32_t classes = 1; classes <= 5; classes += 2)
        for (int32_t sparse = 0; sparse < 2; sparse++) {
            memset(state, 0, (size_t)type->state_size);
            tn_check_step(checker, "value() before the first batch");
            (void)type->value(instance->self, state);
            check_metric_batch(checker, type, instance->self, state, 1, classes, sparse);
            check_metric_batch(checker, type, instance->self, state, 7, classes, sparse);
        }
    tn_guarded_free(state);
    tn_instance_close(&instance);
    tn_check_pass(checker, "update() and value(): sizes, class numbers, guard bytes");
}

/* ---- optimizer ---- */

enum { ELEMENTS = 37, MOST_SLOTS = 4 };

struct parameter {
    float *value, *gradient, *slots[MOST_SLOTS];
};

/* Three steps in two pieces that are cut at `cut`. */
static void step_parameter(struct tn_checker *checker, const struct tn_optimizer *type, const void *self,
                           const struct parameter *p, int32_t slots, uint64_t cut, int32_t decay)
{
    for (uint64_t step = 1; step <= 3; step++)
        for (int part = 0; part < 2; part++) {
            uint64_t begin = part ? cut : 0, end = part ? ELEMENTS : cut;
            float *slot_parts[MOST_SLOTS] = {NULL};
            struct tn_update update = {.size = sizeof update,
                                       .self = self,
                                       .count = end - begin,
                                       .learning_rate = 0.01,
                                       .step = step,
                                       .slot_count = slots,
                                       .decay = decay,
                                       .parameter = p->value + begin,
                                       .gradient = p->gradient + begin,
                                       .slots = slot_parts};
            for (int32_t i = 0; i < slots; i++)
                slot_parts[i] = p->slots[i] + begin;
            tn_check_step(checker, "update() of %llu elements, step %llu", (unsigned long long)(end - begin),
                          (unsigned long long)step);
            type->update(&update);
        }
}

static void new_parameter(struct tn_checker *checker, struct parameter *p, int32_t slots, const struct parameter *same)
{
    *p = (struct parameter){tn_guarded_floats(ELEMENTS), tn_guarded_floats(ELEMENTS), {NULL}};
    for (int32_t i = 0; i < slots; i++) {
        p->slots[i] = tn_guarded_floats(ELEMENTS);
        memset(p->slots[i], 0, ELEMENTS * sizeof(float));
    }
    if (same) {
        memcpy(p->value, same->value, ELEMENTS * sizeof(float));
        memcpy(p->gradient, same->gradient, ELEMENTS * sizeof(float));
        return;
    }
    tn_check_fill(checker, p->value, ELEMENTS, -1, 1);
    tn_check_fill(checker, p->gradient, ELEMENTS, -1, 1);
    /* Padding: zero in all buffers, and it has to stay so. */
    p->value[ELEMENTS - 1] = p->gradient[ELEMENTS - 1] = 0;
}

static void judge_parameter(struct tn_checker *checker, const struct parameter *p, int32_t slots)
{
    bool intact = tn_guarded_intact(p->value) && tn_guarded_intact(p->gradient), zero = p->value[ELEMENTS - 1] == 0;
    bool finite = tn_check_finite(p->value, ELEMENTS);
    for (int32_t i = 0; i < slots; i++) {
        intact = intact && tn_guarded_intact(p->slots[i]);
        zero = zero && p->slots[i][ELEMENTS - 1] == 0;
        finite = finite && tn_check_finite(p->slots[i], ELEMENTS);
    }
    if (!intact)
        tn_check_fail(checker, "update() writes outside of its buffers");
    if (!finite)
        tn_check_fail(checker, "update() makes what is no number");
    if (!zero)
        tn_check_fail(checker, "update() changes padding: where all buffers are 0 they have to stay 0");
}

static void free_parameter(struct parameter *p, int32_t slots)
{
    tn_guarded_free(p->value);
    tn_guarded_free(p->gradient);
    for (int32_t i = 0; i < slots; i++)
        tn_guarded_free(p->slots[i]);
}

void tn_check_optimizer(struct tn_checker *checker)
{
    const struct tn_optimizer *type = (const struct tn_optimizer *)(const void *)checker->type;
    struct tn_instance *instance = tn_check_instance(checker);
    int32_t slots;
    if (!instance)
        return;
    tn_check_step(checker, "slot_count()");
    slots = type->slot_count(instance->self);
    if (slots < 0 || slots > MOST_SLOTS) {
        tn_check_fail(checker, "slot_count() is %d: 0 to %d are possible", slots, MOST_SLOTS);
        return;
    }
    for (int32_t i = 0; i < slots && type->slot_name; i++)
        if (!type->slot_name(instance->self, i) || !type->slot_name(instance->self, i)[0])
            tn_check_fail(checker, "slot %d has no name", i);
    if (!(type->learning_rate(instance->self) >= 0))
        tn_check_fail(checker, "learning_rate() gives %g", type->learning_rate(instance->self));
    for (int32_t decay = 0; decay < 2; decay++) {
        struct parameter whole, cut;
        new_parameter(checker, &whole, slots, NULL);
        new_parameter(checker, &cut, slots, &whole);
        step_parameter(checker, type, instance->self, &whole, slots, ELEMENTS, decay);
        step_parameter(checker, type, instance->self, &cut, slots, 11, decay);
        judge_parameter(checker, &whole, slots);
        judge_parameter(checker, &cut, slots);
        for (size_t i = 0; i < ELEMENTS; i++)
            if (fabsf(whole.value[i] - cut.value[i]) > 1e-6f) {
                tn_check_fail(checker, "update() gives another result when a parameter is split among threads");
                break;
            }
        free_parameter(&whole, slots);
        free_parameter(&cut, slots);
    }
    tn_instance_close(&instance);
    tn_check_pass(checker, "update() of %d slots: guard bytes, split work, padding stays 0", slots);
}

/* ---- schedule ---- */

void tn_check_schedule(struct tn_checker *checker)
{
    static const uint64_t totals[] = {0, 1, 7, 1000, (uint64_t)1 << 40};
    const struct tn_schedule *type = (const struct tn_schedule *)(const void *)checker->type;
    struct tn_instance *instance = tn_check_instance(checker);
    if (!instance)
        return;
    for (size_t i = 0; i < TN_COUNT_OF(totals); i++)
        for (uint64_t k = 0; k <= 20; k++) {
            struct tn_schedule_point point = {
                .size = sizeof point, .total_steps = totals[i], .steps_per_epoch = totals[i] / 5 + 1, .initial = 0.01};
            double rate;
            point.step = totals[i] / 20 * k; /* up to the end of the run and, for short ones, beyond */
            tn_check_step(checker, "rate() at step %llu of %llu", (unsigned long long)point.step,
                          (unsigned long long)totals[i]);
            rate = type->rate(instance->self, &point);
            if (!isfinite(rate) || rate < 0)
                tn_check_fail(checker, "rate() at step %llu of %llu is %g", (unsigned long long)point.step,
                              (unsigned long long)totals[i], rate);
            if (type->rate(instance->self, &point) != rate)
                tn_check_fail(checker, "rate() gives another value for the same step: a run that goes on would differ");
        }
    tn_instance_close(&instance);
    tn_check_pass(checker, "rate(): runs of 0 to 2^40 steps");
}

/* ---- callback ---- */

struct fake_run {
    struct tn_run run;
    struct tn_log_value logs[4];
    struct tn_checker *checker;
    size_t said, saved;
    int32_t keeps;  /* may keep weights, and has */
    int32_t behind; /* a file is being written */
    struct tn_seen_batch seen;
};

static struct fake_run *fake_of(const struct tn_run *run)
{
    return run->core;
}
static void fake_stop(const struct tn_run *run, const char *reason)
{
    if (!reason || !reason[0])
        tn_check_fail(fake_of(run)->checker, "stop() without a reason");
}
static void fake_rate(const struct tn_run *run, double rate)
{
    if (!(rate >= 0) || !isfinite(rate))
        tn_check_fail(fake_of(run)->checker, "set_learning_rate() with %g", rate);
}
static tn_status fake_save(const struct tn_run *run, const char *path, uint32_t flags, struct tn_error *error)
{
    (void)flags;
    if (!path || !path[0])
        return tn_fail(error, TN_INVALID, "no path");
    fake_of(run)->saved++;
    return TN_OK;
}
static int32_t fake_saved(const struct tn_run *run, int32_t wait, tn_status *outcome, struct tn_error *error)
{
    int32_t is = fake_of(run)->behind;
    (void)wait, (void)error;
    fake_of(run)->behind = 0;
    *outcome = TN_OK;
    return is;
}
static tn_status fake_save_behind(const struct tn_run *run, const char *path, uint32_t flags, struct tn_error *error)
{
    fake_of(run)->behind = 1;
    return fake_save(run, path, flags, error);
}
static tn_status fake_settle(const struct tn_run *run, struct tn_error *error)
{
    (void)run, (void)error;
    return TN_OK;
}
static void fake_save_state(const struct tn_run *run)
{
    (void)run;
}
static tn_status fake_keep(const struct tn_run *run, struct tn_error *error)
{
    (void)error;
    if (!(fake_of(run)->checker->type->flags & TN_CALLBACK_KEEPS_WEIGHTS))
        tn_check_fail(fake_of(run)->checker, "keep_weights() without the flag TN_CALLBACK_KEEPS_WEIGHTS");
    fake_of(run)->keeps = 1;
    return TN_OK;
}
static tn_status fake_restore(const struct tn_run *run, struct tn_error *error)
{
    return fake_of(run)->keeps ? TN_OK : tn_fail(error, TN_INVALID, "no weights were kept");
}
static tn_status fake_read(const struct tn_run *run, const struct tn_weights **weights, struct tn_error *error)
{
    static float values[3] = {-1, 0, NAN};
    static struct tn_weight weight = {.name = "kernel", .shape = {2, {3, 1}}, .data = values};
    static struct tn_weight_layer layers[2] = {{.name = "empty", .type_name = "flatten"},
                                               {.name = "dense", .type_name = "dense", .weight_count = 1}};
    static struct tn_weights all = {.size = sizeof all, .layer_count = 2, .layers = layers};
    (void)run, (void)error;
    layers[1].weights = &weight;
    *weights = &all;
    return TN_OK;
}
static tn_status fake_read_gradients(const struct tn_run *run, const struct tn_weights **gradients,
                                     struct tn_error *error)
{
    if (!((const struct tn_callback *)fake_of(run)->checker->type)->reads_gradients)
        tn_check_fail(fake_of(run)->checker, "read_gradients() of a type without `reads_gradients`");
    return fake_read(run, gradients, error);
}
static int32_t fake_asked(const struct tn_run *run)
{
    (void)run;
    return 0;
}
static void fake_unsaved(const struct tn_run *run, const char *text)
{
    (void)run, (void)text;
}
static void fake_say(const struct tn_run *run, int32_t level, const char *text)
{
    fake_of(run)->said++;
    if (!text || level < TN_LOG_DEBUG || level > TN_LOG_ERROR)
        tn_check_fail(fake_of(run)->checker, "say() without a text, or with level %d", level);
}

static void send(struct fake_run *fake, const struct tn_callback *type, void *self, int32_t event, uint32_t logs)
{
    struct tn_error error = {0};
    tn_status status;
    fake->run.log_count = logs;
    tn_check_step(fake->checker, "on() with event %d in epoch %d", event, fake->run.epoch);
    status = type->on(self, event, &fake->run, &error);
    if (!tn_check_status(fake->checker, "on()", status, &error))
        tn_check_remark(fake->checker, "on() with event %d in epoch %d fails: %s", event, fake->run.epoch, error.text);
}

/* `fake` stands where a phase has got to. */
static void draw(struct fake_run *fake, const struct tn_callback *type, void *self, int32_t phase)
{
    struct tn_progress progress = {.size = sizeof progress,
                                   .phase = phase,
                                   .epoch = fake->run.epoch,
                                   .epochs = 3,
                                   .batch = phase == TN_PROGRESS_EPOCH_END ? 2 : fake->run.batch + 1,
                                   .batches = 2,
                                   .logs = fake->logs,
                                   .log_count = 4,
                                   .repaints = fake->run.epoch == 1};
    char text[64];
    int32_t way;
    if (!type->progress)
        return;
    memset(text, 'x', sizeof text);
    tn_check_step(fake->checker, "progress() in epoch %d", fake->run.epoch);
    way = type->progress(self, &progress, text, sizeof text / 2);
    if (way < TN_PROGRESS_OWN || way > TN_PROGRESS_LINE)
        tn_check_fail(fake->checker, "progress() returns %d, which is no tn_progress_way", way);
    else if (way >= TN_PROGRESS_PAINT && !memchr(text, 0, sizeof text / 2))
        tn_check_fail(fake->checker, "progress() gives a text without an end");
    for (size_t i = sizeof text / 2; i < sizeof text; i++)
        if (text[i] != 'x') {
            tn_check_fail(fake->checker, "progress() writes behind the text's room");
            break;
        }
}

/* A run of three epochs of two batches that ends with `last`; NaN as a loss in the second when `broken`. */
static void play(struct fake_run *fake, const struct tn_callback *type, void *self, int32_t last, bool broken)
{
    uint32_t logs = last == TN_RUN_END ? 4 : 2; /* with and without validation */
    fake->run.epoch = 0;
    for (uint32_t i = 0; i < 4; i++)
        fake->logs[i].value = NAN;
    send(fake, type, self, TN_RUN_BEGIN, logs);
    for (fake->run.epoch = 0; fake->run.epoch < 3; fake->run.epoch++) {
        send(fake, type, self, TN_EPOCH_BEGIN, 0);
        for (fake->run.batch = 0; fake->run.batch < 2; fake->run.batch++) {
            send(fake, type, self, TN_BATCH_BEGIN, 0);
            fake->run.step++;
            for (uint32_t i = 0; i < 4; i++)
                fake->logs[i].value = broken && fake->run.epoch == 1 ? NAN : 1.0 / (1 + fake->run.epoch + (int)i);
            fake->run.batch_loss = fake->logs[0].value;
            send(fake, type, self, TN_BATCH_END, 2);
            draw(fake, type, self, TN_PROGRESS_TRAINING);
        }
        if (logs == 4) {
            send(fake, type, self, TN_VALIDATION_BEGIN, 2);
            send(fake, type, self, TN_VALIDATION_END, 4);
        }
        send(fake, type, self, TN_EPOCH_END, logs);
        send(fake, type, self, TN_SETTLE, logs);
        draw(fake, type, self, TN_PROGRESS_EPOCH_END);
    }
    fake->run.epoch = 2;
    send(fake, type, self, last, logs);
}

static int remove_entry(const char *path, const struct stat *status, int flag, struct FTW *place)
{
    (void)status, (void)flag, (void)place;
    (void)remove(path); /* what stays in /tmp does no harm */
    return 0;
}

void tn_check_callback(struct tn_checker *checker)
{
    static const int32_t ends[] = {TN_RUN_END, TN_INTERRUPT, TN_RUN_ERROR};
    const struct tn_callback *type = (const struct tn_callback *)(const void *)checker->type;
    char folder[] = "/tmp/tenon-check-XXXXXX";
    struct fake_run fake = {.checker = checker,
                            .logs = {{"loss", 0, TN_DIRECTION_DOWN, 0},
                                     {"accuracy", 0, TN_DIRECTION_UP, 0},
                                     {"val_loss", 0, TN_DIRECTION_DOWN, 0},
                                     {"val_accuracy", 0, TN_DIRECTION_UP, 0}}};
    if (!mkdtemp(folder)) {
        tn_check_remark(checker, "no folder could be made in /tmp: events were not tried");
        return;
    }
    for (size_t i = 0; i < TN_COUNT_OF(ends); i++) {
        struct tn_instance *instance = tn_check_instance(checker);
        if (!instance)
            break;
        fake.keeps = fake.behind = 0;
        fake.seen = (struct tn_seen_batch){.size = sizeof fake.seen, .height = 1, .width = 1, .channels = 1};
        fake.run = (struct tn_run){.size = sizeof fake.run,
                                   .epochs = 3,
                                   .batches = 2,
                                   .logs = fake.logs,
                                   .quiet = i == 1,
                                   .directory = folder,
                                   .name = "check",
                                   .learning_rate = 0.01,
                                   .core = &fake,
                                   .stop = fake_stop,
                                   .set_learning_rate = fake_rate,
                                   .save_weights = fake_save,
                                   .keep_weights = fake_keep,
                                   .restore_weights = fake_restore,
                                   .say = fake_say,
                                   .read_weights = fake_read,
                                   .asked_to_stop = fake_asked,
                                   .unsaved = fake_unsaved,
                                   .save_weights_behind = fake_save_behind,
                                   .saved = fake_saved,
                                   .settle = fake_settle,
                                   .save_state = fake_save_state,
                                   .batch_seen = &fake.seen,
                                   .read_gradients = fake_read_gradients};
        if (type->keeps_weights)
            (void)type->keeps_weights(instance->self);
        if (type->reads_gradients)
            (void)type->reads_gradients(instance->self);
        if (type->host_bytes)
            (void)type->host_bytes(instance->self, &fake.seen);
        play(&fake, type, instance->self, ends[i], i == 2);
        tn_check_step(checker, "close()");
        tn_instance_close(&instance);
        if (i + 1 == TN_COUNT_OF(ends))
            tn_check_pass(checker, "on(): three runs, ended, interrupted, broken; it said %zu lines, saved %zu times",
                          fake.said, fake.saved);
    }
    (void)nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}
