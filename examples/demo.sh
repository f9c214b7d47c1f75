#!/usr/bin/env bash
# `make demo`: draws the shapes set as JPEG folders, trains examples/demo.ini on it, and shows what the network then
# says of pictures that it has never seen. Fails when validation accuracy stays below 0.95. usage: demo.sh BUILD
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath "$1")
tenon=$build/bin/tenon
folder=$build/demo

rm -rf "$folder"
mkdir -p "$folder"
echo "== drawing the data set =="
"$tenon" synth "$folder/shapes" --count 4000 --size 64
"$tenon" synth "$folder/unseen" --count 12 --validation-count 0 --size 64 --seed 99 --quiet

echo
echo "== training (examples/demo.ini) =="
begin=$(date +%s.%N)
"$tenon" train examples/demo.ini "source:train.path=$folder/shapes/train" \
    "source:validation.path=$folder/shapes/validation" "experiment.run_folder=$folder/runs"
seconds=$(awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { printf "%.0f", b - a }')

run=$folder/runs/demo
echo
echo "== the best weights on the validation pictures =="
"$tenon" eval examples/demo.ini "source:train.path=$folder/shapes/train" \
    "source:validation.path=$folder/shapes/validation" "experiment.run_folder=$folder/runs" \
    --weights "$run/checkpoints/best.h5" --json | tee "$folder/eval.json"
accuracy=$(sed -n 's/.*"accuracy": \([0-9.e-]*\).*/\1/p' "$folder/eval.json")

echo
echo "== pictures drawn with another seed (the folder is the truth) =="
(cd "$folder/unseen/train" && "$tenon" predict "$OLDPWD/examples/demo.ini" "experiment.run_folder=$folder/runs" \
    "source:train.path=$folder/shapes/train" "source:validation.path=$folder/shapes/validation" \
    --weights "$run/checkpoints/best.h5" --top 2 .)

echo
echo "validation accuracy $accuracy after $seconds s of training; the run is in ${run#"$PWD"/}"
awk -v a="${accuracy:-0}" 'BEGIN { exit !(a >= 0.95) }' || {
    echo "demo: validation accuracy is below 0.95" >&2
    exit 1
}
