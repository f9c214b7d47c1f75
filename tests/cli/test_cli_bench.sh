#!/usr/bin/env bash
# tenon bench: the stages of the pipeline, which of all is the limit, and what to do.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1

run synth data --count 60 --size 64 --classes 3 --quiet
expect 0
cp "$here/tiny.ini" .
run bench tiny.ini --seconds 0.2 --workers 2
expect 0
for what in reading decoding sampling pipeline compute training "2 of them" "of the workers' time" "the limit is"; do
    says "$what"
done
run bench tiny.ini --seconds 0.2 --only pipeline --workers 1
expect 0
silent_about "of them"
silent_about "compute"
silent_about "the limit is the computation"
run bench tiny.ini --seconds 0.2 --only compute
expect 0
silent_about "reading"
silent_about "the limit"
run bench tiny.ini --seconds 0.2 --json --workers 2
expect 0
if command -v python3 >/dev/null; then
    check "the numbers fit each other" python3 - <<'PYTHON'
import json
bench = json.load(open("out"))
stages = bench["stages"]
assert list(stages) == ["reading", "decoding", "sampling"], stages
assert abs(sum(stage["share"] for stage in stages.values()) - 1) < 0.01, stages
# A thread that does one thing is quicker than one that does all.
slowest = min(stage["images_per_s_per_thread"] for stage in stages.values())
assert slowest >= bench["pipeline_images_per_s_per_thread"], bench
for stage in stages.values():
    assert abs(stage["images_per_s"] - 2 * stage["images_per_s_per_thread"]) < 1, stage
for key in ("pipeline_images_per_s", "compute_images_per_s", "train_images_per_s", "input_wait_share", "workers"):
    assert bench[key] >= 0, key
assert bench["limit"] in ("reading", "decoding", "sampling", "computation"), bench
PYTHON
fi

# Slow storage shows as reading.
if [ -z "${TENON_SANITIZED:-}" ]; then # a sanitizer has to be the first library that is loaded
    FAULTY_UNDER=$(realpath data/train) FAULTY_DELAY=5 LD_PRELOAD=$TENON_BUILD/tests/libfaulty_storage.so \
        run bench tiny.ini --seconds 0.5 --only pipeline
    expect 0
    says "the limit is reading"
    says "tenon pack"
    FAULTY_UNDER=$(realpath data/train) FAULTY_DELAY=20 LD_PRELOAD=$TENON_BUILD/tests/libfaulty_storage.so \
        run train tiny.ini data.io_threads=1 experiment.epochs=2
    expect 0
    says "training waits for pictures, above all for reading; to go faster: "
    says "leave data.io_threads out"
    check "said once" [ "$(grep -c 'training waits' out)" -eq 1 ]
    check "in the log" awk -F, 'NR == 2 { exit !($NF > 0.5) }' runs/tiny/log.csv
fi

# What is recommended is a key that there is.
for key in $(grep -o 'data\.[a-z_]*' out | sort -u); do # (of the last run)
    run plan tiny.ini "$key=1"
    silent_about "unknown key"
done
finish
