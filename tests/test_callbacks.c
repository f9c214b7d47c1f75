/* test_callbacks.c: model_checkpoint, early_stopping, reduce_lr_on_plateau and csv_logger against a run that is fed by
 * hand, and against what Keras did with the same series (fixtures/callbacks).
 */
#include "support/bundle.h"

#include "callback_rig.h"

/* ---- fixtures ---- */

static void add_key(char *keys, size_t bytes, const struct bundle_case *item, const char *key)
{
    const char *value = bundle_value(item, key);
    if (value)
        (void)snprintf(keys + strlen(keys), bytes - strlen(keys), "%s = %s\n", key, value);
}

static void early_stopping_case(const struct bundle_case *item)
{
    static const char *const options[] = {
        "monitor", "mode", "patience", "min_delta", "baseline", "restore_best_weights", "start_from_epoch"};
    const struct bundle_tensor *series = bundle_tensor(item, "series");
    int32_t run = 0, stopped_epoch = -1;
    char keys[1024] = "type = early_stopping\n";
    struct made made;
    struct fake fake;
    struct tn_error error = {.status = TN_OK};
    for (size_t i = 0; i < TN_COUNT_OF(options); i++)
        add_key(keys, sizeof keys, item, options[i]);
    begin_case(&made, &fake, keys, bundle_set(item, "monitor"));
    while (run < (int32_t)series->count && !fake.stopped)
        epoch(&made, &fake, run, bundle_set(item, "monitor"), bundle_at(series, (uint64_t)run)), run++;
    if (fake.stopped)
        stopped_epoch = run - 1;
    ck_assert_int_eq(tell(&made, &fake, TN_RUN_END, &error), TN_OK);
    ck_assert_msg(stopped_epoch == (int32_t)bundle_number(item, "stopped_epoch", -1), "%s: stopped in %d", item->name,
                  stopped_epoch);
    ck_assert_msg(run == (int32_t)bundle_number(item, "epochs_run", -1), "%s: %d epochs", item->name, run);
    ck_assert_msg(fake.weights_epoch == (int32_t)bundle_number(item, "final_weights_epoch", -1), "%s: weights of %d",
                  item->name, fake.weights_epoch);
    unmake(&made);
}

static void checkpoint_case(const struct bundle_case *item)
{
    static const char *const options[] = {
        "filepath", "monitor", "mode", "save_best_only", "initial_value_threshold", "save_weights_only"};
    const struct bundle_tensor *series = bundle_tensor(item, "series");
    const char *wanted = bundle_set(item, "saved");
    char keys[1024] = "type = model_checkpoint\n", seen[4096] = "";
    struct made made;
    struct fake fake;
    for (size_t i = 0; i < TN_COUNT_OF(options); i++)
        add_key(keys, sizeof keys, item, options[i]);
    begin_case(&made, &fake, keys, bundle_set(item, "monitor"));
    for (size_t i = 0; i < series->count; i++)
        epoch(&made, &fake, (int32_t)i, bundle_set(item, "monitor"), bundle_at(series, i));
    for (unsigned i = 0; i < fake.saved_count; i++) {
        const char *below = "run/checkpoints/";
        ck_assert_int_eq(strncmp(fake.saved[i], below, strlen(below)), 0);
        (void)snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s%s", i ? " " : "",
                       fake.saved[i] + strlen(below));
    }
    while (*wanted == ' ')
        wanted++;
    ck_assert_msg(strcmp(seen, wanted) == 0, "%s: saved %s, Keras %s", item->name, seen, wanted);
    unmake(&made);
}

static void reduce_lr_case(const struct bundle_case *item)
{
    static const char *const options[] = {"monitor", "mode", "patience", "factor", "cooldown", "min_lr", "min_delta"};
    const struct bundle_tensor *series = bundle_tensor(item, "series"), *wanted = bundle_tensor(item, "lr");
    char keys[1024] = "type = reduce_lr_on_plateau\n";
    struct made made;
    struct fake fake;
    for (size_t i = 0; i < TN_COUNT_OF(options); i++)
        add_key(keys, sizeof keys, item, options[i]);
    begin_case(&made, &fake, keys, bundle_set(item, "monitor"));
    fake.run.learning_rate = bundle_number(item, "start_lr", 0);
    ck_assert_uint_eq(series->count, wanted->count);
    for (size_t i = 0; i < series->count; i++) {
        epoch(&made, &fake, (int32_t)i, bundle_set(item, "monitor"), bundle_at(series, i));
        ck_assert_msg(fabs(fake.run.learning_rate - bundle_at(wanted, i)) <= 1e-6 * bundle_at(wanted, i),
                      "%s: epoch %zu has %.9g, Keras %.9g", item->name, i, fake.run.learning_rate,
                      bundle_at(wanted, i));
    }
    unmake(&made);
}

