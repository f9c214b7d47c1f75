#!/usr/bin/env bash
# tenon doctor: each thing that can be wrong with a folder of pictures is found, listed, and left out by `exclude`.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1

run synth data --count 60 --size 40 --classes 3 --quiet
expect 0
run doctor data
expect 0
says "data: 72 pictures in 3 classes"
says "nothing wrong was found"
says "median 40"

set -- data/train/*/
one=$1 two=$2
pictures() { find "$1" -name '*.jpg' | sort; }
bad=$(pictures "$one" | sed -n 1p) empty=$(pictures "$one" | sed -n 2p) words=$(pictures "$one" | sed -n 3p)
head -c 400 "$bad" >short.jpg && cp short.jpg "$bad"
: >"$empty"
echo "no picture at all" >"$words"
cp "$(pictures "$one" | sed -n 4p)" "${one}copy.jpg"
cp "$(pictures "$one" | sed -n 5p)" "${two}other-class.jpg"
cp "$(pictures "$two" | sed -n 6p)" "data/validation/$(basename "$two")/leak.jpg"
# One red pixel as a PNG that is called JPEG.
base64 -d >"${two}tiny.jpg" <<'END'
iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC
END
run doctor data --list bad.txt
expect 1
says "3 cannot be read"
says "$(basename "$bad"): damaged JPEG"
says "it is empty (0 bytes)"
says "it is text"
says "1 are named like another format"
says "1 are tiny"
says "tiny.jpg, 1x1"
says "twice: train/"
says "in several classes: train/"
says "in training and in validation: train/"
says "3 pictures are there more than once, 3 copies; 1 of them in training and in validation, 1 in several classes"
# Three unreadable, one copy, both of the contradiction, the training side of the leak.
says "bad.txt: 7 pictures to leave out"
check "the list has them" [ "$(grep -vc '^#' bad.txt)" -eq 7 ]
check "validation keeps its own" eval '! grep -q "^validation/" bad.txt'

cp "$here/tiny.ini" .
run train tiny.ini experiment.name=bad
expect 1
run train tiny.ini source:train.exclude=bad.txt source:validation.exclude=bad.txt
expect 0
says "7 excluded"
run doctor data --most 0
expect 1
silent_about "damaged JPEG"
# What it recommends can be done.
silent_about "tenon pack" # pictures of 40 pixels are small enough
run synth large --count 30 --validation-count 9 --size 300 --classes 3 --quiet
expect 0
run doctor large --list none.txt
expect 0
says "tenon pack large large-128 --resize 128x128 --exclude none.txt"
says "A cache (cache = memory in [data]) would take about"
# shellcheck disable=SC2046 # words
run $(sed -n 's/^ *tenon pack/pack/p' out)
expect 0
says "large-128/train-*.tfrecord: 30 pictures"
run doctor nowhere
expect 2
says "nowhere"
run doctor
expect 2
finish
