#!/usr/bin/env bash
# A folder on a slow and faulty drive: what fails for a while is read again, and the run is the undisturbed run.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1
shim=$TENON_BUILD/tests/libfaulty_storage.so
if [ -n "${TENON_SANITIZED:-}" ]; then
    echo "skipped: a sanitizer has to be the first library that is loaded"
    exit 0
fi
faulty() {
    FAULTY_UNDER=$(realpath data) FAULTY_COUNT=$work/count LD_PRELOAD=$shim run "$@"
}
run synth data --count 120 --size 24 --classes 3 --quiet
expect 0
cp "$here/tiny.ini" .

run train tiny.ini experiment.name=undisturbed
expect 0
export FAULTY_ERROR=20 FAULTY_SHORT=10
faulty train tiny.ini experiment.name=disturbed data.retry_pause=0.001
expect 0
says "read again: "
check "some calls failed" [ "$(sort -n count | tail -1)" -gt 3 ]
check "the same weights" cmp -s runs/undisturbed/checkpoints/best.h5 runs/disturbed/checkpoints/best.h5

# The same read ahead: by as many threads as are asked for, and by those that start when reads turn out to be slow.
faulty train tiny.ini experiment.name=ahead data.retry_pause=0.001 data.io_threads=16
expect 0
check "the same weights, read ahead" cmp -s runs/undisturbed/checkpoints/best.h5 runs/ahead/checkpoints/best.h5
FAULTY_DELAY=2 faulty train tiny.ini experiment.name=slow data.retry_pause=0.001 data.workers=1
expect 0
says "threads read ahead"
check "the same weights, slow" cmp -s runs/undisturbed/checkpoints/best.h5 runs/slow/checkpoints/best.h5

# From shards, at random and from front to back, plain and compressed; looking through them fails at times too.
run pack data/train shards/plain --quiet --shards 3
expect 0
run pack data/train shards/gzip --quiet --shards 3 --compression gzip
expect 0
from() { # KIND NAME ARGUMENTS…
    sed -e '/^\[source:train\]/,/^$/s|^type.*|type = tfrecord|' -e "/^\[source:train\]/,/^\$/s|^path.*|files = shards/$1/*.tfrecord|" tiny.ini >"$2.ini"
    run train "$2.ini" experiment.name="$2" source:train.index=no "${@:3}"
    expect 0
    FAULTY_UNDER=$(realpath shards) FAULTY_COUNT=$work/count LD_PRELOAD=$shim run train "$2.ini" experiment.name="$2-faulty" \
        source:train.index=no data.retry_pause=0.001 "${@:3}"
    expect 0
    check "the same weights: $2" cmp -s "runs/$2/checkpoints/best.h5" "runs/$2-faulty/checkpoints/best.h5"
}
from plain records
from plain in-sequence source:train.io=sequential
from gzip compressed data.io_threads=4

# Every call fails: the policy of the sample.
FAULTY_ERROR=1 faulty train tiny.ini experiment.name=gone data.retry_pause=0.001 data.retries=2
expect 1
says "read 3 times"
says "Input/output error"
FAULTY_ERROR=1 faulty train tiny.ini experiment.name=skipped data.retry_pause=0.001 data.retries=1 data.on_error=skip
says "left out "
unset FAULTY_ERROR FAULTY_SHORT

# A picture that goes away during the run.
run config tiny.ini
first=$(find data/train -name '*.jpg' | sort | head -1)
mv "$first" kept.jpg
: >"$first"
run train tiny.ini experiment.name=empty
expect 1
says "$(basename "$first")"
run train tiny.ini experiment.name=empty-skipped data.on_error=skip
expect 0
says "left out "
finish