START_TEST(as_keras_did)
{
    struct bundle *bundle = NULL;
    struct tn_error error = {.status = TN_OK};
    unsigned stops = 0, checkpoints = 0, rates = 0;
    char path[1024];
    if (!fixtures_file(path, sizeof path, "callbacks/manifest.txt")) {
        printf("skipped: there are no fixtures (set TENON_FIXTURES)\n");
        return;
    }
    ck_assert_msg(bundle_open(path, &bundle, &error) == TN_OK, "%s", error.text);
    for (size_t i = 0; i < bundle_case_count(bundle); i++) {
        const struct bundle_case *item = bundle_case_at(bundle, i);
        const char *op = bundle_set(item, "op");
        if (strcmp(op, "EarlyStopping") == 0)
            early_stopping_case(item), stops++;
        else if (strcmp(op, "ModelCheckpoint") == 0)
            checkpoint_case(item), checkpoints++;
        else if (strcmp(op, "ReduceLROnPlateau") == 0)
            reduce_lr_case(item), rates++;
    }
    ck_assert_uint_gt(stops, 0);
    ck_assert_uint_gt(checkpoints, 0);
    ck_assert_uint_gt(rates, 0);
    bundle_close(&bundle);
}
END_TEST

/* ---- model_checkpoint ---- */

static void one_name(const char *path, const char *name, double value, const char *wanted)
{
    char keys[512];
    struct made made;
    struct fake fake;
    (void)snprintf(keys, sizeof keys, "type = model_checkpoint\npath = %s\n", path);
    begin_case(&made, &fake, keys, name);
    epoch(&made, &fake, 6, name, value);
    ck_assert_uint_eq(fake.saved_count, 1);
    ck_assert_str_eq(fake.saved[0], wanted);
    unmake(&made);
}

START_TEST(names_are_filled_as_python_does)
{
    one_name("m_{epoch:02d}.h5", "loss", 1, "run/checkpoints/m_07.h5");
    one_name("m_{epoch}.h5", "loss", 1, "run/checkpoints/m_7.h5");
    one_name("m_{epoch:4d}|{loss:.2f}.h5", "loss", 0.125, "run/checkpoints/m_   7|0.12.h5");
    one_name("{loss:08.3f}.h5", "loss", -1.5, "run/checkpoints/-001.500.h5");
    one_name("{loss:+.1e}.h5", "loss", 1234.5, "run/checkpoints/+1.2e+03.h5");
    one_name("{accuracy:.1%}.h5", "accuracy", 0.987, "run/checkpoints/98.7%.h5");
    one_name("{loss}.h5", "loss", 0.1, "run/checkpoints/0.1.h5");
    one_name("{loss}.h5", "loss", 2, "run/checkpoints/2.0.h5");
    one_name("{loss}.h5", "loss", 1e-7, "run/checkpoints/1e-07.h5");
    one_name("{{{epoch:.1f}}}.h5", "loss", 1, "run/checkpoints/{7.0}.h5");
    one_name("/abs/{epoch}.h5", "loss", 1, "/abs/7.h5");
    one_name("{loss:.2f}.h5", "loss", NAN, "run/checkpoints/nan.h5");
}
END_TEST

