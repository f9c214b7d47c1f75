#!/usr/bin/env bash
# What saving the state of the seed's network (19 M parameters) every 10 seconds costs, with SGD and momentum (2 floats
# for each parameter) and with Adam (3): runs with and without saving alternate. Fails where steps are held up 1 % of the
# time or more, or where all of it costs 3.5 % or more: of the core time, as counted, or of the time, by how much longer
# steps take beside a saving than those around it. Whole runs are compared too, but differ by more than that on a machine
# with neighbours.
# usage: state_cost.sh BUILD [ROUNDS] [STEPS]      about a minute for each run on 2 cores; the machine should be idle
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath "$1")
rounds=${2:-3}
steps=${3:-450}
every=${STATE_COST_EVERY:-10s}
cmake --build "$build" --target state_cost >/dev/null
work=$(mktemp -d "${TMPDIR:-/tmp}/tenon-state-cost-XXXXXX")
trap 'rm -rf "$work"' EXIT
export TENON_SYSTEM_PLUGINS=$build/lib/tenon/plugins

one() { # SAVE_EVERY
    rm -rf "$work/runs"
    "$build/bin/state_cost" "$work/$optimizer.ini" experiment.name=cost experiment.run_folder="$work/runs" \
        experiment.epochs=1 experiment.steps_per_epoch="$steps" source:train.count=$((steps * 32)) data.workers=1 \
        experiment.save_every="$1" | sed "s/^/rule=${1/no/none} /"
}

status=0
for optimizer in sgd adam; do
    sed '/^\[optimizer\]/,$d' tests/bench/seed.ini >"$work/$optimizer.ini"
    printf '[optimizer]\ntype = %s\n' $optimizer >>"$work/$optimizer.ini"
    [ $optimizer != sgd ] || echo "momentum = 0.9" >>"$work/$optimizer.ini"
    for ((round = 0; round < rounds; round++)); do
        one no
        one "$every"
    done >"$work/$optimizer"
    [ -z "${STATE_COST_VERBOSE:-}" ] || cat "$work/$optimizer"
    awk -v name=$optimizer -v every="$every" '
        { for (i = 1; i <= NF; i++) { split($i, part, "="); v[part[1]] = part[2] } }
        v["rule"] == "none" { plain_core = v["core"]; plain_wall = v["wall"]; next }
        { pairs++; core[pairs] = v["core"] / plain_core - 1; wall[pairs] = v["wall"] / plain_wall - 1
          seconds += v["wall"]; all += v["core"]; held += v["held_up"]; writer += v["writer_core"]; slowed += v["slowed"]; saves += v["saves"]
          if (v["held_up_most"] > most) most = v["held_up_most"]; bytes = v["bytes"]; writing += v["writer_wall"] }
        function middle(list, n,   i, j, t) {
            for (i = 2; i <= n; i++) for (j = i; j > 1 && list[j] < list[j - 1]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
            return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
        }
        END {
            if (!saves) { print "state_cost: nothing was saved: more steps are needed"; exit 1 }
            stall = 100 * held / seconds; counted = 100 * (held * all / seconds + writer) / all
            printf "%-4s  state %.0f MB, every %s; %d saves, each written in %.2f s\n", name, bytes / 1e6, every, saves, writing / saves
            printf "      steps held up %.2f %% of the time, at most %.0f ms at once; with what the writing thread takes, %.2f %% of the core time\n", stall, 1000 * most, counted
            printf "      steps beside a saving take longer than those around it: %.2f %% of the time in all\n", 100 * slowed / seconds
            printf "      against runs without (median of %d): core time %+.2f %%, time %+.2f %%\n", pairs, 100 * middle(core, pairs), 100 * middle(wall, pairs)
            exit !(stall < 1 && counted < 3.5 && slowed / seconds < 0.035)
        }' "$work/$optimizer" || status=1
done
exit $status
