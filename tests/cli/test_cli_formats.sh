#!/usr/bin/env bash
# Weight files by what they end with: written by a run, inspected, judged with, and trained on from.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1

run synth data --count 40 --size 16 --classes 3 --quiet
expect 0
endings=(keras weights.h5 safetensors h5)
{
    cat "$here/tiny.ini"
    for ending in "${endings[@]}"; do
        printf '[callback:%s]\ntype = model_checkpoint\npath = {epoch}.%s\n' "${ending/./_}" "$ending"
    done
} >all.ini
run train all.ini experiment.epochs=3 data.shuffle=no --quiet
expect 0
files=runs/tiny/checkpoints

# ---- the same weights in each ----
for ending in "${endings[@]}"; do
    run eval all.ini --weights "$files/2.$ending"
    expect 0
    tail -1 out >"said.$ending"
    check "$ending has the same weights" cmp -s said.keras "said.$ending"
    run inspect "$files/2.$ending"
    expect 0
    says "4 arrays of weights"
    says "circle"
    if [ "$ending" != h5 ]; then
        says "arrays of the optimizer's state"
    else
        silent_about "arrays of the optimizer's state"
    fi
    run predict all.ini data/validation --weights "$files/2.$ending"
    expect 0
done
run inspect "$files/2.keras" --json
expect 0
says '"optimizer": true'

# ---- what a file is, its content says where its name does not ----
for ending in keras safetensors h5; do
    cp "$files/2.$ending" "other.$ending.bin"
    run eval all.ini --weights "other.$ending.bin"
    expect 0
    tail -1 out >said.other
    check "$ending without its name" cmp -s said.keras said.other
done
cp "$files/2.keras" wrong.safetensors
run eval all.ini --weights wrong.safetensors
expect 1
says "wrong.safetensors: this is no safetensors file"
head -c 3000 "$files/2.keras" >cut.keras
run inspect cut.keras
check "a cut archive is told" [ "$status" -ne 0 ]
says "cut.keras: the archive is damaged"

# ---- going on: with the optimizer's state the third epoch is the third epoch ----
epoch() { sed -n "$1p" "$2/log.csv" | cut -d, -f2-; }
for ending in keras weights.h5 safetensors; do
    run train all.ini "experiment.name=on-$ending" experiment.epochs=1 data.shuffle=no data.augment= --weights "$files/2.$ending"
    expect 0
    says "the weights and the optimizer's state (8 arrays) after 10 steps"
done
check "from .weights.h5 as from .keras" cmp -s runs/on-keras/checkpoints/1.safetensors runs/on-weights.h5/checkpoints/1.safetensors
check "from .safetensors too" cmp -s runs/on-keras/checkpoints/1.safetensors runs/on-safetensors/checkpoints/1.safetensors
run inspect runs/on-keras/checkpoints/1.safetensors
says "after 15 steps"
run train all.ini experiment.name=on-h5 experiment.epochs=1 data.shuffle=no data.augment= --weights "$files/2.h5"
expect 0
says "the file has no optimizer state"
check "without the state it is another step" \
    [ "$(epoch 2 runs/on-h5)" != "$(epoch 2 runs/on-keras)" ]

# ---- [weights] ----
{
    cat all.ini
    printf '[weights]\nfrom = %s\n' "$files/2.keras"
} >from.ini
run train from.ini experiment.name=from experiment.epochs=1 data.shuffle=no data.augment=
expect 0
says "the weights and the optimizer's state (8 arrays) after 10 steps"
check "[weights] is --weights" cmp -s runs/on-keras/checkpoints/1.safetensors runs/from/checkpoints/1.safetensors
check "the run's experiment has the whole path" grep -qx "from = $PWD/$files/2.keras" runs/from/config.ini
run train from.ini experiment.name=bare experiment.epochs=1 data.shuffle=no data.augment= weights.optimizer=no
expect 0
silent_about "optimizer's state"
check "without the state it is as from .h5" cmp -s runs/on-h5/checkpoints/1.h5 runs/bare/checkpoints/1.h5
run train from.ini experiment.name=rate experiment.epochs=1 optimizer.type=adam optimizer.learning_rate=0.5 --quiet
expect 0
says "its learning rate was 0.001 at last; this experiment begins with 0.5"
run train from.ini experiment.name=sgd experiment.epochs=1 optimizer.type=sgd optimizer.momentum=0.9 --quiet
expect 0
says "the file's optimizer state is that of another optimizer and was left out"
run train from.ini experiment.name=nothing weights.from=nothing.keras
expect 1
says "nothing.keras"
check "nothing is left behind" [ ! -e runs/nothing ]
run train from.ini experiment.name=typing weights.form=x
expect 2
says "did you mean"

# A run that goes on needs the file no more, and its optimizer goes on counting.
run train from.ini experiment.name=two experiment.epochs=2 data.shuffle=no data.augment= --quiet
expect 0
run train from.ini experiment.name=halves experiment.epochs=1 data.shuffle=no data.augment= --quiet
expect 0
mv "$files/2.keras" away.keras
run train from.ini experiment.name=halves experiment.epochs=2 data.shuffle=no data.augment=
expect 0
says "resumed at epoch 2"
check "as if it had not ended" cmp -s runs/two/checkpoints/2.safetensors runs/halves/checkpoints/2.safetensors

# ---- weights only: no state, and smaller ----
run train all.ini experiment.name=only experiment.epochs=1 callback:keras.save_weights_only=yes \
    callback:safetensors.save_weights_only=yes callback:weights_h5.save_weights_only=yes --quiet
expect 0
for ending in keras safetensors weights.h5; do
    run inspect "runs/only/checkpoints/1.$ending"
    expect 0
    silent_about "arrays of the optimizer's state"
done
finish