/* A section, or the first event of a run, that is refused with a text that holds `part`. */
static void refused(const char *keys, const char *part)
{
    struct made made;
    struct fake fake;
    struct tn_error error = {.status = TN_OK};
    const char *text = error.text;
    if (make(&made, keys) == TN_OK) {
        fake_begin(&fake, "run");
        fake_log(&fake, "accuracy", NAN, TN_DIRECTION_UP);
        fake_log(&fake, "loss", NAN, TN_DIRECTION_DOWN);
        fake_log(&fake, "odd", NAN, TN_DIRECTION_UNKNOWN);
        ck_assert_msg(tell(&made, &fake, TN_RUN_BEGIN, &error) != TN_OK, "accepted: %s", keys);
    } else {
        ck_assert_uint_gt(made.problems.count, 0);
        text = made.problems.items[0].text;
    }
    ck_assert_msg(strstr(text, part) != NULL, "%s\n  is refused with: %s", keys, text);
    unmake(&made);
}

START_TEST(wrong_sections_are_refused_before_the_first_epoch)
{
    refused("type = model_checkpoint\n", "path: is missing");
    refused("type = model_checkpoint\npath = a.h5\nfilepath = b.h5\n", "same option");
    refused("type = model_checkpoint\npath = {epoch:02d.h5\n", "brace");
    refused("type = model_checkpoint\npath = epoch}.h5\n", "brace");
    refused("type = model_checkpoint\npath = {val_acc:.2f}.h5\n", "'val_acc'");
    refused("type = model_checkpoint\npath = {loss:d}.h5\n", "whole numbers");
    refused("type = model_checkpoint\npath = {loss:q}.h5\n", "not a format");
    refused("type = model_checkpoint\npath = {loss:.99999999999f}.h5\n", "not a format");
    refused("type = model_checkpoint\npath = {epoch:1234567890d}.h5\n", "not a format");
    refused("type = model_checkpoint\npath = a.h5\nsave_freq = often\n", "save_freq");
    refused("type = model_checkpoint\npath = a.h5\nsave_freq = 0\n", "save_freq");
    refused("type = model_checkpoint\npath = a.h5\nsave_best_only = yes\nmonitor = nothing\n", "no such value");
    refused("type = model_checkpoint\npath = a.h5\nsave_best_only = yes\nmonitor = odd\n", "mode = max");
    refused("type = model_checkpoint\npath = a.h5\ninitial_value_threshold = 1, 2\n", "one number");
    refused("type = model_checkpoint\npath = a.h5\nlink_best = yes\n", "always the same file");
    refused("type = model_checkpoint\npath = {epoch}/a.h5\nlink_best = yes\n", "folder of its own");
    refused("type = model_checkpoint\npath = a.h5\nsave_best_only = yes\nsave_freq = 3\n", "no val_loss yet");
    refused("type = model_checkpoint\npath = a.h5\nkeep = -1\n", "keep");
    refused("type = reduce_lr_on_plateau\nmonitor = val_acc\n", "no such value");
    refused("type = reduce_lr_on_plateau\nfactor = 1\n", "below 1");
    refused("type = early_stopping\nmonitor = val_acc\n", "no such value");
    refused("type = early_stopping\nmode = sideways\n", "sideways");
    refused("type = early_stopping\npatience = -1\n", "patience");
    refused("type = csv_logger\nseparator = ab\n", "separator");
    refused("type = csv_logger\nfilename = /nowhere/at/all/log.csv\n", "cannot write");
}
END_TEST

START_TEST(saving_by_batches_counts_across_epochs)
{
    struct made made;
    struct fake fake;
    struct tn_error error = {.status = TN_OK};
    begin_case(&made, &fake,
               "type = model_checkpoint\npath = {epoch}_{batch}.h5\nsave_freq = 3\nsave_weights_only = yes\n", "loss");
    for (int32_t number = 0; number < 2; number++) {
        for (uint64_t batch = 0; batch < 4; batch++) {
            fake.run.epoch = number;
            fake.run.batch = batch;
            ck_assert_int_eq(tell(&made, &fake, TN_BATCH_END, &error), TN_OK);
        }
        epoch(&made, &fake, number, "loss", 1);
    }
    ck_assert_uint_eq(fake.saved_count, 2);
    ck_assert_str_eq(fake.saved[0], "run/checkpoints/1_3.h5");
    ck_assert_str_eq(fake.saved[1], "run/checkpoints/2_2.h5");
    ck_assert_uint_eq(fake.flags, TN_FORMAT_WEIGHTS_ONLY);
    unmake(&made);
}
END_TEST

