#!/usr/bin/env bash
# Calls that fail, and power switches, while caches, lists of records and staged copies are written, and while pictures are
# packed. What only saves time may fail: training goes on without, to the same bits. What is packed is whole, or the status
# says that it is not, and the same command mends it.
#   TENON_FAULT_STEP=N    every N-th call only (default 31; 1 = all)
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1
if [ -n "${TENON_SANITIZED:-}" ]; then # a sanitizer has to be the first library that is loaded
    echo "no faults under sanitizers: skipped"
    finish
fi
step=${TENON_FAULT_STEP:-31}
errors=("28 FOREVER" "28 ONCE" "5 ONCE" "5 FOREVER" "122 FOREVER" "30 FOREVER" "0 ONCE") # ENOSPC, EIO, EDQUOT, EROFS, short
export OMP_NUM_THREADS=1
run synth data --count 24 --size 16 --classes 3 --quiet
expect 0
run pack data/train shards --quiet --shards 3
expect 0
run pack data/train squeezed --quiet --shards 3 --compression gzip
expect 0
sed -e '/^\[callback/,$d' "$here/tiny.ini" >folders.ini
cat >>folders.ini <<'INI'

[callback:best]
type = model_checkpoint
path = best.h5
monitor = val_loss
save_best_only = yes
INI
from() { # FILES OF SHARDS
    sed -e '/^\[source:train\]/,/^$/s|^type.*|type = tfrecord|' -e "/^\[source:train\]/,/^\$/s|^path.*|files = $1/*.tfrecord|" folders.ini
}
from shards >records.ini
from squeezed >squeezed.ini

# What is looked at apart: the options that write below side/.
declare -A aside=(
    [folders]="data.cache=side/cache.ctn"
    [records]="source:train.index=side/index data.cache=side/cache.ctn data.cache_stage=encoded"
    [squeezed]="source:train.index=side/index source:train.stage=side/stage"
)
train() { # KIND WORKERS NAME
    # shellcheck disable=SC2086 # options
    run train "$1.ini" experiment.name="$3" experiment.epochs=2 data.workers="$2" data.retry_pause=0.001 --quiet ${aside[$1]}
}
different() { # KIND NAME
    local part
    for part in log.csv checkpoints/best.h5; do
        cmp -s "runs/$2/$part" "runs/$1-calm/$part" || echo "$part"
    done
}
with() { # SHIM VARIABLES… -- KIND WORKERS NAME
    local shim=$1 variables=()
    shift
    while [ "$1" != -- ]; do
        variables+=("$1")
        shift
    done
    shift
    # shellcheck disable=SC2086 # options
    env "${variables[@]}" LD_PRELOAD="$TENON_BUILD/tests/lib$shim.so" "$tenon" train "$1.ini" experiment.name="$3" \
        experiment.epochs=2 data.workers="$2" data.retry_pause=0.001 --quiet ${aside[$1]} >out 2>err </dev/null
    status=$?
    cat out err >both
    last="${variables[*]} tenon train $1.ini, $2 workers"
}
# What a run has left below side/ serves the next one, or is made anew: the same bits.
used_again() { # KIND WORKERS
    rm -rf runs/again
    train "$1" "$2" again
    expect 0
    check "$1: the same with what is there" [ -z "$(different "$1" again)" ]
}
faults=0
anew() {
    rm -rf side "$@"
    mkdir side
}
for kind in folders records squeezed; do
    anew
    train $kind 1 $kind-calm
    expect 0
    check "$kind: side/ is used" [ -n "$(find side -type f -size +100c)" ]
    for workers in 1 2; do
        # Power switches.
        for ((k = workers; k < 2000; k += step)); do
            anew runs/crashed
            with crash_at CRASH_AT=$k CRASH_UNDER=side -- $kind $workers crashed
            [ $status -eq 99 ] || break
            train $kind $workers crashed
            [ $status -eq 2 ] && grep -q "is finished" both || expect 0
            check "$kind: the same after a power switch" [ -z "$(different $kind crashed)" ]
            used_again $kind $workers
            faults=$((faults + 1))
        done
        check "$kind: calls were counted, not $k" [ $k -gt $((10 + workers)) ]
        # Failures.
        anew runs/fault
        with fault_at FAULT_AT=0 FAULT_UNDER=side FAULT_COUNT=count -- $kind $workers fault
        expect 0
        calls=$(cat count)
        offset=0
        for how in "${errors[@]}"; do
            offset=$((offset + 1))
            for ((k = 1 + offset % step; k <= calls; k += step * 2)); do
                anew runs/fault
                with fault_at FAULT_AT=$k FAULT_ERRNO="${how%% *}" FAULT_"${how##* }"=1 FAULT_UNDER=side -- $kind $workers fault
                expect 0
                check "$kind: the same with a fault" [ -z "$(different $kind fault)" ]
                used_again $kind $workers
                faults=$((faults + 1))
            done
        done
    done
done
echo "$faults switches and faults of what only saves time"

# ---- packing ----
pack_again() {
    run pack data/train packed --quiet --shards 2 -j1 --retry-pause 0.001
}
pack_again
expect 0
mv packed calm
same() { # the shards, and what is beside them
    diff -r -x '.*' packed calm >/dev/null
}
for ((k = 1; k < 2000; k += 2)); do
    rm -rf packed
    env CRASH_AT=$k CRASH_UNDER=packed LD_PRELOAD="$TENON_BUILD/tests/libcrash_at.so" \
        "$tenon" pack data/train packed --quiet --shards 2 -j1 >out 2>err </dev/null
    [ $? -eq 99 ] || break
    pack_again
    expect 0
    check "packed after a power switch at call $k" same
done
check "calls were counted, not $k" [ $k -gt 10 ]
rm -rf packed
env FAULT_AT=0 FAULT_UNDER=packed FAULT_COUNT=count LD_PRELOAD="$TENON_BUILD/tests/libfault_at.so" \
    "$tenon" pack data/train packed --quiet --shards 2 -j1 >out 2>err </dev/null
calls=$(cat count)
for how in "${errors[@]}"; do
    for ((k = 1; k <= calls; k += 1)); do
        rm -rf packed
        last="tenon pack, $how at call $k"
        env FAULT_AT=$k FAULT_ERRNO="${how%% *}" FAULT_"${how##* }"=1 FAULT_UNDER=packed \
            LD_PRELOAD="$TENON_BUILD/tests/libfault_at.so" \
            "$tenon" pack data/train packed --quiet --shards 2 -j1 --retry-pause 0.001 >out 2>err </dev/null
        status=$?
        cat out err >both
        if [ $status -eq 0 ]; then
            check "status 0, and all is packed" same
        else
            check "a message" [ -s err ]
            expect 1
        fi
        pack_again
        expect 0
        check "mended" same
    done
done
finish
