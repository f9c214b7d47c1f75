#!/usr/bin/env bash
# The golden suites on a folder of fixtures (format: README.md there). usage: golden.sh BUILD FIXTURES
# Prints for each group how many cases passed, failed and are not covered yet; groups that no suite reads are listed too.
set -euo pipefail
build=$(realpath "$1")
fixtures=$(realpath "$2")
export TENON_FIXTURES=$fixtures TENON_BUILD=$build TENON_SYSTEM_PLUGINS=$build/lib/tenon/plugins
TENON_SOURCE=$(realpath "$(dirname "$0")/..")
export TENON_SOURCE
said=$(mktemp)
trap 'rm -f "$said"' EXIT
failed=0

for program in "$build"/bin/test_golden_*; do
    "$program" >"$said.one" 2>&1 || { failed=1; cat "$said.one"; }
    grep '^golden ' "$said.one" | tee -a "$said" || true
done
# Suites that go through their cases inside one test, which fails with the first of them: group, program, lines of the
# manifest that are cases, those of them that are covered.
inside_one_test() {
    local group=$1 program=$build/bin/$2 manifest=$fixtures/$1/manifest.txt total count
    [ -x "$program" ] && [ -f "$manifest" ] || return 0
    total=$(grep -cE "$3" "$manifest" || true)
    count=$(grep -cE "$4" "$manifest" || true)
    if "$program" >"$said.one" 2>&1; then
        printf 'golden %-20s %5d passed %5d failed %5d not covered yet\n' "$group" "$count" 0 $((total - count)) | tee -a "$said"
    else
        failed=1
        cat "$said.one"
        echo "golden $group: failed" | tee -a "$said"
    fi
}
inside_one_test callbacks test_callbacks '^case ' '^ *set op (EarlyStopping|ModelCheckpoint|ReduceLROnPlateau)$'
inside_one_test tensorboard test_tensorboard '^file ' '^file events.keras_(train|validation) '
rm -f "$said.one"
for folder in "$fixtures"/*/; do
    group=$(basename "$folder")
    if ! grep -q "^golden $group" "$said"; then
        printf 'golden %-20s %5d passed %5d failed %5d not covered yet\n' "$group" 0 0 \
            "$(cat "$folder"*.txt 2>/dev/null | grep -cE '^(case|file) ' || true)"
    fi
done
[ $failed -eq 0 ] || {
    echo "golden: some cases failed" >&2
    exit 1
}
echo "golden: every case that is covered passed"
