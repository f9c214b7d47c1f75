#!/usr/bin/env bash
# Every callback in a real run, as a user sees it.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1

run synth data --count 120 --size 24 --classes 3
expect 0

# NAME, then lines of sections: the small experiment with them behind it, without its own checkpoint.
experiment() {
    sed -e '/^\[callback:checkpoint\]/,$d' -e "s/^name .*/name = $1/" "$here/tiny.ini" >"$1.ini"
    printf '%s\n' "${@:2}" >>"$1.ini"
}

# ---- reduce_lr_on_plateau: the rate is in the log, and lower after the second epoch ----
experiment plateau '[callback:plateau]' 'type = reduce_lr_on_plateau' 'patience = 0' 'min_delta = 1000' 'factor = 0.5' \
    'verbose = yes'
run train plateau.ini experiment.epochs=3
expect 0
says "Epoch 2: ReduceLROnPlateau reducing learning rate to 0.0005."
check "the rate is logged" [ "$(head -1 runs/plateau/log.csv | tr -d '\r')" = "epoch,accuracy,learning_rate,loss,val_accuracy,val_loss" ]
check "of the epoch that ended" [ "$(cut -d, -f3 runs/plateau/log.csv | tr '\n' ' ')" = "learning_rate 0.001 0.001 0.0005 " ]

# Keras refuses both together.
experiment both '[callback:plateau]' 'type = reduce_lr_on_plateau' '[schedule]' 'type = exponential_decay' 'decay_steps = 10' \
    'decay_rate = 0.9'
run check both.ini
expect 2
says "[callback:plateau]: reduce_lr_on_plateau sets the learning rate, and so does [schedule] (line "

# ---- learning_rate_scheduler ----
experiment scheduler '[callback:rates]' 'type = learning_rate_scheduler' 'rates = 0:0.01, 2:0.002' 'verbose = yes'
run train scheduler.ini experiment.epochs=3
expect 0
says "Epoch 1: LearningRateScheduler setting learning rate to 0.01."
check "rates of the epochs" [ "$(cut -d, -f3 runs/scheduler/log.csv | tr '\n' ' ')" = "learning_rate 0.01 0.01 0.002 " ]

# ---- terminate_on_nan: the checkpoint of the epoch before stays as it was ----
experiment nan '[callback:rates]' 'type = learning_rate_scheduler' 'rates = 0:0.001, 1:1e30' '[callback:nan]' \
    'type = terminate_on_nan' '[callback:checkpoint]' 'type = model_checkpoint' 'path = {epoch}.h5'
run train nan.ini experiment.epochs=3
expect 1
says "[callback:nan]: Batch "
says ": Invalid loss, terminating training (epoch 2, learning rate 1e+30)"
check "one checkpoint" [ "$(ls runs/nan/checkpoints)" = 1.h5 ]
run train nan.ini experiment.epochs=3 callback:nan.raise_error=no --fresh
expect 0
says "stopped: Batch "
check "as Keras: the broken weights too" [ "$(echo runs/nan-2/checkpoints/*)" = "runs/nan-2/checkpoints/1.h5 runs/nan-2/checkpoints/2.h5" ]

# ---- timed_stop: a pause in order, from which the same command goes on ----
experiment timed '[callback:time]' 'type = timed_stop' 'max_time = 3s' '[callback:checkpoint]' 'type = model_checkpoint' \
    'path = last.h5'
begin=$(date +%s%N)
run train timed.ini experiment.epochs=100000
check "it ended in time" [ $(($(date +%s%N) - begin)) -lt 6000000000 ]
expect 75
says "warning: after "
says "before max_time = 3s is over (epoch "
says "the same command goes on from here"
check "the weights are there" [ -s runs/timed/checkpoints/last.h5 ]
run train timed.ini experiment.epochs=100000 callback:time.max_time=2s
expect 75
says "resumed at epoch "
says ", nothing is lost"

# ---- exec ----
experiment exec '[callback:tell]' 'type = exec' 'on = run_begin, epoch_end, run_end' \
    'command = echo "$TENON_EVENT $TENON_EPOCH of $TENON_EPOCHS: $TENON_LOG_val_accuracy." | tee -a "$TENON_RUN_DIRECTORY/told.txt"'
run train exec.ini experiment.epochs=2
expect 0
says "run_begin 1 of 2: ."
says "epoch_end 2 of 2: 0."
check "four lines in the run directory" [ "$(wc -l <runs/exec/told.txt)" -eq 4 ]
check "one value for log and environment" grep -qF "$(sed -n 's/epoch_end 2 of 2: \(.*\)\.$/\1/p' runs/exec/told.txt)" runs/exec/log.csv
run train exec.ini --fresh callback:tell.command='sleep 30' callback:tell.time_limit=0.2s callback:tell.on=run_end
expect 0
says "exec: on run_end: the command \`sleep 30\` was ended after 0.2 s (time_limit)"
run train exec.ini --fresh callback:tell.command='exit 9' callback:tell.on_error=fail
expect 1
says "[callback:tell]: on run_begin: the command \`exit 9\` ended with status 9"

