#!/usr/bin/env bash
# The golden suites on a folder of fixtures (format: README.md there). usage: golden.sh BUILD FIXTURES
# Each program prints, for each group, how many cases passed, failed and are not covered yet.
set -euo pipefail
build=$(realpath "$1")
export TENON_FIXTURES=$2 TENON_BUILD=$build TENON_SYSTEM_PLUGINS=$build/lib/tenon/plugins
TENON_SOURCE=$(realpath "$(dirname "$0")/..")
export TENON_SOURCE
failed=0
for program in "$build"/bin/test_golden_*; do
    "$program" || failed=1
done
[ $failed -eq 0 ] || {
    echo "golden: some cases failed" >&2
    exit 1
}
echo "golden: all covered cases passed"
