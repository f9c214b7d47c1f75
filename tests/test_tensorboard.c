/* test_tensorboard.c: what the callback tensorboard writes, read back byte by byte and compared with what Keras'
 * callback wrote for the same values (fixtures/tensorboard).
 */
#include <math.h>

#include "support/bundle.h"
#include "tensorboard_rig.h"
#include "train/experiment.h"

/* ---- what Keras writes ---- */

/* All but the wall times, which are the first 9 bytes, and the name of the writer in the first record. */
static void assert_same(const struct events *ours, const struct events *theirs)
{
    ck_assert_uint_eq(ours->count, theirs->count);
    for (size_t i = 1; i < ours->count; i++) {
        const struct event_bytes *a = &ours->items[i].payload, *b = &theirs->items[i].payload;
        ck_assert_uint_eq(a->count, b->count);
        ck_assert_msg(memcmp(a->at + 9, b->at + 9, a->count - 9) == 0, "record %zu differs", i);
    }
}

START_TEST(bytes_are_those_of_keras)
{
    struct events train, validation, ours;
    struct played played;
    char path[1024];
    if (!fixtures_file(path, sizeof path, "tensorboard/events.keras_train")) {
        printf("skipped: there are no fixtures (set TENON_FIXTURES)\n");
        return;
    }
    ck_assert(events_read(path, &train));
    ck_assert(fixtures_file(path, sizeof path, "tensorboard/events.keras_validation"));
    ck_assert(events_read(path, &validation));
    begin(&played, "");
    tell(&played, TN_RUN_BEGIN);
    for (played.run.epoch = 0; played.run.epoch < 3; played.run.epoch++) {
        uint64_t epoch = (uint64_t)played.run.epoch;
        tell(&played, TN_EPOCH_BEGIN);
        played.run.step++;
        played.run.log_count = 0;
        set_log(&played, "accuracy", event_scalar(find_event(&train, "epoch_accuracy", epoch)));
        set_log(&played, "loss", event_scalar(find_event(&train, "epoch_loss", epoch)));
        set_log(&played, "val_accuracy", event_scalar(find_event(&validation, "epoch_accuracy", epoch)));
        set_log(&played, "val_loss", event_scalar(find_event(&validation, "epoch_loss", epoch)));
        played.run.learning_rate = event_scalar(find_event(&train, "epoch_learning_rate", epoch));
        tell(&played, TN_EPOCH_END);
    }
    tell(&played, TN_RUN_END);
    read_events(&played, "logs/train", 0, &ours);
    assert_same(&ours, &train);
    events_release(&ours);
    read_events(&played, "logs/validation", 0, &ours);
    assert_same(&ours, &validation);
    events_release(&ours);
    events_release(&train);
    events_release(&validation);
    end(&played);
}
END_TEST

START_TEST(batches_and_epochs_have_their_steps)
{
    struct played played;
    struct events events;
    begin(&played, "update_freq = 2\nlog_dir = a/b\n");
    tell(&played, TN_RUN_BEGIN);
    train_epoch(&played, 3);
    train_epoch(&played, 3);
    tell(&played, TN_RUN_END);
    read_events(&played, "a/b/train", 0, &events);
    ck_assert_uint_eq(events.count, 8);
    assert_event(&events.items[1], 2, "batch_loss", 0.5f);
    assert_event(&events.items[2], 0, "epoch_loss", 10);
    assert_event(&events.items[3], 0, "epoch_learning_rate", 0.25f);
    assert_event(&events.items[4], 4, "batch_loss", 0.25f);
    assert_event(&events.items[5], 6, "batch_loss", (float)(1.0 / 6));
    assert_event(&events.items[6], 1, "epoch_loss", 11);
    assert_event(&events.items[7], 1, "epoch_learning_rate", 0.25f);
    events_release(&events);
    read_events(&played, "a/b/validation", 0, &events);
    ck_assert_uint_eq(events.count, 5);
    assert_event(&events.items[1], 3, "evaluation_loss_vs_iterations", 20);
    assert_event(&events.items[2], 0, "epoch_loss", 20);
    assert_event(&events.items[3], 6, "evaluation_loss_vs_iterations", 21);
    assert_event(&events.items[4], 1, "epoch_loss", 21);
    events_release(&events);
    end(&played);
}
END_TEST