# A signal does not wait for the command.
"$tenon" train exec.ini --fresh callback:tell.command='sleep 30' callback:tell.on=run_begin >both 2>&1 </dev/null &
sleep 1
kill -TERM $!
begin=$(date +%s%N)
wait $!
status=$?
expect 75
check "at once" [ $(($(date +%s%N) - begin)) -lt 2000000000 ]
says "the command \`sleep 30\` was ended, for the run is to stop"

# ---- model_checkpoint writes behind the training; who looks at the files finds them, on a slow disk too ----
experiment behind '[callback:each]' 'type = model_checkpoint' 'path = e{epoch}.h5' 'keep = 2' 'verbose = yes' \
    '[callback:look]' 'type = exec' 'on = epoch_end' 'on_error = fail' \
    'command = test -s "$TENON_RUN_DIRECTORY/checkpoints/e$TENON_EPOCH.h5"'
slow=(env FAULT_SLOW=100 FAULT_UNDER=runs/behind LD_PRELOAD="$TENON_BUILD/tests/libfault_at.so")
[ -z "${TENON_SANITIZED:-}" ] || slow=() # a sanitizer has to be the first library that is loaded
last="tenon train behind.ini on a slow disk"
"${slow[@]}" "$tenon" train behind.ini experiment.epochs=4 >out 2>err </dev/null
status=$?
cat out err >both
expect 0
says "Epoch 4: finished saving model to runs/behind/checkpoints/e4.h5"
check "two stay" [ "$(cd runs/behind/checkpoints && echo *)" = "e3.h5 e4.h5" ]
sed -i '/^\[callback:look\]/,$d' behind.ini
"${slow[@]}" "$tenon" train behind.ini --fresh experiment.epochs=4 >out 2>err </dev/null
status=$?
cat out err >both
expect 0
check "two stay without anybody who looks" [ "$(cd runs/behind-2/checkpoints && echo *)" = "e3.h5 e4.h5" ]

# ---- a callback asks for a state, and is told before each one ----
experiment saver '[callback:saver]' 'type = saver' 'at = 3'
TENON_PLUGIN_PATH=$TENON_BUILD/lib/tenon/test-plugins run train saver.ini experiment.epochs=2 experiment.save_every=1h
expect 0
check "told twice" [ "$(grep -c 'saver: told of a state' both)" -eq 2 ]
says "saver: told of a state behind step 3"
TENON_PLUGIN_PATH=$TENON_BUILD/lib/tenon/test-plugins run train saver.ini --fresh callback:saver.behind=end.h5
expect 0
check "what is written behind at the end is there" [ -s end.h5 ]
TENON_PLUGIN_PATH=$TENON_BUILD/lib/tenon/test-plugins run train saver.ini --fresh callback:saver.behind=/proc/none/end.h5
expect 1
says "not all is saved: cannot make the folder /proc/none"

# ---- lr_finder: weights are what they were ----
experiment finder '[callback:finder]' 'type = lr_finder' 'steps = 60' '[callback:checkpoint]' 'type = model_checkpoint' \
    'path = after.h5' 'save_weights_only = yes'
run train finder.ini experiment.epochs=30
expect 0
says "lr_finder: "
says "is in runs/finder/lr_finder.csv"
says "stopped: lr_finder: "
check "a row for each batch" [ "$(wc -l <runs/finder/lr_finder.csv)" -gt 20 ]
run train finder.ini experiment.epochs=1 callback:finder.steps=10 callback:finder.start=1e-30 callback:finder.end=2e-30 --fresh
expect 0
check "the weights are those of the beginning" cmp -s runs/finder/checkpoints/after.h5 runs/finder-2/checkpoints/after.h5
run train finder.ini --fresh experiment.epochs=1 callback:finder.steps=1000
says "lr_finder: the run has "
run check finder.ini callback:finder.start=2 callback:finder.end=1
expect 2
says "0 < start < end"

# ---- model_checkpoint: what stays, and the link ----
experiment keep '[callback:checkpoint]' 'type = model_checkpoint' 'path = model_{epoch:02d}.h5' 'monitor = val_loss' 'keep = 2' \
    'link_best = yes' 'verbose = yes'
run train keep.ini experiment.epochs=5
expect 0
says "Epoch 5: finished saving model to runs/keep/checkpoints/model_05.h5"
check "the newest two" [ -s runs/keep/checkpoints/model_05.h5 -a -s runs/keep/checkpoints/model_04.h5 ]
check "best.h5 is a link" [ -L runs/keep/checkpoints/best.h5 ]
check "no more than the best besides" [ "$(find runs/keep/checkpoints -type f | wc -l)" -le 3 ]
run eval keep.ini --weights runs/keep/checkpoints/best.h5
expect 0
run check keep.ini callback:checkpoint.path=model.h5
expect 2
says "link_best: model.h5 is always the same file"

