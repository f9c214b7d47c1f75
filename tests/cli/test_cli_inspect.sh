#!/usr/bin/env bash
# tenon inspect: TFRecord files, whole and damaged; weights, runs, pictures; what is none of them.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1

run synth data --count 60 --validation-count 12 --size 40 --classes 3 --quiet
expect 0
run pack data plain --shards 2 --quiet
expect 0
run pack data zipped --shards 2 --compression gzip --quiet
expect 0
run pack data seed --keys seed --shards 1 --quiet
expect 0

# is_json: what was printed is one JSON object
is_json() { ! command -v python3 >/dev/null || python3 -c 'import json, sys; json.load(open("out"))'; }
# flip FILE BYTE: changes one byte
flip() {
    local old
    old=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
    # shellcheck disable=SC2059
    printf "\\x$(printf %02x $((old ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
# column N of row M of a listing
cell() { awk -v row="$2" -v column="$1" 'NR == row + 3 { print $column }' out; }

# Whole ones.
run inspect plain
expect 0
says "3 TFRecord files: 72 records"
says "image/class/label  int64       72"
says "0 to 2"
says 'pictures in `image/encoded`: 72; jpeg'
says "height 40 to 40, median 40"
says "named by classes.txt"
for class in data/train/*; do
    says "$(basename "$class")"
done
silent_about "fault "
run inspect zipped --check
expect 0
says "gzip"
says "nothing is wrong: 72 records"
run inspect seed/train-00000-of-00001.tfrecord --check
expect 0
says "TFRecord, 60 records"
says 'labels in `label`: 3 different'
run inspect 'plain/train-*.tfrecord' --json # the command expands patterns itself
expect 0
says '"records": 60'
says '"image_key": "image/encoded"'
check "JSON" is_json
cp out several
run inspect 'plain/train-*.tfrecord' --json --workers 1
check "the same for any number of threads" cmp -s out several

# A listing tells where records begin; every damage is told there.
shard=plain/train-00000-of-00002.tfrecord
run inspect $shard --records 5
expect 0
check "five rows" [ "$(wc -l <out)" -eq 7 ]
says "40x40"
third=$(cell 2 2) fourth=$(cell 2 3) length=$(cell 3 2)
check "records follow each other" [ "$fourth" -eq $((third + length + 16)) ]
run inspect $shard --records 2 --json
check "JSON" is_json
for place in "data:$((third + 500)):the CRC of its data" "crc:$((fourth - 1)):the CRC of its data" \
    "length:$third:the CRC of its length" "head:$((third + 9)):the CRC of its length"; do
    name=${place%%:*} rest=${place#*:}
    cp $shard "$name.tfrecord"
    flip "$name.tfrecord" "${rest%%:*}"
    run inspect "$name.tfrecord" --check
    expect 1
    says "$name.tfrecord: record 2 at byte $third: ${rest#*:}"
    says "1 fault in 1 of 1 file"
    [ "$name" != data ] || says "TFRecord, 30 records" # those behind it are read all the same
done
run inspect data.tfrecord # also without --check: the CRC is always compared
expect 1
says "record 2 at byte $third"
run inspect data.tfrecord --json
expect 1
says "\"record\": 2, \"byte\": $third"
check "JSON" is_json
cp $shard two.tfrecord
flip two.tfrecord $((third + 500))
flip two.tfrecord $((fourth + 500))
run inspect two.tfrecord plain --check
expect 1
says "record 2 at byte $third"
says "record 3 at byte $fourth"
says "2 faults in 1 of 4 files"
head -c $((fourth - 7)) $shard >cut.tfrecord
run inspect cut.tfrecord
expect 1
says "record 2 at byte $third: the file ends before the record does"
head -c 2000 zipped/train-00000-of-00002.tfrecord >cut.gz
run inspect cut.gz
expect 1
says "the compressed stream ends early, after byte 2000"

# Pictures that are none are found by decoding, whatever their CRC says.
run pack data trusting --shards 1 --quiet --trust
expect 0
cp -r data broken
first=$(find broken/train -name '*.jpg' | sort | head -1)
head -c -100 "$first" >short.jpg && cp short.jpg "$first"
run pack broken trusting2 --shards 1 --quiet --trust
expect 0
run inspect trusting2
expect 0
run inspect trusting2 --check
expect 1
says "damaged JPEG"
says "1 fault in 1 of 2 files"
run inspect trusting2 --image-key image/nothing
expect 1
says 'it has no feature `image/nothing`'

# What is no TFRecord file at all.
: >empty
: >empty.tfrecord
head -c 20000 /dev/urandom >garbage.tfrecord
(printf '\x1f\x8b\x08' && head -c 5000 /dev/urandom) >garbage.gz
(printf '\x89HDF\r\n\x1a\n' && head -c 20000 /dev/urandom) >garbage.h5
echo "some words" >words
run inspect empty
expect 2
says "empty: it is empty"
run inspect empty.tfrecord
expect 0
says "0 records"
run inspect garbage.tfrecord
expect 1
says "record 0 at byte 0: "
run inspect garbage.gz --check # some bytes may come out of it
expect 1
says "record 0 at byte 0: "
run inspect garbage.h5
expect 1
says "no HDF5 file"
run inspect words
expect 2
says "words: it is no TFRecord file"
run inspect nowhere.tfrecord plain # the others are looked at all the same
expect 2
says "nowhere.tfrecord: No such file"
says "72 records"
run inspect data
expect 2
says "tenon doctor data"
run inspect
expect 2
says "PATH is missing"

# Weights and runs. (TSan cannot see into libgomp, which training runs on.)
if [ "${TENON_SANITIZED:-}" != tsan ]; then
    cp "$here/tiny.ini" .
    run train tiny.ini --quiet
    expect 0
    run inspect runs/tiny/checkpoints/best.h5
    expect 0
    says "3 classes:"
    says "model_weights/conv1/conv1/kernel:0"
    says "3x3x3x8"
    says "1,403 numbers"
    run inspect runs/tiny/checkpoints/best.h5 --json
    expect 0
    says '"shape": [3, 3, 3, 8]'
    check "JSON" is_json
    cp runs/tiny/checkpoints/best.h5 weights.bin
    run inspect weights.bin # by content
    expect 0
    head -c 9000 weights.bin >cut.h5
    run inspect cut.h5
    expect 1
    says "cut off"
    run inspect runs/tiny
    expect 0
    says "run of tiny"
    says "val_loss"
    says "checkpoints/best.h5"
    run inspect runs/tiny --json
    expect 0
    says '"best_epoch"'
    check "JSON" is_json
fi

# Pictures.
good=$(find data/train -name '*.jpg' | sort | head -1)
run inspect "$good"
expect 0
says "jpeg"
says "40x40"
run inspect short.jpg "$good" --json
expect 1
says "damaged JPEG"
check "JSON" is_json

# What others wrote, and all the ways to break it.
fixtures=${TENON_FIXTURES:-$TENON_SOURCE/../shared/fixtures}
if [ -d "$fixtures/tfrecord" ]; then
    for file in "$fixtures"/tfrecord/*.tfrecord; do
        name=$(basename "$file")
        run inspect "$file" --check
        check "$name: ends by itself ($status)" [ "$status" -le 1 ]
        # The manifest's: how many records are intact before the first damage, and whether there is one.
        intact=$(awk -v name="$name" '/^file /{hit = $2 == name} hit && $1 == "intact_records"{print $2; exit}' \
            "$fixtures/tfrecord/manifest.txt")
        clean=$(awk -v name="$name" '/^file /{hit = $2 == name} hit && $1 == "clean_end"{print $2; exit}' \
            "$fixtures/tfrecord/manifest.txt")
        case $name in bad_*_read_as_*) continue ;; esac # said to be compressed otherwise than they are
        if [ "$clean" = 0 ]; then
            expect 1
            says "record $intact at byte"
        else
            silent_about "CRC of"
            silent_about "the file ends"
            says "TFRecord, $intact record"
        fi
    done
    for file in "$fixtures"/keras-h5/*.h5; do
        run inspect "$file"
        expect 0
        says "Keras"
    done
else
    echo "no $fixtures/tfrecord: files of TensorFlow are skipped"
fi
finish
