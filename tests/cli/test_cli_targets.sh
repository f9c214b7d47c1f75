#!/usr/bin/env bash
# Pictures with several classes, and with numbers: training, evaluation, prediction, and what is said where network and
# targets do not fit. The pictures are of one colour each, so that a handful of weights has to get all of them right.
# shellcheck source=tests/cli/lib.sh
. "${TENON_SOURCE:?}/tests/cli/lib.sh" || exit 1

paint() { # FILE RED GREEN BLUE
    local pixel
    pixel=$(printf '\\%03o\\%03o\\%03o' "$2" "$3" "$4")
    # shellcheck disable=SC2059 # the octal numbers are meant as a format
    printf "P6\n2 2\n255\n$pixel$pixel$pixel$pixel" >"$1"
}

mkdir -p set
echo "filename,colours,red,green,blue" >set/train.csv
echo "filename,colours,red,green,blue" >set/test.csv
for i in $(seq 0 95); do
    r=$((i & 1)) g=$((i >> 1 & 1)) b=$((i >> 2 & 1)) dim=$((i * 7 % 50)) names=''
    paint "set/$i.ppm" $((r * 200 + dim)) $((g * 200 + dim * 3 % 50)) $((b * 200 + dim * 5 % 50))
    [ $r = 0 ] || names="red"
    [ $g = 0 ] || names="$names${names:+|}green"
    [ $b = 0 ] || names="$names${names:+|}blue"
    if [ "$i" -lt 80 ]; then list="train"; else list="test"; fi
    echo "$i.ppm,$names,$((r * 200 + dim)),$((g * 200 + dim * 3 % 50)),$((b * 200 + dim * 5 % 50))" >>set/$list.csv
done

experiment() { # NAME CLASS_MODE KEYS-OF-SOURCES ACTIVATION
    cat <<INI
[experiment]
name   = $1
seed   = 5
epochs = 30

[data]
target_size = 2x2
batch_size  = 8
class_mode  = $2

[source:train]
type = manifest
path = set/train.csv
$3

[source:validation]
type = manifest
path = set/test.csv
$3

[layer:scale]
type  = rescaling
scale = 1/255

[layer:pool]
type = global_average_pooling2d

[layer:out]
type       = dense
units      = 3
activation = $4

[optimizer]
type          = adam
learning_rate = 0.1

[callback:keep]
type           = model_checkpoint
path           = last.h5
save_best_only = no
INI
}

# The loss of an epoch in log.csv, by the name of its column.
column() { # NAME COLUMN EPOCH
    awk -F, -v name="$2" -v row="$3" '{ sub(/\r$/, "") } NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i } NR == row + 1 { print $at }' "runs/$1/log.csv"
}
less() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a + 0 < b + 0) }'; }

# ---- several classes ----

experiment several multi_label $'label_column = colours\nlabel_separator = |' sigmoid >several.ini
run config several.ini
expect 0
says "type = binary_crossentropy"
says "[metric:binary_accuracy]"
run check several.ini
expect 0
says "80 images in 3 classes"
run train several.ini
expect 0
says "80 training images in 3 classes"
check "the loss falls" less "$(column several loss 30)" "$(column several loss 1)"
check "all answers are right" less 0.9999 "$(column several val_binary_accuracy 30)"
check "classes" [ "$(tr '\n' ' ' <runs/several/classes.txt)" = "blue green red " ]
weights=runs/several/checkpoints/last.h5
run eval several.ini -w $weights
expect 0
says "binary_accuracy 1.0000"
run eval several.ini -w $weights metric:accuracy.type=accuracy --json
expect 0
says '"accuracy": 1}'

run predict several.ini -w $weights set/3.ppm set/0.ppm set/4.ppm
expect 0
check "red and green" grep -Eq '3\.ppm .*(red .*green|green .*red)' out
check "not blue" eval '! grep "3\.ppm" out | grep -q blue'
check "none" grep -Eq '0\.ppm +none \(most likely' out
run predict several.ini -w $weights --csv set
expect 0
check "head of the CSV" [ "$(head -1 out)" = "file,classes,blue,green,red" ]
check "a line for each" [ "$(wc -l <out)" -eq 97 ]
cp out guesses
# The classes of each picture, sorted, in the list and in the prediction.
sorted_classes() { awk -F, '{ n = split($2, c, "|"); s = ""; for (i = 0; i < 3; i++) for (j = 1; j <= n; j++) if (c[j] == substr("blue greenred  ", i * 5 + 1, i == 1 ? 5 : i == 0 ? 4 : 3)) s = s "|" c[j]; sub(/.*\//, "", $1); print $1 s }' | sort; }
check "every picture has its classes" [ "$(tail -n +2 guesses | sorted_classes)" = "$(tail -qn +2 set/train.csv set/test.csv | sorted_classes)" ]
run predict several.ini -w $weights --json set/7.ppm set/0.ppm
expect 0
says '"class": "red"'
says '"classes": []'
if command -v python3 >/dev/null; then
    check "JSON" python3 -c 'import json; it = json.load(open("out")); assert len(it[0]["classes"]) == 3 and it[1]["classes"] == [], it'
fi

# The data may be gone, and the network may end before the sigmoid.
run predict runs/several/config.ini -w $weights --csv set/6.ppm source:train.path=gone.csv source:validation.path=gone.csv
expect 0
says "set/6.ppm,"
silent_about "red,"
run predict several.ini -w $weights --csv set/6.ppm layer:out.activation=linear loss.type=binary_crossentropy loss.from_logits=yes
expect 0
check "the same probabilities" [ "$(tail -1 out | cut -d, -f3 | cut -c1-5)" = "$(grep '/6.ppm' guesses | cut -d, -f3 | cut -c1-5)" ]

