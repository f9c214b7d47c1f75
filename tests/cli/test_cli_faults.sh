#!/usr/bin/env bash
# Calls that fail while a run saves and while it is gone on with: each call, once and for ever from then on, with the
# errors of a full disk and of a drive that is gone. A run ends with status 0 and all that it should have written, or says
# what is missing with another status; and the same command, on a place that works again, ends as if nothing had been.
#   TENON_FAULT_STEP=N    every N-th call only (default 7; 1 = all)
# The shim is ours: libfiu's locks up with a program that opens plugins while its threads write (each call of malloc asks
# it, under a lock that its own dlsym() in another thread waits for).
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1
if [ -n "${TENON_SANITIZED:-}" ]; then # a sanitizer has to be the first library that is loaded
    echo "no faults under sanitizers: skipped"
    finish
fi
run synth data --count 24 --size 16 --classes 3 --quiet
expect 0
sed -e '/^\[callback/,$d' "$here/tiny.ini" >run.ini
cat >>run.ini <<'INI'

[callback:best]
type = model_checkpoint
path = best.h5
monitor = val_loss
save_best_only = yes

[callback:last]
type = model_checkpoint
path = last.h5
INI
common=(experiment.epochs=2 experiment.save_every="1 batches" data.workers=1 --quiet)
export OMP_NUM_THREADS=1
run train run.ini experiment.name=calm "${common[@]}"
expect 0
step=${TENON_FAULT_STEP:-7}

# What a fault may leave: `same` says which of the undisturbed run's files are different.
different() {
    local part
    for part in log.csv checkpoints/best.h5 checkpoints/last.h5; do
        cmp -s "runs/fault/$part" "runs/calm/$part" || echo "$part"
    done
}
faulty() { # runs with the fault; sets status
    last="tenon train with $*"
    env "$@" FAULT_UNDER=runs/fault FAULT_COUNT="$work/count" LD_PRELOAD="$TENON_BUILD/tests/libfault_at.so" \
        "$tenon" train run.ini experiment.name=fault "${common[@]}" >out 2>err </dev/null
    status=$?
    cat out err >both
}
judge() { # after a faulty run: is what it says true, and does the same command mend it?
    local unsaved=no
    grep -q "state could not be saved" both && unsaved=yes
    case $status in
    0) check "status 0, and all is there" [ -z "$(different)" ] ;;
    1) check "it says what and where" grep -q "runs/fault" both ;;
    *) check "status 0 or 1" false ;;
    esac
    run train run.ini experiment.name=fault "${common[@]}"
    if [ $unsaved = yes ] && grep -q "without a state to go on from" both; then # it had none from the beginning, and said so
        return
    fi
    [ $status -eq 2 ] && grep -q "is finished" both || expect 0
    check "mended" [ -z "$(different)" ]
}

# A whole run from its beginning; and a run that goes on from the middle.

env CRASH_AT=60 CRASH_UNDER=runs/fault LD_PRELOAD="$TENON_BUILD/tests/libcrash_at.so" \
    "$tenon" train run.ini experiment.name=fault "${common[@]}" >/dev/null 2>&1 </dev/null
check "cut off in the middle" [ $? -eq 99 ]

cp -r runs/fault half
begin_at() {
    rm -rf runs/fault
    [ "$1" = begin ] || cp -r half runs/fault
}
faults=0
for from in begin half; do
    begin_at $from
    faulty FAULT_AT=0
    expect 0
    check "$from: undisturbed" [ -z "$(different)" ]
    calls=$(cat count)
    check "$from: calls were counted" [ "$calls" -gt 40 ]
    offset=0
    for how in "28 FOREVER" "28 ONCE" "5 ONCE" "5 FOREVER" "122 FOREVER" "30 FOREVER" "0 ONCE"; do # ENOSPC, EIO, EDQUOT, EROFS, short
        offset=$(((offset + 1) % step))
        for ((k = 1 + offset; k <= calls; k += step)); do
            begin_at $from
            faulty FAULT_AT=$k FAULT_ERRNO="${how%% *}" FAULT_"${how##* }"=1
            judge
            faults=$((faults + 1))
        done
    done
done
echo "$faults faults"

# Places that cannot do everything.
for place in rename overwrite fsync; do
    begin_at begin
    faulty FAULT_PLACE=$place
    expect 0
    check "$place: all is there" [ -z "$(different)" ]
    check "$place: nothing half written" [ -z "$(find runs/fault -name '*.tmp-*' -o -name '*.new')" ]
    begin_at half
    faulty FAULT_PLACE=$place
    expect 0
    check "$place: gone on with" [ -z "$(different)" ]
done

# What a place cannot is told, where it means something for the user.
quiet=("${common[@]}")
common=("${common[@]/--quiet/--verbose}")
for place in rename overwrite; do
    begin_at begin
    faulty FAULT_PLACE=$place
    expect 0
    says "files in runs/fault cannot be replaced by renaming"
done
begin_at begin
faulty FAULT_PLACE=fsync
expect 0
silent_about "cannot be replaced"
common=("${quiet[@]}")

# A drive that says that it has the files, and loses the newest: the state, a row of the log.
begin_at half
if [ "$(find runs/fault/state -name '*.tns' | wc -l)" -gt 1 ]; then # on a busy machine it may have but one
    rm "$(find runs/fault/state -name '*.tns' | sort | tail -1)"
fi
: >runs/fault/log.csv
run train run.ini experiment.name=fault "${common[@]}"
expect 0
check "lost, and come back" [ -z "$(different)" ]

# on_save_error = fail: the run ends.
begin_at begin
faulty FAULT_AT=30 FAULT_ERRNO=28 FAULT_FOREVER=1
expect 1
common+=(experiment.on_save_error=fail)
begin_at begin
faulty FAULT_AT=30 FAULT_ERRNO=28 FAULT_FOREVER=1
expect 1
finish
