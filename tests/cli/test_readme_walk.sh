#!/usr/bin/env bash
# The walk-through of README.md, "When the machine goes away", as it stands there: a run that is killed goes on, and
# ends with the weights of one that was not.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1
# The first indented block below the heading.
awk '/^## /{ inside = $0 == "## When the machine goes away"; block = 0; next }
     inside && /^    /{ if (block < 2) { block = 1; print substr($0, 5) } next }
     block == 1 { block = 2 }' "$TENON_SOURCE/README.md" >walk
last="the walk-through"
cp walk both
check "it trains, kills, trains again and compares" \
    [ "$(grep -c '^tenon train' walk)" -eq 3 -a "$(grep -c '^kill -9' walk)" -eq 1 -a "$(grep -c '^cmp' walk)" -eq 1 ]
PATH=$TENON_BUILD/bin:$PATH bash -eu walk >both 2>&1 </dev/null
status=$?
expect 0
says "resumed at epoch "
says "optimizer state: "
says "the same weights"
check "the log is the same too" cmp -s runs/shapes/log.csv runs/calm/log.csv
check "a row for each epoch and no more" [ "$(wc -l <runs/shapes/log.csv)" -eq 9 ]
finish
