#!/usr/bin/env bash
# Bad input: one clear message with file:line where there is one, exit status 2 or 1, nothing half-written.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1

"$tenon" synth data --count 24 --size 16 --classes 3 --quiet >both 2>&1 || fail "tenon synth"
cp "$here/tiny.ini" .

# edit SED-SCRIPT: tiny.ini -> bad.ini; line TEXT: number of its line in bad.ini
edit() { sed -e "$1" tiny.ini >bad.ini; }
line() { grep -nF -- "$1" bad.ini | head -1 | cut -d: -f1; }
nothing_written() { check "runs/ was made" [ ! -e runs ]; }

edit 's/^\[callback:checkpoint\]/[calback:checkpoint]/'
run train bad.ini
expect 2
says "bad.ini:$(line '[calback:checkpoint]'):"
says "did you mean"
nothing_written

edit 's/^batch_size .*/batch_sise = 8/'
run train bad.ini
expect 2
says "bad.ini:$(line batch_sise): [data]"
says '`batch_sise`; did you mean `batch_size`?'

edit 's/^type *= conv2d/type = conv2/'
run train bad.ini
expect 2
says "bad.ini:$(line 'type = conv2')"
says "conv2d"

edit 's/^kernel_size.*/kernel_size = 3x/'
run train bad.ini
expect 2
says "bad.ini:$(line kernel_size)"
says "3x"

edit 's/^filters .*/filters = 0/'
run train bad.ini
expect 2
says "bad.ini:$(line 'filters = 0'): [layer:conv1] filters: 0"

# All the errors of a file in one run.
edit 's/^filters .*/filters = 0/; s/^batch_size .*/batch_sise = 8/; s/^type *= conv2d/type = conv2d\nstirdes = 2/'
run train bad.ini
expect 2
says "batch_sise"
says "filters: 0"
says "stirdes"
says "3 problems"

edit 's#^path = data/train#path = data/trian#'
run train bad.ini
expect 2
says "data/trian"
says "bad.ini:"
nothing_written

mkdir -p data/hollow
cp -r data/train/* data/hollow
empty=$(ls data/hollow | head -1)
rm -f "data/hollow/$empty"/*
edit 's#^path = data/train#path = data/hollow#'
run train bad.ini
expect 2
says "$empty"

edit 's/^class_mode.*/class_mode = binary/; s/^units.*/units = 1/; s/^activation = softmax/activation = sigmoid/'
run train bad.ini
expect 2
says "binary"
mkdir -p data/one
cp -r "data/train/$empty" data/one
sed -i 's#^path = data/train#path = data/one#; s#^path = data/validation#path = data/one#' bad.ini
run train bad.ini
expect 2
says "binary"

# A text file named .jpg, a truncated JPEG: fail names it, skip counts it.
cp -r data/train data/damaged
victim=$(ls data/damaged | head -1)
echo "this is no picture" >"data/damaged/$victim/text.jpg"
edit 's#^path = data/train#path = data/damaged#; s/^name .*/name = damaged/'
run train bad.ini
expect 1
says "text.jpg"
run train bad.ini data.on_error=skip --fresh
expect 0
rm "data/damaged/$victim/text.jpg"
first=$(ls "data/damaged/$victim" | head -1)
head -c 400 "data/train/$victim/$first" >"data/damaged/$victim/cut.jpg"
run train bad.ini --fresh
expect 1
says "cut.jpg"
run train bad.ini data.on_error=skip --fresh
expect 0
rm -rf runs

edit 's/^\[layer:conv1\]/[layer:conv1]\ninputs = classes/'
run train bad.ini
expect 2
says "bad.ini:"
says "conv1"
says "cycle"

edit 's/^\[layer:pool1\]/[layer:other]\ntype = conv2d\nfilters = 5\nkernel_size = 5\ninputs = scale\n\n[layer:sum]\ntype = add\ninputs = conv1, other\n\n[layer:pool1]/'
run train bad.ini
expect 2
says "bad.ini:"
says "conv1"
says "other"
says "[14, 14, 8]"
says "[12, 12, 5]"

# More classes than the network has outputs.
edit 's/^units.*/units = 5/'
run train bad.ini
expect 2
says "3"
says "5"
nothing_written

# Weights that do not fit.
run train tiny.ini
expect 0
run eval tiny.ini layer:conv1.filters=9 --weights runs/tiny/checkpoints/best.h5
expect 2
says "conv1"
says "best.h5"
run eval tiny.ini --weights missing.h5
check "status 1 or 2" [ "$status" -eq 1 -o "$status" -eq 2 ]
says "missing.h5"
echo "no weights here" >text.h5
run eval tiny.ini --weights text.h5
expect 1
says "text.h5"

# Two runs in one directory; a directory that holds a run already.
run train tiny.ini
expect 2
says "--fresh"
run train tiny.ini --fresh
expect 0

# A run directory that cannot be written (root can write anywhere: a file in its place then).
echo x >blocked
run train tiny.ini experiment.run_folder=blocked/runs
check "status 1 or 2" [ "$status" -eq 1 -o "$status" -eq 2 ]
says "blocked"
run check tiny.ini experiment.run_folder=blocked/runs
expect 1
says "FAILED"

# Plugins that cannot be used: each is listed with its reason and fails only the experiments that need it.
mkdir plugins
echo "not a library" >plugins/conv9000.so
TENON_PLUGIN_PATH=$work/plugins run plugin list
expect 0
says "conv9000.so"
TENON_PLUGIN_PATH=$work/plugins run train tiny.ini --fresh
expect 0
edit 's/^type *= conv2d/type = conv9000/'
TENON_PLUGIN_PATH=$work/plugins run train bad.ini --fresh
expect 2
says "conv9000"
if command -v cc >/dev/null; then
    echo 'int nothing_here = 1;' >empty.c
    cc -shared -fPIC -o plugins/nothing.so empty.c
    printf '#include "tenon/plugin.h"\nTN_EXPORT const struct tn_manifest tn_plugin_manifest;\nconst struct tn_manifest tn_plugin_manifest = {TN_ABI_MAGIC, 999u, 0u, sizeof(struct tn_manifest)};\n' >abi.c
    cc -shared -fPIC -I"$TENON_SOURCE/core/include" -o plugins/strange.so abi.c
    echo 'extern int from_elsewhere(void); int (*needed)(void) = from_elsewhere;' >missing.c
    echo 'int from_elsewhere(void) { return 1; }' >elsewhere.c
    cc -shared -fPIC -o libelsewhere.so elsewhere.c
    cc -shared -fPIC -o plugins/needy.so missing.c -L. -lelsewhere
    TENON_PLUGIN_PATH=$work/plugins run plugin list
    expect 0
    says "nothing.so"
    says "tn_plugin_manifest"
    says "strange.so"
    says "999"
    says "libelsewhere.so"
fi
finish
