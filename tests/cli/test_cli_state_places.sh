#!/usr/bin/env bash
# Where a run's state lies: first on the machine's own disk, then in the run directory. A machine that vanishes, a drive
# that is away for a while or for good, and a run that was gone on with elsewhere: it always ends as the undisturbed one.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1
run synth data --count 80 --size 16 --classes 3 --quiet
expect 0
sed -e '/^\[callback/,$d' "$here/tiny.ini" >run.ini
if [ "${TENON_SANITIZED:-}" = tsan ]; then # it cannot see into libgomp: one thread computes, the others save
    sed -i 's/^name .*/&\nthreads = 1/' run.ini
fi
cat >>run.ini <<'INI'

[callback:best]
type = model_checkpoint
path = best.h5
monitor = val_loss
save_best_only = yes

[callback:last]
type = model_checkpoint
path = last.weights.h5
save_weights_only = yes

[callback:stop]
type = early_stopping
patience = 50
restore_best_weights = yes
INI
sed '$a\\n[callback:accident]\ntype = exec\ncommand = . ./accident' run.ini >accident.ini
train() { # FILE NAME OVERRIDES…
    run train "$1" experiment.name="$2" experiment.epochs=4 experiment.save_every="1 batches" \
        experiment.state_folder="$work/disk" "${@:3}"
}
same() { # NAME
    for part in log.csv checkpoints/best.h5 checkpoints/last.weights.h5; do
        check "$1: the same $part" cmp -s "runs/$1/$part" "runs/calm/$part"
    done
    check "$1: two states at most, one at least" [ "$(find "runs/$1/state" -name '*.tns' | wc -l)" -ge 1 ]
    check "$1: nothing is left on the machine" [ -z "$(find disk -name '*.tns')" ]
}
newest() { find "$1" -name '*.tns' -printf '%f\n' | sort | tail -1; }
accident() { printf '%s\n' "[ \$TENON_EPOCH = ${EPOCH:-2} ] || return 0" "$@" >accident; }
mkdir disk
run train run.ini experiment.name=calm experiment.epochs=4
expect 0
says "a state has "
silent_about "from there it is copied"
train run.ini placed
expect 0
says "to save in $work/disk/"
says "from there it is copied to"
same placed

# The process is killed: the machine's own disk has the newest state.
accident 'kill -9 $PPID'
train accident.ini killed
expect 137
check "newer here than there" [ "$(newest disk)" ">" "$(newest runs/killed/state)" ]
train run.ini killed
expect 0
says "resumed at epoch "
says "lost at most "
says "tensors"
same killed

# The machine vanishes with its disk: the run directory has one.
train accident.ini vanished
expect 137
rm -r disk/*
train run.ini vanished
expect 0
says "resumed at epoch "
same vanished

# The run was gone on with on another machine: what lies newer on this one is of a branch that was left.
train accident.ini elsewhere
expect 137
mv disk disk-of-this
mkdir disk
EPOCH=1 accident 'kill -9 $PPID'
train accident.ini elsewhere
expect 137
rm -r disk
mv disk-of-this disk
train run.ini elsewhere
expect 0
check "it was passed over" grep -q "disk/.* is passed over: the run was gone on with elsewhere" both
rm -rf disk/*
same elsewhere

# A run that left nothing but its sessions: what begins anew in its place is another run, and can be gone on with.
accident 'kill -9 $PPID'
train accident.ini anew
expect 137
train accident.ini anew
expect 137
rm -rf disk/* runs/anew/state/*.tns runs/anew/checkpoints runs/anew/log.csv
check "sessions are left" [ "$(find runs/anew/state -name 'session-*' | wc -l)" -eq 2 ]
run train accident.ini experiment.name=anew experiment.epochs=4 experiment.save_every="1 batches"
expect 137
run train run.ini experiment.name=anew experiment.epochs=4 experiment.save_every="1 batches"
expect 0
says "resumed at epoch "
same anew

# Callbacks may go and come between two halves, also one that keeps the best weights in memory.
accident 'kill -9 $PPID'
train accident.ini fewer
expect 137
sed '/^\[callback:stop/,$d' run.ini >fewer.ini
train fewer.ini fewer experiment.epochs=3
expect 0
says "changed since: "
train run.ini fewer
expect 0
says "callback stop is new and begins anew"
train accident.ini other
expect 137
train run.ini other callback:stop.restore_best_weights=no
expect 0

# Pictures that have gone since are told.
accident 'kill -9 $PPID'
train accident.ini less
expect 137
gone=$(find data/train -type f | sort | head -1)
mv "$gone" gone
train run.ini less
expect 0
says "not bitwise: the training data has more or fewer pictures"
mv gone "$gone"

# So is a picture that has another name or class now; not data that lie elsewhere.
accident 'kill -9 $PPID'
train accident.ini renamed
expect 137
mv "$gone" "${gone%/*}/zz.jpg"
train run.ini renamed
expect 0
says "not bitwise: the training data has as many pictures as when the state was saved, but names"
mv "${gone%/*}/zz.jpg" "$gone"
accident 'kill -9 $PPID'
train accident.ini carried
expect 137
mv data/train data/other
train run.ini carried source:train.path=data/other
expect 0
silent_about "not bitwise"
same carried
mv data/other data/train

# Another folder than that of the experiment's name.
accident 'kill -9 $PPID'
train accident.ini moved
expect 137
mv runs/moved runs/by-hand
train run.ini moved --resume=runs/none
expect 2
says "runs/none holds no state of a run"
train run.ini moved --resume=runs/by-hand --fresh
expect 2
train run.ini moved --resume=runs/by-hand
expect 0
same by-hand
check "no other run" [ ! -e runs/moved ]

# The drive is away for a while: training goes on, and the copy is made when it is back.
cat >accident <<'SH'
case $TENON_EPOCH in
2) mv runs/away/state state-away; : >runs/away/state ;;
3) sleep 6.5 ;;
4) rm runs/away/state; mv state-away runs/away/state ;;
esac
SH
train accident.ini away 'callback:accident.on=epoch_end'
expect 0
says "could not be copied to"
says "it is safe in"
same away

# For good: the run says so, with a status that is not 0, and nothing is lost.
cat >accident <<'SH'
case $TENON_EPOCH in
2) mv runs/gone/state state-gone; : >runs/gone/state ;;
esac
SH
train accident.ini gone
expect 1
says "runs/gone/state"
rm runs/gone/state
mv state-gone runs/gone/state
train run.ini gone
expect 0
same gone

# What cannot work is refused before the first step.
: >file
run train run.ini experiment.name=refused experiment.run_folder=file
expect 1
says "file"
run train run.ini experiment.name=local experiment.epochs=1 experiment.state_folder="$work/file"
expect 0
says "states go to the run directory alone"
finish
