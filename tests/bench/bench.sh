#!/usr/bin/env bash
# `make bench`: the training step of the seed's network and of a CIFAR-size one, tenon against PyTorch and Keras, on one
# pinned core and on two threads. The sides alternate; the best of each counts, and a peer at its best setting.
# usage: bench.sh BUILD [ROUNDS]
# The peers: ../shared/bench/train_*.py with the venv of ../shared/bench/peers.sh (TENON_PEERS, default
# ~/.cache/tenon-peers). Without them tenon alone is measured.
set -euo pipefail
cd "$(dirname "$0")/../.."
tenon=$(realpath "$1")/bin/tenon
rounds=${2:-3}
peers=${TENON_PEERS:-$HOME/.cache/tenon-peers}
scripts=${TENON_PEER_SCRIPTS:-../shared/bench}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

have_peers=yes
if [ ! -x "$peers/bin/python" ] || [ ! -f "$scripts/train_torch.py" ]; then
    echo "bench: no peers ($peers, $scripts): tenon alone is measured"
    have_peers=
fi

# pin THREADS COMMAND…
pin() {
    local threads=$1
    shift
    if [ "$threads" = 1 ]; then taskset -c 0 "$@"; else taskset -c 0,1 "$@"; fi
}

# Each prints one number, images/s.
run_tenon() { # MODEL THREADS
    pin "$2" "$tenon" bench "tests/bench/$1.ini" --threads "$2" --workers 1 --only compute --seconds 6 --json |
        sed -n 's/.*"compute_images_per_s": \([0-9.]*\).*/\1/p'
}
run_torch() {
    pin "$2" env MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=1073741824 \
        "$peers/bin/python" "$scripts/train_torch.py" "$1" "$2" | sed -n 's/.* \([0-9.]*\) img\/s$/\1/p' | sort -g | tail -1
}
run_keras() {
    pin "$2" "$peers/bin/python" "$scripts/train_keras.py" "$1" "$2" 2>/dev/null |
        sed -n 's/.* \([0-9.]*\) img\/s$/\1/p' | sort -g | tail -1
}
best() { # WHO MODEL THREADS
    awk -v who="$1 $2 $3" '$1 " " $2 " " $3 == who && $4 > best { best = $4 } END { printf "%.1f", best }' "$log"
}

threads_list="1"
[ "$(nproc)" -lt 2 ] || threads_list="1 2"
for model in seed cifar; do
    for threads in $threads_list; do
        for ((round = 1; round <= rounds; round++)); do
            echo "tenon $model $threads $(run_tenon $model "$threads")" >>"$log"
            if [ -n "$have_peers" ]; then
                echo "torch $model $threads $(run_torch $model "$threads")" >>"$log"
                echo "keras $model $threads $(run_keras $model "$threads")" >>"$log"
            fi
        done
        line=$(printf '%-6s %d thread(s)  tenon %8s img/s' $model "$threads" "$(best tenon $model "$threads")")
        if [ -n "$have_peers" ]; then
            line+=$(awk -v a="$(best tenon $model "$threads")" -v t="$(best torch $model "$threads")" \
                -v k="$(best keras $model "$threads")" 'BEGIN { m = t > k ? t : k
                    printf "  torch %8s  keras %8s  ratio to the faster %.2f", t, k, (m > 0 ? a / m : 0) }')
        fi
        echo "$line"
    done
done
