#!/usr/bin/env bash
# Every callback that remembers something: a run that is killed in the middle of an epoch, several times, and gone on with,
# leaves what an undisturbed one leaves. The kill comes from the run itself, so that it is always at the same steps.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1
run synth data --count 100 --size 20 --classes 3 --quiet
expect 0
common=(experiment.epochs=4 experiment.save_every="3 batches" data.augment=warp)
# NAME, then lines of sections: the small experiment with them behind it.
experiment() {
    sed -e '/^\[callback/,$d' -e "s/^name .*/name = $1/" "$here/tiny.ini" >"$1.ini"
    printf '%s\n' "${@:2}" >>"$1.ini"
    cat >>"$1.ini" <<'INI'
[callback:last]
type = model_checkpoint
path = last.h5
[callback:kill]
type     = exec
on       = batch_end
command  = case $TENON_STEP in 5|17|18|31|45) mkdir "$CUTS/$TENON_STEP" 2>/dev/null && kill -9 $PPID;; esac; true
on_error = fail
INI
}
# Runs NAME undisturbed and killed; the two run directories are runs/NAME-calm and runs/NAME-cut.
both_ways() { # NAME
    local starts
    export CUTS=$work/cuts-$1
    mkdir -p "$CUTS/5" "$CUTS/17" "$CUTS/18" "$CUTS/31" "$CUTS/45"
    run train "$1.ini" experiment.name="$1-calm" "${common[@]}"
    expect 0
    rmdir "$CUTS"/*
    for starts in 1 2 3 4 5 6 7; do
        { run train "$1.ini" experiment.name="$1-cut" "${common[@]}"; } 2>/dev/null # the shell tells each kill
        [ $status -eq 137 ] || break
    done
    expect 0
    check "$1: it was killed" [ "$starts" -gt 1 ]
    check "$1: the same log" cmp -s "runs/$1-calm/log.csv" "runs/$1-cut/log.csv"
    check "$1: the same weights" cmp -s "runs/$1-calm/checkpoints/last.h5" "runs/$1-cut/checkpoints/last.h5"
}
# Names, links and contents.
tree() {
    (cd "$1" && find . -type l -printf '%p -> %l\n' && find . -type f -exec cksum {} +) | sort
}

# ---- model_checkpoint: which files stay, and what the link points at ----
for more in 'save_freq = 4' 'save_freq = epoch' 'save_best_only = yes'; do
    experiment keep '[callback:some]' 'type = model_checkpoint' 'path = m_{epoch:02d}_{loss:.6f}.h5' 'keep = 2' \
        'link_best = yes' 'monitor = loss' "$more"
    rm -rf runs cuts-keep
    both_ways keep
    tree runs/keep-calm/checkpoints >calm
    tree runs/keep-cut/checkpoints >killed
    check "$more: the same files" cmp -s calm killed
    check "$more: no more than two, the best and the last" [ "$(find runs/keep-cut/checkpoints -type f | wc -l)" -le 4 ]
    check "$more: the link points at a file" [ -s runs/keep-cut/checkpoints/best.h5 ]
done
# The run directory has another name now, and fewer files are to stay.
export CUTS=$work/none
mkdir -p "$CUTS"/{5,17,18,31,45}
experiment moved '[callback:some]' 'type = model_checkpoint' 'path = m_{epoch:02d}.h5' 'keep = 4'
run train moved.ini "${common[@]}" experiment.name=moved
expect 0
mv runs/moved runs/elsewhere
run train moved.ini --resume=runs/elsewhere experiment.save_every='3 batches' data.augment=warp experiment.epochs=6 callback:some.keep=2 \
    experiment.name=moved
expect 0
check "the newest two" [ "$(cd runs/elsewhere/checkpoints && echo m_*)" = "m_05.h5 m_06.h5" ]

# ---- what counts and compares ----
experiment plateau '[callback:plateau]' 'type = reduce_lr_on_plateau' 'patience = 1' 'cooldown = 1' 'min_delta = 1000' \
    'factor = 0.5' '[callback:stop]' 'type = early_stopping' 'patience = 2' 'min_delta = 1000' 'restore_best_weights = yes'
both_ways plateau
experiment rates '[callback:rates]' 'type = learning_rate_scheduler' 'rates = 1:0.01, 3:0.001'
both_ways rates

# ---- another value is watched when the run goes on: the best of before is of no use ----
export CUTS=$work/none
experiment watched '[callback:some]' 'type = model_checkpoint' 'path = m_{epoch:02d}.h5' 'save_best_only = yes' \
    'monitor = val_loss' 'initial_value_threshold = 0.000001' '[callback:plateau]' 'type = reduce_lr_on_plateau' '[callback:stop]' \
    'type = early_stopping' 'patience = 50'
run train watched.ini "${common[@]}"
expect 0
check "nothing is below that" [ -z "$(find runs/watched/checkpoints -name 'm_*')" ]
run train watched.ini "${common[@]:1}" experiment.epochs=6 callback:some.monitor=val_accuracy callback:stop.mode=min
expect 0
says "val_accuracy is watched in another way than before: the best so far begins anew"
says "val_loss is watched in another way than before"
check "said once each" [ "$(grep -c 'begins anew' both)" -eq 2 ]
check "the first one is the best" [ -s runs/watched/checkpoints/m_05.h5 ]

# ---- lr_finder: one curve, and the weights of before the first kill ----
experiment finder '[callback:finder]' 'type = lr_finder' 'steps = 40' 'diverge = 1e30'
both_ways finder
check "one curve" cmp -s runs/finder-calm/lr_finder.csv runs/finder-cut/lr_finder.csv
check "of all batches" [ "$(wc -l <runs/finder-cut/lr_finder.csv)" -eq 41 ]
rm -rf runs/finder-calm cuts-finder
# A signal in the middle of the test: what there is, and then the rest of it.
sed -i 's/kill -9/kill -INT/' finder.ini
export CUTS=$work/ints
mkdir -p "$CUTS"/{5,17,18,31,45}
run train finder.ini experiment.name=finder-calm "${common[@]}"
expect 0
rmdir "$CUTS"/17
run train finder.ini experiment.name=finder-int "${common[@]}"
expect 75
check "a part of the curve" [ "$(wc -l <runs/finder-int/lr_finder.csv)" -lt 25 ]
run train finder.ini experiment.name=finder-int "${common[@]}"
expect 0
says "stopped: lr_finder: the test is done"
check "the same curve" cmp -s runs/finder-calm/lr_finder.csv runs/finder-int/lr_finder.csv
check "the same weights" cmp -s runs/finder-calm/checkpoints/last.h5 runs/finder-int/checkpoints/last.h5

# ---- timed_stop: the time counts from the start of this process, also inside of an epoch ----
experiment timed '[callback:time]' 'type = timed_stop' 'max_time = 0.2s' 'margin = 0.1s'
sed -i 's/^command .*/command = sleep 0.02/' timed.ini
run train timed.ini "${common[@]}"
expect 75
run train timed.ini "${common[@]}" callback:time.max_time=30s callback:kill.command=true
expect 0
says "done: 4 epochs"
finish
