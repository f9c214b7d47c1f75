#!/usr/bin/env bash
# docs/configuration.md is what the option tables say (`make docs` writes it).
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1
if ! command -v python3 >/dev/null; then
    echo "skipped: no python3"
    exit 0
fi
last="generate-configuration --check"
"$TENON_SOURCE/docs/generate-configuration" "$tenon" --check >both 2>&1
status=$?
expect 0
finish
