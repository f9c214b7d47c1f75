# lib.sh: for the scripts beside it. `run ARGS…` runs tenon; `expect STATUS`, `says TEXT`, `silent_about TEXT`, `check NAME
# COMMAND…` judge. The script ends with `finish`. Environment: TENON_BUILD, TENON_SOURCE (ctest sets them).
# shellcheck shell=bash
set -u
tenon=$TENON_BUILD/bin/tenon
# shellcheck disable=SC2034 # for the scripts
here=$TENON_SOURCE/tests/cli
work=$(mktemp -d)
trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1
unset TENON_PLUGIN_PATH NO_COLOR TENON_DEBUG
export XDG_DATA_HOME=$work/share XDG_CACHE_HOME=$work/cache XDG_STATE_HOME=$work/state TERM=xterm
status=0 last='' checks=0 failures=0

run() {
    last="tenon $*"
    "$tenon" "$@" >out 2>err </dev/null
    status=$?
    cat out err >both
}

fail() {
    failures=$((failures + 1))
    echo "FAILED: $1"
    echo "  after: $last (status $status)"
    sed 's/^/  | /' both | head -20
}

expect() {
    checks=$((checks + 1))
    [ "$status" -eq "$1" ] || fail "status $1 was expected"
}

says() {
    checks=$((checks + 1))
    grep -qF -- "$1" both || fail "should say: $1"
}

silent_about() {
    checks=$((checks + 1))
    ! grep -qF -- "$1" both || fail "should not say: $1"
}

check() { # NAME COMMAND…
    local name=$1
    shift
    checks=$((checks + 1))
    "$@" || fail "$name"
}

finish() {
    echo "$checks checks, $failures failed"
    [ "$failures" -eq 0 ]
    exit
}
