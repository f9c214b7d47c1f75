#!/usr/bin/env bash
# A run that is cut off, by a kill, a signal, or a power switch at any write, is continued by the same command, and ends
# with the weights, the best checkpoint, the state and the log of the run that was not disturbed, bit for bit.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1
run synth data --count 160 --size 20 --classes 3 --quiet
expect 0
run pack data/train shards --quiet --shards 3
expect 0
sed -e '/^\[callback/,$d' "$here/tiny.ini" >folders.ini
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
type = early_stopping
patience = 50
restore_best_weights = yes
INI
sed -e '/^\[source:train\]/,/^$/s|^type.*|type = tfrecord|' -e '/^\[source:train\]/,/^$/s|^path.*|files = shards/*.tfrecord|' \
    folders.ini >records.ini
sed -e 's|^files.*|&\nio = sequential\nshuffle_window = 20|' records.ini >sequence.ini
common=(experiment.epochs=3 experiment.save_every="2 batches" data.augment=warp --quiet)

same() { # NAME UNDISTURBED
    for part in log.csv checkpoints/best.h5 checkpoints/last.h5 classes.txt; do
        check "$1: the same $part" cmp -s "runs/$1/$part" "runs/$2/$part"
    done
    check "$1: two states and nothing else" [ "$(find "runs/$1/state" -name "*.tns" | wc -l)" -eq 2 ]
    check "$1: nothing half written" [ -z "$(find "runs/$1" -name '*.tmp-*')" ]
}
# Kills it at random times until it comes to its end.
killed() { # FILE NAME ARGUMENTS…
    local starts=0 pid
    while [ $starts -lt 400 ]; do
        "$tenon" train "$1" experiment.name="$2" "${common[@]}" "${@:3}" >out 2>err </dev/null &
        pid=$!
        [ $starts -ge 12 ] || { sleep "0.$((RANDOM % 3))$((RANDOM % 10))" && kill -9 $pid 2>/dev/null; }
        wait $pid
        status=$?
        starts=$((starts + 1))
        [ $status -eq 137 ] || break
    done 2>/dev/null
    cat out err >both
    last="tenon train $1 $2, start $starts"
    grep -q "is finished" both || expect 0 # it may have been killed behind its last state
}
for kind in folders records sequence; do
    run train $kind.ini experiment.name=$kind "${common[@]}"
    expect 0
    killed $kind.ini $kind-killed data.workers=2
    same $kind-killed $kind
done

# Ctrl-C: the step is finished, the state saved; the same command goes on.
"$tenon" train folders.ini experiment.name=stopped "${common[@]}" >out 2>err </dev/null &
pid=$!
for _ in $(seq 200); do [ -e runs/stopped/state/00000002.tns ] && break || sleep 0.02; done
kill -INT $pid 2>/dev/null
wait $pid
status=$?
cat out err >both
if [ $status -ne 0 ]; then # else it was quicker than the signal
    expect 75
    says "the same command goes on from here"
fi
rm -f runs/stopped/checkpoints/interrupted.h5
[ $status -eq 0 ] || run train folders.ini experiment.name=stopped "${common[@]}"
expect 0
same stopped folders

# A finished run is not begun again; more epochs continue it; what would change the result is refused.
run train folders.ini experiment.name=stopped "${common[@]}"
expect 2
says "is finished"
run train folders.ini experiment.name=stopped "${common[@]:1}" experiment.epochs=4 data.batch_size=4
expect 2
says "batch_size: was 8, is 4"
says "--fresh"
run train folders.ini experiment.name=stopped "${common[@]:1}" experiment.epochs=4 data.workers=1
expect 0
run train folders.ini experiment.name=four "${common[@]:1}" experiment.epochs=4
expect 0
same stopped four

# The newest state is damaged: the one before it serves.
"$tenon" train folders.ini experiment.name=damaged "${common[@]}" >/dev/null 2>&1 </dev/null &
pid=$!
for _ in $(seq 200); do [ -e runs/damaged/state/00000006.tns ] && break || sleep 0.02; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
newest=$(find runs/damaged/state -name '*.tns' | sort | tail -1)
printf x | dd of="$newest" bs=1 seek=700 conv=notrunc 2>/dev/null
run train folders.ini experiment.name=damaged "${common[@]:0:3}"
if [ $status -ne 2 ]; then
    expect 0
    says "is passed over"
    same damaged folders
fi
run train folders.ini experiment.name=none "${common[@]}" experiment.save_every=no
expect 0
check "no state" [ ! -e runs/none/state ]
run train folders.ini experiment.name=none "${common[@]}" experiment.save_every=no
expect 2
says "without a state"
run train folders.ini experiment.name=odd experiment.save_every=sometimes
expect 2
says "save_every"

# A power switch at each call that changes a file, before it or behind it,
# and at another one of the run that goes on.
if [ -z "${TENON_SANITIZED:-}" ]; then # a sanitizer has to be the first library that is loaded
    small=(experiment.epochs=2 experiment.steps_per_epoch=3 experiment.save_every="1 batches" data.workers=1 --quiet)
    run train folders.ini experiment.name=calm "${small[@]}"
    expect 0
    crash() { # CALL: 99 when it came to that call. Behind one call is before the next one.
        local when=BEFORE
        [ $(($1 % 2)) -eq 0 ] || when=AFTER
        env CRASH_AT="$1" CRASH_$when=1 CRASH_UNDER=runs/crashed LD_PRELOAD="$TENON_BUILD/tests/libcrash_at.so" \
            "$tenon" train folders.ini experiment.name=crashed "${small[@]}" >out 2>err </dev/null
    }
    for ((k = 1; k < 1000; k++)); do
        rm -rf runs/crashed
        crash $k
        [ $? -eq 99 ] || break
        crash $((1 + k * 13 % 50)) # while it goes on
        run train folders.ini experiment.name=crashed "${small[@]}"
        if [ $status -ne 0 ] && ! grep -q "is finished" both; then
            expect 0
        fi
        for part in log.csv checkpoints/best.h5 checkpoints/last.h5; do
            check "call $k: the same $part" cmp -s "runs/crashed/$part" "runs/calm/$part"
        done
    done
    check "calls were counted" [ $k -gt 40 ]
    echo "a power switch at each of $((k - 1)) calls, and once more while the run goes on"
fi
finish
