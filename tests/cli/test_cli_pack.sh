#!/usr/bin/env bash
# tenon pack: shards, lists, resize, GZIP; the same bytes for any number of workers; going on after a kill; refusals.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1

if ! command -v python3 >/dev/null; then
    echo "no python3: what it would look at is skipped"
    python3() { cat >/dev/null; }
fi
"$tenon" synth data --count 240 --validation-count 30 --size 40 --classes 3 --quiet >both 2>&1 || fail "tenon synth"

# same DIR DIR: all that is visible in them
same() { diff -r -x .pack-job "$1" "$2" >/dev/null; }
count_shards() { find "$1" -name "$2*.tfrecord" | wc -l; }

# train/ and validation/ by themselves; whatever the workers.
run pack data one --workers 1 --shards 5
expect 0
says "one/train-*.tfrecord: 240 pictures of 3 classes in 5 shards"
says "one/validation-*.tfrecord: 30 pictures of 3 classes in 1 shard"
check "names of shards" [ -s one/train-00000-of-00005.tfrecord ] && check "the last" [ -s one/train-00004-of-00005.tfrecord ]
check "classes in order" [ "$(cat one/classes.txt)" = "$(ls data/train)" ]
for workers in 2 4 9; do
    run pack data "w$workers" --workers $workers --shards 5
    expect 0
    check "the same bytes for $workers workers" same one "w$workers"
done
run pack data other-seed --shards 5 --seed 2
expect 0
check "another order for another seed" eval '! same one other-seed'

# Bytes are kept: each picture lies in one of the shards.
cat one/*.tfrecord >all
check "a file's bytes are in a shard" python3 - <<'PYTHON'
import glob, sys
everything = open("all", "rb").read()
sys.exit(0 if all(everything.count(open(name, "rb").read()) == 1 for name in glob.glob("data/*/*/*.jpg")) else 1)
PYTHON

# pack.json adds up.
check "pack.json" python3 - <<'PYTHON'
import json, os
pack = json.load(open("one/pack.json"))
assert pack["classes"] == sorted(os.listdir("data/train")), pack["classes"]
for name, part in pack["parts"].items():
    sizes = [len(os.listdir(f"data/{name}/{label}")) for label in pack["classes"]]
    assert part["class_sizes"] == sizes, (part["class_sizes"], sizes)
    assert part["records"] == sum(sizes) == sum(shard["records"] for shard in part["shards"])
    for label in range(len(sizes)):
        assert sum(shard["labels"].get(str(label), 0) for shard in part["shards"]) == sizes[label]
    for shard in part["shards"]:
        assert shard["bytes"] == os.path.getsize("one/" + shard["name"]), shard
        assert len(shard["labels"]) == len(sizes), "shards are not mixed"
PYTHON

# A second run finds all of it there and changes nothing.
cp -r one before
run pack data one --workers 3 --shards 5
expect 0
says "all 6 shards are there already"
check "nothing was changed" same one before

# GZIP, resize, the seed's keys, sizes of shards.
run pack data gz --shards 5 --compression gzip --workers 2
expect 0
check "gzip -t" gzip -t -S .tfrecord gz/*.tfrecord
for shard in gz/*.tfrecord; do
    check "the same records in $shard" cmp -s <(gzip -dc <"$shard") "one/${shard#gz/}"
done
for workers in 1 4; do
    run pack data small$workers --resize 20x16 --quality 80 --keys seed --shard-size 20KiB --workers $workers
    expect 0
done
check "resized: the same bytes for 4 workers" same small1 small4
check "more than one shard of 20 KiB" [ "$(count_shards small1 train)" -gt 1 ]
run pack data tall --resize 20x10 --keep-aspect
expect 0

# A part set aside: nothing lost, nothing twice, and the same whatever comes besides.
run pack data/train aside --split 0.25
expect 0
says "aside/validation-*.tfrecord"
cat aside/*.tfrecord >all
check "all of them, once" python3 - <<'PYTHON'
import glob, sys
everything = open("all", "rb").read()
sys.exit(0 if all(everything.count(open(name, "rb").read()) == 1 for name in glob.glob("data/train/*/*.jpg")) else 1)
PYTHON
run pack data twice --split 0.25
expect 2
says "there is"

# Killed in the middle: whole shards only, and the next run goes on from them.
run synth many --count 3000 --validation-count 0 --size 64 --classes 3 --quiet
expect 0
run pack many/train whole --resize 120x120 --shards 40 --workers 2
expect 0
last="tenon pack, killed"
for _ in 1 2 3; do
    rm -rf cut
    "$tenon" pack many/train cut --resize 120x120 --shards 40 --workers 2 >both 2>&1 &
    pid=$!
    for _ in $(seq 2000); do
        [ ! -e cut/train-00001-of-00040.tfrecord ] || break
        sleep 0.005
    done
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    left=$(count_shards cut train)
    [ "$left" -ge 40 ] || break # it was too quick for us: once more
