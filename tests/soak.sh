#!/usr/bin/env bash
# `make soak`: kills runs (SIGKILL) at random times, also while they go on from a kill, until there were COUNT kills; in
# between a run ends at a random call that changes a file, as by a power switch. Each run is then left alone, and has to
# end with the weights, optimizer state, checkpoints and log of one that was not disturbed, bit for bit. Stops at the
# first difference and keeps its folder. usage: soak.sh BUILD [COUNT] [SEED]
set -uo pipefail
build=$(realpath "${1:?usage: soak.sh BUILD [COUNT] [SEED]}")
wanted=${2:-1000}
RANDOM=${3:-$(($(date +%s) % 32768))}
source=$(realpath "$(dirname "$0")/..")
tenon=$build/bin/tenon
work=$(mktemp -d "${TMPDIR:-/tmp}/tenon-soak-XXXXXX") || exit 1
cd "$work" || exit 1
export XDG_CACHE_HOME=$work/cache
export TENON_SYSTEM_PLUGINS=$build/lib/tenon/plugins
unset TENON_PLUGIN_PATH

child=
# shellcheck disable=SC2317 # called by the trap
leave() {
    [ -z "$child" ] || kill -9 "$child" 2>/dev/null
    [ -n "${keep:-}" ] || rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT TERM

fail() { # TEXT
    keep=yes
    echo "soak: $1"
    echo "soak: see $work: runs/$name and runs/$kind, which was not disturbed; what its starts said is in $work/said"
    tail -15 said | sed 's/^/  | /'
    exit 1
}

# ---- the experiments of tests/cli/test_cli_resume.sh, with more callbacks that remember ----
"$tenon" synth data --count 400 --size 32 --classes 3 --quiet
"$tenon" pack data/train shards --quiet --shards 3
sed -e '/^\[callback/,$d' "$source/tests/cli/tiny.ini" >folders.ini
cat >>folders.ini <<'INI'

[callback:best]
type = model_checkpoint
path = best.h5
monitor = val_loss
save_best_only = yes

[callback:each]
type = model_checkpoint
path = epoch-{epoch:02d}.h5
link_best = yes

[callback:plateau]
type = reduce_lr_on_plateau
patience = 1
min_delta = 0.05

[callback:stop]
type = early_stopping
patience = 50
restore_best_weights = yes
INI
sed -e '/^\[source:train\]/,/^$/s|^type.*|type = tfrecord|' -e '/^\[source:train\]/,/^$/s|^path.*|files = shards/*.tfrecord|' \
    folders.ini >records.ini
sed -e 's|^files.*|&\nio = sequential\nshuffle_window = 50|' records.ini >sequence.ini
common=(experiment.epochs=6 data.target_size=24x24 data.augment=warp)

kinds=(folders records sequence)
rules=("1 batches" "2 batches" "7 batches" epoch auto)
name=none whole_ms=1000000
for kind in "${kinds[@]}"; do
    begin=$(date +%s%N)
    "$tenon" train $kind.ini experiment.name=$kind "${common[@]}" >said 2>&1 || fail "the undisturbed run failed"
    took=$((($(date +%s%N) - begin) / 1000000))
    [ $took -ge $whole_ms ] || whole_ms=$took
done

# ---- one start ----
kills=0 switched=0 nested=0 deepest=0 runs=0 depth=0
newest() { find "runs/$1/state" -name '*.tns' 2>/dev/null | sort | tail -1; }

# Starts the run and ends it: after so many milliseconds (0: never), or at the k-th call that changes a file. Workers,
# cache, places of states and rule of saving may differ from start to start. Returns 0 when it came to its own end.
start() { # MILLISECONDS CALL
    local after=$1 call=$2 had status switch=()
    local also=(experiment.save_every="${rules[RANDOM % ${#rules[@]}]}" data.workers=$((1 + RANDOM % 2)))
    [ $((RANDOM % 3)) -ne 0 ] || also+=(data.cache="$work/$name.cache")
    [ $((RANDOM % 4)) -ne 0 ] || rm -rf "$XDG_CACHE_HOME" # the list of the shards is made anew
    [ $((RANDOM % 3)) -ne 0 ] || also+=(experiment.state_folder="$work/disk") # states go to two places
    [ $((RANDOM % 6)) -ne 0 ] || rm -rf disk                                # another machine
    [ "$call" -eq 0 ] || switch=(CRASH_AT="$call" CRASH_UNDER="$work" LD_PRELOAD="$build/tests/libcrash_at.so")
    [ $((RANDOM % 2)) -eq 0 ] || switch+=(CRASH_AFTER=1)
    had=$(newest "$name")
    echo "== kill after $after ms, at call $call: ${also[*]}" >>said
    env "${switch[@]}" "$tenon" train "$kind.ini" experiment.name="$name" "${common[@]}" "${also[@]}" >out 2>&1 </dev/null &
    child=$!
    if [ "$after" -gt 0 ]; then
        sleep "$((after / 1000)).$(printf %03d $((after % 1000)))"
        kill -9 $child
    fi 2>/dev/null
    wait $child 2>/dev/null
    status=$?
    child=
    cat out >>said
    if [ $status -eq 137 ] && [ "$after" -gt 0 ]; then
        kills=$((kills + 1))
    elif [ $status -eq 99 ] && [ "$call" -gt 0 ]; then
        switched=$((switched + 1))
    else
        depth=0
        [ $status -eq 0 ] || grep -q 'is finished' out || fail "a start failed with status $status"
        return 0
    fi
    if [ -n "$had" ] && [ "$(newest "$name")" = "$had" ]; then # it had nothing saved since it went on
        nested=$((nested + 1))
        depth=$((depth + 1))
        [ $depth -le $deepest ] || deepest=$depth
    else
        depth=0
    fi
    return 1
}

compare() {
    local other
    cmp -s "runs/$name/log.csv" "runs/$kind/log.csv" || fail "another log.csv"
    diff -r "runs/$name/checkpoints" "runs/$kind/checkpoints" >>said 2>&1 || fail "other checkpoints"
    other=$("$build/bin/compare_states" "$(newest "$name")" "$(newest $kind)" 2>&1) || fail "another state at the end: $other"
    [ "$(find "runs/$name/state" -name '*.tns' | wc -l)" -le 2 ] || fail "more than two states"
    [ -z "$(find "runs/$name" -name '*.tmp-*')" ] || fail "something half written was left"
    [ ! -e "runs/$name/lock" ] || fail "a lock was left"
}

count() {
    echo "$kills of $wanted kills and $switched ends at a call, $nested of them before a continuation had saved anything" \
        "(up to $deepest one after the other); $runs runs compared, no difference; $(($(date +%s) - begin)) s"
}
echo "soak: in $work; an undisturbed run takes $whole_ms ms"
begin=$(date +%s)
while [ "$kills" -lt "$wanted" ]; do
    kind=${kinds[runs % 3]}
    name=$kind-$((runs + 1))
    : >said
    # Some come in the first moments, where a run finds its state and goes on, and some at any time.
    for ((left = 1 + RANDOM % 12; left > 0 && kills < wanted; left--)); do
        case $((RANDOM % 4)) in
        0) start $((1 + RANDOM % 40)) 0 || continue ;;
        1) start 0 $((1 + RANDOM % 30)) || continue ;;
        *) start $((1 + RANDOM % whole_ms)) 0 || continue ;;
        esac
        break
    done
    until start 0 0; do :; done
    compare
    runs=$((runs + 1))
    rm -rf "runs/$name" "$name.cache" disk
    [ $((runs % 10)) -ne 0 ] || count
done
count
echo "soak: every run ended like the one that was not disturbed"