# A column of 0 and 1 for each class says the same.
awk -F, 'NR == 1 { print "filename,red,blue"; next } { print $1 "," ($3 >= 200) "," ($5 >= 200) }' set/train.csv >set/flags.csv
experiment flags multi_label "label_column = red, blue" sigmoid >flags.ini
run train flags.ini layer:out.units=2 source:train.path=set/flags.csv source:validation.path=set/flags.csv
expect 0
check "columns are classes" [ "$(tr '\n' ' ' <runs/flags/classes.txt)" = "red blue " ]
check "they are learned" less 0.9999 "$(column flags val_binary_accuracy 30)"

# ---- numbers ----

experiment numbers raw "label_column = red, green, blue" linear >numbers.ini
run config numbers.ini
expect 0
says "type = mean_squared_error"
says "[metric:mean_absolute_error]"
sed -i 's/^scale = 1\/255/scale = 1\/64/; s/^epochs = 30/epochs = 200/' numbers.ini
run train numbers.ini optimizer.learning_rate=1 schedule.type=cosine_decay schedule.decay_steps=2000
expect 0
says "80 training images with 3 numbers each"
check "the loss falls" less "$(column numbers loss 200)" 1
check "of unseen pictures too" less "$(column numbers val_mean_absolute_error 200)" 1
check "names of the numbers" [ "$(tr '\n' ' ' <runs/numbers/targets.txt)" = "red green blue " ]
weights=runs/numbers/checkpoints/last.h5
run eval numbers.ini -w $weights --json metric:root.type=root_mean_squared_error
expect 0
says '"root": '
check "the root of the mean square" awk '{ gsub(/[",:}]/, " "); for (i = 1; i < NF; i++) { if ($i == "loss") l = $(i + 1); if ($i == "root") r = $(i + 1) } exit !(r > 0 && (r * r - l) ^ 2 < 1e-8) }' out
run predict numbers.ini -w $weights --csv set/90.ppm set/17.ppm source:train.path=gone.csv
expect 0
check "head" [ "$(head -1 out)" = "file,red,green,blue" ]
check "the colours of picture 90" awk -F, -v want="$(grep '^90.ppm' set/test.csv | cut -d, -f3-)" \
    'NR == 2 { split(want, w, ","); for (i = 1; i <= 3; i++) if (($(i + 1) - w[i]) ^ 2 > 4) exit 1 }' out
run predict numbers.ini -w $weights --csv set/90.ppm source:train.path=gone.csv experiment.name=unknown
expect 0
check "without names" [ "$(head -1 out)" = "file,value1,value2,value3" ]
run eval numbers.ini -w $weights source:train.path=gone.csv experiment.name=unknown
expect 2
says "how many numbers a picture has is not known"
run plan numbers.ini data.classes=a,b
expect 0
run predict numbers.ini -w $weights set/17.ppm
expect 0
says " red "
run predict numbers.ini -w $weights --json set/17.ppm
expect 0
says '"values": {"red": '
for loss in mean_absolute_error mean_squared_error; do
    run train numbers.ini experiment.name=$loss loss.type=$loss experiment.epochs=3
    expect 0
    check "$loss falls" less "$(column $loss loss 3)" "$(column $loss loss 1)"
done

# ---- what does not fit ----

run check several.ini layer:out.activation=softmax
expect 2
says "several.ini:30: [layer:out] ends in softmax, whose outputs add up to 1"
run check several.ini layer:out.activation=linear
expect 2
says "does not end in sigmoid"
run check several.ini layer:out.units=4
expect 2
says "several.ini:30: [layer:out] is the last layer and gives"
says "dense layer with 3 units"
run check several.ini loss.type=categorical_crossentropy
expect 2
says "use binary_crossentropy"
run check several.ini data.class_mode=categorical layer:out.activation=softmax
expect 2
says "several.ini:11: [source:train] gives several classes for each picture: set class_mode = multi_label"
run check several.ini data.class_mode=sparse
expect 2
says "need class_mode = multi_label"
run check numbers.ini layer:out.units=2
expect 2
says "numbers.ini:28: [layer:out] is the last layer and gives"
run check numbers.ini data.class_mode=categorical
expect 2
says "numbers.ini:11: [source:train] gives numbers for each picture: set class_mode = raw"
run check numbers.ini loss.type=sparse_categorical_crossentropy
expect 2
says "use mean_squared_error or mean_absolute_error"
run check numbers.ini source:validation.label_column=red,blue,green
expect 2
says "number 2 of a picture is \`blue\`, and \`green\` in [source:train]"
run check numbers.ini source:validation.label_column=red,blue
expect 2
says "[source:validation] gives 2 numbers for each picture, and [source:train] 3"
run check flags.ini layer:out.units=2 source:train.label_column=red,green
expect 2
says "is outside of 0 to 1"
run check numbers.ini source:train.label_column=red source:validation.label_column=red layer:out.units=1 layer:out.activation=softmax
expect 2
says "its softmax is always 1"
run check several.ini source:train.label_separator=
expect 2
# The examples are true.
for name in labels numbers; do cp "$TENON_SOURCE/examples/$name.ini" "example-$name.ini"; done
awk -F, 'NR == 1 { print "filename,tags"; next } { print "set/" $1 "," $2 }' set/train.csv >photos.csv
awk -F, 'NR == 1 { print "filename,heading,length"; next } { print "set/" $1 "," $3 / 255 "," $4 }' set/train.csv >boats.csv
run check example-labels.ini data.target_size=16x16
expect 0
run check example-numbers.ini data.target_size=16x16
expect 0

mkdir -p folders/a folders/b
cp set/1.ppm folders/a && cp set/2.ppm folders/b
run check numbers.ini source:train.type=directory
expect 2
run train several.ini experiment.name=single
expect 0

finish
