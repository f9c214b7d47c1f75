#!/usr/bin/env bash
# `make bench-data`: pictures a second from class folders of 500x375 JPEGs to 150x150 float batches, tenon against Keras'
# ImageDataGenerator (with the same augmentation), tf.data, torchvision and DALI (which do less), on one pinned core, and
# tenon on two. Then from TFRecords of 150x150 JPEGs against tf.data; with a cache; and with a storage on which every
# open and read takes 20 ms. The sides alternate; the best of each counts.
# usage: bench_data.sh BUILD [ROUNDS]
# Peers as in bench.sh. The pictures are made by ../shared/bench/make_photos500.py and kept beside the peers.
set -euo pipefail
cd "$(dirname "$0")/../.."
tenon=$(realpath "$1")/bin/tenon
rounds=${2:-2}
peers=${TENON_PEERS:-$HOME/.cache/tenon-peers}
scripts=${TENON_PEER_SCRIPTS:-../shared/bench}
photos=${TENON_PHOTOS500:-$HOME/.cache/tenon-photos500}
log=$(mktemp)
trap 'rm -f "$log" "$log.ini" "$log.so"' EXIT
shim=$log.so
cc -shared -fPIC -O1 -D_GNU_SOURCE -o "$shim" tests/support/faulty_storage.c -ldl

if [ ! -x "$peers/bin/python" ] || [ ! -f "$scripts/load_peers.py" ]; then
    echo "bench-data: no peers ($peers, $scripts), and no pictures without them"
    exit 0
fi
[ -d "$photos" ] || "$peers/bin/python" "$scripts/make_photos500.py" "$photos" >/dev/null

# The same pictures again in a folder of its own, since tf.data's side writes its records there.
records=${photos}-records
mkdir -p "$records"
for class in "$photos"/c*; do ln -sfn "$class" "$records/$(basename "$class")"; done

pipeline() { # CPUS WORKERS ARGUMENTS…
    taskset -c "$1" "$tenon" bench "${@:3}" --workers "$2" --threads 1 --only pipeline --seconds 6 --json |
        sed -n 's/.*"pipeline_images_per_s": \([0-9.]*\).*/\1/p'
}
run_tenon() { # WORKERS ARGUMENTS…
    pipeline "$([ "$1" = 1 ] && echo 0 || echo 0,1)" "$1" tests/bench/photos.ini source:train.path="$photos" "${@:2}"
}
run_records() {
    pipeline 0 1 tests/bench/records.ini source:train.files="$records/tfrecords150/*.tfrecord" "$@"
}
run_peer_records() {
    taskset -c 0 "$peers/bin/python" "$scripts/load_tfrecord.py" "$records" 1 2>/dev/null |
        sed -n 's/.* \([0-9.]*\) img\/s$/\1/p' | tail -1
}
# Full-size pictures in one shard, under ten names, so that an epoch is long.
slow=$(realpath -m "${photos}-packed")
[ -f "$slow/part-9.tfrecord" ] || {
    "$tenon" pack "$photos" "$slow" --quiet
    for k in 0 1 2 3 4 5 6 7 8 9; do ln -f "$slow"/train-00000-of-00001.tfrecord "$slow/part-$k.tfrecord"; done
}
sed -e "s|^type = directory|type = tfrecord|" -e "s|^path = .*|files = $slow/part-*.tfrecord|" tests/bench/photos.ini >"$log.ini"
run_slow() { # DELAY
    LD_PRELOAD=$shim FAULTY_UNDER=$slow FAULTY_DELAY=$1 pipeline 0 1 "$log.ini" data.io_threads=32
}
run_peer() {
    taskset -c 0 "$peers/bin/python" "$scripts/load_peers.py" "$1" "$photos" 1 2>/dev/null |
        sed -n 's/.* \([0-9.]*\) img\/s$/\1/p' | tail -1
}
best() {
    awk -v who="$1" '$1 == who && $2 > best { best = $2 } END { printf "%.0f", best }' "$log"
}

for ((round = 1; round <= rounds; round++)); do
    echo "tenon $(run_tenon 1)" >>"$log"
    for peer in idg tfdata torch torch2 dali; do
        echo "$peer $(run_peer $peer)" >>"$log"
        echo "tenon $(run_tenon 1)" >>"$log"
    done
    [ "$(nproc)" -lt 2 ] || echo "tenon2 $(run_tenon 2)" >>"$log"
    echo "peer-records $(run_peer_records)" >>"$log"
    echo "records $(run_records)" >>"$log"
    echo "records-sequential $(run_records source:train.io=sequential)" >>"$log"
    echo "cached $(run_tenon 1 data.cache=memory)" >>"$log"
    for delay in 0 20; do echo "slow-$delay $(run_slow $delay)" >>"$log"; done
done
mine=$(best tenon)
echo "tenon, one worker: $mine img/s"
for peer in idg tfdata torch torch2 dali; do
    awk -v a="$mine" -v p="$(best $peer)" -v who=$peer 'BEGIN { printf "%-8s %6s img/s  ratio %.2f\n", who, p, (p > 0 ? a / p : 0) }'
done
[ "$(nproc)" -lt 2 ] ||
    awk -v a="$mine" -v b="$(best tenon2)" 'BEGIN { printf "tenon, two workers: %s img/s, %.2f of one\n", b, b / a }'
ratio() { # TEXT A B
    awk -v a="$(best "$2")" -v b="$(best "$3")" -v text="$1" 'BEGIN { printf "%s: %s and %s img/s, ratio %.2f\n", text, a, b, (b > 0 ? a / b : 0) }'
}
ratio "TFRecords of 150x150, tenon and tf.data" records peer-records
ratio "TFRecords of 150x150 in sequence and at random" records-sequential records
ratio "with a cache in memory and without" cached tenon
ratio "32 threads read ahead, 20 ms and 0 ms for each open and read" slow-20 slow-0
