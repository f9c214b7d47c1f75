#!/usr/bin/env bash
# The suite in a build with sanitizers. usage: sanitized.sh asan|tsan BUILD
#   asan  every test, under address, leak and undefined-behaviour checks
#   tsan  the tests of the data pipeline, of pack, and of saving: only there do threads of our own meet (libgomp, which
#         TSan cannot see into, runs the computation)
set -euo pipefail
kind=$1
build=$(realpath "$2")
source=$(realpath "$(dirname "$0")/..")
cd "$build"
export TENON_SANITIZED=$kind
case $kind in
asan)
    # Leaks are looked for at the end of each process; those of libraries are listed with their reasons.
    # intercept_tls_get_addr: with it the leak checker of gcc 12 dies where libraries are opened at run time.
    export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:intercept_tls_get_addr=0
    export LSAN_OPTIONS=suppressions=$source/tests/lsan.supp:print_suppressions=0
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    TENON_SLOW=1 ctest --output-on-failure --no-tests=error
    ;;
tsan)
    export TSAN_OPTIONS=halt_on_error=1:die_after_fork=0
    TENON_SLOW=1 ctest --output-on-failure --no-tests=error -R '^test_(data|directory|codec|tfrecord|reading|cache|stages|cli_pack|cli_inspect|cli_state_places)'
    ;;
*)
    echo "usage: sanitized.sh asan|tsan BUILD" >&2
    exit 2
    ;;
esac
echo "$kind: nothing found"