done
check "some shards are there ($left)" [ "$left" -ge 2 ] && check "not all of them ($left)" [ "$left" -lt 40 ]
check "no pack.json yet" [ ! -e cut/pack.json ]
for shard in cut/*.tfrecord; do
    check "$shard is whole" cmp -s "$shard" "whole/${shard#cut/}"
done
: >cut/train-00033-of-00040.tfrecord.tmp # as if killed while it was written
printf 'shard train 39 12 1 {"0"' >>cut/.pack-job
kept=$(stat -c %i cut/train-00000-of-00040.tfrecord)
run pack many/train cut --resize 120x120 --shards 40 --workers 3
expect 0
says "goes on"
check "the end is the same" same cut whole
check "a finished shard was kept" [ "$kept" = "$(stat -c %i cut/train-00000-of-00040.tfrecord)" ]
check "no temporary files" [ -z "$(find cut -name '*.tmp*')" ]

# A shard that is not what the list says is made anew.
echo x >>cut/train-00003-of-00040.tfrecord
rm cut/train-00005-of-00040.tfrecord
run pack many/train cut --resize 120x120 --shards 40
expect 0
says "38 of 40"
check "mended" same cut whole

# Ctrl-C: in order, 75, and to be continued.
last="tenon pack, interrupted"
"$tenon" pack many/train stopped --resize 120x120 --shards 40 --workers 1 >both 2>&1 &
pid=$!
for _ in $(seq 2000); do
    [ ! -e stopped/train-00000-of-00040.tfrecord ] || break
    sleep 0.005
done
kill -TERM $pid
wait $pid
status=$?
expect 75
says "the same command goes on"
check "nothing half-written" [ -z "$(find stopped -name '*.tmp*')" ]
run pack many/train stopped --resize 120x120 --shards 40
expect 0
check "the end is the same" same stopped whole

# Other jobs and other people's folders.
run pack data one --shards 4
expect 2
says "holds another pack"
check "nothing was changed" same one before
mkdir theirs && echo mine >theirs/notes.txt
run pack data theirs
expect 2
says "notes.txt"
check "left alone" [ "$(ls -A theirs)" = notes.txt ]
run pack data data/train/packed
expect 2
says "which is being packed"
check "not made" [ ! -e data/train/packed ]
echo x >file
run pack data file
expect 2
says "is a file"

# Pictures that cannot be read.
cp -r data/train broken
first=$(find broken -name '*.jpg' | sort | head -1)
second=$(find broken -name '*.jpg' | sort | tail -1)
head -c -100 "$first" >cut.jpg && mv cut.jpg "$first" # its header is whole
: >"$second"
run pack broken failing --shards 3
expect 1
says "--on-error skip"
check "no pack.json" [ ! -e failing/pack.json ]
run pack broken skipping --shards 3 --on-error skip --workers 1
expect 0
says "${first#broken/}"
says "it is empty"
says "2 pictures were left out: skipping/skipped.txt lists them"
check "both are listed" [ "$(wc -l <skipping/skipped.txt)" -eq 2 ]
check "pack.json has them" grep -q '"records": 238' skipping/pack.json
run pack broken skipping4 --shards 3 --on-error skip --workers 4
expect 0
check "the same for 4 workers" same skipping skipping4
run pack broken failing --shards 3 --on-error skip # what was done before the failure counts
expect 0
check "the same after a failure" same skipping failing
run pack broken skipping --shards 3 # now nothing may be missing
expect 1
says "--on-error skip"
check "not complete, so without pack.json" [ ! -e skipping/pack.json ]
cp data/train/"${first#broken/}" "$first"
cp data/train/"${second#broken/}" "$second"
run pack broken skipping --shards 3 # and nothing is
expect 0
check "no list of what is missing" [ ! -e skipping/skipped.txt ]
check "all records" grep -q '"records": 240' skipping/pack.json
head -c -100 "$first" >cut.jpg && mv cut.jpg "$first"
: >"$second"
run doctor broken --list bad.txt
run pack broken healthy --shards 3 --exclude bad.txt # what doctor finds is left out from the beginning
expect 0
says "excluded"
silent_about "left out broken"
check "without the two" grep -q '"skipped": \[\]' healthy/pack.json
run pack broken healthy2 --exclude nowhere.txt
expect 2
says "nowhere.txt"
run pack broken trusting --shards 3 --on-error skip --trust
expect 0
says "1 picture was left out"

# A drive that fails now and then: read again, the same shards. One that fails for good: told, and to be continued.
if [ -z "${TENON_SANITIZED:-}" ]; then # a sanitizer has to be the first library that is loaded
    faulty() {
        FAULTY_UNDER=$(realpath data/train) LD_PRELOAD=$TENON_BUILD/tests/libfaulty_storage.so run "$@"
    }
    FAULTY_ERROR=15 FAULTY_SHORT=10 faulty pack data disturbed --shards 5 --retry-pause 0.001 --retries 50
    expect 0
    says "read again: "
    check "the same bytes from a faulty drive" same one disturbed
    FAULTY_ERROR=1 faulty pack data gone --shards 5 --retry-pause 0.001 --retries 2
    expect 1
    says "read 3 times"
    says "Input/output error"
    run pack data gone --shards 5
    expect 0
    check "the same bytes afterwards" same one gone
fi

# Command lines.
run pack data
expect 2
says "DST is missing"
run pack nowhere new
expect 2
says "nowhere"
run pack data new --shards 2 --shard-size 1MiB
expect 2
says "not both"
run pack data new --shard-size big
expect 2
says "--shard-size"
run pack data new --keep-aspect
expect 2
says "--resize"
run pack data new --resize 20 --trust
expect 2
says "--trust"
run pack data new --shards 1000
expect 2
says "only 240 pictures"
run pack data new --split 1
expect 2
says "0..0.9"
run pack data new --compression lzma
expect 2
says "lzma"
run pack data new --shard 3
expect 2
says "did you mean --shards?"
finish
