#!/usr/bin/env bash
# Builds the fuzzers with clang. usage: build.sh BUILD
set -euo pipefail
build=$1
source=$(realpath "$(dirname "$0")/../..")
mkdir -p "$build"
if ! command -v clang >/dev/null ||
    ! echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { (void)d; return n > 9999999; }' |
    clang -x c -fsanitize=fuzzer,address -o "$build/probe" - 2>"$build/probe.log"; then
    echo "fuzz: clang with libFuzzer is not here (packages clang and libclang-rt-dev): skipped"
    exit 0
fi
generator=()
if command -v ninja >/dev/null; then
    generator=(-G Ninja)
fi
[ -f "$build/CMakeCache.txt" ] && generator=()
CC=clang cmake "${generator[@]}" -S "$source" -B "$build" -DTENON_FUZZ=ON -DTENON_TESTS=OFF -DTENON_WERROR=ON \
    -DTENON_SANITIZE=address,undefined >"$build/configure.log" 2>&1 || { cat "$build/configure.log"; exit 1; }
cmake --build "$build" --target fuzzers --parallel "${JOBS:-$(nproc)}" >"$build/build.log" 2>&1 ||
    { tail -40 "$build/build.log"; exit 1; }
