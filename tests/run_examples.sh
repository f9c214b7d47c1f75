#!/usr/bin/env bash
# What a plugin author does, with a tenon that is installed into an empty folder and nothing of this tree on any path:
# builds, checks and runs examples/plugins and a fresh scaffold of every kind. usage: run_examples.sh BUILD
set -euo pipefail
source_folder=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${1:?usage: run_examples.sh BUILD}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! command -v "${CC:-cc}" >/dev/null || ! command -v pkg-config >/dev/null; then
    echo "run_examples: needs cc and pkg-config: skipped"
    exit 0
fi
unset TENON_PLUGIN_PATH TENON_SYSTEM_PLUGINS TENON_INCLUDE TENON_SOURCE TENON_BUILD
export XDG_DATA_HOME=$work/share
cmake --install "$build" --prefix "$work/tenon" >"$work/install.log" || { cat "$work/install.log"; exit 1; }
export PATH=$work/tenon/bin:$PATH
pkg_config_path=$(dirname "$(find "$work/tenon" -name tenon.pc)")
export PKG_CONFIG_PATH=$pkg_config_path
export CFLAGS="-O1 -Wall -Wextra -Wpedantic -Werror"
[ "$(command -v tenon)" = "$work/tenon/bin/tenon" ]

failures=0
step() { # FOLDER TARGET
    if ! make -s -C "$1" "$2" >"$work/log" 2>&1; then
        echo "FAILED: make $2 in ${1#"$work"/}"
        sed 's/^/  | /' "$work/log" | tail -40
        failures=$((failures + 1))
        return 1
    fi
    echo "ok: ${1#"$work"/}: make $2"
}
says() { # FILE TEXT
    grep -qF -- "$2" "$1" || { echo "FAILED: $1 should say: $2"; failures=$((failures + 1)); }
}

cp -R "$source_folder/examples/plugins" "$work/examples"
for folder in "$work"/examples/*/; do
    folder=${folder%/}
    make -s -C "$folder" clean
    step "$folder" test && step "$folder" run || true
done
says "$work/examples/jsonl_logger/runs/jsonl_logger/log.jsonl" '"val_loss": '

mkdir "$work/scaffolds"
cd "$work/scaffolds"
for kind in source augment layer loss metric optimizer schedule callback; do
    tenon plugin new "$kind" "my_$kind" >"$work/log" || { cat "$work/log"; failures=$((failures + 1)); continue; }
    step "$work/scaffolds/my_$kind" test && step "$work/scaffolds/my_$kind" run || true
done

# A plugin that comes to be found by its folder alone.
TENON_PLUGIN_PATH=$work/examples/swish tenon plugin show layer swish >"$work/log"
says "$work/log" "example.swish"

# The headers by themselves, as C++ too where there is a compiler.
if command -v c++ >/dev/null; then
    printf '#include <tenon/plugin.h>\nint main() { return tn_random_stream(1, 2).position != 0; }\n' >plugin.cc
    # shellcheck disable=SC2046
    c++ -std=c++20 -Wall -Wextra -Werror $(pkg-config --cflags tenon) -o plugin plugin.cc && ./plugin && echo "ok: plugin.h as C++20"
fi

[ "$failures" -eq 0 ] || { echo "run_examples: $failures failed"; exit 1; }
echo "run_examples: all good"
