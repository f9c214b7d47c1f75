#!/usr/bin/env bash
# A short run under valgrind has to lose no byte: draw, train one epoch with validation and checkpoint, predict.
# usage: valgrind.sh BUILD
set -euo pipefail
build=$(realpath "$1")
source=$(realpath "$(dirname "$0")/..")
if ! command -v valgrind >/dev/null; then
    echo "valgrind: not installed: skipped"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

checked() {
    # oneDNN's code is made at run time and libgomp keeps its threads: what is "still reachable" at the end is theirs.
    OMP_NUM_THREADS=1 valgrind --quiet --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
        --error-exitcode=99 --suppressions="$source/tests/valgrind.supp" "$build/bin/tenon" "$@" >log 2>&1 || {
        cat log
        echo "valgrind: tenon $* failed" >&2
        exit 1
    }
}
"$build/bin/tenon" synth data --count 24 --size 16 --classes 3 --quiet
cp "$source/tests/cli/tiny.ini" .
checked train tiny.ini experiment.threads=1
checked predict tiny.ini --weights runs/tiny/checkpoints/best.h5 --csv data/validation
checked config tiny.ini
checked plugin list
echo "valgrind: train, predict, config and plugin list lose nothing"