START_TEST(says_what_keras_says)
{
    struct made made;
    struct fake fake;
    begin_case(&made, &fake,
               "type = model_checkpoint\npath = best.h5\nmonitor = loss\nsave_best_only = yes\nverbose = yes\n",
               "loss");
    epoch(&made, &fake, 0, "loss", 0.5);
    epoch(&made, &fake, 1, "loss", 0.5);
    epoch(&made, &fake, 2, "loss", 0.25);
    ck_assert_uint_eq(fake.said_count, 5);
    ck_assert_str_eq(fake.said[0],
                     "Epoch 1: loss improved from None to 0.50000, saving model to run/checkpoints/best.h5");
    ck_assert_str_eq(fake.said[1], "Epoch 1: finished saving model to run/checkpoints/best.h5");
    ck_assert_str_eq(fake.said[2], "Epoch 2: loss did not improve from 0.50000");
    ck_assert_str_eq(fake.said[3],
                     "Epoch 3: loss improved from 0.50000 to 0.25000, saving model to run/checkpoints/best.h5");
    unmake(&made);
}
END_TEST

/* What is on the disk is what the next value is compared with; the run ends well only when a later one was saved. */
START_TEST(a_checkpoint_that_fails)
{
    struct made made;
    struct fake fake;
    struct tn_error error = {.status = TN_OK};
    begin_case(&made, &fake, "type = model_checkpoint\npath = best.h5\nmonitor = loss\nsave_best_only = yes\n", "loss");
    epoch(&made, &fake, 0, "loss", 0.5);
    fake.fails = 1;
    epoch(&made, &fake, 1, "loss", 0.2);
    ck_assert_uint_eq(fake.saved_count, 1);
    ck_assert_uint_eq(fake.said_count, 1);
    ck_assert_str_eq(fake.said[0], "Epoch 2: cannot write run/checkpoints/best.h5: no room; training goes on");
    ck_assert_ptr_nonnull(strstr(fake.unsaved, "the weights of epoch 2"));
    fake.fails = 0;
    epoch(&made, &fake, 2, "loss", 0.6);
    ck_assert_uint_eq(fake.saved_count, 1);
    ck_assert_ptr_nonnull(strstr(fake.unsaved, "the weights of epoch 2"));
    epoch(&made, &fake, 3, "loss", 0.4); /* worse than what failed, and the best that there is */
    ck_assert_uint_eq(fake.saved_count, 2);
    ck_assert_ptr_nonnull(strstr(fake.unsaved, "the weights of epoch 2"));
    epoch(&made, &fake, 4, "loss", 0.1); /* better than what was lost */
    ck_assert_uint_eq(fake.saved_count, 3);
    ck_assert_str_eq(fake.unsaved, "");
    unmake(&made);
    begin_case(&made, &fake, "type = model_checkpoint\npath = last.h5\non_save_error = fail\n", "loss");
    fake.fails = 1;
    fake_log(&fake, "loss", 0.5, TN_DIRECTION_DOWN);
    ck_assert_int_eq(tell(&made, &fake, TN_EPOCH_END, &error), TN_IO);
    ck_assert_ptr_nonnull(strstr(error.text, "cannot write run/checkpoints/last.h5"));
    unmake(&made);
}
END_TEST

/* Without validation Keras 3 warns once and saves all the same. */
START_TEST(a_value_that_is_not_there)
{
    struct made made;
    struct fake fake;
    begin_case(&made, &fake, "type = model_checkpoint\npath = best.h5\nsave_best_only = yes\n", "loss");
    epoch(&made, &fake, 0, "loss", 0.5);
    epoch(&made, &fake, 1, "loss", 0.7);
    ck_assert_uint_eq(fake.saved_count, 2);
    ck_assert_uint_eq(fake.said_count, 1);
    ck_assert_str_eq(fake.said[0], "Can save best model only with val_loss available.");
    unmake(&made);
    begin_case(&made, &fake, "type = early_stopping\n", "loss");
    epoch(&made, &fake, 0, "loss", 0.5);
    epoch(&made, &fake, 1, "loss", 0.7);
    epoch(&made, &fake, 2, "loss", 0.7);
    ck_assert_int_eq(fake.stopped, 0);
    ck_assert_uint_eq(fake.said_count, 1);
    ck_assert_ptr_nonnull(strstr(fake.said[0], "`val_loss` which is not available. Available metrics are: loss"));
    unmake(&made);
}
END_TEST

