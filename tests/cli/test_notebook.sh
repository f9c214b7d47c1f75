#!/usr/bin/env bash
# examples/colab.ipynb, cell by cell in a folder of its own: it is interrupted twice and ends as a run that was not. The
# build of this suite stands in for the one that it would make.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1
if ! command -v python3 >/dev/null; then
    echo "skipped: no python3"
    exit 0
fi
export HOME=$work PYTHONDONTWRITEBYTECODE=1
last="the cells of examples/colab.ipynb"
python3 "$TENON_SOURCE/tests/run_notebook.py" "$TENON_SOURCE/examples/colab.ipynb" >both 2>&1 </dev/null
status=$?
expect 0
says "exit status 75"
says "the same command goes on from here"
says "exit status 137"
check "it went on twice" [ "$(grep -c '^resumed at epoch ' both)" -eq 2 ]
check "a row for each epoch and no more" [ "$(wc -l <drive/runs/shapes/log.csv)" -eq 9 ]
check "TensorBoard has something to show" [ -n "$(find drive/runs/shapes/logs -name 'events.out.tfevents.*')" ]

# The same command, undisturbed.
mkdir calm
cp both kept
RUNS=$work/calm PATH=$TENON_BUILD/bin:$PATH bash train.sh --quiet >both 2>&1 </dev/null
status=$?
expect 0
check "the same weights" cmp -s drive/runs/shapes/checkpoints/best.h5 calm/shapes/checkpoints/best.h5
check "the same log" cmp -s drive/runs/shapes/log.csv calm/shapes/log.csv
[ "$failures" -eq 0 ] || cat kept
finish
