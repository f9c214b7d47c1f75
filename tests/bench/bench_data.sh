#!/usr/bin/env bash
# `make bench-data`: pictures a second from class folders of 500x375 JPEGs to 150x150 float batches, tenon against Keras'
# ImageDataGenerator (with the same augmentation), tf.data, torchvision and DALI (which do less), on one pinned core, and
# tenon on two. The sides alternate; the best of each counts.
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
trap 'rm -f "$log"' EXIT

if [ ! -x "$peers/bin/python" ] || [ ! -f "$scripts/load_peers.py" ]; then
    echo "bench-data: no peers ($peers, $scripts), and no pictures without them"
    exit 0
fi
[ -d "$photos" ] || "$peers/bin/python" "$scripts/make_photos500.py" "$photos" >/dev/null

run_tenon() { # WORKERS
    taskset -c "$([ "$1" = 1 ] && echo 0 || echo 0,1)" "$tenon" bench tests/bench/photos.ini source:train.path="$photos" \
        --workers "$1" --threads 1 --only pipeline --seconds 6 --json | sed -n 's/.*"pipeline_images_per_s": \([0-9.]*\).*/\1/p'
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
done
mine=$(best tenon)
echo "tenon, one worker: $mine img/s"
for peer in idg tfdata torch torch2 dali; do
    awk -v a="$mine" -v p="$(best $peer)" -v who=$peer 'BEGIN { printf "%-8s %6s img/s  ratio %.2f\n", who, p, (p > 0 ? a / p : 0) }'
done
[ "$(nproc)" -lt 2 ] ||
    awk -v a="$mine" -v b="$(best tenon2)" 'BEGIN { printf "tenon, two workers: %s img/s, %.2f of one\n", b, b / a }'
