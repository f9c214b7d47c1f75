#!/usr/bin/env bash
# The way of a user: synth, init, check, plan, train, eval, predict, bench; swaps without rebuilding.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1

run synth data --count 60 --size 24 --classes 3
expect 0
check "60 pictures" [ "$(find data/train -name '*.jpg' | wc -l)" -eq 60 ]
check "12 for validation" [ "$(find data/validation -name '*.jpg' | wc -l)" -eq 12 ]
run synth data --count 5
check "a folder with something in it is refused" [ "$status" -ne 0 ]
says "data/train"

run init data
expect 0
says "60 images of 3 classes"
says "tenon train data.ini"
run init data
expect 2
says "--force"
run init data --force -o data.ini
expect 0
run init nowhere
expect 2
says "nowhere"
mkdir -p elsewhere
run init data -o elsewhere/x.ini
expect 0
check "paths count from the file" grep -qx 'path = ../data/train' elsewhere/x.ini
run train elsewhere/x.ini experiment.epochs=1 --quiet
expect 0
check "quiet says nothing" [ ! -s out ]

cp "$here/tiny.ini" .
run check tiny.ini
expect 0
for what in "experiment" "training data" "validation data" "network" "memory" "run directory" "a batch" "a training step" \
    "a checkpoint" "disk"; do
    says "ok      $what"
done
check "check leaves nothing behind" [ ! -e runs/tiny ]

run check tiny.ini callback:checkpoint.path=best.xyz
expect 2
says "best.xyz: no format is known"

run plan tiny.ini
expect 0
says "conv1"
says "8x14x14x8"
says "224" # 3*3*3*8 + 8
run plan tiny.ini --json
expect 0
says '"parameters": '
says '"total_bytes": '
run plan tiny.ini --memory 64MiB --json
expect 0
says '"largest_batch": '
run plan tiny.ini --memory 1k
expect 0
says "not even a batch of 1"

# What the plan says is what a run takes; sanitizers add memory of their own.
if [ -z "${TENON_SANITIZED:-}" ]; then
    run train "$TENON_SOURCE/tests/bench/cifar.ini" experiment.name=growth experiment.epochs=1 experiment.steps_per_epoch=2
    expect 0
    check "growth within 5 % and 20 MiB of the plan" awk '/^memory:/ && $9 == "MiB;" && $13 == "MiB" {
        good = ($8 - $12)^2 <= ($12 * 0.05 + 20)^2 } END { exit !good }' out
fi

run config tiny.ini data.batch_size=4
expect 0
says "batch_size"
cp out resolved.ini
run config resolved.ini
expect 0
check "what is printed resolves to itself" cmp -s out resolved.ini
run config tiny.ini --places
says "tiny.ini:9"

run train tiny.ini
expect 0
check "no escapes, no carriage returns in a pipe" eval '! grep -q $'"'[\\033\\r]'"' both'
says "Epoch 1/1"
says "val_accuracy"
for file in config.ini classes.txt log.csv manifest.json checkpoints/best.h5; do
    check "runs/tiny/$file" [ -s "runs/tiny/$file" ]
done
weights=runs/tiny/checkpoints/best.h5
run check runs/tiny/config.ini
expect 0
check "a run's config.ini stands by itself" grep -q "^path *= $PWD/data/train" runs/tiny/config.ini

run eval tiny.ini --weights $weights
expect 0
says "accuracy"
run eval tiny.ini --weights $weights --source train --json
expect 0
says '"samples": 60'
run eval tiny.ini --weights $weights --source nothing
check "an unknown source" [ "$status" -ne 0 ]
says "nothing"

picture=$(find data/validation -name '*.jpg' | sort | head -1)
run predict tiny.ini --weights $weights "$picture"
expect 0
check "one line" [ "$(wc -l <out)" -eq 1 ]
says "$(basename "$picture")"
run predict tiny.ini --weights $weights --csv --top 2 data/validation
expect 0
check "a head" [ "$(head -1 out)" = "file,class,score,class2,score2" ]
check "a row for each" [ "$(wc -l <out)" -eq 13 ]
run predict tiny.ini --weights $weights --json data/validation
expect 0
check "JSON" eval '! command -v python3 >/dev/null || python3 -c "import json; assert len(json.load(open(\"out\"))) == 12"'
run predict tiny.ini --weights $weights nowhere.jpg
check "a missing picture" [ "$status" -ne 0 ]
says "nowhere.jpg"

run bench tiny.ini --seconds 0.2s --json
expect 0
says '"pipeline_images_per_s": '
says '"compute_images_per_s": '
says '"train_images_per_s": '

# Swapping the augmentation changes the run, without touching the file or the program.
run train tiny.ini data.augment=warp experiment.name=warped
expect 0
check "other augmentation, other weights" eval '! cmp -s runs/tiny/checkpoints/best.h5 runs/warped/checkpoints/best.h5'
run train tiny.ini data.augment=nosuch experiment.name=none
expect 2
says "nosuch"

# A plugin in a folder of the user's.
if command -v cc >/dev/null; then
    mkdir plugins
    cat >plugins/darken.c <<'END'
#include "tenon/plugin.h"
struct darken { double factor; };
static const struct tn_option darken_options[] = {
    TN_FLOAT(struct darken, factor, 0.5, 0.0, 1.0, "pixels are multiplied by this"), TN_END};
static tn_status darken_apply(const void *self, struct tn_image *image, struct tn_random *random, struct tn_error *error)
{
    const struct darken *darken = self;
    float *pixels = image->pixels;
    (void)random, (void)error;
    for (int64_t i = 0; i < (int64_t)image->height * image->width * image->channels; i++)
        pixels[i] *= (float)darken->factor;
    return TN_OK;
}
static const struct tn_augment darken = {
    TN_TYPE(TN_AUGMENT, "darken", struct darken, darken_options, "make an image darker"), .apply = darken_apply};
TN_PLUGIN("test.darken", "1.0.0", "MIT", &darken.type);
END
    cc -std=c11 -shared -fPIC -I"$TENON_SOURCE/core/include" -o plugins/darken.so plugins/darken.c
    { cat tiny.ini; printf '\n[augment:dark]\ntype = darken\nfactor = 0.4\n'; } >dark.ini
    run train dark.ini data.augment=dark experiment.name=dark
    expect 2
    says "darken"
    TENON_PLUGIN_PATH=$work/plugins run train dark.ini data.augment=dark experiment.name=dark
    expect 0
    run train dark.ini data.augment=dark experiment.name=darker --plugin-path "$work/plugins"
    expect 0
    TENON_PLUGIN_PATH=$work/plugins run plugin show darken
    expect 0
    says "factor"
fi

# A signal ends the run in order.
"$tenon" train tiny.ini data.augment=flip experiment.name=stopped experiment.epochs=100000 >out 2>err &
process=$!
for _ in $(seq 100); do
    grep -q . runs/stopped/log.csv 2>/dev/null && break
    sleep 0.1
done
kill -TERM $process
wait $process
status=$?
last="tenon train, then SIGTERM"
cat out err >both
expect 75
check "the lock is gone" [ ! -e runs/stopped/lock ]
finish