START_TEST(only_restoring_keeps_weights)
{
    struct made made;
    const struct tn_callback *type;
    ck_assert_int_eq(make(&made, "type = early_stopping\n"), TN_OK);
    type = (const struct tn_callback *)made.instance->type;
    ck_assert_int_eq(type->keeps_weights(made.instance->self), 0);
    unmake(&made);
    ck_assert_int_eq(make(&made, "type = early_stopping\nrestore_best_weights = yes\n"), TN_OK);
    type = (const struct tn_callback *)made.instance->type;
    ck_assert_int_eq(type->keeps_weights(made.instance->self), 1);
    unmake(&made);
}
END_TEST

/* ---- csv_logger ---- */

static char *read_whole(const char *path)
{
    void *data = NULL;
    uint64_t bytes = 0;
    struct tn_error error = {.status = TN_OK};
    ck_assert_msg(tn_file_read(path, 1 << 20, &data, &bytes, &error) == TN_OK, "%s", error.text);
    return data;
}

/* `speed`: images per second of the first epoch; the second has twice that. 0 = unknown. */
static void log_epochs_at(double speed, const char *folder, const char *keys, bool validation, const char *wanted)
{
    struct made made;
    struct fake fake;
    struct tn_error error = {.status = TN_OK};
    char path[512], *text;
    ck_assert_int_eq(make(&made, keys), TN_OK);
    fake_begin(&fake, folder);
    ck_assert_msg(tell(&made, &fake, TN_RUN_BEGIN, &error) == TN_OK, "%s", error.text);
    for (int32_t number = 0; number < 2; number++) {
        fake.run.epoch = number;
        fake.run.log_count = 0;
        fake_log(&fake, "accuracy", 0.1 * (number + 1), TN_DIRECTION_UP);
        fake_log(&fake, "loss", 1.0 / (number + 1), TN_DIRECTION_DOWN);
        if (validation)
            fake_log(&fake, "val_loss", 1e-7, TN_DIRECTION_DOWN);
        fake.run.images_per_second = speed * (number + 1);
        fake.run.input_wait = 0.25 * (number + 1);
        ck_assert_int_eq(tell(&made, &fake, TN_EPOCH_END, &error), TN_OK);
    }
    ck_assert_int_eq(tell(&made, &fake, TN_RUN_END, &error), TN_OK);
    unmake(&made);
    (void)snprintf(path, sizeof path, "%s/log.csv", folder);
    text = read_whole(path);
    ck_assert_str_eq(text, wanted);
    free(text);
}

static void log_two_epochs(const char *folder, const char *keys, bool validation, const char *wanted)
{
    log_epochs_at(0, folder, keys, validation, wanted);
}

