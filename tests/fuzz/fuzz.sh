#!/usr/bin/env bash
# Runs the fuzzers, two at a time. usage: fuzz.sh BUILD SECONDS [--fresh] [NAME…]
# Each begins with its seeds (seeds.sh) and what earlier runs found, which BUILD/corpus/NAME keeps; --fresh begins with the
# seeds alone, and keeps nothing. An input that breaks something stays as BUILD/found/NAME-…:
#     BUILD/fuzzers/fuzz_NAME FILE        does it again.
set -uo pipefail
build=$(realpath "${1:?usage: fuzz.sh BUILD SECONDS [--fresh] [NAME…]}")
seconds=${2:?usage: fuzz.sh BUILD SECONDS [--fresh] [NAME…]}
source=$(realpath "$(dirname "$0")/../..")
shift 2
fresh=
if [ "${1:-}" = --fresh ]; then
    fresh=yes
    shift
fi
if [ ! -d "$build/fuzzers" ]; then
    echo "fuzz: no fuzzers were built: skipped"
    exit 0
fi

work=$(mktemp -d)
pids=()
# shellcheck disable=SC2317 # called by the trap
stop() {
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null
    rm -rf "$work"
}
trap stop EXIT
bash "$source/tests/fuzz/seeds.sh" "$source" "$work/seeds"
mkdir -p "$build/found" "$work/empty"

export TENON_SYSTEM_PLUGINS=$build/lib/tenon/plugins
unset TENON_PLUGIN_PATH
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:detect_stack_use_after_return=1
export LSAN_OPTIONS=suppressions=$source/tests/lsan.supp:print_suppressions=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for fuzzer in "$build"/fuzzers/fuzz_*; do
        names+=("${fuzzer##*/fuzz_}")
    done
fi

one() { # NAME: 0 = nothing was found
    local name=$1 corpus=$build/corpus/$1 status=0
    if [ -n "$fresh" ]; then
        corpus=$work/corpus/$name
    fi
    mkdir -p "$corpus" "$work/seeds/$name"
    # An input that takes 25 s, 1 GiB, or asks for 128 MiB at once is a finding too.
    (cd "$work/empty" && exec "$build/fuzzers/fuzz_$name" -max_total_time="$seconds" -max_len=20000 -timeout=25 \
        -rss_limit_mb=1024 -malloc_limit_mb=128 -print_final_stats=1 -verbosity=1 -artifact_prefix="$build/found/$name-" \
        "$corpus" "$work/seeds/$name" >"$work/$name.log" 2>&1 </dev/null) || status=$?
    local runs
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log")
    local cover
    cover=$(grep -oE 'cov: [0-9]+' "$work/$name.log" | tail -1)
    if [ "$status" -eq 0 ]; then
        printf 'fuzz: %-10s %10s inputs  %s  nothing found\n' "$name" "$runs" "$cover"
    else
        printf 'fuzz: %-10s FOUND (status %s):\n' "$name" "$status"
sed -n '/ERROR: \|runtime error:\|demanded:/,$p' "$work/$name.log" | cut -c1-200 | head -40
        grep -E '^SUMMARY|Test unit written' "$work/$name.log" || tail -5 "$work/$name.log"
    fi
    return "$status"
}

failed=0
next=0
# Pairs: what is short does not have to wait for what is long, since all take SECONDS.
while [ "$next" -lt ${#names[@]} ]; do
    pids=()
    for name in "${names[@]:$next:2}"; do
        one "$name" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || failed=$((failed + 1))
    done
    next=$((next + 2))
done
pids=()
[ "$failed" -eq 0 ] || { echo "fuzz: $failed of ${#names[@]} found something"; exit 1; }
echo "fuzz: ${#names[@]} fuzzers, nothing found"
