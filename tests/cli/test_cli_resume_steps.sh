#!/usr/bin/env bash
# A run that was stopped after a step of its 64-step epochs, any step, goes on with another number of data workers and
# ends with the same weights, checkpoints and log. (What the data pipeline gives from each step on: test_data_resume.c.)
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1
run synth data --count 253 --validation-count 24 --size 20 --classes 3 --quiet
expect 0
run pack data/train shards --quiet --shards 3
expect 0
sed -e '/^\[callback/,$d' -e 's/^batch_size.*/batch_size = 4/' "$here/tiny.ini" >folders.ini
cat >>folders.ini <<'INI'

[callback:best]
type = model_checkpoint
path = best.h5
monitor = val_loss
save_best_only = yes

[callback:last]
type = model_checkpoint
path = last.h5

[callback:stop]
type = exec
on = batch_end
command = [ $TENON_STEP -ne $STOP_AT ] || kill -TERM $PPID
INI
sed -e '/^\[source:train\]/,/^$/s|^type.*|type = tfrecord|' -e '/^\[source:train\]/,/^$/s|^path.*|files = shards/*.tfrecord|' \
    folders.ini >records.ini
sed -e 's|^files.*|&\nio = sequential\nshuffle_window = 50|' records.ini >sequence.ini
common=(experiment.epochs=2 data.augment=warp --quiet)
export STOP_AT

same() { # NAME UNDISTURBED
    for part in log.csv checkpoints/best.h5 checkpoints/last.h5; do
        check "$1: the same $part" cmp -s "runs/$1/$part" "runs/$2/$part"
    done
}
stopped_at() { # FILE NAME STEP WORKERS
    STOP_AT=$3
    run train "$1" experiment.name="$2" "${common[@]}" data.workers="$4" data.overlap=yes
    expect 75
    says "after $3 steps; the same command goes on from here"
}

workers=(1 2 3 8)
turn=0
for kind in folders records sequence; do
    STOP_AT=0
    run train $kind.ini experiment.name=$kind "${common[@]}" data.workers=1
    expect 0
    # The first and the last steps of an epoch, its middle, and the last of all.
    for step in 1 31 63 64 65 128; do
        name=$kind-$step
        stopped_at $kind.ini "$name" $step "${workers[turn++ % 4]}"
        STOP_AT=0
        run train $kind.ini experiment.name="$name" "${common[@]}" data.workers="${workers[turn % 4]}"
        expect 0
        same "$name" $kind
    done
done

# One run that is stopped after each step of an epoch.
stride=1
[ -z "${TENON_SANITIZED:-}" ] || stride=13
for ((step = 1; step <= 65; step += stride)); do
    stopped_at sequence.ini often "$step" "${workers[step % 4]}"
done
STOP_AT=0
run train sequence.ini experiment.name=often "${common[@]}"
expect 0
same often sequence
finish