/* Behind Keras' columns, unless they are not wanted, or an older file goes on that has not got them. */
START_TEST(throughput_stands_at_the_end)
{
    char folder[] = "/tmp/tenon-csv-XXXXXX", path[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/log.csv", folder);
    log_epochs_at(1000, folder, "type = csv_logger\nthroughput = yes\n", true,
                  "epoch,accuracy,loss,val_loss,images_per_second,input_wait\r\n"
                  "0,0.1,1.0,1e-07,1000.0,0.2500\r\n1,0.2,0.5,1e-07,2000.0,0.5000\r\n");
    log_epochs_at(20, folder, "type = csv_logger\nappend = yes\n", true,
                  "epoch,accuracy,loss,val_loss,images_per_second,input_wait\r\n"
                  "0,0.1,1.0,1e-07,1000.0,0.2500\r\n1,0.2,0.5,1e-07,2000.0,0.5000\r\n"
                  "0,0.1,1.0,1e-07,20.0,0.2500\r\n1,0.2,0.5,1e-07,40.0,0.5000\r\n");
    log_epochs_at(1000, folder, "type = csv_logger\n", true,
                  "epoch,accuracy,loss,val_loss\r\n0,0.1,1.0,1e-07\r\n1,0.2,0.5,1e-07\r\n");
    log_epochs_at(1000, folder, "type = csv_logger\nappend = yes\nthroughput = yes\n", true,
                  "epoch,accuracy,loss,val_loss\r\n0,0.1,1.0,1e-07\r\n1,0.2,0.5,1e-07\r\n"
                  "0,0.1,1.0,1e-07\r\n1,0.2,0.5,1e-07\r\n");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(rows_are_those_of_keras)
{
    char folder[] = "/tmp/tenon-csv-XXXXXX", path[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    log_two_epochs(folder, "type = csv_logger\n", true,
                   "epoch,accuracy,loss,val_loss\r\n0,0.1,1.0,1e-07\r\n1,0.2,0.5,1e-07\r\n");
    log_two_epochs(folder, "type = csv_logger\nappend = yes\n", true,
                   "epoch,accuracy,loss,val_loss\r\n0,0.1,1.0,1e-07\r\n1,0.2,0.5,1e-07\r\n"
                   "0,0.1,1.0,1e-07\r\n1,0.2,0.5,1e-07\r\n");
    log_two_epochs(folder, "type = csv_logger\nseparator = \\t\n", false,
                   "epoch\taccuracy\tloss\tval_accuracy\tval_loss\r\n0\t0.1\t1.0\tNA\tNA\r\n1\t0.2\t0.5\tNA\tNA\r\n");
    (void)snprintf(path, sizeof path, "%s/log.csv", folder);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* Rows wait until the place takes them, each once. */
START_TEST(rows_wait_for_a_place_that_is_away)
{
    char folder[] = "/tmp/tenon-csv-XXXXXX", path[64], away[64], *text;
    struct made made;
    struct fake fake;
    struct tn_error error = {.status = TN_OK};
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/log.csv", folder);
    (void)snprintf(away, sizeof away, "%s/away", folder);
    ck_assert_int_eq(make(&made, "type = csv_logger\n"), TN_OK);
    fake_begin(&fake, folder);
    fake_log(&fake, "loss", NAN, TN_DIRECTION_DOWN);
    fake_log(&fake, "val_loss", NAN, TN_DIRECTION_DOWN);
    ck_assert_int_eq(tell(&made, &fake, TN_RUN_BEGIN, &error), TN_OK);
    for (int32_t number = 0; number < 4; number++) {
        if (number == 1)
            ck_assert_int_eq(rename(path, away) == 0 && mkdir(path, 0700) == 0, 1);
        if (number == 3)
            ck_assert_int_eq(rmdir(path) == 0 && rename(away, path) == 0, 1);
        fake.run.epoch = number;
        fake.logs[0].value = fake.logs[1].value = 0.5 * number;
        ck_assert_int_eq(tell(&made, &fake, TN_EPOCH_END, &error), TN_OK);
        ck_assert_int_eq(fake.unsaved[0] != 0, number == 1 || number == 2);
    }
    ck_assert_uint_eq(fake.said_count, 1); /* not for each row */
    ck_assert_ptr_nonnull(strstr(fake.said[0], "log.csv: Is a directory; training goes on"));
    ck_assert_int_eq(tell(&made, &fake, TN_RUN_END, &error), TN_OK);
    unmake(&made);
    text = read_whole(path);
    ck_assert_str_eq(text, "epoch,loss,val_loss\r\n0,0.0,0.0\r\n1,0.5,0.5\r\n2,1.0,1.0\r\n3,1.5,1.5\r\n");
    free(text);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("callbacks");
    TCase *tests = tcase_create("callbacks");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_test(tests, as_keras_did);
    tcase_add_test(tests, names_are_filled_as_python_does);
    tcase_add_test(tests, wrong_sections_are_refused_before_the_first_epoch);
    tcase_add_test(tests, saving_by_batches_counts_across_epochs);
    tcase_add_test(tests, says_what_keras_says);
    tcase_add_test(tests, a_value_that_is_not_there);
    tcase_add_test(tests, only_restoring_keeps_weights);
    tcase_add_test(tests, rows_are_those_of_keras);
    tcase_add_test(tests, throughput_stands_at_the_end);
    tcase_add_test(tests, a_checkpoint_that_fails);
    tcase_add_test(tests, rows_wait_for_a_place_that_is_away);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
