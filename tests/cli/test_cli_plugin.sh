#!/usr/bin/env bash
# tenon plugin list, show, new and check, from outside. (What an author does with a compiler: tests/run_examples.sh.)
# shellcheck source=tests/cli/lib.sh
. "$TENON_SOURCE/tests/cli/lib.sh"
plugins=$TENON_BUILD/lib/tenon/test-plugins
is_json() { # a python expression on `it`
    ! command -v python3 >/dev/null || python3 -c "import json; it = json.load(open('out')); assert $1"
}

run plugin
expect 2
says "usage: tenon plugin"
run plugin --help
expect 0
for word in list show new check; do
    says "$word"
    run plugin $word --help
    expect 0
    says "usage: tenon plugin $word"
    run plugin --help
done
run plugin lst
expect 2
says 'did you mean `list`?'
run plugin list --jsn
expect 2
says "--json"

# list
run plugin list
expect 0
says "conv2d"
says "searched: "
run plugin list loss
expect 0
says "mean_squared_error"
silent_about "conv2d"
run plugin list nonsense
expect 2
says "nonsense"
run plugin list --json --plugin-path "$plugins/wrong_major.so"
expect 0
check "JSON" is_json 'any(t["kind"] == "layer" and t["name"] == "conv2d" for t in it["types"])'
check "JSON" is_json 'any("ABI" in p["problem"] for p in it["problems"])'

# show
run plugin show conv2d
expect 0
says "filters"
says "(required)"
says "valid|same"
says "[layer:"
run plugin show layer conv2d --json
expect 0
check "JSON" is_json '[o["required"] for o in it["options"] if o["name"] == "filters"] == [True]'
run plugin show conv2
expect 2
says 'did you mean `conv2d`?'
run plugin show layer conv2
expect 2
says 'did you mean `conv2d`?'
run plugin show loss conv2d
expect 2
says "there is a layer of that name"
run plugin show lair conv2d
expect 2
says "lair"
run plugin show
expect 2
TENON_PLUGIN_PATH=$plugins/undefined.so run plugin show undefined
expect 2
says "tenon_test_defined_nowhere"

# new: words that are wrong write nothing
run plugin new layr swish
expect 2
says 'did you mean `layer`?'
run plugin new device mine
expect 2
says "source, augment, layer"
for name in Swish 1st ../up a-b ""; do
    run plugin new layer "$name"
    expect 2
done
run plugin new layer
expect 2
check "nothing was written" [ -z "$(find . -name '*.c')" ]
run plugin new layer swish deep/folder
expect 0
for file in swish.c swish.ini Makefile test.sh README.md .gitignore; do
    check "deep/folder/$file" [ -s deep/folder/$file ]
done
check "no placeholder is left" eval '! grep -rE "@[A-Z]+@" deep/folder'
run plugin new layer swish deep/folder
expect 2
says "is there already"

# check: what is wrong with each plugin of tests/plugins/misbehaving.c
run plugin check "$plugins/well.so"
expect 0
says "all 3 checks passed"
silent_about "FAILED"
run plugin check nowhere.so
expect 2
says "nowhere.so"
run plugin check "$plugins/well.so" nonsense
expect 2
run plugin check "$plugins/wrong_magic.so"
expect 1
says "TN_PLUGIN"
run plugin check "$plugins/crashing.so"
expect 1
says "crashed: Abort"
while read -r name text; do
    run plugin check "$plugins/$name.so"
    expect 1
    says "$text"
    says "checks failed"
done <<'END'
overrun apply() writes outside
unrepeatable runs would not repeat
dereferences crashed: Abort
shared_state self is read only
wrong_gradient finite differences give
unwritten leaves outputs unwritten
adds it overwrites, it does not add
silent open() fails without a text: number = 2
wrong_loss finite differences of (sum of loss) / N
padding changes padding
bad_default option `number` has a default outside of its own range
keeps TN_CALLBACK_KEEPS_WEIGHTS
wrong_label label 2 of 2 classes
exits ended its process
split when run() splits the work
END

# All that tenon brings along passes its own checks.
for file in "$TENON_BUILD"/lib/tenon/plugins/*.so; do
    run plugin check "$file"
    expect 0
done
finish
