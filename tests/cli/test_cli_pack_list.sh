#!/usr/bin/env bash
# tenon pack of a list (CSV, TSV): the same pictures and classes as from folders, what is wrong with lists, going on.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1

run synth data --count 120 --validation-count 0 --size 40 --classes 3 --quiet
expect 0
same() { diff -r -x .pack-job "$1" "$2" >/dev/null; }
pictures() { (cd data/train && find . -name '*.jpg' | sed 's,^\./,,' | sort); }
{
    echo "filename,class"
    pictures | while read -r name; do echo "$name,${name%%/*}"; done
} >data/train/list.csv

# The list tells what the folders tell. (The order of the lines is that of the walk, so the shards are the same bytes.)
run pack data/train folder --shards 4
expect 0
run pack data/train/list.csv listed --shards 4
expect 0
says "listed/train-*.tfrecord: 120 pictures of 3 classes in 4 shards"
check "classes" cmp -s folder/classes.txt listed/classes.txt
count() { "$tenon" inspect "$1" --json | grep -o '"label": "[0-9]*", "name": "[a-z]*", "records": [0-9]*'; }
check "as many of each class" [ "$(count folder)" = "$(count listed)" ]
run inspect listed --check
expect 0
says "120 records"
for workers in 1 4; do
    run pack data/train/list.csv "w$workers" --shards 4 --workers $workers
    expect 0
    check "the same bytes for $workers workers" same listed "w$workers"
done

# Other columns, tabs, another folder, no header; into the list's own folder.
{
    printf 'id\tpath\tspecies\n'
    pictures | while read -r name; do printf '1\t%s\t%s\n' "$name" "${name%%/*}"; done
} >other.tsv
run pack other.tsv columns --shards 4 --folder data/train --path-column path --label-column species
expect 0
check "the same records" same listed columns
tail -n +2 data/train/list.csv >data/train/bare.csv
run pack data/train/bare.csv data/train/packed --shards 4 --no-header
expect 0
check "the same records" same listed data/train/packed
rm -r data/train/packed
pictures | while read -r name; do echo "$PWD/data/train/$name;${name%%/*}"; done >absolute.csv
run pack absolute.csv absolute --shards 4 --no-header --separator ';'
expect 0
says "120 pictures of 3 classes"

# Set aside: the same pictures whatever else is in the list.
run pack data/train/list.csv split --split 0.3 --resize 16x16
expect 0
says "split/validation-*.tfrecord"
run inspect split
expect 0
says "120 records"
says "16x16"

# A run that was cut off goes on; a list that says something else is another job.
rm listed/train-00002-of-00004.tfrecord
run pack data/train/list.csv listed --shards 4
expect 0
says "3 of 4 shards are there already"
check "the same again" same listed w1
last=$(cut -d, -f2 data/train/list.csv | tail -1)
awk -F, -v other="$last" 'NR == 2 { $0 = $1 "," other } { print }' data/train/list.csv >data/train/changed.csv
run pack data/train/changed.csv listed --shards 4
expect 2
says "another pack"

# What is wrong with lists is told with the line.
{
    cat data/train/list.csv
    echo "nowhere/1.jpg,circle"
} >data/train/missing.csv
run pack data/train/missing.csv missing
expect 2
says "missing.csv:122"
says "nowhere/1.jpg"
run pack data/train/missing.csv missing --on-error skip
expect 0
says "left out"
check "the list of those left out" grep -q "nowhere/1.jpg" missing/skipped.txt
printf 'filename,class\na.jpg\n' >short.csv
run pack short.csv short
expect 2
says "short.csv:2: 1 column where 2 are expected"
run pack data/train/list.csv none --label-column species
expect 2
says "no column \`species\`"
run pack data/train/list.csv none --label-column filename,class
expect 2
says "from one column"
: >empty.csv
run pack empty.csv none
expect 2
says "empty"
run pack data/train none --label-column class
expect 2
says "are for a list"
run pack data/train/list.csv none --exclude short.csv
expect 2
says "--exclude goes with a folder"
head -c 5000 /dev/urandom >garbage.csv
run pack garbage.csv none
expect 2
check "nothing was made" [ ! -e none ]
finish