# ---- backup_and_restore: the run's own saving, under Keras' name ----
experiment backup '[callback:backup]' 'type = backup_and_restore' 'save_freq = 7'
run train backup.ini
expect 0
# One is left out when the one before it is still being written.
check "at the beginning, after 7 and 14 batches, at the end" [ -s runs/backup/state/00000003.tns ]
check "and not more often" [ ! -e runs/backup/state/00000005.tns ]
run check runs/backup/config.ini
expect 0
run check backup.ini experiment.save_every='7 batches'
expect 0
run check backup.ini experiment.save_every=epoch
expect 2
says "[callback:backup]: save_every is 7 batches here, and epoch in [experiment]: leave out one of them"
run check backup.ini callback:backup.save_freq=7.5
expect 2
says "neither \`epoch\` nor a number of batches"
run check backup.ini callback:backup.save_every=5min
expect 2
says "save_every and save_freq say the same thing"
run check backup.ini callback:backup.backup_dir=/tmp/backup
expect 2
says "the state is in state/ of the run directory"
experiment backup2 '[callback:backup]' 'type = backup_and_restore' '[callback:again]' 'type = backup_and_restore'
run check backup2.ini
expect 0
run check backup2.ini experiment.save_every=no
expect 2
says "[callback:again]: it saves the run's state, and save_every is no in [experiment]: leave out one of them"
run check backup2.ini callback:backup.save_every=epoch callback:again.save_every='2 batches'
expect 2
says "[callback:again]: save_every is 2 batches here, and epoch in [callback:backup]: leave out one of them"
run check backup2.ini callback:backup.save_every=often
expect 2
says "[callback:backup]: save_every: \`often\` is none of auto"

# ---- progress: the line; and what callbacks cost ----
experiment progress '[callback:line]' 'type = progress'
run train progress.ini experiment.epochs=2 -v
expect 0
says "Epoch 2/2  "
says " img/s  "
says "[callback:line] (progress) took "
says "[callback:log] (csv_logger) took "
run train progress.ini experiment.epochs=2 --fresh callback:line.style=epochs
silent_about "(csv_logger) took"
check "two lines" [ "$(grep -c '^Epoch ./2  .*val_loss' out)" -eq 2 ]
run train progress.ini experiment.epochs=2 --fresh callback:line.style=bar
says "Epoch 1/2 15/15 [==============================] - "
says "s/step - accuracy: "
check "no line inside of an epoch" [ "$(grep -c '^Epoch' out)" -eq 2 ]
run train progress.ini --fresh callback:line.style=bar callback:line.every=0.000001s
says "Epoch 1/1 7/15 [==============>...............] - ETA: 0s - accuracy: "
says "Epoch 1/1 validation "
run train progress.ini --fresh callback:line.style=line callback:line.every=0.000001s
says "Epoch 1/1  7/15  46%"
run train progress.ini --fresh callback:line.style=none
silent_about "Epoch"
run train progress.ini --fresh callback:line.style=bar callback:line.every=0.000001s --quiet
silent_about "Epoch"
# On a terminal the bar is painted over, and an epoch leaves one line.
if script -qc true /dev/null >/dev/null 2>&1; then
    script -qc "$tenon train progress.ini --fresh callback:line.style=bar callback:line.every=0.000001s" /dev/null >both </dev/null
    check "painted" grep -q "$(printf '\rEpoch 1/1 7/15 \\[=')" both
fi
experiment progress2 '[callback:line]' 'type = progress' '[callback:more]' 'type = progress'
run check progress2.ini
expect 2
says "[callback:more]: [callback:line] draws the progress line already"

# ---- sample_images: a sheet after every second epoch ----
experiment samples '[callback:samples]' 'type = sample_images' 'count = 4' 'every = 2'
run train samples.ini experiment.epochs=5
expect 0
check "sheets" [ "$(echo runs/samples/samples/*)" = "runs/samples/samples/epoch_002.png runs/samples/samples/epoch_004.png" ]
check "of 2 x 2 pictures, each 112 x 112 and three lines" [ "$(od -An -j16 -N8 -tx1 runs/samples/samples/epoch_004.png | tr -d ' ')" = 000000f800000142 ]
experiment confident '[callback:samples]' 'type = sample_images' 'by = confidence'
run train confident.ini
expect 0

# A sheet that cannot be written ends no run.
mkdir -p runs/blocked
: >runs/blocked/samples
experiment blocked '[callback:samples]' 'type = sample_images'
run train blocked.ini experiment.epochs=2
expect 1
says "sample_images: cannot write"
says "training goes on without it"

# It needs a validation.
experiment unseen '[callback:samples]' 'type = sample_images'
sed -i '/^\[source:validation\]/,/^$/d' unseen.ini
run train unseen.ini
expect 2
says "there is no validation whose mistakes could be shown"

finish