/* What a look at the files finds while the run is not at its end: whole epochs. */
START_TEST(an_epoch_is_in_the_file_when_it_ends)
{
    struct played played;
    struct events events;
    begin(&played, "");
    tell(&played, TN_RUN_BEGIN);
    for (size_t i = 0; i < 3; i++) {
        train_epoch(&played, 2);
        read_events(&played, "logs/train", 0, &events);
        ck_assert_uint_eq(events.count, 1 + 2 * (i + 1));
        events_release(&events);
    }
    end(&played); /* without an end of the run */
}
END_TEST

START_TEST(a_run_that_goes_on_writes_a_file_behind)
{
    static const int32_t ends[] = {TN_INTERRUPT, TN_RUN_ERROR, TN_RUN_END};
    struct played played;
    struct events events;
    begin(&played, "update_freq = batch\n");
    for (size_t i = 0; i < 3; i++) {
        tell(&played, TN_RUN_BEGIN);
        train_epoch(&played, 1);
        tell(&played, ends[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        read_events(&played, "logs/train", i, &events);
        ck_assert_uint_eq(events.count, 4);
        assert_event(&events.items[1], i + 1, "batch_loss", (float)(1.0 / (double)(i + 1)));
        assert_event(&events.items[2], i, "epoch_loss", 10 + (float)i);
        events_release(&events);
    }
    end(&played);
}
END_TEST

START_TEST(rates_are_written_when_asked_for)
{
    struct played played;
    struct events events;
    begin(&played, "update_freq = batch\nwrite_steps_per_second = yes\nthroughput = yes\n");
    tell(&played, TN_RUN_BEGIN);
    played.run.images_per_second = 123;
    played.run.input_wait = 0.5;
    train_epoch(&played, 1);
    tell(&played, TN_RUN_END);
    read_events(&played, "logs/train", 0, &events);
    ck_assert(event_scalar(find_event(&events, "batch_steps_per_second", 1)) > 0);
    ck_assert(event_scalar(find_event(&events, "epoch_steps_per_second", 0)) > 0);
    ck_assert_float_eq(event_scalar(find_event(&events, "epoch_images_per_second", 0)), 123);
    ck_assert_float_eq(event_scalar(find_event(&events, "epoch_input_wait", 0)), 0.5f);
    events_release(&events);
    end(&played);
}
END_TEST

/* ---- histograms ---- */

static void assert_row(const struct event *event, size_t row, double left, double right, double count)
{
    ck_assert_double_eq_tol(event_number(event, 3 * row), left, 1e-12);
    ck_assert_double_eq_tol(event_number(event, 3 * row + 1), right, 1e-12);
    ck_assert_double_eq(event_number(event, 3 * row + 2), count);
}

START_TEST(histograms_count_the_weights)
{
    float spread[] = {-15, 15, 0, 0.5f, 14.5f, NAN, INFINITY}, same[] = {2, 2, 2}, none[] = {NAN};
    struct tn_weight weights[] = {{.name = "spread", .shape = {1, {7}}, .data = spread},
                                  {.name = "same", .shape = {2, {3, 1}}, .data = same},
                                  {.name = "none", .shape = {0, {0}}, .data = none}};
    struct tn_weight_layer layers[] = {{.name = "empty"}, {.name = "a/b", .weight_count = 3, .weights = weights}};
    struct played played;
    struct events events;
    begin(&played, "histogram_freq = 2\n");
    played.weights = (struct tn_weights){.size = sizeof played.weights, .layer_count = 2, .layers = layers};
    tell(&played, TN_RUN_BEGIN);
    for (int i = 0; i < 3; i++)
        train_epoch(&played, 1);
    tell(&played, TN_RUN_END);
    read_events(&played, "logs/train", 0, &events);
    ck_assert_uint_eq(events.count, 1 + 3 * 2 + 2 * 3);
    const struct event *event = find_event(&events, "a/b/spread/histogram", 2);
    ck_assert(event_is(&event->plugin, "histograms"));
    ck_assert(event->type == 2 && event->rank == 2 && event->dims[0] == 30 && event->dims[1] == 3);
    ck_assert_uint_eq(event->content.count, 30 * 3 * 8);
    assert_row(event, 0, -15, -14, 1);
    assert_row(event, 1, -14, -13, 0);
    assert_row(event, 15, 0, 1, 2);
    assert_row(event, 29, 14, 15, 2);
    event = find_event(&events, "a/b/same/histogram", 0);
    for (size_t row = 0; row < 30; row++)
        assert_row(event, row, 2, 2, row == 29 ? 3 : 0);
    event = find_event(&events, "a/b/none/histogram", 0);
    for (size_t row = 0; row < 30; row++)
        assert_row(event, row, 0, 0, 0);
    events_release(&events);
    end(&played);
}
END_TEST

START_TEST(gradients_are_those_of_the_last_batch)
{
    float values[] = {1, 2, 3};
    struct tn_weight weights[] = {{.name = "kernel", .shape = {1, {3}}, .data = values},
                                  {.name = "moving_mean", .shape = {1, {3}}, .data = NULL}};
    struct tn_weight_layer layers[] = {{.name = "a", .weight_count = 2, .weights = weights}};
    struct played played;
    struct events events;
    begin(&played, "histogram_freq = 2\nwrite_grads = yes\n");
    played.weights = (struct tn_weights){.size = sizeof played.weights, .layer_count = 1, .layers = layers};
    tell(&played, TN_RUN_BEGIN);
    for (int i = 0; i < 2; i++)
        train_epoch(&played, played.run.batches);
    tell(&played, TN_RUN_END);
    read_events(&played, "logs/train", 0, &events);
    const struct event *event = find_event(&events, "a/kernel_grad/histogram", 0);
    ck_assert(event_is(&event->plugin, "histograms"));
    assert_row(event, 29, 3 - 2.0 / 30, 3, 1);
    ck_assert_uint_eq(events.count, 1 + 2 * 2 + 2); /* version, epochs, weights and gradients of the first one */
    events_release(&events);
    end(&played);
}
END_TEST

START_TEST(pictures_are_those_of_the_first_batch)
{
    static const unsigned char bytes[2 * 12] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9};
    const float weights[] = {0, 1};
    struct played played;
    struct events events;
    begin(&played, "images = 4\nimages_freq = 2\n");
    played.batch = (struct tn_seen_batch){.size = sizeof played.batch,
                                          .count = 2,
                                          .height = 2,
                                          .width = 2,
                                          .channels = 3,
                                          .pixel_type = TN_PIXEL_U8,
                                          .images = bytes,
                                          .weights = weights};
    tell(&played, TN_RUN_BEGIN);
    for (int i = 0; i < 3; i++)
        train_epoch(&played, 2);
    played.batch.count = 1; /* none of them stands for a sample */
    train_epoch(&played, 2);
    train_epoch(&played, 2);
    tell(&played, TN_RUN_END);
    read_events(&played, "logs/train", 0, &events);
    for (uint64_t step = 0; step <= 2; step += 2) {
        const struct event *event = find_event(&events, "training_batch", step);
        ck_assert(event_is(&event->plugin, "images"));
        ck_assert(event->type == 7 && event->rank == 1 && event->dims[0] == 2 + 1);
    }
    ck_assert_uint_eq(events.count, 1 + 5 * 2 + 2);
    events_release(&events);
    end(&played);
}
END_TEST

/* ---- a real run ---- */

static const char experiment_text[] = "[experiment]\nname = small\nepochs = 2\n"
                                      "[data]\ntarget_size = 16x16\nbatch_size = 8\n"
                                      "[source:train]\ntype = shapes\ncount = 36\nclasses = 3\n"
                                      "[source:validation]\ntype = shapes\ncount = 20\nclasses = 3\nseed = 9\n"
                                      "[callback:board]\ntype = tensorboard\nhistogram_freq = 1\nupdate_freq = 2\n"
                                      "write_grads = yes\nimages = 2\n"
                                      "[layer:conv]\ntype = conv2d\nfilters = 4\nkernel_size = 3\n"
                                      "[layer:gap]\ntype = global_average_pooling2d\n"
                                      "[layer:out]\ntype = dense\nunits = 3\nactivation = softmax\n";

/* The histogram of the last epoch has the range of the weights that the network ends with. */
static void assert_range(struct tn_experiment *experiment, const struct event *event, uint32_t parameter)
{
    const struct tn_parameter_info *info = tn_network_parameter(experiment->network, parameter);
    size_t count = (size_t)tn_shape_elements(&info->shape);
    float *values = calloc(count, sizeof *values), low = INFINITY, high = -INFINITY;
    double counted = 0;
    struct tn_error error = {.status = TN_OK};
    ck_assert_int_eq(tn_network_read(experiment->network, parameter, -1, values, &error), TN_OK);
    for (size_t i = 0; i < count; i++) {
        low = fminf(low, values[i]);
        high = fmaxf(high, values[i]);
    }
    for (size_t row = 0; row < 30; row++)
        counted += event_number(event, 3 * row + 2);
    ck_assert_double_eq(event_number(event, 0), low);
    ck_assert_double_eq(event_number(event, 3 * 29 + 1), high);
    ck_assert_double_eq(counted, (double)count);
    free(values);
}

START_TEST(a_real_run_shows_its_numbers_and_weights)
{
    struct played place = {.folder = "/tmp/tenon-board-XXXXXX"};
    struct tn_experiment *experiment = NULL;
    struct tn_problems problems = {.items = NULL};
    struct tn_train_request request = {.quiet = 1};
    struct tn_train_result result;
    struct tn_error error = {.status = TN_OK};
    struct events events;
    char command[128];
    ck_assert_ptr_nonnull(mkdtemp(place.folder));
    ck_assert_int_eq(chdir(place.folder), 0);
    ck_assert_int_eq(tn_file_write("small.ini", experiment_text, sizeof experiment_text - 1, &error), TN_OK);
    ck_assert_msg(tn_experiment_open("small.ini", NULL, 0, 0, &experiment, &problems) == TN_OK, "%s",
                  problems.count ? problems.items[0].text : "no reason");
    ck_assert_msg(tn_experiment_train(experiment, &request, &result, &error) == TN_OK, "%s", error.text);
    read_events(&place, "runs/small/logs/train", 0, &events);
    /* version, text, batches, epochs, weights and gradients, pictures */
    ck_assert_uint_eq(events.count, 1 + 1 + 5 * 2 + 2 * 3 + 2 * 4 * 2 + 2);
    (void)find_event(&events, "conv/kernel_grad/histogram", 1);
    ck_assert(event_is(&events.items[1].tag, "configuration"));
    (void)find_event(&events, "batch_loss", 10);
    (void)find_event(&events, "epoch_accuracy", 1);
    assert_range(experiment, find_event(&events, "conv/kernel/histogram", 1), 0);
    assert_range(experiment, find_event(&events, "out/bias/histogram", 1), 3);
    events_release(&events);
    read_events(&place, "runs/small/logs/validation", 0, &events);
    ck_assert_uint_eq(events.count, 1 + 2 * 4);
    ck_assert_float_eq(event_scalar(find_event(&events, "epoch_accuracy", 0)),
                       event_scalar(find_event(&events, "evaluation_accuracy_vs_iterations", 5)));
    events_release(&events);
    tn_experiment_close(&experiment);
    tn_problems_release(&problems);
    ck_assert_int_eq(chdir("/"), 0);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", place.folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensorboard");
    TCase *tests = tcase_create("tensorboard");
    SRunner *runner;
    int failed;
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, bytes_are_those_of_keras);
    tcase_add_test(tests, batches_and_epochs_have_their_steps);
    tcase_add_test(tests, an_epoch_is_in_the_file_when_it_ends);
    tcase_add_test(tests, a_run_that_goes_on_writes_a_file_behind);
    tcase_add_test(tests, rates_are_written_when_asked_for);
    tcase_add_test(tests, histograms_count_the_weights);
    tcase_add_test(tests, gradients_are_those_of_the_last_batch);
    tcase_add_test(tests, pictures_are_those_of_the_first_batch);
    tcase_add_test(tests, a_real_run_shows_its_numbers_and_weights);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
